/* pty.c: the files of a pseudo-terminal: opening, reading, writing, polling, closing of both ends. A slave
 * file's pos is no position: it remembers the generation it was opened in, so that a hang-up cuts it off.
 */
#include <string.h>

#include "platform/abi/errno.h"
#include "platform/abi/fcntl.h"
#include "platform/abi/ioctl.h"
#include "platform/abi/prctl.h"
#include "platform/abi/signal.h"
#include "platform/base/arena.h"
#include "platform/base/strbuf.h"
#include "sentry/fs/devpts/internal.h"

#define CHUNK	   512u
#define VTIME_UNIT 100000000ULL /* a tenth of a second */

static void pty_tty_get(struct tty *tty)
{
	refs_get(&container_of(tty, struct pty, tty)->refs);
}

static void pty_tty_put(struct tty *tty)
{
	pty_put(container_of(tty, struct pty, tty));
}

static void pty_tty_hangup(struct tty *tty)
{
	struct pty *p = container_of(tty, struct pty, tty);

	mutex_lock(&p->lock);
	p->generation++;
	mutex_unlock(&p->lock);
	waitq_wake(&p->slave_wq, EV_HUP | EV_ERR | IN_EVENTS | OUT_EVENTS);
}

static const struct tty_ops pty_tty_ops = {
	.get = pty_tty_get,
	.put = pty_tty_put,
	.hangup = pty_tty_hangup,
};

void pty_put(struct pty *p)
{
	if (!refs_put(&p->refs))
		return;
	tty_fini(&p->tty);
	kfree(p->out);
	kfree(p);
}

void pty_fire(struct pty *p, const struct pty_events *ev)
{
	uint64_t signals = ev->signals;

	if (ev->master)
		waitq_wake(&p->master_wq, ev->master);
	if (ev->slave)
		waitq_wake(&p->slave_wq, ev->slave);
	while (UNLIKELY(signals)) {
		int sig = __builtin_ctzll(signals);

		signals &= signals - 1;
		tty_signal_foreground(&p->tty, sig);
	}
}

static void default_termios(struct linux_termios2 *t)
{
	static const uint8_t cc[19] = {
		[LINUX_VINTR] = 003,  [LINUX_VQUIT] = 034,    [LINUX_VERASE] = 0177,  [LINUX_VKILL] = 025,
		[LINUX_VEOF] = 004,   [LINUX_VMIN] = 1,	      [LINUX_VSTART] = 021,   [LINUX_VSTOP] = 023,
		[LINUX_VSUSP] = 032,  [LINUX_VREPRINT] = 022, [LINUX_VDISCARD] = 017, [LINUX_VWERASE] = 027,
		[LINUX_VLNEXT] = 026,
	};

	*t = (struct linux_termios2){
		.c_iflag = LINUX_ICRNL | LINUX_IXON,
		.c_oflag = LINUX_OPOST | LINUX_ONLCR,
		.c_cflag = LINUX_B38400 | LINUX_CS8 | LINUX_CREAD,
		.c_lflag = LINUX_ISIG | LINUX_ICANON | LINUX_ECHO | LINUX_ECHOE | LINUX_ECHOK | LINUX_ECHOCTL |
			   LINUX_ECHOKE | LINUX_IEXTEN,
		.c_ispeed = 38400,
		.c_ospeed = 38400,
	};
	memcpy(t->c_cc, cc, sizeof(cc));
}

int pty_open_master(struct devpts *fs, struct file *f)
{
	struct pty *p = kmalloc(sizeof(*p));
	int ret;

	if (!p)
		return -ENOMEM;
	p->out = kmalloc(TTY_OUT_RING);
	if (!p->out) {
		kfree(p);
		return -ENOMEM;
	}
	refs_init(&p->refs);
	mutex_init(&p->lock, RANK_TTY);
	waitq_init(&p->master_wq);
	waitq_init(&p->slave_wq);
	default_termios(&p->t);
	p->master_open = p->locked = true;
	ret = devpts_add(fs, p, f->cred);
	if (ret < 0) {
		kfree(p->out);
		kfree(p);
		return ret;
	}
	f->ops = &pty_master_ops;
	f->priv = p;
	f->wq = &p->master_wq;
	return 0;
}

