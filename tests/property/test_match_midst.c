/* match: what a writer does in the midst of a reader's batch, and the reverse, at places that chance would hardly find.
 *
 * Each subject of a batch ends a page of its own that nobody may read. The reader's first touch is a fault, in whose
 * handler the writer has its turns: adds and removes patterns, lets tables grow and shapes move. Then the page may be
 * read, and the batch goes on: with programs from before and lines from after, or the other way round. One thread is
 * both, so that the same seed does the same; and as it is a reader that has not passed a turn, what waits for readers
 * waits for it.
 *
 * Where the CPU can stop behind every instruction (x86), the other has its turn behind any instruction, too.
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
#include <ucontext.h>
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

static uint64_t rounds = 1;

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
        const char *form;
        uint64_t seed;
        /* Of a stop behind instructions. */
        bool is_stepping;
        size_t steps_left, steps_count, stops_count;
        void (*at_stop)(void);
        /* The change that a reader may be in the midst of. */
        struct pattern *changing;
        uint64_t version;
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

static size_t times_in(const struct match_set *set, pattern_id id)
{
        size_t times = 0;
        for (size_t i = 0; i < set->ids_count; i++)
                times += set->ids[i] == id;
        return times;
}

/* Is the pattern that is about to come among them? The writer has not told its id yet. */
static size_t newcomer_in(const struct match_set *set, struct span subject)
{
        const struct pattern *pattern = midst.changing;
        if (pattern == NULL || pattern->id != PATTERN_NONE ||
            !oracle_matches_as(text_of(pattern), pattern->dialect, subject))
                return 0;
        size_t found = 0;
        for (size_t i = 0; i < set->ids_count; i++)
                found += span_equal(match_text(midst.table, set->ids[i]), text_of(pattern));
        return found > 0;
}

static void check_set(struct span subject, const struct match_set *set)
{
        size_t known = 0;
        for (size_t i = 0; i < PATTERNS; i++) {
                const struct pattern *pattern = &midst.patterns[i];
                if (pattern->before == PATTERN_NONE)
                        continue;
                size_t times = times_in(set, pattern->before);
                bool matches = oracle_matches_as(text_of(pattern), pattern->dialect, subject);
                if (times > matches || (pattern->stood && matches && times == 0))
                        fail_msg("%s, seed %llu: '%s' was found %zu times for '%.*s'", midst.form,
                                 (unsigned long long)midst.seed, pattern->text, times, (int)subject.size,
                                 (const char *)subject.bytes);
                known += times;
        }
        assert_int_equal(known + newcomer_in(set, subject), set->ids_count);
}

/* Once the version has gone up, the change is there for all. */
static void check_promise(struct span subject, const struct match_set *set)
{
        const struct pattern *pattern = midst.changing;
        if (pattern->id != PATTERN_NONE)
                assert_int_equal(times_in(set, pattern->id), 0);
        else if (oracle_matches_as(text_of(pattern), pattern->dialect, subject))
                assert_int_equal(newcomer_in(set, subject), 1);
}

#define GLANCE 4 /* subjects */

static void read_in_the_midst(void)
{
        static pattern_id ids[GLANCE * PATTERNS];
        char texts[GLANCE][TEXT_MAX];
        struct span subjects[GLANCE];
        struct match_set sets[GLANCE];
        for (size_t i = 0; i < GLANCE; i++) {
                make_text(texts[i], &midst.random, i == 0 ? "1.2" : "1.2.3");
                subjects[i] = span_of_text(texts[i]);
        }
        /* What changes, or something like it. */
        if (midst.changing != NULL)
                for (char *c = strcpy(texts[GLANCE - 1], midst.changing->text); *c != '\0'; c++)
                        *c = *c == '*' || *c == '>' || *c == '#' ? 'a' : *c;
        subjects[GLANCE - 1] = span_of_text(texts[GLANCE - 1]);
        uint64_t version = match_version(midst.table);
        assert_int_equal(match_batch(midst.table, subjects, GLANCE, ids, array_count(ids), sets), GLANCE);
        for (size_t i = 0; i < GLANCE; i++) {
                check_set(subjects[i], &sets[i]);
                if (midst.changing != NULL && version != midst.version)
                        check_promise(subjects[i], &sets[i]);
        }
}

/* Stops. */

