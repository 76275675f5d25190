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

#define ROUND_MAX 240
#define ROUND_GLOB 0x80 /* of a key's subject: many patterns may have it */

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
        size_t next_bytes;                       /* 0: its blocks are not done, else one more than which probe */
        const struct byte_program *byte_program; /* NULL: no pattern asks for beginnings */
        const struct program *programs[MATCH_BATCH_MAX]; /* NULL: nothing to look for by tokens */
        bool has_cold;                                   /* any of those that were gathered so far */
        bool has_empties;                                /* any of them */
        uint32_t empties[MATCH_BATCH_MAX];               /* then: which tokens of each are empty */
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
static inline FORM_TARGET size_t form_beginnings(const struct subject_secrets *secrets, struct span text,
                                                 const struct byte_program *program, size_t first, size_t end,
                                                 struct subject_key *keys);

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

/* A subject that no NATS pattern matches: with empty tokens, or too deep, or too long. */
static __attribute__((noinline)) const struct program *read_any(struct batch *batch, size_t index)
{
        if (!batch->has_empties)
                memset(batch->empties, 0, sizeof batch->empties);
        batch->has_empties = true;
        struct subject *subject = &batch->subjects[index];
        if (!subject_read_any(subject, &batch->table->secrets, batch->texts[index], &batch->empties[index]))
                return NULL;
        return atomic_load_explicit(&batch->table->programs[subject->tokens_count], memory_order_acquire);
}

/* All subjects first: what is done with one then waits for nothing that was begun a moment before. */
static inline FORM_TARGET void read_subjects(struct batch *batch)
{
        batch->has_empties = false;
        if (unlikely(atomic_load_explicit(&batch->table->depths, memory_order_acquire) == 0)) {
                for (size_t i = 0; i < batch->subjects_count; i++)
                        batch->programs[i] = NULL;
                return;
        }
        for (size_t i = 0; i < batch->subjects_count; i++)
                round_fetch(batch->texts[i].bytes);
        for (size_t i = 0; i < batch->subjects_count; i++) {
                struct subject *subject = &batch->subjects[i];
                if (unlikely(!form_read(subject, &batch->table->secrets, batch->texts[i]))) {
                        batch->programs[i] = read_any(batch, i);
                        continue;
                }
                /* Pairs with the release in table_publish: the program is complete. */
                batch->programs[i] =
                        atomic_load_explicit(&batch->table->programs[subject->tokens_count], memory_order_acquire);
        }
}

/* Written down, and counted if the filter lets it through. */
static inline void take_beginning(struct batch *batch, struct subject_key key, uint64_t code, bool is_glob)
{
        struct round *round = &batch->round;
        bool may_be_there = filter_has(batch->lines, table_key(key).lo);
        size_t before = round->count;
        round->lo[before] = key.lo;
        round->hi[before] = key.hi;
        round_take(round, batch->next_subject | (is_glob ? ROUND_GLOB : 0), code);
        round->count = before + may_be_there;
}

#define BEGINNINGS 16 /* at once */

