/* main.c of sbx-gofer: serves the files beneath its roots to one sandbox's sentry.
 *
 *   sbx-gofer --socket=FD [--self=FD] [--all-ids] --root=FD[:ro][:public][:uds] ...
 *
 * Started by `sbx` with exactly these descriptors. It opens nothing by an absolute path once it serves, and
 * ends when the socket closes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gofer/internal.h"
#include "platform/base/log.h"
#include "platform/host/hostcall.h"

struct arguments {
	int socket, self;
	bool all_ids;
	struct gofer_root *roots;
	size_t root_count;
};

static NORETURN void usage(const char *what)
{
	log_error("%s\nusage: sbx-gofer --socket=FD [--self=FD] [--all-ids] --root=FD[:ro][:public][:uds] ...\n"
		  "(started by sbx; not meant to be run by hand)",
		  what);
	exit(2);
}

static int parse_fd(const char *s, char **end)
{
	long fd = strtol(s, end, 10);

	if (*end == s || fd < 0 || fd > 1 << 20)
		usage("not a descriptor");
	return (int)fd;
}

static struct gofer_root parse_root(const char *s)
{
	static const struct {
		const char *name;
		uint32_t flag;
	} words[] = {{":ro", GOFER_ROOT_READONLY}, {":public", GOFER_ROOT_PUBLIC}, {":uds", GOFER_ROOT_UDS}};
	char *p;
	struct gofer_root root = {.fd = parse_fd(s, &p)};

	while (*p) {
		size_t i = 0;

		while (i < ARRAY_SIZE(words) && strncmp(p, words[i].name, strlen(words[i].name)) != 0)
			i++;
		if (i == ARRAY_SIZE(words))
			usage("unknown word in --root");
		root.flags |= words[i].flag;
		p += strlen(words[i].name);
	}
	return root;
}

static void parse(struct arguments *a, int argc, char **argv)
{
	char *end;

	a->socket = a->self = -1;
	a->roots = calloc((size_t)argc, sizeof(*a->roots));
	if (!a->roots)
		exit(1);
	for (int i = 1; i < argc; i++) {
		if (strncmp(argv[i], "--socket=", 9) == 0) {
			a->socket = parse_fd(argv[i] + 9, &end);
			if (*end)
				usage("not a descriptor");
		} else if (strncmp(argv[i], "--self=", 7) == 0) {
			a->self = parse_fd(argv[i] + 7, &end);
			if (*end)
				usage("not a descriptor");
		} else if (strcmp(argv[i], "--all-ids") == 0) {
			a->all_ids = true;
		} else if (strncmp(argv[i], "--root=", 7) == 0) {
			a->roots[a->root_count++] = parse_root(argv[i] + 7);
		} else {
			usage("unknown argument");
		}
	}
	if (a->socket < 0)
		usage("--socket is missing");
}

int main(int argc, char **argv)
{
	struct arguments a = {0};
	struct server s;
	bool sockets = false;

	log_setup(2, LOG_WARN, "sbx-gofer");
	parse(&a, argc, argv);
	if (server_init(&s, a.roots, a.root_count, a.self, a.all_ids) < 0) {
		log_error("out of memory");
		return 1;
	}
	for (size_t i = 0; i < a.root_count; i++)
		sockets |= a.roots[i].flags & GOFER_ROOT_UDS;
	if (gofer_confine(sockets) < 0) {
		log_error("cannot confine itself");
		return 1;
	}
	server_run(&s, a.socket);
	/* other connections' threads end with the process */
	hc_exit_group(0);
}
