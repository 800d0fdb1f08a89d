/* pid.c: the directory of a process and of a thread, and its small files. */
#include <stdio.h>
#include <string.h>

#include "platform/abi/prctl.h"
#include "platform/abi/resource.h"
#include "sentry/fs/proc/internal.h"
#include "sentry/kernel/task.h"

#define LINK_FD (PSEUDO_LINK | 0777)

/* ---- comm ---- */
static int show_comm(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	struct task *t = proc_task(n);

	(void)f;
	if (!t)
		return -ESRCH;
	strbuf_add(out, t->comm, strnlen(t->comm, TASK_COMM_LEN));
	strbuf_putc(out, '\n');
	task_put(t);
	return 0;
}

static ssize_t store_comm(struct pseudo_node *n, struct file *f, char *buf, size_t size)
{
	struct task *t = proc_task(n);
	char name[TASK_COMM_LEN] = "";
	struct cred *c;
	bool same;

	if (!t)
		return -ESRCH;
	/* Linux asks for the same thread group; the file knows only who opened it: threads share the
	 * object. */
	c = task_cred_get(t);
	same = c && c == f->cred;
	if (c)
		cred_put(c);
	if (same) {
		memcpy(name, buf, MIN(size, sizeof(name) - 1));
		if (strchr(name, '\n'))
			*strchr(name, '\n') = 0;
		task_set_comm(t, name);
	}
	task_put(t);
	return same ? (ssize_t)size : -EINVAL;
}

/* ---- mounts ---- */
static int show_mounts(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	struct task *t = proc_task(n);
	struct mount_ns *ns;
	struct fs_context *fs;
	struct path root;

	(void)f;
	if (!t)
		return -ESRCH;
	ns = task_mount_ns_get(t);
	fs = task_fs_get(t);
	if (ns && fs) {
		fs_context_root(fs, &root);
		mount_ns_show(ns, &root, (enum mounts_format)n->entry->arg, out);
		path_put(&root);
	}
	if (fs)
		fs_context_put(fs);
	if (ns)
		mount_ns_put(ns);
	task_put(t);
	return ns && fs ? 0 : -EINVAL;
}

/* ---- limits ---- */
static const struct {
	const char *name, *unit;
	int resource;
} limit_rows[] = {
	{"Max cpu time", "seconds", LINUX_RLIMIT_CPU},
	{"Max file size", "bytes", LINUX_RLIMIT_FSIZE},
	{"Max data size", "bytes", LINUX_RLIMIT_DATA},
	{"Max stack size", "bytes", LINUX_RLIMIT_STACK},
	{"Max core file size", "bytes", LINUX_RLIMIT_CORE},
	{"Max resident set", "bytes", LINUX_RLIMIT_RSS},
	{"Max processes", "processes", LINUX_RLIMIT_NPROC},
	{"Max open files", "files", LINUX_RLIMIT_NOFILE},
	{"Max locked memory", "bytes", LINUX_RLIMIT_MEMLOCK},
	{"Max address space", "bytes", LINUX_RLIMIT_AS},
	{"Max file locks", "locks", LINUX_RLIMIT_LOCKS},
	{"Max pending signals", "signals", LINUX_RLIMIT_SIGPENDING},
	{"Max msgqueue size", "bytes", LINUX_RLIMIT_MSGQUEUE},
	{"Max nice priority", NULL, LINUX_RLIMIT_NICE},
	{"Max realtime priority", NULL, LINUX_RLIMIT_RTPRIO},
	{"Max realtime timeout", "us", LINUX_RLIMIT_RTTIME},
};

static void show_limit(struct strbuf *out, uint64_t v)
{
	if (v == UINT64_MAX)
		strbuf_printf(out, "%-20s ", "unlimited");
	else
		strbuf_printf(out, "%-20lu ", v);
}

