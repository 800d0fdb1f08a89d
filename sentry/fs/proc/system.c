/* system.c: the files of /proc that tell about the machine the guest believes to be on. */
#include <string.h>

#include "platform/base/clock.h"
#include "sentry/fs/proc/internal.h"
#include "sentry/kernel/keys.h"

#define TICK_NS 10000000UL

static uint64_t uptime_ns(const struct kernel *k)
{
	uint64_t now = clock_boottime_ns();

	return now > k->boot_ns ? now - k->boot_ns : 0;
}

/* CPU time of all processes that exist, and of children they waited for. */
static void cpu_times(struct pseudo_node *n, uint64_t *user, uint64_t *sys, uint32_t *running)
{
	struct proc_fs *fs = proc_fs(n);
	int32_t after = 0;

	*user = *sys = 0;
	*running = 0;
	for (;;) {
		struct task *t = process_next(fs->ns, after);
		struct task_info i;

		if (!t)
			break;
		task_info(fs->ns, t, true, &i);
		after = pid_nr_in(t->process->pid, fs->ns);
		task_put(t);
		*user += i.utime + (i.tgid == 1 ? i.cutime : 0);
		*sys += i.stime + (i.tgid == 1 ? i.cstime : 0);
		*running += i.state == 'R';
	}
}

int proc_show_system_stat(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	struct kernel *k = proc_kernel(n);
	uint64_t up = uptime_ns(k), user, sys, idle, total = up * k->cpu_count;
	uint32_t running, cpus = k->cpu_count;
	int64_t btime = (clock_realtime_ns() - (int64_t)up) / (int64_t)NSEC_PER_SEC;

	(void)f;
	cpu_times(n, &user, &sys, &running);
	idle = total > user + sys ? total - user - sys : 0;
	strbuf_printf(out, "cpu  %lu 0 %lu %lu 0 0 0 0 0 0\n", user / TICK_NS, sys / TICK_NS, idle / TICK_NS);
	for (uint32_t i = 0; i < cpus; i++)
		strbuf_printf(out, "cpu%u %lu 0 %lu %lu 0 0 0 0 0 0\n", i, user / TICK_NS / cpus,
			      sys / TICK_NS / cpus, idle / TICK_NS / cpus);
	strbuf_printf(out, "intr 0\nctxt 0\nbtime %ld\nprocesses %lu\nprocs_running %u\nprocs_blocked 0\n",
		      btime, __atomic_load_n(&k->forks, __ATOMIC_RELAXED), MAX(running, 1u));
	strbuf_puts(out, "softirq 0 0 0 0 0 0 0 0 0 0 0\n");
	return 0;
}

int proc_show_uptime(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	struct kernel *k = proc_kernel(n);
	uint64_t up = uptime_ns(k), user, sys, idle, total = up * k->cpu_count;
	uint32_t running;

	(void)f;
	cpu_times(n, &user, &sys, &running);
	idle = total > user + sys ? total - user - sys : 0;
	strbuf_printf(out, "%lu.%02lu %lu.%02lu\n", up / TICK_NS / 100, up / TICK_NS % 100,
		      idle / TICK_NS / 100, idle / TICK_NS % 100);
	return 0;
}

int proc_show_loadavg(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	struct kernel *k = proc_kernel(n);
	uint64_t user, sys;
	uint32_t running;
	int32_t last;

	(void)f;
	cpu_times(n, &user, &sys, &running);
	mutex_lock(&k->tasklist_lock);
	last = proc_fs(n)->ns->last;
	mutex_unlock(&k->tasklist_lock);
	strbuf_printf(out, "0.00 0.00 0.00 %u/%u %d\n", MAX(running, 1u),
		      __atomic_load_n(&k->task_count, __ATOMIC_RELAXED), last);
	return 0;
}

int proc_show_version(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	struct kernel *k = proc_kernel(n);

	(void)f;
	strbuf_printf(out, "Linux version %s (sbx@sbx) (gcc) %s\n", k->release, k->version);
	return 0;
}

int proc_show_filesystems(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	struct vfs *v = proc_kernel(n)->vfs;

	(void)f;
	for (uint32_t i = 0; i < v->type_count; i++)
		strbuf_printf(out, "%s\t%s\n", v->types[i]->nodev ? "nodev" : "", v->types[i]->name);
	return 0;
}

