/* The writer's half of the matcher. Order within a change is what makes it safe: all that can fail comes first, the
 * programs for a new shape among it; then the record, the lines passed, the slot; the version last, since it promises
 * the change to whoever reads it. */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "engine/base/bits.h"
#include "matcher/table.h"

#define LINES_MIN 64
#define GROW_PERCENT 60 /* of the slots in use: start to copy */
#define FULL_PERCENT 90 /* there was no memory to grow, and now there is no room either */
/* Copied with each change, of which each fills one slot at most: the copy is complete before the load is up by 8 %. */
#define GROW_LINES_A_CHANGE 2
#define FILTER_WORDS_MIN 64
#define FILTER_BITS 16             /* for each key, at least, when it is made */
#define FILTER_BITS_FULL 8         /* fewer, and it is made anew */
#define PAGE_BYTES ((size_t)65536) /* at most, on any machine */
#define HUGE_PAGE_BYTES ((size_t)2 << 20)

static void unmap_exactly(void *memory, size_t bytes)
{
        if (bytes > 0 && munmap(memory, bytes) != 0)
                assert(!"what was mapped can be unmapped");
}

static void unmap(void *memory, size_t bytes)
{
        if (memory != NULL)
                unmap_exactly(memory, bits_align_up(bytes, PAGE_BYTES));
}

/* Of huge pages where the kernel has them to give, which needs a place at a boundary of theirs. */
static void *map_zeroed(size_t bytes)
{
        bool is_huge = bytes >= HUGE_PAGE_BYTES;
        size_t room = bits_align_up(bytes, PAGE_BYTES) + (is_huge ? HUGE_PAGE_BYTES : 0);
        uint8_t *memory = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED)
                return NULL;
        if (!is_huge)
                return memory;
        /* What is in front and behind goes back. */
        size_t before = -(uintptr_t)memory & (HUGE_PAGE_BYTES - 1);
        uint8_t *begin = memory + before;
        unmap_exactly(memory, before);
        unmap_exactly(begin + bits_align_up(bytes, PAGE_BYTES), HUGE_PAGE_BYTES - before);
        /* Advice only: without huge pages it is slower, not wrong. */
        (void)madvise(begin, bytes, MADV_HUGEPAGE);
        return begin;
}

/* Lines. */

static size_t lines_bytes(const struct lines *lines)
{
        return (lines->mask + 1) * sizeof(struct line);
}

static size_t filter_bytes(const struct lines *lines)
{
        return (lines->filter_mask + 1) * sizeof(uint64_t);
}

static void lines_free(struct lines *lines)
{
        if (lines == NULL)
                return;
        unmap(lines->line, lines_bytes(lines));
        unmap(lines->filter, filter_bytes(lines));
        free(lines);
}

/* With a filter for `filtered_count` keys, at least. */
static struct lines *lines_new(size_t lines_count, size_t filtered_count)
{
        assert(lines_count >= LINES_MIN);
        struct lines *lines = calloc(1, sizeof *lines);
        if (lines == NULL)
                return NULL;
        size_t words = FILTER_WORDS_MIN;
        while (words * 64 < filtered_count * FILTER_BITS)
                words *= 2;
        lines->mask = lines_count - 1;
        lines->filter_mask = words - 1;
        lines->line = map_zeroed(lines_bytes(lines));
        lines->filter = map_zeroed(filter_bytes(lines));
        if (lines->line != NULL && lines->filter != NULL)
                return lines;
        lines_free(lines);
        return NULL;
}

static void lines_free_retired(struct epoch_retired *retired)
{
        lines_free(container_of(retired, struct lines, retired));
}

static size_t lines_slots(const struct lines *lines)
{
        return (lines->mask + 1) * LINE_SLOTS;
}

/* The slot that holds `value`, 0 for an empty one; NULL if the walk from `key`'s line finds none. *passed is how many
 * lines it has left behind. */
static _Atomic uint64_t *lines_seek(const struct lines *lines, struct subject_key key, uint64_t value, size_t *passed)
{
        for (*passed = 0; *passed <= lines->mask; ++*passed) {
                struct line *line = &lines->line[(key.lo + *passed) & lines->mask];
                for (size_t i = 0; i < LINE_SLOTS; i++)
                        if (atomic_load_explicit(&line->slots[i], memory_order_relaxed) == value)
                                return &line->slots[i];
                if (value != 0 && atomic_load_explicit(&line->passed, memory_order_relaxed) == 0)
                        return NULL;
        }
        return NULL;
}

