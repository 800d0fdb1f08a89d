/* futex(2) beyond plain wait and wake: bit sets, requeueing, WAKE_OP, vectors, PI locks, robust lists. */
#include "tests/guest/guest.h"

#include <linux/futex.h>
#include <pthread.h>

static long fut(uint32_t *a, int op, uint32_t v, const void *t, uint32_t *b, uint32_t v3)
{
	return syscall(SYS_futex, a, op, v, t, b, v3);
}

static uint32_t *w; /* shared words */

static void ms(int n)
{
	struct timespec ts = {0, n * 1000000L};

	nanosleep(&ts, NULL);
}

struct waiter {
	uint32_t *word;
	uint32_t bits;
	long result;
	int err;
};

static void *wait_bits(void *arg)
{
	struct waiter *x = arg;

	x->result = fut(x->word, FUTEX_WAIT_BITSET_PRIVATE, 0, NULL, NULL, x->bits);
	x->err = errno;
	return NULL;
}

static void bitsets(void)
{
	struct waiter x[3] = {{w, 1, 0, 0}, {w, 2, 0, 0}, {w, 6, 0, 0}};
	pthread_t t[3];

	for (int i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, wait_bits, &x[i]);
	ms(50);
	SHOW(fut(w, FUTEX_WAKE_BITSET_PRIVATE, 9, NULL, NULL, 8));
	SHOW(fut(w, FUTEX_WAKE_BITSET_PRIVATE, 9, NULL, NULL, 2));
	SHOW(fut(w, FUTEX_WAKE_BITSET_PRIVATE, 9, NULL, NULL, 0));
	SHOW(fut(w, FUTEX_WAKE_PRIVATE, 9, NULL, NULL, 0));
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	SHOW(fut(w, FUTEX_WAIT_BITSET_PRIVATE, 0, NULL, NULL, 0));
}

static void requeues(void)
{
	struct waiter x[4] = {{w, ~0u, 0, 0}, {w, ~0u, 0, 0}, {w, ~0u, 0, 0}, {w, ~0u, 0, 0}};
	pthread_t t[4];

	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, wait_bits, &x[i]);
	ms(50);
	SHOW(fut(w, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)1L, w + 1, 5));
	SHOW(fut(w, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)2L, w + 1, 0));
	SHOW(fut(w, FUTEX_WAKE_PRIVATE, 9, NULL, NULL, 0));
	SHOW(fut(w + 1, FUTEX_WAKE_PRIVATE, 9, NULL, NULL, 0));
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
}

static void wake_ops(void)
{
	struct waiter x[2] = {{w, ~0u, 0, 0}, {w + 1, ~0u, 0, 0}};
	pthread_t t[2];

	for (int i = 0; i < 2; i++)
		pthread_create(&t[i], NULL, wait_bits, &x[i]);
	ms(50);
	SHOW(fut(w, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1L, w + 1,
		 FUTEX_OP(FUTEX_OP_ADD, 5, FUTEX_OP_CMP_EQ, 0)));
	printf("word %u\n", w[1]);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	SHOW(fut(w, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1L, w + 1,
		 FUTEX_OP(FUTEX_OP_ANDN, 4, FUTEX_OP_CMP_GT, 9)));
	printf("word %u\n", w[1]);
	SHOW(fut(w, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1L, w + 1,
		 FUTEX_OP((FUTEX_OP_OR | FUTEX_OP_OPARG_SHIFT), 4, FUTEX_OP_CMP_LT, 9)));
	printf("word %u\n", w[1]);
	SHOW(fut(w, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1L, w + 1,
		 FUTEX_OP(FUTEX_OP_SET, 0, FUTEX_OP_CMP_NE, 0)));
	SHOW(fut(w, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1L, w + 1, 7u << 28));
	w[1] = 0;
}

