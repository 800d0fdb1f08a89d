/* sys_splice.c: moving data between descriptors: splice(2), tee(2), vmsplice(2), sendfile(2),
 * copy_file_range(2). The pipe room tries once; the waiting is done here. */
#include "sentry/fs/pipe/pipe.h"
#include "sentry/syscalls/internal.h"

#define SPLICE_KNOWN (LINUX_SPLICE_F_MOVE | LINUX_SPLICE_F_NONBLOCK | LINUX_SPLICE_F_MORE | LINUX_SPLICE_F_GIFT)

enum splice_kind {
	SPLICE_FILL,  /* file to pipe */
	SPLICE_DRAIN, /* pipe to file */
	SPLICE_PIPES,
	SPLICE_TEE,
};

struct splice_op {
	enum splice_kind kind;
	struct file *in, *out;
	uint64_t *off_in, *off_out;
	uint64_t count;
	void *bounce;
};

static ssize_t splice_try(const struct splice_op *o)
{
	switch (o->kind) {
	case SPLICE_FILL:
		return pipe_splice_in(o->out, o->in, o->off_in, o->count, o->bounce, TASK_BOUNCE_SIZE);
	case SPLICE_DRAIN:
		return pipe_splice_out(o->in, o->out, o->off_out, o->count, o->bounce, TASK_BOUNCE_SIZE);
	default:
		return pipe_tee(o->in, o->out, o->count, o->kind == SPLICE_PIPES);
	}
}

static ssize_t splice_block(struct task *t, const struct splice_op *o, bool nonblock)
{
	struct waiter in, out;
	ssize_t n = splice_try(o);
	int ret;

	if (n == -EAGAIN && !nonblock) {
		task_waiter(t, &in, EV_IN | EV_RDNORM | EV_HUP | EV_ERR);
		task_waiter(t, &out, EV_OUT | EV_WRNORM | EV_HUP | EV_ERR);
		if (o->in->wq)
			waitq_add(o->in->wq, &in);
		if (o->out->wq)
			waitq_add(o->out->wq, &out);
		while ((n = splice_try(o)) == -EAGAIN) {
			ret = task_block(t, 0);
			if (ret < 0) {
				n = ret;
				break;
			}
		}
		if (o->out->wq)
			waitq_del(o->out->wq, &out);
		if (o->in->wq)
			waitq_del(o->in->wq, &in);
	}
	if (n == -EPIPE)
		(void)signal_send_task(t, LINUX_SIGPIPE, NULL);
	return n;
}

/* An offset argument: not for pipes and the like. */
static int get_offset(struct task *t, struct file *f, uaddr_t src, uint64_t *off)
{
	int ret;

	if (!f->ops->seekable)
		return -ESPIPE;
	ret = copy_from_user(t, off, src, sizeof(*off));
	if (ret < 0)
		return ret;
	return (int64_t)*off < 0 ? -EINVAL : 0;
}

/* RLIMIT_FSIZE and the largest offset for count bytes into f at pos. */
static int limit_count(struct task *t, struct file *f, uint64_t pos, uint64_t *count)
{
	struct uio u = {.resid = *count};
	int ret = write_limit(t, f, &u, pos);

	*count = u.resid;
	return ret;
}

static int64_t do_splice(struct task *t, struct splice_op *o, uaddr_t uoff_in, uaddr_t uoff_out, uint32_t flags)
{
	bool pipe_in = file_is_pipe(o->in), pipe_out = file_is_pipe(o->out);
	bool nonblock = flags & LINUX_SPLICE_F_NONBLOCK;
	uint64_t off_in, off_out;
	ssize_t n;
	int ret = 0;

	if (!FILE_CAN_READ(o->in) || !FILE_CAN_WRITE(o->out))
		return -EBADF;
	if ((pipe_in && uoff_in) || (pipe_out && uoff_out))
		return -ESPIPE;
	if (!pipe_in && !pipe_out)
		return -EINVAL;
	if (uoff_in) {
		ret = get_offset(t, o->in, uoff_in, &off_in);
		o->off_in = &off_in;
	} else if (uoff_out) {
		ret = get_offset(t, o->out, uoff_out, &off_out);
		o->off_out = &off_out;
	}
	if (ret < 0)
		return ret;
	if (!pipe_out && (o->out->flags & LINUX_O_APPEND))
		return -EINVAL;
	if (pipe_in && pipe_out) {
		o->kind = SPLICE_PIPES;
		nonblock |= (o->in->flags | o->out->flags) & LINUX_O_NONBLOCK;
	} else if (pipe_in) {
		o->kind = SPLICE_DRAIN;
		nonblock |= (o->in->flags | o->out->flags) & LINUX_O_NONBLOCK;
		ret = limit_count(t, o->out, uoff_out ? off_out : o->out->pos, &o->count);
		if (ret < 0)
			return ret;
	} else {
		o->kind = SPLICE_FILL;
		nonblock |= (o->in->flags | o->out->flags) & LINUX_O_NONBLOCK;
	}
	n = splice_block(t, o, nonblock);
	if (n > 0 && uoff_in)
		ret = copy_to_user(t, uoff_in, &off_in, sizeof(off_in));
	else if (n > 0 && uoff_out)
		ret = copy_to_user(t, uoff_out, &off_out, sizeof(off_out));
	return ret < 0 ? ret : n;
}

