/* mem.h: the contents of files that live in memory (memfs, memfd, shared anonymous mappings, System V
 * segments). A memfile is a sparse array of bytes. While nobody maps it, its pages come from the sandbox's
 * page pool and reading or writing is a memcpy without a host call; the first request to map it moves it
 * into a host memfd of its own, because a guest process may only ever hold a descriptor of something it may
 * map whole. Locks: one per memfile (rank MEM). */
#pragma once

#include "platform/base/attr.h"

struct memfile;

/* Bytes of all memfiles may not exceed max_bytes (0: no limit). Once at boot. */
void mem_init(uint64_t max_bytes);
uint64_t mem_used(void);
/* max_bytes as given to mem_init. */
uint64_t mem_limit(void);

MUST_CHECK int memfile_create(struct memfile **out);
void memfile_destroy(struct memfile *m);
/* Bytes read, short at size; holes read as zero. */
ssize_t memfile_read(struct memfile *m, void *dst, size_t n, uint64_t off);
/* Extends the size; bytes written before -ENOSPC/-ENOMEM, or that error. */
ssize_t memfile_write(struct memfile *m, const void *src, size_t n, uint64_t off);
uint64_t memfile_size(struct memfile *m);
MUST_CHECK int memfile_truncate(struct memfile *m, uint64_t size);
/* fallocate(2): allocate, punch, zero; the size is changed only by allocate without keep_size */
MUST_CHECK int memfile_allocate(struct memfile *m, uint64_t off, uint64_t n, bool keep_size);
MUST_CHECK int memfile_punch(struct memfile *m, uint64_t off, uint64_t n);
/* SEEK_DATA / SEEK_HOLE: an offset or -ENXIO */
int64_t memfile_seek(struct memfile *m, uint64_t off, bool data);
/* allocated bytes, for st_blocks */
uint64_t memfile_allocated(struct memfile *m);
/* A host descriptor whose offset 0 is the file's; borrowed, valid as long as m. From then on the file is
 * shared with every mapping of it. writable: shared mappings of it may write; else it is open for reading only,
 * as a guest process may be taken over and map what it is sent in another way. */
MUST_CHECK int memfile_host_fd(struct memfile *m, bool writable, int *fd);

/* For direct copies: a pointer to the bytes from off to the end of its page, or NULL for a hole or when the
 * file lives in a memfd that isn't mapped here. Valid until the memfile changes; caller holds the inode's
 * lock, which excludes writers (and memfile_host_fd, which whoever uses peek also calls under it). *avail:
 * bytes from there within the page. */
const void *memfile_peek(struct memfile *m, uint64_t off, size_t *avail);