static int show_limits(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	struct linux_rlimit r[LINUX_RLIM_NLIMITS];
	struct task *t = proc_task(n);
	struct rlimits *l;

	(void)f;
	if (!t)
		return -ESRCH;
	l = task_rlimits(t);
	mutex_lock(&l->lock);
	memcpy(r, l->r, sizeof(r));
	mutex_unlock(&l->lock);
	task_put(t);
	strbuf_printf(out, "%-25s %-20s %-20s %-10s\n", "Limit", "Soft Limit", "Hard Limit", "Units");
	for (size_t i = 0; i < ARRAY_SIZE(limit_rows); i++) {
		strbuf_printf(out, "%-25s ", limit_rows[i].name);
		show_limit(out, r[limit_rows[i].resource].rlim_cur);
		show_limit(out, r[limit_rows[i].resource].rlim_max);
		if (limit_rows[i].unit)
			strbuf_printf(out, "%-10s\n", limit_rows[i].unit);
		else
			strbuf_putc(out, '\n');
	}
	return 0;
}

/* ---- oom ---- */
static int show_oom(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	struct task *t = proc_task(n);
	int32_t adj;

	(void)f;
	if (!t)
		return -ESRCH;
	adj = __atomic_load_n(&t->process->oom_score_adj, __ATOMIC_RELAXED);
	task_put(t);
	if (n->entry->arg) /* oom_adj: the old scale */
		adj = adj == 1000 ? 15 : adj * 17 / 1000;
	strbuf_printf(out, "%d\n", adj);
	return 0;
}

static ssize_t store_oom(struct pseudo_node *n, struct file *f, char *buf, size_t size)
{
	struct task *t;
	int64_t v;
	int32_t old;
	ssize_t ret = (ssize_t)size;

	if (!proc_parse_int(buf, size, &v))
		return -EINVAL;
	if (n->entry->arg) {
		if (v < -17 || v > 15)
			return -EINVAL;
		v = v == 15 ? 1000 : v * 1000 / 17;
	}
	if (v < -1000 || v > 1000)
		return -EINVAL;
	t = proc_task(n);
	if (!t)
		return -ESRCH;
	old = __atomic_load_n(&t->process->oom_score_adj, __ATOMIC_RELAXED);
	if (v < old && !cred_has_cap(f->cred, LINUX_CAP_SYS_RESOURCE))
		ret = -EACCES;
	else
		__atomic_store_n(&t->process->oom_score_adj, (int32_t)v, __ATOMIC_RELAXED);
	task_put(t);
	return ret;
}

static int show_oom_score(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	struct task *t = proc_task(n);
	uint64_t total, available, vsize, rss = 0, data, stack, text;
	struct mm *mm;
	int64_t score;

	(void)f;
	if (!t)
		return -ESRCH;
	kernel_memory(t->kernel, &total, &available);
	mm = task_mm_get(t);
	if (mm) {
		mm_usage(mm, &vsize, &rss, &data, &stack, &text);
		mm_put(mm);
	}
	score = total ? (int64_t)(rss / 4096 * 1000 / (total / 4096 + 1)) : 0;
	score = (2000 + 2 * score + __atomic_load_n(&t->process->oom_score_adj, __ATOMIC_RELAXED) * 2) / 3;
	strbuf_printf(out, "%ld\n", MAX(score, (int64_t)0));
	task_put(t);
	return 0;
}

/* ---- odds and ends ---- */
static int show_personality(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	struct task *t = proc_task(n);

	(void)f;
	if (!t)
		return -ESRCH;
	strbuf_printf(out, "%08x\n", task_personality(t));
	task_put(t);
	return 0;
}

static int show_timerslack(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	struct task *t = proc_task(n);

	(void)f;
	if (!t)
		return -ESRCH;
	strbuf_printf(out, "%lu\n", task_timer_slack(t));
	task_put(t);
	return 0;
}

static int show_schedstat(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	struct task *t = proc_task(n);
	struct task_info i;

	(void)f;
	if (!t)
		return -ESRCH;
	task_info(proc_fs(n)->ns, t, false, &i);
	task_put(t);
	strbuf_printf(out, "%lu 0 %lu\n", i.utime + i.stime, i.voluntary + i.involuntary);
	return 0;
}

/* text without a newline */
static int show_raw(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	(void)f;
	strbuf_puts(out, n->entry->target);
	return 0;
}

static ssize_t store_ignore(struct pseudo_node *n, struct file *f, char *buf, size_t size)
{
	int64_t v;

	(void)n, (void)f;
	return proc_parse_int(buf, size, &v) && v >= 1 && v <= 5 ? (ssize_t)size : -EINVAL;
}

