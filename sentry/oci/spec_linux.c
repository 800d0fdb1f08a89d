/* spec_linux.c: the "linux" object of config.json. */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/base/bug.h"
#include "sentry/oci/json.h"
#include "sentry/oci/spec.h"

#define ARRAY_MAX 4096

static void read_namespaces(struct json_ctx *c, struct oci_spec *s, struct json_object *l)
{
	static const char *const known[] = {"pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time"};
	struct json_object *arr = json_arr(c, l, "linux", "namespaces", ARRAY_MAX, &s->namespace_count);

	s->namespaces = calloc(s->namespace_count + 1, sizeof(*s->namespaces));
	BUG_ON(!s->namespaces);
	for (size_t i = 0; i < s->namespace_count; i++) {
		struct json_object *e = json_elem(c, arr, "linux.namespaces", i);
		struct oci_namespace *n = &s->namespaces[i];
		bool found = false;
		char path[48];

		snprintf(path, sizeof(path), "linux.namespaces[%zu]", i);
		n->type = json_str(c, e, path, "type", "");
		n->path = json_str(c, e, path, "path", NULL);
		if (n->path && !*n->path)
			n->path = NULL;
		for (size_t k = 0; k < ARRAY_SIZE(known); k++)
			found |= strcmp(n->type, known[k]) == 0;
		if (!found)
			json_fail(c, "%s.type: unknown namespace '%s'", path, n->type);
		if (n->path && n->path[0] != '/')
			json_fail(c, "%s.path: must be an absolute path, not '%s'", path, n->path);
		for (size_t j = 0; j < i; j++)
			if (strcmp(s->namespaces[j].type, n->type) == 0)
				json_fail(c, "%s: the %s namespace is given twice", path, n->type);
	}
}

static struct oci_idmap *read_maps(struct json_ctx *c, struct json_object *l, const char *key, size_t *count)
{
	struct json_object *arr = json_arr(c, l, "linux", key, 340, count);
	struct oci_idmap *maps = calloc(*count + 1, sizeof(*maps));

	BUG_ON(!maps);
	for (size_t i = 0; i < *count; i++) {
		char path[48];
		struct json_object *e;

		snprintf(path, sizeof(path), "linux.%s", key);
		e = json_elem(c, arr, path, i);
		snprintf(path, sizeof(path), "linux.%s[%zu]", key, i);
		maps[i].inside = (uint32_t)json_u64(c, e, path, "containerID", UINT32_MAX, 0);
		maps[i].outside = (uint32_t)json_u64(c, e, path, "hostID", UINT32_MAX, 0);
		maps[i].count = (uint32_t)json_u64(c, e, path, "size", UINT32_MAX, 0);
		if (!c->failed && (maps[i].count == 0 || maps[i].inside > UINT32_MAX - maps[i].count ||
				   maps[i].outside > UINT32_MAX - maps[i].count))
			json_fail(c, "%s: size is 0, or the range ends beyond the last id", path);
	}
	return maps;
}

static void read_devices(struct json_ctx *c, struct oci_spec *s, struct json_object *l)
{
	struct json_object *arr = json_arr(c, l, "linux", "devices", ARRAY_MAX, &s->device_count);

	s->devices = calloc(s->device_count + 1, sizeof(*s->devices));
	BUG_ON(!s->devices);
	for (size_t i = 0; i < s->device_count; i++) {
		struct json_object *e = json_elem(c, arr, "linux.devices", i);
		struct oci_device *d = &s->devices[i];
		const char *type;
		char path[48];

		snprintf(path, sizeof(path), "linux.devices[%zu]", i);
		d->path = json_str(c, e, path, "path", "");
		type = json_str(c, e, path, "type", "");
		d->type = type[0];
		d->major = (uint32_t)json_int(c, e, path, "major", 0, 4095, 0);
		d->minor = (uint32_t)json_int(c, e, path, "minor", 0, 1048575, 0);
		d->mode = (uint32_t)json_u64(c, e, path, "fileMode", 0177777, 0666) & 07777;
		d->uid = (uint32_t)json_u64(c, e, path, "uid", UINT32_MAX - 1, 0);
		d->gid = (uint32_t)json_u64(c, e, path, "gid", UINT32_MAX - 1, 0);
		if (d->path[0] != '/')
			json_fail(c, "%s.path: must be an absolute path, not '%s'", path, d->path);
		else if (!d->type || type[1] || !strchr("cbup", d->type))
			json_fail(c, "%s.type: must be c, b, u or p, not '%s'", path, type);
	}
}

