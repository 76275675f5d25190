/* cache: see the header.
 *
 *      line    key 16 | stamp 8 | first token's counter, how many ids, what stands behind 4 | notes 16, if any | ids …
 *      tags    of the subject that is kept in the line 2 | of the last other one that was looked for 2
 *
 * Lines are as large as a core's second cache, tags stay in it: who is not kept is not looked for further than there.
 *
 * Notes are mostly zeros and take no room then: nine ids fit, or five. A line of more holds where in the ring they
 * begin; the ring goes round, and what was written over is not found any more. */
#include "matcher/cache.h"

#include <errno.h>
#include <stdlib.h>

#include "engine/base/bits.h"
#include "matcher/stamps.h"
#include "matcher/table.h"
#include "matcher/whole.h"

#define WORDS 9 /* of a line, behind its head */
#define NOTES_WORDS 4
#define RING_IDS ((uint64_t)1 << 16)
#define LONG_IDS_MAX (RING_IDS / 16)
#define LARGE (MATCH_BATCH_MAX / 2) /* a batch */
#define PART_MAX (65536 / 4)

struct cache_line {
        _Alignas(CACHE_LINE) struct subject_key key;
        uint64_t stamp; /* 0: empty */
        uint16_t first;
        uint16_t ids_count : 14;
        uint16_t has_notes : 1;
        uint16_t is_long : 1; /* the ids are in the ring */
        uint32_t words[WORDS];
};
static_assert(sizeof(struct cache_line) == CACHE_LINE, "a line is a line");
static_assert(LONG_IDS_MAX < 1 << 14, "a line can say how many there are");
static_assert(STAMPS_FIRST + STAMPS_EACH <= UINT16_MAX, "a line can say which counter");

struct cache_tags {
        uint16_t kept; /* 0: nobody */
        uint16_t seen;
};

int cache_init(struct cache *cache, const struct match_table *table, size_t lines_count)
{
        *cache = (struct cache){.table = table, .last_bytes = UINT32_MAX};
        if (lines_count == 0)
                return 0;
        size_t count = (size_t)1 << bits_log2_ceil(lines_count);
        cache->mask = count - 1;
        cache->lines = aligned_alloc(CACHE_LINE, count * sizeof *cache->lines);
        cache->tags = calloc(count, sizeof *cache->tags);
        cache->ring = malloc(RING_IDS * sizeof *cache->ring);
        if (cache->lines == NULL || cache->tags == NULL || cache->ring == NULL) {
                cache_fini(cache);
                return -ENOMEM;
        }
        memset(cache->lines, 0, count * sizeof *cache->lines);
        return 0;
}

void cache_fini(struct cache *cache)
{
        free(cache->lines);
        free(cache->tags);
        free(cache->ring);
        *cache = (struct cache){0};
}

static inline struct cache_line *line_of(const struct cache *cache, struct subject_key key)
{
        return &cache->lines[key.lo & cache->mask];
}

static inline struct cache_tags *tags_of(const struct cache *cache, struct subject_key key)
{
        return &cache->tags[key.lo & cache->mask];
}

static inline uint16_t tag_of(struct subject_key key)
{
        return (uint16_t)(key.hi >> 48 | 1);
}

/* The line's result; false: it has been written over. */
static inline bool line_read(const struct cache *cache, const struct cache_line *line, struct cache_result *result)
{
        const uint32_t *ids = line->words;
        result->notes[0] = 0;
        result->notes[1] = 0;
        if (line->has_notes) {
                memcpy(result->notes, ids, sizeof result->notes);
                ids += NOTES_WORDS;
        }
        result->ids_count = line->ids_count;
        result->ids = ids;
        if (unlikely(line->is_long)) {
                uint64_t begin;
                memcpy(&begin, ids, sizeof begin);
                if (cache->ring_end - begin > RING_IDS)
                        return false;
                result->ids = cache->ring + begin % RING_IDS;
        }
        return true;
}

