/* internal.h: what the verifier's files share. */
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "cvm-host/attest/evidence.h"

/* One verification under way. Out of memory anywhere sets `oom`, and attest_verify() then returns -ENOMEM. */
struct verify {
	const struct attest_input *in;
	struct attest_result *r;
	bool oom;
};

/* Each adds one check to the result. check_that() returns `ok`, so that a parser can stop at the first failure.
 * check_knob() waives a failure when the knob is set. */
PRINTF_LIKE(4, 5) bool check_that(struct verify *v, const char *name, bool ok, const char *fmt, ...);
PRINTF_LIKE(5, 6)
bool check_knob(struct verify *v, const char *name, bool ok, const char *knob_if_set, const char *fmt, ...);
PRINTF_LIKE(3, 4) bool check_fail(struct verify *v, const char *name, const char *fmt, ...);
PRINTF_LIKE(3, 4) void check_skip(struct verify *v, const char *name, const char *fmt, ...);

/* Claims. A second claim of one name is a bug of ours and fails the check "claims". */
void claim_bool(struct verify *v, const char *name, bool value);
void claim_uint(struct verify *v, const char *name, uint64_t value);
void claim_time(struct verify *v, const char *name, int64_t value);
void claim_bytes(struct verify *v, const char *name, const void *data, size_t size);
/* `size` bytes that may hold anything: what isn't printable ASCII becomes '?' */
void claim_text(struct verify *v, const char *name, const char *text, size_t size);

/* The n-th item of that kind, or NULL. */
const struct attest_bytes *item_find(const struct attest_input *in, enum attest_item_kind kind, size_t n);

/* Compares the challenge with what the evidence carries. padded: the rest must be zeros. */
void check_challenge(struct verify *v, const void *carried, size_t size, bool padded);

bool bytes_zero(const void *p, size_t n);
bool bytes_equal(const void *a, const void *b, size_t n);
