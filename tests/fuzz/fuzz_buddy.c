/* fuzz_buddy: blocks never overlap, are aligned to their size and keep what was written to them; a block is refused
 * only where no run of free pages has room for it; and what comes back joins.
 *
 *      op  a byte: even: take, of a size from the next two bytes; odd: give one back, or trim */
#include "engine/base/buddy.h"
#include "tests/fuzz/fuzz.h"

#define REGION_BYTES ((size_t)8 << 20)
#define PAGES (REGION_BYTES / BUDDY_BLOCK_BYTES_MIN)
#define BLOCKS_MAX 256

struct block {
        uint8_t *bytes;
        size_t size;
        uint8_t filled;
};

static struct block blocks[BLOCKS_MAX];
static bool is_taken[PAGES];

/* Is there an aligned run of `pages` free pages? */
static bool has_run(size_t pages)
{
        for (size_t at = 0; at + pages <= PAGES; at += pages) {
                size_t i = 0;
                while (i < pages && !is_taken[at + i])
                        i++;
                if (i == pages)
                        return true;
        }
        return false;
}

static void mark(const struct buddy *buddy, const struct block *block, bool to)
{
        size_t first = (size_t)(block->bytes - buddy->region) / BUDDY_BLOCK_BYTES_MIN;
        for (size_t i = 0; i < block->size / BUDDY_BLOCK_BYTES_MIN; i++) {
                assert(is_taken[first + i] != to);
                is_taken[first + i] = to;
        }
}

static size_t true_size(size_t bytes)
{
        size_t size = BUDDY_BLOCK_BYTES_MIN;
        while (size < bytes)
                size *= 2;
        return size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct span input = span_of(data, size);
        struct buddy buddy;
        size_t count = 0, taken_bytes = 0;
        int made = buddy_init(&buddy, REGION_BYTES);
        assert(made == 0);
        memset(is_taken, 0, sizeof is_taken);
        while (input.size > 0) {
                uint8_t op = fuzz_byte(&input);
                if (op % 2 == 0 && count < BLOCKS_MAX) {
                        size_t bytes = 1 + (fuzz_number(&input, 2) << (op >> 1) % 7) % BUDDY_BLOCK_BYTES_MAX;
                        struct block *block = &blocks[count];
                        block->bytes = buddy_take(&buddy, bytes, &block->size);
                        assert((block->bytes != NULL) == has_run(true_size(bytes) / BUDDY_BLOCK_BYTES_MIN));
                        if (block->bytes == NULL)
                                continue;
                        assert(block->size == true_size(bytes));
                        assert((uintptr_t)block->bytes % block->size == 0);
                        mark(&buddy, block, true);
                        block->filled = op;
                        block->bytes[0] = block->bytes[block->size - 1] = block->filled;
                        taken_bytes += block->size;
                        count++;
                } else if (op % 8 == 7) {
                        size_t touched = buddy.touched_bytes, given = buddy_trim(&buddy, (size_t)op << 16);
                        assert(buddy.touched_bytes + given == touched);
                } else if (count > 0) {
                        struct block *block = &blocks[op / 2 % count];
                        assert(block->bytes[0] == block->filled && block->bytes[block->size - 1] == block->filled);
                        mark(&buddy, block, false);
                        taken_bytes -= block->size;
                        buddy_give(&buddy, block->bytes, block->size);
                        *block = blocks[--count];
                }
                assert(buddy.taken_bytes == taken_bytes && buddy_free_bytes(&buddy) == REGION_BYTES - taken_bytes);
                assert(buddy.touched_bytes >= taken_bytes && buddy.touched_bytes <= REGION_BYTES);
        }
        while (count > 0) {
                struct block *block = &blocks[--count];
                assert(block->bytes[0] == block->filled && block->bytes[block->size - 1] == block->filled);
                buddy_give(&buddy, block->bytes, block->size);
        }
        /* All in one piece again. */
        void *whole[REGION_BYTES / BUDDY_BLOCK_BYTES_MAX];
        size_t block_bytes;
        for (size_t i = 0; i < array_count(whole); i++) {
                whole[i] = buddy_take(&buddy, BUDDY_BLOCK_BYTES_MAX, &block_bytes);
                assert(whole[i] != NULL);
        }
        for (size_t i = 0; i < array_count(whole); i++)
                buddy_give(&buddy, whole[i], BUDDY_BLOCK_BYTES_MAX);
        buddy_fini(&buddy);
        return 0;
}
