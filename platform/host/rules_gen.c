/* rules_gen.c: a program of the build: makes the seccomp lists of the sentry and the gofer from the HOSTCALL
 * lines of hostcall.c, with libseccomp, and prints them as C: as BPF, so that start-up only loads them, and as
 * text, for `sbx debug --filters`. */
#define HOSTCALL_RULES
#include "platform/host/hostcall.c"

#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "platform/host/filters.h"

#define CONDITIONS_MAX 4

extern const struct hostcall_rule __start_hostcall_rules[], __stop_hostcall_rules[];

static const struct list {
	const char *name, *title;
	unsigned who;
} lists[] = {
	{"sentry_systrap", "sbx-sentry, platform systrap", SYSTRAP_ALONE},
	{"sentry_ptrace", "sbx-sentry, platform ptrace", PTRACE_ALONE},
	{"sentry_systrap_nat", "sbx-sentry, platform systrap, network nat", SYSTRAP_NAT},
	{"sentry_ptrace_nat", "sbx-sentry, platform ptrace, network nat", PTRACE_NAT},
	{"net", "sbx-net", NET},
	{"gofer", "sbx-gofer", GOFER},
	{"gofer_uds", "sbx-gofer with sockets of the host", GOFER_UDS},
};

static NORETURN void die(const char *what, const char *name, int err)
{
	fprintf(stderr, "rules_gen: %s: %s: %s\n", name, what, strerror(-err));
	exit(1);
}

static unsigned conditions(const struct hostcall_rule *r, struct scmp_arg_cmp out[CONDITIONS_MAX])
{
	unsigned n = 0;

	for (; n < CONDITIONS_MAX && r->only_if[n].mask; n++) {
		const struct hostcall_condition *c = &r->only_if[n];

		out[n] = (struct scmp_arg_cmp)SCMP_CMP(c->arg, SCMP_CMP_MASKED_EQ, c->mask, c->value);
	}
	return n;
}

static void add_rule(scmp_filter_ctx ctx, const struct hostcall_rule *r)
{
	struct scmp_arg_cmp cmp[CONDITIONS_MAX];
	unsigned n = conditions(r, cmp);
	int ret;

	if (r->above)
		cmp[n++] = (struct scmp_arg_cmp)SCMP_CMP(0, SCMP_CMP_GT, r->above);
	ret = seccomp_rule_add_exact_array(ctx, r->error ? SCMP_ACT_ERRNO(r->error) : SCMP_ACT_ALLOW, r->nr, n,
					   cmp);
	if (ret < 0)
		die("rule", r->name, ret);
}

static scmp_filter_ctx build(const struct list *l)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int ret;

	if (!ctx)
		die("init", l->name, -ENOMEM);
	ret = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (ret == 0)
		ret = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree, not a row of tests */
	if (ret < 0)
		die("attributes", l->name, ret);
	for (const struct hostcall_rule *r = __start_hostcall_rules; r < __stop_hostcall_rules; r++)
		if (r->who & l->who)
			add_rule(ctx, r);
	return ctx;
}

static unsigned print_program(const struct list *l)
{
	scmp_filter_ctx ctx = build(l);
	struct {
		uint16_t code;
		uint8_t jt, jf;
		uint32_t k;
	} insn;
	FILE *f = tmpfile();
	unsigned n = 0;
	int ret = f ? seccomp_export_bpf(ctx, fileno(f)) : -errno;

	if (ret < 0)
		die("export", l->name, ret);
	seccomp_release(ctx);
	rewind(f);
	printf("static const struct sock_filter program_%s[] = {\n", l->name);
	for (; fread(&insn, sizeof(insn), 1, f) == 1; n++)
		printf("\t{0x%x, %u, %u, 0x%x},\n", insn.code, insn.jt, insn.jf, insn.k);
	printf("};\nconst struct hostcall_filter hostcall_filter_%s = {%u, program_%s};\n\n", l->name, n,
	       l->name);
	fclose(f);
	return n;
}

static void print_rule(const struct hostcall_rule *r)
{
	printf("\t\"  %-18s", r->name);
	if (r->error)
		printf(" answered with %s", strerrorname_np(r->error));
	if (r->above)
		printf(", when argument 0 is above %u", r->above);
	for (unsigned i = 0; i < CONDITIONS_MAX && r->only_if[i].mask; i++) {
		const struct hostcall_condition *c = &r->only_if[i];

		printf("%s argument %u", i ? " and" : " only if", c->arg);
		if (c->mask != ~0ULL && c->mask != UINT32_MAX)
			printf(" & 0x%llx", (unsigned long long)c->mask);
		printf(" == 0x%llx", (unsigned long long)c->value);
	}
	printf("\\n\"\n");
}

static void print_text(const struct list *l, unsigned instructions)
{
	unsigned rules = 0;

	for (const struct hostcall_rule *r = __start_hostcall_rules; r < __stop_hostcall_rules; r++)
		rules += (r->who & l->who) != 0;
	printf("\t\"%s: %u rules, %u instructions; any other system call ends it\\n\"\n", l->title, rules,
	       instructions);
	for (const struct hostcall_rule *r = __start_hostcall_rules; r < __stop_hostcall_rules; r++)
		if (r->who & l->who)
			print_rule(r);
}

int main(void)
{
	unsigned instructions[ARRAY_SIZE(lists)];

	printf("/* made by platform/host/rules_gen.c */\n#include <stddef.h>\n#include <linux/filter.h>\n\n"
	       "#include \"platform/host/filters.h\"\n\n");
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		instructions[i] = print_program(&lists[i]);
	printf("const char hostcall_filters_text[] =\n");
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		print_text(&lists[i], instructions[i]);
	printf("\t;\n");
	return fflush(stdout) != 0;
}
