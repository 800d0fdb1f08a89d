/* checked.h: overflow-checked arithmetic for sizes and offsets that come from outside. Each returns
 * true when the result overflowed (the result is then unusable), as the compiler's builtins do. */
#pragma once

#include "platform/base/attr.h"

#define add_overflows(a, b, out) __builtin_add_overflow((a), (b), (out))
#define sub_overflows(a, b, out) __builtin_sub_overflow((a), (b), (out))
#define mul_overflows(a, b, out) __builtin_mul_overflow((a), (b), (out))
