/* sys_seccomp.c: seccomp(2), and what prctl(PR_SET_SECCOMP) shares with it. */
#include "sentry/kernel/seccomp.h"
#include "sentry/syscalls/internal.h"
#include "sentry/syscalls/seccomp.h"

#define FILTER_FLAGS                                                                                           \
	(LINUX_SECCOMP_FILTER_FLAG_TSYNC | LINUX_SECCOMP_FILTER_FLAG_LOG |                                     \
	 LINUX_SECCOMP_FILTER_FLAG_SPEC_ALLOW | LINUX_SECCOMP_FILTER_FLAG_TSYNC_ESRCH)

struct sock_fprog_in {
	uint16_t len, pad[3];
	uaddr_t filter;
};

int64_t seccomp_install(struct task *t, uint32_t flags, uaddr_t fprog)
{
	struct sock_fprog_in in;
	struct bpf_insn *insns;
	struct bpf_prog *prog;
	int ret;

	if (flags & ~(uint32_t)FILTER_FLAGS) /* user notification isn't offered */
		return -EINVAL;
	if (copy_from_user(t, &in, fprog, sizeof(in)) < 0)
		return -EFAULT;
	if (in.len == 0 || in.len > BPF_INSNS_MAX)
		return -EINVAL;
	if (!t->cred->no_new_privs && !cred_has_cap(t->cred, LINUX_CAP_SYS_ADMIN))
		return -EACCES;
	insns = kmalloc(in.len * sizeof(*insns));
	if (!insns)
		return -ENOMEM;
	ret = copy_from_user(t, insns, in.filter, in.len * sizeof(*insns));
	if (ret == 0)
		ret = bpf_check(insns, in.len);
	if (ret == 0)
		ret = bpf_create(insns, in.len, &prog);
	kfree(insns);
	return ret < 0 ? ret : seccomp_add_filter(t, prog, flags);
}

static int64_t action_available(struct task *t, uaddr_t addr)
{
	uint32_t action;

	if (copy_from_user(t, &action, addr, sizeof(action)) < 0)
		return -EFAULT;
	switch (action) {
	case LINUX_SECCOMP_RET_KILL_PROCESS:
	case LINUX_SECCOMP_RET_KILL_THREAD:
	case LINUX_SECCOMP_RET_TRAP:
	case LINUX_SECCOMP_RET_ERRNO:
	case LINUX_SECCOMP_RET_TRACE:
	case LINUX_SECCOMP_RET_LOG:
	case LINUX_SECCOMP_RET_ALLOW:
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

int64_t sys_seccomp(struct task *t, const struct sysargs *a)
{
	uint32_t op = arg_u32(a, 0), flags = arg_u32(a, 1);

	switch (op) {
	case LINUX_SECCOMP_SET_MODE_STRICT:
		return flags || arg_addr(a, 2) ? -EINVAL : seccomp_set_strict(t);
	case LINUX_SECCOMP_SET_MODE_FILTER:
		return seccomp_install(t, flags, arg_addr(a, 2));
	case LINUX_SECCOMP_GET_ACTION_AVAIL:
		return flags ? -EINVAL : action_available(t, arg_addr(a, 2));
	default:
		return -EINVAL;
	}
}
