/* spec.c: see spec.h; everything but the "linux" object, which spec_linux.c reads. */
#include "sentry/oci/spec.h"

#include <json-c/json.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "platform/base/bug.h"
#include "sentry/oci/json.h"

#define ARRAY_MAX 4096 /* mounts, hooks, limits */

static const char *const cap_names[] = {
	"CHOWN",
	"DAC_OVERRIDE",
	"DAC_READ_SEARCH",
	"FOWNER",
	"FSETID",
	"KILL",
	"SETGID",
	"SETUID",
	"SETPCAP",
	"LINUX_IMMUTABLE",
	"NET_BIND_SERVICE",
	"NET_BROADCAST",
	"NET_ADMIN",
	"NET_RAW",
	"IPC_LOCK",
	"IPC_OWNER",
	"SYS_MODULE",
	"SYS_RAWIO",
	"SYS_CHROOT",
	"SYS_PTRACE",
	"SYS_PACCT",
	"SYS_ADMIN",
	"SYS_BOOT",
	"SYS_NICE",
	"SYS_RESOURCE",
	"SYS_TIME",
	"SYS_TTY_CONFIG",
	"MKNOD",
	"LEASE",
	"AUDIT_WRITE",
	"AUDIT_CONTROL",
	"SETFCAP",
	"MAC_OVERRIDE",
	"MAC_ADMIN",
	"SYSLOG",
	"WAKE_ALARM",
	"BLOCK_SUSPEND",
	"AUDIT_READ",
	"PERFMON",
	"BPF",
	"CHECKPOINT_RESTORE",
};

int spec_cap_number(const char *name)
{
	if (strncmp(name, "CAP_", 4) == 0)
		for (size_t i = 0; i < ARRAY_SIZE(cap_names); i++)
			if (strcmp(name + 4, cap_names[i]) == 0)
				return (int)i;
	return -1;
}

const char *spec_cap_name(int number)
{
	return number >= 0 && (size_t)number < ARRAY_SIZE(cap_names) ? cap_names[number] : NULL;
}

int spec_rlimit_number(const char *name)
{
	static const struct {
		const char *name;
		int type;
	} limits[] = {
		{"CPU", RLIMIT_CPU},	       {"FSIZE", RLIMIT_FSIZE},
		{"DATA", RLIMIT_DATA},	       {"STACK", RLIMIT_STACK},
		{"CORE", RLIMIT_CORE},	       {"RSS", RLIMIT_RSS},
		{"NPROC", RLIMIT_NPROC},       {"NOFILE", RLIMIT_NOFILE},
		{"MEMLOCK", RLIMIT_MEMLOCK},   {"AS", RLIMIT_AS},
		{"LOCKS", RLIMIT_LOCKS},       {"SIGPENDING", RLIMIT_SIGPENDING},
		{"MSGQUEUE", RLIMIT_MSGQUEUE}, {"NICE", RLIMIT_NICE},
		{"RTPRIO", RLIMIT_RTPRIO},     {"RTTIME", RLIMIT_RTTIME},
	};

	if (strncmp(name, "RLIMIT_", 7) == 0)
		for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
			if (strcmp(name + 7, limits[i].name) == 0)
				return limits[i].type;
	return -1;
}

static void read_user(struct json_ctx *c, struct oci_process *p, struct json_object *u)
{
	static const char path[] = "process.user";
	struct json_object *arr;

	p->uid = (uint32_t)json_u64(c, u, path, "uid", UINT32_MAX - 1, 0);
	p->gid = (uint32_t)json_u64(c, u, path, "gid", UINT32_MAX - 1, 0);
	p->umask = json_int(c, u, path, "umask", 0, 07777, -1);
	arr = json_arr(c, u, path, "additionalGids", 65536, &p->group_count);
	p->groups = calloc(p->group_count + 1, sizeof(*p->groups));
	BUG_ON(!p->groups);
	for (size_t i = 0; i < p->group_count; i++) {
		struct json_object *v = json_object_array_get_idx(arr, i);
		int64_t n = json_object_get_int64(v);

		if (!json_object_is_type(v, json_type_int) || n < 0 || n >= UINT32_MAX)
			json_fail(c, "%s.additionalGids[%zu]: not a group id", path, i);
		p->groups[i] = (uint32_t)n;
	}
}