static void read_throttle(struct json_ctx *c, struct oci_resources *r, struct json_object *o, const char *path)
{
	static const char *const keys[] = {"throttleReadBpsDevice", "throttleWriteBpsDevice",
					   "throttleReadIOPSDevice", "throttleWriteIOPSDevice"};

	for (size_t k = 0; k < ARRAY_SIZE(keys); k++) {
		struct json_object *arr = json_arr(c, o, path, keys[k], ARRAY_MAX, &r->throttle_count[k]);

		r->throttle[k] = calloc(r->throttle_count[k] + 1, sizeof(*r->throttle[k]));
		BUG_ON(!r->throttle[k]);
		for (size_t i = 0; i < r->throttle_count[k]; i++) {
			struct json_object *e = json_elem(c, arr, keys[k], i);

			r->throttle[k][i] =
				(struct oci_throttle){(uint32_t)json_int(c, e, keys[k], "major", 0, 4095, 0),
						      (uint32_t)json_int(c, e, keys[k], "minor", 0, 1048575, 0),
						      json_u64(c, e, keys[k], "rate", UINT64_MAX, 0)};
		}
	}
}

static void read_hugepages(struct json_ctx *c, struct oci_resources *r, struct json_object *o, const char *path)
{
	struct json_object *arr = json_arr(c, o, path, "hugepageLimits", 64, &r->hugepage_count);

	r->hugepages = calloc(r->hugepage_count + 1, sizeof(*r->hugepages));
	BUG_ON(!r->hugepages);
	for (size_t i = 0; i < r->hugepage_count; i++) {
		struct json_object *e = json_elem(c, arr, "hugepageLimits", i);

		r->hugepages[i].size = json_str(c, e, "hugepageLimits", "pageSize", "");
		r->hugepages[i].limit = json_u64(c, e, "hugepageLimits", "limit", UINT64_MAX, 0);
		if (strchr(r->hugepages[i].size, '/') || !*r->hugepages[i].size)
			json_fail(c, "%s.hugepageLimits[%zu].pageSize: '%s' is no page size", path, i,
				  r->hugepages[i].size);
	}
}

/* A list of numbers and ranges, as cpuset(7) takes it: "0-2,4". */
static const char *read_list(struct json_ctx *c, struct json_object *o, const char *path, const char *key)
{
	const char *s = json_str(c, o, path, key, NULL);

	if (s && strspn(s, "0123456789,-\n") != strlen(s))
		json_fail(c, "%s.%s: '%s' is not a list of numbers and ranges", path, key, s);
	return s && *s ? s : NULL;
}

static void read_unified(struct json_ctx *c, struct oci_resources *r, struct json_object *o, const char *path)
{
	r->unified = json_obj(c, o, path, "unified");
	if (!r->unified)
		return;
	json_object_object_foreach(r->unified, key, value)
	{
		if (!*key || strchr(key, '/') || !strchr(key, '.') || key[0] == '.')
			json_fail(c, "%s.unified: '%s' is not the name of a cgroup file", path, key);
		else if (!json_object_is_type(value, json_type_string))
			json_fail(c, "%s.unified.%s: must be a string", path, key);
	}
}

