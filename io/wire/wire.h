/* wire: the formats an event can leave in, one row each. A format is pure: bytes in, bytes out, no socket, no clock,
 * no heap. The stream reserves room by `bound`, the codec writes the whole operation into it with `write`: so the
 * bytes of an event are copied once into a cohort's stream, whatever the number of its readers. */
#ifndef SPATE_WIRE_WIRE_H
#define SPATE_WIRE_WIRE_H

#include "io/wire/event.h"

enum wire_format {
        WIRE_NATS,       /* MSG, and HMSG where the event has headers */
        WIRE_NATS_PLAIN, /* for clients without header support: headers are left out */
        WIRE_FORMATS
};

struct wire_codec {
        const char *name;
        /* An upper bound of what write() writes, for a subscriber known on the wire as `sid`. */
        size_t (*bound)(const struct event *event, struct span sid);
        /* Writes one whole operation; returns its size, at most bound(). `out` overlaps nothing of the event. */
        size_t (*write)(uint8_t *out, const struct event *event, struct span sid);
        /* What a later event has to have in common with a written one to take its place: subject and sid, as they stand
         * in `operation`, which is whole. Empty: it is no event. Reads nothing outside of it, whatever it holds. */
        struct span (*key)(struct span operation);
        /* Its subject, likewise. */
        struct span (*subject)(struct span operation);
};

/* Set before the reactors start, indexed by enum wire_format. */
extern const struct wire_codec wire_codecs[WIRE_FORMATS];

#endif
