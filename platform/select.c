/* select.c: name -> platform, best first. */
#include <string.h>

#include "platform/base/log.h"
#include "platform/platform.h"

static const struct platform_ops *const platforms[] = {
	&systrap_platform_ops,
	&ptrace_platform_ops,
};

const struct platform_ops *platform_select(const char *name)
{
	char why[160] = "";

	for (size_t i = 0; i < ARRAY_SIZE(platforms); i++) {
		const struct platform_ops *ops = platforms[i];

		if (name && strcmp(name, ops->name))
			continue;
		if (!ops->probe(why, sizeof(why)))
			return ops;
		if (name)
			log_info("platform %s can't work here: %s", ops->name, why);
		else
			log_info("platform %s can't work here: %s", ops->name, why);
		if (name)
			return NULL;
	}
	if (name)
		log_info("there is no platform named %s", name);
	else
		log_error("no platform works on this host: %s", why);
	return NULL;
}
