/* travel_test.c: memory that travels with calls, and calls that don't travel at all. */
#include "platform/systrap/guest_test.h"

#include <time.h>

TestSuite(systrap_travel, .init = guest_setup, .fini = guest_teardown, .timeout = 60);

/* r13: the number; results in r12 */
GUEST(any_call, "1: mov %r13,%rax; syscall; cmp $0xfffffffffffff001,%rax; mov %rax,%r12; jmp 1b");
GUEST(clock, "1: mov $1,%edi; mov $0x500100,%esi; mov $228,%eax; syscall; mov %rax,%r12; mov $1000,%eax;"
	     "syscall; jmp 1b");
GUEST(ids, "1: mov $39,%eax; syscall; mov %rax,%r12; mov $102,%eax; syscall; mov %rax,%r14; mov $186,%eax;"
	   "syscall; mov %rax,%r15; pushfq; pop %rdi; mov $1000,%eax; syscall; jmp 1b");

static uint64_t travelled(struct context *c)
{
	return sys_context(c)->stats.travelled;
}

static void next_call(struct context *c, int64_t nr, struct run_event *ev)
{
	do {
		memset(ev, 0, sizeof(*ev));
		cr_assert_eq(OPS->run(c, ev), 0);
	} while (ev->reason == RUN_KICKED);
	cr_assert_eq(ev->reason, RUN_SYSCALL, "reason %d signo %d addr %lx", ev->reason, ev->signo, ev->addr);
	cr_assert_eq(ev->nr, nr, "nr %ld", ev->nr);
}

/* A guest that makes call nr again and again, come so far that it is patched. */
static struct context *caller(uint64_t nr, uint64_t rdi, uint64_t rsi, uint64_t rdx)
{
	struct context *c = START(any_call);
	struct run_event ev;
	struct guest_regs *r = OPS->regs(c, true);

	r->r13 = nr;
	r->rdi = rdi;
	r->rsi = rsi;
	r->rdx = rdx;
	for (int i = 0; i < TRAPS_ENOUGH + 2; i++) {
		next_call(c, (int64_t)nr, &ev);
		OPS->set_result(c, 0);
	}
	cr_assert_gt(sys_context(c)->stats.calls, 0);
	return c;
}

static void poke(struct context *c, uaddr_t at, const void *p, size_t n)
{
	cr_assert_eq(OPS->copy_out(c->as, c, at, p, n), (ssize_t)n);
}

Test(systrap_travel, inputs_come_with_the_call)
{
	struct context *c = caller(SYS_write, 1, DATA, 2000);
	char buf[2000], want[2000];
	struct run_event ev;
	uint64_t before;

	for (size_t size = 1; size <= sizeof(buf); size = size * 3 + 1) {
		memset(want, (int)size, sizeof(want));
		poke(c, DATA, want, sizeof(want));
		OPS->regs(c, true)->rdx = size;
		next_call(c, SYS_write, &ev);
		before = travelled(c);
		cr_assert_eq(OPS->copy_in(c->as, c, buf, DATA, size), (ssize_t)size);
		cr_assert_eq(memcmp(buf, want, size), 0);
		cr_assert_eq(OPS->copy_in(c->as, c, buf, DATA + size / 2, size - size / 2),
			     (ssize_t)(size - size / 2));
		cr_assert_eq(travelled(c), before + 2);
		/* more than what came is fetched */
		cr_assert_eq(OPS->copy_in(c->as, c, buf, DATA + 1, size), (ssize_t)size);
		cr_assert_eq(travelled(c), before + 2);
	}
	OPS->context_destroy(c);
}