int pty_open_slave(struct pty *p, struct file *f)
{
	int ret = 0;

	mutex_lock(&p->lock);
	if (!p->master_open || p->locked) {
		ret = -EIO;
	} else if (p->exclusive && p->slave_files && !cred_has_cap(f->cred, LINUX_CAP_SYS_ADMIN)) {
		ret = -EBUSY;
	} else {
		refs_get(&p->refs);
		p->slave_files++;
		p->slave_closed = false;
		f->pos = p->generation;
		f->ops = &pty_slave_ops;
		f->priv = p;
		f->wq = &p->slave_wq;
	}
	mutex_unlock(&p->lock);
	return ret;
}

bool pty_file_hung(const struct pty *p, const struct file *f)
{
	return f->pos != p->generation || !p->master_open;
}

/* ---- slave ---- */
static ssize_t slave_read(struct file *f, struct uio *dst, uint64_t *pos)
{
	struct pty *p = file_pty(f);
	struct pty_events ev = {0};
	ssize_t ret;

	(void)pos;
	if (dst->resid == 0)
		return 0;
	mutex_lock(&p->lock);
	if (pty_file_hung(p, f))
		ret = 0;
	else
		ret = pty_read_locked(p, dst, (f->flags & LINUX_O_NONBLOCK) != 0 || dst->nowait, &ev);
	mutex_unlock(&p->lock);
	pty_fire(p, &ev);
	return ret;
}

static ssize_t slave_write(struct file *f, struct uio *src, uint64_t *pos)
{
	struct pty *p = file_pty(f);
	ssize_t ret;

	(void)pos;
	if (src->resid == 0)
		return 0;
	mutex_lock(&p->lock);
	ret = pty_file_hung(p, f) ? -EIO : pty_write_locked(p, src);
	mutex_unlock(&p->lock);
	if (ret > 0)
		waitq_wake(&p->master_wq, IN_EVENTS);
	return ret;
}

static uint32_t slave_ready(struct file *f)
{
	struct pty *p = file_pty(f);
	uint32_t ev = 0;

	mutex_lock(&p->lock);
	if (pty_file_hung(p, f)) {
		ev = IN_EVENTS | OUT_EVENTS | EV_ERR | EV_HUP;
	} else {
		if (pty_input_available(p, true))
			ev |= IN_EVENTS;
		if (!p->stopped && pty_out_room(p) >= 256)
			ev |= OUT_EVENTS;
	}
	mutex_unlock(&p->lock);
	return ev;
}

static uint64_t slave_timeout(struct file *f, bool write)
{
	struct pty *p = file_pty(f);
	uint64_t ns = 0;

	if (write)
		return 0;
	mutex_lock(&p->lock);
	if (!pty_l(p, LINUX_ICANON) && p->t.c_cc[LINUX_VMIN] == 0)
		ns = p->t.c_cc[LINUX_VTIME] * VTIME_UNIT;
	mutex_unlock(&p->lock);
	return ns;
}

static void slave_release(struct file *f)
{
	struct pty *p = file_pty(f);
	bool last;

	mutex_lock(&p->lock);
	last = --p->slave_files == 0;
	if (last) {
		p->slave_closed = true;
		p->exclusive = false;
	}
	mutex_unlock(&p->lock);
	if (last)
		waitq_wake(&p->master_wq, EV_HUP | IN_EVENTS);
	pty_put(p);
}

/* ---- master ---- */
static ssize_t copy_output(struct pty *p, struct uio *dst)
{
	uint32_t n = (uint32_t)MIN((uint64_t)pty_out_used(p), dst->resid);
	uint32_t at = p->out_tail % TTY_OUT_RING, first = MIN(n, TTY_OUT_RING - at);
	ssize_t done = uio_put(dst, p->out + at, first), more;

	if (done == (ssize_t)first && n > first) {
		more = uio_put(dst, p->out, n - first);
		if (more > 0)
			done += more;
	}
	if (done > 0)
		p->out_tail += (uint32_t)done;
	return done;
}

static ssize_t read_packet(struct pty *p, struct uio *dst)
{
	uint8_t status = p->packet_status;
	ssize_t ret;

	if (status) {
		ret = uio_put(dst, &status, 1);
		if (ret == 1)
			p->packet_status = 0;
		return ret;
	}
	if (!pty_out_used(p))
		return -EAGAIN;
	ret = uio_put(dst, &status, 1); /* TIOCPKT_DATA */
	if (ret != 1)
		return ret;
	if (dst->resid)
		ret = copy_output(p, dst);
	return ret < 0 ? ret : ret + 1;
}

