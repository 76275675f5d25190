/* drain: see drain.h. */
#include "bench/drain.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/crowd.h"
#include "bench/usage.h"
#include "engine/base/clock.h"

#define PING_NS (5 * NS_PER_MS)
#define PINGS_MAX 4096             /* that wait for an answer */
#define TURN_NS NS_PER_MS          /* the schedule is looked at so often */
#define END_NS_MAX (60 * NS_PER_S) /* a server that has not ended by then never will */

/* What a publisher may count on: the PINGs it waits for, in order, and how many events came before each. */
struct promise {
        uint64_t events_before[PINGS_MAX];
        uint64_t asked, heard;
        uint64_t confirmed;
        uint64_t ping_ns;
};

struct drain {
        struct crowd crowd;
        const struct recipe *recipe;
        struct promise *promises;
        uint64_t start_ns;
        uint64_t granted;
        uint64_t readers_left;
        uint64_t readers_ended_ns;
        uint64_t cut_early; /* readers that were cut before the server was told to stop */
        uint64_t late_events;
};

static uint64_t intended_ns(void *pacer, struct member *publisher, uint64_t event)
{
        const struct drain *drain = pacer;
        uint64_t index = event * drain->recipe->publishers + publisher->number;
        return drain->start_ns + (uint64_t)((double)index * 1e9 / (double)drain->recipe->rate);
}

static void on_progress(void *pacer, struct member *member)
{
        struct drain *drain = pacer;
        if (member->state != MEMBER_CUT || member->publishes)
                return;
        drain->readers_left--;
        drain->readers_ended_ns = drain->crowd.now_ns;
        drain->cut_early += !drain->crowd.ends_are_fine;
}

static void promise_hear(struct promise *promise, uint64_t pongs)
{
        while (promise->heard < promise->asked && promise->heard < pongs)
                promise->confirmed = promise->events_before[promise->heard++ % PINGS_MAX];
}

/* Behind whole events only. What the socket does not take now is asked later. */
static void promise_ask(struct drain *drain, struct member *publisher, struct promise *promise)
{
        const struct outbox *outbox = publisher->outbox;
        bool has_room = promise->asked - promise->heard < PINGS_MAX;
        if (outbox->at != outbox->size || !has_room || drain->crowd.now_ns - promise->ping_ns < PING_NS)
                return;
        if (send(publisher->fd, "PING\r\n", 6, MSG_NOSIGNAL) != 6)
                return;
        promise->events_before[promise->asked++ % PINGS_MAX] = outbox->events;
        promise->ping_ns = drain->crowd.now_ns;
}

static void drain_turn(struct drain *drain)
{
        struct crowd *crowd = &drain->crowd;
        uint64_t publishers = drain->recipe->publishers;
        uint64_t now_ns = clock_monotonic_ns();
        uint64_t due = (uint64_t)((double)(now_ns - drain->start_ns) * (double)drain->recipe->rate / 1e9) + 1;
        for (; drain->granted < due; drain->granted++)
                crowd->publishers[drain->granted % publishers].outbox->credit++;
        for (uint64_t i = 0; i < publishers; i++) {
                struct member *publisher = &crowd->publishers[i];
                promise_hear(&drain->promises[i], publisher->pongs - 1); /* the first answered the greeting */
                if (publisher->state != MEMBER_READY)
                        continue;
                crowd_publish(crowd, publisher);
                if (publisher->state == MEMBER_READY)
                        promise_ask(drain, publisher, &drain->promises[i]);
        }
        crowd_turn(crowd, TURN_NS);
}

static bool has_exited(int process_fd)
{
        struct pollfd wait = {.fd = process_fd, .events = POLLIN};
        return poll(&wait, 1, 0) == 1;
}

/* Reads on until the server is gone and every connection has been read to its end. When it was gone; 0: it is not. */
static uint64_t drain_to_the_end(struct drain *drain, int process_fd)
{
        uint64_t until_ns = clock_monotonic_ns() + END_NS_MAX;
        uint64_t gone_ns = 0;
        while (clock_monotonic_ns() < until_ns && drain->crowd.failure == 0) {
                drain_turn(drain);
                if (gone_ns == 0 && has_exited(process_fd)) {
                        gone_ns = clock_monotonic_ns();
                        until_ns = gone_ns + 5 * NS_PER_S; /* what the kernel still has for us */
                }
                if (gone_ns != 0 && drain->readers_left == 0)
                        break;
        }
        return gone_ns;
}

