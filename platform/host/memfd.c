/* memfd.c: see memfd.h. */
#include "platform/host/memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "platform/host/hostcall.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

int memfd_create_sized(const char *name, uint64_t size)
{
	int fd, ret;

	fd = hc_memfd_create(name, MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
	if (fd == -EINVAL) /* before Linux 6.3 */
		fd = hc_memfd_create(name, MFD_ALLOW_SEALING);
	if (fd < 0)
		return fd;
	ret = hc_ftruncate(fd, size);
	if (ret < 0) {
		hc_close(fd);
		return ret;
	}
	return fd;
}

int memfd_seal(int fd)
{
	return hc_fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
}

int64_t memfd_allocated(int fd)
{
	struct stat st;
	int ret = hc_fstat(fd, &st);

	return ret < 0 ? ret : (int64_t)st.st_blocks * 512;
}
