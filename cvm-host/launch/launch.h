/* launch.h: the command line of a confidential VM and its lint. Pure: nothing is opened or run here.
 *
 * The launcher is on the host's side and trusted with nothing: what it forms shows in the guest's measurement,
 * or the guest treats it as hostile. The lint is there so that an owner's own mistakes (a debuggable guest,
 * hashes that aren't measured, a device that nobody meant) end here and not as a refused attestation. */
#pragma once

#include "cvm-host/kbs/util.h"

enum vm_tee { VM_SIM, VM_SNP, VM_TDX, VM_CCA, VM_TEE_COUNT };
/* "insecure-sim", "snp", "tdx", "cca"; as the broker and manifests name them */
const char *vm_tee_name(enum vm_tee t);
MUST_CHECK int vm_tee_of(const char *name, enum vm_tee *out);
/* Bytes of the start configuration's digest that the platform has room for: HOST_DATA, MRCONFIGID, RPV. 0: the
 * guest extends PCR 8 itself. */
size_t vm_config_size(enum vm_tee t);

#define VM_DISKS_MAX 8
#define VM_CTL	     "org.sbx.ctl" /* the virtio-serial port of the channel (verbs.h) */

struct vm_disk {
	const char *name; /* the volume's, at most 20 characters: the guest finds it by that */
	int fd;		  /* of QEMU's process */
};

struct vm_config {
	enum vm_tee tee;
	const char *firmware, *kernel, *initrd, *cmdline; /* paths as QEMU sees them; text */
	unsigned memory_mib, cpus;
	int ctl_fd;		/* socket of the channel, of QEMU's process */
	const char *tpm_socket; /* insecure-sim: swtpm's control socket */
	const char *console;	/* a file for the guest's console, or NULL: there is none */
	struct vm_disk disks[VM_DISKS_MAX];
	size_t disk_count;
	uint8_t config[64];		/* digest of the start configuration, vm_config_size() bytes of it */
	const char *id_block, *id_auth; /* snp: base64, both or none */
	uint64_t snp_policy;		/* 0: 0x30000 */
	unsigned snp_cbitpos;		/* CPUID 0x8000001f EBX bits 0-5; 0: 51 */
	const char *snp_cpu;		/* NULL: EPYC-v4 */
	const char *tdx_quote_socket;	/* NULL: vsock to the host, port 4050 */
};

/* NULL-terminated; argv[0] is the emulator's name. -EINVAL: paths that QEMU's option syntax has no room for,
 * half an ID block, sizes. Free with vm_argv_free(). */
MUST_CHECK int vm_argv(const struct vm_config *c, char ***out, struct err *e);
void vm_argv_free(char **argv);
/* What no command line of that TEE may have, and what it must have, judged from the words alone. -EPERM and
 * why.
 */
MUST_CHECK int vm_lint(enum vm_tee tee, char *const *argv, struct err *e);
/* One option a line, quoted for a shell. To free(). */
char *vm_print(char *const *argv);
