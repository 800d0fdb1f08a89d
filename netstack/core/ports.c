/* ports.c: who has which port: bind(2)'s conflicts, ephemeral ports (RFC 6056, algorithm 3), TIME_WAIT, and the
 * best listener or datagram socket for what arrives. One hash of ports a protocol, one lock a bucket; the lock
 * is below the socket's own. Entries in TIME_WAIT go when somebody meets them after their time, or the oldest
 * when there are too many. */
#include "netstack/internal.h"
#include "platform/base/clock.h"
#include "platform/base/hash.h"
#include "platform/base/random.h"

struct net_bucket *port_bucket(struct net_stack *st, int kind, uint16_t port)
{
	return &st->tables[kind]->buckets[hash_u64(port) % PORT_BUCKETS];
}

static struct net_port *find_locked(struct net_bucket *b, uint16_t port)
{
	struct net_port *p;

	for (p = b->ports; p; p = p->next)
		if (p->port == port)
			return p;
	return NULL;
}

static struct net_port *get_locked(struct net_bucket *b, uint16_t port)
{
	struct net_port *p = find_locked(b, port);

	if (p)
		return p;
	p = kmalloc(sizeof(*p));
	if (!p)
		return NULL;
	p->port = port;
	list_init(&p->binds);
	list_init(&p->listeners);
	p->next = b->ports;
	b->ports = p;
	return p;
}

static void drop_if_empty_locked(struct net_bucket *b, struct net_port *p)
{
	struct net_port **at;

	if (!list_empty(&p->binds) || !list_empty(&p->listeners))
		return;
	for (at = &b->ports; *at != p; at = &(*at)->next)
		;
	*at = p->next;
	kfree(p);
}

/* ---- TIME_WAIT ---- */

static void free_tw_locked(struct net_stack *st, struct net_bind *tw)
{
	mutex_lock(&st->tw_lock);
	list_del(&tw->tw_node);
	mutex_unlock(&st->tw_lock);
	__atomic_sub_fetch(&st->tw_count, 1, __ATOMIC_RELAXED);
	list_del(&tw->node);
	kfree(tw);
}

static void expire_locked(struct net_stack *st, struct net_port *p)
{
	struct net_bind *b, *tmp;
	uint64_t now;

	if (__atomic_load_n(&st->tw_count, __ATOMIC_RELAXED) == 0)
		return;
	now = clock_monotonic_ns();
	list_for_each_safe (b, tmp, &p->binds, node)
		if (!b->sk && b->expires <= now)
			free_tw_locked(st, b);
}

/* The oldest goes: its port's bucket is locked, and then it is looked at again. */
static void evict(struct net_stack *st)
{
	struct net_bind *oldest, *b, *tmp;
	struct net_bucket *bucket;
	struct net_port *p;
	uint64_t expires;
	uint16_t port;

	mutex_lock(&st->tw_lock);
	oldest = list_first(&st->tw, struct net_bind, tw_node);
	port = oldest ? oldest->port : 0;
	expires = oldest ? oldest->expires : 0;
	mutex_unlock(&st->tw_lock);
	if (!oldest)
		return;
	bucket = port_bucket(st, NET_TCP, port);
	mutex_lock(&bucket->lock);
	p = find_locked(bucket, port);
	if (p) {
		list_for_each_safe (b, tmp, &p->binds, node)
			if (!b->sk && b->expires <= expires)
				free_tw_locked(st, b);
		drop_if_empty_locked(bucket, p);
	}
	mutex_unlock(&bucket->lock);
}

