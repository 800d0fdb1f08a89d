/* lock_test.c: record locks, their splits and merges against a byte map, flock, deadlocks. */
#include "sentry/fs/tmpfs/testing.h"

static struct file *f, *g;

static void setup(void)
{
	world_setup();
	OK(t_open(&w.at, "/f", LINUX_O_CREAT | LINUX_O_RDWR, 0644, &f));
	OK(t_open(&w.at, "/f", LINUX_O_RDWR, 0, &g));
}

TestSuite(locks, .init = setup);

static int set(struct file *file, void *owner, int type, int64_t start, int64_t len)
{
	struct linux_flock fl = {.l_type = (int16_t)type, .l_start = start, .l_len = len};

	return vfs_posix_lock(file, owner, 1, false, &fl);
}

static int get(void *owner, int64_t start, int64_t len, struct linux_flock *fl)
{
	*fl = (struct linux_flock){.l_type = LINUX_F_WRLCK, .l_start = start, .l_len = len};
	return vfs_posix_getlk(f, owner, false, fl);
}

Test(locks, conflicts)
{
	struct linux_flock fl;
	int a, b;

	OK(set(f, &a, LINUX_F_RDLCK, 0, 10));
	OK(set(f, &b, LINUX_F_RDLCK, 5, 10));
	ERR(set(f, &b, LINUX_F_WRLCK, 5, 10), EAGAIN);
	OK(set(f, &b, LINUX_F_WRLCK, 10, 5));
	OK(get(&b, 0, 100, &fl));
	cr_assert(fl.l_type == LINUX_F_RDLCK && fl.l_start == 0 && fl.l_len == 10 && fl.l_pid == 1);
	OK(get(&b, 10, 0, &fl));
	cr_assert_eq(fl.l_type, LINUX_F_UNLCK);
	vfs_locks_release(f, &a);
	OK(set(f, &b, LINUX_F_WRLCK, 0, 0));
	OK(get(&a, 1000, 1, &fl));
	cr_assert(fl.l_type == LINUX_F_WRLCK && fl.l_start == 0 && fl.l_len == 0);
	ERR(set(f, &a, LINUX_F_WRLCK, -1, 1), EINVAL);
	ERR(set(f, &a, 77, 0, 1), EINVAL);
	ERR(set(f, &a, LINUX_F_WRLCK, INT64_MAX, 2), EOVERFLOW);
}

Test(locks, ranges_follow_a_model)
{
	uint8_t model[2][64] = {{0}};
	int owners[2];
	uint32_t s = 11;

	for (int i = 0; i < 20000; i++) {
		uint32_t who, start, len, type;
		bool conflict = false;
		int ret;

		s = s * 1664525u + 1013904223u;
		who = s >> 31;
		start = (s >> 8) % 64;
		len = 1 + (s >> 16) % (64 - start);
		type = (s >> 24) % 3;
		for (uint32_t k = start; k < start + len && type != LINUX_F_UNLCK; k++) {
			uint8_t other = model[!who][k];

			conflict |= other == 2 || (other == 1 && type == LINUX_F_WRLCK);
		}
		ret = set(f, &owners[who], (int)type, start, len);
		cr_assert_eq(ret, conflict ? -EAGAIN : 0);
		if (!conflict)
			memset(model[who] + start,
			       type == LINUX_F_UNLCK   ? 0
			       : type == LINUX_F_RDLCK ? 1
						       : 2,
			       len);
		for (uint32_t k = 0; k < 64; k++) {
			struct linux_flock fl;

			if (i % 50)
				break;
			OK(get(&owners[0], k, 1, &fl));
			cr_assert_eq(fl.l_type, model[1][k] == 0   ? LINUX_F_UNLCK
						: model[1][k] == 1 ? LINUX_F_RDLCK
								   : LINUX_F_WRLCK);
		}
	}
}

Test(locks, ofd_belongs_to_the_file)
{
	struct linux_flock fl = {.l_type = LINUX_F_WRLCK};
	int a;

	OK(vfs_posix_lock(f, &a, -1, true, &fl));
	ERR(vfs_posix_lock(g, &a, -1, true, &fl), EAGAIN);
	ERR(set(g, &a, LINUX_F_RDLCK, 0, 1), EAGAIN);
	OK(vfs_posix_getlk(g, &a, true, &fl));
	cr_assert_eq(fl.l_pid, -1);
	file_put(f);
	OK(set(g, &a, LINUX_F_RDLCK, 0, 1));
}

Test(locks, deadlock)
{
	struct linux_flock fl = {.l_type = LINUX_F_WRLCK, .l_start = 1, .l_len = 1};
	struct lock_wait wa, wb;
	int a, b;

	OK(set(f, &a, LINUX_F_WRLCK, 0, 1));
	OK(set(f, &b, LINUX_F_WRLCK, 1, 1));
	OK(vfs_posix_wait_begin(f, &a, &fl, &wa));
	fl.l_start = 0;
	ERR(vfs_posix_wait_begin(f, &b, &fl, &wb), EDEADLK);
	vfs_posix_wait_end(f, &wa);
	OK(vfs_posix_wait_begin(f, &b, &fl, &wb));
	vfs_posix_wait_end(f, &wb);
}

Test(locks, whole_files)
{
	OK(vfs_flock(f, LINUX_LOCK_SH));
	OK(vfs_flock(g, LINUX_LOCK_SH));
	ERR(vfs_flock(f, LINUX_LOCK_EX), EAGAIN);
	OK(vfs_flock(g, LINUX_LOCK_UN));
	OK(vfs_flock(f, LINUX_LOCK_EX));
	ERR(vfs_flock(g, LINUX_LOCK_SH), EAGAIN);
	file_put(f);
	OK(vfs_flock(g, LINUX_LOCK_EX));
}

Test(locks, close_releases)
{
	struct fdtable *t;
	int fd, other;

	OK(fdtable_create(&t));
	OK(fd = fdtable_install(t, f, 0, 1024, false));
	OK(set(f, t, LINUX_F_WRLCK, 0, 0));
	ERR(set(g, &other, LINUX_F_WRLCK, 0, 0), EAGAIN);
	OK(fdtable_close(t, fd, t));
	OK(set(g, &other, LINUX_F_WRLCK, 0, 0));
	fdtable_put(t, t);
}
