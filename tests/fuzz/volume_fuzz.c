/* volume_fuzz.c: a disk and a sealed log that the host made up. The anchor is asked to accept whatever
 * superblock there is, so that the tree behind it is read as well: nothing may be read past, and nothing but
 * zeros and genuine blocks comes out. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cvm-host/kbs/jose.h"
#include "cvm-host/volume/internal.h"
#include "cvm-host/volume/sealedlog.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t key[32] = {7};
static uint64_t epoch;
static char root[65];

static int get(void *arg, uint64_t *n, char r[65], struct err *e)
{
	(void)arg;
	(void)e;
	*n = epoch;
	memcpy(r, root, 65);
	return 0;
}

static int advance(void *arg, uint64_t n, const char *r, const char *previous, struct err *e)
{
	(void)arg;
	(void)e;
	(void)previous;
	epoch = n;
	memcpy(root, r, 65);
	return 0;
}

static void line(void *arg, const void *text, size_t size)
{
	(void)arg;
	(void)text;
	if (size > LOG_RECORD)
		abort();
}

/* A genuine disk of 300 blocks with some written; the input is laid over it in pieces of le16 place, le16
 * offset, le8 size. */
static void disk(const uint8_t *p, size_t size)
{
	static const struct volume_anchor a = {get, advance, NULL};
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	uint8_t buf[VOLUME_BLOCK], want[VOLUME_BLOCK];
	struct volume *v = NULL;

	epoch = 0;
	root[0] = 0;
	if (volume_format(fd, key, 300 * VOLUME_BLOCK, &a, NULL) < 0 || volume_open(fd, key, &a, &v, NULL) < 0)
		abort();
	memset(want, 0x5a, sizeof(want));
	for (uint64_t i = 0; i < 300; i += 37)
		if (volume_write(v, i * VOLUME_BLOCK, want, sizeof(want), NULL) < 0)
			abort();
	if (volume_commit(v, NULL) < 0)
		abort();
	volume_close(v);
	v = NULL;
	while (size > 5) {
		size_t place = p[0] | (size_t)(p[1] & 1) << 8, at = (p[2] | (size_t)p[3] << 8) % VOLUME_BLOCK;
		size_t n = MIN((size_t)p[4], size - 5);

		if (pwrite(fd, p + 5, n, (off_t)(place * VOLUME_BLOCK + at)) < 0)
			abort();
		p += 5 + n;
		size -= 5 + n;
	}
	if (volume_open(fd, key, &a, &v, NULL) == 0) {
		for (uint64_t i = 0; i < 300; i++) {
			if (volume_read(v, i * VOLUME_BLOCK, buf, sizeof(buf), NULL) < 0)
				continue;
			memset(want, i % 37 ? 0 : 0x5a, sizeof(want));
			if (memcmp(buf, want, sizeof(buf)) != 0)
				abort();
		}
		volume_close(v);
	}
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static EVP_PKEY *owner;
	bool closed;

	if (!owner)
		owner = key_generate_ec("P-256");
	if (!size)
		return 0;
	if (*data & 1)
		disk(data + 1, size - 1);
	else
		(void)!sealed_log_read(data + 1, size - 1, owner, line, NULL, &closed, NULL);
	return 0;
}
