/* json.c: strict reading over jansson, canonical writing of our own. */
#include "cvm-host/kbs/json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 32

/* jansson recurses; a text that nests deeper than any of ours is refused before it does. */
static bool too_deep(const char *s, size_t size)
{
	bool quoted = false;
	int depth = 0;

	for (size_t i = 0; i < size; i++) {
		if (quoted) {
			if (s[i] == '\\')
				i++;
			else if (s[i] == '"')
				quoted = false;
		} else if (s[i] == '"') {
			quoted = true;
		} else if (s[i] == '[' || s[i] == '{') {
			if (++depth > DEPTH_MAX)
				return true;
		} else if (s[i] == ']' || s[i] == '}') {
			depth--;
		}
	}
	return false;
}

int json_read(const void *text, size_t size, size_t max, json_t **out, struct err *e)
{
	json_error_t je;
	json_t *v;

	if (size > max)
		return err_set(e, -EMSGSIZE, "JSON text of %zu bytes, %zu at most", size, max);
	if (too_deep(text, size))
		return err_set(e, -EINVAL, "JSON text nests deeper than %d", DEPTH_MAX);
	v = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &je);
	if (!v)
		return err_set(e, -EINVAL, "JSON: %s at byte %d", je.text, je.position);
	*out = v;
	return 0;
}

int json_read_file(const char *path, size_t max, json_t **out, struct err *e)
{
	struct blob b = {0};
	int ret = load_file(path, max, &b, e);

	if (!ret) {
		ret = json_read(b.data, b.size, max, out, e);
		if (ret)
			err_in(e, ret, path);
	}
	blob_free(&b);
	return ret;
}

const char *json_need_string(const json_t *obj, const char *name, struct err *e)
{
	const json_t *v = json_object_get(obj, name);

	if (!json_is_string(v)) {
		err_set(e, -EINVAL, "member %s is missing or no string", name);
		return NULL;
	}
	return json_string_value(v); /* jansson refuses \u0000 unless asked for it */
}

json_t *json_need_object(const json_t *obj, const char *name, struct err *e)
{
	json_t *v = json_object_get(obj, name);

	if (!json_is_object(v)) {
		err_set(e, -EINVAL, "member %s is missing or no object", name);
		return NULL;
	}
	return v;
}

json_t *json_need_array(const json_t *obj, const char *name, struct err *e)
{
	json_t *v = json_object_get(obj, name);

	if (!json_is_array(v)) {
		err_set(e, -EINVAL, "member %s is missing or no array", name);
		return NULL;
	}
	return v;
}

int json_opt_int(const json_t *obj, const char *name, int64_t lo, int64_t hi, int64_t dflt, int64_t *out,
		 struct err *e)
{
	const json_t *v = json_object_get(obj, name);
	int64_t n;

	if (!v) {
		*out = dflt;
		return 0;
	}
	n = json_integer_value(v);
	if (!json_is_integer(v) || n < lo || n > hi)
		return err_set(e, -EINVAL, "member %s is no integer in %lld..%lld", name, (long long)lo,
			       (long long)hi);
	*out = n;
	return 0;
}

int json_need_b64url(const json_t *obj, const char *name, size_t size, struct blob *out, struct err *e)
{
	const char *s = json_need_string(obj, name, e);
	struct blob b = {0};

	if (!s)
		return -EINVAL;
	if (b64url_decode(s, strlen(s), &b) < 0)
		return err_set(e, -EINVAL, "member %s is not base64url", name);
	if (size && b.size != size) {
		blob_free(&b);
		return err_set(e, -EINVAL, "member %s has not %zu bytes", name, size);
	}
	blob_free(out);
	*out = b;
	return 0;
}

int json_only(const json_t *obj, const char *const *names, struct err *e)
{
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)(uintptr_t)obj, key, v)
	{
		const char *const *n = names;

		while (*n && strcmp(*n, key) != 0)
			n++;
		if (!*n)
			return err_set(e, -EINVAL, "unknown member %.80s", key);
	}
	return 0;
}

