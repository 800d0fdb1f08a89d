/* spdm.c: SPDM measurements (DSP0274 1.1, 10.11) as NVIDIA's drivers hand them out: request, then response. */
#include <errno.h>
#include <string.h>

#include "cvm-host/attest/gpu.h"
#include "platform/base/bytes.h"

#define REQUEST_SIZE	 37u
#define SIGNATURE_SIZE	 96u
#define VERSION_1_1	 0x11
#define GET_MEASUREMENTS 0xe0
#define MEASUREMENTS	 0x60
#define DMTF_SPEC	 1

static int read_record(const uint8_t *p, size_t size, unsigned int blocks, struct spdm *out)
{
	for (unsigned int i = 0; i < blocks; i++) {
		size_t outer, inner;
		unsigned int index;

		if (size < 7)
			return -EINVAL;
		index = p[0];
		outer = get_le16(p + 2);
		inner = get_le16(p + 5);
		if (p[1] != DMTF_SPEC || outer > size - 4 || outer != inner + 3 || inner != SHA384_SIZE ||
		    index == 0 || index > SPDM_BLOCKS_MAX || out->measurement[index])
			return -EINVAL;
		out->measurement[index] = p + 7;
		p += 4 + outer;
		size -= 4 + outer;
	}
	return size == 0 ? 0 : -EINVAL;
}

int spdm_parse(const struct attest_bytes *b, struct spdm *out)
{
	const uint8_t *req = b->data, *r = req + REQUEST_SIZE;
	size_t left, record;

	memset(out, 0, sizeof(*out));
	if (b->size < REQUEST_SIZE + 8 || req[0] != VERSION_1_1 || req[1] != GET_MEASUREMENTS ||
	    r[0] != VERSION_1_1 || r[1] != MEASUREMENTS)
		return -EINVAL;
	left = b->size - REQUEST_SIZE - 8;
	record = (size_t)r[5] | (size_t)r[6] << 8 | (size_t)r[7] << 16;
	if (record > left || read_record(r + 8, record, r[4], out) < 0)
		return -EINVAL;
	left -= record;
	if (left < 32 + 2)
		return -EINVAL;
	out->opaque_size = get_le16(r + 8 + record + 32);
	out->opaque = r + 8 + record + 34;
	left -= 34;
	if (left < out->opaque_size || left - out->opaque_size < SIGNATURE_SIZE)
		return -EINVAL;
	out->start = req;
	out->nonce = req + 4;
	out->signature = out->opaque + out->opaque_size;
	out->signed_size = (size_t)(out->signature - req);
	return bytes_zero(out->signature + SIGNATURE_SIZE, left - out->opaque_size - SIGNATURE_SIZE) ? 0
												     : -EINVAL;
}

const uint8_t *spdm_opaque(const struct spdm *s, uint16_t type, size_t *size)
{
	for (size_t at = 0; at + 4 <= s->opaque_size;) {
		uint16_t t = get_le16(s->opaque + at), n = get_le16(s->opaque + at + 2);

		if (n > s->opaque_size - at - 4)
			return NULL;
		if (t == type) {
			*size = n;
			return s->opaque + at + 4;
		}
		at += 4u + n;
	}
	return NULL;
}
