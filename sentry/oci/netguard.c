/* netguard.c: see netguard.h. A program at the head of the interface's way in (tcx), behind packet sockets and
 * before the protocols. */
#include "sentry/oci/netguard.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* linux/bpf.h's since Linux 6.6 */
#define TCX_INGRESS 46
#define TCX_PASS    0
#define TCX_DROP    2

#define DNS_PORT	   53
#define NDP_FIRST	   133 /* ICMPv6 types of neighbour discovery, RFC 4861 */
#define NDP_LAST	   137
#define OFF_TYPE	   12
#define OFF_IP		   14
#define OFF_IP6_TRANSPORT  (OFF_IP + 40)
#define IP_FRAGMENT_OFFSET 0x1fff

#define MOVE(op, dst, src)                                                                                     \
	{                                                                                                      \
		.code = BPF_ALU64 | (op) | BPF_X, .dst_reg = (dst), .src_reg = (src)                           \
	}
#define MOVE_K(op, dst, value)                                                                                 \
	{                                                                                                      \
		.code = BPF_ALU64 | (op) | BPF_K, .dst_reg = (dst), .imm = (value)                             \
	}
#define LOAD(size, at)                                                                                         \
	{                                                                                                      \
		.code = BPF_LD | BPF_ABS | (size), .imm = (at)                                                 \
	}
#define LOAD_7(size, at)                                                                                       \
	{                                                                                                      \
		.code = BPF_LD | BPF_IND | (size), .src_reg = 7, .imm = (at)                                   \
	}
#define JUMP(here, op, value, to)                                                                              \
	{                                                                                                      \
		.code = BPF_JMP | (op) | BPF_K, .off = (to) - (here)-1, .imm = (value)                         \
	}
#define EXIT                                                                                                   \
	{                                                                                                      \
		.code = BPF_JMP | BPF_EXIT                                                                     \
	}

/* What the host hears: ARP and neighbour discovery (the same address answers the same), and name servers. A
 * packet too short for a load ends the program with 0: it passes, and the protocols throw it away. */
enum { DEAF_V6 = 18, DEAF_PORT = 25, DEAF_NDP = 27, DEAF_PASS = 30, DEAF_DROP = 32 };
static const struct bpf_insn deaf[] = {
	[0] = MOVE(BPF_MOV, 6, 1),
	[1] = LOAD(BPF_H, OFF_TYPE),
	[2] = JUMP(2, BPF_JEQ, ETHERTYPE_ARP, DEAF_PASS),
	[3] = JUMP(3, BPF_JEQ, ETHERTYPE_IPV6, DEAF_V6),
	[4] = JUMP(4, BPF_JNE, ETHERTYPE_IP, DEAF_DROP),
	[5] = LOAD(BPF_H, OFF_IP + 6),
	[6] = JUMP(6, BPF_JSET, IP_FRAGMENT_OFFSET, DEAF_DROP),
	[7] = LOAD(BPF_B, OFF_IP + 9),
	[8] = JUMP(8, BPF_JEQ, IPPROTO_UDP, 10),
	[9] = JUMP(9, BPF_JNE, IPPROTO_TCP, DEAF_DROP),
	[10] = LOAD(BPF_B, OFF_IP),
	[11] = MOVE(BPF_MOV, 7, 0),
	[12] = MOVE_K(BPF_AND, 7, 15),
	[13] = MOVE_K(BPF_LSH, 7, 2),
	[14] = LOAD_7(BPF_H, OFF_IP),
	[15] = JUMP(15, BPF_JNE, DNS_PORT, DEAF_DROP),
	[16] = LOAD_7(BPF_H, OFF_IP + 2),
	[17] = JUMP(17, BPF_JA, 0, DEAF_PORT),
	[DEAF_V6] = LOAD(BPF_B, OFF_IP + 6),
	[19] = JUMP(19, BPF_JEQ, IPPROTO_ICMPV6, DEAF_NDP),
	[20] = JUMP(20, BPF_JEQ, IPPROTO_UDP, 22),
	[21] = JUMP(21, BPF_JNE, IPPROTO_TCP, DEAF_DROP),
	[22] = LOAD(BPF_H, OFF_IP6_TRANSPORT),
	[23] = JUMP(23, BPF_JNE, DNS_PORT, DEAF_DROP),
	[24] = LOAD(BPF_H, OFF_IP6_TRANSPORT + 2),
	[DEAF_PORT] = JUMP(DEAF_PORT, BPF_JGE, NETGUARD_FIRST, DEAF_PASS),
	[26] = JUMP(26, BPF_JA, 0, DEAF_DROP),
	[DEAF_NDP] = LOAD(BPF_B, OFF_IP6_TRANSPORT),
	[28] = JUMP(28, BPF_JLT, NDP_FIRST, DEAF_DROP),
	[29] = JUMP(29, BPF_JGT, NDP_LAST, DEAF_DROP),
	[DEAF_PASS] = MOVE_K(BPF_MOV, 0, TCX_PASS),
	[31] = EXIT,
	[DEAF_DROP] = MOVE_K(BPF_MOV, 0, TCX_DROP),
	[33] = EXIT,
};

