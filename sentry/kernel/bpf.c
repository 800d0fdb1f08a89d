/* bpf.c: see bpf.h. */
#include "sentry/kernel/bpf.h"

#include <stddef.h>
#include <string.h>

#include "platform/abi/errno.h"
#include "platform/abi/prctl.h"
#include "platform/base/arena.h"

#define CLASS(code) ((code)&7)
#define LD_W_ABS    (LINUX_BPF_LD | LINUX_BPF_W_SIZE | LINUX_BPF_ABS)
/* <linux/bpf_common.h>: the word size is 0 (the generated LINUX_BPF_W is eBPF's) */
#define LINUX_BPF_W_SIZE 0x00

static bool alu_ok(uint16_t code, uint32_t k)
{
	bool imm = (code & LINUX_BPF_X) == 0;

	switch (code & 0xf0) {
	case LINUX_BPF_ADD:
	case LINUX_BPF_SUB:
	case LINUX_BPF_MUL:
	case LINUX_BPF_AND:
	case LINUX_BPF_OR:
	case LINUX_BPF_XOR:
		return true;
	case LINUX_BPF_LSH:
	case LINUX_BPF_RSH:
		return !imm || k < 32;
	case LINUX_BPF_DIV:
		return !imm || k != 0;
	case LINUX_BPF_NEG:
		return imm;
	default: /* MOD isn't allowed in seccomp programs */
		return false;
	}
}

static bool jump_ok(const struct bpf_insn *i, uint32_t pc, uint32_t count)
{
	uint32_t left = count - pc - 1; /* instructions behind this one */

	switch (i->code & 0xf0) {
	case LINUX_BPF_JA:
		return i->code == (LINUX_BPF_JMP | LINUX_BPF_JA) && i->k < left;
	case LINUX_BPF_JEQ:
	case LINUX_BPF_JGT:
	case LINUX_BPF_JGE:
	case LINUX_BPF_JSET:
		return i->jt < left && i->jf < left;
	default:
		return false;
	}
}

static bool load_ok(const struct bpf_insn *i)
{
	switch (i->code) {
	case LD_W_ABS:
		return (i->k & 3) == 0 && i->k < sizeof(struct seccomp_data);
	case LINUX_BPF_LD | LINUX_BPF_IMM:
	case LINUX_BPF_LDX | LINUX_BPF_IMM:
	case LINUX_BPF_LD | LINUX_BPF_W_SIZE | LINUX_BPF_LEN:
	case LINUX_BPF_LDX | LINUX_BPF_W_SIZE | LINUX_BPF_LEN:
		return true;
	case LINUX_BPF_LD | LINUX_BPF_MEM:
	case LINUX_BPF_LDX | LINUX_BPF_MEM:
		return i->k < LINUX_BPF_MEMWORDS;
	default:
		return false;
	}
}

static bool insn_ok(const struct bpf_insn *i, uint32_t pc, uint32_t count)
{
	switch (CLASS(i->code)) {
	case LINUX_BPF_LD:
	case LINUX_BPF_LDX:
		return load_ok(i);
	case LINUX_BPF_ST:
	case LINUX_BPF_STX:
		return (i->code & ~7) == 0 && i->k < LINUX_BPF_MEMWORDS;
	case LINUX_BPF_ALU:
		return (i->code & 0xff00) == 0 && alu_ok(i->code, i->k);
	case LINUX_BPF_JMP:
		return (i->code & 0xff00) == 0 && jump_ok(i, pc, count);
	case LINUX_BPF_RET:
		return i->code == (LINUX_BPF_RET | LINUX_BPF_K) || i->code == (LINUX_BPF_RET | LINUX_BPF_A);
	default:
		return i->code == (LINUX_BPF_MISC | LINUX_BPF_TAX) ||
		       i->code == (LINUX_BPF_MISC | LINUX_BPF_TXA);
	}
}

/* Jumps go forward only, so a program whose last instruction returns always ends. */
int bpf_check(const struct bpf_insn *insns, uint32_t count)
{
	if (count == 0 || count > BPF_INSNS_MAX)
		return -EINVAL;
	for (uint32_t pc = 0; pc < count; pc++)
		if (!insn_ok(&insns[pc], pc, count))
			return -EINVAL;
	return CLASS(insns[count - 1].code) == LINUX_BPF_RET ? 0 : -EINVAL;
}

