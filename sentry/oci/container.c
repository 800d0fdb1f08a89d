/* container.c: see container.h. */
#include "sentry/oci/container.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/base/bug.h"
#include "sentry/oci/client.h"
#include "sentry/oci/hooks.h"
#include "sentry/oci/json.h"
#include "sentry/oci/log.h"
#include "sentry/oci/network.h"

int write_pid_file(const char *path, int pid, char *err, size_t err_size)
{
	char fresh[PATH_MAX], text[16];
	int fd, n = snprintf(text, sizeof(text), "%d", pid), ret = -1;

	snprintf(fresh, sizeof(fresh), "%s.%d", path, getpid());
	fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd >= 0 && write(fd, text, (size_t)n) == n && rename(fresh, path) == 0)
		ret = 0;
	else
		snprintf(err, err_size, "--pid-file %s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return ret;
}

/* The bundle may be gone or changed by the time of `delete`. */
static int keep_config(const struct oci_spec *s, const struct oci_state *state, char *err, size_t err_size)
{
	const char *text = json_object_to_json_string_ext(s->doc, JSON_C_TO_STRING_PLAIN);
	char path[PATH_MAX];
	int fd, ret = -1;

	snprintf(path, sizeof(path), "%s/config.json", state->dir);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text))
		ret = 0;
	else
		snprintf(err, err_size, "cannot write %s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return ret;
}

int container_spec(const struct oci_state *s, struct oci_spec *out, char *err, size_t err_size)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/config.json", s->dir);
	return spec_load(out, path, err, err_size);
}

static int check_terminal(const struct create_options *o, const struct oci_spec *s, char *err, size_t err_size)
{
	const char *why = NULL;

	if (s->process.terminal && !o->console_socket && o->tty < 0)
		why = "cannot allocate tty if runc will detach without setting console socket";
	else if (!s->process.terminal && o->console_socket)
		why = "cannot use console socket if runc will not detach or allocate tty";
	if (o->systemd_cgroup)
		why = "systemd not running on this host, or not supported: use the cgroupfs driver";
	if (why)
		snprintf(err, err_size, "%s", why);
	return why ? -1 : 0;
}

static int load_bundle(const struct create_options *o, struct oci_spec *s, struct oci_state *state, char *err,
		       size_t err_size)
{
	char config[PATH_MAX + 16], root[2 * PATH_MAX];

	state->bundle = realpath(o->bundle, NULL);
	if (!state->bundle) {
		snprintf(err, err_size, "bundle %s: %s", o->bundle, strerror(errno));
		return -1;
	}
	snprintf(config, sizeof(config), "%s/config.json", state->bundle);
	if (spec_load(s, config, err, err_size) < 0)
		return -1;
	if (s->root_path[0] == '/')
		snprintf(root, sizeof(root), "%s", s->root_path);
	else
		snprintf(root, sizeof(root), "%s/%s", state->bundle, s->root_path);
	state->rootfs = realpath(root, NULL);
	if (!state->rootfs) {
		snprintf(err, err_size, "%s: root.path: %s: %s", config, root, strerror(errno));
		return -1;
	}
	if (strcmp(state->rootfs, "/") == 0) {
		snprintf(err, err_size, "%s: root.path: the host's own root can't be a container's", config);
		return -1;
	}
	state->version = strdup(s->version);
	state->annotations = json_copy(s->annotations);
	return check_terminal(o, s, err, err_size);
}

static int make_cgroup(const struct oci_spec *s, struct oci_state *state, char *err, size_t err_size)
{
	char missing[512];

	cgroup_plan(&state->cgroup, s->cgroups_path, state->id);
	if (state_note(state, err, err_size) < 0 ||
	    cgroup_create(&state->cgroup, &s->resources, missing, sizeof(missing), err, err_size) < 0)
		return -1;
	if (missing[0])
		oci_log("debug", "no control group for: %s", missing);
	return 0;
}

static int run_create_hooks(const struct oci_spec *s, struct oci_state *state, char *err, size_t err_size)
{
	int ret = hooks_run(s, HOOK_PRESTART, state, OCI_CREATING, err, err_size);

	if (ret == 0)
		ret = hooks_run(s, HOOK_CREATE_RUNTIME, state, OCI_CREATING, err, err_size);
	if (ret == 0)
		ret = hooks_run(s, HOOK_CREATE_CONTAINER, state, OCI_CREATING, err, err_size);
	return ret;
}

