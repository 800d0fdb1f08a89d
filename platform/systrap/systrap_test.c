/* systrap_test.c: the platform under hand-made code. Each guest is a few instructions on one page. */
#include "platform/host/nested_test.h"
#include "platform/systrap/internal.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/abi/mman.h"
#include "platform/base/arena.h"
#include "platform/base/clock.h"
#include "platform/host/hostcall.h"
#include "platform/host/memfd.h"
#include "platform/host/proc.h"

#define CODE  0x400000UL
#define DATA  0x500000UL
#define STACK 0x600000UL

/* ---- guest code: position independent, no stack -------------------------------------------------------
 */
#define GUEST(name, text)                                                                                      \
	extern const char systrap_guest_##name[], systrap_guest_##name##_end[];                                \
	__asm__(".pushsection .rodata\n.globl systrap_guest_" #name "\nsystrap_guest_" #name ":\n" text        \
		"\n.globl systrap_guest_" #name "_end\nsystrap_guest_" #name "_end:\n.popsection")

GUEST(calls, "mov $39,%eax; mov $1,%edi; mov $2,%esi; mov $3,%edx; mov $4,%r10d; mov $5,%r8d; mov $6,%r9d\n"
	     "syscall\n"
	     "mov %rax,%rdi; mov %rcx,%rsi; mov %r11,%rdx; mov $1000,%eax; syscall; ud2");
GUEST(loop, "1: inc %rax; jmp 1b");
GUEST(call_loop, "1: mov $39,%eax; syscall; jmp 1b");
GUEST(load, "mov (%rdi),%rax; mov $1,%eax; syscall; ud2");
GUEST(store, "mov %rsi,(%rdi); mov $1,%eax; syscall; ud2");
GUEST(div, "xor %ecx,%ecx; mov $1,%eax; xor %edx,%edx; div %ecx");
GUEST(ud, "ud2");
GUEST(trap, "int3; ud2");
GUEST(int80, "mov $20,%eax; int $0x80; mov %rax,%rdi; mov $7,%eax; syscall");
GUEST(step, "pushfq; orl $0x100,(%rsp); popfq; nop; nop");
GUEST(count, "1: lock incq (%rdi); mov $2,%eax; syscall; jmp 1b");
GUEST(spin, "1: lock incq (%rdi); jmp 1b");
GUEST(jump, "jmp *%rdi");
GUEST(xmm, "movq %rdi,%xmm5; mov $3,%eax; syscall; movq %xmm5,%rdi; mov $4,%eax; syscall; jmp "
	   "systrap_guest_xmm");
GUEST(vsyscall, "mov $0xffffffffff600400,%rax; xor %edi,%edi; call *%rax; mov %rax,%rdi; mov $9,%eax; syscall");

extern const char systrap_stub_start[], systrap_stub_end[];
static struct platform *plat;
#define OPS (plat->ops)

static void setup(void)
{
	const struct platform_ops *ops;

	skip_where_taken(SBX_STUB_START);
	cr_assert_eq(arena_init(), 0);
	proc_setup();
	ops = platform_select("systrap");
	cr_assert_not_null(ops);
	cr_assert_eq(ops->create(&plat), 0);
}

/* Every test ends with no guest process left. */
static void teardown(void)
{
	OPS->destroy(plat);
	cr_assert_eq(hc_wait4(-1, NULL, __WALL | WNOHANG, NULL), -ECHILD);
}

TestSuite(systrap, .init = setup, .fini = teardown, .timeout = 30);

static void map(struct context *c, uaddr_t at, uint64_t size, uint32_t prot)
{
	struct map_request r = {.addr = at, .size = size, .prot = prot, .fd = -1};

	cr_assert_eq(OPS->map(c, &r), 0);
}

/* Loads a guest's code, data page and stack into c's space and points c to it. */
static void load(struct context *c, const char *code, const char *end)
{
	map(c, CODE, PAGE_SIZE, LINUX_PROT_READ | LINUX_PROT_WRITE);
	cr_assert_eq(OPS->copy_out(c->as, c, CODE, code, (size_t)(end - code)), end - code);
	cr_assert_eq(OPS->protect(c, CODE, PAGE_SIZE, LINUX_PROT_READ | LINUX_PROT_EXEC), 0);
	map(c, DATA, PAGE_SIZE, LINUX_PROT_READ | LINUX_PROT_WRITE);
	map(c, STACK, PAGE_SIZE, LINUX_PROT_READ | LINUX_PROT_WRITE);
	*OPS->regs(c, true) = (struct guest_regs){.rip = CODE, .rsp = STACK + PAGE_SIZE, .eflags = 0x202};
}

static struct context *start(const char *code, const char *end)
{
	struct context *c;

	cr_assert_eq(OPS->context_create(plat, &c), 0);
	cr_assert_eq(OPS->context_bind(c), 0);
	load(c, code, end);
	return c;
}
#define START(name) start(systrap_guest_##name, systrap_guest_##name##_end)

static enum run_reason run(struct context *c, struct run_event *ev)
{
	memset(ev, 0, sizeof(*ev));
	cr_assert_eq(OPS->run(c, ev), 0);
	return ev->reason;
}

static void expect_call(struct context *c, int64_t nr, uint64_t arg0)
{
	struct run_event ev;

	cr_assert_eq(run(c, &ev), RUN_SYSCALL, "reason %d signo %d code %d addr %lx", ev.reason, ev.signo,
		     ev.code, ev.addr);
	cr_assert_eq(ev.nr, nr, "nr %ld", ev.nr);
	cr_assert_eq(ev.args[0], arg0, "arg %lx", ev.args[0]);
}

static void expect_fault(struct context *c, int signo, int code, uaddr_t addr)
{
	struct run_event ev;

	cr_assert_eq(run(c, &ev), RUN_FAULT, "reason %d", ev.reason);
	cr_assert_eq(ev.signo, signo, "signo %d", ev.signo);
	cr_assert_eq(ev.code, code, "code %d", ev.code);
	cr_assert_eq(ev.addr, addr, "addr %lx", ev.addr);
}

static int pid_of(struct context *c)
{
	return sys_context(c)->proc->pid;
}

/* ---- calls
 * ------------------------------------------------------------------------------------------------ */

Test(systrap, call_reports_arguments_and_returns_result)
{
	struct context *c = START(calls);
	struct run_event ev;

	cr_assert_eq(run(c, &ev), RUN_SYSCALL);
	cr_assert_eq(ev.nr, 39);
	for (uint64_t i = 0; i < 6; i++)
		cr_assert_eq(ev.args[i], i + 1);
	cr_assert_eq(regs_syscall_nr(OPS->regs(c, false)), 39);
	OPS->set_result(c, 1234);
	cr_assert_eq(run(c, &ev), RUN_SYSCALL);
	cr_assert_eq(ev.nr, 1000);
	cr_assert_eq(ev.args[0], 1234);
	/* rcx and r11 hold what the instruction leaves there */
	cr_assert_gt(ev.args[1], CODE);
	cr_assert_lt(ev.args[1], CODE + 64);
	cr_assert_eq(ev.args[2] & 0x202, 0x202);
	OPS->set_result(c, 0);
	expect_fault(c, SIGILL, ILL_ILLOPN, OPS->regs(c, false)->rip);
	OPS->context_destroy(c);
}

Test(systrap, results_that_look_like_restarts_stay_results)
{
	struct context *c = START(calls);

	expect_call(c, 39, 1);
	OPS->set_result(c, -512);
	expect_call(c, 1000, (uint64_t)-512);
	OPS->context_destroy(c);
}

Test(systrap, restarted_call_is_made_again)
{
	struct context *c = START(calls);

	expect_call(c, 39, 1);
	regs_restart_syscall(OPS->regs(c, true), 39);
	expect_call(c, 39, 1);
	OPS->context_destroy(c);
}

Test(systrap, result_after_reading_registers)
{
	struct context *c = START(calls);
	struct guest_regs *r;

	expect_call(c, 39, 1);
	OPS->set_result(c, 77);
	cr_assert_eq(regs_result(OPS->regs(c, false)), 77);
	OPS->set_result(c, 78);
	r = OPS->regs(c, true);
	cr_assert_eq(regs_result(r), 78);
	r->rbx = 5;
	OPS->set_result(c, 79);
	expect_call(c, 1000, 79);
	cr_assert_eq(OPS->regs(c, false)->rbx, 5);
	OPS->context_destroy(c);
}

Test(systrap, legacy_calls_have_no_number)
{
	struct context *c = START(int80);
	struct run_event ev;

	if (run(c, &ev) == RUN_SYSCALL) {
		cr_assert_eq(ev.nr, -1);
		OPS->set_result(c, -ENOSYS);
		expect_call(c, 7, (uint64_t)-ENOSYS);
	} else { /* a host without 32-bit calls */
		cr_assert_eq(ev.reason, RUN_FAULT);
		cr_assert_eq(ev.signo, SIGSEGV);
	}
	OPS->context_destroy(c);
}

Test(systrap, guest_process_holds_nothing_of_the_sentry)
{
	struct context *c;
	char path[64], line[256];
	FILE *f;

	cr_assert_eq(OPS->context_create(plat, &c), 0);
	cr_assert_eq(OPS->context_bind(c), 0);
	snprintf(path, sizeof(path), "/proc/%d/maps", pid_of(c));
	f = fopen(path, "r");
	cr_assert_not_null(f);
	while (fgets(line, sizeof(line), f)) {
		uint64_t start = strtoul(line, NULL, 16);

		cr_assert((start >= STUB_TEXT_ADDR && start < STUB_REGION_END) ||
				  (start >= plat->vvar_start && start < plat->vdso_end) ||
				  strstr(line, "[vsyscall]"),
			  "%s", line);
	}
	fclose(f);
	cr_assert_neq(plat->vdso_start, 0);
	OPS->context_destroy(c);
}

/* ---- faults
 * ----------------------------------------------------------------------------------------------- */

Test(systrap, faults_say_what_and_where)
{
	struct context *c = START(load);
	struct run_event ev;

	OPS->regs(c, true)->rdi = 0x12345678;
	expect_fault(c, SIGSEGV, SEGV_MAPERR, 0x12345678);
	OPS->regs(c, true)->rdi = 0x8000000000000000UL;
	expect_fault(c, SIGSEGV, SI_KERNEL, 0);
	map(c, DATA, PAGE_SIZE, 0);
	OPS->regs(c, true)->rdi = DATA;
	cr_assert_eq(run(c, &ev), RUN_FAULT);
	cr_assert_eq(ev.code, SEGV_ACCERR);
	cr_assert_eq(ev.trapno, 14);
	cr_assert_eq(ev.err & ~1UL, 4);
	/* a fault that was repaired */
	cr_assert_eq(OPS->protect(c, DATA, PAGE_SIZE, LINUX_PROT_READ), 0);
	expect_call(c, 1, DATA);
	OPS->context_destroy(c);
}

Test(systrap, processor_exceptions)
{
	struct context *c = START(div);

	expect_fault(c, SIGFPE, FPE_INTDIV, CODE + 9);
	load(c, systrap_guest_ud, systrap_guest_ud_end);
	expect_fault(c, SIGILL, ILL_ILLOPN, CODE);
	load(c, systrap_guest_trap, systrap_guest_trap_end);
	expect_fault(c, SIGTRAP, SI_KERNEL, 0);
	cr_assert_eq(OPS->regs(c, false)->rip, CODE + 1);
	load(c, systrap_guest_step, systrap_guest_step_end);
	{
		struct run_event ev;

		cr_assert_eq(run(c, &ev), RUN_FAULT);
		cr_assert_eq(ev.signo, SIGTRAP);
		cr_assert_eq(ev.code, TRAP_TRACE);
		/* injected calls are not stepped, and stepping goes on afterwards */
		cr_assert_eq(OPS->advise(c, DATA, PAGE_SIZE, LINUX_MADV_DONTNEED), 0);
		cr_assert_eq(run(c, &ev), RUN_FAULT);
		cr_assert_eq(ev.code, TRAP_TRACE);
	}
	OPS->context_destroy(c);
}

Test(systrap, vsyscall_page_works_or_faults)
{
	struct context *c = START(vsyscall);
	struct run_event ev;

	cr_assert_neq(run(c, &ev), RUN_EXITED);
	if (ev.reason == RUN_SYSCALL) {
		cr_assert_eq(ev.nr, 201); /* the page's time(2), asked of us */
		OPS->set_result(c, 1234);
		expect_call(c, 9, 1234);
	}
	OPS->context_destroy(c);
}

Test(systrap, wild_registers_are_survived)
{
	struct context *c = START(load);
	struct guest_regs *r = OPS->regs(c, true);
	struct run_event ev;

	memset(r, 0xff, sizeof(*r));
	cr_assert_eq(run(c, &ev), RUN_FAULT);
	cr_assert_eq(ev.signo, SIGSEGV);
	r = OPS->regs(c, true);
	r->rip = 0x7fffffffffffUL - 1;
	cr_assert_eq(run(c, &ev), RUN_FAULT);
	r = OPS->regs(c, true);
	memset(r, 0x41, sizeof(*r));
	cr_assert_eq(run(c, &ev), RUN_FAULT);
	r = OPS->regs(c, true);
	*r = (struct guest_regs){
		.rip = CODE, .rsp = 8, .rdi = CODE, .eflags = 0x202, .fs_base = DATA, .cs = 0x23};
	cr_assert_neq(run(c, &ev), RUN_EXITED);
	OPS->context_destroy(c);
}

/* ---- fork, threads, exec
 * ---------------------------------------------------------------------------------- */

Test(systrap, fork_copies_memory_and_registers)
{
	struct context *c = START(count), *child;
	uint64_t v;

	OPS->regs(c, true)->rdi = DATA;
	expect_call(c, 2, DATA);
	OPS->regs(c, true)->rbx = 99;
	cr_assert_eq(OPS->context_fork(c, &child), 0);
	regs_set_result(OPS->regs(child, true), 0);
	cr_assert_eq(OPS->context_bind(child), 0);
	OPS->set_result(c, 55);
	for (int i = 0; i < 3; i++)
		expect_call(c, 2, DATA);
	expect_call(child, 2, DATA);
	cr_assert_eq(OPS->regs(child, false)->rbx, 99);
	cr_assert_eq(OPS->copy_in(child->as, child, &v, DATA, 8), 8);
	cr_assert_eq(v, 2);
	cr_assert_eq(OPS->copy_in(c->as, NULL, &v, DATA, 8), 8);
	cr_assert_eq(v, 4);
	cr_assert_neq(pid_of(c), pid_of(child));
	OPS->context_destroy(c);
	expect_call(child, 2, DATA);
	OPS->context_destroy(child);
}

Test(systrap, fork_of_a_fork_and_unbound_children)
{
	struct context *c = START(count), *child, *grandchild, *unbound;

	OPS->regs(c, true)->rdi = DATA;
	cr_assert_eq(OPS->context_fork(c, &child), 0);
	cr_assert_eq(OPS->context_fork(c, &unbound), 0);
	cr_assert_eq(OPS->context_bind(child), 0);
	cr_assert_eq(OPS->context_fork(child, &grandchild), 0);
	OPS->context_destroy(c);
	OPS->context_destroy(child);
	cr_assert_eq(OPS->context_bind(grandchild), 0);
	expect_call(grandchild, 2, DATA);
	OPS->context_destroy(grandchild);
	OPS->context_destroy(unbound);
}

struct worker {
	struct context *c;
	int calls, forks;
	bool failed;
};

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct run_event ev;

	if (OPS->context_bind(w->c)) {
		w->failed = true;
		return NULL;
	}
	for (int i = 0; i < w->calls; i++) {
		if (OPS->run(w->c, &ev) || ev.reason != RUN_SYSCALL || ev.nr != 2)
			w->failed = true;
		OPS->set_result(w->c, 0);
		if (i < w->forks) {
			struct context *child;

			if (OPS->context_fork(w->c, &child) || OPS->context_bind(child) ||
			    OPS->run(child, &ev) || ev.reason != RUN_SYSCALL)
				w->failed = true;
			else
				OPS->context_destroy(child);
		}
	}
	OPS->context_destroy(w->c);
	return NULL;
}

