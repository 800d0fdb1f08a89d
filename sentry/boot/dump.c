/* dump.c: the state of a live sandbox as text, for `sbx debug PID`: each task, what it is doing, and the
 * counters. Reads what may change under it; a torn value is a wrong line, never a fault. */
#include <inttypes.h>
#include <string.h>

#include "platform/base/log.h"
#include "platform/base/strbuf.h"
#include "sentry/boot/clients.h"
#include "sentry/mem/mem.h"
#include "sentry/syscalls/sys.h"

static void dump_task(struct boot *b, struct task *t, struct strbuf *out)
{
	struct run_event ev = t->event;
	const struct sys_entry *e = sys_lookup(ev.nr);
	struct task_info info;
	char comm[TASK_COMM_LEN * 4 + 1];

	task_info(b->kernel->pid_ns, t, false, &info);
	log_escape(comm, sizeof(comm), info.comm, strnlen(info.comm, sizeof(info.comm)));
	strbuf_printf(out, "  task %d of process %d (%s) state %c parent %d group %d session %d\n", info.tid,
		      info.tgid, comm, info.state, info.ppid, info.pgrp, info.sid);
	strbuf_printf(out, "    last call %s(0x%" PRIx64 ", 0x%" PRIx64 ", 0x%" PRIx64 ", 0x%" PRIx64 ")\n",
		      e ? e->name : "none", ev.args[0], ev.args[1], ev.args[2], ev.args[3]);
	strbuf_printf(
		out, "    signals: blocked %" PRIx64 " pending %" PRIx64 " shared %" PRIx64 ", work 0x%x\n",
		info.blocked, info.pending, info.shared_pending, __atomic_load_n(&t->work, __ATOMIC_RELAXED));
	strbuf_printf(out, "    cpu: user %.3f s, system %.3f s\n", (double)info.utime / 1e9,
		      (double)info.stime / 1e9);
}

void dump_state(struct boot *b, struct strbuf *out)
{
	struct pid_ns *ns = b->kernel->pid_ns;
	struct arena_stats a;
	struct task *leader, *t;

	arena_stats(&a);
	strbuf_printf(out,
		      "platform %s, %u tasks, kernel memory %" PRIu64 " bytes in %" PRIu64
		      " objects, file memory %" PRIu64 " bytes\n",
		      b->platform->ops->name, __atomic_load_n(&b->kernel->task_count, __ATOMIC_RELAXED),
		      a.used_bytes, a.objects, mem_used());
	for (int32_t after = 0; (leader = process_next(ns, after));) {
		after = pid_nr_in(leader->process->pid, ns);
		for (int32_t tid = 0; (t = task_next(leader->process, ns, tid));) {
			tid = pid_nr_in(t->pid, ns);
			dump_task(b, t, out);
			task_put(t);
			if (tid <= 0)
				break;
		}
		task_put(leader);
		if (after <= 0)
			break;
	}
}

static void ps_line(struct boot *b, struct task *leader, struct strbuf *out)
{
	char comm[TASK_COMM_LEN * 4 + 1];
	struct task_info info;
	struct cred *c = task_cred_get(leader);

	task_info(b->kernel->pid_ns, leader, true, &info);
	log_escape(comm, sizeof(comm), info.comm, strnlen(info.comm, sizeof(info.comm)));
	strbuf_printf(out, "%-8u %-7d %-7d %-4c %-8" PRIu64 " %s\n", c ? c->uid : 0, info.tgid, info.ppid,
		      info.state, (info.utime + info.stime) / 1000000, comm);
	if (c)
		cred_put(c);
}

void ps_table(struct boot *b, struct strbuf *out)
{
	struct pid_ns *ns = b->kernel->pid_ns;
	struct task *leader;

	strbuf_puts(out, "UID      PID     PPID    STAT TIME(ms) CMD\n");
	for (int32_t after = 0; (leader = process_next(ns, after));) {
		after = pid_nr_in(leader->process->pid, ns);
		ps_line(b, leader, out);
		task_put(leader);
		if (after <= 0)
			break;
	}
}
