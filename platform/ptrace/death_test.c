/* death_test.c: what other processes of the host may do to guests, and the end of the sentry. */
#include "platform/ptrace/ptrace_test.h"

TestSuite(ptrace_death, .init = setup, .fini = teardown, .timeout = 30);

/* ---- from outside ---- */

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

Test(ptrace_death, foreign_signals_are_dropped_and_a_kill_is_reported)
{
	struct context *c = START(spin);
	struct run_event ev;
	pthread_t thread;
	uint32_t v = 0;

	OPS->regs(c, true)->rdi = DATA;
	pthread_create(&thread, NULL, killer_main, (void *)(intptr_t)pid_of(c));
	cr_assert_eq(run(c, &ev), RUN_EXITED);
	pthread_join(thread, NULL);
	cr_assert_eq(run(c, &ev), RUN_EXITED);
	cr_assert_eq(OPS->cmpxchg_u32(c, DATA, &v, 1), -EFAULT);
	cr_assert_lt(OPS->unmap(c, DATA, PAGE_SIZE), 0);
	OPS->regs(c, true)->rdi = 0;
	OPS->context_destroy(c);
}

Test(ptrace_death, a_killed_process_with_threads_is_noticed_and_cleared_away)
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

Test(ptrace_death, a_killed_stopped_process_is_cleared_away)
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

Test(ptrace_death, guests_die_with_the_sentry)
{
	int fds[2], pid, guest, n = 0;
	char path[32];

	cr_assert_eq(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		struct platform *p;
		struct context *c, *child;

		if (ptrace_platform_ops.create(&p) || ptrace_platform_ops.context_create(p, &c) ||
		    ptrace_platform_ops.context_bind(c) || ptrace_platform_ops.context_fork(c, &child))
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
