/* tmpfs.c: instances: mount options (tmpfs(5)), statfs, registration. */
#include <string.h>

#include "platform/base/random.h"
#include "platform/base/strbuf.h"
#include "sentry/fs/tmpfs/internal.h"

#define DEFAULT_BYTES (8UL << 30)
#define DEFAULT_MODE  (0777 | 01000)

struct options {
	uint64_t size, inodes; /* bytes */
	uint32_t mode, uid, gid;
	bool size_given, inodes_given, mode_given;
};

/* A number in base with an optional suffix k, m, g, t; all of text[0..n). */
static int parse_number(const char *text, size_t n, unsigned base, bool suffix, uint64_t *out)
{
	uint64_t v = 0;
	size_t i = 0;

	for (; i < n && text[i] >= '0' && text[i] < (char)('0' + base); i++)
		if (mul_overflows(v, (uint64_t)base, &v) || add_overflows(v, (uint64_t)(text[i] - '0'), &v))
			return -EINVAL;
	if (i == 0)
		return -EINVAL;
	if (suffix && i + 1 == n) {
		static const char units[] = "kmgt";
		const char *u = memchr(units, text[i] | 0x20, 4);

		if (!u || mul_overflows(v, 1UL << (10 * (u - units + 1)), &v))
			return -EINVAL;
		i++;
	}
	*out = v;
	return i == n ? 0 : -EINVAL;
}

static bool is_key(const char *opt, size_t n, const char *key)
{
	return strlen(key) == n && !memcmp(opt, key, n);
}

static int parse_size(const char *val, size_t n, uint64_t whole, uint64_t *out)
{
	int ret;

	if (n && val[n - 1] == '%') {
		ret = parse_number(val, n - 1, 10, false, out);
		if (ret == 0)
			*out = *out > 1000 ? whole : whole / 100 * *out;
		return ret;
	}
	return parse_number(val, n, 10, true, out);
}

/* An id of the mounter's namespace as a kernel id. */
static int parse_id(const char *val, size_t n, struct user_ns *ns, bool gid, uint32_t *out)
{
	uint64_t v;
	int ret = parse_number(val, n, 10, false, &v);

	if (ret < 0 || v > UINT32_MAX)
		return -EINVAL;
	*out = !ns ? (uint32_t)v : gid ? user_ns_to_kgid(ns, (uint32_t)v) : user_ns_to_kuid(ns, (uint32_t)v);
	return *out == ID_INVALID ? -EINVAL : 0;
}

static int parse_one(struct options *o, const char *key, size_t kn, const char *val, size_t vn,
		     struct user_ns *ns, uint64_t default_bytes)
{
	static const char *const ignored[] = {"huge", "mpol", "noswap", "inode32", "inode64"};
	uint64_t v;
	int ret = 0;

	for (size_t i = 0; i < ARRAY_SIZE(ignored); i++)
		if (is_key(key, kn, ignored[i]))
			return 0;
	if (is_key(key, kn, "uid"))
		return parse_id(val, vn, ns, false, &o->uid);
	if (is_key(key, kn, "gid"))
		return parse_id(val, vn, ns, true, &o->gid);
	if (is_key(key, kn, "mode")) {
		ret = parse_number(val, vn, 8, false, &v);
		o->mode = (uint32_t)v & 07777;
		o->mode_given = true;
	} else if (is_key(key, kn, "size")) {
		ret = parse_size(val, vn, 2 * default_bytes, &o->size);
		o->size_given = true;
	} else if (is_key(key, kn, "nr_blocks")) {
		ret = parse_number(val, vn, 10, true, &v);
		if (ret == 0 && mul_overflows(v, PAGE_SIZE, &o->size))
			ret = -EINVAL;
		o->size_given = true;
	} else if (is_key(key, kn, "nr_inodes")) {
		ret = parse_number(val, vn, 10, true, &o->inodes);
		o->inodes_given = true;
	} else {
		ret = -EINVAL;
	}
	return ret;
}

static int parse_options(struct options *o, const char *text, struct user_ns *ns, uint64_t default_bytes)
{
	while (text && *text) {
		const char *end = strchrnul(text, ','), *eq = memchr(text, '=', (size_t)(end - text));
		const char *key_end = eq ? eq : end, *val = eq ? eq + 1 : end;
		int ret = 0;

		if (end != text)
			ret = parse_one(o, text, (size_t)(key_end - text), val, (size_t)(end - val), ns,
					default_bytes);
		if (ret < 0)
			return ret;
		text = *end ? end + 1 : end;
	}
	return 0;
}

static int tmpfs_statfs(struct super *s, struct linux_statfs *out)
{
	const struct tmpfs *t = s->fs;
	uint64_t used = __atomic_load_n(&t->used_blocks, __ATOMIC_RELAXED);
	uint64_t inodes = __atomic_load_n(&t->used_inodes, __ATOMIC_RELAXED);

	if (t->max_blocks) {
		out->f_blocks = (int64_t)t->max_blocks;
		out->f_bfree = out->f_bavail = (int64_t)(t->max_blocks - MIN(used, t->max_blocks));
	}
	if (t->max_inodes) {
		out->f_files = (int64_t)t->max_inodes;
		out->f_ffree = (int64_t)(t->max_inodes - MIN(inodes, t->max_inodes));
	}
	return 0;
}

