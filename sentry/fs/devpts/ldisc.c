/* ldisc.c: from the master to the slave: the line discipline of termios(3). Characters become signals, flow
 * control, edits of the line, or bytes to read; the echo goes to the master. Everything runs with the
 * terminal's lock held. Positions in `in` run freely and are taken modulo its size. */
#include <string.h>

#include "platform/abi/errno.h"
#include "platform/abi/ioctl.h"
#include "platform/abi/signal.h"
#include "sentry/fs/devpts/internal.h"

#define AT(pos) ((pos) % TTY_IN_SIZE)

static bool bit_get(const uint64_t *map, uint32_t pos)
{
	return (map[AT(pos) / 64] >> (AT(pos) % 64) & 1) != 0;
}

static void bit_set(uint64_t *map, uint32_t pos, bool on)
{
	uint64_t bit = 1ULL << (AT(pos) % 64);

	if (on)
		map[AT(pos) / 64] |= bit;
	else
		map[AT(pos) / 64] &= ~bit;
}

static bool is_control(uint8_t c)
{
	return c < 0x20 || c == 0x7f;
}

static bool is_continuation(const struct pty *p, uint8_t c)
{
	return pty_i(p, LINUX_IUTF8) && (c & 0xc0) == 0x80;
}

static void put(struct pty *p, uint8_t c)
{
	if (pty_in_used(p) >= TTY_IN_SIZE)
		return; /* callers make room first; a marked 0xff may still not fit */
	bit_set(p->line_end, p->in_head, false);
	bit_set(p->is_eof, p->in_head, false);
	p->in[AT(p->in_head++)] = c;
}

/* Ends the line with c (an end-of-file mark if eof). */
static void end_line(struct pty *p, uint8_t c, bool eof, struct pty_events *ev)
{
	bit_set(p->line_end, p->in_head, true);
	bit_set(p->is_eof, p->in_head, eof);
	p->in[AT(p->in_head++)] = c;
	p->in_canon = p->in_head;
	ev->slave |= IN_EVENTS;
}

static void finish_erasing(struct pty *p)
{
	if (p->erasing) {
		pty_echo_raw(p, '/');
		p->erasing = false;
	}
}

/* ---- flow ---- */
void pty_stop_locked(struct pty *p, struct pty_events *ev)
{
	if (p->stopped)
		return;
	p->stopped = true;
	if (p->packet) {
		p->packet_status = (uint8_t)((p->packet_status & ~LINUX_TIOCPKT_START) | LINUX_TIOCPKT_STOP);
		ev->master |= IN_EVENTS | EV_PRI;
	}
}

void pty_start_locked(struct pty *p, struct pty_events *ev)
{
	if (!p->stopped)
		return;
	p->stopped = false;
	if (p->packet) {
		p->packet_status = (uint8_t)((p->packet_status & ~LINUX_TIOCPKT_STOP) | LINUX_TIOCPKT_START);
		ev->master |= IN_EVENTS | EV_PRI;
	}
	ev->slave |= OUT_EVENTS;
}

void pty_flush_input_locked(struct pty *p, struct pty_events *ev)
{
	p->in_tail = p->in_canon = p->in_head;
	p->literal = p->erasing = false;
	memset(p->line_end, 0, sizeof(p->line_end));
	memset(p->is_eof, 0, sizeof(p->is_eof));
	if (p->packet) {
		p->packet_status |= LINUX_TIOCPKT_FLUSHREAD;
		ev->master |= IN_EVENTS | EV_PRI;
	}
	ev->master |= OUT_EVENTS;
}

/* On Linux a flush reaches neither what the master's own buffer (4 KiB) has taken over, nor, of course,
 * what it has read; the echo of what is just being typed hasn't got there yet. */
void pty_flush_output_locked(struct pty *p, struct pty_events *ev)
{
	uint32_t keep = MIN(p->out_batch - p->out_tail, TTY_IN_SIZE);

	if (p->out_head - p->out_tail > keep)
		p->out_head = p->out_tail + keep;
	if (p->packet) {
		p->packet_status |= LINUX_TIOCPKT_FLUSHWRITE;
		ev->master |= IN_EVENTS | EV_PRI;
	}
	ev->slave |= OUT_EVENTS;
}

