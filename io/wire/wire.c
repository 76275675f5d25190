/* wire: the table of formats an event can leave in. A new format is one file pair and one row. */
#include "io/wire/wire.h"

#include "io/wire/nats.h"

const struct wire_codec wire_codecs[WIRE_FORMATS] = {
        [WIRE_NATS] = {"nats", nats_message_bound, nats_message_write, nats_message_key, nats_message_subject},
        [WIRE_NATS_PLAIN] = {"nats-plain", nats_plain_bound, nats_plain_write, nats_message_key, nats_message_subject},
};
