/* spec_test.c: bundles that must be refused, each with a line that says what and where; and one that must not.
 */
#include "sentry/oci/spec.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define GOOD_START "{\"ociVersion\":\"1.2.0\",\"root\":{\"path\":\"rootfs\"}"
#define PROCESS	   ",\"process\":{\"cwd\":\"/\",\"args\":[\"sh\"]}"

static int parse(struct oci_spec *s, const char *text, char *err, size_t size)
{
	err[0] = 0;
	return spec_parse(s, "config.json", text, strlen(text), err, size);
}

static void refused(const char *text, const char *why)
{
	struct oci_spec s;
	char err[512];

	cr_assert_eq(parse(&s, text, err, sizeof(err)), -1, "accepted: %s", text);
	cr_assert(strstr(err, why), "for %s: '%s' does not say '%s'", text, err, why);
	cr_assert_null(strchr(err, '\n'), "more than one line: %s", err);
}

Test(spec, missing_fields_are_named)
{
	refused("", "ends too early");
	refused("[]", "must be an object");
	refused("{\"a\":", "ends too early");
	refused("{a}", "not JSON");
	refused("{}", "ociVersion: is missing");
	refused("{\"ociVersion\":\"2.0.0\"}", "2.0.0 is not supported");
	refused("{\"ociVersion\":\"1.0.0\"}", "root: is missing");
	refused(GOOD_START "}", "process: is missing");
	refused(GOOD_START ",\"process\":{\"cwd\":\"/\"}}", "process.args");
	refused(GOOD_START ",\"process\":{\"args\":[\"sh\"],\"cwd\":\"tmp\"}}", "process.cwd");
	refused(GOOD_START ",\"process\":{\"args\":[\"\"],\"cwd\":\"/\"}}", "process.args[0]");
}

Test(spec, wrong_types_and_absurd_values_are_named)
{
	refused(GOOD_START ",\"process\":{\"cwd\":\"/\",\"args\":\"sh\"}}", "process.args: must be an array");
	refused(GOOD_START ",\"process\":{\"cwd\":\"/\",\"args\":[7]}}", "process.args[0]");
	refused(GOOD_START ",\"process\":{\"cwd\":\"/\",\"args\":[\"a\\u0000b\"]}}", "zero bytes");
	refused(GOOD_START ",\"process\":{\"cwd\":\"/\",\"args\":[\"sh\"],\"user\":{\"uid\":-1}}}",
		"process.user.uid");
	refused(GOOD_START ",\"process\":{\"cwd\":\"/\",\"args\":[\"sh\"],\"user\":{\"uid\":4294967295}}}",
		"process.user.uid");
	refused(GOOD_START
		",\"process\":{\"cwd\":\"/\",\"args\":[\"sh\"],\"rlimits\":[{\"type\":\"RLIMIT_X\"}]}}",
		"RLIMIT_X");
	refused(GOOD_START
		",\"process\":{\"cwd\":\"/\",\"args\":[\"sh\"],\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\","
		"\"soft\":2,\"hard\":1}]}}",
		"above the hard one");
	refused(GOOD_START PROCESS ",\"mounts\":[{\"destination\":\"../x\"}]}", "mounts[0].destination");
	refused(GOOD_START PROCESS ",\"hooks\":{\"prestart\":[{\"path\":\"x\"}]}}", "hooks.prestart[0].path");
	refused(GOOD_START PROCESS ",\"linux\":{\"namespaces\":[{\"type\":\"x\"}]}}", "unknown namespace 'x'");
	refused(GOOD_START PROCESS ",\"linux\":{\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"pid\"}]}}",
		"twice");
	refused(GOOD_START PROCESS ",\"linux\":{\"resources\":{\"cpu\":{\"cpus\":\"0;rm\"}}}}", "cpus");
	refused(GOOD_START PROCESS ",\"linux\":{\"resources\":{\"unified\":{\"../x\":\"1\"}}}}", "unified");
	refused(GOOD_START PROCESS ",\"linux\":{\"sysctl\":{\"../../x\":\"1\"}}}", "linux.sysctl");
	refused(GOOD_START PROCESS ",\"linux\":{\"maskedPaths\":[\"proc\"]}}", "linux.maskedPaths[0]");
	refused(GOOD_START PROCESS ",\"hostname\":\"a\"}", "uts namespace");
}

Test(spec, a_whole_one_is_read)
{
	static const char text[] = GOOD_START
		",\"hostname\":\"h\",\"process\":{\"terminal\":true,\"cwd\":\"/w\",\"args\":[\"a\",\"b\"],"
		"\"user\":{\"uid\":1,\"gid\":2,\"umask\":63,\"additionalGids\":[3]},"
		"\"capabilities\":{\"bounding\":[\"CAP_CHOWN\",\"CAP_UNKNOWN\"]},"
		"\"rlimits\":[{\"type\":\"RLIMIT_CORE\",\"soft\":18446744073709551615,"
		"\"hard\":18446744073709551615}]},"
		"\"linux\":{\"namespaces\":[{\"type\":\"uts\"},{\"type\":\"network\",\"path\":\"/n\"}],"
		"\"resources\":{\"memory\":{\"limit\":1048576},\"pids\":{\"limit\":-1}}}}";
	struct oci_spec s;
	char err[512];

	cr_assert_eq(parse(&s, text, err, sizeof(err)), 0, "%s", err);
	cr_assert(s.process.terminal);
	cr_assert_eq(s.process.uid, 1);
	cr_assert_eq(s.process.umask, 077);
	cr_assert_eq(s.process.group_count, 1);
	cr_assert_str_eq(s.process.args[1], "b");
	cr_assert_eq(s.process.caps[OCI_CAP_BOUNDING], 1);
	cr_assert_eq(s.process.rlimits[0].hard, UINT64_MAX);
	cr_assert_str_eq(spec_namespace(&s, "network")->path, "/n");
	cr_assert_eq(s.resources.memory_limit, 1048576);
	cr_assert_eq(s.resources.pids_limit, -1);
	spec_free(&s);
}
