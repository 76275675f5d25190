/* fan: see fan.h. */
#include "bench/fan.h"

#include <stdlib.h>

#include "bench/bench.h"
#include "bench/crowd.h"
#include "bench/logins.h"
#include "bench/progress.h"
#include "bench/stallwatch.h"
#include "bench/standing.h"
#include "bench/usage.h"
#include "engine/base/clock.h"

#define GATES 8 /* more than a subscriber can be ahead of the slowest */
#define GRANT_FREE_EVENTS 65536
#define TURN_WAIT_NS (20 * NS_PER_MS)
#define BESIDE_WAIT_NS (500 * NS_PER_US) /* where something else is looked after as well */
#define SAMPLE_PINGS_MAX 3               /* a server sends one at the beginning; --sample takes at most a minute */
#define SPAN_NS_MIN NS_PER_S             /* in less, it may be chance that nothing comes */
#define SLICES_MAX 200                   /* of a long run; a short one has slices of SLICE_NS */
#define SLICE_NS (100 * NS_PER_MS)
#define SILENCE_NS_MAX (15 * NS_PER_S)  /* nothing comes although something is due: give up */
#define DRAIN_SILENCE_NS (2 * NS_PER_S) /* at the end: what has not come by then is lost */
#define DRAIN_SILENCE_STALL_NS (6 * NS_PER_S)

/* The figures that are read at both ends of the measured span. */
struct mark {
        uint64_t now_ns;
        uint64_t published;
        uint64_t deliveries;
        uint64_t reads;
        uint64_t read_bytes;
        uint64_t own_cpu_ns;
        struct usage server;
};

struct fan {
        struct crowd crowd;
        const struct recipe *recipe;
        struct logins *logins;     /* NULL: none */
        struct standing *standing; /* NULL: none */
        struct series *series;     /* the report's; NULL before the measured span */
        struct progress progress;
        struct stallwatch *watch; /* NULL: nobody stalls for good, or the kernel does not tell */
        uint64_t gate;            /* how many gates everybody has passed */
        uint64_t gate_events;
        uint64_t gate_passed[GATES];
        uint64_t gated_count; /* subscribers that count for the gates */
        uint64_t granted;
        uint64_t start_ns;
        uint64_t random;
        bool is_stopping;
};

static bool is_closed_loop(const struct fan *fan)
{
        return fan->recipe->mode == MODE_FAN || fan->recipe->mode == MODE_WILDCARD;
}

static uint64_t intended_ns(void *pacer, struct member *publisher, uint64_t event)
{
        const struct fan *fan = pacer;
        uint64_t index = event * fan->recipe->publishers + publisher->number;
        return fan->start_ns + (uint64_t)((double)index * 1e9 / (double)fan->recipe->rate);
}

/* Spreads `events` more over the publishers, in turn, so that event i belongs to publisher i modulo their number. */
static void grant(struct fan *fan, uint64_t events)
{
        uint64_t publishers = fan->recipe->publishers;
        uint64_t first = fan->granted % publishers;
        for (uint64_t i = 0; i < publishers; i++) {
                uint64_t turn = (i + publishers - first) % publishers;
                uint64_t share = events / publishers + (turn < events % publishers ? 1 : 0);
                fan->crowd.publishers[i].outbox->credit += share;
        }
        fan->granted += events;
        for (uint64_t i = 0; i < publishers; i++)
                if (fan->crowd.publishers[i].outbox->credit != 0)
                        crowd_publish(&fan->crowd, &fan->crowd.publishers[i]);
}

static void grant_closed(struct fan *fan)
{
        uint64_t allowed = (fan->gate * fan->gate_events + fan->recipe->window) * fan->recipe->subjects;
        if (!fan->is_stopping && allowed > fan->granted)
                grant(fan, allowed - fan->granted);
}

static void grant_open(struct fan *fan, uint64_t now_ns)
{
        uint64_t due = (uint64_t)((double)(now_ns - fan->start_ns) * (double)fan->recipe->rate / 1e9) + 1;
        if (!fan->is_stopping && due > fan->granted)
                grant(fan, due - fan->granted);
}

