/* show.c: /proc/pid/maps and smaps, byte for byte in Linux's form, from a snapshot of the VMAs: a file's
 * name is asked for without mm's lock, because finding it takes locks that rank above. */
#include <stdio.h>
#include <string.h>

#include "platform/base/strbuf.h"
#include "sentry/mm/internal.h"

#define NAME_COLUMN   73
#define NAME_MAX_SIZE 4096

/* Only a newline would break the format. */
static void show_escaped(struct strbuf *out, const char *name)
{
	for (; *name; name++) {
		if (*name == '\n')
			strbuf_puts(out, "\\012");
		else
			strbuf_putc(out, *name);
	}
}

static void show_name(const struct mm *mm, const struct vma *v, char *buf, size_t size)
{
	buf[0] = '\0';
	if (v->kind == VMA_STACK)
		strncpy(buf, "[stack]", size);
	else if (v->kind == VMA_VDSO)
		strncpy(buf, "[vdso]", size);
	else if (v->kind == VMA_VVAR)
		strncpy(buf, "[vvar]", size);
	else if (v->start < mm->brk && v->end > mm->brk_start)
		strncpy(buf, "[heap]", size);
	else if (v->anon_name)
		snprintf(buf, size, "[anon:%s]", v->anon_name->text);
}

static void show_line(const struct mm *mm, const struct vma *v, char *buf, struct strbuf *out)
{
	uint64_t dev = 0, ino = 0, major, minor;
	size_t start = out->len, width;

	buf[0] = '\0';
	if (v->file)
		v->file->ops->describe(v->file, &dev, &ino, buf, NAME_MAX_SIZE);
	else
		show_name(mm, v, buf, NAME_MAX_SIZE);
	major = ((dev >> 8) & 0xfff) | ((dev >> 32) & ~0xfffUL);
	minor = (dev & 0xff) | ((dev >> 12) & 0xffffff00UL);
	strbuf_printf(out, "%08lx-%08lx %c%c%c%c %08lx %02lx:%02lx %lu ", v->start, v->end,
		      v->prot & LINUX_PROT_READ ? 'r' : '-', v->prot & LINUX_PROT_WRITE ? 'w' : '-',
		      v->prot & LINUX_PROT_EXEC ? 'x' : '-', vma_is_shared(v) ? 's' : 'p',
		      v->file ? v->offset : 0, major, minor, ino);
	if (buf[0]) {
		for (width = out->len - start; width < NAME_COLUMN; width++)
			strbuf_putc(out, ' ');
		show_escaped(out, buf);
	}
	strbuf_putc(out, '\n');
}

static void show_kb(struct strbuf *out, const char *label, uint64_t bytes)
{
	strbuf_printf(out, "%-16s%8lu kB\n", label, bytes >> 10);
}

static void show_vm_flags(const struct vma *v, struct strbuf *out)
{
	static const char may[][4] = {"mr ", "mw ", "me "};

	strbuf_puts(out, "VmFlags: ");
	if (v->prot & LINUX_PROT_READ)
		strbuf_puts(out, "rd ");
	if (v->prot & LINUX_PROT_WRITE)
		strbuf_puts(out, "wr ");
	if (v->prot & LINUX_PROT_EXEC)
		strbuf_puts(out, "ex ");
	if (vma_is_shared(v) && (v->max_prot & LINUX_PROT_WRITE))
		strbuf_puts(out, "sh ");
	strbuf_puts(out, may[0]);
	if (v->max_prot & LINUX_PROT_WRITE)
		strbuf_puts(out, may[1]);
	if (v->max_prot & LINUX_PROT_EXEC)
		strbuf_puts(out, may[2]);
	if (vma_is_shared(v))
		strbuf_puts(out, "ms ");
	if (v->flags & LINUX_MAP_GROWSDOWN)
		strbuf_puts(out, "gd ");
	if (v->flags & LINUX_MAP_LOCKED)
		strbuf_puts(out, "lo ");
	if (v->dontfork)
		strbuf_puts(out, "dc ");
	if (vma_is_special(v))
		strbuf_puts(out, "de ");
	if (v->flags & VMA_ACCOUNT)
		strbuf_puts(out, "ac ");
	if (v->flags & LINUX_MAP_NORESERVE)
		strbuf_puts(out, "nr ");
	if (v->wipeonfork)
		strbuf_puts(out, "wf ");
	if (v->dontdump)
		strbuf_puts(out, "dd ");
	strbuf_putc(out, '\n');
}

