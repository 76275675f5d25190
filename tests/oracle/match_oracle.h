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

#endif
