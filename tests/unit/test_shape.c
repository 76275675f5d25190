/* shape: the generator recognises exactly the frames it expects, and takes everything else apart at any cut. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "bench/shape.h"

#define PAYLOAD 24

/* Copies `span` so that the byte behind it cannot be read. */
static struct span against_the_wall(struct span span)
{
        static uint8_t *wall;
        size_t page = (size_t)sysconf(_SC_PAGESIZE);
        if (wall == NULL) {
                uint8_t *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
                assert_true(pages != MAP_FAILED);
                assert_int_equal(mprotect(pages + page, page, PROT_NONE), 0);
                wall = pages + page;
        }
        assert_true(span.size <= page);
        span_copy(wall - span.size, span);
        return span_of(wall - span.size, span.size);
}

static void shape_of(struct shape *shape, int which)
{
        if (which == 0)
                shape_delivery(shape, PROTOCOL_NATS, "bench.0000", "bench.0000", PAYLOAD);
        else if (which == 1)
                shape_delivery(shape, PROTOCOL_RESP, "bench.0000", "bench.0000", PAYLOAD);
        else if (which == 2)
                shape_delivery(shape, PROTOCOL_RESP, "bench.0000.x", "bench.0000.*", PAYLOAD);
        else
                shape_delivery(shape, PROTOCOL_MESSAGE, "bench.0000", "bench.0000", PAYLOAD);
}

static void a_frame_of_the_shape_matches_and_one_changed_header_byte_does_not(void **state)
{
        (void)state;
        for (int which = 0; which < 4; which++) {
                struct shape shape;
                uint8_t frame[512];
                shape_of(&shape, which);
                size_t size = shape_render(&shape, frame, 1);
                assert_int_equal(size, shape.frame_bytes);
                struct span whole = against_the_wall(span_of(frame, size));
                assert_true(shape_matches(&shape, whole.bytes));
                for (uint32_t i = 0; i < size; i++) {
                        frame[i] ^= 1;
                        assert_int_equal(shape_matches(&shape, frame), i >= shape.header_bytes);
                        frame[i] ^= 1;
                }
        }
}

static void the_slow_way_finds_the_same_message_at_every_cut(void **state)
{
        (void)state;
        for (int which = 0; which < 4; which++) {
                enum protocol protocol = which == 0 ? PROTOCOL_NATS : which == 3 ? PROTOCOL_MESSAGE : PROTOCOL_RESP;
                struct shape shape;
                struct unit unit;
                uint8_t frame[512];
                shape_of(&shape, which);
                size_t size = shape_render(&shape, frame, 1);
                for (size_t cut = 0; cut < size; cut++)
                        assert_int_equal(unit_take(protocol, against_the_wall(span_of(frame, cut)), &unit), 0);
                struct span whole = against_the_wall(span_of(frame, size));
                assert_int_equal(unit_take(protocol, whole, &unit), size);
                assert_int_equal(unit.kind, UNIT_MESSAGE);
                assert_true(span_equal(unit.body, span_of(whole.bytes + shape.header_bytes, PAYLOAD)));
                assert_true(protocol == PROTOCOL_MESSAGE || span_starts_with(unit.subject, SPAN("bench.0000")));
                assert_true(protocol != PROTOCOL_NATS || span_equal(unit.sid, SPAN("1")));
        }
}

static void every_line_of_a_server_is_known_at_every_cut(void **state)
{
        (void)state;
        static const struct {
                enum protocol protocol;
                const char *text;
                enum unit_kind kind;
        } rows[] = {
                {PROTOCOL_NATS, "INFO {\"server_id\":\"x\"}\r\n", UNIT_OTHER},
                {PROTOCOL_NATS, "+OK\r\n", UNIT_OTHER},
                {PROTOCOL_NATS, "PING\r\n", UNIT_PING},
                {PROTOCOL_NATS, "PONG\r\n", UNIT_PONG},
                {PROTOCOL_NATS, "-ERR 'Slow Consumer'\r\n", UNIT_ERROR},
                {PROTOCOL_NATS, "MSG a 1 _INBOX.b 2\r\nhi\r\n", UNIT_MESSAGE},
                {PROTOCOL_RESP, ":12\r\n", UNIT_OTHER},
                {PROTOCOL_HTTP, "HTTP/1.1 201 Created\r\nContent-Type: x\r\ncontent-length: 4\r\n\r\nbody", UNIT_OTHER},
                {PROTOCOL_HTTP, "HTTP/1.1 204 No Content\r\n\r\n", UNIT_OTHER},
                {PROTOCOL_HTTP, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", UNIT_ERROR},
                {PROTOCOL_RESP, "+PONG\r\n", UNIT_PONG},
                {PROTOCOL_RESP, "-ERR no\r\n", UNIT_ERROR},
                {PROTOCOL_RESP, "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n", UNIT_SUBSCRIBED},
                {PROTOCOL_RESP, "*3\r\n$10\r\npsubscribe\r\n$1\r\n*\r\n:1\r\n", UNIT_SUBSCRIBED},
        };
        for (size_t i = 0; i < array_count(rows); i++) {
                struct span text = span_of_text(rows[i].text);
                struct unit unit;
                for (size_t cut = 0; cut < text.size; cut++)
                        assert_int_equal(unit_take(rows[i].protocol, against_the_wall(span_of(text.bytes, cut)), &unit),
                                         0);
                assert_int_equal(unit_take(rows[i].protocol, against_the_wall(text), &unit), text.size);
                assert_int_equal(unit.kind, rows[i].kind);
        }
}

static void what_is_no_protocol_is_refused(void **state)
{
        (void)state;
        static const struct {
                enum protocol protocol;
                const char *text;
        } rows[] = {
                {PROTOCOL_NATS, "HTTP/1.1 400 Bad Request\r\n"},
                {PROTOCOL_NATS, "MSG a 2\r\nhi\r\n"},
                {PROTOCOL_NATS, "MSG a 1 x\r\nhi\r\n"},
                {PROTOCOL_NATS, "MSG a 1 2\r\nhiho\r\n"},
                {PROTOCOL_HTTP, "INFO {}\r\n"},
                {PROTOCOL_HTTP, "HTTP/1.1 200 OK\r\n\r\n"},
                {PROTOCOL_RESP, "INFO {}\r\n"},
                {PROTOCOL_RESP, "*99\r\n"},
                {PROTOCOL_RESP, "*1\r\n$-5\r\n"},
                {PROTOCOL_RESP, "\r\n"},
        };
        for (size_t i = 0; i < array_count(rows); i++) {
                struct unit unit;
                assert_int_equal(unit_take(rows[i].protocol, span_of_text(rows[i].text), &unit), -EPROTO);
        }
}

static void a_check_holds_until_a_bit_changes(void **state)
{
        (void)state;
        uint8_t payload[PAYLOAD];
        for (size_t i = 0; i < PAYLOAD; i++)
                payload[i] = (uint8_t)i;
        check_write(payload, PAYLOAD);
        assert_true(check_holds(payload, PAYLOAD));
        for (size_t bit = 0; bit < PAYLOAD * 8; bit++) {
                payload[bit / 8] ^= (uint8_t)(1 << bit % 8);
                assert_false(check_holds(payload, PAYLOAD));
                payload[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_frame_of_the_shape_matches_and_one_changed_header_byte_does_not),
                cmocka_unit_test(the_slow_way_finds_the_same_message_at_every_cut),
                cmocka_unit_test(every_line_of_a_server_is_known_at_every_cut),
                cmocka_unit_test(what_is_no_protocol_is_refused),
                cmocka_unit_test(a_check_holds_until_a_bit_changes),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
