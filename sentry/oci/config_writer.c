/* config_writer.c: the writing side of control/config.h; only in host programs, as it allocates. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "platform/base/bug.h"
#include "sentry/control/config.h"

void config_add(struct config_writer *w, const char *key, const char *fmt, ...)
{
	size_t klen = strlen(key), need;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	BUG_ON(n < 0);
	need = w->size + klen + 1 + (size_t)n + 1;
	if (need > w->cap) {
		w->cap = MAX(need, w->cap ? 2 * w->cap : 4096);
		w->data = realloc(w->data, w->cap);
		BUG_ON(!w->data);
	}
	memcpy(w->data + w->size, key, klen);
	w->data[w->size + klen] = '=';
	va_start(ap, fmt);
	vsnprintf(w->data + w->size + klen + 1, (size_t)n + 1, fmt, ap);
	va_end(ap);
	w->size = need;
}

int config_seal(struct config_writer *w)
{
	int fd = memfd_create("sbx-config", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;
	for (size_t done = 0; done < w->size;) {
		ssize_t n = write(fd, w->data + done, w->size - done);

		if (n < 0) {
			int err = errno;

			close(fd);
			return -err;
		}
		done += (size_t)n;
	}
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
		int err = errno;

		close(fd);
		return -err;
	}
	return fd;
}