static void lines_count_passed(const struct lines *lines, struct subject_key key, size_t passed, uint64_t add)
{
        for (size_t i = 0; i < passed; i++) {
                struct line *line = &lines->line[(key.lo + i) & lines->mask];
                uint64_t count = atomic_load_explicit(&line->passed, memory_order_relaxed);
                atomic_store_explicit(&line->passed, count + add, memory_order_release);
        }
}

static void filter_add(struct lines *lines, uint64_t key_lo)
{
        _Atomic uint64_t *word = &lines->filter[filter_word(lines, key_lo)];
        uint64_t before = atomic_load_explicit(word, memory_order_relaxed);
        atomic_store_explicit(word, before | filter_bits(key_lo), memory_order_release);
        lines->filtered_count++;
}

/* Room has been made sure of. */
static void lines_insert(struct lines *lines, struct subject_key key, pattern_id id, bool is_filtered)
{
        size_t passed;
        if (is_filtered)
                filter_add(lines, key.lo);
        _Atomic uint64_t *slot = lines_seek(lines, key, 0, &passed);
        assert(slot != NULL);
        lines_count_passed(lines, key, passed, 1);
        /* The release that readers' walks pair with: this is the moment the pattern appears. */
        atomic_store_explicit(slot, slot_of(key, id, is_filtered), memory_order_release);
}

static bool lines_remove(const struct lines *lines, struct subject_key key, pattern_id id, bool is_filtered)
{
        size_t passed;
        _Atomic uint64_t *slot = lines_seek(lines, key, slot_of(key, id, is_filtered), &passed);
        if (slot == NULL)
                return false;
        atomic_store_explicit(slot, 0, memory_order_release);
        lines_count_passed(lines, key, passed, (uint64_t)-1);
        return true;
}

/* Growth. */

static struct lines *current_lines(const struct match_table *table)
{
        return atomic_load_explicit(&table->lines, memory_order_relaxed);
}

static struct subject_key record_key(const struct record *record)
{
        return (struct subject_key){
                .lo = atomic_load_explicit(&record->key_lo, memory_order_relaxed),
                .hi = atomic_load_explicit(&record->key_hi, memory_order_relaxed),
        };
}

/* Copies what is in `line` and not yet there: since the copy began, changes have gone to both. */
static void copy_line(struct match_table *table, const struct line *line)
{
        for (size_t i = 0; i < LINE_SLOTS; i++) {
                uint64_t slot = atomic_load_explicit(&line->slots[i], memory_order_relaxed);
                if (slot == 0)
                        continue;
                struct subject_key key = record_key(&table->records[slot_id(slot)]);
                size_t passed;
                if (lines_seek(table->growing, key, slot, &passed) == NULL)
                        lines_insert(table->growing, key, slot_id(slot), slot & SLOT_FILTERED);
        }
}

static void grow_on(struct match_table *table)
{
        if (table->growing == NULL)
                return;
        struct lines *old = current_lines(table);
        for (size_t i = 0; i < GROW_LINES_A_CHANGE && table->growing_copied <= old->mask; i++)
                copy_line(table, &old->line[table->growing_copied++]);
        if (table->growing_copied <= old->mask)
                return;
        /* Readers acquire this: they see the copy complete. */
        atomic_store_explicit(&table->lines, table->growing, memory_order_release);
        table->growing = NULL;
        epoch_retire(&table->bin, &old->retired, lines_free_retired);
}

/* Makes sure that one more pattern has room, and begins a copy when there is little: of lines or of bits in the filter.
 * 0 or -ENOMEM. Without memory for a new filter the old one goes on; it lets more through. */
