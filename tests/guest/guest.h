/* guest.h: what the guest programs share. A program prints the results of calls (never addresses, pids or
 * times), so that a run under sbx can be compared with one on the host. */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Prints "label: result" or "label: -1 ENAME". The expression's value is returned. */
#define SHOW(expr)                                                                                             \
	({                                                                                                     \
		errno = 0;                                                                                     \
		long show_r_ = (long)(expr);                                                                   \
		if (show_r_ == -1)                                                                             \
			printf("%s: -1 %s\n", #expr, strerrorname_np(errno));                                  \
		else                                                                                           \
			printf("%s: %ld\n", #expr, show_r_);                                                   \
		show_r_;                                                                                       \
	})

/* As SHOW, but only whether it worked (descriptors, addresses, pids). */
#define SHOW_OK(expr)                                                                                          \
	({                                                                                                     \
		errno = 0;                                                                                     \
		long show_r_ = (long)(expr);                                                                   \
		if (show_r_ == -1)                                                                             \
			printf("%s: -1 %s\n", #expr, strerrorname_np(errno));                                  \
		else                                                                                           \
			printf("%s: ok\n", #expr);                                                             \
		show_r_;                                                                                       \
	})

/* Ends the program when the condition fails: something the rest depends on. */
#define MUST(cond)                                                                                             \
	do {                                                                                                   \
		if (!(cond)) {                                                                                 \
			fprintf(stderr, "%s:%d: %s failed (errno %s)\n", __FILE__, __LINE__, #cond,            \
				strerrorname_np(errno));                                                       \
			exit(1);                                                                               \
		}                                                                                              \
	} while (0)

/* Prints how a child ended. */
static inline void show_status(const char *what, int status)
{
	if (WIFEXITED(status))
		printf("%s: exited %d\n", what, WEXITSTATUS(status));
	else if (WIFSIGNALED(status))
		printf("%s: killed by %d\n", what, WTERMSIG(status));
	else if (WIFSTOPPED(status))
		printf("%s: stopped by %d\n", what, WSTOPSIG(status));
	else if (WIFCONTINUED(status))
		printf("%s: continued\n", what);
}
