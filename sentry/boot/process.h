/* process.h: the host process's own signal dispositions; apart, because the host's <signal.h> and the guest's
 * structures have names in common. */
#pragma once

void process_setup(void);
