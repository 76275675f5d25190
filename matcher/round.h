/* round: the readers' half, a batch of subjects against the published table. Included by each form's file, which says
 * before how it reads a subject, tries a block of shapes and searches a line:
 *
 *      FORM_TARGET        the attribute of a function that may use what the CPU has
 *      struct prepared    what is computed once for all blocks of a subject
 *      struct read_constants, read_constants()  what reading needs of all subjects
 *      struct form_constants, form_constants()  and blocks of all subjects
 *      form_read()        subject_read() with the form's hash, for most subjects; false: it is not one of them
 *      form_read_any()    and for all
 *      form_whole()       the XOR of a subject's tokens
 *      form_begin()       computes that
 *      form_block()       the keys of a block's shapes, and which of them the filter lets through
 *      form_list()        the numbers of a word's set bits
 *      form_line_word()   the first slot of a line that has a mark, else how many patterns had to pass the line
 *      form_beginnings()  the keys of a text's beginnings that a byte program asks for, from probe `first` on to `end`;
 *                         how many, which are fewer where the text ends
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

#define ROUND_ROWS 32 /* of eight keys, so that a byte says which */
#define ROUND_KEYS (ROUND_ROWS * BLOCK_SHAPES)
#define ROUND_WORD 8 /* rows whose bits are looked at together */

/* Keys that may be looked for, a row for each block of a subject's program, and which of them are. */
struct round {
        _Alignas(CACHE_LINE) uint64_t lo[ROUND_KEYS];
        _Alignas(CACHE_LINE) uint64_t hi[ROUND_KEYS];
        _Alignas(CACHE_LINE) uint8_t passed[ROUND_ROWS]; /* as bits: those that the filter does not rule out */
        uint8_t globs[ROUND_ROWS];                       /* those that many patterns may have; only with beginnings */
        uint8_t subject[ROUND_ROWS];
        size_t rows_count;
        size_t words_done; /* whose keys are in the list */
        size_t keys_count;
        _Alignas(CACHE_LINE) uint8_t keys[ROUND_KEYS + CACHE_LINE]; /* the list of those that passed; room as below */
        pattern_id candidates[ROUND_KEYS + 1];                      /* one more, that is written and not counted */
        uint8_t key_of[ROUND_KEYS + 1];                             /* of each candidate: which key */
        uint64_t codes[TABLE_READS_TEXT ? ROUND_KEYS : 1];
};

/* Where gathering stands, and whose ids are being written. */
struct batch {
        const struct match_table *table;
        const struct lines *lines;
        const struct span *texts;
        size_t subjects_count;
        size_t next_subject;
        size_t next_block;
        size_t next_bytes;                       /* 0: its blocks are not done, else one more than which probe */
        const struct byte_program *byte_program; /* NULL: no pattern asks for beginnings */
        const struct program *programs[MATCH_BATCH_MAX];
        bool has_cold;                     /* any of them */
        bool has_empties;                  /* any of them */
        uint32_t empties[MATCH_BATCH_MAX]; /* then: which tokens of each are empty */
        struct round round;
        struct subject subjects[MATCH_BATCH_MAX];
};

static inline void round_fetch(const void *memory)
{
        __builtin_prefetch(memory, 0, 3);
}

/* Writes a key down. The caller says in `passed` whether it is looked for. */
static inline void round_put(struct round *round, size_t row, size_t lane, struct subject_key key, uint64_t code)
{
        size_t i = row * BLOCK_SHAPES + lane;
        key = table_key(key);
        round->lo[i] = key.lo;
        round->hi[i] = key.hi;
        if (TABLE_READS_TEXT)
                round->codes[i] = code;
}

static inline size_t round_subject(const struct round *round, size_t key_index)
{
        return round->subject[key_index / BLOCK_SHAPES];
}

static inline struct subject_key round_key(const struct round *round, size_t i)
{
        return (struct subject_key){.lo = round->lo[i], .hi = round->hi[i]};
}

#ifdef FORM_TARGET /* else somebody only wants to know whether this compiles */
static inline FORM_TARGET struct read_constants read_constants(const struct subject_secrets *secrets);
static inline FORM_TARGET bool form_read(struct subject *subject, const struct subject_secrets *secrets,
                                         const struct read_constants *constants, struct span text);
static inline FORM_TARGET bool form_read_any(struct subject *subject, const struct subject_secrets *secrets,
                                             struct span text);
