/* internal.h: what the files of sentry/cred share. */
#pragma once

#include "platform/base/arena.h"
#include "sentry/cred/cred.h"

#define USER_NS_MAX_LEVEL 32
#define GROUPS_MAX	  65536u

/* Is the kernel id visible in ns at all? (user_ns_from_* can't say: 65534 may be mapped.) */
bool user_ns_knows_kuid(const struct user_ns *ns, uint32_t kuid);
bool user_ns_knows_kgid(const struct user_ns *ns, uint32_t kgid);
