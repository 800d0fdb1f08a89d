/* json.h: what we ask of jansson: strict parsing, typed members with words when they are missing, and the
 * canonical form of RFC 8785 (JCS) for values without fractions. */
#pragma once

#include <jansson.h>

#include "cvm-host/kbs/util.h"

/* Refuses duplicate names, trailing bytes and texts above max bytes. The caller owns *out (json_decref). */
MUST_CHECK int json_read(const void *text, size_t size, size_t max, json_t **out, struct err *e);
MUST_CHECK int json_read_file(const char *path, size_t max, json_t **out, struct err *e);
/* The member as a string without NUL bytes, borrowed from obj; NULL (and e) when it is not one. */
const char *json_need_string(const json_t *obj, const char *name, struct err *e);
/* Borrowed; NULL and e when it is missing or no object/array. */
json_t *json_need_object(const json_t *obj, const char *name, struct err *e);
json_t *json_need_array(const json_t *obj, const char *name, struct err *e);
/* Integer within [lo, hi]; dflt when the member is missing. -EINVAL otherwise. */
MUST_CHECK int json_opt_int(const json_t *obj, const char *name, int64_t lo, int64_t hi, int64_t dflt,
			    int64_t *out, struct err *e);
/* The member decoded; exactly size bytes if size isn't 0. */
MUST_CHECK int json_need_b64url(const json_t *obj, const char *name, size_t size, struct blob *out,
				struct err *e);
/* Every member's name is in the NULL-terminated list; otherwise -EINVAL names the stranger. */
MUST_CHECK int json_only(const json_t *obj, const char *const *names, struct err *e);
/* RFC 8785; reals are refused (-EINVAL), integers must be within 2^53. */
MUST_CHECK int json_canonical(const json_t *v, struct blob *out, struct err *e);
