/* internal.h: AF_UNIX sockets (unix(7)) as the files of this room see them.
 *
 * A stream's bytes lie in a ring that belongs to the receiver; the sender copies straight into it.
 * Datagrams and seqpackets are messages in a list. What travels besides data (descriptors, credentials) is
 * a struct unix_scm attached to a message or to a range of the stream.
 *
 * Locks: a socket's own (rank SOCKET, pairs by address) guards what is received, its state and its peer.
 * unix_state's names_lock is below it; its gc_lock is above it (see gc.c). A socket is counted by s.refs:
 * its file or accept queue has one, a connected peer one, each message it sent one. */
#pragma once

#include "platform/abi/socket.h"
#include "sentry/socket/socket.h"

#define UNIX_RCV_SHUT 1u
#define UNIX_SND_SHUT 2u
#define UNIX_ALL_SHUT 3u
/* What a queued message or record costs its sender besides its bytes. */
#define UNIX_OVERHEAD	  512u
#define UNIX_DGRAM_QLEN	  512u /* net.unix.max_dgram_qlen */
#define UNIX_SCM_MAX_FD	  253u
#define UNIX_INFLIGHT_MAX 16384u /* descriptors in flight per user */
#define UNIX_SOMAXCONN	  4096u
#define UNIX_GC_MIN	  64u

#define IN_EVENTS  (EV_IN | EV_RDNORM)
#define OUT_EVENTS (EV_OUT | EV_WRNORM | EV_WRBAND)

enum unix_state_name {
	UNIX_UNCONNECTED,
	UNIX_LISTENING,
	UNIX_CONNECTED,
};

/* A name, as sockaddr_un bytes behind the family; immutable, shared by the sockets that accept made. */
struct unix_addr {
	struct refs refs;
	void *net_ns;	/* [I] abstract names belong to one */
	uint64_t hash;	/* [I] abstract only */
	uint32_t len;	/* [I] of path */
	char path[110]; /* [I] abstract: path[0] is 0 */
};

/* Who is at the other end: recorded at connect, listen or socketpair. */
struct unix_peer {
	int32_t pid;
	struct cred *cred; /* reference; NULL: nobody yet */
};

struct unix_scm {
	struct list node;    /* in a stream's records, or a list of what is to be freed */
	uint64_t start, end; /* stream: the bytes it belongs to */
	bool have_cred;
	int32_t pid;
	uint32_t uid, gid;
	uint32_t owner_uid;  /* whose descriptors in flight these are */
	uint32_t file_count; /* references, counted as in flight */
	struct file *files[];
};

struct unix_msg {
	struct list node;
	struct unix_sock *sender; /* reference */
	struct unix_scm *scm;	  /* owned; NULL: none */
	uint32_t len;
	uint8_t data[];
};

struct unix_sock {
	struct socket s;
	struct mutex lock;	  /* rank SOCKET */
	uint8_t state;		  /* [a] written under lock */
	uint8_t shut;		  /* [a] written under lock */
	bool dead;		  /* [lock] released */
	bool binding;		  /* [a] a bind is under way or done */
	bool has_waiters;	  /* [lock] somebody is in waiters */
	bool embryo;		  /* [lock] not accepted yet */
	void *net_ns;		  /* [I] */
	struct unix_sock *peer;	  /* [a] written under lock; reference */
	struct unix_addr *addr;	  /* [a] set once; reference */
	struct path path;	  /* [I] once addr is set: where the inode is; reference */
	struct unix_peer peer_id; /* [lock] SO_PEERCRED */
	/* receiving a stream */
	uint8_t *ring;	     /* [lock] size bytes, a power of two */
	uint32_t size, head; /* [lock] */
	uint32_t used;	     /* [a] written under lock */
	uint32_t rec_charge; /* [lock] what the records cost */
	uint64_t read_pos;   /* [lock] bytes ever read: record offsets count like it */
	struct list records; /* [lock] struct unix_scm by start */
	/* receiving messages */
	struct list msgs;	       /* [lock] */
	uint32_t msg_count, msg_bytes; /* [a] written under lock */
	uint32_t sent_charge;	       /* [a] of its messages that nobody has read yet */
	/* listening */
	struct list accept_queue, accept_node; /* [lock] of the listener */
	uint32_t accept_count, backlog;	       /* [lock] */
	struct unix_sock *connecting;	       /* [lock] a listener whose queue was full; reference */
	/* who waits for room here, and where this one waits: [names_lock] */
	struct list waiters, waiting;
	struct list all_node;  /* [names_lock] */
	struct list name_node; /* [names_lock] abstract names */
	/* gc.c: [gc_lock] */
	struct list inflight_node;
	uint32_t inflight, gc_external;
	bool gc_reached, gc_candidate;
};

/* One socket waits until another has room in its queue. */
struct unix_wait {
	struct list at, by;		   /* [names_lock] in at->waiters, by->waiting */
	struct unix_sock *target, *waiter; /* borrowed: both remove it when they are released */
};

#define UNIX_NAME_BUCKETS 256
#define UNIX_USER_BUCKETS 64

struct unix_user {
	struct list node;
	uint32_t uid, inflight;
};

