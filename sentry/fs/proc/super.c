/* super.c: the type "proc", its root directory, and what all files about a task share. */
#include <stdio.h>
#include <string.h>

#include "platform/abi/misc.h"
#include "platform/abi/prctl.h"
#include "platform/base/random.h"
#include "sentry/fs/proc/internal.h"
#include "sentry/kernel/internal.h"

/* ---- texts and numbers ---- */
ssize_t procfs_put(const char *s, char *buf, size_t size)
{
	size_t n = MIN(strlen(s), size);

	memcpy(buf, s, n);
	return (ssize_t)n;
}

bool proc_parse_number(const char *name, size_t len, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;

	if (len == 0 || len > 10 || (len > 1 && name[0] == '0'))
		return false;
	for (size_t i = 0; i < len; i++) {
		if (name[i] < '0' || name[i] > '9')
			return false;
		v = v * 10 + (uint64_t)(name[i] - '0');
	}
	*out = v;
	return v <= max;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == 0;
}

bool proc_parse_int(const char *text, size_t size, int64_t *out)
{
	const char *p = text, *end = text + size;
	bool negative = false;
	int64_t v = 0;

	while (p < end && is_blank(*p))
		p++;
	while (end > p && is_blank(end[-1]))
		end--;
	if (p < end && (*p == '-' || *p == '+'))
		negative = *p++ == '-';
	if (p == end || end - p > 18)
		return false;
	for (; p < end; p++) {
		if (*p < '0' || *p > '9')
			return false;
		v = v * 10 + (*p - '0');
	}
	*out = negative ? -v : v;
	return true;
}

int proc_show_text(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	(void)f;
	strbuf_puts(out, n->entry->target);
	strbuf_putc(out, '\n');
	return 0;
}

int proc_show_nothing(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	(void)n, (void)f, (void)out;
	return 0;
}

struct pid *procfs_dir_pid(const struct file *f)
{
	const struct pseudo_node *n;

	if (f->inode->super->magic != LINUX_PROC_SUPER_MAGIC || !inode_is(f->inode, PSEUDO_DIR))
		return NULL;
	n = pseudo_of(f->inode);
	return n->entry == &proc_pid_dir ? n->ctx : NULL;
}

ssize_t proc_store_refuse(struct pseudo_node *n, struct file *f, char *buf, size_t size)
{
	(void)n, (void)f, (void)buf, (void)size;
	return -EROFS;
}

/* ---- tasks ---- */
struct task *proc_task(const struct pseudo_node *n)
{
	struct pid *pid = n->ctx;
	struct kernel *k = pid->kernel;
	struct task *t;

	mutex_lock(&k->tasklist_lock);
	t = pid->task;
	if (pid->process && !(n->arg & PROC_THREAD))
		t = pid->process->leader;
	if (t)
		task_get(t);
	mutex_unlock(&k->tasklist_lock);
	return t;
}

static bool ids_match(const struct cred *c, const struct cred *t)
{
	return c->fsuid == t->euid && c->fsuid == t->suid && c->fsuid == t->uid && c->fsgid == t->egid &&
	       c->fsgid == t->sgid && c->fsgid == t->gid;
}

static bool is_dumpable(struct task *t)
{
	struct mm *mm = task_mm_get(t);
	bool yes;

	if (!mm)
		return true; /* nothing left to see */
	yes = __atomic_load_n(&mm->dumpable, __ATOMIC_RELAXED) == 1;
	mm_put(mm);
	return yes;
}

static int inspect(struct task *t, const struct cred *cred)
{
	struct cred *theirs = task_cred_get(t);
	bool cap, ok;

	if (!theirs)
		return -EACCES;
	cap = cred_has_cap_in(cred, LINUX_CAP_SYS_PTRACE, theirs->user_ns);
	/* A file knows the credential that opened it, not the task; the very same object is (nearly always)
	 * the task itself, which may look at itself. */
	ok = cred == theirs || cap;
	if (!ok && ids_match(cred, theirs) && is_dumpable(t))
		ok = cred->user_ns == theirs->user_ns && !(theirs->permitted & ~cred->permitted);
	cred_put(theirs);
	return ok ? 0 : -EACCES;
}

