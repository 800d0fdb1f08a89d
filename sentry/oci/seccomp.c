/* seccomp.c: see seccomp.h. libseccomp knows the calls' numbers and writes the program. The guest has the calls
 * of x86-64 and no others, so the profile's further architectures have nothing to apply to. */
#include "sentry/oci/seccomp.h"

#include <errno.h>
#include <json-c/json.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/base/bug.h"
#include "sentry/oci/json.h"

static bool action_of(const char *name, uint32_t err, uint32_t *action)
{
	const struct {
		const char *name;
		uint32_t action;
	} actions[] = {
		{"SCMP_ACT_ALLOW", SCMP_ACT_ALLOW},
		{"SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(err)},
		{"SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD},
		{"SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD},
		{"SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS},
		{"SCMP_ACT_LOG", SCMP_ACT_LOG},
		{"SCMP_ACT_TRACE", SCMP_ACT_TRACE(err)},
		{"SCMP_ACT_TRAP", SCMP_ACT_TRAP},
	};

	for (size_t i = 0; i < ARRAY_SIZE(actions); i++)
		if (strcmp(name, actions[i].name) == 0) {
			*action = actions[i].action;
			return true;
		}
	return false;
}

static bool op_of(const char *name, enum scmp_compare *op)
{
	static const struct {
		const char *name;
		enum scmp_compare op;
	} ops[] = {
		{"SCMP_CMP_NE", SCMP_CMP_NE},
		{"SCMP_CMP_LT", SCMP_CMP_LT},
		{"SCMP_CMP_LE", SCMP_CMP_LE},
		{"SCMP_CMP_EQ", SCMP_CMP_EQ},
		{"SCMP_CMP_GE", SCMP_CMP_GE},
		{"SCMP_CMP_GT", SCMP_CMP_GT},
		{"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ},
	};

	for (size_t i = 0; i < ARRAY_SIZE(ops); i++)
		if (strcmp(name, ops[i].name) == 0) {
			*op = ops[i].op;
			return true;
		}
	return false;
}

static bool read_arg(struct json_ctx *c, struct json_object *e, const char *path, struct scmp_arg_cmp *arg)
{
	const char *op = json_str(c, e, path, "op", "");

	arg->arg = (unsigned int)json_u64(c, e, path, "index", 5, 0);
	arg->datum_a = json_u64(c, e, path, "value", UINT64_MAX, 0);
	arg->datum_b = json_u64(c, e, path, "valueTwo", UINT64_MAX, 0);
	if (!op_of(op, &arg->op))
		json_fail(c, "%s.op: unknown comparison '%s'", path, op);
	return !c->failed;
}

static void add_rule(struct json_ctx *c, scmp_filter_ctx f, uint32_t action, const char *name,
		     const struct scmp_arg_cmp *args, size_t count)
{
	int nr = seccomp_syscall_resolve_name(name), ret = 0;
	bool twice = false;

	if (nr == __NR_SCMP_ERROR)
		return; /* unknown here: as the other runtimes, it can't be called anyway */
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < i; j++)
			twice |= args[i].arg == args[j].arg;
	if (!twice) {
		ret = seccomp_rule_add_array(f, action, nr, (unsigned int)count, args);
	} else { /* two conditions on one argument are alternatives, by custom */
		for (size_t i = 0; i < count && ret == 0; i++)
			ret = seccomp_rule_add_array(f, action, nr, 1, &args[i]);
	}
	if (ret < 0 && ret != -EEXIST)
		json_fail(c, "linux.seccomp: cannot add a rule for %s: %s", name, strerror(-ret));
}

static void read_rule(struct json_ctx *c, scmp_filter_ctx f, struct json_object *e, size_t index, uint32_t dflt)
{
	struct scmp_arg_cmp args[6];
	struct json_object *arr;
	const char **names, *action_name;
	uint32_t action = 0;
	char path[64];
	size_t count;

	snprintf(path, sizeof(path), "linux.seccomp.syscalls[%zu]", index);
	names = json_strs(c, e, path, "names", NULL);
	action_name = json_str(c, e, path, "action", "");
	if (!action_of(action_name, (uint32_t)json_u64(c, e, path, "errnoRet", 4095, EPERM), &action))
		json_fail(c, "%s.action: '%s' is not supported", path, action_name);
	if (!names[0])
		json_fail(c, "%s.names: is missing", path);
	arr = json_arr(c, e, path, "args", 6, &count);
	for (size_t i = 0; i < count; i++)
		if (!read_arg(c, json_elem(c, arr, path, i), path, &args[i]))
			break;
	/* a rule that does what is done anyway: nothing to add */
	for (size_t i = 0; !c->failed && action != dflt && names[i]; i++)
		add_rule(c, f, action, names[i], args, count);
	free(names);
}

static int export_prog(scmp_filter_ctx f, void **prog, size_t *size)
{
	int fd = memfd_create("sbx-seccomp", MFD_CLOEXEC), ret = -1;
	struct stat st;

	if (fd < 0)
		return -1;
	ret = seccomp_export_bpf(f, fd);
	if (ret == 0 && fstat(fd, &st) == 0) {
		*size = (size_t)st.st_size;
		*prog = malloc(*size);
		BUG_ON(!*prog);
		ret = pread(fd, *prog, *size, 0) == (ssize_t)*size ? 0 : -1;
	}
	close(fd);
	return ret;
}

int seccomp_compile(struct json_object *seccomp, void **prog, size_t *size, char *err, size_t err_size)
{
	struct json_ctx c = {.file = "config.json", .err = err, .err_size = err_size};
	static const char path[] = "linux.seccomp";
	const char *dflt_name = json_str(&c, seccomp, path, "defaultAction", "");
	uint32_t dflt = 0;
	struct json_object *arr;
	scmp_filter_ctx f;
	size_t count;

	if (!action_of(dflt_name, (uint32_t)json_u64(&c, seccomp, path, "defaultErrnoRet", 4095, EPERM), &dflt))
		json_fail(&c, "linux.seccomp.defaultAction: '%s' is not supported", dflt_name);
	if (*json_str(&c, seccomp, path, "listenerPath", ""))
		json_fail(&c, "linux.seccomp.listenerPath: user notification is not supported");
	f = c.failed ? NULL : seccomp_init(dflt);
	if (!f) {
		json_fail(&c, "linux.seccomp: libseccomp refuses the default action");
		return -1;
	}
	/* wrong numbers or another architecture's calls can't come: as the default action */
	(void)!seccomp_attr_set(f, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	(void)!seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	arr = json_arr(&c, seccomp, path, "syscalls", 65536, &count);
	for (size_t i = 0; i < count && !c.failed; i++)
		read_rule(&c, f, json_elem(&c, arr, "linux.seccomp.syscalls", i), i, dflt);
	if (!c.failed && export_prog(f, prog, size) < 0)
		json_fail(&c, "linux.seccomp: the profile can't be made a program");
	seccomp_release(f);
	return c.failed ? -1 : 0;
}
