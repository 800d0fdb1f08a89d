/* sys_exec.c: execve(2), execveat(2). */
#include <stdio.h>

#include "sentry/kernel/task.h"
#include "sentry/syscalls/internal.h"

int64_t sys_execve(struct task *t, const struct sysargs *a)
{
	struct vfs_at at = task_at(t, NULL);
	char *name;
	int64_t ret = getname(t, arg_addr(a, 0), &name);

	if (ret < 0)
		return ret;
	ret = task_exec(t, &at, name, name, LOOKUP_FOLLOW, arg_addr(a, 1), arg_addr(a, 2));
	kfree(name);
	return ret;
}

/* What the program is told it was started as: a name relative to a descriptor goes through /dev/fd. */
static int display_name(int dirfd, const struct at_name *n, char **out)
{
	size_t size = VFS_PATH_MAX + 32;
	char *s;

	if (!n->dir) {
		*out = kstrdup(n->name);
		return *out ? 0 : -ENOMEM;
	}
	s = kmalloc(size);
	if (!s)
		return -ENOMEM;
	if (n->name[0])
		snprintf(s, size, "/dev/fd/%d/%s", dirfd, n->name);
	else
		snprintf(s, size, "/dev/fd/%d", dirfd);
	*out = s;
	return 0;
}

int64_t sys_execveat(struct task *t, const struct sysargs *a)
{
	int dirfd = arg_int(a, 0);
	uint32_t flags = arg_u32(a, 4);
	struct at_name n;
	char *display;
	int64_t ret;

	if (flags & ~(uint32_t)(LINUX_AT_EMPTY_PATH | LINUX_AT_SYMLINK_NOFOLLOW))
		return -EINVAL;
	ret = at_begin(t, dirfd, arg_addr(a, 1), &n);
	if (ret < 0)
		return ret;
	ret = display_name(dirfd, &n, &display);
	if (ret == 0) {
		ret = task_exec(t, &n.at, n.name, display, at_lookup(flags), arg_addr(a, 2), arg_addr(a, 3));
		kfree(display);
	}
	at_end(&n);
	return ret;
}
