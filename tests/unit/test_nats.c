/* nats: what a client may say, what it may not and what it hears then, at whatever byte its words are cut. The answers
 * in the tables are those of nats-server 2.9.10 on the wire, except where a row says otherwise. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "io/wire/nats.h"
#include "tests/guard.h"
#include "tests/seeded.h"

#define GUARD_BYTES (64 * 1024)

static const struct nats_limits limits = {
        .control_line_bytes_max = 4096, .payload_bytes_max = 1 << 20, .headers = true};

static struct guard guard;

static ssize_t decode(struct span text, struct nats_operation *operation)
{
        return nats_decode(guard_span(&guard, text), &limits, operation);
}

static void assert_span(struct span span, struct span expected)
{
        if (!span_equal(span, expected))
                fail_msg("got '%.*s', not '%.*s'", (int)span.size, (const char *)span.bytes, (int)expected.size,
                         (const char *)expected.bytes);
}

/* ---- what is legal ---- */

struct legal {
        struct span text;
        struct nats_operation operation;
};

static void put_legal(const struct legal *row)
{
        struct nats_operation operation;
        ssize_t size = decode(row->text, &operation);
        if (size != (ssize_t)row->text.size)
                fail_msg("%zd bytes taken of '%.*s'", size, (int)row->text.size, (const char *)row->text.bytes);
        assert_int_equal(operation.kind, row->operation.kind);
        assert_int_equal(operation.fault, NATS_FAULT_NONE);
        assert_int_equal(operation.has_headers, row->operation.has_headers);
        assert_span(operation.event.subject, row->operation.event.subject);
        assert_span(operation.event.reply, row->operation.event.reply);
        assert_span(operation.event.headers, row->operation.event.headers);
        assert_span(operation.event.payload, row->operation.event.payload);
        assert_span(operation.subject, row->operation.subject);
        assert_span(operation.queue, row->operation.queue);
        assert_span(operation.sid, row->operation.sid);
        assert_span(operation.argument, row->operation.argument);
        assert_int_equal(operation.max, row->operation.max);
}

#define PUB(...)                                                                                                       \
        {                                                                                                              \
                .kind = NATS_PUB, .event = { __VA_ARGS__ }                                                             \
        }
#define HPUB(...)                                                                                                      \
        {                                                                                                              \
                .kind = NATS_PUB, .has_headers = true, .event = { __VA_ARGS__ }                                        \
        }

static size_t legal_rows(const struct legal **rows)
{
        static struct legal table[64];
        size_t count = 0;
#define ROW(line, ...) table[count++] = (struct legal){SPAN(line), __VA_ARGS__}
        ROW("PING\r\n", {.kind = NATS_PING});
        ROW("PING\n", {.kind = NATS_PING});
        ROW("pInG\r\n", {.kind = NATS_PING});
        ROW("PING  \r  \n", {.kind = NATS_PING});
        ROW("PING junk\r\n", {.kind = NATS_PING});
        ROW("PINGPING\r\n", {.kind = NATS_PING});
        ROW("PING\0\xff\n", {.kind = NATS_PING});
        ROW("PONG\r\n", {.kind = NATS_PONG});
        ROW("pong  \r  \n", {.kind = NATS_PONG});
        ROW("+OK\r\n", {.kind = NATS_OK});
        ROW("+okjunk\n", {.kind = NATS_OK});
        ROW("-ERR 'Stale Connection'\r\n", {.kind = NATS_ERR, .argument = SPAN("'Stale Connection'")});
        ROW("-err \r\n", {.kind = NATS_ERR});
        ROW("INFO {}\r\n", {.kind = NATS_INFO, .argument = SPAN("{}")});
        ROW("INFO{}\r\n", {.kind = NATS_INFO, .argument = SPAN("{}")});
        ROW("CONNECT {\"verbose\":false}\r\n", {.kind = NATS_CONNECT, .argument = SPAN("{\"verbose\":false}")});
        ROW("CONNECT{}\r\n", {.kind = NATS_CONNECT, .argument = SPAN("{}")});
        ROW("connect \t {} \n", {.kind = NATS_CONNECT, .argument = SPAN("{} ")});
        ROW("PUB foo 2\r\nok\r\n", PUB(.subject = SPAN("foo"), .payload = SPAN("ok")));
        ROW("pub foo 2\nok\r\n", PUB(.subject = SPAN("foo"), .payload = SPAN("ok")));
        ROW("PUB foo 0\r\n\r\n", PUB(.subject = SPAN("foo")));
        ROW("PUB foo 02\r\nok\r\n", PUB(.subject = SPAN("foo"), .payload = SPAN("ok")));
        ROW("PUB foo 000000002\r\nok\r\n", PUB(.subject = SPAN("foo"), .payload = SPAN("ok")));
        ROW("PUB foo 2\r\n\r\n\r\n", PUB(.subject = SPAN("foo"), .payload = SPAN("\r\n")));
        /* The matrix of blanks of nats-server's TestParsePubArg. */
        ROW("PUB a 2\r\nok\r\n", PUB(.subject = SPAN("a"), .payload = SPAN("ok")));
        ROW("PUB a 2 \r\nok\r\n", PUB(.subject = SPAN("a"), .payload = SPAN("ok")));
        ROW("PUB \t a \t 2\t\r\nok\r\n", PUB(.subject = SPAN("a"), .payload = SPAN("ok")));
        ROW("PUB\ta\t2\r\nok\r\n", PUB(.subject = SPAN("a"), .payload = SPAN("ok")));
        ROW("PUB  foo  bar  22 \nokokokokokokokokokokok\r\n",
            PUB(.subject = SPAN("foo"), .reply = SPAN("bar"), .payload = SPAN("okokokokokokokokokokok")));
        ROW("PUB\tfoo\tbar\t2\r\nok\r\n", PUB(.subject = SPAN("foo"), .reply = SPAN("bar"), .payload = SPAN("ok")));
        ROW("PUB foo.bar,*,>,baz 2\r\nok\r\n", PUB(.subject = SPAN("foo.bar,*,>,baz"), .payload = SPAN("ok")));
        ROW("PUB a.subject.of.some.length _INBOX.and.a.reply 2\r\nok\r\n",
            PUB(.subject = SPAN("a.subject.of.some.length"), .reply = SPAN("_INBOX.and.a.reply"),
                .payload = SPAN("ok")));
        ROW("PUB not\0\x0b\xff"
            "a\x1f"
            "blank 2\r\nok\r\n",
            PUB(.subject = SPAN("not\0\x0b\xff"
                                "a\x1f"
                                "blank"),
                .payload = SPAN("ok")));
        /* IncompletePubArg: what looks like the next operation is the payload. */
        ROW("PUB foo 11\r\nPUB foo 2\r\n\r\n", PUB(.subject = SPAN("foo"), .payload = SPAN("PUB foo 2\r\n")));
        ROW("HPUB foo 12 14\r\nNATS/1.0\r\n\r\nok\r\n",
            HPUB(.subject = SPAN("foo"), .headers = SPAN("NATS/1.0\r\n\r\n"), .payload = SPAN("ok")));
        ROW("hpub foo bar 4 6\nabcdok\r\n",
            HPUB(.subject = SPAN("foo"), .reply = SPAN("bar"), .headers = SPAN("abcd"), .payload = SPAN("ok")));
        ROW("HPUB foo 0 2\r\nok\r\n", HPUB(.subject = SPAN("foo"), .payload = SPAN("ok")));
        ROW("HPUB foo 2 2\r\nok\r\n", HPUB(.subject = SPAN("foo"), .headers = SPAN("ok")));
        ROW("SUB foo 1\r\n", {.kind = NATS_SUB, .subject = SPAN("foo"), .sid = SPAN("1")});
        ROW("sub foo workers 1\n",
            {.kind = NATS_SUB, .subject = SPAN("foo"), .queue = SPAN("workers"), .sid = SPAN("1")});
        ROW("SUB\t>  any-token\t\r\n", {.kind = NATS_SUB, .subject = SPAN(">"), .sid = SPAN("any-token")});
        ROW("UNSUB 1\r\n", {.kind = NATS_UNSUB, .sid = SPAN("1")});
        ROW("unsub 1 22\n", {.kind = NATS_UNSUB, .sid = SPAN("1"), .max = 22});
        ROW("UNSUB 1 0\r\n", {.kind = NATS_UNSUB, .sid = SPAN("1")});
        ROW("UNSUB 1 x\r\n", {.kind = NATS_UNSUB, .sid = SPAN("1")});
        ROW("UNSUB 1 -5\r\n", {.kind = NATS_UNSUB, .sid = SPAN("1")});
        ROW("UNSUB 1 9999999999\r\n", {.kind = NATS_UNSUB, .sid = SPAN("1")});
#undef ROW
        assert(count <= array_count(table));
        *rows = table;
        return count;
}

