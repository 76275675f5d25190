/* round: the readers' half, a batch of subjects against the published table. Included by each form's file, which says
 * before how it reads a subject, tries a block of shapes and searches a line:
 *
 *      FORM_TARGET        the attribute of a function that may use what the CPU has
 *      struct prepared    what is computed once for all blocks of a subject
 *      form_read()        subject_read() with the form's hash
 *      form_whole()       the XOR of a subject's tokens
 *      form_begin()       computes that
 *      form_block()       which of a block's shapes have a key that the filter lets through; appends those
 *      form_line_hits()   line_hits()
 *
 *      subjects ─read─▶ hashes ─gather─▶ keys, up to a round of them ─look─▶ candidates ─settle─▶ ids
 *                                        (fetch the lines)            (fetch the records)
 *
 * Nothing a probe needs depends on the probe before, so a round's lines are all fetched before the first is looked at,
 * and its records before the first is checked: a table that is larger than the cache costs one wait for memory a round,
 * not two a probe. What the filter lets through, and what a line has, cannot be predicted: both are written down first
 * and counted after, without a branch. */
#ifndef SPATE_MATCHER_ROUND_H
#define SPATE_MATCHER_ROUND_H

#include "matcher/table.h"

#define ROUND_MAX 64

/* Keys to look for. Arrays have room for a whole block behind the last. */
struct round {
        _Alignas(CACHE_LINE) uint64_t lo[ROUND_MAX + BLOCK_SHAPES];
        uint64_t hi[ROUND_MAX + BLOCK_SHAPES];
        uint8_t subject[ROUND_MAX + BLOCK_SHAPES];
        size_t count;
        pattern_id candidates[ROUND_MAX + 1];
        uint8_t key_of[ROUND_MAX + 1]; /* of each candidate: which key */
        uint64_t codes[TABLE_READS_TEXT ? ROUND_MAX + BLOCK_SHAPES : 1];
};

/* Where gathering stands, and whose ids are being written. */
struct batch {
        const struct match_table *table;
        const struct lines *lines;
        const struct span *texts;
        size_t subjects_count;
        size_t next_subject;
        size_t next_block;
        const struct program *programs[MATCH_BATCH_MAX]; /* NULL: nothing to look for */
        struct round round;
        struct subject subjects[MATCH_BATCH_MAX];
};

static inline void round_fetch(const void *memory)
{
        __builtin_prefetch(memory, 0, 3);
}

/* The key has been written behind the last. */
static inline void round_take(struct round *round, size_t subject, uint64_t code)
{
        round->subject[round->count] = (uint8_t)subject;
        if (TABLE_READS_TEXT) {
                struct subject_key key = {.lo = round->lo[round->count], .hi = round->hi[round->count]};
                round->lo[round->count] = table_key(key).lo;
                round->hi[round->count] = table_key(key).hi;
                round->codes[round->count] = code;
        }
        round->count++;
}

static inline struct subject_key round_key(const struct round *round, size_t i)
{
        return (struct subject_key){.lo = round->lo[i], .hi = round->hi[i]};
}

#ifdef FORM_TARGET /* else somebody only wants to know whether this compiles */
static inline FORM_TARGET bool form_read(struct subject *subject, const struct subject_secrets *secrets,
                                         struct span text);
static inline FORM_TARGET struct subject_key form_whole(const struct subject *subject);
static inline FORM_TARGET void form_begin(struct prepared *prepared, const struct program *program,
                                          const struct subject *subject);
/* Appends to the round, which has room for a block, those shapes of a block that the filter does not rule out. */
static inline FORM_TARGET void form_block(struct round *round, const struct program *program,
                                          const struct program_block *block, const struct prepared *prepared,
                                          size_t subject_index, const struct lines *lines);
static inline FORM_TARGET uint32_t form_line_hits(const struct line *line, uint32_t mark);

/* The blocks of one subject from batch->next_block on. False: the round is full. */
static inline FORM_TARGET bool gather_blocks(struct batch *batch, const struct program *program)
{
        struct round *round = &batch->round;
        size_t index = batch->next_subject;
        struct prepared prepared;
        form_begin(&prepared, program, &batch->subjects[index]);
        for (size_t i = batch->next_block; i < program->blocks_count; i++) {
                if (round->count > ROUND_MAX - BLOCK_SHAPES) {
                        batch->next_block = i;
                        return false;
                }
                form_block(round, program, &program->blocks[i], &prepared, index, batch->lines);
        }
        batch->next_block = 0;
        return true;
}

/* All subjects first: what is done with one then waits for nothing that was begun a moment before. */
static inline FORM_TARGET void read_subjects(struct batch *batch)
{
        for (size_t i = 0; i < batch->subjects_count; i++) {
                struct subject *subject = &batch->subjects[i];
                batch->programs[i] = NULL;
                if (unlikely(!form_read(subject, &batch->table->secrets, batch->texts[i])))
                        continue;
                /* Pairs with the release in publish_programs: the program is complete. */
                batch->programs[i] =
                        atomic_load_explicit(&batch->table->programs[subject->tokens_count], memory_order_acquire);
        }
}

