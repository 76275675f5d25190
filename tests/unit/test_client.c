/* client: addresses as users write them, bytes of strangers on a terminal, and a server's words however they are cut.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/cli/adminlink.h"
#include "engine/cli/endpoint.h"
#include "engine/cli/escape.h"
#include "engine/cli/incoming.h"
#include "engine/cli/jsonview.h"
#include "engine/cli/lossview.h"
#include "engine/cli/natslink.h"
#include "engine/cli/statusview.h"
#include "engine/run.h"

#define PAGES_BYTES ((size_t)64 << 10)

/* ---- endpoint ---- */

static void an_address_is_read_as_users_write_it(void **state)
{
        static const struct {
                const char *text, *host, *port, *shown;
        } rows[] = {
                {"127.0.0.1:4223", "127.0.0.1", "4223", "127.0.0.1:4223"},
                {"localhost", "localhost", "4222", "localhost:4222"},
                {"nats://a.example:1/", "a.example", "1", "a.example:1"},
                {"nats://a.example", "a.example", "4222", "a.example:4222"},
                {"[::1]:65535", "::1", "65535", "[::1]:65535"},
                {"[::1]", "::1", "4222", "[::1]:4222"},
                {":5000", "127.0.0.1", "5000", "127.0.0.1:5000"},
                {"5000", "127.0.0.1", "5000", "127.0.0.1:5000"},
                {"h:00080", "h", "80", "h:80"},
        };
        (void)state;
        for (size_t i = 0; i < array_count(rows); i++) {
                struct endpoint endpoint;
                char error[ENDPOINT_ERROR_BYTES];
                assert_int_equal(endpoint_parse(&endpoint, rows[i].text, "nats://", "4222", error), 0);
                assert_false(endpoint.is_path);
                assert_string_equal(endpoint.host, rows[i].host);
                assert_string_equal(endpoint.port, rows[i].port);
                assert_string_equal(endpoint.text, rows[i].shown);
        }
}

static void a_unix_path_may_have_two_slashes_more(void **state)
{
        static const char *const texts[] = {"unix:/run/s", "unix:///run/s"};
        struct endpoint endpoint;
        char error[ENDPOINT_ERROR_BYTES], longest[5 + sizeof endpoint.path + 1];
        (void)state;
        for (size_t i = 0; i < array_count(texts); i++) {
                assert_int_equal(endpoint_parse(&endpoint, texts[i], "nats://", "4222", error), 0);
                assert_true(endpoint.is_path);
                assert_string_equal(endpoint.path, "/run/s");
                assert_string_equal(endpoint.text, "unix:/run/s");
        }
        memset(longest, 'x', sizeof longest);
        memcpy(longest, "unix:", 5);
        longest[5 + sizeof endpoint.path] = '\0';
        assert_int_equal(endpoint_parse(&endpoint, longest, "nats://", "4222", error), -EINVAL);
        longest[5 + sizeof endpoint.path - 1] = '\0';
        assert_int_equal(endpoint_parse(&endpoint, longest, "nats://", "4222", error), 0);
}

static void what_is_no_address_is_refused_in_one_line(void **state)
{
        static const char *const texts[] = {
                "",      "unix:",   "unix://",      "h:",         "h:0",     "h:65536",  "h:99999999999999999999",
                "h:4a",  "::1",     "a:1:2",        "[::1",       "[::1]x",  "[]:1",     "a b",
                "a,b",   "a/b",     "tls://h",      "http://h",   "nats://", "nats:///", "h:-1",
                "70000", "u:p@h:1", "nats://u:p@h", "two\nlines",
        };
        char huge[1000];
        (void)state;
        memset(huge, 'h', sizeof huge);
        huge[sizeof huge - 1] = '\0';
        for (size_t i = 0; i <= array_count(texts); i++) {
                struct endpoint endpoint;
                char error[ENDPOINT_ERROR_BYTES] = "";
                const char *text = i < array_count(texts) ? texts[i] : huge;
                assert_int_equal(endpoint_parse(&endpoint, text, "nats://", "4222", error), -EINVAL);
                assert_true(error[0] != '\0');
                assert_null(strchr(error, '\n'));
        }
}