/* ---- RFC 8785 ------------------------------------------------------------------------------------------- */

static void put(struct blob *o, const char *s)
{
	blob_add(o, s, strlen(s));
}

static void put_string(struct blob *o, const char *s, size_t len)
{
	static const char *const named[] = {
		['\b'] = "\\b", ['\t'] = "\\t", ['\n'] = "\\n", ['\f'] = "\\f", ['\r'] = "\\r"};
	size_t start = 0;

	put(o, "\"");
	for (size_t i = 0; i <= len; i++) {
		uint8_t c = i < len ? (uint8_t)s[i] : 0;
		char esc[8];

		if (i < len && c >= 0x20 && c != '"' && c != '\\')
			continue;
		blob_add(o, s + start, i - start);
		start = i + 1;
		if (i == len)
			break;
		if (c >= 0x20)
			snprintf(esc, sizeof(esc), "\\%c", c);
		else if (c < ARRAY_SIZE(named) && named[c])
			snprintf(esc, sizeof(esc), "%s", named[c]);
		else
			snprintf(esc, sizeof(esc), "\\u%04x", c);
		put(o, esc);
	}
	put(o, "\"");
}

/* Section 3.2.3: names are ordered by their UTF-16 code units. That differs from the order of the UTF-8 bytes
 * only between U+E000..U+FFFF (EE, EF) and what is above (F0..F4, surrogates in UTF-16). */
static int name_order(const void *a, const void *b)
{
	const uint8_t *x = *(const uint8_t *const *)a, *y = *(const uint8_t *const *)b;

	while (*x && *x == *y) {
		x++;
		y++;
	}
	if (*x >= 0xee && *y >= 0xee && (*x >= 0xf0) != (*y >= 0xf0))
		return *x >= 0xf0 ? -1 : 1;
	return *x < *y ? -1 : *x > *y;
}

static int put_value(struct blob *o, const json_t *v, struct err *e);

static int put_object(struct blob *o, const json_t *v, struct err *e)
{
	size_t count = json_object_size(v), i = 0;
	const char **names = xcalloc(count, sizeof(*names)), *key;
	json_t *member;
	int ret = 0;

	json_object_foreach((json_t *)(uintptr_t)v, key, member) names[i++] = key;
	qsort(names, count, sizeof(*names), name_order);
	put(o, "{");
	for (i = 0; i < count && !ret; i++) {
		if (i)
			put(o, ",");
		put_string(o, names[i], strlen(names[i]));
		put(o, ":");
		ret = put_value(o, json_object_get(v, names[i]), e);
	}
	put(o, "}");
	free(names);
	return ret;
}

static int put_value(struct blob *o, const json_t *v, struct err *e)
{
	char num[32];
	int ret = 0;

	switch (json_typeof(v)) {
	case JSON_OBJECT:
		return put_object(o, v, e);
	case JSON_ARRAY:
		put(o, "[");
		for (size_t i = 0; i < json_array_size(v) && !ret; i++) {
			if (i)
				put(o, ",");
			ret = put_value(o, json_array_get(v, i), e);
		}
		put(o, "]");
		return ret;
	case JSON_STRING:
		put_string(o, json_string_value(v), json_string_length(v));
		return 0;
	case JSON_INTEGER:
		if (llabs(json_integer_value(v)) > 1LL << 53)
			return err_set(e, -EINVAL, "an integer above 2^53 has no canonical form");
		snprintf(num, sizeof(num), "%lld", (long long)json_integer_value(v));
		put(o, num);
		return 0;
	case JSON_REAL:
		return err_set(e, -EINVAL, "fractions have no canonical form here");
	case JSON_TRUE:
		put(o, "true");
		return 0;
	case JSON_FALSE:
		put(o, "false");
		return 0;
	default:
		put(o, "null");
		return 0;
	}
}

int json_canonical(const json_t *v, struct blob *out, struct err *e)
{
	struct blob o = {0};
	int ret = put_value(&o, v, e);

	if (ret) {
		blob_free(&o);
		return ret;
	}
	blob_free(out);
	*out = o;
	return 0;
}
