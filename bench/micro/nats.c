/* micro_nats: what one NATS operation costs in and out, in nanoseconds: the median of several runs, warm caches, one
 * thread. Prints one line a case; use it to compare two versions on one machine, not two machines. */
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/clock.h"
#include "io/wire/nats.h"

#define RUNS 31
#define CALLS 200000

static const struct nats_limits limits = {
        .control_line_bytes_max = 4096, .payload_bytes_max = 1 << 20, .headers = true};
static uint8_t buffer[65536];
static struct span text;
static struct event event;

/* Keeps the compiler from computing a loop's result once. */
static void touch(const void *pointer)
{
        __asm__ volatile("" : : "r"(pointer) : "memory");
}

static void decode_one(void)
{
        struct nats_operation operation;
        ssize_t size = nats_decode(text, &limits, &operation);
        assert(size == (ssize_t)text.size);
        touch(&operation);
}

static void write_one(void)
{
        struct span sid = SPAN("12");
        touch(&sid);
        size_t bound = nats_message_bound(&event, sid);
        touch(&bound);
        size_t size = nats_message_write(buffer, &event, sid);
        assert(size <= bound);
        touch(buffer);
}

static int by_value(const void *a, const void *b)
{
        double left = *(const double *)a;
        double right = *(const double *)b;
        return (left > right) - (left < right);
}

static void measure(const char *name, void (*one)(void))
{
        double ns[RUNS];
        for (int run = 0; run < RUNS; run++) {
                uint64_t start = clock_monotonic_ns();
                for (int call = 0; call < CALLS; call++)
                        one();
                ns[run] = (double)(clock_monotonic_ns() - start) / CALLS;
        }
        qsort(ns, RUNS, sizeof(ns[0]), by_value);
        printf("%-44s %6.1f ns  (least %.1f)\n", name, ns[RUNS / 2], ns[0]);
}

static struct span operation_text(const char *line, size_t payload_size)
{
        static uint8_t bytes[4096];
        size_t size = strlen(line);
        memcpy(bytes, line, size);
        memset(bytes + size, 'x', payload_size);
        memcpy(bytes + size + payload_size, "\r\n", 2);
        return span_of(bytes, size + payload_size + 2);
}

int main(void)
{
        static const uint8_t payload[1024];
        text = operation_text("PUB bench.subject 128\r\n", 128);
        measure("decode PUB bench.subject 128", decode_one);
        text = operation_text("PUB bench.subject _INBOX.abcdefghijklmnopqrstuv.1 128\r\n", 128);
        measure("decode PUB with a reply", decode_one);
        text = operation_text("HPUB bench.subject 26 154\r\n", 154);
        measure("decode HPUB bench.subject 26 154", decode_one);
        text = SPAN("PING\r\n");
        measure("decode PING", decode_one);
        text = SPAN("SUB bench.subject workers 12\r\n");
        measure("decode SUB with a queue", decode_one);

        event = (struct event){.subject = SPAN("bench.subject"), .payload = span_of(payload, 0)};
        measure("bound and write MSG, no payload", write_one);
        event.payload.size = 128;
        measure("bound and write MSG, 128 bytes", write_one);
        event.payload.size = 1024;
        measure("bound and write MSG, 1024 bytes", write_one);
        event.payload.size = 128;
        event.headers = SPAN("NATS/1.0\r\nTrace: 12345\r\n\r\n");
        measure("bound and write HMSG, 26 and 128 bytes", write_one);
        return 0;
}
