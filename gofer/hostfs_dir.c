/* hostfs_dir.c: directory listings with the attributes of every entry, so that `find` needs one request a
 * directory; extended attributes; and connecting to sockets. */
#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "gofer/internal.h"
#include "platform/abi/errno.h"
#include "platform/base/bytes.h"
#include "platform/host/hostcall.h"

#define DIRENT_NAME offsetof(struct linux_dirent64, d_name)

/* One entry of getdents64 to the reply. false: no room left. Entries that vanish meanwhile are skipped. */
static bool add_entry(const struct server *s, const struct node *at, const struct linux_dirent64 *d,
		      uint8_t *data, uint32_t *used)
{
	struct gofer_entry e = {.cookie = (uint64_t)d->d_off};
	size_t len = strnlen(d->d_name, d->d_reclen - DIRENT_NAME), n;

	if (!gofer_name_valid(d->d_name, len))
		return true;
	if (GOFER_DATA_MAX - *used < GOFER_ENTRY_MAX)
		return false;
	if (host_stat_at(s, at, d->d_name, &e.attr) < 0)
		return true;
	e.name = gofer_name_of(d->d_name, len);
	n = gofer_entry_put(data + *used, GOFER_DATA_MAX - *used, &e);
	*used += (uint32_t)n;
	return n != 0;
}

/* Entries of an open directory behind *used of data. 1: all of them; 0: no more room; -errno. *cookie: where
 * the next one would be. */
static int list(const struct server *s, const struct node *at, uint8_t *scratch, size_t scratch_size,
		uint8_t *data, uint32_t *used, uint64_t *cookie)
{
	for (;;) {
		ssize_t n = hc_getdents64(at->fd, scratch, scratch_size);

		if (n <= 0)
			return n < 0 ? (int)n : 1;
		for (ssize_t off = 0; off < n;) {
			const struct linux_dirent64 *d = (const void *)(scratch + off);

			if (!add_entry(s, at, d, data, used))
				return 0;
			*cookie = (uint64_t)d->d_off;
			off += d->d_reclen;
		}
	}
}

int host_readdir(const struct session *ss, const struct node *dir, uint64_t cookie, uint8_t *scratch,
		 size_t scratch_size, struct gofer_reply *p, uint8_t *data)
{
	struct node at = *dir;
	uint32_t used = 0;
	int ret = host_check_dir(dir, true);

	if (ret == -ENOENT) { /* sealed: it looks empty */
		p->flags = 1;
		p->data = data;
		return 0;
	}
	if (ret < 0)
		return ret;
	p->offset = cookie;
	at.fd = hc_openat(dir->fd, ".", O_RDONLY | O_DIRECTORY, 0);
	if (at.fd < 0)
		return at.fd;
	ret = cookie && hc_lseek(at.fd, (int64_t)cookie, SEEK_SET) < 0 ? -EINVAL : 0;
	if (ret == 0)
		ret = list(ss->server, &at, scratch, scratch_size, data, &used, &p->offset);
	hc_close(at.fd);
	if (ret < 0)
		return ret;
	p->flags = ret == 1;
	p->data = data;
	p->data_size = used;
	return 0;
}

/* As a node would be opened, without keeping one. */
static int open_child(const struct server *s, const struct node *dir, const char *path, uint64_t above,
		      struct node *child, struct gofer_attr *a)
{
	int ret;

	*child = (struct node){.root_flags = dir->root_flags};
	child->fd = hc_openat2(dir->fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0,
			       RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS);
	if (child->fd < 0)
		return child->fd;
	ret = host_stat_fd(s, child->fd, a);
	child->mode = a->mode;
	if (ret == 0 && a->dev != above && host_is_pseudo(child->fd))
		ret = -ENOENT;
	if (ret == 0)
		ret = host_check_dir(child, true);
	if (ret < 0)
		hc_close(child->fd);
	return ret;
}

