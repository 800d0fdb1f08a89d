/* mqueue.c: POSIX message queues (mq_overview(7)). A queue is named in its ipc namespace and lives as long as
 * it has a name or a descriptor. Descriptors are files; names don't show in a file system. */
#include <stdio.h>

#include "platform/abi/fs.h"
#include "platform/base/strbuf.h"
#include "sentry/kernel/internal.h"
#include "sentry/kernel/ipc_internal.h"
#include "sentry/kernel/settings.h"

#define MQ_HARD_MSGS 65536
#define MQ_HARD_SIZE (16L << 20)
#define MQ_BYTES_MAX (64UL << 20) /* reserved by all queues of a namespace */

struct mq_message {
	struct list node; /* [IPC] */
	uint32_t priority;
	size_t size;
	char data[];
};

struct mq {
	struct refs refs;
	struct ipc_state *ipc; /* [I] reference */
	struct list node;      /* [IPC] in ipc->mqs while it has a name */
	struct list messages;  /* [IPC] highest priority first, oldest first */
	struct waitq wq;
	uint32_t uid, gid, mode;	    /* [I] */
	int64_t max_messages, message_size; /* [I] */
	uint64_t reserved;		    /* [I] counted in ipc->mq_bytes */
	int64_t count, bytes;		    /* [IPC] */
	/* who wants to hear of the first message */
	struct process *notify;	     /* [IPC] reference; NULL: nobody */
	struct linux_sigevent event; /* [IPC] */
	char name[VFS_NAME_MAX + 1]; /* [I] */
};

static void mq_put(struct mq *q)
{
	struct ipc_state *s = q->ipc;
	struct mq_message *m, *next;

	if (!refs_put(&q->refs))
		return;
	list_for_each_safe (m, next, &q->messages, node)
		kfree(m);
	mutex_lock(&s->lock);
	s->mq_bytes -= q->reserved;
	mutex_unlock(&s->lock);
	process_put(q->notify);
	ipc_state_put(s);
	kfree(q);
}

static struct mq *find_locked(struct ipc_state *s, const char *name)
{
	struct mq *q;

	list_for_each (q, &s->mqs, node)
		if (strcmp(q->name, name) == 0)
			return q;
	return NULL;
}

void mq_namespace_ends(struct ipc_state *s)
{
	struct mq *q;

	for (;;) {
		mutex_lock(&s->lock);
		q = list_first(&s->mqs, struct mq, node);
		if (q)
			list_del(&q->node);
		mutex_unlock(&s->lock);
		if (!q)
			break;
		mq_put(q);
	}
}

/* ---- the file ---- */

static const struct file_ops mq_file_ops;

bool file_is_mq(const struct file *f)
{
	return f->ops == &mq_file_ops;
}

static uint32_t mq_ready(struct file *f)
{
	struct mq *q = f->priv;
	uint32_t ev = 0;

	mutex_lock(&q->ipc->lock);
	if (q->count)
		ev |= EV_IN | EV_RDNORM;
	if (q->count < q->max_messages)
		ev |= EV_OUT | EV_WRNORM;
	mutex_unlock(&q->ipc->lock);
	return ev;
}

/* Reading the descriptor tells the state, as the files of /dev/mqueue do. */
static ssize_t mq_read(struct file *f, struct uio *dst, uint64_t *pos)
{
	struct mq *q = f->priv;
	char text[96];
	ssize_t ret;
	int n;

	mutex_lock(&q->ipc->lock);
	n = snprintf(text, sizeof(text), "QSIZE:%-10lld NOTIFY:%-5d SIGNO:%-5d NOTIFY_PID:%-6d\n",
		     (long long)q->bytes, q->notify ? q->event.sigev_notify : 0,
		     q->notify && q->event.sigev_notify == LINUX_SIGEV_SIGNAL ? q->event.sigev_signo : 0,
		     q->notify ? q->notify->tgid : 0);
	mutex_unlock(&q->ipc->lock);
	if (n < 0 || *pos >= (uint64_t)n)
		return 0;
	ret = uio_put(dst, text + *pos, (size_t)n - *pos);
	if (ret > 0)
		*pos += (uint64_t)ret;
	return ret;
}

