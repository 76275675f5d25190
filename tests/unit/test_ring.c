/* ring: what the producer pushes, the consumer takes, in that order, once. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/base/ring.h"

#define SLOTS 8

static void an_empty_ring_gives_nothing(void **state)
{
        (void)state;
        struct ck_ring_buffer slots[SLOTS];
        struct ring ring;
        ring_init(&ring, slots, SLOTS);
        assert_null(ring_take(&ring));
        assert_int_equal(ring_count(&ring), 0);
}

static void a_full_ring_refuses_until_one_is_taken(void **state)
{
        (void)state;
        struct ck_ring_buffer slots[SLOTS];
        struct ring ring;
        int items[SLOTS];
        ring_init(&ring, slots, SLOTS);
        for (int i = 0; i < SLOTS - 1; i++)
                assert_true(ring_push(&ring, &items[i]));
        assert_false(ring_push(&ring, &items[SLOTS - 1]));
        assert_ptr_equal(ring_take(&ring), &items[0]);
        assert_true(ring_push(&ring, &items[SLOTS - 1]));
        for (int i = 1; i < SLOTS; i++)
                assert_ptr_equal(ring_take(&ring), &items[i]);
        assert_null(ring_take(&ring));
}

#define RACING_ITEMS 200000

static void *push_all(void *argument)
{
        struct ring *ring = argument;
        for (uintptr_t i = 1; i <= RACING_ITEMS; i++)
                while (!ring_push(ring, (void *)i))
                        ck_pr_stall();
        return NULL;
}

static void two_cores_see_every_item_once_and_in_order(void **state)
{
        (void)state;
        struct ck_ring_buffer slots[SLOTS];
        struct ring ring;
        pthread_t producer;
        ring_init(&ring, slots, SLOTS);
        assert_int_equal(pthread_create(&producer, NULL, push_all, &ring), 0);
        for (uintptr_t expected = 1; expected <= RACING_ITEMS; expected++) {
                void *item;
                while ((item = ring_take(&ring)) == NULL)
                        ck_pr_stall();
                assert_int_equal((uintptr_t)item, expected);
        }
        assert_int_equal(pthread_join(producer, NULL), 0);
        assert_null(ring_take(&ring));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(an_empty_ring_gives_nothing),
                cmocka_unit_test(a_full_ring_refuses_until_one_is_taken),
                cmocka_unit_test(two_cores_see_every_item_once_and_in_order),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
