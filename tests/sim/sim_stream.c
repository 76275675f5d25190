/* sim_stream: cohorts and lanes on a simulated network, without any protocol.
 *
 *      world draws: who connects, stalls, resets · what is appended where · who joins, leaves, moves, is closed
 *        │
 *        ▼                        ┌ lane ─▶ io/sim ─▶ peer ─▶ compared byte for byte with what was appended
 *      append ─▶ cohort or lane ──┼ lane ─▶ io/sim ─▶ peer
 *                                 └ …
 *
 * Checked: every peer gets a prefix of exactly its operations, in order, and all of them where nothing cut or broke the
 * way; no lent byte changes (io/sim does that); pins and pending bytes agree with a recount; every event is released,
 * dropped for a reason or pending, in the account of its lane, its cohort and all lanes together, as the bytes that the
 * network took say; in the end every chunk and span has come back.
 *
 *      sim_stream [--seed N] [--seeds COUNT] [--mode kernel|tcp] [--trace]
 *
 * Every failure names its seed; --seed N --mode M --trace replays it. */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/random.h"
#include "engine/cohort.h"
#include "io/sim.h"

#define SUBSCRIBERS_MAX 48
#define COHORTS_MAX 6
#define EVENTS_MAX 64
#define FINISH_NS_MAX NS_PER_S
#define BODY_BYTES_MAX ((size_t)700 << 10)

/* ---- the record format ----
 *
 *      │ size u32 │ publisher u32 │ sequence u64 │ body … │ check u32 │
 *
 * A body is a stretch of one table of random bytes, so that it can be compared without being kept. */

#define RECORD_HEAD_BYTES 16
#define RECORD_BYTES(body_bytes) (RECORD_HEAD_BYTES + (body_bytes) + 4)

struct record {
        uint64_t sequence;
        uint32_t publisher;
        uint32_t body_start; /* in body_table */
        uint32_t body_bytes;
};

static uint8_t body_table[BODY_BYTES_MAX * 2];

static void record_head(const struct record *record, uint8_t head[RECORD_HEAD_BYTES])
{
        uint32_t size = RECORD_BYTES(record->body_bytes);
        memcpy(head, &size, 4);
        memcpy(head + 4, &record->publisher, 4);
        memcpy(head + 8, &record->sequence, 8);
}

static uint32_t record_check(const struct record *record)
{
        return (uint32_t)((record->sequence * 31 + record->body_start) * UINT64_C(0x9e3779b97f4a7c15) >> 32) ^
               record->body_bytes;
}

static size_t record_write(uint8_t *out, const struct record *record)
{
        uint32_t check = record_check(record);
        record_head(record, out);
        memcpy(out + RECORD_HEAD_BYTES, body_table + record->body_start, record->body_bytes);
        memcpy(out + RECORD_HEAD_BYTES + record->body_bytes, &check, 4);
        return RECORD_BYTES(record->body_bytes);
}

/* Does the record hold `bytes` from its byte `offset` on? */
static bool record_holds(const struct record *record, size_t offset, const uint8_t *bytes, size_t size)
{
        uint8_t ends[RECORD_HEAD_BYTES + 4];
        uint32_t check = record_check(record);
        record_head(record, ends);
        memcpy(ends + RECORD_HEAD_BYTES, &check, 4);
        while (size > 0) {
                size_t part, body_end = RECORD_HEAD_BYTES + record->body_bytes;
                const uint8_t *expected;
                if (offset < RECORD_HEAD_BYTES) {
                        expected = ends + offset;
                        part = RECORD_HEAD_BYTES - offset;
                } else if (offset < body_end) {
                        expected = body_table + record->body_start + (offset - RECORD_HEAD_BYTES);
                        part = body_end - offset;
                } else {
                        expected = ends + RECORD_HEAD_BYTES + (offset - body_end);
                        part = body_end + 4 - offset;
                }
                part = part < size ? part : size;
                if (memcmp(expected, bytes, part) != 0)
                        return false;
                offset += part;
                bytes += part;
                size -= part;
        }
        return true;
}

static __attribute__((noreturn, format(printf, 1, 2))) void wrong(const char *format, ...)
{
        va_list arguments;
        fprintf(stderr, "sim_stream: ");
        va_start(arguments, format);
        vfprintf(stderr, format, arguments);
        va_end(arguments);
        fputc('\n', stderr);
        abort();
}

