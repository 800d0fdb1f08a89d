/* dispatch.c: from a number to its handler, with counters and the trace for people where they are on. Filters
 * and tracers have had their say before (kernel/run.c). */
#include "platform/abi/x86_64/nr.h"
#include "platform/base/log.h"
#include "sentry/kernel/stats.h"
#include "sentry/syscalls/internal.h"
#include "sentry/syscalls/strace.h"

static const struct sys_entry table[LINUX_NR_MAX + 1] = {
#define SYSCALL(nr, name, handler, level, note) [nr] = {#name, handler, SYS_##level, note},
#define SYSCALL_NONE(nr, name)			[nr] = {#name, NULL, SYS_NONE, ""},
#include "sentry/syscalls/table.def"
#undef SYSCALL
#undef SYSCALL_NONE
};

/* The number in rax is an int for Linux: the upper half doesn't count. */
const struct sys_entry *sys_lookup(int64_t nr)
{
	uint32_t n = (uint32_t)nr;

	return n <= LINUX_NR_MAX && table[n].name ? &table[n] : NULL;
}

/* Said once per call name in the life of a sandbox. */
static int64_t missing(struct task *t, const struct sys_entry *e, int64_t nr)
{
	uint64_t *seen, bit;
	uint32_t n = (uint32_t)nr;

	if (!e) {
		log_debug("system call %d does not exist", (int32_t)nr);
		return -ENOSYS;
	}
	seen = &t->kernel->missing_calls[n / 64];
	bit = 1ULL << (n % 64);
	if (!(__atomic_fetch_or(seen, bit, __ATOMIC_RELAXED) & bit))
		log_info("system call %s is not implemented (ENOSYS)", e->name);
	return -ENOSYS;
}

static int64_t call(struct task *t, const struct sys_entry *e, const struct sysargs *a)
{
	if (UNLIKELY(!e || !e->handler))
		return missing(t, e, a->ev->nr);
	return e->handler(t, a);
}

static void count(struct kernel_stats *s, const struct sys_entry *e, int64_t result, uint64_t ns)
{
	struct call_stats *c;

	if (!e) {
		__atomic_add_fetch(&s->unknown, 1, __ATOMIC_RELAXED);
		return;
	}
	c = &s->call[e - table];
	__atomic_add_fetch(&c->calls, 1, __ATOMIC_RELAXED);
	__atomic_add_fetch(&c->ns, ns, __ATOMIC_RELAXED);
	if (result < 0 && result > -4096)
		__atomic_add_fetch(&c->errors, 1, __ATOMIC_RELAXED);
}

/* With a trace or counters on. */
static NOINLINE int64_t call_watched(struct task *t, const struct sys_entry *e, const struct sysargs *a)
{
	struct strace *st = t->kernel->strace;
	struct kernel_stats *stats = t->kernel->stats;
	uint64_t start = clock_monotonic_ns();
	int64_t ret;

	if (st)
		strace_enter(t, a->ev, e);
	ret = call(t, e, a);
	if (stats)
		count(stats, e, ret, clock_monotonic_ns() - start);
	if (st)
		strace_exit(t, a->ev, e, ret, clock_monotonic_ns() - start);
	return ret;
}

int64_t syscall_dispatch(struct task *t, const struct run_event *ev)
{
	const struct sys_entry *e = sys_lookup(ev->nr);
	struct sysargs a = {.ev = ev};

	if (UNLIKELY(t->kernel->strace || t->kernel->stats))
		return call_watched(t, e, &a);
	return call(t, e, &a);
}
