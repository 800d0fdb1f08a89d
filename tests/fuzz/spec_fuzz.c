/* spec_fuzz.c: config.json, process.json and resources: whatever they hold, the answer is a structure or one
 * line that says what is wrong. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sentry/oci/seccomp.h"
#include "sentry/oci/spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads what a caller would: strings that are borrowed must live as long as the spec. */
static size_t look(const struct oci_spec *s)
{
	size_t n = strlen(s->root_path) + strlen(s->process.cwd);

	for (size_t i = 0; s->process.args[i]; i++)
		n += strlen(s->process.args[i]);
	for (size_t i = 0; s->process.env[i]; i++)
		n += strlen(s->process.env[i]);
	for (size_t i = 0; i < s->mount_count; i++)
		for (size_t k = 0; s->mounts[i].options[k]; k++)
			n += strlen(s->mounts[i].options[k]) + strlen(s->mounts[i].destination);
	for (size_t i = 0; s->masked[i]; i++)
		n += strlen(s->masked[i]);
	return n;
}

static void compile(const struct oci_spec *s)
{
	char err[256] = "";
	void *prog;
	size_t n;

	if (!s->seccomp)
		return;
	if (seccomp_compile(s->seccomp, &prog, &n, err, sizeof(err)) == 0)
		free(prog);
	else if (!err[0])
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct oci_spec s;
	char err[256] = "";

	if (spec_parse(&s, "config.json", (const char *)data, size, err, sizeof(err)) == 0) {
		if (look(&s) > 100 * size + 1000)
			abort();
		compile(&s);
		spec_free(&s);
	} else if (!err[0] || strchr(err, '\n')) {
		abort();
	}
	return 0;
}
