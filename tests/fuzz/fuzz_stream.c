/* fuzz_stream: whatever is appended, read, pinned and let go, in the order of the fuzzer, reads back as from one
 * endless array; tests/property/test_stream.c does the same in the order of chance.
 *
 *      op  a byte: even: append, with flags from it and a size from the next two bytes
 *          odd: a reader moves on, by so many bytes as the next two say */
#include "engine/stream.h"
#include "tests/fuzz/fuzz.h"

#define READERS 4
#define OPERATIONS_MAX 1024
#define STREAM_BYTES_MAX ((uint64_t)8 << 20)

/* The byte at any place, and where operations begin. */
struct array {
        uint64_t begins[OPERATIONS_MAX + 1];
        uint64_t events[OPERATIONS_MAX];
        uint32_t flags[OPERATIONS_MAX];
        size_t count;
};

struct reader {
        struct place place; /* chunk NULL: at the head */
        uint64_t byte;
};

static struct array array;
static struct reader readers[READERS];

static size_t operation_of(uint64_t byte)
{
        size_t operation = 0;
        while (operation + 1 < array.count && array.begins[operation + 1] <= byte)
                operation++;
        return operation;
}

static void check_place(const struct reader *reader)
{
        struct place place = reader->place;
        size_t at = operation_of(reader->byte);
        uint64_t end = array.begins[at + 1];
        bool is_rest = (array.flags[at] & STREAM_REST) != 0;
        assert(place_byte(place) == reader->byte);
        assert(place_event(place) == array.events[at]);
        assert(place_flags(place) == array.flags[at]);
        assert(place_rest_bytes(place) == (reader->byte == array.begins[at] && !is_rest ? 0 : end - reader->byte));
        assert(place.chunk->used_bytes - place.offset >= end - reader->byte);
        assert(fuzz_is_filled(place.chunk->data + place.offset, end - reader->byte, reader->byte));
        if (reader->byte != array.begins[at] || is_rest)
                return;
        struct stream_walk walk = stream_walk_from(place);
        for (size_t next = at; next < array.count; next++) {
                uint32_t flags;
                struct span operation = stream_walk_next(&walk, &flags);
                assert(flags == array.flags[next] && operation.size == array.begins[next + 1] - array.begins[next]);
                assert(fuzz_is_filled(operation.bytes, 1, array.begins[next]));
        }
}

static void append(struct stream *stream, struct buddy *memory, uint8_t op, size_t bytes)
{
        uint32_t flags = (op & 2) != 0 ? STREAM_REPLY : STREAM_EVENT;
        flags |= stream_lag_flags(op >> 2 & 3);
        if ((op & 16) != 0)
                flags |= STREAM_REST;
        uint8_t *room = stream_reserve(stream, memory, bytes + (op >> 5) * 9);
        if (room == NULL)
                return; /* nothing has happened */
        uint64_t begin = stream->head_byte;
        fuzz_fill(room, bytes, begin);
        struct place place = stream_commit(stream, bytes, flags);
        array.flags[array.count] = flags;
        array.events[array.count++] = stream->head_event - ((flags & STREAM_REPLY) == 0);
        array.begins[array.count] = begin + bytes;
        assert(stream->head_byte == begin + bytes && place_byte(place) == begin);
        for (size_t i = 0; i < READERS; i++) {
                if (readers[i].place.chunk != NULL)
                        continue;
                stream_pin(place, 1);
                readers[i] = (struct reader){.place = place, .byte = begin};
        }
}

static void check_held(const struct stream *stream, const struct buddy *memory)
{
        uint64_t lowest = stream->head_byte;
        for (size_t i = 0; i < READERS; i++)
                if (readers[i].place.chunk != NULL && readers[i].byte < lowest)
                        lowest = readers[i].byte;
        if (lowest == stream->head_byte) {
                assert(stream->oldest == NULL && memory->taken_bytes == 0 && stream_held_bytes(stream) == 0);
                return;
        }
        assert(stream->oldest->first_byte <= lowest);
        assert(lowest < stream->oldest->first_byte + stream->oldest->used_bytes);
        assert(stream_held_bytes(stream) == stream->head_byte - stream->oldest->first_byte);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static struct buddy memory;
        struct span input = span_of(data, size);
        struct stream stream = {.chunk_bytes = STREAM_CHUNK_BYTES_SMALL << fuzz_byte(&input) % 5};
        if (memory.region == NULL && buddy_init(&memory, (size_t)4 << 20) != 0)
                abort();
        array.count = 0;
        array.begins[0] = 0;
        memset(readers, 0, sizeof readers);
        while (input.size > 0) {
                uint8_t op = fuzz_byte(&input);
                size_t bytes = 1 + fuzz_number(&input, 2);
                struct reader *reader = &readers[op / 2 % READERS];
                if (op % 2 == 0) {
                        bytes = (op & 0x60) == 0x60 ? bytes * 8 : (op & 0x60) == 0 ? 1 + bytes % 256 : bytes;
                        if (array.count < OPERATIONS_MAX && stream.head_byte + bytes < STREAM_BYTES_MAX)
                                append(&stream, &memory, op, bytes);
                } else if (reader->place.chunk != NULL) {
                        uint64_t left = stream.head_byte - reader->byte;
                        uint64_t by = (op & 0x80) != 0 || bytes > left ? left : bytes;
                        check_place(reader);
                        bool is_before_head = stream_advance(&stream, &memory, &reader->place, by);
                        reader->byte += by;
                        assert(is_before_head == (reader->byte < stream.head_byte));
                        assert(is_before_head == (reader->place.chunk != NULL));
                        if (is_before_head)
                                check_place(reader);
                }
                check_held(&stream, &memory);
        }
        for (size_t i = 0; i < READERS; i++)
                if (readers[i].place.chunk != NULL)
                        stream_unpin(&stream, &memory, readers[i].place.chunk);
        assert(stream.oldest == NULL && memory.taken_bytes == 0);
        return 0;
}
