/* epoll.c: epoll(7) in time proportional to what is ready. An item waits on its file's queue; the callback
 * puts it on the set's ready list. Collecting takes items off the list, asks the file whether it is really
 * ready, reports it, and puts level-triggered ones back.
 *
 * Locks: scan_lock lets one collector at a time into a set and is held while files are asked (so it ranks
 * before theirs); vfs->epoll_lock guards which files are in which sets (file->epolls, the trees' shape);
 * the set's lock guards its items' settings; ready_lock is a leaf, taken by callbacks. An item is counted:
 * the tree holds one reference, a collector another. A collector holds a reference to the file it asks, and
 * drops it after scan_lock, since that may be the last one. */
#include "platform/abi/poll.h"
#include "platform/base/rbtree.h"
#include "platform/base/strbuf.h"
#include "sentry/vfs/internal.h"

#define MAX_NESTS 4
#define BATCH	  16

#define EP_PRIVATE (LINUX_EPOLLET | LINUX_EPOLLONESHOT | LINUX_EPOLLWAKEUP | LINUX_EPOLLEXCLUSIVE)
#define EP_EXCLUSIVE_OK                                                                                        \
	(LINUX_EPOLLIN | LINUX_EPOLLOUT | LINUX_EPOLLERR | LINUX_EPOLLHUP | LINUX_EPOLLWAKEUP |                \
	 LINUX_EPOLLET | LINUX_EPOLLEXCLUSIVE)

struct epoll {
	struct vfs *v;	   /* [I] */
	struct file *file; /* [I] borrowed: the set's own */
	struct mutex scan_lock;
	struct mutex lock;
	struct rbtree items; /* [epoll_lock, lock] changed under both */
	struct mutex ready_lock;
	struct list ready;    /* [ready_lock] */
	uint32_t ready_count; /* [ready_lock] */
	struct waitq wq;      /* its lock has no rank: it is taken inside other queues' callbacks */
	uint64_t gen;	      /* [epoll_lock] visited by the walk of that number */
	int depth;	      /* [epoll_lock] what that walk found */
};

struct epitem {
	struct refs refs;
	struct rbnode node; /* in ep->items, by (file, fd) */
	struct epoll *ep;   /* [I] */
	struct file *file;  /* [I] borrowed: the file forgets us before it dies */
	int fd;		    /* [I] */
	struct waiter waiter;
	struct list file_node;	/* [epoll_lock] in file->epolls */
	struct list ready_node; /* [ready_lock] */
	bool on_ready, dead;	/* [ready_lock] */
	uint32_t events;	/* [a] written under lock */
	uint64_t data;		/* [ready_lock] */
};

static const struct file_ops epoll_ops;

bool file_is_epoll(const struct file *f)
{
	return f->ops == &epoll_ops;
}

static void item_put(struct epitem *i)
{
	if (refs_put(&i->refs))
		kfree(i);
}

static void queue_locked(struct epoll *ep, struct epitem *i, bool first)
{
	if (i->on_ready || i->dead)
		return;
	i->on_ready = true;
	ep->ready_count++;
	if (first)
		list_add(&ep->ready, &i->ready_node);
	else
		list_add_tail(&ep->ready, &i->ready_node);
}

static void unqueue_locked(struct epoll *ep, struct epitem *i)
{
	if (!i->on_ready)
		return;
	i->on_ready = false;
	ep->ready_count--;
	list_del(&i->ready_node);
}

/* In the file's queue, its lock held. */
static bool item_wake(struct waiter *w, uint32_t events)
{
	struct epitem *i = w->arg;
	struct epoll *ep = i->ep;
	uint32_t wanted = __atomic_load_n(&i->events, __ATOMIC_ACQUIRE);

	if (!(wanted & ~EP_PRIVATE) || !(events & wanted))
		return false;
	mutex_lock(&ep->ready_lock);
	queue_locked(ep, i, false);
	mutex_unlock(&ep->ready_lock);
	if (waitq_empty(&ep->wq))
		return false;
	waitq_wake(&ep->wq, EV_IN | EV_RDNORM);
	return true;
}

static int compare(const struct epitem *i, const struct file *f, int fd)
{
	if (i->file != f)
		return (uintptr_t)f < (uintptr_t)i->file ? -1 : 1;
	return fd < i->fd ? -1 : fd > i->fd;
}

static struct epitem *find_item(const struct epoll *ep, const struct file *f, int fd)
{
	struct rbnode *n = ep->items.root;

