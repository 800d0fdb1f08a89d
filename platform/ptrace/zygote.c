/* zygote.c: the process that every fresh address space is a copy of. It is a fork of the sentry that gave
 * everything away: no memory but the stub and the host's vDSO, no signal handlers, no way to make a system
 * call from anywhere but the stub (seccomp). It shares the sentry's descriptor table and nothing else.
 *
 * It sits in the stub's idle loop, untraced. Whoever needs a new process takes zygote_lock, attaches, lets
 * it clone, and detaches. */
#include "platform/ptrace/internal.h"

#include <linux/filter.h>
#include <linux/ptrace.h>
#include <linux/seccomp.h>
#include <linux/audit.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#ifdef __GLIBC__
#include <sys/rseq.h>
#endif
#include <sys/syscall.h>
#include <sys/wait.h>

#include "platform/base/log.h"
#include "platform/host/hostcall.h"
#include "platform/host/memfd.h"
#include "platform/host/proc.h"

/* The kernel keeps a guest's stack, randomised, in the topmost 16 GiB. */
#define VDSO_BELOW_TOP (32UL << 30)

/* ---- the child's side: raw calls only, nothing on the heap ---- */

#define LD(field)	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define LD_HIGH(field)	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field) + 4)
#define JEQ(v, yes, no) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(v), yes, no)
#define JGE(v, yes, no) BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, (uint32_t)(v), yes, no)
#define ALLOW_NR(nr)	JEQ(nr, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define KILL		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)

/* Guest code never gets here: under PTRACE_SYSEMU a call stops before seccomp sees it. The filter is for
 * the stub's own calls and for the day that something goes wrong. The vsyscall page is emulated by the host
 * kernel, which asks the filter: its three calls tell the time and the processor, as the vDSO does. */
