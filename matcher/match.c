/* The portable form, and which form it is to be. */
#include "matcher/form.h"

#include "engine/base/tsan.h"
#include "matcher/program.h"

#define FORM_TARGET
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

static inline struct read_constants read_constants(const struct subject_secrets *secrets)
{
        return (struct read_constants){.secrets = secrets};
}

static inline bool form_read(struct subject *subject, const struct subject_secrets *secrets,
                             const struct read_constants *constants, struct span text)
{
        (void)constants;
        return subject_read(subject, secrets, text);
}

static inline bool form_read_any(struct subject *subject, const struct subject_secrets *secrets, struct span text)
{
        return subject_read(subject, secrets, text);
}

static inline struct subject_key form_whole(const struct subject *subject)
{
        return subject->all;
}

static inline struct form_constants form_constants(const struct lines *lines)
{
        return (struct form_constants){.lines = lines};
}

static inline void form_begin(struct prepared *prepared, const struct form_constants *constants, size_t subsets_count,
                              const struct subject *subject)
{
        (void)constants, (void)subsets_count;
        prepared->subject = subject;
}

static inline void form_block(struct round *round, size_t row, const struct program_block *block, size_t subsets_count,
                              const struct prepared *prepared, const struct form_constants *constants)
{
        (void)subsets_count;
        const struct subject_key *tokens = prepared->subject->tokens;
        uint32_t passed = 0;
        for (uint32_t lanes = block->lanes; lanes != 0; lanes &= lanes - 1) {
                uint32_t lane = (uint32_t)__builtin_ctz(lanes);
                struct subject_key key = {.lo = block->salt_lo[lane], .hi = block->salt_hi[lane]};
                for (uint32_t i = 0; i < block->positions_count; i++) {
                        /* All ones where the token is literal. */
                        uint64_t taken = -(uint64_t)(block->literals[i] >> lane & 1);
                        key.lo ^= tokens[i].lo & taken;
                        key.hi ^= tokens[i].hi & taken;
                }
                round_put(round, row, lane, key, block->codes[lane]);
                passed |= (uint32_t)filter_has(constants->lines, table_key(key).lo) << lane;
        }
        round->passed[row] = (uint8_t)(passed | block->unfiltered);
}

static inline size_t form_list(uint8_t *list, uint64_t bits, size_t first)
{
        size_t count = 0;
        for (; bits != 0; bits &= bits - 1)
                list[count++] = (uint8_t)(first + (size_t)__builtin_ctzll(bits));
        return count;
}

static inline uint64_t form_line_word(const struct line *line, uint32_t mark, uint32_t *hits)
{
        *hits = line_hits(line, mark);
        return line_word(line, (size_t)__builtin_ctz(*hits | 0x100) & 7);
}

static inline size_t form_beginnings(const struct subject_secrets *secrets, struct span text,
                                     const struct byte_program *program, size_t first, size_t end,
                                     struct subject_key *keys)
{
        struct subject_beginnings beginnings;
        subject_begin(&beginnings, secrets, text);
        size_t count = 0;
        for (size_t i = first; i < end && program->probes[i].size <= text.size; i++)
                keys[count++] = subject_key_xor(subject_beginning(&beginnings, program->probes[i].size),
                                                program->probes[i].salt);
        return count;
}

static bool is_supported(void)
{
        return true;
}

const struct match_form form_portable = {.name = "portable",
                                         .is_aes = false,
                                         .shapes_hot = 32,
                                         .is_supported = is_supported,
                                         .read = subject_read,
                                         .match = round_match};

size_t forms(const struct match_form *found[FORMS_MAX])
{
        static const struct match_form *const all[] = {
/* The thread sanitizer does not see loads of whole vectors, and would say that all is well. */
#if FORM_X86 && !defined(TSAN_IS_ON)
                &form_avx512,
                &form_avx2,
#endif
                &form_portable
        };
        size_t count = 0;
        for (size_t i = 0; i < array_count(all); i++)
                if (all[i]->is_supported())
                        found[count++] = all[i];
        return count;
}

const struct match_form *form_best(void)
{
        const struct match_form *found[FORMS_MAX];
        forms(found);
        return found[0];
}

size_t match_batch(const struct match_table *table, const struct span *subjects, size_t subjects_count, pattern_id *ids,
                   size_t ids_max, struct match_set *sets)
{
        assert(subjects_count >= 1);
        assert(subjects_count <= MATCH_BATCH_MAX);
        return table->form->match(table, subjects, subjects_count, ids, ids_max, sets);
}
