/* lint.c: a second look at a command line, by somebody who did not form it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cvm-host/launch/launch.h"

#define POLICY_MIGRATE_MA (1ull << 18)
#define POLICY_DEBUG	  (1ull << 19)

/* Options with a value that a guest may be started with. What is not here is refused. */
static const char *const with_value[] = {"-display", "-nic",	"-sandbox", "-machine",	 "-cpu",
					 "-bios",    "-object", "-chardev", "-tpmdev",	 "-device",
					 "-m",	     "-smp",	"-add-fd",  "-blockdev", "-serial",
					 "-kernel",  "-initrd", "-append",  NULL};
static const char *const bare[] = {"-nodefaults", "-no-user-config", "-no-reboot", NULL};
static const char *const device_list[] = {"virtio-serial-pci", "virtserialport", "virtio-blk-pci", "tpm-crb",
					  NULL};

static bool listed(const char *const *list, const char *word, size_t n)
{
	for (; *list; list++)
		if (strlen(*list) == n && !strncmp(*list, word, n))
			return true;
	return false;
}

/* The value of a property in "driver,key=value,..."; its size in *n. */
static const char *property(const char *option, const char *key, size_t *n)
{
	size_t len = strlen(key);

	for (const char *p = strchr(option, ','); p; p = strchr(p, ',')) {
		p++;
		if (!strncmp(p, key, len) && p[len] == '=') {
			*n = strcspn(p + len + 1, ",");
			return p + len + 1;
		}
	}
	return NULL;
}

static bool has(const char *option, const char *key, const char *value)
{
	size_t n;
	const char *v = property(option, key, &n);

	return v && n == strlen(value) && !strncmp(v, value, n);
}

/* What has been seen on the way. */
struct seen {
	bool nodefaults, no_config, sandbox, no_nic, guest, tpm, kernel, initrd, append, machine, console;
	unsigned channels;
};

static int lint_snp_guest(const char *v, struct err *e)
{
	size_t n;
	const char *policy = property(v, "policy", &n), *data = property(v, "host-data", &n);
	unsigned long long bits = policy ? strtoull(policy, NULL, 0) : 0x30000;

	if (!has(v, "kernel-hashes", "on"))
		return err_set(e, -EPERM,
			       "kernel-hashes=on is missing: kernel and initrd would not be measured");
	if (bits & POLICY_DEBUG)
		return err_set(e, -EPERM, "the guest policy has DEBUG: the host could read the guest");
	if (bits & POLICY_MIGRATE_MA)
		return err_set(e, -EPERM,
			       "the guest policy has MIGRATE_MA: a migration agent could read the guest");
	if (!(bits >> 17 & 1))
		return err_set(e, -EPERM, "the guest policy lacks bit 17, which must be one");
	if (!data || n != 44)
		return err_set(e, -EPERM, "host-data with the manifest's digest is missing");
	if (!property(v, "id-block", &n) != !property(v, "id-auth", &n))
		return err_set(e, -EPERM, "an ID block without its authentication");
	return 0;
}

static int lint_object(enum vm_tee tee, const char *v, struct seen *s, struct err *e)
{
	size_t n;

	if (!strncmp(v, "memory-backend-memfd,", 21))
		return 0;
	if (tee == VM_SNP && !strncmp(v, "sev-snp-guest,", 14)) {
		s->guest = true;
		return lint_snp_guest(v, e);
	}
	if (tee == VM_TDX && !strncmp(v, "{\"qom-type\":\"tdx-guest\"", 23)) {
		s->guest = true;
		if (strstr(v, "\"debug\":true") || strstr(v, "\"attributes\""))
			return err_set(e, -EPERM, "the TD's attributes would make it debuggable");
		return strstr(v, "\"mrconfigid\":\"")
			       ? 0
			       : err_set(e, -EPERM, "mrconfigid with the manifest's digest is missing");
	}
	if (tee == VM_CCA && !strncmp(v, "rme-guest,", 10)) {
		s->guest = true;
		return property(v, "personalization-value", &n)
			       ? 0
			       : err_set(e, -EPERM,
					 "personalization-value with the manifest's digest is missing");
	}
	return err_set(e, -EPERM, "an object that this guest has no need of: %.60s", v);
}

