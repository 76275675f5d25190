/* topview: pages of fixed samples, kept in tests/unit/pages; and any sample, however broken, at any size, gives a page
 * on which nothing is wider than the screen. What leads there is tested here too: numbers for people, samples, rates,
 * the history. UPDATE_PAGES=1 writes the pages anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <jansson.h>
#include <locale.h>
#include <math.h>
#include <wchar.h>

#include "engine/cli/topformat.h"
#include "engine/cli/topview.h"
#include "tests/seeded.h"

/* ---- numbers ---- */

static void numbers_have_three_digits_and_a_unit(void **state)
{
        static const struct {
                double value;
                const char *count, *bytes;
        } rows[] = {
                {0, "0", "0B"},
                {1, "1", "1B"},
                {0.25, "0.25", "0.25B"},
                {9.994, "9.99", "9.99B"},
                {9.996, "10", "10B"},
                {999, "999", "999B"},
                {999.4, "999", "999B"},
                {999.6, "1.00k", "1000B"},
                {1023, "1.02k", "1023B"},
                {1023.6, "1.02k", "1.00K"},
                {1024, "1.02k", "1.00K"},
                {12345, "12.3k", "12.1K"},
                {99960, "100k", "97.6K"},
                {999499, "999k", "976K"},
                {999500, "1.00M", "976K"},
                {1023.7 * 1024, "1.05M", "1.00M"},
                {1e9, "1.00G", "954M"},
                {5e20, ">999P", ">999P"},
                {1e308, ">999P", ">999P"},
                {(double)INFINITY, ">999P", ">999P"},
                {(double)NAN, "-", "-"},
        };
        char text[TOPFORMAT_BYTES];
        (void)state;
        for (size_t i = 0; i < array_count(rows); i++) {
                assert_string_equal(topformat_count(text, rows[i].value), rows[i].count);
                assert_string_equal(topformat_bytes(text, rows[i].value), rows[i].bytes);
        }
}

static void times_and_exact_counts_are_read_at_a_glance(void **state)
{
        char text[TOPFORMAT_BYTES];
        (void)state;
        assert_string_equal(topformat_time(text, 0), "0s");
        assert_string_equal(topformat_time(text, 59.9), "59s");
        assert_string_equal(topformat_time(text, 65), "1m 05s");
        assert_string_equal(topformat_time(text, 7505), "2h 05m");
        assert_string_equal(topformat_time(text, 86400 * 12 + 3 * 3600), "12d 3h");
        assert_string_equal(topformat_time(text, -1), "-");
        assert_string_equal(topformat_time(text, (double)NAN), "-");
        assert_string_equal(topformat_time(text, 1e300), "-");
        assert_string_equal(topformat_exact(text, 7), "7");
        assert_string_equal(topformat_exact(text, 38281), "38 281");
        assert_string_equal(topformat_exact(text, 1234567), "1 234 567");
        assert_string_equal(topformat_exact(text, (double)NAN), "-");
        assert_string_equal(topformat_exact(text, 1e300), ">999P");
        assert_string_equal(topformat_interval(text, 0.1), "0.1s");
        assert_string_equal(topformat_interval(text, 2), "2s");
        assert_string_equal(topformat_interval(text, 300), "5m 00s");
}

/* ---- the history ---- */

static void a_graph_tells_means_of_stretches_that_stand_still(void **state)
{
        static struct tophistory history;
        double out[4];
        (void)state;
        history = (struct tophistory){0};
        assert_true(tophistory_read(&history, TOPHISTORY_EVENTS, 100, 2, out, 4) == 0);
        for (size_t i = 0; i < 4; i++)
                assert_true(isnan(out[i]));
        for (int second = 1; second <= 6; second++)
                tophistory_add(&history,
                               &(struct tophistory_point){.end_s = second, .seconds = 1, .rate = {second, 10}});
        /* Stretches: 0-2, 2-4, 4-6, 6-8, of which the last has only begun. */
        assert_true(tophistory_read(&history, TOPHISTORY_EVENTS, 6, 2, out, 4) == 5.5);
        assert_true(out[0] == 1.5 && out[1] == 3.5 && out[2] == 5.5 && isnan(out[3]));
        assert_true(tophistory_read(&history, TOPHISTORY_DELIVERIES, 7.9, 2, out, 4) == 10);
        assert_true(out[0] == 10 && isnan(out[3]));
        /* A gap is no zero. */
        tophistory_add(&history, &(struct tophistory_point){.end_s = 8, .seconds = 2, .rate = {(double)NAN, 4}});
        tophistory_read(&history, TOPHISTORY_EVENTS, 7, 2, out, 4);
        assert_true(isnan(out[3]));
        assert_true(history.peak[TOPHISTORY_EVENTS] == 6);
        tophistory_reset_peak(&history);
        assert_true(history.peak[TOPHISTORY_EVENTS] == 0);
}

