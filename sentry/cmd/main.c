/* main.c: `sbx VERB ...`. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "sentry/cmd/oci.h"

static const struct command commands[] = {
	{"run", cmd_run, "run a program in a sandbox (with -b: a container)"},
	{"debug", cmd_debug, "show what a running sandbox is doing"},
	{"syscalls", cmd_syscalls, "print the table of system calls by level of support"},
	{"version", cmd_version, "print the version"},
	{"verify", cmd_cvm, "confidential VMs: check attestation evidence"},
	{"measure", cmd_cvm, "confidential VMs: compute launch measurements"},
	{"policy", cmd_cvm, "confidential VMs: try a release policy"},
	{"manifest", cmd_cvm, "confidential VMs: sign and check what may run"},
	{"volume", cmd_cvm, "confidential VMs: make, fill and check sealed volumes"},
	{"log", cmd_cvm, "confidential VMs: read a sealed log"},
	{"broker", cmd_cvm, "confidential VMs: release keys to attested guests"},
	{"get-key", cmd_cvm, "confidential VMs: ask a broker for a key"},
	{"image", cmd_cvm, "confidential VMs: build and sign guest images"},
	/* the OCI runtime's */
	{"install", cmd_install, "add sbx to the runtimes of Docker, containerd, Podman"},
	{"uninstall", cmd_install, "take it out again"},
	{"create", cmd_create, "create a container from a bundle"},
	{"start", cmd_start, "start a created container"},
	{"state", cmd_state, "print a container's state"},
	{"kill", cmd_kill, "send a signal to a container"},
	{"delete", cmd_delete, "remove a container"},
	{"exec", cmd_exec, "run a further program in a container"},
	{"ps", cmd_ps, "show a container's processes"},
	{"list", cmd_list, "list the containers"},
	{"pause", cmd_pause, "stop all processes of a container"},
	{"resume", cmd_resume, "let a paused container go on"},
	{"update", cmd_update, "change a container's limits"},
	{"events", cmd_events, "show a container's figures"},
	{"spec", cmd_spec, "write a config.json to start from"},
	{"features", cmd_features, "tell what the runtime can do, as JSON"},
	{"checkpoint", cmd_checkpoint, "not supported"},
	{"restore", cmd_restore, "not supported"},
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
	fputs("usage: sbx [--root DIR] [--log FILE] [--log-format text|json] [--debug] [--platform NAME]\n"
	      "           COMMAND [OPTION...] [ARG...]\n\n",
	      out);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].summary);
	fputs("\n`sbx COMMAND --help` tells more.\n", out);
}

int main(int argc, char **argv)
{
	const char *verb;
	int first = oci_parse_globals(argc, argv);

	if (first < 0)
		return EXIT_SBX;
	if (first >= argc) {
		usage(stderr);
		return EXIT_SBX;
	}
	verb = argv[first];
	argc -= first;
	argv += first;
	if (strcmp(verb, "--help") == 0 || strcmp(verb, "help") == 0) {
		usage(stdout);
		return 0;
	}
	if (strcmp(verb, "--version") == 0)
		return cmd_version(argc, argv);
	if (strcmp(verb, "run") == 0 && argc > 1 && strncmp(argv[1], "--confidential", 14) == 0)
		return cmd_cvm(argc, argv);
	if (strcmp(verb, "run") == 0 && oci_run_wanted(argc, argv))
		return cmd_oci_run(argc, argv);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(verb, commands[i].name) == 0)
			return commands[i].run(argc, argv);
	complain("no such command: %s (try `sbx --help`)", verb);
	return EXIT_SBX;
}
