/* stamps: how the results of matches grow old. Counters that only rise, one for each class of subjects; a change of a
 * pattern raises that of the smallest class that holds every subject it matches.
 *
 *      pattern           class                                    a subject's stamp is the sum of
 *      a.b               the subjects that hash as a.b does       ─┐
 *      a.*  a.>  a.b#    those whose first token hashes as a      ─┼─ all three
 *      *.b  >  #         all                                      ─┘
 *
 * As no counter goes back, an equal sum means that none of the three has moved. Who keeps a result reads the stamp
 * before it asks for the match: a change that comes between is then taken for newer than the result, never for older.
 * Who makes a change raises the counter behind it and in front of the answer that tells of it. Any core raises, any
 * reads. */
#ifndef SPATE_MATCHER_STAMPS_H
#define SPATE_MATCHER_STAMPS_H

#include <stdatomic.h>

#include "matcher/pattern.h"

#define STAMPS_EACH 4096 /* classes by the whole subject, and as many by the first token */

/* Which counter: those of whole subjects, then of first tokens, then that of all. */
#define STAMPS_FIRST STAMPS_EACH
#define STAMPS_ALL (2 * STAMPS_EACH)

struct stamps {
        _Alignas(CACHE_LINE) _Atomic uint64_t all; /* from 1 on: no stamp is 0 */
        _Alignas(CACHE_LINE) _Atomic uint64_t each[2 * STAMPS_EACH];
};

void stamps_init(struct stamps *stamps);

/* The class of what a legal pattern may match. */
match_reach stamps_reach(const struct subject_secrets *secrets, struct span text, struct shape shape);

static inline uint32_t stamps_of_whole(struct subject_key whole)
{
        /* Other bits than those that choose a line of a cache. */
        return (uint32_t)(whole.hi % STAMPS_EACH);
}

/* By the bytes in front of the first dot, or all; any bytes. */
static inline uint32_t stamps_of_first(const struct subject_secrets *secrets, struct span text)
{
        const uint8_t *dot = text.size == 0 ? NULL : memchr(text.bytes, '.', text.size);
        struct span token = span_of(text.bytes, dot == NULL ? text.size : (size_t)(dot - text.bytes));
        return STAMPS_FIRST + (uint32_t)(subject_token_key(secrets, 0, token).lo % STAMPS_EACH);
}

static inline void stamps_raise(struct stamps *stamps, match_reach reach)
{
        _Atomic uint64_t *counter = reach == STAMPS_ALL ? &stamps->all : &stamps->each[reach];
        /* Release: pairs with the acquires below. */
        atomic_fetch_add_explicit(counter, 1, memory_order_release);
}

static inline uint64_t stamps_all(const struct stamps *stamps)
{
        /* Pairs with the release in stamps_raise(): who sees it raised sees what was changed. */
        return atomic_load_explicit(&stamps->all, memory_order_acquire);
}

static inline uint64_t stamps_each(const struct stamps *stamps, uint32_t whole, uint32_t first)
{
        /* As above. */
        return atomic_load_explicit(&stamps->each[whole], memory_order_acquire) +
               atomic_load_explicit(&stamps->each[first], memory_order_acquire);
}

#endif
