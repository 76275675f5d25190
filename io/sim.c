/* sim: see sim.h. Both directions of a connection are stream offsets, as in a TCP without packets:
 *
 *      engine                                                    peer
 *      io_send ─▶ una ····· nxt ····· end                        arrived by itself read, unless stalled
 *                  │ in flight │ waits │ ── H_TRANSMIT: a segment is read from memory, H_ARRIVE_OUT ─▶
 *                  ◀─────────────────────── H_ACK: una and the peer's limit move ──────────────────────
 *
 * In SIM_KERNEL the bytes una .. end are a copy (the socket's buffer) made in the io_poll() after the send; in SIM_TCP
 * they are the engine's own, read only when a segment leaves. Whatever takes time is a happening in one heap, ordered
 * by virtual time and then by age; io_poll() walks it until there is something to tell. Simple before fast: the heap
 * of the C library is used freely, and lists are walked. */
#include "io/sim.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdlib.h>

#include "engine/base/clock.h"
#include "engine/base/list.h"
#include "engine/base/random.h"

#if defined(__SANITIZE_ADDRESS__)
#define SIM_FREES_STALE_SPANS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SIM_FREES_STALE_SPANS 1
#endif
#endif
#ifndef SIM_FREES_STALE_SPANS
#define SIM_FREES_STALE_SPANS 0
#endif

#define START_NS (1000 * NS_PER_S)
#define SCRIBBLE 0xDD

/* ---- a queue of bytes ---- */

struct bytes {
        uint8_t *data;
        size_t start, size, capacity;
};

static void *allocate(size_t size)
{
        void *memory = malloc(size);
        if (memory == NULL)
                abort();
        return memory;
}

static void bytes_push(struct bytes *bytes, const uint8_t *from, size_t size)
{
        if (size == 0)
                return;
        if (bytes->start + bytes->size + size > bytes->capacity) {
                size_t capacity = (bytes->size + size) * 2;
                uint8_t *data = allocate(capacity);
                if (bytes->size != 0)
                        memcpy(data, bytes->data + bytes->start, bytes->size);
                free(bytes->data);
                *bytes = (struct bytes){.data = data, .size = bytes->size, .capacity = capacity};
        }
        memcpy(bytes->data + bytes->start + bytes->size, from, size);
        bytes->size += size;
}

static void bytes_drop(struct bytes *bytes, size_t size)
{
        assert(size <= bytes->size);
        bytes->start += size;
        bytes->size -= size;
        if (bytes->size == 0)
                bytes->start = 0;
}

static void bytes_clear(struct bytes *bytes)
{
        free(bytes->data);
        *bytes = (struct bytes){.data = NULL};
}

static void bytes_move(struct bytes *to, struct bytes *from, size_t size)
{
        assert(size <= from->size);
        bytes_push(to, from->data + from->start, size);
        bytes_drop(from, size);
}

/* ---- what there is ---- */

enum happening_kind {
        H_ACCEPT,       /* a peer's wish to connect reaches the engine's listener */
        H_CONNECT,      /* the outcome of an io_connect() */
        H_TRANSMIT,     /* the engine's network sends a segment */
        H_RETRANSMIT,   /* SIM_TCP: it reads a + b bytes at offset a again */
        H_ARRIVE_OUT,   /* a bytes reach the peer */
        H_FIN_OUT,      /* the engine's end of stream reaches the peer */
        H_RESET_OUT,    /* the engine's reset reaches the peer */
        H_ACK,          /* the engine's network learns: the peer has all before a and takes all before b */
        H_WRITABLE,     /* SIM_KERNEL: a send that was cut short by chance may be tried again */
        H_PUMP_IN,      /* the peer learns that the engine's window has opened */
        H_ARRIVE_IN,    /* a bytes reach the engine's end */
        H_READABLE,     /* bytes held back to be told together are told */
        H_FIN_IN,       /* the peer's end of stream reaches the engine's end */
        H_RESET_IN,     /* the peer's reset reaches the engine's end */
        H_STALL_END,    /* stall number a ends */
        H_RELEASE_REST, /* SIM_TCP: the network lets go of the bytes of a broken connection */
        H_LINGER,       /* SIM_TCP: a closed connection has waited long enough for acknowledgements */
        H_CLOSED,       /* IO_CLOSED may be told */
        H_DATAGRAM_IN,
        H_DATAGRAM_OUT,
        H_CALL,
};

static const char *const happening_names[] = {
        [H_ACCEPT] = "accept",
        [H_CONNECT] = "connect",
        [H_TRANSMIT] = "transmit",
        [H_RETRANSMIT] = "retransmit",
        [H_ARRIVE_OUT] = "arrive_out",
        [H_FIN_OUT] = "fin_out",
        [H_RESET_OUT] = "reset_out",
        [H_ACK] = "ack",
        [H_WRITABLE] = "writable",
        [H_PUMP_IN] = "pump_in",
        [H_ARRIVE_IN] = "arrive_in",
        [H_READABLE] = "readable",
        [H_FIN_IN] = "fin_in",
        [H_RESET_IN] = "reset_in",
        [H_STALL_END] = "stall_end",
        [H_RELEASE_REST] = "letting",
        [H_LINGER] = "linger",
        [H_CLOSED] = "closed",
        [H_DATAGRAM_IN] = "datagram",
        [H_DATAGRAM_OUT] = "datagram",
        [H_CALL] = "call",
};

static const char *const event_names[] = {
        [IO_ACCEPTED] = "IO_ACCEPTED", [IO_CONNECTED] = "IO_CONNECTED", [IO_RECEIVED] = "IO_RECEIVED",
        [IO_RELEASED] = "IO_RELEASED", [IO_WRITABLE] = "IO_WRITABLE",   [IO_ENDED] = "IO_ENDED",
        [IO_CLOSED] = "IO_CLOSED",     [IO_DATAGRAM] = "IO_DATAGRAM",   [IO_WOKEN] = "IO_WOKEN",
};

struct datagram {
        struct list link;
        io_id id;
        struct io_address address;
        size_t size;
        uint8_t bytes[];
};

struct happening {
        uint64_t at_ns;
        uint64_t order;
        enum happening_kind kind;
        struct sim_peer *peer;
        uint64_t a, b;
        struct datagram *datagram;
        void (*call)(void *context);
        void *context;
};

/* One io_send(). The copy is what the bytes were then: stronger than a hash, it also shows which byte changed. */
struct lent {
        struct list link;
        struct span pieces[IO_PIECES_MAX];
        size_t pieces_count;
        size_t size;
        size_t told; /* given back to the engine so far */
        uint8_t copy[];
};

/* A copy handed to the engine until the next io_poll(). */
struct guard {
        struct list link;
        size_t size;
        uint8_t bytes[];
};

/* A connection: both its ends. */
struct sim_peer {
        struct sim *sim;
        struct list all;
        struct list ready;    /* in sim.ready while there may be something to tell */
        struct list handout;  /* SIM_KERNEL: in sim.handouts while `queued` waits for io_poll() */
        struct list closes;   /* in sim.closes while an io_close() waits for io_poll() */
        struct list answered; /* in sim.answered until the world takes it */
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
        struct lent *queued;
        uint64_t una, nxt, end, limit;
        uint64_t told; /* SIM_TCP: given back up to here */
        struct bytes socket;
        bool release_due; /* SIM_KERNEL: the send is done with */
        size_t release_sent;
        bool release_rest; /* SIM_TCP: all comes back now */
        bool blocked, writable_due;
        bool transmit_set, fin_out_set;
        uint64_t to_peer_ns; /* when the last segment so far arrives there */

        /* the engine's end: receiving */
        struct bytes received;
        bool held, pump_set;
        bool fin_received, end_told, break_told;
        bool break_waits; /* for io_resume(), as where a paused connection is not looked at */

        /* on the wires */
        struct bytes wire_out, wire_in;

        /* the peer's end */
        struct bytes outbox; /* written by the world, waits for the engine's window */
        struct bytes window; /* arrived while stalled */
        struct bytes inbox;  /* for the world to read */
        uint64_t arrived;
        bool peer_shut, peer_closed, peer_broken, fin_in_set, fin_arrived, stalled;
        uint64_t stall_number;
        uint64_t to_engine_ns;
};

struct socket {
        struct list link;
        io_id id;
        struct list arrived;
        bool closing;
};

struct slot {
        uint32_t generation;
        struct sim_peer *peer;
        struct socket *socket;
        uint32_t free_next;
};

struct address_row {
        struct list link;
        uint32_t listener;
        char text[IO_ADDRESS_BYTES_MAX];
};

#define SLOT_NONE UINT32_MAX