/* Both descriptors, or -EBADF. */
static int get_both(struct task *t, int fd_in, int fd_out, struct file **in, struct file **out)
{
	*in = sys_file(t, fd_in);
	*out = sys_file(t, fd_out);
	if (*in && *out)
		return 0;
	if (*in)
		file_put(*in);
	if (*out)
		file_put(*out);
	return -EBADF;
}

int64_t sys_splice(struct task *t, const struct sysargs *a)
{
	struct splice_op o = {.count = MIN(arg_u64(a, 4), UIO_MAX_RW), .bounce = task_bounce(t)};
	uint32_t flags = arg_u32(a, 5);
	int64_t ret;

	if (o.count == 0)
		return 0;
	if (flags & ~(uint32_t)SPLICE_KNOWN)
		return -EINVAL;
	if (!o.bounce)
		return -ENOMEM;
	ret = get_both(t, arg_int(a, 0), arg_int(a, 2), &o.in, &o.out);
	if (ret < 0)
		return ret;
	ret = do_splice(t, &o, arg_addr(a, 1), arg_addr(a, 3), flags);
	file_put(o.out);
	file_put(o.in);
	return ret;
}

int64_t sys_tee(struct task *t, const struct sysargs *a)
{
	struct splice_op o = {.kind = SPLICE_TEE, .count = MIN(arg_u64(a, 2), UIO_MAX_RW)};
	uint32_t flags = arg_u32(a, 3);
	int64_t ret;

	if (flags & ~(uint32_t)SPLICE_KNOWN)
		return -EINVAL;
	if (o.count == 0)
		return 0;
	ret = get_both(t, arg_int(a, 0), arg_int(a, 1), &o.in, &o.out);
	if (ret < 0)
		return ret;
	if (!FILE_CAN_READ(o.in) || !FILE_CAN_WRITE(o.out))
		ret = -EBADF;
	else if (!file_is_pipe(o.in) || !file_is_pipe(o.out))
		ret = -EINVAL;
	else
		ret = splice_block(t, &o,
				   (flags & LINUX_SPLICE_F_NONBLOCK) ||
					   ((o.in->flags | o.out->flags) & LINUX_O_NONBLOCK));
	file_put(o.out);
	file_put(o.in);
	return ret;
}

/* Pages aren't gifted: the bytes are copied, which a guest can't tell but by changing them too early. */
int64_t sys_vmsplice(struct task *t, const struct sysargs *a)
{
	struct usermem um = task_usermem(t);
	uint32_t flags = arg_u32(a, 3);
	struct iov_buf b;
	struct file *f;
	struct uio u;
	int64_t ret;

	if (flags & ~(uint32_t)SPLICE_KNOWN)
		return -EINVAL;
	f = sys_file(t, arg_int(a, 0));
	if (!f)
		return -EBADF;
	ret = file_is_pipe(f) ? 0 : -EBADF;
	if (ret == 0)
		ret = iov_import(t, arg_addr(a, 1), arg_u64(a, 2), &b);
	if (ret < 0)
		goto out;
	uio_init_iov(&u, &um, b.v, b.count);
	u.nowait = flags & LINUX_SPLICE_F_NONBLOCK;
	if (u.resid)
		ret = FILE_CAN_WRITE(f) ? file_write_block(t, f, &u) : file_read_block(t, f, &u);
	iov_release(&b);
out:
	file_put(f);
	return ret;
}

/* From a file with positions: what the output didn't take is read again the next time. */
static ssize_t send_loop(struct task *t, struct file *in, uint64_t *pos, struct file *out, uint64_t count)
{
	char *buf = task_bounce(t);
	uint64_t done = 0;
	ssize_t n = 0, w;
	struct uio u;

	if (!buf)
		return -ENOMEM;
	while (done < count) {
		size_t want = MIN(count - done, (uint64_t)TASK_BOUNCE_SIZE);

		uio_init_kernel(&u, buf, want);
		n = file_pread_block(t, in, &u, *pos);
		if (n <= 0)
			break;
		uio_init_kernel(&u, buf, (size_t)n);
		w = file_write_block(t, out, &u);
		if (w > 0) {
			*pos += (uint64_t)w;
			done += (uint64_t)w;
		}
		if (w < n) {
			n = w;
			break;
		}
	}
	return done ? (ssize_t)done : n;
}

