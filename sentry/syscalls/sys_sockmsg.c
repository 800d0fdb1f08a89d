/* sys_sockmsg.c: moving messages: send(2), recv(2) and their msghdr and vector forms. */
#include "sentry/syscalls/sock.h"

/* ---- sending ---- */

static int64_t send_try(struct sock_ctx *c, void *arg)
{
	return c->s->ops->send(c->s, &c->caller, arg);
}

/* A stream takes the message in parts until all is sent; other types take it whole. */
static int64_t send_all(struct sock_ctx *c, struct sock_msg *m)
{
	uint32_t flags = m->flags;
	bool nonblock = (flags & LINUX_MSG_DONTWAIT) || (c->f->flags & LINUX_O_NONBLOCK);
	int64_t n, total = 0;

	if (!c->s->ops->send)
		return -EOPNOTSUPP;
	for (;;) {
		n = sock_wait(c, send_try, m, EV_OUT | EV_WRNORM, c->s->sndtimeo, nonblock);
		if (n < 0)
			break;
		total += n;
		if (n == 0 || m->uio->resid == 0 || nonblock || c->s->type != LINUX_SOCK_STREAM)
			break;
	}
	if (n == -EPIPE && !(flags & LINUX_MSG_NOSIGNAL) && total == 0 && c->s->type == LINUX_SOCK_STREAM)
		(void)signal_send_task(c->t, LINUX_SIGPIPE, NULL);
	return total || n >= 0 ? total : n;
}

int64_t sys_sendto(struct task *t, const struct sysargs *a)
{
	struct sockaddr_buf addr = {0};
	struct sock_msg m = {.flags = arg_u32(a, 3)};
	struct sock_ctx c;
	struct uio u;
	int64_t ret = sock_begin(&c, t, arg_int(a, 0));

	if (ret < 0)
		return ret;
	ret = access_ok(arg_addr(a, 1), arg_u64(a, 2)) ? 0 : -EFAULT;
	if (ret == 0 && arg_addr(a, 4)) {
		ret = get_sockaddr(t, arg_addr(a, 4), arg_int(a, 5), &addr);
		m.name = &addr;
	}
	if (ret == 0) {
		uio_init_user(&u, &c.um, arg_addr(a, 1), MIN(arg_u64(a, 2), UIO_MAX_RW));
		m.uio = &u;
		ret = send_all(&c, &m);
	}
	sock_end(&c);
	return ret;
}

/* A msghdr as it came, checked. */
static int get_msghdr(struct task *t, uaddr_t src, struct linux_msghdr *h)
{
	int ret = copy_from_user(t, h, src, sizeof(*h));

	if (ret < 0)
		return ret;
	if (h->msg_namelen < 0)
		return -EINVAL;
	h->msg_namelen = MIN(h->msg_namelen, SOCKADDR_MAX);
	if (h->msg_iovlen > UIO_MAXIOV)
		return -EMSGSIZE;
	if (h->msg_controllen > INT32_MAX)
		return -ENOBUFS;
	return 0;
}

static int64_t send_one(struct sock_ctx *c, uaddr_t uhdr, uint32_t flags)
{
	struct sockaddr_buf addr = {0};
	struct sock_msg m = {.flags = flags};
	struct linux_msghdr h;
	struct iov_buf iov;
	struct cmsg_in in;
	struct uio u;
	int64_t ret = get_msghdr(c->t, uhdr, &h);

	if (ret == 0 && h.msg_name && h.msg_namelen) {
		ret = get_sockaddr(c->t, h.msg_name, h.msg_namelen, &addr);
		m.name = &addr;
	}
	if (ret == 0)
		ret = iov_import(c->t, h.msg_iov, h.msg_iovlen, &iov);
	if (ret < 0)
		return ret;
	uio_init_iov(&u, &c->um, iov.v, iov.count);
	m.uio = &u;
	ret = cmsg_import(c, h.msg_control, h.msg_controllen, &m, &in);
	if (ret == 0) {
		ret = send_all(c, &m);
		cmsg_import_done(&m, &in);
	}
	iov_release(&iov);
	return ret;
}

int64_t sys_sendmsg(struct task *t, const struct sysargs *a)
{
	struct sock_ctx c;
	int64_t ret = sock_begin(&c, t, arg_int(a, 0));

	if (ret < 0)
		return ret;
	ret = send_one(&c, arg_addr(a, 1), arg_u32(a, 2));
	sock_end(&c);
	return ret;
}