static void a_legal_operation_is_taken_whole(void **state)
{
        (void)state;
        const struct legal *rows;
        size_t count = legal_rows(&rows);
        for (size_t i = 0; i < count; i++)
                put_legal(&rows[i]);
}

static void a_legal_operation_cut_anywhere_is_incomplete_and_no_fault(void **state)
{
        (void)state;
        const struct legal *rows;
        size_t count = legal_rows(&rows);
        for (size_t i = 0; i < count; i++) {
                for (size_t size = 0; size < rows[i].text.size; size++) {
                        struct nats_operation operation;
                        ssize_t taken = decode(span_of(rows[i].text.bytes, size), &operation);
                        if (taken != 0)
                                fail_msg("%zd for %zu bytes of '%.*s'", taken, size, (int)rows[i].text.size,
                                         (const char *)rows[i].text.bytes);
                        assert_int_equal(operation.fault, NATS_FAULT_NONE);
                        assert_true(operation.needed == 0 || operation.needed == rows[i].text.size);
                }
        }
}

static void what_stands_behind_an_operation_is_left_alone(void **state)
{
        (void)state;
        const struct legal *rows;
        size_t count = legal_rows(&rows);
        for (size_t i = 0; i < count; i++) {
                uint8_t bytes[256];
                uint8_t *end = span_copy(span_copy(bytes, rows[i].text), SPAN("\nPUB x 2\r\n"));
                struct nats_operation operation;
                ssize_t taken = decode(span_of(bytes, (size_t)(end - bytes)), &operation);
                assert_int_equal(taken, rows[i].text.size);
        }
}

static void the_size_needed_is_known_from_the_line_end_on(void **state)
{
        (void)state;
        struct span text = SPAN("PUB foo 5\r\nhello\r\n");
        for (size_t size = 0; size < text.size; size++) {
                struct nats_operation operation;
                assert_int_equal(decode(span_of(text.bytes, size), &operation), 0);
                assert_int_equal(operation.needed, size < strlen("PUB foo 5\r\n") ? 0 : text.size);
        }
}

static void a_headers_length_of_nothing_is_still_an_hpub(void **state)
{
        (void)state;
        struct nats_operation operation;
        assert_true(decode(SPAN("HPUB foo 0 0\r\n\r\n"), &operation) > 0);
        assert_true(operation.has_headers);
        assert_int_equal(operation.event.headers.size, 0);
        assert_int_equal(operation.event.payload.size, 0);
}

/* ---- what is not ---- */

struct illegal {
        struct span text; /* ends with the byte that shows it: one less is not refused */
        enum nats_fault fault;
};

#define UNKNOWN NATS_FAULT_UNKNOWN_OPERATION
#define SILENT NATS_FAULT_SILENT
#define PAYLOAD NATS_FAULT_PAYLOAD

