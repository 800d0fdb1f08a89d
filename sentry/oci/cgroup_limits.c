/* cgroup_limits.c: linux.resources as files of control groups. A limit whose controller isn't there is named
 * in `missing`; memory and pids are also kept by the sentry itself. */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/base/bug.h"
#include "sentry/oci/cgroup.h"
#include "sentry/oci/cgroup_file.h"
#include "sentry/oci/spec.h"

/* Threads of the sandbox itself come on top of the guest's: each task has one in the sentry and one where its
 * code runs. */
#define PIDS_HOST(n) (2 * (n) + 64)

struct limiter {
	const struct cgroup_set *set;
	const char *v2;
	char *missing, *err;
	size_t missing_size, err_size;
	bool failed;
};

static void note_missing(struct limiter *l, const char *what)
{
	size_t len = strlen(l->missing);

	snprintf(l->missing + len, l->missing_size - len, "%s%s", len ? ", " : "", what);
}

/* file1 of the v1 controller, or file2 of the unified one; NULL: it has no such file. */
PRINTF_LIKE(5, 6)
static void put(struct limiter *l, const char *controller, const char *file1, const char *file2,
		const char *fmt, ...)
{
	const char *dir = file1 ? cgroup_path(l->set, controller) : NULL, *file = file1;
	char text[256];
	va_list ap;

	if (l->failed)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (!dir) {
		dir = file2 ? l->v2 : NULL;
		file = file2;
	}
	if (dir && cgroup_write(dir, file, text) == 0)
		return;
	if (!dir || errno == ENOENT) {
		note_missing(l, file1 ? file1 : file2);
		return;
	}
	l->failed = true;
	snprintf(l->err, l->err_size, "cannot write '%s' to %s/%s: %s", text, dir, file, strerror(errno));
}

static const char *max_or(int64_t v, char *buf, size_t size)
{
	if (v < 0)
		snprintf(buf, size, "max");
	else
		snprintf(buf, size, "%" PRId64, v);
	return buf;
}

/* v1: memory+swap may never be below memory, so the order depends on the direction. */
static void memory_v1(struct limiter *l, const struct oci_resources *r)
{
	const char *dir = cgroup_path(l->set, "memory");
	char now[64];
	bool swap_first =
		r->memory_swap && r->memory_limit &&
		(r->memory_swap < 0 || (cgroup_read(dir, "memory.limit_in_bytes", now, sizeof(now)) > 0 &&
					(uint64_t)r->memory_swap > strtoull(now, NULL, 10)));

	if (swap_first)
		put(l, "memory", "memory.memsw.limit_in_bytes", NULL, "%" PRId64, r->memory_swap);
	if (r->memory_limit)
		put(l, "memory", "memory.limit_in_bytes", NULL, "%" PRId64, r->memory_limit);
	if (r->memory_swap && !swap_first)
		put(l, "memory", "memory.memsw.limit_in_bytes", NULL, "%" PRId64, r->memory_swap);
}

static void memory_limits(struct limiter *l, const struct oci_resources *r)
{
	char text[32];

	if (cgroup_path(l->set, "memory")) {
		memory_v1(l, r);
	} else {
		if (r->memory_limit)
			put(l, "memory", NULL, "memory.max", "%s", max_or(r->memory_limit, text, sizeof(text)));
		if (r->memory_swap < 0)
			put(l, "memory", NULL, "memory.swap.max", "max");
		else if (r->memory_swap && r->memory_limit > 0 && r->memory_swap >= r->memory_limit)
			put(l, "memory", NULL, "memory.swap.max", "%" PRId64, r->memory_swap - r->memory_limit);
	}
	if (r->memory_reservation)
		put(l, "memory", "memory.soft_limit_in_bytes", "memory.low", "%" PRId64,
		    MAX(r->memory_reservation, 0));
	if (r->memory_swappiness >= 0)
		put(l, "memory", "memory.swappiness", NULL, "%" PRId64, r->memory_swappiness);
	if (r->disable_oom_killer)
		put(l, "memory", "memory.oom_control", NULL, "1");
}

static void cpu_limits(struct limiter *l, const struct oci_resources *r)
{
	bool v1 = cgroup_path(l->set, "cpu") != NULL;
	char text[32];

	if (r->cpu_shares && v1)
		put(l, "cpu", "cpu.shares", NULL, "%" PRIu64, r->cpu_shares);
	else if (r->cpu_shares) /* 2..262144 to 1..10000, as the other runtimes do it */
		put(l, "cpu", NULL, "cpu.weight", "%" PRIu64,
		    1 + (MAX(r->cpu_shares, (uint64_t)2) - 2) * 9999 / 262142);
	if (v1) {
		if (r->cpu_period)
			put(l, "cpu", "cpu.cfs_period_us", NULL, "%" PRIu64, r->cpu_period);
		if (r->cpu_quota)
			put(l, "cpu", "cpu.cfs_quota_us", NULL, "%" PRId64, r->cpu_quota);
	} else if (r->cpu_quota || r->cpu_period) {
		put(l, "cpu", NULL, "cpu.max", "%s %" PRIu64,
		    max_or(r->cpu_quota ? r->cpu_quota : -1, text, sizeof(text)),
		    r->cpu_period ? r->cpu_period : 100000);
	}
	if (r->cpu_burst)
		put(l, "cpu", "cpu.cfs_burst_us", "cpu.max.burst", "%" PRIu64, r->cpu_burst);
	if (r->cpu_idle >= 0)
		put(l, "cpu", "cpu.idle", "cpu.idle", "%" PRId64, r->cpu_idle);
	if (r->cpus)
		put(l, "cpuset", "cpuset.cpus", "cpuset.cpus", "%s", r->cpus);
	if (r->mems)
		put(l, "cpuset", "cpuset.mems", "cpuset.mems", "%s", r->mems);
}