static int show_io(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	(void)n, (void)f;
	strbuf_puts(out, "rchar: 0\nwchar: 0\nsyscr: 0\nsyscw: 0\nread_bytes: 0\nwrite_bytes: 0\n"
			 "cancelled_write_bytes: 0\n");
	return 0;
}

static int show_children(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	struct proc_fs *fs = proc_fs(n);
	struct task *t = proc_task(n);
	struct process *c;
	int32_t *nrs;
	uint32_t count = 0, max = 4096;

	(void)f;
	if (!t)
		return -ESRCH;
	nrs = kmalloc(max * sizeof(*nrs));
	if (!nrs) {
		task_put(t);
		return -ENOMEM;
	}
	mutex_lock(&fs->kernel->tasklist_lock);
	/* children are the process's; the leader's file shows them */
	if (t == t->process->leader) {
		list_for_each (c, &t->process->children, sibling) {
			int32_t nr = pid_nr_in(c->pid, fs->ns);

			if (nr > 0 && count < max)
				nrs[count++] = nr;
		}
	}
	mutex_unlock(&fs->kernel->tasklist_lock);
	for (uint32_t i = 0; i < count; i++)
		strbuf_printf(out, "%d ", nrs[i]);
	kfree(nrs);
	task_put(t);
	return 0;
}

static int refuse_open(struct pseudo_node *n, const struct cred *cred)
{
	(void)n, (void)cred;
	return -EPERM;
}

/* ---- threads ---- */
static int tasks_lookup(struct pseudo_node *n, const char *name, size_t len, struct pseudo_child *out)
{
	struct proc_fs *fs = proc_fs(n);
	struct pid *me = n->ctx, *pid = NULL;
	struct task *t;
	uint64_t nr;

	if (!proc_parse_number(name, len, INT32_MAX, &nr) || nr == 0)
		return -ENOENT;
	t = task_find_in(fs->ns, (int32_t)nr);
	if (!t)
		return -ENOENT;
	mutex_lock(&fs->kernel->tasklist_lock);
	if (t->pid && (t->process->pid == me || t->pid == me || (me->task && me->task->process == t->process)))
		pid = pid_get(t->pid);
	mutex_unlock(&fs->kernel->tasklist_lock);
	task_put(t);
	if (!pid)
		return -ENOENT;
	*out = (struct pseudo_child){&proc_thread_dir, pid, PROC_THREAD};
	return 0;
}

static int tasks_iterate(struct pseudo_node *n, struct pseudo_iter *it, uint64_t from)
{
	struct proc_fs *fs = proc_fs(n);
	struct task *me = proc_task(n);
	char name[16];

	if (!me)
		return -ENOENT;
	for (;;) {
		struct task *t = task_next(me->process, fs->ns, (int32_t)MIN(from, (uint64_t)INT32_MAX));
		int32_t nr;

		if (!t)
			break;
		mutex_lock(&fs->kernel->tasklist_lock);
		nr = t->pid ? pid_nr_in(t->pid, fs->ns) : 0;
		mutex_unlock(&fs->kernel->tasklist_lock);
		task_put(t);
		if (nr <= 0)
			break;
		snprintf(name, sizeof(name), "%d", nr);
		if (!pseudo_emit(it, name, R_DIR, (uint64_t)nr - 1))
			break;
		from = (uint64_t)nr;
	}
	task_put(me);
	return 0;
}

