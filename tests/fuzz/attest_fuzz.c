/* attest_fuzz.c: the verifier whole: the first byte picks the kind, the second an item that goes with it; what
 * follows is split between evidence and item by two bytes of length. A verdict on such input must be a refusal.
 * `make fuzz-attest` builds and runs it. */
#include <stdint.h>
#include <stdlib.h>

#include "cvm-host/attest/evidence.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct attest_item item;
	struct attest_input in = {.now = 1750000000, .items = &item};
	struct attest_result *r;
	size_t split;

	if (size < 5)
		return 0;
	in.kind = (enum attest_kind)(data[0] % ATTEST_KIND_COUNT);
	item.kind = (enum attest_item_kind)(data[1] % ITEM_KIND_COUNT);
	if (item.kind == ITEM_ROOT) /* a root of the fuzzer's own could make anything genuine */
		return 0;
	split = data[2] | (size_t)data[3] << 8;
	data += 4;
	size -= 4;
	if (split > size)
		split = size;
	in.evidence = (struct attest_bytes){data, size - split};
	item.bytes = (struct attest_bytes){data + size - split, split};
	in.item_count = split ? 1 : 0;
	if (attest_verify(&in, &r) == 0) {
		char *text = attest_result_json(r);

		if (!text)
			abort();
		free(text);
		attest_result_free(r);
	}
	return 0;
}
