/* bpf_fuzz.c: seccomp programs. What the checker lets through must end, stay inside its data and give the same
 * answer twice. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sentry/kernel/bpf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static _Alignas(struct bpf_prog)
		uint8_t room[sizeof(struct bpf_prog) + BPF_INSNS_MAX * sizeof(struct bpf_insn)];
	struct bpf_prog *p = (struct bpf_prog *)room;
	struct seccomp_data d = {.arch = 0xc000003e};
	size_t count;

	if (size < sizeof(d))
		return 0;
	memcpy(&d, data, sizeof(d));
	data += sizeof(d);
	count = (size - sizeof(d)) / sizeof(p->insns[0]);
	if (count > BPF_INSNS_MAX)
		count = BPF_INSNS_MAX;
	memcpy(p->insns, data, count * sizeof(p->insns[0]));
	if (bpf_check(p->insns, (uint32_t)count) < 0)
		return 0;
	p->count = (uint32_t)count;
	if (bpf_run(p, &d) != bpf_run(p, &d))
		abort();
	return 0;
}
