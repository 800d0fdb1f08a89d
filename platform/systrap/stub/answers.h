/* answers.h: answers that the sentry gave and the stub may give again: what a slot remembers of names and
 * descriptors. It lies in the slot, where the guest could change it: a guest that does so lies to itself. An
 * entry holds while its epoch is the slot's and its words (changes.h), which nobody but the sentry can write,
 * are what they were. Included by the stub and by the sentry. */
#pragma once

#include <stdint.h>

#include "platform/systrap/stub/shared.h"

#define ANSWER_WAYS 4
#define ANSWER_SETS 80
#define ANSWER_ROOM 320 /* what is answered, and the path behind it */
#define ANSWER_PATH 256 /* longest path, with a NUL and zeros up to a multiple of 8 */
#define ANSWER_DIRS 32

struct stub_answer_entry {
	uint64_t epoch;
	uint32_t hash, kind;
	uint64_t dir;
	uint32_t flags, mode;
	uint32_t path_len, out_size;
	uint32_t word[2];
	uint64_t value[2];
	uint64_t stamp;			/* the order of their coming */
	uint64_t room[ANSWER_ROOM / 8]; /* out_size bytes, then the path at the next multiple of 8 */
};

/* Descriptors that are directories. */
struct stub_answer_dir {
	uint64_t epoch, dir, value;
	uint32_t fd, word;
};

/* An open file whose reads and writes the stub may carry out. */
struct stub_file {
	uint64_t epoch;
	uint32_t fd, flags;	  /* LENT_* */
	uint64_t at;		  /* where its bytes from..end lie in this process */
	uint64_t from, end, size; /* size: of the file */
	uint64_t pos;		  /* LENT_POS: its position */
	uint32_t word[3], moved;  /* moved: pos was changed here */
	uint64_t value[3];
};

struct stub_answers {
	uint32_t used, pad; /* counts answers taken */
	uint64_t pad2;
	struct stub_answer_dir dirs[ANSWER_DIRS]; /* by descriptor */
	struct stub_file files[LENT_FILES];	  /* the same */
	struct stub_answer_entry sets[ANSWER_SETS][ANSWER_WAYS];
};

_Static_assert(sizeof(struct stub_answers) <= SLOT_SIZE - SLOT_ANSWERS, "room for answers");

/* Of the place alone: whatever is known of one lies in one set. */
static inline uint32_t answer_hash(uint64_t dir, const uint64_t *path, uint32_t len)
{
	uint64_t h = dir * 0x9e3779b97f4a7c15UL + len;

	for (uint32_t i = 0; i < len; i += 8) {
		h = (h ^ path[i / 8]) * 0xd6e8feb86659fd93UL;
		h ^= h >> 32;
	}
	return (uint32_t)(h ^ h >> 29);
}

static inline int answer_same_path(const uint64_t *a, const uint64_t *b, uint32_t len)
{
	for (uint32_t i = 0; i < len; i += 8)
		if (a[i / 8] != b[i / 8])
			return 0;
	return 1;
}
