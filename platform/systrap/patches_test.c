/* patches_test.c: call sites that are patched while they run: what the guest and the kernel see must be
 * what they would have seen without. */
#include "platform/systrap/guest_test.h"

TestSuite(systrap_patches, .init = guest_setup, .fini = guest_teardown, .timeout = 60);

/* Each counts in rbx, puts results on the way in r12 and goes round. Registers keep their marks. */
GUEST(before, "1: inc %rbx; mov $39,%eax; syscall; add %rax,%r12; jmp 1b");
GUEST(before_r10, "1: inc %rbx; mov $39,%eax; mov $8,%r10d; syscall; add %rax,%r12; jmp 1b");
GUEST(after, "1: inc %rbx; mov %r13,%rax; syscall; cmp $0xfffffffffffff001,%rax; jae 2f; add %rax,%r12;"
	     "jmp 1b; 2: ud2");
GUEST(after_ret, "1: inc %rbx; call 3f; add %rax,%r12; jmp 1b;"
		 "3: mov %r13,%rax; nop; syscall; ret; nop; nop; nop");
GUEST(hopeless, "1: inc %rbx; mov %r13,%rax; nop; syscall; jmp 2f; 2: add %rax,%r12; jmp 1b");
GUEST(red_zone, "1: mov %rbx,-8(%rsp); mov %rbx,-128(%rsp); mov $39,%eax; syscall; cmp %rbx,-8(%rsp);"
		"jne 2f; cmp %rbx,-128(%rsp); jne 2f; inc %rbx; jmp 1b; 2: ud2");

static struct systrap_stats *stats(struct context *c)
{
	return &sys_context(c)->stats;
}

static void check_regs(struct context *c, uint64_t rounds, uint64_t sum)
{
	struct guest_regs *r = OPS->regs(c, false);

	cr_assert_eq(r->rbx, rounds);
	cr_assert_eq(r->r12, sum);
	cr_assert_eq(r->r14, 0x1414);
	cr_assert_eq(r->r15, 0x1515);
	cr_assert_eq(r->rbp, 0xbbbb);
	cr_assert_eq(r->rdi, 1);
	cr_assert_eq(r->rsi, 2);
	cr_assert_eq(r->rdx, 3);
	cr_assert_eq(r->r8, 5);
	cr_assert_eq(r->r9, 6);
}

static void one_call(struct context *c, struct run_event *ev)
{
	memset(ev, 0, sizeof(*ev));
	cr_assert_eq(OPS->run(c, ev), 0);
	cr_assert_eq(ev->reason, RUN_SYSCALL, "reason %d signo %d addr %lx rip %lx", ev->reason, ev->signo,
		     ev->addr, OPS->regs(c, false)->rip);
	cr_assert_eq(ev->nr, 39, "nr %ld", ev->nr);
}

#define ROUNDS (TRAPS_ENOUGH + 100)

/* All rounds are alike, and from the patched site when it is worth it. */
static void go_round(struct context *c, bool patched)
{
	uint64_t sum = 0, ip = 0;
	struct run_event ev;

	for (uint64_t i = 1; i <= ROUNDS; i++) {
		one_call(c, &ev);
		cr_assert_eq(ev.args[0], 1);
		cr_assert_eq(ev.args[5], 6);
		check_regs(c, i, sum);
		if (!ip)
			ip = OPS->regs(c, false)->rip;
		cr_assert_eq(OPS->regs(c, false)->rip, ip, "rip %lx not %lx", OPS->regs(c, false)->rip, ip);
		OPS->set_result(c, (int64_t)i * 1000);
		sum += i * 1000;
	}
	if (patched) {
		cr_assert_eq(stats(c)->sites_patched, 1);
		cr_assert_gt(stats(c)->calls, 90);
		cr_assert_lt(stats(c)->traps, TRAPS_ENOUGH + 10);
	} else {
		cr_assert_eq(stats(c)->calls, 0);
		cr_assert_eq(stats(c)->sites_refused, 1);
	}
}

