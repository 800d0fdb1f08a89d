/* life.c: `sbx state`, `kill`, `delete`, `pause` and `resume`. */
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "sentry/cmd/oci.h"

static bool wants_help(int argc, char **argv, const char *text)
{
	if (argc != 2 || (strcmp(argv[1], "--help") != 0 && strcmp(argv[1], "-h") != 0))
		return false;
	fputs(text, stdout);
	return true;
}

/* Loads the one container that argv names. */
static int load_one(int argc, char **argv, struct oci_state *s, bool lock)
{
	char err[1024];
	const char *id;

	optind = 1;
	if (oci_begin() < 0 || !(id = oci_one_id(argc, argv)))
		return -1;
	if (state_load(s, oci_globals.root, id, lock, err, sizeof(err)) == 0)
		return 0;
	state_free(s);
	oci_fail("%s", err);
	return -1;
}

int cmd_state(int argc, char **argv)
{
	struct oci_state s;
	struct json_object *o;

	if (wants_help(argc, argv, "usage: sbx state ID\n\nPrints the container's state as JSON.\n"))
		return 0;
	if (load_one(argc, argv, &s, false) < 0)
		return 1;
	o = state_json(&s, state_status(&s), true);
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
	state_free(&s);
	return 0;
}

int cmd_kill(int argc, char **argv)
{
	static const struct option longs[] = {
		{"all", no_argument, NULL, 'a'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	struct oci_state s;
	const char *id, *name;
	bool all = false;
	char err[1024];
	int c, sig, ret;

	optind = 0;
	while ((c = oci_getopt(argc, argv, "ah", longs)) != -1) {
		if (c == '?')
			return 1;
		if (c == 'h') {
			fputs("usage: sbx kill [--all] ID [SIGNAL]\n\nSends SIGNAL (TERM) to the container's "
			      "first "
			      "process, or with --all to every one.\n",
			      stdout);
			return 0;
		}
		all = true;
	}
	if (oci_begin() < 0)
		return 1;
	if (optind >= argc || argc - optind > 2)
		return oci_fail("kill: give a container id and at most a signal");
	id = argv[optind];
	name = argc - optind == 2 ? argv[optind + 1] : "TERM";
	sig = oci_signal(name);
	if (sig < 0)
		return oci_fail("unknown signal \"%s\"", name);
	ret = state_load(&s, oci_globals.root, id, false, err, sizeof(err));
	if (ret == 0)
		ret = container_kill(&s, sig, all, err, sizeof(err));
	state_free(&s);
	return ret < 0 ? oci_fail("%s", err) : 0;
}

int cmd_delete(int argc, char **argv)
{
	static const struct option longs[] = {
		{"force", no_argument, NULL, 'f'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	struct oci_state s;
	bool force = false;
	const char *id;
	char err[1024];
	int c, ret;

	optind = 0;
	while ((c = oci_getopt(argc, argv, "fh", longs)) != -1) {
		if (c == '?')
			return 1;
		if (c == 'h') {
			fputs("usage: sbx delete [-f] ID\n\nRemoves a container that has stopped; with -f any, "
			      "and "
			      "it is no error when there is none.\n",
			      stdout);
			return 0;
		}
		force = true;
	}
	if (oci_begin() < 0 || !(id = oci_one_id(argc, argv)))
		return 1;
	ret = state_load(&s, oci_globals.root, id, true, err, sizeof(err));
	if (ret < 0 && force && state_valid_id(id)) /* what a dead `create` left goes, too */
		ret = state_clear(oci_globals.root, id, err, sizeof(err));
	else if (ret == 0)
		ret = container_delete(&s, force, err, sizeof(err));
	state_free(&s);
	return ret < 0 ? oci_fail("%s", err) : 0;
}

static int freeze(int argc, char **argv, bool frozen)
{
	enum oci_status want = frozen ? OCI_RUNNING : OCI_PAUSED, status;
	struct oci_state s;
	int ret = 0;

	if (load_one(argc, argv, &s, true) < 0)
		return 1;
	status = state_status(&s);
	if (status != want && !(frozen && status == OCI_CREATED))
		ret = oci_fail("container not %s: it is %s", frozen ? "running" : "paused",
			       oci_status_name(status));
	else if (cgroup_freeze(&s.cgroup, frozen) < 0)
		ret = oci_fail("cannot %s the container: %s", frozen ? "pause" : "resume",
			       errno == ENOTSUP ? "it has no freezer control group" : strerror(errno));
	state_free(&s);
	return ret;
}

int cmd_pause(int argc, char **argv)
{
	return wants_help(argc, argv, "usage: sbx pause ID\n\nStops all of the container's processes.\n")
		       ? 0
		       : freeze(argc, argv, true);
}

int cmd_resume(int argc, char **argv)
{
	return wants_help(argc, argv, "usage: sbx resume ID\n\nLets a paused container go on.\n")
		       ? 0
		       : freeze(argc, argv, false);
}
