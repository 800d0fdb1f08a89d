/* handover.c: the sentry's side of a slot's word: giving the turn away and waiting to get it back. The
 * other side may lie, answer never, or die: a command has a deadline, a kick too, and death is told by the
 * reaper. */
#include "platform/systrap/internal.h"

#include <errno.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "platform/base/clock.h"
#include "platform/base/log.h"
#include "platform/host/fdpass.h"
#include "platform/host/hostcall.h"

#define TOGETHER_MAX	 16
#define COMMAND_DEADLINE (20 * NSEC_PER_SEC)

void handover_post(struct sys_context *c, uint32_t kind)
{
	struct stub_slot *s = c->slot;
	uint32_t old;

	s->kind = (uint16_t)kind;
	old = __atomic_exchange_n(&s->turn, 0, __ATOMIC_SEQ_CST);
	if (old & TURN_DEAD) {
		/* The reaper's mark must not be lost. */
		__atomic_fetch_or(&s->turn, TURN_DEAD, __ATOMIC_SEQ_CST);
		return;
	}
	if (old & TURN_SLEEPS)
		(void)hc_futex(&s->turn, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static bool is_dead(struct sys_context *c)
{
	return __atomic_load_n(&c->proc->dead, __ATOMIC_ACQUIRE);
}

static bool is_ours(struct sys_context *c)
{
	return __atomic_load_n(&c->slot->turn, __ATOMIC_ACQUIRE) & TURN_SENTRY;
}

/* One sleep on the word, at most until deadline (0: none). */
static void sleep_once(struct sys_context *c, uint64_t deadline)
{
	uint32_t t = __atomic_load_n(&c->slot->turn, __ATOMIC_ACQUIRE);
	struct timespec ts = {(time_t)(deadline / NSEC_PER_SEC), (long)(deadline % NSEC_PER_SEC)};

	if (t & (TURN_SENTRY | TURN_DEAD))
		return;
	if (!(t & TURN_SLEEPS) && !__atomic_compare_exchange_n(&c->slot->turn, &t, t | TURN_SLEEPS, false,
							       __ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE))
		return;
	STAT_INC(c, sleeps);
	(void)hc_futex(&c->slot->turn, FUTEX_WAIT_BITSET, t | TURN_SLEEPS, deadline ? &ts : NULL, NULL,
		       FUTEX_BITSET_MATCH_ANY);
}

static uint32_t this_cpu(void)
{
	unsigned aux;

	(void)__builtin_ia32_rdtscp(&aux);
	return aux & 0xfff;
}

/* One of the sandbox's places for spinners, which are fewer than processors. */
static bool take_place(struct sys_platform *p)
{
	if (__atomic_add_fetch(&p->spinners, 1, __ATOMIC_RELAXED) <= p->spinners_max)
		return true;
	__atomic_fetch_sub(&p->spinners, 1, __ATOMIC_RELAXED);
	return false;
}

/* On one processor: lets the guest run. */
static bool yield_for(struct sys_context *c)
{
	for (int i = 0; i < YIELDS; i++) {
		hc_sched_yield();
		c->slot->sentry_cpu = this_cpu();
		if (is_ours(c))
			return true;
	}
	return false;
}

static bool look_for(struct sys_context *c)
{
	struct sys_platform *p = c->proc->platform;
	bool won = false;

	if (c->slot->stub_cpu != c->slot->sentry_cpu && p->spin_limit && take_place(p)) {
		for (uint32_t i = 0; i < p->spin_limit && !won; i++) {
			won = is_ours(c);
			__builtin_ia32_pause();
		}
		__atomic_fetch_sub(&p->spinners, 1, __ATOMIC_RELAXED);
		return won;
	}
	return is_ours(c) || (c->slot->stub_cpu == c->slot->sentry_cpu && yield_for(c));
}

/* Both on one processor, and doing well so: now and then a sleep, because the wake-up from it finds a processor
 * that has become idle. */
static bool must_sleep(struct sys_context *c)
{
	return c->slot->stub_cpu == c->slot->sentry_cpu && c->proc->platform->spin_limit &&
	       ++c->together % TOGETHER_MAX == 0;
}

/* Waits awake for a while, unless that was in vain lately: lost waits make us skip more and more. On another
 * processor than the guest's it looks, when a processor is to spare; on the same it yields. */
static bool spin(struct sys_context *c)
{
	if (c->skip) {
		c->skip--;
		return false;
	}
	if (must_sleep(c))
		return false;
	if (look_for(c)) {
		c->penalty /= 2;
		STAT_INC(c, spins_won);
		return true;
	}
	STAT_INC(c, spins_lost);
	c->penalty = MIN(c->penalty * 2 + 1, (uint32_t)SPIN_PENALTY_MAX);
	c->skip = c->penalty;
	return false;
}

/* guest: the guest runs and may take as long as it likes, unless it was kicked; else a command. */
int handover_wait(struct sys_context *c, bool guest)
{
	uint64_t deadline = 0;

	if (spin(c))
		return 0;
	for (;;) {
		if (is_ours(c))
			return 0;
		if (is_dead(c))
			return -ESRCH;
		if (!deadline && (!guest || __atomic_load_n(&c->kicked, __ATOMIC_SEQ_CST)))
			deadline = clock_monotonic_ns() +
				   (guest ? c->proc->platform->kick_deadline : COMMAND_DEADLINE);
		if (deadline && clock_monotonic_ns() >= deadline) {
			/* No stub of ours behaves like that. */
			log_info("systrap: process %d doesn't answer; killed", c->proc->pid);
			proc_kill(c->proc);
			deadline += COMMAND_DEADLINE;
		}
		sleep_once(c, deadline);
		c->slot->sentry_cpu = this_cpu();
	}
}

int64_t stub_command(struct sys_context *c, uint32_t cmd, int64_t nr, uint64_t a0, uint64_t a1, uint64_t a2,
		     uint64_t a3, uint64_t a4, uint64_t a5)
{
	struct stub_slot *s = c->slot;
	int ret;

	if (c->gone || is_dead(c))
		return -ESRCH;
	s->nr = (int32_t)nr;
	s->arg[0] = a0;
	s->arg[1] = a1;
	s->arg[2] = a2;
	s->arg[3] = a3;
	s->arg[4] = a4;
	s->arg[5] = a5;
	STAT_INC(c, commands);
	handover_post(c, cmd);
	ret = handover_wait(c, false);
	if (ret < 0)
		return ret;
	if (!batch_settle(c))
		return c->batch.error;
	return (int64_t)__atomic_load_n(&s->arg[0], __ATOMIC_RELAXED);
}

/* A guest that leaves messages lying about must not make us wait. */
int stub_send_fds(struct sys_proc *proc, const int *fds, unsigned count)
{
	ssize_t n = fdpass_send(proc->sock, "f", 1, fds, count, MSG_DONTWAIT);

	return n == 1 ? 0 : n < 0 ? (int)n : -EIO;
}
