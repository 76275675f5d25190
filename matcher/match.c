/* The portable form, and which form it is to be. */
#include "matcher/form.h"

#include "engine/base/tsan.h"
#include "matcher/program.h"

#define FORM_TARGET
struct prepared {
        const struct subject *subject;
};

#include "matcher/round.h"

static inline bool form_read(struct subject *subject, const struct subject_secrets *secrets, struct span text)
{
        return subject_read(subject, secrets, text);
}

static inline struct subject_key form_whole(const struct subject *subject)
{
        return subject->all;
}

static inline void form_begin(struct prepared *prepared, const struct program *program, const struct subject *subject)
{
        (void)program;
        prepared->subject = subject;
}

static inline void form_block(struct round *round, const struct program *program, const struct program_block *block,
                              const struct prepared *prepared, size_t subject_index, const struct lines *lines)
{
        (void)program;
        const struct subject_key *tokens = prepared->subject->tokens;
        for (uint32_t lanes = block->lanes; lanes != 0; lanes &= lanes - 1) {
                uint32_t lane = (uint32_t)__builtin_ctz(lanes);
                struct subject_key key = {.lo = block->salt_lo[lane], .hi = block->salt_hi[lane]};
                for (uint32_t i = 0; i < block->positions_count; i++) {
                        /* All ones where the token is literal. */
                        uint64_t taken = -(uint64_t)(block->literals[i] >> lane & 1);
                        key.lo ^= tokens[i].lo & taken;
                        key.hi ^= tokens[i].hi & taken;
                }
                if (!(block->unfiltered >> lane & 1) && !filter_has(lines, table_key(key).lo))
                        continue;
                round->lo[round->count] = key.lo;
                round->hi[round->count] = key.hi;
                round_take(round, subject_index, block->codes[lane]);
        }
}

static inline uint32_t form_line_hits(const struct line *line, uint32_t mark)
{
        return line_hits(line, mark);
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

const struct match_form form_portable = {
        .name = "portable", .is_aes = false, .shapes_hot = 32, .is_supported = is_supported, .match = round_match};

size_t forms(const struct match_form *found[FORMS_MAX])
{
        static const struct match_form *const all[] = {
#if FORM_X86
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