Test(systrap, threads_share_memory)
{
	struct context *c = START(count);
	struct worker w[4];
	pthread_t thread[4];
	uint64_t v;

	OPS->regs(c, true)->rdi = DATA;
	for (int i = 0; i < 4; i++) {
		w[i] = (struct worker){.calls = 200, .forks = 20};
		cr_assert_eq(OPS->context_thread(c, &w[i].c), 0);
		cr_assert_eq(w[i].c->as, c->as);
		pthread_create(&thread[i], NULL, worker_main, &w[i]);
	}
	for (int i = 0; i < 200; i++)
		expect_call(c, 2, DATA);
	for (int i = 0; i < 4; i++) {
		pthread_join(thread[i], NULL);
		cr_assert_not(w[i].failed);
	}
	cr_assert_eq(OPS->copy_in(c->as, c, &v, DATA, 8), 8);
	cr_assert_eq(v, 1000);
	OPS->context_destroy(c);
}

Test(systrap, first_thread_may_end_first)
{
	struct context *c = START(count), *other, *never;
	uint64_t v;

	OPS->regs(c, true)->rdi = DATA;
	cr_assert_eq(OPS->context_thread(c, &other), 0);
	cr_assert_eq(OPS->context_thread(c, &never), 0);
	cr_assert_eq(OPS->context_bind(other), 0);
	OPS->context_destroy(c);
	expect_call(other, 2, DATA);
	map(other, DATA + PAGE_SIZE, PAGE_SIZE, LINUX_PROT_READ | LINUX_PROT_WRITE);
	cr_assert_eq(OPS->copy_in(other->as, other, &v, DATA, 8), 8);
	cr_assert_eq(OPS->copy_in(other->as, NULL, &v, DATA, 8), 8);
	OPS->context_destroy(never);
	expect_call(other, 2, DATA);
	OPS->context_destroy(other);
}

