/* sha1: FIPS 180-4, for protocols that prescribe it (the WebSocket handshake). It keeps no secret: for that, and for
 * anything that may be chosen by an adversary, it is broken. */
#ifndef SPATE_BASE_SHA1_H
#define SPATE_BASE_SHA1_H

#include "engine/base/span.h"

#define SHA1_BYTES 20

void sha1(struct span text, uint8_t digest[SHA1_BYTES]);

#endif
