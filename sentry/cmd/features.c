/* features.c: `sbx features`, as the runtime specification describes it (features.md); `checkpoint` and
 * `restore`, which there are not. */
#include <json-c/json.h>
#include <stdio.h>

#include "sentry/cmd/oci.h"

static struct json_object *strings(const char *const *list, size_t n)
{
	struct json_object *a = json_object_new_array();

	for (size_t i = 0; i < n; i++)
		json_object_array_add(a, json_object_new_string(list[i]));
	return a;
}
#define STRINGS(list) strings(list, ARRAY_SIZE(list))

static struct json_object *one(const char *key, bool value)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, key, json_object_new_boolean(value));
	return o;
}

static struct json_object *capabilities(void)
{
	struct json_object *a = json_object_new_array();
	const char *name;
	char text[64];

	for (int i = 0; (name = spec_cap_name(i)); i++) {
		snprintf(text, sizeof(text), "CAP_%s", name);
		json_object_array_add(a, json_object_new_string(text));
	}
	return a;
}

static struct json_object *seccomp(void)
{
	static const char *const actions[] = {"SCMP_ACT_ALLOW",	       "SCMP_ACT_ERRNO",       "SCMP_ACT_KILL",
					      "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_LOG",
					      "SCMP_ACT_TRACE",	       "SCMP_ACT_TRAP"};
	static const char *const operators[] = {"SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT",
						"SCMP_CMP_LE", "SCMP_CMP_LT", "SCMP_CMP_MASKED_EQ",
						"SCMP_CMP_NE"};
	static const char *const archs[] = {"SCMP_ARCH_X86_64"};
	struct json_object *o = one("enabled", true);

	json_object_object_add(o, "actions", STRINGS(actions));
	json_object_object_add(o, "operators", STRINGS(operators));
	json_object_object_add(o, "archs", STRINGS(archs));
	return o;
}

static struct json_object *linux_features(void)
{
	static const char *const namespaces[] = {"cgroup", "ipc", "mount", "network", "pid", "uts"};
	struct json_object *o = json_object_new_object(), *cgroup = json_object_new_object();

	json_object_object_add(o, "namespaces", STRINGS(namespaces));
	json_object_object_add(o, "capabilities", capabilities());
	json_object_object_add(cgroup, "v1", json_object_new_boolean(true));
	json_object_object_add(cgroup, "v2", json_object_new_boolean(true));
	json_object_object_add(cgroup, "systemd", json_object_new_boolean(false));
	json_object_object_add(cgroup, "systemdUser", json_object_new_boolean(false));
	json_object_object_add(cgroup, "rdma", json_object_new_boolean(false));
	json_object_object_add(o, "cgroup", cgroup);
	json_object_object_add(o, "seccomp", seccomp());
	json_object_object_add(o, "apparmor", one("enabled", false));
	json_object_object_add(o, "selinux", one("enabled", false));
	json_object_object_add(o, "intelRdt", one("enabled", false));
	return o;
}

int cmd_features(int argc, char **argv)
{
	static const char *const hooks[] = {"prestart", "createRuntime", "createContainer", "poststart",
					    "poststop"};
	static const char *const options[] = {
		"async",   "atime",   "bind",	     "defaults",   "dev",    "diratime",   "dirsync",
		"exec",	   "noatime", "nodev",	     "nodiratime", "noexec", "norelatime", "nostrictatime",
		"nosuid",  "private", "rbind",	     "relatime",   "ro",     "rprivate",   "rro",
		"rshared", "rslave",  "runbindable", "rw",	   "shared", "slave",	   "strictatime",
		"suid",	   "sync",    "unbindable"};
	struct json_object *o = json_object_new_object();

	(void)argc, (void)argv;
	json_object_object_add(o, "ociVersionMin", json_object_new_string("1.0.0"));
	json_object_object_add(o, "ociVersionMax", json_object_new_string("1.2.0"));
	json_object_object_add(o, "hooks", STRINGS(hooks));
	json_object_object_add(o, "mountOptions", STRINGS(options));
	json_object_object_add(o, "linux", linux_features());
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
	return 0;
}

int cmd_checkpoint(int argc, char **argv)
{
	(void)argc, (void)argv;
	return oci_begin() < 0 ? 1
			       : oci_fail("checkpoint: not supported: sbx can't save a sandbox's state yet");
}

int cmd_restore(int argc, char **argv)
{
	(void)argc, (void)argv;
	return oci_begin() < 0 ? 1 : oci_fail("restore: not supported: sbx can't load a sandbox's state yet");
}
