/* run_cgroup.c: the host's control groups of `sbx run` with limits: a second wall behind the sentry's own
 * books, where this user may make one (root, or a part of the hierarchy that was delegated). sbx is in it while
 * the sandbox runs, so that both programs are from their start. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "platform/base/attr.h"
#include "sentry/cmd/cmd.h"
#include "sentry/cmd/run.h"
#include "sentry/oci/cgroup.h"
#include "sentry/oci/spec.h"

#define PREFIX "sbx-"

/* What the sandbox's programs need besides the guest's memory. The sentry's books say no first, call by call.
 */
#define MEMORY_SPARE (128LL << 20)

static bool is_needed(const struct run_options *o, const char *controllers)
{
	struct cgroup_entry e = {(char *)(uintptr_t)controllers, (char *)(uintptr_t) ""};
	struct cgroup_set one = {&e, 1};

	return strcmp(controllers, "unified") == 0 || (o->memory && cgroup_path(&one, "memory")) ||
	       (o->pids && cgroup_path(&one, "pids")) || (o->cpus && cgroup_path(&one, "cpu"));
}

static void parent_of(const char *path, char *out, size_t size)
{
	snprintf(out, size, "%s", path);
	*strrchr(out, '/') = 0;
}

/* Empty ones of an sbx that was killed. */
static void remove_stale(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	char path[PATH_MAX];

	while (d && (e = readdir(d))) {
		char *end = e->d_name;
		long pid = strncmp(e->d_name, PREFIX, strlen(PREFIX)) == 0
				   ? strtol(e->d_name + strlen(PREFIX), &end, 10)
				   : 0;

		if (pid <= 0 || *end || kill((pid_t)pid, 0) == 0 || errno != ESRCH)
			continue;
		if (snprintf(path, sizeof(path), "%s/%s", dir, e->d_name) < (int)sizeof(path))
			(void)!rmdir(path); /* fails while somebody is in it */
	}
	if (d)
		closedir(d);
}

static void fill(const struct run_options *o, struct oci_resources *r)
{
	*r = (struct oci_resources){.memory_swappiness = -1, .cpu_idle = -1};
	if (o->memory)
		r->memory_limit = (int64_t)MIN(o->memory, (uint64_t)INT64_MAX / 2) + MEMORY_SPARE;
	if (o->pids)
		r->pids_limit = (int64_t)o->pids;
	if (o->cpus && (long)o->cpus < sysconf(_SC_NPROCESSORS_ONLN)) {
		r->cpu_period = 100000;
		r->cpu_quota = (int64_t)o->cpus * 100000;
	}
}

void run_cgroup_enter(const struct run_options *o, struct cgroup_set *set)
{
	struct cgroup_set all = {0};
	char id[32], missing[256] = "", err[512] = "", parent[PATH_MAX];
	struct oci_resources r;

	*set = (struct cgroup_set){0};
	if (!o->memory && !o->pids && !o->cpus)
		return;
	snprintf(id, sizeof(id), PREFIX "%d", getpid());
	cgroup_plan(&all, NULL, id);
	for (size_t i = 0; i < all.count; i++)
		if (is_needed(o, all.entries[i].controller))
			cgroup_add(set, all.entries[i].controller, all.entries[i].path);
	cgroup_free(&all);
	for (size_t i = 0; i < set->count; i++) {
		parent_of(set->entries[i].path, parent, sizeof(parent));
		remove_stale(parent);
	}
	fill(o, &r);
	if (cgroup_create(set, &r, missing, sizeof(missing), err, sizeof(err)) < 0 ||
	    cgroup_enter(set, err, sizeof(err)) < 0) {
		run_cgroup_leave(set);
		if (o->debug)
			complain("limits: no control group of the host's: %s", err);
	} else if (o->debug && (missing[0] || !set->count)) {
		complain("limits: no control group of the host's for %s", set->count ? missing : "any of them");
	}
}

void run_cgroup_leave(struct cgroup_set *set)
{
	cgroup_leave(set);
	cgroup_free(set);
}
