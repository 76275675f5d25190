/* lane: one connection's way out.
 *
 *      first ─▶ closed span ─▶ closed span ─▶ … last      then the open span: follows its cohort's head
 *               │ private        │ rest of a cohort           ▲ place … head
 *
 * A closed span is a stretch of a stream with a fixed end: private operations (replies, events of its private
 * subscriptions) in the lane's own stream, or what was left of the cohort when something private had to come behind it.
 * The open span has no end. What leaves is exactly: closed spans in order, then the open one. So a PONG passes between
 * two events, and never inside one.
 *
 * `lanes` is what all lanes of one reactor share. Everything here belongs to that reactor. */
#ifndef SPATE_ENGINE_LANE_H
#define SPATE_ENGINE_LANE_H

#include "engine/base/pool.h"
#include "engine/stream.h"
#include "io/io.h"

struct cohort;

/* Beyond this many closed spans a lane is better off outside of any cohort until it has drained. */
#define LANE_SPANS_CROWDED 16

enum lane_cut {
        LANE_NOT_CUT,
        LANE_CUT_SLOW,   /* fell further behind than lag_bytes_max, or took nothing for stall_ns_max */
        LANE_CUT_MEMORY, /* pinned the memory that others needed */
};

struct lane_span {
        struct lane_span *next;
        struct cohort *cohort;  /* whose stream it is a part of; NULL: the lane's own */
        struct place place;     /* pinned */
        uint64_t bytes;         /* from place to the span's end */
        uint64_t end_operation; /* number of the operation behind the span's last */
};

struct lane {
        struct list link;         /* in its cohort's idle or behind list */
        struct list ready_link;   /* in lanes->ready: has something to send and may; or in lanes->cut */
        struct list waiting_link; /* in lanes->waiting: the network has some of it, or takes nothing */
        struct lane_span *first, *last;
        struct cohort *cohort; /* the open span's; NULL: none */
        struct place place;    /* start of the open span while the lane is in the behind list */
        io_id id;
        size_t lent_bytes;   /* handed to io_send and not released yet */
        uint64_t waiting_ns; /* in lanes->waiting: when the network last took something */
        struct stream own;
        struct lane_span spare; /* for a cut, which must not fail when the pool of spans is empty */
        uint16_t spans_count;
        uint8_t sends_count; /* io_send calls not released yet */
        uint8_t cut;         /* enum lane_cut */
        bool idle;           /* in the idle list: nothing of the open span is needed before the cohort's idle place */
        bool spare_used;
        bool blocked; /* the network takes nothing until its IO_WRITABLE */
        bool ended;   /* takes no more sends: shut down or closed */
};

struct lanes {
        struct io *io;
        struct buddy memory; /* every chunk of this reactor */
        struct pool spans;
        struct list dirty;           /* cohorts with bytes that nobody was handed yet */
        struct list ready;           /* lanes */
        struct list cut;             /* lanes cut off and not yet taken up by their peers */
        struct list waiting;         /* lanes, the longest waiting first */
        uint64_t lag_bytes_max;      /* how far behind a lane may fall */
        uint64_t stall_ns_max;       /* how long the network may take nothing at all from a lane */
        uint64_t operations_dropped; /* of lanes cut, shed or closed; sums up since start */
        uint64_t shed_count;         /* lanes cut for memory */
        /* Told when a cohort has neither members nor spans left, perhaps more than once, perhaps while it is still in
         * `dirty` or being appended to: it may be freed between two events, when it is in `dirty` no more. */
        void (*cohort_ended)(void *context, struct cohort *cohort);
        void *context;
};

/* 0 or -ENOMEM. `io` may be set later, but before the first flush. */
int lanes_init(struct lanes *lanes, size_t memory_bytes, size_t spans_max, uint64_t lag_bytes_max,
               uint64_t stall_ns_max);
/* Every lane must have been closed. Accepts a zeroed one. */
void lanes_fini(struct lanes *lanes);
/* Hands out everything that may go: dirty cohorts first, each to all its idle members, then the ready lanes. Ends a
 * turn. */
void lanes_flush(struct lanes *lanes);
static inline bool lanes_have_work(const struct lanes *lanes)
{
        return !list_is_empty(&lanes->dirty) || !list_is_empty(&lanes->ready);
}

void lane_init(struct lane *lane, io_id id);
/* Lets go of everything; nothing may be lent any more. What was not sent counts as dropped. Leaves the cohort. */
void lane_fini(struct lanes *lanes, struct lane *lane);

/* Room for one private operation of at most `bytes`. NULL: the lane is cut off, or has just been for want of memory;
 * the operation is dropped and counted. lane_commit() ends it. Nothing else may be called on the lane in between. */
uint8_t *lane_reserve(struct lanes *lanes, struct lane *lane, size_t bytes);
void lane_commit(struct lanes *lanes, struct lane *lane, size_t bytes);
/* Both in one. */
void lane_append(struct lanes *lanes, struct lane *lane, struct span operation);

/* From now on the lane gets what is appended to `cohort`; it must be in none. */
void lane_join(struct lanes *lanes, struct lane *lane, struct cohort *cohort);
/* What the cohort has for it so far stays in its way out; it gets no more. Harmless without a cohort. */
void lane_leave(struct lanes *lanes, struct lane *lane);

/* IO_RELEASED and IO_WRITABLE. */
void lane_released(struct lanes *lanes, struct lane *lane, size_t bytes, size_t sent, uint32_t sends, uint64_t now_ns);
void lane_writable(struct lanes *lanes, struct lane *lane);

/* Drops all that is not lent, but for the rest of a half-sent operation, which is copied where that can be done, so
 * that it holds no one else's memory; leaves the cohort and takes nothing more. The lane waits in lanes->cut for its
 * peer. Only the first cut of a lane counts. */
void lane_cut(struct lanes *lanes, struct lane *lane, enum lane_cut reason);
/* Cuts the lane that has waited longest for the network, and so pins the oldest bytes. false: nobody is left whose cut
 * would free any. */
bool lanes_shed(struct lanes *lanes);
/* Cuts the lanes that fell further behind than lag_bytes_max. A step per waiting lane. */
void lanes_cut_laggards(struct lanes *lanes);
/* Cuts the lanes from which the network has taken nothing for stall_ns_max. Returns when to come again, UINT64_MAX: no
 * lane is blocked. */
uint64_t lanes_cut_stalled(struct lanes *lanes, uint64_t now_ns);
/* Takes a cut lane off lanes->cut for its peer; NULL: none waits. What is left of a half-sent operation goes out with
 * the next flush. */
struct lane *lanes_take_cut(struct lanes *lanes);

/* Bytes still to be released, lent ones included. */
uint64_t lane_pending_bytes(const struct lane *lane);
static inline bool lane_is_drained(const struct lane *lane)
{
        return lane->first == NULL && (lane->cohort == NULL || lane->idle);
}

/* For cohort.c: the lane's pieces from `skip_bytes` behind its lowest needed byte on, at most `bytes_max`; returns
 * their number. */
size_t lane_gather(const struct lane *lane, size_t skip_bytes, size_t bytes_max, struct span pieces[IO_PIECES_MAX]);
void lane_mark_ready(struct lanes *lanes, struct lane *lane);
void lane_wait_for_release(struct lanes *lanes, struct lane *lane);

#endif
