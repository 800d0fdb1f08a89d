/* run_test.c: calls, faults and kicks. */
#include "platform/ptrace/ptrace_test.h"

TestSuite(ptrace_run, .init = setup, .fini = teardown, .timeout = 30);

/* ---- calls ---- */

Test(ptrace_run, call_reports_arguments_and_returns_result)
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

Test(ptrace_run, results_that_look_like_restarts_stay_results)
{
	struct context *c = START(calls);

	expect_call(c, 39, 1);
	OPS->set_result(c, -512);
	kill(pid_of(c), SIGUSR2); /* makes the host look whether to restart */
	expect_call(c, 1000, (uint64_t)-512);
	OPS->context_destroy(c);
}

Test(ptrace_run, restarted_call_is_made_again)
{
	struct context *c = START(calls);

	expect_call(c, 39, 1);
	regs_restart_syscall(OPS->regs(c, true), 39);
	expect_call(c, 39, 1);
	OPS->context_destroy(c);
}

Test(ptrace_run, result_after_reading_registers)
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

Test(ptrace_run, legacy_calls_have_no_number)
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

Test(ptrace_run, stub_text_gives_a_guest_nothing)
{
	struct context *c = START(jump);

	OPS->regs(c, true)->rdi = stub_addr(ptrace_stub_call);
	OPS->regs(c, true)->rax = SYS_munmap;
	expect_call(c, SYS_munmap, stub_addr(ptrace_stub_call));
	OPS->set_result(c, 0);
	expect_fault(c, SIGTRAP, SI_KERNEL, 0);
	OPS->context_destroy(c);
}

Test(ptrace_run, untraced_guest_code_is_killed_at_its_first_call)
{
	struct context *c = START(calls);
	struct ptrace_context *pc = ptrace_context_of(c);
	int status;

	cr_assert_eq(tracee_set_regs(&pc->t, &pc->regs), 0);
	cr_assert_eq(hc_ptrace(PTRACE_DETACH, pc->t.tid, 0, 0), 0);
	cr_assert_eq(hc_wait4(pc->t.tid, &status, __WALL, NULL), pc->t.tid);
	cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
	pc->t.ended = true;
	OPS->context_destroy(c);
}

Test(ptrace_run, guest_process_holds_nothing_of_the_sentry)
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

		cr_assert((start >= STUB_TEXT && start < STUB_END) ||
				  (start >= plat->vvar_start && start < plat->vdso_end) ||
				  strstr(line, "[vsyscall]"),
			  "%s", line);
	}
	fclose(f);
	cr_assert_neq(plat->vdso_start, 0);
	OPS->context_destroy(c);
}

/* Offset of a function in the host's vDSO. */
static uint64_t vdso_symbol(const char *name)
{
	const char *base = (const char *)getauxval(AT_SYSINFO_EHDR);
	const Elf64_Ehdr *eh = (const Elf64_Ehdr *)base;
	const Elf64_Phdr *ph = (const Elf64_Phdr *)(base + eh->e_phoff);
	const Elf64_Sym *sym = NULL;
	const char *str = NULL;

	for (int i = 0; i < eh->e_phnum; i++) {
		if (ph[i].p_type != PT_DYNAMIC)
			continue;
		for (const Elf64_Dyn *d = (const Elf64_Dyn *)(base + ph[i].p_offset); d->d_tag; d++) {
			if (d->d_tag == DT_SYMTAB)
				sym = (const Elf64_Sym *)(base + d->d_un.d_ptr);
			if (d->d_tag == DT_STRTAB)
				str = base + d->d_un.d_ptr;
		}
	}
	while (strcmp(str + sym->st_name, name))
		sym++;
	return sym->st_value;
}

Test(ptrace_run, vdso_tells_the_time_from_its_own_place)
{
	struct context *c = START(clock);
	struct guest_regs *r = OPS->regs(c, true);
	struct timespec before, now;

	cr_assert_neq(plat->vdso_start, getauxval(AT_SYSINFO_EHDR));
	cr_assert_geq(plat->vvar_start, SBX_HOLE_END);
	clock_gettime(CLOCK_MONOTONIC, &before);
	r->rdx = plat->vdso_start + vdso_symbol("__vdso_clock_gettime");
	r->rdi = CLOCK_MONOTONIC;
	r->rsi = DATA;
	expect_call(c, 5, 0); /* it made no call before */
	cr_assert_eq(OPS->copy_in(c->as, c, &now, DATA, sizeof(now)), sizeof(now));
	cr_assert(now.tv_sec > before.tv_sec || (now.tv_sec == before.tv_sec && now.tv_nsec >= before.tv_nsec));
	OPS->context_destroy(c);
}

/* ---- faults ---- */

Test(ptrace_run, faults_say_what_and_where)
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
	cr_assert_eq(ev.err, 5);
	/* a fault that was repaired */
	cr_assert_eq(OPS->protect(c, DATA, PAGE_SIZE, LINUX_PROT_READ), 0);
	expect_call(c, 1, DATA);
	OPS->context_destroy(c);
}

Test(ptrace_run, processor_exceptions)
{
	struct context *c = START(div);

	expect_fault(c, SIGFPE, FPE_INTDIV, CODE + 9);
	load(c, guest_ud, guest_ud_end);
	expect_fault(c, SIGILL, ILL_ILLOPN, CODE);
	load(c, guest_trap, guest_trap_end);
	expect_fault(c, SIGTRAP, SI_KERNEL, 0);
	cr_assert_eq(OPS->regs(c, false)->rip, CODE + 1);
	load(c, guest_step, guest_step_end);
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

Test(ptrace_run, vsyscall_page_works_or_faults)
{
	struct context *c = START(vsyscall);
	struct run_event ev;

	cr_assert_neq(run(c, &ev), RUN_EXITED);
	if (ev.reason == RUN_SYSCALL)
		cr_assert_eq(ev.nr, 9);
	OPS->context_destroy(c);
}

Test(ptrace_run, wild_registers_are_survived)
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

/* ---- kick ---- */

static void *kicker_main(void *arg)
{
	struct context *c = arg;

	usleep(30000);
	OPS->kick(c);
	return NULL;
}

Test(ptrace_run, kick_ends_an_endless_loop_and_is_reported_once)
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

static volatile bool storm_over;

static void *storm_main(void *arg)
{
	while (!storm_over)
		OPS->kick(arg);
	return NULL;
}

Test(ptrace_run, kick_storm_disturbs_nothing)
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

Test(ptrace_run, cpu_time_grows_with_work)
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
	cr_assert_eq(OPS->cpu_time(other), 0);
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
