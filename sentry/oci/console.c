/* console.c: see console.h. */
#include "sentry/oci/console.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

static int connect_to(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), dir = -1, n;
	char *copy = strdup(path), *slash = copy ? strrchr(copy, '/') : NULL;

	/* a long path is named through its folder's descriptor */
	if (slash && strlen(path) >= sizeof(a.sun_path)) {
		*slash = 0;
		dir = open(copy, O_PATH | O_DIRECTORY | O_CLOEXEC);
		n = snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/%s", dir, slash + 1);
	} else {
		n = snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	}
	free(copy);
	if (fd >= 0 && ((size_t)n >= sizeof(a.sun_path) || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)) {
		int err = (size_t)n >= sizeof(a.sun_path) ? ENAMETOOLONG : errno;

		close(fd);
		fd = -1;
		errno = err;
	}
	if (dir >= 0)
		close(dir);
	return fd;
}

static int send_master(int sock, int master, const char *name)
{
	char control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {(void *)(uintptr_t)name, strlen(name)};
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &master, sizeof(int));
	return sendmsg(sock, &m, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

static int make_pair(int *master, char *name, size_t name_size)
{
	int slave;

	*master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (*master < 0)
		return -1;
	if (grantpt(*master) < 0 || unlockpt(*master) < 0 || ptsname_r(*master, name, name_size) != 0) {
		close(*master);
		return -1;
	}
	slave = ioctl(*master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		close(*master);
	return slave;
}

int console_open(const char *socket_path, uint32_t rows, uint32_t cols, char *err, size_t err_size)
{
	struct winsize ws = {.ws_row = (uint16_t)rows, .ws_col = (uint16_t)cols};
	struct termios raw;
	int master, slave, sock;
	char name[64];

	slave = make_pair(&master, name, sizeof(name));
	if (slave < 0) {
		snprintf(err, err_size, "cannot make a terminal: %s", strerror(errno));
		return -1;
	}
	if (tcgetattr(slave, &raw) == 0) {
		cfmakeraw(&raw);
		tcsetattr(slave, TCSANOW, &raw);
	}
	if (rows && cols)
		ioctl(slave, TIOCSWINSZ, &ws);
	sock = connect_to(socket_path);
	if (sock < 0 || send_master(sock, master, name) < 0) {
		snprintf(err, err_size, "--console-socket %s: %s", socket_path, strerror(errno));
		close(slave);
		slave = -1;
	}
	if (sock >= 0)
		close(sock);
	close(master);
	return slave;
}

void console_adopt(int fd)
{
	(void)!ioctl(fd, TIOCSCTTY, 0);
}
