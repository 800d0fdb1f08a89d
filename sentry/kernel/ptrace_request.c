/* ptrace_request.c: the requests of ptrace(2). Registers and extended state are touched on the stopped
 * task's own thread; what a tracer writes is made safe before it is loaded. */
#include <string.h>

#include "platform/abi/elf.h"
#include "sentry/kernel/ptrace_internal.h"

#define USER_REGS_SIZE sizeof(struct guest_regs)
#define USER_DEBUGREG  848 /* offsetof(struct user, u_debugreg) */
#define USER_SIZE      912
#define FXSAVE_SIZE    512

/* Runs r on the stopped target. The target is kept alive by a reference. */
static int64_t run_on(struct task *target, struct trace_request *r)
{
	struct trace *tr = &target->p->trace;

	__atomic_store_n(&r->done, 0, __ATOMIC_RELAXED);
	mutex_lock(&target->kernel->tasklist_lock);
	if (!tr->stopped) {
		mutex_unlock(&target->kernel->tasklist_lock);
		return -ESRCH;
	}
	__atomic_store_n(&tr->request, r, __ATOMIC_RELEASE);
	mutex_unlock(&target->kernel->tasklist_lock);
	task_wake(target);
	while (!__atomic_load_n(&r->done, __ATOMIC_ACQUIRE))
		(void)futex_wait_word(&r->done, 0, 0);
	return r->result;
}

/* ---- on the target's thread ---- */

static int64_t do_get_regs(struct task *t, struct trace_request *r)
{
	memcpy(r->buf, task_regs(t, false), USER_REGS_SIZE);
	return 0;
}

static int64_t do_set_regs(struct task *t, struct trace_request *r)
{
	struct guest_regs regs;

	memcpy(&regs, r->buf, USER_REGS_SIZE);
	if (regs.fs_base >= GUEST_VA_END || regs.gs_base >= GUEST_VA_END)
		return -EIO;
	regs_sanitize(&regs);
	memcpy(task_regs(t, true), &regs, sizeof(regs));
	return 0;
}

static int64_t do_peek_user(struct task *t, struct trace_request *r)
{
	if (r->addr < USER_REGS_SIZE)
		memcpy(&r->data, (char *)task_regs(t, false) + r->addr, sizeof(r->data));
	else
		r->data = 0; /* nothing else of struct user is kept */
	return 0;
}

static int64_t do_poke_user(struct task *t, struct trace_request *r)
{
	struct guest_regs regs = *task_regs(t, false);
	struct trace_request set = {.buf = &regs};

	memcpy((char *)&regs + r->addr, &r->data, sizeof(r->data));
	return do_set_regs(t, &set);
}

static int64_t do_get_fp(struct task *t, struct trace_request *r)
{
	size_t size = r->size;
	int ret = task_platform(t)->fpstate_get(t->ctx, r->buf, &size);

	return ret < 0 ? ret : (int64_t)size;
}

/* size may be smaller than what there is: the rest stays. */
static int64_t do_set_fp(struct task *t, struct trace_request *r)
{
	const struct platform_ops *ops = task_platform(t);
	uint8_t *now = task_bounce(t);
	size_t size = TASK_BOUNCE_SIZE;
	int ret;

	if (!now)
		return -ENOMEM;
	ret = ops->fpstate_get(t->ctx, now, &size);
	if (ret < 0)
		return ret;
	if (r->size > size)
		return -EINVAL;
	memcpy(now, r->buf, r->size);
	if (r->size == FXSAVE_SIZE && size > FXSAVE_SIZE + 8)
		now[FXSAVE_SIZE] |= 3; /* x87 and SSE are in use now */
	return ops->fpstate_set(t->ctx, now, r->size == FXSAVE_SIZE ? size : r->size);
}

/* ---- requests on memory ---- */

