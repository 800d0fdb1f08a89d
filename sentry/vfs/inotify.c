/* inotify.c: inotify(7) and the hooks of the operations. One lock guards all watches and queues; nobody takes
 * it while no watch exists. A watch holds its inode, so that names may leave the cache (those with watches
 * stay anyway). Events are queued and waiters woken under the lock; references are dropped after it. */
#include <string.h>

#include "platform/abi/ioctl.h"
#include "platform/base/strbuf.h"
#include "sentry/vfs/internal.h"

#define QUEUE_MAX     16384u
#define WATCHES_MAX   65536u
#define INSTANCES_MAX 1024u

#define SELF_EVENTS (LINUX_IN_ALL_EVENTS | LINUX_IN_UNMOUNT | LINUX_IN_IGNORED | INOTIFY_RENAME)
#define ADD_BITS                                                                                               \
	(LINUX_IN_ALL_EVENTS | LINUX_IN_UNMOUNT | LINUX_IN_Q_OVERFLOW | LINUX_IN_IGNORED | LINUX_IN_ONLYDIR |  \
	 LINUX_IN_DONT_FOLLOW | LINUX_IN_EXCL_UNLINK | LINUX_IN_MASK_ADD | LINUX_IN_MASK_CREATE |              \
	 LINUX_IN_ISDIR | LINUX_IN_ONESHOT)

/* through an open file: what IN_EXCL_UNLINK keeps quiet once the name is gone */
#define USE_EVENTS (LINUX_IN_ACCESS | LINUX_IN_MODIFY | LINUX_IN_OPEN | LINUX_IN_CLOSE)

struct inotify {
	struct vfs *v;	     /* [I] */
	struct list marks;   /* [inotify_lock] */
	struct list events;  /* [inotify_lock] */
	uint32_t count;	     /* [inotify_lock] */
	uint64_t bytes;	     /* [inotify_lock] as read(2) will give them */
	uint32_t mark_count; /* [inotify_lock] */
	int32_t next_wd;     /* [inotify_lock] */
	bool wakes_only;     /* [I] see inotify_wakes_only */
	struct waitq wq;
};

struct mark {
	struct inotify *in;			   /* [I] */
	struct inode *inode;			   /* [I] reference */
	struct list inode_node, in_node, all_node; /* [inotify_lock] */
	int32_t wd;				   /* [I] */
	uint32_t mask;				   /* [inotify_lock] */
};

struct event {
	struct list node;
	int32_t wd;
	uint32_t mask, cookie, len; /* len: of the name, padded */
	char name[];
};

static const struct file_ops inotify_ops;

bool file_is_inotify(const struct file *f)
{
	return f->ops == &inotify_ops;
}

static uint32_t padded(size_t len)
{
	return len ? (uint32_t)ROUND_UP(len + 1, sizeof(struct linux_inotify_event)) : 0;
}

static bool same_event(const struct event *e, int32_t wd, uint32_t mask, const char *name, size_t len)
{
	return e->wd == wd && e->mask == mask && !(mask & LINUX_IN_IGNORED) && e->len == padded(len) &&
	       (!len || (!memcmp(e->name, name, len) && !e->name[len]));
}

static void queue_locked(struct inotify *in, int32_t wd, uint32_t mask, uint32_t cookie, const char *name,
			 size_t len)
{
	struct event *last = list_last(&in->events, struct event, node), *e;

	if (in->wakes_only) {
		if (!(mask & LINUX_IN_IGNORED))
			waitq_wake(&in->wq, EV_MSG);
		return;
	}
	if (last && same_event(last, wd, mask, name, len))
		return;
	if (in->count >= QUEUE_MAX) {
		if (last && (last->mask & LINUX_IN_Q_OVERFLOW))
			return;
		wd = -1;
		mask = LINUX_IN_Q_OVERFLOW;
		cookie = 0;
		len = 0;
	}
	e = kmalloc(sizeof(*e) + padded(len));
	if (!e)
		return;
	e->wd = wd;
	e->mask = mask;
	e->cookie = cookie;
	e->len = padded(len);
	if (len)
		memcpy(e->name, name, len);
	list_add_tail(&in->events, &e->node);
	in->count++;
	in->bytes += sizeof(struct linux_inotify_event) + e->len;
	waitq_wake(&in->wq, EV_IN | EV_RDNORM);
}

/* Off all lists; goes to doomed (through in_node), to be freed after unlocking. */
static void remove_mark_locked(struct mark *m, struct list *doomed)
{
	list_del(&m->inode_node);
	list_del(&m->in_node);
	list_del(&m->all_node);
	m->in->mark_count--;
	__atomic_sub_fetch(&m->inode->mark_count, 1, __ATOMIC_RELAXED);
	__atomic_sub_fetch(&m->in->v->watch_count, 1, __ATOMIC_RELAXED);
	list_add_tail(doomed, &m->in_node);
}

