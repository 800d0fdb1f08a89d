/* sysv_shm.c: System V shared memory (shmop(2)). A segment is a mappable of its own over shared anonymous
 * memory, so that it can count who has it attached: one for each mapping, as Linux counts. */
#include <stdio.h>

#include "platform/abi/mman.h"
#include "platform/abi/signal.h"
#include "sentry/kernel/internal.h"
#include "sentry/kernel/ipc_internal.h"
#include "sentry/kernel/settings.h"

#define SHM_DEST      01000u /* mode bits: to be removed with the last detach; locked in memory */
#define SHM_LOCKED    02000u
#define SHM_ALL_PAGES (1UL << 40 >> PAGE_SHIFT)

struct shm_segment {
	struct ipc_object o;
	struct mappable map;
	struct mappable *backing;    /* [I] reference */
	uint64_t size;		     /* [I] bytes asked for */
	int64_t atime, dtime, ctime; /* [IPC] */
	int32_t cpid, lpid;	     /* [IPC] */
	uint64_t attached;	     /* [IPC] */
};

static struct shm_segment *segment_of(struct ipc_object *o)
{
	return container_of(o, struct shm_segment, o);
}

static struct shm_segment *segment_of_map(struct mappable *m)
{
	return container_of(m, struct shm_segment, map);
}

static int shm_host_fd(struct mappable *m, uint64_t off, uint64_t size, bool for_write, int *fd,
		       uint64_t *fd_off)
{
	struct mappable *b = segment_of_map(m)->backing;

	return b->ops->host_fd(b, off, size, for_write, fd, fd_off);
}

static void shm_map_get(struct mappable *m)
{
	refs_get(&segment_of_map(m)->o.refs);
}

static void shm_map_put(struct mappable *m)
{
	ipc_put(&segment_of_map(m)->o);
}

static void shm_describe(struct mappable *m, uint64_t *dev, uint64_t *ino, char *buf, size_t size)
{
	struct shm_segment *seg = segment_of_map(m);

	*dev = 1;
	*ino = (uint64_t)seg->o.id;
	(void)snprintf(buf, size, "/SYSV%08x (deleted)", (uint32_t)seg->o.key);
}

/* Removed from the table: the memory's books. */
static void shm_forget_locked(struct shm_segment *seg)
{
	seg->o.ipc->shm_pages -= (seg->size + PAGE_SIZE - 1) >> PAGE_SHIFT;
	ipc_remove_locked(&seg->o);
}

static void shm_mapped(struct mappable *m, int delta, bool shared_write)
{
	struct shm_segment *seg = segment_of_map(m);
	struct ipc_state *s = seg->o.ipc;
	bool gone = false;

	(void)shared_write;
	mutex_lock(&s->lock);
	seg->attached += (uint64_t)(int64_t)delta;
	if (delta > 0)
		seg->atime = ipc_now();
	else
		seg->dtime = ipc_now();
	if (seg->attached == 0 && (seg->o.mode & SHM_DEST) && !seg->o.dead) {
		shm_forget_locked(seg);
		gone = true;
	}
	mutex_unlock(&s->lock);
	if (gone)
		ipc_put(&seg->o); /* the mapping still holds its own reference */
}

static uint64_t shm_identity(struct mappable *m)
{
	struct mappable *b = segment_of_map(m)->backing;

	return b->ops->identity(b);
}

static const struct mappable_ops shm_map_ops = {
	.host_fd = shm_host_fd,
	.get = shm_map_get,
	.put = shm_map_put,
	.describe = shm_describe,
	.mapped = shm_mapped,
	.identity = shm_identity,
};

