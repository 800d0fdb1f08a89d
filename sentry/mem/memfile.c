/* memfile.c: a file in memory while its pages live in the arena; a file that was mapped or grew large is
 * handed on to hostfile.c. Lock: m->lock around every operation. */
#include <string.h>

#include "platform/abi/errno.h"
#include "platform/base/checked.h"
#include "platform/host/hostcall.h"
#include "platform/host/proc.h"
#include "sentry/mem/internal.h"

int memfile_create(struct memfile **out)
{
	struct memfile *m = kmalloc(sizeof(*m));

	if (!m)
		return -ENOMEM;
	mutex_init(&m->lock, RANK_MEM);
	m->fd = m->readonly_fd = -1;
	*out = m;
	return 0;
}

static void page_drop(struct memfile *m, uint64_t index)
{
	void *page = pagemap_remove(&m->map, index);

	if (page) {
		kfree(page);
		mem_uncharge(1);
		mem_pool_add(-1);
	}
}

/* Frees whole pages [first, end). */
static void pages_drop(struct memfile *m, uint64_t first, uint64_t end)
{
	uint64_t i = first;

	while (pagemap_next(&m->map, i, &i) && i < end)
		page_drop(m, i++);
}

void memfile_destroy(struct memfile *m)
{
	if (!m)
		return;
	if (m->readonly_fd >= 0)
		hc_close(m->readonly_fd);
	if (m->fd >= 0) {
		hc_close(m->fd);
		mem_uncharge(m->charged);
	} else {
		pages_drop(m, 0, UINT64_MAX);
	}
	kfree(m);
}

static int page_add(struct memfile *m, uint64_t index, void **out)
{
	int ret = mem_charge(1);
	void *page;

	if (ret < 0)
		return ret;
	page = kalloc_pages(1);
	if (!page) {
		mem_uncharge(1);
		return -ENOMEM;
	}
	ret = pagemap_insert(&m->map, index, page);
	if (ret < 0) {
		kfree(page);
		mem_uncharge(1);
		return ret;
	}
	mem_pool_add(1);
	*out = page;
	return 0;
}

/* true when a write that makes the file hold `more` pages more should go to a memfd */
static bool wants_host(const struct memfile *m, uint64_t more)
{
	return m->map.count + more > FILE_POOL_MAX || mem_pool_full();
}

ssize_t memfile_read(struct memfile *m, void *dst, size_t n, uint64_t off)
{
	size_t done = 0;

	mutex_lock(&m->lock);
	if (off >= m->size) {
		n = 0;
	} else {
		n = MIN(n, m->size - off);
		if (m->fd >= 0) {
			ssize_t ret = hostfile_read(m, dst, n, off);

			mutex_unlock(&m->lock);
			return ret;
		}
	}
	while (done < n) {
		size_t in = (off + done) & (PAGE_SIZE - 1), part = MIN(n - done, PAGE_SIZE - in);
		const char *page = pagemap_find(&m->map, (off + done) >> PAGE_SHIFT);

		if (page)
			memcpy((char *)dst + done, page + in, part);
		else
			memset((char *)dst + done, 0, part);
		done += part;
	}
	mutex_unlock(&m->lock);
	return (ssize_t)done;
}

/* Pages in the arena; bytes written or the error that stopped the first. */
static ssize_t pool_write(struct memfile *m, const char *src, size_t n, uint64_t off)
{
	size_t done = 0;
	int ret = 0;

	while (done < n) {
		size_t in = (off + done) & (PAGE_SIZE - 1), part = MIN(n - done, PAGE_SIZE - in);
		uint64_t index = (off + done) >> PAGE_SHIFT;
		void *page = pagemap_find(&m->map, index);

		if (!page) {
			ret = page_add(m, index, &page);
			if (ret < 0)
				break;
		}
		memcpy((char *)page + in, src + done, part);
		done += part;
	}
	if (done && off + done > m->size)
		m->size = off + done;
	return done ? (ssize_t)done : ret;
}

ssize_t memfile_write(struct memfile *m, const void *src, size_t n, uint64_t off)
{
	uint64_t end;
	ssize_t ret;

	if (n == 0)
		return 0;
	if (n > INT64_MAX || add_overflows(off, n, &end) || end > INT64_MAX)
		return -EFBIG;
	mutex_lock(&m->lock);
	if (m->fd < 0 && wants_host(m, n >> PAGE_SHIFT))
		(void)hostfile_convert(m); /* on failure the pool must do */
	ret = m->fd >= 0 ? hostfile_write(m, src, n, off) : pool_write(m, src, n, off);
	mutex_unlock(&m->lock);
	return ret;
}

uint64_t memfile_size(struct memfile *m)
{
	return __atomic_load_n(&m->size, __ATOMIC_RELAXED);
}

/* Zeroes [off, end) within one page, if it is there. */
static void page_zero(struct memfile *m, uint64_t off, uint64_t end)
{
	char *page = off < end ? pagemap_find(&m->map, off >> PAGE_SHIFT) : NULL;

	if (page)
		memset(page + (off & (PAGE_SIZE - 1)), 0, end - off);
}

