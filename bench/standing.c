/* standing: see standing.h. */
#include "bench/standing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/bench.h"
#include "bench/link.h"
#include "bench/usage.h"
#include "engine/base/clock.h"
#include "engine/base/random.h"

#define SPAN_NS (500 * NS_PER_MS)
#define SPANS_MAX 4096           /* half an hour; those behind count no more */
#define SKIP_NS (50 * NS_PER_MS) /* of each span, until what the one before has left is done */
#define CHANGES_AT_ONCE 256
#define LINE_BYTES_MAX 96
#define PINGS_OUT_MAX 64 /* the server is that far behind: what is due meanwhile is not made up for */
#define CONFIRM_NS (60 * NS_PER_S)

struct span_of_time {
        double rate, cpu_rate; /* deliveries a second, and a second of the server's CPU time; 0: unknown */
};

struct standing {
        const struct recipe *recipe;
        struct link link;
        struct random random;
        uint32_t *generations; /* of each: how often it was replaced */
        char *out;
        uint64_t start_ns, made_ns; /* when the span began; until when changes were made */
        uint64_t from_ns, from_deliveries, from_cpu_ns;
        uint64_t changes, skipped;
        uint32_t pings_out;
        bool is_begun, is_counting, changes_now;
        struct span_of_time *spans; /* changing, resting, changing … */
        size_t spans_count;
};

static int standing_fail(const struct standing *standing, int failure, char error[512])
{
        snprintf(error, 512, "%s: the connection of the standing subscriptions: %s", standing->recipe->target.text,
                 strerror(-failure));
        return BENCH_FAILED;
}

static size_t write_subscribe(const struct standing *standing, uint64_t index, char *to)
{
        static const char *const forms[] = {"standing.%llu.of.%u", "standing.*.%llu.of.%u", "*.standing.%llu.of.%u"};
        char pattern[LINE_BYTES_MAX / 2];
        uint64_t row = index % 20 < 18 ? 0 : index % 20 - 17;
        /* NOLINTNEXTLINE(clang-diagnostic-format-nonliteral): they are all above */
        snprintf(pattern, sizeof(pattern), forms[row], (unsigned long long)index, standing->generations[index]);
        return (size_t)snprintf(to, LINE_BYTES_MAX, "SUB %s %llu\r\n", pattern, (unsigned long long)index + 1);
}

/* All PONGs that have come. 0 or -errno. */
static int standing_hear(struct standing *standing)
{
        struct unit unit;
        int got;
        while ((got = link_take(&standing->link, &unit)) > 0) {
                if (unit.kind == UNIT_PONG)
                        standing->pings_out--;
                else if (unit.kind == UNIT_ERROR)
                        return -EPROTO;
        }
        return got;
}

static int subscribe_all(struct standing *standing, char error[512])
{
        size_t size = 0;
        int failure = 0;
        for (uint64_t i = 0; i < standing->recipe->standing && failure == 0; i++) {
                size += write_subscribe(standing, i, standing->out + size);
                if (size < CHANGES_AT_ONCE * LINE_BYTES_MAX && i + 1 < standing->recipe->standing)
                        continue;
                failure = link_write(&standing->link, standing->out, size);
                size = 0;
        }
        if (failure == 0)
                failure = link_write(&standing->link, "PING\r\n", 6);
        uint64_t until_ns = clock_monotonic_ns() + CONFIRM_NS;
        struct unit unit = {.kind = UNIT_OTHER};
        while (failure == 0 && unit.kind != UNIT_PONG) {
                int got = link_wait(&standing->link, &unit, false, until_ns);
                failure = got < 0 ? got : got == 0 ? -ETIMEDOUT : unit.kind == UNIT_ERROR ? -EPROTO : 0;
        }
        return failure == 0 ? 0 : standing_fail(standing, failure, error);
}

int standing_new(struct standing **out, const struct recipe *recipe, char error[512])
{
        struct standing *standing = calloc(1, sizeof(*standing));
        if (standing == NULL)
                abort();
        *out = standing;
        standing->recipe = recipe;
        standing->link.fd = -1;
        random_init(&standing->random, recipe->seed);
        standing->generations = calloc(recipe->standing, sizeof(*standing->generations));
        standing->spans = calloc(SPANS_MAX, sizeof(*standing->spans));
        standing->out = malloc((2 * CHANGES_AT_ONCE + 2) * LINE_BYTES_MAX);
        if (standing->generations == NULL || standing->spans == NULL || standing->out == NULL)
                abort();
        int failure = link_open(&standing->link, recipe, error);
        return failure != 0 ? failure : subscribe_all(standing, error);
}

void standing_free(struct standing *standing)
{
        if (standing == NULL)
                return;
        link_close(&standing->link);
        free(standing->generations);
        free(standing->spans);
        free(standing->out);
        free(standing);
}