/* Flat out without anybody to wait for: the socket is the brake. */
static void grant_free(struct fan *fan)
{
        uint64_t low = GRANT_FREE_EVENTS * fan->recipe->publishers;
        uint64_t waiting = fan->granted - fan->crowd.published;
        if (!fan->is_stopping && waiting < low)
                grant(fan, low);
}

static void gates_open(struct fan *fan)
{
        bool opened = false;
        while (fan->gated_count != 0 && fan->gate_passed[fan->gate % GATES] == fan->gated_count) {
                fan->gate_passed[fan->gate % GATES] = 0;
                fan->gate++;
                opened = true;
        }
        if (opened)
                grant_closed(fan);
}

static void on_progress(void *pacer, struct member *member)
{
        struct fan *fan = pacer;
        if (!is_closed_loop(fan)) {
                if (recipe_is_open_loop(fan->recipe) && fan->start_ns != 0)
                        grant_open(fan, fan->crowd.now_ns);
                return;
        }
        if (member->stalls)
                return;
        if (member->state == MEMBER_CUT) {
                for (uint64_t gate = fan->gate; gate < member->gates_passed; gate++)
                        fan->gate_passed[gate % GATES]--;
                fan->gated_count--;
                gates_open(fan);
                return;
        }
        if (member->progress < (member->gates_passed + 1) * fan->gate_events)
                return;
        while (member->progress >= (member->gates_passed + 1) * fan->gate_events) {
                if (member->gates_passed >= fan->gate + GATES) {
                        crowd_fail(&fan->crowd, BENCH_FAILED, "subscriber %u was sent more than was published",
                                   member->number);
                        return;
                }
                fan->gate_passed[member->gates_passed % GATES]++;
                member->gates_passed++;
        }
        gates_open(fan);
}

static uint64_t random_next_ns(struct fan *fan, uint64_t mean_ns)
{
        fan->random = fan->random * 6364136223846793005u + 1442695040888963407u;
        return mean_ns == 0 ? 0 : (fan->random >> 20) % (2 * mean_ns) + 1;
}

/* Each staller reads and rests in turn; 0 ms means it rests for good. `stall_turns_ns`: the lowest bit says "resting".
 */
static void stallers_turn(struct fan *fan, uint64_t now_ns)
{
        uint64_t mean_ns = fan->recipe->stall_ms * NS_PER_MS;
        for (uint64_t i = 0; i < fan->recipe->stall_count; i++) {
                struct member *member = &fan->crowd.subscribers[i];
                bool rests = (member->stall_turns_ns & 1) != 0;
                if (member->state != MEMBER_READY || (member->stall_turns_ns | 1) > now_ns)
                        continue;
                if (rests && mean_ns == 0)
                        continue;
                crowd_stall(&fan->crowd, member, !rests);
                member->stall_turns_ns = ((now_ns + random_next_ns(fan, mean_ns)) & ~(uint64_t)1) | (rests ? 0 : 1);
        }
}

static void stallers_wake(struct fan *fan)
{
        for (uint64_t i = 0; i < fan->recipe->stall_count; i++)
                crowd_stall(&fan->crowd, &fan->crowd.subscribers[i], false);
}

static void fan_turn(struct fan *fan)
{
        uint64_t wait_ns = fan->recipe->spin ? 0 : TURN_WAIT_NS;
        if (recipe_is_open_loop(fan->recipe) && !fan->is_stopping) {
                uint64_t now_ns = clock_monotonic_ns();
                grant_open(fan, now_ns);
                uint64_t next_ns = fan->start_ns + (uint64_t)((double)fan->granted * 1e9 / (double)fan->recipe->rate);
                if (!fan->recipe->spin)
                        wait_ns = next_ns <= now_ns ? 0 : next_ns - now_ns;
        } else if (fan->recipe->mode == MODE_PUB) {
                grant_free(fan);
        }
        if (fan->recipe->gather_ns != 0 && !fan->is_stopping)
                nanosleep(&(struct timespec){.tv_nsec = (long)fan->recipe->gather_ns}, NULL);
        uint64_t wait_ns_max = fan->logins != NULL || fan->recipe->change_rate != 0 ? BESIDE_WAIT_NS : TURN_WAIT_NS;
        crowd_turn(&fan->crowd, wait_ns < wait_ns_max ? wait_ns : wait_ns_max);
        if (fan->recipe->stall_count != 0 && !fan->is_stopping)
                stallers_turn(fan, fan->crowd.now_ns);
        if (fan->logins != NULL && !fan->is_stopping)
                logins_turn(fan->logins, clock_monotonic_ns());
        if (fan->watch != NULL && !fan->is_stopping)
                stallwatch_turn(fan->watch, clock_monotonic_ns());
}