/* close(2) by the process that asked for notice takes its request back. */
static void forget_notify(struct mq *q, const struct process *p)
{
	struct process *old = NULL;

	mutex_lock(&q->ipc->lock);
	if (q->notify && (!p || q->notify == p)) {
		old = q->notify;
		q->notify = NULL;
	}
	mutex_unlock(&q->ipc->lock);
	process_put(old);
}

static void mq_release(struct file *f)
{
	mq_put(f->priv);
}

static const struct file_ops mq_file_ops = {
	.read = mq_read,
	.ready = mq_ready,
	.release = mq_release,
	.seekable = true,
	.name = "mqueue",
};

/* ---- names ---- */

static int check_attr(struct task *t, const struct linux_mq_attr *a)
{
	bool privileged = cred_has_cap_in(t->cred, LINUX_CAP_SYS_RESOURCE, t->ipc_ns->owner);

	if (a->mq_maxmsg <= 0 || a->mq_msgsize <= 0)
		return -EINVAL;
	if (a->mq_maxmsg > (int64_t)(privileged ? MQ_HARD_MSGS : setting(t->kernel, SET_MQ_MSG_MAX)) ||
	    a->mq_msgsize > (int64_t)(privileged ? MQ_HARD_SIZE : setting(t->kernel, SET_MQ_MSGSIZE_MAX)))
		return -EINVAL;
	return 0;
}

static int create(struct task *t, struct ipc_state *s, const char *name, uint32_t mode,
		  const struct linux_mq_attr *attr, struct mq **out)
{
	const struct kernel *k = t->kernel;
	struct linux_mq_attr a = {
		.mq_maxmsg = (int64_t)MIN(setting(k, SET_MQ_MSG_DEFAULT), setting(k, SET_MQ_MSG_MAX)),
		.mq_msgsize = (int64_t)MIN(setting(k, SET_MQ_MSGSIZE_DEFAULT), setting(k, SET_MQ_MSGSIZE_MAX)),
	};
	struct mq *q;
	int ret;

	if (attr)
		a = *attr;
	ret = check_attr(t, &a);
	if (ret < 0)
		return ret;
	q = kmalloc(sizeof(*q));
	if (!q)
		return -ENOMEM;
	refs_init(&q->refs);
	list_init(&q->node);
	list_init(&q->messages);
	waitq_init(&q->wq);
	q->uid = t->cred->fsuid;
	q->gid = t->cred->fsgid;
	q->mode = mode & 0777 & ~__atomic_load_n(&t->fs->umask, __ATOMIC_RELAXED);
	q->max_messages = a.mq_maxmsg;
	q->message_size = a.mq_msgsize;
	q->reserved = (uint64_t)a.mq_maxmsg * ((uint64_t)a.mq_msgsize + sizeof(struct mq_message));
	snprintf(q->name, sizeof(q->name), "%s", name);
	q->ipc = s;
	refs_get(&s->refs);
	*out = q;
	return 0;
}

static int may_open(struct task *t, const struct mq *q, uint32_t flags)
{
	static const uint32_t wants[] = {4, 2, 6, 0};
	const struct cred *c = t->cred;
	uint32_t mode = q->mode, want = wants[flags & LINUX_O_ACCMODE];

	if ((flags & LINUX_O_ACCMODE) == LINUX_O_ACCMODE)
		return -EINVAL;
	if (c->fsuid == q->uid)
		mode >>= 6;
	else if (cred_in_group(c, q->gid))
		mode >>= 3;
	if ((want & ~mode) && !cred_has_cap_in(c, LINUX_CAP_DAC_OVERRIDE, q->ipc->owner))
		return -EACCES;
	return 0;
}

/* The named queue with a reference; fresh: to be named when there is none (then taken over and *fresh NULL). */
static int name_queue(struct task *t, struct ipc_state *s, const char *name, uint32_t flags, struct mq **fresh,
		      struct mq **out)
{
	struct mq *q;
	int ret = 0;

