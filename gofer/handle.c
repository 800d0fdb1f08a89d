/* handle.c: the nodes that the client knows, by id, and their descriptors. A tree may have millions of files
 * and a process only so many descriptors, so unpinned ones are closed, oldest first, and opened again by
 * name when needed; the identity (device, inode) seen first must still hold. Lock: server.lock, which is
 * held across openat2 of single components but never across anything slow. */
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gofer/internal.h"
#include "platform/abi/errno.h"
#include "platform/base/bug.h"
#include "platform/base/hash.h"
#include "platform/host/hostcall.h"

#define HASH_MIN 1024

void nodes_init(struct server *s)
{
	s->hash_size = HASH_MIN;
	s->hash = calloc(s->hash_size, sizeof(*s->hash));
	BUG_ON(!s->hash);
	list_init(&s->lru);
}

static struct node **slot_of(struct server *s, uint64_t id)
{
	return &s->hash[hash_u64(id) & (s->hash_size - 1)];
}

static struct node *find_locked(struct server *s, uint64_t id)
{
	struct node *n = *slot_of(s, id);

	while (n && n->id != id)
		n = n->hash_next;
	return n;
}

static void grow_locked(struct server *s)
{
	size_t old_size = s->hash_size;
	struct node **old = s->hash, **bigger = calloc(old_size * 2, sizeof(*bigger));

	if (!bigger)
		return; /* slower, not wrong */
	s->hash = bigger;
	s->hash_size = old_size * 2;
	for (size_t i = 0; i < old_size; i++) {
		while (old[i]) {
			struct node *n = old[i], **slot = slot_of(s, n->id);

			old[i] = n->hash_next;
			n->hash_next = *slot;
			*slot = n;
		}
	}
	free(old);
}

static int insert_locked(struct server *s, uint64_t id, uint32_t root_flags, struct node **out)
{
	struct node *n, **slot;

	if (s->node_count >= NODE_MAX)
		return -ENFILE;
	n = calloc(1, sizeof(*n));
	if (!n)
		return -ENOMEM;
	n->id = id;
	n->fd = -1;
	n->uses = 1;
	n->root_flags = root_flags;
	list_init(&n->lru);
	if (++s->node_count > s->hash_size)
		grow_locked(s);
	slot = slot_of(s, id);
	n->hash_next = *slot;
	*slot = n;
	*out = n;
	return 0;
}

static void close_fd_locked(struct server *s, struct node *n)
{
	if (n->fd < 0)
		return;
	list_del(&n->lru);
	hc_close(n->fd);
	n->fd = -1;
	s->open_count--;
}

/* Drops uses and frees what nobody needs, up the tree. */
static void unuse_locked(struct server *s, struct node *n)
{
	while (n && --n->uses == 0 && n->pins == 0) {
		struct node *parent = n->parent;

		close_fd_locked(s, n);
		free(n->name);
		free(n);
		s->node_count--;
		n = parent;
	}
}

/* keep: in use though not pinned. */
static void evict_locked(struct server *s, struct node *keep)
{
	bool listed = !list_empty(&keep->lru);

	list_del(&keep->lru);
	while (s->open_count >= s->open_max) {
		struct node *n = list_first(&s->lru, struct node, lru);

		if (!n)
			break;
		close_fd_locked(s, n);
	}
	if (listed)
		list_add_tail(&s->lru, &keep->lru);
}

/* May its descriptor be closed when it isn't pinned? */
static bool reopenable(const struct node *n)
{
	return !n->is_root && !n->gone;
}

/* n's parent is open. */
static int open_one_locked(struct server *s, struct node *n)
{
	struct node *dir = n->parent;
	struct gofer_attr a;
	int fd, ret;

	ret = host_check_dir(dir, false);
	if (ret < 0)
		return ret;
	evict_locked(s, dir);
	fd = hc_openat2(dir->fd, n->name, O_PATH | O_NOFOLLOW, 0,
			RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS);
	if (fd < 0)
		return fd;
	ret = host_stat_fd(s, fd, &a);
	if (ret == 0 && n->ino && (a.ino != n->ino || a.dev != n->dev))
		ret = -ESTALE;
	if (ret < 0) {
		hc_close(fd);
		return ret;
	}
	n->ino = a.ino;
	n->dev = a.dev;
	n->mode = a.mode;
	n->sealed = dir->sealed || (a.dev != dir->dev && host_is_pseudo(fd));
	n->fd = fd;
	s->open_count++;
	list_add_tail(&s->lru, &n->lru);
	return 0;
}

static int open_locked(struct server *s, struct node *target)
{
	while (target->fd < 0) {
		struct node *n = target;
		int ret;

		while (n->parent && n->parent->fd < 0)
			n = n->parent;
		if (!n->parent)
			return -ESTALE;
		ret = open_one_locked(s, n);
		if (ret < 0)
			return ret;
	}
	return 0;
}

