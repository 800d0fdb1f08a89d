/* cgroup.h: the host's control groups of a container, version 1, 2 or both mounted (cgroups(7)): its monitor,
 * the sentry, the gofer and the processes of guest code all live in them. */
#pragma once

#include <stdio.h>

#include "platform/base/attr.h"

struct oci_resources;
struct json_object;

struct cgroup_entry {
	char *controller; /* a v1 controller's name, "name=..." of a bare hierarchy, or "unified" */
	char *path;	  /* the folder below the mount */
};

struct cgroup_set {
	struct cgroup_entry *entries; /* malloc */
	size_t count;
};

void cgroup_add(struct cgroup_set *set, const char *controller, const char *path);
/* The folders that spec's cgroupsPath (NULL: one named id below our own) means. Makes nothing. */
void cgroup_plan(struct cgroup_set *set, const char *cgroups_path, const char *id);
/* Makes the folders and writes the limits. Folders that can't be made are dropped from the set; 0, or -1 with a
 * text when a limit can't be written. missing: filled with the names of limits that found no controller. */
MUST_CHECK int cgroup_create(struct cgroup_set *set, const struct oci_resources *r, char *missing,
			     size_t missing_size, char *err, size_t err_size);
MUST_CHECK int cgroup_limit(const struct cgroup_set *set, const struct oci_resources *r, char *missing,
			    size_t missing_size, char *err, size_t err_size);
/* Moves the calling process there. */
MUST_CHECK int cgroup_enter(const struct cgroup_set *set, char *err, size_t err_size);
/* Freezes or thaws. -1 and errno ENOTSUP when there is no way to. */
MUST_CHECK int cgroup_freeze(const struct cgroup_set *set, bool frozen);
bool cgroup_frozen(const struct cgroup_set *set);
/* Kills every process in it, thawing it first; waits a moment until they are gone. */
void cgroup_kill(const struct cgroup_set *set);
/* Moves the calling process out, kills who else is in there and removes the folders. */
void cgroup_leave(const struct cgroup_set *set);
/* Removes the folders. */
void cgroup_remove(const struct cgroup_set *set);
/* The host's process ids in it; malloc. */
int *cgroup_pids(const struct cgroup_set *set, size_t *count);
/* What `events --stats` shows under "data". */
struct json_object *cgroup_stats(const struct cgroup_set *set);
void cgroup_free(struct cgroup_set *set);
/* Which versions are mounted here. */
void cgroup_versions(bool *v1, bool *v2);
/* The folder of a controller: its own in v1, else the unified one when it has file. NULL: none. */
const char *cgroup_path(const struct cgroup_set *set, const char *controller);
