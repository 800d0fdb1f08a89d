/* elf_fuzz.c: the loader's parsers. What they accept must be within the bounds that mapping relies on. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "platform/platform.h"
#include "sentry/loader/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_image(const struct elf_image *img)
{
	uint64_t span = img->high - img->low;

	if (img->seg_count == 0 || img->seg_count > img->h.phnum || img->low >= img->high ||
	    img->high > GUEST_VA_END || (img->align & (img->align - 1)) || img->align < PAGE_SIZE ||
	    img->h.entry >= GUEST_VA_END)
		abort();
	if (img->h.pie ? span > GUEST_VA_END / 4 : img->low < GUEST_VA_MIN)
		abort();
	for (uint32_t i = 0; i < img->seg_count; i++) {
		const struct elf_segment *s = &img->segs[i];

		if (s->filesz > s->memsz || s->vaddr < img->low || s->vaddr + s->memsz > img->high ||
		    s->offset + s->filesz < s->offset)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct elf_segment segs[ELF_PHNUM_MAX];
	struct elf_image img = {.segs = segs};
	char prefix[EXEC_PREFIX_SIZE] = {0};
	struct script_line line;

	memcpy(prefix, data, size < sizeof(prefix) ? size : sizeof(prefix));
	if (script_is(prefix) && script_parse(prefix, &line) == 0 &&
	    (strlen(line.interp) == 0 || (line.has_arg && strlen(line.arg) == 0)))
		abort();
	if (elf_parse_header(data, size, &img.h) < 0)
		return 0;
	/* The headers follow at once here, wherever the file says they are. */
	if (size < ELF_HEADER_SIZE + (size_t)img.h.phnum * ELF_PHDR_SIZE)
		return 0;
	if (elf_parse_segments(data + ELF_HEADER_SIZE, &img) == 0)
		check_image(&img);
	return 0;
}
