/* first.c: the first program, pid 1 of the sandbox. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "platform/base/bug.h"
#include "sentry/boot/program.h"
#include "sentry/boot/terminal.h"

#define EXIT_SBX 125

void boot_program_prepare(struct boot *b)
{
	struct program_files files = {.stdio = {0, 1, 2}};
	struct program *p = kmalloc(sizeof(*p));
	struct reason *why = kmalloc(sizeof(*why));

	if (!p || !why)
		boot_fail(b, EXIT_SBX, "out of memory");
	p->why = why;
	if (program_prepare(b, &b->config, &files, p) < 0)
		boot_fail(b, why->status, "%s", why->text);
	b->program = p;
	if (p->terminal && terminal_start(p->terminal) < 0)
		boot_fail(b, EXIT_SBX, "cannot start the terminal's threads");
}

int boot_program_start(struct boot *b, struct reason *why)
{
	struct program *p = b->program;
	struct init_args a;
	int ret;

	program_args(b, p, &a);
	a.unkillable = p->oci;
	ret = kernel_start_init(b->kernel, &a);
	if (ret < 0) {
		program_explain(p, ret);
		*why = *p->why;
	}
	program_free(p);
	return ret < 0 ? -1 : 0;
}
