# cgroup.sh: limits of `sbx run` in the host's control groups, where root finds some; nothing stays behind.
if [ "$(id -u)" != 0 ] || ! find /sys/fs/cgroup -maxdepth 2 -name cgroup.procs -writable 2>/dev/null | grep -q .; then
	skip=$((skip + 1))
	echo "SKIP cgroup: no control groups to make"
	return 0
fi
groups() { find /sys/fs/cgroup -type d -name "sbx-$1" 2>/dev/null; }
limited() { # starts one, its id in $pid
	timeout -s KILL 60 "$sbx" run --platform "$platform" --debug "$@" -- sleep 30 >"$tmp/out" 2>"$tmp/err" </dev/null &
	for _ in $(seq 100); do
		pid=$(pgrep -P $! 2>/dev/null | head -1)
		[ -n "$pid" ] && [ "$(pgrep -P "$pid" | wc -l)" = 2 ] && break
		sleep 0.05
	done
}
limited --memory 64M --pids 30 --cpus 1
found=$(groups "$pid")
if [ -n "$found" ]; then
	ok
	want=$(((64 + 128) << 20))
	cat $(sed 's|$|/memory.limit_in_bytes|' <<<"$found") $(sed 's|$|/memory.max|' <<<"$found") 2>/dev/null | grep -qx $want && ok || bad "memory is not limited to $want: $found"
	cat $(sed 's|$|/pids.max|' <<<"$found") 2>/dev/null | grep -qx 124 && ok || bad "pids are not limited: $found"
	[ "$(sort -u $(sed 's|$|/cgroup.procs|' <<<"$found") | wc -l)" -ge 3 ] && ok || bad "the sandbox's processes are elsewhere"
else
	grep -q 'no control group' "$tmp/err" && ok || bad "neither a control group nor a word about it: $(cat "$tmp/err")"
fi
kill -TERM "$pid"
wait
[ -z "$(groups "$pid")" ] && ok || bad "a control group is left: $(groups "$pid")"
limited --memory 64M
kill -KILL "$pid"
wait 2>/dev/null
sleep 0.3
run --memory 64M -- true
expect 0
[ -z "$(groups "$pid")" ] && ok || bad "that of a killed sbx is left: $(groups "$pid")"
run --memory 64M --pids 20 --cpus 1 -- sh -c 'python3 -c "x = bytearray(200 << 20)" 2>/dev/null; echo rc=$?'
expect_out rc=1
