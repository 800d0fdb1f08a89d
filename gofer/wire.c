/* wire.c: one table says which fields each message has; encoding and decoding walk the same table, so the
 * two can't differ. */
#include "gofer/wire.h"

#include <string.h>

#include "platform/abi/errno.h"
#include "gofer/wire_cursor.h"
#include "platform/base/bytes.h"

/* Fields, in the order they lie in a message. */
enum {
	F_NODE = 1u << 0,
	F_NODE2 = 1u << 1,
	F_NODE34 = 1u << 2,
	F_NAME = 1u << 3,
	F_NAME2 = 1u << 4,
	F_FLAGS = 1u << 5,
	F_MODE = 1u << 6,
	F_IDS = 1u << 7, /* uid, gid */
	F_RDEV = 1u << 8,
	F_OFFSET = 1u << 9,
	F_SIZE = 1u << 10,
	F_SET = 1u << 11,
	F_WALK = 1u << 12,
	F_DATA = 1u << 13,
	F_FORGET = 1u << 14,
	F_KEY = 1u << 15, /* name holds the name of an extended attribute */
	/* replies */
	F_ATTR = 1u << 16,
	F_STATFS = 1u << 17,
};

static const uint32_t req_fields[GOFER_OP_COUNT] = {
	[GOFER_HELLO] = F_FLAGS,
	[GOFER_ATTACH] = F_NODE | F_SIZE,
	[GOFER_WALK] = F_NODE | F_WALK,
	[GOFER_GETATTR] = F_NODE,
	[GOFER_SETATTR] = F_NODE | F_SET,
	[GOFER_OPEN] = F_NODE | F_FLAGS,
	[GOFER_CREATE] = F_NODE | F_NODE2 | F_NAME | F_FLAGS | F_MODE | F_IDS,
	[GOFER_MKDIR] = F_NODE | F_NODE2 | F_NAME | F_MODE | F_IDS,
	[GOFER_MKNOD] = F_NODE | F_NODE2 | F_NAME | F_MODE | F_IDS | F_RDEV,
	[GOFER_SYMLINK] = F_NODE | F_NODE2 | F_NAME | F_IDS | F_DATA,
	[GOFER_LINK] = F_NODE | F_NODE2 | F_NAME,
	[GOFER_UNLINK] = F_NODE | F_NODE2 | F_NAME,
	[GOFER_RMDIR] = F_NODE | F_NODE2 | F_NAME,
	[GOFER_RENAME] = F_NODE | F_NODE2 | F_NODE34 | F_NAME | F_NAME2 | F_FLAGS,
	[GOFER_READLINK] = F_NODE,
	[GOFER_READDIR] = F_NODE | F_OFFSET,
	[GOFER_READDIRS] = F_NODE | F_WALK,
	[GOFER_STATFS] = F_NODE,
	[GOFER_GETXATTR] = F_NODE | F_NAME | F_KEY | F_SIZE,
	[GOFER_SETXATTR] = F_NODE | F_NAME | F_KEY | F_FLAGS | F_DATA,
	[GOFER_LISTXATTR] = F_NODE | F_SIZE,
	[GOFER_REMOVEXATTR] = F_NODE | F_NAME | F_KEY,
	[GOFER_FSYNC] = F_NODE | F_FLAGS,
	[GOFER_ALLOCATE] = F_NODE | F_FLAGS | F_OFFSET | F_SIZE,
	[GOFER_TMPFILE] = F_NODE | F_NODE2 | F_MODE | F_IDS,
	[GOFER_FORGET] = F_FORGET,
	[GOFER_CONNECT] = F_NODE | F_FLAGS,
	[GOFER_CHANNEL] = 0,
	[GOFER_STOP] = 0,
};

static const uint32_t reply_fields[GOFER_OP_COUNT] = {
	[GOFER_HELLO] = F_FLAGS | F_SIZE,
	[GOFER_ATTACH] = F_FLAGS | F_ATTR,
	[GOFER_WALK] = F_ATTR | F_DATA,
	[GOFER_GETATTR] = F_ATTR,
	[GOFER_SETATTR] = F_ATTR,
	[GOFER_OPEN] = F_ATTR,
	[GOFER_CREATE] = F_ATTR,
	[GOFER_MKDIR] = F_ATTR,
	[GOFER_MKNOD] = F_ATTR,
	[GOFER_SYMLINK] = F_ATTR,
	[GOFER_LINK] = F_ATTR,
	[GOFER_UNLINK] = 0,
	[GOFER_RMDIR] = 0,
	[GOFER_RENAME] = 0,
	[GOFER_READLINK] = F_DATA,
	[GOFER_READDIR] = F_FLAGS | F_OFFSET | F_DATA,
	[GOFER_READDIRS] = F_SIZE | F_DATA,
	[GOFER_STATFS] = F_STATFS,
	[GOFER_GETXATTR] = F_SIZE | F_DATA,
	[GOFER_SETXATTR] = 0,
	[GOFER_LISTXATTR] = F_SIZE | F_DATA,
	[GOFER_REMOVEXATTR] = 0,
	[GOFER_FSYNC] = 0,
	[GOFER_ALLOCATE] = F_ATTR,
	[GOFER_TMPFILE] = F_ATTR,
	[GOFER_CONNECT] = 0,
	[GOFER_CHANNEL] = 0,
	[GOFER_STOP] = 0,
};

