/* sys_futex.c: futex(2) and its younger relatives, robust lists. */
#include "sentry/kernel/futex.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/timer.h"
#include "sentry/syscalls/internal.h"

#define FUTEX_CMD(op) ((op) & ~(LINUX_FUTEX_PRIVATE_FLAG | LINUX_FUTEX_CLOCK_REALTIME))

/* The deadline of a waiting operation; 0: none. */
static int get_deadline(struct task *t, int op, int cmd, uaddr_t addr, uint64_t *deadline)
{
	bool realtime = (op & LINUX_FUTEX_CLOCK_REALTIME) != 0 || cmd == LINUX_FUTEX_LOCK_PI;
	struct linux_timespec ts;
	int ret;

	*deadline = 0;
	if (!addr)
		return 0;
	ret = get_timespec(t, addr, &ts);
	if (ret < 0)
		return ret;
	return clock_deadline(t, realtime ? LINUX_CLOCK_REALTIME : LINUX_CLOCK_MONOTONIC,
			      cmd != LINUX_FUTEX_WAIT, &ts, deadline);
}

static bool takes_timeout(int cmd)
{
	return cmd == LINUX_FUTEX_WAIT || cmd == LINUX_FUTEX_WAIT_BITSET || cmd == LINUX_FUTEX_LOCK_PI ||
	       cmd == LINUX_FUTEX_LOCK_PI2 || cmd == LINUX_FUTEX_WAIT_REQUEUE_PI;
}

static bool may_use_realtime(int cmd)
{
	return cmd == LINUX_FUTEX_WAIT || cmd == LINUX_FUTEX_WAIT_BITSET ||
	       cmd == LINUX_FUTEX_WAIT_REQUEUE_PI || cmd == LINUX_FUTEX_LOCK_PI2;
}

static int64_t requeue(struct task *t, const struct sysargs *a, bool priv, bool cmp)
{
	int wake = arg_int(a, 2), move = arg_int(a, 3);

	if (wake < 0 || move < 0)
		return -EINVAL;
	return futex_requeue(t, arg_addr(a, 0), priv, arg_addr(a, 4), priv, (uint32_t)wake, (uint32_t)move, cmp,
			     arg_u32(a, 5));
}

int64_t sys_futex(struct task *t, const struct sysargs *a)
{
	int op = arg_int(a, 1), cmd = FUTEX_CMD(op);
	bool priv = (op & LINUX_FUTEX_PRIVATE_FLAG) != 0;
	struct futex_wait_args w = {.addr = arg_addr(a, 0),
				    .value = arg_u32(a, 2),
				    .bitset = LINUX_FUTEX_BITSET_MATCH_ANY,
				    .is_private = priv};
	int count = arg_int(a, 2), ret;

	if ((op & LINUX_FUTEX_CLOCK_REALTIME) && !may_use_realtime(cmd))
		return -ENOSYS;
	if (takes_timeout(cmd)) {
		ret = get_deadline(t, op, cmd, arg_addr(a, 3), &w.deadline);
		if (ret < 0)
			return ret;
	}
	switch (cmd) {
	case LINUX_FUTEX_WAIT_BITSET:
		w.bitset = arg_u32(a, 5);
		FALLTHROUGH;
	case LINUX_FUTEX_WAIT:
		return futex_wait(t, &w, true);
	case LINUX_FUTEX_WAKE:
		return futex_wake(t, w.addr, priv, count > 0 ? (uint32_t)count : 1,
				  LINUX_FUTEX_BITSET_MATCH_ANY);
	case LINUX_FUTEX_WAKE_BITSET:
		return futex_wake(t, w.addr, priv, count > 0 ? (uint32_t)count : 1, arg_u32(a, 5));
	case LINUX_FUTEX_REQUEUE:
		return requeue(t, a, priv, false);
	case LINUX_FUTEX_CMP_REQUEUE:
		return requeue(t, a, priv, true);
	case LINUX_FUTEX_WAKE_OP:
		return futex_wake_op(t, w.addr, arg_addr(a, 4), priv, arg_u32(a, 2), arg_u32(a, 3),
				     arg_u32(a, 5));
	case LINUX_FUTEX_LOCK_PI:
	case LINUX_FUTEX_LOCK_PI2:
		return futex_lock_pi(t, w.addr, priv, w.deadline, false);
	case LINUX_FUTEX_TRYLOCK_PI:
		return futex_lock_pi(t, w.addr, priv, 0, true);
	case LINUX_FUTEX_UNLOCK_PI:
		return futex_unlock_pi(t, w.addr, priv);
	case LINUX_FUTEX_WAIT_REQUEUE_PI:
		return futex_wait_requeue_pi(t, &w, arg_addr(a, 4));
	case LINUX_FUTEX_CMP_REQUEUE_PI:
		if (count != 1)
			return -EINVAL;
		return futex_cmp_requeue_pi(t, w.addr, priv, arg_addr(a, 4), arg_u32(a, 3), arg_u32(a, 5));
	default:
		return -ENOSYS;
	}
}

/* ---- futex_waitv(2), futex2 ---- */

#define FUTEX2_SIZE_MASK 3u
#define FUTEX2_SIZE_U32	 2u
#define FUTEX2_PRIVATE	 128u

struct futex_waitv_in {
	uint64_t val, uaddr;
	uint32_t flags, reserved;
};

