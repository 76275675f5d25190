/* fuzz_nats: any bytes, cut in any way, give the same operations and the same fault; what is incomplete is bounded;
 * what was decoded and is encoded again says the same.
 *
 *      byte 0   bit 0: headers are allowed; bit 1: tiny limits
 *      byte 1   how the rest is cut (a seed)
 *      byte 2…  what the client sends */
#include <stdlib.h>

#include "io/wire/nats.h"
#include "tests/seeded.h"

#define VERB_BYTES_MAX 7

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What came out, as one number: two sequences that differ hardly have the same. */
struct transcript {
        uint64_t hash;
        uint64_t operations_count;
        enum nats_fault fault;
        size_t taken;
};

static void note(struct transcript *transcript, uint64_t value)
{
        transcript->hash = (transcript->hash ^ value) * 0x100000001B3u;
}

static void note_span(struct transcript *transcript, struct span span)
{
        note(transcript, span.size);
        for (size_t i = 0; i < span.size; i++)
                note(transcript, span.bytes[i]);
}

static void note_operation(struct transcript *transcript, const struct nats_operation *operation, size_t taken)
{
        note(transcript, operation->kind);
        note(transcript, operation->has_headers);
        note_span(transcript, operation->event.subject);
        note_span(transcript, operation->event.reply);
        note_span(transcript, operation->event.headers);
        note_span(transcript, operation->event.payload);
        note_span(transcript, operation->subject);
        note_span(transcript, operation->queue);
        note_span(transcript, operation->sid);
        note_span(transcript, operation->argument);
        note(transcript, operation->max);
        transcript->operations_count++;
        transcript->taken += taken;
}

static bool has_no_line_break_or_blank(struct span word)
{
        for (size_t i = 0; i < word.size; i++)
                if (strchr(" \t\r\n", word.bytes[i]) != NULL && word.bytes[i] != 0)
                        return false;
        return word.size != 0;
}

static void check_key(struct span key, struct span subject, struct span sid)
{
        assert(key.size == subject.size + 1 + sid.size);
        assert(span_equal(nats_key_subject(key), subject));
        assert(span_equal(span_skip(key, subject.size + 1), sid));
}

/* Any bytes have a key or none, inside of them. */
static void check_any_key(struct span text)
{
        uint8_t *copy = malloc(text.size); /* of exactly that size, for the sanitizer to see */
        span_copy(copy, text);
        struct span key = nats_message_key(span_of(copy, text.size));
        assert(key.size <= text.size);
        assert(key.size == 0 || nats_key_subject(key).size < key.size);
        free(copy);
}

/* MSG subject sid … and PUB subject reply … are alike, so the reader can read the writer; the sid stands for the reply,
 * which is left out. */
static void check_message(const struct event *event, enum wire_format format)
{
        const struct nats_limits wide = {
                .control_line_bytes_max = 1 << 20, .payload_bytes_max = 1 << 20, .headers = true};
        struct event written = *event;
        struct span sid = event->reply.size != 0 ? event->reply : SPAN("7");
        written.reply = SPAN_NONE;
        if (format == WIRE_NATS_PLAIN)
                written.headers = SPAN_NONE;

        const struct wire_codec *codec = &wire_codecs[format];
        size_t bound = codec->bound(event, sid);
        uint8_t *out = malloc(bound);
        struct event without_reply = *event;
        without_reply.reply = SPAN_NONE;
        size_t size = codec->write(out, &without_reply, sid);
        assert(size <= bound);
        check_key(codec->key(span_of(out, size)), event->subject, sid);
        memcpy(out + (written.headers.size != 0), "PUB", 3);

        struct nats_operation again;
        assert(nats_decode(span_of(out, size), &wide, &again) == (ssize_t)size);
        assert(again.has_headers == (written.headers.size != 0));
        assert(span_equal(again.event.subject, written.subject));
        assert(span_equal(again.event.reply, sid));
        assert(span_equal(again.event.headers, written.headers));
        assert(span_equal(again.event.payload, written.payload));

        /* And with the reply, too, it stays inside its bound, and stands for the same. */
        size = codec->write(out, event, sid);
        assert(size <= bound);
        check_key(codec->key(span_of(out, size)), event->subject, sid);
        free(out);
}

