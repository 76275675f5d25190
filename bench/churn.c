/* churn: see churn.h. Publishers are a crowd's; readers are links, read unit by unit. */
#include "bench/churn.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "bench/accounts.h"
#include "bench/bench.h"
#include "bench/crowd.h"
#include "bench/link.h"
#include "bench/usage.h"
#include "engine/base/clock.h"
#include "engine/base/random.h"

#define SUBSCRIPTIONS_MAX 4
#define MARKS_MAX 16
#define AGE_NS_MAX (20 * NS_PER_MS) /* older than this on arrival: let readers catch up before more is published */
#define TURN_MS 1
#define UNITS_A_READ 20000 /* then others are served */
#define SILENCE_NS (3 * NS_PER_S)
#define HOLD_NS_MAX (120 * NS_PER_S)

enum subscription_state { SUBSCRIPTION_FREE, SUBSCRIPTION_ASKED, SUBSCRIPTION_ACTIVE, SUBSCRIPTION_ENDING };

struct subscription {
        enum subscription_state state;
        uint32_t sid;
        uint32_t subject;
        struct tally *tallies; /* one a publisher */
        uint64_t *due;         /* one a publisher: the first number that must come; TALLY_ANY: not known yet */
};

/* What a PONG will mean. */
struct mark {
        enum { MARK_SUBSCRIBED, MARK_UNSUBSCRIBED, MARK_LEFT } kind;
        uint32_t subscription;
};

struct reader {
        struct link link;
        uint16_t port;
        bool rests_at_times;
        bool rests;
        bool is_leaving;
        uint64_t turns_ns; /* when it rests or reads again */
        uint64_t received;
        uint64_t gaps;
        uint32_t sids;
        struct subscription subscriptions[SUBSCRIPTIONS_MAX];
        struct mark marks[MARKS_MAX];
        uint32_t marks_first, marks_count;
};

struct churn {
        struct crowd crowd; /* publishers only */
        const struct recipe *recipe;
        struct reader *readers;
        struct accounts *accounts;
        struct random random;
        int epoll_fd;
        uint64_t now_ns;
        uint64_t start_ns, acted;
        uint64_t braked_ns;  /* do not publish before */
        uint64_t granted;    /* events */
        uint64_t grant_ns;   /* until when they were granted */
        uint64_t moved_ns;   /* the last delivery */
        uint64_t deliveries; /* all that was received */
        uint64_t abrupt_deliveries;
        uint64_t gaps;         /* of readers that always read: there must be none */
        uint64_t resting_gaps; /* of the others */
        uint64_t duplicated, reordered, corrupted;
        uint64_t stray; /* to no subscription of its connection, or behind the answer to its UNSUB */
        uint64_t foreign;
        uint64_t subscribed, unsubscribed, left, broke, cut, resting_cut;
        struct latency ages;
};

static void churn_fail(struct churn *churn, const char *what, const struct reader *reader)
{
        crowd_fail(&churn->crowd, BENCH_FAILED, "reader %u: %s", (unsigned)(reader - churn->readers), what);
}

/* ---- one subscription ---- */

static void subscription_begin(struct churn *churn, struct subscription *subscription, uint32_t sid)
{
        uint64_t publishers = churn->recipe->publishers;
        subscription->state = SUBSCRIPTION_ASKED;
        subscription->sid = sid;
        subscription->subject = (uint32_t)(random_next(&churn->random) % churn->recipe->subjects);
        for (uint64_t p = 0; p < publishers; p++) {
                subscription->tallies[p].next = TALLY_ANY;
                subscription->due[p] = TALLY_ANY;
        }
        churn->subscribed++;
}

/* It is acknowledged: what is stamped from now on must come. */
static void subscription_confirm(struct churn *churn, struct subscription *subscription)
{
        if (subscription->state == SUBSCRIPTION_ASKED)
                subscription->state = SUBSCRIPTION_ACTIVE;
        for (uint64_t p = 0; p < churn->recipe->publishers; p++)
                if (subscription->tallies[p].next == TALLY_ANY)
                        subscription->due[p] = churn->crowd.publishers[p].outbox->sequences[subscription->subject];
}

static void gaps_add(struct churn *churn, struct reader *reader, uint64_t gaps)
{
        reader->gaps += gaps;
        *(reader->rests_at_times ? &churn->resting_gaps : &churn->gaps) += gaps;
}

