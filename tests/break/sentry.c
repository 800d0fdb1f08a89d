/* sentry.c: sbx-sentry taken over: where it confines itself, it makes the attempts instead. Linked with
 * --wrap=process_confine. */
#include <stddef.h>
#include <unistd.h>

#include "sentry/boot/process.h"
#include "tests/break/attempts.h"

int __real_process_confine(const char *platform, bool nat);
int __wrap_process_confine(const char *platform, bool nat);

static const char *on_platform;
static bool with_nat;

static int confine(void)
{
	return __real_process_confine(on_platform, with_nat);
}

int __wrap_process_confine(const char *platform, bool nat)
{
	with_nat = nat;
	on_platform = platform;
	attempts_make(SENTRY_ATTEMPT, -1, confine);
	_exit(0);
}