typedef uint64_t lane __attribute__((vector_size(16)));

static inline lane differ(const uint8_t *a, const uint8_t *b)
{
        lane left, right;
        memcpy(&left, a, sizeof left);
        memcpy(&right, b, sizeof right);
        return left ^ right;
}

/* The sizes are equal. Lanes may overlap: the last ends where the subject does. */
static inline bool is_same(const uint8_t *a, const uint8_t *b, size_t size)
{
        if (unlikely(size < sizeof(lane)))
                return memcmp(a, b, size) == 0;
        size_t last = size - sizeof(lane);
        lane found = differ(a + last, b + last);
        for (size_t at = 0; at < last; at += sizeof(lane))
                found |= differ(a + at, b + at);
        return (found[0] | found[1]) == 0;
}

static inline bool is_kept(struct span subject)
{
        return subject.size - 1 < WHOLE_BYTES_MAX; /* and more than none */
}

/* What comes for the second time, or finds its line empty or old, gets a place there; false: a stranger, it has none.
 */
static __attribute__((noinline)) bool place_find(struct cache *cache, uint64_t all, struct span subject,
                                                 struct subject_key key, struct cache_place *place)
{
        struct cache_tags *tags = tags_of(cache, key);
        uint16_t tag = tag_of(key);
        const struct match_table *table = cache->table;
        if (tags->kept != tag && tags->kept != 0 && tags->seen != tag) {
                tags->seen = tag;
                place->stamp = 0;
                return false;
        }
        place->key = key;
        place->first = (uint16_t)stamps_of_first(&table->secrets, subject);
        place->stamp = all + stamps_each(&table->stamps, stamps_of_whole(key), place->first);
        return true;
}

/* `all` was read in front of the batch: earlier is never wrong. */
static inline bool look(const struct cache *cache, uint64_t all, struct subject_key key, struct cache_result *result)
{
        if (tags_of(cache, key)->kept != tag_of(key))
                return false;
        const struct cache_line *line = line_of(cache, key);
        if (unlikely(!subject_key_equal(line->key, key)))
                return false;
        uint64_t stamp = all + stamps_each(&cache->table->stamps, stamps_of_whole(key), line->first);
        return line->stamp == stamp && line_read(cache, line, result);
}

/* The next batch may begin with the subject that this one ends with. */
static inline void remember(struct cache *cache, struct span subject, struct subject_key key)
{
        cache->last_key = key;
        cache->last_bytes = UINT32_MAX;
        if (subject.size <= CACHE_LAST_BYTES) {
                cache->last_bytes = (uint32_t)subject.size;
                memcpy(cache->last, subject.bytes, subject.size);
        }
}

/* A large batch is matched for little more than it takes to ask for it here. Where many of it have not been seen
 * before, only one of sixteen is asked for, to see whether that has changed. What is unknown because it has grown old,
 * or is new to an empty cache, does not count: it will be known soon. A small batch is worth asking for in any case. */
static inline bool is_passed_by(struct cache *cache, size_t count)
{
        return count >= LARGE && cache->strange_part > PART_MAX && ++cache->passed_by % 16 != 0;
}

static inline void count_strange(struct cache *cache, size_t count, uint32_t strange)
{
        if (count < LARGE)
                return;
        /* Of 65536, a mean that forgets in sixteen batches. */
        int32_t part = (int32_t)(strange * 65536 / (uint32_t)count);
        cache->strange_part += (part - cache->strange_part) / 16;
}

