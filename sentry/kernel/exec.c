/* exec.c: execve(2) around the loader: arguments are gathered, the file is opened and checked, other
 * threads end, a fresh address space is made (task_exec_begin, called back by the loader once nothing can
 * be refused any more), and then what a new program must not inherit goes. */
#include <string.h>

#include "platform/abi/fcntl.h"
#include "platform/abi/misc.h"
#include "platform/abi/fs.h"
#include "platform/base/log.h"
#include "sentry/kernel/exec.h"
#include "sentry/kernel/internal.h"
#include "sentry/kernel/keys.h"

#define ARG_STRLEN_MAX (128 * 1024UL) /* one string */
#define ARG_TOTAL_MAX  (6UL << 20)    /* three quarters of the usual stack */

/* ---- arguments ---- */

struct strings {
	char *data;
	size_t len, cap, limit; /* limit counts pointers too */
	size_t pointers;
};

static uint64_t strings_limit(struct task *t)
{
	uint64_t stack = task_rlimit(t, LINUX_RLIMIT_STACK) / 4;

	return MAX(MIN(stack, ARG_TOTAL_MAX), (uint64_t)LINUX_ARG_MAX);
}

static int strings_room(struct strings *s, size_t n)
{
	size_t cap = MAX(s->cap, (size_t)PAGE_SIZE);
	char *p;

	if (s->len + n + s->pointers * sizeof(uint64_t) > s->limit)
		return -E2BIG;
	while (cap < s->len + n)
		cap *= 2;
	if (cap == s->cap)
		return 0;
	p = krealloc(s->data, cap);
	if (!p)
		return -ENOMEM;
	s->data = p;
	s->cap = cap;
	return 0;
}

static int strings_add(struct strings *s, const char *str)
{
	size_t n = strlen(str) + 1;
	int ret;

	s->pointers++;
	ret = strings_room(s, n);
	if (ret < 0)
		return ret;
	memcpy(s->data + s->len, str, n);
	s->len += n;
	return 0;
}

/* A string of the guest, read in pieces straight into place. */
static int strings_add_user(struct strings *s, struct task *t, uaddr_t src)
{
	size_t chunk = 256, total = 0;
	ssize_t n;
	int ret;

	s->pointers++;
	for (;;) {
		ret = strings_room(s, chunk);
		if (ret < 0)
			return ret;
		n = strncpy_from_user(t, s->data + s->len, src, chunk);
		if (n >= 0) {
			s->len += (size_t)n + 1;
			return 0;
		}
		if (n != -ENAMETOOLONG)
			return (int)n;
		/* no end in this piece: take it whole, but once more as bytes */
		ret = copy_from_user(t, s->data + s->len, src, chunk);
		if (ret < 0)
			return ret;
		if (memchr(s->data + s->len, 0, chunk))
			continue; /* it changed under us */
		s->len += chunk;
		src += chunk;
		total += chunk;
		if (total >= ARG_STRLEN_MAX)
			return -E2BIG;
		chunk = MIN(chunk * 4, (size_t)PAGE_SIZE);
	}
}

static int gather(struct strings *s, struct task *t, uaddr_t array, uint32_t *count)
{
	uaddr_t ptr[32];
	int ret;

	*count = 0;
	if (array == 0)
		return 0;
	for (uaddr_t at = array;; at += sizeof(ptr[0])) {
		ret = copy_from_user(t, &ptr[0], at, sizeof(ptr[0]));
		if (ret < 0)
			return ret;
		if (ptr[0] == 0)
			return 0;
		ret = strings_add_user(s, t, ptr[0]);
		if (ret < 0)
			return ret;
		++*count;
	}
}

static int gather_user(struct task *t, uaddr_t argv, uaddr_t envp, struct exec_args *a)
{
	struct strings s = {.limit = strings_limit(t)};
	int ret = gather(&s, t, argv, &a->argc);

	if (ret == 0 && a->argc == 0) { /* no program expects argc 0 */
		ret = strings_add(&s, "");
		a->argc = 1;
	}
	if (ret == 0)
		ret = gather(&s, t, envp, &a->envc);
	if (ret < 0) {
		kfree(s.data);
		return ret;
	}
	a->strings = s.data;
	a->strings_size = s.len;
	return 0;
}

