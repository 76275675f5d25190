/* incoming: a verb, its arguments, and for MSG and HMSG a body of a told size. See the header. */
#include "engine/cli/incoming.h"

#include <errno.h>
#include <strings.h>

#define ARGUMENTS_MAX 6 /* one more than any operation has */

static const struct verb {
        struct span text;
        enum incoming_kind kind;
        bool has_headers;
} verbs[] = {
        {{(const uint8_t *)"MSG", 3}, INCOMING_MESSAGE, false}, {{(const uint8_t *)"HMSG", 4}, INCOMING_MESSAGE, true},
        {{(const uint8_t *)"INFO", 4}, INCOMING_INFO, false},   {{(const uint8_t *)"PING", 4}, INCOMING_PING, false},
        {{(const uint8_t *)"PONG", 4}, INCOMING_PONG, false},   {{(const uint8_t *)"+OK", 3}, INCOMING_OK, false},
        {{(const uint8_t *)"-ERR", 4}, INCOMING_ERROR, false},
};

static bool is_blank(uint8_t byte)
{
        return byte == ' ' || byte == '\t';
}

static struct span trim(struct span span)
{
        while (span.size > 0 && is_blank(span.bytes[0]))
                span = span_skip(span, 1);
        while (span.size > 0 && (is_blank(span.bytes[span.size - 1]) || span.bytes[span.size - 1] == '\r'))
                span.size--;
        return span;
}

/* The verb that `in` starts with. When `in` is shorter than a verb that it may become, *is_open says so. */
static const struct verb *find_verb(struct span in, bool *is_open)
{
        *is_open = false;
        for (size_t i = 0; i < array_count(verbs); i++) {
                struct span text = verbs[i].text;
                size_t size = in.size < text.size ? in.size : text.size;
                if (strncasecmp((const char *)in.bytes, (const char *)text.bytes, size) != 0)
                        continue;
                if (in.size <= text.size)
                        *is_open = true; /* what ends the verb is still to come */
                else if (is_blank(in.bytes[text.size]) || in.bytes[text.size] == '\r' || in.bytes[text.size] == '\n')
                        return &verbs[i];
        }
        return NULL;
}

static size_t split(struct span line, struct span arguments[ARGUMENTS_MAX])
{
        size_t count = 0;
        for (line = trim(line); line.size > 0 && count < ARGUMENTS_MAX; line = trim(line)) {
                size_t size = 0;
                while (size < line.size && !is_blank(line.bytes[size]))
                        size++;
                arguments[count++] = span_of(line.bytes, size);
                line = span_skip(line, size);
        }
        return count;
}

static bool read_size(struct span digits, size_t *size)
{
        *size = 0;
        for (size_t i = 0; i < digits.size; i++) {
                if (digits.bytes[i] < '0' || digits.bytes[i] > '9' || *size > INCOMING_BODY_BYTES_MAX)
                        return false;
                *size = *size * 10 + (size_t)(digits.bytes[i] - '0');
        }
        return digits.size > 0;
}

/*      MSG  subject sid [reply]              size\r\n payload\r\n
 *      HMSG subject sid [reply] headers_size size\r\n headers payload\r\n      (size counts both) */
static ssize_t decode_message(struct span in, struct span line, size_t line_bytes, bool has_headers,
                              struct incoming *incoming)
{
        struct span arguments[ARGUMENTS_MAX];
        size_t count = split(line, arguments), fixed = has_headers ? 4 : 3, headers_bytes = 0, body_bytes;
        if (count != fixed && count != fixed + 1)
                return -EPROTO;
        if (!read_size(arguments[count - 1], &body_bytes))
                return -EPROTO;
        if (has_headers && (!read_size(arguments[count - 2], &headers_bytes) || headers_bytes > body_bytes))
                return -EPROTO;
        if (body_bytes > INCOMING_BODY_BYTES_MAX)
                return -EMSGSIZE;
        struct span body = span_skip(in, line_bytes);
        if (body.size < body_bytes + 2)
                return 0;
        if (body.bytes[body_bytes] != '\r' || body.bytes[body_bytes + 1] != '\n')
                return -EPROTO;
        incoming->subject = arguments[0];
        incoming->sid = arguments[1];
        incoming->reply = count > fixed ? arguments[2] : SPAN_NONE;
        incoming->headers = span_of(body.bytes, headers_bytes);
        incoming->payload = span_of(body.bytes + headers_bytes, body_bytes - headers_bytes);
        return (ssize_t)(line_bytes + body_bytes + 2);
}

ssize_t incoming_decode(struct span in, struct incoming *incoming)
{
        bool is_open;
        *incoming = (struct incoming){0};
        if (in.size == 0)
                return 0;
        const struct verb *verb = find_verb(in, &is_open);
        if (verb == NULL)
                return is_open ? 0 : -EPROTO;
        const uint8_t *end =
                memchr(in.bytes, '\n', in.size < INCOMING_LINE_BYTES_MAX ? in.size : INCOMING_LINE_BYTES_MAX);
        if (end == NULL)
                return in.size < INCOMING_LINE_BYTES_MAX ? 0 : -EMSGSIZE;
        size_t line_bytes = (size_t)(end - in.bytes) + 1;
        struct span line = trim(span_of(in.bytes + verb->text.size, line_bytes - 1 - verb->text.size));
        incoming->kind = verb->kind;
        if (verb->kind == INCOMING_MESSAGE)
                return decode_message(in, line, line_bytes, verb->has_headers, incoming);
        if (verb->kind == INCOMING_ERROR && line.size >= 2 && line.bytes[0] == '\'' &&
            line.bytes[line.size - 1] == '\'')
                line = span_of(line.bytes + 1, line.size - 2);
        incoming->argument = line;
        return (ssize_t)line_bytes;
}

int incoming_status(struct span headers)
{
        int status = 0;
        if (!span_starts_with(headers, SPAN("NATS/1.0 ")))
                return 0;
        headers = trim(span_skip(headers, strlen("NATS/1.0 ")));
        for (size_t i = 0; i < 3; i++) {
                if (i >= headers.size || headers.bytes[i] < '0' || headers.bytes[i] > '9')
                        return 0;
                status = status * 10 + (headers.bytes[i] - '0');
        }
        return status;
}

bool incoming_next_header(struct span *headers, struct span *name, struct span *value)
{
        while (headers->size > 0) {
                const uint8_t *end = memchr(headers->bytes, '\n', headers->size);
                size_t size = end == NULL ? headers->size : (size_t)(end - headers->bytes) + 1;
                struct span line = span_of(headers->bytes, end == NULL ? size : size - 1);
                *headers = span_skip(*headers, size);
                const uint8_t *colon = line.size == 0 ? NULL : memchr(line.bytes, ':', line.size);
                if (colon == NULL) /* the first line, or the empty one at the end */
                        continue;
                *name = span_of(line.bytes, (size_t)(colon - line.bytes));
                *value = trim(span_skip(line, name->size + 1));
                return true;
        }
        return false;
}
