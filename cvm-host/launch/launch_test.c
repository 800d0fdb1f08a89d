/* launch_test.c: the command lines are these and no others, the lint sees each mistake, and a hostile peer on
 * the channel gets nothing but an end of the conversation. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cvm-host/launch/launch.h"
#include "cvm-host/launch/verbs.h"
#include "platform/base/bytes.h"

static struct vm_config config(enum vm_tee tee)
{
	struct vm_config c = {.tee = tee,
			      .firmware = "/img/OVMF.fd",
			      .kernel = "/img/vmlinuz",
			      .initrd = "/img/initrd",
			      .cmdline = "console=null panic=-1",
			      .memory_mib = 512,
			      .cpus = 2,
			      .ctl_fd = 7,
			      .tpm_socket = "/p/tpm",
			      .disks = {{"root", 8}},
			      .disk_count = 1};

	memset(c.config, 0xab, sizeof(c.config));
	return c;
}

#define HEAD                                                                                                   \
	" \\\n  -nodefaults \\\n  -no-user-config \\\n  -no-reboot \\\n  -display none \\\n  -nic none"        \
	" \\\n  -sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
#define TAIL(more)                                                                                             \
	" \\\n  -m 512M \\\n  -smp 2,maxcpus=2"                                                                \
	" \\\n  -device virtio-serial-pci,id=ser,max_ports=2,disable-legacy=on" more                           \
	" \\\n  -chardev socket,id=ctl,fd=7"                                                                   \
	" \\\n  -device virtserialport,bus=ser.0,nr=1,chardev=ctl,name=org.sbx.ctl"                            \
	" \\\n  -add-fd fd=8,set=1"                                                                            \
	" \\\n  -blockdev driver=file,node-name=disk0,filename=/dev/fdset/1,locking=off"                       \
	" \\\n  -device virtio-blk-pci,drive=disk0,serial=root,disable-legacy=on" more                         \
	" \\\n  -kernel /img/vmlinuz \\\n  -initrd /img/initrd \\\n  -append 'console=null panic=-1'\n"
#define AB32 "q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s="
#define AB48 "q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6ur"
#define AB64 "q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urqw=="

static void golden(const struct vm_config *c, const char *want)
{
	struct err e = {""};
	char **argv = NULL, *text;

	cr_assert_eq(vm_argv(c, &argv, &e), 0, "%s", e.text);
	cr_expect_eq(vm_lint(c->tee, argv, &e), 0, "%s", e.text);
	text = vm_print(argv);
	cr_expect_str_eq(text, want, "got:\n%s\nwant:\n%s", text, want);
	free(text);
	vm_argv_free(argv);
}

Test(launch, insecure_sim)
{
	struct vm_config c = config(VM_SIM);

	golden(&c, "qemu-system-x86_64" HEAD " \\\n  -machine q35,accel=tcg,smm=off,vmport=off,hpet=off,usb=off"
		   " \\\n  -cpu max,la57=off \\\n  -bios /img/OVMF.fd"
		   " \\\n  -chardev socket,id=tpm,path=/p/tpm \\\n  -tpmdev emulator,id=tpm0,chardev=tpm"
		   " \\\n  -device tpm-crb,tpmdev=tpm0" TAIL(",romfile="));
}

Test(launch, snp)
{
	struct vm_config c = config(VM_SNP);

	golden(&c, "qemu-system-x86_64" HEAD
		   " \\\n  -machine q35,accel=kvm,kernel-irqchip=split,smm=off,vmport=off,"
		   "confidential-guest-support=cvm,memory-backend=ram"
		   " \\\n  -cpu EPYC-v4 \\\n  -object "
		   "memory-backend-memfd,id=ram,size=512M,share=true,prealloc=false"
		   " \\\n  -object sev-snp-guest,id=cvm,cbitpos=51,reduced-phys-bits=1,policy=0x30000,"
		   "kernel-hashes=on,host-data=" AB32
		   " \\\n  -bios /img/OVMF.fd" TAIL(",iommu_platform=on,romfile="));
	c.id_block = "QUJD";
	c.id_auth = "REVG";
	c.snp_policy = 0xb0000 & ~(1ull << 19);
	golden(&c, "qemu-system-x86_64" HEAD
		   " \\\n  -machine q35,accel=kvm,kernel-irqchip=split,smm=off,vmport=off,"
		   "confidential-guest-support=cvm,memory-backend=ram"
		   " \\\n  -cpu EPYC-v4 \\\n  -object "
		   "memory-backend-memfd,id=ram,size=512M,share=true,prealloc=false"
		   " \\\n  -object sev-snp-guest,id=cvm,cbitpos=51,reduced-phys-bits=1,policy=0x30000,"
		   "kernel-hashes=on,host-data=" AB32 ",id-block=QUJD,id-auth=REVG"
		   " \\\n  -bios /img/OVMF.fd" TAIL(",iommu_platform=on,romfile="));
}

Test(launch, tdx)
{
	struct vm_config c = config(VM_TDX);

	golden(&c, "qemu-system-x86_64" HEAD
		   " \\\n  -machine q35,accel=kvm,kernel-irqchip=split,smm=off,vmport=off,"
		   "confidential-guest-support=cvm,memory-backend=ram"
		   " \\\n  -cpu host,pmu=off \\\n  -object "
		   "memory-backend-memfd,id=ram,size=512M,share=true,prealloc=false"
		   " \\\n  -object "
		   "'{\"qom-type\":\"tdx-guest\",\"id\":\"cvm\",\"sept-ve-disable\":true,\"mrconfigid\":\"" AB48
		   "\",\"quote-generation-socket\":{\"type\":\"vsock\",\"cid\":\"2\",\"port\":\"4050\"}}'"
		   " \\\n  -bios /img/OVMF.fd" TAIL(",iommu_platform=on,romfile="));
}

Test(launch, cca)
{
	struct vm_config c = config(VM_CCA);

	golden(&c, "qemu-system-aarch64" HEAD
		   " \\\n  -machine virt,accel=kvm,gic-version=3,acpi=off,confidential-guest-support=cvm"
		   " \\\n  -cpu host \\\n  -object "
		   "rme-guest,id=cvm,measurement-algorithm=sha512,personalization-value=" AB64 TAIL(
			   ",iommu_platform=on,romfile="));
}

Test(launch, what_cannot_be_said_is_refused)
{
	struct vm_config c = config(VM_SNP);
	char **argv;
	struct err e;

	c.id_block = "QUJD";
	cr_expect_eq(vm_argv(&c, &argv, &e), -EINVAL);
	c = config(VM_SIM);
	c.kernel = "/a,b";
	cr_expect_eq(vm_argv(&c, &argv, &e), -EINVAL);
	c = config(VM_TDX);
	c.tdx_quote_socket = "/a\",\"debug\":true";
	cr_expect_eq(vm_argv(&c, &argv, &e), -EINVAL);
	c = config(VM_SIM);
	c.memory_mib = 64;
	cr_expect_eq(vm_argv(&c, &argv, &e), -EINVAL);
	c = config(VM_SIM);
	c.disks[0].name = "root,readonly";
	cr_expect_eq(vm_argv(&c, &argv, &e), -EINVAL);
}

/* Replaces the first word that begins with `from`. */
static int lint_with(enum vm_tee tee, const char *from, const char *to, struct err *e)
{
	struct vm_config c = config(tee);
	char **argv = NULL;
	bool hit = false;
	int ret;

	cr_assert_eq(vm_argv(&c, &argv, e), 0);
	for (char **a = argv; *a && !hit; a++)
		if (!strncmp(*a, from, strlen(from))) {
			free(*a);
			*a = xstrdup(to);
			hit = true;
		}
	cr_assert(hit, "%s", from);
	ret = vm_lint(tee, argv, e);
	vm_argv_free(argv);
	return ret;
}