static int gather_kernel(struct task *t, const char *const *argv, const char *const *envp, struct exec_args *a)
{
	struct strings s = {.limit = strings_limit(t)};
	int ret = 0;

	for (; ret == 0 && argv && argv[a->argc]; a->argc++)
		ret = strings_add(&s, argv[a->argc]);
	if (ret == 0 && a->argc == 0) {
		ret = strings_add(&s, "");
		a->argc = 1;
	}
	for (; ret == 0 && envp && envp[a->envc]; a->envc++)
		ret = strings_add(&s, envp[a->envc]);
	if (ret < 0) {
		kfree(s.data);
		return ret;
	}
	a->strings = s.data;
	a->strings_size = s.len;
	return 0;
}

/* ---- the file ---- */

static int open_checked(struct task *t, const struct path *p, struct file **out)
{
	struct inode *inode = p->dentry->inode;
	struct cred *root;
	int ret;

	if (inode && inode_is(inode, LINUX_S_IFLNK))
		return -ELOOP; /* AT_SYMLINK_NOFOLLOW */
	if (!inode || !inode_is(inode, LINUX_S_IFREG))
		return -EACCES;
	if (__atomic_load_n(&p->mnt->flags, __ATOMIC_RELAXED) & LINUX_MS_NOEXEC)
		return -EACCES;
	ret = vfs_permission(p, MAY_EXEC, t->cred);
	if (ret < 0)
		return ret;
	if ((int32_t)__atomic_load_n(&inode->write_count, __ATOMIC_RELAXED) > 0)
		return -ETXTBSY;
	ret = vfs_open_path(p, LINUX_O_RDONLY, t->cred, out);
	if (ret != -EACCES)
		return ret;
	/* Executable but not readable is enough to run it. */
	ret = cred_create(t->kernel->user_ns, 0, 0, CAPSET_ALL, &root);
	if (ret < 0)
		return ret;
	ret = vfs_open_path(p, LINUX_O_RDONLY, root, out);
	cred_put(root);
	return ret;
}

static int open_exec(struct task *t, const struct vfs_at *at, const char *name, uint32_t lookup,
		     struct file **out)
{
	struct path p;
	int ret = vfs_lookup(at, name, lookup, &p);

	if (ret < 0)
		return ret;
	ret = open_checked(t, &p, out);
	path_put(&p);
	return ret;
}

/* ---- credentials ---- */

static int make_cred(struct task *t, struct exec_args *a)
{
	bool ignore = t->p->exec_nosuid || ptrace_is_traced(t);
	struct cred *c;
	int ret = cred_exec(t->cred, ignore ? ID_INVALID : a->set_uid, ignore ? ID_INVALID : a->set_gid,
			    &a->secure, &c);

	if (ret < 0)
		return ret;
	a->uid = user_ns_from_kuid(c->user_ns, c->uid);
	a->euid = user_ns_from_kuid(c->user_ns, c->euid);
	a->gid = user_ns_from_kgid(c->user_ns, c->gid);
	a->egid = user_ns_from_kgid(c->user_ns, c->egid);
	t->p->exec_cred = c;
	return 0;
}

/* ---- other threads ---- */

static bool others_are_gone(struct process *p)
{
	bool gone;

	mutex_lock(&p->kernel->tasklist_lock);
	gone = p->p->undead == 1;
	mutex_unlock(&p->kernel->tasklist_lock);
	return gone;
}

