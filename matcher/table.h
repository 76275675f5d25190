/* table: all patterns, each under its 128-bit key, shared by one writer and any number of readers.
 *
 *      key ──▶ lines (matcher/table_lines.h) ──▶ record[id] (32 bytes)
 *      tokens ──▶ cold tree (matcher/table_cold.h) ─┘  [ key | reactors | text … ]
 *
 * Patterns of the shapes that programs look for are in the lines, those of all other shapes in the tree; shapes move as
 * their patterns become many or few (matcher/table_moves.c).
 *
 * A pattern appears and goes by one 8-byte store. Records sit in reserved address space and are indexed by id; the key
 * in them is all the identity a reader checks.
 *
 * What a reader follows is published: the lines and, for each depth, a program. Both are replaced whole, and retired
 * through epoch.
 *
 * Which field is whose stands in the struct. Of a record, the key and the reactors are stored by the writer and read by
 * all; the rest is written before its slot and after the grace period only. */
#ifndef SPATE_MATCHER_TABLE_H
#define SPATE_MATCHER_TABLE_H

#include "matcher/form.h"
#include "matcher/program.h"
#include "matcher/stamps.h"
#include "matcher/table_cold.h"
#include "matcher/table_lines.h"

struct kept_text;

struct record {
        _Alignas(CACHE_LINE / 2) _Atomic uint64_t key_lo;
        _Atomic uint64_t key_hi;
        _Atomic uint64_t reactors;
        struct kept_text *text; /* NULL: the id is free */
};
static_assert(sizeof(struct record) == CACHE_LINE / 2, "a record never lies across two cache lines");

/* The text of a pattern, and what of it only the writer asks for. */
struct kept_text {
        pattern_id next; /* of those that retire together */
        struct shape shape;
        uint16_t size;
        uint8_t bytes[];
};

/* Patterns withdrawn since the last time, which retire as one. */
struct leavers {
        struct epoch_retired retired;
        struct match_table *table;
        pattern_id first;
        uint32_t nodes; /* of the tree */
};

/* A pattern's text, understood and hashed. */
struct pattern_read {
        struct span text;
        struct shape shape;
        struct subject_key key;
        struct subject_key tokens[MATCH_TOKENS_MAX];
        uint8_t room[MATCH_SUBJECT_BYTES_MAX]; /* for a text that is not quite what was said */
};

/* A shape on its way between lines and tree. What it does next, a step at a time: */
enum move_step {
        MOVE_NONE,
        MOVE_HIDE,   /* (to the tree) programs say that what the tree has of it does not count */
        MOVE_COPY,   /* its patterns into where it goes; those that come meanwhile are put into both */
        MOVE_SWITCH, /* programs look for it there */
        MOVE_CLEAR,  /* its patterns out of where it was */
        MOVE_SHOW,   /* (to the lines) programs without a word on the tree */
};

struct move {
        enum move_step step;
        bool to_hot;
        bool is_waiting; /* until every reader has the programs of the last step */
        struct shape shape;
        size_t next_id; /* of the patterns that are gone through */
        uint64_t skip_code;
        size_t changes_count; /* since somebody looked whether a shape is to move */
        struct epoch_retired readers;
};

struct match_table {
        /* Set before the readers start. */
        _Alignas(CACHE_LINE) struct subject_secrets secrets;
        const struct match_form *form;
        struct record *records;
        size_t records_bytes;
        size_t patterns_max, id_end;

        /* Published. */
        _Alignas(CACHE_LINE) _Atomic(const struct program *) programs[MATCH_TOKENS_MAX + 1];
        _Atomic uint64_t
                depths; /* those that have a program, as bits: none, and subjects need not be cut into tokens */
        _Atomic(struct byte_program *) byte_program; /* NULL: no pattern asks for beginnings */
        _Atomic size_t ids_max;
        _Alignas(CACHE_LINE) _Atomic uint64_t version;
        struct lines_index index; /* of the patterns: its lines are published, the rest is the writer's */
        struct cold cold;
        struct stamps stamps;

        /* The writer's. */
        _Alignas(CACHE_LINE) struct shapes shapes;
        struct move move;
        struct byte_shapes byte_shapes;
        bool bytes_are_stale;                 /* the program has sizes that no pattern has any more */
        size_t shapes_matches, bytes_matches; /* what ids_max is the sum of; they never shrink */
        uint64_t depths_stale; /* programs that hold swept shapes because there was no memory for a new one */
        size_t patterns_count;
        size_t ids_fresh;        /* ids below this have been given out at least once */
        pattern_id ids_free;     /* the first; key_lo of its record is the next */
        pattern_id leaving;      /* the first of those that were withdrawn and do not retire yet */
        struct leavers *leavers; /* a spare one, or NULL */
        struct epoch_bin bin;
};

/* The writer's: compiles and publishes the programs of `depths` anew. 0, or -ENOMEM and nothing has changed. */
int table_publish(struct match_table *table, uint64_t depths);
/* Once a turn: a step of the move, or the beginning of one. */
void table_move_on(struct match_table *table);

static inline struct subject_key record_key(const struct record *record)
{
        return (struct subject_key){
                .lo = atomic_load_explicit(&record->key_lo, memory_order_relaxed),
                .hi = atomic_load_explicit(&record->key_hi, memory_order_relaxed),
        };
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
