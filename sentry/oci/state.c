/* state.c: see state.h. */
#include "sentry/oci/state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "platform/base/bug.h"
#include "sentry/oci/json.h"

#define BUSY_MS 1000 /* as long as a monitor may need to clear up after a `create` that was killed */
#define NOTES	"state.json.new"

const char *oci_status_name(enum oci_status s)
{
	static const char *const names[] = {"creating", "created", "running", "paused", "stopped"};

	return names[s];
}

const char *state_default_root(void)
{
	static char path[PATH_MAX];
	const char *dir = getenv("XDG_RUNTIME_DIR");

	if (geteuid() == 0 && !(dir && *dir && access("/run", W_OK) < 0))
		return "/run/sbx";
	if (dir && dir[0] == '/')
		snprintf(path, sizeof(path), "%s/sbx", dir);
	else
		snprintf(path, sizeof(path), "/tmp/sbx-%u", geteuid());
	return path;
}

bool state_valid_id(const char *id)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-._";
	size_t n = strlen(id);

	return n > 0 && n <= 255 && strspn(id, allowed) == n && strcmp(id, ".") != 0 && strcmp(id, "..") != 0;
}

uint64_t process_start_time(int pid)
{
	char path[32], text[1024], *p;
	uint64_t start = 0;
	ssize_t n;
	int fd;

	if (pid <= 0)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return 0;
	text[n] = 0;
	p = strrchr(text, ')'); /* the name before it may hold anything */
	if (!p || p[1] != ' ' || p[2] == 'Z' || p[2] == 'X')
		return 0;
	p += 2;
	for (int field = 3; field < 22 && p; field++) {
		p = strchr(p, ' ');
		if (p)
			p++;
	}
	if (p)
		start = strtoull(p, NULL, 10);
	return start ? start : 1;
}

static int make_dirs(const char *path)
{
	char copy[PATH_MAX];
	int n = snprintf(copy, sizeof(copy), "%s", path);

	if (n < 0 || (size_t)n >= sizeof(copy)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	for (char *p = copy + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = 0;
		if (mkdir(copy, 0711) < 0 && errno != EEXIST)
			return -1;
		*p = '/';
	}
	return mkdir(copy, 0711) < 0 && errno != EEXIST ? -1 : 0;
}

static int take_lock(struct oci_state *s, int how)
{
	char path[PATH_MAX];
	struct stat st;

	snprintf(path, sizeof(path), "%s/lock", s->dir);
	s->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (s->lock < 0)
		return -1;
	while (flock(s->lock, how) < 0) {
		if (errno == EINTR)
			continue;
		close(s->lock);
		s->lock = -1;
		return -1;
	}
	if (fstat(s->lock, &st) == 0 && st.st_nlink)
		return 0;
	close(s->lock); /* it was removed while we waited */
	s->lock = -1;
	errno = ENOENT;
	return -1;
}

static bool has_state(const char *dir)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/state.json", dir);
	return access(path, F_OK) == 0;
}

static int bad_id(const char *id, char *err, size_t err_size)
{
	snprintf(err, err_size, "container id '%.64s': only letters, digits and +-._ are allowed in an id", id);
	return -1;
}

static int set_dir(struct oci_state *s, const char *root, const char *id, char *err, size_t err_size)
{
	*s = (struct oci_state){.lock = -1};
	if (!state_valid_id(id))
		return bad_id(id, err, err_size);
	BUG_ON(asprintf(&s->dir, "%s/%s", root, id) < 0);
	s->id = strdup(id);
	BUG_ON(!s->id);
	if (strlen(s->dir) < PATH_MAX - 32)
		return 0;
	snprintf(err, err_size, "--root: the path is too long");
	return -1;
}

static void set_created(struct oci_state *s)
{
	struct timespec now;
	char text[64];
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	BUG_ON(asprintf(&s->created, "%s.%09ldZ", text, now.tv_nsec) < 0);
}

static char *own_str(struct json_ctx *c, struct json_object *o, const char *key)
{
	char *s = strdup(json_str(c, o, "", key, ""));

	BUG_ON(!s);
	return s;
}