/* ---- escape ---- */

static void assert_escaped(struct span text, const char *expected)
{
        char *out = NULL;
        size_t out_size = 0;
        FILE *file = open_memstream(&out, &out_size);
        assert_non_null(file);
        escape_print(file, text);
        fclose(file);
        assert_string_equal(out, expected);
        free(out);
}

static void printable_text_passes_and_the_rest_is_escaped(void **state)
{
        (void)state;
        assert_escaped(SPAN(""), "");
        assert_escaped(SPAN("plain {\"a\":1}"), "plain {\"a\":1}");
        assert_escaped(SPAN("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x8c\x8a"),
                       "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x8c\x8a");
        assert_escaped(SPAN("a\nb\r\tc\\"), "a\\nb\\r\\tc\\\\");
        assert_escaped(SPAN("\x1b[2J\x7f\0z"), "\\x1b[2J\\x7f\\x00z");
        assert_escaped(SPAN("\xc2\x9b"
                            "1m"),
                       "\\xc2\\x9b1m");
        assert_escaped(SPAN("\xe2\x80\xae"
                            "evil"),
                       "\\xe2\\x80\\xaeevil");
        assert_escaped(SPAN("\xff"
                            "a\xc3"),
                       "\\xffa\\xc3");
        assert_escaped(SPAN("\xed\xa0\x80\xc0\xaf"), "\\xed\\xa0\\x80\\xc0\\xaf");
}

static void every_byte_alone_gives_one_printable_line(void **state)
{
        (void)state;
        for (int byte = 0; byte < 256; byte++) {
                uint8_t text[1] = {(uint8_t)byte};
                char *out = NULL;
                size_t out_size = 0;
                FILE *file = open_memstream(&out, &out_size);
                escape_print(file, span_of(text, 1));
                fclose(file);
                assert_true(out_size >= 1 && out_size <= 4);
                for (size_t i = 0; i < out_size; i++)
                        assert_true(out[i] >= ' ' && out[i] <= '~');
                free(out);
        }
}

/* ---- incoming ---- */

/* Bytes that end at a page nobody may read. */
static struct span against_the_edge(uint8_t *pages, struct span text)
{
        uint8_t *at = pages + PAGES_BYTES - text.size;
        span_copy(at, text);
        return span_of(at, text.size);
}