static inline FORM_TARGET struct subject_key form_whole(const struct subject *subject);
static inline FORM_TARGET struct form_constants form_constants(const struct lines *lines);
/* `subsets_count` is no less than the program's. */
static inline FORM_TARGET void form_begin(struct prepared *prepared, const struct form_constants *constants,
                                          size_t subsets_count, const struct subject *subject);
/* Writes down the keys of a block's shapes, and in `passed` those that the filter does not rule out. */
static inline FORM_TARGET void form_block(struct round *round, size_t row, const struct program_block *block,
                                          size_t subsets_count, const struct prepared *prepared,
                                          const struct form_constants *constants);
/* Writes the number of each set bit plus `first` to `list`, in whose room for 64 there may be anything behind. Returns
 * how many. */
static inline FORM_TARGET size_t form_list(uint8_t *list, uint64_t bits, size_t first);
/* *hits is not 0 if there is one. */
static inline FORM_TARGET uint64_t form_line_word(const struct line *line, uint32_t mark, uint32_t *hits);
static inline FORM_TARGET size_t form_beginnings(const struct subject_secrets *secrets, struct span text,
                                                 const struct byte_program *program, size_t first, size_t end,
                                                 struct subject_key *keys);

/* Keys of all blocks from one to another, for which there is room. */
static inline __attribute__((always_inline)) FORM_TARGET size_t
round_blocks(struct round *round, size_t row, const struct program_block *block, const struct program_block *end,
             size_t subsets_count, const struct subject *subject, size_t subject_index,
             const struct form_constants *constants)
{
        struct prepared prepared;
        form_begin(&prepared, constants, subsets_count, subject);
        for (; block < end; block++, row++) {
                form_block(round, row, block, subsets_count, &prepared, constants);
                round->subject[row] = (uint8_t)subject_index;
        }
        return row;
}

/* The blocks of one subject from batch->next_block on. False: the round is full. */
static inline FORM_TARGET bool gather_blocks(struct batch *batch, const struct program *program)
{
        struct round *round = &batch->round;
        const struct subject *subject = &batch->subjects[batch->next_subject];
        struct form_constants constants = form_constants(batch->lines);
        const struct program_block *block = program->blocks + batch->next_block;
        size_t room = ROUND_ROWS - round->rows_count, left = (size_t)(program->blocks_end - block);
        const struct program_block *end = block + (left < room ? left : room);
        round->rows_count = round_blocks(round, round->rows_count, block, end, program->subsets_count, subject,
                                         batch->next_subject, &constants);
        bool is_done = left <= room;
        batch->next_block = is_done ? 0 : (size_t)(end - program->blocks);
        return is_done;
}

/* A subject that no NATS pattern matches: with empty tokens, or too deep, or too long. */
static __attribute__((noinline)) const struct program *read_any(struct batch *batch, size_t index)
{
        if (!batch->has_empties)
                memset(batch->empties, 0, sizeof batch->empties);
        batch->has_empties = true;
        struct subject *subject = &batch->subjects[index];
        if (!subject_read_any(subject, &batch->table->secrets, batch->texts[index], &batch->empties[index]))
                return &program_none;
        return atomic_load_explicit(&batch->table->programs[subject->tokens_count], memory_order_acquire);
}

/* Reads subjects from the first on until there is one that form_read() leaves alone. Returns which. No calls in here,
 * so that all it needs is in registers. */
static __attribute__((noinline)) FORM_TARGET size_t read_plainly(struct batch *batch, size_t first)
{
        const struct match_table *table = batch->table;
        const struct span *text = batch->texts + first, *end = batch->texts + batch->subjects_count;
        struct subject *subject = batch->subjects + first;
        const struct program **program = batch->programs + first;
        bool has_cold = batch->has_cold;
        struct read_constants constants = read_constants(&table->secrets);
        for (; text < end; text++, subject++, program++) {
                if (unlikely(!form_read(subject, &table->secrets, &constants, *text)))
                        break;
                /* Pairs with the release in table_publish: the program is complete. */
                *program = atomic_load_explicit(&table->programs[subject->tokens_count], memory_order_acquire);
                has_cold |= (*program)->has_cold;
        }
        batch->has_cold = has_cold;
        return (size_t)(text - batch->texts);
}

/* One that is not read plainly. */
static __attribute__((noinline)) FORM_TARGET void read_one(struct batch *batch, size_t index)
{
        struct subject *subject = &batch->subjects[index];
        const struct program *program;
        if (form_read_any(subject, &batch->table->secrets, batch->texts[index]))
                /* Pairs with the release in table_publish: the program is complete. */
                program = atomic_load_explicit(&batch->table->programs[subject->tokens_count], memory_order_acquire);
        else
                program = read_any(batch, index);
        batch->programs[index] = program;
        batch->has_cold |= program->has_cold;
}

