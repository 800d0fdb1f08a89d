# killed.sh: `sbx create` killed at moments of chance, by itself or with its monitor: `delete -f` of its id, or a
# new container of that name and its end, leave no folder, control group or process.
if [ -z "$(command -v busybox)" ]; then
	skip=$((skip + 1))
	echo "SKIP killed: no busybox"
	return 0
fi
state=$tmp/state b=$tmp/bundle name=sbxkilled$$-
mkdir -p "$b/rootfs"/{bin,proc,sys,dev,tmp,etc}
cp "$(command -v busybox)" "$b/rootfs/bin/busybox"
ln -sf busybox "$b/rootfs/bin/sh"
(cd "$b" && "$sbx" spec && sed -i 's/"terminal": true/"terminal": false/' config.json)
RANDOM=${SEED:-$$}
left() { # folders, control groups and processes of the containers of this test
	find "$state" -mindepth 1 2>/dev/null
	find /sys/fs/cgroup -type d -name "$name*" 2>/dev/null
	pgrep -f "^$sbx --root $state"
}
# doomed ID: a `create` that lives at most 45 ms
doomed() {
	"$sbx" --root "$state" --platform "$platform" create -b "$b" "$1" >/dev/null 2>&1 </dev/null &
	local creator=$! victims
	sleep "$(printf '0.%03d' $((RANDOM % 45)))"
	victims=$creator
	[ $((RANDOM % 4)) != 0 ] || victims="$creator $(pgrep -P $creator)"
	kill -9 $victims 2>/dev/null
	wait $creator 2>/dev/null
}
for i in $(seq "${COUNT:-40}"); do
	doomed "$name$i"
	if [ $((i % 2)) = 0 ]; then
		# its name is free for the next one, unless it had been created before the blow
		[ -e "$state/$name$i/state.json" ] || timeout 20 "$sbx" --root "$state" --platform "$platform" \
			create -b "$b" "$name$i" >"$tmp/out" 2>"$tmp/err" </dev/null || bad "$i: create again: $(cat "$tmp/err")"
	fi
	timeout 20 "$sbx" --root "$state" delete -f "$name$i" 2>"$tmp/err" || bad "$i: delete -f: $(cat "$tmp/err")"
done
rest=$(left)
[ -z "$rest" ] && ok || bad "left of killed creates: $rest"
# the least that one leaves
mkdir "$state/${name}a" && touch "$state/${name}a/lock"
timeout 20 "$sbx" --root "$state" delete -f "${name}a" && [ ! -e "$state/${name}a" ] && ok || bad "a folder with a lock alone is left"
mkdir -p "$state/${name}b"
exec 8>"$state/${name}b/lock"
flock 8
timeout 20 "$sbx" --root "$state" delete -f "${name}b" 2>"$tmp/err"
status=$? err=$(cat "$tmp/err")
expect 1 'already exists'
[ -e "$state/${name}b/lock" ] && ok || bad "the folder of a create under way was removed"
exec 8>&-
timeout 20 "$sbx" --root "$state" delete -f "${name}b" && [ ! -e "$state/${name}b" ] && ok || bad "${name}b is left"
timeout 20 "$sbx" --root "$state" delete -f "${name}c" && [ ! -e "$state/${name}c" ] && ok || bad "delete -f of none"
no_leftovers "killed creates"
