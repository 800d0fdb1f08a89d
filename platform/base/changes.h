/* changes.h: words that say whether an answer given earlier still holds. They lie in memory that guest
 * processes can read and only the sentry can write (or in the sentry's own, where a platform has no use for
 * them), so that a platform can repeat an answer in the kernel's place: it holds while the words that it was
 * given under are what they were.
 *
 * Who changes something says so around the change: in between the word is busy and nothing holds. Who gives an
 * answer reads the words first, and then finds out. No locks; from any thread. */
#pragma once

#include "platform/base/attr.h"
#include "platform/base/hash.h"

#define CHANGE_WORDS 2048u
#define CHANGE_NAMES                                                                                           \
	0u /* what names lead to, but for new ones: renames, removals, mounts, directories' rights */
#define CHANGE_CREATED	1u  /* a name was made */
#define CHANGE_WATCHES	2u  /* somebody wants to be told of each use of a file */
#define CHANGE_INODES	16u /* attributes or contents of an inode, by hash */
#define CHANGE_INODES_N 1008u
#define CHANGE_FDS	1024u /* what a descriptor of a table means, by hash */
#define CHANGE_FDS_N	1024u

#define CHANGE_BUSY 0xfffffULL /* changes under way */
#define CHANGE_STEP 0x100000ULL

static inline void change_begin(uint64_t *w)
{
	__atomic_fetch_add(w, 1, __ATOMIC_SEQ_CST);
}

static inline void change_end(uint64_t *w)
{
	__atomic_fetch_add(w, CHANGE_STEP - 1, __ATOMIC_SEQ_CST);
}

/* Both at once: the change is made already, and nobody could act upon it yet. */
static inline void change_mark(uint64_t *w)
{
	__atomic_fetch_add(w, CHANGE_STEP, __ATOMIC_SEQ_CST);
}

static inline uint64_t change_read(const uint64_t *w)
{
	return __atomic_load_n(w, __ATOMIC_SEQ_CST);
}

static inline uint32_t change_inode_word(const void *inode)
{
	return CHANGE_INODES + (uint32_t)(hash_u64((uintptr_t)inode) % CHANGE_INODES_N);
}

static inline uint32_t change_fd_word(const void *table, uint32_t fd)
{
	return CHANGE_FDS + (uint32_t)(hash_u64((uintptr_t)table + fd) % CHANGE_FDS_N);
}
