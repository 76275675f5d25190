/* target: whom to load: a protocol and an address.
 *
 *      nats://127.0.0.1:4222   redis://127.0.0.1:6379   unix:/run/spate.sock (NATS)   redis+unix:/run/redis.sock
 *      ws://127.0.0.1:8080/path   http://127.0.0.1:8080/path (publishers only)
 *
 * What is said over a WebSocket is its dialect: `nats`, the NATS protocol, as nats-server's listener speaks it;
 * `nchan`, each message is an event, and publishers POST; `raw`, each message is an event, in both directions.
 * ws+nats://, ws+nchan:// and ws+raw:// name it. */
#ifndef SPATE_BENCH_TARGET_H
#define SPATE_BENCH_TARGET_H

#include <sys/socket.h>

#include "bench/shape.h"

enum dialect { DIALECT_NONE, DIALECT_OPEN, DIALECT_NATS, DIALECT_NCHAN, DIALECT_RAW };

#define HOST_BYTES_MAX 128
#define PATH_BYTES_MAX 128

struct target {
        enum protocol protocol;
        enum dialect dialect;      /* NONE: no WebSocket; OPEN: target_speak() has to say */
        char host[HOST_BYTES_MAX]; /* ws:// and http://: with the port */
        char path[PATH_BYTES_MAX]; /* {} stands for the subject */
        struct sockaddr_storage address;
        socklen_t address_bytes;
        char text[256]; /* as it was given */
};

#define TARGET_ERROR_BYTES 640

/* 0 or -EINVAL with one line in `error`. */
int target_parse(struct target *target, const char *text, char error[TARGET_ERROR_BYTES]);
/* Fixes an open dialect, by its name. 0 or -EINVAL. */
int target_speak(struct target *target, const char *dialect, char error[TARGET_ERROR_BYTES]);
static inline bool target_is_websocket(const struct target *target)
{
        return target->dialect != DIALECT_NONE;
}
/* The path for a subject. */
#define PATH_OF_SUBJECT_BYTES (PATH_BYTES_MAX + SUBJECT_BYTES_MAX)
void target_path(const struct target *target, const char *subject, char to[PATH_OF_SUBJECT_BYTES]);
/* A connected, non-blocking socket without Nagle's delay, or -errno. `receive_buffer_bytes`: its SO_RCVBUF; 0: the
 * kernel's own. */
int target_connect(const struct target *target, uint64_t receive_buffer_bytes);
/* What to do about an errno of it, to stand behind its text: "; is the server running there?", or "". */
const char *target_hint(int failure);

#endif
