/* Eight 8-byte slots a line: 32 bits of the hash, 32 bits of where the text is. Texts of 64 bytes, so that each is one
 * line of the cache. */
#include "bench/micro/exacthash.h"

#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "matcher/table_lines.h"

#define BUCKET_SLOTS 8

struct bucket {
        _Alignas(CACHE_LINE)
                uint64_t slots[BUCKET_SLOTS]; /* the hash's high half, then one more than the number; 0: empty */
};

struct text {
        _Alignas(CACHE_LINE) uint8_t size;
        uint8_t bytes[CACHE_LINE - 1];
};

struct exacthash {
        struct bucket *lines;
        size_t mask;
        struct text *texts;
        size_t texts_count, texts_max;
};

/* Of huge pages as far as the kernel has any, as what it is compared with. */
static void *huge_new(size_t bytes)
{
        void *memory = map_zeroed(bytes);
        if (memory == NULL)
                abort();
        return memory;
}

struct exacthash *exacthash_new(size_t texts_max)
{
        struct exacthash *hash = calloc(1, sizeof *hash);
        if (hash == NULL)
                abort();
        size_t lines_count = 1;
        while (lines_count * BUCKET_SLOTS * 6 < texts_max * 10)
                lines_count *= 2;
        hash->mask = lines_count - 1;
        hash->lines = huge_new(lines_count * sizeof(struct bucket));
        hash->texts = huge_new(texts_max * sizeof(struct text));
        hash->texts_max = texts_max;
        return hash;
}

void exacthash_free(struct exacthash *hash)
{
        if (hash == NULL)
                return;
        unmap(hash->lines, (hash->mask + 1) * sizeof(struct bucket));
        unmap(hash->texts, hash->texts_max * sizeof(struct text));
        free(hash);
}

void exacthash_add(struct exacthash *hash, struct span text)
{
        assert(text.size < CACHE_LINE);
        assert(hash->texts_count < hash->texts_max);
        uint64_t value = XXH3_64bits(text.bytes, text.size);
        struct text *kept = &hash->texts[hash->texts_count++];
        kept->size = (uint8_t)text.size;
        span_copy(kept->bytes, text);
        for (size_t at = value;; at++) {
                uint64_t *slots = hash->lines[at & hash->mask].slots;
                for (size_t i = 0; i < BUCKET_SLOTS; i++) {
                        if (slots[i] != 0)
                                continue;
                        slots[i] = value >> 32 << 32 | hash->texts_count;
                        return;
                }
        }
}

uint32_t exacthash_find(const struct exacthash *hash, struct span text)
{
        uint64_t value = XXH3_64bits(text.bytes, text.size);
        for (size_t at = value;; at++) {
                const uint64_t *slots = hash->lines[at & hash->mask].slots;
                for (size_t i = 0; i < BUCKET_SLOTS; i++) {
                        if (slots[i] == 0)
                                return UINT32_MAX;
                        if (slots[i] >> 32 != value >> 32)
                                continue;
                        const struct text *kept = &hash->texts[(uint32_t)slots[i] - 1];
                        if (kept->size == text.size && memcmp(kept->bytes, text.bytes, text.size) == 0)
                                return (uint32_t)slots[i] - 1;
                }
        }
}
