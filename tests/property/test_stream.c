/* stream: whatever is appended, read, pinned and let go, in whatever order, reads back as from one endless array. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "engine/base/random.h"
#include "engine/stream.h"

#define ARRAY_BYTES ((size_t)8 << 20)
#define READERS 12
#define OPERATIONS_MAX 200000

/* The dumbest right version: every byte for ever, and where each operation begins. */
struct array {
        uint8_t *bytes;
        uint64_t *begins; /* of operation i; [count] is the end */
        uint32_t *flags;  /* of operation i */
        uint64_t *events; /* how many events came before operation i */
        uint64_t operations_count;
        uint64_t events_count;
        uint64_t end_byte;
};

struct reader {
        struct place place; /* chunk NULL: at the head */
        uint64_t byte;      /* where the array says it is */
        bool at_head;
};

static uint64_t array_operation_at(const struct array *array, uint64_t byte)
{
        uint64_t low = 0, high = array->operations_count;
        while (high - low > 1) {
                uint64_t middle = (low + high) / 2;
                if (array->begins[middle] <= byte)
                        low = middle;
                else
                        high = middle;
        }
        return low;
}

/* The nearest events in both directions, as far as the chunk goes. */
static void check_events_near(const struct array *array, struct place place, uint64_t operation)
{
        uint64_t chunk_begin = place.chunk->first_byte, chunk_end = chunk_begin + place.chunk->used_bytes;
        for (int direction = -1; direction <= 1; direction += 2) {
                struct span found = place_event_bytes(place, direction < 0);
                uint64_t at = operation;
                while (at < array->operations_count && array->begins[at] >= chunk_begin &&
                       array->begins[at] < chunk_end && (array->flags[at] & STREAM_REPLY) != 0)
                        at += (uint64_t)direction;
                if (at >= array->operations_count || array->begins[at] < chunk_begin ||
                    array->begins[at] >= chunk_end) {
                        assert_int_equal(found.size, 0);
                        continue;
                }
                assert_ptr_equal(found.bytes, place.chunk->data + (array->begins[at] - chunk_begin));
                uint64_t end = at + 1 == array->operations_count ? array->end_byte : array->begins[at + 1];
                assert_int_equal(found.size, end - array->begins[at]);
        }
}

static void check_place(const struct array *array, const struct stream *stream, const struct reader *reader)
{
        struct place place = reader->place;
        assert_int_equal(place_byte(place), reader->byte);
        uint64_t operation = array_operation_at(array, reader->byte);
        assert_int_equal(place_event(place), array->events[operation]);
        assert_int_equal(place_flags(place), array->flags[operation]);
        uint64_t end = operation + 1 == array->operations_count ? stream->head_byte : array->begins[operation + 1];
        uint64_t rest = reader->byte == array->begins[operation] ? 0 : end - reader->byte;
        assert_int_equal(place_rest_bytes(place), rest);
        check_events_near(array, place, operation);
        /* An operation lies in one piece. */
        assert_true(place.chunk->used_bytes - place.offset >= end - reader->byte);
        assert_memory_equal(place.chunk->data + place.offset, array->bytes + reader->byte, end - reader->byte);
}

static size_t operation_bytes(struct random *random)
{
        switch (random_below(random, 20)) {
        case 0:
                return 1 + random_below(random, 100000);
        case 1:
                return 1 + random_below(random, 8000);
        default:
                return 1 + random_below(random, 300);
        }
}

