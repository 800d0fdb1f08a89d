/* sys_socket.c: making, naming and configuring sockets: socket(2), bind(2), connect(2), accept(2), sockopt(2).
 * Messages are in sys_sockmsg.c. */
#include "sentry/socket/inet.h"
#include "sentry/syscalls/sock.h"

/* Whose stack an interface is to move to. */
static int find_stack(const struct sock_caller *c, bool by_fd, int32_t n, struct net_stack **out)
{
	struct task *t = c->task;
	struct file *f = by_fd ? sys_file(t, n) : NULL;
	struct ns *ns;
	int ret;

	if (by_fd && !f)
		return -EBADF;
	ret = ns_net_find(t, f, n, &ns);
	if (f)
		file_put(f);
	if (ret < 0)
		return ret;
	*out = __atomic_load_n(&ns->priv, __ATOMIC_ACQUIRE);
	inet_stack_get(*out);
	ns_put(ns);
	return 0;
}

void sock_caller_init(struct sock_ctx *c, struct task *t)
{
	c->t = t;
	c->at = task_at(t, NULL);
	c->um = task_usermem(t);
	c->caller = (struct sock_caller){
		.at = &c->at,
		.pid = t->process->tgid,
		.um = &c->um,
		.net_ns = t->net_ns,
		.net_stack = __atomic_load_n(&t->net_ns->priv, __ATOMIC_ACQUIRE),
		.find_stack = find_stack,
		.task = t,
	};
}

int sock_begin(struct sock_ctx *c, struct task *t, int fd)
{
	int ret;

	c->f = sys_file(t, fd);
	if (!c->f)
		return -EBADF;
	ret = file_socket(c->f, &c->s);
	if (ret < 0) {
		file_put(c->f);
		return ret;
	}
	sock_caller_init(c, t);
	return 0;
}

int get_sockaddr(struct task *t, uaddr_t src, int32_t len, struct sockaddr_buf *out)
{
	if (len < 0 || len > SOCKADDR_MAX)
		return -EINVAL;
	memset(out, 0, sizeof(*out));
	out->len = (uint32_t)len;
	return len ? copy_from_user(t, out->bytes, src, (size_t)len) : 0;
}

int put_sockaddr(struct task *t, const struct sockaddr_buf *a, uaddr_t dst, uaddr_t ulen)
{
	int32_t room, len = (int32_t)MIN(a->len, (uint32_t)SOCKADDR_MAX);
	int ret = copy_from_user(t, &room, ulen, sizeof(room));

	if (ret < 0)
		return ret;
	if (room < 0)
		return -EINVAL;
	if (room && len)
		ret = copy_to_user(t, dst, a->bytes, (size_t)MIN(room, len));
	return ret < 0 ? ret : copy_to_user(t, ulen, &len, sizeof(len));
}

int64_t sock_wait(struct sock_ctx *c, sock_try op, void *arg, uint32_t events, uint64_t timeout, bool nonblock)
{
	int64_t ret = op(c, arg);
	uint64_t deadline;
	struct waiter w;
	int err;

	if (LIKELY(ret != -EAGAIN) || nonblock)
		return ret;
	deadline = timeout ? deadline_after(timeout) : 0;
	task_waiter(c->t, &w, events | EV_ERR | EV_HUP);
	waitq_add(c->f->wq, &w);
	while ((ret = op(c, arg)) == -EAGAIN) {
		err = task_block(c->t, deadline);
		if (err == -ETIMEDOUT)
			break; /* EAGAIN it stays */
		if (err < 0) {
			ret = timeout ? -EINTR : err; /* a restart would begin the time anew */
			break;
		}
	}
	waitq_del(c->f->wq, &w);
	return ret;
}

static bool nonblocking(const struct sock_ctx *c)
{
	return __atomic_load_n(&c->f->flags, __ATOMIC_RELAXED) & LINUX_O_NONBLOCK;
}

#define TYPE_MASK 0xf

static int check_type_flags(uint32_t type)
{
	return type & ~(uint32_t)(TYPE_MASK | LINUX_SOCK_CLOEXEC | LINUX_SOCK_NONBLOCK) ? -EINVAL : 0;
}

int64_t sys_socket(struct task *t, const struct sysargs *a)
{
	uint32_t type = arg_u32(a, 1);
	struct sock_ctx c;
	struct file *f;
	int ret = check_type_flags(type);

	if (ret < 0)
		return ret;
	sock_caller_init(&c, t);
	ret = socket_create(arg_int(a, 0), (int)(type & TYPE_MASK), arg_int(a, 2), &c.caller, &c.s);
	if (ret < 0)
		return ret;
	ret = socket_file(t->kernel->vfs, c.s, &c.caller, type & LINUX_O_NONBLOCK, &f);
	if (ret < 0)
		return ret;
	return sys_install(t, f, type & LINUX_SOCK_CLOEXEC);
}

