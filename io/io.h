/* io: the contract between the engine and whoever moves its bytes. The same engine code runs over io_uring, epoll, a
 * simulated network (io/sim.h) and, later, DPDK with our own TCP; nothing here may be true of only one of them.
 *
 * One `struct io` per reactor; only that reactor's thread calls it, except io_wake().
 *
 *      turn:   io_poll()  →  a batch of events          what was queued goes out in this one call, sends first,
 *              io_send() … io_close() …                 receives behind them; these only queue and never fail
 *
 * Whose bytes
 *   received  the span of IO_RECEIVED or IO_DATAGRAM is borrowed until the next io_poll().
 *   lent      what io_send() was given belongs to the network until an IO_RELEASED gives it back, oldest first. It
 * means "the network no longer needs them", nothing else. A kernel backend gives all back by the end of the next
 * io_poll() (it sends with MSG_DONTWAIT and copies); our own TCP only when the peer has acknowledged.
 *
 * A connection's life
 *   IO_ACCEPTED (or IO_CONNECTED) … IO_RECEIVED* IO_RELEASED* IO_WRITABLE* … IO_ENDED? … io_close() … IO_RELEASED*
 * IO_CLOSED An id is an index and a generation; it is dead after its IO_CLOSED and is not given out again for 2^32 uses
 * of its index. A call with a dead id is ignored: events and calls may cross. */
#ifndef SPATE_IO_IO_H
#define SPATE_IO_IO_H

#include <sys/types.h>

#include "engine/base/span.h"

typedef uint64_t io_id; /* 0 is never an id */

static inline uint32_t io_id_index(io_id id)
{
        return (uint32_t)id;
}

enum io_event_kind {
        IO_ACCEPTED,  /* id; listener; span = the peer's address as text ("127.0.0.1:53412", "unix") */
        IO_CONNECTED, /* id; error = 0 or -errno: then the connection has ended, close it */
        IO_RECEIVED,  /* id; span, not empty; `more`: the source has more ready right now */
        IO_RELEASED,  /* id; bytes = how many lent bytes come back; sent = how many of these the network took; sends =
                       * how many io_send()  calls are done with by this. sent < bytes: the rest must be sent again; then
                       * nothing is lent any more and the  connection takes no io_send() until its IO_WRITABLE (or it has
                       * ended) */
        IO_WRITABLE,  /* id; after a short IO_RELEASED: sending is worth a try again. A hint: the network may take
                       * nothing once more. Each time that it does so, the next IO_WRITABLE comes later on kernel
                       * backends, by 1 ms at first and 256 ms at last (longer where thousands wait like this), until
                       * something is taken */
        IO_ENDED,    /* id; error = 0: the peer sent its end; -errno: the connection broke. No IO_RECEIVED follows. Lent
                      * bytes still come back. The engine has to call io_close(); when it goes on sending after the
                      * peer's end and the connection breaks then, a second IO_ENDED tells that */
        IO_CLOSED,   /* id; nothing is lent any more; the id is dead now */
        IO_DATAGRAM, /* id of the socket; span; from = whom it came from */
        IO_WOKEN,    /* somebody called io_wake() since the last poll */
};

#define IO_ADDRESS_BYTES_MAX 128 /* "unix:" and a path, or [IPv6%scope]:port, as text */

/* A socket address as bytes; opaque outside io. */
struct io_address {
        uint32_t size;
        uint8_t bytes[124];
};

struct io_event {
        enum io_event_kind kind;
        int32_t error;
        io_id id;
        uint32_t listener;
        uint32_t sends;
        struct span span;
        size_t bytes;
        size_t sent;
        bool more;
        const struct io_address *from; /* borrowed until the next io_poll() */
};

enum io_backend { IO_BACKEND_AUTO, IO_BACKEND_URING, IO_BACKEND_EPOLL, IO_BACKEND_SIM };

#define IO_CONNS_MAX (1u << 24)

