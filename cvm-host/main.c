/* main.c: sbx-cvm VERB ...; what `sbx verify`, `sbx measure` and so on execute. */
#include <stdio.h>
#include <string.h>

#include "cvm-host/cvm.h"

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *summary;
} verbs[] = {
	{"verify", cvm_verify, "check attestation evidence and show its claims"},
	{"measure", cvm_measure, "compute what a guest must measure to"},
	{"policy", cvm_policy, "check a release policy, or try it on claims"},
	{"manifest", cvm_manifest, "sign and check what may run"},
	{"volume", cvm_volume, "make, fill and check sealed volumes"},
	{"log", cvm_log, "read a sealed log"},
	{"image", cvm_image, "build guest images"},
	{"run", cvm_run, "run a program in a confidential VM"},
	{"broker", cvm_broker, "release keys to attested guests"},
	{"get-key", cvm_get_key, "attest to a broker and get keys"},
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(verbs); i++)
		if (strcmp(argv[1], verbs[i].name) == 0)
			return verbs[i].run(argc - 1, argv + 1);
	fputs("usage: sbx-cvm VERB [OPTION...]\n\n", stderr);
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		fprintf(stderr, "  %-10s %s\n", verbs[i].name, verbs[i].summary);
	return EXIT_USAGE;
}
