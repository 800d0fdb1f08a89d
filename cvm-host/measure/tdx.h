/* tdx.h: what a TD measures to: MRTD of its firmware, and the runtime registers that firmware and kernel
 * extend. */
#pragma once

#include "platform/base/attr.h"

#define TDVF_SECTIONS_MAX 64

enum tdvf_type { TDVF_BFV = 0, TDVF_CFV = 1, TDVF_TD_HOB = 2, TDVF_TEMP_MEM = 3, TDVF_PERM_MEM = 4 };
#define TDVF_EXTEND   (1u << 0) /* MR.EXTEND: the content is measured */
#define TDVF_PAGE_AUG (1u << 1) /* added later by the guest: not measured at all */

/* A section of TDVF metadata (Intel TDX Virtual Firmware Design Guide, 11.2). */
struct tdvf_section {
	uint32_t data_offset, data_size;
	uint64_t address, memory_size;
	uint32_t type, attributes;
};
struct tdvf_info {
	struct tdvf_section sections[TDVF_SECTIONS_MAX];
	size_t count;
};
/* -EINVAL when malformed, -ENOENT when the image has no such metadata. Sections lie within the image and are of
 * whole pages. */
MUST_CHECK int tdvf_parse(const void *image, size_t size, struct tdvf_info *out);

/* In what order a hypervisor adds and extends: page by page, or first all pages of a section, then all its
 * content. */
enum mrtd_order { MRTD_TWO_PASS, MRTD_SINGLE_PASS };
MUST_CHECK int tdx_mrtd(const void *image, size_t size, enum mrtd_order order, uint8_t out[48]);

/* A register being predicted: starts at zero. Digest of an event's data, or one known already. -ENOMEM. */
struct measured_register {
	uint8_t value[48];
	size_t size; /* 48 for RTMRs (SHA-384), 32 for PCRs (SHA-256) */
};
void register_init(struct measured_register *r, size_t size);
MUST_CHECK int register_extend(struct measured_register *r, const uint8_t *digest);
MUST_CHECK int register_measure(struct measured_register *r, const void *data, size_t size);

/* What the boot of a kernel by firmware consists of. Strings of the command line are as the guest sees them. */
struct boot_files {
	const void *kernel; /* PE image */
	size_t kernel_size;
	const void *initrd; /* NULL: none */
	size_t initrd_size;
	const char *cmdline; /* ASCII; "" for none */
};

/* The Authenticode digest of a PE image (Windows Authenticode Portable Executable Signature Format): what
 * firmware measures of a program that it starts. `size` 48 or 32 picks SHA-384 or SHA-256. -EINVAL for no PE
 * image. */
MUST_CHECK int authenticode(const void *pe, size_t pe_size, size_t size, uint8_t *out);

/* Changes a kernel as QEMU before 8.0 does for a guest (q35) with that much memory in bytes before its firmware
 * sees it; later ones, and guests of SEV and TDX, leave it. -EINVAL: no kernel of boot protocol 2.03 or later
 * that is loaded high. */
MUST_CHECK int boot_qemu_setup(void *kernel, size_t size, size_t initrd_size, uint64_t memory);

/* Digests of the boot's parts at one hash size: SHA-384 for RTMRs, SHA-256 for PCRs. */
struct boot_digests {
	size_t size;
	uint8_t kernel[48], cmdline[48], initrd[48];
	bool has_initrd;
};
/* The command line is measured as UTF-16 with its NUL and, when there is an initrd, with the " initrd=initrd"
 * that OVMF appends to what QEMU gave. -EINVAL, -ENOMEM. */
MUST_CHECK int boot_digests_of(const struct boot_files *b, size_t size, struct boot_digests *out);

/* RTMR0: firmware configuration, which only the platform knows: digests of its events, in order. */
MUST_CHECK int tdx_rtmr0(const uint8_t (*digests)[48], size_t count, uint8_t out[48]);
/* RTMR1: the kernel that OVMF starts, and what OVMF announces around it. RTMR2: command line and initrd, by
 * Linux's EFI stub. The digests must be of SHA-384. */
MUST_CHECK int tdx_rtmr1(const struct boot_digests *d, uint8_t out[48]);
MUST_CHECK int tdx_rtmr2(const struct boot_digests *d, uint8_t out[48]);

/* PCR 4, 8, 9 (SHA-256 bank) of the same boot with a TPM. PCR 8 stays zero but for `manifest` (NULL: none), the
 * digest of what the guest extends itself. */
MUST_CHECK int tpm_pcr4(const struct boot_digests *d, uint8_t out[32]);
MUST_CHECK int tpm_pcr8(const uint8_t *manifest, uint8_t out[32]);
MUST_CHECK int tpm_pcr9(const struct boot_digests *d, uint8_t out[32]);