static size_t illegal_rows(const struct illegal **rows)
{
        static struct illegal table[96];
        size_t count = 0;
#define ROW(line, why) table[count++] = (struct illegal){SPAN(line), why}
        /* nats-server's TestShouldFail */
        ROW("Px", UNKNOWN);
        ROW("PIx", UNKNOWN);
        ROW("PINx", UNKNOWN);
        ROW(" ", UNKNOWN);
        ROW("POx", UNKNOWN);
        ROW("PONx", UNKNOWN);
        ROW("+x", UNKNOWN);
        ROW("+Ox", UNKNOWN);
        ROW("-x", UNKNOWN);
        ROW("-Ex", UNKNOWN);
        ROW("-ERx", UNKNOWN);
        ROW("-ERRx", UNKNOWN);
        ROW("-ERR\r", UNKNOWN);
        ROW("Cx", UNKNOWN);
        ROW("CONNECx", UNKNOWN);
        ROW("CONNECT \r\n", SILENT);
        ROW("CONNECT\r\n", SILENT);
        ROW("CONNECT\n", SILENT);
        ROW("PUx", UNKNOWN);
        ROW("PUBx", UNKNOWN);
        ROW("PUB\r", UNKNOWN);
        ROW("PUB\n", UNKNOWN);
        ROW("PUB\0", UNKNOWN);
        ROW("PUB \r\n", SILENT);
        ROW("PUB \n", SILENT); /* nats-server takes this LF for a part of the subject */
        ROW("PUB foo\r\n", SILENT);
        ROW("PUB  foo\r\n", SILENT);
        ROW("PUB foo bar 2 5\r\n", SILENT);
        ROW("PUB a b c d e f 2\r\n", SILENT);
        ROW("PUB foo 2\r\nok ", UNKNOWN);
        ROW("PUB foo 2\r\nokx", UNKNOWN);
        ROW("PUB foo 2\r\nok\n", UNKNOWN);
        ROW("PUB foo 2\r\nok\r\r", UNKNOWN);
        ROW("PUB foo 2\r\nok\rx", UNKNOWN);
        ROW("PUB foo 0\r\n\n", UNKNOWN);
        ROW("PUB foo +2\r\n", SILENT);
        ROW("PUB foo -1\r\n", SILENT);
        ROW("PUB foo 2x\r\n", SILENT);
        ROW("PUB foo x2\r\n", SILENT);
        ROW("PUB foo 0x2\r\n", SILENT);
        ROW("PUB foo 2/\r\n", SILENT);
        ROW("PUB foo 2:\r\n", SILENT);
        ROW("PUB foo 0000000002\r\n", SILENT);
        ROW("PUB foo 1000000000\r\n", SILENT);
        ROW("PUB foo 99999999999999999999\r\n", SILENT); /* CVE-2019-13126 */
        ROW("PUB foo 18446744073709551618\r\n", SILENT);
        ROW("PUB foo 999999999\r\n", PAYLOAD);
        ROW("PUB foo 1048577\r\n", PAYLOAD);
        ROW("PUB foo reply 1048577\n", PAYLOAD);
        ROW("PUB fo\ro 2\r\n", SILENT); /* nats-server takes this CR for a part of the subject */
        ROW("PUB foo \r2\r\n", SILENT);
        ROW("PUB foo 2\r\r\n", SILENT);
        ROW("PUB foo 2 \r \n", SILENT);
        ROW("Hx", UNKNOWN);
        ROW("HM", UNKNOWN); /* HMSG is for clients; nats-server stumbles over it later */
        ROW("HPUx", UNKNOWN);
        ROW("HPUB\r", UNKNOWN);
        ROW("HPUBx", UNKNOWN);
        ROW("HPUB \r\n", SILENT);
        ROW("HPUB foo\r\n", SILENT);
        ROW("HPUB foo 2\r\n", SILENT);
        ROW("HPUB foo 3 2\r\n", SILENT);
        ROW("HPUB foo x 2\r\n", SILENT);
        ROW("HPUB foo 2 x\r\n", SILENT);
        ROW("HPUB foo -1 2\r\n", SILENT);
        ROW("HPUB foo bar baz 2 2\r\n", SILENT);
        ROW("HPUB foo 1048577 1048577\r\n", PAYLOAD);
        ROW("HPUB foo 0 1048577\r\n", PAYLOAD);
        ROW("HPUB foo x 1048577\r\n", SILENT);
        ROW("HPUB foo 1048578 1048577\r\n", SILENT);
        ROW("HPUB foo 2 4\r\nabcdx", UNKNOWN);
        ROW("Sx", UNKNOWN);
        ROW("SUx", UNKNOWN);
        ROW("SUB\r", UNKNOWN);
        ROW("SUBx", UNKNOWN);
        ROW("SUB \r\n", SILENT);
        ROW("SUB foo\r\n", SILENT);
        ROW("SUB foo bar baz 22\r\n", SILENT);
        ROW("SUB fo\ro 1\r\n", SILENT); /* nats-server takes this CR for a blank */
        ROW("Ux", UNKNOWN);
        ROW("UNSUx", UNKNOWN);
        ROW("UNSUB\r", UNKNOWN);
        ROW("UNSUB_", UNKNOWN);
        ROW("UNSUB \r\n", SILENT);
        ROW("UNSUB 1 2 3\r\n", SILENT);
        ROW("Ix", UNKNOWN);
        ROW("INFO  \r\n", SILENT);
        ROW("INFO\r\n", SILENT);
        ROW("R", UNKNOWN);
        ROW("l", UNKNOWN);
        ROW("M", UNKNOWN);
        ROW("A", UNKNOWN);
        ROW("\r", UNKNOWN);
        ROW("\n", UNKNOWN);
        ROW("\0", UNKNOWN);
        ROW("\x0b", UNKNOWN);
#undef ROW
        assert(count <= array_count(table));
        *rows = table;
        return count;
}

