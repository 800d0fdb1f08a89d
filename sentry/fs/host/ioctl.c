/* ioctl.c: the few requests to the host's terminal that do no harm: its settings, its size, how much can be
 * read. Above all not TIOCSTI, which types into the user's shell. */
#include "sentry/fs/host/internal.h"

#include "platform/abi/errno.h"
#include "platform/abi/ioctl.h"
#include "platform/abi/termios.h"

union argument {
	struct linux_termios termios;
	struct linux_termios2 termios2;
	struct linux_winsize winsize;
	int32_t number;
};

/* cmd, the size of what its argument points to, and which way it goes */
static const struct request {
	uint32_t cmd;
	uint16_t size;
	bool in, tty;
} requests[] = {
	{LINUX_TCGETS, sizeof(struct linux_termios), false, true},
	{LINUX_TCSETS, sizeof(struct linux_termios), true, true},
	{LINUX_TCSETSW, sizeof(struct linux_termios), true, true},
	{LINUX_TCSETSF, sizeof(struct linux_termios), true, true},
	{LINUX_TIOCGWINSZ, sizeof(struct linux_winsize), false, true},
	{LINUX_TIOCSWINSZ, sizeof(struct linux_winsize), true, true},
	{LINUX_FIONREAD, sizeof(int32_t), false, false},
};

int64_t hostfd_ioctl(struct file *f, uint32_t cmd, uint64_t arg, const struct usermem *um,
		     const struct cred *cred)
{
	struct hostfd *h = hostfd_of(f);
	const struct request *r = NULL;
	union argument a = {0};
	int ret;

	(void)cred;
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++)
		if (requests[i].cmd == cmd)
			r = &requests[i];
	if (!r || (r->tty && !h->tty))
		return -ENOTTY;
	if (r->in && usermem_in(um, &a, arg, r->size) < 0)
		return -EFAULT;
	ret = hc_ioctl(h->fd, cmd, (unsigned long)&a);
	if (ret == 0 && !r->in)
		ret = usermem_out(um, arg, &a, r->size);
	return ret;
}
