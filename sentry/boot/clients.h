/* clients.h: connections of `sbx` commands to a running container. One thread, the control loop's, serves them
 * all; what a client asks for is done before the next message is read. */
#pragma once

#include <poll.h>

#include "sentry/boot/boot.h"

#define CLIENTS_MAX 256

/* Takes fd over. */
void clients_add(struct boot *b, int fd);
/* Fills in p (room for CLIENTS_MAX) with what to wait for: its length. */
size_t clients_poll(struct boot *b, struct pollfd *p);
/* Serves what poll said, then tells clients of processes that have ended. */
void clients_serve(struct boot *b, const struct pollfd *p, size_t n);
/* The sandbox ends: everybody is told what is known. */
void clients_end(struct boot *b);

/* server.c: a message and the descriptors that came with it (the caller's). Bytes as recv(2), or -errno;
 * -EMSGSIZE: it is malformed, its descriptors are closed. */
struct control_msg;
ssize_t control_receive(int fd, struct control_msg *m, int *fds, size_t *fd_count);
/* main.c: to one client */
void client_reply(int fd, uint32_t type, int64_t value, const char *data, size_t size);
/* dump.c: a table of the processes */
void ps_table(struct boot *b, struct strbuf *out);
