/* oci_mounts.c: the mounts of a container in the order of its bundle, then devices, kernel settings, and what
 * is masked or read-only. All of it happens inside the sandbox's own file system: a symbolic link in the image
 * leads nowhere else. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/abi/fcntl.h"
#include "platform/abi/stat.h"
#include "platform/abi/fs.h"
#include "platform/abi/misc.h"
#include "platform/base/bug.h"
#include "platform/base/log.h"
#include "sentry/boot/boot.h"
#include "sentry/fs/tmpfs/tmpfs.h"

#define EXIT_SBX    125
#define PROPAGATION (LINUX_MS_SHARED | LINUX_MS_PRIVATE | LINUX_MS_SLAVE | LINUX_MS_UNBINDABLE)
#define PER_MOUNT                                                                                              \
	(LINUX_MS_RDONLY | LINUX_MS_NOSUID | LINUX_MS_NODEV | LINUX_MS_NOEXEC | LINUX_MS_NOATIME |             \
	 LINUX_MS_NODIRATIME | LINUX_MS_RELATIME | LINUX_MS_STRICTATIME)

struct oci_mount {
	const char *type, *source, *target, *data;
	uint64_t flags;
};

/* The five keys of a mount stand in the same order. */
struct mount_cursor {
	size_t pos[5];
};

static bool next_mount(const struct config *c, struct mount_cursor *cur, struct oci_mount *m)
{
	const char *flags;

	m->type = config_next(c, "mnt-type", &cur->pos[0]);
	m->source = config_next(c, "mnt-source", &cur->pos[1]);
	m->target = config_next(c, "mnt-target", &cur->pos[2]);
	flags = config_next(c, "mnt-flags", &cur->pos[3]);
	m->data = config_next(c, "mnt-data", &cur->pos[4]);
	if (!m->type || !m->source || !m->target || !flags || !m->data)
		return false;
	m->flags = strtoull(flags, NULL, 10);
	return true;
}

static int mount_at(const struct vfs_at *at, const char *target, struct super *s, uint64_t flags)
{
	struct path p;
	int ret;

	boot_make_mountpoint(at, target, s);
	ret = vfs_lookup(at, target, LOOKUP_FOLLOW, &p);
	if (ret < 0)
		return ret;
	if (inode_is(p.dentry->inode, LINUX_S_IFDIR) != inode_is(s->root->inode, LINUX_S_IFDIR))
		ret = -ENOTDIR;
	else
		ret = vfs_mount_super(&p, s, NULL, (uint32_t)(flags & PER_MOUNT));
	path_put(&p);
	return ret;
}

static void write_file(const struct vfs_at *at, const char *dir, const char *name, const char *text)
{
	char path[256];
	struct file *f;
	struct uio u;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (vfs_open(at, path, LINUX_O_WRONLY | LINUX_O_CREAT, 0444, 0, &f) < 0)
		return;
	uio_init_kernel(&u, (void *)(uintptr_t)text, strlen(text));
	if (file_write(f, &u) < 0)
		log_info("%s can't be written", path);
	file_put(f);
}

/* A view of the container's limits as version 2 shows them; nothing can be changed there. */
static int mount_cgroup(struct boot *b, const struct vfs_at *at, const struct oci_mount *m)
{
	uint64_t memory = config_get_u64(&b->config, "memory", 0), pids = config_get_u64(&b->config, "pids", 0);
	char target[200], text[64];
	struct super *s;
	int ret = tmpfs_super_create(b->vfs, "cgroup", "mode=755", false, &s);

	if (ret < 0)
		return ret;
	ret = mount_at(at, m->target, s, m->flags & ~(uint64_t)LINUX_MS_RDONLY);
	super_put(s);
	if (ret < 0 || strlen(m->target) >= sizeof(target))
		return ret;
	snprintf(target, sizeof(target), "%s", m->target);
	write_file(at, target, "cgroup.controllers", "cpu memory pids\n");
	snprintf(text, sizeof(text), memory ? "%llu\n" : "max\n", (unsigned long long)memory);
	write_file(at, target, "memory.max", text);
	snprintf(text, sizeof(text), pids ? "%llu\n" : "max\n", (unsigned long long)pids);
	write_file(at, target, "pids.max", text);
	snprintf(text, sizeof(text), "%s\n", config_get(&b->config, "cpu-max", "max 100000"));
	write_file(at, target, "cpu.max", text);
	return vfs_mount(at, "none", target, NULL,
			 LINUX_MS_REMOUNT | LINUX_MS_BIND | LINUX_MS_RDONLY | (m->flags & PER_MOUNT), NULL);
}

