/* credentials: what was tried is known again until its time is up, and nothing else is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/access/credentials.h"

static uint8_t key[CREDENTIALS_KEY_BYTES];

static struct credentials_digest digest_of(const char *name, const char *secret, const char *hash)
{
        return credentials_digest(key, span_of_text(name), span_of_text(secret), span_of_text(hash));
}

static bool is_same(struct credentials_digest a, struct credentials_digest b)
{
        return memcmp(&a, &b, sizeof a) == 0;
}

static void each_part_counts_and_none_runs_into_the_next(void **state)
{
        (void)state;
        uint8_t other_key[CREDENTIALS_KEY_BYTES];
        credentials_key(key);
        credentials_key(other_key);
        assert_true(is_same(digest_of("a", "b", "c"), digest_of("a", "b", "c")));
        assert_false(is_same(digest_of("a", "b", "c"), digest_of("a", "b", "d")));
        assert_false(is_same(digest_of("ab", "", "c"), digest_of("a", "b", "c")));
        assert_false(is_same(digest_of("", "ab", "c"), digest_of("a", "b", "c")));
        assert_false(is_same(digest_of("a", "b", "c"), credentials_digest(other_key, SPAN("a"), SPAN("b"), SPAN("c"))));
}

static void what_was_remembered_is_known_until_its_time_is_up(void **state)
{
        (void)state;
        struct credentials credentials;
        uint32_t value = 0;
        assert_int_equal(credentials_init(&credentials, 64), 0);
        assert_false(credentials_recall(&credentials, digest_of("a", "b", "c"), 0, &value));
        credentials_remember(&credentials, digest_of("a", "b", "c"), 7, 100);
        assert_true(credentials_recall(&credentials, digest_of("a", "b", "c"), 99, &value));
        assert_int_equal(value, 7);
        assert_false(credentials_recall(&credentials, digest_of("a", "x", "c"), 99, &value));
        assert_false(credentials_recall(&credentials, digest_of("a", "b", "c"), 100, &value));
        credentials_remember(&credentials, digest_of("a", "b", "c"), 8, UINT64_MAX);
        assert_true(credentials_recall(&credentials, digest_of("a", "b", "c"), UINT64_MAX - 1, &value));
        assert_int_equal(value, 8);
        credentials_clear(&credentials);
        assert_false(credentials_recall(&credentials, digest_of("a", "b", "c"), 0, &value));
        credentials_fini(&credentials);
}

static void what_is_used_stays_and_the_rest_makes_room(void **state)
{
        (void)state;
        struct credentials credentials;
        uint32_t value;
        struct credentials_digest kept = digest_of("kept", "b", "c");
        assert_int_equal(credentials_init(&credentials, 64), 0);
        credentials_remember(&credentials, kept, 1, UINT64_MAX);
        for (int i = 0; i < 10000; i++) {
                char name[2] = {(char)(1 + i % 100), '\0'}, secret[2] = {(char)(1 + i / 100), '\0'};
                credentials_remember(&credentials, digest_of(name, secret, "c"), 2, UINT64_MAX);
                assert_true(credentials_recall(&credentials, kept, 0, &value));
        }
        credentials_fini(&credentials);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(each_part_counts_and_none_runs_into_the_next),
                cmocka_unit_test(what_was_remembered_is_known_until_its_time_is_up),
                cmocka_unit_test(what_is_used_stays_and_the_rest_makes_room),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
