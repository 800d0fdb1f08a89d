/* mount_test.c: mount(2), umount(2), propagation, pivot_root, and what /proc shows. */
#include "sentry/fs/tmpfs/testing.h"

TestSuite(mounts, .init = world_setup);

static int mnt(const char *src, const char *dst, uint64_t flags)
{
	return vfs_mount(&w.at, src, dst, "tmpfs", flags, NULL);
}

static void show(enum mounts_format format, struct strbuf *out)
{
	struct path root;

	fs_context_root(w.fs, &root);
	strbuf_init(out);
	mount_ns_show(w.ns, &root, format, out);
	path_put(&root);
}

static int count_lines(void)
{
	struct strbuf b;
	int n = 0;

	show(MOUNTS_MOUNTS, &b);
	for (size_t i = 0; i < b.len; i++)
		n += b.data[i] == '\n';
	strbuf_fini(&b);
	return n;
}

Test(mounts, stack_and_cross)
{
	struct kstat st, st2;

	OK(vfs_mkdir(&w.at, "/m", 0755));
	OK(t_create("/m/below"));
	OK(mnt("one", "/m", 0));
	ERR(t_lookup("/m/below", 0), ENOENT);
	OK(t_create("/m/first"));
	OK(mnt("two", "/m", 0));
	ERR(t_lookup("/m/first", 0), ENOENT);
	OK(t_stat("/m/..", &st));
	OK(t_stat("/", &st2));
	cr_assert_eq(st.ino, st2.ino);
	OK(vfs_umount(&w.at, "/m", 0));
	OK(t_lookup("/m/first", 0));
	OK(vfs_umount(&w.at, "/m", 0));
	OK(t_lookup("/m/below", 0));
	ERR(vfs_umount(&w.at, "/m", 0), EINVAL);
	ERR(vfs_umount(&w.at, "/m", 64), EINVAL);
	ERR(mnt("x", "/m/below", 0), ENOTDIR);
	ERR(vfs_mount(&w.at, "x", "/m", "nosuchfs", 0, NULL), ENODEV);
	ERR(vfs_mount(&w.as_user, "x", "/m", "tmpfs", 0, NULL), EPERM);
	ERR(vfs_mount(&w.at, "x", "/m", "tmpfs", 0, "bogus=1"), EINVAL);
}

Test(mounts, busy_and_detach)
{
	struct file *f;
	char buf[64];

	OK(vfs_mkdir(&w.at, "/m", 0755));
	OK(mnt("one", "/m", 0));
	OK(t_open(&w.at, "/m/f", LINUX_O_CREAT | LINUX_O_RDWR, 0644, &f));
	ERR(vfs_umount(&w.at, "/m", 0), EBUSY);
	OK(vfs_umount(&w.at, "/m", 2));
	ERR(t_lookup("/m/f", 0), ENOENT);
	OK(t_write(f, "x"));
	cr_assert_str_eq(vfs_path_name(&f->path, NULL, buf, sizeof(buf)), "/f");
	file_put(f);
	ERR(vfs_umount(&w.at, "/", 0), EBUSY);
}

Test(mounts, bind_and_remount)
{
	struct file *f;

	OK(vfs_mkdir(&w.at, "/a", 0755));
	OK(vfs_mkdir(&w.at, "/a/in", 0755));
	OK(vfs_mkdir(&w.at, "/b", 0755));
	OK(t_create("/a/f"));
	OK(mnt("x", "/a/in", 0));
	OK(t_create("/a/in/deep"));
	OK(mnt("/a", "/b", LINUX_MS_BIND));
	OK(t_lookup("/b/f", 0));
	ERR(t_lookup("/b/in/deep", 0), ENOENT);
	ERR(vfs_rename(&w.at, "/a/f", &w.at, "/b/g", 0), EXDEV);
	OK(vfs_umount(&w.at, "/b", 0));
	OK(mnt("/a", "/b", LINUX_MS_BIND | LINUX_MS_REC));
	OK(t_lookup("/b/in/deep", 0));
	OK(mnt(NULL, "/b", LINUX_MS_BIND | LINUX_MS_REMOUNT | LINUX_MS_RDONLY));
	ERR(t_touch(&w.at, "/b/f", LINUX_O_WRONLY, 0), EROFS);
	ERR(t_touch(&w.at, "/b/new", LINUX_O_CREAT | LINUX_O_WRONLY, 0644), EROFS);
	ERR(vfs_mkdir(&w.at, "/b/f", 0755), EEXIST);
	ERR(vfs_mkdir(&w.at, "/b/n", 0755), EROFS);
	ERR(vfs_unlink(&w.at, "/b/f"), EROFS);
	ERR(vfs_access(&w.at, "/b/f", 0, MAY_WRITE), EROFS);
	OK(t_touch(&w.at, "/a/f", LINUX_O_WRONLY, 0));
	OK(mnt(NULL, "/b", LINUX_MS_BIND | LINUX_MS_REMOUNT));
	OK(t_open(&w.at, "/b/f", LINUX_O_WRONLY, 0, &f));
	ERR(mnt(NULL, "/b", LINUX_MS_BIND | LINUX_MS_REMOUNT | LINUX_MS_RDONLY), EBUSY);
	file_put(f);
	OK(mnt("/a/f", "/a/f", LINUX_MS_BIND));
	ERR(vfs_unlink(&w.at, "/a/f"), EBUSY);
}

Test(mounts, move)
{
	OK(vfs_mkdir(&w.at, "/a", 0755));
	OK(vfs_mkdir(&w.at, "/b", 0755));
	OK(mnt("x", "/a", 0));
	OK(t_create("/a/f"));
	OK(vfs_mkdir(&w.at, "/a/sub", 0755));
	ERR(mnt("/a", "/a/sub", LINUX_MS_MOVE), ELOOP);
	ERR(mnt("/b", "/a/sub", LINUX_MS_MOVE), EINVAL);
	OK(mnt("/a", "/b", LINUX_MS_MOVE));
	OK(t_lookup("/b/f", 0));
	ERR(t_lookup("/a/f", 0), ENOENT);
}

