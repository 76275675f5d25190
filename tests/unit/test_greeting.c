/* greeting: the lines that it shows can be copied. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/greeting.h"

static void everywhere_is_shown_as_a_place_to_go_to(void **state)
{
        static const struct {
                const char *bound, *host, *shown;
        } rows[] = {
                {"0.0.0.0:4222", NULL, "127.0.0.1:4222"},  {"0.0.0.0:4222", "box", "box:4222"},
                {"[::]:4222", NULL, "[::1]:4222"},         {"[::]:4222", "box", "box:4222"},
                {"10.0.0.5:4222", "box", "10.0.0.5:4222"}, {"unix:/run/s", "box", "unix:/run/s"},
        };
        (void)state;
        for (size_t i = 0; i < array_count(rows); i++) {
                char address[GREETING_ADDRESS_BYTES];
                greeting_address(address, rows[i].bound, rows[i].host);
                assert_string_equal(address, rows[i].shown);
        }
}

#define HASH "\"$2b$04$ELjsD52TtJmz6yGfkAyK6.ZZqyw4gSR3N1EYT5Cm19teBmSHSQ9JW\""
#define TOKENS                                                                                                         \
        "tokens:\n- {name: t, token: \"sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"}\n"

/* The name of the one that is shown; "": nobody. */
static void shown_of(const char *text, const char *expected)
{
        static const char *const listeners[] = {"127.0.0.1:4222", "127.0.0.1:4223"};
        char error[OPTIONS_ERROR_BYTES] = "";
        struct permission_sets sets;
        struct users *users;
        assert_int_equal(permission_sets_init(&sets, 0), 0);
        struct users_context context = {.listeners = listeners, .listeners_count = 2, .sets = &sets};
        int failed = users_parse(&users, "test", span_of_text(text), &context, error);
        assert_string_equal(error, "");
        assert_int_equal(failed, 0);
        const struct user *user = greeting_user(users);
        assert_string_equal(user != NULL ? (const char *)user->name.bytes : "", expected);
        users_free(users);
        permission_sets_fini(&sets);
}

static void somebody_who_may_do_all_is_the_example(void **state)
{
        (void)state;
        shown_of("users:\n- {name: a, password: " HASH ", publish: {allow: [b]}}\n- {name: c, password: " HASH "}\n",
                 "c");
        shown_of("users:\n- {name: a, password: " HASH ", publish: {allow: [b]}}\n", "a");
}

static void who_cannot_come_by_the_shown_address_is_no_example(void **state)
{
        (void)state;
        shown_of("users:\n- {name: a, password: " HASH ", listeners: [\"127.0.0.1:4223\"]}\n- {name: b, password: " HASH
                 "}\n",
                 "b");
}

static void nobody_is_named_where_nobody_is_asked(void **state)
{
        (void)state;
        assert_null(greeting_user(NULL));
        shown_of(TOKENS, "");
        shown_of("users:\n- {name: a, password: " HASH ", listeners: [\"127.0.0.1:4222\"]}\nno_auth_user: a\n", "");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(everywhere_is_shown_as_a_place_to_go_to),
                cmocka_unit_test(somebody_who_may_do_all_is_the_example),
                cmocka_unit_test(who_cannot_come_by_the_shown_address_is_no_example),
                cmocka_unit_test(nobody_is_named_where_nobody_is_asked),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
