/* mem.c: files about and of a process's memory. It is read from outside, with the page protections
 * honoured; writes go the way a debugger's do. */
#include "sentry/fs/proc/internal.h"

#define CHUNK	   4096u
#define TEXT_LIMIT (4UL << 20) /* of arguments and environment, whatever the guest's books say */

static struct mm *node_mm(const struct pseudo_node *n)
{
	struct task *t = proc_task(n);
	struct mm *mm;

	if (!t)
		return NULL;
	mm = task_mm_get(t);
	task_put(t);
	return mm;
}

/* Adds [start, end) of mm, as far as it can be read. */
static int add_range(struct mm *mm, uaddr_t start, uaddr_t end, struct strbuf *out)
{
	struct usermem um = mm_usermem(mm, NULL);
	char *buf;

	if (end <= start)
		return 0;
	end = MIN(end, start + TEXT_LIMIT);
	buf = kmalloc(CHUNK);
	if (!buf)
		return -ENOMEM;
	while (start < end) {
		size_t n = MIN((uint64_t)CHUNK, end - start), got = um.ops->in(&um, buf, start, n);

		strbuf_add(out, buf, got);
		start += got;
		if (got < n)
			break;
	}
	kfree(buf);
	return 0;
}

static void bounds(struct mm *mm, uaddr_t b[4])
{
	mutex_lock(&mm->lock);
	b[0] = mm->arg_start;
	b[1] = mm->arg_end;
	b[2] = mm->env_start;
	b[3] = mm->env_end;
	mutex_unlock(&mm->lock);
}

/* setproctitle: a program that wrote over its arguments' last terminator shows one string, which may go on
 * into the environment. */
static int add_title(struct mm *mm, const uaddr_t b[4], struct strbuf *out)
{
	size_t n = 0;
	int ret = add_range(mm, b[1], b[1] == b[2] ? b[3] : b[1], out);

	while (n < out->len && out->data[n])
		n++;
	out->len = MIN(n + 1, out->len);
	return ret;
}

int proc_show_cmdline(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	struct mm *mm = node_mm(n);
	uaddr_t b[4];
	int ret;

	(void)f;
	if (!mm)
		return 0; /* a zombie has none */
	bounds(mm, b);
	ret = add_range(mm, b[0], b[1], out);
	if (ret == 0 && out->len && out->len == b[1] - b[0] && out->data[out->len - 1])
		ret = add_title(mm, b, out);
	mm_put(mm);
	return ret;
}

int proc_show_environ(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	struct mm *mm = node_mm(n);
	uaddr_t b[4];
	int ret;

	(void)f;
	if (!mm)
		return 0;
	bounds(mm, b);
	ret = add_range(mm, b[2], b[3], out);
	mm_put(mm);
	return ret;
}

int proc_show_auxv(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	struct mm *mm = node_mm(n);

	(void)f;
	if (!mm)
		return 0;
	mutex_lock(&mm->lock);
	strbuf_add(out, mm->auxv, MIN(mm->auxv_count, (uint32_t)ARRAY_SIZE(mm->auxv)) * sizeof(mm->auxv[0]));
	mutex_unlock(&mm->lock);
	mm_put(mm);
	return 0;
}

static int show_map(struct pseudo_node *n, bool smaps, struct strbuf *out)
{
	struct mm *mm = node_mm(n);

	if (!mm)
		return 0;
	mm_show_maps(mm, out, smaps);
	mm_put(mm);
	return 0;
}

int proc_show_maps(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	(void)f;
	return show_map(n, false, out);
}

int proc_show_smaps(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	(void)f;
	return show_map(n, true, out);
}

int proc_show_smaps_rollup(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	static const char *const zeros[] = {"Pss_Dirty:",    "Pss_Anon:",     "Pss_File:",     "Pss_Shmem:",
					    "Shared_Clean:", "Shared_Dirty:", "Private_Clean:"};
	static const char *const more[] = {
		"LazyFree:",	    "AnonHugePages:", "ShmemPmdMapped:", "FilePmdMapped:", "Shared_Hugetlb:",
		"Private_Hugetlb:", "Swap:",	      "SwapPss:",	 "Locked:"};
	uint64_t vsize, rss, data, stack, text;
	struct mm *mm = node_mm(n);

	(void)f;
	if (!mm)
		return -ESRCH;
	mm_usage(mm, &vsize, &rss, &data, &stack, &text);
	mm_put(mm);
	strbuf_printf(out, "%08lx-%08lx ---p 00000000 00:00 0                          [rollup]\n",
		      GUEST_VA_MIN, GUEST_VA_END);
	strbuf_printf(out, "%-16s%8lu kB\n%-16s%8lu kB\n", "Rss:", rss >> 10, "Pss:", rss >> 10);
	for (size_t i = 0; i < ARRAY_SIZE(zeros); i++)
		strbuf_printf(out, "%-16s%8u kB\n", zeros[i], 0);
	strbuf_printf(out, "%-16s%8lu kB\n%-16s%8lu kB\n%-16s%8lu kB\n", "Private_Dirty:", rss >> 10,
		      "Referenced:", rss >> 10, "Anonymous:", rss >> 10);
	for (size_t i = 0; i < ARRAY_SIZE(more); i++)
		strbuf_printf(out, "%-16s%8u kB\n", more[i], 0);
	return 0;
}

/* ---- /proc/pid/mem: the position is the address ---- */
static ssize_t mem_move(struct file *f, struct uio *u, uint64_t *pos, bool write)
{
	struct mm *mm = node_mm(pseudo_of(f->inode));
	ssize_t total = 0, ret = 0;
	struct usermem um;
	char *buf;

	if (!mm)
		return 0;
	um = mm_usermem(mm, NULL);
	buf = kmalloc(CHUNK);
	if (!buf)
		ret = -ENOMEM;
	while (buf && u->resid) {
		size_t n = MIN((uint64_t)CHUNK, u->resid), done;

		if (write) {
			ret = uio_get(u, buf, n);
			if (ret <= 0)
				break;
			ret = mm->as->platform->ops->poke(mm->as, *pos, buf, (size_t)ret);
			done = ret > 0 ? (size_t)ret : 0;
		} else {
			done = um.ops->in(&um, buf, *pos, n);
			ret = done ? uio_put(u, buf, done) : 0;
		}
		*pos += done;
		total += (ssize_t)done;
		if (ret <= 0 || done < n)
			break;
	}
	kfree(buf);
	mm_put(mm);
	if (total)
		return total;
	return ret < 0 ? ret : u->resid ? -EIO : 0;
}

static ssize_t mem_read(struct file *f, struct uio *dst, uint64_t *pos)
{
	return mem_move(f, dst, pos, false);
}

static ssize_t mem_write(struct file *f, struct uio *src, uint64_t *pos)
{
	return mem_move(f, src, pos, true);
}

static int64_t mem_seek(struct file *f, int64_t off, int whence)
{
	if (whence == 1)
		off = (int64_t)(f->pos + (uint64_t)off);
	else if (whence != 0)
		return -EINVAL;
	f->pos = (uint64_t)off;
	return off;
}

const struct file_ops proc_mem_fops = {
	.read = mem_read,
	.write = mem_write,
	.seek = mem_seek,
	.seekable = true,
};
