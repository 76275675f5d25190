/* adminquery: what is taken, and what is refused, against an unreadable page. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/admin/adminquery.h"
#include "engine/base/random.h"

#define ALL (ADMINQUERY_LIMIT | ADMINQUERY_FROM | ADMINQUERY_REACTOR | ADMINQUERY_SORT | ADMINQUERY_VERBOSE)

static void every_key_is_read_in_any_order(void **state)
{
        (void)state;
        struct adminquery read = {.limit = 100};
        assert_true(adminquery_read(SPAN("verbose&sort=pending&reactor=3&from=0&limit=999999999"), ALL, &read));
        assert_int_equal(read.given, ALL);
        assert_int_equal(read.limit, 999999999);
        assert_int_equal(read.from, 0);
        assert_int_equal(read.reactor, 3);
        assert_true(span_equal(read.sort, SPAN("pending")));
}

static void what_is_not_given_stays(void **state)
{
        (void)state;
        struct adminquery read = {.limit = 100, .given = ALL};
        assert_true(adminquery_read(SPAN_NONE, ALL, &read));
        assert_int_equal(read.given, 0);
        assert_int_equal(read.limit, 100);
}

static void what_is_not_understood_is_refused(void **state)
{
        (void)state;
        static const char *const wrong[] = {"limit",     "limit=",
                                            "limit=x",   "limit=1x",
                                            "limit=-1",  "limit=1000000000",
                                            "Limit=1",   "limit=1&limit=2",
                                            "&limit=1",  "limit=1&&from=1",
                                            "from =1",   "sort",
                                            "verbose&x", "=1",
                                            "&",         "limit=1;from=2",
                                            "limit=%31"};
        struct adminquery read = {0};
        for (size_t i = 0; i < array_count(wrong); i++)
                if (adminquery_read(span_of_text(wrong[i]), ALL, &read))
                        fail_msg("\"%s\" is taken", wrong[i]);
        assert_false(adminquery_read(SPAN("limit=1"), ALL & ~(unsigned)ADMINQUERY_LIMIT, &read));
}

static void a_text_is_decoded_whatever_it_holds(void **state)
{
        (void)state;
        static const struct {
                const char *word, *text;
        } rows[] = {{"", ""}, {"orders.new", "orders.new"}, {"%2A.%3e", "*.>"}, {"a+b%2b", "a+b+"}, {"%25", "%"}};
        static const char *const wrong[] = {"%", "a%4", "%4", "%g0", "%0g", "%%41", "a%"};
        uint8_t text[32];
        for (size_t i = 0; i < array_count(rows); i++) {
                ssize_t size = adminquery_decode(span_of_text(rows[i].word), text);
                assert_true(size >= 0 && span_equal(span_of(text, (size_t)size), span_of_text(rows[i].text)));
        }
        assert_int_equal(adminquery_decode(SPAN("%00%ff"), text), 2);
        assert_int_equal(text[0], 0);
        assert_int_equal(text[1], 0xff);
        for (size_t i = 0; i < array_count(wrong); i++)
                if (adminquery_decode(span_of_text(wrong[i]), text) >= 0)
                        fail_msg("\"%s\" is taken", wrong[i]);
}

static void nothing_behind_the_query_is_read(void **state)
{
        (void)state;
        static const char bits[] = "limit=from=reactor=sort=pendingverbose&&&==0123456789%";
        size_t page = (size_t)sysconf(_SC_PAGESIZE);
        uint8_t *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        struct random random;
        random_init(&random, 3);
        assert_ptr_not_equal(pages, MAP_FAILED);
        assert_int_equal(mprotect(pages + page, page, PROT_NONE), 0);
        for (int round = 0; round < 20000; round++) {
                size_t size = random_below(&random, 40);
                uint8_t *text = pages + page - size;
                for (size_t at = 0; at < size;) {
                        size_t from = random_below(&random, sizeof bits - 1), count = 1 + random_below(&random, 8);
                        for (; count > 0 && at < size && from < sizeof bits - 1; count--)
                                text[at++] = (uint8_t)bits[from++];
                }
                struct adminquery read = {0};
                if (adminquery_read(span_of(text, size), ALL, &read))
                        assert_true(read.limit <= 999999999 && read.from <= 999999999);
        }
        munmap(pages, 2 * page);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_key_is_read_in_any_order),
                cmocka_unit_test(what_is_not_given_stays),
                cmocka_unit_test(what_is_not_understood_is_refused),
                cmocka_unit_test(a_text_is_decoded_whatever_it_holds),
                cmocka_unit_test(nothing_behind_the_query_is_read),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
