/* hostport: the two halves of "HOST:PORT" as it is shown of a connection or listener. */
#ifndef SPATE_BASE_HOSTPORT_H
#define SPATE_BASE_HOSTPORT_H

#include "engine/base/span.h"

struct hostport {
        struct span host; /* into the text; without the brackets of [IPv6] */
        bool is_bracketed;
        uint16_t port; /* 0: there is none */
};

/* Cuts at the last colon. Of what has no port, as "unix:PATH" or "unix", all is host. Checks neither half. */
struct hostport hostport_of(struct span text);

#endif
