/* volume.c: opening, reading, writing, committing. */
#include "cvm-host/volume/volume.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cvm-host/volume/internal.h"
#include "platform/base/bytes.h"

#define AAD_SIZE 24 /* id, le64 block */

/* ---- sealing one block
 * ------------------------------------------------------------------------------------------ */

static void make_aad(const struct volume *v, uint64_t block, uint8_t aad[AAD_SIZE])
{
	memcpy(aad, v->s.id, 16);
	put_le64(aad + 16, block);
}

/* entry gets IV and tag; its place stays. */
static int seal_block(struct volume *v, uint64_t block, const uint8_t *plain, uint8_t *cipher, uint8_t *entry)
{
	uint8_t aad[AAD_SIZE], *iv = entry + 4, *tag = entry + 16;
	int n;

	make_aad(v, block, aad);
	put_le32(iv, v->s.mount);
	put_le64(iv + 4, v->writes++);
	if (EVP_EncryptInit_ex(v->seal, NULL, NULL, NULL, iv) != 1 ||
	    EVP_EncryptUpdate(v->seal, NULL, &n, aad, AAD_SIZE) != 1 ||
	    EVP_EncryptUpdate(v->seal, cipher, &n, plain, VOLUME_BLOCK) != 1 ||
	    EVP_EncryptFinal_ex(v->seal, cipher + n, &n) != 1 ||
	    EVP_CIPHER_CTX_ctrl(v->seal, EVP_CTRL_AEAD_GET_TAG, 16, tag) != 1)
		return -EIO;
	return 0;
}

static int open_block(struct volume *v, uint64_t block, const uint8_t *cipher, uint8_t *plain, uint8_t *entry,
		      struct err *e)
{
	uint8_t aad[AAD_SIZE];
	int n;

	make_aad(v, block, aad);
	if (EVP_DecryptInit_ex(v->open, NULL, NULL, NULL, entry + 4) != 1 ||
	    EVP_DecryptUpdate(v->open, NULL, &n, aad, AAD_SIZE) != 1 ||
	    EVP_DecryptUpdate(v->open, plain, &n, cipher, VOLUME_BLOCK) != 1 ||
	    EVP_CIPHER_CTX_ctrl(v->open, EVP_CTRL_AEAD_SET_TAG, 16, entry + 16) != 1 ||
	    EVP_DecryptFinal_ex(v->open, plain + n, &n) != 1) {
		OPENSSL_cleanse(plain, VOLUME_BLOCK);
		return err_set(e, -EBADMSG, "block %llu does not authenticate", (unsigned long long)block);
	}
	return 0;
}

/* ---- reading
 * ------------------------------------------------------------------------------------------------------ */

static int entry_of(struct volume *v, uint64_t block, struct node **node, uint8_t **entry, struct err *e)
{
	int ret = tree_node(v, 0, block / FAN, node, e);

	if (!ret)
		*entry = (*node)->data + block % FAN * ENTRY_SIZE;
	return ret;
}

/* How many blocks from this one on lie one after the other on disk, at most max; all within one node. */
static uint64_t run_length(const uint8_t *entry, uint64_t block, uint64_t max)
{
	uint32_t place = get_le32(entry);
	uint64_t n = 1;

	max = MIN(MIN(max, (uint64_t)RUN_MAX), FAN - block % FAN);
	while (n < max && place && get_le32(entry + n * ENTRY_SIZE) == place + n)
		n++;
	return n;
}

static int read_blocks(struct volume *v, uint64_t block, uint64_t count, uint8_t *buf, struct err *e)
{
	while (count) {
		struct node *node;
		uint8_t *entry;
		uint64_t n;
		int ret = entry_of(v, block, &node, &entry, e);

		if (ret)
			return ret;
		n = run_length(entry, block, count);
		if (!get_le32(entry)) {
			memset(buf, 0, VOLUME_BLOCK);
		} else {
			ret = volume_file_read(v->fd, v->run, n * VOLUME_BLOCK, get_le32(entry), e);
			for (uint64_t i = 0; i < n && !ret; i++)
				ret = open_block(v, block + i, v->run + i * VOLUME_BLOCK,
						 buf + i * VOLUME_BLOCK, entry + i * ENTRY_SIZE, e);
			if (ret)
				return ret;
		}
		tree_trim(v);
		block += n;
		count -= n;
		buf += n * VOLUME_BLOCK;
	}
	return 0;
}

