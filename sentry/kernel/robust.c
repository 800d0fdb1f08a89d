/* robust.c: the list of locks that a thread holds (set_robust_list(2)), walked when it ends or execs: each
 * is marked as left by its owner, and one waiter is woken. The list is the guest's: every step is bounded.
 */
#include "sentry/kernel/futex_internal.h"

static int mark_dead(struct task *t, uaddr_t addr, bool pi, bool pending)
{
	uint32_t v, tid = (uint32_t)pid_nr(t->pid);
	int ret;

	if (addr & 3)
		return -EINVAL;
	do {
		ret = futex_read(t, addr, &v);
		if (ret < 0)
			return ret;
		/* died between unlocking and waking: somebody may sleep on a free lock */
		if (pending && !pi && v == 0) {
			futex_wake_exit(t, addr);
			return 0;
		}
		if ((v & LINUX_FUTEX_TID_MASK) != tid)
			return 0;
		ret = futex_cas(t, addr, v, (v & LINUX_FUTEX_WAITERS) | LINUX_FUTEX_OWNER_DIED);
	} while (ret == -EAGAIN);
	if (ret < 0)
		return ret;
	if (v & LINUX_FUTEX_WAITERS) {
		if (pi)
			futex_pi_left(t, addr);
		else
			futex_wake_exit(t, addr);
	}
	return 0;
}

static void walk(struct task *t, uaddr_t head_addr)
{
	struct linux_robust_list_head head;
	uaddr_t entry, next;

	if (copy_from_user(t, &head, head_addr, sizeof(head)) < 0)
		return;
	entry = head.list;
	for (int i = 0; i < LINUX_ROBUST_LIST_LIMIT; i++) {
		uaddr_t at = entry & ~1UL;
		bool last, bad_next;

		if (at == head_addr)
			break;
		bad_next = copy_from_user(t, &next, at, sizeof(next)) < 0;
		last = at == (head.list_op_pending & ~1UL);
		if (!last && mark_dead(t, at + (uint64_t)head.futex_offset, entry & 1, false) < 0)
			return;
		if (bad_next)
			return;
		entry = next;
	}
	if (!head.list_op_pending)
		return;
	if (mark_dead(t, (head.list_op_pending & ~1UL) + (uint64_t)head.futex_offset, head.list_op_pending & 1,
		      true) < 0)
		return;
}

void futex_task_exit(struct task *t)
{
	if (!t->mm)
		return;
	if (t->p->robust_list)
		walk(t, t->p->robust_list);
	t->p->robust_list = 0;
	futex_owner_dies(t);
}