Test(systrap_travel, paths_come_up_to_their_end)
{
	struct context *c = caller(SYS_openat, 3, DATA + PAGE_SIZE - 6, 0);
	char buf[PAGE_SIZE];
	struct run_event ev;
	uint64_t before;

	/* the last thing that is mapped */
	poke(c, DATA + PAGE_SIZE - 6, "/etc/", 6);
	next_call(c, SYS_openat, &ev);
	before = travelled(c);
	cr_assert_eq(OPS->copy_in(c->as, c, buf, DATA + PAGE_SIZE - 6, 6), 6);
	cr_assert_str_eq(buf, "/etc/");
	cr_assert_eq(travelled(c), before + 1);
	/* without an end: what is there, the usual way */
	poke(c, DATA + PAGE_SIZE - 6, "/etc/x", 6);
	next_call(c, SYS_openat, &ev);
	cr_assert_eq(OPS->copy_in(c->as, c, buf, DATA + PAGE_SIZE - 6, 100), 6);
	cr_assert_eq(memcmp(buf, "/etc/x", 6), 0);
	/* in the middle of a page, asked for to its end */
	poke(c, DATA + 8, "/usr/lib", 9);
	OPS->regs(c, true)->rsi = DATA + 8;
	next_call(c, SYS_openat, &ev);
	cr_assert_eq(OPS->copy_in(c->as, c, buf, DATA + 8, PAGE_SIZE - 8), 9);
	cr_assert_str_eq(buf, "/usr/lib");
	/* a reader of something else than a path gets all it asks for */
	cr_assert_eq(OPS->copy_in(c->as, c, buf, DATA + 8, 64), 64);
	/* not there at all */
	OPS->regs(c, true)->rsi = 0x10;
	next_call(c, SYS_openat, &ev);
	cr_assert_eq(OPS->copy_in(c->as, c, buf, 0x10, 64), 0);
	OPS->context_destroy(c);
}

Test(systrap_travel, outputs_go_with_the_answer)
{
	struct context *c = caller(SYS_read, 0, DATA, 4096);
	char buf[PAGE_SIZE], got[PAGE_SIZE];
	struct run_event ev;
	uint64_t before;

	for (size_t size = 1; size <= sizeof(buf); size = size * 2 + 1) {
		next_call(c, SYS_read, &ev);
		memset(buf, (int)size, size);
		before = travelled(c);
		cr_assert_eq(OPS->copy_out(c->as, c, DATA, buf, size), (ssize_t)size);
		cr_assert_eq(travelled(c), before + 1);
		OPS->set_result(c, (int64_t)size);
		next_call(c, SYS_read, &ev);
		cr_assert_eq(OPS->copy_in(c->as, NULL, got, DATA, size), (ssize_t)size);
		cr_assert_eq(memcmp(buf, got, size), 0);
		cr_assert_eq(OPS->regs(c, false)->r12, size);
		/* our own look at it in the same call sees it too */
		memset(buf, (int)size + 1, size);
		cr_assert_eq(OPS->copy_out(c->as, c, DATA, buf, size), (ssize_t)size);
		cr_assert_eq(OPS->copy_in(c->as, c, got, DATA, size), (ssize_t)size);
		cr_assert_eq(memcmp(buf, got, size), 0);
		OPS->set_result(c, 0);
	}
	/* in pieces, more of them than records */
	next_call(c, SYS_read, &ev);
	for (int i = 0; i < 16; i++)
		cr_assert_eq(OPS->copy_out(c->as, c, DATA + (uaddr_t)i * 10, "0123456789", 10), 10);
	OPS->set_result(c, 160);
	next_call(c, SYS_read, &ev);
	cr_assert_eq(OPS->copy_in(c->as, NULL, got, DATA, 160), 160);
	for (int i = 0; i < 160; i++)
		cr_assert_eq(got[i], '0' + i % 10);
	OPS->context_destroy(c);
}

