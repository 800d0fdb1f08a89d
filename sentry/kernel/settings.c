/* settings.c: the numbers of /proc/sys: their first values and bounds. */
#include "sentry/kernel/settings.h"

static const struct {
	uint64_t initial, low, high;
} bounds[SETTING_COUNT] = {
#define SETTING(name, initial, low, high) [SET_##name] = {initial, low, high},
#include "sentry/kernel/settings.def"
#undef SETTING
};

struct settings *settings_create(void)
{
	struct settings *s = kmalloc(sizeof(*s));

	for (int i = 0; s && i < SETTING_COUNT; i++)
		s->v[i] = bounds[i].initial;
	return s;
}

int setting_change(struct kernel *k, enum setting s, uint64_t v)
{
	if (v < bounds[s].low || v > bounds[s].high)
		return -EINVAL;
	__atomic_store_n(&k->settings->v[s], v, __ATOMIC_RELAXED);
	return 0;
}
