# badinput.sh: what can't work ends with one line that says what, where and what to do, and leaves nothing.
run --frobnicate=1 -- true
expect 125 'unknown option'
run --memory
expect 125
run --memory -5 -- true
expect 125 'memory'
run --memory 12Q -- true
expect 125 'memory'
for o in memory pids files cpus timeout; do
	run --$o 0 -- true
	expect 125 "$o"
done
run --hostname '' -- true
expect 125 'hostname'
run -e =x -- true
expect 125
run -v /tmp -- true
expect 125
run -v /tmp:relative -- true
expect 125
run -u 99999999999 -- true
expect 125
run --strace=/no/such/dir/file -- true
expect 125 '/no/such/dir/file'
run --stats=/no/such/dir/file -- true
expect 125 '/no/such/dir/file'
run --log /no/such/dir/file -- true
expect 125 '/no/such/dir/file'
# a confidential VM's: no unit is lost
for size in 20000G 16777217 16385G 18014398509481985G 0G -1G 1GG G; do
	timeout 20 "$sbx" run --confidential=insecure-sim --image "$tmp/none" --memory "$size" --print >"$tmp/out" 2>"$tmp/err" </dev/null
	status=$? err=$(cat "$tmp/err")
	expect 125 "memory: '$size' is not a number from 1 to 16777216 MiB"
done
timeout 20 "$sbx" run --confidential=insecure-sim --image "$tmp/none" --memory 16384G --print >"$tmp/out" 2>"$tmp/err" </dev/null
status=$? err=$(cat "$tmp/err")
expect 125 "$tmp/none" # the size is taken, the folder isn't there
# programs
mkdir -p "$tmp/w"
printf '#!/no/such/interpreter\n' >"$tmp/w/script"
printf '\177ELF\002\001\001' >"$tmp/w/short"
head -c 4096 /dev/urandom >"$tmp/w/random"
head -c 2000 /bin/true >"$tmp/w/cut"
: >"$tmp/w/empty"
cp /bin/true "$tmp/w/badinterp"
# the name of its interpreter, spoilt
sed -i 's#/lib64/ld-linux-x86-64.so.2#/lib64/no-linux-x86-64.so.2#' "$tmp/w/badinterp"
chmod 755 "$tmp/w"/*
echo text >"$tmp/w/text"
mkdir "$tmp/w/dir"
cd "$tmp/w" || exit
run -- ./missing
expect 127 'not in the sandbox'
run -- ./text
expect 126 'ermission'
run -- ./dir
expect 126
run -- ./script
expect 127 'interpreter'
run -- ./badinterp
expect 127 'interpreter'
run -- ./short
expect 126
# its headers are good and what they promise isn't there: as on Linux it may fail as late as in its first steps
run -- ./cut
[ "$status" = 126 ] || [ "$status" = 137 ] || [ "$status" = 139 ] && ok || bad "cut ELF: status $status"
run -- ./random
expect 126
cd "$OLDPWD" || exit
# root file systems
mkdir -p "$tmp/root/bin"
run --rootfs "$tmp/root" -- /bin/true
expect 127
cp /bin/true "$tmp/root/bin/true"
run --rootfs "$tmp/root" -- /bin/true
expect 127 'interpreter'
run --rootfs "$tmp/root/bin/true" -- /bin/true
expect 125 'not a directory'
# a full disk below -v: the guest's call fails with ENOSPC, the sandbox goes on
if [ "$(id -u)" = 0 ] && unshare -m true 2>/dev/null; then
	mkdir "$tmp/full"
	out=$(unshare -m sh -c "mount -t tmpfs -o size=64k none '$tmp/full' && timeout 60 '$sbx' run --platform $platform -v '$tmp/full:/full' -- sh -c '
		head -c 200000 /dev/zero >/full/f; echo status \$?; rm /full/f; echo again >/full/g && cat /full/g'" 2>"$tmp/err")
	expect_out $'status 1\nagain'
	grep -q 'No space left' "$tmp/err" && ok || bad "a full disk: $(cat "$tmp/err")"
else
	skip=$((skip + 1))
	echo "SKIP [$platform] a full disk: needs root and mount namespaces"
fi
no_leftovers badinput