static int make_room(struct match_table *table)
{
        struct lines *lines = current_lines(table);
        size_t wanted = table->patterns_count + 1;
        bool is_tight = wanted * 100 > lines_slots(lines) * GROW_PERCENT;
        bool is_blurred = lines->filtered_count * FILTER_BITS_FULL > filter_bytes(lines) * 8;
        if (likely(!is_tight && !is_blurred))
                return 0;
        if (table->growing == NULL) {
                table->growing = lines_new((lines->mask + 1) << is_tight, table->wild_count + 1);
                table->growing_copied = 0;
        }
        return wanted * 100 <= lines_slots(lines) * FULL_PERCENT ? 0 : -ENOMEM;
}

/* Programs. */

static void program_free_retired(struct epoch_retired *retired)
{
        free(container_of(retired, struct program, retired));
}

/* Compiles and publishes the programs of `depths` anew. 0, or -ENOMEM and nothing has changed. */
static int publish_programs(struct match_table *table, uint64_t depths)
{
        struct program *made[MATCH_TOKENS_MAX + 1] = {NULL};
        for (uint64_t left = depths; left != 0; left &= left - 1) {
                size_t depth = (size_t)__builtin_ctzll(left);
                if (program_new(&made[depth], &table->shapes, &table->secrets, depth) == 0)
                        continue;
                for (size_t i = 1; i < depth; i++)
                        free(made[i]);
                return -ENOMEM;
        }
        for (uint64_t left = depths; left != 0; left &= left - 1) {
                size_t depth = (size_t)__builtin_ctzll(left);
                struct program *old = atomic_load_explicit(&table->programs[depth], memory_order_relaxed);
                /* Before the program: whoever sees that has been told how much it can find. It never shrinks. */
                if (made[depth] != NULL &&
                    made[depth]->shapes_count > atomic_load_explicit(&table->ids_max, memory_order_relaxed))
                        atomic_store_explicit(&table->ids_max, made[depth]->shapes_count, memory_order_release);
                atomic_store_explicit(&table->programs[depth], made[depth], memory_order_release);
                if (old != NULL)
                        epoch_retire(&table->bin, &old->retired, program_free_retired);
        }
        return 0;
}

/* Programs without the shapes that nobody uses any more. If there is no memory for them the old ones go on: they find
 * the same and take longer. */
static void sweep_shapes(struct match_table *table)
{
        if (table->shapes.unused_count > 0)
                table->depths_stale |= shapes_sweep(&table->shapes);
        if (table->depths_stale != 0 && publish_programs(table, table->depths_stale) == 0)
                table->depths_stale = 0;
}

/* One pattern more has `shape`. 0, or -ENOMEM and nothing has changed. */
static int take_shape(struct match_table *table, struct shape shape)
{
        bool made;
        struct shape_row *row = shapes_get(&table->shapes, shape, &made);
        if (row == NULL)
                return -ENOMEM;
        if (made && publish_programs(table, shape_depths(shape)) != 0) {
                /* A row without patterns promises that the programs hold it; this one must not stay. */
                table->depths_stale |= shapes_sweep(&table->shapes);
                return -ENOMEM;
        }
        shapes_use(&table->shapes, row);
        return 0;
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
        free(table->leavers);
        table->leavers = leavers;
}

