/* describe.c: see describe.h. */
#include "sentry/oci/describe.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "platform/base/bug.h"
#include "sentry/oci/log.h"
#include "sentry/oci/seccomp.h"

static int add_seccomp(struct config_writer *w, struct json_object *seccomp, char *err, size_t err_size)
{
	void *prog;
	size_t size;
	char *hex;

	if (seccomp_compile(seccomp, &prog, &size, err, err_size) < 0)
		return -1;
	hex = malloc(2 * size + 1);
	BUG_ON(!hex);
	for (size_t i = 0; i < size; i++)
		snprintf(hex + 2 * i, 3, "%02x", ((uint8_t *)prog)[i]);
	config_add(w, "seccomp", "%s", hex);
	free(hex);
	free(prog);
	return 0;
}

int describe_process(struct config_writer *w, const struct oci_process *p, struct json_object *seccomp,
		     char *err, size_t err_size)
{
	for (size_t i = 0; p->args[i]; i++)
		config_add(w, "arg", "%s", p->args[i]);
	for (size_t i = 0; p->env[i]; i++)
		config_add(w, "env", "%s", p->env[i]);
	config_add(w, "cwd", "%s", p->cwd);
	config_add(w, "uid", "%u", p->uid);
	config_add(w, "gid", "%u", p->gid);
	for (size_t i = 0; i < p->group_count; i++)
		config_add(w, "group", "%u", p->groups[i]);
	if (p->umask >= 0)
		config_add(w, "umask", "%" PRId64, p->umask);
	config_add(w, "caps", "%" PRIx64 ":%" PRIx64 ":%" PRIx64 ":%" PRIx64 ":%" PRIx64, p->caps[0],
		   p->caps[1], p->caps[2], p->caps[3], p->caps[4]);
	for (size_t i = 0; i < p->rlimit_count; i++)
		config_add(w, "rlimit", "%d:%" PRIu64 ":%" PRIu64, p->rlimits[i].type, p->rlimits[i].soft,
			   p->rlimits[i].hard);
	if (p->no_new_privs)
		config_add(w, "no-new-privs", "1");
	if (p->has_oom_score_adj)
		config_add(w, "oom-score-adj", "%d", p->oom_score_adj);
	if (p->terminal)
		config_add(w, "tty", "%ux%u", p->rows ? p->rows : 24, p->cols ? p->cols : 80);
	if (*p->apparmor && strcmp(p->apparmor, "unconfined") != 0)
		oci_log("debug", "apparmorProfile %s: not applied, the guest makes no calls to the host",
			p->apparmor);
	if (*p->selinux)
		oci_log("debug", "selinuxLabel %s: not applied, the guest makes no calls to the host",
			p->selinux);
	return seccomp ? add_seccomp(w, seccomp, err, err_size) : 0;
}

/* ---- mounts ---- */

struct option {
	const char *name;
	unsigned long set, clear;
};

static const struct option mount_options[] = {
	{"ro", MS_RDONLY, 0},
	{"rw", 0, MS_RDONLY},
	{"nosuid", MS_NOSUID, 0},
	{"suid", 0, MS_NOSUID},
	{"nodev", MS_NODEV, 0},
	{"dev", 0, MS_NODEV},
	{"noexec", MS_NOEXEC, 0},
	{"exec", 0, MS_NOEXEC},
	{"noatime", MS_NOATIME, 0},
	{"atime", 0, MS_NOATIME},
	{"nodiratime", MS_NODIRATIME, 0},
	{"diratime", 0, MS_NODIRATIME},
	{"relatime", MS_RELATIME, 0},
	{"norelatime", 0, MS_RELATIME},
	{"strictatime", MS_STRICTATIME, 0},
	{"nostrictatime", 0, MS_STRICTATIME},
	{"sync", MS_SYNCHRONOUS, 0},
	{"async", 0, MS_SYNCHRONOUS},
	{"dirsync", MS_DIRSYNC, 0},
	{"bind", MS_BIND, 0},
	{"rbind", MS_BIND | MS_REC, 0},
	{"private", MS_PRIVATE, 0},
	{"rprivate", MS_PRIVATE | MS_REC, 0},
	{"shared", MS_SHARED, 0},
	{"rshared", MS_SHARED | MS_REC, 0},
	{"slave", MS_SLAVE, 0},
	{"rslave", MS_SLAVE | MS_REC, 0},
	{"unbindable", MS_UNBINDABLE, 0},
	{"runbindable", MS_UNBINDABLE | MS_REC, 0},
	/* the recursive forms: what lies below a bind mount comes through the same gofer root */
	{"rro", MS_RDONLY, 0},
	{"rrw", 0, MS_RDONLY},
	{"rnosuid", MS_NOSUID, 0},
	{"rsuid", 0, MS_NOSUID},
	{"rnodev", MS_NODEV, 0},
	{"rdev", 0, MS_NODEV},
	{"rnoexec", MS_NOEXEC, 0},
	{"rexec", 0, MS_NOEXEC},
	{"rnoatime", MS_NOATIME, 0},
	{"ratime", 0, MS_NOATIME},
	{"rrelatime", MS_RELATIME, 0},
	{"rnorelatime", 0, MS_RELATIME},
	{"rstrictatime", MS_STRICTATIME, 0},
	{"rnodiratime", MS_NODIRATIME, 0},
	{"rdiratime", 0, MS_NODIRATIME},
	{"defaults", 0, 0},
	{"silent", 0, 0},
	{"loud", 0, 0},
	{"remount", 0, 0},
	{"mand", 0, 0},
	{"nomand", 0, 0},
	{"acl", 0, 0},
	{"noacl", 0, 0},
	{"iversion", 0, 0},
	{"noiversion", 0, 0},
	{"lazytime", 0, 0},
	{"nolazytime", 0, 0},
	{"tmpcopyup", 1UL << 30, 0},
};
#define OPT_TMPCOPYUP (1UL << 30)

