/* websocket: RFC 6455 as a client speaks it: the handshake, frames out and frames in.
 *
 *      │ FIN rsv opcode │ MASK length │ length of 2 or 8 bytes │ key (only from the client) │ payload │
 *
 * What a server sends can be taken in two ways. Where each message is an event, frames are units of their own and shape
 * compares their headers. Where messages only carry a stream of another protocol, in pieces as the server likes,
 * websocket_unframe() takes the headers out and leaves the stream. Compression is not offered. No heap. */
#ifndef SPATE_BENCH_WEBSOCKET_H
#define SPATE_BENCH_WEBSOCKET_H

#include <sys/types.h>

#include "engine/base/span.h"

enum websocket_opcode {
        WEBSOCKET_CONTINUATION = 0,
        WEBSOCKET_TEXT = 1,
        WEBSOCKET_BINARY = 2,
        WEBSOCKET_CLOSE = 8,
        WEBSOCKET_PING = 9,
        WEBSOCKET_PONG = 10,
};

#define WEBSOCKET_HEADER_BYTES_MAX 14
#define WEBSOCKET_CONTROL_BYTES_MAX 125
#define WEBSOCKET_MASK_BYTES 4
#define WEBSOCKET_FRAME_BYTES_MAX ((uint64_t)64 << 20) /* more than that nobody sends us */

struct websocket_frame {
        enum websocket_opcode opcode;
        bool is_last; /* FIN */
        uint64_t payload_bytes;
};

static inline bool websocket_is_control(enum websocket_opcode opcode)
{
        return opcode >= WEBSOCKET_CLOSE;
}

/* --- the handshake (4.1, 4.2.2) --------------------------------------------------------------------------------- */

#define WEBSOCKET_KEY_BYTES 25
#define WEBSOCKET_ACCEPT_BYTES 29

/* A fresh Sec-WebSocket-Key, as text. */
void websocket_key_draw(char key[WEBSOCKET_KEY_BYTES]);
/* What the server must answer to it. */
void websocket_accept(const char *key, char accept[WEBSOCKET_ACCEPT_BYTES]);
/* The request, as snprintf() returns it. */
int websocket_request_write(char *to, size_t room, const char *host, const char *path, const char *key);

#define WEBSOCKET_WHY_BYTES 192
/* The head of the answer at the start of `input`. Bytes taken; 0: send me more; -EPROTO: it is no good, and `why` says
 * so in one line. */
ssize_t websocket_answer_take(struct span input, const char *key, char why[WEBSOCKET_WHY_BYTES]);

/* --- frames ----------------------------------------------------------------------------------------------------- */

/* Writes the header of a whole message; `is_masked` leaves room for the key behind it, zeros. Returns its size. */
size_t websocket_header_write(uint8_t to[WEBSOCKET_HEADER_BYTES_MAX], enum websocket_opcode opcode,
                              uint64_t payload_bytes, bool is_masked);
/* Masks, or takes the mask away (5.3). */
void websocket_mask(uint8_t *payload, size_t size, const uint8_t key[WEBSOCKET_MASK_BYTES]);
/* Writes a whole masked frame, of a payload of at most WEBSOCKET_CONTROL_BYTES_MAX or as much as `to` has room for.
 * Returns its size. */
size_t websocket_frame_write(uint8_t *to, enum websocket_opcode opcode, struct span payload);
/* Numbers for keys: from the kernel's randomness once, from there on a generator. */
uint32_t websocket_random(void);

/* The header of a server's frame at the start of `input`. Bytes taken; 0: send me more; -EPROTO or -EMSGSIZE: *why says
 * what is wrong with it. */
ssize_t websocket_header_take(struct span input, struct websocket_frame *frame, const char **why);

/* Where a connection stands between reads. All zero is the beginning. */
struct websocket {
        uint64_t left_bytes; /* of the payload of the frame that is being read */
        bool is_inside;      /* a fragmented message has begun and not ended */
        uint8_t held_bytes;  /* of a header, or a control frame, that a read cut off */
        uint8_t held[WEBSOCKET_HEADER_BYTES_MAX + WEBSOCKET_CONTROL_BYTES_MAX];
};

/* Does `frame` follow what came before (5.4)? NULL, or what is wrong. Keeps account of fragmented messages. */
const char *websocket_follow(struct websocket *websocket, const struct websocket_frame *frame);

/* Takes the frames' headers out of bytes[0 .. size) and leaves the payloads' bytes, at the front. Stops at a control
 * frame. Returns the number of bytes that are left in `bytes`, *taken tells how many of `size` are done with, and when
 * it stopped at a control frame, control->opcode is one and `body` its payload, good until the next call. -EPROTO,
 * -EMSGSIZE: *why. */
ssize_t websocket_unframe(struct websocket *websocket, uint8_t *bytes, size_t size, size_t *taken,
                          struct websocket_frame *control, struct span *body, const char **why);

#endif
