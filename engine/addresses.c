/* addresses: see the header. */
#include "engine/addresses.h"

#include <arpa/inet.h>
#include <xxhash.h>

#include "engine/base/bits.h"

#define BUCKET_WORDS 8
#define COUNT_BITS 24
#define COUNT_MASK ((UINT64_C(1) << COUNT_BITS) - 1)
#define ADDRESS_BYTES_MAX 80

static size_t addresses_words_count(uint32_t conns_max)
{
        size_t words_count = (size_t)1 << bits_log2_ceil((uint64_t)conns_max * 4);
        return words_count < BUCKET_WORDS ? BUCKET_WORDS : words_count;
}

size_t addresses_bytes(uint32_t conns_max)
{
        return addresses_words_count(conns_max) * sizeof(uint64_t);
}

int addresses_init(struct addresses *addresses, uint32_t conns_max)
{
        static_assert(BUCKET_WORDS * sizeof(uint64_t) == CACHE_LINE, "a bucket is a cache line");
        assert(conns_max < COUNT_MASK);
        size_t words_count = addresses_words_count(conns_max);
        addresses->buckets_mask = words_count / BUCKET_WORDS - 1;
        return counters_init(&addresses->words, words_count);
}

void addresses_fini(struct addresses *addresses)
{
        counters_fini(&addresses->words);
}

/* ---- what is counted as one ---- */

/* The bytes of "[IPv6%scope]:port" that count, or 0. */
static size_t ipv6_bytes(struct span address, uint8_t out[16])
{
        static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
        char host[ADDRESS_BYTES_MAX];
        size_t size = 0;
        while (size + 1 < address.size && size + 1 < sizeof host && strchr("]%", address.bytes[size + 1]) == NULL)
                size++;
        memcpy(host, address.bytes + 1, size);
        host[size] = '\0';
        if (inet_pton(AF_INET6, host, out) != 1)
                return 0;
        return memcmp(out, mapped, sizeof mapped) == 0 ? 16 : 8;
}

uint64_t addresses_hash(struct span address, uint64_t seed)
{
        uint8_t bytes[16];
        size_t size = 0;
        if (address.size > 0 && address.bytes[0] == '[')
                size = ipv6_bytes(address, bytes);
        else if (address.size < ADDRESS_BYTES_MAX && address.size > 0) {
                char host[ADDRESS_BYTES_MAX];
                memcpy(host, address.bytes, address.size);
                host[address.size] = '\0';
                host[strcspn(host, ":")] = '\0';
                memset(bytes, 0, 10);
                memset(bytes + 10, 0xff, 2);
                size = inet_pton(AF_INET, host, bytes + 12) == 1 ? 16 : 0; /* as the same in IPv6 */
        }
        if (size == 0)
                return 0;
        uint64_t hash = XXH3_64bits_withSeed(bytes, size, seed);
        return hash != 0 ? hash : 1;
}

/* ---- counts ---- */

static size_t bucket_of(const struct addresses *addresses, uint64_t hash)
{
        return (hash & addresses->buckets_mask) * BUCKET_WORDS;
}

/* The upper bits, which the bucket does not tell. */
static uint64_t tag_of(uint64_t hash)
{
        return hash >> COUNT_BITS;
}

uint32_t addresses_count(const struct addresses *addresses, uint64_t hash)
{
        size_t first = bucket_of(addresses, hash);
        for (size_t i = first; i < first + BUCKET_WORDS; i++) {
                uint64_t word = counter_read(&addresses->words, i);
                if (word >> COUNT_BITS == tag_of(hash) && (word & COUNT_MASK) > 0)
                        return (uint32_t)(word & COUNT_MASK);
        }
        return 0;
}

uint32_t addresses_enter(struct addresses *addresses, uint64_t hash)
{
        size_t first = bucket_of(addresses, hash), place = SIZE_MAX;
        uint64_t count = 0;
        for (size_t i = first; i < first + BUCKET_WORDS; i++) {
                uint64_t word = counter_read(&addresses->words, i);
                if ((word & COUNT_MASK) == 0) {
                        place = i;
                } else if (word >> COUNT_BITS == tag_of(hash)) {
                        place = i;
                        count = word & COUNT_MASK;
                        break;
                }
        }
        if (place == SIZE_MAX)
                return 0;
        assert(count < COUNT_MASK);
        counter_set(&addresses->words, place, tag_of(hash) << COUNT_BITS | (count + 1));
        return (uint32_t)place + 1;
}

void addresses_leave(struct addresses *addresses, uint32_t place)
{
        if (place == 0)
                return;
        uint64_t word = counter_read(&addresses->words, place - 1);
        assert((word & COUNT_MASK) > 0);
        counter_set(&addresses->words, place - 1, word - 1);
}
