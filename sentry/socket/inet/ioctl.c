/* ioctl.c: ioctls of sockets (tcp(7), udp(7)) and of interfaces (netdevice(7)). */
#include <string.h>

#include "platform/abi/ioctl.h"
#include "platform/abi/prctl.h"
#include "platform/abi/time.h"
#include "sentry/socket/inet/internal.h"

#define IFNAMSIZ   16
#define NSEC	   1000000000u
#define IFCONF_MAX 4096

struct ifreq {
	char name[IFNAMSIZ];
	union {
		uint8_t addr[16]; /* sockaddr */
		int32_t value;
		uint16_t flags;
		uint8_t map[24];
		uint64_t data;
	};
};
struct ifconf {
	int32_t len, pad;
	uint64_t buf;
};

static int64_t put_int(const struct usermem *um, uint64_t arg, int64_t v)
{
	int32_t n = (int32_t)MIN(v, (int64_t)INT32_MAX);

	return v < 0 ? v : usermem_out(um, arg, &n, sizeof(n));
}

static int64_t put_stamp(struct inet_sock *i, bool ns, uint64_t arg, const struct usermem *um)
{
	uint64_t t = __atomic_load_n(&i->stamp_ns, __ATOMIC_RELAXED);
	int64_t pair[2] = {(int64_t)(t / NSEC), (int64_t)(ns ? t % NSEC : t % NSEC / 1000)};

	return t ? usermem_out(um, arg, pair, sizeof(pair)) : -ENOENT;
}

int64_t inet_ioctl(struct socket *s, uint32_t cmd, uint64_t arg, const struct usermem *um,
		   const struct cred *cred)
{
	struct inet_sock *i = inet_of(s);

	(void)cred;
	switch (cmd) {
	case LINUX_SIOCINQ:
		return put_int(um, arg, net_inq(i->sk));
	case LINUX_SIOCOUTQ:
	case LINUX_SIOCOUTQNSD:
		return put_int(um, arg, net_outq(i->sk));
	case LINUX_SIOCATMARK:
		return s->type == LINUX_SOCK_STREAM ? put_int(um, arg, net_at_mark(i->sk)) : -ENOTTY;
	case LINUX_SIOCGSTAMP_OLD:
	case LINUX_SIOCGSTAMP_NEW:
		return put_stamp(i, false, arg, um);
	case LINUX_SIOCGSTAMPNS_OLD:
	case LINUX_SIOCGSTAMPNS_NEW:
		return put_stamp(i, true, arg, um);
	default:
		return -ENOTTY;
	}
}

/* ---- interfaces ---- */

static void put_addr4(struct ifreq *r, uint32_t be)
{
	struct inet_sockaddr4 a = {.family = LINUX_AF_INET, .addr = be};

	memcpy(r->addr, &a, sizeof(a));
}

/* An interface's first IPv4 address, or the one that a label names. */
static bool addr_of(struct net_stack *st, uint32_t index, struct net_addr_info *out)
{
	for (uint32_t n = 0; net_addr_at(st, n, out); n++)
		if (out->if_index == index && net_addr_is4(&out->addr))
			return true;
	return false;
}

static uint32_t mask_of(uint8_t prefix)
{
	return prefix ? be32(UINT32_MAX << (32 - prefix)) : 0;
}

static int get_addr(struct net_stack *st, uint32_t cmd, const struct net_if_info *info, struct ifreq *r)
{
	struct net_addr_info a;

	if (!addr_of(st, info->index, &a))
		return -EADDRNOTAVAIL;
	switch (cmd) {
	case LINUX_SIOCGIFNETMASK:
		put_addr4(r, mask_of(a.prefix));
		break;
	case LINUX_SIOCGIFBRDADDR:
		put_addr4(r, info->flags & LINUX_IFF_BROADCAST ? a.addr.w[3] | ~mask_of(a.prefix) : 0);
		break;
	default:
		put_addr4(r, a.addr.w[3]);
		break;
	}
	return 0;
}

static int get_one(struct net_stack *st, uint32_t cmd, const struct net_if_info *info, struct ifreq *r)
{
	switch (cmd) {
	case LINUX_SIOCGIFFLAGS:
		r->flags = (uint16_t)info->flags;
		return 0;
	case LINUX_SIOCGIFINDEX:
		r->value = (int32_t)info->index;
		return 0;
	case LINUX_SIOCGIFMTU:
		r->value = (int32_t)info->mtu;
		return 0;
	case LINUX_SIOCGIFMETRIC:
		r->value = 0;
		return 0;
	case LINUX_SIOCGIFTXQLEN:
		r->value = 1000;
		return 0;
	case LINUX_SIOCGIFHWADDR:
		memset(r->addr, 0, sizeof(r->addr));
		memcpy(r->addr, &info->type, sizeof(info->type));
		memcpy(r->addr + 2, info->hw, MIN(info->hw_len, (uint8_t)6));
		return 0;
	case LINUX_SIOCGIFMAP:
		memset(r->map, 0, sizeof(r->map));
		return 0;
	case LINUX_SIOCGIFADDR:
	case LINUX_SIOCGIFNETMASK:
	case LINUX_SIOCGIFBRDADDR:
	case LINUX_SIOCGIFDSTADDR:
		return get_addr(st, cmd, info, r);
	default:
		return -ENOTTY;
	}
}

