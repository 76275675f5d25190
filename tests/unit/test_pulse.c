/* pulse: turns in their buckets, and the time of a thread as the thread itself sees it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>

#include "engine/base/clock.h"
#include "engine/pulse.h"

static void a_turn_counts_in_the_first_bucket_that_holds_it(void **state)
{
        (void)state;
        static const uint64_t bounds_ns[] = {
#define BOUND(ns, text) ns,
                PULSE_BUCKETS_TABLE(BOUND)};
        struct pulse pulse;
        assert_int_equal(pulse_init(&pulse), 0);
        for (size_t i = 0; i < array_count(bounds_ns); i++) {
                pulse_count_turn(&pulse, bounds_ns[i]);
                pulse_count_turn(&pulse, bounds_ns[i] + 1);
        }
        assert_int_equal(counter_read(&pulse.values, 0), 1);
        for (size_t i = 1; i + 1 < PULSE_BUCKETS; i++)
                assert_int_equal(counter_read(&pulse.values, i), 2);
        assert_int_equal(counter_read(&pulse.values, PULSE_BUCKETS - 1), 1);
        uint64_t sum_ns = 0;
        for (size_t i = 0; i < array_count(bounds_ns); i++)
                sum_ns += 2 * bounds_ns[i] + 1;
        assert_int_equal(counter_read(&pulse.values, PULSE_TURN_NS), sum_ns);
        pulse_fini(&pulse);
}

static void a_pulse_without_a_thread_tells_nothing(void **state)
{
        (void)state;
        struct pulse pulse;
        assert_int_equal(pulse_init(&pulse), 0);
        struct pulse_times times = pulse_times(&pulse);
        assert_int_equal(times.cpu_ns, 0);
        assert_int_equal(times.busy_ns, 0);
        pulse_fini(&pulse);
}

struct worker {
        struct pulse pulse;
        pthread_barrier_t begun, asked;
        uint64_t cpu_ns;
};

static void *work(void *context)
{
        struct worker *worker = context;
        while (clock_thread_cpu_ns() < 20 * NS_PER_MS)
                continue;
        pulse_take_thread(&worker->pulse);
        worker->cpu_ns = clock_thread_cpu_ns();
        pthread_barrier_wait(&worker->begun);
        pthread_barrier_wait(&worker->asked);
        return NULL;
}

static void another_threads_time_is_its_own(void **state)
{
        (void)state;
        struct worker worker;
        pthread_t thread;
        assert_int_equal(pulse_init(&worker.pulse), 0);
        pthread_barrier_init(&worker.begun, NULL, 2);
        pthread_barrier_init(&worker.asked, NULL, 2);
        assert_int_equal(pthread_create(&thread, NULL, work, &worker), 0);
        pthread_barrier_wait(&worker.begun);
        struct pulse_times times = pulse_times(&worker.pulse);
        assert_true(times.cpu_ns >= worker.cpu_ns);
        assert_true(times.busy_ns >= times.cpu_ns);
        pthread_barrier_wait(&worker.asked);
        pthread_join(thread, NULL);
        pthread_barrier_destroy(&worker.begun);
        pthread_barrier_destroy(&worker.asked);
        pulse_fini(&worker.pulse);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_turn_counts_in_the_first_bucket_that_holds_it),
                cmocka_unit_test(a_pulse_without_a_thread_tells_nothing),
                cmocka_unit_test(another_threads_time_is_its_own),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
