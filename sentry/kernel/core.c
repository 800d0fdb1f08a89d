/* core.c: core files (core(5), elf(5)): "core" in the current directory, at most RLIMIT_CORE bytes: notes about
 * the thread that failed, then what core(5) says of memory by default: what belongs to the process alone, and
 * the first page of every other mapping of a program. Differs from Linux: only the failing thread's registers
 * are in it; core_pattern is fixed. */
#include "sentry/kernel/core.h"

#include <stdio.h>
#include <string.h>

#include "platform/abi/elf.h"
#include "platform/abi/fs.h"
#include "platform/abi/stat.h"
#include "platform/base/log.h"
#include "platform/base/strbuf.h"
#include "sentry/kernel/internal.h"
#include "sentry/kernel/settings.h"

#define CORE_MIN   4096U       /* a smaller limit means: none */
#define SCAN_MAX   (1UL << 30) /* bytes of memory looked at: nothing can end a dump but the kernel's end */
#define CHUNK	   (64 * 1024UL)
#define RANGES_MAX 65000u /* segments that the header can count */

struct elf64_header {
	uint8_t ident[16];
	uint16_t type, machine;
	uint32_t version;
	uint64_t entry, phoff, shoff;
	uint32_t flags;
	uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};

struct elf64_segment {
	uint32_t type, flags;
	uint64_t offset, vaddr, paddr, filesz, memsz, align;
};

/* elf_prstatus, elf_prpsinfo */
struct prstatus {
	int32_t signo, code, err;
	int16_t cursig, pad;
	uint64_t sigpend, sighold;
	int32_t pid, ppid, pgrp, sid;
	struct linux_timeval utime, stime, cutime, cstime;
	struct guest_regs regs;
	int32_t fpvalid, pad2;
};

struct prpsinfo {
	char state, sname, zomb, nice;
	uint64_t flag;
	uint32_t uid, gid;
	int32_t pid, ppid, pgrp, sid;
	char fname[16], psargs[80];
};

_Static_assert(sizeof(struct prstatus) == 336, "as gdb knows it");
_Static_assert(sizeof(struct prpsinfo) == 136, "as gdb knows it");

bool signal_dumps_core(int sig)
{
	switch (sig) {
	case LINUX_SIGQUIT:
	case LINUX_SIGILL:
	case LINUX_SIGTRAP:
	case LINUX_SIGABRT:
	case LINUX_SIGFPE:
	case LINUX_SIGSEGV:
	case LINUX_SIGBUS:
	case LINUX_SIGSYS:
	case LINUX_SIGXCPU:
	case LINUX_SIGXFSZ:
		return true;
	default:
		return false;
	}
}

/* ---- notes ---- */
static void add_note(struct strbuf *out, const char *name, uint32_t type, const void *data, size_t size)
{
	static const char zeros[4];
	uint32_t head[3] = {(uint32_t)strlen(name) + 1, (uint32_t)size, type};

	strbuf_add(out, head, sizeof(head));
	strbuf_add(out, name, head[0]);
	strbuf_add(out, zeros, -head[0] & 3);
	strbuf_add(out, data, size);
	strbuf_add(out, zeros, -size & 3);
}

static struct linux_timeval timeval(uint64_t ns)
{
	return (struct linux_timeval){.tv_sec = (int64_t)(ns / NSEC_PER_SEC),
				      .tv_usec = (int64_t)(ns % NSEC_PER_SEC / 1000)};
}

static void note_status(struct task *t, const struct task_info *i, const struct linux_siginfo *info,
			struct strbuf *out)
{
	struct prstatus s = {.signo = info->si_signo,
			     .cursig = (int16_t)info->si_signo,
			     .sigpend = i->pending,
			     .sighold = i->blocked,
			     .pid = i->tid,
			     .ppid = i->ppid,
			     .pgrp = i->pgrp,
			     .sid = i->sid,
			     .utime = timeval(i->utime),
			     .stime = timeval(i->stime),
			     .cutime = timeval(i->cutime),
			     .cstime = timeval(i->cstime),
			     .regs = *task_regs(t, false),
			     .fpvalid = 1};

	add_note(out, "CORE", LINUX_NT_PRSTATUS, &s, sizeof(s));
}

