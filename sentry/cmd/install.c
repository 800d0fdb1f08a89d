/* install.c: `sbx install` and `sbx uninstall`: the runtime's entry in the configuration of Docker, containerd
 * and Podman. A file is replaced as a whole, with the owner and the rights that it had; a copy of what was
 * there before the first time is kept beside it, and what is as wanted already isn't touched. */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/base/bug.h"
#include "sentry/cmd/oci.h"
#include "sentry/oci/json.h"

#define TEXT_MAX  (1UL << 20)
#define COPY_NAME ".before-sbx"
#define BEGIN	  "# sbx install: begin\n"
#define END	  "# sbx install: end\n"

struct install {
	const char *etc;
	char program[PATH_MAX];
	bool remove, dry_run;
	/* of the file at hand */
	char path[PATH_MAX];
	struct stat was; /* if there is one */
};

/* Which file name below the engines' configuration is, and its text (malloc, terminated) in *text: NULL if
 * there is none. A link is followed: the file that it leads to is the one to replace. 0, or -1 after a message.
 */
static int read_file(struct install *in, const char *engine, const char *name, char **text)
{
	char given[PATH_MAX];
	size_t n = 0;
	ssize_t got = 0;
	int fd, e = 0;

	*text = NULL;
	snprintf(given, sizeof(given), "%s/%s", in->etc, name);
	if (!realpath(given, in->path)) {
		e = errno;
		snprintf(in->path, sizeof(in->path), "%s", given);
		if (e == ENOENT && lstat(given, &in->was) < 0)
			return 0;
		complain("%s: cannot read %s: %s", engine, in->path, strerror(e));
		return -1;
	}
	fd = open(in->path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &in->was) < 0) {
		e = errno;
	} else {
		*text = malloc(TEXT_MAX + 1);
		BUG_ON(!*text);
		while (n < TEXT_MAX && (got = read(fd, *text + n, TEXT_MAX - n)) > 0)
			n += (size_t)got;
		e = got < 0 ? errno : n == TEXT_MAX ? EFBIG : 0;
		(*text)[n] = 0;
	}
	if (fd >= 0)
		close(fd);
	if (!e)
		return 0;
	complain("%s: cannot read %s: %s", engine, in->path, strerror(e));
	free(*text);
	*text = NULL;
	return -1;
}

