/* table: all patterns, each under its 128-bit key, shared by one writer and any number of readers.
 *
 *      key ──▶ line (64 bytes)                                  record[id] (64 bytes)
 *              [ passed | slot | slot | slot | slot | … ]       [ key | reactors | shape | text … ]
 *                         └ mark: 32 bits of the key, id + 1: 32 bits; 0 is empty
 *
 * A pattern appears and goes by one 8-byte store into its slot. Lines are probed one after the other; `passed` counts
 * the patterns that wanted this line or an earlier one and live in a later one, so a reader stops at the first line
 * whose count is 0, nothing ever moves, and no tombstone remains. Records sit in reserved address space and are indexed
 * by id; the key in them is all the identity a reader checks.
 *
 * What a reader follows is published: the lines and, for each depth, a program. Both are replaced whole, and retired
 * through epoch. Growth copies a few lines with each change, while changes go to the old and the new lines; readers see
 * the old ones until the copy is complete.
 *
 * Which field is whose stands in the struct. Of a record, the key and the reactors are stored by the writer and read by
 * all; the rest is written before its slot and after the grace period only. */
#ifndef SPATE_MATCHER_TABLE_H
#define SPATE_MATCHER_TABLE_H

#include <stdatomic.h>

#include "matcher/program.h"

#define LINE_SLOTS 7

struct line {
        _Alignas(CACHE_LINE) _Atomic uint64_t passed;
        _Atomic uint64_t slots[LINE_SLOTS];
};
static_assert(sizeof(struct line) == CACHE_LINE, "a line is a cache line");

struct lines {
        struct epoch_retired retired;
        size_t mask; /* one less than how many, a power of two */
        struct line *line;
};

struct kept_text;

struct record {
        _Alignas(CACHE_LINE) _Atomic uint64_t key_lo;
        _Atomic uint64_t key_hi;
        _Atomic uint64_t reactors;
        struct kept_text *text; /* NULL: the id is free, and `next_free` counts */
        struct shape shape;
        pattern_id next_free;
};
static_assert(sizeof(struct record) == CACHE_LINE, "a record is a cache line");

/* The text of a pattern, and what retires with it: its id. */
struct kept_text {
        struct epoch_retired retired;
        struct match_table *table;
        pattern_id id;
        uint32_t size;
        uint8_t bytes[];
};

struct match_table {
        /* Set before the readers start. */
        struct subject_secrets secrets;
        struct record *records;
        size_t records_bytes;
        size_t patterns_max, id_end;

        /* Published. */
        _Alignas(CACHE_LINE) _Atomic(struct lines *) lines;
        _Atomic(struct program *) programs[MATCH_TOKENS_MAX + 1];
        _Atomic size_t ids_max;
        _Alignas(CACHE_LINE) _Atomic uint64_t version;

        /* The writer's. */
        _Alignas(CACHE_LINE) struct shapes shapes;
        uint64_t depths_stale; /* programs that hold swept shapes because there was no memory for a new one */
        struct lines *growing; /* the larger lines that a copy is being made into, or NULL */
        size_t growing_copied; /* lines of the old that have been */
        size_t patterns_count;
        size_t ids_fresh; /* ids below this have been given out at least once */
        pattern_id ids_free;
        struct epoch_bin bin;
};

/* What of a key is kept and looked at. Whole keys never collide and marks hardly ever, so tests build the matcher again
 * with less: SPATE_MATCH_TRUNCATED=1 has marks of 4 bits, so that the key must tell; 2 has keys of 8 bits as well, and
 * there, only there, readers compare text. */
#ifndef SPATE_MATCH_TRUNCATED
#define SPATE_MATCH_TRUNCATED 0
#endif
#define TABLE_READS_TEXT (SPATE_MATCH_TRUNCATED == 2)

static inline struct subject_key table_key(struct subject_key key)
{
        return TABLE_READS_TEXT ? (struct subject_key){.lo = key.lo & 0xff, .hi = key.lo & 0xf} : key;
}

static inline uint32_t table_mark(struct subject_key key)
{
        uint32_t mark = SPATE_MATCH_TRUNCATED == 0 ? (uint32_t)key.hi : key.hi & 0xf;
        return mark == 0 ? 1 : mark; /* 0 is that of an empty slot */
}

/* The mark is the low half, so that finding it in a slot is one compare. */
static inline uint64_t slot_of(struct subject_key key, pattern_id id)
{
        return (uint64_t)(id + 1) << 32 | table_mark(key);
}

static inline pattern_id slot_id(uint64_t slot)
{
        return (pattern_id)(slot >> 32) - 1;
}

/* Which slots of a line have `mark`: bit i for slot i. All seven are compared without a branch, because where in its
 * line a pattern lies cannot be predicted. */
static inline uint32_t line_hits(const struct line *line, uint32_t mark)
{
        uint32_t hits = 0;
#pragma GCC unroll 7
        for (size_t i = 0; i < LINE_SLOTS; i++) {
                /* Pairs with the release in lines_insert: the record behind the slot is complete. */
                uint64_t slot = atomic_load_explicit(&line->slots[i], memory_order_acquire);
                hits |= (uint32_t)((uint32_t)slot == mark) << i;
        }
        return hits;
}

/* A walk over the slots whose mark is that of `key`. */
struct table_walk {
        const struct line *line;
        size_t lines_passed;
        uint32_t hits; /* of this line, not yet handed out */
};

static inline struct table_walk table_walk_begin(const struct lines *lines, struct subject_key key)
{
        const struct line *line = &lines->line[key.lo & lines->mask];
        return (struct table_walk){.line = line, .lines_passed = 0, .hits = line_hits(line, table_mark(key))};
}

/* The next id that may have `key`, or PATTERN_NONE. Any core. */
static inline pattern_id table_walk_next(const struct lines *lines, struct subject_key key, struct table_walk *walk)
{
        for (;;) {
                while (walk->hits != 0) {
                        unsigned i = (unsigned)__builtin_ctz(walk->hits);
                        walk->hits &= walk->hits - 1;
                        /* Again an acquire: the slot may have changed hands since it was a hit. */
                        uint64_t slot = atomic_load_explicit(&walk->line->slots[i], memory_order_acquire);
                        if (likely((uint32_t)slot == table_mark(key)))
                                return slot_id(slot);
                }
                /* Pairs with the release in lines_count_passed: a pattern that was visible before this walk had been
                 * counted before its slot was stored. */
                if (likely(atomic_load_explicit(&walk->line->passed, memory_order_acquire) == 0) ||
                    unlikely(walk->lines_passed == lines->mask))
                        return PATTERN_NONE;
                walk->lines_passed++;
                walk->line = &lines->line[(key.lo + walk->lines_passed) & lines->mask];
                walk->hits = line_hits(walk->line, table_mark(key));
        }
}

/* Does the record hold `key`? Any core. */
static inline bool record_has_key(const struct record *record, struct subject_key key)
{
        /* Relaxed: complete since the slot's acquire; atomic only because a reader that found a slot before it was
         * emptied must not be said to race with what the id is used for a grace period later. */
        struct subject_key kept = {
                .lo = atomic_load_explicit(&record->key_lo, memory_order_relaxed),
                .hi = atomic_load_explicit(&record->key_hi, memory_order_relaxed),
        };
        return subject_key_equal(kept, key);
}

static inline struct span kept_text_span(const struct kept_text *text)
{
        return span_of(text->bytes, text->size);
}

#endif
