/* whole: the hash of a subject as one text, for caches of what it matches. It needs no tokens, so it is cheaper than
 * reading the subject as the matcher does.
 *
 *      blocks of sixteen bytes, each joined with the secret of its place       ─▶ rounds of AES ─┐
 *      the last sixteen bytes or less, with the secret of what the size leaves ─▶ rounds of AES ─┴─ XOR ─▶ hash
 *                                        when divided by sixteen
 *
 * No block waits for another. The last may overlap the one in front of it; as its secret goes with the size, no two
 * texts are made of the same blocks under the same secrets. As with tokens (matcher/subject.h), 128 bits under a secret
 * are the whole identity. Without AES it is subject_bytes_key() and the size. */
#ifndef SPATE_MATCHER_WHOLE_H
#define SPATE_MATCHER_WHOLE_H

#include "matcher/form.h"
#if FORM_X86
#include "matcher/aes.h"
#endif

/* Longer subjects have none, nor has the empty one. */
#define WHOLE_BYTES_MAX 256

#if FORM_X86
static_assert(WHOLE_BYTES_MAX / AES_BLOCK_BYTES + AES_BLOCK_BYTES <= MATCH_TOKENS_MAX, "there is a secret for each");

/* Less than a block, without reading a byte that is not the text's. */
static inline AES_TARGET __m128i whole_short(struct span text)
{
        uint64_t low = 0, high = 0;
        if (likely(text.size >= sizeof low)) {
                memcpy(&low, text.bytes, sizeof low);
                memcpy(&high, text.bytes + text.size - sizeof high, sizeof high);
        } else if (text.size >= sizeof(uint32_t)) {
                memcpy(&low, text.bytes, sizeof(uint32_t));
                memcpy(&high, text.bytes + text.size - sizeof(uint32_t), sizeof(uint32_t));
        } else {
                low = (uint64_t)text.bytes[0] << 16 | (uint64_t)text.bytes[text.size / 2] << 8 |
                      text.bytes[text.size - 1];
        }
        return _mm_set_epi64x((long long)high, (long long)low);
}

static inline AES_TARGET struct subject_key whole_by_aes(const struct subject_secrets *secrets, struct span text)
{
        const uint8_t *bytes = text.bytes, *end = text.bytes + text.size;
        size_t place = WHOLE_BYTES_MAX / AES_BLOCK_BYTES + text.size % AES_BLOCK_BYTES;
        __m128i last = likely(text.size >= AES_BLOCK_BYTES) ? aes_load_bytes(end - AES_BLOCK_BYTES) : whole_short(text);
        __m128i sum = aes_short(secrets, place, last);
        for (size_t block = 0; bytes + AES_BLOCK_BYTES < end; block++, bytes += AES_BLOCK_BYTES)
                sum = _mm_xor_si128(sum, aes_short(secrets, block, aes_load_bytes(bytes)));
        return aes_key(sum);
}
#endif

/* 1 .. WHOLE_BYTES_MAX bytes. */
struct subject_key whole_key(const struct subject_secrets *secrets, struct span text);

#endif
