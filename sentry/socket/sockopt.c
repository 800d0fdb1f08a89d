/* sockopt.c: the SOL_SOCKET options that mean the same for every family (socket(7)). */
#include <string.h>

#include "platform/abi/errno.h"
#include "platform/abi/prctl.h"
#include "platform/abi/socket.h"
#include "platform/base/clock.h"
#include "sentry/socket/filter.h"
#include "sentry/socket/socket.h"

#define SNDBUF_MIN    4608
#define RCVBUF_MIN    2304
#define BUF_FORCE_MAX (8 * 1024 * 1024)

/* Options that are a remembered boolean. */
static const uint64_t boolean_options =
	1ULL << LINUX_SO_DEBUG | 1ULL << LINUX_SO_REUSEADDR | 1ULL << LINUX_SO_DONTROUTE |
	1ULL << LINUX_SO_BROADCAST | 1ULL << LINUX_SO_KEEPALIVE | 1ULL << LINUX_SO_OOBINLINE |
	1ULL << LINUX_SO_NO_CHECK | 1ULL << LINUX_SO_REUSEPORT | 1ULL << LINUX_SO_PASSCRED |
	1ULL << LINUX_SO_PASSSEC | 1ULL << LINUX_SO_TIMESTAMP | 1ULL << LINUX_SO_TIMESTAMPNS |
	1ULL << LINUX_SO_RXQ_OVFL | 1ULL << LINUX_SO_SELECT_ERR_QUEUE | 1ULL << LINUX_SO_ZEROCOPY;

static bool may(const struct sock_caller *c, int cap)
{
	return c && c->at && c->at->cred && cred_has_cap(c->at->cred, cap);
}

static void option_set(struct socket *s, int name, bool on)
{
	if (on)
		__atomic_or_fetch(&s->options, 1ULL << name, __ATOMIC_RELAXED);
	else
		__atomic_and_fetch(&s->options, ~(1ULL << name), __ATOMIC_RELAXED);
}

/* The kernel doubles what is asked for, to make room for its own overhead. */
static void buf_set(int32_t *buf, int64_t v, int64_t max, int32_t min)
{
	v = MIN(MAX(v, (int64_t)0), max) * 2;
	__atomic_store_n(buf, MAX((int32_t)v, min), __ATOMIC_RELAXED);
}

static int set_timeout(uint64_t *timeout, const void *val, uint32_t len)
{
	struct linux_timeval tv;
	uint64_t ns;

	if (len < sizeof(tv))
		return -EINVAL;
	memcpy(&tv, val, sizeof(tv));
	if (tv.tv_usec < 0 || tv.tv_usec >= 1000000)
		return -EDOM;
	if (tv.tv_sec < 0)
		ns = 1; /* at once */
	else if ((uint64_t)tv.tv_sec > UINT64_MAX / NSEC_PER_SEC / 4)
		ns = 0; /* for ever */
	else
		ns = (uint64_t)tv.tv_sec * NSEC_PER_SEC + (uint64_t)tv.tv_usec * 1000;
	__atomic_store_n(timeout, ns, __ATOMIC_RELAXED);
	return 0;
}

static int set_linger(struct socket *s, const void *val, uint32_t len)
{
	int32_t v[2];

	if (len < sizeof(v))
		return -EINVAL;
	memcpy(v, val, sizeof(v));
	__atomic_store_n(&s->linger, MAX(v[1], 0), __ATOMIC_RELAXED);
	option_set(s, LINUX_SO_LINGER, v[0] != 0);
	return 0;
}

static int set_int(struct socket *s, const struct sock_caller *c, int name, int32_t v)
{
	switch (name) {
	case LINUX_SO_SNDBUF:
		buf_set(&s->sndbuf, (uint32_t)v, SOCKET_BUF_MAX, SNDBUF_MIN);
		break;
	case LINUX_SO_RCVBUF:
		buf_set(&s->rcvbuf, (uint32_t)v, SOCKET_BUF_MAX, RCVBUF_MIN);
		break;
	case LINUX_SO_SNDBUFFORCE:
	case LINUX_SO_RCVBUFFORCE:
		if (!may(c, LINUX_CAP_NET_ADMIN))
			return -EPERM;
		if (name == LINUX_SO_SNDBUFFORCE)
			buf_set(&s->sndbuf, v, BUF_FORCE_MAX, SNDBUF_MIN);
		else
			buf_set(&s->rcvbuf, v, BUF_FORCE_MAX, RCVBUF_MIN);
		break;
	case LINUX_SO_PRIORITY:
		if ((v < 0 || v > 6) && !may(c, LINUX_CAP_NET_ADMIN))
			return -EPERM;
		__atomic_store_n(&s->priority, v, __ATOMIC_RELAXED);
		break;
	case LINUX_SO_MARK:
		if (!may(c, LINUX_CAP_NET_ADMIN))
			return -EPERM;
		__atomic_store_n(&s->mark, v, __ATOMIC_RELAXED);
		break;
	case LINUX_SO_RCVLOWAT:
		if (v < 0)
			v = INT32_MAX;
		__atomic_store_n(&s->rcvlowat, v ? v : 1, __ATOMIC_RELAXED);
		break;
	case LINUX_SO_BUSY_POLL:
	case LINUX_SO_PREFER_BUSY_POLL:
	case LINUX_SO_INCOMING_CPU:
		break; /* hints */
	default:
		return -ENOPROTOOPT;
	}
	return 0;
}

