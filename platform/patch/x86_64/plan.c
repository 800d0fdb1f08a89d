/* plan.c: how a `syscall` (2 bytes) becomes a 5-byte jump. A jump to an address within 2 GiB has 5 bytes,
 * so a neighbour must give room:
 *
 * before: one instruction of 5 bytes or more that ends at the call, as in `mov $nr,%eax; syscall`. The jump
 * replaces it whole, the call stays: whoever branches to the call, or is sent back to it to make it again,
 * finds it there. The trampoline executes the instruction and enters the stub, which returns behind the
 * call. No thread can stand inside what is replaced.
 *
 * after: the call and the instructions behind it, as in `syscall; cmp $-4095,%rax`. Threads that wait in
 * the call come back to the middle of the jump: the trampoline is placed so that the byte they find there
 * is an invalid opcode; the fault is repaired by sending them on in the trampoline, where the moved
 * instructions are. The same holds for branches to that place.
 *
 * Bytes in front of the call can be the tail of a longer instruction; what they would have done must agree
 * with the registers at the call. */
#include "platform/patch/patch.h"

#include <errno.h>
#include <string.h>

#include "platform/base/bytes.h"
#include "platform/patch/x86_64/decode.h"

#define CALL_SIZE  2
#define REACH	   0x7fff0000L
#define ENTER_SIZE 13 /* lea back(%rip),%rcx; jmp *entry(%rip) */

static uint64_t reg_value(const struct guest_regs *r, unsigned n)
{
	const uint64_t *const map[] = {&r->rax, &r->rcx, &r->rdx, &r->rbx, &r->rsp, &r->rbp, &r->rsi, &r->rdi,
				       &r->r8,	&r->r9,	 &r->r10, &r->r11, &r->r12, &r->r13, &r->r14, &r->r15};

	return *map[n & 15];
}

/* mov $imm32,%reg in 5 to 7 bytes that end at p + n, with reg holding just that. */
static size_t match_mov_imm(const uint8_t *end, const struct guest_regs *r)
{
	uint32_t imm = get_le32(end - 4);
	uint8_t op = end[-5], rex = end[-6];

	if (op >= 0xb8 && op <= 0xbf) {
		if (rex == 0x41 && reg_value(r, (op & 7u) + 8) == imm && (op & 7) != 1 && (op & 7) != 3)
			return 6;
		/* rcx and r11 are lost at the call; the rest is evidence */
		if (op != 0xb9 && reg_value(r, op & 7u) == imm && (rex & 0xf8) != 0x48)
			return 5;
	}
	if (end[-6] == 0xc7 && (op & 0xf8) == 0xc0 && (end[-7] == 0x48 || end[-7] == 0x49)) {
		unsigned n = (op & 7u) + (end[-7] & 1 ? 8 : 0);

		if (n != 1 && n != 11 && reg_value(r, n) == (uint64_t)(int64_t)(int32_t)imm)
			return 7;
	}
	return 0;
}

/* lea disp8(%rsp),%reg in 5 bytes */
static size_t match_lea(const uint8_t *end, const struct guest_regs *r)
{
	uint8_t rex = end[-5], modrm = end[-3];
	unsigned n = (modrm >> 3 & 7u) + (rex & 4 ? 8 : 0);

	if ((rex != 0x48 && rex != 0x4c) || end[-4] != 0x8d || (modrm & 0xc7) != 0x44 || end[-2] != 0x24)
		return 0;
	if (n == 1 || n == 4 || n == 11)
		return 0;
	return reg_value(r, n) == r->rsp + (uint64_t)(int64_t)(int8_t)end[-1] ? 5 : 0;
}

/* mov %r11,8(%rsp) in front of musl's cancellable call, and the loads of stack arguments that end wrappers:
 * the exact bytes are evidence enough, no other instruction that compilers make ends so. */
static size_t match_stack_move(const uint8_t *end)
{
	static const uint8_t store_r11[] = {0x4c, 0x89, 0x5c, 0x24, 0x08};

	if (!memcmp(end - 5, store_r11, 5))
		return 5;
	/* mov disp8(%rsp),%r8/%r9/%r10 */
	if (end[-5] == 0x4c && end[-4] == 0x8b && (end[-3] == 0x44 || end[-3] == 0x4c || end[-3] == 0x54) &&
	    end[-2] == 0x24 && end[-1] < 0x80 && end[-1] % 8 == 0)
		return 5;
	return 0;
}

static int plan_before(const uint8_t *window, const struct guest_regs *r, struct patch_plan *out)
{
	const uint8_t *end = window + PATCH_WINDOW_HEAD;
	size_t n = match_mov_imm(end, r);

	if (!n)
		n = match_lea(end, r);
	if (!n)
		n = match_stack_move(end);
	if (!n)
		return -EINVAL;
	*out = (struct patch_plan){.form = PATCH_BEFORE, .start = (uint8_t)(PATCH_WINDOW_HEAD - n)};
	out->moved_size = (uint8_t)n;
	out->bounds = 1;
	memcpy(out->moved, end - n, n);
	return 0;
}

static bool is_padding(uint8_t b)
{
	return b == 0x90 || b == 0xcc || b == 0x00;
}

