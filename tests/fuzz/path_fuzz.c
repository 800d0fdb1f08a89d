/* path_fuzz.c: walks of names. An input is a list of operations, each a byte of what to do and two names,
 * done by somebody whose root is a folder; whatever a walk finds must lie below that root, below the base
 * where RESOLVE_BENEATH or RESOLVE_IN_ROOT was asked for, and nothing outside may have changed at the end. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "platform/abi/errno.h"
#include "platform/abi/fcntl.h"
#include "platform/abi/fs.h"
#include "platform/base/arena.h"
#include "sentry/fs/tmpfs/tmpfs.h"
#include "sentry/mem/mem.h"
#include "sentry/vfs/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NEED(cond)                                                                                             \
	do {                                                                                                   \
		if (!(cond))                                                                                   \
			abort();                                                                               \
	} while (0)

#define STEPS_MAX 64

static struct {
	struct vfs *v;
	struct user_ns *user_ns;
	struct cred *cred;
} all;

struct world {
	struct mount_ns *ns;
	struct fs_context *outer, *inner; /* inner: chrooted to /jail */
	struct vfs_at at, outside;
	struct path jail;
};

static void once(void)
{
	NEED(arena_init() == 0);
	mem_init(0);
	NEED(vfs_create(&all.v) == 0);
	NEED(tmpfs_register(all.v) == 0);
	NEED(user_ns_create(NULL, NULL, &all.user_ns) == 0);
	NEED(cred_create(all.user_ns, 0, 0, CAPSET_ALL, &all.cred) == 0);
}

static void make_file(const struct vfs_at *at, const char *name)
{
	struct file *f;

	NEED(vfs_open(at, name, LINUX_O_CREAT | LINUX_O_RDWR, 0644, 0, &f) == 0);
	file_put(f);
}

static void build(struct world *w)
{
	struct super *s;
	struct path root;

	NEED(tmpfs_super_create(all.v, "fuzz", "mode=755", false, &s) == 0);
	NEED(mount_ns_create(all.v, s, 0, all.user_ns, &w->ns) == 0);
	super_put(s);
	mount_ns_root(w->ns, &root);
	NEED(fs_context_create(&root, &root, 022, &w->outer) == 0);
	w->outside = (struct vfs_at){.fs = w->outer, .ns = w->ns, .cred = all.cred};
	make_file(&w->outside, "/secret");
	NEED(vfs_mkdir(&w->outside, "/jail", 0755) == 0 && vfs_mkdir(&w->outside, "/jail/d", 0755) == 0 &&
	     vfs_mkdir(&w->outside, "/jail/d/e", 0755) == 0);
	make_file(&w->outside, "/jail/f");
	NEED(vfs_symlink(&w->outside, "../../../secret", "/jail/d/up") == 0 &&
	     vfs_symlink(&w->outside, "/secret", "/jail/abs") == 0);
	NEED(vfs_lookup(&w->outside, "/jail", LOOKUP_DIRECTORY, &w->jail) == 0);
	NEED(fs_context_create(&w->jail, &w->jail, 022, &w->inner) == 0);
	w->at = (struct vfs_at){.fs = w->inner, .ns = w->ns, .cred = all.cred};
	path_put(&root);
}

static void tear_down(struct world *w)
{
	struct kstat st;
	struct path p;

	/* what lies outside is as it was made */
	NEED(vfs_stat(&w->outside, "/secret", 0, 0, &st) == 0 && st.size == 0 && st.nlink == 1);
	NEED(vfs_lookup(&w->outside, "/jail/..", LOOKUP_DIRECTORY, &p) == 0);
	NEED(p.dentry == p.mnt->root);
	path_put(&p);
	NEED(vfs_stat(&w->outside, "/", 0, 0, &st) == 0 && st.nlink == 3);
	path_put(&w->jail);
	fs_context_put(w->inner);
	fs_context_put(w->outer);
	mount_ns_put(w->ns);
	vfs_shrink(all.v, 0);
}

static void look(struct world *w, uint8_t how, const char *base, const char *name)
{
	static const uint32_t kinds[] = {0,
					 LOOKUP_FOLLOW,
					 LOOKUP_FOLLOW | LOOKUP_BENEATH,
					 LOOKUP_FOLLOW | LOOKUP_IN_ROOT,
					 LOOKUP_NO_LINKS,
					 LOOKUP_DIRECTORY,
					 LOOKUP_EMPTY | LOOKUP_FOLLOW,
					 LOOKUP_NO_XDEV | LOOKUP_NO_MAGIC};
	uint32_t flags = kinds[how % 8];
	struct vfs_at at = w->at;
	struct path from, p;
	bool based = vfs_lookup(&w->at, base, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &from) == 0;

	if (based)
		at.base = &from;
	if (vfs_lookup(&at, name, flags, &p) == 0) {
		NEED(vfs_path_reachable(&p, &w->jail));
		if (flags & (LOOKUP_BENEATH | LOOKUP_IN_ROOT))
			NEED(vfs_path_reachable(&p, based ? &from : &w->jail));
		path_put(&p);
	}
	if (based)
		path_put(&from);
}

static void change(struct world *w, uint8_t what, const char *a, const char *b)
{
	static const uint32_t how[] = {LINUX_O_RDONLY, LINUX_O_CREAT | LINUX_O_RDWR,
				       LINUX_O_CREAT | LINUX_O_EXCL | LINUX_O_WRONLY,
				       LINUX_O_CREAT | LINUX_O_TRUNC | LINUX_O_NOFOLLOW | LINUX_O_RDWR};
	struct file *f;
	struct path p;
	int ret = 0;

	switch (what % 8) {
	case 0:
		ret = vfs_open(&w->at, a, how[(what >> 3) % 4], 0644, 0, &f);
		if (ret == 0) {
			NEED(vfs_path_reachable(&f->path, &w->jail));
			file_put(f);
		}
		break;
	case 1:
		ret = vfs_mkdir(&w->at, a, 0755);
		break;
	case 2:
		ret = vfs_symlink(&w->at, a, b);
		break;
	case 3:
		ret = vfs_link(&w->at, a, what & 8 ? LOOKUP_FOLLOW : 0, &w->at, b);
		break;
	case 4:
		ret = vfs_rename(&w->at, a, &w->at, b, (what >> 3) % 3); /* 0, NOREPLACE, EXCHANGE */
		break;
	case 5:
		ret = vfs_unlink(&w->at, a);
		break;
	case 6:
		ret = vfs_rmdir(&w->at, a);
		break;
	default:
		ret = vfs_lookup(&w->at, a, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &p);
		if (ret == 0) {
			fs_context_set_cwd(w->inner, &p);
			path_put(&p);
		}
	}
	NEED(ret <= 0);
}

/* A terminated copy of the next name; false at the end. */
static bool next(const uint8_t **data, size_t *size, char *name)
{
	size_t n = 0;

	if (!*size)
		return false;
	while (*size && n < VFS_PATH_MAX - 1) {
		uint8_t c = *(*data)++;

		--*size;
		if (!c)
			break;
		name[n++] = (char)c;
	}
	name[n] = 0;
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char a[VFS_PATH_MAX], b[VFS_PATH_MAX];
	struct world w;

	if (!all.v)
		once();
	build(&w);
	for (int i = 0; i < STEPS_MAX && size > 1; i++) {
		uint8_t op = *data++;

		size--;
		if (!next(&data, &size, a))
			break;
		if (!next(&data, &size, b))
			b[0] = 0;
		if (op & 0x80)
			look(&w, op, a, b);
		else
			change(&w, op, a, b);
	}
	tear_down(&w);
	return 0;
}