static void fan_mark(struct fan *fan, struct mark *mark)
{
        const struct crowd *crowd = &fan->crowd;
        *mark = (struct mark){.now_ns = clock_monotonic_ns(),
                              .published = crowd->published,
                              .deliveries = crowd->deliveries,
                              .reads = crowd->reads,
                              .read_bytes = crowd->read_bytes,
                              .own_cpu_ns = usage_own_cpu_ns()};
        if (fan->recipe->server_pid != 0 && usage_read((int)fan->recipe->server_pid, &mark->server) != 0)
                crowd_fail(&fan->crowd, BENCH_FAILED, "--server-pid %lld: there is no such process",
                           (long long)fan->recipe->server_pid);
}

/* Those that stand beside the load. */
static void fan_beside(struct fan *fan)
{
        char error[512];
        int failure = standing_turn(fan->standing, fan->crowd.now_ns, fan->crowd.deliveries, error);
        if (failure != 0)
                crowd_fail(&fan->crowd, failure, "%s", error);
}

static void fan_turn_until(struct fan *fan, uint64_t until_ns)
{
        struct crowd *crowd = &fan->crowd;
        while (clock_monotonic_ns() < until_ns && crowd->failure == 0) {
                fan_turn(fan);
                if (fan->series != NULL && fan->standing != NULL)
                        fan_beside(fan);
                if (fan->series != NULL)
                        series_turn(fan->series, crowd->now_ns, crowd->published, crowd->deliveries);
                progress_turn(&fan->progress, crowd->now_ns,
                              fan->recipe->mode == MODE_PUB ? crowd->published : crowd->deliveries, crowd->latency);
                bool is_due = is_closed_loop(fan) && fan->gated_count != 0;
                if (is_due && crowd->now_ns - crowd->last_read_ns > SILENCE_NS_MAX)
                        crowd_fail(crowd, BENCH_FAILED, "nothing was delivered for %llu s although events are due",
                                   (unsigned long long)(SILENCE_NS_MAX / NS_PER_S));
        }
}

static uint64_t published_to(const struct fan *fan, uint64_t publisher, uint64_t subject)
{
        const struct outbox *outbox = fan->crowd.publishers[publisher].outbox;
        return outbox == NULL ? 0 : outbox->sequences[subject];
}

static uint64_t progress_expected(const struct fan *fan)
{
        uint64_t expected = 0;
        for (uint64_t i = 0; i < fan->recipe->subscribers; i++) {
                const struct member *member = &fan->crowd.subscribers[i];
                if (member->stalls || member->state != MEMBER_READY)
                        continue;
                for (uint64_t p = 0; p < fan->recipe->publishers; p++)
                        expected += published_to(fan, p, i % fan->recipe->subjects);
        }
        return expected;
}

static bool is_written(const struct fan *fan)
{
        for (uint64_t i = 0; i < fan->recipe->publishers; i++) {
                const struct member *publisher = &fan->crowd.publishers[i];
                if (publisher->outbox != NULL && publisher->outbox->at != publisher->outbox->size &&
                    publisher->state == MEMBER_READY)
                        return false;
        }
        return true;
}