static int plan_after(const uint8_t *window, struct patch_plan *out)
{
	const uint8_t *call = window + PATCH_WINDOW_HEAD, *p = call + CALL_SIZE;
	size_t avail = PATCH_WINDOW_TAIL - CALL_SIZE, n = 0;

	*out = (struct patch_plan){.form = PATCH_AFTER, .start = PATCH_WINDOW_HEAD};
	while (n < PATCH_JUMP_SIZE - CALL_SIZE) {
		size_t len = decode_movable(p + n, avail - n);

		if (!len || n + len > sizeof(out->moved))
			return -EINVAL;
		/* each place inside the jump that a thread can return to must be made to fault; we do it
		 * for one */
		if (n)
			return -EINVAL;
		out->bounds |= 1u << n;
		n += len;
		if (p[n - 1] == 0xc3 && len == 1) {
			out->ends = true;
			for (size_t i = n; i < PATCH_JUMP_SIZE - CALL_SIZE; i++)
				if (!is_padding(p[i]))
					return -EINVAL;
			break;
		}
	}
	out->moved_size = (uint8_t)n;
	memcpy(out->moved, p, n);
	return 0;
}

int patch_plan(const uint8_t *window, const struct guest_regs *regs, struct patch_plan *out)
{
	const uint8_t *call = window + PATCH_WINDOW_HEAD;

	if (call[0] != 0x0f || call[1] != 0x05)
		return -EINVAL;
	if (plan_before(window, regs, out) == 0)
		return 0;
	return plan_after(window, out);
}

/* One-byte opcodes that don't exist in 64-bit mode. */
static bool faults(uint8_t op)
{
	static const uint8_t invalid[] = {0x06, 0x07, 0x0e, 0x16, 0x17, 0x1e, 0x1f, 0x27, 0x2f, 0x37,
					  0x3f, 0x60, 0x61, 0x82, 0x9a, 0xce, 0xd4, 0xd6, 0xea};

	return memchr(invalid, op, sizeof(invalid)) != NULL;
}

bool patch_place_fits(const struct patch_plan *p, uaddr_t start, uaddr_t tramp)
{
	int64_t rel = (int64_t)(tramp - (start + PATCH_JUMP_SIZE));

	if (rel > REACH || rel < -REACH)
		return false;
	/* the jump's bytes 2 to 4 are the second to fourth of rel; moved[0] stood at byte 2 */
	return p->form == PATCH_BEFORE || faults((uint8_t)(rel >> 8));
}

static void put_rel(uint8_t *at, uaddr_t next, uaddr_t target)
{
	put_le32(at, (uint32_t)(target - next));
}

static size_t put_enter(uint8_t *out, uaddr_t at, uaddr_t back, uaddr_t entry_slot)
{
	out[0] = 0x48;
	out[1] = 0x8d;
	out[2] = 0x0d;
	put_rel(out + 3, at + 7, back);
	out[7] = 0xff;
	out[8] = 0x25;
	put_rel(out + 9, at + ENTER_SIZE, entry_slot);
	return ENTER_SIZE;
}

size_t patch_build(const struct patch_plan *p, uaddr_t site, uaddr_t tramp, uaddr_t entry_slot, uint8_t *out)
{
	size_t n = 0;

	if (p->form == PATCH_BEFORE) {
		memcpy(out, p->moved, p->moved_size);
		n = p->moved_size;
		return n + put_enter(out + n, tramp + n, site + CALL_SIZE, entry_slot);
	}
	n = put_enter(out, tramp, tramp + ENTER_SIZE, entry_slot);
	memcpy(out + n, p->moved, p->moved_size);
	n += p->moved_size;
	if (!p->ends) {
		out[n] = 0xe9;
		put_rel(out + n + 1, tramp + n + PATCH_JUMP_SIZE, site + CALL_SIZE + p->moved_size);
		n += PATCH_JUMP_SIZE;
	}
	return n;
}

void patch_jump(uaddr_t start, uaddr_t tramp, uint8_t out[PATCH_JUMP_SIZE])
{
	out[0] = 0xe9;
	put_rel(out + 1, start + PATCH_JUMP_SIZE, tramp);
}

bool patch_ip_out(const struct patch_plan *p, uaddr_t site, uint32_t off, uaddr_t *ip)
{
	if (p->form == PATCH_BEFORE) {
		*ip = off == 0 ? site - p->moved_size : site;
		return off == 0 || (off >= p->moved_size && off - p->moved_size < ENTER_SIZE);
	}
	if (off < ENTER_SIZE) {
		*ip = site;
		return true;
	}
	*ip = site + CALL_SIZE + (off - ENTER_SIZE);
	return off - ENTER_SIZE <= p->moved_size;
}

bool patch_ip_in(const struct patch_plan *p, uaddr_t site, uaddr_t ip, uint32_t *off)
{
	uint64_t at = ip - (site + CALL_SIZE);

	if (p->form != PATCH_AFTER || at >= PATCH_JUMP_SIZE - CALL_SIZE || !(p->bounds >> at & 1))
		return false;
	*off = ENTER_SIZE + (uint32_t)at;
	return true;
}
