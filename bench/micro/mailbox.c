/* micro_mailbox: what a record costs from one core to another. Two threads on two cores, each in turns as reactors have
 * them: the sender publishes after a batch, the receiver reads all that is there, every byte of it, and releases. And
 * the same on one thread: then nothing crosses, and it is the work alone. The limit of an event is its bytes without
 * being one: what describing it costs; that of bytes is the byte ring below (micro_ring). */
#include <ck_pr.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "bench/micro/micro.h"
#include "engine/mailbox.h"

struct crossing {
        struct mailbox *mailbox;
        size_t record_bytes;
        uint64_t records_count;
        bool with_event; /* records are events, written and read as such */
};

static struct bell bell;
static uint8_t source[4096];
static const pattern_id ids[2] = {7, 9};

static void wake_nobody(void *sleeper)
{
        (void)sleeper;
}

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
        for (int i = 0; i < MICRO_BATCH && *sent < crossing->records_count; i++) {
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

static void receive_all(const struct crossing *crossing, uint64_t *received)
{
        struct span record;
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
                micro_use(target);
                mailbox_consume(crossing->mailbox);
                (*received)++;
        }
        mailbox_release(crossing->mailbox);
}

static void alone(void *context, uint64_t operations)
{
        struct crossing *crossing = context;
        uint64_t sent = 0, received = 0;
        crossing->records_count = operations;
        while (received < operations) {
                send_batch(crossing, &sent);
                receive_all(crossing, &received);
        }
}

static void core_take(int core)
{
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(core, &set);
        sched_setaffinity(0, sizeof(set), &set); /* where it is refused the figures only spread more */
}

static void *receive(void *argument)
{
        const struct crossing *crossing = argument;
        uint64_t received = 0;
        core_take(1);
        while (received < crossing->records_count) {
                uint64_t before = received;
                receive_all(crossing, &received);
                if (received == before)
                        ck_pr_stall();
        }
        return NULL;
}

static void across(void *context, uint64_t operations)
{
        struct crossing *crossing = context;
        pthread_t receiver;
        uint64_t sent = 0;
        core_take(0);
        crossing->records_count = operations;
        if (pthread_create(&receiver, NULL, receive, crossing) != 0)
                abort();
        while (sent < operations)
                if (!send_batch(crossing, &sent))
                        ck_pr_stall();
        pthread_join(receiver, NULL);
}

int main(int argc, char **argv)
{
        static struct crossing bytes[] = {{.record_bytes = 32}, {.record_bytes = 160}, {.record_bytes = 1024}};
        static struct crossing events[] = {{.record_bytes = 160, .with_event = true},
                                           {.record_bytes = 1024, .with_event = true}};
        bell_init(&bell, wake_nobody, NULL);
        memset(source, 'x', sizeof(source));
        for (size_t i = 0; i < array_count(bytes); i++)
                if (mailbox_new(&bytes[i].mailbox, MAILBOX_BYTES_DEFAULT, &bell) != 0)
                        abort();
        for (size_t i = 0; i < array_count(events); i++)
                if (mailbox_new(&events[i].mailbox, MAILBOX_BYTES_DEFAULT, &bell) != 0)
                        abort();
        const struct micro_row rows[] = {
                {"bytes, 32", alone, &bytes[0], NULL, 0, false, false, NULL, NULL},
                {"bytes, 160", alone, &bytes[1], NULL, 0, false, false, NULL, NULL},
                {"event, 160 bytes", alone, &events[0], "bytes, 160", 0, false, false, NULL, NULL},
                {"bytes, 1024", alone, &bytes[2], NULL, 0, false, false, NULL, NULL},
                {"event, 1024 bytes", alone, &events[1], "bytes, 1024", 0, false, false, NULL, NULL},
                {"bytes across, 32", across, &bytes[0], NULL, 0, true, false, NULL, NULL},
                {"bytes across, 160", across, &bytes[1], NULL, 0, true, false, NULL, NULL},
                {"event across, 160 bytes", across, &events[0], "bytes across, 160", 0, true, false, NULL, NULL},
                {"bytes across, 1024", across, &bytes[2], NULL, 0, true, false, NULL, NULL},
                {"event across, 1024 bytes", across, &events[1], "bytes across, 1024", 0, true, false, NULL, NULL},
        };
        int exit_code = micro_main(argc, argv, "mailbox", rows, array_count(rows));
        for (size_t i = 0; i < array_count(bytes); i++)
                mailbox_free(bytes[i].mailbox);
        for (size_t i = 0; i < array_count(events); i++)
                mailbox_free(events[i].mailbox);
        return exit_code;
}
