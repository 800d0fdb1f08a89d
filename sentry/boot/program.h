/* program.h: a program that boot starts: the first one, or one of `exec`, made from a configuration. */
#pragma once

#include "sentry/boot/boot.h"

/* Why something can't be done: the exit status for sbx and a line of text. */
struct reason {
	int status;
	char text[1000];
};
/* Fills it in; returns -1. */
PRINTF_LIKE(3, 4) int reason_set(struct reason *r, int status, const char *fmt, ...);

/* Everything is kmalloc'ed or a reference of its own; strings of argv and envp are the configuration's. */
struct program {
	struct fs_context *fs;
	struct fdtable *fds;
	struct cred *cred;
	struct linux_rlimit *limits;
	char *path, *home; /* where it lies; HOME=... or NULL */
	const char **argv, **envp;
	struct terminal *terminal; /* NULL: none */
	struct bpf_prog *filter;
	int32_t oom_score_adj;
	bool oci; /* messages as the runtime's clients expect them */
	struct reason *why;
};

/* Descriptors of the host that the program gets: 0-2 (or the ends of its terminal), taken over. */
struct program_files {
	const int *fds;
	size_t count;
	int stdio[3];
};

/* Makes one, short of starting it. 0, or -1 with *p->why filled in; program_free in both cases. */
MUST_CHECK int program_prepare(struct boot *b, const struct config *c, const struct program_files *files,
			       struct program *p);
/* What kernel_start_* take; they take fs, fds, cred and filter over. */
void program_args(struct boot *b, struct program *p, struct init_args *a);
/* Into *p->why: what the error of kernel_start_* means. */
void program_explain(struct program *p, int err);
void program_free(struct program *p);

/* identity.c: credentials, limits, HOME and the like of a configuration. */
MUST_CHECK int identity_cred(struct boot *b, const struct config *c, struct cred **out);
void identity_limits(const struct config *c, struct linux_rlimit *limits);
/* HOME=DIR of the user as /etc/passwd inside has it (kmalloc); NULL when out of memory. */
char *identity_home(struct boot *b, uint32_t uid);
MUST_CHECK int identity_filter(const struct config *c, struct bpf_prog **out);
