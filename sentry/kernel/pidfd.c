/* pidfd.c: files that name a process: readable once it has ended. */
#include "platform/abi/fcntl.h"
#include "platform/base/strbuf.h"
#include "sentry/kernel/internal.h"

static uint32_t ready(struct file *f)
{
	struct pid *pid = f->priv;
	uint32_t ev = 0;

	mutex_lock(&pid->kernel->tasklist_lock);
	if (!pid->process)
		ev = EV_IN | EV_RDNORM | EV_HUP;
	else if (pid->process->p->zombie)
		ev = EV_IN | EV_RDNORM;
	mutex_unlock(&pid->kernel->tasklist_lock);
	return ev;
}

static void release(struct file *f)
{
	pid_put(f->priv);
}

static void show_fdinfo(struct file *f, struct strbuf *out)
{
	struct pid *pid = f->priv;
	bool gone;

	mutex_lock(&pid->kernel->tasklist_lock);
	gone = !pid->process;
	mutex_unlock(&pid->kernel->tasklist_lock);
	if (gone) {
		strbuf_puts(out, "Pid:\t-1\nNSpid:\t-1\n");
		return;
	}
	strbuf_printf(out, "Pid:\t%d\nNSpid:", pid->nrs[0].nr);
	for (uint32_t i = 0; i < pid->levels; i++)
		strbuf_printf(out, "\t%d", pid->nrs[i].nr);
	strbuf_putc(out, '\n');
}

static const struct file_ops pidfd_ops = {
	.ready = ready,
	.release = release,
	.show_fdinfo = show_fdinfo,
	.name = "anon_inode:[pidfd]",
};

int pidfd_create(struct task *t, struct pid *pid, uint32_t flags, struct file **out)
{
	int ret = file_create_anon(t->kernel->vfs, &pidfd_ops, pid_get(pid),
				   LINUX_O_RDWR | (flags & LINUX_O_NONBLOCK), 0600, t->cred, &pid->wq, out);

	if (ret < 0)
		pid_put(pid);
	return ret;
}

struct pid *pidfd_pid(struct file *f)
{
	return f->ops == &pidfd_ops ? f->priv : NULL;
}
