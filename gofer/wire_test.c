/* wire_test.c: what is encoded is what is decoded, and hostile bytes are refused or harmless. */
#include <criterion/criterion.h>
#include <string.h>

#include "gofer/wire.h"
#include "platform/abi/errno.h"
#include "platform/base/bytes.h"

static uint8_t buf[GOFER_MSG_MAX];

Test(wire, requests_of_every_kind_come_back_the_same)
{
	uint64_t ids[3] = {7, 8, UINT64_MAX};

	for (uint32_t op = 1; op < GOFER_OP_COUNT; op++) {
		struct gofer_req q = {.op = op,
				      .tag = 0x1234567 + op,
				      .node = 5,
				      .node2 = 6,
				      .node3 = 7,
				      .node4 = 8,
				      .flags = 3,
				      .mode = 0644,
				      .uid = 1000,
				      .gid = 1001,
				      .rdev = 99,
				      .offset = 1ULL << 40,
				      .size = 77,
				      .walk_count = 2,
				      .data = "target",
				      .data_size = 6,
				      .ids = ids,
				      .id_count = 3};
		struct gofer_req r;
		ssize_t n;

		q.name = gofer_name_of("user.name", 9);
		q.name2 = gofer_name_of("other", 5);
		q.walk[0] = (struct gofer_step){41, gofer_name_of("usr", 3)};
		q.walk[1] = (struct gofer_step){42, gofer_name_of("..x", 3)};
		q.set = (struct gofer_setattr){GOFER_SET_MODE | GOFER_SET_MTIME, 0755, 1, 2, 3, {4, 5}, {6, 7}};
		n = gofer_req_encode(&q, buf, sizeof(buf));
		cr_assert_gt(n, 0);
		cr_assert_eq(gofer_req_decode(&r, buf, (size_t)n), 0, "op %u", op);
		cr_assert_eq(r.op, op);
		cr_assert_eq(r.tag, q.tag);
		if (op == GOFER_WALK) {
			cr_assert_eq(r.walk_count, 2);
			cr_assert_eq(r.walk[1].id, 42);
			cr_assert(r.walk[1].name.len == 3 && !memcmp(r.walk[1].name.s, "..x", 3));
		}
		if (op == GOFER_SETATTR)
			cr_assert(!memcmp(&r.set, &q.set, sizeof(q.set)));
		if (op == GOFER_RENAME) {
			cr_assert_eq(r.node4, 8);
			cr_assert(!memcmp(r.name2.s, "other", 5));
		}
		if (op == GOFER_FORGET)
			cr_assert_eq(gofer_id_at(&r, 2), UINT64_MAX);
		/* every shorter or longer message is refused */
		for (ssize_t cut = 0; cut < n; cut++) {
			put_le32(buf, (uint32_t)cut);
			cr_assert_eq(gofer_req_decode(&r, buf, (size_t)cut), -EPROTO);
		}
		put_le32(buf, (uint32_t)n + 1);
		cr_assert_eq(gofer_req_decode(&r, buf, (size_t)n + 1), -EPROTO);
	}
}

Test(wire, names_that_could_lead_elsewhere_are_refused)
{
	static const char *const bad[] = {"", ".", "..", "a/b", "/"};
	struct gofer_req q = {.op = GOFER_UNLINK, .node = 1}, r;
	ssize_t n;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		q.name = gofer_name_of(bad[i], strlen(bad[i]));
		n = gofer_req_encode(&q, buf, sizeof(buf));
		cr_assert_eq(gofer_req_decode(&r, buf, (size_t)n), -EPROTO, "'%s'", bad[i]);
	}
	q.name = gofer_name_of("a\0b", 3);
	n = gofer_req_encode(&q, buf, sizeof(buf));
	cr_assert_eq(gofer_req_decode(&r, buf, (size_t)n), -EPROTO);
	cr_assert(gofer_name_valid("...", 3));
}

Test(wire, bind_travels_before_the_fields)
{
	struct gofer_req q = {.op = GOFER_OPEN, .bind_count = 2, .node = 4, .flags = 1}, r;
	ssize_t n;

	q.binds[0] = (struct gofer_bind){3, 2, 0, 0, gofer_name_of("lib", 3)};
	q.binds[1] = (struct gofer_bind){4, 3, 9, 10, gofer_name_of("libc.so.6", 9)};
	n = gofer_req_encode(&q, buf, sizeof(buf));
	cr_assert_eq(gofer_req_decode(&r, buf, (size_t)n), 0);
	cr_assert(r.bind_count == 2 && r.binds[0].id == 3 && r.node == 4 && r.flags == 1);
	cr_assert(r.binds[1].parent == 3 && r.binds[1].ino == 9 && r.binds[1].dev == 10);
	cr_assert(!memcmp(r.binds[1].name.s, "libc.so.6", 9));
	q.bind_count = GOFER_BIND_MAX + 1;
	cr_assert_eq(gofer_req_encode(&q, buf, sizeof(buf)), -EMSGSIZE);
	q.bind_count = 1;
	/* only where there is a node to introduce */
	q.op = GOFER_HELLO;
	n = gofer_req_encode(&q, buf, sizeof(buf));
	cr_assert_eq(gofer_req_decode(&r, buf, (size_t)n), -EPROTO);
}

