/* users: what a file says is what the image has; whatever is wrong with it is told with its place, and makes no image.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "engine/access/users.h"
#include "tests/seeded.h"

#define HASH "$2b$04$abcdefghijklmnopqrstuuXgr4nCRkMuJMGvpFSHxyB6f0bEZH2tm"

static const char *const listeners[] = {"127.0.0.1:4222", "unix:/tmp/spate"};
static struct permission_sets sets;
static const struct users_context context = {.listeners = listeners, .listeners_count = 2, .sets = &sets};

static int set_up(void **state)
{
        (void)state;
        return permission_sets_init(&sets, 0);
}

/* Also finds out whether every image gave back what it held. */
static int tear_down(void **state)
{
        (void)state;
        permission_sets_fini(&sets);
        return 0;
}

static struct users *parse(const char *text)
{
        struct users *users = NULL;
        char error[OPTIONS_ERROR_BYTES] = "";
        if (users_parse(&users, "users.yaml", span_of_text(text), &context, error) != 0)
                fail_msg("%s", error);
        return users;
}

static void refuse(const char *text, const char *place, const char *part)
{
        struct users *users = NULL;
        char error[OPTIONS_ERROR_BYTES] = "", wanted[64];
        assert_int_equal(users_parse(&users, "users.yaml", span_of_text(text), &context, error), -EINVAL);
        assert_null(users);
        snprintf(wanted, sizeof wanted, "users.yaml:%s: ", place);
        if (strncmp(error, wanted, strlen(wanted)) != 0 || strstr(error, part) == NULL)
                fail_msg("wanted \"%s...%s...\", got \"%s\"", wanted, part, error);
}

static void a_file_says_who_may_come_in(void **state)
{
        (void)state;
        struct users *users =
                parse("users:\n"
                      "  - name: alice\n"
                      "    password: " HASH "\n"
                      "    publish: {allow: [orders.>], deny: [orders.internal.>]}\n"
                      "    subscribe: {allow: [orders.*, jobs workers]}\n"
                      "    listeners: ['127.0.0.1:4222']\n"
                      "  - {name: bob, password: \"" HASH "\"}\n"
                      "  - {name: guest, password: \"" HASH "\", listeners: ['unix:/tmp/spate']}\n"
                      "tokens:\n"
                      "  - name: sensor\n"
                      "    token: sha256:000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F\n"
                      "    publish: {allow: []}\n"
                      "  - {name: old, token: " HASH ", listeners: [nats]}\n"
                      "no_auth_user: guest\n");
        assert_int_equal(users_count(users), 5);
        const struct user *alice = users_find(users, SPAN("alice"));
        assert_non_null(alice);
        assert_string_equal(alice->bcrypt, HASH);
        assert_int_equal(alice->listeners, 1);
        assert_true(permissions_may_publish(alice->permissions, SPAN("orders.7")));
        assert_false(permissions_may_publish(alice->permissions, SPAN("orders.internal.7")));
        assert_true(permissions_may_subscribe(alice->permissions, SPAN("jobs"), SPAN("workers")));
        assert_false(permissions_may_subscribe(alice->permissions, SPAN("jobs"), SPAN_NONE));
        const struct user *bob = users_find(users, SPAN("bob"));
        assert_non_null(bob);
        assert_null(bob->permissions);
        assert_int_equal(bob->listeners, UINT32_MAX);
        assert_null(users_find(users, SPAN("sensor"))); /* a token's name is not one to log in with */
        assert_null(users_find(users, SPAN("")));
        uint8_t digest[TOKEN_DIGEST_BYTES];
        for (uint8_t i = 0; i < sizeof digest; i++)
                digest[i] = i;
        const struct user *sensor = users_find_digest(users, digest);
        assert_non_null(sensor);
        assert_ptr_equal(sensor, users_find_any(users, SPAN("sensor")));
        assert_false(permissions_may_publish(sensor->permissions, SPAN("a")));
        assert_true(permissions_may_subscribe(sensor->permissions, SPAN(">"), SPAN_NONE));
        assert_true(span_equal(users_bcrypt_token(users, 0)->name, SPAN("old")));
        assert_null(users_bcrypt_token(users, 1));
        assert_true(span_equal(users_no_auth(users)->name, SPAN("guest")));
        assert_int_equal(users_no_auth(users)->listeners, 2);
        assert_true(bcrypt_is_valid(span_of_text(users_dummy_bcrypt(users))));
        assert_memory_equal(users_dummy_bcrypt(users), "$2b$04$", 7);
        users_free(users);
}

