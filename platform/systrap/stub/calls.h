/* calls.h: which arguments of which calls point to what, so that the stub can copy small inputs along with
 * a call and the sentry can leave small outputs with its answer. Both sides use it; it promises nothing: a
 * copy that isn't made here is made the usual way. Only memory that Linux too reads once, at the start of
 * the call, is an input (never a futex word). */
#pragma once

#include <stdint.h>

#define NO_ARG 7

/* A piece of memory: at args[at]; n bytes, or args[times] * n when times isn't NO_ARG; path: up to its NUL.
 */
struct call_piece {
	uint8_t at : 3, times : 3, path : 1;
	uint16_t n;
};

struct call_shape {
	uint16_t nr;
	struct call_piece in[2], out;
};

#define NONE                                                                                                   \
	{                                                                                                      \
		NO_ARG, NO_ARG, 0, 0                                                                           \
	}
#define PATH(i)                                                                                                \
	{                                                                                                      \
		i, NO_ARG, 1, 0                                                                                \
	}
#define BYTES(i, size)                                                                                         \
	{                                                                                                      \
		i, NO_ARG, 0, size                                                                             \
	}
#define SIZED(i, count)                                                                                        \
	{                                                                                                      \
		i, count, 0, 1                                                                                 \
	}
#define ITEMS(i, count, size)                                                                                  \
	{                                                                                                      \
		i, count, 0, size                                                                              \
	}

