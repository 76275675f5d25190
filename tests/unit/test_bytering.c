/* bytering: what the producer commits and publishes, the consumer reads, in that order, whole, once, wherever the ring
 * stands. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <ck_pr.h>
#include <cmocka.h>

#include "engine/base/bytering.h"
#include "engine/base/random.h"

static struct bytering ring;

static int set_up(void **state)
{
        (void)state;
        return bytering_init(&ring, 1);
}

static int tear_down(void **state)
{
        (void)state;
        bytering_fini(&ring);
        return 0;
}

static bool push(size_t bytes, uint8_t fill)
{
        uint8_t *record = bytering_reserve(&ring, bytes);
        if (record == NULL)
                return false;
        memset(record, fill, bytes);
        bytering_commit(&ring, bytes);
        return true;
}

static void take_and_check(size_t bytes, uint8_t fill)
{
        static uint8_t expected[65536];
        struct span record;
        assert_true(bytering_peek(&ring, &record));
        assert_int_equal(record.size, bytes);
        assert_int_equal((uintptr_t)record.bytes % 8, 0);
        memset(expected, fill, bytes);
        assert_memory_equal(record.bytes, expected, bytes);
        bytering_consume(&ring);
}

static void an_empty_ring_gives_nothing(void **state)
{
        (void)state;
        struct span record;
        assert_false(bytering_peek(&ring, &record));
        assert_true(bytering_is_empty(&ring));
        assert_false(bytering_publish(&ring));
}

static void sizes_are_rounded_up_to_powers_of_two_and_pages(void **state)
{
        (void)state;
        struct bytering other;
        assert_true(ring.bytes_count >= 4096);
        assert_true(bits_is_power_of_two(ring.bytes_count));
        assert_int_equal(bytering_init(&other, 3 * ring.bytes_count), 0);
        assert_int_equal(other.bytes_count, 4 * ring.bytes_count);
        bytering_fini(&other);
        bytering_fini(&other);
}

static void a_committed_record_is_seen_once_it_is_published(void **state)
{
        (void)state;
        struct span record;
        assert_true(push(3, 'a'));
        assert_true(push(0, 0));
        assert_false(bytering_peek(&ring, &record));
        assert_true(bytering_is_empty(&ring));
        assert_true(bytering_publish(&ring));
        assert_false(bytering_publish(&ring));
        assert_false(bytering_is_empty(&ring));
        take_and_check(3, 'a');
        take_and_check(0, 0);
        assert_false(bytering_peek(&ring, &record));
        assert_true(bytering_is_empty(&ring));
}

static void what_was_peeked_comes_again_until_it_is_consumed(void **state)
{
        (void)state;
        struct span first, again;
        push(10, 'a');
        push(10, 'b');
        bytering_publish(&ring);
        assert_true(bytering_peek(&ring, &first));
        assert_true(bytering_peek(&ring, &again));
        assert_ptr_equal(first.bytes, again.bytes);
        bytering_consume(&ring);
        take_and_check(10, 'b');
}

static void a_full_ring_refuses_until_room_is_released(void **state)
{
        (void)state;
        size_t half = ring.bytes_count / 2 - sizeof(struct bytering_header);
        assert_true(push(half, 'a'));
        assert_true(push(half, 'b'));
        assert_false(bytering_can_hold(&ring, 0));
        assert_null(bytering_reserve(&ring, 0));
        bytering_publish(&ring);
        take_and_check(half, 'a');
        /* Consumed is not released: its bytes may still be read. */
        assert_false(bytering_can_hold(&ring, 0));
        bytering_release(&ring);
        assert_true(bytering_can_hold(&ring, half));
        assert_false(bytering_can_hold(&ring, half + 1));
        assert_true(push(half, 'c'));
        bytering_publish(&ring);
        take_and_check(half, 'b');
        take_and_check(half, 'c');
}

static void fewer_bytes_may_be_committed_than_reserved(void **state)
{
        (void)state;
        uint8_t *record = bytering_reserve(&ring, 1000);
        memset(record, 'a', 10);
        bytering_commit(&ring, 10);
        assert_true(push(bytering_record_bytes_max(&ring) - 24, 'b'));
        bytering_publish(&ring);
        take_and_check(10, 'a');
        take_and_check(bytering_record_bytes_max(&ring) - 24, 'b');
}

static void room_is_released_up_to_a_record_and_never_taken_back(void **state)
{
        (void)state;
        size_t half = ring.bytes_count / 2 - sizeof(struct bytering_header);
        push(half, 'a');
        push(half, 'b');
        bytering_publish(&ring);
        take_and_check(half, 'a');
        uint64_t second = ring.head;
        take_and_check(half, 'b');
        bytering_release_to(&ring, 0);
        assert_false(bytering_can_hold(&ring, 0));
        bytering_release_to(&ring, second);
        bytering_release_to(&ring, 0);
        assert_true(bytering_can_hold(&ring, half));
        assert_false(bytering_can_hold(&ring, half + 1));
        assert_int_equal(bytering_record_at(&ring, second).size, half);
        assert_int_equal(bytering_record_at(&ring, second).bytes[half - 1], 'b');
}

