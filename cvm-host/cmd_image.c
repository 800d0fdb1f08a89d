/* cmd_image.c: `sbx image build`: kernel, initrd, command line, root archive, signed manifest and reference
 * values of a guest; the same input gives the same bytes. */
#include <errno.h>
#include <getopt.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cvm-host/cvm.h"
#include "cvm-host/image/cpio.h"
#include "cvm-host/kbs/jose.h"
#include "cvm-host/kbs/manifest.h"
#include "cvm-host/measure/tdx.h"

#define MODULES_MAX 32
#define FILE_LIMIT  ((size_t)1 << 30)

/* Measured. No ACPI switch: OVMF's TPM and PCI devices are found through it (production: a kernel of one's
 * own). */
static const char default_cmdline[] =
	"console=ttyS0 quiet panic=-1 oops=panic lockdown=confidentiality random.trust_cpu=on "
	"random.trust_bootloader=off tsc=reliable no-kvmclock module.sig_enforce=1 init_on_alloc=1 "
	"ia32_emulation=0 mitigations=auto,nosmt";

static const char usage_text[] =
	"usage: sbx image build --kernel FILE --root DIR -o OUT [OPTION...]\n\n"
	"Makes OUT/vmlinuz, initrd, cmdline, root.img, reference.json and, with --manifest, manifest.json.\n\n"
	"      --kernel FILE      a kernel with an EFI stub\n"
	"      --module FILE      a kernel module that the guest loads, in the order given; repeatable\n"
	"      --programs DIR     where sbx-guest, sbx, sbx-sentry and sbx-gofer are (beside this program)\n"
	"      --root DIR         what becomes the guest's root file system\n"
	"      --memory MIB       of the guest: QEMU before 8.0 lets PCR 4 depend on it (1024)\n"
	"      --cmdline TEXT     instead of the default\n"
	"      --manifest FILE    what may run: its image and boot members are filled in\n"
	"      --key PEM          signs it\n"
	"  -o, --out DIR          must not exist\n";

struct args {
	const char *kernel, *modules[MODULES_MAX], *root, *out, *manifest, *key, *cmdline;
	char *programs;
	size_t module_count;
	uint64_t memory; /* MiB */
};

static int save(const struct args *a, const char *name, const void *p, size_t size, struct err *e)
{
	char *path = xasprintf("%s/%s", a->out, name);
	int ret = save_file(path, p, size, 0644, e);

	free(path);
	return ret;
}

static int add_file(struct cpio_tree *t, const char *path, char *from, uint32_t mode, struct err *e)
{
	struct blob b = {0};
	int ret = load_file(from, FILE_LIMIT, &b, e);

	if (!ret)
		cpio_add(t, path, mode, b.data, b.size);
	blob_free(&b);
	free(from);
	return ret;
}

static int make_initrd(const struct args *a, struct blob *out, struct err *e)
{
	static const char *const programs[] = {"sbx", "sbx-sentry", "sbx-gofer"};
	struct cpio_tree t = {0};
	char path[300];
	int ret = add_file(&t, "init", xasprintf("%s/sbx-guest", a->programs), S_IFREG | 0755, e);

	cpio_add(&t, "sbx", S_IFDIR | 0755, NULL, 0);
	cpio_add(&t, "modules", S_IFDIR | 0755, NULL, 0);
	for (size_t i = 0; i < ARRAY_SIZE(programs) && !ret; i++) {
		snprintf(path, sizeof(path), "sbx/%s", programs[i]);
		ret = add_file(&t, path, xasprintf("%s/%s", a->programs, programs[i]), S_IFREG | 0755, e);
	}
	for (size_t i = 0; i < a->module_count && !ret; i++) {
		const char *slash = strrchr(a->modules[i], '/');

		snprintf(path, sizeof(path), "modules/%02zu-%.200s", i, slash ? slash + 1 : a->modules[i]);
		ret = add_file(&t, path, xstrdup(a->modules[i]), S_IFREG | 0644, e);
	}
	if (!ret)
		ret = cpio_write(&t, out, e);
	cpio_free(&t);
	return ret;
}

