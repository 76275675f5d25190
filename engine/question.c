/* question: see the header. */
#include "engine/question.h"

#include <errno.h>
#include <stdlib.h>

#include "engine/reactor.h"

struct question {
        struct list link; /* in reactor->questions of the asker's */
        io_id asker;
        const struct question_kind *kind;
        struct question_terms terms;
        question_answered *answered;
        uint64_t reactors; /* asked */
        unsigned waiting_count;
        char *answers[MATCH_REACTORS_MAX];
};

static void question_free(struct question *question)
{
        for (unsigned i = 0; i < MATCH_REACTORS_MAX; i++)
                free(question->answers[i]);
        list_remove(&question->link);
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

static char *question_joined(struct reactor *reactor, struct question *question)
{
        char *answers[MATCH_REACTORS_MAX];
        unsigned count = 0;
        for (uint64_t left = question->reactors; left != 0; left &= left - 1) {
                answers[count] = question->answers[__builtin_ctzll(left)];
                if (answers[count++] == NULL)
                        return NULL;
        }
        return question->kind->join == NULL ? join_as_list(answers, count)
                                            : question->kind->join(reactor, &question->terms, answers, count);
}

static void question_finish(struct reactor *reactor, struct question *question)
{
        char *text = question_joined(reactor, question);
        io_id asker = question->asker;
        question_answered *answered = question->answered;
        reactor->questions_count--;
        question_free(question);
        answered(reactor, asker, text == NULL ? SPAN_NONE : span_of_text(text));
        free(text);
}

int question_ask(struct reactor *reactor, io_id asker, uint64_t reactors, const struct question_kind *kind,
                 const struct question_terms *terms, question_answered *answered)
{
        assert(reactors != 0);
        if (reactor->questions_count == QUESTIONS_MAX)
                return -EBUSY;
        struct question *question = calloc(1, sizeof *question);
        if (question == NULL)
                return -ENOMEM;
        list_init(&question->link);
        list_push_back(&reactor->questions, &question->link);
        reactor->questions_count++;
        question->asker = asker;
        question->kind = kind;
        question->terms = *terms;
        question->answered = answered;
        question->reactors = reactors;
        question->waiting_count = (unsigned)__builtin_popcountll(reactors);
        bool is_for_us = false;
        for (uint64_t left = reactors; left != 0; left &= left - 1) {
                unsigned i = (unsigned)__builtin_ctzll(left);
                struct mailbox_control ask = {.kind = MAILBOX_QUESTION, .question = question};
                bool is_told = i == reactor->settings.number || mailbox_tell(reactor->out[i], &ask);
                assert(is_told); /* QUESTIONS_MAX */
                is_for_us |= i == reactor->settings.number;
        }
        if (is_for_us) {
                question_take(reactor, question);
                question_hear(reactor, question);
        }
        return 0;
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