	mutex_lock(&s->lock);
	q = find_locked(s, name);
	if (q && (flags & LINUX_O_CREAT) && (flags & LINUX_O_EXCL)) {
		ret = -EEXIST;
	} else if (q) {
		ret = may_open(t, q, flags);
	} else if (!*fresh) {
		ret = -ENOENT;
	} else if (s->mq_count >= setting(t->kernel, SET_MQ_QUEUES_MAX)) {
		ret = -ENOSPC;
	} else if (s->mq_bytes + (*fresh)->reserved > MQ_BYTES_MAX) {
		ret = -EMFILE;
	} else {
		q = *fresh;
		*fresh = NULL;
		list_add_tail(&s->mqs, &q->node);
		s->mq_count++;
		s->mq_bytes += q->reserved;
	}
	if (ret == 0) {
		refs_get(&q->refs);
		*out = q;
	}
	mutex_unlock(&s->lock);
	return ret;
}

int mq_open_file(struct task *t, const char *name, uint32_t flags, uint32_t mode,
		 const struct linux_mq_attr *attr, struct file **out)
{
	struct mq *fresh = NULL, *q = NULL;
	int ret, made = -ENOENT;
	struct ipc_state *s;

	ret = ipc_state_of(t, &s);

	if (ret < 0)
		return ret;
	if (strlen(name) > VFS_NAME_MAX)
		return -ENAMETOOLONG;
	if ((flags & LINUX_O_ACCMODE) == LINUX_O_ACCMODE)
		return -EINVAL;
	if (flags & LINUX_O_CREAT)
		made = create(t, s, name, mode, attr, &fresh); /* only counts if there is none */
	ret = name_queue(t, s, name, flags, &fresh, &q);
	if (ret == -ENOENT)
		ret = made;
	if (fresh) { /* not needed: its bytes were never counted */
		fresh->reserved = 0;
		mq_put(fresh);
	}
	if (ret < 0)
		return ret;
	ret = file_create_anon(t->kernel->vfs, &mq_file_ops, q, flags & (LINUX_O_ACCMODE | LINUX_O_NONBLOCK),
			       LINUX_S_IFREG | q->mode, t->cred, &q->wq, out);
	if (ret < 0)
		mq_put(q);
	return ret;
}

int mq_unlink_name(struct task *t, const char *name)
{
	struct ipc_state *s;
	struct mq *q;
	int ret = ipc_state_of(t, &s);

	if (ret < 0)
		return ret;
	mutex_lock(&s->lock);
	q = find_locked(s, name);
	if (!q) {
		ret = -ENOENT;
	} else if (t->cred->fsuid != q->uid && !cred_has_cap_in(t->cred, LINUX_CAP_FOWNER, s->owner)) {
		ret = -EACCES; /* the directory is sticky */
	} else {
		list_del(&q->node);
		s->mq_count--;
	}
	mutex_unlock(&s->lock);
	if (ret == 0)
		mq_put(q);
	return ret;
}

/* ---- messages ---- */

uint64_t mq_message_size(struct file *f)
{
	return (uint64_t)((struct mq *)f->priv)->message_size;
}

static void insert_locked(struct mq *q, struct mq_message *m)
{
	struct mq_message *at;

	/* usually the lowest so far: look from the end */
	for (at = list_last(&q->messages, struct mq_message, node); at;
	     at = at->node.prev == &q->messages ? NULL : list_entry(at->node.prev, struct mq_message, node)) {
		if (at->priority >= m->priority) {
			list_add(&at->node, &m->node);
			return;
		}
	}
	list_add(&q->messages, &m->node);
}

/* The first message came and nobody took it: the one notice that was asked for. */
static void send_notice(struct task *t, struct process *p, const struct linux_sigevent *ev)
{
	struct linux_siginfo info;

	if (ev->sigev_notify == LINUX_SIGEV_SIGNAL) {
		memset(&info, 0, sizeof(info));
		info.si_signo = ev->sigev_signo;
		info.si_code = LINUX_SI_MESGQ;
		info.kill.si_pid = pid_nr_in(t->process->pid, pid_ns_of(p->pid));
		info.kill.si_uid = user_ns_from_kuid(t->cred->user_ns, t->cred->uid);
		info.kill.si_value = ev->sigev_value;
		(void)signal_send_process(p, ev->sigev_signo, &info);
	}
	process_put(p);
}

