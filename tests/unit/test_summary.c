/* summary: of several runs the median, the least and the most; a run that failed is told, not counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "bench/summary.h"

#define RUNS 4

static struct report *reports[RUNS];

static int make(void **state)
{
        static const double rates[RUNS] = {30, 10, 40, 20};
        (void)state;
        for (size_t i = 0; i < RUNS; i++) {
                reports[i] = report_new();
                report_text(reports[i], "mode", "fan");
                report_number(reports[i], "rate", rates[i]);
                if (i != 0)
                        report_number(reports[i], "sometimes", 7);
        }
        return 0;
}

static int unmake(void **state)
{
        (void)state;
        for (size_t i = 0; i < RUNS; i++)
                report_free(reports[i]);
        return 0;
}

static void an_odd_number_of_runs_has_a_run_in_the_middle(void **state)
{
        (void)state;
        struct spread spread = summary_spread(reports, 3, "rate");
        assert_true(spread.median == 30 && spread.least == 10 && spread.most == 40 && spread.count == 3);
}

static void of_an_even_number_the_two_in_the_middle_are_halved(void **state)
{
        (void)state;
        assert_true(summary_spread(reports, 4, "rate").median == 25);
}

static void what_some_runs_do_not_tell_is_of_the_others(void **state)
{
        (void)state;
        assert_int_equal(summary_spread(reports, 4, "sometimes").count, 3);
        assert_int_equal(summary_spread(reports, 4, "never").count, 0);
        assert_int_equal(summary_spread(reports, 4, "mode").count, 0);
}

static void a_run_that_failed_does_not_count(void **state)
{
        (void)state;
        reports[2]->exit_code = 1;
        struct spread spread = summary_spread(reports, 3, "rate");
        assert_true(spread.count == 2 && spread.most == 30);
        assert_int_equal(summary_spread(&reports[2], 1, "rate").count, 1);
}

static char *printed(void (*print)(const struct contender *, size_t, FILE *), size_t runs)
{
        char *text = NULL;
        size_t size;
        FILE *out = open_memstream(&text, &size);
        struct contender contender = {.reports = reports, .reports_count = runs};
        print(&contender, 1, out);
        fclose(out);
        return text;
}

static void the_table_shows_the_spread(void **state)
{
        (void)state;
        char *text = printed(summary_print, 3);
        assert_non_null(strstr(text, "30  [10 .. 40]\n"));
        assert_non_null(strstr(text, "sometimes                          7\n"));
        free(text);
}

static void json_has_medians_on_top_and_runs_below(void **state)
{
        (void)state;
        char *text = printed(summary_print_json, 3);
        assert_string_equal(text,
                            "{\"mode\":\"fan\",\"rate\":30,\"sometimes\":7,\"least\":{\"rate\":10,\"sometimes\":7},"
                            "\"most\":{\"rate\":40,\"sometimes\":7},\"exit_code\":0,\"repeats\":3,\"runs\":["
                            "{\"mode\":\"fan\",\"rate\":30,\"exit_code\":0}\n,"
                            "{\"mode\":\"fan\",\"rate\":10,\"sometimes\":7,\"exit_code\":0}\n,"
                            "{\"mode\":\"fan\",\"rate\":40,\"sometimes\":7,\"exit_code\":0}\n]}\n");
        free(text);
        text = printed(summary_print_json, 1);
        assert_string_equal(text, "{\"mode\":\"fan\",\"rate\":30,\"exit_code\":0}\n");
        free(text);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(an_odd_number_of_runs_has_a_run_in_the_middle, make, unmake),
                cmocka_unit_test_setup_teardown(of_an_even_number_the_two_in_the_middle_are_halved, make, unmake),
                cmocka_unit_test_setup_teardown(what_some_runs_do_not_tell_is_of_the_others, make, unmake),
                cmocka_unit_test_setup_teardown(a_run_that_failed_does_not_count, make, unmake),
                cmocka_unit_test_setup_teardown(the_table_shows_the_spread, make, unmake),
                cmocka_unit_test_setup_teardown(json_has_medians_on_top_and_runs_below, make, unmake),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
