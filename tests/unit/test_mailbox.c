/* mailbox: an event goes to all or to none, control gets through, nothing is lost and nothing overtakes. */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <cmocka.h>

#include "engine/base/random.h"
#include "engine/mailbox.h"

#define MAILBOXES 4
#define RING_BYTES ((size_t)64 << 10)

/* Where reactor 0 sends to, and where the answers of reactor 1 come back. */
static struct bell bells[MAILBOXES];
static int wakes_counts[MAILBOXES];
static struct mailbox *mailboxes[MAILBOXES];
static struct mailbox *back;

static void count_wake(void *sleeper)
{
        ++*(int *)sleeper;
}

static int set_up(void **state)
{
        (void)state;
        for (size_t i = 0; i < MAILBOXES; i++) {
                wakes_counts[i] = 0;
                bell_init(&bells[i], count_wake, &wakes_counts[i]);
                if (i != 0 && mailbox_new(&mailboxes[i], RING_BYTES, &bells[i]) != 0)
                        return -1;
        }
        return mailbox_new(&back, RING_BYTES, &bells[0]);
}

static int tear_down(void **state)
{
        (void)state;
        for (size_t i = 0; i < MAILBOXES; i++)
                mailbox_free(mailboxes[i]);
        mailbox_free(back);
        return 0;
}

static void publish(void)
{
        mailboxes_publish(mailboxes, MAILBOXES);
}

/* A record whose bytes all say `fill`. */
static bool send(struct mailbox *mailbox, size_t bytes, uint8_t fill)
{
        uint8_t *record = mailbox_reserve(mailbox, bytes);
        if (record == NULL)
                return false;
        memset(record, fill, bytes);
        mailbox_commit(mailbox, bytes);
        return true;
}

static void receive(struct mailbox *mailbox, size_t bytes, uint8_t fill)
{
        struct span record;
        assert_true(mailbox_peek(mailbox, &record));
        assert_int_equal(record.size, bytes);
        for (size_t i = 0; i < bytes; i++)
                assert_int_equal(record.bytes[i], fill);
        mailbox_consume(mailbox);
}

static void an_event_goes_to_all_targets_or_to_none(void **state)
{
        (void)state;
        const uint64_t all = 1u << 1 | 1u << 2 | 1u << 3;
        while (send(mailboxes[2], 1000, 'x'))
                continue;
        publish();
        assert_false(mailboxes_can_hold(mailboxes, all, 1000));
        assert_true(mailboxes_can_hold(mailboxes, 1u << 1 | 1u << 3, 1000));
        assert_true(mailboxes_can_hold(mailboxes, 0, 1000));
        /* Nothing has happened where there was room. */
        assert_true(mailbox_is_empty(mailboxes[1]));
        assert_true(mailbox_is_empty(mailboxes[3]));

        receive(mailboxes[2], 1000, 'x');
        mailbox_release(mailboxes[2]);
        assert_true(mailboxes_can_hold(mailboxes, all, 1000));
        for (int i = 1; i <= 3; i++)
                assert_true(send(mailboxes[i], 1000, 'y'));
        assert_false(mailboxes_can_hold(mailboxes, all, 1000));
        publish();
        receive(mailboxes[1], 1000, 'y');
        receive(mailboxes[3], 1000, 'y');
}

static void all_or_none_holds_over_random_loads(void **state)
{
        (void)state;
        struct random random;
        uint64_t sent[MAILBOXES] = {0}, received[MAILBOXES] = {0}, held_count = 0;
        random_init(&random, 17);
        for (int step = 0; step < 100000; step++) {
                size_t i = 1 + random_below(&random, 3);
                struct span record;
                if (random_chance(&random, 1, 4)) {
                        for (uint64_t count = random_below(&random, 8); count > 0; count--) {
                                if (!mailbox_peek(mailboxes[i], &record))
                                        break;
                                assert_int_equal(record.bytes[0], (uint8_t)received[i]);
                                assert_int_equal(record.bytes[record.size - 1], (uint8_t)received[i]);
                                received[i]++;
                                mailbox_consume(mailboxes[i]);
                        }
                        mailbox_release(mailboxes[i]);
                        continue;
                }
                uint64_t targets = random_below(&random, 8) << 1;
                size_t bytes = 1 + random_below(&random, random_chance(&random, 1, 10) ? RING_BYTES / 2 : 3000);
                if (!mailboxes_can_hold(mailboxes, targets, bytes)) {
                        held_count++;
                        continue;
                }
                for (i = 1; i <= 3; i++)
                        if (targets & (uint64_t)1 << i)
                                assert_true(send(mailboxes[i], bytes, (uint8_t)sent[i]++));
                if (random_chance(&random, 1, 2))
                        publish();
        }
        assert_true(held_count > 1000);
        assert_true(received[1] > 1000);
}