/* Only on a directory itself: a link would put it where the image's maker wants it. */
static int mount_kernel(const struct vfs_at *at, const struct oci_mount *m)
{
	struct kstat st;

	if (vfs_stat(at, m->target, 0, LINUX_STATX_TYPE, &st) == 0 && (st.mode & LINUX_S_IFMT) != LINUX_S_IFDIR)
		return -ENOTDIR;
	return vfs_mount(at, m->source, m->target, m->type, m->flags & PER_MOUNT, m->data);
}

static int mount_one(struct boot *b, const struct vfs_at *at, const struct oci_mount *m)
{
	struct super *s;
	int ret;

	if (strcmp(m->type, "gofer") == 0) {
		s = boot_gofer_super(b, m->source, m->target, true, false);
		ret = mount_at(at, m->target, s, m->flags);
		super_put(s);
		return ret;
	}
	boot_make_dirs(b, m->target);
	if (strncmp(m->type, "cgroup", 6) == 0)
		return mount_cgroup(b, at, m);
	if (strcmp(m->type, "mqueue") == 0) /* queues are made and found by call; none are listed */
		return vfs_mount(at, m->source, m->target, "tmpfs", m->flags & PER_MOUNT, "mode=1777,size=4k");
	if (strcmp(m->type, "proc") == 0 || strcmp(m->type, "sysfs") == 0)
		return mount_kernel(at, m);
	return vfs_mount(at, m->source, m->target, m->type, m->flags & PER_MOUNT, m->data);
}

static void add_mounts(struct boot *b, const struct vfs_at *at)
{
	struct mount_cursor cur = {0};
	struct oci_mount m;

	while (next_mount(&b->config, &cur, &m)) {
		int ret = mount_one(b, at, &m);

		if (ret == 0 && (m.flags & PROPAGATION))
			ret = vfs_mount(at, "none", m.target, NULL, m.flags & (PROPAGATION | LINUX_MS_REC),
					NULL);
		if (ret < 0)
			boot_fail(b, EXIT_SBX, "cannot mount %s at %s: %s", m.type, m.target, strerror(-ret));
	}
}

/* TYPE:MAJOR:MINOR:MODE:UID:GID:PATH */
static void add_device(struct boot *b, const struct vfs_at *at, const char *v)
{
	uint32_t n[5] = {0}, mode;
	struct iattr own = {.valid = ATTR_UID | ATTR_GID | ATTR_FORCE};
	const char *p = v + 1, *slash;
	char *end, *dir;
	int ret;

	for (size_t i = 0; i < ARRAY_SIZE(n) && *p == ':'; i++, p = end)
		n[i] = (uint32_t)strtoul(p + 1, &end, i == 2 ? 8 : 10);
	if (p[0] != ':' || p[1] != '/')
		return;
	p++;
	slash = strrchr(p, '/');
	dir = kstrndup(p, (size_t)(slash - p));
	BUG_ON(!dir);
	boot_make_dirs(b, dir);
	kfree(dir);
	mode = n[2] | (v[0] == 'b' ? LINUX_S_IFBLK : v[0] == 'p' ? LINUX_S_IFIFO : LINUX_S_IFCHR);
	ret = vfs_mknod(at, p, mode, v[0] == 'p' ? 0 : makedev(n[0], n[1]));
	if (ret == -EEXIST)
		return;
	own.uid = n[3];
	own.gid = n[4];
	if (ret == 0 && (own.uid || own.gid))
		ret = vfs_setattr(at, p, 0, &own);
	if (ret < 0)
		boot_fail(b, EXIT_SBX, "cannot make the device %s: %s", p, strerror(-ret));
}

static void add_devices(struct boot *b, const struct vfs_at *at)
{
	size_t pos = 0;
	const char *v;

	while ((v = config_next(&b->config, "device", &pos)))
		add_device(b, at, v);
}

