/* vmsa.c: the initial register state of a virtual processor as the save area that is measured (AMD64
 * Architecture Programmer's Manual, volume 2, table B-4), for the hypervisors that are known. */
#include <stdlib.h>
#include <string.h>

#include "cvm-host/measure/measure.h"
#include "platform/base/bytes.h"

static void segment(uint8_t *page, size_t at, uint16_t selector, uint16_t attributes, uint32_t limit,
		    uint64_t base)
{
	put_le16(page + at, selector);
	put_le16(page + at + 2, attributes);
	put_le32(page + at + 4, limit);
	put_le64(page + at + 8, base);
}

enum {
	ES = 0x00,
	CS = 0x10,
	SS = 0x20,
	DS = 0x30,
	FS = 0x40,
	GS = 0x50,
	GDTR = 0x60,
	LDTR = 0x70,
	IDTR = 0x80,
	TR = 0x90
};
enum {
	EFER = 0xd0,
	CR4 = 0x148,
	CR0 = 0x158,
	DR7 = 0x160,
	DR6 = 0x168,
	RFLAGS = 0x170,
	RIP = 0x178,
	G_PAT = 0x268,
	RDX = 0x310,
	SEV_FEATURES = 0x3b0,
	XCR0 = 0x3e8,
	MXCSR = 0x408,
	X87_FCW = 0x410
};

static void segments_real_mode(uint8_t *page, uint32_t eip, enum measure_vmm vmm)
{
	bool ec2 = vmm == VMM_EC2;

	segment(page, ES, 0, 0x93, 0xffff, 0);
	segment(page, CS, 0xf000, ec2 && eip == 0xfffffff0 ? 0x9a : 0x9b, 0xffff, eip & 0xffff0000);
	segment(page, SS, 0, ec2 ? 0x92 : 0x93, 0xffff, 0);
	segment(page, DS, 0, 0x93, 0xffff, 0);
	segment(page, FS, 0, 0x93, 0xffff, 0);
	segment(page, TR, 0, ec2 ? 0x83 : 0x8b, 0xffff, 0);
}

/* An SVSM is entered in flat protected mode. */
static void segments_flat(uint8_t *page)
{
	segment(page, CS, 8, 0xc9b, 0xffffffff, 0);
	for (size_t at = ES; at <= FS; at += 0x10)
		if (at != CS)
			segment(page, at, 16, 0xc93, 0xffffffff, 0);
	segment(page, TR, 0, 0x8b, 0xffff, 0);
}

void vmsa_page(uint8_t page[4096], uint32_t eip, const struct snp_launch *l, bool svsm)
{
	memset(page, 0, 4096);
	if (svsm)
		segments_flat(page);
	else
		segments_real_mode(page, eip, l->vmm);
	segment(page, GS, 0, 0x93, 0xffff, 0);
	segment(page, GDTR, 0, 0, 0xffff, 0);
	segment(page, IDTR, 0, 0, 0xffff, 0);
	segment(page, LDTR, 0, 0x82, 0xffff, 0);
	put_le64(page + EFER, 0x1000); /* SVME */
	put_le64(page + CR4, 0x40);    /* MCE */
	put_le64(page + CR0, svsm ? 0x11 : 0x10);
	put_le64(page + DR7, 0x400);
	put_le64(page + DR6, 0xffff0ff0);
	put_le64(page + RFLAGS, 2);
	put_le64(page + RIP, svsm ? eip : eip & 0xffff);
	put_le64(page + G_PAT, l->vmm == VMM_GCE ? 0x00070106 : 0x0007040600070406);
	put_le64(page + RDX, l->vmm == VMM_QEMU ? l->vcpu_signature : 0x600);
	put_le64(page + SEV_FEATURES, svsm ? 1 : l->features);
	put_le64(page + XCR0, 1);
	if (l->vmm == VMM_QEMU) {
		put_le32(page + MXCSR, 0x1f80);
		put_le16(page + X87_FCW, 0x37f);
	}
}

uint32_t vcpu_signature(unsigned int family, unsigned int model, unsigned int stepping)
{
	unsigned int low = family > 0xf ? 0xf : family, high = family > 0xf ? (family - 0xf) & 0xff : 0;

	return high << 20 | (model >> 4 & 0xf) << 16 | low << 8 | (model & 0xf) << 4 | (stepping & 0xf);
}

/* QEMU's models and their versions ("-v2", "-IBPB") share family, model and stepping. */
uint32_t vcpu_signature_of(const char *model)
{
	static const struct {
		const char *name;
		unsigned int family, model, stepping;
	} known[] = {
		{"EPYC-Milan", 25, 1, 1}, {"EPYC-Genoa", 25, 17, 0}, {"EPYC-Turin", 26, 0, 0},
		{"EPYC-Rome", 23, 49, 0}, {"EPYC", 23, 1, 2},
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		size_t n = strlen(known[i].name);
		const char *rest = model + n;

		if (strncmp(model, known[i].name, n) != 0)
			continue;
		if (*rest == 0 || strcmp(rest, "-IBPB") == 0 ||
		    (strncmp(rest, "-v", 2) == 0 && rest[2] >= '1' && rest[2] <= '9' && rest[3] == 0))
			return vcpu_signature(known[i].family, known[i].model, known[i].stepping);
	}
	return 0;
}
