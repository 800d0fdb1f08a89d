/* frames.c SECONDS: signal frames, traced registers and extended state full of nonsense: selectors of ring 0,
 * forbidden flags, addresses nobody may have, broken XSAVE areas, alternate stacks at the edges. Each in a
 * child, which may die in any way that a signal explains. */
#include "../guest.h"

#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <ucontext.h>

static uint64_t seed = 88172645463325252ULL;

static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static uint64_t odd(void)
{
	static const uint64_t v[] = {0,
				     1,
				     8,
				     0x1000,
				     0x7fffffffefffUL,
				     0x7ffffffff000UL,
				     0x800000000000UL,
				     0xffff800000000000UL,
				     ~0UL,
				     ~0UL - 4095,
				     0x7e8000000000UL,
				     0x7ec000000000UL,
				     0x7efffffff000UL};

	return rnd() % 4 ? v[rnd() % (sizeof(v) / sizeof(v[0]))] : rnd();
}

static void on(int sig, siginfo_t *si, void *ctx)
{
	ucontext_t *uc = ctx;
	uint8_t *fp = (uint8_t *)uc->uc_mcontext.fpregs;

	(void)sig, (void)si;
	for (int i = 1 + rnd() % 4; i > 0; i--) {
		switch (rnd() % 10) {
		case 0: /* cs, gs, fs, ss */
			uc->uc_mcontext.gregs[REG_CSGSFS] = rnd();
			break;
		case 1:
			uc->uc_mcontext.gregs[REG_EFL] = rnd();
			break;
		case 2:
			uc->uc_mcontext.gregs[REG_RIP] = odd();
			break;
		case 3:
			uc->uc_mcontext.gregs[REG_RSP] = odd();
			break;
		case 4:
			uc->uc_mcontext.fpregs = (void *)odd();
			break;
		case 5: /* the XSAVE header: features and reserved words */
			fp[512 + rnd() % 64] = rnd();
			break;
		case 6: /* what says how long it is */
			fp[464 + rnd() % 48] = rnd();
			break;
		case 7: /* control words */
			fp[24 + rnd() % 8] = rnd();
			break;
		case 8:
			uc->uc_stack.ss_sp = (void *)odd();
			uc->uc_stack.ss_size = odd();
			uc->uc_stack.ss_flags = rnd();
			break;
		default:
			uc->uc_sigmask.__val[0] = rnd();
			uc->uc_flags = rnd();
		}
	}
}

static void own_frames(void)
{
	struct sigaction sa = {.sa_sigaction = on, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
	stack_t ss = {.ss_sp = (void *)odd(), .ss_size = rnd() % 2 ? 2048 + rnd() % 60000 : odd()};

	sigaction(SIGUSR1, &sa, NULL);
	if (rnd() % 3 == 0)
		sigaltstack(&ss, NULL);
	if (rnd() % 4 == 0) /* a frame that was never made */
		__asm__ volatile("mov %0, %%rsp\n mov $15, %%eax\n syscall" ::"r"(odd()) : "memory");
	for (int i = 0; i < 5; i++)
		kill(getpid(), SIGUSR1);
}

static void traced(void)
{
	static uint8_t area[16384];
	struct user_regs_struct r;
	struct iovec iov;
	pid_t p = fork();
	int st;

	if (p == 0) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		for (;;)
			raise(SIGSTOP);
	}
	for (int i = 0; i < 6; i++) {
		if (waitpid(p, &st, __WALL) != p || !WIFSTOPPED(st))
			return;
		ptrace(PTRACE_GETREGS, p, 0, &r);
		((uint64_t *)&r)[rnd() % (sizeof(r) / 8)] = odd();
		ptrace(PTRACE_SETREGS, p, 0, &r);
		ptrace(PTRACE_POKEUSER, p, (rnd() % 120) * 8, odd());
		iov = (struct iovec){area, rnd() % 3 ? sizeof(area) : rnd() % sizeof(area)};
		ptrace(PTRACE_GETREGSET, p, 0x202, &iov);
		area[rnd() % 1024] = rnd();
		iov.iov_len = rnd() % 3 ? iov.iov_len : rnd() % sizeof(area);
		ptrace(PTRACE_SETREGSET, p, rnd() % 2 ? 0x202 : 2, &iov);
		ptrace(PTRACE_POKEDATA, p, odd(), rnd());
		ptrace(rnd() % 2 ? PTRACE_SINGLESTEP : PTRACE_SYSCALL, p, 0, rnd() % 3 ? 0 : rnd() % 70);
	}
	kill(p, SIGKILL);
	waitpid(p, &st, __WALL);
}

int main(int argc, char **argv)
{
	time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 5);
	long runs = 0;
	int st;

	while (time(NULL) < end) {
		pid_t p = fork();

		rnd();
		if (p == 0) {
			ualarm(200000, 0);
			if (rnd() % 2)
				own_frames();
			else
				traced();
			_exit(0);
		}
		waitpid(p, &st, 0);
		runs++;
	}
	fprintf(stderr, "%ld runs\n", runs);
	printf("still here\n");
	return 0;
}