static void end_monitor(int pid)
{
	if (pid <= 0)
		return;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static int create(const struct create_options *o, struct oci_spec *s, struct oci_state *state, char *err,
		  size_t err_size)
{
	int ret = load_bundle(o, s, state, err, err_size);

	if (ret == 0)
		ret = keep_config(s, state, err, err_size);
	if (ret == 0)
		ret = make_cgroup(s, state, err, err_size);
	if (ret == 0) {
		ret = monitor_start(o, s, state, err, err_size);
		state->pid = ret > 0 ? ret : 0;
		state->start_time = process_start_time(state->pid);
		ret = ret > 0 ? 0 : -1;
	}
	if (ret == 0)
		ret = run_create_hooks(s, state, err, err_size);
	if (ret == 0)
		ret = state_save(state, err, err_size);
	if (ret == 0 && o->pid_file)
		ret = write_pid_file(o->pid_file, state->pid, err, err_size);
	return ret;
}

int container_create(const struct create_options *o, const char *id, struct oci_state *out, char *err,
		     size_t err_size)
{
	struct oci_spec s = {0};

	if (state_create(out, o->root, id, err, err_size) < 0) {
		state_free(out);
		return -1;
	}
	if (create(o, &s, out, err, err_size) == 0) {
		monitor_keep(out);
		spec_free(&s);
		return 0;
	}
	end_monitor(out->pid);
	if (out->creator > 0)
		close(out->creator);
	cgroup_kill(&out->cgroup);
	cgroup_remove(&out->cgroup);
	state_remove(out);
	state_free(out);
	spec_free(&s);
	return -1;
}

static int start_program(const struct oci_state *s, char *err, size_t err_size)
{
	int fd = client_connect(s, err, err_size), ret = -1;
	struct network net = {0};

	if (fd < 0)
		return -1;
	if (network_take(s, &net, err, err_size) == 0)
		ret = client_start(fd, net.what, net.fds, net.count, err, err_size);
	if (ret < 0) /* as runc: engines expect it to have stopped */
		kill(s->pid, SIGKILL);
	network_free(&net);
	close(fd);
	return ret;
}

int container_start(struct oci_state *s, char *err, size_t err_size)
{
	enum oci_status status = state_status(s);
	struct oci_spec spec;
	int ret;

	if (status != OCI_CREATED) {
		snprintf(err, err_size,
			 status == OCI_STOPPED ? "cannot start a container that has stopped"
					       : "cannot start an already running container");
		return -1;
	}
	if (container_spec(s, &spec, err, err_size) < 0)
		return -1;
	ret = start_program(s, err, err_size);
	if (ret == 0) {
		s->started = true;
		ret = state_save(s, err, err_size);
	}
	if (ret == 0) {
		char text[1024];

		/* as runc: a poststart hook that fails stops the container */
		ret = hooks_run(&spec, HOOK_POSTSTART, s, OCI_RUNNING, text, sizeof(text));
		if (ret < 0) {
			snprintf(err, err_size, "%s", text);
			kill(s->pid, SIGKILL);
		}
	}
	spec_free(&spec);
	return ret;
}

int container_kill(struct oci_state *s, int sig, bool all, char *err, size_t err_size)
{
	enum oci_status status = state_status(s);
	int64_t value;
	int fd, ret;

	if (status == OCI_STOPPED) {
		if (all) /* as runc: for what may be left */
			return 0;
		snprintf(err, err_size, "container not running");
		return -1;
	}
	if (sig == SIGKILL && !all) { /* works whatever state the sandbox is in, frozen included */
		ret = kill(s->pid, SIGKILL);
		if (status == OCI_PAUSED && cgroup_freeze(&s->cgroup, false) < 0)
			oci_log("warning", "cannot thaw: %s", strerror(errno));
		if (ret < 0)
			snprintf(err, err_size, "cannot kill process %d: %s", s->pid, strerror(errno));
		return ret;
	}
	if (status == OCI_PAUSED) {
		snprintf(err, err_size, "the container is paused: resume it first");
		return -1;
	}
	fd = client_connect(s, err, err_size);
	if (fd < 0)
		return -1;
	ret = client_ask(fd, all ? CONTROL_KILL_ALL : CONTROL_KILL, sig, &value, err, err_size);
	close(fd);
	return ret;
}

static void wait_gone(struct oci_state *s)
{
	int fd = (int)syscall(SYS_pidfd_open, s->pid, 0);
	struct pollfd p = {fd, POLLIN, 0};

	if (fd < 0)
		return;
	if (process_start_time(s->pid) == s->start_time)
		(void)!poll(&p, 1, 10000);
	close(fd);
}

static void run_poststop(struct oci_state *s)
{
	struct oci_spec spec;
	char text[1024];

	if (container_spec(s, &spec, text, sizeof(text)) < 0) {
		oci_log("warning", "%s", text);
		return;
	}
	/* as runc: what a poststop hook says is logged, and the container is gone nevertheless */
	if (hooks_run(&spec, HOOK_POSTSTOP, s, OCI_STOPPED, text, sizeof(text)) < 0)
		oci_log("warning", "%s", text);
	spec_free(&spec);
}

int container_delete(struct oci_state *s, bool force, char *err, size_t err_size)
{
	enum oci_status status = state_status(s);

	/* as runc: one that was only created goes, too */
	if (status != OCI_STOPPED && status != OCI_CREATED && !force) {
		snprintf(err, err_size, "cannot delete container %s that is not stopped: %s", s->id,
			 oci_status_name(status));
		return -1;
	}
	if (status != OCI_STOPPED) {
		kill(s->pid, SIGKILL);
		if (status == OCI_PAUSED && cgroup_freeze(&s->cgroup, false) < 0)
			oci_log("warning", "cannot thaw: %s", strerror(errno));
		wait_gone(s);
	}
	/* the sentry and the gofer die with the monitor, but not at once */
	cgroup_kill(&s->cgroup);
	cgroup_remove(&s->cgroup);
	run_poststop(s);
	state_remove(s);
	return 0;
}
