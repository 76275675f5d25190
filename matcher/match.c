/* The readers' half: a batch of subjects against the published table.
 *
 *      subjects ─read─▶ hashes ─gather─▶ keys, up to a round of them ─look─▶ candidates ─settle─▶ ids
 *                                        (fetch the lines)            (fetch the records)
 *
 * Nothing a probe needs depends on the probe before, so a round's lines are all fetched before the first is looked at,
 * and its records before the first is checked: a table that is larger than the cache costs one wait for memory a round,
 * not two a probe. */
#include "matcher/table.h"

#define ROUND_MAX 64

struct wanted {
        struct subject_key key;
        uint32_t subject;
        pattern_id candidate;
        const struct probe *probe;
};

/* Where gathering stands, and whose ids are being written. */
struct batch {
        const struct match_table *table;
        const struct lines *lines;
        const struct span *texts;
        struct subject subjects[MATCH_BATCH_MAX];
        const struct program *programs[MATCH_BATCH_MAX]; /* NULL: nothing to look for */
        size_t subjects_count;
        size_t next_subject;
        size_t next_probe;
        struct wanted round[ROUND_MAX];
};

static void read_subjects(struct batch *batch)
{
        for (size_t i = 0; i < batch->subjects_count; i++) {
                struct subject *subject = &batch->subjects[i];
                batch->programs[i] = NULL;
                if (!subject_read(subject, &batch->table->secrets, batch->texts[i]))
                        continue;
                /* Pairs with the release in publish_programs: the program is complete. */
                batch->programs[i] =
                        atomic_load_explicit(&batch->table->programs[subject->tokens_count], memory_order_acquire);
        }
}

static inline void fetch(const void *memory)
{
        __builtin_prefetch(memory, 0, 3);
}

/* Fills the round with the next keys to look for. Returns how many; 0 when the batch is through. */
static size_t gather(struct batch *batch)
{
        size_t count = 0;
        for (; batch->next_subject < batch->subjects_count; batch->next_subject++, batch->next_probe = 0) {
                const struct program *program = batch->programs[batch->next_subject];
                if (program == NULL)
                        continue;
                const struct subject *subject = &batch->subjects[batch->next_subject];
                for (; batch->next_probe < program->probes_count; batch->next_probe++) {
                        if (count == ROUND_MAX)
                                return count;
                        const struct probe *probe = &program->probes[batch->next_probe];
                        struct wanted *wanted = &batch->round[count++];
                        wanted->key = table_key(pattern_key_of_subject(subject, probe->shape, probe->salt));
                        wanted->subject = (uint32_t)batch->next_subject;
                        wanted->probe = probe;
                        fetch(&batch->lines->line[wanted->key.lo & batch->lines->mask]);
                }
        }
        return count;
}

static void look(struct batch *batch, size_t count)
{
        for (size_t i = 0; i < count; i++) {
                struct wanted *wanted = &batch->round[i];
                struct table_walk walk = table_walk_begin(batch->lines, wanted->key);
                wanted->candidate = table_walk_next(batch->lines, wanted->key, &walk);
                if (wanted->candidate != PATTERN_NONE)
                        fetch(&batch->table->records[wanted->candidate]);
        }
}

static inline bool holds(const struct batch *batch, const struct wanted *wanted, pattern_id id)
{
        const struct record *record = &batch->table->records[id];
        if (unlikely(!record_has_key(record, wanted->key)))
                return false;
        return !TABLE_READS_TEXT ||
               (shape_equal(record->shape, wanted->probe->shape) &&
                pattern_matches(kept_text_span(record->text), record->shape, batch->texts[wanted->subject]));
}

/* The candidate had the mark and another key, once in four billion; so may have others behind it the mark. */
static __attribute__((noinline)) pattern_id look_further(const struct batch *batch, const struct wanted *wanted)
{
        struct table_walk walk = table_walk_begin(batch->lines, wanted->key);
        for (;;) {
                pattern_id id = table_walk_next(batch->lines, wanted->key, &walk);
                if (id == PATTERN_NONE || holds(batch, wanted, id))
                        return id;
        }
}

size_t match_batch(const struct match_table *table, const struct span *subjects, size_t subjects_count, pattern_id *ids,
                   size_t ids_max, struct match_set *sets)
{
        assert(subjects_count >= 1);
        assert(subjects_count <= MATCH_BATCH_MAX);
        struct batch batch;
        batch.table = table;
        batch.texts = subjects;
        batch.subjects_count = subjects_count;
        batch.next_subject = 0;
        batch.next_probe = 0;
        /* Pairs with the release in grow_on: the lines are complete. */
        batch.lines = atomic_load_explicit(&table->lines, memory_order_acquire);
        read_subjects(&batch);

        size_t ids_count = 0, done = 0; /* sets below `done` are open or closed */
        size_t count;
        while ((count = gather(&batch)) > 0) {
                look(&batch, count);
                for (size_t i = 0; i < count; i++) {
                        const struct wanted *wanted = &batch.round[i];
                        pattern_id id = wanted->candidate;
                        if (id == PATTERN_NONE)
                                continue;
                        if (unlikely(!holds(&batch, wanted, id))) {
                                id = look_further(&batch, wanted);
                                if (id == PATTERN_NONE)
                                        continue;
                        }
                        while (done <= wanted->subject)
                                sets[done++] = (struct match_set){.ids = ids + ids_count};
                        if (unlikely(ids_count == ids_max))
                                return wanted->subject;
                        struct match_set *set = &sets[wanted->subject];
                        ids[ids_count++] = id;
                        set->ids_count++;
                        set->reactors |= atomic_load_explicit(&table->records[id].reactors, memory_order_acquire);
                }
        }
        while (done < subjects_count)
                sets[done++] = (struct match_set){.ids = ids_count > 0 ? ids + ids_count : ids}; /* `ids` may be NULL */
        return subjects_count;
}
