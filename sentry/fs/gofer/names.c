/* names.c: looking up, making and removing names. The directory is locked (but for revalidate). */
#include "sentry/fs/gofer/internal.h"

/* After so many names were asked for one by one, the rest of the directory is fetched with a few requests:
 * what follows is then answered here, above all names that don't exist (search paths of compilers,
 * interpreters, loaders). */
#define MISSES_BEFORE_LISTING 12
#define LISTING_STEP	      2 /* batches at a time */

/* dir's times and link count are the host's to say, when somebody asks. */
static void changed(struct inode *dir)
{
	glisting_drop(dir);
	gnode_changed(dir);
}

static int inode_from_entry(struct inode *dir, const struct gofer_entry *e, struct inode **out)
{
	struct gofer_fs *fs = gofer_fs_of(dir);
	struct ghandle *h;
	int ret = ghandle_create(fs, gnode_of(dir)->h, e->name.s, e->name.len, gofer_new_id(fs->client),
				 &e->attr, &h);

	return ret < 0 ? ret : gnode_get(fs, &e->attr, h, dir->ino, false, out);
}

/* -EAGAIN: ask the gofer. */
static int lookup_listing(struct inode *dir, const char *name, size_t len, struct inode **out)
{
	struct gnode *g = gnode_of(dir);
	struct glisting *l = glisting_get(dir, true);
	struct gofer_entry e;
	int ret = -EAGAIN;

	if (l)
		ret = glisting_find(l, name, len, &e);
	if (ret == -EAGAIN && !gofer_fs_of(dir)->shared && ++g->misses > MISSES_BEFORE_LISTING) {
		g->misses = 0;
		if (!l)
			l = glisting_get_or_create(dir);
		if (l && glisting_load(dir, l, glisting_batches(l) + LISTING_STEP) == 0)
			ret = glisting_find(l, name, len, &e);
	}
	if (ret == 0)
		ret = inode_from_entry(dir, &e, out);
	glisting_put(l);
	return ret;
}

int gofer_lookup(struct inode *dir, const char *name, size_t len, struct inode **out)
{
	struct gofer_fs *fs = gofer_fs_of(dir);
	const struct gofer_reply *reply;
	struct gofer_channel *ch;
	struct gofer_attr a;
	struct ghandle *h;
	struct gcall c;
	char *text = NULL;
	size_t text_len = 0;
	uint64_t id;
	int ret = lookup_listing(dir, name, len, out);

	if (ret != -EAGAIN)
		return ret;
	if (!gofer_name_valid(name, len))
		return -ENOENT;
	id = gofer_new_id(fs->client);
	gcall_prepare(&c, gnode_of(dir)->h, GOFER_WALK);
	c.req.walk_count = 1;
	c.req.walk[0] = (struct gofer_step){id, gofer_name_of(name, len)};
	ret = gcall_do(&c, &ch, &reply, NULL);
	if (ret == 0 && reply->attr_count != 1)
		ret = -EIO;
	if (ret == 0) {
		a = reply->attrs[0];
		text_len = reply->data_size;
		text = text_len ? kmemdup(reply->data, text_len) : NULL;
	}
	gofer_done(ch);
	if (ret < 0)
		return ret;
	ret = ghandle_create(fs, gnode_of(dir)->h, name, len, id, &a, &h);
	if (ret == 0) {
		h->bound = 1;
		ret = gnode_get(fs, &a, h, dir->ino, true, out);
	} else {
		gofer_forget(fs->client, id);
	}
	if (ret == 0 && text && inode_is(*out, LINUX_S_IFLNK))
		gnode_set_link(*out, text, text_len);
	kfree(text);
	return ret;
}

/* Shared mounts only: asked for every component of every walk. */
int gofer_revalidate(struct inode *dir, const char *name, size_t len, struct inode *inode)
{
	const struct gofer_reply *reply;
	struct gofer_channel *ch;
	struct gofer_attr a = {0};
	struct gnode *g;
	struct gcall c;
	int ret;

	if (!inode)
		return 0;
	g = gnode_of(inode);
	if (clock_monotonic_ns() - __atomic_load_n(&g->checked_ns, __ATOMIC_RELAXED) < GOFER_SHARED_NS)
		return 1;
	gcall_prepare(&c, gnode_of(dir)->h, GOFER_WALK);
	c.req.walk_count = 1;
	c.req.walk[0] = (struct gofer_step){0, gofer_name_of(name, len)};
	ret = gcall_do(&c, &ch, &reply, NULL);
	if (ret == 0 && reply->attr_count == 1)
		a = reply->attrs[0];
	gofer_done(ch);
	if (ret == -ENOENT || ret == -ESTALE || ret == -ENOTDIR)
		return 0;
	if (ret < 0)
		return ret;
	if (a.ino != g->host_ino || a.dev != g->host_dev || !inode_is(inode, a.mode & LINUX_S_IFMT))
		return 0;
	gnode_update(inode, &a);
	return 1;
}

