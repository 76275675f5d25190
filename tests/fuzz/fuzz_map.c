/* fuzz_map: nodes that go in and out of a map are found as in a plain list of them, also while it grows, and where
 * their hashes are equal in all bits, in their low ones or in none.
 *
 *      op  two bytes: which node goes in, or out where it is in; how its hash is made */
#include "engine/base/map.h"
#include "tests/fuzz/fuzz.h"

#define NODES 128

struct entry {
        struct map_node node;
        uint64_t hash;
        bool is_in;
};

static struct entry entries[NODES];

static void check(const struct map *map, uint64_t hash)
{
        size_t expected = 0, found = 0;
        for (size_t i = 0; i < NODES; i++)
                expected += entries[i].is_in && entries[i].hash == hash;
        for (const struct map_node *node = map_first(map, hash); node != NULL; node = map_next(node)) {
                const struct entry *entry = container_of(node, struct entry, node);
                assert(entry->is_in && entry->hash == hash);
                found++;
                assert(found <= expected);
        }
        assert(found == expected);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct span input = span_of(data, size);
        struct map map;
        size_t count = 0;
        int made = map_init(&map, fuzz_byte(&input));
        assert(made == 0);
        memset(entries, 0, sizeof entries);
        while (input.size > 0) {
                uint16_t op = (uint16_t)fuzz_number(&input, 2);
                struct entry *entry = &entries[op % NODES];
                if (entry->is_in) {
                        map_remove(&map, &entry->node);
                        entry->is_in = false;
                        count--;
                } else {
                        unsigned kind = op / NODES % 4;
                        entry->hash = kind == 0 ? 7 : kind == 1 ? (uint64_t)(op % 16) << 60 : op * 0x9E3779B97F4A7C15u;
                        map_insert(&map, &entry->node, entry->hash);
                        entry->is_in = true;
                        count++;
                }
                assert(map.nodes_count == count);
                check(&map, entry->hash);
        }
        for (size_t i = 0; i < NODES; i++)
                check(&map, entries[i].hash);
        map_fini(&map);
        return 0;
}