static const struct sock_filter filter[] = {
	LD(arch),
	JEQ(AUDIT_ARCH_X86_64, 1, 0),
	KILL,
	LD_HIGH(instruction_pointer),
	JEQ(STUB_TEXT >> 32, 8, 0),
	JEQ(0xffffffff, 1, 0),
	KILL,
	LD(nr),
	JEQ(SYS_gettimeofday, 2, 0),
	JEQ(SYS_time, 1, 0),
	JEQ(SYS_getcpu, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	KILL,
	LD(instruction_pointer),
	JGE(STUB_TEXT + PAGE_SIZE, 0, 1),
	KILL,
	LD(nr),
	ALLOW_NR(SYS_mmap),
	ALLOW_NR(SYS_munmap),
	ALLOW_NR(SYS_mprotect),
	ALLOW_NR(SYS_mremap),
	ALLOW_NR(SYS_madvise),
	ALLOW_NR(SYS_mincore),
	ALLOW_NR(SYS_clone),
	ALLOW_NR(SYS_pause),
	ALLOW_NR(SYS_prctl),
	ALLOW_NR(SYS_getppid),
	ALLOW_NR(SYS_exit),
	ALLOW_NR(SYS_exit_group),
	KILL,
};
_Static_assert((uint32_t)STUB_TEXT == 0, "the filter compares the low half with the page's end only");

static void child_reset_signals(void)
{
	static const uint64_t none;

	for (int sig = 1; sig <= 64; sig++) {
		/* Faults keep their deadly default; a kick that arrives when nobody traces is ignored. */
		bool fault = sig == SIGSEGV || sig == SIGBUS || sig == SIGFPE || sig == SIGILL ||
			     sig == SIGTRAP || sig == SIGSYS;
		struct hc_sigaction act = {.handler = (uint64_t)(uintptr_t)(fault ? SIG_DFL : SIG_IGN)};

		hc_sigaction(sig, &act, NULL);
	}
	hc_sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The C library registered its rseq area for this thread; the kernel would go on writing there. */
static int child_leave_rseq(void)
{
#ifdef __GLIBC__ /* musl has no use for such an area */
	uint64_t area = (uint64_t)(uintptr_t)__builtin_thread_pointer() + (uint64_t)__rseq_offset;
	unsigned feature = (unsigned)getauxval(27 /* AT_RSEQ_FEATURE_SIZE */);
	const unsigned sizes[] = {32, __rseq_size, ROUND_UP(feature, 32u)};

	if (!__rseq_size)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		if (!hc_rseq(area, sizes[i], 1 /* UNREGISTER */, 0x53053053))
			return 0;
	return -EINVAL;
#else
	return 0;
#endif
}

static int child_map_stub(int fd)
{
	uint64_t v;

	v = hc_mmap(STUB_TEXT, PAGE_SIZE, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED, fd, 0);
	if (hc_is_error(v))
		return (int)v;
	v = hc_mmap(STUB_SCRATCH, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		    -1, 0);
	return hc_is_error(v) ? (int)v : 0;
}

static int child_limit(void)
{
	static const struct rlimit64 no_core;
	struct rlimit64 stack;
	int ret;

	ret = hc_prlimit(0, RLIMIT_CORE, &no_core, NULL);
	if (ret < 0)
		return ret;
	/* the sentry's books bound the guest's stacks */
	ret = hc_prlimit(0, RLIMIT_STACK, NULL, &stack);
	if (ret < 0)
		return ret;
	stack.rlim_cur = stack.rlim_max;
	return hc_prlimit(0, RLIMIT_STACK, &stack, NULL);
}

static int child_confine(void)
{
	struct sock_fprog prog = {.len = ARRAY_SIZE(filter), .filter = (struct sock_filter *)(uintptr_t)filter};
	int ret = hc_prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);

	if (ret < 0)
		return ret;
	/* Speculation controls are the sandbox's business, not a side effect of having a filter. */
	ret = hc_seccomp(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &prog);
	return ret == -EINVAL ? hc_seccomp(SECCOMP_SET_MODE_FILTER, 0, &prog) : ret;
}

/* Waits until it is traced (a byte comes), confines itself, and stops in the stub. Exit codes say which
 * step failed. */
static NORETURN void child_main(int sentry_pid, int stub_fd, int go_fd)
{
	char go;

	if (hc_prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || hc_getppid() != sentry_pid)
		hc_exit_group(1);
	if (hc_read(go_fd, &go, 1) != 1)
		hc_exit_group(7);
	child_reset_signals();
	if (child_leave_rseq() < 0)
		hc_exit_group(2);
	if (child_limit() < 0)
		hc_exit_group(3);
	/* the sentry must be able to trace it as an ordinary user */
	if (hc_prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0)
		hc_exit_group(4);
	hc_prctl(PR_SET_NAME, (uint64_t)(uintptr_t) "sbx-guest", 0, 0, 0);
	if (child_map_stub(stub_fd) < 0)
		hc_exit_group(5);
	if (child_confine() < 0)
		hc_exit_group(6);
	/* From here on only the stub's calls are let through. */
	__asm__ volatile("jmp *%0" : : "r"(stub_addr(ptrace_stub_call_trap)));
	__builtin_unreachable();
}

/* ---- the sentry's side ---- */

static int stub_memfd(void)
{
	size_t size = (size_t)(ptrace_stub_end - ptrace_stub_begin);
	int fd = memfd_create_sized("sbx-stub", PAGE_SIZE);
	ssize_t n;
	int ret;

	if (fd < 0)
		return fd;
	n = hc_pwrite(fd, ptrace_stub_begin, size, 0);
	ret = n == (ssize_t)size ? memfd_seal(fd) : n < 0 ? (int)n : -EIO;
	if (ret < 0) {
		hc_close(fd);
		return ret;
	}
	return fd;
}

/* Stops of guest threads would each queue a SIGCHLD; and an ignored SIGCHLD would reap for us. */
static int quiet_sigchld(void)
{
	struct hc_sigaction act;
	int ret = hc_sigaction(SIGCHLD, NULL, &act);

	if (ret < 0)
		return ret;
	if (act.handler == (uint64_t)(uintptr_t)SIG_IGN)
		act.handler = (uint64_t)(uintptr_t)SIG_DFL;
	act.flags = (act.flags | SA_NOCLDSTOP) & ~(uint64_t)SA_NOCLDWAIT;
	return hc_sigaction(SIGCHLD, &act, NULL);
}

/* Waits for the child to stop in the stub, or says why it didn't get there. */
static int zygote_await(struct tracee *t)
{
	for (;;) {
		int status;

		if (tracee_wait(t, &status) < 0 || t->ended) {
			log_error("ptrace: the first guest process ended in step %d of its set-up",
				  t->ended && WIFEXITED(status) ? WEXITSTATUS(status) : -1);
			return -EIO;
		}
		if (WSTOPSIG(status) == SIGTRAP && !(status >> 16))
			return 0;
		if (hc_ptrace(PTRACE_CONT, t->tid, 0, 0) < 0)
			return -EIO;
	}
}

/* The vDSO leaves the place that the host chose for it: that may lie in the hole, and tells where the
 * sentry's own libraries are. A host that seals its mappings refuses; then it stays, and isn't shown in the
 * hole. */
static int zygote_place_vdso(struct ptrace_platform *p)
{
	struct platform *b = &p->base;
	struct proc_vdso v;
	uaddr_t from, to;
	int64_t ret = 0;

	if (proc_vdso_parts(&v) < 0) {
		log_info("ptrace: the host's vDSO can't be located: guests run without one");
		return 0;
	}
	from = v.part[0].start;
	to = proc_vdso_place(&v, SBX_HOLE_END, GUEST_VA_END - VDSO_BELOW_TOP);
	for (unsigned i = 0; to && i < v.count; i++) {
		uint64_t size = v.part[i].end - v.part[i].start;

		ret = tracee_call(&p->zygote, SYS_mremap, v.part[i].start, size, size,
				  MREMAP_MAYMOVE | MREMAP_FIXED, to + (v.part[i].start - from), 0);
		if (ret < 0 && i)
			return (int)ret; /* torn in two */
		if (ret < 0)
			to = 0;
	}
	to = to ?: from;
	p->vdso_keep[0] = to;
	p->vdso_keep[1] = to + (v.part[v.count - 1].end - from);
	if (p->vdso_keep[0] < SBX_HOLE_END && p->vdso_keep[1] > SBX_HOLE_START)
		return 0;
	b->vvar_start = to;
	b->vdso_start = to + (v.part[v.count - 1].start - from);
	b->vdso_end = p->vdso_keep[1];
	return 0;
}

static int zygote_clean(struct ptrace_platform *p, int go_fd)
{
	struct tracee *t = &p->zygote;
	int ret = (int)hc_ptrace(PTRACE_SEIZE, t->tid, 0, TRACE_OPTIONS);

	if (ret < 0) {
		log_error("ptrace: the first guest process can't be traced (error %d)", -ret);
		return ret;
	}
	if (hc_write(go_fd, "", 1) != 1)
		return -EIO;
	ret = zygote_await(t);
	if (ret == 0)
		ret = zygote_place_vdso(p);
	if (ret == 0)
		ret = context_unmap_all(p, t);
	/* its vector registers are the sentry's */
	if (ret == 0)
		ret = fpu_setup(p, t);
	tracee_release(t, ptrace_stub_idle, true);
	return ret;
}

static int zygote_start(struct ptrace_platform *p, int stub_fd)
{
	int go[2], ret = hc_pipe(go, 0);

	if (ret < 0)
		return ret;
	/* Exit signal 0: nobody who waits for ordinary children finds ours. */
	ret = hc_fork(CLONE_FILES);
	if (ret == 0)
		child_main(p->sentry_pid, stub_fd, go[0]);
	if (ret > 0) {
		p->zygote.tid = ret;
		ret = zygote_clean(p, go[1]);
		if (ret < 0)
			zygote_destroy(p);
	}
	hc_close(go[0]);
	hc_close(go[1]);
	return ret;
}

int zygote_create(struct ptrace_platform *p)
{
	int ret, fd;

	mutex_init(&p->zygote_lock, RANK_PLATFORM);
	p->sentry_pid = hc_getpid();
	ret = quiet_sigchld();
	if (ret < 0)
		return ret;
	fd = stub_memfd();
	if (fd < 0)
		return fd;
	ret = zygote_start(p, fd);
	hc_close(fd);
	return ret;
}

void zygote_destroy(struct ptrace_platform *p)
{
	if (!p->zygote.ended)
		process_kill(p->zygote.tid);
	p->zygote.ended = true;
}

int zygote_fork(struct ptrace_platform *p)
{
	struct guest_regs r;
	int ret;

	arch_stub_clone(&r, CLONE_PARENT | CLONE_FILES, p->sentry_pid);
	mutex_lock(&p->zygote_lock);
	ret = p->zygote.ended ? -EAGAIN : tracee_attach(&p->zygote, true);
	if (ret == 0) {
		ret = tracee_run_stub(&p->zygote, &r, ptrace_stub_clone_trap, false);
		if (ret == 0)
			ret = (int)regs_result(&r);
		tracee_release(&p->zygote, ptrace_stub_idle, true);
	}
	mutex_unlock(&p->zygote_lock);
	/* a dead zygote is no answer that a guest expects */
	return ret == -ESRCH ? -EAGAIN : ret;
}
