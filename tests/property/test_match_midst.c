/* match: what a writer does in the midst of a reader's batch, at places that chance would hardly find.
 *
 * Each subject of a batch ends a page of its own that nobody may read. The reader's first touch is a fault, in whose
 * handler the writer has its turns: adds and removes patterns, lets tables grow and shapes move. Then the page may be
 * read, and the batch goes on: with programs from before and lines from after, or the other way round. One thread is
 * both, so that the same seed does the same; and as it is a reader that has not passed a turn, what waits for readers
 * waits for it.
 *
 * What stood all the while must be found, once; what was not there, must not; of what changed meanwhile either is
 * right, and its id still means it. A fault at any other place is a byte read that is not the subject's. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "engine/base/random.h"
#include "matcher/table.h"
#include "tests/oracle/match_oracle.h"

#define PATTERNS 1200
#define BATCHES 160
#define TEXT_MAX 96
#define PAGE ((size_t)4096)

struct pattern {
        char text[TEXT_MAX];
        enum oracle_dialect dialect;
        pattern_id id; /* PATTERN_NONE: it is not in */
        bool stood;    /* in this batch it was in, or not, from the beginning on */
        pattern_id before;
};

static struct midst {
        struct match_table *table;
        struct random random;
        struct pattern patterns[PATTERNS];
        size_t favourite; /* of the kinds of pattern: which comes now, while the others go */
        uint8_t *pages;   /* text, unreadable, text, unreadable … */
        struct span subjects[MATCH_BATCH_MAX];
        size_t faults_count, moves_count, growths_count;
        const struct lines *lines;
        enum move_step step;
        const uint8_t *astray; /* where something was read that is no subject */
        bool refused;
} midst;

/* Kinds of pattern, each of a shape or two, over so few words that all overlap; a digit is a word. */
static const char *const kinds[] = {"1.2.3", "1.*.3", "1.2.*",   "*.2.3", "*.*.3", "1.>",   "1.2.>",
                                    "*.2.>", "1.*.*", "*.*.3.>", "1.#",   "1.*.#", "1.2.#", "1.2"};
#define KINDS array_count(kinds)

static void make_text(char text[TEXT_MAX], struct random *random, const char *kind)
{
        char *end = text;
        for (; *kind != '\0'; kind++)
                if (*kind >= '1' && *kind <= '3')
                        end += sprintf(end, "%c%u", 'a' + (char)random_below(random, 3),
                                       (unsigned)random_below(random, 12));
                else
                        *end++ = *kind;
        *end = '\0';
}

static struct span text_of(const struct pattern *pattern)
{
        return span_of_text(pattern->text);
}

static bool is_there(struct span text, enum match_dialect dialect)
{
        return match_find(midst.table, text, dialect) != PATTERN_NONE;
}

static void change_one(void)
{
        struct random *random = &midst.random;
        struct pattern *pattern = &midst.patterns[random_below(random, PATTERNS)];
        if (pattern->id != PATTERN_NONE) {
                match_remove(midst.table, pattern->id, 0);
                pattern->id = PATTERN_NONE;
                pattern->stood = false;
                return;
        }
        /* What it was may still be asked for in this batch. */
        if (!pattern->stood)
                return;
        size_t kind = random_chance(random, 3, 4) ? midst.favourite : random_below(random, KINDS);
        char text[TEXT_MAX];
        make_text(text, random, kinds[kind]);
        enum match_dialect dialect = memchr(text, '#', strlen(text)) != NULL ? MATCH_SYNAP : MATCH_NATS;
        if (random_chance(random, 1, 50))
                dialect = MATCH_PREFIX;
        if (is_there(span_of_text(text), dialect))
                return;
        pattern_id id;
        int error = match_add(midst.table, span_of_text(text), dialect, 0, &id);
        if (error != 0) {
                midst.refused |= error != -ENOSPC; /* ids wait for the reader */
                return;
        }
        snprintf(pattern->text, TEXT_MAX, "%s", text);
        pattern->dialect = (enum oracle_dialect)dialect;
        pattern->id = id;
        pattern->stood = false;
        pattern->before = id;
}

static void note_progress(void)
{
        midst.growths_count += index_lines(&midst.table->index) != midst.lines;
        midst.lines = index_lines(&midst.table->index);
        midst.moves_count += midst.table->move.step != midst.step && midst.table->move.step == MOVE_SWITCH;
        midst.step = midst.table->move.step;
}

static void writers_turns(void)
{
        struct random *random = &midst.random;
        if (random_chance(random, 1, 40))
                midst.favourite = random_below(random, KINDS);
        for (uint64_t turns = random_below(random, 6); turns > 0; turns--) {
                for (uint64_t changes = random_below(random, 12); changes > 0; changes--)
                        change_one();
                match_collect(midst.table);
                note_progress();
        }
}

static void on_fault(int signal, siginfo_t *info, void *context)
{
        (void)context;
        uintptr_t at = (uintptr_t)info->si_addr, begin = (uintptr_t)midst.pages;
        size_t i = (at - begin) / (2 * PAGE);
        if (at < begin || i >= MATCH_BATCH_MAX || at < (uintptr_t)midst.subjects[i].bytes ||
            at >= (uintptr_t)midst.subjects[i].bytes + midst.subjects[i].size) {
                static const char said[] = "a byte was read that is not a subject's\n";
                if (write(STDERR_FILENO, said, sizeof said - 1) < 0 || signal != 0)
                        abort();
        }
        if (mprotect(midst.pages + i * 2 * PAGE, PAGE, PROT_READ | PROT_WRITE) != 0)
                abort();
        midst.faults_count++;
        writers_turns();
}