Test(systrap, exec_takes_a_fresh_process_and_forgets_the_old_image)
{
	struct context *c = START(count);
	struct aspace *old = c->as;
	int pid = pid_of(c);
	char byte;

	aspace_get(old);
	OPS->regs(c, true)->rdi = DATA;
	expect_call(c, 2, DATA);
	cr_assert_eq(OPS->context_new_aspace(c), 0);
	cr_assert_neq(c->as, old);
	cr_assert_neq(pid_of(c), pid);
	cr_assert_eq(OPS->copy_in(c->as, c, &byte, DATA, 1), 0);
	cr_assert_eq(OPS->copy_in(old, NULL, &byte, CODE, 1), 0);
	aspace_put(old);
	load(c, systrap_guest_calls, systrap_guest_calls_end);
	expect_call(c, 39, 1);
	OPS->context_destroy(c);
}

Test(systrap, exec_beside_other_threads_takes_a_new_process)
{
	struct context *c = START(count), *other;

	OPS->regs(c, true)->rdi = DATA;
	cr_assert_eq(OPS->context_thread(c, &other), 0);
	cr_assert_eq(OPS->context_bind(other), 0);
	cr_assert_eq(OPS->context_new_aspace(other), 0);
	cr_assert_neq(pid_of(c), pid_of(other));
	load(other, systrap_guest_calls, systrap_guest_calls_end);
	expect_call(other, 39, 1);
	expect_call(c, 2, DATA);
	cr_assert_eq(OPS->context_new_aspace(c), 0);
	load(c, systrap_guest_calls, systrap_guest_calls_end);
	expect_call(c, 39, 1);
	OPS->context_destroy(c);
	OPS->context_destroy(other);
}