static int check_range(const struct volume *v, uint64_t offset, uint64_t size, struct err *e)
{
	if (v->failed)
		return err_set(e, -EIO, "a commit has failed: the volume has to be opened anew");
	if (offset > volume_size(v) || size > volume_size(v) - offset)
		return err_set(e, -EINVAL, "outside the volume");
	return 0;
}

int volume_read(struct volume *v, uint64_t offset, void *buf, size_t size, struct err *e)
{
	uint8_t part[VOLUME_BLOCK], *p = buf;
	int ret = check_range(v, offset, size, e);

	while (!ret && size) {
		size_t skip = offset % VOLUME_BLOCK, n = MIN(size, VOLUME_BLOCK - skip);

		if (!skip && size >= VOLUME_BLOCK) {
			n = size / VOLUME_BLOCK * VOLUME_BLOCK;
			ret = read_blocks(v, offset / VOLUME_BLOCK, n / VOLUME_BLOCK, p, e);
		} else {
			ret = read_blocks(v, offset / VOLUME_BLOCK, 1, part, e);
			memcpy(p, part + skip, n);
		}
		p += n;
		offset += n;
		size -= n;
	}
	OPENSSL_cleanse(part, sizeof(part));
	return ret;
}

/* ---- writing
 * ------------------------------------------------------------------------------------------------------ */

/* Places for count blocks; when they run out, a commit frees what the last ones replaced. */
static int make_room(struct volume *v, uint64_t count, struct err *e)
{
	/* a commit needs a place for every node that may be dirty, at worst one a level and block */
	uint64_t want = count + count * v->levels + 2 * v->levels + v->count[0] / 8;

	if (v->free_count >= want)
		return 0;
	if (v->old_count) {
		int ret = volume_commit(v, e);

		if (ret)
			return ret;
	}
	return v->free_count > count + 2 * v->levels ? 0 : err_set(e, -ENOSPC, "the volume has no place left");
}

/* count blocks of one node, sealed into v->run and written where places are next to each other. */
static int write_run(struct volume *v, uint64_t block, uint64_t count, const uint8_t *buf, struct err *e)
{
	uint32_t places[RUN_MAX];
	struct node *node;
	uint8_t *entry;
	int ret = entry_of(v, block, &node, &entry, e);

	for (uint64_t i = 0; i < count && !ret; i++) {
		ret = place_take(v, &places[i]);
		if (!ret)
			ret = seal_block(v, block + i, buf + i * VOLUME_BLOCK, v->run + i * VOLUME_BLOCK,
					 entry + i * ENTRY_SIZE);
		if (ret)
			return err_set(e, ret, "block %llu could not be sealed",
				       (unsigned long long)(block + i));
		place_drop(v, get_le32(entry + i * ENTRY_SIZE));
		put_le32(entry + i * ENTRY_SIZE, places[i]);
		node->dirty = v->changed = true;
	}
	for (uint64_t i = 0, n; i < count && !ret; i += n) {
		for (n = 1; i + n < count && places[i + n] == places[i] + n; n++)
			;
		ret = volume_file_write(v->fd, v->run + i * VOLUME_BLOCK, n * VOLUME_BLOCK, places[i], e);
	}
	return ret;
}

static int write_blocks(struct volume *v, uint64_t block, uint64_t count, const uint8_t *buf, struct err *e)
{
	int ret = 0;

	while (count && !ret) {
		uint64_t n = MIN(MIN(count, (uint64_t)RUN_MAX), FAN - block % FAN);

		ret = make_room(v, n, e);
		if (!ret && (ret = write_run(v, block, n, buf, e)) < 0)
			v->failed = true; /* entries and disk may disagree */
		tree_trim(v);
		block += n;
		count -= n;
		buf += n * VOLUME_BLOCK;
	}
	return ret;
}

