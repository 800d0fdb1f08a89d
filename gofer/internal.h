/* internal.h of gofer: the file server. server.c owns connections, session.c serves requests, handle.c keeps
 * the table of nodes, hostfs.c asks the host. The client, a sentry that a guest may have taken over, is
 * hostile. */
#pragma once

#include <pthread.h>
#include <string.h>
#include <sys/stat.h>

#include "gofer/wire.h"
#include "platform/base/list.h"

#define GOFER_ROOT_UDS 4u /* sockets of the host may be connected to; not told to the client */

struct gofer_root {
	int fd;		/* an O_PATH or ordinary descriptor of a folder */
	uint32_t flags; /* GOFER_ROOT_* */
};

/* A file that the client knows. Its descriptor (O_PATH) is opened when needed, by name from its parent, and
 * may be closed again while it isn't pinned: then what is found there later must be the same file. */
struct node {
	struct node *hash_next; /* [lock] */
	struct list lru;	/* [lock] in server.lru while fd is open, unpinned and may be closed */
	struct node *parent;	/* [lock] counted in parent->uses; NULL: a root, or gone */
	uint64_t id;		/* [I] */
	uint64_t ino, dev;	/* [lock] ino 0: not known yet */
	int fd;			/* [lock] -1: closed; stable while pinned */
	uint32_t pins;		/* [lock] requests that use fd */
	uint32_t uses;		/* [lock] children, and 1 while the client knows it */
	uint32_t root_flags;	/* [I] */
	uint32_t mode;		/* [lock] as of the last look; type fixed */
	bool forgotten;		/* [lock] not in the table any more */
	bool gone;		/* [lock] its name was removed: fd is all there is */
	bool is_root;		/* [I] */
	bool sealed;		/* [lock] a pseudo file system: nothing in it is shown */
	uint8_t name_len;	/* [lock] */
	char *name;		/* [lock] malloc */
};

struct server {
	const struct gofer_root *roots; /* [I] borrowed */
	size_t root_count;		/* [I] */
	int proc_fd;			/* [I] /proc/self/fd, or -1 */
	bool squash;		   /* [I] most ids of the host have no name here: show 0 for the overflow id */
	uint32_t own_uid, own_gid; /* [I] */
	pthread_mutex_t lock;
	struct node **hash;	      /* [lock] */
	size_t hash_size, node_count; /* [lock] */
	struct list lru;	      /* [lock] oldest first */
	size_t open_count, open_max;  /* [lock], [I] */
	uint32_t channels;	      /* [a] connections so far */
};

/* One connection, served by one thread. */
struct session {
	struct server *server;
	int sock;
	uint8_t in[GOFER_MSG_MAX], out[GOFER_MSG_MAX], data[GOFER_MSG_MAX];
	uint8_t scratch[GOFER_MSG_MAX / 2] ALIGNED(8); /* getdents */
};

/* ---- handle.c */
#define NODE_MAX (4UL << 20)
void nodes_init(struct server *s);
void nodes_fini(struct server *s);
/* The node, pinned, with an open descriptor. -ESTALE: unknown id, or another file has taken its place. */
MUST_CHECK int node_get(struct server *s, uint64_t id, struct node **out);
void node_put(struct server *s, struct node *n);
/* id becomes `name` in parent; if it is known already, it is moved there. */
MUST_CHECK int node_introduce(struct server *s, uint64_t id, uint64_t parent, const struct gofer_name *name,
			      uint64_t ino, uint64_t dev);
MUST_CHECK int node_introduce_root(struct server *s, uint64_t id, const struct gofer_root *root);
void node_forget(struct server *s, uint64_t id);
/* The file has no name any more, or its name isn't ours; n is pinned. */
void node_set_gone(struct server *s, struct node *n);
/* A file without a name (O_TMPFILE); takes fd, an O_PATH descriptor. */
MUST_CHECK int node_introduce_gone(struct server *s, uint64_t id, uint32_t root_flags, int fd);

/* ---- hostfs.c: all on pinned nodes; results are -errno */
int host_stat_fd(const struct server *s, int fd, struct gofer_attr *out);
int host_stat_at(const struct server *s, const struct node *dir, const char *name, struct gofer_attr *out);
/* May things in dir be looked up (x) or listed (r)? */
int host_check_dir(const struct node *dir, bool list);
bool host_is_pseudo(int fd);
/* A descriptor for data. flags: GOFER_OPEN_* */
int host_open(const struct server *s, const struct node *n, uint32_t flags);
int host_create(const struct server *s, const struct node *dir, const char *name, const struct gofer_req *q,
		struct gofer_attr *attr, int *fd);
int host_tmpfile(const struct server *s, const struct node *dir, const struct gofer_req *q, int *fd);
int host_mkdir(const struct server *s, const struct node *dir, const char *name, const struct gofer_req *q);
int host_mknod(const struct server *s, const struct node *dir, const char *name, const struct gofer_req *q);
int host_symlink(const struct server *s, const struct node *dir, const char *name, const struct gofer_req *q);
int host_link(const struct server *s, const struct node *n, const struct node *dir, const char *name);
int host_setattr(const struct server *s, const struct node *n, const struct gofer_setattr *a);
int host_readdir(const struct session *ss, const struct node *dir, uint64_t cookie, uint8_t *scratch,
		 size_t scratch_size, struct gofer_reply *p, uint8_t *data);
/* The directory at path (components without symbolic links; those above the last were listed before) below dir
 * as one section behind *used of data. above: the device of the directory it lies in. -EMSGSIZE: no room for
 * all of it. */
int host_readdir_child(const struct session *ss, const struct node *dir, const char *path, uint64_t above,
		       uint8_t *scratch, size_t scratch_size, uint8_t *data, uint32_t *used);
int host_statfs(const struct node *n, struct linux_statfs *out);
ssize_t host_getxattr(const struct server *s, const struct node *n, const char *key, void *buf, size_t size);
ssize_t host_listxattr(const struct server *s, const struct node *n, char *buf, size_t size);
int host_setxattr(const struct server *s, const struct node *n, const char *key, const void *data, size_t size,
		  int flags);
int host_removexattr(const struct server *s, const struct node *n, const char *key);
int host_connect(const struct server *s, const struct node *n, uint32_t type);

/* ---- session.c, session_dirs.c */
/* A request being served. */
struct call {
	struct session *ss;
	struct server *s;
	const struct gofer_req *q;
	struct gofer_reply *p;
	struct node *n; /* q->node, pinned, for operations that have one */
	char name[GOFER_NAME_MAX + 1], name2[GOFER_NAME_MAX + 1];
	int fd; /* to be sent, closed afterwards; -1 */
};
static inline void name_copy(char *dst, const struct gofer_name *n)
{
	if (n->len)
		memcpy(dst, n->s, n->len);
	dst[n->len] = 0;
}

int session_readdirs(struct call *c);

/* One request; 0, or -1 when the connection is to be closed */
int session_serve(struct session *ss, size_t size);

/* ---- server.c */
/* self: a folder of the process's own descriptors (taken over), or -1: the one in /proc. all_ids: every id
 * of the host can be named. */
MUST_CHECK int server_init(struct server *s, const struct gofer_root *roots, size_t root_count, int self,
			   bool all_ids);
void server_fini(struct server *s);
/* Serves sock (taken over) until it closes. */
void server_run(struct server *s, int sock);
/* One more connection: the client's end. */
int server_add_channel(struct server *s);

/* ---- filter.c: what the process gives up before the first request */
/* sockets: it may connect to some of the host */
MUST_CHECK int gofer_confine(bool sockets);
