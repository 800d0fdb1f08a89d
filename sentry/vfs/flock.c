/* flock.c: record locks (fcntl(2)), open-file-description locks and flock(2), all advisory. The state hangs
 * off the inode once somebody locks. Nobody waits here: a conflict is -EAGAIN, and each release wakes the
 * inode's queue. */
#include <string.h>

#include "sentry/vfs/internal.h"

struct record {
	struct list node;
	void *owner;	     /* an fdtable, or the file (OFD) */
	uint64_t start, end; /* inclusive */
	int32_t pid;	     /* -1: OFD */
	bool write;
};

struct whole {
	struct list node;
	struct file *file;
	bool exclusive;
};

struct flock_state {
	struct mutex lock;
	struct list records; /* [lock] by start */
	struct list wholes;  /* [lock] */
	struct waitq wq;
};

struct range {
	uint64_t start, end;
};

static int state_of(struct inode *i, struct flock_state **out)
{
	struct flock_state *s = __atomic_load_n(&i->flocks, __ATOMIC_ACQUIRE), *expected = NULL;

	if (!s) {
		s = kmalloc(sizeof(*s));
		if (!s)
			return -ENOMEM;
		mutex_init(&s->lock, RANK_FLOCK);
		list_init(&s->records);
		list_init(&s->wholes);
		waitq_init(&s->wq);
		if (!__atomic_compare_exchange_n(&i->flocks, &expected, s, false, __ATOMIC_ACQ_REL,
						 __ATOMIC_ACQUIRE)) {
			kfree(s);
			s = expected;
		}
	}
	*out = s;
	return 0;
}

void flock_state_free(struct flock_state *s)
{
	struct record *r, *tmp;

	list_for_each_safe (r, tmp, &s->records, node)
		kfree(r);
	kfree(s);
}

int vfs_flock_waitq(struct file *f, struct waitq **out)
{
	struct flock_state *s;
	int ret = state_of(f->inode, &s);

	if (ret == 0)
		*out = &s->wq;
	return ret;
}

/* Absolute, inclusive bounds of what fl names. */
static int resolve(struct file *f, const struct linux_flock *fl, struct range *out)
{
	int64_t base = 0, start, end;
	struct kstat st;

	switch (fl->l_whence) {
	case LINUX_SEEK_SET:
		break;
	case LINUX_SEEK_CUR:
		base = (int64_t)__atomic_load_n(&f->pos, __ATOMIC_RELAXED);
		break;
	case LINUX_SEEK_END:
		if (vfs_stat_path(&f->path, LINUX_STATX_SIZE, &st) < 0)
			return -EINVAL;
		base = (int64_t)st.size;
		break;
	default:
		return -EINVAL;
	}
	if (add_overflows(base, fl->l_start, &start))
		return -EOVERFLOW;
	if (start < 0)
		return -EINVAL;
	if (fl->l_len > 0) {
		if (add_overflows(start, fl->l_len - 1, &end))
			return -EOVERFLOW;
	} else if (fl->l_len < 0) {
		if (add_overflows(start, fl->l_len, &base) || base < 0)
			return -EINVAL;
		end = start - 1;
		start = base;
	} else {
		end = INT64_MAX;
	}
	out->start = (uint64_t)start;
	out->end = (uint64_t)end;
	return 0;
}

static bool overlaps(const struct record *r, const struct range *g)
{
	return r->start <= g->end && g->start <= r->end;
}

static struct record *conflict_locked(const struct flock_state *s, const void *owner, const struct range *g,
				      bool write)
{
	struct record *r;

	list_for_each (r, &s->records, node)
		if (r->owner != owner && overlaps(r, g) && (write || r->write))
			return r;
	return NULL;
}

static void insert_locked(struct flock_state *s, struct record *n)
{
	struct list *at = s->records.next;

	while (at != &s->records && list_entry(at, struct record, node)->start < n->start)
		at = at->next;
	list_add_tail(at, &n->node);
}

/* Takes g out of owner's records, except that records of the same kind that touch it are merged into g
 * (kind: 0 read, 1 write, -1 none). spare: a record for a split; returns true when it was used. */
static bool carve_locked(struct flock_state *s, const void *owner, struct range *g, int kind,
			 struct record *spare)
{
	struct record *r, *tmp;
	bool used = false;

