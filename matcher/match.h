/* match: strings in, ids out. Finds every pattern that a subject matches, for a batch of subjects at a time.
 *
 * A pattern is known by a dense id. The table tells, for each subject, the ids of the patterns that match and the set
 * of reactors that have subscribers of any of them. It knows nothing of connections or cohorts: a reactor maps ids to
 * those by itself (engine/route).
 *
 * Who may call what: one writer at a time (a role of one reactor's turn) calls match_add and match_remove; any
 * registered reader (epoch_register) calls match_batch meanwhile. Readers take no lock and write nothing shared. A
 * change is visible to every later match_batch on every core when the call that makes it returns: so it may be
 * acknowledged at once. An id that was withdrawn is not given out again, and memory that readers might still use is not
 * freed, before every reader has announced a quiescent state (engine/base/epoch). */
#ifndef SPATE_MATCHER_MATCH_H
#define SPATE_MATCHER_MATCH_H

#include "engine/base/epoch.h"
#include "engine/base/span.h"

typedef uint32_t pattern_id;
#define PATTERN_NONE UINT32_MAX

#define MATCH_BATCH_MAX 16 /* subjects a call */
#define MATCH_REACTORS_MAX 64
#define MATCH_SUBJECT_BYTES_MAX 1024
#define MATCH_TOKENS_MAX 32

/* How a subscription's text is read; see the table in matcher/pattern.h. */
enum match_dialect {
        MATCH_NATS,   /* '*' one token, '>' last: one or more tokens */
        MATCH_SYNAP,  /* '*' one token or, inside of one, any bytes of it; '#' last: zero or more tokens */
        MATCH_PREFIX, /* no tokens: every subject that begins with these bytes (ZeroMQ) */
        MATCH_EXACT,  /* no wildcards: the subject that is these bytes */
};

struct match_table;

struct match_limits {
        size_t patterns_max; /* at a time */
        size_t retiring_max; /* withdrawn ones beside them, until every reader has passed a turn */
        /* Their sum is less than 2^31; address space is reserved for as many ids, memory used as they come. */
};

/* 0 or -ENOMEM. The table belongs to the caller; `secret` keys its hashes and is copied. */
int match_table_new(struct match_table **table, const struct match_limits *limits, const uint8_t secret[16]);
/* Every reader must have gone. Accepts NULL. */
void match_table_free(struct match_table *table);

/* The writer says that `reactor` (0 .. MATCH_REACTORS_MAX - 1) has a first subscriber of `pattern`. The pattern's id
 * goes to *id: the same for every reactor while any of them holds the pattern, and in every dialect in which its text
 * means the same. Adding a (pattern, reactor) twice is
 * harmless: the caller counts its subscribers itself. 0, -EINVAL (not a legal pattern of the dialect), -E2BIG (longer
 * than MATCH_SUBJECT_BYTES_MAX or deeper than MATCH_TOKENS_MAX), -ENOSPC (patterns_max are in use, or
 * no id is left because too many are retiring, or as many globs begin alike as are let, or patterns of rare shapes have
 * eight tokens of their own on average), -ENOMEM. After an error nothing has changed. */
int match_add(struct match_table *table, struct span pattern, enum match_dialect dialect, unsigned reactor,
              pattern_id *id);
/* The writer says that `reactor` has no subscriber of `id` any more. When it was the last, the pattern is withdrawn. */
void match_remove(struct match_table *table, pattern_id id, unsigned reactor);
/* Once a turn on the writer's core: frees what no reader can hold any more. Never waits. */
void match_collect(struct match_table *table);

/* Is `pattern` one that match_add() takes: 0, -EINVAL or -E2BIG. Any core. */
int match_check(struct span pattern, enum match_dialect dialect);

/* The id of a pattern that is in the table, or PATTERN_NONE. Writer's core only. */
pattern_id match_find(const struct match_table *table, struct span pattern, enum match_dialect dialect);
/* The text of a pattern that is in, a token of stars written as one; good until it is withdrawn and a grace period has
 * passed. Writer's core only. */
struct span match_text(const struct match_table *table, pattern_id id);

size_t match_patterns_count(const struct match_table *table);
/* Every id is less. */
size_t match_id_end(const struct match_limits *limits);
/* Goes up with every change that could alter the result of a match; for caches of results. Any core: acquire. */
uint64_t match_version(const struct match_table *table);
/* No subject matches more patterns than this. Grows with match_add: read it after, size `ids` by it. Any core. */
size_t match_ids_max(const struct match_table *table);

/* The class of results that a change of a pattern may alter (matcher/stamps.h). */
typedef uint16_t match_reach;
/* That of a pattern which match_check() lets pass. Any core. */
match_reach match_reach_of(const struct match_table *table, struct span pattern, enum match_dialect dialect);
/* For whoever keeps results, and beside them what it knows of their patterns (matcher/cache.h): that has changed for a
 * pattern of this reach. match_add() and match_remove() do it for the patterns themselves. Any core, behind the change
 * and in front of the answer that tells of it. */
void match_touch(struct match_table *table, match_reach reach);

struct match_set {
        const pattern_id *ids; /* in `ids` of the call; no particular order, no id twice */
        uint32_t ids_count;
        uint64_t reactors; /* a bit for each reactor with subscribers of any of these */
};

/* Matches `subjects_count` (1 .. MATCH_BATCH_MAX) subjects. Their ids are written one after the other to `ids`, which
 * has room for `ids_max` of them; sets[i] tells where those of subject i are. A subject that is longer or deeper than
 * the limits matches nothing, but a deeper one what is asked for without tokens. Wildcard characters in a subject are
 * ordinary bytes. Tokens may be empty: no star matches such a token, and no '>' a subject that has one, so that NATS
 * patterns match no such subject at all. No byte is read that is not a subject's: they need no padding, and may end
 * where memory does; so may patterns. Returns how many subjects were done: fewer than asked only when `ids` is too
 * small for the next one, which cannot be while ids_max >= match_ids_max(). */
size_t match_batch(const struct match_table *table, const struct span *subjects, size_t subjects_count, pattern_id *ids,
                   size_t ids_max, struct match_set *sets);

#endif