static void control_gets_through_when_data_is_full_and_data_when_control_is(void **state)
{
        (void)state;
        struct mailbox_control told = {
                .kind = MAILBOX_SUBSCRIBE, .token = 7, .text = (const uint8_t *)"a.>", .text_bytes = 3};
        struct mailbox_control heard;
        while (send(mailboxes[1], 100, 'x'))
                continue;
        assert_true(mailbox_tell(mailboxes[1], &told));
        publish();
        assert_true(mailbox_hear(mailboxes[1], &heard));
        assert_memory_equal(&heard, &told, sizeof(told));
        assert_false(mailbox_hear(mailboxes[1], &heard));

        while (mailbox_tell(mailboxes[2], &told))
                continue;
        assert_true(send(mailboxes[2], 100, 'y'));
        publish();
        receive(mailboxes[2], 100, 'y');
}

static void control_keeps_its_order_and_refuses_until_it_was_heard(void **state)
{
        (void)state;
        struct mailbox_control control = {.kind = MAILBOX_VISIBLE};
        uint64_t told_count = 0;
        for (; mailbox_tell(mailboxes[1], &control); told_count++)
                control.token++;
        assert_true(told_count > 1000);
        publish();
        assert_false(mailbox_tell(mailboxes[1], &control));
        for (uint64_t i = 0; i < told_count; i++) {
                assert_true(mailbox_hear(mailboxes[1], &control));
                assert_int_equal(control.token, i);
        }
        mailbox_release(mailboxes[1]);
        assert_true(mailbox_tell(mailboxes[1], &control));
        assert_false(mailbox_hear(mailboxes[1], &control));
        assert_true(mailbox_is_empty(mailboxes[1]));
        publish();
        assert_false(mailbox_is_empty(mailboxes[1]));
}

static void every_kind_has_a_name(void **state)
{
        (void)state;
        assert_string_equal(mailbox_control_name(MAILBOX_SUBSCRIBE), "subscribe");
        assert_string_equal(mailbox_control_name(MAILBOX_SETTLED), "settled");
        for (unsigned kind = 0; kind < MAILBOX_CONTROL_KINDS; kind++)
                assert_non_null(mailbox_control_name(kind));
}

static void publishing_wakes_those_who_sleep_and_have_something(void **state)
{
        (void)state;
        struct mailbox_control control = {.kind = MAILBOX_WAKE};
        bell_lie_down(&bells[1]);
        bell_lie_down(&bells[2]);
        bell_lie_down(&bells[3]);
        send(mailboxes[1], 10, 'x');
        mailbox_tell(mailboxes[3], &control);
        assert_int_equal(wakes_counts[1], 0);
        publish();
        publish();
        assert_int_equal(wakes_counts[1], 1);
        assert_int_equal(wakes_counts[2], 0);
        assert_int_equal(wakes_counts[3], 1);
        /* Woken, and not asleep again: nobody wakes it twice. */
        send(mailboxes[1], 10, 'y');
        publish();
        assert_int_equal(wakes_counts[1], 1);
        receive(mailboxes[1], 10, 'x');
        receive(mailboxes[1], 10, 'y');
}