/* ---- making */

struct maker {
	struct gcall c;
	struct inode *dir;
	uint64_t id;
};

/* The owner and mode that the new file is to have, as the guest's rules say. */
static void prepare(struct maker *m, struct inode *dir, uint32_t op, const char *name, size_t len,
		    uint32_t mode, const struct cred *cred)
{
	struct inode like = {.mode = mode};

	inode_init_owner(&like, dir, cred);
	m->dir = dir;
	m->id = gofer_new_id(gofer_fs_of(dir)->client);
	gcall_prepare(&m->c, gnode_of(dir)->h, op);
	m->c.req.node2 = m->id;
	m->c.req.name = gofer_name_of(name, len);
	m->c.req.mode = like.mode;
	m->c.req.uid = like.uid;
	m->c.req.gid = like.gid;
}

static int make(struct maker *m, struct inode **out)
{
	struct gofer_fs *fs = gofer_fs_of(m->dir);
	struct gofer_attr a;
	struct ghandle *h;
	int fd = -1, ret = gcall_simple(&m->c, &a, &fd);

	if (ret < 0)
		return ret;
	changed(m->dir);
	ret = ghandle_create(fs, gnode_of(m->dir)->h, m->c.req.name.s ? m->c.req.name.s : "", m->c.req.name.len,
			     m->id, &a, &h);
	if (ret == 0) {
		h->bound = 1;
		h->gone = m->c.req.op == GOFER_TMPFILE;
		ret = gnode_get(fs, &a, h, m->dir->ino, true, out);
	} else {
		gofer_forget(fs->client, m->id);
	}
	if (ret == 0 && fd >= 0) {
		gfd_install(gnode_of(*out), fd);
		fd = -1;
	}
	if (fd >= 0)
		gfd_close(fd);
	return ret;
}

int gofer_mknod(struct inode *dir, const char *name, size_t len, uint32_t mode, uint64_t rdev,
		const struct cred *cred, struct inode **out)
{
	bool regular = (mode & LINUX_S_IFMT) == LINUX_S_IFREG || (mode & LINUX_S_IFMT) == 0;
	struct maker m;

	prepare(&m, dir, regular ? GOFER_CREATE : GOFER_MKNOD, name, len, mode, cred);
	m.c.req.rdev = rdev;
	if (regular)
		m.c.req.flags = GOFER_OPEN_READ | GOFER_OPEN_WRITE | GOFER_OPEN_EXCL;
	return make(&m, out);
}

int gofer_mkdir(struct inode *dir, const char *name, size_t len, uint32_t mode, const struct cred *cred,
		struct inode **out)
{
	struct maker m;

	prepare(&m, dir, GOFER_MKDIR, name, len, LINUX_S_IFDIR | mode, cred);
	return make(&m, out);
}

int gofer_symlink(struct inode *dir, const char *name, size_t len, const char *target, const struct cred *cred,
		  struct inode **out)
{
	struct maker m;
	int ret;

	prepare(&m, dir, GOFER_SYMLINK, name, len, LINUX_S_IFLNK | 0777, cred);
	m.c.req.data = target;
	m.c.req.data_size = (uint32_t)strnlen(target, GOFER_TARGET_MAX);
	ret = make(&m, out);
	if (ret == 0)
		gnode_set_link(*out, target, m.c.req.data_size);
	return ret;
}

int gofer_tmpfile(struct inode *dir, uint32_t mode, const struct cred *cred, struct inode **out)
{
	struct maker m;

	prepare(&m, dir, GOFER_TMPFILE, NULL, 0, LINUX_S_IFREG | mode, cred);
	return make(&m, out);
}

int gofer_link(struct inode *dir, const char *name, size_t len, struct inode *target)
{
	struct ghandle *h = gnode_of(target)->h, *d = gnode_of(dir)->h;
	struct gofer_attr a;
	struct gcall c;
	int ret;

	gcall_prepare(&c, h, GOFER_LINK);
	gcall_also(&c, d);
	c.req.node2 = d->id;
	c.req.name = gofer_name_of(name, len);
	ret = gcall_simple(&c, &a, NULL);
	if (ret < 0)
		return ret;
	changed(dir);
	mutex_lock_nested(&target->lock);
	__atomic_store_n(&target->nlink, a.nlink, __ATOMIC_RELAXED);
	mutex_unlock(&target->lock);
	gnode_changed(target);
	return 0;
}

