/* model_test.c: tmpfs against simple models: file contents against a byte array, directories against a set of
 * names, listings while entries come and go; sizes, seals, attributes. */
#include <stdlib.h>

#include "sentry/fs/tmpfs/testing.h"

TestSuite(tmpfs, .init = world_setup);

static uint32_t rnd(uint32_t *s)
{
	*s = *s * 1664525u + 1013904223u;
	return *s >> 8;
}

#define SPAN (256 * 1024u)

Test(tmpfs, contents_follow_a_model)
{
	uint8_t *model = kmalloc(SPAN), *buf = kmalloc(SPAN);
	uint32_t seed = 7, size = 0;
	struct file *f;

	OK(t_open(&w.at, "/f", LINUX_O_CREAT | LINUX_O_RDWR, 0644, &f));
	for (int i = 0; i < 3000; i++) {
		uint32_t op = rnd(&seed) % 8, off = rnd(&seed) % SPAN, n = rnd(&seed) % 40000;

		n = MIN(n, SPAN - off);
		if (op < 3) {
			memset(buf, (int)rnd(&seed), n);
			cr_assert_eq(t_pwrite(f, buf, n, off), n);
			memset(model + off, n ? buf[0] : 0, n);
			size = n ? MAX(size, off + n) : size;
		} else if (op < 6) {
			ssize_t got = t_pread(f, buf, n, off), want = off < size ? MIN(n, size - off) : 0;

			cr_assert_eq(got, want);
			cr_assert(!memcmp(buf, model + off, (size_t)want), "step %d", i);
		} else if (op == 6) {
			OK(file_truncate(f, off));
			if (off < size)
				memset(model + off, 0, size - off);
			size = off;
		} else if (n) {
			OK(f->ops->fallocate(f, LINUX_FALLOC_FL_PUNCH_HOLE | LINUX_FALLOC_FL_KEEP_SIZE, off,
					     n));
			memset(model + off, 0, n);
		}
		cr_assert_eq(f->inode->size, size);
	}
	file_put(f);
}

Test(tmpfs, names_follow_a_model)
{
	bool have[200] = {0};
	uint32_t seed = 3;
	char name[32], to[32];

	OK(vfs_mkdir(&w.at, "/d", 0755));
	for (int i = 0; i < 5000; i++) {
		uint32_t op = rnd(&seed) % 3, a = rnd(&seed) % 200, b = rnd(&seed) % 200;
		int ret;

		snprintf(name, sizeof(name), "/d/n%u", a);
		snprintf(to, sizeof(to), "/d/n%u", b);
		if (op == 0) {
			ret = t_touch(&w.at, name, LINUX_O_CREAT | LINUX_O_EXCL | LINUX_O_WRONLY, 0644);
			cr_assert_eq(ret, have[a] ? -EEXIST : 0);
			have[a] = true;
		} else if (op == 1) {
			cr_assert_eq(vfs_unlink(&w.at, name), have[a] ? 0 : -ENOENT);
			have[a] = false;
		} else {
			cr_assert_eq(vfs_rename(&w.at, name, &w.at, to, 0), have[a] ? 0 : -ENOENT);
			if (have[a] && a != b) {
				have[a] = false;
				have[b] = true;
			}
		}
		cr_assert_eq(t_exists(name), have[a]);
	}
}

struct listing {
	struct dir_context ctx;
	int room, count;
	uint64_t last;
	uint8_t seen[1000];
};

static bool collect(struct dir_context *ctx, const char *name, size_t len, uint64_t ino, uint32_t type,
		    uint64_t next)
{
	struct listing *l = container_of(ctx, struct listing, ctx);
	char text[16] = {0};

	(void)ino, (void)type;
	if (!l->room)
		return false;
	l->room--;
	l->last = next;
	if (name[0] == '.')
		return true;
	memcpy(text, name, len);
	l->seen[atoi(text + 1)]++;
	l->count++;
	return true;
}

