/* cgroup.c: where a container's control groups are, who is in them, freezing, killing. Limits are in
 * cgroup_limits.c, figures in cgroup_stats.c. */
#include "sentry/oci/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "platform/base/bug.h"
#include "sentry/oci/cgroup_file.h"

int cgroup_write(const char *dir, const char *file, const char *text)
{
	char path[PATH_MAX];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = write(fd, text, strlen(text));
	if (n < 0) {
		int err = errno;

		close(fd);
		errno = err;
		return -1;
	}
	close(fd);
	return 0;
}

ssize_t cgroup_read(const char *dir, const char *file, char *buf, size_t size)
{
	char path[PATH_MAX];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = read(fd, buf, size - 1);
	close(fd);
	if (n < 0)
		return -1;
	buf[n] = 0;
	return n;
}

void cgroup_add(struct cgroup_set *set, const char *controller, const char *path)
{
	set->entries = realloc(set->entries, (set->count + 1) * sizeof(*set->entries));
	BUG_ON(!set->entries);
	set->entries[set->count] = (struct cgroup_entry){strdup(controller), strdup(path)};
	BUG_ON(!set->entries[set->count].controller || !set->entries[set->count].path);
	set->count++;
}

void cgroup_free(struct cgroup_set *set)
{
	for (size_t i = 0; i < set->count; i++) {
		free(set->entries[i].controller);
		free(set->entries[i].path);
	}
	free(set->entries);
	*set = (struct cgroup_set){0};
}

const char *cgroup_path(const struct cgroup_set *set, const char *controller)
{
	for (size_t i = 0; i < set->count; i++) {
		size_t n = strlen(controller);

		/* co-mounted ones: "cpu,cpuacct" */
		for (const char *p = set->entries[i].controller; p; p = strchr(p, ',')) {
			p += *p == ',';
			if (strncmp(p, controller, n) == 0 && (p[n] == 0 || p[n] == ','))
				return set->entries[i].path;
		}
	}
	return NULL;
}

/* Our own place in the hierarchy whose controllers are those (unified: ""). */
static void own_place(const char *controllers, char *out, size_t size)
{
	char line[PATH_MAX + 256];
	FILE *f = fopen("/proc/self/cgroup", "re");

	snprintf(out, size, "/");
	while (f && fgets(line, sizeof(line), f)) {
		char *c = strchr(line, ':'), *p = c ? strchr(c + 1, ':') : NULL;

		if (!p)
			continue;
		*p++ = 0;
		p[strcspn(p, "\n")] = 0;
		if (strcmp(c + 1, controllers) == 0)
			snprintf(out, size, "%s", p);
	}
	if (f)
		fclose(f);
}

/* Takes "." and ".." out, so that a cgroupsPath can't leave the mount. */
static void clean(const char *path, char *out, size_t size)
{
	size_t len = 0;

	out[0] = 0;
	while (*path) {
		size_t n = strcspn(path, "/");

		if (n == 2 && path[0] == '.' && path[1] == '.') {
			while (len && out[--len] != '/')
				;
			out[len] = 0;
		} else if (n && !(n == 1 && path[0] == '.') && len + n + 2 < size) {
			out[len++] = '/';
			memcpy(out + len, path, n);
			len += n;
			out[len] = 0;
		}
		path += n + (path[n] == '/');
	}
}

struct hierarchy {
	char point[PATH_MAX], controllers[256];
};

