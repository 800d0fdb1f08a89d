/* setup.c: what QEMU before 8.0 writes into the setup header of a kernel that it loads (Linux: Documentation/
 * arch/x86/boot.rst), and OVMF therefore measures. Guests of SEV and TDX get the file as it is. */
#include <errno.h>
#include <string.h>

#include "cvm-host/measure/tdx.h"
#include "platform/base/bytes.h"

#define REAL_MODE   0x10000u
#define CMDLINE	    0x20000u
#define ACPI_TABLES 0x28000u /* kept free below the end of low memory (q35) */
#define LOW_MAX	    0x80000000ull
enum {
	HDR_FLAGS = 0x211,
	HDR_LOADER = 0x210,
	HDR_RAMDISK = 0x218,
	HDR_HEAP = 0x224,
	HDR_CMDLINE = 0x228,
	HDR_INITRD_MAX = 0x22c,
	HDR_XLOAD = 0x236,
	HDR_MAGIC = 0x202,
	HDR_VERSION = 0x206,
	HDR_END = 0x238
};

int boot_qemu_setup(void *kernel, size_t size, size_t initrd_size, uint64_t memory)
{
	uint64_t max = UINT32_MAX, low = memory < LOW_MAX ? memory : LOW_MAX;
	uint8_t *k = kernel;

	if (size < HDR_END || memcmp(k + HDR_MAGIC, "HdrS", 4) != 0 || get_le16(k + HDR_VERSION) < 0x203 ||
	    !(k[HDR_FLAGS] & 1))
		return -EINVAL;
	if (get_le16(k + HDR_VERSION) < 0x20c || !(get_le16(k + HDR_XLOAD) & 2))
		max = get_le32(k + HDR_INITRD_MAX);
	if (low <= ACPI_TABLES)
		return -EINVAL;
	if (max >= low - ACPI_TABLES)
		max = low - ACPI_TABLES - 1;
	if (initrd_size > max)
		return -EINVAL;
	k[HDR_LOADER] = 0xb0;
	k[HDR_FLAGS] |= 0x80;
	put_le32(k + HDR_RAMDISK,
		 initrd_size ? (uint32_t)((max - initrd_size) & ~4095ull) : get_le32(k + HDR_RAMDISK));
	put_le32(k + HDR_RAMDISK + 4, initrd_size ? (uint32_t)initrd_size : get_le32(k + HDR_RAMDISK + 4));
	put_le16(k + HDR_HEAP, CMDLINE - REAL_MODE - 0x200);
	put_le32(k + HDR_CMDLINE, CMDLINE);
	return 0;
}
