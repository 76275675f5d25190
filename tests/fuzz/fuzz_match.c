/* fuzz_match: a stream of adds, removes, turns and matches over a tiny alphabet, table against oracle.
 *
 *      op  a byte: its two low bits say what, the rest is the reactor, or which pattern to remove
 *      text  for an add and a match: bytes up to a NUL, each mapped to one of a few characters
 *
 * Small alphabets make everything overlap; token lengths around the borders of the hash come from one byte that stands
 * for a run. Unlike the seeded random test, the order of things is the fuzzer's to choose. */
#include <errno.h>
#include <stdlib.h>

#include "matcher/match.h"
#include "tests/oracle/match_oracle.h"

#define PATTERNS_MAX 64
#define TEXT_MAX 1200

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct entry {
        uint8_t bytes[TEXT_MAX];
        size_t size;
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
        static const char alphabet[] = "ab.*>.ab..*.a.b.";
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

static struct entry *find(struct span text)
{
        for (size_t i = 0; i < entries_count; i++)
                if (span_equal(span_of(entries[i].bytes, entries[i].size), text))
                        return &entries[i];
        return NULL;
}

static void add(struct match_table *table, struct span text, unsigned reactor)
{
        struct entry *entry = find(text);
        pattern_id id = PATTERN_NONE;
        int result = match_add(table, text, MATCH_NATS, reactor, &id);
        if (!oracle_fits(text)) {
                check(result == -E2BIG);
        } else if (!oracle_is_legal(text)) {
                check(result == -EINVAL);
        } else if (entry == NULL && result == -ENOSPC) {
                /* What was removed is not free before a turn has passed. */
                epoch_quiescent();
                match_collect(table);
                check((entries_count < PATTERNS_MAX) == (match_add(table, text, MATCH_NATS, reactor, &id) == 0));
                result = entries_count < PATTERNS_MAX ? 0 : -ENOSPC;
        } else {
                check(result == 0);
        }
        if (result != 0)
                return;
        if (entry == NULL) {
                check(entries_count < PATTERNS_MAX);
                entry = &entries[entries_count++];
                *entry = (struct entry){.size = text.size, .id = id};
                span_copy(entry->bytes, text);
        }
        check(entry->id == id);
        entry->reactors |= (uint64_t)1 << reactor;
        check(match_find(table, text, MATCH_NATS) == id);
        check(span_equal(match_text(table, id), text));
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
        pattern_id ids[PATTERNS_MAX];
        struct match_set set;
        check(match_ids_max(table) <= PATTERNS_MAX);
        check(match_batch(table, &subject, 1, ids, PATTERNS_MAX, &set) == 1);
        size_t expected = 0;
        uint64_t reactors = 0;
        for (size_t i = 0; i < entries_count; i++) {
                if (!oracle_matches(span_of(entries[i].bytes, entries[i].size), subject))
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

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
        static const uint8_t secret[16] = "sixteen byte key";
        static bool registered;
        if (!registered)
                epoch_register();
        registered = true;

        struct match_limits limits = {.patterns_max = PATTERNS_MAX};
        struct match_table *table;
        check(match_table_new(&table, &limits, secret) == 0);
        entries_count = 0;
        for (struct span data = span_of(bytes, size); data.size > 0;) {
                uint8_t op = data.bytes[0];
                uint8_t text[TEXT_MAX];
                data = span_skip(data, 1);
                switch (op & 3) {
                case 0:
                        add(table, take_text(&data, text), op >> 2);
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
