/* proc.c: host processes: their slots, their death. A guest process is a child of the sentry
 * (CLONE_PARENT); one thread of ours waits for the whole process group, marks the dead and wakes who waits
 * for them. */
#include "platform/systrap/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "platform/base/arena.h"
#include "platform/base/thread.h"
#include "platform/host/hostcall.h"
#include "platform/host/memfd.h"

#define SLOTS_STEP 4
#define WALL	   0x40000000

int proc_alloc(struct sys_platform *p, struct sys_proc **out, int *child_sock)
{
	struct sys_proc *proc = kmalloc(sizeof(*proc));
	int pair[2], ret;
	uint64_t at;

	if (!proc)
		return -ENOMEM;
	refs_init(&proc->refs);
	proc->platform = p;
	mutex_init(&proc->lock, RANK_PLATFORM);
	mutex_init(&proc->fd_lock, RANK_PLATFORM);
	mutex_init(&proc->text_lock, RANK_PLATFORM);
	proc->slots_sized = SLOTS_STEP;
	ret = memfd_create_sized("sbx-slots", SLOTS_STEP * SLOT_SIZE);
	if (ret < 0)
		goto free_proc;
	proc->memfd = ret;
	at = hc_mmap(0, SLOTS_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, proc->memfd, 0);
	ret = (int)at;
	if (hc_is_error(at))
		goto close_memfd;
	proc->slots = (char *)at;
	ret = hc_socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair);
	if (ret < 0)
		goto unmap;
	proc->sock = pair[0];
	*child_sock = pair[1];
	*out = proc;
	return 0;
unmap:
	hc_munmap(at, SLOTS_SIZE);
close_memfd:
	hc_close(proc->memfd);
free_proc:
	kfree(proc);
	return ret;
}

void proc_put(struct sys_proc *proc)
{
	if (!refs_put(&proc->refs))
		return;
	hc_close(proc->sock);
	hc_munmap((uint64_t)proc->slots, SLOTS_SIZE);
	hc_close(proc->memfd);
	patch_book_put(proc->patches);
	kfree(proc->contexts);
	kfree(proc);
}

static struct list *bucket(struct sys_platform *p, int pid)
{
	return &p->procs[(unsigned)pid % PROC_HASH];
}

/* The table's reference lasts until the host process is reaped. */
void proc_register(struct sys_proc *proc, int pid)
{
	struct sys_platform *p = proc->platform;

	proc->pid = pid;
	refs_get(&proc->refs);
	LOCK(&p->lock);
	list_add(bucket(p, pid), &proc->node);
	mutex_unlock(&p->lock);
}

bool proc_is_registered(struct sys_platform *p, int pid)
{
	struct list *head = bucket(p, pid), *n;
	bool found = false;

	LOCK(&p->lock);
	for (n = head->next; n != head; n = n->next)
		found |= container_of(n, struct sys_proc, node)->pid == pid;
	mutex_unlock(&p->lock);
	return found;
}

static int grow_table(struct sys_proc *proc, uint32_t need)
{
	uint32_t cap = proc->cap ? proc->cap : 4;
	struct sys_context **table;

	while (cap < need)
		cap *= 2;
	if (cap == proc->cap)
		return 0;
	table = kmalloc(cap * sizeof(*table));
	if (!table)
		return -ENOMEM;
	if (proc->cap)
		memcpy(table, proc->contexts, proc->cap * sizeof(*table));
	kfree(proc->contexts);
	proc->contexts = table;
	proc->cap = cap;
	return 0;
}

static struct stub_slot *slot_view(struct sys_proc *proc, uint32_t index)
{
	return (struct stub_slot *)(proc->slots + (size_t)index * SLOT_SIZE);
}

/* Free: no context has it, and the host has let go of the thread that had it. */
static bool slot_is_free(struct sys_proc *proc, uint32_t i)
{
	if (i < proc->cap && proc->contexts[i])
		return false;
	if (i >= proc->slots_sized)
		return true;
	return __atomic_load_n(&slot_view(proc, i)->tid, __ATOMIC_ACQUIRE) == 0;
}

static int take_slot_locked(struct sys_proc *proc, struct sys_context *c, uint32_t i)
{
	int ret = grow_table(proc, i + 1);

	if (ret < 0)
		return ret;
	if (i >= proc->slots_sized) {
		uint32_t sized = ROUND_UP(i + 1, (uint32_t)SLOTS_STEP);

		ret = hc_ftruncate(proc->memfd, (uint64_t)sized * SLOT_SIZE);
		if (ret < 0)
			return ret;
		proc->slots_sized = sized;
	}
	proc->contexts[i] = c;
	proc->context_count++;
	c->index = i;
	c->slot = slot_view(proc, i);
	c->proc = proc;
	refs_get(&proc->refs);
	return 0;
}

/* want: that slot (a fork's), or UINT32_MAX for any. */
int proc_take_slot(struct sys_proc *proc, struct sys_context *c, uint32_t want)
{
	int ret = -EAGAIN;

	LOCK(&proc->lock);
	if (want != UINT32_MAX) {
		ret = take_slot_locked(proc, c, want);
	} else {
		for (uint32_t i = 0; i < SLOT_COUNT; i++) {
			if (!slot_is_free(proc, i))
				continue;
			ret = take_slot_locked(proc, c, i);
			break;
		}
	}
	mutex_unlock(&proc->lock);
	return ret;
}