static void read_caps(struct json_ctx *c, struct oci_process *p, struct json_object *caps)
{
	static const char *const sets[] = {"bounding", "effective", "inheritable", "permitted", "ambient"};

	p->has_caps = caps != NULL;
	for (size_t i = 0; caps && i < ARRAY_SIZE(sets); i++) {
		const char **names = json_strs(c, caps, "process.capabilities", sets[i], NULL);

		for (size_t j = 0; names[j]; j++) {
			int n = spec_cap_number(names[j]);

			/* as runc: a capability that this kernel doesn't know is left out */
			if (n >= 0)
				p->caps[i] |= 1ULL << n;
		}
		free(names);
	}
}

static void read_rlimits(struct json_ctx *c, struct oci_process *p, struct json_object *o)
{
	struct json_object *arr = json_arr(c, o, "process", "rlimits", ARRAY_MAX, &p->rlimit_count);

	p->rlimits = calloc(p->rlimit_count + 1, sizeof(*p->rlimits));
	BUG_ON(!p->rlimits);
	for (size_t i = 0; i < p->rlimit_count; i++) {
		struct json_object *e = json_elem(c, arr, "process.rlimits", i);
		struct oci_rlimit *r = &p->rlimits[i];
		char path[64];
		const char *type;

		snprintf(path, sizeof(path), "process.rlimits[%zu]", i);
		type = json_str(c, e, path, "type", "");
		r->type = spec_rlimit_number(type);
		r->soft = json_u64(c, e, path, "soft", UINT64_MAX, 0);
		r->hard = json_u64(c, e, path, "hard", UINT64_MAX, 0);
		if (r->type < 0)
			json_fail(c, "%s.type: unknown limit '%s'", path, type);
		else if (r->soft > r->hard)
			json_fail(c, "%s: the soft limit of %s is above the hard one", path, type);
		for (size_t j = 0; j < i; j++)
			if (p->rlimits[j].type == r->type)
				json_fail(c, "%s: %s is given twice", path, type);
	}
}

static void read_process(struct json_ctx *c, struct oci_process *p, struct json_object *o)
{
	struct json_object *size = json_obj(c, o, "process", "consoleSize");

	p->terminal = json_flag(c, o, "process", "terminal", false);
	p->rows = (uint32_t)json_u64(c, size, "process.consoleSize", "height", 65535, 0);
	p->cols = (uint32_t)json_u64(c, size, "process.consoleSize", "width", 65535, 0);
	read_user(c, p, json_obj(c, o, "process", "user"));
	p->args = json_strs(c, o, "process", "args", NULL);
	p->env = json_strs(c, o, "process", "env", NULL);
	p->cwd = json_str(c, o, "process", "cwd", "");
	read_caps(c, p, json_obj(c, o, "process", "capabilities"));
	read_rlimits(c, p, o);
	p->no_new_privs = json_flag(c, o, "process", "noNewPrivileges", false);
	p->has_oom_score_adj = json_has(o, "oomScoreAdj");
	p->oom_score_adj = (int)json_int(c, o, "process", "oomScoreAdj", -1000, 1000, 0);
	p->apparmor = json_str(c, o, "process", "apparmorProfile", "");
	p->selinux = json_str(c, o, "process", "selinuxLabel", "");
	if (!p->args[0])
		json_fail(c, "process.args: must have at least one element");
	else if (!p->args[0][0])
		json_fail(c, "process.args[0]: must not be empty");
	if (p->cwd[0] != '/')
		json_fail(c, "process.cwd: must be an absolute path, not '%s'", p->cwd);
}