static void check_event(const struct mailbox_event *written)
{
        size_t bytes = mailbox_event_bytes(written);
        struct span record;
        struct mailbox_event read;
        uint8_t *room = mailbox_reserve(mailboxes[1], bytes);
        assert_non_null(room);
        room[bytes - 1] = 0;
        mailbox_event_write(room, written);
        mailbox_commit(mailboxes[1], bytes);
        publish();
        assert_true(mailbox_peek(mailboxes[1], &record));
        mailbox_event_read(record, &read);
        assert_int_equal(read.from, written->from);
        assert_int_equal(read.ids_count, written->ids_count);
        for (uint32_t i = 0; i < written->ids_count; i++)
                assert_int_equal(read.ids[i], written->ids[i]);
        assert_true(span_equal(read.event.subject, written->event.subject));
        assert_true(span_equal(read.event.reply, written->event.reply));
        assert_true(span_equal(read.event.headers, written->event.headers));
        assert_true(span_equal(read.event.payload, written->event.payload));
        assert_int_equal(read.queues_count, written->queues_count);
        for (uint32_t i = 0; i < written->queues_count; i++) {
                struct span name = mailbox_next_queue(&read.queue_names);
                assert_true(span_equal(name, written->queues[i]));
        }
        assert_int_equal(read.queue_names.size, 0);
        assert_int_equal(read.flags, written->flags);
        assert_int_equal(read.version, written->version);
        assert_int_equal(read.tried, written->tried);
        /* To the last byte, and not beyond. */
        if (written->event.payload.size != 0)
                assert_ptr_equal(read.event.payload.bytes + read.event.payload.size, record.bytes + record.size);
        mailbox_consume(mailboxes[1]);
        mailbox_release(mailboxes[1]);
}

static void what_is_left_of_a_record_is_read_again_with_the_names_that_were_not_served(void **state)
{
        (void)state;
        struct span names[] = {SPAN("one"), SPAN("a longer name"), SPAN("x"), SPAN("last")};
        struct mailbox_event written = {.event = {.subject = SPAN("a.b"), .payload = SPAN("payload")},
                                        .ids = (const pattern_id[]){1, 2, 3},
                                        .ids_count = 3,
                                        .queues = names,
                                        .queues_count = 4};
        for (unsigned served = 0; served < 16; served++) {
                uint8_t bytes[256] __attribute__((aligned(8)));
                struct span record = span_of(bytes, mailbox_event_bytes(&written));
                struct mailbox_event read;
                mailbox_event_write(bytes, &written);
                mailbox_event_read(record, &read);
                uint8_t *at = mailbox_event_serve(record);
                for (unsigned i = 0; i < 4; i++) {
                        struct span name = mailbox_next_queue(&read.queue_names);
                        assert_true(span_equal(name, names[i]));
                        if ((served & 1u << i) == 0)
                                mailbox_event_leave(record, &at, name);
                }
                mailbox_event_read(record, &read);
                assert_int_equal(read.flags, MAILBOX_QUEUES_ONLY);
                assert_int_equal(read.queues_count, 4 - __builtin_popcount(served));
                for (unsigned i = 0; i < 4; i++)
                        if ((served & 1u << i) == 0)
                                assert_true(span_equal(mailbox_next_queue(&read.queue_names), names[i]));
                assert_true(span_equal(read.event.subject, written.event.subject));
                assert_true(span_equal(read.event.payload, written.event.payload));
        }
}

static void an_event_is_read_as_it_was_written(void **state)
{
        (void)state;
        static uint8_t bytes[30000];
        static pattern_id ids[300];
        struct random random;
        random_init(&random, 23);
        for (size_t i = 0; i < sizeof(bytes); i++)
                bytes[i] = (uint8_t)random_next(&random);
        for (size_t i = 0; i < array_count(ids); i++)
                ids[i] = (pattern_id)random_next(&random);
        check_event(&(struct mailbox_event){.from = 1});
        for (int round = 0; round < 5000; round++) {
                struct span queues[5];
                for (size_t i = 0; i < array_count(queues); i++)
                        queues[i] = span_of(bytes + random_below(&random, 100), random_below(&random, 60));
                check_event(&(struct mailbox_event){
                        .event.subject = span_of(bytes, random_below(&random, 1025)),
                        .event.reply = span_of(bytes + 7, random_below(&random, 2) * random_below(&random, 4000)),
                        .event.headers = span_of(bytes + 9, random_below(&random, 2) * random_below(&random, 4000)),
                        .event.payload = span_of(bytes + 11, random_below(&random, 20000)),
                        .from = random_next(&random),
                        .tried = random_next(&random),
                        .ids = ids,
                        .ids_count = (uint32_t)random_below(&random, array_count(ids) + 1),
                        .queues = queues,
                        .queues_count = (uint32_t)random_below(&random, array_count(queues) + 1),
                });
        }
}

