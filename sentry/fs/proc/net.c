/* net.c: /proc/<pid>/net: the sockets, interfaces, routes and counters of the process's network namespace. */
#include "sentry/fs/proc/internal.h"
#include "sentry/socket/inet.h"
#include "sentry/socket/socket.h"

/* The network namespace of the task that the folder belongs to, as unix_show knows it, and its stack. */
static int find_ns(struct pseudo_node *n, void **net_ns, struct net_stack **st)
{
	struct task *t = proc_task(n);

	if (!t)
		return -ESRCH;
	mutex_lock(&t->process->lock);
	*net_ns = t->net_ns;
	*st = t->net_ns ? __atomic_load_n(&t->net_ns->priv, __ATOMIC_ACQUIRE) : NULL;
	if (*st)
		inet_stack_get(*st);
	mutex_unlock(&t->process->lock);
	task_put(t);
	return 0;
}

static int show_unix(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	struct net_stack *st;
	void *net_ns;
	int ret = find_ns(n, &net_ns, &st);

	(void)f;
	if (ret < 0)
		return ret;
	unix_show(net_ns, out);
	if (st)
		inet_stack_put(st);
	return 0;
}

enum {
	SHOW_SOCKETS,
	SHOW_DEV,
	SHOW_IF_INET6,
	SHOW_ROUTE,
	SHOW_IPV6_ROUTE,
	SHOW_SOCKSTAT,
	SHOW_SOCKSTAT6,
	SHOW_SNMP,
	SHOW_NETSTAT,
};

static int show_net(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	struct net_stack *st;
	void *net_ns;
	int ret = find_ns(n, &net_ns, &st);

	(void)f;
	if (ret < 0)
		return ret;
	switch (n->entry->arg) {
	case SHOW_DEV:
		inet_show_dev(st, out);
		break;
	case SHOW_IF_INET6:
		inet_show_if_inet6(st, out);
		break;
	case SHOW_ROUTE:
		inet_show_route(st, out);
		break;
	case SHOW_IPV6_ROUTE:
		inet_show_ipv6_route(st, out);
		break;
	case SHOW_SOCKSTAT:
	case SHOW_SOCKSTAT6:
		inet_show_sockstat(st, n->entry->arg == SHOW_SOCKSTAT6, out);
		break;
	case SHOW_SNMP:
		inet_show_snmp(st, out);
		break;
	case SHOW_NETSTAT:
		inet_show_netstat(st, out);
		break;
	default:
		inet_show_sockets(st, n->entry->name, out);
		break;
	}
	if (st)
		inet_stack_put(st);
	return 0;
}

#define NET(n, what)                                                                                           \
	{                                                                                                      \
		n, R_FILE, .show = show_net, .arg = (what)                                                     \
	}
#define TEXT(n, t)                                                                                             \
	{                                                                                                      \
		n, R_FILE, .show = proc_show_text, .target = (t)                                               \
	}

const struct pseudo_entry proc_net_entries[] = {
	TEXT("arp", "IP address       HW type     Flags       HW address            Mask     Device"),
	NET("dev", SHOW_DEV),
	NET("icmp", SHOW_SOCKETS),
	NET("icmp6", SHOW_SOCKETS),
	NET("if_inet6", SHOW_IF_INET6),
	{"igmp", R_FILE, .show = proc_show_text,
	 .target = "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n"
		   "1\tlo        :     1      V3\n\t\t\t\t010000E0     1 0:00000000\t\t0"},
	NET("ipv6_route", SHOW_IPV6_ROUTE),
	NET("netstat", SHOW_NETSTAT),
	TEXT("netlink",
	     "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode"),
	TEXT("packet", "sk               RefCnt Type Proto  Iface R Rmem   User   Inode"),
	TEXT("protocols",
	     "protocol  size sockets  memory press maxhdr  slab module     cl co di ac io in de sh ss gs "
	     "se re sp bi br ha uh gp em"),
	NET("raw", SHOW_SOCKETS),
	NET("raw6", SHOW_SOCKETS),
	NET("route", SHOW_ROUTE),
	NET("snmp", SHOW_SNMP),
	NET("sockstat", SHOW_SOCKSTAT),
	NET("sockstat6", SHOW_SOCKSTAT6),
	NET("tcp", SHOW_SOCKETS),
	NET("tcp6", SHOW_SOCKETS),
	NET("udp", SHOW_SOCKETS),
	NET("udp6", SHOW_SOCKETS),
	NET("udplite", SHOW_SOCKETS),
	NET("udplite6", SHOW_SOCKETS),
	{"unix", R_FILE, .show = show_unix},
	END,
};