/* `whole` is whole_key(), or what it comes to on this CPU. */
static inline __attribute__((always_inline)) struct cache_answer
find(struct cache *cache, const struct span *subjects, size_t count, struct cache_result *results,
     struct cache_place *places, struct subject_key (*whole)(const struct subject_secrets *, struct span))
{
        struct cache_answer answer = {.unknown = 0};
        struct subject_key key = cache->last_key;
        struct span distinct = SPAN_NONE; /* the last that was not the same */
        uint32_t bit = 1, bit_distinct = 0, strange = 0;
        uint64_t all = stamps_all(&cache->table->stamps);
        for (size_t i = 0; i < count; i++, bit <<= 1) {
                struct span subject = subjects[i];
                if (subject.size == distinct.size && subject.size > 0 &&
                    is_same(subject.bytes, distinct.bytes, subject.size)) {
                        if (unlikely(answer.unknown & bit_distinct))
                                answer.same |= bit;
                        else
                                results[i] = results[i - 1];
                        continue;
                }
                distinct = subject;
                bit_distinct = bit;
                if (unlikely(!is_kept(subject))) {
                        places[i].stamp = 0;
                        answer.unknown |= bit;
                        continue;
                }
                if (i > 0 || subject.size != cache->last_bytes || !is_same(subject.bytes, cache->last, subject.size))
                        key = whole(&cache->table->secrets, subject);
                if (likely(look(cache, all, key, &results[i])))
                        continue;
                strange += !place_find(cache, all, subject, key, &places[i]);
                answer.unknown |= bit;
        }
        if (likely(is_kept(distinct)) && (cache->last_bytes == UINT32_MAX || !subject_key_equal(key, cache->last_key)))
                remember(cache, distinct, key);
        count_strange(cache, count, strange);
        return answer;
}

#if FORM_X86
static AES_TARGET struct cache_answer find_by_aes(struct cache *cache, const struct span *subjects, size_t count,
                                                  struct cache_result *results, struct cache_place *places)
{
        return find(cache, subjects, count, results, places, whole_by_aes);
}
#endif

struct cache_answer cache_find(struct cache *cache, const struct span *subjects, size_t count,
                               struct cache_result *results, struct cache_place *places)
{
        assert(count >= 1);
        assert(count <= MATCH_BATCH_MAX);
        if (unlikely(cache->lines == NULL) || is_passed_by(cache, count)) {
                for (size_t i = 0; i < count; i++)
                        places[i].stamp = 0;
                return (struct cache_answer){.unknown = ((uint32_t)1 << count) - 1};
        }
#if FORM_X86
        if (likely(cache->table->secrets.is_aes))
                return find_by_aes(cache, subjects, count, results, places);
#endif
        return find(cache, subjects, count, results, places, whole_key);
}

/* Where in the ring the ids stand now. */
static uint64_t ring_write(struct cache *cache, const struct cache_result *result)
{
        uint64_t rest = RING_IDS - cache->ring_end % RING_IDS;
        if (rest < result->ids_count)
                cache->ring_end += rest;
        uint64_t begin = cache->ring_end;
        memcpy(cache->ring + begin % RING_IDS, result->ids, result->ids_count * sizeof *result->ids);
        cache->ring_end += result->ids_count;
        return begin;
}

void cache_keep(struct cache *cache, const struct cache_place *place, const struct cache_result *result)
{
        if (place->stamp == 0 || result->ids_count > LONG_IDS_MAX)
                return;
        struct cache_line *line = line_of(cache, place->key);
        tags_of(cache, place->key)->kept = tag_of(place->key);
        uint32_t *ids = line->words;
        line->key = place->key;
        line->stamp = place->stamp;
        line->first = place->first;
        line->ids_count = (uint16_t)result->ids_count;
        line->has_notes = (result->notes[0] | result->notes[1]) != 0;
        if (line->has_notes) {
                memcpy(ids, result->notes, sizeof result->notes);
                ids += NOTES_WORDS;
        }
        line->is_long = result->ids_count > (line->has_notes ? WORDS - NOTES_WORDS : WORDS);
        if (unlikely(line->is_long)) {
                uint64_t begin = ring_write(cache, result);
                memcpy(ids, &begin, sizeof begin);
        } else if (result->ids_count > 0) {
                memcpy(ids, result->ids, result->ids_count * sizeof *ids);
        }
}
