/* whole: the hash of a subject as one text, for caches of what it matches. It needs no tokens, so it is cheaper than
 * reading the subject as the matcher does.
 *
 *      blocks of sixteen bytes, each joined with the secret of its place ─▶ rounds of AES ─┐
 *      the last sixteen bytes, which may overlap what was read            ─▶ rounds        ├─ XOR ─▶ hash
 *      the size                                                           ─▶ rounds ───────┘
 *
 * No block waits for another. The size stands by itself, so that an overlap says nothing twice. As with tokens
 * (matcher/subject.h), 128 bits under a secret are the whole identity. Without AES it is subject_bytes_key() and the
 * size. */
#ifndef SPATE_MATCHER_WHOLE_H
#define SPATE_MATCHER_WHOLE_H

#include "matcher/form.h"
#if FORM_X86
#include "matcher/aes.h"
#endif

/* Longer subjects have none. */
#define WHOLE_BYTES_MAX 512

#if FORM_X86
static_assert(WHOLE_BYTES_MAX <= MATCH_TOKENS_MAX * AES_BLOCK_BYTES, "each block has a secret of its own");

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
        } else if (text.size > 0) {
                low = (uint64_t)text.bytes[0] << 16 | (uint64_t)text.bytes[text.size / 2] << 8 |
                      text.bytes[text.size - 1];
        }
        return _mm_set_epi64x((long long)high, (long long)low);
}

static inline AES_TARGET struct subject_key whole_by_aes(const struct subject_secrets *secrets, struct span text)
{
        __m128i size = _mm_xor_si128(aes_load(&secrets->longer), _mm_cvtsi64_si128((long long)text.size));
        __m128i sum = aes_rounds(secrets, size, aes_load(&secrets->between[3]));
        size_t block = 0;
        for (; (block + 1) * AES_BLOCK_BYTES < text.size; block++)
                sum = _mm_xor_si128(sum,
                                    aes_short(secrets, block, aes_load_bytes(text.bytes + block * AES_BLOCK_BYTES)));
        __m128i last = text.size >= AES_BLOCK_BYTES ? aes_load_bytes(text.bytes + text.size - AES_BLOCK_BYTES)
                                                    : whole_short(text);
        return aes_key(_mm_xor_si128(sum, aes_short(secrets, block, last)));
}
#endif

/* No longer than WHOLE_BYTES_MAX. */
struct subject_key whole_key(const struct subject_secrets *secrets, struct span text);

#endif
