/* fd.c: /proc/<pid>/fd and fdinfo. */
#include <stdio.h>
#include <string.h>

#include "platform/abi/fcntl.h"
#include "sentry/fs/proc/internal.h"

static struct fdtable *node_fds(const struct pseudo_node *n)
{
	struct task *t = proc_task(n);
	struct fdtable *fds;

	if (!t)
		return NULL;
	fds = task_fds_get(t);
	task_put(t);
	return fds;
}

static int node_fd(const struct pseudo_node *n)
{
	return (int)(n->arg & INT32_MAX);
}

static struct file *node_file(const struct pseudo_node *n)
{
	struct fdtable *fds = node_fds(n);
	struct file *f;

	if (!fds)
		return NULL;
	f = fdtable_get(fds, node_fd(n));
	fdtable_put(fds, NULL);
	return f;
}

static int fd_follow(struct pseudo_node *n, const struct cred *cred, struct path *out)
{
	struct file *f;
	int ret = proc_may_inspect(n, cred);

	if (ret < 0)
		return ret;
	f = node_file(n);
	if (!f)
		return -ENOENT;
	*out = f->path;
	path_get(out);
	file_put(f);
	return 0;
}

static ssize_t fd_readlink_at(struct pseudo_node *n, const struct vfs_at *at, char *buf, size_t size)
{
	struct file *f;
	ssize_t ret = proc_may_inspect(n, at->cred);
	char name[64];

	if (ret < 0)
		return ret;
	f = node_file(n);
	if (!f)
		return -ENOENT;
	if (!f->ops->name && !f->path.mnt && !*f->path.dentry->name) {
		/* something of the host's */
		snprintf(name, sizeof(name), "anon_inode:[host:%lu]", f->inode->ino);
		ret = procfs_put(name, buf, size);
	} else if (!f->ops->name) {
		ret = proc_describe_path(&f->path, at, buf, size);
	} else if (strchr(f->ops->name, ':')) {
		ret = procfs_put(f->ops->name, buf, size);
	} else {
		snprintf(name, sizeof(name), "%s:[%lu]", f->ops->name, f->inode->ino);
		ret = procfs_put(name, buf, size);
	}
	file_put(f);
	return ret;
}

static int show_fdinfo(struct pseudo_node *n, struct file *reader, struct strbuf *out)
{
	struct fdtable *fds = node_fds(n);
	struct file *f = fds ? fdtable_get(fds, node_fd(n)) : NULL;
	int cloexec = f ? fdtable_get_cloexec(fds, node_fd(n)) : 0;

	struct task *t = f ? proc_task(n) : NULL;

	(void)reader;
	if (t) {
		task_settle_file(t, fds, node_fd(n));
		task_put(t);
	}
	if (fds)
		fdtable_put(fds, NULL);
	if (!f)
		return -ENOENT;
	strbuf_printf(out, "pos:\t%lu\nflags:\t0%o\nmnt_id:\t%lu\nino:\t%lu\n",
		      f->ops->seekable ? __atomic_load_n(&f->pos, __ATOMIC_RELAXED) : 0,
		      (__atomic_load_n(&f->flags, __ATOMIC_RELAXED) & ~(uint32_t)LINUX_O_NOCTTY) |
			      (cloexec > 0 ? LINUX_O_CLOEXEC : 0),
		      f->path.mnt ? f->path.mnt->id : 15, f->inode->ino);
	if (f->ops->show_fdinfo)
		f->ops->show_fdinfo(f, out);
	file_put(f);
	return 0;
}

static const struct pseudo_entry fd_link = {.mode = LINK, .follow = fd_follow, .readlink_at = fd_readlink_at};
static const struct pseudo_entry fdinfo_file = {
	.mode = R_FILE, .show = show_fdinfo, .may_open = proc_may_inspect};

bool proc_is_fd(const struct pseudo_node *n)
{
	return n->entry == &fd_link || n->entry == &fdinfo_file;
}

/* The link's mode tells how the descriptor was opened. */
bool proc_fd_alive(struct pseudo_node *n)
{
	struct file *f = node_file(n);
	uint32_t mode = PSEUDO_LINK;

	if (!f)
		return false;
	if (n->entry == &fd_link) {
		if (FILE_CAN_READ(f))
			mode |= 0500;
		if (FILE_CAN_WRITE(f))
			mode |= 0300;
		__atomic_store_n(&n->inode->mode, mode, __ATOMIC_RELAXED);
		n->inode->size = 64; /* as Linux shows it */
	}
	file_put(f);
	return true;
}

static int fd_lookup(struct pseudo_node *n, const struct pseudo_entry *e, const char *name, size_t len,
		     struct pseudo_child *out)
{
	struct fdtable *fds;
	struct file *f;
	uint64_t fd;

	if (!proc_parse_number(name, len, INT32_MAX, &fd))
		return -ENOENT;
	fds = node_fds(n);
	if (!fds)
		return -ENOENT;
	f = fdtable_get(fds, (int)fd);
	fdtable_put(fds, NULL);
	if (!f)
		return -ENOENT;
	file_put(f);
	*out = (struct pseudo_child){e, pid_get(n->ctx), (n->arg & PROC_THREAD) | fd};
	return 0;
}

int proc_fd_lookup(struct pseudo_node *n, const char *name, size_t len, struct pseudo_child *out)
{
	return fd_lookup(n, &fd_link, name, len, out);
}

int proc_fdinfo_lookup(struct pseudo_node *n, const char *name, size_t len, struct pseudo_child *out)
{
	return fd_lookup(n, &fdinfo_file, name, len, out);
}

int proc_fd_iterate(struct pseudo_node *n, struct pseudo_iter *it, uint64_t from)
{
	struct fdtable *fds = node_fds(n);
	char name[16];
	int fd;

	if (!fds)
		return -ENOENT;
	for (fd = fdtable_next(fds, (int)MIN(from, (uint64_t)INT32_MAX)); fd >= 0;
	     fd = fdtable_next(fds, fd + 1)) {
		snprintf(name, sizeof(name), "%d", fd);
		if (!pseudo_emit(it, name, n->entry->arg ? R_FILE : LINK, (uint64_t)fd))
			break;
	}
	fdtable_put(fds, NULL);
	return 0;
}

uint32_t proc_fd_count(const struct pseudo_node *n)
{
	struct fdtable *fds = node_fds(n);
	uint32_t count = 0;

	if (fds) {
		count = fds->count;
		fdtable_put(fds, NULL);
	}
	return count;
}
