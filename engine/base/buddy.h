/* buddy: blocks of 4 KiB to 4 MiB, powers of two, out of one region that is reserved at start.
 *
 *      4 MiB ┬ 2 MiB ┬ 1 MiB ...
 *            └ 2 MiB └ 1 MiB ...     a block splits into two buddies; two free buddies join again
 *
 * One budget serves small blocks for the many and large ones for the few; "short" is one number. Free blocks
 * are taken again last in, first out, so a busy stream keeps using the same warm memory. A block that was
 * split, used and given back joins its buddy at once. Pages cost memory from their first use; when much is
 * free, buddy_trim() gives pages back to the kernel. Belongs to one reactor. No heap after init. */
#ifndef SPATE_BASE_BUDDY_H
#define SPATE_BASE_BUDDY_H

#include "engine/base/list.h"

#define BUDDY_BLOCK_BYTES_MIN ((size_t)4096)
#define BUDDY_BLOCK_BYTES_MAX ((size_t)4 << 20)
#define BUDDY_ORDERS 11 /* 4 KiB .. 4 MiB */

struct buddy {
        uint8_t *region; /* aligned to BUDDY_BLOCK_BYTES_MAX */
        size_t region_bytes;
        uint8_t *states;                /* one byte per 4-KiB page: which block begins there, see buddy.c */
        struct list free[BUDDY_ORDERS]; /* links live in the free blocks themselves */
        size_t fresh_bytes;             /* what lies behind this offset has never been taken, and is in no list */
        size_t taken_bytes;
        size_t touched_bytes; /* an upper bound of resident memory; only buddy_trim() lowers it */
};

/* 0 or -ENOMEM. `region_bytes` is rounded up to a multiple of BUDDY_BLOCK_BYTES_MAX. */
int buddy_init(struct buddy *buddy, size_t region_bytes);
/* Accepts a zeroed one. Asserts that every block has come back. */
void buddy_fini(struct buddy *buddy);

/* A block of at least `bytes` (1 .. BUDDY_BLOCK_BYTES_MAX), aligned to its own size, contents undefined; its true
 * size, a power of two, goes to *block_bytes. NULL: no block of that size is free. */
void *buddy_take(struct buddy *buddy, size_t bytes, size_t *block_bytes);
/* `block_bytes` is the true size that buddy_take() told. */
void buddy_give(struct buddy *buddy, void *block, size_t block_bytes);

/* Gives the pages of wholly free 4-MiB blocks back to the kernel, keeping `keep_bytes` of them warm. Not for the
 * event path: a system call per block. Returns how many bytes were given back. */
size_t buddy_trim(struct buddy *buddy, size_t keep_bytes);

static inline size_t buddy_free_bytes(const struct buddy *buddy)
{
        return buddy->region_bytes - buddy->taken_bytes;
}

#endif