static int64_t get_conf(struct net_stack *st, uint64_t arg, const struct usermem *um)
{
	struct net_addr_info a;
	struct net_if_info info;
	struct ifconf c;
	struct ifreq r;
	int32_t used = 0;
	int ret = usermem_in(um, &c, arg, sizeof(c));

	if (ret < 0)
		return ret;
	for (uint32_t n = 0; net_addr_at(st, n, &a); n++) {
		if (!net_addr_is4(&a.addr) || !net_if_find(st, a.if_index, NULL, &info))
			continue;
		if (c.buf && c.len - used < (int32_t)sizeof(r))
			break;
		memset(&r, 0, sizeof(r));
		memcpy(r.name, a.label[0] ? a.label : info.name, IFNAMSIZ);
		put_addr4(&r, a.addr.w[3]);
		if (c.buf)
			ret = usermem_out(um, c.buf + (uint64_t)used, &r, sizeof(r));
		if (ret < 0)
			return ret;
		used += (int32_t)sizeof(r);
	}
	c.len = used;
	return usermem_out(um, arg, &c, sizeof(c));
}

static uint8_t prefix_of(uint32_t mask)
{
	return (uint8_t)__builtin_popcount(mask);
}

static int set_addr(struct net_stack *st, uint32_t cmd, const struct net_if_info *info, const struct ifreq *r)
{
	struct net_addr_info a = {.prefix = 0}, old;
	struct inet_sockaddr4 in;
	bool had = addr_of(st, info->index, &old);
	int ret = 0;

	memcpy(&in, r->addr, sizeof(in));
	if (in.family != LINUX_AF_INET)
		return -EINVAL;
	if (cmd == LINUX_SIOCSIFNETMASK && !had)
		return -EADDRNOTAVAIL;
	a = had ? old : a;
	a.if_index = info->index;
	memcpy(a.label, info->name, sizeof(a.label));
	if (cmd == LINUX_SIOCSIFNETMASK) {
		a.prefix = prefix_of(in.addr);
	} else {
		uint8_t first = (uint8_t)in.addr;

		a.addr = net_addr4(in.addr);
		a.prefix = first < 128 ? 8 : first < 192 ? 16 : 24; /* classful, as it began */
		a.scope = first == 127 ? 254 : 0;
	}
	if (had)
		ret = net_addr_del(st, &old);
	return ret < 0 ? ret : net_addr_add(st, &a);
}

static int set_one(struct net_stack *st, uint32_t cmd, const struct net_if_info *info, const struct ifreq *r)
{
	switch (cmd) {
	case LINUX_SIOCSIFFLAGS:
		return net_if_set_flags(st, info->index, r->flags, LINUX_IFF_UP);
	case LINUX_SIOCSIFMTU:
		return net_if_set_mtu(st, info->index, (uint32_t)r->value);
	case LINUX_SIOCSIFADDR:
	case LINUX_SIOCSIFNETMASK:
		return set_addr(st, cmd, info, r);
	case LINUX_SIOCSIFBRDADDR:
	case LINUX_SIOCSIFTXQLEN:
		return 0;
	default:
		return -ENOTTY;
	}
}

static bool is_set(uint32_t cmd)
{
	switch (cmd) {
	case LINUX_SIOCSIFFLAGS:
	case LINUX_SIOCSIFMTU:
	case LINUX_SIOCSIFADDR:
	case LINUX_SIOCSIFNETMASK:
	case LINUX_SIOCSIFBRDADDR:
	case LINUX_SIOCSIFTXQLEN:
		return true;
	default:
		return false;
	}
}

static bool is_get(uint32_t cmd)
{
	switch (cmd) {
	case LINUX_SIOCGIFFLAGS:
	case LINUX_SIOCGIFINDEX:
	case LINUX_SIOCGIFMTU:
	case LINUX_SIOCGIFMETRIC:
	case LINUX_SIOCGIFTXQLEN:
	case LINUX_SIOCGIFHWADDR:
	case LINUX_SIOCGIFMAP:
	case LINUX_SIOCGIFADDR:
	case LINUX_SIOCGIFNETMASK:
	case LINUX_SIOCGIFBRDADDR:
	case LINUX_SIOCGIFDSTADDR:
		return true;
	default:
		return false;
	}
}

int64_t inet_if_ioctl(struct net_stack *st, uint32_t cmd, uint64_t arg, const struct usermem *um,
		      const struct cred *cred)
{
	struct net_if_info info;
	struct ifreq r;
	char *colon;
	int ret;

	if (cmd == LINUX_SIOCGIFCONF)
		return get_conf(st, arg, um);
	if (cmd != LINUX_SIOCGIFNAME && cmd != LINUX_SIOCETHTOOL && !is_get(cmd) && !is_set(cmd))
		return -ENOTTY;
	ret = usermem_in(um, &r, arg, sizeof(r));
	if (ret < 0)
		return ret;
	if (cmd == LINUX_SIOCGIFNAME) {
		if (!net_if_find(st, (uint32_t)r.value, NULL, &info))
			return -ENODEV;
		memcpy(r.name, info.name, IFNAMSIZ);
		return usermem_out(um, arg, &r, sizeof(r));
	}
	r.name[IFNAMSIZ - 1] = 0;
	colon = strchr(r.name, ':');
	if (colon)
		*colon = 0;
	if (is_set(cmd) && !cred_has_cap(cred, LINUX_CAP_NET_ADMIN))
		return -EPERM;
	if (!net_if_find(st, 0, r.name, &info))
		return -ENODEV;
	if (colon)
		*colon = ':';
	if (cmd == LINUX_SIOCETHTOOL)
		return -EOPNOTSUPP;
	if (is_set(cmd))
		return set_one(st, cmd, &info, &r);
	ret = get_one(st, cmd, &info, &r);
	return ret < 0 ? ret : usermem_out(um, arg, &r, sizeof(r));
}
