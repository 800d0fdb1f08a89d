/* cmd_measure.c: `sbx measure`: reference values of a guest from the files that it is started with. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cvm-host/cvm.h"
#include "cvm-host/hex.h"
#include "cvm-host/measure/measure.h"
#include "cvm-host/measure/tdx.h"

#define FILE_MAX (1u << 30)

struct file {
	void *data;
	size_t size;
};

struct measure_args {
	const char *platform, *cmdline, *cpu, *vmm, *block_out, *auth_out;
	struct file firmware, kernel, initrd, svsm, id_key, author_key;
	uint64_t vcpus, signature, features, vars_size, svn, policy;
	uint8_t family[16], image[16];
	bool single_pass;
};

enum {
	O_FIRMWARE = 256,
	O_KERNEL,
	O_INITRD,
	O_SVSM,
	O_ID_KEY,
	O_AUTHOR_KEY,
	O_VCPUS,
	O_SIGNATURE,
	O_FEATURES,
	O_VARS,
	O_SVN,
	O_POLICY,
	O_CMDLINE,
	O_CPU,
	O_VMM,
	O_BLOCK_OUT,
	O_AUTH_OUT,
	O_FAMILY,
	O_IMAGE,
	O_SINGLE
};

static const struct option options[] = {
	{"platform", required_argument, NULL, 'p'},
	{"help", no_argument, NULL, 'h'},
	{"firmware", required_argument, NULL, O_FIRMWARE},
	{"kernel", required_argument, NULL, O_KERNEL},
	{"initrd", required_argument, NULL, O_INITRD},
	{"cmdline", required_argument, NULL, O_CMDLINE},
	{"svsm", required_argument, NULL, O_SVSM},
	{"vars-size", required_argument, NULL, O_VARS},
	{"vcpus", required_argument, NULL, O_VCPUS},
	{"cpu", required_argument, NULL, O_CPU},
	{"cpu-signature", required_argument, NULL, O_SIGNATURE},
	{"features", required_argument, NULL, O_FEATURES},
	{"vmm", required_argument, NULL, O_VMM},
	{"id-key", required_argument, NULL, O_ID_KEY},
	{"author-key", required_argument, NULL, O_AUTHOR_KEY},
	{"guest-svn", required_argument, NULL, O_SVN},
	{"policy", required_argument, NULL, O_POLICY},
	{"family-id", required_argument, NULL, O_FAMILY},
	{"image-id", required_argument, NULL, O_IMAGE},
	{"id-block-out", required_argument, NULL, O_BLOCK_OUT},
	{"id-auth-out", required_argument, NULL, O_AUTH_OUT},
	{"single-pass", no_argument, NULL, O_SINGLE},
	{NULL, 0, NULL, 0},
};

static void usage(FILE *out)
{
	fputs("usage: sbx measure --platform snp|sev|sev-es|tdx|tpm [OPTION...]\n\n"
	      "      --firmware FILE        OVMF image (snp, tdx)\n"
	      "      --kernel FILE, --initrd FILE, --cmdline TEXT   what QEMU is given\n"
	      "      --vcpus N              virtual processors (1)\n"
	      "      --cpu MODEL            QEMU's model: EPYC-v4, EPYC-Milan, EPYC-Genoa, EPYC-Turin, ...\n"
	      "      --cpu-signature N      or CPUID 1 EAX itself\n"
	      "      --vmm qemu|ec2|gce     whose register state (qemu)\n"
	      "      --features N           SEV_FEATURES (1)\n"
	      "      --svsm FILE            an SVSM below the firmware's variables of --vars-size N bytes\n"
	      "      --single-pass          tdx: the hypervisor adds and measures page by page\n"
	      "ID block of an SNP guest, signed:\n"
	      "      --id-key PEM [--author-key PEM] --id-block-out FILE --id-auth-out FILE\n"
	      "      --guest-svn N --policy N (0x30000) --family-id HEX --image-id HEX\n\n"
	      "Prints reference values as JSON, named as `sbx verify` names its claims.\n",
	      out);
}

static int number(const char *text, uint64_t max, uint64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoull(text, &end, 0);
	if (errno || end == text || *end || *text == '-' || *out > max) {
		cvm_complain("not a number up to %llu: %s", (unsigned long long)max, text);
		return -EINVAL;
	}
	return 0;
}

static int file_arg(struct file *f, const char *path)
{
	return cvm_read_file(path, FILE_MAX, &f->data, &f->size);
}

static int id_arg(uint8_t out[16], const char *text)
{
	if (hex_decode(text, out, 16) == 16)
		return 0;
	cvm_complain("not 16 bytes in hexadecimal: %s", text);
	return -EINVAL;
}

static int one_option(struct measure_args *a, int c, const char *arg)
{
	struct file *const files[] = {&a->firmware, &a->kernel, &a->initrd,
				      &a->svsm,	    &a->id_key, &a->author_key};
	uint64_t *const numbers[] = {&a->vcpus,	    &a->signature, &a->features,
				     &a->vars_size, &a->svn,	   &a->policy};
	static const uint64_t max[] = {MEASURE_VCPUS_MAX, UINT32_MAX, UINT64_MAX,
				       64u << 20,	  UINT32_MAX, UINT64_MAX};
	const char **const texts[] = {&a->cmdline, &a->cpu, &a->vmm, &a->block_out, &a->auth_out};

	if (c >= O_FIRMWARE && c <= O_AUTHOR_KEY)
		return file_arg(files[c - O_FIRMWARE], arg);
	if (c >= O_VCPUS && c <= O_POLICY)
		return number(arg, max[c - O_VCPUS], numbers[c - O_VCPUS]);
	if (c >= O_CMDLINE && c <= O_AUTH_OUT) {
		*texts[c - O_CMDLINE] = arg;
		return 0;
	}
	switch (c) {
	case 'p':
		a->platform = arg;
		return 0;
	case O_FAMILY:
		return id_arg(a->family, arg);
	case O_IMAGE:
		return id_arg(a->image, arg);
	case O_SINGLE:
		a->single_pass = true;
		return 0;
	}
	return -EINVAL;
}

static void put(json_t *j, const char *name, const uint8_t *data, size_t size)
{
	char text[2 * 64 + 1];

	hex_encode(data, size, text);
	json_object_set_new(j, name, json_string(text));
}

static int fail(const char *what, int err)
{
	cvm_complain("%s: %s", what, err == -ENOENT ? "the firmware has no place for it" : strerror(-err));
	return EXIT_OWN;
}

static int write_file(const char *path, const void *data, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	bool ok = fd >= 0 && write(fd, data, size) == (ssize_t)size;

	if (fd >= 0)
		ok = close(fd) == 0 && ok;
	if (!ok)
		cvm_complain("%s: %s", path, strerror(errno));
	return ok ? 0 : -EIO;
}

static int id_block(const struct measure_args *a, const uint8_t digest[48], json_t *out)
{
	struct id_block b = {.guest_svn = (uint32_t)a->svn, .policy = a->policy};
	uint8_t block[ID_BLOCK_SIZE], auth[ID_AUTH_SIZE], key[48];
	int ret;

	memcpy(b.launch_digest, digest, 48);
	memcpy(b.family_id, a->family, 16);
	memcpy(b.image_id, a->image, 16);
	id_block_write(&b, block);
	ret = id_auth_sign(block, a->id_key.data, a->id_key.size, a->author_key.data, a->author_key.size, auth);
	if (ret == 0)
		ret = id_key_digest(a->id_key.data, a->id_key.size, key);
	if (ret < 0)
		return fail("ID key or author key: not a private key on P-384", ret);
	put(out, "snp.id_key_digest", key, 48);
	if (a->author_key.data && id_key_digest(a->author_key.data, a->author_key.size, key) == 0)
		put(out, "snp.author_key_digest", key, 48);
	json_object_set_new(out, "snp.policy", json_integer((json_int_t)a->policy));
	json_object_set_new(out, "snp.guest_svn", json_integer((json_int_t)a->svn));
	if ((a->block_out && write_file(a->block_out, block, sizeof(block)) < 0) ||
	    (a->auth_out && write_file(a->auth_out, auth, sizeof(auth)) < 0))
		return EXIT_OWN;
	return 0;
}

static int vmm_of(const char *name, enum measure_vmm *out)
{
	static const char *const names[] = {"qemu", "ec2", "gce"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!name || strcmp(name, names[i]) == 0) {
			*out = (enum measure_vmm)i;
			return 0;
		}
	cvm_complain("--vmm: no such hypervisor: %s", name);
	return -EINVAL;
}

static int measure_sev(const struct measure_args *a, json_t *out)
{
	struct snp_launch l = {.firmware = a->firmware.data,
			       .firmware_size = a->firmware.size,
			       .svsm = a->svsm.data,
			       .svsm_size = a->svsm.size,
			       .vars_size = a->vars_size,
			       .vcpus = (uint32_t)a->vcpus,
			       .vcpu_signature = (uint32_t)a->signature,
			       .features = a->features};
	const struct file *table = a->svsm.data ? &a->svsm : &a->firmware;
	struct kernel_hashes hashes;
	struct ovmf_info info;
	uint8_t digest[48];
	bool snp = strcmp(a->platform, "snp") == 0;
	int ret;

	if (!a->firmware.data || vmm_of(a->vmm, &l.vmm) < 0)
		return EXIT_USAGE;
	if (a->cpu)
		l.vcpu_signature = vcpu_signature_of(a->cpu);
	if (!l.vcpu_signature && l.vmm == VMM_QEMU && strcmp(a->platform, "sev") != 0) {
		cvm_complain("--cpu: which model? (or --cpu-signature)");
		return EXIT_USAGE;
	}
	ret = ovmf_parse(table->data, table->size, &info);
	if (ret < 0)
		return fail("firmware: malformed table", ret);
	l.info = &info;
	if (a->kernel.data) {
		if (!kernel_hashes_of(a->kernel.data, a->kernel.size, a->initrd.data, a->initrd.size,
				      a->cmdline, &hashes))
			return fail("kernel", -ENOMEM);
		l.kernel = &hashes;
	}
	ret = snp ? snp_launch_digest(&l, digest)
		  : sev_launch_digest(&l, strcmp(a->platform, "sev-es") == 0, digest);
	if (ret < 0)
		return fail("launch digest", ret);
	put(out, snp ? "snp.measurement" : "sev.measurement", digest, snp ? 48 : 32);
	return snp && a->id_key.data ? id_block(a, digest, out) : 0;
}

static int boot_of(const struct measure_args *a, size_t size, struct boot_digests *d)
{
	const struct boot_files b = {a->kernel.data, a->kernel.size, a->initrd.data, a->initrd.size,
				     a->cmdline ? a->cmdline : ""};
	int ret = boot_digests_of(&b, size, d);

	return ret < 0 ? fail("kernel (no PE image) or command line (not ASCII)", ret) : 0;
}

static int measure_tdx(const struct measure_args *a, json_t *out)
{
	struct boot_digests d;
	uint8_t value[48];
	int ret;

	if (a->firmware.data) {
		ret = tdx_mrtd(a->firmware.data, a->firmware.size,
			       a->single_pass ? MRTD_SINGLE_PASS : MRTD_TWO_PASS, value);
		if (ret < 0)
			return fail("MRTD", ret);
		put(out, "tdx.mrtd", value, 48);
	}
	if (!a->kernel.data)
		return 0;
	if (boot_of(a, 48, &d) != 0)
		return EXIT_OWN;
	ret = tdx_rtmr1(&d, value);
	put(out, "tdx.rtmr1", value, 48);
	if (ret == 0)
		ret = tdx_rtmr2(&d, value);
	put(out, "tdx.rtmr2", value, 48);
	return ret < 0 ? fail("RTMR", ret) : 0;
}

static int measure_tpm(const struct measure_args *a, json_t *out)
{
	struct boot_digests d;
	uint8_t value[32];
	int ret;

	if (!a->kernel.data)
		return EXIT_USAGE;
	if (boot_of(a, 32, &d) != 0)
		return EXIT_OWN;
	ret = tpm_pcr4(&d, value);
	put(out, "tpm.pcr.sha256.4", value, 32);
	if (ret == 0)
		ret = tpm_pcr8(NULL, value);
	put(out, "tpm.pcr.sha256.8", value, 32);
	if (ret == 0)
		ret = tpm_pcr9(&d, value);
	put(out, "tpm.pcr.sha256.9", value, 32);
	return ret < 0 ? fail("PCR", ret) : 0;
}

int cvm_measure(int argc, char **argv)
{
	static struct measure_args a = {.vcpus = 1, .features = 1, .policy = 0x30000};
	json_t *out = json_object();
	int c, ret = EXIT_USAGE;

	while ((c = getopt_long(argc, argv, "p:h", options, NULL)) != -1) {
		if (c == 'h') {
			usage(stdout);
			return 0;
		}
		if (one_option(&a, c, optarg) < 0)
			return EXIT_USAGE;
	}
	if (a.platform && optind == argc) {
		if (strcmp(a.platform, "snp") == 0 || strcmp(a.platform, "sev") == 0 ||
		    strcmp(a.platform, "sev-es") == 0)
			ret = measure_sev(&a, out);
		else if (strcmp(a.platform, "tdx") == 0)
			ret = measure_tdx(&a, out);
		else if (strcmp(a.platform, "tpm") == 0)
			ret = measure_tpm(&a, out);
	}
	if (ret == EXIT_USAGE)
		usage(stderr);
	if (ret == 0) {
		char *text = json_dumps(out, JSON_INDENT(2) | JSON_PRESERVE_ORDER);

		puts(text ? text : "");
		free(text);
	}
	json_decref(out);
	return ret;
}
