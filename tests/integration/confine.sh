# confine.sh: what the sandbox's own programs may do, and that what they need still works.
# root's gofer has root's power over the files of every owner below its roots
if [ "$(id -u)" = 0 ]; then
	mkdir -p "$tmp/owned"
	echo secret >"$tmp/owned/file"
	chown 1234:99 "$tmp/owned/file"
	chmod 600 "$tmp/owned/file"
	run -v "$tmp/owned:/owned" -- sh -c 'stat -c "%u %g %a" /owned/file; cat /owned/file; echo new >/owned/new; chown 77:88 /owned/new'
	expect_out $'1234 99 600\nsecret'
	[ "$(stat -c '%u %g' "$tmp/owned/new" 2>&1)" = '77 88' ] && ok || bad 'a file was not given away'
else
	skip=$((skip + 1))
	echo 'SKIP ids of other users: not root'
fi

# status FILE KEY: a line of /proc/PID/status
status_of() {
	awk -v k="$2:" '$1 == k { $1 = ""; print substr($0, 2) }' "/proc/$1/status"
}

# The programs of a running sandbox, seen from outside. who: for messages; uid: the sentry's; caps: the gofer's
look_at() {
	local who=$1 uid=$2 caps=$3 launcher=$4 sentry gofer pid name
	sleep 0.7
	sentry=$(pgrep -P "$launcher" -f sbx-sentry)
	gofer=$(pgrep -P "$launcher" -f sbx-gofer)
	[ -n "$sentry" ] && [ -n "$gofer" ] && ok || { bad "$who: no sandbox"; return; }
	[ "$(status_of "$sentry" CapPrm)" = 0000000000000000 ] && ok || bad "$who: the sentry has capabilities"
	[ "$(status_of "$gofer" CapPrm)" = "$caps" ] && ok || bad "$who: the gofer's capabilities: $(status_of "$gofer" CapPrm)"
	[ "$(status_of "$sentry" Uid)" = "$uid $uid $uid $uid" ] && ok || bad "$who: the sentry is user $(status_of "$sentry" Uid)"
	for pid in $sentry $gofer; do
		name=$(cat "/proc/$pid/comm")
		[ "$(status_of "$pid" NoNewPrivs)" = 1 ] && ok || bad "$who: $name may gain privileges"
		[ "$(stat -c %u "/proc/$pid/stat")" = 0 ] && ok || bad "$who: $name is dumpable"
		[ "$(wc -l <"/proc/$pid/mountinfo")" = 1 ] && [ -z "$(ls -A "/proc/$pid/root/")" ] && ok ||
			bad "$who: $name sees files of the host"
		grep -q '^Max core file size  *0 *0 ' "/proc/$pid/limits" && ok || bad "$who: $name may dump core"
		for ns in user pid mnt net ipc uts; do
			[ "$(readlink "/proc/$pid/ns/$ns")" != "$(readlink /proc/self/ns/$ns)" ] && ok ||
				bad "$who: $name is in the host's $ns namespace"
		done
	done
	# guest processes have no more than the sentry
	for pid in $(pgrep -P "$sentry"); do
		[ "$(status_of "$pid" CapPrm)" = 0000000000000000 ] && ok || bad "$who: a guest process has capabilities"
	done
}

"$sbx" run --platform "$platform" -- sleep 100 >/dev/null 2>&1 </dev/null &
if [ "$(id -u)" = 0 ]; then
	# chown, dac_override, fowner, fsetid
	look_at root 65534 000000000000001b $!
	kill $!
	wait
	# the host's system folders alone are shown by a gofer without any power
	(cd /usr && exec "$sbx" run --platform "$platform" -- sleep 100 >/dev/null 2>&1 </dev/null) &
	sleep 0.3
	look_at public 65534 0000000000000000 $!
	kill $!
	wait
	# an ordinary user; the build need not be where one can reach it
	mkdir -m 755 "$tmp/bin"
	chmod 755 "$tmp"
	cp "${sbx%/*}"/sbx* "$tmp/bin"
	(cd / && exec setpriv --reuid 65533 --regid 65533 --clear-groups "$tmp/bin/sbx" run --platform "$platform" -- sleep 100 >/dev/null 2>&1 </dev/null) &
	look_at user 65533 0000000000000000 $!
	kill $!
	wait
	mkdir "$tmp/users"
	chown 65533:65533 "$tmp/users"
	out=$(cd / && setpriv --reuid 65533 --regid 65533 --clear-groups "$tmp/bin/sbx" run --platform "$platform" -v "$tmp/users:/users" -- sh -c 'id -u; echo x >/users/f; cat /users/f; cat /etc/shadow 2>/dev/null || echo refused' 2>&1)
	expect_out $'65533\nx\nrefused'
	[ "$(stat -c %u "$tmp/users/f")" = 65533 ] && ok || bad "the user's file is another's"
else
	look_at user "$(id -u)" 0000000000000000 $!
	kill $!
	wait
fi
# a folder as standard input would lead to the host's files
out=$("$sbx" run --platform "$platform" -- sh -c 'test -d /dev/stdin || cat; echo "no folder"' </etc 2>&1)
expect_out 'no folder'
no_leftovers confine
# host threads are bounded by --pids: each task has two, and some are spare
"$sbx" run --platform "$platform" --pids 10 -- sleep 100 >/dev/null 2>&1 </dev/null &
sleep 0.7
grep -q '^Max processes  *84  *84 ' "/proc/$(pgrep -P $! -f sbx-sentry)/limits" && ok || bad 'host threads are not bounded'
kill $!
wait
