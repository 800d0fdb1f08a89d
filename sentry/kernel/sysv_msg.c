/* sysv_msg.c: System V message queues (msgop(2)). Messages are copied outside the lock; senders wait for room
 * and receivers for a message on the queue's one wait queue. */
#include "sentry/kernel/internal.h"
#include "sentry/kernel/ipc_internal.h"
#include "sentry/kernel/settings.h"

#define MSG_TOTAL_MAX (64UL << 20) /* bytes in all queues of a namespace */

struct msg {
	struct list node; /* [IPC] */
	int64_t type;	  /* [I] */
	size_t size;	  /* [I] */
	char data[];
};

struct msg_queue {
	struct ipc_object o;
	struct list msgs;	     /* [IPC] oldest first */
	uint64_t bytes, count;	     /* [IPC] */
	uint64_t max_bytes;	     /* [IPC] */
	int64_t stime, rtime, ctime; /* [IPC] */
	int32_t lspid, lrpid;	     /* [IPC] */
};

static struct msg_queue *queue_of(struct ipc_object *o)
{
	return container_of(o, struct msg_queue, o);
}

static void queue_destroy(struct ipc_object *o)
{
	struct msg_queue *q = queue_of(o);
	struct msg *m, *next;

	list_for_each_safe (m, next, &q->msgs, node)
		kfree(m);
	kfree(q);
}

static void queue_show(struct ipc_object *o, struct user_ns *ns, struct strbuf *out)
{
	struct msg_queue *q = queue_of(o);

	strbuf_printf(out, "%10d %10d  %4o  %10lu %10lu %5d %5d ", o->key, o->id, o->mode, q->bytes, q->count,
		      q->lspid, q->lrpid);
	ipc_show_owner(o, ns, out);
	strbuf_printf(out, "%10ld %10ld %10ld\n", q->stime, q->rtime, q->ctime);
}

static int queue_create(struct task *t, struct ipc_state *s, int32_t key, int flags, int64_t *id)
{
	struct msg_queue *q = kmalloc(sizeof(*q));
	int ret;

	if (!q)
		return -ENOMEM;
	if (s->tables[IPC_MSG].used >= setting(t->kernel, SET_MSGMNI)) {
		kfree(q);
		return -ENOSPC;
	}
	refs_init(&q->o.refs);
	q->o.destroy = queue_destroy;
	q->o.show = queue_show;
	waitq_init(&q->o.wq);
	list_init(&q->msgs);
	q->max_bytes = setting(t->kernel, SET_MSGMNB);
	q->ctime = ipc_now();
	ret = ipc_add_locked(t, s, &q->o, IPC_MSG, key, flags);
	if (ret < 0) {
		kfree(q);
		return ret;
	}
	*id = q->o.id;
	return 0;
}

int64_t msg_get(struct task *t, int32_t key, int flags)
{
	struct ipc_object *o;
	struct ipc_state *s;
	int64_t id = 0;
	int ret = ipc_state_of(t, &s);

	if (ret < 0)
		return ret;
	mutex_lock(&s->lock);
	ret = ipc_find_key_locked(t, s, IPC_MSG, key, flags, &o);
	if (ret == 1)
		ret = queue_create(t, s, key, flags, &id);
	else if (ret == 0)
		id = o->id;
	mutex_unlock(&s->lock);
	return ret < 0 ? ret : id;
}

/* With a reference; permission checked. */
static int queue_begin(struct task *t, int id, uint32_t want, struct msg_queue **out)
{
	struct ipc_object *o;
	struct ipc_state *s;
	int ret;

	if (id < 0)
		return -EINVAL;
	ret = ipc_state_of(t, &s);
	if (ret < 0)
		return ret;
	mutex_lock(&s->lock);
	o = ipc_find_locked(s, IPC_MSG, id);
	ret = o ? ipc_may(t, o, want) : -EINVAL;
	if (ret == 0)
		refs_get(&o->refs);
	mutex_unlock(&s->lock);
	if (ret == 0)
		*out = queue_of(o);
	return ret;
}