/* Request: size 4, tag 4, op 2, count of binds 2. Reply: size 4, tag 4, op 2, has_fd 2, error 4. */
#define REQ_HEADER   12
#define REPLY_HEADER 16

bool gofer_name_valid(const char *s, size_t len)
{
	if (len == 0 || len > GOFER_NAME_MAX)
		return false;
	if (s[0] == '.' && (len == 1 || (len == 2 && s[1] == '.')))
		return false;
	return !memchr(s, '/', len) && !memchr(s, 0, len);
}

/* ---- requests */

static void put_set(struct writer *w, const struct gofer_setattr *s)
{
	put32(w, s->valid);
	put32(w, s->mode);
	put32(w, s->uid);
	put32(w, s->gid);
	put64(w, s->size);
	put_time(w, &s->atime);
	put_time(w, &s->mtime);
}

static void take_set(struct reader *r, struct gofer_setattr *s)
{
	s->valid = take32(r);
	s->mode = take32(r);
	s->uid = take32(r);
	s->gid = take32(r);
	s->size = take64(r);
	take_time(r, &s->atime);
	take_time(r, &s->mtime);
	if (s->valid & ~GOFER_SET_ALL || s->mode > 07777u || (int64_t)s->size < 0)
		r->bad = true;
}

static void put_req_fields(struct writer *w, const struct gofer_req *q, uint32_t f)
{
	if (f & F_NODE)
		put64(w, q->node);
	if (f & F_NODE2)
		put64(w, q->node2);
	if (f & F_NODE34) {
		put64(w, q->node3);
		put64(w, q->node4);
	}
	if (f & F_NAME)
		put_name(w, &q->name);
	if (f & F_NAME2)
		put_name(w, &q->name2);
	if (f & F_FLAGS)
		put32(w, q->flags);
	if (f & F_MODE)
		put32(w, q->mode);
	if (f & F_IDS) {
		put32(w, q->uid);
		put32(w, q->gid);
	}
	if (f & F_RDEV)
		put64(w, q->rdev);
	if (f & F_OFFSET)
		put64(w, q->offset);
	if (f & F_SIZE)
		put64(w, q->size);
	if (f & F_SET)
		put_set(w, &q->set);
	if (f & F_WALK) {
		w->bad |= q->walk_count == 0 || q->walk_count > GOFER_WALK_MAX;
		put8(w, (uint8_t)q->walk_count);
		for (uint32_t i = 0; i < q->walk_count && !w->bad; i++) {
			put64(w, q->walk[i].id);
			put_name(w, &q->walk[i].name);
		}
	}
	if (f & F_DATA) {
		w->bad |= q->data_size > GOFER_DATA_MAX;
		put32(w, q->data_size);
		put_bytes(w, q->data, q->data_size);
	}
	if (f & F_FORGET) {
		w->bad |= q->id_count > GOFER_FORGET_MAX;
		put16(w, (uint16_t)q->id_count);
		for (uint32_t i = 0; i < q->id_count && !w->bad; i++)
			put64(w, ((const uint64_t *)q->ids)[i]);
	}
}

ssize_t gofer_req_encode(const struct gofer_req *q, void *buf, size_t size)
{
	struct writer w = {.p = buf, .size = MIN(size, GOFER_MSG_MAX)};

	if (q->op == 0 || q->op >= GOFER_OP_COUNT)
		return -EINVAL;
	put32(&w, 0);
	put32(&w, q->tag);
	put16(&w, (uint16_t)q->op);
	w.bad |= q->bind_count > GOFER_BIND_MAX;
	put16(&w, (uint16_t)q->bind_count);
	for (uint32_t i = 0; i < q->bind_count && !w.bad; i++) {
		put64(&w, q->binds[i].id);
		put64(&w, q->binds[i].parent);
		put64(&w, q->binds[i].ino);
		put64(&w, q->binds[i].dev);
		put_name(&w, &q->binds[i].name);
	}
	put_req_fields(&w, q, req_fields[q->op]);
	if (w.bad)
		return -EMSGSIZE;
	put_le32(buf, (uint32_t)w.len);
	return (ssize_t)w.len;
}

