/* fd.c: descriptors of data files, and buffers. A file's descriptors stay open after the guest has closed it,
 * so that opening it again asks nobody; when there are too many, those unused longest go (a clock), and are
 * asked for again when needed. A slot counts its users, and only a slot without users is emptied. */
#include "platform/host/hostcall.h"
#include "sentry/fs/gofer/internal.h"

static bool slot_take(uint64_t *slot, int *fd)
{
	uint64_t w = __atomic_load_n(slot, __ATOMIC_ACQUIRE);

	do {
		if (SLOT_VALUE(w) == 0 || w >= SLOT_FULL)
			return false;
	} while (!__atomic_compare_exchange_n(slot, &w, w + SLOT_USER, true, __ATOMIC_ACQUIRE,
					      __ATOMIC_ACQUIRE));
	*fd = (int)SLOT_VALUE(w) - 1;
	return true;
}

void gfd_put(uint64_t *slot)
{
	__atomic_sub_fetch(slot, SLOT_USER, __ATOMIC_RELEASE);
}

/* Empties a slot without users: its descriptor, or -1. */
static int slot_clear(uint64_t *slot)
{
	uint64_t w = __atomic_load_n(slot, __ATOMIC_ACQUIRE);

	if (SLOT_VALUE(w) == 0 || w >= SLOT_USER ||
	    !__atomic_compare_exchange_n(slot, &w, 0, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		return -1;
	return (int)w - 1;
}

static void touch(struct gnode *g)
{
	if (!__atomic_load_n(&g->fd_used, __ATOMIC_RELAXED))
		__atomic_store_n(&g->fd_used, true, __ATOMIC_RELAXED);
}

/* Mapped files keep theirs; so does a file about to be mapped, which is one that is open. */
static bool is_held(const struct gnode *g)
{
	if (__atomic_load_n(&g->map_refs, __ATOMIC_ACQUIRE))
		return true;
	return __atomic_load_n(&g->fd_sticky, __ATOMIC_RELAXED) && __atomic_load_n(&g->opens, __ATOMIC_ACQUIRE);
}

/* Closes what has to go: collected under the lock, closed after it. */
static uint32_t evict_locked(struct gofer_fs *fs, int *victims, uint32_t max)
{
	uint32_t n = 0, scan = 2 * fs->fd_count;

	while (fs->fd_count > fs->fd_max && scan-- && n + 2 <= max) {
		struct gnode *g = list_first(&fs->fd_list, struct gnode, fd_node);
		bool used = __atomic_exchange_n(&g->fd_used, false, __ATOMIC_RELAXED);
		int fd;

		list_del(&g->fd_node);
		if (!used && !is_held(g)) {
			fd = slot_clear(&g->ro);
			if (fd >= 0)
				victims[n++] = fd, fs->fd_count--;
			fd = slot_clear(&g->rw);
			if (fd >= 0)
				victims[n++] = fd, fs->fd_count--;
		}
		if (SLOT_VALUE(g->ro) || SLOT_VALUE(g->rw))
			list_add_tail(&fs->fd_list, &g->fd_node);
	}
	return n;
}

/* Puts fd into the slot with one user, or closes it when the slot has been filled meanwhile. */
static void install(struct gnode *g, uint64_t *slot, int fd, uint64_t users)
{
	struct gofer_fs *fs = gofer_fs_of(g->inode);
	uint64_t none = 0;
	int victims[16];
	uint32_t n;
	bool won;

	mutex_lock(&fs->lock);
	won = __atomic_compare_exchange_n(slot, &none, ((uint64_t)fd + 1) | users, false, __ATOMIC_ACQ_REL,
					  __ATOMIC_RELAXED);
	if (won) {
		fs->fd_count++;
		if (list_empty(&g->fd_node))
			list_add_tail(&fs->fd_list, &g->fd_node);
	}
	n = evict_locked(fs, victims, ARRAY_SIZE(victims));
	mutex_unlock(&fs->lock);
	if (!won)
		hc_close(fd);
	while (n)
		hc_close(victims[--n]);
}

static int ask(struct gnode *g, uint32_t flags, uint64_t *slot)
{
	struct gofer_attr a;
	struct gcall c;
	int fd, ret;

	gcall_prepare(&c, g->h, GOFER_OPEN);
	c.req.flags = flags;
	ret = gcall_simple(&c, &a, &fd);
	if (ret == 0 && fd < 0)
		ret = -EIO;
	if (ret < 0)
		return ret;
	install(g, slot, fd, 0);
	return 0;
}

static int get(struct gnode *g, uint64_t *slot, uint32_t flags, int *fd)
{
	touch(g);
	/* it may be taken away between asking and using, but not for ever */
	for (int i = 0; i < 8; i++) {
		int ret;

		if (slot_take(slot, fd))
			return 0;
		ret = ask(g, flags, slot);
		if (ret < 0)
			return ret;
	}
	return -ENFILE;
}

int gfd_get_readonly(struct gnode *g, uint64_t **slot, int *fd)
{
	*slot = &g->ro;
	return get(g, &g->ro, GOFER_OPEN_READ, fd);
}

int gfd_get(struct gnode *g, bool write, uint64_t **slot, int *fd)
{
	int ret;

	if (!write) {
		*slot = &g->rw;
		if (!__atomic_load_n(&g->rw_no_read, __ATOMIC_RELAXED) && slot_take(&g->rw, fd)) {
			touch(g);
			return 0;
		}
		return gfd_get_readonly(g, slot, fd);
	}
	*slot = &g->rw;
	ret = get(g, &g->rw, GOFER_OPEN_READ | GOFER_OPEN_WRITE, fd);
	if (ret == -EACCES) { /* a file that may be written but not read */
		ret = get(g, &g->rw, GOFER_OPEN_WRITE, fd);
		if (ret == 0)
			__atomic_store_n(&g->rw_no_read, true, __ATOMIC_RELAXED);
	}
	return ret;
}

bool gfd_get_any(struct gnode *g, uint64_t **slot, int *fd)
{
	*slot = &g->ro;
	if (slot_take(&g->ro, fd))
		return true;
	*slot = &g->rw;
	return slot_take(&g->rw, fd);
}

void gfd_install(struct gnode *g, int fd)
{
	touch(g);
	install(g, &g->rw, fd, 0);
}

/* The inode goes: nobody uses them. */
void gfd_close_all(struct gnode *g)
{
	struct gofer_fs *fs = gofer_fs_of(g->inode);
	uint64_t *slots[] = {&g->ro, &g->rw};

	for (int i = 0; i < 2; i++) {
		int fd = slot_clear(slots[i]);

		if (fd < 0)
			continue;
		mutex_lock(&fs->lock);
		fs->fd_count--;
		mutex_unlock(&fs->lock);
		hc_close(fd);
	}
	mutex_lock(&fs->lock);
	list_del(&g->fd_node);
	mutex_unlock(&fs->lock);
}

void *gbuf_get(struct gofer_fs *fs)
{
	for (int i = 0; i < GOFER_BUFS; i++) {
		void *p = __atomic_load_n(&fs->bufs[i], __ATOMIC_RELAXED)
				  ? __atomic_exchange_n(&fs->bufs[i], NULL, __ATOMIC_ACQ_REL)
				  : NULL;

		if (p)
			return p;
	}
	return kalloc_pages(GOFER_BUF_SIZE / PAGE_SIZE);
}

void gbuf_put(struct gofer_fs *fs, void *buf)
{
	for (int i = 0; i < GOFER_BUFS; i++) {
		void *none = NULL;

		if (!__atomic_load_n(&fs->bufs[i], __ATOMIC_RELAXED) &&
		    __atomic_compare_exchange_n(&fs->bufs[i], &none, buf, false, __ATOMIC_ACQ_REL,
						__ATOMIC_RELAXED))
			return;
	}
	kfree(buf);
}

/* One that wasn't put anywhere. */
void gfd_close(int fd)
{
	hc_close(fd);
}
