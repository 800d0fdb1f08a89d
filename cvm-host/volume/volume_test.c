/* volume_test.c: what is written comes back; every flip, swap, replay and rollback is refused; a crash at any
 * moment leaves the last commit; sealed logs. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cvm-host/kbs/jose.h"
#include "cvm-host/volume/internal.h"
#include "cvm-host/volume/sealedlog.h"

#define BLOCKS 600u /* five nodes below one */
#define SIZE   ((uint64_t)BLOCKS * VOLUME_BLOCK)

static const uint8_t key[32] = {1, 2, 3, 4};

/* An anchor in memory, which can lose its reply or refuse. */
struct memory_anchor {
	uint64_t epoch;
	char root[65];
	bool refuse, lose;
};

static int memory_get(void *arg, uint64_t *epoch, char root[65], struct err *e)
{
	struct memory_anchor *m = arg;

	(void)e;
	*epoch = m->epoch;
	memcpy(root, m->root, 65);
	return 0;
}

static int memory_advance(void *arg, uint64_t epoch, const char *root, const char *previous, struct err *e)
{
	struct memory_anchor *m = arg;

	if (m->refuse)
		return err_set(e, -EPIPE, "no connection");
	if (epoch != m->epoch + 1 || strcmp(previous, m->root) != 0)
		return err_set(e, -ESTALE, "stale");
	m->epoch = epoch;
	memcpy(m->root, root, 65);
	return m->lose ? err_set(e, -EPIPE, "reply lost") : 0;
}

struct box {
	int fd;
	struct memory_anchor m;
	struct volume_anchor a;
	struct volume *v;
	struct err e;
};

static void reopen(struct box *b)
{
	volume_close(b->v);
	b->v = NULL;
	cr_assert_eq(volume_open(b->fd, key, &b->a, &b->v, &b->e), 0, "%s", b->e.text);
}

static void box_init(struct box *b)
{
	memset(b, 0, sizeof(*b));
	b->fd = memfd_create("volume", MFD_CLOEXEC);
	b->a = (struct volume_anchor){memory_get, memory_advance, &b->m};
	cr_assert_eq(volume_format(b->fd, key, SIZE, &b->a, &b->e), 0, "%s", b->e.text);
	reopen(b);
}

static void box_fini(struct box *b)
{
	volume_close(b->v);
	close(b->fd);
}

static void fill(uint8_t *buf, size_t size, unsigned seed)
{
	for (size_t i = 0; i < size; i++) {
		seed = seed * 1103515245 + 12345;
		buf[i] = (uint8_t)(seed >> 16);
	}
}

static void write_block(struct box *b, uint64_t block, unsigned seed)
{
	uint8_t buf[VOLUME_BLOCK];

	fill(buf, sizeof(buf), seed);
	cr_assert_eq(volume_write(b->v, block * VOLUME_BLOCK, buf, sizeof(buf), &b->e), 0, "%s", b->e.text);
}

/* 0, or volume_read's error; aborts on other contents. */
static int check_block(struct box *b, uint64_t block, unsigned seed)
{
	uint8_t buf[VOLUME_BLOCK], want[VOLUME_BLOCK] = {0};
	int ret = volume_read(b->v, block * VOLUME_BLOCK, buf, sizeof(buf), &b->e);

	if (ret)
		return ret;
	if (seed)
		fill(want, sizeof(want), seed);
	cr_assert_arr_eq(buf, want, sizeof(want), "block %lu", block);
	return 0;
}

static void commit(struct box *b)
{
	cr_assert_eq(volume_commit(b->v, &b->e), 0, "%s", b->e.text);
}

Test(volume, what_is_written_comes_back)
{
	struct box b;
	uint8_t *model = xcalloc(1, SIZE), *buf = xcalloc(1, SIZE);
	unsigned seed = 7;

	box_init(&b);
	for (int round = 0; round < 400; round++) {
		uint64_t off = (seed = seed * 1103515245 + 12345) % SIZE;
		size_t n = (seed >> 8) % (round % 10 ? 9000 : 400000);

		n = MIN(n, (size_t)(SIZE - off));
		fill(buf, n, seed);
		memcpy(model + off, buf, n);
		cr_assert_eq(volume_write(b.v, off, buf, n, &b.e), 0, "%s", b.e.text);
		if (round % 50 == 49) {
			commit(&b);
			reopen(&b);
		}
		off = (seed >> 4) % SIZE;
		n = MIN((size_t)60000, (size_t)(SIZE - off));
		cr_assert_eq(volume_read(b.v, off, buf, n, &b.e), 0, "%s", b.e.text);
		cr_assert(!memcmp(buf, model + off, n), "round %d", round);
	}
	cr_assert_eq(volume_discard(b.v, 0, SIZE, &b.e), 0);
	commit(&b);
	reopen(&b);
	cr_assert_eq(b.v->free_count + 2 + b.v->count[0] + 1, b.v->s.places,
		     "everything but the nodes is free again");
	cr_assert_eq(check_block(&b, 5, 0), 0);
	cr_assert_eq(volume_read(b.v, SIZE, buf, 1, &b.e), -EINVAL);
	cr_assert_eq(volume_write(b.v, SIZE - 1, buf, 2, &b.e), -EINVAL);
	cr_assert_eq(volume_write(b.v, UINT64_MAX, buf, 2, &b.e), -EINVAL);
	box_fini(&b);
	free(model);
	free(buf);
}