static uint8_t *pages_new(void)
{
        uint8_t *pages = mmap(NULL, PAGES_BYTES + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        assert_true(pages != MAP_FAILED);
        assert_int_equal(mprotect(pages + PAGES_BYTES, 4096, PROT_NONE), 0);
        return pages;
}

static const struct {
        const char *text; /* none holds a 0 */
        enum incoming_kind kind;
        const char *subject, *sid, *reply, *headers, *payload, *argument;
} operations[] = {
        {"INFO {\"a\":1} \r\n", INCOMING_INFO, "", "", "", "", "", "{\"a\":1}"},
        {"PING\r\n", INCOMING_PING, "", "", "", "", "", ""},
        {"pong  \n", INCOMING_PONG, "", "", "", "", "", ""},
        {"+OK\r\n", INCOMING_OK, "", "", "", "", "", ""},
        {"-ERR 'Stale Connection'\r\n", INCOMING_ERROR, "", "", "", "", "", "Stale Connection"},
        {"-ERR bare\r\n", INCOMING_ERROR, "", "", "", "", "", "bare"},
        {"MSG a.b 7 5\r\nhel\nl\r\n", INCOMING_MESSAGE, "a.b", "7", "", "", "hel\nl", ""},
        {"MSG a.b 7 _INBOX.x 0\r\n\r\n", INCOMING_MESSAGE, "a.b", "7", "_INBOX.x", "", "", ""},
        {"msg\ta.b  7\tr 02\r\n\r\n\r\n", INCOMING_MESSAGE, "a.b", "7", "r", "", "\r\n", ""},
        {"HMSG a 1 18 20\r\nNATS/1.0\r\nK: v\r\n\r\nhi\r\n", INCOMING_MESSAGE, "a", "1", "", "NATS/1.0\r\nK: v\r\n\r\n",
         "hi", ""},
        {"HMSG a 1 r 16 16\r\nNATS/1.0 503\r\n\r\n\r\n", INCOMING_MESSAGE, "a", "1", "r", "NATS/1.0 503\r\n\r\n", "",
         ""},
};

static void assert_span(struct span span, const char *expected)
{
        assert_int_equal(span.size, strlen(expected));
        if (span.size > 0)
                assert_memory_equal(span.bytes, expected, span.size);
}

static void every_operation_is_incomplete_until_its_last_byte(void **state)
{
        uint8_t *pages = pages_new();
        (void)state;
        for (size_t i = 0; i < array_count(operations); i++) {
                struct incoming incoming;
                struct span text = span_of_text(operations[i].text);
                for (size_t size = 0; size < text.size; size++)
                        assert_int_equal(incoming_decode(against_the_edge(pages, span_of(text.bytes, size)), &incoming),
                                         0);
                assert_int_equal(incoming_decode(against_the_edge(pages, text), &incoming), text.size);
                assert_int_equal(incoming.kind, operations[i].kind);
                assert_span(incoming.subject, operations[i].subject);
                assert_span(incoming.sid, operations[i].sid);
                assert_span(incoming.reply, operations[i].reply);
                assert_span(incoming.headers, operations[i].headers);
                assert_span(incoming.payload, operations[i].payload);
                assert_span(incoming.argument, operations[i].argument);
        }
        munmap(pages, PAGES_BYTES + 4096);
}

static void what_is_not_nats_is_refused(void **state)
{
        static const struct {
                const char *text;
                ssize_t expected;
        } rows[] = {
                {"H", 0},
                {"HT", -EPROTO},
                {"PINGPONG\r\n", -EPROTO},
                {"\r\n", -EPROTO},
                {" PING\r\n", -EPROTO},
                {"MSG a 1\r\n", -EPROTO},
                {"MSG a 1 r x 3\r\nabc\r\n", -EPROTO},
                {"MSG a 1 r x y z 3\r\nabc\r\n", -EPROTO},
                {"MSG a 1 -3\r\nabc\r\n", -EPROTO},
                {"MSG a 1 3x\r\nabc\r\n", -EPROTO},
                {"MSG a 1 99999999999999999999999\r\n", -EPROTO},
                {"MSG a 1 1073741825\r\n", -EMSGSIZE},
                {"MSG a 1 3\r\nabcd\r\n", -EPROTO},
                {"MSG a 1 3\r\nabc\n\r", -EPROTO},
                {"HMSG a 1 4 3\r\nabc\r\n", -EPROTO},
                {"HMSG a 1 3\r\nabc\r\n", -EPROTO},
        };
        (void)state;
        for (size_t i = 0; i < array_count(rows); i++) {
                struct incoming incoming;
                assert_int_equal(incoming_decode(span_of_text(rows[i].text), &incoming), rows[i].expected);
        }
}

static void a_line_without_an_end_is_refused(void **state)
{
        struct incoming incoming;
        uint8_t *line = malloc(INCOMING_LINE_BYTES_MAX);
        (void)state;
        assert_non_null(line);
        memset(line, 'x', INCOMING_LINE_BYTES_MAX);
        memcpy(line, "INFO ", 5);
        assert_int_equal(incoming_decode(span_of(line, INCOMING_LINE_BYTES_MAX - 1), &incoming), 0);
        assert_int_equal(incoming_decode(span_of(line, INCOMING_LINE_BYTES_MAX), &incoming), -EMSGSIZE);
        free(line);
}

static void a_status_and_headers_are_read(void **state)
{
        struct span headers = SPAN("NATS/1.0 503 No\r\nK:  a: b \r\nEmpty:\r\n\r\n"), name, value;
        (void)state;
        assert_int_equal(incoming_status(headers), 503);
        assert_int_equal(incoming_status(SPAN("NATS/1.0\r\n\r\n")), 0);
        assert_int_equal(incoming_status(SPAN("NATS/1.0 5")), 0);
        assert_int_equal(incoming_status(SPAN_NONE), 0);
        assert_true(incoming_next_header(&headers, &name, &value));
        assert_span(name, "K");
        assert_span(value, "a: b");
        assert_true(incoming_next_header(&headers, &name, &value));
        assert_span(name, "Empty");
        assert_span(value, "");
        assert_false(incoming_next_header(&headers, &name, &value));
}

/* ---- natslink ---- */

/* A server that says its lines, each when it has heard what the line waits for, in pieces of `piece_bytes`; then it
 * reads until the client closes. */
struct line {
        const char *awaited, *said;
};

struct server {
        int listener;
        const struct line *lines;
        size_t lines_count, piece_bytes;
        char heard[4096]; /* always terminated */
        size_t heard_size;
        pthread_t thread;
};

static void server_say(const struct server *server, int conn, struct span text)
{
        while (text.size > 0) {
                size_t size = text.size < server->piece_bytes ? text.size : server->piece_bytes;
                send(conn, text.bytes, size, MSG_NOSIGNAL);
                text = span_skip(text, size);
                usleep(100);
        }
}

static bool server_hear(struct server *server, int conn)
{
        ssize_t size = recv(conn, server->heard + server->heard_size, sizeof server->heard - 1 - server->heard_size, 0);
        server->heard_size += size > 0 ? (size_t)size : 0;
        return size > 0;
}

static void *server_run(void *argument)
{
        struct server *server = argument;
        int conn = accept(server->listener, NULL, NULL);
        for (size_t i = 0; i < server->lines_count; i++) {
                while (strstr(server->heard, server->lines[i].awaited) == NULL && server_hear(server, conn))
                        ;
                server_say(server, conn, span_of_text(server->lines[i].said));
        }
        shutdown(conn, SHUT_WR);
        while (server_hear(server, conn))
                ;
        close(conn);
        return NULL;
}

static void server_start(struct server *server, struct endpoint *endpoint, const struct line *lines, size_t lines_count,
                         size_t piece_bytes)
{
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t address_bytes = sizeof address;
        char text[64], error[ENDPOINT_ERROR_BYTES];
        *server = (struct server){.lines = lines, .lines_count = lines_count, .piece_bytes = piece_bytes};
        server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(server->listener, (struct sockaddr *)&address, sizeof address), 0);
        assert_int_equal(listen(server->listener, 1), 0);
        assert_int_equal(getsockname(server->listener, (struct sockaddr *)&address, &address_bytes), 0);
        snprintf(text, sizeof text, "127.0.0.1:%d", ntohs(address.sin_port));
        assert_int_equal(endpoint_parse(endpoint, text, "nats://", "4222", error), 0);
        assert_int_equal(pthread_create(&server->thread, NULL, server_run, server), 0);
}

