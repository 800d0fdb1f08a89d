/* ioctl.c: tty_ioctl(4) on both ends of a pseudo-terminal. Modes, sizes and the like belong to the slave,
 * on whichever end they are asked for. What needs to know the caller (TIOCSCTTY and its kin) is the
 * kernel's. */
#include <string.h>

#include "platform/abi/errno.h"
#include "platform/abi/ioctl.h"
#include "platform/abi/prctl.h"
#include "platform/abi/signal.h"
#include "sentry/fs/devpts/internal.h"

struct linux_termio {
	uint16_t c_iflag, c_oflag, c_cflag, c_lflag;
	uint8_t c_line, c_cc[8];
	uint8_t pad;
};

struct request {
	struct pty *p;
	struct file *f;
	bool master;
	uint64_t arg;
	const struct usermem *um;
	const struct cred *cred;
};

static const uint32_t speeds[] = {0,   50,   75,   110,	 134,  150,  200,   300,
				  600, 1200, 1800, 2400, 4800, 9600, 19200, 38400};
static const uint32_t high_speeds[] = {0,	57600,	 115200,  230400,  460800,  500000,  576000,  921600,
				       1000000, 1152000, 1500000, 2000000, 2500000, 3000000, 3500000, 4000000};

static uint32_t speed_of(uint32_t cflag)
{
	uint32_t code = cflag & LINUX_CBAUD;

	if (code & LINUX_CBAUDEX)
		return high_speeds[code & 15];
	return speeds[code & 15];
}

static int put_int(const struct request *r, int32_t v)
{
	return usermem_out(r->um, r->arg, &v, sizeof(v));
}

static int get_int(const struct request *r, int32_t *v)
{
	return usermem_in(r->um, v, r->arg, sizeof(*v));
}

static void snapshot(const struct request *r, struct linux_termios2 *t)
{
	mutex_lock(&r->p->lock);
	*t = r->p->t;
	mutex_unlock(&r->p->lock);
}

static void set_termios(const struct request *r, const struct linux_termios2 *t, bool flush)
{
	struct pty_events ev = {0};

	mutex_lock(&r->p->lock);
	if (flush)
		pty_flush_input_locked(r->p, &ev);
	pty_set_termios_locked(r->p, t, &ev);
	mutex_unlock(&r->p->lock);
	pty_fire(r->p, &ev);
}

static int tcgets(const struct request *r, size_t size)
{
	struct linux_termios2 t;

	snapshot(r, &t);
	return usermem_out(r->um, r->arg, &t, size);
}

/* size: of the guest's structure; the shorter one has no speeds. */
static int tcsets(const struct request *r, size_t size, bool flush)
{
	struct linux_termios2 t;
	int ret;

	snapshot(r, &t);
	ret = usermem_in(r->um, &t, r->arg, size);
	if (ret < 0)
		return ret;
	if (size < sizeof(t) || (t.c_cflag & LINUX_CBAUD) != LINUX_CBAUDEX)
		t.c_ispeed = t.c_ospeed = speed_of(t.c_cflag);
	set_termios(r, &t, flush);
	return 0;
}

static int tcgeta(const struct request *r)
{
	struct linux_termios2 t;
	struct linux_termio o = {0};

	snapshot(r, &t);
	o.c_iflag = (uint16_t)t.c_iflag;
	o.c_oflag = (uint16_t)t.c_oflag;
	o.c_cflag = (uint16_t)t.c_cflag;
	o.c_lflag = (uint16_t)t.c_lflag;
	o.c_line = t.c_line;
	memcpy(o.c_cc, t.c_cc, sizeof(o.c_cc));
	return usermem_out(r->um, r->arg, &o, sizeof(o));
}

static int tcseta(const struct request *r, bool flush)
{
	struct linux_termios2 t;
	struct linux_termio o;
	int ret = usermem_in(r->um, &o, r->arg, sizeof(o));

	if (ret < 0)
		return ret;
	snapshot(r, &t);
	t.c_iflag = (t.c_iflag & 0xffff0000u) | o.c_iflag;
	t.c_oflag = (t.c_oflag & 0xffff0000u) | o.c_oflag;
	t.c_cflag = (t.c_cflag & 0xffff0000u) | o.c_cflag;
	t.c_lflag = (t.c_lflag & 0xffff0000u) | o.c_lflag;
	t.c_line = o.c_line;
	memcpy(t.c_cc, o.c_cc, sizeof(o.c_cc));
	t.c_ispeed = t.c_ospeed = speed_of(t.c_cflag);
	set_termios(r, &t, flush);
	return 0;
}