static void free_marks(struct list *doomed)
{
	struct mark *m;

	while ((m = list_first(doomed, struct mark, in_node))) {
		list_del(&m->in_node);
		inode_put(m->inode);
		kfree(m);
	}
}

static void deliver_locked(struct inode *i, uint32_t mask, uint32_t cookie, const char *name, size_t len,
			   bool unlinked, struct list *doomed)
{
	struct mark *m, *tmp;

	list_for_each_safe (m, tmp, &i->marks, inode_node) {
		if (!(m->mask & mask & SELF_EVENTS))
			continue;
		if (unlinked && (m->mask & LINUX_IN_EXCL_UNLINK))
			continue;
		queue_locked(m->in, m->wd, mask, cookie, name, len);
		if (m->mask & LINUX_IN_ONESHOT) {
			queue_locked(m->in, m->wd, LINUX_IN_IGNORED, 0, NULL, 0);
			remove_mark_locked(m, doomed);
		}
	}
}

static void deliver(struct inode *i, uint32_t mask, uint32_t cookie, const char *name, size_t len,
		    bool unlinked)
{
	struct vfs *v = i->super->vfs;
	struct list doomed;

	if (!__atomic_load_n(&i->mark_count, __ATOMIC_RELAXED))
		return;
	list_init(&doomed);
	mutex_lock(&v->inotify_lock);
	deliver_locked(i, mask, cookie, name, len, unlinked, &doomed);
	mutex_unlock(&v->inotify_lock);
	free_marks(&doomed);
}

static bool nobody_watches(const struct inode *i)
{
	return LIKELY(!__atomic_load_n(&i->super->vfs->watch_count, __ATOMIC_RELAXED));
}

void fsnotify_dir(struct inode *dir, uint32_t mask, const char *name, size_t len, uint32_t cookie)
{
	if (!nobody_watches(dir))
		deliver(dir, mask, cookie, name, len, false);
}

/* The parent's watchers hear of a child by name. */
static NOINLINE void tell_parent(const struct dentry *d, uint32_t mask)
{
	struct vfs *v = d->super->vfs;
	struct inode *dir = NULL;
	char name[VFS_NAME_MAX + 1];
	size_t len = 0;
	bool unlinked = false;

	rwlock_read(&v->dentry_lock);
	if (d->parent != d && d->parent->inode &&
	    __atomic_load_n(&d->parent->inode->mark_count, __ATOMIC_RELAXED)) {
		dir = inode_get(d->parent->inode);
		len = d->name_len;
		memcpy(name, d->name, len);
		unlinked = d->unhashed;
	}
	rwlock_read_unlock(&v->dentry_lock);
	if (!dir)
		return;
	deliver(dir, mask, 0, name, len, unlinked && (mask & USE_EVENTS));
	inode_put(dir);
}

void fsnotify(const struct dentry *d, struct inode *inode, uint32_t mask)
{
	if (nobody_watches(inode))
		return;
	/* what passes through a terminal or FIFO is nobody's business who only sees its name */
	if (d && !((mask & (LINUX_IN_ACCESS | LINUX_IN_MODIFY)) && inode_is_special(inode)))
		tell_parent(d, mask);
	deliver(inode, mask, 0, NULL, 0, d && d->unhashed && (mask & USE_EVENTS));
}

void fsnotify_move(struct inode *old_dir, const char *old_name, size_t old_len, struct inode *new_dir,
		   const char *new_name, size_t new_len, struct inode *moved, struct inode *overwritten)
{
	uint32_t dir = inode_is_dir(moved) ? LINUX_IN_ISDIR : 0, cookie;

	if (nobody_watches(old_dir))
		return;
	cookie = __atomic_add_fetch(&old_dir->super->vfs->next_cookie, 1, __ATOMIC_RELAXED);
	if (old_dir == new_dir)
		deliver(old_dir, INOTIFY_RENAME | dir, 0, old_name, old_len, false);
	deliver(old_dir, LINUX_IN_MOVED_FROM | dir, cookie, old_name, old_len, false);
	deliver(new_dir, LINUX_IN_MOVED_TO | dir, cookie, new_name, new_len, false);
	if (overwritten)
		deliver(overwritten, LINUX_IN_ATTRIB | (inode_is_dir(overwritten) ? LINUX_IN_ISDIR : 0), 0,
			NULL, 0, false);
	deliver(moved, LINUX_IN_MOVE_SELF, 0, NULL, 0, false);
}

