/* json.h: reads fields of a JSON document (json-c) with checks, and remembers the first thing that was wrong
 * in one line: what, where, why. Later reads of a document that failed once do nothing, so a caller reads
 * everything and asks once at the end. */
#pragma once

#include "platform/base/attr.h"

struct json_object;

struct json_ctx {
	const char *file; /* named in messages */
	char *err;	  /* size err_size; filled in on the first failure */
	size_t err_size;
	bool failed;
};

/* Parses a file of at most 16 MiB. NULL after a message. json_object_put frees it. */
struct json_object *json_load(struct json_ctx *c, const char *path);
/* The same from memory. */
struct json_object *json_parse(struct json_ctx *c, const char *text, size_t size);

PRINTF_LIKE(2, 3) void json_fail(struct json_ctx *c, const char *fmt, ...);

/* Field key of obj (NULL: as if missing). path names obj in messages. Missing or null: the default.
 * Strings are borrowed from the document; one with a zero byte inside is refused. */
const char *json_str(struct json_ctx *c, struct json_object *obj, const char *path, const char *key,
		     const char *dflt);
bool json_flag(struct json_ctx *c, struct json_object *obj, const char *path, const char *key, bool dflt);
int64_t json_int(struct json_ctx *c, struct json_object *obj, const char *path, const char *key, int64_t min,
		 int64_t max, int64_t dflt);
uint64_t json_u64(struct json_ctx *c, struct json_object *obj, const char *path, const char *key, uint64_t max,
		  uint64_t dflt);
bool json_has(struct json_object *obj, const char *key);
struct json_object *json_obj(struct json_ctx *c, struct json_object *obj, const char *path, const char *key);
/* An array and its length; NULL and 0 when missing. At most max elements. */
struct json_object *json_arr(struct json_ctx *c, struct json_object *obj, const char *path, const char *key,
			     size_t max, size_t *count);
/* Element i, which must be an object. NULL after a failure. */
struct json_object *json_elem(struct json_ctx *c, struct json_object *arr, const char *path, size_t i);
/* An array of strings as a NULL-terminated list (malloc; the strings are borrowed); never NULL. */
const char **json_strs(struct json_ctx *c, struct json_object *obj, const char *path, const char *key,
		       size_t *count);
/* A copy of its own (json_object_put); NULL of NULL. */
struct json_object *json_copy(struct json_object *o);
