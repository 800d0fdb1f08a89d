/* hints.c: SOL_SOCKET options of the IP families that are remembered and shown, since what they would change
 * (queues of cards, spreading over processors, routes by flow) isn't there. */
#include "sentry/socket/inet/internal.h"

#include <string.h>

static const struct hint {
	int name;
	uint8_t slot;
	bool is_bool, tcp_only;
	int32_t min, max;
} hints[] = {
	{LINUX_SO_INCOMING_CPU, HINT_CPU, false, false, INT32_MIN, INT32_MAX},
	{LINUX_SO_BUSY_POLL, HINT_BUSY, false, false, 0, INT32_MAX},
	{LINUX_SO_TXREHASH, HINT_REHASH, false, true, -1, 1},
	{LINUX_SO_RCVMARK, HINT_RCVMARK, true, false, INT32_MIN, INT32_MAX},
	{LINUX_SO_NOFCS, HINT_NOFCS, true, false, INT32_MIN, INT32_MAX},
	{LINUX_SO_WIFI_STATUS, HINT_WIFI, true, false, INT32_MIN, INT32_MAX},
};

static const struct hint *find(int name)
{
	for (uint32_t n = 0; n < ARRAY_SIZE(hints); n++)
		if (hints[n].name == name)
			return &hints[n];
	return NULL;
}

void inet_hints_init(struct inet_sock *i)
{
	i->hints[HINT_CPU] = -1;
	i->hints[HINT_REHASH] = 1;
}

/* SO_BUF_LOCK: which buffer sizes are the program's own. */
static int set_buf_lock(struct inet_sock *i, int32_t v)
{
	struct net_opts *o = net_sock_opts(i->sk);

	if (v & ~3)
		return -EINVAL;
	if ((v & 1) && !o->sndbuf_set)
		o->sndbuf = inet_buffer_size(i, true);
	if ((v & 2) && !o->rcvbuf_set)
		o->rcvbuf = inet_buffer_size(i, false);
	o->sndbuf_set = v & 1;
	o->rcvbuf_set = (v & 2) != 0;
	net_sock_buffers_changed(i->sk);
	return 0;
}

int inet_hint_set(struct inet_sock *i, int name, const void *val, uint32_t len)
{
	const struct hint *h = find(name);
	int32_t v;

	if (!h && name != LINUX_SO_BUF_LOCK && name != LINUX_SO_PEEK_OFF && name != LINUX_SO_RESERVE_MEM)
		return 1;
	if (len < sizeof(v))
		return -EINVAL;
	memcpy(&v, val, sizeof(v));
	if (name == LINUX_SO_BUF_LOCK)
		return set_buf_lock(i, v);
	if (name == LINUX_SO_PEEK_OFF) /* -1, the default, is all there is */
		return i->s.type == LINUX_SOCK_RAW || v >= 0 ? -EOPNOTSUPP : 0;
	if (name == LINUX_SO_RESERVE_MEM) /* there are no control groups that account for it */
		return v < 0 ? -EINVAL : v ? -EOPNOTSUPP : 0;
	if (h->tcp_only && i->s.type != LINUX_SOCK_STREAM)
		return -EOPNOTSUPP;
	if (v < h->min || v > h->max)
		return -EINVAL;
	if (name == LINUX_SO_TXREHASH && v == -1)
		v = 1; /* the default */
	__atomic_store_n(&i->hints[h->slot], h->is_bool ? v != 0 : v, __ATOMIC_RELAXED);
	return 0;
}

int inet_hint_get(struct inet_sock *i, int name, int32_t *v)
{
	const struct net_opts *o = net_sock_opts(i->sk);
	const struct hint *h = find(name);

	if (name == LINUX_SO_BUF_LOCK) {
		*v = (o->sndbuf_set ? 1 : 0) | (o->rcvbuf_set ? 2 : 0);
		return 0;
	}
	if (name == LINUX_SO_PEEK_OFF) {
		*v = -1;
		return i->s.type == LINUX_SOCK_RAW ? -EOPNOTSUPP : 0;
	}
	if (name == LINUX_SO_RESERVE_MEM) {
		*v = 0;
		return 0;
	}
	if (!h)
		return 1;
	if (h->tcp_only && i->s.type != LINUX_SOCK_STREAM)
		return -EOPNOTSUPP;
	*v = __atomic_load_n(&i->hints[h->slot], __ATOMIC_RELAXED);
	return 0;
}
