/* mark: says of a rare branch that a test has been there.
 *
 *      if (bytering_room(ring) < size) {
 *              seen("a full ring refused a record");
 *              return false;
 *      }
 *
 * Line coverage says that a line ran in some test; a mark says that the case which somebody feared did come, and the
 * suite fails when no test brings it about any more. Only with -Dmarks=true; elsewhere it is nothing, so it may stand
 * on the event path. A process that is told a folder by MARKS_FOLDER leaves there, as it exits, a line for each mark
 * that it was built with: how often, where, which. scripts/marks joins them. */
#ifndef SPATE_BASE_MARK_H
#define SPATE_BASE_MARK_H

#include "engine/base/check.h"

#ifdef SPATE_MARKS
struct mark {
        const char *text, *file;
        unsigned line;
        uint64_t hits_count; /* of all threads */
};

void mark_hit(struct mark *mark);

/* `what` is a literal: what has happened here, in a few words, one of its kind in the project. Each mark puts its
 * address into a section of the program, which is how one that was never hit is known of. */
#define seen(what)                                                                                                     \
        do {                                                                                                           \
                static struct mark mark_here = {.text = "" what, .file = __FILE__, .line = __LINE__};                  \
                static struct mark *const mark_listed __attribute__((section("spate_marks"), used)) = &mark_here;      \
                mark_hit(mark_listed);                                                                                 \
        } while (0)
#else
#define seen(what) ((void)0)
#endif

#endif
