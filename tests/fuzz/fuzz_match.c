/* fuzz_match: a stream of adds, removes, turns and matches over a tiny alphabet, table against oracle.
 *
 *      op      a byte, whose two low bits say what
 *      add     the next two bits: the dialect; the rest: the reactor; a text
 *      match   the next four bits: how many subjects but one, as one batch; as many texts
 *      remove  the rest: which pattern
 *      turn    the next two bits: one, many, one of the writer's alone, or fillers; of these the rest says which
 *      text    bytes up to a NUL, each mapped to one of a few characters
 *
 * Small alphabets make everything overlap; token lengths around the borders of the hash come from one byte that stands
 * for a run. Fillers match nothing that is ever asked for: they come by the dozen, so that lines grow and shapes move,
 * and go as they came. Unlike the seeded random test, the order of things is the fuzzer's to choose. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "matcher/table.h"
#include "tests/oracle/match_oracle.h"
#include "tests/oracle/match_rest.h"

#define PATTERNS_MAX 64
#define TEXT_MAX 1200
#define FILLERS 80 /* of a kind */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct entry {
        uint8_t bytes[TEXT_MAX];
        size_t size;
        enum oracle_dialect dialect;
        uint8_t meaning[ORACLE_MEANING_MAX];
        size_t meaning_size;
        uint64_t reactors;
        pattern_id id;
};

static struct entry entries[PATTERNS_MAX];
static size_t entries_count;

/* Of these shapes, in NATS. */
static const char *const filler_kinds[] = {"~%u", "~%u.*", "*.~%u", "~%u.>"};
static pattern_id fillers[array_count(filler_kinds)][FILLERS];
static bool has_fillers[array_count(filler_kinds)];
static size_t fills_left; /* an input is to be quick */

static void check(bool fact)
{
        if (!fact)
                abort();
}

/* Takes a text off `data`. */
static struct span take_text(struct span *data, uint8_t text[TEXT_MAX])
{
        static const char alphabet[] = "ab.*>.ab#.*.a*b.";
        size_t count = 0;
        while (data->size > 0) {
                uint8_t byte = data->bytes[0];
                *data = span_skip(*data, 1);
                if (byte == 0)
                        break;
                /* From 0xe0 on: a run of 'a' or '.', of up to 60 bytes. */
                size_t run = byte < 0xe0 ? 1 : (size_t)(byte & 0xf) * 4 + 1;
                uint8_t character = byte < 0xe0 ? (uint8_t)alphabet[byte % 16] : byte & 0x10 ? '.' : 'a';
                for (; run > 0 && count < TEXT_MAX; run--)
                        text[count++] = character;
        }
        return span_of(text, count);
}

static struct entry *find(struct span meaning)
{
        for (size_t i = 0; i < entries_count; i++)
                if (span_equal(span_of(entries[i].meaning, entries[i].meaning_size), meaning))
                        return &entries[i];
        return NULL;
}

static void add(struct match_table *table, struct span text, enum oracle_dialect dialect, unsigned reactor)
{
        enum match_dialect said = (enum match_dialect)dialect;
        pattern_id id = PATTERN_NONE;
        if (entries_count == PATTERNS_MAX)
                return;
        int result = match_add(table, text, said, reactor, &id);
        if (!oracle_fits_as(text, dialect)) {
                check(result == -E2BIG);
                return;
        }
        if (!oracle_is_legal_as(text, dialect)) {
                check(result == -EINVAL);
                return;
        }
        uint8_t room[ORACLE_MEANING_MAX];
        struct span meaning = oracle_meaning(text, dialect, room);
        struct entry *entry = find(meaning);
        if (entry == NULL && result == -ENOSPC) {
                /* What was removed is not free before a turn has passed. */
                epoch_quiescent();
                match_collect(table);
                result = match_add(table, text, said, reactor, &id);
        }
        check(result == 0);
        if (entry == NULL) {
                entry = &entries[entries_count++];
                *entry = (struct entry){.size = text.size, .dialect = dialect, .meaning_size = meaning.size, .id = id};
                span_copy(entry->bytes, text);
                span_copy(entry->meaning, meaning);
        }
        check(entry->id == id);
        entry->reactors |= (uint64_t)1 << reactor;
        check(match_find(table, text, said) == id);
        check(match_find(table, match_text(table, id), said) == id);
}

static void remove_one(struct match_table *table, size_t index)
{
        struct entry *entry = &entries[index];
        unsigned reactor = (unsigned)__builtin_ctzll(entry->reactors);
        match_remove(table, entry->id, reactor);
        entry->reactors &= entry->reactors - 1;
        if (entry->reactors == 0)
                *entry = entries[--entries_count];
}

static size_t fillers_count(void)
{
        size_t count = 0;
        for (size_t i = 0; i < array_count(filler_kinds); i++)
                count += has_fillers[i] ? FILLERS : 0;
        return count;
}