/* All subjects first: what is done with one then waits for nothing that was begun a moment before. */
static inline FORM_TARGET void read_subjects(struct batch *batch)
{
        batch->has_empties = false;
        batch->has_cold = false;
        if (unlikely(atomic_load_explicit(&batch->table->depths, memory_order_acquire) == 0)) {
                for (size_t i = 0; i < batch->subjects_count; i++)
                        batch->programs[i] = &program_none;
                return;
        }
        for (size_t i = 0; i < batch->subjects_count; i++)
                round_fetch(batch->texts[i].bytes);
        for (size_t i = 0; (i = read_plainly(batch, i)) < batch->subjects_count; i++)
                read_one(batch, i);
}

/* A row is taken for what is looked for of the subject beside the blocks. */
static inline size_t take_row(struct batch *batch)
{
        size_t row = batch->round.rows_count++;
        batch->round.subject[row] = (uint8_t)batch->next_subject;
        return row;
}

static inline void take_beginning(struct batch *batch, size_t row, size_t lane, struct subject_key key, uint64_t code,
                                  bool is_glob)
{
        struct round *round = &batch->round;
        bool may_be_there = filter_has(batch->lines, table_key(key).lo);
        round_put(round, row, lane, key, code);
        round->passed[row] |= (uint8_t)(may_be_there << lane);
        round->globs[row] |= (uint8_t)(is_glob << lane);
}

/* The beginnings of one subject, from probe batch->next_bytes on. False: the round is full. */
static __attribute__((noinline)) FORM_TARGET bool gather_bytes(struct batch *batch)
{
        const struct byte_program *program = batch->byte_program;
        struct span text = batch->texts[batch->next_subject];
        const struct subject_secrets *secrets = &batch->table->secrets;
        if (text.size > MATCH_SUBJECT_BYTES_MAX)
                return true;
        for (size_t first = batch->next_bytes - 1; first < program->probes_count; first += BLOCK_SHAPES) {
                if (batch->round.rows_count == ROUND_ROWS) {
                        batch->next_bytes = first + 1;
                        return false;
                }
                struct subject_key keys[BLOCK_SHAPES];
                size_t rest = program->probes_count - first;
                size_t end = first + (rest < BLOCK_SHAPES ? rest : BLOCK_SHAPES);
                size_t count = form_beginnings(secrets, text, program, first, end, keys);
                size_t row = take_row(batch);
                for (size_t i = 0; i < count; i++) {
                        const struct byte_probe *probe = &program->probes[first + i];
                        struct shape shape = {.stars = probe->size, .tail = probe->is_glob ? TAIL_GLOB : TAIL_PREFIX};
                        take_beginning(batch, row, i, keys[i], shape_code(shape), probe->is_glob);
                }
                if (first + count < end)
                        break;
        }
        if (program->has_ends && text.size > 0) {
                if (batch->round.rows_count == ROUND_ROWS) {
                        batch->next_bytes = program->probes_count + 1;
                        return false;
                }
                struct shape shape = {.stars = (uint32_t)text.size, .tail = TAIL_END};
                struct subject_key key =
                        subject_key_xor(subject_bytes_key(secrets, text), subject_salt(secrets, shape_code(shape)));
                take_beginning(batch, take_row(batch), 0, key, shape_code(shape), false);
        }
        return true;
}

/* By tokens. False: the round is full. */
static inline __attribute__((always_inline)) FORM_TARGET bool gather_tokens(struct batch *batch,
                                                                            const struct program *program)
{
        struct round *round = &batch->round;
        if (!program->is_whole_only)
                return gather_blocks(batch, program);
        if (unlikely(round->rows_count == ROUND_ROWS))
                return false;
        const struct subject *subject = &batch->subjects[batch->next_subject];
        size_t row = take_row(batch);
        round_put(round, row, 0, subject_key_xor(form_whole(subject), program->whole_salt), program->whole_code);
        round->passed[row] = 1;
        return true;
}

/* Everything of the next subject, when some patterns ask for beginnings. False: the round is full. */
static __attribute__((noinline)) FORM_TARGET bool gather_all(struct batch *batch, const struct program *program)
{
        if (batch->next_bytes == 0) {
                if (!gather_tokens(batch, program))
                        return false;
                batch->next_bytes = 1;
        }
        if (!gather_bytes(batch))
                return false;
        batch->next_bytes = 0;
        return true;
}

