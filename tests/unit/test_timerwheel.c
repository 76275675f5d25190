/* timerwheel: fires what a list searched from end to end says is due, when it says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/base/bits.h"
#include "engine/base/clock.h"
#include "engine/base/random.h"
#include "engine/base/timerwheel.h"

#define MS NS_PER_MS
#define HOUR_NS (3600 * NS_PER_S)

static uint64_t tick_ceiled(uint64_t ns)
{
        return ns / MS + (ns % MS != 0);
}

static void count_one(struct timer *timer, void *context)
{
        assert_false(timer_is_set(timer));
        ++*(size_t *)context;
}

static size_t expire(struct timerwheel *wheel, uint64_t now_ns)
{
        size_t fired = 0;
        size_t told = timerwheel_expire(wheel, now_ns, count_one, &fired);
        assert_int_equal(told, fired);
        return fired;
}

static void an_empty_wheel_never_wakes(void **state)
{
        (void)state;
        static struct timerwheel wheel;
        timerwheel_init(&wheel, 5 * HOUR_NS);
        assert_true(timerwheel_next_ns(&wheel) == TIMER_NEVER);
        assert_int_equal(expire(&wheel, 500 * HOUR_NS), 0);
        assert_true(timerwheel_next_ns(&wheel) == TIMER_NEVER);
}

static void a_timer_fires_at_its_tick_and_not_before(void **state)
{
        (void)state;
        static struct timerwheel wheel;
        struct timer timer;
        timerwheel_init(&wheel, 1000 * MS + 1);
        timer_init(&timer);
        timer_set(&wheel, &timer, 1010 * MS + 1);
        assert_true(timerwheel_next_ns(&wheel) == 1011 * MS);
        assert_int_equal(expire(&wheel, 1010 * MS + 1), 0);
        assert_int_equal(expire(&wheel, 1011 * MS - 1), 0);
        assert_int_equal(expire(&wheel, 1011 * MS), 1);
        assert_false(timer_is_set(&timer));
        assert_int_equal(wheel.timers_count, 0);
        assert_true(timerwheel_next_ns(&wheel) == TIMER_NEVER);
}

static void a_past_deadline_fires_at_the_next_expire(void **state)
{
        (void)state;
        static struct timerwheel wheel;
        struct timer timer;
        timerwheel_init(&wheel, 1000 * MS);
        timer_init(&timer);
        timer_set(&wheel, &timer, 3);
        assert_true(timerwheel_next_ns(&wheel) <= 1000 * MS);
        assert_int_equal(expire(&wheel, 1000 * MS), 1);
        timer_set(&wheel, &timer, 0);
        timer_cancel(&wheel, &timer);
        timer_cancel(&wheel, &timer);
        assert_int_equal(expire(&wheel, 1001 * MS), 0);
        assert_true(timerwheel_next_ns(&wheel) == TIMER_NEVER);
}

static void setting_to_never_cancels(void **state)
{
        (void)state;
        static struct timerwheel wheel;
        struct timer timer;
        timerwheel_init(&wheel, 0);
        timer_init(&timer);
        timer_set(&wheel, &timer, 5 * MS);
        timer_set(&wheel, &timer, TIMER_NEVER);
        assert_false(timer_is_set(&timer));
        assert_int_equal(wheel.timers_count, 0);
        assert_true(timerwheel_next_ns(&wheel) == TIMER_NEVER);
}

static void a_far_timer_wakes_an_idle_wheel_a_handful_of_times(void **state)
{
        (void)state;
        const uint64_t far_ns[] = {70 * MS,
                                   5 * NS_PER_S,
                                   HOUR_NS,
                                   24 * HOUR_NS + 1,
                                   30 * 24 * HOUR_NS,
                                   366 * 24 * HOUR_NS,
                                   8 * 365 * 24 * HOUR_NS + 17};
        const uint64_t base_ns[] = {0, 12345678901234567, ((uint64_t)1 << 36) * MS - 3 * MS};
        for (size_t i = 0; i < array_count(far_ns); i++) {
                for (size_t j = 0; j < array_count(base_ns); j++) {
                        static struct timerwheel wheel;
                        struct timer timer;
                        uint64_t deadline_ns = base_ns[j] + far_ns[i];
                        timerwheel_init(&wheel, base_ns[j]);
                        timer_init(&timer);
                        timer_set(&wheel, &timer, deadline_ns);
                        size_t wakes = 0;
                        uint64_t now_ns = base_ns[j];
                        while (timer_is_set(&timer)) {
                                uint64_t next_ns = timerwheel_next_ns(&wheel);
                                assert_true(next_ns > now_ns);
                                assert_true(next_ns <= tick_ceiled(deadline_ns) * MS);
                                now_ns = next_ns;
                                expire(&wheel, now_ns);
                                wakes++;
                        }
                        assert_true(now_ns == tick_ceiled(deadline_ns) * MS);
                        assert_true(wakes <= 10);
                }
        }
}

static void a_deadline_at_the_end_of_time_is_held(void **state)
{
        (void)state;
        static struct timerwheel wheel;
        struct timer timer;
        timerwheel_init(&wheel, UINT64_MAX - 10 * MS);
        timer_init(&timer);
        timer_set(&wheel, &timer, TIMER_NEVER - 1);
        assert_int_equal(expire(&wheel, UINT64_MAX), 0);
        assert_true(timer_is_set(&timer));
        assert_true(timerwheel_next_ns(&wheel) < TIMER_NEVER);
        timer_cancel(&wheel, &timer);
}

/* The model: an array of deadlines. Its timers fire in one expire call if they were set before it and due by then;
 * what `fire` sets during the call waits for the next. */