static int64_t peek(struct task *t, struct task *target, uint64_t addr, uint64_t out)
{
	struct mm *mm = task_mm_get(target);
	struct usermem um;
	uint64_t v;
	int ret;

	if (!mm)
		return -ESRCH;
	um = mm_usermem(mm, NULL);
	ret = usermem_in(&um, &v, addr, sizeof(v));
	mm_put(mm);
	return ret < 0 ? -EIO : copy_to_user(t, out, &v, sizeof(v));
}

static int64_t poke(struct task *target, uint64_t addr, uint64_t v)
{
	struct mm *mm = task_mm_get(target);
	enum vma_kind kind;
	uint32_t prot;
	ssize_t n = 0;

	if (!mm)
		return -ESRCH;
	if (mm_lookup(mm, addr, &prot, &kind) == 0 && mm_lookup(mm, addr + sizeof(v) - 1, &prot, &kind) == 0 &&
	    kind != VMA_HIDDEN && kind != VMA_VDSO && kind != VMA_VVAR)
		n = task_platform(target)->poke(mm->as, addr, &v, sizeof(v));
	mm_put(mm);
	return n == (ssize_t)sizeof(v) ? 0 : -EIO;
}

/* ---- registers and their sets ---- */

static int64_t whole_regs(struct task *t, struct task *target, uint64_t addr, bool set)
{
	struct guest_regs regs;
	struct trace_request r = {.fn = set ? do_set_regs : do_get_regs, .buf = &regs};
	int64_t ret;

	if (set && copy_from_user(t, &regs, addr, sizeof(regs)) < 0)
		return -EFAULT;
	ret = run_on(target, &r);
	if (ret == 0 && !set)
		ret = copy_to_user(t, addr, &regs, sizeof(regs));
	return ret;
}

/* Up to size bytes of extended state; *size: moved. exact: the legacy area alone */
static int64_t fp_state(struct task *t, struct task *target, uint64_t addr, size_t *size, bool set, bool legacy)
{
	size_t max = TASK_BOUNCE_SIZE, n;
	struct trace_request r = {.fn = set ? do_set_fp : do_get_fp};
	int64_t ret = -EFAULT;
	uint8_t *buf = kmalloc(max);

	if (!buf)
		return -ENOMEM;
	r.buf = buf;
	n = legacy ? MIN(*size, (size_t)FXSAVE_SIZE) : MIN(*size, max);
	if (set && legacy && n != FXSAVE_SIZE) {
		ret = -EINVAL;
		goto out;
	}
	if (set && copy_from_user(t, buf, addr, n) < 0)
		goto out;
	r.size = set ? n : max;
	ret = run_on(target, &r);
	if (ret < 0)
		goto out;
	if (!set) {
		n = MIN(n, (size_t)ret);
		ret = copy_to_user(t, addr, buf, n);
	}
	*size = n;
	if (ret > 0)
		ret = 0;
out:
	kfree(buf);
	return ret;
}

static int64_t regset(struct task *t, struct task *target, uint64_t type, uint64_t iov_addr, bool set)
{
	struct linux_iovec iov;
	struct guest_regs regs;
	struct trace_request r = {.buf = &regs};
	size_t n;
	int64_t ret;

	if (copy_from_user(t, &iov, iov_addr, sizeof(iov)) < 0)
		return -EFAULT;
	n = iov.iov_len;
	switch (type) {
	case LINUX_NT_PRSTATUS:
		if (n % sizeof(uint64_t))
			return -EINVAL;
		n = MIN(n, USER_REGS_SIZE);
		r.fn = do_get_regs;
		ret = run_on(target, &r);
		if (ret == 0 && set) {
			ret = copy_from_user(t, &regs, iov.iov_base, n);
			r.fn = do_set_regs;
			if (ret == 0)
				ret = run_on(target, &r);
		} else if (ret == 0) {
			ret = copy_to_user(t, iov.iov_base, &regs, n);
		}
		break;
	case LINUX_NT_PRFPREG:
		ret = fp_state(t, target, iov.iov_base, &n, set, true);
		break;
	case LINUX_NT_X86_XSTATE:
		ret = fp_state(t, target, iov.iov_base, &n, set, false);
		break;
	default:
		return -EINVAL;
	}
	if (ret < 0)
		return ret;
	iov.iov_len = n;
	return copy_to_user(t, iov_addr, &iov, sizeof(iov));
}

