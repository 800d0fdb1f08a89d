/* block.c: the one way in which tasks wait: on a word of their own, until somebody wakes them, a deadline
 * passes, or a signal wants to be looked at; and the loops around file operations that use it. */
#include "sentry/kernel/internal.h"

/* task_set_work sets work before it touches the word, we clear the word before we look at work: none is
 * missed. */
static int block(struct task *t, uint64_t deadline, bool killable)
{
	uint32_t expected, w;
	int ret;

	lock_assert_none_held();
	for (;;) {
		w = __atomic_exchange_n(&t->wake, 0, __ATOMIC_SEQ_CST);
		if (w & WAKE_EVENT)
			return 0;
		if (killable ? (__atomic_load_n(&t->work, __ATOMIC_SEQ_CST) & TASK_WORK_EXIT) != 0
			     : task_interrupted(t))
			return -ERESTARTSYS;
		expected = 0;
		if (!__atomic_compare_exchange_n(&t->wake, &expected, WAKE_SLEEP, false, __ATOMIC_SEQ_CST,
						 __ATOMIC_SEQ_CST))
			continue;
		t->p->voluntary++;
		task_state_set(t, killable ? 'D' : 'S');
		ret = futex_wait_word(&t->wake, WAKE_SLEEP, deadline);
		task_state_set(t, 'R');
		if (ret == -ETIMEDOUT) {
			w = __atomic_exchange_n(&t->wake, 0, __ATOMIC_SEQ_CST);
			return w & WAKE_EVENT ? 0 : -ETIMEDOUT;
		}
	}
}

int task_block(struct task *t, uint64_t deadline)
{
	return block(t, deadline, false);
}

int task_block_killable(struct task *t, uint64_t deadline)
{
	return block(t, deadline, true);
}

void task_park(struct task *t)
{
	uint32_t expected = 0;

	lock_assert_none_held();
	if (__atomic_compare_exchange_n(&t->wake, &expected, WAKE_SLEEP, false, __ATOMIC_SEQ_CST,
					__ATOMIC_SEQ_CST))
		(void)futex_wait_word(&t->wake, WAKE_SLEEP, 0);
	__atomic_store_n(&t->wake, 0, __ATOMIC_SEQ_CST);
}

bool task_interrupted(struct task *t)
{
	uint32_t work = __atomic_load_n(&t->work, __ATOMIC_SEQ_CST);

	if (LIKELY(!(work & (TASK_WORK_SIGNAL | TASK_WORK_EXIT | TASK_WORK_STOP))))
		return false;
	if (work & (TASK_WORK_EXIT | TASK_WORK_STOP))
		return true;
	return signal_recheck(t);
}

static bool waiter_wake(struct waiter *w, uint32_t events)
{
	(void)events;
	task_wake(w->arg);
	return true;
}

void task_waiter(struct task *t, struct waiter *w, uint32_t mask)
{
	*w = (struct waiter){.mask = mask, .func = waiter_wake, .arg = t};
	list_init(&w->node);
}

static bool nonblocking(const struct file *f, const struct uio *u)
{
	return (__atomic_load_n(&f->flags, __ATOMIC_RELAXED) & LINUX_O_NONBLOCK) || (u && u->nowait);
}

struct waitq *file_wq_for(struct task *t, struct file *f)
{
	return f->ops == &signalfd_ops ? &t->process->p->signal_wq : f->wq;
}

uint32_t file_ready_for(struct task *t, struct file *f)
{
	return f->ops == &signalfd_ops ? signalfd_ready(t, f) : file_ready(f);
}

/* One operation in one of its forms. */
struct file_op {
	struct task *t;
	struct file *f;
	struct uio *u;
	const uint64_t *pos; /* NULL: the file's own */
	bool write;
};

static ssize_t attempt(const struct file_op *op)
{
	struct file *f = op->f;
	int ret;

	if (UNLIKELY(f->ops->tty && !f->ops->tty_master)) {
		ret = op->write ? tty_check_write(op->t, f->ops->tty(f))
				: tty_check_read(op->t, f->ops->tty(f));
		if (ret < 0)
			return ret;
	}
	if (op->write)
		return op->pos ? file_pwrite(f, op->u, *op->pos) : file_write(f, op->u);
	if (UNLIKELY(f->ops == &signalfd_ops))
		return signalfd_read(op->t, f, op->u);
	return op->pos ? file_pread(f, op->u, *op->pos) : file_read(f, op->u);
}

