/* fuzz_mailbox: an event as a record reads back as it was written; and of its queue groups those that could not be
 * served remain, in their order, whatever is taken out. */
#include "engine/mailbox.h"
#include "tests/fuzz/fuzz.h"

#define QUEUES_MAX 24
#define IDS_MAX 64

static struct span names[QUEUES_MAX];
static pattern_id ids[IDS_MAX];

static bool same_event(const struct event *a, const struct event *b)
{
        return span_equal(a->subject, b->subject) && span_equal(a->reply, b->reply) &&
               span_equal(a->headers, b->headers) && span_equal(a->payload, b->payload);
}

static void check(const struct mailbox_event *read, const struct mailbox_event *written)
{
        assert(read->from == written->from && read->version == written->version && read->tried == written->tried);
        assert(read->flags == written->flags && read->request == written->request);
        assert(read->ids_count == written->ids_count);
        assert(read->ids_count == 0 || memcmp(read->ids, written->ids, read->ids_count * sizeof(pattern_id)) == 0);
        assert(read->queues_count == written->queues_count);
        struct span rest = read->queue_names;
        for (uint32_t i = 0; i < read->queues_count; i++)
                assert(span_equal(mailbox_next_queue(&rest), written->queues[i]));
        assert(same_event(&read->event, &written->event));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct span input = span_of(data, size);
        struct mailbox_event event = {0}, read, again;
        event.from = fuzz_number(&input, 8);
        event.version = fuzz_number(&input, 2);
        event.tried = fuzz_number(&input, 8);
        event.flags = fuzz_byte(&input) & (MAILBOX_QUEUES_ONLY | MAILBOX_ASKED | MAILBOX_LAST | MAILBOX_NO_IDS);
        event.request = (uint32_t)fuzz_number(&input, 4);
        event.ids_count = fuzz_byte(&input) % IDS_MAX;
        for (uint32_t i = 0; i < event.ids_count; i++)
                ids[i] = (pattern_id)fuzz_number(&input, 3);
        event.queues_count = fuzz_byte(&input) % QUEUES_MAX;
        for (uint32_t i = 0; i < event.queues_count; i++)
                names[i] = fuzz_bytes(&input, fuzz_byte(&input));
        uint64_t unserved = fuzz_number(&input, 3);
        event.ids = ids;
        event.queues = names;
        event.event.subject = fuzz_bytes(&input, fuzz_byte(&input));
        event.event.reply = fuzz_bytes(&input, fuzz_byte(&input));
        event.event.headers = fuzz_bytes(&input, fuzz_byte(&input));
        event.event.payload = input;

        size_t bytes = mailbox_event_bytes(&event);
        uint8_t *record = malloc(bytes); /* of exactly that size */
        struct span whole = span_of(record, bytes);
        mailbox_event_write(record, &event);
        assert(mailbox_event_is_last(whole) == ((event.flags & MAILBOX_LAST) != 0));
        mailbox_event_read(whole, &read);
        check(&read, &event);

        /* Served: all but those whose bit is set. */
        uint32_t left = 0;
        uint8_t *at = mailbox_event_serve(whole);
        for (uint32_t i = 0; i < read.queues_count; i++) {
                struct span name = mailbox_next_queue(&read.queue_names);
                if ((unserved >> i & 1) == 0)
                        continue;
                names[left++] = names[i];
                mailbox_event_leave(whole, &at, name);
        }
        mailbox_event_answer(whole);
        event.queues_count = left;
        event.flags = (event.flags | MAILBOX_QUEUES_ONLY) & ~(uint32_t)MAILBOX_ASKED;
        mailbox_event_read(whole, &again);
        check(&again, &event);
        free(record);
        return 0;
}