int volume_write(struct volume *v, uint64_t offset, const void *buf, size_t size, struct err *e)
{
	uint8_t part[VOLUME_BLOCK];
	const uint8_t *p = buf;
	int ret = check_range(v, offset, size, e);

	while (!ret && size) {
		size_t skip = offset % VOLUME_BLOCK, n = MIN(size, VOLUME_BLOCK - skip);

		if (!skip && size >= VOLUME_BLOCK) {
			n = size / VOLUME_BLOCK * VOLUME_BLOCK;
			ret = write_blocks(v, offset / VOLUME_BLOCK, n / VOLUME_BLOCK, p, e);
		} else {
			ret = read_blocks(v, offset / VOLUME_BLOCK, 1, part, e);
			memcpy(part + skip, p, n);
			if (!ret)
				ret = write_blocks(v, offset / VOLUME_BLOCK, 1, part, e);
		}
		p += n;
		offset += n;
		size -= n;
	}
	OPENSSL_cleanse(part, sizeof(part));
	return ret;
}

int volume_discard(struct volume *v, uint64_t offset, uint64_t size, struct err *e)
{
	uint64_t block = (offset + VOLUME_BLOCK - 1) / VOLUME_BLOCK, end = (offset + size) / VOLUME_BLOCK;
	int ret = check_range(v, offset, size, e);

	for (; !ret && block < end; block++) {
		struct node *node;
		uint8_t *entry;

		ret = entry_of(v, block, &node, &entry, e);
		if (!ret && get_le32(entry)) {
			place_drop(v, get_le32(entry));
			memset(entry, 0, ENTRY_SIZE);
			node->dirty = v->changed = true;
		}
		tree_trim(v);
	}
	return ret;
}

/* ---- committing
 * ----------------------------------------------------------------------------------------------------- */

/* The superblock of the next epoch, then the anchor. Until the anchor has it, the other superblock counts. */
static int step_epoch(struct volume *v, struct err *e)
{
	uint8_t block[VOLUME_BLOCK];
	char root[65];
	int ret;

	v->s.epoch++;
	volume_super_write(v, block);
	volume_root_of(block, root);
	if (fdatasync(v->fd) < 0)
		return err_set(e, -errno, "the volume could not be synced: %s", strerror(errno));
	ret = volume_file_write(v->fd, block, sizeof(block), v->s.epoch % 2, e);
	if (!ret && fdatasync(v->fd) < 0)
		ret = err_set(e, -errno, "the volume could not be synced: %s", strerror(errno));
	if (!ret)
		ret = v->anchor.advance(v->anchor.arg, v->s.epoch, root, v->root, e);
	if (!ret) {
		memcpy(v->root, root, sizeof(root));
		places_committed(v);
	}
	return ret;
}

int volume_commit(struct volume *v, struct err *e)
{
	int ret = check_range(v, 0, 0, e);

	if (ret || !v->changed)
		return ret;
	ret = tree_flush(v, e);
	if (!ret)
		ret = step_epoch(v, e);
	if (ret)
		v->failed = true;
	else
		v->changed = false;
	return ret;
}

/* ---- opening
 * -------------------------------------------------------------------------------------------------------- */

uint64_t volume_file_size(uint64_t size)
{
	uint64_t blocks = size / VOLUME_BLOCK, nodes = blocks / (FAN - 1) + LEVELS_MAX;

	/* room for an eighth, and every node, to be written anew before the old ones are free */
	return (FIRST_PLACE + blocks + blocks / 8 + 2 * nodes + 256) * VOLUME_BLOCK;
}

uint64_t volume_size(const struct volume *v)
{
	return v->s.blocks * VOLUME_BLOCK;
}

uint64_t volume_epoch(const struct volume *v)
{
	return v->s.epoch;
}

