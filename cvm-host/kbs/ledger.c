/* ledger.c: the two append-only files. */
#include "cvm-host/kbs/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LEDGER_MAX ((size_t)1 << 30)

/* Whole lines only; what a crash left after the last newline is cut off. */
static int open_lines(const char *path, int *fd, struct blob *text, struct err *e)
{
	const char *nl;
	size_t keep;
	int ret;

	*fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (*fd < 0)
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	ret = load_file(path, LEDGER_MAX, text, e);
	if (ret) {
		close(*fd);
		return ret;
	}
	nl = text->size ? memrchr(text->data, '\n', text->size) : NULL;
	keep = nl ? (size_t)(nl + 1 - (const char *)text->data) : 0;
	if (keep != text->size && ftruncate(*fd, (off_t)keep) < 0) {
		ret = err_set(e, -errno, "%s: %s", path, strerror(errno));
		close(*fd);
		return ret;
	}
	text->size = keep;
	return 0;
}

/* One write, so that a crash leaves all of the line or a torn end. */
static int append(int fd, const char *line, bool sync, struct err *e)
{
	off_t before = lseek(fd, 0, SEEK_END);
	char *s = xasprintf("%s\n", line);
	ssize_t n = write(fd, s, strlen(s));
	int ret = n == (ssize_t)strlen(s) ? 0 : n < 0 ? -errno : -ENOSPC;

	free(s);
	if (!ret && sync && fdatasync(fd) < 0)
		ret = -errno;
	if (ret && before >= 0 && ftruncate(fd, before) < 0) /* half a line must not be in the next one's way */
		ret = -EIO;
	return ret ? err_set(e, ret, "the ledger could not be written: %s", strerror(-ret)) : 0;
}

static int check_link(const char *line, size_t len, uint64_t seq, const uint8_t head[32], struct err *e)
{
	char want[65];
	json_t *v = NULL;
	int ret = json_read(line, len, 1u << 20, &v, e);

	bytes_to_hex(want, head, 32);
	if (!ret) {
		const char *prev = json_string_value(json_object_get(v, "prev"));

		if (!prev || strcmp(prev, want) != 0 ||
		    json_integer_value(json_object_get(v, "seq")) != (json_int_t)seq)
			ret = -EBADMSG;
	}
	json_decref(v);
	return ret ? err_set(e, -EBADMSG, "audit log: line %llu does not follow the one before",
			     (unsigned long long)seq)
		   : 0;
}

int audit_check(const char *text, size_t size, uint64_t *count, uint8_t head[32], struct err *e)
{
	const char *end = text + size;
	uint64_t seq = 0;

	memset(head, 0, 32);
	while (text < end) {
		const char *nl = memchr(text, '\n', (size_t)(end - text));
		int ret;

		if (!nl)
			return err_set(e, -EBADMSG, "audit log: line %llu is torn", (unsigned long long)seq);
		ret = check_link(text, (size_t)(nl - text), seq, head, e);
		if (ret)
			return ret;
		sha256_of(text, (size_t)(nl - text), head);
		seq++;
		text = nl + 1;
	}
	*count = seq;
	return 0;
}

int audit_open(const char *path, struct audit *a, struct err *e)
{
	struct blob text = {0};
	int ret = open_lines(path, &a->fd, &text, e);

	if (ret)
		return ret;
	ret = audit_check((char *)text.data, text.size, &a->seq, a->head, e);
	blob_free(&text);
	if (ret) {
		close(a->fd);
		a->fd = -1;
	}
	return ret;
}

int audit_add(struct audit *a, json_t *event, bool sync, struct err *e)
{
	char prev[65], *line;
	int ret;

	bytes_to_hex(prev, a->head, 32);
	json_object_set_new(event, "seq", json_integer((json_int_t)a->seq));
	json_object_set_new(event, "prev", json_string(prev));
	json_object_set_new(event, "time", json_integer(wall_now()));
	line = json_dumps(event, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENSURE_ASCII);
	json_decref(event);
	if (!line)
		return err_set(e, -ENOMEM, "an audit event could not be written as JSON");
	ret = append(a->fd, line, sync, e);
	if (!ret) {
		sha256_of(line, strlen(line), a->head);
		a->seq++;
	}
	free(line);
	return ret;
}

void audit_close(struct audit *a)
{
	if (a->fd >= 0)
		close(a->fd);
	a->fd = -1;
}

/* Takes the line. */
static void push(struct translog *t, char *line)
{
	if (t->count == t->room) {
		t->room = t->room ? 2 * t->room : 64;
		t->lines = realloc(t->lines, t->room * sizeof(*t->lines));
		t->leaves = realloc(t->leaves, t->room * sizeof(*t->leaves));
		if (!t->lines || !t->leaves)
			abort();
	}
	merkle_leaf(line, strlen(line), &t->leaves[t->count]);
	t->lines[t->count++] = line;
}

int translog_open(const char *path, struct translog *t, struct err *e)
{
	struct blob text = {0};
	int ret;

	*t = (struct translog){0};
	ret = open_lines(path, &t->fd, &text, e);
	if (ret)
		return ret;
	for (char *p = (char *)text.data, *end = p + text.size; p < end;) {
		char *nl = memchr(p, '\n', (size_t)(end - p));

		*nl = 0;
		push(t, xstrdup(p));
		p = nl + 1;
	}
	blob_free(&text);
	return 0;
}

int translog_add(struct translog *t, json_t *entry, uint64_t *index, struct err *e)
{
	char *line = json_dumps(entry, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENSURE_ASCII);
	int ret;

	json_decref(entry);
	if (!line)
		return err_set(e, -ENOMEM, "a log entry could not be written as JSON");
	ret = append(t->fd, line, true, e);
	if (ret) {
		free(line);
		return ret;
	}
	*index = t->count;
	push(t, line);
	return 0;
}

void translog_close(struct translog *t)
{
	for (uint64_t i = 0; i < t->count; i++)
		free(t->lines[i]);
	free(t->lines);
	free(t->leaves);
	if (t->fd >= 0)
		close(t->fd);
	*t = (struct translog){.fd = -1};
}
