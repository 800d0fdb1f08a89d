/* random_calls.c SECONDS: random system calls with random arguments from a pool of likely and absurd values, in
 * several processes and threads. It must not hurt the kernel; what happens to the guest is its own business. */
#include "../guest.h"
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static uint64_t rng(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

static char *area;
static const char *const paths[] = {
	"/",	       ".",	     "..",     "/proc/self/mem", "/proc/self/fd/0", "/dev/zero",
	"/etc/passwd", "/tmp/x",     "/tmp/y", "/proc/1/status", "/dev/ptmx",	    "",
	"//../../..",  "/tmp/d/../x"};

static uint64_t value(uint64_t *s)
{
	switch (rng(s) % 14) {
	case 0:
		return 0;
	case 1:
		return rng(s) % 16;
	case 2:
		return (uint64_t)-1;
	case 3:
		return (uint64_t)(area + rng(s) % 8192);
	case 4:
		return (uint64_t)(area + 4096 - rng(s) % 16); /* across the end into PROT_NONE */
	case 5:
		return (uint64_t)paths[rng(s) % (sizeof(paths) / sizeof(paths[0]))];
	case 6:
		return rng(s) % 4096;
	case 7:
		return 1ULL << (rng(s) % 64);
	case 8:
		return rng(s);
	case 9:
		return 0x7e8000000000ULL + rng(s) % 0x10000; /* where the kernel keeps itself */
	case 10:
		return 0x7ec000000000ULL + rng(s) % 0x10000;
	case 11:
		return (uint64_t)-14;
	case 12:
		return 0x7ffffffff000ULL - rng(s) % 64;
	default:
		return rng(s) % 1024;
	}
}

static bool skip(long nr)
{
	switch (nr) {
	case SYS_exit:
	case SYS_exit_group:
	case SYS_pause:
	case SYS_rt_sigsuspend:
	case SYS_rt_sigtimedwait:
	case SYS_fork:
	case SYS_vfork:
	case SYS_clone:
	case 435:
	case SYS_kill:
	case SYS_tkill:
	case SYS_tgkill:
	case SYS_nanosleep:
	case SYS_clock_nanosleep:
	case SYS_alarm:
	case SYS_setitimer:
	case SYS_rt_sigreturn:
	case SYS_reboot:
	case SYS_execve:
	case SYS_execveat:
	case SYS_wait4:
	case SYS_waitid:
	case SYS_poll:
	case SYS_ppoll:
	case SYS_select:
	case SYS_pselect6:
	case SYS_epoll_wait:
	case SYS_epoll_pwait:
	case 441:
	case SYS_futex:
	case SYS_semtimedop:
	case SYS_semop:
	case SYS_msgrcv:
	case SYS_mq_timedreceive:
	case SYS_rt_sigqueueinfo:
	case SYS_rt_tgsigqueueinfo:
	case SYS_flock:
	case SYS_ptrace:
	case 449:
	case 455:
	case SYS_setrlimit:
	case SYS_prlimit64:
	case SYS_munmap:
	case SYS_mprotect:
	case SYS_mremap:
	case SYS_brk:
		return true;
	}
	return false;
}

static volatile bool stop;

static void *worker(void *arg)
{
	uint64_t s = (uint64_t)arg * 0x9e3779b97f4a7c15ULL + 1;

	while (!stop) {
		long nr = rng(&s) % 32 ? (long)(rng(&s) % 470) : (long)rng(&s);

		if (skip(nr))
			continue;
		syscall(nr, value(&s), value(&s), value(&s), value(&s), value(&s), value(&s));
		if (rng(&s) % 64 == 0)
			memset(area + rng(&s) % 4000, (int)rng(&s), 64);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	int seconds = argc > 1 ? atoi(argv[1]) : 5;
	time_t end = time(NULL) + seconds;

	for (int round = 0; time(NULL) < end; round++) {
		int pids[3];

		for (int k = 0; k < 3; k++) {
			pids[k] = fork();
			if (pids[k] == 0) {
				pthread_t t;

				alarm(2);
				setsid();
				for (int i = 1; i < 64; i++)
					if (i != SIGALRM && i != SIGSEGV)
						signal(i, SIG_IGN);
				area = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
					    0);
				mprotect(area + 4096, 4096, PROT_NONE);
				pthread_create(&t, NULL, worker, (void *)(intptr_t)(round * 100 + k + 50));
				worker((void *)(intptr_t)(round * 7 + k + 1));
			}
		}
		for (int k = 0; k < 3; k++)
			waitpid(pids[k], NULL, 0);
	}
	puts("\nstill here");
	return 0;
}
