/* epoll_test.c: the semantics of epoll(7), on files whose readiness the test sets. */
#include <criterion/criterion.h>

#include "platform/abi/poll.h"
#include "sentry/vfs/internal.h"

static struct vfs *v;
static struct cred *cred;

struct switchable {
	uint32_t ready;
	struct waitq wq;
};

static uint32_t switch_ready(struct file *f)
{
	return ((struct switchable *)f->priv)->ready;
}

static const struct file_ops switch_ops = {.ready = switch_ready};
static const struct file_ops regular_ops = {.seekable = true};

static void setup(void)
{
	struct user_ns *ns;

	cr_assert_eq(arena_init(), 0);
	cr_assert_eq(user_ns_create(NULL, NULL, &ns), 0);
	cr_assert_eq(cred_create(ns, 0, 0, CAPSET_ALL, &cred), 0);
	cr_assert_eq(vfs_create(&v), 0);
}

TestSuite(epoll, .init = setup);

static struct file *make(void)
{
	struct switchable *s = kmalloc(sizeof(*s));
	struct file *f = NULL;

	waitq_init(&s->wq);
	cr_assert_eq(file_create_anon(v, &switch_ops, s, LINUX_O_RDWR, 0600, cred, &s->wq, &f), 0);
	return f;
}

static void signal_ready(struct file *f, uint32_t ready)
{
	struct switchable *s = f->priv;

	__atomic_store_n(&s->ready, ready, __ATOMIC_SEQ_CST);
	if (ready)
		waitq_wake(&s->wq, ready);
}

static struct file *set(void)
{
	struct file *f = NULL;

	cr_assert_eq(epoll_create_file(v, cred, 0, &f), 0);
	return f;
}

static int ctl(struct file *ep, int op, int fd, struct file *f, uint32_t events)
{
	struct linux_epoll_event ev = {events, (uint64_t)fd};

	return epoll_control(ep, op, fd, f, &ev);
}

static int collect(struct file *ep, struct linux_epoll_event *ev)
{
	return epoll_collect(ep, ev, 8);
}

#define ADD LINUX_EPOLL_CTL_ADD
#define MOD LINUX_EPOLL_CTL_MOD
#define DEL LINUX_EPOLL_CTL_DEL

Test(epoll, level)
{
	struct linux_epoll_event ev[8];
	struct file *ep = set(), *a = make(), *b = make();

	signal_ready(a, EV_IN);
	cr_assert_eq(ctl(ep, ADD, 1, a, LINUX_EPOLLIN), 0);
	cr_assert_eq(ctl(ep, ADD, 1, a, LINUX_EPOLLIN), -EEXIST);
	cr_assert_eq(ctl(ep, ADD, 2, a, LINUX_EPOLLOUT), 0); /* another descriptor of it */
	cr_assert_eq(ctl(ep, ADD, 3, b, LINUX_EPOLLIN), 0);
	cr_assert_eq(collect(ep, ev), 1);
	cr_assert(ev[0].data == 1 && ev[0].events == LINUX_EPOLLIN);
	cr_assert_eq(collect(ep, ev), 1);
	signal_ready(b, EV_IN | EV_HUP);
	cr_assert_eq(collect(ep, ev), 2);
	cr_assert_eq(ev[0].events + ev[1].events,
		     2 * LINUX_EPOLLIN + LINUX_EPOLLHUP); /* nobody asked for HUP */
	file_put(a);
	file_put(b);
	file_put(ep);
}

Test(epoll, edge_and_oneshot)
{
	struct linux_epoll_event ev[8];
	struct file *ep = set(), *a = make(), *b = make();

	cr_assert_eq(ctl(ep, ADD, 1, a, LINUX_EPOLLIN | LINUX_EPOLLET), 0);
	signal_ready(a, EV_IN);
	cr_assert_eq(collect(ep, ev), 1);
	cr_assert_eq(collect(ep, ev), 0);
	signal_ready(a, EV_IN);
	signal_ready(a, EV_IN);
	cr_assert_eq(collect(ep, ev), 1);
	cr_assert_eq(ctl(ep, MOD, 1, a, LINUX_EPOLLIN | LINUX_EPOLLET), 0);
	cr_assert_eq(collect(ep, ev), 1); /* a change looks again */
	cr_assert_eq(ctl(ep, DEL, 1, a, 0), 0);
	cr_assert_eq(ctl(ep, DEL, 1, a, 0), -ENOENT);
	cr_assert_eq(ctl(ep, MOD, 1, a, 0), -ENOENT);
	cr_assert_eq(ctl(ep, ADD, 2, b, LINUX_EPOLLIN | LINUX_EPOLLONESHOT), 0);
	signal_ready(b, EV_IN);
	cr_assert_eq(collect(ep, ev), 1);
	signal_ready(b, EV_IN);
	cr_assert_eq(collect(ep, ev), 0);
	cr_assert_eq(ctl(ep, MOD, 2, b, LINUX_EPOLLIN | LINUX_EPOLLONESHOT), 0);
	cr_assert_eq(collect(ep, ev), 1);
}

