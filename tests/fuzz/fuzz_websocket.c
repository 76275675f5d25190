/* fuzz_websocket: what a hostile server sends over WebSocket leaves its frames the same however it is cut, and as the
 * plainest reader would take it out of them; the answer to a handshake likewise.
 *
 *      byte 0   bit 0: a handshake's answer, else frames
 *      byte 1   how it is cut */
#include <errno.h>

#include "bench/websocket.h"
#include "tests/fuzz/fuzz.h"
#include "tests/seeded.h"

#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define ROOM 65536

/* What came out: payload of the stream, then of control frames, each with its opcode. */
struct heard {
        uint8_t stream[ROOM], controls[ROOM];
        size_t stream_bytes, controls_bytes;
        bool is_refused;
};

static void add(uint8_t *to, size_t *size, struct span bytes)
{
        if (bytes.size <= ROOM - *size)
                *size = (size_t)(span_copy(to + *size, bytes) - to);
}

static void unframe(struct heard *heard, struct span wire, size_t chunk_max, uint64_t seed)
{
        struct websocket websocket = {0};
        heard->stream_bytes = heard->controls_bytes = 0;
        heard->is_refused = false;
        while (wire.size > 0) {
                size_t chunk = 1 + seeded_below(&seed, chunk_max);
                struct span part = fuzz_bytes(&wire, chunk);
                uint8_t *copy = fuzz_copy(part);
                for (size_t at = 0; at < part.size;) {
                        struct websocket_frame control;
                        struct span body;
                        const char *why = NULL;
                        size_t taken = 0;
                        ssize_t kept =
                                websocket_unframe(&websocket, copy + at, part.size - at, &taken, &control, &body, &why);
                        if (kept < 0) {
                                assert(why != NULL && (kept == -EPROTO || kept == -EMSGSIZE));
                                heard->is_refused = true;
                                free(copy);
                                return;
                        }
                        assert(taken <= part.size - at && (size_t)kept <= taken);
                        add(heard->stream, &heard->stream_bytes, span_of(copy + at, (size_t)kept));
                        at += taken;
                        if (control.opcode != WEBSOCKET_CONTINUATION) {
                                uint8_t opcode = (uint8_t)control.opcode;
                                add(heard->controls, &heard->controls_bytes, span_of(&opcode, 1));
                                add(heard->controls, &heard->controls_bytes, body);
                        } else {
                                assert(at == part.size);
                        }
                }
                free(copy);
        }
}

/* Whole frames only, one after the other, in the words of RFC 6455, section 5.2. */
static void unframe_plainly(struct heard *heard, struct span wire)
{
        bool is_inside = false;
        heard->stream_bytes = heard->controls_bytes = 0;
        heard->is_refused = false;
        while (wire.size > 0) {
                uint8_t first = fuzz_byte(&wire), opcode = first & 15;
                bool is_last = (first & 0x80) != 0, is_control = opcode >= 8;
                if ((first & 0x70) != 0 || (opcode > 2 && opcode < 8) || opcode > 10)
                        goto refused;
                if (wire.size == 0)
                        return;
                uint64_t length = fuzz_byte(&wire);
                if (length >= 128 || (is_control && (length > 125 || !is_last)))
                        goto refused;
                size_t more = length < 126 ? 0 : length == 126 ? 2 : 8;
                if (wire.size < more)
                        return;
                length = more == 0 ? length : 0;
                for (size_t i = 0; i < more; i++)
                        length = length << 8 | fuzz_byte(&wire);
                if (length > (uint64_t)64 << 20)
                        goto refused;
                if (is_control && wire.size < length)
                        return;
                if (!is_control && (opcode == 0) != is_inside)
                        goto refused;
                if (!is_control)
                        is_inside = !is_last;
                if (is_control)
                        add(heard->controls, &heard->controls_bytes, span_of(&opcode, 1));
                struct span payload = fuzz_bytes(&wire, length);
                if (is_control)
                        add(heard->controls, &heard->controls_bytes, payload);
                else
                        add(heard->stream, &heard->stream_bytes, payload);
        }
        return;
refused:
        heard->is_refused = true;
}

/* The stream in front of what is refused is told or not: a call that refuses tells nothing. */
static void compare(const struct heard *ours, const struct heard *theirs)
{
        assert(ours->is_refused == theirs->is_refused);
        assert(ours->is_refused ? ours->stream_bytes <= theirs->stream_bytes
                                : ours->stream_bytes == theirs->stream_bytes);
        assert(memcmp(ours->stream, theirs->stream, ours->stream_bytes) == 0);
        assert(ours->controls_bytes == theirs->controls_bytes);
        assert(memcmp(ours->controls, theirs->controls, ours->controls_bytes) == 0);
}

static void check_frames(struct span wire, uint8_t seed)
{
        static struct heard whole, split, plain;
        unframe_plainly(&plain, wire);
        unframe(&whole, wire, SIZE_MAX, 0);
        compare(&whole, &plain);
        unframe(&split, wire, 1 + seed % 16, seed);
        compare(&split, &plain);
        unframe(&split, wire, 1, seed);
        compare(&split, &plain);
}

static void check_writing(struct span payload)
{
        uint8_t header[WEBSOCKET_HEADER_BYTES_MAX], *frame = malloc(payload.size + WEBSOCKET_HEADER_BYTES_MAX);
        struct websocket_frame read;
        const char *why = NULL;
        size_t size = websocket_header_write(header, WEBSOCKET_BINARY, payload.size, false);
        assert(websocket_header_take(span_of(header, size), &read, &why) == (ssize_t)size);
        assert(read.payload_bytes == payload.size && read.is_last && read.opcode == WEBSOCKET_BINARY);
        size = websocket_frame_write(frame, WEBSOCKET_TEXT, payload);
        uint8_t *text = frame + size - payload.size;
        websocket_mask(text, payload.size, text - WEBSOCKET_MASK_BYTES);
        assert(span_equal(span_of(text, payload.size), payload));
        free(frame);
}

static void check_answer(struct span answer)
{
        char why[WEBSOCKET_WHY_BYTES] = "";
        ssize_t whole = websocket_answer_take(answer, KEY, why), before = 0;
        assert(whole <= (ssize_t)answer.size);
        if (whole < 0)
                fuzz_check_line(why);
        for (size_t cut = 0, step = answer.size / 256 + 1; cut < answer.size; cut += step) {
                uint8_t *copy = fuzz_copy(span_of(answer.bytes, cut));
                ssize_t part = websocket_answer_take(span_of(copy, cut), KEY, why);
                assert(before == 0 || part == before);
                assert(part == 0 || part == whole);
                before = part;
                free(copy);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct span input = span_of(data, size < ROOM ? size : ROOM);
        uint8_t kind = fuzz_byte(&input), seed = fuzz_byte(&input);
        if ((kind & 1) != 0) {
                check_answer(input);
        } else {
                check_frames(input, seed);
                check_writing(input);
        }
        return 0;
}