static void server_end(struct server *server)
{
        pthread_join(server->thread, NULL);
        close(server->listener);
}

static void a_link_hears_messages_and_answers_pings_in_any_split(void **state)
{
        static const size_t pieces[] = {1, 2, 7, 10000};
        static const struct line lines[] = {
                {"", "INFO {\"version\":\"1\",\"headers\":true,\"max_payload\":99}\r\n"},
                {"PING\r\n", "PONG\r\n"},
                {"SUB a 1\r\n", "PING\r\nMSG a 1 2\r\nhi\r\n"},
                {"PONG\r\n", "-ERR 'Invalid Subject'\r\n"},
        };
        (void)state;
        for (size_t i = 0; i < array_count(pieces); i++) {
                struct server server;
                struct endpoint endpoint;
                struct natslink link;
                struct incoming message;
                bool got = false;
                server_start(&server, &endpoint, lines, array_count(lines), pieces[i]);
                assert_int_equal(natslink_open(&link, &endpoint, "test", NULL, 5 * NS_PER_S), EXIT_OK);
                assert_true(link.takes_headers);
                assert_int_equal(link.payload_bytes_max, 99);
                natslink_write(&link, SPAN("SUB a 1\r\n"));
                while (!got) {
                        assert_int_equal(natslink_take(&link, &message, &got), EXIT_OK);
                        if (!got)
                                assert_true(natslink_wait(&link, -1, clock_monotonic_ns() + 5 * NS_PER_S) != 0);
                }
                assert_span(message.subject, "a");
                assert_span(message.payload, "hi");
                int code;
                while ((code = natslink_take(&link, &message, &got)) == EXIT_OK)
                        natslink_wait(&link, -1, clock_monotonic_ns() + 5 * NS_PER_S);
                assert_int_equal(code, EXIT_FAILED);
                assert_non_null(strstr(link.error, "Invalid Subject"));
                natslink_close(&link);
                server_end(&server);
                assert_ptr_equal(strstr(server.heard, "CONNECT {"), server.heard);
                assert_non_null(strstr(server.heard, "\r\nPING\r\nSUB a 1\r\nPONG\r\n"));
        }
}