int host_readdir_child(const struct session *ss, const struct node *dir, const char *path, uint64_t above,
		       uint8_t *scratch, size_t scratch_size, uint8_t *data, uint32_t *used)
{
	uint32_t end = *used + (uint32_t)GOFER_SECTION_HEAD;
	struct gofer_attr a;
	struct node child;
	uint64_t cookie;
	int ret;

	if (end > GOFER_DATA_MAX)
		return -EMSGSIZE;
	ret = open_child(ss->server, dir, path, above, &child, &a);
	if (ret < 0)
		return ret;
	ret = list(ss->server, &child, scratch, scratch_size, data, &end, &cookie);
	hc_close(child.fd);
	if (ret <= 0)
		return ret < 0 ? ret : -EMSGSIZE;
	gofer_section_put(data + *used, &a, end - *used - (uint32_t)GOFER_SECTION_HEAD);
	*used = end;
	return 0;
}

/* ---- extended attributes: of regular files and directories. Only "user." may be changed: the others are
 * orders to the host's own kernel (security.capability would make a program privileged on the host). */

static bool key_readable(const char *key)
{
	return strncmp(key, "user.", 5) == 0 || strcmp(key, "security.capability") == 0;
}

static bool key_writable(const char *key)
{
	return strncmp(key, "user.", 5) == 0;
}

static int open_for_xattr(const struct server *s, const struct node *n)
{
	if (S_ISREG(n->mode))
		return host_open(s, n, GOFER_OPEN_READ);
	if (S_ISDIR(n->mode)) {
		int ret = host_check_dir(n, true);

		return ret < 0 ? ret : hc_openat(n->fd, ".", O_RDONLY | O_DIRECTORY, 0);
	}
	return -ENODATA;
}

ssize_t host_getxattr(const struct server *s, const struct node *n, const char *key, void *buf, size_t size)
{
	ssize_t ret;
	int fd;

	if (!key_readable(key))
		return -ENODATA;
	fd = open_for_xattr(s, n);
	if (fd < 0)
		return fd;
	ret = hc_fgetxattr(fd, key, buf, size);
	hc_close(fd);
	return ret;
}

/* Keeps only the readable names; returns the new length. */
static ssize_t filter_keys(char *buf, ssize_t n)
{
	ssize_t kept = 0;

	for (ssize_t off = 0; off < n;) {
		size_t len = strnlen(buf + off, (size_t)(n - off));

		if ((ssize_t)len == n - off)
			break;
		if (key_readable(buf + off)) {
			memmove(buf + kept, buf + off, len + 1);
			kept += (ssize_t)len + 1;
		}
		off += (ssize_t)len + 1;
	}
	return kept;
}

ssize_t host_listxattr(const struct server *s, const struct node *n, char *buf, size_t size)
{
	int fd = open_for_xattr(s, n);
	ssize_t ret;

	if (fd < 0)
		return fd == -ENODATA ? 0 : fd;
	ret = hc_flistxattr(fd, buf, size);
	hc_close(fd);
	return ret < 0 ? ret : filter_keys(buf, ret);
}

int host_setxattr(const struct server *s, const struct node *n, const char *key, const void *data, size_t size,
		  int flags)
{
	int fd, ret;

	if (!key_writable(key))
		return -EOPNOTSUPP;
	fd = open_for_xattr(s, n);
	if (fd < 0)
		return fd == -ENODATA ? -EPERM : fd;
	ret = hc_fsetxattr(fd, key, data, size, flags);
	hc_close(fd);
	return ret;
}

int host_removexattr(const struct server *s, const struct node *n, const char *key)
{
	int fd, ret;

	if (!key_writable(key))
		return key_readable(key) ? -EPERM : -ENODATA;
	fd = open_for_xattr(s, n);
	if (fd < 0)
		return fd;
	ret = hc_fremovexattr(fd, key);
	hc_close(fd);
	return ret;
}

/* ---- sockets */

int host_connect(const struct server *s, const struct node *n, uint32_t type)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd, ret;

	if (!(n->root_flags & GOFER_ROOT_UDS) || n->sealed || s->proc_fd < 0)
		return -EACCES;
	if (!S_ISSOCK(n->mode))
		return -ECONNREFUSED;
	if (type != SOCK_STREAM && type != SOCK_DGRAM && type != SOCK_SEQPACKET)
		return -EINVAL;
	/* the very socket that was looked at */
	snprintf(sa.sun_path, sizeof(sa.sun_path), "/proc/self/fd/%d", n->fd);
	fd = hc_socket(AF_UNIX, (int)type | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fd;
	ret = hc_connect(fd, (const struct sockaddr *)&sa, sizeof(sa));
	if (ret < 0) {
		hc_close(fd);
		return ret;
	}
	return fd;
}
