/* rename_test.c: the cases of rename(2). */
#include "sentry/fs/tmpfs/testing.h"

TestSuite(rename, .init = world_setup);

static int mv(const char *a, const char *b)
{
	return vfs_rename(&w.at, a, &w.at, b, 0);
}

static void make_tree(void)
{
	OK(vfs_mkdir(&w.at, "/d", 0755));
	OK(vfs_mkdir(&w.at, "/d/sub", 0755));
	OK(vfs_mkdir(&w.at, "/empty", 0755));
	OK(vfs_mkdir(&w.at, "/full", 0755));
	OK(t_create("/full/x"));
	OK(t_create("/f"));
	OK(t_create("/g"));
}

Test(rename, matrix)
{
	struct kstat st;

	make_tree();
	OK(mv("/f", "/f"));
	OK(mv("/f", "/h"));
	cr_assert(!t_exists("/f") && t_exists("/h"));
	OK(mv("/h", "/g"));
	cr_assert(!t_exists("/h"));
	ERR(mv("/g", "/d"), EISDIR);
	ERR(mv("/d", "/g"), ENOTDIR);
	ERR(mv("/d", "/full"), ENOTEMPTY);
	ERR(mv("/d", "/d/sub/x"), EINVAL);
	ERR(mv("/d", "/d/x"), EINVAL);
	ERR(mv("/d/sub", "/d"), ENOTEMPTY);
	ERR(mv("/none", "/x"), ENOENT);
	ERR(mv("/g", "/none/x"), ENOENT);
	ERR(mv("/g", "/x/"), ENOTDIR);
	ERR(mv("/g/", "/x"), ENOTDIR);
	ERR(mv("/d/.", "/x"), EBUSY);
	ERR(mv("/d", "/empty/."), EBUSY);
	ERR(mv("/", "/x"), EBUSY);
	OK(mv("/d/", "/dd/"));
	OK(mv("/dd", "/empty"));
	cr_assert(t_exists("/empty/sub"));
	OK(t_stat("/", &st));
	cr_assert_eq(st.nlink, 4); /* ., .., empty, full */
	OK(mv("/empty/sub", "/full/sub"));
	OK(t_stat("/empty", &st));
	cr_assert_eq(st.nlink, 2);
	OK(t_stat("/full", &st));
	cr_assert_eq(st.nlink, 3);
}

Test(rename, flags)
{
	struct kstat st;

	make_tree();
	ERR(vfs_rename(&w.at, "/f", &w.at, "/g", LINUX_RENAME_NOREPLACE), EEXIST);
	OK(vfs_rename(&w.at, "/f", &w.at, "/new", LINUX_RENAME_NOREPLACE));
	ERR(vfs_rename(&w.at, "/new", &w.at, "/g", LINUX_RENAME_EXCHANGE | LINUX_RENAME_NOREPLACE), EINVAL);
	ERR(vfs_rename(&w.at, "/new", &w.at, "/none", LINUX_RENAME_EXCHANGE), ENOENT);
	OK(vfs_rename(&w.at, "/new", &w.at, "/d/sub", LINUX_RENAME_EXCHANGE));
	OK(t_stat("/d/sub", &st));
	cr_assert_eq(st.mode & LINUX_S_IFMT, LINUX_S_IFREG);
	OK(t_stat("/new", &st));
	cr_assert_eq(st.mode & LINUX_S_IFMT, LINUX_S_IFDIR);
	OK(t_stat("/d", &st));
	cr_assert_eq(st.nlink, 2);
	ERR(vfs_rename(&w.at, "/d", &w.at, "/d/sub", LINUX_RENAME_EXCHANGE), EINVAL);
	ERR(vfs_rename(&w.at, "/d/sub", &w.at, "/d", LINUX_RENAME_EXCHANGE), EINVAL);
	OK(vfs_rename(&w.at, "/g", &w.at, "/moved", LINUX_RENAME_WHITEOUT));
	OK(t_stat("/g", &st));
	cr_assert_eq(st.mode & LINUX_S_IFMT, LINUX_S_IFCHR);
	cr_assert_eq(st.rdev, 0);
	ERR(vfs_rename(&w.at, "/f", &w.at, "/x", 8), EINVAL);
}

Test(rename, hard_links_are_one_file)
{
	struct kstat st;

	make_tree();
	OK(vfs_link(&w.at, "/f", 0, &w.at, "/f2"));
	OK(mv("/f", "/f2"));
	cr_assert(t_exists("/f") && t_exists("/f2"));
	OK(t_stat("/f", &st));
	cr_assert_eq(st.nlink, 2);
	ERR(vfs_link(&w.at, "/d", 0, &w.at, "/d2"), EPERM);
	ERR(vfs_link(&w.at, "/f", 0, &w.at, "/g"), EEXIST);
	ERR(vfs_link(&w.at, "/f", 0, &w.at, "/zz/"), ENOENT);
	OK(vfs_unlink(&w.at, "/f"));
	OK(t_stat("/f2", &st));
	cr_assert_eq(st.nlink, 1);
}

Test(rename, mounts)
{
	make_tree();
	OK(vfs_mount(&w.at, "none", "/empty", "tmpfs", 0, NULL));
	ERR(mv("/f", "/empty/f"), EXDEV);
	ERR(mv("/empty", "/other"), EBUSY);
	ERR(mv("/d", "/empty"), EBUSY);
	ERR(vfs_link(&w.at, "/f", 0, &w.at, "/empty/f"), EXDEV);
	ERR(vfs_rmdir(&w.at, "/empty"), EBUSY);
}

Test(rename, permission_of_the_moved_directory)
{
	OK(vfs_mkdir(&w.at, "/p", 0777));
	OK(vfs_mkdir(&w.at, "/q", 0777));
	OK(vfs_setattr(&w.at, "/p", 0, &(struct iattr){.valid = ATTR_MODE, .mode = 0777}));
	OK(vfs_setattr(&w.at, "/q", 0, &(struct iattr){.valid = ATTR_MODE, .mode = 0777}));
	OK(vfs_mkdir(&w.at, "/p/rootdir", 0755));
	OK(t_create("/p/rootfile"));
	ERR(vfs_rename(&w.as_user, "/p/rootdir", &w.as_user, "/q/r", 0), EACCES);
	OK(vfs_rename(&w.as_user, "/p/rootdir", &w.as_user, "/p/r", 0));
	OK(vfs_rename(&w.as_user, "/p/rootfile", &w.as_user, "/q/r", 0));
}
