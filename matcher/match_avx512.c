/* Eight shapes at once, four tokens at once: AVX-512 with what Ice Lake and Zen 4 added to it. */
#include "matcher/form.h"

#if FORM_X86
#include <cpuid.h>

#include "matcher/aes.h"
#include "matcher/program.h"

#define FORM_TARGET                                                                                                    \
        __attribute__((                                                                                                \
                target("avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,avx512vbmi2,vaes,aes,bmi,bmi2,popcnt,lzcnt")))
/* Of each three tokens, the XOR of every subset: lane i is that of the bits of i. */
struct prepared {
        __m512i lo[SUBSETS_MAX], hi[SUBSETS_MAX];
};

#include "matcher/round.h"

static inline FORM_TARGET __m512i load_tokens(const struct subject_key *keys)
{
        return _mm512_loadu_si512((const void *)keys);
}

static inline FORM_TARGET __m512i broadcast_key(const struct subject_key *key)
{
        return _mm512_broadcast_i64x2(aes_load(key));
}

#define BYTES_16(value)                                                                                                \
        value, value, value, value, value, value, value, value, value, value, value, value, value, value, value, value
#define FOUR_TOKENS(first)                                                                                             \
        {                                                                                                              \
                BYTES_16(first), BYTES_16((first) + 1), BYTES_16((first) + 2), BYTES_16((first) + 3)                   \
        }
#define COUNT_16(first)                                                                                                \
        first, (first) + 1, (first) + 2, (first) + 3, (first) + 4, (first) + 5, (first) + 6, (first) + 7, (first) + 8, \
                (first) + 9, (first) + 10, (first) + 11, (first) + 12, (first) + 13, (first) + 14, (first) + 15

static const _Alignas(CACHE_LINE) uint8_t ascending[64] = {COUNT_16(0), COUNT_16(16), COUNT_16(32), COUNT_16(48)};
static const _Alignas(CACHE_LINE) uint8_t ascending_16[64] = {COUNT_16(0), COUNT_16(0), COUNT_16(0), COUNT_16(0)};
/* Which token each byte of a block of four is for, and which is before that. */
static const _Alignas(CACHE_LINE) uint8_t token_of[8][64] = {FOUR_TOKENS(0),  FOUR_TOKENS(4),  FOUR_TOKENS(8),
                                                             FOUR_TOKENS(12), FOUR_TOKENS(16), FOUR_TOKENS(20),
                                                             FOUR_TOKENS(24), FOUR_TOKENS(28)};
static const _Alignas(CACHE_LINE) uint8_t token_before[8][64] = {{BYTES_16(63), BYTES_16(0), BYTES_16(1), BYTES_16(2)},
                                                                 FOUR_TOKENS(3),
                                                                 FOUR_TOKENS(7),
                                                                 FOUR_TOKENS(11),
                                                                 FOUR_TOKENS(15),
                                                                 FOUR_TOKENS(19),
                                                                 FOUR_TOKENS(23),
                                                                 FOUR_TOKENS(27)};
static_assert(MATCH_TOKENS_MAX == 32, "eight times four tokens");

static inline FORM_TARGET __m512i load_vector(const void *from)
{
        return _mm512_load_si512(from);
}

/* Are there sixteen set bits in a row? */
static inline bool has_run_of_16(uint64_t bits)
{
        bits &= bits >> 1;
        bits &= bits >> 2;
        bits &= bits >> 4;
        bits &= bits >> 8;
        return bits != 0;
}

/* A subject of less than a vector, whose tokens each fit into a block. Each is moved to a block of its own, with the
 * dot behind it, four at a time; nothing depends on how long they are but what is moved where. What is left of it is in
 * `tokens`, zeros behind the last one to a multiple of four. */
