/* filters.h: the seccomp lists that the build makes from the HOSTCALL lines of hostcall.c (rules.h). */
#pragma once

#include "platform/base/attr.h"

struct sock_filter;

struct hostcall_filter {
	unsigned count;
	const struct sock_filter *program;
};

extern const struct hostcall_filter hostcall_filter_sentry_systrap, hostcall_filter_sentry_ptrace,
	hostcall_filter_sentry_systrap_nat, hostcall_filter_sentry_ptrace_nat, hostcall_filter_net,
	hostcall_filter_gofer, hostcall_filter_gofer_uds;
/* All of them, for people. */
extern const char hostcall_filters_text[];

/* Holds the whole process, all its threads, to the list from now on; what isn't on it ends the process. Needs
 * no_new_privs. Sanitizers make calls of their own: builds with them go without. 0 or -errno. */
MUST_CHECK int hostcall_confine(const struct hostcall_filter *f);