/* Residency isn't known: the last two columns say 0. */
static void segment_show(struct ipc_object *o, struct user_ns *ns, struct strbuf *out)
{
	struct shm_segment *seg = segment_of(o);

	strbuf_printf(out, "%10d %10d  %4o %21lu %5d %5d  %5lu ", o->key, o->id, o->mode, seg->size, seg->cpid,
		      seg->lpid, seg->attached);
	ipc_show_owner(o, ns, out);
	strbuf_printf(out, "%10ld %10ld %10ld %21u %21u\n", seg->atime, seg->dtime, seg->ctime, 0u, 0u);
}

static void segment_destroy(struct ipc_object *o)
{
	struct shm_segment *seg = segment_of(o);

	if (seg->backing)
		seg->backing->ops->put(seg->backing);
	kfree(seg);
}

/* Made before the lock is taken: the memory may need the host. */
static int segment_prepare(struct task *t, uint64_t size, struct shm_segment **out)
{
	struct shm_segment *seg = kmalloc(sizeof(*seg));
	int ret;

	if (!seg)
		return -ENOMEM;
	refs_init(&seg->o.refs);
	seg->o.destroy = segment_destroy;
	seg->o.show = segment_show;
	waitq_init(&seg->o.wq);
	seg->map.ops = &shm_map_ops;
	seg->size = size;
	seg->cpid = t->process->tgid;
	seg->ctime = ipc_now();
	ret = anon_shared_create(ROUND_UP(size, PAGE_SIZE), "SYSV", &seg->backing);
	if (ret < 0) {
		kfree(seg);
		return ret;
	}
	*out = seg;
	return 0;
}

static int segment_add_locked(struct task *t, struct ipc_state *s, struct shm_segment *seg, int32_t key,
			      int flags)
{
	uint64_t pages = (seg->size + PAGE_SIZE - 1) >> PAGE_SHIFT;
	int ret;

	if (s->tables[IPC_SHM].used >= setting(t->kernel, SET_SHMMNI) ||
	    s->shm_pages + pages > MIN(setting(t->kernel, SET_SHMALL), SHM_ALL_PAGES))
		return -ENOSPC;
	ret = ipc_add_locked(t, s, &seg->o, IPC_SHM, key, flags);
	if (ret == 0)
		s->shm_pages += pages;
	return ret;
}

int64_t shm_get(struct task *t, int32_t key, uint64_t size, int flags)
{
	struct shm_segment *fresh = NULL;
	struct ipc_object *o;
	struct ipc_state *s;
	int64_t id = 0;
	int ret = ipc_state_of(t, &s);

	if (ret < 0)
		return ret;
	if (flags & LINUX_SHM_HUGETLB)
		return -ENOMEM; /* an empty pool of huge pages */
	for (;;) {
		mutex_lock(&s->lock);
		ret = ipc_find_key_locked(t, s, IPC_SHM, key, flags, &o);
		if (ret == 0) {
			id = o->id;
			if (size > segment_of(o)->size)
				ret = -EINVAL;
		} else if (ret == 1 && fresh) {
			ret = segment_add_locked(t, s, fresh, key, flags);
			if (ret == 0) {
				id = fresh->o.id;
				fresh = NULL;
			}
		}
		mutex_unlock(&s->lock);
		if (ret != 1)
			break;
		if (size < LINUX_SHMMIN || size > SHM_ALL_PAGES << PAGE_SHIFT)
			return -EINVAL;
		ret = segment_prepare(t, size, &fresh);
		if (ret < 0)
			return ret;
	}
	if (fresh)
		segment_destroy(&fresh->o);
	return ret < 0 ? ret : id;
}

