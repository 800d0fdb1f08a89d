/* walk_test.c: path resolution and open, as path_resolution(7) and open(2) have them. */
#include "sentry/fs/tmpfs/testing.h"

TestSuite(walk, .init = world_setup);

static void make_tree(void)
{
	OK(vfs_mkdir(&w.at, "/a", 0755));
	OK(vfs_mkdir(&w.at, "/a/b", 0755));
	OK(vfs_mkdir(&w.at, "/a/b/c", 0755));
	OK(t_create("/a/b/c/file"));
	OK(vfs_symlink(&w.at, "b/c", "/a/rel"));
	OK(vfs_symlink(&w.at, "/a/b", "/abs"));
	OK(vfs_symlink(&w.at, "file/", "/a/b/c/slash"));
	OK(vfs_symlink(&w.at, "nowhere", "/dangling"));
}

Test(walk, plain_and_slashes)
{
	make_tree();
	OK(t_lookup("/a/b/c/file", 0));
	OK(t_lookup("//a///b/./c/../c/file", 0));
	OK(t_lookup("/", 0));
	OK(t_lookup("/..", 0));
	OK(t_lookup("/../../a", 0));
	OK(t_lookup("a/b/", 0));
	ERR(t_lookup("/a/b/c/file/", 0), ENOTDIR);
	ERR(t_lookup("/a/b/c/file/.", 0), ENOTDIR);
	ERR(t_lookup("/a/b/c/file/..", 0), ENOTDIR);
	ERR(t_lookup("/a/x", 0), ENOENT);
	ERR(t_lookup("/a/x/", 0), ENOENT);
	ERR(t_lookup("/a/x/y", 0), ENOENT);
	ERR(t_lookup("", 0), ENOENT);
	OK(t_lookup("", LOOKUP_EMPTY));
	ERR(t_lookup("/a/b/c/file", LOOKUP_DIRECTORY), ENOTDIR);
}

Test(walk, symlinks)
{
	make_tree();
	OK(t_lookup("/a/rel/file", 0));
	OK(t_lookup("/abs/c/file", 0));
	OK(t_lookup("/abs/../rel/file", 0));
	ERR(t_lookup("/a/b/c/slash", LOOKUP_FOLLOW), ENOTDIR);
	ERR(t_lookup("/dangling", LOOKUP_FOLLOW), ENOENT);
	OK(t_lookup("/dangling", 0));
	ERR(t_lookup("/dangling/", 0), ENOENT);
	OK(t_lookup("/abs/", 0));
	ERR(t_lookup("/a/rel/file", LOOKUP_NO_LINKS), ELOOP);
	OK(t_lookup("/a/rel", LOOKUP_NO_LINKS));
}

Test(walk, link_limit)
{
	char name[16], target[16];

	OK(t_create("/l0"));
	for (int i = 1; i <= 41; i++) {
		snprintf(name, sizeof(name), "/l%d", i);
		snprintf(target, sizeof(target), "l%d", i - 1);
		OK(vfs_symlink(&w.at, target, name));
	}
	OK(t_lookup("/l40", LOOKUP_FOLLOW));
	ERR(t_lookup("/l41", LOOKUP_FOLLOW), ELOOP);
	OK(vfs_symlink(&w.at, "self", "/self"));
	ERR(t_lookup("/self", LOOKUP_FOLLOW), ELOOP);
	ERR(t_lookup("/self/x", 0), ELOOP);
	ERR(t_touch(&w.at, "/self", LINUX_O_CREAT | LINUX_O_RDWR, 0644), ELOOP);
}

Test(walk, nested_links_in_the_middle)
{
	OK(vfs_mkdir(&w.at, "/d", 0755));
	OK(vfs_mkdir(&w.at, "/d/e", 0755));
	OK(t_create("/d/e/f"));
	OK(vfs_symlink(&w.at, "d/./", "/x"));
	OK(vfs_symlink(&w.at, "x/e//", "/y"));
	OK(vfs_symlink(&w.at, "/y/../e", "/z"));
	OK(t_lookup("/z/f", 0));
	OK(t_lookup("/z/../e/../../y/f", 0));
	OK(t_lookup("z/../../x/../y/f", 0));
}

Test(walk, names_too_long)
{
	char name[300];

	memset(name, 'n', sizeof(name));
	name[256] = 0;
	ERR(t_lookup(name, 0), ENAMETOOLONG);
	ERR(t_create(name), ENAMETOOLONG);
	name[255] = 0;
	ERR(t_lookup(name, 0), ENOENT);
	OK(t_create(name));
	OK(vfs_unlink(&w.at, name));
}