static void set_one(struct boot *b, const struct vfs_at *at, const char *v)
{
	const char *eq = strchr(v, '=');
	char path[256];
	struct file *f;
	struct uio u;
	ssize_t n;
	int len, ret;

	if (!eq)
		return;
	len = snprintf(path, sizeof(path), "/proc/sys/%.*s", (int)(eq - v), v);
	if ((size_t)len >= sizeof(path))
		boot_fail(b, EXIT_SBX, "sysctl %.*s: the name is too long", 64, v);
	/* dots are slashes, and slashes are dots in names that hold one (interfaces) */
	for (char *p = path + strlen("/proc/sys/"); *p; p++)
		*p = *p == '.' ? '/' : *p == '/' ? '.' : *p;
	ret = vfs_open(at, path, LINUX_O_WRONLY, 0, 0, &f);
	if (ret < 0 && strncmp(v, "net.", 4) == 0) {
		log_warn("sysctl %.*s: the sandbox's network has no such setting", (int)(eq - v), v);
		return;
	}
	if (ret < 0)
		boot_fail(b, EXIT_SBX, "sysctl %.*s: open %s: %s", (int)(eq - v), v, path, strerror(-ret));
	uio_init_kernel(&u, (void *)(uintptr_t)(eq + 1), strlen(eq + 1));
	n = file_write(f, &u);
	file_put(f);
	if (n == -EROFS && strncmp(v, "net.", 4) == 0)
		log_warn("sysctl %.*s: the sandbox's network keeps its own value", (int)(eq - v), v);
	else if (n < 0)
		boot_fail(b, EXIT_SBX, "sysctl %.*s: write: %s", (int)(eq - v), v, strerror((int)-n));
}

static void set_sysctls(struct boot *b, const struct vfs_at *at)
{
	size_t pos = 0;
	const char *v;

	while ((v = config_next(&b->config, "sysctl", &pos)))
		set_one(b, at, v);
}

static void mask(struct boot *b, const struct vfs_at *at, const char *path)
{
	struct path p;
	bool dir;
	int ret = vfs_lookup(at, path, LOOKUP_FOLLOW, &p);

	if (ret < 0) /* not there: nothing to hide */
		return;
	dir = inode_is(p.dentry->inode, LINUX_S_IFDIR);
	path_put(&p);
	if (dir)
		ret = vfs_mount(at, "tmpfs", path, "tmpfs", LINUX_MS_RDONLY, "size=0k,mode=555");
	else
		ret = vfs_mount(at, "/dev/null", path, NULL, LINUX_MS_BIND, NULL);
	if (ret < 0)
		boot_fail(b, EXIT_SBX, "cannot mask %s: %s", path, strerror(-ret));
}

static void make_readonly(struct boot *b, const struct vfs_at *at, const char *path)
{
	uint64_t flags;
	struct path p;
	int ret = vfs_lookup(at, path, LOOKUP_FOLLOW, &p);

	if (ret < 0)
		return;
	flags = __atomic_load_n(&p.mnt->flags, __ATOMIC_RELAXED) & PER_MOUNT;
	path_put(&p);
	ret = vfs_mount(at, path, path, NULL, LINUX_MS_BIND | LINUX_MS_REC, NULL);
	if (ret == 0)
		ret = vfs_mount(at, "none", path, NULL,
				flags | LINUX_MS_REMOUNT | LINUX_MS_BIND | LINUX_MS_RDONLY, NULL);
	if (ret < 0)
		boot_fail(b, EXIT_SBX, "cannot make %s read-only: %s", path, strerror(-ret));
}

static void restrict_paths(struct boot *b, const struct vfs_at *at)
{
	size_t pos = 0;
	const char *v;

	while ((v = config_next(&b->config, "readonly", &pos)))
		make_readonly(b, at, v);
	pos = 0;
	while ((v = config_next(&b->config, "masked", &pos)))
		mask(b, at, v);
}

void oci_mounts(struct boot *b, const struct vfs_at *at)
{
	add_mounts(b, at);
	add_devices(b, at);
	set_sysctls(b, at);
	restrict_paths(b, at);
}
