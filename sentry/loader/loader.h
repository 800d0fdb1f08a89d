/* loader.h: execve's second half: ELF images, "#!" scripts, the initial stack, the auxiliary vector. */
#pragma once

#include "sentry/kernel/exec.h"

/* Checks exe (scripts are followed, at most 4 deep), then calls begin, which must give the task's context a
 * fresh address space and books (t->mm) and stop other threads; then maps the image and interpreter, builds
 * the stack. Everything that can be refused is refused before begin. */
MUST_CHECK int loader_exec(struct task *t, struct file *exe, const char *filename, struct exec_args *a,
			   int (*begin)(struct task *t, struct exec_args *a));