Test(volume, nothing_is_in_the_clear_and_no_iv_is_used_twice)
{
	struct box b;
	struct blob file = {0};
	static uint8_t ivs[4000][12];
	size_t count = 0;

	box_init(&b);
	for (int round = 0; round < 6; round++) {
		static const char secret[] = "this is very secret text";

		for (int i = 0; i < 4; i++)
			cr_assert_eq(
				volume_write(b.v, (uint64_t)i * VOLUME_BLOCK, secret, sizeof(secret), NULL), 0);
		if (round % 3)
			commit(&b); /* else: dropped, as by a crash */
		for (int i = 0; i < 4; i++)
			memcpy(ivs[count++], b.v->nodes[0][0]->data + (unsigned)i * ENTRY_SIZE + 4, 12);
		reopen(&b);
		blob_room(&file, volume_file_size(SIZE));
		cr_assert_eq(pread(b.fd, file.data, file.size, 0), (ssize_t)file.size);
		cr_assert_null(memmem(file.data, file.size, secret, 12));
	}
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < i; j++)
			cr_assert(memcmp(ivs[i], ivs[j], 12) != 0);
	blob_free(&file);
	box_fini(&b);
}

Test(volume, every_flipped_byte_is_refused)
{
	struct box b;
	size_t places, refused = 0;

	box_init(&b);
	for (unsigned i = 0; i < 20; i++)
		write_block(&b, i, i + 1);
	commit(&b);
	places = b.v->s.places;
	volume_close(b.v);
	b.v = NULL;
	for (size_t p = 0; p < places; p++) {
		for (size_t at = p < 2 ? 0 : 1; at < VOLUME_BLOCK; at += p < 2 ? 7 : 1365) {
			struct memory_anchor m = b.m;
			uint8_t c, slots[2 * VOLUME_BLOCK];
			bool bad = false;

			cr_assert_eq(pread(b.fd, slots, sizeof(slots), 0), (ssize_t)sizeof(slots));
			cr_assert_eq(pread(b.fd, &c, 1, (off_t)(p * VOLUME_BLOCK + at)), 1);
			c ^= 0x10;
			cr_assert_eq(pwrite(b.fd, &c, 1, (off_t)(p * VOLUME_BLOCK + at)), 1);
			bad = volume_open(b.fd, key, &b.a, &b.v, &b.e) < 0;
			for (unsigned i = 0; i < 20 && !bad; i++)
				bad = check_block(&b, i, i + 1) == -EBADMSG; /* anything read is right */
			refused += bad;
			volume_close(b.v);
			b.v = NULL;
			c ^= 0x10;
			b.m = m;
			cr_assert_eq(pwrite(b.fd, slots, sizeof(slots), 0), (ssize_t)sizeof(slots));
			cr_assert_eq(pwrite(b.fd, &c, 1, (off_t)(p * VOLUME_BLOCK + at)), 1);
		}
	}
	/* 20 data blocks and 2 nodes of 3 bytes each; the superblock in force, looked at every 7 bytes */
	cr_assert_geq(refused, 22u * 3 + VOLUME_BLOCK / 7, "%zu", refused);
	box_fini(&b);
}

/* The place of a data block, from the tree in memory. */
static off_t place_of(struct box *b, uint64_t block)
{
	uint32_t p;

	memcpy(&p, b->v->nodes[0][block / FAN]->data + block % FAN * ENTRY_SIZE, 4);
	return (off_t)p * VOLUME_BLOCK;
}

