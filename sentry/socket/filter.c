/* filter.c: see filter.h. Programs are checked once; run, they see only the packet and a few facts about it
 * (SKF_AD_*). */
#include "sentry/socket/filter.h"

#include <string.h>

#include "platform/abi/errno.h"
#include "platform/abi/prctl.h"
#include "platform/abi/socket.h"
#include "platform/base/arena.h"
#include "platform/base/bytes.h"
#include "platform/base/random.h"
#include "sentry/socket/socket.h"

#define INSNS_MAX   4096u
#define SIZE_W	    0x00
#define OFF_AD	    0xfffff000u /* SKF_AD_OFF, -0x1000 */
#define OFF_NET	    0xfff00000u /* SKF_NET_OFF, -0x100000 */
#define OFF_LL	    0xffe00000u /* SKF_LL_OFF, -0x200000 */
#define CLASS(code) ((code)&7)

/* SKF_AD_* */
enum {
	AD_PROTOCOL = 0,
	AD_PKTTYPE = 4,
	AD_IFINDEX = 8,
	AD_NLATTR = 12,
	AD_NLATTR_NEST = 16,
	AD_MARK = 20,
	AD_QUEUE = 24,
	AD_HATYPE = 28,
	AD_RXHASH = 32,
	AD_CPU = 36,
	AD_ALU_XOR_X = 40,
	AD_VLAN_TAG = 44,
	AD_VLAN_TAG_PRESENT = 48,
	AD_PAY_OFFSET = 52,
	AD_RANDOM = 56,
	AD_VLAN_TPID = 60,
};

struct insn {
	uint16_t code;
	uint8_t jt, jf;
	uint32_t k;
};

struct sock_filter_prog {
	uint32_t count;
	struct insn insns[];
};

struct fprog {
	uint16_t len;
	uint64_t filter;
};

/* ---- checking ---- */

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
	case LINUX_BPF_MOD:
		return !imm || k != 0;
	case LINUX_BPF_NEG:
		return imm;
	default:
		return false;
	}
}

static bool jump_ok(const struct insn *i, uint32_t left)
{
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

static bool ad_ok(uint32_t k)
{
	return k < OFF_AD || (k - OFF_AD <= AD_VLAN_TPID && k % 4 == 0);
}

static bool load_ok(const struct insn *i)
{
	uint16_t size = i->code & 0x18, mode = i->code & 0xe0;
	bool ldx = CLASS(i->code) == LINUX_BPF_LDX;

	if (i->code & 0xff00 || size == 0x18)
		return false;
	switch (mode) {
	case LINUX_BPF_ABS:
		return !ldx && ad_ok(i->k);
	case LINUX_BPF_IND:
		return !ldx;
	case LINUX_BPF_MSH:
		return ldx && size == LINUX_BPF_B;
	case LINUX_BPF_MEM:
		return size == SIZE_W && i->k < LINUX_BPF_MEMWORDS;
	case LINUX_BPF_IMM:
	case LINUX_BPF_LEN:
		return size == SIZE_W;
	default:
		return false;
	}
}

static bool insn_ok(const struct insn *i, uint32_t left)
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
		return (i->code & 0xff00) == 0 && jump_ok(i, left);
	case LINUX_BPF_RET:
		return i->code == (LINUX_BPF_RET | LINUX_BPF_K) || i->code == (LINUX_BPF_RET | LINUX_BPF_A);
	default:
		return i->code == (LINUX_BPF_MISC | LINUX_BPF_TAX) ||
		       i->code == (LINUX_BPF_MISC | LINUX_BPF_TXA);
	}
}

/* Jumps go forward only, so a program whose last instruction returns always ends. */
static int check(const struct insn *insns, uint32_t count)
{
	for (uint32_t pc = 0; pc < count; pc++)
		if (!insn_ok(&insns[pc], count - pc - 1))
			return -EINVAL;
	return CLASS(insns[count - 1].code) == LINUX_BPF_RET ? 0 : -EINVAL;
}

