/* socket.h: sockets as the system calls see them. Families register; AF_UNIX lives in socket/unix, AF_INET
 * and AF_INET6 come with the network stack (until then: -EAFNOSUPPORT), AF_NETLINK in socket/netlink. No
 * operation waits: -EAGAIN, and the caller waits on the file. Addresses are kernel copies. */
#pragma once

#include "sentry/vfs/file.h"

struct socket;
struct sock_filter_prog;
struct strbuf;
struct net_stack;

#define SOCKADDR_MAX 128

struct sockaddr_buf {
	uint32_t len;
	union {
		uint16_t family;
		uint8_t bytes[SOCKADDR_MAX];
	};
};

/* One message; control: the raw cmsg bytes, already copied in (send), or room (recv). */
struct sock_msg {
	struct uio *uio;
	struct sockaddr_buf *name; /* send: destination, len 0: none; recv: filled in. NULL: not wanted */
	struct file **files;	   /* send: SCM_RIGHTS, borrowed, file_count becomes 0 once they are on their
				    * way (so that a second call with the rest of the data doesn't repeat
				    * them); recv: references handed over */
	uint32_t file_count, file_max;
	bool have_cred;	  /* send: SCM_CREDENTIALS given; recv: to be shown */
	int32_t cred_pid; /* ids as kernel ids and initial-namespace pids */
	uint32_t cred_uid, cred_gid;
	void *control; /* other control data, protocol's own form of cmsgs */
	size_t control_len, control_max;
	uint32_t flags; /* in: LINUX_MSG_*; out (recv): MSG_TRUNC, MSG_CTRUNC, MSG_EOR */
};

/* The caller, for operations that look names up or record credentials. All borrowed. */
struct sock_caller {
	const struct vfs_at *at;
	int32_t pid; /* in the initial namespace */
	const struct usermem *um;
	void *net_ns;		     /* who it is: to be compared */
	struct net_stack *net_stack; /* its network stack */
	/* The stack of a network namespace, by a descriptor of it or a process of the caller's; a reference.
	 * -EINVAL, -ESRCH. NULL: nobody knows */
	int (*find_stack)(const struct sock_caller *c, bool by_fd, int32_t n, struct net_stack **out);
	void *task; /* find_stack's */
};

struct socket_ops {
	int (*bind)(struct socket *s, const struct sock_caller *c, const struct sockaddr_buf *a);
	int (*listen)(struct socket *s, const struct sock_caller *c, int backlog);
	/* -EAGAIN / -EINPROGRESS: wait for EV_OUT, then connect_result */
	int (*connect)(struct socket *s, const struct sock_caller *c, const struct sockaddr_buf *a,
		       uint32_t file_flags);
	int (*connect_result)(struct socket *s);
	/* a new socket, not yet a file; -EAGAIN */
	int (*accept)(struct socket *s, const struct sock_caller *c, struct socket **out,
		      struct sockaddr_buf *peer);
	int (*getname)(struct socket *s, bool peer, struct sockaddr_buf *out);
	ssize_t (*send)(struct socket *s, const struct sock_caller *c, struct sock_msg *m);
	ssize_t (*recv)(struct socket *s, const struct sock_caller *c, struct sock_msg *m);
	int (*shutdown)(struct socket *s, int how);
	int (*setsockopt)(struct socket *s, const struct sock_caller *c, int level, int name, const void *val,
			  uint32_t len);
	int (*getsockopt)(struct socket *s, const struct sock_caller *c, int level, int name, void *val,
			  uint32_t *len);
	uint32_t (*ready)(struct socket *s);
	int64_t (*ioctl)(struct socket *s, uint32_t cmd, uint64_t arg, const struct usermem *um,
			 const struct cred *cred);
	/* mmap(2); NULL: -ENODEV */
	int (*mappable)(struct socket *s, struct mappable **out);
	void (*release)(struct socket *s); /* frees s */
};

