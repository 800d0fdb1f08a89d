/* fasync.c: signal-driven I/O. A watched file's wait queue only notes that something happened, because signals
 * can't be sent under its lock; a thread of the kernel, started with the first use, sends them. */
#include "platform/abi/fs.h"
#include "platform/abi/misc.h"
#include "platform/base/thread.h"
#include "sentry/kernel/internal.h"
#include "sentry/kernel/fasync.h"

#define ASYNC_EVENTS (EV_IN | EV_RDNORM | EV_OUT | EV_WRNORM | EV_PRI | EV_RDBAND | EV_ERR | EV_HUP | EV_MSG)

#define MESSAGES_MAX 1024u /* signals for what happened at once in a directory */

struct sigio {
	struct mutex lock;     /* rank TIMER: below what signals need, so held for copying only */
	struct list all;       /* [lock] struct async_io that watch */
	uint32_t word;	       /* [a] counts events; the thread sleeps on it */
	struct kernel *kernel; /* [I] */
};

struct async_io {
	struct file_async head;
	struct sigio *queue; /* [I] */
	struct list node;    /* [lock] */
	struct waiter waiter;
	struct file *f;	    /* [I] it is part of f */
	uint32_t pending;   /* [a] EV_* since last looked at */
	bool watching;	    /* [lock] */
	int fd;		    /* [lock] for si_fd */
	int32_t type;	    /* [lock] LINUX_F_OWNER_* */
	struct pid *pid;    /* [lock] reference; NULL: nobody */
	uint32_t uid, euid; /* [lock] of who set the owner */
	/* F_NOTIFY on a directory: an inotify instance of our own that only wakes */
	struct file *notify; /* [a] set once; reference */
	struct waiter notify_waiter;
	int notify_wd;	   /* [a] */
	uint32_t messages; /* [a] of F_NOTIFY since last looked at: each is a signal */
};

/* What the thread takes along to send one file's signals. */
struct notice {
	int32_t type;
	struct pid *pid;
	uint32_t uid, euid, events, messages;
	int sig, fd;
};

static bool on_event(struct waiter *w, uint32_t events)
{
	struct async_io *a = w->arg;

	if (events & EV_MSG)
		__atomic_add_fetch(&a->messages, 1, __ATOMIC_SEQ_CST);
	__atomic_or_fetch(&a->pending, events & ASYNC_EVENTS, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&a->queue->word, 1, __ATOMIC_SEQ_CST);
	futex_wake_word(&a->queue->word, 1);
	return false; /* takes nothing away from others */
}

static bool may_signal(struct process *p, const struct notice *n)
{
	struct task *leader;
	struct cred *c;
	bool ok;

	if (n->euid == 0)
		return true;
	mutex_lock(&p->kernel->tasklist_lock);
	leader = p->leader ? task_get(p->leader) : NULL;
	mutex_unlock(&p->kernel->tasklist_lock);
	if (!leader)
		return false;
	c = task_cred_get(leader);
	ok = c && (n->euid == c->suid || n->euid == c->uid || n->uid == c->suid || n->uid == c->uid);
	if (c)
		cred_put(c);
	task_put(leader);
	return ok;
}

static void send_one(struct kernel *k, const struct notice *n, int sig, const struct linux_siginfo *info)
{
	struct process *p;
	struct task *t;

	if (n->type == LINUX_F_OWNER_PGRP) {
		(void)signal_send_pgrp(k, n->pid, sig, info);
		return;
	}
	if (n->type == LINUX_F_OWNER_TID) {
		t = task_find_in(k->pid_ns, pid_nr_in(n->pid, k->pid_ns));
		if (t && may_signal(t->process, n))
			(void)signal_send_task(t, sig, info);
		if (t)
			task_put(t);
		return;
	}
	p = pid_process_get(n->pid);
	if (p && may_signal(p, n))
		(void)signal_send_process(p, sig, info);
	process_put(p);
}

/* si_code and the events it stands for */
static const struct {
	int code;
	uint32_t events;
} bands[] = {
	{LINUX_POLL_IN, EV_IN | EV_RDNORM}, {LINUX_POLL_OUT, EV_OUT | EV_WRNORM | EV_WRBAND},
	{LINUX_POLL_ERR, EV_ERR},	    {LINUX_POLL_PRI, EV_PRI | EV_RDBAND},
	{LINUX_POLL_HUP, EV_HUP},	    {LINUX_POLL_MSG, EV_MSG},
};