int filter_prog_in(const struct sock_caller *c, const void *val, uint32_t len, struct sock_filter_prog **out)
{
	struct sock_filter_prog *f;
	struct fprog p;
	int ret;

	if (len != sizeof(p))
		return -EINVAL;
	memcpy(&p, val, sizeof(p));
	if (p.len == 0 || p.len > INSNS_MAX || !p.filter)
		return -EINVAL;
	f = kmalloc(sizeof(*f) + p.len * sizeof(f->insns[0]));
	if (!f)
		return -ENOMEM;
	f->count = p.len;
	ret = usermem_in(c->um, f->insns, p.filter, p.len * sizeof(f->insns[0]));
	if (ret == 0)
		ret = check(f->insns, f->count);
	if (ret < 0) {
		kfree(f);
		return ret;
	}
	*out = f;
	return 0;
}

/* ---- running ---- */

static uint32_t ancillary(const struct filter_packet *p, uint32_t what)
{
	switch (what) {
	case AD_PROTOCOL:
		return p->protocol;
	case AD_PKTTYPE:
		return p->type;
	case AD_IFINDEX:
		return p->ifindex;
	case AD_MARK:
		return p->mark;
	case AD_HATYPE:
		return p->hw_type;
	case AD_RANDOM:
		return (uint32_t)random_u64();
	default: /* queue, CPU, hash, VLAN: all zero here */
		return 0;
	}
}

/* n bytes at a place, as a number; false: not there, and the program ends with 0. */
static bool fetch(const struct filter_packet *p, uint32_t at, uint32_t n, uint32_t *v)
{
	const uint8_t *base = p->data, *end = p->data + p->len;

	if (at >= OFF_NET) {
		base = p->net;
		at -= OFF_NET;
	} else if (at >= OFF_LL) {
		base = p->link;
		at -= OFF_LL;
	}
	if (!base || base > end || n > (uint64_t)(end - base) || at > (uint64_t)(end - base) - n)
		return false;
	base += at;
	*v = n == 1 ? base[0] : n == 2 ? get_be16(base) : get_be32(base);
	return true;
}

struct regs {
	uint32_t a, x, mem[LINUX_BPF_MEMWORDS];
};

static bool load(const struct insn *i, const struct filter_packet *p, struct regs *r)
{
	uint32_t size = (i->code & 0x18) == LINUX_BPF_B ? 1 : (i->code & 0x18) == LINUX_BPF_H ? 2 : 4, v = 0;
	bool ldx = CLASS(i->code) == LINUX_BPF_LDX;

	switch (i->code & 0xe0) {
	case LINUX_BPF_ABS:
		if (i->k >= OFF_AD) {
			if (i->k - OFF_AD == AD_ALU_XOR_X)
				v = r->a ^ r->x;
			else
				v = ancillary(p, i->k - OFF_AD);
		} else if (!fetch(p, i->k, size, &v)) {
			return false;
		}
		break;
	case LINUX_BPF_IND:
		if (!fetch(p, i->k + r->x, size, &v))
			return false;
		break;
	case LINUX_BPF_MSH:
		if (!fetch(p, i->k, 1, &v))
			return false;
		v = (v & 15) * 4;
		break;
	case LINUX_BPF_MEM:
		v = r->mem[i->k];
		break;
	case LINUX_BPF_LEN:
		v = p->len;
		break;
	default:
		v = i->k;
		break;
	}
	*(ldx ? &r->x : &r->a) = v;
	return true;
}

/* False: division by zero, which ends the program with 0. */
static bool alu(uint16_t code, uint32_t v, uint32_t *a)
{
	switch (code & 0xf0) {
	case LINUX_BPF_ADD:
		*a += v;
		break;
	case LINUX_BPF_SUB:
		*a -= v;
		break;
	case LINUX_BPF_MUL:
		*a *= v;
		break;
	case LINUX_BPF_DIV:
	case LINUX_BPF_MOD:
		if (!v)
			return false;
		*a = (code & 0xf0) == LINUX_BPF_DIV ? *a / v : *a % v;
		break;
	case LINUX_BPF_AND:
		*a &= v;
		break;
	case LINUX_BPF_OR:
		*a |= v;
		break;
	case LINUX_BPF_XOR:
		*a ^= v;
		break;
	case LINUX_BPF_LSH:
		*a = v < 32 ? *a << v : 0;
		break;
	case LINUX_BPF_RSH:
		*a = v < 32 ? *a >> v : 0;
		break;
	default:
		*a = 0 - *a;
		break;
	}
	return true;
}

