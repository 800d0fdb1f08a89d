/* sys_mount.c: mount(2), umount2(2), pivot_root(2). Whether the caller may is decided here and in the vfs. */
#include "sentry/syscalls/internal.h"

#define UMOUNT_KNOWN 0xfu /* MNT_FORCE, MNT_DETACH, MNT_EXPIRE, UMOUNT_NOFOLLOW */

static bool may_mount(struct task *t)
{
	return cred_has_cap_in(t->cred, LINUX_CAP_SYS_ADMIN, t->mount_ns->owner);
}

/* A string argument that may be absent. */
static int opt_string(struct task *t, uaddr_t src, char **out)
{
	*out = NULL;
	return src ? getname(t, src, out) : 0;
}

/* The options are a page that may end early: copy what is there. */
static int copy_options(struct task *t, uaddr_t src, char **out)
{
	struct usermem um = task_usermem(t);
	size_t n;
	char *p;

	*out = NULL;
	if (src == 0)
		return 0;
	p = kmalloc(PAGE_SIZE + 1);
	if (!p)
		return -ENOMEM;
	n = um.ops->in(&um, p, src, PAGE_SIZE);
	if (n == 0) {
		kfree(p);
		return -EFAULT;
	}
	p[MIN(n, (size_t)PAGE_SIZE - 1)] = 0;
	*out = p;
	return 0;
}

int64_t sys_mount(struct task *t, const struct sysargs *a)
{
	char *source = NULL, *target = NULL, *type = NULL, *data = NULL;
	uint64_t flags = arg_u64(a, 3);
	struct vfs_at at;
	int ret;

	ret = opt_string(t, arg_addr(a, 2), &type);
	if (ret == 0)
		ret = opt_string(t, arg_addr(a, 0), &source);
	if (ret == 0)
		ret = copy_options(t, arg_addr(a, 4), &data);
	if (ret == 0)
		ret = getname(t, arg_addr(a, 1), &target);
	if (ret < 0)
		goto out;
	ret = -EPERM;
	if (!may_mount(t))
		goto out;
	if ((flags & LINUX_MS_MGC_MSK) == LINUX_MS_MGC_VAL)
		flags &= ~(uint64_t)LINUX_MS_MGC_MSK;
	at = task_at(t, NULL);
	ret = vfs_mount(&at, source ? source : "none", target, type, flags, data);
out:
	kfree(target);
	kfree(data);
	kfree(source);
	kfree(type);
	return ret;
}

int64_t sys_umount2(struct task *t, const struct sysargs *a)
{
	uint32_t flags = arg_u32(a, 1);
	struct vfs_at at;
	char *target;
	int ret;

	if (flags & ~UMOUNT_KNOWN)
		return -EINVAL;
	ret = getname(t, arg_addr(a, 0), &target);
	if (ret < 0)
		return ret;
	ret = -EPERM;
	if (may_mount(t)) {
		at = task_at(t, NULL);
		ret = vfs_umount(&at, target, flags);
	}
	kfree(target);
	return ret;
}

int64_t sys_pivot_root(struct task *t, const struct sysargs *a)
{
	char *new_root, *put_old;
	struct vfs_at at;
	int ret;

	if (!may_mount(t))
		return -EPERM;
	ret = getname(t, arg_addr(a, 0), &new_root);
	if (ret < 0)
		return ret;
	ret = getname(t, arg_addr(a, 1), &put_old);
	if (ret == 0) {
		at = task_at(t, NULL);
		ret = vfs_pivot_root(&at, new_root, put_old);
		kfree(put_old);
	}
	kfree(new_root);
	return ret;
}
