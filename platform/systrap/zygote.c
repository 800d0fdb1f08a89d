/* zygote.c: the process that all guest processes descend from. It is forked once from the sentry, shares
 * nothing with it but the slots of its own, gives up every descriptor but its socket, builds the stub
 * region, lets everything else be unmapped by the stub, and is a stub waiting for commands from then on. It
 * never runs guest code.
 *
 * The child's side runs on a private copy of the sentry's memory: no locks, no arena writes. */
#include "platform/systrap/internal.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#ifdef __GLIBC__
#include <sys/rseq.h>
#endif
#include <sys/syscall.h>

#include "platform/base/arena.h"
#include "platform/base/random.h"
#include "platform/base/thread.h"
#include "platform/host/hostcall.h"
#include "platform/host/x86_64/raw_syscall.h"
#include "platform/systrap/filter.h"

#define CLEAR_END	 (STUB_TEXT_ADDR - (2UL << 32)) /* what lies between is unmapped at once */
#define RSEQ_SIG	 0x53053053
#define SYS_MSEAL	 462 /* newer than some libc */
#define ARCH_SET_GS	 0x1001
#define ARCH_SET_FS	 0x1002
#define SA_RESTORER_FLAG 0x04000000

extern const char systrap_stub_start[], systrap_stub_end[];

struct zygote_setup {
	struct sys_platform *platform;
	int sock, memfd;
	uint64_t slot;		/* address in the child */
	uint64_t vdso_to;	/* where its vDSO (with data) is to be */
	uint64_t clock_gettime; /* offset in the vDSO, or 0 */
	struct sock_filter prog[FILTER_MAX];
	unsigned prog_len;
};

NORETURN static void die(int step)
{
	hc_exit_group(100 + step);
}

static void must_at(uint64_t got, uint64_t want, int step)
{
	if (got != want)
		die(step);
}

/* The host puts its vDSO where chance will have it, in the hole too, and where it is in the sentry is no
 * business of guests: it moves to `to`, mapping by mapping (they can't be split, so a size that fits is
 * one). Some hosts seal it; then it stays. */