/* Everything of the next subject. False: the round is full. */
static __attribute__((noinline)) FORM_TARGET bool gather_subject(struct batch *batch)
{
        const struct program *program = batch->programs[batch->next_subject];
        if (batch->byte_program != NULL)
                return gather_all(batch, program);
        return gather_tokens(batch, program);
}

/* Lists what passed of whole words of rows, and fetches the lines: when all of a word has been computed, so that
 * nothing waits for it. */
static inline __attribute__((always_inline)) FORM_TARGET void list_word(struct round *round, const struct line *line,
                                                                        size_t mask)
{
        uint64_t bits;
        size_t first = round->words_done++ * ROUND_WORD;
        memcpy(&bits, &round->passed[first], sizeof bits);
        uint8_t *key = round->keys + round->keys_count;
        const uint8_t *end = key + form_list(key, bits, first * BLOCK_SHAPES);
        round->keys_count = (size_t)(end - round->keys);
        for (; key < end; key++)
                round_fetch(&line[round->lo[*key] & mask]);
}
static_assert(ROUND_WORD * 8 == 64 && BLOCK_SHAPES == 8, "rows of eight keys, a bit for each in a word");

/* From batch->next_subject on until there is one that is not to be done the plain way, or too much for this round. No
 * calls in here, so that all it needs is in registers. */
static inline __attribute__((always_inline)) FORM_TARGET void gather_of(struct batch *batch, size_t subsets_count)
{
        struct round *round = &batch->round;
        const struct line *line = batch->lines->line;
        size_t mask = batch->lines->mask, row = round->rows_count, index = batch->next_subject;
        size_t subjects_count = batch->subjects_count;
        size_t next_word = (round->words_done + 1) * ROUND_WORD;
        struct form_constants constants = form_constants(batch->lines);
        for (; index < subjects_count; index++) {
                const struct program *program = batch->programs[index];
                if (unlikely(program->plain_rows[subsets_count > PLAIN_SUBSETS] > ROUND_ROWS - row))
                        break;
                row = round_blocks(round, row, program->blocks, program->blocks_end, subsets_count,
                                   &batch->subjects[index], index, &constants);
                if (row >= next_word) {
                        list_word(round, line, mask);
                        next_word += ROUND_WORD;
                }
        }
        batch->next_subject = index;
        round->rows_count = row;
}

static __attribute__((noinline)) FORM_TARGET void gather_plainly(struct batch *batch)
{
        gather_of(batch, PLAIN_SUBSETS);
}

/* The same of deeper subjects. */
static __attribute__((noinline)) FORM_TARGET void gather_deeply(struct batch *batch)
{
        gather_of(batch, DEEP_SUBSETS);
}

/* The same of subjects that nothing but patterns without wildcards may match. */
static __attribute__((noinline)) FORM_TARGET void gather_wholes(struct batch *batch)
{
        struct round *round = &batch->round;
        const struct line *line = batch->lines->line;
        size_t mask = batch->lines->mask, row = round->rows_count, index = batch->next_subject;
        size_t subjects_count = batch->subjects_count;
        for (; index < subjects_count && row < ROUND_ROWS; index++, row++) {
                const struct program *program = batch->programs[index];
                if (!program->is_whole_only)
                        break;
                struct subject_key key = subject_key_xor(form_whole(&batch->subjects[index]), program->whole_salt);
                round_put(round, row, 0, key, program->whole_code);
                round_fetch(&line[table_key(key).lo & mask]);
                round->passed[row] = 1;
                round->subject[row] = (uint8_t)index;
        }
        batch->next_subject = index;
        round->rows_count = row;
}

/* Fills the round with the next keys to look for, and fetches their lines. False: there are none left. */
static inline FORM_TARGET bool gather(struct batch *batch)
{
        struct round *round = &batch->round;
        memset(round->passed, 0, sizeof round->passed);
        if (unlikely(batch->byte_program != NULL))
                memset(round->globs, 0, sizeof round->globs);
        round->rows_count = round->words_done = round->keys_count = 0;
        bool is_full = false;
        bool may_be_plain = batch->byte_program == NULL;
        while (!is_full && batch->next_subject < batch->subjects_count) {
                const struct program *next = batch->programs[batch->next_subject];
                size_t room = ROUND_ROWS - round->rows_count;
                bool is_begun = batch->next_block > 0;
                if (likely(may_be_plain && !is_begun && next->plain_rows[0] <= room)) {
                        gather_plainly(batch);
                } else if (may_be_plain && !is_begun && next->is_whole_only && room > 0) {
                        gather_wholes(batch);
                } else if (may_be_plain && !is_begun && next->plain_rows[1] <= room) {
                        gather_deeply(batch);
                } else {
                        is_full = !gather_subject(batch);
                        batch->next_subject += !is_full;
                }
        }
        while (round->words_done * ROUND_WORD < round->rows_count)
                list_word(round, batch->lines->line, batch->lines->mask);
        return round->rows_count > 0;
}