/* Also drops c's reference. True when that was the last context. */
bool proc_drop_slot(struct sys_proc *proc, struct sys_context *c)
{
	bool last;

	LOCK(&proc->lock);
	proc->contexts[c->index] = NULL;
	last = --proc->context_count == 0;
	mutex_unlock(&proc->lock);
	c->proc = NULL;
	c->slot = NULL;
	proc_put(proc);
	return last;
}

/* The parts of a slot that the stub needs before it runs. */
void slot_init(struct sys_context *c)
{
	struct stub_slot *s = c->slot;
	uint64_t at = slot_address(c->index);

	s->self = at;
	s->stack = at + SLOT_STACK_TOP;
	s->altstack.sp = at + SLOT_ALT;
	s->altstack.flags = 0;
	s->altstack.size = SLOT_ALT_SIZE;
	s->frame = 0;
	s->kick = 0;
	s->busy = 0;
	s->restore_fp = 0;
	s->robust = s->robust_changed = s->waits = s->trap_due = 0;
	s->sig_plain = s->sig_set = 0;
	memset(s->trapped, 0, sizeof(s->trapped));
	s->spins_won = s->sleeps = s->tier0 = 0;
	for (int i = 0; i < HOPELESS; i++)
		s->hopeless[i] = __atomic_load_n(&c->proc->hopeless[i], __ATOMIC_RELAXED);
	s->spin = c->proc->platform->spin_limit;
	answers_forget(c);
	__atomic_store_n(&s->turn, TURN_SENTRY, __ATOMIC_RELEASE);
}

void proc_kill(struct sys_proc *proc)
{
	if (proc_use(proc))
		(void)hc_kill(proc->pid, SIGKILL);
	proc_unuse(proc);
}

void proc_signal(struct sys_context *c)
{
	LOCK(&c->where_lock);
	if (c->proc && c->tid > 0) {
		if (proc_use(c->proc))
			(void)hc_tgkill(c->proc->pid, c->tid, STUB_SIG_KICK);
		proc_unuse(c->proc);
		/* The owner gives the answer a deadline from now on. */
		futex_wake_word(&c->slot->turn, INT32_MAX);
	}
	mutex_unlock(&c->where_lock);
}

static void mark_dead(struct sys_platform *p, int pid)
{
	struct list *head = bucket(p, pid), *n;
	struct sys_proc *proc = NULL;

	LOCK(&p->lock);
	for (n = head->next; n != head; n = n->next) {
		if (container_of(n, struct sys_proc, node)->pid != pid)
			continue;
		proc = container_of(n, struct sys_proc, node);
		list_del(n);
		__atomic_store_n(&proc->dead, 1, __ATOMIC_SEQ_CST);
		break;
	}
	mutex_unlock(&p->lock);
	if (!proc)
		return;
	LOCK(&proc->lock);
	for (uint32_t i = 0; i < proc->cap; i++) {
		if (!proc->contexts[i])
			continue;
		__atomic_fetch_or(&proc->contexts[i]->slot->turn, TURN_DEAD, __ATOMIC_SEQ_CST);
		futex_wake_word(&proc->contexts[i]->slot->turn, INT32_MAX);
	}
	mutex_unlock(&proc->lock);
	while (__atomic_load_n(&proc->users, __ATOMIC_ACQUIRE))
		thread_yield();
	proc_put(proc);
}

/* A thread for the life of the platform: sleeps in the host's wait, costs nothing when nobody dies. */
void proc_reaper(void *platform)
{
	struct sys_platform *p = platform;
	siginfo_t info;
	int ret;

	for (;;) {
		memset(&info, 0, sizeof(info));
		ret = hc_waitid(P_PGID, p->pgid, &info, WEXITED | WNOWAIT | WALL);
		if (ret == -EINTR)
			continue;
		if (ret < 0)
			break;
		mark_dead(p, info.si_pid);
		(void)hc_wait4(info.si_pid, NULL, WALL, NULL);
	}
	__atomic_store_n(&p->closing, 2, __ATOMIC_RELEASE);
	futex_wake_word(&p->closing, INT32_MAX);
}

int aspace_alloc(struct sys_platform *p, struct sys_proc *proc, struct sys_aspace **out)
{
	struct sys_aspace *as = kmalloc(sizeof(*as));

	if (!as)
		return -ENOMEM;
	as->base.platform = &p->base;
	refs_init(&as->base.refs);
	refs_get(&proc->refs);
	as->proc = proc;
	*out = as;
	return 0;
}

void systrap_aspace_destroy(struct aspace *base)
{
	struct sys_aspace *as = sys_aspace(base);

	proc_put(as->proc);
	kfree(as);
}

int context_alloc(struct sys_platform *p, struct sys_context **out)
{
	struct sys_context *c = kmalloc(sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->base.platform = &p->base;
	mutex_init(&c->where_lock, RANK_PLATFORM);
	c->nr = -1;
	*out = c;
	return 0;
}
