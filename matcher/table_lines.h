/* table_lines: numbers under 128-bit keys, shared by one writer and any number of readers: patterns under theirs, and
 * the edges of the cold tree.
 *
 *      key ──▶ line (64 bytes)
 *              [ passed | slot | slot | slot | slot | … ]
 *                         └ mark: 31 bits of the key and a one, id: 31 bits, whether it is filtered: 1 bit; 0 is empty
 *
 * An entry appears and goes by one 8-byte store into its slot. Lines are probed one after the other; `passed` counts
 * the entries that wanted this line or an earlier one and live in a later one, so a reader stops at the first line
 * whose count is 0, nothing ever moves, and no tombstone remains. A mark is not the key: who finds an entry asks what
 * it stands for whether that has the key.
 *
 * Growth copies a few lines with each change, while changes go to the old and the new lines; readers see the old ones
 * until the copy is complete. */
#ifndef SPATE_MATCHER_TABLE_LINES_H
#define SPATE_MATCHER_TABLE_LINES_H

#include <stdatomic.h>

#include "matcher/subject.h"

#define LINE_SLOTS 7

struct line {
        _Alignas(CACHE_LINE) _Atomic uint64_t passed;
        _Atomic uint64_t slots[LINE_SLOTS];
};
static_assert(sizeof(struct line) == CACHE_LINE, "a line is a cache line");

/* What readers look into: the lines, and a filter that says of most keys that they are not there. Made, grown and
 * replaced as one. The filter has words of 64 bits, two of which stand for a key; patterns without wildcards are not in
 * it. Their bits stay when patterns go, for when they come again: when too many are set, all is copied. */
