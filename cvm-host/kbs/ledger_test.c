/* ledger_test.c: the Merkle tree against a reference written differently, proofs that hold and proofs that
 * don't, the two logs, leases, counters and versions. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cvm-host/kbs/ledger.h"
#include "cvm-host/kbs/state.h"

#define LEAVES 70

static struct merkle_hash leaves[LEAVES];

static void make_leaves(void)
{
	for (uint32_t i = 0; i < LEAVES; i++)
		merkle_leaf(&i, sizeof(i), &leaves[i]);
}

/* Bottom-up: pairs are joined, an odd last one moves up as it is. */
static struct merkle_hash reference(size_t n)
{
	struct merkle_hash level[LEAVES];

	memcpy(level, leaves, n * sizeof(*level));
	while (n > 1) {
		for (size_t i = 0; i < n / 2; i++)
			merkle_node(&level[2 * i], &level[2 * i + 1], &level[i]);
		if (n % 2)
			level[n / 2] = level[n - 1];
		n = (n + 1) / 2;
	}
	return level[0];
}

Test(merkle, known_roots)
{
	struct merkle_hash h;
	char hex[65];

	merkle_root(NULL, 0, &h);
	bytes_to_hex(hex, h.b, 32);
	cr_assert_str_eq(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	merkle_leaf("", 0, &h);
	bytes_to_hex(hex, h.b, 32);
	cr_assert_str_eq(hex, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
}

Test(merkle, roots_paths_and_consistency_of_every_size)
{
	make_leaves();
	for (uint64_t n = 1; n <= LEAVES; n++) {
		struct merkle_hash root, want = reference(n);
		struct merkle_proof p;

		merkle_root(leaves, n, &root);
		cr_assert_arr_eq(root.b, want.b, 32);
		for (uint64_t i = 0; i < n; i++) {
			merkle_path(leaves, n, i, &p);
			cr_assert(merkle_path_ok(&leaves[i], i, n, &p, &root), "%lu of %lu", i, n);
			cr_assert_not(merkle_path_ok(&leaves[(i + 1) % LEAVES], i, n, &p, &root));
			cr_assert_not(n > 1 && merkle_path_ok(&leaves[i], (i + 1) % n, n, &p, &root) &&
				      p.count);
			if (p.count) {
				p.hash[p.count / 2].b[5] ^= 1;
				cr_assert_not(merkle_path_ok(&leaves[i], i, n, &p, &root));
				p.hash[p.count / 2].b[5] ^= 1;
				p.count--;
				cr_assert_not(merkle_path_ok(&leaves[i], i, n, &p, &root));
			}
		}
		for (uint64_t m = 1; m <= n; m++) {
			struct merkle_hash old = reference(m), other;

			merkle_consistency(leaves, m, n, &p);
			cr_assert(merkle_consistency_ok(m, n, &old, &root, &p), "%lu to %lu", m, n);
			other = old;
			other.b[0] ^= 1;
			cr_assert_not(merkle_consistency_ok(m, n, &other, &root, &p));
			other = root;
			other.b[31] ^= 1;
			cr_assert_not(merkle_consistency_ok(m, n, &old, &other, &p));
			if (p.count) {
				p.hash[0].b[1] ^= 1;
				cr_assert_not(merkle_consistency_ok(m, n, &old, &root, &p));
			}
		}
	}
}

static char *temp_dir(void)
{
	char *d = xstrdup("/tmp/sbx-ledger-XXXXXX");

	cr_assert_not_null(mkdtemp(d));
	return d;
}

static void drop_dir(char *d, const char *const *files)
{
	for (; *files; files++) {
		char *p = xasprintf("%s/%s", d, *files);

		unlink(p);
		free(p);
	}
	cr_assert_eq(rmdir(d), 0);
	free(d);
}

Test(ledger, the_audit_chain_goes_on_and_shows_changes)
{
	char *dir = temp_dir(), *path = xasprintf("%s/a", dir);
	static const char *const files[] = {"a", NULL};
	struct blob text = {0};
	struct audit a;
	uint8_t head[32];
	uint64_t n;

	for (int round = 0; round < 2; round++) {
		cr_assert_eq(audit_open(path, &a, NULL), 0);
		cr_assert_eq(a.seq, 3u * (unsigned)round);
		for (int i = 0; i < 3; i++)
			cr_assert_eq(audit_add(&a, json_pack("{ss}", "event", "x"), i == 0, NULL), 0);
		audit_close(&a);
	}
	cr_assert_eq(load_file(path, 65536, &text, NULL), 0);
	cr_assert_eq(audit_check((char *)text.data, text.size, &n, head, NULL), 0);
	cr_assert(n == 6 && !memcmp(head, a.head, 32));
	for (size_t i = 0; i < text.size; i++) {
		uint8_t h[32];

		text.data[i] ^= 1;
		/* the last line's own words are held by the head that the next line, or a reader, has */
		cr_assert(audit_check((char *)text.data, text.size, &n, h, NULL) < 0 ||
				  memcmp(h, head, 32) != 0,
			  "byte %zu", i);
		text.data[i] ^= 1;
	}
	blob_free(&text);
	free(path);
	drop_dir(dir, files);
}

Test(ledger, the_transparency_log_comes_back_with_the_same_root)
{
	char *dir = temp_dir(), *path = xasprintf("%s/t", dir);
	static const char *const files[] = {"t", NULL};
	struct merkle_hash before, after;
	struct translog t;
	uint64_t index;

	cr_assert_eq(translog_open(path, &t, NULL), 0);
	for (int i = 0; i < 5; i++) {
		cr_assert_eq(translog_add(&t, json_pack("{si}", "i", i), &index, NULL), 0);
		cr_assert_eq(index, (uint64_t)i);
	}
	merkle_root(t.leaves, t.count, &before);
	translog_close(&t);
	cr_assert_eq(translog_open(path, &t, NULL), 0);
	merkle_root(t.leaves, t.count, &after);
	cr_assert_arr_eq(before.b, after.b, 32);
	cr_assert_str_eq(t.lines[3], "{\"i\":3}");
	translog_close(&t);
	free(path);
	drop_dir(dir, files);
}

Test(state, sessions_are_bounded_and_expire)
{
	struct sessions *t = sessions_new();
	struct session *s = session_new(t, 0, 1000);
	char first[33];

	cr_assert_not_null(s);
	memcpy(first, s->id, 33);
	cr_assert_eq(strlen(s->challenge.nonce), 44);
	cr_assert_not_null(session_find(t, first, 999));
	cr_assert_null(session_find(t, "", 0));
	cr_assert_null(session_find(t, "0123456789abcdef0123456789abcdeX", 0));
	cr_assert_null(session_find(t, first, 1000));
	cr_assert_null(session_find(t, first, 0), "an expired one is gone");
	s = session_new(t, 0, 1000);
	s->state = SESSION_ATTESTED;
	memcpy(first, s->id, 33);
	for (int i = 0; i < 50000; i++)
		session_new(t, 1, 1000);
	cr_assert_not_null(session_find(t, first, 2), "a flood of challenges pushes out no attested session");
	sessions_free(t);
}

Test(state, leases_are_few_and_outlive_a_restart)
{
	char *dir = temp_dir(), *path = xasprintf("%s/l", dir);
	static const char *const files[] = {"l", NULL};
	struct leases l;

	cr_assert_eq(leases_open(path, &l, NULL), 0);
	cr_assert_eq(lease_take(&l, "k", "a", 1, 100, 10, NULL), 0);
	cr_assert_eq(lease_take(&l, "k", "a", 1, 105, 10, NULL), 0);
	cr_assert_eq(lease_take(&l, "k", "b", 1, 106, 10, NULL), -EBUSY);
	cr_assert_eq(lease_take(&l, "k", "b", 2, 106, 10, NULL), 0);
	cr_assert_eq(lease_take(&l, "k", "c", 2, 106, 10, NULL), -EBUSY);
	leases_close(&l);
	cr_assert_eq(leases_open(path, &l, NULL), 0);
	cr_assert(lease_held(&l, "k", "a", 114) && !lease_held(&l, "k", "a", 115));
	cr_assert_eq(lease_drop(&l, "k", "c", NULL), -ENOENT);
	cr_assert_eq(lease_drop(&l, "k", "b", NULL), 0);
	cr_assert_eq(lease_take(&l, "k", "c", 1, 115, 10, NULL), 0, "a's has run out");
	cr_assert_eq(lease_take(&l, "free", "x", 0, 0, 10, NULL), 0);
	leases_close(&l);
	free(path);
	drop_dir(dir, files);
}

Test(state, counters_and_versions_never_go_back)
{
	char *dir = temp_dir(), *svn = xasprintf("%s/svn", dir);
	static const char *const files[] = {"v", "svn", NULL};
	struct counter c, next = {.epoch = 1};
	struct err e;

	memset(next.root, 'a', 64);
	cr_assert_eq(counter_get(dir, "v", &c, NULL), 0);
	cr_assert(c.epoch == 0 && !c.root[0]);
	cr_assert_eq(counter_advance(dir, "v", "", &next, NULL), 0);
	cr_assert_eq(counter_advance(dir, "v", "", &next, NULL), -ESTALE);
	cr_assert_eq(counter_advance(dir, "v", next.root, &next, NULL), -ESTALE);
	next.epoch = 2;
	cr_assert_eq(counter_advance(dir, "v", "", &next, NULL), -ESTALE);
	cr_assert_eq(counter_advance(dir, "v", next.root, &next, NULL), 0);
	cr_assert_eq(counter_get(dir, "v", &c, NULL), 0);
	cr_assert_eq(c.epoch, 2);
	cr_assert_lt(counter_get(dir, "../x", &c, NULL), 0);
	cr_assert_lt(counter_get(dir, ".x", &c, NULL), 0);
	cr_assert_eq(svn_accept(svn, "m", 5, "d5", &e), 1);
	cr_assert_eq(svn_accept(svn, "m", 5, "d5", &e), 0);
	cr_assert_eq(svn_accept(svn, "m", 5, "other", &e), -ESTALE);
	cr_assert_eq(svn_accept(svn, "m", 4, "d4", &e), -ESTALE);
	cr_assert_eq(svn_accept(svn, "n", 1, "d1", &e), 1);
	cr_assert_eq(svn_accept(svn, "m", 6, "d6", &e), 1);
	free(svn);
	drop_dir(dir, files);
}
