# basic.sh: statuses, environment, input and output, identity, isolation.
same true
same false
same sh -c 'exit 42'
run -- sh -c 'kill -TERM $$'
expect 143
run -- sh -c 'kill -KILL $$'
expect 137
run -- no-such-program
expect 127 'not found'
run -- /etc/passwd
expect 126 'permission denied'
run -- /no/such/thing
expect 127
run --no-such-option -- true
expect 125 'unknown option'
run
expect 125 'no program'
run --memory 0 -- true
expect 125 'memory'
run --pids 0 -- true
expect 125 'pids'
run --timeout x -- true
expect 125 'timeout'
run --rootfs /no/such/dir -- true
expect 125 'rootfs'
run --rootfs /etc/passwd -- true
expect 125 'not a directory'
run -v /no/such:/x -- true
expect 125 '/no/such'
run -w relative -- true
expect 125 'absolute'
run -w /no/such/dir -- true
expect 125 '/no/such/dir'
run --platform nonsense -- true
expect 125
run -u nobody -- true
expect 125
run --timeout 1 -- sleep 100
expect 124 'timeout'
no_leftovers timeout
run -e A=1 -e B='x y' -- sh -c 'echo $A-$B-${HOME:+home}-${PATH:+path}'
expect_out '1-x y-home-path'
run --hostname box -- uname -n
expect_out box
run -u 1234:99 -- sh -c 'id -u; id -g'
expect_out $'1234\n99'
out=$(echo hello | "$sbx" run --platform "$platform" -- cat)
expect_out hello
out=$(head -c 3000000 /dev/zero | "$sbx" run --platform "$platform" -- cat | wc -c)
expect_out 3000000
# nothing gets out
mkdir -p "$tmp/work" "$tmp/vol"
echo original >"$tmp/work/file"
(cd "$tmp/work" && run -- sh -c 'echo changed >file; cat file; rm file; mkdir d; echo x >/etc/hostname; rm -f /usr/bin/env; ls')
before=$(cat "$tmp/work/file")
[ "$before" = original ] && [ -x /usr/bin/env ] && ok || bad 'a change reached the host'
run -v "$tmp/vol:/vol" -- sh -c 'echo out >/vol/f && cat /vol/f'
expect_out out
[ "$(cat "$tmp/vol/f")" = out ] && ok || bad 'a writable volume was not written'
run -v "$tmp/vol:/vol:ro" -- sh -c 'echo no >/vol/f 2>/dev/null || cat /vol/f'
expect_out out
run --read-only -- sh -c 'touch /usr/x 2>/dev/null || echo refused; touch /tmp/x && echo tmp'
expect_out $'refused\ntmp'
run -- cat /etc/shadow
[ "$status" != 0 ] && ok || bad '/etc/shadow could be read'
run -- sh -c 'ls /root /home 2>/dev/null | wc -l'
expect_out 3
# limits
run --pids 20 -- sh -c 'for i in $(seq 50); do sleep 1 & done 2>/dev/null; wait; echo done'
[ "$status" != 125 ] && ok || bad "pids: $err"
run --files 16 -- sh -c 'ulimit -n'
expect_out 16
# corrupt programs
printf '\177ELF\002\001\001' >"$tmp/work/short"
head -c 4096 /dev/urandom >"$tmp/work/random"
head -c 2000 /bin/true >"$tmp/work/cut"
chmod +x "$tmp/work"/{short,random,cut}
for f in short random cut; do
	(cd "$tmp/work" && run -- ./$f; [ $status != 0 ] && [ $status != 125 ]) && ok || bad "corrupt ELF $f"
done
mkdir -p "$tmp/root/bin"
cp /bin/true "$tmp/root/bin/true"
run --rootfs "$tmp/root" -- /bin/true
expect 127 'interpreter'
no_leftovers basic
