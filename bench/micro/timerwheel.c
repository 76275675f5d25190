/* micro_timerwheel: what it costs to move a deadline and to let one come due, by the number of timers that are set.
 *
 *      move   a timer is set anew 120 s ahead: what every byte that a peer sends does to its silence
 *      fire   timers come due and set themselves again within a second
 *
 * The rival is a binary heap that knows where each timer lies, so that it can move one as well. */
#include <stdlib.h>

#include "bench/micro/micro.h"
#include "engine/base/clock.h"
#include "engine/base/random.h"
#include "engine/base/timerwheel.h"

#define AHEAD_NS (120 * NS_PER_S)
#define AGAIN_NS_MAX NS_PER_S
#define STEP_NS NS_PER_MS
#define PICKS 65536 /* numbers drawn beforehand */

struct heap_timer {
        uint64_t deadline_ns;
        size_t at; /* in the heap */
};

struct heap {
        struct heap_timer **timers;
        size_t count;
};

struct clockwork {
        size_t timers_count;
        uint64_t now_ns;
        uint64_t fired;
        uint32_t picks[PICKS];
        size_t picks_at;
        struct timerwheel wheel;
        struct timer *timers;
        struct heap heap;
        struct heap_timer *heap_timers;
};

static uint32_t pick(struct clockwork *clockwork)
{
        return clockwork->picks[clockwork->picks_at++ % PICKS];
}

static uint64_t soon_ns(struct clockwork *clockwork)
{
        return clockwork->now_ns + 1 + pick(clockwork) % AGAIN_NS_MAX;
}

static void heap_put(struct heap *heap, struct heap_timer *timer, size_t at)
{
        heap->timers[at] = timer;
        timer->at = at;
}

static void heap_rise(struct heap *heap, struct heap_timer *timer)
{
        size_t at = timer->at;
        while (at > 0 && heap->timers[(at - 1) / 2]->deadline_ns > timer->deadline_ns) {
                heap_put(heap, heap->timers[(at - 1) / 2], at);
                at = (at - 1) / 2;
        }
        heap_put(heap, timer, at);
}

static void heap_sink(struct heap *heap, struct heap_timer *timer)
{
        size_t at = timer->at;
        for (size_t child; (child = 2 * at + 1) < heap->count; at = child) {
                if (child + 1 < heap->count && heap->timers[child + 1]->deadline_ns < heap->timers[child]->deadline_ns)
                        child++;
                if (heap->timers[child]->deadline_ns >= timer->deadline_ns)
                        break;
                heap_put(heap, heap->timers[child], at);
        }
        heap_put(heap, timer, at);
}

static void heap_move(struct heap *heap, struct heap_timer *timer, uint64_t deadline_ns)
{
        bool is_later = deadline_ns > timer->deadline_ns;
        timer->deadline_ns = deadline_ns;
        if (is_later)
                heap_sink(heap, timer);
        else
                heap_rise(heap, timer);
}

static void wheel_all_ahead(struct clockwork *clockwork, bool soon)
{
        for (size_t i = 0; i < clockwork->timers_count; i++)
                timer_set(&clockwork->wheel, &clockwork->timers[i],
                          soon ? soon_ns(clockwork) : clockwork->now_ns + AHEAD_NS);
}

static void wheel_move(void *context, uint64_t operations)
{
        struct clockwork *clockwork = context;
        for (uint64_t i = 0; i < operations; i++) {
                clockwork->now_ns += NS_PER_US;
                timer_set(&clockwork->wheel, &clockwork->timers[pick(clockwork) % clockwork->timers_count],
                          clockwork->now_ns + AHEAD_NS);
        }
}

static void heap_move_ahead(void *context, uint64_t operations)
{
        struct clockwork *clockwork = context;
        for (uint64_t i = 0; i < operations; i++) {
                clockwork->now_ns += NS_PER_US;
                heap_move(&clockwork->heap, &clockwork->heap_timers[pick(clockwork) % clockwork->timers_count],
                          clockwork->now_ns + AHEAD_NS);
        }
}

static void fire(struct timer *timer, void *context)
{
        struct clockwork *clockwork = context;
        clockwork->fired++;
        timer_set(&clockwork->wheel, timer, soon_ns(clockwork));
}