/* The folders above path. */
static int make_folders(const char *path)
{
	char dir[PATH_MAX];

	snprintf(dir, sizeof(dir), "%s", path);
	for (char *p = strchr(dir + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = 0;
		if (mkdir(dir, 0755) < 0 && errno != EEXIST)
			return -1;
		*p = '/';
	}
	return 0;
}

/* The owner and the rights of the file that was there; it may hold what is nobody else's. */
static int make_alike(int fd, const struct stat *was)
{
	if (!was)
		return fchmod(fd, 0644);
	if ((was->st_uid != geteuid() || was->st_gid != getegid()) && fchown(fd, was->st_uid, was->st_gid) < 0)
		return -1;
	return fchmod(fd, was->st_mode & 07777);
}

/* was: the file at hand before; NULL: there was none. */
static int write_text(const char *path, const char *text, const struct stat *was)
{
	char fresh[PATH_MAX + 32];
	size_t size = strlen(text);
	int fd, ret;

	if (make_folders(path) < 0)
		return -1;
	snprintf(fresh, sizeof(fresh), "%s.%d", path, getpid());
	fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -1;
	ret = make_alike(fd, was);
	if (ret == 0)
		ret = write(fd, text, size) == (ssize_t)size && fsync(fd) == 0 ? 0 : -1;
	close(fd);
	if (ret == 0)
		ret = rename(fresh, path);
	if (ret < 0)
		unlink(fresh);
	return ret;
}

/* Of the file as it was before the first installation. */
static void copy_name(const struct install *in, char *copy, size_t size)
{
	snprintf(copy, size, "%s" COPY_NAME, in->path);
}

static bool has_copy(const struct install *in)
{
	char copy[PATH_MAX + 16];
	struct stat st;

	copy_name(in, copy, sizeof(copy));
	return lstat(copy, &st) == 0;
}

/* Puts fresh (NULL: nothing, the file goes) where before (NULL: no file) was, and says so. hint: what then has
 * to be done. */
static int replace(const struct install *in, const char *engine, const char *before, const char *fresh,
		   const char *hint)
{
	char copy[PATH_MAX + 16];
	int ret;

	if ((!before && !fresh) || (before && fresh && strcmp(before, fresh) == 0)) {
		printf("%s: %s: %s\n", engine, in->path, in->remove ? "nothing to remove" : "is as wanted");
		return 0;
	}
	if (in->dry_run) {
		printf("%s: %s would %s\n%s", engine, in->path, fresh ? "become:" : "be removed", fresh ?: "");
		return 0;
	}
	copy_name(in, copy, sizeof(copy));
	ret = before && !in->remove && !has_copy(in) ? write_text(copy, before, &in->was) : 0;
	if (ret == 0)
		ret = fresh ? write_text(in->path, fresh, before ? &in->was : NULL) : unlink(in->path);
	if (ret < 0) {
		complain("%s: cannot write %s: %s", engine, in->path, strerror(errno));
		return -1;
	}
	printf("%s: %s: runtime sbx %s%s%s%s; %s\n", engine, in->path, in->remove ? "removed" : "added",
	       before && !in->remove ? " (before: " : "", before && !in->remove ? copy : "",
	       before && !in->remove ? ")" : "", hint);
	return 0;
}

/* ---- Docker: "runtimes" in daemon.json ---- */

static int change_docker(const struct install *in, struct json_object *doc)
{
	struct json_object *runtimes = NULL, *entry = NULL, *dflt = NULL;

	if (json_object_object_get_ex(doc, "runtimes", &runtimes) && runtimes &&
	    !json_object_is_type(runtimes, json_type_object)) {
		complain("docker: %s: runtimes: must be an object", in->path);
		return -1;
	}
	if (!in->remove) {
		if (!runtimes) {
			runtimes = json_object_new_object();
			json_object_object_add(doc, "runtimes", runtimes);
		}
		if (!json_object_object_get_ex(runtimes, "sbx", &entry) ||
		    !json_object_is_type(entry, json_type_object)) {
			entry = json_object_new_object();
			json_object_object_add(runtimes, "sbx", entry);
		}
		json_object_object_add(entry, "path", json_object_new_string(in->program));
		return 0;
	}
	if (json_object_object_get_ex(doc, "default-runtime", &dflt) &&
	    json_object_is_type(dflt, json_type_string) && strcmp(json_object_get_string(dflt), "sbx") == 0)
		json_object_object_del(doc, "default-runtime");
	if (runtimes) {
		json_object_object_del(runtimes, "sbx");
		if (json_object_object_length(runtimes) == 0)
			json_object_object_del(doc, "runtimes");
	}
	return 0;
}

/* The same text if nothing changed in meaning. */
static int install_docker(struct install *in)
{
	char err[512], *before, *fresh;
	struct json_ctx c = {.file = in->path, .err = err, .err_size = sizeof(err)};
	struct json_object *doc, *old;
	int ret;

	if (read_file(in, "docker", "docker/daemon.json", &before) < 0)
		return -1;
	doc = before && before[strspn(before, " \t\r\n")] ? json_parse(&c, before, strlen(before))
							  : json_object_new_object();
	if (!doc) {
		complain("docker: %s: it is left as it is", err);
		free(before);
		return -1;
	}
	old = json_copy(doc);
	ret = change_docker(in, doc);
	if (ret == 0) {
		bool same = json_object_equal(old, doc);

		BUG_ON(asprintf(&fresh, "%s\n",
				json_object_to_json_string_ext(
					doc, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
						     JSON_C_TO_STRING_NOSLASHESCAPE)) < 0);
		ret = replace(in, "docker", before, same ? before : fresh, "then: systemctl reload docker");
		free(fresh);
	}
	json_object_put(old);
	json_object_put(doc);
	free(before);
	return ret;
}

/* ---- containerd: a block at the end of config.toml ---- */

/* text without the block (malloc). */
static char *without_block(const char *text)
{
	char *out = strdup(text), *a = out ? strstr(out, BEGIN) : NULL, *e = a ? strstr(a, END) : NULL;

	BUG_ON(!out);
	if (e)
		memmove(a, e + strlen(END), strlen(e + strlen(END)) + 1);
	return out;
}

/* Of the file's format: 0 when there is none. */
static long config_version(const char *text)
{
	for (const char *p = text; p; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (strncmp(p, "version", 7) == 0) {
			p += 7 + strspn(p + 7, " \t");
			if (*p == '=')
				return strtol(p + 1, NULL, 10);
		}
		if (*p == '[') /* only in front of the first table */
			return 0;
	}
	return 0;
}

static int install_containerd(struct install *in)
{
	const char *plugin = "io.containerd.grpc.v1.cri", *head = "";
	char *before, *bare, *fresh = NULL;
	long version;
	bool empty;
	int ret;

	if (read_file(in, "containerd", "containerd/config.toml", &before) < 0)
		return -1;
	bare = without_block(before ?: "");
	empty = !bare[strspn(bare, " \t\r\n")];
	if (empty)
		head = "version = 2\n"; /* of the block */
	version = empty ? 2 : config_version(bare);
	if (in->remove) {
		/* a file of nothing but ours goes, unless it was there before */
		fresh = !before || (empty && strcmp(bare, before) != 0 && !has_copy(in)) ? NULL : strdup(bare);
	} else if ((version != 2 && version != 3) || strstr(bare, "runtimes.sbx]")) {
		complain("containerd: %s %s: it is left as it is", in->path,
			 version != 2 && version != 3 ? "is of a format other than version 2 or 3"
						      : "has a runtime sbx of somebody else's");
		free(bare);
		free(before);
		return -1;
	} else {
		if (version == 3)
			plugin = "io.containerd.cri.v1.runtime";
		BUG_ON(asprintf(&fresh,
				"%s%s" BEGIN "%s[plugins.\"%s\".containerd.runtimes.sbx]\n"
				"  runtime_type = \"io.containerd.runc.v2\"\n"
				"  [plugins.\"%s\".containerd.runtimes.sbx.options]\n"
				"    BinaryName = \"%s\"\n" END,
				bare, !*bare || bare[strlen(bare) - 1] == '\n' ? "" : "\n", head, plugin,
				plugin, in->program) < 0);
	}
	ret = replace(in, "containerd", before, fresh, "then: systemctl restart containerd");
	free(fresh);
	free(bare);
	free(before);
	return ret;
}

/* ---- Podman: a file of our own ---- */

static int install_podman(struct install *in)
{
	char *before, *fresh = NULL;
	int ret;

	if (read_file(in, "podman", "containers/containers.conf.d/sbx.conf", &before) < 0)
		return -1;
	if (!in->remove)
		BUG_ON(asprintf(&fresh, "[engine.runtimes]\nsbx = [\"%s\"]\n", in->program) < 0);
	ret = replace(in, "podman", before, fresh, "nothing to restart");
	free(fresh);
	free(before);
	return ret;
}

/* ---- command line ---- */

static const struct {
	const char *name, *programs[3];
	int (*change)(struct install *in);
} engines[] = {
	{"docker", {"/usr/bin/dockerd", "/usr/sbin/dockerd", "/usr/local/bin/dockerd"}, install_docker},
	{"containerd",
	 {"/usr/bin/containerd", "/usr/sbin/containerd", "/usr/local/bin/containerd"},
	 install_containerd},
	{"podman", {"/usr/bin/podman", "/usr/sbin/podman", "/usr/local/bin/podman"}, install_podman},
};

static const char help[] =
	"usage: sbx install|uninstall [--dry-run] [--etc DIR] [--program PATH] "
	"[docker|containerd|podman...]\n\n"
	"Adds sbx to the runtimes of these engines (default: those that are there), or takes it out again.\n\n"
	"  --dry-run        print what would be written, write nothing\n"
	"  --etc DIR        where the configuration lies (default: /etc)\n"
	"  --program PATH   the runtime's program (default: this one)\n";

static bool is_here(size_t engine)
{
	for (size_t i = 0; i < ARRAY_SIZE(engines[engine].programs); i++)
		if (access(engines[engine].programs[i], X_OK) == 0)
			return true;
	return false;
}

/* The engines named in args, or those that are there, as bits; 0 after a message. */
static unsigned chosen(char **args)
{
	unsigned set = 0;

	for (size_t i = 0; !*args && i < ARRAY_SIZE(engines); i++)
		set |= is_here(i) ? 1U << i : 0;
	if (!*args && !set)
		complain("there is no docker, containerd or podman here: name the one that you mean");
	for (; *args; args++) {
		size_t i = 0;

		while (i < ARRAY_SIZE(engines) && strcmp(*args, engines[i].name) != 0)
			i++;
		if (i == ARRAY_SIZE(engines)) {
			complain("%s is none of docker, containerd, podman", *args);
			return 0;
		}
		set |= 1U << i;
	}
	return set;
}

/* A path that needs no escapes in JSON and TOML. */
static bool is_plain(const char *path)
{
	for (const char *p = path; *p; p++)
		if (*p == '"' || *p == '\\' || (unsigned char)*p < ' ' || *p == 127)
			return false;
	return path[0] == '/';
}

int cmd_install(int argc, char **argv)
{
	static const struct option longs[] = {{"dry-run", no_argument, NULL, 'n'},
					      {"etc", required_argument, NULL, 'e'},
					      {"program", required_argument, NULL, 'p'},
					      {"help", no_argument, NULL, 'h'},
					      {NULL, 0, NULL, 0}};
	struct install in = {.etc = "/etc", .remove = strcmp(argv[0], "uninstall") == 0};
	ssize_t n = readlink("/proc/self/exe", in.program, sizeof(in.program) - 1);
	int c, ret = 0;
	unsigned set;

	in.program[n < 0 ? 0 : n] = 0;
	optind = 0;
	while ((c = oci_getopt(argc, argv, "h", longs)) != -1) {
		if (c == 'n')
			in.dry_run = true;
		else if (c == 'e')
			in.etc = optarg;
		else if (c == 'p')
			snprintf(in.program, sizeof(in.program), "%s", optarg);
		else
			return c == 'h' ? (fputs(help, stdout), 0) : 1;
	}
	if (!is_plain(in.program) || strlen(in.etc) > PATH_MAX / 2) {
		complain("--program %s: must be an absolute path without quotes", in.program);
		return 1;
	}
	set = chosen(argv + optind);
	if (!set)
		return 1;
	for (size_t i = 0; i < ARRAY_SIZE(engines); i++)
		if (set >> i & 1 && engines[i].change(&in) < 0)
			ret = 1;
	return ret;
}