int socket_setsockopt_generic(struct socket *s, const struct sock_caller *c, int level, int name,
			      const void *val, uint32_t len)
{
	int32_t v;

	if (level != LINUX_SOL_SOCKET)
		return -ENOPROTOOPT;
	switch (name) {
	case LINUX_SO_RCVTIMEO:
	case LINUX_SO_RCVTIMEO_NEW:
		return set_timeout(&s->rcvtimeo, val, len);
	case LINUX_SO_SNDTIMEO:
	case LINUX_SO_SNDTIMEO_NEW:
		return set_timeout(&s->sndtimeo, val, len);
	case LINUX_SO_LINGER:
		return set_linger(s, val, len);
	}
	if (socket_filter_option(name))
		return socket_filter_set(s, c, name, val, len);
	if (len < sizeof(v))
		return -EINVAL;
	memcpy(&v, val, sizeof(v));
	if (name > 0 && name < 64 && (boolean_options >> name & 1)) {
		if (name == LINUX_SO_DEBUG && v && !may(c, LINUX_CAP_NET_ADMIN))
			return -EACCES;
		option_set(s, name, v != 0);
		return 0;
	}
	return set_int(s, c, name, v);
}

int socket_option_put(void *val, uint32_t *len, const void *v, uint32_t n)
{
	*len = MIN(*len, n);
	memcpy(val, v, *len);
	return 0;
}

static int get_timeout(uint64_t ns, void *val, uint32_t *len)
{
	struct linux_timeval tv = {(int64_t)(ns / NSEC_PER_SEC), (int64_t)(ns % NSEC_PER_SEC / 1000)};

	return socket_option_put(val, len, &tv, sizeof(tv));
}

static int get_int(struct socket *s, int name, int32_t *v)
{
	switch (name) {
	case LINUX_SO_TYPE:
		*v = s->type;
		break;
	case LINUX_SO_DOMAIN:
		*v = s->family;
		break;
	case LINUX_SO_PROTOCOL:
		*v = s->protocol;
		break;
	case LINUX_SO_ERROR:
		*v = socket_take_error(s);
		break;
	case LINUX_SO_SNDBUF:
		*v = s->sndbuf;
		break;
	case LINUX_SO_RCVBUF:
		*v = s->rcvbuf;
		break;
	case LINUX_SO_PRIORITY:
		*v = s->priority;
		break;
	case LINUX_SO_MARK:
		*v = s->mark;
		break;
	case LINUX_SO_RCVLOWAT:
		*v = s->rcvlowat;
		break;
	case LINUX_SO_SNDLOWAT:
		*v = 1;
		break;
	case LINUX_SO_ACCEPTCONN:
	case LINUX_SO_BUSY_POLL:
	case LINUX_SO_PREFER_BUSY_POLL:
	case LINUX_SO_INCOMING_CPU:
	case LINUX_SO_TIMESTAMPING:
	case LINUX_SO_WIFI_STATUS:
	case LINUX_SO_NOFCS:
	case LINUX_SO_INCOMING_NAPI_ID:
		*v = 0;
		break;
	case LINUX_SO_LOCK_FILTER:
		*v = s->filter_fixed;
		break;
	case LINUX_SO_BPF_EXTENSIONS:
		*v = 64;
		break;
	default:
		return -ENOPROTOOPT;
	}
	return 0;
}

int socket_getsockopt_generic(struct socket *s, const struct sock_caller *c, int level, int name, void *val,
			      uint32_t *len)
{
	int32_t v, pair[2];
	uint64_t wide;
	int ret;

	(void)c;
	if (level != LINUX_SOL_SOCKET)
		return -ENOPROTOOPT;
	switch (name) {
	case LINUX_SO_RCVTIMEO:
	case LINUX_SO_RCVTIMEO_NEW:
		return get_timeout(s->rcvtimeo, val, len);
	case LINUX_SO_SNDTIMEO:
	case LINUX_SO_SNDTIMEO_NEW:
		return get_timeout(s->sndtimeo, val, len);
	case LINUX_SO_LINGER:
		pair[0] = socket_option(s, LINUX_SO_LINGER);
		pair[1] = s->linger;
		return socket_option_put(val, len, pair, sizeof(pair));
	case LINUX_SO_COOKIE:
	case LINUX_SO_NETNS_COOKIE:
		if (*len < sizeof(wide))
			return -EINVAL;
		wide = name == LINUX_SO_COOKIE ? s->ino : 1;
		return socket_option_put(val, len, &wide, sizeof(wide));
	}
	if (name > 0 && name < 64 && (boolean_options >> name & 1))
		v = socket_option(s, name);
	else if ((ret = get_int(s, name, &v)) < 0)
		return ret;
	return socket_option_put(val, len, &v, sizeof(v));
}
