/* shape: see shape.h. */
#include "bench/shape.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define LINE_BYTES_MAX (64 * 1024)
#define BODY_BYTES_MAX (64 * 1024 * 1024)
#define ARRAY_ITEMS_MAX 16

static void shape_close(struct shape *shape, int header_bytes, uint32_t payload_bytes, uint32_t trailer_bytes)
{
        assert(header_bytes > 0);
        assert(header_bytes < SHAPE_HEADER_BYTES_MAX);
        assert(payload_bytes >= STAMP_BYTES);
        shape->header_bytes = (uint32_t)header_bytes;
        shape->payload_bytes = payload_bytes;
        shape->trailer_bytes = trailer_bytes;
        shape->frame_bytes = shape->header_bytes + payload_bytes + trailer_bytes;
        shape->mask_at = 0;
        memset(&shape->last_lane, 0, sizeof(shape->last_lane));
        memset(&shape->last_lane, 0xff,
               shape->header_bytes < sizeof(shape->last_lane) ? shape->header_bytes : sizeof(shape->last_lane));
}

void shape_delivery(struct shape *shape, enum protocol protocol, const char *subject, const char *pattern,
                    uint32_t payload_bytes)
{
        char *to = (char *)shape->header;
        int size;
        if (protocol == PROTOCOL_MESSAGE) {
                size = (int)websocket_header_write(shape->header, WEBSOCKET_BINARY, payload_bytes, false);
                shape_close(shape, size, payload_bytes, 0);
                return;
        }
        if (protocol == PROTOCOL_NATS)
                size = snprintf(to, SHAPE_HEADER_BYTES_MAX, "MSG %s 1 %u\r\n", subject, payload_bytes);
        else if (strcmp(subject, pattern) == 0)
                size = snprintf(to, SHAPE_HEADER_BYTES_MAX, "*3\r\n$7\r\nmessage\r\n$%zu\r\n%s\r\n$%u\r\n",
                                strlen(subject), subject, payload_bytes);
        else
                size = snprintf(to, SHAPE_HEADER_BYTES_MAX,
                                "*4\r\n$8\r\npmessage\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n$%u\r\n", strlen(pattern), pattern,
                                strlen(subject), subject, payload_bytes);
        shape_close(shape, size, payload_bytes, 2);
}

void shape_publish(struct shape *shape, enum protocol protocol, const char *subject, uint32_t payload_bytes)
{
        char *to = (char *)shape->header;
        int size;
        if (protocol == PROTOCOL_MESSAGE) {
                size = (int)websocket_header_write(shape->header, WEBSOCKET_BINARY, payload_bytes, true);
                shape_close(shape, size, payload_bytes, 0);
                shape->mask_at = shape->header_bytes - WEBSOCKET_MASK_BYTES;
                return;
        }
        if (protocol == PROTOCOL_NATS)
                size = snprintf(to, SHAPE_HEADER_BYTES_MAX, "PUB %s %u\r\n", subject, payload_bytes);
        else
                size = snprintf(to, SHAPE_HEADER_BYTES_MAX, "*3\r\n$7\r\nPUBLISH\r\n$%zu\r\n%s\r\n$%u\r\n",
                                strlen(subject), subject, payload_bytes);
        shape_close(shape, size, payload_bytes, 2);
}

void shape_post(struct shape *shape, const char *host, const char *path, uint32_t payload_bytes)
{
        int size = snprintf((char *)shape->header, SHAPE_HEADER_BYTES_MAX,
                            "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/octet-stream\r\n"
                            "Content-Length: %u\r\n\r\n",
                            path, host, payload_bytes);
        shape_close(shape, size, payload_bytes, 0);
}

void shape_wrap(struct shape *shape)
{
        uint8_t wrapper[WEBSOCKET_HEADER_BYTES_MAX];
        assert(shape->mask_at == 0);
        size_t size = websocket_header_write(wrapper, WEBSOCKET_BINARY, shape->frame_bytes, true);
        uint32_t header_bytes = (uint32_t)size + shape->header_bytes;
        assert(header_bytes < SHAPE_HEADER_BYTES_MAX);
        memmove(shape->header + size, shape->header, shape->header_bytes);
        memcpy(shape->header, wrapper, size);
        shape_close(shape, (int)header_bytes, shape->payload_bytes, shape->trailer_bytes);
        shape->mask_at = (uint32_t)size - WEBSOCKET_MASK_BYTES;
}

size_t shape_render(const struct shape *shape, uint8_t *to, uint64_t seed)
{
        memcpy(to, shape->header, shape->header_bytes);
        uint8_t *payload = to + shape->header_bytes;
        for (uint32_t i = 0; i < shape->payload_bytes; i++) {
                seed = seed * 6364136223846793005u + 1442695040888963407u;
                payload[i] = (uint8_t)(seed >> 56);
        }
        memcpy(payload + shape->payload_bytes, "\r\n", shape->trailer_bytes);
        return shape->frame_bytes;
}