static int64_t user_area(struct task *t, struct task *target, uint64_t addr, uint64_t data, bool set)
{
	struct trace_request r = {.fn = set ? do_poke_user : do_peek_user, .addr = addr, .data = data};
	int64_t ret;

	if ((addr & 7) || addr >= USER_SIZE)
		return -EIO;
	if (set && addr >= USER_REGS_SIZE) /* no hardware breakpoints: only "off" can be set */
		return addr >= USER_DEBUGREG && data == 0 ? 0 : addr >= USER_DEBUGREG ? -EINVAL : -EIO;
	ret = run_on(target, &r);
	if (ret == 0 && !set)
		ret = copy_to_user(t, data, &r.data, sizeof(r.data));
	return ret;
}

/* ---- stops ---- */

static int64_t resume(struct task *target, uint32_t how, uint64_t sig)
{
	struct trace *tr = &target->p->trace;

	if (sig > SIG_COUNT)
		return -EIO;
	mutex_lock(&target->kernel->tasklist_lock);
	tr->resume = how;
	tr->inject = (int)sig;
	tr->stopped = false;
	tr->reported = true;
	if (how == TRACE_RESUME_SYSCALL || how == TRACE_RESUME_SYSEMU)
		__atomic_fetch_or(&target->syscall_work, SYSCALL_WORK_TRACE, __ATOMIC_SEQ_CST);
	else
		__atomic_fetch_and(&target->syscall_work, ~SYSCALL_WORK_TRACE, __ATOMIC_SEQ_CST);
	mutex_lock(&target->process->lock);
	task_set_work(target, TASK_WORK_FACTS);
	__atomic_store_n(&tr->go, 1, __ATOMIC_SEQ_CST);
	task_poke(target);
	mutex_unlock(&target->process->lock);
	mutex_unlock(&target->kernel->tasklist_lock);
	return 0;
}

static int64_t get_siginfo(struct task *t, struct task *target, uint64_t addr)
{
	struct linux_siginfo info = {0};
	struct trace *tr = &target->p->trace;

	mutex_lock(&t->kernel->tasklist_lock);
	if (tr->have_info) {
		info = tr->info;
	} else {
		info.si_signo = (int)(tr->stop_code & 0x7f);
		info.si_code = (int)tr->stop_code;
		info.kill.si_pid = pid_nr_in(target->pid, task_pid_ns(t));
	}
	mutex_unlock(&t->kernel->tasklist_lock);
	return copy_to_user(t, addr, &info, sizeof(info));
}

static int64_t set_siginfo(struct task *t, struct task *target, uint64_t addr)
{
	struct linux_siginfo info;
	struct trace *tr = &target->p->trace;
	int64_t ret = 0;

	if (copy_from_user(t, &info, addr, sizeof(info)) < 0)
		return -EFAULT;
	mutex_lock(&t->kernel->tasklist_lock);
	if (tr->have_info)
		tr->info = info;
	else
		ret = -EINVAL;
	mutex_unlock(&t->kernel->tasklist_lock);
	return ret;
}

static int64_t sigmask(struct task *t, struct task *target, uint64_t size, uint64_t addr, bool set)
{
	uint64_t mask;

	if (size != sizeof(mask))
		return -EINVAL;
	if (set) {
		if (copy_from_user(t, &mask, addr, sizeof(mask)) < 0)
			return -EFAULT;
		mutex_lock(&target->process->lock);
		target->p->blocked = mask & ~SIG_UNMASKABLE;
		mutex_unlock(&target->process->lock);
		(void)signal_recheck(target);
		return 0;
	}
	mask = target->p->blocked;
	return copy_to_user(t, addr, &mask, sizeof(mask));
}