static bool move_vdso(uint64_t from, uint64_t end, uint64_t to)
{
	uint64_t n;

	while (from < end) {
		for (n = end - from; n; n -= PAGE_SIZE)
			if (hc_mremap(from, n, n, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to)
				break;
		if (!n)
			return false;
		from += n;
		to += n;
	}
	return true;
}

/* Its new place, told to the sentry through the slot; 0: it stays where it is. */
static uint64_t place_vdso(const struct zygote_setup *z)
{
	struct stub_slot *s = (struct stub_slot *)z->slot;
	const struct platform *p = &z->platform->base;

	if (p->vdso_start && move_vdso(p->vvar_start, p->vdso_end, z->vdso_to))
		s->fs_base = z->vdso_to;
	return s->fs_base;
}

static void build_region(const struct zygote_setup *z)
{
	size_t n = (size_t)(systrap_stub_end - systrap_stub_start);
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;

	if (hc_munmap(CLEAR_END, STUB_TEXT_ADDR - CLEAR_END) < 0)
		die(14);
	must_at(hc_mmap(STUB_TEXT_ADDR, STUB_TEXT_SIZE, PROT_READ | PROT_WRITE, flags, -1, 0), STUB_TEXT_ADDR,
		1);
	memcpy((void *)STUB_TEXT_ADDR, systrap_stub_start, n);
	if (hc_mprotect(STUB_TEXT_ADDR, STUB_TEXT_SIZE, PROT_READ | PROT_EXEC) < 0)
		die(2);
	must_at(hc_mmap(STUB_WORDS_ADDR, STUB_WORDS_SIZE, PROT_READ, MAP_SHARED | MAP_FIXED_NOREPLACE,
			z->platform->words_fd, 0),
		STUB_WORDS_ADDR, 15);
	must_at(hc_mmap(STUB_SLOTS_ADDR, SLOTS_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE,
			z->memfd, 0),
		STUB_SLOTS_ADDR, 5);
}

/* The gaps between what stays: the stub region and the vDSO with its data. */
static void find_gaps(struct stub_config *config, uint64_t vdso, uint64_t vdso_end)
{
	/* The filter is coarse: the stub can't reach the last 4 GiB before its own region. Nothing is
	 * there. */
	uint64_t keep[3][2] = {{CLEAR_END, STUB_REGION_END}, {vdso, vdso_end}, {GUEST_VA_END, GUEST_VA_END}};
	uint64_t at = 0;

	if (vdso && vdso < STUB_TEXT_ADDR) {
		keep[0][0] = vdso;
		keep[0][1] = vdso_end;
		keep[1][0] = CLEAR_END;
		keep[1][1] = STUB_REGION_END;
	}
	for (size_t i = 0; i < 3; i++) {
		if (!keep[i][1])
			continue;
		if (keep[i][0] > at) {
			config->gap[config->gap_count].start = at;
			config->gap[config->gap_count++].end = keep[i][0];
		}
		at = keep[i][1];
	}
}

static void build_config(const struct zygote_setup *z, uint64_t vdso)
{
	const struct platform *p = &z->platform->base;
	struct stub_config *config = (struct stub_config *)STUB_CONF_ADDR;

	must_at(hc_mmap(STUB_CONF_ADDR, PAGE_SIZE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0),
		STUB_CONF_ADDR, 3);
	config->sentry = (uint64_t)hc_getppid();
	config->fp_mask = z->platform->xfeatures;
	if (z->clock_gettime)
		config->vdso_clock_gettime =
			(vdso ? vdso + (p->vdso_start - p->vvar_start) : p->vdso_start) + z->clock_gettime;
	if (vdso)
		find_gaps(config, vdso, vdso + (p->vdso_end - p->vvar_start));
	else
		find_gaps(config, p->vvar_start, p->vdso_end);
	if (hc_mprotect(STUB_CONF_ADDR, PAGE_SIZE, PROT_READ) < 0)
		die(4);
	/* Older hosts know no sealing; the filter refuses changes there in any case. */
	(void)raw_syscall3(SYS_MSEAL, STUB_TEXT_ADDR, STUB_TEXT_SIZE + PAGE_SIZE, 0);
	(void)raw_syscall3(SYS_MSEAL, STUB_WORDS_ADDR, STUB_WORDS_SIZE, 0);
}

static void install_handlers(const struct zygote_setup *z)
{
	static const uint8_t caught[] = {SIGSYS, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, STUB_SIG_KICK};
	struct hc_sigaction sa;
	stack_t ss = {.ss_sp = (void *)(z->slot + SLOT_ALT), .ss_size = SLOT_ALT_SIZE};

	memset(&sa, 0, sizeof(sa));
	for (int sig = 1; sig <= 64; sig++)
		(void)hc_sigaction(sig, &sa, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(caught); i++) {
		/* Faults of the stub itself must get through while another handler runs. */
		sa.mask = 1ULL << (STUB_SIG_KICK - 1);
		if (caught[i] != SIGSYS)
			sa.mask |= 1ULL << (SIGSYS - 1);
		sa.handler = z->platform->stub->on_signal;
		sa.restorer = z->platform->stub->restorer;
		sa.flags = SA_SIGINFO | SA_ONSTACK | SA_RESTORER_FLAG;
		if (hc_sigaction(caught[i], &sa, NULL) < 0)
			die(6);
	}
	if (raw_syscall3(SYS_sigaltstack, (long)&ss, 0, 0) < 0)
		die(7);
}

static void set_limits(void)
{
	static const struct rlimit64 none = {0, 0}, files = {STUB_FD_MAX, STUB_FD_MAX};

	(void)hc_prlimit(0, RLIMIT_CORE, &none, NULL);
	(void)hc_prlimit(0, RLIMIT_NOFILE, &files, NULL);
	(void)hc_prlimit(0, RLIMIT_MSGQUEUE, &none, NULL);
	(void)hc_prlimit(0, RLIMIT_SIGPENDING, &(struct rlimit64){64, 64}, NULL);
}

static void leave_rseq(void)
{
#ifdef __GLIBC__ /* musl has no use for such an area */
	char *area = (char *)__builtin_thread_pointer() + __rseq_offset;

	/* The kernel would write to memory that is unmapped soon. The size is what libc registered. */
	if (hc_rseq((uint64_t)area, 32, 1, RSEQ_SIG) < 0 && __rseq_size)
		(void)hc_rseq((uint64_t)area, __rseq_size, 1, RSEQ_SIG);
#endif
}

NORETURN static void zygote_child(const struct zygote_setup *z)
{
	const struct stub_header *stub = z->platform->stub;
	struct sock_fprog prog = {.len = (unsigned short)z->prog_len, .filter = (struct sock_filter *)z->prog};
	uint64_t none = 0;

	if (hc_setpgid(0, 0) < 0)
		die(8);
	(void)hc_prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	(void)hc_prctl(PR_SET_NAME, (uint64_t) "sbx-guest", 0, 0, 0);
	leave_rseq();
	build_region(z);
	build_config(z, place_vdso(z));
	install_handlers(z);
	if (z->sock == 0 || hc_dup3(z->sock, STUB_SOCK) < 0)
		die(9);
	if (hc_close_range(1, ~0U, 0) < 0)
		die(10);
	set_limits();
	if (raw_syscall6(SYS_arch_prctl, ARCH_SET_GS, (long)z->slot, 0, 0, 0, 0) < 0)
		die(11);
	(void)hc_sigprocmask(SIG_SETMASK, &none, NULL);
	if (hc_prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		die(12);
	/* Thread-local storage goes last: nothing of libc runs from here. */
	if (raw_syscall3(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, (long)&prog) < 0)
		die(13);
	__asm__ volatile("jmp *%1" ::"D"(z->slot), "r"(stub->start) : "memory");
	__builtin_unreachable();
}

/* Nothing of the sentry's registers may reach a guest. Also waits until the old world is gone. */
static int clean_state(struct sys_context *c)
{
	uint32_t mxcsr = 0x1f80;

	memcpy((char *)c->slot + SLOT_FP + 24, &mxcsr, sizeof(mxcsr));
	if (stub_command(c, CMD_CALL, SYS_arch_prctl, ARCH_SET_FS, 0, 0, 0, 0, 0) != 0)
		return -EIO;
	return stub_command(c, CMD_FP_LOAD, 0, 0, 0, 0, 0, 0, 0) < 0 ? -EIO : 0;
}

int zygote_start(struct sys_platform *p)
{
	struct zygote_setup *z = kmalloc(sizeof(*z));
	struct sys_context *c = NULL;
	struct sys_proc *proc = NULL;
	struct sys_aspace *as = NULL;
	int ret, child_sock, pid;

	if (!z)
		return -ENOMEM;
	ret = proc_alloc(p, &proc, &child_sock);
	if (ret < 0)
		goto free_setup;
	ret = context_alloc(p, &c);
	if (ret < 0)
		goto put_proc;
	ret = proc_take_slot(proc, c, 0);
	if (ret < 0)
		goto free_context;
	ret = aspace_alloc(p, proc, &as);
	if (ret < 0)
		goto drop_slot;
	c->base.as = &as->base;
	slot_init(c);
	z->platform = p;
	z->sock = child_sock;
	z->memfd = proc->memfd;
	z->slot = slot_address(c->index);
	z->prog_len = filter_build(z->prog);
	z->clock_gettime =
		vdso_symbol(p->base.vdso_start, p->base.vdso_end - p->base.vdso_start, "__vdso_clock_gettime");
	z->vdso_to = SBX_HOLE_END + (random_u64() % (1UL << 26)) * PAGE_SIZE;
	pid = hc_fork(0);
	if (pid == 0)
		zygote_child(z);
	hc_close(child_sock);
	if (pid < 0) {
		ret = pid;
		goto drop_slot_closed;
	}
	(void)hc_setpgid(pid, pid); /* it does so too: who comes first */
	c->tid = pid;
	c->slot->tid = 1;
	p->pgid = pid;
	p->zygote = c;
	proc_register(proc, pid);
	proc_put(proc);
	ret = thread_start(proc_reaper, p, "reaper");
	if (ret == 0)
		ret = clean_state(c);
	if (ret == 0 && c->slot->fs_base) {
		p->base.vdso_start += c->slot->fs_base - p->base.vvar_start;
		p->base.vdso_end += c->slot->fs_base - p->base.vvar_start;
		p->base.vvar_start = c->slot->fs_base;
	}
	kfree(z);
	return ret;
drop_slot:
	hc_close(child_sock);
drop_slot_closed:
	if (as)
		aspace_put(&as->base);
	proc_drop_slot(proc, c);
	kfree(c);
	proc_put(proc);
	goto free_setup;
free_context:
	kfree(c);
put_proc:
	hc_close(child_sock);
	proc_put(proc);
free_setup:
	kfree(z);
	return ret;
}