/* Nothing new is published; waits for what is under way. */
static void fan_drain(struct fan *fan)
{
        struct crowd *crowd = &fan->crowd;
        uint64_t patience_ns = fan->recipe->stall_count != 0 ? DRAIN_SILENCE_STALL_NS : DRAIN_SILENCE_NS;
        fan->is_stopping = true;
        for (uint64_t i = 0; i < fan->recipe->publishers; i++)
                if (crowd->publishers[i].outbox != NULL)
                        crowd->publishers[i].outbox->credit = 0;
        if (fan->recipe->mode == MODE_SUB)
                return;
        stallers_wake(fan);
        uint64_t deliveries = crowd->deliveries;
        uint64_t moved_ns = clock_monotonic_ns();
        while (crowd->failure == 0) {
                bool is_done =
                        is_written(fan) && (fan->recipe->mode == MODE_PUB || crowd->progress >= progress_expected(fan));
                if (is_done && fan->recipe->stall_count == 0)
                        break;
                crowd_turn(crowd, 5 * NS_PER_MS);
                uint64_t now_ns = clock_monotonic_ns();
                if (crowd->deliveries != deliveries)
                        moved_ns = now_ns;
                deliveries = crowd->deliveries;
                if (now_ns - moved_ns > (is_done ? NS_PER_S : patience_ns))
                        break;
        }
}

/* Whose bytes are only counted has these left at the end: none, or those of the PINGs that the server sent meanwhile.
 */
static bool is_pings(const struct fan *fan, uint32_t bytes)
{
        const uint32_t ping_bytes = 6;
        return bytes == 0 || (fan->recipe->target.protocol == PROTOCOL_NATS && bytes % ping_bytes == 0 &&
                              bytes <= SAMPLE_PINGS_MAX * ping_bytes);
}

static void tallies_sum(const struct fan *fan, bool stallers, struct tally_sums *sums)
{
        for (uint64_t i = 0; i < fan->recipe->subscribers; i++) {
                const struct member *member = &fan->crowd.subscribers[i];
                if (member->stalls != stallers || member->tallies == NULL)
                        continue;
                if (member->is_counted && member->state == MEMBER_READY &&
                    (!is_pings(fan, member->rest_bytes) ||
                     member->progress > published_to(fan, 0, i % fan->recipe->subjects)))
                        sums->duplicated++;
                for (uint64_t p = 0; p < fan->recipe->publishers; p++) {
                        /* Whoever was cut has no tail to miss: its connection is counted instead. */
                        uint64_t published = published_to(fan, p, i % fan->recipe->subjects);
                        tally_sum(&member->tallies[p], member->state == MEMBER_CUT ? 0 : published, sums);
                }
        }
}

/* Who has been silent at the end of the span has a gap, too, though no read has closed it. */
static void gaps_close(struct fan *fan)
{
        struct crowd *crowd = &fan->crowd;
        for (uint64_t i = 0; i < fan->recipe->subscribers; i++) {
                const struct member *member = &crowd->subscribers[i];
                if (member->stalls || member->state != MEMBER_READY || member->read_ns >= crowd->until_ns)
                        continue;
                uint64_t from_ns = member->read_ns > crowd->from_ns ? member->read_ns : crowd->from_ns;
                if (crowd->until_ns - from_ns > crowd->gap_ns_max)
                        crowd->gap_ns_max = crowd->until_ns - from_ns;
        }
}

static double per(double amount, double unit)
{
        return unit > 0 ? amount / unit : 0;
}

static void report_load(const struct fan *fan, struct report *report)
{
        const struct recipe *recipe = fan->recipe;
        report_text(report, "mode", mode_names[recipe->mode]);
        report_text(report, "address", recipe->target.text);
        report_number(report, "publishers", (double)recipe->publishers);
        report_number(report, "subscribers", (double)recipe->subscribers);
        report_number(report, "subjects", (double)recipe->subjects);
        report_number(report, "payload_bytes", (double)recipe->payload_bytes);
        report_number(report, "frame_bytes", (double)fan->crowd.delivery_shapes[0].frame_bytes);
        if (is_closed_loop(fan))
                report_number(report, "window_events", (double)recipe->window);
        if (recipe_is_open_loop(recipe))
                report_number(report, "rate_events_per_s", (double)recipe->rate);
        report_number(report, "verified", recipe->verify);
        report_number(report, "checked_subscribers", (double)(recipe->subscribers / recipe->sample));
}

