/* patches.c: placeholder while call sites arrive by signal only. */
#include "platform/systrap/internal.h"

#include "platform/patch/patch.h"

uint64_t patch_ip_to_guest(struct sys_context *c, uint64_t ip)
{
	(void)c;
	return ip;
}
uint64_t patch_ip_to_host(struct sys_context *c, uint64_t ip)
{
	(void)c;
	return ip;
}
void patch_arrival(struct sys_context *c) { (void)c; }
bool patch_fault(struct sys_context *c) { (void)c; return false; }
void patch_disable(struct sys_context *c) { (void)c; }
void patch_forget(struct sys_context *c, uaddr_t a, uint64_t n) { (void)c; (void)a; (void)n; }
void patch_undo(struct sys_context *c, uaddr_t a, uint64_t n) { (void)c; (void)a; (void)n; }
void patch_note_text(struct sys_context *c, uaddr_t a, uint64_t n, uint32_t prot) { (void)c; (void)a; (void)n; (void)prot; }
void patch_note_prot(struct sys_context *c, uaddr_t a, uint64_t n, uint32_t prot) { (void)c; (void)a; (void)n; (void)prot; }
void patch_book_free(struct patch_book *b) { (void)b; }
int patch_book_copy(struct patch_book *b, struct patch_book **out) { (void)b; *out = NULL; return 0; }