Test(wire, replies_come_back_the_same)
{
	static struct gofer_reply p, r;
	ssize_t n;

	for (uint32_t op = 1; op < GOFER_OP_COUNT; op++) {
		p = (struct gofer_reply){.op = op,
					 .tag = op,
					 .flags = 1,
					 .offset = 5,
					 .size = 6,
					 .attr_count = 2,
					 .data = "xyz",
					 .data_size = 3,
					 .has_fd = true};
		p.attrs[1] = (struct gofer_attr){.ino = 1,
						 .dev = 2,
						 .size = 1ULL << 33,
						 .mode = 0100644,
						 .nlink = 1,
						 .mtime = {-5, 999999999}};
		n = gofer_reply_encode(&p, buf, sizeof(buf));
		cr_assert_gt(n, 0);
		cr_assert_eq(gofer_reply_decode(&r, buf, (size_t)n), 0, "op %u", op);
		if (op == GOFER_WALK) {
			cr_assert_eq(r.attr_count, 2);
			cr_assert(!memcmp(&r.attrs[1], &p.attrs[1], sizeof(r.attrs[1])));
			cr_assert(r.data_size == 3 && !memcmp(r.data, "xyz", 3));
		}
		p.error = -ENOENT;
		n = gofer_reply_encode(&p, buf, sizeof(buf));
		cr_assert_eq(gofer_reply_decode(&r, buf, (size_t)n), 0);
		cr_assert_eq(r.error, -ENOENT);
	}
}

Test(wire, times_and_sizes_out_of_range_are_refused)
{
	struct gofer_req q = {.op = GOFER_SETATTR, .set = {.valid = GOFER_SET_MTIME, .mtime = {1, 1000000000}}},
			 r;
	ssize_t n = gofer_req_encode(&q, buf, sizeof(buf));

	cr_assert_eq(gofer_req_decode(&r, buf, (size_t)n), -EPROTO);
	q.set = (struct gofer_setattr){.valid = GOFER_SET_SIZE, .size = 1ULL << 63};
	n = gofer_req_encode(&q, buf, sizeof(buf));
	cr_assert_eq(gofer_req_decode(&r, buf, (size_t)n), -EPROTO);
	q.set = (struct gofer_setattr){.valid = 0x100};
	n = gofer_req_encode(&q, buf, sizeof(buf));
	cr_assert_eq(gofer_req_decode(&r, buf, (size_t)n), -EPROTO);
}

Test(wire, random_bytes_never_yield_pointers_outside)
{
	static struct gofer_reply p;
	struct gofer_req r;
	uint32_t x = 12345;

	for (int round = 0; round < 200000; round++) {
		size_t n = 4 + (x >> 8) % 200;

		for (size_t i = 0; i < n; i++) {
			x = x * 1664525u + 1013904223u;
			buf[i] = (uint8_t)(x >> 24);
		}
		put_le32(buf, (uint32_t)n);
		buf[8] %= GOFER_OP_COUNT;
		buf[9] = 0;
		buf[10] &= 1;
		buf[11] = 0;
		if (gofer_req_decode(&r, buf, n) == 0 && r.data_size)
			cr_assert((const uint8_t *)r.data >= buf &&
				  (const uint8_t *)r.data + r.data_size <= buf + n);
		if (gofer_reply_decode(&p, buf, n) == 0 && p.data_size)
			cr_assert((const uint8_t *)p.data >= buf &&
				  (const uint8_t *)p.data + p.data_size <= buf + n);
	}
}

Test(wire, entries_come_back_the_same)
{
	struct gofer_entry e = {.attr = {.ino = 3, .mode = 0040755, .nlink = 2}, .cookie = 77}, r;
	char name[255];
	size_t n;

	memset(name, 'n', sizeof(name));
	e.name = gofer_name_of(name, sizeof(name));
	n = gofer_entry_put(buf, sizeof(buf), &e);
	cr_assert_eq(n, GOFER_ENTRY_MAX);
	cr_assert_eq(gofer_entry_get(buf, n, &r), (ssize_t)n);
	cr_assert(r.cookie == 77 && r.name.len == 255 && r.attr.mode == 0040755);
	cr_assert_eq(gofer_entry_get(buf, n - 1, &r), -EPROTO);
	cr_assert_eq(gofer_entry_put(buf, n - 1, &e), 0);
}