void port_time_wait(struct net_sock *sk, bool fin_wait2)
{
	struct net_stack *st = sk->st;
	struct net_bucket *bucket;
	struct net_bind *tw;

	if (!sk->bind.port)
		return;
	if (__atomic_load_n(&st->tw_count, __ATOMIC_RELAXED) >= TIME_WAIT_MAX)
		evict(st);
	tw = kmalloc(sizeof(*tw));
	if (!tw)
		return; /* as Linux under pressure: no TIME_WAIT */
	bucket = port_bucket(st, NET_TCP, sk->bind.port);
	mutex_lock(&bucket->lock);
	if (!sk->bind.on) {
		mutex_unlock(&bucket->lock);
		kfree(tw);
		return;
	}
	*tw = sk->bind;
	tw->sk = NULL;
	tw->listening = false;
	tw->addr = sk->local.addr;
	tw->raddr = sk->remote.addr;
	tw->rport = sk->remote.port;
	tw->any = tw->any6 = false;
	tw->tw_fin_wait2 = fin_wait2;
	tw->expires = clock_monotonic_ns() + TIME_WAIT_NS;
	list_add_tail(&sk->bind.on->binds, &tw->node);
	__atomic_add_fetch(&st->tw_count, 1, __ATOMIC_RELAXED);
	mutex_lock(&st->tw_lock);
	list_add_tail(&st->tw, &tw->tw_node);
	mutex_unlock(&st->tw_lock);
	mutex_unlock(&bucket->lock);
}

void port_time_wait_finished(struct net_sock *sk)
{
	struct net_bucket *bucket = port_bucket(sk->st, NET_TCP, sk->local.port);
	struct net_port *p;
	struct net_bind *b;

	mutex_lock(&bucket->lock);
	p = find_locked(bucket, sk->local.port);
	if (p) {
		list_for_each (b, &p->binds, node)
			if (!b->sk && b->rport == sk->remote.port && net_addr_eq(&b->raddr, &sk->remote.addr) &&
			    net_addr_eq(&b->addr, &sk->local.addr))
				b->tw_fin_wait2 = false;
	}
	mutex_unlock(&bucket->lock);
}

/* ---- conflicts ---- */

static bool addrs_meet(const struct net_bind *a, const struct net_bind *b)
{
	bool a4 = net_addr_is4(&a->addr), b4 = net_addr_is4(&b->addr);

	if (a->any && b->any)
		return a4 == b4 || a->any6 || b->any6;
	if (a->any)
		return a4 == b4 || (b4 && a->any6);
	if (b->any)
		return a4 == b4 || (a4 && b->any6);
	return net_addr_eq(&a->addr, &b->addr);
}

/* A socket's options count as they are now, not as they were when it was bound. */
static bool reuse_of(const struct net_bind *b)
{
	return b->sk ? b->sk->opts.reuseaddr : b->reuse;
}

static bool reuseport_of(const struct net_bind *b)
{
	return b->sk ? b->sk->opts.reuseport : b->reuseport;
}

static bool conflict(int kind, const struct net_bind *a, const struct net_bind *b, bool chosen)
{
	if (a == b || (a->dev && b->dev && a->dev != b->dev))
		return false;
	if (a->reuseport && reuseport_of(b) && (a->uid == b->uid || !b->sk))
		return false;
	if (a->reuse && reuse_of(b) && !b->listening && !(chosen && kind == NET_TCP))
		return false;
	return addrs_meet(a, b);
}

static void describe(struct net_sock *sk, const struct net_addr *addr, struct net_bind *out)
{
	*out = (struct net_bind){
		.sk = sk,
		.addr = *addr,
		.any = net_addr_any(addr),
		.reuse = sk->opts.reuseaddr,
		.reuseport = sk->opts.reuseport,
		.dev = sk->opts.bound_if,
		.uid = sk->uid,
	};
	out->any6 = out->any && !net_addr_is4(addr) && !sk->opts.v6only;
}

static void claim_locked(struct net_sock *sk, struct net_port *p, const struct net_bind *d)
{
	sk->bind = *d;
	sk->bind.on = p;
	sk->bind.port = p->port;
	list_init(&sk->bind.tw_node);
	list_add(&p->binds, &sk->bind.node); /* first: the latest gets datagrams */
}

