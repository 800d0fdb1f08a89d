/* measure.h: what a confidential VM must measure to, computed from the files that it is started with. Pure
 * functions. */
#pragma once

#include "platform/base/attr.h"

#define MEASURE_SECTIONS_MAX 64
#define MEASURE_VCPUS_MAX    4096u

/* A section of OVMF's SEV metadata. */
struct ovmf_section {
	uint32_t gpa, size;
	uint32_t type; /* enum ovmf_section_type */
};
enum ovmf_section_type {
	OVMF_SEC_MEM = 1,
	OVMF_SECRETS = 2,
	OVMF_CPUID = 3,
	OVMF_SVSM_CAA = 4,
	OVMF_KERNEL_HASHES = 0x10,
};

/* What the table at the end of an OVMF image (or of an SVSM image: `svsm`) says. */
struct ovmf_info {
	struct ovmf_section sections[MEASURE_SECTIONS_MAX];
	size_t section_count;
	bool has_hashes, has_reset;
	uint32_t hashes_gpa; /* where the table of kernel hashes goes */
	uint32_t reset_eip;  /* of the application processors */
	bool has_svsm_info;
	uint32_t svsm_launch_offset;
};
/* -EINVAL for an image that is no multiple of 4 KiB or whose table is malformed. An image without a table gives
 * an empty result. */
MUST_CHECK int ovmf_parse(const void *image, size_t size, struct ovmf_info *out);

/* SHA-256 of kernel and initrd files and of the command line with its NUL. */
struct kernel_hashes {
	uint8_t kernel[32], initrd[32], cmdline[32];
};
/* initrd NULL: hashed as empty; cmdline NULL: as "". False when out of memory. */
MUST_CHECK bool kernel_hashes_of(const void *kernel, size_t kernel_size, const void *initrd, size_t initrd_size,
				 const char *cmdline, struct kernel_hashes *out);
/* The table that QEMU writes into the guest: 176 bytes. */
#define KERNEL_TABLE_SIZE 176u
void kernel_table(const struct kernel_hashes *h, uint8_t out[KERNEL_TABLE_SIZE]);

enum measure_vmm { VMM_QEMU, VMM_EC2, VMM_GCE };

struct snp_launch {
	const void *firmware; /* may be NULL when firmware_digest is given */
	size_t firmware_size;
	const uint8_t *firmware_digest;	    /* 48 bytes: the digest after the firmware's pages, or NULL */
	const struct ovmf_info *info;	    /* of the firmware; of the SVSM image when there is one */
	const void *svsm;		    /* NULL: none */
	size_t svsm_size, vars_size;	    /* variables between SVSM and firmware */
	const struct kernel_hashes *kernel; /* NULL: no kernel given to QEMU */
	uint32_t vcpus, vcpu_signature;	    /* CPUID 1 EAX; see vcpu_signature_of() */
	uint64_t features;		    /* SEV_FEATURES: 1 SNP, 0x20 debug swap */
	enum measure_vmm vmm;
};
/* MEASUREMENT of an SNP guest. -EINVAL: sizes; -ENOENT: a kernel, but firmware without a place for its hashes;
 * -ENOMEM. */
MUST_CHECK int snp_launch_digest(const struct snp_launch *l, uint8_t out[48]);
/* The digest after the firmware's pages alone. */
MUST_CHECK int snp_firmware_digest(const void *firmware, size_t size, uint8_t out[48]);
/* SEV-ES (es true) and SEV: SHA-256 of firmware, kernel table and VMSAs. */
MUST_CHECK int sev_launch_digest(const struct snp_launch *l, bool es, uint8_t out[32]);

/* CPUID signature of a QEMU CPU model ("EPYC-v4", "EPYC-Milan" ...); 0 when unknown. */
uint32_t vcpu_signature_of(const char *model);
uint32_t vcpu_signature(unsigned int family, unsigned int model, unsigned int stepping);

/* The page of register state that is measured for one virtual processor. */
void vmsa_page(uint8_t page[4096], uint32_t eip, const struct snp_launch *l, bool svsm);

/* ---- ID block (SEV-SNP ABI, ID_BLOCK and ID_AUTH_INFO)
 * ------------------------------------------------------------ */
#define ID_BLOCK_SIZE 96u
#define ID_AUTH_SIZE  4096u
#define ID_KEY_SIZE   1028u

struct id_block {
	uint8_t launch_digest[48], family_id[16], image_id[16];
	uint32_t guest_svn;
	uint64_t policy;
};
void id_block_write(const struct id_block *b, uint8_t out[ID_BLOCK_SIZE]);
/* The digest of a public key (PEM, P-384) that reports carry as ID_KEY_DIGEST. -EINVAL when it is no such key.
 */
MUST_CHECK int id_key_digest(const void *pem, size_t size, uint8_t out[48]);
/* Signs the block by the ID key, the ID key by the author's (NULL: none). Private keys in PEM, P-384. */
MUST_CHECK int id_auth_sign(const uint8_t block[ID_BLOCK_SIZE], const void *id_pem, size_t id_size,
			    const void *author_pem, size_t author_size, uint8_t out[ID_AUTH_SIZE]);
/* Whether block and auth information belong together: both signatures. */
MUST_CHECK int id_auth_verify(const uint8_t block[ID_BLOCK_SIZE], const uint8_t auth[ID_AUTH_SIZE]);
