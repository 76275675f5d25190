/* match: memory that is not there. Each call is made to fail at its first allocation, then at its second, and so on,
 * until it succeeds: after an error nothing has changed, and whatever failed along the way, in the end nothing is left
 * behind. The linker puts the functions below in front of the real ones. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "engine/base/random.h"
#include "matcher/table.h"
#include "tests/oracle/match_oracle.h"
#include "tests/oracle/match_rest.h"

static struct heap {
        size_t fails_at;  /* the so manieth from now on fails; 0: none does */
        bool goes_on;     /* and all behind it */
        bool has_failed;  /* one did */
        size_t taken;     /* blocks */
        size_t mapped;    /* bytes */
        size_t asked_for; /* times */
} heap;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void __real_free(void *block);
void *__real_mmap(void *address, size_t size, int protection, int flags, int file, off_t offset);
int __real_munmap(void *address, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void __wrap_free(void *block);
void *__wrap_mmap(void *address, size_t size, int protection, int flags, int file, off_t offset);
void *__wrap_mmap64(void *address, size_t size, int protection, int flags, int file, off_t offset);
int __wrap_munmap(void *address, size_t size);

static bool is_refused(void)
{
        heap.asked_for++;
        if (heap.fails_at == 0)
                return false;
        if (heap.fails_at > 1) {
                heap.fails_at--;
                return false;
        }
        heap.fails_at = heap.goes_on ? 1 : 0;
        heap.has_failed = true;
        return true;
}

static void *counted(void *block)
{
        heap.taken += block != NULL;
        return block;
}

void *__wrap_malloc(size_t size)
{
        return is_refused() ? NULL : counted(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
        return is_refused() ? NULL : counted(__real_calloc(count, size));
}

void *__wrap_realloc(void *block, size_t size)
{
        if (is_refused())
                return NULL;
        void *moved = __real_realloc(block, size);
        heap.taken += block == NULL && moved != NULL;
        return moved;
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
        return is_refused() ? NULL : counted(__real_aligned_alloc(alignment, size));
}

void __wrap_free(void *block)
{
        heap.taken -= block != NULL;
        __real_free(block);
}

void *__wrap_mmap(void *address, size_t size, int protection, int flags, int file, off_t offset)
{
        if (is_refused())
                return MAP_FAILED;
        heap.mapped += size;
        return __real_mmap(address, size, protection, flags, file, offset);
}

/* Its name where offsets of files are of 64 bits by request. */
void *__wrap_mmap64(void *address, size_t size, int protection, int flags, int file, off_t offset)
{
        return __wrap_mmap(address, size, protection, flags, file, offset);
}

int __wrap_munmap(void *address, size_t size)
{
        heap.mapped -= size;
        return __real_munmap(address, size);
}

static void fail_at(size_t n, bool goes_on)
{
        heap.fails_at = n;
        heap.goes_on = goes_on;
        heap.has_failed = false;
}

/* Did the allocation that was to fail come about? None fails from now on. */
static bool failed(void)
{
        heap.fails_at = 0;
        return heap.has_failed;
}

#define PATTERNS 700
#define TEXT_MAX 128

struct entry {
        char text[TEXT_MAX];
        enum oracle_dialect dialect;
        pattern_id id;
};

static struct model {
        struct match_table *table;
        struct random random;
        struct entry entries[PATTERNS];
        size_t entries_count;
        size_t failures_count;
} model;

/* A digit is a word, 'd' a few of them. */
static void make_text(char text[TEXT_MAX], const char *kind)
{
        char *end = text;
        for (; *kind != '\0'; kind++) {
                size_t words =
                        *kind == 'd' ? 1 + random_below(&model.random, 12) : (size_t)(*kind >= '1' && *kind <= '3');
                if (words == 0)
                        *end++ = *kind;
                for (size_t i = 0; i < words; i++)
                        end += sprintf(end, "%s%c%u", i == 0 ? "" : ".", 'a' + (char)random_below(&model.random, 3),
                                       (unsigned)random_below(&model.random, 9));
        }
        *end = '\0';
}

static const struct {
        const char *text;
        enum oracle_dialect dialect;
} kinds[] = {{"1.2.3", ORACLE_NATS}, {"1.*.3", ORACLE_NATS}, {"*.2.*", ORACLE_NATS}, {"1.>", ORACLE_NATS},
             {"d", ORACLE_NATS},     {"d.>", ORACLE_NATS},   {"d.*.d", ORACLE_NATS}, {"*.d.*", ORACLE_NATS},
             {"d.#", ORACLE_SYNAP},  {"1*.2", ORACLE_SYNAP}, {"d", ORACLE_PREFIX},   {"1.", ORACLE_PREFIX},
             {"d", ORACLE_EXACT}};

static bool is_in(const char *text, enum oracle_dialect dialect)
{
        return match_find(model.table, span_of_text(text), (enum match_dialect)dialect) != PATTERN_NONE;
}

/* Any subjects at all, some of them those that a pattern was made for. */
static void check_matches(size_t subjects_count)
{
        static pattern_id ids[PATTERNS];
        for (size_t i = 0; i < subjects_count; i++) {
                char text[TEXT_MAX];
                make_text(text, random_chance(&model.random, 1, 2) ? "1.2.3" : "d");
                struct span subject = span_of_text(text);
                struct match_set set;
                assert_true(match_ids_max(model.table) <= PATTERNS);
                assert_int_equal(match_batch(model.table, &subject, 1, ids, match_ids_max(model.table), &set), 1);
                size_t expected = 0;
                for (size_t j = 0; j < model.entries_count; j++) {
                        const struct entry *entry = &model.entries[j];
                        if (!oracle_matches_as(span_of_text(entry->text), entry->dialect, subject))
                                continue;
                        size_t found = 0;
                        for (size_t k = 0; k < set.ids_count; k++)
                                found += set.ids[k] == entry->id;
                        assert_int_equal(found, 1);
                        expected++;
                }
                assert_int_equal(set.ids_count, expected);
        }
}

static void add_one(bool goes_on)
{
        size_t kind = random_below(&model.random, array_count(kinds));
        struct entry entry = {.dialect = kinds[kind].dialect};
        make_text(entry.text, kinds[kind].text);
        if (is_in(entry.text, entry.dialect) || model.entries_count == PATTERNS)
                return;
        struct span text = span_of_text(entry.text);
        enum match_dialect dialect = (enum match_dialect)entry.dialect;
        for (size_t n = 1;; n++) {
                uint64_t version = match_version(model.table);
                entry.id = PATTERN_NONE;
                fail_at(n, goes_on);
                int error = match_add(model.table, text, dialect, (unsigned)(n % MATCH_REACTORS_MAX), &entry.id);
                model.failures_count += failed();
                if (error == 0)
                        break;
                if (error == -ENOSPC) { /* globs that begin alike, or ids that wait */
                        assert_false(heap.has_failed);
                        return;
                }
                assert_int_equal(error, -ENOMEM);
                assert_true(heap.has_failed);
                assert_int_equal(entry.id, PATTERN_NONE);
                assert_true(match_version(model.table) == version);
                assert_int_equal(match_patterns_count(model.table), model.entries_count);
                assert_false(is_in(entry.text, entry.dialect));
                check_matches(2);
                /* Or it never comes. */
                if (random_chance(&model.random, 1, 20))
                        return;
        }
        model.entries[model.entries_count++] = entry;
        assert_int_equal(match_find(model.table, text, dialect), entry.id);
        assert_int_equal(match_patterns_count(model.table), model.entries_count);
}

/* Asks for no memory, so that it cannot fail. */
static void remove_one(void)
{
        struct entry *entry = &model.entries[random_below(&model.random, model.entries_count)];
        size_t asked_for = heap.asked_for;
        for (unsigned reactor = 0; reactor < MATCH_REACTORS_MAX; reactor++)
                match_remove(model.table, entry->id, reactor);
        assert_int_equal(heap.asked_for, asked_for);
        assert_false(is_in(entry->text, entry->dialect));
        *entry = model.entries[--model.entries_count];
}

/* A turn in which there is no memory at some point does what it can; the next one does the rest. */
static void collect(bool goes_on)
{
        epoch_quiescent();
        fail_at(1 + random_below(&model.random, 4), goes_on);
        match_collect(model.table);
        model.failures_count += failed();
        check_matches(1);
}

static void run_seed(const struct match_form *form, uint64_t seed)
{
        static const uint8_t secret[16] = "sixteen byte key";
        struct match_limits limits = {.patterns_max = PATTERNS, .retiring_max = 64};
        random_init(&model.random, seed);
        model.entries_count = 0;
        assert_int_equal(form_table_new(&model.table, &limits, secret, form), 0);
        /* First they come, then they come and go, then they go. */
        for (size_t step = 0; step < 1800; step++) {
                uint64_t adds = step < 900 ? 70 : step < 1300 ? 50 : 30;
                bool goes_on = random_chance(&model.random, 1, 4);
                if (random_chance(&model.random, 1, 3))
                        collect(goes_on);
                else if (random_below(&model.random, 100) < adds)
                        add_one(goes_on);
                else if (model.entries_count > 0)
                        remove_one();
        }
        while (model.entries_count > 0)
                remove_one();
        rest_check(model.table);
        match_table_free(model.table);
        assert_int_equal(heap.taken, 0);
        assert_int_equal(heap.mapped, 0);
}

static void a_change_for_which_there_is_no_memory_changes_nothing(void **state)
{
        (void)state;
        const struct match_form *found[FORMS_MAX];
        size_t forms_count = forms(found);
        for (uint64_t seed = 1; seed <= 4; seed++) {
                struct match_form form = *found[seed % forms_count];
                /* In a crowd of shapes, so that there is a tree, and moves. */
                if (seed % 2 == 0)
                        form.shapes_hot = 3;
                run_seed(&form, seed);
        }
        print_message("%zu allocations failed\n", model.failures_count);
        assert_true(model.failures_count > 1000);
}

static void a_table_for_which_there_is_no_memory_leaves_none_behind(void **state)
{
        (void)state;
        static const uint8_t secret[16] = "sixteen byte key";
        struct match_limits limits = {.patterns_max = 1000};
        for (size_t n = 1;; n++) {
                struct match_table *table = NULL;
                fail_at(n, n % 2 == 0);
                int error = match_table_new(&table, &limits, secret);
                if (!failed()) {
                        assert_int_equal(error, 0);
                        match_table_free(table);
                        assert_in_range(n, 5, 20);
                        break;
                }
                assert_int_equal(error, -ENOMEM);
                assert_null(table);
                assert_int_equal(heap.taken, 0);
                assert_int_equal(heap.mapped, 0);
        }
        assert_int_equal(heap.taken, 0);
        assert_int_equal(heap.mapped, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_table_for_which_there_is_no_memory_leaves_none_behind),
                cmocka_unit_test(a_change_for_which_there_is_no_memory_changes_nothing),
        };
        epoch_register();
        heap = (struct heap){.fails_at = 0};
        int failed_count = cmocka_run_group_tests(tests, NULL, NULL);
        epoch_unregister();
        return failed_count;
}