Test(systrap_travel, outputs_to_bad_memory_say_so)
{
	struct context *c = caller(SYS_read, 0, DATA + PAGE_SIZE - 100, 200), *child;
	char buf[200] = {0};
	struct run_event ev;

	/* half of it isn't there */
	next_call(c, SYS_read, &ev);
	cr_assert_eq(OPS->copy_out(c->as, c, DATA + PAGE_SIZE - 100, buf, 200), 100);
	/* read-only */
	OPS->set_result(c, 0);
	OPS->regs(c, true)->rsi = CODE;
	next_call(c, SYS_read, &ev);
	cr_assert_eq(OPS->copy_out(c->as, c, CODE, buf, 200), 0);
	/* the platform's own */
	OPS->regs(c, true)->rsi = STUB_SLOTS_ADDR;
	next_call(c, SYS_read, &ev);
	cr_assert_eq(OPS->copy_out(c->as, c, STUB_SLOTS_ADDR, buf, 200), 0);
	/* a child made in the middle has what was left to be written */
	OPS->regs(c, true)->rsi = DATA;
	next_call(c, SYS_read, &ev);
	cr_assert_eq(OPS->copy_out(c->as, c, DATA, "left", 4), 4);
	cr_assert_eq(OPS->context_fork(c, &child), 0);
	cr_assert_eq(OPS->copy_in(child->as, NULL, buf, DATA, 4), 4);
	cr_assert_eq(memcmp(buf, "left", 4), 0);
	OPS->context_destroy(child);
	OPS->context_destroy(c);
}

/* Small and large outputs that wait, and something else that must come after them: by the stub, by the host. */
Test(systrap_travel, outputs_that_wait_are_flushed_whole)
{
	static const size_t piece[] = {1400, 2100, 4000}, total = 7500;
	static char want[7500], got[7500];
	struct map_request more = {.addr = DATA + PAGE_SIZE,
				   .size = PAGE_SIZE,
				   .fd = -1,
				   .prot = LINUX_PROT_READ | LINUX_PROT_WRITE};
	struct context *c = caller(SYS_read, 3, DATA, total);
	struct run_event ev;
	uint64_t before, at;

	cr_assert_eq(OPS->map(c, &more), 0);
	sys_platform(plat)->spin_limit = 0; /* the stub sleeps */
	for (int by_stub = 0; by_stub < 2; by_stub++) {
		next_call(c, SYS_read, &ev);
		for (size_t i = 0; i < total; i++)
			want[i] = (char)(i * 7 + (size_t)by_stub);
		sys_platform(plat)->no_process_vm = by_stub;
		before = travelled(c);
		at = 0;
		for (size_t i = 0; i < ARRAY_SIZE(piece); at += piece[i++])
			cr_assert_eq(OPS->copy_out(c->as, c, DATA + at, want + at, piece[i]),
				     (ssize_t)piece[i]);
		cr_assert_eq(travelled(c), before + ARRAY_SIZE(piece));
		OPS->settle(c);
		cr_assert_eq(OPS->copy_in(c->as, NULL, got, DATA, total), (ssize_t)total);
		cr_assert_eq(memcmp(got, want, total), 0);
		OPS->set_result(c, (int64_t)total);
	}
	OPS->context_destroy(c);
}

Test(systrap_travel, unmapping_after_a_copy_keeps_the_order)
{
	struct context *c = caller(SYS_read, 0, DATA, 100);
	struct map_request r = {
		.addr = DATA, .size = PAGE_SIZE, .fd = -1, .prot = LINUX_PROT_READ | LINUX_PROT_WRITE};
	struct run_event ev;
	char byte = 1;

	next_call(c, SYS_read, &ev);
	cr_assert_eq(OPS->copy_out(c->as, c, DATA, "x", 1), 1);
	cr_assert_eq(OPS->map(c, &r), 0); /* replaces the page: what was written before is gone */
	next_call(c, SYS_read, &ev);
	cr_assert_eq(OPS->copy_in(c->as, NULL, &byte, DATA, 1), 1);
	cr_assert_eq(byte, 0);
	OPS->context_destroy(c);
}

