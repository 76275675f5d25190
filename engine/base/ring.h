/* ring: a bounded queue of pointers from one core to another, over ck_ring.
 *
 *      producer core                      consumer core
 *      ring_push() ──▶ [ · · · · · · ] ──▶ ring_take()
 *
 * One core pushes, one takes; neither ever waits for the other. A full ring is a normal answer: the
 * producer keeps the item and slows its source. What is pushed must be complete before the push: the
 * store that publishes the slot is a release, the load that takes it an acquire (both inside ck_ring). */
#ifndef SPATE_BASE_RING_H
#define SPATE_BASE_RING_H

#include <ck_ring.h>

#include "engine/base/bits.h"
#include "engine/base/tsan.h"

/* Lives in its owner's memory from ring_init() on; `slots` belongs to the owner and must outlive the ring. */
struct ring {
        struct ck_ring queue;
        struct ck_ring_buffer *slots;
};

/* `slots_count` is a power of two from 2 on; the ring holds one item less than that. */
static inline void ring_init(struct ring *ring, struct ck_ring_buffer *slots, unsigned slots_count)
{
        assert(slots != NULL);
        assert(slots_count >= 2);
        assert(bits_is_power_of_two(slots_count));
        ck_ring_init(&ring->queue, slots_count);
        ring->slots = slots;
}

/* Producer core only. false: the ring is full and `item` still belongs to the caller. */
static inline bool ring_push(struct ring *ring, void *item)
{
        assert_slow(item != NULL);
        tsan_release(ring);
        return ck_ring_enqueue_spsc(&ring->queue, ring->slots, item);
}

/* Consumer core only. NULL: nothing is there. */
static inline void *ring_take(struct ring *ring)
{
        void *item = NULL;
        if (!ck_ring_dequeue_spsc(&ring->queue, ring->slots, &item))
                return NULL;
        tsan_acquire(ring);
        return item;
}

/* How many items wait; exact on either of the two cores only while the other one rests. */
static inline unsigned ring_count(const struct ring *ring)
{
        return ck_ring_size(&ring->queue);
}

#endif
