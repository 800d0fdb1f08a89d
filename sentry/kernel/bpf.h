/* bpf.h: classic BPF programs over a seccomp_data: checked once, then run on every system call. Pure: no
 * locks, no I/O; fuzzed. */
#pragma once

#include "platform/base/attr.h"

struct bpf_insn {
	uint16_t code;
	uint8_t jt, jf;
	uint32_t k;
};

struct seccomp_data {
	int32_t nr;
	uint32_t arch;
	uint64_t instruction_pointer, args[6];
};

struct bpf_prog {
	uint32_t count;
	struct bpf_insn insns[];
};

#define BPF_INSNS_MAX 4096

/* 0 when insns is a program that ends, stays inside itself and reads only whole words of a seccomp_data;
 * else -EINVAL. */
MUST_CHECK int bpf_check(const struct bpf_insn *insns, uint32_t count);
/* insns checked; the copy is freed with kfree. */
MUST_CHECK int bpf_create(const struct bpf_insn *insns, uint32_t count, struct bpf_prog **out);
uint32_t bpf_run(const struct bpf_prog *p, const struct seccomp_data *d);
/* What p answers to every call nr of arch, whatever its arguments and wherever it is made; false: that depends.
 */
bool bpf_answer(const struct bpf_prog *p, int32_t nr, uint32_t arch, uint32_t *out);
