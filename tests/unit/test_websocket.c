/* websocket: frames and handshakes as RFC 6455 has them are taken at any cut, and everything else is named. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "bench/websocket.h"

#define KEY "dGhlIHNhbXBsZSBub25jZQ=="

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

static void the_example_of_the_rfc_is_accepted_at_any_cut(void **state)
{
        (void)state;
        static const char answer[] = "HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\n"
                                     "CONNECTION: keep-alive, Upgrade\r\n"
                                     "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nrest";
        char why[WEBSOCKET_WHY_BYTES];
        size_t head = strlen(answer) - strlen("rest");
        for (size_t cut = 0; cut <= strlen(answer); cut++) {
                ssize_t taken = websocket_answer_take(against_the_wall(span_of(answer, cut)), KEY, why);
                assert_int_equal(taken, cut < head ? 0 : head);
        }
        char key[WEBSOCKET_KEY_BYTES], other[WEBSOCKET_KEY_BYTES];
        websocket_key_draw(key);
        websocket_key_draw(other);
        assert_int_equal(strlen(key), WEBSOCKET_KEY_BYTES - 1);
        assert_string_not_equal(key, other);
}

static void a_handshake_that_is_no_good_is_named(void **state)
{
        (void)state;
#define GOOD "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
#define ACCEPT "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
        static const struct {
                const char *answer, *why;
        } rows[] = {
                {"INFO {}\r\n", "as an HTTP server: INFO {}??"},
                {"HTTP/1.1 404 Not Found\r\n\r\n", "does not switch to WebSocket: HTTP/1.1 404 Not Found"},
                {"HTTP/1.1 101 X\r\nConnection: Upgrade\r\n" ACCEPT "\r\n", "'Upgrade: websocket'"},
                {"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: close\r\n" ACCEPT "\r\n",
                 "'Connection: Upgrade'"},
                {GOOD "\r\n", "no Sec-WebSocket-Accept"},
                {GOOD "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOp=\r\n\r\n", "not that of our key"},
                {GOOD ACCEPT "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n", "an extension"},
                {GOOD ACCEPT "Sec-WebSocket-Protocol: chat\r\n\r\n", "a subprotocol"},
        };
        for (size_t i = 0; i < array_count(rows); i++) {
                char why[WEBSOCKET_WHY_BYTES] = "";
                struct span answer = against_the_wall(span_of_text(rows[i].answer));
                assert_int_equal(websocket_answer_take(answer, KEY, why), -EPROTO);
                if (strstr(why, rows[i].why) == NULL)
                        fail_msg("'%s' does not say '%s'", why, rows[i].why);
        }
}

static void a_header_is_taken_at_any_cut_whatever_its_length(void **state)
{
        (void)state;
        static const uint64_t lengths[] = {0, 1, 125, 126, 127, 65535, 65536, WEBSOCKET_FRAME_BYTES_MAX};
        for (size_t i = 0; i < array_count(lengths); i++) {
                uint8_t bytes[WEBSOCKET_HEADER_BYTES_MAX];
                struct websocket_frame frame;
                const char *why = NULL;
                size_t size = websocket_header_write(bytes, WEBSOCKET_BINARY, lengths[i], false);
                for (size_t cut = 0; cut < size; cut++)
                        assert_int_equal(websocket_header_take(against_the_wall(span_of(bytes, cut)), &frame, &why), 0);
                assert_int_equal(websocket_header_take(against_the_wall(span_of(bytes, size)), &frame, &why), size);
                assert_int_equal(frame.payload_bytes, lengths[i]);
                assert_int_equal(frame.opcode, WEBSOCKET_BINARY);
                assert_true(frame.is_last);
                assert_null(why);
        }
}

static void a_header_against_the_rules_is_named(void **state)
{
        (void)state;
        const struct {
                struct span bytes;
                int error;
                const char *why;
        } rows[] = {
                {SPAN("\xc2\x01"), -EPROTO, "reserved bit"},
                {SPAN("\x83"), -EPROTO, "reserved opcode"},
                {SPAN("\x8b\x00"), -EPROTO, "reserved opcode"},
                {SPAN("\x82\x81"), -EPROTO, "masked"},
                {SPAN("\x89\x7e"), -EPROTO, "control frame"},
                {SPAN("\x09\x01"), -EPROTO, "control frame"},
                {SPAN("\x82\x7f\0\0\0\0\x04\0\0\1"), -EMSGSIZE, "64 MiB"},
                {SPAN("\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff"), -EMSGSIZE, "64 MiB"},
        };
        for (size_t i = 0; i < array_count(rows); i++) {
                struct websocket_frame frame;
                const char *why = NULL;
                assert_int_equal(websocket_header_take(against_the_wall(rows[i].bytes), &frame, &why), rows[i].error);
                assert_non_null(why);
                assert_non_null(strstr(why, rows[i].why));
        }
}

static void what_is_masked_is_what_it_was_when_masked_again(void **state)
{
        (void)state;
        /* 5.7: a masked "Hello" */
        uint8_t hello[] = "\x7f\x9f\x4d\x51\x58";
        websocket_mask(hello, 5, (const uint8_t *)"\x37\xfa\x21\x3d");
        assert_memory_equal(hello, "Hello", 5);
        for (size_t size = 0; size < 40; size++) {
                uint8_t text[WEBSOCKET_HEADER_BYTES_MAX + 40], plain[40];
                for (size_t i = 0; i < size; i++)
                        plain[i] = (uint8_t)(i * 7);
                size_t whole = websocket_frame_write(text, WEBSOCKET_TEXT, span_of(plain, size));
                assert_int_equal(whole, 6 + size);
                assert_int_equal(text[0], 0x81);
                assert_int_equal(text[1], 0x80 | size);
                for (size_t i = 0; i < size; i++)
                        assert_int_equal(text[6 + i] ^ text[2 + i % 4], plain[i]);
        }
}

