/* inspect.h: how `sbx debug PID` reaches a running `sbx run`: an abstract UNIX socket named after the latter's
 * process id, which answers its own user and root only. */
#pragma once

#include "platform/base/attr.h"
#include "sentry/control/proto.h"

/* The listening socket of this process, or -1. */
int inspect_listen(void);
/* A client has come: the descriptor to send replies to, and what it wants (CONTROL_DUMP, CONTROL_STATS); -1
 * when it may not ask. */
int inspect_accept(int listener, uint32_t *request);
/* The client's side: asks process pid, writes the answer to standard output. 0 or an exit status. */
int inspect_ask(int pid, uint32_t request);
