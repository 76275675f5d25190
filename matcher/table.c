/* The writer's half of the matcher. Order within a change is what makes it safe: all that can fail comes first, the
 * programs for a new shape among it; then the record, the lines passed, the slot; the stamps and the version last,
 * since they promise the change to whoever reads them. */
#include <errno.h>
#include <stdlib.h>

#include "engine/base/mark.h"
#include "matcher/table.h"

static struct subject_key key_of_id(const void *context, uint32_t id)
{
        const struct match_table *table = context;
        return record_key(&table->records[id]);
}

/* Programs. */

static void program_free(const struct program *program)
{
        if (program != &program_none)
                free((void *)program);
}

static void program_free_retired(struct epoch_retired *retired)
{
        free(container_of(retired, struct program, retired));
}

/* Before the program: whoever sees that has been told how much it can find. It never shrinks. */
static void promise(struct match_table *table, size_t *matches, size_t wanted)
{
        if (wanted <= *matches)
                return;
        *matches = wanted;
        atomic_store_explicit(&table->ids_max, table->shapes_matches + table->bytes_matches, memory_order_release);
}

int table_publish(struct match_table *table, uint64_t depths)
{
        struct program *made[MATCH_TOKENS_MAX + 1] = {NULL};
        for (uint64_t left = depths; left != 0; left &= left - 1) {
                size_t depth = (size_t)__builtin_ctzll(left);
                /* What moves is hidden where it is looked for, and nowhere else. */
                bool has_move = shape_depths(table->move.shape) >> depth & 1;
                uint64_t skip_code = has_move ? table->move.skip_code : SHAPE_CODE_NONE;
                if (program_new(&made[depth], &table->shapes, &table->secrets, skip_code, depth) == 0)
                        continue;
                for (size_t i = 1; i < depth; i++)
                        free(made[i]);
                return -ENOMEM;
        }
        for (uint64_t left = depths; left != 0; left &= left - 1) {
                size_t depth = (size_t)__builtin_ctzll(left);
                const struct program *old = atomic_load_explicit(&table->programs[depth], memory_order_relaxed);
                const struct program *now = made[depth] != NULL ? made[depth] : &program_none;
                promise(table, &table->shapes_matches, now->shapes_count);
                atomic_store_explicit(&table->programs[depth], now, memory_order_release);
                uint64_t others = atomic_load_explicit(&table->depths, memory_order_relaxed) & ~((uint64_t)1 << depth);
                uint64_t own = (uint64_t)(made[depth] != NULL) << depth;
                atomic_store_explicit(&table->depths, others | own, memory_order_release);
                if (old != &program_none)
                        epoch_retire(&table->bin, &((struct program *)old)->retired, program_free_retired);
        }
        return 0;
}

static void byte_program_free_retired(struct epoch_retired *retired)
{
        free(container_of(retired, struct byte_program, retired));
}

static int publish_bytes(struct match_table *table)
{
        struct byte_program *made;
        if (byte_program_new(&made, &table->byte_shapes, &table->secrets) != 0)
                return -ENOMEM;
        struct byte_program *old = atomic_load_explicit(&table->byte_program, memory_order_relaxed);
        atomic_store_explicit(&table->byte_program, made, memory_order_release);
        if (old != NULL)
                epoch_retire(&table->bin, &old->retired, byte_program_free_retired);
        table->bytes_are_stale = false;
        return 0;
}

/* One pattern more asks for beginnings. 0, or -ENOMEM and nothing has changed. */
static int take_bytes(struct match_table *table, struct shape shape)
{
        bool is_new = byte_shapes_use(&table->byte_shapes, shape);
        promise(table, &table->bytes_matches, byte_shapes_matches(&table->byte_shapes));
        if (!is_new || publish_bytes(table) == 0)
                return 0;
        byte_shapes_unuse(&table->byte_shapes, shape);
        return -ENOMEM;
}

/* Programs without the shapes that nobody uses any more. If there is no memory for them the old ones go on: they find
 * the same and take longer. */
static void sweep_shapes(struct match_table *table)
{
        if (table->shapes.unused_count > 0)
                table->depths_stale |= shapes_sweep(&table->shapes);
        if (table->depths_stale != 0 && table_publish(table, table->depths_stale) == 0)
                table->depths_stale = 0;
        if (table->bytes_are_stale)
                (void)publish_bytes(table);
}