/* The process keeps its id: t takes over what the dead leader was known by. */
static void become_leader(struct task *t)
{
	struct process *p = t->process;
	struct kernel *k = t->kernel;
	struct task *old = NULL;
	struct pid *pid;

	mutex_lock(&k->tasklist_lock);
	if (p->leader != t) {
		old = p->leader;
		mutex_lock(&p->lock);
		pid = t->pid;
		t->pid = old->pid;
		old->pid = pid;
		t->tid = p->tgid;
		p->leader = task_get(t);
		mutex_unlock(&p->lock);
		t->pid->task = t;
		old->pid->task = old;
		t->p->exit_signal = old->p->exit_signal;
		t->p->parent_task = old->p->parent_task;
		t->p->start_ns = old->p->start_ns;
		exit_release_thread_locked(old);
	}
	t->p->exit_signal = p->parent ? LINUX_SIGCHLD : t->p->exit_signal;
	mutex_unlock(&k->tasklist_lock);
	if (old)
		task_put(old);
}

static int end_other_threads(struct task *t)
{
	struct process *p = t->process;
	struct task_private *tp;
	int ret = 0;

	mutex_lock(&p->lock);
	if (p->p->group_exit || p->p->exec_task)
		ret = -EAGAIN;
	else
		p->p->exec_task = t;
	process_for_each (tp, p)
		if (ret == 0 && tp->self != t)
			task_set_work(tp->self, TASK_WORK_EXIT);
	mutex_unlock(&p->lock);
	if (ret < 0)
		return ret;
	while (!others_are_gone(p)) {
		ret = task_block_killable(t, 0);
		if (ret < 0) {
			ret = -EAGAIN; /* we are killed ourselves */
			break;
		}
	}
	if (ret == 0)
		become_leader(t);
	mutex_lock(&p->lock);
	p->p->exec_task = NULL;
	mutex_unlock(&p->lock);
	return ret;
}

/* ---- the old image goes ---- */

static void leave_old_memory(struct task *t)
{
	uint32_t zero = 0;

	if (!t->mm)
		return;
	futex_task_exit(t);
	if (t->p->clear_child_tid && refs_read(&t->mm->refs) > 1 &&
	    copy_to_user(t, t->p->clear_child_tid, &zero, sizeof(zero)) == 0)
		futex_wake_exit(t, t->p->clear_child_tid);
	t->p->clear_child_tid = 0;
}

int task_exec_begin(struct task *t, struct exec_args *a)
{
	struct mm *mm, *old = t->mm;
	int ret = make_cred(t, a);

	if (ret < 0)
		return ret;
	ret = end_other_threads(t);
	if (ret < 0)
		return ret;
	leave_old_memory(t);
	ret = task_platform(t)->context_new_aspace(t->ctx);
	if (ret < 0)
		return ret;
	a->point_of_no_return = true;
	ret = mm_create(t->ctx, &mm);
	if (ret < 0)
		mm = NULL;
	mutex_lock(&t->process->lock);
	t->mm = mm;
	mutex_unlock(&t->process->lock);
	if (old)
		mm_put(old);
	return ret;
}

static int private_actions(struct process *p)
{
	struct sigactions *a = p->p->actions, *own;
	int ret;

	if (refs_read(&a->refs) == 1)
		return 0;
	ret = sigactions_copy(a, false, &own);
	if (ret < 0)
		return ret;
	mutex_lock(&p->lock);
	p->p->actions = own;
	mutex_unlock(&p->lock);
	sigactions_put(a);
	return 0;
}

static void reset_actions(struct process *p)
{
	struct sigactions *a = p->p->actions;

	mutex_lock(&a->lock);
	for (int i = 0; i < SIG_COUNT; i++) {
		uaddr_t h = a->action[i].sa_handler;

		a->action[i] = (struct linux_sigaction){.sa_handler = h == LINUX_SIG_IGN ? h : LINUX_SIG_DFL};
	}
	sigactions_find_plain(a);
	mutex_unlock(&a->lock);
}

static int private_files(struct task *t)
{
	struct fdtable *own, *old = t->fds;
	int ret;

	if (refs_read(&old->refs) == 1)
		return 0;
	ret = fdtable_copy(old, &own);
	if (ret < 0)
		return ret;
	mutex_lock(&t->process->lock);
	t->fds = own;
	mutex_unlock(&t->process->lock);
	fdtable_put(old, old);
	return 0;
}