Test(walk, permissions)
{
	make_tree();
	ERR(t_touch(&w.as_user, "/new", LINUX_O_CREAT | LINUX_O_WRONLY, 0644), EACCES);
	OK(vfs_mkdir(&w.at, "/secret", 0700));
	OK(t_create("/secret/f"));
	ERR(t_touch(&w.as_user, "/secret/f", LINUX_O_RDONLY, 0), EACCES);
	ERR(t_touch(&w.as_user, "/secret/missing", LINUX_O_RDONLY, 0), EACCES);
	ERR(t_touch(&w.as_user, "/secret", LINUX_O_RDONLY | LINUX_O_DIRECTORY, 0), EACCES);
	ERR(t_touch(&w.as_user, "/a/b/c/file", LINUX_O_WRONLY, 0), EACCES);
	OK(t_touch(&w.as_user, "/a/b/c/file", LINUX_O_RDONLY, 0));
	OK(t_touch(&w.as_user, "/secret", LINUX_O_PATH, 0));
	ERR(t_touch(&w.as_user, "/a/b/c/file", LINUX_O_RDONLY | LINUX_O_TRUNC, 0), EACCES);
	ERR(t_touch(&w.as_user, "/a/b/c/file", LINUX_O_RDONLY | LINUX_O_NOATIME, 0), EPERM);
}

Test(walk, sticky_directory)
{
	OK(vfs_mkdir(&w.at, "/t", 0777));
	OK(vfs_setattr(&w.at, "/t", 0, &(struct iattr){.valid = ATTR_MODE, .mode = 01777}));
	OK(t_create("/t/roots"));
	OK(t_touch(&w.as_user, "/t/mine", LINUX_O_CREAT | LINUX_O_WRONLY, 0644));
	ERR(vfs_unlink(&w.as_user, "/t/roots"), EPERM);
	ERR(vfs_rename(&w.as_user, "/t/roots", &w.as_user, "/t/x", 0), EPERM);
	ERR(vfs_rename(&w.as_user, "/t/mine", &w.as_user, "/t/roots", 0), EPERM);
	OK(vfs_unlink(&w.as_user, "/t/mine"));
}

Test(walk, open_errors)
{
	make_tree();
	ERR(t_touch(&w.at, "/a", LINUX_O_WRONLY, 0), EISDIR);
	ERR(t_touch(&w.at, "/a", LINUX_O_RDWR, 0), EISDIR);
	OK(t_touch(&w.at, "/a", LINUX_O_RDONLY, 0));
	ERR(t_touch(&w.at, "/a", LINUX_O_CREAT | LINUX_O_RDONLY, 0644), EISDIR);
	ERR(t_touch(&w.at, "/a/", LINUX_O_CREAT | LINUX_O_RDONLY, 0644), EISDIR);
	ERR(t_touch(&w.at, "/n/", LINUX_O_CREAT | LINUX_O_RDONLY, 0644), EISDIR);
	ERR(t_touch(&w.at, "/a/.", LINUX_O_CREAT | LINUX_O_RDONLY, 0644), EISDIR);
	ERR(t_touch(&w.at, "/a/..", LINUX_O_CREAT | LINUX_O_RDONLY, 0644), EISDIR);
	ERR(t_touch(&w.at, "/", LINUX_O_CREAT | LINUX_O_RDONLY, 0644), EISDIR);
	ERR(t_touch(&w.at, "/a", LINUX_O_CREAT | LINUX_O_EXCL, 0644), EEXIST);
	ERR(t_touch(&w.at, "/dangling", LINUX_O_CREAT | LINUX_O_EXCL, 0644), EEXIST);
	ERR(t_touch(&w.at, "/abs", LINUX_O_NOFOLLOW, 0), ELOOP);
	ERR(t_touch(&w.at, "/abs", LINUX_O_NOFOLLOW | LINUX_O_DIRECTORY, 0), ENOTDIR);
	OK(t_touch(&w.at, "/abs", LINUX_O_NOFOLLOW | LINUX_O_PATH, 0));
	ERR(t_touch(&w.at, "/a/b/c/file", LINUX_O_DIRECTORY, 0), ENOTDIR);
	ERR(t_touch(&w.at, "/missing", LINUX_O_RDONLY, 0), ENOENT);
	ERR(t_touch(&w.at, "/missing/x", LINUX_O_CREAT, 0), ENOENT);
	ERR(t_touch(&w.at, "/a/b/c/file/x", LINUX_O_CREAT, 0), ENOTDIR);
	OK(t_touch(&w.at, "/dangling", LINUX_O_CREAT | LINUX_O_WRONLY, 0644));
	cr_assert(t_exists("/nowhere"));
}

