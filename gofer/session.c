/* session.c: decodes one request, serves it, encodes and sends the reply. */
#include <fcntl.h>
#include <string.h>

#include "gofer/internal.h"
#include "platform/abi/errno.h"
#include "platform/host/fdpass.h"
#include "platform/host/hostcall.h"

static int writable(const struct node *n)
{
	if (n->root_flags & GOFER_ROOT_READONLY)
		return -EROFS;
	return n->sealed ? -EACCES : 0;
}

/* A directory in which names may be changed. */
static int changeable_dir(const struct node *n)
{
	int ret = writable(n);

	return ret < 0 ? ret : host_check_dir(n, false);
}

static int attr_now(struct call *c)
{
	c->p->attr_count = 1;
	return host_stat_fd(c->s, c->n->fd, &c->p->attrs[0]);
}

/* ---- without a node */

static int do_hello(struct call *c)
{
	if (c->q->flags != GOFER_VERSION)
		return -EPROTONOSUPPORT;
	c->p->flags = GOFER_VERSION;
	c->p->size = c->s->root_count;
	return 0;
}

static int do_attach(struct call *c)
{
	const struct gofer_root *root;
	struct node *n;
	int ret;

	if (c->q->size >= c->s->root_count)
		return -ENOENT;
	root = &c->s->roots[c->q->size];
	ret = node_introduce_root(c->s, c->q->node, root);
	if (ret < 0)
		return ret;
	ret = node_get(c->s, c->q->node, &n);
	if (ret < 0)
		return ret;
	c->p->flags = root->flags & (GOFER_ROOT_READONLY | GOFER_ROOT_PUBLIC);
	c->p->attr_count = 1;
	ret = host_stat_fd(c->s, n->fd, &c->p->attrs[0]);
	node_put(c->s, n);
	return ret;
}

static int do_channel(struct call *c)
{
	c->fd = server_add_channel(c->s);
	return c->fd < 0 ? c->fd : 0;
}

/* ---- with a node */

static int read_target(struct call *c, int dir, const char *name)
{
	ssize_t n = hc_readlinkat(dir, name, (char *)c->ss->data, GOFER_TARGET_MAX);

	if (n < 0)
		return (int)n;
	c->p->data = c->ss->data;
	c->p->data_size = (uint32_t)n;
	return 0;
}

/* One step from dir. The next directory is left in *dir, pinned, when more is true. */
static int walk_step(struct call *c, struct node **dir, const struct gofer_step *step, bool more, bool *stop)
{
	struct gofer_attr *a = &c->p->attrs[c->p->attr_count];
	struct node *next;
	char name[GOFER_NAME_MAX + 1];
	int ret = host_check_dir(*dir, false);

	if (ret < 0)
		return ret;
	name_copy(name, &step->name);
	ret = host_stat_at(c->s, *dir, name, a);
	if (ret < 0)
		return ret;
	if (step->id) {
		ret = node_introduce(c->s, step->id, (*dir)->id, &step->name, a->ino, a->dev);
		if (ret < 0)
			return ret;
	}
	c->p->attr_count++;
	*stop = !more;
	if (S_ISLNK(a->mode)) {
		*stop = true;
		/* a link that can't be read now is read when it is needed */
		if (read_target(c, (*dir)->fd, name) < 0)
			c->p->data_size = 0;
	}
	if (*stop)
		return 0;
	if (!step->id)
		return -EINVAL;
	ret = node_get(c->s, step->id, &next);
	if (ret < 0)
		return ret;
	node_put(c->s, *dir);
	*dir = next;
	return 0;
}

static int do_walk(struct call *c)
{
	struct node *dir;
	bool stop = false;
	int ret = node_get(c->s, c->q->node, &dir); /* a pin of its own: it moves */

	if (ret < 0)
		return ret;
	for (uint32_t i = 0; ret == 0 && !stop; i++)
		ret = walk_step(c, &dir, &c->q->walk[i], i + 1 < c->q->walk_count, &stop);
	node_put(c->s, dir);
	return ret;
}

static int do_getattr(struct call *c)
{
	return attr_now(c);
}

