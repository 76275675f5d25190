/* buddy: blocks never overlap, are aligned to their size, and everything joins again. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include <sys/mman.h>

#include "engine/base/bits.h"
#include "engine/base/buddy.h"
#include "engine/base/random.h"

static void a_zeroed_one_can_be_torn_down(void **state)
{
        (void)state;
        struct buddy buddy = {0};
        buddy_fini(&buddy);
}

static void a_region_is_rounded_up_to_the_largest_block(void **state)
{
        (void)state;
        struct buddy buddy;
        assert_int_equal(buddy_init(&buddy, BUDDY_BLOCK_BYTES_MAX + 1), 0);
        assert_int_equal(buddy.region_bytes, 2 * BUDDY_BLOCK_BYTES_MAX);
        assert_int_equal((uintptr_t)buddy.region % BUDDY_BLOCK_BYTES_MAX, 0);
        assert_int_equal(buddy_free_bytes(&buddy), 2 * BUDDY_BLOCK_BYTES_MAX);
        buddy_fini(&buddy);
        assert_int_equal(buddy_init(&buddy, SIZE_MAX), -ENOMEM);
        buddy_fini(&buddy);
}

static void a_block_is_the_power_of_two_that_holds_the_bytes(void **state)
{
        (void)state;
        struct buddy buddy;
        size_t block_bytes;
        assert_int_equal(buddy_init(&buddy, BUDDY_BLOCK_BYTES_MAX), 0);
        const size_t asked[] = {1, 4096, 4097, 8192, 8193, 65536, 100000, 2 << 20};
        const size_t given[] = {4096, 4096, 8192, 8192, 16384, 65536, 131072, 2 << 20};
        for (size_t i = 0; i < array_count(asked); i++) {
                void *block = buddy_take(&buddy, asked[i], &block_bytes);
                assert_non_null(block);
                assert_int_equal(block_bytes, given[i]);
                assert_int_equal((uintptr_t)block % block_bytes, 0);
                buddy_give(&buddy, block, block_bytes);
        }
        buddy_fini(&buddy);
}

static void a_spent_region_says_so_and_recovers(void **state)
{
        (void)state;
        struct buddy buddy;
        size_t block_bytes;
        assert_int_equal(buddy_init(&buddy, 2 * BUDDY_BLOCK_BYTES_MAX), 0);
        void *small = buddy_take(&buddy, 1, &block_bytes);
        void *large = buddy_take(&buddy, BUDDY_BLOCK_BYTES_MAX, &block_bytes);
        assert_non_null(large);
        assert_null(buddy_take(&buddy, BUDDY_BLOCK_BYTES_MAX, &block_bytes));
        buddy_give(&buddy, small, BUDDY_BLOCK_BYTES_MIN);
        void *other = buddy_take(&buddy, BUDDY_BLOCK_BYTES_MAX, &block_bytes);
        assert_non_null(other);
        assert_int_equal(buddy_free_bytes(&buddy), 0);
        buddy_give(&buddy, large, BUDDY_BLOCK_BYTES_MAX);
        buddy_give(&buddy, other, BUDDY_BLOCK_BYTES_MAX);
        buddy_fini(&buddy);
}

static void the_last_given_is_the_first_taken(void **state)
{
        (void)state;
        struct buddy buddy;
        size_t block_bytes;
        void *blocks[8];
        assert_int_equal(buddy_init(&buddy, BUDDY_BLOCK_BYTES_MAX), 0);
        for (size_t i = 0; i < array_count(blocks); i++)
                blocks[i] = buddy_take(&buddy, 4096, &block_bytes);
        /* Neighbours two apart cannot join. */
        buddy_give(&buddy, blocks[0], 4096);
        buddy_give(&buddy, blocks[4], 4096);
        buddy_give(&buddy, blocks[2], 4096);
        assert_ptr_equal(buddy_take(&buddy, 4096, &block_bytes), blocks[2]);
        assert_ptr_equal(buddy_take(&buddy, 4096, &block_bytes), blocks[4]);
        assert_ptr_equal(buddy_take(&buddy, 4096, &block_bytes), blocks[0]);
        for (size_t i = 0; i < array_count(blocks); i++)
                buddy_give(&buddy, blocks[i], 4096);
        buddy_fini(&buddy);
}

