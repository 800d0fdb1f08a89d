/* eventfd.c: see eventfd.h. Lock: the counter's own, of rank PIPE; user memory is copied outside it. */
#include "sentry/fs/eventfd.h"

#include "platform/abi/errno.h"
#include "platform/abi/fcntl.h"
#include "platform/base/arena.h"
#include "platform/base/strbuf.h"

#define IN_EVENTS     (EV_IN | EV_RDNORM)
#define OUT_EVENTS    (EV_OUT | EV_WRNORM)
#define COUNT_MAX     (UINT64_MAX - 1)
#define EFD_SEMAPHORE 1u

struct eventfd {
	struct mutex lock;
	uint64_t count; /* [lock] */
	bool semaphore; /* [I] */
	struct waitq wq;
};

static ssize_t eventfd_read(struct file *f, struct uio *dst, uint64_t *pos)
{
	struct eventfd *e = f->priv;
	uint64_t v;
	ssize_t ret;

	(void)pos;
	if (dst->resid < sizeof(v))
		return -EINVAL;
	mutex_lock(&e->lock);
	v = e->semaphore && e->count ? 1 : e->count;
	e->count -= v;
	mutex_unlock(&e->lock);
	if (v == 0)
		return -EAGAIN;
	waitq_wake(&e->wq, OUT_EVENTS);
	ret = uio_put(dst, &v, sizeof(v));
	return ret == (ssize_t)sizeof(v) ? ret : -EFAULT;
}

static ssize_t eventfd_write(struct file *f, struct uio *src, uint64_t *pos)
{
	struct eventfd *e = f->priv;
	struct uio saved = *src;
	bool full;
	uint64_t v;
	ssize_t ret;

	(void)pos;
	if (src->resid < sizeof(v))
		return -EINVAL;
	ret = uio_get(src, &v, sizeof(v));
	if (ret != (ssize_t)sizeof(v))
		return -EFAULT;
	if (v == UINT64_MAX)
		return -EINVAL;
	mutex_lock(&e->lock);
	full = v > COUNT_MAX - e->count || e->count > COUNT_MAX;
	if (!full)
		e->count += v;
	mutex_unlock(&e->lock);
	if (full) {
		*src = saved; /* the caller will try again */
		return -EAGAIN;
	}
	waitq_wake(&e->wq, IN_EVENTS);
	return ret;
}

static uint32_t eventfd_ready(struct file *f)
{
	struct eventfd *e = f->priv;
	uint64_t n = __atomic_load_n(&e->count, __ATOMIC_ACQUIRE);

	return (n > 0 ? IN_EVENTS : 0) | (n == UINT64_MAX ? EV_ERR : 0) | (n < COUNT_MAX ? OUT_EVENTS : 0);
}

static void eventfd_release(struct file *f)
{
	kfree(f->priv);
}

static void eventfd_show_fdinfo(struct file *f, struct strbuf *out)
{
	struct eventfd *e = f->priv;

	mutex_lock(&e->lock);
	strbuf_printf(out, "eventfd-count: %16lx\neventfd-semaphore: %d\n", e->count, e->semaphore);
	mutex_unlock(&e->lock);
}

static const struct file_ops eventfd_ops = {
	.read = eventfd_read,
	.write = eventfd_write,
	.ready = eventfd_ready,
	.release = eventfd_release,
	.show_fdinfo = eventfd_show_fdinfo,
	.name = "anon_inode:[eventfd]",
};

bool file_is_eventfd(const struct file *f)
{
	return f->ops == &eventfd_ops;
}

void eventfd_signal(struct file *f, uint64_t n)
{
	struct eventfd *e = f->priv;

	mutex_lock(&e->lock);
	e->count = n > UINT64_MAX - e->count ? UINT64_MAX : e->count + n;
	mutex_unlock(&e->lock);
	waitq_wake(&e->wq, IN_EVENTS);
}

int eventfd_create_file(struct vfs *v, const struct cred *cred, uint32_t initval, uint32_t flags,
			struct file **out)
{
	struct eventfd *e = kmalloc(sizeof(*e));
	int ret;

	if (!e)
		return -ENOMEM;
	mutex_init(&e->lock, RANK_PIPE);
	waitq_init(&e->wq);
	e->count = initval;
	e->semaphore = (flags & EFD_SEMAPHORE) != 0;
	ret = file_create_anon(v, &eventfd_ops, e, LINUX_O_RDWR | (flags & LINUX_O_NONBLOCK), 0600, cred,
			       &e->wq, out);
	if (ret < 0)
		kfree(e);
	return ret;
}
