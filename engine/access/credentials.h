/* credentials: pairs of name and secret that were tried lately, and what came of it. Kept as a digest keyed by a secret
 * of this process (BLAKE2b), so that what is remembered is of no use to anybody who reads it.
 *
 * The stored hash is a part of what is digested: when it changes, what was remembered is worth nothing. Bounded: within
 * a set of eight, the one used longest ago makes room. Belongs to one thread. */
#ifndef SPATE_ENGINE_ACCESS_CREDENTIALS_H
#define SPATE_ENGINE_ACCESS_CREDENTIALS_H

#include "engine/base/span.h"

#define CREDENTIALS_DIGEST_BYTES 32
#define CREDENTIALS_KEY_BYTES 32

struct credentials_digest {
        uint8_t bytes[CREDENTIALS_DIGEST_BYTES];
};

struct credentials_entry {
        struct credentials_digest digest;
        uint64_t used;     /* by the table's own clock; 0: free */
        uint64_t until_ns; /* is not remembered beyond */
        uint32_t value;
};

struct credentials {
        struct credentials_entry *entries;
        size_t sets_count;
        uint64_t uses;
};

/* Draws the key; may be copied to other threads before they begin. */
void credentials_key(uint8_t key[CREDENTIALS_KEY_BYTES]);
struct credentials_digest credentials_digest(const uint8_t key[CREDENTIALS_KEY_BYTES], struct span name,
                                             struct span secret, struct span hash);

/* 0 or -ENOMEM. */
int credentials_init(struct credentials *credentials, size_t entries_count);
void credentials_fini(struct credentials *credentials);
void credentials_remember(struct credentials *credentials, struct credentials_digest digest, uint32_t value,
                          uint64_t until_ns);
bool credentials_recall(struct credentials *credentials, struct credentials_digest digest, uint64_t now_ns,
                        uint32_t *value);
void credentials_clear(struct credentials *credentials);

#endif