static void wheel_fire(void *context, uint64_t operations)
{
        struct clockwork *clockwork = context;
        clockwork->fired = 0;
        while (clockwork->fired < operations) {
                clockwork->now_ns += STEP_NS;
                timerwheel_expire(&clockwork->wheel, clockwork->now_ns, fire, clockwork);
        }
}

static void heap_fire(void *context, uint64_t operations)
{
        struct clockwork *clockwork = context;
        struct heap *heap = &clockwork->heap;
        for (uint64_t fired = 0; fired < operations;) {
                clockwork->now_ns += STEP_NS;
                for (; heap->timers[0]->deadline_ns <= clockwork->now_ns; fired++)
                        heap_move(heap, heap->timers[0], soon_ns(clockwork));
        }
}

static struct clockwork *clockwork_new(size_t timers_count, bool soon)
{
        struct clockwork *clockwork = calloc(1, sizeof(*clockwork));
        struct random random;
        random_init(&random, 1);
        if (clockwork == NULL)
                abort();
        clockwork->timers_count = timers_count;
        clockwork->now_ns = NS_PER_S;
        clockwork->timers = calloc(timers_count, sizeof(struct timer));
        clockwork->heap_timers = calloc(timers_count, sizeof(struct heap_timer));
        clockwork->heap.timers = calloc(timers_count, sizeof(struct heap_timer *));
        if (clockwork->timers == NULL || clockwork->heap_timers == NULL || clockwork->heap.timers == NULL)
                abort();
        for (size_t i = 0; i < PICKS; i++)
                clockwork->picks[i] = (uint32_t)random_next(&random);
        timerwheel_init(&clockwork->wheel, clockwork->now_ns);
        for (size_t i = 0; i < timers_count; i++) {
                struct heap_timer *timer = &clockwork->heap_timers[i];
                timer_init(&clockwork->timers[i]);
                *timer = (struct heap_timer){soon ? soon_ns(clockwork) : clockwork->now_ns + AHEAD_NS, i};
                clockwork->heap.count++;
                heap_rise(&clockwork->heap, timer);
        }
        wheel_all_ahead(clockwork, soon);
        return clockwork;
}

static void clockwork_free(struct clockwork *clockwork)
{
        for (size_t i = 0; i < clockwork->timers_count; i++)
                timer_cancel(&clockwork->wheel, &clockwork->timers[i]);
        free(clockwork->timers);
        free(clockwork->heap_timers);
        free(clockwork->heap.timers);
        free(clockwork);
}

int main(int argc, char **argv)
{
        enum { WHEEL_MOVES, HEAP_MOVES, WHEEL_FIRES, HEAP_FIRES, USES };
        struct clockwork *few[USES];
        struct clockwork *many[USES];
        for (int use = 0; use < USES; use++) {
                few[use] = clockwork_new(1000, use >= WHEEL_FIRES);
                many[use] = clockwork_new(100000, use >= WHEEL_FIRES);
        }
        const struct micro_row rows[] = {
                {"heap: move, 1000 timers", heap_move_ahead, few[HEAP_MOVES], NULL, 0, false, false, NULL, NULL},
                {"move, 1000 timers", wheel_move, few[WHEEL_MOVES], "heap: move, 1000 timers", 0, false, false, NULL,
                 NULL},
                {"heap: move, 100 000 timers", heap_move_ahead, many[HEAP_MOVES], NULL, 0, false, false, NULL, NULL},
                {"move, 100 000 timers", wheel_move, many[WHEEL_MOVES], "heap: move, 100 000 timers", 0, false, false,
                 NULL, NULL},
                {"heap: fire, 1000 timers", heap_fire, few[HEAP_FIRES], NULL, 0, false, false, NULL, NULL},
                {"fire, 1000 timers", wheel_fire, few[WHEEL_FIRES], "heap: fire, 1000 timers", 0, false, false, NULL,
                 NULL},
                {"heap: fire, 100 000 timers", heap_fire, many[HEAP_FIRES], NULL, 0, false, false, NULL, NULL},
                {"fire, 100 000 timers", wheel_fire, many[WHEEL_FIRES], "heap: fire, 100 000 timers", 0, false, false,
                 NULL, NULL},
        };
        int exit_code = micro_main(argc, argv, "timerwheel", rows, array_count(rows));
        for (int use = 0; use < USES; use++) {
                clockwork_free(few[use]);
                clockwork_free(many[use]);
        }
        return exit_code;
}
