/* websocket: see websocket.h. */
#include "bench/websocket.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "engine/base/random.h"
#include "engine/base/sha1.h"

#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" /* 1.3 */
#define ANSWER_BYTES_MAX 16384
#define FIN 0x80
#define RESERVED 0x70
#define MASKED 0x80
#define LENGTH_16 126
#define LENGTH_64 127

static void base64_write(const uint8_t *bytes, size_t size, char *to)
{
        static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        for (size_t i = 0; i < size; i += 3) {
                uint32_t word = (uint32_t)bytes[i] << 16;
                word |= i + 1 < size ? (uint32_t)bytes[i + 1] << 8 : 0;
                word |= i + 2 < size ? bytes[i + 2] : 0;
                *to++ = digits[word >> 18];
                *to++ = digits[word >> 12 & 63];
                *to++ = i + 1 < size ? digits[word >> 6 & 63] : '=';
                *to++ = i + 2 < size ? digits[word & 63] : '=';
        }
        *to = '\0';
}

void websocket_key_draw(char key[WEBSOCKET_KEY_BYTES])
{
        uint8_t bytes[16];
        random_secret(bytes, sizeof(bytes));
        base64_write(bytes, sizeof(bytes), key);
}

void websocket_accept(const char *key, char accept[WEBSOCKET_ACCEPT_BYTES])
{
        char text[WEBSOCKET_KEY_BYTES + sizeof(GUID)];
        uint8_t digest[SHA1_BYTES];
        int size = snprintf(text, sizeof(text), "%s" GUID, key);
        sha1(span_of(text, (size_t)size), digest);
        base64_write(digest, sizeof(digest), accept);
}

int websocket_request_write(char *to, size_t room, const char *host, const char *path, const char *key)
{
        return snprintf(to, room,
                        "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\nUser-Agent: spate-bench\r\n\r\n",
                        path, host, key);
}

/* The value of the header `name` in `head`, without blanks around it; false: it is not there. */
static bool header_find(struct span head, const char *name, struct span *value)
{
        size_t name_bytes = strlen(name);
        while (head.size != 0) {
                const uint8_t *end = memchr(head.bytes, '\n', head.size);
                size_t size = end == NULL ? head.size : (size_t)(end - head.bytes) + 1;
                struct span line = span_of(head.bytes, size);
                head = span_skip(head, size);
                if (line.size <= name_bytes || line.bytes[name_bytes] != ':' ||
                    strncasecmp((const char *)line.bytes, name, name_bytes) != 0)
                        continue;
                line = span_skip(line, name_bytes + 1);
                while (line.size != 0 && isspace(line.bytes[0]))
                        line = span_skip(line, 1);
                while (line.size != 0 && isspace(line.bytes[line.size - 1]))
                        line.size--;
                *value = line;
                return true;
        }
        return false;
}

/* Is `word` one of the comma-separated words of `list`, in any case? */
static bool list_has(struct span list, const char *word)
{
        size_t word_bytes = strlen(word);
        while (list.size != 0) {
                size_t size = 0;
                while (size < list.size && list.bytes[size] != ',')
                        size++;
                struct span item = span_of(list.bytes, size);
                list = span_skip(list, size == list.size ? size : size + 1);
                while (item.size != 0 && item.bytes[0] == ' ')
                        item = span_skip(item, 1);
                while (item.size != 0 && item.bytes[item.size - 1] == ' ')
                        item.size--;
                if (item.size == word_bytes && strncasecmp((const char *)item.bytes, word, word_bytes) == 0)
                        return true;
        }
        return false;
}

static int refuse(char *why, const char *text, struct span what)
{
        snprintf(why, WEBSOCKET_WHY_BYTES, "%s%.*s", text, (int)(what.size > 80 ? 80 : what.size),
                 (const char *)what.bytes);
        for (char *at = why; *at != '\0'; at++)
                if ((unsigned char)*at < ' ' || (unsigned char)*at >= 0x7f)
                        *at = '?';
        return -EPROTO;
}

