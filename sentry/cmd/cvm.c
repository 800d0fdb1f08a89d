/* cvm.c: the verbs of confidential VMs: sbx-cvm does them. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "sentry/cmd/cmd.h"

int cmd_cvm(int argc, char **argv)
{
	char self[4096], path[4200];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	(void)argc; /* argv is a tail of main's: the word before the verb is argv[-1] */
	if (n < 0) {
		complain("cannot read /proc/self/exe: %s", strerror(errno));
		return EXIT_SBX;
	}
	self[n] = 0;
	slash = strrchr(self, '/');
	snprintf(path, sizeof(path), "%.*s/sbx-cvm", (int)(slash - self), self);
	execv(path, argv - 1);
	snprintf(path, sizeof(path), "%.*s/../libexec/sbx/sbx-cvm", (int)(slash - self), self);
	execv(path, argv - 1);
	complain("cannot execute sbx-cvm: %s", strerror(errno));
	return EXIT_SBX;
}