/* struct ptrace_syscall_info */
struct syscall_info {
	uint8_t op, pad[3];
	uint32_t arch;
	uint64_t ip, sp;
	union {
		struct {
			uint64_t nr, args[6];
		} entry;
		struct {
			int64_t rval;
			uint8_t is_error;
		} exit;
		struct {
			uint64_t nr, args[6];
			uint32_t ret_data;
		} seccomp;
	};
};

static int64_t get_syscall_info(struct task *t, struct task *target, uint64_t size, uint64_t addr)
{
	struct trace *tr = &target->p->trace;
	struct guest_regs regs;
	struct trace_request r = {.fn = do_get_regs, .buf = &regs};
	struct syscall_info info = {.op = (uint8_t)tr->syscall_op, .arch = 0xc000003e};
	size_t n = offsetof(struct syscall_info, entry);
	int64_t ret = run_on(target, &r);

	if (ret < 0)
		return ret;
	info.ip = regs.rip;
	info.sp = regs.rsp;
	if (info.op == LINUX_PTRACE_SYSCALL_INFO_EXIT) {
		info.exit.rval = (int64_t)regs.rax;
		info.exit.is_error = (int64_t)regs.rax < 0 && (int64_t)regs.rax >= -4095;
		n += sizeof(int64_t) + 1;
	} else if (info.op != LINUX_PTRACE_SYSCALL_INFO_NONE) {
		info.seccomp.nr = regs.orig_rax;
		for (int i = 0; i < 6; i++)
			info.seccomp.args[i] = regs_syscall_arg(&regs, i);
		n += 7 * sizeof(uint64_t);
		if (info.op == LINUX_PTRACE_SYSCALL_INFO_SECCOMP) {
			info.seccomp.ret_data = tr->seccomp_data;
			n += sizeof(uint32_t);
		}
	}
	ret = copy_to_user(t, addr, &info, MIN(n, (size_t)size));
	return ret < 0 ? ret : (int64_t)n;
}

static int64_t set_options(struct task *target, uint64_t options)
{
	if (options & ~(uint64_t)(LINUX_PTRACE_O_MASK & ~LINUX_PTRACE_O_SUSPEND_SECCOMP))
		return -EINVAL;
	target->p->trace.options = (uint32_t)options;
	return 0;
}

static int64_t interrupt(struct task *target)
{
	struct trace *tr = &target->p->trace;

	if (!tr->seized)
		return -EIO;
	mutex_lock(&target->kernel->tasklist_lock);
	mutex_lock(&target->process->lock);
	if (tr->stopped && tr->listening) {
		tr->listening = false;
		tr->reported = false;
		tr->stop_code = LINUX_SIGTRAP | LINUX_PTRACE_EVENT_STOP << 8;
		waitq_wake(&tr->tracer->process->p->child_wq, EV_IN);
	} else {
		tr->interrupt = true;
		task_set_work(target, TASK_WORK_STOP);
	}
	mutex_unlock(&target->process->lock);
	mutex_unlock(&target->kernel->tasklist_lock);
	return 0;
}

static int64_t listen(struct task *target)
{
	struct trace *tr = &target->p->trace;

	if (!tr->seized || (tr->stop_code >> 8) != LINUX_PTRACE_EVENT_STOP)
		return -EIO;
	__atomic_store_n(&tr->listening, true, __ATOMIC_SEQ_CST);
	task_wake(target);
	return 0;
}