/* Sorted by number. */
static const struct call_shape call_shapes[] = {
	{0, {NONE, NONE}, SIZED(1, 2)},			       /* read */
	{1, {SIZED(1, 2), NONE}, NONE},			       /* write */
	{2, {PATH(0), NONE}, NONE},			       /* open */
	{4, {PATH(0), NONE}, BYTES(1, 144)},		       /* stat */
	{5, {NONE, NONE}, BYTES(1, 144)},		       /* fstat */
	{6, {PATH(0), NONE}, BYTES(1, 144)},		       /* lstat */
	{7, {ITEMS(0, 1, 8), NONE}, ITEMS(0, 1, 8)},	       /* poll */
	{13, {BYTES(1, 32), NONE}, BYTES(2, 32)},	       /* rt_sigaction */
	{14, {BYTES(1, 8), NONE}, BYTES(2, 8)},		       /* rt_sigprocmask */
	{17, {NONE, NONE}, SIZED(1, 2)},		       /* pread64 */
	{18, {SIZED(1, 2), NONE}, NONE},		       /* pwrite64 */
	{19, {ITEMS(1, 2, 16), NONE}, NONE},		       /* readv */
	{20, {ITEMS(1, 2, 16), NONE}, NONE},		       /* writev */
	{21, {PATH(0), NONE}, NONE},			       /* access */
	{22, {NONE, NONE}, BYTES(0, 8)},		       /* pipe */
	{23, {BYTES(4, 16), NONE}, NONE},		       /* select */
	{35, {BYTES(0, 16), NONE}, NONE},		       /* nanosleep */
	{44, {SIZED(1, 2), NONE}, NONE},		       /* sendto */
	{45, {NONE, NONE}, SIZED(1, 2)},		       /* recvfrom */
	{46, {BYTES(1, 56), NONE}, NONE},		       /* sendmsg */
	{53, {NONE, NONE}, BYTES(3, 8)},		       /* socketpair */
	{59, {PATH(0), NONE}, NONE},			       /* execve */
	{61, {NONE, NONE}, BYTES(1, 4)},		       /* wait4 */
	{63, {NONE, NONE}, BYTES(0, 390)},		       /* uname */
	{79, {NONE, NONE}, SIZED(0, 1)},		       /* getcwd */
	{80, {PATH(0), NONE}, NONE},			       /* chdir */
	{82, {PATH(0), PATH(1)}, NONE},			       /* rename */
	{83, {PATH(0), NONE}, NONE},			       /* mkdir */
	{84, {PATH(0), NONE}, NONE},			       /* rmdir */
	{87, {PATH(0), NONE}, NONE},			       /* unlink */
	{89, {PATH(0), NONE}, SIZED(1, 2)},		       /* readlink */
	{90, {PATH(0), NONE}, NONE},			       /* chmod */
	{96, {NONE, NONE}, BYTES(0, 16)},		       /* gettimeofday */
	{97, {NONE, NONE}, BYTES(1, 16)},		       /* getrlimit */
	{98, {NONE, NONE}, BYTES(1, 144)},		       /* getrusage */
	{99, {NONE, NONE}, BYTES(0, 112)},		       /* sysinfo */
	{100, {NONE, NONE}, BYTES(0, 32)},		       /* times */
	{131, {BYTES(0, 24), NONE}, BYTES(1, 24)},	       /* sigaltstack */
	{137, {PATH(0), NONE}, BYTES(1, 120)},		       /* statfs */
	{138, {NONE, NONE}, BYTES(1, 120)},		       /* fstatfs */
	{204, {NONE, NONE}, SIZED(2, 1)},		       /* sched_getaffinity */
	{217, {NONE, NONE}, SIZED(1, 2)},		       /* getdents64 */
	{228, {NONE, NONE}, BYTES(1, 16)},		       /* clock_gettime */
	{230, {BYTES(2, 16), NONE}, NONE},		       /* clock_nanosleep */
	{232, {NONE, NONE}, ITEMS(1, 2, 12)},		       /* epoll_wait */
	{233, {BYTES(3, 12), NONE}, NONE},		       /* epoll_ctl */
	{257, {PATH(1), NONE}, NONE},			       /* openat */
	{258, {PATH(1), NONE}, NONE},			       /* mkdirat */
	{262, {PATH(1), NONE}, BYTES(2, 144)},		       /* newfstatat */
	{263, {PATH(1), NONE}, NONE},			       /* unlinkat */
	{264, {PATH(1), PATH(3)}, NONE},		       /* renameat */
	{267, {PATH(1), NONE}, SIZED(2, 3)},		       /* readlinkat */
	{269, {PATH(1), NONE}, NONE},			       /* faccessat */
	{270, {BYTES(4, 16), NONE}, NONE},		       /* pselect6 */
	{271, {ITEMS(0, 1, 8), BYTES(2, 16)}, ITEMS(0, 1, 8)}, /* ppoll */
	{281, {NONE, NONE}, ITEMS(1, 2, 12)},		       /* epoll_pwait */
	{293, {NONE, NONE}, BYTES(0, 8)},		       /* pipe2 */
	{302, {BYTES(2, 16), NONE}, BYTES(3, 16)},	       /* prlimit64 */
	{316, {PATH(1), PATH(3)}, NONE},		       /* renameat2 */
	{318, {NONE, NONE}, SIZED(0, 1)},		       /* getrandom */
	{332, {PATH(1), NONE}, BYTES(4, 256)},		       /* statx */
	{435, {BYTES(0, 88), NONE}, NONE},		       /* clone3 */
	{439, {PATH(1), NONE}, NONE},			       /* faccessat2 */
	{441, {NONE, NONE}, ITEMS(1, 2, 12)},		       /* epoll_pwait2 */
};

#define CALL_SHAPES (sizeof(call_shapes) / sizeof(call_shapes[0]))

static inline const struct call_shape *call_shape(uint64_t nr)
{
	unsigned lo = 0, hi = CALL_SHAPES;

	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;

		if (call_shapes[mid].nr == nr)
			return &call_shapes[mid];
		if (call_shapes[mid].nr < nr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return 0;
}

/* The size that the arguments ask for, at most max + 1. */
static inline uint64_t call_piece_size(const struct call_piece *p, const uint64_t args[6], uint64_t max)
{
	uint64_t n = p->n;

	if (p->times != NO_ARG) {
		if (args[p->times] > max)
			return max + 1;
		n *= args[p->times];
	}
	return n > max ? max + 1 : n;
}
