/* fuzz_timerwheel: timers fire when a list of deadlines says so: none early, none late by more than a tick, each once;
 * and the wheel never sleeps over one.
 *
 *      op  a byte: two low bits: set, cancel, go on, go on to where the wheel says; then a timer; then 8 bytes of time
 */
#include "engine/base/timerwheel.h"
#include "tests/fuzz/fuzz.h"

#define TIMERS 32

struct watched {
        struct timer timer;
        uint64_t deadline_ns; /* TIMER_NEVER: not set */
        bool sets_again;
};

static struct watched watched[TIMERS];
static struct timerwheel wheel;
static uint64_t now_ns;
static size_t fired_count;

static void fire(struct timer *timer, void *context)
{
        struct watched *one = container_of(timer, struct watched, timer);
        (void)context;
        assert(!timer_is_set(timer));
        assert(one->deadline_ns <= now_ns);
        fired_count++;
        one->deadline_ns = TIMER_NEVER;
        if (one->sets_again) { /* in the past: waits for the next call all the same */
                one->sets_again = false;
                one->deadline_ns = now_ns / 2;
                timer_set(&wheel, timer, one->deadline_ns);
        }
}

static void go_on(uint64_t to_ns)
{
        bool was_due[TIMERS];
        size_t due = 0;
        now_ns = to_ns > now_ns ? to_ns : now_ns;
        for (size_t i = 0; i < TIMERS; i++) {
                /* A deadline within the tick that has begun may wait for its end. */
                was_due[i] = watched[i].deadline_ns <= now_ns - now_ns % TIMERWHEEL_TICK_NS;
                due += was_due[i];
        }
        fired_count = 0;
        assert(timerwheel_expire(&wheel, now_ns, fire, NULL) == fired_count);
        assert(fired_count >= due);
        for (size_t i = 0; i < TIMERS; i++)
                assert(!was_due[i] || watched[i].deadline_ns == TIMER_NEVER || watched[i].deadline_ns == now_ns / 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct span input = span_of(data, size);
        now_ns = fuzz_number(&input, 5);
        timerwheel_init(&wheel, now_ns);
        for (size_t i = 0; i < TIMERS; i++) {
                watched[i] = (struct watched){.deadline_ns = TIMER_NEVER};
                timer_init(&watched[i].timer);
        }
        while (input.size > 0) {
                uint8_t op = fuzz_byte(&input);
                struct watched *one = &watched[op >> 2 & (TIMERS - 1)];
                uint64_t lowest_ns = TIMER_NEVER, next_ns, by_ns;
                switch (op & 3) {
                case 0:
                        by_ns = fuzz_number(&input, 1 + fuzz_byte(&input) % 7);
                        one->sets_again = (op & 0x80) != 0;
                        one->deadline_ns = by_ns > now_ns && (op & 0x40) != 0 ? by_ns - now_ns : now_ns + by_ns;
                        timer_set(&wheel, &one->timer, one->deadline_ns);
                        break;
                case 1:
                        timer_cancel(&wheel, &one->timer);
                        one->deadline_ns = TIMER_NEVER;
                        break;
                case 2:
                        go_on(now_ns + fuzz_number(&input, 1 + fuzz_byte(&input) % 6));
                        break;
                case 3:
                        next_ns = timerwheel_next_ns(&wheel);
                        if (next_ns != TIMER_NEVER && next_ns - now_ns < (uint64_t)1 << 56)
                                go_on(next_ns);
                        break;
                }
                size_t count = 0;
                for (size_t i = 0; i < TIMERS; i++) {
                        assert(timer_is_set(&watched[i].timer) == (watched[i].deadline_ns != TIMER_NEVER));
                        count += watched[i].deadline_ns != TIMER_NEVER;
                        lowest_ns = watched[i].deadline_ns < lowest_ns ? watched[i].deadline_ns : lowest_ns;
                }
                assert(wheel.timers_count == count);
                /* A tick is the least that it knows of: where the deadline falls into one, its end will do. */
                next_ns = timerwheel_next_ns(&wheel);
                assert((next_ns == TIMER_NEVER) == (count == 0));
                assert(count == 0 || lowest_ns > TIMER_NEVER - TIMERWHEEL_TICK_NS ||
                       next_ns < (lowest_ns > now_ns ? lowest_ns : now_ns) + 2 * TIMERWHEEL_TICK_NS);
        }
        return 0;
}