static void assert_refused(struct span text, enum nats_fault fault)
{
        struct nats_operation operation;
        ssize_t taken = decode(text, &operation);
        if (taken >= 0 || operation.fault != fault)
                fail_msg("%zd, fault %d for '%.*s'", taken, operation.fault, (int)text.size, (const char *)text.bytes);
        bool is_size = fault == NATS_FAULT_PAYLOAD || fault == NATS_FAULT_CONTROL_LINE;
        assert_int_equal(taken, is_size ? -EMSGSIZE : -EPROTO);
}

static void a_fault_is_told_at_the_byte_that_shows_it_and_not_before(void **state)
{
        (void)state;
        const struct illegal *rows;
        size_t count = illegal_rows(&rows);
        for (size_t i = 0; i < count; i++) {
                struct nats_operation operation;
                struct span text = rows[i].text;
                for (size_t size = 0; size < text.size; size++)
                        if (decode(span_of(text.bytes, size), &operation) != 0)
                                fail_msg("'%.*s' is judged after %zu bytes", (int)text.size, (const char *)text.bytes,
                                         size);
                assert_refused(text, rows[i].fault);
        }
}

static void no_byte_behind_a_fault_changes_it(void **state)
{
        (void)state;
        const struct illegal *rows;
        size_t count = illegal_rows(&rows);
        uint8_t bytes[8192];
        for (size_t i = 0; i < count; i++) {
                span_copy(bytes, rows[i].text);
                for (int filler = 0; filler < 256; filler++) {
                        memset(bytes + rows[i].text.size, filler, 9);
                        assert_refused(span_of(bytes, rows[i].text.size + 9), rows[i].fault);
                }
                memset(bytes + rows[i].text.size, 'x', sizeof(bytes) - rows[i].text.size);
                assert_refused(span_of(bytes, sizeof(bytes)), rows[i].fault);
        }
}

static void headers_from_a_connection_without_them_are_refused_at_the_verb(void **state)
{
        (void)state;
        struct nats_limits without = limits;
        struct nats_operation operation;
        without.headers = false;
        assert_int_equal(nats_decode(guard_span(&guard, SPAN("HPUB")), &without, &operation), 0);
        assert_int_equal(nats_decode(guard_span(&guard, SPAN("HPUB ")), &without, &operation), -EPROTO);
        assert_int_equal(operation.fault, NATS_FAULT_SILENT);
        assert_int_equal(nats_decode(guard_span(&guard, SPAN("HPUBx")), &without, &operation), -EPROTO);
        assert_int_equal(operation.fault, NATS_FAULT_UNKNOWN_OPERATION);
        assert_true(nats_decode(guard_span(&guard, SPAN("PUB foo 2\r\nok\r\n")), &without, &operation) > 0);
}

/* ---- limits ---- */

/* `start`, `filler_count` times `filler`, `end`. Returns the size. */
static size_t make_line(uint8_t *bytes, const char *start, char filler, size_t filler_count, const char *end)
{
        uint8_t *at = span_copy(bytes, span_of_text(start));
        memset(at, filler, filler_count);
        return (size_t)(span_copy(at + filler_count, span_of_text(end)) - bytes);
}

static void an_argument_may_have_as_many_bytes_as_the_limit_and_no_more(void **state)
{
        (void)state;
        static const char *const verbs[] = {"PUB  \t", "HPUB ", "SUB ", "UNSUB ", "CONNECT", "CONNECT ",
                                            "INFO ",   "-ERR ", "PING", "PONG",   "+OK"};
        static const char *const ends[] = {"\r\n", "\n"};
        uint8_t bytes[8192];
        for (size_t i = 0; i < array_count(verbs); i++) {
                for (size_t j = 0; j < array_count(ends); j++) {
                        struct nats_operation operation;
                        size_t size = make_line(bytes, verbs[i], 'x', 4096, ends[j]);
                        decode(span_of(bytes, size), &operation);
                        assert_int_not_equal(operation.fault, NATS_FAULT_CONTROL_LINE);
                        assert_int_equal(decode(span_of(bytes, size - 1), &operation), 0);
                        size = make_line(bytes, verbs[i], 'x', 4097, ends[j]);
                        assert_refused(span_of(bytes, size), NATS_FAULT_CONTROL_LINE);
                }
                /* Told before the line end has come, so nobody has to keep more. */
                struct nats_operation operation;
                size_t size = make_line(bytes, verbs[i], 'x', 4097, "");
                assert_refused(span_of(bytes, size), NATS_FAULT_CONTROL_LINE);
                assert_int_equal(decode(span_of(bytes, size - 1), &operation), 0);
                size = make_line(bytes, verbs[i], 'x', 4096, "\r");
                assert_int_equal(decode(span_of(bytes, size), &operation), 0);
                size = make_line(bytes, verbs[i], 'x', 4096, "\r\r");
                assert_refused(span_of(bytes, size), NATS_FAULT_CONTROL_LINE);
        }
}

static void trailing_blanks_count_and_leading_ones_do_not(void **state)
{
        (void)state;
        struct nats_operation operation;
        uint8_t bytes[16384];
        size_t size = make_line(bytes, "PUB ", 'x', 4093, " 0 \r\n\r\n");
        assert_int_equal(decode(span_of(bytes, size), &operation), size);
        size = make_line(bytes, "PUB ", 'x', 4093, " 0  \r\n\r\n");
        assert_refused(span_of(bytes, size), NATS_FAULT_CONTROL_LINE);
        size = make_line(bytes, "PUB", ' ', 4096, "foo 0\r\n\r\n");
        assert_int_equal(decode(span_of(bytes, size), &operation), size);
        /* Nobody needs more blanks than that; nats-server would skip them for ever. */
        size = make_line(bytes, "PUB", ' ', 4097, "foo 0\r\n\r\n");
        assert_refused(span_of(bytes, size), NATS_FAULT_CONTROL_LINE);
}

