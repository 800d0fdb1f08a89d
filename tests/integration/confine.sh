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
