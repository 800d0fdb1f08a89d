/* sys_info.c: calls that tell about the machine: getrandom(2), sysinfo(2), syslog(2), getcpu(2). */
#include "platform/base/random.h"
#include "sentry/syscalls/internal.h"

int64_t sys_getrandom(struct task *t, const struct sysargs *a)
{
	const uint32_t known = LINUX_GRND_NONBLOCK | LINUX_GRND_RANDOM | LINUX_GRND_INSECURE;
	uint64_t left = MIN(arg_u64(a, 1), (uint64_t)INT32_MAX);
	uint32_t flags = arg_u32(a, 2);
	uaddr_t dst = arg_addr(a, 0);
	unsigned char few[256], *buf = few;
	size_t room = sizeof(few);
	int64_t done = 0;

	if ((flags & ~known) ||
	    (flags & (LINUX_GRND_RANDOM | LINUX_GRND_INSECURE)) == (LINUX_GRND_RANDOM | LINUX_GRND_INSECURE))
		return -EINVAL;
	if (left > room) {
		buf = task_bounce(t);
		room = TASK_BOUNCE_SIZE;
		if (!buf)
			return -ENOMEM;
	}
	while (left) {
		size_t n = MIN(left, (uint64_t)room);

		if (done && task_interrupted(t))
			break;
		random_bytes(buf, n);
		if (copy_to_user(t, dst, buf, n) < 0)
			return done ? done : -EFAULT;
		dst += n;
		left -= n;
		done += (int64_t)n;
	}
	return done;
}

int64_t sys_sysinfo(struct task *t, const struct sysargs *a)
{
	struct kernel *k = t->kernel;
	uint64_t total, available;
	struct linux_sysinfo s;

	memset(&s, 0, sizeof(s));
	kernel_memory(k, &total, &available);
	s.uptime = (int64_t)((clock_boottime_ns() - k->boot_ns + NSEC_PER_SEC - 1) / NSEC_PER_SEC);
	s.totalram = total;
	s.freeram = available;
	s.procs = (uint16_t)MIN(__atomic_load_n(&k->task_count, __ATOMIC_RELAXED), 65535u);
	s.mem_unit = 1;
	return copy_to_user(t, arg_addr(a, 0), &s, sizeof(s));
}

/* The kernel log of a sandbox is empty; who may read it is as on a host with dmesg_restrict. */
int64_t sys_syslog(struct task *t, const struct sysargs *a)
{
	int type = arg_int(a, 0), len = arg_int(a, 2);

	if (type < 0 || type > 10)
		return -EINVAL;
	if (!capable(t, LINUX_CAP_SYSLOG) && !capable(t, LINUX_CAP_SYS_ADMIN))
		return -EPERM;
	switch (type) {
	case 2: /* READ: nothing will come */
	case 3: /* READ_ALL */
	case 4: /* READ_CLEAR */
		return arg_addr(a, 1) && len >= 0 ? 0 : -EINVAL;
	case 8: /* CONSOLE_LEVEL */
		return len >= 1 && len <= 8 ? 0 : -EINVAL;
	case 10: /* SIZE_BUFFER */
		return 1 << 18;
	default:
		return 0;
	}
}

/* Differs from Linux: every task seems to be on processor 0 unless the vDSO answers. */
int64_t sys_getcpu(struct task *t, const struct sysargs *a)
{
	uint32_t zero = 0;
	int ret = 0;

	if (arg_addr(a, 0))
		ret = copy_to_user(t, arg_addr(a, 0), &zero, sizeof(zero));
	if (ret == 0 && arg_addr(a, 1))
		ret = copy_to_user(t, arg_addr(a, 1), &zero, sizeof(zero));
	return ret;
}