void spec_read_resources(struct json_ctx *c, struct oci_resources *r, struct json_object *o, const char *path)
{
	struct json_object *memory = json_obj(c, o, path, "memory"), *cpu = json_obj(c, o, path, "cpu"),
			   *pids = json_obj(c, o, path, "pids"), *blkio = json_obj(c, o, path, "blockIO");
	char sub[96];

	snprintf(sub, sizeof(sub), "%s.memory", path);
	/* 0 is "not given" for the tools that write these files */
	r->memory_limit = json_int(c, memory, sub, "limit", -1, INT64_MAX, 0);
	r->memory_reservation = json_int(c, memory, sub, "reservation", -1, INT64_MAX, 0);
	r->memory_swap = json_int(c, memory, sub, "swap", -1, INT64_MAX, 0);
	r->memory_swappiness = json_int(c, memory, sub, "swappiness", -1, 100, -1);
	r->disable_oom_killer = json_flag(c, memory, sub, "disableOOMKiller", false);
	snprintf(sub, sizeof(sub), "%s.cpu", path);
	r->cpu_shares = json_u64(c, cpu, sub, "shares", 262144, 0);
	r->cpu_quota = json_int(c, cpu, sub, "quota", -1, INT64_MAX, 0);
	r->cpu_period = json_u64(c, cpu, sub, "period", 1000000, 0);
	r->cpu_burst = json_u64(c, cpu, sub, "burst", UINT64_MAX, 0);
	r->cpu_idle = json_int(c, cpu, sub, "idle", 0, 1, -1);
	r->cpus = read_list(c, cpu, sub, "cpus");
	r->mems = read_list(c, cpu, sub, "mems");
	if (r->cpu_period && r->cpu_period < 1000)
		json_fail(c, "%s.period: must be from 1000 to 1000000", sub);
	snprintf(sub, sizeof(sub), "%s.pids", path);
	r->pids_limit = json_int(c, pids, sub, "limit", -1, INT64_MAX, 0);
	snprintf(sub, sizeof(sub), "%s.blockIO", path);
	r->blkio_weight = (uint32_t)json_int(c, blkio, sub, "weight", 0, 1000, 0);
	if (r->blkio_weight && r->blkio_weight < 10)
		json_fail(c, "%s.weight: must be from 10 to 1000", sub);
	read_throttle(c, r, blkio, sub);
	read_hugepages(c, r, o, path);
	read_unified(c, r, o, path);
}

static void check_paths(struct json_ctx *c, const char *key, const char **paths)
{
	for (size_t i = 0; paths[i]; i++)
		if (paths[i][0] != '/')
			json_fail(c, "linux.%s[%zu]: must be an absolute path, not '%s'", key, i, paths[i]);
}

static void read_sysctl(struct json_ctx *c, struct oci_spec *s, struct json_object *l)
{
	s->sysctl = json_obj(c, l, "linux", "sysctl");
	if (!s->sysctl)
		return;
	json_object_object_foreach(s->sysctl, key, value)
	{
		if (!*key || key[0] == '/' || key[0] == '.' || strstr(key, "..") || strstr(key, "//"))
			json_fail(c, "linux.sysctl: '%s' is not the name of a setting", key);
		else if (!json_object_is_type(value, json_type_string))
			json_fail(c, "linux.sysctl.%s: must be a string", key);
	}
}

void spec_read_linux(struct json_ctx *c, struct oci_spec *s, struct json_object *l)
{
	read_namespaces(c, s, l);
	s->uid_maps = read_maps(c, l, "uidMappings", &s->uid_map_count);
	s->gid_maps = read_maps(c, l, "gidMappings", &s->gid_map_count);
	if ((s->uid_map_count || s->gid_map_count) && !spec_namespace(s, "user"))
		json_fail(c, "linux.uidMappings: need a user namespace in linux.namespaces");
	read_devices(c, s, l);
	s->cgroups_path = json_str(c, l, "linux", "cgroupsPath", NULL);
	if (s->cgroups_path && strlen(s->cgroups_path) > 2048)
		json_fail(c, "linux.cgroupsPath: longer than 2048 bytes");
	spec_read_resources(c, &s->resources, json_obj(c, l, "linux", "resources"), "linux.resources");
	s->masked = json_strs(c, l, "linux", "maskedPaths", NULL);
	s->readonly = json_strs(c, l, "linux", "readonlyPaths", NULL);
	check_paths(c, "maskedPaths", s->masked);
	check_paths(c, "readonlyPaths", s->readonly);
	read_sysctl(c, s, l);
	s->seccomp = json_obj(c, l, "linux", "seccomp");
	if (json_has(l, "intelRdt"))
		json_fail(c, "linux.intelRdt: is not supported");
}
