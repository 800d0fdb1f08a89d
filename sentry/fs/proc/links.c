/* links.c: the magic links of a task: exe, cwd, root, ns/... */
#include <stdio.h>
#include <string.h>

#include "platform/abi/sched.h"
#include "sentry/fs/proc/internal.h"

/* The name of p as the asker sees it. */
ssize_t proc_describe_path(const struct path *p, const struct vfs_at *at, char *buf, size_t size)
{
	char *tmp = kmalloc(VFS_PATH_MAX), *name;
	struct path root;
	ssize_t ret;

	if (!tmp)
		return -ENOMEM;
	if (at && at->fs) {
		fs_context_root(at->fs, &root);
		name = vfs_path_name(p, &root, tmp, VFS_PATH_MAX);
		path_put(&root);
	} else {
		name = vfs_path_name(p, NULL, tmp, VFS_PATH_MAX);
	}
	ret = name ? procfs_put(name, buf, size) : -ENAMETOOLONG;
	kfree(tmp);
	return ret;
}

static int node_fs_path(struct pseudo_node *n, const struct cred *cred,
			void (*get)(struct fs_context *, struct path *), struct path *out)
{
	struct fs_context *fs;
	struct task *t;
	int ret = proc_may_inspect(n, cred);

	if (ret < 0)
		return ret;
	t = proc_task(n);
	if (!t)
		return -ENOENT;
	fs = task_fs_get(t);
	task_put(t);
	if (!fs)
		return -ENOENT;
	get(fs, out);
	fs_context_put(fs);
	return 0;
}

int proc_cwd_follow(struct pseudo_node *n, const struct cred *cred, struct path *out)
{
	return node_fs_path(n, cred, fs_context_cwd, out);
}

int proc_root_follow(struct pseudo_node *n, const struct cred *cred, struct path *out)
{
	return node_fs_path(n, cred, fs_context_root, out);
}

int proc_exe_follow(struct pseudo_node *n, const struct cred *cred, struct path *out)
{
	struct task *t;
	int ret = proc_may_inspect(n, cred);

	if (ret < 0)
		return ret;
	t = proc_task(n);
	if (!t)
		return -ENOENT;
	ret = process_exe(t->process, out);
	task_put(t);
	return ret;
}

ssize_t proc_path_readlink(struct pseudo_node *n, const struct vfs_at *at, char *buf, size_t size)
{
	struct path p;
	ssize_t ret = n->entry->follow(n, at->cred, &p);

	if (ret < 0)
		return ret;
	ret = proc_describe_path(&p, at, buf, size);
	path_put(&p);
	return ret;
}

/* ---- namespaces ---- */
#define NS_CHILDREN (1ULL << 63)

static int ns_follow(struct pseudo_node *n, const struct cred *cred, struct path *out)
{
	uint64_t arg = n->entry->arg;
	struct file *f;
	struct task *t;
	int ret = proc_may_inspect(n, cred);

	if (ret < 0)
		return ret;
	t = proc_task(n);
	if (!t)
		return -ENOENT;
	ret = ns_file_create(t, (uint32_t)arg, (arg & NS_CHILDREN) != 0, cred, &f);
	task_put(t);
	if (ret < 0)
		return ret;
	*out = f->path;
	path_get(out);
	file_put(f);
	return 0;
}

static ssize_t ns_readlink(struct pseudo_node *n, const struct vfs_at *at, char *buf, size_t size)
{
	uint64_t arg = n->entry->arg, ino = 0;
	struct task *t;
	char name[48];
	int ret = proc_may_inspect(n, at->cred);

	if (ret < 0)
		return ret;
	t = proc_task(n);
	if (t) {
		ino = task_ns_ino(t, (uint32_t)arg, (arg & NS_CHILDREN) != 0);
		task_put(t);
	}
	if (!ino)
		return -ENOENT;
	snprintf(name, sizeof(name), "%.*s:[%lu]", (int)strcspn(n->entry->name, "_"), n->entry->name, ino);
	return procfs_put(name, buf, size);
}

#define NS(n, flags)                                                                                           \
	{                                                                                                      \
		n, LINK, .follow = ns_follow, .readlink_at = ns_readlink, .arg = (flags)                       \
	}

const struct pseudo_entry proc_ns_entries[] = {
	NS("cgroup", LINUX_CLONE_NEWCGROUP),
	NS("ipc", LINUX_CLONE_NEWIPC),
	NS("mnt", LINUX_CLONE_NEWNS),
	NS("net", LINUX_CLONE_NEWNET),
	NS("pid", LINUX_CLONE_NEWPID),
	NS("pid_for_children", LINUX_CLONE_NEWPID | NS_CHILDREN),
	NS("time", LINUX_CLONE_NEWTIME),
	NS("time_for_children", LINUX_CLONE_NEWTIME | NS_CHILDREN),
	NS("user", LINUX_CLONE_NEWUSER),
	NS("uts", LINUX_CLONE_NEWUTS),
	END,
};