static int try_bind(struct net_sock *sk, const struct net_bind *d, uint16_t port, bool chosen)
{
	struct net_bucket *bucket = port_bucket(sk->st, sk->kind, port);
	struct net_port *p;
	struct net_bind *b;
	int ret = 0;

	mutex_lock(&bucket->lock);
	p = get_locked(bucket, port);
	if (!p) {
		ret = -ENOMEM;
		goto out;
	}
	expire_locked(sk->st, p);
	list_for_each (b, &p->binds, node)
		if (conflict(sk->kind, d, b, chosen))
			ret = -EADDRINUSE;
	list_for_each (b, &p->listeners, node)
		if (conflict(sk->kind, d, b, chosen))
			ret = -EADDRINUSE;
	if (ret == 0)
		claim_locked(sk, p, d);
	else
		drop_if_empty_locked(bucket, p);
out:
	mutex_unlock(&bucket->lock);
	return ret;
}

int port_bind(struct net_sock *sk, const struct net_addr *addr, uint16_t port)
{
	uint32_t i, range = PORT_LAST - PORT_FIRST + 1, at;
	struct net_bind d;
	int ret = -EADDRINUSE;

	describe(sk, addr, &d);
	if (port) {
		ret = try_bind(sk, &d, port, false);
	} else {
		at = (uint32_t)random_u64() % range;
		for (i = 0; i < range && ret == -EADDRINUSE; i++) {
			port = (uint16_t)(PORT_FIRST + (at + i) % range);
			ret = try_bind(sk, &d, port, true);
		}
	}
	if (ret < 0)
		return ret;
	sk->local.addr = *addr;
	sk->local.port = port;
	return 0;
}

/* A port of connections alone may serve several, if they go to different places. */
static int try_connect(struct net_sock *sk, const struct net_bind *d, uint16_t port, uint64_t now)
{
	struct net_bucket *bucket = port_bucket(sk->st, sk->kind, port);
	struct net_port *p;
	struct net_bind *b;
	int ret = -EADDRINUSE;

	mutex_lock(&bucket->lock);
	p = get_locked(bucket, port);
	if (!p) {
		ret = -ENOMEM;
		goto out;
	}
	expire_locked(sk->st, p);
	if (!list_empty(&p->listeners))
		goto out;
	list_for_each (b, &p->binds, node) {
		if (!b->by_connect)
			goto out;
		if (b->rport != d->rport || !net_addr_eq(&b->raddr, &d->raddr) ||
		    !net_addr_eq(&b->addr, &d->addr))
			continue;
		if (b->sk || b->expires - TIME_WAIT_NS + MSL_REUSE_NS > now)
			goto out;
	}
	claim_locked(sk, p, d);
	ret = 0;
out:
	if (ret < 0 && p)
		drop_if_empty_locked(bucket, p);
	mutex_unlock(&bucket->lock);
	return ret;
}

int port_connect(struct net_sock *sk, const struct net_name *remote)
{
	uint32_t i, range = PORT_LAST - PORT_FIRST + 1, offset;
	uint64_t now = clock_monotonic_ns();
	struct net_bind d;
	uint16_t port;
	int ret = -EADDRINUSE;

	describe(sk, &sk->local.addr, &d);
	d.by_connect = true;
	d.raddr = remote->addr;
	d.rport = remote->port;
	offset = (uint32_t)hash_bytes(sk->st->key ^ remote->port, &remote->addr, sizeof(remote->addr)) +
		 __atomic_fetch_add(&sk->st->port_counter, 2, __ATOMIC_RELAXED);
	for (i = 0; i < range && ret == -EADDRINUSE; i++) {
		port = (uint16_t)(PORT_FIRST + (offset + i) % range);
		ret = try_connect(sk, &d, port, now);
	}
	if (ret < 0)
		return ret == -EADDRINUSE ? -EADDRNOTAVAIL : ret;
	sk->local.port = port;
	return 0;
}

int port_join(struct net_sock *child, struct net_sock *listener)
{
	struct net_bucket *bucket = port_bucket(child->st, child->kind, child->local.port);
	struct net_port *p;
	struct net_bind d;

	describe(child, &child->local.addr, &d);
	d.reuse = listener->bind.reuse;
	d.reuseport = listener->bind.reuseport;
	d.raddr = child->remote.addr;
	d.rport = child->remote.port;
	mutex_lock(&bucket->lock);
	p = get_locked(bucket, child->local.port);
	if (p)
		claim_locked(child, p, &d);
	mutex_unlock(&bucket->lock);
	return p ? 0 : -ENOMEM;
}