static void a_long_history_forgets_its_start(void **state)
{
        static struct tophistory history;
        double out[3];
        (void)state;
        history = (struct tophistory){0};
        for (int i = 1; i <= TOPHISTORY_POINTS + 10; i++)
                tophistory_add(&history, &(struct tophistory_point){.end_s = i, .seconds = 1, .rate = {i, i}});
        double highest = tophistory_read(&history, TOPHISTORY_EVENTS, TOPHISTORY_POINTS + 10, 10000, out, 3);
        assert_true(highest == out[2] && isnan(out[0]) && isnan(out[1]));
        assert_true(out[2] > TOPHISTORY_POINTS / 2);
}

/* ---- samples ---- */

static const char status_before[] =
        "{\"version\":\"0.1.0\",\"server_id\":\"S1\",\"pid\":4242,\"now_ns\":1000000000,\"uptime_seconds\":11520,"
        "\"draining\":false,\"backend\":{\"name\":\"io_uring\"},\"counters\":{"
        "\"events_received{protocol=\\\"nats\\\"}\":1000,\"event_bytes_received{protocol=\\\"nats\\\"}\":200000,"
        "\"events_unmatched\":0,\"deliveries_matched\":500000,\"deliveries_released\":400000,"
        "\"deliveries_dropped{reason=\\\"slow_consumer\\\"}\":30000,\"deliveries_dropped{reason=\\\"lag_skip\\\"}\":"
        "281,"
        "\"deliveries_pending\":0,\"bytes_sent\":1000000,\"bytes_received\":2000,\"sends\":100,\"system_calls\":50,"
        "\"connections\":1203,\"connections_accepted\":1300,\"subscriptions\":1200,\"patterns\":3,\"cohorts\":4,"
        "\"cohort_members\":1198,\"stream_memory_bytes\":1048576,\"stream_memory_limit_bytes\":1073741824,"
        "\"heap_bytes\":5000000},\"reactors\":["
        "{\"number\":0,\"cpu\":2,\"connections\":600,\"subscriptions\":600,\"cohorts\":2,\"events_received\":1000,"
        "\"deliveries_released\":200000,\"deliveries_dropped\":30000,\"bytes_sent\":500000,\"busy_ns\":1000000000,"
        "\"memory_used_bytes\":524288,\"memory_limit_bytes\":536870912,\"watermark\":0,\"publishers_held\":0},"
        "{\"number\":1,\"cpu\":3,\"connections\":603,\"subscriptions\":600,\"cohorts\":2,\"events_received\":0,"
        "\"deliveries_released\":200000,\"deliveries_dropped\":281,\"bytes_sent\":500000,\"busy_ns\":0,"
        "\"memory_used_bytes\":524288,\"memory_limit_bytes\":536870912,\"watermark\":0,\"publishers_held\":0}]}";