/* Residency by mapping isn't known without asking the host page by page: those lines say 0. */
static void show_detail(const struct vma *v, struct strbuf *out)
{
	static const char *const zero[] = {
		"Rss:",
		"Pss:",
		"Pss_Dirty:",
		"Shared_Clean:",
		"Shared_Dirty:",
		"Private_Clean:",
		"Private_Dirty:",
		"Referenced:",
		"Anonymous:",
		"KSM:",
		"LazyFree:",
		"AnonHugePages:",
		"ShmemPmdMapped:",
		"FilePmdMapped:",
		"Shared_Hugetlb:",
		"Private_Hugetlb:",
		"Swap:",
		"SwapPss:",
		"Locked:",
	};

	show_kb(out, "Size:", vma_size(v));
	show_kb(out, "KernelPageSize:", PAGE_SIZE);
	show_kb(out, "MMUPageSize:", PAGE_SIZE);
	for (size_t i = 0; i < ARRAY_SIZE(zero); i++)
		show_kb(out, zero[i], 0);
	strbuf_printf(out, "%-16s%8u\n", "THPeligible:", vma_is_anon(v) && vma_size(v) >= MM_HUGE_PAGE);
	show_vm_flags(v, out);
}

/* A copy of all visible VMAs with references to files and names; NULL when there is no memory. */
static struct vma *show_snapshot(struct mm *mm, uint32_t *count, struct mm *fields)
{
	struct vma *copy;
	uint32_t n = 0;

	mutex_lock(&mm->lock);
	fields->brk = mm->brk;
	fields->brk_start = mm->brk_start;
	copy = kmalloc((mm->map_count + 1) * sizeof(*copy));
	for (struct vma *v = copy ? vma_first(mm) : NULL; v; v = vma_next(v)) {
		if (vma_is_hidden(v))
			continue;
		copy[n] = *v;
		vma_name_get(v->anon_name);
		if (v->file)
			v->file->ops->get(v->file);
		n++;
	}
	mutex_unlock(&mm->lock);
	*count = n;
	return copy;
}

void mm_show_maps(struct mm *mm, struct strbuf *out, bool smaps)
{
	char *buf = kmalloc(NAME_MAX_SIZE);
	struct mm *fields = kmalloc(sizeof(*fields));
	struct vma *v = NULL;
	uint32_t count = 0;

	if (buf && fields)
		v = show_snapshot(mm, &count, fields);
	if (!v)
		out->failed = true;
	for (uint32_t i = 0; i < count; i++) {
		show_line(fields, &v[i], buf, out);
		if (smaps)
			show_detail(&v[i], out);
		if (v[i].file)
			v[i].file->ops->put(v[i].file);
		vma_name_put(v[i].anon_name);
	}
	kfree(v);
	kfree(fields);
	kfree(buf);
}

/* coredump_filter's usual value: memory of its own, and the page that says which file a mapping is of. */
static uint64_t core_bytes(const struct vma *v)
{
	if (v->dontdump || !(v->prot & PROT_ALL))
		return 0;
	if (!v->file || vma_is_special(v) || (v->prot & LINUX_PROT_WRITE && !vma_is_shared(v)))
		return vma_size(v);
	return v->offset == 0 && !vma_is_shared(v) ? PAGE_SIZE : 0;
}

struct mm_range *mm_core_ranges(struct mm *mm, uint32_t max, uint32_t *count)
{
	struct mm *fields = kmalloc(sizeof(*fields));
	char *buf = kmalloc(NAME_MAX_SIZE);
	struct vma *v = NULL;
	struct mm_range *r = NULL;
	uint64_t dev, ino;
	uint32_t n = 0;

	if (fields && buf)
		v = show_snapshot(mm, &n, fields);
	if (v)
		r = kmalloc((n + 1) * sizeof(*r));
	for (uint32_t i = 0; i < n; i++) {
		if (r && i < max) {
			r[i] = (struct mm_range){.start = v[i].start,
						 .end = v[i].end,
						 .prot = v[i].prot,
						 .dump = core_bytes(&v[i])};
			buf[0] = 0;
			if (v[i].file)
				v[i].file->ops->describe(v[i].file, &dev, &ino, buf, NAME_MAX_SIZE);
			if (buf[0]) {
				r[i].offset = v[i].offset;
				r[i].name = kstrdup(buf);
			}
		}
		if (v[i].file)
			v[i].file->ops->put(v[i].file);
		vma_name_put(v[i].anon_name);
	}
	kfree(v);
	kfree(fields);
	kfree(buf);
	*count = MIN(n, max);
	return r;
}

void mm_ranges_free(struct mm_range *r, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		kfree(r[i].name);
	kfree(r);
}