int proc_may_inspect(struct pseudo_node *n, const struct cred *cred)
{
	struct task *t = proc_task(n);
	int ret;

	if (!t)
		return -ESRCH;
	ret = inspect(t, cred);
	task_put(t);
	return ret;
}

int proc_may_admin(struct pseudo_node *n, const struct cred *cred)
{
	(void)n;
	return cred_has_cap(cred, LINUX_CAP_SYS_ADMIN) ? 0 : -EPERM;
}

/* Owner of what /proc shows of a task: its effective ids, or root's for what must not be dumped. */
static void set_owner(struct pseudo_node *n, struct task *t)
{
	struct cred *c = task_cred_get(t);
	uint32_t uid = 0, gid = 0;

	if (c) {
		if (n->inode->mode == R_DIR || is_dumpable(t)) {
			uid = c->euid;
			gid = c->egid;
		}
		cred_put(c);
	}
	__atomic_store_n(&n->inode->uid, uid, __ATOMIC_RELAXED);
	__atomic_store_n(&n->inode->gid, gid, __ATOMIC_RELAXED);
}

static bool proc_alive(struct pseudo_node *n)
{
	struct task *t;
	bool ok = true;

	if (!n->ctx)
		return true;
	t = proc_task(n);
	if (!t)
		return false;
	set_owner(n, t);
	if (proc_is_fd(n))
		ok = proc_fd_alive(n);
	task_put(t);
	return ok;
}

/* ---- the root ---- */
static int child_of_pid(struct proc_fs *p, int32_t nr, const struct pseudo_entry *e, uint64_t arg,
			struct pseudo_child *out)
{
	struct kernel *k = p->kernel;
	struct task *t = task_find_in(p->ns, nr);
	struct pid *pid;

	if (!t)
		return -ENOENT;
	mutex_lock(&k->tasklist_lock);
	pid = t->pid ? pid_get(t->pid) : NULL;
	mutex_unlock(&k->tasklist_lock);
	task_put(t);
	if (!pid)
		return -ENOENT;
	*out = (struct pseudo_child){e, pid, arg};
	return 0;
}

static int root_lookup(struct pseudo_node *n, const char *name, size_t len, struct pseudo_child *out)
{
	uint64_t nr;
	int ret;

	if (!proc_parse_number(name, len, INT32_MAX, &nr) || nr == 0)
		return -ENOENT;
	/* threads that lead nothing can be named, though they aren't listed */
	ret = child_of_pid(proc_fs(n), (int32_t)nr, &proc_pid_dir, 0, out);
	return ret;
}

static int root_iterate(struct pseudo_node *n, struct pseudo_iter *it, uint64_t from)
{
	struct proc_fs *p = proc_fs(n);
	char name[16];

	for (;;) {
		struct task *t = process_next(p->ns, (int32_t)MIN(from, (uint64_t)INT32_MAX));
		int32_t nr;

		if (!t)
			return 0;
		nr = pid_nr_in(t->process->pid, p->ns);
		task_put(t);
		if (nr <= 0)
			return 0;
		snprintf(name, sizeof(name), "%d", nr);
		if (!pseudo_emit(it, name, R_DIR, (uint64_t)nr - 1))
			return 0;
		from = (uint64_t)nr;
	}
}

static ssize_t self_readlink(struct pseudo_node *n, const struct vfs_at *at, char *buf, size_t size)
{
	struct task *t = at->task;
	char name[16];
	int32_t nr = t ? pid_nr_in(t->process->pid, proc_fs(n)->ns) : 0;

	if (nr == 0)
		return -ENOENT;
	snprintf(name, sizeof(name), "%d", nr);
	return procfs_put(name, buf, size);
}

static ssize_t thread_self_readlink(struct pseudo_node *n, const struct vfs_at *at, char *buf, size_t size)
{
	struct proc_fs *p = proc_fs(n);
	struct task *t = at->task;
	int32_t tgid = t ? pid_nr_in(t->process->pid, p->ns) : 0, tid;
	char name[40];

	if (tgid == 0)
		return -ENOENT;
	mutex_lock(&p->kernel->tasklist_lock);
	tid = pid_nr_in(t->pid, p->ns);
	mutex_unlock(&p->kernel->tasklist_lock);
	snprintf(name, sizeof(name), "%d/task/%d", tgid, tid);
	return procfs_put(name, buf, size);
}

