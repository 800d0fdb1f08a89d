/* sock.h: what the socket handlers share: the caller, addresses, control messages, and the one waiting loop. */
#pragma once

#include "platform/abi/socket.h"
#include "sentry/socket/socket.h"
#include "sentry/syscalls/internal.h"

#define LINUX_SCM_CREDENTIALS 2
#define SCM_MAX_FDS	      253

/* The calling task as the socket room sees it; lives as long as the handler's frame. */
struct sock_ctx {
	struct task *t;
	struct file *f; /* reference */
	struct socket *s;
	struct vfs_at at;
	struct usermem um;
	struct sock_caller caller;
};
void sock_caller_init(struct sock_ctx *c, struct task *t);
/* -EBADF, -ENOTSOCK */
MUST_CHECK int sock_begin(struct sock_ctx *c, struct task *t, int fd);
static inline void sock_end(struct sock_ctx *c)
{
	file_put(c->f);
}

MUST_CHECK int get_sockaddr(struct task *t, uaddr_t src, int32_t len, struct sockaddr_buf *out);
/* As accept(2) and recvfrom(2) give addresses: shortened to *ulen, which then holds the true length. */
MUST_CHECK int put_sockaddr(struct task *t, const struct sockaddr_buf *a, uaddr_t dst, uaddr_t ulen);

/* One operation that says -EAGAIN while it would block. */
typedef int64_t (*sock_try)(struct sock_ctx *c, void *arg);
int64_t sock_wait(struct sock_ctx *c, sock_try op, void *arg, uint32_t events, uint64_t timeout, bool nonblock);

/* Control messages, cmsg.c. */
struct cmsg_in {
	struct file **files; /* references */
	void *raw;
};
MUST_CHECK int cmsg_import(struct sock_ctx *c, uaddr_t control, uint64_t len, struct sock_msg *m,
			   struct cmsg_in *in);
void cmsg_import_done(struct sock_msg *m, struct cmsg_in *in);
/* Room for what recv hands over; NULL control: none. */
MUST_CHECK int cmsg_prepare(uint64_t controllen, struct sock_msg *m);
/* Writes it out and drops the references; *used: msg_controllen. */
MUST_CHECK int cmsg_export(struct sock_ctx *c, struct sock_msg *m, uaddr_t control, uint64_t size, bool cloexec,
			   uint64_t *used);
void cmsg_drop(struct sock_msg *m);