static void make_batch(size_t count)
{
        for (size_t i = 0; i < count; i++) {
                char text[TEXT_MAX];
                uint8_t *page = midst.pages + i * 2 * PAGE;
                make_text(text, &midst.random, random_chance(&midst.random, 1, 4) ? "1.2" : "1.2.3");
                assert_int_equal(mprotect(page, PAGE, PROT_READ | PROT_WRITE), 0);
                struct span said = span_of_text(text);
                midst.subjects[i] = span_of(page + PAGE - said.size, said.size);
                span_copy(page + PAGE - said.size, said);
                assert_int_equal(mprotect(page, PAGE, PROT_NONE), 0);
        }
}

static size_t times_in(const struct match_set *set, pattern_id id)
{
        size_t times = 0;
        for (size_t i = 0; i < set->ids_count; i++)
                times += set->ids[i] == id;
        return times;
}

static void check_set(struct span subject, const struct match_set *set, const char *form, uint64_t seed)
{
        size_t known = 0;
        for (size_t i = 0; i < PATTERNS; i++) {
                const struct pattern *pattern = &midst.patterns[i];
                if (pattern->before == PATTERN_NONE)
                        continue;
                size_t times = times_in(set, pattern->before);
                bool matches = oracle_matches_as(text_of(pattern), pattern->dialect, subject);
                if (times > matches || (pattern->stood && matches && times == 0))
                        fail_msg("%s, seed %llu: '%s' was found %zu times for '%.*s'", form, (unsigned long long)seed,
                                 pattern->text, times, (int)subject.size, (const char *)subject.bytes);
                known += times;
        }
        assert_int_equal(known, set->ids_count);
}

static void run_seed(const struct match_form *form, uint64_t seed)
{
        static const uint8_t secret[16] = "sixteen byte key";
        static pattern_id ids[MATCH_BATCH_MAX * PATTERNS];
        struct match_limits limits = {.patterns_max = PATTERNS, .retiring_max = PATTERNS};
        assert_int_equal(form_table_new(&midst.table, &limits, secret, form), 0);
        random_init(&midst.random, seed);
        midst.favourite = 0;
        midst.lines = index_lines(&midst.table->index);
        midst.step = MOVE_NONE;
        midst.refused = false;
        for (size_t i = 0; i < PATTERNS; i++)
                midst.patterns[i] = (struct pattern){.id = PATTERN_NONE, .stood = true};
        for (size_t batch = 0; batch < BATCHES; batch++) {
                epoch_quiescent();
                for (size_t i = 0; i < PATTERNS; i++) {
                        midst.patterns[i].stood = true;
                        midst.patterns[i].before = midst.patterns[i].id;
                }
                writers_turns();
                for (size_t i = 0; i < PATTERNS; i++) {
                        midst.patterns[i].stood = true;
                        midst.patterns[i].before = midst.patterns[i].id;
                }
                struct match_set sets[MATCH_BATCH_MAX];
                size_t count = 1 + random_below(&midst.random, MATCH_BATCH_MAX);
                make_batch(count);
                assert_int_equal(match_batch(midst.table, midst.subjects, count, ids, array_count(ids), sets), count);
                for (size_t i = 0; i < count; i++) {
                        assert_int_equal(mprotect(midst.pages + i * 2 * PAGE, PAGE, PROT_READ | PROT_WRITE), 0);
                        check_set(midst.subjects[i], &sets[i], form->name, seed);
                }
        }
        assert_false(midst.refused);
        match_table_free(midst.table);
}

static void a_batch_finds_what_stood_whatever_the_writer_does_between_any_two_subjects(void **state)
{
        (void)state;
        /* cmocka has its own until here. */
        struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
        assert_int_equal(sigaction(SIGSEGV, &action, NULL), 0);
        const struct match_form *found[FORMS_MAX];
        size_t forms_count = forms(found);
        for (size_t i = 0; i < forms_count; i++) {
                for (uint64_t seed = 1; seed <= 8; seed++) {
                        struct match_form form = *found[i];
                        if (seed % 4 != 0)
                                form.shapes_hot = 1 + 2 * (seed % 4); /* so few that shapes come and go all the time */
                        run_seed(&form, seed);
                }
        }
        print_message("%zu times in the midst; shapes moved %zu times, lines were replaced %zu times\n",
                      midst.faults_count, midst.moves_count, midst.growths_count);
        assert_true(midst.faults_count > 10000);
        assert_true(midst.moves_count > 50);
        assert_true(midst.growths_count > 50);
}

static int set_up(void **state)
{
        (void)state;
        midst.pages =
                mmap(NULL, MATCH_BATCH_MAX * 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (midst.pages == MAP_FAILED)
                return -1;
        epoch_register();
        return 0;
}

static int tear_down(void **state)
{
        (void)state;
        epoch_unregister();
        return munmap(midst.pages, MATCH_BATCH_MAX * 2 * PAGE);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_batch_finds_what_stood_whatever_the_writer_does_between_any_two_subjects),
        };
        return cmocka_run_group_tests(tests, set_up, tear_down);
}
