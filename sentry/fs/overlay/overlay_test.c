/* overlay_test.c: an overlay of two memory file systems: what is seen, what is copied, what stays below. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "platform/abi/errno.h"
#include "platform/abi/fs.h"
#include "platform/abi/misc.h"
#include "platform/base/arena.h"
#include "sentry/fs/overlay/overlay.h"
#include "sentry/fs/tmpfs/tmpfs.h"
#include "tests/harness/fsbox.h"

static struct fsbox box; /* the overlay is its root; upper and lower lie at their own roots */
static struct fsbox low, up;
static char buf[4096];

static struct fsbox view(struct super *s)
{
	struct fsbox b = box;

	super_get(s);
	fsbox_mount(&b, s);
	return b;
}

static void start(void)
{
	struct super *lower, *upper, *s;

	fsbox_init(&box);
	cr_assert_eq(tmpfs_register(box.v), 0);
	cr_assert_eq(tmpfs_super_create(box.v, "lower", NULL, true, &lower), 0);
	cr_assert_eq(tmpfs_super_create(box.v, "upper", NULL, true, &upper), 0);
	low = view(lower);
	up = view(upper);
	cr_assert_eq(vfs_mkdir(&low.at, "/d", 0755), 0);
	cr_assert_eq(vfs_mkdir(&low.at, "/d/sub", 0700), 0);
	cr_assert_eq(fsbox_write(&low, "/d/a", "lower a", LINUX_O_CREAT), 0);
	cr_assert_eq(fsbox_write(&low, "/d/b", "lower b", LINUX_O_CREAT), 0);
	cr_assert_eq(fsbox_write(&low, "/d/sub/deep", "deep", LINUX_O_CREAT), 0);
	cr_assert_eq(vfs_symlink(&low.at, "a", "/d/link"), 0);
	cr_assert_eq(vfs_link(&low.at, "/d/b", 0, &low.at, "/d/hard"), 0);
	cr_assert_eq(overlay_over_super(box.v, upper, lower, &s), 0);
	super_put(lower);
	super_put(upper);
	fsbox_mount(&box, s);
}

static const char *text_of(struct fsbox *b, const char *name)
{
	ssize_t n = fsbox_read(b, name, buf, sizeof(buf));

	if (n < 0)
		snprintf(buf, sizeof(buf), "error %zd", n);
	return buf;
}

static const char *names_in(struct fsbox *b, const char *name)
{
	int ret = fsbox_list(b, name, buf, sizeof(buf));

	if (ret < 0)
		snprintf(buf, sizeof(buf), "error %d", ret);
	return buf;
}

Test(overlay, lower_files_show_through)
{
	start();
	cr_assert_str_eq(text_of(&box, "/d/a"), "lower a");
	cr_assert_str_eq(text_of(&box, "/d/link"), "lower a");
	cr_assert_str_eq(names_in(&box, "/d"), "a b hard link sub ");
	cr_assert_str_eq(names_in(&up, "/"), "");
}

Test(overlay, a_write_copies_up_and_leaves_the_lower_alone)
{
	struct kstat before, after;

	start();
	cr_assert_eq(fsbox_stat(&box, "/d/sub/deep", &before), 0);
	cr_assert_eq(fsbox_write(&box, "/d/sub/deep", "DE", 0), 0);
	cr_assert_str_eq(text_of(&box, "/d/sub/deep"), "DEep");
	cr_assert_str_eq(text_of(&low, "/d/sub/deep"), "deep");
	cr_assert_str_eq(text_of(&up, "/d/sub/deep"), "DEep");
	cr_assert_eq(fsbox_stat(&box, "/d/sub/deep", &after), 0);
	cr_assert_eq(before.ino, after.ino, "the number stays");
	cr_assert_eq(before.dev, after.dev);
	cr_assert_eq(fsbox_stat(&up, "/d/sub", &after), 0);
	cr_assert_eq(after.mode & 07777, 0700, "directories keep their mode");
	/* and is found again after the cache has forgotten it */
	vfs_shrink(box.v, 0);
	cr_assert_eq(fsbox_stat(&box, "/d/sub/deep", &after), 0);
	cr_assert_eq(before.ino, after.ino);
}

Test(overlay, an_open_reader_sees_what_is_written_after_copy_up)
{
	struct file *f;

	start();
	cr_assert_eq(fsbox_open(&box, "/d/a", LINUX_O_RDONLY, &f), 0);
	cr_assert_eq(fsbox_write(&box, "/d/a", "UPPER", 0), 0);
	cr_assert_eq(file_read_kernel(f, buf, 7, 0), 7);
	cr_assert(!memcmp(buf, "UPPER a", 7));
	file_put(f);
}

