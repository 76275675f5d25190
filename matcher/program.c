/* The register is a sorted list for each depth and tail, because it is searched with each change of a pattern and read
 * whole when a program is compiled. */
#include <errno.h>
#include <stdlib.h>

#include "matcher/program.h"

static_assert(MATCH_TOKENS_MAX <= 32, "stars are a word of 32 bits, depths 0 to 32 one of 64");

void shapes_fini(struct shapes *shapes)
{
        for (size_t tail = 0; tail < 2; tail++)
                for (size_t i = 0; i <= MATCH_TOKENS_MAX; i++)
                        free(shapes->lists[tail][i].rows);
        memset(shapes, 0, sizeof *shapes);
}

static struct shape_list *list_of(struct shapes *shapes, struct shape shape)
{
        assert(shape.tokens_count <= MATCH_TOKENS_MAX);
        return &shapes->lists[shape.tail][shape.tokens_count];
}

/* Where `shape` is, or would be put. */
static size_t list_seek(const struct shape_list *list, struct shape shape)
{
        size_t low = 0, high = list->rows_count;
        while (low < high) {
                size_t middle = low + (high - low) / 2;
                if (list->rows[middle].shape.stars < shape.stars)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

static bool list_has(const struct shape_list *list, size_t index, struct shape shape)
{
        return index < list->rows_count && list->rows[index].shape.stars == shape.stars;
}

struct shape_row *shapes_get(struct shapes *shapes, struct shape shape, bool *made)
{
        struct shape_list *list = list_of(shapes, shape);
        size_t index = list_seek(list, shape);
        *made = !list_has(list, index, shape);
        if (!*made)
                return &list->rows[index];
        if (list->rows_count == list->rows_room) {
                size_t room = list->rows_room == 0 ? 4 : list->rows_room * 2;
                struct shape_row *rows = realloc(list->rows, room * sizeof *rows);
                if (rows == NULL)
                        return NULL;
                list->rows = rows;
                list->rows_room = room;
        }
        struct shape_row *row = &list->rows[index];
        memmove(row + 1, row, (list->rows_count - index) * sizeof *row);
        *row = (struct shape_row){.shape = shape, .patterns_count = 0};
        list->rows_count++;
        shapes->unused_count++;
        return row;
}

void shapes_use(struct shapes *shapes, struct shape_row *row)
{
        if (row->patterns_count++ == 0)
                shapes->unused_count--;
}

void shapes_unuse(struct shapes *shapes, struct shape shape)
{
        struct shape_list *list = list_of(shapes, shape);
        size_t index = list_seek(list, shape);
        assert(list_has(list, index, shape));
        struct shape_row *row = &list->rows[index];
        assert(row->patterns_count > 0);
        if (--row->patterns_count == 0)
                shapes->unused_count++;
}

uint64_t shapes_sweep(struct shapes *shapes)
{
        uint64_t depths = 0;
        for (size_t tail = 0; tail < 2; tail++) {
                for (size_t i = 0; i <= MATCH_TOKENS_MAX; i++) {
                        struct shape_list *list = &shapes->lists[tail][i];
                        size_t kept = 0;
                        for (size_t j = 0; j < list->rows_count; j++) {
                                if (list->rows[j].patterns_count > 0)
                                        list->rows[kept++] = list->rows[j];
                                else
                                        depths |= shape_depths(list->rows[j].shape);
                        }
                        list->rows_count = kept;
                }
        }
        shapes->unused_count = 0;
        return depths;
}

uint64_t shape_depths(struct shape shape)
{
        uint64_t all = ((uint64_t)2 << MATCH_TOKENS_MAX) - 1;
        return shape.tail ? all & ~(((uint64_t)2 << shape.tokens_count) - 1) : (uint64_t)1 << shape.tokens_count;
}

static void add_shape(struct program *program, struct shape shape, const struct subject_secrets *secrets)
{
        struct subject_key salt = subject_salt(secrets, shape_code(shape));
        size_t index = program->shapes_count++;
        size_t lane = index % BLOCK_SHAPES;
        struct program_block *block = &program->blocks[index / BLOCK_SHAPES];
        program->blocks_count = index / BLOCK_SHAPES + 1;
        program->is_whole_only = index == 0 && !shape_is_wild(shape);
        if (!shape_is_wild(shape)) {
                program->whole_salt = salt;
                program->whole_code = shape_code(shape);
                block->unfiltered |= (uint8_t)(1u << lane);
        }
        block->lanes |= (uint8_t)(1u << lane);
        block->salt_lo[lane] = salt.lo;
        block->salt_hi[lane] = salt.hi;
        block->codes[lane] = shape_code(shape);
        for (uint32_t literals = shape_literals(shape); literals != 0; literals &= literals - 1) {
                uint32_t position = (uint32_t)__builtin_ctz(literals);
                block->literals[position] |= (uint8_t)(1u << lane);
                block->subsets[position / SUBSET_TOKENS][lane] |= (uint64_t)1 << position % SUBSET_TOKENS;
                if (block->positions_count <= position)
                        block->positions_count = position + 1;
                if (program->subsets_count <= position / SUBSET_TOKENS)
                        program->subsets_count = position / SUBSET_TOKENS + 1;
        }
}

static void add_list(struct program *program, const struct shape_list *list, const struct subject_secrets *secrets)
{
        for (size_t i = 0; i < list->rows_count; i++)
                add_shape(program, list->rows[i].shape, secrets);
}

int program_new(struct program **program, const struct shapes *shapes, const struct subject_secrets *secrets,
                size_t depth)
{
        assert(depth >= 1);
        assert(depth <= MATCH_TOKENS_MAX);
        size_t count = shapes->lists[false][depth].rows_count;
        for (size_t i = 0; i < depth; i++)
                count += shapes->lists[true][i].rows_count;
        *program = NULL;
        if (count == 0)
                return 0;
        size_t size = sizeof(struct program) + (count + BLOCK_SHAPES - 1) / BLOCK_SHAPES * sizeof(struct program_block);
        struct program *made = aligned_alloc(CACHE_LINE, size);
        if (made == NULL)
                return -ENOMEM;
        memset(made, 0, size);
        add_list(made, &shapes->lists[false][depth], secrets);
        for (size_t i = 0; i < depth; i++)
                add_list(made, &shapes->lists[true][i], secrets);
        assert(made->shapes_count == count);
        *program = made;
        return 0;
}
