/* loader.c: the course of an execve: find out what the file is, follow scripts, read and check images;
 * then, past the point of no return, map them and build the stack. */
#include "sentry/loader/loader.h"

#include <string.h>

#include "platform/abi/misc.h"
#include "platform/base/random.h"
#include "sentry/loader/internal.h"

#define PIE_RANDOM_BITS 28 /* pages */
#define BRK_RANDOM	(1UL << 30)
#define MODE_SUID	04000u
#define MODE_SGID	02000u
#define MODE_GROUP_EXEC 00010u

static int read_prefix(struct file *f, char *prefix)
{
	ssize_t got;

	memset(prefix, 0, EXEC_PREFIX_SIZE);
	got = file_read_kernel(f, prefix, EXEC_PREFIX_SIZE, 0);
	return got < 0 ? (int)got : 0;
}

/* Follows scripts from f on until something else is found: *out with a reference, its prefix. */
static int follow_scripts(struct exec_state *s, struct file *f, char *prefix, struct file **out)
{
	struct script_line *line = kmalloc(sizeof(*line));
	char *name = kstrdup(s->filename);
	int ret = line && name ? 0 : -ENOMEM;

	file_get(f);
	for (int depth = 0; ret == 0; depth++) {
		struct file *next;

		ret = read_prefix(f, prefix);
		if (ret < 0 || !script_is(prefix))
			break;
		ret = script_parse(prefix, line);
		if (ret == 0)
			ret = script_rewrite(s->args, line, name);
		if (ret == 0)
			ret = exec_open(s->task, line->interp, &next);
		if (ret < 0)
			break;
		file_put(f);
		f = next;
		kfree(name);
		name = kstrdup(line->interp);
		if (!name)
			ret = -ENOMEM;
		else if (depth >= EXEC_SCRIPT_DEPTH)
			ret = -ELOOP;
	}
	kfree(line);
	kfree(name);
	if (ret < 0)
		file_put(f);
	else
		*out = f;
	return ret;
}

static int read_interp(struct exec_state *s, char *prefix)
{
	const struct elf_image *e = &s->exe.elf;
	char *path = kmalloc(e->interp_size);
	struct file *f;
	ssize_t got;
	int ret;

	if (!path)
		return -ENOMEM;
	got = file_read_kernel(s->exe.file, path, e->interp_size, e->interp_offset);
	if (got != (ssize_t)e->interp_size)
		ret = got < 0 ? (int)got : -EIO;
	else if (path[e->interp_size - 1] != '\0')
		ret = -ENOEXEC;
	else
		ret = exec_open(s->task, path, &f);
	kfree(path);
	if (ret < 0)
		return ret;
	ret = read_prefix(f, prefix);
	if (ret < 0) {
		file_put(f);
		return ret;
	}
	ret = image_read(f, prefix, -ELIBBAD, &s->interp);
	/* One that insists on its place could only be there by destroying something. */
	if (ret == 0 && !s->interp.elf.h.pie)
		ret = -ELIBBAD;
	return ret;
}

/* Set-id bits and names, from the file that is executed. */
static void note_file(struct exec_state *s)
{
	struct exec_args *a = s->args;
	const struct file *f = s->exe.file;
	const struct inode *i = f->inode;
	uint32_t mode = __atomic_load_n(&i->mode, __ATOMIC_RELAXED);
	const char *base = strrchr(s->filename, '/');

	a->set_uid = a->set_gid = ID_INVALID;
	if (!f->path.mnt || !(__atomic_load_n(&f->path.mnt->flags, __ATOMIC_RELAXED) & LINUX_MS_NOSUID)) {
		if (mode & MODE_SUID)
			a->set_uid = i->uid;
		if ((mode & (MODE_SGID | MODE_GROUP_EXEC)) == (MODE_SGID | MODE_GROUP_EXEC))
			a->set_gid = i->gid;
	}
	base = base ? base + 1 : s->filename;
	memset(a->comm, 0, sizeof(a->comm));
	memcpy(a->comm, base, strnlen(base, sizeof(a->comm) - 1));
}

/* The books' idea of code, data and break. */
static void note_layout(struct exec_state *s)
{
	const struct elf_image *e = &s->exe.elf;
	struct mm *mm = s->task->mm;
	uint64_t bias = s->exe.bias;

	mm->start_code = UINT64_MAX;
	mm->brk = bias + e->high;
	for (uint32_t i = 0; i < e->seg_count; i++) {
		const struct elf_segment *g = &e->segs[i];
		uaddr_t start = bias + g->vaddr, end = start + g->filesz;

		if (g->prot & LINUX_PROT_EXEC) {
			mm->start_code = MIN(mm->start_code, start);
			mm->end_code = MAX(mm->end_code, end);
		}
		mm->start_data = MAX(mm->start_data, start);
		mm->end_data = MAX(mm->end_data, end);
	}
	if (mm->start_code == UINT64_MAX)
		mm->start_code = mm->end_code = bias + e->low;
	/* A program without interpreter lies where libraries do: its heap would soon hit something. */
	if (e->h.pie && !s->interp.file)
		mm->brk = EXEC_PIE_BASE;
	mm->brk = ROUND_UP(mm->brk, PAGE_SIZE) + ROUND_DOWN(random_u64() % BRK_RANDOM, PAGE_SIZE);
	mm->brk_start = mm->brk;
	mm->exe = s->exe.map;
	mm->exe->ops->get(mm->exe);
}

static int map_all(struct exec_state *s)
{
	struct exec_args *a = s->args;
	uint64_t base = 0;
	int ret;

	if (s->interp.file)
		base = EXEC_PIE_BASE + ((random_u64() & ((1UL << PIE_RANDOM_BITS) - 1)) << PAGE_SHIFT);
	ret = image_map(s->task, &s->exe, base);
	if (ret == 0 && s->interp.file)
		ret = image_map(s->task, &s->interp, 0);
	if (ret < 0)
		return ret;
	note_layout(s);
	a->entry = s->exe.elf.h.entry + s->exe.bias;
	if (s->interp.file)
		a->entry = s->interp.elf.h.entry + s->interp.bias;
	return stack_build(s);
}

int loader_exec(struct task *t, struct file *exe, const char *filename, struct exec_args *a,
		int (*begin)(struct task *t, struct exec_args *a))
{
	struct exec_state s = {.task = t, .args = a, .filename = filename};
	char prefix[EXEC_PREFIX_SIZE];
	struct file *f = NULL;
	int ret = exec_check_file(exe);

	if (ret == 0)
		ret = follow_scripts(&s, exe, prefix, &f);
	if (ret < 0)
		return ret;
	ret = image_read(f, prefix, -ENOEXEC, &s.exe);
	if (ret == 0 && s.exe.elf.has_interp)
		ret = read_interp(&s, prefix);
	if (ret == 0)
		ret = stack_check_size(t, a, filename);
	if (ret == 0) {
		note_file(&s);
		ret = begin(t, a);
	}
	if (ret == 0) {
		a->point_of_no_return = true;
		ret = map_all(&s);
	}
	if (ret == 0) {
		a->exe = s.exe.file->path;
		path_get(&a->exe);
	}
	image_fini(&s.exe);
	image_fini(&s.interp);
	return ret;
}