static void read_mounts(struct json_ctx *c, struct oci_spec *s)
{
	struct json_object *arr = json_arr(c, s->doc, "", "mounts", ARRAY_MAX, &s->mount_count);

	s->mounts = calloc(s->mount_count + 1, sizeof(*s->mounts));
	BUG_ON(!s->mounts);
	for (size_t i = 0; i < s->mount_count; i++) {
		struct json_object *e = json_elem(c, arr, "mounts", i);
		struct oci_mount *m = &s->mounts[i];
		char path[32];

		snprintf(path, sizeof(path), "mounts[%zu]", i);
		m->destination = json_str(c, e, path, "destination", "");
		m->type = json_str(c, e, path, "type", "");
		m->source = json_str(c, e, path, "source", "");
		m->options = json_strs(c, e, path, "options", NULL);
		if (m->destination[0] != '/')
			json_fail(c, "%s.destination: must be an absolute path, not '%s'", path,
				  m->destination);
		else if (strlen(m->destination) >= PATH_MAX || strlen(m->source) >= PATH_MAX)
			json_fail(c, "%s: a path is longer than %d bytes", path, PATH_MAX);
	}
}

static const char *const hook_names[HOOK_KINDS] = {"prestart",	     "createRuntime", "createContainer",
						   "startContainer", "poststart",     "poststop"};

static void read_hooks(struct json_ctx *c, struct oci_spec *s)
{
	struct json_object *h = json_obj(c, s->doc, "", "hooks");

	for (size_t k = 0; k < HOOK_KINDS; k++) {
		struct json_object *arr = json_arr(c, h, "hooks", hook_names[k], ARRAY_MAX, &s->hook_count[k]);

		s->hooks[k] = calloc(s->hook_count[k] + 1, sizeof(*s->hooks[k]));
		BUG_ON(!s->hooks[k]);
		for (size_t i = 0; i < s->hook_count[k]; i++) {
			struct oci_hook *hook = &s->hooks[k][i];
			char path[64];
			struct json_object *e;

			snprintf(path, sizeof(path), "hooks.%s", hook_names[k]);
			e = json_elem(c, arr, path, i);
			snprintf(path, sizeof(path), "hooks.%s[%zu]", hook_names[k], i);
			hook->path = json_str(c, e, path, "path", "");
			hook->args = json_strs(c, e, path, "args", NULL);
			hook->env = json_strs(c, e, path, "env", NULL);
			hook->timeout = json_int(c, e, path, "timeout", 1, INT32_MAX, 0);
			if (hook->path[0] != '/')
				json_fail(c, "%s.path: must be an absolute path, not '%s'", path, hook->path);
		}
	}
}

static void check_annotations(struct json_ctx *c, struct oci_spec *s)
{
	s->annotations = json_obj(c, s->doc, "", "annotations");
	if (!s->annotations)
		return;
	json_object_object_foreach(s->annotations, key, value)
	{
		if (!json_object_is_type(value, json_type_string))
			json_fail(c, "annotations.%s: must be a string", key);
		else if (!*key)
			json_fail(c, "annotations: a key must not be empty");
	}
}

/* 1.x, as long as 1 is all there is. */
static void check_version(struct json_ctx *c, const char *v)
{
	char *end;
	unsigned long major = strtoul(v, &end, 10);

	if (!*v)
		json_fail(c, "ociVersion: is missing");
	else if (end == v || *end != '.' || v[0] == '-' || v[0] == '+')
		json_fail(c, "ociVersion: '%s' is not a version", v);
	else if (major != 1)
		json_fail(c, "ociVersion: %s is not supported (1.x is)", v);
}

static void read_all(struct json_ctx *c, struct oci_spec *s)
{
	struct json_object *root = json_obj(c, s->doc, "", "root"),
			   *process = json_obj(c, s->doc, "", "process");

	s->version = json_str(c, s->doc, "", "ociVersion", "");
	check_version(c, s->version);
	if (!root)
		json_fail(c, "root: is missing");
	s->root_path = json_str(c, root, "root", "path", "");
	s->root_readonly = json_flag(c, root, "root", "readonly", false);
	if (!*s->root_path)
		json_fail(c, "root.path: is missing");
	if (!process)
		json_fail(c, "process: is missing");
	read_process(c, &s->process, process);
	s->hostname = json_str(c, s->doc, "", "hostname", NULL);
	s->domainname = json_str(c, s->doc, "", "domainname", NULL);
	if (s->hostname && strlen(s->hostname) > 64)
		json_fail(c, "hostname: longer than 64 bytes");
	if (s->domainname && strlen(s->domainname) > 64)
		json_fail(c, "domainname: longer than 64 bytes");
	read_mounts(c, s);
	read_hooks(c, s);
	check_annotations(c, s);
	spec_read_linux(c, s, json_obj(c, s->doc, "", "linux"));
	if (json_has(s->doc, "windows") || json_has(s->doc, "solaris") || json_has(s->doc, "vm"))
		json_fail(c, "a bundle for another system (windows, solaris or vm is given)");
	if ((s->hostname && *s->hostname) && !spec_namespace(s, "uts"))
		json_fail(c, "hostname: needs a uts namespace in linux.namespaces");
}