static void report_span(const struct fan *fan, const struct mark *from, const struct mark *to, struct report *report)
{
        double seconds = (double)(to->now_ns - from->now_ns) / 1e9;
        double deliveries = (double)(to->deliveries - from->deliveries);
        double events = (double)(to->published - from->published);
        double own_s = (double)(to->own_cpu_ns - from->own_cpu_ns) / 1e9;
        report_number(report, "seconds", seconds);
        report_number(report, "events", events);
        report_number(report, "events_per_s", per(events, seconds));
        report_number(report, "deliveries", deliveries);
        report_number(report, "deliveries_per_s", per(deliveries, seconds));
        report_number(report, "bytes_per_read",
                      per((double)(to->read_bytes - from->read_bytes), (double)(to->reads - from->reads)));
        report_number(report, "client_load", per(own_s, seconds));
        report_number(report, "deliveries_per_client_cpu_s", per(deliveries, own_s));
        if (fan->recipe->server_pid == 0)
                return;
        double server_s = (double)(to->server.cpu_ns - from->server.cpu_ns) / 1e9;
        report_number(report, "server_cpu_s", server_s);
        report_number(report, "server_load", per(server_s, seconds));
        report_number(report, "deliveries_per_server_cpu_s", per(deliveries, server_s));
        report_number(report, "events_per_server_cpu_s", per(events, server_s));
        report_number(report, "server_rss_bytes", (double)to->server.rss_bytes);
        report_number(report, "server_rss_bytes_max", (double)to->server.rss_bytes_max);
}

static void report_faults(struct fan *fan, struct report *report)
{
        struct crowd *crowd = &fan->crowd;
        struct tally_sums healthy = {0};
        struct tally_sums stalled = {0};
        tallies_sum(fan, false, &healthy);
        tallies_sum(fan, true, &stalled);
        report_number(report, "lost", (double)healthy.lost);
        report_number(report, "duplicated", (double)(healthy.duplicated + stalled.duplicated));
        report_number(report, "reordered", (double)(healthy.reordered + stalled.reordered));
        report_number(report, "corrupted", (double)crowd->corrupted);
        report_number(report, "odd_frames", (double)crowd->odd);
        report_number(report, "cut", (double)crowd->cut);
        if (fan->recipe->stall_count != 0) {
                report_number(report, "stalled", (double)fan->recipe->stall_count);
                report_number(report, "stalled_lost", (double)stalled.lost);
                report_number(report, "stalled_cut", (double)crowd->stalled_cut);
        }
        if (healthy.lost != 0 || healthy.duplicated + stalled.duplicated != 0 || crowd->corrupted != 0 ||
            crowd->cut != 0 || healthy.reordered + stalled.reordered != 0)
                crowd_fail(crowd, BENCH_FAILED,
                           "the stream was not whole: %llu lost, %llu duplicated, %llu reordered, "
                           "%llu corrupted, %llu cut off%s%s",
                           (unsigned long long)healthy.lost,
                           (unsigned long long)(healthy.duplicated + stalled.duplicated),
                           (unsigned long long)(healthy.reordered + stalled.reordered),
                           (unsigned long long)crowd->corrupted, (unsigned long long)crowd->cut,
                           crowd->cut == 0 ? "" : "; first ", crowd->cut_why);
}

/* Lets the server finish what subscribing left it to do. */
static void fan_settle(struct fan *fan)
{
        uint64_t until_ns = clock_monotonic_ns() + fan->recipe->settle_ns;
        while (clock_monotonic_ns() < until_ns && fan->crowd.failure == 0)
                crowd_turn(&fan->crowd, TURN_WAIT_NS);
}