int64_t sys_sendmmsg(struct task *t, const struct sysargs *a)
{
	uint32_t i, count = MIN(arg_u32(a, 2), (uint32_t)UIO_MAXIOV);
	uaddr_t vec = arg_addr(a, 1);
	struct sock_ctx c;
	int64_t ret = sock_begin(&c, t, arg_int(a, 0));

	if (ret < 0)
		return ret;
	for (i = 0; i < count; i++) {
		uaddr_t at = vec + i * sizeof(struct linux_mmsghdr);
		uint32_t len;

		ret = send_one(&c, at, arg_u32(a, 3));
		if (ret < 0)
			break;
		len = (uint32_t)ret;
		ret = copy_to_user(t, at + offsetof(struct linux_mmsghdr, msg_len), &len, sizeof(len));
		if (ret < 0)
			break;
	}
	sock_end(&c);
	return i ? (int64_t)i : ret;
}

/* ---- receiving ---- */

struct recv_op {
	struct sock_msg *m;
	uint32_t flags; /* as the caller gave them; m's are overwritten by each try */
};

static int64_t recv_try(struct sock_ctx *c, void *arg)
{
	struct recv_op *o = arg;

	o->m->flags = o->flags;
	return c->s->ops->recv(c->s, &c->caller, o->m);
}

static int64_t recv_all(struct sock_ctx *c, struct sock_msg *m)
{
	struct recv_op o = {.m = m, .flags = m->flags};
	bool nonblock = (o.flags & LINUX_MSG_DONTWAIT) || (c->f->flags & LINUX_O_NONBLOCK);
	bool whole = (o.flags & LINUX_MSG_WAITALL) && !(o.flags & (LINUX_MSG_PEEK | LINUX_MSG_OOB)) &&
		     !nonblock && c->s->type == LINUX_SOCK_STREAM;
	int64_t n, total = 0;

	if (!c->s->ops->recv)
		return -EOPNOTSUPP;
	if (o.flags & LINUX_MSG_ERRQUEUE)
		nonblock = true;
	for (;;) {
		n = sock_wait(c, recv_try, &o, EV_IN | EV_RDNORM | EV_RDHUP, c->s->rcvtimeo, nonblock);
		if (n < 0)
			break;
		total += n;
		/* descriptors end a message: the rest belongs to another one */
		if (n == 0 || !whole || m->uio->resid == 0 || m->file_count)
			break;
	}
	return total || n >= 0 ? total : n;
}

int64_t sys_recvfrom(struct task *t, const struct sysargs *a)
{
	struct sockaddr_buf addr = {0};
	struct sock_msg m = {.flags = arg_u32(a, 3), .name = arg_addr(a, 4) ? &addr : NULL};
	struct sock_ctx c;
	struct uio u;
	int64_t ret = sock_begin(&c, t, arg_int(a, 0));

	if (ret < 0)
		return ret;
	ret = -EFAULT;
	if (access_ok(arg_addr(a, 1), arg_u64(a, 2))) {
		uio_init_user(&u, &c.um, arg_addr(a, 1), MIN(arg_u64(a, 2), UIO_MAX_RW));
		m.uio = &u;
		ret = recv_all(&c, &m);
		if (ret >= 0 && m.name) {
			int err = put_sockaddr(t, &addr, arg_addr(a, 4), arg_addr(a, 5));

			ret = err < 0 ? err : ret;
		}
	}
	sock_end(&c);
	return ret;
}