/* One pattern more has `shape`, whose row is told, NULL where shapes have none. 0, or -ENOMEM and nothing has changed.
 */
static int take_shape(struct match_table *table, struct shape shape, struct shape_row **row)
{
        bool made;
        *row = NULL;
        if (!shape_is_of_tokens(shape))
                return take_bytes(table, shape);
        *row = shapes_get(&table->shapes, shape, &made);
        if (*row == NULL)
                return -ENOMEM;
        if (made && table_publish(table, shape_depths(shape)) != 0) {
                /* A row without patterns promises that the programs hold it; this one must not stay. */
                table->depths_stale |= shapes_sweep(&table->shapes);
                return -ENOMEM;
        }
        shapes_use(&table->shapes, *row);
        return 0;
}

static void give_shape(struct match_table *table, struct shape shape)
{
        if (shape_is_of_tokens(shape))
                shapes_unuse(&table->shapes, shape);
        else if (byte_shapes_unuse(&table->byte_shapes, shape))
                table->bytes_are_stale = true;
}

/* Ids. */

static void retire_leaving(struct match_table *table);

static pattern_id take_id(struct match_table *table)
{
        if (table->patterns_count == table->patterns_max)
                return PATTERN_NONE;
        /* What was withdrawn may have waited for nobody but us since the writer's last turn: it sleeps meanwhile. */
        if (unlikely(table->ids_free == PATTERN_NONE && table->ids_fresh == table->id_end)) {
                retire_leaving(table);
                epoch_collect(&table->bin);
        }
        pattern_id id = table->ids_free;
        if (id != PATTERN_NONE)
                table->ids_free = (pattern_id)atomic_load_explicit(&table->records[id].key_lo, memory_order_relaxed);
        else if (table->ids_fresh < table->id_end)
                id = (pattern_id)table->ids_fresh++;
        return id;
}

static void give_id(struct match_table *table, pattern_id id)
{
        struct record *record = &table->records[id];
        record->text = NULL;
        atomic_store_explicit(&record->key_lo, table->ids_free, memory_order_relaxed);
        table->ids_free = id;
}

static void leavers_free(struct epoch_retired *retired)
{
        struct leavers *leavers = container_of(retired, struct leavers, retired);
        struct match_table *table = leavers->table;
        for (pattern_id id = leavers->first, next; id != PATTERN_NONE; id = next) {
                struct kept_text *text = table->records[id].text;
                next = text->next;
                give_id(table, id);
                free(text);
        }
        cold_give(&table->cold, leavers->nodes);
        free(table->leavers);
        table->leavers = leavers;
}

/* What has been withdrawn since the last time retires as one; when there is no memory for that, a later time. */
static void retire_leaving(struct match_table *table)
{
        if (table->leaving == PATTERN_NONE && table->cold.leaving == COLD_NONE)
                return;
        struct leavers *leavers = table->leavers != NULL ? table->leavers : malloc(sizeof *leavers);
        table->leavers = NULL;
        if (leavers == NULL)
                return;
        leavers->table = table;
        leavers->first = table->leaving;
        leavers->nodes = cold_take_leaving(&table->cold);
        table->leaving = PATTERN_NONE;
        epoch_retire(&table->bin, &leavers->retired, leavers_free);
}

static struct kept_text *kept_text_new(struct span text, struct shape shape)
{
        static_assert(MATCH_SUBJECT_BYTES_MAX <= UINT16_MAX, "a size fits");
        struct kept_text *kept = malloc(sizeof *kept + text.size);
        if (kept == NULL)
                return NULL;
        kept->shape = shape;
        kept->size = (uint16_t)text.size;
        span_copy(kept->bytes, text);
        return kept;
}

/* The table as match.h promises it. */

static void bump_version(struct match_table *table)
{
        uint64_t version = atomic_load_explicit(&table->version, memory_order_relaxed);
        /* Pairs with the acquire in match_version: who sees it sees the change. */
        atomic_store_explicit(&table->version, version + 1, memory_order_release);
}

