/* flight: the last that was noted can be read at any time, and what is told of it is whole. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/base/flight.h"

#define WORDS ((size_t)FLIGHT_RECORDS * FLIGHT_WORDS)

static void zeroed_ones_can_be_torn_down(void **state)
{
        struct flight flight = {0};
        (void)state;
        flight_fini(&flight);
}

static void a_note_is_kept_with_its_numbers_and_its_ring_alone(void **state)
{
        struct flight flight;
        uint64_t words[FLIGHT_WORDS];
        (void)state;
        assert_int_equal(flight_init(&flight), 0);
        flight_note(&flight, FLIGHT_TRAFFIC, 1, 255, 2, FLIGHT_NUMBER_MAX, UINT64_MAX);
        assert_int_equal(flight_count(&flight, FLIGHT_PEERS), 0);
        assert_int_equal(flight_count(&flight, FLIGHT_TRAFFIC), 1);
        flight_copy(&flight, FLIGHT_TRAFFIC, 0, words, FLIGHT_WORDS);
        assert_int_equal(words[FLIGHT_TIME], 1);
        assert_int_equal(words[FLIGHT_WHO], 2);
        assert_int_equal(words[FLIGHT_WHAT] & 255, 255);
        assert_true(words[FLIGHT_WHAT] >> FLIGHT_WHAT_BITS == FLIGHT_NUMBER_MAX);
        assert_true(words[FLIGHT_MORE] == UINT64_MAX);
        flight_fini(&flight);
}

static void what_it_does_now_is_told(void **state)
{
        struct flight flight;
        (void)state;
        assert_int_equal(flight_init(&flight), 0);
        flight_turn(&flight, 10);
        flight_turn(&flight, 20);
        flight_step(&flight, 3);
        flight_at(&flight, 7);
        flight_take_thread(&flight, 99);
        assert_int_equal(flight_now(&flight, FLIGHT_TURN), 2);
        assert_int_equal(flight_now(&flight, FLIGHT_TURN_BEGAN), 20);
        assert_int_equal(flight_now(&flight, FLIGHT_STEP), 3);
        assert_int_equal(flight_now(&flight, FLIGHT_AT), 7);
        assert_int_equal(flight_now(&flight, FLIGHT_THREAD), 99);
        flight_fini(&flight);
}

static void of_a_copy_the_last_are_whole_and_the_oldest_are_in_doubt(void **state)
{
        (void)state;
        assert_false(flight_is_whole(0, 0, 0));
        assert_true(flight_is_whole(0, 1, 1));
        assert_true(flight_is_whole(9, 10, 10));
        assert_false(flight_is_whole(10, 10, 12));
        /* The next to be written lies over number 0. */
        assert_false(flight_is_whole(0, FLIGHT_RECORDS, FLIGHT_RECORDS));
        assert_true(flight_is_whole(2, FLIGHT_RECORDS, FLIGHT_RECORDS));
        assert_false(flight_is_whole(2, FLIGHT_RECORDS, FLIGHT_RECORDS + 5));
}

struct writing {
        struct flight flight;
        _Atomic bool is_over;
};

static void *write_notes(void *context)
{
        struct writing *writing = context;
        for (uint64_t i = 0; !writing->is_over; i++)
                flight_note(&writing->flight, FLIGHT_PEERS, i, i & 255, i, i, i);
        return NULL;
}

/* How many records of a copy are whole, and each is what was noted. */
static uint64_t copy_and_check(const struct flight *flight)
{
        static uint64_t words[WORDS];
        uint64_t whole = 0, before = flight_count(flight, FLIGHT_PEERS);
        flight_copy(flight, FLIGHT_PEERS, 0, words, WORDS);
        uint64_t after = flight_count(flight, FLIGHT_PEERS);
        for (uint64_t i = before > FLIGHT_RECORDS ? before - FLIGHT_RECORDS : 0; i < before; i++) {
                const uint64_t *record = words + (i % FLIGHT_RECORDS) * FLIGHT_WORDS;
                if (!flight_is_whole(i, before, after))
                        continue;
                whole++;
                assert_int_equal(record[FLIGHT_TIME], i);
                assert_int_equal(record[FLIGHT_WHO], i);
                assert_int_equal(record[FLIGHT_WHAT], i << FLIGHT_WHAT_BITS | (i & 255));
                assert_int_equal(record[FLIGHT_MORE], i);
        }
        return whole;
}

static void whoever_reads_while_it_is_written_knows_what_is_whole(void **state)
{
        struct writing writing = {.is_over = false};
        pthread_t writer;
        (void)state;
        assert_int_equal(flight_init(&writing.flight), 0);
        assert_int_equal(pthread_create(&writer, NULL, write_notes, &writing), 0);
        for (int i = 0; i < 200 || flight_count(&writing.flight, FLIGHT_PEERS) < 2 * FLIGHT_RECORDS; i++)
                copy_and_check(&writing.flight);
        writing.is_over = true;
        pthread_join(writer, NULL);
        assert_int_equal(copy_and_check(&writing.flight), FLIGHT_RECORDS - 2);
        flight_fini(&writing.flight);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(zeroed_ones_can_be_torn_down),
                cmocka_unit_test(a_note_is_kept_with_its_numbers_and_its_ring_alone),
                cmocka_unit_test(what_it_does_now_is_told),
                cmocka_unit_test(of_a_copy_the_last_are_whole_and_the_oldest_are_in_doubt),
                cmocka_unit_test(whoever_reads_while_it_is_written_knows_what_is_whole),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
