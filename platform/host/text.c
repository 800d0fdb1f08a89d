/* text.c: see text.h. */
#include "platform/host/text.h"

#include <elf.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#include "platform/base/attr.h"
#include "platform/host/hostcall.h"

void text_release(void)
{
	const Elf64_Phdr *phdr = (const Elf64_Phdr *)getauxval(AT_PHDR);
	unsigned long count = getauxval(AT_PHNUM);
	uint64_t base = (uint64_t)phdr, page = getauxval(AT_PAGESZ);

	if (!SBX_STATIC || !phdr || !page)
		return;
	/* a program's headers lie in its first page */
	base = ROUND_DOWN(base, page);
	for (unsigned long i = 0; i < count; i++) {
		uint64_t at = base + phdr[i].p_vaddr, end = at + phdr[i].p_memsz;

		/* not what is relocated and then read only: that would be lost */
		if (phdr[i].p_type == PT_LOAD && !(phdr[i].p_flags & PF_W))
			(void)hc_madvise(ROUND_DOWN(at, page), ROUND_UP(end, page) - ROUND_DOWN(at, page),
					 MADV_DONTNEED);
	}
}