int64_t shm_attach(struct task *t, int id, uaddr_t addr, int flags)
{
	struct mmap_args m = {.prot = LINUX_PROT_READ, .flags = LINUX_MAP_SHARED, .max_prot = LINUX_PROT_READ};
	uint32_t want = flags & LINUX_SHM_RDONLY ? 4 : 6;
	struct ipc_object *o;
	struct ipc_state *s;
	int64_t ret = ipc_state_of(t, &s);

	if (ret < 0)
		return ret;
	if (addr && !IS_ALIGNED(addr, PAGE_SIZE)) {
		if (!(flags & LINUX_SHM_RND))
			return -EINVAL;
		addr = ROUND_DOWN(addr, PAGE_SIZE);
		if (!addr && (flags & LINUX_SHM_REMAP))
			return -EINVAL;
	}
	if (!addr && (flags & LINUX_SHM_REMAP))
		return -EINVAL;
	if (addr)
		m.flags |= flags & LINUX_SHM_REMAP ? LINUX_MAP_FIXED : LINUX_MAP_FIXED_NOREPLACE;
	if (!(flags & LINUX_SHM_RDONLY)) {
		m.prot |= LINUX_PROT_WRITE;
		m.max_prot |= LINUX_PROT_WRITE;
	}
	if (flags & LINUX_SHM_EXEC) {
		m.prot |= LINUX_PROT_EXEC;
		want |= 1;
	}
	m.max_prot |= LINUX_PROT_EXEC;
	mutex_lock(&s->lock);
	o = ipc_find_locked(s, IPC_SHM, id);
	ret = o ? ipc_may(t, o, want) : -EINVAL;
	if (ret == 0)
		refs_get(&o->refs);
	mutex_unlock(&s->lock);
	if (ret < 0)
		return ret;
	m.addr = addr;
	m.size = ROUND_UP(segment_of(o)->size, PAGE_SIZE);
	m.file = &segment_of(o)->map;
	ret = mm_mmap(t->mm, t->ctx, task_rlimits(t), &m);
	if (ret == -EEXIST)
		ret = -EINVAL;
	if (ret >= 0) {
		mutex_lock(&s->lock);
		segment_of(o)->lpid = t->process->tgid;
		mutex_unlock(&s->lock);
	}
	ipc_put(o);
	return ret;
}

int shm_detach(struct task *t, uaddr_t addr)
{
	if (!IS_ALIGNED(addr, PAGE_SIZE))
		return -EINVAL;
	return mm_unmap_object(t->mm, t->ctx, addr, &shm_map_ops);
}

/* ---- shmctl ---- */

static void fill_ds(struct task *t, struct shm_segment *seg, struct linux_shmid_ds *ds)
{
	memset(ds, 0, sizeof(*ds));
	ipc_fill_perm(t, &seg->o, &ds->shm_perm);
	ds->shm_segsz = seg->size;
	ds->shm_atime = seg->atime;
	ds->shm_dtime = seg->dtime;
	ds->shm_ctime = seg->ctime;
	ds->shm_cpid = seg->cpid;
	ds->shm_lpid = seg->lpid;
	ds->shm_nattch = seg->attached;
}

static int64_t ctl_stat(struct task *t, struct ipc_state *s, int id, int cmd, uaddr_t buf)
{
	struct linux_shmid_ds ds;
	struct ipc_object *o;
	int64_t ret;

	mutex_lock(&s->lock);
	o = cmd == LINUX_IPC_STAT ? ipc_find_locked(s, IPC_SHM, id) : ipc_find_index_locked(s, IPC_SHM, id);
	ret = o ? 0 : -EINVAL;
	if (o && cmd != LINUX_SHM_STAT_ANY)
		ret = ipc_may(t, o, 4);
	if (ret == 0) {
		fill_ds(t, segment_of(o), &ds);
		ret = cmd == LINUX_IPC_STAT ? 0 : o->id;
	}
	mutex_unlock(&s->lock);
	if (ret < 0)
		return ret;
	ds.shm_cpid = ipc_show_pid(t, ds.shm_cpid);
	ds.shm_lpid = ipc_show_pid(t, ds.shm_lpid);
	return copy_to_user(t, buf, &ds, sizeof(ds)) < 0 ? -EFAULT : ret;
}