struct unix_state {
	struct mutex names_lock;	      /* rank SOCKET_NAMES */
	struct list names[UNIX_NAME_BUCKETS]; /* [names_lock] */
	struct list all;		      /* [names_lock] */
	uint64_t hash_key;		      /* [I] */
	uint32_t autobind_next;		      /* [a] */
	struct mutex gc_lock;		      /* rank SOCKET_GC */
	struct list inflight;		      /* [gc_lock] sockets that are in flight */
	uint32_t inflight_socks;	      /* [a] */
	uint32_t gc_at;			      /* [a] a send that finds so many in flight collects first */
	struct list users[UNIX_USER_BUCKETS]; /* [gc_lock] */
	struct list doomed;		      /* [gc_lock] struct unix_scm whose files wait to be put */
	bool draining;			      /* [gc_lock] somebody is putting them */
	bool collecting;		      /* [gc_lock] */
};

static inline struct unix_state *unix_state(void)
{
	return socket_family_state(LINUX_AF_UNIX);
}

static inline struct unix_sock *unix_of(struct socket *s)
{
	return (struct unix_sock *)s;
}

static inline struct unix_sock *unix_get(struct unix_sock *u)
{
	refs_get(&u->s.refs);
	return u;
}
void unix_put(struct unix_sock *u);

static inline struct unix_sock *unix_peer_of(struct unix_sock *u)
{
	return __atomic_load_n(&u->peer, __ATOMIC_ACQUIRE);
}

static inline uint8_t unix_shut(const struct unix_sock *u)
{
	return __atomic_load_n(&u->shut, __ATOMIC_ACQUIRE);
}

static inline void unix_shut_locked(struct unix_sock *u, uint8_t bits)
{
	__atomic_store_n(&u->shut, u->shut | bits, __ATOMIC_RELEASE);
}

/* Room for a quarter of what is queued at most: what Linux means by writable. */
static inline bool unix_writable(uint64_t queued, int32_t sndbuf)
{
	return queued * 4 <= (uint64_t)(uint32_t)sndbuf;
}

/* unix.c */
MUST_CHECK int unix_new(int type, const struct sock_caller *c, struct unix_sock **out);
void unix_peer_set(struct unix_peer *p, const struct sock_caller *c);
void unix_release(struct socket *s);
extern const struct socket_ops unix_stream_ops, unix_dgram_ops, unix_seqpacket_ops;

/* bind.c */
int unix_bind(struct socket *s, const struct sock_caller *c, const struct sockaddr_buf *a);
MUST_CHECK int unix_autobind(struct unix_sock *u);
/* The socket that a name leads to, with a reference; -ECONNREFUSED, -EPROTOTYPE, errors of the lookup. */
MUST_CHECK int unix_find(const struct sock_caller *c, const struct sockaddr_buf *a, int type, void *net_ns,
			 struct unix_sock **out);
void unix_unbind(struct unix_sock *u);
void unix_addr_put(struct unix_addr *a);
void unix_addr_fill(const struct unix_sock *u, struct sockaddr_buf *out);

/* connect.c */
int unix_listen(struct socket *s, const struct sock_caller *c, int backlog);
int unix_connect(struct socket *s, const struct sock_caller *c, const struct sockaddr_buf *a,
		 uint32_t file_flags);
int unix_connect_result(struct socket *s);
int unix_connect_dgram(struct socket *s, const struct sock_caller *c, const struct sockaddr_buf *a,
		       uint32_t file_flags);
int unix_accept(struct socket *s, const struct sock_caller *c, struct socket **out, struct sockaddr_buf *peer);
void unix_link_pair(struct unix_sock *a, struct unix_sock *b);
/* names_lock is taken inside: registers waiter with target; -ENOMEM */
MUST_CHECK int unix_wait_add(struct unix_sock *target, struct unix_sock *waiter);
void unix_wait_wake(struct unix_sock *target); /* all that wait for target */
void unix_wait_forget(struct unix_sock *u);    /* u goes away */

/* stream.c */
ssize_t unix_stream_send(struct socket *s, const struct sock_caller *c, struct sock_msg *m);
ssize_t unix_stream_recv(struct socket *s, const struct sock_caller *c, struct sock_msg *m);
/* dgram.c */
ssize_t unix_dgram_send(struct socket *s, const struct sock_caller *c, struct sock_msg *m);
ssize_t unix_dgram_recv(struct socket *s, const struct sock_caller *c, struct sock_msg *m);
void unix_msg_free(struct unix_msg *msg);
/* u is no longer connected to old: what is queued is dropped, and old, if it was connected back, is told.
 */
void unix_dgram_disconnected(struct unix_sock *u, struct unix_sock *old);
/* Room at peer for a message of u's, as poll sees it; registers u as a waiter when there is none. */
bool unix_dgram_has_room(struct unix_sock *u, struct unix_sock *peer);

/* scm.c */
/* What m wants to send besides data; *out NULL when nothing. Counts the files in flight and sets
 * m->file_count to 0. -ETOOMANYREFS, -EINVAL, -ENOMEM */
MUST_CHECK int unix_scm_take(struct unix_sock *from, struct unix_sock *to, const struct sock_caller *c,
			     struct sock_msg *m, struct unix_scm **out);
/* Gives m what scm holds: credentials, and files (copies of the references if keep, else moved out). */
void unix_scm_give(struct unix_sock *to, struct unix_scm *scm, struct sock_msg *m, bool keep);
/* Frees it; files it still has are put, now or by whoever is putting. No socket lock held. NULL: nothing.
 */
void unix_scm_free(struct unix_scm *scm);
/* All of a list. */
void unix_scm_free_list(struct list *scms);

/* gc.c */
void unix_gc(void);
