/* stack.c: the initial stack of a program: strings, auxiliary vector, pointers, in Linux's order; see
 * getauxval(3) and the x86-64 psABI. From the top down: 8 zero bytes, the file's name, environment strings,
 * argument strings, random padding, platform name, random bytes, auxv, envp, argv, argc. */
#include <string.h>
#include <sys/auxv.h>

#include "platform/abi/auxv.h"
#include "platform/base/random.h"
#include "sentry/loader/internal.h"

#define STACK_MAX      (8UL << 20) /* mapped in full, touched as needed */
#define STACK_MIN      (128UL << 10)
#define STACK_RANDOM   0x3fffffUL /* pages */
#define STACK_GUARD    (1UL << 20)
#define ARG_LIMIT_MAX  (6UL << 20)
#define ARG_LIMIT_MIN  (128UL << 10)
#define SIGFRAME_FIXED (440 + 4 + 64 + 16) /* rt_sigframe, FP magic, alignment */

static const char platform_name[] = "x86_64";

struct stack_plan {
	uaddr_t top; /* end of the mapping */
	uaddr_t execfn, strings, platform, random, table;
	uint64_t words; /* of the table */
};

int stack_check_size(struct task *t, const struct exec_args *a, const char *filename)
{
	uint64_t limit = MIN(task_rlimit(t, LINUX_RLIMIT_STACK) / 4, ARG_LIMIT_MAX);
	uint64_t size = a->strings_size + strlen(filename) + ((uint64_t)a->argc + a->envc) * sizeof(uint64_t);

	return size > MAX(limit, ARG_LIMIT_MIN) ? -E2BIG : 0;
}

/* Where the stack goes: a random top that is free, or any free place. */
static uaddr_t stack_place(struct mm *mm, uint64_t size)
{
	uaddr_t at;

	for (int i = 0; i < 8; i++) {
		uaddr_t top = GUEST_VA_END - (random_u64() & STACK_RANDOM) * PAGE_SIZE;

		if (mm_is_free(mm, top - size - STACK_GUARD, size + STACK_GUARD))
			return top - size;
	}
	at = mm_find_free(mm, size + STACK_GUARD, PAGE_SIZE);
	return at ? at + STACK_GUARD : 0;
}

static int stack_map(struct exec_state *s, struct stack_plan *p)
{
	struct task *t = s->task;
	const struct exec_args *a = s->args;
	uint64_t limit = task_rlimit(t, LINUX_RLIMIT_STACK), size, needed;
	struct mmap_args m;
	int64_t ret;

	needed = a->strings_size + strlen(s->filename) +
		 ((uint64_t)a->argc + a->envc + ARRAY_SIZE(t->mm->auxv)) * sizeof(uint64_t) + 2 * PAGE_SIZE;
	size = ROUND_UP(MAX(MIN(limit, STACK_MAX), needed + STACK_MIN), PAGE_SIZE);
	m = (struct mmap_args){
		.addr = stack_place(t->mm, size),
		.size = size,
		.prot = LINUX_PROT_READ | LINUX_PROT_WRITE | (s->exe.elf.exec_stack ? LINUX_PROT_EXEC : 0),
		.flags = LINUX_MAP_PRIVATE | LINUX_MAP_ANONYMOUS | LINUX_MAP_FIXED_NOREPLACE |
			 LINUX_MAP_GROWSDOWN | LINUX_MAP_NORESERVE,
		.kind = VMA_STACK,
	};
	if (!m.addr)
		return -ENOMEM;
	ret = mm_mmap(t->mm, t->ctx, NULL, &m);
	if (ret < 0)
		return (int)ret;
	p->top = (uaddr_t)ret + size;
	return 0;
}

static void aux_add(uint64_t *aux, uint32_t *n, uint64_t type, uint64_t value)
{
	aux[(*n)++] = type;
	aux[(*n)++] = value;
}

/* Words written, terminator included; at most as many as mm->auxv has. */
static uint32_t stack_auxv(const struct exec_state *s, const struct stack_plan *p, uint64_t *aux)
{
	const struct exec_args *a = s->args;
	const struct elf_image *e = &s->exe.elf;
	struct platform *pf = s->task->kernel->platform;
	uint64_t xfeatures;
	uint32_t n = 0;

	if (pf->vdso_start)
		aux_add(aux, &n, LINUX_AT_SYSINFO_EHDR, pf->vdso_start);
	aux_add(aux, &n, LINUX_AT_MINSIGSTKSZ,
		ROUND_UP(pf->ops->fpstate_size(pf, &xfeatures) + SIGFRAME_FIXED, (size_t)16));
	aux_add(aux, &n, LINUX_AT_HWCAP, getauxval(AT_HWCAP));
	aux_add(aux, &n, LINUX_AT_PAGESZ, PAGE_SIZE);
	aux_add(aux, &n, LINUX_AT_CLKTCK, 100);
	aux_add(aux, &n, LINUX_AT_PHDR, e->phdr_vaddr ? e->phdr_vaddr + s->exe.bias : 0);
	aux_add(aux, &n, LINUX_AT_PHENT, ELF_PHDR_SIZE);
	aux_add(aux, &n, LINUX_AT_PHNUM, e->h.phnum);
	aux_add(aux, &n, LINUX_AT_BASE, s->interp.file ? s->interp.bias : 0);
	aux_add(aux, &n, LINUX_AT_FLAGS, 0);
	aux_add(aux, &n, LINUX_AT_ENTRY, e->h.entry + s->exe.bias);
	aux_add(aux, &n, LINUX_AT_UID, a->uid);
	aux_add(aux, &n, LINUX_AT_EUID, a->euid);
	aux_add(aux, &n, LINUX_AT_GID, a->gid);
	aux_add(aux, &n, LINUX_AT_EGID, a->egid);
	aux_add(aux, &n, LINUX_AT_SECURE, a->secure);
	aux_add(aux, &n, LINUX_AT_RANDOM, p->random);
	aux_add(aux, &n, LINUX_AT_HWCAP2, getauxval(AT_HWCAP2));
	aux_add(aux, &n, LINUX_AT_EXECFN, p->execfn);
	aux_add(aux, &n, LINUX_AT_PLATFORM, p->platform);
	aux_add(aux, &n, LINUX_AT_NULL, 0);
	return n;
}

