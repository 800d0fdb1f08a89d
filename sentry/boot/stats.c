/* stats.c: --stats: what the sandbox did, as one JSON object. Names are those of the system call table, so
 * no string needs escaping. */
#include <unistd.h>

#include "platform/base/clock.h"
#include "platform/base/log.h"
#include "platform/base/strbuf.h"
#include "sentry/boot/boot.h"
#include "sentry/kernel/stats.h"
#include "sentry/mem/mem.h"
#include "sentry/socket/inet.h"
#include "sentry/syscalls/sys.h"

static void add_calls(struct strbuf *out, const struct kernel_stats *st)
{
	uint64_t total = 0;
	bool first = true;

	strbuf_puts(out, "  \"calls\": {");
	for (int64_t nr = 0; nr < (int64_t)ARRAY_SIZE(st->call); nr++) {
		const struct sys_entry *e = sys_lookup(nr);
		uint64_t n = __atomic_load_n(&st->call[nr].calls, __ATOMIC_RELAXED);

		if (!n)
			continue;
		total += n;
		strbuf_printf(out, "%s\n    \"%s\": {\"count\": %llu, \"errors\": %llu, \"ns\": %llu}",
			      first ? "" : ",", e ? e->name : "unknown", (unsigned long long)n,
			      (unsigned long long)__atomic_load_n(&st->call[nr].errors, __ATOMIC_RELAXED),
			      (unsigned long long)__atomic_load_n(&st->call[nr].ns, __ATOMIC_RELAXED));
		first = false;
	}
	strbuf_printf(out, "\n  },\n  \"total_calls\": %llu,\n", (unsigned long long)total);
}

static void add_figure(void *arg, const char *name, uint64_t value)
{
	strbuf_printf(arg, " \"%s\": %llu,", name, (unsigned long long)value);
}

static void add_network(struct strbuf *out, struct kernel *k)
{
	struct net_stack *st = __atomic_load_n(&k->net_ns->priv, __ATOMIC_ACQUIRE);

	strbuf_puts(out, "  \"network\": {");
	if (st)
		inet_stats(st, add_figure, out);
	strbuf_puts(out, " \"namespace\": \"initial\"},\n");
}

static double ms(uint64_t from, uint64_t to)
{
	return (double)(to - from) / 1e6;
}

static void add_platform(struct strbuf *out, struct platform *p)
{
	strbuf_printf(out, "  \"platform\": {");
	if (p->ops->stats)
		p->ops->stats(p, add_figure, out);
	strbuf_printf(out, " \"name\": \"%s\"},\n", p->ops->name);
}

bool stats_text(struct boot *b, struct strbuf *out)
{
	const struct kernel_stats *st = b->kernel->stats;
	struct arena_stats a;

	if (!st)
		return false;
	arena_stats(&a);
	strbuf_puts(out, "{\n");
	add_calls(out, st);
	add_platform(out, b->kernel->platform);
	add_network(out, b->kernel);
	strbuf_printf(out, "  \"faults\": %llu,\n  \"kicks\": %llu,\n  \"blocks\": %llu,\n",
		      (unsigned long long)st->faults, (unsigned long long)st->kicks,
		      (unsigned long long)st->blocks);
	strbuf_printf(out,
		      "  \"kernel_memory\": {\"pages\": %llu, \"peak_pages\": %llu, \"objects\": %llu},\n"
		      "  \"file_memory\": %llu,\n",
		      (unsigned long long)a.page_bytes, (unsigned long long)a.peak_page_bytes,
		      (unsigned long long)a.objects, (unsigned long long)mem_used());
	strbuf_printf(
		out,
		"  \"startup_ms\": {\"platform\": %.3f, \"kernel_and_mounts\": %.3f, \"program\": %.3f},\n"
		"  \"wall_ms\": %.3f\n}\n",
		ms(b->start_ns, b->phase_ns[0]), ms(b->phase_ns[0], b->phase_ns[1]),
		ms(b->phase_ns[1], b->phase_ns[2]), ms(b->start_ns, clock_monotonic_ns()));
	return true;
}

void stats_write(struct boot *b, int fd)
{
	struct strbuf out;

	strbuf_init(&out);
	if (stats_text(b, &out) && strbuf_ok(&out) && write(fd, out.data, out.len) < 0)
		log_warn("cannot write the statistics");
	strbuf_fini(&out);
}
