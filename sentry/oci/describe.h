/* describe.h: a spec as the configuration of a sandbox: the gofer's roots and the sentry's keys. */
#pragma once

#include "sentry/oci/launch.h"
#include "sentry/oci/spec.h"

/* What a process is: arguments, environment, identity, limits, seccomp program. */
MUST_CHECK int describe_process(struct config_writer *w, const struct oci_process *p,
				struct json_object *seccomp, char *err, size_t err_size);
/* All of it. bundle: absolute; rootfs: resolved. Relative sources lie in the bundle. */
MUST_CHECK int describe_container(struct launch *l, const struct oci_spec *s, const char *bundle,
				  const char *rootfs, char *err, size_t err_size);
