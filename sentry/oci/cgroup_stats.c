/* cgroup_stats.c: the figures of a container, under the names that runc's `events --stats` uses. */
#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "sentry/oci/cgroup.h"
#include "sentry/oci/cgroup_file.h"

static uint64_t number(const char *dir, const char *file)
{
	char text[64];

	return dir && cgroup_read(dir, file, text, sizeof(text)) > 0 ? strtoull(text, NULL, 10) : 0;
}

/* The value behind "key " at the start of a line. */
static uint64_t keyed(const char *text, const char *key)
{
	size_t n = strlen(key);

	for (const char *p = text; p && *p; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (strncmp(p, key, n) == 0 && p[n] == ' ')
			return strtoull(p + n + 1, NULL, 10);
	}
	return 0;
}

static struct json_object *u64(uint64_t v)
{
	return json_object_new_uint64(v);
}

static struct json_object *cpu_stats(const struct cgroup_set *set)
{
	const char *acct = cgroup_path(set, "cpuacct"), *cpu = cgroup_path(set, "cpu"),
		   *v2 = cgroup_path(set, "unified");
	struct json_object *o = json_object_new_object(), *usage = json_object_new_object(),
			   *thr = json_object_new_object();
	char text[4096] = "";
	uint64_t total = 0, user = 0, kernel = 0;

	if (acct) {
		total = number(acct, "cpuacct.usage");
		if (cgroup_read(acct, "cpuacct.stat", text, sizeof(text)) > 0) {
			user = keyed(text, "user") * 10000000; /* ticks of 1/100 s */
			kernel = keyed(text, "system") * 10000000;
		}
		text[0] = 0;
		if (cpu && cgroup_read(cpu, "cpu.stat", text, sizeof(text)) < 0)
			text[0] = 0;
	} else if (v2 && cgroup_read(v2, "cpu.stat", text, sizeof(text)) > 0) {
		total = keyed(text, "usage_usec") * 1000;
		user = keyed(text, "user_usec") * 1000;
		kernel = keyed(text, "system_usec") * 1000;
	}
	json_object_object_add(usage, "total", u64(total));
	json_object_object_add(usage, "kernel", u64(kernel));
	json_object_object_add(usage, "user", u64(user));
	json_object_object_add(o, "usage", usage);
	json_object_object_add(thr, "periods", u64(keyed(text, "nr_periods")));
	json_object_object_add(thr, "throttledPeriods", u64(keyed(text, "nr_throttled")));
	json_object_object_add(
		thr, "throttledTime",
		u64(acct ? keyed(text, "throttled_time") : keyed(text, "throttled_usec") * 1000));
	json_object_object_add(o, "throttling", thr);
	return o;
}

static struct json_object *memory_stats(const struct cgroup_set *set)
{
	const char *v1 = cgroup_path(set, "memory"), *v2 = cgroup_path(set, "unified");
	struct json_object *o = json_object_new_object(), *usage = json_object_new_object();
	char text[4096] = "", max[64] = "";
	uint64_t limit, cache = 0;

	if (v1) {
		limit = number(v1, "memory.limit_in_bytes");
		json_object_object_add(usage, "limit", u64(limit));
		json_object_object_add(usage, "usage", u64(number(v1, "memory.usage_in_bytes")));
		json_object_object_add(usage, "max", u64(number(v1, "memory.max_usage_in_bytes")));
		json_object_object_add(usage, "failcnt", u64(number(v1, "memory.failcnt")));
		if (cgroup_read(v1, "memory.stat", text, sizeof(text)) > 0)
			cache = keyed(text, "cache");
	} else {
		limit = v2 && cgroup_read(v2, "memory.max", max, sizeof(max)) > 0 && max[0] != 'm'
				? strtoull(max, NULL, 10)
				: UINT64_MAX;
		json_object_object_add(usage, "limit", u64(limit));
		json_object_object_add(usage, "usage", u64(number(v2, "memory.current")));
		json_object_object_add(usage, "max", u64(number(v2, "memory.peak")));
		if (v2 && cgroup_read(v2, "memory.stat", text, sizeof(text)) > 0)
			cache = keyed(text, "file");
	}
	json_object_object_add(o, "cache", u64(cache));
	json_object_object_add(o, "usage", usage);
	return o;
}

struct json_object *cgroup_stats(const struct cgroup_set *set)
{
	const char *pids = cgroup_path(set, "pids");
	struct json_object *o = json_object_new_object(), *p = json_object_new_object();

	if (!pids)
		pids = cgroup_path(set, "unified");
	json_object_object_add(o, "cpu", cpu_stats(set));
	json_object_object_add(o, "memory", memory_stats(set));
	json_object_object_add(p, "current", u64(number(pids, "pids.current")));
	json_object_object_add(p, "limit", u64(number(pids, "pids.max")));
	json_object_object_add(o, "pids", p);
	return o;
}
