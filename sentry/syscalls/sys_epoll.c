/* sys_epoll.c: epoll(7). The sets live in the vfs; here are the checks and the waiting. */
#include "sentry/kernel/signal.h"
#include "sentry/syscalls/internal.h"
#include "sentry/syscalls/poll.h"

static int64_t do_epoll_create(struct task *t, uint32_t flags)
{
	struct file *f;
	int ret;

	if (flags & ~(uint32_t)LINUX_EPOLL_CLOEXEC)
		return -EINVAL;
	ret = epoll_create_file(t->kernel->vfs, t->cred, 0, &f);
	if (ret < 0)
		return ret;
	return sys_install(t, f, flags & LINUX_EPOLL_CLOEXEC);
}

int64_t sys_epoll_create(struct task *t, const struct sysargs *a)
{
	return arg_int(a, 0) <= 0 ? -EINVAL : do_epoll_create(t, 0);
}

int64_t sys_epoll_create1(struct task *t, const struct sysargs *a)
{
	return do_epoll_create(t, arg_u32(a, 0));
}

#define EXCLUSIVE_OK                                                                                           \
	(LINUX_EPOLLIN | LINUX_EPOLLOUT | LINUX_EPOLLERR | LINUX_EPOLLHUP | LINUX_EPOLLWAKEUP |                \
	 LINUX_EPOLLET | LINUX_EPOLLEXCLUSIVE)

static int epoll_check(struct file *ep, struct file *target, int op, struct linux_epoll_event *ev)
{
	if (!target->ops->ready)
		return -EPERM; /* as for regular files and directories */
	if (ep == target || !file_is_epoll(ep))
		return -EINVAL;
	if (op == LINUX_EPOLL_CTL_DEL)
		return 0;
	if (ev->events & LINUX_EPOLLEXCLUSIVE) {
		if (op == LINUX_EPOLL_CTL_MOD)
			return -EINVAL;
		if (file_is_epoll(target) || (ev->events & ~(uint32_t)EXCLUSIVE_OK))
			return -EINVAL;
	}
	ev->events &= ~(uint32_t)LINUX_EPOLLWAKEUP;
	return 0;
}

int64_t sys_epoll_ctl(struct task *t, const struct sysargs *a)
{
	int op = arg_int(a, 1), fd = arg_int(a, 2), ret;
	struct linux_epoll_event ev = {0};
	struct file *ep, *target;

	if (op != LINUX_EPOLL_CTL_DEL) {
		ret = copy_from_user(t, &ev, arg_addr(a, 3), sizeof(ev));
		if (ret < 0)
			return ret;
	}
	ep = sys_file(t, arg_int(a, 0));
	if (!ep)
		return -EBADF;
	target = sys_file(t, fd);
	ret = -EBADF;
	if (!target)
		goto out;
	ret = epoll_check(ep, target, op, &ev);
	if (ret == 0)
		ret = epoll_control(ep, op, fd, target, &ev);
	file_put(target);
out:
	file_put(ep);
	return ret;
}

static int64_t epoll_loop(struct task *t, struct file *ep, struct linux_epoll_event *ev, int max,
			  const struct poll_limit *limit)
{
	struct waiter w;
	int ret = epoll_collect(ep, ev, max);

	if (ret || limit->now)
		return ret;
	task_waiter(t, &w, EV_IN | EV_RDNORM | EV_ERR | EV_HUP);
	w.exclusive = true;
	waitq_add(ep->wq, &w);
	while ((ret = epoll_collect(ep, ev, max)) == 0) {
		ret = task_block(t, limit->deadline);
		if (ret == -ETIMEDOUT) {
			ret = epoll_collect(ep, ev, max);
			break;
		}
		if (ret < 0) {
			/* we may have taken the one wake-up: don't leave its event to nobody */
			ret = epoll_collect(ep, ev, max);
			ret = ret > 0 ? ret : -EINTR;
			break;
		}
	}
	waitq_del(ep->wq, &w);
	return ret;
}

#define EVENTS_MAX 65536

static int64_t do_epoll_wait(struct task *t, int epfd, uaddr_t out, int max, const struct poll_limit *limit)
{
	const int fit = (int)(TASK_BOUNCE_SIZE / sizeof(struct linux_epoll_event));
	struct linux_epoll_event few[8], *ev = few, *large = NULL;
	struct file *ep;
	int64_t ret;

	if (max <= 0 || (uint64_t)max > INT32_MAX / sizeof(*ev))
		return -EINVAL;
	if (!access_ok(out, (uint64_t)max * sizeof(*ev)))
		return -EFAULT;
	ep = sys_file(t, epfd);
	if (!ep)
		return -EBADF;
	ret = -EINVAL;
	if (!file_is_epoll(ep))
		goto put;
	if (max > fit) { /* rarely asked for */
		max = MIN(max, EVENTS_MAX);
		ev = large = kmalloc((size_t)max * sizeof(*ev));
	} else if ((size_t)max > ARRAY_SIZE(few)) {
		ev = task_bounce(t);
	}
	ret = ev ? epoll_loop(t, ep, ev, max, limit) : -ENOMEM;
	if (ret > 0 && copy_to_user(t, out, ev, (size_t)ret * sizeof(*ev)) < 0)
		ret = -EFAULT;
	kfree(large);
put:
	file_put(ep);
	return ret;
}

static struct poll_limit limit_ms(int timeout)
{
	struct poll_limit limit = {.now = timeout == 0};

	if (timeout > 0)
		limit.deadline = deadline_after((uint64_t)timeout * 1000000);
	return limit;
}

int64_t sys_epoll_wait(struct task *t, const struct sysargs *a)
{
	struct poll_limit limit = limit_ms(arg_int(a, 3));

	return do_epoll_wait(t, arg_int(a, 0), arg_addr(a, 1), arg_int(a, 2), &limit);
}

static int64_t epoll_masked(struct task *t, const struct sysargs *a, const struct poll_limit *limit)
{
	bool swapped;
	int64_t ret = poll_sigmask(t, arg_addr(a, 4), arg_u64(a, 5), &swapped);

	if (ret < 0)
		return ret;
	ret = do_epoll_wait(t, arg_int(a, 0), arg_addr(a, 1), arg_int(a, 2), limit);
	/* interrupted: the signal is delivered first, then the old mask comes back */
	if (swapped && ret != -EINTR)
		signal_mask_restore(t);
	return ret;
}

int64_t sys_epoll_pwait(struct task *t, const struct sysargs *a)
{
	struct poll_limit limit = limit_ms(arg_int(a, 3));

	return epoll_masked(t, a, &limit);
}

int64_t sys_epoll_pwait2(struct task *t, const struct sysargs *a)
{
	struct poll_limit limit;
	int ret = poll_limit_user(t, arg_addr(a, 3), &limit);

	return ret < 0 ? ret : epoll_masked(t, a, &limit);
}
