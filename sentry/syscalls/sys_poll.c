/* sys_poll.c: poll(2) and ppoll(2), and the engine they share with select(2). No wake-up is lost: the files are
 * asked again after the waiters stand in their queues. No waiter stays in a queue: one place takes them out. */
#include "sentry/kernel/internal.h"
#include "sentry/kernel/task.h"
#include "sentry/syscalls/internal.h"
#include "sentry/syscalls/poll.h"

static uint32_t item_ready(struct task *t, const struct poll_item *it)
{
	uint32_t ev = file_ready_for(t, it->f);

	if (ev & EV_IN)
		ev |= EV_RDNORM;
	if (ev & EV_OUT)
		ev |= EV_WRNORM;
	return ev & it->want;
}

static uint32_t poll_scan(struct task *t, struct poll_item *items, uint32_t count)
{
	uint32_t i, ready = 0;

	for (i = 0; i < count; i++) {
		if (items[i].f)
			items[i].got = item_ready(t, &items[i]);
		if (items[i].got)
			ready++;
	}
	return ready;
}

static uint32_t wait_mask(uint32_t want)
{
	if (want & (EV_IN | EV_RDNORM))
		want |= EV_IN | EV_RDNORM;
	if (want & (EV_OUT | EV_WRNORM))
		want |= EV_OUT | EV_WRNORM;
	return want | EV_ERR | EV_HUP;
}

int64_t poll_wait(struct task *t, struct poll_item *items, uint32_t count, const struct poll_limit *limit)
{
	uint32_t i, ready = poll_scan(t, items, count);
	int64_t ret;

	if (ready || limit->now)
		return ready;
	for (i = 0; i < count; i++) {
		items[i].wq = items[i].f ? file_wq_for(t, items[i].f) : NULL;
		if (!items[i].wq)
			continue;
		task_waiter(t, &items[i].w, wait_mask(items[i].want));
		waitq_add(items[i].wq, &items[i].w);
	}
	for (;;) {
		ret = poll_scan(t, items, count);
		if (ret)
			break;
		ret = task_block(t, limit->deadline);
		if (ret == -ETIMEDOUT)
			ret = poll_scan(t, items, count);
		else if (ret == 0)
			continue;
		else
			ret = -ERESTARTNOHAND;
		break;
	}
	for (i = 0; i < count; i++)
		if (items[i].wq)
			waitq_del(items[i].wq, &items[i].w);
	return ret;
}

void poll_put(struct poll_item *items, uint32_t count)
{
	uint32_t i;

	for (i = 0; i < count; i++)
		if (items[i].f)
			file_put(items[i].f);
}

int poll_limit_user(struct task *t, uaddr_t uts, struct poll_limit *limit)
{
	struct linux_timespec ts;
	int ret;

	*limit = (struct poll_limit){.now = false};
	if (uts == 0)
		return 0;
	ret = get_timespec(t, uts, &ts);
	if (ret < 0)
		return ret;
	limit->now = ts.tv_sec == 0 && ts.tv_nsec == 0;
	limit->deadline = deadline_after(timespec_ns(&ts));
	return 0;
}

int poll_sigmask(struct task *t, uaddr_t mask, uint64_t size, bool *swapped)
{
	linux_sigset_t set;
	int ret;

	*swapped = false;
	if (mask == 0)
		return 0;
	if (size != sizeof(set))
		return -EINVAL;
	ret = copy_from_user(t, &set, mask, sizeof(set));
	if (ret < 0)
		return ret;
	signal_mask_swap(t, set);
	*swapped = true;
	return 0;
}

int64_t poll_finish(struct task *t, int64_t ret, uaddr_t uts, const struct poll_limit *limit, bool swapped)
{
	struct linux_timespec left = {0, 0};

	if (swapped && ret != -ERESTARTNOHAND)
		signal_mask_restore(t);
	if (uts == 0)
		return ret;
	if (!limit->now && limit->deadline)
		deadline_left(limit->deadline, &left);
	else if (!limit->now)
		return ret;
	/* without the rest of the time written back, a restart would wait too long */
	if (((task_personality(t) & LINUX_STICKY_TIMEOUTS) || copy_to_user(t, uts, &left, sizeof(left)) < 0) &&
	    ret == -ERESTARTNOHAND)
		ret = -EINTR;
	return ret;
}

#define POLL_FAST 6

