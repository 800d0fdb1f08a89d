/* quota.h: how much processor time the host's control groups leave us. */
#pragma once

#include "platform/base/attr.h"

/* Is a quota in force that is less than two processors' time? Then nobody should wait awake. */
bool quota_is_tight(void);
