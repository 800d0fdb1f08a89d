/* sys_read_write.c: read(2), write(2) and their vector and positioned forms, lseek(2). The short way allocates
 * nothing: the uio lies on the stack. */
#include "sentry/syscalls/internal.h"

/* As access_ok before the operation: a bad descriptor is reported first. */
static int64_t bad_buffer(struct file *f, bool write)
{
	return (write ? FILE_CAN_WRITE(f) : FILE_CAN_READ(f)) ? -EFAULT : -EBADF;
}

static bool appends(const struct file *f, const struct uio *u)
{
	return u->append || (f->flags & LINUX_O_APPEND);
}

static int64_t do_write(struct task *t, struct file *f, struct uio *u)
{
	int ret;

	if (FILE_CAN_WRITE(f)) {
		ret = write_limit(t, f, u,
				  appends(f, u) ? WRITE_APPEND : __atomic_load_n(&f->pos, __ATOMIC_RELAXED));
		if (ret < 0)
			return ret;
	}
	return file_write_block(t, f, u);
}

static int64_t do_pwrite(struct task *t, struct file *f, struct uio *u, uint64_t pos)
{
	int ret;

	if (FILE_CAN_WRITE(f)) {
		ret = write_limit(t, f, u, appends(f, u) ? WRITE_APPEND : pos);
		if (ret < 0)
			return ret;
	}
	return file_pwrite_block(t, f, u, pos);
}

int64_t sys_read(struct task *t, const struct sysargs *a)
{
	struct file *f = sys_file(t, arg_int(a, 0));
	struct usermem um;
	struct uio u;
	int64_t ret;

	if (!f)
		return -EBADF;
	if (UNLIKELY(!access_ok(arg_addr(a, 1), arg_u64(a, 2)))) {
		ret = bad_buffer(f, false);
	} else {
		um = task_usermem(t);
		uio_init_user(&u, &um, arg_addr(a, 1), MIN(arg_u64(a, 2), UIO_MAX_RW));
		ret = file_read_block(t, f, &u);
		if (ret > 0)
			task_used_file(t, arg_int(a, 0), f, false, __atomic_load_n(&f->pos, __ATOMIC_RELAXED),
				       (uint64_t)ret < arg_u64(a, 2));
	}
	file_put(f);
	return ret;
}

int64_t sys_write(struct task *t, const struct sysargs *a)
{
	struct file *f = sys_file(t, arg_int(a, 0));
	struct usermem um;
	struct uio u;
	int64_t ret;

	if (!f)
		return -EBADF;
	if (UNLIKELY(!access_ok(arg_addr(a, 1), arg_u64(a, 2)))) {
		ret = bad_buffer(f, true);
	} else {
		um = task_usermem(t);
		uio_init_user(&u, &um, arg_addr(a, 1), MIN(arg_u64(a, 2), UIO_MAX_RW));
		ret = do_write(t, f, &u);
		if (ret > 0)
			task_used_file(t, arg_int(a, 0), f, true, 0, false);
	}
	file_put(f);
	return ret;
}

/* pos < 0 was refused; a file without a position is -ESPIPE. */
static int check_positioned(struct file *f)
{
	return f->ops->seekable ? 0 : -ESPIPE;
}

int64_t sys_pread64(struct task *t, const struct sysargs *a)
{
	struct usermem um;
	struct uio u;
	struct file *f;
	int64_t ret;

	if (arg_i64(a, 3) < 0)
		return -EINVAL;
	f = sys_file(t, arg_int(a, 0));
	if (!f)
		return -EBADF;
	ret = check_positioned(f);
	if (ret == 0 && !access_ok(arg_addr(a, 1), arg_u64(a, 2)))
		ret = bad_buffer(f, false);
	if (ret == 0) {
		um = task_usermem(t);
		uio_init_user(&u, &um, arg_addr(a, 1), MIN(arg_u64(a, 2), UIO_MAX_RW));
		ret = file_pread_block(t, f, &u, arg_u64(a, 3));
		if (ret > 0)
			task_used_file(t, arg_int(a, 0), f, false, arg_u64(a, 3) + (uint64_t)ret, false);
	}
	file_put(f);
	return ret;
}

