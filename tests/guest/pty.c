/* pty.c: pseudo-terminals: what the line discipline makes of typed bytes and of output, in many modes;
 * ioctls; what happens when an end closes. */
#include "guest.h"
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <termios.h>

static int m, s;

/* The host moves bytes between the ends in the background. */
static void settle(void)
{
	usleep(30000);
}

static int bits(int fd)
{
	struct pollfd p = {fd, POLLIN | POLLOUT | POLLPRI | POLLRDHUP, 0};

	MUST(poll(&p, 1, 0) >= 0);
	return p.revents;
}

static void show_bytes(const char *what, int fd)
{
	unsigned char buf[8192];
	ssize_t n = read(fd, buf, sizeof(buf));

	if (n < 0) {
		printf("  %s: %s\n", what, strerrorname_np(errno));
		return;
	}
	printf("  %s: %zd \"", what, n);
	for (ssize_t i = 0; i < n && i < 200; i++) {
		if (buf[i] >= 0x20 && buf[i] < 0x7f && buf[i] != '"' && buf[i] != '\\')
			putchar(buf[i]);
		else
			printf("\\%03o", buf[i]);
	}
	printf("\"\n");
}

static void type(const char *text, size_t n)
{
	MUST(write(m, text, n) == (ssize_t)n);
	settle();
	show_bytes("master", m);
	for (int i = 0; i < 3; i++)
		show_bytes("slave", s);
}

#define TYPE(text) (printf("type %s\n", #text), type(text, sizeof(text) - 1))

static void reopen(void)
{
	close(m);
	close(s);
	MUST(openpty(&m, &s, NULL, NULL, NULL) == 0);
	MUST(fcntl(m, F_SETFL, O_NONBLOCK) == 0);
	MUST(fcntl(s, F_SETFL, O_NONBLOCK) == 0);
}

static void mode(tcflag_t in_on, tcflag_t in_off, tcflag_t out_on, tcflag_t out_off, tcflag_t l_on,
		 tcflag_t l_off)
{
	struct termios t;

	MUST(tcgetattr(s, &t) == 0);
	t.c_iflag = (t.c_iflag | in_on) & ~in_off;
	t.c_oflag = (t.c_oflag | out_on) & ~out_off;
	t.c_lflag = (t.c_lflag | l_on) & ~l_off;
	MUST(tcsetattr(s, TCSANOW, &t) == 0);
}

static void control(int which, cc_t v)
{
	struct termios t;

	MUST(tcgetattr(s, &t) == 0);
	t.c_cc[which] = v;
	MUST(tcsetattr(s, TCSANOW, &t) == 0);
}

static void show_termios(void)
{
	struct termios t;

	MUST(tcgetattr(s, &t) == 0);
	printf("termios %x %x %x %x line %d:", t.c_iflag, t.c_oflag, t.c_cflag, t.c_lflag, t.c_line);
	for (int i = 0; i < 17; i++)
		printf(" %o", t.c_cc[i]);
	printf(" speed %u %u\n", cfgetispeed(&t), cfgetospeed(&t));
}

static void editing(void)
{
	reopen();
	show_termios();
	TYPE("hello\n");
	TYPE("helxx\177\177lo\r");
	TYPE("one two  three\027\027X\n");
	TYPE("word-with.dots\027Y\n");
	TYPE("killed\025kept\n");
	TYPE("ctrl\001\002\177\177x\n");
	TYPE("tab\t\177\177b\n");
	TYPE("a\tb\tc\177\177\177\177\177\n");
	TYPE("lit\026\003\026\177\n");
	TYPE("again\022more\n");
	TYPE("eof\004");
	TYPE("\004");
	TYPE("x\004\004y\n");
	TYPE("two\nlines\nhere");
	TYPE("\n");
	TYPE("\177\025\027none\n");
	TYPE("intr\003after\n");
	TYPE("utf\303\251\177x\n");
	mode(IUTF8, 0, 0, 0, 0, 0);
	TYPE("utf\303\251\177x\n");
	TYPE("\342\202\254\342\202\254 \027z\n");
}