Test(tmpfs, listing_survives_changes)
{
	struct listing *l = kmalloc(sizeof(*l));
	struct file *f;
	char name[32];
	int before;

	OK(vfs_mkdir(&w.at, "/d", 0755));
	for (int i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "/d/n%d", i);
		OK(t_create(name));
	}
	OK(t_open(&w.at, "/d", LINUX_O_RDONLY | LINUX_O_DIRECTORY, 0, &f));
	l->ctx.emit = collect;
	do {
		before = l->count;
		l->room = 7;
		OK(f->ops->iterate(f, &l->ctx));
		/* odd ones go, others come, while we read */
		if (before && before < 200) {
			snprintf(name, sizeof(name), "/d/n%d", before * 2 + 1);
			OK(vfs_unlink(&w.at, name));
			snprintf(name, sizeof(name), "/d/n%d", 500 + before);
			OK(t_create(name));
		}
	} while (l->room == 0);
	for (int i = 0; i < 500; i += 2)
		cr_assert_eq(l->seen[i], 1, "%d seen %d times", i, l->seen[i]);
	for (int i = 1; i < 1000; i++)
		cr_assert(l->seen[i] <= 1);
	file_put(f);
}

Test(tmpfs, size_limit)
{
	static char page[8192];
	struct linux_statfs s;
	struct file *f;
	struct path p;

	OK(vfs_mkdir(&w.at, "/m", 0755));
	OK(vfs_mount(&w.at, "x", "/m", "tmpfs", 0, "size=16k,nr_inodes=4"));
	OK(t_open(&w.at, "/m/f", LINUX_O_CREAT | LINUX_O_RDWR, 0644, &f));
	cr_assert_eq(t_pwrite(f, page, 8192, 0), 8192);
	cr_assert_eq(t_pwrite(f, page, 8192, 8192), 8192);
	ERR(t_pwrite(f, page, 1, 16384), ENOSPC);
	cr_assert_eq(t_pwrite(f, page, 8192, 4096), 8192); /* what is there may be rewritten */
	OK(vfs_lookup(&w.at, "/m", 0, &p));
	OK(vfs_statfs(&p, &s));
	cr_assert_eq(s.f_blocks, 4);
	cr_assert_eq(s.f_bfree, 0);
	cr_assert_eq(s.f_type, LINUX_TMPFS_MAGIC);
	OK(file_truncate(f, 4096));
	OK(vfs_statfs(&p, &s));
	cr_assert_eq(s.f_bfree, 3);
	OK(t_create("/m/2"));
	OK(t_create("/m/3"));
	ERR(t_create("/m/4"), ENOSPC);
	OK(vfs_unlink(&w.at, "/m/3"));
	OK(t_create("/m/4"));
	path_put(&p);
	file_put(f);
}

Test(tmpfs, holes)
{
	struct file *f;

	OK(t_open(&w.at, "/f", LINUX_O_CREAT | LINUX_O_RDWR, 0644, &f));
	OK(file_truncate(f, 1 << 20));
	ERR(file_seek(f, 0, LINUX_SEEK_DATA), ENXIO);
	cr_assert_eq(file_seek(f, 5, LINUX_SEEK_HOLE), 5);
	OK(t_pwrite(f, "x", 1, 65536));
	cr_assert_eq(file_seek(f, 0, LINUX_SEEK_DATA), 65536);
	cr_assert_eq(file_seek(f, 65536, LINUX_SEEK_HOLE), 65536 + 4096);
	ERR(file_seek(f, 1 << 20, LINUX_SEEK_HOLE), ENXIO);
	cr_assert_eq(file_seek(f, -1, LINUX_SEEK_END), (1 << 20) - 1);
	ERR(file_seek(f, -1, LINUX_SEEK_SET), EINVAL);
	ERR(file_seek(f, 0, 9), EINVAL);
	file_put(f);
}

