/* endpoint: where a client command connects to, as its user writes it:
 *
 *      127.0.0.1:4222   [::1]:4222   localhost   4222   nats://host:4222   unix:/run/spate.sock
 */
#ifndef SPATE_ENGINE_CLI_ENDPOINT_H
#define SPATE_ENGINE_CLI_ENDPOINT_H

#include "engine/base/check.h"

struct endpoint {
        bool is_path;
        char host[256]; /* a name or an address, without brackets */
        char port[6];   /* decimal, 1 to 65535 */
        char path[108]; /* of a Unix socket */
        char text[300]; /* as it is told to the user: HOST:PORT, [IPv6]:PORT or unix:PATH */
};

#define ENDPOINT_ERROR_BYTES 512

/* Reads `text`; `scheme` ("nats://") may stand in front, `port` is what an absent one means. No name is looked up yet.
 * 0, or -EINVAL with one line in `error`. */
int endpoint_parse(struct endpoint *endpoint, const char *text, const char *scheme, const char *port,
                   char error[ENDPOINT_ERROR_BYTES]);

/* A connected, non-blocking socket without Nagle's delay; tries every address of a name. -1 with one line in `error`
 * when nobody answered within `timeout_ns`. */
int endpoint_connect(const struct endpoint *endpoint, uint64_t timeout_ns, char error[ENDPOINT_ERROR_BYTES]);

#endif
