/* Four shapes at once, and AES for tokens: AVX2 of 2013, and of every CPU that cloud providers still rent out. */
#include "matcher/form.h"

#if FORM_X86
#include "matcher/aes.h"
#include "matcher/program.h"

#define FORM_TARGET __attribute__((target("avx2,aes,bmi,bmi2,popcnt,lzcnt")))
struct prepared {
        const struct subject *subject;
};

#include "matcher/round.h"

static inline FORM_TARGET bool form_read(struct subject *subject, const struct subject_secrets *secrets,
                                         struct span text)
{
        return aes_read(subject, secrets, text);
}

static inline FORM_TARGET struct subject_key form_whole(const struct subject *subject)
{
        return subject->all;
}

static inline FORM_TARGET void form_begin(struct prepared *prepared, const struct program *program,
                                          const struct subject *subject)
{
        (void)program;
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

/* Half a block: four lanes from `first` on. */
static inline FORM_TARGET void half_block(struct round *round, const struct program_block *block, uint32_t first,
                                          const struct subject *subject, size_t subject_index,
                                          const struct lines *lines)
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
        uint32_t passed = (uint32_t)_mm256_movemask_pd(_mm256_castsi256_pd(absent)) | block->unfiltered >> first;
        passed &= block->lanes >> first & 0xf;
        if (passed == 0)
                return;
        uint64_t los[4], his[4];
        store_four(los, lo);
        store_four(his, hi);
        for (; passed != 0; passed &= passed - 1) {
                uint32_t lane = (uint32_t)__builtin_ctz(passed);
                round->lo[round->count] = los[lane];
                round->hi[round->count] = his[lane];
                round_take(round, subject_index, block->codes[first + lane]);
        }
}

static inline FORM_TARGET void form_block(struct round *round, const struct program *program,
                                          const struct program_block *block, const struct prepared *prepared,
                                          size_t subject_index, const struct lines *lines)
{
        (void)program;
        half_block(round, block, 0, prepared->subject, subject_index, lines);
        if (block->lanes > 0xf)
                half_block(round, block, 4, prepared->subject, subject_index, lines);
}

/* The marks are every other 32 bits; those of word 0 are none. */
static inline FORM_TARGET uint32_t form_line_hits(const struct line *line, uint32_t mark)
{
        /* What is torn between two words is looked at again, one word alone (line_word). */
        const __m256i *halves = (const __m256i *)(const void *)line;
        __m256i marks = _mm256_set1_epi64x((long long)mark);
        const __m256i low = _mm256_set1_epi64x(UINT32_MAX);
        __m256i first = _mm256_cmpeq_epi64(_mm256_and_si256(_mm256_load_si256(halves), low), marks);
        __m256i second = _mm256_cmpeq_epi64(_mm256_and_si256(_mm256_load_si256(halves + 1), low), marks);
        uint32_t hits = (uint32_t)_mm256_movemask_pd(_mm256_castsi256_pd(first)) |
                        (uint32_t)_mm256_movemask_pd(_mm256_castsi256_pd(second)) << 4;
        return hits & 0xfe;
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

const struct match_form form_avx2 = {
        .name = "avx2", .is_aes = true, .shapes_hot = 64, .is_supported = is_supported, .match = round_match};
#endif