Test(walk, umask_and_owner)
{
	struct kstat st;

	OK(vfs_mkdir(&w.at, "/t", 0777));
	OK(vfs_setattr(&w.at, "/t", 0,
		       &(struct iattr){.valid = ATTR_MODE | ATTR_GID, .mode = 02777, .gid = 77}));
	OK(t_touch(&w.as_user, "/t/f", LINUX_O_CREAT | LINUX_O_WRONLY, 0666));
	OK(t_stat("/t/f", &st));
	cr_assert_eq(st.mode, LINUX_S_IFREG | 0644);
	cr_assert_eq(st.uid, 1000);
	cr_assert_eq(st.gid, 77);
	OK(vfs_mkdir(&w.as_user, "/t/d", 0777));
	OK(t_stat("/t/d", &st));
	cr_assert_eq(st.mode, LINUX_S_IFDIR | 02755);
}

Test(walk, write_drops_set_id)
{
	struct kstat st;
	struct file *f;

	OK(t_create("/s"));
	OK(vfs_setattr(&w.at, "/s", 0, &(struct iattr){.valid = ATTR_UID, .uid = 1000}));
	OK(vfs_setattr(&w.at, "/s", 0, &(struct iattr){.valid = ATTR_MODE, .mode = 06755}));
	OK(t_open(&w.as_user, "/s", LINUX_O_WRONLY, 0, &f));
	OK(t_write(f, "x"));
	file_put(f);
	OK(t_stat("/s", &st));
	cr_assert_eq(st.mode & 07777, 0755);
	OK(vfs_setattr(&w.at, "/s", 0, &(struct iattr){.valid = ATTR_MODE, .mode = 04755}));
	OK(vfs_setattr(&w.at, "/s", 0, &(struct iattr){.valid = ATTR_GID, .gid = 5}));
	OK(t_stat("/s", &st));
	cr_assert_eq(st.mode & 07777, 0755);
}

Test(walk, chmod_outside_group_drops_sgid)
{
	struct kstat st;

	OK(t_create("/s"));
	OK(vfs_setattr(&w.at, "/s", 0, &(struct iattr){.valid = ATTR_UID | ATTR_GID, .uid = 1000, .gid = 5}));
	OK(vfs_setattr(&w.as_user, "/s", 0, &(struct iattr){.valid = ATTR_MODE, .mode = 02755}));
	OK(t_stat("/s", &st));
	cr_assert_eq(st.mode & 07777, 0755);
	ERR(vfs_setattr(&w.as_user, "/s", 0, &(struct iattr){.valid = ATTR_UID, .uid = 0}), EPERM);
	ERR(vfs_setattr(&w.as_user, "/", 0, &(struct iattr){.valid = ATTR_MODE, .mode = 0777}), EPERM);
}

Test(walk, resolve_flags)
{
	struct path base;
	struct vfs_at at = w.at;
	struct file *f;

	make_tree();
	OK(vfs_symlink(&w.at, "../../etc", "/a/out"));
	OK(vfs_symlink(&w.at, "/b", "/a/rooted"));
	OK(vfs_lookup(&w.at, "/a", 0, &base));
	at.base = &base;
	OK(vfs_open(&at, "b/c/file", 0, 0, LOOKUP_BENEATH, &f));
	file_put(f);
	ERR(vfs_open(&at, "/a", 0, 0, LOOKUP_BENEATH, &f), EXDEV);
	ERR(vfs_open(&at, "..", 0, 0, LOOKUP_BENEATH, &f), EXDEV);
	ERR(vfs_open(&at, "b/../../a", 0, 0, LOOKUP_BENEATH, &f), EXDEV);
	ERR(vfs_open(&at, "out", 0, 0, LOOKUP_BENEATH, &f), EXDEV);
	ERR(vfs_open(&at, "rooted", 0, 0, LOOKUP_BENEATH, &f), EXDEV);
	OK(vfs_open(&at, "b/../b", 0, 0, LOOKUP_BENEATH, &f));
	file_put(f);
	OK(vfs_open(&at, "rooted", 0, 0, LOOKUP_IN_ROOT, &f));
	file_put(f);
	OK(vfs_open(&at, "/../../b", 0, 0, LOOKUP_IN_ROOT, &f));
	file_put(f);
	ERR(vfs_open(&at, "out", 0, 0, LOOKUP_IN_ROOT, &f), ENOENT);
	ERR(vfs_open(&at, "rel/file", 0, 0, LOOKUP_NO_LINKS, &f), ELOOP);
	path_put(&base);
}

