/* sources: who was wrong too often is kept out for a while, and whoever else stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "engine/access/sources.h"

static bool is_same(const char *a, const char *b)
{
        struct source one = source_of(span_of_text(a)), other = source_of(span_of_text(b));
        return memcmp(&one, &other, sizeof one) == 0;
}

static void a_source_is_a_host_or_half_of_an_ipv6_address(void **state)
{
        (void)state;
        assert_true(is_same("10.1.2.3:4000", "10.1.2.3:5000"));
        assert_false(is_same("10.1.2.3:4000", "10.1.2.4:4000"));
        assert_true(is_same("[2001:db8::1]:1", "[2001:db8::ffff:2]:2"));
        assert_false(is_same("[2001:db8::1]:1", "[2001:db8:0:1::1]:1"));
        assert_true(is_same("[::ffff:10.1.2.3]:1", "10.1.2.3:9"));
        assert_true(is_same("[fe80::1%eth0]:1", "[fe80::2]:1"));
        assert_true(is_same("", "unix:/tmp/x"));
        assert_false(is_same("[::]:1", "unix:"));
        assert_true(is_same("nonsense:1", ""));
        char text[64];
        assert_string_equal(source_text(source_of(SPAN("10.1.2.3:4")), text, sizeof text), "10.1.2.3");
        assert_string_equal(source_text(source_of(SPAN("[2001:db8::7]:4")), text, sizeof text), "2001:db8::/64");
        assert_string_equal(source_text(source_of(SPAN_NONE), text, sizeof text), "local");
}

static void each_failure_waits_longer_and_one_too_many_is_kept_out(void **state)
{
        (void)state;
        struct sources sources;
        struct source bad = source_of(SPAN("10.0.0.1:1")), good = source_of(SPAN("10.0.0.2:1"));
        uint64_t now = NS_PER_S;
        assert_int_equal(sources_init(&sources, 64), 0);
        assert_int_equal(sources_failed(&sources, bad, now, 5, 10 * NS_PER_S), 0);
        assert_int_equal(sources_failed(&sources, bad, now, 5, 10 * NS_PER_S), SOURCES_DELAY_NS);
        assert_int_equal(sources_failed(&sources, bad, now, 5, 10 * NS_PER_S), 2 * SOURCES_DELAY_NS);
        assert_int_equal(sources_failed(&sources, bad, now, 5, 10 * NS_PER_S), 4 * SOURCES_DELAY_NS);
        assert_int_equal(sources_banned_until(&sources, bad, now), 0);
        sources_failed(&sources, bad, now, 5, 10 * NS_PER_S);
        assert_int_equal(sources_failures(&sources, bad, now), 5);
        assert_int_equal(sources_banned_until(&sources, bad, now), now + 10 * NS_PER_S);
        assert_int_equal(sources_banned_until(&sources, good, now), 0);
        assert_int_equal(sources_banned_until(&sources, bad, now + 10 * NS_PER_S), 0);
        for (int i = 0; i < 100; i++)
                assert_int_equal(sources_failed(&sources, good, now, 0, 0), 0);
        for (int i = 0; i < 100; i++)
                assert_true(sources_failed(&sources, good, now, 1000, 0) <= SOURCES_DELAY_NS_MAX);
        assert_int_equal(sources_banned_until(&sources, good, now), 0);
        sources_clear(&sources);
        assert_int_equal(sources_banned_until(&sources, bad, now), 0);
        assert_int_equal(sources_failures(&sources, bad, now), 0);
        sources_fini(&sources);
}

static void a_minute_later_it_begins_anew(void **state)
{
        (void)state;
        struct sources sources;
        struct source source = source_of(SPAN("10.0.0.1:1"));
        assert_int_equal(sources_init(&sources, 64), 0);
        for (int i = 0; i < 4; i++)
                sources_failed(&sources, source, NS_PER_S, 5, NS_PER_S);
        assert_int_equal(sources_failures(&sources, source, NS_PER_S + SOURCES_WINDOW_NS), 0);
        assert_int_equal(sources_failed(&sources, source, NS_PER_S + SOURCES_WINDOW_NS, 5, NS_PER_S), 0);
        assert_int_equal(sources_failures(&sources, source, NS_PER_S + SOURCES_WINDOW_NS), 1);
        sources_fini(&sources);
}

static void a_flood_of_sources_does_not_set_a_banned_one_free(void **state)
{
        (void)state;
        struct sources sources;
        struct source bad = source_of(SPAN("10.9.9.9:1"));
        assert_int_equal(sources_init(&sources, 64), 0);
        sources_ban(&sources, bad, 1, 100 * NS_PER_S);
        for (uint32_t i = 0; i < 100000; i++) {
                char address[64];
                snprintf(address, sizeof address, "10.%u.%u.%u:1", i >> 16 & 255, i >> 8 & 255, i & 255);
                sources_failed(&sources, source_of(span_of_text(address)), NS_PER_S + i, 20, NS_PER_S);
        }
        assert_int_equal(sources_banned_until(&sources, bad, 2 * NS_PER_S), 100 * NS_PER_S);
        sources_fini(&sources);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_source_is_a_host_or_half_of_an_ipv6_address),
                cmocka_unit_test(each_failure_waits_longer_and_one_too_many_is_kept_out),
                cmocka_unit_test(a_minute_later_it_begins_anew),
                cmocka_unit_test(a_flood_of_sources_does_not_set_a_banned_one_free),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
