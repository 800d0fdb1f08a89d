/* content.c: small files that are read often, kept whole in memory, so that a read is a copy without a host
 * call. Only on read-only exclusive mounts, whose files don't change. They are read, not mapped: a mapping
 * would end the sandbox with SIGBUS if the host cut the file short after all. */
#include "platform/host/hostcall.h"
#include "sentry/fs/gofer/internal.h"

struct content {
	uint32_t size;
	uint8_t data[];
};

static struct content *take(struct gnode *g)
{
	uint64_t w = __atomic_load_n(&g->content, __ATOMIC_ACQUIRE);

	do {
		if (SLOT_VALUE(w) == 0 || w >= SLOT_FULL)
			return NULL;
	} while (!__atomic_compare_exchange_n(&g->content, &w, w + SLOT_USER, true, __ATOMIC_ACQUIRE,
					      __ATOMIC_ACQUIRE));
	return (struct content *)SLOT_VALUE(w);
}

static void give_back(struct gnode *g)
{
	__atomic_sub_fetch(&g->content, SLOT_USER, __ATOMIC_RELEASE);
}

ssize_t gcontent_read(struct gnode *g, struct uio *dst, uint64_t pos)
{
	struct content *c;
	ssize_t ret = 0;

	if (LIKELY(!__atomic_load_n(&g->content, __ATOMIC_RELAXED)))
		return -EAGAIN;
	c = take(g);
	if (!c)
		return -EAGAIN;
	if (pos < c->size)
		ret = uio_put(dst, c->data + pos, c->size - pos);
	give_back(g);
	return ret;
}

/* Unlinks what is unused and frees it after unlocking through the list. */
static struct content *unload_locked(struct gofer_fs *fs, struct gnode *g)
{
	uint64_t w = __atomic_load_n(&g->content, __ATOMIC_ACQUIRE);

	if (SLOT_VALUE(w) == 0 || w >= SLOT_USER ||
	    !__atomic_compare_exchange_n(&g->content, &w, 0, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		return NULL;
	list_del(&g->content_node);
	fs->content_bytes -= ((struct content *)w)->size;
	return (struct content *)w;
}

static void make_room(struct gofer_fs *fs)
{
	struct content *victims[8];
	uint32_t n = 0, scan = ARRAY_SIZE(victims);

	mutex_lock(&fs->lock);
	while (fs->content_bytes > GOFER_CONTENT_TOTAL && scan--) {
		struct gnode *g = list_first(&fs->content_list, struct gnode, content_node);

		if (!g)
			break;
		victims[n] = unload_locked(fs, g);
		if (victims[n]) {
			n++;
			continue;
		}
		list_del(&g->content_node); /* in use: try the next */
		list_add_tail(&fs->content_list, &g->content_node);
	}
	mutex_unlock(&fs->lock);
	while (n)
		kfree(victims[--n]);
}

static struct content *read_all(struct gnode *g, uint32_t size)
{
	struct content *c = kmalloc(sizeof(*c) + size);
	uint64_t *slot;
	ssize_t n;
	int fd;

	if (!c)
		return NULL;
	if (gfd_get(g, false, &slot, &fd) < 0) {
		kfree(c);
		return NULL;
	}
	n = hc_pread(fd, c->data, size, 0);
	gfd_put(slot);
	if (n != (ssize_t)size) {
		kfree(c);
		return NULL;
	}
	c->size = size;
	return c;
}

void gcontent_load(struct gnode *g)
{
	struct gofer_fs *fs = gofer_fs_of(g->inode);
	uint64_t size = __atomic_load_n(&g->inode->size, __ATOMIC_RELAXED), none = 0;
	struct content *c;
	bool won;

	if (fs->shared || !fs->read_only || size == 0 || size > GOFER_CONTENT_FILE ||
	    __atomic_load_n(&g->content, __ATOMIC_RELAXED))
		return;
	c = read_all(g, (uint32_t)size);
	if (!c)
		return;
	mutex_lock(&fs->lock);
	won = __atomic_compare_exchange_n(&g->content, &none, (uint64_t)(uintptr_t)c, false, __ATOMIC_ACQ_REL,
					  __ATOMIC_RELAXED);
	if (won) {
		list_add_tail(&fs->content_list, &g->content_node);
		fs->content_bytes += size;
	}
	mutex_unlock(&fs->lock);
	if (!won)
		kfree(c);
	make_room(fs);
}

void gcontent_drop(struct gnode *g)
{
	struct gofer_fs *fs = gofer_fs_of(g->inode);
	struct content *c;

	if (!__atomic_load_n(&g->content, __ATOMIC_RELAXED))
		return;
	mutex_lock(&fs->lock);
	c = unload_locked(fs, g);
	mutex_unlock(&fs->lock);
	kfree(c);
}
