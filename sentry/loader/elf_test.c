/* elf_test.c: the parsers of ELF files and "#!" lines. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "platform/abi/elf.h"
#include "platform/base/bytes.h"
#include "sentry/loader/internal.h"

static uint8_t file[4096];
static struct elf_segment segs[ELF_PHNUM_MAX];

static void phdr(int i, uint32_t type, uint32_t flags, uint64_t off, uint64_t vaddr, uint64_t filesz,
		 uint64_t memsz)
{
	uint8_t *p = file + 64 + i * ELF_PHDR_SIZE;

	put_le32(p, type);
	put_le32(p + 4, flags);
	put_le64(p + 8, off);
	put_le64(p + 16, vaddr);
	put_le64(p + 32, filesz);
	put_le64(p + 40, memsz);
	put_le64(p + 48, PAGE_SIZE);
}

static void header(uint16_t type, uint16_t phnum)
{
	memset(file, 0, sizeof(file));
	memcpy(file, "\177ELF\2\1\1", 7);
	put_le16(file + 16, type);
	put_le16(file + 18, LINUX_EM_X86_64);
	put_le64(file + 24, 0x401000);
	put_le64(file + 32, 64);
	put_le16(file + 54, ELF_PHDR_SIZE);
	put_le16(file + 56, phnum);
}

static int parse(struct elf_image *img)
{
	int ret;

	*img = (struct elf_image){.segs = segs};
	ret = elf_parse_header(file, sizeof(file), &img->h);
	return ret < 0 ? ret : elf_parse_segments(file + 64, img);
}

Test(elf, a_program)
{
	struct elf_image img;

	header(LINUX_ET_EXEC, 3);
	phdr(0, LINUX_PT_LOAD, LINUX_PF_R | LINUX_PF_X, 0, 0x400000, 0x1234, 0x1234);
	phdr(1, LINUX_PT_LOAD, LINUX_PF_R | LINUX_PF_W, 0x1234, 0x403234, 0x10, 0x2000);
	phdr(2, LINUX_PT_GNU_STACK, LINUX_PF_R | LINUX_PF_W | LINUX_PF_X, 0, 0, 0, 0);
	cr_assert_eq(parse(&img), 0);
	cr_assert_eq(img.seg_count, 2);
	cr_assert_eq(img.low, 0x400000);
	cr_assert_eq(img.high, 0x406000);
	cr_assert_eq(img.phdr_vaddr, 0x400040);
	cr_assert(img.exec_stack && !img.has_interp && !img.h.pie);
}

Test(elf, hostile_headers)
{
	struct elf_image img;

	header(LINUX_ET_REL, 1);
	cr_assert_eq(parse(&img), -ENOEXEC);
	header(LINUX_ET_EXEC, 0);
	cr_assert_eq(parse(&img), -ENOEXEC);
	header(LINUX_ET_EXEC, ELF_PHNUM_MAX + 1);
	cr_assert_eq(parse(&img), -ENOEXEC);
	header(LINUX_ET_EXEC, 1);
	file[LINUX_EI_CLASS] = LINUX_ELFCLASS32;
	cr_assert_eq(parse(&img), -ENOEXEC);
	header(LINUX_ET_EXEC, 1);
	file[LINUX_EI_DATA] = LINUX_ELFDATA2MSB;
	cr_assert_eq(parse(&img), -ENOEXEC);
	header(LINUX_ET_EXEC, 1);
	put_le16(file + 18, LINUX_EM_AARCH64);
	cr_assert_eq(parse(&img), -ENOEXEC);
	header(LINUX_ET_EXEC, 1);
	put_le64(file + 32, UINT64_MAX - 10);
	cr_assert_eq(parse(&img), -ENOEXEC);
	cr_assert_eq(elf_parse_header(file, 40, &img.h), -ENOEXEC);
}

Test(elf, hostile_segments)
{
	struct elf_image img;

	header(LINUX_ET_EXEC, 1);
	cr_assert_eq(parse(&img), -ENOEXEC); /* nothing to load */
	phdr(0, LINUX_PT_LOAD, LINUX_PF_R, 0, 0x400000, 0x2000, 0x1000);
	cr_assert_eq(parse(&img), -EINVAL); /* filesz > memsz */
	phdr(0, LINUX_PT_LOAD, LINUX_PF_R, 0x10, 0x400000, 0x1000, 0x1000);
	cr_assert_eq(parse(&img), -EINVAL); /* misaligned */
	phdr(0, LINUX_PT_LOAD, LINUX_PF_R, 0, 0x7fffffffe000, 0x1000, 0x2000);
	cr_assert_eq(parse(&img), -EINVAL); /* beyond the end */
	phdr(0, LINUX_PT_LOAD, LINUX_PF_R, 0, UINT64_MAX - 0xfff, 0x1000, 0x2000);
	cr_assert_eq(parse(&img), -EINVAL);
	phdr(0, LINUX_PT_LOAD, LINUX_PF_R, 0, 0x400000, 0, UINT64_MAX);
	cr_assert_eq(parse(&img), -EINVAL);
	phdr(0, LINUX_PT_LOAD, LINUX_PF_R, UINT64_MAX - 0xfff, 0x400000, 0x1000, 0x1000);
	cr_assert_eq(parse(&img), -EINVAL);
	phdr(0, LINUX_PT_LOAD, LINUX_PF_R, 0, 0, 0x1000, 0x1000);
	cr_assert_eq(parse(&img), -EPERM); /* the zero page */
	phdr(0, LINUX_PT_LOAD, LINUX_PF_R, 0, SBX_HOLE_START - 0x1000, 0x2000, 0x2000);
	cr_assert_eq(parse(&img), -ENOMEM);
	phdr(0, LINUX_PT_INTERP, LINUX_PF_R, 0, 0, 5000, 5000);
	cr_assert_eq(parse(&img), -ENOEXEC); /* path too long */
	header(LINUX_ET_DYN, 1);
	phdr(0, LINUX_PT_LOAD, LINUX_PF_R, 0, 0, 0x1000, 0x1000);
	put_le64(file + 24, UINT64_MAX);
	cr_assert_eq(parse(&img), -EINVAL); /* entry */
}