void pty_set_winsize(struct pty *p, const struct linux_winsize *ws)
{
	bool changed;

	mutex_lock(&p->lock);
	changed = memcmp(&p->size, ws, sizeof(*ws)) != 0;
	p->size = *ws;
	mutex_unlock(&p->lock);
	if (changed)
		tty_signal_foreground(&p->tty, LINUX_SIGWINCH);
}

static int flow(const struct request *r)
{
	struct pty_events ev = {0};
	struct pty *p = r->p;
	int ret = 0;

	mutex_lock(&p->lock);
	switch ((int)r->arg) {
	case LINUX_TCOOFF:
		pty_stop_locked(p, &ev);
		break;
	case LINUX_TCOON:
		pty_start_locked(p, &ev);
		break;
	case LINUX_TCIOFF:
	case LINUX_TCION:
		if (!r->master) {
			uint8_t c = p->t.c_cc[(int)r->arg == LINUX_TCIOFF ? LINUX_VSTOP : LINUX_VSTART];

			if (c) {
				pty_out_byte(p, c);
				ev.master |= IN_EVENTS;
			}
		}
		break;
	default:
		ret = -EINVAL;
	}
	mutex_unlock(&p->lock);
	pty_fire(p, &ev);
	return ret;
}

/* The master's input is the slave's output and the other way round. */
static int flush(const struct request *r)
{
	int arg = (int)r->arg;
	bool in = arg == LINUX_TCIFLUSH || arg == LINUX_TCIOFLUSH;
	bool out = arg == LINUX_TCOFLUSH || arg == LINUX_TCIOFLUSH;
	struct pty_events ev = {0};

	if (!in && !out)
		return -EINVAL;
	mutex_lock(&r->p->lock);
	if (r->master ? out : in)
		pty_flush_input_locked(r->p, &ev);
	if (r->master ? in : out)
		pty_flush_output_locked(r->p, &ev);
	mutex_unlock(&r->p->lock);
	pty_fire(r->p, &ev);
	return 0;
}

static int input_queue(const struct request *r)
{
	uint32_t n;

	mutex_lock(&r->p->lock);
	n = r->master ? pty_out_used(r->p) : pty_input_count(r->p);
	mutex_unlock(&r->p->lock);
	return put_int(r, (int32_t)n);
}

static int set_flag(const struct request *r, bool *flag)
{
	int32_t v;
	int ret = get_int(r, &v);

	if (ret < 0)
		return ret;
	mutex_lock(&r->p->lock);
	*flag = v != 0;
	mutex_unlock(&r->p->lock);
	return 0;
}

static int set_packet(const struct request *r)
{
	int32_t v;
	int ret = get_int(r, &v);

	if (ret < 0)
		return ret;
	mutex_lock(&r->p->lock);
	if (v && !r->p->packet)
		r->p->packet_status = 0;
	r->p->packet = v != 0;
	mutex_unlock(&r->p->lock);
	return 0;
}

static int64_t master_only(const struct request *r, uint32_t cmd)
{
	switch (cmd) {
	case LINUX_TIOCGPTN:
		return put_int(r, (int32_t)r->p->index);
	case LINUX_TIOCSPTLCK:
		return set_flag(r, &r->p->locked);
	case LINUX_TIOCGPTLCK:
		return put_int(r, r->p->locked);
	case LINUX_TIOCPKT:
		return set_packet(r);
	case LINUX_TIOCGPKT:
		return put_int(r, r->p->packet);
	case LINUX_TIOCSIG:
		if (r->arg != LINUX_SIGINT && r->arg != LINUX_SIGQUIT && r->arg != LINUX_SIGTSTP)
			return -EINVAL;
		tty_signal_foreground(&r->p->tty, (int)r->arg);
		return 0;
	default:
		return -ENOTTY;
	}
}

static int64_t exclusive(const struct request *r, uint32_t cmd)
{
	if (cmd == LINUX_TIOCGEXCL)
		return put_int(r, r->p->exclusive);
	mutex_lock(&r->p->lock);
	r->p->exclusive = cmd == LINUX_TIOCEXCL;
	mutex_unlock(&r->p->lock);
	return 0;
}

static int64_t discipline(const struct request *r, uint32_t cmd)
{
	int32_t v = 0;
	int ret;

	if (cmd == LINUX_TIOCGETD)
		return put_int(r, v);
	ret = get_int(r, &v);
	if (ret < 0)
		return ret;
	return v == 0 ? 0 : -EINVAL; /* N_TTY is the only one */
}

