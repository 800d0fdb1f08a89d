/* quote.c: taking Intel quotes apart. No cryptography. */
#include <string.h>

#include "cvm-host/attest/cursor.h"
#include "cvm-host/attest/intel.h"

#define HEADER_SIZE 48u

static const uint8_t intel_qe_vendor[16] = {0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9,
					    0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07};

/* The body after the header, by version; false with a check. */
static bool take_body(struct verify *v, struct cursor *c, uint32_t tee, struct quote *q)
{
	size_t size;

	if (q->version == 5) {
		uint16_t type = take_le16(c);
		uint32_t said = take_le32(c);

		q->td = type == 2 || type == 3;
		q->td15 = type == 3;
		size = type == 1 ? SGX_BODY_SIZE : type == 2 ? TD10_BODY_SIZE : TD15_BODY_SIZE;
		if (type < 1 || type > 3 || said != size || tee != (q->td ? 0x81u : 0u))
			return check_fail(v, "intel.format", "body type %u of %u bytes is not known", type,
					  said);
	} else {
		q->td = tee == 0x81;
		if ((q->version == 3 && tee != 0) || (q->version == 4 && tee != 0x81))
			return check_fail(v, "intel.format", "TEE type 0x%x in a quote of version %u", tee,
					  q->version);
		size = q->td ? TD10_BODY_SIZE : SGX_BODY_SIZE;
	}
	q->body = take(c, size);
	return true;
}

/* QE report, its signature, authentication data, certificates of type 5 (a PEM chain). */
static void take_qe(struct cursor *c, struct quote *q)
{
	q->qe_report = take(c, QE_REPORT_SIZE);
	q->qe_signature = take(c, 64);
	q->auth_size = take_le16(c);
	q->auth = take(c, q->auth_size);
	if (take_le16(c) != 5)
		c->bad = true;
	q->pem_size = take_le32(c);
	q->pem = (const char *)take(c, q->pem_size);
	if (c->p != c->end)
		c->bad = true;
}

bool quote_parse(struct verify *v, const struct attest_bytes *b, struct quote *out)
{
	struct cursor c = {b->data, (const uint8_t *)b->data + b->size, false}, sig;
	const uint8_t *header = take(&c, HEADER_SIZE), *p;
	uint32_t size;

	if (!header)
		return check_fail(v, "intel.format", "shorter than a quote's header");
	*out = (struct quote){.version = get_le16(header), .start = header};
	if (out->version < 3 || out->version > 5 || get_le16(header + 2) != 2)
		return check_fail(v, "intel.format", "version %u with key type %u is not known", out->version,
				  get_le16(header + 2));
	if (memcmp(header + 12, intel_qe_vendor, 16) != 0)
		return check_fail(v, "intel.format", "not by Intel's quoting enclave");
	if (!take_body(v, &c, get_le32(header + 4), out))
		return false;
	out->signed_size = (size_t)(c.p - header);
	size = take_le32(&c);
	p = take(&c, size);
	if (c.bad)
		return check_fail(v, "intel.format", "cut short");
	if (!bytes_zero(c.p, (size_t)(c.end - c.p)))
		return check_fail(v, "intel.format", "something other than zeros follows the quote");
	sig = (struct cursor){p, p + size, false};
	out->signature = take(&sig, 64);
	out->key = take(&sig, 64);
	if (out->version >= 4) { /* the QE's part is one certification datum of type 6 */
		if (take_le16(&sig) != 6 || take_le32(&sig) != (size_t)(sig.end - sig.p))
			sig.bad = true;
	}
	take_qe(&sig, out);
	if (sig.bad)
		return check_fail(v, "intel.format", "the signature's parts do not fit together");
	return check_that(v, "intel.format", true, "version %u, %s", out->version, out->td ? "TDX" : "SGX");
}