/* ---- sending ---- */

static int send_try(struct task *t, struct msg_queue *q, struct msg *m)
{
	struct ipc_state *s = q->o.ipc;
	int ret = -EAGAIN;

	mutex_lock(&s->lock);
	if (q->o.dead) {
		ret = -EIDRM;
	} else if (q->bytes + m->size <= q->max_bytes && q->count + 1 <= q->max_bytes) {
		ret = -ENOMEM;
		if (s->msg_bytes + m->size + sizeof(*m) <= MSG_TOTAL_MAX) {
			list_add_tail(&q->msgs, &m->node);
			q->bytes += m->size;
			q->count++;
			s->msg_bytes += m->size + sizeof(*m);
			q->stime = ipc_now();
			q->lspid = t->process->tgid;
			ret = 0;
		}
	}
	mutex_unlock(&s->lock);
	return ret;
}

static int send_wait(struct task *t, struct msg_queue *q, struct msg *m)
{
	struct waiter w;
	int ret;

	task_waiter(t, &w, EV_INTERNAL);
	waitq_add(&q->o.wq, &w);
	while ((ret = send_try(t, q, m)) == -EAGAIN) {
		ret = task_block(t, 0);
		if (ret < 0) {
			ret = -ERESTARTNOHAND;
			break;
		}
	}
	waitq_del(&q->o.wq, &w);
	return ret;
}

int msg_send(struct task *t, int id, uaddr_t buf, uint64_t size, int flags)
{
	struct msg_queue *q;
	struct msg *m;
	int64_t type;
	int ret;

	if (size > setting(t->kernel, SET_MSGMAX) || id < 0)
		return -EINVAL;
	ret = copy_from_user(t, &type, buf, sizeof(type));
	if (ret < 0)
		return ret;
	if (type < 1)
		return -EINVAL;
	m = kmalloc(sizeof(*m) + size);
	if (!m)
		return -ENOMEM;
	m->type = type;
	m->size = size;
	ret = size ? copy_from_user(t, m->data, buf + sizeof(type), size) : 0;
	if (ret == 0)
		ret = queue_begin(t, id, 2, &q);
	if (ret < 0) {
		kfree(m);
		return ret;
	}
	ret = send_try(t, q, m);
	if (ret == -EAGAIN && !(flags & LINUX_IPC_NOWAIT))
		ret = send_wait(t, q, m);
	if (ret == 0)
		waitq_wake(&q->o.wq, EV_INTERNAL);
	else
		kfree(m);
	ipc_put(&q->o);
	return ret;
}

/* ---- receiving ---- */

struct msg_call {
	int64_t type;
	uint64_t size;
	int flags;
	struct msg *got;
};

/* msgrcv(2)'s choice */
static struct msg *choose_locked(struct msg_queue *q, const struct msg_call *c)
{
	struct msg *m, *best = NULL;
	int64_t index = 0;

	list_for_each (m, &q->msgs, node) {
		if (c->flags & LINUX_MSG_COPY) {
			if (index++ == c->type)
				return m;
		} else if (c->type == 0) {
			return m;
		} else if (c->type > 0) {
			if ((m->type == c->type) != ((c->flags & LINUX_MSG_EXCEPT) != 0))
				return m;
		} else if (m->type <= (c->type == INT64_MIN ? INT64_MAX : -c->type)) {
			if (!best || m->type < best->type)
				best = m;
		}
	}
	return best;
}

static int copy_locked(const struct msg *m, struct msg_call *c)
{
	c->got = kmalloc(sizeof(*m) + m->size);
	if (!c->got)
		return -ENOMEM;
	c->got->type = m->type;
	c->got->size = m->size;
	memcpy(c->got->data, m->data, m->size);
	return 0;
}

