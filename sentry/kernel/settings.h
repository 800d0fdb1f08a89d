/* settings.h: the numbers that /proc/sys lets root change. Each is read and written atomically; who enforces
 * one asks at the moment of use. */
#pragma once

#include "sentry/kernel/kernel.h"

enum setting {
#define SETTING(name, initial, low, high) SET_##name,
#include "sentry/kernel/settings.def"
#undef SETTING
	SETTING_COUNT,
};

struct settings {
	uint64_t v[SETTING_COUNT]; /* [a] */
};

/* NULL: no memory */
struct settings *settings_create(void);
static inline uint64_t setting(const struct kernel *k, enum setting s)
{
	return __atomic_load_n(&k->settings->v[s], __ATOMIC_RELAXED);
}
/* -EINVAL outside the bounds of that setting */
MUST_CHECK int setting_change(struct kernel *k, enum setting s, uint64_t v);