/* Adds up and forgets. `is_whole`: everything published must have come. */
static void subscription_end(struct churn *churn, struct reader *reader, struct subscription *subscription,
                             bool is_whole)
{
        struct tally_sums sums = {0};
        for (uint64_t p = 0; p < churn->recipe->publishers; p++) {
                struct tally *tally = &subscription->tallies[p];
                uint64_t published = churn->crowd.publishers[p].outbox->sequences[subscription->subject];
                if (is_whole && tally->next == TALLY_ANY && subscription->due[p] != TALLY_ANY)
                        sums.lost += published - subscription->due[p];
                tally_sum(tally, is_whole ? published : 0, &sums);
                tally_fini(tally);
        }
        gaps_add(churn, reader, sums.lost);
        churn->duplicated += sums.duplicated;
        churn->reordered += sums.reordered;
        subscription->state = SUBSCRIPTION_FREE;
}

/* ---- one reader ---- */

static void reader_watch(struct churn *churn, struct reader *reader, bool reads)
{
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = reader};
        epoll_ctl(churn->epoll_fd, reads ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, reader->link.fd, &event);
}

static void reader_say(struct churn *churn, struct reader *reader, struct mark mark, const char *format, ...)
        __attribute__((format(printf, 4, 5)));
/* Says something that ends in a PING, whose PONG means `mark`. */
static void reader_say(struct churn *churn, struct reader *reader, struct mark mark, const char *format, ...)
{
        char text[512];
        va_list arguments;
        va_start(arguments, format);
        int size = vsnprintf(text, sizeof(text) - 8, format, arguments);
        va_end(arguments);
        strcat(text, "PING\r\n");
        assert(reader->marks_count < MARKS_MAX && size < 500);
        reader->marks[(reader->marks_first + reader->marks_count++) % MARKS_MAX] = mark;
        /* A few bytes on a connection that we write little to. If they do not fit, its end will be heard of. */
        if (send(reader->link.fd, text, (size_t)size + 6, MSG_NOSIGNAL) != size + 6 && errno != EPIPE &&
            errno != ECONNRESET)
                churn_fail(churn, "it does not take our SUB or UNSUB", reader);
}

static void reader_subscribe(struct churn *churn, struct reader *reader, uint32_t at)
{
        char subject[SUBJECT_BYTES_MAX];
        struct subscription *subscription = &reader->subscriptions[at];
        subscription_begin(churn, subscription, ++reader->sids);
        crowd_pattern(churn->recipe, subscription->subject, subject);
        reader_say(churn, reader, (struct mark){MARK_SUBSCRIBED, at}, "SUB %s %u\r\n", subject, subscription->sid);
}

static void reader_unsubscribe(struct churn *churn, struct reader *reader, uint32_t at)
{
        struct subscription *subscription = &reader->subscriptions[at];
        subscription->state = SUBSCRIPTION_ENDING;
        churn->unsubscribed++;
        reader_say(churn, reader, (struct mark){MARK_UNSUBSCRIBED, at}, "UNSUB %u\r\n", subscription->sid);
}

static void reader_leave(struct churn *churn, struct reader *reader)
{
        char text[256] = "";
        for (uint32_t i = 0; i < SUBSCRIPTIONS_MAX; i++)
                if (reader->subscriptions[i].state != SUBSCRIPTION_FREE)
                        snprintf(text + strlen(text), sizeof(text) - strlen(text), "UNSUB %u\r\n",
                                 reader->subscriptions[i].sid);
        reader->is_leaving = true;
        reader_say(churn, reader, (struct mark){MARK_LEFT, 0}, "%s", text);
}

static void reader_row(struct churn *churn, const struct reader *reader, const char *state)
{
        accounts_row(churn->accounts, "{\"port\":%u,\"state\":\"%s\",\"rests\":%s,\"received\":%llu,\"gaps\":%llu}",
                     reader->port, state, reader->rests_at_times ? "true" : "false",
                     (unsigned long long)reader->received, (unsigned long long)reader->gaps);
}

/* Opens it and asks for a first subscription. Who rests at times asks for all it will ever have: what is skipped while
 * a SUB or UNSUB is under way, a client cannot know. */
