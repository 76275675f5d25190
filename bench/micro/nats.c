/* micro_nats: what one NATS operation costs in and out. The rivals are what anyone writes first: strtok_r() and
 * strtoull() over a copy of the line to read, snprintf() to write. The limit of a MSG is the copy of its payload. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/micro/micro.h"
#include "io/wire/nats.h"

#define LINE_BYTES_MAX 256

static const struct nats_limits limits = {
        .control_line_bytes_max = 4096, .payload_bytes_max = 1 << 20, .headers = true};

struct text {
        uint8_t bytes[4096];
        size_t size;
};

static uint8_t buffer[65536];

static void decode(void *context, uint64_t operations)
{
        const struct text *text = context;
        for (uint64_t i = 0; i < operations; i++) {
                struct nats_operation operation;
                ssize_t size = nats_decode(span_of(text->bytes, text->size), &limits, &operation);
                assert(size == (ssize_t)text->size);
                micro_use(&operation);
        }
}

/* Checks nothing and bounds nothing beyond its own line. */
static void tokenize(void *context, uint64_t operations)
{
        const struct text *text = context;
        for (uint64_t i = 0; i < operations; i++) {
                char line[LINE_BYTES_MAX];
                const uint8_t *end = memchr(text->bytes, '\r', text->size);
                size_t size = (size_t)(end - text->bytes);
                memcpy(line, text->bytes, size);
                line[size] = '\0';
                char *rest;
                char *last = strtok_r(line, " ", &rest);
                for (char *word = last; word != NULL; word = strtok_r(NULL, " ", &rest))
                        last = word;
                unsigned long long payload_bytes = strtoull(last, NULL, 10);
                micro_use(&payload_bytes);
        }
}

static void write_message(void *context, uint64_t operations)
{
        const struct event *event = context;
        for (uint64_t i = 0; i < operations; i++) {
                struct span sid = SPAN("12");
                micro_use(&sid);
                size_t bound = nats_message_bound(event, sid);
                micro_use(&bound);
                size_t size = nats_message_write(buffer, event, sid);
                assert(size <= bound);
                micro_use(buffer);
        }
}

static void print_message(void *context, uint64_t operations)
{
        const struct event *event = context;
        for (uint64_t i = 0; i < operations; i++) {
                int size = snprintf((char *)buffer, sizeof(buffer), "MSG %.*s %s %zu\r\n", (int)event->subject.size,
                                    (const char *)event->subject.bytes, "12", event->payload.size);
                memcpy(buffer + size, event->payload.bytes, event->payload.size);
                memcpy(buffer + size + event->payload.size, "\r\n", 2);
                micro_use(buffer);
        }
}

static void copy_payload(void *context, uint64_t operations)
{
        const struct event *event = context;
        for (uint64_t i = 0; i < operations; i++) {
                memcpy(buffer, event->payload.bytes, event->payload.size);
                micro_use(buffer);
        }
}

static struct text text_of(const char *line, size_t payload_bytes)
{
        struct text text = {.size = strlen(line)};
        memcpy(text.bytes, line, text.size);
        if (payload_bytes != 0) {
                memset(text.bytes + text.size, 'x', payload_bytes);
                memcpy(text.bytes + text.size + payload_bytes, "\r\n", 2);
                text.size += payload_bytes + 2;
        }
        return text;
}

int main(int argc, char **argv)
{
        static const uint8_t payload[1024];
        static struct text pub, pub_reply, hpub, ping, sub;
        pub = text_of("PUB bench.subject 128\r\n", 128);
        pub_reply = text_of("PUB bench.subject _INBOX.abcdefghijklmnopqrstuv.1 128\r\n", 128);
        hpub = text_of("HPUB bench.subject 26 154\r\n", 154);
        ping = text_of("PING\r\n", 0);
        sub = text_of("SUB bench.subject workers 12\r\n", 0);
        static struct event empty, small, large, headed;
        empty = (struct event){.subject = SPAN("bench.subject"), .payload = span_of(payload, 0)};
        small = (struct event){.subject = SPAN("bench.subject"), .payload = span_of(payload, 128)};
        large = (struct event){.subject = SPAN("bench.subject"), .payload = span_of(payload, 1024)};
        headed = small;
        headed.headers = SPAN("NATS/1.0\r\nTrace: 12345\r\n\r\n");
        const struct micro_row rows[] = {
                {"strtok: PUB", tokenize, &pub, NULL, 0, false, false, NULL, NULL},
                {"decode PUB", decode, &pub, "strtok: PUB", 0, false, false, NULL, NULL},
                {"strtok: PUB with a reply", tokenize, &pub_reply, NULL, 0, false, false, NULL, NULL},
                {"decode PUB with a reply", decode, &pub_reply, "strtok: PUB with a reply", 0, false, false, NULL,
                 NULL},
                {"decode HPUB", decode, &hpub, NULL, 0, false, false, NULL, NULL},
                {"decode PING", decode, &ping, NULL, 0, false, false, NULL, NULL},
                {"decode SUB with a queue", decode, &sub, NULL, 0, false, false, NULL, NULL},
                {"write MSG, no payload", write_message, &empty, NULL, 0, false, false, NULL, NULL},
                {"copy 128 bytes", copy_payload, &small, NULL, 0, false, false, NULL, NULL},
                {"snprintf: MSG, 128 bytes", print_message, &small, NULL, 0, false, false, NULL, NULL},
                {"write MSG, 128 bytes", write_message, &small, "snprintf: MSG, 128 bytes", 0, false, false, NULL,
                 NULL},
                {"copy 1024 bytes", copy_payload, &large, NULL, 0, false, false, NULL, NULL},
                {"write MSG, 1024 bytes", write_message, &large, "copy 1024 bytes", 0, false, false, NULL, NULL},
                {"write HMSG, 26 and 128 bytes", write_message, &headed, "write MSG, 128 bytes", 0, false, false, NULL,
                 NULL},
        };
        return micro_main(argc, argv, "nats", rows, array_count(rows));
}