static uint32_t jump(const struct insn *i, uint32_t a, uint32_t v)
{
	bool yes;

	switch (i->code & 0xf0) {
	case LINUX_BPF_JA:
		return i->k;
	case LINUX_BPF_JEQ:
		yes = a == v;
		break;
	case LINUX_BPF_JGT:
		yes = a > v;
		break;
	case LINUX_BPF_JGE:
		yes = a >= v;
		break;
	default:
		yes = (a & v) != 0;
		break;
	}
	return yes ? i->jt : i->jf;
}

uint32_t filter_prog_run(const struct sock_filter_prog *f, const struct filter_packet *p)
{
	struct regs r = {0};

	for (uint32_t pc = 0; pc < f->count; pc++) {
		const struct insn *i = &f->insns[pc];
		uint32_t v = i->code & LINUX_BPF_X ? r.x : i->k;

		switch (CLASS(i->code)) {
		case LINUX_BPF_LD:
		case LINUX_BPF_LDX:
			if (!load(i, p, &r))
				return 0;
			break;
		case LINUX_BPF_ST:
			r.mem[i->k] = r.a;
			break;
		case LINUX_BPF_STX:
			r.mem[i->k] = r.x;
			break;
		case LINUX_BPF_ALU:
			if (!alu(i->code, v, &r.a))
				return 0;
			break;
		case LINUX_BPF_JMP:
			pc += jump(i, r.a, v);
			break;
		case LINUX_BPF_RET:
			return i->code & LINUX_BPF_A ? r.a : i->k;
		default:
			if (i->code & LINUX_BPF_TXA)
				r.a = r.x;
			else
				r.x = r.a;
			break;
		}
	}
	return 0; /* not reached by a checked program */
}

/* ---- a socket's ---- */

uint32_t socket_filter_run(struct socket *s, const struct filter_packet *p)
{
	uint32_t keep = p->len;

	if (LIKELY(!__atomic_load_n(&s->filter, __ATOMIC_RELAXED)))
		return keep;
	mutex_lock(&s->filter_lock);
	if (s->filter)
		keep = MIN(filter_prog_run(s->filter, p), p->len);
	mutex_unlock(&s->filter_lock);
	return keep;
}

static int replace(struct socket *s, struct sock_filter_prog *f)
{
	struct sock_filter_prog *old;
	int ret = 0;

	mutex_lock(&s->filter_lock);
	old = s->filter;
	if (s->filter_fixed) {
		ret = -EPERM;
		old = f;
	} else if (!f && !old) {
		ret = -ENOENT;
	} else {
		__atomic_store_n(&s->filter, f, __ATOMIC_RELAXED);
	}
	mutex_unlock(&s->filter_lock);
	kfree(old);
	return ret;
}

static int fix(struct socket *s, bool on)
{
	int ret = 0;

	mutex_lock(&s->filter_lock);
	if (s->filter_fixed && !on)
		ret = -EPERM;
	else
		s->filter_fixed = on;
	mutex_unlock(&s->filter_lock);
	return ret;
}

int socket_filter_set(struct socket *s, const struct sock_caller *c, int name, const void *val, uint32_t len)
{
	struct sock_filter_prog *f = NULL;
	int32_t v = 0;
	int ret;

	if (len >= sizeof(v))
		memcpy(&v, val, sizeof(v));
	switch (name) {
	case LINUX_SO_ATTACH_FILTER:
		ret = len < sizeof(v) ? -EINVAL : filter_prog_in(c, val, len, &f);
		return ret < 0 ? ret : replace(s, f);
	case LINUX_SO_DETACH_FILTER:
		return len < sizeof(v) ? -EINVAL : replace(s, NULL);
	case LINUX_SO_LOCK_FILTER:
		return len < sizeof(v) ? -EINVAL : fix(s, v != 0);
	case LINUX_SO_ATTACH_BPF: /* there are no eBPF programs, so no descriptor is one */
		return len != sizeof(v) ? -EINVAL : -EBADF;
	default:
		return 1;
	}
}

void socket_filter_drop(struct socket *s)
{
	struct sock_filter_prog *old;

	mutex_lock(&s->filter_lock);
	old = s->filter;
	__atomic_store_n(&s->filter, NULL, __ATOMIC_RELAXED);
	mutex_unlock(&s->filter_lock);
	kfree(old);
}
