/* work.c: opens the encrypted disks, runs the workload. */
#include "cvm-host/guest/work.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cvm-host/guest/boot.h"
#include "cvm-host/image/cpio.h"
#include "cvm-host/kbs/manifest.h"
#include "cvm-host/volume/volume.h"

#define ROOTFS	 "/root"
#define ARGS_MAX 4200

/* The disk that the launcher gave that name. The name is no more than a hint: only the right one decrypts. */
static int open_disk(const char *name, struct err *e)
{
	DIR *d = opendir("/sys/block");
	struct dirent *de;
	int fd = -ENOENT;

	while (d && fd < 0 && (de = readdir(d))) {
		char *path = xasprintf("/sys/block/%s/serial", de->d_name),
		     *dev = xasprintf("/dev/%s", de->d_name);

		if (de->d_name[0] != '.' && sysfs_is(path, name))
			fd = open(dev, O_RDWR | O_CLOEXEC);
		free(path);
		free(dev);
	}
	if (d)
		closedir(d);
	return fd < 0 ? err_set(e, -ENODEV, "there is no disk %s", name) : fd;
}

/* The key of a volume: the manifest's resource REPOSITORY/key/NAME. */
static int volume_key(struct kbs_client *kbs, const json_t *m, const char *name, uint8_t key[32], struct err *e)
{
	const json_t *keys = json_object_get(m, "keys");
	char *tail = xasprintf("/key/%s", name);
	struct blob b = {0};
	int ret = err_set(e, -ENOENT, "the manifest names no key for volume %s", name);

	for (size_t i = 0; i < json_array_size(keys); i++) {
		const char *k = json_string_value(json_array_get(keys, i));

		if (strlen(k) > strlen(tail) && !strcmp(k + strlen(k) - strlen(tail), tail)) {
			ret = kbs_client_get(kbs, k, &b, e);
			break;
		}
	}
	if (!ret && b.size != 32)
		ret = err_set(e, -EINVAL, "the key of volume %s has %zu bytes", name, b.size);
	if (!ret)
		memcpy(key, b.data, 32);
	blob_free(&b);
	free(tail);
	return ret;
}

static int unpack_one(void *arg, const struct cpio_view *v)
{
	char *path = xasprintf(ROOTFS "%s/%s", (const char *)arg, v->path), *target;
	int ret = 0, fd;

	if (S_ISDIR(v->mode)) {
		ret = mkdir(path, v->mode & 07777) < 0 && errno != EEXIST ? -errno : 0;
	} else if (S_ISLNK(v->mode)) {
		target = strndup((const char *)v->data, v->size);
		ret = target && symlink(target, path) == 0 ? 0 : -errno;
		free(target);
	} else {
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, v->mode & 07777);
		if (fd < 0 || write(fd, v->data, v->size) != (ssize_t)v->size)
			ret = errno ? -errno : -ENOSPC;
		if (fd >= 0)
			close(fd);
	}
	free(path);
	return ret;
}

static int unpack(struct volume *v, const json_t *m, const char *target, struct err *e)
{
	const json_t *image = json_object_get(m, "image");
	bool root = !strcmp(target, "/");
	uint64_t size = root ? (uint64_t)json_integer_value(json_object_get(image, "size")) : volume_size(v);
	uint8_t want[32], have[32];
	uint8_t *data;
	int ret;

	if (size > volume_size(v))
		return err_set(e, -EBADMSG, "the image is larger than its disk");
	data = malloc(size + 1);
	if (!data)
		return err_set(e, -ENOMEM, "no memory for the image");
	ret = volume_read(v, 0, data, size, e);
	if (!ret && root) {
		image_root(data, size, have);
		ret = bytes_from_hex(json_string_value(json_object_get(image, "root-hash")), want, 32);
		if (ret || memcmp(have, want, 32) != 0)
			ret = err_set(e, -EBADMSG, "the disk's files are not the image of the manifest");
	}
	if (!ret) {
		ret = cpio_read(data, size, unpack_one, (void *)(root ? "" : target));
		if (ret)
			err_set(e, ret, "unpacking at %s: %s", target, strerror(-ret));
	}
	free(data);
	return ret;
}

static int open_one(struct kbs_client *kbs, const json_t *m, const json_t *mount, struct err *e)
{
	const char *name = json_string_value(json_object_get(mount, "volume")),
		   *target = json_string_value(json_object_get(mount, "target"));
	struct volume_broker_anchor broker = {kbs, name};
	struct volume_anchor anchor = volume_anchor_broker(&broker);
	struct volume *v = NULL;
	uint8_t key[32];
	int fd, ret;

	if (!json_is_true(json_object_get(mount, "read-only")))
		return err_set(e, -EOPNOTSUPP, "volume %s: only read-only mounts are supported", name);
	ret = volume_key(kbs, m, name, key, e);
	if (ret)
		return err_in(e, ret, name);
	fd = open_disk(name, e);
	ret = fd < 0 ? fd : volume_open(fd, key, &anchor, &v, e);
	explicit_bzero(key, sizeof(key));
	if (!ret)
		ret = unpack(v, m, target, e);
	if (v)
		volume_close(v);
	if (fd >= 0)
		close(fd);
	return ret ? err_in(e, ret, name) : 0;
}

