/* main.c: `sbx VERB ...`. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "sentry/cmd/cmd.h"

static const struct command commands[] = {
	{"run", cmd_run, "run a program in a sandbox"},
	{"debug", cmd_debug, "show what a running sandbox is doing"},
	{"syscalls", cmd_syscalls, "print the table of system calls by level of support"},
	{"version", cmd_version, "print the version"},
	{"verify", cmd_cvm, "confidential VMs: check attestation evidence"},
	{"measure", cmd_cvm, "confidential VMs: compute launch measurements"},
	{"policy", cmd_cvm, "confidential VMs: try a release policy"},
	{"manifest", cmd_cvm, "confidential VMs: sign and check what may run"},
	{"broker", cmd_cvm, "confidential VMs: release keys to attested guests"},
	{"get-key", cmd_cvm, "confidential VMs: ask a broker for a key"},
	{"image", cmd_cvm, "confidential VMs: build and sign guest images"},
};

void complain(const char *fmt, ...)
{
	va_list ap;

	fputs("sbx: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

static void usage(FILE *out)
{
	fputs("usage: sbx COMMAND [OPTION...] [ARG...]\n\n", out);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].summary);
	fputs("\n`sbx COMMAND --help` tells more.\n", out);
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		usage(stderr);
		return EXIT_SBX;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
		usage(stdout);
		return 0;
	}
	if (strcmp(argv[1], "--version") == 0)
		return cmd_version(argc - 1, argv + 1);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	complain("no such command: %s (try `sbx --help`)", argv[1]);
	return EXIT_SBX;
}
