/* sys_prctl.c: prctl(2), arch_prctl(2), personality(2). */
#include <string.h>

#include "sentry/kernel/seccomp.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/task.h"
#include "sentry/syscalls/internal.h"
#include "sentry/syscalls/seccomp.h"

#define VMA_NAME_MAX 80

static int put_int(struct task *t, uaddr_t dst, int32_t v)
{
	return copy_to_user(t, dst, &v, sizeof(v));
}

static int64_t set_name(struct task *t, uaddr_t src)
{
	char name[TASK_COMM_LEN];
	ssize_t n = strncpy_from_user(t, name, src, sizeof(name));

	if (n == -ENAMETOOLONG) { /* cut, not refused */
		if (copy_from_user(t, name, src, sizeof(name) - 1) < 0)
			return -EFAULT;
		name[sizeof(name) - 1] = 0;
	} else if (n < 0) {
		return n;
	}
	task_set_comm(t, name);
	return 0;
}

static int64_t get_name(struct task *t, uaddr_t dst)
{
	char name[TASK_COMM_LEN];

	memcpy(name, t->comm, sizeof(name));
	return copy_to_user(t, dst, name, sizeof(name));
}

/* An edited credential is installed; edit returns 0 or an error. */
static int64_t edit_cred(struct task *t, int (*edit)(struct cred *c, uint64_t arg), uint64_t arg)
{
	struct cred *c;
	int ret = cred_copy(t->cred, &c);

	if (ret < 0)
		return ret;
	ret = edit(c, arg);
	if (ret < 0)
		cred_put(c);
	else
		task_set_cred(t, c);
	return ret;
}

static int edit_no_new_privs(struct cred *c, uint64_t arg)
{
	(void)arg;
	c->no_new_privs = true;
	return 0;
}

static int edit_keepcaps(struct cred *c, uint64_t arg)
{
	if (c->securebits & LINUX_SECBIT_KEEP_CAPS_LOCKED)
		return -EPERM;
	if (arg)
		c->securebits |= LINUX_SECBIT_KEEP_CAPS;
	else
		c->securebits &= ~(uint32_t)LINUX_SECBIT_KEEP_CAPS;
	return 0;
}

static int edit_securebits(struct cred *c, uint64_t arg)
{
	return cred_set_securebits(c, (uint32_t)arg);
}

static int edit_drop_bounding(struct cred *c, uint64_t cap)
{
	if (!cred_has_cap(c, LINUX_CAP_SETPCAP))
		return -EPERM;
	c->bounding &= ~CAP_BIT(cap);
	return 0;
}

static int edit_raise_ambient(struct cred *c, uint64_t cap)
{
	capset_t bit = CAP_BIT(cap);

	if (!(c->permitted & bit) || !(c->inheritable & bit) ||
	    (c->securebits & LINUX_SECBIT_NO_CAP_AMBIENT_RAISE))
		return -EPERM;
	c->ambient |= bit;
	return 0;
}

static int edit_lower_ambient(struct cred *c, uint64_t cap)
{
	c->ambient &= ~CAP_BIT(cap);
	return 0;
}

static int edit_clear_ambient(struct cred *c, uint64_t arg)
{
	(void)arg;
	c->ambient = 0;
	return 0;
}

static int64_t cap_ambient(struct task *t, uint64_t op, uint64_t cap, uint64_t a3, uint64_t a4)
{
	if (op == LINUX_PR_CAP_AMBIENT_CLEAR_ALL)
		return cap || a3 || a4 ? -EINVAL : edit_cred(t, edit_clear_ambient, 0);
	if (a3 || a4 || cap > LINUX_CAP_LAST_CAP)
		return -EINVAL;
	switch (op) {
	case LINUX_PR_CAP_AMBIENT_IS_SET:
		return (t->cred->ambient & CAP_BIT(cap)) != 0;
	case LINUX_PR_CAP_AMBIENT_RAISE:
		return edit_cred(t, edit_raise_ambient, cap);
	case LINUX_PR_CAP_AMBIENT_LOWER:
		return edit_cred(t, edit_lower_ambient, cap);
	default:
		return -EINVAL;
	}
}

static int64_t set_vma(struct task *t, const struct sysargs *a)
{
	char name[VMA_NAME_MAX];
	uaddr_t src = arg_addr(a, 4);
	ssize_t n;

	if (arg_u64(a, 1) != LINUX_PR_SET_VMA_ANON_NAME)
		return -EINVAL;
	if (!src)
		return mm_set_anon_name(t->mm, arg_addr(a, 2), arg_u64(a, 3), NULL);
	n = strncpy_from_user(t, name, src, sizeof(name));
	if (n < 0)
		return n == -ENAMETOOLONG ? -EINVAL : n;
	for (ssize_t i = 0; i < n; i++)
		if (name[i] < 0x20 || name[i] > 0x7e || strchr("\\`$[]", name[i]))
			return -EINVAL;
	return mm_set_anon_name(t->mm, arg_addr(a, 2), arg_u64(a, 3), name);
}

