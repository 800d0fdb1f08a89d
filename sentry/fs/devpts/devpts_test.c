/* devpts_test.c: the line discipline as termios(3) has it, and the life of a pseudo-terminal. */
#include <criterion/criterion.h>
#include <string.h>

#include "platform/abi/errno.h"
#include "platform/abi/fcntl.h"
#include "platform/abi/ioctl.h"
#include "platform/base/arena.h"
#include "sentry/fs/devpts/internal.h"
#include "sentry/fs/dev/dev.h"
#include "sentry/fs/tmpfs/tmpfs.h"
#include "tests/harness/fsbox.h"

static struct fsbox box;
static struct file *master, *slave;

static void setup(void)
{
	struct super *s;

	fsbox_init(&box);
	devpts_register(box.v);
	cr_assert_eq(tmpfs_super_create(box.v, "t", NULL, false, &s), 0);
	fsbox_mount(&box, s);
	cr_assert_eq(vfs_mkdir(&box.at, "/dev", 0755), 0);
	cr_assert_eq(vfs_mkdir(&box.at, "/dev/pts", 0755), 0);
	cr_assert_eq(vfs_mount(&box.at, "devpts", "/dev/pts", "devpts", 0, "mode=620,ptmxmode=666"), 0);
	cr_assert_eq(devpts_create_pair(box.v, box.ns, box.cred, 24, 80, &master, &slave), 0);
}

TestSuite(devpts, .init = setup);

static ssize_t put(struct file *f, const char *text)
{
	struct uio u;

	uio_init_kernel(&u, (void *)(uintptr_t)text, strlen(text));
	return file_write(f, &u);
}

static const char *get(struct file *f)
{
	static char buf[8192];
	struct uio u;
	ssize_t n;

	uio_init_kernel(&u, buf, sizeof(buf) - 1);
	n = file_read(f, &u);
	if (n < 0)
		return n == -EAGAIN ? "(again)" : n == -EIO ? "(io)" : "(error)";
	buf[n] = 0;
	return buf;
}

static struct pty *pty(void)
{
	return file_pty(master);
}

static void change(uint32_t iflag, uint32_t lflag_off, int cc, uint8_t v)
{
	struct linux_termios2 t = pty()->t;
	struct pty_events ev = {0};

	t.c_iflag |= iflag;
	t.c_lflag &= ~lflag_off;
	if (cc >= 0)
		t.c_cc[cc] = v;
	pty_set_termios_locked(pty(), &t, &ev);
}

Test(devpts, lines_are_edited_and_echoed)
{
	put(master, "helxx\177\177lo");
	cr_assert_str_eq(get(slave), "(again)");
	cr_assert_str_eq(get(master), "helxx\b \b\b \blo");
	put(master, "\r");
	cr_assert_str_eq(get(slave), "hello\n");
	cr_assert_str_eq(get(master), "\r\n");
	put(master, "one two\027three\n"); /* ^W */
	cr_assert_str_eq(get(slave), "one three\n");
	get(master);
	put(master, "gone\025kept\n"); /* ^U */
	cr_assert_str_eq(get(slave), "kept\n");
	cr_assert_str_eq(get(master), "gone\b \b\b \b\b \b\b \bkept\r\n");
	put(master, "a\026\003b\n"); /* ^V^C */
	cr_assert_str_eq(get(slave), "a\003b\n");
	cr_assert_str_eq(get(master), "a^\b^Cb\r\n");
}

Test(devpts, reads_take_one_line)
{
	char buf[4];
	struct uio u;

	put(master, "abcdef\nxy\n");
	uio_init_kernel(&u, buf, 4);
	cr_assert_eq(file_read(slave, &u), 4);
	cr_assert_str_eq(get(slave), "ef\n");
	cr_assert_str_eq(get(slave), "xy\n");
	cr_assert_str_eq(get(slave), "(again)");
}

Test(devpts, end_of_file_character)
{
	char buf[3];
	struct uio u;

	put(master, "abc\004");
	uio_init_kernel(&u, buf, 3);
	cr_assert_eq(file_read(slave, &u), 3);
	cr_assert_str_eq(get(slave), "(again)"); /* the mark went with the bytes */
	put(master, "\004");
	cr_assert_str_eq(get(slave), "");
	cr_assert_str_eq(get(slave), "(again)");
}

Test(devpts, tabs_erase_to_where_they_began)
{
	put(master, "ab\t\177");
	cr_assert_str_eq(get(master), "ab\t\b\b\b\b\b\b");
}

Test(devpts, raw_mode)
{
	change(0, LINUX_ICANON | LINUX_ECHO | LINUX_ISIG | LINUX_IEXTEN, LINUX_VMIN, 1);
	pty()->t.c_iflag = 0;
	put(master, "a\003\004\r");
	cr_assert_str_eq(get(slave), "a\003\004\r");
	cr_assert_str_eq(get(master), "(again)");
	change(0, 0, LINUX_VMIN, 3);
	put(master, "ab");
	cr_assert_str_eq(get(slave), "(again)");
	cr_assert_eq(file_ready(slave) & EV_IN, 0);
	put(master, "c");
	cr_assert_eq(file_ready(slave) & EV_IN, EV_IN);
	cr_assert_str_eq(get(slave), "abc");
	change(0, 0, LINUX_VMIN, 0);
	cr_assert_str_eq(get(slave), "");
	change(0, 0, LINUX_VTIME, 5);
	cr_assert_str_eq(get(slave), "(again)");
	cr_assert_eq(slave->ops->timeout(slave, false), 500000000);
}

