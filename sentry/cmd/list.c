/* list.c: `sbx list` and `ps`. */
#include <dirent.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sentry/cmd/oci.h"
#include "sentry/oci/client.h"
#include "sentry/oci/json.h"

struct listing {
	bool json, quiet;
	struct json_object *all;
};

static void show_row(struct json_object *o)
{
	static const struct {
		const char *key;
		int width;
	} columns[] = {{"id", 12}, {"pid", 12}, {"status", 12}, {"bundle", 12}, {"created", 32}, {"owner", 0}};

	for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
		struct json_object *v;

		json_object_object_get_ex(o, columns[i].key, &v);
		printf("%-*s%s", columns[i].width, json_object_get_string(v),
		       i + 1 < ARRAY_SIZE(columns) ? " " : "\n");
	}
}

static void list_one(struct listing *l, const char *id)
{
	struct json_object *o;
	struct oci_state s;
	char err[512];

	if (state_load(&s, oci_globals.root, id, false, err, sizeof(err)) < 0) {
		state_free(&s); /* being made, being removed, or somebody else's folder */
		return;
	}
	o = state_json(&s, state_status(&s), true);
	if (l->quiet)
		puts(s.id);
	else if (l->json)
		json_object_array_add(l->all, json_copy(o));
	else
		show_row(o);
	json_object_put(o);
	state_free(&s);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

int cmd_list(int argc, char **argv)
{
	static const struct option longs[] = {{"format", required_argument, NULL, 'f'},
					      {"quiet", no_argument, NULL, 'q'},
					      {"help", no_argument, NULL, 'h'},
					      {NULL, 0, NULL, 0}};
	struct listing l = {0};
	struct dirent **names;
	int c, n;

	optind = 0;
	while ((c = oci_getopt(argc, argv, "f:qh", longs)) != -1) {
		if (c == '?')
			return 1;
		if (c == 'q')
			l.quiet = true;
		if (c == 'h') {
			fputs("usage: sbx list [-f table|json] [-q]\n\nLists the containers.\n", stdout);
			return 0;
		}
		if (c == 'f' && strcmp(optarg, "json") != 0 && strcmp(optarg, "table") != 0)
			return oci_fail("invalid format option: %s", optarg);
		if (c == 'f')
			l.json = strcmp(optarg, "json") == 0;
	}
	if (oci_begin() < 0)
		return 1;
	l.all = json_object_new_array();
	if (!l.json && !l.quiet)
		puts("ID           PID          STATUS       BUNDLE       CREATED                          "
		     "OWNER");
	n = scandir(oci_globals.root, &names, NULL, by_name);
	for (int i = 0; i < n; i++) {
		if (state_valid_id(names[i]->d_name))
			list_one(&l, names[i]->d_name);
		free(names[i]);
	}
	if (n >= 0)
		free(names);
	if (l.json && !l.quiet)
		puts(json_object_array_length(l.all)
			     ? json_object_to_json_string_ext(l.all, JSON_C_TO_STRING_NOSLASHESCAPE)
			     : "null");
	json_object_put(l.all);
	return 0;
}

/* The host's processes, which is what engines ask for: they look them up on the host. */
static int ps_json(const struct oci_state *s)
{
	struct json_object *o = json_object_new_array();
	size_t n;
	int *pids = cgroup_pids(&s->cgroup, &n);

	for (size_t i = 0; i < n; i++)
		json_object_array_add(o, json_object_new_int(pids[i]));
	if (!n)
		json_object_array_add(o, json_object_new_int(s->pid));
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
	json_object_put(o);
	free(pids);
	return 0;
}

static int ps_table(const struct oci_state *s)
{
	static struct client_msg msg;
	char err[512];
	int fd = client_connect(s, err, sizeof(err));

	if (fd < 0)
		return oci_fail("%s", err);
	if (client_send(fd, CONTROL_PS, 0, NULL, 0, NULL, 0) < 0)
		return oci_fail("the container has ended");
	do {
		if (client_receive(fd, &msg) < 0)
			return oci_fail("the container has ended");
		fwrite(msg.data, 1, msg.m.size, stdout);
	} while (msg.m.type == CONTROL_REPLY && msg.m.value);
	close(fd);
	return 0;
}

int cmd_ps(int argc, char **argv)
{
	static const struct option longs[] = {
		{"format", required_argument, NULL, 'f'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	enum oci_status status;
	bool json = false;
	struct oci_state s;
	char err[512];
	int c, ret;

	optind = 0;
	while ((c = oci_getopt(argc, argv, "f:h", longs)) != -1) {
		if (c == '?')
			return 1;
		if (c == 'h') {
			fputs("usage: sbx ps [-f table|json] ID\n\nShows the container's processes as they are "
			      "numbered inside;\nwith -f json the host's processes that it consists of.\n",
			      stdout);
			return 0;
		}
		if (strcmp(optarg, "json") != 0 && strcmp(optarg, "table") != 0)
			return oci_fail("invalid format option");
		json = strcmp(optarg, "json") == 0;
	}
	if (oci_begin() < 0 || optind >= argc)
		return oci_fail("ps: give a container id");
	if (state_load(&s, oci_globals.root, argv[optind], false, err, sizeof(err)) < 0) {
		state_free(&s);
		return oci_fail("%s", err);
	}
	status = state_status(&s);
	if (status == OCI_STOPPED)
		ret = oci_fail("container not running");
	else
		ret = json ? ps_json(&s) : ps_table(&s);
	state_free(&s);
	return ret;
}
