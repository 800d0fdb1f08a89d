/* ovmf.c: the table of GUIDed entries at the end of an OVMF image, read backwards, and the SEV metadata that it
 * names. */
#include <errno.h>
#include <string.h>

#include "cvm-host/measure/measure.h"
#include "platform/base/bytes.h"

#define TABLE_END     32u /* the footer's GUID ends this far from the image's end */
#define ENTRY_TRAILER 18u /* le16 size, GUID */

/* GUIDs as they lie in memory: first three fields little-endian. */
static const uint8_t guid_footer[16] = {0xde, 0x82, 0xb5, 0x96, 0xb2, 0x1f, 0xf7, 0x45,
					0xba, 0xea, 0xa3, 0x66, 0xc5, 0x5a, 0x08, 0x2d};
static const uint8_t guid_hashes[16] = {0x1f, 0x37, 0x55, 0x72, 0x3b, 0x3a, 0x04, 0x4b,
					0x92, 0x7b, 0x1d, 0xa6, 0xef, 0xa8, 0xd4, 0x54};
static const uint8_t guid_reset[16] = {0xde, 0x71, 0xf7, 0x00, 0x7e, 0x1a, 0xcb, 0x4f,
				       0x89, 0x0e, 0x68, 0xc7, 0x7e, 0x2f, 0xb4, 0x4e};
static const uint8_t guid_sev_metadata[16] = {0x66, 0x65, 0x88, 0xdc, 0x4a, 0x98, 0x98, 0x47,
					      0xa7, 0x5e, 0x55, 0x85, 0xa7, 0xbf, 0x67, 0xcc};
static const uint8_t guid_svsm[16] = {0x12, 0xe6, 0x89, 0xa7, 0xee, 0x47, 0x56, 0x4b,
				      0x88, 0x44, 0xa7, 0xb4, 0x9f, 0xf1, 0xe2, 0xd2};

static int read_metadata(const uint8_t *image, size_t size, uint32_t from_end, struct ovmf_info *out)
{
	const uint8_t *p;
	uint32_t len, count;

	if (from_end < 16 || from_end > size)
		return -EINVAL;
	p = image + size - from_end;
	len = get_le32(p + 4);
	count = get_le32(p + 12);
	if (memcmp(p, "ASEV", 4) != 0 || count > MEASURE_SECTIONS_MAX || len > from_end ||
	    len < 16 + count * 12)
		return -EINVAL;
	for (uint32_t i = 0; i < count; i++) {
		const uint8_t *d = p + 16 + i * 12;

		out->sections[i] = (struct ovmf_section){get_le32(d), get_le32(d + 4), get_le32(d + 8)};
		if (out->sections[i].gpa % PAGE_SIZE || out->sections[i].size % PAGE_SIZE)
			return -EINVAL;
	}
	out->section_count = count;
	return 0;
}

static int one_entry(const uint8_t *image, size_t size, const uint8_t *guid, const uint8_t *data, size_t len,
		     struct ovmf_info *out)
{
	if (memcmp(guid, guid_svsm, 16) == 0 && len >= 4) {
		out->has_svsm_info = true;
		out->svsm_launch_offset = get_le32(data);
	} else if (memcmp(guid, guid_hashes, 16) == 0 && len >= 4) {
		out->hashes_gpa = get_le32(data);
		out->has_hashes = out->hashes_gpa != 0; /* OvmfX64 has the entry, and no room */
	} else if (memcmp(guid, guid_reset, 16) == 0 && len >= 4) {
		out->has_reset = true;
		out->reset_eip = get_le32(data);
	} else if (memcmp(guid, guid_sev_metadata, 16) == 0 && len >= 4) {
		return read_metadata(image, size, get_le32(data), out);
	}
	return 0;
}

int ovmf_parse(const void *image, size_t size, struct ovmf_info *out)
{
	const uint8_t *p = image, *end, *start;
	size_t total;

	memset(out, 0, sizeof(*out));
	if (size < PAGE_SIZE || size % PAGE_SIZE)
		return -EINVAL;
	end = p + size - TABLE_END - 16; /* of the last entry before the footer's own trailer */
	if (memcmp(end, guid_footer, 16) != 0)
		return 0;
	total = get_le16(end - 2);
	if (total < ENTRY_TRAILER || total > size - TABLE_END)
		return -EINVAL;
	start = end + 16 - total;
	end -= 2;
	while (end - start >= (ssize_t)ENTRY_TRAILER) {
		size_t len = get_le16(end - ENTRY_TRAILER);
		int ret;

		if (len < ENTRY_TRAILER || len > (size_t)(end - start))
			return -EINVAL;
		ret = one_entry(image, size, end - 16, end - len, len - ENTRY_TRAILER, out);
		if (ret < 0)
			return ret;
		end -= len;
	}
	return 0;
}
