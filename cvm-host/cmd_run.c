/* cmd_run.c: `sbx run --confidential=TEE`: a program in a confidential VM. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cvm-host/cvm.h"
#include "cvm-host/kbs/manifest.h"
#include "cvm-host/launch/host.h"

static const char usage_text[] =
	"usage: sbx run --confidential=TEE --image DIR [OPTION...] [-- PROGRAM ARG...]\n\n"
	"(`sbx run` wants --confidential as its first option.) Runs the program of DIR's signed manifest in a "
	"confidential VM. PROGRAM, if given, must be the\n"
	"manifest's. TEE: snp, tdx, cca (--print only: this version starts none of them), or insecure-sim:\n"
	"a software TPM in a plain emulator, which protects nothing.\n\n"
	"      --image DIR          what `sbx image build` made\n"
	"      --manifest FILE      instead of DIR/manifest.json\n"
	"      --disk NAME=FILE     the volume NAME of the manifest; repeatable\n"
	"      --broker HOST:PORT   where the guest's TLS goes (default: the manifest's broker.url)\n"
	"      --firmware FILE      OVMF (/usr/share/ovmf/OVMF.fd)\n"
	"      --memory SIZE        in MiB, or with M, G (1G)\n"
	"      --cpus N             virtual processors (1)\n"
	"      --timeout SECONDS    then exit status 124\n"
	"      --console FILE       the guest kernel's console (insecure-sim)\n"
	"  -i                       standard input goes in\n"
	"  -q                       no progress\n"
	"      --print              show QEMU's command line and run nothing\n";

enum {
	O_TEE = 256,
	O_IMAGE,
	O_MANIFEST,
	O_DISK,
	O_BROKER,
	O_FIRMWARE,
	O_MEMORY,
	O_CPUS,
	O_TIMEOUT,
	O_CONSOLE,
	O_PRINT,
	O_NOT
};

static const struct option options[] = {{"confidential", optional_argument, NULL, O_TEE},
					{"image", required_argument, NULL, O_IMAGE},
					{"manifest", required_argument, NULL, O_MANIFEST},
					{"disk", required_argument, NULL, O_DISK},
					{"broker", required_argument, NULL, O_BROKER},
					{"firmware", required_argument, NULL, O_FIRMWARE},
					{"memory", required_argument, NULL, O_MEMORY},
					{"cpus", required_argument, NULL, O_CPUS},
					{"timeout", required_argument, NULL, O_TIMEOUT},
					{"console", required_argument, NULL, O_CONSOLE},
					{"interactive", no_argument, NULL, 'i'},
					{"print", no_argument, NULL, O_PRINT},
					{"help", no_argument, NULL, 'h'},
					/* of `sbx run` without --confidential */
					{"rootfs", required_argument, NULL, O_NOT},
					{"platform", required_argument, NULL, O_NOT},
					{"volume", required_argument, NULL, O_NOT},
					{"env", required_argument, NULL, O_NOT},
					{"workdir", required_argument, NULL, O_NOT},
					{"user", required_argument, NULL, O_NOT},
					{"tty", no_argument, NULL, O_NOT},
					{"hostname", required_argument, NULL, O_NOT},
					{"network", required_argument, NULL, O_NOT},
					{"pids", required_argument, NULL, O_NOT},
					{"files", required_argument, NULL, O_NOT},
					{"read-only", no_argument, NULL, O_NOT},
					{"strace", optional_argument, NULL, O_NOT},
					{"log", required_argument, NULL, O_NOT},
					{"debug", no_argument, NULL, O_NOT},
					{"stats", optional_argument, NULL, O_NOT},
					{"pcap", required_argument, NULL, O_NOT},
					{0}};

static int number(const char *what, const char *text, unsigned long max, unsigned *out)
{
	char *end;
	bool memory = !strcmp(what, "--memory");
	unsigned long v, unit = 1;

	errno = 0;
	v = strtoul(text, &end, 10);
	if (memory && (*end == 'G' || *end == 'M'))
		unit = *end++ == 'G' ? 1024 : 1;
	if (errno || end == text || *end || *text == '-' || !v || v > max / unit) {
		cvm_complain("%s: '%s' is not a number from 1 to %lu%s", what, text, max, memory ? " MiB" : "");
		return -EINVAL;
	}
	*out = (unsigned)(v * unit);
	return 0;
}

static int take_disk(struct launch *l, char *text)
{
	char *eq = strchr(text, '=');

	if (!eq || eq == text || l->vm.disk_count == VM_DISKS_MAX) {
		cvm_complain("--disk: NAME=FILE, at most %d of them", VM_DISKS_MAX);
		return -EINVAL;
	}
	*eq = 0;
	l->disk_path[l->vm.disk_count] = eq + 1;
	l->vm.disks[l->vm.disk_count++] = (struct vm_disk){text, -1};
	return 0;
}

static int take_option(int c, struct launch *l, bool *print, bool *tee)
{
	switch (c) {
	case O_TEE:
		*tee = optarg != NULL;
		if (!optarg)
			return 0; /* only --help may follow */
		if (vm_tee_of(optarg, &l->vm.tee) == 0)
			return 0;
		cvm_complain("--confidential: '%s' is none of insecure-sim, snp, tdx, cca", optarg);
		return -EINVAL;
	case O_IMAGE:
		l->image = optarg;
		return 0;
	case O_MANIFEST:
		l->manifest = optarg;
		return 0;
	case O_DISK:
		return take_disk(l, optarg);
	case O_BROKER:
		l->broker = optarg;
		return 0;
	case O_FIRMWARE:
		l->vm.firmware = optarg;
		return 0;
	case O_MEMORY:
		return number("--memory", optarg, 1u << 24, &l->vm.memory_mib);
	case O_CPUS:
		return number("--cpus", optarg, 4096, &l->vm.cpus);
	case O_TIMEOUT:
		return number("--timeout", optarg, 1000000, &l->timeout);
	case O_CONSOLE:
		l->console = optarg;
		return 0;
	case 'i':
		l->input = true;
		return 0;
	case 'q':
		l->quiet = true;
		return 0;
	case O_PRINT:
		*print = true;
		return 0;
	default:
		return -EINVAL;
	}
}

