/* merkle.h: the hash tree of RFC 6962 section 2.1 (SHA-256): roots, audit paths, consistency proofs, and their
 * verification. Pure; leaves are given by their hashes. */
#pragma once

#include "cvm-host/kbs/util.h"

#define MERKLE_PROOF_MAX 64 /* hashes: more than 2^63 leaves have */

struct merkle_hash {
	uint8_t b[32];
};
struct merkle_proof {
	struct merkle_hash hash[MERKLE_PROOF_MAX];
	size_t count;
};

void merkle_leaf(const void *data, size_t size, struct merkle_hash *out);
void merkle_node(const struct merkle_hash *l, const struct merkle_hash *r, struct merkle_hash *out);
/* Of the first n leaves; n may be 0 (the hash of nothing). */
void merkle_root(const struct merkle_hash *leaves, uint64_t n, struct merkle_hash *out);
/* That leaf `index` is in the tree of the first n leaves (index < n). */
void merkle_path(const struct merkle_hash *leaves, uint64_t n, uint64_t index, struct merkle_proof *out);
bool merkle_path_ok(const struct merkle_hash *leaf, uint64_t index, uint64_t n, const struct merkle_proof *p,
		    const struct merkle_hash *root);
/* That the tree of m leaves is the beginning of the tree of n (0 < m <= n). */
void merkle_consistency(const struct merkle_hash *leaves, uint64_t m, uint64_t n, struct merkle_proof *out);
bool merkle_consistency_ok(uint64_t m, uint64_t n, const struct merkle_hash *root_m,
			   const struct merkle_hash *root_n, const struct merkle_proof *p);
