/* shape: what an event of the load looks like on the wire, in the protocols the generator speaks.
 *
 *      MSG bench.0000 1 128\r\n | stamp . filler . check | \r\n                          NATS, 152 bytes
 *      *3\r\n$7\r\nmessage\r\n$10\r\nbench.0000\r\n$128\r\n | the same | \r\n            RESP
 *      82 7e 00 80 | the same                                                          a WebSocket message of its own
 *
 * All deliveries to one subscriber have the same header and size, so the reader compares the header's bytes and strides
 * on; whatever does not look like that is parsed slowly by unit_take().
 *
 * The payload begins with a stamp of two words in host order: publisher << 48 | sequence, and the time the event was
 * meant to leave (CLOCK_MONOTONIC, ns). With a check the last eight bytes are the XXH3 of all before them. */
#ifndef SPATE_BENCH_SHAPE_H
#define SPATE_BENCH_SHAPE_H

#include <string.h>
#include <sys/types.h>

#include "bench/websocket.h"
#include "engine/base/span.h"

enum protocol {
        PROTOCOL_NATS,
        PROTOCOL_RESP,
        PROTOCOL_MESSAGE, /* each WebSocket message is an event, and nothing else is said */
        PROTOCOL_HTTP,    /* publishers only: each POST is an event */
};

#define SHAPE_HEADER_BYTES_MAX 512
#define STAMP_BYTES 16
#define STAMP_SEQUENCE_BITS 48
#define CHECK_BYTES 8
#define SUBJECT_BYTES_MAX 64

typedef uint64_t shape_lane __attribute__((vector_size(16)));

struct shape {
        shape_lane last_lane; /* which bits of the last comparison count: all, where the header is long enough */
        uint8_t header[SHAPE_HEADER_BYTES_MAX];
        uint32_t header_bytes;
        uint32_t payload_bytes;
        uint32_t trailer_bytes; /* what the line end behind the payload takes: 2, or 0 */
        uint32_t frame_bytes;   /* header, payload and trailer */
        uint32_t mask_at;       /* where a masked frame has its key; all behind it is masked. 0: none */
};

struct stamp {
        uint64_t word; /* publisher << STAMP_SEQUENCE_BITS | sequence */
        uint64_t intended_ns;
};

static inline uint64_t stamp_word(uint64_t publisher, uint64_t sequence)
{
        return publisher << STAMP_SEQUENCE_BITS | sequence;
}

static inline uint64_t stamp_publisher(uint64_t word)
{
        return word >> STAMP_SEQUENCE_BITS;
}

static inline uint64_t stamp_sequence(uint64_t word)
{
        return word & (((uint64_t)1 << STAMP_SEQUENCE_BITS) - 1);
}

/* What a subscriber gets. `pattern` is what it subscribed to; RESP repeats it when it differs from `subject`. */
void shape_delivery(struct shape *shape, enum protocol protocol, const char *subject, const char *pattern,
                    uint32_t payload_bytes);
/* What a publisher sends. */
void shape_publish(struct shape *shape, enum protocol protocol, const char *subject, uint32_t payload_bytes);
/* The same as an HTTP request. */
void shape_post(struct shape *shape, const char *host, const char *path, uint32_t payload_bytes);
/* Puts what a publisher sends into a WebSocket message of its own, masked. */
void shape_wrap(struct shape *shape);
/* Writes the whole frame, not masked yet, with a filler that depends on `seed` only; returns its size. */
size_t shape_render(const struct shape *shape, uint8_t *to, uint64_t seed);

uint64_t check_sum(const uint8_t *payload, uint32_t payload_bytes);
static inline void check_write(uint8_t *payload, uint32_t payload_bytes)
{
        uint64_t sum = check_sum(payload, payload_bytes);
        memcpy(payload + payload_bytes - CHECK_BYTES, &sum, CHECK_BYTES);
}
static inline bool check_holds(const uint8_t *payload, uint32_t payload_bytes)
{
        uint64_t sum;
        memcpy(&sum, payload + payload_bytes - CHECK_BYTES, CHECK_BYTES);
        return sum == check_sum(payload, payload_bytes);
}

static inline shape_lane shape_load(const uint8_t *bytes)
{
        shape_lane lane;
        memcpy(&lane, bytes, sizeof(lane));
        return lane;
}

/* Does a frame of this shape begin at `bytes`? At least shape->frame_bytes can be read there. */
static inline bool shape_matches(const struct shape *shape, const uint8_t *bytes)
{
        uint32_t last = shape->header_bytes < sizeof(shape_lane) ? 0 : shape->header_bytes - sizeof(shape_lane);
        shape_lane differ = (shape_load(bytes + last) ^ shape_load(shape->header + last)) & shape->last_lane;
        for (uint32_t at = 0; at < last; at += (uint32_t)sizeof(shape_lane))
                differ |= shape_load(bytes + at) ^ shape_load(shape->header + at);
        return (differ[0] | differ[1]) == 0;
}

enum unit_kind {
        UNIT_MESSAGE,    /* a delivery; `body` is the payload */
        UNIT_PART,       /* a piece of a delivery that comes in several frames */
        UNIT_CLOSE,      /* the end of a WebSocket connection; `body` is the code and the reason */
        UNIT_SUBSCRIBED, /* RESP confirms a subscription */
        UNIT_PING,
        UNIT_PONG,
        UNIT_ERROR, /* `body` is the server's text */
        UNIT_OTHER, /* INFO (`body` is the line), +OK, a publisher's :count */
};

struct unit {
        enum unit_kind kind;
        struct span subject;
        struct span sid; /* NATS */
        struct span body;
        struct websocket_frame frame; /* PROTOCOL_MESSAGE */
        const char *why;              /* after an error: what is wrong, where it is known; else NULL */
};

/* Takes one unit of what a server sends. n = bytes taken, 0 = send me more, -EPROTO, -EMSGSIZE = this is not the
 * protocol. */
ssize_t unit_take(enum protocol protocol, struct span input, struct unit *unit);

#endif