static ssize_t master_read(struct file *f, struct uio *dst, uint64_t *pos)
{
	struct pty *p = file_pty(f);
	bool wake;
	uint32_t before;
	ssize_t ret;

	(void)pos;
	if (dst->resid == 0)
		return 0;
	mutex_lock(&p->lock);
	before = pty_out_room(p);
	if (p->packet)
		ret = read_packet(p, dst);
	else
		ret = pty_out_used(p) ? copy_output(p, dst) : -EAGAIN;
	if (ret == -EAGAIN && p->slave_closed)
		ret = -EIO;
	wake = before < 256 && pty_out_room(p) >= 256;
	mutex_unlock(&p->lock);
	if (wake)
		waitq_wake(&p->slave_wq, OUT_EVENTS);
	return ret;
}

static ssize_t master_write(struct file *f, struct uio *src, uint64_t *pos)
{
	struct pty *p = file_pty(f);
	struct pty_events ev = {0};
	uint8_t buf[CHUNK];
	ssize_t total = 0, got = 0;

	(void)pos;
	while (src->resid) {
		struct uio saved = *src;
		size_t done;

		got = uio_get(src, buf, MIN(src->resid, sizeof(buf)));
		if (got <= 0)
			break;
		mutex_lock(&p->lock);
		if (p->slave_closed) {
			/* nobody listens: Linux drops it too */
			done = (size_t)got;
		} else {
			done = pty_input_bytes_locked(p, buf, (size_t)got, &ev);
		}
		mutex_unlock(&p->lock);
		total += (ssize_t)done;
		if (done < (size_t)got) {
			*src = saved;
			uio_skip(src, done);
			got = -EAGAIN;
			break;
		}
	}
	pty_fire(p, &ev);
	return total ? total : got;
}

static uint32_t master_ready(struct file *f)
{
	struct pty *p = file_pty(f);
	uint32_t ev = 0;

	mutex_lock(&p->lock);
	if (pty_out_used(p))
		ev |= IN_EVENTS;
	if (p->packet && p->packet_status)
		ev |= IN_EVENTS | EV_PRI;
	if (p->slave_closed)
		ev |= EV_HUP;
	if (pty_in_used(p) < TTY_IN_SIZE - 1 || (pty_l(p, LINUX_ICANON) && p->in_canon == p->in_tail))
		ev |= OUT_EVENTS;
	mutex_unlock(&p->lock);
	return ev;
}

static void master_release(struct file *f)
{
	struct pty *p = file_pty(f);

	devpts_remove(p->fs, p);
	mutex_lock(&p->lock);
	p->master_open = false;
	p->generation++;
	mutex_unlock(&p->lock);
	waitq_wake(&p->slave_wq, EV_HUP | EV_ERR | IN_EVENTS | OUT_EVENTS);
	tty_hangup(&p->tty);
	pty_put(p);
}

static struct tty *pty_tty(struct file *f)
{
	return &file_pty(f)->tty;
}

static int pty_set_flags(struct file *f, uint32_t flags)
{
	(void)f, (void)flags;
	return 0;
}

static void master_fdinfo(struct file *f, struct strbuf *out)
{
	strbuf_printf(out, "tty-index:\t%u\n", file_pty(f)->index);
}

const struct file_ops pty_slave_ops = {
	.read = slave_read,
	.write = slave_write,
	.ready = slave_ready,
	.ioctl = pty_ioctl,
	.timeout = slave_timeout,
	.timeout_ends = true,
	.set_flags = pty_set_flags,
	.release = slave_release,
	.tty = pty_tty,
};

const struct file_ops pty_master_ops = {
	.read = master_read,
	.write = master_write,
	.ready = master_ready,
	.ioctl = pty_ioctl,
	.set_flags = pty_set_flags,
	.release = master_release,
	.show_fdinfo = master_fdinfo,
	.tty = pty_tty,
	.tty_master = true,
};

void pty_init_tty(struct pty *p)
{
	tty_init(&p->tty, &pty_tty_ops, makedev(PTS_MAJOR + (p->index >> 8), p->index & 255));
}
