/* fdtable.c: descriptor tables. Two bitmaps beside the array: which slots are used, and which close at exec;
 * `hint` makes finding the lowest free one cheap. Files are put after the lock is dropped. */
#include <string.h>

#include "sentry/vfs/internal.h"

#define FD_START 64u
#define FD_LIMIT (1u << 20) /* fs.nr_open */

static bool bit_test(const uint64_t *map, uint32_t i)
{
	return map[i / 64] >> (i % 64) & 1;
}

static void bit_set(uint64_t *map, uint32_t i, bool on)
{
	if (on)
		map[i / 64] |= 1ULL << (i % 64);
	else
		map[i / 64] &= ~(1ULL << (i % 64));
}

/* One allocation: the array, then both maps. */
static int table_alloc(uint32_t size, struct file ***files, uint64_t **used, uint64_t **cloexec)
{
	char *p = kmalloc(size * sizeof(struct file *) + 2 * (size / 8));

	if (!p)
		return -ENOMEM;
	*files = (struct file **)p;
	*used = (uint64_t *)(p + size * sizeof(struct file *));
	*cloexec = *used + size / 64;
	return 0;
}

static int fdtable_alloc(uint32_t size, struct fdtable **out)
{
	struct fdtable *t = kmalloc(sizeof(*t));

	if (!t)
		return -ENOMEM;
	if (table_alloc(size, &t->files, &t->used, &t->cloexec) < 0) {
		kfree(t);
		return -ENOMEM;
	}
	refs_init(&t->refs);
	mutex_init(&t->lock, RANK_FDTABLE);
	t->size = size;
	*out = t;
	return 0;
}

int fdtable_create(struct fdtable **out)
{
	return fdtable_alloc(FD_START, out);
}

/* The highest used descriptor plus one. */
static uint32_t fd_end(const struct fdtable *t)
{
	for (uint32_t w = t->size / 64; w > 0; w--)
		if (t->used[w - 1])
			return w * 64 - (uint32_t)__builtin_clzll(t->used[w - 1]);
	return 0;
}

int fdtable_copy(struct fdtable *t, struct fdtable **out)
{
	struct fdtable *c;
	uint32_t size = FD_START, end;

	for (;;) {
		int ret = fdtable_alloc(size, &c);

		if (ret < 0)
			return ret;
		mutex_lock(&t->lock);
		end = fd_end(t);
		if (end <= size)
			break;
		mutex_unlock(&t->lock); /* grew meanwhile, or larger than the usual */
		kfree(c->files);
		kfree(c);
		size = ROUND_UP(end, 64u);
	}
	for (uint32_t i = 0; i < end; i++)
		if (t->files[i])
			c->files[i] = file_get(t->files[i]);
	memcpy(c->used, t->used, ROUND_UP(end, 64u) / 8);
	memcpy(c->cloexec, t->cloexec, ROUND_UP(end, 64u) / 8);
	c->count = t->count;
	c->hint = MIN(t->hint, size);
	mutex_unlock(&t->lock);
	*out = c;
	return 0;
}

/* What close(2) does to a file that left a table. */
static int close_file(struct file *f, void *owner)
{
	int ret = 0;

	if (!(f->flags & LINUX_O_PATH)) {
		if (f->ops->flush)
			ret = f->ops->flush(f);
		if (f->inode->flocks)
			vfs_locks_release(f, owner);
	}
	file_put(f);
	return ret;
}

void fdtable_put(struct fdtable *t, void *owner)
{
	if (!refs_put(&t->refs))
		return;
	for (uint32_t w = 0; w < t->size / 64; w++) {
		uint64_t bits = t->used[w];

		while (bits) {
			uint32_t i = w * 64 + (uint32_t)__builtin_ctzll(bits);

			bits &= bits - 1;
			(void)close_file(t->files[i], owner);
		}
	}
	kfree(t->files);
	kfree(t);
}

struct file *fdtable_get(struct fdtable *t, int fd)
{
	struct file *f = NULL;

	mutex_lock(&t->lock);
	if (LIKELY((uint32_t)fd < t->size)) {
		f = t->files[fd];
		if (f)
			refs_get(&f->refs);
	}
	mutex_unlock(&t->lock);
	return f;
}

/* Lock held; makes slot fd exist. */
static int grow_locked(struct fdtable *t, uint32_t fd)
{
	uint32_t size = t->size;
	struct file **files;
	uint64_t *used, *cloexec;

	if (fd < size)
		return 0;
	if (fd >= FD_LIMIT)
		return -EMFILE;
	while (size <= fd)
		size *= 2;
	if (table_alloc(size, &files, &used, &cloexec) < 0)
		return -ENOMEM;
	memcpy(files, t->files, t->size * sizeof(*files));
	memcpy(used, t->used, t->size / 8);
	memcpy(cloexec, t->cloexec, t->size / 8);
	kfree(t->files);
	t->files = files;
	t->used = used;
	t->cloexec = cloexec;
	t->size = size;
	return 0;
}

static uint32_t find_free_locked(const struct fdtable *t, uint32_t from)
{
	uint32_t i = MAX(from, t->hint), w = i / 64;
	uint64_t bits;

	if (i >= t->size)
		return i;
	bits = ~t->used[w] & (~0ULL << (i % 64));
	while (!bits) {
		if (++w == t->size / 64)
			return t->size;
		bits = ~t->used[w];
	}
	return w * 64 + (uint32_t)__builtin_ctzll(bits);
}