static void an_incomplete_operation_is_bounded_by_the_limits(void **state)
{
        (void)state;
        static const char *const verbs[] = {"PUB ",  "HPUB ", "SUB ", "UNSUB ", "CONNECT ",
                                            "INFO ", "-ERR ", "PING", "+OK"};
        static const char fillers[] = {' ', 'x', '\r', '\0', '\t', '"'};
        uint8_t bytes[16384];
        for (size_t i = 0; i < array_count(verbs); i++) {
                for (size_t j = 0; j < array_count(fillers); j++) {
                        struct nats_operation operation;
                        size_t size = make_line(bytes, verbs[i], fillers[j], 2 * 4096 + 2, "");
                        assert_int_equal(decode(span_of(bytes, size), &operation), -EMSGSIZE);
                }
        }
}

static void the_limit_of_a_line_holds_also_when_it_is_tiny(void **state)
{
        (void)state;
        struct nats_limits tiny = limits;
        struct nats_operation operation;
        tiny.control_line_bytes_max = 0;
        assert_int_equal(nats_decode(guard_span(&guard, SPAN("PING\r\n")), &tiny, &operation), 6);
        assert_int_equal(nats_decode(guard_span(&guard, SPAN("PING")), &tiny, &operation), 0);
        assert_int_equal(nats_decode(guard_span(&guard, SPAN("PING\r")), &tiny, &operation), 0);
        assert_int_equal(nats_decode(guard_span(&guard, SPAN("PING ")), &tiny, &operation), -EMSGSIZE);
        assert_int_equal(nats_decode(guard_span(&guard, SPAN("PUB ")), &tiny, &operation), -EMSGSIZE);
}

static void a_payload_may_have_as_many_bytes_as_the_limit_and_no_more(void **state)
{
        (void)state;
        struct nats_limits small = limits;
        struct nats_operation operation;
        small.payload_bytes_max = 4;
        assert_int_equal(nats_decode(guard_span(&guard, SPAN("PUB a 4\r\nabcd\r\n")), &small, &operation), 15);
        assert_int_equal(nats_decode(guard_span(&guard, SPAN("PUB a 5\r\n")), &small, &operation), -EMSGSIZE);
        assert_int_equal(operation.fault, NATS_FAULT_PAYLOAD);
        assert_int_equal(nats_decode(guard_span(&guard, SPAN("HPUB a 2 4\r\nabcd\r\n")), &small, &operation), 18);
        assert_int_equal(nats_decode(guard_span(&guard, SPAN("HPUB a 2 5\r\n")), &small, &operation), -EMSGSIZE);
        assert_int_equal(operation.fault, NATS_FAULT_PAYLOAD);
        small.payload_bytes_max = SIZE_MAX;
        assert_int_equal(nats_decode(guard_span(&guard, SPAN("PUB a 999999999\r\n")), &small, &operation), 0);
        assert_int_equal(operation.needed, strlen("PUB a 999999999\r\n") + 999999999 + 2);
}

static void a_fault_that_is_told_has_the_words_of_nats_server(void **state)
{
        (void)state;
        assert_span(nats_fault_reply(NATS_FAULT_UNKNOWN_OPERATION), SPAN("-ERR 'Unknown Protocol Operation'\r\n"));
        assert_span(nats_fault_reply(NATS_FAULT_CONTROL_LINE), SPAN("-ERR 'maximum control line exceeded'\r\n"));
        assert_span(nats_fault_reply(NATS_FAULT_PAYLOAD), SPAN("-ERR 'Maximum Payload Violation'\r\n"));
        assert_int_equal(nats_fault_reply(NATS_FAULT_SILENT).size, 0);
        assert_int_equal(nats_fault_reply(NATS_FAULT_NONE).size, 0);
}

/* ---- CONNECT ---- */

static int parse_connect(struct span json, struct nats_connect *connect)
{
        return nats_parse_connect(guard_span(&guard, json), connect);
}

static void an_empty_connect_has_the_defaults_of_the_protocol(void **state)
{
        (void)state;
        struct nats_connect connect;
        assert_int_equal(parse_connect(SPAN("{}"), &connect), 0);
        assert_true(connect.verbose);
        assert_true(connect.pedantic);
        assert_true(connect.echo);
        assert_false(connect.headers);
        assert_false(connect.no_responders);
        assert_false(connect.tls_required);
        assert_false(connect.has_account);
        assert_int_equal(connect.protocol, 0);
        assert_int_equal(connect.name.size, 0);
        assert_int_equal(connect.auth_token.size, 0);
}

static void what_the_official_clients_send_is_understood(void **state)
{
        (void)state;
        struct nats_connect connect;
        assert_int_equal(
                parse_connect(SPAN("{\"verbose\":false,\"pedantic\":false,\"user\":\"me\",\"pass\":\"s\\u0065cret\","
                                   "\"tls_required\":false,\"name\":\"caf\xc3\xa9\",\"lang\":\"go\",\"version\":\"1.31."
                                   "0\",\"protocol\":1,\"echo\":false,\"headers\":true,\"no_responders\":true,"
                                   "\"auth_token\":\"t\",\"nkey\":\"n\",\"jwt\":\"j\",\"sig\":\"g\"} "),
                              &connect),
                0);
        assert_false(connect.verbose);
        assert_false(connect.pedantic);
        assert_false(connect.echo);
        assert_true(connect.headers);
        assert_true(connect.no_responders);
        assert_int_equal(connect.protocol, 1);
        assert_span(connect.name, SPAN("caf\xc3\xa9"));
        assert_span(connect.lang, SPAN("go"));
        assert_span(connect.version, SPAN("1.31.0"));
        assert_span(connect.user, SPAN("me"));
        assert_span(connect.pass, SPAN("s\\u0065cret"));
        assert_span(connect.auth_token, SPAN("t"));
        assert_span(connect.nkey, SPAN("n"));
        assert_span(connect.jwt, SPAN("j"));
        assert_span(connect.sig, SPAN("g"));
}