Test(tmpfs, append_and_positions)
{
	struct file *a, *b;
	char buf[16];

	OK(t_open(&w.at, "/f", LINUX_O_CREAT | LINUX_O_RDWR | LINUX_O_APPEND, 0644, &a));
	OK(t_open(&w.at, "/f", LINUX_O_WRONLY, 0, &b));
	OK(t_write(a, "12"));
	OK(t_write(b, "ab"));
	OK(t_write(b, "cd"));
	OK(t_write(a, "34"));
	cr_assert_eq(t_pread(a, buf, 16, 0), 6);
	cr_assert(!memcmp(buf, "abcd34", 6));
	ERR(t_pread(b, buf, 1, 0), EBADF);
	ERR(t_pread(a, buf, 1, 1ULL << 63), EINVAL);
	OK(t_touch(&w.at, "/f", LINUX_O_WRONLY | LINUX_O_TRUNC, 0));
	cr_assert_eq(t_pread(a, buf, 16, 0), 0);
	file_put(a);
	file_put(b);
}

Test(tmpfs, copy_range)
{
	struct file *a, *b;
	uint64_t from = 1, to = 3;
	char buf[16];

	OK(t_open(&w.at, "/a", LINUX_O_CREAT | LINUX_O_RDWR, 0644, &a));
	OK(t_open(&w.at, "/b", LINUX_O_CREAT | LINUX_O_RDWR, 0644, &b));
	OK(t_write(a, "hello"));
	cr_assert_eq(file_copy_range(a, &from, b, &to, 100), 4);
	cr_assert(from == 5 && to == 7);
	cr_assert_eq(t_pread(b, buf, 16, 0), 7);
	cr_assert(!memcmp(buf, "\0\0\0ello", 7));
	from = 0, to = 2;
	ERR(file_copy_range(a, &from, a, &to, 3), EINVAL);
	file_put(a);
	file_put(b);
}

Test(tmpfs, xattrs)
{
	struct path p;
	char buf[64];

	OK(t_create("/f"));
	OK(vfs_lookup(&w.at, "/f", 0, &p));
	OK(vfs_setxattr(&p, w.root, "user.one", "1", 1, 0));
	ERR(vfs_setxattr(&p, w.root, "user.one", "1", 1, LINUX_XATTR_CREATE), EEXIST);
	ERR(vfs_setxattr(&p, w.root, "user.two", "1", 1, LINUX_XATTR_REPLACE), ENODATA);
	ERR(vfs_setxattr(&p, w.user, "user.two", "1", 1, 0), EACCES);
	ERR(vfs_setxattr(&p, w.user, "trusted.x", "1", 1, 0), EPERM);
	ERR(vfs_setxattr(&p, w.root, "bogus.x", "1", 1, 0), EOPNOTSUPP);
	ERR(vfs_setxattr(&p, w.root, "user.", "1", 1, 0), EINVAL);
	ERR(vfs_setxattr(&p, w.root, "", "1", 1, 0), ERANGE);
	ERR(vfs_setxattr(&p, w.root, "user.big", buf, 70000, 0), E2BIG);
	OK(vfs_setxattr(&p, w.root, "trusted.x", "val", 3, 0));
	ERR(vfs_getxattr(&p, w.user, "trusted.x", buf, 64), ENODATA);
	cr_assert_eq(vfs_getxattr(&p, w.root, "trusted.x", buf, 64), 3);
	cr_assert_eq(vfs_getxattr(&p, w.root, "trusted.x", NULL, 0), 3);
	ERR(vfs_getxattr(&p, w.root, "trusted.x", buf, 2), ERANGE);
	cr_assert_eq(vfs_listxattr(&p, w.user, buf, 64), 9);
	cr_assert_eq(vfs_listxattr(&p, w.root, buf, 64), 19);
	ERR(vfs_listxattr(&p, w.root, buf, 10), ERANGE);
	OK(vfs_removexattr(&p, w.root, "user.one"));
	ERR(vfs_removexattr(&p, w.root, "user.one"), ENODATA);
	ERR(vfs_getxattr(&p, w.root, "system.posix_acl_access", buf, 64), EOPNOTSUPP);
	path_put(&p);
}

