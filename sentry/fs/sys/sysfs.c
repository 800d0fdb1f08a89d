/* sysfs.c: the tables of sysfs. */
#include "sentry/fs/sys/sys.h"

#include <stdio.h>
#include <string.h>

#include "platform/abi/errno.h"
#include "platform/abi/misc.h"
#include "platform/base/strbuf.h"
#include "sentry/fs/pseudo/pseudo.h"
#include "sentry/kernel/kernel.h"

#define R_FILE (PSEUDO_REG | 0444)
#define R_DIR  (PSEUDO_DIR | 0755)
#define LINK   (PSEUDO_LINK | 0777)
#define END                                                                                                    \
	{                                                                                                      \
		.name = NULL                                                                                   \
	}

static uint32_t cpus(const struct pseudo_node *n)
{
	const struct kernel *k = n->fs_arg;

	return k->cpu_count;
}

static int show_text(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	(void)f;
	strbuf_puts(out, n->entry->target);
	strbuf_putc(out, '\n');
	return 0;
}

#define TEXT(n, t)                                                                                             \
	{                                                                                                      \
		n, R_FILE, .show = show_text, .target = (t)                                                    \
	}
#define DIR(n, c)                                                                                              \
	{                                                                                                      \
		n, R_DIR, .children = (c)                                                                      \
	}

static const struct pseudo_entry nothing[] = {END};

/* ---- processors ---- */
static int show_cpu_list(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	(void)f;
	if (cpus(n) == 1)
		strbuf_puts(out, "0\n");
	else
		strbuf_printf(out, "0-%u\n", cpus(n) - 1);
	return 0;
}

/* all processors as hexadecimal groups of 32 */
static int show_cpu_map(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	uint32_t count = cpus(n), groups = (count + 31) / 32;

	(void)f;
	for (uint32_t g = groups; g-- > 0;) {
		uint32_t bits = g == groups - 1 ? count - g * 32 : 32;
		uint32_t w = bits == 32 ? UINT32_MAX : (1u << bits) - 1;

		strbuf_printf(out, "%0*x%s", (int)((bits + 3) / 4), w, g ? "," : "\n");
	}
	return 0;
}

static int show_own_number(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	(void)f;
	strbuf_printf(out, "%lu\n", n->arg);
	return 0;
}

static int show_own_map(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	uint32_t groups = (cpus(n) + 31) / 32;

	(void)f;
	for (uint32_t g = groups; g-- > 0;)
		strbuf_printf(out, "%0*x%s", g == groups - 1 ? 1 : 8,
			      n->arg / 32 == g ? 1u << (n->arg % 32) : 0, g ? "," : "\n");
	return 0;
}

static int show_kernel_max(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	(void)n, (void)f;
	strbuf_puts(out, "8191\n");
	return 0;
}

static const struct pseudo_entry topology_entries[] = {
	{"core_cpus", R_FILE, .show = show_own_map},
	{"core_cpus_list", R_FILE, .show = show_own_number},
	{"core_id", R_FILE, .show = show_own_number},
	{"core_siblings", R_FILE, .show = show_cpu_map},
	{"core_siblings_list", R_FILE, .show = show_cpu_list},
	TEXT("die_id", "0"),
	{"package_cpus", R_FILE, .show = show_cpu_map},
	{"package_cpus_list", R_FILE, .show = show_cpu_list},
	TEXT("physical_package_id", "0"),
	{"thread_siblings", R_FILE, .show = show_own_map},
	{"thread_siblings_list", R_FILE, .show = show_own_number},
	END,
};

static const struct pseudo_entry cpu_entries[] = {
	TEXT("online", "1"),
	DIR("topology", topology_entries),
	END,
};

static const struct pseudo_entry cpu_dir = {.mode = R_DIR, .children = cpu_entries};

static int cpu_lookup(struct pseudo_node *n, const char *name, size_t len, struct pseudo_child *out)
{
	uint32_t v = 0;

	if (len < 4 || len > 8 || memcmp(name, "cpu", 3) != 0 || (name[3] == '0' && len > 4))
		return -ENOENT;
	for (size_t i = 3; i < len; i++) {
		if (name[i] < '0' || name[i] > '9')
			return -ENOENT;
		v = v * 10 + (uint32_t)(name[i] - '0');
	}
	if (v >= cpus(n))
		return -ENOENT;
	*out = (struct pseudo_child){.entry = &cpu_dir, .arg = v};
	return 0;
}

static int cpu_iterate(struct pseudo_node *n, struct pseudo_iter *it, uint64_t from)
{
	char name[16];

	for (; from < cpus(n); from++) {
		snprintf(name, sizeof(name), "cpu%lu", from);
		if (!pseudo_emit(it, name, R_DIR, from))
			break;
	}
	return 0;
}

static const struct pseudo_entry cpus_entries[] = {
	TEXT("isolated", ""),
	{"kernel_max", R_FILE, .show = show_kernel_max},
	TEXT("offline", ""),
	{"online", R_FILE, .show = show_cpu_list},
	{"possible", R_FILE, .show = show_cpu_list},
	{"present", R_FILE, .show = show_cpu_list},
	END,
};

/* ---- memory nodes: one ---- */
static int show_node_meminfo(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	uint64_t total, available;

	(void)f;
	kernel_memory(n->fs_arg, &total, &available);
	strbuf_printf(out,
		      "Node 0 MemTotal:       %8lu kB\nNode 0 MemFree:        %8lu kB\nNode 0 MemUsed:     "
		      "   %8lu kB\n",
		      total >> 10, available >> 10, (total - available) >> 10);
	return 0;
}

static const struct pseudo_entry node0_entries[] = {
	{"cpulist", R_FILE, .show = show_cpu_list},
	{"cpumap", R_FILE, .show = show_cpu_map},
	TEXT("distance", "10"),
	{"meminfo", R_FILE, .show = show_node_meminfo},
	END,
};

