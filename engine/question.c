/* question: see the header. */
#include "engine/question.h"

#include <errno.h>
#include <stdlib.h>

#include "engine/reactor.h"

struct question {
        struct list link;     /* in reactor->questions of the asker's */
        struct list due_link; /* in its reactor->questions_due while it is to answer itself */
        io_id asker;
        const struct question_kind *kind;
        struct question_terms terms;
        question_answered *answered;
        uint64_t reactors; /* asked */
        unsigned waiting_count;
        char *answers[MATCH_REACTORS_MAX];
};

static void question_drop_answers(struct question *question)
{
        for (unsigned i = 0; i < MATCH_REACTORS_MAX; i++) {
                free(question->answers[i]);
                question->answers[i] = NULL;
        }
}

static void question_free(struct question *question)
{
        question_drop_answers(question);
        free(question->terms.matter);
        list_remove(&question->link);
        list_remove(&question->due_link);
        free(question);
}

/* {"reactors":[one,two]} */
static char *join_as_list(char *const *answers, unsigned answers_count)
{
        static const char head[] = "{\"reactors\":[", tail[] = "]}\n";
        size_t size = sizeof head + sizeof tail;
        for (unsigned i = 0; i < answers_count; i++)
                size += strlen(answers[i]) + 1;
        char *text = malloc(size), *end = text;
        if (text == NULL)
                return NULL;
        end = stpcpy(end, head);
        for (unsigned i = 0; i < answers_count; i++) {
                if (i > 0)
                        *end++ = ',';
                end = stpcpy(end, answers[i]);
        }
        stpcpy(end, tail);
        return text;
}

/* In the order of the reactors; 0: one of them had no memory. */
static unsigned question_gather(const struct question *question, char *answers[MATCH_REACTORS_MAX])
{
        unsigned count = 0;
        for (uint64_t left = question->reactors; left != 0; left &= left - 1) {
                answers[count] = question->answers[__builtin_ctzll(left)];
                if (answers[count++] == NULL)
                        return 0;
        }
        return count;
}

static void question_tell(struct reactor *reactor, struct question *question, bool is_again);

static void question_finish(struct reactor *reactor, struct question *question)
{
        char *answers[MATCH_REACTORS_MAX], *text = NULL;
        const struct question_kind *kind = question->kind;
        unsigned count = question_gather(question, answers);
        if (count > 0 && kind->more != NULL && kind->more(reactor, &question->terms, answers, count)) {
                question_drop_answers(question);
                question_tell(reactor, question, true);
                return;
        }
        if (count > 0)
                text = kind->join == NULL ? join_as_list(answers, count)
                                          : kind->join(reactor, &question->terms, answers, count);
        io_id asker = question->asker;
        question_answered *answered = question->answered;
        reactor->questions_count--;
        question_free(question);
        answered(reactor, asker, text == NULL ? SPAN_NONE : span_of_text(text));
        free(text);
}

/* To all that are asked; ourselves at once, or in the next turn. */
static void question_tell(struct reactor *reactor, struct question *question, bool is_again)
{
        bool is_for_us = false;
        question->waiting_count = (unsigned)__builtin_popcountll(question->reactors);
        for (uint64_t left = question->reactors; left != 0; left &= left - 1) {
                unsigned i = (unsigned)__builtin_ctzll(left);
                struct mailbox_control ask = {.kind = MAILBOX_QUESTION, .question = question};
                bool is_told = i == reactor->settings.number || mailbox_tell(reactor->out[i], &ask);
                assert(is_told); /* QUESTIONS_MAX */
                is_for_us |= i == reactor->settings.number;
        }
        if (!is_for_us)
                return;
        if (is_again) {
                list_push_back(&reactor->questions_due, &question->due_link);
                return;
        }
        question_take(reactor, question);
        question_hear(reactor, question);
}

int question_ask(struct reactor *reactor, io_id asker, uint64_t reactors, const struct question_kind *kind,
                 const struct question_terms *terms, question_answered *answered)
{
        assert(reactors != 0);
        struct question *question = reactor->questions_count == QUESTIONS_MAX ? NULL : calloc(1, sizeof *question);
        if (question == NULL) {
                free(terms->matter);
                return reactor->questions_count == QUESTIONS_MAX ? -EBUSY : -ENOMEM;
        }
        list_init(&question->link);
        list_init(&question->due_link);
        list_push_back(&reactor->questions, &question->link);
        reactor->questions_count++;
        question->asker = asker;
        question->kind = kind;
        question->terms = *terms;
        question->answered = answered;
        question->reactors = reactors;
        question_tell(reactor, question, false);
        return 0;
}

void questions_take_due(struct reactor *reactor)
{
        struct list due;
        list_init(&due);
        list_splice_back(&due, &reactor->questions_due);
        while (!list_is_empty(&due)) {
                struct question *question = list_entry(due.next, struct question, due_link);
                list_remove(&question->due_link);
                question_take(reactor, question);
                question_hear(reactor, question);
        }
}

void question_take(struct reactor *reactor, struct question *question)
{
        question->answers[reactor->settings.number] = question->kind->write(reactor, &question->terms);
}

void question_hear(struct reactor *reactor, struct question *question)
{
        assert(question->waiting_count > 0);
        if (--question->waiting_count == 0)
                question_finish(reactor, question);
}

void questions_fini(struct reactor *reactor)
{
        list_for_each(&reactor->questions, link) question_free(list_entry(link, struct question, link));
}
