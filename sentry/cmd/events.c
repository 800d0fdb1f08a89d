/* events.c: `sbx events`: figures of a container as JSON lines, once or at an interval, and its running out of
 * memory. */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sentry/cmd/oci.h"
#include "sentry/oci/cgroup_file.h"

/* How often the host's kernel killed for want of memory in there. */
static uint64_t oom_count(const struct cgroup_set *set)
{
	const char *v1 = cgroup_path(set, "memory"), *v2 = cgroup_path(set, "unified"), *p;
	char text[1024];

	if (v1 ? cgroup_read(v1, "memory.oom_control", text, sizeof(text)) <= 0
	       : !v2 || cgroup_read(v2, "memory.events", text, sizeof(text)) <= 0)
		return 0;
	p = strstr(text, "oom_kill ");
	return p ? strtoull(p + 9, NULL, 10) : 0;
}

static void show(const char *type, const char *id, struct json_object *data)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "type", json_object_new_string(type));
	json_object_object_add(o, "id", json_object_new_string(id));
	if (data)
		json_object_object_add(o, "data", data);
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
	fflush(stdout);
	json_object_put(o);
}

static int watch(struct oci_state *s, double interval)
{
	struct timespec step = {.tv_nsec = 100000000};
	uint64_t oom = oom_count(&s->cgroup);
	double since = interval;

	while (state_status(s) != OCI_STOPPED) {
		uint64_t now = oom_count(&s->cgroup);

		if (now > oom)
			show("oom", s->id, NULL);
		oom = now;
		if (since >= interval) {
			show("stats", s->id, cgroup_stats(&s->cgroup));
			since = 0;
		}
		nanosleep(&step, NULL);
		since += 0.1;
	}
	return 0;
}

/* "5s", "500ms", "1m": as runc's --interval */
static bool parse_interval(const char *text, double *out)
{
	char *end;
	double v = strtod(text, &end);

	if (strcmp(end, "ms") == 0)
		v /= 1000;
	else if (strcmp(end, "m") == 0)
		v *= 60;
	else if (strcmp(end, "s") != 0 && *end)
		return false;
	*out = v;
	return end != text && v > 0 && v < 1e9;
}

int cmd_events(int argc, char **argv)
{
	static const struct option longs[] = {{"stats", no_argument, NULL, 's'},
					      {"interval", required_argument, NULL, 'i'},
					      {"help", no_argument, NULL, 'h'},
					      {NULL, 0, NULL, 0}};
	struct oci_state s;
	double interval = 5;
	bool once = false;
	char err[512];
	const char *id;
	int c, ret = 0;

	optind = 0;
	if (oci_begin() < 0)
		return 1;
	while ((c = oci_getopt(argc, argv, "h", longs)) != -1) {
		if (c == 'h') {
			fputs("usage: sbx events [--stats] [--interval 5s] ID\n\nShows figures of a container "
			      "as JSON, "
			      "a line each; with --stats once.\n",
			      stdout);
			return 0;
		}
		if (c == '?')
			return 1;
		if (c == 's')
			once = true;
		else if (!parse_interval(optarg, &interval))
			return oci_fail("--interval: '%s' is not a time such as 5s", optarg);
	}
	id = oci_one_id(argc, argv);
	if (!id)
		return 1;
	if (state_load(&s, oci_globals.root, id, false, err, sizeof(err)) < 0)
		ret = oci_fail("%s", err);
	else if (state_status(&s) == OCI_STOPPED)
		ret = oci_fail("container with id %s is not running", id);
	else if (once)
		show("stats", id, cgroup_stats(&s.cgroup));
	else
		ret = watch(&s, interval);
	state_free(&s);
	return ret;
}