static void variants(void)
{
	reopen();
	puts("no echo");
	mode(0, 0, 0, 0, 0, ECHO);
	TYPE("silent\177\n");
	mode(0, 0, 0, 0, ECHONL, 0);
	TYPE("newline only\n");
	reopen();
	puts("no ECHOE");
	mode(0, 0, 0, 0, 0, ECHOE);
	TYPE("abc\177\025d\n");
	puts("no ECHOKE");
	mode(0, 0, 0, 0, ECHOE, ECHOKE);
	TYPE("abc\025d\n");
	puts("no ECHOK");
	mode(0, 0, 0, 0, 0, ECHOK);
	TYPE("abc\025d\n");
	reopen();
	puts("ECHOPRT");
	mode(0, 0, 0, 0, ECHOPRT, 0);
	TYPE("abcd\177\177e\177\n");
	TYPE("ab\177\177\177c\n");
	reopen();
	puts("no ECHOCTL");
	mode(0, 0, 0, 0, 0, ECHOCTL);
	TYPE("a\001b\177\177\177\n");
	puts("no IEXTEN");
	mode(0, 0, 0, 0, 0, IEXTEN);
	TYPE("a b\027\026c\022\n");
	reopen();
	puts("no ISIG");
	mode(0, 0, 0, 0, 0, ISIG);
	TYPE("a\003\034\032b\n");
	reopen();
	puts("NOFLSH");
	mode(0, 0, 0, 0, NOFLSH, 0);
	TYPE("abc\003d\n");
	reopen();
	puts("EOL");
	control(VEOL, '.');
	TYPE("a.b.c\n");
	TYPE(".\n");
	control(VEOL, 0);
	control(VERASE, 0);
	TYPE("a\177b\n");
	puts("input mapping");
	mode(INLCR, ICRNL, 0, 0, 0, 0);
	TYPE("a\nb\r");
	TYPE("\004");
	mode(IGNCR, INLCR, 0, 0, 0, 0);
	TYPE("a\rb\n");
	mode(ISTRIP | IUCLC, IGNCR, 0, 0, 0, 0);
	TYPE("A\341BC\n");
	reopen();
	puts("PARMRK");
	mode(PARMRK, 0, 0, 0, 0, 0);
	TYPE("a\377b\n");
}

static void raw(void)
{
	struct termios t;

	reopen();
	puts("raw");
	MUST(tcgetattr(s, &t) == 0);
	cfmakeraw(&t);
	MUST(tcsetattr(s, TCSANOW, &t) == 0);
	show_termios();
	TYPE("a\r\n\003\004\177\377\0z");
	control(VMIN, 4);
	TYPE("abc");
	printf("bits %x\n", bits(s));
	TYPE("d");
	control(VMIN, 0);
	show_bytes("empty", s);
	control(VTIME, 1);
	fcntl(s, F_SETFL, 0);
	show_bytes("timed", s);
	fcntl(s, F_SETFL, O_NONBLOCK);
	puts("raw, then canonical");
	control(VTIME, 0);
	control(VMIN, 1);
	MUST(write(m, "typed\nraw", 9) == 9);
	settle();
	mode(ICRNL, 0, 0, 0, ICANON | ECHO, 0);
	show_bytes("slave", s);
	show_bytes("slave", s);
	puts("canonical, then raw");
	MUST(write(m, "half", 4) == 4);
	settle();
	show_bytes("slave", s);
	mode(0, 0, 0, 0, 0, ICANON);
	show_bytes("slave", s);
	puts("ICANON off, ISIG on");
	mode(0, 0, 0, 0, ISIG | ECHO | ECHOCTL, 0);
	TYPE("a\003b");
}

static void out(const char *text, size_t n)
{
	MUST(write(s, text, n) == (ssize_t)n);
	settle();
	show_bytes("master", m);
}