void port_release(struct net_sock *sk)
{
	struct net_bucket *bucket;
	struct net_port *p;

	if (!sk->bind.port || sk->kind == NET_RAW)
		return;
	bucket = port_bucket(sk->st, sk->kind, sk->bind.port);
	mutex_lock(&bucket->lock);
	p = sk->bind.on;
	if (p) {
		list_del(&sk->bind.node);
		sk->bind.on = NULL;
		sk->bind.listening = false;
		drop_if_empty_locked(bucket, p);
	}
	mutex_unlock(&bucket->lock);
	sk->bind.port = 0;
}

void port_set_remote(struct net_sock *sk)
{
	struct net_bucket *bucket;

	if (!sk->bind.port)
		return;
	bucket = port_bucket(sk->st, sk->kind, sk->bind.port);
	mutex_lock(&bucket->lock);
	sk->bind.raddr = sk->remote.addr;
	sk->bind.rport = sk->connected ? sk->remote.port : 0;
	sk->bind.addr = sk->local.addr;
	sk->bind.any = net_addr_any(&sk->local.addr);
	sk->bind.any6 = sk->bind.any && sk->family == 6 && !net_addr_is4(&sk->local.addr) && !sk->opts.v6only;
	mutex_unlock(&bucket->lock);
}

int port_set_remote_unique(struct net_sock *sk)
{
	struct net_bucket *bucket = port_bucket(sk->st, sk->kind, sk->bind.port);
	struct net_bind *b;
	bool taken = false;

	mutex_lock(&bucket->lock);
	list_for_each (b, &sk->bind.on->binds, node)
		if (b->sk && b != &sk->bind && b->rport == sk->remote.port &&
		    net_addr_eq(&b->raddr, &sk->remote.addr) && net_addr_eq(&b->addr, &sk->local.addr))
			taken = true;
	mutex_unlock(&bucket->lock);
	if (taken)
		return -EADDRNOTAVAIL;
	port_set_remote(sk);
	return 0;
}

int port_listen(struct net_sock *sk)
{
	struct net_bucket *bucket = port_bucket(sk->st, sk->kind, sk->bind.port);
	struct net_bind *b;
	int ret = 0;

	mutex_lock(&bucket->lock);
	sk->bind.reuse = sk->opts.reuseaddr;
	expire_locked(sk->st, sk->bind.on);
	sk->bind.listening = true;
	list_for_each (b, &sk->bind.on->listeners, node)
		if (conflict(sk->kind, &sk->bind, b, false))
			ret = -EADDRINUSE;
	if (ret == 0) {
		list_del(&sk->bind.node);
		list_add(&sk->bind.on->listeners, &sk->bind.node);
	} else {
		sk->bind.listening = false;
	}
	mutex_unlock(&bucket->lock);
	return ret;
}

void port_unlisten(struct net_sock *sk)
{
	struct net_bucket *bucket = port_bucket(sk->st, sk->kind, sk->bind.port);

	mutex_lock(&bucket->lock);
	if (sk->bind.on && sk->bind.listening) {
		sk->bind.listening = false;
		list_del(&sk->bind.node);
		list_add(&sk->bind.on->binds, &sk->bind.node);
	}
	mutex_unlock(&bucket->lock);
}

/* ---- finding ---- */

/* How well b fits what is for local and comes from remote; -1: not at all. */
static int score(const struct net_bind *b, const struct net_name *local, const struct net_name *remote,
		 uint32_t ifindex)
{
	bool v4 = net_addr_is4(&local->addr), b4 = net_addr_is4(&b->addr);
	int n = 0;

	if (b->any) {
		if (b4 != v4 && !(v4 && b->any6))
			return -1;
		n = b4 == v4 ? 1 : 0;
	} else {
		if (!net_addr_eq(&b->addr, &local->addr))
			return -1;
		n = 4;
	}
	if (b->rport) {
		if (!remote || b->rport != remote->port || !net_addr_eq(&b->raddr, &remote->addr))
			return -1;
		n += 8;
	}
	if (b->dev) {
		if (b->dev != ifindex)
			return -1;
		n += 2;
	}
	return n;
}