Test(overlay, truncating_open_copies_nothing)
{
	start();
	cr_assert_eq(fsbox_write(&box, "/d/a", "new", LINUX_O_TRUNC), 0);
	cr_assert_str_eq(text_of(&box, "/d/a"), "new");
	cr_assert_str_eq(text_of(&low, "/d/a"), "lower a");
}

Test(overlay, removal_leaves_a_whiteout)
{
	struct kstat st;

	start();
	cr_assert_eq(vfs_unlink(&box.at, "/d/a"), 0);
	cr_assert_eq(fsbox_stat(&box, "/d/a", &st), -ENOENT);
	cr_assert_str_eq(names_in(&box, "/d"), "b hard link sub ");
	cr_assert_eq(fsbox_stat(&up, "/d/a", &st), 0);
	cr_assert(st.mode == LINUX_S_IFCHR && st.rdev == 0, "mode %o", st.mode);
	vfs_shrink(box.v, 0);
	cr_assert_eq(fsbox_stat(&box, "/d/a", &st), -ENOENT);
	/* a new file of that name */
	cr_assert_eq(fsbox_write(&box, "/d/a", "again", LINUX_O_CREAT | LINUX_O_EXCL), 0);
	cr_assert_str_eq(text_of(&box, "/d/a"), "again");
	cr_assert_str_eq(names_in(&box, "/d"), "a b hard link sub ");
	cr_assert_eq(vfs_unlink(&box.at, "/d/a"), 0);
	cr_assert_eq(fsbox_stat(&box, "/d/a", &st), -ENOENT);
}

Test(overlay, a_new_directory_hides_the_old_one_of_its_name)
{
	start();
	cr_assert_eq(vfs_rmdir(&box.at, "/d/sub"), -ENOTEMPTY);
	cr_assert_eq(vfs_unlink(&box.at, "/d/sub/deep"), 0);
	cr_assert_eq(vfs_rmdir(&box.at, "/d/sub"), 0);
	cr_assert_eq(vfs_mkdir(&box.at, "/d/sub", 0755), 0);
	cr_assert_str_eq(names_in(&box, "/d/sub"), "");
	vfs_shrink(box.v, 0);
	cr_assert_str_eq(names_in(&box, "/d/sub"), "");
	cr_assert_eq(fsbox_write(&box, "/d/sub/x", "x", LINUX_O_CREAT), 0);
	vfs_shrink(box.v, 0);
	cr_assert_str_eq(names_in(&box, "/d/sub"), "x ");
}

Test(overlay, names_of_one_file_stay_one_file)
{
	struct kstat a, b;

	start();
	cr_assert_eq(fsbox_write(&box, "/d/b", "UPPER", 0), 0);
	cr_assert_str_eq(text_of(&box, "/d/hard"), "UPPER b");
	cr_assert_eq(fsbox_stat(&box, "/d/b", &a), 0);
	vfs_shrink(box.v, 0);
	cr_assert_eq(fsbox_stat(&box, "/d/hard", &b), 0);
	cr_assert_eq(a.ino, b.ino);
	cr_assert_eq(a.nlink, 2);
	cr_assert_eq(vfs_unlink(&box.at, "/d/b"), 0);
	vfs_shrink(box.v, 0);
	cr_assert_str_eq(text_of(&box, "/d/hard"), "UPPER b");
	cr_assert_eq(fsbox_stat(&box, "/d/hard", &b), 0);
	cr_assert_eq(b.nlink, 1);
}

Test(overlay, rename_moves_files_and_refuses_lower_directories)
{
	struct kstat st;

	start();
	cr_assert_eq(vfs_rename(&box.at, "/d/a", &box.at, "/d/sub/moved", 0), 0);
	cr_assert_eq(fsbox_stat(&box, "/d/a", &st), -ENOENT);
	cr_assert_str_eq(text_of(&box, "/d/sub/moved"), "lower a");
	vfs_shrink(box.v, 0);
	cr_assert_eq(fsbox_stat(&box, "/d/a", &st), -ENOENT);
	cr_assert_str_eq(names_in(&box, "/d/sub"), "deep moved ");
	cr_assert_eq(vfs_rename(&box.at, "/d/sub", &box.at, "/d/other", 0), -EXDEV);
	/* over an existing lower file */
	cr_assert_eq(vfs_rename(&box.at, "/d/sub/moved", &box.at, "/d/b", 0), 0);
	cr_assert_str_eq(text_of(&box, "/d/b"), "lower a");
	cr_assert_str_eq(text_of(&box, "/d/hard"), "lower b");
	/* a directory of the upper moves, over a whiteout too */
	cr_assert_eq(vfs_mkdir(&box.at, "/new", 0755), 0);
	cr_assert_eq(fsbox_write(&box, "/new/f", "f", LINUX_O_CREAT), 0);
	cr_assert_eq(vfs_rename(&box.at, "/new", &box.at, "/d/a", 0), 0);
	cr_assert_str_eq(text_of(&box, "/d/a/f"), "f");
	cr_assert_eq(vfs_rename(&box.at, "/d/b", &box.at, "/d/hard", LINUX_RENAME_EXCHANGE), 0);
	cr_assert_str_eq(text_of(&box, "/d/b"), "lower b");
	cr_assert_str_eq(text_of(&box, "/d/hard"), "lower a");
}