	list_for_each_safe (r, tmp, &s->records, node) {
		uint64_t start = r->start, end = r->end;

		if (r->owner != owner)
			continue;
		if ((int)r->write == kind) {
			if (end + 1 < g->start || (g->end != UINT64_MAX && start > g->end + 1))
				continue;
			g->start = MIN(g->start, start);
			g->end = MAX(g->end, end);
		} else if (!overlaps(r, g)) {
			continue;
		} else if (start < g->start) {
			r->end = g->start - 1;
			if (end > g->end) {
				*spare = *r;
				spare->start = g->end + 1;
				spare->end = end;
				list_add(&r->node, &spare->node);
				used = true;
			}
			continue;
		} else if (end > g->end) {
			/* may now start behind its successors: back in at its place */
			r->start = g->end + 1;
			list_del(&r->node);
			insert_locked(s, r);
			continue;
		}
		list_del(&r->node);
		kfree(r);
	}
	return used;
}

static int set_record(struct flock_state *s, void *owner, int32_t pid, struct range g, int kind)
{
	struct record *n = kmalloc(sizeof(*n)), *spare = kmalloc(sizeof(*spare));
	int ret = 0;

	if (!n || !spare) {
		ret = -ENOLCK;
		goto out;
	}
	mutex_lock(&s->lock);
	if (kind >= 0 && conflict_locked(s, owner, &g, kind)) {
		ret = -EAGAIN;
	} else {
		if (carve_locked(s, owner, &g, kind, spare))
			spare = NULL;
		if (kind >= 0) {
			*n = (struct record){
				.owner = owner, .start = g.start, .end = g.end, .pid = pid, .write = kind};
			insert_locked(s, n);
			n = NULL;
		}
	}
	mutex_unlock(&s->lock);
	if (ret == 0) /* an unlock, or a write lock that became a read lock */
		waitq_wake(&s->wq, EV_ALL);
out:
	kfree(n);
	kfree(spare);
	return ret;
}

static int kind_of(int16_t type)
{
	switch (type) {
	case LINUX_F_RDLCK:
		return 0;
	case LINUX_F_WRLCK:
		return 1;
	case LINUX_F_UNLCK:
		return -1;
	default:
		return -EINVAL;
	}
}

int vfs_posix_lock(struct file *f, void *owner, int32_t pid, bool ofd, const struct linux_flock *fl)
{
	int kind = kind_of(fl->l_type), ret;
	struct flock_state *s;
	struct range g;

	if (kind == -EINVAL)
		return -EINVAL;
	ret = resolve(f, fl, &g);
	if (ret < 0)
		return ret;
	if (kind < 0 && !__atomic_load_n(&f->inode->flocks, __ATOMIC_ACQUIRE))
		return 0;
	ret = state_of(f->inode, &s);
	if (ret < 0)
		return ret;
	return set_record(s, ofd ? f : owner, ofd ? -1 : pid, g, kind);
}

int vfs_posix_getlk(struct file *f, void *owner, bool ofd, struct linux_flock *fl)
{
	struct flock_state *s;
	struct record *r;
	struct range g;
	int kind = kind_of(fl->l_type), ret;

	if (kind == -EINVAL)
		return -EINVAL;
	ret = resolve(f, fl, &g);
	if (ret < 0)
		return ret;
	ret = state_of(f->inode, &s);
	if (ret < 0)
		return ret;
	mutex_lock(&s->lock);
	/* with F_UNLCK an OFD query asks for any lock there */
	r = conflict_locked(s, ofd ? (void *)f : owner, &g, kind != 0);
	if (r) {
		*fl = (struct linux_flock){.l_type = r->write ? LINUX_F_WRLCK : LINUX_F_RDLCK,
					   .l_whence = LINUX_SEEK_SET,
					   .l_start = (int64_t)r->start,
					   .l_len = r->end == INT64_MAX ? 0 : (int64_t)(r->end - r->start + 1),
					   .l_pid = r->pid};
	} else {
		fl->l_type = LINUX_F_UNLCK;
	}
	mutex_unlock(&s->lock);
	return 0;
}

void vfs_locks_release(struct file *f, void *owner)
{
	struct flock_state *s = __atomic_load_n(&f->inode->flocks, __ATOMIC_ACQUIRE);
	struct record *r, *tmp;
	bool any = false;

	if (!s)
		return;
	mutex_lock(&s->lock);
	list_for_each_safe (r, tmp, &s->records, node) {
		if (r->owner != owner)
			continue;
		list_del(&r->node);
		kfree(r);
		any = true;
	}
	mutex_unlock(&s->lock);
	if (any)
		waitq_wake(&s->wq, EV_ALL);
}