int64_t sys_socketpair(struct task *t, const struct sysargs *a)
{
	uint32_t type = arg_u32(a, 1);
	struct socket *s[2];
	struct file *f[2];
	struct sock_ctx c;
	int ret = check_type_flags(type);

	if (ret < 0)
		return ret;
	sock_caller_init(&c, t);
	ret = socket_pair(arg_int(a, 0), (int)(type & TYPE_MASK), arg_int(a, 2), &c.caller, s);
	if (ret < 0)
		return ret;
	ret = socket_file(t->kernel->vfs, s[0], &c.caller, type & LINUX_O_NONBLOCK, &f[0]);
	if (ret < 0) {
		s[1]->ops->release(s[1]);
		return ret;
	}
	ret = socket_file(t->kernel->vfs, s[1], &c.caller, type & LINUX_O_NONBLOCK, &f[1]);
	if (ret < 0) {
		file_put(f[0]);
		return ret;
	}
	return sys_install_pair(t, f, type & LINUX_SOCK_CLOEXEC, arg_addr(a, 3));
}

int64_t sys_bind(struct task *t, const struct sysargs *a)
{
	struct sockaddr_buf addr;
	struct sock_ctx c;
	int ret = sock_begin(&c, t, arg_int(a, 0));

	if (ret < 0)
		return ret;
	ret = get_sockaddr(t, arg_addr(a, 1), arg_int(a, 2), &addr);
	if (ret == 0)
		ret = c.s->ops->bind ? c.s->ops->bind(c.s, &c.caller, &addr) : -EOPNOTSUPP;
	sock_end(&c);
	return ret;
}

int64_t sys_listen(struct task *t, const struct sysargs *a)
{
	int backlog = arg_int(a, 1), ret;
	struct sock_ctx c;

	ret = sock_begin(&c, t, arg_int(a, 0));
	if (ret < 0)
		return ret;
	if ((uint32_t)backlog > 4096)
		backlog = 4096; /* net.core.somaxconn; negative means much */
	ret = c.s->ops->listen ? c.s->ops->listen(c.s, &c.caller, backlog) : -EOPNOTSUPP;
	sock_end(&c);
	return ret;
}

/* Connecting: begun once; then waiting for the result. */
struct connect_op {
	const struct sockaddr_buf *addr;
	bool begun, in_progress;
};

static int64_t connect_try(struct sock_ctx *c, void *arg)
{
	struct connect_op *o = arg;
	int ret;

	if (o->begun) {
		if (!(c->s->ops->ready(c->s) & (EV_OUT | EV_ERR | EV_HUP)))
			return -EAGAIN;
		return c->s->ops->connect_result(c->s);
	}
	ret = c->s->ops->connect(c->s, &c->caller, o->addr, c->f->flags);
	if ((ret == -EINPROGRESS || ret == -EAGAIN) && !nonblocking(c) && c->s->ops->connect_result) {
		o->begun = true;
		o->in_progress = ret == -EINPROGRESS;
		return -EAGAIN;
	}
	return ret;
}

int64_t sys_connect(struct task *t, const struct sysargs *a)
{
	struct sockaddr_buf addr;
	struct connect_op o = {.addr = &addr};
	struct sock_ctx c;
	int64_t ret = sock_begin(&c, t, arg_int(a, 0));

	if (ret < 0)
		return ret;
	ret = get_sockaddr(t, arg_addr(a, 1), arg_int(a, 2), &addr);
	if (ret == 0) {
		ret = c.s->ops->connect ? sock_wait(&c, connect_try, &o, EV_OUT, c.s->sndtimeo, nonblocking(&c))
					: -EOPNOTSUPP;
		if (ret == -EAGAIN && o.in_progress)
			ret = -EINPROGRESS; /* SO_SNDTIMEO ran out */
	}
	sock_end(&c);
	return ret;
}

struct accept_op {
	struct socket *new;
	struct sockaddr_buf peer;
};

static int64_t accept_try(struct sock_ctx *c, void *arg)
{
	struct accept_op *o = arg;

	return c->s->ops->accept(c->s, &c->caller, &o->new, &o->peer);
}

static int64_t do_accept(struct task *t, int fd, uaddr_t addr, uaddr_t len, uint32_t flags)
{
	struct accept_op o = {.new = NULL};
	struct sock_ctx c;
	struct file *f;
	int64_t ret;

	if (flags & ~(uint32_t)(LINUX_SOCK_CLOEXEC | LINUX_SOCK_NONBLOCK))
		return -EINVAL;
	ret = sock_begin(&c, t, fd);
	if (ret < 0)
		return ret;
	ret = -EOPNOTSUPP;
	if (c.s->ops->accept)
		ret = sock_wait(&c, accept_try, &o, EV_IN, c.s->rcvtimeo, nonblocking(&c));
	if (ret == 0)
		ret = socket_file(t->kernel->vfs, o.new, &c.caller, flags & LINUX_O_NONBLOCK, &f);
	sock_end(&c);
	if (ret < 0)
		return ret;
	if (addr) {
		ret = put_sockaddr(t, &o.peer, addr, len);
		if (ret < 0) {
			file_put(f);
			return ret;
		}
	}
	return sys_install(t, f, flags & LINUX_SOCK_CLOEXEC);
}