int match_table_new(struct match_table **table, const struct match_limits *limits, const uint8_t secret[16])
{
        return form_table_new(table, limits, secret, form_best());
}

int form_table_new(struct match_table **table_out, const struct match_limits *limits, const uint8_t secret[16],
                   const struct match_form *form)
{
        assert(limits->patterns_max >= 1);
        assert(match_id_end(limits) < (size_t)1 << 31);
        struct match_table *table = aligned_alloc(_Alignof(struct match_table), sizeof *table);
        if (table == NULL)
                return -ENOMEM;
        memset(table, 0, sizeof *table);
        subject_secrets_init_as(&table->secrets, secret, form->is_aes);
        table->form = form;
        table->leaving = PATTERN_NONE;
        epoch_bin_init(&table->bin);
        table->patterns_max = limits->patterns_max;
        table->ids_free = PATTERN_NONE;
        table->id_end = match_id_end(limits);
        table->records_bytes = table->id_end * sizeof(struct record);
        table->records = map_zeroed(table->records_bytes);
        for (size_t depth = 0; depth <= MATCH_TOKENS_MAX; depth++)
                atomic_store_explicit(&table->programs[depth], &program_none, memory_order_relaxed);
        table->shapes.hot_max = form->shapes_hot;
        table->move.skip_code = SHAPE_CODE_NONE;
        stamps_init(&table->stamps);
        int error = index_init(&table->index, &table->bin, key_of_id, table);
        if (error == 0)
                error = cold_init(&table->cold, &table->bin, &table->secrets, table->id_end);
        if (table->records == NULL || error != 0) {
                match_table_free(table);
                return -ENOMEM;
        }
        *table_out = table;
        return 0;
}

void match_table_free(struct match_table *table)
{
        if (table == NULL)
                return;
        epoch_drain(&table->bin);
        for (size_t id = 0; id < table->ids_fresh; id++)
                free(table->records[id].text);
        for (size_t depth = 0; depth <= MATCH_TOKENS_MAX; depth++)
                program_free(atomic_load_explicit(&table->programs[depth], memory_order_relaxed));
        free(atomic_load_explicit(&table->byte_program, memory_order_relaxed));
        free(table->leavers);
        shapes_fini(&table->shapes);
        cold_fini(&table->cold);
        index_fini(&table->index);
        unmap(table->records, table->records_bytes);
        free(table);
}

static bool has_wildcards(struct span text, enum match_dialect dialect)
{
        return memchr(text.bytes, '*', text.size) != NULL ||
               memchr(text.bytes, dialect == MATCH_NATS ? '>' : '#', text.size) != NULL;
}

/* Most patterns are subjects without wildcards, and read as those are. False: not this one. */
static bool read_plain(struct pattern_read *pattern, const struct match_table *table, struct span text,
                       enum match_dialect dialect)
{
        struct subject subject;
        if (dialect == MATCH_PREFIX || text.size == 0 || text.size > MATCH_SUBJECT_BYTES_MAX ||
            (dialect != MATCH_EXACT && has_wildcards(text, dialect)) ||
            !table->form->read(&subject, &table->secrets, text))
                return false;
        pattern->text = text;
        pattern->shape = (struct shape){.tokens_count = (uint8_t)subject.tokens_count, .tail = TAIL_NONE};
        struct subject_key salt = subject_salt(&table->secrets, shape_code(pattern->shape));
        pattern->key = table_key(subject_key_xor(subject.all, salt));
        return true;
}

/* 0, or what is wrong with the text. */
static int pattern_read(struct pattern_read *pattern, const struct match_table *table, struct span text,
                        enum match_dialect dialect)
{
        if (read_plain(pattern, table, text, dialect)) {
                index_fetch(&table->index, pattern->key);
                return 0;
        }
        int error = pattern_parse(&pattern->shape, text, dialect);
        if (error != 0)
                return error;
        pattern->text = pattern_canonical(text, dialect, pattern->room);
        struct subject_key key = subject_salt(&table->secrets, shape_code(pattern->shape));
        if (shape_is_of_tokens(pattern->shape)) {
                pattern_tokens(&table->secrets, pattern->text, pattern->shape, pattern->tokens);
                for (uint32_t literals = shape_literals(pattern->shape); literals != 0; literals &= literals - 1)
                        key = subject_key_xor(key, pattern->tokens[__builtin_ctz(literals)]);
        } else {
                struct span beginning = span_of(pattern->text.bytes, pattern->shape.stars);
                key = subject_key_xor(key, subject_bytes_key(&table->secrets, beginning));
        }
        pattern->key = table_key(key);
        index_fetch(&table->index, pattern->key);
        return 0;
}