/* Command line and manifest of the image; PROGRAM is the manifest's or none. */
static int read_image(struct launch *l, char **program, struct blob *cmdline, json_t **doc, struct err *e)
{
	char *path = xasprintf("%s/cmdline", l->image);
	const json_t *argv;
	int ret = load_file(path, 2000, cmdline, e);

	free(path);
	l->vm.cmdline = (char *)cmdline->data;
	if (!ret)
		ret = json_read_file(l->manifest, MANIFEST_MAX, doc, e);
	if (!ret)
		ret = manifest_check(*doc, e);
	if (ret || !*program)
		return ret;
	argv = json_object_get(json_object_get(*doc, "manifest"), "argv");
	for (size_t i = 0; !ret && (program[i] || i < json_array_size(argv)); i++)
		if (!program[i] || i >= json_array_size(argv) ||
		    strcmp(program[i], json_string_value(json_array_get(argv, i))) != 0)
			ret = err_set(e, -EPERM,
				      "the signed manifest names another program or other arguments");
	return ret;
}

static int print_line(struct launch *l, const json_t *doc, struct err *e)
{
	char *kernel = xasprintf("%s/vmlinuz", l->image), *initrd = xasprintf("%s/initrd", l->image),
	     *init = manifest_initdata(doc), **argv = NULL, *text;
	size_t size = vm_config_size(l->vm.tee);
	uint8_t d[48];
	int ret;

	/* SHA-384 of the start configuration, cut or padded: what `init-data` of manifests says */
	sha384_of(init, strlen(init), d);
	memcpy(l->vm.config, d, MIN(size, sizeof(d)));
	l->vm.kernel = kernel;
	l->vm.initrd = initrd;
	l->vm.tpm_socket = "PRIVATE/tpm.sock";
	l->vm.ctl_fd = 3;
	l->vm.console = l->console ? "PRIVATE/console" : NULL;
	for (size_t i = 0; i < l->vm.disk_count; i++)
		l->vm.disks[i].fd = 4 + (int)i;
	ret = vm_argv(&l->vm, &argv, e);
	if (!ret)
		ret = vm_lint(l->vm.tee, argv, e);
	if (!ret) {
		text = vm_print(argv);
		fputs(text, stdout);
		free(text);
	}
	vm_argv_free(argv);
	free(kernel);
	free(initrd);
	free(init);
	return ret;
}

static int run(struct launch *l, bool print, char **program)
{
	char *manifest = xasprintf("%s/manifest.json", l->image), *host = NULL;
	struct blob cmdline = {0};
	struct err e = {"failed"};
	json_t *doc = NULL;
	const char *url;
	int ret;

	l->manifest = l->manifest ?: manifest;
	ret = read_image(l, program, &cmdline, &doc, &e);
	if (!ret && print)
		ret = print_line(l, doc, &e);
	if (!ret && !print && l->vm.tee != VM_SIM)
		ret = err_set(&e, -EOPNOTSUPP,
			      "%s: this version forms the command line (--print) and starts no such guest",
			      vm_tee_name(l->vm.tee));
	if (!ret && !print && !l->broker) {
		url = json_string_value(
			json_object_get(json_object_get(json_object_get(doc, "manifest"), "broker"), "url"));
		if (url && !strncmp(url, "https://", 8))
			l->broker = host = strndup(url + 8, strcspn(url + 8, "/"));
		else
			ret = err_set(&e, -EINVAL, "no broker: --broker, or the manifest's broker.url");
	}
	if (ret)
		cvm_complain("%s", e.text);
	ret = ret ? EXIT_OWN : 0;
	if (!ret && !print) {
		cvm_complain("NOT CONFIDENTIAL: insecure-sim is a software TPM in a plain emulator");
		ret = launch_run(l);
	}
	json_decref(doc);
	blob_free(&cmdline);
	free(manifest);
	free(host);
	return ret;
}

int cvm_run(int argc, char **argv)
{
	static struct launch l = {.vm = {.firmware = "/usr/share/ovmf/OVMF.fd", .memory_mib = 1024, .cpus = 1}};
	bool print = false, tee = false;
	int c, index = 0;

	while ((c = getopt_long(argc, argv, "+v:e:w:u:tiqh", options, &index)) != -1) {
		if (c == 'h') {
			fputs(usage_text, stdout);
			return 0;
		}
		if (c == O_NOT || (c != '?' && c < 256 && strchr("vewut", c))) {
			if (c == O_NOT)
				cvm_complain(
					"--%s: not with --confidential: the signed manifest says such things",
					options[index].name);
			else
				cvm_complain(
					"-%c: not with --confidential: the signed manifest says such things",
					c);
			return EXIT_OWN;
		}
		if (take_option(c, &l, &print, &tee) < 0)
			return EXIT_OWN;
	}
	if (!tee || !l.image) {
		fputs(usage_text, stderr);
		return EXIT_OWN;
	}
	return run(&l, print, argv + optind);
}
