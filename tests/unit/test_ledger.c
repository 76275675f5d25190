/* ledger: rows that merge, a ring that forgets the oldest, and texts of strangers in JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <jansson.h>

#include "engine/admin/jsontext.h"
#include "engine/base/clock.h"
#include "engine/ledger.h"

static const struct ledger_reader reader = {
        .connection = 7,
        .protocol = "nats",
        .address = "10.0.0.1:5000",
        .user = "",
        .name = "reader",
};

static json_t *asked(const struct ledger *ledger, uint64_t now_ns, size_t rows_max)
{
        struct account account = {.matched = 10, .released = 4, .dropped = {[LOSS_SLOW_CONSUMER] = 5}};
        char *text = ledger_write_json(ledger, &account, 3, now_ns, rows_max);
        assert_non_null(text);
        json_t *json = json_loads(text, 0, NULL);
        assert_non_null(json);
        free(text);
        return json;
}

static json_t *row_of(const json_t *json, size_t index)
{
        json_t *row = json_array_get(json_object_get(json, "losses"), index);
        assert_non_null(row);
        return row;
}

static void assert_number(const json_t *row, const char *name, uint64_t value)
{
        assert_int_equal(json_integer_value(json_object_get(row, name)), value);
}

static void assert_text(const json_t *row, const char *name, const char *text)
{
        assert_string_equal(json_string_value(json_object_get(row, name)), text);
}

static void losses_of_one_connection_and_reason_within_two_seconds_are_one_row(void **state)
{
        struct ledger ledger;
        uint64_t row = 0, now = 100 * NS_PER_S;
        (void)state;
        assert_int_equal(ledger_init(&ledger), 0);
        ledger_note(&ledger, &row, &reader, now, LOSS_SLOW_CONSUMER, 3, 9, SPAN("a.1"), SPAN("a.3"));
        ledger_note(&ledger, &row, &reader, now + NS_PER_S, LOSS_SLOW_CONSUMER, 2, 5, SPAN("a.4"), SPAN("a.5"));
        ledger_note(&ledger, &row, &reader, now + NS_PER_S, LOSS_SLOW_CONSUMER, 1, 4, SPAN_NONE, SPAN_NONE);
        assert_int_equal(ledger.rows_written, 1);
        ledger_note(&ledger, &row, &reader, now + NS_PER_S, LOSS_LAG_SKIP, 1, 3, SPAN("b"), SPAN("b"));
        ledger_note(&ledger, &row, &reader, now + 3 * NS_PER_S, LOSS_LAG_SKIP, 8, 0, SPAN("c"), SPAN("d"));
        assert_int_equal(ledger.rows_written, 3);

        json_t *json = asked(&ledger, now + 4 * NS_PER_S, 10);
        assert_number(json, "reactor", 3);
        assert_number(json, "matched", 10);
        assert_number(json, "released", 4);
        assert_number(json, "pending", 1);
        assert_number(json_object_get(json, "dropped"), "slow_consumer", 5);
        assert_int_equal(json_object_size(json_object_get(json, "dropped")), 1);
        assert_int_equal(json_array_size(json_object_get(json, "losses")), 3);
        assert_number(row_of(json, 0), "count", 8);
        const json_t *oldest = row_of(json, 2);
        assert_number(oldest, "connection", 7);
        assert_number(oldest, "count", 6);
        assert_number(oldest, "pending", 4);
        assert_text(oldest, "reason", "slow_consumer");
        assert_text(oldest, "first_subject", "a.1");
        assert_text(oldest, "last_subject", "a.5");
        assert_text(oldest, "address", "10.0.0.1:5000");
        assert_text(oldest, "name", "reader");
        assert_true(json_real_value(json_object_get(oldest, "seconds_ago")) == 3.0);
        assert_true(json_real_value(json_object_get(oldest, "seconds_long")) == 1.0);
        json_decref(json);
        json = asked(&ledger, now + 4 * NS_PER_S, 1);
        assert_int_equal(json_array_size(json_object_get(json, "losses")), 1);
        assert_number(row_of(json, 0), "count", 8);
        json_decref(json);
        ledger_fini(&ledger);
}

static void the_oldest_rows_give_way_and_are_counted(void **state)
{
        struct ledger ledger;
        uint64_t first_row = 0;
        (void)state;
        assert_int_equal(ledger_init(&ledger), 0);
        ledger_note(&ledger, &first_row, &reader, 1, LOSS_INVALID, 1, 0, SPAN_NONE, SPAN_NONE);
        for (uint64_t i = 0; i < LEDGER_ROWS + 5; i++) {
                struct ledger_reader other = reader;
                uint64_t row = 0;
                other.connection = 100 + i;
                ledger_note(&ledger, &row, &other, 2, LOSS_MEMORY_SHED, i + 1, 0, SPAN_NONE, SPAN_NONE);
        }
        /* Its row belongs to another by now. */
        ledger_note(&ledger, &first_row, &reader, 3, LOSS_INVALID, 1, 0, SPAN_NONE, SPAN_NONE);
        assert_int_equal(first_row, LEDGER_ROWS + 7);
        json_t *json = asked(&ledger, 3, SIZE_MAX);
        assert_number(json, "rows_kept", LEDGER_ROWS);
        assert_number(json, "rows_forgotten", 7);
        assert_int_equal(json_array_size(json_object_get(json, "losses")), LEDGER_ROWS);
        assert_number(row_of(json, 0), "connection", 7);
        assert_number(row_of(json, 1), "count", LEDGER_ROWS + 5);
        assert_number(row_of(json, LEDGER_ROWS - 1), "count", 7);
        assert_true(json_is_null(json_object_get(row_of(json, 0), "first_subject")));
        json_decref(json);
        ledger_fini(&ledger);
}

