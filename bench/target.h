/* target: whom to load: a protocol and an address.
 *
 *      nats://127.0.0.1:4222   redis://127.0.0.1:6379   unix:/run/spate.sock (NATS)   redis+unix:/run/redis.sock */
#ifndef SPATE_BENCH_TARGET_H
#define SPATE_BENCH_TARGET_H

#include <sys/socket.h>

#include "bench/shape.h"

struct target {
        enum protocol protocol;
        struct sockaddr_storage address;
        socklen_t address_bytes;
        char text[256]; /* as it was given */
};

#define TARGET_ERROR_BYTES 512

/* 0 or -EINVAL with one line in `error`. */
int target_parse(struct target *target, const char *text, char error[TARGET_ERROR_BYTES]);
/* A connected, non-blocking socket without Nagle's delay, or -errno. `receive_buffer_bytes`: its SO_RCVBUF; 0: the
 * kernel's own. */
int target_connect(const struct target *target, uint64_t receive_buffer_bytes);

#endif
