/* question: what one connection asks of every reactor: its losses, its connections. The asking connection is held, each
 * reactor writes its answer in its own turn, and the last of them gives the whole to the asker. Nothing waits.
 *
 * Belongs to the asker's reactor; `answers[i]` and `sizes[i]` belong to reactor i between its QUESTION and its ANSWER.
 */
#ifndef SPATE_ENGINE_QUESTION_H
#define SPATE_ENGINE_QUESTION_H

#include "engine/mailbox.h"
#include "io/io.h"

struct reactor;
struct question;

#define QUESTIONS_MAX 16 /* out at a time, for each reactor that asks */

/* Writes one reactor's answer: on the heap, for the question to free; NULL: no memory. */
typedef char *question_write(struct reactor *reactor, uint32_t from, uint32_t limit);
/* All have answered: `text` is {"reactors":[…]} and a line's end, empty when there was no memory. `asker` may be gone.
 */
typedef void question_answered(struct reactor *reactor, io_id asker, struct span text);

/* Asks the reactors in `reactors`, a bit each, this one at once. When the last has answered, `answered` is called:
 * before this returns, where nobody else is asked; else between two events of a later turn. 0, -EBUSY (QUESTIONS_MAX
 * are out) or -ENOMEM. */
int question_ask(struct reactor *reactor, io_id asker, uint64_t reactors, question_write *write,
                 question_answered *answered, uint32_t from, uint32_t limit);
/* QUESTION: writes our answer; the caller tells ANSWER. */
void question_take(struct reactor *reactor, struct question *question);
/* ANSWER. */
void question_hear(struct reactor *reactor, struct question *question);
/* Those that were never answered, when the reactors end. */
void questions_fini(struct reactor *reactor);

#endif