/* What has been withdrawn since the last time retires as one; when there is no memory for that, a later time. */
static void retire_leaving(struct match_table *table)
{
        if (table->leaving == PATTERN_NONE)
                return;
        struct leavers *leavers = table->leavers != NULL ? table->leavers : malloc(sizeof *leavers);
        table->leavers = NULL;
        if (leavers == NULL)
                return;
        leavers->table = table;
        leavers->first = table->leaving;
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
        struct lines *lines = lines_new(LINES_MIN, 0);
        atomic_store_explicit(&table->lines, lines, memory_order_release);
        if (table->records == NULL || lines == NULL) {
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
                free(atomic_load_explicit(&table->programs[depth], memory_order_relaxed));
        free(table->leavers);
        shapes_fini(&table->shapes);
        lines_free(table->growing);
        lines_free(current_lines(table));
        unmap(table->records, table->records_bytes);
        free(table);
}

static pattern_id find(const struct match_table *table, struct subject_key key, struct span text, struct shape shape)
{
        const struct lines *lines = current_lines(table);
        struct table_walk walk = table_walk_begin(lines, key);
        for (;;) {
                pattern_id id = table_walk_next(lines, key, &walk);
                if (id == PATTERN_NONE)
                        return PATTERN_NONE;
                const struct record *record = &table->records[id];
                /* The text, too: this is not the event path, and one miss more makes a mix-up impossible here. */
                if (record_has_key(record, key) && shape_equal(record->text->shape, shape) &&
                    span_equal(kept_text_span(record->text), text))
                        return id;
        }
}

static struct subject_key key_of(const struct match_table *table, struct span text, struct shape shape)
{
        return table_key(pattern_key(&table->secrets, text, shape));
}

pattern_id match_find(const struct match_table *table, struct span pattern, enum match_dialect dialect)
{
        struct shape shape;
        if (pattern_parse(&shape, pattern, dialect) != 0)
                return PATTERN_NONE;
        return find(table, key_of(table, pattern, shape), pattern, shape);
}

int match_check(struct span pattern, enum match_dialect dialect)
{
        struct shape shape;
        return pattern_parse(&shape, pattern, dialect);
}

/* Everything that may fail, then everything that may not. */
static int add_new(struct match_table *table, struct span pattern, struct shape shape, struct subject_key key,
                   uint64_t reactors, pattern_id *id)
{
        pattern_id taken = take_id(table);
        if (taken == PATTERN_NONE)
                return -ENOSPC;
        struct kept_text *text = kept_text_new(pattern, shape);
        int error = text == NULL ? -ENOMEM : make_room(table);
        if (error == 0)
                error = take_shape(table, shape);
        if (error != 0) {
                free(text);
                give_id(table, taken);
                return error;
        }

        struct record *record = &table->records[taken];
        record->text = text;
        atomic_store_explicit(&record->key_lo, key.lo, memory_order_relaxed);
        atomic_store_explicit(&record->key_hi, key.hi, memory_order_relaxed);
        atomic_store_explicit(&record->reactors, reactors, memory_order_relaxed);
        if (table->growing != NULL)
                lines_insert(table->growing, key, taken, shape_is_wild(shape));
        lines_insert(current_lines(table), key, taken, shape_is_wild(shape));
        table->patterns_count++;
        table->wild_count += shape_is_wild(shape);
        *id = taken;
        return 0;
}

int match_add(struct match_table *table, struct span pattern, enum match_dialect dialect, unsigned reactor,
              pattern_id *id)
{
        assert(reactor < MATCH_REACTORS_MAX);
        uint64_t bit = (uint64_t)1 << reactor;
        struct shape shape;
        int error = pattern_parse(&shape, pattern, dialect);
        if (error != 0)
                return error;
        struct subject_key key = key_of(table, pattern, shape);
        pattern_id found = find(table, key, pattern, shape);
        if (found == PATTERN_NONE) {
                error = add_new(table, pattern, shape, key, bit, id);
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
        bump_version(table);
        grow_on(table);
        return 0;
}

void match_remove(struct match_table *table, pattern_id id, unsigned reactor)
{
        assert(reactor < MATCH_REACTORS_MAX);
        assert(id < table->ids_fresh);
        struct record *record = &table->records[id];
        uint64_t before = atomic_load_explicit(&record->reactors, memory_order_relaxed);
        uint64_t after = before & ~((uint64_t)1 << reactor);
        if (before == after)
                return;
        atomic_store_explicit(&record->reactors, after, memory_order_release);
        if (after == 0) {
                struct subject_key key = record_key(record);
                struct shape shape = record->text->shape;
                bool removed = lines_remove(current_lines(table), key, id, shape_is_wild(shape));
                assert(removed);
                /* Not yet copied: then it is not there, and will not be. */
                if (table->growing != NULL)
                        lines_remove(table->growing, key, id, shape_is_wild(shape));
                shapes_unuse(&table->shapes, shape);
                table->patterns_count--;
                table->wild_count -= shape_is_wild(shape);
                record->text->next = table->leaving;
                table->leaving = id;
        }
        bump_version(table);
        grow_on(table);
}

void match_collect(struct match_table *table)
{
        sweep_shapes(table);
        grow_on(table);
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

size_t match_ids_max(const struct match_table *table)
{
        /* Pairs with the release in publish_programs. */
        return atomic_load_explicit(&table->ids_max, memory_order_acquire);
}