static int check_flags(uint32_t flags)
{
	if (flags & ~(FUTEX2_SIZE_MASK | FUTEX2_PRIVATE))
		return -EINVAL;
	return (flags & FUTEX2_SIZE_MASK) == FUTEX2_SIZE_U32 ? 0 : -EINVAL;
}

static int futex2_deadline(struct task *t, uaddr_t addr, int clock, uint64_t *deadline)
{
	struct linux_timespec ts;
	int ret;

	*deadline = 0;
	if (!addr)
		return 0;
	if (clock != LINUX_CLOCK_REALTIME && clock != LINUX_CLOCK_MONOTONIC)
		return -EINVAL;
	ret = get_timespec(t, addr, &ts);
	return ret < 0 ? ret : clock_deadline(t, clock, true, &ts, deadline);
}

int64_t sys_futex_waitv(struct task *t, const struct sysargs *a)
{
	uint32_t count = arg_u32(a, 1);
	struct futex_wait_args *v;
	struct futex_waitv_in in;
	uint64_t deadline;
	int64_t ret;

	if (arg_u32(a, 2) || !arg_addr(a, 0) || count == 0 || count > LINUX_FUTEX_WAITV_MAX)
		return -EINVAL;
	ret = futex2_deadline(t, arg_addr(a, 3), arg_int(a, 4), &deadline);
	if (ret < 0)
		return ret;
	v = kmalloc(count * sizeof(*v));
	if (!v)
		return -ENOMEM;
	for (uint32_t i = 0; ret == 0 && i < count; i++) {
		ret = copy_from_user(t, &in, arg_addr(a, 0) + i * sizeof(in), sizeof(in));
		if (ret == 0)
			ret = in.reserved || in.val > UINT32_MAX ? -EINVAL : check_flags(in.flags);
		v[i] = (struct futex_wait_args){.addr = in.uaddr,
						.value = (uint32_t)in.val,
						.bitset = LINUX_FUTEX_BITSET_MATCH_ANY,
						.is_private = (in.flags & FUTEX2_PRIVATE) != 0};
	}
	if (ret == 0)
		ret = futex_waitv(t, v, count, deadline);
	kfree(v);
	return ret;
}

int64_t sys_futex_wake(struct task *t, const struct sysargs *a)
{
	uint64_t mask = arg_u64(a, 1);
	int n = arg_int(a, 2);

	if (check_flags(arg_u32(a, 3)) < 0 || mask == 0 || mask > UINT32_MAX || n < 0)
		return -EINVAL;
	return futex_wake(t, arg_addr(a, 0), (arg_u32(a, 3) & FUTEX2_PRIVATE) != 0, (uint32_t)n,
			  (uint32_t)mask);
}

int64_t sys_futex_wait(struct task *t, const struct sysargs *a)
{
	struct futex_wait_args w = {.addr = arg_addr(a, 0),
				    .value = arg_u32(a, 1),
				    .bitset = (uint32_t)arg_u64(a, 2),
				    .is_private = (arg_u32(a, 3) & FUTEX2_PRIVATE) != 0};
	int ret;

	if (check_flags(arg_u32(a, 3)) < 0 || arg_u64(a, 1) > UINT32_MAX || arg_u64(a, 2) > UINT32_MAX)
		return -EINVAL;
	ret = futex2_deadline(t, arg_addr(a, 4), arg_int(a, 5), &w.deadline);
	return ret < 0 ? ret : futex_wait(t, &w, true);
}

int64_t sys_futex_requeue(struct task *t, const struct sysargs *a)
{
	struct futex_waitv_in in[2];
	int wake = arg_int(a, 2), move = arg_int(a, 3);

	if (arg_u32(a, 1) || !arg_addr(a, 0) || wake < 0 || move < 0)
		return -EINVAL;
	if (copy_from_user(t, in, arg_addr(a, 0), sizeof(in)) < 0)
		return -EFAULT;
	for (int i = 0; i < 2; i++)
		if (in[i].reserved || in[i].val > UINT32_MAX || check_flags(in[i].flags) < 0)
			return -EINVAL;
	return futex_requeue(t, in[0].uaddr, (in[0].flags & FUTEX2_PRIVATE) != 0, in[1].uaddr,
			     (in[1].flags & FUTEX2_PRIVATE) != 0, (uint32_t)wake, (uint32_t)move, true,
			     (uint32_t)in[0].val);
}

/* ---- robust lists ---- */

int64_t sys_set_robust_list(struct task *t, const struct sysargs *a)
{
	if (arg_u64(a, 1) != sizeof(struct linux_robust_list_head))
		return -EINVAL;
	task_set_robust_list(t, arg_addr(a, 0));
	return 0;
}

int64_t sys_get_robust_list(struct task *t, const struct sysargs *a)
{
	uint64_t len = sizeof(struct linux_robust_list_head);
	struct task *target = task_find_or_self(t, arg_int(a, 0));
	uaddr_t head;
	bool ok;

	if (!target)
		return -ESRCH;
	ok = task_may_access(t, target);
	head = task_robust_list(target);
	task_put(target);
	if (!ok)
		return -EPERM;
	if (copy_to_user(t, arg_addr(a, 2), &len, sizeof(len)) < 0)
		return -EFAULT;
	return copy_to_user(t, arg_addr(a, 1), &head, sizeof(head));
}
