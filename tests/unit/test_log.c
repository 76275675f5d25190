/* log: one whole line an occurrence, which no value can break. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/log.h"
#include "engine/base/random.h"

/* Standard error goes into a pipe while a test looks at it. */
static int stderr_saved;
static int captured;

static void capture_begin(void)
{
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        stderr_saved = dup(STDERR_FILENO);
        assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
        close(ends[1]);
        captured = ends[0];
        unsetenv("JOURNAL_STREAM");
}

/* What came since capture_begin(); the end of the pipe is closed, so this is all of it. */
static void capture_end(char *text, size_t size)
{
        size_t used = 0;
        ssize_t got;
        dup2(stderr_saved, STDERR_FILENO);
        close(stderr_saved);
        while (used < size - 1 && (got = read(captured, text + used, size - 1 - used)) > 0)
                used += (size_t)got;
        text[used] = '\0';
        close(captured);
}

/* Is this a time as 2026-11-21T09:30:00.123Z? */
static bool is_time(const char *text)
{
        static const char form[] = "dddd-dd-ddTdd:dd:dd.dddZ ";
        for (size_t i = 0; i < sizeof(form) - 1; i++)
                if (form[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != form[i])
                        return false;
        return true;
}

static void a_line_has_time_level_event_and_fields(void **state)
{
        (void)state;
        char text[4096];
        capture_begin();
        log_info("listening", "address=%s:%d", "127.0.0.1", 4222);
        log_error("out_of_files", NULL);
        capture_end(text, sizeof(text));
        assert_true(is_time(text));
        char *second = strchr(text, '\n') + 1;
        assert_true(is_time(second));
        assert_string_equal(second + 25, "level=error event=out_of_files\n");
        *second = '\0';
        assert_string_equal(text + 25, "level=info event=listening address=127.0.0.1:4222\n");
}

static void the_journal_gets_a_priority_in_place_of_the_time(void **state)
{
        (void)state;
        char text[4096], stream[64];
        struct stat status;
        capture_begin();
        assert_int_equal(fstat(STDERR_FILENO, &status), 0);
        snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)status.st_dev,
                 (unsigned long long)status.st_ino);
        setenv("JOURNAL_STREAM", stream, 1);
        log_set_level(LOG_LEVEL_DEBUG);
        log_error("a", NULL);
        log_warn("b", NULL);
        log_info("c", NULL);
        log_debug("d", "e=f");
        log_set_level(LOG_LEVEL_INFO);
        capture_end(text, sizeof(text));
        unsetenv("JOURNAL_STREAM");
        assert_string_equal(text, "<3>level=error event=a\n<4>level=warn event=b\n<6>level=info event=c\n"
                                  "<7>level=debug event=d e=f\n");
}

static void a_journal_that_is_not_our_standard_error_is_ignored(void **state)
{
        (void)state;
        char text[4096];
        capture_begin();
        setenv("JOURNAL_STREAM", "1:2", 1);
        log_info("c", NULL);
        setenv("JOURNAL_STREAM", "nonsense", 1);
        log_info("c", NULL);
        capture_end(text, sizeof(text));
        unsetenv("JOURNAL_STREAM");
        assert_true(is_time(text));
        assert_true(is_time(strchr(text, '\n') + 1));
}

static void a_level_holds_back_what_is_below_it(void **state)
{
        (void)state;
        char text[4096];
        enum log_level level = LOG_LEVEL_ERROR;
        capture_begin();
        log_set_level(LOG_LEVEL_WARN);
        assert_int_equal(log_level_now(), LOG_LEVEL_WARN);
        log_info("no", NULL);
        log_debug("no", NULL);
        log_warn("yes", NULL);
        log_set_level(LOG_LEVEL_INFO);
        capture_end(text, sizeof(text));
        assert_string_equal(text + 25, "level=warn event=yes\n");
        assert_int_equal(log_level_of_text("debug", &level), 0);
        assert_int_equal(level, LOG_LEVEL_DEBUG);
        assert_int_equal(log_level_of_text("loud", &level), -EINVAL);
        assert_int_equal(log_level_of_text("", &level), -EINVAL);
        assert_int_equal(level, LOG_LEVEL_DEBUG);
}