#define TIMERS 500

struct model_timer {
        struct timer timer;
        uint64_t deadline_ns;
        bool is_due;
};

struct model {
        struct timerwheel wheel;
        struct model_timer timers[TIMERS];
        struct random random;
        uint64_t now_ns;
        uint64_t tick_before; /* the wheel's, when the call began */
        uint64_t last_tick;   /* of the timer that fired last */
        size_t due_count;
};

static uint64_t random_deadline(struct model *model)
{
        uint64_t ahead_ns = random_below(&model->random, (uint64_t)1 << random_below(&model->random, 57));
        switch (random_below(&model->random, 8)) {
        case 0:
                return model->now_ns - random_below(&model->random, model->now_ns < HOUR_NS ? 1 : HOUR_NS);
        case 1:
                return bits_align_up(model->now_ns + ahead_ns % HOUR_NS, 64 * 64) / MS * MS;
        default:
                return model->now_ns + ahead_ns;
        }
}

static void model_set(struct model *model, struct model_timer *one)
{
        one->deadline_ns = random_deadline(model);
        if (one->is_due)
                model->due_count--;
        one->is_due = false;
        timer_set(&model->wheel, &one->timer, one->deadline_ns);
        assert_true(timer_is_set(&one->timer));
}

static void model_cancel(struct model *model, struct model_timer *one)
{
        one->deadline_ns = TIMER_NEVER;
        if (one->is_due)
                model->due_count--;
        one->is_due = false;
        timer_cancel(&model->wheel, &one->timer);
        assert_false(timer_is_set(&one->timer));
}

static void model_fire(struct timer *timer, void *context)
{
        struct model *model = context;
        struct model_timer *one = container_of(timer, struct model_timer, timer);
        assert_false(timer_is_set(timer));
        assert_true(one->is_due);
        /* In the order of ticks, but that those set when they were past already come first. */
        uint64_t tick = tick_ceiled(one->deadline_ns);
        if (tick < model->tick_before)
                tick = model->tick_before;
        assert_true(tick >= model->last_tick);
        model->last_tick = tick;
        one->is_due = false;
        one->deadline_ns = TIMER_NEVER;
        model->due_count--;
        if (random_chance(&model->random, 1, 3))
                model_set(model, one);
        if (random_chance(&model->random, 1, 4))
                model_cancel(model, &model->timers[random_below(&model->random, TIMERS)]);
        if (random_chance(&model->random, 1, 4))
                model_set(model, &model->timers[random_below(&model->random, TIMERS)]);
}

static void model_expire(struct model *model)
{
        uint64_t now_tick = model->now_ns / MS;
        assert_int_equal(model->due_count, 0);
        model->tick_before = model->wheel.tick;
        model->last_tick = 0;
        for (size_t i = 0; i < TIMERS; i++) {
                struct model_timer *one = &model->timers[i];
                one->is_due = one->deadline_ns != TIMER_NEVER && tick_ceiled(one->deadline_ns) <= now_tick;
                model->due_count += one->is_due;
        }
        timerwheel_expire(&model->wheel, model->now_ns, model_fire, model);
        assert_int_equal(model->due_count, 0);
}