static void a_long_subject_is_cut_and_shown_so(void **state)
{
        struct ledger ledger;
        uint64_t row = 0;
        char fits[LEDGER_SUBJECT_BYTES + 1], shown[LEDGER_SUBJECT_BYTES + 8], longer[2 * LEDGER_SUBJECT_BYTES];
        (void)state;
        memset(fits, 's', sizeof fits);
        fits[sizeof fits - 1] = '\0';
        /* A character of two bytes lies across the cut. */
        memset(longer, 't', sizeof longer);
        memcpy(longer + LEDGER_SUBJECT_BYTES - 1, "\xc3\xbc", 2);
        memset(shown, 't', sizeof shown);
        memcpy(shown + LEDGER_SUBJECT_BYTES - 1, "\xe2\x80\xa6", 4);
        assert_int_equal(ledger_init(&ledger), 0);
        ledger_note(&ledger, &row, &reader, 1, LOSS_INVALID, 2, 0, span_of_text(fits), span_of(longer, sizeof longer));
        json_t *json = asked(&ledger, 1, 1);
        assert_text(row_of(json, 0), "first_subject", fits);
        assert_text(row_of(json, 0), "last_subject", shown);
        json_decref(json);
        ledger_fini(&ledger);
}

static void bytes_that_are_no_text_are_replaced(void **state)
{
        (void)state;
        json_t *json = jsontext_string(SPAN("a\xff\n\xc3\xbc\xc3"), false);
        assert_string_equal(json_string_value(json), "a\xef\xbf\xbd\n\xc3\xbc\xef\xbf\xbd");
        json_decref(json);
        json = jsontext_string(SPAN_NONE, false);
        assert_string_equal(json_string_value(json), "");
        json_decref(json);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(losses_of_one_connection_and_reason_within_two_seconds_are_one_row),
                cmocka_unit_test(the_oldest_rows_give_way_and_are_counted),
                cmocka_unit_test(a_long_subject_is_cut_and_shown_so),
                cmocka_unit_test(bytes_that_are_no_text_are_replaced),
        };
        log_set_level(LOG_LEVEL_ERROR);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