static void parse(struct json_ctx *c, struct oci_state *s, struct json_object *o)
{
	struct json_object *paths = json_obj(c, o, "", "cgroup");

	s->bundle = own_str(c, o, "bundle");
	s->rootfs = own_str(c, o, "rootfs");
	s->version = own_str(c, o, "ociVersion");
	s->created = own_str(c, o, "created");
	s->owner = (uint32_t)json_u64(c, o, "", "owner", UINT32_MAX, 0);
	s->pid = (int)json_int(c, o, "", "pid", 0, INT32_MAX, 0);
	s->start_time = json_u64(c, o, "", "startTime", UINT64_MAX, 0);
	s->started = json_flag(c, o, "", "started", false);
	s->annotations = json_copy(json_obj(c, o, "", "annotations"));
	if (!paths)
		return;
	json_object_object_foreach(paths, key, value)
		cgroup_add(&s->cgroup, key, json_object_get_string(value));
}

/* Whoever creates it holds the lock until the state is there, and so does its monitor. -1 and errno: EAGAIN. */
static int claim(struct oci_state *s)
{
	struct timespec ms = {.tv_nsec = 1000000};

	for (int waited = 0;; waited++) {
		if (mkdir(s->dir, 0711) < 0 && errno != EEXIST)
			return -1;
		if (take_lock(s, LOCK_EX | LOCK_NB) == 0)
			return 0;
		if ((errno != EAGAIN && errno != ENOENT) || waited == BUSY_MS || has_state(s->dir))
			return -1;
		nanosleep(&ms, NULL);
	}
}

/* The control groups of a create that died; who may be in there is another's, or dying. */
static void remove_noted(const struct oci_state *s)
{
	char path[PATH_MAX], err[128];
	struct json_ctx c = {.file = path, .err = err, .err_size = sizeof(err)};
	struct oci_state noted = {.lock = -1};
	struct json_object *o;

	snprintf(path, sizeof(path), "%s/" NOTES, s->dir);
	o = access(path, F_OK) == 0 ? json_load(&c, path) : NULL;
	if (!o)
		return; /* cut short: none was made yet */
	parse(&c, &noted, o);
	if (!c.failed)
		cgroup_remove(&noted.cgroup);
	json_object_put(o);
	state_free(&noted);
	unlink(path);
}

int state_create(struct oci_state *s, const char *root, const char *id, char *err, size_t err_size)
{
	if (set_dir(s, root, id, err, err_size) < 0)
		return -1;
	if (make_dirs(root) < 0) {
		snprintf(err, err_size, "cannot make the state folder %s: %s", root, strerror(errno));
		return -1;
	}
	if (claim(s) < 0 && errno != EAGAIN) {
		snprintf(err, err_size, "cannot make %s: %s", s->dir, strerror(errno));
		return -1;
	}
	if (s->lock < 0 || has_state(s->dir)) {
		snprintf(err, err_size, "container with given ID already exists");
		return -1;
	}
	remove_noted(s);
	s->owner = geteuid();
	set_created(s);
	return 0;
}

int state_clear(const char *root, const char *id, char *err, size_t err_size)
{
	struct oci_state s;
	int ret = set_dir(&s, root, id, err, err_size);

	if (ret == 0 && has_state(s.dir)) {
		ret = -1; /* state_load has said why it doesn't like it */
	} else if (ret == 0 && access(s.dir, F_OK) == 0) {
		state_free(&s);
		ret = state_create(&s, root, id, err, err_size);
		if (ret == 0)
			state_remove(&s);
	}
	state_free(&s);
	return ret;
}

int state_load(struct oci_state *s, const char *root, const char *id, bool lock, char *err, size_t err_size)
{
	char path[PATH_MAX];
	struct json_ctx c = {.file = path, .err = err, .err_size = err_size};
	struct json_object *o;

	if (set_dir(s, root, id, err, err_size) < 0)
		return -1;
	if (!has_state(s->dir) || (lock && take_lock(s, LOCK_EX) < 0) || !has_state(s->dir)) {
		snprintf(err, err_size, "container \"%s\" does not exist", id);
		return -1;
	}
	snprintf(path, sizeof(path), "%s/state.json", s->dir);
	o = json_load(&c, path);
	if (!o)
		return -1;
	parse(&c, s, o);
	json_object_put(o);
	return c.failed ? -1 : 0;
}

static struct json_object *stored(const struct oci_state *s)
{
	struct json_object *o = json_object_new_object(), *paths = json_object_new_object();