Test(systrap_travel, ids_are_answered_until_told_otherwise)
{
	struct context_facts f = {.pid = 7, .tid = 8, .ppid = 1, .uid = 0, .euid = 5};
	struct context *c = START(ids);
	struct run_event ev;

	for (int i = 0; i <= TRAPS_ENOUGH; i++) { /* patched by the kernel's answers */
		next_call(c, 39, &ev);
		next_call(c, 102, &ev);
		next_call(c, 186, &ev);
		next_call(c, 1000, &ev);
	}
	OPS->publish(c, &f);
	for (int i = 0; i < 3; i++) {
		next_call(c, 1000, &ev);
		cr_assert_eq(OPS->regs(c, false)->r12, 7);
		cr_assert_eq(OPS->regs(c, false)->r14, 0);
		cr_assert_eq(OPS->regs(c, false)->r15, 8);
		cr_assert_eq(ev.args[0] & 0x202, 0x202);
	}
	cr_assert_geq(sys_context(c)->slot->tier0, 9);
	f.allowed = (const uint64_t[CALL_WORDS]){[39 / 64] = 1UL << 39, [186 / 64] = 1UL << 186 % 64};
	OPS->publish(c, &f);
	next_call(c, 102, &ev); /* the one in between is answered, this isn't */
	next_call(c, 1000, &ev);
	f.allowed = NULL;
	f.no_fast = true;
	OPS->publish(c, &f);
	next_call(c, 39, &ev);
	OPS->context_destroy(c);
}

Test(systrap_travel, clocks_are_answered)
{
	struct context_facts f = {.pid = 7, .tid = 8};
	struct context *c = START(clock);
	struct timespec host, guest = {0};
	struct run_event ev;

	for (int i = 0; i <= TRAPS_ENOUGH; i++) {
		next_call(c, 228, &ev);
		next_call(c, 1000, &ev);
	}
	OPS->publish(c, &f);
	next_call(c, 1000, &ev);
	clock_gettime(CLOCK_MONOTONIC, &host);
	cr_assert_eq(OPS->regs(c, false)->r12, 0);
	cr_assert_eq(OPS->copy_in(c->as, NULL, &guest, 0x500100, sizeof(guest)), sizeof(guest));
	cr_assert_leq(guest.tv_sec, host.tv_sec);
	cr_assert_geq(guest.tv_sec, host.tv_sec - 10);
	/* to nowhere */
	cr_assert_eq(OPS->unmap(c, DATA, PAGE_SIZE), 0);
	next_call(c, 1000, &ev);
	cr_assert_eq((int64_t)OPS->regs(c, false)->r12, -EFAULT);
	OPS->context_destroy(c);
}

static volatile bool quick_over;

static void *kick_main(void *arg)
{
	while (!quick_over) {
		OPS->kick(arg);
		usleep(20);
	}
	return NULL;
}

GUEST(ids_only, "1: inc %rbx; mov $39,%eax; syscall; add %rax,%r12; jmp 1b");

/* A guest that lives on answers alone is stopped, in its own text, with its books in order. */
Test(systrap_travel, kicks_reach_a_guest_that_never_leaves)
{
	struct context_facts f = {.pid = 3, .tid = 3};
	struct context *c = START(ids_only);
	struct guest_regs *r;
	struct run_event ev;
	pthread_t thread;

	for (int i = 0; i <= TRAPS_ENOUGH; i++) {
		next_call(c, 39, &ev);
		OPS->set_result(c, 3);
	}
	OPS->publish(c, &f);
	pthread_create(&thread, NULL, kick_main, c);
	for (int i = 0; i < 2000; i++) {
		memset(&ev, 0, sizeof(ev));
		cr_assert_eq(OPS->run(c, &ev), 0);
		if (ev.reason == RUN_SYSCALL) { /* seen while it stood in the trampoline: made the long way */
			OPS->set_result(c, 3);
			continue;
		}
		cr_assert_eq(ev.reason, RUN_KICKED, "reason %d signo %d", ev.reason, ev.signo);
		r = OPS->regs(c, i % 3 == 0);
		cr_assert(r->rip >= CODE && r->rip < CODE + 32, "rip %lx", r->rip);
		cr_assert_leq(r->rbx * 3 - r->r12, 3, "%lu rounds, %lu", r->rbx, r->r12);
		cr_assert_eq(r->rsp, STACK + PAGE_SIZE / 2);
	}
	quick_over = true;
	pthread_join(thread, NULL);
	OPS->context_destroy(c);
}
