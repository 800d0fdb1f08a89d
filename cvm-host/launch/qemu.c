/* qemu.c: the command line, for each kind of confidential VM.
 *
 * Options are those of QEMU's documentation: system/confidential-guest-support, qapi/qom.json
 * (SevSnpGuestProperties since 9.1, TdxGuestProperties since 10.1), the Arm CCA series' RmeGuestProperties. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cvm-host/launch/launch.h"

static const struct {
	const char *name;
	size_t config;
} tees[VM_TEE_COUNT] = {
	[VM_SIM] = {"insecure-sim", 0},
	[VM_SNP] = {"snp", 32},
	[VM_TDX] = {"tdx", 48},
	[VM_CCA] = {"cca", 64},
};

const char *vm_tee_name(enum vm_tee t)
{
	return tees[t].name;
}

int vm_tee_of(const char *name, enum vm_tee *out)
{
	for (size_t i = 0; i < VM_TEE_COUNT; i++)
		if (!strcmp(name, tees[i].name)) {
			*out = (enum vm_tee)i;
			return 0;
		}
	return -ENOENT;
}

size_t vm_config_size(enum vm_tee t)
{
	return tees[t].config;
}

/* Words of the command line; all owned. */
struct words {
	char **word;
	size_t count, room;
};

static void add_owned(struct words *w, char *s)
{
	if (w->count + 1 >= w->room) {
		w->room = w->room ? 2 * w->room : 64;
		w->word = realloc(w->word, w->room * sizeof(*w->word));
		if (!w->word)
			abort();
	}
	w->word[w->count++] = s;
	w->word[w->count] = NULL;
}

static void add(struct words *w, const char *option, char *value)
{
	add_owned(w, xstrdup(option));
	if (value)
		add_owned(w, value);
}

static void machine_sim(struct words *w, const struct vm_config *c)
{
	/* TCG: no KVM, so that it runs anywhere and nobody takes it for more than it is */
	add(w, "-machine", xstrdup("q35,accel=tcg,smm=off,vmport=off,hpet=off,usb=off"));
	add(w, "-cpu", xstrdup("max,la57=off"));
	add(w, "-bios", xstrdup(c->firmware));
	add(w, "-chardev", xasprintf("socket,id=tpm,path=%s", c->tpm_socket));
	add(w, "-tpmdev", xstrdup("emulator,id=tpm0,chardev=tpm"));
	add(w, "-device", xstrdup("tpm-crb,tpmdev=tpm0"));
}

static void machine_snp(struct words *w, const struct vm_config *c)
{
	char *data = b64_encode(c->config, 32), *block;

	block = c->id_block ? xasprintf(",id-block=%s,id-auth=%s", c->id_block, c->id_auth) : xstrdup("");
	add(w, "-machine",
	    xstrdup("q35,accel=kvm,kernel-irqchip=split,smm=off,vmport=off,confidential-guest-support=cvm,"
		    "memory-backend=ram"));
	add(w, "-cpu", xstrdup(c->snp_cpu ? c->snp_cpu : "EPYC-v4"));
	add(w, "-object",
	    xasprintf("memory-backend-memfd,id=ram,size=%uM,share=true,prealloc=false", c->memory_mib));
	add(w, "-object",
	    xasprintf("sev-snp-guest,id=cvm,cbitpos=%u,reduced-phys-bits=1,policy=0x%llx,kernel-hashes=on,"
		      "host-data=%s%s",
		      c->snp_cbitpos ? c->snp_cbitpos : 51,
		      (unsigned long long)(c->snp_policy ? c->snp_policy : 0x30000), data, block));
	add(w, "-bios", xstrdup(c->firmware));
	free(block);
	free(data);
}

static void machine_tdx(struct words *w, const struct vm_config *c)
{
	char *data = b64_encode(c->config, 48), *quote;

	quote = c->tdx_quote_socket ? xasprintf("{\"type\":\"unix\",\"path\":\"%s\"}", c->tdx_quote_socket)
				    : xstrdup("{\"type\":\"vsock\",\"cid\":\"2\",\"port\":\"4050\"}");
	add(w, "-machine",
	    xstrdup("q35,accel=kvm,kernel-irqchip=split,smm=off,vmport=off,confidential-guest-support=cvm,"
		    "memory-backend=ram"));
	add(w, "-cpu", xstrdup("host,pmu=off"));
	add(w, "-object",
	    xasprintf("memory-backend-memfd,id=ram,size=%uM,share=true,prealloc=false", c->memory_mib));
	add(w, "-object",
	    xasprintf("{\"qom-type\":\"tdx-guest\",\"id\":\"cvm\",\"sept-ve-disable\":true,"
		      "\"mrconfigid\":\"%s\",\"quote-generation-socket\":%s}",
		      data, quote));
	add(w, "-bios", xstrdup(c->firmware));
	free(quote);
	free(data);
}

static void machine_cca(struct words *w, const struct vm_config *c)
{
	char *data = b64_encode(c->config, 64);

	add(w, "-machine", xstrdup("virt,accel=kvm,gic-version=3,acpi=off,confidential-guest-support=cvm"));
	add(w, "-cpu", xstrdup("host"));
	add(w, "-object",
	    xasprintf("rme-guest,id=cvm,measurement-algorithm=sha512,personalization-value=%s", data));
	free(data);
}

