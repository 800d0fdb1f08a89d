/* sysctl.c: /proc/sys and /proc/sysvipc. What root can change is in setting.c; other settings are what this
 * kernel does and can't be changed: a write says -EROFS, as in containers, where /proc/sys is mounted
 * read-only. */
#include <stdio.h>
#include <string.h>

#include "platform/abi/prctl.h"
#include "platform/base/random.h"
#include "sentry/fs/proc/internal.h"
#include "sentry/fs/proc/setting.h"
#include "sentry/kernel/ipc.h"

#define TEXT(n, t)                                                                                             \
	{                                                                                                      \
		n, R_FILE, .show = proc_show_text, .target = (t)                                               \
	}
#define VALUE(n, t)                                                                                            \
	{                                                                                                      \
		n, W_FILE, .show = proc_show_text, .store = proc_store_refuse, .target = (t)                   \
	}
#define DIR(n, c)                                                                                              \
	{                                                                                                      \
		n, R_DIR, .children = (c)                                                                      \
	}

/* Differs from Linux: the names of the initial UTS namespace, since a file doesn't know who reads it. */
static int show_uts(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	struct uts_ns *u = proc_kernel(n)->uts_ns;
	char name[65];

	(void)f;
	mutex_lock(&u->lock);
	memcpy(name, n->entry->arg ? u->domainname : u->nodename, sizeof(name));
	mutex_unlock(&u->lock);
	strbuf_printf(out, "%.64s\n", name[0] || !n->entry->arg ? name : "(none)");
	return 0;
}

static ssize_t store_uts(struct pseudo_node *n, struct file *f, char *buf, size_t size)
{
	struct uts_ns *u = proc_kernel(n)->uts_ns;
	size_t len = strcspn(buf, "\n");
	char *name;

	if (!cred_has_cap_in(f->cred, LINUX_CAP_SYS_ADMIN, u->owner))
		return -EPERM;
	if (len > 64)
		return -EINVAL;
	mutex_lock(&u->lock);
	name = n->entry->arg ? u->domainname : u->nodename;
	memset(name, 0, 65);
	memcpy(name, buf, len);
	mutex_unlock(&u->lock);
	return (ssize_t)size;
}

static int show_release(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	struct kernel *k = proc_kernel(n);

	(void)f;
	strbuf_printf(out, "%s\n", n->entry->arg ? k->version : k->release);
	return 0;
}

