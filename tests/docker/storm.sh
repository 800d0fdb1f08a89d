# storm.sh: kill -9 of the sentry, the gofer, the monitor, the shim or a command of sbx at moments of chance, $COUNT
# times; after `docker rm -f` nothing is left. Needs $D and DOCKER_HOST. The last line counts.
docker() { command timeout -k 1 30 docker "$@"; }
good=0 bad=0
RANDOM=${SEED:-$$}
# what belongs to the container with that id: its monitor, then the monitor's two children, then the shim
victims() {
	local monitor=$1 id=$2
	echo "$monitor"
	pgrep -P "$monitor"
	pgrep -f "^.*containerd-shim.* -id $id"
}
left() { # processes of this daemon's sandboxes, and control groups of that id
	pgrep -f "^$PWD/build/bin/sbx --root $D/"
	find /sys/fs/cgroup -type d -name "$1" 2>/dev/null
}
for i in $(seq "${COUNT:-8}"); do
	docker run -d --runtime sbx --name "storm$i" --network $([ $((i % 2)) = 0 ] && echo one || echo none) box:1 \
		sh -c 'while :; do echo x | cat >/dev/null; done' >/dev/null 2>"$D/storm.err" &
	job=$!
	if [ $((i % 4)) = 3 ]; then # while it starts: whatever there is by then
		sleep "0.$((RANDOM % 10))"
		mapfile -t pids < <(pgrep -f "^$PWD/build/bin/sbx --root $D/"; pgrep -f "^.*containerd-shim.* -address $D/")
	else
		wait $job
		sleep "0.$((RANDOM % 5))"
		mapfile -t pids < <(victims $(docker inspect -f '{{.State.Pid}} {{.Id}}' "storm$i"))
	fi
	n=${#pids[@]}
	[ "$n" = 0 ] || kill -9 "${pids[RANDOM % n]}" 2>/dev/null
	wait $job
	id=$(docker inspect -f '{{.Id}}' "storm$i" 2>/dev/null)
	for _ in 1 2 3; do docker rm -f "storm$i" >/dev/null 2>&1; docker inspect "storm$i" >/dev/null 2>&1 || break; sleep 1; done
	for _ in $(seq 30); do [ -z "$(left "${id:-none}")" ] && break; sleep 0.1; done
	rest=$(left "${id:-none}")
	if [ -z "$rest" ] && ! docker inspect "storm$i" >/dev/null 2>&1; then
		good=$((good + 1))
	else
		bad=$((bad + 1))
		echo "FAIL docker storm $i: left: $rest $(docker ps -aq --filter "name=storm$i") (of ${pids[*]})"
		kill -9 $(pgrep -f "^$PWD/build/bin/sbx --root $D/") 2>/dev/null
	fi
done
echo "$good $bad"