Test(systrap, a_guest_that_unmapped_the_vdso_gets_it_back)
{
	struct context *c = START(load);
	uint64_t v;

	cr_assert_eq(OPS->unmap(c, plat->vdso_start, plat->vdso_end - plat->vdso_start), 0);
	cr_assert_eq(OPS->copy_in(c->as, c, &v, plat->vdso_start, 8), 0);
	cr_assert_eq(OPS->context_new_aspace(c), 0);
	load(c, systrap_guest_load, systrap_guest_load_end);
	OPS->regs(c, true)->rdi = plat->vdso_start;
	expect_call(c, 1, plat->vdso_start);
	OPS->context_destroy(c);
}

/* ---- kick
 * ------------------------------------------------------------------------------------------------- */

static void *kicker_main(void *arg)
{
	struct context *c = arg;

	usleep(30000);
	OPS->kick(c);
	return NULL;
}

Test(systrap, kick_ends_an_endless_loop_and_is_reported_once)
{
	struct context *c = START(loop);
	struct run_event ev;
	pthread_t thread;

	OPS->kick(c);
	OPS->kick(c);
	cr_assert_eq(run(c, &ev), RUN_KICKED);
	for (int i = 0; i < 3; i++) {
		uint64_t before = clock_monotonic_ns();

		pthread_create(&thread, NULL, kicker_main, c);
		cr_assert_eq(run(c, &ev), RUN_KICKED);
		cr_assert_gt(clock_monotonic_ns() - before, 20000000);
		pthread_join(thread, NULL);
	}
	cr_assert_gt(OPS->regs(c, false)->rax, 1000);
	OPS->context_destroy(c);
}