/* The beginnings of one subject, from probe batch->next_bytes on. False: the round is full. */
static __attribute__((noinline)) FORM_TARGET bool gather_bytes(struct batch *batch)
{
        const struct byte_program *program = batch->byte_program;
        struct span text = batch->texts[batch->next_subject];
        const struct subject_secrets *secrets = &batch->table->secrets;
        if (text.size > MATCH_SUBJECT_BYTES_MAX)
                return true;
        for (size_t first = batch->next_bytes - 1; first < program->probes_count; first += BEGINNINGS) {
                if (batch->round.count > ROUND_MAX - BEGINNINGS) {
                        batch->next_bytes = first + 1;
                        return false;
                }
                struct subject_key keys[BEGINNINGS];
                size_t rest = program->probes_count - first;
                size_t end = first + (rest < BEGINNINGS ? rest : BEGINNINGS);
                size_t count = form_beginnings(secrets, text, program, first, end, keys);
                for (size_t i = 0; i < count; i++) {
                        const struct byte_probe *probe = &program->probes[first + i];
                        struct shape shape = {.stars = probe->size, .tail = probe->is_glob ? TAIL_GLOB : TAIL_PREFIX};
                        take_beginning(batch, keys[i], shape_code(shape), probe->is_glob);
                }
                if (first + count < end)
                        break;
        }
        if (program->has_ends && text.size > 0) {
                if (batch->round.count == ROUND_MAX) {
                        batch->next_bytes = program->probes_count + 1;
                        return false;
                }
                struct shape shape = {.stars = (uint32_t)text.size, .tail = TAIL_END};
                struct subject_key key =
                        subject_key_xor(subject_bytes_key(secrets, text), subject_salt(secrets, shape_code(shape)));
                take_beginning(batch, key, shape_code(shape), false);
        }
        return true;
}

/* By tokens. False: the round is full. */
static inline __attribute__((always_inline)) FORM_TARGET bool gather_tokens(struct batch *batch,
                                                                            const struct program *program)
{
        struct round *round = &batch->round;
        batch->has_cold |= program->has_cold;
        if (round->count > ROUND_MAX - BLOCK_SHAPES)
                return false;
        if (!program->is_whole_only)
                return gather_blocks(batch, program);
        const struct subject *subject = &batch->subjects[batch->next_subject];
        struct subject_key key = subject_key_xor(form_whole(subject), program->whole_salt);
        round->lo[round->count] = key.lo;
        round->hi[round->count] = key.hi;
        round_take(round, batch->next_subject, program->whole_code);
        return true;
}

/* Everything of the next subject, when some patterns ask for beginnings. False: the round is full. */
static __attribute__((noinline)) FORM_TARGET bool gather_all(struct batch *batch, const struct program *program)
{
        if (batch->next_bytes == 0) {
                if (program != NULL && !gather_tokens(batch, program))
                        return false;
                batch->next_bytes = 1;
        }
        if (!gather_bytes(batch))
                return false;
        batch->next_bytes = 0;
        return true;
}

/* Everything of the next subject. False: the round is full. */
static inline __attribute__((always_inline)) FORM_TARGET bool gather_subject(struct batch *batch)
{
        const struct program *program = batch->programs[batch->next_subject];
        if (unlikely(batch->byte_program != NULL))
                return gather_all(batch, program);
        return unlikely(program == NULL) || gather_tokens(batch, program);
}

