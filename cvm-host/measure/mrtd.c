/* mrtd.c: MRTD (Intel TDX Module ABI: TDH.MEM.PAGE.ADD and TDH.MR.EXTEND): one hash over a record for each page
 * that is added and for each 256 bytes that are measured, with those bytes. */
#include <errno.h>
#include <string.h>

#include <openssl/evp.h>

#include "cvm-host/measure/tdx.h"
#include "platform/base/bytes.h"

#define RECORD 128u
#define CHUNK  256u

static bool add_record(EVP_MD_CTX *ctx, const char *what, uint64_t gpa)
{
	uint8_t record[RECORD] = {0};

	memcpy(record, what, strlen(what));
	put_le64(record + 16, gpa);
	return EVP_DigestUpdate(ctx, record, sizeof(record)) == 1;
}

static bool extend_page(EVP_MD_CTX *ctx, uint64_t gpa, const uint8_t *content)
{
	for (size_t at = 0; at < PAGE_SIZE; at += CHUNK)
		if (!add_record(ctx, "MR.EXTEND", gpa + at) || EVP_DigestUpdate(ctx, content + at, CHUNK) != 1)
			return false;
	return true;
}

static bool add_section(EVP_MD_CTX *ctx, const uint8_t *image, const struct tdvf_section *s,
			enum mrtd_order order)
{
	bool extend = s->attributes & TDVF_EXTEND;

	for (uint64_t at = 0; at < s->memory_size; at += PAGE_SIZE)
		if (!add_record(ctx, "MEM.PAGE.ADD", s->address + at) ||
		    (extend && order == MRTD_SINGLE_PASS &&
		     !extend_page(ctx, s->address + at, image + s->data_offset + at)))
			return false;
	for (uint64_t at = 0; extend && order == MRTD_TWO_PASS && at < s->memory_size; at += PAGE_SIZE)
		if (!extend_page(ctx, s->address + at, image + s->data_offset + at))
			return false;
	return true;
}

int tdx_mrtd(const void *image, size_t size, enum mrtd_order order, uint8_t out[48])
{
	struct tdvf_info info;
	EVP_MD_CTX *ctx;
	int ret = tdvf_parse(image, size, &info);
	bool ok;

	if (ret < 0)
		return ret;
	ctx = EVP_MD_CTX_new();
	ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha384(), NULL) == 1;
	for (size_t i = 0; ok && i < info.count; i++)
		if (!(info.sections[i].attributes & TDVF_PAGE_AUG))
			ok = add_section(ctx, image, &info.sections[i], order);
	ok = ok && EVP_DigestFinal_ex(ctx, out, NULL) == 1;
	EVP_MD_CTX_free(ctx);
	return ok ? 0 : -ENOMEM;
}
