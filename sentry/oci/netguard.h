/* netguard.h: makes the host's own stack deaf on an interface that a sandbox has taken over, so that it doesn't
 * reset the sandbox's connections, while it keeps addresses and routes: an engine's name server sits in the
 * namespace and asks others from there. Its ports are NETGUARD_FIRST and above (netguard_reserve_ports), and
 * answers of name servers to them are the one thing that it hears and the sandbox doesn't. */
#pragma once

#include "platform/base/attr.h"

#define NETGUARD_FIRST 61000
#define NETGUARD_LAST  65535

/* A descriptor: the guard stands while it is open; -1: this host can't (Linux 6.6, CAP_BPF or root).
 * packet_fd: the sandbox's packet socket, which gets the filter's other half. */
MUST_CHECK int netguard_attach(int ifindex, int packet_fd);
/* For the host's stack in the caller's network namespace. */
void netguard_reserve_ports(void);