/* One line of mountinfo: true when it is a cgroup hierarchy. */
static bool parse_mount(char *line, struct hierarchy *h)
{
	static const char *const flags[] = {"rw",
					    "ro",
					    "xattr",
					    "clone_children",
					    "noprefix",
					    "nsdelegate",
					    "memory_recursiveprot",
					    "memory_localevents",
					    "favordynmods"};
	char *dash = strstr(line, " - "), *save, *field = strtok_r(line, " ", &save), *type, *opts;

	for (int i = 1; field && i < 5; i++)
		field = strtok_r(NULL, " ", &save);
	if (!dash || !field)
		return false;
	snprintf(h->point, sizeof(h->point), "%s", field);
	type = strtok_r(dash + 3, " ", &save);
	if (!type || (strcmp(type, "cgroup") != 0 && strcmp(type, "cgroup2") != 0))
		return false;
	strtok_r(NULL, " ", &save);
	opts = strtok_r(NULL, " \n", &save);
	h->controllers[0] = 0;
	if (strcmp(type, "cgroup2") == 0)
		return true;
	for (char *o = opts ? strtok_r(opts, ",", &save) : NULL; o; o = strtok_r(NULL, ",", &save)) {
		bool flag = strncmp(o, "release_agent=", 14) == 0;
		size_t len = strlen(h->controllers);

		for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
			flag |= strcmp(o, flags[i]) == 0;
		if (!flag)
			snprintf(h->controllers + len, sizeof(h->controllers) - len, "%s%s", len ? "," : "", o);
	}
	return h->controllers[0] != 0;
}

static void each_hierarchy(void (*fn)(void *arg, const struct hierarchy *h), void *arg)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	struct hierarchy *h = malloc(sizeof(*h));
	char *line = NULL;
	size_t size = 0;

	BUG_ON(!h);
	while (f && getline(&line, &size, f) > 0)
		if (parse_mount(line, h))
			fn(arg, h);
	free(line);
	free(h);
	if (f)
		fclose(f);
}

struct plan {
	struct cgroup_set *set;
	const char *cgroups_path, *id;
};

static void plan_one(void *arg, const struct hierarchy *h)
{
	const struct plan *p = arg;
	const char *name = h->controllers[0] ? h->controllers : "unified";
	char own[PATH_MAX] = "", rel[PATH_MAX], path[2 * PATH_MAX];
	int n;

	for (size_t i = 0; i < p->set->count; i++)
		if (strcmp(p->set->entries[i].controller, name) == 0)
			return;
	if (p->cgroups_path && p->cgroups_path[0] == '/') {
		clean(p->cgroups_path, rel, sizeof(rel));
	} else {
		clean(p->cgroups_path && *p->cgroups_path ? p->cgroups_path : p->id, rel, sizeof(rel));
		own_place(h->controllers, own, sizeof(own));
	}
	if (!rel[0]) /* the root itself is nobody's */
		snprintf(rel, sizeof(rel), "/%s", p->id);
	n = snprintf(path, sizeof(path), "%s%s%s", h->point, strcmp(own, "/") == 0 ? "" : own, rel);
	if (n < 0 || (size_t)n >= sizeof(path))
		return; /* longer than a path can be */
	cgroup_add(p->set, name, path);
}

void cgroup_plan(struct cgroup_set *set, const char *cgroups_path, const char *id)
{
	struct plan p = {set, cgroups_path, id};

	each_hierarchy(plan_one, &p);
}

static void note_version(void *arg, const struct hierarchy *h)
{
	bool **v = arg;

	*v[h->controllers[0] ? 0 : 1] = true;
}

void cgroup_versions(bool *v1, bool *v2)
{
	bool *v[2] = {v1, v2};

	*v1 = *v2 = false;
	each_hierarchy(note_version, v);
}

int cgroup_enter(const struct cgroup_set *set, char *err, size_t err_size)
{
	for (size_t i = 0; i < set->count; i++) {
		if (cgroup_write(set->entries[i].path, "cgroup.procs", "0") == 0)
			continue;
		snprintf(err, err_size, "cannot enter the cgroup %s: %s", set->entries[i].path,
			 strerror(errno));
		return -1;
	}
	return 0;
}

static void short_sleep(void)
{
	struct timespec ms = {.tv_nsec = 1000000};

	nanosleep(&ms, NULL);
}