struct lines {
        struct epoch_retired retired;
        size_t mask; /* one less than how many, a power of two */
        struct line *line;
        size_t filter_mask;
        _Atomic uint64_t *filter;
        size_t filter_bits; /* that are set; the writer's */
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

/* In every mark, so that neither an empty slot nor a line's count looks like one. */
#define MARK_BIT ((uint32_t)1 << 31)

static inline uint32_t table_mark(struct subject_key key)
{
        return (SPATE_MATCH_TRUNCATED == 0 ? (uint32_t)key.hi : key.hi & 0xf) | MARK_BIT;
}

/* The mark is the low half, so that finding it in a slot is one compare. The highest bit is for the writer: whether the
 * key is in the filter. */
#define SLOT_FILTERED ((uint64_t)1 << 63)

static inline uint64_t slot_of(struct subject_key key, uint32_t id, bool is_filtered)
{
        return (is_filtered ? SLOT_FILTERED : 0) | (uint64_t)id << 32 | table_mark(key);
}

static inline uint32_t slot_id(uint64_t slot)
{
        return (uint32_t)((slot & ~SLOT_FILTERED) >> 32);
}

/* Where `mark` is in a line: bit i for word i, of which the first is no slot. All seven are compared without a branch,
 * because where in its line a pattern lies cannot be predicted. */
static inline uint32_t line_hits(const struct line *line, uint32_t mark)
{
        uint32_t hits = 0;
#pragma GCC unroll 7
        for (size_t i = 0; i < LINE_SLOTS; i++) {
                /* Pairs with the release in index_insert: what is behind the slot is complete. */
                uint64_t slot = atomic_load_explicit(&line->slots[i], memory_order_acquire);
                hits |= (uint32_t)((uint32_t)slot == mark) << (i + 1);
        }
        return hits;
}

/* One of the words of a line: 0 is `passed`, i + 1 is slot i. */
static inline uint64_t line_word(const struct line *line, size_t i)
{
        const _Atomic uint64_t *words = &line->passed;
        return atomic_load_explicit(&words[i], memory_order_acquire);
}

/* The filter's word for a key, and its two bits in it; from the low half alone. */
static inline size_t filter_word(const struct lines *lines, uint64_t key_lo)
{
        return key_lo >> 32 & lines->filter_mask;
}

static inline uint64_t filter_bits(uint64_t key_lo)
{
        return (uint64_t)1 << (key_lo & 63) | (uint64_t)1 << (key_lo >> 6 & 63);
}

/* Any core. False: no pattern with wildcards has this key. */
static inline bool filter_has(const struct lines *lines, uint64_t key_lo)
{
        /* Pairs with the release in filter_add: whoever finds the slot has been let through. */
        uint64_t word = atomic_load_explicit(&lines->filter[filter_word(lines, key_lo)], memory_order_acquire);
        return (filter_bits(key_lo) & ~word) == 0;
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

#define LINES_NONE UINT32_MAX

/* The next id that may have `key`, or LINES_NONE. Any core. */
static inline uint32_t table_walk_next(const struct lines *lines, struct subject_key key, struct table_walk *walk)
{
        for (;;) {
                while (walk->hits != 0) {
                        unsigned i = (unsigned)__builtin_ctz(walk->hits);
                        walk->hits &= walk->hits - 1;
                        /* Again an acquire: the slot may have changed hands since it was a hit. */
                        uint64_t slot = line_word(walk->line, i);
                        if (likely((uint32_t)slot == table_mark(key)))
                                return slot_id(slot);
                }
                /* Pairs with the release in count_passed: an entry that was visible before this walk had been
                 * counted before its slot was stored. */
                if (likely(atomic_load_explicit(&walk->line->passed, memory_order_acquire) == 0) ||
                    unlikely(walk->lines_passed == lines->mask))
                        return LINES_NONE;
                walk->lines_passed++;
                walk->line = &lines->line[(key.lo + walk->lines_passed) & lines->mask];
                walk->hits = line_hits(walk->line, table_mark(key));
        }
}

/* The lines, and what the writer knows of them. */
struct lines_index {
        _Alignas(CACHE_LINE) _Atomic(struct lines *) lines; /* published */
        /* The writer's. */
        _Alignas(CACHE_LINE) struct lines *growing; /* those that a copy is being made into, or NULL */
        size_t growing_copied;                      /* lines of the old that have been */
        size_t entries_count;
        size_t filtered_count; /* of them, those that are in the filter */
        struct epoch_bin *bin;
        struct subject_key (*key_of)(const void *context, uint32_t id);
        const void *context;
};

/* 0 or -ENOMEM. Replaced lines retire into `bin`; `key_of` tells the key under which an entry is. */
int index_init(struct lines_index *index, struct epoch_bin *bin,
               struct subject_key (*key_of)(const void *context, uint32_t id), const void *context);
/* Accepts a zeroed or half-made one. */
void index_fini(struct lines_index *index);
/* Makes sure that `more` entries have room, and begins a copy when there is little: of lines or of bits in the filter.
 * 0 or -ENOMEM. Without memory for a new filter the old one goes on; it lets more through. */
int index_make_room(struct lines_index *index, size_t more);
/* Room has been made. At its return every reader finds it. */
void index_insert(struct lines_index *index, struct subject_key key, uint32_t id, bool is_filtered);
/* False: it was not there. */
bool index_remove(struct lines_index *index, struct subject_key key, uint32_t id, bool is_filtered);
bool index_has(const struct lines_index *index, struct subject_key key, uint32_t id, bool is_filtered);
/* With each change, which is one entry at most, and once a turn: a step of the copy. */
void index_grow_on(struct lines_index *index);

static inline struct lines *index_lines(const struct lines_index *index)
{
        /* Pairs with the release in index_grow_on: the lines are complete. */
        return atomic_load_explicit(&index->lines, memory_order_acquire);
}

/* The line of a key that is about to be asked for. */
static inline void index_fetch(const struct lines_index *index, struct subject_key key)
{
        const struct lines *lines = atomic_load_explicit(&index->lines, memory_order_relaxed);
        __builtin_prefetch(&lines->line[key.lo & lines->mask], 1);
}

/* Memory that is zero, of huge pages where it is large; NULL: there is none. */
void *map_zeroed(size_t bytes);
void unmap(void *memory, size_t bytes);

#endif
