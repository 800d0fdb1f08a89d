/* main.h: where sbx-net gives up what it doesn't need; apart, so that a test can stand there. */
#pragma once

#include "platform/base/attr.h"

/* Once its descriptors are known, before the first message. -errno */
MUST_CHECK int net_confine(void);
