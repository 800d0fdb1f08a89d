/* fasync.c: signal-driven I/O (fcntl(2), F_SETOWN). The owner is kept as its number in the initial pid namespace;
 * who may be signalled is decided when a signal is sent. */
#include "sentry/syscalls/fasync.h"
#include "sentry/kernel/task.h"
#include "sentry/syscalls/internal.h"

static int32_t to_initial(struct task *t, int32_t nr)
{
	struct pid *pid = task_pid_find(t, nr);
	int32_t id;

	if (!pid)
		return 0;
	id = pid_nr_in(pid, t->kernel->pid_ns);
	pid_put(pid);
	return id;
}

int file_set_owner(struct task *t, struct file *f, const struct linux_f_owner_ex *ex)
{
	int32_t id = 0;

	if (ex->pid) {
		id = to_initial(t, ex->pid);
		if (id == 0)
			return -ESRCH;
	}
	__atomic_store_n(&f->owner_type, ex->type, __ATOMIC_RELAXED);
	__atomic_store_n(&f->owner_id, id, __ATOMIC_RELAXED);
	return 0;
}

static int32_t from_initial(struct task *t, int32_t id)
{
	struct task *target;
	int32_t nr;

	if (id == 0 || task_pid_ns(t) == t->kernel->pid_ns)
		return id;
	target = task_find_in(t->kernel->pid_ns, id);
	if (!target)
		return 0;
	nr = task_tid_in(t, target);
	task_put(target);
	return nr;
}

void file_get_owner(struct task *t, struct file *f, struct linux_f_owner_ex *ex)
{
	ex->type = __atomic_load_n(&f->owner_type, __ATOMIC_RELAXED);
	ex->pid = from_initial(t, __atomic_load_n(&f->owner_id, __ATOMIC_RELAXED));
}

int file_set_async(struct task *t, struct file *f, bool on)
{
	(void)t;
	/* nothing here can deliver SIGIO yet: say so, as files without fasync do */
	return on && f->wq ? -ENOTTY : 0;
}
