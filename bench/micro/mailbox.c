/* micro_mailbox: what a record costs from one core to another, in nanoseconds: the median of several runs. Two threads
 * on two cores, each in turns as reactors have them: the sender publishes after a batch, the receiver reads all that is
 * there, every byte of it, and releases. And the same on one thread: then nothing crosses, and it is the work alone.
 * Prints one line a case; use it to compare two versions on one machine, not two machines.
 *
 *      micro_mailbox [RING_BYTES]      default: what a reactor has */
#include <ck_pr.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/clock.h"
#include "engine/mailbox.h"

#define RUNS 15
#define BATCH 64 /* records a turn */

static struct bell bell;
static size_t ring_bytes = MAILBOX_BYTES_DEFAULT;

struct crossing {
        struct mailbox *mailbox;
        size_t record_bytes;
        uint64_t records_count;
        bool with_event; /* records are events, written and read as such */
};

static void wake_nobody(void *sleeper)
{
        (void)sleeper;
}

static uint8_t source[4096];
static const pattern_id ids[2] = {7, 9};

/* An event whose record has `record_bytes`. */
static struct mailbox_event event_of(size_t record_bytes)
{
        struct mailbox_event event = {.event.subject = SPAN("bench.subject"), .ids = ids, .ids_count = 2};
        event.event.payload = span_of(source, record_bytes - mailbox_event_bytes(&event));
        return event;
}

static bool send_batch(const struct crossing *crossing, uint64_t *sent)
{
        struct mailbox *mailbox = crossing->mailbox;
        struct mailbox_event event = {0};
        bool was_full = false;
        if (crossing->with_event)
                event = event_of(crossing->record_bytes);
        for (int i = 0; i < BATCH && *sent < crossing->records_count; i++) {
                size_t bytes = crossing->with_event ? mailbox_event_bytes(&event) : crossing->record_bytes;
                if (!mailboxes_can_hold(&mailbox, 1, bytes)) {
                        was_full = true;
                        break;
                }
                uint8_t *record = mailbox_reserve(mailbox, bytes);
                if (crossing->with_event)
                        mailbox_event_write(record, &event);
                else
                        memcpy(record, source, bytes);
                mailbox_commit(mailbox, bytes);
                (*sent)++;
        }
        mailboxes_publish(&mailbox, 1);
        return !was_full;
}

static uint64_t checksum;

static void receive_all(const struct crossing *crossing, uint64_t *received)
{
        struct span record;
        uint64_t sum = 0;
        while (mailbox_peek(crossing->mailbox, &record)) {
                struct span payload = record;
                if (crossing->with_event) {
                        struct mailbox_event event;
                        mailbox_event_read(record, &event);
                        payload = event.event.payload;
                }
                /* As the append to a stream would: all of it, once. */
                static _Alignas(CACHE_LINE) uint8_t target[4096];
                memcpy(target, payload.bytes, payload.size);
                __asm__ volatile("" : : "r"(target) : "memory");
                sum += payload.size;
                mailbox_consume(crossing->mailbox);
                (*received)++;
        }
        mailbox_release(crossing->mailbox);
        checksum += sum;
}

static void pin_to(int core)
{
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(core, &set);
        if (sched_setaffinity(0, sizeof(set), &set) != 0)
                fprintf(stderr, "cannot pin to core %d; going on unpinned\n", core);
}

static void *receive(void *argument)
{
        const struct crossing *crossing = argument;
        uint64_t received = 0;
        pin_to(1);
        while (received < crossing->records_count) {
                uint64_t before = received;
                receive_all(crossing, &received);
                if (received == before)
                        ck_pr_stall();
        }
        return NULL;
}

static double cross_ns(struct crossing *crossing)
{
        pthread_t receiver;
        uint64_t sent = 0;
        uint64_t start = clock_monotonic_ns();
        if (pthread_create(&receiver, NULL, receive, crossing) != 0)
                abort();
        while (sent < crossing->records_count)
                if (!send_batch(crossing, &sent))
                        ck_pr_stall();
        pthread_join(receiver, NULL);
        return (double)(clock_monotonic_ns() - start) / (double)crossing->records_count;
}

static double alone_ns(struct crossing *crossing)
{
        uint64_t sent = 0, received = 0;
        uint64_t start = clock_monotonic_ns();
        while (received < crossing->records_count) {
                send_batch(crossing, &sent);
                receive_all(crossing, &received);
        }
        return (double)(clock_monotonic_ns() - start) / (double)crossing->records_count;
}

static int by_value(const void *a, const void *b)
{
        double left = *(const double *)a;
        double right = *(const double *)b;
        return (left > right) - (left < right);
}

static void measure(const char *name, double (*once)(struct crossing *), size_t record_bytes, bool with_event)
{
        double ns[RUNS];
        struct crossing crossing = {.record_bytes = record_bytes, .records_count = 1000000, .with_event = with_event};
        if (mailbox_new(&crossing.mailbox, ring_bytes, &bell) != 0)
                abort();
        once(&crossing); /* its pages */
        for (int run = 0; run < RUNS; run++)
                ns[run] = once(&crossing);
        qsort(ns, RUNS, sizeof(ns[0]), by_value);
        printf("%-36s %5zu bytes %7.1f ns  (least %.1f)\n", name, record_bytes, ns[RUNS / 2], ns[0]);
        mailbox_free(crossing.mailbox);
}

int main(int argc, char **argv)
{
        static const size_t sizes[] = {32, 160, 1024};
        if (argc > 1)
                ring_bytes = strtoul(argv[1], NULL, 10);
        bell_init(&bell, wake_nobody, NULL);
        memset(source, 'x', sizeof(source));
        pin_to(0);
        for (size_t i = 0; i < array_count(sizes); i++)
                measure("same thread, bytes", alone_ns, sizes[i], false);
        for (size_t i = 0; i < array_count(sizes); i++)
                measure("core to core, bytes", cross_ns, sizes[i], false);
        for (size_t i = 1; i < array_count(sizes); i++)
                measure("same thread, events", alone_ns, sizes[i], true);
        for (size_t i = 1; i < array_count(sizes); i++)
                measure("core to core, events", cross_ns, sizes[i], true);
        return 0;
}