static void reader_open(struct churn *churn, struct reader *reader)
{
        char error[LINK_ERROR_BYTES];
        int failure = link_open(&reader->link, churn->recipe, error);
        if (failure != 0) {
                crowd_fail(&churn->crowd, failure, "%s", error);
                return;
        }
        reader->port = accounts_port(reader->link.fd);
        reader->rests = reader->is_leaving = false;
        reader->received = reader->gaps = 0;
        reader->sids = reader->marks_first = reader->marks_count = 0;
        reader_watch(churn, reader, true);
        for (uint32_t i = 0; i < (reader->rests_at_times ? SUBSCRIPTIONS_MAX : 1); i++)
                reader_subscribe(churn, reader, i);
}

static void reader_end(struct churn *churn, struct reader *reader, const char *state)
{
        for (uint32_t i = 0; i < SUBSCRIPTIONS_MAX; i++)
                if (reader->subscriptions[i].state != SUBSCRIPTION_FREE)
                        subscription_end(churn, reader, &reader->subscriptions[i], false);
        reader_row(churn, reader, state);
        link_close(&reader->link);
}

static struct subscription *reader_find(struct reader *reader, struct span sid)
{
        for (uint32_t i = 0; i < SUBSCRIPTIONS_MAX; i++) {
                char text[16];
                snprintf(text, sizeof(text), "%u", reader->subscriptions[i].sid);
                if (reader->subscriptions[i].state != SUBSCRIPTION_FREE && span_equal(sid, span_of_text(text)))
                        return &reader->subscriptions[i];
        }
        return NULL;
}

static void reader_message(struct churn *churn, struct reader *reader, const struct unit *unit)
{
        struct subscription *subscription = reader_find(reader, unit->sid);
        struct stamp stamp;
        churn->deliveries++;
        churn->moved_ns = churn->now_ns;
        reader->received++;
        if (subscription == NULL) {
                churn->stray++;
                return;
        }
        const struct shape *shape = &churn->crowd.delivery_shapes[subscription->subject];
        const uint8_t *name = shape->header + strlen("MSG ");
        uint64_t publishers = churn->recipe->publishers;
        if (!span_starts_with(span_of(name, shape->header_bytes - strlen("MSG ")), unit->subject)) {
                churn->foreign++;
                return;
        }
        if (unit->body.size != churn->recipe->payload_bytes ||
            (churn->recipe->verify && !check_holds(unit->body.bytes, (uint32_t)unit->body.size))) {
                churn->corrupted++;
                return;
        }
        memcpy(&stamp, unit->body.bytes, sizeof(stamp));
        uint64_t publisher = stamp_publisher(stamp.word), sequence = stamp_sequence(stamp.word);
        if (publisher >= publishers) {
                churn->corrupted++;
                return;
        }
        struct tally *tally = &subscription->tallies[publisher];
        uint64_t due = subscription->due[publisher];
        if (tally->next == TALLY_ANY && due != TALLY_ANY && sequence > due)
                gaps_add(churn, reader, sequence - due);
        tally_take(tally, sequence);
        if (!reader->rests_at_times) {
                uint64_t age_ns = churn->now_ns > stamp.intended_ns ? churn->now_ns - stamp.intended_ns : 0;
                latency_record(&churn->ages, age_ns);
                if (age_ns > AGE_NS_MAX)
                        churn->braked_ns = churn->now_ns + AGE_NS_MAX / 4;
        }
}

/* True when the reader has left. */
static bool reader_pong(struct churn *churn, struct reader *reader)
{
        if (reader->marks_count == 0) {
                churn_fail(churn, "a PONG that nobody asked for", reader);
                return false;
        }
        struct mark mark = reader->marks[reader->marks_first];
        reader->marks_first = (reader->marks_first + 1) % MARKS_MAX;
        reader->marks_count--;
        struct subscription *subscription = &reader->subscriptions[mark.subscription];
        if (mark.kind == MARK_SUBSCRIBED)
                subscription_confirm(churn, subscription);
        else if (mark.kind == MARK_UNSUBSCRIBED)
                subscription_end(churn, reader, subscription, false);
        return mark.kind == MARK_LEFT;
}

