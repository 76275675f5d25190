/* stream: bytes that are appended once and read by many, in order.
 *
 *      oldest ─▶ chunk ─▶ chunk ─▶ tail            byte and event numbers only ever grow
 *               ▲  ▲          ▲        ▲
 *               pins (cursors, closed spans)   append
 *
 *      one chunk:  │ header │ operation │ operation │ …  free  … │ end₁ │ end₀ │
 *                                                                  └ where each operation ends, from the back
 *
 * An operation (one whole message on the wire) never straddles two chunks; one that is larger than the stream's chunks
 * gets a chunk of its own. Each reader pins the chunk in which its lowest needed byte lies. Chunks are given back from
 * the oldest on, while nothing pins them, and a drained stream holds none: nobody ever searches for the slowest reader.
 *
 * Beside its end, an operation carries flags: whether it is an event (somebody published it) or a reply. The ends serve
 * two purposes: a reader that is cut off or skips does so between operations, and the number of the event at any byte
 * can be told, so nobody counts per event and reader.
 *
 * Belongs to one reactor. Embedded in its owner; a zeroed stream with chunk_bytes set is an empty one. */
#ifndef SPATE_ENGINE_STREAM_H
#define SPATE_ENGINE_STREAM_H

#include "engine/base/buddy.h"
#include "engine/base/span.h"

/* A stream begins with chunks of chunk_bytes and doubles them while it does not drain, up to LARGE. */
#define STREAM_CHUNK_BYTES_SMALL ((size_t)4096)
#define STREAM_CHUNK_BYTES_SHARED ((size_t)64 << 10) /* for cohorts of more than 3 */
#define STREAM_CHUNK_BYTES_LARGE ((size_t)256 << 10)

struct chunk {
        struct chunk *next;   /* the following chunk of the stream, NULL for the tail */
        uint64_t first_byte;  /* number of data[0] in the stream */
        uint64_t first_event; /* how many events came before this chunk */
        uint32_t used_bytes;
        uint32_t operations_count;
        uint32_t events_count; /* of these operations */
        uint32_t block_bytes;  /* of the whole block, header and ends included */
        uint32_t pins;         /* readers whose lowest needed byte lies here */
        uint32_t kinds;        /* STREAM_KIND() of each operation in it, joined */
        uint8_t data[];
};

struct stream {
        struct chunk *oldest; /* NULL: drained */
        struct chunk *tail;
        uint64_t head_byte;   /* the number that the next byte will have */
        uint64_t head_event;  /* how many events were appended so far */
        uint32_t chunk_bytes; /* size of block that a drained stream begins with; larger operations get larger ones */
};

/* A place in a stream: a byte of a chunk that is pinned for it. */
struct place {
        struct chunk *chunk;
        uint32_t offset; /* < chunk->used_bytes */
};

/* The largest operation that fits a block. */
#define STREAM_OPERATION_BYTES_MAX (BUDDY_BLOCK_BYTES_MAX - sizeof(struct chunk) - sizeof(uint32_t))

/* What stands beside an operation's end. Offsets in a block take the lower bits. */
#define STREAM_END_BITS 24
#define STREAM_END_MASK ((UINT32_C(1) << STREAM_END_BITS) - 1)
#define STREAM_EVENT UINT32_C(0)
#define STREAM_REPLY (UINT32_C(1) << 31) /* ours, not somebody's event: no account counts it */
#define STREAM_REST (UINT32_C(1) << 28)  /* the rest of an operation: its reader has had the beginning elsewhere */
#define STREAM_LAG_SHIFT 29              /* two bits: what becomes of it when its reader lags */
static_assert(BUDDY_BLOCK_BYTES_MAX <= STREAM_END_MASK, "every end in a block fits beside the flags");

/* A bit for each combination of flags. */
#define STREAM_KIND(flags) (UINT32_C(1) << ((flags) >> STREAM_LAG_SHIFT))
static inline uint32_t stream_lag_flags(unsigned policy)
{
        return (uint32_t)policy << STREAM_LAG_SHIFT;
}
static inline unsigned stream_lag_of(uint32_t flags)
{
        return flags >> STREAM_LAG_SHIFT & 3;
}

/* Room for one operation of at most `bytes` (1 .. STREAM_OPERATION_BYTES_MAX), or NULL when `memory` has no block for
 * it. Nothing has been appended until stream_commit() says how many bytes were written. */
uint8_t *stream_reserve(struct stream *stream, struct buddy *memory, size_t bytes);
/* Ends the operation begun by stream_reserve(): `bytes` >= 1, at most what was reserved; `flags` as above. Returns its
 * place, not pinned yet. */
struct place stream_commit(struct stream *stream, size_t bytes, uint32_t flags);

static inline void stream_pin(struct place place, uint32_t count)
{
        assert_slow(place.offset < place.chunk->used_bytes);
        place.chunk->pins += count;
}
/* Gives back what nothing needs any more. After a pin was taken away. */
void stream_trim(struct stream *stream, struct buddy *memory);
/* Takes one pin away and trims. */
void stream_unpin(struct stream *stream, struct buddy *memory, struct chunk *chunk);

/* Moves a pinned place `bytes` on, and its pin with it. true: place is where the next needed byte is. false: it reached
 * the head; the pin is gone, place->chunk is NULL. Trims behind itself. */
bool stream_advance(struct stream *stream, struct buddy *memory, struct place *place, size_t bytes);

/* How many bytes the stream holds, from its oldest chunk on. */
static inline uint64_t stream_held_bytes(const struct stream *stream)
{
        return stream->oldest == NULL ? 0 : stream->head_byte - stream->oldest->first_byte;
}

static inline uint64_t place_byte(struct place place)
{
        return place.chunk->first_byte + place.offset;
}

/* How many events were appended before the operation in which the place lies: all that a reader which needs this byte
 * has had. In a chunk with both events and replies it takes a step per operation: for cuts and questions. */
uint64_t place_event(struct place place);
/* The flags of the operation in which the place lies. */
uint32_t place_flags(struct place place);
/* The bytes of the first whole event from the place's operation on, within its chunk; of the last one up to it, when
 * `is_backward`. Empty: there is none. Steps over replies, up to a rest. */
struct span place_event_bytes(struct place place, bool is_backward);
/* How many bytes of that operation are still to come: 0 when the place is an operation's first byte, and not that of a
 * rest. */
size_t place_rest_bytes(struct place place);

/* A walk from operation to operation. */
struct stream_walk {
        const struct chunk *chunk;
        uint32_t index, offset; /* of the next operation; at the end of the chunk: the next chunk's first */
};

/* `place` is an operation's first byte. */
struct stream_walk stream_walk_from(struct place place);
/* The next operation, which there is, and its flags. */
static inline struct span stream_walk_next(struct stream_walk *walk, uint32_t *flags)
{
        if (unlikely(walk->offset == walk->chunk->used_bytes))
                *walk = (struct stream_walk){.chunk = walk->chunk->next};
        const struct chunk *chunk = walk->chunk;
        const uint32_t *ends = (const uint32_t *)((uintptr_t)chunk + chunk->block_bytes);
        uint32_t end = ends[-(int64_t)++walk->index];
        struct span operation = span_of(chunk->data + walk->offset, (end & STREAM_END_MASK) - walk->offset);
        walk->offset = end & STREAM_END_MASK;
        *flags = end & ~STREAM_END_MASK;
        return operation;
}

#endif
