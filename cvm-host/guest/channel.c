/* channel.c: verbs in and out of a virtio-serial port. */
#include "cvm-host/guest/channel.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cvm-host/guest/boot.h"
#include "cvm-host/kbs/manifest.h"
#include "cvm-host/launch/launch.h"

#define PORTS "/sys/class/virtio-ports"

static int write_all(int fd, const uint8_t *p, size_t size)
{
	while (size) {
		ssize_t n = write(fd, p, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		p += n;
		size -= (size_t)n;
	}
	return 0;
}

int channel_send(struct channel *c, enum verb v, const void *data, size_t size)
{
	uint8_t *frame = malloc(VERB_HEAD + size);
	int ret;

	if (!frame || size > VERB_PAYLOAD_MAX) {
		free(frame);
		return -EINVAL;
	}
	pthread_mutex_lock(&c->lock);
	ret = write_all(c->fd, frame, verb_put(frame, v, &c->seq, data, size));
	pthread_mutex_unlock(&c->lock);
	free(frame);
	return ret;
}

_Noreturn void guest_off(struct channel *c, uint8_t how, uint8_t status)
{
	const uint8_t end[2] = {how, status};

	if (c && c->fd >= 0 && channel_send(c, VERB_EXIT, end, sizeof(end)) == 0)
		usleep(200000); /* the port's queue is the host's to empty */
	sync();
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

void channel_progress(struct channel *c, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (channel_send(c, VERB_PROGRESS, text, strlen(text)) < 0)
		fprintf(stderr, "sbx-guest: %s\n", text);
}

void channel_allow(struct channel *c, bool stdio, bool stop)
{
	pthread_mutex_lock(&c->lock);
	c->allow_stdio = stdio;
	c->allow_stop = stop;
	pthread_mutex_unlock(&c->lock);
}

int channel_hear(struct channel *c, const struct verb_frame *f)
{
	int ret = 0;

	switch (f->verb) {
	case VERB_PING:
		return channel_send(c, VERB_PING, f->data, f->size);
	case VERB_READY:
		pthread_mutex_lock(&c->lock);
		if (c->have_manifest || c->manifest.size + f->size > MANIFEST_MAX)
			ret = -EPROTO;
		else if (f->size)
			blob_add(&c->manifest, f->data, f->size);
		else
			c->have_manifest = true;
		pthread_cond_broadcast(&c->changed);
		pthread_mutex_unlock(&c->lock);
		return ret;
	case VERB_RELAY:
		if (f->data[0] == RELAY_DATA)
			return write_all(c->relay, f->data + 1, f->size - 1) < 0 ? -EPROTO : 0;
		return f->data[0] == RELAY_CLOSE && shutdown(c->relay, SHUT_RDWR) == 0 ? 0 : -EPROTO;
	case VERB_STDIO:
		pthread_mutex_lock(&c->lock);
		if (c->wants_input) {
			blob_set(&c->input, f->data + 1, f->size - 1);
			c->wants_input = false;
			c->have_input = true;
			pthread_cond_broadcast(&c->changed);
		} else
			ret = -EPROTO;
		pthread_mutex_unlock(&c->lock);
		return ret;
	case VERB_SHUTDOWN:
		if (c->allow_stop)
			guest_off(c, 1, 15);
		return -EPROTO;
	default:
		return -EPROTO;
	}
}

static void *read_frames(void *arg)
{
	struct channel *c = arg;
	static uint8_t buf[16384];

	for (;;) {
		ssize_t n = read(c->fd, buf, sizeof(buf));
		const uint8_t *p = buf;
		size_t size = n > 0 ? (size_t)n : 0;
		struct verb_frame f;
		int ret;

		if (n <= 0 && errno != EINTR)
			usleep(20000); /* nobody has the other end open */
		while ((ret = verb_take(&c->reader, &p, &size, &f)) == 1)
			if (channel_hear(c, &f) < 0) {
				ret = -EPROTO;
				break;
			}
		if (ret < 0) {
			channel_progress(c, "refused: the launcher said what is not its to say");
			guest_off(c, 2, 1);
		}
	}
	return NULL;
}

static void *send_relay(void *arg)
{
	struct channel *c = arg;
	static uint8_t buf[1 + 16384] = {RELAY_DATA};
	const uint8_t end = RELAY_CLOSE;
	ssize_t n;

	while ((n = read(c->relay, buf + 1, sizeof(buf) - 1)) > 0)
		if (channel_send(c, VERB_RELAY, buf, (size_t)n + 1) < 0)
			return NULL;
	(void)!channel_send(c, VERB_RELAY, &end, 1);
	return NULL;
}

void channel_pump(struct channel *c, int fd, uint8_t stream)
{
	uint8_t *buf = xcalloc(1, 1 + 16384);
	ssize_t n;

	buf[0] = stream;
	while ((n = read(fd, buf + 1, 16384)) > 0)
		if (c->allow_stdio && channel_send(c, VERB_STDIO, buf, (size_t)n + 1) < 0)
			break;
	free(buf);
}

void channel_input(struct channel *c, int fd)
{
	const uint8_t ask = 0;
	struct blob piece = {0};
	bool more = true;

	while (more) {
		pthread_mutex_lock(&c->lock);
		c->wants_input = true;
		pthread_mutex_unlock(&c->lock);
		if (channel_send(c, VERB_STDIO, &ask, 1) < 0)
			break;
		pthread_mutex_lock(&c->lock);
		while (!c->have_input)
			pthread_cond_wait(&c->changed, &c->lock);
		c->have_input = false;
		blob_free(&piece);
		piece = c->input;
		c->input = (struct blob){0};
		pthread_mutex_unlock(&c->lock);
		more = piece.size && write_all(fd, piece.data, piece.size) == 0;
	}
	blob_free(&piece);
	close(fd);
}

static int find_port(void)
{
	DIR *d = opendir(PORTS);
	struct dirent *de;
	int fd = -ENOENT;

	while (d && fd < 0 && (de = readdir(d))) {
		char *path = xasprintf(PORTS "/%s/name", de->d_name);

		if (de->d_name[0] != '.' && sysfs_is(path, VM_CTL)) {
			char *dev = xasprintf("/dev/%s", de->d_name);

			fd = open(dev, O_RDWR | O_CLOEXEC);
			free(dev);
		}
		free(path);
	}
	if (d)
		closedir(d);
	return fd;
}

/* Ports are announced some time after their device is there. */
static int open_port(struct err *e)
{
	int fd = find_port();

	for (int i = 0; i < 500 && fd < 0; i++) {
		usleep(20000);
		fd = find_port();
	}
	return fd < 0 ? err_set(e, -ENODEV, "there is no port " VM_CTL) : fd;
}

int channel_open(struct channel *c, struct err *e)
{
	pthread_t t;
	int pair[2];

	*c = (struct channel){.lock = PTHREAD_MUTEX_INITIALIZER,
			      .changed = PTHREAD_COND_INITIALIZER,
			      .reader.from = FROM_HOST};
	c->fd = open_port(e);
	if (c->fd < 0)
		return c->fd;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_set(e, -errno, "socketpair: %s", strerror(errno));
	c->relay = pair[0];
	c->relay_far = pair[1];
	if (pthread_create(&t, NULL, read_frames, c) || pthread_create(&t, NULL, send_relay, c))
		return err_set(e, -EAGAIN, "no thread");
	return 0;
}

int channel_manifest(struct channel *c, struct blob *out, struct err *e)
{
	const uint8_t version = 1, open_relay = RELAY_OPEN;
	int ret = channel_send(c, VERB_READY, &version, 1);

	pthread_mutex_lock(&c->lock);
	while (!ret && !c->have_manifest)
		pthread_cond_wait(&c->changed, &c->lock);
	if (!ret)
		blob_set(out, c->manifest.data, c->manifest.size);
	pthread_mutex_unlock(&c->lock);
	if (!ret)
		ret = channel_send(c, VERB_RELAY, &open_relay, 1);
	return ret ? err_set(e, ret, "the channel: %s", strerror(-ret)) : 0;
}
