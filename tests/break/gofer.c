/* gofer.c: sbx-gofer taken over: where it confines itself, it makes the attempts instead. They start from the
 * root that holds a file `marker`. Linked with --wrap=gofer_confine and --wrap=server_init. */
#include <fcntl.h>
#include <unistd.h>

#include "gofer/internal.h"
#include "platform/host/hostcall.h"
#include "tests/break/attempts.h"

int __real_gofer_confine(bool sockets);
int __wrap_gofer_confine(bool sockets);
int __real_server_init(struct server *s, const struct gofer_root *roots, size_t count, int self, bool all_ids);
int __wrap_server_init(struct server *s, const struct gofer_root *roots, size_t count, int self, bool all_ids);

static int marked = -1;

int __wrap_server_init(struct server *s, const struct gofer_root *roots, size_t count, int self, bool all_ids)
{
	for (size_t i = 0; i < count; i++) {
		int fd = hc_openat(roots[i].fd, "marker", O_RDONLY, 0);

		if (fd < 0)
			continue;
		marked = roots[i].fd;
		hc_close(fd);
	}
	return __real_server_init(s, roots, count, self, all_ids);
}

static int confine(void)
{
	return __real_gofer_confine(false);
}

int __wrap_gofer_confine(bool sockets)
{
	(void)sockets;
	attempts_make(GOFER_ATTEMPT, marked, confine);
	_exit(0);
}