Test(devpts, raw_input_becomes_a_line)
{
	struct linux_termios2 t = pty()->t;
	struct pty_events ev = {0};

	change(0, LINUX_ICANON, -1, 0);
	put(master, "typed");
	pty_set_termios_locked(pty(), &t, &ev);
	cr_assert_str_eq(get(slave), "typed");
}

Test(devpts, output_processing)
{
	put(slave, "a\nb\tc");
	cr_assert_str_eq(get(master), "a\r\nb\tc");
	pty()->t.c_oflag |= LINUX_XTABS;
	put(slave, "\rb\tc");
	cr_assert_str_eq(get(master), "\rb       c");
	pty()->t.c_oflag = 0;
	put(slave, "a\n");
	cr_assert_str_eq(get(master), "a\n");
}

Test(devpts, flow_control)
{
	put(master, "\023"); /* ^S */
	cr_assert_eq(put(slave, "x"), -EAGAIN);
	cr_assert_eq(file_ready(slave) & EV_OUT, 0);
	put(master, "\021"); /* ^Q */
	cr_assert_eq(put(slave, "x"), 1);
	cr_assert_str_eq(get(master), "x");
}

Test(devpts, interrupt_flushes)
{
	put(master, "half");
	put(slave, "output"); /* the master has it already */
	put(master, "typed\003");
	cr_assert_str_eq(get(master), "halfoutput^C");
	put(master, "x\n");
	cr_assert_str_eq(get(slave), "x\n");
}

Test(devpts, long_lines_lose_characters_but_end)
{
	char *line = kmalloc(5000);

	memset(line, 'y', 4999);
	cr_assert_eq(put(master, line), 4999);
	cr_assert_eq(put(master, "\n"), 1);
	cr_assert_eq(strlen(get(slave)), 4096);
	/* unread lines hold the writer up */
	for (int i = 0; i < 4095; i++)
		line[i] = i % 2 ? '\n' : 'z';
	line[4999] = 0;
	cr_assert_lt(put(master, line), 4999);
	cr_assert_eq(put(master, "a"), -EAGAIN);
}

Test(devpts, full_output_stops_the_slave)
{
	char *big = kmalloc(40000);
	size_t total = 0;

	memset(big, 'o', 39999);
	cr_assert_eq(put(slave, big), TTY_OUT_SIZE);
	cr_assert_eq(file_ready(slave) & EV_OUT, 0);
	for (const char *s = get(master); s[0] == 'o'; s = get(master))
		total += strlen(s);
	cr_assert_eq(total, TTY_OUT_SIZE);
	cr_assert_eq(file_ready(slave) & EV_OUT, EV_OUT);
}

Test(devpts, packet_mode)
{
	pty()->packet = true;
	put(slave, "x");
	struct uio u;
	char buf[8];

	uio_init_kernel(&u, buf, 8);
	cr_assert_eq(file_read(master, &u), 2);
	cr_assert(buf[0] == LINUX_TIOCPKT_DATA && buf[1] == 'x');
	put(master, "\023");
	cr_assert_eq(file_ready(master) & EV_PRI, EV_PRI);
	uio_init_kernel(&u, buf, 8);
	cr_assert_eq(file_read(master, &u), 1);
	cr_assert_eq(buf[0], LINUX_TIOCPKT_STOP);
}

Test(devpts, ends_go_away)
{
	struct file *again;
	char list[64];

	cr_assert_eq(fsbox_list(&box, "/dev/pts", list, sizeof(list)), 0);
	cr_assert_str_eq(list, "0 ptmx ");
	put(slave, "bye");
	file_put(slave);
	cr_assert_str_eq(get(master), "bye");
	cr_assert_str_eq(get(master), "(io)");
	cr_assert_eq(file_ready(master) & EV_HUP, EV_HUP);
	cr_assert_eq(fsbox_open(&box, "/dev/pts/0", LINUX_O_RDWR, &slave), 0);
	cr_assert_str_eq(get(master), "(again)");
	file_put(master);
	cr_assert_str_eq(get(slave), "");
	cr_assert_eq(put(slave, "x"), -EIO);
	cr_assert_eq(file_ready(slave) & EV_HUP, EV_HUP);
	cr_assert_eq(fsbox_open(&box, "/dev/pts/0", LINUX_O_RDWR, &again), -ENOENT);
	file_put(slave);
	cr_assert_eq(fsbox_open(&box, "/dev/pts/ptmx", LINUX_O_RDWR, &master), 0);
	cr_assert_eq(fsbox_open(&box, "/dev/pts/0", LINUX_O_RDWR, &slave), -EIO); /* locked */
	file_put(master);
}