static void reader_serve(struct churn *churn, struct reader *reader)
{
        struct unit unit;
        churn->now_ns = clock_monotonic_ns();
        for (uint32_t units = 0; units < UNITS_A_READ && churn->crowd.failure == 0; units++) {
                int got = link_take(&reader->link, &unit);
                if (got == 0)
                        return;
                if (got < 0) {
                        *(reader->rests_at_times ? &churn->resting_cut : &churn->cut) += 1;
                        reader_end(churn, reader, "cut");
                        reader_open(churn, reader);
                        return;
                }
                if (unit.kind == UNIT_MESSAGE) {
                        reader_message(churn, reader, &unit);
                } else if (unit.kind == UNIT_PONG && reader_pong(churn, reader)) {
                        churn->left++;
                        reader_end(churn, reader, "left");
                        reader_open(churn, reader);
                        return;
                } else if (unit.kind == UNIT_ERROR && !reader->rests_at_times) {
                        churn_fail(churn, "the server sent an error", reader);
                }
        }
}

/* ---- what happens to them ---- */

static void act(struct churn *churn)
{
        struct reader *reader = &churn->readers[random_next(&churn->random) % churn->recipe->subscribers];
        uint32_t at = (uint32_t)(random_next(&churn->random) % SUBSCRIPTIONS_MAX);
        uint64_t leaves = random_next(&churn->random) % 1000;
        if (reader->rests_at_times || reader->is_leaving || reader->marks_count >= MARKS_MAX - 2)
                return;
        if (leaves < churn->recipe->abrupt_per_mille) {
                churn->broke++;
                churn->abrupt_deliveries += reader->received;
                reader_end(churn, reader, "broke");
                reader_open(churn, reader);
        } else if (leaves >= 950) {
                reader_leave(churn, reader);
        } else if (reader->subscriptions[at].state == SUBSCRIPTION_FREE) {
                reader_subscribe(churn, reader, at);
        } else if (reader->subscriptions[at].state == SUBSCRIPTION_ACTIVE) {
                reader_unsubscribe(churn, reader, at);
        }
}

static void rest_in_turn(struct churn *churn)
{
        uint64_t mean_ns = churn->recipe->stall_ms * NS_PER_MS;
        for (uint64_t i = 0; i < churn->recipe->stall_count; i++) {
                struct reader *reader = &churn->readers[i];
                if (churn->now_ns < reader->turns_ns || mean_ns == 0 || reader->marks_count != 0)
                        continue;
                reader->turns_ns = churn->now_ns + random_next(&churn->random) % (2 * mean_ns) + 1;
                reader->rests = !reader->rests;
                reader_watch(churn, reader, !reader->rests);
        }
}

static void publish(struct churn *churn)
{
        struct crowd *crowd = &churn->crowd;
        uint64_t due = (uint64_t)((double)(churn->now_ns - churn->grant_ns) * (double)churn->recipe->rate / 1e9);
        if (churn->now_ns < churn->braked_ns || crowd->published != churn->granted) {
                churn->grant_ns = churn->now_ns; /* what was not published in that time is not made up for */
                return;
        }
        if (due == 0)
                return;
        churn->grant_ns = churn->now_ns;
        for (uint64_t i = 0; i < due; i++)
                crowd->publishers[(churn->granted + i) % churn->recipe->publishers].outbox->credit++;
        churn->granted += due;
        for (uint64_t i = 0; i < churn->recipe->publishers; i++)
                crowd_publish(crowd, &crowd->publishers[i]);
}

static void churn_turn(struct churn *churn)
{
        struct epoll_event events[256];
        int count = epoll_wait(churn->epoll_fd, events, (int)array_count(events), TURN_MS);
        for (int i = 0; i < count && churn->crowd.failure == 0; i++) {
                struct reader *reader = events[i].data.ptr;
                if (!reader->rests)
                        reader_serve(churn, reader);
        }
        crowd_turn(&churn->crowd, 0);
        churn->now_ns = clock_monotonic_ns();
}

static void churn_for(struct churn *churn, uint64_t time_ns)
{
        uint64_t until_ns = clock_monotonic_ns() + time_ns;
        while (clock_monotonic_ns() < until_ns && churn->crowd.failure == 0)
                churn_turn(churn);
}

/* ---- the run ---- */