static int64_t on_stopped(struct task *t, struct task *target, int64_t request, uint64_t addr, uint64_t data)
{
	size_t legacy = FXSAVE_SIZE;
	uint64_t v;

	switch (request) {
	case LINUX_PTRACE_PEEKTEXT:
	case LINUX_PTRACE_PEEKDATA:
		return peek(t, target, addr, data);
	case LINUX_PTRACE_POKETEXT:
	case LINUX_PTRACE_POKEDATA:
		return poke(target, addr, data);
	case LINUX_PTRACE_PEEKUSR:
		return user_area(t, target, addr, data, false);
	case LINUX_PTRACE_POKEUSR:
		return user_area(t, target, addr, data, true);
	case LINUX_PTRACE_GETREGS:
		return whole_regs(t, target, data, false);
	case LINUX_PTRACE_SETREGS:
		return whole_regs(t, target, data, true);
	case LINUX_PTRACE_GETFPREGS:
		return fp_state(t, target, data, &legacy, false, true);
	case LINUX_PTRACE_SETFPREGS:
		return fp_state(t, target, data, &legacy, true, true);
	case LINUX_PTRACE_GETREGSET:
		return regset(t, target, addr, data, false);
	case LINUX_PTRACE_SETREGSET:
		return regset(t, target, addr, data, true);
	case LINUX_PTRACE_GETSIGINFO:
		return get_siginfo(t, target, data);
	case LINUX_PTRACE_SETSIGINFO:
		return set_siginfo(t, target, data);
	case LINUX_PTRACE_GETSIGMASK:
		return sigmask(t, target, addr, data, false);
	case LINUX_PTRACE_SETSIGMASK:
		return sigmask(t, target, addr, data, true);
	case LINUX_PTRACE_GETEVENTMSG:
		v = target->p->trace.message;
		return copy_to_user(t, data, &v, sizeof(v));
	case LINUX_PTRACE_GET_SYSCALL_INFO:
		return get_syscall_info(t, target, addr, data);
	case LINUX_PTRACE_SETOPTIONS:
	case LINUX_PTRACE_OLDSETOPTIONS:
		return set_options(target, data);
	case LINUX_PTRACE_CONT:
		return resume(target, TRACE_RESUME_CONT, data);
	case LINUX_PTRACE_SYSCALL:
		return resume(target, TRACE_RESUME_SYSCALL, data);
	case LINUX_PTRACE_SINGLESTEP:
		return resume(target, TRACE_RESUME_STEP, data);
	case LINUX_PTRACE_SYSEMU:
		return resume(target, TRACE_RESUME_SYSEMU, data);
	case LINUX_PTRACE_LISTEN:
		return listen(target);
	case LINUX_PTRACE_DETACH:
		if (data > SIG_COUNT)
			return -EIO;
		ptrace_detach(target, (int)data);
		return 0;
	default:
		return -EIO;
	}
}

static bool is_tracee(struct task *t, struct task *target, bool *stopped)
{
	struct trace *tr = &target->p->trace;
	bool mine;

	mutex_lock(&t->kernel->tasklist_lock);
	mine = tr->tracer == t;
	*stopped = mine && tr->stopped && !tr->listening;
	mutex_unlock(&t->kernel->tasklist_lock);
	return mine;
}

int64_t ptrace_request(struct task *t, int64_t request, int32_t pid, uint64_t addr, uint64_t data)
{
	struct task *target;
	bool stopped;
	int64_t ret;

	if (request == LINUX_PTRACE_TRACEME)
		return ptrace_traceme(t);
	target = task_find(t, pid);
	if (!target)
		return -ESRCH;
	if (request == LINUX_PTRACE_ATTACH)
		ret = ptrace_attach(t, target, false, 0);
	else if (request == LINUX_PTRACE_SEIZE)
		ret = addr || (data & ~(uint64_t)(LINUX_PTRACE_O_MASK & ~LINUX_PTRACE_O_SUSPEND_SECCOMP))
			      ? -EIO
			      : ptrace_attach(t, target, true, (uint32_t)data);
	else if (!is_tracee(t, target, &stopped))
		ret = -ESRCH;
	else if (request == LINUX_PTRACE_KILL)
		ret = signal_send_process(target->process, LINUX_SIGKILL, NULL);
	else if (request == LINUX_PTRACE_INTERRUPT)
		ret = interrupt(target);
	else
		ret = stopped ? on_stopped(t, target, request, addr, data) : -ESRCH;
	task_put(target);
	return ret;
}