#define REGION_BYTES ((size_t)64 << 20)
#define REGION_PAGES (REGION_BYTES / 4096)

static size_t resident_pages(const struct buddy *buddy)
{
        static unsigned char resident[REGION_PAGES];
        size_t count = 0;
        assert_int_equal(mincore(buddy->region, REGION_BYTES, resident), 0);
        for (size_t i = 0; i < REGION_PAGES; i++)
                count += resident[i] & 1;
        return count;
}

static void splitting_a_fresh_block_touches_few_pages(void **state)
{
        (void)state;
        struct buddy buddy;
        size_t block_bytes;
        assert_int_equal(buddy_init(&buddy, REGION_BYTES), 0);
        madvise(buddy.region, REGION_BYTES, MADV_NOHUGEPAGE);
        uint8_t *block = buddy_take(&buddy, 1, &block_bytes);
        *block = 1;
        assert_true(resident_pages(&buddy) <= 1 + BUDDY_ORDERS);
        buddy_give(&buddy, block, block_bytes);
        assert_true(resident_pages(&buddy) <= 1 + BUDDY_ORDERS);
        buddy_fini(&buddy);
}

static void trimming_gives_back_all_but_what_is_to_stay_warm(void **state)
{
        (void)state;
        struct buddy buddy;
        size_t block_bytes;
        uint8_t *blocks[16];
        assert_int_equal(buddy_init(&buddy, REGION_BYTES), 0);
        madvise(buddy.region, REGION_BYTES, MADV_NOHUGEPAGE);
        for (size_t i = 0; i < 16; i++) {
                blocks[i] = buddy_take(&buddy, BUDDY_BLOCK_BYTES_MAX, &block_bytes);
                memset(blocks[i], (int)i, block_bytes);
        }
        assert_int_equal(buddy.touched_bytes, REGION_BYTES);
        for (size_t i = 0; i < 16; i++)
                buddy_give(&buddy, blocks[i], BUDDY_BLOCK_BYTES_MAX);
        size_t given_bytes = buddy_trim(&buddy, 2 * BUDDY_BLOCK_BYTES_MAX);
        assert_int_equal(given_bytes, 14 * (BUDDY_BLOCK_BYTES_MAX - BUDDY_BLOCK_BYTES_MIN));
        assert_int_equal(resident_pages(&buddy) * 4096, REGION_BYTES - given_bytes);
        assert_int_equal(buddy.touched_bytes, REGION_BYTES - given_bytes);
        assert_int_equal(buddy_trim(&buddy, 2 * BUDDY_BLOCK_BYTES_MAX), 0);
        /* The warm ones first, the last given first among them. */
        assert_ptr_equal(buddy_take(&buddy, BUDDY_BLOCK_BYTES_MAX, &block_bytes), blocks[15]);
        assert_ptr_equal(buddy_take(&buddy, BUDDY_BLOCK_BYTES_MAX, &block_bytes), blocks[14]);
        assert_int_equal(buddy.touched_bytes, REGION_BYTES - given_bytes);
        uint8_t *cold = buddy_take(&buddy, BUDDY_BLOCK_BYTES_MAX, &block_bytes);
        assert_int_equal(buddy.touched_bytes,
                         REGION_BYTES - given_bytes + BUDDY_BLOCK_BYTES_MAX - BUDDY_BLOCK_BYTES_MIN);
        memset(cold, 7, block_bytes);
        buddy_give(&buddy, cold, block_bytes);
        buddy_give(&buddy, blocks[14], block_bytes);
        buddy_give(&buddy, blocks[15], block_bytes);
        buddy_trim(&buddy, 0);
        assert_int_equal(resident_pages(&buddy), 16);
        buddy_fini(&buddy);
}

#define MODEL_BYTES ((size_t)16 << 20)
#define MODEL_PAGES (MODEL_BYTES / 4096)

struct taken {
        uint8_t *block;
        size_t block_bytes;
};

/* Is there an aligned run of free pages of this size? The dumbest right answer to "can this be taken". */
static bool model_has_room(const bool *page_is_taken, size_t pages)
{
        for (size_t first = 0; first < MODEL_PAGES; first += pages) {
                size_t free_count = 0;
                while (free_count < pages && !page_is_taken[first + free_count])
                        free_count++;
                if (free_count == pages)
                        return true;
        }
        return false;
}

