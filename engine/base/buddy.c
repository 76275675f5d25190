/* buddy: the states of blocks live apart from them, a byte per page, so that joining never reads the buddy itself;
 * only the links of free blocks lie in the blocks, in their first 16 bytes.
 *
 *      region  [ 4 MiB | 4 MiB, split: 2 MiB, 1 MiB, ... | 4 MiB | never taken ...     ]
 *                                                                 ▲ fresh_bytes
 *
 * Never-taken 4-MiB blocks are handed out by the mark fresh_bytes, not by links: linking them at start would touch a
 * page of each. Splitting one down to 4 KiB touches ten pages, one per half that is linked. */
#include "engine/base/buddy.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "engine/base/bits.h"
#include "engine/base/poison.h"

#define PAGE_BITS 12
#define ORDER_MAX (BUDDY_ORDERS - 1)

/* A state is 0 where no block begins, else the block's order and one of the first two flags. */
#define STATE_FREE 0x80
#define STATE_TAKEN 0x40
#define STATE_COLD 0x20 /* free, and given back to the kernel but for its first page, which holds the links */

static_assert(BUDDY_BLOCK_BYTES_MIN == (size_t)1 << PAGE_BITS, "orders count from one page");
static_assert(BUDDY_BLOCK_BYTES_MAX == BUDDY_BLOCK_BYTES_MIN << ORDER_MAX, "the orders end at the largest block");
static_assert(ORDER_MAX < STATE_COLD, "an order fits beside the flags");

static size_t order_bytes(unsigned order)
{
        return BUDDY_BLOCK_BYTES_MIN << order;
}

static size_t page_of(const struct buddy *buddy, const void *block)
{
        return (size_t)((const uint8_t *)block - buddy->region) >> PAGE_BITS;
}

static struct list *block_at(const struct buddy *buddy, size_t page)
{
        return (struct list *)(void *)(buddy->region + (page << PAGE_BITS));
}

/* Links a block of which no byte is in use. Its links stay readable: a neighbour's removal writes them. */
static void free_block(struct buddy *buddy, size_t page, unsigned order)
{
        struct list *block = block_at(buddy, page);
        buddy->states[page] = (uint8_t)(STATE_FREE | order);
        list_push_front(&buddy->free[order], block);
        poison((uint8_t *)block + sizeof(*block), order_bytes(order) - sizeof(*block));
}

static void unfree_block(struct buddy *buddy, size_t page, unsigned order)
{
        struct list *block = block_at(buddy, page);
        list_remove(block);
        unpoison(block, order_bytes(order));
        if (buddy->states[page] & STATE_COLD)
                buddy->touched_bytes += BUDDY_BLOCK_BYTES_MAX - BUDDY_BLOCK_BYTES_MIN;
        buddy->states[page] = 0;
}

