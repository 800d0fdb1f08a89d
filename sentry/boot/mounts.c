/* mounts.c: the first mount namespace: the root (a fresh tmpfs, or the gofer's folder below an overlay),
 * what the configuration mounts on it, and the pseudo file systems every program expects. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gofer/client.h"
#include "platform/abi/misc.h"
#include "platform/abi/fs.h"
#include "platform/abi/stat.h"
#include "platform/base/bug.h"
#include "platform/base/log.h"
#include "sentry/boot/boot.h"
#include "sentry/fs/dev/dev.h"
#include "sentry/fs/devpts/devpts.h"
#include "sentry/fs/gofer/gofer.h"
#include "sentry/fs/overlay/overlay.h"
#include "sentry/fs/pipe/pipe.h"
#include "sentry/fs/proc/proc.h"
#include "sentry/fs/sys/sys.h"
#include "sentry/fs/tmpfs/tmpfs.h"

#define EXIT_SBX 125

static void gofer_died(void *arg, const char *why)
{
	boot_fail(arg, EXIT_SBX, "the file server (sbx-gofer) is gone: %s; the sandbox can't go on", why);
}

static void register_types(struct boot *b)
{
	if (tmpfs_register(b->vfs) < 0)
		boot_fail(b, EXIT_SBX, "cannot create the file systems: out of memory");
	b->vfs->fifo_open = pipe_fifo_open;
	dev_register(b->vfs);
	devpts_register(b->vfs);
	procfs_register(b->vfs, b->kernel);
	sysfs_register(b->vfs, b->kernel);
	overlay_register(b->vfs);
}

/* An overlay of a fresh tmpfs over what super shows. */
static struct super *overlay_over(struct boot *b, struct super *lower)
{
	struct super *upper, *s;
	int ret = tmpfs_super_create(b->vfs, "upper", "mode=755", true, &upper);

	if (ret == 0) {
		ret = overlay_over_super(b->vfs, upper, lower, &s);
		super_put(upper);
	}
	if (ret < 0)
		boot_fail(b, EXIT_SBX, "cannot create an overlay: %s", strerror(-ret));
	return s;
}

struct super *boot_gofer_super(struct boot *b, const char *index, const char *dst, bool shared,
			       bool below_overlay)
{
	struct gofer_mount m = {.root = (uint32_t)strtoul(index, NULL, 10),
				.shared = shared,
				.below_overlay = below_overlay,
				.source = dst,
				.prefix = dst};
	struct super *s;
	int ret = gofer_super_create(b->vfs, b->gofer, &m, &s);

	if (ret < 0)
		boot_fail(b, EXIT_SBX, "cannot open the folder for %s through the file server: %s", dst,
			  strerror(-ret));
	return s;
}

static struct super *root_super(struct boot *b, bool *fresh)
{
	const char *root = config_get(&b->config, "root", "tmpfs");
	bool ro = strcmp(config_get(&b->config, "root-flags", ""), "ro") == 0;
	struct super *lower, *s;
	int ret;

	*fresh = strcmp(root, "tmpfs") == 0;
	if (*fresh) {
		ret = tmpfs_super_create(b->vfs, "sbx", "mode=755", false, &s);
		if (ret < 0)
			boot_fail(b, EXIT_SBX, "cannot create the root: %s", strerror(-ret));
		return s;
	}
	if (strncmp(root, "direct:", 7) == 0 && b->gofer) /* engines change it from outside, too */
		return boot_gofer_super(b, root + 7, "/", true, false);
	if (strncmp(root, "gofer:", 6) != 0 || !b->gofer)
		boot_fail(b, EXIT_SBX, "bad configuration: root=%s", root);
	if (ro)
		return boot_gofer_super(b, root + 6, "/", false, false);
	lower = boot_gofer_super(b, root + 6, "/", false, true);
	s = overlay_over(b, lower);
	super_put(lower);
	return s;
}

