/* strace.h: --strace: one line per system call of the guest, as strace(1) prints it. */
#pragma once

#include "sentry/kernel/kernel.h"
#include "sentry/syscalls/sys.h"

struct strace {
	int fd;		      /* [I] host descriptor the lines go to; borrowed */
	uint32_t string_size; /* [I] bytes of a string shown; 0: 32 */
	bool times;	      /* [I] append <seconds> */
	bool errors_only;     /* [I] only calls that failed */
	const uint64_t *only; /* [I] bitmap of call numbers to show; NULL: all */
};

/* Around the handler. exit and exec-like calls that don't come back print at entry. */
void strace_enter(struct task *t, const struct run_event *ev, const struct sys_entry *e);
void strace_exit(struct task *t, const struct run_event *ev, const struct sys_entry *e, int64_t ret, uint64_t ns);