static void tmpfs_show(struct super *s, struct strbuf *out)
{
	const struct tmpfs *t = s->fs;

	if (t->size_given)
		strbuf_printf(out, ",size=%luk", t->max_blocks * (PAGE_SIZE / 1024));
	if (t->inodes_given)
		strbuf_printf(out, ",nr_inodes=%lu", t->max_inodes);
	if (t->mode != (t->ramfs ? 0755 : DEFAULT_MODE))
		strbuf_printf(out, ",mode=%03o", t->mode);
	if (t->uid)
		strbuf_printf(out, ",uid=%u", t->uid);
	if (t->gid)
		strbuf_printf(out, ",gid=%u", t->gid);
	if (!t->ramfs)
		strbuf_puts(out, ",inode64");
}

static uint64_t default_bytes(const struct vfs *v)
{
	return v->tmpfs_default_size ? v->tmpfs_default_size : DEFAULT_BYTES;
}

static int tmpfs_remount(struct super *s, const char *text)
{
	struct tmpfs *t = s->fs;
	struct options o = {.size = t->max_blocks * PAGE_SIZE, .inodes = t->max_inodes, .mode = t->mode};
	int ret = parse_options(&o, text, NULL, default_bytes(s->vfs));
	uint64_t blocks = (o.size + PAGE_SIZE - 1) / PAGE_SIZE;

	if (ret < 0 || t->ramfs)
		return t->ramfs ? 0 : ret;
	if ((blocks && blocks < t->used_blocks) || (o.inodes && o.inodes < t->used_inodes))
		return -EINVAL;
	if (o.size_given) {
		__atomic_store_n(&t->max_blocks, blocks, __ATOMIC_RELAXED);
		t->size_given = true;
	}
	if (o.inodes_given) {
		__atomic_store_n(&t->max_inodes, o.inodes, __ATOMIC_RELAXED);
		t->inodes_given = true;
	}
	return 0;
}

static void tmpfs_super_destroy(struct super *s)
{
	kfree(s->fs);
}

static const struct super_ops tmpfs_super_ops = {
	.statfs = tmpfs_statfs,
	.remount = tmpfs_remount,
	.show_options = tmpfs_show,
	.destroy = tmpfs_super_destroy,
};

static int instance_create(struct vfs *v, const char *source, const struct options *o, bool ramfs,
			   bool below_overlay, struct super **out)
{
	const struct cred owner = {.fsuid = o->uid, .fsgid = o->gid};
	struct tmpfs *t = kmalloc(sizeof(*t));
	struct super *s;
	struct inode *root;
	int ret;

	if (!t)
		return -ENOMEM;
	mutex_init(&t->lock, RANK_NONE);
	list_init(&t->orphans);
	t->hash_key = random_u64();
	t->ramfs = ramfs;
	t->mode = o->mode;
	t->uid = o->uid;
	t->gid = o->gid;
	t->max_blocks = ramfs ? 0 : (o->size + PAGE_SIZE - 1) / PAGE_SIZE;
	t->max_inodes = ramfs ? 0 : o->inodes;
	t->size_given = o->size_given;
	t->inodes_given = o->inodes_given;
	ret = super_create(v, &tmpfs_super_ops, ramfs ? "ramfs" : "tmpfs",
			   ramfs ? LINUX_RAMFS_MAGIC : LINUX_TMPFS_MAGIC, source, t, &s);
	if (ret < 0) {
		kfree(t);
		return ret;
	}
	s->cache_negative = true;
	s->below_overlay = below_overlay;
	s->stable = true;
	ret = tmpfs_node_create(s, NULL, LINUX_S_IFDIR | o->mode, 0, NULL, &owner, &root);
	if (ret == 0)
		ret = super_set_root(s, root);
	if (ret < 0) {
		super_put(s);
		return ret;
	}
	*out = s;
	return 0;
}

static int create(struct vfs *v, const char *source, const char *text, const struct cred *cred, bool ramfs,
		  bool below_overlay, struct super **out)
{
	uint64_t bytes = default_bytes(v);
	struct options o = {.size = bytes, .inodes = bytes / PAGE_SIZE, .mode = ramfs ? 0755 : DEFAULT_MODE};
	int ret;

	if (cred) {
		o.uid = cred->fsuid;
		o.gid = cred->fsgid;
	}
	ret = parse_options(&o, text, cred ? cred->user_ns : NULL, bytes);
	if (ret < 0 && !ramfs) /* ramfs takes no offence */
		return ret;
	return instance_create(v, source, &o, ramfs, below_overlay, out);
}

int tmpfs_super_create(struct vfs *v, const char *source, const char *options, bool below_overlay,
		       struct super **out)
{
	return create(v, source ? source : "tmpfs", options, NULL, false, below_overlay, out);
}

static int tmpfs_mount(struct vfs *v, const struct vfs_at *at, const char *source, uint64_t flags,
		       const char *data, struct super **out)
{
	(void)flags;
	return create(v, source, data, at->cred, false, false, out);
}

static int ramfs_mount(struct vfs *v, const struct vfs_at *at, const char *source, uint64_t flags,
		       const char *data, struct super **out)
{
	(void)flags;
	return create(v, source, data, at->cred, true, false, out);
}

static const struct fs_type tmpfs_type = {
	.name = "tmpfs",
	.user_mountable = true,
	.nodev = true,
	.mount = tmpfs_mount,
};

static const struct fs_type ramfs_type = {
	.name = "ramfs",
	.user_mountable = true,
	.nodev = true,
	.mount = ramfs_mount,
};

int tmpfs_register(struct vfs *v)
{
	const struct options o = {.mode = DEFAULT_MODE};

	vfs_register(v, &tmpfs_type);
	vfs_register(v, &ramfs_type);
	return instance_create(v, "tmpfs", &o, false, false, &v->shm);
}