/* Two changes each: one goes, another comes in its place. */
static int standing_change(struct standing *standing, uint64_t now_ns)
{
        uint64_t pairs = (now_ns - standing->made_ns) * standing->recipe->change_rate / 2 / NS_PER_S;
        if (pairs == 0)
                return 0;
        standing->made_ns += pairs * 2 * NS_PER_S / standing->recipe->change_rate;
        uint64_t now = pairs < CHANGES_AT_ONCE ? pairs : CHANGES_AT_ONCE;
        if (standing->pings_out >= PINGS_OUT_MAX)
                now = 0;
        standing->skipped += 2 * (pairs - now);
        standing->changes += 2 * now;
        if (now == 0)
                return 0;
        size_t size = 0;
        for (uint64_t i = 0; i < now; i++) {
                uint64_t index = random_below(&standing->random, standing->recipe->standing);
                size += (size_t)snprintf(standing->out + size, LINE_BYTES_MAX, "UNSUB %llu\r\n",
                                         (unsigned long long)index + 1);
                standing->generations[index]++;
                size += write_subscribe(standing, index, standing->out + size);
        }
        memcpy(standing->out + size, "PING\r\n", 6);
        standing->pings_out++;
        return link_write(&standing->link, standing->out, size + 6);
}

static uint64_t server_cpu_ns(const struct standing *standing)
{
        struct usage usage = {.cpu_ns = 0};
        if (standing->recipe->server_pid != 0)
                (void)usage_read((int)standing->recipe->server_pid, &usage);
        return usage.cpu_ns;
}

static void span_end(struct standing *standing, uint64_t now_ns, uint64_t deliveries)
{
        if (!standing->is_counting || standing->spans_count == SPANS_MAX)
                return;
        double count = (double)(deliveries - standing->from_deliveries);
        uint64_t cpu_ns = server_cpu_ns(standing) - standing->from_cpu_ns;
        standing->spans[standing->spans_count++] =
                (struct span_of_time){.rate = count * 1e9 / (double)(now_ns - standing->from_ns),
                                      .cpu_rate = cpu_ns == 0 ? 0 : count * 1e9 / (double)cpu_ns};
}

int standing_turn(struct standing *standing, uint64_t now_ns, uint64_t deliveries, char error[512])
{
        if (standing->recipe->change_rate == 0)
                return 0;
        if (!standing->is_begun || now_ns - standing->start_ns >= SPAN_NS) {
                span_end(standing, now_ns, deliveries);
                standing->changes_now = !standing->is_begun || !standing->changes_now;
                standing->is_begun = true;
                standing->is_counting = false;
                standing->start_ns = standing->made_ns = now_ns;
        } else if (!standing->is_counting && now_ns - standing->start_ns >= SKIP_NS) {
                standing->is_counting = true;
                standing->from_ns = now_ns;
                standing->from_deliveries = deliveries;
                standing->from_cpu_ns = server_cpu_ns(standing);
        }
        int failure = standing->changes_now ? standing_change(standing, now_ns) : 0;
        if (failure == 0)
                failure = standing_hear(standing);
        return failure >= 0 ? 0 : standing_fail(standing, failure, error);
}

static int by_size(const void *a, const void *b)
{
        double left = *(const double *)a, right = *(const double *)b;
        return (left > right) - (left < right);
}

static double median(double *numbers, size_t count)
{
        if (count == 0)
                return 0;
        qsort(numbers, count, sizeof(*numbers), by_size);
        return count % 2 == 1 ? numbers[count / 2] : (numbers[count / 2 - 1] + numbers[count / 2]) / 2;
}

/* Of every span with changes to the mean of the two that it stands between. */
static double median_ratio(const struct standing *standing, bool of_cpu)
{
        double *ratios = calloc(SPANS_MAX, sizeof(*ratios));
        size_t count = 0;
        if (ratios == NULL)
                abort();
        for (size_t i = 2; i + 1 < standing->spans_count; i += 2) {
                const struct span_of_time *spans = &standing->spans[i];
                double with = of_cpu ? spans[0].cpu_rate : spans[0].rate;
                double without = of_cpu ? spans[-1].cpu_rate + spans[1].cpu_rate : spans[-1].rate + spans[1].rate;
                if (without > 0)
                        ratios[count++] = 2 * with / without;
        }
        double found = median(ratios, count);
        free(ratios);
        return found;
}

static double median_rate(const struct standing *standing, bool is_changing)
{
        double *rates = calloc(SPANS_MAX, sizeof(*rates));
        size_t count = 0;
        if (rates == NULL)
                abort();
        for (size_t i = is_changing ? 0 : 1; i < standing->spans_count; i += 2)
                rates[count++] = standing->spans[i].rate;
        double found = median(rates, count);
        free(rates);
        return found;
}

void standing_report(struct standing *standing, struct report *report)
{
        report_number(report, "standing", (double)standing->recipe->standing);
        if (standing->recipe->change_rate == 0)
                return;
        report_number(report, "changes", (double)standing->changes);
        report_number(report, "changes_skipped", (double)standing->skipped);
        report_number(report, "deliveries_per_s_changing", median_rate(standing, true));
        report_number(report, "deliveries_per_s_resting", median_rate(standing, false));
        report_number(report, "changing_to_resting", median_ratio(standing, false));
        if (standing->recipe->server_pid != 0)
                report_number(report, "changing_to_resting_per_server_cpu_s", median_ratio(standing, true));
}
