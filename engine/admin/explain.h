/* explain: what would become of an event with a given subject: may it be published, which patterns match it and by
 * which wildcards, who has subscribed to them on which reactor, what each would have; and where nothing matches, which
 * patterns nearly do.
 *
 * Each reactor tells of its own subscribers in its own turn, and looks at no more than EXPLAIN_LOOK_MAX of them. What
 * is near is looked for in pieces, a few thousand patterns a turn. */
#ifndef SPATE_ENGINE_ADMIN_EXPLAIN_H
#define SPATE_ENGINE_ADMIN_EXPLAIN_H

#include "engine/question.h"

#define EXPLAIN_ROWS_MAX 200
#define EXPLAIN_LOOK_MAX 8192
#define EXPLAIN_NEAR_MAX                                                                                               \
        131072 /* patterns of one reactor that are compared; of more, so many spread over all of them */
#define EXPLAIN_SUBJECT_BYTES_MAX 2048 /* longer than any that is taken: why not is told as well */
#define EXPLAIN_ERROR_BYTES 256

extern const struct question_kind explain_question;

/* What the query asks for: subject=, user=, limit=. 200, and the terms' matter is for question_ask(); else the HTTP
 * status, with one line in `error`. On the first reactor, whose users and matcher are asked. */
int explain_read(struct reactor *reactor, struct span query, struct question_terms *terms,
                 char error[EXPLAIN_ERROR_BYTES]);

#endif