static const char status_now[] =
        "{\"version\":\"0.1.0\",\"server_id\":\"S1\",\"pid\":4242,\"now_ns\":3000000000,\"uptime_seconds\":11522,"
        "\"draining\":false,\"backend\":{\"name\":\"io_uring\"},\"counters\":{"
        "\"events_received{protocol=\\\"nats\\\"}\":21000,\"event_bytes_received{protocol=\\\"nats\\\"}\":4200000,"
        "\"events_unmatched\":2,\"deliveries_matched\":20500000,\"deliveries_released\":20392000,"
        "\"deliveries_dropped{reason=\\\"slow_consumer\\\"}\":38000,\"deliveries_dropped{reason=\\\"lag_skip\\\"}\":"
        "281,"
        "\"deliveries_pending\":8000,\"bytes_sent\":5001000000,\"bytes_received\":4300000,\"sends\":40100,"
        "\"system_calls\":2050,\"connections\":1203,\"connections_accepted\":1300,\"subscriptions\":1200,\"patterns\":"
        "3,"
        "\"cohorts\":4,\"cohort_members\":1198,\"stream_memory_bytes\":402653184,"
        "\"stream_memory_limit_bytes\":1073741824,\"heap_bytes\":5000000},\"reactors\":["
        "{\"number\":0,\"cpu\":2,\"connections\":600,\"subscriptions\":600,\"cohorts\":2,\"events_received\":21000,"
        "\"deliveries_released\":10196000,\"deliveries_dropped\":38000,\"bytes_sent\":2500500000,\"busy_ns\":"
        "2900000000,"
        "\"memory_used_bytes\":386547056,\"memory_limit_bytes\":536870912,\"watermark\":1,\"publishers_held\":24},"
        "{\"number\":1,\"cpu\":3,\"connections\":603,\"subscriptions\":600,\"cohorts\":2,\"events_received\":0,"
        "\"deliveries_released\":10196000,\"deliveries_dropped\":281,\"bytes_sent\":2500500000,\"busy_ns\":1240000000,"
        "\"memory_used_bytes\":16106128,\"memory_limit_bytes\":536870912,\"watermark\":0,\"publishers_held\":0}]}";

static const char cohorts_now[] =
        "{\"reactors\":[{\"reactor\":0,\"cohorts\":["
        "{\"members\":590,\"patterns_count\":2,\"pattern\":\"md.EUR.>\",\"stream_bytes\":8388608,\"appended\":20000,"
        "\"lag_bytes\":4194304}]},{\"reactor\":1,\"cohorts\":["
        "{\"members\":599,\"patterns_count\":1,\"pattern\":\"md.EUR.>\",\"stream_bytes\":0,\"appended\":20000,\"lag_"
        "bytes\":0},"
        "{\"members\":9,\"patterns_count\":1,\"pattern\":\"日本.市場\",\"stream_bytes\":0,\"appended\":0,\"lag_bytes\":"
        "0}]}]}";

#define LAGGARD(pending)                                                                                               \
        "{\"connection\":7,\"address\":\"10.0.0.7:5001\",\"user\":\"alice\",\"name\":\"chart \\u001b[2J\\u202e\","     \
        "\"subscriptions\":2,\"seconds_open\":600,\"pending_bytes\":" pending "}"
static const char connections_before[] = "{\"reactors\":[{\"reactor\":0,\"connections\":[" LAGGARD("2097152") "]}]}";
static const char connections_now[] = "{\"reactors\":[{\"reactor\":0,\"connections\":[" LAGGARD(
        "4194304") "]},{\"reactor\":1,\"connections\":["
                   "{\"connection\":9,\"address\":\"10.0.0.9:5001\",\"user\":\"\",\"name\":\"\",\"subscriptions\":1,"
                   "\"seconds_open\":1,\"pending_bytes\":4096},"
                   "{\"connection\":10,\"address\":\"10.0.0.9:5002\",\"user\":\"\",\"name\":\"\",\"subscriptions\":1,"
                   "\"seconds_open\":1,\"pending_bytes\":0}]}]}";

static const char losses_now[] =
        "{\"reactors\":[{\"reactor\":0,\"losses\":["
        "{\"seconds_ago\":90.5,\"connection\":3,\"address\":\"10.0.0.3:5001\",\"user\":\"bob\",\"name\":\"\","
        "\"reason\":\"slow_consumer\",\"count\":30000,\"first_subject\":\"md.EUR.USD\",\"last_subject\":\"md.EUR.CHF\"}"
        "]},"
        "{\"reactor\":1,\"losses\":["
        "{\"seconds_ago\":1.5,\"connection\":5,\"address\":\"10.0.0.5:5001\",\"user\":\"carol\",\"name\":\"\","
        "\"reason\":\"slow_consumer\",\"count\":8000,\"first_subject\":\"md.EUR.USD\",\"last_subject\":\"md.EUR.USD\"}]"
        "}]}";

/* All that a page needs. */
struct page {
        struct topsample before, now;
        struct toprates rates;
        struct tophistory history;
        struct topview view;
};

static struct page page;

