/* fsbox.c: see fsbox.h. */
#include "tests/harness/fsbox.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/abi/errno.h"
#include "platform/abi/fs.h"
#include "platform/abi/stat.h"
#include "platform/base/arena.h"
#include "sentry/mem/mem.h"

void fsbox_init(struct fsbox *b)
{
	memset(b, 0, sizeof(*b));
	cr_assert_eq(arena_init(), 0);
	mem_init(0);
	cr_assert_eq(vfs_create(&b->v), 0);
	cr_assert_eq(user_ns_create(NULL, NULL, &b->user_ns), 0);
	cr_assert_eq(cred_create(b->user_ns, 0, 0, CAPSET_ALL, &b->cred), 0);
}

void fsbox_mount(struct fsbox *b, struct super *s)
{
	struct path root;

	cr_assert_eq(mount_ns_create(b->v, s, 0, b->user_ns, &b->ns), 0);
	super_put(s);
	mount_ns_root(b->ns, &root);
	cr_assert_eq(fs_context_create(&root, &root, 022, &b->fs), 0);
	path_put(&root);
	b->at = (struct vfs_at){.fs = b->fs, .ns = b->ns, .cred = b->cred};
}

void fsbox_fini(struct fsbox *b)
{
	fs_context_put(b->fs);
	mount_ns_put(b->ns);
	cred_put(b->cred);
	user_ns_put(b->user_ns);
}

int fsbox_open(struct fsbox *b, const char *name, uint32_t flags, struct file **out)
{
	return vfs_open(&b->at, name, flags, 0644, 0, out);
}

ssize_t fsbox_read(struct fsbox *b, const char *name, char *buf, size_t size)
{
	struct file *f;
	ssize_t n = fsbox_open(b, name, LINUX_O_RDONLY, &f);

	if (n < 0)
		return n;
	n = file_read_kernel(f, buf, size - 1, 0);
	file_put(f);
	if (n >= 0)
		buf[n] = 0;
	return n;
}

int fsbox_write(struct fsbox *b, const char *name, const char *text, uint32_t flags)
{
	struct file *f;
	struct uio u;
	ssize_t n = fsbox_open(b, name, LINUX_O_WRONLY | flags, &f);

	if (n < 0)
		return (int)n;
	uio_init_kernel(&u, (void *)(uintptr_t)text, strlen(text));
	n = file_write(f, &u);
	file_put(f);
	return n < 0 ? (int)n : n == (ssize_t)strlen(text) ? 0 : -1;
}

int fsbox_stat(struct fsbox *b, const char *name, struct kstat *st)
{
	return vfs_stat(&b->at, name, 0, LINUX_STATX_BASIC_STATS, st);
}

struct listing {
	struct dir_context ctx;
	char *names[4096];
	int count;
};