int memfile_truncate(struct memfile *m, uint64_t size)
{
	int ret = 0;

	if (size > INT64_MAX)
		return -EFBIG;
	mutex_lock(&m->lock);
	if (m->fd >= 0) {
		ret = hostfile_truncate(m, size);
	} else {
		if (size < m->size) {
			/* Also pages beyond the end, which fallocate may have left there. */
			pages_drop(m, ROUND_UP(size, PAGE_SIZE) >> PAGE_SHIFT, UINT64_MAX);
			page_zero(m, size, ROUND_UP(size, PAGE_SIZE));
		}
		m->size = size;
	}
	mutex_unlock(&m->lock);
	return ret;
}

static int pool_allocate(struct memfile *m, uint64_t first, uint64_t end)
{
	for (uint64_t i = first; i < end; i++) {
		void *page;
		int ret;

		if (pagemap_find(&m->map, i))
			continue;
		ret = page_add(m, i, &page);
		if (ret < 0)
			return ret;
	}
	return 0;
}

int memfile_allocate(struct memfile *m, uint64_t off, uint64_t n, bool keep_size)
{
	uint64_t end, last;
	int ret;

	if (add_overflows(off, n, &end) || end > INT64_MAX)
		return -EFBIG;
	if (n == 0)
		return -EINVAL;
	last = ROUND_UP(end, PAGE_SIZE) >> PAGE_SHIFT;
	mutex_lock(&m->lock);
	if (m->fd < 0 && wants_host(m, last - (off >> PAGE_SHIFT))) {
		ret = hostfile_convert(m);
		if (ret < 0)
			goto out;
	}
	if (m->fd >= 0) {
		ret = hostfile_allocate(m, off, n, keep_size);
	} else {
		ret = pool_allocate(m, off >> PAGE_SHIFT, last);
		if (ret == 0 && !keep_size && end > m->size)
			m->size = end;
	}
out:
	mutex_unlock(&m->lock);
	return ret == -ENOMEM ? -ENOSPC : ret;
}

int memfile_punch(struct memfile *m, uint64_t off, uint64_t n)
{
	uint64_t end, first, last;
	int ret = 0;

	if (add_overflows(off, n, &end) || end > INT64_MAX)
		end = INT64_MAX;
	if (off >= end)
		return 0;
	mutex_lock(&m->lock);
	if (m->fd >= 0) {
		ret = hostfile_punch(m, off, end - off);
	} else {
		first = ROUND_UP(off, PAGE_SIZE) >> PAGE_SHIFT;
		last = end >> PAGE_SHIFT;
		if (first > last) { /* within one page */
			page_zero(m, off, end);
		} else {
			page_zero(m, off, first << PAGE_SHIFT);
			page_zero(m, last << PAGE_SHIFT, end);
			pages_drop(m, first, last);
		}
	}
	mutex_unlock(&m->lock);
	return ret;
}

int64_t memfile_seek(struct memfile *m, uint64_t off, bool data)
{
	int64_t ret = (int64_t)off;
	uint64_t index;

	mutex_lock(&m->lock);
	if (off >= m->size) {
		ret = -ENXIO;
	} else if (m->fd >= 0) {
		ret = hostfile_seek(m, off, data);
	} else if (data) {
		if (!pagemap_next(&m->map, off >> PAGE_SHIFT, &index) || index << PAGE_SHIFT >= m->size)
			ret = -ENXIO;
		else
			ret = (int64_t)MAX(off, index << PAGE_SHIFT);
	} else {
		index = pagemap_next_hole(&m->map, off >> PAGE_SHIFT);
		ret = (int64_t)MIN(MAX(off, index << PAGE_SHIFT), m->size);
	}
	mutex_unlock(&m->lock);
	return ret;
}

uint64_t memfile_allocated(struct memfile *m)
{
	uint64_t n;

	mutex_lock(&m->lock);
	n = m->fd >= 0 ? hostfile_allocated(m) : m->map.count * PAGE_SIZE;
	mutex_unlock(&m->lock);
	return n;
}

/* Where the host lets us open nothing again the writable one has to do. */
static int readonly_fd_locked(struct memfile *m)
{
	if (m->readonly_fd < 0)
		m->readonly_fd = MAX(proc_reopen_readonly(m->fd), -1);
	return m->readonly_fd >= 0 ? m->readonly_fd : m->fd;
}

int memfile_host_fd(struct memfile *m, bool writable, int *fd)
{
	int ret = 0;

	mutex_lock(&m->lock);
	if (m->fd < 0)
		ret = hostfile_convert(m);
	*fd = ret == 0 && !writable ? readonly_fd_locked(m) : m->fd;
	mutex_unlock(&m->lock);
	return ret;
}

const void *memfile_peek(struct memfile *m, uint64_t off, size_t *avail)
{
	const char *page = NULL;

	mutex_lock(&m->lock);
	if (m->fd < 0 && off < m->size) {
		size_t in = off & (PAGE_SIZE - 1);

		page = pagemap_find(&m->map, off >> PAGE_SHIFT);
		*avail = MIN(PAGE_SIZE - in, m->size - off);
		if (page)
			page += in;
	}
	mutex_unlock(&m->lock);
	return page;
}