Test(launch, lint)
{
	static const struct {
		enum vm_tee tee;
		const char *from, *to, *why;
	} cases[] = {
		{VM_SNP, "sev-snp-guest", "sev-snp-guest,id=cvm,host-data=" AB32, "kernel-hashes"},
		{VM_SNP, "sev-snp-guest",
		 "sev-snp-guest,id=cvm,policy=0xb0000,kernel-hashes=on,host-data=" AB32, "DEBUG"},
		{VM_SNP, "sev-snp-guest",
		 "sev-snp-guest,id=cvm,policy=0x70000,kernel-hashes=on,host-data=" AB32, "MIGRATE_MA"},
		{VM_SNP, "sev-snp-guest", "sev-snp-guest,id=cvm,kernel-hashes=on", "host-data"},
		{VM_SNP, "sev-snp-guest", "sev-snp-guest,id=cvm,kernel-hashes=on,id-block=QQ==,host-data=" AB32,
		 "ID block"},
		{VM_SNP, "sev-snp-guest", "sev-guest,id=cvm", "no need"},
		{VM_SNP, "q35", "q35,accel=kvm", "confidential"},
		{VM_SNP, "virtio-blk",
		 "virtio-blk-pci,drive=disk0,disable-legacy=on,romfile=", "iommu_platform"},
		{VM_TDX, "{", "{\"qom-type\":\"tdx-guest\",\"id\":\"cvm\"}", "mrconfigid"},
		{VM_TDX, "{", "{\"qom-type\":\"tdx-guest\",\"mrconfigid\":\"\",\"debug\":true}", "debuggable"},
		{VM_CCA, "rme-guest", "rme-guest,id=cvm", "personalization"},
		{VM_SIM, "-nodefaults", "-no-reboot", "-nodefaults"},
		{VM_SIM, "on,obsolete", "off", "sandbox"},
		{VM_SIM, "none", "gtk", ""},
		{VM_SIM, "-bios", "-drive", "not an option"},
		{VM_SIM, "-bios", "-pflash", "not an option"},
		{VM_SIM, "-bios", "-gdb", "not an option"},
		{VM_SIM, "-bios", "-monitor", "not an option"},
		{VM_SIM, "q35", "q35,accel=kvm", "TCG"},
		{VM_SIM, "tpm-crb", "tpm-tis,tpmdev=tpm0", "no driver"},
		{VM_SIM, "virtio-blk", "ide-hd,drive=disk0", "no driver"},
		{VM_SIM, "virtio-blk", "virtio-net-pci,netdev=n", "no driver"},
		{VM_SIM, "virtio-blk", "virtio-blk-pci,drive=disk0", "legacy"},
		{VM_SIM, "virtserialport", "virtio-blk-pci,drive=x,disable-legacy=on,romfile=", "channels"},
		{VM_SIM, "driver=file", "driver=nbd,host=x", "plain file"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err e = {""};
		int ret = lint_with(cases[i].tee, cases[i].from, cases[i].to, &e);

		if (!*cases[i].why)
			continue;
		cr_expect_eq(ret, -EPERM, "%zu: %s", i, cases[i].to);
		cr_expect(strstr(e.text, cases[i].why), "%zu: %s: %s", i, cases[i].to, e.text);
	}
}

/* ---- the channel -------------------------------------------------------------------------------------------
 */

static struct verb_reader reader;

static int feed(enum verb_from from, const uint8_t *p, size_t size, struct verb_frame *f)
{
	memset(&reader, 0, sizeof(reader));
	reader.from = from;
	return verb_take(&reader, &p, &size, f);
}

Test(verbs, frames_come_out_as_they_went_in_however_they_are_cut)
{
	static uint8_t wire[VERB_PAYLOAD_MAX + 100], data[VERB_PAYLOAD_MAX];
	uint32_t seq = 0;
	size_t size = verb_put(wire, VERB_PING, &seq, "hello", 5), got = 0;
	struct verb_frame f;

	data[0] = RELAY_DATA;
	size += verb_put(wire + size, VERB_RELAY, &seq, data, sizeof(data));
	memset(&reader, 0, sizeof(reader));
	for (size_t at = 0; at < size; at += 7) {
		const uint8_t *p = wire + at;
		size_t n = MIN(size - at, (size_t)7);
		int ret;

		while ((ret = verb_take(&reader, &p, &n, &f)) == 1) {
			cr_expect_eq(f.verb, got ? VERB_RELAY : VERB_PING);
			cr_expect_eq(f.size, got ? sizeof(data) : 5);
			got++;
		}
		cr_assert_eq(ret, 0);
	}
	cr_expect_eq(got, 2);
}

Test(verbs, the_peer_says_only_what_is_its_to_say)
{
	uint8_t b[64];
	uint32_t seq = 0, late = 1;
	struct verb_frame f;

	/* the host has no verb for an exit, output, a log; the guest none for a shutdown, input */
	cr_expect_eq(feed(FROM_HOST, b, verb_put(b, VERB_EXIT, &seq, "\0\0", 2), &f), -EPROTO);
	seq = 0;
	cr_expect_eq(feed(FROM_HOST, b, verb_put(b, VERB_STDIO, &seq, "\1x", 2), &f), -EPROTO);
	seq = 0;
	cr_expect_eq(feed(FROM_HOST, b, verb_put(b, VERB_LOG, &seq, "x", 1), &f), -EPROTO);
	seq = 0;
	cr_expect_eq(feed(FROM_GUEST, b, verb_put(b, VERB_SHUTDOWN, &seq, NULL, 0), &f), -EPROTO);
	seq = 0;
	cr_expect_eq(feed(FROM_GUEST, b, verb_put(b, VERB_STDIO, &seq, "\0x", 2), &f), -EPROTO);
	seq = 0;
	cr_expect_eq(feed(FROM_GUEST, b, verb_put(b, VERB_EXIT, &seq, "\0", 1), &f), -EPROTO);
	/* output of a stream that is none; a question for input is one byte */
	seq = 0;
	cr_expect_eq(feed(FROM_GUEST, b, verb_put(b, VERB_STDIO, &seq, "\3x", 2), &f), -EPROTO);
	seq = 0;
	cr_expect_eq(feed(FROM_GUEST, b, verb_put(b, VERB_STDIO, &seq, "\0", 1), &f), 1);
	/* out of order, unknown, of a wrong size */
	cr_expect_eq(feed(FROM_HOST, b, verb_put(b, VERB_PING, &late, "x", 1), &f), -EPROTO);
	for (unsigned v = 0; v < 256; v++) {
		if (v >= VERB_PING && v <= VERB_LAST)
			continue;
		seq = 0;
		cr_expect_eq(feed(FROM_HOST, b, verb_put(b, (enum verb)v, &seq, "", 0), &f), -EPROTO);
	}
	seq = 0;
	cr_expect_eq(feed(FROM_HOST, b, verb_put(b, VERB_RELAY, &seq, "\3", 1), &f), -EPROTO);
	memset(b, 0xff, sizeof(b));
	cr_expect_eq(feed(FROM_HOST, b, sizeof(b), &f), -EPROTO);
	memset(b, 0, sizeof(b));
	cr_expect_eq(feed(FROM_HOST, b, sizeof(b), &f), -EPROTO);
}
