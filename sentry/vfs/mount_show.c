/* mount_show.c: /proc/pid/mounts, mountinfo and mountstats (proc(5)). */
#include <string.h>

#include "platform/base/strbuf.h"
#include "sentry/vfs/internal.h"

static void show_flags(struct strbuf *out, uint32_t flags)
{
	static const struct {
		uint32_t flag;
		const char *text;
	} names[] = {
		{LINUX_MS_NOSUID, ",nosuid"},		{LINUX_MS_NODEV, ",nodev"},
		{LINUX_MS_NOEXEC, ",noexec"},		{LINUX_MS_NOATIME, ",noatime"},
		{LINUX_MS_NODIRATIME, ",nodiratime"},	{LINUX_MS_RELATIME, ",relatime"},
		{LINUX_MS_NOSYMFOLLOW, ",nosymfollow"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (flags & names[i].flag)
			strbuf_puts(out, names[i].text);
}

static void show_options(struct strbuf *out, struct super *s)
{
	if (s->ops && s->ops->show_options)
		s->ops->show_options(s, out);
}

/* The source as mangled there: '#' too, which would start a comment. */
static void show_source(struct strbuf *out, const char *source)
{
	for (; *source; source++) {
		if (*source == '#') {
			strbuf_puts(out, "\\043");
		} else {
			char one[2] = {*source, 0};

			strbuf_puts_octal(out, one);
		}
	}
}

/* The place of a dentry in its own file system. */
static char *inner_name(struct vfs *v, const struct dentry *d, char *buf, size_t size)
{
	char *at = buf + size - 1;
	const struct dentry *start = d;
	bool ok = true;

	*at = 0;
	rwlock_read(&v->dentry_lock);
	if (d->unhashed) {
		at -= strlen("//deleted");
		memcpy(at, "//deleted", strlen("//deleted"));
	}
	for (; d->parent != d; d = d->parent) {
		ok = (size_t)(at - buf) > d->name_len + 1u;
		if (!ok)
			break;
		at -= d->name_len;
		memcpy(at, d->name, d->name_len);
		*--at = '/';
	}
	if (start->parent == start)
		*--at = '/';
	rwlock_read_unlock(&v->dentry_lock);
	return ok ? at : NULL;
}

static void show_info(struct mount *m, const char *name, const char *inner, struct strbuf *out)
{
	struct super *s = m->super;

	strbuf_printf(out, "%lu %lu %u:%u ", m->id, m->parent ? m->parent->id : 1UL, dev_major(s->dev),
		      dev_minor(s->dev));
	strbuf_puts_octal(out, inner);
	strbuf_putc(out, ' ');
	strbuf_puts_octal(out, name);
	strbuf_puts(out, m->flags & LINUX_MS_RDONLY ? " ro" : " rw");
	show_flags(out, m->flags);
	if (m->peer_group)
		strbuf_printf(out, " shared:%u", m->peer_group);
	if (m->master_group)
		strbuf_printf(out, " master:%u", m->master_group);
	if (m->propagation == LINUX_MS_UNBINDABLE)
		strbuf_puts(out, " unbindable");
	strbuf_printf(out, " - %s ", s->type);
	show_source(out, s->source);
	strbuf_puts(out, s->read_only ? " ro" : " rw");
	show_options(out, s);
	strbuf_putc(out, '\n');
}

static void show_plain(struct mount *m, const char *name, struct strbuf *out)
{
	struct super *s = m->super;

	show_source(out, s->source);
	strbuf_putc(out, ' ');
	strbuf_puts_octal(out, name);
	strbuf_printf(out, " %s %s", s->type, (m->flags & LINUX_MS_RDONLY) || s->read_only ? "ro" : "rw");
	show_flags(out, m->flags);
	show_options(out, s);
	strbuf_puts(out, " 0 0\n");
}

static void show_stats(struct mount *m, const char *name, struct strbuf *out)
{
	strbuf_puts(out, "device ");
	show_source(out, m->super->source);
	strbuf_puts(out, " mounted on ");
	strbuf_puts_octal(out, name);
	strbuf_printf(out, " with fstype %s\n", m->super->type);
}

void mount_ns_show(struct mount_ns *ns, const struct path *root, enum mounts_format format, struct strbuf *out)
{
	struct vfs *v = ns->vfs;
	char *bufs = kmalloc(2 * VFS_PATH_MAX);
	struct mount *m;

	if (!bufs) {
		out->failed = true;
		return;
	}
	rwlock_read(&v->mount_lock);
	list_for_each (m, &ns->mounts, ns_node) {
		struct path p = {m, m->root};
		const char *name, *inner;

		if (root && !vfs_path_reachable(&p, root))
			continue;
		name = path_name_unmarked(&p, root, bufs, VFS_PATH_MAX);
		inner = inner_name(v, m->root, bufs + VFS_PATH_MAX, VFS_PATH_MAX);
		if (!name || !inner)
			continue;
		if (format == MOUNTS_INFO)
			show_info(m, name, inner, out);
		else if (format == MOUNTS_MOUNTS)
			show_plain(m, name, out);
		else
			show_stats(m, name, out);
	}
	rwlock_read_unlock(&v->mount_lock);
	kfree(bufs);
}
