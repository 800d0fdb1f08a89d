/* cpio.h: archives of the "newc" form (Linux: Documentation/driver-api/early-userspace/buffer-format.rst),
 * written so that the same input gives the same bytes: sorted by path, times, owners, devices and inode numbers
 * fixed. And read back, by the guest, from a disk that the host stores. */
#pragma once

#include "cvm-host/kbs/util.h"

#define CPIO_NAME_MAX 4096u

struct cpio_entry {
	char *path;	  /* without a leading slash; owned */
	uint32_t mode;	  /* with type */
	struct blob data; /* a file's content, a link's target */
};
struct cpio_tree {
	struct cpio_entry *entry;
	size_t count, room;
};
void cpio_add(struct cpio_tree *t, const char *path, uint32_t mode, const void *data, size_t size);
/* Everything below dir: folders, files and links; others are refused (-EINVAL). Modes keep only what is
 * executable: 0755, 0644, and 0777 of links; owner root. */
MUST_CHECK int cpio_add_dir(struct cpio_tree *t, const char *dir, const char *prefix, struct err *e);
/* Sorts. A path twice, or one whose folder is missing, is -EINVAL. Padded to 512 bytes. */
MUST_CHECK int cpio_write(struct cpio_tree *t, struct blob *out, struct err *e);
void cpio_free(struct cpio_tree *t);

/* Takes an archive apart, entry by entry in its order; entries borrow from data. Paths are relative, without
 * "." and ".."; only files, folders and links. -EBADMSG otherwise; what each() answers if that is no 0. */
struct cpio_view {
	const char *path; /* NUL-terminated */
	uint32_t mode;
	const uint8_t *data;
	size_t size;
};
MUST_CHECK int cpio_read(const void *data, size_t size, int (*each)(void *arg, const struct cpio_view *v),
			 void *arg);
/* Root of the hash tree over blocks of 4096 bytes (merkle.h; the last block as long as it is): what a
 * manifest's image.root-hash is. */
void image_root(const void *data, size_t size, uint8_t out[32]);
