/* process.c: see process.h. */
#include "sentry/boot/process.h"

#include "platform/host/proc.h" /* before <signal.h>, whose macros are names of members there */

#include "platform/host/filters.h"
#include "platform/host/hostcall.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>

int process_setup(void)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigaction(SIGPIPE, &ignore, NULL);
	/* output files beyond RLIMIT_FSIZE are the guest's business: an errno, not our death */
	sigaction(SIGXFSZ, &ignore, NULL);
	proc_setup();
	/* before there are guest processes, which must not have them either */
	return hc_set_capabilities(0);
}

int process_confine(const char *platform, bool nat)
{
	static const struct hostcall_filter *const lists[2][2] = {
		{&hostcall_filter_sentry_systrap, &hostcall_filter_sentry_systrap_nat},
		{&hostcall_filter_sentry_ptrace, &hostcall_filter_sentry_ptrace_nat}};
	bool ptrace = strcmp(platform, "ptrace") == 0;
	int ret = hc_prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* no other process of this user may look in */

	return ret < 0 ? ret : hostcall_confine(lists[ptrace][nat]);
}