Test(walk, chroot_confines)
{
	struct path p;
	char buf[64];

	make_tree();
	OK(vfs_lookup(&w.at, "/a/b", 0, &p));
	fs_context_set_root(w.fs, &p);
	fs_context_set_cwd(w.fs, &p);
	OK(t_lookup("/c/file", 0));
	OK(t_lookup("../../../c/file", 0));
	ERR(t_lookup("/a", 0), ENOENT);
	cr_assert_str_eq(vfs_path_name(&p, &p, buf, sizeof(buf)), "/");
	cr_assert_str_eq(vfs_path_name(&p, NULL, buf, sizeof(buf)), "/a/b");
	path_put(&p);
}

Test(walk, deleted_names)
{
	struct file *f, *g;
	struct kstat st;
	char buf[64];

	make_tree();
	OK(t_open(&w.at, "/a/b/c/file", LINUX_O_RDWR, 0, &f));
	cr_assert_str_eq(vfs_path_name(&f->path, NULL, buf, sizeof(buf)), "/a/b/c/file");
	OK(vfs_rename(&w.at, "/a/b", &w.at, "/a/z", 0));
	cr_assert_str_eq(vfs_path_name(&f->path, NULL, buf, sizeof(buf)), "/a/z/c/file");
	OK(vfs_unlink(&w.at, "/a/z/c/file"));
	cr_assert_str_eq(vfs_path_name(&f->path, NULL, buf, sizeof(buf)), "/a/z/c/file (deleted)");
	OK(vfs_stat_path(&f->path, 0, &st));
	cr_assert_eq(st.nlink, 0);
	OK(t_write(f, "still"));
	OK(vfs_open_path(&f->path, LINUX_O_RDONLY, w.root, &g));
	cr_assert_eq(t_pread(g, buf, 10, 0), 5);
	file_put(g);
	file_put(f);
	ERR(t_lookup("/a/z/c/file", 0), ENOENT);
}

Test(walk, removed_cwd)
{
	struct path p;

	OK(vfs_mkdir(&w.at, "/d", 0755));
	OK(vfs_lookup(&w.at, "/d", 0, &p));
	fs_context_set_cwd(w.fs, &p);
	OK(vfs_rmdir(&w.at, "/d"));
	ERR(t_create("x"), ENOENT);
	ERR(vfs_mkdir(&w.at, "x", 0755), ENOENT);
	ERR(t_lookup("x", 0), ENOENT);
	OK(t_lookup(".", 0));
	OK(t_lookup("..", 0));
	path_put(&p);
}

Test(walk, unnamed_files)
{
	struct file *f;
	struct vfs_at from = w.at;
	char buf[8];

	OK(vfs_mkdir(&w.at, "/d", 0755));
	ERR(t_touch(&w.at, "/d", LINUX_O_TMPFILE | LINUX_O_RDONLY, 0600), EINVAL);
	ERR(t_touch(&w.at, "/nope", LINUX_O_TMPFILE | LINUX_O_RDWR, 0600), ENOENT);
	OK(t_open(&w.at, "/d", LINUX_O_TMPFILE | LINUX_O_RDWR, 0600, &f));
	OK(t_write(f, "hi"));
	from.base = &f->path;
	OK(vfs_link(&from, "", LOOKUP_EMPTY, &w.at, "/d/named"));
	file_put(f);
	OK(t_open(&w.at, "/d/named", LINUX_O_RDONLY, 0, &f));
	cr_assert_eq(t_pread(f, buf, 8, 0), 2);
	file_put(f);
	OK(t_open(&w.at, "/d", LINUX_O_TMPFILE | LINUX_O_EXCL | LINUX_O_RDWR, 0600, &f));
	from.base = &f->path;
	ERR(vfs_link(&from, "", LOOKUP_EMPTY, &w.at, "/d/again"), ENOENT);
	file_put(f);
}