static void fan_load(struct fan *fan, struct report *report)
{
        const struct recipe *recipe = fan->recipe;
        struct crowd *crowd = &fan->crowd;
        struct mark from, to;
        if (recipe->standing != 0) {
                char error[512];
                int failure = standing_new(&fan->standing, recipe, error);
                if (failure != 0)
                        crowd_fail(crowd, failure, "%s", error);
        }
        fan_settle(fan);
        if (crowd->failure != 0)
                return;
        if (recipe->login_rate != 0)
                fan->logins = logins_new(recipe);
        if (recipe->stall_count != 0 && recipe->stall_ms == 0)
                fan->watch = stallwatch_new(crowd);
        fan->start_ns = clock_monotonic_ns();
        crowd->last_read_ns = fan->start_ns;
        crowd->from_ns = fan->start_ns + recipe->warmup_ns;
        crowd->until_ns = crowd->from_ns + recipe->run_ns;
        if (is_closed_loop(fan))
                grant_closed(fan);
        progress_init(&fan->progress, report->label, recipe->mode == MODE_PUB ? "events" : "deliveries", fan->start_ns,
                      crowd->until_ns);
        fan_turn_until(fan, crowd->from_ns);
        fan_mark(fan, &from);
        uint64_t slice_ns = recipe->run_ns / SLICES_MAX;
        fan->series = series_new(crowd->latency, slice_ns < SLICE_NS ? SLICE_NS : slice_ns, from.now_ns, from.published,
                                 from.deliveries);
        report->series = fan->series;
        fan_turn_until(fan, crowd->until_ns);
        fan_mark(fan, &to);
        progress_end(&fan->progress);
        /* The rest of a slice that is hardly begun would say nothing of a rate. */
        if (to.now_ns - fan->series->from_ns > fan->series->slice_ns / 2 || fan->series->slices_count == 0)
                series_cut(fan->series, to.now_ns, to.published, to.deliveries);
        gaps_close(fan);
        uint64_t due = fan->granted;
        uint64_t done = crowd->published;
        if (crowd->failure == 0)
                fan_drain(fan);
        if (recipe->mode != MODE_PUB && recipe->mode != MODE_SUB && recipe->run_ns >= SPAN_NS_MIN &&
            to.deliveries == from.deliveries && fan->gated_count != 0)
                crowd_fail(crowd, BENCH_FAILED, "nothing was delivered in the %.1f s that were measured",
                           (double)recipe->run_ns / 1e9);
        series_close(fan->series);
        report_load(fan, report);
        report_span(fan, &from, &to, report);
        if (recipe_is_open_loop(recipe))
                report_number(report, "late_events", (double)(due - done));
        if (recipe->mode != MODE_PUB) {
                if (crowd->latency->count != 0)
                        report_latency(report, crowd->latency);
                report_number(report, "silence_ms_max", (double)crowd->silence_ns_max / 1e6);
                report_number(report, "gap_ms_max", (double)crowd->gap_ns_max / 1e6);
        }
        if (fan->logins != NULL)
                logins_report(fan->logins, report);
        if (fan->standing != NULL)
                standing_report(fan->standing, report);
        if (fan->watch != NULL)
                stallwatch_report(fan->watch, report);
        report_faults(fan, report);
}

int fan_run(const struct recipe *recipe, struct report *report, char error[512])
{
        struct fan *fan = calloc(1, sizeof(*fan));
        if (fan == NULL)
                abort();
        fan->recipe = recipe;
        fan->gate_events = (recipe->window + 1) / 2;
        fan->gated_count = recipe->subscribers - recipe->stall_count;
        fan->random = clock_monotonic_ns();
        if (crowd_init(&fan->crowd, recipe) == 0) {
                fan->crowd.pacer = fan;
                fan->crowd.on_progress = on_progress;
                fan->crowd.is_timed = recipe_is_open_loop(recipe);
                if (recipe_is_open_loop(recipe))
                        fan->crowd.intended_ns = intended_ns;
                uint64_t opened_ns = clock_monotonic_ns();
                int failure = crowd_open(&fan->crowd, recipe->mode == MODE_SUB ? 0 : recipe->publishers,
                                         recipe->mode == MODE_PUB ? 0 : recipe->subscribers);
                uint64_t ready_ns = clock_monotonic_ns();
                if (failure == 0)
                        fan_load(fan, report);
                if (report->rows_count != 0)
                        report_number(report, "open_seconds", (double)(ready_ns - opened_ns) / 1e9);
        }
        int failure = fan->crowd.failure;
        snprintf(error, 512, "%s", fan->crowd.error);
        logins_free(fan->logins);
        standing_free(fan->standing);
        stallwatch_free(fan->watch);
        crowd_fini(&fan->crowd);
        free(fan);
        return failure;
}