static void set_registers(struct task *t, const struct exec_args *a)
{
	struct guest_regs *r = task_regs(t, true);

	memset(r, 0, sizeof(*r));
	regs_sanitize(r);
	regs_set_ip(r, a->entry);
	regs_set_sp(r, a->stack);
	r->orig_rax = (uint64_t)-1;
}

/* The new image stands. */
static void commit(struct task *t, struct exec_args *a)
{
	struct cred *c = t->p->exec_cred;
	struct process *p = t->process;
	bool same = c->uid == c->euid && c->gid == c->egid && !a->secure;

	t->p->exec_cred = NULL;
	task_set_cred(t, c);
	__atomic_store_n(&t->mm->dumpable, same ? 1 : 0, __ATOMIC_RELAXED);
	if (!same)
		t->p->pdeath_signal = 0;
	process_set_exe(p, &a->exe);
	task_set_comm(t, a->comm);
	fdtable_close_on_exec(t->fds, task_lock_owner(t));
	reset_actions(p);
	process_timers_exit(p, true);
	t->p->altstack = (struct linux_sigaltstack){.ss_flags = LINUX_SS_DISABLE};
	t->p->robust_list = 0;
	t->p->clear_child_tid = 0;
	keys_exec(t);
	t->p->rseq = 0;
	t->p->restart.fn = NULL;
	t->p->personality &= ~(uint32_t)LINUX_READ_IMPLIES_EXEC;
	p->p->has_exec = true;
	vfork_release(t);
	set_registers(t, a);
	ptrace_exec(t);
}

static int exec_file(struct task *t, struct file *f, const char *filename, struct exec_args *a)
{
	struct process *p = t->process;
	int ret;

	a->set_uid = a->set_gid = ID_INVALID;
	t->p->exec_nosuid = (__atomic_load_n(&f->path.mnt->flags, __ATOMIC_RELAXED) & LINUX_MS_NOSUID) != 0;
	ret = private_files(t);
	if (ret == 0)
		ret = private_actions(p);
	if (ret < 0)
		return ret;
	if (!t->kernel->ops.load)
		return -ENOEXEC;
	ret = t->kernel->ops.load(t, f, filename, a);
	if (ret == 0) {
		commit(t, a);
		path_put(&a->exe);
		return 0;
	}
	if (t->p->exec_cred)
		cred_put(t->p->exec_cred);
	t->p->exec_cred = NULL;
	if (a->point_of_no_return) {
		log_info("task %d: execve failed too late: error %d", t->tid, -ret);
		mutex_lock(&p->lock);
		process_group_exit_locked(p, LINUX_SIGSEGV, NULL);
		mutex_unlock(&p->lock);
	}
	return ret;
}

int64_t task_exec(struct task *t, const struct vfs_at *at, const char *name, const char *filename,
		  uint32_t lookup, uaddr_t argv, uaddr_t envp)
{
	struct exec_args a = {0};
	struct file *f;
	int ret = open_exec(t, at, name, lookup, &f);

	if (ret < 0)
		return ret;
	ret = gather_user(t, argv, envp, &a);
	if (ret == 0)
		ret = exec_file(t, f, filename, &a);
	kfree(a.strings);
	file_put(f);
	return ret < 0 ? ret : SYSCALL_REGS_SET;
}

int task_exec_kernel(struct task *t, const struct init_args *ia)
{
	struct vfs_at at = task_at(t, NULL);
	struct exec_args a = {0};
	struct file *f;
	int ret = open_exec(t, &at, ia->path, LOOKUP_FOLLOW, &f);

	if (ret < 0)
		return ret;
	ret = gather_kernel(t, ia->argv, ia->envp, &a);
	if (ret == 0)
		ret = exec_file(t, f, ia->path, &a);
	kfree(a.strings);
	file_put(f);
	return ret;
}