static void model_check(struct model *model)
{
        size_t set_count = 0;
        uint64_t first_ns = TIMER_NEVER;
        for (size_t i = 0; i < TIMERS; i++) {
                assert_int_equal(timer_is_set(&model->timers[i].timer), model->timers[i].deadline_ns != TIMER_NEVER);
                assert_true(model->timers[i].timer.deadline_ns == model->timers[i].deadline_ns);
                if (model->timers[i].deadline_ns == TIMER_NEVER)
                        continue;
                set_count++;
                if (tick_ceiled(model->timers[i].deadline_ns) * MS < first_ns)
                        first_ns = tick_ceiled(model->timers[i].deadline_ns) * MS;
        }
        assert_int_equal(model->wheel.timers_count, set_count);
        uint64_t next_ns = timerwheel_next_ns(&model->wheel);
        uint64_t wheel_ns = model->wheel.tick * MS;
        assert_true(next_ns <= (first_ns > wheel_ns ? first_ns : wheel_ns));
        assert_int_equal(next_ns == TIMER_NEVER, set_count == 0);
        for (unsigned level = 0; level < TIMERWHEEL_LEVELS; level++)
                for (unsigned slot = 0; slot < TIMERWHEEL_SLOTS; slot++)
                        assert_int_equal(model->wheel.occupied[level] >> slot & 1,
                                         !list_is_empty(&model->wheel.slots[level][slot]));
}

static void random_timers_agree_with_a_plain_list(void **state)
{
        (void)state;
        const uint64_t base_ns[] = {0, 7 * HOUR_NS + 13, ((uint64_t)1 << 36) * MS - NS_PER_S};
        for (uint64_t seed = 1; seed <= 12; seed++) {
                static struct model model;
                model = (struct model){.now_ns = base_ns[seed % array_count(base_ns)]};
                random_init(&model.random, seed);
                timerwheel_init(&model.wheel, model.now_ns);
                for (size_t i = 0; i < TIMERS; i++) {
                        timer_init(&model.timers[i].timer);
                        model.timers[i].deadline_ns = TIMER_NEVER;
                }
                for (int step = 0; step < 3000; step++) {
                        for (uint64_t i = random_below(&model.random, 6); i > 0; i--)
                                model_set(&model, &model.timers[random_below(&model.random, TIMERS)]);
                        for (uint64_t i = random_below(&model.random, 3); i > 0; i--)
                                model_cancel(&model, &model.timers[random_below(&model.random, TIMERS)]);
                        uint64_t next_ns = timerwheel_next_ns(&model.wheel);
                        switch (random_below(&model.random, 16)) {
                        case 0:
                                model.now_ns += random_below(&model.random, 10 * HOUR_NS);
                                break;
                        case 1:
                                model.now_ns += random_below(&model.random, (uint64_t)1 << 52);
                                break;
                        case 2:
                        case 3:
                        case 4:
                                if (next_ns != TIMER_NEVER && next_ns > model.now_ns)
                                        model.now_ns = next_ns;
                                break;
                        case 5:
                                if (next_ns != TIMER_NEVER && next_ns > model.now_ns)
                                        model.now_ns = next_ns - 1;
                                break;
                        default:
                                model.now_ns += random_below(&model.random, 100 * MS);
                                break;
                        }
                        model_expire(&model);
                        model_check(&model);
                }
        }
}

static void set_again(struct timer *timer, void *context)
{
        timer_set(context, timer, 1);
}

static void a_timer_that_sets_itself_to_the_past_does_not_hold_the_wheel(void **state)
{
        (void)state;
        static struct timerwheel wheel;
        struct timer timer;
        timerwheel_init(&wheel, HOUR_NS);
        timer_init(&timer);
        timer_set(&wheel, &timer, HOUR_NS + MS);
        for (uint64_t i = 1; i < 10; i++)
                assert_int_equal(timerwheel_expire(&wheel, (1 + i) * HOUR_NS, set_again, &wheel), 1);
        timer_cancel(&wheel, &timer);
}

static void a_clock_that_steps_back_fires_nothing(void **state)
{
        (void)state;
        static struct timerwheel wheel;
        struct timer timer;
        timerwheel_init(&wheel, HOUR_NS);
        timer_init(&timer);
        timer_set(&wheel, &timer, HOUR_NS);
        assert_int_equal(expire(&wheel, HOUR_NS - MS), 0);
        assert_int_equal(expire(&wheel, HOUR_NS), 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(an_empty_wheel_never_wakes),
                cmocka_unit_test(a_timer_fires_at_its_tick_and_not_before),
                cmocka_unit_test(a_past_deadline_fires_at_the_next_expire),
                cmocka_unit_test(setting_to_never_cancels),
                cmocka_unit_test(a_far_timer_wakes_an_idle_wheel_a_handful_of_times),
                cmocka_unit_test(a_deadline_at_the_end_of_time_is_held),
                cmocka_unit_test(random_timers_agree_with_a_plain_list),
                cmocka_unit_test(a_timer_that_sets_itself_to_the_past_does_not_hold_the_wheel),
                cmocka_unit_test(a_clock_that_steps_back_fires_nothing),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
