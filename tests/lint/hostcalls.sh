#!/bin/bash
# hostcalls.sh: the kernel's rooms make host calls only through platform/host. Those that talk to the host through
# it (hostfs, host descriptors, the gofer's client) may name the host's constants, but call nothing.
cd "$(dirname "$0")/../.." || exit 2
bad=0
for f in $(git ls-files -co --exclude-standard 'sentry/*.c' 'sentry/*.h' 'netstack/*.c' 'netstack/*.h' 'gofer/client.*' 'gofer/wire.*'); do
	headers='unistd|fcntl|sys/socket|sys/mman|sys/stat|sys/ioctl|sys/epoll|stdlib|errno|pthread|signal|time'
	case $f in
	sentry/cmd/*|sentry/oci/*|sentry/boot/*|sentry/control/*|netstack/link/*|netstack/nat/*|*_test.c) continue ;;
	gofer/client.*|sentry/fs/gofer/*|sentry/fs/host/*) headers='unistd|stdlib|errno|pthread|signal|time' ;;
	esac
	if grep -Hn -E "^#include <($headers)\.h>" "$f"; then
		bad=1
	fi
done
# and what the objects really call
for o in $(find build/release/sentry build/release/netstack -name '*.o' 2>/dev/null | grep -v -E '_test\.o|/(cmd|oci|boot|control)/|netstack/(link|nat)/'); do
	calls=$(nm -u "$o" 2>/dev/null | awk '{print $2}' | grep -xE '(open|openat|read|write|pread64|pwrite64|close|socket|connect|bind|sendmsg|recvmsg|mmap|munmap|mprotect|fork|execve|kill|ioctl|fcntl|poll|malloc|calloc|free|realloc|printf|fprintf|fopen|getenv|system|syscall)')
	if [ -n "$calls" ]; then
		echo "hostcalls: $o calls" $calls
		bad=1
	fi
done
# each wrapper says who may use it once the sandbox runs: the seccomp lists are made from that
for call in $(grep -oE 'SYS_[a-z0-9_]+' platform/host/hostcall.c | sort -u); do
	grep -qE "^HOSTCALL\(${call#SYS_}," platform/host/hostcall.c || {
		echo "hostcalls: platform/host/hostcall.c: $call has no HOSTCALL line"
		bad=1
	}
done
[ $bad = 0 ] || echo "hostcalls: these rooms go through platform/host/hostcall.h"
exit $bad