Test(systrap_patches, mov_in_front)
{
	struct context *c = START(before);

	go_round(c, true);
	OPS->context_destroy(c);
	c = START(before_r10);
	go_round(c, true);
	OPS->context_destroy(c);
}

Test(systrap_patches, compare_or_return_behind)
{
	struct context *c = START(after);

	go_round(c, true);
	OPS->context_destroy(c);
	c = START(after_ret);
	go_round(c, true);
	OPS->context_destroy(c);
}

Test(systrap_patches, across_words_and_pages)
{
	for (uaddr_t at = CODE + PAGE_SIZE - 24; at < CODE + PAGE_SIZE + 8; at++) {
		struct context *c = START_AT(before, at);

		go_round(c, true);
		OPS->context_destroy(c);
		c = START_AT(after, at);
		go_round(c, true);
		OPS->context_destroy(c);
	}
}

Test(systrap_patches, no_room_around_goes_by_signal)
{
	struct context *c = START(hopeless);

	go_round(c, false);
	OPS->context_destroy(c);
}

Test(systrap_patches, red_zone_is_respected)
{
	struct context *c = START(red_zone);
	struct run_event ev;

	for (int i = 0; i < ROUNDS; i++)
		one_call(c, &ev);
	cr_assert_gt(stats(c)->calls, 40);
	OPS->context_destroy(c);
}

static void restart_in(struct context *c)
{
	struct run_event ev;
	uint64_t rounds;

	for (int i = 0; i < ROUNDS; i++) {
		one_call(c, &ev);
		rounds = OPS->regs(c, false)->rbx;
		regs_restart_syscall(OPS->regs(c, true), 39);
		one_call(c, &ev);
		cr_assert_eq(OPS->regs(c, false)->rbx, rounds, "the same call again");
		/* to the place behind the call by the long way, as sigreturn does */
		OPS->regs(c, true)->rax = 7;
	}
	OPS->context_destroy(c);
}

Test(systrap_patches, restarted_calls_are_made_again)
{
	restart_in(START(before));
	restart_in(START(after));
	restart_in(START(after_ret));
}

Test(systrap_patches, fork_inherits_and_both_go_on)
{
	struct context *c = START(after), *child;
	struct run_event ev;

	for (int i = 0; i < ROUNDS; i++)
		one_call(c, &ev);
	cr_assert_eq(OPS->context_fork(c, &child), 0);
	cr_assert_eq(OPS->context_bind(child), 0);
	child->as->alloc_hidden = room;
	for (int i = 0; i < ROUNDS; i++) {
		one_call(c, &ev);
		one_call(child, &ev);
	}
	cr_assert_eq(stats(child)->traps, 0);
	cr_assert_eq(stats(child)->calls, ROUNDS);
	OPS->context_destroy(c);
	OPS->context_destroy(child);
}

static volatile bool over;

static void *storm(void *arg)
{
	while (!over) {
		OPS->kick(arg);
		usleep(50);
	}
	return NULL;
}

/* Wherever a kick meets the guest, it is seen in its own text. */
static void storm_on(struct context *c, uaddr_t size)
{
	struct run_event ev;
	pthread_t thread;
	uint64_t sum = 0;
	int kicks = 0;

	over = false;
	pthread_create(&thread, NULL, storm, c);
	for (int i = 0; i < 3000;) {
		struct guest_regs *r;

		cr_assert_eq(OPS->run(c, &ev), 0);
		r = OPS->regs(c, kicks % 2); /* sometimes through the long way back */
		cr_assert_geq(r->rip, CODE, "rip %lx", r->rip);
		cr_assert_lt(r->rip, CODE + size, "rip %lx", r->rip);
		if (ev.reason == RUN_KICKED) {
			kicks++;
			continue;
		}
		cr_assert_eq(ev.reason, RUN_SYSCALL, "reason %d signo %d", ev.reason, ev.signo);
		cr_assert_eq(r->r12, sum);
		OPS->set_result(c, ++i);
		sum += (uint64_t)i;
	}
	over = true;
	pthread_join(thread, NULL);
	cr_assert_gt(kicks, 0);
	OPS->context_destroy(c);
}