static void note_process(struct task *t, const struct task_info *i, struct strbuf *out)
{
	struct usermem um = task_usermem(t);
	struct prpsinfo p = {.sname = 'R',
			     .nice = (char)i->nice,
			     .pid = i->tgid,
			     .ppid = i->ppid,
			     .pgrp = i->pgrp,
			     .sid = i->sid};
	uaddr_t start, end;
	size_t n;

	p.uid = user_ns_from_kuid(t->cred->user_ns, t->cred->uid);
	p.gid = user_ns_from_kgid(t->cred->user_ns, t->cred->gid);
	memcpy(p.fname, i->comm, sizeof(p.fname) - 1);
	mutex_lock(&t->mm->lock);
	start = t->mm->arg_start;
	end = t->mm->arg_end;
	mutex_unlock(&t->mm->lock);
	n = um.ops->in(&um, p.psargs, start, end > start ? MIN(end - start, sizeof(p.psargs) - 1) : 0);
	for (size_t k = 0; k < n; k++)
		if (!p.psargs[k])
			p.psargs[k] = ' ';
	add_note(out, "CORE", LINUX_NT_PRPSINFO, &p, sizeof(p));
}

/* What gdb knows files by: count, page size, three words each, then the names. */
static void note_files(const struct mm_range *r, uint32_t count, struct strbuf *out)
{
	uint64_t head[2] = {0, 1};
	struct strbuf b;

	strbuf_init(&b);
	for (uint32_t i = 0; i < count; i++)
		head[0] += r[i].name != NULL;
	strbuf_add(&b, head, sizeof(head));
	for (uint32_t i = 0; i < count; i++)
		if (r[i].name)
			strbuf_add(&b, (uint64_t[]){r[i].start, r[i].end, r[i].offset}, 24);
	for (uint32_t i = 0; i < count; i++)
		if (r[i].name)
			strbuf_add(&b, r[i].name, strlen(r[i].name) + 1);
	if (strbuf_ok(&b))
		add_note(out, "CORE", LINUX_NT_FILE, b.data, b.len);
	strbuf_fini(&b);
}

static void note_float(struct task *t, struct strbuf *out)
{
	size_t size = TASK_BOUNCE_SIZE;
	void *buf = task_bounce(t);

	if (!buf || task_platform(t)->fpstate_get(t->ctx, buf, &size) < 0 || size < 512)
		return;
	add_note(out, "CORE", LINUX_NT_PRFPREG, buf, 512);
	if (size > 512)
		add_note(out, "LINUX", LINUX_NT_X86_XSTATE, buf, size);
}

static void add_notes(struct task *t, const struct linux_siginfo *info, const struct mm_range *r,
		      uint32_t count, struct strbuf *out)
{
	uint64_t auxv[ARRAY_SIZE(t->mm->auxv)];
	struct task_info i;
	size_t n;

	task_info(task_pid_ns(t), t, false, &i);
	mutex_lock(&t->mm->lock);
	n = MIN(t->mm->auxv_count, (uint32_t)ARRAY_SIZE(auxv));
	memcpy(auxv, t->mm->auxv, sizeof(auxv));
	mutex_unlock(&t->mm->lock);
	note_status(t, &i, info, out);
	note_process(t, &i, out);
	add_note(out, "CORE", LINUX_NT_SIGINFO, info, sizeof(*info));
	add_note(out, "CORE", LINUX_NT_AUXV, auxv, n * sizeof(auxv[0]));
	note_files(r, count, out);
	note_float(t, out);
}

/* ---- the file ---- */
struct core {
	struct task *t;
	struct file *f;
	uint64_t limit, scanned;
};

static bool put(struct core *c, const void *data, size_t n, uint64_t pos)
{
	struct uio u;

	while (n) {
		ssize_t done;

		if (pos + n > c->limit)
			return false;
		uio_init_kernel(&u, (void *)(uintptr_t)data, n);
		done = file_pwrite(c->f, &u, pos);
		if (done <= 0)
			return false;
		data = (const char *)data + done;
		pos += (uint64_t)done;
		n -= (size_t)done;
	}
	return true;
}

