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
 * A lane's account costs nothing per event of a cohort: matched and released are differences of event numbers, added up
 * when the lane comes to rest, enters another chunk or changes its spans. lane_account() tells them at any byte.
 *
 * `lanes` is what all lanes of one reactor share. Everything here belongs to that reactor. */
#ifndef SPATE_ENGINE_LANE_H
#define SPATE_ENGINE_LANE_H

#include "engine/account.h"
#include "engine/base/clock.h"
#include "engine/base/pool.h"
#include "engine/conflation.h"
#include "engine/lag.h"
#include "engine/stream.h"
#include "io/io.h"

struct cohort;

/* Beyond this many closed spans a lane is better off outside of any cohort until it has drained. */
#define LANE_SPANS_CROWDED 16

struct lane_span {
        struct lane_span *next;
        struct cohort *cohort; /* whose stream it is a part of; NULL: the lane's own */
        struct place place;    /* pinned */
        uint64_t bytes;        /* from place to the span's end */
        uint64_t begin_event;  /* number of its first event that is not in account.released yet */
        uint64_t end_event;    /* number of the event behind the span's last whole one */
};

struct lane {
        struct list link;         /* in its cohort's idle or behind list */
        struct list ready_link;   /* in lanes->ready: has something to send and may; or in lanes->cut */
        struct list waiting_link; /* in lanes->waiting or ->patient: the network has some of it, or took nothing */
        struct lane_span *first;
        io_id id;
        /* What a send of the cohort's touches stands together. */
        struct cohort *cohort; /* the open span's; NULL: none */
        struct place place;    /* start of the open span while the lane is in the behind list */
        uint64_t begin_event;  /* number of the open span's first event that is not in `account` yet */
        size_t lent_bytes;     /* handed to io_send and not released yet */
        uint16_t spans_count;
        uint8_t sends_count; /* io_send calls not released yet */
        bool idle;           /* in the idle list: nothing of the open span is needed before the cohort's idle place */
        bool blocked;        /* the network takes nothing until its IO_WRITABLE */
        bool ended;          /* takes no more sends: shut down or closed */
        bool is_cut;
        uint8_t loss;            /* enum loss: why it was cut */
        struct account account;  /* without what begin_event says; lane_account() has the whole */
        uint64_t refused_before; /* cohort->refused when it joined */
        uint64_t waiting_ns;     /* in lanes->waiting: when the network last took something */
        struct lane_span *last;
        struct stream own;
        struct lane_span spare; /* for a cut, which must not fail when the pool of spans is empty */
        bool spare_used;
        /* What becomes of it when it lags. */
        uint8_t policies;         /* bit enum lag_policy of each that an operation of it may have */
        uint8_t format;           /* enum wire_format of its private events */
        uint8_t blocking;         /* enum lane_blocking */
        bool has_news;            /* something was skipped, and its peer was not told */
        bool has_lost_news;       /* what told its peer of something skipped was skipped itself */
        uint64_t skipped_bytes;   /* all that was passed over so far */
        uint64_t elsewhere_bytes; /* see lane_sent_bytes() */
        /* Limits of the memory that what it has to take holds at worst: rather more than the bytes to be sent. */
        uint64_t skip_bytes;       /* beyond so much, what may be dropped is */
        uint64_t cut_bytes;        /* beyond so much it is cut; UINT64_MAX: nothing of it asks for that */
        uint64_t over_ns;          /* beyond its limit since then, each time the network took no more; 0: not */
        bool is_over;              /* for long: it is judged whether the network takes something again or not */
        uint64_t look_bytes;       /* raised while looking again would be in vain; 0: not */
        uint64_t blocking_ns;      /* until when publishers wait for it */
        struct list lagging_link;  /* in lanes->lagging: to be looked at */
        struct list news_link;     /* in lanes->news */
        struct list blocking_link; /* in lanes->blocking */
};

/* A lane is judged while the network takes nothing from it: one that is offered much at once may take it all. But not
 * for longer than this: who reads on, always a bit slower than what comes, is never found waiting. */
#define LANE_OVER_NS (50 * NS_PER_MS)

/* A subscription with the policy block holds its publishers from half of the limit on, until the lane has drained to a
 * quarter; but not for longer than block_ns, and then not again before it has drained. */
enum lane_blocking { LANE_BLOCKS_NOBODY, LANE_BLOCKS, LANE_HAS_BLOCKED };