static void check_operation(const struct nats_operation *operation)
{
        struct nats_connect connect;
        switch (operation->kind) {
        case NATS_PUB:
                assert(has_no_line_break_or_blank(operation->event.subject));
                check_message(&operation->event, WIRE_NATS);
                check_message(&operation->event, WIRE_NATS_PLAIN);
                assert(nats_subject_is_valid(operation->event.subject) ||
                       !nats_subject_is_literal(operation->event.subject));
                break;
        case NATS_SUB:
                assert(has_no_line_break_or_blank(operation->subject));
                assert(has_no_line_break_or_blank(operation->sid));
                assert(operation->queue.size == 0 || has_no_line_break_or_blank(operation->queue));
                break;
        case NATS_UNSUB:
                assert(has_no_line_break_or_blank(operation->sid));
                assert(operation->max <= 999999999);
                break;
        case NATS_CONNECT:
                nats_parse_connect(operation->argument, &connect);
                break;
        default:
                break;
        }
}

/* Feeds `text` in chunks of 1 .. chunk_max bytes, each time from memory of exactly that size. */
static struct transcript feed(struct span text, const struct nats_limits *limits, size_t chunk_max, uint64_t seed)
{
        struct transcript transcript = {.hash = 1};
        size_t have = 0;
        size_t needed = 0;
        while (have < text.size) {
                size_t chunk = 1 + seeded_below(&seed, chunk_max);
                have += chunk < text.size - have ? chunk : text.size - have;
                uint8_t *copy = malloc(have - transcript.taken);
                struct span in = span_of(copy, have - transcript.taken);
                memcpy(copy, text.bytes + transcript.taken, in.size);
                for (;;) {
                        struct nats_operation operation;
                        ssize_t taken = nats_decode(in, limits, &operation);
                        assert(taken == 0 || (taken < 0) == (operation.fault != NATS_FAULT_NONE));
                        assert(taken <= (ssize_t)in.size);
                        if (taken < 0) {
                                transcript.fault = operation.fault;
                                free(copy);
                                return transcript;
                        }
                        if (taken == 0) {
                                size_t incomplete_max = VERB_BYTES_MAX + 2 * limits->control_line_bytes_max + 2;
                                assert(needed == 0 || operation.needed == needed);
                                assert(operation.needed == 0 ? in.size <= incomplete_max : in.size < operation.needed);
                                needed = operation.needed;
                                break;
                        }
                        assert(needed == 0 || (size_t)taken == needed);
                        needed = 0;
                        check_operation(&operation);
                        note_operation(&transcript, &operation, (size_t)taken);
                        in = span_skip(in, (size_t)taken);
                }
                free(copy);
        }
        return transcript;
}

static void assert_same(const struct transcript *a, const struct transcript *b)
{
        assert(a->operations_count == b->operations_count);
        assert(a->fault == b->fault);
        assert(a->taken == b->taken);
        assert(a->hash == b->hash);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        if (size < 3)
                return 0;
        struct nats_limits limits = {
                .control_line_bytes_max = 4096, .payload_bytes_max = 1 << 20, .headers = data[0] & 1};
        if (data[0] & 2) {
                limits.control_line_bytes_max = 16;
                limits.payload_bytes_max = 8;
        }
        struct span text = span_of(data + 2, size - 2);
        check_any_key(text);
        struct transcript whole = feed(text, &limits, SIZE_MAX, 0);
        struct transcript split = feed(text, &limits, 1 + data[1] % 32, data[1]);
        assert_same(&whole, &split);
        if (text.size <= 256) {
                split = feed(text, &limits, 1, 0);
                assert_same(&whole, &split);
        }
        return 0;
}