#define OUT(text) (printf("out %s\n", #text), out(text, sizeof(text) - 1))

static void output(void)
{
	reopen();
	OUT("a\nb\tc\rd\be");
	mode(0, 0, TAB3, 0, 0, 0);
	OUT("\ra\tb\tcc\t\b\t|");
	OUT("\n\t\t1234567\t12345678\t|");
	mode(0, 0, 0, ONLCR, 0, 0);
	OUT("a\nb\t|\n");
	mode(0, 0, ONLRET, 0, 0, 0);
	OUT("a\nb\t|\n");
	mode(0, 0, OCRNL, ONLRET, 0, 0);
	OUT("a\rb\t|\r");
	mode(0, 0, ONOCR, OCRNL | ONLRET, 0, 0);
	OUT("\n\r\ra\r\rb\r");
	mode(0, 0, OLCUC, ONOCR, 0, 0);
	OUT("Lower\303\251");
	mode(0, 0, 0, OPOST, 0, 0);
	OUT("plain\n\t");
}

static void flow(void)
{
	reopen();
	MUST(write(m, "\023", 1) == 1);
	settle();
	SHOW(write(s, "x", 1));
	printf("bits %x\n", bits(s) & POLLOUT);
	MUST(write(m, "\021", 1) == 1);
	settle();
	SHOW(write(s, "x", 1));
	settle();
	show_bytes("master", m);
	mode(IXANY, 0, 0, 0, 0, 0);
	MUST(write(m, "\023", 1) == 1);
	settle();
	SHOW(write(s, "x", 1));
	TYPE("y\n");
	SHOW(write(s, "x", 1));
	SHOW(tcflow(s, TCOOFF));
	SHOW(write(s, "x", 1));
	SHOW(tcflow(s, TCOON));
	SHOW(write(s, "x", 1));
	SHOW(tcflow(s, TCIOFF));
	SHOW(tcflow(s, TCION));
	SHOW(tcflow(s, 9));
	settle();
	show_bytes("master", m);
}

static void ioctls(void)
{
	struct winsize w = {24, 80, 1, 2};
	int n = -1, peer;

	reopen();
	SHOW(ioctl(m, TIOCSWINSZ, &w));
	memset(&w, 0, sizeof(w));
	SHOW(ioctl(s, TIOCGWINSZ, &w));
	printf("%d %d %d %d\n", w.ws_row, w.ws_col, w.ws_xpixel, w.ws_ypixel);
	MUST(write(m, "abc\ndef", 7) == 7);
	settle();
	SHOW(ioctl(s, FIONREAD, &n));
	printf("%d\n", n);
	SHOW(ioctl(m, FIONREAD, &n));
	printf("%d\n", n);
	SHOW(ioctl(s, TIOCOUTQ, &n));
	printf("%d\n", n);
	SHOW(tcflush(s, TCIFLUSH));
	show_bytes("slave", s);
	SHOW(tcflush(s, 7));
	SHOW(tcdrain(s));
	SHOW(tcsendbreak(s, 0));
	SHOW(ioctl(s, TIOCGETD, &n));
	printf("%d\n", n);
	n = 0;
	SHOW(ioctl(s, TIOCSETD, &n));
	SHOW(ioctl(s, TIOCGPTN, &n));
	SHOW_OK(ioctl(m, TIOCGPTN, &n));
	n = 1;
	SHOW(ioctl(m, TIOCSPTLCK, &n));
	n = 0;
	SHOW(ioctl(m, TIOCGPTLCK, &n));
	printf("%d\n", n);
	SHOW(ioctl(m, TIOCGPTPEER, O_RDWR | O_NOCTTY));
	n = 0;
	SHOW(ioctl(m, TIOCSPTLCK, &n));
	SHOW_OK(peer = ioctl(m, TIOCGPTPEER, O_RDWR | O_NOCTTY));
	SHOW(isatty(peer));
	close(peer);
	SHOW(ioctl(s, TIOCGPTPEER, O_RDWR | O_NOCTTY));
	SHOW(ioctl(s, TIOCMGET, &n));
	SHOW(ioctl(m, TIOCSIG, SIGTERM));
	SHOW(ioctl(m, TIOCSIG, SIGINT));
	SHOW(ioctl(s, TIOCEXCL));
	SHOW(ioctl(s, TIOCNXCL));
	SHOW(ioctl(s, TIOCGSID, &n));
	SHOW(tcgetpgrp(s));
	SHOW(ioctl(s, 0x5499, &n));
	SHOW(lseek(s, 0, SEEK_SET));
	SHOW(lseek(m, 0, SEEK_SET));
}

