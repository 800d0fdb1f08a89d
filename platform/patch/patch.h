/* patch.h: finding out how a system call site can be patched to jump to a trampoline, and what the
 * trampoline holds. Pure computation on copies of guest text (which is hostile); who writes what and when
 * is the platform's business. See x86_64/plan.c for the two forms. */
#pragma once

#include "platform/arch/x86_64/regs.h"
#include "platform/base/attr.h"

#define PATCH_JUMP_SIZE	  5
#define PATCH_WINDOW_HEAD 16 /* bytes before the call instruction that a plan looks at */
#define PATCH_WINDOW_TAIL 24 /* from the call instruction on */
#define PATCH_TRAMP_SIZE  64

enum patch_form {
	PATCH_BEFORE, /* the jump replaces one instruction in front of the call, which stays */
	PATCH_AFTER,  /* it replaces the call and the start of what follows */
};

struct patch_plan {
	enum patch_form form;
	uint8_t start;	   /* of the jump, relative to the call - PATCH_WINDOW_HEAD */
	uint8_t moved[20]; /* instructions that the trampoline executes in their stead */
	uint8_t moved_size;
	uint32_t bounds; /* bit i: an instruction starts at moved[i] */
	bool ends;	 /* the last one is a return: nothing follows */
};

/* window: PATCH_WINDOW_HEAD + PATCH_WINDOW_TAIL bytes around the call; regs: at the call, as evidence that
 * the bytes in front are the instruction they look like. 0 or -EINVAL: can't be patched. */
MUST_CHECK int patch_plan(const uint8_t *window, const struct guest_regs *regs, struct patch_plan *out);

/* Could the trampoline of a plan for a jump at `start` lie at tramp? Within reach, and threads that still
 * return into the middle of the jump must meet an instruction that faults. */
bool patch_place_fits(const struct patch_plan *p, uaddr_t start, uaddr_t tramp);

/* Writes the trampoline at tramp for the call at site; entry_slot: address of a word with the address of
 * the stub's entry. The size used, at most PATCH_TRAMP_SIZE. */
size_t patch_build(const struct patch_plan *p, uaddr_t site, uaddr_t tramp, uaddr_t entry_slot, uint8_t *out);
/* The jump itself. */
void patch_jump(uaddr_t start, uaddr_t tramp, uint8_t out[PATCH_JUMP_SIZE]);

/* Where in the guest's own text a thread is that stands at offset off of the trampoline; off is unchanged
 * (false) when it is no place that a thread can be seen at. */
bool patch_ip_out(const struct patch_plan *p, uaddr_t site, uint32_t off, uaddr_t *ip);
/* The offset in the trampoline that continues at ip, an overwritten instruction of the guest. */
bool patch_ip_in(const struct patch_plan *p, uaddr_t site, uaddr_t ip, uint32_t *off);