/* The other half, in the older language: the sandbox gets all but the answers of name servers to the host. */
#define CLOAD(size, at)                                                                                        \
	{                                                                                                      \
		.code = BPF_LD | BPF_ABS | (size), .k = (at)                                                   \
	}
#define CLOAD_X(size, at)                                                                                      \
	{                                                                                                      \
		.code = BPF_LD | BPF_IND | (size), .k = (at)                                                   \
	}
#define CTEST(here, op, value, y, n)                                                                           \
	{                                                                                                      \
		BPF_JMP | (op) | BPF_K, (y) - (here)-1, (n) - (here)-1, (value)                                \
	}
#define CRETURN(value)                                                                                         \
	{                                                                                                      \
		.code = BPF_RET | BPF_K, .k = (value)                                                          \
	}
enum { REST_V6 = 13, REST_ALL = 20, REST_NONE = 21 };
static const struct sock_filter rest[] = {
	[0] = CLOAD(BPF_H, OFF_TYPE),
	[1] = CTEST(1, BPF_JEQ, ETHERTYPE_IP, 3, 2),
	[2] = CTEST(2, BPF_JEQ, ETHERTYPE_IPV6, REST_V6, REST_ALL),
	[3] = CLOAD(BPF_H, OFF_IP + 6),
	[4] = CTEST(4, BPF_JSET, IP_FRAGMENT_OFFSET, REST_ALL, 5),
	[5] = CLOAD(BPF_B, OFF_IP + 9),
	[6] = CTEST(6, BPF_JEQ, IPPROTO_UDP, 8, 7),
	[7] = CTEST(7, BPF_JEQ, IPPROTO_TCP, 8, REST_ALL),
	[8] = {.code = BPF_LDX | BPF_MSH | BPF_B, .k = OFF_IP},
	[9] = CLOAD_X(BPF_H, OFF_IP),
	[10] = CTEST(10, BPF_JEQ, DNS_PORT, 11, REST_ALL),
	[11] = CLOAD_X(BPF_H, OFF_IP + 2),
	[12] = CTEST(12, BPF_JGE, NETGUARD_FIRST, REST_NONE, REST_ALL),
	[REST_V6] = CLOAD(BPF_B, OFF_IP + 6),
	[14] = CTEST(14, BPF_JEQ, IPPROTO_UDP, 16, 15),
	[15] = CTEST(15, BPF_JEQ, IPPROTO_TCP, 16, REST_ALL),
	[16] = CLOAD(BPF_H, OFF_IP6_TRANSPORT),
	[17] = CTEST(17, BPF_JEQ, DNS_PORT, 18, REST_ALL),
	[18] = CLOAD(BPF_H, OFF_IP6_TRANSPORT + 2),
	[19] = CTEST(19, BPF_JGE, NETGUARD_FIRST, REST_NONE, REST_ALL),
	[REST_ALL] = CRETURN(0x40000),
	[REST_NONE] = CRETURN(0),
};

static int bpf(int cmd, union bpf_attr *a)
{
	return (int)syscall(SYS_bpf, cmd, a, sizeof(*a));
}

int netguard_attach(int ifindex, int packet_fd)
{
	struct sock_fprog other = {sizeof(rest) / sizeof(rest[0]), (struct sock_filter *)(uintptr_t)rest};
	union bpf_attr a = {0};
	int prog, link = -1;

	a.prog_type = BPF_PROG_TYPE_SCHED_CLS;
	a.insns = (uintptr_t)deaf;
	a.insn_cnt = sizeof(deaf) / sizeof(deaf[0]);
	a.license = (uintptr_t) "MIT";
	prog = bpf(BPF_PROG_LOAD, &a);
	if (prog < 0)
		return -1;
	if (setsockopt(packet_fd, SOL_SOCKET, SO_ATTACH_FILTER, &other, sizeof(other)) == 0) {
		memset(&a, 0, sizeof(a));
		a.link_create.prog_fd = (uint32_t)prog;
		a.link_create.target_ifindex = (uint32_t)ifindex;
		a.link_create.attach_type = TCX_INGRESS;
		link = bpf(BPF_LINK_CREATE, &a);
		if (link < 0) {
			int unused = 0;

			(void)setsockopt(packet_fd, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof(unused));
		}
	}
	close(prog);
	return link;
}

void netguard_reserve_ports(void)
{
	int fd = open("/proc/sys/net/ipv4/ip_local_port_range", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	(void)!dprintf(fd, "%d %d", NETGUARD_FIRST, NETGUARD_LAST);
	close(fd);
}
