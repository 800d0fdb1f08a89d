/* sys_ns.c: unshare(2), setns(2), names of the machine. */
#include <string.h>

#include "sentry/kernel/task.h"
#include "sentry/syscalls/internal.h"

int64_t sys_unshare(struct task *t, const struct sysargs *a)
{
	return task_unshare(t, arg_u64(a, 0));
}

int64_t sys_setns(struct task *t, const struct sysargs *a)
{
	struct file *f = sys_file(t, arg_int(a, 0));
	int ret;

	if (!f)
		return -EBADF;
	ret = task_setns(t, f, arg_u32(a, 1));
	file_put(f);
	return ret;
}

int64_t sys_uname(struct task *t, const struct sysargs *a)
{
	struct linux_utsname u = {.sysname = "Linux", .machine = "x86_64"};
	struct uts_ns *ns = t->uts_ns;

	strncpy(u.release, t->kernel->release, sizeof(u.release) - 1);
	strncpy(u.version, t->kernel->version, sizeof(u.version) - 1);
	mutex_lock(&ns->lock);
	memcpy(u.nodename, ns->nodename, sizeof(u.nodename));
	memcpy(u.domainname, ns->domainname, sizeof(u.domainname));
	mutex_unlock(&ns->lock);
	if (task_personality(t) & LINUX_UNAME26)
		strncpy(u.release, "2.6.60", sizeof(u.release) - 1);
	return copy_to_user(t, arg_addr(a, 0), &u, sizeof(u));
}

static int64_t set_name(struct task *t, const struct sysargs *a, size_t offset)
{
	struct uts_ns *ns = t->uts_ns;
	char name[65] = {0};
	int64_t len = arg_int(a, 1);

	if (!cred_has_cap_in(t->cred, LINUX_CAP_SYS_ADMIN, ns->owner))
		return -EPERM;
	if (len < 0 || len > 64)
		return -EINVAL;
	if (copy_from_user(t, name, arg_addr(a, 0), (size_t)len) < 0)
		return -EFAULT;
	mutex_lock(&ns->lock);
	memcpy((char *)ns + offset, name, sizeof(name));
	mutex_unlock(&ns->lock);
	return 0;
}

int64_t sys_sethostname(struct task *t, const struct sysargs *a)
{
	return set_name(t, a, offsetof(struct uts_ns, nodename));
}

int64_t sys_setdomainname(struct task *t, const struct sysargs *a)
{
	return set_name(t, a, offsetof(struct uts_ns, domainname));
}
