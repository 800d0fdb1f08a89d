/* status.c: /proc/<pid>/status and sched: the same books, for people. */
#include <string.h>

#include "sentry/fs/proc/internal.h"
#include "sentry/kernel/task.h"

void proc_show_mask(struct strbuf *out, const uint64_t *words, uint32_t bits)
{
	uint32_t groups = (bits + 31) / 32;

	for (uint32_t g = groups; g-- > 0;) {
		uint32_t w = (uint32_t)(words[g / 2] >> (g % 2 * 32));
		int width = 8;

		if (g == groups - 1)
			width = (int)((bits - g * 32 + 3) / 4);
		strbuf_printf(out, "%0*x%s", width, w, g ? "," : "");
	}
}

void proc_show_mask_list(struct strbuf *out, const uint64_t *words, uint32_t bits)
{
	bool first = true;

	for (uint32_t i = 0; i < bits; i++) {
		uint32_t end = i;

		if (!(words[i / 64] >> (i % 64) & 1))
			continue;
		while (end + 1 < bits && (words[(end + 1) / 64] >> ((end + 1) % 64) & 1))
			end++;
		strbuf_printf(out, "%s%u", first ? "" : ",", i);
		if (end > i)
			strbuf_printf(out, "-%u", end);
		first = false;
		i = end;
	}
}

static const char *state_name(char state)
{
	switch (state) {
	case 'R':
		return "R (running)";
	case 'D':
		return "D (disk sleep)";
	case 'T':
		return "T (stopped)";
	case 't':
		return "t (tracing stop)";
	case 'Z':
		return "Z (zombie)";
	case 'X':
		return "X (dead)";
	default:
		return "S (sleeping)";
	}
}

/* Names come from the guest. */
static void show_name(struct strbuf *out, const char *comm)
{
	for (size_t i = 0; i < TASK_COMM_LEN && comm[i]; i++) {
		if (comm[i] == '\n')
			strbuf_puts(out, "\\n");
		else if (comm[i] == '\\')
			strbuf_puts(out, "\\\\");
		else
			strbuf_putc(out, comm[i]);
	}
}

static void show_ids(struct strbuf *out, struct user_ns *viewer, const struct cred *c, uint32_t fd_size)
{
	strbuf_printf(out, "Uid:\t%u\t%u\t%u\t%u\n", user_ns_from_kuid(viewer, c->uid),
		      user_ns_from_kuid(viewer, c->euid), user_ns_from_kuid(viewer, c->suid),
		      user_ns_from_kuid(viewer, c->fsuid));
	strbuf_printf(out, "Gid:\t%u\t%u\t%u\t%u\n", user_ns_from_kgid(viewer, c->gid),
		      user_ns_from_kgid(viewer, c->egid), user_ns_from_kgid(viewer, c->sgid),
		      user_ns_from_kgid(viewer, c->fsgid));
	strbuf_printf(out, "FDSize:\t%u\nGroups:\t", fd_size);
	for (uint32_t i = 0; i < c->group_count; i++)
		strbuf_printf(out, "%s%u", i ? " " : "", user_ns_from_kgid(viewer, c->groups[i]));
	strbuf_puts(out, " \n");
}

/* The ids at each level of nested namespaces from the viewer's down. */
static void show_nested_ids(struct strbuf *out, struct proc_fs *fs, struct task *t, const struct task_info *i)
{
	int32_t tid[33], tgid[33];
	uint32_t n = 0;

	mutex_lock(&fs->kernel->tasklist_lock);
	for (uint32_t l = fs->ns->level; t->pid && l < t->pid->levels && n < ARRAY_SIZE(tid); l++) {
		tid[n] = t->pid->nrs[l].nr;
		tgid[n++] = l < t->process->pid->levels ? t->process->pid->nrs[l].nr : 0;
	}
	mutex_unlock(&fs->kernel->tasklist_lock);
	strbuf_puts(out, "NStgid:");
	for (uint32_t l = 0; l < n; l++)
		strbuf_printf(out, "\t%d", tgid[l]);
	strbuf_puts(out, "\nNSpid:");
	for (uint32_t l = 0; l < n; l++)
		strbuf_printf(out, "\t%d", tid[l]);
	strbuf_printf(out, "\nNSpgid:\t%d\nNSsid:\t%d\nKthread:\t0\n", i->pgrp, i->sid);
}

static void show_kb(struct strbuf *out, const char *name, uint64_t bytes)
{
	strbuf_printf(out, "%s:\t%8lu kB\n", name, bytes >> 10);
}

static void show_memory(struct strbuf *out, struct mm *mm)
{
	uint64_t vsize, rss, data, stack, text, locked;

	mm_usage(mm, &vsize, &rss, &data, &stack, &text);
	locked = __atomic_load_n(&mm->locked_pages, __ATOMIC_RELAXED) * PAGE_SIZE;
	show_kb(out, "VmPeak", vsize);
	show_kb(out, "VmSize", vsize);
	show_kb(out, "VmLck", locked);
	show_kb(out, "VmPin", 0);
	show_kb(out, "VmHWM", rss);
	show_kb(out, "VmRSS", rss);
	show_kb(out, "RssAnon", rss);
	show_kb(out, "RssFile", 0);
	show_kb(out, "RssShmem", 0);
	show_kb(out, "VmData", data);
	show_kb(out, "VmStk", stack);
	show_kb(out, "VmExe", text);
	show_kb(out, "VmLib", 0);
	show_kb(out, "VmPTE", (rss / (PAGE_SIZE * 512) + 10) * PAGE_SIZE);
	show_kb(out, "VmSwap", 0);
	show_kb(out, "HugetlbPages", 0);
	strbuf_puts(out, "CoreDumping:\t0\nTHP_enabled:\t1\nuntag_mask:\t0xffffffffffffffff\n");
}

