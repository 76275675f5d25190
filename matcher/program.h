/* program: which shapes to look for in a subject of a given depth.
 *
 * The writer keeps a register of all shapes with the number of patterns of each. From it a program is compiled for each
 * depth: an immutable list of what to compute and probe, in blocks of eight shapes. A subject of n tokens runs program
 * n, which holds the shapes of n tokens without a tail and those of fewer with one. Nothing here is shared or atomic:
 * the table publishes programs and retires them whole. */
#ifndef SPATE_MATCHER_PROGRAM_H
#define SPATE_MATCHER_PROGRAM_H

#include "matcher/pattern.h"

#define BLOCK_SHAPES 8

/* Positions that are looked at together: of three tokens there are eight subsets, one for each lane of a vector. */
#define SUBSET_TOKENS 3
#define SUBSETS_MAX ((MATCH_TOKENS_MAX + SUBSET_TOKENS - 1) / SUBSET_TOKENS)

/* Eight shapes, to be looked for at once: lane i is shape i. A lane's key is its salts and the tokens that are literal
 * in it. Which these are is said twice, as each form likes it. */
struct program_block {
        _Alignas(CACHE_LINE) uint64_t salt_lo[BLOCK_SHAPES];
        uint64_t salt_hi[BLOCK_SHAPES];
        uint64_t subsets[SUBSETS_MAX][BLOCK_SHAPES]; /* bit j of [i][lane]: token 3 i + j is literal */
        uint8_t literals[MATCH_TOKENS_MAX];          /* by position: the lanes in which it is literal */
        uint64_t codes[BLOCK_SHAPES];                /* of the shapes */
        uint32_t positions_count;                    /* behind it no lane has a literal */
        uint8_t lanes;                               /* those in use, as bits */
        uint8_t unfiltered; /* the lane of the shape without wildcards, as a bit: it is not in the filter */
};

struct program {
        struct epoch_retired retired;
        size_t shapes_count; /* in all */
        bool is_whole_only;  /* nothing but the shape without wildcards: blocks are not needed */
        struct subject_key whole_salt;
        uint64_t whole_code;
        size_t subsets_count; /* in use by any block */
        size_t blocks_count;
        struct program_block blocks[];
};

struct shape_row {
        struct shape shape;
        size_t patterns_count;
};

struct shape_list {
        struct shape_row *rows; /* ascending by shape_code */
        size_t rows_count;
        size_t rows_room;
};

/* The writer's register; zeroed is empty. A row whose last pattern went stays until it is swept, so that coming and
 * going of the same shape costs no program. */
struct shapes {
        struct shape_list lists[2][MATCH_TOKENS_MAX + 1]; /* [tail][tokens_count] */
        size_t unused_count;
};

void shapes_fini(struct shapes *shapes);
/* The row of `shape`, made with no patterns if there is none (*made tells); NULL: no memory. Good until the next call.
 */
struct shape_row *shapes_get(struct shapes *shapes, struct shape shape, bool *made);
/* One pattern more, or one less, has this row's shape. */
void shapes_use(struct shapes *shapes, struct shape_row *row);
void shapes_unuse(struct shapes *shapes, struct shape shape);
/* Takes out all rows without patterns. Returns which depths' programs hold one of them: bit n for depth n. */
uint64_t shapes_sweep(struct shapes *shapes);

/* The depths, as bits, at which a shape is looked for. */
uint64_t shape_depths(struct shape shape);

/* 0 or -ENOMEM. *program becomes NULL when there is nothing to look for at `depth`. Free with free(). */
int program_new(struct program **program, const struct shapes *shapes, const struct subject_secrets *secrets,
                size_t depth);

#endif
