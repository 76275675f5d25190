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

/* Most subjects have no more; code is made for so many, and for some more. */
#define PLAIN_SUBSETS 2
#define DEEP_SUBSETS 4

/* Eight shapes, to be looked for at once: lane i is shape i. A lane's key is its salts and the tokens that are literal
 * in it. Which these are is said twice, as each form likes it. */
struct program_block {
        _Alignas(CACHE_LINE) uint64_t salt_lo[BLOCK_SHAPES];
        uint64_t salt_hi[BLOCK_SHAPES];
        uint64_t asked[BLOCK_SHAPES];                /* 1: a key that the filter does not have is not there */
        uint64_t subsets[SUBSETS_MAX][BLOCK_SHAPES]; /* bit j of [i][lane]: token 3 i + j is literal */
        uint8_t literals[MATCH_TOKENS_MAX];          /* by position: the lanes in which it is literal */
        uint64_t codes[BLOCK_SHAPES];                /* of the shapes */
        uint32_t positions_count;                    /* behind it no lane has a literal */
        uint8_t lanes;                               /* those in use, as bits */
        uint8_t filtered;                            /* those of them that are in the filter */
        uint8_t unfiltered;                          /* and the others: the shape without wildcards */
};

struct program {
        struct epoch_retired retired;
        size_t shapes_count; /* in all, of which the hot ones are in the blocks */
        bool has_cold;       /* the tree has patterns for this depth, too */
        uint64_t skip_code;  /* of a shape on its way, whose patterns in the tree do not count; or SHAPE_CODE_NONE */
        bool is_whole_only;  /* nothing but the shape without wildcards: blocks are not needed */
        /* How many blocks there are, if none has literals beyond the second subset, or the fourth, and all have to be
         * looked at; else SIZE_MAX. */
        size_t plain_rows[2];
        const struct program_block *blocks_end;
        struct subject_key whole_salt;
        uint64_t whole_code;
        size_t subsets_count; /* in use by any block */
        size_t hot_count;
        size_t blocks_count;
        struct program_block blocks[];
};

/* That of a depth at which there is nothing to look for. */
extern const struct program program_none;

/* Beginnings of subjects to look for, of any depth; shorter ones first. */
struct byte_probe {
        struct subject_key salt;
        uint32_t size;
        bool is_glob; /* many patterns may have the key, and their text has to be asked */
};

struct byte_program {
        struct epoch_retired retired;
        bool has_ends; /* whole subjects that are too deep for tokens, too */
        size_t probes_count;
        struct byte_probe probes[];
};

struct shape_row {
        struct shape shape;
        size_t patterns_count;
        bool is_hot;   /* programs look for it; else it is in the tree only */
        bool in_lines; /* what comes is put there, into the tree, or, while they move, into both */
        bool in_tree;
        bool is_moving; /* some may be where nothing is put any more, or not yet where it is */
};

struct shape_list {
        struct shape_row *rows; /* ascending by shape_code */
        size_t rows_count;
        size_t rows_room;
};

/* The writer's register; zeroed but for hot_max is empty. A row whose last pattern went stays until it is swept, so
 * that coming and going of the same shape costs no program. */
struct shapes {
        struct shape_list lists[TAILS_OF_TOKENS][MATCH_TOKENS_MAX + 1]; /* [tail][tokens_count] */
        size_t unused_count;
        size_t hot_max;                           /* shapes that a program looks for */
        size_t hot_counts[MATCH_TOKENS_MAX + 1];  /* by depth: those that programs look for */
        size_t rows_counts[MATCH_TOKENS_MAX + 1]; /* and all of them */
};

#define SHAPE_CODE_NONE UINT64_MAX

/* The same of beginnings; zeroed is empty. */
struct byte_shapes {
        uint32_t counts[TAILS - TAILS_OF_TOKENS][MATCH_SUBJECT_BYTES_MAX + 1]; /* of patterns, by kind and size */
        size_t sizes_counts[TAILS - TAILS_OF_TOKENS];                          /* sizes that have any */
        size_t patterns_counts[TAILS - TAILS_OF_TOKENS];
};

void shapes_fini(struct shapes *shapes);
/* The row of `shape`, made with no patterns if there is none (*made tells); NULL: no memory. Good until the next call.
 */
struct shape_row *shapes_get(struct shapes *shapes, struct shape shape, bool *made);
/* One pattern more, or one less, has this row's shape. */
void shapes_use(struct shapes *shapes, struct shape_row *row);
void shapes_unuse(struct shapes *shapes, struct shape shape);
/* The row of a shape that has patterns. Good until the next shapes_get() or shapes_sweep(). */
struct shape_row *shapes_find(const struct shapes *shapes, struct shape shape);
/* From now on programs are to look for it, or not. */
void shapes_heat(struct shapes *shapes, struct shape_row *row, bool is_hot);
/* Is a shape to move? *to_hot tells where to. As long as a depth has no more than hot_max shapes all of them are hot.
 * When it has more, the few that come first are, and those that have many patterns, up to hot_max, most patterns first.
 * The shape without wildcards never moves. */
bool shapes_pick(const struct shapes *shapes, struct shape *shape, bool *to_hot);
/* Takes out all rows without patterns, but for one that moves. Returns which depths' programs hold one of them: bit n
 * for depth n. */
uint64_t shapes_sweep(struct shapes *shapes);

/* The depths, as bits, at which a shape is looked for. */
uint64_t shape_depths(struct shape shape);

/* 0 or -ENOMEM. *program becomes NULL when there is nothing to look for at `depth`. Free with free(). */
int program_new(struct program **program, const struct shapes *shapes, const struct subject_secrets *secrets,
                uint64_t skip_code, size_t depth);

/* True: it is the first of its kind and size, or was the last. */
bool byte_shapes_use(struct byte_shapes *shapes, struct shape shape);
bool byte_shapes_unuse(struct byte_shapes *shapes, struct shape shape);
/* No subject matches more patterns. */
size_t byte_shapes_matches(const struct byte_shapes *shapes);
/* As program_new(). */
int byte_program_new(struct byte_program **program, const struct byte_shapes *shapes,
                     const struct subject_secrets *secrets);

#endif
