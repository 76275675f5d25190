/* Four shapes at once, and AES for tokens: AVX2 of 2013, and of every CPU that cloud providers still rent out. */
#include "matcher/form.h"

#if FORM_X86
#include "matcher/aes.h"
#include "matcher/program.h"

#define FORM_TARGET __attribute__((target("avx2,aes,bmi,bmi2,popcnt,lzcnt")))
struct prepared {
        const struct subject *subject;
};
struct read_constants {
        const struct subject_secrets *secrets;
};
struct form_constants {
        const struct lines *lines;
};

#include "matcher/round.h"

static inline FORM_TARGET struct read_constants read_constants(const struct subject_secrets *secrets)
{
        return (struct read_constants){.secrets = secrets};
}

static inline FORM_TARGET bool form_read(struct subject *subject, const struct subject_secrets *secrets,
                                         const struct read_constants *constants, struct span text)
{
        (void)constants;
        return aes_read(subject, secrets, text);
}

static inline FORM_TARGET bool form_read_any(struct subject *subject, const struct subject_secrets *secrets,
                                             struct span text)
{
        return aes_read(subject, secrets, text);
}

static inline FORM_TARGET struct subject_key form_whole(const struct subject *subject)
{
        return subject->all;
}

static inline FORM_TARGET struct form_constants form_constants(const struct lines *lines)
{
        return (struct form_constants){.lines = lines};
}

static inline FORM_TARGET void form_begin(struct prepared *prepared, const struct form_constants *constants,
                                          size_t subsets_count, const struct subject *subject)
{
        (void)constants, (void)subsets_count;
        prepared->subject = subject;
}

/* From bits to lanes of ones. */
static const uint64_t lanes_of[16][4] = {
#define LANES(bits)                                                                                                    \
        {                                                                                                              \
                -(uint64_t)((bits)&1), -(uint64_t)((bits) >> 1 & 1), -(uint64_t)((bits) >> 2 & 1),                     \
                        -(uint64_t)((bits) >> 3 & 1)                                                                   \
        }
        LANES(0), LANES(1), LANES(2),  LANES(3),  LANES(4),  LANES(5),  LANES(6),  LANES(7),
        LANES(8), LANES(9), LANES(10), LANES(11), LANES(12), LANES(13), LANES(14), LANES(15),
};

static inline FORM_TARGET __m256i load_four(const uint64_t *words)
{
        return _mm256_loadu_si256((const __m256i *)(const void *)words);
}

static inline FORM_TARGET void store_four(uint64_t *words, __m256i four)
{
        _mm256_storeu_si256((__m256i *)(void *)words, four);
}

/* Half a block: four lanes from `first` on. Which of them passed. */
static inline FORM_TARGET uint32_t half_block(struct round *round, size_t row, const struct program_block *block,
                                              uint32_t first, const struct subject *subject, const struct lines *lines)
{
        __m256i lo = load_four(block->salt_lo + first), hi = load_four(block->salt_hi + first);
        for (uint32_t i = 0; i < block->positions_count; i++) {
                __m256i taken = load_four(lanes_of[block->literals[i] >> first & 0xf]);
                __m256i token_lo = _mm256_set1_epi64x((long long)subject->tokens[i].lo);
                __m256i token_hi = _mm256_set1_epi64x((long long)subject->tokens[i].hi);
                lo = _mm256_xor_si256(lo, _mm256_and_si256(token_lo, taken));
                hi = _mm256_xor_si256(hi, _mm256_and_si256(token_hi, taken));
        }
        __m256i filtered = TABLE_READS_TEXT ? _mm256_and_si256(lo, _mm256_set1_epi64x(0xff)) : lo;
        const __m256i one = _mm256_set1_epi64x(1), low6 = _mm256_set1_epi64x(63);
        __m256i word_index =
                _mm256_and_si256(_mm256_srli_epi64(filtered, 32), _mm256_set1_epi64x((long long)lines->filter_mask));
        __m256i word = _mm256_i64gather_epi64((const long long *)(const void *)lines->filter, word_index, 8);
        __m256i bits = _mm256_or_si256(_mm256_sllv_epi64(one, _mm256_and_si256(filtered, low6)),
                                       _mm256_sllv_epi64(one, _mm256_and_si256(_mm256_srli_epi64(filtered, 6), low6)));
        __m256i missing = _mm256_andnot_si256(word, bits);
        __m256i absent = _mm256_cmpeq_epi64(missing, _mm256_setzero_si256());
        size_t at = row * BLOCK_SHAPES + first;
        store_four(&round->lo[at], lo);
        store_four(&round->hi[at], hi);
        for (uint32_t lane = first; TABLE_READS_TEXT && lane < first + 4; lane++)
                round_put(round, row, lane, round_key(round, row * BLOCK_SHAPES + lane), block->codes[lane]);
        return (uint32_t)_mm256_movemask_pd(_mm256_castsi256_pd(absent)) << first;
}

static inline FORM_TARGET void form_block(struct round *round, size_t row, const struct program_block *block,
                                          size_t subsets_count, const struct prepared *prepared,
                                          const struct form_constants *constants)
{
        (void)subsets_count;
        uint32_t passed = half_block(round, row, block, 0, prepared->subject, constants->lines) | block->unfiltered;
        if (block->lanes > 0xf)
                passed |= half_block(round, row, block, 4, prepared->subject, constants->lines);
        round->passed[row] = (uint8_t)passed & block->lanes;
}

static inline FORM_TARGET size_t form_list(uint8_t *list, uint64_t bits, size_t first)
{
        size_t count = 0;
        for (; bits != 0; bits = _blsr_u64(bits))
                list[count++] = (uint8_t)(first + _tzcnt_u64(bits));
        return count;
}

/* The marks are every other 32 bits; those of word 0 are none. */
static inline FORM_TARGET uint64_t form_line_word(const struct line *line, uint32_t mark, uint32_t *hits)
{
        /* What is torn between two words is looked at again, one word alone. */
        const __m256i *halves = (const __m256i *)(const void *)line;
        __m256i marks = _mm256_set1_epi64x((long long)mark);
        const __m256i low = _mm256_set1_epi64x(UINT32_MAX);
        __m256i first = _mm256_cmpeq_epi64(_mm256_and_si256(_mm256_load_si256(halves), low), marks);
        __m256i second = _mm256_cmpeq_epi64(_mm256_and_si256(_mm256_load_si256(halves + 1), low), marks);
        *hits = (uint32_t)_mm256_movemask_pd(_mm256_castsi256_pd(first)) |
                (uint32_t)_mm256_movemask_pd(_mm256_castsi256_pd(second)) << 4;
        /* Word 0 has no marks. */
        return line_word(line, _tzcnt_u32(*hits | 0x100) & 7);
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

static bool is_supported(void)
{
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("aes") && __builtin_cpu_supports("bmi") &&
               __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
}

const struct match_form form_avx2 = {.name = "avx2",
                                     .is_aes = true,
                                     .shapes_hot = 64,
                                     .is_supported = is_supported,
                                     .read = subject_read,
                                     .match = round_match};
#endif