/* Fills the round with the next keys to look for, and fetches their lines. False: there are none left. */
static inline FORM_TARGET bool gather(struct batch *batch)
{
        struct round *round = &batch->round;
        size_t fetched = 0, settled = 0, settling = 0;
        round->count = 0;
        for (; batch->next_subject < batch->subjects_count; batch->next_subject++) {
                const struct program *program = batch->programs[batch->next_subject];
                if (unlikely(program == NULL))
                        continue;
                if (round->count > ROUND_MAX - BLOCK_SHAPES)
                        break;
                if (program->is_whole_only) {
                        struct subject_key key =
                                subject_key_xor(form_whole(&batch->subjects[batch->next_subject]), program->whole_salt);
                        round->lo[round->count] = key.lo;
                        round->hi[round->count] = key.hi;
                        round_take(round, batch->next_subject, program->whole_code);
                } else if (unlikely(!gather_blocks(batch, program))) {
                        break;
                }
                /* Not what has just been written: that would have to wait until it has left for the cache. */
                for (; fetched < settled; fetched++)
                        round_fetch(&batch->lines->line[round->lo[fetched] & batch->lines->mask]);
                settled = settling;
                settling = round->count;
        }
        for (; fetched < round->count; fetched++)
                round_fetch(&batch->lines->line[round->lo[fetched] & batch->lines->mask]);
        return round->count > 0;
}

/* The first candidate of each key, if its line or one behind it has any. Returns how many. */
static inline FORM_TARGET size_t look(struct batch *batch)
{
        struct round *round = &batch->round;
        const struct lines *lines = batch->lines;
        size_t count = 0;
        for (size_t i = 0; i < round->count; i++) {
                struct subject_key key = round_key(round, i);
                const struct line *line = &lines->line[key.lo & lines->mask];
                uint32_t mark = table_mark(key);
                uint32_t hits = form_line_hits(line, mark);
                /* Without a hit this is word 0: whether any pattern had to pass this line. */
                uint64_t word = line_word(line, (size_t)__builtin_ctz(hits | 0x100) & 7);
                bool is_hit = (hits != 0) & ((uint32_t)word == mark);
                pattern_id id = slot_id(word);
                if (unlikely(!is_hit & ((hits | word) != 0))) {
                        struct table_walk walk = table_walk_begin(lines, key);
                        id = table_walk_next(lines, key, &walk);
                        is_hit = id != PATTERN_NONE;
                }
                round->candidates[count] = id;
                round->key_of[count] = (uint8_t)i;
                /* Without a hit this may be any address: no matter, nothing comes of it. */
                round_fetch(&batch->table->records[id]);
                count += is_hit;
        }
        return count;
}

static inline bool holds(const struct batch *batch, size_t key_index, pattern_id id)
{
        const struct record *record = &batch->table->records[id];
        if (unlikely(!record_has_key(record, round_key(&batch->round, key_index))))
                return false;
        return !TABLE_READS_TEXT || (shape_code(record->text->shape) == batch->round.codes[key_index] &&
                                     pattern_matches(kept_text_span(record->text), record->text->shape,
                                                     batch->texts[batch->round.subject[key_index]]));
}

/* The candidate had the mark and another key, once in four billion; so may have others behind it the mark. */
static __attribute__((noinline)) pattern_id look_further(const struct batch *batch, size_t key_index)
{
        struct subject_key key = round_key(&batch->round, key_index);
        struct table_walk walk = table_walk_begin(batch->lines, key);
        for (;;) {
                pattern_id id = table_walk_next(batch->lines, key, &walk);
                if (id == PATTERN_NONE || holds(batch, key_index, id))
                        return id;
        }
}

/* Their ids lie one behind the other. */
static inline void place_sets(struct match_set *sets, size_t sets_count, const pattern_id *ids)
{
        for (size_t i = 0; i < sets_count; i++) {
                sets[i].ids = ids;
                if (sets[i].ids_count > 0) /* `ids` may be NULL */
                        ids += sets[i].ids_count;
        }
}

static FORM_TARGET size_t round_match(const struct match_table *table, const struct span *subjects,
                                      size_t subjects_count, pattern_id *ids, size_t ids_max, struct match_set *sets)
{
        struct batch batch;
        batch.table = table;
        batch.texts = subjects;
        batch.subjects_count = subjects_count;
        batch.next_subject = 0;
        batch.next_block = 0;
        batch.lines = index_lines(&table->index);

        for (size_t i = 0; i < subjects_count; i++)
                sets[i] = (struct match_set){.ids = NULL};
        read_subjects(&batch);
        size_t ids_count = 0;
        while (gather(&batch)) {
                size_t count = look(&batch);
                for (size_t i = 0; i < count; i++) {
                        pattern_id id = batch.round.candidates[i];
                        size_t key_index = batch.round.key_of[i];
                        struct match_set *set = &sets[batch.round.subject[key_index]];
                        if (unlikely(!holds(&batch, key_index, id))) {
                                id = look_further(&batch, key_index);
                                if (id == PATTERN_NONE)
                                        continue;
                        }
                        if (unlikely(ids_count == ids_max)) {
                                place_sets(sets, (size_t)(set - sets), ids);
                                return (size_t)(set - sets);
                        }
                        ids[ids_count++] = id;
                        set->ids_count++;
                        set->reactors |= atomic_load_explicit(&table->records[id].reactors, memory_order_acquire);
                }
        }
        place_sets(sets, subjects_count, ids);
        return subjects_count;
}

#endif
#endif