int64_t sys_pwrite64(struct task *t, const struct sysargs *a)
{
	struct usermem um;
	struct uio u;
	struct file *f;
	int64_t ret;

	if (arg_i64(a, 3) < 0)
		return -EINVAL;
	f = sys_file(t, arg_int(a, 0));
	if (!f)
		return -EBADF;
	ret = check_positioned(f);
	if (ret == 0 && !access_ok(arg_addr(a, 1), arg_u64(a, 2)))
		ret = bad_buffer(f, true);
	if (ret == 0) {
		um = task_usermem(t);
		uio_init_user(&u, &um, arg_addr(a, 1), MIN(arg_u64(a, 2), UIO_MAX_RW));
		ret = do_pwrite(t, f, &u, arg_u64(a, 3));
	}
	file_put(f);
	return ret;
}

/* One vector call; pos -1: at the file's position. */
static int64_t vector_io(struct task *t, int fd, uaddr_t vec, uint64_t count, int64_t pos, uint32_t rwf,
			 bool write)
{
	struct file *f = sys_file(t, fd);
	struct usermem um = task_usermem(t);
	struct iov_buf b;
	struct uio u;
	int64_t ret;

	if (!f)
		return -EBADF;
	ret = pos == -1 ? 0 : check_positioned(f);
	if (ret == 0 && !(write ? FILE_CAN_WRITE(f) : FILE_CAN_READ(f)))
		ret = -EBADF;
	if (ret == 0)
		ret = iov_import(t, vec, count, &b);
	if (ret < 0)
		goto out;
	uio_init_iov(&u, &um, b.v, b.count);
	u.nowait = rwf & LINUX_RWF_NOWAIT;
	u.append = rwf & LINUX_RWF_APPEND;
	u.dsync = rwf & (LINUX_RWF_DSYNC | LINUX_RWF_SYNC);
	if (write)
		ret = pos == -1 ? do_write(t, f, &u) : do_pwrite(t, f, &u, (uint64_t)pos);
	else
		ret = pos == -1 ? file_read_block(t, f, &u) : file_pread_block(t, f, &u, (uint64_t)pos);
	iov_release(&b);
out:
	file_put(f);
	return ret;
}

int64_t sys_readv(struct task *t, const struct sysargs *a)
{
	return vector_io(t, arg_int(a, 0), arg_addr(a, 1), arg_u64(a, 2), -1, 0, false);
}

int64_t sys_writev(struct task *t, const struct sysargs *a)
{
	return vector_io(t, arg_int(a, 0), arg_addr(a, 1), arg_u64(a, 2), -1, 0, true);
}

int64_t sys_preadv(struct task *t, const struct sysargs *a)
{
	if (arg_i64(a, 3) < 0)
		return -EINVAL;
	return vector_io(t, arg_int(a, 0), arg_addr(a, 1), arg_u64(a, 2), arg_i64(a, 3), 0, false);
}

int64_t sys_pwritev(struct task *t, const struct sysargs *a)
{
	if (arg_i64(a, 3) < 0)
		return -EINVAL;
	return vector_io(t, arg_int(a, 0), arg_addr(a, 1), arg_u64(a, 2), arg_i64(a, 3), 0, true);
}

#define RWF_KNOWN (LINUX_RWF_HIPRI | LINUX_RWF_DSYNC | LINUX_RWF_SYNC | LINUX_RWF_NOWAIT | LINUX_RWF_APPEND)

static int64_t vector_io2(struct task *t, const struct sysargs *a, bool write)
{
	uint32_t rwf = arg_u32(a, 5);
	int64_t pos = arg_i64(a, 3);

	if (pos < -1)
		return -EINVAL;
	if (rwf & ~(uint32_t)RWF_KNOWN)
		return -EOPNOTSUPP;
	if (!write && (rwf & LINUX_RWF_APPEND))
		return -EOPNOTSUPP;
	return vector_io(t, arg_int(a, 0), arg_addr(a, 1), arg_u64(a, 2), pos, rwf, write);
}

int64_t sys_preadv2(struct task *t, const struct sysargs *a)
{
	return vector_io2(t, a, false);
}

int64_t sys_pwritev2(struct task *t, const struct sysargs *a)
{
	return vector_io2(t, a, true);
}

int64_t sys_lseek(struct task *t, const struct sysargs *a)
{
	uint32_t whence = arg_u32(a, 2);
	struct file *f = sys_file(t, arg_int(a, 0));
	int64_t ret;

	if (!f)
		return -EBADF;
	if (whence > LINUX_SEEK_HOLE)
		ret = -EINVAL;
	else
		ret = file_seek(f, arg_i64(a, 1), (int)whence);
	file_put(f);
	return ret;
}