static void records_of_every_size_are_whole_wherever_the_ring_stands(void **state)
{
        (void)state;
        uint8_t fill = 0;
        for (size_t offset = 0; offset < ring.bytes_count; offset += BYTERING_ALIGNMENT) {
                /* Every size at the ends, where it matters; else a few, up to the whole ring. */
                bool is_near_end = offset >= ring.bytes_count - 64 || offset < 16;
                for (size_t bytes = 0; bytes <= bytering_record_bytes_max(&ring); bytes += is_near_end ? 1 : 1019) {
                        size_t gap = (offset - ring.tail) & (ring.bytes_count - 1);
                        if (gap != 0)
                                assert_true(push(gap - sizeof(struct bytering_header), 0xee));
                        bytering_publish(&ring);
                        if (gap != 0)
                                take_and_check(gap - sizeof(struct bytering_header), 0xee);
                        bytering_release(&ring);
                        assert_int_equal(ring.tail & (ring.bytes_count - 1), offset);
                        assert_true(push(bytes, ++fill));
                        bytering_publish(&ring);
                        take_and_check(bytes, fill);
                        bytering_release(&ring);
                }
        }
}

/* The dumbest right version: a list of sizes, and how far each step has come. */
#define STEPS 200000

static void it_behaves_as_a_queue_does(void **state)
{
        (void)state;
        static uint32_t sizes[STEPS];
        struct random random;
        random_init(&random, 5);
        size_t committed = 0, published = 0, consumed = 0, released = 0;
        size_t used = 0;
        for (int step = 0; step < STEPS; step++) {
                struct span record;
                size_t bytes;
                switch (random_below(&random, 8)) {
                case 0:
                        assert_int_equal(bytering_publish(&ring), published != committed);
                        published = committed;
                        break;
                case 1:
                        bytering_release(&ring);
                        for (; released < consumed; released++)
                                used -= (sizes[released] + 15) / 8 * 8;
                        break;
                case 2:
                case 3:
                case 4:
                        assert_int_equal(bytering_is_empty(&ring), consumed == published);
                        if (consumed < published)
                                take_and_check(sizes[consumed], (uint8_t)consumed);
                        else
                                assert_false(bytering_peek(&ring, &record));
                        consumed += consumed < published;
                        break;
                default:
                        bytes = random_below(&random, random_chance(&random, 1, 20) ? 4089 : 300);
                        bool fits = used + (bytes + 15) / 8 * 8 <= ring.bytes_count;
                        assert_int_equal(bytering_can_hold(&ring, bytes), fits);
                        assert_int_equal(push(bytes, (uint8_t)committed), fits);
                        if (fits) {
                                sizes[committed++] = (uint32_t)bytes;
                                used += (bytes + 15) / 8 * 8;
                        }
                }
        }
        assert_true(consumed > STEPS / 10);
}

#define RACING_RECORDS 1000000

/* Sizes come from the same seed on both sides; so do the words, each another. */
static size_t racing_words(struct random *random)
{
        return random_below(random, random_chance(random, 1, 64) ? 256 : 16);
}

/* Where cores are short, the other side may be waiting for ours. */
static void wait_a_little(unsigned *spins)
{
        if (++*spins % 256 == 0)
                sched_yield();
        else
                ck_pr_stall();
}

static void *push_all(void *argument)
{
        struct random sizes, turns;
        unsigned spins = 0;
        (void)argument;
        random_init(&sizes, 1);
        random_init(&turns, 2);
        for (uint64_t i = 0; i < RACING_RECORDS; i++) {
                size_t words = racing_words(&sizes);
                uint8_t *record;
                while ((record = bytering_reserve(&ring, words * 8)) == NULL) {
                        bytering_publish(&ring);
                        wait_a_little(&spins);
                }
                for (size_t k = 0; k < words; k++)
                        ((uint64_t *)(void *)record)[k] = (i << 8) + k;
                bytering_commit(&ring, words * 8);
                if (random_chance(&turns, 1, 8))
                        bytering_publish(&ring);
        }
        bytering_publish(&ring);
        return NULL;
}

static void two_cores_see_every_record_once_whole_and_in_order(void **state)
{
        (void)state;
        pthread_t producer;
        struct random sizes, turns;
        struct span record;
        unsigned spins = 0;
        random_init(&sizes, 1);
        random_init(&turns, 3);
        assert_int_equal(pthread_create(&producer, NULL, push_all, NULL), 0);
        for (uint64_t i = 0; i < RACING_RECORDS; i++) {
                size_t words = racing_words(&sizes);
                while (!bytering_peek(&ring, &record)) {
                        bytering_release(&ring);
                        wait_a_little(&spins);
                }
                uint64_t wrong_count = record.size != words * 8;
                for (size_t k = 0; k < words && wrong_count == 0; k++)
                        wrong_count += ((const uint64_t *)(const void *)record.bytes)[k] != (i << 8) + k;
                assert_int_equal(wrong_count, 0);
                bytering_consume(&ring);
                if (random_chance(&turns, 1, 8))
                        bytering_release(&ring);
        }
        assert_int_equal(pthread_join(producer, NULL), 0);
        assert_false(bytering_peek(&ring, &record));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(an_empty_ring_gives_nothing),
                TEST(sizes_are_rounded_up_to_powers_of_two_and_pages),
                TEST(a_committed_record_is_seen_once_it_is_published),
                TEST(what_was_peeked_comes_again_until_it_is_consumed),
                TEST(a_full_ring_refuses_until_room_is_released),
                TEST(fewer_bytes_may_be_committed_than_reserved),
                TEST(room_is_released_up_to_a_record_and_never_taken_back),
                TEST(records_of_every_size_are_whole_wherever_the_ring_stands),
                TEST(it_behaves_as_a_queue_does),
                TEST(two_cores_see_every_record_once_whole_and_in_order),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
