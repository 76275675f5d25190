/* adminlink: one connection that is kept, whatever the other end does with it. Nothing in it waits, so the test is the
 * other end itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/cli/adminlink.h"

#define ANSWER(body) "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n" body

struct ends {
        struct adminlink link;
        int listener, fd; /* fd: the server's end; -1: none */
};

static void ends_init(struct ends *ends, uint64_t timeout_ns)
{
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t size = sizeof address;
        struct endpoint endpoint;
        char text[32], error[ENDPOINT_ERROR_BYTES];
        *ends = (struct ends){.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .fd = -1};
        assert_int_equal(bind(ends->listener, (const struct sockaddr *)&address, sizeof address), 0);
        assert_int_equal(listen(ends->listener, 8), 0);
        assert_int_equal(getsockname(ends->listener, (struct sockaddr *)&address, &size), 0);
        snprintf(text, sizeof text, "127.0.0.1:%d", ntohs(address.sin_port));
        assert_int_equal(endpoint_parse(&endpoint, text, "http://", "8222", error), 0);
        adminlink_init(&ends->link, &endpoint, timeout_ns, timeout_ns);
}

static void ends_hang_up(struct ends *ends)
{
        close(ends->fd);
        ends->fd = -1;
}

static void ends_fini(struct ends *ends)
{
        if (ends->fd >= 0)
                close(ends->fd);
        close(ends->listener);
        adminlink_fini(&ends->link);
}

/* Reads one question from the connection that is there, or from a new one. */
static void hear_request(struct ends *ends, const char *method, const char *path)
{
        char text[1024] = "", expected[64];
        size_t size = 0;
        if (ends->fd < 0)
                ends->fd = accept(ends->listener, NULL, NULL);
        assert_true(ends->fd >= 0);
        while (strstr(text, "\r\n\r\n") == NULL) {
                ssize_t got = recv(ends->fd, text + size, sizeof text - 1 - size, 0);
                assert_true(got > 0);
                size += (size_t)got;
        }
        snprintf(expected, sizeof expected, "%s %s HTTP/1.1\r\n", method, path);
        assert_memory_equal(text, expected, strlen(expected));
        assert_non_null(strstr(text, "\r\nHost: 127.0.0.1:"));
        assert_true((strcmp(method, "POST") == 0) == (strstr(text, "\r\nSpate-Admin: yes\r\n") != NULL));
}

static void hear(struct ends *ends, const char *path)
{
        hear_request(ends, "GET", path);
}

static void say(struct ends *ends, const char *text, size_t size)
{
        assert_int_equal(send(ends->fd, text, size, MSG_NOSIGNAL), (ssize_t)size);
}

/* What adminlink_take() says, once it says more than "not yet". */
static int take(struct ends *ends, int *status, struct span *body)
{
        int taken;
        while ((taken = adminlink_take(&ends->link, status, body)) == 0) {
                struct pollfd poller = {.fd = ends->link.fd, .events = POLLIN};
                poll(&poller, 1, 100);
        }
        return taken;
}

static void assert_answered(struct ends *ends, const char *expected)
{
        int status;
        struct span body;
        assert_int_equal(take(ends, &status, &body), 1);
        assert_int_equal(status, 200);
        assert_true(span_equal(body, span_of_text(expected)));
}

static void assert_failed(struct ends *ends, int error, const char *expected)
{
        int status;
        struct span body;
        assert_int_equal(take(ends, &status, &body), error);
        assert_non_null(strstr(ends->link.error, expected));
        assert_int_equal(ends->link.fd, -1);
        assert_false(ends->link.is_waiting);
}

static void one_connection_serves_many_questions_however_answers_are_cut(void **state)
{
        static const char answer[] = ANSWER("body");
        struct ends ends;
        int status;
        struct span body;
        (void)state;
        ends_init(&ends, 60 * NS_PER_S);
        for (size_t cut = 0; cut < sizeof answer - 1; cut++) {
                assert_int_equal(adminlink_ask(&ends.link, cut % 2 == 0 ? "/status" : "/losses?limit=1"), 0);
                hear(&ends, cut % 2 == 0 ? "/status" : "/losses?limit=1");
                say(&ends, answer, cut);
                assert_int_equal(adminlink_take(&ends.link, &status, &body), 0);
                say(&ends, answer + cut, sizeof answer - 1 - cut);
                assert_answered(&ends, "body");
        }
        ends_fini(&ends);
}