static void a_link_says_why_it_cannot_open(void **state)
{
        static const struct {
                const char *script;
                int code;
                const char *word;
        } rows[] = {
                {"", EXIT_UNREACHABLE, "is it a NATS address"},
                {"HTTP/1.1 400 Bad Request\r\n\r\n", EXIT_FAILED, "not NATS"},
                {"INFO {\r\n", EXIT_FAILED, "INFO"},
                {"INFO {\"tls_required\":true}\r\n", EXIT_FAILED, "TLS"},
                {"INFO {}\r\n", EXIT_UNREACHABLE, "closed"},
                {"INFO {\"ldm\":true}\r\n", EXIT_UNREACHABLE, "shutting down"},
                {"INFO {}\r\n-ERR 'Authorization Violation'\r\n", EXIT_FAILED, "SPATE_PASSWORD"},
        };
        (void)state;
        for (size_t i = 0; i < array_count(rows); i++) {
                struct server server;
                struct endpoint endpoint;
                struct natslink link;
                const struct line line = {"", rows[i].script};
                server_start(&server, &endpoint, &line, 1, 10000);
                assert_int_equal(natslink_open(&link, &endpoint, "test", NULL, 5 * NS_PER_S), rows[i].code);
                assert_non_null(strstr(link.error, rows[i].word));
                natslink_close(&link);
                server_end(&server);
        }
}

/* ---- status ---- */

static void an_answer_is_whole_with_its_last_byte(void **state)
{
        struct span text = SPAN("HTTP/1.1 200 OK\r\nX: y\r\ncontent-LENGTH: 4\r\n\r\nbody"), body;
        uint8_t *pages = pages_new();
        int status;
        (void)state;
        for (size_t size = 0; size < text.size; size++)
                assert_int_equal(adminlink_body(against_the_edge(pages, span_of(text.bytes, size)), size % 2 == 0,
                                                &status, &body),
                                 0);
        assert_int_equal(adminlink_body(against_the_edge(pages, text), false, &status, &body), 1);
        assert_int_equal(status, 200);
        assert_span(body, "body");
        text = SPAN("HTTP/1.0 404 No\r\n\r\nuntil the end");
        assert_int_equal(adminlink_body(text, false, &status, &body), 0);
        assert_int_equal(adminlink_body(text, true, &status, &body), 1);
        assert_int_equal(status, 404);
        assert_span(body, "until the end");
        assert_int_equal(adminlink_body(SPAN("INFO {}"), false, &status, &body), -EPROTO);
        assert_int_equal(adminlink_body(SPAN("HTTP/1.1 x00 OK\r\n\r\n"), false, &status, &body), -EPROTO);
        assert_int_equal(adminlink_body(SPAN("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"), false, &status, &body),
                         -EPROTO);
        munmap(pages, PAGES_BYTES + 4096);
}

static void assert_json(const char *json, const char *expected)
{
        char *out = NULL;
        size_t out_size = 0;
        FILE *file = open_memstream(&out, &out_size);
        assert_int_equal(jsonview_print(file, span_of_text(json)), expected == NULL ? -EPROTO : 0);
        fclose(file);
        assert_string_equal(out, expected == NULL ? "" : expected);
        free(out);
}

static void json_with_a_nul_behind_a_number_is_none(void **state)
{
        static const char json[] = "[1\0,2]";
        char *out = NULL;
        size_t out_size = 0;
        FILE *file = open_memstream(&out, &out_size);
        (void)state;
        assert_int_equal(jsonview_print(file, span_of(json, sizeof json - 1)), -EPROTO);
        fclose(file);
        assert_int_equal(out_size, 0);
        free(out);
}