static int do_setattr(struct call *c)
{
	int ret = writable(c->n);

	if (ret == 0)
		ret = host_setattr(c->s, c->n, &c->q->set);
	return ret < 0 ? ret : attr_now(c);
}

static int do_open(struct call *c)
{
	int fd = host_open(c->s, c->n, c->q->flags), ret;

	if (fd < 0)
		return fd;
	c->fd = fd;
	ret = attr_now(c);
	return ret;
}

/* The attributes of what was made as c->name in c->n, which the client knows as node2. */
static int introduce_new(struct call *c)
{
	struct gofer_attr *a = &c->p->attrs[0];
	int ret = host_stat_at(c->s, c->n, c->name, a);

	if (ret < 0)
		return ret;
	c->p->attr_count = 1;
	return node_introduce(c->s, c->q->node2, c->n->id, &c->q->name, a->ino, a->dev);
}

static int do_create(struct call *c)
{
	struct gofer_attr *a = &c->p->attrs[0];
	int ret = changeable_dir(c->n);

	if (ret < 0)
		return ret;
	ret = host_create(c->s, c->n, c->name, c->q, a, &c->fd);
	if (ret < 0)
		return ret;
	c->p->attr_count = 1;
	return node_introduce(c->s, c->q->node2, c->n->id, &c->q->name, a->ino, a->dev);
}

static int do_mkdir(struct call *c)
{
	int ret = changeable_dir(c->n);

	if (ret == 0)
		ret = host_mkdir(c->s, c->n, c->name, c->q);
	return ret < 0 ? ret : introduce_new(c);
}

static int do_mknod(struct call *c)
{
	int ret = changeable_dir(c->n);

	if (ret == 0)
		ret = host_mknod(c->s, c->n, c->name, c->q);
	return ret < 0 ? ret : introduce_new(c);
}

static int do_symlink(struct call *c)
{
	int ret = changeable_dir(c->n);

	if (ret == 0)
		ret = host_symlink(c->s, c->n, c->name, c->q);
	return ret < 0 ? ret : introduce_new(c);
}

static int do_tmpfile(struct call *c)
{
	int ret = changeable_dir(c->n), opath;

	if (ret == 0)
		ret = host_tmpfile(c->s, c->n, c->q, &c->fd);
	if (ret < 0)
		return ret;
	opath = hc_dup(c->fd);
	if (opath < 0)
		return opath;
	c->p->attr_count = 1;
	ret = host_stat_fd(c->s, opath, &c->p->attrs[0]);
	if (ret < 0) {
		hc_close(opath);
		return ret;
	}
	return node_introduce_gone(c->s, c->q->node2, c->n->root_flags, opath);
}

static int do_link(struct call *c)
{
	struct node *dir;
	int ret = node_get(c->s, c->q->node2, &dir);

	if (ret < 0)
		return ret;
	ret = changeable_dir(dir);
	if (ret == 0 && (writable(c->n) < 0 || S_ISDIR(c->n->mode)))
		ret = S_ISDIR(c->n->mode) ? -EPERM : -EROFS;
	if (ret == 0)
		ret = host_link(c->s, c->n, dir, c->name);
	node_put(c->s, dir);
	return ret < 0 ? ret : attr_now(c);
}

/* The victim as a pinned node that keeps its descriptor when the name goes; NULL: the client doesn't care. */
static struct node *hold_victim(struct call *c, uint64_t id, const struct node *dir,
				const struct gofer_name *name)
{
	struct node *n = NULL;

	if (!id || node_introduce(c->s, id, dir->id, name, 0, 0) < 0 || node_get(c->s, id, &n) < 0)
		return NULL;
	return n;
}

static void drop_victim(struct call *c, struct node *victim, bool gone)
{
	if (!victim)
		return;
	if (gone)
		node_set_gone(c->s, victim);
	node_put(c->s, victim);
}

static int remove_name(struct call *c, int flags)
{
	struct node *victim;
	int ret = changeable_dir(c->n);

	if (ret < 0)
		return ret;
	victim = hold_victim(c, c->q->node2, c->n, &c->q->name);
	ret = hc_unlinkat(c->n->fd, c->name, flags);
	drop_victim(c, victim, ret == 0);
	return ret;
}

