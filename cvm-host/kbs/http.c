/* http.c: one strict pass over a message head. */
#include "cvm-host/kbs/http.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool token_char(unsigned char c)
{
	return isalnum(c) || (c && strchr("!#$%&'*+-.^_`|~", c));
}

bool http_is(const struct http_part *p, const char *s)
{
	return p && p->len == strlen(s) && !memcmp(p->s, s, p->len);
}

static bool is_nocase(const struct http_part *p, const char *s)
{
	return p->len == strlen(s) && !strncasecmp(p->s, s, p->len);
}

const struct http_part *http_header(const struct http_head *h, const char *name)
{
	const struct http_part *found = NULL;

	for (size_t i = 0; i < h->count; i++) {
		if (!is_nocase(&h->name[i], name))
			continue;
		if (found)
			return NULL;
		found = &h->value[i];
	}
	return found;
}

/* method SP origin-form SP HTTP/1.1 */
static int parse_request_line(const char *s, size_t len, struct http_head *h)
{
	const char *end = s + len, *p = s;

	while (p < end && token_char((unsigned char)*p))
		p++;
	h->method = (struct http_part){s, (size_t)(p - s)};
	if (p == s || p == end || *p++ != ' ')
		return -EBADMSG;
	s = p;
	while (p<end && * p> 0x20 && *p < 0x7f)
		p++;
	h->target = (struct http_part){s, (size_t)(p - s)};
	if (p == s || *s != '/' || end - p != 9)
		return -EBADMSG;
	if (!memcmp(p, " HTTP/1.1", 9))
		return 0;
	return !memcmp(p, " HTTP/", 6) ? -EPROTONOSUPPORT : -EBADMSG;
}

/* HTTP/1.1 SP 3DIGIT SP reason */
static int parse_status_line(const char *s, size_t len, struct http_head *h)
{
	if (len < 12 || memcmp(s, "HTTP/1.", 7) != 0 || s[8] != ' ' || (len > 12 && s[12] != ' '))
		return -EBADMSG;
	for (int i = 9; i < 12; i++) {
		if (!isdigit((unsigned char)s[i]))
			return -EBADMSG;
		h->status = h->status * 10 + s[i] - '0';
	}
	if (s[7] == '0')
		h->keep_alive = false;
	else if (s[7] != '1')
		return -EPROTONOSUPPORT;
	return h->status < 100 ? -EBADMSG : 0;
}

static int parse_field(const char *s, size_t len, struct http_head *h)
{
	const char *end = s + len, *p = s;

	if (h->count == HTTP_HEADERS_MAX)
		return -EMSGSIZE;
	while (p < end && token_char((unsigned char)*p))
		p++;
	if (p == s || p == end || *p != ':')
		return -EBADMSG;
	h->name[h->count] = (struct http_part){s, (size_t)(p - s)};
	p++;
	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	while (end > p && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	for (const char *q = p; q < end; q++)
		if (((unsigned char)*q < 0x20 && *q != '\t') || *q == 0x7f)
			return -EBADMSG;
	h->value[h->count++] = (struct http_part){p, (size_t)(end - p)};
	return 0;
}

static int body_length(struct http_head *h, size_t max)
{
	const struct http_part *len = http_header(h, "content-length"), *conn = http_header(h, "connection");
	size_t n = 0;

	for (size_t i = 0; i < h->count; i++) {
		if (is_nocase(&h->name[i], "transfer-encoding"))
			return -EPROTONOSUPPORT;
		if (is_nocase(&h->name[i], "content-length") && !len)
			return -EBADMSG;
	}
	if (conn && is_nocase(conn, "close"))
		h->keep_alive = false;
	if (!len)
		return 0;
	if (!len->len || len->len > 10)
		return -EBADMSG;
	for (size_t i = 0; i < len->len; i++) {
		if (!isdigit((unsigned char)len->s[i]))
			return -EBADMSG;
		n = n * 10 + (size_t)(len->s[i] - '0');
	}
	if (n > max)
		return -EMSGSIZE;
	h->body = n;
	return 0;
}

int http_parse(const char *buf, size_t size, bool response, size_t body_max, struct http_head *out)
{
	size_t limit = MIN(size, (size_t)HTTP_HEAD_MAX), line = 0;
	bool first = true;
	int ret;

	*out = (struct http_head){.keep_alive = true};
	for (size_t i = 0; i < limit; i++) {
		if (buf[i] == '\n' || !buf[i])
			return -EBADMSG;
		if (buf[i] != '\r')
			continue;
		if (i + 1 == limit)
			break;
		if (buf[i + 1] != '\n')
			return -EBADMSG;
		if (i == line && !first) {
			out->size = i + 2;
			ret = body_length(out, body_max);
			return ret ? ret : 1;
		}
		if (!first)
			ret = parse_field(buf + line, i - line, out);
		else
			ret = response ? parse_status_line(buf + line, i, out)
				       : parse_request_line(buf + line, i, out);
		if (ret)
			return ret;
		first = false;
		line = i + 2;
		i++;
	}
	return size >= HTTP_HEAD_MAX ? -EMSGSIZE : 0;
}

char *http_cookie(const struct http_head *h, const char *header, const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < h->count; i++) {
		const char *p = h->value[i].s, *end = p + h->value[i].len;

		if (!is_nocase(&h->name[i], header))
			continue;
		while (p < end) {
			const char *semi = memchr(p, ';', (size_t)(end - p)), *stop = semi ? semi : end;

			if ((size_t)(stop - p) > n && !memcmp(p, name, n) && p[n] == '=') {
				char *v = strndup(p + n + 1, (size_t)(stop - p) - n - 1);

				if (!v)
					abort();
				return v;
			}
			p = semi ? semi + 1 : end;
			while (p < end && *p == ' ')
				p++;
		}
	}
	return NULL;
}

const char *http_reason(int status)
{
	static const struct {
		int status;
		const char *reason;
	} known[] = {{200, "OK"},	    {400, "Bad Request"},	 {401, "Unauthorized"},
		     {403, "Forbidden"},    {404, "Not Found"},		 {405, "Method Not Allowed"},
		     {409, "Conflict"},	    {413, "Content Too Large"},	 {429, "Too Many Requests"},
		     {500, "Server Error"}, {503, "Service Unavailable"}};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (known[i].status == status)
			return known[i].reason;
	return "Status";
}