/* Who is in the way of a waiting request: an owner, or NULL. */
static void *blocker_of(struct inode *i, const void *owner, const struct linux_flock *fl)
{
	struct flock_state *s = __atomic_load_n(&i->flocks, __ATOMIC_ACQUIRE);
	struct range g = {(uint64_t)fl->l_start,
			  fl->l_len ? (uint64_t)fl->l_start + (uint64_t)fl->l_len - 1 : INT64_MAX};
	struct record *r;
	void *who;

	if (!s)
		return NULL;
	mutex_lock(&s->lock);
	r = conflict_locked(s, owner, &g, fl->l_type == LINUX_F_WRLCK);
	who = r && r->pid != -1 ? r->owner : NULL; /* nobody waits as an open file description */
	mutex_unlock(&s->lock);
	return who;
}

#define DEADLOCK_DEPTH 64

int vfs_posix_wait_begin(struct file *f, void *owner, const struct linux_flock *fl, struct lock_wait *w)
{
	struct vfs *v = f->inode->super->vfs;
	struct range g;
	void *who;
	int ret = resolve(f, fl, &g);

	if (ret < 0)
		return ret;
	*w = (struct lock_wait){.owner = owner, .inode = f->inode, .fl = *fl};
	w->fl.l_start = (int64_t)g.start;
	w->fl.l_len = g.end == INT64_MAX ? 0 : (int64_t)(g.end - g.start + 1);
	mutex_lock(&v->lock_wait_lock);
	who = blocker_of(f->inode, owner, &w->fl);
	for (int i = 0; who && i < DEADLOCK_DEPTH; i++) {
		struct lock_wait *other;
		void *next = NULL;

		if (who == owner) {
			ret = -EDEADLK;
			break;
		}
		list_for_each (other, &v->lock_waits, node) {
			if (other->owner == who) {
				next = blocker_of(other->inode, who, &other->fl);
				break;
			}
		}
		who = next;
	}
	if (ret == 0) {
		list_add_tail(&v->lock_waits, &w->node);
		w->queued = true;
	}
	mutex_unlock(&v->lock_wait_lock);
	return ret;
}

void vfs_posix_wait_end(struct file *f, struct lock_wait *w)
{
	struct vfs *v = f->inode->super->vfs;

	if (!w->queued)
		return;
	mutex_lock(&v->lock_wait_lock);
	list_del(&w->node);
	mutex_unlock(&v->lock_wait_lock);
	w->queued = false;
}

static bool drop_whole_locked(struct flock_state *s, const struct file *f)
{
	struct whole *h;

	list_for_each (h, &s->wholes, node) {
		if (h->file == f) {
			list_del(&h->node);
			kfree(h);
			return true;
		}
	}
	return false;
}

static struct whole *find_whole_locked(struct flock_state *s, const struct file *f)
{
	struct whole *h;

	list_for_each (h, &s->wholes, node)
		if (h->file == f)
			return h;
	return NULL;
}

int vfs_flock(struct file *f, int operation)
{
	int op = operation & ~LINUX_LOCK_NB;
	struct flock_state *s;
	struct whole *h, *n = NULL;
	bool dropped = false;
	int ret;

	if (op != LINUX_LOCK_SH && op != LINUX_LOCK_EX && op != LINUX_LOCK_UN)
		return -EINVAL;
	ret = state_of(f->inode, &s);
	if (ret < 0)
		return ret;
	if (op != LINUX_LOCK_UN) {
		n = kmalloc(sizeof(*n));
		if (!n)
			return -ENOLCK;
		n->file = f;
		n->exclusive = op == LINUX_LOCK_EX;
	}
	mutex_lock(&s->lock);
	h = find_whole_locked(s, f);
	if (n && h && h->exclusive == n->exclusive)
		goto out; /* has it already */
	/* A conversion gives the old lock up first, as flock(2) warns. */
	dropped = drop_whole_locked(s, f);
	if (!n)
		goto out;
	list_for_each (h, &s->wholes, node)
		if (h->exclusive || n->exclusive)
			ret = -EAGAIN;
	if (ret == 0) {
		list_add_tail(&s->wholes, &n->node);
		n = NULL;
	}
out:
	mutex_unlock(&s->lock);
	kfree(n);
	if (dropped)
		waitq_wake(&s->wq, EV_ALL);
	return ret;
}

void flock_file_closed(struct file *f)
{
	struct flock_state *s = f->inode->flocks;
	bool dropped;

	mutex_lock(&s->lock);
	dropped = drop_whole_locked(s, f);
	mutex_unlock(&s->lock);
	if (dropped)
		waitq_wake(&s->wq, EV_ALL);
	vfs_locks_release(f, f);
}
