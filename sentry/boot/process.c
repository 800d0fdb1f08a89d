/* process.c: see process.h. */
#include "sentry/boot/process.h"

#include "platform/host/proc.h" /* before <signal.h>, whose macros are names of members there */

#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>

void process_setup(void)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigaction(SIGPIPE, &ignore, NULL);
	/* output files beyond RLIMIT_FSIZE are the guest's business: an errno, not our death */
	sigaction(SIGXFSZ, &ignore, NULL);
	proc_setup();
}