static void show_signals(struct strbuf *out, const struct task_info *i)
{
	strbuf_printf(out, "Threads:\t%u\nSigQ:\t%lu/%lu\n", i->threads, i->sig_queued, i->sig_limit);
	strbuf_printf(out,
		      "SigPnd:\t%016lx\nShdPnd:\t%016lx\nSigBlk:\t%016lx\nSigIgn:\t%016lx\nSigCgt:\t%016lx\n",
		      i->pending, i->shared_pending, i->blocked, i->ignored, i->caught);
}

static void show_capabilities(struct strbuf *out, const struct cred *c)
{
	strbuf_printf(out,
		      "CapInh:\t%016lx\nCapPrm:\t%016lx\nCapEff:\t%016lx\nCapBnd:\t%016lx\nCapAmb:\t%016lx\n",
		      c->inheritable, c->permitted, c->effective, c->bounding, c->ambient);
	strbuf_printf(out, "NoNewPrivs:\t%d\n", c->no_new_privs);
}

static void show_affinity(struct strbuf *out, struct task *t)
{
	uint64_t mask[SCHED_MASK_WORDS] = {0};
	uint32_t cpus = MIN(t->kernel->cpu_count, (uint32_t)SCHED_MASK_WORDS * 64);

	sched_get_mask(t, mask);
	strbuf_puts(out, "Cpus_allowed:\t");
	proc_show_mask(out, mask, cpus);
	strbuf_puts(out, "\nCpus_allowed_list:\t");
	proc_show_mask_list(out, mask, cpus);
	strbuf_puts(out, "\nMems_allowed:\t00000000,00000001\nMems_allowed_list:\t0\n");
}

static void show_task(struct pseudo_node *n, struct file *f, struct task *t, const struct cred *c,
		      struct strbuf *out)
{
	struct fs_context *fs = task_fs_get(t);
	struct fdtable *fds = task_fds_get(t);
	struct mm *mm = task_mm_get(t);
	bool whole = !(n->arg & PROC_THREAD);
	struct task_info i;

	task_info(proc_fs(n)->ns, t, whole, &i);
	strbuf_puts(out, "Name:\t");
	show_name(out, i.comm);
	if (fs)
		strbuf_printf(out, "\nUmask:\t%04o", __atomic_load_n(&fs->umask, __ATOMIC_RELAXED));
	strbuf_printf(out, "\nState:\t%s\nTgid:\t%d\nNgid:\t0\nPid:\t%d\nPPid:\t%d\nTracerPid:\t%d\n",
		      state_name(i.state), i.tgid, whole ? i.tgid : i.tid, i.ppid, i.tracer);
	if (c)
		show_ids(out, f->cred->user_ns, c, fds ? fds->size : 0);
	show_nested_ids(out, proc_fs(n), t, &i);
	if (mm)
		show_memory(out, mm);
	show_signals(out, &i);
	if (c)
		show_capabilities(out, c);
	strbuf_printf(out, "Seccomp:\t%u\nSeccomp_filters:\t%u\n", i.seccomp_mode, i.seccomp_filters);
	strbuf_puts(out, "Speculation_Store_Bypass:\tthread vulnerable\n"
			 "SpeculationIndirectBranch:\tconditional enabled\n");
	show_affinity(out, t);
	strbuf_printf(out, "voluntary_ctxt_switches:\t%lu\nnonvoluntary_ctxt_switches:\t%lu\n", i.voluntary,
		      i.involuntary);
	if (mm)
		mm_put(mm);
	if (fds)
		fdtable_put(fds, NULL);
	if (fs)
		fs_context_put(fs);
}

int proc_show_status(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	struct task *t = proc_task(n);
	struct cred *c;

	if (!t)
		return -ESRCH;
	c = task_cred_get(t);
	show_task(n, f, t, c, out);
	if (c)
		cred_put(c);
	task_put(t);
	return 0;
}

static void show_row(struct strbuf *out, const char *name, uint64_t v)
{
	strbuf_printf(out, "%-45s:%21lu\n", name, v);
}

int proc_show_sched(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	struct task *t = proc_task(n);
	struct task_info i;
	uint64_t run;

	(void)f;
	if (!t)
		return -ESRCH;
	task_info(proc_fs(n)->ns, t, false, &i);
	task_put(t);
	run = i.utime + i.stime;
	strbuf_printf(out, "%.*s (%d, #threads: %u)\n", TASK_COMM_LEN, i.comm, i.tid, i.threads);
	strbuf_puts(out, "-------------------------------------------------------------------\n");
	strbuf_printf(out, "%-45s:%14lu.%06lu\n", "se.sum_exec_runtime", run / 1000000, run % 1000000);
	show_row(out, "nr_switches", i.voluntary + i.involuntary);
	show_row(out, "nr_voluntary_switches", i.voluntary);
	show_row(out, "nr_involuntary_switches", i.involuntary);
	show_row(out, "policy", i.policy);
	show_row(out, "prio", (uint64_t)(i.rt_priority ? 99 - i.rt_priority : (uint32_t)(120 + i.nice)));
	return 0;
}
