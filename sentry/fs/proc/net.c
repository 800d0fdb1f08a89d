/* net.c: /proc/<pid>/net. Sockets of the network stack show themselves once it is there; the loopback
 * interface and UNIX sockets always. */
#include "sentry/fs/proc/internal.h"
#include "sentry/socket/socket.h"

static int show_unix(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	struct task *t = proc_task(n);
	void *net_ns;

	(void)f;
	if (!t)
		return -ESRCH;
	mutex_lock(&t->process->lock);
	net_ns = t->net_ns;
	mutex_unlock(&t->process->lock);
	task_put(t);
	unix_show(net_ns, out);
	return 0;
}

static int show_dev(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	(void)n, (void)f;
	strbuf_puts(out, "Inter-|   Receive                                                |  Transmit\n"
			 " face |bytes    packets errs drop fifo frame compressed multicast|bytes    "
			 "packets errs drop "
			 "fifo colls carrier compressed\n"
			 "    lo:       0       0    0    0    0     0          0         0        0       "
			 "0    0    0    "
			 "0     0       0          0\n");
	return 0;
}

#define TEXT(n, t)                                                                                             \
	{                                                                                                      \
		n, R_FILE, .show = proc_show_text, .target = (t)                                               \
	}

const struct pseudo_entry proc_net_entries[] = {
	TEXT("arp", "IP address       HW type     Flags       HW address            Mask     Device"),
	{"dev", R_FILE, .show = show_dev},
	{"if_inet6", R_FILE, .show = proc_show_text,
	 .target = "00000000000000000000000000000001 01 80 10 80       lo"},
	{"igmp", R_FILE, .show = proc_show_text,
	 .target = "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n"
		   "1\tlo        :     1      V3\n\t\t\t\t010000E0     1 0:00000000\t\t0"},
	{"ipv6_route", R_FILE, .show = proc_show_nothing},
	TEXT("netlink",
	     "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode"),
	TEXT("packet", "sk               RefCnt Type Proto  Iface R Rmem   User   Inode"),
	TEXT("protocols",
	     "protocol  size sockets  memory press maxhdr  slab module     cl co di ac io in de sh ss gs "
	     "se re sp bi br ha uh gp em"),
	TEXT("raw", "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  "
		    "timeout inode "
		    "ref pointer drops"),
	TEXT("raw6", "  sl  local_address                         remote_address                        st "
		     "tx_queue "
		     "rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops"),
	{"route", R_FILE, .show = proc_show_text,
	 .target = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT    "
		   "            "
		   "                                       "},
	TEXT("sockstat", "sockets: used 0\nTCP: inuse 0 orphan 0 tw 0 alloc 0 mem 0\nUDP: inuse 0 mem 0\n"
			 "UDPLITE: inuse 0\nRAW: inuse 0\nFRAG: inuse 0 memory 0"),
	TEXT("sockstat6",
	     "TCP6: inuse 0\nUDP6: inuse 0\nUDPLITE6: inuse 0\nRAW6: inuse 0\nFRAG6: inuse 0 memory 0"),
	TEXT("tcp", "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  "
		    "timeout inode "
		    "                                                    "),
	TEXT("tcp6", "  sl  local_address                         remote_address                        st "
		     "tx_queue "
		     "rx_queue tr tm->when retrnsmt   uid  timeout inode"),
	TEXT("udp", "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  "
		    "timeout inode "
		    "ref pointer drops             "),
	TEXT("udp6", "  sl  local_address                         remote_address                        st "
		     "tx_queue "
		     "rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops"),
	{"unix", R_FILE, .show = show_unix},
	END,
};