static void drain_report(struct drain *drain, uint64_t told_ns, uint64_t gone_ns, struct report *report)
{
        struct crowd *crowd = &drain->crowd;
        const struct recipe *recipe = drain->recipe;
        struct tally_sums sums = {0};
        uint64_t confirmed = 0, torn = 0, whole = 0;
        for (uint64_t i = 0; i < recipe->publishers; i++)
                confirmed += drain->promises[i].confirmed;
        for (uint64_t i = 0; i < recipe->subscribers; i++) {
                const struct member *member = &crowd->subscribers[i];
                uint64_t lost_before = sums.lost;
                for (uint64_t p = 0; p < recipe->publishers; p++)
                        tally_sum(&member->tallies[p], drain->promises[p].confirmed, &sums);
                torn += member->rest_bytes != 0;
                whole += sums.lost == lost_before;
        }
        report_text(report, "mode", mode_names[recipe->mode]);
        report_text(report, "address", recipe->target.text);
        report_number(report, "publishers", (double)recipe->publishers);
        report_number(report, "subscribers", (double)recipe->subscribers);
        report_number(report, "frame_bytes", (double)crowd->delivery_shapes[0].frame_bytes);
        report_number(report, "rate_events_per_s", (double)recipe->rate);
        report_number(report, "events", (double)crowd->published);
        report_number(report, "confirmed", (double)confirmed);
        report_number(report, "deliveries", (double)crowd->deliveries);
        report_number(report, "late_events_at_stop", (double)drain->late_events);
        report_number(report, "lost", (double)sums.lost);
        report_number(report, "lost_bytes", (double)sums.lost * crowd->delivery_shapes[0].frame_bytes);
        report_number(report, "readers_whole", (double)whole);
        report_number(report, "torn", (double)torn);
        report_number(report, "duplicated", (double)sums.duplicated);
        report_number(report, "reordered", (double)sums.reordered);
        report_number(report, "corrupted", (double)crowd->corrupted);
        report_number(report, "cut_early", (double)drain->cut_early);
        report_number(report, "not_ended", (double)drain->readers_left);
        report_number(report, "resets", (double)crowd->resets);
        report_number(report, "told_lame_duck", (double)crowd->lame_ducks);
        if (drain->readers_ended_ns > told_ns)
                report_number(report, "readers_ended_s", (double)(drain->readers_ended_ns - told_ns) / 1e9);
        if (gone_ns != 0)
                report_number(report, "drain_s", (double)(gone_ns - told_ns) / 1e9);
        if (gone_ns == 0)
                crowd_fail(crowd, BENCH_FAILED, "the server was told to stop and still runs");
        if (sums.lost + sums.duplicated + sums.reordered + crowd->corrupted + torn + drain->cut_early +
                    drain->readers_left !=
            0)
                crowd_fail(crowd, BENCH_FAILED,
                           "the drain was not clean: %llu confirmed deliveries lost, %llu operations torn, "
                           "%llu readers cut before, %llu not ended",
                           (unsigned long long)sums.lost, (unsigned long long)torn,
                           (unsigned long long)drain->cut_early, (unsigned long long)drain->readers_left);
}

static void drain_load(struct drain *drain, int process_fd, struct report *report)
{
        struct crowd *crowd = &drain->crowd;
        const struct recipe *recipe = drain->recipe;
        uint64_t settled_ns = clock_monotonic_ns() + recipe->settle_ns;
        while (clock_monotonic_ns() < settled_ns && crowd->failure == 0)
                crowd_turn(crowd, TURN_NS);
        drain->start_ns = clock_monotonic_ns();
        uint64_t until_ns = drain->start_ns + recipe->warmup_ns + recipe->run_ns;
        while (clock_monotonic_ns() < until_ns && crowd->failure == 0)
                drain_turn(drain);
        if (crowd->failure != 0)
                return;
        drain->late_events = drain->granted - crowd->published;
        crowd->ends_are_fine = true;
        uint64_t told_ns = clock_monotonic_ns();
        if (kill((pid_t)recipe->server_pid, SIGTERM) != 0) {
                crowd_fail(crowd, BENCH_FAILED, "SIGTERM to %lld: %s", (long long)recipe->server_pid, strerror(errno));
                return;
        }
        uint64_t gone_ns = drain_to_the_end(drain, process_fd);
        for (uint64_t i = 0; i < recipe->publishers; i++)
                promise_hear(&drain->promises[i], crowd->publishers[i].pongs - 1);
        drain_report(drain, told_ns, gone_ns, report);
}

int drain_run(const struct recipe *recipe, struct report *report, char error[512])
{
        struct drain *drain = calloc(1, sizeof(*drain));
        if (drain == NULL)
                abort();
        drain->recipe = recipe;
        drain->readers_left = recipe->subscribers;
        drain->promises = calloc(recipe->publishers, sizeof(struct promise));
        if (drain->promises == NULL)
                abort();
        int process_fd = (int)syscall(SYS_pidfd_open, (pid_t)recipe->server_pid, 0);
        if (crowd_init(&drain->crowd, recipe) == 0) {
                drain->crowd.pacer = drain;
                drain->crowd.on_progress = on_progress;
                drain->crowd.intended_ns = intended_ns;
                if (process_fd < 0)
                        crowd_fail(&drain->crowd, BENCH_FAILED, "--server-pid %lld: %s", (long long)recipe->server_pid,
                                   strerror(errno));
                else if (crowd_open(&drain->crowd, recipe->publishers, recipe->subscribers) == 0)
                        drain_load(drain, process_fd, report);
        }
        int failure = drain->crowd.failure;
        snprintf(error, 512, "%s", drain->crowd.error);
        crowd_fini(&drain->crowd);
        if (process_fd >= 0)
                close(process_fd);
        free(drain->promises);
        free(drain);
        return failure;
}