/* What threads and processes both show. */
#define COMMON_ENTRIES                                                                                         \
	{"auxv", PSEUDO_REG | 0400, .show = proc_show_auxv, .may_open = proc_may_inspect},                     \
		{"cgroup", R_FILE, .show = proc_show_text, .target = "0::/"},                                  \
		{"children", R_FILE, .show = show_children},                                                   \
		{"clear_refs", PSEUDO_REG | 0200, .store = store_ignore},                                      \
		{"cmdline", R_FILE, .show = proc_show_cmdline},                                                \
		{"comm", W_FILE, .show = show_comm, .store = store_comm},                                      \
		{"cpuset", R_FILE, .show = proc_show_text, .target = "/"},                                     \
		{"cwd", LINK, .follow = proc_cwd_follow, .readlink_at = proc_path_readlink},                   \
		{"environ", PSEUDO_REG | 0400, .show = proc_show_environ, .may_open = proc_may_inspect},       \
		{"exe", LINK, .follow = proc_exe_follow, .readlink_at = proc_path_readlink},                   \
		{"fd", PSEUDO_DIR | 0500, .lookup = proc_fd_lookup, .iterate = proc_fd_iterate},               \
		{"fdinfo", R_DIR, .lookup = proc_fdinfo_lookup, .iterate = proc_fd_iterate, .arg = 1},         \
		{"gid_map", W_FILE, .show = proc_show_idmap, .store = proc_store_idmap, .arg = 1},             \
		{"io", PSEUDO_REG | 0400, .show = show_io, .may_open = proc_may_inspect},                      \
		{"limits", R_FILE, .show = show_limits},                                                       \
		{"loginuid", W_FILE, .show = show_raw, .store = proc_store_refuse, .target = "4294967295"},    \
		{"maps", R_FILE, .show = proc_show_maps, .may_open = proc_may_inspect},                        \
		{"mem", PSEUDO_REG | 0600, .fops = &proc_mem_fops, .may_open = proc_may_inspect},              \
		{"mountinfo", R_FILE, .show = show_mounts, .arg = MOUNTS_INFO},                                \
		{"mounts", R_FILE, .show = show_mounts, .arg = MOUNTS_MOUNTS},                                 \
		{"net", R_DIR, .children = proc_net_entries},                                                  \
		{"ns", PSEUDO_DIR | 0511, .children = proc_ns_entries},                                        \
		{"oom_adj", W_FILE, .show = show_oom, .store = store_oom, .arg = 1},                           \
		{"oom_score", R_FILE, .show = show_oom_score},                                                 \
		{"oom_score_adj", W_FILE, .show = show_oom, .store = store_oom},                               \
		{"pagemap", PSEUDO_REG | 0400, .may_open = refuse_open},                                       \
		{"personality", PSEUDO_REG | 0400, .show = show_personality, .may_open = proc_may_inspect},    \
		{"root", LINK, .follow = proc_root_follow, .readlink_at = proc_path_readlink},                 \
		{"sched", W_FILE, .show = proc_show_sched, .store = proc_store_refuse},                        \
		{"schedstat", R_FILE, .show = show_schedstat},                                                 \
		{"sessionid", R_FILE, .show = show_raw, .target = "4294967295"},                               \
		{"setgroups", W_FILE, .show = proc_show_setgroups, .store = proc_store_setgroups},             \
		{"smaps", R_FILE, .show = proc_show_smaps, .may_open = proc_may_inspect},                      \
		{"smaps_rollup", R_FILE, .show = proc_show_smaps_rollup, .may_open = proc_may_inspect},        \
		{"stack", PSEUDO_REG | 0400, .show = proc_show_nothing, .may_open = proc_may_admin},           \
		{"stat", R_FILE, .show = proc_show_stat}, {"statm", R_FILE, .show = proc_show_statm},          \
		{"status", R_FILE, .show = proc_show_status},                                                  \
		{"syscall", PSEUDO_REG | 0400, .show = proc_show_text, .target = "running",                    \
		 .may_open = proc_may_inspect},                                                                \
		{"uid_map", W_FILE, .show = proc_show_idmap, .store = proc_store_idmap},                       \
	{                                                                                                      \
		"wchan", R_FILE, .show = show_raw, .target = "0"                                               \
	}

static const struct pseudo_entry thread_entries[] = {
	COMMON_ENTRIES,
	END,
};

static const struct pseudo_entry pid_entries[] = {
	COMMON_ENTRIES,
	{"coredump_filter", W_FILE, .show = proc_show_text, .store = proc_store_refuse, .target = "00000033"},
	{"mountstats", PSEUDO_REG | 0400, .show = show_mounts, .arg = MOUNTS_STATS},
	{"task", R_DIR, .lookup = tasks_lookup, .iterate = tasks_iterate},
	{"timers", R_FILE, .show = proc_show_nothing},
	{"timerslack_ns", PSEUDO_REG | 0666, .show = show_timerslack, .store = proc_store_refuse},
	END,
};

const struct pseudo_entry proc_pid_dir = {.mode = R_DIR, .children = pid_entries};
const struct pseudo_entry proc_thread_dir = {.mode = R_DIR, .children = thread_entries};