	json_object_object_add(o, "ociVersion", json_object_new_string(s->version));
	json_object_object_add(o, "id", json_object_new_string(s->id));
	json_object_object_add(o, "pid", json_object_new_int(s->pid));
	json_object_object_add(o, "startTime", json_object_new_uint64(s->start_time));
	json_object_object_add(o, "started", json_object_new_boolean(s->started));
	json_object_object_add(o, "bundle", json_object_new_string(s->bundle));
	json_object_object_add(o, "rootfs", json_object_new_string(s->rootfs));
	json_object_object_add(o, "created", json_object_new_string(s->created));
	json_object_object_add(o, "owner", json_object_new_uint64(s->owner));
	if (s->annotations)
		json_object_object_add(o, "annotations", json_copy(s->annotations));
	for (size_t i = 0; i < s->cgroup.count; i++)
		json_object_object_add(paths, s->cgroup.entries[i].controller,
				       json_object_new_string(s->cgroup.entries[i].path));
	json_object_object_add(o, "cgroup", paths);
	return o;
}

/* As name in the container's folder. */
static int write_state(struct oci_state *s, const char *name, char *err, size_t err_size)
{
	char path[PATH_MAX], fresh[PATH_MAX];
	struct json_object *o = stored(s);
	const char *text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY);
	int fd, ret = -1;

	snprintf(path, sizeof(path), "%s/%s", s->dir, name);
	snprintf(fresh, sizeof(fresh), "%s/" NOTES, s->dir);
	fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && rename(fresh, path) == 0)
		ret = 0;
	else
		snprintf(err, err_size, "cannot write %s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	json_object_put(o);
	return ret;
}

int state_note(struct oci_state *s, char *err, size_t err_size)
{
	return write_state(s, NOTES, err, err_size);
}

int state_save(struct oci_state *s, char *err, size_t err_size)
{
	return write_state(s, "state.json", err, err_size);
}

enum oci_status state_status(const struct oci_state *s)
{
	uint64_t start = process_start_time(s->pid);

	if (!start || start != s->start_time)
		return OCI_STOPPED;
	if (!s->started)
		return OCI_CREATED;
	return cgroup_frozen(&s->cgroup) ? OCI_PAUSED : OCI_RUNNING;
}

/* getpwuid(3) would want shared libraries. */
static struct json_object *user_name(uint32_t uid)
{
	FILE *f = uid ? fopen("/etc/passwd", "re") : NULL;
	struct json_object *name = NULL;
	struct passwd *pw;

	while (f && !name && (pw = fgetpwent(f)))
		if (pw->pw_uid == uid)
			name = json_object_new_string(pw->pw_name);
	if (f)
		fclose(f);
	return name ? name : json_object_new_string("");
}

struct json_object *state_json(const struct oci_state *s, enum oci_status status, bool extra)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "ociVersion", json_object_new_string(s->version));
	json_object_object_add(o, "id", json_object_new_string(s->id));
	if (!extra)
		json_object_object_add(o, "status", json_object_new_string(oci_status_name(status)));
	json_object_object_add(o, "pid", json_object_new_int(status == OCI_STOPPED ? 0 : s->pid));
	if (extra)
		json_object_object_add(o, "status", json_object_new_string(oci_status_name(status)));
	json_object_object_add(o, "bundle", json_object_new_string(s->bundle));
	if (extra) {
		json_object_object_add(o, "rootfs", json_object_new_string(s->rootfs));
		json_object_object_add(o, "created", json_object_new_string(s->created));
	}
	if (s->annotations)
		json_object_object_add(o, "annotations", json_copy(s->annotations));
	if (extra)
		json_object_object_add(o, "owner", user_name(s->owner));
	return o;
}

void state_remove(struct oci_state *s)
{
	static const char *const files[] = {"state.json", NOTES,	 "config.json",
					    "control",	  "sandbox.log", "lock"};
	char path[PATH_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		snprintf(path, sizeof(path), "%s/%s", s->dir, files[i]);
		unlink(path);
	}
	rmdir(s->dir);
}

void state_free(struct oci_state *s)
{
	free(s->id);
	free(s->bundle);
	free(s->rootfs);
	free(s->version);
	free(s->created);
	free(s->dir);
	json_object_put(s->annotations);
	cgroup_free(&s->cgroup);
	if (s->lock >= 0)
		close(s->lock);
	*s = (struct oci_state){.lock = -1};
}