static void churn_load(struct churn *churn)
{
        const struct recipe *recipe = churn->recipe;
        churn->now_ns = churn->start_ns = churn->grant_ns = churn->moved_ns = clock_monotonic_ns();
        uint64_t until_ns = churn->start_ns + recipe->run_ns;
        while (churn->deliveries < recipe->count && churn->now_ns < until_ns && churn->crowd.failure == 0) {
                uint64_t due = (uint64_t)((double)(churn->now_ns - churn->start_ns) * (double)recipe->churn_rate / 1e9);
                for (; churn->acted < due && churn->crowd.failure == 0; churn->acted++)
                        act(churn);
                rest_in_turn(churn);
                publish(churn);
                churn_turn(churn);
                if (churn->now_ns - churn->moved_ns > 5 * SILENCE_NS)
                        crowd_fail(&churn->crowd, BENCH_FAILED,
                                   "nothing was delivered for 15 s although events are due");
        }
}

static bool is_settled(const struct churn *churn)
{
        if (churn->crowd.published != churn->granted)
                return false;
        for (uint64_t i = 0; i < churn->recipe->subscribers; i++) {
                const struct reader *reader = &churn->readers[i];
                if (reader->marks_count != 0)
                        return false;
                for (uint32_t s = 0; s < SUBSCRIPTIONS_MAX; s++) {
                        const struct subscription *subscription = &reader->subscriptions[s];
                        if (subscription->state == SUBSCRIPTION_FREE)
                                continue;
                        for (uint64_t p = 0; p < churn->recipe->publishers; p++) {
                                uint64_t published =
                                        churn->crowd.publishers[p].outbox->sequences[subscription->subject];
                                uint64_t next = subscription->tallies[p].next;
                                if (next == TALLY_ANY ? subscription->due[p] < published : next < published)
                                        return false;
                        }
                }
        }
        return true;
}

/* Nothing new; everybody reads until everything has come or nothing comes any more. */
static void churn_settle(struct churn *churn)
{
        for (uint64_t i = 0; i < churn->recipe->stall_count; i++) {
                if (churn->readers[i].rests)
                        reader_watch(churn, &churn->readers[i], true);
                churn->readers[i].rests = false;
        }
        churn->moved_ns = churn->now_ns = clock_monotonic_ns();
        while (!is_settled(churn) && churn->now_ns - churn->moved_ns < SILENCE_NS && churn->crowd.failure == 0)
                churn_turn(churn);
        churn_for(churn, 200 * NS_PER_MS); /* what should not come would come now */
        for (uint64_t i = 0; i < churn->recipe->subscribers && churn->crowd.failure == 0; i++) {
                struct reader *reader = &churn->readers[i];
                for (uint32_t s = 0; s < SUBSCRIPTIONS_MAX; s++)
                        if (reader->subscriptions[s].state != SUBSCRIPTION_FREE)
                                subscription_end(churn, reader, &reader->subscriptions[s], true);
                reader_row(churn, reader, "open");
        }
        accounts_close(churn->accounts);
        churn->accounts = NULL;
}

/* Everybody stays connected until standard input says something or ends. */
static void churn_hold(struct churn *churn)
{
        struct pollfd heard = {.fd = STDIN_FILENO, .events = POLLIN};
        uint64_t until_ns = clock_monotonic_ns() + HOLD_NS_MAX;
        fprintf(stderr, "settled\n");
        while (clock_monotonic_ns() < until_ns && poll(&heard, 1, 0) == 0 && churn->crowd.failure == 0)
                churn_turn(churn);
}

