/* filter.c: what the gofer gives up before it serves the first request. */
#include "gofer/internal.h" /* before <signal.h>, whose macros are names of the guest's structures */

#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "platform/abi/errno.h"
#include "platform/host/filters.h"
#include "platform/host/hostcall.h"

/* What root's gofer keeps: power over files of every owner, below its roots. */
#define FILE_CAPS ((1u << CAP_CHOWN) | (1u << CAP_DAC_OVERRIDE) | (1u << CAP_FOWNER) | (1u << CAP_FSETID))

int gofer_confine(bool sockets)
{
	struct rlimit rl;
	int ret;

	/* as many descriptors as the host lets us have */
	if (getrlimit(RLIMIT_NOFILE, &rl) == 0 && rl.rlim_cur < rl.rlim_max) {
		rl.rlim_cur = rl.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &rl);
	}
	umask(0); /* the guest's kernel has applied its own */
	signal(SIGPIPE, SIG_IGN);
	ret = hc_prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (ret == 0)
		ret = hc_prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (ret == 0)
		ret = hc_set_capabilities(hc_getuid() == 0 ? FILE_CAPS : 0);
	if (ret == 0)
		ret = hc_prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	if (ret == 0)
		ret = hostcall_confine(sockets ? &hostcall_filter_gofer_uds : &hostcall_filter_gofer);
	return ret;
}
