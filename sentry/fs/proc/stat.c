/* stat.c: /proc/<pid>/stat and statm: one line each, for programs. */
#include "sentry/fs/proc/internal.h"

#define TICK_NS	       10000000UL /* USER_HZ is 100 */
#define FLAG_RANDOMIZE 0x400000u
#define FLAG_EXITING   0x4u

struct mm_view {
	uint64_t vsize, rss, data, stack, text;
	uaddr_t start_code, end_code, start_data, end_data, start_stack, brk;
	uaddr_t arg_start, arg_end, env_start, env_end;
};

static bool view_mm(struct task *t, struct mm_view *v)
{
	struct mm *mm = task_mm_get(t);

	*v = (struct mm_view){0};
	if (!mm)
		return false;
	mm_usage(mm, &v->vsize, &v->rss, &v->data, &v->stack, &v->text);
	mutex_lock(&mm->lock);
	v->start_code = mm->start_code;
	v->end_code = mm->end_code;
	v->start_data = mm->start_data;
	v->end_data = mm->end_data;
	v->start_stack = mm->start_stack;
	v->brk = mm->brk_start;
	v->arg_start = mm->arg_start;
	v->arg_end = mm->arg_end;
	v->env_start = mm->env_start;
	v->env_end = mm->env_end;
	mutex_unlock(&mm->lock);
	mm_put(mm);
	return true;
}

static int32_t priority_of(const struct task_info *i)
{
	return i->rt_priority ? -1 - (int32_t)i->rt_priority : 20 + i->nice;
}

/* Addresses are for those who may trace the process; others see 0, or 1 for "there is code". */
static void hide_addresses(struct mm_view *v)
{
	*v = (struct mm_view){.vsize = v->vsize, .rss = v->rss, .start_code = 1, .end_code = 1};
}

int proc_show_stat(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	bool whole = !(n->arg & PROC_THREAD), permitted = proc_may_inspect(n, f->cred) == 0, have;
	struct task *t = proc_task(n);
	struct kernel *k = proc_kernel(n);
	struct task_info i;
	struct mm_view v;
	uint64_t rsslim;

	if (!t)
		return -ESRCH;
	task_info(proc_fs(n)->ns, t, whole, &i);
	have = view_mm(t, &v);
	rsslim = task_rlimit(t, 5); /* RLIMIT_RSS */
	task_put(t);
	if (have && !permitted)
		hide_addresses(&v);
	strbuf_printf(out, "%d (%.*s) %c %d %d %d %d %d %u 0 0 0 0 %lu %lu %lu %lu %d %d %u 0 %lu ",
		      whole ? i.tgid : i.tid, TASK_COMM_LEN, i.comm, i.state, i.ppid, i.pgrp, i.sid,
		      (int)i.tty_nr, i.tpgid ? i.tpgid : -1, FLAG_RANDOMIZE | (have ? 0 : FLAG_EXITING),
		      i.utime / TICK_NS, i.stime / TICK_NS, i.cutime / TICK_NS, i.cstime / TICK_NS,
		      priority_of(&i), i.nice, i.threads, (i.start_ns - MIN(k->boot_ns, i.start_ns)) / TICK_NS);
	strbuf_printf(out, "%lu %lu %lu %lu %lu %lu 0 0 %lu %lu %lu %lu 0 0 0 %u 0 %u %u 0 0 0 ", v.vsize,
		      v.rss / PAGE_SIZE, rsslim, v.start_code, v.end_code, v.start_stack,
		      i.pending & 0x7fffffff, i.blocked & 0x7fffffff, i.ignored & 0x7fffffff,
		      i.caught & 0x7fffffff, i.exit_signal, i.rt_priority, i.policy);
	strbuf_printf(out, "%lu %lu %lu %lu %lu %lu %lu %d\n", v.start_data, v.end_data, v.brk, v.arg_start,
		      v.arg_end, v.env_start, v.env_end, permitted ? i.exit_code : 0);
	return 0;
}

int proc_show_statm(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	struct task *t = proc_task(n);
	struct mm_view v;

	(void)f;
	if (!t)
		return -ESRCH;
	(void)view_mm(t, &v);
	task_put(t);
	strbuf_printf(out, "%lu %lu %lu %lu 0 %lu 0\n", v.vsize / PAGE_SIZE, v.rss / PAGE_SIZE,
		      v.rss / PAGE_SIZE / 2, v.text / PAGE_SIZE, (v.data + v.stack) / PAGE_SIZE);
	return 0;
}
