/* file.c: reading whole files; complaining. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cvm-host/cvm.h"

void cvm_complain(const char *fmt, ...)
{
	va_list ap;

	fputs("sbx: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

static int read_all(int fd, size_t max, void **data, size_t *size)
{
	size_t have = 0, room = 0;
	char *buf = NULL;

	for (;;) {
		ssize_t n;

		if (have == room) {
			char *bigger = have > max ? NULL : realloc(buf, room = room ? room * 2 : 65536);

			if (!bigger) {
				free(buf);
				return have > max ? -EFBIG : -ENOMEM;
			}
			buf = bigger;
		}
		n = read(fd, buf + have, room - have);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			free(buf);
			return -errno;
		}
		if (n == 0)
			break;
		have += (size_t)n;
	}
	if (have > max) {
		free(buf);
		return -EFBIG;
	}
	*data = buf;
	*size = have;
	return 0;
}

int cvm_read_file(const char *path, size_t max, void **data, size_t *size)
{
	int fd = strcmp(path, "-") == 0 ? 0 : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int ret;

	if (fd < 0) {
		ret = -errno;
	} else {
		ret = read_all(fd, max, data, size);
		if (fd > 0)
			close(fd);
	}
	if (ret < 0)
		cvm_complain("%s: %s", path, strerror(-ret));
	return ret;
}