static void odd_but_legal_connects_are_understood(void **state)
{
        (void)state;
        struct nats_connect connect;
        assert_int_equal(parse_connect(SPAN(" {\"x\":{\"verbose\":[1,{\"echo\":null}]}} \r"), &connect), 0);
        assert_true(connect.verbose);
        assert_int_equal(parse_connect(SPAN("{\"verbose\":true,\"verbose\":false}"), &connect), 0);
        assert_false(connect.verbose);
        assert_int_equal(parse_connect(SPAN("{\"verbose\":false,\"verbose\":null,\"name\":null}"), &connect), 0);
        assert_false(connect.verbose);
        assert_int_equal(parse_connect(SPAN("{\"v\\u0065rbose\":false}"), &connect), 0);
        assert_false(connect.verbose);
        assert_int_equal(parse_connect(SPAN("{\"protocol\":-7}"), &connect), 0);
        assert_int_equal(connect.protocol, -7);
        assert_int_equal(parse_connect(SPAN("{\"protocol\":4294967297}"), &connect), 0);
        assert_true(connect.protocol != 0 && connect.protocol != 1);
}

static void an_account_is_noticed_when_it_says_something(void **state)
{
        (void)state;
        struct nats_connect connect;
        assert_int_equal(parse_connect(SPAN("{\"account\":\"a\",\"new_account\":false}"), &connect), 0);
        assert_true(connect.has_account);
        assert_int_equal(parse_connect(SPAN("{\"new_account\":true}"), &connect), 0);
        assert_true(connect.has_account);
        assert_int_equal(parse_connect(SPAN("{\"account\":\"\",\"new_account\":false}"), &connect), 0);
        assert_false(connect.has_account);
        assert_int_equal(parse_connect(SPAN("{\"account\":null}"), &connect), 0);
        assert_false(connect.has_account);
}

static void a_connect_that_is_no_object_or_has_wrong_types_is_refused(void **state)
{
        (void)state;
        const struct span rows[] = {
                SPAN(""),
                SPAN("[]"),
                SPAN("1"),
                SPAN("null"), /* nats-server takes it for {} */
                SPAN("{"),
                SPAN("{}x"),
                SPAN("{}{}"),
                SPAN("{\"verbose\":1}"),
                SPAN("{\"verbose\":\"true\"}"),
                SPAN("{\"name\":1}"),
                SPAN("{\"name\":{}}"),
                SPAN("{\"protocol\":\"1\"}"),
                SPAN("{\"protocol\":1.0}"),
                SPAN("{\"protocol\":1e0}"),
                SPAN("{\"protocol\":99999999999999999999}"),
                SPAN("{\"account\":1}"),
                SPAN("{\"name\":\"a\nb\"}"),
                SPAN("{\"name\":\"\xff\"}"), /* nats-server replaces what is not UTF-8 */
                SPAN("{\"verbose\":false,}"),
        };
        for (size_t i = 0; i < array_count(rows); i++) {
                struct nats_connect connect;
                if (parse_connect(rows[i], &connect) != -EPROTO)
                        fail_msg("'%.*s' is taken", (int)rows[i].size, (const char *)rows[i].bytes);
        }
}

/* ---- INFO ---- */

static const struct nats_info *some_info(void)
{
        static struct nats_info info;
        info = (struct nats_info){
                .server_id = SPAN("ID"),
                .server_name = SPAN("a \"name\"\n"),
                .host = SPAN("127.0.0.1"),
                .client_ip = SPAN("::1"),
                .port = 4222,
                .client_id = 18446744073709551615u,
                .payload_bytes_max = 1048576,
        };
        return &info;
}

static void info_is_one_line_of_json_with_a_blank_before_its_end(void **state)
{
        (void)state;
        uint8_t out[1024];
        struct nats_info info = *some_info();
        size_t size = nats_write_info(out, sizeof(out), &info);
        assert_span(
                span_of(out, size),
                SPAN("INFO {\"server_id\":\"ID\",\"server_name\":\"a \\\"name\\\"\\u000a\",\"version\":\"" SPATE_VERSION
                     "\",\"proto\":1,\"go\":\"\",\"host\":\"127.0.0.1\",\"port\":4222,\"headers\":true,"
                     "\"max_payload\":1048576,\"client_id\":18446744073709551615,\"client_ip\":\"::1\"} \r\n"));
        info.auth_required = true;
        info.lame_duck = true;
        size = nats_write_info(out, sizeof(out), &info);
        struct span end = SPAN("\"client_ip\":\"::1\",\"auth_required\":true,\"ldm\":true} \r\n");
        assert_span(span_of(out + size - end.size, end.size), end);
}

static void info_that_does_not_fit_writes_nothing_outside(void **state)
{
        (void)state;
        struct nats_info info = *some_info();
        info.lame_duck = true;
        uint8_t whole[1024];
        size_t size = nats_write_info(whole, sizeof(whole), &info);
        assert_true(size > 0);
        for (size_t room = 0; room < size; room++)
                assert_int_equal(nats_write_info(guard_room(&guard, room), room, &info), 0);
        uint8_t *out = guard_room(&guard, size);
        assert_int_equal(nats_write_info(out, size, &info), size);
        assert_memory_equal(out, whole, size);
}

/* ---- subjects ---- */

static void a_subject_is_tokens_and_wildcards_stand_alone(void **state)
{
        (void)state;
        static const struct {
                const char *subject;
                bool is_valid, is_literal;
        } rows[] = {
                {"foo", true, true},         {"foo.bar.baz", true, true}, {"a", true, true},
                {"", false, false},          {".", false, false},         {".foo", false, false},
                {"foo.", false, false},      {"a..b", false, false},      {"*", true, false},
                {">", true, false},          {"foo.*", true, false},      {"foo.>", true, false},
                {"*.foo", true, false},      {"*.*.>", true, false},      {">.foo", false, false},
                {"foo.>.bar", false, false}, {"a*", true, true},          {"a>b", true, true},
                {"foo.a>", true, true},      {"foo.**", true, true},      {"foo.>>", true, true},
                {"foo bar", false, false},   {"foo\tb", false, false},    {"foo\rb", false, false},
                {"foo\nb", false, false},    {"foo. ", false, false},     {"\xff.\x01", true, true},
                {">.", false, false},
        };
        for (size_t i = 0; i < array_count(rows); i++) {
                struct span subject = guard_span(&guard, span_of_text(rows[i].subject));
                if (nats_subject_is_valid(subject) != rows[i].is_valid)
                        fail_msg("'%s' valid", rows[i].subject);
                if (nats_subject_is_literal(subject) != rows[i].is_literal)
                        fail_msg("'%s' literal", rows[i].subject);
        }
        assert_true(nats_subject_is_valid(SPAN("a\0b")));
}