static pattern_id find_in_lines(const struct match_table *table, const struct pattern_read *pattern)
{
        const struct lines *lines = index_lines(&table->index);
        struct table_walk walk = table_walk_begin(lines, pattern->key);
        for (;;) {
                pattern_id id = table_walk_next(lines, pattern->key, &walk);
                if (id == PATTERN_NONE)
                        return PATTERN_NONE;
                const struct record *record = &table->records[id];
                /* The text, too: this is not the event path, and one miss more makes a mix-up impossible here. */
                if (record_has_key(record, pattern->key) && shape_equal(record->text->shape, pattern->shape) &&
                    span_equal(kept_text_span(record->text), pattern->text))
                        return id;
        }
}

/* How many globs begin like this one. */
static size_t globs_alike(const struct match_table *table, const struct pattern_read *pattern)
{
        const struct lines *lines = index_lines(&table->index);
        struct table_walk walk = table_walk_begin(lines, pattern->key);
        size_t count = 0;
        for (pattern_id id; (id = table_walk_next(lines, pattern->key, &walk)) != PATTERN_NONE;)
                count += record_has_key(&table->records[id], pattern->key);
        return count;
}

static pattern_id find(const struct match_table *table, const struct pattern_read *pattern)
{
        if (!shape_is_of_tokens(pattern->shape))
                return find_in_lines(table, pattern);
        const struct shape_row *row = shapes_find(&table->shapes, pattern->shape);
        if (row == NULL)
                return PATTERN_NONE;
        pattern_id id = row->in_lines ? find_in_lines(table, pattern) : PATTERN_NONE;
        return id == PATTERN_NONE && row->in_tree ? cold_find(&table->cold, pattern->shape, pattern->tokens) : id;
}

pattern_id match_find(const struct match_table *table, struct span text, enum match_dialect dialect)
{
        struct pattern_read pattern;
        return pattern_read(&pattern, table, text, dialect) == 0 ? find(table, &pattern) : PATTERN_NONE;
}

int match_check(struct span pattern, enum match_dialect dialect)
{
        struct shape shape;
        return pattern_parse(&shape, pattern, dialect);
}

/* Everything that may fail, then everything that may not. */
static int add_new(struct match_table *table, const struct pattern_read *pattern, uint64_t reactors, pattern_id *id)
{
        pattern_id taken = take_id(table);
        if (taken == PATTERN_NONE)
                return -ENOSPC;
        struct kept_text *text = kept_text_new(pattern->text, pattern->shape);
        struct shape_row *row = NULL;
        int error = text == NULL ? -ENOMEM : index_make_room(&table->index, 1);
        if (error == 0 && pattern->shape.tail == TAIL_GLOB && globs_alike(table, pattern) >= GLOBS_ALIKE_MAX) {
                seen("too many globs began alike");
                error = -ENOSPC;
        }
        if (error == 0)
                error = take_shape(table, pattern->shape, &row);
        if (error != 0) {
                free(text);
                give_id(table, taken);
                return error;
        }
        struct record *record = &table->records[taken];
        record->text = text;
        atomic_store_explicit(&record->key_lo, pattern->key.lo, memory_order_relaxed);
        atomic_store_explicit(&record->key_hi, pattern->key.hi, memory_order_relaxed);
        atomic_store_explicit(&record->reactors, reactors, memory_order_relaxed);
        if (row != NULL && row->in_tree) {
                error = cold_add(&table->cold, pattern->shape, pattern->tokens, taken);
                if (error != 0) {
                        give_shape(table, pattern->shape);
                        free(text);
                        give_id(table, taken);
                        return error;
                }
        }
        if (row == NULL || row->in_lines)
                index_insert(&table->index, pattern->key, taken, shape_is_wild(pattern->shape));
        table->patterns_count++;
        *id = taken;
        return 0;
}