ssize_t websocket_answer_take(struct span input, const char *key, char why[WEBSOCKET_WHY_BYTES])
{
        static const char start[] = "HTTP/1.1 ";
        char accept[WEBSOCKET_ACCEPT_BYTES];
        struct span value = SPAN_NONE;
        size_t compared = input.size < sizeof(start) - 1 ? input.size : sizeof(start) - 1;
        if (memcmp(input.bytes, start, compared) != 0)
                return refuse(why, "it does not answer as an HTTP server: ", input);
        const uint8_t *end = memmem(input.bytes, input.size, "\r\n\r\n", 4);
        if (end == NULL)
                return input.size > ANSWER_BYTES_MAX ? refuse(why, "the head of its answer has no end", SPAN("")) : 0;
        struct span head = span_of(input.bytes, (size_t)(end - input.bytes) + 2);
        struct span status = span_of(head.bytes, (size_t)((uint8_t *)memchr(head.bytes, '\r', head.size) - head.bytes));
        if (!span_starts_with(status, SPAN("HTTP/1.1 101")))
                return refuse(why, "it does not switch to WebSocket: ", status);
        if (!header_find(head, "Upgrade", &value) || !list_has(value, "websocket"))
                return refuse(why, "its answer has no 'Upgrade: websocket'", SPAN(""));
        if (!header_find(head, "Connection", &value) || !list_has(value, "Upgrade"))
                return refuse(why, "its answer has no 'Connection: Upgrade'", SPAN(""));
        websocket_accept(key, accept);
        if (!header_find(head, "Sec-WebSocket-Accept", &value))
                return refuse(why, "its answer has no Sec-WebSocket-Accept", SPAN(""));
        if (!span_equal(value, span_of(accept, strlen(accept))))
                return refuse(why, "its Sec-WebSocket-Accept is not that of our key: ", value);
        if (header_find(head, "Sec-WebSocket-Extensions", &value) && value.size != 0)
                return refuse(why, "it uses an extension that we have not offered: ", value);
        if (header_find(head, "Sec-WebSocket-Protocol", &value))
                return refuse(why, "it chose a subprotocol that we have not offered: ", value);
        return end + 4 - input.bytes;
}

size_t websocket_header_write(uint8_t to[WEBSOCKET_HEADER_BYTES_MAX], enum websocket_opcode opcode,
                              uint64_t payload_bytes, bool is_masked)
{
        unsigned length_bytes = payload_bytes < LENGTH_16 ? 0 : payload_bytes <= UINT16_MAX ? 2 : 8;
        size_t size = 0;
        to[size++] = (uint8_t)(FIN | opcode);
        to[size++] = (uint8_t)((is_masked ? MASKED : 0) | (length_bytes == 0   ? payload_bytes
                                                           : length_bytes == 2 ? LENGTH_16
                                                                               : LENGTH_64));
        for (unsigned i = length_bytes; i > 0; i--)
                to[size++] = (uint8_t)(payload_bytes >> 8 * (i - 1));
        if (is_masked) {
                memset(to + size, 0, WEBSOCKET_MASK_BYTES);
                size += WEBSOCKET_MASK_BYTES;
        }
        return size;
}

void websocket_mask(uint8_t *payload, size_t size, const uint8_t key[WEBSOCKET_MASK_BYTES])
{
        uint64_t wide;
        size_t at = 0;
        memcpy(&wide, key, WEBSOCKET_MASK_BYTES);
        memcpy((uint8_t *)&wide + WEBSOCKET_MASK_BYTES, key, WEBSOCKET_MASK_BYTES);
        for (; at + sizeof(wide) <= size; at += sizeof(wide)) {
                uint64_t word;
                memcpy(&word, payload + at, sizeof(word));
                word ^= wide;
                memcpy(payload + at, &word, sizeof(word));
        }
        for (; at < size; at++)
                payload[at] ^= key[at % WEBSOCKET_MASK_BYTES];
}

uint32_t websocket_random(void)
{
        static struct random random;
        static bool is_seeded;
        if (!is_seeded) {
                uint64_t seed;
                random_secret(&seed, sizeof(seed));
                random_init(&random, seed);
                is_seeded = true;
        }
        return (uint32_t)random_next(&random);
}

size_t websocket_frame_write(uint8_t *to, enum websocket_opcode opcode, struct span payload)
{
        size_t size = websocket_header_write(to, opcode, payload.size, true);
        uint32_t key = websocket_random();
        memcpy(to + size - WEBSOCKET_MASK_BYTES, &key, sizeof(key));
        span_copy(to + size, payload);
        websocket_mask(to + size, payload.size, to + size - WEBSOCKET_MASK_BYTES);
        return size + payload.size;
}

static ssize_t frame_refuse(const char **why, int error, const char *text)
{
        *why = text;
        return error;
}