struct lanes {
        struct io *io;
        struct buddy memory; /* every chunk of this reactor */
        struct pool spans;
        struct list dirty;      /* cohorts with bytes that nobody was handed yet */
        struct list ready;      /* lanes */
        struct list cut;        /* lanes cut off and not yet taken up by their peers */
        struct list waiting;    /* lanes, the longest waiting first */
        struct list patient;    /* the same, of those that may wait for ever: all they hold may be dropped */
        struct list lagging;    /* lanes beyond their limit, of which something may be dropped; oldest first */
        size_t sends_left;      /* of this flush */
        struct list news;       /* lanes of which something was skipped, and that take something again */
        struct list blocking;   /* lanes that hold publishers, by when they end */
        uint64_t lag_bytes_max; /* how much memory may be held for a lane that falls behind */
        uint64_t stall_ns_max;  /* how long the network may take nothing at all from a lane */
        uint64_t look_bytes;    /* nobody is looked at before it is so far behind: the tightest limit of all */
        uint64_t block_ns;      /* how long publishers may have to wait for one lane */
        uint64_t looked_ns, looked_matched; /* when lanes were last looked at, and account.matched then */
        bool must_look;                     /* somebody is beyond a limit, and was not when they were last looked at */
        struct conflation conflation;       /* there when rules were set */
        bool was_blocking; /* an operation has met a lane that blocks since its owner set this to false */
        /* Of all lanes since start. Matched and dropped are exact; a lane that lags has its released events counted
         * here chunk by chunk, so `released` may be as many short as lie in the chunks where such lanes stand. */
        struct account account;
        struct account closed; /* of the lanes that are gone, exact */
        uint64_t shed_count;   /* lanes cut for memory */
        /* Told when a cohort has neither members nor spans left, perhaps more than once, perhaps while it is still in
         * `dirty` or being appended to: it may be freed between two events, when it is in `dirty` no more. */
        void (*cohort_ended)(void *context, struct cohort *cohort);
        /* Told of events that a lane does not get, after they were counted; `first` and `last` of them as they were
         * encoded, borrowed, empty where that is not known. May look at the lane's account, and change nothing. NULL:
         * nobody wants to know. */
        void (*lost)(void *context, const struct lane *lane, enum loss loss, uint64_t count, struct span first,
                     struct span last);
        void *context;
};

/* 0 or -ENOMEM. `io` may be set later, but before the first flush. Everyone who lags is cut, until rules are set. */
int lanes_init(struct lanes *lanes, size_t memory_bytes, size_t spans_max, uint64_t lag_bytes_max,
               uint64_t stall_ns_max);
/* What rules there are: the tightest limit of any, bit enum lag_policy of each policy in use, how long `block` may hold
 * publishers, and a secret. Before the first lane. 0 or -ENOMEM: no room to conflate in, which other rules may need. */
int lanes_set_lag(struct lanes *lanes, uint64_t limit_bytes_min, uint32_t policies, uint64_t block_ns, uint64_t secret);
/* Other rules than before, for what is subscribed to from now on; the limit is that of lanes without any subscription,
 * and of all where there are no rules. */
void lanes_change_lag(struct lanes *lanes, uint64_t lag_bytes_max, uint64_t limit_bytes_min, uint32_t policies,
                      uint64_t block_ns);
/* Every lane must have been closed. Accepts a zeroed one. */
void lanes_fini(struct lanes *lanes);
/* Hands out what may go, to at most `sends_max` lanes: to those that are ready, then to the idle members of dirty
 * cohorts, who are ready where that is too many. Ends a turn. false: some are left for the next. */
bool lanes_flush(struct lanes *lanes, size_t sends_max);
/* An event was owed to one of several readers, and none of them gets it: dropped, of nobody's lane. */
void lanes_count_unowned(struct lanes *lanes, enum loss loss, uint64_t count);

void lane_init(struct lane *lane, io_id id);
/* Lets go of everything; nothing may be lent any more. What was not sent is dropped: for `loss`, or for that of an
 * earlier cut. Leaves the cohort. */
void lane_fini(struct lanes *lanes, struct lane *lane, enum loss loss);

/* Room for one private operation of at most `bytes`; `flags` are those of stream_commit(). lane_commit() ends it, with
 * the same flags. Nothing else may be called on the lane in between. NULL: the lane was cut off or has ended, and is
 * owed nothing more; or it has just been cut for want of memory, and an event counts as matched and dropped. */
uint8_t *lane_reserve(struct lanes *lanes, struct lane *lane, size_t bytes, uint32_t flags);
void lane_commit(struct lanes *lanes, struct lane *lane, size_t bytes, uint32_t flags);
/* Both in one, for a reply. */
void lane_append(struct lanes *lanes, struct lane *lane, struct span operation);
/* From now on it may have operations with this policy: its limit is the smallest it was ever given for policies that
 * drop, and another such for those that cut. Before the first of these operations. */