/* mkdir -p; existing ones are left as they are. */
static void make_dirs(const struct vfs_at *at, const char *path, uint32_t mode)
{
	char *copy = kstrdup(path);

	BUG_ON(!copy);
	for (char *p = copy + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = 0;
		(void)!vfs_mkdir(at, copy, 0755);
		*p = '/';
	}
	if (vfs_mkdir(at, copy, mode) < 0)
		log_debug("mkdir %s: it is there, or can't be made", copy);
	kfree(copy);
}

void boot_make_dirs(struct boot *b, const char *path)
{
	struct vfs_at at = {.fs = b->fs, .ns = b->mount_ns, .cred = b->root_cred};

	if (path[0] == '/' && path[1])
		make_dirs(&at, path, 0755);
}

static void add_symlinks(struct boot *b, const struct vfs_at *at)
{
	size_t pos = 0;
	const char *v;

	while ((v = config_next(&b->config, "symlink", &pos))) {
		const char *colon = strchr(v, ':');
		char *target;

		if (!colon)
			continue;
		target = kstrndup(v, (size_t)(colon - v));
		BUG_ON(!target);
		(void)!vfs_symlink(at, target, colon + 1);
		kfree(target);
	}
}

/* The place of a volume: a directory, or an empty file for a file, made when it isn't there. */
void boot_make_mountpoint(const struct vfs_at *at, const char *path, const struct super *s)
{
	char *parent;
	char *slash;

	if (inode_is(s->root->inode, LINUX_S_IFDIR)) {
		make_dirs(at, path, 0755);
		return;
	}
	parent = kstrdup(path);
	BUG_ON(!parent);
	slash = strrchr(parent, '/');
	if (slash && slash != parent) {
		*slash = 0;
		make_dirs(at, parent, 0755);
	}
	kfree(parent);
	(void)!vfs_mknod(at, path, LINUX_S_IFREG | 0644, 0);
}

static void add_mounts(struct boot *b, const struct vfs_at *at)
{
	bool root_ro = strcmp(config_get(&b->config, "root-flags", ""), "ro") == 0;
	size_t pos = 0;
	const char *v;

	while ((v = config_next(&b->config, "mount", &pos))) {
		const char *index = strchr(v, ':'), *dst = index ? strchr(index + 1, ':') : NULL;
		bool overlay = strncmp(v, "overlay:", 8) == 0 && !root_ro, rw = strncmp(v, "rw:", 3) == 0;
		bool exclusive = strncmp(v, "overlay:", 8) == 0;
		struct super *s, *lower;
		struct path p;
		int ret;

		if (!dst || dst[1] != '/' || !b->gofer)
			boot_fail(b, EXIT_SBX, "bad configuration: mount=%s", v);
		s = boot_gofer_super(b, index + 1, dst + 1, !exclusive, overlay);
		if (overlay) {
			lower = s;
			s = overlay_over(b, lower);
			super_put(lower);
		}
		boot_make_mountpoint(at, dst + 1, s);
		ret = vfs_lookup(at, dst + 1, LOOKUP_FOLLOW, &p);
		if (ret == 0) {
			ret = vfs_mount_super(&p, s, NULL,
					      LINUX_MS_RELATIME | (rw || overlay ? 0 : LINUX_MS_RDONLY));
			path_put(&p);
		}
		if (ret < 0)
			boot_fail(b, EXIT_SBX, "cannot mount at %s: %s", dst + 1, strerror(-ret));
		super_put(s);
	}
}

static const struct {
	const char *path, *type, *source, *options;
	uint32_t mode;
	uint64_t flags;
} pseudo[] = {
	{"/proc", "proc", "proc", NULL, 0755, LINUX_MS_NOSUID | LINUX_MS_NODEV | LINUX_MS_NOEXEC},
	{"/sys", "sysfs", "sysfs", NULL, 0755,
	 LINUX_MS_NOSUID | LINUX_MS_NODEV | LINUX_MS_NOEXEC | LINUX_MS_RDONLY},
	{"/dev", "devtmpfs", "devtmpfs", "mode=755", 0755, LINUX_MS_NOSUID},
	{"/dev/pts", "devpts", "devpts", "mode=620,ptmxmode=666", 0755, LINUX_MS_NOSUID | LINUX_MS_NOEXEC},
	{"/dev/shm", "tmpfs", "tmpfs", "mode=1777", 01777, LINUX_MS_NOSUID | LINUX_MS_NODEV},
};