/* Jumps to every byte of the stub that could be a syscall instruction, with the number of a call that isn't
 * on the list: nothing but an error or the guest's own end may come of it. */
Test(systrap, stub_text_gives_a_guest_nothing)
{
	static const int forbidden[] = {SYS_getppid, SYS_openat, SYS_socket, SYS_kill, SYS_execve, SYS_ptrace};
	const uint8_t *text = (const uint8_t *)systrap_stub_start;
	size_t n = (size_t)(systrap_stub_end - systrap_stub_start), found = 0;
	struct run_event ev;
	pthread_t thread;

	sys_platform(plat)->kick_deadline = 50000000;
	for (size_t i = 0; i + 1 < n; i++) {
		struct context *c;

		if (text[i] != 0x0f || text[i + 1] != 0x05)
			continue;
		found++;
		c = START(jump);
		OPS->regs(c, true)->rdi = STUB_TEXT_ADDR + i;
		OPS->regs(c, true)->rax = (uint64_t)forbidden[found % ARRAY_SIZE(forbidden)];
		pthread_create(&thread, NULL, kicker_main, c); /* some loop in there for ever */
		(void)run(c, &ev);
		pthread_join(thread, NULL);
		OPS->context_destroy(c);
	}
	cr_assert_gt(found, 5);
}

static volatile bool storm_over;

static void *storm_main(void *arg)
{
	while (!storm_over)
		OPS->kick(arg);
	return NULL;
}

Test(systrap, kick_storm_disturbs_nothing)
{
	struct context *c = START(count), *child;
	struct run_event ev;
	int calls = 0, kicks = 0;
	pthread_t thread;
	uint64_t v;

	OPS->regs(c, true)->rdi = DATA;
	pthread_create(&thread, NULL, storm_main, c);
	while (calls < 300) {
		if (run(c, &ev) == RUN_KICKED) {
			kicks++;
			continue;
		}
		cr_assert_eq(ev.reason, RUN_SYSCALL);
		calls++;
		OPS->set_result(c, calls);
		map(c, DATA + PAGE_SIZE, PAGE_SIZE, LINUX_PROT_READ);
		if (calls % 50 == 0) {
			cr_assert_eq(OPS->context_fork(c, &child), 0);
			OPS->context_destroy(child);
		}
	}
	storm_over = true;
	pthread_join(thread, NULL);
	cr_assert_eq(OPS->copy_in(c->as, c, &v, DATA, 8), 8);
	cr_assert_eq(v, 300);
	cr_assert_gt(kicks, 0);
	OPS->context_destroy(c);
}

/* ---- memory
 * ------------------------------------------------------------------------------------------------- */

Test(systrap, copies_stop_at_the_first_bad_page)
{
	struct context *c = START(load);
	static char buf[3 * PAGE_SIZE];

	map(c, DATA, 2 * PAGE_SIZE, LINUX_PROT_READ | LINUX_PROT_WRITE);
	cr_assert_eq(OPS->unmap(c, DATA + 2 * PAGE_SIZE, PAGE_SIZE), 0);
	memset(buf, 7, sizeof(buf));
	cr_assert_eq(OPS->copy_out(c->as, c, DATA + 10, buf, sizeof(buf)), 2 * PAGE_SIZE - 10);
	cr_assert_eq(OPS->copy_in(c->as, c, buf, DATA + PAGE_SIZE + 1, sizeof(buf)), PAGE_SIZE - 1);
	cr_assert_eq(OPS->copy_in(c->as, c, buf, DATA + 2 * PAGE_SIZE, 1), 0);
	cr_assert_eq(OPS->copy_in(c->as, c, buf, DATA, 0), 0);
	/* protections hold: read-only text, no access */
	cr_assert_eq(OPS->copy_out(c->as, c, CODE, buf, 1), 0);
	cr_assert_eq(OPS->protect(c, DATA + PAGE_SIZE, PAGE_SIZE, 0), 0);
	cr_assert_eq(OPS->copy_in(c->as, c, buf, DATA, sizeof(buf)), PAGE_SIZE);
	/* outside of the guest */
	cr_assert_eq(OPS->copy_in(c->as, c, buf, STUB_TEXT_ADDR, 1), 0);
	cr_assert_eq(OPS->copy_out(c->as, c, STUB_SLOTS_ADDR, buf, 1), 0);
	cr_assert_eq(OPS->copy_in(c->as, c, buf, UINT64_MAX - 4, 100), 0);
	cr_assert_eq(OPS->copy_in(c->as, c, buf, GUEST_VA_END, 100), 0);
	OPS->context_destroy(c);
}

