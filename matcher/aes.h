/* aes: the hash of a token by rounds of AES, for x86-64 with AES-NI and SSE4.1. Included by the forms that use it.
 *
 *      token, '.', zeros ^ first[position] ─▶ four rounds, the last with last[position] ─▶ hash
 *
 * The dot that ends a token is part of the block, so that no token looks like another with zeros behind it; a round is
 * a permutation, so that two tokens of one position never share a hash as long as they fit into a block. Four rounds
 * are the fewest that make every byte depend on every other in every way that counts: whoever picks tokens and does not
 * know the secret cannot make a few of them cancel out. Longer tokens are chained, with their length in front, four
 * rounds between any two blocks. */
#ifndef SPATE_MATCHER_AES_H
#define SPATE_MATCHER_AES_H

#include "matcher/subject.h"

#ifdef __x86_64__
#include <immintrin.h>

#define AES_TARGET __attribute__((target("sse4.2,aes")))
#define AES_BLOCK_BYTES ((size_t)16)

static inline AES_TARGET __m128i aes_load(const struct subject_key *key)
{
        return _mm_loadu_si128((const __m128i *)(const void *)key);
}

static inline AES_TARGET struct subject_key aes_key(__m128i block)
{
        struct subject_key key;
        _mm_storeu_si128((__m128i *)(void *)&key, block);
        return key;
}

static inline AES_TARGET __m128i aes_rounds(const struct subject_secrets *secrets, __m128i block, __m128i last)
{
        block = _mm_aesenc_si128(block, aes_load(&secrets->between[0]));
        block = _mm_aesenc_si128(block, aes_load(&secrets->between[1]));
        block = _mm_aesenc_si128(block, aes_load(&secrets->between[2]));
        return _mm_aesenc_si128(block, last);
}

/* A token that, with its dot, fits into a block which has been loaded. */
static inline AES_TARGET __m128i aes_short(const struct subject_secrets *secrets, size_t position, __m128i block)
{
        return aes_rounds(secrets, _mm_xor_si128(block, aes_load(&secrets->first[position])),
                          aes_load(&secrets->last[position]));
}

static inline AES_TARGET __m128i aes_load_bytes(const uint8_t *bytes)
{
        return _mm_loadu_si128((const __m128i *)(const void *)bytes);
}

/* A token of a block or more. */
static __attribute__((noinline)) AES_TARGET __m128i aes_long(const struct subject_secrets *secrets, size_t position,
                                                             const uint8_t *bytes, size_t size)
{
        __m128i between = aes_load(&secrets->between[3]);
        __m128i sum = _mm_xor_si128(aes_load(&secrets->first[position]), aes_load(&secrets->longer));
        sum = aes_rounds(secrets, _mm_xor_si128(sum, _mm_cvtsi64_si128((long long)size)), between);
        for (; size > AES_BLOCK_BYTES; bytes += AES_BLOCK_BYTES, size -= AES_BLOCK_BYTES)
                sum = aes_rounds(secrets, _mm_xor_si128(sum, aes_load_bytes(bytes)), between);
        /* The last block overlaps what was read: its length is known, so nothing is said twice. */
        sum = _mm_xor_si128(sum, aes_load_bytes(bytes + size - AES_BLOCK_BYTES));
        return aes_rounds(secrets, sum, aes_load(&secrets->last[position]));
}

/* The token at `start` of the text, without reading a byte that is not the text's. */
static inline AES_TARGET __m128i aes_block(struct span text, size_t start, size_t size)
{
        /* 0, 1, 2 … so that a window of it moves bytes down. */
        static const uint8_t moves[32] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                          16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31};
        /* From byte 16 - size on: what is kept of a block, and the dot behind it. */
        static const uint8_t keeps[32] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                          0xff, 0xff, 0xff, 0xff, 0xff, 0,    0,    0,    0,    0,    0,
                                          0,    0,    0,    0,    0,    0,    0,    0,    0,    0};
        static const uint8_t dots[32] = {[16] = '.'};
        __m128i block;
        if (likely(text.size >= AES_BLOCK_BYTES)) {
                size_t at = start + AES_BLOCK_BYTES <= text.size ? start : text.size - AES_BLOCK_BYTES;
                block = _mm_shuffle_epi8(aes_load_bytes(text.bytes + at), aes_load_bytes(moves + (start - at)));
        } else {
                uint8_t copy[AES_BLOCK_BYTES] = {0};
                for (size_t i = 0; i < size; i++)
                        copy[i] = text.bytes[start + i];
                block = aes_load_bytes(copy);
        }
        block = _mm_and_si128(block, aes_load_bytes(keeps + AES_BLOCK_BYTES - size));
        return _mm_or_si128(block, aes_load_bytes(dots + AES_BLOCK_BYTES - size));
}