void lane_set_lag(struct lanes *lanes, struct lane *lane, struct lag lag);
/* An event that the lane was owed and does not get: matched and dropped at once. */
void lane_refuse(struct lanes *lanes, struct lane *lane, enum loss loss);

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
void lane_cut(struct lanes *lanes, struct lane *lane, enum loss loss);
/* Drops from a waiting lane what may be dropped; where there is nothing, cuts the lane that has waited longest for the
 * network, and so pins the oldest bytes. Returns it; NULL: nobody is left from whom anything can be had. */
struct lane *lanes_shed(struct lanes *lanes);
/* The first half of that: nobody is cut. NULL: nobody holds anything that may be dropped. */
struct lane *lanes_skip_for_memory(struct lanes *lanes);
/* Looks at every waiting lane: who is beyond its limit is cut or put into lanes->lagging. A step each. */
void lanes_look(struct lanes *lanes);
/* Once or twice a turn: cuts the lanes from which the network has taken nothing for stall_ns_max, looks for those
 * beyond their limits where any time has passed, lets lagging ones skip (so much a call), ends waits that took too
 * long. Returns when to come again, UINT64_MAX: when something happens. */
uint64_t lanes_tend(struct lanes *lanes, uint64_t now_ns);
/* A lane of which something was skipped, and that takes something again; NULL: none is left. Its account says what; it
 * is told once for all that was skipped so far. */
struct lane *lanes_take_news(struct lanes *lanes);
/* Drops what is left of the half-sent operation of a cut lane, but for what is lent: it will not be whole. */
void lane_give_up(struct lanes *lanes, struct lane *lane);
/* Takes a cut lane off lanes->cut for its peer; NULL: none waits. What is left of a half-sent operation goes out with
 * the next flush. */
struct lane *lanes_take_cut(struct lanes *lanes);

/* Bytes still to be released, lent ones included. */
uint64_t lane_pending_bytes(const struct lane *lane);
/* Bytes that the network took so far, replies and framing included. Counted nowhere: a difference of where its streams
 * end and what waits. What leaves its streams otherwise, and what its cohorts had before or after it, is taken into
 * account when that happens. */
uint64_t lane_sent_bytes(const struct lane *lane);
/* The lane's account as of now, and how many of its events are still to be released. A step per closed span and a
 * search in each one's first chunk. */
void lane_account(const struct lane *lane, struct account *account, uint64_t *pending);
/* How many of the cohort's events this lane may still need, member or not: those that cohort->released does not have
 * yet. */
uint64_t lane_pending_of(const struct lane *lane, const struct cohort *cohort);
static inline bool lane_is_drained(const struct lane *lane)
{
        return lane->first == NULL && (lane->cohort == NULL || lane->idle);
}

/* For cohort.c: the lane's pieces from `skip_bytes` behind its lowest needed byte on, at most `bytes_max`; returns
 * their number. */
size_t lane_gather(const struct lane *lane, size_t skip_bytes, size_t bytes_max, struct span pieces[IO_PIECES_MAX]);
void lane_mark_ready(struct lanes *lanes, struct lane *lane);
void lane_wait_for_release(struct lanes *lanes, struct lane *lane);
void lane_meet_blocking(struct lanes *lanes, struct lane *lane);

/* For skip.c. */
/* What has just been dropped or copied was not sent: it had sent `sent_bytes` before. */
void lane_keep_sent(struct lane *lane, uint64_t sent_bytes);
struct stream *lane_span_stream(struct lane *lane, const struct lane_span *span);
/* Its events before number `event` have been taken. */
void lane_span_released(struct lanes *lanes, struct lane *lane, struct lane_span *span, uint64_t event);
/* Takes the span out at `link`, where it stands; its pin is gone already. lane->last is the caller's to mend. */
void lane_drop_span(struct lanes *lanes, struct lane *lane, struct lane_span **link);
/* Turns what the cohort has for the lane so far into a closed span. The lane is then idle at the cohort's head. false:
 * no span is left in the pool, and `by_force`, which has the lane's spare one, is not given. */
bool lane_close_open_span(struct lanes *lanes, struct lane *lane, bool by_force);
void lane_count_dropped(struct lanes *lanes, struct lane *lane, enum loss loss, uint64_t count);
void lane_tell_loss(const struct lanes *lanes, const struct lane *lane, enum loss loss, uint64_t count,
                    struct span first, struct span last);
/* The place `bytes` behind `place`, in which something lies. */
struct place place_behind(struct place place, uint64_t bytes);
/* The place of the first byte that is not lent; false: everything is. */
bool lane_place_not_lent(const struct lane *lane, struct place *place);

#endif