/* The first candidate of each key, if its line or one behind it has any. Returns how many. */
static __attribute__((noinline)) FORM_TARGET size_t look(struct batch *batch)
{
        struct round *round = &batch->round;
        const struct lines *lines = batch->lines;
        const struct line *first = lines->line;
        const struct record *records = batch->table->records;
        size_t mask = lines->mask, keys_count = round->keys_count, count = 0;
        for (size_t i = 0; i < keys_count; i++) {
                size_t key_index = round->keys[i];
                struct subject_key key = round_key(round, key_index);
                uint32_t mark = table_mark(key), hits;
                uint64_t word = form_line_word(&first[key.lo & mask], mark, &hits);
                bool is_hit = (uint32_t)word == mark;
                pattern_id id = slot_id(word);
                /* No hit, but some pattern had to pass the line; or a slot that changed meanwhile. As one number:
                 * whether there is a hit cannot be predicted, and to be wrong would cost the wait for the line. */
                if (unlikely(((hits | word) & ((uint64_t)is_hit - 1)) != 0)) {
                        struct table_walk walk = table_walk_begin(lines, key);
                        id = table_walk_next(lines, key, &walk);
                        is_hit = id != PATTERN_NONE;
                }
                round->candidates[count] = id;
                round->key_of[count] = (uint8_t)key_index;
                /* An address that is nowhere would be looked for all the same, and in vain each time. */
                round_fetch(&records[id & -(pattern_id)is_hit]);
                count += is_hit;
        }
        return count;
}

/* A star stands for no empty token, and a '>' for no subject that has one. */
static inline bool allows_empties(const struct match_table *table, pattern_id id, uint32_t empties)
{
        struct shape shape = table->records[id].text->shape;
        return !shape_is_of_tokens(shape) || ((shape.stars & empties) == 0 && shape.tail != TAIL_SOME);
}

