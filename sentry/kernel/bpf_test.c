/* Filters: what the checker refuses, what the interpreter computes. */
#include "sentry/kernel/bpf.h"

#include <criterion/criterion.h>

#include "platform/abi/errno.h"
#include "platform/base/arena.h"

#define LD_ABS(off)                                                                                            \
	{                                                                                                      \
		0x20, 0, 0, (off)                                                                              \
	}
#define JEQ(k, t, f)                                                                                           \
	{                                                                                                      \
		0x15, (t), (f), (k)                                                                            \
	}
#define RET(k)                                                                                                 \
	{                                                                                                      \
		0x06, 0, 0, (k)                                                                                \
	}

static uint32_t run(const struct bpf_insn *i, uint32_t n, const struct seccomp_data *d)
{
	struct bpf_prog *p;
	uint32_t r;

	cr_assert_eq(bpf_check(i, n), 0);
	cr_assert_eq(bpf_create(i, n, &p), 0);
	r = bpf_run(p, d);
	kfree(p);
	return r;
}

Test(bpf, decides_by_number_and_argument)
{
	const struct bpf_insn prog[] = {
		LD_ABS(0), JEQ(39, 0, 1), RET(0x50001), LD_ABS(16), JEQ(7, 0, 1), RET(2), RET(0x7fff0000),
	};
	struct seccomp_data d = {.nr = 39};

	cr_assert_eq(arena_init(), 0);
	cr_assert_eq(run(prog, ARRAY_SIZE(prog), &d), 0x50001);
	d.nr = 1;
	cr_assert_eq(run(prog, ARRAY_SIZE(prog), &d), 0x7fff0000);
	d.args[0] = 7;
	cr_assert_eq(run(prog, ARRAY_SIZE(prog), &d), 2);
}

Test(bpf, computes_with_scratch_memory_and_x)
{
	const struct bpf_insn prog[] = {
		{0x00, 0, 0, 6}, /* A = 6 */
		{0x02, 0, 0, 3}, /* M[3] = A */
		{0x61, 0, 0, 3}, /* X = M[3] */
		{0x2c, 0, 0, 0}, /* A *= X */
		{0x74, 0, 0, 1}, /* A >>= 1 */
		{0x07, 0, 0, 0}, /* X = A */
		{0x00, 0, 0, 0}, /* A = 0 */
		{0x3c, 0, 0, 0}, /* A /= X */
		{0x87, 0, 0, 0}, /* A = X */
		{0x84, 0, 0, 0}, /* A = -A */
		{0x16, 0, 0, 0}, /* return A */
	};

	cr_assert_eq(arena_init(), 0);
	cr_assert_eq(run(prog, ARRAY_SIZE(prog), &(struct seccomp_data){0}), (uint32_t)-18);
}

Test(bpf, division_by_a_zero_x_is_zero)
{
	const struct bpf_insn prog[] = {{0x00, 0, 0, 6}, {0x01, 0, 0, 0}, {0x3c, 0, 0, 0}, {0x16, 0, 0, 0}};

	cr_assert_eq(arena_init(), 0);
	cr_assert_eq(run(prog, ARRAY_SIZE(prog), &(struct seccomp_data){0}), 0);
}

Test(bpf, refuses_what_could_escape)
{
	const struct bpf_insn bad[][2] = {
		{LD_ABS(64), RET(0)},	    /* beyond the data */
		{LD_ABS(2), RET(0)},	    /* across a word */
		{{0x28, 0, 0, 0}, RET(0)},  /* a half word */
		{{0x40, 0, 0, 0}, RET(0)},  /* indirect */
		{{0x02, 0, 0, 16}, RET(0)}, /* scratch out of range */
		{{0x05, 0, 0, 1}, RET(0)},  /* jump past the end */
		{JEQ(0, 0, 1), RET(0)},	    /* same, conditional */
		{{0x34, 0, 0, 0}, RET(0)},  /* division by zero */
		{{0x64, 0, 0, 32}, RET(0)}, /* shift by the width */
		{{0x94, 0, 0, 3}, RET(0)},  /* modulo isn't allowed */
		{{0x0e, 0, 0, 0}, RET(0)},  /* return X */
		{{0x115, 0, 0, 0}, RET(0)}, /* unknown bits */
		{RET(0), LD_ABS(0)},	    /* no return at the end */
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		cr_assert_eq(bpf_check(bad[i], 2), -EINVAL, "program %zu", i);
	cr_assert_eq(bpf_check(bad[0], 0), -EINVAL);
	cr_assert_eq(bpf_check(bad[0], BPF_INSNS_MAX + 1), -EINVAL);
}

Test(bpf, answers_for_a_number_alone)
{
	/* the argument of 1 matters, and the address of 2; 3 and others are settled */
	const struct bpf_insn prog[] = {LD_ABS(0), JEQ(1, 0, 2), LD_ABS(16),   RET(5), JEQ(2, 0, 2), LD_ABS(8),
					RET(6),	   LD_ABS(4),	 JEQ(7, 0, 1), RET(8), RET(9)};
	struct bpf_prog *p;
	uint32_t r;

	cr_assert_eq(arena_init(), 0);
	cr_assert_eq(bpf_check(prog, ARRAY_SIZE(prog)), 0);
	cr_assert_eq(bpf_create(prog, ARRAY_SIZE(prog), &p), 0);
	cr_assert_not(bpf_answer(p, 1, 7, &r));
	cr_assert_not(bpf_answer(p, 2, 7, &r));
	cr_assert(bpf_answer(p, 3, 7, &r));
	cr_assert_eq(r, 8);
	cr_assert(bpf_answer(p, 3, 6, &r));
	cr_assert_eq(r, 9);
	kfree(p);
}