static const struct pseudo_entry root_entries[] = {
	{"cgroups", R_FILE, .show = proc_show_text, .target = "#subsys_name\thierarchy\tnum_cgroups\tenabled"},
	{"cmdline", R_FILE, .show = proc_show_text, .target = "quiet"},
	{"cpuinfo", R_FILE, .show = proc_show_cpuinfo},
	{"devices", R_FILE, .show = proc_show_devices},
	{"diskstats", R_FILE, .show = proc_show_nothing},
	{"execdomains", R_FILE, .show = proc_show_text, .target = "0-0\tLinux           \t[kernel]"},
	{"filesystems", R_FILE, .show = proc_show_filesystems},
	{"interrupts", R_FILE, .show = proc_show_interrupts},
	{"key-users", R_FILE, .show = proc_show_key_users},
	{"keys", R_FILE, .show = proc_show_keys},
	{"loadavg", R_FILE, .show = proc_show_loadavg},
	{"locks", R_FILE, .show = proc_show_nothing},
	{"meminfo", R_FILE, .show = proc_show_meminfo},
	{"misc", R_FILE, .show = proc_show_nothing},
	{"modules", R_FILE, .show = proc_show_nothing},
	{"mounts", LINK, .target = "self/mounts"},
	{"net", LINK, .target = "self/net"},
	{"partitions", R_FILE, .show = proc_show_text, .target = "major minor  #blocks  name\n"},
	{"self", LINK, .readlink_at = self_readlink},
	{"stat", R_FILE, .show = proc_show_system_stat},
	{"swaps", R_FILE, .show = proc_show_text, .target = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority"},
	{"sys", R_DIR, .children = proc_sys_entries},
	{"sysvipc", R_DIR, .children = proc_sysvipc_entries},
	{"thread-self", LINK, .readlink_at = thread_self_readlink},
	{"uptime", R_FILE, .show = proc_show_uptime},
	{"version", R_FILE, .show = proc_show_version},
	{"vmstat", R_FILE, .show = proc_show_vmstat},
	END,
};

static const struct pseudo_entry root_dir = {
	.mode = R_DIR, .children = root_entries, .lookup = root_lookup, .iterate = root_iterate};

/* ---- the type ---- */
static void ctx_get(void *ctx)
{
	pid_get(ctx);
}

static void ctx_put(void *ctx)
{
	pid_put(ctx);
}

static void proc_destroy(void *arg)
{
	struct proc_fs *p = arg;

	pid_ns_put(p->ns);
	kfree(p);
}

static void proc_attributes(struct pseudo_node *n, struct kstat *st)
{
	if (!n->ctx && n->inode->ino == 1)
		st->nlink += __atomic_load_n(&proc_kernel(n)->process_count, __ATOMIC_RELAXED);
	if (n->ctx && n->entry->lookup == proc_fd_lookup)
		st->size = proc_fd_count(n);
}

static const struct pseudo_fs proc_pseudo = {
	.type = "proc",
	.magic = LINUX_PROC_SUPER_MAGIC,
	.ctx_get = ctx_get,
	.ctx_put = ctx_put,
	.alive = proc_alive,
	.attributes = proc_attributes,
	.destroy = proc_destroy,
	.no_cache = true,
};

static int proc_mount(struct vfs *v, const struct vfs_at *at, const char *source, uint64_t flags,
		      const char *data, struct super **out)
{
	struct kernel *k = arena_root(ROOT_KERNEL);
	struct proc_fs *p = kmalloc(sizeof(*p));
	struct task *t = at->task;

	(void)flags;
	(void)data; /* hidepid, gid, subset: nothing is hidden that permissions don't hide */
	if (!p)
		return -ENOMEM;
	p->kernel = k;
	p->ns = pid_ns_get(t ? task_pid_ns(t) : k->pid_ns);
	return pseudo_super_create(v, &proc_pseudo, &root_dir, source, p, out);
}

static const struct fs_type proc_type = {
	.name = "proc",
	.user_mountable = true,
	.nodev = true,
	.mount = proc_mount,
};

void procfs_register(struct vfs *v, struct kernel *k)
{
	random_bytes(k->boot_id, sizeof(k->boot_id));
	vfs_register(v, &proc_type);
}
