/* net_files.c: the files that go with a network: /etc/resolv.conf and /etc/hosts, as sbx wrote them. In a root
 * that takes changes in memory they replace what is there; over one that doesn't (read-only, or an engine's)
 * they are mounted. */
#include <string.h>

#include "platform/abi/fcntl.h"
#include "platform/abi/misc.h"
#include "platform/base/log.h"
#include "sentry/boot/boot.h"
#include "sentry/vfs/file.h"
#include "sentry/vfs/uio.h"
#include "sentry/vfs/vfs.h"

#define SCRATCH "/dev/.sbx-net"

static int write_file(const struct vfs_at *at, const char *path, const char *text)
{
	struct file *f;
	struct uio u;
	ssize_t n;
	int ret;

	(void)!vfs_unlink(at, path);
	ret = vfs_open(at, path, LINUX_O_WRONLY | LINUX_O_CREAT | LINUX_O_EXCL, 0644, 0, &f);
	if (ret < 0)
		return ret;
	uio_init_kernel(&u, (void *)(uintptr_t)text, strlen(text));
	n = file_write(f, &u);
	file_put(f);
	return n < 0 ? (int)n : u.resid ? -ENOSPC : 0;
}

static int mount_file(const struct vfs_at *at, const char *path, const char *text)
{
	int ret = write_file(at, SCRATCH, text);

	if (ret == 0)
		ret = vfs_mount(at, SCRATCH, path, NULL, LINUX_MS_BIND, NULL);
	(void)!vfs_unlink(at, SCRATCH); /* what is mounted stays */
	return ret;
}

void boot_net_files(struct boot *b, const struct vfs_at *at)
{
	bool mount = config_get_u64(&b->config, "oci", 0) ||
		     strcmp(config_get(&b->config, "root-flags", ""), "ro") == 0;
	size_t pos = 0;
	const char *v;

	while ((v = config_next(&b->config, "net-file", &pos))) {
		const char *text = strchr(v, ':');
		char *path = text ? kstrndup(v, (size_t)(text - v)) : NULL;
		int ret;

		if (!path)
			boot_fail(b, 125, "bad configuration: net-file=%s", v);
		ret = mount ? mount_file(at, path, text + 1) : write_file(at, path, text + 1);
		if (ret < 0)
			log_warn("%s stays as it is: %s", path, strerror(-ret));
		kfree(path);
	}
}
