/* sim: a simulated network behind io.h: virtual time, every choice drawn from one seed. The engine cannot tell it from
 * a real backend; the test world holds the other end of every connection.
 *
 *      engine ── io.h ──▶ ┌───────────────┐ ◀── sim_connect, sim_peer_write, sim_peer_stall … ── test world
 *             ◀ io_poll ─ │  sim          │ ── sim_peer_read ──▶
 *                         │ happenings by │
 *                         │ virtual time  │     same seed + same calls = same trace hash
 *                         └───────────────┘
 *
 * It has two personalities, both true to io.h. SIM_KERNEL copies in the next io_poll() and may take less than it was
 * offered. SIM_TCP reads lent bytes late, perhaps twice, and gives them back in arbitrary pieces as the peer
 * acknowledges.
 *
 * What it catches, with a line that names seed and step, then abort(): lent bytes that changed before they were given
 * back; sends that io.h forbids. A received span is overwritten with 0xDD at the next io_poll() (and is freed memory
 * for AddressSanitizer), so a stale use of it shows. One thread only, io_wake() included.
 *
 * Many reactors may share one network: sim_start() for the first, sim_join() for each other, and the world calls them
 * by turns, as it likes. The clock goes on only while all of them sleep, but for what a turn takes. A reactor whose
 * last io_poll() told nothing sleeps until that deadline, or until anybody does anything. */
#ifndef SPATE_IO_SIM_H
#define SPATE_IO_SIM_H

#include <stdio.h>

#include "io/io.h"

enum sim_mode { SIM_KERNEL, SIM_TCP };

#define SIM_CHANCE_ONE 1024 /* a chance of SIM_CHANCE_ONE always comes true */

struct sim_settings {
        uint64_t seed;
        enum sim_mode mode;

        /* One way, drawn for each segment; segments of one direction never overtake each other, datagrams do. */
        uint64_t latency_min_ns, latency_max_ns;
        uint64_t turn_min_ns, turn_max_ns; /* what an io_poll() takes at least */

        size_t window_bytes;      /* receive window of either end */
        size_t send_buffer_bytes; /* SIM_KERNEL: what a socket holds unacknowledged; io_settings goes before this */
        size_t segment_bytes_max;
        uint32_t sends_max;    /* SIM_TCP: the traits */
        size_t lent_bytes_max; /* SIM_TCP: the traits */

        /* Chances in 1/1024. */
        uint16_t short_send;    /* of a send (SIM_KERNEL): less is taken than there is room for, perhaps nothing */
        uint16_t refused_send;  /* of a send (SIM_KERNEL): nothing is taken, and yet it is called writable soon: Linux
                                   does that when TCP is short of memory */
        uint16_t late_release;  /* of an acknowledgement (SIM_TCP): it comes up to 16 latencies later */
        uint16_t retransmit;    /* of a segment (SIM_TCP): its lent bytes are read a second time */
        uint16_t split;         /* of an event: only a part of the bytes at hand is told by it */
        uint16_t coalesce;      /* of an arrival: it waits so that the next ones are told together with it */
        uint16_t refuse;        /* of a wish to connect, either way: nobody answers */
        uint16_t reset;         /* of a segment: the peer resets the connection when it arrives */
        uint16_t stall;         /* of a segment: the peer stops to read for a while when it arrives */
        uint16_t datagram_loss; /* of a datagram, either way */
        uint16_t jump;          /* of an io_poll(): meanwhile the machine was asleep, up to jump_max_ns */
        uint64_t jump_max_ns;
        uint64_t stall_max_ns;
        uint64_t linger_max_ns; /* SIM_TCP: how long a closed connection waits for acknowledgements before it breaks */

        bool check_always; /* compare all lent bytes in every io_poll(): slow, finds the very turn of an overwrite */
        FILE *trace;       /* a line for every call, choice and event; NULL: none. Borrowed. */
};

/* No faults: latency 20 to 60 us, windows of 64 KiB. */
struct sim_settings sim_settings_calm(uint64_t seed, enum sim_mode mode);
/* Everything drawn from the seed: each fault is absent, rare or frequent, windows from tiny to large. */
struct sim_settings sim_settings_rough(uint64_t seed, enum sim_mode mode);

/* 0: memory of its own it always has. Both settings are copied. Of `settings` conns_max, receive_buffer_bytes and
 * send_buffer_bytes count; 0 means a default. Ended by io_stop(), which frees the peers, too. */
int sim_start(struct io **io, const struct io_settings *settings, const struct sim_settings *sim_settings);

/* Another reactor on the network that `first` is on: ids, borrowed bytes and statistics of its own. Listeners of the
 * same number on several share the connections by chance. 0. Of `settings` conns_max and
 * receive_buffer_bytes count. Its io_stop() resets its connections; the last one on the network frees that. */
int sim_join(struct io **io, struct io *first, const struct io_settings *settings);
/* The reactor of `io` will not turn before `until_ns` (its core is somebody else's, or it starts late): nobody waits
 * for it meanwhile. Its next io_poll() ends this. One that has never polled is not waited for either. */