static void page_show(bool is_old_engine)
{
        page = (struct page){0};
        assert_int_equal(topsample_status(&page.before, span_of_text(status_before)), 0);
        assert_int_equal(topsample_status(&page.now, span_of_text(status_now)), 0);
        if (!is_old_engine) {
                topsample_laggards(&page.before, span_of_text(connections_before));
                topsample_laggards(&page.now, span_of_text(connections_now));
                topsample_cohorts(&page.now, span_of_text(cohorts_now));
                topsample_losses(&page.now, span_of_text(losses_now));
        }
        toprates_of(&page.rates, &page.now, &page.before);
        for (int i = 0; i < 90; i++)
                tophistory_add(&page.history,
                               &(struct tophistory_point){.end_s = 100 + i,
                                                          .seconds = 1,
                                                          .rate = {10000 + 100 * i % 3700, 1e7 - 1e5 * i}});
        page.view = (struct topview){
                .sample = &page.now,
                .rates = &page.rates,
                .history = &page.history,
                .now_s = 189,
                .interval_s = 2,
                .address = "127.0.0.1:8222",
                .clock = "14:03:22",
        };
}

static void a_sample_holds_what_the_answers_say(void **state)
{
        (void)state;
        page_show(false);
        assert_true(page.rates.seconds == 2);
        assert_true(page.rates.totals.events_received == 10000);
        assert_true(page.rates.fan_out == 1000);
        assert_true(page.rates.busy[0] == 0.95 && page.rates.busy[1] == 0.62);
        assert_true(page.now.watermark == 1);
        assert_true(page.rates.dropped[LOSS_SLOW_CONSUMER] == 4000 && page.rates.dropped[LOSS_LAG_SKIP] == 0);
        assert_true(isnan(page.rates.dropped[LOSS_UPGRADE])); /* this engine did not tell of it */
        assert_int_equal(page.now.cohorts_count, 3);
        assert_true(page.now.cohorts[0].members == 599 && page.now.cohorts[2].members == 9);
        assert_int_equal(page.now.laggards_count, 2); /* whoever has nothing pending is no laggard */
        assert_true(page.now.laggards[0].seconds_behind == 2 && page.now.laggards[0].pending_per_second == 1048576);
        assert_true(page.now.laggards[1].seconds_behind == 0);
        assert_true(page.now.losses[0].seconds_ago == 1.5 && page.now.losses[1].seconds_ago == 90.5);
}

static void whoever_has_caught_up_meanwhile_is_behind_only_now(void **state)
{
        static const char form[] =
                "{\"connections\":[{\"connection\":1,\"pending_bytes\":%d,\"matched\":%d,\"pending\":%d}]}";
        static const struct {
                int owed, pending;
                double seconds;
        } rows[] = {{100, 1, 2}, {109, 10, 2}, {110, 10, 0}, {500, 10, 0}, {500, 500, 2}};
        char text[256];
        (void)state;
        for (size_t i = 0; i < array_count(rows); i++) {
                page_show(true);
                snprintf(text, sizeof text, form, 5000, 100, 10);
                topsample_laggards(&page.before, span_of_text(text));
                snprintf(text, sizeof text, form, 6000, rows[i].owed, rows[i].pending);
                topsample_laggards(&page.now, span_of_text(text));
                toprates_of(&page.rates, &page.now, &page.before);
                assert_true(page.now.laggards[0].seconds_behind == rows[i].seconds);
                assert_true(isnan(page.now.laggards[0].pending_per_second) == (rows[i].seconds == 0));
        }
}

static void an_engine_that_was_started_anew_has_no_rates_yet(void **state)
{
        (void)state;
        page_show(false);
        strcpy(page.now.server_id, "S2");
        assert_false(topsample_follows(&page.now, &page.before));
        toprates_of(&page.rates, &page.now, &page.before);
        assert_true(isnan(page.rates.seconds) && isnan(page.rates.totals.events_received) && isnan(page.rates.busy[0]));
        toprates_of(&page.rates, &page.now, NULL);
        assert_true(isnan(page.rates.seconds));
        page_show(false);
        toprates_of(&page.rates, &page.before, &page.now); /* time went back */
        assert_true(isnan(page.rates.seconds) && isnan(page.rates.totals.bytes_sent));
}

static void what_is_no_status_is_refused(void **state)
{
        static const char *const texts[] = {
                "", "{", "[]", "null", "{}", "{\"counters\":[]}", "{\"counters\":7}", "\"status\"", "{\"a\":\"\xff\"}"};
        (void)state;
        for (size_t i = 0; i < array_count(texts); i++)
                assert_int_equal(topsample_status(&page.now, span_of_text(texts[i])), -EPROTO);
        assert_int_equal(topsample_status(&page.now, SPAN("{\"counters\":{}}")), 0);
}