static void churn_report(struct churn *churn, uint64_t end_ns, const struct usage *from, const struct usage *to,
                         struct report *report)
{
        const struct recipe *recipe = churn->recipe;
        double seconds = (double)(end_ns - churn->start_ns) / 1e9;
        uint64_t faults = churn->gaps + churn->duplicated + churn->reordered + churn->corrupted + churn->stray +
                          churn->foreign + churn->cut;
        report_text(report, "mode", mode_names[recipe->mode]);
        report_text(report, "address", recipe->target.text);
        report_number(report, "publishers", (double)recipe->publishers);
        report_number(report, "subscribers", (double)recipe->subscribers);
        report_number(report, "subjects", (double)recipe->subjects);
        report_number(report, "seconds", seconds);
        report_number(report, "events", (double)churn->crowd.published);
        report_number(report, "deliveries", (double)churn->deliveries);
        report_number(report, "deliveries_per_s", (double)churn->deliveries / seconds);
        report_number(report, "abrupt_deliveries", (double)churn->abrupt_deliveries);
        report_number(report, "subscribed", (double)churn->subscribed);
        report_number(report, "unsubscribed", (double)churn->unsubscribed);
        report_number(report, "left", (double)churn->left);
        report_number(report, "broke", (double)churn->broke);
        report_number(report, "resting_cut", (double)churn->resting_cut);
        report_number(report, "resting_gaps", (double)churn->resting_gaps);
        report_number(report, "lost", (double)churn->gaps);
        report_number(report, "duplicated", (double)churn->duplicated);
        report_number(report, "reordered", (double)churn->reordered);
        report_number(report, "corrupted", (double)churn->corrupted);
        report_number(report, "stray", (double)churn->stray);
        report_number(report, "foreign", (double)churn->foreign);
        report_number(report, "cut", (double)churn->cut);
        if (recipe->server_pid != 0)
                report_number(report, "server_cpu_s", (double)(to->cpu_ns - from->cpu_ns) / 1e9);
        report_latency(report, &churn->ages);
        if (faults != 0)
                crowd_fail(&churn->crowd, BENCH_FAILED,
                           "the stream was not whole: %llu lost, %llu duplicated, %llu reordered, %llu corrupted, "
                           "%llu to no subscription, %llu of another subject, %llu healthy readers cut",
                           (unsigned long long)churn->gaps, (unsigned long long)churn->duplicated,
                           (unsigned long long)churn->reordered, (unsigned long long)churn->corrupted,
                           (unsigned long long)churn->stray, (unsigned long long)churn->foreign,
                           (unsigned long long)churn->cut);
}

static void *array_of(uint64_t count, size_t size)
{
        void *memory = calloc(count, size);
        if (memory == NULL)
                abort();
        return memory;
}

static void churn_init(struct churn *churn, const struct recipe *recipe)
{
        churn->recipe = recipe;
        random_init(&churn->random, recipe->seed);
        churn->readers = array_of(recipe->subscribers, sizeof(struct reader));
        churn->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        churn->accounts = accounts_open(recipe->accounts);
        for (uint64_t i = 0; i < recipe->subscribers; i++) {
                struct reader *reader = &churn->readers[i];
                reader->link.fd = -1;
                reader->rests_at_times = i < recipe->stall_count;
                for (uint32_t s = 0; s < SUBSCRIPTIONS_MAX; s++) {
                        reader->subscriptions[s].tallies = array_of(recipe->publishers, sizeof(struct tally));
                        reader->subscriptions[s].due = array_of(recipe->publishers, sizeof(uint64_t));
                }
        }
}

static void churn_fini(struct churn *churn)
{
        for (uint64_t i = 0; i < churn->recipe->subscribers; i++) {
                struct reader *reader = &churn->readers[i];
                for (uint32_t s = 0; s < SUBSCRIPTIONS_MAX; s++) {
                        for (uint64_t p = 0; p < churn->recipe->publishers; p++)
                                tally_fini(&reader->subscriptions[s].tallies[p]);
                        free(reader->subscriptions[s].tallies);
                        free(reader->subscriptions[s].due);
                }
                link_close(&reader->link);
        }
        accounts_close(churn->accounts);
        close(churn->epoll_fd);
        free(churn->readers);
}

int churn_run(const struct recipe *recipe, struct report *report, char error[512])
{
        struct churn *churn = array_of(1, sizeof(*churn));
        struct usage from = {0}, to = {0};
        churn_init(churn, recipe);
        if (crowd_init(&churn->crowd, recipe) == 0 && crowd_open(&churn->crowd, recipe->publishers, 0) == 0) {
                for (uint64_t i = 0; i < recipe->subscribers && churn->crowd.failure == 0; i++)
                        reader_open(churn, &churn->readers[i]);
                if (recipe->server_pid != 0)
                        usage_read((int)recipe->server_pid, &from);
                churn_load(churn);
                if (recipe->server_pid != 0)
                        usage_read((int)recipe->server_pid, &to);
                uint64_t end_ns = clock_monotonic_ns();
                churn_settle(churn);
                if (recipe->hold && churn->crowd.failure == 0)
                        churn_hold(churn);
                churn_report(churn, end_ns, &from, &to, report);
        }
        int failure = churn->crowd.failure;
        snprintf(error, 512, "%s", churn->crowd.error);
        churn_fini(churn);
        crowd_fini(&churn->crowd);
        free(churn);
        return failure;
}