int proc_show_devices(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	(void)n, (void)f;
	strbuf_puts(out, "Character devices:\n  1 mem\n  5 /dev/tty\n  5 /dev/console\n  5 /dev/ptmx\n128 "
			 "ptm\n136 pts\n"
			 "\nBlock devices:\n");
	return 0;
}

int proc_show_interrupts(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	(void)f;
	strbuf_puts(out, "     ");
	for (uint32_t i = 0; i < proc_kernel(n)->cpu_count; i++)
		strbuf_printf(out, "      CPU%-3u ", i);
	strbuf_putc(out, '\n');
	return 0;
}

struct mem_row {
	const char *name;
	uint64_t bytes;
};

static void show_rows(struct strbuf *out, const struct mem_row *r, size_t count)
{
	for (size_t i = 0; i < count; i++)
		strbuf_printf(out, "%-16s%8lu kB\n", r[i].name, r[i].bytes >> 10);
}

int proc_show_meminfo(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	uint64_t total, available, used;

	(void)f;
	kernel_memory(proc_kernel(n), &total, &available);
	used = total - MIN(available, total);
	const struct mem_row rows[] = {
		{"MemTotal:", total},
		{"MemFree:", available},
		{"MemAvailable:", available},
		{"Buffers:", 0},
		{"Cached:", 0},
		{"SwapCached:", 0},
		{"Active:", used},
		{"Inactive:", 0},
		{"Active(anon):", used},
		{"Inactive(anon):", 0},
		{"Active(file):", 0},
		{"Inactive(file):", 0},
		{"Unevictable:", 0},
		{"Mlocked:", 0},
		{"SwapTotal:", 0},
		{"SwapFree:", 0},
		{"Zswap:", 0},
		{"Zswapped:", 0},
		{"Dirty:", 0},
		{"Writeback:", 0},
		{"AnonPages:", used},
		{"Mapped:", 0},
		{"Shmem:", 0},
		{"KReclaimable:", 0},
		{"Slab:", 0},
		{"SReclaimable:", 0},
		{"SUnreclaim:", 0},
		{"KernelStack:", 0},
		{"PageTables:", 0},
		{"SecPageTables:", 0},
		{"NFS_Unstable:", 0},
		{"Bounce:", 0},
		{"WritebackTmp:", 0},
		{"CommitLimit:", total / 2},
		{"Committed_AS:", used},
		{"VmallocTotal:", 34359738367UL << 10},
		{"VmallocUsed:", 0},
		{"VmallocChunk:", 0},
		{"Percpu:", 0},
		{"AnonHugePages:", 0},
		{"ShmemHugePages:", 0},
		{"ShmemPmdMapped:", 0},
		{"FileHugePages:", 0},
		{"FilePmdMapped:", 0},
	};
	show_rows(out, rows, ARRAY_SIZE(rows));
	strbuf_puts(out,
		    "HugePages_Total:       0\nHugePages_Free:        0\nHugePages_Rsvd:        0\n"
		    "HugePages_Surp:        0\nHugepagesize:       2048 kB\nHugetlb:               0 kB\n");
	show_rows(out, (const struct mem_row[]){{"DirectMap4k:", total}}, 1);
	return 0;
}

int proc_show_vmstat(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	static const char *const zeros[] = {
		"nr_inactive_anon",
		"nr_active_anon",
		"nr_inactive_file",
		"nr_active_file",
		"nr_unevictable",
		"nr_mlock",
		"nr_anon_pages",
		"nr_mapped",
		"nr_file_pages",
		"nr_dirty",
		"nr_writeback",
		"nr_shmem",
		"nr_page_table_pages",
		"nr_kernel_stack",
		"pgpgin",
		"pgpgout",
		"pswpin",
		"pswpout",
		"pgalloc_normal",
		"pgfree",
		"pgactivate",
		"pgdeactivate",
		"pgfault",
		"pgmajfault",
		"oom_kill",
		"thp_fault_alloc",
	};
	uint64_t total, available;

	(void)f;
	kernel_memory(proc_kernel(n), &total, &available);
	strbuf_printf(out, "nr_free_pages %lu\n", available / PAGE_SIZE);
	for (size_t i = 0; i < ARRAY_SIZE(zeros); i++)
		strbuf_printf(out, "%s 0\n", zeros[i]);
	return 0;
}

int proc_show_keys(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	key_show_all(proc_kernel(n), f->cred, out);
	return 0;
}

int proc_show_key_users(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	(void)f;
	key_show_users(proc_kernel(n), out);
	return 0;
}