static void devices(struct words *w, const struct vm_config *c)
{
	/* memory of a TEE is not the device's to read: virtio goes through bounce buffers */
	const char *more = c->tee == VM_SIM ? ",disable-legacy=on,romfile="
					    : ",disable-legacy=on,iommu_platform=on,romfile=";

	add(w, "-device", xasprintf("virtio-serial-pci,id=ser,max_ports=2%s", more));
	add(w, "-chardev", xasprintf("socket,id=ctl,fd=%d", c->ctl_fd));
	add(w, "-device", xstrdup("virtserialport,bus=ser.0,nr=1,chardev=ctl,name=" VM_CTL));
	for (size_t i = 0; i < c->disk_count; i++) {
		add(w, "-add-fd", xasprintf("fd=%d,set=%zu", c->disks[i].fd, i + 1));
		add(w, "-blockdev",
		    xasprintf("driver=file,node-name=disk%zu,filename=/dev/fdset/%zu,locking=off", i, i + 1));
		add(w, "-device",
		    xasprintf("virtio-blk-pci,drive=disk%zu,serial=%s%s", i, c->disks[i].name, more));
	}
	if (c->console) {
		add(w, "-chardev", xasprintf("file,id=con,path=%s", c->console));
		add(w, "-serial", xstrdup("chardev:con"));
	}
}

/* A path within an option: no comma (QEMU's separator), quote or control character. */
static bool plain(const char *s)
{
	if (!s || !*s)
		return false;
	for (; *s; s++)
		if ((unsigned char)*s <= ' ' || *s == ',' || *s == '"' || *s == '\\' || *s == 0x7f)
			return false;
	return true;
}

static int check(const struct vm_config *c, struct err *e)
{
	if (!plain(c->kernel) || !plain(c->initrd) || (c->tee != VM_CCA && !plain(c->firmware)) ||
	    (c->tee == VM_SIM && !plain(c->tpm_socket)) || (c->console && !plain(c->console)) ||
	    (c->tdx_quote_socket && !plain(c->tdx_quote_socket)) || (c->snp_cpu && !plain(c->snp_cpu)))
		return err_set(e, -EINVAL, "a path is missing, or has a character that QEMU's options don't");
	if (!c->cmdline || strlen(c->cmdline) > 2000)
		return err_set(e, -EINVAL, "a kernel command line of at most 2000 characters");
	if (!c->id_block != !c->id_auth)
		return err_set(e, -EINVAL, "an ID block and its authentication come together");
	if ((c->id_block && c->tee != VM_SNP) || (c->id_block && (!plain(c->id_block) || !plain(c->id_auth))))
		return err_set(e, -EINVAL, "an ID block is SNP's, in base64");
	if (c->memory_mib < 128 || c->memory_mib > 1u << 24 || !c->cpus || c->cpus > 4096)
		return err_set(e, -EINVAL, "128M to 16T of memory and 1 to 4096 processors");
	if (c->disk_count > VM_DISKS_MAX)
		return err_set(e, -E2BIG, "more than %d disks", VM_DISKS_MAX);
	for (size_t i = 0; i < c->disk_count; i++)
		if (!plain(c->disks[i].name) || strlen(c->disks[i].name) > 20)
			return err_set(e, -EINVAL, "%.40s: a disk's name has at most 20 plain characters",
				       c->disks[i].name ? c->disks[i].name : "");
	return 0;
}

int vm_argv(const struct vm_config *c, char ***out, struct err *e)
{
	static void (*const machines[VM_TEE_COUNT])(struct words *, const struct vm_config *) = {
		[VM_SIM] = machine_sim, [VM_SNP] = machine_snp, [VM_TDX] = machine_tdx, [VM_CCA] = machine_cca};
	struct words w = {0};
	int ret = check(c, e);

	if (ret)
		return ret;
	add(&w, c->tee == VM_CCA ? "qemu-system-aarch64" : "qemu-system-x86_64", NULL);
	add(&w, "-nodefaults", NULL);
	add(&w, "-no-user-config", NULL);
	add(&w, "-no-reboot", NULL);
	add(&w, "-display", xstrdup("none"));
	add(&w, "-nic", xstrdup("none"));
	add(&w, "-sandbox", xstrdup("on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"));
	machines[c->tee](&w, c);
	add(&w, "-m", xasprintf("%uM", c->memory_mib));
	add(&w, "-smp", xasprintf("%u,maxcpus=%u", c->cpus, c->cpus));
	devices(&w, c);
	add(&w, "-kernel", xstrdup(c->kernel));
	add(&w, "-initrd", xstrdup(c->initrd));
	add(&w, "-append", xstrdup(c->cmdline));
	*out = w.word;
	return 0;
}

void vm_argv_free(char **argv)
{
	for (char **a = argv; a && *a; a++)
		free(*a);
	free(argv);
}

char *vm_print(char *const *argv)
{
	struct blob b = {0};

	for (size_t i = 0; argv[i]; i++) {
		bool option = argv[i][0] == '-',
		     bare = argv[i][strcspn(argv[i], " \t\n\"'\\$`{}();&|<>*?#~")] == 0;

		if (i)
			blob_add(&b, option ? " \\\n  " : " ", option ? 5 : 1);
		if (bare && *argv[i]) {
			blob_add(&b, argv[i], strlen(argv[i]));
			continue;
		}
		blob_add(&b, "'", 1);
		for (const char *s = argv[i]; *s; s++)
			blob_add(&b, *s == '\'' ? "'\\''" : s, *s == '\'' ? 4 : 1);
		blob_add(&b, "'", 1);
	}
	blob_add(&b, "\n", 1);
	return (char *)b.data;
}
