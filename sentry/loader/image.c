/* image.c: one ELF file: read and checked before the old image is gone, mapped afterwards. */
#include <string.h>

#include "sentry/loader/internal.h"

void image_fini(struct exec_image *img)
{
	kfree(img->elf.segs);
	if (img->file)
		file_put(img->file);
	*img = (struct exec_image){0};
}

static int image_read_segments(struct exec_image *img)
{
	struct elf_image *e = &img->elf;
	size_t size = (size_t)e->h.phnum * ELF_PHDR_SIZE;
	void *phdrs = kmalloc(size);
	int ret = -ENOMEM;

	e->segs = kmalloc(e->h.phnum * sizeof(*e->segs));
	if (phdrs && e->segs) {
		ssize_t got = file_read_kernel(img->file, phdrs, size, e->h.phoff);

		ret = got == (ssize_t)size ? elf_parse_segments(phdrs, e) : -ENOEXEC;
	}
	kfree(phdrs);
	return ret;
}

/* Everything that mapping will need is asked for now, while an error can still be returned. */
static int image_check_mappable(struct exec_image *img)
{
	const struct elf_segment *s = &img->elf.segs[0];
	uint64_t off;
	int fd, ret = file_mappable(img->file, &img->map);

	if (ret < 0)
		return ret == -ENODEV ? -ENOEXEC : ret;
	return img->map->ops->host_fd(img->map, ROUND_DOWN(s->offset, PAGE_SIZE), PAGE_SIZE, false, &fd, &off);
}

int image_read(struct file *f, const char *prefix, int bad, struct exec_image *img)
{
	int ret;

	*img = (struct exec_image){.file = f};
	ret = elf_parse_header(prefix, EXEC_PREFIX_SIZE, &img->elf.h);
	if (ret == 0)
		ret = image_read_segments(img);
	if (ret == 0)
		ret = image_check_mappable(img);
	if (ret < 0)
		image_fini(img);
	return ret == -ENOEXEC ? bad : ret;
}

static int map_piece(struct task *t, struct exec_image *img, uaddr_t addr, uint64_t size, uint32_t prot,
		     bool from_file, uint64_t offset)
{
	struct mmap_args a = {
		.addr = addr,
		.size = size,
		.prot = prot,
		.flags = LINUX_MAP_PRIVATE | LINUX_MAP_FIXED | (from_file ? 0 : LINUX_MAP_ANONYMOUS),
		.file = from_file ? img->map : NULL,
		.offset = from_file ? offset : 0,
	};
	int64_t ret;

	if (size == 0)
		return 0;
	ret = mm_mmap(t->mm, t->ctx, task_rlimits(t), &a);
	return ret < 0 ? (int)ret : 0;
}

/* From the end of the file's bytes to the end of their page: what lies there isn't the segment's. */
static int zero_tail(struct task *t, uaddr_t from, uaddr_t to)
{
	struct usermem um = task_usermem(t);
	char *zeros;
	int ret;

	if (from == to)
		return 0;
	zeros = kmalloc(to - from);
	if (!zeros)
		return -ENOMEM;
	ret = usermem_out(&um, from, zeros, to - from);
	kfree(zeros);
	return ret;
}

static int map_segment(struct task *t, struct exec_image *img, const struct elf_segment *s)
{
	uaddr_t start = img->bias + ROUND_DOWN(s->vaddr, PAGE_SIZE),
		file_end = img->bias + s->vaddr + s->filesz;
	uaddr_t map_end = s->filesz ? ROUND_UP(file_end, PAGE_SIZE) : start;
	uaddr_t end = ROUND_UP(img->bias + s->vaddr + s->memsz, PAGE_SIZE);
	int ret = map_piece(t, img, start, map_end - start, s->prot, true, ROUND_DOWN(s->offset, PAGE_SIZE));

	if (ret < 0 || s->memsz == s->filesz)
		return ret;
	if (s->filesz && (s->prot & LINUX_PROT_WRITE)) {
		ret = zero_tail(t, file_end, map_end);
		if (ret < 0)
			return ret;
	}
	return end > map_end ? map_piece(t, img, map_end, end - map_end, s->prot, false, 0) : 0;
}

int image_map(struct task *t, struct exec_image *img, uint64_t base)
{
	const struct elf_image *e = &img->elf;

	if (e->h.pie) {
		uint64_t size = e->high - e->low;

		base = ROUND_DOWN(base, e->align);
		if (!base || !mm_is_free(t->mm, base, size))
			base = mm_find_free(t->mm, size, e->align);
		if (!base)
			return -ENOMEM;
		img->bias = base - e->low;
	}
	for (uint32_t i = 0; i < e->seg_count; i++) {
		int ret = map_segment(t, img, &e->segs[i]);

		if (ret < 0)
			return ret;
	}
	return 0;
}
