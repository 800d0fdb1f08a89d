/* attr.h: annotations and small arithmetic helpers used everywhere. No code of its own. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define MUST_CHECK	  __attribute__((warn_unused_result))
#define ALWAYS_INLINE	  inline __attribute__((always_inline))
#define NOINLINE	  __attribute__((noinline))
#define NORETURN	  __attribute__((noreturn))
#define PACKED		  __attribute__((packed))
#define ALIGNED(n)	  __attribute__((aligned(n)))
#define MAYBE_UNUSED	  __attribute__((unused))
#define PRINTF_LIKE(a, b) __attribute__((format(printf, a, b)))
#define CLEANUP(fn)	  __attribute__((cleanup(fn)))
#define FALLTHROUGH	  __attribute__((fallthrough))

#if defined(__clang__)
#define CAPABILITY(x)	  __attribute__((capability(x)))
#define REQUIRES(...)	  __attribute__((requires_capability(__VA_ARGS__)))
#define ACQUIRES(...)	  __attribute__((acquire_capability(__VA_ARGS__)))
#define RELEASES(...)	  __attribute__((release_capability(__VA_ARGS__)))
#define TRY_ACQUIRES(...) __attribute__((try_acquire_capability(__VA_ARGS__)))
#define NO_LOCK_CHECK	  __attribute__((no_thread_safety_analysis))
#else
#define CAPABILITY(x)
#define REQUIRES(...)
#define ACQUIRES(...)
#define RELEASES(...)
#define TRY_ACQUIRES(...)
#define NO_LOCK_CHECK
#endif

#define LIKELY(x)   __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define container_of(ptr, type, member)                                                                        \
	((type *)((char *)(1 ? (ptr) : &((type *)0)->member) - offsetof(type, member)))

#define MIN(a, b)                                                                                              \
	({                                                                                                     \
		__auto_type min_a_ = (a);                                                                      \
		__auto_type min_b_ = (b);                                                                      \
		min_a_ < min_b_ ? min_a_ : min_b_;                                                             \
	})
#define MAX(a, b)                                                                                              \
	({                                                                                                     \
		__auto_type max_a_ = (a);                                                                      \
		__auto_type max_b_ = (b);                                                                      \
		max_a_ > max_b_ ? max_a_ : max_b_;                                                             \
	})

/* n must be a power of two */
#define ROUND_DOWN(x, n) ((x) & ~((__typeof__(x))(n)-1))
#define ROUND_UP(x, n)	 (((x) + ((__typeof__(x))(n)-1)) & ~((__typeof__(x))(n)-1))
#define IS_ALIGNED(x, n) (((x) & ((__typeof__(x))(n)-1)) == 0)
#undef PAGE_SIZE /* of some <limits.h>: not of this type */
#define PAGE_SHIFT 12
#define PAGE_SIZE  4096UL
#define PAGE_MASK  (~(PAGE_SIZE - 1))

#if defined(__SANITIZE_ADDRESS__)
#define SBX_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SBX_ASAN 1
#endif
#endif
#ifndef SBX_ASAN
#define SBX_ASAN 0
#endif
/* The programs are static (release): they can be executed where no library is. */
#ifndef SBX_STATIC
#define SBX_STATIC 0
#endif