static void end_marks(struct inode *i, uint32_t last)
{
	struct vfs *v = i->super->vfs;
	struct mark *m, *tmp;
	struct list doomed;

	list_init(&doomed);
	mutex_lock(&v->inotify_lock);
	list_for_each_safe (m, tmp, &i->marks, inode_node) {
		if ((m->mask & last) || last == LINUX_IN_UNMOUNT)
			queue_locked(m->in, m->wd, last, 0, NULL, 0);
		queue_locked(m->in, m->wd, LINUX_IN_IGNORED, 0, NULL, 0);
		remove_mark_locked(m, &doomed);
	}
	mutex_unlock(&v->inotify_lock);
	free_marks(&doomed);
}

void fsnotify_inode_gone(struct inode *i)
{
	end_marks(i, LINUX_IN_DELETE_SELF);
}

void fsnotify_super_gone(struct super *s)
{
	struct vfs *v = s->vfs;
	struct mark *m;

	if (!__atomic_load_n(&v->watch_count, __ATOMIC_RELAXED))
		return;
	for (;;) {
		struct inode *i = NULL;

		mutex_lock(&v->inotify_lock);
		list_for_each (m, &v->watches, all_node) {
			if (m->inode->super == s) {
				i = inode_get(m->inode);
				break;
			}
		}
		mutex_unlock(&v->inotify_lock);
		if (!i)
			return;
		end_marks(i, LINUX_IN_UNMOUNT);
		inode_put(i);
	}
}

static struct mark *find_mark_locked(struct inotify *in, const struct inode *i)
{
	struct mark *m;

	list_for_each (m, &i->marks, inode_node)
		if (m->in == in)
			return m;
	return NULL;
}

static int update_mark_locked(struct mark *m, uint32_t mask)
{
	const uint32_t kept = SELF_EVENTS | LINUX_IN_ONESHOT | LINUX_IN_EXCL_UNLINK;

	if (mask & LINUX_IN_MASK_CREATE)
		return -EEXIST;
	m->mask = (mask & LINUX_IN_MASK_ADD ? m->mask : 0) | (mask & kept);
	return m->wd;
}

int inotify_add(struct file *f, struct inode *i, uint32_t mask)
{
	struct inotify *in = f->priv;
	struct vfs *v = in->v;
	struct mark *m, *n;
	int ret;

	if (!(mask & (ADD_BITS | INOTIFY_RENAME)) ||
	    (mask & ~(ADD_BITS | (in->wakes_only ? INOTIFY_RENAME : 0))) ||
	    ((mask & LINUX_IN_MASK_ADD) && (mask & LINUX_IN_MASK_CREATE)))
		return -EINVAL;
	if ((mask & LINUX_IN_ONLYDIR) && !inode_is_dir(i))
		return -ENOTDIR;
	n = kmalloc(sizeof(*n));
	if (!n)
		return -ENOMEM;
	mutex_lock(&v->inotify_lock);
	m = find_mark_locked(in, i);
	if (m) {
		ret = update_mark_locked(m, mask);
	} else if (in->mark_count >= WATCHES_MAX || in->next_wd == INT32_MAX) {
		ret = -ENOSPC;
	} else {
		n->in = in;
		n->inode = inode_get(i);
		n->wd = ret = ++in->next_wd;
		(void)update_mark_locked(n, mask & ~(uint32_t)LINUX_IN_MASK_CREATE);
		list_add_tail(&i->marks, &n->inode_node);
		list_add_tail(&in->marks, &n->in_node);
		list_add_tail(&v->watches, &n->all_node);
		in->mark_count++;
		__atomic_add_fetch(&i->mark_count, 1, __ATOMIC_RELAXED);
		__atomic_add_fetch(&v->watch_count, 1, __ATOMIC_RELAXED);
		change_mark(&v->words[CHANGE_WATCHES]);
		n = NULL;
	}
	mutex_unlock(&v->inotify_lock);
	kfree(n);
	return ret;
}

void inotify_wakes_only(struct file *f)
{
	struct inotify *in = f->priv;

	in->wakes_only = true;
}

int inotify_remove(struct file *f, int wd)
{
	struct inotify *in = f->priv;
	struct mark *m, *found = NULL;
	struct list doomed;

	list_init(&doomed);
	mutex_lock(&in->v->inotify_lock);
	list_for_each (m, &in->marks, in_node)
		if (m->wd == wd)
			found = m;
	if (found) {
		queue_locked(in, wd, LINUX_IN_IGNORED, 0, NULL, 0);
		remove_mark_locked(found, &doomed);
	}
	mutex_unlock(&in->v->inotify_lock);
	free_marks(&doomed);
	return found ? 0 : -EINVAL;
}

