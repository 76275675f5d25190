/* question: see the header. */
#include "engine/question.h"

#include <errno.h>
#include <stdlib.h>

#include "engine/reactor.h"

struct question {
        struct list link; /* in reactor->questions of the asker's */
        io_id asker;
        question_write *write;
        question_answered *answered;
        uint32_t from, limit;
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
static void question_finish(struct reactor *reactor, struct question *question)
{
        static const char head[] = "{\"reactors\":[", tail[] = "]}\n";
        size_t size = sizeof head + sizeof tail;
        bool is_whole = true;
        for (uint64_t left = question->reactors; left != 0; left &= left - 1) {
                const char *answer = question->answers[__builtin_ctzll(left)];
                is_whole &= answer != NULL;
                size += answer == NULL ? 0 : strlen(answer) + 1;
        }
        char *text = is_whole ? malloc(size) : NULL;
        char *end = text;
        if (text != NULL) {
                end = stpcpy(end, head);
                for (uint64_t left = question->reactors; left != 0; left &= left - 1) {
                        if (left != question->reactors)
                                *end++ = ',';
                        end = stpcpy(end, question->answers[__builtin_ctzll(left)]);
                }
                end = stpcpy(end, tail);
        }
        io_id asker = question->asker;
        question_answered *answered = question->answered;
        reactor->questions_count--;
        question_free(question);
        answered(reactor, asker, text == NULL ? SPAN_NONE : span_of(text, (size_t)(end - text)));
        free(text);
}

int question_ask(struct reactor *reactor, io_id asker, uint64_t reactors, question_write *write,
                 question_answered *answered, uint32_t from, uint32_t limit)
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
        question->write = write;
        question->answered = answered;
        question->from = from;
        question->limit = limit;
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
        question->answers[reactor->settings.number] = question->write(reactor, question->from, question->limit);
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
