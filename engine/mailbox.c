/* mailbox: see mailbox.h. An event's record:
 *
 *      struct head │ ids, 4 bytes each │ queues: 2 bytes of size, name; ... │ subject │ reply │ headers │ payload
 *
 * Only the ids need their alignment, so they come first; the rest is copied behind each other. A record never leaves
 * this process: sizes in it are ours, and asserted, not checked. */
#include "engine/mailbox.h"

#include <errno.h>
#include <stdlib.h>

#include "engine/base/mark.h"

struct head {
        uint64_t from;
        uint64_t version;
        uint64_t tried;
        uint32_t flags;
        uint32_t request;
        uint32_t ids_count;
        uint32_t queues_count;
        uint32_t queues_bytes;
        uint32_t subject_bytes;
        uint32_t reply_bytes;
        uint32_t headers_bytes;
        uint32_t payload_bytes;
        uint32_t unused;
};

/* Answers are bounded by questions: SUBSCRIBE and RETURN, each with its answer, and a few more. */
#define SPARE_BYTES ((size_t)5 * MAILBOX_ASKS_MAX * (sizeof(struct mailbox_control) + sizeof(struct bytering_header)))

static_assert(SPARE_BYTES < MAILBOX_CONTROL_BYTES / 2, "half of the ring is for what nobody waits for");
static_assert(sizeof(struct head) % sizeof(pattern_id) == 0, "the ids lie right behind");
static_assert(sizeof(struct mailbox_control) % BYTERING_ALIGNMENT == 0, "control records waste nothing");

static const char *const control_names[] = {
#define CONTROL_NAME(id, name) [MAILBOX_##id] = name,
        MAILBOX_CONTROL_TABLE(CONTROL_NAME)
#undef CONTROL_NAME
};

const char *mailbox_control_name(enum mailbox_control_kind kind)
{
        assert(kind < MAILBOX_CONTROL_KINDS);
        return control_names[kind];
}

int mailbox_new(struct mailbox **mailbox, size_t data_bytes, struct bell *bell)
{
        assert(bell != NULL);
        struct mailbox *made = aligned_alloc(CACHE_LINE, sizeof(*made));
        if (made == NULL)
                return -ENOMEM;
        memset(made, 0, sizeof(*made));
        made->bell = bell;
        int error = bytering_init(&made->data, data_bytes);
        if (error == 0)
                error = bytering_init(&made->control, MAILBOX_CONTROL_BYTES);
        if (error != 0) {
                mailbox_free(made);
                return error;
        }
        *mailbox = made;
        return 0;
}

void mailbox_free(struct mailbox *mailbox)
{
        if (mailbox == NULL)
                return;
        bytering_fini(&mailbox->control);
        bytering_fini(&mailbox->data);
        free(mailbox);
}

size_t mailbox_memory_bytes(size_t data_bytes)
{
        return ((size_t)1 << bits_log2_ceil(data_bytes)) + MAILBOX_CONTROL_BYTES + sizeof(struct mailbox);
}

uint64_t mailboxes_without_room(struct mailbox *const *mailboxes, uint64_t targets, size_t record_bytes)
{
        uint64_t full = 0;
        for (; targets != 0; targets &= targets - 1)
                if (!bytering_can_hold(&mailboxes[__builtin_ctzll(targets)]->data, record_bytes))
                        full |= targets & -targets;
        return full;
}

bool mailboxes_can_hold(struct mailbox *const *mailboxes, uint64_t targets, size_t record_bytes)
{
        return mailboxes_without_room(mailboxes, targets, record_bytes) == 0;
}

bool mailbox_tell(struct mailbox *mailbox, const struct mailbox_control *control)
{
        assert(control->kind < MAILBOX_CONTROL_KINDS);
        uint8_t *record = bytering_reserve(&mailbox->control, sizeof(*control));
        if (record == NULL) {
                seen("a control ring had no room");
                return false;
        }
        memcpy(record, control, sizeof(*control));
        bytering_commit(&mailbox->control, sizeof(*control));
        return true;
}

bool mailbox_has_spare(struct mailbox *mailbox)
{
        return bytering_can_hold(&mailbox->control, SPARE_BYTES);
}

void mailboxes_publish(struct mailbox *const *mailboxes, size_t mailboxes_count)
{
        uint64_t published = 0;
        assert(mailboxes_count <= MATCH_REACTORS_MAX);
        for (size_t i = 0; i < mailboxes_count; i++) {
                struct mailbox *mailbox = mailboxes[i];
                if (mailbox == NULL)
                        continue;
                bool has_data = bytering_publish(&mailbox->data);
                bool has_control = bytering_publish(&mailbox->control);
                if (has_data || has_control)
                        published |= (uint64_t)1 << i;
        }
        if (published == 0)
                return;
        bell_fence();
        for (; published != 0; published &= published - 1)
                bell_ring(mailboxes[__builtin_ctzll(published)]->bell);
}

bool mailbox_hear(struct mailbox *mailbox, struct mailbox_control *control)
{
        struct span record;
        if (!bytering_peek(&mailbox->control, &record))
                return false;
        assert(record.size == sizeof(*control));
        memcpy(control, record.bytes, sizeof(*control));
        bytering_consume(&mailbox->control);
        return true;
}

void mailbox_release(struct mailbox *mailbox)
{
        struct bytering *data = &mailbox->data;
        if (mailbox->returned_count > 0)
                seen("room stayed taken for a returned record");
        bytering_release_to(data, mailbox->returned_count == 0 ? data->head : mailbox->returned_from);
        bytering_release(&mailbox->control);
}