Test(overlay, attributes_copy_up)
{
	struct iattr a = {.valid = ATTR_MODE, .mode = 0600};
	struct kstat st, lower;

	start();
	cr_assert_eq(vfs_setattr(&box.at, "/d/b", LOOKUP_FOLLOW, &a), 0);
	cr_assert_eq(fsbox_stat(&box, "/d/b", &st), 0);
	cr_assert_eq(fsbox_stat(&low, "/d/b", &lower), 0);
	cr_assert_eq(st.mode & 07777, 0600);
	cr_assert_eq(lower.mode & 07777, 0644);
	cr_assert_eq(st.mtime.tv_nsec, lower.mtime.tv_nsec);
	cr_assert_str_eq(text_of(&box, "/d/b"), "lower b");
	a = (struct iattr){.valid = ATTR_SIZE, .size = 3};
	cr_assert_eq(vfs_setattr(&box.at, "/d/a", LOOKUP_FOLLOW, &a), 0);
	cr_assert_str_eq(text_of(&box, "/d/a"), "low");
}

Test(overlay, a_removed_file_can_still_be_written)
{
	struct file *f;
	struct uio u;

	start();
	cr_assert_eq(fsbox_open(&box, "/d/a", LINUX_O_RDONLY, &f), 0);
	cr_assert_eq(vfs_unlink(&box.at, "/d/a"), 0);
	cr_assert_eq(file_read_kernel(f, buf, 7, 0), 7);
	file_put(f);
	cr_assert_eq(fsbox_open(&box, "/d/b", LINUX_O_RDWR, &f), 0);
	cr_assert_eq(vfs_unlink(&box.at, "/d/b"), 0);
	cr_assert_eq(vfs_unlink(&box.at, "/d/hard"), 0);
	uio_init_kernel(&u, (char *)"W", 1);
	cr_assert_eq(file_write(f, &u), 1);
	cr_assert_eq(file_read_kernel(f, buf, 7, 0), 7);
	cr_assert(!memcmp(buf, "Wower b", 7));
	file_put(f);
	cr_assert_str_eq(names_in(&box, "/d"), "link sub ");
}

Test(overlay, tmpfile_gets_a_name_by_link)
{
	struct file *f;
	struct uio u;

	start();
	cr_assert_eq(fsbox_open(&box, "/d", LINUX_O_TMPFILE | LINUX_O_RDWR, &f), 0);
	uio_init_kernel(&u, (char *)"tmp", 3);
	cr_assert_eq(file_write(f, &u), 3);
	box.at.base = &f->path;
	cr_assert_eq(vfs_link(&box.at, "", LOOKUP_EMPTY, &box.at, "/d/named"), 0);
	box.at.base = NULL;
	file_put(f);
	cr_assert_str_eq(text_of(&box, "/d/named"), "tmp");
}

Test(overlay, behaves_as_a_plain_file_system, .timeout = 60)
{
	struct fsbox model;
	struct super *s;

	start();
	cr_assert_eq(tmpfs_super_create(box.v, "model", NULL, false, &s), 0);
	model = view(s);
	super_put(s);
	cr_assert_eq(vfs_mkdir(&model.at, "/d", 0755), 0);
	cr_assert_eq(vfs_mkdir(&model.at, "/d/sub", 0700), 0);
	cr_assert_eq(fsbox_write(&model, "/d/a", "lower a", LINUX_O_CREAT), 0);
	cr_assert_eq(fsbox_write(&model, "/d/b", "lower b", LINUX_O_CREAT), 0);
	cr_assert_eq(fsbox_write(&model, "/d/sub/deep", "deep", LINUX_O_CREAT), 0);
	cr_assert_eq(vfs_symlink(&model.at, "a", "/d/link"), 0);
	cr_assert_eq(vfs_link(&model.at, "/d/b", 0, &model.at, "/d/hard"), 0);
	fsbox_compare_changes(&box, &model, 4000);
}