int64_t sys_accept(struct task *t, const struct sysargs *a)
{
	return do_accept(t, arg_int(a, 0), arg_addr(a, 1), arg_addr(a, 2), 0);
}

int64_t sys_accept4(struct task *t, const struct sysargs *a)
{
	return do_accept(t, arg_int(a, 0), arg_addr(a, 1), arg_addr(a, 2), arg_u32(a, 3));
}

static int64_t do_getname(struct task *t, const struct sysargs *a, bool peer)
{
	struct sockaddr_buf addr = {0};
	struct sock_ctx c;
	int ret = sock_begin(&c, t, arg_int(a, 0));

	if (ret < 0)
		return ret;
	ret = c.s->ops->getname ? c.s->ops->getname(c.s, peer, &addr) : -EOPNOTSUPP;
	if (ret == 0)
		ret = put_sockaddr(t, &addr, arg_addr(a, 1), arg_addr(a, 2));
	sock_end(&c);
	return ret;
}

int64_t sys_getsockname(struct task *t, const struct sysargs *a)
{
	return do_getname(t, a, false);
}

int64_t sys_getpeername(struct task *t, const struct sysargs *a)
{
	return do_getname(t, a, true);
}

int64_t sys_shutdown(struct task *t, const struct sysargs *a)
{
	int how = arg_int(a, 1), ret;
	struct sock_ctx c;

	ret = sock_begin(&c, t, arg_int(a, 0));
	if (ret < 0)
		return ret;
	if (how < LINUX_SHUT_RD || how > LINUX_SHUT_RDWR)
		ret = -EINVAL;
	else
		ret = c.s->ops->shutdown ? c.s->ops->shutdown(c.s, how) : -EOPNOTSUPP;
	sock_end(&c);
	return ret;
}

#define OPT_FAST 128
#define OPT_MAX	 (64U * 1024)

int64_t sys_setsockopt(struct task *t, const struct sysargs *a)
{
	int32_t len = arg_int(a, 4);
	uint64_t fast[OPT_FAST / 8];
	void *val = fast;
	struct sock_ctx c;
	int ret = sock_begin(&c, t, arg_int(a, 0));

	if (ret < 0)
		return ret;
	ret = len < 0 ? -EINVAL : (uint32_t)len > OPT_MAX ? -ENOBUFS : 0;
	if (ret < 0)
		goto out;
	if (len > OPT_FAST) {
		val = kmalloc((size_t)len);
		ret = -ENOMEM;
		if (!val)
			goto out;
	}
	ret = len ? copy_from_user(t, val, arg_addr(a, 3), (size_t)len) : 0;
	if (ret == 0)
		ret = c.s->ops->setsockopt ? c.s->ops->setsockopt(c.s, &c.caller, arg_int(a, 1), arg_int(a, 2),
								  val, (uint32_t)len)
					   : -ENOPROTOOPT;
	if (val != fast)
		kfree(val);
out:
	sock_end(&c);
	return ret;
}

/* SO_PEERCRED speaks of ids as the caller's namespaces number them; families keep kernel ids. */
int64_t sys_getsockopt(struct task *t, const struct sysargs *a)
{
	uint64_t fast[OPT_FAST / 8] = {0};
	void *val = fast;
	struct sock_ctx c;
	int32_t ulen;
	uint32_t len, room;
	int ret = sock_begin(&c, t, arg_int(a, 0));

	if (ret < 0)
		return ret;
	ret = copy_from_user(t, &ulen, arg_addr(a, 4), sizeof(ulen));
	if (ret == 0 && ulen < 0)
		ret = -EINVAL;
	if (ret < 0)
		goto out;
	len = room = MIN((uint32_t)ulen, OPT_MAX);
	if (len > OPT_FAST) {
		val = kmalloc(len);
		ret = -ENOMEM;
		if (!val)
			goto out;
	}
	if (arg_int(a, 1) == LINUX_SOL_PACKET && len) /* PACKET_HDRLEN asks about a version */
		ret = copy_from_user(t, val, arg_addr(a, 3), MIN(len, 4u));
	if (ret < 0)
		goto free;
	ret = c.s->ops->getsockopt
		      ? c.s->ops->getsockopt(c.s, &c.caller, arg_int(a, 1), arg_int(a, 2), val, &len)
		      : -ENOPROTOOPT;
	ulen = (int32_t)MIN(len, (uint32_t)INT32_MAX);
	if (ret == 0 && len)
		ret = copy_to_user(t, arg_addr(a, 3), val, MIN(len, room));
	if (ret == 0 || ret == -ERANGE) { /* ERANGE tells the room needed */
		int err = copy_to_user(t, arg_addr(a, 4), &ulen, sizeof(ulen));

		ret = err < 0 ? err : ret;
	}
free:
	if (val != fast)
		kfree(val);
out:
	sock_end(&c);
	return ret;
}
