/* sentry.c: sbx-sentry taken over: where it confines itself, it makes the attempts instead. Linked with
 * --wrap=process_confine. */
#include <stddef.h>
#include <unistd.h>

#include "sentry/boot/process.h"
#include "tests/break/attempts.h"

int __real_process_confine(const char *platform);
int __wrap_process_confine(const char *platform);

static const char *on_platform;

static int confine(void)
{
	return __real_process_confine(on_platform);
}

int __wrap_process_confine(const char *platform)
{
	on_platform = platform;
	attempts_make(SENTRY_ATTEMPT, -1, confine);
	_exit(0);
}