static int64_t do_sendfile(struct task *t, struct file *in, struct file *out, uaddr_t uoff, uint64_t count)
{
	uint64_t pos = __atomic_load_n(&in->pos, __ATOMIC_RELAXED);
	ssize_t n;
	int ret;

	if (!FILE_CAN_READ(in) || !FILE_CAN_WRITE(out))
		return -EBADF;
	if (uoff) {
		ret = get_offset(t, in, uoff, &pos);
		if (ret < 0)
			return ret;
	}
	if ((out->flags & LINUX_O_APPEND) || inode_is(in->inode, LINUX_S_IFDIR))
		return -EINVAL;
	ret = limit_count(t, out, out->pos, &count);
	if (ret < 0)
		return ret;
	if (!in->ops->seekable) {
		struct splice_op o = {
			.kind = SPLICE_DRAIN, .in = in, .out = out, .count = count, .bounce = task_bounce(t)};

		if (!o.bounce)
			return -ENOMEM;
		if (file_is_pipe(in) && count)
			return splice_block(t, &o, (in->flags | out->flags) & LINUX_O_NONBLOCK);
		return -EINVAL;
	}
	n = send_loop(t, in, &pos, out, count);
	if (n < 0)
		return n;
	if (uoff) {
		ret = copy_to_user(t, uoff, &pos, sizeof(pos));
		return ret < 0 ? ret : n;
	}
	if (n > 0) {
		int64_t sought = file_seek(in, (int64_t)pos, LINUX_SEEK_SET);

		if (sought < 0)
			return sought;
	}
	return n;
}

int64_t sys_sendfile(struct task *t, const struct sysargs *a)
{
	struct file *in, *out;
	int64_t ret = get_both(t, arg_int(a, 1), arg_int(a, 0), &in, &out);

	if (ret < 0)
		return ret;
	ret = (int64_t)arg_u64(a, 3) < 0
		      ? -EINVAL
		      : do_sendfile(t, in, out, arg_addr(a, 2), MIN(arg_u64(a, 3), UIO_MAX_RW));
	file_put(out);
	file_put(in);
	return ret;
}

static int copy_range_check(struct file *in, uint64_t off_in, struct file *out, uint64_t off_out,
			    uint64_t *count)
{
	uint64_t size, end;

	if (inode_is(in->inode, LINUX_S_IFDIR) || inode_is(out->inode, LINUX_S_IFDIR))
		return -EISDIR;
	if (!inode_is(in->inode, LINUX_S_IFREG) || !inode_is(out->inode, LINUX_S_IFREG))
		return -EINVAL;
	if (!FILE_CAN_READ(in) || !FILE_CAN_WRITE(out) || (out->flags & LINUX_O_APPEND))
		return -EBADF;
	if (add_overflows(off_in, *count, &end) || end > INT64_MAX || add_overflows(off_out, *count, &end) ||
	    end > INT64_MAX)
		return -EOVERFLOW;
	size = sys_file_size(in);
	if (off_in >= size)
		*count = 0;
	else
		*count = MIN(*count, size - off_in);
	if (in->inode == out->inode && off_in < off_out + *count && off_out < off_in + *count)
		return -EINVAL;
	return 0;
}

static int64_t do_copy_range(struct task *t, struct file *in, uaddr_t uin, struct file *out, uaddr_t uout,
			     uint64_t count)
{
	uint64_t off_in = in->pos, off_out = out->pos;
	int64_t n;
	int ret = 0;

	if (uin)
		ret = get_offset(t, in, uin, &off_in);
	if (ret == 0 && uout)
		ret = get_offset(t, out, uout, &off_out);
	if (ret == 0)
		ret = copy_range_check(in, off_in, out, off_out, &count);
	if (ret == 0 && count)
		ret = limit_count(t, out, off_out, &count);
	if (ret < 0 || count == 0)
		return ret;
	n = file_copy_range(in, &off_in, out, &off_out, MIN(count, UIO_MAX_RW));
	if (n <= 0)
		return n;
	if (uin)
		ret = copy_to_user(t, uin, &off_in, sizeof(off_in));
	else if (file_seek(in, (int64_t)off_in, LINUX_SEEK_SET) < 0)
		ret = -EIO;
	if (ret == 0 && uout)
		ret = copy_to_user(t, uout, &off_out, sizeof(off_out));
	else if (ret == 0 && file_seek(out, (int64_t)off_out, LINUX_SEEK_SET) < 0)
		ret = -EIO;
	return ret < 0 ? ret : n;
}

int64_t sys_copy_file_range(struct task *t, const struct sysargs *a)
{
	struct file *in, *out;
	int64_t ret;

	if (arg_u32(a, 5) != 0)
		return -EINVAL;
	ret = get_both(t, arg_int(a, 0), arg_int(a, 2), &in, &out);
	if (ret < 0)
		return ret;
	ret = do_copy_range(t, in, arg_addr(a, 1), out, arg_addr(a, 3), arg_u64(a, 4));
	file_put(out);
	file_put(in);
	return ret;
}
