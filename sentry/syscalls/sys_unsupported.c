/* sys_unsupported.c: calls that exist and are refused, with the error Linux gives to the unprivileged or where
 * the feature isn't built in: programs know how to go on from these. */
#include "platform/abi/misc.h"
#include "sentry/syscalls/internal.h"

#define IO_PORTS 65536u

#define REFUSE(call, error)                                                                                    \
	int64_t call(struct task *t, const struct sysargs *a)                                                  \
	{                                                                                                      \
		(void)t;                                                                                       \
		(void)a;                                                                                       \
		return error;                                                                                  \
	}

/* For the administrator of a real machine only. */
REFUSE(sys_refuse_eperm, -EPERM)
/* Not configured. */
REFUSE(sys_refuse_enosys, -ENOSYS)
REFUSE(sys_refuse_eopnotsupp, -EOPNOTSUPP)

/* reboot(2): argument checks come after the permission check, which nobody passes. */
int64_t sys_reboot(struct task *t, const struct sysargs *a)
{
	uint32_t magic2 = arg_u32(a, 1);

	if (!capable(t, LINUX_CAP_SYS_BOOT))
		return -EPERM;
	if (arg_u32(a, 0) != LINUX_REBOOT_MAGIC1 ||
	    (magic2 != LINUX_REBOOT_MAGIC2 && magic2 != LINUX_REBOOT_MAGIC2A &&
	     magic2 != LINUX_REBOOT_MAGIC2B && magic2 != LINUX_REBOOT_MAGIC2C))
		return -EINVAL;
	if (arg_u32(a, 2) == LINUX_REBOOT_CMD_CAD_ON || arg_u32(a, 2) == LINUX_REBOOT_CMD_CAD_OFF)
		return 0;
	return -EPERM;
}

/* vhangup(2): the sandbox's terminal belongs to its maker */
int64_t sys_vhangup(struct task *t, const struct sysargs *a)
{
	(void)a;
	return capable(t, LINUX_CAP_SYS_TTY_CONFIG) ? 0 : -EPERM;
}

/* modify_ldt(2): an empty table can be read; entries can't be made, as without CONFIG_MODIFY_LDT_SYSCALL. */
int64_t sys_modify_ldt(struct task *t, const struct sysargs *a)
{
	(void)t;
	return arg_int(a, 0) == 0 ? 0 : -ENOSYS;
}

/* ustat(2): no device is known by number */
int64_t sys_ustat(struct task *t, const struct sysargs *a)
{
	(void)t;
	(void)a;
	return -EINVAL;
}

/* cachestat(2): counts nothing as cached */
int64_t sys_cachestat(struct task *t, const struct sysargs *a)
{
	struct {
		uint64_t cache, dirty, writeback, evicted, recently_evicted;
	} zero = {0};
	uint64_t range[2];
	struct file *f;
	int ret;

	if (arg_u32(a, 3) != 0)
		return -EINVAL;
	f = sys_file(t, arg_int(a, 0));
	if (!f)
		return -EBADF;
	ret = copy_from_user(t, range, arg_addr(a, 1), sizeof(range));
	if (ret == 0)
		ret = copy_to_user(t, arg_addr(a, 2), &zero, sizeof(zero));
	file_put(f);
	return ret;
}

/* iopl(2), ioperm(2): ports are never given, but one may ask for nothing. */
int64_t sys_iopl(struct task *t, const struct sysargs *a)
{
	(void)t;
	if (arg_u32(a, 0) > 3)
		return -EINVAL;
	return arg_u32(a, 0) ? -EPERM : 0;
}

int64_t sys_ioperm(struct task *t, const struct sysargs *a)
{
	uint64_t from = arg_u64(a, 0), count = arg_u64(a, 1);

	(void)t;
	if (from + count <= from || from + count > IO_PORTS)
		return -EINVAL;
	return arg_int(a, 2) ? -EPERM : 0;
}
