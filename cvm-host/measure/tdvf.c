/* tdvf.c: the metadata of TDX firmware. */
#include <errno.h>
#include <string.h>

#include "cvm-host/measure/tdx.h"
#include "platform/base/bytes.h"

#define TABLE_END     32u
#define ENTRY_TRAILER 18u
#define SECTION_SIZE  32u

static const uint8_t guid_footer[16] = {0xde, 0x82, 0xb5, 0x96, 0xb2, 0x1f, 0xf7, 0x45,
					0xba, 0xea, 0xa3, 0x66, 0xc5, 0x5a, 0x08, 0x2d};
static const uint8_t guid_tdx_metadata[16] = {0x35, 0x65, 0x7a, 0xe4, 0x4a, 0x98, 0x98, 0x47,
					      0x86, 0x5e, 0x46, 0x85, 0xa7, 0xbf, 0x8e, 0xc2};

/* Distance of the descriptor from the image's end; 0 when the table has no such entry, -EINVAL when it is
 * malformed. */
static ssize_t metadata_offset(const uint8_t *image, size_t size)
{
	const uint8_t *end = image + size - TABLE_END - 16, *start;
	size_t total;

	if (memcmp(end, guid_footer, 16) != 0)
		return 0;
	total = get_le16(end - 2);
	if (total < ENTRY_TRAILER || total > size - TABLE_END)
		return -EINVAL;
	start = end + 16 - total;
	end -= 2;
	while (end - start >= (ssize_t)ENTRY_TRAILER) {
		size_t len = get_le16(end - ENTRY_TRAILER);

		if (len < ENTRY_TRAILER || len > (size_t)(end - start))
			return -EINVAL;
		if (memcmp(end - 16, guid_tdx_metadata, 16) == 0)
			return len >= ENTRY_TRAILER + 4 ? (ssize_t)get_le32(end - len) : -EINVAL;
		end -= len;
	}
	return 0;
}

static bool section_sane(const struct tdvf_section *s, size_t size)
{
	if (s->address % PAGE_SIZE || s->memory_size % PAGE_SIZE || s->memory_size > 1ull << 32 ||
	    s->address > UINT64_MAX - s->memory_size || s->data_size > s->memory_size)
		return false;
	if ((s->attributes & TDVF_EXTEND) && s->data_size != s->memory_size)
		return false; /* what is measured must be there */
	return s->data_size == 0 || (s->data_offset <= size && s->data_size <= size - s->data_offset);
}

int tdvf_parse(const void *image, size_t size, struct tdvf_info *out)
{
	const uint8_t *p = image, *d;
	ssize_t offset;
	uint32_t count;

	memset(out, 0, sizeof(*out));
	if (size < PAGE_SIZE || size % PAGE_SIZE)
		return -EINVAL;
	offset = metadata_offset(p, size);
	if (offset <= 0)
		return offset < 0 ? -EINVAL : -ENOENT;
	if (offset < 16 || (size_t)offset > size)
		return -EINVAL;
	d = p + size - offset;
	count = get_le32(d + 12);
	if (memcmp(d, "TDVF", 4) != 0 || get_le32(d + 8) != 1 || count == 0 || count > TDVF_SECTIONS_MAX ||
	    get_le32(d + 4) != 16 + count * SECTION_SIZE || get_le32(d + 4) > (size_t)offset)
		return -EINVAL;
	for (uint32_t i = 0; i < count; i++) {
		const uint8_t *s = d + 16 + i * SECTION_SIZE;

		out->sections[i] = (struct tdvf_section){get_le32(s),	   get_le32(s + 4),  get_le64(s + 8),
							 get_le64(s + 16), get_le32(s + 24), get_le32(s + 28)};
		if (!section_sane(&out->sections[i], size))
			return -EINVAL;
	}
	out->count = count;
	return 0;
}
