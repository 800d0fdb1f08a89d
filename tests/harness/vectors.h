/* vectors.h: recorded evidence under tests/vectors, and inputs made of it. */
#pragma once

#include "cvm-host/attest/evidence.h"

/* A file below tests/vectors (".gz" ones are unpacked by nobody: see vector_gunzip). Ends the test when it
 * isn't there. Never freed: a test process is short. */
struct attest_bytes vector(const char *path);
struct attest_bytes vector_gunzip(const char *path);
/* A copy to change. */
uint8_t *vector_copy(struct attest_bytes b);

/* An input under construction. */
struct vector_input {
	struct attest_input in;
	struct attest_item items[ATTEST_ITEMS_MAX];
};
void input_init(struct vector_input *vi, enum attest_kind kind, struct attest_bytes evidence, int64_t now);
void input_add(struct vector_input *vi, enum attest_item_kind kind, struct attest_bytes b);

/* The first failed check's name, or "" for accepted; the result is in *out when that is not NULL (caller
 * frees). */
const char *verdict(const struct vector_input *vi, struct attest_result **out);

/* Flips every bit of `size` bytes at `at` (in writable memory that the input refers to), one at a time, `step`
 * bits apart, and restores it. Returns the count of flips that were accepted; *example is one of them. */
size_t flips_accepted(const struct vector_input *vi, uint8_t *at, size_t size, size_t step, size_t *example);

/* Adds Intel collateral recorded as one JSON object of strings (tcb_info, tcb_info_signature, qe_identity, ...,
 * CRLs in hexadecimal, chains in PEM), as dcap-qvl keeps it. */
void input_add_pcs(struct vector_input *vi, const char *path);
