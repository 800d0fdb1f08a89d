/* pipe_test.c: pipes and FIFOs as pipe(7) has them. */
#include <criterion/criterion.h>
#include <string.h>

#include "platform/abi/errno.h"
#include "platform/abi/fcntl.h"
#include "platform/base/arena.h"
#include "sentry/fs/pipe/pipe.h"
#include "sentry/fs/tmpfs/tmpfs.h"
#include "tests/harness/fsbox.h"

static struct fsbox box;

static void setup(void)
{
	struct super *s;

	fsbox_init(&box);
	box.v->fifo_open = pipe_fifo_open;
	cr_assert_eq(tmpfs_super_create(box.v, "t", NULL, false, &s), 0);
	fsbox_mount(&box, s);
}

TestSuite(pipe, .init = setup);

static ssize_t put(struct file *f, const void *p, size_t n)
{
	struct uio u;

	uio_init_kernel(&u, (void *)(uintptr_t)p, n);
	return file_write(f, &u);
}

static ssize_t get(struct file *f, void *p, size_t n)
{
	struct uio u;

	uio_init_kernel(&u, p, n);
	return file_read(f, &u);
}

static void make(struct file *p[2], uint32_t flags)
{
	cr_assert_eq(pipe_create(box.v, box.cred, flags, p), 0);
}

Test(pipe, bytes_go_through_in_order_and_end)
{
	struct file *p[2];
	char buf[16];

	make(p, 0);
	cr_assert_eq(p[0]->inode->ino, p[1]->inode->ino);
	cr_assert_eq(get(p[0], buf, 4), -EAGAIN);
	cr_assert_eq(put(p[1], "hello", 5), 5);
	cr_assert_eq(put(p[1], "world", 5), 5);
	cr_assert_eq(get(p[0], buf, 7), 7);
	cr_assert_eq(memcmp(buf, "hellowo", 7), 0);
	cr_assert_eq(put(p[0], "x", 1), -EBADF);
	cr_assert_eq(get(p[1], buf, 1), -EBADF);
	file_put(p[1]);
	cr_assert_eq(get(p[0], buf, 16), 3);
	cr_assert_eq(get(p[0], buf, 16), 0);
	file_put(p[0]);
}

Test(pipe, without_readers_a_write_fails)
{
	struct file *p[2];

	make(p, 0);
	cr_assert_eq(file_ready(p[1]), EV_OUT | EV_WRNORM);
	file_put(p[0]);
	cr_assert_eq(put(p[1], "x", 1), -EPIPE);
	cr_assert_eq(file_ready(p[1]), EV_OUT | EV_WRNORM | EV_ERR);
	file_put(p[1]);
}

Test(pipe, poll_bits)
{
	struct file *p[2];
	char c;

	make(p, 0);
	cr_assert_eq(file_ready(p[0]), 0);
	put(p[1], "x", 1);
	cr_assert_eq(file_ready(p[0]), EV_IN | EV_RDNORM);
	file_put(p[1]);
	cr_assert_eq(file_ready(p[0]), EV_IN | EV_RDNORM | EV_HUP);
	get(p[0], &c, 1);
	cr_assert_eq(file_ready(p[0]), EV_HUP);
	file_put(p[0]);
}

Test(pipe, small_writes_are_whole_or_not_at_all)
{
	struct file *p[2];
	char *big = kmalloc(65536), buf[4096];

	make(p, 0);
	cr_assert_eq(put(p[1], big, 65536 - 100), 65536 - 100);
	cr_assert_eq(file_ready(p[1]), 0);
	cr_assert_eq(put(p[1], big, 4096), -EAGAIN);
	cr_assert_eq(put(p[1], big, 5000), 100); /* a long one may be torn */
	cr_assert_eq(put(p[1], big, 1), -EAGAIN);
	cr_assert_eq(get(p[0], buf, 4095), 4095);
	cr_assert_eq(file_ready(p[1]), 0);
	cr_assert_eq(get(p[0], buf, 1), 1);
	cr_assert_eq(file_ready(p[1]), EV_OUT | EV_WRNORM);
	file_put(p[0]);
	file_put(p[1]);
}

Test(pipe, ring_wraps_and_grows_without_losing_bytes)
{
	struct file *p[2];
	uint8_t in[977], out[977], next = 0, want = 0;

	make(p, 0);
	for (int round = 0; round < 500; round++) {
		size_t n = (size_t)(round * 37 % 977) + 1;

		for (size_t i = 0; i < n; i++)
			in[i] = next++;
		cr_assert_eq(put(p[1], in, n), (ssize_t)n);
		if (round % 7 == 0)
			continue;
		n = (size_t)get(p[0], out, sizeof(out));
		for (size_t i = 0; i < n; i++)
			cr_assert_eq(out[i], want++);
	}
	file_put(p[0]);
	file_put(p[1]);
}

Test(pipe, packets_keep_their_edges)
{
	struct file *p[2];
	char buf[16];

	make(p, LINUX_O_DIRECT);
	cr_assert_eq(put(p[1], "abc", 3), 3);
	cr_assert_eq(put(p[1], "defgh", 5), 5);
	cr_assert_eq(get(p[0], buf, 16), 3);
	cr_assert_eq(get(p[0], buf, 2), 2); /* the rest of the packet is dropped */
	cr_assert_eq(get(p[0], buf, 16), -EAGAIN);
	for (int i = 0; i < 16; i++)
		cr_assert_eq(put(p[1], "x", 1), 1);
	cr_assert_eq(put(p[1], "x", 1), -EAGAIN); /* a slot each */
	file_put(p[0]);
	file_put(p[1]);
}