	while (n) {
		struct epitem *i = rb_entry(n, struct epitem, node);
		int c = compare(i, f, fd);

		if (c == 0)
			return i;
		n = c < 0 ? n->left : n->right;
	}
	return NULL;
}

static void insert_item(struct epoll *ep, struct epitem *new)
{
	struct rbnode **link = &ep->items.root, *parent = NULL;

	while (*link) {
		parent = *link;
		link = compare(rb_entry(parent, struct epitem, node), new->file, new->fd) < 0 ? &parent->left
											      : &parent->right;
	}
	rb_insert(&ep->items, &new->node, parent, link);
}

/* epoll_lock held; the file is alive. Drops the tree's reference. */
static void remove_item(struct epoll *ep, struct epitem *i)
{
	mutex_lock_nested(&ep->lock);
	rb_remove(&ep->items, &i->node);
	mutex_unlock(&ep->lock);
	list_del(&i->file_node);
	if (i->file->wq)
		waitq_del(i->file->wq, &i->waiter);
	mutex_lock(&ep->ready_lock);
	unqueue_locked(ep, i);
	i->dead = true;
	mutex_unlock(&ep->ready_lock);
	item_put(i);
}

void epoll_forget_file(struct file *f)
{
	struct vfs *v = f->inode->super->vfs;
	struct epitem *i;

	mutex_lock(&v->epoll_lock);
	while ((i = list_first(&f->epolls, struct epitem, file_node)))
		remove_item(i->ep, i);
	mutex_unlock(&v->epoll_lock);
}

/* How deep sets are nested below ep, or -ELOOP when self is among them. The depth of existing nests is
 * bounded, and each set is visited once. */
static int depth_below(struct epoll *ep, const struct epoll *self, int level)
{
	struct rbnode *n;
	int depth = 0;

	if (ep == self || level > MAX_NESTS)
		return -ELOOP;
	if (ep->gen == ep->v->epoll_gen)
		return ep->depth;
	for (n = rb_first(&ep->items); n; n = rb_next(n)) {
		struct epitem *i = rb_entry(n, struct epitem, node);
		int d;

		if (!file_is_epoll(i->file))
			continue;
		d = depth_below(i->file->priv, self, level + 1);
		if (d < 0)
			return d;
		depth = MAX(depth, d + 1);
	}
	ep->gen = ep->v->epoll_gen;
	ep->depth = depth;
	return depth;
}

static int depth_above(struct epoll *ep, int level)
{
	struct epitem *i;
	int depth = 0;

	if (level > MAX_NESTS)
		return level;
	if (ep->gen == ep->v->epoll_gen)
		return ep->depth;
	list_for_each (i, &ep->file->epolls, file_node)
		depth = MAX(depth, depth_above(i->ep, level + 1) + 1);
	ep->gen = ep->v->epoll_gen;
	ep->depth = depth;
	return depth;
}

static int check_nesting(struct epoll *ep, struct file *target)
{
	int below, above;

	if (!file_is_epoll(target))
		return 0;
	ep->v->epoll_gen++;
	below = depth_below(target->priv, ep, 0);
	if (below < 0)
		return below;
	ep->v->epoll_gen++;
	above = depth_above(ep, 0);
	return below + 1 + above > MAX_NESTS ? -ELOOP : 0;
}

/* After a change: if the file is ready, say so. */
static void check_now(struct epoll *ep, struct epitem *i)
{
	bool wake = false;

	if (file_ready(i->file) & __atomic_load_n(&i->events, __ATOMIC_ACQUIRE)) {
		mutex_lock(&ep->ready_lock);
		queue_locked(ep, i, false);
		wake = i->on_ready;
		mutex_unlock(&ep->ready_lock);
	}
	if (wake)
		waitq_wake(&ep->wq, EV_IN | EV_RDNORM);
}

