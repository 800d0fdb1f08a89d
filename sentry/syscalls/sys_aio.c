/* sys_aio.c: Linux asynchronous I/O (io_setup(2)), served synchronously: io_submit does the work, io_getevents
 * hands out the results. A context's id is the address of a page mapped for it, because libaio reads what lies
 * there; its content (no ring) sends libaio back to the system call.
 *
 * Contexts belong to the address space: mm->aio. */
#include <stddef.h>

#include "sentry/fs/eventfd.h"
#include "sentry/kernel/signal.h"
#include "sentry/syscalls/internal.h"
#include "sentry/syscalls/poll.h"

#define AIO_MAX_EVENTS	 65536 /* fs/aio-max-nr */
#define AIO_MAX_CONTEXTS 64

struct linux_iocb {
	uint64_t data;
	uint32_t key, rw_flags;
	uint16_t opcode;
	int16_t reqprio;
	uint32_t fd;
	uaddr_t buf;
	uint64_t nbytes;
	int64_t offset;
	uint64_t reserved2;
	uint32_t flags, resfd;
};

struct linux_io_event {
	uint64_t data;
	uaddr_t obj;
	int64_t res, res2;
};

struct aio_context {
	struct refs refs;
	uaddr_t id;	      /* [I] */
	uint32_t max;	      /* [I] */
	uint32_t head, count; /* [table lock] */
	bool dead;	      /* [table lock] */
	struct waitq wq;
	struct linux_io_event events[]; /* [table lock] ring of max */
};

struct aio_table {
	struct mutex lock;				/* rank IPC: a leaf */
	struct aio_context *contexts[AIO_MAX_CONTEXTS]; /* [lock] */
};

static void context_put(struct aio_context *c)
{
	if (refs_put(&c->refs))
		kfree(c);
}

static void table_destroy(void *p)
{
	struct aio_table *tab = p;
	size_t i;

	for (i = 0; i < AIO_MAX_CONTEXTS; i++)
		if (tab->contexts[i])
			context_put(tab->contexts[i]);
	kfree(tab);
}

static struct aio_table *table_of(struct mm *mm)
{
	struct aio_table *tab = __atomic_load_n(&mm->aio, __ATOMIC_ACQUIRE);
	void *none = NULL;