static inline FORM_TARGET bool form_read(struct subject *subject, const struct subject_secrets *secrets,
                                         struct span text)
{
        subject->all_known = true;
        if (unlikely(text.size == 0 || text.size > 63))
                return aes_read(subject, secrets, text);
        uint64_t live = _bzhi_u64(UINT64_MAX, (uint32_t)text.size);
        const __m512i dot = _mm512_set1_epi8('.');
        /* Bytes that are masked off are not read, so that the next page may be missing. */
        __m512i bytes = _mm512_mask_loadu_epi8(dot, live, text.bytes);
        uint64_t ends = _mm512_cmpeq_epi8_mask(bytes, dot) & (live << 1 | 1);
        size_t count = (size_t)__builtin_popcountll(ends);
        /* Dots side by side, or one at the beginning, or at the end, behind which another was put. */
        if (unlikely((ends & (ends << 1 | 1)) != 0 || count > MATCH_TOKENS_MAX))
                return false;
        if (unlikely(has_run_of_16(live & ~ends)))
                return aes_read(subject, secrets, text);
        /* Byte i is where the dot of token i is; then one more, where the next begins: at 0 behind the last of all, so
         * that token 0 finds its own in byte 63. */
        __m512i dots = _mm512_maskz_compress_epi8(ends, load_vector(ascending));
        __m512i begins = _mm512_maskz_add_epi8(~((uint64_t)1 << 63), dots, _mm512_set1_epi8(1));
        const __m512i between[] = {broadcast_key(&secrets->between[0]), broadcast_key(&secrets->between[1]),
                                   broadcast_key(&secrets->between[2])};
        for (size_t group = 0; 4 * group < count; group++) {
                __m512i from = _mm512_add_epi8(_mm512_permutexvar_epi8(load_vector(token_before[group]), begins),
                                               load_vector(ascending_16));
                __m512i last = _mm512_permutexvar_epi8(load_vector(token_of[group]), dots);
                __mmask64 inside = _mm512_cmple_epu8_mask(from, last);
                __m512i block = _mm512_maskz_permutexvar_epi8(inside, from, bytes);
                block = _mm512_xor_si512(block, load_tokens(&secrets->first[4 * group]));
                block = _mm512_aesenc_epi128(block, between[0]);
                block = _mm512_aesenc_epi128(block, between[1]);
                block = _mm512_aesenc_epi128(block, between[2]);
                block = _mm512_aesenc_epi128(block, load_tokens(&secrets->last[4 * group]));
                _mm512_store_si512(&subject->tokens[4 * group], block);
        }
        subject->tokens_count = (uint32_t)count;
        subject->all_known = false;
        return true;
}

static inline FORM_TARGET struct subject_key form_whole(const struct subject *subject)
{
        if (unlikely(subject->all_known))
                return subject->all;
        __m512i sum = _mm512_setzero_si512();
        for (size_t first = 0; first < subject->tokens_count; first += 4) {
                __mmask8 lanes = (__mmask8)_bzhi_u32(0xff, 2 * (subject->tokens_count - (uint32_t)first));
                sum = _mm512_mask_xor_epi64(sum, lanes, sum, load_vector(&subject->tokens[first]));
        }
        __m256i half = _mm256_xor_si256(_mm512_castsi512_si256(sum), _mm512_extracti64x4_epi64(sum, 1));
        return aes_key(_mm_xor_si128(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1)));
}

static inline FORM_TARGET void form_begin(struct prepared *prepared, const struct program *program,
                                          const struct subject *subject)
{
        const __mmask8 masks[SUBSET_TOKENS] = {0xaa, 0xcc, 0xf0};
        const struct subject_key *tokens = subject->tokens;
        for (size_t i = 0; i < program->subsets_count; i++, tokens += SUBSET_TOKENS) {
                /* Tokens that are not there may be anything: no shape has them. Memory for them is. */
                __m512i lo = _mm512_maskz_set1_epi64(masks[0], (long long)tokens[0].lo);
                __m512i hi = _mm512_maskz_set1_epi64(masks[0], (long long)tokens[0].hi);
                lo = _mm512_mask_xor_epi64(lo, masks[1], lo, _mm512_set1_epi64((long long)tokens[1].lo));
                hi = _mm512_mask_xor_epi64(hi, masks[1], hi, _mm512_set1_epi64((long long)tokens[1].hi));
                prepared->lo[i] = _mm512_mask_xor_epi64(lo, masks[2], lo, _mm512_set1_epi64((long long)tokens[2].lo));
                prepared->hi[i] = _mm512_mask_xor_epi64(hi, masks[2], hi, _mm512_set1_epi64((long long)tokens[2].hi));
        }
}