static bool flow_char(struct pty *p, uint8_t c, struct pty_events *ev)
{
	if (pty_is(p, LINUX_VSTART, c)) {
		pty_start_locked(p, ev);
		return true;
	}
	if (pty_is(p, LINUX_VSTOP, c)) {
		pty_stop_locked(p, ev);
		return true;
	}
	return false;
}

static bool signal_char(struct pty *p, uint8_t c, struct pty_events *ev)
{
	int sig;

	if (pty_is(p, LINUX_VINTR, c))
		sig = LINUX_SIGINT;
	else if (pty_is(p, LINUX_VQUIT, c))
		sig = LINUX_SIGQUIT;
	else if (pty_is(p, LINUX_VSUSP, c))
		sig = LINUX_SIGTSTP;
	else
		return false;
	if (!pty_l(p, LINUX_NOFLSH)) {
		pty_flush_output_locked(p, ev);
		pty_flush_input_locked(p, ev);
	}
	ev->signals |= 1ULL << sig;
	if (pty_i(p, LINUX_IXON))
		pty_start_locked(p, ev);
	if (pty_l(p, LINUX_ECHO))
		pty_echo(p, c);
	return true;
}

/* ---- editing ---- */
/* Backs over the tab that was just erased: to where the text before it ends. */
static void erase_tab(struct pty *p)
{
	uint32_t chars = 0, pos = p->in_head, back;
	bool after_tab = false;

	while (pos != p->in_canon) {
		uint8_t c = p->in[AT(--pos)];

		if (c == '\t') {
			after_tab = true;
			break;
		}
		if (is_control(c))
			chars += pty_l(p, LINUX_ECHOCTL) ? 2 : 0;
		else if (!is_continuation(p, c))
			chars++;
	}
	if (!after_tab)
		chars += p->canon_column;
	for (back = 8 - (chars & 7); back; back--) {
		pty_out_byte(p, '\b');
		if (p->column > 0)
			p->column--;
	}
}

static void echo_erased(struct pty *p, uint32_t from, uint32_t count, int kind)
{
	uint8_t c = p->in[AT(from)];

	if (pty_l(p, LINUX_ECHOPRT)) {
		if (!p->erasing) {
			pty_echo_raw(p, '\\');
			p->erasing = true;
		}
		pty_echo(p, c);
		for (uint32_t i = 1; i < count; i++)
			pty_out_byte(p, p->in[AT(from + i)]);
		return;
	}
	if (kind == LINUX_VERASE && !pty_l(p, LINUX_ECHOE)) {
		pty_echo(p, p->t.c_cc[LINUX_VERASE]);
		return;
	}
	if (c == '\t') {
		erase_tab(p);
		return;
	}
	if (is_control(c) && pty_l(p, LINUX_ECHOCTL)) {
		pty_echo_raw(p, '\b');
		pty_echo_raw(p, ' ');
		pty_echo_raw(p, '\b');
	}
	if (!is_control(c) || pty_l(p, LINUX_ECHOCTL)) {
		pty_echo_raw(p, '\b');
		pty_echo_raw(p, ' ');
		pty_echo_raw(p, '\b');
	}
}