static inline AES_TARGET __m128i aes_token(const struct subject_secrets *secrets, size_t position, struct span text,
                                           size_t start, size_t size)
{
        if (unlikely(size >= AES_BLOCK_BYTES))
                return aes_long(secrets, position, text.bytes + start, size);
        return aes_short(secrets, position, aes_block(text, start, size));
}

/* As struct subject_beginnings, its sum in a register. */
struct aes_beginnings {
        const struct subject_secrets *secrets;
        struct span text;
        size_t taken;
        __m128i sum;
};

static inline AES_TARGET struct aes_beginnings aes_begin(const struct subject_secrets *secrets, struct span text)
{
        return (struct aes_beginnings){.secrets = secrets, .text = text, .taken = 0, .sum = aes_load(&secrets->longer)};
}

static inline AES_TARGET struct subject_key aes_beginning(struct aes_beginnings *beginnings, size_t size)
{
        const struct subject_secrets *secrets = beginnings->secrets;
        for (; beginnings->taken + AES_BLOCK_BYTES <= size; beginnings->taken += AES_BLOCK_BYTES) {
                __m128i block =
                        _mm_xor_si128(beginnings->sum, aes_load_bytes(beginnings->text.bytes + beginnings->taken));
                beginnings->sum = aes_rounds(secrets, block, aes_load(&secrets->between[3]));
        }
        __m128i rest = aes_block(beginnings->text, beginnings->taken, size - beginnings->taken);
        return aes_key(aes_rounds(secrets, _mm_xor_si128(beginnings->sum, rest), aes_load(&secrets->last[0])));
}

/* subject_read() by AES, sixteen bytes at a time. */
static inline AES_TARGET bool aes_read(struct subject *subject, const struct subject_secrets *secrets, struct span text)
{
        if (unlikely(text.size == 0 || text.size > MATCH_SUBJECT_BYTES_MAX))
                return false;
        __m128i all = _mm_setzero_si128();
        size_t count = 0, start = 0;
        const __m128i dots = _mm_set1_epi8('.');
        for (size_t at = 0; at < text.size; at += AES_BLOCK_BYTES) {
                uint32_t found;
                if (likely(at + AES_BLOCK_BYTES <= text.size)) {
                        found = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(aes_load_bytes(text.bytes + at), dots));
                } else if (text.size >= AES_BLOCK_BYTES) {
                        __m128i block = aes_load_bytes(text.bytes + text.size - AES_BLOCK_BYTES);
                        found = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(block, dots));
                        found >>= at + AES_BLOCK_BYTES - text.size;
                } else {
                        found = 0;
                        for (size_t i = at; i < text.size; i++)
                                found |= (uint32_t)(text.bytes[i] == '.') << (i - at);
                }
                for (; found != 0; found &= found - 1) {
                        size_t dot = at + (size_t)__builtin_ctz(found);
                        /* One token must remain for what is behind this dot. */
                        if (unlikely(dot == start || count == MATCH_TOKENS_MAX - 1))
                                return false;
                        __m128i key = aes_token(secrets, count, text, start, dot - start);
                        subject->tokens[count++] = aes_key(key);
                        all = _mm_xor_si128(all, key);
                        start = dot + 1;
                }
        }
        if (unlikely(start == text.size))
                return false;
        __m128i key = aes_token(secrets, count, text, start, text.size - start);
        subject->tokens[count++] = aes_key(key);
        subject->all = aes_key(_mm_xor_si128(all, key));
        subject->tokens_count = (uint32_t)count;
        return true;
}

#endif
#endif
