/* stream: chunks out of the buddy allocator, filled front to back, pinned by their readers. See the header. */
#include "engine/stream.h"

static uint32_t *chunk_ends(const struct chunk *chunk)
{
        return (uint32_t *)(void *)((uintptr_t)chunk + chunk->block_bytes);
}

/* Free bytes for data once the end of one more operation has its place. Negative when not even that fits. */
static int64_t chunk_room(const struct chunk *chunk)
{
        uint64_t taken = sizeof *chunk + chunk->used_bytes + sizeof(uint32_t) * ((uint64_t)chunk->operations_count + 1);
        return (int64_t)chunk->block_bytes - (int64_t)taken;
}

static bool stream_grow(struct stream *stream, struct buddy *memory, size_t bytes)
{
        size_t wanted = sizeof(struct chunk) + bytes + sizeof(uint32_t);
        size_t block_bytes;
        /* A stream that fills chunk after chunk gets larger ones: few pieces a send for the busy, few bytes for the
         * quiet. */
        size_t preferred = stream->chunk_bytes;
        if (stream->tail != NULL && preferred < 2 * (size_t)stream->tail->block_bytes)
                preferred = 2 * (size_t)stream->tail->block_bytes;
        if (preferred > STREAM_CHUNK_BYTES_LARGE)
                preferred = STREAM_CHUNK_BYTES_LARGE;
        if (wanted < preferred)
                wanted = preferred;
        struct chunk *chunk = buddy_take(memory, wanted, &block_bytes);
        if (chunk == NULL)
                return false;
        *chunk = (struct chunk){
                .first_byte = stream->head_byte,
                .first_event = stream->head_event,
                .block_bytes = (uint32_t)block_bytes,
        };
        if (stream->tail != NULL)
                stream->tail->next = chunk;
        else
                stream->oldest = chunk;
        stream->tail = chunk;
        return true;
}

uint8_t *stream_reserve(struct stream *stream, struct buddy *memory, size_t bytes)
{
        assert_slow(bytes >= 1);
        assert_slow(bytes <= STREAM_OPERATION_BYTES_MAX);
        struct chunk *tail = stream->tail;
        if (unlikely(tail == NULL || chunk_room(tail) < (int64_t)bytes)) {
                if (!stream_grow(stream, memory, bytes))
                        return NULL;
                tail = stream->tail;
        }
        return tail->data + tail->used_bytes;
}

struct place stream_commit(struct stream *stream, size_t bytes, uint32_t flags)
{
        struct chunk *tail = stream->tail;
        uint32_t is_event = ~flags >> 31;
        assert_slow(chunk_room(tail) >= (int64_t)bytes);
        assert_slow((flags & STREAM_END_MASK) == 0);
        struct place place = {.chunk = tail, .offset = tail->used_bytes};
        tail->used_bytes += (uint32_t)bytes;
        tail->operations_count++;
        tail->events_count += is_event;
        tail->kinds |= STREAM_KIND(flags);
        chunk_ends(tail)[-(int64_t)tail->operations_count] = tail->used_bytes | flags;
        stream->head_byte += bytes;
        stream->head_event += is_event;
        return place;
}

void stream_trim(struct stream *stream, struct buddy *memory)
{
        struct chunk *chunk = stream->oldest;
        while (chunk != NULL && chunk->pins == 0) {
                struct chunk *next = chunk->next;
                buddy_give(memory, chunk, chunk->block_bytes);
                chunk = next;
        }
        stream->oldest = chunk;
        if (chunk == NULL)
                stream->tail = NULL;
}

void stream_unpin(struct stream *stream, struct buddy *memory, struct chunk *chunk)
{
        assert(chunk->pins > 0);
        chunk->pins--;
        if (chunk->pins == 0 && chunk == stream->oldest)
                stream_trim(stream, memory);
}

bool stream_advance(struct stream *stream, struct buddy *memory, struct place *place, size_t bytes)
{
        struct chunk *from = place->chunk;
        struct chunk *chunk = from;
        uint64_t offset = (uint64_t)place->offset + bytes;
        /* A place behind a chunk's last byte is the next chunk's first one. */
        while (chunk != NULL && offset >= chunk->used_bytes) {
                offset -= chunk->used_bytes;
                chunk = chunk->next;
        }
        assert(chunk != NULL || offset == 0);
        place->chunk = chunk;
        place->offset = (uint32_t)offset;
        if (chunk != from) {
                if (chunk != NULL)
                        chunk->pins++;
                stream_unpin(stream, memory, from);
        }
        return chunk != NULL;
}

/* The index within the chunk of the operation that holds byte `offset`. */
static uint32_t chunk_operation_at(const struct chunk *chunk, uint32_t offset)
{
        const uint32_t *ends = chunk_ends(chunk);
        uint32_t low = 0, high = chunk->operations_count;
        assert(offset < chunk->used_bytes);
        while (low < high) {
                uint32_t middle = low + (high - low) / 2;
                if ((ends[-(int64_t)middle - 1] & STREAM_END_MASK) <= offset)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

uint64_t place_event(struct place place)
{
        const struct chunk *chunk = place.chunk;
        const uint32_t *ends = chunk_ends(chunk);
        uint32_t index = chunk_operation_at(chunk, place.offset);
        if (likely(chunk->events_count == chunk->operations_count))
                return chunk->first_event + index;
        uint64_t event = chunk->first_event;
        for (uint32_t i = 0; i < index; i++)
                event += (~ends[-(int64_t)i - 1]) >> 31;
        return event;
}

uint32_t place_flags(struct place place)
{
        uint32_t index = chunk_operation_at(place.chunk, place.offset);
        return chunk_ends(place.chunk)[-(int64_t)index - 1] & ~STREAM_END_MASK;
}

struct span place_event_bytes(struct place place, bool is_backward)
{
        const struct chunk *chunk = place.chunk;
        const uint32_t *ends = chunk_ends(chunk);
        /* Below zero it wraps, and ends the search as well. */
        for (uint32_t index = chunk_operation_at(chunk, place.offset); index < chunk->operations_count;
             index += is_backward ? UINT32_MAX : 1) {
                uint32_t end = ends[-(int64_t)index - 1];
                uint32_t begin = index == 0 ? 0 : ends[-(int64_t)index] & STREAM_END_MASK;
                if ((end & STREAM_REST) != 0)
                        break; /* an event in part, beyond which may lie what nobody asked for */
                if ((end & STREAM_REPLY) == 0)
                        return span_of(chunk->data + begin, (end & STREAM_END_MASK) - begin);
        }
        return SPAN_NONE;
}

size_t place_rest_bytes(struct place place)
{
        const uint32_t *ends = chunk_ends(place.chunk);
        uint32_t index = chunk_operation_at(place.chunk, place.offset);
        uint32_t begin = index == 0 ? 0 : ends[-(int64_t)index] & STREAM_END_MASK;
        uint32_t end = ends[-(int64_t)index - 1];
        return place.offset == begin && (end & STREAM_REST) == 0 ? 0 : (end & STREAM_END_MASK) - place.offset;
}

struct stream_walk stream_walk_from(struct place place)
{
        assert_slow(place_rest_bytes(place) == 0);
        return (struct stream_walk){
                .chunk = place.chunk,
                .index = chunk_operation_at(place.chunk, place.offset),
                .offset = place.offset,
        };
}
