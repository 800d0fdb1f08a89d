/* volume.h: a disk that the host stores and cannot read, change, mix up or turn back.
 *
 * Every 4 KiB block is sealed with AES-256-GCM under a key of the volume; its place is in the additional data,
 * its IV is never used twice (number of the mount, which the anchor counts, and a counter of writes). IV, tag
 * and place on disk of all blocks are the leaves of a hash tree; the tree's root goes with every commit to the
 * anchor, the key broker's counter of this volume. What is on the disk is accepted when it is exactly what the
 * anchor has: a flipped, swapped, replayed or missing block fails when it is read, an older disk when it is
 * opened.
 *
 * Blocks are written to free places and old ones are kept until the anchor has the new root, so that a crash at
 * any moment leaves the last commit whole. Nothing that was written is promised before volume_commit() returns.
 *
 * One thread at a time per volume. Errors: -EBADMSG (not authentic), -ESTALE (not the anchor's state), -ENOSPC,
 * -EIO, those of the file and of the anchor. After a failed commit every call fails with -EIO: open it anew. */
#pragma once

#include "cvm-host/kbs/util.h"

#define VOLUME_BLOCK 4096u

/* Where epoch and root are kept, out of the host's reach. */
struct volume_anchor {
	/* root: 64 hex digits and NUL; "" at epoch 0 */
	int (*get)(void *arg, uint64_t *epoch, char root[65], struct err *e);
	/* From (epoch - 1, previous) to (epoch, root), or -ESTALE. */
	int (*advance)(void *arg, uint64_t epoch, const char *root, const char *previous, struct err *e);
	void *arg;
};

struct volume;

/* A new volume of `size` bytes (a multiple of 4096) in fd, an empty file or a device of volume_file_size(). The
 * anchor has to be at epoch 0. */
MUST_CHECK int volume_format(int fd, const uint8_t key[32], uint64_t size, const struct volume_anchor *a,
			     struct err *e);
uint64_t volume_file_size(uint64_t size);
/* fd and the anchor's arg are borrowed until volume_close(). The anchor moves on by one: a mount counts. */
MUST_CHECK int volume_open(int fd, const uint8_t key[32], const struct volume_anchor *a, struct volume **out,
			   struct err *e);
/* Drops what has not been committed. */
void volume_close(struct volume *v);

uint64_t volume_size(const struct volume *v);
uint64_t volume_epoch(const struct volume *v);
/* Any offset and size within the volume (-EINVAL otherwise). What was never written reads as zeros. */
MUST_CHECK int volume_read(struct volume *v, uint64_t offset, void *buf, size_t size, struct err *e);
MUST_CHECK int volume_write(struct volume *v, uint64_t offset, const void *buf, size_t size, struct err *e);
/* Whole blocks within the range become zeros and free. */
MUST_CHECK int volume_discard(struct volume *v, uint64_t offset, uint64_t size, struct err *e);
/* On disk and at the anchor when it returns 0. */
MUST_CHECK int volume_commit(struct volume *v, struct err *e);

/* Anchors: a file (for tools and tests: protects from nobody who can write it), and the broker's counter. */
struct volume_file_anchor {
	const char *path;
};
struct volume_anchor volume_anchor_file(struct volume_file_anchor *f);
struct kbs_client;
struct volume_broker_anchor {
	struct kbs_client *client;
	const char *name;
};
struct volume_anchor volume_anchor_broker(struct volume_broker_anchor *b);
