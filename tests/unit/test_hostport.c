/* hostport: what is cut where. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/base/hostport.h"

static void an_address_is_cut_at_its_last_colon(void **state)
{
        (void)state;
        static const struct {
                const char *text, *host;
                uint16_t port;
                bool is_bracketed;
        } rows[] = {
                {"127.0.0.1:4222", "127.0.0.1", 4222, false},
                {"[::1]:65535", "::1", 65535, true},
                {"[fe80::1%eth0]:1", "fe80::1%eth0", 1, true},
                {"localhost:0", "localhost", 0, false},
                {":80", "", 80, false},
                {"[]:80", "", 80, true},
                {"[:80", "[", 80, false},
                /* No port: all of it is host. */
                {"", "", 0, false},
                {"unix", "unix", 0, false},
                {"unix:/run/spate.sock", "unix:/run/spate.sock", 0, false},
                {"127.0.0.1:", "127.0.0.1:", 0, false},
                {"127.0.0.1:65536", "127.0.0.1:65536", 0, false},
                {"127.0.0.1:99999999999999999999", "127.0.0.1:99999999999999999999", 0, false},
                {"127.0.0.1:-1", "127.0.0.1:-1", 0, false},
                {"127.0.0.1:4222x", "127.0.0.1:4222x", 0, false},
        };
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                struct hostport parts = hostport_of(span_of_text(rows[i].text));
                assert_true(span_equal(parts.host, span_of_text(rows[i].host)));
                assert_int_equal(parts.port, rows[i].port);
                assert_int_equal(parts.is_bracketed, rows[i].is_bracketed);
        }
        assert_int_equal(hostport_of(SPAN_NONE).host.size, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(an_address_is_cut_at_its_last_colon),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
