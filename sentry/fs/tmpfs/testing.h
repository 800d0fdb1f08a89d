/* testing.h: for the tests of names and files: a namespace with one tmpfs, a root user and an ordinary one.
 * Each test runs in a process of its own. */
#pragma once

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "platform/abi/errno.h"
#include "platform/abi/fcntl.h"
#include "platform/abi/fs.h"
#include "platform/abi/misc.h"
#include "platform/base/arena.h"
#include "platform/base/strbuf.h"
#include "sentry/fs/tmpfs/tmpfs.h"
#include "sentry/mem/mem.h"

struct world {
	struct vfs *v;
	struct super *super;
	struct mount_ns *ns;
	struct user_ns *user_ns;
	struct cred *root, *user; /* user: uid 1000, gid 1000, no capabilities */
	struct fs_context *fs;
	struct vfs_at at; /* as root */
	struct vfs_at as_user;
};

static struct world w __attribute__((unused));

#define OK(expr)                                                                                               \
	do {                                                                                                   \
		long ok_ = (long)(expr);                                                                       \
		cr_assert(ok_ >= 0, "%s:%d: %s = %ld", __FILE__, __LINE__, #expr, ok_);                        \
	} while (0)
#define ERR(expr, err)                                                                                         \
	do {                                                                                                   \
		long err_ = (long)(expr);                                                                      \
		cr_assert(err_ == -(err), "%s:%d: %s = %ld, not -%s", __FILE__, __LINE__, #expr, err_, #err);  \
	} while (0)

static inline void world_setup(void)
{
	struct path root;

	OK(arena_init());
	mem_init(0);
	OK(user_ns_create(NULL, NULL, &w.user_ns));
	OK(cred_create(w.user_ns, 0, 0, CAPSET_ALL, &w.root));
	OK(cred_create(w.user_ns, 1000, 1000, 0, &w.user));
	OK(vfs_create(&w.v));
	OK(tmpfs_register(w.v));
	OK(tmpfs_super_create(w.v, "root", "mode=755", false, &w.super));
	OK(mount_ns_create(w.v, w.super, LINUX_MS_RELATIME, w.user_ns, &w.ns));
	mount_ns_root(w.ns, &root);
	OK(fs_context_create(&root, &root, 022, &w.fs));
	path_put(&root);
	w.at = (struct vfs_at){.fs = w.fs, .ns = w.ns, .cred = w.root};
	w.as_user = w.at;
	w.as_user.cred = w.user;
}

static inline int t_open(const struct vfs_at *at, const char *name, uint32_t flags, uint32_t mode,
			 struct file **f)
{
	return vfs_open(at, name, flags, mode, 0, f);
}

/* Opens and closes: the result of open. */
static inline int t_touch(const struct vfs_at *at, const char *name, uint32_t flags, uint32_t mode)
{
	struct file *f;
	int ret = vfs_open(at, name, flags, mode, 0, &f);

	if (ret == 0)
		file_put(f);
	return ret;
}

static inline int t_create(const char *name)
{
	return t_touch(&w.at, name, LINUX_O_CREAT | LINUX_O_WRONLY, 0644);
}

static inline ssize_t t_write(struct file *f, const char *text)
{
	struct uio u;

	uio_init_kernel(&u, (void *)(uintptr_t)text, strlen(text));
	return file_write(f, &u);
}

static inline ssize_t t_pread(struct file *f, void *buf, size_t n, uint64_t off)
{
	struct uio u;

	uio_init_kernel(&u, buf, n);
	return file_pread(f, &u, off);
}

static inline ssize_t t_pwrite(struct file *f, const void *buf, size_t n, uint64_t off)
{
	struct uio u;

	uio_init_kernel(&u, (void *)(uintptr_t)buf, n);
	return file_pwrite(f, &u, off);
}

static inline int t_stat(const char *name, struct kstat *st)
{
	return vfs_stat(&w.at, name, 0, 0, st);
}

static inline int t_exists(const char *name)
{
	struct kstat st;

	return t_stat(name, &st) == 0;
}

static inline int t_lookup(const char *name, uint32_t flags)
{
	struct path p;
	int ret = vfs_lookup(&w.at, name, flags, &p);

	if (ret == 0)
		path_put(&p);
	return ret;
}