static void a_long_line_is_cut_between_characters(void **state)
{
        (void)state;
        for (size_t pad = 0; pad < 4; pad++) {
                static char text[8192], value[5000];
                memset(value, 'x', sizeof(value) - 1);
                for (size_t i = pad; i + 3 < sizeof(value); i += 3)
                        memcpy(value + i, "\xe2\x82\xac", 3);
                capture_begin();
                log_info("long", "value=%s", value);
                capture_end(text, sizeof(text));
                size_t size = strlen(text);
                assert_true(size <= 2048);
                assert_true(size >= 2040);
                assert_string_equal(text + size - 4, "...\n");
                assert_int_equal((unsigned char)text[size - 5], 0xac);
        }
}

static void a_newline_in_a_field_does_not_begin_a_line(void **state)
{
        (void)state;
        char text[4096];
        capture_begin();
        log_info("sly", "name=%s", "a\nlevel=error event=forged\x7f");
        capture_end(text, sizeof(text));
        assert_string_equal(text + 25, "level=info event=sly name=a?level=error event=forged?\n");
}

static void errno_survives_a_line(void **state)
{
        (void)state;
        char text[4096];
        capture_begin();
        errno = ENOENT;
        log_info("gone", "why=%d", errno);
        assert_int_equal(errno, ENOENT);
        capture_end(text, sizeof(text));
        assert_string_equal(text + 25, "level=info event=gone why=2\n");
}

static void a_flood_costs_a_few_lines_a_second_and_is_counted(void **state)
{
        (void)state;
        struct log_limit limit = {0};
        unsigned suppressed = 99;
        uint64_t second = 1000000000;
        for (int i = 0; i < 3; i++) {
                assert_true(log_limit_pass(&limit, 5 * second, 3, &suppressed));
                assert_int_equal(suppressed, 0);
        }
        for (int i = 0; i < 10; i++)
                assert_false(log_limit_pass(&limit, 6 * second - 1, 3, &suppressed));
        assert_true(log_limit_pass(&limit, 6 * second, 3, &suppressed));
        assert_int_equal(suppressed, 10);
        assert_true(log_limit_pass(&limit, 6 * second, 3, &suppressed));
        assert_int_equal(suppressed, 0);
        assert_false(log_limit_pass(&limit, 600 * second, 0, &suppressed));
        assert_true(log_limit_pass(&limit, 600 * second, 1, &suppressed));
        assert_int_equal(suppressed, 1);
}

static void a_value_is_quoted_only_when_it_must_be(void **state)
{
        (void)state;
        const struct {
                struct span value;
                const char *quoted;
        } cases[] = {
                {SPAN("orders.eu"), "orders.eu"},
                {SPAN(""), "\"\""},
                {SPAN("two words"), "\"two words\""},
                {SPAN("a=b"), "\"a=b\""},
                {SPAN("say \"hi\""), "\"say \\\"hi\\\"\""},
                {SPAN("back\\slash"), "\"back\\\\slash\""},
                {SPAN("line\nbreak\0end\x7f"), "\"line\\x0abreak\\x00end\\x7f\""},
                {SPAN("caf\xc3\xa9"), "caf\xc3\xa9"},
                {SPAN("\xf0\x9f\x8c\x8a"), "\xf0\x9f\x8c\x8a"},
                {SPAN("\xc3"), "\"\\xc3\""},
                {SPAN("\xc0\xaf"), "\"\\xc0\\xaf\""},
                {SPAN("\xed\xa0\x80"), "\"\\xed\\xa0\\x80\""},
                {SPAN("\xf4\x90\x80\x80"), "\"\\xf4\\x90\\x80\\x80\""},
                {SPAN("\xe0\x9f\xbf"), "\"\\xe0\\x9f\\xbf\""},
                {SPAN("\xc2\x9b"
                      "1m"),
                 "\"\\xc2\\x9b1m\""},
                {SPAN("\xe2\x82"), "\"\\xe2\\x82\""},
        };
        for (size_t i = 0; i < array_count(cases); i++) {
                char out[100];
                assert_string_equal(log_quote(out, sizeof(out), cases[i].value), cases[i].quoted);
                /* Exactly enough room is enough. */
                assert_string_equal(log_quote(out, strlen(cases[i].quoted) + 1, cases[i].value), cases[i].quoted);
        }
}

