/* tty.c: job control: sessions and their terminals, background reads and writes, the ioctls that need to
 * know who calls. See tty.h. Lock: tasklist_lock for the ties between terminals, sessions and groups. */
#include "platform/abi/ioctl.h"
#include "platform/abi/fcntl.h"
#include "platform/abi/termios.h"
#include "sentry/kernel/internal.h"

static struct kernel *kernel_of(void)
{
	return arena_root(ROOT_KERNEL); /* terminals are made by rooms that know no kernel */
}

void tty_init(struct tty *tty, const struct tty_ops *ops, uint64_t rdev)
{
	*tty = (struct tty){.ops = ops, .rdev = rdev};
}

void tty_fini(struct tty *tty)
{
	BUG_ON(tty->session);
	pid_put(tty->pgrp);
	tty->pgrp = NULL;
}

void tty_signal_foreground(struct tty *tty, int sig)
{
	struct kernel *k = kernel_of();

	if (!k)
		return;
	mutex_lock(&k->tasklist_lock);
	if (tty->pgrp)
		(void)signal_send_pgrp_locked(tty->pgrp, sig, NULL);
	mutex_unlock(&k->tasklist_lock);
}

/* Cuts the tie; the references are handed back. */
static void untie_locked(struct session *s, struct pid **pgrp, struct tty **tty)
{
	*tty = s->tty;
	*pgrp = s->tty->pgrp;
	s->tty->pgrp = NULL;
	s->tty->session = NULL;
	s->tty = NULL;
}

/* Without locks. */
static void drop(struct session *s, struct pid *pgrp, struct tty *tty)
{
	pid_put(pgrp);
	tty->ops->put(tty);
	session_put(s);
}

void tty_hangup(struct tty *tty)
{
	struct kernel *k = kernel_of();
	struct tty *held = NULL;
	struct session *s;
	struct pid *pgrp = NULL;

	if (!k)
		return;
	mutex_lock(&k->tasklist_lock);
	s = tty->session;
	if (s) {
		if (s->leader) {
			(void)signal_send_process(s->leader, LINUX_SIGHUP, NULL);
			(void)signal_send_process(s->leader, LINUX_SIGCONT, NULL);
		}
		if (tty->pgrp) {
			(void)signal_send_pgrp_locked(tty->pgrp, LINUX_SIGHUP, NULL);
			(void)signal_send_pgrp_locked(tty->pgrp, LINUX_SIGCONT, NULL);
		}
		untie_locked(s, &pgrp, &held);
	}
	mutex_unlock(&k->tasklist_lock);
	if (!s)
		return;
	if (held->ops->hangup)
		held->ops->hangup(held);
	drop(s, pgrp, held);
}

void tty_disassociate(struct task *t, bool on_exit)
{
	struct kernel *k = t->kernel;
	struct session *s;
	struct tty *tty = NULL;
	struct pid *pgrp = NULL;

	mutex_lock(&k->tasklist_lock);
	s = t->process->session;
	if (s && s->leader == t->process && s->tty) {
		if (s->tty->pgrp) {
			(void)signal_send_pgrp_locked(s->tty->pgrp, LINUX_SIGHUP, NULL);
			if (!on_exit)
				(void)signal_send_pgrp_locked(s->tty->pgrp, LINUX_SIGCONT, NULL);
		}
		untie_locked(s, &pgrp, &tty);
	}
	mutex_unlock(&k->tasklist_lock);
	if (!tty)
		return;
	if (on_exit && tty->ops->hangup)
		tty->ops->hangup(tty);
	drop(s, pgrp, tty);
}

struct tty *tty_of_session(struct task *t)
{
	struct kernel *k = t->kernel;
	struct tty *tty;

	mutex_lock(&k->tasklist_lock);
	tty = t->process->session ? t->process->session->tty : NULL;
	if (tty)
		tty->ops->get(tty);
	mutex_unlock(&k->tasklist_lock);
	return tty;
}

int tty_set_controlling(struct task *t, struct tty *tty, bool steal)
{
	struct session *s, *loser = NULL;
	struct kernel *k = t->kernel;
	struct pid *old = NULL;
	struct tty *lost = NULL;
	int ret = 0;

	tty->ops->get(tty);
	mutex_lock(&k->tasklist_lock);
	s = t->process->session;
	if (s->leader == t->process && s->tty == tty) {
		ret = 1; /* it is already */
	} else if (s->leader != t->process || s->tty) {
		ret = -EPERM;
	} else if (tty->session) {
		if (steal && cred_has_cap_in(t->cred, LINUX_CAP_SYS_ADMIN, k->user_ns)) {
			loser = tty->session;
			untie_locked(loser, &old, &lost);
		} else {
			ret = -EPERM;
		}
	}
	if (ret == 0) {
		s->tty = tty; /* the reference taken above */
		tty->session = session_get(s);
		tty->pgrp = pid_get(t->process->pgrp);
	}
	mutex_unlock(&k->tasklist_lock);
	if (lost)
		drop(loser, old, lost);
	if (ret)
		tty->ops->put(tty);
	return ret < 0 ? ret : 0;
}

void tty_opened(struct task *t, struct file *f)
{
	if ((f->flags & LINUX_O_NOCTTY) || f->ops->tty_master)
		return;
	if (t->process->session->leader == t->process && !t->process->session->tty &&
	    tty_set_controlling(t, f->ops->tty(f), false) < 0)
		return; /* it belongs to another session: then it is just a file */
}

