/* spec.h: config.json of an OCI bundle (runtime specification 1.2), checked and as a structure. Strings are
 * borrowed from the document, which lives as long as the spec. */
#pragma once

#include <sys/types.h>

#include "platform/base/attr.h"

struct json_object;

struct oci_rlimit {
	int type; /* RLIMIT_* */
	uint64_t soft, hard;
};

enum oci_capset {
	OCI_CAP_BOUNDING,
	OCI_CAP_EFFECTIVE,
	OCI_CAP_INHERITABLE,
	OCI_CAP_PERMITTED,
	OCI_CAP_AMBIENT,
	OCI_CAP_SETS
};

struct oci_process {
	bool terminal;
	uint32_t rows, cols; /* 0: not given */
	uint32_t uid, gid;
	int64_t umask; /* -1: not given */
	uint32_t *groups;
	size_t group_count;
	const char **args, **env; /* NULL-terminated */
	const char *cwd;
	bool has_caps;
	uint64_t caps[OCI_CAP_SETS];
	struct oci_rlimit *rlimits;
	size_t rlimit_count;
	bool no_new_privs, has_oom_score_adj;
	int oom_score_adj;
	const char *apparmor, *selinux; /* "" or a name */
};

struct oci_mount {
	const char *destination, *type, *source;
	const char **options;
};

struct oci_hook {
	const char *path;
	const char **args, **env;
	int64_t timeout; /* seconds; 0: none */
};

enum oci_hook_kind {
	HOOK_PRESTART,
	HOOK_CREATE_RUNTIME,
	HOOK_CREATE_CONTAINER,
	HOOK_START_CONTAINER,
	HOOK_POSTSTART,
	HOOK_POSTSTOP,
	HOOK_KINDS
};

struct oci_namespace {
	const char *type, *path; /* path NULL: a new one */
};

struct oci_device {
	const char *path;
	char type; /* c, b, u, p */
	uint32_t major, minor, mode, uid, gid;
};

struct oci_idmap {
	uint32_t inside, outside, count;
};

struct oci_hugepage {
	const char *size;
	uint64_t limit;
};

struct oci_throttle { /* one device */
	uint32_t major, minor;
	uint64_t rate;
};

/* -1 (or 0 where it says so): not given */
struct oci_resources {
	int64_t memory_limit, memory_reservation, memory_swap, memory_swappiness;
	bool disable_oom_killer;
	uint64_t cpu_shares, cpu_period, cpu_burst; /* 0: not given */
	int64_t cpu_quota, cpu_idle;
	const char *cpus, *mems;	  /* NULL: not given */
	int64_t pids_limit;		  /* 0: not given; -1: no limit */
	uint32_t blkio_weight;		  /* 0: not given */
	struct oci_throttle *throttle[4]; /* read bps, write bps, read iops, write iops */
	size_t throttle_count[4];
	struct oci_hugepage *hugepages;
	size_t hugepage_count;
	struct json_object *unified; /* file name -> value; NULL: none */
};

struct oci_spec {
	struct json_object *doc;
	const char *version, *root_path, *hostname, *domainname;
	bool root_readonly;
	struct oci_process process;
	struct oci_mount *mounts;
	size_t mount_count;
	struct oci_hook *hooks[HOOK_KINDS];
	size_t hook_count[HOOK_KINDS];
	struct json_object *annotations; /* NULL: none */
	/* linux */
	struct oci_namespace *namespaces;
	size_t namespace_count;
	struct oci_idmap *uid_maps, *gid_maps;
	size_t uid_map_count, gid_map_count;
	struct oci_device *devices;
	size_t device_count;
	const char *cgroups_path; /* NULL: not given */
	struct oci_resources resources;
	const char **masked, **readonly;
	struct json_object *sysctl, *seccomp; /* NULL: none */
};

/* Reads and checks path. 0, or -1 after one line into err. */
MUST_CHECK int spec_load(struct oci_spec *s, const char *path, char *err, size_t err_size);
/* From memory; name stands in messages. */
MUST_CHECK int spec_parse(struct oci_spec *s, const char *name, const char *text, size_t size, char *err,
			  size_t err_size);
void spec_free(struct oci_spec *s);
/* A process.json of `exec --process`; doc keeps its strings. */
MUST_CHECK int spec_load_process(struct oci_process *p, struct json_object **doc, const char *path, char *err,
				 size_t err_size);
void spec_free_process(struct oci_process *p);
/* A "resources" object in a file ("-": standard input): `update --resources`. */
MUST_CHECK int spec_load_resources(struct oci_resources *r, struct json_object **doc, const char *path,
				   char *err, size_t err_size);
void spec_free_resources(struct oci_resources *r);
/* The value of an annotation, or NULL. */
const char *spec_annotation(const struct oci_spec *s, const char *key);
/* The namespace of that type, or NULL. */
const struct oci_namespace *spec_namespace(const struct oci_spec *s, const char *type);
/* Bit number of a capability's name (CAP_CHOWN), or -1. */
int spec_cap_number(const char *name);
const char *spec_cap_name(int number); /* NULL: no such one */
/* RLIMIT_* of a name, or -1. */
int spec_rlimit_number(const char *name);

/* spec_linux.c */
struct json_ctx;
void spec_read_linux(struct json_ctx *c, struct oci_spec *s, struct json_object *l);
void spec_read_resources(struct json_ctx *c, struct oci_resources *r, struct json_object *o, const char *path);