static bool is_word(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* Erases one character (VERASE), a word (VWERASE) or the line (VKILL) before the cursor. */
static void erase(struct pty *p, int kind)
{
	bool seen_word = false;

	if (p->in_head == p->in_canon)
		return;
	if (kind == LINUX_VKILL) {
		if (!pty_l(p, LINUX_ECHO)) {
			p->in_head = p->in_canon;
			return;
		}
		if (!pty_l(p, LINUX_ECHOK) || !pty_l(p, LINUX_ECHOKE) || !pty_l(p, LINUX_ECHOE)) {
			p->in_head = p->in_canon;
			finish_erasing(p);
			pty_echo(p, p->t.c_cc[LINUX_VKILL]);
			if (pty_l(p, LINUX_ECHOK))
				pty_echo_raw(p, '\n');
			return;
		}
	}
	while (p->in_head != p->in_canon) {
		uint32_t from = p->in_head, count;
		uint8_t c;

		do {
			c = p->in[AT(--from)];
		} while (is_continuation(p, c) && from != p->in_canon);
		if (is_continuation(p, c))
			break;
		if (kind == LINUX_VWERASE) {
			if (is_word(c))
				seen_word = true;
			else if (seen_word)
				break;
		}
		count = p->in_head - from;
		p->in_head = from;
		if (pty_l(p, LINUX_ECHO))
			echo_erased(p, from, count, kind);
		if (kind == LINUX_VERASE)
			break;
	}
	if (p->in_head == p->in_canon && pty_l(p, LINUX_ECHO))
		finish_erasing(p);
}

static void reprint(struct pty *p, uint8_t c)
{
	finish_erasing(p);
	pty_echo(p, c);
	pty_echo_raw(p, '\n');
	for (uint32_t pos = p->in_canon; pos != p->in_head; pos++)
		pty_echo(p, p->in[AT(pos)]);
}

/* true: c was an editing or line-ending character. */
static bool canonical_char(struct pty *p, uint8_t c, struct pty_events *ev)
{
	bool ext = pty_l(p, LINUX_IEXTEN), echo = pty_l(p, LINUX_ECHO);

	if (pty_is(p, LINUX_VERASE, c)) {
		erase(p, LINUX_VERASE);
	} else if (pty_is(p, LINUX_VKILL, c)) {
		erase(p, LINUX_VKILL);
	} else if (ext && pty_is(p, LINUX_VWERASE, c)) {
		erase(p, LINUX_VWERASE);
	} else if (ext && pty_is(p, LINUX_VLNEXT, c)) {
		p->literal = true;
		if (echo) {
			finish_erasing(p);
			if (pty_l(p, LINUX_ECHOCTL)) {
				pty_echo_raw(p, '^');
				pty_echo_raw(p, '\b');
			}
		}
	} else if (ext && echo && pty_is(p, LINUX_VREPRINT, c)) {
		reprint(p, c);
	} else if (c == '\n') {
		if (echo || pty_l(p, LINUX_ECHONL))
			pty_echo_raw(p, '\n');
		end_line(p, c, false, ev);
	} else if (pty_is(p, LINUX_VEOF, c)) {
		end_line(p, 0, true, ev);
	} else if (pty_is(p, LINUX_VEOL, c) || (ext && pty_is(p, LINUX_VEOL2, c))) {
		if (echo) {
			if (p->in_canon == p->in_head)
				p->canon_column = p->column;
			pty_echo(p, c);
		}
		end_line(p, c, false, ev);
	} else {
		return false;
	}
	return true;
}

static void data_char(struct pty *p, uint8_t c, struct pty_events *ev)
{
	if (pty_l(p, LINUX_ECHO)) {
		finish_erasing(p);
		if (c == '\n') {
			pty_echo_raw(p, '\n');
		} else {
			if (p->in_canon == p->in_head)
				p->canon_column = p->column;
			pty_echo(p, c);
		}
	}
	if (c == 0xff && (p->t.c_iflag & (LINUX_IGNPAR | 010)) == 010) /* PARMRK without IGNPAR */
		put(p, c);
	put(p, c);
	if (!pty_l(p, LINUX_ICANON))
		ev->slave |= IN_EVENTS;
}

void pty_input_locked(struct pty *p, uint8_t c, struct pty_events *ev)
{
	if (pty_i(p, LINUX_ISTRIP))
		c &= 0x7f;
	if (pty_i(p, LINUX_IUCLC) && pty_l(p, LINUX_IEXTEN) && c >= 'A' && c <= 'Z')
		c = (uint8_t)(c - 'A' + 'a');
	if (p->literal) {
		p->literal = false;
		data_char(p, c, ev);
		return;
	}
	if (p->stopped && pty_i(p, LINUX_IXON) && pty_i(p, LINUX_IXANY) && !pty_is(p, LINUX_VSTART, c) &&
	    !pty_is(p, LINUX_VSTOP, c))
		pty_start_locked(p, ev);
	if (pty_i(p, LINUX_IXON) && flow_char(p, c, ev))
		return;
	if (pty_l(p, LINUX_ISIG) && signal_char(p, c, ev))
		return;
	if (c == '\r') {
		if (pty_i(p, LINUX_IGNCR))
			return;
		if (pty_i(p, LINUX_ICRNL))
			c = '\n';
	} else if (c == '\n' && pty_i(p, LINUX_INLCR)) {
		c = '\r';
	}
	if (pty_l(p, LINUX_ICANON) && canonical_char(p, c, ev))
		return;
	data_char(p, c, ev);
}

/* Nothing to look at but the byte itself: no special characters, no echo, no changes. */
static bool is_raw(const struct pty *p)
{
	return !(p->t.c_lflag & (LINUX_ICANON | LINUX_ISIG | LINUX_ECHO | LINUX_ECHONL)) &&
	       !(p->t.c_iflag &
		 (LINUX_IXON | LINUX_ICRNL | LINUX_INLCR | LINUX_IGNCR | LINUX_ISTRIP | LINUX_IUCLC | 010)) &&
	       !p->literal;
}

static void throttle(struct pty *p, struct pty_events *ev)
{
	uint32_t used = pty_in_used(p);

	if (!pty_i(p, LINUX_IXOFF))
		return;
	if (!p->throttled && used > TTY_IN_SIZE * 3 / 4 && p->t.c_cc[LINUX_VSTOP]) {
		p->throttled = true;
		pty_out_byte(p, p->t.c_cc[LINUX_VSTOP]);
		ev->master |= IN_EVENTS;
	} else if (p->throttled && used < TTY_IN_SIZE / 4) {
		p->throttled = false;
		pty_out_byte(p, p->t.c_cc[LINUX_VSTART]);
		ev->master |= IN_EVENTS;
	}
}

size_t pty_input_bytes_locked(struct pty *p, const uint8_t *buf, size_t n, struct pty_events *ev)
{
	uint32_t out_before = p->out_head;
	size_t i = 0;

	p->out_batch = p->out_head;
	for (; i < n; i++) {
		uint32_t used = pty_in_used(p);

		if (used >= TTY_IN_SIZE - 1) {
			/* In a line that is too long each character takes the place of the last; lines that
			 * wait to be read hold the writer up. */
			if (!pty_l(p, LINUX_ICANON) || p->in_canon != p->in_tail)
				break;
			if (used == TTY_IN_SIZE)
				p->in_head--;
		}
		if (is_raw(p)) {
			put(p, buf[i]);
			ev->slave |= IN_EVENTS;
			continue;
		}
		pty_input_locked(p, buf[i], ev);
	}
	p->out_batch = p->out_head;
	throttle(p, ev);
	if (p->out_head != out_before)
		ev->master |= IN_EVENTS;
	return i;
}

/* ---- reading ---- */
bool pty_input_available(const struct pty *p, bool poll)
{
	uint32_t want = 1;

	if (pty_l(p, LINUX_ICANON))
		return p->in_canon != p->in_tail;
	if (poll && !p->t.c_cc[LINUX_VTIME] && p->t.c_cc[LINUX_VMIN])
		want = p->t.c_cc[LINUX_VMIN];
	return pty_in_used(p) >= want;
}

uint32_t pty_input_count(const struct pty *p)
{
	uint32_t n = 0;

	if (!pty_l(p, LINUX_ICANON))
		return pty_in_used(p);
	for (uint32_t pos = p->in_tail; pos != p->in_canon; pos++)
		n += !bit_get(p->is_eof, pos);
	return n;
}

/* Hands out n bytes from the tail, which may wrap. */
static ssize_t copy_out(struct pty *p, struct uio *dst, uint32_t n)
{
	uint32_t first = MIN(n, TTY_IN_SIZE - AT(p->in_tail));
	ssize_t done = uio_put(dst, p->in + AT(p->in_tail), first), more;

	if (done == (ssize_t)first && n > first) {
		more = uio_put(dst, p->in, n - first);
		if (more > 0)
			done += more;
	}
	if (done > 0)
		p->in_tail += (uint32_t)done;
	return done;
}

static ssize_t read_canonical(struct pty *p, struct uio *dst)
{
	uint32_t end = p->in_tail, n;
	bool eof = false;
	ssize_t ret = 0;

	if (p->in_canon == p->in_tail)
		return -EAGAIN;
	while (end != p->in_canon && (uint64_t)(end - p->in_tail) < dst->resid) {
		if (bit_get(p->line_end, end++)) {
			eof = bit_get(p->is_eof, end - 1);
			break;
		}
	}
	n = end - p->in_tail - eof;
	/* an end-of-file right behind the bytes that fit belongs to them */
	if (!eof && end != p->in_canon && !(n && bit_get(p->line_end, end - 1)))
		eof = bit_get(p->line_end, end) && bit_get(p->is_eof, end);
	if (n)
		ret = copy_out(p, dst, n);
	if (ret >= 0 && (uint32_t)ret == n && eof)
		p->in_tail++;
	return ret;
}

static ssize_t read_raw(struct pty *p, struct uio *dst, bool nonblocking)
{
	uint32_t used = pty_in_used(p), min = p->t.c_cc[LINUX_VMIN], time = p->t.c_cc[LINUX_VTIME];

	if (used == 0)
		return min == 0 && time == 0 ? 0 : -EAGAIN;
	/* With a timer between bytes, what is there is given at once: as if the timer had run out. */
	if (time == 0 && used < min && used < dst->resid && !nonblocking)
		return -EAGAIN;
	return copy_out(p, dst, (uint32_t)MIN((uint64_t)used, dst->resid));
}

ssize_t pty_read_locked(struct pty *p, struct uio *dst, bool nonblocking, struct pty_events *ev)
{
	bool was_full = pty_in_used(p) >= TTY_IN_SIZE - 1;
	ssize_t ret = pty_l(p, LINUX_ICANON) ? read_canonical(p, dst) : read_raw(p, dst, nonblocking);

	if (was_full && pty_in_used(p) < TTY_IN_SIZE - 1)
		ev->master |= OUT_EVENTS;
	throttle(p, ev);
	return ret;
}

/* ---- changes of mode ---- */
static void canonical_changed(struct pty *p)
{
	memset(p->line_end, 0, sizeof(p->line_end));
	memset(p->is_eof, 0, sizeof(p->is_eof));
	p->in_canon = p->in_tail;
	if (pty_l(p, LINUX_ICANON) && pty_in_used(p)) {
		/* what was typed raw is a line now */
		bit_set(p->line_end, p->in_head - 1, true);
		p->in_canon = p->in_head;
	}
	p->literal = p->erasing = false;
}

static bool flow_keys(const struct linux_termios2 *t)
{
	return (t->c_iflag & LINUX_IXON) && t->c_cc[LINUX_VSTOP] == 023 && t->c_cc[LINUX_VSTART] == 021;
}

void pty_set_termios_locked(struct pty *p, const struct linux_termios2 *t, struct pty_events *ev)
{
	struct linux_termios2 old = p->t;

	p->t = *t;
	p->t.c_cflag &= ~(uint32_t)(LINUX_CSIZE | LINUX_PARENB);
	p->t.c_cflag |= LINUX_CS8 | LINUX_CREAD;
	__atomic_store_n(&p->tty.tostop, pty_l(p, LINUX_TOSTOP), __ATOMIC_RELAXED);
	if ((old.c_lflag ^ p->t.c_lflag) & (LINUX_ICANON | LINUX_EXTPROC))
		canonical_changed(p);
	if ((old.c_iflag & LINUX_IXON) && !pty_i(p, LINUX_IXON))
		pty_start_locked(p, ev);
	if (p->packet) {
		bool before = flow_keys(&old), now = flow_keys(&p->t);

		if (before != now) {
			p->packet_status &= (uint8_t) ~(LINUX_TIOCPKT_DOSTOP | LINUX_TIOCPKT_NOSTOP);
			p->packet_status |= now ? LINUX_TIOCPKT_DOSTOP : LINUX_TIOCPKT_NOSTOP;
			ev->master |= IN_EVENTS | EV_PRI;
		}
	}
	if (pty_input_available(p, false))
		ev->slave |= IN_EVENTS;
}