Test(epoll, becomes_unready_before_collecting)
{
	struct linux_epoll_event ev[8];
	struct file *ep = set(), *a = make();

	cr_assert_eq(ctl(ep, ADD, 1, a, LINUX_EPOLLIN), 0);
	signal_ready(a, EV_IN);
	signal_ready(a, 0);
	cr_assert_eq(file_ready(ep), 0);
	cr_assert_eq(collect(ep, ev), 0);
	signal_ready(a, EV_IN);
	cr_assert_eq(file_ready(ep), EV_IN | EV_RDNORM);
	cr_assert_eq(collect(ep, ev), 1);
}

Test(epoll, forgets_closed_files)
{
	struct linux_epoll_event ev[8];
	struct file *ep = set(), *ep2 = set(), *a = make();

	cr_assert_eq(ctl(ep, ADD, 1, a, LINUX_EPOLLIN), 0);
	cr_assert_eq(ctl(ep2, ADD, 1, a, LINUX_EPOLLIN), 0);
	signal_ready(a, EV_IN);
	file_put(a);
	cr_assert_eq(collect(ep, ev), 0);
	file_put(ep2);
	cr_assert_eq(collect(ep, ev), 0);
}

Test(epoll, sets_close_before_their_files)
{
	struct file *ep = set(), *a = make();

	cr_assert_eq(ctl(ep, ADD, 1, a, LINUX_EPOLLIN), 0);
	file_put(ep);
	cr_assert(list_empty(&a->epolls));
	signal_ready(a, EV_IN);
	file_put(a);
}

Test(epoll, nesting)
{
	struct linux_epoll_event ev[8];
	struct file *s[7], *a = make();

	for (int i = 0; i < 7; i++)
		s[i] = set();
	cr_assert_eq(ctl(s[0], ADD, 1, s[0], LINUX_EPOLLIN), -EINVAL);
	for (int i = 0; i < 4; i++)
		cr_assert_eq(ctl(s[i], ADD, 1, s[i + 1], LINUX_EPOLLIN), 0);
	cr_assert_eq(ctl(s[4], ADD, 1, s[5], LINUX_EPOLLIN), -ELOOP); /* too deep */
	cr_assert_eq(ctl(s[6], ADD, 1, s[0], LINUX_EPOLLIN), -ELOOP);
	cr_assert_eq(ctl(s[3], ADD, 2, s[0], LINUX_EPOLLIN), -ELOOP); /* a circle */
	cr_assert_eq(ctl(s[4], ADD, 9, a, LINUX_EPOLLIN), 0);
	cr_assert_eq(collect(s[0], ev), 0);
	signal_ready(a, EV_IN);
	cr_assert_eq(collect(s[0], ev), 1);
	cr_assert_eq(collect(s[4], ev), 1);
	signal_ready(a, 0);
	cr_assert_eq(collect(s[0], ev), 0);
}

Test(epoll, refusals)
{
	struct file *ep = set(), *a = make(), *plain = NULL;

	cr_assert_eq(file_create_anon(v, &regular_ops, NULL, LINUX_O_RDWR, 0600, cred, NULL, &plain), 0);
	cr_assert_eq(ctl(ep, ADD, 1, plain, LINUX_EPOLLIN), -EPERM);
	cr_assert_eq(ctl(a, ADD, 1, ep, LINUX_EPOLLIN), -EINVAL);
	cr_assert_eq(ctl(ep, 77, 1, a, LINUX_EPOLLIN), -EINVAL);
	cr_assert_eq(ctl(ep, ADD, 1, a, LINUX_EPOLLIN | LINUX_EPOLLEXCLUSIVE | LINUX_EPOLLONESHOT), -EINVAL);
	cr_assert_eq(ctl(ep, ADD, 1, a, LINUX_EPOLLIN | LINUX_EPOLLEXCLUSIVE), 0);
	cr_assert_eq(ctl(ep, MOD, 1, a, LINUX_EPOLLIN), -EINVAL);
}

Test(epoll, many_ready_in_turn)
{
	struct linux_epoll_event ev[8];
	struct file *ep = set(), *f[100];
	int seen[100] = {0};

	for (int i = 0; i < 100; i++) {
		f[i] = make();
		cr_assert_eq(ctl(ep, ADD, i, f[i], LINUX_EPOLLIN), 0);
		signal_ready(f[i], EV_IN);
	}
	for (int round = 0; round < 25; round++) { /* nobody starves */
		cr_assert_eq(collect(ep, ev), 8);
		for (int k = 0; k < 8; k++)
			seen[ev[k].data]++;
	}
	for (int i = 0; i < 100; i++)
		cr_assert_eq(seen[i], 2);
}

static int woken;

static bool count_wake(struct waiter *w, uint32_t events)
{
	(void)w, (void)events;
	woken++;
	return true;
}

Test(epoll, exclusive_wakes_one_set)
{
	struct waiter wa = {.mask = EV_IN, .func = count_wake}, wb = wa;
	struct file *s[2] = {set(), set()}, *a = make();

	waitq_add(s[0]->wq, &wa);
	waitq_add(s[1]->wq, &wb);
	for (int i = 0; i < 2; i++)
		cr_assert_eq(ctl(s[i], ADD, 1, a, LINUX_EPOLLIN | LINUX_EPOLLEXCLUSIVE), 0);
	signal_ready(a, EV_IN);
	cr_assert_eq(woken, 1);
	waitq_del(s[0]->wq, &wa);
	waitq_del(s[1]->wq, &wb);
}