static int receive_try(struct task *t, struct msg_queue *q, struct msg_call *c)
{
	struct ipc_state *s = q->o.ipc;
	struct msg *m;
	int ret;

	mutex_lock(&s->lock);
	m = q->o.dead ? NULL : choose_locked(q, c);
	if (q->o.dead) {
		ret = -EIDRM;
	} else if (!m) {
		ret = -EAGAIN;
	} else if (m->size > c->size && !(c->flags & LINUX_MSG_NOERROR)) {
		ret = -E2BIG;
	} else if (c->flags & LINUX_MSG_COPY) {
		ret = copy_locked(m, c);
	} else {
		list_del(&m->node);
		q->bytes -= m->size;
		q->count--;
		s->msg_bytes -= m->size + sizeof(*m);
		q->rtime = ipc_now();
		q->lrpid = t->process->tgid;
		c->got = m;
		ret = 0;
	}
	mutex_unlock(&s->lock);
	return ret;
}

static int receive_wait(struct task *t, struct msg_queue *q, struct msg_call *c)
{
	struct waiter w;
	int ret;

	task_waiter(t, &w, EV_INTERNAL);
	waitq_add(&q->o.wq, &w);
	while ((ret = receive_try(t, q, c)) == -EAGAIN) {
		ret = task_block(t, 0);
		if (ret < 0) {
			ret = -ERESTARTNOHAND;
			break;
		}
	}
	waitq_del(&q->o.wq, &w);
	return ret;
}

int64_t msg_receive(struct task *t, int id, uaddr_t buf, uint64_t size, int64_t type, int flags)
{
	struct msg_call c = {.type = type, .size = size, .flags = flags};
	struct msg_queue *q;
	int64_t ret;

	if (size > INT64_MAX)
		return -EINVAL;
	if ((flags & LINUX_MSG_COPY) && ((flags & LINUX_MSG_EXCEPT) || !(flags & LINUX_IPC_NOWAIT)))
		return -EINVAL;
	ret = queue_begin(t, id, 4, &q);
	if (ret < 0)
		return ret;
	ret = receive_try(t, q, &c);
	if (ret == -EAGAIN)
		ret = flags & LINUX_IPC_NOWAIT ? -ENOMSG : receive_wait(t, q, &c);
	if (ret == 0) {
		size_t n = MIN(c.got->size, size);

		if (!(flags & LINUX_MSG_COPY))
			waitq_wake(&q->o.wq, EV_INTERNAL);
		ret = copy_to_user(t, buf, &c.got->type, sizeof(c.got->type));
		if (ret == 0 && n)
			ret = copy_to_user(t, buf + sizeof(c.got->type), c.got->data, n);
		if (ret == 0)
			ret = (int64_t)n;
		kfree(c.got);
	}
	ipc_put(&q->o);
	return ret;
}

/* ---- msgctl ---- */

static int64_t ctl_stat(struct task *t, struct ipc_state *s, int id, int cmd, uaddr_t buf)
{
	struct linux_msqid_ds ds;
	struct ipc_object *o;
	struct msg_queue *q;
	int64_t ret;

	memset(&ds, 0, sizeof(ds));
	mutex_lock(&s->lock);
	o = cmd == LINUX_IPC_STAT ? ipc_find_locked(s, IPC_MSG, id) : ipc_find_index_locked(s, IPC_MSG, id);
	ret = o ? 0 : -EINVAL;
	if (o && cmd != LINUX_MSG_STAT_ANY)
		ret = ipc_may(t, o, 4);
	if (ret == 0) {
		q = queue_of(o);
		ipc_fill_perm(t, o, &ds.msg_perm);
		ds.msg_stime = q->stime;
		ds.msg_rtime = q->rtime;
		ds.msg_ctime = q->ctime;
		ds.msg_cbytes = q->bytes;
		ds.msg_qnum = q->count;
		ds.msg_qbytes = q->max_bytes;
		ds.msg_lspid = q->lspid;
		ds.msg_lrpid = q->lrpid;
		ret = cmd == LINUX_IPC_STAT ? 0 : o->id;
	}
	mutex_unlock(&s->lock);
	if (ret < 0)
		return ret;
	ds.msg_lspid = ipc_show_pid(t, ds.msg_lspid);
	ds.msg_lrpid = ipc_show_pid(t, ds.msg_lrpid);
	return copy_to_user(t, buf, &ds, sizeof(ds)) < 0 ? -EFAULT : ret;
}