int bpf_create(const struct bpf_insn *insns, uint32_t count, struct bpf_prog **out)
{
	struct bpf_prog *p = kmalloc(sizeof(*p) + count * sizeof(p->insns[0]));

	if (!p)
		return -ENOMEM;
	p->count = count;
	memcpy(p->insns, insns, count * sizeof(p->insns[0]));
	*out = p;
	return 0;
}

static uint32_t alu(uint16_t code, uint32_t a, uint32_t v)
{
	switch (code & 0xf0) {
	case LINUX_BPF_ADD:
		return a + v;
	case LINUX_BPF_SUB:
		return a - v;
	case LINUX_BPF_MUL:
		return a * v;
	case LINUX_BPF_DIV:
		return v ? a / v : 0;
	case LINUX_BPF_AND:
		return a & v;
	case LINUX_BPF_OR:
		return a | v;
	case LINUX_BPF_XOR:
		return a ^ v;
	case LINUX_BPF_LSH:
		return v < 32 ? a << v : 0;
	case LINUX_BPF_RSH:
		return v < 32 ? a >> v : 0;
	default:
		return 0 - a;
	}
}

static bool test(uint16_t code, uint32_t a, uint32_t v)
{
	switch (code & 0xf0) {
	case LINUX_BPF_JEQ:
		return a == v;
	case LINUX_BPF_JGT:
		return a > v;
	case LINUX_BPF_JGE:
		return a >= v;
	default:
		return (a & v) != 0;
	}
}

static uint32_t load(const struct bpf_insn *i, const struct seccomp_data *d, const uint32_t *mem)
{
	uint32_t v;

	switch (i->code & 0xe0) {
	case LINUX_BPF_ABS:
		memcpy(&v, (const char *)d + i->k, sizeof(v));
		return v;
	case LINUX_BPF_MEM:
		return mem[i->k];
	case LINUX_BPF_LEN:
		return sizeof(*d);
	default:
		return i->k;
	}
}

/* known: as much of d as may be looked at; *beyond: it looked at more, and the result says nothing. */
static uint32_t run(const struct bpf_prog *p, const struct seccomp_data *d, uint32_t known, bool *beyond)
{
	uint32_t mem[LINUX_BPF_MEMWORDS] = {0}, a = 0, x = 0;

	for (uint32_t pc = 0; pc < p->count; pc++) {
		const struct bpf_insn *i = &p->insns[pc];
		uint32_t v = i->code & LINUX_BPF_X ? x : i->k;

		if (i->code == LD_W_ABS && i->k >= known) {
			*beyond = true;
			return 0;
		}
		switch (CLASS(i->code)) {
		case LINUX_BPF_LD:
			a = load(i, d, mem);
			break;
		case LINUX_BPF_LDX:
			x = load(i, d, mem);
			break;
		case LINUX_BPF_ST:
			mem[i->k] = a;
			break;
		case LINUX_BPF_STX:
			mem[i->k] = x;
			break;
		case LINUX_BPF_ALU:
			a = alu(i->code, a, v);
			break;
		case LINUX_BPF_JMP:
			if ((i->code & 0xf0) == LINUX_BPF_JA)
				pc += i->k;
			else
				pc += test(i->code, a, v) ? i->jt : i->jf;
			break;
		case LINUX_BPF_RET:
			return i->code & LINUX_BPF_A ? a : i->k;
		default:
			if (i->code & LINUX_BPF_TXA)
				a = x;
			else
				x = a;
		}
	}
	return 0; /* not reached by a checked program; kills */
}

uint32_t bpf_run(const struct bpf_prog *p, const struct seccomp_data *d)
{
	bool beyond;

	return run(p, d, sizeof(*d), &beyond);
}

bool bpf_answer(const struct bpf_prog *p, int32_t nr, uint32_t arch, uint32_t *out)
{
	const struct seccomp_data d = {.nr = nr, .arch = arch};
	bool beyond = false;

	*out = run(p, &d, offsetof(struct seccomp_data, instruction_pointer), &beyond);
	return !beyond;
}