static void take_req_fields(struct reader *r, struct gofer_req *q, uint32_t f)
{
	if (f & F_NODE)
		q->node = take64(r);
	if (f & F_NODE2)
		q->node2 = take64(r);
	if (f & F_NODE34) {
		q->node3 = take64(r);
		q->node4 = take64(r);
	}
	if (f & F_NAME)
		take_name(r, &q->name, f & F_KEY);
	if (f & F_NAME2)
		take_name(r, &q->name2, false);
	if (f & F_FLAGS)
		q->flags = take32(r);
	if (f & F_MODE)
		q->mode = take32(r);
	if (f & F_IDS) {
		q->uid = take32(r);
		q->gid = take32(r);
	}
	if (f & F_RDEV)
		q->rdev = take64(r);
	if (f & F_OFFSET)
		q->offset = take64(r);
	if (f & F_SIZE)
		q->size = take64(r);
	if (f & F_SET)
		take_set(r, &q->set);
	if (f & F_WALK) {
		q->walk_count = take8(r);
		if (q->walk_count == 0 || q->walk_count > GOFER_WALK_MAX)
			r->bad = true;
		for (uint32_t i = 0; i < q->walk_count && !r->bad; i++) {
			q->walk[i].id = take64(r);
			take_name(r, &q->walk[i].name, false);
		}
	}
	if (f & F_DATA)
		take_data(r, &q->data, &q->data_size);
	if (f & F_FORGET) {
		q->id_count = take16(r);
		if (q->id_count > GOFER_FORGET_MAX)
			r->bad = true;
		q->ids = take(r, q->id_count * 8UL);
	}
}

int gofer_req_decode(struct gofer_req *q, const void *buf, size_t size)
{
	struct reader r = {.p = buf, .size = size};
	memset(q, 0, sizeof(*q));
	if (take32(&r) != size || size > GOFER_MSG_MAX)
		return -EPROTO;
	q->tag = take32(&r);
	q->op = take16(&r);
	q->bind_count = take16(&r);
	if (r.bad || q->op == 0 || q->op >= GOFER_OP_COUNT || q->bind_count > GOFER_BIND_MAX)
		return -EPROTO;
	if (q->bind_count && !(req_fields[q->op] & F_NODE))
		return -EPROTO;
	for (uint32_t i = 0; i < q->bind_count; i++) {
		q->binds[i].id = take64(&r);
		q->binds[i].parent = take64(&r);
		q->binds[i].ino = take64(&r);
		q->binds[i].dev = take64(&r);
		take_name(&r, &q->binds[i].name, false);
	}
	take_req_fields(&r, q, req_fields[q->op]);
	return r.bad || r.off != r.size ? -EPROTO : 0;
}

uint64_t gofer_id_at(const struct gofer_req *q, uint32_t index)
{
	return get_le64((const uint8_t *)q->ids + index * 8UL);
}

/* ---- replies. A failed one carries only what came before the failure: WALK's attributes. */

static uint32_t fields_of_reply(const struct gofer_reply *p)
{
	if (p->error == 0)
		return reply_fields[p->op];
	return p->op == GOFER_WALK ? reply_fields[p->op] : 0;
}

static void put_statfs(struct writer *w, const struct linux_statfs *s)
{
	put64(w, (uint64_t)s->f_type);
	put64(w, (uint64_t)s->f_bsize);
	put64(w, (uint64_t)s->f_blocks);
	put64(w, (uint64_t)s->f_bfree);
	put64(w, (uint64_t)s->f_bavail);
	put64(w, (uint64_t)s->f_files);
	put64(w, (uint64_t)s->f_ffree);
	put64(w, (uint64_t)s->f_namelen);
	put64(w, (uint64_t)s->f_frsize);
	put64(w, (uint64_t)s->f_flags);
}

static void take_statfs(struct reader *r, struct linux_statfs *s)
{
	s->f_type = (int64_t)take64(r);
	s->f_bsize = (int64_t)take64(r);
	s->f_blocks = (int64_t)take64(r);
	s->f_bfree = (int64_t)take64(r);
	s->f_bavail = (int64_t)take64(r);
	s->f_files = (int64_t)take64(r);
	s->f_ffree = (int64_t)take64(r);
	s->f_namelen = (int64_t)take64(r);
	s->f_frsize = (int64_t)take64(r);
	s->f_flags = (int64_t)take64(r);
}

