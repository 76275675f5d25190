/* pointertrie: the rival, a tree of tokens with a hash map in each node, as brokers have it; in C, without a lock, and
 * with each token's hash computed once. For comparison only: nothing can be taken out. */
#ifndef SPATE_BENCH_MICRO_POINTERTRIE_H
#define SPATE_BENCH_MICRO_POINTERTRIE_H

#include "engine/base/span.h"

struct pointertrie;

struct pointertrie *pointertrie_new(void);
void pointertrie_free(struct pointertrie *trie);
/* A NATS pattern; one that is in already is left as it is. */
void pointertrie_add(struct pointertrie *trie, struct span pattern);
/* Writes the numbers of all patterns that match, up to `room` of them; returns how many there are. */
size_t pointertrie_match(const struct pointertrie *trie, struct span subject, uint32_t *numbers, size_t room);
size_t pointertrie_bytes(const struct pointertrie *trie);

#endif
