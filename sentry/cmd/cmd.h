/* cmd.h: the verbs of the sbx command. Each returns the exit status. */
#pragma once

#include "platform/base/attr.h"

/* As Docker: the runtime's own failure, a program that can't be executed, one that isn't there. */
#define EXIT_SBX      125
#define EXIT_NOEXEC   126
#define EXIT_NOTFOUND 127
#define EXIT_TIMEDOUT 124

struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *summary;
};

int cmd_run(int argc, char **argv);
int cmd_version(int argc, char **argv);
int cmd_syscalls(int argc, char **argv);
int cmd_debug(int argc, char **argv);
/* verify, measure, policy, broker, get-key, image; argv[0] must be main's argv[1] */
int cmd_cvm(int argc, char **argv);

/* "sbx: text" on stderr */
PRINTF_LIKE(1, 2) void complain(const char *fmt, ...);
