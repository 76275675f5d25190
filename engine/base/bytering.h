/* bytering: records of any size from one core to another, copied in once and read where they lie.
 *
 *      pages        [ a a a b b b b c c . . . . ]         a ring of `bytes_count` bytes, mapped twice in a row:
 *      we see       [ a a a b b b b c c . . . . | a a a b b b b c c . . . . ]
 *                     ▲ head            ▲ tail      what begins before the end goes on behind it
 *
 * So every record is contiguous, any record up to bytering_record_bytes_max() fits into an empty ring wherever the ring
 * stands, and nothing about wrapping is on the event path. Positions count bytes since the beginning and never wrap.
 *
 * One core writes, one reads; neither ever waits for the other. A full ring is a normal answer. The producer commits as
 * many records as it likes and publishes them together; the consumer consumes as many and releases their room together:
 * a cache line changes cores once a batch, not once a record. What each side writes lies on lines of its own, and each
 * keeps the last it saw of the other's. No heap after bytering_init(), no locks. */
#ifndef SPATE_BASE_BYTERING_H
#define SPATE_BASE_BYTERING_H

#include <stdatomic.h>

#include "engine/base/bits.h"
#include "engine/base/span.h"

/* In front of each record; records begin at multiples of its size. */
struct bytering_header {
        uint32_t bytes_count;
        uint32_t unused;
};
#define BYTERING_ALIGNMENT sizeof(struct bytering_header)

#define BYTERING_BYTES_MAX ((size_t)1 << 30)

struct bytering {
        /* Set before the two cores start. */
        _Alignas(CACHE_LINE) uint8_t *bytes;
        size_t bytes_count; /* a power of two, whole pages */

        /* The producer's own. */
        _Alignas(CACHE_LINE) uint64_t tail; /* behind the last record committed */
        uint64_t tail_told;                 /* what the last publish stored */
        uint64_t head_seen;

        /* The consumer's own. */
        _Alignas(CACHE_LINE) uint64_t head; /* behind the last record consumed */
        uint64_t head_told;                 /* what the last release stored */
        uint64_t tail_seen;

        /* What each tells the other. */
        _Alignas(CACHE_LINE) _Atomic uint64_t published;
        _Alignas(CACHE_LINE) _Atomic uint64_t released;
};

/* 0 or -errno. Lives in its owner's memory, aligned to a cache line, from here until bytering_fini(). `bytes_count` (1
 * .. BYTERING_BYTES_MAX) is rounded up to a power of two and whole pages. Pages cost memory from their first use. */
int bytering_init(struct bytering *ring, size_t bytes_count);
/* Accepts a zeroed one. Neither core uses it any more. */
void bytering_fini(struct bytering *ring);

/* What a record takes of the ring. */
static inline size_t bytering_room(size_t record_bytes)
{
        return (size_t)bits_align_up(sizeof(struct bytering_header) + record_bytes, BYTERING_ALIGNMENT);
}

static inline size_t bytering_record_bytes_max(const struct bytering *ring)
{
        return ring->bytes_count - sizeof(struct bytering_header);
}

static inline struct bytering_header *bytering_header_at(const struct bytering *ring, uint64_t position)
{
        return (struct bytering_header *)(void *)(ring->bytes + (position & (ring->bytes_count - 1)));
}

/* Producer: is there room for a record of `record_bytes` (0 .. bytering_record_bytes_max())? Once true it stays true
 * until the next commit. */
static inline bool bytering_can_hold(struct bytering *ring, size_t record_bytes)
{
        uint64_t end = ring->tail + bytering_room(record_bytes);
        if (likely(end - ring->head_seen <= ring->bytes_count))
                return true;
        /* Acquire: pairs with the release in bytering_release_to(). The consumer has read what we are going to
         * overwrite. */
        ring->head_seen = atomic_load_explicit(&ring->released, memory_order_acquire);
        /* Else it would be refused for ever. */
        assert(record_bytes <= bytering_record_bytes_max(ring));
        return end - ring->head_seen <= ring->bytes_count;
}

/* Producer: where to write the next record, or NULL when there is no room. Aligned to 8 bytes. Nothing has happened
 * before bytering_commit(). */
static inline uint8_t *bytering_reserve(struct bytering *ring, size_t record_bytes)
{
        if (unlikely(!bytering_can_hold(ring, record_bytes)))
                return NULL;
        return (uint8_t *)(bytering_header_at(ring, ring->tail) + 1);
}

/* Producer: the record is written; it has `record_bytes`, at most what was reserved. */
static inline void bytering_commit(struct bytering *ring, size_t record_bytes)
{
        assert_slow(ring->tail + bytering_room(record_bytes) - ring->head_seen <= ring->bytes_count);
        bytering_header_at(ring, ring->tail)->bytes_count = (uint32_t)record_bytes;
        ring->tail += bytering_room(record_bytes);
}

/* Producer: shows the consumer all that was committed. false: there was nothing new. */
static inline bool bytering_publish(struct bytering *ring)
{
        if (ring->tail == ring->tail_told)
                return false;
        ring->tail_told = ring->tail;
        /* Release: pairs with the acquire in bytering_peek(). The records are written. */
        atomic_store_explicit(&ring->published, ring->tail, memory_order_release);
        return true;
}

/* Consumer: the next record, aligned to 8 bytes, in place: good until its room is released. The same one again until
 * bytering_consume(). false: nothing is there, and *record is empty. */
static inline bool bytering_peek(struct bytering *ring, struct span *record)
{
        if (unlikely(ring->head == ring->tail_seen)) {
                /* Acquire: pairs with the release in bytering_publish(). */
                ring->tail_seen = atomic_load_explicit(&ring->published, memory_order_acquire);
                if (ring->head == ring->tail_seen) {
                        *record = SPAN_NONE;
                        return false;
                }
        }
        const struct bytering_header *header = bytering_header_at(ring, ring->head);
        *record = span_of(header + 1, header->bytes_count);
        return true;
}

/* Consumer: done with the record that bytering_peek() last told. */
static inline void bytering_consume(struct bytering *ring)
{
        assert_slow(ring->head != ring->tail_seen);
        ring->head += bytering_room(bytering_header_at(ring, ring->head)->bytes_count);
}

/* Consumer: gives back the room of all records in front of `position`, which is the beginning of a record consumed, or
 * ring->head for all of them. Never takes back what was given. */
static inline void bytering_release_to(struct bytering *ring, uint64_t position)
{
        assert_slow(position <= ring->head);
        if (position <= ring->head_told)
                return;
        ring->head_told = position;
        /* Release: pairs with the acquire in bytering_can_hold(). We have read the records. */
        atomic_store_explicit(&ring->released, position, memory_order_release);
}

static inline void bytering_release(struct bytering *ring)
{
        bytering_release_to(ring, ring->head);
}

/* Consumer: has everything that was published been consumed? Behind the fence of bell_lie_down() an answer of true can
 * be slept on. Relaxed: nothing is read by this answer; who wants the records comes through bytering_peek(). */
static inline bool bytering_is_empty(const struct bytering *ring)
{
        return ring->head == atomic_load_explicit(&ring->published, memory_order_relaxed);
}

/* The record at `position`, of which the room has not been released: for the producer, to read again what it wrote. */
static inline struct span bytering_record_at(const struct bytering *ring, uint64_t position)
{
        const struct bytering_header *header = bytering_header_at(ring, position);
        return span_of(header + 1, header->bytes_count);
}

#endif