int node_get(struct server *s, uint64_t id, struct node **out)
{
	struct node *n;
	int ret = -ESTALE;

	pthread_mutex_lock(&s->lock);
	n = find_locked(s, id);
	if (n) {
		ret = open_locked(s, n);
		if (ret == 0) {
			list_del(&n->lru); /* pinned ones aren't in the list */
			n->pins++;
			*out = n;
		}
	}
	pthread_mutex_unlock(&s->lock);
	return ret;
}

void node_put(struct server *s, struct node *n)
{
	pthread_mutex_lock(&s->lock);
	if (--n->pins == 0) {
		if (n->uses == 0) {
			n->uses = 1;
			unuse_locked(s, n);
		} else if (reopenable(n)) {
			list_add_tail(&s->lru, &n->lru);
		}
	}
	pthread_mutex_unlock(&s->lock);
}

/* Would n below parent be a loop? */
static bool is_ancestor_locked(const struct node *n, const struct node *parent)
{
	for (; parent; parent = parent->parent)
		if (parent == n)
			return true;
	return false;
}

static int place_locked(struct server *s, struct node *n, struct node *parent, const struct gofer_name *name)
{
	char *copy;

	if (n->is_root || n->gone || is_ancestor_locked(n, parent))
		return -EINVAL;
	if (n->parent == parent && n->name_len == name->len && memcmp(n->name, name->s, name->len) == 0)
		return 0;
	copy = strndup(name->s, name->len);
	if (!copy)
		return -ENOMEM;
	parent->uses++;
	unuse_locked(s, n->parent);
	n->parent = parent;
	free(n->name);
	n->name = copy;
	n->name_len = (uint8_t)name->len;
	return 0;
}

int node_introduce(struct server *s, uint64_t id, uint64_t parent_id, const struct gofer_name *name,
		   uint64_t ino, uint64_t dev)
{
	struct node *parent, *n;
	int ret = -ESTALE;

	if (!id)
		return -EINVAL;
	pthread_mutex_lock(&s->lock);
	parent = find_locked(s, parent_id);
	if (!parent)
		goto out;
	n = find_locked(s, id);
	if (n) {
		ret = n->root_flags == parent->root_flags ? place_locked(s, n, parent, name) : -EXDEV;
		goto out;
	}
	ret = insert_locked(s, id, parent->root_flags, &n);
	if (ret < 0)
		goto out;
	n->ino = ino;
	n->dev = dev;
	ret = place_locked(s, n, parent, name);
	if (ret < 0) {
		*slot_of(s, id) = n->hash_next; /* it was put first */
		free(n);
		s->node_count--;
	}
out:
	pthread_mutex_unlock(&s->lock);
	return ret;
}

static int introduce_open(struct server *s, uint64_t id, uint32_t root_flags, int fd, bool is_root)
{
	struct gofer_attr a;
	struct node *n;
	int ret = host_stat_fd(s, fd, &a);

	if (ret < 0 || !id) {
		hc_close(fd);
		return ret < 0 ? ret : -EINVAL;
	}
	pthread_mutex_lock(&s->lock);
	ret = find_locked(s, id) ? -EEXIST : insert_locked(s, id, root_flags, &n);
	if (ret == 0) {
		n->fd = fd;
		n->ino = a.ino;
		n->dev = a.dev;
		n->mode = a.mode;
		n->is_root = is_root;
		n->gone = !is_root;
		s->open_count++;
	} else {
		hc_close(fd);
	}
	pthread_mutex_unlock(&s->lock);
	return ret;
}

int node_introduce_root(struct server *s, uint64_t id, const struct gofer_root *root)
{
	int fd = hc_dup(root->fd);

	return fd < 0 ? fd : introduce_open(s, id, root->flags, fd, true);
}

int node_introduce_gone(struct server *s, uint64_t id, uint32_t root_flags, int fd)
{
	return introduce_open(s, id, root_flags, fd, false);
}

void node_forget(struct server *s, uint64_t id)
{
	struct node *n, **slot;

	pthread_mutex_lock(&s->lock);
	slot = slot_of(s, id);
	while (*slot && (*slot)->id != id)
		slot = &(*slot)->hash_next;
	n = *slot;
	if (n) {
		*slot = n->hash_next;
		n->forgotten = true;
		unuse_locked(s, n);
	}
	pthread_mutex_unlock(&s->lock);
}

void node_set_gone(struct server *s, struct node *n)
{
	pthread_mutex_lock(&s->lock);
	if (!n->is_root && !n->gone) {
		n->gone = true;
		unuse_locked(s, n->parent);
		n->parent = NULL;
	}
	pthread_mutex_unlock(&s->lock);
}

void nodes_fini(struct server *s)
{
	for (size_t i = 0; i < s->hash_size; i++) {
		while (s->hash[i])
			node_forget(s, s->hash[i]->id);
	}
	free(s->hash);
}
