/* hostfile.c: a memfile that lives in a host memfd of its own, because guests map it or it grew large.
 * The account of such a file is brought up to date by each operation on it; pages that a guest touches
 * through a mapping are counted then, and limited in between by the host (cgroup). Callers hold m->lock. */
#include "platform/abi/errno.h"
#include "platform/abi/fcntl.h"
#include "platform/abi/fs.h"
#include "platform/host/hostcall.h"
#include "platform/host/memfd.h"
#include "sentry/mem/internal.h"

uint64_t hostfile_allocated(struct memfile *m)
{
	int64_t bytes = memfd_allocated(m->fd);

	return bytes < 0 ? m->charged * PAGE_SIZE : (uint64_t)bytes;
}

/* The account follows what the host holds. */
static void hostfile_recount(struct memfile *m)
{
	uint64_t now = ROUND_UP(hostfile_allocated(m), PAGE_SIZE) / PAGE_SIZE;

	if (now > m->charged) {
		if (mem_charge(now - m->charged) < 0)
			return; /* counted when there is room; what exists can't be refused any more */
	} else {
		mem_uncharge(m->charged - now);
	}
	m->charged = now;
}

ssize_t hostfile_read(struct memfile *m, void *dst, size_t n, uint64_t off)
{
	size_t done = 0;

	while (done < n) {
		ssize_t got = hc_pread(m->fd, (char *)dst + done, n - done, off + done);

		if (got == -EINTR)
			continue;
		if (got <= 0)
			return done ? (ssize_t)done : got;
		done += (size_t)got;
	}
	return (ssize_t)done;
}

static ssize_t hostfile_write_raw(int fd, const void *src, size_t n, uint64_t off)
{
	size_t done = 0;

	while (done < n) {
		ssize_t put = hc_pwrite(fd, (const char *)src + done, n - done, off + done);

		if (put == -EINTR)
			continue;
		if (put <= 0)
			return done ? (ssize_t)done : put;
		done += (size_t)put;
	}
	return (ssize_t)done;
}

ssize_t hostfile_write(struct memfile *m, const void *src, size_t n, uint64_t off)
{
	uint64_t pages = (ROUND_UP(off + n, PAGE_SIZE) - ROUND_DOWN(off, PAGE_SIZE)) / PAGE_SIZE;
	ssize_t ret;

	/* Room for all pages is set aside first and corrected by the recount. At the limit, rewriting what
	 * exists must still work. */
	if (mem_charge(pages) == 0)
		m->charged += pages;
	else if (hc_lseek(m->fd, (int64_t)off, LINUX_SEEK_HOLE) < (int64_t)(off + n))
		return -ENOSPC;
	ret = hostfile_write_raw(m->fd, src, n, off);
	if (ret > 0 && off + (uint64_t)ret > m->size)
		m->size = off + (uint64_t)ret;
	hostfile_recount(m);
	return ret;
}

int hostfile_truncate(struct memfile *m, uint64_t size)
{
	int ret = hc_ftruncate(m->fd, size);

	if (ret == 0)
		m->size = size;
	hostfile_recount(m);
	return ret;
}

int hostfile_allocate(struct memfile *m, uint64_t off, uint64_t n, bool keep_size)
{
	uint64_t pages = (ROUND_UP(off + n, PAGE_SIZE) - ROUND_DOWN(off, PAGE_SIZE)) / PAGE_SIZE;
	int ret = mem_charge(pages);

	if (ret < 0)
		return ret;
	m->charged += pages;
	do
		ret = hc_fallocate(m->fd, keep_size ? LINUX_FALLOC_FL_KEEP_SIZE : 0, off, n);
	while (ret == -EINTR);
	if (ret == 0 && !keep_size && off + n > m->size)
		m->size = off + n;
	hostfile_recount(m);
	return ret;
}

int hostfile_punch(struct memfile *m, uint64_t off, uint64_t n)
{
	int ret = hc_fallocate(m->fd, LINUX_FALLOC_FL_PUNCH_HOLE | LINUX_FALLOC_FL_KEEP_SIZE, off, n);

	hostfile_recount(m);
	return ret;
}

int64_t hostfile_seek(struct memfile *m, uint64_t off, bool data)
{
	return hc_lseek(m->fd, (int64_t)off, data ? LINUX_SEEK_DATA : LINUX_SEEK_HOLE);
}

int hostfile_convert(struct memfile *m)
{
	int fd = memfd_create_sized("sbx-file", m->size);
	uint64_t i = 0;

	if (fd < 0)
		return fd == -EMFILE || fd == -ENFILE ? -ENOMEM : fd;
	for (; pagemap_next(&m->map, i, &i); i++) {
		uint64_t off = i << PAGE_SHIFT;
		ssize_t put = hostfile_write_raw(fd, pagemap_find(&m->map, i), PAGE_SIZE, off);

		if (put != (ssize_t)PAGE_SIZE) {
			hc_close(fd);
			return put < 0 ? (int)put : -ENOMEM;
		}
	}
	/* Whole pages were written: the last one may have carried the end beyond the size. */
	if (hc_ftruncate(fd, m->size) < 0) {
		hc_close(fd);
		return -ENOMEM;
	}
	m->charged = m->map.count;
	mem_pool_add(-(int64_t)m->map.count);
	for (i = 0; pagemap_next(&m->map, i, &i);)
		kfree(pagemap_remove(&m->map, i));
	m->fd = fd;
	return 0;
}