/* Embedded at the head of the family's own. */
struct socket {
	const struct socket_ops *ops;
	uint16_t family, type, protocol; /* [I] */
	struct waitq wq;
	uint64_t rcvtimeo, sndtimeo; /* [a] ns, 0: none (SO_RCVTIMEO, SO_SNDTIMEO) */
	struct refs refs;
	uint64_t ino;		 /* [I] once a file exists */
	struct file *file;	 /* [I] once a file exists: borrowed, it holds the socket */
	struct waitq *wait;	 /* [I] NULL: wq; else what poll(2) and sleepers wait on */
	struct net_stack *stack; /* [I] once a file exists: the creator's, a reference */
	/* what sockopt.c serves for every family */
	uint64_t options;			  /* [a] bit n: the boolean option SO_n */
	int32_t sndbuf, rcvbuf;			  /* [a] as getsockopt shows them */
	int32_t error;				  /* [a] SO_ERROR, positive */
	int32_t linger, priority, mark, rcvlowat; /* [a] linger: seconds, with options' bit SO_LINGER */
	int32_t creator_pid;			  /* [I] for credentials of a plain write(2) */
	struct mutex filter_lock;		  /* rank FILTER */
	struct sock_filter_prog *filter;	  /* [filter_lock] SO_ATTACH_FILTER; filter.h */
	bool filter_fixed;			  /* [filter_lock] SO_LOCK_FILTER */
};
#define SOCKET_BUF_DEFAULT 212992
#define SOCKET_BUF_MAX	   212992 /* net.core.[rw]mem_max */
static inline bool socket_option(const struct socket *s, int name)
{
	return (__atomic_load_n(&s->options, __ATOMIC_RELAXED) >> name & 1) != 0;
}
/* Returns and clears SO_ERROR. */
static inline int socket_take_error(struct socket *s)
{
	if (!__atomic_load_n(&s->error, __ATOMIC_RELAXED))
		return 0;
	return __atomic_exchange_n(&s->error, 0, __ATOMIC_ACQ_REL);
}
/* A family's constructor calls it on its zeroed object. */
void socket_init(struct socket *s, const struct socket_ops *ops, int family, int type, int protocol,
		 const struct sock_caller *c);
/* SOL_SOCKET options that every family has; a family's own setsockopt and getsockopt end with these.
 * -ENOPROTOOPT. In getsockopt, *len is the room, then what was written. */
MUST_CHECK int socket_setsockopt_generic(struct socket *s, const struct sock_caller *c, int level, int name,
					 const void *val, uint32_t len);
MUST_CHECK int socket_getsockopt_generic(struct socket *s, const struct sock_caller *c, int level, int name,
					 void *val, uint32_t *len);
/* An option's value into the caller's room, truncated as getsockopt(2) does. 0. */
int socket_option_put(void *val, uint32_t *len, const void *v, uint32_t n);

/* recv: a control message behind those that m->control holds; MSG_CTRUNC where it doesn't fit. */
void socket_cmsg_put(struct sock_msg *m, int level, int type, const void *data, uint64_t len);
/* SO_TIMESTAMP, SO_TIMESTAMPNS: of s asks; CLOCK_REALTIME. */
void socket_cmsg_stamp(struct socket *s, uint64_t ns, struct sock_msg *m);

struct socket_family {
	uint16_t family;
	int (*create)(int type, int protocol, const struct sock_caller *c, struct socket **out);
	/* socketpair(2); NULL: -EOPNOTSUPP */
	int (*pair)(int type, int protocol, const struct sock_caller *c, struct socket *out[2]);
};
void socket_register(const struct socket_family *f); /* boot */
/* State of a family that it finds again (AF_UNIX: names, descriptors in flight); NULL before it is set. */
void *socket_family_state(int family);
void socket_family_set_state(int family, void *state);
MUST_CHECK int socket_create(int family, int type, int protocol, const struct sock_caller *c,
			     struct socket **out);
MUST_CHECK int socket_pair(int family, int type, int protocol, const struct sock_caller *c,
			   struct socket *out[2]);
/* The file takes s over. flags: O_NONBLOCK, O_CLOEXEC is the caller's. */
MUST_CHECK int socket_file(struct vfs *v, struct socket *s, const struct sock_caller *c, uint32_t flags,
			   struct file **out);
/* -ENOTSOCK */
MUST_CHECK int file_socket(struct file *f, struct socket **out);

/* What the room asks of the network stack without knowing it: set by inet_init. */
struct socket_net_ops {
	void (*get)(struct net_stack *st);
	void (*put)(struct net_stack *st);
	/* netdevice(7): ioctls of interfaces, on sockets of any family. -ENOTTY: none of these */
	int64_t (*ioctl)(struct net_stack *st, uint32_t cmd, uint64_t arg, const struct usermem *um,
			 const struct cred *cred);
};
void socket_set_net_ops(const struct socket_net_ops *ops);

extern const struct socket_family unix_family, netlink_family;
/* AF_PACKET; -ENOMEM */
MUST_CHECK int packet_init(void);
/* /proc/net/packet */
void packet_show(struct net_stack *st, struct strbuf *out);
/* A stack's watcher (net_set_watch): tells NETLINK_ROUTE's groups. */
struct net_event;
void netlink_on_event(struct net_stack *st, const struct net_event *e);
/* Boot: registers them; -ENOMEM. */
MUST_CHECK int unix_init(void);
MUST_CHECK int netlink_init(void);
/* /proc/net/unix: the sockets of a network namespace (as sock_caller.net_ns) */
void unix_show(void *net_ns, struct strbuf *out);