int work_open(struct channel *ch, struct kbs_client *kbs, const json_t *doc, struct err *e)
{
	const json_t *m = json_object_get(doc, "manifest"), *mounts = json_object_get(m, "mounts");
	bool root = false;
	int ret = 0;

	for (size_t i = 0; i < json_array_size(mounts) && !ret; i++) {
		const json_t *mount = json_array_get(mounts, i);

		root |= !strcmp(json_string_value(json_object_get(mount, "target")), "/");
		ret = open_one(kbs, m, mount, e);
	}
	if (!ret && !root)
		ret = err_set(e, -EINVAL, "the manifest mounts nothing at /");
	if (!ret)
		channel_progress(ch, "keys released, disks open");
	return ret;
}

static bool verb_listed(const json_t *m, const char *verb)
{
	const json_t *list = json_object_get(m, "host-verbs");

	for (size_t i = 0; i < json_array_size(list); i++)
		if (!strcmp(json_string_value(json_array_get(list, i)), verb))
			return true;
	return false;
}

/* sbx run --rootfs /root [-e K=V]... [-w DIR] -- ARGV. Strings that are made here live until exec. */
static char **command(const json_t *m)
{
	const json_t *argv = json_object_get(m, "argv"), *value;
	const char *cwd = json_string_value(json_object_get(m, "cwd")), *name;
	char **a = xcalloc(2 * (json_object_size(json_object_get(m, "env")) + json_array_size(argv)) + 16,
			   sizeof(*a));
	size_t n = 0;

	a[n++] = xstrdup("/sbx/sbx");
	a[n++] = xstrdup("run");
	a[n++] = xstrdup("--rootfs");
	a[n++] = xstrdup(ROOTFS);
	json_object_foreach((json_t *)json_object_get(m, "env"), name, value)
	{
		a[n++] = xstrdup("-e");
		a[n++] = xasprintf("%s=%s", name, json_string_value(value) ?: "");
	}
	if (cwd) {
		a[n++] = xstrdup("-w");
		a[n++] = xstrdup(cwd);
	}
	a[n++] = xstrdup("--");
	for (size_t i = 0; i < json_array_size(argv); i++)
		a[n++] = xstrdup(json_string_value(json_array_get(argv, i)));
	return a;
}

struct pump {
	struct channel *ch;
	int fd;
	uint8_t stream;
};

static void *pump(void *arg)
{
	const struct pump *p = arg;

	if (p->stream == 0)
		channel_input(p->ch, p->fd);
	else
		channel_pump(p->ch, p->fd, p->stream);
	return NULL;
}

int work_run(struct channel *ch, const json_t *doc, uint8_t *how, uint8_t *status, struct err *e)
{
	const json_t *m = json_object_get(doc, "manifest");
	bool stdio = verb_listed(m, "stdio");
	char **argv = command(m);
	static struct pump pumps[3]; /* by stream; the input's may live as long as the guest */
	pthread_t threads[3];
	int in[2], out[2], both[2], st, ret;
	pid_t pid, gone;

	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 || pipe2(both, O_CLOEXEC) < 0)
		return err_set(e, -errno, "pipe: %s", strerror(errno));
	pid = fork();
	if (pid == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		dup2(both[1], 2);
		signal(SIGPIPE, SIG_DFL);
		execv(argv[0], argv);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	close(both[1]);
	if (pid < 0)
		return err_set(e, -errno, "fork: %s", strerror(errno));
	if (!stdio)
		close(in[1]);
	channel_allow(ch, stdio, verb_listed(m, "shutdown"));
	channel_progress(ch, "running %s", json_string_value(json_array_get(json_object_get(m, "argv"), 0)));
	pumps[0] = (struct pump){ch, in[1], 0};
	pumps[1] = (struct pump){ch, out[0], 1};
	pumps[2] = (struct pump){ch, both[0], 2};
	for (int i = stdio ? 0 : 1; i < 3; i++) {
		ret = pthread_create(&threads[i], NULL, pump, &pumps[i]);
		if (ret)
			return err_set(e, -ret, "no thread");
	}
	/* PID 1 has every orphan's end to collect; the workload's is the last */
	while ((gone = waitpid(-1, &st, 0)) != pid && (gone > 0 || errno == EINTR))
		;
	for (int i = 1; i < 3; i++)
		pthread_join(threads[i], NULL);
	*how = WIFSIGNALED(st);
	*status = (uint8_t)(WIFSIGNALED(st) ? WTERMSIG(st) : WEXITSTATUS(st));
	if (!verb_listed(m, "exit")) {
		*how = 0; /* that it ended is all that the host learns */
		*status = 0;
	}
	return 0;
}

void work_release(struct kbs_client *kbs, const json_t *doc)
{
	const json_t *m = json_object_get(doc, "manifest"), *mounts = json_object_get(m, "mounts"),
		     *keys = json_object_get(m, "keys");
	struct err ignored;

	for (size_t i = 0; i < json_array_size(mounts); i++) {
		char *what = xasprintf("volume:%s",
				       json_string_value(json_object_get(json_array_get(mounts, i), "volume")));

		(void)!kbs_client_lease(kbs, what, true, &ignored); /* without: it ends by itself */
		free(what);
	}
	for (size_t i = 0; i < json_array_size(keys); i++)
		(void)!kbs_client_lease(kbs, json_string_value(json_array_get(keys, i)), true, &ignored);
}
