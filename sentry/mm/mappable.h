/* mappable.h: what mm knows of a file: something with host descriptors to map. */
#pragma once

#include "platform/abi/types.h"
#include "platform/base/attr.h"

struct mappable;

struct mappable_ops {
	/* The host descriptor (borrowed, lives as long as the mappable) and the offset in it that back file
	 * offset off, for size bytes. for_write: a shared writable mapping is wanted: -EACCES if it can't
	 * be. Called without mm's lock; may wait for the gofer. -ENODEV: can't be mapped. */
	int (*host_fd)(struct mappable *m, uint64_t off, uint64_t size, bool for_write, int *fd,
		       uint64_t *fd_off);
	void (*get)(struct mappable *m);
	void (*put)(struct mappable *m);
	/* For /proc/pid/maps: device, inode, and the path into buf (always terminated). */
	void (*describe)(struct mappable *m, uint64_t *dev, uint64_t *ino, char *buf, size_t size);
	/* Optional: a mapping appeared (+1) or went (-1): for busy text, seals. +1 may come with mm's lock
	 * held: atomics only. shared_write: the mapping is shared and may be made writable. */
	void (*mapped)(struct mappable *m, int delta, bool shared_write);
	/* Optional: msync(MS_SYNC). */
	int (*sync)(struct mappable *m, uint64_t off, uint64_t size);
	/* Identity for shared futexes; stable for the mappable's life. */
	uint64_t (*identity)(struct mappable *m);
};

/* Embedded in the owner. */
struct mappable {
	const struct mappable_ops *ops;
};
