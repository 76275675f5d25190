/* mailbox: what one reactor tells another. One for each ordered pair of reactors: one core sends, one receives.
 *
 *      sender                                                             receiver
 *      mailboxes_can_hold()  every target or none
 *      mailbox_reserve(), mailbox_commit() ──▶ data ring    (4 MiB) ──▶ mailbox_peek(), mailbox_consume()
 *      mailbox_tell()                      ──▶ control ring         ──▶ mailbox_hear()
 *      mailboxes_publish()   once a turn       ◀── room ──────────────  mailbox_release(), once a drain
 *
 * Events go through the data ring, copied in once. When it is full, the event is held and its publisher paused. Small
 * control records have a ring that events cannot fill, so a subscription or an answer gets through whatever the load.
 * Each ring keeps its order; between the two there is none. Nothing waits, nothing allocates after mailbox_new(). */
#ifndef SPATE_ENGINE_MAILBOX_H
#define SPATE_ENGINE_MAILBOX_H

#include "engine/base/bell.h"
#include "engine/base/bytering.h"
#include "io/wire/event.h"
#include "matcher/match.h"

#define MAILBOX_BYTES_DEFAULT ((size_t)4 << 20) /* at least twice the largest payload */
#define MAILBOX_CONTROL_BYTES ((size_t)64 << 10)

/* What may be told beside the events. One row each: name, meaning. `token` is the asker's own; the answer carries it.
 */
/* clang-format off */
#define MAILBOX_CONTROL_TABLE(ROW)                                                                                     \
        ROW(SUBSCRIBE, "subscribe")   /* to the matcher's writer: `text`, whose answer is VISIBLE */                   \
        ROW(VISIBLE, "visible")       /* the pattern is visible everywhere as `id`, or `error` says why not */         \
        ROW(WITHDRAW, "withdraw")     /* to the writer: we have no subscriber of `id` any more */                      \
        ROW(FULL, "full")             /* we hold events for want of room: answer WAKE when you have made some */       \
        ROW(WAKE, "wake")             /* there is room again */                                                        \
        ROW(RETURN, "return")         /* nobody here for the record at `position` of your data ring; see below */      \
        ROW(SETTLED, "settled")       /* the record at `position` went elsewhere or was counted lost */                \
        ROW(DRAIN, "drain")           /* come to an orderly end within `token` nanoseconds */                          \
        ROW(HALT, "halt")             /* turn no more */                                                               \
        ROW(QUESTION, "question")     /* to every reactor: see `question`; the answer is ANSWER */                     \
        ROW(ANSWER, "answer")         /* `question` has been answered by the sender */                                 \
        ROW(BLOCK, "block")           /* stop the publisher `token` (a connection of yours): a subscriber lags */      \
        ROW(UNBLOCK, "unblock")       /* let the publisher `token` go on */
/* clang-format on */

enum mailbox_control_kind {
#define MAILBOX_CONTROL_ENUM(id, name) MAILBOX_##id,
        MAILBOX_CONTROL_TABLE(MAILBOX_CONTROL_ENUM)
#undef MAILBOX_CONTROL_ENUM
                MAILBOX_CONTROL_KINDS
};
const char *mailbox_control_name(enum mailbox_control_kind kind);

struct mailbox_control {
        uint32_t kind; /* enum mailbox_control_kind */
        int32_t error; /* VISIBLE: 0 or -errno */
        union {
                uint64_t token;    /* SUBSCRIBE, VISIBLE, DRAIN, BLOCK, UNBLOCK */
                uint64_t position; /* RETURN, SETTLED */
        };
        union {
                const uint8_t *text; /* SUBSCRIBE: the sender's; it does not change and stays until VISIBLE has come */
                uint64_t version; /* VISIBLE: match_version() when it had become so; DRAIN: over how many nanoseconds */
                void *question;   /* QUESTION, ANSWER: the asker's, who leaves its parts to each reactor in turn */
        };
        uint16_t text_bytes;
        uint16_t is_modest; /* SUBSCRIBE: may have one of the last places, see route.h */
        pattern_id id;      /* VISIBLE, WITHDRAW */
};

struct mailbox {
        struct bytering data;
        struct bytering control;
        struct bell *bell; /* the receiver's; borrowed */
        /* The receiver's own, see mailbox_return(). */
        _Alignas(CACHE_LINE) uint64_t returned_from;
        uint32_t returned_count; /* at most MAILBOX_ASKS_MAX */
};

/* 0 or -errno. `data_bytes` is rounded up to a power of two. `bell` wakes the receiver. */
int mailbox_new(struct mailbox **mailbox, size_t data_bytes, struct bell *bell);
/* Both reactors have stopped. Accepts NULL. */
void mailbox_free(struct mailbox *mailbox);
/* Memory and address space of a mailbox, for the plan. */
size_t mailbox_memory_bytes(size_t data_bytes);

/* --- the sender ------------------------------------------------------------------------------------------------- */

/* Is there room for a record of `record_bytes` (at most bytering_record_bytes_max()) in the mailbox of every reactor
 * in `targets`, a bit each? mailboxes[i] leads to reactor i. Once true it stays true until something is committed, so
 * mailbox_reserve() then gives room in each of them: an event goes to all or is held. */
bool mailboxes_can_hold(struct mailbox *const *mailboxes, uint64_t targets, size_t record_bytes);
/* The same, telling which have no room: 0 when all have. */
uint64_t mailboxes_without_room(struct mailbox *const *mailboxes, uint64_t targets, size_t record_bytes);

