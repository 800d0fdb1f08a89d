/* timerfd.c: timerfd_create(2): expiries as a readable count. Lock: the timerfd's, rank SIGHAND-like leaf
 * above the timer queue's. */
#include "platform/abi/fcntl.h"
#include "platform/abi/ioctl.h"
#include "platform/base/strbuf.h"
#include "sentry/kernel/internal.h"

struct timerfd {
	struct refs refs; /* the file, and the timer thread while it runs */
	struct mutex lock;
	struct waitq wq;
	struct timer timer;
	struct kernel *kernel; /* [I] */
	int32_t clock;	       /* [I] */
	uint64_t expires;      /* [lock] monotonic ns; 0: off */
	uint64_t interval;     /* [lock] */
	uint64_t ticks;	       /* [lock] since the last read */
	int set_flags;	       /* [lock] as given, for fdinfo */
};

static void expired(struct timer *timer)
{
	struct timerfd *tf = container_of(timer, struct timerfd, timer);
	uint64_t now = kernel_now(), n = 0;

	mutex_lock(&tf->lock);
	if (tf->expires && tf->expires <= now) {
		n = 1;
		if (tf->interval)
			n += (now - tf->expires) / tf->interval;
		tf->ticks += n;
		/* With an interval the next expiry is due even when nobody reads; but a reader that is late
		 * gets them counted by arithmetic, so no timer runs until it has read. */
		tf->expires += n * tf->interval;
		if (!tf->interval)
			tf->expires = 0;
	}
	if (tf->expires && !tf->interval)
		timer_set(timer, tf->expires);
	mutex_unlock(&tf->lock);
	if (n)
		waitq_wake(&tf->wq, EV_IN | EV_RDNORM);
}

/* Expiries of an interval timer that came while nobody looked. */
static void catch_up_locked(struct timerfd *tf)
{
	uint64_t now, n;

	if (!tf->expires || !tf->ticks || !tf->interval)
		return;
	now = kernel_now();
	if (tf->expires > now)
		return;
	n = 1 + (now - tf->expires) / tf->interval;
	tf->ticks += n;
	tf->expires += n * tf->interval;
}

static ssize_t timerfd_read(struct file *f, struct uio *dst, uint64_t *pos)
{
	struct timerfd *tf = f->priv;
	uint64_t ticks;

	(void)pos;
	if (dst->resid < sizeof(ticks))
		return -EINVAL;
	mutex_lock(&tf->lock);
	catch_up_locked(tf);
	ticks = tf->ticks;
	tf->ticks = 0;
	if (ticks && tf->expires && tf->interval)
		timer_set(&tf->timer, tf->expires);
	mutex_unlock(&tf->lock);
	return ticks ? uio_put(dst, &ticks, sizeof(ticks)) : -EAGAIN;
}

static uint32_t timerfd_ready(struct file *f)
{
	struct timerfd *tf = f->priv;
	uint32_t ev;

	mutex_lock(&tf->lock);
	ev = tf->ticks ? EV_IN | EV_RDNORM : 0;
	mutex_unlock(&tf->lock);
	return ev;
}

static int64_t timerfd_ioctl(struct file *f, uint32_t cmd, uint64_t arg, const struct usermem *um,
			     const struct cred *cred)
{
	struct timerfd *tf = f->priv;
	uint64_t ticks;

	(void)cred;
	if (cmd != LINUX_TFD_IOC_SET_TICKS)
		return -ENOTTY;
	if (usermem_in(um, &ticks, arg, sizeof(ticks)) < 0)
		return -EFAULT;
	if (!ticks)
		return -EINVAL;
	mutex_lock(&tf->lock);
	tf->ticks = ticks;
	mutex_unlock(&tf->lock);
	waitq_wake(&tf->wq, EV_IN | EV_RDNORM);
	return 0;
}

static void timerfd_release(struct file *f)
{
	struct timerfd *tf = f->priv;

	timer_cancel_sync(&tf->timer);
	kfree(tf);
}

