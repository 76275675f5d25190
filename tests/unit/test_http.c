/* http: request heads whole and cut at every byte, against an unreadable page. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "io/wire/http.h"

#define BYTES_MAX 8192

/* Text whose end lies in front of a page that cannot be read. */
static uint8_t *edge;

static struct span at_the_edge(const char *text, size_t size)
{
        memcpy(edge - size, text, size);
        return span_of(edge - size, size);
}

static int begin(void **state)
{
        (void)state;
        size_t page = (size_t)sysconf(_SC_PAGESIZE);
        uint8_t *pages = mmap(NULL, 4 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (pages == MAP_FAILED || mprotect(pages + 3 * page, page, PROT_NONE) != 0)
                return -1;
        edge = pages + 3 * page;
        return 0;
}

static void a_request_tells_what_was_asked_and_by_which_name(void **state)
{
        (void)state;
        static const char text[] = "POST /reload?a=b&c HTTP/1.1\r\nhost:  localhost:8222 \r\nX: y\r\n"
                                   "SPATE-ADMIN: yes\r\nContent-Length: 0\r\n\r\n";
        struct http_request request;
        for (size_t size = 0; size < sizeof text - 1; size++)
                assert_int_equal(http_decode_request(at_the_edge(text, size), BYTES_MAX, &request), 0);
        assert_int_equal(http_decode_request(at_the_edge(text, sizeof text - 1), BYTES_MAX, &request), sizeof text - 1);
        assert_true(span_equal(request.path, SPAN("/reload")));
        assert_true(span_equal(request.query, SPAN("a=b&c")));
        assert_true(span_equal(request.host, SPAN("localhost:8222")));
        assert_true(span_equal(request.admin, SPAN("yes")));
        assert_true(request.is_post && !request.is_get && !request.is_head && request.keep_alive);
}

static void what_was_not_sent_is_empty(void **state)
{
        (void)state;
        static const char text[] = "GET / HTTP/1.0\r\n\r\nGET /next";
        struct http_request request;
        ssize_t size = http_decode_request(at_the_edge(text, sizeof text - 1), BYTES_MAX, &request);
        assert_int_equal(size, sizeof text - 1 - strlen("GET /next"));
        assert_int_equal(request.host.size, 0);
        assert_int_equal(request.admin.size, 0);
        assert_int_equal(request.query.size, 0);
        assert_true(request.is_get && !request.is_post && !request.keep_alive);
}

static void doubtful_requests_are_refused(void **state)
{
        (void)state;
        static const char *const wrong[] = {
                "GET / HTTP/1.1\r\n\r\n",
                "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx",
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                "GET / HTTP/1.1\r\nHost: a\r\nSpate-Admin: y\r\n es\r\n\r\n",
                "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
                "GET / HTTP/1.1\r\nHost: a\r\nX-Any : a\r\n\r\n",
                "GET / HTTP/1.1\r\nHost: a\r\nX Any: a\r\n\r\n",
                "GET / HTTP/1.1\r\nHost: a\r\n: a\r\n\r\n",
                "nonsense\r\n\r\n",
                /* The empty line: a byte behind a bare CR would be gone, and a bare LF is another end for others. */
                "GET / HTTP/1.1\r\nHost: a\r\n\rGET / HTTP/1.1\r\n\r\n",
                "GET / HTTP/1.1\r\nHost: a\r\n\n",
        };
        struct http_request request;
        for (size_t i = 0; i < array_count(wrong); i++)
                if (http_decode_request(at_the_edge(wrong[i], strlen(wrong[i])), BYTES_MAX, &request) != -EPROTO)
                        fail_msg("taken: %s", wrong[i]);
        assert_int_equal(http_decode_request(at_the_edge("GET / HTTP/1.1\r\nHost: a", 23), 20, &request), -EMSGSIZE);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_request_tells_what_was_asked_and_by_which_name),
                cmocka_unit_test(what_was_not_sent_is_empty),
                cmocka_unit_test(doubtful_requests_are_refused),
        };
        return cmocka_run_group_tests(tests, begin, NULL);
}