static void json_is_laid_out_and_otherwise_left_as_it_is(void **state)
{
        (void)state;
        assert_json(
                "{\"a\":1.50,\"b\":[],\"c\":{ },\"d\":[1,{\"e\":null}]}\n",
                "{\n  \"a\": 1.50,\n  \"b\": [],\n  \"c\": {},\n  \"d\": [\n    1,\n    {\n      \"e\": null\n    }\n"
                "  ]\n}\n");
        assert_json("[\"a,b:{}\\\" [\\\\\", \"\", true]", "[\n  \"a,b:{}\\\" [\\\\\",\n  \"\",\n  true\n]\n");
        assert_json("[\"gr\xc3\xbc\xc3\x9f \x7f\xc2\x9b\xe2\x80\xae\\u001b\"]",
                    "[\n  \"gr\xc3\xbc\xc3\x9f \\u007f\\u009b\\u202e\\u001b\"\n]\n");
        assert_json("{\"a\":}", NULL);
        assert_json("", NULL);
        assert_json("[\"\xff\"]", NULL);
}

static void a_status_is_shown_as_a_table(void **state)
{
        char *out = NULL;
        size_t out_size = 0;
        FILE *file = open_memstream(&out, &out_size);
        (void)state;
        assert_int_equal(statusview_print(file, SPAN("[]")), -EPROTO);
        assert_int_equal(statusview_print(file, SPAN("{\"counters\":")), -EPROTO);
        assert_int_equal(
                statusview_print(
                        file,
                        SPAN("{\"version\":\"1.2\\u001b\",\"uptime_seconds\":3725.5,\"draining\":true,\"pid\":42,"
                             "\"backend\":{\"name\":"
                             "\"epoll\",\"reason\":\"asked for\",\"features\":[{\"name\":\"zero "
                             "copy\",\"kernel\":\"6.0\","
                             "\"present\":false,\"fallback\":\"copies\"},{\"name\":\"poll\",\"kernel\":\"5."
                             "1\",\"present\":true}]},"
                             "\"counters\":{\"events_received{protocol=\\\"nats\\\"}\":3,\"events_received{"
                             "protocol=\\\"udp\\\"}\":4,"
                             "\"event_bytes_received\":2048,\"connections_closed{reason=\\\"peer\\\"}\":5,"
                             "\"connections_closed{reason=\\\"slow_consumer\\\"}\":0,\"connections\":2},\"reactors\":[{"
                             "\"number\":0,\"turns\":1},"
                             "{\"number\":1,\"cpu\":3,\"connections\":2,\"subscriptions\":7,\"memory_used_bytes\":"
                             "1536,\"memory_limit_bytes\":1048576,\"watermark\":2},{\"number\":2,\"cpu\":null,"
                             "\"memory_limit_bytes\":1,\"watermark\":-9}]}")),
                0);
        fclose(file);
        assert_string_equal(out, "version        1.2\\x1b\n"
                                 "uptime         1h 2m 5s, draining\n"
                                 "process        42\n"
                                 "backend        epoll: asked for\n"
                                 "  absent       zero copy (kernel 6.0); instead: copies\n"
                                 "connections    2 open, 0 of them clients, 0 accepted\n"
                                 "  closed       5: 5 peer\n"
                                 "subscriptions  0 to 0 patterns\n"
                                 "cohorts        0 with 0 members\n"
                                 "events         7 received, 2.0 KiB, 0 without a subscriber\n"
                                 "deliveries     0 matched, 0 dropped\n"
                                 "memory         0 bytes of 0 bytes for events, 0 bytes of heap\n"
                                 "  reactor 1    on CPU 3: 2 connections, 7 subscriptions, 1.5 KiB of 1.0 MiB for "
                                 "events, memory is short: nobody new\n"
                                 "  reactor 2    0 connections, 0 subscriptions, 0 bytes of 1 bytes for events\n");
        free(out);
}

/* ---- losses ---- */