static bool all_zero(const uint8_t *p, size_t n)
{
	return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

/* Pages of zeros stay holes. Memory that can't be read is one too. */
static bool put_memory(struct core *c, const struct mm_range *r, uint64_t pos)
{
	struct usermem um = task_usermem(c->t);
	uint8_t *buf = task_bounce(c->t);

	for (uint64_t at = 0; buf && at < r->dump; at += CHUNK) {
		size_t n = MIN(CHUNK, r->dump - at), got;

		if ((__atomic_load_n(&c->t->work, __ATOMIC_RELAXED) & TASK_WORK_EXIT) ||
		    (c->scanned += n) > SCAN_MAX)
			return false;
		got = um.ops->in(&um, buf, r->start + at, n);
		for (size_t i = 0; i < got; i += PAGE_SIZE)
			if (!all_zero(buf + i, MIN(PAGE_SIZE, got - i)) &&
			    !put(c, buf + i, MIN(PAGE_SIZE, got - i), pos + at + i))
				return false;
	}
	return buf != NULL;
}

static void fill_header(struct elf64_header *h, uint32_t segments)
{
	*h = (struct elf64_header){.ident = {0x7f, 'E', 'L', 'F', LINUX_ELFCLASS64, LINUX_ELFDATA2LSB, 1},
				   .type = LINUX_ET_CORE,
				   .machine = LINUX_EM_X86_64,
				   .version = 1,
				   .phoff = sizeof(*h),
				   .ehsize = sizeof(*h),
				   .phentsize = sizeof(struct elf64_segment),
				   .phnum = (uint16_t)segments};
}

/* LINUX_PROT_READ, WRITE, EXEC as PF_R, PF_W, PF_X */
static uint32_t segment_flags(uint32_t prot)
{
	return (prot & 1) << 2 | (prot & 2) | (prot & 4) >> 2;
}

static bool write_core(struct core *c, const struct strbuf *notes, const struct mm_range *r, uint32_t count)
{
	uint64_t head = sizeof(struct elf64_header) + (count + 1UL) * sizeof(struct elf64_segment);
	uint64_t data = (head + notes->len + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1), pos = data;
	struct elf64_segment *s = kmalloc((count + 1UL) * sizeof(*s));
	struct elf64_header h;
	bool ok;

	if (!s)
		return false;
	fill_header(&h, count + 1);
	s[0] = (struct elf64_segment){.type = LINUX_PT_NOTE, .offset = head, .filesz = notes->len, .align = 4};
	for (uint32_t i = 0; i < count; i++) {
		s[i + 1] = (struct elf64_segment){.type = LINUX_PT_LOAD,
						  .flags = segment_flags(r[i].prot),
						  .offset = pos,
						  .vaddr = r[i].start,
						  .filesz = r[i].dump,
						  .memsz = r[i].end - r[i].start,
						  .align = PAGE_SIZE};
		pos += r[i].dump;
	}
	ok = put(c, &h, sizeof(h), 0) && put(c, s, (count + 1UL) * sizeof(*s), sizeof(h)) &&
	     put(c, notes->data, notes->len, head);
	kfree(s);
	pos = data;
	for (uint32_t i = 0; ok && i < count; pos += r[i++].dump)
		ok = put_memory(c, &r[i], pos);
	if (ok) /* what ends in holes is as long as it says */
		ok = pos <= c->limit && file_truncate(c->f, pos) == 0;
	return ok;
}

/* As core(5): a plain file of one's own with one name; never through a link. */
static int open_core(struct task *t, struct file **out)
{
	struct vfs_at at = task_at(t, NULL);
	struct kstat st;
	char name[32] = "core";
	int ret;

	if (setting(t->kernel, SET_CORE_USES_PID))
		(void)snprintf(name, sizeof(name), "core.%d", pid_nr(t->process->pid));
	ret = vfs_open(&at, name,
		       LINUX_O_CREAT | LINUX_O_RDWR | LINUX_O_NOFOLLOW | LINUX_O_NONBLOCK | LINUX_O_LARGEFILE,
		       0600, 0, out);
	if (ret < 0)
		return ret;
	ret = vfs_stat_path(&(*out)->path, LINUX_STATX_BASIC_STATS, &st);
	if (ret == 0 && (!inode_is((*out)->inode, LINUX_S_IFREG) || st.nlink != 1 || st.uid != t->cred->fsuid))
		ret = -EPERM;
	if (ret == 0)
		ret = file_truncate(*out, 0);
	if (ret < 0)
		file_put(*out);
	return ret;
}

bool core_dump(struct task *t, const struct linux_siginfo *info)
{
	struct core c = {.t = t, .limit = task_rlimit(t, LINUX_RLIMIT_CORE)};
	struct mm_range *ranges;
	struct strbuf notes;
	uint32_t count;

	if (c.limit < CORE_MIN || !t->mm || __atomic_load_n(&t->mm->dumpable, __ATOMIC_RELAXED) != 1 ||
	    open_core(t, &c.f) < 0)
		return false;
	ranges = mm_core_ranges(t->mm, RANGES_MAX, &count);
	strbuf_init(&notes);
	if (ranges) {
		add_notes(t, info, ranges, count, &notes);
		if (!strbuf_ok(&notes) || !write_core(&c, &notes, ranges, count))
			log_info("process %d: its core file isn't whole", t->process->tgid);
		mm_ranges_free(ranges, count);
	}
	strbuf_fini(&notes);
	file_put(c.f);
	return ranges != NULL;
}
