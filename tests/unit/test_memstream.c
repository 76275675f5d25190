/* memstream: all of what was printed, or nothing. Every allocation fails once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "engine/base/memstream.h"
#include "tests/fault/faults.h"

#define LINES 2000

static char *print_lines(size_t *size)
{
        struct memstream stream;
        if (memstream_open(&stream) != 0)
                return NULL;
        for (int i = 0; i < LINES; i++)
                fprintf(stream.out, "line %05d\n", i);
        return memstream_close(&stream, size);
}

static void assert_lines(const char *text, size_t size)
{
        char line[16];
        assert_int_equal(size, LINES * strlen("line 00000\n"));
        assert_int_equal(strlen(text), size);
        for (int i = 0; i < LINES; i++) {
                snprintf(line, sizeof line, "line %05d\n", i);
                assert_memory_equal(text + (size_t)i * strlen(line), line, strlen(line));
        }
}

static void nothing_printed_is_an_empty_text(void **state)
{
        (void)state;
        struct memstream stream;
        assert_int_equal(memstream_open(&stream), 0);
        char *text = memstream_close(&stream, NULL);
        assert_string_equal(text, "");
        free(text);
}

static void all_that_was_printed_is_there(void **state)
{
        (void)state;
        size_t size;
        char *text = print_lines(&size);
        assert_non_null(text);
        assert_lines(text, size);
        free(text);
}

static void what_finds_no_memory_is_no_text(void **state)
{
        (void)state;
        unsigned refused = 0;
        for (uint64_t number = 1;; number++) {
                size_t size = 0;
                faults_plan(FAULT_HEAP, number, 1);
                faults_arm();
                char *text = print_lines(&size);
                faults_disarm();
                refused += text == NULL;
                /* The C library can do without its buffer. */
                if (text != NULL)
                        assert_lines(text, size);
                free(text);
                if (faults_struck() == 0)
                        break;
        }
        assert_true(refused >= 3);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(nothing_printed_is_an_empty_text),
                cmocka_unit_test(all_that_was_printed_is_there),
                cmocka_unit_test(what_finds_no_memory_is_no_text),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
