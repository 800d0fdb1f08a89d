/* systrap.c: the fast platform: setting up, and the table of operations. See README.md. */
#include "platform/systrap/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "platform/base/arena.h"
#include "platform/base/clock.h"
#include "platform/base/log.h"
#include "platform/host/hostcall.h"
#include "platform/host/memfd.h"
#include "platform/host/proc.h"

extern const char systrap_stub_start[], systrap_stub_end[];

/* Looks before sleeping, 25 to 40 ns each: about what a wake-up costs. */
#define SPIN_LIMIT 400

#define SECCOMP_GET_ACTION_AVAIL 2

static int systrap_probe(char *why, size_t size)
{
	uint32_t action = 0x00030000; /* SECCOMP_RET_TRAP */
	int ret = hc_seccomp(SECCOMP_GET_ACTION_AVAIL, 0, &action);

	if (ret < 0)
		snprintf(why, size, "the host kernel has no seccomp filters (error %d)", -ret);
	return ret;
}

/* Processors that this process may use at the same time. */
static unsigned usable_cpus(void)
{
	cpu_set_t set;
	int n = hc_sched_getaffinity(0, sizeof(set), &set);

	return n > 0 ? (unsigned)CPU_COUNT_S((size_t)n, &set) : 1;
}

/* Memory for changes.h: nobody who maps it after this can write to it. */
static int create_words(struct sys_platform *p)
{
	uint64_t at;
	int fd = memfd_create_sized("sbx-words", STUB_WORDS_SIZE);

	if (fd < 0)
		return fd;
	at = hc_mmap(0, STUB_WORDS_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (hc_is_error(at)) {
		hc_close(fd);
		return (int)at;
	}
	/* older hosts don't know the seal; guests get a mapping that they can't change, not the descriptor */
	(void)hc_fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
	p->words_fd = fd;
	p->base.words = (uint64_t *)at;
	return 0;
}

static int systrap_create(struct platform **out)
{
	struct sys_platform *p = kmalloc(sizeof(*p));
	unsigned cpus = usable_cpus();
	int ret;

	if (!p)
		return -ENOMEM;
	p->base.ops = &systrap_platform_ops;
	mutex_init(&p->lock, RANK_PLATFORM);
	mutex_init(&p->zygote_lock, RANK_PLATFORM);
	for (size_t i = 0; i < PROC_HASH; i++)
		list_init(&p->procs[i]);
	p->stub = (const struct stub_header *)systrap_stub_start;
	p->kick_deadline = 10 * NSEC_PER_SEC;
	p->spinners_max = cpus - 1;
	p->spin_limit = cpus > 1 ? SPIN_LIMIT : 0;
	fpu_probe(p);
	ret = create_words(p);
	if (ret < 0) {
		kfree(p);
		return ret;
	}
	if (proc_find_vdso(&p->base.vvar_start, &p->base.vdso_start, &p->base.vdso_end) < 0) {
		log_info("systrap: the host's vDSO can't be located: guests run without one");
		p->base.vvar_start = p->base.vdso_start = p->base.vdso_end = 0;
	}
	ret = zygote_start(p);
	if (ret < 0) {
		kfree(p);
		return ret;
	}
	*out = &p->base;
	return 0;
}

static void systrap_destroy(struct platform *base)
{
	struct sys_platform *p = sys_platform(base);
	struct sys_context *z = p->zygote;
	uint32_t v;

	__atomic_store_n(&p->closing, 1, __ATOMIC_RELEASE);
	fork_drop_ready(p);
	/* The group's death ends the reaper, which is the last to use p. */
	(void)hc_kill(-p->pgid, SIGKILL);
	while ((v = __atomic_load_n(&p->closing, __ATOMIC_ACQUIRE)) != 2)
		(void)futex_wait_word(&p->closing, v, 0);
	systrap_context_destroy(&z->base);
	hc_munmap((uint64_t)p->base.words, STUB_WORDS_SIZE);
	hc_close(p->words_fd);
	kfree(p);
}

/* The zygote has its slot already. */
static void systrap_no_spare_cpu(struct platform *base)
{
	struct sys_platform *p = sys_platform(base);

	p->spinners_max = p->spin_limit = 0;
	p->zygote->slot->spin = 0;
}

static void emit_all(const struct systrap_stats *s, void (*emit)(void *arg, const char *name, uint64_t value),
		     void *arg)
{
	static const char *const names[] = {
#define STAT(name) #name,
#include "platform/systrap/stats.def"
#undef STAT
	};
	const uint64_t *v = (const uint64_t *)s;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		emit(arg, names[i], v[i]);
}

static void add_stats(struct systrap_stats *to, const struct systrap_stats *from)
{
	for (size_t i = 0; i < sizeof(*to) / sizeof(uint64_t); i++)
		((uint64_t *)to)[i] += ((const uint64_t *)from)[i];
}

/* Of a context that ends, or that is looked at. The stub's own counts are the guest's word. */
void systrap_add_stats(struct systrap_stats *to, struct sys_context *c)
{
	add_stats(to, &c->stats);
	to->answered += c->slot->tier0;
	to->stub_sleeps += c->slot->sleeps;
	to->stub_spins_won += c->slot->spins_won;
}

static void systrap_stats_op(struct platform *base, void (*emit)(void *arg, const char *name, uint64_t value),
			     void *arg)
{
	struct sys_platform *p = sys_platform(base);
	struct systrap_stats sum;

	LOCK(&p->lock);
	sum = p->stats;
	mutex_unlock(&p->lock);
	emit_all(&sum, emit, arg);
}

const struct platform_ops systrap_platform_ops = {
	.name = "systrap",
	.probe = systrap_probe,
	.create = systrap_create,
	.destroy = systrap_destroy,
	.no_spare_cpu = systrap_no_spare_cpu,
	.context_create = systrap_context_create,
	.context_fork = systrap_context_fork,
	.context_thread = systrap_context_thread,
	.context_new_aspace = systrap_context_new_aspace,
	.context_bind = systrap_context_bind,
	.context_destroy = systrap_context_destroy,
	.aspace_destroy = systrap_aspace_destroy,
	.run = systrap_run,
	.kick = systrap_kick,
	.regs = systrap_regs,
	.set_result = systrap_set_result,
	.settle = systrap_settle,
	.asleep = systrap_asleep,
	.futex_waiters = systrap_futex_waiters,
	.futex_wake = systrap_futex_wake,
	.futex_wake_last = systrap_futex_wake_last,
	.fpstate_get = systrap_fpstate_get,
	.fpstate_set = systrap_fpstate_set,
	.fpstate_size = systrap_fpstate_size,
	.map = systrap_map,
	.unmap = systrap_unmap,
	.protect = systrap_protect,
	.remap = systrap_remap,
	.advise = systrap_advise,
	.mincore = systrap_mincore,
	.copy_in = systrap_copy_in,
	.copy_out = systrap_copy_out,
	.zero_out = systrap_zero_out,
	.poke = systrap_poke,
	.cmpxchg_u32 = systrap_cmpxchg_u32,
	.publish = systrap_publish,
	.answer = systrap_answer,
	.answers_used = systrap_answers_used,
	.lend = systrap_lend,
	.take_back = systrap_take_back,
	.set_position = systrap_set_position,
	.sigmask_now = systrap_sigmask_now,
	.cpu_time = systrap_cpu_time,
	.resident = systrap_resident,
	.stats = systrap_stats_op,
};