static void send_notice(struct kernel *k, const struct notice *n)
{
	struct linux_siginfo info;
	size_t i;

	if (!n->sig) {
		send_one(k, n, LINUX_SIGIO, NULL);
		return;
	}
	for (i = 0; i < ARRAY_SIZE(bands); i++) {
		if (!(n->events & bands[i].events))
			continue;
		info = (struct linux_siginfo){.si_signo = n->sig, .si_code = bands[i].code};
		info.poll.si_band = n->events & bands[i].events;
		info.poll.si_fd = n->fd;
		if (bands[i].code == LINUX_POLL_MSG)
			info.poll.si_band |= EV_IN | EV_RDNORM;
		for (uint32_t m = bands[i].code == LINUX_POLL_MSG ? MIN(n->messages, MESSAGES_MAX) : 1; m; m--)
			send_one(k, n, n->sig, &info);
	}
}

/* The next file with news; false when there is none. */
static bool take_notice(struct sigio *q, struct notice *n)
{
	struct async_io *a;
	bool found = false;

	mutex_lock(&q->lock);
	list_for_each (a, &q->all, node) {
		uint32_t events = __atomic_exchange_n(&a->pending, 0, __ATOMIC_SEQ_CST);

		if (!events || !a->pid)
			continue;
		*n = (struct notice){.type = a->type,
				     .pid = pid_get(a->pid),
				     .uid = a->uid,
				     .euid = a->euid,
				     .events = events,
				     .messages = __atomic_exchange_n(&a->messages, 0, __ATOMIC_SEQ_CST),
				     .fd = a->fd,
				     .sig = __atomic_load_n(&a->f->owner_sig, __ATOMIC_RELAXED)};
		/* to the end, so that a busy file doesn't starve the others */
		list_del(&a->node);
		list_add_tail(&q->all, &a->node);
		found = true;
		break;
	}
	mutex_unlock(&q->lock);
	return found;
}

static void sigio_thread(void *arg)
{
	struct sigio *q = arg;
	struct notice n;

	for (;;) {
		uint32_t seen = __atomic_load_n(&q->word, __ATOMIC_SEQ_CST);

		while (take_notice(q, &n)) {
			send_notice(q->kernel, &n);
			pid_put(n.pid);
		}
		(void)futex_wait_word(&q->word, seen, 0);
	}
}

static struct sigio *sigio_of(struct kernel *k)
{
	struct sigio *q = __atomic_load_n(&k->sigio, __ATOMIC_ACQUIRE), *none = NULL;

	if (q)
		return q;
	q = kmalloc(sizeof(*q));
	if (!q)
		return NULL;
	mutex_init(&q->lock, RANK_TIMER);
	list_init(&q->all);
	q->kernel = k;
	if (!__atomic_compare_exchange_n(&k->sigio, &none, q, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
		kfree(q);
		return none;
	}
	if (thread_start(sigio_thread, q, "sigio") < 0) {
		__atomic_store_n(&k->sigio, NULL, __ATOMIC_RELEASE); /* leaks q: others may have seen it */
		return NULL;
	}
	return q;
}

static void stop_watching(struct async_io *a)
{
	waitq_del(a->f->wq, &a->waiter);
	mutex_lock(&a->queue->lock);
	list_del(&a->node);
	mutex_unlock(&a->queue->lock);
}

static void async_release(struct file *f)
{
	struct async_io *a = container_of(f->fasync, struct async_io, head);

	if (a->watching)
		stop_watching(a);
	if (a->notify) {
		waitq_del(a->notify->wq, &a->notify_waiter);
		mutex_lock(&a->queue->lock);
		list_del(&a->node);
		mutex_unlock(&a->queue->lock);
		file_put(a->notify);
	}
	pid_put(a->pid);
	kfree(a);
}

/* f's registration, made when missing. */
static struct async_io *async_of(struct task *t, struct file *f)
{
	struct file_async *head = __atomic_load_n(&f->fasync, __ATOMIC_ACQUIRE), *none = NULL;
	struct sigio *q;
	struct async_io *a;