static void a_returned_record_keeps_its_room_until_it_is_settled(void **state)
{
        (void)state;
        const size_t quarter = RING_BYTES / 4 - sizeof(struct bytering_header);
        struct mailbox_control control;
        for (uint8_t fill = 'a'; fill <= 'd'; fill++)
                assert_true(send(mailboxes[1], quarter, fill));
        publish();
        receive(mailboxes[1], quarter, 'a');
        struct span record;
        assert_true(mailbox_peek(mailboxes[1], &record));
        assert_true(mailbox_return(mailboxes[1], back));
        receive(mailboxes[1], quarter, 'c');
        mailbox_release(mailboxes[1]);
        mailboxes_publish(&back, 1);

        /* What lay in front of it has gone, and it is still there for its sender. */
        assert_true(send(mailboxes[1], quarter, 'e'));
        assert_false(send(mailboxes[1], 0, 'f'));
        assert_true(mailbox_hear(back, &control));
        assert_int_equal(control.kind, MAILBOX_RETURN);
        struct span returned = mailbox_returned(mailboxes[1], control.position);
        assert_int_equal(returned.size, quarter);
        assert_int_equal(returned.bytes[0], 'b');
        assert_int_equal(returned.bytes[quarter - 1], 'b');

        mailbox_settled(mailboxes[1], control.position);
        mailbox_release(mailboxes[1]);
        assert_true(send(mailboxes[1], quarter, 'f'));
        assert_true(send(mailboxes[1], quarter, 'g'));
        assert_false(send(mailboxes[1], 0, 'h'));
}

static void a_return_that_finds_no_room_changes_nothing(void **state)
{
        (void)state;
        struct mailbox_control control = {.kind = MAILBOX_WAKE};
        while (mailbox_tell(back, &control))
                continue;
        mailboxes_publish(&back, 1);
        send(mailboxes[1], 10, 'x');
        publish();
        struct span record;
        assert_true(mailbox_peek(mailboxes[1], &record));
        assert_false(mailbox_return(mailboxes[1], back));
        mailbox_release(mailboxes[1]);
        while (mailbox_hear(back, &control))
                continue;
        mailbox_release(back);
        assert_true(mailbox_peek(mailboxes[1], &record));
        assert_true(mailbox_return(mailboxes[1], back));
        assert_false(mailbox_peek(mailboxes[1], &record));
}

static void no_returned_record_is_overwritten_before_it_is_settled(void **state)
{
        (void)state;
        struct {
                uint64_t position;
                size_t bytes;
                uint8_t fill;
        } out[64];
        size_t first = 0, end = 0; /* of those that are out, modulo */
        uint64_t sent = 0, received = 0, settled_count = 0;
        struct random random;
        random_init(&random, 29);
        for (int step = 0; step < 100000; step++) {
                struct span record;
                struct mailbox_control control;
                switch (random_below(&random, 6)) {
                case 0:
                case 1:
                        sent += send(mailboxes[1], 1 + random_below(&random, 4000), (uint8_t)sent);
                        publish();
                        break;
                case 2:
                case 3:
                        if (!mailbox_peek(mailboxes[1], &record))
                                break;
                        assert_int_equal(record.bytes[0], (uint8_t)received);
                        if (end - first < array_count(out) && random_chance(&random, 1, 3)) {
                                assert_true(mailbox_return(mailboxes[1], back));
                                mailboxes_publish(&back, 1);
                                assert_true(mailbox_hear(back, &control));
                                mailbox_release(back);
                                out[end % array_count(out)].position = control.position;
                                out[end % array_count(out)].bytes = record.size;
                                out[end++ % array_count(out)].fill = (uint8_t)received;
                        } else {
                                mailbox_consume(mailboxes[1]);
                        }
                        received++;
                        break;
                case 4:
                        mailbox_release(mailboxes[1]);
                        break;
                default:
                        if (first == end)
                                break;
                        mailbox_settled(mailboxes[1], out[first++ % array_count(out)].position);
                        settled_count++;
                }
                for (size_t i = first; i < end; i++) {
                        record = mailbox_returned(mailboxes[1], out[i % array_count(out)].position);
                        assert_int_equal(record.size, out[i % array_count(out)].bytes);
                        assert_int_equal(record.bytes[0], out[i % array_count(out)].fill);
                        assert_int_equal(record.bytes[record.size - 1], out[i % array_count(out)].fill);
                }
        }
        assert_true(settled_count > 3000);
        while (first < end)
                mailbox_settled(mailboxes[1], out[first++ % array_count(out)].position);
        mailbox_release(mailboxes[1]);
        struct span record;
        while (mailbox_peek(mailboxes[1], &record))
                mailbox_consume(mailboxes[1]);
        mailbox_release(mailboxes[1]);
        assert_true(mailboxes_can_hold(mailboxes, 1u << 1, bytering_record_bytes_max(&mailboxes[1]->data)));
}