/* ---- removing */

/* The victim's id, when this is the name that the gofer knows it by: it then keeps the file at hand. */
static uint64_t victim_id(struct inode *dir, const char *name, size_t len, struct inode *victim)
{
	struct ghandle *h = victim ? gnode_of(victim)->h : NULL;

	return h && ghandle_is(h, gnode_of(dir)->h, name, len) ? h->id : 0;
}

static void was_removed(struct inode *victim, uint64_t id)
{
	struct gnode *g = gnode_of(victim);

	if (id) {
		__atomic_store_n(&g->h->bound, 1, __ATOMIC_RELEASE);
		ghandle_set_gone(g->h);
	}
	gnode_changed(victim);
	if (inode_is(victim, LINUX_S_IFDIR))
		glisting_drop(victim); /* its number may soon be another's */
	mutex_lock_nested(&victim->lock);
	if (inode_is(victim, LINUX_S_IFDIR))
		__atomic_store_n(&victim->nlink, 0, __ATOMIC_RELAXED);
	else if (victim->nlink)
		__atomic_store_n(&victim->nlink, victim->nlink - 1, __ATOMIC_RELAXED);
	victim->ctime = vfs_now();
	mutex_unlock(&victim->lock);
}

static int remove_name(struct inode *dir, const char *name, size_t len, struct inode *inode, uint32_t op)
{
	uint64_t id = victim_id(dir, name, len, inode);
	struct gcall c;
	int ret;

	gcall_prepare(&c, gnode_of(dir)->h, op);
	c.req.node2 = id;
	c.req.name = gofer_name_of(name, len);
	ret = gcall_simple(&c, NULL, NULL);
	if (ret < 0)
		return ret;
	changed(dir);
	was_removed(inode, id);
	return 0;
}

int gofer_unlink(struct inode *dir, const char *name, size_t len, struct inode *inode)
{
	return remove_name(dir, name, len, inode, GOFER_UNLINK);
}

int gofer_rmdir(struct inode *dir, const char *name, size_t len, struct inode *inode)
{
	return remove_name(dir, name, len, inode, GOFER_RMDIR);
}

/* After the host has done it: what lies where now. */
static void was_renamed(struct inode *inode, uint64_t id, struct inode *new_dir, const char *new_name,
			size_t new_len)
{
	if (!id)
		return;
	ghandle_move(gnode_of(inode)->h, gnode_of(new_dir)->h, new_name, new_len);
	__atomic_store_n(&gnode_of(inode)->h->bound, 1, __ATOMIC_RELEASE);
	__atomic_store_n(&gnode_of(inode)->parent_ino, new_dir->ino, __ATOMIC_RELAXED);
	gnode_changed(inode);
}

int gofer_rename(struct inode *old_dir, const char *old_name, size_t old_len, struct inode *inode,
		 struct inode *new_dir, const char *new_name, size_t new_len, struct inode *victim,
		 uint32_t flags)
{
	uint64_t id = victim_id(old_dir, old_name, old_len, inode);
	uint64_t other = victim_id(new_dir, new_name, new_len, victim);
	struct ghandle *d2 = gnode_of(new_dir)->h;
	struct gcall c;
	int ret;

	if (flags & ~(uint32_t)(LINUX_RENAME_NOREPLACE | LINUX_RENAME_EXCHANGE))
		return -EINVAL;
	gcall_prepare(&c, gnode_of(old_dir)->h, GOFER_RENAME);
	gcall_also(&c, d2);
	c.req.node2 = d2->id;
	c.req.node3 = id;
	c.req.node4 = other;
	c.req.name = gofer_name_of(old_name, old_len);
	c.req.name2 = gofer_name_of(new_name, new_len);
	c.req.flags = flags;
	ret = gcall_simple(&c, NULL, NULL);
	if (ret < 0)
		return ret;
	changed(old_dir);
	if (new_dir != old_dir)
		changed(new_dir);
	was_renamed(inode, id, new_dir, new_name, new_len);
	if (victim && (flags & LINUX_RENAME_EXCHANGE))
		was_renamed(victim, other, old_dir, old_name, old_len);
	else if (victim && victim != inode)
		was_removed(victim, other);
	return 0;
}