static void a_value_that_does_not_fit_ends_in_dots(void **state)
{
        (void)state;
        char out[32];
        assert_string_equal(log_quote(out, 11, SPAN("abcdefghijkl")), "abcdefg...");
        assert_string_equal(log_quote(out, 11, SPAN("abc efghijkl")), "\"abc e...\"");
        assert_string_equal(log_quote(out, 11, SPAN("ab\n\n\n\n")), "\"ab...\"");
        assert_string_equal(log_quote(out, 4, SPAN("abcdefghijkl")), "...");
        assert_string_equal(log_quote(out, 3, SPAN("abcdefghijkl")), "..");
        assert_string_equal(log_quote(out, 1, SPAN("abcdefghijkl")), "");
        assert_string_equal(log_quote(out, 2, SPAN("a")), "a");
        assert_string_equal(log_quote(out, 2, SPAN("")), ".");
        assert_string_equal(log_quote(out, 6, SPAN("euro\xe2\x82\xac")), "eu...");
}

static void random_values_never_leave_their_room_nor_a_control_byte(void **state)
{
        (void)state;
        struct random random;
        random_init(&random, 6);
        for (int step = 0; step < 50000; step++) {
                uint8_t value[48];
                char out[66];
                size_t value_size = random_below(&random, sizeof(value) + 1);
                size_t out_size = 1 + random_below(&random, 64);
                for (size_t i = 0; i < value_size; i++)
                        value[i] = (uint8_t)(random_chance(&random, 1, 2) ? random_next(&random)
                                                                          : 'a' + random_below(&random, 26));
                memset(out, '~', sizeof(out));
                log_quote(out, out_size, span_of(value, value_size));
                size_t size = strnlen(out, out_size);
                assert_true(size < out_size);
                assert_int_equal(out[out_size], '~');
                for (size_t i = 0; i < size; i++)
                        assert_true((unsigned char)out[i] >= ' ' && out[i] != 0x7f);
                if (size >= 2 && out[0] == '"')
                        assert_int_equal(out[size - 1], '"');
                else
                        assert_null(strpbrk(out, " =\"\\"));
        }
}

#define RACING_LINES 300

static void *log_many(void *argument)
{
        for (int i = 0; i < RACING_LINES; i++) {
                log_info("race", "who=%s number=%d", (const char *)argument, i);
                log_set_level(i % 2 ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG);
        }
        return NULL;
}

static void lines_of_two_threads_stay_whole(void **state)
{
        (void)state;
        static char text[256 * 1024];
        pthread_t threads[2];
        char names[2][4] = {"one", "two"};
        capture_begin();
        fcntl(STDERR_FILENO, F_SETPIPE_SZ, (int)sizeof(text));
        for (int i = 0; i < 2; i++)
                assert_int_equal(pthread_create(&threads[i], NULL, log_many, names[i]), 0);
        for (int i = 0; i < 2; i++)
                assert_int_equal(pthread_join(threads[i], NULL), 0);
        capture_end(text, sizeof(text));
        log_set_level(LOG_LEVEL_INFO);
        int numbers[2] = {0, 0};
        char *rest = text;
        for (char *line; (line = strsep(&rest, "\n")) != NULL && *line != '\0';) {
                char expected[100];
                int who = strstr(line, "who=two") != NULL;
                snprintf(expected, sizeof(expected), "level=info event=race who=%s number=%d", who ? "two" : "one",
                         numbers[who]++);
                assert_true(is_time(line));
                assert_string_equal(line + 25, expected);
        }
        assert_int_equal(numbers[0], RACING_LINES);
        assert_int_equal(numbers[1], RACING_LINES);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_line_has_time_level_event_and_fields),
                cmocka_unit_test(the_journal_gets_a_priority_in_place_of_the_time),
                cmocka_unit_test(a_journal_that_is_not_our_standard_error_is_ignored),
                cmocka_unit_test(a_level_holds_back_what_is_below_it),
                cmocka_unit_test(a_long_line_is_cut_between_characters),
                cmocka_unit_test(a_newline_in_a_field_does_not_begin_a_line),
                cmocka_unit_test(errno_survives_a_line),
                cmocka_unit_test(a_flood_costs_a_few_lines_a_second_and_is_counted),
                cmocka_unit_test(a_value_is_quoted_only_when_it_must_be),
                cmocka_unit_test(a_value_that_does_not_fit_ends_in_dots),
                cmocka_unit_test(random_values_never_leave_their_room_nor_a_control_byte),
                cmocka_unit_test(lines_of_two_threads_stay_whole),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
