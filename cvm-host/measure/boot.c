/* boot.c: what OVMF and Linux's EFI stub extend when QEMU hands them a kernel: RTMR 0 to 2, PCR 4, 8 and 9. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "cvm-host/measure/tdx.h"
#include "platform/base/bytes.h"

/* Strings that the firmware profile prescribes (TCG PC Client, 10.4.1 EV_EFI_ACTION). */
static const char calling[] = "Calling EFI Application from Boot Option";
static const char leaving[] = "Exit Boot Services Invocation";
static const char left[] = "Exit Boot Services Returned with Success";
static const uint8_t separator[4];

static int digest(size_t size, const void *data, size_t n, uint8_t *out)
{
	return EVP_Digest(data, n, out, NULL, size == 48 ? EVP_sha384() : EVP_sha256(), NULL) == 1 ? 0
												   : -ENOMEM;
}

void register_init(struct measured_register *r, size_t size)
{
	memset(r, 0, sizeof(*r));
	r->size = size;
}

int register_extend(struct measured_register *r, const uint8_t *d)
{
	uint8_t both[96];

	memcpy(both, r->value, r->size);
	memcpy(both + r->size, d, r->size);
	return digest(r->size, both, 2 * r->size, r->value);
}

int register_measure(struct measured_register *r, const void *data, size_t n)
{
	uint8_t d[48];
	int ret = digest(r->size, data, n, d);

	return ret < 0 ? ret : register_extend(r, d);
}

/* Load options: UTF-16 with a NUL. */
static int cmdline_digest(const char *cmdline, bool initrd, size_t size, uint8_t *out)
{
	static const char suffix[] = " initrd=initrd";
	size_t n = strlen(cmdline), all = n + (initrd ? sizeof(suffix) - 1 : 0) + 1;
	uint8_t *wide = calloc(all, 2);
	int ret;

	if (!wide)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		if (cmdline[i] & 0x80) {
			free(wide);
			return -EINVAL;
		}
		wide[i * 2] = (uint8_t)cmdline[i];
	}
	for (size_t i = 0; initrd && i < sizeof(suffix) - 1; i++)
		wide[(n + i) * 2] = (uint8_t)suffix[i];
	ret = digest(size, wide, all * 2, out);
	free(wide);
	return ret;
}

int boot_digests_of(const struct boot_files *b, size_t size, struct boot_digests *out)
{
	int ret;

	memset(out, 0, sizeof(*out));
	out->size = size;
	out->has_initrd = b->initrd != NULL;
	ret = authenticode(b->kernel, b->kernel_size, size, out->kernel);
	if (ret == 0)
		ret = cmdline_digest(b->cmdline, out->has_initrd, size, out->cmdline);
	if (ret == 0 && b->initrd)
		ret = digest(size, b->initrd, b->initrd_size, out->initrd);
	return ret;
}

int tdx_rtmr0(const uint8_t (*digests)[48], size_t count, uint8_t out[48])
{
	struct measured_register r;
	int ret = 0;

	register_init(&r, 48);
	for (size_t i = 0; ret == 0 && i < count; i++)
		ret = register_extend(&r, digests[i]);
	memcpy(out, r.value, 48);
	return ret;
}

/* What goes to PCR 4: the kernel is loaded before the boot option is called. */
static int launch(struct measured_register *r, const struct boot_digests *d)
{
	int ret = d->size == r->size ? register_extend(r, d->kernel) : -EINVAL;

	if (ret == 0)
		ret = register_measure(r, calling, sizeof(calling) - 1);
	if (ret == 0)
		ret = register_measure(r, separator, sizeof(separator));
	return ret;
}

/* Linux's part: PCR 9, RTMR2. */
static int stub(struct measured_register *r, const struct boot_digests *d)
{
	int ret = d->size == r->size ? register_extend(r, d->cmdline) : -EINVAL;

	return ret == 0 && d->has_initrd ? register_extend(r, d->initrd) : ret;
}

int tdx_rtmr1(const struct boot_digests *d, uint8_t out[48])
{
	struct measured_register r;
	int ret;

	register_init(&r, 48);
	ret = launch(&r, d);
	if (ret == 0)
		ret = register_measure(&r, leaving, sizeof(leaving) - 1);
	if (ret == 0)
		ret = register_measure(&r, left, sizeof(left) - 1);
	memcpy(out, r.value, 48);
	return ret;
}

int tdx_rtmr2(const struct boot_digests *d, uint8_t out[48])
{
	struct measured_register r;
	int ret;

	register_init(&r, 48);
	ret = stub(&r, d);
	memcpy(out, r.value, 48);
	return ret;
}

int tpm_pcr4(const struct boot_digests *d, uint8_t out[32])
{
	struct measured_register r;
	int ret;

	register_init(&r, 32);
	ret = launch(&r, d);
	memcpy(out, r.value, 32);
	return ret;
}

int tpm_pcr8(const uint8_t *manifest, uint8_t out[32])
{
	struct measured_register r;
	int ret = 0;

	register_init(&r, 32);
	if (manifest)
		ret = register_extend(&r, manifest);
	memcpy(out, r.value, 32);
	return ret;
}

int tpm_pcr9(const struct boot_digests *d, uint8_t out[32])
{
	struct measured_register r;
	int ret;

	register_init(&r, 32);
	ret = stub(&r, d);
	memcpy(out, r.value, 32);
	return ret;
}
