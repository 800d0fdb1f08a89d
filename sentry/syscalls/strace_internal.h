/* strace_internal.h: the parts of the tracer: lines (strace.c), arguments (strace_args.c), structures
 * (strace_structs.c), names of constants (strace_names.c). */
#pragma once

#include "sentry/syscalls/internal.h"
#include "sentry/syscalls/strace.h"

#define LINE_SIZE 4096

struct line {
	char *buf; /* LINE_SIZE */
	size_t len;
};
PRINTF_LIKE(2, 3) void line_add(struct line *l, const char *fmt, ...);
/* n bytes in quotes, escaped as C */
void line_quote(struct line *l, const void *bytes, size_t n);

/* How an argument is shown. OUT kinds are shown as an address when the call failed. */
enum arg_kind {
	A_END,
	A_INT,
	A_UINT,
	A_LONG,
	A_ULONG,
	A_HEX,
	A_PTR,
	A_FD,
	A_DIRFD,
	A_PATH,
	A_STR,
	A_BUF,
	A_BUF_OUT,
	A_MODE,
	A_OMODE,
	A_DEV,
	A_OFLAGS,
	A_ATFLAGS,
	A_PROT,
	A_MMAP,
	A_ACCESS,
	A_WHENCE,
	A_FCNTL,
	A_FCNTL_ARG,
	A_IOCTL,
	A_FDFLAGS,
	A_STAT_OUT,
	A_STATX_OUT,
	A_STATFS_OUT,
	A_TIMESPEC,
	A_TIMESPEC_OUT,
	A_TIMEVAL,
	A_TIMEVAL_OUT,
	A_CLOCK,
	A_SIGNAL,
	A_SIGSET,
	A_SIGSET_OUT,
	A_SIGACTION,
	A_SIGACTION_OUT,
	A_SIGHOW,
	A_SOCKADDR,
	A_SOCKADDR_OUT,
	A_LEN_OUT,
	A_AF,
	A_SOCKTYPE,
	A_MSGFLAGS,
	A_MSGHDR,
	A_MSGHDR_OUT,
	A_SOL,
	A_SO,
	A_IOV,
	A_IOV_OUT,
	A_POLLFD,
	A_EPOLL_OP,
	A_EPOLL_EVENT,
	A_EPOLL_OUT,
	A_FDSET,
	A_CLONE,
	A_CLONE3,
	A_WAITOPT,
	A_WSTATUS_OUT,
	A_ARGV,
	A_ENVP,
	A_EXITCODE,
	A_FUTEX,
	A_RLIMIT_NAME,
	A_RLIMIT,
	A_RLIMIT_OUT,
	A_PRCTL,
	A_ARCH_PRCTL,
	A_MADVISE,
	A_MSYNC,
	A_FLOCK,
	A_PAIR_OUT,
	A_RENAME,
	A_EFD,
	A_UMOUNT,
	A_MOUNT,
	A_DENTS_OUT,
	A_UTSNAME_OUT,
	A_MREMAP,
};

struct arg_view {
	struct task *t;
	const struct strace *st;
	const struct run_event *ev;
	const enum arg_kind *kinds;
	int64_t ret;
	bool done; /* the call is over: OUT kinds have something to show */
};
void args_show(struct line *l, const struct arg_view *v);
/* strace_structs.c: false: not one of its kinds */
bool struct_show(struct line *l, const struct arg_view *v, int i);

/* strace_names.c */
struct name {
	uint64_t value;
	const char *name;
};
/* which: a kind; false: it has no table of that sort */
bool flags_show(struct line *l, enum arg_kind which, uint64_t v);
bool value_show(struct line *l, enum arg_kind which, uint64_t v);
void signal_show(struct line *l, int sig);
void sigset_show(struct line *l, uint64_t set);