static void put_hex(json_t *o, const char *name, const void *p, size_t size)
{
	char *s = bytes_hex_string(p, size);

	json_object_set_new(o, name, json_string(s));
	free(s);
}

static void put_sha256(json_t *o, const char *name, const void *p, size_t size)
{
	uint8_t d[32];

	sha256_of(p, size, d);
	put_hex(o, name, d, 32);
}

/* Fills in image and boot, signs, saves. *init: SHA-256 of what the guest extends PCR 8 with. */
static int make_manifest(const struct args *a, const struct blob *root, const json_t *boot, uint8_t init[32],
			 struct err *e)
{
	json_t *doc = NULL, *m, *image = json_object();
	EVP_PKEY *key = NULL;
	uint8_t hash[32];
	char *text;
	int ret = json_read_file(a->manifest, MANIFEST_MAX, &doc, e);

	if (!ret && !json_object_get(doc, "manifest"))
		doc = json_pack("{so}", "manifest", doc);
	image_root(root->data, root->size, hash);
	put_hex(image, "root-hash", hash, 32);
	json_object_set_new(image, "size", json_integer((json_int_t)root->size));
	m = ret ? NULL : json_object_get(doc, "manifest");
	if (m) {
		json_object_set(m, "image", image);
		json_object_set(m, "boot", (json_t *)boot);
	}
	json_decref(image);
	if (!ret)
		ret = key_load(a->key, &key, e);
	if (!ret)
		ret = manifest_sign(doc, key, e);
	if (!ret)
		ret = manifest_check(doc, e);
	if (!ret) {
		text = manifest_initdata(doc);
		sha256_of(text, strlen(text), init);
		free(text);
		text = json_dumps(doc, JSON_INDENT(1));
		ret = save(a, "manifest.json", text, strlen(text), e);
		free(text);
	}
	EVP_PKEY_free(key);
	json_decref(doc);
	return ret;
}

static int make_reference(const struct args *a, const struct blob *kernel, const struct blob *initrd,
			  const uint8_t *init, json_t *boot, struct err *e)
{
	struct boot_files b = {kernel->data, kernel->size, initrd->data, initrd->size, a->cmdline};
	struct blob patched = {0};
	struct boot_digests d;
	uint8_t pcr[32];
	json_t *o = json_object();
	char *text;
	int ret = boot_digests_of(&b, 32, &d);

	if (ret)
		ret = err_set(e, ret, "%s: no kernel with an EFI stub", a->kernel);
	if (!ret && !(ret = tpm_pcr4(&d, pcr)))
		put_hex(o, "tpm.pcr.sha256.4", pcr, 32);
	if (!ret && !(ret = tpm_pcr8(init, pcr)))
		put_hex(o, "tpm.pcr.sha256.8", pcr, 32);
	if (!ret && !(ret = tpm_pcr9(&d, pcr)))
		put_hex(o, "tpm.pcr.sha256.9", pcr, 32);
	blob_set(&patched, kernel->data, kernel->size);
	b.kernel = patched.data;
	if (!ret && (boot_qemu_setup(patched.data, patched.size, initrd->size, a->memory << 20) < 0 ||
		     boot_digests_of(&b, 32, &d) < 0))
		ret = err_set(e, -EINVAL, "%s: no kernel that QEMU starts", a->kernel);
	if (!ret && !(ret = tpm_pcr4(&d, pcr)))
		put_hex(o, "tpm.pcr.sha256.4-qemu-7", pcr, 32);
	blob_free(&patched);
	json_object_set(o, "boot", boot);
	text = json_dumps(o, JSON_INDENT(1));
	if (!ret)
		ret = save(a, "reference.json", text, strlen(text), e);
	free(text);
	json_decref(o);
	return ret;
}