static int finish(struct json_ctx *c, struct oci_spec *s)
{
	if (s->doc)
		read_all(c, s);
	if (!c->failed)
		return 0;
	spec_free(s);
	return -1;
}

int spec_load(struct oci_spec *s, const char *path, char *err, size_t err_size)
{
	struct json_ctx c = {.file = path, .err = err, .err_size = err_size};

	*s = (struct oci_spec){.doc = json_load(&c, path)};
	return finish(&c, s);
}

int spec_parse(struct oci_spec *s, const char *name, const char *text, size_t size, char *err, size_t err_size)
{
	struct json_ctx c = {.file = name, .err = err, .err_size = err_size};

	*s = (struct oci_spec){.doc = json_parse(&c, text, size)};
	return finish(&c, s);
}

int spec_load_process(struct oci_process *p, struct json_object **doc, const char *path, char *err,
		      size_t err_size)
{
	struct json_ctx c = {.file = path, .err = err, .err_size = err_size};

	*p = (struct oci_process){0};
	*doc = json_load(&c, path);
	if (*doc)
		read_process(&c, p, *doc);
	if (!c.failed)
		return 0;
	spec_free_process(p);
	json_object_put(*doc);
	*doc = NULL;
	return -1;
}

int spec_load_resources(struct oci_resources *r, struct json_object **doc, const char *path, char *err,
			size_t err_size)
{
	struct json_ctx c = {.file = path, .err = err, .err_size = err_size};

	*r = (struct oci_resources){0};
	*doc = json_load(&c, strcmp(path, "-") == 0 ? "/dev/stdin" : path);
	if (*doc)
		spec_read_resources(&c, r, *doc, "resources");
	if (!c.failed)
		return 0;
	spec_free_resources(r);
	json_object_put(*doc);
	*doc = NULL;
	return -1;
}

void spec_free_process(struct oci_process *p)
{
	free(p->groups);
	free(p->args);
	free(p->env);
	free(p->rlimits);
	*p = (struct oci_process){0};
}

void spec_free_resources(struct oci_resources *r)
{
	for (size_t i = 0; i < ARRAY_SIZE(r->throttle); i++)
		free(r->throttle[i]);
	free(r->hugepages);
	*r = (struct oci_resources){0};
}

void spec_free(struct oci_spec *s)
{
	spec_free_process(&s->process);
	for (size_t i = 0; s->mounts && i < s->mount_count; i++)
		free(s->mounts[i].options);
	free(s->mounts);
	for (size_t k = 0; k < HOOK_KINDS; k++) {
		for (size_t i = 0; s->hooks[k] && i < s->hook_count[k]; i++) {
			free(s->hooks[k][i].args);
			free(s->hooks[k][i].env);
		}
		free(s->hooks[k]);
	}
	free(s->namespaces);
	free(s->uid_maps);
	free(s->gid_maps);
	free(s->devices);
	free(s->masked);
	free(s->readonly);
	spec_free_resources(&s->resources);
	json_object_put(s->doc);
	*s = (struct oci_spec){0};
}

const char *spec_annotation(const struct oci_spec *s, const char *key)
{
	struct json_object *v;

	if (!s->annotations || !json_object_object_get_ex(s->annotations, key, &v))
		return NULL;
	return json_object_get_string(v);
}

const struct oci_namespace *spec_namespace(const struct oci_spec *s, const char *type)
{
	for (size_t i = 0; i < s->namespace_count; i++)
		if (strcmp(s->namespaces[i].type, type) == 0)
			return &s->namespaces[i];
	return NULL;
}