/* ---- encoding ---- */

static void assert_written(enum wire_format format, struct event event, struct span sid, struct span expected)
{
        const struct wire_codec *codec = &wire_codecs[format];
        size_t bound = codec->bound(&event, sid);
        assert_true(bound >= expected.size);
        uint8_t *out = guard_room(&guard, expected.size);
        assert_int_equal(codec->write(out, &event, sid), expected.size);
        assert_span(span_of(out, expected.size), expected);
}

static void an_event_leaves_as_msg_or_hmsg(void **state)
{
        (void)state;
        struct event event = {.subject = SPAN("foo.bar"), .payload = SPAN("hello")};
        assert_written(WIRE_NATS, event, SPAN("9"), SPAN("MSG foo.bar 9 5\r\nhello\r\n"));
        assert_written(WIRE_NATS_PLAIN, event, SPAN("9"), SPAN("MSG foo.bar 9 5\r\nhello\r\n"));
        event.reply = SPAN("_INBOX.1");
        assert_written(WIRE_NATS, event, SPAN("123"), SPAN("MSG foo.bar 123 _INBOX.1 5\r\nhello\r\n"));
        event.headers = SPAN("NATS/1.0\r\nA: b\r\n\r\n");
        assert_written(WIRE_NATS, event, SPAN("9"),
                       SPAN("HMSG foo.bar 9 _INBOX.1 18 23\r\nNATS/1.0\r\nA: b\r\n\r\nhello\r\n"));
        assert_written(WIRE_NATS_PLAIN, event, SPAN("9"), SPAN("MSG foo.bar 9 _INBOX.1 5\r\nhello\r\n"));
        event.reply = SPAN_NONE;
        event.payload = SPAN_NONE;
        assert_written(WIRE_NATS, event, SPAN("a.sid"),
                       SPAN("HMSG foo.bar a.sid 18 18\r\nNATS/1.0\r\nA: b\r\n\r\n\r\n"));
        assert_written(WIRE_NATS_PLAIN, event, SPAN("9"), SPAN("MSG foo.bar 9 0\r\n\r\n"));
}

static void a_size_is_written_as_printf_would(void **state)
{
        (void)state;
        static uint8_t payload[GUARD_BYTES / 2];
        memset(payload, 'x', sizeof(payload));
        static const size_t sizes[] = {0, 1, 9, 10, 11, 99, 100, 101, 999, 1000, 9999, 10000, 10001, 12345, 32000};
        for (size_t i = 0; i < array_count(sizes); i++) {
                static uint8_t expected[GUARD_BYTES];
                struct event event = {.subject = SPAN("a"), .payload = span_of(payload, sizes[i])};
                int size = snprintf((char *)expected, sizeof(expected), "MSG a 1 %zu\r\n%.*s\r\n", sizes[i],
                                    (int)sizes[i], (const char *)payload);
                assert_written(WIRE_NATS, event, SPAN("1"), span_of(expected, (size_t)size));
        }
}

static void assert_event_comes_back(const struct event *event)
{
        /* MSG subject sid … is PUB subject reply … with the words in other places, so the reader can read the writer:
         * the sid takes the place of the reply. */
        struct span sid = SPAN("77");
        uint8_t out[4096];
        struct nats_operation operation;
        assert_true(nats_message_bound(event, sid) <= sizeof(out));
        size_t size = nats_message_write(out, event, sid);
        assert_true(size <= nats_message_bound(event, sid));
        bool has_headers = event->headers.size != 0;
        uint8_t *line = out + (has_headers ? 1 : 0);
        memcpy(line, "PUB", 3);
        if (has_headers)
                out[0] = 'H';
        assert_int_equal(decode(span_of(out, size), &operation), size);
        assert_span(operation.event.subject, event->subject);
        assert_span(operation.event.reply, sid);
        assert_span(operation.event.headers, event->headers);
        assert_span(operation.event.payload, event->payload);
}

static void what_is_written_reads_back_the_same(void **state)
{
        (void)state;
        uint64_t seed = 1;
        for (int round = 0; round < 20000; round++) {
                uint8_t bytes[2048];
                for (size_t i = 0; i < sizeof(bytes); i += 8) {
                        uint64_t word = seeded_next(&seed);
                        memcpy(bytes + i, &word, 8);
                }
                struct event event = {.subject = span_of(bytes, 1 + seeded_below(&seed, 40)),
                                      .headers = span_of(bytes + 64, seeded_below(&seed, 2) * seeded_below(&seed, 64)),
                                      .payload = span_of(bytes + 128, seeded_below(&seed, 1200))};
                for (size_t i = 0; i < event.subject.size; i++)
                        if (bytes[i] == ' ' || bytes[i] == '\t' || bytes[i] == '\r' || bytes[i] == '\n')
                                bytes[i] = '.';
                assert_event_comes_back(&event);
        }
}

/* ---- splits ---- */

