/* pcap.h: a copy of a link's packets in the format of pcap(3), nanosecond times. */
#pragma once

#include "netstack/core/pbuf.h"

struct pcap;
/* Takes fd over. ether: frames have Ethernet headers. -ENOMEM, or what writing gave. */
MUST_CHECK int pcap_create(int fd, bool ether, struct pcap **out);
void pcap_destroy(struct pcap *p);
void pcap_write(struct pcap *p, const uint8_t *frame, size_t n);
void pcap_write_pkt(struct pcap *p, const struct pkt *pkt);