int cgroup_freeze(const struct cgroup_set *set, bool frozen)
{
	const char *v1 = cgroup_path(set, "freezer"), *v2 = cgroup_path(set, "unified");
	char text[32];

	if (v1) {
		if (cgroup_write(v1, "freezer.state", frozen ? "FROZEN" : "THAWED") < 0)
			return -1;
		/* FREEZING until the last one has stopped; writing again helps a fork that got away */
		for (int i = 0; i < 2000; i++) {
			if (cgroup_read(v1, "freezer.state", text, sizeof(text)) < 0)
				return -1;
			if (strncmp(text, frozen ? "FROZEN" : "THAWED", 6) == 0)
				return 0;
			if (i % 50 == 49 && cgroup_write(v1, "freezer.state", frozen ? "FROZEN" : "THAWED") < 0)
				return -1;
			short_sleep();
		}
		errno = ETIMEDOUT;
		return -1;
	}
	if (v2 && cgroup_write(v2, "cgroup.freeze", frozen ? "1" : "0") == 0)
		return 0;
	errno = ENOTSUP;
	return -1;
}

bool cgroup_frozen(const struct cgroup_set *set)
{
	const char *v1 = cgroup_path(set, "freezer"), *v2 = cgroup_path(set, "unified");
	char text[32];

	if (v1)
		return cgroup_read(v1, "freezer.state", text, sizeof(text)) > 0 && strncmp(text, "FR", 2) == 0;
	return v2 && cgroup_read(v2, "cgroup.freeze", text, sizeof(text)) > 0 && text[0] == '1';
}

int *cgroup_pids(const struct cgroup_set *set, size_t *count)
{
	static const char *const from[] = {"freezer", "pids", "memory", "cpu", "unified"};
	const char *dir = NULL;
	char path[PATH_MAX + 16], line[32];
	int *list = NULL;
	size_t n = 0;
	FILE *f;

	*count = 0;
	for (size_t i = 0; i < ARRAY_SIZE(from) && !dir; i++)
		dir = cgroup_path(set, from[i]);
	if (!dir)
		return NULL;
	snprintf(path, sizeof(path), "%s/cgroup.procs", dir);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		list = realloc(list, (n + 1) * sizeof(*list));
		BUG_ON(!list);
		list[n++] = (int)strtol(line, NULL, 10);
	}
	if (f)
		fclose(f);
	*count = n;
	return list;
}

void cgroup_kill(const struct cgroup_set *set)
{
	const char *v2 = cgroup_path(set, "unified");

	if (v2 && cgroup_write(v2, "cgroup.kill", "1") < 0)
		v2 = NULL; /* before Linux 5.14 */
	for (int round = 0; round < 2000; round++) {
		size_t n;
		int *pids = cgroup_pids(set, &n);

		for (size_t i = 0; i < n; i++)
			kill(pids[i], SIGKILL);
		free(pids);
		if (cgroup_frozen(set) && cgroup_freeze(set, false) < 0)
			return;
		if (!n)
			return;
		short_sleep();
	}
}

void cgroup_remove(const struct cgroup_set *set)
{
	for (size_t i = 0; i < set->count; i++) {
		/* a process that has just ended may still be counted */
		for (int round = 0; rmdir(set->entries[i].path) < 0 && errno == EBUSY && round < 200; round++)
			short_sleep();
	}
}

static bool is_inside(const struct cgroup_set *set)
{
	size_t n;
	int *pids = cgroup_pids(set, &n);
	bool found = false;

	for (size_t i = 0; i < n; i++)
		found |= pids[i] == getpid();
	free(pids);
	return found;
}

/* To the group above, or the next one up that takes processes (those of version 2 that have controllers in
 * groups below don't). */
static void move_up(const char *path)
{
	char parent[PATH_MAX], *slash;

	snprintf(parent, sizeof(parent), "%s", path);
	do {
		slash = strrchr(parent, '/');
		if (!slash)
			return;
		*slash = 0;
	} while (cgroup_write(parent, "cgroup.procs", "0") < 0 && errno != ENOENT);
}

void cgroup_leave(const struct cgroup_set *set)
{
	for (size_t i = 0; i < set->count; i++)
		move_up(set->entries[i].path);
	if (!is_inside(set)) /* guest processes end a moment after the sentry */
		cgroup_kill(set);
	cgroup_remove(set);
}
