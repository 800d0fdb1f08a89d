/* sys.h: the system call table and how a handler reads its arguments. One line of table.def per Linux
 * system call; a handler checks flags, copies in, calls a room, copies out. */
#pragma once

#include "sentry/kernel/kernel.h"

enum sys_level {
	SYS_NONE,    /* -ENOSYS, logged once by name */
	SYS_PARTIAL, /* some flags or operations answer an error; the note says which */
	SYS_FULL,
	SYS_REFUSED, /* exists, and answers what Linux answers to the unprivileged or where it isn't configured
		      */
};

struct sysargs {
	const struct run_event *ev;
};

typedef int64_t (*sys_handler)(struct task *t, const struct sysargs *a);

struct sys_entry {
	const char *name;
	sys_handler handler; /* NULL at SYS_NONE */
	enum sys_level level;
	const char *note;
};

/* The table by number; NULL beyond it. */
const struct sys_entry *sys_lookup(int64_t nr);

/* The table as Markdown to a host descriptor; needs no arena. 0 or -errno. */
MUST_CHECK int syscall_listing(int fd);

/* The kernel's syscall op. */
int64_t syscall_dispatch(struct task *t, const struct run_event *ev);

static inline int32_t arg_int(const struct sysargs *a, int i)
{
	return (int32_t)a->ev->args[i];
}

static inline uint32_t arg_u32(const struct sysargs *a, int i)
{
	return (uint32_t)a->ev->args[i];
}

static inline int64_t arg_i64(const struct sysargs *a, int i)
{
	return (int64_t)a->ev->args[i];
}

static inline uint64_t arg_u64(const struct sysargs *a, int i)
{
	return a->ev->args[i];
}

static inline uaddr_t arg_addr(const struct sysargs *a, int i)
{
	return a->ev->args[i];
}

#define SYSCALL(nr, name, handler, level, note) int64_t handler(struct task *t, const struct sysargs *a);
#define SYSCALL_NONE(nr, name)
#include "sentry/syscalls/table.def"
#undef SYSCALL
#undef SYSCALL_NONE
