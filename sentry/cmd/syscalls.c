/* syscalls.c: `sbx syscalls`: the table that sbx-sentry prints of itself. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "sentry/cmd/cmd.h"

int cmd_syscalls(int argc, char **argv)
{
	char self[4096], path[4200];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	(void)argc, (void)argv;
	if (n < 0) {
		complain("cannot read /proc/self/exe: %s", strerror(errno));
		return EXIT_SBX;
	}
	self[n] = 0;
	slash = strrchr(self, '/');
	snprintf(path, sizeof(path), "%.*s/sbx-sentry", (int)(slash - self), self);
	execl(path, "sbx-sentry", "--syscalls", (char *)NULL);
	snprintf(path, sizeof(path), "%.*s/../libexec/sbx/sbx-sentry", (int)(slash - self), self);
	execl(path, "sbx-sentry", "--syscalls", (char *)NULL);
	complain("cannot execute sbx-sentry: %s", strerror(errno));
	return EXIT_SBX;
}
