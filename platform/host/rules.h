/* rules.h: who may make a host call once the sandbox runs. A HOSTCALL line stands above each wrapper in
 * hostcall.c, and more of them for what the C library calls by itself. In the programs they mean nothing;
 * rules_gen.c is compiled with them and makes the seccomp lists, so that wrappers and lists can't differ. */
#pragma once

/* Who. 0: nobody; used at set-up only, before the list is loaded. */
#define SYSTRAP_ALONE 1u /* the sentry on that platform */
#define PTRACE_ALONE  2u
#define GOFER	      4u  /* the gofer */
#define GOFER_UDS     8u  /* one that may connect to sockets of the host */
#define SYSTRAP_NAT   16u /* the sentry when sbx-net hands it connected sockets of the host */
#define PTRACE_NAT    32u
#define NET	      64u /* sbx-net */
#define SYSTRAP	      (SYSTRAP_ALONE | SYSTRAP_NAT)
#define PTRACE	      (PTRACE_ALONE | PTRACE_NAT)
#define SENTRY_ALONE  (SYSTRAP_ALONE | PTRACE_ALONE)
#define SENTRY_NAT    (SYSTRAP_NAT | PTRACE_NAT)
#define SENTRY	      (SYSTRAP | PTRACE)
#define GOFERS	      (GOFER | GOFER_UDS)
#define BOTH	      (SENTRY | GOFERS)
#define ALL	      (BOTH | NET)
#define NOBODY	      0u

#ifdef HOSTCALL_RULES

#include <errno.h>
#include <linux/membarrier.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <termios.h>

#include "platform/host/procfd.h"

/* (args[arg] & mask) == value */
struct hostcall_condition {
	unsigned arg;
	uint64_t mask, value;
};

struct hostcall_rule {
	const char *name;
	int nr;
	unsigned who;
	int error; /* 0: allowed; else that errno is the answer */
	struct hostcall_condition only_if[4];
	unsigned above; /* with error: when the first argument is larger than this */
};

#define RULE_NAME_(n) hostcall_rule_##n
#define RULE_NAME(n)  RULE_NAME_(n)
#define RULE(call, who_, ...)                                                                                  \
	__attribute__((used, section("hostcall_rules"),                                                        \
		       aligned(8))) static const struct hostcall_rule RULE_NAME(__COUNTER__) = {               \
		.name = #call, .nr = SYS_##call, .who = (who_), __VA_ARGS__};
/* Allowed, when all conditions hold. Lines for the same call add up. */
#define HOSTCALL(call, who, ...) RULE(call, who, .only_if = {__VA_ARGS__})
/* Answered with an error instead of death: the C library tries it and can do without. */
#define HOSTCALL_ERRNO(call, who, e)	      RULE(call, who, .error = (e))
#define HOSTCALL_ERRNO_ABOVE(call, who, e, n) RULE(call, who, .error = (e), .above = (n))
/* the 64 bits of an argument; the low half, for what the kernel takes as an int; bits that must not be set */
#define IS64(i, v)                                                                                             \
	{                                                                                                      \
		(i), ~0ULL, (v)                                                                                \
	}
#define IS(i, v)                                                                                               \
	{                                                                                                      \
		(i), 0xffffffff, (uint32_t)(v)                                                                 \
	}
#define WITHOUT(i, bits)                                                                                       \
	{                                                                                                      \
		(i), (bits), 0                                                                                 \
	}
#define MASKED(i, m, v)                                                                                        \
	{                                                                                                      \
		(i), (m), (v)                                                                                  \
	}

#else

#define HOSTCALL(call, who, ...)
#define HOSTCALL_ERRNO(call, who, e)
#define HOSTCALL_ERRNO_ABOVE(call, who, e, n)

#endif