Test(pipe, size_can_change)
{
	struct file *p[2];
	char *big = kmalloc(1 << 20);

	make(p, 0);
	cr_assert_eq(pipe_get_size(p[0]), 65536);
	cr_assert_eq(pipe_set_size(p[0], 1, PIPE_MAX_SIZE), 4096);
	cr_assert_eq(put(p[1], big, 9000), 4096);
	cr_assert_eq(pipe_set_size(p[1], 1 << 20, PIPE_MAX_SIZE), 1 << 20);
	cr_assert_eq(put(p[1], big, 1 << 20), (1 << 20) - 4096);
	cr_assert_eq(pipe_set_size(p[1], 8192, PIPE_MAX_SIZE), -EBUSY);
	cr_assert_eq(pipe_set_size(p[1], 2 << 20, PIPE_MAX_SIZE), -EPERM);
	cr_assert_eq(pipe_set_size(p[1], 0, PIPE_MAX_SIZE), -EINVAL);
	file_put(p[0]);
	file_put(p[1]);
}

Test(pipe, all_pipes_together_have_a_limit)
{
	struct file *p[2], *more[70][2];

	make(p, 0);
	for (int i = 0; i < 70; i++) {
		make(more[i], 0);
		cr_assert_eq(pipe_set_size(more[i][0], 1 << 20, PIPE_MAX_SIZE), 1 << 20);
	}
	cr_assert_eq(box.v->pipe_pages, 16 + 70 * 256);
	box.v->pipe_pages += 65536 - 71 * 256;
	cr_assert_eq(pipe_set_size(p[0], 1 << 20, UINT64_MAX), 1 << 20);
	cr_assert_eq(pipe_set_size(p[0], 2 << 20, UINT64_MAX), -EPERM);
	cr_assert_eq(pipe_set_size(p[0], 4096, PIPE_MAX_SIZE), 4096);
	for (int i = 0; i < 70; i++) {
		file_put(more[i][0]);
		file_put(more[i][1]);
	}
	file_put(p[0]);
	file_put(p[1]);
	cr_assert_eq(box.v->pipe_pages, 65536 - 71 * 256);
	box.v->pipe_pages = 65536;
	make(p, 0);
	cr_assert_eq(pipe_get_size(p[0]), 8192);
	file_put(p[0]);
	file_put(p[1]);
	cr_assert_eq(box.v->pipe_pages, 65536);
}

Test(pipe, splice_and_tee_move_without_loss)
{
	struct file *a[2], *b[2];
	char bounce[64], buf[64];

	make(a, 0);
	make(b, 0);
	put(a[1], "0123456789", 10);
	cr_assert_eq(pipe_tee(a[0], b[1], 4, false), 4);
	cr_assert_eq(pipe_tee(a[0], b[1], 3, true), 3);
	cr_assert_eq(pipe_tee(a[0], a[1], 3, true), -EINVAL);
	cr_assert_eq(get(a[0], buf, 64), 7);
	cr_assert_eq(memcmp(buf, "3456789", 7), 0);
	cr_assert_eq(get(b[0], buf, 64), 7);
	cr_assert_eq(memcmp(buf, "0123012", 7), 0);
	cr_assert_eq(pipe_splice_in(b[1], a[0], NULL, 64, bounce, sizeof(bounce)), -EAGAIN);
	put(a[1], "xyz", 3);
	cr_assert_eq(pipe_splice_out(a[0], b[1], NULL, 64, bounce, sizeof(bounce)), 3);
	cr_assert_eq(get(b[0], buf, 64), 3);
	for (int i = 0; i < 2; i++) {
		file_put(a[i]);
		file_put(b[i]);
	}
}

Test(pipe, fifo_open_waits_for_the_other_end)
{
	struct file *r, *w;
	char c;

	cr_assert_eq(vfs_mknod(&box.at, "/f", 0010644, 0), 0);
	cr_assert_eq(fsbox_open(&box, "/f", LINUX_O_WRONLY | LINUX_O_NONBLOCK, &w), -ENXIO);
	cr_assert_eq(fsbox_open(&box, "/f", LINUX_O_RDONLY, &r), 0);
	cr_assert_eq(r->ops->open_ready(r), -EAGAIN);
	cr_assert_eq(fsbox_open(&box, "/f", LINUX_O_WRONLY, &w), 0);
	cr_assert_eq(w->ops->open_ready(w), 0);
	cr_assert_eq(r->ops->open_ready(r), 0);
	file_put(w);
	cr_assert_eq(r->ops->open_ready(r), 0); /* it was there */
	cr_assert_eq(get(r, &c, 1), 0);
	cr_assert_eq(file_ready(r), EV_HUP);
	file_put(r);
	cr_assert_eq(fsbox_open(&box, "/f", LINUX_O_RDONLY | LINUX_O_NONBLOCK, &r), 0);
	cr_assert_eq(file_ready(r), 0); /* nobody has hung up yet */
	file_put(r);
}

Test(pipe, reopened_through_its_path)
{
	struct file *p[2], *again;
	char c;

	make(p, 0);
	cr_assert_eq(vfs_open_path(&p[0]->path, LINUX_O_WRONLY, box.cred, &again), 0);
	file_put(p[1]);
	cr_assert_eq(put(again, "x", 1), 1);
	cr_assert_eq(get(p[0], &c, 1), 1);
	file_put(again);
	cr_assert_eq(get(p[0], &c, 1), 0);
	file_put(p[0]);
}