static void nobody_is_an_answer(void **state)
{
        (void)state;
        struct users *users = parse("users: []\n");
        assert_int_equal(users_count(users), 0);
        assert_null(users_find(users, SPAN("alice")));
        assert_null(users_no_auth(users));
        users_free(users);
        users = parse("{}");
        assert_null(users_find(users, SPAN("alice")));
        users_free(users);
}

static void equal_rules_have_equal_ids_across_files(void **state)
{
        (void)state;
        static const char first[] = "users:\n"
                                    "  - {name: a, password: " HASH ", publish: {allow: [x, y]}}\n"
                                    "  - {name: b, password: " HASH ", publish: {allow: [y, x]}}\n"
                                    "  - {name: c, password: " HASH ", publish: {allow: [y]}}\n";
        struct users *one = parse(first);
        const struct permissions *a = users_find(one, SPAN("a"))->permissions;
        assert_ptr_equal(a, users_find(one, SPAN("b"))->permissions);
        uint32_t other_id = permissions_id(users_find(one, SPAN("c"))->permissions);
        assert_true(permissions_id(a) != 0 && other_id != 0 && permissions_id(a) != other_id);
        struct users *two = parse("users: [{name: z, password: " HASH ", publish: {allow: [x, y], deny: []}}]");
        assert_ptr_equal(users_find(two, SPAN("z"))->permissions, a);
        users_free(one);
        assert_true(permissions_may_publish(users_find(two, SPAN("z"))->permissions, SPAN("x")));
        users_free(two);
}

static void a_salt_with_idle_bits_is_tidied(void **state)
{
        (void)state;
        /* The 22nd digit of the salt has four bits that mean nothing: v and u are the same salt. */
        struct users *users =
                parse("users: [{name: a, password: $2b$04$abcdefghijklmnopqrstuvXgr4nCRkMuJMGvpFSHxyB6f0bEZH2tm}]");
        assert_string_equal(users_find(users, SPAN("a"))->bcrypt, HASH);
        users_free(users);
}

static void every_fault_is_told_with_its_place(void **state)
{
        (void)state;
        refuse("", "1:1", "empty");
        refuse("# nothing\n", "1:1", "empty");
        refuse("users: [\n", "2:1", "not YAML");
        refuse("users: {a: [}\n", "1:13", "not YAML");
        refuse("- a\n", "1:1", "must be a mapping");
        refuse("user: []\n", "1:1", "did you mean \"users\"");
        refuse("groups: []\n", "1:1", "the file may not have the key groups; take it out");
        refuse("users: []\nusers: []\n", "2:1", "twice");
        refuse("users: alice\n", "1:8", "must be a list");
        refuse("users: [alice]\n", "1:9", "must be a mapping");
        refuse("users:\n  - password: x\n", "2:5", "no name");
        refuse("users:\n  - name: alice\n", "2:5", "no password");
        refuse("users:\n  - name: [a]\n", "2:11", "single value");
        refuse("users:\n  - name: ''\n", "2:11", "empty");
        refuse("users:\n  - name: 'a*'\n", "2:11", "wildcard");
        refuse("users:\n  - name: 'a b'\n", "2:11", "blank");
        refuse("users:\n  - name: \"a\\0b\"\n", "2:11", "control");
        refuse("users:\n  - name: a\n    password: secret\n", "3:15", "not a bcrypt hash");
        refuse("users:\n  - name: a\n    password: " HASH "x\n", "3:15", "not a bcrypt hash");
        refuse("users:\n  - name: a\n    password: $2b$31$abcdefghijklmnopqrstuuXgr4nCRkMuJMGvpFSHxyB6f0bEZH2tm\n",
               "3:15", "cost of 31");
        refuse("users:\n  - name: a\n    password: $2b$03$abcdefghijklmnopqrstuuXgr4nCRkMuJMGvpFSHxyB6f0bEZH2tm\n",
               "3:15", "cost of 3");
        refuse("users:\n  - name: a\n    passwort: x\n", "3:5", "did you mean \"password\"");
        refuse("users:\n  - name: a\n    name: b\n", "3:5", "twice");
        refuse("users:\n  - {name: a, password: " HASH "}\n  - {name: a, password: " HASH "}\n", "3:12", "twice");
        refuse("users: [{name: a, password: " HASH "}]\ntokens:\n  - name: a\n    token: " HASH "\n", "3:11", "twice");
        refuse("users:\n  - name: a\n    password: " HASH "\n    publish: [a]\n", "4:14", "must be a mapping");
        refuse("users:\n  - name: a\n    password: " HASH "\n    publish: {allow: a}\n", "4:22", "must be a list");
        refuse("users:\n  - name: a\n    password: " HASH "\n    publish: {allow: }\n", "4:22", "must be a list");
        refuse("users:\n  - name: a\n    password: " HASH "\n    publish: {allow: [a.b, a..b]}\n", "4:28",
               "empty token");
        refuse("users:\n  - name: a\n    password: " HASH "\n    publish: {allow: [a g]}\n", "4:23", "queue group");
        refuse("users:\n  - name: a\n    password: " HASH "\n    subscribe: {allow: [a g h]}\n", "4:25",
               "not one subject");
        refuse("users:\n  - name: a\n    password: " HASH "\n    listeners: [0.0.0.0:4222]\n", "4:17", "--listen");
        refuse("users:\n  - name: !!binary a\n", "2:11", "tag");
        refuse("tokens:\n  - name: a\n    token: sha256:00\n", "3:12", "64 hexadecimal");
        refuse("tokens:\n  - name: a\n    token: secret\n", "3:12", "make one with `spate passwd --token`");
        refuse("no_auth_user: a\n", "1:15", "not one of the users");
        refuse("users: [{name: a, password: " HASH "}]\nno_auth_user: a\n", "2:15", "name its listeners");
        refuse("users: []\n---\nusers: []\n", "3:1", "second document");
        refuse("users: []\n\xff\n", "2:1", "UTF-8");
        refuse("users:\n\t- {name: a}\n", "2:1", "a tab stands");
        refuse("tokens: [{name: a, token: \"sha256:"
               "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
               "\"}, {name: b, token: \"sha256:"
               "000102030405060708090A0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
               "\"}]\n",
               "1:120", "\"a\" and \"b\" have the same hash");
        refuse("tokens:\n- {name: a, token: " HASH "}\n- {name: b, token: " HASH "}\n", "3:20", "the same hash");
}

