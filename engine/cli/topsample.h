/* topsample: what an engine's answers say at one moment, and what two of them say together. It comes from the network
 * and perhaps from another version: a number that is missing, negative or no number is NAN, a text that is missing is
 * "", rows beyond the limits are left out. Texts are as clients chose them (valid UTF-8, cut at TOP_TEXT_BYTES):
 * whoever shows them escapes them.
 *
 * Everything lies in the structures themselves, so that a sample is kept or replaced by copying. They are large: not
 * for the stack. */
#ifndef SPATE_ENGINE_CLI_TOPSAMPLE_H
#define SPATE_ENGINE_CLI_TOPSAMPLE_H

#include "engine/account.h"
#include "engine/base/span.h"

#define TOP_TEXT_BYTES 400 /* with its 0; the widest screen shows no more */
#define TOP_SHORT_BYTES 96 /* of a name of our own: a version, a backend */
#define TOP_REACTORS_MAX 64
#define TOP_ROWS_MAX 64 /* cohorts, laggards, losses */

/* clang-format off */
/* Of the whole engine, from "counters" of /status; labels are added up. */
#define TOP_TOTAL_TABLE(ROW)                                                                                           \
        ROW(events_received,      "events_received")                                                                   \
        ROW(event_bytes_received, "event_bytes_received")                                                              \
        ROW(events_unmatched,     "events_unmatched")                                                                  \
        ROW(deliveries_matched,   "deliveries_matched")                                                                \
        ROW(deliveries_released,  "deliveries_released")                                                               \
        ROW(deliveries_dropped,   "deliveries_dropped")                                                                \
        ROW(deliveries_pending,   "deliveries_pending")                                                                \
        ROW(bytes_sent,           "bytes_sent")                                                                        \
        ROW(bytes_received,       "bytes_received")                                                                    \
        ROW(sends,                "sends")                                                                             \
        ROW(system_calls,         "system_calls")                                                                      \
        ROW(connections,          "connections")                                                                       \
        ROW(connections_accepted, "connections_accepted")                                                              \
        ROW(subscriptions,        "subscriptions")                                                                     \
        ROW(patterns,             "patterns")                                                                          \
        ROW(cohorts,              "cohorts")                                                                           \
        ROW(cohort_members,       "cohort_members")                                                                    \
        ROW(memory_used_bytes,    "stream_memory_bytes")                                                               \
        ROW(memory_limit_bytes,   "stream_memory_limit_bytes")                                                         \
        ROW(heap_bytes,           "heap_bytes")

/* Of one reactor, from "reactors" of /status. */
#define TOP_REACTOR_TABLE(ROW)                                                                                         \
        ROW(number)             ROW(cpu)                 ROW(connections)         ROW(subscriptions)                   \
        ROW(cohorts)            ROW(cohort_members)      ROW(events_received)     ROW(deliveries_matched)              \
        ROW(deliveries_released) ROW(deliveries_dropped) ROW(bytes_sent)          ROW(bytes_received)                  \
        ROW(turns)              ROW(busy_ns)             ROW(memory_used_bytes)   ROW(memory_limit_bytes)              \
        ROW(watermark)          ROW(publishers_held)     ROW(cpu_ns)
/* clang-format on */

#define TOP_TOTAL_FIELD(name, counter) double name;
#define TOP_REACTOR_FIELD(name) double name;

struct toptotals {
        TOP_TOTAL_TABLE(TOP_TOTAL_FIELD)
};

struct topreactor {
        TOP_REACTOR_TABLE(TOP_REACTOR_FIELD)
};

struct topcohort {
        double reactor, members, patterns_count, stream_bytes, appended, lag_bytes;
        char pattern[TOP_TEXT_BYTES]; /* one of them */
};

struct toplaggard {
        double reactor, connection, pending_bytes, subscriptions, seconds_open;
        double owed, settled;      /* events since it came: all, and those that were delivered or lost */
        double seconds_behind;     /* at least so long it has not caught up: see toprates_of() */
        double pending_per_second; /* how fast that grows; negative: it catches up */
        char name[TOP_TEXT_BYTES], user[TOP_TEXT_BYTES], address[TOP_TEXT_BYTES];
};

struct toploss {
        double seconds_ago, count, connection;
        char reason[TOP_SHORT_BYTES];
        char name[TOP_TEXT_BYTES], user[TOP_TEXT_BYTES], address[TOP_TEXT_BYTES];
        char first_subject[TOP_TEXT_BYTES], last_subject[TOP_TEXT_BYTES];
};

struct topsample {
        char version[TOP_SHORT_BYTES], server_id[TOP_SHORT_BYTES], backend[TOP_SHORT_BYTES];
        double pid, uptime_seconds;
        double clock_seconds; /* the engine's own clock when it answered: differences only */
        double watermark;     /* the highest of the reactors' */
        bool is_draining;
        struct toptotals totals;
        double dropped[LOSSES];
        struct topreactor reactors[TOP_REACTORS_MAX];
        size_t reactors_count;
        /* Which of the lists the engine has told; one that is not told is empty. */
        bool has_cohorts, has_laggards, has_losses;
        struct topcohort cohorts[TOP_ROWS_MAX]; /* the largest first */
        size_t cohorts_count;
        struct toplaggard laggards[TOP_ROWS_MAX]; /* who is furthest behind first; nobody with nothing pending */
        size_t laggards_count;
        struct toploss losses[TOP_ROWS_MAX]; /* the newest first */
        size_t losses_count;
};

/* Per second; NAN where one of the samples does not tell. */
struct toprates {
        double seconds; /* between the samples; NAN: there are no two of one and the same engine */
        struct toptotals totals;
        double dropped[LOSSES];
        double fan_out, send_bytes;                   /* deliveries owed for an event; bytes for a send */
        struct topreactor reactors[TOP_REACTORS_MAX]; /* in the places of the newer sample's reactors */
        double busy[TOP_REACTORS_MAX];                /* 0 to 1 */
};

/* Starts `sample` with the answer of /status. 0, or -EPROTO: it is not one. The lists are empty. */
int topsample_status(struct topsample *sample, struct span json);
/* Adds a list from the answer of /cohorts, /connections?sort=pending or /losses. What is no such answer leaves it
 * untold. */
void topsample_cohorts(struct topsample *sample, struct span json);
void topsample_laggards(struct topsample *sample, struct span json);
void topsample_losses(struct topsample *sample, struct span json);

/* Both are of one run of one engine, and `now` is the newer. */
bool topsample_follows(const struct topsample *now, const struct topsample *before);

/* What happened between; `before` may be NULL. Tells each laggard of `now` how long it has been one, and how it fares.
 */
void toprates_of(struct toprates *rates, struct topsample *now, const struct topsample *before);

#endif
