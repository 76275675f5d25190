/* cache: see the header.
 *
 *      line    key 16 | stamp 8 | first token's counter, how many ids, what stands behind 4 | notes 16, if any | ids …
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

int cache_init(struct cache *cache, const struct match_table *table, size_t lines_count)
{
        *cache = (struct cache){.table = table, .last_bytes = UINT32_MAX};
        if (lines_count == 0)
                return 0;
        size_t count = (size_t)1 << bits_log2_ceil(lines_count);
        cache->mask = count - 1;
        cache->lines = aligned_alloc(CACHE_LINE, count * sizeof *cache->lines);
        cache->ring = malloc(RING_IDS * sizeof *cache->ring);
        if (cache->lines == NULL || cache->ring == NULL) {
                cache_fini(cache);
                return -ENOMEM;
        }
        memset(cache->lines, 0, count * sizeof *cache->lines);
        return 0;
}

void cache_fini(struct cache *cache)
{
        free(cache->lines);
        free(cache->ring);
        *cache = (struct cache){0};
}

static inline struct cache_line *line_of(const struct cache *cache, struct subject_key key)
{
        return &cache->lines[key.lo & cache->mask];
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

/* Cheap for those that are not: what differs differs at the end, mostly. */
static inline bool is_same(struct span subject, const uint8_t *bytes)
{
        uint64_t end, other;
        if (unlikely(subject.size < sizeof end))
                return subject.size > 0 && memcmp(subject.bytes, bytes, subject.size) == 0;
        memcpy(&end, subject.bytes + subject.size - sizeof end, sizeof end);
        memcpy(&other, bytes + subject.size - sizeof other, sizeof other);
        return end == other && memcmp(subject.bytes, bytes, subject.size - sizeof end) == 0;
}

static inline bool is_kept(struct span subject)
{
        return subject.size > 0 && subject.size <= WHOLE_BYTES_MAX;
}

/* The subject's own, from 1 on, so that it is never taken for nowhere. */
static void place_find(struct cache_place *place, const struct match_table *table, uint64_t all, struct span subject,
                       struct subject_key key)
{
        place->key = key;
        place->first = (uint16_t)stamps_of_first(&table->secrets, subject);
        place->stamp = all + stamps_each(&table->stamps, stamps_of_whole(key), place->first);
}

/* `all` was read in front of the batch: earlier is never wrong. */
static inline bool look(struct cache *cache, uint64_t all, struct span subject, struct subject_key key,
                        struct cache_result *result, struct cache_place *place)
{
        const struct cache_line *line = line_of(cache, key);
        if (likely(subject_key_equal(line->key, key) && line->stamp != 0)) {
                uint64_t stamp = all + stamps_each(&cache->table->stamps, stamps_of_whole(key), line->first);
                if (likely(line->stamp == stamp) && likely(line_read(cache, line, result)))
                        return true;
        }
        place_find(place, cache->table, all, subject, key);
        return false;
}

#if FORM_X86
static AES_TARGET void keys_by_aes(const struct cache *cache, const struct span *subjects, uint32_t wanted,
                                   struct subject_key *keys)
{
        for (; wanted != 0; wanted &= wanted - 1) {
                size_t i = (size_t)__builtin_ctz(wanted);
                keys[i] = whole_by_aes(&cache->table->secrets, subjects[i]);
                __builtin_prefetch(line_of(cache, keys[i]));
        }
}
#endif

/* The keys of those subjects that `wanted` names; fetches their lines. */
static void keys_make(const struct cache *cache, const struct span *subjects, uint32_t wanted, struct subject_key *keys)
{
#if FORM_X86
        if (cache->table->secrets.is_aes) {
                keys_by_aes(cache, subjects, wanted, keys);
                return;
        }
#endif
        for (; wanted != 0; wanted &= wanted - 1) {
                size_t i = (size_t)__builtin_ctz(wanted);
                keys[i] = whole_key(&cache->table->secrets, subjects[i]);
                __builtin_prefetch(line_of(cache, keys[i]));
        }
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

struct cache_answer cache_find(struct cache *cache, const struct span *subjects, size_t count,
                               struct cache_result *results, struct cache_place *places)
{
        struct cache_answer answer = {.unknown = 0};
        struct subject_key keys[MATCH_BATCH_MAX];
        uint32_t again = 0, hashed = 0;
        assert(count >= 1);
        assert(count <= MATCH_BATCH_MAX);
        if (unlikely(cache->lines == NULL)) {
                for (size_t i = 0; i < count; i++)
                        places[i].stamp = 0;
                answer.unknown = ((uint32_t)1 << count) - 1;
                return answer;
        }
        bool is_as_last = subjects[0].size == cache->last_bytes && is_same(subjects[0], cache->last);
        for (size_t i = 1; i < count; i++)
                if (subjects[i].size == subjects[i - 1].size && is_same(subjects[i], subjects[i - 1].bytes))
                        again |= (uint32_t)1 << i;
        for (size_t i = 0; i < count; i++)
                hashed |= (uint32_t)is_kept(subjects[i]) << i;
        hashed &= ~again;
        if (is_as_last) {
                keys[0] = cache->last_key;
                hashed &= ~(uint32_t)1;
        }
        if (hashed != 0)
                keys_make(cache, subjects, hashed, keys);
        uint64_t all = stamps_all(&cache->table->stamps);
        size_t distinct = 0;
        for (size_t i = 0; i < count; i++) {
                uint32_t bit = (uint32_t)1 << i;
                if (again & bit) {
                        if (answer.unknown >> distinct & 1)
                                answer.same |= bit;
                        else
                                results[i] = results[distinct];
                        continue;
                }
                distinct = i;
                if (unlikely(!is_kept(subjects[i])))
                        places[i].stamp = 0;
                else if (likely(look(cache, all, subjects[i], keys[i], &results[i], &places[i])))
                        continue;
                answer.unknown |= bit;
        }
        if (is_kept(subjects[distinct]) && !(is_as_last && distinct == 0))
                remember(cache, subjects[distinct], keys[distinct]);
        return answer;
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