Test(systrap, poke_passes_write_protection)
{
	struct context *c = START(calls);
	const uint8_t trap = 0xcc;

	OPS->settle(c);
	cr_assert_eq(OPS->poke(c->as, CODE, &trap, 1), 1);
	expect_fault(c, SIGTRAP, SI_KERNEL, 0);
	cr_assert_eq(OPS->poke(c->as, STUB_TEXT_ADDR, &trap, 1), 0);
	cr_assert_eq(OPS->poke(c->as, 0x10000000, &trap, 1), 0);
	OPS->context_destroy(c);
}

Test(systrap, remap_moves_grows_and_shrinks)
{
	struct context *c = START(load);
	uint64_t v = 0x1122334455667788UL, got;
	uaddr_t to = 0x10000000;

	map(c, DATA, 2 * PAGE_SIZE, LINUX_PROT_READ | LINUX_PROT_WRITE);
	OPS->copy_out(c->as, c, DATA + PAGE_SIZE, &v, 8);
	cr_assert_eq(OPS->remap(c, DATA, 2 * PAGE_SIZE, to, 4 * PAGE_SIZE, LINUX_MREMAP_MAYMOVE), 0);
	cr_assert_eq(OPS->copy_in(c->as, c, &got, to + PAGE_SIZE, 8), 8);
	cr_assert_eq(got, v);
	cr_assert_eq(OPS->copy_in(c->as, c, &got, DATA, 8), 0);
	cr_assert_eq(OPS->remap(c, to, 4 * PAGE_SIZE, to, PAGE_SIZE, 0), 0);
	cr_assert_eq(OPS->copy_in(c->as, c, &got, to + PAGE_SIZE, 8), 0);
	cr_assert_eq(OPS->remap(c, to, PAGE_SIZE, to, 2 * PAGE_SIZE, 0), 0);
	cr_assert_eq(OPS->copy_in(c->as, c, &got, to + PAGE_SIZE, 8), 8);
	cr_assert_eq(OPS->remap(c, to, PAGE_SIZE, SBX_STUB_START, PAGE_SIZE, 0), -EINVAL);
	OPS->context_destroy(c);
}

Test(systrap, the_hole_and_what_lies_outside_are_refused)
{
	struct context *c = START(calls);
	struct map_request r = {.addr = SBX_STUB_START, .size = PAGE_SIZE, .fd = -1};

	cr_assert_eq(OPS->map(c, &r), -EINVAL);
	r.addr = 0x1000;
	r.size = GUEST_VA_END - 0x2000;
	cr_assert_eq(OPS->map(c, &r), -EINVAL);
	r.addr = CODE + 1;
	cr_assert_eq(OPS->map(c, &r), -EINVAL);
	cr_assert_eq(OPS->unmap(c, SBX_HOLE_START - PAGE_SIZE, 2 * PAGE_SIZE), -EINVAL);
	cr_assert_eq(OPS->unmap(c, 0x20000, UINT64_MAX - 0xffff), -EINVAL);
	cr_assert_eq(OPS->protect(c, STUB_SLOTS_ADDR, PAGE_SIZE, LINUX_PROT_EXEC), -EINVAL);
	cr_assert_eq(OPS->advise(c, STUB_TEXT_ADDR, PAGE_SIZE, LINUX_MADV_DONTFORK), -EINVAL);
	cr_assert_eq(OPS->advise(c, DATA, PAGE_SIZE, LINUX_MADV_MERGEABLE), -EINVAL);
	expect_call(c, 39, 1);
	OPS->context_destroy(c);
}