#define must(fact, ...)                                                                                                \
        do {                                                                                                           \
                if (!(fact))                                                                                           \
                        wrong(#fact ": " __VA_ARGS__);                                                                 \
        } while (0)

/* The codec that the cohorts use: the record travels as the event's subject. */
static size_t codec_bound(const struct event *event, struct span sid)
{
        (void)sid;
        const struct record *record = (const void *)event->subject.bytes;
        return RECORD_BYTES(record->body_bytes) + record->sequence % 40; /* a bound need not be tight */
}

static size_t codec_write(uint8_t *out, const struct event *event, struct span sid)
{
        (void)sid;
        return record_write(out, (const void *)event->subject.bytes);
}

/* What a record is about stands in the place of its publisher. */
static struct span codec_key(struct span operation)
{
        must(operation.size >= RECORD_BYTES(0), "an operation that is no record is asked for its key");
        return span_of(operation.bytes + 4, 4);
}

const struct wire_codec wire_codecs[WIRE_FORMATS] = {
        [WIRE_NATS] = {.name = "record", .bound = codec_bound, .write = codec_write, .key = codec_key},
        [WIRE_NATS_PLAIN] = {.name = "record", .bound = codec_bound, .write = codec_write, .key = codec_key},
};

/* ---- the world ---- */

enum state { FREE, OPENING, OPEN, FINISHING, SHUT, CLOSING, GONE };

struct expected {
        struct record record;
        uint64_t end_byte; /* of the lane's way out */
        uint32_t flags;
        bool is_event;
        bool is_passed_over; /* others came in its place */
};

/* One subscriber: the engine's lane, the peer, and all that it has to get. */
struct subscriber {
        enum state state;
        bool half, peer_shut;
        bool complete; /* was drained before it was shut */
        struct lane lane;
        struct sim_peer *peer;
        uint64_t finish_ns;
        struct expected *expected;
        size_t expected_count, expected_capacity;
        uint64_t read_bytes, released_bytes;
        size_t read_index;
        uint8_t head[RECORD_HEAD_BYTES]; /* of the record that is being read */
        size_t head_bytes, record_bytes; /* of these, and of the whole record so far */
        uint32_t policies;               /* of its private events */
        uint64_t read_events, passed_events, skipped_count;
        uint64_t events_count;  /* of the expected */
        uint64_t refused_count; /* events that were matched and never appended */
        size_t released_index;  /* of the expected: the first that is not wholly released */
        uint64_t released_events;
};

/* A cohort as its owner keeps it: freed after a flush, when it has ended. */
struct group {
        struct list link; /* in world.ended, once it has */
        struct cohort cohort;
        uint32_t number;
        bool joined;       /* by anybody, ever */
        uint32_t policies; /* bit enum lag_policy of each that its events may have */
};

struct world {
        uint64_t seed;
        enum sim_mode mode;
        struct io *io;
        struct random random;
        struct lanes lanes;
        struct subscriber subscribers[SUBSCRIBERS_MAX];
        struct subscriber *by_index[SUBSCRIBERS_MAX];
        struct group *groups[COHORTS_MAX];
        struct list ended;
        uint64_t sequence;
        uint32_t groups_count; /* ever made */
        uint32_t subscribers_max, cohorts_max;
        bool large_events, moves, privates, churn;
        uint64_t lag_bytes_min;
        bool lags;                        /* there are other policies than to cut */
        uint32_t keys;                    /* what events may be about */
        uint64_t matched, released, lost; /* events */
};

struct totals {
        uint64_t skipped, conflated;
        uint64_t operations, dropped, refused, cut_slow, cut_memory, broken, whole, turns;
};

static uint64_t current_seed;
static enum sim_mode current_mode;
static struct totals totals;

static const char *mode_name(enum sim_mode mode)
{
        return mode == SIM_KERNEL ? "kernel" : "tcp";
}

static uint64_t below(struct world *world, uint64_t bound)
{
        return random_below(&world->random, bound);
}

static bool one_in(struct world *world, uint64_t denominator)
{
        return below(world, denominator) == 0;
}

static struct record draw_record(struct world *world, uint32_t publisher)
{
        uint64_t kind = below(world, world->large_events ? 100 : 95);
        size_t bytes_max = kind < 65 ? 200 : kind < 90 ? 2000 : kind < 95 ? 20000 : kind < 99 ? 150000 : BODY_BYTES_MAX;
        size_t body_bytes = below(world, bytes_max);
        return (struct record){
                .sequence = world->sequence++,
                .publisher = publisher << 8 | (uint32_t)below(world, world->keys),
                .body_start = (uint32_t)below(world, BODY_BYTES_MAX),
                .body_bytes = (uint32_t)body_bytes,
        };
}

static uint64_t expected_bytes(const struct subscriber *subscriber)
{
        return subscriber->expected_count == 0 ? 0 : subscriber->expected[subscriber->expected_count - 1].end_byte;
}

static void expect(struct world *world, struct subscriber *subscriber, const struct record *record, uint32_t flags)
{
        if (subscriber->expected_count == subscriber->expected_capacity) {
                subscriber->expected_capacity = subscriber->expected_capacity * 2 + 64;
                subscriber->expected =
                        realloc(subscriber->expected, subscriber->expected_capacity * sizeof(*subscriber->expected));
                if (subscriber->expected == NULL)
                        abort();
        }
        uint64_t end_byte = expected_bytes(subscriber) + RECORD_BYTES(record->body_bytes);
        bool is_event = (flags & STREAM_REPLY) == 0;
        subscriber->expected[subscriber->expected_count++] = (struct expected){
                .record = *record,
                .end_byte = end_byte,
                .flags = flags,
                .is_event = is_event,
        };
        subscriber->events_count += is_event;
        world->matched += is_event;
        totals.operations++;
}

/* An event that it was owed and that was not even appended for it. */
static void expect_refusal(struct world *world, struct subscriber *subscriber)
{
        subscriber->refused_count++;
        world->matched++;
        totals.refused++;
}

/* How many events the network has taken whole. */
static uint64_t released_events(struct subscriber *subscriber)
{
        for (; subscriber->released_index < subscriber->expected_count; subscriber->released_index++) {
                const struct expected *expected = &subscriber->expected[subscriber->released_index];
                if (expected->end_byte > subscriber->released_bytes)
                        break;
                subscriber->released_events += expected->is_event;
        }
        return subscriber->released_events;
}

/* ---- who lags ---- */

static uint32_t draw_policy(struct world *world, uint32_t policies)
{
        uint32_t policy;
        do
                policy = (uint32_t)below(world, LAG_POLICIES);
        while ((policies >> policy & 1) == 0);
        return policy;
}

static uint32_t draw_policies(struct world *world)
{
        static const uint32_t sets[] = {1u << LAG_DISCONNECT,
                                        1u << LAG_DROP_OLDEST,
                                        1u << LAG_CONFLATE,
                                        1u << LAG_DROP_OLDEST | 1u << LAG_CONFLATE,
                                        15,
                                        1u << LAG_BLOCK};
        return world->lags ? sets[below(world, array_count(sets))] : 1u << LAG_DISCONNECT;
}

static bool lane_has_skipped(const struct subscriber *subscriber)
{
        return subscriber->lane.skipped_bytes > 0;
}

static bool may_be_dropped(const struct expected *expected)
{
        unsigned policy = stream_lag_of(expected->flags);
        return policy == LAG_DROP_OLDEST || (policy == LAG_CONFLATE && expected->is_event);
}

static void pass_over(struct subscriber *subscriber, struct expected *expected)
{
        must(may_be_dropped(expected), "lane %llx: record %zu of %zu (sequence %llu, flags %x) is missing",
             (unsigned long long)subscriber->lane.id, (size_t)(expected - subscriber->expected),
             subscriber->expected_count, (unsigned long long)expected->record.sequence, expected->flags);
        expected->is_passed_over = true;
        subscriber->passed_events += expected->is_event;
}

/* All has come that will: what is missing was counted, and conflation has left the latest of everything. */
static void check_gaps(struct subscriber *subscriber)
{
        const uint64_t *dropped = subscriber->lane.account.dropped;
        while (subscriber->read_index < subscriber->expected_count)
                pass_over(subscriber, &subscriber->expected[subscriber->read_index++]);
        must(subscriber->passed_events == dropped[LOSS_LAG_SKIP] + dropped[LOSS_CONFLATED] + dropped[LOSS_MEMORY_SHED],
             "lane %llx: %llu events are missing, %llu were skipped, %llu conflated, %llu shed",
             (unsigned long long)subscriber->lane.id, (unsigned long long)subscriber->passed_events,
             (unsigned long long)dropped[LOSS_LAG_SKIP], (unsigned long long)dropped[LOSS_CONFLATED],
             (unsigned long long)dropped[LOSS_MEMORY_SHED]);
        if (dropped[LOSS_LAG_SKIP] + dropped[LOSS_MEMORY_SHED] > 0)
                return;
        for (size_t i = 0; i < subscriber->expected_count; i++) {
                const struct expected *missing = &subscriber->expected[i];
                bool is_superseded = false;
                if (!missing->is_passed_over || !missing->is_event)
                        continue;
                for (size_t j = i + 1; j < subscriber->expected_count && !is_superseded; j++)
                        is_superseded = subscriber->expected[j].record.publisher == missing->record.publisher &&
                                        subscriber->expected[j].flags == missing->flags &&
                                        !subscriber->expected[j].is_passed_over;
                must(is_superseded, "lane %llx: the latest of a key was conflated",
                     (unsigned long long)subscriber->lane.id);
        }
}

/* ---- cohorts ---- */

static void cohort_ended(void *context, struct cohort *cohort)
{
        struct world *world = context;
        struct group *group = container_of(cohort, struct group, cohort);
        must(cohort->members_count == 0 && cohort->spans_count == 0, "cohort %u", group->number);
        if (!list_is_linked(&group->link))
                list_push_back(&world->ended, &group->link);
}

/* What is told as lost is an event that its subscriber has not had, whole, as it was appended. Returns its index. */
static size_t check_lost_event(const struct world *world, struct subscriber *subscriber, struct span operation)
{
        uint64_t sequence;
        must(operation.size >= RECORD_BYTES(0), "a lost event of %zu bytes", operation.size);
        memcpy(&sequence, operation.bytes + 8, 8);
        released_events(subscriber);
        for (size_t i = lane_has_skipped(subscriber) ? 0 : subscriber->released_index; i < subscriber->expected_count;
             i++) {
                const struct expected *expected = &subscriber->expected[i];
                if (expected->record.sequence != sequence)
                        continue;
                must(expected->is_event, "a reply is told as lost");
                must(operation.size == RECORD_BYTES(expected->record.body_bytes) ||
                             (lane_has_skipped(subscriber) &&
                              operation.size < RECORD_BYTES(expected->record.body_bytes)),
                     "a lost event in part");
                must(record_holds(&expected->record, 0, operation.bytes, operation.size), "a lost event's bytes");
                return i;
        }
        /* What is just being appended is expected only afterwards. */
        must(sequence == world->sequence - 1,
             "event %llu is told as lost (of %zu bytes, lane %llx skipped %d expected %zu last %llu)",
             (unsigned long long)sequence, operation.size, (unsigned long long)subscriber->lane.id,
             lane_has_skipped(subscriber), subscriber->expected_count,
             (unsigned long long)(subscriber->expected_count
                                          ? subscriber->expected[subscriber->expected_count - 1].record.sequence
                                          : 0));
        return SIZE_MAX;
}

static void lost(void *context, const struct lane *lane, enum loss loss, uint64_t count, struct span first,
                 struct span last)
{
        struct world *world = context;
        struct subscriber *subscriber = container_of((struct lane *)(uintptr_t)lane, struct subscriber, lane);
        must(count > 0 && loss < LOSSES, "nothing is told as lost");
        /* One end or the other is unknown where only replies share its chunk. */
        size_t first_index = first.size == 0 ? 0 : check_lost_event(world, subscriber, first);
        size_t last_index = last.size == 0 ? SIZE_MAX : check_lost_event(world, subscriber, last);
        must(first_index <= last_index, "lost backwards");
        must(count > 1 || first.size == 0 || last.size == 0 || first_index == last_index, "one event with two ends");
        world->lost += count;
        if (!lane->is_cut && (loss == LOSS_LAG_SKIP || loss == LOSS_CONFLATED || loss == LOSS_MEMORY_SHED)) {
                must(!lane->ended, "lane %llx skips and has ended", (unsigned long long)lane->id);
                subscriber->skipped_count += count;
                totals.skipped += loss != LOSS_CONFLATED ? count : 0;
                totals.conflated += loss == LOSS_CONFLATED ? count : 0;
        }
}

static struct group *group_of(struct world *world, size_t index)
{
        if (world->groups[index] == NULL) {
                struct group *group = malloc(sizeof(*group));
                if (group == NULL)
                        abort();
                list_init(&group->link);
                cohort_init(&group->cohort, WIRE_NATS);
                group->joined = false;
                group->policies = draw_policies(world);
                group->number = ++world->groups_count;
                world->groups[index] = group;
        }
        return world->groups[index];
}

static void free_ended_groups(struct world *world)
{
        list_for_each(&world->ended, link)
        {
                struct group *group = list_entry(link, struct group, link);
                list_remove(link);
                if (group->cohort.members_count > 0 || group->cohort.spans_count > 0)
                        continue; /* somebody has joined since */
                for (size_t i = 0; i < COHORTS_MAX; i++)
                        if (world->groups[i] == group)
                                world->groups[i] = NULL;
                cohort_fini(&group->cohort);
                free(group);
        }
}

static void append_to_group(struct world *world, struct group *group)
{
        struct record record = draw_record(world, group->number);
        struct event event = {.subject = span_of(&record, sizeof(record))};
        struct cohort *cohort = &group->cohort;
        uint32_t policy = draw_policy(world, group->policies);
        struct subscriber *members[SUBSCRIBERS_MAX];
        size_t members_count = 0;
        for (size_t i = 0; i < SUBSCRIBERS_MAX; i++) {
                struct subscriber *subscriber = &world->subscribers[i];
                if (subscriber->state == OPEN && subscriber->lane.cohort == cohort)
                        members[members_count++] = subscriber;
        }
        must(members_count == cohort->members_count, "cohort %u: %zu and %u", group->number, members_count,
             cohort->members_count);
        if (members_count == 0)
                return;
        bool is_refused = world->privates && one_in(world, 16);
        if (is_refused)
                cohort_refuse(&world->lanes, cohort, LOSS_NO_PERMISSION);
        else
                cohort_append(&world->lanes, cohort, &event, SPAN_NONE, (enum lag_policy)policy);
        /* Who was cut to make room had no part in this one, which the ledger counts; who was cut because of it had. */
        for (size_t i = 0; i < members_count; i++) {
                const struct lane *lane = &members[i]->lane;
                if (!is_refused && (!lane->is_cut || lane->loss != LOSS_MEMORY_SHED))
                        expect(world, members[i], &record, STREAM_EVENT | stream_lag_flags(policy));
                else
                        expect_refusal(world, members[i]);
        }
}

/* ---- a subscriber's life, as a session would live it ---- */

static void subscriber_close(struct world *world, struct subscriber *subscriber)
{
        if (subscriber->state == CLOSING)
                return;
        subscriber->state = CLOSING;
        subscriber->lane.ended = true;
        lane_leave(&world->lanes, &subscriber->lane);
        io_close(world->io, subscriber->lane.id, one_in(world, 4));
}

static void subscriber_shut(struct world *world, struct subscriber *subscriber)
{
        subscriber->complete = true;
        if (subscriber->half) {
                subscriber_close(world, subscriber);
                return;
        }
        subscriber->state = SHUT;
        subscriber->lane.ended = true;
        io_shutdown(world->io, subscriber->lane.id);
        subscriber->finish_ns = io_now_ns(world->io) + FINISH_NS_MAX;
}

static void subscriber_finish(struct world *world, struct subscriber *subscriber)
{
        if (subscriber->state != OPEN)
                return;
        subscriber->state = FINISHING;
        lane_leave(&world->lanes, &subscriber->lane);
        subscriber->finish_ns = io_now_ns(world->io) + FINISH_NS_MAX;
        if (lane_is_drained(&subscriber->lane))
                subscriber_shut(world, subscriber);
}

/* The lane's account against the bytes that the network took. */
static void check_account(struct world *world, struct subscriber *subscriber)
{
        const struct lane *lane = &subscriber->lane;
        struct account account;
        uint64_t pending, dropped;
        lane_account(lane, &account, &pending);
        dropped = account_dropped(&account);
        (void)world;
        must(account.matched == subscriber->events_count + subscriber->refused_count, "lane %llx: %llu matched of %llu",
             (unsigned long long)lane->id, (unsigned long long)account.matched,
             (unsigned long long)(subscriber->events_count + subscriber->refused_count));
        must(lane_has_skipped(subscriber) || account.released == released_events(subscriber),
             "lane %llx: %llu released of %llu", (unsigned long long)lane->id, (unsigned long long)account.released,
             (unsigned long long)released_events(subscriber));
        must(account.matched == account.released + dropped + pending, "lane %llx: %llu, %llu, %llu",
             (unsigned long long)lane->id, (unsigned long long)account.released, (unsigned long long)dropped,
             (unsigned long long)pending);
        /* Refused, cut for one reason, or closed. */
        dropped -= subscriber->skipped_count;
        if (lane->cohort != NULL || lane_pending_bytes(lane) > 0)
                must(lane->is_cut || dropped == subscriber->refused_count, "dropped from a lane that goes on");
        if (lane->is_cut && subscriber->skipped_count == 0)
                must(dropped - account.dropped[lane->loss] <= subscriber->refused_count, "dropped for another reason");
}

static void subscriber_gone(struct world *world, struct subscriber *subscriber)
{
        lane_fini(&world->lanes, &subscriber->lane, LOSS_TRANSPORT_ERROR);
        world->by_index[io_id_index(subscriber->lane.id)] = NULL;
        check_account(world, subscriber);
        subscriber->state = GONE;
        world->released += subscriber->lane.account.released;
}

/* The head of a record is there: it tells which one this is, and so which ones were passed over. */
static void subscriber_find(struct subscriber *subscriber)
{
        uint64_t sequence;
        memcpy(&sequence, subscriber->head + 8, sizeof(sequence));
        while (subscriber->read_index < subscriber->expected_count &&
               subscriber->expected[subscriber->read_index].record.sequence != sequence)
                pass_over(subscriber, &subscriber->expected[subscriber->read_index++]);
        must(subscriber->read_index < subscriber->expected_count, "lane %llx got more than was appended for it",
             (unsigned long long)subscriber->lane.id);
}

/* Compares what has come with what was appended. */
static void subscriber_read(struct subscriber *subscriber)
{
        uint8_t bytes[16384];
        size_t size;
        while ((size = sim_peer_read(subscriber->peer, bytes, sizeof(bytes))) > 0) {
                const uint8_t *from = bytes;
                subscriber->read_bytes += size;
                while (size > 0) {
                        const uint8_t *compared = from;
                        size_t part, offset = subscriber->record_bytes;
                        if (subscriber->head_bytes < RECORD_HEAD_BYTES) {
                                part = RECORD_HEAD_BYTES - subscriber->head_bytes;
                                part = part < size ? part : size;
                                memcpy(subscriber->head + subscriber->head_bytes, from, part);
                                subscriber->head_bytes += part;
                                from += part;
                                size -= part;
                                if (subscriber->head_bytes < RECORD_HEAD_BYTES)
                                        continue;
                                subscriber_find(subscriber);
                                compared = subscriber->head;
                                part = RECORD_HEAD_BYTES;
                        } else {
                                const struct record *record = &subscriber->expected[subscriber->read_index].record;
                                part = RECORD_BYTES(record->body_bytes) - offset;
                                part = part < size ? part : size;
                                from += part;
                                size -= part;
                        }
                        const struct expected *expected = &subscriber->expected[subscriber->read_index];
                        must(record_holds(&expected->record, offset, compared, part),
                             "lane %llx: record %zu of %zu (sequence %llu of publisher %u) differs at or behind byte "
                             "%zu of %zu",
                             (unsigned long long)subscriber->lane.id, subscriber->read_index,
                             subscriber->expected_count, (unsigned long long)expected->record.sequence,
                             expected->record.publisher, offset, (size_t)RECORD_BYTES(expected->record.body_bytes));
                        subscriber->record_bytes += part;
                        if (subscriber->record_bytes == RECORD_BYTES(expected->record.body_bytes)) {
                                subscriber->read_index++;
                                subscriber->read_events += expected->is_event;
                                subscriber->head_bytes = 0;
                                subscriber->record_bytes = 0;
                        }
                }
        }
}

static void check_all_came(const struct subscriber *subscriber)
{
        must(subscriber->read_bytes == expected_bytes(subscriber) - subscriber->lane.skipped_bytes,
             "lane %llx: %llu of %llu bytes came, %llu were skipped", (unsigned long long)subscriber->lane.id,
             (unsigned long long)subscriber->read_bytes, (unsigned long long)expected_bytes(subscriber),
             (unsigned long long)subscriber->lane.skipped_bytes);
}

/* The connection is gone and everything it took has arrived. */
static void subscriber_retire(struct subscriber *subscriber)
{
        const struct lane *lane = &subscriber->lane;
        bool broken = sim_peer_is_broken(subscriber->peer);
        bool at_boundary = subscriber->head_bytes == 0;
        if (subscriber->complete && !broken) {
                must(sim_peer_is_ended(subscriber->peer), "lane %llx", (unsigned long long)lane->id);
                must(subscriber->read_bytes == subscriber->released_bytes, "lane %llx", (unsigned long long)lane->id);
                must(subscriber->read_events == lane->account.released, "lane %llx: %llu events came, %llu released",
                     (unsigned long long)lane->id, (unsigned long long)subscriber->read_events,
                     (unsigned long long)lane->account.released);
                must(at_boundary, "lane %llx ends inside an operation, cut %d", (unsigned long long)lane->id,
                     lane->is_cut);
                if (!lane->is_cut) {
                        check_all_came(subscriber);
                        check_gaps(subscriber);
                }
                totals.whole++;
        }
        totals.broken += broken;
        totals.cut_slow += lane->is_cut && lane->loss == LOSS_SLOW_CONSUMER;
        totals.cut_memory += lane->is_cut && lane->loss == LOSS_MEMORY_SHED;
        free(subscriber->expected);
        *subscriber = (struct subscriber){.state = FREE};
}

/* ---- a recount of everything ---- */

struct count {
        const struct chunk *chunk;
        uint32_t pins;
};

static void recount_stream(const struct stream *stream, struct count *counts, size_t *counts_count, size_t counts_max)
{
        uint64_t byte = stream->oldest == NULL ? stream->head_byte : stream->oldest->first_byte;
        uint64_t event = stream->oldest == NULL ? stream->head_event : stream->oldest->first_event;
        const struct chunk *last = NULL;
        for (const struct chunk *chunk = stream->oldest; chunk != NULL; chunk = chunk->next) {
                must(chunk->first_byte == byte && chunk->first_event == event, "a chunk's numbers");
                byte += chunk->used_bytes;
                must(chunk->events_count <= chunk->operations_count, "a chunk's events");
                event += chunk->events_count;
                last = chunk;
                if (*counts_count < counts_max)
                        counts[(*counts_count)++] = (struct count){.chunk = chunk};
        }
        must(byte == stream->head_byte && event == stream->head_event, "a stream's head");
        must(last == stream->tail, "a stream's tail");
        must(stream->oldest == NULL || stream->oldest->pins > 0, "the oldest chunk is kept for nobody");
}

static void recount_pin(struct place place, struct count *counts, size_t counts_count)
{
        for (size_t i = 0; i < counts_count; i++)
                if (counts[i].chunk == place.chunk) {
                        counts[i].pins++;
                        must(place.offset < place.chunk->used_bytes, "a place behind its chunk's bytes");
                        return;
                }
        wrong("a place in a chunk that no stream holds");
}

#define COUNTS_MAX 4096

static void recount_lane(const struct subscriber *subscriber, struct count *counts, size_t counts_count)
{
        const struct lane *lane = &subscriber->lane;
        uint64_t spans_count = 0;
        for (const struct lane_span *span = lane->first; span != NULL; span = span->next) {
                must(span->bytes > 0, "an empty closed span");
                must(span->next != NULL || span == lane->last, "the last span is not the last");
                recount_pin(span->place, counts, counts_count);
                spans_count++;
        }
        must(spans_count == lane->spans_count, "closed spans");
        if (lane->cohort != NULL && !lane->idle)
                recount_pin(lane->place, counts, counts_count);
        must(lane->lent_bytes <= lane_pending_bytes(lane), "more is lent than waits");
        must(lane_sent_bytes(lane) == subscriber->released_bytes, "lane %llx: %llu bytes were sent, and %llu released",
             (unsigned long long)lane->id, (unsigned long long)lane_sent_bytes(lane),
             (unsigned long long)subscriber->released_bytes);
        if (!lane->is_cut)
                must(lane_pending_bytes(lane) ==
                             expected_bytes(subscriber) - subscriber->released_bytes - subscriber->lane.skipped_bytes,
                     "lane %llx: %llu bytes wait, %llu should", (unsigned long long)lane->id,
                     (unsigned long long)lane_pending_bytes(lane),
                     (unsigned long long)(expected_bytes(subscriber) - subscriber->released_bytes -
                                          subscriber->lane.skipped_bytes));
}

/* The dumbest right version of every pin, count and number. */
static void recount(struct world *world)
{
        static struct count counts[COUNTS_MAX];
        size_t counts_count = 0;
        uint64_t chunk_bytes = 0, spans_count = 0;
        struct list *link;
        for (size_t i = 0; i < SUBSCRIBERS_MAX; i++)
                if (world->subscribers[i].state > OPENING && world->subscribers[i].state < GONE) {
                        recount_stream(&world->subscribers[i].lane.own, counts, &counts_count, COUNTS_MAX);
                        spans_count += world->subscribers[i].lane.spans_count - world->subscribers[i].lane.spare_used;
                }
        for (size_t i = 0; i < COHORTS_MAX; i++)
                if (world->groups[i] != NULL)
                        recount_stream(&world->groups[i]->cohort.stream, counts, &counts_count, COUNTS_MAX);
        if (counts_count == COUNTS_MAX)
                return;
        struct account account = world->lanes.closed;
        for (size_t i = 0; i < SUBSCRIBERS_MAX; i++)
                if (world->subscribers[i].state > OPENING && world->subscribers[i].state < GONE) {
                        struct account of_lane;
                        uint64_t pending;
                        recount_lane(&world->subscribers[i], counts, counts_count);
                        check_account(world, &world->subscribers[i]);
                        lane_account(&world->subscribers[i].lane, &of_lane, &pending);
                        account_add(&account, &of_lane);
                }
        must(account.matched == world->lanes.account.matched, "matched by all lanes");
        must(account.released >= world->lanes.account.released, "released by all lanes");
        must(memcmp(account.dropped, world->lanes.account.dropped, sizeof account.dropped) == 0,
             "dropped by all lanes");
        for (size_t i = 0; i < COHORTS_MAX; i++) {
                if (world->groups[i] == NULL)
                        continue;
                const struct cohort *cohort = &world->groups[i]->cohort;
                uint32_t members_count = 0;
                for (link = cohort->idle.next; link != &cohort->idle; link = link->next, members_count++)
                        must(list_entry(link, struct lane, link)->idle, "not idle in the idle list");
                for (link = cohort->behind.next; link != &cohort->behind; link = link->next, members_count++)
                        must(!list_entry(link, struct lane, link)->idle, "idle in the behind list");
                must(members_count == cohort->members_count, "members");
                uint64_t pending = 0;
                for (size_t j = 0; j < SUBSCRIBERS_MAX; j++)
                        if (world->subscribers[j].state > OPENING && world->subscribers[j].state < GONE)
                                pending += lane_pending_of(&world->subscribers[j].lane, cohort);
                must(cohort->matched == cohort->released + cohort->dropped + pending,
                     "cohort %u: %llu matched, %llu released, %llu dropped, %llu pending", world->groups[i]->number,
                     (unsigned long long)cohort->matched, (unsigned long long)cohort->released,
                     (unsigned long long)cohort->dropped, (unsigned long long)pending);
                if (cohort->idle_place.chunk != NULL) {
                        recount_pin(cohort->idle_place, counts, counts_count);
                        must(!list_is_empty(&cohort->idle), "an idle place of nobody");
                        must(list_is_linked(&cohort->dirty_link), "an idle place without a flush to come");
                }
        }
        for (size_t i = 0; i < counts_count; i++) {
                must(counts[i].pins == counts[i].chunk->pins, "a chunk has %u pins and should have %u",
                     counts[i].chunk->pins, counts[i].pins);
                chunk_bytes += counts[i].chunk->block_bytes;
        }
        must(chunk_bytes == world->lanes.memory.taken_bytes, "%llu bytes of chunks, %zu taken",
             (unsigned long long)chunk_bytes, world->lanes.memory.taken_bytes);
        must(spans_count == world->lanes.spans.objects_taken, "spans");
}

/* ---- a turn ---- */

static void take_event(struct world *world, const struct io_event *event)
{
        struct subscriber *subscriber = world->by_index[io_id_index(event->id)];
        struct lanes *lanes = &world->lanes;
        if (event->kind == IO_ACCEPTED) {
                must(subscriber == NULL, "an index is given out twice");
                for (size_t i = 0; i < SUBSCRIBERS_MAX; i++)
                        if (world->subscribers[i].state == OPENING &&
                            sim_peer_id(world->subscribers[i].peer) == event->id)
                                subscriber = &world->subscribers[i];
                must(subscriber != NULL, "somebody unknown was accepted");
                world->by_index[io_id_index(event->id)] = subscriber;
                lane_init(&subscriber->lane, event->id);
                subscriber->policies = draw_policies(world);
                for (unsigned policy = 0; world->lags && policy < LAG_POLICIES; policy++)
                        if (policy == LAG_DROP_OLDEST || policy == LAG_CONFLATE || !one_in(world, 2))
                                lane_set_lag(
                                        lanes, &subscriber->lane,
                                        (struct lag){(enum lag_policy)policy, world->lag_bytes_min << below(world, 4)});
                subscriber->state = OPEN;
                return;
        }
        must(subscriber != NULL && subscriber->lane.id == event->id, "an event for a dead id");
        switch (event->kind) {
        case IO_RELEASED:
                subscriber->released_bytes += event->sent;
                lane_released(lanes, &subscriber->lane, event->bytes, event->sent, event->sends, io_now_ns(world->io));
                if (subscriber->state == FINISHING && lane_is_drained(&subscriber->lane))
                        subscriber_shut(world, subscriber);
                break;
        case IO_WRITABLE:
                lane_writable(lanes, &subscriber->lane);
                break;
        case IO_ENDED:
                subscriber->half = true;
                if (event->error != 0)
                        subscriber_close(world, subscriber);
                else if (subscriber->state == OPEN)
                        subscriber_finish(world, subscriber);
                else if (subscriber->state == SHUT)
                        subscriber_close(world, subscriber);
                break;
        case IO_CLOSED:
                subscriber_gone(world, subscriber);
                break;
        default:
                break;
        }
}

static void take_cut_lanes(struct world *world)
{
        struct lane *lane;
        while ((lane = lanes_take_cut(&world->lanes)) != NULL) {
                struct subscriber *subscriber = container_of(lane, struct subscriber, lane);
                if (subscriber->state == OPEN)
                        subscriber_finish(world, subscriber);
                else if (subscriber->state == FINISHING && lane_is_drained(lane))
                        subscriber_shut(world, subscriber);
        }
}

/* Poll, take up, let the world act, cut, flush: as a reactor does. */
static void turn(struct world *world, uint64_t wait_ns, void (*act)(struct world *world))
{
        struct io_event events[EVENTS_MAX];
        uint64_t now_ns = io_now_ns(world->io);
        uint64_t deadline_ns = lanes_tend(&world->lanes, now_ns);
        if (wait_ns != UINT64_MAX && now_ns + wait_ns < deadline_ns)
                deadline_ns = now_ns + wait_ns;
        for (size_t i = 0; i < SUBSCRIBERS_MAX; i++) {
                struct subscriber *subscriber = &world->subscribers[i];
                if ((subscriber->state == FINISHING || subscriber->state == SHUT) &&
                    subscriber->finish_ns < deadline_ns)
                        deadline_ns = subscriber->finish_ns;
        }
        for (bool again = true; again; deadline_ns = 0) {
                int count = io_poll(world->io, events, EVENTS_MAX, deadline_ns);
                for (int i = 0; i < count; i++)
                        take_event(world, &events[i]);
                again = count > 0 && one_in(world, 4); /* as a reactor that reads on before it flushes */
        }
        for (size_t i = 0; i < SUBSCRIBERS_MAX; i++) {
                struct subscriber *subscriber = &world->subscribers[i];
                if ((subscriber->state == FINISHING || subscriber->state == SHUT) &&
                    subscriber->finish_ns <= io_now_ns(world->io))
                        subscriber_close(world, subscriber);
        }
        act(world);
        lanes_tend(&world->lanes, io_now_ns(world->io));
        take_cut_lanes(world);
        (void)lanes_flush(&world->lanes,
                          io_now_ns(world->io) % 3 == 0 ? 2 : SIZE_MAX); /* some are left for the next turn */
        free_ended_groups(world);
        totals.turns++;
        if (totals.turns % 4 == 0)
                recount(world);
}

/* ---- what the world does ---- */

static void connect_one(struct world *world)
{
        for (size_t i = 0; i < world->subscribers_max; i++) {
                struct subscriber *subscriber = &world->subscribers[i];
                if (subscriber->state != FREE)
                        continue;
                subscriber->state = OPENING;
                subscriber->peer = sim_connect(world->io, 1);
                return;
        }
}

static void append_private(struct world *world, struct subscriber *subscriber)
{
        struct record record = draw_record(world, 0);
        if (record.body_bytes > 3000 && !one_in(world, 8))
                record.body_bytes = 10; /* replies are small, mostly */
        bool is_owed = !subscriber->lane.is_cut;
        if (one_in(world, 2)) {
                if (is_owed)
                        expect(world, subscriber, &record, STREAM_REPLY);
                static uint8_t bytes[RECORD_BYTES(BODY_BYTES_MAX)];
                lane_append(&world->lanes, &subscriber->lane, span_of(bytes, record_write(bytes, &record)));
                return;
        }
        uint32_t flags = one_in(world, 4) ? STREAM_REPLY : STREAM_EVENT;
        flags |= stream_lag_flags(draw_policy(world, subscriber->policies));
        size_t bound = RECORD_BYTES(record.body_bytes) + below(world, 100);
        uint8_t *room = lane_reserve(&world->lanes, &subscriber->lane, bound, flags);
        if (is_owed)
                expect(world, subscriber, &record, flags);
        if (room != NULL)
                lane_commit(&world->lanes, &subscriber->lane, record_write(room, &record), flags);
}

static void join_any(struct world *world, struct subscriber *subscriber)
{
        if (subscriber->lane.is_cut || subscriber->lane.cohort != NULL)
                return;
        struct group *group = group_of(world, below(world, world->cohorts_max));
        group->joined = true;
        lane_join(&world->lanes, &subscriber->lane, &group->cohort);
}

static void act_on_engine(struct world *world, struct subscriber *subscriber)
{
        uint64_t kind = below(world, 32);
        if (subscriber->state != OPEN)
                return;
        if (kind < 6) {
                join_any(world, subscriber);
        } else if (kind < 7 && world->moves) {
                lane_leave(&world->lanes, &subscriber->lane);
                if (one_in(world, 2))
                        join_any(world, subscriber);
        } else if (kind < 13 && world->privates) {
                append_private(world, subscriber);
        } else if (kind < 14 && world->churn && one_in(world, 8)) {
                subscriber_finish(world, subscriber);
        } else if (kind < 15 && world->churn && one_in(world, 16)) {
                subscriber_close(world, subscriber);
        }
}

static void act_on_peer(struct world *world, struct subscriber *subscriber)
{
        struct sim_peer *peer = subscriber->peer;
        subscriber_read(subscriber);
        if (sim_peer_is_ended(peer) && !subscriber->peer_shut && one_in(world, 4)) {
                subscriber->peer_shut = true;
                sim_peer_shutdown(peer);
        }
        switch (below(world, 64)) {
        case 0:
                if (one_in(world, 4))
                        sim_peer_stall(peer);
                break;
        case 1:
                sim_peer_resume(peer);
                break;
        case 2:
                if (world->churn && one_in(world, 8))
                        sim_peer_reset(peer);
                break;
        case 3:
                if (world->churn && one_in(world, 8) && !subscriber->peer_shut) {
                        subscriber->peer_shut = true;
                        if (one_in(world, 2))
                                sim_peer_close(peer);
                        else
                                sim_peer_shutdown(peer);
                }
                break;
        default:
                break;
        }
}

static void act_freely(struct world *world)
{
        uint64_t actions = below(world, 12);
        for (uint64_t i = 0; i < actions; i++) {
                struct subscriber *subscriber = &world->subscribers[below(world, world->subscribers_max)];
                struct group *group = world->groups[below(world, world->cohorts_max)];
                switch (below(world, 4)) {
                case 0:
                        if (group != NULL)
                                append_to_group(world, group);
                        break;
                case 1:
                        if (subscriber->state == FREE && one_in(world, 2))
                                connect_one(world);
                        break;
                default:
                        act_on_engine(world, subscriber);
                        break;
                }
        }
        for (size_t i = 0; i < world->subscribers_max; i++) {
                struct subscriber *subscriber = &world->subscribers[i];
                if (subscriber->state == FREE)
                        continue;
                act_on_peer(world, subscriber);
                /* A while after the connection is gone the last bytes have come, unless the peer is stalled. */
                if (subscriber->state == GONE && one_in(world, 64) && !sim_peer_is_stalled(subscriber->peer) &&
                    (sim_peer_is_broken(subscriber->peer) || sim_peer_is_ended(subscriber->peer))) {
                        subscriber_read(subscriber);
                        subscriber_retire(subscriber);
                }
        }
}

static void act_readingly(struct world *world)
{
        for (size_t i = 0; i < SUBSCRIBERS_MAX; i++) {
                struct subscriber *subscriber = &world->subscribers[i];
                if (subscriber->state == FREE)
                        continue;
                if (sim_peer_is_stalled(subscriber->peer))
                        sim_peer_resume(subscriber->peer);
                subscriber_read(subscriber);
                if (sim_peer_is_ended(subscriber->peer) && !subscriber->peer_shut) {
                        subscriber->peer_shut = true;
                        sim_peer_shutdown(subscriber->peer);
                }
        }
}

/* Until nothing moves any more; every peer reads. */
static void settle(struct world *world)
{
        unsigned idle_turns = 0; /* two in a row: what was done in the first one had no consequence */
        for (unsigned turns = 0; turns < 2000000; turns++) {
                turn(world, UINT64_MAX, act_readingly);
                idle_turns = sim_is_idle(world->io) ? idle_turns + 1 : 0;
                if (idle_turns == 2)
                        return;
        }
        wrong("it never comes to rest");
}

static void check_open_ones_have_all(struct world *world)
{
        for (size_t i = 0; i < SUBSCRIBERS_MAX; i++) {
                struct subscriber *subscriber = &world->subscribers[i];
                if (subscriber->state != OPEN || sim_peer_is_broken(subscriber->peer))
                        continue;
                must(!subscriber->lane.is_cut, "a cut lane is open");
                must(lane_is_drained(&subscriber->lane) && subscriber->lane.lent_bytes == 0,
                     "lane %llx has not drained", (unsigned long long)subscriber->lane.id);
                check_all_came(subscriber);
        }
        for (size_t i = 0; i < COHORTS_MAX; i++)
                must(world->groups[i] == NULL || world->groups[i]->cohort.stream.oldest == NULL,
                     "a drained cohort holds chunks");
}

static uint64_t run(uint64_t seed, enum sim_mode mode, FILE *trace)
{
        static struct world world;
        struct sim_settings settings = sim_settings_rough(seed, mode);
        struct io_settings io_settings = {.backend = IO_BACKEND_SIM, .conns_max = SUBSCRIBERS_MAX};
        char bound[IO_ADDRESS_BYTES_MAX];
        world = (struct world){.seed = seed, .mode = mode};
        random_init(&world.random, seed * 2 + 1);
        list_init(&world.ended);
        world.subscribers_max = 1 + (uint32_t)below(&world, SUBSCRIBERS_MAX);
        world.cohorts_max = 1 + (uint32_t)below(&world, COHORTS_MAX);
        world.large_events = one_in(&world, 2);
        world.moves = !one_in(&world, 4);
        world.privates = !one_in(&world, 4);
        world.churn = one_in(&world, 2);
        if (one_in(&world, 2))
                settings.reset = 0;
        if (world.large_events && settings.segment_bytes_max < 1000)
                settings.segment_bytes_max += 1000; /* a megabyte in crumbs only takes time */
        settings.trace = trace;
        settings.check_always = trace != NULL;
        uint64_t lag_bytes_max = (uint64_t)16384 << below(&world, 8);
        world.lags = one_in(&world, 2);
        world.keys = 1u << below(&world, 9);
        world.lag_bytes_min = lag_bytes_max;
        uint64_t stall_ns_max = NS_PER_MS << below(&world, 13);
        bool few_spans = one_in(&world, 4);
        size_t spans_max = few_spans ? 4 + below(&world, 100) : 4096;
        if (lanes_init(&world.lanes, 4 << 20 << below(&world, 3), spans_max, lag_bytes_max, stall_ns_max) != 0 ||
            sim_start(&world.io, &io_settings, &settings) != 0 || io_listen(world.io, "sim:1", 1, bound) != 0)
                wrong("cannot start");
        if (world.lags &&
            lanes_set_lag(&world.lanes, world.lag_bytes_min, 15, NS_PER_MS << below(&world, 6), seed) != 0)
                wrong("no memory");
        world.lanes.io = world.io;
        world.lanes.cohort_ended = cohort_ended;
        world.lanes.lost = lost;
        world.lanes.context = &world;

        uint64_t turns = 50 + below(&world, 400);
        for (uint64_t i = 0; i < turns; i++)
                turn(&world, one_in(&world, 3) ? 0 : below(&world, (uint64_t)1000 << below(&world, 11)), act_freely);
        settle(&world);
        check_open_ones_have_all(&world);
        for (size_t i = 0; i < SUBSCRIBERS_MAX; i++) {
                struct subscriber *subscriber = &world.subscribers[i];
                if (subscriber->state == OPEN && one_in(&world, 2))
                        subscriber_finish(&world, subscriber);
                else if (subscriber->state == OPEN)
                        subscriber_close(&world, subscriber);
        }
        settle(&world);
        for (size_t i = 0; i < SUBSCRIBERS_MAX; i++) {
                struct subscriber *subscriber = &world.subscribers[i];
                must(subscriber->state == FREE || subscriber->state == GONE || subscriber->state == OPENING,
                     "subscriber %zu is in state %d", i, (int)subscriber->state);
                if (subscriber->state == GONE)
                        subscriber_retire(subscriber);
        }
        free_ended_groups(&world);
        for (size_t i = 0; i < COHORTS_MAX; i++) {
                if (world.groups[i] == NULL)
                        continue;
                must(!world.groups[i]->joined, "cohort %u was deserted and nobody was told", world.groups[i]->number);
                cohort_fini(&world.groups[i]->cohort);
                free(world.groups[i]);
        }
        must(sim_lent_bytes(world.io) == 0, "lent bytes");
        must(sim_ids_count(world.io) == 0, "ids");
        must(world.lanes.memory.taken_bytes == 0, "memory");
        must(world.lanes.spans.objects_taken == 0, "spans");
        const struct account *account = &world.lanes.account;
        must(memcmp(account, &world.lanes.closed, sizeof *account) == 0, "the accounts of closed lanes");
        must(account->matched == world.matched && account->released == world.released &&
                     account->matched == account->released + account_dropped(account),
             "the ledger: %llu matched, %llu released, %llu dropped, and %llu and %llu should be",
             (unsigned long long)account->matched, (unsigned long long)account->released,
             (unsigned long long)account_dropped(account), (unsigned long long)world.matched,
             (unsigned long long)world.released);
        must(world.lost == account_dropped(account), "%llu of %llu losses were told", (unsigned long long)world.lost,
             (unsigned long long)account_dropped(account));
        totals.dropped += account_dropped(account);
        uint64_t hash = sim_trace_hash(world.io);
        io_stop(world.io);
        lanes_fini(&world.lanes);
        return hash;
}

static void tell_seed(int signal_number)
{
        char line[160];
        int size = snprintf(line, sizeof(line), "sim_stream: replay with --seed %llu --mode %s --trace\n",
                            (unsigned long long)current_seed, mode_name(current_mode));
        if (write(STDERR_FILENO, line, (size_t)size) < 0)
                _exit(2);
        signal(signal_number, SIG_DFL);
        raise(signal_number);
}

int main(int argc, char **argv)
{
        uint64_t first = 1, count = 200;
        bool modes[2] = {true, true}, trace = false;
        for (int i = 1; i < argc; i++) {
                if (strcmp(argv[i], "--trace") == 0) {
                        trace = true;
                } else if (i + 1 < argc && strcmp(argv[i], "--seed") == 0) {
                        first = strtoull(argv[++i], NULL, 10);
                        count = 1;
                } else if (i + 1 < argc && strcmp(argv[i], "--seeds") == 0) {
                        count = strtoull(argv[++i], NULL, 10);
                } else if (i + 1 < argc && strcmp(argv[i], "--mode") == 0) {
                        i++;
                        modes[SIM_KERNEL] = strcmp(argv[i], "kernel") == 0;
                        modes[SIM_TCP] = strcmp(argv[i], "tcp") == 0;
                } else {
                        fprintf(stderr, "sim_stream [--seed N] [--seeds COUNT] [--mode kernel|tcp] [--trace]\n");
                        return 2;
                }
        }
        struct random random;
        random_init(&random, 42);
        for (size_t i = 0; i < sizeof(body_table); i++)
                body_table[i] = (uint8_t)random_next(&random);
        signal(SIGABRT, tell_seed);
        signal(SIGSEGV, tell_seed);
        for (current_seed = first; current_seed < first + count; current_seed++)
                for (size_t m = 0; m < 2; m++) {
                        current_mode = m == 0 ? SIM_KERNEL : SIM_TCP;
                        if (!modes[current_mode])
                                continue;
                        uint64_t hash = run(current_seed, current_mode, trace ? stdout : NULL);
                        if (current_seed % 50 == 1 && hash != run(current_seed, current_mode, NULL))
                                wrong("seed %llu does not replay", (unsigned long long)current_seed);
                }
        printf("%llu seeds: %llu turns, %llu operations due, %llu dropped, %llu of them skipped, %llu conflated, %llu "
               "refused, %llu lanes cut slow, %llu for memory, %llu broken, %llu complete\n",
               (unsigned long long)count, (unsigned long long)totals.turns, (unsigned long long)totals.operations,
               (unsigned long long)totals.dropped, (unsigned long long)totals.skipped,
               (unsigned long long)totals.conflated, (unsigned long long)totals.refused,
               (unsigned long long)totals.cut_slow, (unsigned long long)totals.cut_memory,
               (unsigned long long)totals.broken, (unsigned long long)totals.whole);
        return 0;
}
