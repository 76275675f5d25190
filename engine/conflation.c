/* conflation: open addressing, rows freed all at once by the next generation. See the header. */
#include "engine/conflation.h"

#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>

int conflation_init(struct conflation *conflation, uint64_t seed)
{
        *conflation = (struct conflation){.seed = seed};
        conflation->rows = calloc(CONFLATION_ROWS, sizeof *conflation->rows);
        conflation->superseded = calloc(CONFLATION_OPERATIONS_MAX / 64, sizeof *conflation->superseded);
        if (conflation->rows != NULL && conflation->superseded != NULL)
                return 0;
        conflation_fini(conflation);
        return -ENOMEM;
}

void conflation_fini(struct conflation *conflation)
{
        free(conflation->rows);
        free(conflation->superseded);
        *conflation = (struct conflation){0};
}

void conflation_begin(struct conflation *conflation)
{
        memset(conflation->superseded, 0, (conflation->operations_count + 63) / 64 * sizeof(uint64_t));
        conflation->bytes = 0;
        conflation->keys_count = 0;
        conflation->operations_count = 0;
        conflation->last = 0;
        if (++conflation->generation == 0) {
                memset(conflation->rows, 0, CONFLATION_ROWS * sizeof *conflation->rows);
                conflation->generation = 1;
        }
}

/* The row of the key, or the free one where it would stand; NULL: a new one would find no room. */
static struct conflation_row *conflation_find(struct conflation *conflation, struct span key, uint32_t hash)
{
        for (uint32_t i = hash;; i++) {
                struct conflation_row *row = &conflation->rows[i % CONFLATION_ROWS];
                if (row->generation != conflation->generation)
                        return conflation->keys_count < CONFLATION_ROWS / 2 ? row : NULL;
                if (row->hash == hash && span_equal(span_of(row->key, row->key_bytes), key))
                        return row;
        }
}

bool conflation_note(struct conflation *conflation, struct span key, size_t operation_bytes)
{
        uint32_t number = conflation->operations_count;
        if (number == CONFLATION_OPERATIONS_MAX)
                return false;
        conflation->operations_count++;
        if (key.size == 0)
                return true;
        uint32_t hash = (uint32_t)XXH3_64bits_withSeed(key.bytes, key.size, conflation->seed);
        struct conflation_row *row = conflation_find(conflation, key, hash);
        if (row == NULL)
                return true;
        if (row->generation != conflation->generation) {
                conflation->keys_count++;
        } else {
                conflation->superseded[row->number / 64] |= UINT64_C(1) << (row->number % 64);
                conflation->bytes += row->operation_bytes;
                if (row->number >= conflation->last)
                        conflation->last = row->number + 1;
        }
        *row = (struct conflation_row){
                .key = key.bytes,
                .key_bytes = (uint32_t)key.size,
                .hash = hash,
                .operation_bytes = (uint32_t)operation_bytes,
                .number = number,
                .generation = conflation->generation,
        };
        return true;
}
