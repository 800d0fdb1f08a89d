/* mem.c: /dev/null, zero, full, random and urandom. */
#include "platform/abi/errno.h"
#include "platform/base/random.h"
#include "sentry/fs/dev/internal.h"

#define RNDGETENTCNT   0x80045200u
#define RNDADDTOENTCNT 0x40045201u
#define RNDRESEEDCRNG  0x5207u

static ssize_t null_read(struct file *f, struct uio *dst, uint64_t *pos)
{
	(void)f, (void)dst, (void)pos;
	return 0;
}

static ssize_t null_write(struct file *f, struct uio *src, uint64_t *pos)
{
	size_t n = src->resid;

	(void)f, (void)pos;
	uio_skip(src, n);
	return (ssize_t)n;
}

static int64_t dev_seek(struct file *f, int64_t off, int whence)
{
	(void)off, (void)whence;
	f->pos = 0;
	return 0;
}

static ssize_t zero_read(struct file *f, struct uio *dst, uint64_t *pos)
{
	(void)f, (void)pos;
	return dst->resid ? uio_put_zeros(dst, dst->resid) : 0;
}

static ssize_t full_write(struct file *f, struct uio *src, uint64_t *pos)
{
	(void)f, (void)src, (void)pos;
	return -ENOSPC;
}

static ssize_t random_read(struct file *f, struct uio *dst, uint64_t *pos)
{
	uint8_t buf[512];
	ssize_t total = 0;

	(void)f, (void)pos;
	while (dst->resid) {
		size_t n = MIN(dst->resid, sizeof(buf));
		ssize_t put;

		random_bytes(buf, n);
		put = uio_put(dst, buf, n);
		if (put < 0)
			return total ? total : put;
		total += put;
		if ((size_t)put < n)
			break;
	}
	return total;
}

static int64_t random_ioctl(struct file *f, uint32_t cmd, uint64_t arg, const struct usermem *um,
			    const struct cred *cred)
{
	int32_t bits = 256;

	(void)f, (void)cred;
	switch (cmd) {
	case RNDGETENTCNT:
		return usermem_out(um, arg, &bits, sizeof(bits));
	case RNDADDTOENTCNT:
	case RNDRESEEDCRNG:
		return -EPERM; /* the pool is the host's */
	default:
		return -EINVAL;
	}
}

static const struct file_ops null_ops = {
	.read = null_read, .write = null_write, .seek = dev_seek, .seekable = true, .discards = true};
static const struct file_ops zero_ops = {
	.read = zero_read, .write = null_write, .seek = dev_seek, .seekable = true, .map_anon = true};
static const struct file_ops full_ops = {
	.read = zero_read, .write = full_write, .seek = dev_seek, .seekable = true};
static const struct file_ops random_ops = {
	.read = random_read, .write = null_write, .seek = dev_seek, .ioctl = random_ioctl, .seekable = true};

static int mem_open(struct inode *inode, struct file *f)
{
	switch (dev_minor(inode->rdev)) {
	case 3:
		f->ops = &null_ops;
		return 0;
	case 5:
		f->ops = &zero_ops;
		return 0;
	case 7:
		f->ops = &full_ops;
		return 0;
	case 8:
	case 9:
		f->ops = &random_ops;
		return 0;
	default:
		return -ENXIO;
	}
}

void dev_mem_register(struct vfs *v)
{
	vfs_register_chrdev(v, 1, 3, 9, mem_open);
}