uint64_t check_sum(const uint8_t *payload, uint32_t payload_bytes)
{
        return XXH3_64bits(payload, payload_bytes - CHECK_BYTES);
}

/* The line at the start of `input` without its end; what it takes with it, 0 when it is not whole. */
static ssize_t line_take(struct span input, struct span *line)
{
        if (input.size == 0)
                return 0;
        size_t seen = input.size < LINE_BYTES_MAX ? input.size : LINE_BYTES_MAX;
        const uint8_t *end = memchr(input.bytes, '\n', seen);
        if (end == NULL)
                return seen == LINE_BYTES_MAX ? -EPROTO : 0;
        size_t size = (size_t)(end - input.bytes);
        *line = span_of(input.bytes, size > 0 && end[-1] == '\r' ? size - 1 : size);
        return (ssize_t)size + 1;
}

/* Decimal digits to a number; -1 when there is anything else or nothing. */
static int64_t number_of(struct span text)
{
        int64_t value = 0;
        if (text.size == 0 || text.size > 9)
                return -1;
        for (size_t i = 0; i < text.size; i++) {
                if (text.bytes[i] < '0' || text.bytes[i] > '9')
                        return -1;
                value = value * 10 + (text.bytes[i] - '0');
        }
        return value;
}

/* The next word of `text`, which moves behind it. */
static struct span word_take(struct span *text)
{
        while (text->size != 0 && text->bytes[0] == ' ')
                *text = span_skip(*text, 1);
        size_t size = 0;
        while (size < text->size && text->bytes[size] != ' ')
                size++;
        struct span word = span_of(text->bytes, size);
        *text = span_skip(*text, size);
        return word;
}

/* `size` bytes and the \r\n behind them. */
static ssize_t body_take(struct span input, int64_t size, struct span *body)
{
        if (size < 0 || size > BODY_BYTES_MAX)
                return -EPROTO;
        size_t whole = (size_t)size + 2;
        if (input.size < whole)
                return 0;
        if (memcmp(input.bytes + size, "\r\n", 2) != 0)
                return -EPROTO;
        *body = span_of(input.bytes, (size_t)size);
        return (ssize_t)whole;
}

static ssize_t nats_take(struct span input, struct unit *unit)
{
        struct span line = SPAN_NONE;
        ssize_t taken = line_take(input, &line);
        if (taken <= 0)
                return taken;
        *unit = (struct unit){.kind = UNIT_OTHER};
        if (span_starts_with(line, SPAN("MSG "))) {
                struct span rest = span_skip(line, 4);
                struct span size = SPAN_NONE;
                int words = 0;
                for (struct span word = word_take(&rest); word.size != 0; word = word_take(&rest)) {
                        if (words == 0)
                                unit->subject = word;
                        else if (words == 1)
                                unit->sid = word;
                        words++;
                        size = word;
                }
                if (words < 3 || words > 4)
                        return -EPROTO;
                ssize_t body = body_take(span_skip(input, (size_t)taken), number_of(size), &unit->body);
                unit->kind = UNIT_MESSAGE;
                return body <= 0 ? body : taken + body;
        }
        if (span_equal(line, SPAN("PING")))
                unit->kind = UNIT_PING;
        else if (span_equal(line, SPAN("PONG")))
                unit->kind = UNIT_PONG;
        else if (span_starts_with(line, SPAN("-ERR"))) {
                unit->kind = UNIT_ERROR;
                unit->body = line;
        } else if (span_starts_with(line, SPAN("INFO ")))
                unit->body = line;
        else if (!span_equal(line, SPAN("+OK")))
                return -EPROTO;
        return taken;
}

/* One bulk string or number of an array. */
static ssize_t item_take(struct span input, struct span *item)
{
        struct span line = SPAN_NONE;
        ssize_t taken = line_take(input, &line);
        if (taken <= 0)
                return taken;
        if (line.size > 1 && line.bytes[0] == ':') {
                *item = span_skip(line, 1);
                return taken;
        }
        if (line.size < 2 || line.bytes[0] != '$')
                return -EPROTO;
        ssize_t body = body_take(span_skip(input, (size_t)taken), number_of(span_skip(line, 1)), item);
        return body <= 0 ? body : taken + body;
}

