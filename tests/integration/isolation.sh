# isolation.sh: nothing of a guest's choosing reaches the host: not by writing, not by reading what the caller
# may not read, not by a host system call.

# every name, type, mode, owner, size, time of change and content below DIR...
tree_sum() {
	{
		find "$@" -xdev -printf '%p %y %m %U %G %s %T@ %C@ %l\n'
		find "$@" -xdev -type f -print0 | xargs -0 cat 2>/dev/null | sha256sum
	} 2>/dev/null | LC_ALL=C sort | sha256sum
}
mkdir -p "$tmp/tree/sub"
for i in 1 2 3 4 5; do
	echo "content $i" >"$tmp/tree/f$i"
	ln -s "f$i" "$tmp/tree/sub/l$i"
done
before=$(tree_sum "$tmp/tree" /etc /usr/local /opt)
(cd "$tmp/tree" && run -- sh -c '
	for d in . /etc /usr /usr/local /opt /bin /lib; do
		echo x >$d/written; mkdir $d/made; ln -s /etc/passwd $d/linked; mknod $d/fifo p
	done
	for f in /etc/passwd /etc/hostname /etc/hosts f1 sub/l2; do echo x >>$f; chmod 777 $f; chown 1:1 $f; touch -d 2001-01-01 $f; done
	mv f3 moved; rm -rf f4 sub /etc/apt /usr/local; truncate -s 0 f5; ln f1 hard; cp /bin/true /etc/passwd
	: >/proc/1/root/etc/group; cd /proc/self/cwd/.. && echo x >beside; sync
') 2>/dev/null
after=$(tree_sum "$tmp/tree" /etc /usr/local /opt)
[ "$before" = "$after" ] && ok || bad 'a guest changed the host'
[ ! -e "$tmp/beside" ] && ok || bad 'a guest wrote beside its folder'
[ "$(tree_sum "$tmp/tree")" = "$(tree_sum "$tmp/tree")" ] && ok || bad 'the checksum is not stable'
echo more >>"$tmp/tree/f1"
[ "$before" != "$(tree_sum "$tmp/tree" /etc /usr/local /opt)" ] && ok || bad 'the checksum sees no change'

# an ordinary user's sandbox reads what that user reads, and no more
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
	mkdir -p "$tmp/bin" "$tmp/vol/closed" "$tmp/vol/open"
	cp "${sbx%/*}"/sbx "${sbx%/*}"/sbx-sentry "${sbx%/*}"/sbx-gofer "$tmp/bin"
	echo secret >"$tmp/vol/closed/f" && echo secret >"$tmp/vol/open/private" && echo public >"$tmp/vol/open/f"
	chmod 755 "$tmp" "$tmp/bin" "$tmp/vol" "$tmp/vol/open" && chmod 700 "$tmp/vol/closed" && chmod 600 "$tmp/vol/open/private"
	as_user() {
		(cd / && exec timeout 60 setpriv --reuid=12345 --regid=12345 --clear-groups "$@")
	}
	look='for f in /v/closed/f /v/open/private /v/open/f /etc/shadow /etc/gshadow /root/.profile /proc/1/root/etc/shadow; do
		cat $f 2>/dev/null && echo "can read $f"; done; ls /v/closed 2>/dev/null; id -u; true'
	out=$(as_user "$tmp/bin/sbx" run --platform "$platform" -v "$tmp/vol:/v:ro" -- sh -c "$look" 2>"$tmp/err")
	expect_out $'public\ncan read /v/open/f\n12345'
	# root inside is nobody outside
	out=$(as_user "$tmp/bin/sbx" run --platform "$platform" -u 0 -v "$tmp/vol:/v" -- sh -c "$look; echo x >/v/open/f" 2>/dev/null)
	expect_out $'public\ncan read /v/open/f\n0'
	[ "$(cat "$tmp/vol/open/f")" = public ] && ok || bad 'an ordinary user wrote what is not his'
	out=$(as_user "$tmp/bin/sbx" run --platform "$platform" --rootfs "$tmp/vol/closed" -- /f 2>&1)
	status=$?
	[ $status = 125 ] && [ "$(wc -l <<<"$out")" = 1 ] && grep -q rootfs <<<"$out" && ok || bad "unreadable rootfs: $status $out"
else
	skip=$((skip + 1))
	echo "SKIP [$platform] an ordinary user's view: needs root and setpriv"
fi

# Host calls: strace with a seccomp filter of its own shows those that the host executes, and none that the
# sandbox's filter turned away. A guest process makes only what the stub needs.
# Tracing a tracee isn't possible, so this is for platforms that don't trace.
if [ "$platform" = ptrace ]; then
	: # each call is turned back with PTRACE_SYSEMU: tests/guest/hostile/escape looks at that from inside
elif command -v strace >/dev/null && strace --seccomp-bpf -f -e trace='!sched_yield' -o "$tmp/trace" true 2>/dev/null; then
	timeout 120 strace --seccomp-bpf -f -e trace='!sched_yield' -o "$tmp/trace" "$sbx" run --platform "$platform" -- perl -e '
		my ($m, $l, $d, $o) = ("SBXMARK", "/tmp/SBXMARK-link", "/tmp/SBXMARK-dir", "x" x 400);
		syscall(170, $m, 7); syscall(88, $m, $l); syscall(83, $d, 0755); syscall(167, $m, 0); syscall(99, $o);
		syscall(248, $m, $m, 0, 0, 0); syscall(161, $d); syscall(59, $l, 0, 0); syscall(42, 3, $m, 7);
		if (fork == 0) { syscall(102); syscall(109, 0, 0); syscall(35, $o, 0); exit 0 } wait; print "done\n"' \
		>"$tmp/out" 2>"$tmp/err" </dev/null
	out=$(cat "$tmp/out")
	expect_out done
	# but for the command line itself, and the sentry's copies of what lies in the guest's memory
	leaked=$(grep -vE 'execve\(|process_vm_(readv|writev)' "$tmp/trace" | grep SBXMARK | head -3)
	[ -z "$leaked" ] && ok || bad "a guest's string reached a host call: $leaked"
	# processes in which a call of the guest was turned away: those that run guest code
	guests=$(awk '/SIGSYS/ && /SYS_SECCOMP/ {print $1}' "$tmp/trace" | sort -u)
	[ -n "$guests" ] && ok || bad 'no guest process in the trace'
	for pid in $guests; do
		extra=$(awk -v p="$pid" '$1 == p {print $2 == "<..." ? $3 : $2}' "$tmp/trace" | grep -oE '^[a-z_0-9]+' | sort -u |
			grep -vxE 'futex|mmap|munmap|mprotect|mremap|madvise|mincore|msync|rt_sigreturn|recvmsg|close|close_range|dup2|prctl|arch_prctl|getppid|rt_sigprocmask|clone|clone3|exit|exit_group|resumed|process_vm_readv|set_tid_address')
		[ -z "$extra" ] && ok || bad "a guest process made host calls:" $extra
		# its signal mask: none, or the sentry's kick held back while the stub forks
		extra=$(awk -v p="$pid" '$1 == p' "$tmp/trace" | grep 'rt_sigprocmask(' | grep -vF -e 'SIG_SETMASK, [],' -e 'SIG_SETMASK, [USR1],' | head -3)
		[ -z "$extra" ] && ok || bad "a guest process set a signal mask of its own: $extra"
	done
else
	skip=$((skip + 1))
	echo "SKIP [$platform] host calls of a guest: strace --seccomp-bpf does not work here"
fi
no_leftovers isolation
