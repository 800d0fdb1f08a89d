/* http.h: as much of HTTP/1.1 (RFC 9112) as the protocol uses: one message head and a body with Content-Length.
 * Everything else is refused: folded lines, bare CR or LF, two lengths, transfer codings, other versions. Pure.
 */
#pragma once

#include "cvm-host/kbs/util.h"

#define HTTP_HEAD_MAX	 8192
#define HTTP_HEADERS_MAX 48

struct http_part {
	const char *s; /* into the parsed bytes, not terminated */
	size_t len;
};

struct http_head {
	struct http_part method, target; /* of a request; the target is in origin form */
	int status;			 /* of a response */
	struct http_part name[HTTP_HEADERS_MAX], value[HTTP_HEADERS_MAX];
	size_t count;
	size_t size;	 /* of the head with its empty line */
	size_t body;	 /* Content-Length, 0 without one */
	bool keep_alive; /* neither side said Connection: close */
};

/* 1: parsed; 0: more bytes are needed; -EBADMSG, -EMSGSIZE (head or body over the limit), -EPROTONOSUPPORT. */
MUST_CHECK int http_parse(const char *buf, size_t size, bool response, size_t body_max, struct http_head *out);
/* The header's value, or NULL when it is missing or there twice. Names are compared without case. */
const struct http_part *http_header(const struct http_head *h, const char *name);
bool http_is(const struct http_part *p, const char *s);
/* The value of a cookie (RFC 6265 section 4.2) as a new string; NULL when there is none. */
char *http_cookie(const struct http_head *h, const char *header, const char *name);
const char *http_reason(int status);
