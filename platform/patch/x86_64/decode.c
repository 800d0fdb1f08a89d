/* decode.c: lengths of the few instruction forms that may be moved to a trampoline: those that mean the
 * same wherever they stand (no rip-relative operand, no branch but ret). Everything else is length 0. */
#include "platform/patch/x86_64/decode.h"

/* Bytes of ModRM, SIB and displacement, or 0. */
static size_t modrm_size(const uint8_t *p, size_t avail)
{
	uint8_t mod, rm;
	size_t n = 1;

	if (avail < 1)
		return 0;
	mod = p[0] >> 6;
	rm = p[0] & 7;
	if (mod == 3)
		return 1;
	if (mod == 0 && rm == 5)
		return 0; /* rip-relative */
	if (rm == 4) {
		if (avail < 2)
			return 0;
		n++;
		if (mod == 0 && (p[1] & 7) == 5)
			n += 4;
	}
	n += mod == 1 ? 1 : mod == 2 ? 4 : 0;
	return n <= avail ? n : 0;
}

/* Bytes of the immediate behind a ModRM opcode, or -1 when it isn't one that we move. */
static int modrm_imm(uint8_t op)
{
	switch (op) {
	case 0x01:
	case 0x03:
	case 0x09:
	case 0x0b:
	case 0x21:
	case 0x23:
	case 0x29:
	case 0x2b:
	case 0x31:
	case 0x33:
	case 0x39:
	case 0x3b:
	case 0x63:
	case 0x84:
	case 0x85:
	case 0x88:
	case 0x89:
	case 0x8a:
	case 0x8b:
	case 0x8d:
		return 0;
	case 0x80:
	case 0x83:
	case 0xc6:
	case 0xc1:
		return 1;
	case 0x81:
	case 0xc7:
		return 4;
	default:
		return -1;
	}
}

static size_t two_byte(const uint8_t *p, size_t avail)
{
	uint8_t op = avail ? p[0] : 0;
	size_t n;

	/* nop, movzx, movsx, setcc, cmovcc */
	if (op != 0x1f && op != 0xb6 && op != 0xb7 && op != 0xbe && op != 0xbf && (op & 0xf0) != 0x90 &&
	    (op & 0xf0) != 0x40)
		return 0;
	n = modrm_size(p + 1, avail - 1);
	return n ? 1 + n : 0;
}

static size_t one_byte(const uint8_t *p, size_t avail, bool wide)
{
	uint8_t op = p[0];
	size_t n;
	int imm;

	if ((op >= 0x50 && op <= 0x5f) || op == 0x90 || op == 0xc3)
		return 1;
	if (op >= 0xb8 && op <= 0xbf)
		return wide ? 9 : 5;
	if (op == 0x3d || op == 0xa9 || op == 0x25 || op == 0x05 || op == 0x2d || op == 0x35 || op == 0x0d)
		return 5;
	if (op == 0x3c || op == 0xa8)
		return 2;
	imm = modrm_imm(op);
	if (imm < 0)
		return 0;
	n = modrm_size(p + 1, avail - 1);
	return n ? 1 + n + (size_t)imm : 0;
}

size_t decode_movable(const uint8_t *p, size_t avail)
{
	size_t i = 0, n;
	bool wide = false, short_operand = false;

	if (avail && p[0] == 0x66) {
		short_operand = true;
		i++;
	}
	if (i < avail && (p[i] & 0xf0) == 0x40) {
		wide = p[i] & 8;
		i++;
	}
	if (i >= avail)
		return 0;
	if (p[i] == 0x0f) {
		n = two_byte(p + i + 1, avail - i - 1);
		n = n ? n + 1 : 0;
	} else if (short_operand && p[i] != 0x90) {
		return 0; /* other immediates */
	} else {
		n = one_byte(p + i, avail - i, wide);
	}
	return n && i + n <= avail ? i + n : 0;
}
