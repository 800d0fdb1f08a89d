/* socket.c: the registry of families, and sockets as files: read and write are recv and send without a
 * message header. */
#include "sentry/socket/socket.h"

#include "sentry/socket/filter.h"

#include "platform/abi/errno.h"
#include "platform/abi/fcntl.h"
#include "platform/abi/ioctl.h"
#include "platform/abi/socket.h"
#include "platform/base/arena.h"

struct socket_registry {
	const struct socket_family *families[LINUX_AF_MAX]; /* [I] after boot */
	void *state[LINUX_AF_MAX];			    /* [I] after boot */
	const struct socket_net_ops *net;		    /* [I] after boot; NULL: no network stack */
};

static struct socket_registry *registry(void)
{
	struct socket_registry *r = arena_root(ROOT_SOCKET);

	if (!r) {
		r = kmalloc(sizeof(*r));
		BUG_ON(!r); /* boot, with an empty arena */
		arena_set_root(ROOT_SOCKET, r);
	}
	return r;
}

void socket_register(const struct socket_family *f)
{
	BUG_ON(f->family >= LINUX_AF_MAX);
	registry()->families[f->family] = f;
}

void *socket_family_state(int family)
{
	return registry()->state[family];
}

void socket_family_set_state(int family, void *state)
{
	registry()->state[family] = state;
}

static const struct socket_family *find_family(int family)
{
	if (family < 0 || family >= LINUX_AF_MAX)
		return NULL;
	return registry()->families[family];
}

static int check_type(int type)
{
	return type < 0 || type > LINUX_SOCK_PACKET ? -EINVAL : 0;
}

int socket_create(int family, int type, int protocol, const struct sock_caller *c, struct socket **out)
{
	const struct socket_family *f;
	int ret;

	if (family < 0 || family >= LINUX_AF_MAX)
		return -EAFNOSUPPORT;
	ret = check_type(type);
	if (ret < 0)
		return ret;
	f = find_family(family);
	if (!f)
		return -EAFNOSUPPORT;
	return f->create(type, protocol, c, out);
}

int socket_pair(int family, int type, int protocol, const struct sock_caller *c, struct socket *out[2])
{
	const struct socket_family *f;
	int ret;

	if (family < 0 || family >= LINUX_AF_MAX)
		return -EAFNOSUPPORT;
	ret = check_type(type);
	if (ret < 0)
		return ret;
	f = find_family(family);
	if (!f)
		return -EAFNOSUPPORT;
	if (!f->pair)
		return -EOPNOTSUPP;
	return f->pair(type, protocol, c, out);
}

void socket_init(struct socket *s, const struct socket_ops *ops, int family, int type, int protocol,
		 const struct sock_caller *c)
{
	s->ops = ops;
	s->family = (uint16_t)family;
	s->type = (uint16_t)type;
	s->protocol = (uint16_t)protocol;
	s->sndbuf = s->rcvbuf = SOCKET_BUF_DEFAULT;
	s->rcvlowat = 1;
	s->creator_pid = c ? c->pid : 0;
	waitq_init(&s->wq);
	mutex_init(&s->filter_lock, RANK_FILTER);
	refs_init(&s->refs);
}

static ssize_t sockfile_read(struct file *f, struct uio *dst, uint64_t *pos)
{
	struct socket *s = f->priv;
	struct vfs_at at = {.cred = f->cred};
	struct sock_caller c = {.at = &at, .pid = s->creator_pid, .um = dst->um};
	struct sock_msg m = {.uio = dst};

	(void)pos;
	if (dst->resid == 0)
		return 0;
	return s->ops->recv(s, &c, &m);
}

static ssize_t sockfile_write(struct file *f, struct uio *src, uint64_t *pos)
{
	struct socket *s = f->priv;
	struct vfs_at at = {.cred = f->cred};
	struct sock_caller c = {.at = &at, .pid = s->creator_pid, .um = src->um};
	struct sock_msg m = {.uio = src};

	(void)pos;
	return s->ops->send(s, &c, &m);
}

static uint32_t sockfile_ready(struct file *f)
{
	struct socket *s = f->priv;

	return s->ops->ready(s);
}

static int64_t sockfile_ioctl(struct file *f, uint32_t cmd, uint64_t arg, const struct usermem *um,
			      const struct cred *cred)
{
	struct socket *s = f->priv;

	const struct socket_net_ops *net = registry()->net;
	int64_t ret = s->ops->ioctl ? s->ops->ioctl(s, cmd, arg, um, cred) : -ENOTTY;

	return ret == -ENOTTY && net && s->stack ? net->ioctl(s->stack, cmd, arg, um, cred) : ret;
}

static int sockfile_mappable(struct file *f, struct mappable **out)
{
	struct socket *s = f->priv;

	return s->ops->mappable ? s->ops->mappable(s, out) : -ENODEV;
}

static uint64_t sockfile_timeout(struct file *f, bool write)
{
	struct socket *s = f->priv;

	return __atomic_load_n(write ? &s->sndtimeo : &s->rcvtimeo, __ATOMIC_RELAXED);
}

static int sockfile_set_flags(struct file *f, uint32_t flags)
{
	(void)f;
	(void)flags;
	return 0;
}

static void sockfile_release(struct file *f)
{
	struct socket *s = f->priv;
	struct net_stack *stack = s->stack;

	socket_filter_drop(s);
	s->ops->release(s);
	if (stack)
		registry()->net->put(stack);
}

static const struct file_ops socket_file_ops = {
	.read = sockfile_read,
	.write = sockfile_write,
	.ready = sockfile_ready,
	.ioctl = sockfile_ioctl,
	.timeout = sockfile_timeout,
	.mappable = sockfile_mappable,
	.set_flags = sockfile_set_flags,
	.release = sockfile_release,
	.is_socket = true,
	.name = "socket",
};

void socket_set_net_ops(const struct socket_net_ops *ops)
{
	registry()->net = ops;
}

int socket_file(struct vfs *v, struct socket *s, const struct sock_caller *c, uint32_t flags, struct file **out)
{
	const struct socket_net_ops *net = registry()->net;
	int ret = file_create_anon(v, &socket_file_ops, s, LINUX_O_RDWR | (flags & LINUX_O_NONBLOCK), 0140777,
				   c->at->cred, s->wait ? s->wait : &s->wq, out);

	if (ret < 0) {
		s->ops->release(s);
		return ret;
	}
	s->file = *out;
	s->ino = (*out)->inode->ino;
	if (net && c->net_stack) {
		net->get(c->net_stack);
		s->stack = c->net_stack;
	}
	return 0;
}

int file_socket(struct file *f, struct socket **out)
{
	if (!f->ops->is_socket)
		return -ENOTSOCK;
	*out = f->priv;
	return 0;
}
