/* cpuinfo.c: /proc/cpuinfo of an x86-64 machine, from cpuid: what the guest could ask the processor itself.
 */
#include <cpuid.h>
#include <string.h>

#include "platform/base/clock.h"
#include "sentry/fs/proc/internal.h"

enum reg { EAX, EBX, ECX, EDX };

/* Names by leaf, register and bit, in Linux's order. */
static const struct {
	uint32_t leaf, sub;
	enum reg reg;
	const char *names[32];
} features[] = {
	{1, 0, EDX, {"fpu",  "vme",  "de",   "pse", "tsc",  "msr", "pae",   "mce", "cx8",     "apic", NULL,
		     "sep",  "mtrr", "pge",  "mca", "cmov", "pat", "pse36", "pn",  "clflush", NULL,   "dts",
		     "acpi", "mmx",  "fxsr", "sse", "sse2", "ss",  "ht",    "tm",  NULL,      "pbe"}},
	{0x80000001,
	 0,
	 EDX,
	 {[11] = "syscall",
	  [19] = "mp",
	  [20] = "nx",
	  [22] = "mmxext",
	  [25] = "fxsr_opt",
	  [26] = "pdpe1gb",
	  [27] = "rdtscp",
	  [29] = "lm",
	  [30] = "3dnowext",
	  [31] = "3dnow"}},
	{1, 0, ECX, {"pni",    "pclmulqdq", "dtes64", "monitor", "ds_cpl",
		     "vmx",    "smx",	    "est",    "tm2",	 "ssse3",
		     "cid",    "sdbg",	    "fma",    "cx16",	 "xtpr",
		     "pdcm",   NULL,	    "pcid",   "dca",	 "sse4_1",
		     "sse4_2", "x2apic",    "movbe",  "popcnt",	 "tsc_deadline_timer",
		     "aes",    "xsave",	    NULL,     "avx",	 "f16c",
		     "rdrand", "hypervisor"}},
	{0x80000001,
	 0,
	 ECX,
	 {"lahf_lm",	 "cmp_legacy",	  "svm",	  "extapic",	"cr8_legacy", "abm",	    "sse4a",
	  "misalignsse", "3dnowprefetch", "osvw",	  "ibs",	"xop",	      "skinit",	    "wdt",
	  NULL,		 "lwp",		  "fma4",	  "tce",	NULL,	      "nodeid_msr", NULL,
	  "tbm",	 "topoext",	  "perfctr_core", "perfctr_nb", NULL,	      "bpext",	    "ptsc",
	  "perfctr_llc", "mwaitx"}},
	{7, 0, EBX, {"fsgsbase",   "tsc_adjust", "sgx",	       "bmi1",	   "hle",      "avx2",	   NULL,
		     "smep",	   "bmi2",	 "erms",       "invpcid",  "rtm",      "cqm",	   NULL,
		     "mpx",	   "rdt_a",	 "avx512f",    "avx512dq", "rdseed",   "adx",	   "smap",
		     "avx512ifma", NULL,	 "clflushopt", "clwb",	   "intel_pt", "avx512pf", "avx512er",
		     "avx512cd",   "sha_ni",	 "avx512bw",   "avx512vl"}},
	{0xd, 1, EAX, {"xsaveopt", "xsavec", "xgetbv1", "xsaves"}},
	{7, 1, EAX, {[4] = "avx_vnni", [5] = "avx512_bf16"}},
	{0x80000008, 0, EBX, {"clzero", "irperf", "xsaveerptr", [4] = "rdpru", [9] = "wbnoinvd"}},
	{7,
	 0,
	 ECX,
	 {[1] = "avx512vbmi",
	  [2] = "umip",
	  [3] = "pku",
	  [4] = "ospke",
	  [5] = "waitpkg",
	  [6] = "avx512_vbmi2",
	  [8] = "gfni",
	  [9] = "vaes",
	  [10] = "vpclmulqdq",
	  [11] = "avx512_vnni",
	  [12] = "avx512_bitalg",
	  [14] = "avx512_vpopcntdq",
	  [16] = "la57",
	  [22] = "rdpid",
	  [25] = "cldemote",
	  [27] = "movdiri",
	  [28] = "movdir64b"}},
	{7,
	 0,
	 EDX,
	 {[4] = "fsrm",
	  [8] = "avx512_vp2intersect",
	  [10] = "md_clear",
	  [14] = "serialize",
	  [18] = "pconfig",
	  [22] = "amx_bf16",
	  [23] = "avx512_fp16",
	  [24] = "amx_tile",
	  [25] = "amx_int8",
	  [28] = "flush_l1d",
	  [29] = "arch_capabilities"}},
};

static bool leaf(uint32_t number, uint32_t sub, uint32_t r[4])
{
	if (__get_cpuid_max(number & 0x80000000, NULL) < number)
		return false;
	__cpuid_count(number, sub, r[EAX], r[EBX], r[ECX], r[EDX]);
	return true;
}