/* Values that only /proc shows. */
static int64_t set_mm(struct task *t, uint64_t what, uint64_t addr)
{
	struct mm *mm = t->mm;
	uaddr_t *field;

	if (!capable(t, LINUX_CAP_SYS_RESOURCE))
		return -EPERM;
	if (addr >= GUEST_VA_END || addr < GUEST_VA_MIN)
		return -EINVAL;
	switch (what) {
	case LINUX_PR_SET_MM_START_CODE:
		field = &mm->start_code;
		break;
	case LINUX_PR_SET_MM_END_CODE:
		field = &mm->end_code;
		break;
	case LINUX_PR_SET_MM_START_DATA:
		field = &mm->start_data;
		break;
	case LINUX_PR_SET_MM_END_DATA:
		field = &mm->end_data;
		break;
	case LINUX_PR_SET_MM_START_STACK:
		field = &mm->start_stack;
		break;
	case LINUX_PR_SET_MM_ARG_START:
		field = &mm->arg_start;
		break;
	case LINUX_PR_SET_MM_ARG_END:
		field = &mm->arg_end;
		break;
	case LINUX_PR_SET_MM_ENV_START:
		field = &mm->env_start;
		break;
	case LINUX_PR_SET_MM_ENV_END:
		field = &mm->env_end;
		break;
	default:
		return -EINVAL;
	}
	mutex_lock(&mm->lock);
	*field = addr;
	mutex_unlock(&mm->lock);
	return 0;
}

static int64_t set_seccomp(struct task *t, uint64_t mode, uaddr_t arg)
{
	switch (mode) {
	case LINUX_SECCOMP_MODE_STRICT:
		return seccomp_set_strict(t);
	case LINUX_SECCOMP_MODE_FILTER:
		return seccomp_install(t, 0, arg);
	default:
		return -EINVAL;
	}
}

static int64_t set_dumpable(struct task *t, uint64_t v)
{
	if (v > 1)
		return -EINVAL;
	__atomic_store_n(&t->mm->dumpable, (uint32_t)v, __ATOMIC_RELAXED);
	return 0;
}

static int64_t speculation(uint64_t which)
{
	return which > LINUX_PR_SPEC_L1D_FLUSH ? -ENODEV : LINUX_PR_SPEC_NOT_AFFECTED;
}

static bool rest_is_zero(const struct sysargs *a, int from)
{
	for (int i = from; i < 5; i++)
		if (arg_u64(a, i))
			return false;
	return true;
}

/* The operations on credentials. *done: it was one. */
static int64_t prctl_cred(struct task *t, const struct sysargs *a, bool *done)
{
	uint64_t v = arg_u64(a, 1);

	*done = true;
	switch (arg_int(a, 0)) {
	case LINUX_PR_SET_NO_NEW_PRIVS:
		return v != 1 || !rest_is_zero(a, 2) ? -EINVAL : edit_cred(t, edit_no_new_privs, 0);
	case LINUX_PR_GET_NO_NEW_PRIVS:
		return rest_is_zero(a, 1) ? t->cred->no_new_privs : -EINVAL;
	case LINUX_PR_GET_KEEPCAPS:
		return (t->cred->securebits & LINUX_SECBIT_KEEP_CAPS) != 0;
	case LINUX_PR_SET_KEEPCAPS:
		return v > 1 ? -EINVAL : edit_cred(t, edit_keepcaps, v);
	case LINUX_PR_GET_SECUREBITS:
		return t->cred->securebits;
	case LINUX_PR_SET_SECUREBITS:
		return edit_cred(t, edit_securebits, v);
	case LINUX_PR_CAPBSET_READ:
		return v > LINUX_CAP_LAST_CAP ? -EINVAL : (t->cred->bounding & CAP_BIT(v)) != 0;
	case LINUX_PR_CAPBSET_DROP:
		if (v > LINUX_CAP_LAST_CAP)
			return cred_has_cap(t->cred, LINUX_CAP_SETPCAP) ? -EINVAL : -EPERM;
		return edit_cred(t, edit_drop_bounding, v);
	case LINUX_PR_CAP_AMBIENT:
		return cap_ambient(t, v, arg_u64(a, 2), arg_u64(a, 3), arg_u64(a, 4));
	case LINUX_PR_GET_SECCOMP:
		return seccomp_mode(t);
	case LINUX_PR_SET_SECCOMP:
		return set_seccomp(t, v, arg_addr(a, 2));
	default:
		*done = false;
		return 0;
	}
}

