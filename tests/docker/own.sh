# own.sh: what only sbx does: refusals by name. Prints "FAIL name" for what is not so; the last line counts.
good=0 bad=0
check() { # NAME PATTERN COMMAND...: what it says
	local name=$1 want=$2; shift 2
	if timeout -k 1 30 "$@" 2>&1 </dev/null | grep -qE -- "$want"; then
		good=$((good + 1))
	else
		bad=$((bad + 1))
		echo "FAIL docker $name: $("$@" 2>&1 | head -3)"
	fi
}
D_ROOT=$D
D=(docker run --rm --runtime sbx)
check host-network "the host's network can't be a sandbox's" "${D[@]}" --network host box:1 true
docker run -d --runtime sbx --name shared --network one box:1 sleep 100 >/dev/null
check shared-network "is another sandbox's" "${D[@]}" --network container:shared box:1 true
check still-there "page|bad address|refused|shared" docker exec shared sh -c 'nslookup shared'
docker rm -f shared >/dev/null
left=$(pgrep -f "^$PWD/build/bin/sbx --root $D_ROOT" | wc -l)
check nothing-left '^0$' echo "$left"
check host-pid 'pid' "${D[@]}" --pid host box:1 sh -c 'echo pid $$'
echo "$good $bad"