static void show_fdinfo(struct file *f, struct strbuf *out)
{
	struct timerfd *tf = f->priv;
	struct linux_itimerspec its;

	if (timerfd_gettime(f, &its) < 0)
		return;
	strbuf_printf(out,
		      "clockid: %d\nticks: %lu\nsettime flags: 0%o\nit_value: (%ld, %ld)\nit_interval: "
		      "(%ld, %ld)\n",
		      tf->clock, tf->ticks, (unsigned)tf->set_flags, its.it_value.tv_sec, its.it_value.tv_nsec,
		      its.it_interval.tv_sec, its.it_interval.tv_nsec);
}

/* As Linux: there is no position, but moving it isn't an error. */
static int64_t no_seek(struct file *f, int64_t off, int whence)
{
	(void)f, (void)off, (void)whence;
	return 0;
}

static const struct file_ops timerfd_ops = {
	.seek = no_seek,
	.read = timerfd_read,
	.ready = timerfd_ready,
	.ioctl = timerfd_ioctl,
	.release = timerfd_release,
	.show_fdinfo = show_fdinfo,
	.name = "anon_inode:[timerfd]",
};

int timerfd_create(struct task *t, int32_t clock, uint32_t flags, struct file **out)
{
	struct timerfd *tf;
	int ret;

	switch (clock) {
	case LINUX_CLOCK_REALTIME:
	case LINUX_CLOCK_MONOTONIC:
	case LINUX_CLOCK_BOOTTIME:
		break;
	case LINUX_CLOCK_REALTIME_ALARM:
	case LINUX_CLOCK_BOOTTIME_ALARM:
		if (!cred_has_cap_in(t->cred, LINUX_CAP_WAKE_ALARM, t->kernel->user_ns))
			return -EPERM;
		break;
	default:
		return -EINVAL;
	}
	tf = kmalloc(sizeof(*tf));
	if (!tf)
		return -ENOMEM;
	mutex_init(&tf->lock, RANK_SIGHAND);
	waitq_init(&tf->wq);
	tf->kernel = t->kernel;
	tf->clock = clock;
	timer_init(&tf->timer, t->kernel->timers, expired);
	ret = file_create_anon(t->kernel->vfs, &timerfd_ops, tf, LINUX_O_RDWR | (flags & LINUX_O_NONBLOCK),
			       0600, t->cred, &tf->wq, out);
	if (ret < 0)
		kfree(tf);
	return ret;
}

static void left_locked(struct timerfd *tf, struct linux_itimerspec *out)
{
	uint64_t now = kernel_now();

	catch_up_locked(tf);
	*out = (struct linux_itimerspec){.it_interval = timespec_from_ns((int64_t)tf->interval)};
	if (tf->expires)
		out->it_value = timespec_from_ns(tf->expires > now ? (int64_t)(tf->expires - now) : 1);
}

int timerfd_settime(struct task *t, struct file *f, int flags, const struct linux_itimerspec *in,
		    struct linux_itimerspec *old)
{
	struct timerfd *tf = f->priv;
	uint64_t value, deadline = 0;
	int ret = 0;

	if (f->ops != &timerfd_ops || (flags & ~(LINUX_TFD_TIMER_ABSTIME | LINUX_TFD_TIMER_CANCEL_ON_SET)))
		return -EINVAL;
	if (!timespec_valid(&in->it_value) || !timespec_valid(&in->it_interval))
		return -EINVAL;
	value = timespec_to_ns(&in->it_value);
	if (value)
		ret = clock_deadline(t, tf->clock, (flags & LINUX_TFD_TIMER_ABSTIME) != 0, &in->it_value,
				     &deadline);
	if (ret < 0)
		return ret;
	mutex_lock(&tf->lock);
	left_locked(tf, old);
	tf->ticks = 0;
	tf->interval = timespec_to_ns(&in->it_interval);
	tf->expires = deadline;
	tf->set_flags = flags;
	if (deadline)
		timer_set(&tf->timer, deadline);
	else
		(void)timer_cancel(&tf->timer);
	mutex_unlock(&tf->lock);
	return 0;
}

int timerfd_gettime(struct file *f, struct linux_itimerspec *out)
{
	struct timerfd *tf = f->priv;

	if (f->ops != &timerfd_ops)
		return -EINVAL;
	mutex_lock(&tf->lock);
	left_locked(tf, out);
	mutex_unlock(&tf->lock);
	return 0;
}