Test(tmpfs, memfd_and_seals)
{
	struct file *f, *g;
	char buf[64];
	struct mappable *m;
	uint64_t off;
	int fd;

	ERR(memfd_create_file(w.v, "x", 0x100, w.root, &f), EINVAL);
	OK(memfd_create_file(w.v, "x", LINUX_MFD_ALLOW_SEALING, w.root, &f));
	cr_assert_str_eq(vfs_path_name(&f->path, NULL, buf, sizeof(buf)), "/memfd:x (deleted)");
	OK(t_write(f, "data"));
	cr_assert_eq(memfd_get_seals(f), 0);
	OK(file_mappable(f, &m));
	m->ops->mapped(m, 1, true);
	ERR(memfd_add_seals(f, LINUX_F_SEAL_WRITE), EBUSY);
	m->ops->mapped(m, -1, true);
	OK(m->ops->host_fd(m, 0, 4096, true, &fd, &off));
	OK(memfd_add_seals(f, LINUX_F_SEAL_SHRINK));
	ERR(file_truncate(f, 1), EPERM);
	OK(file_truncate(f, 100));
	OK(memfd_add_seals(f, LINUX_F_SEAL_GROW));
	ERR(file_truncate(f, 101), EPERM);
	ERR(t_pwrite(f, "x", 1, 100), EPERM);
	OK(t_pwrite(f, "y", 1, 99));
	OK(memfd_add_seals(f, LINUX_F_SEAL_WRITE));
	ERR(t_pwrite(f, "x", 1, 0), EPERM);
	ERR(m->ops->host_fd(m, 0, 4096, true, &fd, &off), EPERM);
	ERR(f->ops->fallocate(f, LINUX_FALLOC_FL_PUNCH_HOLE | LINUX_FALLOC_FL_KEEP_SIZE, 0, 4), EPERM);
	cr_assert_eq(t_pread(f, buf, 4, 0), 4);
	OK(memfd_add_seals(f, LINUX_F_SEAL_SEAL));
	ERR(memfd_add_seals(f, LINUX_F_SEAL_WRITE), EPERM);
	OK(vfs_open_path(&f->path, LINUX_O_RDONLY, w.root, &g));
	ERR(memfd_add_seals(g, 0), EPERM);
	file_put(g);
	file_put(f);
	OK(memfd_create_file(w.v, "y", 0, w.root, &f));
	cr_assert_eq(memfd_get_seals(f), LINUX_F_SEAL_SEAL);
	file_put(f);
}

Test(tmpfs, everything_is_freed)
{
	struct arena_stats before, after;
	char name[4096];
	size_t n = 0;

	OK(vfs_mkdir(&w.at, "/m", 0755));
	for (int round = 0; round < 3; round++) {
		if (round == 2) {
			vfs_shrink(w.v, 0);
			arena_stats(&before);
		}
		OK(vfs_mount(&w.at, "x", "/m", "tmpfs", 0, NULL));
		n = (size_t)snprintf(name, sizeof(name), "/m");
		for (int i = 0; i < 1500; i++) { /* deep: freeing must not recurse */
			n += (size_t)snprintf(name + n, sizeof(name) - n, "/d");
			OK(vfs_mkdir(&w.at, name, 0755));
		}
		OK(t_create("/m/f"));
		OK(vfs_link(&w.at, "/m/f", 0, &w.at, "/m/g"));
		OK(vfs_symlink(&w.at, "f", "/m/l"));
		OK(t_touch(&w.at, "/m", LINUX_O_TMPFILE | LINUX_O_RDWR, 0600));
		OK(vfs_umount(&w.at, "/m", 0));
	}
	vfs_shrink(w.v, 0);
	arena_stats(&after);
	cr_assert_eq(before.objects, after.objects, "%lu objects left", after.objects - before.objects);
}