/* A background process touches its terminal: the signal, or what is said instead. */
static int background(struct task *t, struct tty *tty, int sig)
{
	struct kernel *k = t->kernel;
	struct process *p = t->process;
	bool ignored;
	int ret = 0;

	if (LIKELY(__atomic_load_n(&tty->pgrp, __ATOMIC_RELAXED) == p->pgrp))
		return 0;
	mutex_lock(&k->tasklist_lock);
	if (!tty->session || p->session != tty->session || !tty->pgrp || tty->pgrp == p->pgrp)
		goto out;
	mutex_lock(&p->lock);
	ignored = (t->p->blocked & SIG_BIT(sig)) || signal_ignored_locked(p, sig);
	mutex_unlock(&p->lock);
	if (ignored)
		ret = sig == LINUX_SIGTTIN ? -EIO : 0;
	else if (pgrp_orphaned_locked(p->pgrp, NULL))
		ret = -EIO;
	else
		ret = -ERESTARTSYS;
	if (ret == -ERESTARTSYS)
		(void)signal_send_pgrp_locked(p->pgrp, sig, NULL);
out:
	mutex_unlock(&k->tasklist_lock);
	return ret;
}

int tty_check_read(struct task *t, struct tty *tty)
{
	return background(t, tty, LINUX_SIGTTIN);
}

int tty_check_write(struct task *t, struct tty *tty)
{
	if (!__atomic_load_n(&tty->tostop, __ATOMIC_RELAXED))
		return 0;
	return background(t, tty, LINUX_SIGTTOU);
}

static int get_pgrp(struct task *t, struct file *f, struct tty *tty, uint64_t arg, bool sid)
{
	struct kernel *k = t->kernel;
	struct session *s;
	int32_t nr = 0;
	int ret = 0;

	mutex_lock(&k->tasklist_lock);
	s = t->process->session;
	if (!f->ops->tty_master && s->tty != tty)
		ret = -ENOTTY;
	else if (sid)
		nr = tty->session ? pid_nr_in(tty->session->sid, task_pid_ns(t)) : -ENOTTY;
	else
		nr = tty->pgrp ? pid_nr_in(tty->pgrp, task_pid_ns(t)) : 0;
	mutex_unlock(&k->tasklist_lock);
	if (ret == 0 && nr < 0)
		ret = nr;
	return ret < 0 ? ret : copy_to_user(t, arg, &nr, sizeof(nr));
}

static int set_pgrp(struct task *t, struct file *f, struct tty *tty, uint64_t arg)
{
	struct kernel *k = t->kernel;
	struct pid *pid, *old = NULL;
	struct session *s;
	struct process *member;
	int32_t nr;
	int ret = background(t, tty, LINUX_SIGTTOU);

	if (ret == -EIO)
		return -ENOTTY;
	if (ret == 0)
		ret = copy_from_user(t, &nr, arg, sizeof(nr));
	if (ret < 0)
		return ret;
	if (nr < 0)
		return -EINVAL;
	mutex_lock(&k->tasklist_lock);
	s = t->process->session;
	pid = pid_find_locked(task_pid_ns(t), nr);
	member = pid ? list_first(&pid->group, struct process, pgrp_node) : NULL;
	if ((!f->ops->tty_master && s->tty != tty) || tty->session != s)
		ret = -ENOTTY;
	else if (!member)
		ret = -ESRCH;
	else if (member->session != s)
		ret = -EPERM;
	if (ret == 0) {
		old = tty->pgrp;
		tty->pgrp = pid_get(pid);
	}
	mutex_unlock(&k->tasklist_lock);
	pid_put(old);
	return ret;
}

/* Which calls change the terminal, and so stop a background process. */
static bool changes_terminal(uint32_t cmd)
{
	switch (cmd) {
	case LINUX_TCSETS:
	case LINUX_TCSETSW:
	case LINUX_TCSETSF:
	case LINUX_TCSETA:
	case LINUX_TCSETAW:
	case LINUX_TCSETAF:
	case LINUX_TCSBRK:
	case LINUX_TCSBRKP:
	case LINUX_TCXONC:
	case LINUX_TCFLSH:
	case LINUX_TIOCSETD:
		return true;
	default:
		return false;
	}
}

static int64_t tty_ioctl(struct task *t, struct file *f, struct tty *tty, uint32_t cmd, uint64_t arg,
			 bool *done)
{
	*done = true;
	switch (cmd) {
	case LINUX_TIOCSCTTY:
		if (f->ops->tty_master)
			return -EINVAL;
		return tty_set_controlling(t, tty, arg == 1);
	case LINUX_TIOCNOTTY:
		if (t->process->session->tty != tty)
			return -ENOTTY;
		tty_disassociate(t, false);
		return 0;
	case LINUX_TIOCGPGRP:
		return get_pgrp(t, f, tty, arg, false);
	case LINUX_TIOCGSID:
		return get_pgrp(t, f, tty, arg, true);
	case LINUX_TIOCSPGRP:
		return set_pgrp(t, f, tty, arg);
	default:
		*done = false;
		if (!f->ops->tty_master && changes_terminal(cmd))
			return background(t, tty, LINUX_SIGTTOU);
		return 0;
	}
}

int64_t file_ioctl(struct task *t, struct file *f, uint32_t cmd, uint64_t arg)
{
	struct usermem um = task_usermem(t);
	bool done;
	int64_t ret;

	if (f->ops->tty) {
		ret = tty_ioctl(t, f, f->ops->tty(f), cmd, arg, &done);
		if (done || ret < 0)
			return ret;
	}
	return f->ops->ioctl ? f->ops->ioctl(f, cmd, arg, &um, t->cred) : -ENOTTY;
}