static bool collect(struct dir_context *ctx, const char *name, size_t len, uint64_t ino, uint32_t type,
		    uint64_t next)
{
	struct listing *l = container_of(ctx, struct listing, ctx);

	(void)ino, (void)type, (void)next;
	if (l->count == 4096)
		return false;
	if (strcmp(name, ".") != 0 && !(len == 2 && name[0] == '.' && name[1] == '.') &&
	    !(len == 1 && name[0] == '.'))
		l->names[l->count++] = strndup(name, len);
	return true;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int fsbox_list(struct fsbox *b, const char *name, char *buf, size_t size)
{
	static struct listing l;
	struct file *f;
	size_t used = 0;
	int ret = fsbox_open(b, name, LINUX_O_RDONLY | LINUX_O_DIRECTORY, &f);

	if (ret < 0)
		return ret;
	l = (struct listing){.ctx.emit = collect};
	for (uint64_t before = UINT64_MAX; ret == 0 && before != l.ctx.pos;) {
		before = l.ctx.pos;
		ret = f->ops->iterate(f, &l.ctx);
	}
	file_put(f);
	qsort(l.names, (size_t)l.count, sizeof(*l.names), compare);
	buf[0] = 0;
	for (int i = 0; i < l.count; i++) {
		size_t n = strlen(l.names[i]);

		if (used + n + 2 < size) {
			memcpy(buf + used, l.names[i], n);
			used += n;
			buf[used++] = ' ';
			buf[used] = 0;
		}
		free(l.names[i]);
	}
	return ret;
}

/* ---- random changes */

static uint32_t seed;
static uint32_t rnd(uint32_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % n;
}

static void random_name(char *out)
{
	static const char *const dirs[] = {"/", "/d/", "/d/sub/", "/n/", "/d/n/"};
	static const char *const names[] = {"a", "b", "hard", "link", "sub", "deep", "n", "x"};

	snprintf(out, 64, "%s%s", dirs[rnd(5)], names[rnd(8)]);
}

static int step(struct fsbox *b, uint32_t op, const char *x, const char *y)
{
	struct iattr a = {.valid = ATTR_SIZE, .size = 4};

	switch (op) {
	case 0:
		return fsbox_write(b, x, y, LINUX_O_CREAT);
	case 1:
		return fsbox_write(b, x, y, LINUX_O_APPEND);
	case 2:
		return vfs_unlink(&b->at, x);
	case 3:
		return vfs_mkdir(&b->at, x, 0755);
	case 4:
		return vfs_rmdir(&b->at, x);
	case 5:
		return vfs_rename(&b->at, x, &b->at, y, 0);
	case 6:
		return vfs_link(&b->at, x, 0, &b->at, y);
	case 7:
		return vfs_setattr(&b->at, x, 0, &a);
	default:
		return fsbox_write(b, x, y, LINUX_O_CREAT | LINUX_O_TRUNC);
	}
}

static void compare_trees(struct fsbox *a, struct fsbox *b, const char *dir, int depth)
{
	static char la[8][4096], lb[8][4096], ta[4096], tb[4096];
	char path[256], *save, *n;

	cr_assert_eq(fsbox_list(a, dir, la[depth], 4096), 0);
	cr_assert_eq(fsbox_list(b, dir, lb[depth], 4096), 0);
	cr_assert_str_eq(la[depth], lb[depth], "in %s", dir);
	for (n = strtok_r(la[depth], " ", &save); n; n = strtok_r(NULL, " ", &save)) {
		struct kstat sa, sb;
		int ra, rb;

		snprintf(path, sizeof(path), "%s%s%s", dir, dir[1] ? "/" : "", n);
		ra = fsbox_stat(a, path, &sa);
		rb = fsbox_stat(b, path, &sb);
		cr_assert(ra == 0 && rb == 0, "%s: %d %d", path, ra, rb);
		cr_assert_eq(sa.mode, sb.mode, "%s: %o %o", path, sa.mode, sb.mode);
		if ((sa.mode & LINUX_S_IFMT) == LINUX_S_IFDIR) {
			compare_trees(a, b, path, depth + 1);
			continue;
		}
		cr_assert_eq(sa.nlink, sb.nlink, "%s: %lu %lu", path, sa.nlink, sb.nlink);
		cr_assert_eq(sa.size, sb.size, "%s: %lu %lu", path, sa.size, sb.size);
		if ((sa.mode & LINUX_S_IFMT) == LINUX_S_IFREG) {
			ssize_t na = fsbox_read(a, path, ta, sizeof(ta)),
				nb = fsbox_read(b, path, tb, sizeof(tb));

			cr_assert_eq(na, nb, "%s: %zd, not %zd", path, na, nb);
			cr_assert_str_eq(ta, tb, "%s", path);
		}
	}
}

void fsbox_compare_changes(struct fsbox *a, struct fsbox *b, uint32_t steps)
{
	for (uint32_t i = 0; i < steps; i++) {
		char x[64], y[64];
		uint32_t op;
		int ra, rb;

		seed = i * 7919 + 17;
		op = rnd(9);
		random_name(x);
		random_name(y);
		ra = step(a, op, x, y);
		if (ra == -EXDEV)
			continue;
		rb = step(b, op, x, y);
		cr_assert_eq(ra, rb, "step %u: op %u %s %s: %d, not %d", i, op, x, y, ra, rb);
		if (rnd(10) == 0)
			vfs_shrink(a->v, 0);
		if (i % 50 == 0)
			compare_trees(a, b, "/", 0);
	}
	compare_trees(a, b, "/", 0);
}