struct io_settings {
        enum io_backend backend; /* AUTO: io_uring, or epoll where the kernel refuses it (EPERM, ENOSYS, ENOMEM …) */
        uint32_t conns_max;      /* up to IO_CONNS_MAX connections at once; one more is accepted and closed at once, and
                                    counted */
        uint32_t receive_buffer_bytes;  /* the most one IO_RECEIVED can hold; default 65536 */
        uint32_t receive_buffers_count; /* shared by all connections of this reactor; a power of two */
        uint32_t send_buffer_bytes;     /* SO_SNDBUF of every connection; 0: the kernel's own tuning */
        uint32_t entries;               /* io_uring submission entries; a power of two */
        uint32_t accepts_max;           /* connections that one io_poll() accepts; 0: as the backend thinks fit */
};

/* What the engine may ask of this backend and what it turned out to be. Set by io_start(), never changes. */
struct io_traits {
        const char *name;      /* "io_uring", "epoll", "sim" */
        const char *reason;    /* why this one and not the asked one, "" when it is the asked one */
        int reason_errno;      /* the refusal behind `reason` (positive), or 0 */
        uint32_t sends_max;    /* io_send() calls a connection may have unreleased: 1 on kernel backends */
        size_t lent_bytes_max; /* bytes a connection may have lent: SIZE_MAX on kernel backends, the extents' cap on our
                                  TCP */
};

/* One row per operation the backend would like to use: for the log, `spate status` and the documentation. */
struct io_feature {
        const char *name;     /* "multishot receive" */
        const char *kernel;   /* the first kernel that has it, "6.0" */
        const char *fallback; /* what is done without it */
        bool present;         /* probed at start, never assumed */
};

/* Counts since start; the owner's thread reads them. */
struct io_statistics {
        uint64_t polls, system_calls, sends, sends_short, bytes_sent, receives, bytes_received, accepts,
                accepts_refused, buffers_short;
        uint64_t accepts_failed; /* for want of descriptors or memory, tried again a moment later */
        int accepts_errno;       /* of the last of these */
};

struct io;

/* 0 or -errno; *io is NULL then. The settings are copied. Another thread than the reactor's may do this, and
 * io_listen(), before the reactor's first io_poll(); and io_stop() behind its last. */
int io_start(struct io **io, const struct io_settings *settings);
/* Closes everything at once; lent bytes are free afterwards. Accepts NULL. */
void io_stop(struct io *io);

const struct io_traits *io_traits(const struct io *io);
const struct io_feature *io_features(const struct io *io, size_t *count);
const struct io_statistics *io_statistics(const struct io *io);

/* Monotonic nanoseconds, read once per io_poll() (virtual time in a simulation). */
uint64_t io_now_ns(const struct io *io);
/* The same clock, read now. */
uint64_t io_clock_ns(const struct io *io);

#define IO_PIECES_MAX 16

/* Listens on "HOST:PORT", "[IPv6]:PORT" or "unix:PATH" (port 0: any free one) and accepts from then on. The bound
 * address goes to `bound` as text. `listener` is the caller's own number, told by IO_ACCEPTED. A left-over UNIX socket
 * that nobody serves is replaced. 0 or -errno (-EINVAL: not an address, -EADDRINUSE, -EACCES …). May be called on a
 * running io. */
int io_listen(struct io *io, const char *address, uint32_t listener, char bound[IO_ADDRESS_BYTES_MAX]);

enum io_sharing {
        IO_ALONE,        /* nobody else listens there, nor can */
        IO_SHARED_FIRST, /* nobody else listens there, but others of this user can join */
        IO_SHARED_JOINS, /* the address that the first one was bound to */
        IO_KEPT,         /* as IO_ALONE, and some descriptors are kept for its connections: it answers when all others
                          * are taken */
};
/* The same for several io of one process that listen at one TCP address: the kernel gives each connection to one of
 * them. That nobody else listens there is known of the first, so each of the others has to follow in this process while
 * the first goes on. -EOPNOTSUPP: a UNIX socket has one listener. */
int io_listen_shared(struct io *io, const char *address, enum io_sharing sharing, uint32_t listener,
                     char bound[IO_ADDRESS_BYTES_MAX]);
/* Accepts no more on any listener; the listening sockets close. */
void io_stop_listening(struct io *io);
/* Begins to connect; the outcome comes as IO_CONNECTED with *id. 0 or -errno (then there is no id). */
int io_connect(struct io *io, const char *address, io_id *id);