static void packets(void)
{
	int on = 1;

	reopen();
	SHOW(ioctl(m, TIOCPKT, &on));
	MUST(write(s, "data", 4) == 4);
	settle();
	show_bytes("packet", m);
	show_bytes("packet", m);
	SHOW(tcflush(s, TCIFLUSH));
	printf("bits %x\n", bits(m) & (POLLIN | POLLPRI));
	show_bytes("packet", m);
	SHOW(tcflush(s, TCOFLUSH));
	show_bytes("packet", m);
	SHOW(tcflow(s, TCOOFF));
	show_bytes("packet", m);
	SHOW(tcflow(s, TCOON));
	show_bytes("packet", m);
	mode(0, IXON, 0, 0, 0, 0);
	show_bytes("packet", m);
	mode(IXON, 0, 0, 0, 0, 0);
	show_bytes("packet", m);
	on = 0;
	SHOW(ioctl(m, TIOCPKT, &on));
	show_bytes("plain", m);
}

static void closing(void)
{
	char name[64];

	reopen();
	MUST(ptsname_r(m, name, sizeof(name)) == 0);
	printf("bits %x %x\n", bits(m), bits(s));
	MUST(write(s, "bye", 3) == 3);
	close(s);
	settle();
	printf("bits %x\n", bits(m));
	settle();
	show_bytes("master", m);
	settle();
	show_bytes("master", m);
	MUST((s = open(name, O_RDWR | O_NOCTTY | O_NONBLOCK)) >= 0);
	settle();
	show_bytes("master", m);
	close(m);
	settle();
	printf("bits %x\n", bits(s));
	show_bytes("slave", s);
	SHOW(write(s, "x", 1));
	SHOW(ioctl(s, TIOCGWINSZ, name));
	SHOW(open(name, O_RDWR | O_NOCTTY));
	m = -1;
}

static void long_input(void)
{
	static char line[9000];
	int got = 0;
	ssize_t n;

	reopen();
	mode(0, 0, 0, 0, 0, ECHO);
	memset(line, 'y', sizeof(line));
	for (int i = 0; i < 5000; i += 500)
		MUST(write(m, line, 500) == 500);
	settle();
	MUST(write(m, "z\n", 2) == 2);
	settle();
	n = read(s, line, sizeof(line));
	printf("long line: %zd, ends \\%03o\\%03o\n", n, line[n - 2], line[n - 1]);
	reopen();
	mode(0, 0, 0, OPOST, 0, ECHO);
	for (;;) { /* a reader that is slow gets everything */
		n = write(s, line, 1000);
		if (n < 0)
			break;
		got += n;
		if (got > 1000000)
			break;
	}
	printf("full: %s\n", strerrorname_np(errno));
	settle();
	for (int left = got; left > 0; left -= n) {
		n = read(m, line, sizeof(line));
		if (n < 0) {
			settle();
			n = read(m, line, sizeof(line));
		}
		MUST(n > 0);
		got -= n;
	}
	printf("lost %d\n", got);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGHUP, SIG_IGN);
	m = s = -1;
	editing();
	variants();
	raw();
	output();
	flow();
	ioctls();
	packets();
	closing();
	long_input();
	return 0;
}
