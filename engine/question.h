/* question: what one connection asks of every reactor: its losses, its connections. The asking connection is held, each
 * reactor writes its answer in its own turn, and the last of them gives the whole to the asker. Nothing waits.
 *
 * Belongs to the asker's reactor; `answers[i]` belongs to reactor i between its QUESTION and its ANSWER.
 */
#ifndef SPATE_ENGINE_QUESTION_H
#define SPATE_ENGINE_QUESTION_H

#include "engine/mailbox.h"
#include "io/io.h"

struct reactor;
struct question;

#define QUESTIONS_MAX 16 /* out at a time, for each reactor that asks */

/* What exactly is asked; each kind of question knows what its fields mean. */
struct question_terms {
        uint32_t from, limit;
        uint8_t order, detail;
        void *matter; /* on the heap, in one piece; the question's from question_ask() on. Every reactor reads it; what
                         in it is a reactor's own is as answers[i] is */
};

/* Writes one reactor's answer: on the heap, for the question to free; NULL: no memory. */
typedef char *question_write(struct reactor *reactor, const struct question_terms *terms);
/* Makes one text of all answers, on the heap; NULL: no memory. In the asker's reactor. */
typedef char *question_join(struct reactor *reactor, const struct question_terms *terms, char *const *answers,
                            unsigned answers_count);

/* All have answered: is there more to ask? The terms may be changed then, and the same reactors are asked again, each
 * in a turn to come. What would take too long for one turn is asked in pieces. In the asker's reactor. */
typedef bool question_more(struct reactor *reactor, struct question_terms *terms, char *const *answers,
                           unsigned answers_count);

struct question_kind {
        question_write *write;
        question_join *join; /* NULL: {"reactors":[one,two]} and a line's end */
        question_more *more; /* NULL: there never is */
};

/* All have answered; `text` is empty when there was no memory. `asker` may be gone. */
typedef void question_answered(struct reactor *reactor, io_id asker, struct span text);

/* Asks the reactors in `reactors`, a bit each, this one at once. `kind` lives for ever; the terms are copied, and their
 * matter is freed also where this fails. When the last has answered, `answered` is called: before this returns, where
 * nobody else is asked; else between two events of a later turn. 0, -EBUSY (QUESTIONS_MAX are out) or -ENOMEM. */
int question_ask(struct reactor *reactor, io_id asker, uint64_t reactors, const struct question_kind *kind,
                 const struct question_terms *terms, question_answered *answered);
/* QUESTION: writes our answer; the caller tells ANSWER. */
void question_take(struct reactor *reactor, struct question *question);
/* ANSWER. */
void question_hear(struct reactor *reactor, struct question *question);
/* Answers what this reactor has asked itself again. Once a turn; it does not sleep while reactor->questions_due has
 * any.
 */
void questions_take_due(struct reactor *reactor);
/* Those that were never answered, when the reactors end. */
void questions_fini(struct reactor *reactor);

#endif