static int64_t prctl_rest(struct task *t, const struct sysargs *a)
{
	uint64_t v = arg_u64(a, 1);

	switch (arg_int(a, 0)) {
	case LINUX_PR_GET_TIMING:
	case LINUX_PR_SET_TIMING:
		return arg_int(a, 0) == LINUX_PR_SET_TIMING && v ? -EINVAL : 0;
	case LINUX_PR_GET_TSC:
		return put_int(t, v, LINUX_PR_TSC_ENABLE);
	case LINUX_PR_SET_TSC:
		return v == LINUX_PR_TSC_ENABLE ? 0 : -EINVAL;
	case LINUX_PR_TASK_PERF_EVENTS_DISABLE:
	case LINUX_PR_TASK_PERF_EVENTS_ENABLE:
		return 0;
	case LINUX_PR_MCE_KILL:
		return v == LINUX_PR_MCE_KILL_SET || v == LINUX_PR_MCE_KILL_CLEAR ? 0 : -EINVAL;
	case LINUX_PR_MCE_KILL_GET:
		return rest_is_zero(a, 1) ? LINUX_PR_MCE_KILL_DEFAULT : -EINVAL;
	case LINUX_PR_GET_THP_DISABLE:
		return rest_is_zero(a, 1) ? 0 : -EINVAL;
	case LINUX_PR_SET_THP_DISABLE:
		return rest_is_zero(a, 2) ? 0 : -EINVAL;
	case LINUX_PR_GET_SPECULATION_CTRL:
		return rest_is_zero(a, 2) ? speculation(v) : -EINVAL;
	case LINUX_PR_SET_SPECULATION_CTRL:
		return speculation(v) < 0 ? -ENODEV : -ENXIO;
	case LINUX_PR_SET_PTRACER:
		return 0; /* the restriction it lifts isn't there */
	case LINUX_PR_GET_IO_FLUSHER:
	case LINUX_PR_SET_IO_FLUSHER:
		return capable(t, LINUX_CAP_SYS_RESOURCE) ? 0 : -EPERM;
	default:
		return -EINVAL;
	}
}

int64_t sys_prctl(struct task *t, const struct sysargs *a)
{
	uint64_t v = arg_u64(a, 1);
	bool done;
	int64_t ret = prctl_cred(t, a, &done);

	if (done)
		return ret;
	switch (arg_int(a, 0)) {
	case LINUX_PR_SET_PDEATHSIG:
		if (v && (v > SIG_COUNT || !signal_valid((int)v)))
			return -EINVAL;
		task_set_pdeath_signal(t, (int)v);
		return 0;
	case LINUX_PR_GET_PDEATHSIG:
		return put_int(t, v, task_pdeath_signal(t));
	case LINUX_PR_GET_DUMPABLE:
		return __atomic_load_n(&t->mm->dumpable, __ATOMIC_RELAXED);
	case LINUX_PR_SET_DUMPABLE:
		return set_dumpable(t, v);
	case LINUX_PR_SET_NAME:
		return set_name(t, v);
	case LINUX_PR_GET_NAME:
		return get_name(t, v);
	case LINUX_PR_SET_TIMERSLACK:
		task_set_timer_slack(t, (int64_t)v <= 0 ? 0 : v);
		return 0;
	case LINUX_PR_GET_TIMERSLACK:
		return (int64_t)task_timer_slack(t);
	case LINUX_PR_SET_CHILD_SUBREAPER:
		task_set_subreaper(t, v != 0);
		return 0;
	case LINUX_PR_GET_CHILD_SUBREAPER:
		return put_int(t, v, task_subreaper(t));
	case LINUX_PR_SET_MM:
		return arg_u64(a, 3) || arg_u64(a, 4) ? -EINVAL : set_mm(t, v, arg_addr(a, 2));
	case LINUX_PR_SET_VMA:
		return set_vma(t, a);
	case LINUX_PR_GET_TID_ADDRESS: {
		uaddr_t addr = task_clear_tid(t);

		return copy_to_user(t, v, &addr, sizeof(addr));
	}
	default:
		return prctl_rest(t, a);
	}
}

int64_t sys_arch_prctl(struct task *t, const struct sysargs *a)
{
	uint64_t v = arg_u64(a, 1), base;

	switch (arg_int(a, 0)) {
	case LINUX_ARCH_SET_FS:
	case LINUX_ARCH_SET_GS:
		if (v >= GUEST_VA_END)
			return -EPERM;
		task_set_segment_base(t, arg_int(a, 0) == LINUX_ARCH_SET_GS, v);
		return 0;
	case LINUX_ARCH_GET_FS:
	case LINUX_ARCH_GET_GS:
		base = task_segment_base(t, arg_int(a, 0) == LINUX_ARCH_GET_GS);
		return copy_to_user(t, v, &base, sizeof(base));
	case LINUX_ARCH_GET_CPUID:
		return 1;
	case LINUX_ARCH_SET_CPUID:
		return -ENODEV;
	default:
		return -EINVAL;
	}
}

int64_t sys_personality(struct task *t, const struct sysargs *a)
{
	uint32_t old = task_personality(t), v = arg_u32(a, 0);

	if (v != 0xffffffffu)
		task_set_personality(t, v);
	return old;
}
