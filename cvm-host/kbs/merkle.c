/* merkle.c: RFC 6962's tree. A tree of n leaves splits at the largest power of two below n. */
#include "cvm-host/kbs/merkle.h"

#include <string.h>

void merkle_leaf(const void *data, size_t size, struct merkle_hash *out)
{
	struct blob b = {0};

	blob_add(&b, "\0", 1);
	blob_add(&b, data, size);
	sha256_of(b.data, b.size, out->b);
	blob_free(&b);
}

void merkle_node(const struct merkle_hash *l, const struct merkle_hash *r, struct merkle_hash *out)
{
	uint8_t b[65] = {1};

	memcpy(b + 1, l->b, 32);
	memcpy(b + 33, r->b, 32);
	sha256_of(b, sizeof(b), out->b);
}

static uint64_t split(uint64_t n)
{
	return 1ULL << (63 - __builtin_clzll(n - 1));
}

void merkle_root(const struct merkle_hash *leaves, uint64_t n, struct merkle_hash *out)
{
	struct merkle_hash l, r;
	uint64_t k;

	if (!n) {
		sha256_of("", 0, out->b);
		return;
	}
	if (n == 1) {
		*out = leaves[0];
		return;
	}
	k = split(n);
	merkle_root(leaves, k, &l);
	merkle_root(leaves + k, n - k, &r);
	merkle_node(&l, &r, out);
}

static void path(const struct merkle_hash *leaves, uint64_t n, uint64_t index, struct merkle_proof *p)
{
	uint64_t k;

	if (n <= 1)
		return;
	k = split(n);
	if (index < k) {
		path(leaves, k, index, p);
		merkle_root(leaves + k, n - k, &p->hash[p->count++]);
	} else {
		path(leaves + k, n - k, index - k, p);
		merkle_root(leaves, k, &p->hash[p->count++]);
	}
}

void merkle_path(const struct merkle_hash *leaves, uint64_t n, uint64_t index, struct merkle_proof *out)
{
	out->count = 0;
	path(leaves, n, index, out);
}

/* RFC 9162 section 2.1.3.2 */
bool merkle_path_ok(const struct merkle_hash *leaf, uint64_t index, uint64_t n, const struct merkle_proof *p,
		    const struct merkle_hash *root)
{
	uint64_t fn = index, sn = n - 1;
	struct merkle_hash r = *leaf;

	if (index >= n || p->count > MERKLE_PROOF_MAX)
		return false;
	for (size_t i = 0; i < p->count; i++) {
		if (!sn)
			return false;
		if ((fn & 1) || fn == sn) {
			merkle_node(&p->hash[i], &r, &r);
			while (!(fn & 1) && fn) {
				fn >>= 1;
				sn >>= 1;
			}
		} else {
			merkle_node(&r, &p->hash[i], &r);
		}
		fn >>= 1;
		sn >>= 1;
	}
	return !sn && !memcmp(&r, root, sizeof(r));
}

static void consistency(const struct merkle_hash *leaves, uint64_t m, uint64_t n, bool whole,
			struct merkle_proof *p)
{
	uint64_t k;

	if (m == n) {
		if (!whole)
			merkle_root(leaves, n, &p->hash[p->count++]);
		return;
	}
	k = split(n);
	if (m <= k) {
		consistency(leaves, m, k, whole, p);
		merkle_root(leaves + k, n - k, &p->hash[p->count++]);
	} else {
		consistency(leaves + k, m - k, n - k, false, p);
		merkle_root(leaves, k, &p->hash[p->count++]);
	}
}

void merkle_consistency(const struct merkle_hash *leaves, uint64_t m, uint64_t n, struct merkle_proof *out)
{
	out->count = 0;
	if (m && m <= n)
		consistency(leaves, m, n, true, out);
}

/* RFC 9162 section 2.1.4.2 */
bool merkle_consistency_ok(uint64_t m, uint64_t n, const struct merkle_hash *root_m,
			   const struct merkle_hash *root_n, const struct merkle_proof *p)
{
	uint64_t fn = m - 1, sn = n - 1;
	struct merkle_hash fr, sr;
	size_t i = 0;

	if (!m || m > n || p->count > MERKLE_PROOF_MAX)
		return false;
	if (m == n)
		return !p->count && !memcmp(root_m, root_n, sizeof(*root_m));
	while (fn & 1) {
		fn >>= 1;
		sn >>= 1;
	}
	if (m & (m - 1)) {
		if (!p->count)
			return false;
		fr = p->hash[i++];
	} else {
		fr = *root_m; /* a power of two: the old root is a node of the new tree */
	}
	sr = fr;
	for (; i < p->count; i++) {
		if (!sn)
			return false;
		if ((fn & 1) || fn == sn) {
			merkle_node(&p->hash[i], &fr, &fr);
			merkle_node(&p->hash[i], &sr, &sr);
			while (!(fn & 1) && fn) {
				fn >>= 1;
				sn >>= 1;
			}
		} else {
			merkle_node(&sr, &p->hash[i], &sr);
		}
		fn >>= 1;
		sn >>= 1;
	}
	return !sn && !memcmp(&fr, root_m, sizeof(fr)) && !memcmp(&sr, root_n, sizeof(sr));
}
