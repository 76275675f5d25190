/* peer: one connection, whatever it speaks: its way out (lane), what it sent of an operation that is not whole yet, its
 * timer, and how it comes to its end. The protocol on top is a table of four functions (session.c for NATS, admin.c for
 * HTTP).
 *
 *      OPEN ──finish──▶ FINISHING ──drained──▶ SHUT ──peer's end, 1 s──▶ CLOSING ──IO_CLOSED──▶ gone
 *        └─────────────── cut off, broken, deadline ─────────────────────▶┘
 *
 * Belongs to one reactor. */
#ifndef SPATE_ENGINE_PEER_H
#define SPATE_ENGINE_PEER_H

#include "engine/base/timerwheel.h"
#include "engine/counter_table.h"
#include "engine/lane.h"

struct reactor;
struct peer;

struct peer_protocol {
        const char *name;
        size_t bytes; /* of the struct that begins with struct peer */
        /* The connection stands. */
        void (*opened)(struct reactor *reactor, struct peer *peer);
        /* Takes operations from the start of `in` (only the first, with `one`) and returns how many bytes it took;
         * fewer than all only when the rest is no whole operation: then *needed is the size of that operation, or 0
         * while it cannot be known. */
        size_t (*take)(struct reactor *reactor, struct peer *peer, struct span in, bool one, size_t *needed);
        /* The peer's timer fired. */
        void (*ticked)(struct reactor *reactor, struct peer *peer);
        /* The connection is going away: forget all that refers to it. Called once. */
        void (*ended)(struct reactor *reactor, struct peer *peer);
};

enum peer_state { PEER_OPEN, PEER_FINISHING, PEER_SHUT, PEER_CLOSING };

#define PEER_ADDRESS_BYTES 48
#define PEER_FINISH_NS NS_PER_S /* how long a connection that is told goodbye may take to hear it */

struct peer {
        struct lane lane;
        struct timer timer;
        const struct peer_protocol *protocol;
        uint8_t *
                kept; /* a block of the stream memory: the start of an operation that was cut by the end of a receive */
        size_t kept_bytes, kept_block_bytes, kept_needed;
        struct list kept_link; /* in reactor->kept while something is kept */
        uint64_t opened_ns;
        uint32_t listener;
        uint8_t state;  /* enum peer_state */
        bool has_ended; /* protocol->ended was called */
        bool is_half;   /* the peer has sent its end */
        char address[PEER_ADDRESS_BYTES];
};

/* IO_ACCEPTED. Refuses and closes when there is no room. */
void peer_accept(struct reactor *reactor, io_id id, uint32_t listener, struct span address,
                 const struct peer_protocol *protocol);
void peer_receive(struct reactor *reactor, struct peer *peer, struct span in);
/* IO_RELEASED has been given to the lane. */
void peer_released(struct reactor *reactor, struct peer *peer);
/* IO_ENDED. */
void peer_end(struct reactor *reactor, struct peer *peer, int error);
/* IO_CLOSED: the last call; the peer is gone. */
void peer_closed(struct reactor *reactor, struct peer *peer);
void peer_ticked(struct reactor *reactor, struct peer *peer);

/* Takes no more input, sends what is in the lane (at most reactor->finish_ns long), then closes. `reason` is the row of
 * connections_closed. */
void peer_finish(struct reactor *reactor, struct peer *peer, enum counter_id reason);
/* Closes at once; what was not sent is dropped and counted. */
void peer_close(struct reactor *reactor, struct peer *peer, enum counter_id reason);
/* Takes up the lanes that were cut since the last turn. */
void peers_take_cut(struct reactor *reactor);

#endif