static void show_flags(struct strbuf *out)
{
	uint32_t r[4];

	strbuf_puts(out, "flags\t\t:");
	for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
		if (!leaf(features[i].leaf, features[i].sub, r))
			continue;
		for (int bit = 0; bit < 32; bit++) {
			if (features[i].names[bit] && (r[features[i].reg] >> bit & 1))
				strbuf_printf(out, " %s", features[i].names[bit]);
		}
	}
	strbuf_putc(out, '\n');
}

struct cpu {
	char vendor[13], model_name[49];
	uint32_t family, model, stepping, mhz, cache_kb, clflush, phys_bits, virt_bits, level, features;
};

static uint32_t cache_size(void)
{
	uint32_t r[4], number = 0x8000001d, best = 0;

	if (!leaf(number, 0, r) || !(r[EAX] & 31))
		number = 4;
	for (uint32_t i = 0; i < 8 && leaf(number, i, r) && (r[EAX] & 31); i++) {
		uint64_t ways = (r[EBX] >> 22) + 1, parts = (r[EBX] >> 12 & 0x3ff) + 1,
			 line = (r[EBX] & 0xfff) + 1;

		best = (uint32_t)(ways * parts * line * (r[ECX] + 1UL) / 1024);
	}
	if (!best && leaf(0x80000006, 0, r))
		best = r[ECX] >> 16; /* AMD's older way: the second level */
	return best;
}

/* The counter's rate: as the processor or the hypervisor tells it, or measured over a moment. */
static uint32_t tsc_mhz(void)
{
	uint64_t t0, c0, t1;
	uint32_t r[4];

	if (leaf(0x15, 0, r) && r[EAX] && r[EBX] && r[ECX])
		return (uint32_t)((uint64_t)r[ECX] * r[EBX] / r[EAX] / 1000000);
	if (leaf(0x16, 0, r) && (r[EAX] & 0xffff))
		return r[EAX] & 0xffff;
	t0 = clock_monotonic_ns();
	c0 = __builtin_ia32_rdtsc();
	do {
		t1 = clock_monotonic_ns();
	} while (t1 - t0 < 100000);
	return (uint32_t)((__builtin_ia32_rdtsc() - c0) * 1000 / (t1 - t0));
}

static void identify(struct cpu *c)
{
	uint32_t r[4];

	*c = (struct cpu){.clflush = 64, .phys_bits = 46, .virt_bits = 48};
	leaf(0, 0, r);
	c->level = r[EAX];
	memcpy(c->vendor, &r[EBX], 4);
	memcpy(c->vendor + 4, &r[EDX], 4);
	memcpy(c->vendor + 8, &r[ECX], 4);
	leaf(1, 0, r);
	c->stepping = r[EAX] & 15;
	c->model = r[EAX] >> 4 & 15;
	c->family = r[EAX] >> 8 & 15;
	if (c->family == 15)
		c->family += r[EAX] >> 20 & 0xff;
	if (c->family >= 6)
		c->model |= (r[EAX] >> 16 & 15) << 4;
	if (r[EBX] >> 8 & 0xff)
		c->clflush = (r[EBX] >> 8 & 0xff) * 8;
	for (uint32_t i = 0; i < 3; i++) {
		if (leaf(0x80000002 + i, 0, r))
			memcpy(c->model_name + i * 16, r, 16);
	}
	if (leaf(0x80000008, 0, r)) {
		c->phys_bits = r[EAX] & 0xff;
		c->virt_bits = r[EAX] >> 8 & 0xff;
	}
	c->mhz = tsc_mhz();
	c->cache_kb = cache_size();
}

int proc_show_cpuinfo(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	uint32_t cpus = proc_kernel(n)->cpu_count;
	struct cpu c;

	(void)f;
	identify(&c);
	for (uint32_t i = 0; i < cpus; i++) {
		strbuf_printf(out,
			      "processor\t: %u\nvendor_id\t: %s\ncpu family\t: %u\nmodel\t\t: %u\nmodel "
			      "name\t: %s\n",
			      i, c.vendor, c.family, c.model, c.model_name[0] ? c.model_name : "unknown");
		strbuf_printf(out,
			      "stepping\t: %u\nmicrocode\t: 0xffffffff\ncpu MHz\t\t: %u.000\ncache size\t: "
			      "%u KB\n",
			      c.stepping, c.mhz, c.cache_kb);
		strbuf_printf(out,
			      "physical id\t: 0\nsiblings\t: %u\ncore id\t\t: %u\ncpu cores\t: "
			      "%u\napicid\t\t: %u\n"
			      "initial apicid\t: %u\n",
			      cpus, i, cpus, i, i);
		strbuf_printf(out, "fpu\t\t: yes\nfpu_exception\t: yes\ncpuid level\t: %u\nwp\t\t: yes\n",
			      c.level);
		show_flags(out);
		strbuf_printf(out, "bugs\t\t:\nbogomips\t: %u.00\nclflush size\t: %u\ncache_alignment\t: %u\n",
			      c.mhz * 2, c.clflush, c.clflush);
		strbuf_printf(out, "address sizes\t: %u bits physical, %u bits virtual\npower management:\n\n",
			      c.phys_bits, c.virt_bits);
	}
	return 0;
}