static int ctl_add(struct epoll *ep, int fd, struct file *target, uint32_t events, uint64_t data)
{
	struct epitem *i = kmalloc(sizeof(*i));
	int ret;

	if (!i)
		return -ENOMEM;
	refs_init(&i->refs);
	i->ep = ep;
	i->file = target;
	i->fd = fd;
	i->events = events;
	i->data = data;
	list_init(&i->ready_node);
	list_init(&i->waiter.node);
	i->waiter.mask = EV_ALL;
	i->waiter.exclusive = events & LINUX_EPOLLEXCLUSIVE;
	i->waiter.func = item_wake;
	i->waiter.arg = i;
	mutex_lock(&ep->v->epoll_lock);
	ret = find_item(ep, target, fd) ? -EEXIST : check_nesting(ep, target);
	if (ret == 0) {
		mutex_lock_nested(&ep->lock);
		insert_item(ep, i);
		mutex_unlock(&ep->lock);
		list_add(&target->epolls, &i->file_node);
		if (target->wq)
			waitq_add(target->wq, &i->waiter);
		refs_get(&i->refs);
	}
	mutex_unlock(&ep->v->epoll_lock);
	if (ret == 0)
		check_now(ep, i);
	item_put(i);
	return ret;
}

static int ctl_mod(struct epoll *ep, int fd, struct file *target, uint32_t events, uint64_t data)
{
	struct epitem *i;
	int ret = 0;

	mutex_lock(&ep->lock);
	i = find_item(ep, target, fd);
	if (!i)
		ret = -ENOENT;
	else if ((i->events & LINUX_EPOLLEXCLUSIVE))
		ret = -EINVAL;
	if (ret == 0) {
		refs_get(&i->refs);
		mutex_lock(&ep->ready_lock);
		i->data = data;
		__atomic_store_n(&i->events, events, __ATOMIC_SEQ_CST);
		mutex_unlock(&ep->ready_lock);
	}
	mutex_unlock(&ep->lock);
	if (ret < 0)
		return ret;
	check_now(ep, i);
	item_put(i);
	return 0;
}

static int ctl_del(struct epoll *ep, int fd, struct file *target)
{
	struct epitem *i;

	mutex_lock(&ep->v->epoll_lock);
	i = find_item(ep, target, fd);
	if (i)
		remove_item(ep, i);
	mutex_unlock(&ep->v->epoll_lock);
	return i ? 0 : -ENOENT;
}

int epoll_control(struct file *epf, int op, int fd, struct file *target, const struct linux_epoll_event *ev)
{
	struct epoll *ep;
	uint32_t events;

	if (!target->ops->ready || (target->flags & LINUX_O_PATH))
		return target->flags & LINUX_O_PATH ? -EBADF : -EPERM;
	if (target == epf || !file_is_epoll(epf))
		return -EINVAL;
	ep = epf->priv;
	if (op == LINUX_EPOLL_CTL_DEL)
		return ctl_del(ep, fd, target);
	if (op != LINUX_EPOLL_CTL_ADD && op != LINUX_EPOLL_CTL_MOD)
		return -EINVAL;
	events = ev->events;
	if (events & LINUX_EPOLLEXCLUSIVE) {
		if (op == LINUX_EPOLL_CTL_MOD || file_is_epoll(target) || (events & ~EP_EXCLUSIVE_OK))
			return -EINVAL;
	}
	events |= LINUX_EPOLLERR | LINUX_EPOLLHUP;
	if (op == LINUX_EPOLL_CTL_ADD)
		return ctl_add(ep, fd, target, events, ev->data);
	return ctl_mod(ep, fd, target, events, ev->data);
}

/* The first of the ready list, off it, with references to item and file. NULL: nothing left. */
static struct epitem *pop_ready(struct epoll *ep, uint32_t *budget)
{
	struct epitem *found = NULL;

	mutex_lock(&ep->ready_lock);
	while (!found && *budget > 0) {
		struct epitem *i = list_first(&ep->ready, struct epitem, ready_node);

		if (!i)
			break;
		(*budget)--;
		unqueue_locked(ep, i);
		if (!refs_get_unless_zero(&i->file->refs))
			continue; /* being closed */
		refs_get(&i->refs);
		found = i;
	}
	mutex_unlock(&ep->ready_lock);
	return found;
}

/* One event of an item that was found ready; false when it changed meanwhile. */
static bool report(struct epoll *ep, struct epitem *i, uint32_t ready, struct linux_epoll_event *out)
{
	uint32_t events;
	bool ok;

	mutex_lock(&ep->ready_lock);
	events = i->events;
	ready &= events & ~EP_PRIVATE;
	ok = ready && !i->dead;
	if (ok) {
		*out = (struct linux_epoll_event){.events = ready, .data = i->data};
		if (events & LINUX_EPOLLONESHOT)
			__atomic_store_n(&i->events, events & EP_PRIVATE, __ATOMIC_RELEASE);
		else if (!(events & LINUX_EPOLLET))
			queue_locked(ep, i, false);
	}
	mutex_unlock(&ep->ready_lock);
	return ok;
}