/* Feeds `text` in chunks of 1 .. chunk_max bytes (0: at once) as a session does, and writes down what was decoded. */
static void transcribe(struct span text, uint64_t *seed, size_t chunk_max, char *out, size_t out_size)
{
        size_t start = 0;
        size_t have = 0;
        int length = 0;
        while (have < text.size) {
                size_t chunk = chunk_max == 0 ? text.size : 1 + seeded_below(seed, chunk_max);
                have += chunk < text.size - have ? chunk : text.size - have;
                for (;;) {
                        struct nats_operation operation;
                        ssize_t taken = decode(span_of(text.bytes + start, have - start), &operation);
                        if (taken == 0)
                                break;
                        length +=
                                snprintf(out + length, out_size - (size_t)length, "%d/%d/%zu/%zu ", operation.kind,
                                         operation.fault, taken < 0 ? 0 : (size_t)taken, operation.event.payload.size);
                        assert(length < (int)out_size);
                        if (taken < 0)
                                return;
                        start += (size_t)taken;
                }
        }
}

static void any_split_of_a_stream_gives_the_same_operations(void **state)
{
        (void)state;
        static const char special[] = " \t\r\n.0129PUBHSNICOE+-{}\"\0\xff";
        uint64_t seed = 2;
        const struct legal *rows;
        size_t count = legal_rows(&rows);
        for (int round = 0; round < 4000; round++) {
                uint8_t bytes[2048];
                size_t size = 0;
                for (int i = 0; i < 8; i++) {
                        struct span row = rows[seeded_below(&seed, count)].text;
                        span_copy(bytes + size, row);
                        size += row.size;
                }
                if (round % 2 == 1)
                        size = seeded_mutate(&seed, bytes, size, sizeof(bytes), special, sizeof(special) - 1);
                char whole[4096] = "";
                char split[4096] = "";
                transcribe(span_of(bytes, size), &seed, 0, whole, sizeof(whole));
                transcribe(span_of(bytes, size), &seed, 1, split, sizeof(split));
                assert_string_equal(whole, split);
                transcribe(span_of(bytes, size), &seed, 12, split, sizeof(split));
                assert_string_equal(whole, split);
        }
}

static int open_guard(void **state)
{
        (void)state;
        guard_init(&guard, GUARD_BYTES);
        return 0;
}

static int close_guard(void **state)
{
        (void)state;
        guard_fini(&guard);
        return 0;
}

static void an_event_that_left_tells_what_it_is_about(void **state)
{
        (void)state;
        static const struct {
                const char *operation, *key;
        } rows[] = {
                {"MSG foo.bar 12 2\r\nok\r\n", "foo.bar 12"},
                {"MSG foo.bar 12 a.reply 2\r\nok\r\n", "foo.bar 12"},
                {"HMSG foo x 12 14\r\nNATS/1.0\r\n\r\nok\r\n", "foo x"},
                {"PING\r\n", ""},
                {"+OK\r\n", ""},
                {"MSGfoo 1 2\r\n", ""},
                {"INFO {} \r\n", ""},
                {"-ERR 'a b c'\r\n", ""},
        };
        for (size_t i = 0; i < array_count(rows); i++) {
                struct span operation = span_of_text(rows[i].operation), key = span_of_text(rows[i].key);
                assert_span(nats_message_key(guard_span(&guard, operation)), key);
                for (size_t size = 0; size < operation.size; size++) {
                        struct span cut = guard_span(&guard, span_of(operation.bytes, size));
                        size_t from = key.size == 0 ? SIZE_MAX
                                                    : (size_t)(strchr(rows[i].operation, ' ') + 2 - rows[i].operation) +
                                                              key.size;
                        assert_span(nats_message_key(cut), size >= from ? key : span_of_text(""));
                }
        }
        assert_span(nats_key_subject(SPAN("foo.bar 12")), SPAN("foo.bar"));
        assert_true(nats_key_subject(SPAN_NONE).size == 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_legal_operation_is_taken_whole),
                cmocka_unit_test(a_legal_operation_cut_anywhere_is_incomplete_and_no_fault),
                cmocka_unit_test(what_stands_behind_an_operation_is_left_alone),
                cmocka_unit_test(the_size_needed_is_known_from_the_line_end_on),
                cmocka_unit_test(a_headers_length_of_nothing_is_still_an_hpub),
                cmocka_unit_test(a_fault_is_told_at_the_byte_that_shows_it_and_not_before),
                cmocka_unit_test(no_byte_behind_a_fault_changes_it),
                cmocka_unit_test(headers_from_a_connection_without_them_are_refused_at_the_verb),
                cmocka_unit_test(an_argument_may_have_as_many_bytes_as_the_limit_and_no_more),
                cmocka_unit_test(trailing_blanks_count_and_leading_ones_do_not),
                cmocka_unit_test(an_incomplete_operation_is_bounded_by_the_limits),
                cmocka_unit_test(the_limit_of_a_line_holds_also_when_it_is_tiny),
                cmocka_unit_test(a_payload_may_have_as_many_bytes_as_the_limit_and_no_more),
                cmocka_unit_test(a_fault_that_is_told_has_the_words_of_nats_server),
                cmocka_unit_test(an_empty_connect_has_the_defaults_of_the_protocol),
                cmocka_unit_test(what_the_official_clients_send_is_understood),
                cmocka_unit_test(odd_but_legal_connects_are_understood),
                cmocka_unit_test(an_account_is_noticed_when_it_says_something),
                cmocka_unit_test(a_connect_that_is_no_object_or_has_wrong_types_is_refused),
                cmocka_unit_test(info_is_one_line_of_json_with_a_blank_before_its_end),
                cmocka_unit_test(info_that_does_not_fit_writes_nothing_outside),
                cmocka_unit_test(a_subject_is_tokens_and_wildcards_stand_alone),
                cmocka_unit_test(an_event_leaves_as_msg_or_hmsg),
                cmocka_unit_test(a_size_is_written_as_printf_would),
                cmocka_unit_test(an_event_that_left_tells_what_it_is_about),
                cmocka_unit_test(what_is_written_reads_back_the_same),
                cmocka_unit_test(any_split_of_a_stream_gives_the_same_operations),
        };
        return cmocka_run_group_tests(tests, open_guard, close_guard);
}