static void add_pseudo(struct boot *b, const struct vfs_at *at, bool fresh)
{
	static const struct {
		const char *path;
		uint32_t mode;
	} dirs[] = {{"/tmp", 01777},	{"/var/tmp", 01777}, {"/var/lib", 0755}, {"/var/cache", 0755},
		    {"/var/log", 0755}, {"/run", 0755},	     {"/root", 0700},	 {"/home", 0755},
		    {"/mnt", 0755},	{"/srv", 0755}};
	size_t pos = 0;
	const char *v;

	for (size_t i = 0; fresh && i < ARRAY_SIZE(dirs); i++)
		make_dirs(at, dirs[i].path, dirs[i].mode);
	while (fresh && (v = config_next(&b->config, "dir", &pos)))
		make_dirs(at, v, 0755);
	for (size_t i = 0; i < ARRAY_SIZE(pseudo); i++) {
		int ret;

		make_dirs(at, pseudo[i].path, pseudo[i].mode);
		ret = vfs_mount(at, pseudo[i].source, pseudo[i].path, pseudo[i].type, pseudo[i].flags,
				pseudo[i].options);
		if (ret < 0)
			boot_fail(b, EXIT_SBX, "cannot mount %s at %s: %s", pseudo[i].type, pseudo[i].path,
				  strerror(-ret));
	}
	/* a read-only root still needs a place to write */
	if (strcmp(config_get(&b->config, "root-flags", ""), "ro") == 0 &&
	    vfs_mount(at, "tmpfs", "/tmp", "tmpfs", LINUX_MS_NOSUID | LINUX_MS_NODEV, "mode=1777") < 0)
		log_info("no /tmp in the read-only root");
}

void boot_mounts(struct boot *b)
{
	int gofer_fd = (int)config_get_u64(&b->config, "gofer-fd", UINT32_MAX), ret;
	struct super *root;
	struct vfs_at at;
	struct path p;
	bool fresh;

	register_types(b);
	if (gofer_fd >= 0 && gofer_client_create(gofer_fd, gofer_died, b, &b->gofer) < 0)
		boot_fail(b, EXIT_SBX, "cannot talk to the file server");
	if (cred_create(b->kernel->user_ns, 0, 0, CAPSET_ALL, &b->root_cred) < 0)
		boot_fail(b, EXIT_SBX, "out of memory");
	root = root_super(b, &fresh);
	if (mount_ns_create(b->vfs, root, LINUX_MS_RELATIME, b->kernel->user_ns, &b->mount_ns) < 0)
		boot_fail(b, EXIT_SBX, "cannot create the mount namespace: out of memory");
	super_put(root);
	mount_ns_root(b->mount_ns, &p);
	if (fs_context_create(&p, &p, 0, &b->fs) < 0)
		boot_fail(b, EXIT_SBX, "out of memory");
	path_put(&p);
	at = (struct vfs_at){.fs = b->fs, .ns = b->mount_ns, .cred = b->root_cred};
	if (config_get_u64(&b->config, "oci", 0)) {
		oci_mounts(b, &at);
	} else {
		if (fresh)
			add_symlinks(b, &at);
		add_pseudo(b, &at, fresh);
		add_mounts(b, &at);
	}
	boot_net_files(b, &at);
	if (strcmp(config_get(&b->config, "root-flags", ""), "ro") == 0) {
		ret = vfs_mount(&at, "none", "/", NULL, LINUX_MS_REMOUNT | LINUX_MS_BIND | LINUX_MS_RDONLY,
				NULL);
		if (ret < 0)
			boot_fail(b, EXIT_SBX, "cannot make the root read-only: %s", strerror(-ret));
	}
}
