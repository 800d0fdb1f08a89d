/* stdio.c: descriptors 0 to 2 of the first program. */
#include <string.h>
#include <stdlib.h>
#include <unistd.h>

#include "platform/abi/fcntl.h"
#include "platform/base/bug.h"
#include "sentry/boot/boot.h"
#include "sentry/fs/devpts/devpts.h"
#include "sentry/fs/host/hostfd.h"

#define EXIT_SBX 125

static void install(struct boot *b, struct file *f, int fd)
{
	if (fdtable_install_at(b->fds, f, fd, 1024, false, NULL) != fd)
		boot_fail(b, EXIT_SBX, "out of memory");
}

static void make_terminal(struct boot *b, const char *size)
{
	char *end;
	unsigned long rows = strtoul(size, &end, 10), cols = *end == 'x' ? strtoul(end + 1, NULL, 10) : 80;
	int ret = devpts_create_pair(b->vfs, b->mount_ns, b->cred, (uint16_t)rows, (uint16_t)cols, &b->master,
				     &b->terminal);

	if (ret < 0)
		boot_fail(b, EXIT_SBX, "cannot create the terminal: %s", strerror(-ret));
	for (int fd = 0; fd < 3; fd++)
		install(b, b->terminal, fd);
}

void boot_stdio(struct boot *b)
{
	const char *tty = config_get(&b->config, "tty", NULL);

	if (fdtable_create(&b->fds) < 0)
		boot_fail(b, EXIT_SBX, "out of memory");
	if (tty) {
		make_terminal(b, tty);
		return;
	}
	for (int fd = 0; fd < 3; fd++) {
		struct file *f;
		int ret =
			hostfd_file_create(b->vfs, fd, fd == 0 ? LINUX_O_RDONLY : LINUX_O_WRONLY, b->cred, &f);

		if (ret < 0)
			boot_fail(b, EXIT_SBX, "cannot use descriptor %d: %s", fd, strerror(-ret));
		install(b, f, fd);
		file_put(f);
	}
}
