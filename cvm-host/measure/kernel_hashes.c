/* kernel_hashes.c: the table of hashes by which QEMU tells OVMF which kernel, initrd and command line it was
 * given. */
#include <string.h>

#include <openssl/evp.h>

#include "cvm-host/measure/measure.h"
#include "platform/base/bytes.h"

static const uint8_t guid_table[16] = {0x06, 0xd6, 0x38, 0x94, 0x22, 0x4f, 0xc9, 0x4c,
				       0xb4, 0x79, 0xa7, 0x93, 0xd4, 0x11, 0xfd, 0x21};
static const uint8_t guid_kernel[16] = {0x37, 0x94, 0xe7, 0x4d, 0xd2, 0xab, 0x7f, 0x42,
					0xb8, 0x35, 0xd5, 0xb1, 0x72, 0xd2, 0x04, 0x5b};
static const uint8_t guid_initrd[16] = {0x31, 0xf7, 0xba, 0x44, 0x2f, 0x3a, 0xd7, 0x4b,
					0x9a, 0xf1, 0x41, 0xe2, 0x91, 0x69, 0x78, 0x1d};
static const uint8_t guid_cmdline[16] = {0xd8, 0x2d, 0xd0, 0x97, 0x20, 0xbd, 0x94, 0x4c,
					 0xaa, 0x78, 0xe7, 0x71, 0x4d, 0x36, 0xab, 0x2a};

bool kernel_hashes_of(const void *kernel, size_t kernel_size, const void *initrd, size_t initrd_size,
		      const char *cmdline, struct kernel_hashes *out)
{
	if (!cmdline)
		cmdline = "";
	return EVP_Digest(kernel, kernel_size, out->kernel, NULL, EVP_sha256(), NULL) == 1 &&
	       EVP_Digest(initrd ? initrd : "", initrd ? initrd_size : 0, out->initrd, NULL, EVP_sha256(),
			  NULL) == 1 &&
	       EVP_Digest(cmdline, strlen(cmdline) + 1, out->cmdline, NULL, EVP_sha256(), NULL) == 1;
}

static uint8_t *entry(uint8_t *p, const uint8_t guid[16], const uint8_t digest[32])
{
	memcpy(p, guid, 16);
	put_le16(p + 16, 50);
	memcpy(p + 18, digest, 32);
	return p + 50;
}

void kernel_table(const struct kernel_hashes *h, uint8_t out[KERNEL_TABLE_SIZE])
{
	uint8_t *p = out + 18;

	memset(out, 0, KERNEL_TABLE_SIZE);
	memcpy(out, guid_table, 16);
	put_le16(out + 16, 168);
	p = entry(p, guid_cmdline, h->cmdline);
	p = entry(p, guid_initrd, h->initrd);
	entry(p, guid_kernel, h->kernel);
}
