/* strace.h: --strace: one line per system call of the guest, as strace(1) prints it. */
#pragma once

#include "sentry/kernel/kernel.h"
#include "sentry/syscalls/sys.h"

struct strace {
	int fd;		      /* [I] host descriptor the lines go to; borrowed */
	uint32_t string_size; /* [I] bytes of a string shown */
	bool times;	      /* [I] append <seconds> */
	bool errors_only;     /* [I] only calls that failed */
	uint64_t only[8];     /* [I] bitmap of call numbers to show; all zero: all */
};

/* Boot: traces k to fd from now on. string_size 0: 32. -ENOMEM. */
MUST_CHECK int strace_start(struct kernel *k, int fd, uint32_t string_size, struct strace **out);
/* Restricts it to a list of names ("open,read"); -EINVAL for a name that doesn't exist. Before tasks run. */
MUST_CHECK int strace_select(struct strace *st, const char *names);

/* Around the handler. exit doesn't come back and prints at entry; exec's arguments are kept from there. */
void strace_enter(struct task *t, const struct run_event *ev, const struct sys_entry *e);
void strace_exit(struct task *t, const struct run_event *ev, const struct sys_entry *e, int64_t ret,
		 uint64_t ns);
