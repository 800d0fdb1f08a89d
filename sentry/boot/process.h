/* process.h: the host process: its signal dispositions, and what it gives up; apart, because the host's
 * <signal.h> and the guest's structures have names in common. */
#pragma once

#include "platform/base/attr.h"

/* First of all. -errno */
MUST_CHECK int process_setup(void);
/* Once the platform exists, before guest code runs. nat: sockets of the host will come. -errno */
MUST_CHECK int process_confine(const char *platform, bool nat);