static void only_the_largest_of_many_rows_are_kept(void **state)
{
        struct growing text = {0};
        char row[128];
        (void)state;
        growing_add_text(&text, "{\"cohorts\":[");
        for (int i = 0; i < 1000; i++) {
                snprintf(row, sizeof row, "%s{\"members\":%d,\"pattern\":\"p\"}", i == 0 ? "" : ",", i * 7 % 1000);
                growing_add_text(&text, row);
        }
        growing_add_text(&text, "]}");
        assert_int_equal(topsample_status(&page.now, SPAN("{\"counters\":{}}")), 0);
        topsample_cohorts(&page.now, span_of(text.bytes, text.size));
        assert_true(page.now.has_cohorts);
        assert_int_equal(page.now.cohorts_count, TOP_ROWS_MAX);
        for (size_t i = 0; i < TOP_ROWS_MAX; i++)
                assert_true(page.now.cohorts[i].members == 999 - (double)i);
        growing_fini(&text);
}

/* ---- pages ---- */

/* Every row is exactly as wide as the screen, and no cell holds what is not to be shown. */
static void assert_sound(const struct canvas *canvas)
{
        for (size_t row = 0; row < canvas->height; row++) {
                for (size_t column = 0; column < canvas->width; column++) {
                        const struct cell *cell = &canvas->cells[row * canvas->width + column];
                        bool is_wide = column + 1 < canvas->width && cell[1].size == 0;
                        char text[5] = "";
                        wchar_t code;
                        assert_true(cell->ink < INKS);
                        if (cell->size == 0) {
                                assert_true(column > 0 && cell[-1].size > 1);
                                continue;
                        }
                        memcpy(text, cell->bytes, cell->size);
                        mbstate_t shift = {0};
                        assert_true(mbrtowc(&code, text, cell->size, &shift) == cell->size);
                        assert_int_equal(wcwidth(code), is_wide ? 2 : 1);
                        assert_true(canvas->is_utf8 || cell->size == 1);
                }
        }
}

static void assert_page(const char *name, size_t width, size_t height, bool is_utf8)
{
        struct canvas canvas;
        struct growing text = {0};
        char path[512], kept[64 << 10];
        assert_int_equal(canvas_init(&canvas, width, height, is_utf8), 0);
        topview_draw(&page.view, &canvas);
        assert_sound(&canvas);
        canvas_print(&canvas, &text);
        canvas_fini(&canvas);
        snprintf(path, sizeof path, PAGES "/%s.txt", name);
        if (getenv("UPDATE_PAGES") != NULL) {
                FILE *file = fopen(path, "w");
                assert_non_null(file);
                fwrite(text.bytes, 1, text.size, file);
                assert_int_equal(fclose(file), 0);
        }
        FILE *file = fopen(path, "r");
        if (file == NULL)
                fail_msg("%s is missing: UPDATE_PAGES=1 writes it", path);
        size_t size = fread(kept, 1, sizeof kept, file);
        fclose(file);
        if (!span_equal(span_of(kept, size), span_of(text.bytes, text.size)))
                fail_msg("%s is another page; drawn is:\n%.*s", path, (int)text.size, (const char *)text.bytes);
        growing_fini(&text);
}

static void pages_of_all_sizes_are_as_they_were_approved(void **state)
{
        (void)state;
        page_show(false);
        assert_page("wide", 160, 50, true);
        assert_page("usual", 80, 24, true);
        assert_page("tall", 100, 40, true);
        assert_page("smallest", 40, 10, true);
        assert_page("ascii", 80, 24, false);
        page.view.focus = TOPTABLE_LOSSES;
        page.view.is_by_load = true;
        assert_page("losses-first", 80, 18, true);
}

static void a_page_tells_of_trouble(void **state)
{
        (void)state;
        page_show(false);
        page.view.unreachable_since = "14:03:01";
        page.view.trouble = "nobody listens at 127.0.0.1:8222 \x1b[31m";
        page.view.is_paused = true;
        assert_page("unreachable", 80, 24, true);
        page.view.unreachable_since = page.view.trouble = NULL;
        page.view.is_paused = false;
        page.view.paced_s = 7.25;
        page.view.notice = "the engine was started anew; noticed at 14:03:20";
        page.now.is_draining = true;
        assert_page("draining", 80, 24, true);
        page_show(true);
        assert_page("old-engine", 80, 24, true);
        page.view.is_help = true;
        assert_page("help", 80, 24, true);
        page_show(false);
        page.view.sample = NULL;
        assert_page("nothing-yet", 80, 24, true);
}