static void a_changed_file_never_does_harm(void **state)
{
        (void)state;
        static const char text[] = "users:\n"
                                   "  - &a {name: alice, password: " HASH ", publish: {allow: [a.*], deny: []}}\n"
                                   "  - name: bob\n    password: " HASH "\n    subscribe: {deny: [x g]}\n"
                                   "tokens: [{name: t, token: " HASH ", listeners: [nats]}]\n";
        uint64_t seed = 4;
        for (int i = 0; i < 20000; i++) {
                uint8_t bytes[1024];
                size_t size = sizeof text - 1;
                struct users *users = NULL;
                char error[OPTIONS_ERROR_BYTES] = "";
                memcpy(bytes, text, size);
                size = seeded_mutate(&seed, bytes, size, sizeof bytes, "{}[]:,-*&!\n '\"", 15);
                int failed = users_parse(&users, "f", span_of(bytes, size), &context, error);
                assert_true((failed == 0) == (users != NULL) && (failed == 0) == (error[0] == '\0'));
                users_free(users);
        }
}

static void a_file_that_is_not_there_is_told(void **state)
{
        (void)state;
        struct users *users = NULL;
        char error[OPTIONS_ERROR_BYTES] = "";
        assert_int_equal(users_load(&users, "/nonexistent/users", "--users", &context, error), -ENOENT);
        assert_non_null(strstr(error, "/nonexistent/users"));
        assert_true(users_load(&users, "/", "--users", &context, error) < 0);
        assert_non_null(strstr(error, "it is a folder"));
}

static void a_file_is_read(void **state)
{
        (void)state;
        char path[] = "/tmp/spate-users-XXXXXX";
        static const char text[] = "users: [{name: a, password: " HASH "}]\n";
        int file = mkstemp(path);
        struct users *users = NULL;
        char error[OPTIONS_ERROR_BYTES] = "";
        assert_true(file >= 0);
        assert_int_equal(write(file, text, sizeof text - 1), sizeof text - 1);
        assert_int_equal(users_load(&users, path, "--users", &context, error), 0);
        assert_non_null(users_find(users, SPAN("a")));
        users_free(users);
        close(file);
        unlink(path);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_file_says_who_may_come_in),
                cmocka_unit_test(nobody_is_an_answer),
                cmocka_unit_test(equal_rules_have_equal_ids_across_files),
                cmocka_unit_test(a_salt_with_idle_bits_is_tidied),
                cmocka_unit_test(every_fault_is_told_with_its_place),
                cmocka_unit_test(a_changed_file_never_does_harm),
                cmocka_unit_test(a_file_that_is_not_there_is_told),
                cmocka_unit_test(a_file_is_read),
        };
        return cmocka_run_group_tests(tests, set_up, tear_down);
}