Test(volume, swapped_and_replayed_blocks_are_refused)
{
	uint8_t x[VOLUME_BLOCK], y[VOLUME_BLOCK];
	struct box b;
	off_t px, py;

	box_init(&b);
	write_block(&b, 1, 10);
	write_block(&b, 2, 20);
	commit(&b);
	px = place_of(&b, 1);
	py = place_of(&b, 2);
	cr_assert(pread(b.fd, x, sizeof(x), px) > 0 && pread(b.fd, y, sizeof(y), py) > 0);
	cr_assert(pwrite(b.fd, y, sizeof(y), px) > 0 && pwrite(b.fd, x, sizeof(x), py) > 0);
	cr_assert_eq(check_block(&b, 1, 10), -EBADMSG);
	cr_assert_eq(check_block(&b, 2, 20), -EBADMSG);
	cr_assert(pwrite(b.fd, x, sizeof(x), px) > 0 && pwrite(b.fd, y, sizeof(y), py) > 0);
	cr_assert_eq(check_block(&b, 1, 10), 0);
	/* the block's older contents, genuine at their time, in its new place */
	write_block(&b, 1, 11);
	commit(&b);
	cr_assert_neq(place_of(&b, 1), px);
	cr_assert(pwrite(b.fd, x, sizeof(x), place_of(&b, 1)) > 0);
	cr_assert_eq(check_block(&b, 1, 11), -EBADMSG);
	box_fini(&b);
}

Test(volume, an_older_disk_is_refused)
{
	struct blob old = {0}, older_slots = {0};
	struct volume *v = NULL;
	struct box b;

	box_init(&b);
	write_block(&b, 3, 30);
	commit(&b);
	blob_room(&old, volume_file_size(SIZE));
	cr_assert_eq(pread(b.fd, old.data, old.size, 0), (ssize_t)old.size);
	write_block(&b, 3, 31);
	commit(&b);
	blob_room(&older_slots, 2 * VOLUME_BLOCK);
	cr_assert(pread(b.fd, older_slots.data, older_slots.size, 0) > 0);
	write_block(&b, 4, 40);
	commit(&b);
	write_block(&b, 4, 41);
	commit(&b);
	volume_close(b.v);
	b.v = NULL;
	/* only the superblocks */
	cr_assert(pwrite(b.fd, older_slots.data, older_slots.size, 0) > 0);
	cr_assert_eq(volume_open(b.fd, key, &b.a, &v, &b.e), -ESTALE);
	cr_assert_not_null(strstr(b.e.text, "older"), "%s", b.e.text);
	/* the whole disk */
	cr_assert(pwrite(b.fd, old.data, old.size, 0) > 0);
	cr_assert_eq(volume_open(b.fd, key, &b.a, &v, &b.e), -ESTALE);
	blob_free(&old);
	blob_free(&older_slots);
	box_fini(&b);
}

Test(volume, another_key_or_disk_is_refused_and_a_volume_is_made_once)
{
	uint8_t other[32] = {9};
	struct volume *v = NULL;
	struct box a, b;

	box_init(&a);
	box_init(&b);
	volume_close(a.v);
	a.v = NULL;
	cr_assert_eq(volume_open(a.fd, other, &a.a, &v, &a.e), -EBADMSG);
	cr_assert_eq(volume_open(b.fd, key, &a.a, &v, &a.e), -ESTALE, "b's disk with a's counter");
	cr_assert_eq(volume_format(a.fd, key, SIZE, &a.a, &a.e), -EEXIST);
	reopen(&a);
	cr_assert_eq(volume_open(a.fd, key, &a.a, &v, &a.e), 0, "a second mount wins");
	write_block(&a, 1, 1);
	cr_assert_eq(volume_commit(a.v, &a.e), -ESTALE, "the first one is out");
	cr_assert_eq(volume_read(a.v, 0, other, 1, &a.e), -EIO);
	volume_close(v);
	box_fini(&a);
	box_fini(&b);
}

Test(volume, a_crash_at_any_moment_leaves_a_whole_commit)
{
	struct box b;

	box_init(&b);
	write_block(&b, 7, 70);
	commit(&b);
	for (unsigned i = 0; i < 12; i++) { /* written and not committed */
		for (unsigned k = 0; k < 50; k++)
			write_block(&b, 7 + k, 1000 + i * 50 + k);
		reopen(&b);
		cr_assert_eq(check_block(&b, 7, 70), 0);
		cr_assert_eq(check_block(&b, 8, 0), 0);
	}
	write_block(&b, 7, 71); /* on disk, but the anchor never heard of it */
	b.m.refuse = true;
	cr_assert_eq(volume_commit(b.v, &b.e), -EPIPE);
	cr_assert_eq(volume_write(b.v, 0, "x", 1, &b.e), -EIO);
	b.m.refuse = false;
	reopen(&b);
	cr_assert_eq(check_block(&b, 7, 70), 0);
	write_block(&b, 7, 72); /* the anchor has it, and we never heard */
	b.m.lose = true;
	cr_assert_eq(volume_commit(b.v, &b.e), -EPIPE);
	b.m.lose = false;
	reopen(&b);
	cr_assert_eq(check_block(&b, 7, 72), 0);
	box_fini(&b);
}

