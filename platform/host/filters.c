/* filters.c: see filters.h. */
#include "platform/host/filters.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include "platform/host/hostcall.h"

int hostcall_confine(const struct hostcall_filter *f)
{
	struct sock_fprog prog = {(unsigned short)f->count, (struct sock_filter *)(uintptr_t)f->program};
	int ret;

	if (!SBX_STATIC)
		return 0;
	/* speculation controls are for who runs untrusted code in its own process */
	ret = hc_seccomp(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_SPEC_ALLOW,
			 &prog);
	if (ret == -EINVAL)
		ret = hc_seccomp(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &prog);
	/* a thread that couldn't be brought in is named by its number */
	return ret > 0 ? -ESRCH : ret;
}
