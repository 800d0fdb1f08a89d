/* console.h: the host's side of a container's terminal: a pseudo-terminal whose master goes to whoever listens
 * on --console-socket (containerd-shim, conmon), as runc does it. */
#pragma once

#include "platform/base/attr.h"

/* Makes a pair, sets the slave raw (the guest's own terminal is inside) and its size (0: left alone), and sends
 * the master to the socket. The slave's descriptor, or -1 with a text. */
MUST_CHECK int console_open(const char *socket_path, uint32_t rows, uint32_t cols, char *err, size_t err_size);
/* Makes fd the caller's controlling terminal, so that it hears of changes of size; the caller leads a session
 * that has none. */
void console_adopt(int fd);
