/* signalfd.c: signalfd(2). A read takes the reader's own signals, as on Linux; readiness that is asked for
 * without a caller (epoll) is the creating process's. */
#include "platform/abi/fcntl.h"
#include "platform/base/strbuf.h"
#include "sentry/kernel/internal.h"

struct signalfd {
	struct process *process; /* [I] reference: the creator's */
	uint64_t set;		 /* [a] */
};

static void convert(const struct linux_siginfo *i, struct linux_signalfd_siginfo *o)
{
	*o = (struct linux_signalfd_siginfo){
		.ssi_signo = (uint32_t)i->si_signo, .ssi_errno = i->si_errno, .ssi_code = i->si_code};
	switch (i->si_signo) {
	case LINUX_SIGCHLD:
		o->ssi_pid = (uint32_t)i->chld.si_pid;
		o->ssi_uid = i->chld.si_uid;
		o->ssi_status = i->chld.si_status;
		o->ssi_utime = (uint64_t)i->chld.si_utime;
		o->ssi_stime = (uint64_t)i->chld.si_stime;
		return;
	case LINUX_SIGSEGV:
	case LINUX_SIGBUS:
	case LINUX_SIGILL:
	case LINUX_SIGFPE:
	case LINUX_SIGTRAP:
		if (i->si_code <= 0)
			break;
		o->ssi_addr = i->fault.si_addr;
		o->ssi_addr_lsb = (uint16_t)i->fault.si_addr_lsb;
		return;
	case LINUX_SIGIO:
		if (i->si_code <= 0)
			break;
		o->ssi_band = (uint32_t)i->poll.si_band;
		o->ssi_fd = i->poll.si_fd;
		return;
	default:
		break;
	}
	if (i->si_code == LINUX_SI_TIMER) {
		o->ssi_tid = (uint32_t)i->timer.si_tid;
		o->ssi_overrun = (uint32_t)i->timer.si_overrun;
		o->ssi_ptr = i->timer.si_value.sival_ptr;
		o->ssi_int = i->timer.si_value.sival_int;
		return;
	}
	o->ssi_pid = (uint32_t)i->kill.si_pid;
	o->ssi_uid = i->kill.si_uid;
	if (i->si_code == LINUX_SI_QUEUE || i->si_code == LINUX_SI_MESGQ) {
		o->ssi_ptr = i->kill.si_value.sival_ptr;
		o->ssi_int = i->kill.si_value.sival_int;
	}
}

ssize_t signalfd_read(struct task *t, struct file *f, struct uio *dst)
{
	struct signalfd *sf = f->priv;
	struct linux_signalfd_siginfo out;
	struct linux_siginfo info;
	ssize_t total = 0, n;
	int sig;

	if (dst->resid < sizeof(out))
		return -EINVAL;
	while (dst->resid >= sizeof(out)) {
		mutex_lock(&t->process->lock);
		sig = signal_dequeue_locked(t, ~__atomic_load_n(&sf->set, __ATOMIC_RELAXED), &info);
		mutex_unlock(&t->process->lock);
		if (!sig)
			break;
		convert(&info, &out);
		n = uio_put(dst, &out, sizeof(out));
		if (n != (ssize_t)sizeof(out))
			return total ? total : -EFAULT;
		total += n;
	}
	return total ? total : -EAGAIN;
}

uint32_t signalfd_ready(struct task *t, struct file *f)
{
	struct signalfd *sf = f->priv;
	uint64_t pending;

	mutex_lock(&t->process->lock);
	pending = t->p->pending.set | t->process->p->pending.set;
	mutex_unlock(&t->process->lock);
	return pending & __atomic_load_n(&sf->set, __ATOMIC_RELAXED) ? EV_IN | EV_RDNORM : 0;
}

static uint32_t ready_of_creator(struct file *f)
{
	struct signalfd *sf = f->priv;
	struct process *p = sf->process;
	struct task_private *tp;
	uint64_t pending;

	mutex_lock(&p->lock);
	pending = p->p->pending.set;
	process_for_each (tp, p)
		pending |= tp->pending.set;
	mutex_unlock(&p->lock);
	return pending & __atomic_load_n(&sf->set, __ATOMIC_RELAXED) ? EV_IN | EV_RDNORM : 0;
}

/* Only file_read_block knows the reader. */
static ssize_t read_without_task(struct file *f, struct uio *dst, uint64_t *pos)
{
	(void)f, (void)dst, (void)pos;
	return -EINVAL;
}

static void release(struct file *f)
{
	struct signalfd *sf = f->priv;

	process_put(sf->process);
	kfree(sf);
}

static void show_fdinfo(struct file *f, struct strbuf *out)
{
	struct signalfd *sf = f->priv;

	strbuf_printf(out, "sigmask:\t%016lx\n", __atomic_load_n(&sf->set, __ATOMIC_RELAXED));
}

static int64_t no_seek(struct file *f, int64_t off, int whence)
{
	(void)f, (void)off, (void)whence;
	return 0;
}

const struct file_ops signalfd_ops = {
	.seek = no_seek,
	.read = read_without_task,
	.ready = ready_of_creator,
	.release = release,
	.show_fdinfo = show_fdinfo,
	.name = "anon_inode:[signalfd]",
};

int signalfd_create(struct task *t, uint64_t set, uint32_t flags, struct file **out)
{
	struct signalfd *sf = kmalloc(sizeof(*sf));
	int ret;

	if (!sf)
		return -ENOMEM;
	sf->process = process_get(t->process);
	sf->set = set & ~SIG_UNMASKABLE;
	ret = file_create_anon(t->kernel->vfs, &signalfd_ops, sf, LINUX_O_RDWR | (flags & LINUX_O_NONBLOCK),
			       0600, t->cred, &t->process->p->signal_wq, out);
	if (ret < 0) {
		process_put(sf->process);
		kfree(sf);
	}
	return ret;
}

int signalfd_update(struct file *f, uint64_t set)
{
	struct signalfd *sf = f->priv;

	if (f->ops != &signalfd_ops)
		return -EINVAL;
	__atomic_store_n(&sf->set, set & ~SIG_UNMASKABLE, __ATOMIC_RELAXED);
	waitq_wake(&sf->process->p->signal_wq, EV_IN | EV_RDNORM);
	return 0;
}