static void bump(struct match_table *table, struct span text, struct shape shape)
{
        stamps_raise(&table->stamps, stamps_reach(&table->secrets, text, shape));
        bump_version(table);
        table->move.changes_count++;
        index_grow_on(&table->index);
}

int match_add(struct match_table *table, struct span text, enum match_dialect dialect, unsigned reactor, pattern_id *id)
{
        assert(reactor < MATCH_REACTORS_MAX);
        uint64_t bit = (uint64_t)1 << reactor;
        struct pattern_read pattern;
        int error = pattern_read(&pattern, table, text, dialect);
        if (error != 0)
                return error;
        pattern_id found = find(table, &pattern);
        if (found == PATTERN_NONE) {
                error = add_new(table, &pattern, bit, id);
                if (error != 0)
                        return error;
        } else {
                *id = found;
                _Atomic uint64_t *reactors = &table->records[found].reactors;
                uint64_t before = atomic_load_explicit(reactors, memory_order_relaxed);
                if (before & bit)
                        return 0;
                atomic_store_explicit(reactors, before | bit, memory_order_release);
        }
        bump(table, pattern.text, pattern.shape);
        return 0;
}

/* Out of where its shape is. */
static void take_out(struct match_table *table, pattern_id id)
{
        const struct record *record = &table->records[id];
        struct shape shape = record->text->shape;
        const struct shape_row *row = shape_is_of_tokens(shape) ? shapes_find(&table->shapes, shape) : NULL;
        bool removed = false;
        if (row != NULL && (row->in_tree || row->is_moving)) {
                struct subject_key tokens[MATCH_TOKENS_MAX];
                pattern_tokens(&table->secrets, kept_text_span(record->text), shape, tokens);
                removed = cold_remove(&table->cold, shape, tokens, id);
        }
        if (row == NULL || row->in_lines || row->is_moving)
                removed |= index_remove(&table->index, record_key(record), id, shape_is_wild(shape));
        assert(removed);
        give_shape(table, shape);
}

void match_remove(struct match_table *table, pattern_id id, unsigned reactor)
{
        assert(reactor < MATCH_REACTORS_MAX);
        assert(id < table->ids_fresh);
        struct record *record = &table->records[id];
        /* What is needed below, unless others still have it, is all in different places. */
        __builtin_prefetch(record->text, 1);
        index_fetch(&table->index, record_key(record));
        uint64_t before = atomic_load_explicit(&record->reactors, memory_order_relaxed);
        uint64_t after = before & ~((uint64_t)1 << reactor);
        if (before == after)
                return;
        atomic_store_explicit(&record->reactors, after, memory_order_release);
        if (after == 0) {
                take_out(table, id);
                table->patterns_count--;
                record->text->next = table->leaving;
                table->leaving = id;
        }
        bump(table, kept_text_span(record->text), record->text->shape);
}

void match_collect(struct match_table *table)
{
        sweep_shapes(table);
        table_move_on(table);
        index_grow_on(&table->cold.edges);
        index_grow_on(&table->index);
        retire_leaving(table);
        epoch_collect(&table->bin);
}

struct span match_text(const struct match_table *table, pattern_id id)
{
        assert(table->records[id].text != NULL);
        return kept_text_span(table->records[id].text);
}

size_t match_patterns_count(const struct match_table *table)
{
        return table->patterns_count;
}

size_t match_id_end(const struct match_limits *limits)
{
        return limits->patterns_max + limits->retiring_max;
}

uint64_t match_version(const struct match_table *table)
{
        /* Pairs with the release in bump_version. */
        return atomic_load_explicit(&table->version, memory_order_acquire);
}

match_reach match_reach_of(const struct match_table *table, struct span pattern, enum match_dialect dialect)
{
        struct shape shape;
        int error = pattern_parse(&shape, pattern, dialect);
        assert(error == 0);
        return stamps_reach(&table->secrets, pattern, shape);
}

void match_touch(struct match_table *table, match_reach reach)
{
        stamps_raise(&table->stamps, reach);
}

size_t match_ids_max(const struct match_table *table)
{
        /* Pairs with the release in publish_programs. */
        return atomic_load_explicit(&table->ids_max, memory_order_acquire);
}