/* Mostly soon, now and then a good while later. */
static size_t next_gap(void)
{
        return 1 + random_below(&midst.random, (uint64_t)16 << random_below(&midst.random, 8));
}

#ifdef __x86_64__
#define TRAP_FLAG 0x100

static void on_trap(int signal, siginfo_t *info, void *context)
{
        (void)signal;
        (void)info;
        ucontext_t *here = context;
        if (!midst.is_stepping) {
                here->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)TRAP_FLAG;
                return;
        }
        midst.steps_count++;
        if (--midst.steps_left > 0)
                return;
        midst.steps_left = next_gap();
        midst.stops_count++;
        midst.at_stop();
}

/* From now on there is a trap behind every instruction, until step_end(). */
static void step_begin(void (*at_stop)(void))
{
        if (midst.at_stop != at_stop)
                return;
        midst.steps_left = next_gap();
        midst.is_stepping = true;
        /* Past the red zone. */
        __asm__ volatile("lea -128(%%rsp), %%rsp; pushfq; orq %0, (%%rsp); popfq; lea 128(%%rsp), %%rsp"
                         :
                         : "i"(TRAP_FLAG)
                         : "memory", "cc");
}
#else
static void step_begin(void (*at_stop)(void))
{
        (void)at_stop;
}
#endif

static void step_end(void)
{
        midst.is_stepping = false;
}

/* Between these two a reader may look, if it is the writer that is stopped. */
static void begin_change(struct pattern *pattern)
{
        midst.changing = pattern;
        midst.version = match_version(midst.table);
        step_begin(read_in_the_midst);
}

static void end_change(void)
{
        if (midst.at_stop == read_in_the_midst)
                step_end();
        midst.changing = NULL;
}