Test(elf, random_bytes_never_escape_their_bounds)
{
	unsigned seed = 42;

	for (int i = 0; i < 200000; i++) {
		struct elf_image img;

		header(rand_r(&seed) % 2 ? LINUX_ET_DYN : LINUX_ET_EXEC, (uint16_t)(1 + rand_r(&seed) % 8));
		for (int j = 0; j < 8; j++) {
			phdr(j, rand_r(&seed) % 4, (uint32_t)rand_r(&seed) % 8,
			     (uint64_t)(rand_r(&seed) % 16) << 12, (uint64_t)(rand_r(&seed) % 4096) << 12,
			     (uint64_t)rand_r(&seed) % 9000, (uint64_t)rand_r(&seed) % 20000);
			if (rand_r(&seed) % 4 == 0)
				file[64 + j * ELF_PHDR_SIZE + rand_r(&seed) % ELF_PHDR_SIZE] =
					(uint8_t)rand_r(&seed);
		}
		if (parse(&img) < 0)
			continue;
		cr_assert_leq(img.seg_count, img.h.phnum);
		cr_assert(img.low < img.high && img.high <= GUEST_VA_END);
		for (uint32_t s = 0; s < img.seg_count; s++)
			cr_assert(img.segs[s].filesz <= img.segs[s].memsz && img.segs[s].vaddr >= img.low &&
				  img.segs[s].vaddr + img.segs[s].memsz <= img.high);
	}
}

static int line(const char *text, struct script_line *out)
{
	char prefix[EXEC_PREFIX_SIZE] = {0};

	memcpy(prefix, text, MIN(strlen(text), sizeof(prefix)));
	*out = (struct script_line){0};
	return script_parse(prefix, out);
}

Test(script, lines)
{
	struct script_line l;
	char longline[400];

	cr_assert_eq(line("#!/bin/sh\necho", &l), 0);
	cr_assert_str_eq(l.interp, "/bin/sh");
	cr_assert(!l.has_arg);
	cr_assert_eq(line("#! \t/usr/bin/env  python3 -u \t\n", &l), 0);
	cr_assert_str_eq(l.interp, "/usr/bin/env");
	cr_assert_str_eq(l.arg, "python3 -u");	/* one argument */
	cr_assert_eq(line("#!/bin/sh", &l), 0); /* the file ends here */
	cr_assert_str_eq(l.interp, "/bin/sh");
	cr_assert_eq(line("#!\n", &l), -ENOEXEC);
	cr_assert_eq(line("#!   \n", &l), -ENOEXEC);
	cr_assert_eq(line("#!", &l), -ENOEXEC);
	memset(longline, 'a', sizeof(longline));
	memcpy(longline, "#!/", 3);
	longline[399] = 0;
	cr_assert_eq(line(longline, &l), -ENOEXEC); /* the path itself is cut */
	longline[100] = ' ';
	cr_assert_eq(line(longline, &l), 0); /* only the argument is */
	cr_assert_eq(strlen(l.interp), 98);
	cr_assert_eq(strlen(l.arg), EXEC_PREFIX_SIZE - 101 - 1);
}

Test(script, arguments_are_rewritten)
{
	struct script_line l = {.interp = "/bin/sh", .arg = "-e", .has_arg = true};
	struct exec_args a = {.argc = 2, .envc = 1, .strings_size = 11};

	cr_assert_eq(arena_init(), 0);
	a.strings = kmemdup("old\0arg\0E=", 11);
	cr_assert_eq(script_rewrite(&a, &l, "./x"), 0);
	cr_assert_eq(a.argc, 4);
	cr_assert_eq(a.envc, 1);
	cr_assert_eq(a.strings_size, 22);
	cr_assert_eq(memcmp(a.strings, "/bin/sh\0-e\0./x\0arg\0E=", 22), 0);
}