static void set_slot_locked(struct fdtable *t, uint32_t fd, struct file *f, bool cloexec)
{
	t->files[fd] = f;
	bit_set(t->used, fd, f != NULL);
	bit_set(t->cloexec, fd, f && cloexec);
	if (!f && fd < t->hint)
		t->hint = fd;
}

/* What was known about descriptor fd, which was f, is past. */
static void mark_changed(const struct fdtable *t, uint32_t fd, const struct file *f)
{
	change_mark(&f->inode->super->vfs->words[change_fd_word(t, fd)]);
}

int fdtable_install(struct fdtable *t, struct file *f, int min, uint64_t limit, bool cloexec)
{
	uint32_t fd;
	int ret;

	if (min < 0)
		return -EINVAL;
	mutex_lock(&t->lock);
	fd = find_free_locked(t, (uint32_t)min);
	ret = fd < limit ? grow_locked(t, fd) : -EMFILE;
	if (ret == 0) {
		set_slot_locked(t, fd, file_get(f), cloexec);
		t->count++;
		if ((uint32_t)min <= t->hint)
			t->hint = fd + 1;
		ret = (int)fd;
	}
	mutex_unlock(&t->lock);
	return ret;
}

int fdtable_install_at(struct fdtable *t, struct file *f, int fd, uint64_t limit, bool cloexec, void *owner)
{
	struct file *old;
	int ret;

	if (fd < 0 || (uint64_t)fd >= limit)
		return -EBADF;
	mutex_lock(&t->lock);
	ret = grow_locked(t, (uint32_t)fd);
	if (ret < 0) {
		mutex_unlock(&t->lock);
		return ret;
	}
	old = t->files[fd];
	set_slot_locked(t, (uint32_t)fd, file_get(f), cloexec);
	if (old)
		mark_changed(t, (uint32_t)fd, old);
	else
		t->count++;
	mutex_unlock(&t->lock);
	if (old)
		(void)close_file(old, owner);
	return fd;
}

static struct file *take_locked(struct fdtable *t, uint32_t fd)
{
	struct file *f = fd < t->size ? t->files[fd] : NULL;

	if (f) {
		set_slot_locked(t, fd, NULL, false);
		mark_changed(t, fd, f);
		t->count--;
	}
	return f;
}

int fdtable_close(struct fdtable *t, int fd, void *owner)
{
	struct file *f;

	mutex_lock(&t->lock);
	f = take_locked(t, (uint32_t)fd);
	mutex_unlock(&t->lock);
	return f ? close_file(f, owner) : -EBADF;
}

/* The lowest set bit >= i, or the size; map is one of t's. */
static uint32_t next_bit(const struct fdtable *t, const uint64_t *map, uint32_t i)
{
	uint32_t w = i / 64;
	uint64_t bits;

	if (i >= t->size)
		return t->size;
	bits = map[w] & (~0ULL << (i % 64));
	while (!bits) {
		if (++w == t->size / 64)
			return t->size;
		bits = map[w];
	}
	return w * 64 + (uint32_t)__builtin_ctzll(bits);
}

int fdtable_close_range(struct fdtable *t, uint32_t first, uint32_t last, bool set_cloexec, void *owner)
{
	uint32_t i = first;

	if (first > last)
		return -EINVAL;
	mutex_lock(&t->lock);
	while ((i = next_bit(t, t->used, i)) < t->size && i <= last) {
		struct file *f;

		if (set_cloexec) {
			bit_set(t->cloexec, i++, true);
			continue;
		}
		f = take_locked(t, i++);
		mutex_unlock(&t->lock);
		(void)close_file(f, owner);
		mutex_lock(&t->lock);
	}
	mutex_unlock(&t->lock);
	return 0;
}

void fdtable_close_on_exec(struct fdtable *t, void *owner)
{
	uint32_t i = 0;

	mutex_lock(&t->lock);
	while ((i = next_bit(t, t->cloexec, i)) < t->size) {
		struct file *f = take_locked(t, i);

		bit_set(t->cloexec, i, false);
		mutex_unlock(&t->lock);
		if (f)
			(void)close_file(f, owner);
		mutex_lock(&t->lock);
	}
	mutex_unlock(&t->lock);
}

int fdtable_get_cloexec(struct fdtable *t, int fd)
{
	int ret = -EBADF;

	mutex_lock(&t->lock);
	if ((uint32_t)fd < t->size && t->files[fd])
		ret = bit_test(t->cloexec, (uint32_t)fd);
	mutex_unlock(&t->lock);
	return ret;
}

int fdtable_set_cloexec(struct fdtable *t, int fd, bool on)
{
	int ret = -EBADF;

	mutex_lock(&t->lock);
	if ((uint32_t)fd < t->size && t->files[fd]) {
		bit_set(t->cloexec, (uint32_t)fd, on);
		ret = 0;
	}
	mutex_unlock(&t->lock);
	return ret;
}

int fdtable_next(struct fdtable *t, int fd)
{
	uint32_t i;

	if (fd < 0)
		fd = 0;
	mutex_lock(&t->lock);
	i = next_bit(t, t->used, (uint32_t)fd);
	if (i >= t->size)
		i = UINT32_MAX;
	mutex_unlock(&t->lock);
	return i == UINT32_MAX ? -1 : (int)i;
}