ssize_t gofer_reply_encode(const struct gofer_reply *p, void *buf, size_t size)
{
	struct writer w = {.p = buf, .size = MIN(size, GOFER_MSG_MAX)};
	uint32_t f;

	if (p->op == 0 || p->op >= GOFER_OP_COUNT || p->attr_count > GOFER_WALK_MAX)
		return -EINVAL;
	f = fields_of_reply(p);
	put32(&w, 0);
	put32(&w, p->tag);
	put16(&w, (uint16_t)p->op);
	put16(&w, p->has_fd);
	put32(&w, (uint32_t)p->error);
	if (f & F_FLAGS)
		put32(&w, p->flags);
	if (f & F_OFFSET)
		put64(&w, p->offset);
	if (f & F_SIZE)
		put64(&w, p->size);
	if (f & F_ATTR) {
		put8(&w, (uint8_t)p->attr_count);
		for (uint32_t i = 0; i < p->attr_count; i++)
			put_attr(&w, &p->attrs[i]);
	}
	if (f & F_STATFS)
		put_statfs(&w, &p->statfs);
	if (f & F_DATA) {
		w.bad |= p->data_size > GOFER_DATA_MAX;
		put32(&w, p->data_size);
		put_bytes(&w, p->data, p->data_size);
	}
	if (w.bad)
		return -EMSGSIZE;
	put_le32(buf, (uint32_t)w.len);
	return (ssize_t)w.len;
}

int gofer_reply_decode(struct gofer_reply *p, const void *buf, size_t size)
{
	struct reader r = {.p = buf, .size = size};
	uint16_t has_fd;
	uint32_t f;

	/* the attributes are many; they are filled in as far as attr_count says */
	memset(p, 0, offsetof(struct gofer_reply, attrs));
	memset(&p->statfs, 0, sizeof(*p) - offsetof(struct gofer_reply, statfs));
	if (take32(&r) != size || size > GOFER_MSG_MAX)
		return -EPROTO;
	p->tag = take32(&r);
	p->op = take16(&r);
	has_fd = take16(&r);
	p->error = (int32_t)take32(&r);
	if (r.bad || p->op == 0 || p->op >= GOFER_OP_COUNT || has_fd > 1 || p->error > 0 || p->error < -4095)
		return -EPROTO;
	p->has_fd = has_fd;
	f = fields_of_reply(p);
	if (f & F_FLAGS)
		p->flags = take32(&r);
	if (f & F_OFFSET)
		p->offset = take64(&r);
	if (f & F_SIZE)
		p->size = take64(&r);
	if (f & F_ATTR) {
		p->attr_count = take8(&r);
		if (p->attr_count > GOFER_WALK_MAX)
			return -EPROTO;
		for (uint32_t i = 0; i < p->attr_count; i++)
			take_attr(&r, &p->attrs[i]);
		if (p->attr_count == 0 && p->op != GOFER_WALK)
			return -EPROTO;
	}
	if (f & F_STATFS)
		take_statfs(&r, &p->statfs);
	if (f & F_DATA)
		take_data(&r, &p->data, &p->data_size);
	return r.bad || r.off != r.size ? -EPROTO : 0;
}

/* ---- directory entries */

size_t gofer_entry_put(void *buf, size_t size, const struct gofer_entry *e)
{
	struct writer w = {.p = buf, .size = size};

	put_attr(&w, &e->attr);
	put64(&w, e->cookie);
	put_name(&w, &e->name);
	return w.bad ? 0 : w.len;
}

ssize_t gofer_entry_get(const void *buf, size_t size, struct gofer_entry *e)
{
	struct reader r = {.p = buf, .size = size};

	take_attr(&r, &e->attr);
	e->cookie = take64(&r);
	take_name(&r, &e->name, false);
	return r.bad ? -EPROTO : (ssize_t)r.off;
}

void gofer_section_put(void *buf, const struct gofer_attr *attr, uint32_t size)
{
	struct writer w = {.p = buf, .size = GOFER_SECTION_HEAD};

	put_attr(&w, attr);
	put32(&w, size);
}

ssize_t gofer_section_get(const void *buf, size_t size, struct gofer_section *s)
{
	struct reader r = {.p = buf, .size = size};

	take_attr(&r, &s->attr);
	s->size = take32(&r);
	s->entries = take(&r, s->size);
	return r.bad ? -EPROTO : (ssize_t)r.off;
}
