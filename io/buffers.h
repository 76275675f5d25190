/* buffers: receive buffers that the kernel picks from, shared by all connections of a reactor.
 *
 *      spare ──refill──▶ ring ──kernel──▶ told by a completion ──▶ borrowed by the engine ──refill──▶ spare
 *                                                              └──▶ held for a paused connection ──▶ ...
 *
 * A connection that has nothing to say has no buffer. There are twice as many buffers as the ring takes, so that held
 * ones do not dry it out; a page of them costs memory from its first use. The ones that came back last are given to the
 * kernel first. The entries of the ring have io_uring's layout (struct io_uring_buf, Linux 5.19). One reactor's. */
#ifndef SPATE_IO_BUFFERS_H
#define SPATE_IO_BUFFERS_H

#include "engine/base/bits.h"

#define BUFFERS_COUNT_MAX 32768u /* what io_uring takes */

/* No more buffers are put into the ring than will hold about this many bytes, going by how full the last ones were. So
 * a few large sources go round in buffers that stay in the cache, and a turn does not read for ever, while many small
 * messages find a buffer each. */
#define BUFFERS_RING_BYTES (4u << 20)
#define BUFFERS_RING_COUNT_MIN 64u

struct buffer_entry {
        uint64_t address;
        uint32_t size;
        uint16_t id;
        uint16_t tail; /* of the ring, in its first entry only */
};

/* What is known of a held buffer. */
struct buffer_note {
        uint32_t size; /* bytes received into it */
        uint16_t next; /* the next one held for the same connection */
};

struct buffers {
        struct buffer_entry *ring; /* read by the kernel, at the start of `mapping` */
        uint32_t ring_count;       /* a power of two */
        uint32_t in_ring;          /* buffers that the kernel may pick */
        uint16_t tail;
        uint32_t picked_count; /* since the last refill */
        uint64_t picked_bytes;
        uint32_t fill_bytes; /* what a picked buffer holds, an average over some refills */
        uint32_t bytes_max;  /* what one buffer holds */
        uint32_t stride;
        uint8_t *memory;
        uint16_t *spare;
        uint32_t spare_count;
        uint16_t *borrowed;
        uint32_t borrowed_count;
        struct buffer_note *notes;
        void *mapping;
        size_t mapping_bytes;
};

/* 0 or -ENOMEM. `count` is a power of two up to BUFFERS_COUNT_MAX. */
int buffers_init(struct buffers *buffers, uint32_t count, uint32_t bytes_max);
/* Accepts a zeroed one. */
void buffers_fini(struct buffers *buffers);

/* Takes back what is borrowed and fills the ring as far as it should be. */
void buffers_refill(struct buffers *buffers);

static inline uint8_t *buffers_at(const struct buffers *buffers, uint16_t id)
{
        return buffers->memory + (size_t)id * buffers->stride;
}

/* The kernel has picked one and put `bytes` into it. */
static inline void buffers_picked(struct buffers *buffers, uint32_t bytes)
{
        assert_slow(buffers->in_ring > 0);
        buffers->in_ring--;
        buffers->picked_count++;
        buffers->picked_bytes += bytes;
}

/* Comes back at the next refill. */
static inline void buffers_lend(struct buffers *buffers, uint16_t id)
{
        buffers->borrowed[buffers->borrowed_count++] = id;
}

static inline void buffers_give(struct buffers *buffers, uint16_t id)
{
        buffers->spare[buffers->spare_count++] = id;
}

#endif