/* Hands out what is queued, then waits for events until `deadline_ns` of the monotonic clock (0: does not wait;
 * UINT64_MAX: for ever) and fills at most `events_max` (>= 64). Returns their number; 0: the deadline has come. Within
 * one batch what was sent before is released before what was received is told, on kernel backends. */
int io_poll(struct io *io, struct io_event *events, int events_max, uint64_t deadline_ns);

/* Hands out the sends that are queued, now and not in the next io_poll(), and tells only what comes back of sends at
 * once, as IO_RELEASED; what the last io_poll() lent to the caller stays good. Fills at most `events_max` (>= 64) and
 * returns their number: as many as that: there may be more. 0 on a backend whose sends come back later. */
int io_push(struct io *io, struct io_event *events, int events_max);

/* Lends `pieces_count` (1 .. IO_PIECES_MAX) pieces, none empty, to be sent in this order. The array is copied, the
 * bytes are not. Not while traits.sends_max sends are unreleased, nor past lent_bytes_max, nor between a short
 * IO_RELEASED and its IO_WRITABLE, nor after io_shutdown(). Queues only. */
void io_send(struct io *io, io_id id, const struct span *pieces, size_t pieces_count);

/* After io_pause() neither IO_RECEIVED nor IO_ENDED comes for this connection until io_resume(); the peer is held back
 * by TCP's window. A datagram socket cannot be paused. */
void io_pause(struct io *io, io_id id);
void io_resume(struct io *io, io_id id);

/* Sends the end of stream behind what was sent. Receiving goes on; IO_ENDED tells the peer's end. */
void io_shutdown(struct io *io, io_id id);
/* Gives the connection up: IO_RELEASED for what is lent, then IO_CLOSED, follow. What the network took before is still
 * delivered when `reset` is false; with `reset` the peer sees a reset. No IO_RECEIVED comes after this call. */
void io_close(struct io *io, io_id id, bool reset);

/* Makes the current or next io_poll() return with IO_WOKEN. Any thread. */
void io_wake(struct io *io);

/* A UDP socket: every datagram comes as IO_DATAGRAM. 0 or -errno. Closed with io_close(). */
int io_datagram_open(struct io *io, const char *address, io_id *id, char bound[IO_ADDRESS_BYTES_MAX]);
/* Copies and sends at once where the kernel takes it. true, or false: dropped (the caller counts it). */
bool io_datagram_send(struct io *io, io_id id, const struct io_address *to, struct span datagram);
/* The address as text. */
const char *io_address_text(const struct io_address *address, char text[IO_ADDRESS_BYTES_MAX]);

/* ---- for backends only ---- */

struct io_operations {
        void (*stop)(struct io *io);
        int (*listen)(struct io *io, const char *address, enum io_sharing sharing, uint32_t listener,
                      char bound[IO_ADDRESS_BYTES_MAX]);
        void (*stop_listening)(struct io *io);
        int (*connect)(struct io *io, const char *address, io_id *id);
        int (*poll)(struct io *io, struct io_event *events, int events_max, uint64_t deadline_ns);
        int (*push)(struct io *io, struct io_event *events, int events_max); /* NULL: 0 */
        void (*send)(struct io *io, io_id id, const struct span *pieces, size_t pieces_count);
        void (*pause)(struct io *io, io_id id, bool paused);
        void (*shutdown)(struct io *io, io_id id);
        void (*close)(struct io *io, io_id id, bool reset);
        void (*wake)(struct io *io);
        int (*datagram_open)(struct io *io, const char *address, io_id *id, char bound[IO_ADDRESS_BYTES_MAX]);
        bool (*datagram_send)(struct io *io, io_id id, const struct io_address *to, struct span datagram);
        uint64_t (*clock)(const struct io *io); /* NULL: the kernel's monotonic clock */
};

/* The first member of every backend's own struct. */
struct io {
        const struct io_operations *operations;
        struct io_traits traits;
        struct io_statistics statistics;
        const struct io_feature *features;
        size_t features_count;
        uint64_t now_ns;
};

/* -errno when the kernel refuses; *io is untouched then. */
int io_uring_start(struct io **io, const struct io_settings *settings);
int io_epoll_start(struct io **io, const struct io_settings *settings);

#endif