Test(volume, a_full_volume_can_be_written_again_and_again)
{
	struct box b;
	uint8_t *buf = xcalloc(1, SIZE), *got = xcalloc(1, SIZE);

	box_init(&b);
	for (unsigned round = 1; round <= 5; round++) {
		fill(buf, SIZE, round);
		cr_assert_eq(volume_write(b.v, 0, buf, SIZE, &b.e), 0, "round %u: %s", round, b.e.text);
		if (round % 2)
			commit(&b);
	}
	commit(&b);
	reopen(&b);
	cr_assert_eq(volume_read(b.v, 0, got, SIZE, &b.e), 0, "%s", b.e.text);
	cr_assert(!memcmp(buf, got, SIZE));
	free(buf);
	free(got);
	box_fini(&b);
}

/* ---- sealed logs
 * ------------------------------------------------------------------------------------------------- */

struct lines {
	unsigned count;
	struct blob text;
};

static void take(void *arg, const void *text, size_t size)
{
	struct lines *l = arg;

	l->count++;
	blob_add(&l->text, text, size);
}

static struct blob make_log(EVP_PKEY *owner, unsigned count, bool finish)
{
	int fd = memfd_create("log", MFD_CLOEXEC);
	struct sealed_log *l = NULL;
	struct blob b = {0};
	char line[40];

	cr_assert_eq(sealed_log_create(fd, owner, &l, NULL), 0);
	for (unsigned i = 0; i < count; i++) {
		snprintf(line, sizeof(line), "line %u secret\n", i);
		cr_assert_eq(sealed_log_write(l, line, strlen(line), NULL), 0);
	}
	if (finish)
		cr_assert_eq(sealed_log_finish(l, NULL), 0);
	else
		free(l);
	blob_room(&b, (size_t)lseek(fd, 0, SEEK_END));
	cr_assert_eq(pread(fd, b.data, b.size, 0), (ssize_t)b.size);
	close(fd);
	return b;
}

static int read_log(const struct blob *b, EVP_PKEY *owner, unsigned *count, bool *closed)
{
	struct lines l = {0};
	int ret = sealed_log_read(b->data, b->size, owner, take, &l, closed, NULL);

	*count = l.count;
	blob_free(&l.text);
	return ret;
}

Test(sealedlog, the_owner_reads_it_and_nobody_else)
{
	EVP_PKEY *owner = key_generate_ec("P-256"), *other = key_generate_ec("P-256");
	struct blob b = make_log(owner, 5, true);
	unsigned n;
	bool closed;

	cr_assert_eq(read_log(&b, owner, &n, &closed), 0);
	cr_assert(n == 5 && closed);
	cr_assert_null(memmem(b.data, b.size, "secret", 6));
	cr_assert_lt(read_log(&b, other, &n, &closed), 0);
	cr_assert_eq(n, 0);
	blob_free(&b);
	b = make_log(owner, 5, false);
	cr_assert_eq(read_log(&b, owner, &n, &closed), 0);
	cr_assert(n == 5 && !closed);
	blob_free(&b);
	EVP_PKEY_free(owner);
	EVP_PKEY_free(other);
}

Test(sealedlog, no_byte_can_change_and_no_record_go)
{
	EVP_PKEY *owner = key_generate_ec("P-256");
	struct blob b = make_log(owner, 6, true), other = make_log(owner, 6, true);
	size_t record = 4 + LOG_PAD + 16, head = b.size - 7 * record;
	unsigned n;
	bool closed;

	for (size_t i = 0; i < b.size; i += 3) {
		b.data[i] ^= 4;
		cr_assert_lt(read_log(&b, owner, &n, &closed), 0, "byte %zu", i);
		b.data[i] ^= 4;
	}
	for (unsigned drop = 0; drop < 7; drop++) {
		struct blob cut = {0};

		blob_add(&cut, b.data, head + drop * record);
		blob_add(&cut, b.data + head + (drop + 1) * record, (6 - drop) * record);
		if (drop == 6) {
			cr_assert_eq(read_log(&cut, owner, &n, &closed), 0);
			cr_assert_not(closed, "a cut-off end shows");
		} else {
			cr_assert_eq(read_log(&cut, owner, &n, &closed), -EBADMSG);
			cr_assert_eq(n, drop);
		}
		blob_free(&cut);
	}
	/* a record of another log of the same owner, in the same place */
	memcpy(b.data + head + 2 * record, other.data + other.size - 7 * record + 2 * record, record);
	cr_assert_eq(read_log(&b, owner, &n, &closed), -EBADMSG);
	cr_assert_eq(n, 2);
	blob_free(&b);
	blob_free(&other);
	EVP_PKEY_free(owner);
}