static void a_connection_that_was_closed_meanwhile_is_replaced_once(void **state)
{
        struct ends ends;
        (void)state;
        ends_init(&ends, 60 * NS_PER_S);
        for (int i = 0; i < 3; i++) {
                assert_int_equal(adminlink_ask(&ends.link, "/a"), 0);
                if (i > 0) {
                        /* The question went into the closed connection; it comes again when that shows. */
                        int status;
                        struct span body;
                        struct pollfd poller = {.fd = ends.listener, .events = POLLIN};
                        while (poll(&poller, 1, 10) == 0)
                                assert_int_equal(adminlink_take(&ends.link, &status, &body), 0);
                }
                hear(&ends, "/a");
                say(&ends, ANSWER("once"), strlen(ANSWER("once")));
                assert_answered(&ends, "once");
                ends_hang_up(&ends);
        }
        ends_fini(&ends);
}

static void who_closes_without_an_answer_is_not_asked_for_ever(void **state)
{
        struct ends ends;
        (void)state;
        ends_init(&ends, 60 * NS_PER_S);
        assert_int_equal(adminlink_ask(&ends.link, "/a"), 0);
        hear(&ends, "/a");
        say(&ends, "HTTP/1.1 2", 10);
        ends_hang_up(&ends);
        assert_failed(&ends, -EPIPE, "closed the connection before it had answered");
        /* It may come back. */
        assert_int_equal(adminlink_ask(&ends.link, "/b"), 0);
        hear(&ends, "/b");
        say(&ends, ANSWER("back"), strlen(ANSWER("back")));
        assert_answered(&ends, "back");
        close(ends.listener);
        ends_hang_up(&ends);
        ends.listener = -1;
        assert_int_equal(adminlink_ask(&ends.link, "/c"), 0);
        assert_failed(&ends, -ENOTCONN, "nobody listens");
        assert_int_equal(adminlink_ask(&ends.link, "/d"), -ENOTCONN);
        ends_fini(&ends);
}

static void silence_and_other_languages_are_told(void **state)
{
        struct ends ends;
        (void)state;
        ends_init(&ends, NS_PER_S / 20);
        assert_int_equal(adminlink_ask(&ends.link, "/a"), 0);
        hear(&ends, "/a");
        assert_failed(&ends, -ETIMEDOUT, "did not answer for 50 ms");
        ends_hang_up(&ends);
        ends.link.timeout_ns = 60 * NS_PER_S;
        assert_int_equal(adminlink_ask(&ends.link, "/a"), 0);
        hear(&ends, "/a");
        say(&ends, "INFO {}\r\n", 9);
        assert_failed(&ends, -EPROTO, "does not speak HTTP");
        ends_fini(&ends);
}

static void bytes_that_nobody_asked_for_answer_no_question(void **state)
{
        struct ends ends;
        (void)state;
        ends_init(&ends, 60 * NS_PER_S);
        assert_int_equal(adminlink_ask(&ends.link, "/a"), 0);
        hear(&ends, "/a");
        say(&ends, ANSWER("mine") ANSWER("evil"), strlen(ANSWER("mine") ANSWER("evil")));
        assert_answered(&ends, "mine");
        ends_hang_up(&ends);
        assert_int_equal(adminlink_ask(&ends.link, "/b"), 0);
        hear(&ends, "/b");
        say(&ends, ANSWER("next"), strlen(ANSWER("next")));
        assert_answered(&ends, "next");
        ends_fini(&ends);
}

static void what_changes_something_is_asked_once_and_never_again(void **state)
{
        struct ends ends;
        int status;
        struct span body;
        (void)state;
        ends_init(&ends, 60 * NS_PER_S);
        assert_int_equal(adminlink_ask(&ends.link, "/a"), 0);
        hear(&ends, "/a");
        say(&ends, ANSWER("kept"), strlen(ANSWER("kept")));
        assert_answered(&ends, "kept");
        ends_hang_up(&ends); /* so a question to this connection would be asked again */
        assert_int_equal(adminlink_post(&ends.link, "/reload"), 0);
        hear_request(&ends, "POST", "/reload");
        ends_hang_up(&ends);
        assert_failed(&ends, -EPIPE, "closed the connection before it had answered");
        struct pollfd poller = {.fd = ends.listener, .events = POLLIN};
        assert_int_equal(poll(&poller, 1, 0), 0);
        assert_int_equal(adminlink_post(&ends.link, "/drain"), 0);
        hear_request(&ends, "POST", "/drain");
        say(&ends, ANSWER("done"), strlen(ANSWER("done")));
        assert_int_equal(adminlink_wait(&ends.link, &status, &body), 0);
        assert_true(span_equal(body, SPAN("done")));
        ends_fini(&ends);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(one_connection_serves_many_questions_however_answers_are_cut),
                cmocka_unit_test(a_connection_that_was_closed_meanwhile_is_replaced_once),
                cmocka_unit_test(who_closes_without_an_answer_is_not_asked_for_ever),
                cmocka_unit_test(silence_and_other_languages_are_told),
                cmocka_unit_test(bytes_that_nobody_asked_for_answer_no_question),
                cmocka_unit_test(what_changes_something_is_asked_once_and_never_again),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
