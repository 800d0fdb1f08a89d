/* elf.h: what the loader takes from an ELF file, checked. Pure: works on buffers, does no I/O, so that it
 * can be fuzzed. The file is hostile. */
#pragma once

#include "platform/abi/types.h"
#include "platform/base/attr.h"

#define ELF_HEADER_SIZE 64
#define ELF_PHDR_SIZE	56
#define ELF_PHNUM_MAX	(65536 / ELF_PHDR_SIZE)

struct elf_header {
	bool pie;
	uint64_t entry, phoff;
	uint32_t phnum; /* 1 .. ELF_PHNUM_MAX */
};

struct elf_segment {
	uint64_t vaddr, offset, filesz, memsz; /* memsz >= filesz, memsz != 0 */
	uint32_t prot;			       /* LINUX_PROT_* */
};

struct elf_image {
	struct elf_header h;
	struct elf_segment *segs; /* room for h.phnum; the caller's */
	uint32_t seg_count;	  /* at least 1 */
	uint64_t low, high;	  /* page-aligned span of all segments */
	uint64_t align;		  /* a power of two, at least a page */
	uint64_t phdr_vaddr;	  /* 0: not in any segment */
	bool has_interp;
	uint64_t interp_offset, interp_size;
	bool exec_stack;
};

/* -ENOEXEC when this isn't an ELF program for this machine. n may be less than the header's size. */
MUST_CHECK int elf_parse_header(const void *buf, size_t n, struct elf_header *out);
/* phdrs holds img->h.phnum program headers. -ENOEXEC, -EINVAL, -EPERM or -ENOMEM, as Linux says when it
 * comes to map such a file. */
MUST_CHECK int elf_parse_segments(const void *phdrs, struct elf_image *img);