static int64_t ctl_info(struct task *t, struct ipc_state *s, int cmd, uaddr_t buf)
{
	struct linux_msginfo info = {
		.msgpool = LINUX_MSGPOOL,
		.msgmap = LINUX_MSGMAP,
		.msgmax = (int32_t)setting(t->kernel, SET_MSGMAX),
		.msgmnb = (int32_t)setting(t->kernel, SET_MSGMNB),
		.msgmni = (int32_t)setting(t->kernel, SET_MSGMNI),
		.msgssz = LINUX_MSGSSZ,
		.msgtql = LINUX_MSGTQL,
		.msgseg = LINUX_MSGSEG,
	};
	int32_t max;
	int ret;

	mutex_lock(&s->lock);
	max = s->tables[IPC_MSG].max_index;
	if (cmd == LINUX_MSG_INFO) {
		info.msgpool = (int32_t)s->tables[IPC_MSG].used;
		info.msgtql = (int32_t)MIN(s->msg_bytes, (uint64_t)INT32_MAX);
		info.msgmap = 0;
	}
	mutex_unlock(&s->lock);
	ret = copy_to_user(t, buf, &info, sizeof(info));
	return ret < 0 ? ret : max;
}

static int ctl_set_locked(struct task *t, struct msg_queue *q, const struct linux_msqid_ds *ds)
{
	int ret = ipc_may_change(t, &q->o);

	if (ret < 0)
		return ret;
	if (ds->msg_qbytes > setting(t->kernel, SET_MSGMNB) &&
	    !cred_has_cap_in(t->cred, LINUX_CAP_SYS_RESOURCE, q->o.ipc->owner))
		return -EPERM;
	ret = ipc_set_perm(t, &q->o, &ds->msg_perm);
	if (ret < 0)
		return ret;
	q->max_bytes = MIN(ds->msg_qbytes, MSG_TOTAL_MAX);
	q->ctime = ipc_now();
	return 0;
}

int64_t msg_ctl(struct task *t, int id, int cmd, uaddr_t buf)
{
	struct linux_msqid_ds ds;
	struct ipc_object *o;
	struct ipc_state *s;
	int64_t ret;

	if (id < 0 || cmd < 0)
		return -EINVAL;
	ret = ipc_state_of(t, &s);
	if (ret < 0)
		return ret;
	switch (cmd) {
	case LINUX_IPC_INFO:
	case LINUX_MSG_INFO:
		return ctl_info(t, s, cmd, buf);
	case LINUX_IPC_STAT:
	case LINUX_MSG_STAT:
	case LINUX_MSG_STAT_ANY:
		return ctl_stat(t, s, id, cmd, buf);
	case LINUX_IPC_SET:
		ret = copy_from_user(t, &ds, buf, sizeof(ds));
		if (ret < 0)
			return ret;
		break;
	case LINUX_IPC_RMID:
		break;
	default:
		return -EINVAL;
	}
	mutex_lock(&s->lock);
	o = ipc_find_locked(s, IPC_MSG, id);
	ret = !o ? -EINVAL : cmd == LINUX_IPC_SET ? ctl_set_locked(t, queue_of(o), &ds) : ipc_may_change(t, o);
	if (ret == 0 && cmd == LINUX_IPC_RMID) {
		ipc_remove_locked(o);
		s->msg_bytes -= queue_of(o)->bytes + queue_of(o)->count * sizeof(struct msg);
	}
	if (ret == 0)
		refs_get(&o->refs);
	mutex_unlock(&s->lock);
	if (ret < 0)
		return ret;
	waitq_wake(&o->wq, EV_INTERNAL);
	ipc_put(o);
	if (cmd == LINUX_IPC_RMID)
		ipc_put(o);
	return 0;
}
