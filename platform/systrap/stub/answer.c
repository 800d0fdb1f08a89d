/* answer.c: calls that the stub answers itself, with its own (that is the guest's) rights: what they depend
 * on is the guest's own business, or the host's clock. Constant answers (ids) are in entry.S. */
#include "platform/systrap/stub/stub.h"

#define CONF ((const struct stub_config *)STUB_CONF_ADDR)

#define NR_sched_yield	 24
#define NR_umask	 95
#define NR_gettimeofday	 96
#define NR_time		 201
#define NR_clock_gettime 228
#define NR_getcpu	 309

#define SYS_sched_yield 24

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

static int64_t give(uint64_t to, const void *p, uint64_t n)
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
		r = give(to_cpu, &n, sizeof(n));
	n = aux >> 12;
	if (r == 0 && to_node)
		r = give(to_node, &n, sizeof(n));
	return r;
}

/* True when the call is answered. */
int stub_answer(struct stub_slot *s, int64_t nr, uint64_t a0, uint64_t a1, int64_t *result)
{
	struct time_pair t;

	switch (nr) {
	case NR_clock_gettime:
		if (!read_clock(s, a0, &t))
			return 0;
		*result = give(a1, &t, sizeof(t));
		break;
	case NR_gettimeofday:
		if (a1 || !read_clock(s, 0, &t))
			return 0;
		t.frac /= 1000;
		*result = a0 ? give(a0, &t, sizeof(t)) : 0;
		break;
	case NR_time:
		if (!read_clock(s, 5, &t))
			return 0;
		*result = a0 && give(a0, &t.sec, sizeof(t.sec)) ? -EFAULT : t.sec;
		break;
	case NR_getcpu:
		if (!(s->fast & FAST_SELF))
			return 0;
		*result = cpu(a0, a1);
		break;
	case NR_umask:
		if (!(s->fast & FAST_UMASK))
			return 0;
		*result = s->umask;
		s->umask = a0 & 0777;
		s->umask_changed = 1;
		break;
	case NR_sched_yield:
		if (!(s->fast & FAST_SELF))
			return 0;
		*result = stub_sys(SYS_sched_yield, 0, 0, 0, 0);
		break;
	default:
		/* a site that isn't patched comes here for the constants too */
		if ((uint64_t)nr >= QUICK_CALLS || !s->quick[nr])
			return 0;
		*result = (int64_t)s->quick[nr] - 1;
	}
	s->tier0++;
	return 1;
}