Test(systrap, files_are_mapped_shared_and_private)
{
	struct context *c = START(count), *child;
	int fd = memfd_create_sized("test", PAGE_SIZE); /* made after the zygote */
	struct map_request r = {.addr = DATA,
				.size = 2 * PAGE_SIZE,
				.fd = fd,
				.shared = true,
				.prot = LINUX_PROT_READ | LINUX_PROT_WRITE};
	uint64_t v = 10;
	uint8_t vec[2];

	cr_assert_geq(fd, 0);
	hc_pwrite(fd, &v, 8, 0);
	cr_assert_eq(OPS->map(c, &r), 0);
	r.shared = false;
	r.addr = DATA + 16 * PAGE_SIZE;
	cr_assert_eq(OPS->map(c, &r), 0);
	hc_close(fd);
	OPS->regs(c, true)->rdi = DATA;
	expect_call(c, 2, DATA);
	cr_assert_eq(OPS->context_fork(c, &child), 0);
	cr_assert_eq(OPS->context_bind(child), 0);
	expect_call(child, 2, DATA);
	OPS->copy_in(c->as, c, &v, DATA, 8);
	cr_assert_eq(v, 12);
	OPS->copy_in(c->as, c, &v, r.addr, 8);
	cr_assert_eq(v, 12); /* not touched yet: the file's */
	v = 1;
	OPS->copy_out(c->as, c, r.addr, &v, 8);
	OPS->copy_in(child->as, child, &v, r.addr, 8);
	cr_assert_eq(v, 12);
	cr_assert_eq(OPS->mincore(c, DATA, PAGE_SIZE, vec), 0);
	cr_assert_eq(vec[0], 1);
	/* beyond the end of the file */
	OPS->regs(c, true)->rdi = DATA + PAGE_SIZE;
	expect_fault(c, SIGBUS, BUS_ADRERR, DATA + PAGE_SIZE);
	OPS->context_destroy(c);
	OPS->context_destroy(child);
}

Test(systrap, cmpxchg)
{
	struct context *c = START(count);
	uint32_t v = 5, expected = 5;

	OPS->copy_out(c->as, c, DATA, &v, 4);
	cr_assert_eq(OPS->cmpxchg_u32(c, DATA, &expected, 6), 0);
	cr_assert_eq(expected, 5);
	cr_assert_eq(OPS->cmpxchg_u32(c, DATA, &expected, 9), 0);
	cr_assert_eq(expected, 6);
	OPS->copy_in(c->as, c, &v, DATA, 4);
	cr_assert_eq(v, 6);
	cr_assert_eq(OPS->cmpxchg_u32(c, 0x20000, &expected, 1), -EFAULT);
	cr_assert_eq(OPS->cmpxchg_u32(c, CODE, &expected, 1), -EFAULT);
	cr_assert_eq(OPS->cmpxchg_u32(c, DATA + 2, &expected, 1), -EFAULT);
	cr_assert_eq(OPS->cmpxchg_u32(c, STUB_SLOTS_ADDR, &expected, 1), -EFAULT);
	cr_assert_eq(OPS->cmpxchg_u32(c, 0xffff888000000000UL, &expected, 1), -EFAULT);
	OPS->regs(c, true)->rdi = DATA;
	expect_call(c, 2, DATA);
	OPS->context_destroy(c);
}

/* ---- extended state
 * ------------------------------------------------------------------------------------------ */

Test(systrap, fpstate_is_kept_inherited_and_reset)
{
	struct context *c = START(xmm), *child;
	uint64_t features;
	size_t max = OPS->fpstate_size(plat, &features), size = max;
	uint8_t *buf = kmalloc(max);

	cr_assert_geq(max, 576);
	cr_assert_eq(features & 3, 3);
	OPS->regs(c, true)->rdi = 0xabcdef;
	expect_call(c, 3, 0xabcdef);
	cr_assert_eq(OPS->context_fork(c, &child), 0);
	cr_assert_eq(OPS->context_bind(child), 0);
	expect_call(child, 4, 0xabcdef);
	cr_assert_eq(OPS->fpstate_get(c, buf, &size), 0);
	cr_assert_eq(*(uint64_t *)(buf + 160 + 5 * 16), 0xabcdef);
	*(uint64_t *)(buf + 160 + 5 * 16) = 0x55;
	cr_assert_eq(OPS->fpstate_set(c, buf, size), 0);
	expect_call(c, 4, 0x55);
	/* legacy part alone */
	*(uint64_t *)(buf + 160 + 5 * 16) = 0x66;
	cr_assert_eq(OPS->fpstate_set(c, buf, 512), 0);
	OPS->regs(c, true)->rip = CODE + 5 + 5 + 2;
	expect_call(c, 4, 0x66);
	cr_assert_eq(OPS->context_new_aspace(c), 0);
	size = max;
	cr_assert_eq(OPS->fpstate_get(c, buf, &size), 0);
	cr_assert_eq(*(uint64_t *)(buf + 160 + 5 * 16), 0);
	cr_assert_eq(*(uint32_t *)(buf + 24), 0x1f80);
	OPS->context_destroy(c);
	OPS->context_destroy(child);
	kfree(buf);
}