static void losses_are_shown_newest_first_and_add_up(void **state)
{
        static const char json[] =
                "{\"reactors\":[{\"matched\":1000,\"released\":200,\"dropped\":{\"slow_consumer\":790},\"pending\":10,"
                "\"rows_forgotten\":0,\"losses\":[{\"at\":\"T1\",\"seconds_ago\":7300,\"connection\":4,\"protocol\":"
                "\"nats\",\"address\":\"10.0.0.1:5\",\"user\":\"\",\"name\":\"a\\u001b\\u00fc\",\"reason\":"
                "\"slow_consumer\",\"count\":790,\"first_subject\":\"x.1\",\"last_subject\":\"x.9\"}]},"
                "{\"matched\":1234567,\"released\":1234565,\"dropped\":{\"transport_error\":2},\"pending\":0,"
                "\"rows_forgotten\":3,\"losses\":[{\"at\":\"T2\",\"seconds_ago\":2.5,\"connection\":5,\"protocol\":"
                "\"nats\",\"address\":\"unix\",\"user\":\"u\",\"name\":\"\",\"reason\":\"transport_error\",\"count\":"
                "1,\"first_subject\":\"y\",\"last_subject\":\"y\"},{\"at\":\"T0\",\"seconds_ago\":200,\"connection\":5,"
                "\"protocol\":\"nats\",\"address\":\"unix\",\"reason\":\"transport_error\",\"count\":1,"
                "\"first_subject\":null,\"last_subject\":null}]}]}";
        static const char *const wrong[] = {"", "[]", "{", "{\"reactors\":7}"};
        char *out = NULL;
        size_t out_size = 0;
        FILE *file = open_memstream(&out, &out_size);
        (void)state;
        for (size_t i = 0; i < array_count(wrong); i++)
                assert_int_equal(lossview_print(file, span_of_text(wrong[i])), -EPROTO);
        assert_int_equal(lossview_print(file, SPAN("{\"reactors\":[3,{\"losses\":[{}]},{\"losses\":[]}]}")), 0);
        rewind(file);
        assert_int_equal(lossview_print(file, span_of_text(json)), 0);
        fclose(file);
        assert_string_equal(out,
                            "WHEN         LOST  WHY              WHO                        WHICH\n"
                            "T2 (2s ago)     1  transport_error  u unix #5 nats             y\n"
                            "T0 (3m ago)     1  transport_error  unix #5 nats               \n"
                            "T1 (2h ago)   790  slow_consumer    a\\x1b\xc3\xbc 10.0.0.1:5 #4 nats  x.1 to x.9\n"
                            "\n"
                            "1 235 567 deliveries owed since the start = 1 234 765 made + 792 lost + 10 on their way\n"
                            "  slow_consumer   790: the subscriber fell too far behind, or took nothing for too long\n"
                            "  transport_error 2: the connection closed or broke before the subscriber took it\n"
                            "older losses are counted above and no longer listed: 3 lines\n");
        free(out);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(an_address_is_read_as_users_write_it),
                cmocka_unit_test(a_unix_path_may_have_two_slashes_more),
                cmocka_unit_test(what_is_no_address_is_refused_in_one_line),
                cmocka_unit_test(printable_text_passes_and_the_rest_is_escaped),
                cmocka_unit_test(every_byte_alone_gives_one_printable_line),
                cmocka_unit_test(every_operation_is_incomplete_until_its_last_byte),
                cmocka_unit_test(what_is_not_nats_is_refused),
                cmocka_unit_test(a_line_without_an_end_is_refused),
                cmocka_unit_test(a_status_and_headers_are_read),
                cmocka_unit_test(a_link_hears_messages_and_answers_pings_in_any_split),
                cmocka_unit_test(a_link_says_why_it_cannot_open),
                cmocka_unit_test(an_answer_is_whole_with_its_last_byte),
                cmocka_unit_test(json_is_laid_out_and_otherwise_left_as_it_is),
                cmocka_unit_test(json_with_a_nul_behind_a_number_is_none),
                cmocka_unit_test(a_status_is_shown_as_a_table),
                cmocka_unit_test(losses_are_shown_newest_first_and_add_up),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