static void io_limits(struct limiter *l, const struct oci_resources *r)
{
	static const char *const v1[] = {"blkio.throttle.read_bps_device", "blkio.throttle.write_bps_device",
					 "blkio.throttle.read_iops_device", "blkio.throttle.write_iops_device"};
	static const char *const v2[] = {"rbps", "wbps", "riops", "wiops"};
	bool old = cgroup_path(l->set, "blkio") != NULL;

	if (r->blkio_weight)
		put(l, "blkio", "blkio.bfq.weight", "io.bfq.weight", "%u", r->blkio_weight);
	for (size_t k = 0; k < ARRAY_SIZE(v1); k++)
		for (size_t i = 0; i < r->throttle_count[k]; i++) {
			const struct oci_throttle *t = &r->throttle[k][i];

			if (old)
				put(l, "blkio", v1[k], NULL, "%u:%u %" PRIu64, t->major, t->minor, t->rate);
			else
				put(l, "blkio", NULL, "io.max", "%u:%u %s=%" PRIu64, t->major, t->minor, v2[k],
				    t->rate);
		}
}

static void other_limits(struct limiter *l, const struct oci_resources *r)
{
	char file1[96], file2[96], text[32];

	if (r->pids_limit > 0)
		put(l, "pids", "pids.max", "pids.max", "%" PRId64,
		    PIDS_HOST(MIN(r->pids_limit, (int64_t)1 << 30)));
	else if (r->pids_limit < 0)
		put(l, "pids", "pids.max", "pids.max", "max");
	for (size_t i = 0; i < r->hugepage_count; i++) {
		snprintf(file1, sizeof(file1), "hugetlb.%.32s.limit_in_bytes", r->hugepages[i].size);
		snprintf(file2, sizeof(file2), "hugetlb.%.32s.max", r->hugepages[i].size);
		put(l, "hugetlb", file1, file2, "%s",
		    max_or((int64_t)MIN(r->hugepages[i].limit, (uint64_t)INT64_MAX), text, sizeof(text)));
	}
	if (!r->unified)
		return;
	json_object_object_foreach(r->unified, key, value)
		put(l, "unified", NULL, key, "%s", json_object_get_string(value));
}

int cgroup_limit(const struct cgroup_set *set, const struct oci_resources *r, char *missing,
		 size_t missing_size, char *err, size_t err_size)
{
	struct limiter l = {.set = set,
			    .v2 = cgroup_path(set, "unified"),
			    .missing = missing,
			    .missing_size = missing_size,
			    .err = err,
			    .err_size = err_size};

	missing[0] = 0;
	memory_limits(&l, r);
	cpu_limits(&l, r);
	io_limits(&l, r);
	other_limits(&l, r);
	return l.failed ? -1 : 0;
}

/* A cpuset without processors and memory takes no process: what the parent has, by default. */
static void inherit_cpuset(const char *dir, const char *parent)
{
	static const char *const files[] = {"cpuset.cpus", "cpuset.mems"};
	char text[1024];

	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		if (cgroup_read(dir, files[i], text, sizeof(text)) >= 0 &&
		    strspn(text, " \n") == strlen(text) &&
		    cgroup_read(parent, files[i], text, sizeof(text)) > 0)
			(void)!cgroup_write(dir, files[i], text);
}

/* v2: a controller is there for children once its parents say so. */
static void enable_controllers(const char *parent)
{
	char text[256], one[64], *save;

	if (cgroup_read(parent, "cgroup.controllers", text, sizeof(text)) <= 0)
		return;
	for (char *c = strtok_r(text, " \n", &save); c; c = strtok_r(NULL, " \n", &save)) {
		snprintf(one, sizeof(one), "+%s", c);
		(void)!cgroup_write(parent, "cgroup.subtree_control", one);
	}
}

static void made_cpuset(const char *dir)
{
	char parent[PATH_MAX];

	snprintf(parent, sizeof(parent), "%s", dir);
	*strrchr(parent, '/') = 0;
	inherit_cpuset(dir, parent);
}

static int make_folder(const char *controller, const char *path)
{
	char copy[PATH_MAX];
	size_t n = strlen(path);

	if (n >= sizeof(copy))
		return -1;
	memcpy(copy, path, n + 1);
	for (char *p = copy + 1;; p++) {
		char had = *p;

		if (had && had != '/')
			continue;
		*p = 0;
		if (mkdir(copy, 0755) == 0) {
			if (strstr(controller, "cpuset"))
				made_cpuset(copy);
		} else if (errno != EEXIST && errno != EROFS && errno != EACCES && errno != EPERM) {
			return -1;
		}
		if (had && strcmp(controller, "unified") == 0)
			enable_controllers(copy);
		if (!had)
			return access(path, W_OK);
		*p = had;
	}
}

int cgroup_create(struct cgroup_set *set, const struct oci_resources *r, char *missing, size_t missing_size,
		  char *err, size_t err_size)
{
	struct cgroup_set made = {0};

	for (size_t i = 0; i < set->count; i++)
		if (make_folder(set->entries[i].controller, set->entries[i].path) == 0)
			cgroup_add(&made, set->entries[i].controller, set->entries[i].path);
	cgroup_free(set);
	*set = made;
	return cgroup_limit(set, r, missing, missing_size, err, err_size);
}
