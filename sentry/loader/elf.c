/* elf.c: see elf.h. */
#include "sentry/loader/elf.h"

#include <string.h>

#include "platform/abi/elf.h"
#include "platform/abi/errno.h"
#include "platform/abi/mman.h"
#include "platform/base/bytes.h"
#include "platform/platform.h"

#define ALIGN_MAX    (1UL << 30)
#define INTERP_MAX   4096 /* PATH_MAX, with its terminator */
#define PIE_SPAN_MAX (GUEST_VA_END / 4)

int elf_parse_header(const void *buf, size_t n, struct elf_header *out)
{
	const uint8_t *p = buf;
	uint16_t type;

	if (n < ELF_HEADER_SIZE || memcmp(p, "\177ELF", 4) != 0)
		return -ENOEXEC;
	if (p[LINUX_EI_CLASS] != LINUX_ELFCLASS64 || p[LINUX_EI_DATA] != LINUX_ELFDATA2LSB)
		return -ENOEXEC;
	type = get_le16(p + 16);
	if ((type != LINUX_ET_EXEC && type != LINUX_ET_DYN) || get_le16(p + 18) != LINUX_EM_X86_64)
		return -ENOEXEC;
	*out = (struct elf_header){
		.pie = type == LINUX_ET_DYN,
		.entry = get_le64(p + 24),
		.phoff = get_le64(p + 32),
		.phnum = get_le16(p + 56),
	};
	if (get_le16(p + 54) != ELF_PHDR_SIZE || out->phnum == 0 || out->phnum > ELF_PHNUM_MAX)
		return -ENOEXEC;
	return out->phoff > INT64_MAX - ELF_PHNUM_MAX * ELF_PHDR_SIZE ? -ENOEXEC : 0;
}

static uint32_t elf_prot(uint32_t flags)
{
	return (flags & LINUX_PF_R ? LINUX_PROT_READ : 0) | (flags & LINUX_PF_W ? LINUX_PROT_WRITE : 0) |
	       (flags & LINUX_PF_X ? LINUX_PROT_EXEC : 0);
}

static int elf_check_segment(const struct elf_image *img, const struct elf_segment *s)
{
	uint64_t end;

	if (s->filesz > s->memsz || s->memsz > GUEST_VA_END || s->vaddr > GUEST_VA_END - s->memsz)
		return -EINVAL;
	if (s->filesz && ((s->vaddr ^ s->offset) & (PAGE_SIZE - 1)))
		return -EINVAL;
	if (s->offset > INT64_MAX - GUEST_VA_END - PAGE_SIZE)
		return -EINVAL;
	if (img->h.pie)
		return 0;
	end = ROUND_UP(s->vaddr + s->memsz, PAGE_SIZE);
	if (s->vaddr < GUEST_VA_MIN)
		return -EPERM;
	return s->vaddr < SBX_HOLE_END && end > SBX_HOLE_START ? -ENOMEM : 0;
}

static int elf_add_segment(struct elf_image *img, const uint8_t *p)
{
	struct elf_segment s = {
		.offset = get_le64(p + 8),
		.vaddr = get_le64(p + 16),
		.filesz = get_le64(p + 32),
		.memsz = get_le64(p + 40),
		.prot = elf_prot(get_le32(p + 4)),
	};
	uint64_t align = get_le64(p + 48), phoff = img->h.phoff;
	int ret = elf_check_segment(img, &s);

	if (ret < 0)
		return ret;
	if (s.memsz == 0)
		return 0;
	if (s.offset <= phoff && phoff < s.offset + s.filesz && !img->phdr_vaddr)
		img->phdr_vaddr = phoff - s.offset + s.vaddr;
	if (align && (align & (align - 1)) == 0 && align <= ALIGN_MAX)
		img->align = MAX(img->align, align);
	img->low = MIN(img->low, ROUND_DOWN(s.vaddr, PAGE_SIZE));
	img->high = MAX(img->high, ROUND_UP(s.vaddr + s.memsz, PAGE_SIZE));
	img->segs[img->seg_count++] = s;
	return 0;
}

static int elf_add_interp(struct elf_image *img, const uint8_t *p)
{
	if (img->has_interp)
		return 0; /* the first counts */
	img->has_interp = true;
	img->interp_offset = get_le64(p + 8);
	img->interp_size = get_le64(p + 32);
	if (img->interp_size < 2 || img->interp_size > INTERP_MAX ||
	    img->interp_offset > INT64_MAX - INTERP_MAX)
		return -ENOEXEC;
	return 0;
}

int elf_parse_segments(const void *phdrs, struct elf_image *img)
{
	img->seg_count = 0;
	img->low = UINT64_MAX;
	img->high = img->phdr_vaddr = 0;
	img->align = PAGE_SIZE;
	img->has_interp = img->exec_stack = false;
	for (uint32_t i = 0; i < img->h.phnum; i++) {
		const uint8_t *p = (const uint8_t *)phdrs + (size_t)i * ELF_PHDR_SIZE;
		int ret = 0;

		switch (get_le32(p)) {
		case LINUX_PT_LOAD:
			ret = elf_add_segment(img, p);
			break;
		case LINUX_PT_INTERP:
			ret = elf_add_interp(img, p);
			break;
		case LINUX_PT_GNU_STACK:
			img->exec_stack = get_le32(p + 4) & LINUX_PF_X;
			break;
		}
		if (ret < 0)
			return ret;
	}
	if (img->seg_count == 0)
		return -ENOEXEC;
	if (img->h.pie && img->high - img->low > PIE_SPAN_MAX)
		return -ENOMEM;
	return img->h.entry >= GUEST_VA_END ? -EINVAL : 0;
}