static int build(const struct args *a, struct err *e)
{
	struct blob kernel = {0}, initrd = {0}, root = {0};
	struct cpio_tree t = {0};
	json_t *boot = json_object();
	uint8_t init[32];
	int ret = mkdir(a->out, 0755) < 0 ? err_set(e, -errno, "%s: %s", a->out, strerror(errno)) : 0;

	if (!ret)
		ret = load_file(a->kernel, FILE_LIMIT, &kernel, e);
	if (!ret)
		ret = make_initrd(a, &initrd, e);
	if (!ret)
		ret = cpio_add_dir(&t, a->root, "", e);
	if (!ret)
		ret = cpio_write(&t, &root, e);
	if (!ret) {
		put_sha256(boot, "kernel", kernel.data, kernel.size);
		put_sha256(boot, "initrd", initrd.data, initrd.size);
		json_object_set_new(boot, "cmdline", json_string(a->cmdline));
		ret = save(a, "vmlinuz", kernel.data, kernel.size, e);
	}
	if (!ret)
		ret = save(a, "initrd", initrd.data, initrd.size, e);
	if (!ret)
		ret = save(a, "cmdline", a->cmdline, strlen(a->cmdline), e);
	if (!ret)
		ret = save(a, "root.img", root.data, root.size, e);
	if (!ret && a->manifest)
		ret = make_manifest(a, &root, boot, init, e);
	if (!ret)
		ret = make_reference(a, &kernel, &initrd, a->manifest ? init : NULL, boot, e);
	json_decref(boot);
	cpio_free(&t);
	blob_free(&kernel);
	blob_free(&initrd);
	blob_free(&root);
	return ret;
}

static const struct option options[] = {{"kernel", required_argument, NULL, 'k'},
					{"module", required_argument, NULL, 'm'},
					{"programs", required_argument, NULL, 'p'},
					{"root", required_argument, NULL, 'r'},
					{"cmdline", required_argument, NULL, 'c'},
					{"manifest", required_argument, NULL, 'f'},
					{"key", required_argument, NULL, 's'},
					{"memory", required_argument, NULL, 'M'},
					{"out", required_argument, NULL, 'o'},
					{"help", no_argument, NULL, 'h'},
					{0}};

static bool take_option(int c, struct args *a)
{
	char *end;

	switch (c) {
	case 'k':
		a->kernel = optarg;
		return true;
	case 'm':
		if (a->module_count == MODULES_MAX)
			return false;
		a->modules[a->module_count++] = optarg;
		return true;
	case 'p':
		free(a->programs);
		a->programs = xstrdup(optarg);
		return true;
	case 'r':
		a->root = optarg;
		return true;
	case 'c':
		a->cmdline = optarg;
		return true;
	case 'f':
		a->manifest = optarg;
		return true;
	case 's':
		a->key = optarg;
		return true;
	case 'M':
		errno = 0;
		a->memory = strtoull(optarg, &end, 10);
		return !errno && !*end && a->memory >= 128 && a->memory <= 1u << 24;
	case 'o':
		a->out = optarg;
		return true;
	default:
		return false;
	}
}

int cvm_image(int argc, char **argv)
{
	struct args a = {.cmdline = default_cmdline, .memory = 1024};
	struct err e = {"failed"};
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	int c, ret;

	self[MAX(n, 0)] = 0;
	a.programs = xstrdup(n > 0 ? dirname(self) : ".");
	while ((c = getopt_long(argc, argv, "o:h", options, NULL)) != -1) {
		if (c == 'h') {
			fputs(usage_text, stdout);
			return 0;
		}
		if (!take_option(c, &a))
			break;
	}
	if (c != -1 || argc - optind != 1 || strcmp(argv[optind], "build") != 0 || !a.kernel || !a.root ||
	    !a.out || !a.manifest != !a.key) {
		fputs(usage_text, stderr);
		return EXIT_USAGE;
	}
	ret = build(&a, &e);
	free(a.programs);
	if (ret)
		cvm_complain("%s", e.text);
	return ret ? EXIT_OWN : 0;
}
