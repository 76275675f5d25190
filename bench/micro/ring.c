/* micro_ring: what it costs to hand something from one core to another: by a ring of pointers (engine/base/ring.h) and
 * by a ring of bytes (bytering.h).
 *
 * On one thread it is the work alone; between two, cache lines change cores as well. The rival of the byte ring is the
 * ring of pointers to records that lie elsewhere: it saves the sender's copy, and the receiver reads them all the same.
 */
#include <ck_pr.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "bench/micro/micro.h"
#include "engine/base/bytering.h"
#include "engine/base/ring.h"

#define SLOTS 4096
#define BYTES ((size_t)1 << 20)

struct handover {
        size_t record_bytes;
        uint64_t records_count;
        bool (*send)(struct handover *handover, uint64_t *sent); /* a batch; false: full */
        void (*receive)(struct handover *handover, uint64_t *received);
        struct bytering bytes;
        struct ring pointers;
        uint8_t *records; /* that the pointers lead to, SLOTS of them */
};

static uint8_t source[1024];

/* As whoever appends them to a stream would: all of it, once. */
static void read_record(struct span record)
{
        static _Alignas(CACHE_LINE) uint8_t target[sizeof(source)];
        memcpy(target, record.bytes, record.size);
        micro_use(target);
}

static bool bytes_send(struct handover *handover, uint64_t *sent)
{
        bool has_room = true;
        for (int i = 0; i < MICRO_BATCH && *sent < handover->records_count; i++) {
                uint8_t *record = bytering_reserve(&handover->bytes, handover->record_bytes);
                has_room = record != NULL;
                if (!has_room)
                        break;
                memcpy(record, source, handover->record_bytes);
                bytering_commit(&handover->bytes, handover->record_bytes);
                (*sent)++;
        }
        bytering_publish(&handover->bytes);
        return has_room;
}

static void bytes_receive(struct handover *handover, uint64_t *received)
{
        struct span record;
        while (bytering_peek(&handover->bytes, &record)) {
                read_record(record);
                bytering_consume(&handover->bytes);
                (*received)++;
        }
        bytering_release(&handover->bytes);
}

static bool pointers_send(struct handover *handover, uint64_t *sent)
{
        for (int i = 0; i < MICRO_BATCH && *sent < handover->records_count; i++) {
                if (!ring_push(&handover->pointers, handover->records + *sent % SLOTS * handover->record_bytes))
                        return false;
                (*sent)++;
        }
        return true;
}

static void pointers_receive(struct handover *handover, uint64_t *received)
{
        for (const uint8_t *record; (record = ring_take(&handover->pointers)) != NULL; (*received)++)
                read_record(span_of(record, handover->record_bytes));
}

static void alone(void *context, uint64_t operations)
{
        struct handover *handover = context;
        uint64_t sent = 0, received = 0;
        handover->records_count = operations;
        while (received < operations) {
                handover->send(handover, &sent);
                handover->receive(handover, &received);
        }
}

static void core_take(int core)
{
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(core, &set);
        sched_setaffinity(0, sizeof(set), &set); /* where it is refused the figures only spread more */
}

static void *receive_all(void *context)
{
        struct handover *handover = context;
        uint64_t received = 0;
        core_take(1);
        while (received < handover->records_count) {
                uint64_t before = received;
                handover->receive(handover, &received);
                if (received == before)
                        ck_pr_stall();
        }
        return NULL;
}

static void across(void *context, uint64_t operations)
{
        struct handover *handover = context;
        pthread_t receiver;
        uint64_t sent = 0;
        core_take(0);
        handover->records_count = operations;
        if (pthread_create(&receiver, NULL, receive_all, handover) != 0)
                abort();
        while (sent < operations)
                if (!handover->send(handover, &sent))
                        ck_pr_stall();
        pthread_join(receiver, NULL);
}

static struct handover *handover_new(size_t record_bytes, bool by_pointer)
{
        struct handover *handover;
        if (posix_memalign((void **)&handover, CACHE_LINE, sizeof(*handover)) != 0)
                abort();
        *handover = (struct handover){.record_bytes = record_bytes,
                                      .send = by_pointer ? pointers_send : bytes_send,
                                      .receive = by_pointer ? pointers_receive : bytes_receive};
        struct ck_ring_buffer *slots = calloc(SLOTS, sizeof(*slots));
        handover->records = malloc(SLOTS * record_bytes);
        if (slots == NULL || handover->records == NULL || bytering_init(&handover->bytes, BYTES) != 0)
                abort();
        memset(handover->records, 'x', SLOTS * record_bytes);
        ring_init(&handover->pointers, slots, SLOTS);
        return handover;
}

static void handover_free(struct handover *handover)
{
        bytering_fini(&handover->bytes);
        free(handover->pointers.slots);
        free(handover->records);
        free(handover);
}

int main(int argc, char **argv)
{
        static const size_t sizes[] = {32, 160, 1024};
        struct handover *pointers[array_count(sizes)];
        struct handover *bytes[array_count(sizes)];
        for (size_t i = 0; i < array_count(sizes); i++) {
                pointers[i] = handover_new(sizes[i], true);
                bytes[i] = handover_new(sizes[i], false);
        }
        const struct micro_row rows[] = {
                {"pointers, 32 bytes", alone, pointers[0], NULL, 0, false, false, NULL, NULL},
                {"bytes, 32 bytes", alone, bytes[0], "pointers, 32 bytes", 0, false, false, NULL, NULL},
                {"pointers, 160 bytes", alone, pointers[1], NULL, 0, false, false, NULL, NULL},
                {"bytes, 160 bytes", alone, bytes[1], "pointers, 160 bytes", 0, false, false, NULL, NULL},
                {"pointers, 1024 bytes", alone, pointers[2], NULL, 0, false, false, NULL, NULL},
                {"bytes, 1024 bytes", alone, bytes[2], "pointers, 1024 bytes", 0, false, false, NULL, NULL},
                {"pointers across, 32 bytes", across, pointers[0], NULL, 0, true, false, NULL, NULL},
                {"bytes across, 32 bytes", across, bytes[0], "pointers across, 32 bytes", 0, true, false, NULL, NULL},
                {"pointers across, 160 bytes", across, pointers[1], NULL, 0, true, false, NULL, NULL},
                {"bytes across, 160 bytes", across, bytes[1], "pointers across, 160 bytes", 0, true, false, NULL, NULL},
                {"pointers across, 1024 bytes", across, pointers[2], NULL, 0, true, false, NULL, NULL},
                {"bytes across, 1024 bytes", across, bytes[2], "pointers across, 1024 bytes", 0, true, false, NULL,
                 NULL},
        };
        int exit_code = micro_main(argc, argv, "ring", rows, array_count(rows));
        for (size_t i = 0; i < array_count(sizes); i++) {
                handover_free(pointers[i]);
                handover_free(bytes[i]);
        }
        return exit_code;
}
