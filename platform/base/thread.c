/* thread.c: a pool of parked pthreads with small stacks. The pool's head is the process's, not the
 * kernel's: host threads belong to one host process and never move. */
#include "platform/base/thread.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "platform/base/arena.h"
#include "platform/base/bug.h"
#include "platform/base/lock.h"

#define STACK_SIZE (SBX_ASAN ? 1024 * 1024UL : 64 * 1024UL)
#define PARKED_MAX 16

struct worker {
	struct worker *next; /* [pool.lock] while parked */
	uint32_t go;	     /* [a] */
	void (*fn)(void *arg);
	void *arg;
	char name[16];
};

/* The only process-wide state of this room: which of this process's threads are free. */
static struct {
	struct mutex lock;
	struct worker *parked;
	int parked_count;
} pool;

static bool park(struct worker *w)
{
	mutex_lock(&pool.lock);
	if (pool.parked_count >= PARKED_MAX) {
		mutex_unlock(&pool.lock);
		return false;
	}
	__atomic_store_n(&w->go, 0, __ATOMIC_RELAXED);
	w->next = pool.parked;
	pool.parked = w;
	pool.parked_count++;
	mutex_unlock(&pool.lock);
	while (__atomic_load_n(&w->go, __ATOMIC_ACQUIRE) == 0)
		(void)futex_wait_word(&w->go, 0, 0);
	return true;
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;

	do {
		prctl(PR_SET_NAME, w->name);
		w->fn(w->arg);
		lock_assert_none_held();
	} while (park(w));
	kfree(w);
	return NULL;
}

static int spawn(struct worker *w)
{
	pthread_attr_t attr;
	sigset_t all, old;
	pthread_t thread;
	int err;

	if (pthread_attr_init(&attr))
		return -ENOMEM;
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&thread, &attr, worker_main, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return -err;
}

int thread_start(void (*fn)(void *arg), void *arg, const char *name)
{
	struct worker *w;
	int ret;

	mutex_lock(&pool.lock);
	w = pool.parked;
	if (w) {
		pool.parked = w->next;
		pool.parked_count--;
	}
	mutex_unlock(&pool.lock);
	if (!w) {
		w = kmalloc(sizeof(*w));
		if (!w)
			return -ENOMEM;
		w->fn = fn;
		w->arg = arg;
		strncpy(w->name, name, sizeof(w->name) - 1);
		ret = spawn(w);
		if (ret < 0)
			kfree(w);
		return ret;
	}
	w->fn = fn;
	w->arg = arg;
	memset(w->name, 0, sizeof(w->name));
	strncpy(w->name, name, sizeof(w->name) - 1);
	__atomic_store_n(&w->go, 1, __ATOMIC_RELEASE);
	futex_wake_word(&w->go, 1);
	return 0;
}

void thread_yield(void)
{
	sched_yield();
}

int thread_global_barrier(void)
{
	return syscall(SYS_membarrier, 1, 0, 0) < 0 ? -errno : 0; /* MEMBARRIER_CMD_GLOBAL */
}
