/* best: of many things, the few with the highest score: a heap of at most `room` of them whose least stands in front,
 * so that each of the many costs one comparison and each of the few a way down the heap. In the caller's memory. */
#ifndef SPATE_BASE_BEST_H
#define SPATE_BASE_BEST_H

#include "engine/base/check.h"

struct best_row {
        uint64_t score;
        const void *what;
};

struct best {
        struct best_row *rows;
        size_t room, count;
};

static inline void best_init(struct best *best, struct best_row *rows, size_t room)
{
        assert(room > 0);
        *best = (struct best){.rows = rows, .room = room};
}

/* The row at `at` may be larger than those below it. */
static inline void best_sink(struct best_row *rows, size_t count, size_t at)
{
        for (size_t child; (child = 2 * at + 1) < count;) {
                if (child + 1 < count && rows[child + 1].score < rows[child].score)
                        child++;
                if (rows[at].score <= rows[child].score)
                        return;
                struct best_row row = rows[at];
                rows[at] = rows[child];
                rows[child] = row;
                at = child;
        }
}

/* `what` is borrowed until the rows have been read. Of equal scores the one offered first stays. */
static inline void best_offer(struct best *best, uint64_t score, const void *what)
{
        if (best->count == best->room) {
                if (score <= best->rows[0].score)
                        return;
                best->rows[0] = (struct best_row){score, what};
                best_sink(best->rows, best->count, 0);
                return;
        }
        size_t at = best->count++;
        for (; at > 0 && best->rows[(at - 1) / 2].score > score; at = (at - 1) / 2)
                best->rows[at] = best->rows[(at - 1) / 2];
        best->rows[at] = (struct best_row){score, what};
}

/* Puts the rows in order, the highest score first. Nothing more is offered. */
static inline void best_sort(struct best *best)
{
        for (size_t left = best->count; left > 1;) {
                struct best_row least = best->rows[0];
                best->rows[0] = best->rows[--left];
                best->rows[left] = least;
                best_sink(best->rows, left, 0);
        }
}

#endif
