/* nat_oci.c: `--network nat` for a container, by annotations: dev.sbx.network=nat, and words (separated by
 * blanks) as the options of `sbx run` take them in dev.sbx.network.publish, .dns, .add-host, .allow, .deny and
 * .rate. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/base/bug.h"
#include "sentry/oci/nat.h"
#include "sentry/oci/spec.h"

static int add_word(struct nat_options *o, int which, const char *word, char *err, size_t err_size)
{
	switch (which) {
	case 0:
		return nat_add_port(o, word, err, err_size);
	case 1:
		return nat_add_dns(o, word, err, err_size);
	case 2:
		return nat_add_host(o, word, err, err_size);
	case 3:
	case 4:
		return nat_add_rule(o, which == 3, word, err, err_size);
	default:
		return nat_set_rate(o, word, err, err_size);
	}
}

static int add_words(struct nat_options *o, const struct oci_spec *s, char *err, size_t err_size)
{
	static const char *const names[] = {"publish", "dns", "add-host", "allow", "deny", "rate"};

	for (int i = 0; i < (int)ARRAY_SIZE(names); i++) {
		char key[40], *copy, *word, *rest;
		const char *v;
		int ret = 0;

		snprintf(key, sizeof(key), "dev.sbx.network.%s", names[i]);
		v = spec_annotation(s, key);
		copy = rest = v ? strdup(v) : NULL;
		BUG_ON(v && !copy);
		while (ret == 0 && rest && (word = strsep(&rest, " \t\n")))
			if (*word)
				ret = add_word(o, i, word, err, err_size);
		free(copy);
		if (ret < 0)
			return -1;
	}
	return 0;
}

int nat_prepare_oci(const struct oci_spec *s, struct config_writer *config, struct nat_launch **out, char *err,
		    size_t err_size)
{
	const char *kind = spec_annotation(s, "dev.sbx.network");
	struct nat_options o = {0};
	struct nat_launch *n;
	int ret;

	*out = NULL;
	if (!kind)
		return 0;
	if (strcmp(kind, "nat") != 0) {
		snprintf(err, err_size, "annotation dev.sbx.network: '%s' is not nat", kind);
		return -1;
	}
	n = calloc(1, sizeof(*n));
	BUG_ON(!n);
	ret = add_words(&o, s, err, err_size);
	if (ret == 0)
		ret = nat_prepare(&o, s->hostname, config, n, err, err_size);
	nat_options_free(&o);
	if (ret == 0) {
		n->netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
		ret = n->netns < 0 ? -1 : 0;
		if (ret < 0)
			snprintf(err, err_size, "cannot open the host's network: %s", strerror(errno));
	}
	*out = n;
	return ret;
}