Test(systrap_patches, kicks_never_see_a_trampoline)
{
	storm_on(START(before), 64);
	storm_on(START(after), 64);
	storm_on(START(after_ret), 64);
}

struct runner {
	struct context *c;
	int rounds;
	bool failed;
};

static void *runner_main(void *arg)
{
	struct runner *r = arg;
	struct run_event ev;
	uint64_t sum = 0;

	if (OPS->context_bind(r->c))
		r->failed = true;
	for (int i = 1; i <= r->rounds && !r->failed; i++) {
		memset(&ev, 0, sizeof(ev));
		if (OPS->run(r->c, &ev) || ev.reason != RUN_SYSCALL || ev.nr != 39 ||
		    OPS->regs(r->c, false)->r12 != sum) {
			struct guest_regs *g = OPS->regs(r->c, false);

			r->failed = true;
			cr_log_error("round %d reason %d signo %d code %d addr %lx nr %ld rip %lx r12 %lx "
				     "sum %lx",
				     i, ev.reason, ev.signo, ev.code, ev.addr, ev.nr, g->rip, g->r12, sum);
		}
		OPS->set_result(r->c, i);
		sum += (uint64_t)i;
	}
	OPS->context_destroy(r->c);
	return NULL;
}

static void race(struct context *c)
{
	struct runner r[4];
	pthread_t thread[4];

	for (int i = 0; i < 4; i++) {
		r[i] = (struct runner){.rounds = 4 * ROUNDS};
		{
			int e = OPS->context_thread(c, &r[i].c);
			cr_assert_eq(e, 0, "e %d", e);
		}
		pthread_create(&thread[i], NULL, runner_main, &r[i]);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(thread[i], NULL);
		cr_assert_not(r[i].failed);
	}
	OPS->context_destroy(c);
}

Test(systrap_patches, threads_pass_while_it_is_patched)
{
	for (uaddr_t at = CODE; at < CODE + 8; at++) {
		race(START_AT(before, at));
		race(START_AT(after, at));
		race(START_AT(after_ret, at));
	}
}

Test(systrap_patches, a_guest_that_wants_gs_is_served_by_signal)
{
	struct context *c = START(before);
	struct run_event ev;
	uint64_t calls;

	for (int i = 0; i < ROUNDS; i++)
		one_call(c, &ev);
	calls = stats(c)->calls;
	cr_assert_gt(calls, 10);
	OPS->regs(c, true)->gs_base = DATA;
	for (int i = 0; i < ROUNDS; i++)
		one_call(c, &ev);
	cr_assert_eq(stats(c)->calls, calls);
	cr_assert_eq(OPS->regs(c, false)->gs_base, DATA);
	OPS->context_destroy(c);
}

Test(systrap_patches, text_that_goes_takes_its_patches_along)
{
	struct context *c = START(before);
	struct run_event ev;
	char text[8];

	for (int i = 0; i < ROUNDS; i++)
		one_call(c, &ev);
	/* dropped: the file's bytes are back, and patched again when met */
	cr_assert_eq(OPS->advise(c, CODE, PAGE_SIZE, LINUX_MADV_DONTNEED), 0);
	cr_assert_eq(OPS->copy_in(c->as, c, text, CODE, 8), 8);
	cr_assert_eq(memcmp(text, text_guest_before, 8), 0);
	for (int i = 0; i < ROUNDS; i++)
		one_call(c, &ev);
	/* moved: put right first */
	cr_assert_eq(OPS->remap(c, CODE, PAGE_SIZE, 0x10000000, PAGE_SIZE, LINUX_MREMAP_MAYMOVE), 0);
	cr_assert_eq(OPS->copy_in(c->as, c, text, 0x10000000, 8), 8);
	cr_assert_eq(memcmp(text, text_guest_before, 8), 0);
	OPS->context_destroy(c);
}