static ssize_t array_take(struct span input, size_t at, int64_t items_count, struct unit *unit)
{
        struct span items[ARRAY_ITEMS_MAX];
        if (items_count < 1 || items_count > ARRAY_ITEMS_MAX)
                return -EPROTO;
        for (int64_t i = 0; i < items_count; i++) {
                ssize_t taken = item_take(span_skip(input, at), &items[i]);
                if (taken <= 0)
                        return taken;
                at += (size_t)taken;
        }
        if (items_count == 3 && span_equal(items[0], SPAN("message"))) {
                *unit = (struct unit){UNIT_MESSAGE, .subject = items[1], .body = items[2]};
        } else if (items_count == 4 && span_equal(items[0], SPAN("pmessage"))) {
                *unit = (struct unit){UNIT_MESSAGE, .subject = items[2], .body = items[3]};
        } else if (span_equal(items[0], SPAN("subscribe")) || span_equal(items[0], SPAN("psubscribe"))) {
                unit->kind = UNIT_SUBSCRIBED;
        } else if (span_equal(items[0], SPAN("pong"))) {
                unit->kind = UNIT_PONG;
        }
        return (ssize_t)at;
}

static ssize_t resp_take(struct span input, struct unit *unit)
{
        struct span line = SPAN_NONE;
        ssize_t taken = line_take(input, &line);
        if (taken <= 0)
                return taken;
        *unit = (struct unit){.kind = UNIT_OTHER};
        if (line.size == 0)
                return -EPROTO;
        switch (line.bytes[0]) {
        case ':':
                return taken;
        case '+':
                if (span_equal(line, SPAN("+PONG")))
                        unit->kind = UNIT_PONG;
                return taken;
        case '-':
                unit->kind = UNIT_ERROR;
                unit->body = line;
                return taken;
        case '*':
                return array_take(input, (size_t)taken, number_of(span_skip(line, 1)), unit);
        default:
                return -EPROTO;
        }
}

/* One frame: a whole message, a piece of one, or what the connection itself has to say. */
static ssize_t frame_take(struct span input, struct unit *unit)
{
        *unit = (struct unit){.kind = UNIT_OTHER};
        ssize_t header = websocket_header_take(input, &unit->frame, &unit->why);
        if (header <= 0)
                return header;
        size_t whole = (size_t)header + unit->frame.payload_bytes;
        if (input.size < whole)
                return 0;
        unit->body = span_of(input.bytes + header, (size_t)unit->frame.payload_bytes);
        if (unit->frame.opcode == WEBSOCKET_PING)
                unit->kind = UNIT_PING;
        else if (unit->frame.opcode == WEBSOCKET_CLOSE)
                unit->kind = UNIT_CLOSE;
        else if (!websocket_is_control(unit->frame.opcode))
                unit->kind =
                        unit->frame.is_last && unit->frame.opcode != WEBSOCKET_CONTINUATION ? UNIT_MESSAGE : UNIT_PART;
        return (ssize_t)whole;
}

/* The answer to a POST. What is in its body does not matter, but it must be known where it ends. */
static ssize_t answer_take(struct span input, struct unit *unit)
{
        struct span line = SPAN_NONE;
        ssize_t taken = line_take(input, &line);
        if (taken <= 0)
                return taken;
        *unit = (struct unit){.kind = UNIT_OTHER, .body = line};
        if (!span_starts_with(line, SPAN("HTTP/1.1 ")) || line.size < strlen("HTTP/1.1 200"))
                return -EPROTO;
        unit->kind = line.bytes[9] == '2' ? UNIT_OTHER : UNIT_ERROR;
        bool has_body = !span_starts_with(line, SPAN("HTTP/1.1 204"));
        int64_t body_bytes = -1;
        size_t at = (size_t)taken;
        for (;;) {
                static const char length[] = "content-length:";
                taken = line_take(span_skip(input, at), &line);
                if (taken <= 0)
                        return taken;
                at += (size_t)taken;
                if (line.size == 0)
                        break;
                if (line.size > strlen(length) && strncasecmp((const char *)line.bytes, length, strlen(length)) == 0) {
                        struct span rest = span_skip(line, strlen(length));
                        body_bytes = number_of(word_take(&rest));
                }
        }
        if (!has_body)
                return (ssize_t)at;
        if (body_bytes < 0 || body_bytes > BODY_BYTES_MAX) {
                unit->why = "an answer to POST without a Content-Length";
                return -EPROTO;
        }
        return input.size - at < (size_t)body_bytes ? 0 : (ssize_t)(at + (size_t)body_bytes);
}

ssize_t unit_take(enum protocol protocol, struct span input, struct unit *unit)
{
        unit->why = NULL;
        switch (protocol) {
        case PROTOCOL_NATS:
                return nats_take(input, unit);
        case PROTOCOL_RESP:
                return resp_take(input, unit);
        case PROTOCOL_MESSAGE:
                return frame_take(input, unit);
        case PROTOCOL_HTTP:
                return answer_take(input, unit);
        }
        return -EPROTO;
}