/* Up to BATCH items: events into out (NULL: only asks whether there is one, and puts it back). */
static int scan(struct epoll *ep, struct linux_epoll_event *out, int max, uint32_t *budget)
{
	struct epitem *seen[BATCH];
	int n = 0, count = 0;

	mutex_lock_nested(&ep->scan_lock);
	while (n < max && count < BATCH) {
		struct epitem *i = pop_ready(ep, budget);
		uint32_t ready;

		if (!i)
			break;
		seen[count++] = i;
		ready = file_ready(i->file) & __atomic_load_n(&i->events, __ATOMIC_ACQUIRE) & ~EP_PRIVATE;
		if (!ready)
			continue;
		if (out) {
			n += report(ep, i, ready, &out[n]);
			continue;
		}
		mutex_lock(&ep->ready_lock);
		queue_locked(ep, i, true);
		mutex_unlock(&ep->ready_lock);
		n = max;
	}
	mutex_unlock(&ep->scan_lock);
	for (int k = 0; k < count; k++) {
		file_put(seen[k]->file);
		item_put(seen[k]);
	}
	return n;
}

int epoll_collect(struct file *f, struct linux_epoll_event *ev, int max)
{
	struct epoll *ep = f->priv;
	uint32_t budget = __atomic_load_n(&ep->ready_count, __ATOMIC_ACQUIRE);
	int n = 0;

	while (n < max && budget > 0) {
		uint32_t before = budget;

		n += scan(ep, ev + n, max - n, &budget);
		if (budget == before)
			break;
	}
	/* Level-triggered ones are still there: let the next waiter look too. */
	if (n && __atomic_load_n(&ep->ready_count, __ATOMIC_ACQUIRE) && !waitq_empty(&ep->wq))
		waitq_wake(&ep->wq, EV_IN | EV_RDNORM);
	return n;
}

static uint32_t epoll_ready(struct file *f)
{
	struct epoll *ep = f->priv;
	uint32_t budget = __atomic_load_n(&ep->ready_count, __ATOMIC_ACQUIRE);

	while (budget > 0) {
		uint32_t before = budget;

		if (scan(ep, NULL, 1, &budget))
			return EV_IN | EV_RDNORM;
		if (budget == before)
			break;
	}
	return 0;
}

static void epoll_release(struct file *f)
{
	struct epoll *ep = f->priv;
	struct rbnode *n;

	mutex_lock(&ep->v->epoll_lock);
	while ((n = rb_first(&ep->items)))
		remove_item(ep, rb_entry(n, struct epitem, node));
	mutex_unlock(&ep->v->epoll_lock);
	kfree(ep);
}

static void epoll_show(struct file *f, struct strbuf *out)
{
	struct epoll *ep = f->priv;
	struct rbnode *n;

	mutex_lock(&ep->lock);
	for (n = rb_first(&ep->items); n; n = rb_next(n)) {
		struct epitem *i = rb_entry(n, struct epitem, node);

		strbuf_printf(out, "tfd: %8d events: %8x data: %16lx  pos:%lu ino:%lx sdev:%lx\n", i->fd,
			      i->events, i->data, i->file->pos, i->file->inode->ino,
			      i->file->inode->super->dev);
	}
	mutex_unlock(&ep->lock);
}

static const struct file_ops epoll_ops = {
	.ready = epoll_ready,
	.release = epoll_release,
	.show_fdinfo = epoll_show,
	.name = "anon_inode:[eventpoll]",
};

int epoll_create_file(struct vfs *v, const struct cred *cred, uint32_t flags, struct file **out)
{
	struct epoll *ep = kmalloc(sizeof(*ep));
	int ret;

	if (!ep)
		return -ENOMEM;
	ep->v = v;
	mutex_init(&ep->scan_lock, RANK_EPOLL_SCAN);
	mutex_init(&ep->lock, RANK_EPOLL);
	mutex_init(&ep->ready_lock, RANK_NONE);
	list_init(&ep->ready);
	waitq_init(&ep->wq);
	mutex_init(&ep->wq.lock, RANK_NONE);
	ret = file_create_anon(v, &epoll_ops, ep, LINUX_O_RDWR | (flags & LINUX_O_NONBLOCK), 0600, cred,
			       &ep->wq, out);
	if (ret < 0) {
		kfree(ep);
		return ret;
	}
	ep->file = *out;
	return 0;
}