static int64_t soft_carrier(const struct request *r, uint32_t cmd)
{
	struct linux_termios2 t;
	int32_t v;
	int ret;

	snapshot(r, &t);
	if (cmd == LINUX_TIOCGSOFTCAR)
		return put_int(r, (t.c_cflag & LINUX_CLOCAL) != 0);
	ret = get_int(r, &v);
	if (ret < 0)
		return ret;
	t.c_cflag = v ? t.c_cflag | LINUX_CLOCAL : t.c_cflag & ~(uint32_t)LINUX_CLOCAL;
	set_termios(r, &t, false);
	return 0;
}

static int64_t termios_request(const struct request *r, uint32_t cmd)
{
	switch (cmd) {
	case LINUX_TCGETS:
		return tcgets(r, sizeof(struct linux_termios));
	case LINUX_TCSETS:
	case LINUX_TCSETSW:
	case LINUX_TCSETSF:
		return tcsets(r, sizeof(struct linux_termios), cmd == LINUX_TCSETSF);
	case LINUX_TCGETS2:
		return tcgets(r, sizeof(struct linux_termios2));
	case LINUX_TCSETS2:
	case LINUX_TCSETSW2:
	case LINUX_TCSETSF2:
		return tcsets(r, sizeof(struct linux_termios2), cmd == LINUX_TCSETSF2);
	case LINUX_TCGETA:
		return tcgeta(r);
	case LINUX_TCSETA:
	case LINUX_TCSETAW:
	case LINUX_TCSETAF:
		return tcseta(r, cmd == LINUX_TCSETAF);
	case LINUX_TIOCGSOFTCAR:
	case LINUX_TIOCSSOFTCAR:
		return soft_carrier(r, cmd);
	default:
		return master_only(r, cmd);
	}
}

static int64_t winsize_request(const struct request *r, uint32_t cmd)
{
	struct linux_winsize ws;
	int ret;

	if (cmd == LINUX_TIOCSWINSZ) {
		ret = usermem_in(r->um, &ws, r->arg, sizeof(ws));
		if (ret == 0)
			pty_set_winsize(r->p, &ws);
		return ret;
	}
	mutex_lock(&r->p->lock);
	ws = r->p->size;
	mutex_unlock(&r->p->lock);
	return usermem_out(r->um, r->arg, &ws, sizeof(ws));
}

static int64_t request(const struct request *r, uint32_t cmd)
{
	switch (cmd) {
	case LINUX_TIOCGWINSZ:
	case LINUX_TIOCSWINSZ:
		return winsize_request(r, cmd);
	case LINUX_TIOCINQ:
		return input_queue(r);
	case LINUX_TIOCOUTQ:
		return put_int(r, 0); /* a pty's output is delivered at once */
	case LINUX_TCXONC:
		return flow(r);
	case LINUX_TCFLSH:
		return flush(r);
	case LINUX_TCSBRK:
	case LINUX_TCSBRKP:
	case LINUX_TIOCSBRK:
	case LINUX_TIOCCBRK:
		return 0; /* a pty has no line to break, and nothing to drain */
	case LINUX_TIOCEXCL:
	case LINUX_TIOCNXCL:
	case LINUX_TIOCGEXCL:
		return exclusive(r, cmd);
	case LINUX_TIOCGETD:
	case LINUX_TIOCSETD:
		return discipline(r, cmd);
	case LINUX_TIOCGDEV:
		return put_int(r, (int32_t)r->p->tty.rdev);
	case LINUX_TIOCSTI:
		return -EIO; /* as dev.tty.legacy_tiocsti = 0 */
	case LINUX_TIOCVHANGUP:
		if (!cred_has_cap(r->cred, LINUX_CAP_SYS_ADMIN))
			return -EPERM;
		tty_hangup(&r->p->tty);
		return 0;
	default:
		return termios_request(r, cmd);
	}
}

int64_t pty_ioctl(struct file *f, uint32_t cmd, uint64_t arg, const struct usermem *um, const struct cred *cred)
{
	struct request r = {file_pty(f), f, f->ops == &pty_master_ops, arg, um, cred};
	bool hung;

	if (!r.master) {
		switch (cmd) {
		case LINUX_TIOCGPTN:
		case LINUX_TIOCSPTLCK:
		case LINUX_TIOCGPTLCK:
		case LINUX_TIOCPKT:
		case LINUX_TIOCGPKT:
		case LINUX_TIOCSIG:
			return -ENOTTY;
		}
		mutex_lock(&r.p->lock);
		hung = pty_file_hung(r.p, f);
		mutex_unlock(&r.p->lock);
		if (hung)
			return -EIO;
	}
	return request(&r, cmd);
}