static inline bool holds(const struct batch *batch, size_t key_index, pattern_id id)
{
        const struct record *record = &batch->table->records[id];
        if (unlikely(!record_has_key(record, round_key(&batch->round, key_index))))
                return false;
        size_t subject = round_subject(&batch->round, key_index);
        if (unlikely(batch->has_empties) && batch->empties[subject] != 0 &&
            !allows_empties(batch->table, id, batch->empties[subject]))
                return false;
        return !TABLE_READS_TEXT ||
               (shape_code(record->text->shape) == batch->round.codes[key_index] &&
                pattern_matches(kept_text_span(record->text), record->text->shape, batch->texts[subject]));
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

/* Where the ids of a call go. */
struct found {
        pattern_id *ids;
        size_t ids_count, ids_max;
        size_t sets_done; /* those before it are complete */
        /* Subjects come in their order. By subject: where in `ids` its own end, or 0 if it has none. */
        size_t ends[MATCH_BATCH_MAX];
        uint64_t reactors[MATCH_BATCH_MAX];
};

/* There is room. */
static inline void found_put(struct found *found, size_t subject, pattern_id id, const struct record *record)
{
        found->ids[found->ids_count++] = id;
        found->ends[subject] = found->ids_count;
        found->reactors[subject] |= atomic_load_explicit(&record->reactors, memory_order_acquire);
}

/* False: there is no room. */
static inline bool found_add(struct found *found, size_t subject, pattern_id id, const struct record *record)
{
        if (unlikely(found->ids_count == found->ids_max))
                return false;
        found_put(found, subject, id, record);
        return true;
}

/* The cold tree, for all subjects that have one at their depth. Steps are taken off a stack, many at once, whosever
 * they are, so that they wait for memory together; each puts back two at most, so that the stack is bounded by a round
 * of them for each depth. Where a step leads to cannot be predicted: it is written down first and counted after. */
#define COLD_ROUND 32
#define COLD_STEPS_MAX (2 * COLD_ROUND * (MATCH_TOKENS_MAX + 1) + MATCH_BATCH_MAX)
#define COLD_ENDS_MAX 1024

struct cold_step {
        uint32_t node;
        uint16_t depth;
        uint16_t subject;
};

/* What was found, to be sorted by subject. */
struct cold_end {
        pattern_id id;
        uint32_t subject;
};

enum cold_mode {
        COLD_NOT_YET,
        COLD_TOGETHER, /* `ends` has what all subjects from the first cold one on found, in their order */
        COLD_SINGLY,   /* that would be too much: each when its turn comes */
};

struct cold_walk {
        enum cold_mode mode;
        size_t ends_taken;
        const struct lines *lines;
        size_t steps_count, probes_count, ends_count;
        struct cold_step now[COLD_ROUND];
        struct subject_key keys[COLD_ROUND + 1]; /* of the edges to look for */
        struct cold_step behind[COLD_ROUND + 1]; /* the edge */
        struct cold_end ends[COLD_ENDS_MAX];
        struct cold_step steps[COLD_STEPS_MAX + 1]; /* as here */
};

static inline bool cold_is_shown(const struct batch *batch, size_t subject, pattern_id id)
{
        uint64_t skip_code = batch->programs[subject]->skip_code;
        if (unlikely(skip_code != SHAPE_CODE_NONE) && shape_code(batch->table->records[id].text->shape) == skip_code)
                return false;
        return likely(!batch->has_empties) || batch->empties[subject] == 0 ||
               allows_empties(batch->table, id, batch->empties[subject]);
}

/* `end` is one more than the id of a pattern, or 0. */
static inline void cold_take(const struct batch *batch, struct cold_walk *walk, size_t subject, uint32_t end)
{
        if (end == 0 || !cold_is_shown(batch, subject, end - 1))
                return;
        round_fetch(&batch->table->records[end - 1]);
        walk->ends[walk->ends_count++] = (struct cold_end){.id = end - 1, .subject = (uint32_t)subject};
}

static inline void cold_push(struct cold_walk *walk, const struct cold *cold, struct cold_step step, bool is_there)
{
        assert_slow(walk->steps_count < COLD_STEPS_MAX);
        round_fetch(&cold->nodes[step.node]);
        walk->steps[walk->steps_count] = step;
        walk->steps_count += is_there;
}

/* What ends at a node, where its star leads, and which edge is to be looked for. */
static inline void cold_visit(struct batch *batch, struct cold_walk *walk, struct cold_step step)
{
        const struct cold *cold = &batch->table->cold;
        const struct cold_node *node = &cold->nodes[step.node];
        const struct subject *subject = &batch->subjects[step.subject];
        bool is_deeper = step.depth < subject->tokens_count;
        /* Each load pairs with a release of cold_add: what it leads to is complete. */
        uint32_t end = is_deeper ? atomic_load_explicit(&node->tails[0], memory_order_acquire)
                                 : atomic_load_explicit(&node->whole, memory_order_acquire);
        cold_take(batch, walk, step.subject, end);
        cold_take(batch, walk, step.subject, atomic_load_explicit(&node->tails[1], memory_order_acquire));
        uint32_t star = atomic_load_explicit(&node->star, memory_order_acquire);
        struct cold_step next = {.node = star, .depth = step.depth + 1, .subject = step.subject};
        cold_push(walk, cold, next, is_deeper & (star != COLD_NONE));

        /* Behind the last token there may be anything: of the last itself, again, nothing comes either. */
        struct subject_key token = subject->tokens[step.depth - !is_deeper];
        struct subject_key key = cold_edge(cold, step.node, token);
        uint64_t literals = atomic_load_explicit(&node->literals, memory_order_acquire);
        bool has_literal = (literals & cold_literal(token)) != 0, may_have = filter_has(walk->lines, key.lo);
        uint32_t is_literal = (uint32_t)is_deeper & (uint32_t)has_literal & (uint32_t)may_have;
        round_fetch(&walk->lines->line[key.lo & walk->lines->mask]);
        walk->keys[walk->probes_count] = key;
        walk->behind[walk->probes_count] = next;
        walk->probes_count += is_literal;
}

/* Hands on what was found of one subject alone. False: there is no room. */
static inline bool cold_flush(const struct match_table *table, struct cold_walk *walk, struct found *found,
                              size_t subject)
{
        for (; walk->ends_taken < walk->ends_count && walk->ends[walk->ends_taken].subject == subject;
             walk->ends_taken++) {
                pattern_id id = walk->ends[walk->ends_taken].id;
                if (unlikely(!found_add(found, subject, id, &table->records[id])))
                        return false;
        }
        return true;
}

/* All steps of the subjects from `first` to `last`; what they find is in walk->ends. When it is of one alone it goes to
 * `found` where it is too much, and false says that there was no room; of several, that it was too much. */
static inline FORM_TARGET bool cold_walk_on(struct batch *batch, struct cold_walk *walk, struct found *found,
                                            size_t first, size_t last)
{
        const struct cold *cold = &batch->table->cold;
        walk->lines = index_lines(&cold->edges);
        walk->steps_count = walk->ends_count = walk->ends_taken = 0;
        for (size_t i = first; i <= last; i++) {
                struct cold_step step = {.node = COLD_ROOT, .depth = 0, .subject = (uint16_t)i};
                cold_push(walk, cold, step, batch->programs[i]->has_cold);
        }
        while (walk->steps_count > 0) {
                size_t count = walk->steps_count < COLD_ROUND ? walk->steps_count : COLD_ROUND;
                if (unlikely(walk->ends_count + 2 * count > COLD_ENDS_MAX)) {
                        if (first < last || !cold_flush(batch->table, walk, found, first))
                                return false;
                        walk->ends_count = walk->ends_taken = 0;
                }
                walk->steps_count -= count;
                walk->probes_count = 0;
                for (size_t i = 0; i < count; i++)
                        walk->now[i] = walk->steps[walk->steps_count + i];
                for (size_t i = 0; i < count; i++)
                        cold_visit(batch, walk, walk->now[i]);
                for (size_t i = 0; i < walk->probes_count; i++) {
                        struct cold_step next = walk->behind[i];
                        next.node = cold_child(cold, walk->lines, walk->keys[i]);
                        cold_push(walk, cold, next, next.node != COLD_NONE);
                }
        }
        return true;
}

/* Orders what was found by subject. */
static inline void cold_sort(struct cold_walk *walk)
{
        struct cold_end sorted[COLD_ENDS_MAX];
        size_t places[MATCH_BATCH_MAX + 1] = {0};
        for (size_t i = 0; i < walk->ends_count; i++)
                places[walk->ends[i].subject + 1]++;
        for (size_t i = 0; i < MATCH_BATCH_MAX; i++)
                places[i + 1] += places[i];
        for (size_t i = 0; i < walk->ends_count; i++)
                sorted[places[walk->ends[i].subject]++] = walk->ends[i];
        for (size_t i = 0; i < walk->ends_count; i++)
                walk->ends[i] = sorted[i];
}

/* False: there is no room. */
static __attribute__((noinline)) FORM_TARGET bool complete_cold(struct batch *batch, struct cold_walk *walk,
                                                                struct found *found, size_t subject)
{
        size_t last = batch->subjects_count - 1;
        if (walk->mode == COLD_NOT_YET) {
                bool together = subject < last && cold_walk_on(batch, walk, found, subject, last);
                walk->mode = together ? COLD_TOGETHER : COLD_SINGLY;
                if (together)
                        cold_sort(walk);
        }
        if (walk->mode == COLD_SINGLY && !cold_walk_on(batch, walk, found, subject, subject))
                return false;
        return cold_flush(batch->table, walk, found, subject);
}

/* Completes the sets of subjects before `end`, whose ids of the lines are there. False: there is no room. */
static inline FORM_TARGET bool complete(struct batch *batch, struct cold_walk *walk, struct found *found, size_t end)
{
        for (; found->sets_done < end; found->sets_done++) {
                const struct program *program = batch->programs[found->sets_done];
                if (unlikely(program->has_cold) && !complete_cold(batch, walk, found, found->sets_done))
                        return false;
        }
        return true;
}

/* Ids lie one behind the other. Returns how many sets there are. */
static inline size_t place_sets(const struct found *found, struct match_set *sets, size_t sets_count)
{
        size_t begin = 0;
        for (size_t i = 0; i < sets_count; i++) {
                size_t end = found->ends[i] > begin ? found->ends[i] : begin;
                sets[i] = (struct match_set){.ids = found->ids == NULL ? NULL : found->ids + begin,
                                             .ids_count = (uint32_t)(end - begin),
                                             .reactors = found->reactors[i]};
                begin = end;
        }
        return sets_count;
}

/* All that begin alike, and match. False: there is no room. */
static __attribute__((noinline)) FORM_TARGET bool settle_globs(struct batch *batch, struct cold_walk *walk,
                                                               struct found *found, size_t key_index)
{
        struct subject_key key = round_key(&batch->round, key_index);
        struct table_walk places = table_walk_begin(batch->lines, key);
        size_t subject = round_subject(&batch->round, key_index);
        if (!complete(batch, walk, found, subject))
                return false;
        for (pattern_id id; (id = table_walk_next(batch->lines, key, &places)) != PATTERN_NONE;) {
                const struct record *record = &batch->table->records[id];
                if (!holds(batch, key_index, id) ||
                    !pattern_matches(kept_text_span(record->text), record->text->shape, batch->texts[subject]))
                        continue;
                if (!found_add(found, subject, id, record)) {
                        found->sets_done = subject;
                        return false;
                }
        }
        return true;
}

/* Candidate `i`: checks it and writes down whose id it is. False: there is no room for those of found->sets_done. */
static inline FORM_TARGET bool settle_one(struct batch *batch, struct cold_walk *walk, struct found *found, size_t i)
{
        const struct round *round = &batch->round;
        pattern_id id = round->candidates[i];
        size_t key_index = round->key_of[i];
        size_t subject = round_subject(round, key_index);
        if (batch->byte_program != NULL && (round->globs[key_index / BLOCK_SHAPES] >> key_index % BLOCK_SHAPES & 1))
                return settle_globs(batch, walk, found, key_index);
        if (unlikely(!holds(batch, key_index, id))) {
                id = look_further(batch, key_index);
                if (id == PATTERN_NONE)
                        return true;
        }
        if (unlikely(batch->has_cold) && !complete(batch, walk, found, subject))
                return false;
        if (likely(found_add(found, subject, id, &batch->table->records[id])))
                return true;
        found->sets_done = subject;
        return false;
}

/* All candidates. */
static __attribute__((noinline)) FORM_TARGET bool settle_all(struct batch *batch, struct cold_walk *walk,
                                                             struct found *found, size_t count)
{
        for (size_t i = 0; i < count; i++)
                if (!settle_one(batch, walk, found, i))
                        return false;
        return true;
}

/* All candidates, of which nothing but the key is to be checked, and for which there is room. */
static __attribute__((noinline)) FORM_TARGET void settle_plainly(struct batch *batch, struct found *found, size_t count)
{
        const struct round *round = &batch->round;
        const struct record *records = batch->table->records;
        size_t ids_count = found->ids_count;
        pattern_id *ids = found->ids;
        for (size_t i = 0; i < count; i++) {
                pattern_id id = round->candidates[i];
                size_t key_index = round->key_of[i];
                size_t subject = round_subject(round, key_index);
                const struct record *record = &records[id];
                if (unlikely(!record_has_key(record, round_key(round, key_index)))) {
                        id = look_further(batch, key_index);
                        if (id == PATTERN_NONE)
                                continue;
                        record = &records[id];
                }
                ids[ids_count++] = id;
                found->ends[subject] = ids_count;
                found->reactors[subject] |= atomic_load_explicit(&record->reactors, memory_order_acquire);
        }
        found->ids_count = ids_count;
}

/* False: there is no room for the ids of found->sets_done. */
static inline FORM_TARGET bool settle(struct batch *batch, struct cold_walk *walk, struct found *found, size_t count)
{
        bool is_plain = !TABLE_READS_TEXT && !batch->has_empties && !batch->has_cold && batch->byte_program == NULL;
        if (unlikely(!is_plain || found->ids_max - found->ids_count < count))
                return settle_all(batch, walk, found, count);
        settle_plainly(batch, found, count);
        return true;
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
        batch.next_bytes = 0;
        /* Pairs with the release in publish_bytes: the program is complete. */
        batch.byte_program = atomic_load_explicit(&table->byte_program, memory_order_acquire);
        struct cold_walk walk;
        walk.mode = COLD_NOT_YET;
        struct found found;
        found.ids = ids;
        found.ids_count = 0;
        found.ids_max = ids_max;
        found.sets_done = 0;
        for (size_t i = 0; i < subjects_count; i++)
                found.ends[i] = found.reactors[i] = 0;

        read_subjects(&batch);
        /* Behind the programs: what one of them looks for in lines may be in those alone that came before it. */
        batch.lines = index_lines(&table->index);
        while (gather(&batch))
                if (!settle(&batch, &walk, &found, look(&batch)))
                        return place_sets(&found, sets, found.sets_done);
        if (unlikely(batch.has_cold) && !complete(&batch, &walk, &found, subjects_count))
                return place_sets(&found, sets, found.sets_done);
        return place_sets(&found, sets, subjects_count);
}
#endif
#endif