/* Pointers to count strings from guest address *at on, whose copies begin at *text. */
static int stack_pointers(uint64_t *table, uint32_t count, const char **text, const char *end, uaddr_t *at)
{
	for (uint32_t i = 0; i < count; i++) {
		size_t len = strnlen(*text, (size_t)(end - *text)) + 1;

		if (len > (size_t)(end - *text))
			return -EFAULT; /* fewer strings than were promised */
		table[i] = *at;
		*text += len;
		*at += len;
	}
	table[count] = 0;
	return 0;
}

static void stack_layout(struct exec_state *s, struct stack_plan *p, uint32_t aux_words)
{
	const struct exec_args *a = s->args;
	uaddr_t at = p->top - 8;

	p->execfn = at -= strlen(s->filename) + 1;
	p->strings = at -= a->strings_size;
	at = ROUND_DOWN(at - random_u64() % 8192, 16UL);
	p->platform = at -= sizeof(platform_name);
	p->random = at -= 16;
	p->words = 1 + (uint64_t)a->argc + 1 + a->envc + 1 + aux_words;
	p->table = ROUND_DOWN(at - p->words * sizeof(uint64_t), 16UL);
}

/* The image of everything from the table to the top, copied to the guest at once. */
static char *stack_at(const struct stack_plan *p, char *image, uaddr_t addr)
{
	return image + (addr - p->table);
}

/* argc, argv, envp, auxv. Notes in mm where each of them is. */
static int stack_table(struct exec_state *s, const struct stack_plan *p, const uint64_t *aux,
		       uint32_t aux_words, uint64_t *table)
{
	const struct exec_args *a = s->args;
	const char *text = a->strings, *end = a->strings + a->strings_size;
	struct mm *mm = s->task->mm;
	uaddr_t at = p->strings;
	int ret;

	table[0] = a->argc;
	mm->arg_start = at;
	ret = stack_pointers(table + 1, a->argc, &text, end, &at);
	mm->arg_end = mm->env_start = at;
	if (ret == 0)
		ret = stack_pointers(table + a->argc + 2, a->envc, &text, end, &at);
	mm->env_end = at;
	memcpy(table + a->argc + a->envc + 3, aux, aux_words * sizeof(*aux));
	return ret;
}

static int stack_fill(struct exec_state *s, const struct stack_plan *p, const uint64_t *aux, uint32_t aux_words)
{
	struct usermem um = task_usermem(s->task);
	char *image = kmalloc(p->top - p->table);
	int ret;

	if (!image)
		return -ENOMEM;
	memcpy(stack_at(p, image, p->execfn), s->filename, strlen(s->filename) + 1);
	memcpy(stack_at(p, image, p->strings), s->args->strings, s->args->strings_size);
	memcpy(stack_at(p, image, p->platform), platform_name, sizeof(platform_name));
	random_bytes(stack_at(p, image, p->random), 16);
	ret = stack_table(s, p, aux, aux_words, (uint64_t *)image);
	if (ret == 0)
		ret = usermem_out(&um, p->table, image, p->top - p->table);
	kfree(image);
	return ret;
}

int stack_build(struct exec_state *s)
{
	struct mm *mm = s->task->mm;
	uint64_t aux[ARRAY_SIZE(mm->auxv)] = {0};
	struct stack_plan p = {0};
	uint32_t aux_words;
	int ret = stack_map(s, &p);

	if (ret < 0)
		return ret;
	aux_words = stack_auxv(s, &p, aux); /* for its length */
	stack_layout(s, &p, aux_words);
	aux_words = stack_auxv(s, &p, aux);
	ret = stack_fill(s, &p, aux, aux_words);
	if (ret < 0)
		return ret;
	memcpy(mm->auxv, aux, sizeof(aux));
	mm->auxv_count = aux_words;
	mm->start_stack = p.table;
	s->args->stack = p.table;
	return 0;
}
