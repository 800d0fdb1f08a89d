/* output.c: from the slave to the master: output processing (OPOST), the echo, and the ring they share. The
 * slave's own writes stop at TTY_OUT_SIZE; echo may go beyond, so that typing into a full terminal doesn't
 * lose its order, and is dropped when nothing is left. */
#include <string.h>

#include "platform/abi/errno.h"
#include "sentry/fs/devpts/internal.h"

#define CHUNK 512u

static bool is_control(uint8_t c)
{
	return c < 0x20 || c == 0x7f;
}

static bool is_continuation(const struct pty *p, uint8_t c)
{
	return pty_i(p, LINUX_IUTF8) && (c & 0xc0) == 0x80;
}

void pty_out_byte(struct pty *p, uint8_t c)
{
	if (pty_out_used(p) >= TTY_OUT_SIZE + TTY_ECHO_ROOM)
		return;
	p->out[p->out_head++ % TTY_OUT_RING] = c;
}

static void out_bytes(struct pty *p, const void *buf, size_t n)
{
	uint32_t at = p->out_head % TTY_OUT_RING;
	size_t first = MIN(n, (size_t)(TTY_OUT_RING - at));

	memcpy(p->out + at, buf, first);
	memcpy(p->out, (const uint8_t *)buf + first, n - first);
	p->out_head += (uint32_t)n;
}

/* The bytes that c becomes, at most 8, into out; also moves the column. */
static uint32_t process(struct pty *p, uint8_t c, uint8_t out[8])
{
	uint32_t n = 0, spaces;

	switch (c) {
	case '\n':
		if (pty_o(p, LINUX_ONLRET))
			p->column = 0;
		if (pty_o(p, LINUX_ONLCR)) {
			out[n++] = '\r';
			p->column = 0;
		}
		p->canon_column = p->column;
		break;
	case '\r':
		if (pty_o(p, LINUX_ONOCR) && p->column == 0)
			return 0;
		if (pty_o(p, LINUX_OCRNL)) {
			c = '\n';
			if (pty_o(p, LINUX_ONLRET))
				p->canon_column = p->column = 0;
			break;
		}
		p->canon_column = p->column = 0;
		break;
	case '\t':
		spaces = 8 - (p->column & 7);
		p->column += spaces;
		if ((p->t.c_oflag & LINUX_TABDLY) == LINUX_XTABS) {
			memset(out, ' ', spaces);
			return spaces;
		}
		break;
	case '\b':
		if (p->column > 0)
			p->column--;
		break;
	default:
		if (is_control(c))
			break;
		if (pty_o(p, LINUX_OLCUC) && c >= 'a' && c <= 'z')
			c = (uint8_t)(c - 'a' + 'A');
		if (!is_continuation(p, c))
			p->column++;
	}
	out[n++] = c;
	return n;
}

bool pty_out_processed(struct pty *p, uint8_t c)
{
	uint8_t buf[8];

	if (pty_out_room(p) < sizeof(buf))
		return false;
	out_bytes(p, buf, process(p, c, buf));
	return true;
}

/* Echo that goes through OPOST but isn't held to the slave's limit. */
void pty_echo_raw(struct pty *p, uint8_t c)
{
	uint8_t buf[8];
	uint32_t n;

	if (!pty_o(p, LINUX_OPOST)) {
		pty_out_byte(p, c);
		return;
	}
	n = process(p, c, buf);
	for (uint32_t i = 0; i < n; i++)
		pty_out_byte(p, buf[i]);
}

void pty_echo(struct pty *p, uint8_t c)
{
	if (pty_l(p, LINUX_ECHOCTL) && is_control(c) && c != '\t') {
		pty_echo_raw(p, '^');
		pty_echo_raw(p, c ^ 0100);
		return;
	}
	pty_echo_raw(p, c);
}

/* How many bytes at the start need no processing. */
static size_t plain_run(const struct pty *p, const uint8_t *buf, size_t n)
{
	size_t i = 0;

	if (pty_o(p, LINUX_OLCUC))
		return 0;
	while (i < n && !is_control(buf[i]))
		i++;
	return i;
}

static size_t process_chunk(struct pty *p, const uint8_t *buf, size_t n)
{
	size_t done = 0;

	while (done < n) {
		size_t run = MIN(plain_run(p, buf + done, n - done), (size_t)pty_out_room(p));

		if (run) {
			out_bytes(p, buf + done, run);
			for (size_t i = 0; i < run; i++)
				p->column += !is_continuation(p, buf[done + i]);
			done += run;
			continue;
		}
		if (!pty_out_processed(p, buf[done]))
			break;
		done++;
	}
	return done;
}

ssize_t pty_write_locked(struct pty *p, struct uio *src)
{
	uint8_t buf[CHUNK];
	ssize_t total = 0;

	while (src->resid && !p->stopped) {
		struct uio saved = *src;
		size_t n = MIN(src->resid, sizeof(buf)), done;
		ssize_t got;

		if (!pty_o(p, LINUX_OPOST))
			n = MIN(n, (size_t)pty_out_room(p));
		if (n == 0 || pty_out_room(p) < 8)
			break;
		got = uio_get(src, buf, n);
		if (got <= 0)
			return total ? total : got;
		if (pty_o(p, LINUX_OPOST)) {
			done = process_chunk(p, buf, (size_t)got);
		} else {
			out_bytes(p, buf, (size_t)got);
			done = (size_t)got;
		}
		total += (ssize_t)done;
		if (done < (size_t)got) {
			*src = saved;
			uio_skip(src, done);
			break;
		}
	}
	p->out_batch = p->out_head;
	return total ? total : -EAGAIN;
}