struct sim {
        struct io io;
        struct io_settings settings;
        struct sim_settings sim;
        struct random random;
        uint64_t hash, steps;
        struct happening *heap;
        size_t heap_count, heap_capacity;
        uint64_t order;
        struct slot *slots;
        uint32_t slots_fresh, slot_free, ids_count;
        struct list peers, ready, handouts, closes, answered;
        struct list sockets, datagrams_out;
        struct list listeners, answers;
        struct list guards, stale;
        uint32_t peers_count, ports_count;
        size_t lent_bytes;
        bool woken, idle;
};

static struct sim *sim_of(struct io *io)
{
        return (struct sim *)(void *)io;
}

static const struct sim *sim_of_const(const struct io *io)
{
        return (const struct sim *)(const void *)io;
}

/* ---- chance, trace, failure ---- */

static void hash_word(struct sim *sim, uint64_t word)
{
        sim->hash = (sim->hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        sim->hash ^= sim->hash >> 29;
}

static void hash_bytes(struct sim *sim, const uint8_t *bytes, size_t size)
{
        for (; size >= 8; bytes += 8, size -= 8) {
                uint64_t word;
                memcpy(&word, bytes, 8);
                hash_word(sim, word);
        }
        uint64_t rest = size;
        for (size_t i = 0; i < size; i++)
                rest = rest << 8 | bytes[i];
        hash_word(sim, rest);
}

/* One line of the trace: what, which connection, two numbers. */
static void step(struct sim *sim, const char *what, const struct sim_peer *peer, uint64_t a, uint64_t b)
{
        sim->steps++;
        hash_bytes(sim, (const uint8_t *)what, strlen(what));
        hash_word(sim, sim->io.now_ns);
        hash_word(sim, peer == NULL ? 0 : peer->number);
        hash_word(sim, a);
        hash_word(sim, b);
        if (sim->sim.trace != NULL)
                fprintf(sim->sim.trace, "%llu %llu.%03llu us %s conn %u %llu %llu\n", (unsigned long long)sim->steps,
                        (unsigned long long)((sim->io.now_ns - START_NS) / NS_PER_US),
                        (unsigned long long)((sim->io.now_ns - START_NS) % NS_PER_US), what,
                        peer == NULL ? 0 : peer->number, (unsigned long long)a, (unsigned long long)b);
}

static __attribute__((noreturn, format(printf, 3, 4))) void fail(const struct sim *sim, const struct sim_peer *peer,
                                                                 const char *format, ...)
{
        va_list arguments;
        fprintf(stderr, "sim: seed %llu, step %llu, %s", (unsigned long long)sim->sim.seed,
                (unsigned long long)sim->steps, sim->sim.mode == SIM_KERNEL ? "SIM_KERNEL" : "SIM_TCP");
        if (peer != NULL)
                fprintf(stderr, ", connection %u (id %llx)", peer->number, (unsigned long long)peer->id);
        fputs(": ", stderr);
        va_start(arguments, format);
        vfprintf(stderr, format, arguments);
        va_end(arguments);
        fputc('\n', stderr);
        if (sim->sim.trace != NULL)
                fflush(sim->sim.trace);
        abort();
}

static uint64_t draw(struct sim *sim, uint64_t bound)
{
        return random_below(&sim->random, bound);
}

static bool chance(struct sim *sim, uint16_t chance_1024)
{
        return chance_1024 != 0 && draw(sim, SIM_CHANCE_ONE) < chance_1024;
}

static bool coin(struct sim *sim)
{
        return draw(sim, 2) == 0;
}

static uint64_t latency_ns(struct sim *sim)
{
        return sim->sim.latency_min_ns + draw(sim, sim->sim.latency_max_ns - sim->sim.latency_min_ns + 1);
}

/* Mostly as large as it may be, sometimes a few bytes: both ends of a cut must be tried. */
static size_t segment_bytes(struct sim *sim, uint64_t bytes_max)
{
        size_t max = bytes_max < sim->sim.segment_bytes_max ? bytes_max : sim->sim.segment_bytes_max;
        switch (draw(sim, 4)) {
        case 0:
                return 1 + draw(sim, max);
        case 1:
                return 1 + draw(sim, max < 32 ? max : 32);
        default:
                return max;
        }
}

/* ---- happenings ---- */

static bool happens_before(const struct happening *a, const struct happening *b)
{
        return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

static void heap_push(struct sim *sim, struct happening happening)
{
        if (sim->heap_count == sim->heap_capacity) {
                sim->heap_capacity = sim->heap_capacity == 0 ? 256 : sim->heap_capacity * 2;
                sim->heap = realloc(sim->heap, sim->heap_capacity * sizeof(*sim->heap));
                if (sim->heap == NULL)
                        abort();
        }
        happening.order = sim->order++;
        size_t i = sim->heap_count++;
        for (; i > 0 && happens_before(&happening, &sim->heap[(i - 1) / 2]); i = (i - 1) / 2)
                sim->heap[i] = sim->heap[(i - 1) / 2];
        sim->heap[i] = happening;
}

static struct happening heap_take(struct sim *sim)
{
        struct happening first = sim->heap[0], last = sim->heap[--sim->heap_count];
        size_t i = 0;
        for (;;) {
                size_t child = 2 * i + 1;
                if (child >= sim->heap_count)
                        break;
                if (child + 1 < sim->heap_count && happens_before(&sim->heap[child + 1], &sim->heap[child]))
                        child++;
                if (!happens_before(&sim->heap[child], &last))
                        break;
                sim->heap[i] = sim->heap[child];
                i = child;
        }
        sim->heap[i] = last;
        return first;
}

static void happen_at(struct sim_peer *peer, enum happening_kind kind, uint64_t at_ns, uint64_t a, uint64_t b)
{
        heap_push(peer->sim, (struct happening){.at_ns = at_ns, .kind = kind, .peer = peer, .a = a, .b = b});
}

static void happen_in(struct sim_peer *peer, enum happening_kind kind, uint64_t delay_ns, uint64_t a, uint64_t b)
{
        happen_at(peer, kind, peer->sim->io.now_ns + delay_ns, a, b);
}

/* On the way to the peer, behind all that is on its way already. */
static void happen_to_peer(struct sim_peer *peer, enum happening_kind kind, uint64_t a)
{
        uint64_t at_ns = peer->sim->io.now_ns + latency_ns(peer->sim);
        peer->to_peer_ns = at_ns > peer->to_peer_ns ? at_ns : peer->to_peer_ns;
        happen_at(peer, kind, peer->to_peer_ns, a, 0);
}

static void happen_to_engine(struct sim_peer *peer, enum happening_kind kind, uint64_t a)
{
        uint64_t at_ns = peer->sim->io.now_ns + latency_ns(peer->sim);
        peer->to_engine_ns = at_ns > peer->to_engine_ns ? at_ns : peer->to_engine_ns;
        happen_at(peer, kind, peer->to_engine_ns, a, 0);
}

/* ---- ids ---- */

static struct slot *slot_take(struct sim *sim, io_id *id)
{
        uint32_t index = sim->slot_free;
        if (index != SLOT_NONE)
                sim->slot_free = sim->slots[index].free_next;
        else if (sim->slots_fresh < sim->settings.conns_max)
                index = sim->slots_fresh++;
        else
                return NULL;
        struct slot *slot = &sim->slots[index];
        slot->generation++;
        sim->ids_count++;
        *id = (io_id)slot->generation << 32 | index;
        return slot;
}

static void slot_give(struct sim *sim, io_id id)
{
        struct slot *slot = &sim->slots[io_id_index(id)];
        slot->peer = NULL;
        slot->socket = NULL;
        slot->free_next = sim->slot_free; /* at once taken again: a stale id meets its successor soon */
        sim->slot_free = io_id_index(id);
        sim->ids_count--;
}

/* NULL: the id is dead. */
static struct slot *slot_find(struct sim *sim, io_id id, const char *call)
{
        if (io_id_index(id) >= sim->slots_fresh || id >> 32 == 0 || id >> 32 > sim->slots[io_id_index(id)].generation)
                fail(sim, NULL, "%s with an id that was never given out: %llx", call, (unsigned long long)id);
        struct slot *slot = &sim->slots[io_id_index(id)];
        bool alive = slot->generation == id >> 32 && (slot->peer != NULL || slot->socket != NULL);
        return alive ? slot : NULL;
}

static void mark_ready(struct sim_peer *peer)
{
        if (!list_is_linked(&peer->ready) && !peer->dead)
                list_push_back(&peer->sim->ready, &peer->ready);
}

/* ---- lent bytes ---- */

/* Compares `size` bytes of the send from `from` on with what they were when they were lent. */
static void lent_check(struct sim_peer *peer, const struct lent *lent, size_t from, size_t size, const char *occasion)
{
        size_t piece_start = 0;
        for (size_t i = 0; i < lent->pieces_count && size > 0; i++) {
                struct span piece = lent->pieces[i];
                if (from < piece_start + piece.size) {
                        size_t skip = from - piece_start;
                        size_t part = piece.size - skip < size ? piece.size - skip : size;
                        const uint8_t *now = piece.bytes + skip, *then = lent->copy + from;
                        size_t at = 0;
                        if (memcmp(now, then, part) != 0) {
                                while (now[at] == then[at])
                                        at++;
                                fail(peer->sim, peer,
                                     "a lent byte changed, seen at %s: piece %zu of %zu, byte %zu of %zu "
                                     "(at %p) was %02x and is %02x; %zu of the send's %zu bytes were given back",
                                     occasion, i, lent->pieces_count, skip + at, piece.size, (const void *)(now + at),
                                     then[at], now[at], lent->told, lent->size);
                        }
                        from += part;
                        size -= part;
                }
                piece_start += piece.size;
        }
}

/* SIM_TCP: reads the stream's bytes offset .. offset + size from where they were lent, to `to` or to nowhere. */
static void lent_read(struct sim_peer *peer, uint64_t offset, size_t size, struct bytes *to, const char *occasion)
{
        uint64_t start = peer->told; /* of the first send, behind what it has given back */
        list_for_each(&peer->lent, link)
        {
                struct lent *lent = list_entry(link, struct lent, link);
                uint64_t lent_start = start - lent->told;
                uint64_t lent_end = lent_start + lent->size;
                if (size > 0 && offset < lent_end) {
                        size_t part = lent_end - offset < size ? lent_end - offset : size;
                        lent_check(peer, lent, offset - lent_start, part, occasion);
                        if (to != NULL)
                                bytes_push(to, lent->copy + (offset - lent_start), part);
                        offset += part;
                        size -= part;
                }
                start = lent_end;
        }
        assert(size == 0);
}

/* Gives the first `bytes` lent bytes back. Returns how many sends are done with by this. */
static uint32_t lent_give(struct sim_peer *peer, size_t bytes)
{
        uint32_t sends = 0;
        assert(bytes <= peer->lent_bytes);
        peer->lent_bytes -= bytes;
        peer->sim->lent_bytes -= bytes;
        while (bytes > 0) {
                struct lent *lent = list_entry(peer->lent.next, struct lent, link);
                size_t part = lent->size - lent->told < bytes ? lent->size - lent->told : bytes;
                lent_check(peer, lent, lent->told, part, "IO_RELEASED");
                lent->told += part;
                bytes -= part;
                if (lent->told == lent->size) {
                        list_remove(&lent->link);
                        free(lent);
                        peer->sends_count--;
                        sends++;
                }
        }
        return sends;
}

static void lent_check_all(struct sim *sim, const char *occasion)
{
        list_for_each(&sim->peers, link)
        {
                struct sim_peer *peer = list_entry(link, struct sim_peer, all);
                list_for_each(&peer->lent, lent_link)
                {
                        struct lent *lent = list_entry(lent_link, struct lent, link);
                        lent_check(peer, lent, lent->told, lent->size - lent->told, occasion);
                }
        }
}

/* ---- a connection: the way out ---- */

static size_t socket_room(const struct sim_peer *peer)
{
        size_t used = peer->end - peer->una;
        return used < peer->sim->sim.send_buffer_bytes ? peer->sim->sim.send_buffer_bytes - used : 0;
}

/* Linux calls a socket writable when a third of its buffer is free. */
static void try_writable(struct sim_peer *peer)
{
        size_t third = peer->sim->sim.send_buffer_bytes / 3;
        if (peer->blocked && !peer->writable_due && !peer->broken && !peer->closing &&
            socket_room(peer) >= (third == 0 ? 1 : third)) {
                peer->writable_due = true;
                mark_ready(peer);
        }
}

static void set_transmit(struct sim_peer *peer)
{
        struct sim *sim = peer->sim;
        if (peer->transmit_set || peer->broken)
                return;
        bool window_open = peer->nxt < peer->end && peer->nxt < peer->limit;
        bool fin = peer->nxt == peer->end && peer->shut && peer->queued == NULL && !peer->fin_out_set;
        if (!window_open && !fin)
                return;
        peer->transmit_set = true;
        /* Our own TCP sends when it comes to it, so lent bytes are read well after io_send(). */
        happen_in(peer, H_TRANSMIT, sim->sim.mode == SIM_TCP ? draw(sim, sim->sim.latency_max_ns + 1) : 0, 0, 0);
}

static void transmit(struct sim_peer *peer)
{
        struct sim *sim = peer->sim;
        peer->transmit_set = false;
        if (peer->broken)
                return;
        uint64_t stop = peer->end < peer->limit ? peer->end : peer->limit;
        if (peer->nxt < stop) {
                size_t size = segment_bytes(sim, stop - peer->nxt);
                step(sim, "segment", peer, peer->nxt, size);
                if (sim->sim.mode == SIM_TCP) {
                        lent_read(peer, peer->nxt, size, &peer->wire_out, "sending");
                        if (chance(sim, sim->sim.retransmit))
                                happen_in(peer, H_RETRANSMIT, latency_ns(sim) * (1 + draw(sim, 4)), peer->nxt, size);
                } else {
                        size_t skip = peer->nxt - peer->una;
                        bytes_push(&peer->wire_out, peer->socket.data + peer->socket.start + skip, size);
                }
                peer->nxt += size;
                happen_to_peer(peer, H_ARRIVE_OUT, size);
        } else if (peer->nxt == peer->end && peer->shut && peer->queued == NULL && !peer->fin_out_set) {
                peer->fin_out_set = true;
                happen_to_peer(peer, H_FIN_OUT, 0);
        }
        set_transmit(peer);
}

/* A retransmission reads whatever of its range has not been given back yet. */
static void retransmit(struct sim_peer *peer, uint64_t offset, uint64_t size)
{
        uint64_t stop = offset + size;
        offset = offset > peer->told ? offset : peer->told;
        if (offset < stop && peer->lent_bytes >= stop - peer->told)
                lent_read(peer, offset, stop - offset, NULL, "sending again");
}

/* SIM_KERNEL: the system call behind io_send(). */
static void hand_out(struct sim_peer *peer)
{
        struct sim *sim = peer->sim;
        struct lent *lent = peer->queued;
        peer->queued = NULL;
        lent_check(peer, lent, 0, lent->size, "io_poll");
        size_t take = 0, room = socket_room(peer);
        if (!peer->broken) {
                take = lent->size < room ? lent->size : room;
                if (chance(sim, sim->sim.short_send))
                        take = draw(sim, take + 1);
        }
        bytes_push(&peer->socket, lent->copy, take);
        peer->end += take;
        peer->release_due = true;
        peer->release_sent = take;
        step(sim, "take", peer, take, lent->size);
        if (take < lent->size) {
                sim->io.statistics.sends_short++;
                peer->blocked = true;
                if (take < room)
                        happen_in(peer, H_WRITABLE, latency_ns(sim), 0, 0);
        }
        mark_ready(peer);
        set_transmit(peer);
}

/* The connection is over for the engine's end: nothing is sent or received any more. */
static void break_connection(struct sim_peer *peer, int error)
{
        struct sim *sim = peer->sim;
        if (peer->broken)
                return;
        peer->broken = true;
        peer->error = error;
        peer->writable_due = false;
        bytes_clear(&peer->socket);
        if (coin(sim))
                bytes_clear(&peer->received); /* a reset may overtake what the engine has not read */
        peer->break_waits = coin(sim);
        peer->held = false;
        if (sim->sim.mode == SIM_TCP && peer->lent_bytes > 0)
                happen_in(peer, H_RELEASE_REST, draw(sim, 4 * sim->sim.latency_max_ns + 1), 0, 0);
        mark_ready(peer);
}

static void reset_to_peer(struct sim_peer *peer)
{
        happen_to_peer(peer, H_RESET_OUT, 0);
}

/* When nothing is lent any more IO_CLOSED may follow, in the same batch or later. */
static void try_closed(struct sim_peer *peer)
{
        struct sim *sim = peer->sim;
        if (!peer->close_begun || peer->close_set || peer->lent_bytes > 0)
                return;
        peer->close_set = true;
        if (coin(sim))
                peer->close_due = true;
        else
                happen_in(peer, H_CLOSED, latency_ns(sim), 0, 0);
        mark_ready(peer);
}

static void begin_close(struct sim_peer *peer)
{
        struct sim *sim = peer->sim;
        bool first = !peer->close_begun;
        peer->close_begun = true;
        bytes_clear(&peer->received);
        bytes_clear(&peer->outbox);
        peer->writable_due = false;
        if (peer->close_reset && !peer->broken) {
                reset_to_peer(peer);
                break_connection(peer, -ECONNRESET);
        } else if (!peer->broken) {
                peer->shut = true;
                set_transmit(peer);
                if (first && sim->sim.mode == SIM_TCP && peer->lent_bytes > 0)
                        happen_in(peer, H_LINGER, draw(sim, sim->sim.linger_max_ns + 1), 0, 0);
        }
        try_closed(peer);
}

/* ---- a connection: the way in ---- */

static void pump_in(struct sim_peer *peer)
{
        struct sim *sim = peer->sim;
        if (peer->refused || peer->broken || peer->close_begun || peer->peer_broken) {
                bytes_clear(&peer->outbox);
                return;
        }
        while (peer->outbox.size > 0 && peer->wire_in.size + peer->received.size < sim->sim.window_bytes) {
                size_t room = sim->sim.window_bytes - peer->wire_in.size - peer->received.size;
                size_t size = segment_bytes(sim, peer->outbox.size < room ? peer->outbox.size : room);
                bytes_move(&peer->wire_in, &peer->outbox, size);
                happen_to_engine(peer, H_ARRIVE_IN, size);
        }
        if (peer->outbox.size == 0 && peer->peer_shut && !peer->fin_in_set) {
                peer->fin_in_set = true;
                happen_to_engine(peer, H_FIN_IN, 0);
        }
}

static void arrive_in(struct sim_peer *peer, size_t size)
{
        struct sim *sim = peer->sim;
        if (peer->refused || peer->broken || peer->close_begun) {
                bytes_drop(&peer->wire_in, size);
                return;
        }
        bytes_move(&peer->received, &peer->wire_in, size);
        if (peer->held)
                return;
        if (chance(sim, sim->sim.coalesce)) {
                peer->held = true;
                happen_in(peer, H_READABLE, 2 * latency_ns(sim), 0, 0);
        } else {
                mark_ready(peer);
        }
}

/* ---- the peer's end ---- */

static void acknowledge(struct sim_peer *peer)
{
        struct sim *sim = peer->sim;
        uint64_t delay_ns = latency_ns(sim);
        if (sim->sim.mode == SIM_TCP && chance(sim, sim->sim.late_release))
                delay_ns *= 1 + draw(sim, 16);
        happen_in(peer, H_ACK, delay_ns, peer->arrived, peer->arrived - peer->window.size + sim->sim.window_bytes);
}

static void arrive_out(struct sim_peer *peer, size_t size)
{
        struct sim *sim = peer->sim;
        if (peer->peer_broken || peer->peer_closed) {
                bytes_drop(&peer->wire_out, size);
                if (peer->peer_closed && !peer->peer_broken)
                        sim_peer_reset(peer);
                return;
        }
        if (chance(sim, sim->sim.reset)) {
                bytes_drop(&peer->wire_out, size);
                sim_peer_reset(peer);
                return;
        }
        hash_bytes(sim, peer->wire_out.data + peer->wire_out.start, size);
        if (!peer->stalled && chance(sim, sim->sim.stall)) {
                sim_peer_stall(peer);
                happen_in(peer, H_STALL_END, draw(sim, sim->sim.stall_max_ns + 1), peer->stall_number, 0);
        }
        bytes_move(peer->stalled ? &peer->window : &peer->inbox, &peer->wire_out, size);
        peer->arrived += size;
        acknowledge(peer);
}

/* ---- what happens ---- */

static void accept_arrives(struct sim_peer *peer)
{
        struct sim *sim = peer->sim;
        bool listening = false;
        list_for_each(&sim->listeners, link) listening |=
                list_entry(link, struct address_row, link)->listener == peer->listener;
        struct slot *slot = listening ? slot_take(sim, &peer->id) : NULL;
        if (slot == NULL) {
                sim->io.statistics.accepts_refused += listening;
                peer->refused = true;
                bytes_clear(&peer->outbox);
                reset_to_peer(peer);
                return;
        }
        slot->peer = peer;
        peer->accept_due = true;
        mark_ready(peer);
}

static void connect_arrives(struct sim_peer *peer, bool answers)
{
        if (peer->dead || peer->close_begun)
                return;
        peer->connect_due = true;
        mark_ready(peer);
        if (answers) {
                list_push_back(&peer->sim->answered, &peer->answered);
                return;
        }
        peer->connect_error = -ECONNREFUSED;
        peer->refused = true;
        break_connection(peer, -ECONNREFUSED);
}

static void datagram_arrives(struct sim *sim, struct datagram *datagram)
{
        list_for_each(&sim->sockets, link)
        {
                struct socket *socket = list_entry(link, struct socket, link);
                if (socket->id == datagram->id && !socket->closing) {
                        list_push_back(&socket->arrived, &datagram->link);
                        return;
                }
        }
        free(datagram);
}

static void peer_happens(struct sim_peer *peer, const struct happening *happening)
{
        struct sim *sim = peer->sim;
        switch (happening->kind) {
        case H_ACCEPT:
                accept_arrives(peer);
                break;
        case H_CONNECT:
                connect_arrives(peer, happening->a != 0);
                break;
        case H_TRANSMIT:
                transmit(peer);
                break;
        case H_RETRANSMIT:
                retransmit(peer, happening->a, happening->b);
                break;
        case H_ARRIVE_OUT:
                arrive_out(peer, happening->a);
                break;
        case H_FIN_OUT:
                peer->fin_arrived = !peer->peer_broken;
                break;
        case H_RESET_OUT:
                peer->peer_broken = true;
                break;
        case H_ACK:
                if (peer->broken)
                        break;
                peer->limit = happening->b > peer->limit ? happening->b : peer->limit;
                if (happening->a > peer->una) {
                        if (sim->sim.mode == SIM_KERNEL)
                                bytes_drop(&peer->socket, happening->a - peer->una);
                        peer->una = happening->a;
                }
                if (sim->sim.mode == SIM_KERNEL)
                        try_writable(peer);
                else
                        mark_ready(peer);
                set_transmit(peer);
                break;
        case H_WRITABLE:
                try_writable(peer);
                break;
        case H_PUMP_IN:
                peer->pump_set = false;
                pump_in(peer);
                break;
        case H_ARRIVE_IN:
                arrive_in(peer, happening->a);
                break;
        case H_READABLE:
                peer->held = false;
                mark_ready(peer);
                break;
        case H_FIN_IN:
                peer->fin_received = true;
                peer->held = false;
                mark_ready(peer);
                break;
        case H_RESET_IN:
                if (!peer->refused && !peer->dead)
                        break_connection(peer, draw(sim, 4) == 0 ? -EPIPE : -ECONNRESET);
                break;
        case H_STALL_END:
                if (happening->a == peer->stall_number)
                        sim_peer_resume(peer);
                break;
        case H_RELEASE_REST:
                peer->release_rest = true;
                mark_ready(peer);
                break;
        case H_LINGER:
                if (!peer->broken && peer->lent_bytes > 0) {
                        reset_to_peer(peer);
                        break_connection(peer, -ETIMEDOUT);
                }
                break;
        case H_CLOSED:
                peer->close_due = true;
                mark_ready(peer);
                break;
        case H_DATAGRAM_IN:
        case H_DATAGRAM_OUT:
        case H_CALL:
                break;
        }
}

/* The first happening of the heap; the clock goes to its time. */
static void happen(struct sim *sim)
{
        struct happening happening = heap_take(sim);
        if (happening.at_ns > sim->io.now_ns)
                sim->io.now_ns = happening.at_ns;
        step(sim, happening_names[happening.kind], happening.peer, happening.a, happening.b);
        if (happening.kind == H_DATAGRAM_IN)
                datagram_arrives(sim, happening.datagram);
        else if (happening.kind == H_DATAGRAM_OUT)
                list_push_back(&sim->datagrams_out, &happening.datagram->link);
        else if (happening.kind == H_CALL)
                happening.call(happening.context);
        else
                peer_happens(happening.peer, &happening);
}

/* ---- telling the engine ---- */

struct batch {
        struct sim *sim;
        struct io_event *events;
        int count, max;
};

static bool batch_is_full(const struct batch *batch)
{
        return batch->count == batch->max;
}

static void tell(struct batch *batch, const struct sim_peer *peer, struct io_event event)
{
        assert(!batch_is_full(batch));
        step(batch->sim, event_names[event.kind], peer, event.bytes + event.span.size, event.sent);
        hash_word(batch->sim, (uint64_t)event.id ^ (uint64_t)(int64_t)event.error);
        hash_bytes(batch->sim, event.span.bytes, event.span.size);
        batch->events[batch->count++] = event;
}

static struct span guarded(struct sim *sim, const void *bytes, size_t size)
{
        struct guard *guard = allocate(sizeof(*guard) + size);
        guard->size = size;
        memcpy(guard->bytes, bytes, size);
        list_push_back(&sim->guards, &guard->link);
        return span_of(guard->bytes, size);
}

static void guards_free(struct list *guards)
{
        list_for_each(guards, link) free(list_entry(link, struct guard, link));
        list_init(guards);
}

/* What was borrowed until this io_poll() becomes garbage. With AddressSanitizer it is freed at once; without, it stays
 * garbage for one more turn instead of becoming somebody's memory again. */
static void guards_spoil(struct sim *sim)
{
        guards_free(&sim->stale);
        list_for_each(&sim->guards, link)
        {
                struct guard *guard = list_entry(link, struct guard, link);
                memset(guard->bytes, SCRIBBLE, guard->size);
        }
        list_splice_back(&sim->stale, &sim->guards);
        if (SIM_FREES_STALE_SPANS)
                guards_free(&sim->stale);
}

static bool has_releases(const struct sim_peer *peer)
{
        if (peer->sim->sim.mode == SIM_KERNEL)
                return peer->release_due;
        return peer->lent_bytes > 0 && (peer->release_rest || peer->una > peer->told);
}

static bool has_received(const struct sim_peer *peer)
{
        return peer->received.size > 0 && !peer->paused && !peer->held && !peer->closing;
}

static bool has_ended(const struct sim_peer *peer)
{
        if (peer->break_told || peer->closing || peer->connect_error != 0)
                return false;
        if (peer->broken)
                return peer->paused ? !peer->break_waits : peer->received.size == 0;
        return peer->fin_received && !peer->end_told && peer->received.size == 0 && !peer->paused;
}

static bool has_closed(const struct sim_peer *peer)
{
        return peer->close_due && peer->lent_bytes == 0 && !peer->dead;
}

static bool has_news(const struct sim_peer *peer)
{
        return peer->accept_due || peer->connect_due || peer->writable_due || has_releases(peer) ||
               has_received(peer) || has_ended(peer) || has_closed(peer);
}

static void tell_opened(struct batch *batch, struct sim_peer *peer)
{
        struct sim *sim = batch->sim;
        if (batch_is_full(batch))
                return;
        if (peer->accept_due) {
                char text[IO_ADDRESS_BYTES_MAX];
                int size = snprintf(text, sizeof(text), "10.%u.%u.%u:%u", peer->number >> 16 & 255,
                                    peer->number >> 8 & 255, peer->number & 255, 1024 + peer->number % 60000);
                peer->accept_due = false;
                peer->open = true;
                sim->io.statistics.accepts++;
                tell(batch, peer,
                     (struct io_event){.kind = IO_ACCEPTED,
                                       .id = peer->id,
                                       .listener = peer->listener,
                                       .span = guarded(sim, text, (size_t)size)});
        } else if (peer->connect_due) {
                peer->connect_due = false;
                if (peer->closing)
                        return;
                peer->open = true;
                tell(batch, peer,
                     (struct io_event){.kind = IO_CONNECTED, .id = peer->id, .error = peer->connect_error});
        }
}

static void tell_released(struct batch *batch, struct sim_peer *peer)
{
        struct sim *sim = batch->sim;
        while (has_releases(peer) && !batch_is_full(batch)) {
                size_t bytes, sent;
                if (sim->sim.mode == SIM_KERNEL) {
                        bytes = peer->lent_bytes;
                        sent = peer->release_sent;
                        peer->release_due = false;
                } else {
                        sent = peer->una > peer->told ? peer->una - peer->told : 0;
                        bytes = peer->release_rest ? peer->lent_bytes : sent;
                        if (sent > 0 && chance(sim, sim->sim.split))
                                bytes = sent = 1 + draw(sim, sent);
                        else if (sent > 0 && peer->release_rest && coin(sim))
                                bytes = sent;
                        peer->told += bytes;
                }
                sim->io.statistics.bytes_sent += sent;
                uint32_t sends = lent_give(peer, bytes);
                tell(batch, peer,
                     (struct io_event){
                             .kind = IO_RELEASED, .id = peer->id, .bytes = bytes, .sent = sent, .sends = sends});
                if (sent < bytes)
                        peer->blocked = true;
                try_closed(peer);
                if (!peer->release_rest && coin(sim))
                        break;
        }
        if (peer->writable_due && !has_releases(peer) && !batch_is_full(batch)) {
                peer->writable_due = false;
                peer->blocked = false;
                tell(batch, peer, (struct io_event){.kind = IO_WRITABLE, .id = peer->id});
        }
}

static void tell_received(struct batch *batch, struct sim_peer *peer)
{
        struct sim *sim = batch->sim;
        bool again = true;
        while (again && has_received(peer) && !batch_is_full(batch)) {
                size_t max = sim->settings.receive_buffer_bytes;
                size_t size = peer->received.size < max ? peer->received.size : max;
                again = false;
                if (chance(sim, sim->sim.split)) {
                        size = 1 + draw(sim, size);
                        again = coin(sim);
                }
                struct span span = guarded(sim, peer->received.data + peer->received.start, size);
                bytes_drop(&peer->received, size);
                sim->io.statistics.receives++;
                sim->io.statistics.bytes_received += size;
                tell(batch, peer,
                     (struct io_event){
                             .kind = IO_RECEIVED, .id = peer->id, .span = span, .more = peer->received.size > 0});
                if (!peer->pump_set) {
                        peer->pump_set = true;
                        happen_in(peer, H_PUMP_IN, latency_ns(sim), 0, 0);
                }
        }
}

static void tell_ended(struct batch *batch, struct sim_peer *peer)
{
        if (!has_ended(peer) || batch_is_full(batch))
                return;
        peer->end_told = true;
        peer->break_told = peer->broken;
        bytes_clear(&peer->received);
        tell(batch, peer, (struct io_event){.kind = IO_ENDED, .id = peer->id, .error = peer->broken ? peer->error : 0});
}

static void tell_closed(struct batch *batch, struct sim_peer *peer)
{
        if (!has_closed(peer) || batch_is_full(batch))
                return;
        peer->dead = true;
        slot_give(batch->sim, peer->id);
        tell(batch, peer, (struct io_event){.kind = IO_CLOSED, .id = peer->id});
}

static void tell_rest(struct batch *batch, struct sim_peer *peer)
{
        tell_opened(batch, peer);
        if (peer->sim->sim.mode == SIM_TCP && coin(peer->sim))
                tell_released(batch, peer);
        if (peer->open) {
                tell_received(batch, peer);
                tell_ended(batch, peer);
        }
        if (peer->sim->sim.mode == SIM_TCP)
                tell_released(batch, peer);
        tell_closed(batch, peer);
}

static void tell_datagrams(struct batch *batch)
{
        struct sim *sim = batch->sim;
        list_for_each(&sim->sockets, link)
        {
                struct socket *socket = list_entry(link, struct socket, link);
                list_for_each(&socket->arrived, datagram_link)
                {
                        struct datagram *datagram = list_entry(datagram_link, struct datagram, link);
                        if (batch_is_full(batch))
                                return;
                        struct span from = guarded(sim, &datagram->address, sizeof(datagram->address));
                        list_remove(&datagram->link);
                        tell(batch, NULL,
                             (struct io_event){.kind = IO_DATAGRAM,
                                               .id = socket->id,
                                               .span = guarded(sim, datagram->bytes, datagram->size),
                                               .from = (const struct io_address *)(const void *)from.bytes});
                        free(datagram);
                }
                if (socket->closing && !batch_is_full(batch)) {
                        slot_give(sim, socket->id);
                        list_remove(&socket->link);
                        tell(batch, NULL, (struct io_event){.kind = IO_CLOSED, .id = socket->id});
                        free(socket);
                }
        }
}

/* Fills the batch in an order drawn by chance. SIM_KERNEL tells all releases before all else, as io.h says. */
static void tell_all(struct batch *batch)
{
        struct sim *sim = batch->sim;
        size_t count = 0;
        list_for_each(&sim->ready, link) count++;
        struct sim_peer **peers = allocate((count + 1) * sizeof(struct sim_peer *));
        count = 0;
        list_for_each(&sim->ready, link) peers[count++] = list_entry(link, struct sim_peer, ready);
        for (size_t i = count; i > 1; i--) {
                size_t other = draw(sim, i);
                struct sim_peer *swap = peers[i - 1];
                peers[i - 1] = peers[other];
                peers[other] = swap;
        }
        if (sim->woken && !batch_is_full(batch)) {
                sim->woken = false;
                tell(batch, NULL, (struct io_event){.kind = IO_WOKEN});
        }
        if (sim->sim.mode == SIM_KERNEL)
                for (size_t i = 0; i < count; i++)
                        tell_released(batch, peers[i]);
        tell_datagrams(batch);
        for (size_t i = 0; i < count; i++)
                tell_rest(batch, peers[i]);
        for (size_t i = 0; i < count; i++)
                if (!has_news(peers[i]))
                        list_remove(&peers[i]->ready);
        free(peers);
}

static bool anything_to_tell(struct sim *sim)
{
        if (sim->woken)
                return true;
        list_for_each(&sim->ready, link)
        {
                if (has_news(list_entry(link, struct sim_peer, ready)))
                        return true;
                list_remove(link);
        }
        list_for_each(&sim->sockets, link)
        {
                struct socket *socket = list_entry(link, struct socket, link);
                if (socket->closing || !list_is_empty(&socket->arrived))
                        return true;
        }
        return false;
}

/* ---- the operations ---- */

static int operation_poll(struct io *io, struct io_event *events, int events_max, uint64_t deadline_ns)
{
        struct sim *sim = sim_of(io);
        struct batch batch = {.sim = sim, .events = events, .max = events_max};
        assert(events_max >= 64);
        step(sim, "io_poll", NULL, deadline_ns, (uint64_t)events_max);
        io->statistics.polls++;
        sim->idle = false;
        guards_spoil(sim);
        if (sim->sim.check_always)
                lent_check_all(sim, "io_poll");
        while (!list_is_empty(&sim->handouts)) {
                struct sim_peer *peer = list_entry(sim->handouts.next, struct sim_peer, handout);
                list_remove(&peer->handout);
                hand_out(peer);
        }
        while (!list_is_empty(&sim->closes)) {
                struct sim_peer *peer = list_entry(sim->closes.next, struct sim_peer, closes);
                list_remove(&peer->closes);
                begin_close(peer);
        }
        /* A turn takes time, so that polling with deadline 0 gets somewhere. */
        uint64_t turn_ns = sim->sim.turn_min_ns + draw(sim, sim->sim.turn_max_ns - sim->sim.turn_min_ns + 1);
        uint64_t now_ns = io->now_ns + turn_ns;
        while (sim->heap_count > 0 && sim->heap[0].at_ns <= now_ns)
                happen(sim);
        io->now_ns = now_ns;
        while (!anything_to_tell(sim) && sim->heap_count > 0 && sim->heap[0].at_ns <= deadline_ns) {
                uint64_t at_ns = sim->heap[0].at_ns;
                while (sim->heap_count > 0 && sim->heap[0].at_ns <= at_ns)
                        happen(sim);
        }
        if (anything_to_tell(sim))
                tell_all(&batch);
        else if (deadline_ns == UINT64_MAX)
                sim->idle = true;
        else if (deadline_ns > io->now_ns)
                io->now_ns = deadline_ns;
        return batch.count;
}

static void operation_send(struct io *io, io_id id, const struct span *pieces, size_t pieces_count)
{
        struct sim *sim = sim_of(io);
        struct slot *slot = slot_find(sim, id, "io_send");
        if (slot == NULL)
                return;
        struct sim_peer *peer = slot->peer;
        if (peer == NULL)
                fail(sim, NULL, "io_send to a datagram socket");
        if (pieces_count < 1 || pieces_count > IO_PIECES_MAX)
                fail(sim, peer, "io_send with %zu pieces (1 .. %d)", pieces_count, IO_PIECES_MAX);
        size_t size = 0;
        for (size_t i = 0; i < pieces_count; i++) {
                if (pieces[i].size == 0 || pieces[i].bytes == NULL)
                        fail(sim, peer, "io_send with an empty piece (%zu of %zu)", i, pieces_count);
                size += pieces[i].size;
        }
        if (!peer->open || peer->connect_error != 0)
                fail(sim, peer, "io_send on a connection that is not open");
        if (peer->closing)
                fail(sim, peer, "io_send after io_close");
        if (peer->shut)
                fail(sim, peer, "io_send after io_shutdown");
        if (peer->blocked && !peer->break_told)
                fail(sim, peer, "io_send between a short IO_RELEASED and its IO_WRITABLE");
        if (peer->sends_count >= io->traits.sends_max)
                fail(sim, peer, "io_send with %u sends unreleased (at most %u)", peer->sends_count,
                     io->traits.sends_max);
        if (size > io->traits.lent_bytes_max || peer->lent_bytes > io->traits.lent_bytes_max - size)
                fail(sim, peer, "io_send of %zu bytes with %zu lent (at most %zu)", size, peer->lent_bytes,
                     io->traits.lent_bytes_max);

        struct lent *lent = allocate(sizeof(*lent) + size);
        *lent = (struct lent){.pieces_count = pieces_count, .size = size};
        uint8_t *copy = lent->copy;
        for (size_t i = 0; i < pieces_count; i++) {
                lent->pieces[i] = pieces[i];
                copy = span_copy(copy, pieces[i]);
        }
        list_push_back(&peer->lent, &lent->link);
        peer->lent_bytes += size;
        sim->lent_bytes += size;
        peer->sends_count++;
        io->statistics.sends++;
        step(sim, "io_send", peer, size, pieces_count); /* its bytes enter the hash when they arrive */
        if (sim->sim.mode == SIM_KERNEL) {
                peer->queued = lent;
                list_push_back(&sim->handouts, &peer->handout);
                return;
        }
        peer->end += size;
        if (!peer->broken)
                set_transmit(peer);
        else
                happen_in(peer, H_RELEASE_REST, latency_ns(sim), 0, 0);
}

static void operation_pause(struct io *io, io_id id, bool paused)
{
        struct sim *sim = sim_of(io);
        struct slot *slot = slot_find(sim, id, paused ? "io_pause" : "io_resume");
        if (slot == NULL || slot->peer == NULL)
                return;
        step(sim, paused ? "io_pause" : "io_resume", slot->peer, 0, 0);
        slot->peer->paused = paused;
        mark_ready(slot->peer);
}

static void operation_shutdown(struct io *io, io_id id)
{
        struct sim *sim = sim_of(io);
        struct slot *slot = slot_find(sim, id, "io_shutdown");
        if (slot == NULL || slot->peer == NULL)
                return;
        step(sim, "io_shutdown", slot->peer, 0, 0);
        slot->peer->shut = true;
        set_transmit(slot->peer);
}

static void operation_close(struct io *io, io_id id, bool reset)
{
        struct sim *sim = sim_of(io);
        struct slot *slot = slot_find(sim, id, "io_close");
        if (slot == NULL)
                return;
        struct sim_peer *peer = slot->peer;
        step(sim, "io_close", peer, reset, id);
        if (peer == NULL) {
                slot->socket->closing = true;
                list_for_each(&slot->socket->arrived, link) free(list_entry(link, struct datagram, link));
                list_init(&slot->socket->arrived);
                return;
        }
        peer->closing = true;
        peer->close_reset |= reset;
        if (!list_is_linked(&peer->closes))
                list_push_back(&sim->closes, &peer->closes);
}

static struct sim_peer *peer_new(struct sim *sim)
{
        struct sim_peer *peer = allocate(sizeof(*peer));
        *peer = (struct sim_peer){.sim = sim, .number = ++sim->peers_count, .limit = sim->sim.window_bytes};
        list_init(&peer->all);
        list_init(&peer->ready);
        list_init(&peer->handout);
        list_init(&peer->closes);
        list_init(&peer->answered);
        list_init(&peer->lent);
        list_push_back(&sim->peers, &peer->all);
        return peer;
}

static void peer_free(struct sim_peer *peer)
{
        list_for_each(&peer->lent, link) free(list_entry(link, struct lent, link));
        bytes_clear(&peer->socket);
        bytes_clear(&peer->received);
        bytes_clear(&peer->wire_out);
        bytes_clear(&peer->wire_in);
        bytes_clear(&peer->outbox);
        bytes_clear(&peer->window);
        bytes_clear(&peer->inbox);
        free(peer);
}

/* Any text is an address; "HOST:0" gets a made-up port, so the bound one differs from it. 0 or -errno. */
static int bind_text(struct sim *sim, const char *address, char bound[IO_ADDRESS_BYTES_MAX])
{
        size_t size = strlen(address);
        if (size == 0 || size > IO_ADDRESS_BYTES_MAX - 8)
                return -EINVAL;
        if (size > 2 && strcmp(address + size - 2, ":0") == 0)
                snprintf(bound, IO_ADDRESS_BYTES_MAX, "%.*s:%u", (int)(size - 2), address, 40000 + sim->ports_count++);
        else
                snprintf(bound, IO_ADDRESS_BYTES_MAX, "%s", address);
        return 0;
}

static bool has_address(const struct list *rows, const char *text)
{
        list_for_each(rows, link) if (strcmp(list_entry(link, struct address_row, link)->text, text) == 0) return true;
        return false;
}

static int operation_listen(struct io *io, const char *address, uint32_t listener, char bound[IO_ADDRESS_BYTES_MAX])
{
        struct sim *sim = sim_of(io);
        int error = bind_text(sim, address, bound);
        if (error != 0)
                return error;
        if (has_address(&sim->listeners, bound))
                return -EADDRINUSE;
        struct address_row *row = allocate(sizeof(*row));
        row->listener = listener;
        memcpy(row->text, bound, IO_ADDRESS_BYTES_MAX);
        list_push_back(&sim->listeners, &row->link);
        step(sim, "io_listen", NULL, listener, 0);
        return 0;
}

static void rows_free(struct list *rows)
{
        list_for_each(rows, link) free(list_entry(link, struct address_row, link));
        list_init(rows);
}

static void operation_stop_listening(struct io *io)
{
        step(sim_of(io), "io_stop_listening", NULL, 0, 0);
        rows_free(&sim_of(io)->listeners);
}

static int operation_connect(struct io *io, const char *address, io_id *id)
{
        struct sim *sim = sim_of(io);
        if (address[0] == '\0' || strlen(address) >= IO_ADDRESS_BYTES_MAX)
                return -EINVAL;
        struct slot *slot = slot_take(sim, id);
        if (slot == NULL)
                return -EMFILE;
        struct sim_peer *peer = peer_new(sim);
        peer->id = *id;
        slot->peer = peer;
        step(sim, "io_connect", peer, 0, 0);
        happen_to_engine(peer, H_CONNECT, has_address(&sim->answers, address));
        return 0;
}

static void operation_wake(struct io *io)
{
        step(sim_of(io), "io_wake", NULL, 0, 0);
        sim_of(io)->woken = true;
}

static int operation_datagram_open(struct io *io, const char *address, io_id *id, char bound[IO_ADDRESS_BYTES_MAX])
{
        struct sim *sim = sim_of(io);
        int error = bind_text(sim, address, bound);
        if (error != 0)
                return error;
        struct slot *slot = slot_take(sim, id);
        if (slot == NULL)
                return -EMFILE;
        struct socket *socket = allocate(sizeof(*socket));
        *socket = (struct socket){.id = *id};
        list_init(&socket->arrived);
        list_push_back(&sim->sockets, &socket->link);
        slot->socket = socket;
        step(sim, "io_datagram_open", NULL, *id, 0);
        return 0;
}

static struct datagram *datagram_new(io_id id, const struct io_address *address, struct span bytes)
{
        struct datagram *datagram = allocate(sizeof(*datagram) + bytes.size);
        *datagram = (struct datagram){.id = id, .address = *address, .size = bytes.size};
        list_init(&datagram->link);
        span_copy(datagram->bytes, bytes);
        return datagram;
}

static bool operation_datagram_send(struct io *io, io_id id, const struct io_address *to, struct span bytes)
{
        struct sim *sim = sim_of(io);
        struct slot *slot = slot_find(sim, id, "io_datagram_send");
        if (slot == NULL || slot->socket == NULL || slot->socket->closing)
                return false;
        step(sim, "io_datagram_send", NULL, id, bytes.size);
        hash_bytes(sim, bytes.bytes, bytes.size);
        if (chance(sim, sim->sim.short_send))
                return false;
        if (!chance(sim, sim->sim.datagram_loss))
                heap_push(sim, (struct happening){.at_ns = sim->io.now_ns + latency_ns(sim),
                                                  .kind = H_DATAGRAM_OUT,
                                                  .datagram = datagram_new(id, to, bytes)});
        return true;
}

static void datagrams_free(struct list *datagrams)
{
        list_for_each(datagrams, link) free(list_entry(link, struct datagram, link));
}

static void operation_stop(struct io *io)
{
        struct sim *sim = sim_of(io);
        lent_check_all(sim, "io_stop");
        list_for_each(&sim->peers, link) peer_free(list_entry(link, struct sim_peer, all));
        list_for_each(&sim->sockets, link)
        {
                struct socket *socket = list_entry(link, struct socket, link);
                datagrams_free(&socket->arrived);
                free(socket);
        }
        datagrams_free(&sim->datagrams_out);
        for (size_t i = 0; i < sim->heap_count; i++)
                free(sim->heap[i].datagram);
        rows_free(&sim->listeners);
        rows_free(&sim->answers);
        guards_free(&sim->guards);
        guards_free(&sim->stale);
        free(sim->heap);
        free(sim->slots);
        free(sim);
}

static uint64_t sim_clock(const struct io *io)
{
        return io->now_ns;
}

static const struct io_operations operations = {
        .stop = operation_stop,
        .listen = operation_listen,
        .stop_listening = operation_stop_listening,
        .connect = operation_connect,
        .poll = operation_poll,
        .send = operation_send,
        .pause = operation_pause,
        .shutdown = operation_shutdown,
        .close = operation_close,
        .wake = operation_wake,
        .datagram_open = operation_datagram_open,
        .datagram_send = operation_datagram_send,
        .clock = sim_clock,
};

/* ---- settings and start ---- */

struct sim_settings sim_settings_calm(uint64_t seed, enum sim_mode mode)
{
        return (struct sim_settings){
                .seed = seed,
                .mode = mode,
                .latency_min_ns = 20 * NS_PER_US,
                .latency_max_ns = 60 * NS_PER_US,
                .turn_min_ns = 500,
                .turn_max_ns = 5000,
                .window_bytes = 65536,
                .send_buffer_bytes = 65536,
                .segment_bytes_max = 16384,
                .sends_max = 8,
                .lent_bytes_max = 256 * 1024,
                .stall_max_ns = 10 * NS_PER_MS,
                .linger_max_ns = 1 * NS_PER_S,
        };
}

/* Absent, rare or frequent: a fault that is always there hides what happens without it. */
static uint16_t rough_chance(struct random *random, uint16_t rare_max, uint16_t frequent_max)
{
        switch (random_below(random, 3)) {
        case 0:
                return 0;
        case 1:
                return (uint16_t)(1 + random_below(random, rare_max));
        default:
                return (uint16_t)(1 + random_below(random, frequent_max));
        }
}

static size_t rough_size(struct random *random, unsigned bits_min, unsigned bits_max)
{
        size_t size = (size_t)1 << (bits_min + random_below(random, bits_max - bits_min + 1));
        return size + random_below(random, size);
}

struct sim_settings sim_settings_rough(uint64_t seed, enum sim_mode mode)
{
        struct sim_settings settings = sim_settings_calm(seed, mode);
        struct random random;
        random_init(&random, ~seed); /* not the sequence that the simulation itself will draw */
        settings.latency_min_ns = 1 + random_below(&random, 100 * NS_PER_US);
        settings.latency_max_ns = settings.latency_min_ns + rough_size(&random, 10, 22);
        settings.turn_max_ns = settings.turn_min_ns + rough_size(&random, 10, 17);
        settings.window_bytes = rough_size(&random, 9, 17);
        settings.send_buffer_bytes = rough_size(&random, 9, 17);
        settings.segment_bytes_max = rough_size(&random, 6, 15);
        settings.sends_max = 1 + (uint32_t)random_below(&random, 16);
        settings.lent_bytes_max = rough_size(&random, 14, 17);
        settings.short_send = rough_chance(&random, 32, 512);
        settings.late_release = rough_chance(&random, 32, 512);
        settings.retransmit = rough_chance(&random, 32, 512);
        settings.split = rough_chance(&random, 32, 512);
        settings.coalesce = rough_chance(&random, 32, 512);
        settings.reset = rough_chance(&random, 1, 4);
        settings.stall = rough_chance(&random, 4, 64);
        settings.datagram_loss = rough_chance(&random, 32, 512);
        settings.stall_max_ns = rough_size(&random, 16, 26);
        settings.linger_max_ns = rough_size(&random, 16, 30);
        return settings;
}

int sim_start(struct io **io, const struct io_settings *settings, const struct sim_settings *sim_settings)
{
        struct sim *sim = calloc(1, sizeof(*sim));
        *io = NULL;
        if (sim == NULL)
                return -ENOMEM;
        sim->settings = *settings;
        sim->sim = *sim_settings;
        if (sim->settings.conns_max == 0)
                sim->settings.conns_max = 1024;
        if (sim->settings.receive_buffer_bytes == 0)
                sim->settings.receive_buffer_bytes = 65536;
        if (sim->settings.send_buffer_bytes != 0)
                sim->sim.send_buffer_bytes = sim->settings.send_buffer_bytes;
        assert(sim->sim.latency_max_ns >= sim->sim.latency_min_ns);
        assert(sim->sim.turn_max_ns >= sim->sim.turn_min_ns);
        assert(sim->sim.window_bytes > 0 && sim->sim.send_buffer_bytes > 0 && sim->sim.segment_bytes_max > 0);
        assert(sim->sim.mode == SIM_KERNEL || (sim->sim.sends_max > 0 && sim->sim.lent_bytes_max > 0));
        sim->slots = calloc(sim->settings.conns_max, sizeof(*sim->slots));
        if (sim->slots == NULL) {
                free(sim);
                return -ENOMEM;
        }
        sim->slot_free = SLOT_NONE;
        random_init(&sim->random, sim->sim.seed);
        hash_word(sim, sim->sim.seed);
        struct list *lists[] = {&sim->peers,    &sim->ready,   &sim->handouts,     &sim->closes,
                                &sim->answered, &sim->sockets, &sim->listeners,    &sim->answers,
                                &sim->guards,   &sim->stale,   &sim->datagrams_out};
        for (size_t i = 0; i < array_count(lists); i++)
                list_init(lists[i]);
        sim->io.operations = &operations;
        sim->io.traits = (struct io_traits){
                .name = "sim",
                .reason = "",
                .sends_max = sim->sim.mode == SIM_TCP ? sim->sim.sends_max : 1,
                .lent_bytes_max = sim->sim.mode == SIM_TCP ? sim->sim.lent_bytes_max : SIZE_MAX,
        };
        sim->io.now_ns = START_NS;
        *io = &sim->io;
        return 0;
}

/* ---- the world's side ---- */

bool sim_is_idle(const struct io *io)
{
        return sim_of_const(io)->idle;
}

uint64_t sim_next_ns(const struct io *io)
{
        const struct sim *sim = sim_of_const(io);
        return sim->heap_count > 0 ? sim->heap[0].at_ns : UINT64_MAX;
}

uint64_t sim_trace_hash(const struct io *io)
{
        return sim_of_const(io)->hash;
}

uint64_t sim_steps(const struct io *io)
{
        return sim_of_const(io)->steps;
}

size_t sim_lent_bytes(const struct io *io)
{
        return sim_of_const(io)->lent_bytes;
}

size_t sim_ids_count(const struct io *io)
{
        return sim_of_const(io)->ids_count;
}

void sim_call_at(struct io *io, uint64_t at_ns, void (*call)(void *context), void *context)
{
        heap_push(sim_of(io), (struct happening){.at_ns = at_ns, .kind = H_CALL, .call = call, .context = context});
}

struct sim_peer *sim_connect(struct io *io, uint32_t listener)
{
        struct sim_peer *peer = peer_new(sim_of(io));
        peer->listener = listener;
        step(peer->sim, "sim_connect", peer, listener, 0);
        happen_to_engine(peer, H_ACCEPT, 0);
        return peer;
}

void sim_answer(struct io *io, const char *address)
{
        struct address_row *row = allocate(sizeof(*row));
        assert(strlen(address) < IO_ADDRESS_BYTES_MAX);
        strcpy(row->text, address);
        list_push_back(&sim_of(io)->answers, &row->link);
}

struct sim_peer *sim_answered(struct io *io)
{
        struct sim *sim = sim_of(io);
        if (list_is_empty(&sim->answered))
                return NULL;
        struct sim_peer *peer = list_entry(sim->answered.next, struct sim_peer, answered);
        list_remove(&peer->answered);
        return peer;
}

void sim_peer_set_context(struct sim_peer *peer, void *context)
{
        peer->context = context;
}

void *sim_peer_context(const struct sim_peer *peer)
{
        return peer->context;
}

io_id sim_peer_id(const struct sim_peer *peer)
{
        return peer->id;
}

void sim_peer_write(struct sim_peer *peer, struct span bytes)
{
        assert(!peer->peer_shut);
        step(peer->sim, "sim_peer_write", peer, bytes.size, 0);
        if (peer->peer_broken)
                return;
        bytes_push(&peer->outbox, bytes.bytes, bytes.size);
        pump_in(peer);
}

size_t sim_peer_unsent_bytes(const struct sim_peer *peer)
{
        return peer->outbox.size;
}

size_t sim_peer_read(struct sim_peer *peer, void *bytes, size_t size)
{
        size_t count = peer->inbox.size < size ? peer->inbox.size : size;
        if (count == 0)
                return 0;
        memcpy(bytes, peer->inbox.data + peer->inbox.start, count);
        bytes_drop(&peer->inbox, count);
        return count;
}

size_t sim_peer_readable_bytes(const struct sim_peer *peer)
{
        return peer->inbox.size;
}

void sim_peer_stall(struct sim_peer *peer)
{
        step(peer->sim, "sim_peer_stall", peer, 0, 0);
        peer->stalled = true;
        peer->stall_number++;
}

void sim_peer_resume(struct sim_peer *peer)
{
        step(peer->sim, "sim_peer_resume", peer, peer->window.size, 0);
        peer->stalled = false;
        peer->stall_number++;
        if (peer->window.size == 0)
                return;
        bytes_move(&peer->inbox, &peer->window, peer->window.size);
        if (!peer->peer_broken)
                acknowledge(peer); /* the window update */
}

bool sim_peer_is_stalled(const struct sim_peer *peer)
{
        return peer->stalled;
}

void sim_peer_shutdown(struct sim_peer *peer)
{
        step(peer->sim, "sim_peer_shutdown", peer, 0, 0);
        peer->peer_shut = true;
        pump_in(peer);
}

void sim_peer_close(struct sim_peer *peer)
{
        /* As Linux: closing with bytes unread is a reset. */
        if (peer->window.size > 0) {
                sim_peer_reset(peer);
                return;
        }
        step(peer->sim, "sim_peer_close", peer, 0, 0);
        peer->peer_closed = true;
        peer->peer_shut = true;
        pump_in(peer);
}

void sim_peer_reset(struct sim_peer *peer)
{
        if (peer->peer_broken)
                return;
        step(peer->sim, "sim_peer_reset", peer, 0, 0);
        peer->peer_broken = true;
        bytes_clear(&peer->outbox);
        happen_to_engine(peer, H_RESET_IN, 0);
}

bool sim_peer_is_ended(const struct sim_peer *peer)
{
        return peer->fin_arrived && peer->window.size == 0;
}

bool sim_peer_is_broken(const struct sim_peer *peer)
{
        return peer->peer_broken;
}

bool sim_peer_is_closed(const struct sim_peer *peer)
{
        return peer->dead;
}

/* "10.0.0.1:99" or "[fd00::1]:99": the world's own constants, so anything else is its mistake. */
static struct io_address address_of_text(const char *text)
{
        struct io_address address = {.size = 0};
        char host[IO_ADDRESS_BYTES_MAX];
        const char *colon = strrchr(text, ':');
        assert(colon != NULL && (size_t)(colon - text) < sizeof(host));
        bool six = text[0] == '[' && colon[-1] == ']';
        size_t size = (size_t)(colon - text) - (six ? 2 : 0);
        memcpy(host, text + six, size);
        host[size] = '\0';
        uint16_t port = htons((uint16_t)atoi(colon + 1));
        if (six) {
                struct sockaddr_in6 socket = {.sin6_family = AF_INET6, .sin6_port = port};
                assert(inet_pton(AF_INET6, host, &socket.sin6_addr) == 1);
                address.size = sizeof(socket);
                memcpy(address.bytes, &socket, sizeof(socket));
        } else {
                struct sockaddr_in socket = {.sin_family = AF_INET, .sin_port = port};
                assert(inet_pton(AF_INET, host, &socket.sin_addr) == 1);
                address.size = sizeof(socket);
                memcpy(address.bytes, &socket, sizeof(socket));
        }
        return address;
}

void sim_datagram_write(struct io *io, io_id id, const char *from, struct span datagram)
{
        struct sim *sim = sim_of(io);
        struct io_address address = address_of_text(from);
        step(sim, "sim_datagram_write", NULL, id, datagram.size);
        if (!chance(sim, sim->sim.datagram_loss))
                heap_push(sim, (struct happening){.at_ns = sim->io.now_ns + latency_ns(sim),
                                                  .kind = H_DATAGRAM_IN,
                                                  .datagram = datagram_new(id, &address, datagram)});
}

ssize_t sim_datagram_read(struct io *io, void *bytes, size_t size, char to[IO_ADDRESS_BYTES_MAX])
{
        struct sim *sim = sim_of(io);
        if (list_is_empty(&sim->datagrams_out))
                return -1;
        struct datagram *datagram = list_entry(sim->datagrams_out.next, struct datagram, link);
        ssize_t datagram_size = (ssize_t)datagram->size;
        list_remove(&datagram->link);
        if (size > 0 && datagram->size > 0)
                memcpy(bytes, datagram->bytes, datagram->size < size ? datagram->size : size);
        io_address_text(&datagram->address, to);
        free(datagram);
        return datagram_size;
}
