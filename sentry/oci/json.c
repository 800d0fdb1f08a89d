/* json.c: see json.h. */
#include "sentry/oci/json.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/base/bug.h"

#define FILE_MAX    (16UL << 20)
#define DEPTH_MAX   64
#define STRINGS_MAX 65536

void json_fail(struct json_ctx *c, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (c->failed)
		return;
	c->failed = true;
	n = snprintf(c->err, c->err_size, "%s: ", c->file);
	if (n < 0 || (size_t)n >= c->err_size)
		return;
	va_start(ap, fmt);
	vsnprintf(c->err + n, c->err_size - (size_t)n, fmt, ap);
	va_end(ap);
	/* names in the document are anybody's: one line, no control characters */
	for (char *p = c->err; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
}

struct json_object *json_parse(struct json_ctx *c, const char *text, size_t size)
{
	struct json_tokener *t = json_tokener_new_ex(DEPTH_MAX);
	struct json_object *o;

	BUG_ON(!t);
	json_tokener_set_flags(t, JSON_TOKENER_STRICT);
	o = json_tokener_parse_ex(t, text, (int)size);
	if (json_tokener_get_error(t) == json_tokener_continue)
		json_fail(c, "the JSON text ends too early");
	else if (json_tokener_get_error(t) != json_tokener_success)
		json_fail(c, "not JSON: %s at byte %zu", json_tokener_error_desc(json_tokener_get_error(t)),
			  json_tokener_get_parse_end(t));
	else if (!json_object_is_type(o, json_type_object))
		json_fail(c, "the JSON text must be an object");
	json_tokener_free(t);
	if (c->failed) {
		json_object_put(o);
		return NULL;
	}
	return o;
}

static char *read_all(struct json_ctx *c, const char *path, size_t *size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	size_t have = 0, cap = 64 << 10;
	struct stat st;
	char *buf;

	if (fd < 0 || fstat(fd, &st) < 0) {
		json_fail(c, "%s", strerror(errno));
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	if (S_ISDIR(st.st_mode)) {
		json_fail(c, "is a directory");
		close(fd);
		return NULL;
	}
	buf = malloc(cap + 1);
	BUG_ON(!buf);
	for (;;) {
		ssize_t n = read(fd, buf + have, cap - have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			json_fail(c, "%s", strerror(errno));
		if (n <= 0)
			break;
		have += (size_t)n;
		if (have < cap)
			continue;
		if (cap >= FILE_MAX) {
			json_fail(c, "larger than %lu MiB", FILE_MAX >> 20);
			break;
		}
		cap *= 2;
		buf = realloc(buf, cap + 1);
		BUG_ON(!buf);
	}
	close(fd);
	buf[have] = 0;
	*size = have;
	return buf;
}

struct json_object *json_load(struct json_ctx *c, const char *path)
{
	struct json_object *o = NULL;
	size_t size = 0;
	char *text = read_all(c, path, &size);

	if (!c->failed && text)
		o = json_parse(c, text, size);
	free(text);
	return o;
}

/* The field, or NULL: missing, null, or something failed before. */
static struct json_object *field(struct json_ctx *c, struct json_object *obj, const char *key)
{
	struct json_object *v;

	if (c->failed || !obj || !json_object_object_get_ex(obj, key, &v))
		return NULL;
	return v;
}

static void wrong_type(struct json_ctx *c, const char *path, const char *key, const char *want)
{
	json_fail(c, "%s%s%s: must be %s", path, *path ? "." : "", key, want);
}

bool json_has(struct json_object *obj, const char *key)
{
	struct json_object *v;

	return obj && json_object_object_get_ex(obj, key, &v) && v;
}

static const char *string_of(struct json_object *v)
{
	const char *s;

	if (!json_object_is_type(v, json_type_string))
		return NULL;
	s = json_object_get_string(v);
	return strlen(s) == (size_t)json_object_get_string_len(v) ? s : NULL;
}

const char *json_str(struct json_ctx *c, struct json_object *obj, const char *path, const char *key,
		     const char *dflt)
{
	struct json_object *v = field(c, obj, key);
	const char *s;

	if (!v)
		return dflt;
	s = string_of(v);
	if (!s)
		wrong_type(c, path, key, "a string without zero bytes");
	return s ? s : dflt;
}

bool json_flag(struct json_ctx *c, struct json_object *obj, const char *path, const char *key, bool dflt)
{
	struct json_object *v = field(c, obj, key);

	if (!v)
		return dflt;
	if (!json_object_is_type(v, json_type_boolean))
		wrong_type(c, path, key, "true or false");
	return json_object_get_boolean(v);
}

int64_t json_int(struct json_ctx *c, struct json_object *obj, const char *path, const char *key, int64_t min,
		 int64_t max, int64_t dflt)
{
	struct json_object *v = field(c, obj, key);
	int64_t n;

	if (!v)
		return dflt;
	if (!json_object_is_type(v, json_type_int)) {
		wrong_type(c, path, key, "a whole number");
		return dflt;
	}
	n = json_object_get_int64(v);
	if (n < min || n > max || json_object_get_uint64(v) > (uint64_t)INT64_MAX) {
		json_fail(c, "%s%s%s: must be from %lld to %lld", path, *path ? "." : "", key, (long long)min,
			  (long long)max);
		return dflt;
	}
	return n;
}

uint64_t json_u64(struct json_ctx *c, struct json_object *obj, const char *path, const char *key, uint64_t max,
		  uint64_t dflt)
{
	struct json_object *v = field(c, obj, key);
	const char *text;

	if (!v)
		return dflt;
	text = json_object_to_json_string(v);
	errno = 0;
	if (!json_object_is_type(v, json_type_int) || text[0] == '-' || json_object_get_uint64(v) > max) {
		json_fail(c, "%s%s%s: must be a whole number from 0 to %llu", path, *path ? "." : "", key,
			  (unsigned long long)max);
		return dflt;
	}
	return json_object_get_uint64(v);
}

struct json_object *json_obj(struct json_ctx *c, struct json_object *obj, const char *path, const char *key)
{
	struct json_object *v = field(c, obj, key);

	if (v && !json_object_is_type(v, json_type_object)) {
		wrong_type(c, path, key, "an object");
		return NULL;
	}
	return v;
}

struct json_object *json_arr(struct json_ctx *c, struct json_object *obj, const char *path, const char *key,
			     size_t max, size_t *count)
{
	struct json_object *v = field(c, obj, key);

	*count = 0;
	if (!v)
		return NULL;
	if (!json_object_is_type(v, json_type_array)) {
		wrong_type(c, path, key, "an array");
		return NULL;
	}
	if (json_object_array_length(v) > max) {
		json_fail(c, "%s%s%s: more than %zu elements", path, *path ? "." : "", key, max);
		return NULL;
	}
	*count = json_object_array_length(v);
	return v;
}

struct json_object *json_elem(struct json_ctx *c, struct json_object *arr, const char *path, size_t i)
{
	struct json_object *v;

	if (c->failed)
		return NULL;
	v = json_object_array_get_idx(arr, i);
	if (!json_object_is_type(v, json_type_object)) {
		json_fail(c, "%s[%zu]: must be an object", path, i);
		return NULL;
	}
	return v;
}

const char **json_strs(struct json_ctx *c, struct json_object *obj, const char *path, const char *key,
		       size_t *count)
{
	size_t n;
	struct json_object *arr = json_arr(c, obj, path, key, STRINGS_MAX, &n);
	const char **list = calloc(n + 1, sizeof(*list));

	BUG_ON(!list);
	for (size_t i = 0; i < n; i++) {
		struct json_object *v = json_object_array_get_idx(arr, i);

		list[i] = v ? string_of(v) : NULL;
		if (list[i])
			continue;
		json_fail(c, "%s%s%s[%zu]: must be a string without zero bytes", path, *path ? "." : "", key,
			  i);
		list[i] = "";
	}
	if (count)
		*count = n;
	return list;
}

struct json_object *json_copy(struct json_object *o)
{
	struct json_object *copy = NULL;

	BUG_ON(o && json_object_deep_copy(o, &copy, NULL) < 0);
	return copy;
}
