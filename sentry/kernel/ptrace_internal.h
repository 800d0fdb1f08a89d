/* ptrace_internal.h: what ptrace.c and ptrace_request.c share. */
#pragma once

#include "sentry/kernel/internal.h"

enum {
	TRACE_RESUME_CONT,
	TRACE_RESUME_SYSCALL,
	TRACE_RESUME_STEP,
	TRACE_RESUME_SYSEMU,
};

/* Runs on the stopped task's own thread; lives on the tracer's stack until done. */
struct trace_request {
	int64_t (*fn)(struct task *target, struct trace_request *r);
	int64_t result;
	uint32_t done; /* [a] */
	uint64_t addr, data;
	void *buf; /* the arena's */
	size_t size;
};

int ptrace_traceme(struct task *t);
int ptrace_attach(struct task *t, struct task *target, bool seize, uint32_t options);
void ptrace_detach(struct task *target, int sig);