struct parsed {
	unsigned long flags;
	char data[1024];
};

static bool known_option(struct parsed *p, const char *o)
{
	for (size_t i = 0; i < ARRAY_SIZE(mount_options); i++)
		if (strcmp(o, mount_options[i].name) == 0) {
			p->flags = (p->flags & ~mount_options[i].clear) | mount_options[i].set;
			return true;
		}
	return false;
}

static int parse_options(const struct oci_mount *m, struct parsed *p, char *err, size_t err_size)
{
	size_t len = 0;

	*p = (struct parsed){0};
	for (size_t i = 0; m->options[i]; i++) {
		const char *o = m->options[i];
		size_t n = strlen(o);

		if (known_option(p, o))
			continue;
		if (strcmp(o, "idmap") == 0 || strcmp(o, "ridmap") == 0) {
			snprintf(err, err_size, "mount at %s: id-mapped mounts are not supported",
				 m->destination);
			return -1;
		}
		if (len + n + 2 > sizeof(p->data)) {
			snprintf(err, err_size, "mount at %s: the options are too long", m->destination);
			return -1;
		}
		len += (size_t)snprintf(p->data + len, sizeof(p->data) - len, "%s%s", len ? "," : "", o);
	}
	return 0;
}

static void add_mount(struct config_writer *w, const char *type, const char *source, const char *target,
		      unsigned long flags, const char *data)
{
	config_add(w, "mnt-type", "%s", type);
	config_add(w, "mnt-source", "%s", source);
	config_add(w, "mnt-target", "%s", target);
	config_add(w, "mnt-flags", "%lu", flags);
	config_add(w, "mnt-data", "%s", data);
}

static int add_bind(struct launch *l, const struct oci_mount *m, const struct parsed *p, const char *bundle,
		    char *err, size_t err_size)
{
	bool ro = (p->flags & MS_RDONLY) != 0;
	char source[2 * PATH_MAX], index[32];
	int fd;

	if (m->source[0] == '/')
		snprintf(source, sizeof(source), "%s", m->source);
	else
		snprintf(source, sizeof(source), "%s/%s", bundle, m->source);
	if (l->root_count >= LAUNCH_ROOTS_MAX) {
		snprintf(err, err_size, "more than %d bind mounts", LAUNCH_ROOTS_MAX);
		return -1;
	}
	fd = open(source, O_PATH | O_CLOEXEC);
	if (fd < 0) {
		snprintf(err, err_size, "mount at %s: cannot open %s: %s", m->destination, source,
			 strerror(errno));
		return -1;
	}
	snprintf(index, sizeof(index), "%zu", launch_add_root(l, fd, ro, false));
	add_mount(&l->config, "gofer", index, m->destination, p->flags & ~(unsigned long)(MS_BIND | MS_REC),
		  "");
	return 0;
}

static int add_one(struct launch *l, const struct oci_mount *m, const char *bundle, char *err, size_t err_size)
{
	static const char *const types[] = {"proc",   "sysfs",	"tmpfs",   "devpts",
					    "mqueue", "cgroup", "cgroup2", "devtmpfs"};
	struct parsed p;

	if (parse_options(m, &p, err, err_size) < 0)
		return -1;
	if (strcmp(m->type, "bind") == 0 || (p.flags & MS_BIND))
		return add_bind(l, m, &p, bundle, err, err_size);
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		const char *type = types[i];

		if (strcmp(m->type, type) != 0)
			continue;
		/* a fresh /dev comes with its devices */
		if (strcmp(m->destination, "/dev") == 0 && strcmp(type, "tmpfs") == 0)
			type = "devtmpfs";
		if (p.flags & OPT_TMPCOPYUP)
			oci_log("warning", "mount at %s: tmpcopyup is not supported, it starts empty",
				m->destination);
		add_mount(&l->config, type, *m->source ? m->source : type, m->destination,
			  p.flags & ~OPT_TMPCOPYUP, p.data);
		return 0;
	}
	snprintf(err, err_size, "mount at %s: the file system type '%s' is not supported", m->destination,
		 m->type);
	return -1;
}

