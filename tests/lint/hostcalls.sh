#!/bin/bash
# hostcalls.sh: the kernel's rooms make host calls only through platform/host.
cd "$(dirname "$0")/../.." || exit 2
bad=0
for f in $(git ls-files -co --exclude-standard 'sentry/*.c' 'sentry/*.h' 'netstack/*.c' 'netstack/*.h' 'gofer/client.*' 'gofer/wire.*'); do
	case $f in
	sentry/cmd/*|sentry/oci/*|sentry/boot/*|sentry/control/*|netstack/link/*|*_test.c) continue ;;
	esac
	if grep -Hn -E '^#include <(unistd|fcntl|sys/socket|sys/mman|sys/stat|sys/ioctl|sys/epoll|stdlib|errno|pthread|signal|time)\.h>' "$f"; then
		bad=1
	fi
done
[ $bad = 0 ] || echo "hostcalls: these rooms go through platform/host/hostcall.h"
exit $bad
