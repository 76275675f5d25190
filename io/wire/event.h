/* event: a small message with a subject, as every codec decodes it and every codec encodes it. All spans are
 * borrowed from the receive buffer and good until the call that got the event returns. */
#ifndef SPATE_WIRE_EVENT_H
#define SPATE_WIRE_EVENT_H

#include "engine/base/span.h"

struct event {
        struct span subject;
        struct span reply;   /* empty: none */
        struct span headers; /* a NATS header block as it came, up to and with its empty line; empty: none */
        struct span payload;
};

#endif
