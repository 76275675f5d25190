/* match_oracle: which patterns are legal and what they match, said as plainly as possible: a recursion over the text.
 * Shares no line with the matcher, so that both would have to be wrong in the same way. */
#ifndef SPATE_TESTS_ORACLE_MATCH_ORACLE_H
#define SPATE_TESTS_ORACLE_MATCH_ORACLE_H

#include "engine/base/span.h"

#define ORACLE_BYTES_MAX 1024
#define ORACLE_TOKENS_MAX 32

static inline struct span oracle_first(struct span text)
{
        size_t size = 0;
        while (size < text.size && text.bytes[size] != '.')
                size++;
        return span_of(text.bytes, size);
}

static inline bool oracle_is_last(struct span text)
{
        return oracle_first(text).size == text.size;
}

static inline struct span oracle_behind_first(struct span text)
{
        return span_skip(text, oracle_first(text).size + 1);
}

static inline size_t oracle_tokens(struct span text)
{
        return oracle_is_last(text) ? 1 : 1 + oracle_tokens(oracle_behind_first(text));
}

static inline bool oracle_has_empty_token(struct span text)
{
        return oracle_first(text).size == 0 ||
               (!oracle_is_last(text) && oracle_has_empty_token(oracle_behind_first(text)));
}

static inline bool oracle_fits(struct span text)
{
        return text.size <= ORACLE_BYTES_MAX && oracle_tokens(text) <= ORACLE_TOKENS_MAX;
}

static inline bool oracle_tail_is_last(struct span pattern)
{
        if (oracle_is_last(pattern))
                return true;
        return !span_equal(oracle_first(pattern), SPAN(">")) && oracle_tail_is_last(oracle_behind_first(pattern));
}

/* May it be subscribed to? Apart from its size: ask oracle_fits. */
static inline bool oracle_is_legal(struct span pattern)
{
        return !oracle_has_empty_token(pattern) && oracle_tail_is_last(pattern);
}

static inline bool oracle_rest_matches(struct span pattern, struct span subject)
{
        struct span wanted = oracle_first(pattern);
        if (span_equal(wanted, SPAN(">")))
                return true;
        if (!span_equal(wanted, SPAN("*")) && !span_equal(wanted, oracle_first(subject)))
                return false;
        if (oracle_is_last(pattern) || oracle_is_last(subject))
                return oracle_is_last(pattern) && oracle_is_last(subject);
        return oracle_rest_matches(oracle_behind_first(pattern), oracle_behind_first(subject));
}

/* Does a legal pattern that fits match the subject? */
static inline bool oracle_matches(struct span pattern, struct span subject)
{
        return oracle_fits(subject) && !oracle_has_empty_token(subject) && oracle_rest_matches(pattern, subject);
}

/* The other dialects. Their numbers are those of enum match_dialect. */
enum oracle_dialect { ORACLE_NATS, ORACLE_SYNAP, ORACLE_PREFIX, ORACLE_EXACT };

static inline bool oracle_is_stars(struct span token)
{
        return token.size > 0 && token.bytes[0] == '*' && (token.size == 1 || oracle_is_stars(span_skip(token, 1)));
}

static inline bool oracle_has_star(struct span token)
{
        return token.size > 0 && (token.bytes[0] == '*' || oracle_has_star(span_skip(token, 1)));
}

/* reached[j]: what has been read of `wanted` stands for the first j bytes of `token`. */
static inline bool oracle_glob_matches(struct span wanted, struct span token)
{
        if (!oracle_has_star(wanted))
                return span_equal(wanted, token);
        bool reached[ORACLE_BYTES_MAX + 1] = {true};
        for (size_t i = 0; i < wanted.size; i++)
                if (wanted.bytes[i] == '*')
                        for (size_t j = 1; j <= token.size; j++)
                                reached[j] = reached[j] || reached[j - 1];
                else
                        for (size_t j = token.size + 1; j-- > 0;)
                                reached[j] = j > 0 && reached[j - 1] && wanted.bytes[i] == token.bytes[j - 1];
        return reached[token.size];
}

/* `has_more` tells whether `subject` is the rest of one, or nothing is left. */
static inline bool oracle_synap_matches(struct span pattern, struct span subject, bool has_more)
{
        struct span wanted = oracle_first(pattern);
        if (oracle_is_last(pattern) && span_equal(wanted, SPAN("#")))
                return true;
        if (!has_more)
                return false;
        struct span token = oracle_first(subject);
        if (oracle_is_stars(wanted) ? token.size == 0 : !oracle_glob_matches(wanted, token))
                return false;
        if (oracle_is_last(pattern))
                return oracle_is_last(subject);
        return oracle_synap_matches(oracle_behind_first(pattern),
                                    oracle_is_last(subject) ? SPAN_NONE : oracle_behind_first(subject),
                                    !oracle_is_last(subject));
}

static inline bool oracle_hash_is_last(struct span pattern)
{
        if (oracle_is_last(pattern))
                return true;
        return !span_equal(oracle_first(pattern), SPAN("#")) && oracle_hash_is_last(oracle_behind_first(pattern));
}

static inline bool oracle_fits_as(struct span pattern, enum oracle_dialect dialect)
{
        return dialect < ORACLE_PREFIX ? oracle_fits(pattern) : pattern.size <= ORACLE_BYTES_MAX;
}

static inline bool oracle_is_legal_as(struct span pattern, enum oracle_dialect dialect)
{
        if (dialect == ORACLE_NATS)
                return oracle_is_legal(pattern);
        return dialect != ORACLE_SYNAP || (pattern.size > 0 && oracle_hash_is_last(pattern));
}

static inline bool oracle_matches_as(struct span pattern, enum oracle_dialect dialect, struct span subject)
{
        if (dialect == ORACLE_NATS)
                return oracle_matches(pattern, subject);
        if (dialect == ORACLE_SYNAP)
                return oracle_fits(subject) && oracle_synap_matches(pattern, subject, true);
        if (subject.size > ORACLE_BYTES_MAX)
                return false;
        return dialect == ORACLE_EXACT ? span_equal(pattern, subject) : span_starts_with(subject, pattern);
}

/* What a legal pattern that fits means, as bytes: two patterns are one if and only if these are equal. Each token with
 * what it is in front. */
#define ORACLE_MEANING_MAX (3 * ORACLE_BYTES_MAX + 8)

static inline struct span oracle_meaning(struct span pattern, enum oracle_dialect dialect,
                                         uint8_t room[ORACLE_MEANING_MAX])
{
        uint8_t *to = room;
        if (dialect == ORACLE_PREFIX) {
                *to++ = 'P';
                return span_of(room, (size_t)(span_copy(to, pattern) - room));
        }
        for (struct span rest = pattern;; rest = oracle_behind_first(rest)) {
                struct span token = oracle_first(rest);
                bool is_star = dialect == ORACLE_NATS ? span_equal(token, SPAN("*"))
                                                      : dialect == ORACLE_SYNAP && oracle_is_stars(token);
                bool is_glob = dialect == ORACLE_SYNAP && !is_star && oracle_has_star(token);
                if (is_star) {
                        *to++ = 's';
                } else if (dialect == ORACLE_NATS && span_equal(token, SPAN(">"))) {
                        *to++ = 't';
                } else if (dialect == ORACLE_SYNAP && span_equal(token, SPAN("#"))) {
                        *to++ = 'a';
                } else {
                        *to++ = is_glob ? 'g' : 'l';
                        to = span_copy(to, token);
                }
                *to++ = '.';
                if (oracle_is_last(rest))
                        return span_of(room, (size_t)(to - room));
        }
}

#endif