static const struct pseudo_entry node_entries[] = {
	TEXT("has_cpu", "0"),
	TEXT("has_memory", "0"),
	TEXT("has_normal_memory", "0"),
	DIR("node0", node0_entries),
	TEXT("online", "0"),
	TEXT("possible", "0"),
	END,
};

static const struct pseudo_entry system_entries[] = {
	{"cpu", R_DIR, .children = cpus_entries, .lookup = cpu_lookup, .iterate = cpu_iterate},
	DIR("node", node_entries),
	END,
};

/* ---- network interfaces: the loopback ---- */
static const struct pseudo_entry statistics_entries[] = {TEXT("collisions", "0"), TEXT("rx_bytes", "0"),
							 TEXT("rx_dropped", "0"), TEXT("rx_errors", "0"),
							 TEXT("rx_packets", "0"), TEXT("tx_bytes", "0"),
							 TEXT("tx_dropped", "0"), TEXT("tx_errors", "0"),
							 TEXT("tx_packets", "0"), END};

static const struct pseudo_entry lo_entries[] = {
	TEXT("addr_assign_type", "0"),
	TEXT("addr_len", "6"),
	TEXT("address", "00:00:00:00:00:00"),
	TEXT("broadcast", "00:00:00:00:00:00"),
	TEXT("carrier", "1"),
	TEXT("dev_id", "0x0"),
	TEXT("dormant", "0"),
	TEXT("flags", "0x9"),
	TEXT("ifindex", "1"),
	TEXT("iflink", "1"),
	TEXT("mtu", "65536"),
	TEXT("operstate", "unknown"),
	DIR("statistics", statistics_entries),
	TEXT("tx_queue_len", "1000"),
	TEXT("type", "772"),
	TEXT("uevent", "INTERFACE=lo\nIFINDEX=1"),
	END,
};

static const struct pseudo_entry virtual_net_entries[] = {DIR("lo", lo_entries), END};
static const struct pseudo_entry virtual_entries[] = {DIR("net", virtual_net_entries), END};
static const struct pseudo_entry devices_entries[] = {DIR("system", system_entries),
						      DIR("virtual", virtual_entries), END};
static const struct pseudo_entry class_net_entries[] = {{"lo", LINK, .target = "../../devices/virtual/net/lo"},
							END};
static const struct pseudo_entry class_entries[] = {DIR("block", nothing),
						    DIR("mem", nothing),
						    DIR("net", class_net_entries),
						    DIR("power_supply", nothing),
						    DIR("thermal", nothing),
						    DIR("tty", nothing),
						    END};

/* ---- kernel ---- */
static const struct pseudo_entry khugepaged_entries[] = {TEXT("defrag", "1"), TEXT("max_ptes_none", "511"),
							 TEXT("pages_to_scan", "4096"),
							 TEXT("scan_sleep_millisecs", "10000"), END};
static const struct pseudo_entry thp_entries[] = {
	TEXT("defrag", "always defer defer+madvise [madvise] never"),
	TEXT("enabled", "always [madvise] never"),
	TEXT("hpage_pmd_size", "2097152"),
	DIR("khugepaged", khugepaged_entries),
	TEXT("shmem_enabled", "always within_size advise [never] deny force"),
	TEXT("use_zero_page", "1"),
	END,
};
static const struct pseudo_entry huge_2m_entries[] = {
	TEXT("free_hugepages", "0"), TEXT("nr_hugepages", "0"),	     TEXT("nr_overcommit_hugepages", "0"),
	TEXT("resv_hugepages", "0"), TEXT("surplus_hugepages", "0"), END};
static const struct pseudo_entry huge_entries[] = {DIR("hugepages-2048kB", huge_2m_entries), END};
static const struct pseudo_entry mm_entries[] = {DIR("hugepages", huge_entries),
						 DIR("transparent_hugepage", thp_entries), END};
static const struct pseudo_entry kernel_entries[] = {DIR("debug", nothing), DIR("mm", mm_entries),
						     DIR("security", nothing), END};
static const struct pseudo_entry fs_entries[] = {DIR("cgroup", nothing), END};
static const struct pseudo_entry bus_entries[] = {DIR("cpu", nothing), DIR("pci", nothing), END};
static const struct pseudo_entry dev_entries[] = {DIR("block", nothing), DIR("char", nothing), END};

static const struct pseudo_entry root_entries[] = {DIR("block", nothing),
						   DIR("bus", bus_entries),
						   DIR("class", class_entries),
						   DIR("dev", dev_entries),
						   DIR("devices", devices_entries),
						   DIR("firmware", nothing),
						   DIR("fs", fs_entries),
						   DIR("kernel", kernel_entries),
						   DIR("module", nothing),
						   DIR("power", nothing),
						   END};

static const struct pseudo_entry root_dir = {.mode = PSEUDO_DIR | 0555, .children = root_entries};

static const struct pseudo_fs sysfs_pseudo = {
	.type = "sysfs",
	.magic = LINUX_SYSFS_MAGIC,
	.file_size = 4096,
};

static int sysfs_mount(struct vfs *v, const struct vfs_at *at, const char *source, uint64_t flags,
		       const char *data, struct super **out)
{
	(void)at, (void)flags, (void)data;
	return pseudo_super_create(v, &sysfs_pseudo, &root_dir, source, arena_root(ROOT_KERNEL), out);
}

static const struct fs_type sysfs_type = {
	.name = "sysfs",
	.user_mountable = true,
	.nodev = true,
	.mount = sysfs_mount,
};

void sysfs_register(struct vfs *v, struct kernel *k)
{
	(void)k;
	vfs_register(v, &sysfs_type);
}