static struct net_sock *find_best(struct net_stack *st, const struct list *head, const struct net_name *local,
				  const struct net_name *remote, uint32_t ifindex)
{
	struct net_sock *best = NULL;
	struct net_bind *b;
	uint32_t ties = 0, hash = 0;
	int top = -1, n;

	list_for_each (b, head, node) {
		if (!b->sk)
			continue;
		n = score(b, local, remote, ifindex);
		if (n < 0 || n < top)
			continue;
		if (n > top) {
			top = n;
			best = b->sk;
			ties = 1;
		} else if (b->reuseport && best->bind.reuseport) {
			/* one of the group, by the connection's hash: reservoir, so that each is as likely */
			if (!hash)
				hash = remote ? (uint32_t)hash_bytes(st->key ^ remote->port, &remote->addr,
								     sizeof(remote->addr)) |
							1
					      : 1;
			ties++;
			if ((uint32_t)(((uint64_t)(uint32_t)hash_u64(hash + ties) * ties) >> 32) == 0)
				best = b->sk;
		}
	}
	return best;
}

static struct net_sock *find_bound(struct net_stack *st, int kind, bool listening, const struct net_name *local,
				   const struct net_name *remote, uint32_t ifindex)
{
	struct net_bucket *bucket = port_bucket(st, kind, local->port);
	struct net_sock *best = NULL;
	struct net_port *p;

	mutex_lock(&bucket->lock);
	p = find_locked(bucket, local->port);
	if (p)
		best = find_best(st, listening ? &p->listeners : &p->binds, local, remote, ifindex);
	if (best && !refs_get_unless_zero(&best->refs))
		best = NULL;
	mutex_unlock(&bucket->lock);
	return best;
}

struct net_sock *port_find_listener(struct net_stack *st, const struct net_name *local,
				    const struct net_name *remote, uint32_t ifindex)
{
	return find_bound(st, NET_TCP, true, local, remote, ifindex);
}

struct net_sock *port_find_dgram(struct net_stack *st, int kind, const struct net_name *local,
				 const struct net_name *remote, uint32_t ifindex)
{
	return find_bound(st, kind, false, local, remote, ifindex);
}

struct net_sock *port_find_connected(struct net_stack *st, const struct net_name *local,
				     const struct net_name *remote)
{
	struct net_bucket *bucket = port_bucket(st, NET_TCP, local->port);
	struct net_sock *found = NULL;
	struct net_port *p;
	struct net_bind *b;

	mutex_lock(&bucket->lock);
	p = find_locked(bucket, local->port);
	if (p) {
		list_for_each (b, &p->binds, node) {
			if (!b->sk || b->rport != remote->port || !net_addr_eq(&b->raddr, &remote->addr) ||
			    !net_addr_eq(&b->addr, &local->addr))
				continue;
			found = refs_get_unless_zero(&b->sk->refs) ? b->sk : NULL;
			break;
		}
	}
	mutex_unlock(&bucket->lock);
	return found;
}

uint32_t port_find_all(struct net_stack *st, int kind, uint16_t port, struct net_sock **out, uint32_t max)
{
	struct net_bucket *bucket = port_bucket(st, kind, port);
	struct net_port *p;
	struct net_bind *b;
	uint32_t n = 0;

	mutex_lock(&bucket->lock);
	p = find_locked(bucket, port);
	if (p) {
		list_for_each (b, &p->binds, node) {
			if (n == max)
				break;
			if (b->sk && refs_get_unless_zero(&b->sk->refs))
				out[n++] = b->sk;
		}
	}
	mutex_unlock(&bucket->lock);
	return n;
}
