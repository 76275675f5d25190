/* match_rest: what patterns leave behind in a table when they have gone, and the grace periods are over: nothing. No
 * slot, no count, no shape, no program, no node, and no id that is neither fresh nor free. */
#ifndef SPATE_TESTS_ORACLE_MATCH_REST_H
#define SPATE_TESTS_ORACLE_MATCH_REST_H

#include "engine/base/check.h"
#include "matcher/table.h"

static inline void rest_of_lines(const struct lines_index *index)
{
        const struct lines *lines = index_lines(index);
        assert(index->entries_count == 0);
        assert(index->filtered_count == 0);
        assert(index->growing == NULL);
        for (size_t i = 0; i <= lines->mask; i++) {
                assert(atomic_load(&lines->line[i].passed) == 0);
                for (size_t j = 0; j < LINE_SLOTS; j++)
                        assert(atomic_load(&lines->line[i].slots[j]) == 0);
        }
        /* Bits of a filter stay, but not for ever: it is made anew when a quarter of them is set; the copy may take a
         * while. */
        size_t bits = 0;
        for (size_t i = 0; i <= lines->filter_mask; i++)
                bits += (size_t)__builtin_popcountll(atomic_load(&lines->filter[i]));
        assert(lines->filter_bits == bits);
        assert(bits <= (lines->filter_mask + 1) * 64 / 2);
}

static inline void rest_of_tree(const struct cold *cold)
{
        const struct cold_node *root = &cold->nodes[COLD_ROOT];
        size_t nodes_count = 1;
        for (uint32_t node = cold->nodes_free; node != COLD_NONE; node = cold->nodes[node].parent)
                nodes_count++;
        assert(nodes_count == cold->nodes_fresh);
        assert(cold->leaving == COLD_NONE);
        assert(cold->patterns_count == 0);
        assert(root->edges_count == 0);
        assert(atomic_load(&root->literals) == 0);
        assert(atomic_load(&root->star) == COLD_NONE);
        assert(atomic_load(&root->whole) == 0);
        assert(atomic_load(&root->tails[0]) == 0);
        assert(atomic_load(&root->tails[1]) == 0);
        rest_of_lines(&cold->edges);
}

static inline void rest_of_shapes(const struct match_table *table)
{
        for (size_t depth = 0; depth <= MATCH_TOKENS_MAX; depth++) {
                assert(atomic_load(&table->programs[depth]) == &program_none);
                assert(table->shapes.hot_counts[depth] == 0);
                assert(table->shapes.rows_counts[depth] == 0);
        }
        assert(atomic_load(&table->depths) == 0);
        assert(atomic_load(&table->byte_program) == NULL);
        for (size_t kind = 0; kind < TAILS - TAILS_OF_TOKENS; kind++) {
                assert(table->byte_shapes.sizes_counts[kind] == 0);
                assert(table->byte_shapes.patterns_counts[kind] == 0);
                for (size_t size = 0; size <= MATCH_SUBJECT_BYTES_MAX; size++)
                        assert(table->byte_shapes.counts[kind][size] == 0);
        }
}

/* Lets the table, whose patterns have all been removed, come to rest; the caller is its only reader. */
static inline void rest_check(struct match_table *table)
{
        for (int i = 0; i < 1000 && (table->index.growing != NULL || table->cold.edges.growing != NULL ||
                                     table->move.step != MOVE_NONE || table->leaving != PATTERN_NONE ||
                                     table->bin.waiting_count > 0);
             i++) {
                epoch_quiescent();
                match_collect(table);
        }
        match_collect(table);
        epoch_quiescent();
        match_collect(table);
        assert(match_patterns_count(table) == 0);
        rest_of_lines(&table->index);
        rest_of_tree(&table->cold);
        rest_of_shapes(table);
        size_t free_count = 0;
        for (pattern_id id = table->ids_free; id != PATTERN_NONE; id = (pattern_id)table->records[id].key_lo) {
                assert(table->records[id].text == NULL);
                assert(atomic_load(&table->records[id].reactors) == 0);
                free_count++;
        }
        assert(free_count == table->ids_fresh);
}

#endif