static int64_t ctl_info(struct task *t, struct ipc_state *s, int cmd, uaddr_t buf)
{
	struct linux_shminfo limits = {
		.shmmax = setting(t->kernel, SET_SHMMAX),
		.shmmin = LINUX_SHMMIN,
		.shmmni = setting(t->kernel, SET_SHMMNI),
		.shmseg = LINUX_SHMSEG,
		.shmall = setting(t->kernel, SET_SHMALL),
	};
	struct linux_shm_info used;
	int32_t max;
	int ret;

	memset(&used, 0, sizeof(used));
	mutex_lock(&s->lock);
	max = s->tables[IPC_SHM].max_index;
	used.used_ids = (int32_t)s->tables[IPC_SHM].used;
	used.shm_tot = used.shm_rss = s->shm_pages;
	mutex_unlock(&s->lock);
	if (cmd == LINUX_IPC_INFO)
		ret = copy_to_user(t, buf, &limits, sizeof(limits));
	else
		ret = copy_to_user(t, buf, &used, sizeof(used));
	return ret < 0 ? ret : max;
}

static int ctl_lock_locked(struct task *t, struct shm_segment *seg, bool lock)
{
	if (!cred_has_cap_in(t->cred, LINUX_CAP_IPC_LOCK, seg->o.ipc->owner)) {
		if (t->cred->euid != seg->o.uid && t->cred->euid != seg->o.cuid)
			return -EPERM;
		if (lock && task_rlimit(t, LINUX_RLIMIT_MEMLOCK) == 0)
			return -EPERM;
	}
	if (lock)
		seg->o.mode |= SHM_LOCKED;
	else
		seg->o.mode &= ~SHM_LOCKED;
	return 0;
}

/* [IPC] *dropped: the table's reference is to be put. */
static int ctl_change_locked(struct task *t, struct shm_segment *seg, int cmd, const struct linux_shmid_ds *ds,
			     bool *dropped)
{
	int ret;

	if (cmd == LINUX_SHM_LOCK || cmd == LINUX_SHM_UNLOCK)
		return ctl_lock_locked(t, seg, cmd == LINUX_SHM_LOCK);
	ret = ipc_may_change(t, &seg->o);
	if (ret < 0)
		return ret;
	if (cmd == LINUX_IPC_SET) {
		ret = ipc_set_perm(t, &seg->o, &ds->shm_perm);
		if (ret == 0)
			seg->ctime = ipc_now();
		return ret;
	}
	if (seg->attached == 0) {
		shm_forget_locked(seg);
		*dropped = true;
	} else {
		seg->o.mode |= SHM_DEST;
		seg->o.key = LINUX_IPC_PRIVATE;
	}
	return 0;
}

int64_t shm_ctl(struct task *t, int id, int cmd, uaddr_t buf)
{
	struct linux_shmid_ds ds;
	struct ipc_object *o;
	struct ipc_state *s;
	bool dropped = false;
	int64_t ret;

	if (id < 0 || cmd < 0)
		return -EINVAL;
	ret = ipc_state_of(t, &s);
	if (ret < 0)
		return ret;
	switch (cmd) {
	case LINUX_IPC_INFO:
	case LINUX_SHM_INFO:
		return ctl_info(t, s, cmd, buf);
	case LINUX_IPC_STAT:
	case LINUX_SHM_STAT:
	case LINUX_SHM_STAT_ANY:
		return ctl_stat(t, s, id, cmd, buf);
	case LINUX_IPC_SET:
		ret = copy_from_user(t, &ds, buf, sizeof(ds));
		if (ret < 0)
			return ret;
		break;
	case LINUX_IPC_RMID:
	case LINUX_SHM_LOCK:
	case LINUX_SHM_UNLOCK:
		break;
	default:
		return -EINVAL;
	}
	mutex_lock(&s->lock);
	o = ipc_find_locked(s, IPC_SHM, id);
	ret = o ? ctl_change_locked(t, segment_of(o), cmd, &ds, &dropped) : -EINVAL;
	mutex_unlock(&s->lock);
	if (dropped)
		ipc_put(o);
	return ret;
}
