/* wire_fuzz.c: the gofer's messages. Whatever decodes must encode again to the same bytes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "gofer/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(ssize_t n, const uint8_t *again, const uint8_t *data, size_t size)
{
	if (n != (ssize_t)size || memcmp(again, data, size) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t again[GOFER_MSG_MAX];
	static struct gofer_reply p;
	struct gofer_req q;
	struct gofer_entry e;
	uint64_t ids[GOFER_FORGET_MAX];

	if (gofer_req_decode(&q, data, size) == 0) {
		for (uint32_t i = 0; i < q.id_count; i++)
			ids[i] = gofer_id_at(&q, i);
		q.ids = ids;
		check(gofer_req_encode(&q, again, sizeof(again)), again, data, size);
	}
	if (gofer_reply_decode(&p, data, size) == 0)
		check(gofer_reply_encode(&p, again, sizeof(again)), again, data, size);
	for (size_t off = 0; off < size;) {
		ssize_t n = gofer_entry_get(data + off, size - off, &e);

		if (n < 0)
			break;
		if (gofer_entry_put(again, sizeof(again), &e) != (size_t)n ||
		    memcmp(again, data + off, (size_t)n) != 0)
			abort();
		off += (size_t)n;
	}
	return 0;
}