ssize_t websocket_header_take(struct span input, struct websocket_frame *frame, const char **why)
{
        if (input.size == 0)
                return 0;
        const uint8_t *bytes = input.bytes;
        enum websocket_opcode opcode = (enum websocket_opcode)(bytes[0] & 15);
        if ((bytes[0] & RESERVED) != 0)
                return frame_refuse(why, -EPROTO, "a frame with a reserved bit (RFC 6455, 5.2)");
        if (opcode > WEBSOCKET_PONG || (opcode > WEBSOCKET_BINARY && opcode < WEBSOCKET_CLOSE))
                return frame_refuse(why, -EPROTO, "a frame with a reserved opcode (RFC 6455, 5.2)");
        if (input.size < 2)
                return 0;
        if ((bytes[1] & MASKED) != 0)
                return frame_refuse(why, -EPROTO, "a masked frame, which only a client may send (RFC 6455, 5.1)");
        uint64_t length = bytes[1];
        bool is_whole = (bytes[0] & FIN) != 0;
        if (websocket_is_control(opcode) && (length > WEBSOCKET_CONTROL_BYTES_MAX || !is_whole))
                return frame_refuse(why, -EPROTO, "a control frame that is too long or in pieces (RFC 6455, 5.5)");
        size_t length_bytes = length < LENGTH_16 ? 0 : length == LENGTH_16 ? 2 : 8;
        if (input.size < 2 + length_bytes)
                return 0;
        if (length_bytes != 0) {
                length = 0;
                for (size_t i = 0; i < length_bytes; i++)
                        length = length << 8 | bytes[2 + i];
        }
        if (length > WEBSOCKET_FRAME_BYTES_MAX)
                return frame_refuse(why, -EMSGSIZE, "a frame of more than 64 MiB");
        *frame = (struct websocket_frame){.opcode = opcode, .is_last = is_whole, .payload_bytes = length};
        return (ssize_t)(2 + length_bytes);
}

const char *websocket_follow(struct websocket *websocket, const struct websocket_frame *frame)
{
        if (websocket_is_control(frame->opcode))
                return NULL;
        if (frame->opcode == WEBSOCKET_CONTINUATION && !websocket->is_inside)
                return "the continuation of a message that has not begun (RFC 6455, 5.4)";
        if (frame->opcode != WEBSOCKET_CONTINUATION && websocket->is_inside)
                return "a new message within another (RFC 6455, 5.4)";
        websocket->is_inside = !frame->is_last;
        return NULL;
}

/* Takes what it may of a header, or of a whole control frame, into `held`. 1: `frame` is complete; 0: more is needed.
 */
static ssize_t held_take(struct websocket *websocket, const uint8_t *bytes, size_t size, size_t *at,
                         struct websocket_frame *frame, struct span *body, const char **why)
{
        for (;;) {
                struct span held = span_of(websocket->held, websocket->held_bytes);
                ssize_t header = websocket_header_take(held, frame, why);
                if (header < 0)
                        return header;
                bool is_control = header > 0 && websocket_is_control(frame->opcode);
                if (header > 0 && (!is_control || held.size == (size_t)header + frame->payload_bytes)) {
                        *body = span_of(websocket->held + header, is_control ? (size_t)frame->payload_bytes : 0);
                        websocket->held_bytes = 0;
                        return 1;
                }
                if (*at == size)
                        return 0;
                websocket->held[websocket->held_bytes++] = bytes[(*at)++];
        }
}

ssize_t websocket_unframe(struct websocket *websocket, uint8_t *bytes, size_t size, size_t *taken,
                          struct websocket_frame *control, struct span *body, const char **why)
{
        size_t at = 0;
        size_t kept = 0;
        *control = (struct websocket_frame){0};
        while (at < size) {
                if (websocket->left_bytes != 0) {
                        size_t piece = size - at < websocket->left_bytes ? size - at : (size_t)websocket->left_bytes;
                        if (kept != at)
                                memmove(bytes + kept, bytes + at, piece);
                        kept += piece;
                        at += piece;
                        websocket->left_bytes -= piece;
                        continue;
                }
                struct websocket_frame frame;
                ssize_t whole = held_take(websocket, bytes, size, &at, &frame, body, why);
                if (whole < 0)
                        return whole;
                if (whole == 0)
                        break;
                *why = websocket_follow(websocket, &frame);
                if (*why != NULL)
                        return -EPROTO;
                if (websocket_is_control(frame.opcode)) {
                        *control = frame;
                        break;
                }
                websocket->left_bytes = frame.payload_bytes;
        }
        *taken = at;
        return (ssize_t)kept;
}
