/* cache: what subjects have matched, kept by one core in front of the matcher.
 *
 *      subject ─ the same as the last one? ──────────────────┐
 *              └ hash ─▶ tags ─▶ line {key, stamp, ids, notes} ◀─┘  as long as the subject's stamp is what it was
 *                                  └▶ ring of ids                   where there are too many of them for a line
 *
 * A line is found by a keyed hash and replaced without a search, so nobody who does not know the secret can choose whom
 * to push out, and what does push others out costs them a match, no more. It is replaced only by a subject that comes
 * for the second time: those that come once leave a tag, and never touch a line; and while many of those that come in
 * large batches were never seen, such batches are hardly asked for. It grows old by the subject's stamp
 * (matcher/stamps.h): a change of patterns that cannot match it leaves it alone, and nothing is ever swept.
 *
 * Identity is the hash's 128 bits, as it is the matcher's own for patterns: to compare the text would take a second
 * cache line, and leave out whatever subject does not fit into it.
 *
 * Whoever keeps results may note two words of its own beside them, and has to raise the stamps (match_touch) when what
 * they are made of changes. Belongs to one core. */
#ifndef SPATE_MATCHER_CACHE_H
#define SPATE_MATCHER_CACHE_H

#include "matcher/subject.h"

struct cache_line;
struct cache_tags;

#define CACHE_LAST_BYTES 64

struct cache {
        const struct match_table *table;
        struct cache_line *lines;
        struct cache_tags *tags;     /* of each line */
        uint64_t mask;               /* how many lines there are, less one */
        pattern_id *ring;            /* results of many ids, one behind the other */
        uint64_t ring_end;           /* ever */
        int32_t strange_part;        /* of large batches, lately: of 65536 */
        uint32_t passed_by;          /* of those, how many were not asked for */
        struct subject_key last_key; /* of the last subject, if that was short enough to keep */
        uint32_t last_bytes;
        uint8_t last[CACHE_LAST_BYTES];
};

struct cache_result {
        const pattern_id *ids; /* no particular order, no id twice */
        uint32_t ids_count;
        uint64_t notes[2];
};

/* Where a result is to be kept, and as of when. */
struct cache_place {
        struct subject_key key;
        uint64_t stamp; /* 0: nowhere, not this time */
        uint16_t first;
};

/* Of a batch's subjects, a bit each. */
struct cache_answer {
        uint32_t unknown; /* not in the cache: whoever asks matches them now, not before */
        uint32_t same;    /* of the others: the same as the one before, which was unknown, too */
};

/* 0 or -ENOMEM. `lines_count` is rounded up to a power of two; 0: nothing is ever kept. The table is borrowed. */
int cache_init(struct cache *cache, const struct match_table *table, size_t lines_count);
/* Accepts a zeroed one. */
void cache_fini(struct cache *cache);

/* Looks for `count` (1 .. MATCH_BATCH_MAX) subjects: results[i] of those that are neither unknown nor the same; they
 * are good until something is kept. places[i] is set for the unknown ones. */
struct cache_answer cache_find(struct cache *cache, const struct span *subjects, size_t count,
                               struct cache_result *results, struct cache_place *places);
/* What was matched behind the cache_find() that gave the place; its notes were made behind that, too. */
void cache_keep(struct cache *cache, const struct cache_place *place, const struct cache_result *result);

#endif