/* Where to write `record_bytes`, or NULL: full. It is the receiver's after a commit (of fewer, if you like) and
 * mailboxes_publish(). */
static inline uint8_t *mailbox_reserve(struct mailbox *mailbox, size_t record_bytes)
{
        return bytering_reserve(&mailbox->data, record_bytes);
}
static inline void mailbox_commit(struct mailbox *mailbox, size_t record_bytes)
{
        bytering_commit(&mailbox->data, record_bytes);
}

/* false: the receiver has not taken up what it was told before; keep it and come again next turn. Cannot be false for
 * answers, whose number is bounded by what was asked: at most MAILBOX_ASKS_MAX questions of each kind are out at a
 * time, and what nobody waits for is told only while mailbox_has_spare(). */
bool mailbox_tell(struct mailbox *mailbox, const struct mailbox_control *control);

#define MAILBOX_ASKS_MAX 128
/* Is there room beyond what answers might need? */
bool mailbox_has_spare(struct mailbox *mailbox);

/* Shows the receivers all that was committed and told since the last call, and wakes those who sleep: one store a ring
 * and one fence, however many records and receivers. Once a turn. A NULL among them is passed over (one's own place).
 */
void mailboxes_publish(struct mailbox *const *mailboxes, size_t mailboxes_count);

/* --- the receiver ----------------------------------------------------------------------------------------------- */

/* Takes the next control record out, copied to *control. false: none. */
bool mailbox_hear(struct mailbox *mailbox, struct mailbox_control *control);

/* The next record, in place: good until mailbox_release(). The same again until mailbox_consume(). false: none. */
static inline bool mailbox_peek(struct mailbox *mailbox, struct span *record)
{
        return bytering_peek(&mailbox->data, record);
}
static inline void mailbox_consume(struct mailbox *mailbox)
{
        bytering_consume(&mailbox->data);
}

/* Gives the room of all that was consumed and heard back to the sender. Once a drain. */
void mailbox_release(struct mailbox *mailbox);

/* Has everything been consumed and heard? To be asked of each between bell_lie_down() and sleep. */
static inline bool mailbox_is_empty(const struct mailbox *mailbox)
{
        return bytering_is_empty(&mailbox->data) && bytering_is_empty(&mailbox->control);
}

/* A record that was for a member of a queue group, of which none is left here, goes back without being copied: the
 * sender reads it again where it wrote it. Until the sender says SETTLED, the room from it on stays taken, while
 * records behind it are consumed as ever. So a return needs no room for data, in either direction. */

/* Consumes the record that mailbox_peek() last told, and tells its sender RETURN by `back`, the mailbox in the other
 * direction. false: `back` has no room, or MAILBOX_ASKS_MAX are out; nothing has happened, peek gives the same record
 * later. */
bool mailbox_return(struct mailbox *mailbox, struct mailbox *back);
/* SETTLED has come with `position`. They come in the order of their returns. */
void mailbox_settled(struct mailbox *mailbox, uint64_t position);
/* The sender heard RETURN: the record. It may change its bytes, until it tells SETTLED. */
static inline struct span mailbox_returned(const struct mailbox *mailbox, uint64_t position)
{
        return bytering_record_at(&mailbox->data, position);
}

/* --- what an event is as a record ------------------------------------------------------------------------------- */

enum mailbox_event_flag {
        MAILBOX_QUEUES_ONLY = 1, /* plain subscribers have it already: this is a second try for its groups */
        MAILBOX_ASKED = 2,       /* a request that nobody has had yet: comes back if nobody here may have it either */
        MAILBOX_LAST = 4,        /* no event: the sender sends none behind it, it is draining */
        MAILBOX_NO_IDS = 8,      /* too many patterns to be told: match again, those up to `version` are meant */
};

/* The patterns that the publisher's reactor matched, so that nobody matches again; an id unknown to the receiver is
 * passed over. */
struct mailbox_event {
        struct event event;
        uint64_t from;    /* the publishing connection, on the sender's reactor */
        uint64_t version; /* match_version() when it was matched: a pattern that came later is not meant, though it may
                           * have the id of one that is gone */
        uint64_t tried;   /* reactors on which no member of its groups would have it, a bit each */
        uint32_t flags;   /* enum mailbox_event_flag */
        uint32_t request; /* MAILBOX_ASKED: which, for the sender to count who gave it back */
        const pattern_id *ids;
        uint32_t ids_count;
        uint32_t queues_count;     /* groups of which the receiver was picked to choose a member */
        const struct span *queues; /* their names; for the writer only */
        struct span queue_names;   /* the same, packed; for the reader: mailbox_next_queue() */
};

size_t mailbox_event_bytes(const struct mailbox_event *event);
/* Writes mailbox_event_bytes() bytes to `record`, which is aligned to 8. */
void mailbox_event_write(uint8_t *record, const struct mailbox_event *event);
/* The spans and ids of *event point into the record. */
void mailbox_event_read(struct span record, struct mailbox_event *event);
/* MAILBOX_LAST? */
bool mailbox_event_is_last(struct span record);
/* Takes the first name off `queue_names`; to be called queues_count times. */
struct span mailbox_next_queue(struct span *queue_names);
/* Takes all names out of the record; mailbox_event_leave() puts back those that could not be served, in their order, so
 * that the sender reads the record again with these only. *at is where the next one goes, at first what serve returned;
 * `name` may lie in the record itself. */
uint8_t *mailbox_event_serve(struct span record);
void mailbox_event_leave(struct span record, uint8_t **at, struct span name);
/* Somebody has it: takes MAILBOX_ASKED off. */
void mailbox_event_answer(struct span record);

#endif
