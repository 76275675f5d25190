/* pool: objects never overlap, come back warm, and cost nothing before their first use. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/base/pool.h"
#include "engine/base/random.h"

static void a_zeroed_pool_can_be_torn_down(void **state)
{
        (void)state;
        struct pool pool = {0};
        pool_fini(&pool);
}

static void an_object_is_rounded_up_to_sixteen_bytes(void **state)
{
        (void)state;
        struct pool pool;
        assert_int_equal(pool_init(&pool, "odd", 17, 3), 0);
        assert_int_equal(pool.object_bytes, 32);
        assert_int_equal(pool_bytes_max(&pool), 96);
        void *object = pool_take(&pool);
        assert_int_equal((uintptr_t)object % 16, 0);
        pool_give(&pool, object);
        pool_fini(&pool);
}

static void the_last_given_is_the_first_taken(void **state)
{
        (void)state;
        struct pool pool;
        assert_int_equal(pool_init(&pool, "warm", 64, 8), 0);
        void *first = pool_take(&pool);
        void *second = pool_take(&pool);
        pool_give(&pool, first);
        pool_give(&pool, second);
        assert_ptr_equal(pool_take(&pool), second);
        assert_ptr_equal(pool_take(&pool), first);
        pool_give(&pool, first);
        pool_give(&pool, second);
        pool_fini(&pool);
}

static void an_impossible_size_is_refused(void **state)
{
        (void)state;
        struct pool pool;
        assert_int_equal(pool_init(&pool, "huge", SIZE_MAX - 3, 2), -ENOMEM);
        assert_int_equal(pool_init(&pool, "huge", 16, SIZE_MAX / 8), -ENOMEM);
        assert_int_equal(pool_init(&pool, "huge", (size_t)1 << 40, (size_t)1 << 20), -ENOMEM);
        pool_fini(&pool);
}

static void a_page_costs_memory_from_its_first_object_on(void **state)
{
        (void)state;
        size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
        enum { PAGES = 4096 };
        static unsigned char resident[PAGES];
        struct pool pool;
        assert_int_equal(pool_init(&pool, "lazy", page_bytes, PAGES), 0);
        madvise(pool.objects, pool_bytes_max(&pool), MADV_NOHUGEPAGE);
        void *objects[3];
        for (int i = 0; i < 3; i++) {
                objects[i] = pool_take(&pool);
                memset(objects[i], 1, page_bytes);
        }
        assert_int_equal(mincore(pool.objects, pool_bytes_max(&pool), resident), 0);
        size_t resident_count = 0;
        for (int i = 0; i < PAGES; i++)
                resident_count += resident[i] & 1;
        assert_int_equal(resident_count, 3);
        for (int i = 0; i < 3; i++)
                pool_give(&pool, objects[i]);
        pool_fini(&pool);
}

#define OBJECTS 300

/* The dumbest right version: an array of what is out, each filled with bytes of its own. */
static void random_takes_and_gives_never_overlap(void **state)
{
        (void)state;
        struct pool pool;
        struct random random;
        static uint8_t *out[OBJECTS];
        static uint8_t fill[OBJECTS];
        size_t out_count = 0;
        random_init(&random, 1);
        assert_int_equal(pool_init(&pool, "model", 40, OBJECTS), 0);
        for (int step = 0; step < 200000; step++) {
                bool take = random_chance(&random, (step / 1000) % 2 ? 3 : 1, 4);
                if (take) {
                        uint8_t *object = pool_take(&pool);
                        if (out_count == OBJECTS) {
                                assert_null(object);
                                continue;
                        }
                        assert_non_null(object);
                        out[out_count] = object;
                        fill[out_count] = (uint8_t)step;
                        memset(object, (uint8_t)step, 40);
                        out_count++;
                } else if (out_count > 0) {
                        size_t i = random_below(&random, out_count);
                        for (int byte = 0; byte < 40; byte++)
                                assert_int_equal(out[i][byte], fill[i]);
                        pool_give(&pool, out[i]);
                        out_count--;
                        out[i] = out[out_count];
                        fill[i] = fill[out_count];
                }
                assert_int_equal(pool.objects_taken, out_count);
        }
        while (out_count > 0)
                pool_give(&pool, out[--out_count]);
        pool_fini(&pool);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_zeroed_pool_can_be_torn_down),
                cmocka_unit_test(an_object_is_rounded_up_to_sixteen_bytes),
                cmocka_unit_test(the_last_given_is_the_first_taken),
                cmocka_unit_test(an_impossible_size_is_refused),
                cmocka_unit_test(a_page_costs_memory_from_its_first_object_on),
                cmocka_unit_test(random_takes_and_gives_never_overlap),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
