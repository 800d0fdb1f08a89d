/* exec.h: what passes between execve(2) (exec.c) and the loader, which is called through kernel_ops.load.
 */
#pragma once

#include "sentry/kernel/kernel.h"

/* argv and envp as kernel copies, strings laid out one behind the other. */
struct exec_args {
	uint32_t argc, envc;
	char *strings; /* arena; argc + envc terminated strings */
	size_t strings_size;
	struct path exe;	  /* filled in by the loader on success: what /proc/pid/exe shows; reference */
	char comm[TASK_COMM_LEN]; /* out: new name of the task */
	uaddr_t entry, stack;	  /* out: registers */
	bool secure;		  /* in: AT_SECURE */
	uint32_t uid, euid, gid, egid; /* in: for the auxiliary vector, in the task's user namespace */
	bool point_of_no_return;       /* out: the old image is gone; an error now kills the task */
	/* out: set-id bits to apply, from the file that is executed (not the script) */
	uint32_t set_uid, set_gid; /* ID_INVALID: none; kernel ids */
};
