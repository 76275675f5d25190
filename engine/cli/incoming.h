/* incoming: the NATS client protocol as a client hears it. Decodes one operation at a time out of contiguous bytes and
 * keeps no state, as io/wire/nats.h does for the other direction. For the client commands and tests. */
#ifndef SPATE_ENGINE_CLI_INCOMING_H
#define SPATE_ENGINE_CLI_INCOMING_H

#include <sys/types.h>

#include "engine/base/span.h"

enum incoming_kind {
        INCOMING_INFO,    /* argument = the JSON text */
        INCOMING_MESSAGE, /* MSG and HMSG */
        INCOMING_PING,
        INCOMING_PONG,
        INCOMING_OK,
        INCOMING_ERROR, /* argument = the text without its quotes */
};

struct incoming {
        enum incoming_kind kind;
        struct span subject, sid, reply, headers, payload; /* headers up to and with the empty line */
        struct span argument;
};

/* The longest line: an INFO that lists a large cluster fits. */
#define INCOMING_LINE_BYTES_MAX ((size_t)1 << 20)
/* The longest HMSG or MSG body; no NATS server can be told to send more. */
#define INCOMING_BODY_BYTES_MAX ((size_t)1 << 30)

/* > 0 bytes taken, `incoming` filled with spans into `in`; 0 incomplete; -EPROTO or -EMSGSIZE: not this protocol, told
 * as soon as the first bytes show it. */
ssize_t incoming_decode(struct span in, struct incoming *incoming);

/* The status in a header block's first line ("NATS/1.0 503" is 503), 0 when it has none. */
int incoming_status(struct span headers);

/* Takes the next "Name: value" line off a header block, blanks around the value dropped. False: none is left. */
bool incoming_next_header(struct span *headers, struct span *name, struct span *value);

#endif
