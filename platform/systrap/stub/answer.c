/* answer.c: calls that the stub answers itself, with its own (that is the guest's) rights: what they depend
 * on is the guest's own business, or the host's clock. Constant answers (ids) are in entry.S. */
#include "platform/systrap/stub/stub.h"

#define CONF ((const struct stub_config *)STUB_CONF_ADDR)

#define NR_rt_sigaction	   13
#define NR_rt_sigprocmask  14
#define NR_sched_yield	   24
#define NR_umask	   95
#define NR_gettimeofday	   96
#define NR_time		   201
#define NR_futex	   202
#define NR_clock_gettime   228
#define NR_set_robust_list NR_SET_ROBUST_LIST
#define NR_getcpu	   309

#define ROBUST_HEAD_SIZE 24

#define SYS_sched_yield 24

#define UNMASKABLE (1UL << (9 - 1) | 1UL << (19 - 1)) /* SIGKILL, SIGSTOP */

struct time_pair {
	int64_t sec, frac;
};

/* Clocks that the vDSO reads without a call: REALTIME, MONOTONIC, MONOTONIC_RAW, the coarse ones, BOOTTIME,
 * TAI */
#define VDSO_CLOCKS (1u << 0 | 1u << 1 | 1u << 4 | 1u << 5 | 1u << 6 | 1u << 7 | 1u << 11)

static int read_clock(struct stub_slot *s, uint64_t clock, struct time_pair *t)
{
	int (*fn)(long, struct time_pair *) = (int (*)(long, struct time_pair *))CONF->vdso_clock_gettime;
	int r;

	if (!fn || !(s->fast & FAST_TIME) || clock > 31 || !(VDSO_CLOCKS >> clock & 1))
		return 0;
	s->busy = 1;
	r = fn((long)clock, t);
	s->busy = 0;
	return r == 0;
}

int64_t stub_give(uint64_t to, const void *p, uint64_t n)
{
	/* what isn't the guest's isn't written to, here as in the sentry */
	if (to >= STUB_TEXT_ADDR && to < STUB_REGION_END)
		return -EFAULT;
	return stub_copy((void *)to, p, n) == n ? 0 : -EFAULT;
}

static int64_t cpu(uint64_t to_cpu, uint64_t to_node)
{
	uint32_t lo, hi, aux, n;
	int64_t r = 0;

	__asm__ volatile("rdtscp" : "=a"(lo), "=d"(hi), "=c"(aux));
	n = aux & 0xfff;
	if (to_cpu)
		r = stub_give(to_cpu, &n, sizeof(n));
	n = aux >> 12;
	if (r == 0 && to_node)
		r = stub_give(to_node, &n, sizeof(n));
	return r;
}

static int64_t change_mask(struct stub_slot *s, const uint64_t a[6])
{
	uint64_t old = s->sigmask, set = 0;

	if (a[3] != sizeof(set))
		return -EINVAL;
	if (a[1]) {
		if (stub_copy(&set, (const void *)a[1], sizeof(set)) != sizeof(set))
			return -EFAULT;
		if ((int)a[0] == 0)
			set = old | set;
		else if ((int)a[0] == 1)
			set = old & ~set;
		else if ((int)a[0] != 2)
			return -EINVAL;
		set &= ~UNMASKABLE;
		if (set != old) {
			/* who sends a signal reads it from here */
			__atomic_store_n(&s->sigmask, set, __ATOMIC_SEQ_CST);
			s->mask_changed = 1;
		}
	}
	return a[2] ? stub_give(a[2], &old, sizeof(old)) : 0;
}

#define SA_CHILDREN 3UL		 /* NOCLDSTOP, NOCLDWAIT: who ends a child looks at them */
#define SA_KNOWN    0xdc000804UL /* the other flags */

static int same_action(const struct stub_action *a, const struct stub_action *b)
{
	return a->handler == b->handler && a->flags == b->flags && a->restorer == b->restorer &&
	       a->mask == b->mask;
}

/* Signals that keep their default action: what else is set with it has no effect but to be asked for again. */
static int change_action(struct stub_slot *s, const uint64_t a[6])
{
	struct stub_action new, old = {0, 0, 0, 0};
	uint32_t i = (uint32_t)a[0] - 1;
	uint64_t bit = i < 64 ? 1UL << i : 0;

	if (!((s->sig_plain | s->sig_set) & bit) || a[3] != sizeof(new.mask))
		return 0;
	if (!(s->sig_plain & bit))
		old = s->sig_action;
	if (a[1]) {
		if ((bit & UNMASKABLE) || stub_copy(&new, (const void *)a[1], sizeof(new)) != sizeof(new))
			return 0;
		if (new.handler || (new.flags &SA_CHILDREN))
			return 0;
		new.flags &= SA_KNOWN;
		new.mask &= ~UNMASKABLE;
		if (s->sig_set && !same_action(&new, &s->sig_action))
			return 0;
	}
	if (a[2] && stub_give(a[2], &old, sizeof(old)) < 0)
		return 0;
	if (a[1]) {
		s->sig_action = new;
		s->sig_set |= bit;
		s->sig_plain &= ~bit;
	}
	return 1;
}

/* True when the call is answered. */
int stub_answer(struct stub_slot *s, int64_t nr, const uint64_t a[6], int64_t *result)
{
	uint64_t a0 = a[0], a1 = a[1];
	struct time_pair t;

	if ((uint64_t)nr >= STUB_CALL_WORDS * 64 || (s->refused[nr / 64] >> nr % 64 & 1))
		return 0;
	switch (nr) {
	case NR_clock_gettime:
		if (!read_clock(s, a0, &t))
			return 0;
		*result = stub_give(a1, &t, sizeof(t));
		break;
	case NR_gettimeofday:
		if (a1 || !read_clock(s, 0, &t))
			return 0;
		t.frac /= 1000;
		*result = a0 ? stub_give(a0, &t, sizeof(t)) : 0;
		break;
	case NR_time:
		if (!read_clock(s, 5, &t))
			return 0;
		*result = a0 && stub_give(a0, &t.sec, sizeof(t.sec)) ? -EFAULT : t.sec;
		break;
	case NR_getcpu:
		if (!(s->fast & FAST_SELF))
			return 0;
		*result = cpu(a0, a1);
		break;
	case NR_rt_sigaction:
		if (!change_action(s, a))
			return 0;
		*result = 0;
		break;
	case NR_rt_sigprocmask:
		if (!s->mask_own)
			return 0;
		*result = change_mask(s, a);
		break;
	case NR_umask:
		if (!(s->fast & FAST_UMASK))
			return 0;
		*result = s->umask;
		s->umask = a0 & 0777;
		s->umask_changed = 1;
		break;
	case NR_futex:
		if (!(s->fast & FAST_FUTEX) || !stub_futex(s, a, result))
			return 0;
		break;
	case NR_set_robust_list:
		if (!(s->fast & FAST_FUTEX) || a1 != ROBUST_HEAD_SIZE)
			return 0;
		s->robust = a0;
		s->robust_changed = 1;
		*result = 0;
		break;
	case NR_sched_yield:
		if (!(s->fast & FAST_SELF))
			return 0;
		*result = stub_sys(SYS_sched_yield, 0, 0, 0, 0);
		break;
	default:
		/* a site that isn't patched comes here for the constants too */
		if ((uint64_t)nr >= QUICK_CALLS)
			return 0;
		if (s->quick[nr])
			*result = (int64_t)s->quick[nr] - 1;
		else if (!stub_file(s, nr, a, result) && !stub_again(s, nr, a, result))
			return 0;
	}
	s->tier0++;
	return 1;
}