/* Comes, or goes if it is there. */
static void fill(struct match_table *table, size_t kind)
{
        for (size_t i = 0; i < FILLERS; i++) {
                char text[32];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
                snprintf(text, sizeof text, filler_kinds[kind], (unsigned)i);
#pragma GCC diagnostic pop
                if (has_fillers[kind])
                        match_remove(table, fillers[kind][i], 0);
                else
                        check(match_add(table, span_of_text(text), MATCH_NATS, 0, &fillers[kind][i]) == 0);
        }
        has_fillers[kind] = !has_fillers[kind];
}

static void check_set(struct span subject, const struct match_set *set)
{
        size_t expected = 0;
        uint64_t reactors = 0;
        for (size_t i = 0; i < entries_count; i++) {
                if (!oracle_matches_as(span_of(entries[i].bytes, entries[i].size), entries[i].dialect, subject))
                        continue;
                expected++;
                reactors |= entries[i].reactors;
                size_t found = 0;
                for (size_t j = 0; j < set->ids_count; j++)
                        found += set->ids[j] == entries[i].id;
                check(found == 1);
        }
        check(set->ids_count == expected);
        check(set->reactors == reactors);
}

#define IDS_MAX (4 * PATTERNS_MAX + TEXT_MAX)

/* As one batch, and each alone with no more room than was promised to be enough. */
static void match(const struct match_table *table, struct span *data, size_t count)
{
        static pattern_id ids[MATCH_BATCH_MAX * IDS_MAX];
        static uint8_t texts[MATCH_BATCH_MAX][TEXT_MAX];
        struct span subjects[MATCH_BATCH_MAX];
        struct match_set sets[MATCH_BATCH_MAX];
        check(match_ids_max(table) <= IDS_MAX);
        for (size_t i = 0; i < count; i++)
                subjects[i] = take_text(data, texts[i]);
        check(match_batch(table, subjects, count, ids, array_count(ids), sets) == count);
        for (size_t i = 0; i < count; i++)
                check_set(subjects[i], &sets[i]);
        for (size_t i = 0; i < count; i++) {
                check(match_batch(table, &subjects[i], 1, ids, match_ids_max(table), &sets[i]) == 1);
                check_set(subjects[i], &sets[i]);
        }
}

static void turn(struct match_table *table, size_t which, size_t kind)
{
        size_t turns = which == 1 ? 20 : 1;
        if (which == 3 && fills_left > 0) {
                fills_left--;
                fill(table, kind % array_count(filler_kinds));
        }
        for (size_t i = 0; i < turns; i++) {
                /* Not only after hundreds of changes: is there a shape that should move? */
                table->move.changes_count = SIZE_MAX / 2;
                if (which != 2)
                        epoch_quiescent();
                match_collect(table);
        }
}

static const struct match_form *found_form(const struct match_form *found[FORMS_MAX], const uint8_t *bytes, size_t size)
{
        size_t count = forms(found);
        return found[size == 0 ? 0 : bytes[size - 1] % count];
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
        static const uint8_t secret[16] = "sixteen byte key";
        static bool registered;
        if (!registered)
                epoch_register();
        registered = true;

        struct match_limits limits = {.patterns_max = PATTERNS_MAX + sizeof fillers / sizeof fillers[0][0],
                                      .retiring_max = PATTERNS_MAX};
        struct match_table *table;
        /* Each input in another form; with so few hot shapes that the tree has most. */
        const struct match_form *found[FORMS_MAX];
        struct match_form form = *found_form(found, bytes, size);
        form.shapes_hot = 2;
        check(form_table_new(&table, &limits, secret, &form) == 0);
        entries_count = 0;
        memset(has_fillers, 0, sizeof has_fillers);
        fills_left = 10;
        for (struct span data = span_of(bytes, size); data.size > 0;) {
                uint8_t op = data.bytes[0];
                uint8_t text[TEXT_MAX];
                data = span_skip(data, 1);
                switch (op & 3) {
                case 0:
                        add(table, take_text(&data, text), (enum oracle_dialect)(op >> 2 & 3), op >> 4);
                        break;
                case 1:
                        match(table, &data, 1 + (op >> 2 & 15));
                        break;
                case 2:
                        if (entries_count > 0)
                                remove_one(table, (op >> 2) % entries_count);
                        break;
                case 3:
                        turn(table, op >> 2 & 3, op >> 4);
                        break;
                }
                check(match_patterns_count(table) == entries_count + fillers_count());
        }
        while (entries_count > 0)
                remove_one(table, 0);
        for (size_t kind = 0; kind < array_count(filler_kinds); kind++)
                if (has_fillers[kind])
                        fill(table, kind);
        rest_check(table);
        match_table_free(table);
        return 0;
}
