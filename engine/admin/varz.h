/* varz: /varz, /subsz and /routez as nats-server's monitoring answers them, for nats-top and exporters. Only what is
 * known here is told, under the same names and with the same types; other fields are left out. Two say more than
 * nats-server's: out_bytes has every byte that the network took, framing included, and out_msgs is what the network
 * took, not what was queued. */
#ifndef SPATE_ENGINE_ADMIN_VARZ_H
#define SPATE_ENGINE_ADMIN_VARZ_H

#include "engine/reactor.h"

/* On the heap, for the caller to free; NULL: no memory. They read the counters of all reactors and ask none of them. */
char *varz_write(struct reactor *reactor);
char *varz_write_subsz(struct reactor *reactor);
char *varz_write_routez(struct reactor *reactor);

#endif