static int lint_device(enum vm_tee tee, const char *v, struct seen *s, struct err *e)
{
	size_t n = strcspn(v, ",");

	if (!listed(device_list, v, n))
		return err_set(e, -EPERM, "a device that this guest has no driver for: %.*s", (int)MIN(n, 60u),
			       v);
	if (!strncmp(v, "tpm-", 4)) {
		s->tpm = true;
		return tee == VM_SIM ? 0 : err_set(e, -EPERM, "a software TPM beside real evidence");
	}
	if (!strncmp(v, "virtserialport,", 15)) {
		s->channels++;
		return 0;
	}
	if (!has(v, "disable-legacy", "on") || !has(v, "romfile", ""))
		return err_set(e, -EPERM, "%.*s: legacy interface or option ROM", (int)MIN(n, 60u), v);
	if (tee != VM_SIM && !has(v, "iommu_platform", "on"))
		return err_set(e, -EPERM, "%.*s: iommu_platform=on is missing", (int)MIN(n, 60u), v);
	return 0;
}

static int lint_value(enum vm_tee tee, const char *o, const char *v, struct seen *s, struct err *e)
{
	if (!strcmp(o, "-object"))
		return lint_object(tee, v, s, e);
	if (!strcmp(o, "-device"))
		return lint_device(tee, v, s, e);
	if (!strcmp(o, "-sandbox"))
		s->sandbox = !strncmp(v, "on,", 3) && has(v, "spawn", "deny") &&
			     has(v, "elevateprivileges", "deny") && has(v, "obsolete", "deny") &&
			     has(v, "resourcecontrol", "deny");
	else if (!strcmp(o, "-nic"))
		s->no_nic = !strcmp(v, "none");
	else if (!strcmp(o, "-machine")) {
		s->machine = true;
		if (tee != VM_SIM && (!has(v, "confidential-guest-support", "cvm") || !has(v, "accel", "kvm")))
			return err_set(e, -EPERM, "the machine is no confidential one");
		if (tee == VM_SIM && !has(v, "accel", "tcg"))
			return err_set(e, -EPERM, "insecure-sim runs under TCG");
	} else if (!strcmp(o, "-kernel"))
		s->kernel = true;
	else if (!strcmp(o, "-initrd"))
		s->initrd = true;
	else if (!strcmp(o, "-append"))
		s->append = true;
	else if (!strcmp(o, "-blockdev") && strncmp(v, "driver=file,", 12) != 0)
		return err_set(e, -EPERM, "a disk that is no plain file");
	else if (!strcmp(o, "-chardev") && strncmp(v, "socket,", 7) != 0 && strncmp(v, "file,", 5) != 0)
		return err_set(e, -EPERM, "a character device that is no socket and no file");
	else if (!strcmp(o, "-serial") && tee != VM_SIM)
		return err_set(e, -EPERM, "a console shows what the guest says to the host");
	return 0;
}

static int lint_end(enum vm_tee tee, const struct seen *s, struct err *e)
{
	if (!s->nodefaults || !s->no_config)
		return err_set(e, -EPERM, "-nodefaults and -no-user-config are missing");
	if (!s->sandbox)
		return err_set(e, -EPERM, "QEMU's own sandbox is not on");
	if (!s->no_nic)
		return err_set(e, -EPERM, "-nic none is missing");
	if (!s->machine || (tee != VM_SIM && !s->guest))
		return err_set(e, -EPERM, "the machine is no confidential one");
	if (tee == VM_SIM && !s->tpm)
		return err_set(e, -EPERM, "insecure-sim has no TPM to measure into");
	if (!s->kernel || !s->initrd || !s->append)
		return err_set(e, -EPERM, "kernel, initrd and command line are measured together");
	if (s->channels != 1)
		return err_set(e, -EPERM, "%u channels to the host instead of one", s->channels);
	return 0;
}

int vm_lint(enum vm_tee tee, char *const *argv, struct err *e)
{
	struct seen s = {0};
	int ret = 0;

	for (size_t i = 1; argv[0] && argv[i] && !ret; i++) {
		const char *o = argv[i];

		s.nodefaults |= !strcmp(o, "-nodefaults");
		s.no_config |= !strcmp(o, "-no-user-config");
		if (listed(bare, o, strlen(o)))
			continue;
		if (!listed(with_value, o, strlen(o)))
			ret = err_set(e, -EPERM, "%.60s: not an option for a confidential VM", o);
		else if (!argv[i + 1])
			ret = err_set(e, -EPERM, "%.60s: its value is missing", o);
		else
			ret = lint_value(tee, o, argv[++i], &s, e);
	}
	return ret ? ret : lint_end(tee, &s, e);
}
