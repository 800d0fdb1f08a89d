/* wire.h: the messages between the sentry and its gofer: layout, encoding, decoding; no I/O, no allocation.
 * Little endian, no padding. Both ends are hostile to each other: a decoder accepts only what an encoder can
 * make, and everything it yields points into the message or is a checked number.
 *
 * A connection is a SOCK_SEQPACKET UNIX socket with one request under way; one packet is one message; a
 * descriptor travels beside a reply (SCM_RIGHTS). A request names a file by a node id. Ids are chosen by
 * the client, never reused, and mean the same on every connection of a gofer. A request may first introduce
 * nodes ("bind"): the file `name` in node `parent` is to be called `id`; no round trip of its own. */
#pragma once

#include "platform/abi/types.h"
#include "platform/base/attr.h"

#define GOFER_VERSION	  1
#define GOFER_MSG_MAX	  (64 * 1024UL)
#define GOFER_NAME_MAX	  255
#define GOFER_DATA_MAX	  (60 * 1024UL) /* READDIR and extended attributes */
#define GOFER_TARGET_MAX  4096
#define GOFER_WALK_MAX	  16
#define GOFER_BIND_MAX	  4
#define GOFER_FORGET_MAX  256
#define GOFER_CHANNEL_MAX 8 /* connections of one client */

enum gofer_op {
	GOFER_HELLO = 1, /* flags: version -> flags: version, size: count of roots */
	GOFER_ATTACH,	 /* size: root index, node: the new id -> attr, flags: GOFER_ROOT_* */
	GOFER_WALK, /* node, walk -> attrs; stops at a symbolic link (its target in data) or where error says */
	GOFER_GETATTR,	/* node -> attr */
	GOFER_SETATTR,	/* node, set -> attr */
	GOFER_OPEN,	/* node, flags: GOFER_OPEN_* -> attr, a descriptor */
	GOFER_CREATE,	/* node: directory, name, node2: the new id, flags, mode, uid, gid -> attr, a descriptor
			 */
	GOFER_MKDIR,	/* node, name, node2, mode, uid, gid -> attr */
	GOFER_MKNOD,	/* the same, rdev */
	GOFER_SYMLINK,	/* node, name, node2, data: target, uid, gid -> attr */
	GOFER_LINK,	/* node: the file, node2: directory, name -> attr */
	GOFER_UNLINK,	/* node, name, node2: the victim's id or 0 */
	GOFER_RMDIR,	/* the same */
	GOFER_RENAME,	/* node, name -> node2, name2; node3: the file's id, node4: the victim's, or 0; flags */
	GOFER_READLINK, /* node -> data */
	GOFER_READDIR, /* node, offset: cookie -> data: entries, offset: the next cookie, flags 1: at the end */
	GOFER_READDIRS,	   /* node, walk: directories in it -> data: sections, size: how many; of the first ones
			    * that fit,    then of directories in them */
	GOFER_STATFS,	   /* node -> statfs */
	GOFER_GETXATTR,	   /* node, name, size: room -> data */
	GOFER_SETXATTR,	   /* node, name, data, flags: XATTR_CREATE, REPLACE */
	GOFER_LISTXATTR,   /* node, size -> data */
	GOFER_REMOVEXATTR, /* node, name */
	GOFER_FSYNC,	   /* node, flags 1: data only */
	GOFER_ALLOCATE,	   /* node, flags: fallocate mode, offset, size -> attr */
	GOFER_TMPFILE,	   /* node: directory, node2, mode, uid, gid -> attr, a descriptor */
	GOFER_FORGET,	   /* ids; no reply */
	GOFER_CONNECT,	   /* node: a socket -> a connected descriptor; flags: type */
	GOFER_CHANNEL,	   /* -> a descriptor: one more connection */
	GOFER_STOP,	   /* the gofer ends */
	GOFER_OP_COUNT
};

#define GOFER_ROOT_READONLY 1u
#define GOFER_ROOT_PUBLIC   2u

#define GOFER_OPEN_READ	 1u
#define GOFER_OPEN_WRITE 2u
#define GOFER_OPEN_EXCL	 8u /* CREATE: -EEXIST when there */

/* gofer_setattr.valid */
#define GOFER_SET_MODE	    0x01u
#define GOFER_SET_UID	    0x02u
#define GOFER_SET_GID	    0x04u
#define GOFER_SET_SIZE	    0x08u
#define GOFER_SET_ATIME	    0x10u
#define GOFER_SET_MTIME	    0x20u
#define GOFER_SET_ATIME_NOW 0x40u
#define GOFER_SET_MTIME_NOW 0x80u
#define GOFER_SET_ALL	    0xffu

