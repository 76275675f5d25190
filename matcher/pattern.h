/* pattern: what a subscription's text asks for, once its dialect has been understood.
 *
 * Only here is it decided what is a wildcard. Everything behind speaks of shapes: how many tokens stand there, which of
 * them are stars, and whether a tail follows. A wildcard is never hashed as text, so a token that merely contains the
 * character stays literal for free.
 *
 *      NATS text     tokens  stars  tail   matches
 *      a.b           2       -      no     a.b alone
 *      *             1       0      no     any subject of one token
 *      a.*.c         3       1      no     a.x.c; not a.c, not a.x.y.c
 *      >             0       -      yes    every subject
 *      a.>           1       -      yes    a.x, a.x.y; not a
 *      *.>           1       0      yes    two tokens or more
 *      a*  a.b>c  **  each token literal   nothing but itself
 *      #  a.#        literal               '#' is an ordinary character here
 *      A                                   not a: bytes are compared as they are
 *      (empty)  .  a.  .a  a..b            -EINVAL: an empty token
 *      >.a  a.>.b  >.>                     -EINVAL: '>' stands last or not at all
 *      1025 bytes, 33 tokens (a tail is one) -E2BIG; beside another fault: -E2BIG
 *
 *      Synap text
 *      a.*  *        as above: '*' alone is a star, and so is a token of nothing but stars, '**'
 *      #             0       -      any    every subject
 *      a.#           1       -      any    a, a.x, a.x.y; not ab
 *      *.#           1       0      any    every subject
 *      a..b          literal               nothing but itself: tokens may be empty
 *      a.>  foo#bar  literal               '>' is an ordinary character here, and '#' inside a token
 *      user:*  a*b   glob                  '*' inside a token: any bytes of that token, or none
 *      a.#.c  #.#                          -EINVAL: '#' stands last or not at all
 *      (empty)                             -EINVAL: nobody can publish to it
 *
 *      prefix        any bytes, none is special: matches every subject that begins with them, the empty one all
 *      exact         any bytes, none is special: matches the subject of these bytes
 *
 * A glob is filed under its literal beginning, as a prefix is, and then checked by its text; GLOBS_ALIKE_MAX may begin
 * alike. A star matches no empty token, whatever the dialect, and a '>' no subject that has one.
 *
 * A subject has no wildcards: the subject a.* is two tokens, the second one byte long. The patterns a.* and a.> match
 * it as they match a.x, and no literal can, because no pattern has a literal '*'. */
#ifndef SPATE_MATCHER_PATTERN_H
#define SPATE_MATCHER_PATTERN_H

#include "matcher/subject.h"

enum shape_tail {
        TAIL_NONE,
        TAIL_SOME, /* one or more tokens */
        TAIL_ANY,  /* zero or more */
        TAILS_OF_TOKENS,
        /* Not of tokens: `stars` is how many bytes there are, from the beginning on, that a key is made of. */
        TAIL_PREFIX = TAILS_OF_TOKENS, /* any bytes */
        TAIL_GLOB,                     /* bytes that the pattern's text matches */
        TAIL_END,                      /* none: the whole of a subject that is too deep for tokens */
        TAILS
};

#define GLOB_BYTES_MAX 32
#define GLOBS_ALIKE_MAX 64

struct shape {
        uint32_t stars;       /* bit i: token i is a star */
        uint8_t tokens_count; /* the tail is not counted */
        uint8_t tail;         /* an enum shape_tail: what follows */
};

/* Shapes as one number: equal when they are equal; ascending by this is how lists of them are kept. */
static inline uint64_t shape_code(struct shape shape)
{
        return (uint64_t)shape.tail << 40 | (uint64_t)shape.tokens_count << 32 | shape.stars;
}

static inline bool shape_equal(struct shape a, struct shape b)
{
        return shape_code(a) == shape_code(b);
}

/* 0, -EINVAL or -E2BIG as in the table above. */
int pattern_parse(struct shape *shape, struct span text, enum match_dialect dialect);

/* Writes the same pattern with each token of stars as one star, and returns it; `text` itself if there is none. */
struct span pattern_canonical(struct span text, enum match_dialect dialect, uint8_t room[MATCH_SUBJECT_BYTES_MAX]);

/* The key under which a legal pattern is filed. */
struct subject_key pattern_key(const struct subject_secrets *secrets, struct span text, struct shape shape);

static inline bool shape_is_of_tokens(struct shape shape)
{
        return shape.tail < TAILS_OF_TOKENS;
}

/* May there be subjects whose key the filter is asked for? All but the shape without wildcards. */
static inline bool shape_is_wild(struct shape shape)
{
        return shape.stars != 0 || shape.tail;
}

/* Which tokens of a subject a shape asks for, as bits. */
static inline uint32_t shape_literals(struct shape shape)
{
        uint32_t all = (uint32_t)(((uint64_t)1 << shape.tokens_count) - 1);
        return all & ~shape.stars;
}

/* The key under which a pattern of `shape` that matches `subject` would be filed. The subject is deep enough. */
static inline struct subject_key pattern_key_of_subject(const struct subject *subject, struct shape shape,
                                                        struct subject_key salt)
{
        struct subject_key key = salt;
        for (uint32_t literals = shape_literals(shape); literals != 0; literals &= literals - 1)
                key = subject_key_xor(key, subject->tokens[__builtin_ctz(literals)]);
        return key;
}

/* The hashes of a legal pattern's literal tokens, each at its position; what is at the others is left alone. */
void pattern_tokens(const struct subject_secrets *secrets, struct span text, struct shape shape,
                    struct subject_key tokens[MATCH_TOKENS_MAX]);

/* Does the legal pattern `text` match `subject`? By text, token by token: for one pattern, off the event path. */
bool pattern_matches(struct span text, struct shape shape, struct span subject);
/* Does the legal pattern `wide` match every subject that the legal pattern `narrow` matches? */
bool pattern_covers(struct span wide, struct shape wide_shape, struct span narrow, struct shape narrow_shape);

#endif
