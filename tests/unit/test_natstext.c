/* natstext: times as nats-server writes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/admin/natstext.h"
#include "engine/base/clock.h"

static void a_duration_begins_with_its_largest_unit(void **state)
{
        (void)state;
        static const struct {
                uint64_t seconds;
                const char *text;
        } rows[] = {{0, "0s"},
                    {59, "59s"},
                    {60, "1m0s"},
                    {3599, "59m59s"},
                    {3600, "1h0m0s"},
                    {86400 + 61, "1d0h1m1s"},
                    {(uint64_t)365 * 86400 - 1, "364d23h59m59s"},
                    {(uint64_t)730 * 86400 + 5, "2y0d0h0m5s"}};
        char text[NATSTEXT_BYTES];
        for (size_t i = 0; i < array_count(rows); i++)
                assert_string_equal(natstext_duration(text, rows[i].seconds * NS_PER_S + NS_PER_S - 1), rows[i].text);
        natstext_duration(text, UINT64_MAX);
}

static void a_time_has_nanoseconds(void **state)
{
        (void)state;
        char text[NATSTEXT_BYTES];
        assert_string_equal(natstext_time(text, 0), "1970-01-01T00:00:00.000000000Z");
        assert_string_equal(natstext_time(text, 1795284529 * NS_PER_S + 7), "2026-11-21T18:08:49.000000007Z");
        natstext_time(text, UINT64_MAX);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_duration_begins_with_its_largest_unit),
                cmocka_unit_test(a_time_has_nanoseconds),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