static void refused(void)
{
	struct timespec past = {0, 1000000}, bad = {0, 2000000000};

	SHOW(fut(w, FUTEX_WAIT, 1, NULL, NULL, 0));
	SHOW(fut(w, FUTEX_WAIT, 0, &past, NULL, 0));
	SHOW(fut(w, FUTEX_WAIT, 0, &bad, NULL, 0));
	SHOW(fut(w, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, &past, NULL, 1));
	SHOW(fut((uint32_t *)((char *)w + 1), FUTEX_WAIT, 0, NULL, NULL, 0));
	SHOW(fut((uint32_t *)8, FUTEX_WAIT, 0, NULL, NULL, 0));
	SHOW(fut((uint32_t *)8, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
	SHOW(fut((uint32_t *)(8UL << 60), FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
	SHOW(fut(w, 99, 0, NULL, NULL, 0));
	SHOW(fut(w, FUTEX_WAKE | FUTEX_CLOCK_REALTIME, 0, NULL, NULL, 0));
	SHOW(fut(w, FUTEX_FD, 0, NULL, NULL, 0));
	SHOW(fut(w, FUTEX_WAKE, 0, NULL, NULL, 0));
	SHOW(fut(w, FUTEX_CMP_REQUEUE, -1, (void *)1L, w + 1, 0));
}

static void shared(void)
{
	pid_t p = fork();
	int st;

	if (p == 0) {
		while (__atomic_load_n(w, __ATOMIC_SEQ_CST) == 0)
			fut(w, FUTEX_WAIT, 0, NULL, NULL, 0);
		_exit(4);
	}
	ms(30);
	SHOW(fut(w, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0)); /* another address space */
	__atomic_store_n(w, 1, __ATOMIC_SEQ_CST);
	SHOW(fut(w, FUTEX_WAKE, 1, NULL, NULL, 0));
	waitpid(p, &st, 0);
	show_status("shared", st);
	*w = 0;
}

struct waitv_in {
	uint64_t val, uaddr;
	uint32_t flags, reserved;
};

static void *wake_second(void *arg)
{
	(void)arg;
	ms(50);
	fut(w + 1, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	return NULL;
}

static void vectors(void)
{
	struct waitv_in v[2] = {{0, (uintptr_t)w, 2 | FUTEX_PRIVATE_FLAG, 0},
				{0, (uintptr_t)(w + 1), 2 | FUTEX_PRIVATE_FLAG, 0}};
	struct timespec past = {0, 1};
	pthread_t t;

	if (syscall(449, v, 0, 0, NULL, 0) == -1 && errno == ENOSYS)
		return;
	pthread_create(&t, NULL, wake_second, NULL);
	SHOW(syscall(449, v, 2, 0, NULL, CLOCK_MONOTONIC));
	pthread_join(t, NULL);
	SHOW(syscall(449, v, 2, 0, &past, CLOCK_MONOTONIC));
	v[1].val = 7;
	SHOW(syscall(449, v, 2, 0, NULL, CLOCK_MONOTONIC));
	v[1].flags = 1;
	SHOW(syscall(449, v, 2, 0, NULL, CLOCK_MONOTONIC));
	SHOW(syscall(449, v, 200, 0, NULL, CLOCK_MONOTONIC));
	SHOW(syscall(449, v, 1, 1, NULL, CLOCK_MONOTONIC));
}

static pthread_mutex_t pi;
static volatile int inside, most, total;

static void *pi_user(void *arg)
{
	(void)arg;
	for (int i = 0; i < 300; i++) {
		pthread_mutex_lock(&pi);
		if (++inside > most)
			most = inside;
		total++;
		if (i % 50 == 0)
			sched_yield();
		inside--;
		pthread_mutex_unlock(&pi);
	}
	return NULL;
}

static void *take_and_die(void *arg)
{
	pthread_mutex_lock(arg);
	return NULL;
}

static void robust(int protocol)
{
	pthread_mutexattr_t a;
	pthread_mutex_t m;
	pthread_t t;

	pthread_mutexattr_init(&a);
	pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
	pthread_mutexattr_setprotocol(&a, protocol);
	pthread_mutex_init(&m, &a);
	pthread_create(&t, NULL, take_and_die, &m);
	pthread_join(t, NULL);
	SHOW(pthread_mutex_lock(&m) == EOWNERDEAD);
	SHOW(pthread_mutex_consistent(&m));
	SHOW(pthread_mutex_unlock(&m));
	SHOW(pthread_mutex_lock(&m));
	SHOW(pthread_mutex_unlock(&m));
}

static void pis(void)
{
	pthread_mutexattr_t a;
	struct timespec ts;
	pthread_t t[4];
	pid_t owner;

	pthread_mutexattr_init(&a);
	pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_INHERIT);
	pthread_mutex_init(&pi, &a);
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, pi_user, NULL);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	printf("most %d total %d\n", most, total);
	pthread_mutex_lock(&pi);
	pthread_create(&t[0], NULL, pi_user, NULL);
	ms(20);
	pthread_mutex_unlock(&pi);
	pthread_join(t[0], NULL);
	*w = 0;
	SHOW(fut(w, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
	printf("own %d\n", (pid_t)*w == (pid_t)syscall(SYS_gettid));
	SHOW(fut(w, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
	SHOW(fut(w, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0));
	SHOW(fut(w, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
	SHOW(fut(w, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
	*w = 0x3ffffff; /* nobody's id */
	SHOW(fut(w, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
	owner = fork();
	if (owner == 0)
		for (;;)
			pause();
	*w = owner;
	SHOW(fut(w, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0));
	clock_gettime(CLOCK_REALTIME, &ts);
	SHOW(fut(w, FUTEX_LOCK_PI, 0, &ts, NULL, 0));
	kill(owner, SIGKILL);
	waitpid(owner, NULL, 0);
	*w = 0;
}

int main(void)
{
	w = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	bitsets();
	requeues();
	wake_ops();
	refused();
	shared();
	vectors();
	pis();
	robust(PTHREAD_PRIO_NONE);
	robust(PTHREAD_PRIO_INHERIT);
	return 0;
}
