/* counters: one adds, anyone reads, and Prometheus understands the sum. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "engine/base/counters.h"

static const struct counter_row rows[] = {
        {"events_received", "", "Events taken from publishers", COUNTER_TOTAL},
        {"events_lost", "reason=\"slow_consumer\"", "Events, by \\ reason,\nthat \"someone\" missed", COUNTER_TOTAL},
        {"events_lost", "reason=\"cut\"", "never shown: the name is told once", COUNTER_TOTAL},
        {"connections", "", "Open connections", COUNTER_GAUGE},
};

static const char expected_text[] = "# HELP spate_events_received_total Events taken from publishers\n"
                                    "# TYPE spate_events_received_total counter\n"
                                    "spate_events_received_total 18446744073709551615\n"
                                    "# HELP spate_events_lost_total Events, by \\\\ reason,\\nthat \"someone\" missed\n"
                                    "# TYPE spate_events_lost_total counter\n"
                                    "spate_events_lost_total{reason=\"slow_consumer\"} 7\n"
                                    "spate_events_lost_total{reason=\"cut\"} 0\n"
                                    "# HELP spate_connections Open connections\n"
                                    "# TYPE spate_connections gauge\n"
                                    "spate_connections 12\n";

static void zeroed_ones_can_be_torn_down(void **state)
{
        (void)state;
        struct counters counters = {0};
        counters_fini(&counters);
}

static void all_begin_at_nothing_and_add_up(void **state)
{
        (void)state;
        struct counters counters;
        assert_int_equal(counters_init(&counters, SIZE_MAX / 4), -ENOMEM);
        counters_fini(&counters);
        assert_int_equal(counters_init(&counters, 100), 0);
        assert_int_equal((uintptr_t)counters.values % CACHE_LINE, 0);
        for (size_t i = 0; i < 100; i++)
                assert_true(counter_read(&counters, i) == 0);
        counter_add(&counters, 99, 5);
        counter_add(&counters, 99, 6);
        counter_set(&counters, 0, 3);
        counter_set(&counters, 0, 2);
        assert_true(counter_read(&counters, 99) == 11);
        assert_true(counter_read(&counters, 0) == 2);
        counters_fini(&counters);
}

static void a_text_sums_all_arrays_and_is_told_however_small_the_room(void **state)
{
        (void)state;
        struct counters counters[3];
        const struct counters *all[3];
        for (size_t i = 0; i < 3; i++) {
                assert_int_equal(counters_init(&counters[i], array_count(rows)), 0);
                all[i] = &counters[i];
        }
        counter_set(&counters[1], 0, UINT64_MAX - 5);
        counter_add(&counters[2], 0, 5);
        counter_add(&counters[0], 1, 3);
        counter_add(&counters[2], 1, 4);
        counter_set(&counters[0], 3, 12);
        size_t text_size = strlen(expected_text);
        for (size_t out_size = 0; out_size <= text_size + 2; out_size++) {
                char out[2000];
                memset(out, '~', sizeof(out));
                assert_int_equal(counters_write_prometheus(out, out_size, "spate", rows, array_count(rows), all, 3),
                                 text_size);
                size_t written = out_size < text_size ? out_size : text_size;
                assert_memory_equal(out, expected_text, written);
                if (out_size > text_size)
                        assert_int_equal(out[written++], 0);
                assert_int_equal(out[written], '~');
        }
        assert_int_equal(counters_write_prometheus(NULL, 0, "spate", rows, array_count(rows), all, 3), text_size);
        for (size_t i = 0; i < 3; i++)
                counters_fini(&counters[i]);
}

#define ADDITIONS 300000

static void *add_many(void *argument)
{
        for (int i = 0; i < ADDITIONS; i++)
                counter_add(argument, 1, 1);
        return NULL;
}

static void another_thread_sees_a_total_only_rise(void **state)
{
        (void)state;
        struct counters counters;
        pthread_t adder;
        uint64_t last = 0;
        assert_int_equal(counters_init(&counters, 2), 0);
        assert_int_equal(pthread_create(&adder, NULL, add_many, &counters), 0);
        while (last < ADDITIONS) {
                uint64_t value = counter_read(&counters, 1);
                assert_true(value >= last);
                last = value;
        }
        assert_int_equal(pthread_join(adder, NULL), 0);
        assert_true(counter_read(&counters, 1) == ADDITIONS);
        counters_fini(&counters);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(zeroed_ones_can_be_torn_down),
                cmocka_unit_test(all_begin_at_nothing_and_add_up),
                cmocka_unit_test(a_text_sums_all_arrays_and_is_told_however_small_the_room),
                cmocka_unit_test(another_thread_sees_a_total_only_rise),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