int mq_send(struct task *t, struct file *f, const void *data, size_t size, uint32_t priority)
{
	struct mq *q = f->priv;
	struct ipc_state *s = q->ipc;
	struct process *notify = NULL;
	struct linux_sigevent ev;
	struct mq_message *m = kmalloc(sizeof(*m) + size);
	int ret = 0;

	if (!m)
		return -ENOMEM;
	m->priority = priority;
	m->size = size;
	memcpy(m->data, data, size);
	mutex_lock(&s->lock);
	if (q->count >= q->max_messages) {
		ret = -EAGAIN;
	} else {
		insert_locked(q, m);
		q->bytes += (int64_t)size;
		if (q->count++ == 0 && q->notify && waitq_empty(&q->wq)) {
			notify = q->notify;
			ev = q->event;
			q->notify = NULL;
		}
	}
	mutex_unlock(&s->lock);
	if (ret < 0) {
		kfree(m);
		return ret;
	}
	waitq_wake(&q->wq, EV_IN | EV_RDNORM);
	if (notify)
		send_notice(t, notify, &ev);
	return 0;
}

ssize_t mq_receive(struct file *f, void *data, size_t size, uint32_t *priority)
{
	struct mq *q = f->priv;
	struct mq_message *m;
	ssize_t n;

	if (size < (size_t)q->message_size)
		return -EMSGSIZE;
	mutex_lock(&q->ipc->lock);
	m = list_first(&q->messages, struct mq_message, node);
	if (m) {
		list_del(&m->node);
		q->count--;
		q->bytes -= (int64_t)m->size;
	}
	mutex_unlock(&q->ipc->lock);
	if (!m)
		return -EAGAIN;
	waitq_wake(&q->wq, EV_OUT | EV_WRNORM);
	memcpy(data, m->data, m->size);
	*priority = m->priority;
	n = (ssize_t)m->size;
	kfree(m);
	return n;
}

/* Its request is void; the process itself stays as long as we hold it. */
static bool is_gone(const struct process *p)
{
	return __atomic_load_n(&p->p->zombie, __ATOMIC_RELAXED);
}

int mq_notify_set(struct task *t, struct file *f, const struct linux_sigevent *ev)
{
	struct process *old = NULL;
	struct mq *q = f->priv;
	int ret = 0;

	if (!ev) {
		forget_notify(q, t->process);
		return 0;
	}
	if (ev->sigev_notify == LINUX_SIGEV_THREAD)
		return -EOPNOTSUPP; /* differs from Linux: its helper socket isn't there */
	if (ev->sigev_notify != LINUX_SIGEV_NONE && ev->sigev_notify != LINUX_SIGEV_SIGNAL)
		return -EINVAL;
	if (ev->sigev_notify == LINUX_SIGEV_SIGNAL && !signal_valid(ev->sigev_signo))
		return -EINVAL;
	mutex_lock(&q->ipc->lock);
	if (q->notify && !is_gone(q->notify)) {
		ret = -EBUSY;
	} else {
		old = q->notify;
		q->notify = process_get(t->process);
		q->event = *ev;
	}
	mutex_unlock(&q->ipc->lock);
	process_put(old);
	return ret;
}

void mq_get_attr(struct file *f, struct linux_mq_attr *attr)
{
	struct mq *q = f->priv;

	memset(attr, 0, sizeof(*attr));
	attr->mq_flags = __atomic_load_n(&f->flags, __ATOMIC_RELAXED) & LINUX_O_NONBLOCK;
	attr->mq_maxmsg = q->max_messages;
	attr->mq_msgsize = q->message_size;
	mutex_lock(&q->ipc->lock);
	attr->mq_curmsgs = q->count;
	mutex_unlock(&q->ipc->lock);
}
