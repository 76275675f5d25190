/* addresses: how many connections come from each address, so that no one address takes all there are. Each reactor
 * counts its own, and every reactor reads the counts of all.
 *
 *      hash of the address ──▶ bucket: 8 words, one cache line      word = 40 bits of the hash, 24 bits of count
 *
 * A word is a counter: its reactor stores it, anyone reads it whole. A word whose count is 0 is free. There are four
 * words for each connection that may be, so a bucket has room for another address but for one time in thousands, when
 * every connection is there and each from an address of its own; who finds none is let in uncounted. The hash is keyed:
 * nobody can choose addresses that share a bucket.
 *
 * An IPv6 address counts by its first 64 bits, the least that one host is given. UNIX sockets have no address. */
#ifndef SPATE_ENGINE_ADDRESSES_H
#define SPATE_ENGINE_ADDRESSES_H

#include "engine/base/counters.h"
#include "engine/base/span.h"

struct addresses {
        struct counters words;
        uint64_t buckets_mask;
};

/* 0 or -ENOMEM. `conns_max` is of this reactor. All that are read together have the same. */
int addresses_init(struct addresses *addresses, uint32_t conns_max);
/* Accepts a zeroed one. */
void addresses_fini(struct addresses *addresses);
/* What addresses_init() takes, for the memory plan. */
size_t addresses_bytes(uint32_t conns_max);

/* Of an address as the backend tells it, "127.0.0.1:53412"; the same seed on every reactor. 0: it is not counted. */
uint64_t addresses_hash(struct span address, uint64_t seed);
/* How many connections from it this reactor has now. Any thread. */
uint32_t addresses_count(const struct addresses *addresses, uint64_t hash);

/* Counts one more or one less; the owning reactor only. A place, or 0: there is none, and nothing to be taken back. */
uint32_t addresses_enter(struct addresses *addresses, uint64_t hash);
void addresses_leave(struct addresses *addresses, uint32_t place);

#endif