void sim_keep_away(struct io *io, uint64_t until_ns);
/* An io_poll() that finds nothing returns early, with 0, when it is another reactor's turn. With this it calls
 * `let_others` instead, which lets one of them turn, inside, and returns true; or false, as without it. So a reactor
 * can sleep while others wake it. Inside it is not called again. For all on the network of `io`. */
void sim_on_sleep(struct io *io, bool (*let_others)(void *context), void *context);

/* What follows tells of the whole network, whichever reactor's `io` is given. */

/* Nothing can happen any more unless the engine or the world does something: the last io_poll() would have slept for
 * ever. It returned 0 instead. */
bool sim_is_idle(const struct io *io);
/* When the next thing happens on its own; UINT64_MAX: never. */
uint64_t sim_next_ns(const struct io *io);
/* Over every call, choice and event, and the bytes in them, since the start. */
uint64_t sim_trace_hash(const struct io *io);
/* How many calls, choices and events there were. */
uint64_t sim_steps(const struct io *io);
/* What the engine has lent and not got back, over all connections. */
size_t sim_lent_bytes(const struct io *io);
/* Living ids: connections and datagram sockets. */
size_t sim_ids_count(const struct io *io);
/* A step of the world's own: it enters the hash and the trace. `what` is static. */
void sim_note(struct io *io, const char *what, uint32_t number, uint64_t a, uint64_t b);
/* The last steps, at most `count` (and SIM_STEPS_KEPT), the oldest first, as --trace would have had them. They are kept
 * always. */
#define SIM_STEPS_KEPT 1024
void sim_trace_last(const struct io *io, size_t count, FILE *to);
/* The simulation itself is asking the heap: neither the engine nor the world. For who counts or fails allocations. */
bool sim_is_allocating(void);
/* Calls `call` inside the io_poll() that reaches `at_ns`. It may use the sim_ functions, but not those of io.h. */
void sim_call_at(struct io *io, uint64_t at_ns, void (*call)(void *context), void *context);

/* The world's end of a connection. Lives until io_stop(). It reads by itself whatever arrives, until it is stalled. */
struct sim_peer;

/* Begins to connect to what the engine listens on as `listener`. If it listens no more, the peer is broken later. */
struct sim_peer *sim_connect(struct io *io, uint32_t listener);
/* From now on an io_connect() to `address` succeeds (without this: -ECONNREFUSED). */
void sim_answer(struct io *io, const char *address);
/* The next peer that the engine has connected to, each once; NULL: none. */
struct sim_peer *sim_answered(struct io *io);

/* Free for the world's own use; NULL at first. */
void sim_peer_set_context(struct sim_peer *peer, void *context);
void *sim_peer_context(const struct sim_peer *peer);
/* The engine's id of this connection; 0 before it was accepted. */
io_id sim_peer_id(const struct sim_peer *peer);
/* The reactor's that has it; NULL: none has. */
struct io *sim_peer_io(const struct sim_peer *peer);

/* Copies. Not after sim_peer_shutdown() or sim_peer_close(); on a broken connection the bytes are lost. */
void sim_peer_write(struct sim_peer *peer, struct span bytes);
/* What was written and waits for room in the engine's window: what would block a real client. */
size_t sim_peer_unsent_bytes(const struct sim_peer *peer);
/* Copies out at most `size` of the bytes that came, oldest first. Returns how many. */
size_t sim_peer_read(struct sim_peer *peer, void *bytes, size_t size);
size_t sim_peer_readable_bytes(const struct sim_peer *peer);
/* The same without a copy: what there is, good until anything is done with the peer or anybody polls; and away with the
 * first `size` of it. */
struct span sim_peer_peek(const struct sim_peer *peer);
void sim_peer_drop(struct sim_peer *peer, size_t size);

void sim_peer_stall(struct sim_peer *peer);
/* Ends stalls by chance, too. */
void sim_peer_resume(struct sim_peer *peer);
bool sim_peer_is_stalled(const struct sim_peer *peer);

/* The end of stream behind what was written; the peer goes on reading. */
void sim_peer_shutdown(struct sim_peer *peer);
/* As close(): the end of stream, and whatever comes from now on is answered with a reset. */
void sim_peer_close(struct sim_peer *peer);
void sim_peer_reset(struct sim_peer *peer);

/* The engine's end of stream has come; everything before it can be read. */
bool sim_peer_is_ended(const struct sim_peer *peer);
/* Reset by either side or refused. What came before can still be read. */
bool sim_peer_is_broken(const struct sim_peer *peer);
/* The engine has been told IO_CLOSED for this connection. */
bool sim_peer_is_closed(const struct sim_peer *peer);

/* A datagram from `from` ("10.0.0.1:99" or "[fd00::1]:99") to the engine's socket `id`. */
void sim_datagram_write(struct io *io, io_id id, const char *from, struct span datagram);
/* The next datagram that came from the engine: copies at most `size` bytes and the address it was sent to. Returns its
 * full size; -1: none. */
ssize_t sim_datagram_read(struct io *io, void *bytes, size_t size, char to[IO_ADDRESS_BYTES_MAX]);

#endif
