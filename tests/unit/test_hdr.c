/* hdr: what is encoded reads back bucket by bucket; the numbers are those of the format, runs of zeros included. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "bench/hdr.h"

#define HEADER_BYTES 40

static struct latency latency;

static uint64_t big_endian(const uint8_t *at, unsigned bytes)
{
        uint64_t number = 0;
        for (unsigned i = 0; i < bytes; i++)
                number = number << 8 | at[i];
        return number;
}

/* The dumbest reader: seven bits a byte, the ninth byte has eight. */
static int64_t number_decode(const uint8_t **at)
{
        uint64_t number = 0;
        for (unsigned i = 0; i < 9; i++) {
                uint8_t byte = *(*at)++;
                if (i == 8) {
                        number |= (uint64_t)byte << 56;
                        break;
                }
                number |= (uint64_t)(byte & 0x7f) << 7 * i;
                if (byte < 0x80)
                        break;
        }
        return (int64_t)(number >> 1) ^ -(int64_t)(number & 1);
}

/* Reads what hdr_encode() makes of `latency` and compares every bucket. Returns how many numbers it took. */
static size_t reads_back(void)
{
        size_t size, numbers = 0;
        uint64_t bucket = 0;
        uint8_t *bytes = hdr_encode(&latency, &size);
        assert_int_equal(big_endian(bytes, 4), 0x1c849313);
        assert_int_equal(big_endian(bytes + 4, 4), size - HEADER_BYTES);
        assert_int_equal(big_endian(bytes + 8, 4), 0);
        assert_int_equal(big_endian(bytes + 12, 4), 3);
        assert_int_equal(big_endian(bytes + 16, 8), 1);
        assert_int_equal(big_endian(bytes + 24, 8), LATENCY_VALUE_MAX);
        assert_int_equal(big_endian(bytes + 32, 8), 0x3ff0000000000000);
        for (const uint8_t *at = bytes + HEADER_BYTES; at < bytes + size; numbers++) {
                int64_t number = number_decode(&at);
                assert_int_not_equal(number, -1); /* a single zero is written as it is */
                if (number >= 0) {
                        assert_int_equal(latency.buckets[bucket], number);
                        bucket++;
                }
                for (; number < 0; number++)
                        assert_int_equal(latency.buckets[bucket++], 0);
                assert_true(bucket <= LATENCY_BUCKETS);
        }
        for (; bucket < LATENCY_BUCKETS; bucket++)
                assert_int_equal(latency.buckets[bucket], 0);
        free(bytes);
        return numbers;
}

static void an_empty_table_is_one_zero(void **state)
{
        (void)state;
        latency = (struct latency){0};
        assert_int_equal(reads_back(), 1);
}

static void one_value_is_a_run_of_zeros_and_a_count(void **state)
{
        (void)state;
        latency = (struct latency){0};
        latency_record(&latency, 123456789);
        assert_int_equal(reads_back(), 2);
}

static void a_single_zero_is_no_run(void **state)
{
        (void)state;
        latency = (struct latency){0};
        latency_record(&latency, 0);
        latency_record(&latency, 2);
        latency_record(&latency, 5);
        assert_int_equal(reads_back(), 5); /* 1, 0, 1, -2, 1 */
}

static void counts_of_every_length_read_back(void **state)
{
        (void)state;
        latency = (struct latency){0};
        for (unsigned bit = 0; bit < 63; bit++) {
                latency.buckets[3 * bit] = (uint64_t)1 << bit;
                latency.buckets[3 * bit + 1] = ((uint64_t)1 << bit) - 1;
        }
        latency.buckets[200] = INT64_MAX;
        latency.largest = 200;
        latency.count = 1;
        reads_back();
}

static void the_longest_time_has_a_bucket(void **state)
{
        (void)state;
        latency = (struct latency){0};
        latency_record(&latency, UINT64_MAX);
        assert_int_equal(latency.largest, LATENCY_VALUE_MAX);
        assert_int_equal(reads_back(), 2);
        assert_int_equal(latency_at(&latency, 0.5), LATENCY_VALUE_MAX);
}

static void random_tables_read_back(void **state)
{
        (void)state;
        uint64_t seed = 11;
        for (unsigned round = 0; round < 20; round++) {
                latency = (struct latency){0};
                for (unsigned i = 0; i < 1000; i++) {
                        seed = seed * 6364136223846793005u + 1442695040888963407u;
                        latency_record(&latency, seed >> (16 + (seed >> 5) % 48));
                }
                reads_back();
        }
}

/* What a value is counted as in a histogram of HdrHistogram with 3 digits, in the words of its own documentation. */
static unsigned bucket_elsewhere(uint64_t value)
{
        unsigned octave = 0;
        while (value >> octave >= 2048)
                octave++;
        return (octave + 1) * 1024 + (unsigned)(value >> octave) - 1024;
}

static void our_buckets_are_theirs(void **state)
{
        (void)state;
        for (uint64_t value = 0; value < 100000; value++)
                assert_int_equal(latency_bucket(value), bucket_elsewhere(value));
        for (unsigned bit = 16; bit < LATENCY_VALUE_LOG2_MAX; bit++)
                for (int step = -1; step <= 1; step++) {
                        uint64_t value = ((uint64_t)1 << bit) + (uint64_t)step;
                        assert_int_equal(latency_bucket(value), bucket_elsewhere(value));
                        assert_true(latency_bucket_low(latency_bucket(value)) <= value);
                        assert_true(latency_bucket_high(latency_bucket(value)) >= value);
                }
}

static void a_log_has_a_head_and_a_line_an_interval(void **state)
{
        (void)state;
        char *text = NULL;
        size_t size;
        FILE *out = open_memstream(&text, &size);
        latency = (struct latency){0};
        latency_record(&latency, 2500000);
        hdr_log_begin(out, 1700000000123000000, "about");
        hdr_log_interval(out, NULL, 0, 1.5, &latency);
        hdr_log_interval(out, "a", 1.5, 0.5, &latency);
        fclose(out);
        assert_non_null(strstr(text, "#[about]\n#[Histogram log format version 1.3]\n"));
        assert_non_null(
                strstr(text, "#[StartTime: 1700000000.123 (seconds since epoch), Tue Nov 14 22:13:20 UTC 2023]\n"));
        assert_non_null(strstr(text, "\n0.000,1.500,2.500,HISTFAAAA"));
        assert_non_null(strstr(text, "\nTag=a,1.500,0.500,2.500,HISTFAAAA"));
        free(text);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(an_empty_table_is_one_zero),
                cmocka_unit_test(one_value_is_a_run_of_zeros_and_a_count),
                cmocka_unit_test(a_single_zero_is_no_run),
                cmocka_unit_test(counts_of_every_length_read_back),
                cmocka_unit_test(the_longest_time_has_a_bucket),
                cmocka_unit_test(random_tables_read_back),
                cmocka_unit_test(our_buckets_are_theirs),
                cmocka_unit_test(a_log_has_a_head_and_a_line_an_interval),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