int buddy_init(struct buddy *buddy, size_t region_bytes)
{
        memset(buddy, 0, sizeof(*buddy));
        for (unsigned order = 0; order < BUDDY_ORDERS; order++)
                list_init(&buddy->free[order]);
        if (region_bytes > SIZE_MAX / 4)
                return -ENOMEM;
        region_bytes = bits_align_up(region_bytes, BUDDY_BLOCK_BYTES_MAX);
        if (region_bytes == 0)
                region_bytes = BUDDY_BLOCK_BYTES_MAX;

        /* mmap aligns to a page only: take one block more and give back what sticks out on both sides. */
        int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
        size_t mapped_bytes = region_bytes + BUDDY_BLOCK_BYTES_MAX;
        uint8_t *mapped = mmap(NULL, mapped_bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
        if (mapped == MAP_FAILED)
                return -ENOMEM;
        size_t before_bytes = (size_t)(bits_align_up((uintptr_t)mapped, BUDDY_BLOCK_BYTES_MAX) - (uintptr_t)mapped);
        size_t behind_bytes = BUDDY_BLOCK_BYTES_MAX - before_bytes;
        if (before_bytes != 0)
                munmap(mapped, before_bytes);
        munmap(mapped + before_bytes + region_bytes, behind_bytes);

        uint8_t *states = mmap(NULL, region_bytes >> PAGE_BITS, PROT_READ | PROT_WRITE, flags, -1, 0);
        if (states == MAP_FAILED) {
                munmap(mapped + before_bytes, region_bytes);
                return -ENOMEM;
        }
        buddy->region = mapped + before_bytes;
        buddy->region_bytes = region_bytes;
        buddy->states = states;
        return 0;
}

void buddy_fini(struct buddy *buddy)
{
        if (buddy->region == NULL)
                return;
        assert(buddy->taken_bytes == 0);
        unpoison(buddy->region, buddy->fresh_bytes);
        munmap(buddy->states, buddy->region_bytes >> PAGE_BITS);
        munmap(buddy->region, buddy->region_bytes);
        memset(buddy, 0, sizeof(*buddy));
}

/* The page of a block of `order` or the smallest larger one, in no list any more; its order goes to *found.
 * SIZE_MAX: there is none. */
static size_t find_block(struct buddy *buddy, unsigned order, unsigned *found)
{
        for (; order < BUDDY_ORDERS; order++) {
                if (list_is_empty(&buddy->free[order]))
                        continue;
                size_t page = page_of(buddy, buddy->free[order].next);
                unfree_block(buddy, page, order);
                *found = order;
                return page;
        }
        if (buddy->fresh_bytes == buddy->region_bytes)
                return SIZE_MAX;
        size_t page = buddy->fresh_bytes >> PAGE_BITS;
        buddy->fresh_bytes += BUDDY_BLOCK_BYTES_MAX;
        buddy->touched_bytes += BUDDY_BLOCK_BYTES_MAX;
        *found = ORDER_MAX;
        return page;
}

void *buddy_take(struct buddy *buddy, size_t bytes, size_t *block_bytes)
{
        assert(bytes >= 1);
        assert(bytes <= BUDDY_BLOCK_BYTES_MAX);
        unsigned order = bits_log2_ceil((bytes + BUDDY_BLOCK_BYTES_MIN - 1) >> PAGE_BITS);
        unsigned found;
        size_t page = find_block(buddy, order, &found);
        if (unlikely(page == SIZE_MAX))
                return NULL;
        /* The upper halves go back, the lower ones are split on. */
        while (found > order) {
                found--;
                free_block(buddy, page + ((size_t)1 << found), found);
        }
        buddy->states[page] = (uint8_t)(STATE_TAKEN | order);
        buddy->taken_bytes += order_bytes(order);
        *block_bytes = order_bytes(order);
        return block_at(buddy, page);
}

void buddy_give(struct buddy *buddy, void *block, size_t block_bytes)
{
        assert(bits_is_power_of_two(block_bytes));
        assert((uint8_t *)block >= buddy->region);
        assert((uint8_t *)block < buddy->region + buddy->fresh_bytes);
        unsigned order = bits_log2_floor(block_bytes) - PAGE_BITS;
        size_t page = page_of(buddy, block);
        /* Given twice, given in part, or with another size than it was taken with. */
        assert(buddy->states[page] == (STATE_TAKEN | order));
        buddy->states[page] = 0;
        buddy->taken_bytes -= block_bytes;
        while (order < ORDER_MAX) {
                size_t other = page ^ ((size_t)1 << order);
                if (buddy->states[other] != (STATE_FREE | order))
                        break;
                unfree_block(buddy, other, order);
                page &= ~((size_t)1 << order);
                order++;
        }
        free_block(buddy, page, order);
}

size_t buddy_trim(struct buddy *buddy, size_t keep_bytes)
{
        size_t warm_bytes = 0;
        size_t given_bytes = 0;
        struct list cold;
        list_init(&cold);
        list_for_each(&buddy->free[ORDER_MAX], block)
        {
                size_t page = page_of(buddy, block);
                if (buddy->states[page] & STATE_COLD)
                        continue;
                if (keep_bytes - warm_bytes >= BUDDY_BLOCK_BYTES_MAX) {
                        warm_bytes += BUDDY_BLOCK_BYTES_MAX;
                        continue;
                }
                /* All but the first page: that one keeps the links, so the block stays in the list. */
                size_t size = BUDDY_BLOCK_BYTES_MAX - BUDDY_BLOCK_BYTES_MIN;
                if (madvise((uint8_t *)block + BUDDY_BLOCK_BYTES_MIN, size, MADV_DONTNEED) != 0)
                        continue;
                buddy->states[page] |= STATE_COLD;
                buddy->touched_bytes -= size;
                given_bytes += size;
                list_remove(block);
                list_push_back(&cold, block);
        }
        /* Behind the warm ones: those are taken first. */
        list_splice_back(&buddy->free[ORDER_MAX], &cold);
        return given_bytes;
}
