/* auth: the right ones come in, nobody else does, and how it was refused tells nothing. Most of it on one thread, with
 * a clock of its own; once with the worker as it is. */
#include <crypt.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <cmocka.h>

#include "engine/access/auth.h"

/* Hashes at the lowest cost, so that tests need not wait; made once. */
static char hash_wonder[64], hash_other[64];
static const char *const listeners[] = {"127.0.0.1:4222", "127.0.0.1:4223"};
static char path[] = "/tmp/spate-auth-XXXXXX";
static uint64_t now_ns = 1000 * NS_PER_S;

static uint64_t read_now(void)
{
        return now_ns;
}

static int set_up(void **state)
{
        (void)state;
        struct crypt_data *data = calloc(1, sizeof *data);
        strcpy(hash_wonder, crypt_rn("wonder", "$2b$04$abcdefghijklmnopqrstuu", data, sizeof *data));
        strcpy(hash_other, crypt_rn("other", "$2b$04$zbcdefghijklmnopqrstuu", data, sizeof *data));
        free(data);
        int file = mkstemp(path);
        close(file);
        return file < 0;
}

static int tear_down(void **state)
{
        (void)state;
        return unlink(path);
}

static void write_users(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void write_users(const char *format, ...)
{
        FILE *file = fopen(path, "w");
        va_list arguments;
        assert_non_null(file);
        va_start(arguments, format);
        vfprintf(file, format, arguments);
        va_end(arguments);
        fclose(file);
}

static struct auth *auth_of(unsigned reactors_count, bool is_inline)
{
        struct auth_settings settings = {.path = path,
                                         .listeners = listeners,
                                         .listeners_count = 2,
                                         .reactors_count = reactors_count,
                                         .timeout_ns = 2 * NS_PER_S,
                                         .ban_after = 20,
                                         .ban_ns = 60 * NS_PER_S,
                                         .now_ns = is_inline ? read_now : NULL,
                                         .is_inline = is_inline};
        struct auth *auth = NULL;
        char error[OPTIONS_ERROR_BYTES];
        if (auth_new(&auth, &settings, error) != 0)
                fail_msg("%s", error);
        return auth;
}

static struct auth *auth_usual(unsigned reactors_count)
{
        write_users("users:\n"
                    "  - {name: alice, password: %s, publish: {allow: [a]}}\n"
                    "  - {name: bound, password: %s, listeners: ['127.0.0.1:4223']}\n"
                    "  - {name: guest, password: %s, listeners: ['127.0.0.1:4223']}\n"
                    "tokens:\n"
                    /* sha256 of "long random token" */
                    "  - {name: sensor, token: "
                    "'sha256:ce49ca82a998edfad2c3303d07be73d52c567e545e5436b0d6ab8b1f13bc7043'}\n"
                    "  - {name: old, token: %s}\n"
                    "no_auth_user: guest\n",
                    hash_wonder, hash_wonder, hash_other, hash_other);
        return auth_of(reactors_count, true);
}

static struct auth_attempt attempt_of(const char *user, const char *password)
{
        return (struct auth_attempt){.tag = 5,
                                     .source = source_of(SPAN("10.0.0.1:1")),
                                     .user = span_of_text(user),
                                     .password = span_of_text(password)};
}

/* Asks, lets the worker work, and takes the answer. */
static struct auth_event ask(struct auth *auth, const struct auth_attempt *attempt)
{
        struct auth_event event = {.kind = AUTH_ANSWER};
        event.verdict = auth_ask(auth_gate(auth, 0), attempt, &event.user);
        if (event.verdict != AUTH_PENDING)
                return event;
        auth_work(auth);
        assert_true(auth_take(auth_gate(auth, 0), &event));
        assert_int_equal(event.kind, AUTH_ANSWER);
        assert_int_equal(event.tag, attempt->tag);
        return event;
}

static enum auth_verdict log_in(struct auth *auth, const char *user, const char *password)
{
        struct auth_attempt attempt = attempt_of(user, password);
        return ask(auth, &attempt).verdict;
}

static void the_right_password_comes_in_and_is_known_from_then_on(void **state)
{
        (void)state;
        struct auth *auth = auth_usual(1);
        struct auth_attempt attempt = attempt_of("alice", "wonder");
        const struct user *user;
        assert_int_equal(auth_ask(auth_gate(auth, 0), &attempt, &user), AUTH_PENDING);
        struct auth_event event;
        assert_false(auth_take(auth_gate(auth, 0), &event));
        auth_work(auth);
        assert_true(auth_take(auth_gate(auth, 0), &event));
        assert_int_equal(event.verdict, AUTH_GRANTED);
        assert_true(span_equal(event.user->name, SPAN("alice")));
        assert_true(permissions_may_publish(event.user->permissions, SPAN("a")));
        assert_int_equal(auth_ask(auth_gate(auth, 0), &attempt, &user), AUTH_GRANTED);
        assert_ptr_equal(user, event.user);
        assert_false(auth_take(auth_gate(auth, 0), &event));
        auth_free(auth);
}

static void anything_else_is_refused(void **state)
{
        (void)state;
        struct auth *auth = auth_usual(1);
        char longer[80];
        memset(longer, 'x', sizeof longer - 1);
        longer[sizeof longer - 1] = '\0';
        assert_int_equal(log_in(auth, "alice", "wonders"), AUTH_REFUSED);
        assert_int_equal(log_in(auth, "alice", "wonders"), AUTH_REFUSED); /* known to be wrong */
        assert_int_equal(log_in(auth, "alice", ""), AUTH_REFUSED);
        assert_int_equal(log_in(auth, "alice", "other"), AUTH_REFUSED);
        assert_int_equal(log_in(auth, "Alice", "wonder"), AUTH_REFUSED);
        assert_int_equal(log_in(auth, "nobody", "wonder"), AUTH_REFUSED);
        assert_int_equal(log_in(auth, "old", "other"), AUTH_REFUSED); /* a token, not a user */
        assert_int_equal(log_in(auth, "alice", longer), AUTH_REFUSED);
        assert_int_equal(log_in(auth, longer, "wonder"), AUTH_REFUSED);
        struct auth_attempt attempt = attempt_of("alice", "");
        attempt.password = SPAN("wonder\0more"); /* what crypt() would not see */
        assert_int_equal(ask(auth, &attempt).verdict, AUTH_REFUSED);
        assert_int_equal(log_in(auth, "alice", "wonder"), AUTH_GRANTED);
        auth_free(auth);
}

static void a_user_comes_in_at_his_listeners_alone(void **state)
{
        (void)state;
        struct auth *auth = auth_usual(1);
        struct auth_attempt attempt = attempt_of("bound", "wonder");
        assert_int_equal(ask(auth, &attempt).verdict, AUTH_REFUSED);
        attempt.listener = 1;
        assert_int_equal(ask(auth, &attempt).verdict, AUTH_GRANTED);
        attempt.listener = 0; /* what is known now does not open the other door */
        assert_int_equal(ask(auth, &attempt).verdict, AUTH_REFUSED);
        attempt = attempt_of("", "");
        assert_int_equal(ask(auth, &attempt).verdict, AUTH_REFUSED);
        attempt.listener = 1;
        struct auth_event event = ask(auth, &attempt);
        assert_int_equal(event.verdict, AUTH_GRANTED);
        assert_true(span_equal(event.user->name, SPAN("guest")));
        auth_free(auth);
}

static void tokens_come_in_by_digest_or_by_bcrypt(void **state)
{
        (void)state;
        struct auth *auth = auth_usual(1);
        struct auth_attempt attempt = {.tag = 9, .source = source_of(SPAN_NONE), .token = SPAN("long random token")};
        for (int i = 0; i < 2; i++) {
                struct auth_event event = ask(auth, &attempt);
                assert_int_equal(event.verdict, AUTH_GRANTED);
                assert_true(span_equal(event.user->name, SPAN("sensor")));
        }
        attempt.token = SPAN("other");
        for (int i = 0; i < 2; i++) {
                struct auth_event event = ask(auth, &attempt);
                assert_int_equal(event.verdict, AUTH_GRANTED);
                assert_true(span_equal(event.user->name, SPAN("old")));
        }
        attempt.token = SPAN("wrong");
        assert_int_equal(ask(auth, &attempt).verdict, AUTH_REFUSED);
        attempt.token = SPAN("other\0");
        assert_int_equal(ask(auth, &attempt).verdict, AUTH_REFUSED);
        auth_free(auth);
}

static void who_guesses_waits_longer_and_is_kept_out_at_every_gate(void **state)
{
        (void)state;
        struct auth *auth = auth_usual(2);
        struct auth_attempt attempt = attempt_of("alice", "?");
        uint64_t delay_ns = 0;
        for (int i = 0; i < 20; i++) {
                char guess[16];
                snprintf(guess, sizeof guess, "guess %d", i);
                attempt.password = span_of_text(guess);
                assert_false(auth_is_banned(auth_gate(auth, 0), attempt.source));
                struct auth_event event = ask(auth, &attempt);
                assert_int_equal(event.verdict, AUTH_REFUSED);
                assert_true(event.delay_ns >= delay_ns);
                delay_ns = event.delay_ns;
        }
        assert_int_equal(delay_ns, SOURCES_DELAY_NS_MAX);
        struct auth_event event;
        assert_false(auth_take(auth_gate(auth, 0), &event));
        assert_false(auth_take(auth_gate(auth, 1), &event));
        assert_true(auth_is_banned(auth_gate(auth, 0), attempt.source));
        assert_true(auth_is_banned(auth_gate(auth, 1), attempt.source));
        assert_false(auth_is_banned(auth_gate(auth, 0), source_of(SPAN("10.0.0.2:1"))));
        assert_int_equal(log_in(auth, "alice", "wonder"), AUTH_REFUSED); /* even if he knows it now */
        attempt = attempt_of("alice", "wonder");
        attempt.source = source_of(SPAN("10.0.0.2:1"));
        assert_int_equal(ask(auth, &attempt).verdict, AUTH_GRANTED);
        now_ns += 61 * NS_PER_S;
        assert_false(auth_is_banned(auth_gate(auth, 0), source_of(SPAN("10.0.0.1:1"))));
        assert_int_equal(log_in(auth, "alice", "wonder"), AUTH_GRANTED);
        auth_free(auth);
}

static void too_many_attempts_at_a_time_are_not_queued(void **state)
{
        (void)state;
        struct auth *auth = auth_usual(1);
        struct auth_gate *gate = auth_gate(auth, 0);
        struct auth_attempt attempt = attempt_of("alice", "wonder");
        const struct user *user;
        struct auth_event event;
        for (int i = 0; i < AUTH_ASKS_MAX; i++) {
                attempt.tag = (uint64_t)i;
                assert_int_equal(auth_ask(gate, &attempt, &user), AUTH_PENDING);
        }
        assert_int_equal(auth_ask(gate, &attempt, &user), AUTH_BUSY);
        auth_work(auth);
        for (int i = 0; i < AUTH_ASKS_MAX; i++) {
                assert_true(auth_take(gate, &event));
                assert_int_equal(event.verdict, AUTH_GRANTED);
        }
        assert_false(auth_take(gate, &event));
        assert_int_equal(auth_ask(gate, &attempt, &user), AUTH_GRANTED);
        auth_free(auth);
}

static void a_flood_of_guesses_does_not_keep_others_waiting(void **state)
{
        (void)state;
        struct auth *auth = auth_usual(1);
        struct auth_gate *gate = auth_gate(auth, 0);
        struct auth_event event;
        const struct user *user;
        for (int i = 0; i <= 100; i++) {
                char guess[16];
                snprintf(guess, sizeof guess, "guess %d", i);
                struct auth_attempt attempt = attempt_of("alice", i < 100 ? guess : "wonder");
                attempt.tag = (uint64_t)i;
                if (i == 100)
                        attempt.source = source_of(SPAN("10.0.0.2:1"));
                assert_int_equal(auth_ask(gate, &attempt, &user), AUTH_PENDING);
        }
        auth_work(auth);
        int refused_before = 0, refused = 0, busy = 0;
        while (auth_take(gate, &event)) {
                refused += event.verdict == AUTH_REFUSED;
                busy += event.verdict == AUTH_BUSY;
                if (event.tag == 100) {
                        assert_int_equal(event.verdict, AUTH_GRANTED);
                        refused_before = refused;
                }
        }
        assert_int_equal(refused_before, 1);
        assert_int_equal(refused, 5);
        assert_int_equal(busy, 95);
        auth_free(auth);
}

static void an_attempt_that_waited_too_long_is_not_tried(void **state)
{
        (void)state;
        struct auth *auth = auth_usual(1);
        struct auth_attempt attempt = attempt_of("alice", "wonder");
        const struct user *user;
        struct auth_event event;
        assert_int_equal(auth_ask(auth_gate(auth, 0), &attempt, &user), AUTH_PENDING);
        now_ns += 3 * NS_PER_S;
        auth_work(auth);
        assert_true(auth_take(auth_gate(auth, 0), &event));
        assert_int_equal(event.verdict, AUTH_BUSY);
        auth_free(auth);
}

static void a_reload_changes_who_may_stay(void **state)
{
        (void)state;
        struct auth *auth = auth_usual(2);
        struct auth_event event;
        struct auth_attempt attempt = attempt_of("bound", "wonder");
        attempt.listener = 1;
        const struct user *alice = users_find(auth_users(auth_gate(auth, 0)), SPAN("alice"));
        const struct user *bound = ask(auth, &attempt).user;
        assert_non_null(bound);
        write_users("users:\n"
                    "  - {name: new, password: %s}\n"
                    "  - {name: bound, password: %s, subscribe: {deny: [x]}}\n"
                    "  - {name: alice, password: %s}\n",
                    hash_wonder, hash_wonder, hash_other);
        auth_reload(auth);
        auth_reload(auth); /* once more while the first is not done */
        auth_work(auth);
        for (unsigned i = 0; i < 2; i++) {
                struct auth_gate *gate = auth_gate(auth, i);
                assert_true(auth_take(gate, &event));
                assert_int_equal(event.kind, AUTH_NEW_USERS);
                assert_null(auth_still(gate, alice, 0)); /* another password */
                const struct user *still = auth_still(gate, bound, 1);
                assert_non_null(still);
                assert_true(permissions_filter(still->permissions));
                assert_false(auth_take(gate, &event));
                auth_adopted(gate);
        }
        auth_work(auth); /* the second reload, now that the first is adopted */
        for (unsigned i = 0; i < 2; i++) {
                assert_true(auth_take(auth_gate(auth, i), &event));
                assert_int_equal(event.kind, AUTH_NEW_USERS);
                auth_adopted(auth_gate(auth, i));
                assert_false(auth_take(auth_gate(auth, i), &event));
        }
        auth_work(auth);
        assert_int_equal(log_in(auth, "alice", "wonder"), AUTH_REFUSED);
        assert_int_equal(log_in(auth, "alice", "other"), AUTH_GRANTED);
        assert_int_equal(log_in(auth, "new", "wonder"), AUTH_GRANTED);
        assert_int_equal(log_in(auth, "bound", "wonder"), AUTH_GRANTED);
        attempt = (struct auth_attempt){.tag = 1, .listener = 0, .token = SPAN("long random token")};
        assert_int_equal(ask(auth, &attempt).verdict, AUTH_REFUSED);
        auth_free(auth);
}

static void a_reload_that_fails_changes_nothing(void **state)
{
        (void)state;
        struct auth *auth = auth_usual(1);
        struct auth_event event;
        write_users("users: [\n");
        auth_reload(auth);
        auth_work(auth);
        assert_false(auth_take(auth_gate(auth, 0), &event));
        assert_int_equal(log_in(auth, "alice", "wonder"), AUTH_GRANTED);
        write_users("users: []\n");
        auth_reload(auth);
        auth_work(auth);
        assert_true(auth_take(auth_gate(auth, 0), &event));
        assert_int_equal(event.kind, AUTH_NEW_USERS);
        assert_int_equal(log_in(auth, "alice", "wonder"), AUTH_REFUSED);
        auth_free(auth); /* though the new image was not adopted */
}

static void a_reload_lets_in_whom_it_kept_out(void **state)
{
        (void)state;
        struct auth *auth = auth_usual(1);
        struct auth_event event;
        for (int i = 0; i < 20; i++)
                log_in(auth, "alice", "wrong");
        assert_int_equal(log_in(auth, "alice", "wonder"), AUTH_REFUSED);
        auth_reload(auth);
        auth_work(auth);
        while (auth_take(auth_gate(auth, 0), &event))
                if (event.kind == AUTH_NEW_USERS)
                        auth_adopted(auth_gate(auth, 0));
        assert_false(auth_is_banned(auth_gate(auth, 0), source_of(SPAN("10.0.0.1:1"))));
        assert_int_equal(log_in(auth, "alice", "wonder"), AUTH_GRANTED);
        auth_free(auth);
}

/* ---- with the worker as a thread ---- */

static void ring(void *context)
{
        uint64_t one = 1;
        assert_int_equal(write(*(int *)context, &one, sizeof one), sizeof one);
}

static struct auth_event wait_for(struct auth_gate *gate, int bell)
{
        struct auth_event event;
        while (!auth_take(gate, &event)) {
                uint64_t rings;
                assert_int_equal(read(bell, &rings, sizeof rings), sizeof rings);
        }
        return event;
}

static void the_worker_answers_and_wakes(void **state)
{
        (void)state;
        struct auth_event event;
        write_users("users: [{name: alice, password: %s}]\n", hash_wonder);
        struct auth *auth = auth_of(2, false);
        int bells[2] = {eventfd(0, 0), eventfd(0, 0)};
        for (unsigned i = 0; i < 2; i++)
                auth_gate_open(auth_gate(auth, i), ring, &bells[i]);
        for (int round = 0; round < 50; round++) {
                const char *password = round % 2 ? "wonder" : "wrong";
                struct auth_attempt attempt = attempt_of("alice", password);
                char address[32];
                snprintf(address, sizeof address, "10.0.0.%d:1", round);
                attempt.source = source_of(span_of_text(address));
                attempt.tag = (uint64_t)round;
                for (unsigned i = 0; i < 2; i++) {
                        const struct user *user;
                        enum auth_verdict verdict = auth_ask(auth_gate(auth, i), &attempt, &user);
                        if (verdict == AUTH_PENDING) {
                                event = wait_for(auth_gate(auth, i), bells[i]);
                                assert_int_equal(event.tag, round);
                                verdict = event.verdict;
                        }
                        assert_int_equal(verdict, round % 2 ? AUTH_GRANTED : AUTH_REFUSED);
                }
        }
        auth_reload(auth);
        for (unsigned i = 0; i < 2; i++) {
                event = wait_for(auth_gate(auth, i), bells[i]);
                assert_int_equal(event.kind, AUTH_NEW_USERS);
                auth_adopted(auth_gate(auth, i));
        }
        /* Left unanswered, or half done, at the end. */
        for (int i = 0; i < 10; i++) {
                struct auth_attempt attempt = attempt_of("alice", "?");
                const struct user *user;
                attempt.tag = (uint64_t)i;
                auth_ask(auth_gate(auth, 0), &attempt, &user);
        }
        auth_reload(auth);
        auth_free(auth);
        close(bells[0]);
        close(bells[1]);
}

static void a_broken_file_starts_nothing(void **state)
{
        (void)state;
        struct auth_settings settings = {.path = path, .reactors_count = 1};
        struct auth *auth = NULL;
        char error[OPTIONS_ERROR_BYTES];
        write_users("users:\n  - name: 'a*'\n");
        assert_int_equal(auth_new(&auth, &settings, error), -EINVAL);
        assert_non_null(strstr(error, ":2:11: "));
        assert_null(auth);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_right_password_comes_in_and_is_known_from_then_on),
                cmocka_unit_test(anything_else_is_refused),
                cmocka_unit_test(a_user_comes_in_at_his_listeners_alone),
                cmocka_unit_test(tokens_come_in_by_digest_or_by_bcrypt),
                cmocka_unit_test(who_guesses_waits_longer_and_is_kept_out_at_every_gate),
                cmocka_unit_test(too_many_attempts_at_a_time_are_not_queued),
                cmocka_unit_test(a_flood_of_guesses_does_not_keep_others_waiting),
                cmocka_unit_test(an_attempt_that_waited_too_long_is_not_tried),
                cmocka_unit_test(a_reload_changes_who_may_stay),
                cmocka_unit_test(a_reload_that_fails_changes_nothing),
                cmocka_unit_test(a_reload_lets_in_whom_it_kept_out),
                cmocka_unit_test(the_worker_answers_and_wakes),
                cmocka_unit_test(a_broken_file_starts_nothing),
        };
        return cmocka_run_group_tests(tests, set_up, tear_down);
}
