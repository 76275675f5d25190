/* credentials: a set-associative table of keyed digests. See the header. */
#include "engine/access/credentials.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>

#include "engine/base/bits.h"
#include "engine/base/random.h"

#define WAYS 8

static_assert(CREDENTIALS_KEY_BYTES == crypto_generichash_KEYBYTES, "the key fits");

void credentials_key(uint8_t key[CREDENTIALS_KEY_BYTES])
{
        random_secret(key, CREDENTIALS_KEY_BYTES);
}

struct credentials_digest credentials_digest(const uint8_t key[CREDENTIALS_KEY_BYTES], struct span name,
                                             struct span secret, struct span hash)
{
        struct credentials_digest digest;
        crypto_generichash_state state;
        const struct span parts[] = {name, secret, hash};
        crypto_generichash_init(&state, key, CREDENTIALS_KEY_BYTES, sizeof digest.bytes);
        for (size_t i = 0; i < array_count(parts); i++) {
                /* Its size in front, so that no part can pass for the start of the next. */
                uint64_t size = parts[i].size;
                crypto_generichash_update(&state, (const uint8_t *)&size, sizeof size);
                if (size > 0)
                        crypto_generichash_update(&state, parts[i].bytes, size);
        }
        crypto_generichash_final(&state, digest.bytes, sizeof digest.bytes);
        sodium_memzero(&state, sizeof state);
        return digest;
}

int credentials_init(struct credentials *credentials, size_t entries_count)
{
        assert(entries_count >= WAYS && bits_is_power_of_two(entries_count));
        credentials->sets_count = entries_count / WAYS;
        credentials->uses = 0;
        credentials->entries = calloc(entries_count, sizeof *credentials->entries);
        return credentials->entries == NULL ? -ENOMEM : 0;
}

void credentials_fini(struct credentials *credentials)
{
        free(credentials->entries);
        credentials->entries = NULL;
}

static struct credentials_entry *credentials_set(const struct credentials *credentials,
                                                 const struct credentials_digest *digest)
{
        uint64_t number;
        memcpy(&number, digest->bytes, sizeof number);
        return &credentials->entries[(number & (credentials->sets_count - 1)) * WAYS];
}

static struct credentials_entry *credentials_find(const struct credentials *credentials,
                                                  const struct credentials_digest *digest)
{
        struct credentials_entry *set = credentials_set(credentials, digest);
        for (size_t i = 0; i < WAYS; i++)
                if (set[i].used != 0 && sodium_memcmp(&set[i].digest, digest, sizeof *digest) == 0)
                        return &set[i];
        return NULL;
}

void credentials_remember(struct credentials *credentials, struct credentials_digest digest, uint32_t value,
                          uint64_t until_ns)
{
        struct credentials_entry *entry = credentials_find(credentials, &digest);
        if (entry == NULL) {
                entry = credentials_set(credentials, &digest);
                for (size_t i = 1; i < WAYS; i++)
                        if (credentials_set(credentials, &digest)[i].used < entry->used)
                                entry = &credentials_set(credentials, &digest)[i];
        }
        *entry = (struct credentials_entry){
                .digest = digest, .used = ++credentials->uses, .until_ns = until_ns, .value = value};
}

bool credentials_recall(struct credentials *credentials, struct credentials_digest digest, uint64_t now_ns,
                        uint32_t *value)
{
        struct credentials_entry *entry = credentials_find(credentials, &digest);
        if (entry == NULL)
                return false;
        if (entry->until_ns <= now_ns) {
                entry->used = 0;
                return false;
        }
        entry->used = ++credentials->uses;
        *value = entry->value;
        return true;
}

void credentials_clear(struct credentials *credentials)
{
        sodium_memzero(credentials->entries, credentials->sets_count * WAYS * sizeof *credentials->entries);
}