static inline FORM_TARGET void form_block(struct round *round, const struct program *program,
                                          const struct program_block *block, const struct prepared *prepared,
                                          size_t subject_index, const struct lines *lines)
{
        __m512i lo = load_vector(block->salt_lo), hi = load_vector(block->salt_hi);
        for (size_t i = 0; i < program->subsets_count; i++) {
                __m512i subset = load_vector(block->subsets[i]);
                lo = _mm512_xor_si512(lo, _mm512_permutexvar_epi64(subset, prepared->lo[i]));
                hi = _mm512_xor_si512(hi, _mm512_permutexvar_epi64(subset, prepared->hi[i]));
        }
        __m512i filtered = TABLE_READS_TEXT ? _mm512_and_si512(lo, _mm512_set1_epi64(0xff)) : lo;
        const __m512i one = _mm512_set1_epi64(1);
        __m512i word_index =
                _mm512_and_si512(_mm512_srli_epi64(filtered, 32), _mm512_set1_epi64((long long)lines->filter_mask));
        __m512i word = _mm512_i64gather_epi64(word_index, (const void *)lines->filter, 8);
        /* Rotation by the low six bits. */
        __m512i bits = _mm512_or_si512(_mm512_rolv_epi64(one, filtered),
                                       _mm512_rolv_epi64(one, _mm512_srli_epi64(filtered, 6)));
        __m512i missing = _mm512_andnot_si512(word, bits);
        __mmask8 passed = _mm512_testn_epi64_mask(missing, missing);
        passed = (__mmask8)((passed | block->unfiltered) & block->lanes);
        if (TABLE_READS_TEXT) {
                uint64_t los[BLOCK_SHAPES], his[BLOCK_SHAPES];
                _mm512_storeu_si512(los, lo);
                _mm512_storeu_si512(his, hi);
                for (uint32_t lanes = passed; lanes != 0; lanes &= lanes - 1) {
                        uint32_t lane = (uint32_t)__builtin_ctz(lanes);
                        round->lo[round->count] = los[lane];
                        round->hi[round->count] = his[lane];
                        round_take(round, subject_index, block->codes[lane]);
                }
                return;
        }
        size_t count = round->count;
        size_t end = count + (size_t)__builtin_popcount(passed);
        _mm512_storeu_si512(&round->lo[count], _mm512_maskz_compress_epi64(passed, lo));
        _mm512_storeu_si512(&round->hi[count], _mm512_maskz_compress_epi64(passed, hi));
        uint64_t subjects = subject_index * 0x0101010101010101u;
        memcpy(&round->subject[count], &subjects, sizeof subjects);
        round->count = end;
}

static inline FORM_TARGET uint32_t form_line_hits(const struct line *line, uint32_t mark)
{
        /* What is torn between two words is looked at again, one word alone (line_word). */
        __m512i words = _mm512_load_si512((const void *)line);
        __m512i marks = _mm512_set1_epi64((long long)mark);
        __m512i low = _mm512_set1_epi64(UINT32_MAX);
        return (uint32_t)_mm512_cmpeq_epi64_mask(_mm512_and_si512(words, low), marks) & 0xfe;
}

static inline FORM_TARGET size_t form_beginnings(const struct subject_secrets *secrets, struct span text,
                                                 const struct byte_program *program, size_t first, size_t end,
                                                 struct subject_key *keys)
{
        struct aes_beginnings beginnings = aes_begin(secrets, text);
        size_t count = 0;
        for (size_t i = first; i < end && program->probes[i].size <= text.size; i++)
                keys[count++] =
                        subject_key_xor(aes_beginning(&beginnings, program->probes[i].size), program->probes[i].salt);
        return count;
}

/* Not every compiler's __builtin_cpu_supports() knows of it. */
static bool has_vaes(void)
{
        unsigned a, b, c = 0, d;
        return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (c & bit_VAES) != 0;
}

static bool is_supported(void)
{
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vbmi2") && has_vaes() &&
               __builtin_cpu_supports("aes") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
}

const struct match_form form_avx512 = {
        .name = "avx512", .is_aes = true, .shapes_hot = 128, .is_supported = is_supported, .match = round_match};
#endif