/* The next event if it fits into room; *ret says why not: 0 none, -EINVAL too small. */
static struct event *pop_event(struct inotify *in, uint64_t room, ssize_t *ret)
{
	struct event *e;

	mutex_lock(&in->v->inotify_lock);
	e = list_first(&in->events, struct event, node);
	*ret = e ? 0 : -EAGAIN;
	if (e && sizeof(struct linux_inotify_event) + e->len > room) {
		*ret = -EINVAL;
		e = NULL;
	}
	if (e) {
		list_del(&e->node);
		in->count--;
		in->bytes -= sizeof(struct linux_inotify_event) + e->len;
	}
	mutex_unlock(&in->v->inotify_lock);
	return e;
}

static ssize_t inotify_read(struct file *f, struct uio *dst, uint64_t *pos)
{
	struct inotify *in = f->priv;
	ssize_t done = 0, ret;
	struct event *e;

	(void)pos;
	while ((e = pop_event(in, dst->resid, &ret))) {
		struct linux_inotify_event head = {e->wd, e->mask, e->cookie, e->len};
		ssize_t want = (ssize_t)(sizeof(head) + e->len);
		ssize_t n = uio_put(dst, &head, sizeof(head));

		if (n == (ssize_t)sizeof(head) && e->len)
			n += MAX(uio_put(dst, e->name, e->len), (ssize_t)0);
		kfree(e);
		if (n != want)
			return -EFAULT;
		done += n;
	}
	return done ? done : ret;
}

static uint32_t inotify_ready(struct file *f)
{
	struct inotify *in = f->priv;

	return __atomic_load_n(&in->count, __ATOMIC_ACQUIRE) ? EV_IN | EV_RDNORM : 0;
}

static int64_t inotify_ioctl(struct file *f, uint32_t cmd, uint64_t arg, const struct usermem *um,
			     const struct cred *cred)
{
	struct inotify *in = f->priv;
	int32_t n;

	(void)cred;
	if (cmd != LINUX_FIONREAD)
		return -ENOTTY;
	mutex_lock(&in->v->inotify_lock);
	n = (int32_t)MIN(in->bytes, (uint64_t)INT32_MAX);
	mutex_unlock(&in->v->inotify_lock);
	return usermem_out(um, arg, &n, sizeof(n));
}

static void inotify_release(struct file *f)
{
	struct inotify *in = f->priv;
	struct list doomed;
	struct mark *m;
	struct event *e;

	list_init(&doomed);
	mutex_lock(&in->v->inotify_lock);
	while ((m = list_first(&in->marks, struct mark, in_node)))
		remove_mark_locked(m, &doomed);
	mutex_unlock(&in->v->inotify_lock);
	free_marks(&doomed);
	while ((e = list_first(&in->events, struct event, node))) {
		list_del(&e->node);
		kfree(e);
	}
	__atomic_sub_fetch(&in->v->inotify_instances, 1, __ATOMIC_RELAXED);
	kfree(in);
}

static void inotify_show(struct file *f, struct strbuf *out)
{
	struct inotify *in = f->priv;
	struct mark *m;

	mutex_lock(&in->v->inotify_lock);
	list_for_each (m, &in->marks, in_node)
		strbuf_printf(out, "inotify wd:%x ino:%lx sdev:%lx mask:%x ignored_mask:0\n", m->wd,
			      m->inode->ino, m->inode->super->dev,
			      m->mask & (LINUX_IN_ALL_EVENTS | LINUX_IN_ONESHOT | LINUX_IN_EXCL_UNLINK));
	mutex_unlock(&in->v->inotify_lock);
}

static const struct file_ops inotify_ops = {
	.read = inotify_read,
	.ready = inotify_ready,
	.ioctl = inotify_ioctl,
	.release = inotify_release,
	.show_fdinfo = inotify_show,
	.name = "anon_inode:inotify",
};

int inotify_create_file(struct vfs *v, const struct cred *cred, uint32_t flags, struct file **out)
{
	struct inotify *in;
	int ret;

	if (__atomic_add_fetch(&v->inotify_instances, 1, __ATOMIC_RELAXED) > INSTANCES_MAX) {
		ret = -EMFILE;
		goto err;
	}
	in = kmalloc(sizeof(*in));
	if (!in) {
		ret = -ENOMEM;
		goto err;
	}
	in->v = v;
	list_init(&in->marks);
	list_init(&in->events);
	waitq_init(&in->wq);
	ret = file_create_anon(v, &inotify_ops, in, LINUX_O_RDONLY | (flags & LINUX_O_NONBLOCK), 0600, cred,
			       &in->wq, out);
	if (ret == 0)
		return 0;
	kfree(in);
err:
	__atomic_sub_fetch(&v->inotify_instances, 1, __ATOMIC_RELAXED);
	return ret;
}