static void a_plain_page_has_no_keys_and_no_clock(void **state)
{
        (void)state;
        page_show(false);
        page.view.is_plain = true;
        assert_page("plain", 120, 100, true);
}

static void json_has_the_rates_and_null_for_what_is_not_known(void **state)
{
        (void)state;
        page_show(false);
        char *text = topview_json(&page.view);
        assert_non_null(text);
        for (const char *at = text; *at != '\0'; at++)
                assert_true(*at >= ' ' && *at < 0x7f);
        json_error_t error;
        json_t *json = json_loads(text, 0, &error);
        assert_non_null(json);
        const json_t *rates = json_object_get(json, "per_second");
        assert_true(json_number_value(json_object_get(rates, "events_received")) == 10000);
        assert_true(json_number_value(json_object_get(rates, "fan_out")) == 1000);
        const json_t *losses = json_object_get(json, "losses");
        assert_true(json_is_null(json_object_get(json_object_get(losses, "since_start"), "upgrade")));
        assert_int_equal(json_integer_value(json_object_get(json_object_get(losses, "per_second"), "slow_consumer")),
                         4000);
        assert_string_equal(
                json_string_value(json_object_get(json_array_get(json_object_get(json, "laggards"), 0), "name")),
                "chart \x1b[2J\xe2\x80\xae");
        json_decref(json);
        free(text);
}

static void every_size_gives_a_sound_page(void **state)
{
        (void)state;
        page_show(false);
        for (size_t width = 1; width <= 320; width += width < 60 ? 1 : 13) {
                for (size_t height = 1; height <= 70; height += height < 24 ? 1 : 7) {
                        struct canvas canvas;
                        assert_int_equal(canvas_init(&canvas, width, height, true), 0);
                        page.view.focus = (enum toptable)((width + height) % TOPTABLES);
                        page.view.is_plain = height % 5 == 0;
                        topview_draw(&page.view, &canvas);
                        assert_sound(&canvas);
                        canvas_fini(&canvas);
                }
        }
}

/* ---- anything ---- */

static void broken_answer(uint64_t *seed, const char *text, struct growing *out)
{
        static const char special[] = "{}[]\",:0123456789-+eE.\\u001b9f\xff\xe6\x97\xa5 nulltruefalse";
        size_t size = strlen(text), room = size + 4096;
        out->size = 0;
        growing_room(out, room);
        memcpy(out->bytes, text, size);
        size_t rounds = seeded_below(seed, 4);
        for (size_t i = 0; i < rounds; i++)
                size = seeded_mutate(seed, out->bytes, size, room, special, sizeof special - 1);
        out->size = size;
}

/* A sample in which each number may be anything that the reader of JSON can make of one, and each text any text. */
static void wild_sample(uint64_t *seed, struct topsample *sample)
{
        static const double numbers[] = {0, 1, 0.5, 999.5, 1e6, 1e18, 1e300, (double)NAN};
        static const char *const texts[] = {"",
                                            "日本語日本語日本語",
                                            "\x1b[31mred",
                                            "\xe2\x80\xae",
                                            "e\xcc\x81",
                                            "plain",
                                            "\xf0\x9f\x8c\x8a\xf0\x9f\x8c\x8a",
                                            "\n\r\t"};
        for (size_t i = 0; i < 40; i++) {
                double *fields[] = {&sample->uptime_seconds,
                                    &sample->pid,
                                    &sample->watermark,
                                    &sample->totals.deliveries_dropped,
                                    &sample->totals.events_received,
                                    &sample->dropped[seeded_below(seed, LOSSES)],
                                    &sample->reactors[seeded_below(seed, TOP_REACTORS_MAX)].busy_ns,
                                    &sample->reactors[seeded_below(seed, TOP_REACTORS_MAX)].memory_limit_bytes,
                                    &sample->reactors[seeded_below(seed, TOP_REACTORS_MAX)].watermark,
                                    &sample->cohorts[seeded_below(seed, TOP_ROWS_MAX)].members,
                                    &sample->laggards[seeded_below(seed, TOP_ROWS_MAX)].pending_bytes,
                                    &sample->losses[seeded_below(seed, TOP_ROWS_MAX)].count};
                *fields[seeded_below(seed, array_count(fields))] = numbers[seeded_below(seed, array_count(numbers))];
                char *names[] = {sample->version,
                                 sample->backend,
                                 sample->cohorts[seeded_below(seed, TOP_ROWS_MAX)].pattern,
                                 sample->laggards[seeded_below(seed, TOP_ROWS_MAX)].name,
                                 sample->losses[seeded_below(seed, TOP_ROWS_MAX)].reason,
                                 sample->losses[seeded_below(seed, TOP_ROWS_MAX)].last_subject};
                strcpy(names[seeded_below(seed, array_count(names))], texts[seeded_below(seed, array_count(texts))]);
        }
        sample->reactors_count = seeded_below(seed, TOP_REACTORS_MAX + 1);
        sample->cohorts_count = seeded_below(seed, TOP_ROWS_MAX + 1);
        sample->laggards_count = seeded_below(seed, TOP_ROWS_MAX + 1);
        sample->losses_count = seeded_below(seed, TOP_ROWS_MAX + 1);
}