static uint64_t op_deadline(const struct file_op *op)
{
	uint64_t ns = op->f->ops->timeout ? op->f->ops->timeout(op->f, op->write) : 0;

	return ns ? kernel_now() + ns : 0;
}

/* The operation would block and may: waits and tries until it gives something else. */
static ssize_t wait_and_retry(const struct file_op *op)
{
	uint32_t mask = op->write ? EV_OUT | EV_WRNORM : EV_IN | EV_RDNORM | EV_PRI | EV_RDHUP;
	struct waitq *wq = file_wq_for(op->t, op->f);
	uint64_t deadline = op_deadline(op);
	struct waiter w;
	ssize_t n;

	if (!wq)
		return -EAGAIN;
	task_waiter(op->t, &w, mask);
	waitq_add(wq, &w);
	while ((n = attempt(op)) == -EAGAIN) { /* again: no lost wake-up */
		n = task_block(op->t, deadline);
		if (n == -ETIMEDOUT) {
			n = op->f->ops->timeout_ends && !op->write ? 0 : -EAGAIN;
			break;
		}
		if (n < 0)
			break;
	}
	waitq_del(wq, &w);
	return n;
}

static ssize_t read_block(const struct file_op *op)
{
	ssize_t n = attempt(op);

	if (LIKELY(n != -EAGAIN) || nonblocking(op->f, op->u))
		return n;
	return wait_and_retry(op);
}

static ssize_t write_block(struct file_op *op)
{
	uint64_t pos = op->pos ? *op->pos : 0;
	ssize_t n, total = 0;

	if (op->pos)
		op->pos = &pos;
	for (;;) {
		n = attempt(op);
		if (n == -EAGAIN && !nonblocking(op->f, op->u))
			n = wait_and_retry(op);
		if (n <= 0)
			break;
		total += n;
		pos += (uint64_t)n;
		if (op->u->resid == 0 || !op->f->wq || nonblocking(op->f, op->u))
			break;
	}
	if (n == -EPIPE)
		(void)signal_send_task(op->t, LINUX_SIGPIPE, NULL);
	return total ? total : n;
}

ssize_t file_read_block(struct task *t, struct file *f, struct uio *dst)
{
	return read_block(&(struct file_op){.t = t, .f = f, .u = dst});
}

ssize_t file_pread_block(struct task *t, struct file *f, struct uio *dst, uint64_t pos)
{
	return read_block(&(struct file_op){.t = t, .f = f, .u = dst, .pos = &pos});
}

ssize_t file_write_block(struct task *t, struct file *f, struct uio *src)
{
	src->cred = t->cred;
	return write_block(&(struct file_op){.t = t, .f = f, .u = src, .write = true});
}

ssize_t file_pwrite_block(struct task *t, struct file *f, struct uio *src, uint64_t pos)
{
	src->cred = t->cred;
	return write_block(&(struct file_op){.t = t, .f = f, .u = src, .pos = &pos, .write = true});
}

int file_open_block(struct task *t, struct file *f)
{
	struct waiter w;
	int ret;

	if (UNLIKELY(f->ops->open_ctty)) {
		struct tty *tty = tty_of_session(t);

		if (!tty)
			return -ENXIO;
		ret = f->ops->open_ctty(f, tty);
		tty->ops->put(tty);
		return ret;
	}
	if (UNLIKELY(f->ops->tty))
		tty_opened(t, f);
	if (LIKELY(!f->ops->open_ready))
		return 0;
	ret = f->ops->open_ready(f);
	if (ret != -EAGAIN || !f->wq)
		return ret;
	task_waiter(t, &w, EV_ALL);
	waitq_add(f->wq, &w);
	while ((ret = f->ops->open_ready(f)) == -EAGAIN) {
		ret = task_block(t, 0);
		if (ret < 0)
			break;
	}
	waitq_del(f->wq, &w);
	return ret;
}

int file_wait(struct task *t, struct file *f, uint32_t events, uint64_t deadline)
{
	struct waitq *wq = file_wq_for(t, f);
	struct waiter w;
	int ret = 0;

	events |= EV_ERR | EV_HUP;
	if ((file_ready_for(t, f) & events) || !wq)
		return 0;
	task_waiter(t, &w, events);
	waitq_add(wq, &w);
	while (!(file_ready_for(t, f) & events)) {
		ret = task_block(t, deadline);
		if (ret < 0)
			break;
	}
	waitq_del(wq, &w);
	return ret;
}