void volume_close(struct volume *v)
{
	if (!v)
		return;
	tree_fini(v);
	EVP_CIPHER_CTX_free(v->seal);
	EVP_CIPHER_CTX_free(v->open);
	OPENSSL_cleanse(v, sizeof(*v));
	free(v);
}

int volume_format(int fd, const uint8_t key[32], uint64_t size, const struct volume_anchor *a, struct err *e)
{
	struct volume *v = xcalloc(1, sizeof(*v));
	char root[65];
	uint64_t epoch;
	int ret = a->get(a->arg, &epoch, root, e);

	v->fd = fd;
	v->anchor = *a;
	v->s.blocks = size / VOLUME_BLOCK;
	v->s.places = (uint32_t)(volume_file_size(size) / VOLUME_BLOCK);
	if (!ret && epoch)
		ret = err_set(e, -EEXIST, "this volume has been made before: its counter is at %llu",
			      (unsigned long long)epoch);
	if (!ret && (size % VOLUME_BLOCK || !size || size / VOLUME_BLOCK > UINT32_MAX / 4))
		ret = err_set(e, -EINVAL, "the size is no multiple of %u, or too large", VOLUME_BLOCK);
	if (!ret && ftruncate(fd, (off_t)volume_file_size(size)) < 0 && errno != EINVAL)
		ret = err_set(e, -errno, "the volume's file: %s", strerror(errno));
	if (!ret)
		ret = random_fill(v->s.id, sizeof(v->s.id));
	if (!ret)
		ret = volume_keys(v, key);
	if (!ret)
		ret = tree_init(v, e);
	if (!ret)
		ret = step_epoch(v, e);
	volume_close(v);
	return ret;
}

/* The superblock that is the anchor's, or why there is none. */
static int find_super(struct volume *v, const uint8_t key[32], uint64_t epoch, const char *root, struct err *e)
{
	uint8_t block[2][VOLUME_BLOCK];
	uint64_t newest = 0;
	char have[65];
	int ret = volume_file_read(v->fd, block, sizeof(block), 0, e);

	for (int i = 0; i < 2 && !ret; i++) {
		struct super s;

		memcpy(v->s.id, block[i] + 8, 16);
		EVP_CIPHER_CTX_free(v->seal);
		EVP_CIPHER_CTX_free(v->open);
		ret = volume_keys(v, key);
		if (ret || volume_super_parse(v, block[i], &s) < 0)
			continue;
		newest = MAX(newest, s.epoch);
		volume_root_of(block[i], have);
		if (s.epoch == epoch && !strcmp(have, root)) {
			v->s = s;
			memcpy(v->root, have, sizeof(have));
			return 0;
		}
	}
	if (ret)
		return ret;
	if (!newest)
		return err_set(e, -EBADMSG, "no superblock is authentic: another disk, or another key");
	return err_set(e, -ESTALE,
		       "the disk is at epoch %llu, the broker's counter at %llu: an older or another disk",
		       (unsigned long long)newest, (unsigned long long)epoch);
}

int volume_open(int fd, const uint8_t key[32], const struct volume_anchor *a, struct volume **out,
		struct err *e)
{
	struct volume *v = xcalloc(1, sizeof(*v));
	char root[65];
	uint64_t epoch;
	int ret = a->get(a->arg, &epoch, root, e);

	v->fd = fd;
	v->anchor = *a;
	if (!ret && !epoch)
		ret = err_set(e, -ENOENT, "the broker knows no such volume");
	if (!ret)
		ret = find_super(v, key, epoch, root, e);
	if (!ret)
		ret = tree_init(v, e);
	if (!ret)
		ret = tree_scan(v, e);
	if (!ret) {
		/* the anchor gives every epoch out once, so no other mount has this number */
		v->s.mount = (uint32_t)(v->s.epoch + 1);
		ret = v->s.epoch + 1 > UINT32_MAX ? err_set(e, -EOVERFLOW, "the volume's epochs are used up")
						  : step_epoch(v, e);
	}
	if (ret) {
		volume_close(v);
		return ret;
	}
	*out = v;
	return 0;
}
