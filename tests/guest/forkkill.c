/* A signal right after fork(2), while the child is still being made: it must arrive, at the child alone. */
#include "tests/guest/guest.h"

#define ROUNDS 400

static volatile sig_atomic_t got;

static void count(int sig)
{
	(void)sig;
	got++;
}

/* Children that never call the kernel: nothing but the signal ends them. */
static void killed_while_running(void)
{
	int by_term = 0, other = 0;

	for (int i = 0; i < ROUNDS; i++) {
		int status, p = fork();

		if (p == 0)
			for (;;)
				;
		MUST(kill(p, SIGTERM) == 0);
		MUST(waitpid(p, &status, 0) == p);
		if (WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM)
			by_term++;
		else
			other++;
	}
	printf("ended by SIGTERM %d, else %d\n", by_term, other);
}

/* Both are told at the same time, and both go on where they were. */
static void both_handle(void)
{
	int good = 0;

	signal(SIGUSR1, count);
	for (int i = 0; i < ROUNDS; i++) {
		int status, p = fork();

		if (p == 0) {
			kill(getppid(), SIGUSR1);
			while (!got)
				;
			_exit(7);
		}
		MUST(kill(p, SIGUSR1) == 0);
		while (waitpid(p, &status, 0) < 0)
			MUST(errno == EINTR);
		if (WIFEXITED(status) && WEXITSTATUS(status) == 7)
			good++;
		got = 0;
	}
	printf("both handled it %d\n", good);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	killed_while_running();
	both_handle();
	return 0;
}