static void model_mark(bool *page_is_taken, const struct buddy *buddy, struct taken taken, bool is_taken)
{
        size_t first = (size_t)(taken.block - buddy->region) / 4096;
        for (size_t page = first; page < first + taken.block_bytes / 4096; page++) {
                assert_int_equal(page_is_taken[page], !is_taken);
                page_is_taken[page] = is_taken;
        }
}

static void random_blocks_never_overlap_and_all_join_again(void **state)
{
        (void)state;
        static bool page_is_taken[MODEL_PAGES];
        static struct taken taken[MODEL_PAGES];
        size_t taken_count = 0;
        size_t taken_bytes = 0;
        struct buddy buddy;
        struct random random;
        random_init(&random, 2);
        assert_int_equal(buddy_init(&buddy, MODEL_BYTES), 0);
        for (int step = 0; step < 60000; step++) {
                bool take = random_chance(&random, (step / 5000) % 2 ? 1 : 3, 4);
                if (take) {
                        unsigned bits_max = (step / 10000) % 2 ? 22 : 14;
                        size_t bytes = 1 + random_below(&random, (uint64_t)1 << random_below(&random, bits_max + 1));
                        struct taken one = {0};
                        one.block = buddy_take(&buddy, bytes, &one.block_bytes);
                        size_t pages = (size_t)1 << bits_log2_ceil((bytes + 4095) / 4096);
                        if (one.block == NULL) {
                                assert_false(model_has_room(page_is_taken, pages));
                                continue;
                        }
                        assert_int_equal(one.block_bytes, pages * 4096);
                        assert_int_equal((uintptr_t)one.block % one.block_bytes, 0);
                        model_mark(page_is_taken, &buddy, one, true);
                        memset(one.block, 0xa5, 32);
                        memset(one.block + one.block_bytes - 32, 0xa5, 32);
                        taken[taken_count++] = one;
                        taken_bytes += one.block_bytes;
                } else if (taken_count > 0) {
                        size_t i = random_below(&random, taken_count);
                        for (size_t byte = 0; byte < 32; byte++) {
                                assert_int_equal(taken[i].block[byte], 0xa5);
                                assert_int_equal(taken[i].block[taken[i].block_bytes - 32 + byte], 0xa5);
                        }
                        model_mark(page_is_taken, &buddy, taken[i], false);
                        buddy_give(&buddy, taken[i].block, taken[i].block_bytes);
                        taken_bytes -= taken[i].block_bytes;
                        taken[i] = taken[--taken_count];
                }
                if (random_chance(&random, 1, 1000))
                        buddy_trim(&buddy, random_below(&random, MODEL_BYTES));
                assert_int_equal(buddy.taken_bytes, taken_bytes);
                assert_true(buddy.touched_bytes <= MODEL_BYTES);
                assert_true(buddy.touched_bytes >= taken_bytes);
        }
        while (taken_count > 0) {
                taken_count--;
                buddy_give(&buddy, taken[taken_count].block, taken[taken_count].block_bytes);
        }
        /* All joined again: the whole region can be taken in the largest blocks. */
        struct taken large[MODEL_BYTES / BUDDY_BLOCK_BYTES_MAX];
        for (size_t i = 0; i < array_count(large); i++) {
                large[i].block = buddy_take(&buddy, BUDDY_BLOCK_BYTES_MAX, &large[i].block_bytes);
                assert_non_null(large[i].block);
        }
        for (size_t i = 0; i < array_count(large); i++)
                buddy_give(&buddy, large[i].block, large[i].block_bytes);
        buddy_fini(&buddy);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_zeroed_one_can_be_torn_down),
                cmocka_unit_test(a_region_is_rounded_up_to_the_largest_block),
                cmocka_unit_test(a_block_is_the_power_of_two_that_holds_the_bytes),
                cmocka_unit_test(a_spent_region_says_so_and_recovers),
                cmocka_unit_test(the_last_given_is_the_first_taken),
                cmocka_unit_test(splitting_a_fresh_block_touches_few_pages),
                cmocka_unit_test(trimming_gives_back_all_but_what_is_to_stay_warm),
                cmocka_unit_test(random_blocks_never_overlap_and_all_join_again),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
