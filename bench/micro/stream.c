/* micro_stream: what it costs to append an operation to a stream and to move a reader over it.
 *
 *      drained   the reader has everything after each batch, so the stream gives its chunk back and takes a new one
 *      behind    the reader is a batch behind for ever: chunks are filled, left and given back
 *
 * The limit is a copy of the same bytes into a round of memory: what anybody pays who keeps them at all. */
#include <stdlib.h>
#include <string.h>

#include "bench/micro/micro.h"
#include "engine/stream.h"

#define MEMORY_BYTES ((size_t)16 << 20)
#define ROUND_BYTES ((size_t)1 << 18) /* as large as a stream's largest chunk */

struct load {
        size_t operation_bytes;
        struct buddy memory;
        struct stream stream;
        struct place reader; /* of `behind` */
        uint8_t *round;      /* of the limit */
        size_t round_at;
};

static uint8_t source[4096];

static struct place append(struct load *load)
{
        uint8_t *room = stream_reserve(&load->stream, &load->memory, load->operation_bytes);
        if (room == NULL)
                abort();
        memcpy(room, source, load->operation_bytes);
        return stream_commit(&load->stream, load->operation_bytes, STREAM_EVENT);
}

static void append_drained(void *context, uint64_t operations)
{
        struct load *load = context;
        for (uint64_t done = 0; done < operations; done += MICRO_BATCH) {
                struct place reader = append(load);
                stream_pin(reader, 1);
                for (int i = 1; i < MICRO_BATCH; i++)
                        append(load);
                bool more = stream_advance(&load->stream, &load->memory, &reader, MICRO_BATCH * load->operation_bytes);
                assert(!more);
        }
}

/* The reader's place stays in the stream between passes. */
static void append_behind(void *context, uint64_t operations)
{
        struct load *load = context;
        for (uint64_t done = 0; done < operations; done += MICRO_BATCH) {
                struct place first = append(load);
                for (int i = 1; i < MICRO_BATCH; i++)
                        append(load);
                if (load->reader.chunk == NULL) {
                        load->reader = first;
                        stream_pin(first, 1);
                        continue;
                }
                bool more = stream_advance(&load->stream, &load->memory, &load->reader,
                                           MICRO_BATCH * load->operation_bytes);
                assert(more);
        }
}

/* Sends that carry one operation each: the reader moves a small step at a time. */
static void advance_singly(void *context, uint64_t operations)
{
        struct load *load = context;
        for (uint64_t done = 0; done < operations; done += MICRO_BATCH) {
                struct place reader = append(load);
                stream_pin(reader, 1);
                for (int i = 1; i < MICRO_BATCH; i++)
                        append(load);
                for (int i = 0; i < MICRO_BATCH; i++)
                        stream_advance(&load->stream, &load->memory, &reader, load->operation_bytes);
                assert(reader.chunk == NULL);
        }
}

/* From operation to operation, as one that skips does. */
static void walk(void *context, uint64_t operations)
{
        struct load *load = context;
        for (uint64_t done = 0; done < operations; done += MICRO_BATCH) {
                struct place reader = append(load);
                stream_pin(reader, 1);
                for (int i = 1; i < MICRO_BATCH; i++)
                        append(load);
                struct stream_walk steps = stream_walk_from(reader);
                for (int i = 0; i < MICRO_BATCH; i++) {
                        uint32_t flags;
                        struct span operation = stream_walk_next(&steps, &flags);
                        micro_use(operation.bytes);
                }
                stream_advance(&load->stream, &load->memory, &reader, MICRO_BATCH * load->operation_bytes);
        }
}

static void copy(void *context, uint64_t operations)
{
        struct load *load = context;
        for (uint64_t done = 0; done < operations; done++) {
                if (load->round_at + load->operation_bytes > ROUND_BYTES)
                        load->round_at = 0;
                memcpy(load->round + load->round_at, source, load->operation_bytes);
                micro_use(load->round);
                load->round_at += load->operation_bytes;
        }
}

static struct load *load_new(size_t operation_bytes)
{
        struct load *load = calloc(1, sizeof(*load));
        if (load == NULL || buddy_init(&load->memory, MEMORY_BYTES) != 0 || (load->round = malloc(ROUND_BYTES)) == NULL)
                abort();
        load->operation_bytes = operation_bytes;
        load->stream.chunk_bytes = STREAM_CHUNK_BYTES_SHARED;
        return load;
}

static void load_free(struct load *load)
{
        if (load->reader.chunk != NULL)
                stream_advance(&load->stream, &load->memory, &load->reader,
                               load->stream.head_byte - place_byte(load->reader));
        buddy_fini(&load->memory);
        free(load->round);
        free(load);
}

int main(int argc, char **argv)
{
        static const size_t sizes[] = {32, 160, 1024};
        struct load *drained[array_count(sizes)];
        struct load *behind[array_count(sizes)];
        memset(source, 'x', sizeof(source));
        for (size_t i = 0; i < array_count(sizes); i++) {
                drained[i] = load_new(sizes[i]);
                behind[i] = load_new(sizes[i]);
        }
        const struct micro_row rows[] = {
                {"copy 32 bytes", copy, drained[0], NULL, 0, false, false, NULL, NULL},
                {"append 32 bytes, drained", append_drained, drained[0], "copy 32 bytes", 0, false, false, NULL, NULL},
                {"append 32 bytes, behind", append_behind, behind[0], "copy 32 bytes", 0, false, false, NULL, NULL},
                {"copy 160 bytes", copy, drained[1], NULL, 0, false, false, NULL, NULL},
                {"append 160 bytes, drained", append_drained, drained[1], "copy 160 bytes", 0, false, false, NULL,
                 NULL},
                {"append 160 bytes, behind", append_behind, behind[1], "copy 160 bytes", 0, false, false, NULL, NULL},
                {"append and advance singly, 160 bytes", advance_singly, drained[1], "append 160 bytes, drained", 0,
                 false, false, NULL, NULL},
                {"append and walk, 160 bytes", walk, drained[1], "append 160 bytes, drained", 0, false, false, NULL,
                 NULL},
                {"copy 1024 bytes", copy, drained[2], NULL, 0, false, false, NULL, NULL},
                {"append 1024 bytes, drained", append_drained, drained[2], "copy 1024 bytes", 0, false, false, NULL,
                 NULL},
                {"append 1024 bytes, behind", append_behind, behind[2], "copy 1024 bytes", 0, false, false, NULL, NULL},
        };
        int exit_code = micro_main(argc, argv, "stream", rows, array_count(rows));
        for (size_t i = 0; i < array_count(sizes); i++) {
                load_free(drained[i]);
                load_free(behind[i]);
        }
        return exit_code;
}