/* Fills the round with the next keys to look for, and fetches their lines. False: there are none left. */
static inline FORM_TARGET bool gather(struct batch *batch)
{
        struct round *round = &batch->round;
        size_t fetched = 0, settled = 0, settling = 0;
        round->count = 0;
        for (; batch->next_subject < batch->subjects_count; batch->next_subject++) {
                if (unlikely(!gather_subject(batch)))
                        break;
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
        size_t subject = batch->round.subject[key_index] & (ROUND_GLOB - 1);
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
        struct match_set *sets;
        size_t sets_done; /* those before it are complete */
};

/* False: there is no room. */
static inline bool found_add(struct found *found, size_t subject, pattern_id id)
{
        if (unlikely(found->ids_count == found->ids_max))
                return false;
        found->ids[found->ids_count++] = id;
        found->sets[subject].ids_count++;
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

        /* Behind the last token there may be anything, but it may be read. */
        struct subject_key token = subject->tokens[step.depth];
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
        struct match_set *set = &found->sets[subject];
        for (; walk->ends_taken < walk->ends_count && walk->ends[walk->ends_taken].subject == subject;
             walk->ends_taken++) {
                pattern_id id = walk->ends[walk->ends_taken].id;
                if (unlikely(!found_add(found, subject, id)))
                        return false;
                set->reactors |= atomic_load_explicit(&table->records[id].reactors, memory_order_acquire);
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
                cold_push(walk, cold, step, batch->programs[i] != NULL && batch->programs[i]->has_cold);
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
                if (program != NULL && unlikely(program->has_cold) &&
                    !complete_cold(batch, walk, found, found->sets_done))
                        return false;
        }
        return true;
}

/* Ids lie one behind the other. Returns how many sets there are. */
static inline size_t place_sets(const struct found *found, size_t sets_count)
{
        const pattern_id *ids = found->ids;
        for (size_t i = 0; i < sets_count; i++) {
                struct match_set *set = &found->sets[i];
                set->ids = ids;
                if (set->ids_count > 0) /* `ids` may be NULL */
                        ids += set->ids_count;
        }
        return sets_count;
}

/* All that begin alike, and match. False: there is no room. */
static __attribute__((noinline)) FORM_TARGET bool settle_globs(struct batch *batch, struct cold_walk *walk,
                                                               struct found *found, size_t key_index)
{
        struct subject_key key = round_key(&batch->round, key_index);
        struct table_walk places = table_walk_begin(batch->lines, key);
        size_t subject = batch->round.subject[key_index] & (ROUND_GLOB - 1);
        if (!complete(batch, walk, found, subject))
                return false;
        for (pattern_id id; (id = table_walk_next(batch->lines, key, &places)) != PATTERN_NONE;) {
                const struct record *record = &batch->table->records[id];
                if (!holds(batch, key_index, id) ||
                    !pattern_matches(kept_text_span(record->text), record->text->shape, batch->texts[subject]))
                        continue;
                if (!found_add(found, subject, id)) {
                        found->sets_done = subject;
                        return false;
                }
                found->sets[subject].reactors |= atomic_load_explicit(&record->reactors, memory_order_acquire);
        }
        return true;
}

/* Checks the candidates and writes down whose id it is. False: there is no room for those of found->sets_done. */
static inline FORM_TARGET bool settle(struct batch *batch, struct cold_walk *walk, struct found *found, size_t count)
{
        const struct round *round = &batch->round;
        for (size_t i = 0; i < count; i++) {
                pattern_id id = round->candidates[i];
                size_t key_index = round->key_of[i];
                size_t subject = round->subject[key_index];
                if (unlikely(subject & ROUND_GLOB)) {
                        if (!settle_globs(batch, walk, found, key_index))
                                return false;
                        continue;
                }
                if (unlikely(!holds(batch, key_index, id))) {
                        id = look_further(batch, key_index);
                        if (id == PATTERN_NONE)
                                continue;
                }
                if (unlikely(batch->has_cold) && !complete(batch, walk, found, subject))
                        return false;
                if (unlikely(!found_add(found, subject, id))) {
                        found->sets_done = subject;
                        return false;
                }
                found->sets[subject].reactors |=
                        atomic_load_explicit(&batch->table->records[id].reactors, memory_order_acquire);
        }
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
        batch.has_cold = false;
        /* Pairs with the release in publish_bytes: the program is complete. */
        batch.byte_program = atomic_load_explicit(&table->byte_program, memory_order_acquire);
        struct cold_walk walk;
        walk.mode = COLD_NOT_YET;
        struct found found = {.ids = ids, .ids_count = 0, .ids_max = ids_max, .sets = sets, .sets_done = 0};

        for (size_t i = 0; i < subjects_count; i++)
                sets[i] = (struct match_set){.ids = NULL};
        read_subjects(&batch);
        /* Behind the programs: what one of them looks for in lines may be in those alone that came before it. */
        batch.lines = index_lines(&table->index);
        while (gather(&batch))
                if (!settle(&batch, &walk, &found, look(&batch)))
                        return place_sets(&found, found.sets_done);
        if (!complete(&batch, &walk, &found, subjects_count))
                return place_sets(&found, found.sets_done);
        return place_sets(&found, subjects_count);
}
#endif
#endif
