/* bind.c: names of AF_UNIX sockets: path names (an inode of the file system points to the socket), abstract
 * names (a table of this room, per network namespace), and names given automatically. */
#include <stdio.h>
#include <string.h>

#include "platform/abi/errno.h"
#include "platform/base/arena.h"
#include "platform/base/hash.h"
#include "sentry/socket/unix/internal.h"

#define FAMILY_SIZE 2u

void unix_addr_put(struct unix_addr *a)
{
	if (a && refs_put(&a->refs))
		kfree(a);
}

void unix_addr_fill(const struct unix_sock *u, struct sockaddr_buf *out)
{
	const struct unix_addr *a = __atomic_load_n(&u->addr, __ATOMIC_ACQUIRE);

	out->family = LINUX_AF_UNIX;
	out->len = FAMILY_SIZE;
	if (a) {
		memcpy(out->bytes + FAMILY_SIZE, a->path, a->len);
		out->len += a->len;
	}
}

static int check_name(const struct sockaddr_buf *a)
{
	if (a->len <= FAMILY_SIZE || a->len > sizeof(struct linux_sockaddr_un) || a->family != LINUX_AF_UNIX)
		return -EINVAL;
	return 0;
}

static int addr_create(const void *path, uint32_t len, void *net_ns, struct unix_addr **out)
{
	struct unix_addr *a = kmalloc(sizeof(*a));

	if (!a)
		return -ENOMEM;
	refs_init(&a->refs);
	memcpy(a->path, path, len);
	a->len = len;
	a->net_ns = net_ns;
	a->hash = hash_bytes(unix_state()->hash_key ^ (uintptr_t)net_ns, path, len);
	*out = a;
	return 0;
}

static struct unix_sock *name_find_locked(struct unix_state *st, const struct unix_addr *a, int type)
{
	struct unix_sock *u;

	list_for_each (u, &st->names[a->hash % UNIX_NAME_BUCKETS], name_node) {
		if (u->addr->hash == a->hash && u->addr->len == a->len && u->addr->net_ns == a->net_ns &&
		    u->s.type == type && memcmp(u->addr->path, a->path, a->len) == 0)
			return u;
	}
	return NULL;
}

/* Takes over a on success. */
static int bind_abstract(struct unix_sock *u, struct unix_addr *a)
{
	struct unix_state *st = unix_state();
	int ret = 0;

	mutex_lock(&st->names_lock);
	if (name_find_locked(st, a, u->s.type)) {
		ret = -EADDRINUSE;
	} else {
		__atomic_store_n(&u->addr, a, __ATOMIC_RELEASE);
		list_add(&st->names[a->hash % UNIX_NAME_BUCKETS], &u->name_node);
	}
	mutex_unlock(&st->names_lock);
	return ret;
}

static int autobind(struct unix_sock *u)
{
	struct unix_state *st = unix_state();
	struct unix_addr *a;
	char name[8] = "";
	int ret;

	for (uint32_t tries = 0; tries <= 0xfffff; tries++) {
		uint32_t n = __atomic_fetch_add(&st->autobind_next, 1, __ATOMIC_RELAXED) & 0xfffff;

		snprintf(name + 1, sizeof(name) - 1, "%05x", n);
		ret = addr_create(name, 6, u->net_ns, &a);
		if (ret < 0)
			return ret;
		ret = bind_abstract(u, a);
		if (ret == 0)
			return 0;
		unix_addr_put(a);
	}
	return -ENOSPC;
}

int unix_autobind(struct unix_sock *u)
{
	int ret;

	if (__atomic_load_n(&u->addr, __ATOMIC_ACQUIRE))
		return 0;
	if (__atomic_exchange_n(&u->binding, true, __ATOMIC_ACQ_REL))
		return 0; /* somebody else is at it */
	ret = autobind(u);
	if (ret < 0)
		__atomic_store_n(&u->binding, false, __ATOMIC_RELEASE);
	return ret;
}

static int bind_path(struct unix_sock *u, const struct sock_caller *c, const struct sockaddr_buf *sa)
{
	struct unix_addr *a;
	struct inode *inode;
	struct path path;
	char name[109];
	size_t len;
	int ret;

	if (!c->at)
		return -EINVAL;
	/* sun_path needs no terminator of its own */
	memcpy(name, sa->bytes + FAMILY_SIZE, sa->len - FAMILY_SIZE);
	name[sa->len - FAMILY_SIZE] = 0;
	len = strlen(name);
	ret = addr_create(name, (uint32_t)len + 1, NULL, &a);
	if (ret < 0)
		return ret;
	ret = vfs_mksock(c->at, name, 0140777, &path);
	if (ret < 0) {
		unix_addr_put(a);
		return ret == -EEXIST ? -EADDRINUSE : ret;
	}
	u->path = path;
	__atomic_store_n(&u->addr, a, __ATOMIC_RELEASE);
	inode = path.dentry->inode;
	mutex_lock(&inode->lock);
	inode->bound = u;
	mutex_unlock(&inode->lock);
	return 0;
}

