/* The register is a sorted list for each depth and tail, because it is searched with each change of a pattern and read
 * whole when a program is compiled. */
#include <errno.h>
#include <stdlib.h>

#include "matcher/program.h"

#define HOT_FREE 16
#define POPULOUS 16 /* patterns, that make a shape worth a lane */

static_assert(MATCH_TOKENS_MAX <= 32, "stars are a word of 32 bits, depths 0 to 32 one of 64");

void shapes_fini(struct shapes *shapes)
{
        for (size_t tail = 0; tail < TAILS_OF_TOKENS; tail++)
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

/* So many are hot whatever their number of patterns: the tree costs more than a few lanes. */
static size_t hot_free(const struct shapes *shapes)
{
        size_t quarter = shapes->hot_max / 4;
        return quarter > HOT_FREE ? quarter : shapes->hot_max < HOT_FREE ? shapes->hot_max : HOT_FREE;
}

/* Those of `depths` that have `limit` hot shapes or more. */
static uint64_t depths_with(const struct shapes *shapes, uint64_t depths, size_t limit)
{
        uint64_t found = 0;
        for (uint64_t left = depths; left != 0; left &= left - 1)
                if (shapes->hot_counts[__builtin_ctzll(left)] >= limit)
                        found |= left & -left;
        return found;
}

/* Those of `depths` that have more shapes than may be hot. */
static uint64_t depths_crowded(const struct shapes *shapes, uint64_t depths)
{
        uint64_t found = 0;
        for (uint64_t left = depths; left != 0; left &= left - 1)
                if (shapes->rows_counts[__builtin_ctzll(left)] > shapes->hot_max)
                        found |= left & -left;
        return found;
}

/* Is a shape of so few patterns to be hot? */
static bool may_be_hot(const struct shapes *shapes, struct shape shape)
{
        uint64_t depths = shape_depths(shape);
        return depths_with(shapes, depths, shapes->hot_max) == 0 &&
               depths_with(shapes, depths_crowded(shapes, depths), hot_free(shapes)) == 0;
}

static void count_row(struct shapes *shapes, struct shape shape, bool is_there)
{
        for (uint64_t depths = shape_depths(shape); depths != 0; depths &= depths - 1)
                shapes->rows_counts[__builtin_ctzll(depths)] += is_there ? 1 : (size_t)-1;
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
        count_row(shapes, shape, true);
        bool is_hot = !shape_is_wild(shape) || may_be_hot(shapes, shape);
        *row = (struct shape_row){.shape = shape, .in_lines = is_hot, .in_tree = !is_hot};
        if (is_hot)
                shapes_heat(shapes, row, true);
        list->rows_count++;
        shapes->unused_count++;
        return row;
}

struct shape_row *shapes_find(const struct shapes *shapes, struct shape shape)
{
        const struct shape_list *list = &shapes->lists[shape.tail][shape.tokens_count];
        size_t index = list_seek(list, shape);
        return list_has(list, index, shape) ? &list->rows[index] : NULL;
}

void shapes_heat(struct shapes *shapes, struct shape_row *row, bool is_hot)
{
        assert(row->is_hot != is_hot);
        row->is_hot = is_hot;
        for (uint64_t depths = shape_depths(row->shape); depths != 0; depths &= depths - 1)
                shapes->hot_counts[__builtin_ctzll(depths)] += is_hot ? 1 : (size_t)-1;
}

/* The row of most patterns in the tree, or of fewest in the lines among those looked for at any of `depths`. */
static const struct shape_row *extreme_row(const struct shapes *shapes, bool is_hot, uint64_t depths)
{
        const struct shape_row *found = NULL;
        for (size_t tail = 0; tail < TAILS_OF_TOKENS; tail++) {
                for (size_t i = 0; i <= MATCH_TOKENS_MAX; i++) {
                        const struct shape_list *list = &shapes->lists[tail][i];
                        for (size_t j = 0; j < list->rows_count; j++) {
                                const struct shape_row *row = &list->rows[j];
                                if (row->is_hot != is_hot || !shape_is_wild(row->shape) ||
                                    (shape_depths(row->shape) & depths) == 0)
                                        continue;
                                if (found == NULL || (is_hot ? row->patterns_count < found->patterns_count
                                                             : row->patterns_count > found->patterns_count))
                                        found = row;
                        }
                }
        }
        return found;
}

bool shapes_pick(const struct shapes *shapes, struct shape *shape, bool *to_hot)
{
        const struct shape_row *cold = extreme_row(shapes, false, UINT64_MAX);
        if (cold != NULL && cold->patterns_count > 0) {
                uint64_t full = depths_with(shapes, shape_depths(cold->shape), shapes->hot_max);
                *to_hot = full == 0;
                *shape = cold->shape;
                if (*to_hot && (cold->patterns_count >= POPULOUS || may_be_hot(shapes, cold->shape)))
                        return true;
                const struct shape_row *hot = *to_hot ? NULL : extreme_row(shapes, true, full);
                if (hot != NULL && cold->patterns_count > 2 * hot->patterns_count + POPULOUS) {
                        *shape = hot->shape;
                        return true;
                }
        }
        uint64_t crowded = depths_crowded(shapes, UINT64_MAX & (((uint64_t)2 << MATCH_TOKENS_MAX) - 1));
        crowded = depths_with(shapes, crowded, hot_free(shapes) + 1);
        const struct shape_row *few = crowded == 0 ? NULL : extreme_row(shapes, true, crowded);
        if (few == NULL || few->patterns_count >= POPULOUS / 2)
                return false;
        *to_hot = false;
        *shape = few->shape;
        return true;
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
        size_t moving_count = 0;
        for (size_t tail = 0; tail < TAILS_OF_TOKENS; tail++) {
                for (size_t i = 0; i <= MATCH_TOKENS_MAX; i++) {
                        struct shape_list *list = &shapes->lists[tail][i];
                        size_t kept = 0;
                        for (size_t j = 0; j < list->rows_count; j++) {
                                struct shape_row *row = &list->rows[j];
                                if (row->patterns_count > 0 || row->is_moving) {
                                        moving_count += row->patterns_count == 0;
                                        list->rows[kept++] = *row;
                                        continue;
                                }
                                depths |= shape_depths(row->shape);
                                count_row(shapes, row->shape, false);
                                if (row->is_hot)
                                        shapes_heat(shapes, row, false);
                        }
                        list->rows_count = kept;
                }
        }
        shapes->unused_count = moving_count;
        return depths;
}

uint64_t shape_depths(struct shape shape)
{
        uint64_t all = ((uint64_t)2 << MATCH_TOKENS_MAX) - 2;
        uint64_t exactly = (uint64_t)1 << shape.tokens_count;
        switch (shape.tail) {
        case TAIL_NONE:
                return exactly;
        case TAIL_SOME:
                return all & ~(2 * exactly - 1);
        default:
                return all & ~(exactly - 1);
        }
}

static void add_shape(struct program *program, struct shape shape, const struct subject_secrets *secrets)
{
        struct subject_key salt = subject_salt(secrets, shape_code(shape));
        size_t index = program->hot_count++;
        size_t lane = index % BLOCK_SHAPES;
        struct program_block *block = &program->blocks[index / BLOCK_SHAPES];
        program->blocks_count = index / BLOCK_SHAPES + 1;
        program->is_whole_only = index == 0 && !shape_is_wild(shape);
        if (!shape_is_wild(shape)) {
                program->whole_salt = salt;
                program->whole_code = shape_code(shape);
                block->unfiltered |= (uint8_t)(1u << lane);
        } else {
                block->filtered |= (uint8_t)(1u << lane);
        }
        block->lanes |= (uint8_t)(1u << lane);
        block->salt_lo[lane] = salt.lo;
        block->salt_hi[lane] = salt.hi;
        block->codes[lane] = shape_code(shape);
        block->asked[lane] = shape_is_wild(shape);
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
                if (list->rows[i].is_hot)
                        add_shape(program, list->rows[i].shape, secrets);
}

int program_new(struct program **program, const struct shapes *shapes, const struct subject_secrets *secrets,
                uint64_t skip_code, size_t depth)
{
        assert(depth >= 1);
        assert(depth <= MATCH_TOKENS_MAX);
        /* Shapes looked for at a depth: those of as many tokens, and those of a tail behind fewer, or as many. */
        const struct shape_list *lists[2 + 2 * MATCH_TOKENS_MAX];
        size_t lists_count = 0, count = 0;
        lists[lists_count++] = &shapes->lists[TAIL_NONE][depth];
        for (size_t i = 0; i < depth; i++)
                lists[lists_count++] = &shapes->lists[TAIL_SOME][i];
        for (size_t i = 0; i <= depth; i++)
                lists[lists_count++] = &shapes->lists[TAIL_ANY][i];
        for (size_t i = 0; i < lists_count; i++)
                count += lists[i]->rows_count;
        *program = NULL;
        if (count == 0)
                return 0;
        size_t hot_count = shapes->hot_counts[depth];
        size_t blocks_count = (hot_count + BLOCK_SHAPES - 1) / BLOCK_SHAPES;
        size_t size = sizeof(struct program) + blocks_count * sizeof(struct program_block);
        struct program *made = aligned_alloc(CACHE_LINE, size);
        if (made == NULL)
                return -ENOMEM;
        memset(made, 0, size);
        made->shapes_count = count;
        made->has_cold = hot_count < count || skip_code != SHAPE_CODE_NONE;
        made->skip_code = skip_code;
        for (size_t i = 0; i < lists_count; i++)
                add_list(made, lists[i], secrets);
        assert(made->hot_count == hot_count);
        assert(made->blocks_count == blocks_count);
        made->blocks_end = made->blocks + blocks_count;
        made->plain_rows[0] = made->subsets_count <= PLAIN_SUBSETS && !made->is_whole_only ? blocks_count : SIZE_MAX;
        made->plain_rows[1] = made->subsets_count <= DEEP_SUBSETS && !made->is_whole_only ? blocks_count : SIZE_MAX;
        *program = made;
        return 0;
}

const struct program program_none = {.skip_code = SHAPE_CODE_NONE, .blocks_end = program_none.blocks};

/* Beginnings. */

static size_t kind_of(struct shape shape)
{
        assert(!shape_is_of_tokens(shape));
        return shape.tail - TAILS_OF_TOKENS;
}

bool byte_shapes_use(struct byte_shapes *shapes, struct shape shape)
{
        size_t kind = kind_of(shape);
        shapes->patterns_counts[kind]++;
        if (shapes->counts[kind][shape.stars]++ > 0)
                return false;
        shapes->sizes_counts[kind]++;
        return true;
}

bool byte_shapes_unuse(struct byte_shapes *shapes, struct shape shape)
{
        size_t kind = kind_of(shape);
        shapes->patterns_counts[kind]--;
        if (--shapes->counts[kind][shape.stars] > 0)
                return false;
        shapes->sizes_counts[kind]--;
        return true;
}

size_t byte_shapes_matches(const struct byte_shapes *shapes)
{
        /* Of one size a subject has one beginning. */
        size_t globs = shapes->patterns_counts[TAIL_GLOB - TAILS_OF_TOKENS];
        size_t globs_alike = shapes->sizes_counts[TAIL_GLOB - TAILS_OF_TOKENS] * GLOBS_ALIKE_MAX;
        return shapes->sizes_counts[TAIL_PREFIX - TAILS_OF_TOKENS] + (globs < globs_alike ? globs : globs_alike) +
               (shapes->patterns_counts[TAIL_END - TAILS_OF_TOKENS] > 0);
}

int byte_program_new(struct byte_program **program, const struct byte_shapes *shapes,
                     const struct subject_secrets *secrets)
{
        static const enum shape_tail tails[] = {TAIL_PREFIX, TAIL_GLOB};
        size_t count = 0;
        for (size_t i = 0; i < array_count(tails); i++)
                count += shapes->sizes_counts[tails[i] - TAILS_OF_TOKENS];
        bool has_ends = shapes->patterns_counts[TAIL_END - TAILS_OF_TOKENS] > 0;
        *program = NULL;
        if (count == 0 && !has_ends)
                return 0;
        struct byte_program *made = malloc(sizeof *made + count * sizeof made->probes[0]);
        if (made == NULL)
                return -ENOMEM;
        made->has_ends = has_ends;
        made->probes_count = 0;
        for (uint32_t size = 0; size <= MATCH_SUBJECT_BYTES_MAX; size++) {
                for (size_t i = 0; i < array_count(tails); i++) {
                        struct shape shape = {.stars = size, .tail = (uint8_t)tails[i]};
                        if (shapes->counts[kind_of(shape)][size] == 0)
                                continue;
                        made->probes[made->probes_count++] = (struct byte_probe){
                                .salt = subject_salt(secrets, shape_code(shape)),
                                .size = size,
                                .is_glob = tails[i] == TAIL_GLOB,
                        };
                }
        }
        assert(made->probes_count == count);
        *program = made;
        return 0;
}
