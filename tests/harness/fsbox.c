/* fsbox.c: see fsbox.h. */
#include "tests/harness/fsbox.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

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

static bool collect(struct dir_context *ctx, const char *name, size_t len, uint64_t ino, uint32_t type, uint64_t next)
{
	struct listing *l = container_of(ctx, struct listing, ctx);

	(void)ino, (void)type, (void)next;
	if (l->count == 4096)
		return false;
	if (strcmp(name, ".") != 0 && !(len == 2 && name[0] == '.' && name[1] == '.') && !(len == 1 && name[0] == '.'))
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
