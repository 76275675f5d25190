/* simpeer: a connection of the simulated network, both its ends. For io/sim*.c only. Both directions are stream
 * offsets, as in a TCP without packets:
 *
 *      engine                                                    peer
 *      io_send ─▶ una ····· nxt ····· end                        arrived by itself read, unless stalled
 *                  │ in flight │ waits │ ── H_TRANSMIT: a segment is read from memory, H_ARRIVE_OUT ─▶
 *                  ◀─────────────────────── H_ACK: una and the peer's limit move ──────────────────────
 *
 * In SIM_KERNEL the bytes una .. end are a copy (the socket's buffer) made in the io_poll() after the send; in SIM_TCP
 * they are the engine's own, read only when a segment leaves. */
#ifndef SPATE_IO_SIMPEER_H
#define SPATE_IO_SIMPEER_H

#include "io/simnet.h"

/* The connections that wait for a reactor's next io_poll(). */
struct simturn {
        struct list ready;    /* there may be something to tell */
        struct list handouts; /* SIM_KERNEL: a send is queued */
        struct list closes;   /* an io_close() is queued */
        struct io_statistics *statistics;
};

struct simlent;

/* Ends with the network. */
struct sim_peer {
        struct simnet *net;
        struct simturn *turn; /* the reactor's that has it; NULL: none has it yet, or it has stopped */
        struct list all, ready, handout, closes, answered;
        uint32_t number;
        io_id id;
        void *context;

        /* the engine's end: its life */
        uint32_t listener;
        bool accept_due, connect_due; /* to be told */
        int connect_error;
        bool open;    /* IO_ACCEPTED or IO_CONNECTED was told */
        bool refused; /* never came to an id */
        bool paused, shut, closing, close_reset, close_begun, close_set, close_due, dead;
        bool broken;
        int error;

        /* the engine's end: sending */
        struct list lent;
        size_t lent_bytes;
        uint32_t sends_count;
        struct simlent *queued;
        uint64_t una, nxt, end, limit;
        uint64_t told; /* SIM_TCP: given back up to here */
        struct simbytes socket;
        bool release_due; /* SIM_KERNEL: the send is done with */
        size_t release_sent;
        bool release_rest; /* SIM_TCP: all comes back now */
        bool blocked, writable_due;
        bool transmit_set, fin_out_set;
        uint64_t to_peer_ns; /* when the last segment so far arrives there */

        /* the engine's end: receiving */
        struct simbytes received;
        bool held, pump_set;
        bool fin_received, end_told, break_told;
        bool break_waits; /* for io_resume(), as where a paused connection is not looked at */

        /* on the wires */
        struct simbytes wire_out, wire_in;

        /* the peer's end */
        struct simbytes outbox; /* written by the world, waits for the engine's window */
        struct simbytes window; /* arrived while stalled */
        struct simbytes inbox;  /* for the world to read */
        uint64_t arrived;
        bool peer_shut, peer_closed, peer_broken, fin_in_set, fin_arrived, stalled;
        uint64_t stall_number;
        uint64_t to_engine_ns;
};

/* A connection that `turn` has; NULL: that nobody has accepted yet. */
struct sim_peer *simpeer_new(struct simnet *net, struct simturn *turn);
void simpeer_free(struct sim_peer *peer);

/* A step of the trace, and a failure, of this connection. */
#define simpeer_step(peer, what, a, b) simnet_step((peer)->net, (what), (peer)->number, (a), (b))
#define simpeer_fail(peer, ...) simnet_fail((peer)->net, (peer)->number, (peer)->id, __VA_ARGS__)

/* There may be something to tell the engine. */
void simpeer_mark_ready(struct sim_peer *peer);
/* On the way to the engine, behind all that is on its way already. */
void simpeer_send_to_engine(struct sim_peer *peer, const char *name, void (*happen)(const struct happening *happening),
                            uint64_t a);
/* Nobody listens. */
void simpeer_refuse(struct sim_peer *peer);

/* The engine's end, as the operations of io.h and the next io_poll() ask. */
void simpeer_send(struct sim_peer *peer, const struct span *pieces, size_t pieces_count, size_t size);
void simpeer_hand_out(struct sim_peer *peer);
void simpeer_shut(struct sim_peer *peer);
void simpeer_begin_close(struct sim_peer *peer);
/* The connection is over for the engine's end: nothing is sent or received any more. */
void simpeer_break(struct sim_peer *peer, int error);
/* The reactor that had it has stopped: nothing is lent any more, and the peer will see a reset. */
void simpeer_abandon(struct sim_peer *peer);
/* When nothing is lent any more IO_CLOSED may follow, in the same batch or later. */
void simpeer_try_closed(struct sim_peer *peer);
/* The engine's window has opened; the peer will learn it. */
void simpeer_opened(struct sim_peer *peer);

#endif