static void run_seed(uint64_t seed, struct array *array)
{
        struct buddy memory = {0};
        struct random random;
        struct reader readers[READERS] = {0};
        struct stream stream = {.chunk_bytes = STREAM_CHUNK_BYTES_SMALL};
        random_init(&random, seed);
        assert_int_equal(buddy_init(&memory, (size_t)64 << 20), 0);
        array->operations_count = 0;
        array->events_count = 0;
        /* Streams of events alone, of replies alone, and of both. */
        uint32_t replies_in_8 = seed % 4 == 0 ? 8 : (uint32_t)(seed % 4) - 1;
        for (size_t i = 0; i < READERS; i++)
                readers[i].at_head = true;

        for (int step = 0; step < 4000; step++) {
                size_t index = random_below(&random, READERS);
                struct reader *reader = &readers[index];
                size_t bytes = operation_bytes(&random);
                if (random_chance(&random, 1, 2) && stream.head_byte + bytes < ARRAY_BYTES) {
                        uint8_t *room = stream_reserve(&stream, &memory, bytes + random_below(&random, 64));
                        assert_non_null(room);
                        for (size_t i = 0; i < bytes; i++)
                                room[i] = array->bytes[stream.head_byte + i] = (uint8_t)random_next(&random);
                        uint32_t flags = random_chance(&random, replies_in_8, 8) ? STREAM_REPLY : STREAM_EVENT;
                        flags |= (uint32_t)random_below(&random, 4) << STREAM_LAG_SHIFT;
                        array->begins[array->operations_count] = stream.head_byte;
                        array->flags[array->operations_count] = flags;
                        array->events[array->operations_count++] = array->events_count;
                        array->events_count += (flags & STREAM_REPLY) == 0;
                        struct place place = stream_commit(&stream, bytes, flags);
                        array->end_byte = stream.head_byte;
                        assert_int_equal(stream.head_event, array->events_count);
                        /* Everybody who was at the head needs this operation from its first byte on. */
                        for (size_t i = 0; i < READERS; i++) {
                                if (!readers[i].at_head)
                                        continue;
                                stream_pin(place, 1);
                                readers[i].place = place;
                                readers[i].byte = place_byte(place);
                                readers[i].at_head = false;
                        }
                } else if (!reader->at_head) {
                        uint64_t left = stream.head_byte - reader->byte;
                        uint64_t by = random_chance(&random, 1, 4) ? left : 1 + random_below(&random, left);
                        check_place(array, &stream, reader);
                        bool is_before_head = stream_advance(&stream, &memory, &reader->place, by);
                        reader->byte += by;
                        assert_int_equal(is_before_head, reader->byte < stream.head_byte);
                        reader->at_head = !is_before_head;
                        if (is_before_head)
                                check_place(array, &stream, reader);
                }
                /* Nothing is held in front of the slowest reader's chunk, and nothing at all when all are at the head.
                 */
                uint64_t lowest = stream.head_byte;
                for (size_t i = 0; i < READERS; i++)
                        if (!readers[i].at_head && readers[i].byte < lowest)
                                lowest = readers[i].byte;
                if (lowest == stream.head_byte) {
                        assert_null(stream.oldest);
                        assert_int_equal(memory.taken_bytes, 0);
                } else {
                        assert_true(stream.oldest->first_byte <= lowest);
                        assert_true(lowest < stream.oldest->first_byte + stream.oldest->used_bytes);
                }
        }
        for (size_t i = 0; i < READERS; i++)
                if (!readers[i].at_head)
                        stream_unpin(&stream, &memory, readers[i].place.chunk);
        assert_null(stream.oldest);
        assert_int_equal(memory.taken_bytes, 0);
        buddy_fini(&memory);
}

static void a_stream_reads_like_an_endless_array(void **state)
{
        (void)state;
        struct array array = {
                .bytes = malloc(ARRAY_BYTES),
                .begins = calloc(OPERATIONS_MAX, sizeof(uint64_t)),
                .flags = calloc(OPERATIONS_MAX, sizeof(uint32_t)),
                .events = calloc(OPERATIONS_MAX, sizeof(uint64_t)),
        };
        assert_non_null(array.bytes);
        assert_non_null(array.begins);
        assert_non_null(array.flags);
        assert_non_null(array.events);
        for (uint64_t seed = 1; seed <= 60; seed++)
                run_seed(seed, &array);
        free(array.bytes);
        free(array.begins);
        free(array.flags);
        free(array.events);
}

static void an_operation_larger_than_a_chunk_gets_a_chunk_of_its_own(void **state)
{
        (void)state;
        struct buddy memory = {0};
        struct stream stream = {.chunk_bytes = STREAM_CHUNK_BYTES_SMALL};
        assert_int_equal(buddy_init(&memory, (size_t)16 << 20), 0);
        assert_non_null(stream_reserve(&stream, &memory, 10));
        struct place first = stream_commit(&stream, 10, STREAM_EVENT);
        stream_pin(first, 1);
        assert_non_null(stream_reserve(&stream, &memory, STREAM_OPERATION_BYTES_MAX));
        struct place second = stream_commit(&stream, STREAM_OPERATION_BYTES_MAX, STREAM_EVENT);
        assert_true(second.chunk != first.chunk);
        assert_int_equal(second.offset, 0);
        assert_int_equal(second.chunk->block_bytes, BUDDY_BLOCK_BYTES_MAX);
        stream_pin(second, 1);
        stream_unpin(&stream, &memory, first.chunk);
        stream_unpin(&stream, &memory, second.chunk);
        assert_int_equal(memory.taken_bytes, 0);
        buddy_fini(&memory);
}

static void without_memory_nothing_is_appended(void **state)
{
        (void)state;
        struct buddy memory = {0};
        struct stream stream = {.chunk_bytes = STREAM_CHUNK_BYTES_SMALL};
        size_t block_bytes;
        assert_int_equal(buddy_init(&memory, BUDDY_BLOCK_BYTES_MAX), 0);
        void *all = buddy_take(&memory, BUDDY_BLOCK_BYTES_MAX, &block_bytes);
        assert_non_null(all);
        assert_null(stream_reserve(&stream, &memory, 1));
        assert_null(stream.oldest);
        assert_int_equal(stream.head_event, 0);
        buddy_give(&memory, all, block_bytes);
        assert_non_null(stream_reserve(&stream, &memory, 1));
        struct place place = stream_commit(&stream, 1, STREAM_EVENT);
        stream_pin(place, 1);
        stream_unpin(&stream, &memory, place.chunk);
        buddy_fini(&memory);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_stream_reads_like_an_endless_array),
                cmocka_unit_test(an_operation_larger_than_a_chunk_gets_a_chunk_of_its_own),
                cmocka_unit_test(without_memory_nothing_is_appended),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