static int do_unlink(struct call *c)
{
	return remove_name(c, 0);
}

static int do_rmdir(struct call *c)
{
	return remove_name(c, AT_REMOVEDIR);
}

static int rename_into(struct call *c, struct node *dir2)
{
	const struct gofer_req *q = c->q;
	bool exchange = q->flags & 2;
	struct node *victim, *moved;
	int ret = changeable_dir(c->n);

	if (ret == 0)
		ret = changeable_dir(dir2);
	if (ret == 0 && c->n->root_flags != dir2->root_flags)
		ret = -EXDEV;
	if (ret < 0)
		return ret;
	moved = hold_victim(c, q->node3, c->n, &q->name);
	victim = hold_victim(c, q->node4, dir2, &q->name2);
	ret = hc_renameat2(c->n->fd, c->name, dir2->fd, c->name2, q->flags);
	if (ret == 0 && moved)
		(void)!node_introduce(c->s, moved->id, dir2->id, &q->name2, 0, 0);
	if (ret == 0 && victim && exchange)
		(void)!node_introduce(c->s, victim->id, c->n->id, &q->name, 0, 0);
	drop_victim(c, victim, ret == 0 && !exchange);
	drop_victim(c, moved, false);
	return ret;
}

static int do_rename(struct call *c)
{
	struct node *dir2;
	int ret;

	if (c->q->flags & ~3u) /* RENAME_NOREPLACE, RENAME_EXCHANGE */
		return -EINVAL;
	ret = node_get(c->s, c->q->node2, &dir2);
	if (ret < 0)
		return ret;
	ret = rename_into(c, dir2);
	node_put(c->s, dir2);
	return ret;
}

static int do_readlink(struct call *c)
{
	return S_ISLNK(c->n->mode) ? read_target(c, c->n->fd, "") : -EINVAL;
}

static int do_readdir(struct call *c)
{
	return host_readdir(c->ss, c->n, c->q->offset, c->ss->scratch, sizeof(c->ss->scratch), c->p,
			    c->ss->data);
}

static int do_statfs(struct call *c)
{
	return host_statfs(c->n, &c->p->statfs);
}

static int data_reply(struct call *c, ssize_t n, size_t room)
{
	if (n < 0)
		return (int)n;
	c->p->size = (uint64_t)n;
	c->p->data = c->ss->data;
	c->p->data_size = room ? (uint32_t)n : 0;
	return 0;
}

static int do_getxattr(struct call *c)
{
	size_t room = MIN(c->q->size, GOFER_DATA_MAX);

	return data_reply(c, host_getxattr(c->s, c->n, c->name, c->ss->data, room), room);
}

static int do_listxattr(struct call *c)
{
	/* the whole list, as names are left out of it */
	ssize_t n = host_listxattr(c->s, c->n, (char *)c->ss->data, GOFER_DATA_MAX);

	if (n >= 0 && c->q->size && (uint64_t)n > c->q->size)
		return -ERANGE;
	return data_reply(c, n, c->q->size);
}

static int do_setxattr(struct call *c)
{
	int ret = writable(c->n);

	if (ret < 0)
		return ret;
	return host_setxattr(c->s, c->n, c->name, c->q->data, c->q->data_size, (int)c->q->flags);
}

static int do_removexattr(struct call *c)
{
	int ret = writable(c->n);

	return ret < 0 ? ret : host_removexattr(c->s, c->n, c->name);
}

static int do_fsync(struct call *c)
{
	int fd, ret;

	if (S_ISDIR(c->n->mode))
		fd = hc_openat(c->n->fd, ".", O_RDONLY | O_DIRECTORY, 0);
	else
		fd = host_open(c->s, c->n, GOFER_OPEN_READ);
	if (fd < 0)
		return fd;
	ret = c->q->flags & 1 ? hc_fdatasync(fd) : hc_fsync(fd);
	hc_close(fd);
	return ret;
}

