/* internal.h: what the files of sentry/loader share. */
#pragma once

#include "platform/abi/errno.h"
#include "platform/abi/mman.h"
#include "platform/base/arena.h"
#include "sentry/loader/elf.h"
#include "sentry/loader/loader.h"

#define EXEC_PREFIX_SIZE  256 /* how much of a file decides what it is */
#define EXEC_SCRIPT_DEPTH 5   /* scripts in a row; one more is -ELOOP */
#define EXEC_PIE_BASE	  0x555555554000UL

/* An ELF file that was read and checked, ready to be mapped. */
struct exec_image {
	struct file *file;    /* reference */
	struct mappable *map; /* borrowed from file */
	struct elf_image elf; /* segs owned */
	uint64_t bias;	      /* set by image_map */
};

struct exec_state {
	struct task *task;
	struct exec_args *args;
	const char *filename;	       /* as execve was given it */
	struct exec_image exe, interp; /* interp.file NULL: none */
};

/* file.c: opening and reading programs. */
MUST_CHECK int exec_open(struct task *t, const char *path, struct file **out);
/* 0, or -EACCES, -ETXTBSY: may this open file be executed? */
MUST_CHECK int exec_check_file(struct file *f);

/* script.c: "#!" lines. prefix: EXEC_PREFIX_SIZE bytes, zero-padded. */
struct script_line {
	char interp[EXEC_PREFIX_SIZE];
	char arg[EXEC_PREFIX_SIZE];
	bool has_arg;
};
bool script_is(const char *prefix);
MUST_CHECK int script_parse(const char *prefix, struct script_line *out); /* -ENOEXEC */
/* argv becomes interp, [arg], name, argv[1..]; -ENOMEM */
MUST_CHECK int script_rewrite(struct exec_args *a, const struct script_line *line, const char *name);

/* image.c */
/* Reads and checks; takes f in every case. bad: what -ENOEXEC is called (-ELIBBAD for interpreters). */
MUST_CHECK int image_read(struct file *f, const char *prefix, int bad, struct exec_image *img);
void image_fini(struct exec_image *img);
/* Maps every segment; base 0: wherever there is room. Sets img->bias. */
MUST_CHECK int image_map(struct task *t, struct exec_image *img, uint64_t base);

/* stack.c: maps the stack, fills it, sets args->stack. */
MUST_CHECK int stack_check_size(struct task *t, const struct exec_args *a, const char *filename);
MUST_CHECK int stack_build(struct exec_state *s);
