/* fuzz_match: a stream of adds, removes, turns and matches over a tiny alphabet, table against oracle.
 *
 *      op  a byte: its two low bits say what, the next two the dialect, the rest is the reactor; or all six which
 * pattern to remove text  for an add and a match: bytes up to a NUL, each mapped to one of a few characters
 *
 * Small alphabets make everything overlap; token lengths around the borders of the hash come from one byte that stands
 * for a run. Unlike the seeded random test, the order of things is the fuzzer's to choose. */
#include <errno.h>
#include <stdlib.h>

#include "matcher/form.h"
#include "tests/oracle/match_oracle.h"

#define PATTERNS_MAX 64
#define TEXT_MAX 1200

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
                check((entries_count < PATTERNS_MAX) == (match_add(table, text, said, reactor, &id) == 0));
                result = entries_count < PATTERNS_MAX ? 0 : -ENOSPC;
        } else {
                check(result == 0);
        }
        if (result != 0)
                return;
        if (entry == NULL) {
                check(entries_count < PATTERNS_MAX);
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

static void match(const struct match_table *table, struct span subject)
{
        static pattern_id ids[2 * PATTERNS_MAX + TEXT_MAX];
        struct match_set set;
        check(match_ids_max(table) <= array_count(ids));
        check(match_batch(table, &subject, 1, ids, array_count(ids), &set) == 1);
        size_t expected = 0;
        uint64_t reactors = 0;
        for (size_t i = 0; i < entries_count; i++) {
                if (!oracle_matches_as(span_of(entries[i].bytes, entries[i].size), entries[i].dialect, subject))
                        continue;
                expected++;
                reactors |= entries[i].reactors;
                size_t found = 0;
                for (size_t j = 0; j < set.ids_count; j++)
                        found += set.ids[j] == entries[i].id;
                check(found == 1);
        }
        check(set.ids_count == expected);
        check(set.reactors == reactors);
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

        struct match_limits limits = {.patterns_max = PATTERNS_MAX};
        struct match_table *table;
        /* Each input in another form; with so few hot shapes that the tree has most. */
        const struct match_form *found[FORMS_MAX];
        struct match_form form = *found_form(found, bytes, size);
        form.shapes_hot = 2;
        check(form_table_new(&table, &limits, secret, &form) == 0);
        entries_count = 0;
        for (struct span data = span_of(bytes, size); data.size > 0;) {
                uint8_t op = data.bytes[0];
                uint8_t text[TEXT_MAX];
                data = span_skip(data, 1);
                switch (op & 3) {
                case 0:
                        add(table, take_text(&data, text), (enum oracle_dialect)(op >> 2 & 3), op >> 4);
                        break;
                case 1:
                        match(table, take_text(&data, text));
                        break;
                case 2:
                        if (entries_count > 0)
                                remove_one(table, (op >> 2) % entries_count);
                        break;
                case 3:
                        epoch_quiescent();
                        match_collect(table);
                        break;
                }
                check(match_patterns_count(table) == entries_count);
        }
        match_table_free(table);
        return 0;
}
