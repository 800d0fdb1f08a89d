/* bytes.h: endian-explicit, alignment-free loads and stores. */
#pragma once

#include <string.h>

#include "platform/base/attr.h"

#define BYTES_GET_(name, type, conv)                                                                           \
	static inline type name(const void *p)                                                                 \
	{                                                                                                      \
		type v;                                                                                        \
		memcpy(&v, p, sizeof(v));                                                                      \
		return conv(v);                                                                                \
	}
#define BYTES_PUT_(name, type, conv)                                                                           \
	static inline void name(void *p, type v)                                                               \
	{                                                                                                      \
		v = conv(v);                                                                                   \
		memcpy(p, &v, sizeof(v));                                                                      \
	}

#define BYTES_SAME_(v) (v)
BYTES_GET_(get_le16, uint16_t, BYTES_SAME_)
BYTES_GET_(get_le32, uint32_t, BYTES_SAME_)
BYTES_GET_(get_le64, uint64_t, BYTES_SAME_)
BYTES_GET_(get_be16, uint16_t, __builtin_bswap16)
BYTES_GET_(get_be32, uint32_t, __builtin_bswap32)
BYTES_GET_(get_be64, uint64_t, __builtin_bswap64)
BYTES_PUT_(put_le16, uint16_t, BYTES_SAME_)
BYTES_PUT_(put_le32, uint32_t, BYTES_SAME_)
BYTES_PUT_(put_le64, uint64_t, BYTES_SAME_)
BYTES_PUT_(put_be16, uint16_t, __builtin_bswap16)
BYTES_PUT_(put_be32, uint32_t, __builtin_bswap32)
BYTES_PUT_(put_be64, uint64_t, __builtin_bswap64)
#undef BYTES_GET_
#undef BYTES_PUT_
