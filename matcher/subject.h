/* subject: a text cut at its dots, and each token hashed once, wherever it may be looked for.
 *
 * The hash of a token is keyed by a secret and salted with the token's position, so that XOR may join them: the key of
 * `a.b` is not that of `b.a`, nor is that of `x.x` zero. A pattern's key is the XOR of its literal tokens and a salt of
 * its shape; so whoever has the hashes of a subject's tokens has the key of any shape by a few XORs.
 *
 *      subject    orders . 7 . paid
 *      tokens     h0       h1  h2
 *      key of orders.*.paid = h0 ^ h2 ^ salt(shape)
 *
 * 128 bits are the whole identity: nobody compares text afterwards, so the secret must stay one. Which hash it is
 * depends on the CPU (matcher/form.h): rounds of AES where it has them, else multiplications. */
#ifndef SPATE_MATCHER_SUBJECT_H
#define SPATE_MATCHER_SUBJECT_H

#include "matcher/match.h"

struct subject_key {
        uint64_t lo;
        uint64_t hi;
};

static inline struct subject_key subject_key_xor(struct subject_key a, struct subject_key b)
{
        return (struct subject_key){.lo = a.lo ^ b.lo, .hi = a.hi ^ b.hi};
}

static inline bool subject_key_equal(struct subject_key a, struct subject_key b)
{
        return ((a.lo ^ b.lo) | (a.hi ^ b.hi)) == 0;
}

#define SUBJECT_AES_ROUNDS 4

/* What the secret is expanded to: about 2 KiB, read by every match, never written after init. */
struct subject_secrets {
        /* For AES, by position: what a token is joined with before the first round, and in the last. */
        struct subject_key first[MATCH_TOKENS_MAX];
        struct subject_key last[MATCH_TOKENS_MAX];
        struct subject_key between[SUBJECT_AES_ROUNDS];
        struct subject_key longer; /* for tokens that do not fit into one block */
        /* For multiplications. */
        struct {
                uint64_t factors[4];
        } positions[MATCH_TOKENS_MAX];
        uint64_t lengths[2]; /* odd: a token's length times this is part of its hash */
        uint64_t chain[4];   /* for tokens longer than two words */
        uint64_t shape[4];
        uint64_t is_aes; /* which of them is in use */
};

/* With the hash of the best form that this CPU has. */
void subject_secrets_init(struct subject_secrets *secrets, const uint8_t secret[16]);
/* With rounds of AES, which the CPU must have, or without. */
void subject_secrets_init_as(struct subject_secrets *secrets, const uint8_t secret[16], bool is_aes);

/* The hash of `token` at `position` (0 .. MATCH_TOKENS_MAX - 1). */
struct subject_key subject_token_key(const struct subject_secrets *secrets, size_t position, struct span token);

/* A number that says one thing about a shape, as unforgeable as the hash of a token. */
struct subject_key subject_salt(const struct subject_secrets *secrets, uint64_t code);

/* The hash of any bytes, as they are. */
struct subject_key subject_bytes_key(const struct subject_secrets *secrets, struct span bytes);

/* The hashes of a text's beginnings, from shorter ones to longer, by multiplications; for AES see matcher/aes.h. */
struct subject_beginnings {
        const struct subject_secrets *secrets;
        struct span text;
        size_t taken; /* whole blocks of it */
        struct subject_key sum;
};

void subject_begin(struct subject_beginnings *beginnings, const struct subject_secrets *secrets, struct span text);
/* subject_bytes_key() of the first `size` bytes; no less than at the call before. */
struct subject_key subject_beginning(struct subject_beginnings *beginnings, size_t size);

struct subject {
        uint32_t tokens_count;
        bool all_known;         /* false: nobody has asked for it so far (matcher/match_avx512.c) */
        struct subject_key all; /* the XOR of all tokens */
        /* Filled to tokens_count; then there may be anything. */
        _Alignas(CACHE_LINE) struct subject_key tokens[MATCH_TOKENS_MAX + 1];
};

/* Cuts and hashes `text`. false: it has an empty token, or is longer or deeper than the limits, so nothing matches
 * it; `subject` is then undefined. */
bool subject_read(struct subject *subject, const struct subject_secrets *secrets, struct span text);

/* As subject_read(), for a text that may have empty tokens: bit i of *empties says that token i is. */
bool subject_read_any(struct subject *subject, const struct subject_secrets *secrets, struct span text,
                      uint32_t *empties);

/* Takes the first token off `rest`, which becomes what is behind the dot. false: there is no more. `*more` is true
 * before the first call and belongs to the walk: it tells an empty last token from the end. */
static inline bool subject_next_token(struct span *rest, bool *more, struct span *token)
{
        if (!*more)
                return false;
        const uint8_t *dot = rest->size == 0 ? NULL : memchr(rest->bytes, '.', rest->size);
        *more = dot != NULL;
        *token = dot != NULL ? span_of(rest->bytes, (size_t)(dot - rest->bytes)) : *rest;
        *rest = dot != NULL ? span_skip(*rest, token->size + 1) : SPAN_NONE;
        return true;
}

#endif
