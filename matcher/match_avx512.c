/* Eight shapes at once, four tokens at once: AVX-512 with what Ice Lake and Zen 4 added to it. */
#include "matcher/form.h"

#if FORM_X86
#include <cpuid.h>

#include "matcher/aes.h"
#include "matcher/program.h"
#include "matcher/table_lines.h"

#define FORM_TARGET                                                                                                    \
        __attribute__((                                                                                                \
                target("avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,avx512vbmi2,vaes,aes,bmi,bmi2,popcnt,lzcnt")))
/* Of each three tokens, the XOR of every subset: lane i is that of the bits of i. */
struct prepared {
        __m512i lo[SUBSETS_MAX], hi[SUBSETS_MAX];
};

/* What reading needs of all subjects. */
struct read_constants {
        __m512i dot;
        __m512i between[3];
        __mmask64 block_ends;
};

struct form_constants {
        __mmask8 has_token[SUBSET_TOKENS]; /* of the subsets */
        __m512i filter_mask;
        const void *filter;
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
#define ONES_16 BYTES_16(1)

static const _Alignas(CACHE_LINE) uint8_t ascending[64] = {COUNT_16(0), COUNT_16(16), COUNT_16(32), COUNT_16(48)};
static const _Alignas(CACHE_LINE) uint8_t ascending_16[64] = {COUNT_16(0), COUNT_16(0), COUNT_16(0), COUNT_16(0)};
static const _Alignas(CACHE_LINE) uint8_t one_but_last[64] = {ONES_16, ONES_16, ONES_16, 1, 1, 1, 1, 1, 1, 1,
                                                              1,       1,       1,       1, 1, 1, 1, 1, 0};
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

static inline FORM_TARGET struct read_constants read_constants(const struct subject_secrets *secrets)
{
        return (struct read_constants){.dot = _mm512_set1_epi8('.'),
                                       .between = {broadcast_key(&secrets->between[0]),
                                                   broadcast_key(&secrets->between[1]),
                                                   broadcast_key(&secrets->between[2])},
                                       .block_ends = 0x8000800080008000u};
}

/* The bytes of a subject; the second half is not there if one vector has all. */
struct text_bytes {
        __m512i first, second;
        bool is_long;
};

/* Four tokens from number 4 * `group` on. False: one of them takes its block as a whole, or more. */
static inline __attribute__((always_inline)) FORM_TARGET bool
read_group(struct subject *subject, const struct subject_secrets *secrets, size_t group, struct text_bytes bytes,
           __m512i dots, __m512i begins, const struct read_constants *constants)
{
        __m512i from = _mm512_add_epi8(_mm512_permutexvar_epi8(load_vector(token_before[group]), begins),
                                       load_vector(ascending_16));
        __m512i last = _mm512_permutexvar_epi8(load_vector(token_of[group]), dots);
        __mmask64 inside = _mm512_cmple_epu8_mask(from, last);
        __m512i block = bytes.is_long ? _mm512_maskz_permutex2var_epi8(inside, bytes.first, from, bytes.second)
                                      : _mm512_maskz_permutexvar_epi8(inside, from, bytes.first);
        block = _mm512_xor_si512(block, load_tokens(&secrets->first[4 * group]));
        block = _mm512_aesenc_epi128(block, constants->between[0]);
        block = _mm512_aesenc_epi128(block, constants->between[1]);
        block = _mm512_aesenc_epi128(block, constants->between[2]);
        block = _mm512_aesenc_epi128(block, load_tokens(&secrets->last[4 * group]));
        _mm512_store_si512(&subject->tokens[4 * group], block);
        return _ktestz_mask64_u8(inside, constants->block_ends);
}

/* All tokens, whose dots are at these places. False: one is too long for a block. */
static inline __attribute__((always_inline)) FORM_TARGET bool
read_groups(struct subject *subject, const struct subject_secrets *secrets, size_t count, struct text_bytes bytes,
            __m512i dots, const struct read_constants *constants)
{
        /* One more than the place of each dot, where the next token begins: at 0 behind the last of all, so that token
         * 0 finds its own in byte 63, where no dot's place can be. */
        __m512i begins = _mm512_add_epi8(dots, load_vector(one_but_last));
        bool are_short = read_group(subject, secrets, 0, bytes, dots, begins, constants);
        if (likely(count > 4))
                are_short &= read_group(subject, secrets, 1, bytes, dots, begins, constants);
        for (size_t group = 2; unlikely(4 * group < count); group++)
                are_short &= read_group(subject, secrets, group, bytes, dots, begins, constants);
        subject->tokens_count = (uint32_t)count;
        subject->all_known = false;
        return are_short;
}

/* A subject of less than two vectors, and no less than one. */
static __attribute__((noinline)) FORM_TARGET bool read_long(struct subject *subject,
                                                            const struct subject_secrets *secrets, struct span text)
{
        if (text.size > 127)
                return false;
        struct read_constants constants = read_constants(secrets);
        uint32_t size = (uint32_t)text.size;
        struct text_bytes bytes = {.is_long = true};
        bytes.first = _mm512_loadu_si512(text.bytes);
        bytes.second = _mm512_mask_loadu_epi8(constants.dot, _bzhi_u64(UINT64_MAX, size - 64), text.bytes + 64);
        uint64_t first = _cvtmask64_u64(_mm512_cmpeq_epi8_mask(bytes.first, constants.dot));
        uint64_t second = _cvtmask64_u64(_mm512_cmpeq_epi8_mask(bytes.second, constants.dot));
        second = _bzhi_u64(second, size - 64 + 1);
        size_t first_count = (size_t)__builtin_popcountll(first);
        size_t count = first_count + (size_t)__builtin_popcountll(second);
        if (((first & (first << 1 | 1)) | (second & (second << 1 | first >> 63))) != 0 || count > MATCH_TOKENS_MAX)
                return false;
        __m512i places = load_vector(ascending);
        __m512i dots = _mm512_maskz_compress_epi8(first, places);
        places = _mm512_maskz_compress_epi8(second, _mm512_add_epi8(places, _mm512_set1_epi8(64)));
        dots = _mm512_mask_expand_epi8(dots, UINT64_MAX << first_count, places);
        return read_groups(subject, secrets, count, bytes, dots, &constants);
}

/* A subject of less than a vector, whose tokens each fit into a block. Each is moved to a block of its own, with the
 * dot behind it, four at a time; nothing depends on how long they are but what is moved where. What is left of it is in
 * `tokens`, anything behind the last one to a multiple of four. */
static inline __attribute__((always_inline)) FORM_TARGET bool form_read(struct subject *subject,
                                                                        const struct subject_secrets *secrets,
                                                                        const struct read_constants *constants,
                                                                        struct span text)
{
        if (unlikely(text.size - 1 > 62))
                return false;
        uint32_t size = (uint32_t)text.size;
        struct text_bytes bytes = {.is_long = false};
        /* Bytes that are masked off are not read, so that the next page may be missing. All behind is dots. */
        bytes.first = _mm512_mask_loadu_epi8(constants->dot, _bzhi_u64(UINT64_MAX, size), text.bytes);
        __mmask64 all_dots = _mm512_cmpeq_epi8_mask(bytes.first, constants->dot);
        uint64_t ends = _bzhi_u64(_cvtmask64_u64(all_dots), size + 1);
        /* Dots side by side, or one at the beginning, or at the end, behind which another was put. */
        if (unlikely((ends & (ends << 1 | 1)) != 0))
                return false;
        size_t count = (size_t)__builtin_popcountll(ends);
        assert_slow(count <= MATCH_TOKENS_MAX);
        __m512i dots = _mm512_maskz_compress_epi8(all_dots, load_vector(ascending));
        return read_groups(subject, secrets, count, bytes, dots, constants);
}

static inline FORM_TARGET bool form_read_any(struct subject *subject, const struct subject_secrets *secrets,
                                             struct span text)
{
        if (text.size >= 64 && read_long(subject, secrets, text))
                return true;
        subject->all_known = true;
        return aes_read(subject, secrets, text);
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

/* A mask that stays in its register: told the number, a compiler would load it anew for each subject. */
static inline FORM_TARGET __mmask8 mask_kept(__mmask8 mask)
{
        __asm__("" : "+Yk"(mask));
        return mask;
}

static inline FORM_TARGET struct form_constants form_constants(const struct lines *lines)
{
        return (struct form_constants){.has_token = {mask_kept(0xaa), mask_kept(0xcc), mask_kept(0xf0)},
                                       .filter_mask = _mm512_set1_epi64((long long)lines->filter_mask),
                                       .filter = lines->filter};
}

/* In place, for which compilers would move it to and fro. */
static inline __attribute__((always_inline)) FORM_TARGET __m512i xor_where(__m512i sum, __mmask8 lanes,
                                                                           const uint64_t *word)
{
        __asm__("vpxorq %2%{1to8%}, %0, %0%{%1%}" : "+v"(sum) : "Yk"(lanes), "m"(*word));
        return sum;
}

static inline __attribute__((always_inline)) FORM_TARGET __m512i subsets_of(const uint64_t *token,
                                                                            const struct form_constants *constants)
{
        const __mmask8 *has = constants->has_token;
        __m512i subsets = _mm512_maskz_set1_epi64(has[0], (long long)token[0]);
        subsets = xor_where(subsets, has[1], &token[2]);
        return xor_where(subsets, has[2], &token[4]);
}

static inline __attribute__((always_inline)) FORM_TARGET void form_begin(struct prepared *prepared,
                                                                         const struct form_constants *constants,
                                                                         size_t subsets_count,
                                                                         const struct subject *subject)
{
        const struct subject_key *tokens = subject->tokens;
        for (size_t i = 0; i < subsets_count; i++, tokens += SUBSET_TOKENS) {
                /* Tokens that are not there may be anything: no shape has them. Memory for them is. */
                prepared->lo[i] = subsets_of(&tokens->lo, constants);
                prepared->hi[i] = subsets_of(&tokens->hi, constants);
        }
}

static inline __attribute__((always_inline)) FORM_TARGET void
form_block(struct round *round, size_t row, const struct program_block *block, size_t subsets_count,
           const struct prepared *prepared, const struct form_constants *constants)
{
        __m512i lo = load_vector(block->salt_lo), hi = load_vector(block->salt_hi);
#pragma GCC unroll 2
        for (size_t i = 0; i < subsets_count; i++) {
                __m512i subset = load_vector(block->subsets[i]);
                lo = _mm512_xor_si512(lo, _mm512_permutexvar_epi64(subset, prepared->lo[i]));
                hi = _mm512_xor_si512(hi, _mm512_permutexvar_epi64(subset, prepared->hi[i]));
        }
        __m512i filtered = TABLE_READS_TEXT ? _mm512_and_si512(lo, _mm512_set1_epi64(0xff)) : lo;
        __m512i word_index = _mm512_and_si512(_mm512_srli_epi64(filtered, 32), constants->filter_mask);
        __m512i word =
                _mm512_mask_i64gather_epi64(_mm512_setzero_si512(), block->filtered, word_index, constants->filter, 8);
        /* Rotation by the low six bits; nothing to rotate where the filter is not asked. */
        __m512i one = load_vector(block->asked);
        __m512i bits = _mm512_or_si512(_mm512_rolv_epi64(one, filtered),
                                       _mm512_rolv_epi64(one, _mm512_srli_epi64(filtered, 6)));
        __m512i missing = _mm512_andnot_si512(word, bits);
        __mmask8 passed = _mm512_mask_testn_epi64_mask(block->lanes, missing, missing);
        size_t at = row * BLOCK_SHAPES;
        _store_mask8(&round->passed[row], passed);
        _mm512_store_si512((void *)&round->lo[at], lo);
        _mm512_store_si512((void *)&round->hi[at], hi);
        for (size_t lane = 0; TABLE_READS_TEXT && lane < BLOCK_SHAPES; lane++)
                round_put(round, row, lane, round_key(round, at + lane), block->codes[lane]);
}

static inline FORM_TARGET size_t form_list(uint8_t *list, uint64_t bits, size_t first)
{
        __m512i numbers = _mm512_add_epi8(load_vector(ascending), _mm512_set1_epi8((char)first));
        _mm512_storeu_si512(list, _mm512_maskz_compress_epi8(bits, numbers));
        return (size_t)__builtin_popcountll(bits);
}

static inline FORM_TARGET uint64_t form_line_word(const struct line *line, uint32_t mark, uint32_t *hits)
{
        /* The low half of each word; word 0 has no mark. What is torn between two words is looked at again, one word
         * alone. */
        *hits = _mm512_mask_cmpeq_epi32_mask(0x5555, _mm512_load_si512((const void *)line),
                                             _mm512_set1_epi32((int)mark));
        return line_word(line, (_tzcnt_u32(*hits) & 0xf) / 2);
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

/* A pattern without wildcards is read as subjects are. */
static FORM_TARGET bool read_whole(struct subject *subject, const struct subject_secrets *secrets, struct span text)
{
        struct read_constants constants = read_constants(secrets);
        if (!form_read(subject, secrets, &constants, text) && !form_read_any(subject, secrets, text))
                return false;
        subject->all = form_whole(subject);
        return true;
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

const struct match_form form_avx512 = {.name = "avx512",
                                       .is_aes = true,
                                       .shapes_hot = 128,
                                       .is_supported = is_supported,
                                       .read = read_whole,
                                       .match = round_match};
#endif