/* Linux makes the name before it sees that the socket has one, so a name that exists decides the error. */
static bool name_taken(const struct sock_caller *c, const struct sockaddr_buf *sa)
{
	char name[109];
	struct path p;

	if (!c->at || !sa->bytes[FAMILY_SIZE])
		return false;
	memcpy(name, sa->bytes + FAMILY_SIZE, sa->len - FAMILY_SIZE);
	name[sa->len - FAMILY_SIZE] = 0;
	if (vfs_lookup(c->at, name, 0, &p) < 0)
		return false;
	path_put(&p);
	return true;
}

int unix_bind(struct socket *s, const struct sock_caller *c, const struct sockaddr_buf *a)
{
	struct unix_sock *u = unix_of(s);
	struct unix_addr *addr;
	int ret;

	if (a->len >= FAMILY_SIZE && a->len <= sizeof(struct linux_sockaddr_un) && a->family != LINUX_AF_UNIX)
		return -EINVAL;
	if (a->len == FAMILY_SIZE) {
		if (__atomic_load_n(&u->addr, __ATOMIC_ACQUIRE))
			return 0;
		return unix_autobind(u);
	}
	ret = check_name(a);
	if (ret < 0)
		return ret;
	if (__atomic_exchange_n(&u->binding, true, __ATOMIC_ACQ_REL))
		return name_taken(c, a) ? -EADDRINUSE : -EINVAL;
	if (a->bytes[FAMILY_SIZE]) {
		ret = bind_path(u, c, a);
	} else {
		ret = addr_create(a->bytes + FAMILY_SIZE, a->len - FAMILY_SIZE, u->net_ns, &addr);
		if (ret == 0) {
			ret = bind_abstract(u, addr);
			if (ret < 0)
				unix_addr_put(addr);
		}
	}
	if (ret < 0)
		__atomic_store_n(&u->binding, false, __ATOMIC_RELEASE);
	return ret;
}

/* The address itself stays for those who ask for the peer's name. */
void unix_unbind(struct unix_sock *u)
{
	struct unix_state *st = unix_state();
	struct inode *inode;

	if (!__atomic_load_n(&u->addr, __ATOMIC_ACQUIRE))
		return;
	mutex_lock(&st->names_lock);
	list_del(&u->name_node);
	mutex_unlock(&st->names_lock);
	if (!u->path.dentry)
		return;
	inode = u->path.dentry->inode;
	mutex_lock(&inode->lock);
	if (inode->bound == u)
		inode->bound = NULL;
	mutex_unlock(&inode->lock);
	path_put(&u->path);
	u->path = (struct path){0};
}

static int find_path(const struct sock_caller *c, const struct sockaddr_buf *sa, struct unix_sock **out)
{
	struct unix_sock *u = NULL;
	struct inode *inode;
	struct path path;
	char name[109];
	int ret;

	if (!c->at || !c->at->fs)
		return -ECONNREFUSED;
	memcpy(name, sa->bytes + FAMILY_SIZE, sa->len - FAMILY_SIZE);
	name[sa->len - FAMILY_SIZE] = 0;
	ret = vfs_lookup(c->at, name, LOOKUP_FOLLOW, &path);
	if (ret < 0)
		return ret;
	inode = path.dentry->inode;
	ret = vfs_permission(&path, MAY_WRITE, c->at->cred);
	if (ret == 0 && !inode_is(inode, 0140000))
		ret = -ECONNREFUSED;
	if (ret == 0) {
		mutex_lock(&inode->lock);
		u = inode->bound;
		if (u && !refs_get_unless_zero(&u->s.refs))
			u = NULL;
		mutex_unlock(&inode->lock);
		if (!u)
			ret = -ECONNREFUSED;
	}
	path_put(&path);
	*out = u;
	return ret;
}

int unix_find(const struct sock_caller *c, const struct sockaddr_buf *sa, int type, void *net_ns,
	      struct unix_sock **out)
{
	struct unix_state *st = unix_state();
	struct unix_addr *a;
	struct unix_sock *u;
	int ret = check_name(sa);

	if (ret < 0)
		return ret;
	if (sa->bytes[FAMILY_SIZE]) {
		ret = find_path(c, sa, &u);
		if (ret < 0)
			return ret;
		if (u->s.type != type) {
			unix_put(u);
			return -EPROTOTYPE;
		}
		*out = u;
		return 0;
	}
	ret = addr_create(sa->bytes + FAMILY_SIZE, sa->len - FAMILY_SIZE, net_ns, &a);
	if (ret < 0)
		return ret;
	mutex_lock(&st->names_lock);
	u = name_find_locked(st, a, type);
	if (u && !refs_get_unless_zero(&u->s.refs))
		u = NULL;
	mutex_unlock(&st->names_lock);
	unix_addr_put(a);
	if (!u)
		return -ECONNREFUSED;
	*out = u;
	return 0;
}