Test(walk, busy_text)
{
	struct file *f;
	struct path p;

	OK(t_create("/prog"));
	OK(vfs_lookup(&w.at, "/prog", 0, &p));
	OK(inode_deny_write(p.dentry->inode));
	ERR(t_touch(&w.at, "/prog", LINUX_O_WRONLY, 0), ETXTBSY);
	ERR(t_touch(&w.at, "/prog", LINUX_O_RDONLY | LINUX_O_TRUNC, 0), ETXTBSY);
	ERR(vfs_setattr(&w.at, "/prog", 0, &(struct iattr){.valid = ATTR_SIZE}), ETXTBSY);
	inode_allow_write(p.dentry->inode);
	OK(t_open(&w.at, "/prog", LINUX_O_WRONLY, 0, &f));
	ERR(inode_deny_write(p.dentry->inode), ETXTBSY);
	file_put(f);
	OK(inode_deny_write(p.dentry->inode));
	inode_allow_write(p.dentry->inode);
	path_put(&p);
}

Test(walk, nodes)
{
	struct kstat st;

	OK(vfs_mknod(&w.at, "/null", LINUX_S_IFCHR | 0666, makedev(1, 3)));
	OK(t_stat("/null", &st));
	cr_assert_eq(st.rdev, makedev(1, 3));
	ERR(t_touch(&w.at, "/null", LINUX_O_RDWR, 0), ENXIO); /* nobody registered it here */
	ERR(vfs_mknod(&w.as_user, "/x", LINUX_S_IFCHR | 0666, makedev(1, 3)), EACCES);
	ERR(vfs_mknod(&w.at, "/x", LINUX_S_IFDIR | 0755, 0), EPERM);
	OK(vfs_mknod(&w.at, "/sock", LINUX_S_IFSOCK | 0755, 0));
	ERR(t_touch(&w.at, "/sock", LINUX_O_RDWR, 0), ENXIO);
	ERR(vfs_mknod(&w.at, "/sock", LINUX_S_IFSOCK | 0755, 0), EEXIST);
	ERR(vfs_mknod(&w.at, "/new/", LINUX_S_IFREG | 0755, 0), ENOENT);
	OK(vfs_mkdir(&w.at, "/newdir/", 0755));
	ERR(vfs_mkdir(&w.at, "/newdir/.", 0755), EEXIST);
	ERR(vfs_mkdir(&w.at, "/", 0755), EEXIST);
	ERR(vfs_symlink(&w.at, "", "/l"), ENOENT);
}

Test(walk, removal_errors)
{
	make_tree();
	ERR(vfs_unlink(&w.at, "/a"), EISDIR);
	ERR(vfs_unlink(&w.at, "/a/"), EISDIR);
	ERR(vfs_unlink(&w.at, "/a/b/c/file/"), ENOTDIR);
	ERR(vfs_unlink(&w.at, "/a/."), EISDIR);
	ERR(vfs_unlink(&w.at, "/none"), ENOENT);
	ERR(vfs_rmdir(&w.at, "/a"), ENOTEMPTY);
	ERR(vfs_rmdir(&w.at, "/a/."), EINVAL);
	ERR(vfs_rmdir(&w.at, "/a/.."), ENOTEMPTY);
	ERR(vfs_rmdir(&w.at, "/"), EBUSY);
	ERR(vfs_rmdir(&w.at, "/a/b/c/file"), ENOTDIR);
	ERR(vfs_rmdir(&w.at, "/abs"), ENOTDIR);
	ERR(vfs_rmdir(&w.at, "/abs/"), ENOTDIR);
	OK(vfs_unlink(&w.at, "/abs"));
}

Test(walk, cache_shrinks)
{
	char name[32];

	w.v->dentry_max = 100;
	OK(vfs_mkdir(&w.at, "/d", 0755));
	for (int i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "/d/%d", i);
		OK(t_create(name));
	}
	cr_assert(w.v->dentry_count <= 130, "%u", w.v->dentry_count);
	for (int i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "/d/%d", i);
		OK(t_lookup(name, 0));
		snprintf(name, sizeof(name), "/d/no%d", i);
		ERR(t_lookup(name, 0), ENOENT);
	}
	vfs_shrink(w.v, 0);
	cr_assert_eq(w.v->dentry_count, 0);
	OK(t_lookup("/d/77", 0));
}