/* ---- the rest ---- */

static int refuse_joined(const struct oci_spec *s, char *err, size_t err_size)
{
	for (size_t i = 0; i < s->namespace_count; i++) {
		const struct oci_namespace *n = &s->namespaces[i];

		if (!n->path || strcmp(n->type, "network") == 0 || strcmp(n->type, "cgroup") == 0)
			continue;
		snprintf(err, err_size,
			 "linux.namespaces: joining the %s namespace %s is not possible: the sandbox has a "
			 "kernel "
			 "of its own",
			 n->type, n->path);
		return -1;
	}
	return 0;
}

/* Only the map that a sandbox has anyway when an ordinary user starts it: one id, the user's own. */
static int refuse_maps(const struct oci_spec *s, char *err, size_t err_size)
{
	bool own = geteuid() != 0 && s->uid_map_count == 1 && s->gid_map_count == 1 &&
		   s->uid_maps[0].count == 1 && s->uid_maps[0].outside == geteuid() &&
		   s->gid_maps[0].count == 1 && s->gid_maps[0].outside == getegid();

	if (own || (!s->uid_map_count && !s->gid_map_count))
		return 0;
	snprintf(err, err_size, "linux.uidMappings: maps of user ids are not supported");
	return -1;
}

static uint64_t list_count(const char *list)
{
	uint64_t n = 0;

	while (list && *list) {
		char *end;
		unsigned long a = strtoul(list, &end, 10), b = a;

		if (*end == '-')
			b = strtoul(end + 1, &end, 10);
		n += b >= a ? b - a + 1 : 0;
		list = *end ? end + 1 : end;
	}
	return n;
}

static void add_limits(struct config_writer *w, const struct oci_resources *r)
{
	if (r->memory_limit > 0)
		config_add(w, "memory", "%" PRId64, r->memory_limit);
	if (r->pids_limit > 0)
		config_add(w, "pids", "%" PRId64, MIN(r->pids_limit, (int64_t)4194304));
	if (r->cpus)
		config_add(w, "cpus", "%" PRIu64, list_count(r->cpus));
	if (r->cpu_quota > 0)
		config_add(w, "cpu-max", "%" PRId64 " %" PRIu64, r->cpu_quota,
			   r->cpu_period ? r->cpu_period : 100000);
}

static void add_tables(struct config_writer *w, const struct oci_spec *s)
{
	for (size_t i = 0; s->masked[i]; i++)
		config_add(w, "masked", "%s", s->masked[i]);
	for (size_t i = 0; s->readonly[i]; i++)
		config_add(w, "readonly", "%s", s->readonly[i]);
	for (size_t i = 0; i < s->device_count; i++) {
		const struct oci_device *d = &s->devices[i];

		config_add(w, "device", "%c:%u:%u:%o:%u:%u:%s", d->type, d->major, d->minor, d->mode, d->uid,
			   d->gid, d->path);
	}
	if (!s->sysctl)
		return;
	json_object_object_foreach(s->sysctl, key, value)
		config_add(w, "sysctl", "%s=%s", key, json_object_get_string(value));
}

int describe_container(struct launch *l, const struct oci_spec *s, const char *bundle, const char *rootfs,
		       char *err, size_t err_size)
{
	struct config_writer *w = &l->config;
	const char *overlay = spec_annotation(s, "dev.sbx.overlay"), *v;
	int fd;

	if (refuse_joined(s, err, err_size) < 0 || refuse_maps(s, err, err_size) < 0)
		return -1;
	if (s->hook_count[HOOK_START_CONTAINER]) {
		snprintf(err, err_size, "hooks.startContainer: is not supported (the other kinds are)");
		return -1;
	}
	fd = open(rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		snprintf(err, err_size, "root.path: cannot open %s: %s", rootfs, strerror(errno));
		return -1;
	}
	config_add(w, "oci", "1");
	config_add(w, "root", "%s:%zu", overlay && strcmp(overlay, "memory") == 0 ? "gofer" : "direct",
		   launch_add_root(l, fd, overlay && strcmp(overlay, "memory") == 0, false));
	if (s->root_readonly)
		config_add(w, "root-flags", "ro");
	for (size_t i = 0; i < s->mount_count; i++)
		if (add_one(l, &s->mounts[i], bundle, err, err_size) < 0)
			return -1;
	if (s->hostname && *s->hostname)
		config_add(w, "hostname", "%s", s->hostname);
	if (s->domainname && *s->domainname)
		config_add(w, "domainname", "%s", s->domainname);
	v = spec_annotation(s, "dev.sbx.platform");
	if (v)
		config_add(w, "platform", "%s", v);
	add_limits(w, &s->resources);
	add_tables(w, s);
	return describe_process(w, &s->process, s->seccomp, err, err_size);
}