static void change_one(void)
{
        struct random *random = &midst.random;
        struct pattern *pattern = &midst.patterns[random_below(random, PATTERNS)];
        if (pattern->id != PATTERN_NONE) {
                pattern->stood = false;
                begin_change(pattern);
                match_remove(midst.table, pattern->id, 0);
                end_change();
                pattern->id = PATTERN_NONE;
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
        snprintf(pattern->text, TEXT_MAX, "%s", text);
        pattern->dialect = (enum oracle_dialect)dialect;
        pattern->stood = false;
        pattern->before = PATTERN_NONE;
        begin_change(pattern);
        pattern_id id;
        int error = match_add(midst.table, span_of_text(text), dialect, 0, &id);
        end_change();
        if (error != 0) {
                midst.refused |= error != -ENOSPC; /* ids wait for the reader */
                return;
        }
        pattern->id = id;
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

static void begin_seed(const struct match_form *form, uint64_t seed)
{
        static const uint8_t secret[16] = "sixteen byte key";
        struct match_limits limits = {.patterns_max = PATTERNS, .retiring_max = PATTERNS};
        assert_int_equal(form_table_new(&midst.table, &limits, secret, form), 0);
        random_init(&midst.random, seed);
        midst.favourite = 0;
        midst.lines = index_lines(&midst.table->index);
        midst.step = MOVE_NONE;
        midst.refused = false;
        midst.form = form->name;
        midst.seed = seed;
        for (size_t i = 0; i < PATTERNS; i++)
                midst.patterns[i] = (struct pattern){.id = PATTERN_NONE};
}

static void end_seed(void)
{
        assert_false(midst.refused);
        match_table_free(midst.table);
}

/* What is there now stands until it is changed. */
static void begin_batch(void)
{
        for (size_t i = 0; i < PATTERNS; i++) {
                midst.patterns[i].stood = true;
                midst.patterns[i].before = midst.patterns[i].id;
        }
}

static void run_seed(const struct match_form *form, uint64_t seed)
{
        static pattern_id ids[MATCH_BATCH_MAX * PATTERNS];
        begin_seed(form, seed);
        for (size_t batch = 0; batch < BATCHES; batch++) {
                epoch_quiescent();
                begin_batch();
                writers_turns();
                begin_batch();
                struct match_set sets[MATCH_BATCH_MAX];
                size_t count = 1 + random_below(&midst.random, MATCH_BATCH_MAX);
                make_batch(count);
                assert_int_equal(match_batch(midst.table, midst.subjects, count, ids, array_count(ids), sets), count);
                for (size_t i = 0; i < count; i++) {
                        assert_int_equal(mprotect(midst.pages + i * 2 * PAGE, PAGE, PROT_READ | PROT_WRITE), 0);
                        check_set(midst.subjects[i], &sets[i]);
                }
        }
        end_seed();
}

/* So that there is something to be found. */
static void change_much(void)
{
        for (size_t i = 0; i < 8; i++) {
                begin_batch();
                writers_turns();
        }
}

#define STEPS 50000 /* a seed; each takes some microseconds, and a sanitizer makes many of one */

/* The reader is stopped, and the writer has its turns. */
static void run_stepped_reader(const struct match_form *form, uint64_t seed)
{
        static pattern_id ids[GLANCE * PATTERNS];
        begin_seed(form, seed);
        size_t end = midst.steps_count + STEPS;
        for (size_t i = 0; i < BATCHES && midst.steps_count < end; i++) {
                epoch_quiescent();
                change_much();
                begin_batch();
                char texts[GLANCE][TEXT_MAX];
                struct span subjects[GLANCE];
                struct match_set sets[GLANCE];
                for (size_t j = 0; j < GLANCE; j++) {
                        make_text(texts[j], &midst.random, j == 0 ? "1.2" : "1.2.3");
                        subjects[j] = span_of_text(texts[j]);
                }
                midst.at_stop = writers_turns;
                step_begin(writers_turns);
                size_t done = match_batch(midst.table, subjects, GLANCE, ids, array_count(ids), sets);
                step_end();
                midst.at_stop = NULL;
                assert_int_equal(done, GLANCE);
                for (size_t j = 0; j < GLANCE; j++)
                        check_set(subjects[j], &sets[j]);
        }
        end_seed();
}

/* The writer is stopped, and a reader looks. */
static void run_stepped_writer(const struct match_form *form, uint64_t seed)
{
        begin_seed(form, seed);
        size_t end = midst.steps_count + STEPS;
        for (size_t i = 0; i < BATCHES && midst.steps_count < end; i++) {
                epoch_quiescent();
                change_much();
                begin_batch();
                midst.at_stop = read_in_the_midst;
                change_one();
                begin_batch();
                step_begin(read_in_the_midst);
                match_collect(midst.table);
                step_end();
                midst.at_stop = NULL;
        }
        end_seed();
}

static void a_stop_behind_any_instruction_is_as_good_as_none(void **state)
{
        (void)state;
#ifndef __x86_64__
        print_message("skipped: no traps behind instructions\n");
        skip();
#else
        struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO | SA_NODEFER};
        assert_int_equal(sigaction(SIGTRAP, &action, NULL), 0);
        const struct match_form *found[FORMS_MAX];
        size_t forms_count = forms(found);
        for (size_t i = 0; i < forms_count; i++) {
                for (uint64_t seed = 1; seed <= rounds; seed++) {
                        struct match_form form = *found[i];
                        form.shapes_hot = seed % 2 == 1 ? 2 : 6;
                        run_stepped_reader(&form, 100 + seed);
                        run_stepped_writer(&form, 200 + seed);
                }
        }
        print_message("%zu instructions, %zu stops\n", midst.steps_count, midst.stops_count);
        if (midst.steps_count == 0) {
                print_message("skipped: no traps behind instructions here\n");
                skip();
        }
        assert_true(midst.stops_count > 100);
#endif
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
                for (uint64_t seed = 1; seed <= 4 * rounds; seed++) {
                        struct match_form form = *found[i];
                        if (seed % 4 != 0)
                                form.shapes_hot = 1 + 2 * (seed % 4); /* so few that shapes come and go all the time */
                        run_seed(&form, seed);
                }
        }
        print_message("%zu times in the midst; shapes moved %zu times, lines were replaced %zu times\n",
                      midst.faults_count, midst.moves_count, midst.growths_count);
        assert_true(midst.faults_count > 10000);
        assert_true(midst.moves_count > 25);
        assert_true(midst.growths_count > 25);
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

/* test_match_midst [ROUNDS]: one is what is always run. */
int main(int argc, char **argv)
{
        if (argc > 1)
                rounds = strtoull(argv[1], NULL, 10);
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_batch_finds_what_stood_whatever_the_writer_does_between_any_two_subjects),
                cmocka_unit_test(a_stop_behind_any_instruction_is_as_good_as_none),
        };
        return cmocka_run_group_tests(tests, set_up, tear_down);
}
