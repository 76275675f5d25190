/* conflation: which of many events are superseded: a later one says something of the same.
 *
 * One for all lanes of a reactor, used for one lane at a time: begin, note each operation in order, then ask. No heap
 * between init and fini. Beyond what it has room for nothing is superseded. */
#ifndef SPATE_ENGINE_CONFLATION_H
#define SPATE_ENGINE_CONFLATION_H

#include "engine/base/span.h"

#define CONFLATION_ROWS ((uint32_t)1 << 16)           /* twice as many as keys at most */
#define CONFLATION_OPERATIONS_MAX ((uint32_t)1 << 20) /* of one lane at a time */

struct conflation_row {
        const uint8_t *key; /* borrowed until the next begin */
        uint32_t key_bytes;
        uint32_t hash;
        uint32_t operation_bytes;
        uint32_t number;     /* of the latest operation with this key */
        uint32_t generation; /* another one than the table's: the row is free */
};

struct conflation {
        struct conflation_row *rows;
        uint64_t *superseded; /* a bit an operation */
        uint64_t seed;
        uint64_t bytes; /* of all superseded operations */
        uint32_t generation;
        uint32_t keys_count;
        uint32_t operations_count;
        uint32_t last; /* number behind the last superseded operation */
};

/* 0 or -ENOMEM. `seed` is secret: clients choose the keys. */
int conflation_init(struct conflation *conflation, uint64_t seed);
/* Accepts a zeroed one. */
void conflation_fini(struct conflation *conflation);
static inline bool conflation_is_there(const struct conflation *conflation)
{
        return conflation->rows != NULL;
}

void conflation_begin(struct conflation *conflation);
/* The next operation: `key` is empty for one that neither supersedes nor can be superseded. false: there is no room for
 * it, nor for those behind. */
bool conflation_note(struct conflation *conflation, struct span key, size_t operation_bytes);
static inline bool conflation_is_superseded(const struct conflation *conflation, uint32_t number)
{
        return number < conflation->operations_count && (conflation->superseded[number / 64] >> (number % 64) & 1) != 0;
}

#endif