/* The results into the guest's msghdr. */
static int put_msghdr(struct sock_ctx *c, uaddr_t uhdr, const struct linux_msghdr *h, struct sock_msg *m,
		      uint32_t flags)
{
	uint64_t used;
	int32_t len, out_flags;
	int ret = 0;

	if (h->msg_name) {
		len = (int32_t)m->name->len;
		if (len && h->msg_namelen)
			ret = copy_to_user(c->t, h->msg_name, m->name->bytes, (size_t)MIN(len, h->msg_namelen));
		if (ret == 0)
			ret = copy_to_user(c->t, uhdr + offsetof(struct linux_msghdr, msg_namelen), &len,
					   sizeof(len));
	}
	if (ret < 0) {
		cmsg_drop(m);
		return ret;
	}
	ret = cmsg_export(c, m, h->msg_control, h->msg_controllen, flags & LINUX_MSG_CMSG_CLOEXEC, &used);
	if (ret < 0)
		return ret;
	out_flags = (int32_t)(m->flags & (LINUX_MSG_TRUNC | LINUX_MSG_CTRUNC | LINUX_MSG_EOR | LINUX_MSG_OOB |
					  LINUX_MSG_ERRQUEUE | LINUX_MSG_CMSG_CLOEXEC));
	if (flags & LINUX_MSG_CMSG_CLOEXEC)
		out_flags |= LINUX_MSG_CMSG_CLOEXEC;
	ret = copy_to_user(c->t, uhdr + offsetof(struct linux_msghdr, msg_flags), &out_flags,
			   sizeof(out_flags));
	if (ret == 0)
		ret = copy_to_user(c->t, uhdr + offsetof(struct linux_msghdr, msg_controllen), &used,
				   sizeof(used));
	return ret;
}

static int64_t recv_one(struct sock_ctx *c, uaddr_t uhdr, uint32_t flags)
{
	struct sockaddr_buf addr = {0};
	struct sock_msg m = {.flags = flags};
	struct linux_msghdr h;
	struct iov_buf iov;
	struct uio u;
	int64_t ret = get_msghdr(c->t, uhdr, &h);
	int err;

	if (ret == 0)
		ret = iov_import(c->t, h.msg_iov, h.msg_iovlen, &iov);
	if (ret < 0)
		return ret;
	uio_init_iov(&u, &c->um, iov.v, iov.count);
	m.uio = &u;
	m.name = &addr;
	ret = h.msg_control ? cmsg_prepare(h.msg_controllen, &m) : 0;
	if (ret < 0)
		goto out;
	ret = recv_all(c, &m);
	if (ret < 0) {
		cmsg_drop(&m);
		goto out;
	}
	err = put_msghdr(c, uhdr, &h, &m, flags);
	ret = err < 0 ? err : ret;
out:
	iov_release(&iov);
	return ret;
}

int64_t sys_recvmsg(struct task *t, const struct sysargs *a)
{
	struct sock_ctx c;
	int64_t ret = sock_begin(&c, t, arg_int(a, 0));

	if (ret < 0)
		return ret;
	ret = recv_one(&c, arg_addr(a, 1), arg_u32(a, 2));
	sock_end(&c);
	return ret;
}

static int64_t recv_many(struct sock_ctx *c, uaddr_t vec, uint32_t count, uint32_t flags, uint64_t deadline)
{
	int64_t ret = 0;
	uint32_t i;

	for (i = 0; i < count; i++) {
		uaddr_t at = vec + i * sizeof(struct linux_mmsghdr);
		uint32_t len;

		ret = recv_one(c, at, flags & ~(uint32_t)LINUX_MSG_WAITFORONE);
		if (ret < 0)
			break;
		len = (uint32_t)ret;
		ret = copy_to_user(c->t, at + offsetof(struct linux_mmsghdr, msg_len), &len, sizeof(len));
		if (ret < 0)
			break;
		if (flags & LINUX_MSG_WAITFORONE)
			flags |= LINUX_MSG_DONTWAIT;
		if (deadline &&
		    clock_monotonic_ns() >= deadline) { /* looked at between messages only, as Linux */
			i++;
			break;
		}
	}
	return i ? (int64_t)i : ret;
}

int64_t sys_recvmmsg(struct task *t, const struct sysargs *a)
{
	uint32_t count = MIN(arg_u32(a, 2), (uint32_t)UIO_MAXIOV);
	struct linux_timespec ts;
	uint64_t deadline = 0;
	struct sock_ctx c;
	int64_t ret = 0;

	if (arg_addr(a, 4)) {
		ret = get_timespec(t, arg_addr(a, 4), &ts);
		if (ret < 0)
			return ret;
		deadline = deadline_after(timespec_ns(&ts));
	}
	ret = sock_begin(&c, t, arg_int(a, 0));
	if (ret < 0)
		return ret;
	ret = recv_many(&c, arg_addr(a, 1), count, arg_u32(a, 3), deadline);
	sock_end(&c);
	if (ret > 0 && deadline) {
		deadline_left(deadline, &ts);
		if (copy_to_user(t, arg_addr(a, 4), &ts, sizeof(ts)) < 0)
			ret = -EFAULT;
	}
	return ret;
}