/* Two reactors that send each other all they have, through rings that are too small for it, answer every hundredth
 * event with a control record, and sleep whenever they can. */
#define RACING_EVENTS 200000

struct reactor {
        struct bell bell;
        int eventfd;
        struct mailbox *out, *in;
        uint64_t sent, received, told, heard, wanted_to_tell;
        bool other_is_full, is_full;
        struct random sizes_out, sizes_in;
        uint64_t sleeps_count;
};

static struct reactor reactors[2];
static uint8_t racing_payload[4096];

static void wake_reactor(void *sleeper)
{
        const struct reactor *reactor = sleeper;
        uint64_t one = 1;
        if (write(reactor->eventfd, &one, sizeof(one)) != sizeof(one))
                abort();
}

static size_t racing_bytes(struct random *sizes)
{
        return random_below(sizes, random_chance(sizes, 1, 50) ? sizeof(racing_payload) : 200);
}

static void reactor_send(struct reactor *reactor)
{
        for (int batch = 0; batch < 100 && reactor->sent < RACING_EVENTS; batch++) {
                struct random before = reactor->sizes_out;
                pattern_id id = (pattern_id)reactor->sent;
                struct mailbox_event event = {.from = reactor->sent, .ids = &id, .ids_count = 1};
                event.event.subject = SPAN("a.b");
                event.event.payload = span_of(racing_payload, racing_bytes(&reactor->sizes_out));
                size_t bytes = mailbox_event_bytes(&event);
                reactor->is_full = !mailboxes_can_hold(&reactor->out, 1, bytes);
                if (reactor->is_full) {
                        reactor->sizes_out = before;
                        break;
                }
                mailbox_event_write(mailbox_reserve(reactor->out, bytes), &event);
                mailbox_commit(reactor->out, bytes);
                reactor->sent++;
        }
        struct mailbox_control full = {.kind = MAILBOX_FULL};
        if (reactor->is_full && !mailbox_tell(reactor->out, &full))
                abort();
}

static void reactor_hear(struct reactor *reactor)
{
        struct mailbox_control control;
        while (mailbox_hear(reactor->in, &control)) {
                if (control.kind == MAILBOX_FULL)
                        reactor->other_is_full = true;
                else if (control.kind == MAILBOX_VISIBLE && control.token != reactor->heard++)
                        abort();
        }
}

static void reactor_receive(struct reactor *reactor)
{
        struct span record;
        while (mailbox_peek(reactor->in, &record)) {
                struct mailbox_event event;
                mailbox_event_read(record, &event);
                struct span expected = span_of(racing_payload, racing_bytes(&reactor->sizes_in));
                if (event.from != reactor->received || event.ids[0] != (pattern_id)event.from ||
                    !span_equal(event.event.payload, expected))
                        abort();
                if (++reactor->received % 100 == 0)
                        reactor->wanted_to_tell++;
                mailbox_consume(reactor->in);
        }
        mailbox_release(reactor->in);
        struct mailbox_control control = {.kind = MAILBOX_VISIBLE, .token = reactor->told};
        while (reactor->told < reactor->wanted_to_tell && mailbox_tell(reactor->out, &control))
                control.token = ++reactor->told;
        control.kind = MAILBOX_WAKE;
        if (reactor->other_is_full && mailbox_tell(reactor->out, &control))
                reactor->other_is_full = false;
}