/* Frames of all kinds, cut in two at every byte: the stream is the same, and so are the control frames. */
static void a_stream_comes_out_of_its_frames_at_any_cut(void **state)
{
        (void)state;
        static const char wire[] = "\x82\x05Hello"
                                   "\x89\x04ping"
                                   "\x02\x01,"
                                   "\x8a\x00"
                                   "\x00\x00"
                                   "\x80\x06 world"
                                   "\x82\x00"
                                   "\x81\x7e\x00\x03!!!"
                                   "\x88\x04\x03\xe8ok";
        const size_t size = sizeof(wire) - 1;
        for (size_t cut = 0; cut <= size; cut++) {
                struct websocket websocket = {0};
                uint8_t bytes[sizeof(wire)], stream[sizeof(wire)];
                size_t stream_bytes = 0, controls = 0, at = 0;
                char control_text[64] = "";
                memcpy(bytes, wire, size);
                while (at < size) {
                        struct websocket_frame control;
                        struct span body;
                        const char *why = NULL;
                        size_t taken = 0;
                        size_t end = at < cut ? cut : size;
                        ssize_t kept =
                                websocket_unframe(&websocket, bytes + at, end - at, &taken, &control, &body, &why);
                        assert_true(kept >= 0);
                        memcpy(stream + stream_bytes, bytes + at, (size_t)kept);
                        stream_bytes += (size_t)kept;
                        at += taken;
                        if (control.opcode != WEBSOCKET_CONTINUATION) {
                                controls++;
                                strncat(control_text, (const char *)body.bytes, body.size);
                        }
                }
                assert_int_equal(stream_bytes, strlen("Hello, world!!!"));
                assert_memory_equal(stream, "Hello, world!!!", stream_bytes);
                assert_int_equal(controls, 3);
                assert_string_equal(control_text, "ping\x03\xe8ok");
                assert_int_equal(websocket.left_bytes + websocket.held_bytes, 0);
        }
}

static void messages_do_not_begin_within_others_nor_go_on_from_nowhere(void **state)
{
        (void)state;
        const struct {
                struct span wire;
                const char *why;
        } rows[] = {{SPAN("\x80\x01x"), "not begun"}, {SPAN("\x02\x01x\x82\x01y"), "within another"}};
        for (size_t i = 0; i < array_count(rows); i++) {
                struct websocket websocket = {0};
                struct websocket_frame control;
                struct span body;
                const char *why = NULL;
                uint8_t bytes[16];
                size_t taken;
                span_copy(bytes, rows[i].wire);
                assert_int_equal(websocket_unframe(&websocket, bytes, rows[i].wire.size, &taken, &control, &body, &why),
                                 -EPROTO);
                assert_non_null(strstr(why, rows[i].why));
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_example_of_the_rfc_is_accepted_at_any_cut),
                cmocka_unit_test(a_handshake_that_is_no_good_is_named),
                cmocka_unit_test(a_header_is_taken_at_any_cut_whatever_its_length),
                cmocka_unit_test(a_header_against_the_rules_is_named),
                cmocka_unit_test(what_is_masked_is_what_it_was_when_masked_again),
                cmocka_unit_test(a_stream_comes_out_of_its_frames_at_any_cut),
                cmocka_unit_test(messages_do_not_begin_within_others_nor_go_on_from_nowhere),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
