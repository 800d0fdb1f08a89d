/* hooks.h: the hooks of a bundle: programs of the host's administrator that get the container's state as JSON
 * on standard input. */
#pragma once

#include "sentry/oci/spec.h"
#include "sentry/oci/state.h"

/* Runs all hooks of a kind in order. The first that fails ends it: -1 with a text. */
MUST_CHECK int hooks_run(const struct oci_spec *s, enum oci_hook_kind kind, const struct oci_state *state,
			 enum oci_status status, char *err, size_t err_size);