Test(systrap, hostile_fpstate_is_refused)
{
	struct context *c = START(xmm);
	uint64_t features;
	size_t max = OPS->fpstate_size(plat, &features), size = max;
	uint8_t *buf = kmalloc(max), *bad = kmalloc(max);

	cr_assert_eq(OPS->fpstate_get(c, buf, &size), 0);
	for (int i = 0; i < 5; i++) {
		memcpy(bad, buf, size);
		if (i == 0)
			memset(bad + 512, 0xff, 8); /* unknown features */
		else if (i == 1)
			bad[512 + 8 + 7] = 0x80; /* compacted */
		else if (i == 2)
			bad[512 + 40] = 1; /* reserved */
		else if (i == 3)
			memset(bad + 24, 0xff, 4), bad[512] |= 3; /* MXCSR */
		cr_assert_eq(OPS->fpstate_set(c, bad, i == 4 ? 100 : size), -EINVAL, "case %d", i);
	}
	OPS->regs(c, true)->rdi = 3;
	expect_call(c, 3, 3);
	OPS->context_destroy(c);
	kfree(buf);
	kfree(bad);
}

/* ---- from outside
 * ----------------------------------------------------------------------------------------- */

static void *killer_main(void *arg)
{
	usleep(20000);
	kill((int)(intptr_t)arg, SIGSTOP);
	kill((int)(intptr_t)arg, SIGSEGV);
	kill((int)(intptr_t)arg, SIGTRAP);
	kill((int)(intptr_t)arg, SIGTERM);
	usleep(50000);
	kill((int)(intptr_t)arg, SIGKILL);
	return NULL;
}

Test(systrap, a_killed_process_with_threads_is_noticed_and_cleared_away)
{
	struct context *c = START(spin), *other, *third;
	struct run_event ev;
	pthread_t thread;

	OPS->regs(c, true)->rdi = DATA;
	cr_assert_eq(OPS->context_thread(c, &other), 0);
	cr_assert_eq(OPS->context_thread(c, &third), 0);
	cr_assert_eq(OPS->context_bind(other), 0); /* traced, and its owner does not run it */
	pthread_create(&thread, NULL, killer_main, (void *)(intptr_t)pid_of(c));
	cr_assert_eq(run(c, &ev), RUN_EXITED);
	pthread_join(thread, NULL);
	OPS->context_destroy(c);
	cr_assert_eq(run(other, &ev), RUN_EXITED);
	OPS->context_destroy(other);
	OPS->context_destroy(third);
}

Test(systrap, a_killed_stopped_process_is_cleared_away)
{
	struct context *c = START(count), *other, *third;

	OPS->regs(c, true)->rdi = DATA;
	expect_call(c, 2, DATA);
	cr_assert_eq(OPS->context_thread(c, &other), 0);
	cr_assert_eq(OPS->context_bind(other), 0);
	kill(pid_of(c), SIGKILL);
	cr_assert_lt(OPS->context_fork(c, &third), 0);
	cr_assert_lt(OPS->context_thread(c, &third), 0);
	OPS->context_destroy(c);
	OPS->context_destroy(other);
}

Test(systrap, cpu_time_grows_with_work)
{
	struct context *c = START(loop), *other;
	struct run_event ev;
	pthread_t thread;
	uint64_t first, second;

	pthread_create(&thread, NULL, kicker_main, c);
	run(c, &ev);
	pthread_join(thread, NULL);
	first = OPS->cpu_time(c);
	cr_assert_gt(first, 1000000);
	cr_assert_eq(OPS->context_thread(c, &other), 0);
	second = OPS->cpu_time(c);
	cr_assert_geq(second, first);
	pthread_create(&thread, NULL, kicker_main, c);
	run(c, &ev);
	pthread_join(thread, NULL);
	cr_assert_gt(OPS->cpu_time(c), second + 1000000);
	second = OPS->cpu_time(c);
	OPS->context_destroy(other);
	cr_assert_eq(OPS->context_new_aspace(c), 0);
	cr_assert_geq(OPS->cpu_time(c), second);
	cr_assert_gt(OPS->resident(c->as), 0);
	OPS->context_destroy(c);
}

Test(systrap, guests_die_with_the_sentry)
{
	int fds[2], pid, guest, n = 0;
	char path[32];

	cr_assert_eq(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		struct platform *p;
		struct context *c, *child;

		if (systrap_platform_ops.create(&p) || systrap_platform_ops.context_create(p, &c) ||
		    systrap_platform_ops.context_bind(c) || systrap_platform_ops.context_fork(c, &child))
			_exit(1);
		guest = pid_of(c);
		if (write(fds[1], &guest, sizeof(guest)) < 0)
			_exit(1);
		guest = pid_of(child); /* unbound */
		if (write(fds[1], &guest, sizeof(guest)) < 0)
			_exit(1);
		kill(getpid(), SIGKILL);
	}
	waitpid(pid, NULL, 0);
	for (int i = 0; i < 2; i++) {
		cr_assert_eq(read(fds[0], &guest, sizeof(guest)), sizeof(guest));
		snprintf(path, sizeof(path), "/proc/%d/maps", guest);
		for (n = 0; n < 200 && !kill(guest, 0); n++) {
			char byte;
			int fd = open(path, O_RDONLY); /* a zombie nobody reaps has no maps */

			if (fd < 0 || read(fd, &byte, 1) <= 0)
				n = 1000;
			if (fd >= 0)
				close(fd);
			usleep(10000);
		}
		cr_assert_neq(n, 200, "guest %d lives", guest);
	}
}