	if (head)
		return container_of(head, struct async_io, head);
	q = sigio_of(t->kernel);
	a = q ? kmalloc(sizeof(*a)) : NULL;
	if (!a)
		return NULL;
	a->head.release = async_release;
	a->queue = q;
	a->f = f;
	list_init(&a->node);
	if (!__atomic_compare_exchange_n(&f->fasync, &none, &a->head, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_ACQUIRE)) {
		kfree(a);
		a = container_of(none, struct async_io, head);
	}
	return a;
}

int file_set_async(struct task *t, struct file *f, int fd, bool on)
{
	struct async_io *a;
	bool change;

	if (!f->wq)
		return 0;
	a = async_of(t, f);
	if (!a)
		return -ENOMEM;
	mutex_lock(&a->queue->lock);
	change = a->watching != on;
	a->watching = on;
	a->fd = fd;
	if (change && on)
		list_add_tail(&a->queue->all, &a->node);
	mutex_unlock(&a->queue->lock);
	if (!change)
		return 0;
	if (on) {
		a->waiter = (struct waiter){.mask = ASYNC_EVENTS, .func = on_event, .arg = a};
		list_init(&a->waiter.node);
		waitq_add(f->wq, &a->waiter);
	} else {
		stop_watching(a);
	}
	return 0;
}

int file_set_owner(struct task *t, struct file *f, const struct linux_f_owner_ex *ex)
{
	struct pid *pid = NULL, *old;
	struct async_io *a;

	if (ex->pid) {
		pid = task_pid_find(t, ex->pid);
		if (!pid)
			return -ESRCH;
	}
	a = async_of(t, f);
	if (!a) {
		pid_put(pid);
		return -ENOMEM;
	}
	mutex_lock(&a->queue->lock);
	old = a->pid;
	a->pid = pid;
	a->type = ex->type;
	a->uid = t->cred->uid;
	a->euid = t->cred->euid;
	mutex_unlock(&a->queue->lock);
	pid_put(old);
	return 0;
}

void file_get_owner(struct task *t, struct file *f, struct linux_f_owner_ex *ex)
{
	struct file_async *head = __atomic_load_n(&f->fasync, __ATOMIC_ACQUIRE);
	struct async_io *a;

	*ex = (struct linux_f_owner_ex){.type = LINUX_F_OWNER_PID};
	if (!head)
		return;
	a = container_of(head, struct async_io, head);
	mutex_lock(&a->queue->lock);
	ex->type = a->type;
	ex->pid = a->pid ? pid_nr_in(a->pid, task_pid_ns(t)) : 0;
	mutex_unlock(&a->queue->lock);
}

static int notify_instance(struct task *t, struct async_io *a, struct file **out)
{
	struct file *n = __atomic_load_n(&a->notify, __ATOMIC_ACQUIRE), *none = NULL;
	int ret;

	if (!n) {
		ret = inotify_create_file(t->kernel->vfs, t->cred, 0, &n);
		if (ret < 0)
			return ret;
		inotify_wakes_only(n);
		a->notify_waiter = (struct waiter){.mask = EV_MSG, .func = on_event, .arg = a};
		list_init(&a->notify_waiter.node);
		mutex_lock(&a->queue->lock);
		if (a->notify) {
			none = a->notify;
		} else {
			__atomic_store_n(&a->notify, n, __ATOMIC_RELEASE);
			waitq_add(n->wq, &a->notify_waiter);
			list_add_tail(&a->queue->all, &a->node); /* a directory is in no other way */
		}
		mutex_unlock(&a->queue->lock);
		if (none) {
			file_put(n);
			n = none;
		}
	}
	*out = n;
	return 0;
}

static uint32_t notify_mask(uint32_t dn)
{
	return (dn & LINUX_DN_ACCESS ? LINUX_IN_ACCESS : 0) | (dn & LINUX_DN_MODIFY ? LINUX_IN_MODIFY : 0) |
	       (dn & LINUX_DN_CREATE ? LINUX_IN_CREATE | LINUX_IN_MOVED_TO : 0) |
	       (dn & LINUX_DN_DELETE ? LINUX_IN_DELETE | LINUX_IN_MOVED_FROM : 0) |
	       (dn & LINUX_DN_RENAME ? INOTIFY_RENAME : 0) | (dn & LINUX_DN_ATTRIB ? LINUX_IN_ATTRIB : 0) |
	       (dn & LINUX_DN_MULTISHOT ? 0 : LINUX_IN_ONESHOT);
}

int file_set_dnotify(struct task *t, struct file *f, int fd, uint32_t events)
{
	struct linux_f_owner_ex owner;
	struct async_io *a;
	struct file *n;
	int ret;

	if (!inode_is(f->inode, LINUX_S_IFDIR))
		return -ENOTDIR;
	a = async_of(t, f);
	if (!a)
		return -ENOMEM;
	if (!(events & ~LINUX_DN_MULTISHOT)) {
		n = __atomic_load_n(&a->notify, __ATOMIC_ACQUIRE);
		if (n)
			(void)!inotify_remove(n, __atomic_load_n(&a->notify_wd, __ATOMIC_RELAXED));
		return 0;
	}
	file_get_owner(t, f, &owner);
	if (!owner.pid) {
		owner = (struct linux_f_owner_ex){.type = LINUX_F_OWNER_PID, .pid = task_tgid_in(t, t)};
		ret = file_set_owner(t, f, &owner);
		if (ret < 0)
			return ret;
	}
	ret = notify_instance(t, a, &n);
	if (ret < 0)
		return ret;
	mutex_lock(&a->queue->lock);
	a->fd = fd;
	mutex_unlock(&a->queue->lock);
	ret = inotify_add(n, f->inode, notify_mask(events) | LINUX_IN_MASK_ADD);
	if (ret < 0)
		return ret;
	__atomic_store_n(&a->notify_wd, ret, __ATOMIC_RELAXED);
	return 0;
}
