/* quota.c: see quota.h. Of cgroups(7) only what a start can afford: the usual mount points, our own group and
 * those above it. */
#include "sentry/oci/quota.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sentry/oci/cgroup_file.h"

#define CPUS 2

/* "QUOTA PERIOD" in microseconds; "max" and -1 are none. */
static bool is_tight(const char *text)
{
	long long quota, period;

	return sscanf(text, "%lld %lld", &quota, &period) == 2 && quota > 0 && period > 0 &&
	       quota < CPUS * period;
}

static bool unified_is_tight(const char *dir)
{
	char text[64];

	return cgroup_read(dir, "cpu.max", text, sizeof(text)) > 0 && is_tight(text);
}

static bool v1_is_tight(const char *dir)
{
	char quota[32], period[32], both[80];

	if (cgroup_read(dir, "cpu.cfs_quota_us", quota, sizeof(quota)) <= 0 ||
	    cgroup_read(dir, "cpu.cfs_period_us", period, sizeof(period)) <= 0)
		return false;
	snprintf(both, sizeof(both), "%s %s", quota, period);
	return is_tight(both);
}

/* path below point, and all above it */
static bool any_is_tight(const char *point, const char *path, bool (*tight)(const char *dir))
{
	char dir[PATH_MAX];
	size_t root = strlen(point);
	int n = snprintf(dir, sizeof(dir), "%s%s", point, path);

	if (n < 0 || n >= (int)sizeof(dir))
		return false;
	for (;;) {
		char *slash;

		if (tight(dir))
			return true;
		slash = strrchr(dir, '/');
		if (!slash || (size_t)(slash - dir) < root)
			return false;
		*slash = 0;
	}
}

bool quota_is_tight(void)
{
	char text[4096], *save, *line;

	if (cgroup_read("/proc/self", "cgroup", text, sizeof(text)) <= 0)
		return false;
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *names = strchr(line, ':'), *path = names ? strchr(names + 1, ':') : NULL;

		if (!path)
			continue;
		*path++ = 0;
		names++;
		if (!*names && any_is_tight("/sys/fs/cgroup", path, unified_is_tight))
			return true;
		if (strcmp(names, "cpu") == 0 || strcmp(names, "cpu,cpuacct") == 0)
			return any_is_tight("/sys/fs/cgroup/cpu", path, v1_is_tight);
	}
	return false;
}