struct poll_set {
	struct linux_pollfd fast_fds[POLL_FAST];
	struct poll_item fast_items[POLL_FAST];
	struct linux_pollfd *fds;
	struct poll_item *items;
	uint32_t count;
};

static void poll_set_release(struct poll_set *s)
{
	poll_put(s->items, s->count);
	if (s->items != s->fast_items) {
		kfree(s->items);
		kfree(s->fds);
	}
}

static int poll_set_load(struct task *t, struct poll_set *s, uaddr_t ufds, uint32_t count)
{
	uint32_t i;
	int ret;

	s->fds = s->fast_fds;
	s->items = s->fast_items;
	s->count = 0;
	if (count > POLL_FAST) {
		s->fds = kmalloc(count * sizeof(*s->fds));
		s->items = kmalloc(count * sizeof(*s->items));
		if (!s->fds || !s->items) {
			kfree(s->fds);
			kfree(s->items);
			s->items = s->fast_items;
			return -ENOMEM;
		}
	}
	ret = count ? copy_from_user(t, s->fds, ufds, count * sizeof(*s->fds)) : 0;
	if (ret < 0) {
		poll_set_release(s);
		return ret;
	}
	for (i = 0; i < count; i++) {
		struct poll_item *it = &s->items[i];

		it->f = s->fds[i].fd >= 0 ? sys_file(t, s->fds[i].fd) : NULL;
		it->want = (uint16_t)s->fds[i].events | EV_ERR | EV_HUP;
		it->got = !it->f && s->fds[i].fd >= 0 ? EV_NVAL : 0;
	}
	s->count = count;
	return 0;
}

static int64_t do_poll(struct task *t, uaddr_t ufds, uint32_t count, const struct poll_limit *limit)
{
	struct poll_set s;
	int64_t ret;
	uint32_t i;

	if (count > task_rlimit(t, LINUX_RLIMIT_NOFILE))
		return -EINVAL;
	ret = poll_set_load(t, &s, ufds, count);
	if (ret < 0)
		return ret;
	ret = poll_wait(t, s.items, s.count, limit);
	if (ret >= 0 && count) {
		int err;

		for (i = 0; i < count; i++)
			s.fds[i].revents = (int16_t)s.items[i].got;
		err = copy_to_user(t, ufds, s.fds, count * sizeof(*s.fds));
		if (err < 0)
			ret = err;
	}
	poll_set_release(&s);
	return ret;
}

static int64_t poll_again(struct task *t, struct restart_block *r);

/* Interrupted without a handler: goes on with the time that is left. */
static int64_t poll_later(struct task *t, uaddr_t ufds, uint32_t count, uint64_t deadline)
{
	t->p->restart = (struct restart_block){.fn = poll_again, .deadline = deadline, .a = {ufds, count}};
	return -ERESTART_RESTARTBLOCK;
}

static int64_t poll_again(struct task *t, struct restart_block *r)
{
	struct poll_limit limit = {.deadline = r->deadline};
	uaddr_t ufds = r->a[0];
	uint32_t count = (uint32_t)r->a[1];
	int64_t ret = do_poll(t, ufds, count, &limit);

	return ret == -ERESTARTNOHAND ? poll_later(t, ufds, count, limit.deadline) : ret;
}

int64_t sys_poll(struct task *t, const struct sysargs *a)
{
	int timeout = arg_int(a, 2);
	struct poll_limit limit = {.now = timeout == 0};
	int64_t ret;

	if (timeout > 0)
		limit.deadline = deadline_after((uint64_t)timeout * 1000000);
	ret = do_poll(t, arg_addr(a, 0), arg_u32(a, 1), &limit);
	return ret == -ERESTARTNOHAND ? poll_later(t, arg_addr(a, 0), arg_u32(a, 1), limit.deadline) : ret;
}

int64_t sys_ppoll(struct task *t, const struct sysargs *a)
{
	struct poll_limit limit;
	bool swapped = false;
	int64_t ret = poll_limit_user(t, arg_addr(a, 2), &limit);

	if (ret == 0)
		ret = poll_sigmask(t, arg_addr(a, 3), arg_u64(a, 4), &swapped);
	if (ret < 0)
		return ret;
	ret = do_poll(t, arg_addr(a, 0), arg_u32(a, 1), &limit);
	return poll_finish(t, ret, arg_addr(a, 2), &limit, swapped);
}