bool mailbox_return(struct mailbox *mailbox, struct mailbox *back)
{
        struct mailbox_control control = {.kind = MAILBOX_RETURN, .position = mailbox->data.head};
        if (mailbox->returned_count == MAILBOX_ASKS_MAX || !mailbox_tell(back, &control)) {
                seen("a record could not go back yet");
                return false;
        }
        if (mailbox->returned_count++ == 0)
                mailbox->returned_from = control.position;
        bytering_consume(&mailbox->data);
        return true;
}

void mailbox_settled(struct mailbox *mailbox, uint64_t position)
{
        assert(mailbox->returned_count > 0);
        assert(position >= mailbox->returned_from);
        /* The next one that is out lies somewhere behind this. Where exactly is not kept: what lies between is released
         * with it. */
        mailbox->returned_count--;
        mailbox->returned_from = position + bytering_room(bytering_record_at(&mailbox->data, position).size);
}

/* Where the spans of an event lie is the same for writing and reading: the order in which these two go through them. */
static size_t queues_bytes(const struct mailbox_event *event)
{
        size_t bytes = 0;
        for (uint32_t i = 0; i < event->queues_count; i++)
                bytes += sizeof(uint16_t) + event->queues[i].size;
        return bytes;
}

size_t mailbox_event_bytes(const struct mailbox_event *event)
{
        const struct event *told = &event->event;
        return sizeof(struct head) + event->ids_count * sizeof(pattern_id) + queues_bytes(event) + told->subject.size +
               told->reply.size + told->headers.size + told->payload.size;
}

static uint8_t *write_queues(uint8_t *to, const struct mailbox_event *event)
{
        for (uint32_t i = 0; i < event->queues_count; i++) {
                uint16_t size = (uint16_t)event->queues[i].size;
                assert(size == event->queues[i].size);
                memcpy(to, &size, sizeof(size));
                to = span_copy(to + sizeof(size), event->queues[i]);
        }
        return to;
}

void mailbox_event_write(uint8_t *record, const struct mailbox_event *event)
{
        const struct event *told = &event->event;
        struct head head = {
                .from = event->from,
                .version = event->version,
                .tried = event->tried,
                .flags = event->flags,
                .request = event->request,
                .ids_count = event->ids_count,
                .queues_count = event->queues_count,
                .queues_bytes = (uint32_t)queues_bytes(event),
                .subject_bytes = (uint32_t)told->subject.size,
                .reply_bytes = (uint32_t)told->reply.size,
                .headers_bytes = (uint32_t)told->headers.size,
                .payload_bytes = (uint32_t)told->payload.size,
        };
        memcpy(record, &head, sizeof(head));
        uint8_t *to = span_copy(record + sizeof(head), span_of(event->ids, event->ids_count * sizeof(pattern_id)));
        to = write_queues(to, event);
        to = span_copy(to, told->subject);
        to = span_copy(to, told->reply);
        to = span_copy(to, told->headers);
        span_copy(to, told->payload);
}

/* The next `bytes` of the record. */
static struct span cut(struct span *rest, size_t bytes)
{
        struct span part = span_of(rest->bytes, bytes);
        assert_slow(bytes <= rest->size);
        *rest = span_skip(*rest, bytes);
        return part;
}

void mailbox_event_read(struct span record, struct mailbox_event *event)
{
        struct head head;
        assert_slow(record.size >= sizeof(head));
        memcpy(&head, record.bytes, sizeof(head));
        struct span rest = span_skip(record, sizeof(head));
        event->from = head.from;
        event->version = head.version;
        event->tried = head.tried;
        event->flags = head.flags;
        event->request = head.request;
        event->ids_count = head.ids_count;
        event->ids = (const pattern_id *)(const void *)cut(&rest, head.ids_count * sizeof(pattern_id)).bytes;
        event->queues_count = head.queues_count;
        event->queues = NULL;
        event->queue_names = cut(&rest, head.queues_bytes);
        event->event.subject = cut(&rest, head.subject_bytes);
        event->event.reply = cut(&rest, head.reply_bytes);
        event->event.headers = cut(&rest, head.headers_bytes);
        event->event.payload = cut(&rest, head.payload_bytes);
        assert_slow(rest.size == 0);
}

struct span mailbox_next_queue(struct span *queue_names)
{
        uint16_t size;
        memcpy(&size, cut(queue_names, sizeof(size)).bytes, sizeof(size));
        return cut(queue_names, size);
}

/* The record is the receiver's until it is returned; that it came as const is a reader's courtesy. */
static struct head *head_of(struct span record)
{
        return (struct head *)(uintptr_t)record.bytes;
}

uint8_t *mailbox_event_serve(struct span record)
{
        struct head *head = head_of(record);
        head->queues_count = 0;
        head->flags |= MAILBOX_QUEUES_ONLY;
        return (uint8_t *)(head + 1) + head->ids_count * sizeof(pattern_id);
}

void mailbox_event_answer(struct span record)
{
        head_of(record)->flags &= ~(uint32_t)MAILBOX_ASKED;
}

/* What follows the names stays where it is, for queues_bytes stays as it was. */
void mailbox_event_leave(struct span record, uint8_t **at, struct span name)
{
        uint16_t size = (uint16_t)name.size;
        memmove(*at + sizeof(size), name.bytes, size);
        memcpy(*at, &size, sizeof(size));
        *at += sizeof(size) + size;
        head_of(record)->queues_count++;
}

bool mailbox_event_is_last(struct span record)
{
        return (head_of(record)->flags & MAILBOX_LAST) != 0;
}