static bool reactor_is_done(const struct reactor *reactor)
{
        return reactor->sent == RACING_EVENTS && reactor->received == RACING_EVENTS &&
               reactor->heard == RACING_EVENTS / 100 && reactor->told == RACING_EVENTS / 100;
}

static void *reactor_run(void *argument)
{
        struct reactor *reactor = argument;
        while (!reactor_is_done(reactor)) {
                uint64_t wakes_count;
                struct pollfd poll_one = {.fd = reactor->eventfd, .events = POLLIN};
                reactor_hear(reactor);
                reactor_receive(reactor);
                reactor_send(reactor);
                mailboxes_publish(&reactor->out, 1);
                if (reactor->sent < RACING_EVENTS && !reactor->is_full)
                        continue;
                bell_lie_down(&reactor->bell);
                if (mailbox_is_empty(reactor->in) && !reactor_is_done(reactor)) {
                        reactor->sleeps_count++;
                        /* Nobody waits for ten seconds but who was forgotten. */
                        if (poll(&poll_one, 1, 10000) != 1 ||
                            read(reactor->eventfd, &wakes_count, sizeof(wakes_count)) != sizeof(wakes_count))
                                abort();
                }
                bell_get_up(&reactor->bell);
        }
        return NULL;
}

static void two_reactors_exchange_everything_and_sleep_in_between(void **state)
{
        (void)state;
        pthread_t threads[2];
        for (size_t i = 0; i < sizeof(racing_payload); i++)
                racing_payload[i] = (uint8_t)(i * 7 + i / 256);
        for (size_t i = 0; i < 2; i++) {
                struct reactor *reactor = &reactors[i];
                bell_init(&reactor->bell, wake_reactor, reactor);
                reactor->eventfd = eventfd(0, EFD_CLOEXEC);
                assert_true(reactor->eventfd >= 0);
                assert_int_equal(mailbox_new(&reactor->out, RING_BYTES, &reactors[1 - i].bell), 0);
                random_init(&reactor->sizes_out, i);
                random_init(&reactor->sizes_in, 1 - i);
        }
        for (size_t i = 0; i < 2; i++)
                reactors[i].in = reactors[1 - i].out;
        for (size_t i = 0; i < 2; i++)
                assert_int_equal(pthread_create(&threads[i], NULL, reactor_run, &reactors[i]), 0);
        for (size_t i = 0; i < 2; i++)
                assert_int_equal(pthread_join(threads[i], NULL), 0);
        for (size_t i = 0; i < 2; i++) {
                assert_true(reactors[i].sleeps_count > 0);
                close(reactors[i].eventfd);
                mailbox_free(reactors[i].out);
        }
}

static void the_plan_counts_whole_rings(void **state)
{
        (void)state;
        assert_int_equal(mailbox_memory_bytes(3 << 20),
                         ((size_t)4 << 20) + MAILBOX_CONTROL_BYTES + sizeof(struct mailbox));
        mailbox_free(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(an_event_goes_to_all_targets_or_to_none),
                TEST(all_or_none_holds_over_random_loads),
                TEST(control_gets_through_when_data_is_full_and_data_when_control_is),
                TEST(control_keeps_its_order_and_refuses_until_it_was_heard),
                TEST(every_kind_has_a_name),
                TEST(publishing_wakes_those_who_sleep_and_have_something),
                TEST(an_event_is_read_as_it_was_written),
                TEST(what_is_left_of_a_record_is_read_again_with_the_names_that_were_not_served),
                TEST(a_returned_record_keeps_its_room_until_it_is_settled),
                TEST(a_return_that_finds_no_room_changes_nothing),
                TEST(no_returned_record_is_overwritten_before_it_is_settled),
                cmocka_unit_test(two_reactors_exchange_everything_and_sleep_in_between),
                cmocka_unit_test(the_plan_counts_whole_rings),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