	if (tab)
		return tab;
	tab = kmalloc(sizeof(*tab));
	if (!tab)
		return NULL;
	mutex_init(&tab->lock, RANK_IPC);
	__atomic_store_n(&mm->aio_destroy, table_destroy, __ATOMIC_RELEASE);
	if (__atomic_compare_exchange_n(&mm->aio, &none, tab, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return tab;
	kfree(tab);
	return none;
}

static struct aio_context **slot_locked(struct aio_table *tab, uaddr_t id)
{
	size_t i;

	for (i = 0; i < AIO_MAX_CONTEXTS; i++)
		if (id ? tab->contexts[i] && tab->contexts[i]->id == id : !tab->contexts[i])
			return &tab->contexts[i];
	return NULL;
}

/* With a reference, or NULL. */
static struct aio_context *context_get(struct task *t, uaddr_t id)
{
	struct aio_table *tab = __atomic_load_n(&t->mm->aio, __ATOMIC_ACQUIRE);
	struct aio_context **slot, *c = NULL;

	if (!tab || !id)
		return NULL;
	mutex_lock(&tab->lock);
	slot = slot_locked(tab, id);
	if (slot) {
		c = *slot;
		refs_get(&c->refs);
	}
	mutex_unlock(&tab->lock);
	return c;
}

static int64_t map_page(struct task *t)
{
	struct mmap_args m = {.size = PAGE_SIZE,
			      .prot = LINUX_PROT_READ | LINUX_PROT_WRITE,
			      .flags = LINUX_MAP_PRIVATE | LINUX_MAP_ANONYMOUS};

	return mm_mmap(t->mm, t->ctx, task_rlimits(t), &m);
}

int64_t sys_io_setup(struct task *t, const struct sysargs *a)
{
	uint32_t max = arg_u32(a, 0);
	struct aio_context *c, **slot;
	struct aio_table *tab;
	uint64_t id;
	int64_t ret = copy_from_user(t, &id, arg_addr(a, 1), sizeof(id));

	if (ret < 0)
		return ret;
	if (id != 0 || max == 0)
		return -EINVAL;
	if (max > INT32_MAX)
		return -EINVAL;
	if (max > AIO_MAX_EVENTS)
		return -EAGAIN;
	tab = table_of(t->mm);
	c = tab ? kmalloc(sizeof(*c) + max * sizeof(c->events[0])) : NULL;
	if (!c)
		return -ENOMEM;
	refs_init(&c->refs);
	waitq_init(&c->wq);
	c->max = max;
	ret = map_page(t);
	if (ret < 0)
		goto fail;
	c->id = id = (uint64_t)ret;
	mutex_lock(&tab->lock);
	slot = slot_locked(tab, 0);
	if (slot)
		*slot = c;
	mutex_unlock(&tab->lock);
	ret = slot ? copy_to_user(t, arg_addr(a, 1), &id, sizeof(id)) : -EAGAIN;
	if (ret == 0)
		return 0;
	mutex_lock(&tab->lock);
	slot = slot_locked(tab, id);
	if (slot && *slot == c)
		*slot = NULL;
	else if (ret != -EAGAIN)
		c = NULL; /* another thread destroyed it already */
	mutex_unlock(&tab->lock);
	if (mm_munmap(t->mm, t->ctx, id, PAGE_SIZE) < 0)
		ret = -EFAULT;
fail:
	if (c)
		context_put(c);
	return ret;
}

int64_t sys_io_destroy(struct task *t, const struct sysargs *a)
{
	struct aio_table *tab = __atomic_load_n(&t->mm->aio, __ATOMIC_ACQUIRE);
	struct aio_context **slot, *c = NULL;

	if (!tab || !arg_addr(a, 0))
		return -EINVAL;
	mutex_lock(&tab->lock);
	slot = slot_locked(tab, arg_addr(a, 0));
	if (slot) {
		c = *slot;
		c->dead = true;
		*slot = NULL;
	}
	mutex_unlock(&tab->lock);
	if (!c)
		return -EINVAL;
	waitq_wake(&c->wq, EV_IN);
	(void)!mm_munmap(t->mm, t->ctx, c->id, PAGE_SIZE);
	context_put(c);
	return 0;
}

/* As serve. */
static int rw_one(struct task *t, struct file *f, const struct linux_iocb *cb, bool write, bool vector,
		  int64_t *res)
{
	struct usermem um = task_usermem(t);
	struct iov_buf b;
	struct uio u;
	int64_t ret;

	if (!(write ? FILE_CAN_WRITE(f) : FILE_CAN_READ(f)))
		return -EBADF;
	if (cb->offset < 0 && f->ops->seekable)
		return -EINVAL;
	if (vector) {
		ret = iov_import(t, cb->buf, cb->nbytes, &b);
		if (ret < 0)
			return (int)ret;
		uio_init_iov(&u, &um, b.v, b.count);
	} else {
		if (!access_ok(cb->buf, cb->nbytes))
			return -EFAULT;
		uio_init_user(&u, &um, cb->buf, MIN(cb->nbytes, UIO_MAX_RW));
	}
	ret = 0;
	if (write)
		ret = write_limit(t, f, &u, f->flags & LINUX_O_APPEND ? WRITE_APPEND : (uint64_t)cb->offset);
	if (ret == 0 && !f->ops->seekable)
		ret = write ? file_write_block(t, f, &u) : file_read_block(t, f, &u);
	else if (ret == 0)
		ret = write ? file_pwrite_block(t, f, &u, (uint64_t)cb->offset)
			    : file_pread_block(t, f, &u, (uint64_t)cb->offset);
	if (vector)
		iov_release(&b);
	*res = ret <= -ERESTARTSYS ? -EINTR : ret;
	return 0;
}

/* *res: the operation's result; the return value refuses the submission. */
static int serve(struct task *t, const struct linux_iocb *cb, int64_t *res)
{
	struct file *f = sys_file(t, (int)cb->fd);
	int ret = 0;

	if (!f)
		return -EBADF;
	switch (cb->opcode) {
	case LINUX_IOCB_CMD_PREAD:
	case LINUX_IOCB_CMD_PREADV:
		ret = rw_one(t, f, cb, false, cb->opcode == LINUX_IOCB_CMD_PREADV, res);
		break;
	case LINUX_IOCB_CMD_PWRITE:
	case LINUX_IOCB_CMD_PWRITEV:
		ret = rw_one(t, f, cb, true, cb->opcode == LINUX_IOCB_CMD_PWRITEV, res);
		break;
	case LINUX_IOCB_CMD_FSYNC:
	case LINUX_IOCB_CMD_FDSYNC:
		if (cb->buf || cb->offset || cb->nbytes || cb->rw_flags)
			ret = -EINVAL;
		else
			*res = f->ops->fsync ? f->ops->fsync(f, cb->opcode == LINUX_IOCB_CMD_FDSYNC) : -EINVAL;
		break;
	default:
		ret = -EINVAL;
	}
	file_put(f);
	return ret;
}

static bool reserve(struct task *t, struct aio_context *c)
{
	struct aio_table *tab = t->mm->aio;
	bool ok;

	mutex_lock(&tab->lock);
	ok = !c->dead && c->count < c->max;
	mutex_unlock(&tab->lock);
	return ok;
}

static void complete(struct task *t, struct aio_context *c, const struct linux_io_event *e)
{
	struct aio_table *tab = t->mm->aio;

	mutex_lock(&tab->lock);
	if (c->count <
	    c->max) /* another submitter may have been faster: then the event is lost, as a full ring loses */
		c->events[(c->head + c->count++) % c->max] = *e;
	mutex_unlock(&tab->lock);
	waitq_wake(&c->wq, EV_IN);
}

static int submit_one(struct task *t, struct aio_context *c, uaddr_t ucb)
{
	struct linux_io_event e = {.obj = ucb};
	struct file *notify = NULL;
	struct linux_iocb cb;
	int ret = copy_from_user(t, &cb, ucb, sizeof(cb));

	if (ret < 0)
		return ret;
	if (cb.reserved2 || (cb.flags & ~(uint32_t)(LINUX_IOCB_FLAG_RESFD | LINUX_IOCB_FLAG_IOPRIO)))
		return -EINVAL;
	if (!reserve(t, c))
		return -EAGAIN;
	if (cb.flags & LINUX_IOCB_FLAG_RESFD) {
		notify = sys_file(t, (int)cb.resfd);
		if (!notify)
			return -EBADF;
		if (!file_is_eventfd(notify))
			ret = -EINVAL;
	}
	if (ret == 0)
		ret = serve(t, &cb, &e.res);
	if (ret == 0) {
		e.data = cb.data;
		complete(t, c, &e);
		if (notify)
			eventfd_signal(notify, 1);
	}
	if (notify)
		file_put(notify);
	return ret;
}

int64_t sys_io_submit(struct task *t, const struct sysargs *a)
{
	int64_t i, count = arg_i64(a, 1);
	struct aio_context *c;
	uaddr_t ucb;
	int ret = 0;

	if (count < 0)
		return -EINVAL;
	c = context_get(t, arg_addr(a, 0));
	if (!c)
		return -EINVAL;
	count = MIN(count, (int64_t)c->max);
	for (i = 0; i < count; i++) {
		ret = copy_from_user(t, &ucb, arg_addr(a, 2) + (uint64_t)i * sizeof(ucb), sizeof(ucb));
		if (ret == 0)
			ret = submit_one(t, c, ucb);
		if (ret < 0)
			break;
	}
	context_put(c);
	return i ? i : ret;
}

int64_t sys_io_cancel(struct task *t, const struct sysargs *a)
{
	struct aio_context *c;
	uint32_t key; /* of the iocb, which Linux reads first */

	if (copy_from_user(t, &key, arg_addr(a, 1) + offsetof(struct linux_iocb, key), sizeof(key)) < 0)
		return -EFAULT;
	c = context_get(t, arg_addr(a, 0));
	if (!c)
		return -EINVAL;
	context_put(c);
	return -EINVAL; /* nothing is ever under way */
}

/* Moves up to count events out; how many, -EINVAL when the context went. */
static int64_t take(struct task *t, struct aio_context *c, struct linux_io_event *e, int64_t count)
{
	struct aio_table *tab = t->mm->aio;
	int64_t n = 0;

	mutex_lock(&tab->lock);
	if (c->dead)
		n = -EINVAL;
	while (n >= 0 && n < count && c->count) {
		e[n++] = c->events[c->head];
		c->head = (c->head + 1) % c->max;
		c->count--;
	}
	mutex_unlock(&tab->lock);
	return n;
}

static int64_t take_out(struct task *t, struct aio_context *c, uaddr_t out, int64_t count)
{
	struct linux_io_event few[16];
	int64_t done = 0, n;

	while (done < count) {
		n = take(t, c, few, MIN(count - done, (int64_t)ARRAY_SIZE(few)));
		if (n <= 0)
			return done ? done : n;
		if (copy_to_user(t, out + (uint64_t)done * sizeof(few[0]), few, (size_t)n * sizeof(few[0])) < 0)
			return done ? done : -EFAULT;
		done += n;
	}
	return done;
}

static int64_t getevents(struct task *t, const struct sysargs *a, const struct poll_limit *limit)
{
	int64_t min = arg_i64(a, 1), count = arg_i64(a, 2), done = 0, n;
	struct aio_context *c;
	struct waiter w;

	if (min < 0 || count < min)
		return -EINVAL;
	c = context_get(t, arg_addr(a, 0));
	if (!c)
		return -EINVAL;
	task_waiter(t, &w, EV_IN);
	waitq_add(&c->wq, &w);
	for (;;) {
		n = take_out(t, c, arg_addr(a, 3) + (uint64_t)done * sizeof(struct linux_io_event),
			     count - done);
		if (n < 0)
			break;
		done += n;
		if (done >= min || limit->now)
			break;
		n = task_block(t, limit->deadline);
		if (n == -ETIMEDOUT)
			n = 0;
		else if (n == 0)
			continue;
		else
			n = -EINTR;
		break;
	}
	waitq_del(&c->wq, &w);
	context_put(c);
	return done ? done : n < 0 ? n : 0;
}

int64_t sys_io_getevents(struct task *t, const struct sysargs *a)
{
	struct poll_limit limit;
	int ret = poll_limit_user(t, arg_addr(a, 4), &limit);

	return ret < 0 ? ret : getevents(t, a, &limit);
}

int64_t sys_io_pgetevents(struct task *t, const struct sysargs *a)
{
	struct {
		uaddr_t mask;
		uint64_t size;
	} sig = {0, 0};
	struct poll_limit limit;
	bool swapped = false;
	int64_t ret = poll_limit_user(t, arg_addr(a, 4), &limit);

	if (ret == 0 && arg_addr(a, 5))
		ret = copy_from_user(t, &sig, arg_addr(a, 5), sizeof(sig));
	if (ret == 0)
		ret = poll_sigmask(t, sig.mask, sig.size, &swapped);
	if (ret < 0)
		return ret;
	ret = getevents(t, a, &limit);
	if (swapped && ret != -EINTR)
		signal_mask_restore(t);
	return ret;
}