static void assert_any_page(uint64_t *seed)
{
        struct canvas canvas;
        struct growing out = {0};
        size_t width = 1 + seeded_below(seed, 300), height = 1 + seeded_below(seed, 60);
        toprates_of(&page.rates, &page.now, &page.before);
        page.view.focus = (enum toptable)seeded_below(seed, TOPTABLES);
        page.view.is_by_load = seeded_below(seed, 2) == 0;
        assert_int_equal(canvas_init(&canvas, width, height, seeded_below(seed, 4) != 0), 0);
        topview_draw(&page.view, &canvas);
        assert_sound(&canvas);
        canvas_write(&canvas, NULL, true, &out);
        for (size_t i = 0; i < out.size; i++)
                assert_true(out.bytes[i] >= ' ' || (out.bytes[i] == 0x1b && out.bytes[i + 1] == '['));
        growing_fini(&out);
        canvas_fini(&canvas);
        char *text = topview_json(&page.view);
        json_error_t error;
        json_t *json = json_loads(text, 0, &error);
        assert_non_null(json);
        json_decref(json);
        free(text);
}

static void any_answers_give_a_sound_page(void **state)
{
        struct growing text = {0};
        (void)state;
        for (uint64_t round = 0; round < 600; round++) {
                uint64_t seed = round;
                page_show(false);
                broken_answer(&seed, status_now, &text);
                if (topsample_status(&page.now, span_of(text.bytes, text.size)) != 0)
                        assert_int_equal(topsample_status(&page.now, span_of_text(status_now)), 0);
                broken_answer(&seed, connections_now, &text);
                topsample_laggards(&page.now, span_of(text.bytes, text.size));
                broken_answer(&seed, cohorts_now, &text);
                topsample_cohorts(&page.now, span_of(text.bytes, text.size));
                broken_answer(&seed, losses_now, &text);
                topsample_losses(&page.now, span_of(text.bytes, text.size));
                if (round % 3 == 0)
                        wild_sample(&seed, &page.now);
                assert_any_page(&seed);
        }
        growing_fini(&text);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(numbers_have_three_digits_and_a_unit),
                cmocka_unit_test(times_and_exact_counts_are_read_at_a_glance),
                cmocka_unit_test(a_graph_tells_means_of_stretches_that_stand_still),
                cmocka_unit_test(a_long_history_forgets_its_start),
                cmocka_unit_test(a_sample_holds_what_the_answers_say),
                cmocka_unit_test(whoever_has_caught_up_meanwhile_is_behind_only_now),
                cmocka_unit_test(an_engine_that_was_started_anew_has_no_rates_yet),
                cmocka_unit_test(what_is_no_status_is_refused),
                cmocka_unit_test(only_the_largest_of_many_rows_are_kept),
                cmocka_unit_test(pages_of_all_sizes_are_as_they_were_approved),
                cmocka_unit_test(a_page_tells_of_trouble),
                cmocka_unit_test(a_plain_page_has_no_keys_and_no_clock),
                cmocka_unit_test(json_has_the_rates_and_null_for_what_is_not_known),
                cmocka_unit_test(every_size_gives_a_sound_page),
                cmocka_unit_test(any_answers_give_a_sound_page),
        };
        setlocale(LC_CTYPE, "C.UTF-8");
        return cmocka_run_group_tests(tests, NULL, NULL);
}
