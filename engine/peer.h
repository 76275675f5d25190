/* peer: one connection, whatever it speaks: its way out (lane), what it sent of an operation that is not whole yet, its
 * timer, and how it comes to its end. The protocol on top is a table of functions (session.c for NATS, admin.c for
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
#include "engine/ledger.h"
#include "io/wire/wire.h"

struct reactor;
struct peer;

/* What a protocol knows of one of its connections. Borrowed. */
struct peer_description {
        struct ledger_reader reader;
        uint32_t subscriptions_count;
        enum wire_format format; /* that its events are written in */
};

struct peer_protocol {
        const char *name;
        size_t bytes; /* of the struct that begins with struct peer */
        /* The connection stands. */
        void (*opened)(struct reactor *reactor, struct peer *peer);
        /* Takes operations from the start of `in` (only the first, with `one`) and returns how many bytes it took;
         * fewer than all only when the peer is held, or when the rest is no whole operation: then *needed is the size
         * of that operation, or 0 while it cannot be known. */
        size_t (*take)(struct reactor *reactor, struct peer *peer, struct span in, bool one, size_t *needed);
        /* The peer's timer fired. */
        void (*ticked)(struct reactor *reactor, struct peer *peer);
        /* More waits than kept_bytes_max: says so and finishes or closes the peer. NULL: it is closed without a word.
         */
        void (*overfull)(struct reactor *reactor, struct peer *peer);
        /* The connection is going away: forget all that refers to it. Called once. */
        void (*ended)(struct reactor *reactor, struct peer *peer);
        /* NULL: its connections get no events. */
        void (*describe)(const struct peer *peer, struct peer_description *description);
        /* Is something of it still referred to, though it has ended? Then its memory stays when it is closed (is_gone),
         * until the protocol gives it back. NULL: never. */
        bool (*stays)(const struct peer *peer);
};

/* Why a peer's input waits. Each is set and cleared by itself; while any is set nothing is taken from the peer. */
enum peer_hold {
        PEER_HELD_SUBSCRIBE = 1, /* until the patterns it asked for are visible on every reactor */
        PEER_HELD_MAILBOX = 2,   /* until another reactor has room for its event */
        PEER_HELD_LOGIN = 4,     /* until its password has been checked */
        PEER_HELD_QUESTION = 8,  /* until the other reactors have answered */
        PEER_HELD_LAG = 16,      /* until a subscriber for whom publishers wait has caught up */
        PEER_HELD_DRAIN = 32,    /* for good: the server goes away and reads no more */
        PEER_HELD_PACE = 64,     /* until it may subscribe again: it is faster than it may be */
        PEER_HELD_TEMPO = 128,   /* until it may publish again: it is faster than it may be */
};

enum peer_state { PEER_OPEN, PEER_FINISHING, PEER_SHUT, PEER_CLOSING };

/* What came in while the peer was held, behind what is kept: a block of the stream memory. */
struct peer_later {
        struct peer_later *next;
        size_t bytes, block_bytes;
        uint8_t data[];
};

#define PEER_ADDRESS_BYTES 48
#define PEER_FINISH_NS NS_PER_S       /* how long a connection that is told goodbye may take to hear it */
#define PEER_LINGER_NS (5 * NS_PER_S) /* and one that lagged, to read what the network has for it */

struct peer {
        struct lane lane;
        struct timer timer;
        const struct peer_protocol *protocol;
        uint8_t *
                kept; /* a block of the stream memory: the start of an operation that was cut by the end of a receive */
        size_t kept_bytes, kept_block_bytes, kept_needed;
        size_t kept_bytes_max;   /* blocks for all that waits; 0: no limit of its own. Beyond: overfull() */
        struct list kept_link;   /* in reactor->kept while something is kept */
        struct list wait_link;   /* in reactor->held while held for a mailbox */
        struct list resume_link; /* in reactor->resumed while to be resumed */
        struct peer_later *later, *later_last;
        int end_error; /* of an IO_ENDED that came while the peer was held */
        uint64_t opened_ns;
        uint64_t ledger_row; /* see ledger_note() */
        uint64_t number;     /* the client's, as the ledger and the log name it; 0: none, an admin's */
        uint32_t listener;
        uint8_t state;  /* enum peer_state */
        uint8_t loss;   /* enum loss: why events that are still pending at the close count as dropped */
        bool has_ended; /* protocol->ended was called */
        bool is_half;   /* the peer has sent its end */
        uint8_t holds;  /* enum peer_hold, or-ed */
        bool is_paused; /* by io_pause() */
        bool is_end_kept;
        bool is_client;         /* let in by the door */
        bool is_gone;           /* closed: its memory is all that is left */
        uint32_t address_place; /* where its address is counted */
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

/* Holds the peer's input back; what take() leaves, and what still comes, is kept for later. From take() or between two
 * events. */
void peer_hold(struct reactor *reactor, struct peer *peer, enum peer_hold hold);
/* Takes the hold away; with the last one the peer goes on, at the next peers_resume(). Harmless when it is not held. */
void peer_release(struct reactor *reactor, struct peer *peer, enum peer_hold hold);
/* Goes on with those that were released: once a turn, while no list is being walked. */
void peers_resume(struct reactor *reactor);

/* Takes no more input, sends what is in the lane (at most reactor->finish_ns long), then closes. `reason` is the row of
 * connections_closed. */
void peer_finish(struct reactor *reactor, struct peer *peer, enum counter_id reason);
/* Closes at once; what was not sent is dropped and counted. */
void peer_close(struct reactor *reactor, struct peer *peer, enum counter_id reason);
/* lanes->lost: into the ledger. */
void peer_lost(void *reactor, const struct lane *lane, enum loss loss, uint64_t count, struct span first,
               struct span last);
/* Takes up the lanes that were cut since the last turn. */
void peers_take_cut(struct reactor *reactor);

#endif