Test(mounts, shared_peers_and_slaves)
{
	OK(vfs_mkdir(&w.at, "/s", 0755));
	OK(vfs_mkdir(&w.at, "/peer", 0755));
	OK(vfs_mkdir(&w.at, "/slave", 0755));
	OK(mnt("x", "/s", 0));
	OK(mnt(NULL, "/s", LINUX_MS_SHARED));
	OK(vfs_mkdir(&w.at, "/s/m", 0755));
	OK(mnt("/s", "/peer", LINUX_MS_BIND));
	OK(mnt("/s", "/slave", LINUX_MS_BIND));
	OK(mnt(NULL, "/slave", LINUX_MS_SLAVE));
	OK(mnt("y", "/s/m", 0));
	OK(t_create("/s/m/f"));
	OK(t_lookup("/peer/m/f", 0));
	OK(t_lookup("/slave/m/f", 0));
	OK(vfs_umount(&w.at, "/peer/m", 0));
	ERR(t_lookup("/s/m/f", 0), ENOENT);
	ERR(t_lookup("/slave/m/f", 0), ENOENT);
	OK(mnt("y", "/slave/m", 0));
	OK(t_create("/slave/m/f"));
	ERR(t_lookup("/s/m/f", 0), ENOENT);
	ERR(mnt(NULL, "/s", LINUX_MS_SHARED | LINUX_MS_PRIVATE), EINVAL);
	OK(mnt(NULL, "/s", LINUX_MS_UNBINDABLE));
	ERR(mnt("/s", "/s/m", LINUX_MS_BIND), EINVAL);
}

Test(mounts, formats)
{
	struct strbuf b;

	OK(vfs_mkdir(&w.at, "/sp ace", 0755));
	OK(vfs_mount(&w.at, "src#1", "/sp ace", "tmpfs", LINUX_MS_NOSUID | LINUX_MS_NODEV,
		     "size=64k,mode=700"));
	show(MOUNTS_MOUNTS, &b);
	cr_assert_str_eq(
		b.data, "root / tmpfs rw,relatime,mode=755,inode64 0 0\n"
			"src\\0431 /sp\\040ace tmpfs rw,nosuid,nodev,relatime,size=64k,mode=700,inode64 0 0\n");
	strbuf_fini(&b);
	show(MOUNTS_INFO, &b);
	cr_assert(strstr(
		b.data,
		" /sp\\040ace rw,nosuid,nodev,relatime - tmpfs src\\0431 rw,size=64k,mode=700,inode64\n"));
	strbuf_fini(&b);
	show(MOUNTS_STATS, &b);
	cr_assert(strstr(b.data, "device root mounted on / with fstype tmpfs\n"));
	strbuf_fini(&b);
}

Test(mounts, namespaces_are_separate)
{
	struct mount_ns *other;
	struct fs_context *fs2;
	struct vfs_at at2;
	struct path p;

	OK(vfs_mkdir(&w.at, "/m", 0755));
	OK(mnt("x", "/m", 0));
	OK(t_create("/m/f"));
	OK(fs_context_copy(w.fs, &fs2));
	OK(mount_ns_copy(w.ns, w.user_ns, fs2, &other));
	at2 = (struct vfs_at){.fs = fs2, .ns = other, .cred = w.root};
	OK(vfs_lookup(&at2, "/m/f", 0, &p));
	cr_assert_eq(p.mnt->ns, other);
	path_put(&p);
	OK(vfs_umount(&at2, "/m", 0));
	ERR(vfs_lookup(&at2, "/m/f", 0, &p), ENOENT);
	OK(t_lookup("/m/f", 0));
	fs_context_put(fs2);
	mount_ns_put(other);
	cr_assert_eq(count_lines(), 2);
}

Test(mounts, pivot)
{
	struct path p;

	OK(vfs_mkdir(&w.at, "/new", 0755));
	OK(t_create("/oldfile"));
	ERR(vfs_pivot_root(&w.at, "/new", "/new"), EBUSY);
	OK(mnt("x", "/new", 0));
	OK(vfs_mkdir(&w.at, "/new/old", 0755));
	OK(t_create("/new/newfile"));
	ERR(vfs_pivot_root(&w.at, "/", "/new/old"), EBUSY);
	OK(vfs_pivot_root(&w.at, "/new", "/new/old"));
	OK(t_lookup("/newfile", 0));
	OK(t_lookup("/old/oldfile", 0));
	OK(t_lookup("/old/new", 0));
	OK(vfs_umount(&w.at, "/old", 2));
	ERR(t_lookup("/old/oldfile", 0), ENOENT);
	OK(t_lookup("/../newfile", 0));
	cr_assert_eq(count_lines(), 1);
	OK(vfs_lookup(&w.at, "/", 0, &p));
	cr_assert_eq(p.mnt->parent, NULL);
	path_put(&p);
}

Test(mounts, pivot_onto_itself)
{
	struct path p;

	OK(vfs_mkdir(&w.at, "/new", 0755));
	OK(mnt("x", "/new", 0));
	OK(t_create("/new/newfile"));
	OK(vfs_lookup(&w.at, "/new", 0, &p));
	fs_context_set_cwd(w.fs, &p);
	path_put(&p);
	OK(vfs_pivot_root(&w.at, ".", "."));
	OK(vfs_umount(&w.at, ".", 2));
	OK(t_lookup("/newfile", 0));
	cr_assert_eq(count_lines(), 1);
}
