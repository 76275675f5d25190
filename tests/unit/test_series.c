/* series: the slices add up to the whole, whatever is recorded when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "bench/series.h"

#define SLICE_NS 100

static struct latency latency, slice, sum;

static int empty(void **state)
{
        (void)state;
        latency = (struct latency){0};
        sum = (struct latency){0};
        return 0;
}

static void a_slice_ends_at_the_first_look_behind_its_time(void **state)
{
        (void)state;
        struct series *series = series_new(&latency, SLICE_NS, 1000, 10, 20);
        series_turn(series, 1099, 15, 30);
        assert_int_equal(series->slices_count, 0);
        series_turn(series, 1130, 16, 40);
        series_turn(series, 1229, 17, 50);
        series_turn(series, 1230, 18, 60);
        series_close(series);
        assert_int_equal(series->slices_count, 2);
        assert_int_equal(series->slices[0].until_ns, 1130);
        assert_int_equal(series->slices[0].published, 6);
        assert_int_equal(series->slices[0].deliveries, 20);
        assert_int_equal(series->slices[1].from_ns, 1130);
        assert_int_equal(series->slices[1].deliveries, 20);
        series_free(series);
}

static void the_slices_latencies_add_up_to_all(void **state)
{
        (void)state;
        uint64_t seed = 3;
        struct series *series = series_new(&latency, SLICE_NS, 0, 0, 0);
        for (uint64_t now_ns = 1; now_ns < 3000; now_ns++) {
                seed = seed * 6364136223846793005u + 1442695040888963407u;
                if (seed >> 62 != 0)
                        latency_record(&latency, seed >> 40);
                series_turn(series, now_ns, now_ns, now_ns);
        }
        latency_record(&latency, 77); /* of an event that was under way at the end */
        series_close(series);
        for (size_t i = 0; i < series->slices_count; i++) {
                series_latency(series, i, &slice);
                latency_add(&sum, &slice);
        }
        assert_int_equal(series->slices_count, 29);
        assert_int_equal(sum.count, latency.count);
        assert_memory_equal(sum.buckets, latency.buckets, sizeof(sum.buckets));
        assert_int_equal(latency_bucket(sum.smallest), latency_bucket(latency.smallest));
        assert_int_equal(latency_bucket(sum.largest), latency_bucket(latency.largest));
        series_free(series);
}

static void a_slice_without_latencies_is_empty(void **state)
{
        (void)state;
        struct series *series = series_new(&latency, SLICE_NS, 0, 0, 0);
        series_cut(series, 100, 0, 0);
        latency_record(&latency, 5);
        series_cut(series, 200, 0, 0);
        series_close(series);
        series_latency(series, 0, &slice);
        assert_int_equal(slice.count, 0);
        series_latency(series, 1, &slice);
        assert_int_equal(slice.count, 1);
        assert_int_equal(latency_at(&slice, 1), 5);
        series_free(series);
        series_free(NULL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(a_slice_ends_at_the_first_look_behind_its_time, empty),
                cmocka_unit_test_setup(the_slices_latencies_add_up_to_all, empty),
                cmocka_unit_test_setup(a_slice_without_latencies_is_empty, empty),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