static int show_uuid(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	uint8_t b[16];

	(void)f;
	if (n->entry->arg)
		memcpy(b, proc_kernel(n)->boot_id, sizeof(b));
	else
		random_bytes(b, sizeof(b));
	b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
	b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
	for (int i = 0; i < 16; i++)
		strbuf_printf(out, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", b[i]);
	strbuf_putc(out, '\n');
	return 0;
}

static int show_threads_max(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	struct kernel *k = proc_kernel(n);

	(void)f;
	strbuf_printf(out, "%u\n", k->max_tasks ? k->max_tasks : 127464);
	return 0;
}

static int show_file_nr(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	(void)n, (void)f;
	strbuf_puts(out, "1024\t0\t9223372036854775807\n");
	return 0;
}

static const struct pseudo_entry random_entries[] = {
	{"boot_id", R_FILE, .show = show_uuid, .arg = 1},
	TEXT("entropy_avail", "256"),
	TEXT("poolsize", "256"),
	{"uuid", R_FILE, .show = show_uuid},
	VALUE("urandom_min_reseed_secs", "60"),
	VALUE("write_wakeup_threshold", "256"),
	END,
};

static const struct pseudo_entry keys_entries[] = {
	NUMBER("maxbytes", KEYS_MAXBYTES), NUMBER("maxkeys", KEYS_MAXKEYS),
	NUMBER("root_maxbytes", KEYS_ROOT_MAXBYTES), NUMBER("root_maxkeys", KEYS_ROOT_MAXKEYS), END};
static const struct pseudo_entry yama_entries[] = {VALUE("ptrace_scope", "0"), END};
static const struct pseudo_entry pty_entries[] = {VALUE("max", "4096"), TEXT("nr", "0"),
						  VALUE("reserve", "1024"), END};
static const struct pseudo_entry seccomp_entries[] = {
	TEXT("actions_avail", "kill_process kill_thread trap errno user_notif trace log allow"),
	VALUE("actions_logged", "kill_process kill_thread trap errno user_notif trace log"), END};

static const struct pseudo_entry kernel_entries[] = {
	NUMBER("auto_msgmni", AUTO_MSGMNI),
	TEXT("cap_last_cap", "40"),
	VALUE("core_pattern", "core"),
	NUMBER("core_uses_pid", CORE_USES_PID),
	VALUE("dmesg_restrict", "1"),
	{"domainname", W_FILE, .show = show_uts, .store = store_uts, .arg = 1},
	{"hostname", W_FILE, .show = show_uts, .store = store_uts},
	NUMBER("hung_task_timeout_secs", HUNG_TASK_TIMEOUT),
	VALUE("io_uring_disabled", "2"),
	DIR("keys", keys_entries),
	VALUE("kptr_restrict", "2"),
	NUMBER("msgmax", MSGMAX),
	NUMBER("msgmnb", MSGMNB),
	NUMBER("msgmni", MSGMNI),
	TEXT("ngroups_max", "65536"),
	{"osrelease", R_FILE, .show = show_release},
	TEXT("ostype", "Linux"),
	VALUE("overflowgid", "65534"),
	VALUE("overflowuid", "65534"),
	VALUE("panic", "0"),
	VALUE("perf_event_paranoid", "4"),
	NUMBER("pid_max", PID_MAX),
	VALUE("printk", "4\t4\t1\t7"),
	DIR("pty", pty_entries),
	DIR("random", random_entries),
	VALUE("randomize_va_space", "2"),
	VALUE("sched_rt_period_us", "1000000"),
	VALUE("sched_rt_runtime_us", "950000"),
	DIR("seccomp", seccomp_entries),
	NUMBERS("sem", SEMMSL, 4),
	VALUE("shm_rmid_forced", "0"),
	NUMBER("shmall", SHMALL),
	NUMBER("shmmax", SHMMAX),
	NUMBER("shmmni", SHMMNI),
	VALUE("tainted", "0"),
	{"threads-max", W_FILE, .show = show_threads_max, .store = proc_store_refuse},
	VALUE("unprivileged_bpf_disabled", "2"),
	VALUE("unprivileged_userns_clone", "1"),
	{"version", R_FILE, .show = show_release, .arg = 1},
	DIR("yama", yama_entries),
	END,
};

static const struct pseudo_entry inotify_entries[] = {VALUE("max_queued_events", "16384"),
						      VALUE("max_user_instances", "128"),
						      VALUE("max_user_watches", "65536"), END};
static const struct pseudo_entry epoll_entries[] = {VALUE("max_user_watches", "3629012"), END};
static const struct pseudo_entry mqueue_entries[] = {
	NUMBER("msg_default", MQ_MSG_DEFAULT),	       NUMBER("msg_max", MQ_MSG_MAX),
	NUMBER("msgsize_default", MQ_MSGSIZE_DEFAULT), NUMBER("msgsize_max", MQ_MSGSIZE_MAX),
	NUMBER("queues_max", MQ_QUEUES_MAX),	       END};
static const struct pseudo_entry empty_entries[] = {END};

static const struct pseudo_entry fs_entries[] = {
	TEXT("aio-max-nr", "65536"),
	TEXT("aio-nr", "0"),
	DIR("binfmt_misc", empty_entries),
	TEXT("dentry-state", "0\t0\t45\t0\t0\t0"),
	DIR("epoll", epoll_entries),
	VALUE("file-max", "9223372036854775807"),
	{"file-nr", R_FILE, .show = show_file_nr},
	DIR("inotify", inotify_entries),
	VALUE("lease-break-time", "45"),
	VALUE("leases-enable", "1"),
	DIR("mqueue", mqueue_entries),
	VALUE("mount-max", "100000"),
	VALUE("nr_open", "1048576"),
	VALUE("overflowgid", "65534"),
	VALUE("overflowuid", "65534"),
	NUMBER("pipe-max-size", PIPE_MAX_SIZE),
	VALUE("pipe-user-pages-hard", "0"),
	VALUE("pipe-user-pages-soft", "16384"),
	VALUE("protected_fifos", "1"),
	VALUE("protected_hardlinks", "1"),
	VALUE("protected_regular", "1"),
	VALUE("protected_symlinks", "1"),
	VALUE("suid_dumpable", "0"),
	END,
};

static const struct pseudo_entry vm_entries[] = {
	{"compact_memory", PSEUDO_REG | 0200, .store = proc_store_request, .arg = 1},
	NUMBER("dirty_background_ratio", DIRTY_BACKGROUND_RATIO),
	NUMBER("dirty_expire_centisecs", DIRTY_EXPIRE),
	NUMBER("dirty_ratio", DIRTY_RATIO),
	NUMBER("dirty_writeback_centisecs", DIRTY_WRITEBACK),
	{"drop_caches", PSEUDO_REG | 0200, .store = proc_store_request, .arg = 7},
	VALUE("max_map_count", "65530"),
	NUMBER("min_free_kbytes", MIN_FREE_KBYTES),
	VALUE("mmap_min_addr", "65536"),
	VALUE("mmap_rnd_bits", "28"),
	VALUE("nr_hugepages", "0"),
	VALUE("overcommit_kbytes", "0"),
	VALUE("overcommit_memory", "0"),
	VALUE("overcommit_ratio", "50"),
	NUMBER("page-cluster", PAGE_CLUSTER),
	NUMBER("swappiness", SWAPPINESS),
	NUMBER("vfs_cache_pressure", CACHE_PRESSURE),
	VALUE("zone_reclaim_mode", "0"),
	END,
};

static const struct pseudo_entry core_entries[] = {
	VALUE("netdev_max_backlog", "1000"), VALUE("optmem_max", "131072"),
	VALUE("rmem_default", "212992"),     VALUE("rmem_max", "212992"),
	VALUE("somaxconn", "4096"),	     VALUE("wmem_default", "212992"),
	VALUE("wmem_max", "212992"),	     END};
static const struct pseudo_entry unix_entries[] = {VALUE("max_dgram_qlen", "512"), END};
static const struct pseudo_entry ipv4_entries[] = {
	VALUE("ip_forward", "0"),
	VALUE("ip_local_port_range", "32768\t60999"),
	VALUE("ip_local_reserved_ports", ""),
	VALUE("ip_unprivileged_port_start", "1024"),
	VALUE("ping_group_range", "0\t2147483647"),
	VALUE("tcp_congestion_control", "cubic"),
	TEXT("tcp_available_congestion_control", "reno cubic bbr"),
	VALUE("tcp_fin_timeout", "60"),
	VALUE("tcp_keepalive_intvl", "75"),
	VALUE("tcp_keepalive_probes", "9"),
	VALUE("tcp_keepalive_time", "7200"),
	VALUE("tcp_max_syn_backlog", "4096"),
	VALUE("tcp_rmem", "4096\t131072\t6291456"),
	VALUE("tcp_sack", "1"),
	VALUE("tcp_syncookies", "1"),
	VALUE("tcp_timestamps", "1"),
	VALUE("tcp_tw_reuse", "2"),
	VALUE("tcp_window_scaling", "1"),
	VALUE("tcp_wmem", "4096\t16384\t4194304"),
	END,
};
static const struct pseudo_entry ipv6_all_entries[] = {VALUE("disable_ipv6", "0"), VALUE("forwarding", "0"),
						       END};
static const struct pseudo_entry ipv6_conf_entries[] = {
	DIR("all", ipv6_all_entries), DIR("default", ipv6_all_entries), DIR("lo", ipv6_all_entries), END};
static const struct pseudo_entry ipv6_entries[] = {VALUE("bindv6only", "0"), DIR("conf", ipv6_conf_entries),
						   END};
static const struct pseudo_entry net_entries[] = {DIR("core", core_entries), DIR("ipv4", ipv4_entries),
						  DIR("ipv6", ipv6_entries), DIR("unix", unix_entries), END};
static const struct pseudo_entry tty_entries[] = {VALUE("ldisc_autoload", "0"), VALUE("legacy_tiocsti", "0"),
						  END};
static const struct pseudo_entry dev_entries[] = {DIR("tty", tty_entries), END};
static const struct pseudo_entry user_entries[] = {VALUE("max_cgroup_namespaces", "63732"),
						   VALUE("max_inotify_instances", "128"),
						   VALUE("max_inotify_watches", "65536"),
						   VALUE("max_ipc_namespaces", "63732"),
						   VALUE("max_mnt_namespaces", "63732"),
						   VALUE("max_net_namespaces", "63732"),
						   VALUE("max_pid_namespaces", "63732"),
						   VALUE("max_time_namespaces", "63732"),
						   NUMBER("max_user_namespaces", MAX_USER_NS),
						   VALUE("max_uts_namespaces", "63732"),
						   END};

const struct pseudo_entry proc_sys_entries[] = {
	DIR("debug", empty_entries), DIR("dev", dev_entries),
	DIR("fs", fs_entries),	     DIR("kernel", kernel_entries),
	DIR("net", net_entries),     DIR("user", user_entries),
	DIR("vm", vm_entries),	     END,
};

/* Differs from Linux: the initial ipc namespace's, since a file doesn't know who reads it. */
static int show_ipc(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	ipc_show(proc_kernel(n), (enum ipc_kind)n->entry->arg, f->cred, out);
	return 0;
}

const struct pseudo_entry proc_sysvipc_entries[] = {
	{"msg", R_FILE, .show = show_ipc, .arg = IPC_MSG},
	{"sem", R_FILE, .show = show_ipc, .arg = IPC_SEM},
	{"shm", R_FILE, .show = show_ipc, .arg = IPC_SHM},
	END,
};