struct gofer_time {
	int64_t sec;
	uint32_t nsec;
};

struct gofer_attr {
	uint64_t ino, dev, rdev, size, blocks;
	uint32_t mode, uid, gid, nlink, blksize;
	struct gofer_time atime, mtime, ctime, btime;
};
#define GOFER_ATTR_SIZE (5 * 8 + 5 * 4 + 4 * 12UL)

struct gofer_name {
	const char *s; /* not terminated; NULL: none */
	uint32_t len;
};

struct gofer_step {
	uint64_t id;
	struct gofer_name name;
};

struct gofer_setattr {
	uint32_t valid, mode, uid, gid;
	uint64_t size;
	struct gofer_time atime, mtime;
};

struct gofer_bind {
	uint64_t id, parent, ino, dev; /* ino 0: identity not known */
	struct gofer_name name;
};

/* What a message doesn't carry is ignored by encoding and zero after decoding. */
struct gofer_req {
	uint32_t op, tag;
	uint32_t bind_count;
	struct gofer_bind binds[GOFER_BIND_MAX]; /* in this order */

	uint64_t node, node2, node3, node4;
	struct gofer_name name, name2;
	uint32_t flags, mode, uid, gid;
	uint64_t rdev, offset, size;
	struct gofer_setattr set;
	uint32_t walk_count;
	struct gofer_step walk[GOFER_WALK_MAX];
	const void *data;
	uint32_t data_size;
	uint32_t id_count;
	const void *ids; /* encode: uint64_t[]; decode: little endian, unaligned: gofer_id_at */
};

struct gofer_reply {
	uint32_t op, tag;
	int32_t error; /* 0 or -errno */
	uint32_t flags;
	uint64_t offset, size;
	uint32_t attr_count;
	struct gofer_attr attrs[GOFER_WALK_MAX];
	struct linux_statfs statfs;
	const void *data;
	uint32_t data_size;
	bool has_fd; /* a descriptor comes beside it */
};

static inline struct gofer_name gofer_name_of(const char *s, size_t len)
{
	return (struct gofer_name){s, (uint32_t)len};
}

/* true for a single component that may be looked up: 1..255 bytes, no '/', no zero, not "." or ".." */
bool gofer_name_valid(const char *s, size_t len);

/* Bytes written, or -EMSGSIZE / -EINVAL. */
MUST_CHECK ssize_t gofer_req_encode(const struct gofer_req *r, void *buf, size_t size);
MUST_CHECK ssize_t gofer_reply_encode(const struct gofer_reply *r, void *buf, size_t size);
/* 0 or -EPROTO. Names are valid components (see above), counts within their limits. */
MUST_CHECK int gofer_req_decode(struct gofer_req *r, const void *buf, size_t size);
MUST_CHECK int gofer_reply_decode(struct gofer_reply *r, const void *buf, size_t size);
uint64_t gofer_id_at(const struct gofer_req *r, uint32_t index);

/* Directory entries in the data of a READDIR reply, one after the other:
 * attributes, the cookie that continues behind it (8), name length (1), name. */
struct gofer_entry {
	struct gofer_attr attr;
	uint64_t cookie;
	struct gofer_name name; /* points into the data */
};
#define GOFER_ENTRY_MAX (GOFER_ATTR_SIZE + 9 + GOFER_NAME_MAX)
/* Bytes used, or 0 when it doesn't fit. */
size_t gofer_entry_put(void *buf, size_t size, const struct gofer_entry *e);
/* A section of a READDIRS reply: the directory's own attributes, the size of all its entries (4), entries. */
#define GOFER_SECTION_HEAD (GOFER_ATTR_SIZE + 4)
struct gofer_section {
	struct gofer_attr attr;
	const void *entries;
	uint32_t size;
};
/* Writes the head for entries that lie behind it. */
void gofer_section_put(void *buf, const struct gofer_attr *attr, uint32_t size);
/* Bytes used, or -EPROTO. The entries aren't checked. */
ssize_t gofer_section_get(const void *buf, size_t size, struct gofer_section *s);
/* Bytes used, or -EPROTO. */
ssize_t gofer_entry_get(const void *buf, size_t size, struct gofer_entry *e);