static int do_allocate(struct call *c)
{
	int fd = host_open(c->s, c->n, GOFER_OPEN_WRITE), ret;

	if (fd < 0)
		return fd;
	ret = hc_fallocate(fd, (int)c->q->flags, c->q->offset, c->q->size);
	hc_close(fd);
	return ret < 0 ? ret : attr_now(c);
}

static int do_connect(struct call *c)
{
	c->fd = host_connect(c->s, c->n, c->q->flags);
	return c->fd < 0 ? c->fd : 0;
}

static const struct {
	int (*serve)(struct call *c);
	bool node;
} ops[GOFER_OP_COUNT] = {
	[GOFER_HELLO] = {do_hello, false},
	[GOFER_ATTACH] = {do_attach, false},
	[GOFER_WALK] = {do_walk, true},
	[GOFER_GETATTR] = {do_getattr, true},
	[GOFER_SETATTR] = {do_setattr, true},
	[GOFER_OPEN] = {do_open, true},
	[GOFER_CREATE] = {do_create, true},
	[GOFER_MKDIR] = {do_mkdir, true},
	[GOFER_MKNOD] = {do_mknod, true},
	[GOFER_SYMLINK] = {do_symlink, true},
	[GOFER_LINK] = {do_link, true},
	[GOFER_UNLINK] = {do_unlink, true},
	[GOFER_RMDIR] = {do_rmdir, true},
	[GOFER_RENAME] = {do_rename, true},
	[GOFER_READLINK] = {do_readlink, true},
	[GOFER_READDIR] = {do_readdir, true},
	[GOFER_READDIRS] = {session_readdirs, true},
	[GOFER_STATFS] = {do_statfs, true},
	[GOFER_GETXATTR] = {do_getxattr, true},
	[GOFER_SETXATTR] = {do_setxattr, true},
	[GOFER_LISTXATTR] = {do_listxattr, true},
	[GOFER_REMOVEXATTR] = {do_removexattr, true},
	[GOFER_FSYNC] = {do_fsync, true},
	[GOFER_ALLOCATE] = {do_allocate, true},
	[GOFER_TMPFILE] = {do_tmpfile, true},
	[GOFER_CONNECT] = {do_connect, true},
	[GOFER_CHANNEL] = {do_channel, false},
};

static int serve(struct call *c)
{
	const struct gofer_req *q = c->q;
	int ret = 0;

	if (!ops[q->op].serve)
		return -ENOSYS;
	name_copy(c->name, &q->name);
	name_copy(c->name2, &q->name2);
	for (uint32_t i = 0; ret == 0 && i < q->bind_count; i++)
		ret = node_introduce(c->s, q->binds[i].id, q->binds[i].parent, &q->binds[i].name,
				     q->binds[i].ino, q->binds[i].dev);
	if (ret == 0 && ops[q->op].node)
		ret = node_get(c->s, q->node, &c->n);
	if (ret == 0)
		ret = ops[q->op].serve(c);
	if (c->n)
		node_put(c->s, c->n);
	return ret;
}

static void forget(struct server *s, const struct gofer_req *q)
{
	for (uint32_t i = 0; i < q->id_count; i++)
		node_forget(s, gofer_id_at(q, i));
}

int session_serve(struct session *ss, size_t size)
{
	struct gofer_req q;
	struct gofer_reply p = {0};
	struct call c = {.ss = ss, .s = ss->server, .q = &q, .p = &p, .fd = -1};
	ssize_t n;

	if (gofer_req_decode(&q, ss->in, size) < 0)
		return -1;
	if (q.op == GOFER_FORGET) {
		forget(ss->server, &q);
		return 0;
	}
	p.op = q.op;
	p.tag = q.tag;
	if (q.op != GOFER_STOP)
		p.error = serve(&c);
	if (p.error < 0 && c.fd >= 0) {
		hc_close(c.fd);
		c.fd = -1;
	}
	p.has_fd = c.fd >= 0;
	n = gofer_reply_encode(&p, ss->out, sizeof(ss->out));
	if (n > 0)
		n = fdpass_send(ss->sock, ss->out, (size_t)n, &c.fd, p.has_fd, 0);
	if (c.fd >= 0)
		hc_close(c.fd);
	return n < 0 || q.op == GOFER_STOP ? -1 : 0;
}
