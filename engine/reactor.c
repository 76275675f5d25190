/* reactor: the turn.
 *
 *      io_poll ─▶ mailboxes ─▶ resume the held ─▶ take up input ─▶ (still full? read on) ─▶ timers ─▶ cut lanes
 *         ▲                                                                                                │
 *         └──────────────────────────────────────────── flush ◀─ publish to the others ◀──────────────────┘
 *
 * Two rules about order, measured to matter more than any flag of io_uring:
 *   - What was queued by the flush goes out first in the next poll, and receives come behind it. A receive in front of
 * a hundred sends would be seen only when all of them are done, one round later.
 *   - While input is full, a turn reads on before it flushes, up to READ_ON times what the last flush cost. A hundred
 * cohorts that share one publisher would otherwise get a hundredth of a receive each, and a send costs the same for one
 * event or forty. No timer ever delays an event. */
#include "engine/reactor.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/hostport.h"
#include "engine/door.h"
#include "engine/parting.h"
#include "engine/publish.h"
#include "engine/question.h"
#include "engine/watermark.h"

#define READ_ON 4
#define READ_ON_BYTES_MAX                                                                                              \
        ((uint64_t)4 << 20) /* input of one turn: it must fit the lag limit however few cohorts share it */

const struct counter_row counter_rows[COUNTERS_COUNT] = {
#define COUNTER_ROW(id, row_name, row_labels, row_help, row_kind)                                                      \
        [COUNT_##id] = {.name = row_name, .labels = row_labels, .help = row_help, .kind = row_kind},
        COUNTER_TABLE(COUNTER_ROW)
#undef COUNTER_ROW
};

static size_t reactor_peer_bytes(void)
{
        return sizeof(struct session) > sizeof(struct admin) ? sizeof(struct session) : sizeof(struct admin);
}

/* With those beyond the limit that the door keeps. */
static uint32_t reactor_slots(const struct reactor_settings *settings)
{
        return settings->conns_max + DOOR_SLOTS;
}

#define ACCEPTS_MAX 64

static size_t reactor_spans_max(const struct reactor_settings *settings)
{
        return (size_t)settings->conns_max * 4 + 4096;
}

/* A flush to ten thousand is spread over turns of about so long, so that it does not hold up who asks something. */
#define FLUSH_NS (10 * NS_PER_MS)
#define FLUSH_SENDS_FIRST 1024
#define FLUSH_SENDS_MIN 256
#define FLUSH_SENDS_MAX 8192

/* As many as the last flush says fit; a small one says nothing. */
static void reactor_fit_flush(struct reactor *reactor)
{
        if (reactor->flush_sends < FLUSH_SENDS_MIN || reactor->flush_ns == 0)
                return;
        uint64_t fit = reactor->flush_sends * FLUSH_NS / reactor->flush_ns;
        reactor->flush_sends_max = fit < FLUSH_SENDS_MIN   ? FLUSH_SENDS_MIN
                                   : fit > FLUSH_SENDS_MAX ? FLUSH_SENDS_MAX
                                                           : fit;
}

static void reactor_ring(void *sleeper)
{
        io_wake(sleeper);
}

/* Takes its place among the others. */
static void reactor_enter(struct reactor *reactor)
{
        struct cores *cores = reactor->cores;
        unsigned number = reactor->settings.number;
        for (unsigned i = 0; i < cores->count; i++) {
                if (i == number)
                        continue;
                reactor->out[i] = cores_mailbox(cores, number, i);
                reactor->in[i] = cores_mailbox(cores, i, number);
        }
        reactor->bell = &cores->core[number].bell;
        bell_init(reactor->bell, reactor_ring, reactor->io);
        cores->core[number].reactor = reactor;
}

/* From the thread that tries passwords. */
static void reactor_wake(void *context)
{
        io_wake(context);
}

int reactor_new(struct reactor **out, const struct reactor_settings *settings, struct cores *cores, struct io *io)
{
        struct reactor *reactor = calloc(1, sizeof *reactor);
        uint64_t seeds[3];
        if (reactor == NULL)
                return -ENOMEM;
        assert(settings->number < cores->count);
        reactor->settings = *settings;
        reactor->cores = cores;
        list_init(&reactor->held);
        list_init(&reactor->resumed);
        list_init(&reactor->paced);
        list_init(&reactor->parting);
        list_init(&reactor->questions);
        list_init(&reactor->questions_due);
        reactor->finish_ns = PEER_FINISH_NS;
        reactor->flush_sends_max = FLUSH_SENDS_FIRST;
        /* Those who are closed without a word need no slot here, but one of the backend's, for a turn. */
        reactor->settings.io.conns_max = reactor_slots(settings) + 2 * ACCEPTS_MAX;
        reactor->settings.io.accepts_max = ACCEPTS_MAX;
        list_init(&reactor->crowded);
        list_init(&reactor->logins_waiting);
        list_init(&reactor->kept);
        random_secret(seeds, sizeof seeds);
        if (settings->seed != 0)
                for (size_t i = 0; i < array_count(seeds); i++)
                        seeds[i] = settings->seed + i;
        random_init(&reactor->random, seeds[0]);
        uint64_t server_number = settings->seed != 0 ? seeds[2] : cores->server_number;
        snprintf(reactor->server_id, sizeof reactor->server_id, "SPATE%016llX", (unsigned long long)server_number);
        snprintf(reactor->server_name, sizeof reactor->server_name, "%s", reactor->server_id);

        int error = lanes_init(&reactor->lanes, settings->memory_bytes, reactor_spans_max(settings),
                               settings->lag_bytes_max, settings->stall_ns_max);
        const struct lag_rules *lag = settings->lag;
        if (error == 0 && lag != NULL)
                error = lanes_set_lag(&reactor->lanes, lag_limit_bytes_min(lag), lag_policies_in_use(lag),
                                      settings->block_ns, seeds[1]);
        if (error == 0)
                error = routes_init(&reactor->routes, cores, settings->number, seeds[1], settings->cache_lines);
        if (settings->turn_changes != 0)
                reactor->routes.withdrawals_max = settings->turn_changes;
        if (error == 0)
                error = quotas_init(&reactor->quotas);
        if (error == 0)
                error = registry_init(&reactor->registry);
        if (error == 0)
                error = pool_init(&reactor->peers, "connections", reactor_peer_bytes(),
                                  reactor_slots(settings) + PARTING_SLOTS);
        if (error == 0)
                error = counters_init(&reactor->counters, COUNTERS_COUNT);
        if (error == 0)
                error = pulse_init(&reactor->pulse);
        if (error == 0)
                error = flight_init(&reactor->flight);
        if (error == 0)
                error = addresses_init(&reactor->addresses, settings->conns_max);
        if (error == 0)
                error = ledger_init(&reactor->ledger);
        if (error == 0) {
                reactor->by_index_count = reactor->settings.io.conns_max;
                reactor->by_index = calloc(reactor->by_index_count, sizeof *reactor->by_index);
                error = reactor->by_index == NULL ? -ENOMEM : 0;
        }
        reactor->io = io;
        if (error == 0 && io == NULL)
                error = io_start(&reactor->io, &reactor->settings.io);
        if (error != 0) {
                reactor_free(reactor);
                return error;
        }
        if (settings->auth != NULL) {
                reactor->gate = auth_gate(settings->auth, settings->number);
                auth_gate_open(reactor->gate, reactor_wake, reactor->io);
        }
        reactor->lanes.io = reactor->io;
        reactor->lanes.cohort_ended = registry_cohort_ended;
        reactor->lanes.lost = peer_lost;
        reactor->lanes.context = reactor;
        reactor->started_ns = io_now_ns(reactor->io);
        reactor->started_unix_ns = clock_read_ns(CLOCK_REALTIME);
        if (settings->number == 0) {
                counter_set(&reactor->counters, COUNT_RELOAD_IS_TAKEN, 1);
                counter_set(&reactor->counters, COUNT_RELOAD_TIME, reactor->started_unix_ns / NS_PER_S);
        }
        timerwheel_init(&reactor->wheel, reactor->started_ns);
        /* Unlike on any two reactors, as nats-server's are among its servers. */
        reactor->next_client_id = (uint64_t)settings->number << 48;
        reactor_enter(reactor);
        *out = reactor;
        return 0;
}

void reactor_free(struct reactor *reactor)
{
        if (reactor == NULL)
                return;
        io_stop(reactor->io);
        questions_fini(reactor);

        uint64_t dropped = account_dropped(&reactor->lanes.account);
        uint32_t peers_count = reactor->peers_count;
        reactor->lanes.lost = NULL; /* nobody can ask for rows any more, and the clock is gone with the backend */
        for (uint32_t i = 0; i < reactor->by_index_count && reactor->by_index != NULL; i++) {
                struct peer *peer = reactor->by_index[i];
                if (peer == NULL)
                        continue;
                peer->lane.lent_bytes = 0; /* the backend is gone, and nothing is lent any more … */
                peer->is_paused = false;   /* … nor anything to be resumed */
                peer_closed(reactor, peer);
        }
        if (reactor->parting.next != NULL)
                partings_finish(reactor);
        dropped = account_dropped(&reactor->lanes.account) - dropped;
        if (dropped > 0)
                log_info("events_lost", "reason=%s count=%llu connections=%u", loss_name(LOSS_DRAINING),
                         (unsigned long long)dropped, peers_count);
        if (reactor->lanes.context != NULL) {
                list_for_each(&reactor->lanes.dirty, link) list_remove(link);
                registry_collect(reactor);
        }
        registry_fini(&reactor->registry);
        counters_fini(&reactor->counters);
        pulse_fini(&reactor->pulse);
        flight_fini(&reactor->flight);
        addresses_fini(&reactor->addresses);
        ledger_fini(&reactor->ledger);
        pool_fini(&reactor->peers);
        if (reactor->routes.table != NULL)
                routes_fini(&reactor->routes);
        quotas_fini(&reactor->quotas);
        lanes_fini(&reactor->lanes);
        if (reactor->bell != NULL)
                reactor->cores->core[reactor->settings.number].reactor = NULL;
        free(reactor->by_index);
        free(reactor);
}

int reactor_listen(struct reactor *reactor, const char *address, const struct peer_protocol *protocol,
                   char bound[IO_ADDRESS_BYTES_MAX])
{
        return reactor_listen_shared(reactor, address, protocol == &admin_protocol ? IO_KEPT : IO_ALONE, protocol,
                                     bound);
}

int reactor_listen_shared(struct reactor *reactor, const char *address, enum io_sharing sharing,
                          const struct peer_protocol *protocol, char bound[IO_ADDRESS_BYTES_MAX])
{
        for (uint32_t i = 0; i < REACTOR_LISTENERS_MAX; i++) {
                if (reactor->listeners[i] != NULL)
                        continue;
                int error = io_listen_shared(reactor->io, address, sharing, i, bound);
                if (error != 0)
                        return error;
                reactor->listeners[i] = protocol;
                reactor->listener_numbers[i] = reactor->listen_number;
                reactor->listener_ports[i] = hostport_of(span_of_text(bound)).port;
                return 0;
        }
        return -ENOSPC;
}

struct peer *reactor_find(struct reactor *reactor, io_id id)
{
        uint32_t index = io_id_index(id);
        struct peer *peer = index < reactor->by_index_count ? reactor->by_index[index] : NULL;
        return peer != NULL && peer->lane.id == id ? peer : NULL;
}

/* Takes up one event of the backend. */
static void reactor_dispatch(struct reactor *reactor, const struct io_event *event)
{
        struct peer *peer;
        if (event->kind == IO_ACCEPTED) {
                peer_accept(reactor, event->id, event->listener, event->span, reactor->listeners[event->listener]);
                return;
        }
        peer = reactor_find(reactor, event->id);
        if (peer == NULL)
                return; /* gone meanwhile, or never ours */
        switch (event->kind) {
        case IO_RELEASED:
                lane_released(&reactor->lanes, &peer->lane, event->bytes, event->sent, event->sends,
                              io_now_ns(reactor->io));
                peer_released(reactor, peer);
                break;
        case IO_RECEIVED:
                flight_at(&reactor->flight, peer->number);
                flight_tell(&reactor->flight, FLIGHT_RECEIVED, io_now_ns(reactor->io), peer->number, event->span.size,
                            flight_now(&reactor->flight, FLIGHT_TURN));
                peer_receive(reactor, peer, event->span);
                break;
        case IO_WRITABLE:
                lane_writable(&reactor->lanes, &peer->lane);
                break;
        case IO_ENDED:
                peer_end(reactor, peer, event->error);
                break;
        case IO_CLOSED:
                flight_tell(&reactor->flight, FLIGHT_GONE, io_now_ns(reactor->io), peer->number,
                            reactor->peers_count - 1, 0);
                peer_closed(reactor, peer);
                break;
        case IO_ACCEPTED:
        case IO_CONNECTED:
        case IO_DATAGRAM:
        case IO_WOKEN:
                break;
        }
}

static void reactor_fire(struct timer *timer, void *context)
{
        peer_ticked(context, container_of(timer, struct peer, timer));
}

#define PUSH_EVENTS_MAX 256

static uint64_t reactor_push_bytes(const struct reactor *reactor)
{
        return reactor->lanes.memory.taken_bytes + reactor->lanes.memory.region_bytes / 8;
}

void reactor_push(struct reactor *reactor)
{
        struct io_event events[PUSH_EVENTS_MAX];
        int count;
        /* What goes out may acknowledge what is in the mailboxes. */
        if (reactor->cores->count > 1)
                mailboxes_publish(reactor->out, reactor->cores->count);
        lanes_flush(&reactor->lanes, SIZE_MAX);
        do {
                count = io_push(reactor->io, events, PUSH_EVENTS_MAX);
                for (int i = 0; i < count; i++)
                        reactor_dispatch(reactor, &events[i]);
        } while (count == PUSH_EVENTS_MAX);
        reactor->push_bytes = reactor_push_bytes(reactor);
}

/* ---- the other reactors ---- */

void reactor_hold_publisher(struct reactor *reactor, struct peer *peer, uint64_t full)
{
        reactor->full |= full;
        flight_tell(&reactor->flight, FLIGHT_FULL, io_now_ns(reactor->io), peer->number, full, 0);
        peer_hold(reactor, peer, PEER_HELD_MAILBOX);
        if (!list_is_linked(&peer->wait_link))
                list_push_back(&reactor->held, &peer->wait_link);
        reactor_count(reactor, COUNT_PUBLISHERS_HELD, 1);
}

/* There is room again: the held try again, in their order. */
static void reactor_wake_held(struct reactor *reactor)
{
        while (!list_is_empty(&reactor->held))
                peer_release(reactor, list_entry(reactor->held.next, struct peer, wait_link), PEER_HELD_MAILBOX);
}

static void reactor_hear(struct reactor *reactor, unsigned from, const struct mailbox_control *control)
{
        struct mailbox_control answer = {.position = control->position};
        uint64_t bit = (uint64_t)1 << from;
        struct peer *peer;
        bool is_told = true;
        switch ((enum mailbox_control_kind)control->kind) {
        case MAILBOX_SUBSCRIBE:
        case MAILBOX_WITHDRAW:
                route_ask(reactor, from, control);
                break;
        case MAILBOX_VISIBLE:
                route_visible(reactor, control);
                break;
        case MAILBOX_FULL:
                reactor->wanted |= bit;
                break;
        case MAILBOX_WAKE:
                reactor->full_told &= ~bit;
                reactor_wake_held(reactor);
                break;
        case MAILBOX_RETURN:
                publish_returned(reactor, from, control->position);
                answer.kind = MAILBOX_SETTLED;
                is_told = mailbox_tell(reactor->out[from], &answer);
                break;
        case MAILBOX_SETTLED:
                mailbox_settled(reactor->in[from], control->position);
                break;
        case MAILBOX_DRAIN:
                reactor_drain(reactor, control->token, control->version);
                break;
        case MAILBOX_HALT:
                reactor->is_halted = true;
                break;
        case MAILBOX_BLOCK:
        case MAILBOX_UNBLOCK:
                peer = reactor_find(reactor, control->token);
                if (peer == NULL || peer->state != PEER_OPEN)
                        break;
                if (control->kind == MAILBOX_BLOCK)
                        peer_hold(reactor, peer, PEER_HELD_LAG);
                else
                        peer_release(reactor, peer, PEER_HELD_LAG);
                break;
        case MAILBOX_QUESTION:
                question_take(reactor, control->question);
                answer = (struct mailbox_control){.kind = MAILBOX_ANSWER, .question = control->question};
                is_told = mailbox_tell(reactor->out[from], &answer);
                break;
        case MAILBOX_ANSWER:
                question_hear(reactor, control->question);
                break;
        case MAILBOX_CONTROL_KINDS:
                break;
        }
        assert(is_told); /* MAILBOX_ASKS_MAX */
}

/* Takes up what one other reactor has sent; at most a mailbox full, for it may go on sending. */
static void reactor_drain_mailbox(struct reactor *reactor, unsigned from)
{
        struct mailbox *mailbox = reactor->in[from];
        struct mailbox_control control;
        struct span record;
        size_t bytes = 0;
        while (mailbox_hear(mailbox, &control))
                reactor_hear(reactor, from, &control);
        /* Before events, which may publish our answers: whoever has those may ask as much again. */
        mailbox_release(mailbox);
        while (bytes < reactor->cores->mailbox_bytes && mailbox_peek(mailbox, &record)) {
                bytes += record.size;
                if (mailbox_event_is_last(record)) {
                        reactor->last_heard |= (uint64_t)1 << from;
                        mailbox_consume(mailbox);
                } else if (!publish_receive(reactor, from, record)) {
                        break;
                }
        }
        mailbox_release(mailbox);
        struct mailbox_control wake = {.kind = MAILBOX_WAKE};
        if ((reactor->wanted & (uint64_t)1 << from) && mailbox_tell(reactor->out[from], &wake))
                reactor->wanted &= ~((uint64_t)1 << from);
}

static void reactor_drain_mailboxes(struct reactor *reactor)
{
        for (unsigned i = 0; i < reactor->cores->count; i++)
                if (reactor->in[i] != NULL)
                        reactor_drain_mailbox(reactor, i);
        publish_received(reactor);
}

/* What the others have sent, what came of logins, and who was held for that. */
static void reactor_take_mail(struct reactor *reactor)
{
        if (reactor->cores->count > 1)
                reactor_drain_mailboxes(reactor);
        if (reactor->gate != NULL)
                logins_take(reactor);
        peers_resume(reactor);
}

/* Takes up a batch. true: some input was full, there is more behind it. */
static bool reactor_take_up(struct reactor *reactor, int count, uint64_t *input_bytes)
{
        bool is_full = false;
        /* Before anything that may send in the middle of the turn: a lane that sends must know what came back. */
        flight_step(&reactor->flight, FLIGHT_IN_RELEASES);
        for (int i = 0; i < count; i++)
                if (reactor->events[i].kind == IO_RELEASED)
                        reactor_dispatch(reactor, &reactor->events[i]);
        /* Mail before input: an event that was acknowledged is in our mailbox. Whoever has heard of that and then
         * unsubscribes here still gets it; whoever then subscribes here does not. */
        flight_step(&reactor->flight, FLIGHT_IN_MAIL);
        reactor_take_mail(reactor);
        flight_step(&reactor->flight, FLIGHT_IN_INPUT);
        for (int i = 0; i < count; i++) {
                const struct io_event *event = &reactor->events[i];
                if (event->kind == IO_RELEASED)
                        continue;
                if (event->kind == IO_RECEIVED) {
                        is_full |= event->more;
                        *input_bytes += event->span.size;
                }
                reactor_dispatch(reactor, event);
        }
        flight_at(&reactor->flight, 0);
        return is_full;
}

/* The turn's end: the others are told, and shown what was sent. */
static void reactor_publish(struct reactor *reactor)
{
        struct mailbox_control full = {.kind = MAILBOX_FULL};
        /* The writer of the matcher says when it has made room. */
        if (routes_tell(reactor))
                reactor->full |= (uint64_t)1 << 0;
        for (uint64_t untold = reactor->full & ~reactor->full_told; untold != 0; untold &= untold - 1) {
                unsigned target = (unsigned)__builtin_ctzll(untold);
                if (mailbox_tell(reactor->out[target], &full))
                        reactor->full_told |= (uint64_t)1 << target;
                else
                        reactor->must_turn = true;
        }
        reactor->full &= ~reactor->full_told;
        mailboxes_publish(reactor->out, reactor->cores->count);
}

static bool reactor_has_mail(const struct reactor *reactor)
{
        for (unsigned i = 0; i < reactor->cores->count; i++)
                if (reactor->in[i] != NULL && !mailbox_is_empty(reactor->in[i]))
                        return true;
        return false;
}

/* Polls; sleeps only while nobody has anything for us. */
static int reactor_poll(struct reactor *reactor, uint64_t deadline_ns)
{
        /* What a kernel is given to send comes back in the same poll, which so never sleeps. */
        bool returns_sends = reactor->has_sends && io_traits(reactor->io)->lent_bytes_max == SIZE_MAX;
        bool may_sleep = deadline_ns != 0 && !returns_sends && reactor->cores->count > 1;
        if (may_sleep) {
                bell_lie_down(reactor->bell);
                if (reactor_has_mail(reactor))
                        deadline_ns = 0;
        }
        /* Between two turns we hold nothing that is published, and while we sleep we hold up nobody's retirement. */
        epoch_offline();
        int count = io_poll(reactor->io, reactor->events, REACTOR_EVENTS_MAX, deadline_ns);
        epoch_online();
        if (may_sleep)
                bell_get_up(reactor->bell);
        return count;
}

/* ---- the end ---- */

void reactor_drain(struct reactor *reactor, uint64_t finish_ns, uint64_t spread_ns)
{
        if (reactor->drain != REACTOR_RUNS)
                return;
        reactor->drain = REACTOR_STOPPED;
        flight_tell(&reactor->flight, FLIGHT_DRAINS, io_now_ns(reactor->io), 0, reactor->peers_count, spread_ns);
        reactor->is_stopping = true;
        reactor->drain_ns = spread_ns;
        if (finish_ns > reactor->finish_ns)
                reactor->finish_ns = finish_ns;
        io_stop_listening(reactor->io);
        for (unsigned i = 0; reactor->settings.number == 0 && i < reactor->cores->count; i++) {
                struct mailbox_control drain = {.kind = MAILBOX_DRAIN, .token = finish_ns, .version = spread_ns};
                bool is_told = reactor->out[i] == NULL || mailbox_tell(reactor->out[i], &drain);
                assert(is_told);
        }
        for (uint32_t i = 0; i < reactor->by_index_count; i++) {
                struct peer *peer = reactor->by_index[i];
                if (peer == NULL || peer->protocol != &session_protocol || peer->state != PEER_OPEN)
                        continue;
                session_tell_lame_duck(reactor, session_of(peer));
                peer_hold(reactor, peer, PEER_HELD_DRAIN);
        }
}

/* Says that no event follows, to those that have room; the others next turn. */
static void reactor_send_last(struct reactor *reactor)
{
        struct mailbox_event last = {.flags = MAILBOX_LAST};
        size_t bytes = mailbox_event_bytes(&last);
        for (unsigned i = 0; i < reactor->cores->count; i++) {
                uint64_t bit = (uint64_t)1 << i;
                uint8_t *record = reactor->out[i] == NULL || (reactor->last_sent & bit)
                                          ? NULL
                                          : mailbox_reserve(reactor->out[i], bytes);
                if (reactor->out[i] == NULL)
                        reactor->last_sent |= bit;
                if (record == NULL)
                        continue;
                mailbox_event_write(record, &last);
                mailbox_commit(reactor->out[i], bytes);
                reactor->last_sent |= bit;
        }
}

#define LEAVE_NS NS_PER_MS /* the most that goodbye to one connection adds to the spread */

/* Goodbye to as many as it is time for. */
static void reactor_take_leave(struct reactor *reactor)
{
        uint64_t gone_ns = io_now_ns(reactor->io) - reactor->drain_began_ns + NS_PER_MS;
        uint64_t due = reactor->drain_count;
        if (gone_ns < reactor->drain_ns)
                due = due * gone_ns / reactor->drain_ns;
        for (; reactor->drain_next < reactor->by_index_count; reactor->drain_next++) {
                struct peer *peer = reactor->by_index[reactor->drain_next];
                if (peer == NULL)
                        continue;
                if (reactor->drain_done >= due && gone_ns < reactor->drain_ns)
                        return;
                reactor->drain_done++;
                peer_finish(reactor, peer, COUNT_CLOSED_DRAINING);
        }
}

static void reactor_drain_on(struct reactor *reactor)
{
        uint64_t all = reactor->cores->count == 64 ? UINT64_MAX : ((uint64_t)1 << reactor->cores->count) - 1;
        if (reactor->drain == REACTOR_STOPPED) {
                reactor_send_last(reactor);
                reactor->last_heard |= (uint64_t)1 << reactor->settings.number;
                if (reactor->last_sent == all)
                        reactor->drain = REACTOR_LISTENS;
                else
                        reactor->must_turn = true;
        }
        if (reactor->drain == REACTOR_LISTENS && reactor->last_heard == all) {
                reactor->drain = REACTOR_TAKES_LEAVE;
                reactor->drain_began_ns = io_now_ns(reactor->io);
                reactor->drain_count = reactor->peers_count;
                if (reactor->drain_ns > reactor->drain_count * LEAVE_NS)
                        reactor->drain_ns = reactor->drain_count * LEAVE_NS;
        }
        if (reactor->drain == REACTOR_TAKES_LEAVE)
                reactor_take_leave(reactor);
}

void reactor_halt_others(struct reactor *reactor)
{
        struct mailbox_control halt = {.kind = MAILBOX_HALT};
        for (unsigned i = 0; i < reactor->cores->count; i++)
                while (reactor->out[i] != NULL && !mailbox_tell(reactor->out[i], &halt))
                        sched_yield();
        mailboxes_publish(reactor->out, reactor->cores->count);
}

/* ---- a reload ---- */

/* Takes up what may change while we run. What is armed or subscribed already stays as it was. */
static void reactor_adopt(struct reactor *reactor, const struct reactor_settings *settings)
{
        struct reactor_settings *own = &reactor->settings;
        own->lag_bytes_max = settings->lag_bytes_max;
        own->stall_ns_max = settings->stall_ns_max;
        own->lag = settings->lag;
        memcpy(own->lag_policies, settings->lag_policies, sizeof own->lag_policies);
        own->block_ns = settings->block_ns;
        own->handshake_ns = settings->handshake_ns;
        own->ping_interval_ns = settings->ping_interval_ns;
        own->pings_out_max = settings->pings_out_max;
        own->conns_max = settings->conns_max;
        own->address_conns_max = settings->address_conns_max;
        own->subscriptions_max = settings->subscriptions_max;
        own->user_patterns_max = settings->user_patterns_max;
        own->user_shapes_max = settings->user_shapes_max;
        own->subscribe_rate = settings->subscribe_rate;
        own->subscribe_burst = settings->subscribe_burst;
        own->publish_rate = settings->publish_rate;
        own->publish_burst = settings->publish_burst;
        own->publish_bytes = settings->publish_bytes;
        own->auth_timeout_ns = settings->auth_timeout_ns;
        if (own->lag != NULL)
                lanes_change_lag(&reactor->lanes, own->lag_bytes_max, lag_limit_bytes_min(own->lag),
                                 lag_policies_in_use(own->lag), own->block_ns);
        if (reactor->gate != NULL)
                auth_change_timeout(reactor->gate, own->auth_timeout_ns);
        own->edition = settings->edition;
        flight_tell(&reactor->flight, FLIGHT_ADOPTED, io_now_ns(reactor->io), 0, settings->edition, 0);
}

/* ---- the turn ---- */

#define SAMPLE_NS (20 * NS_PER_MS)
#define LONG_TURN_NS (50 * NS_PER_MS)
static void reactor_count_turn(struct reactor *reactor, uint64_t turn_ns)
{
        pulse_count_turn(&reactor->pulse, turn_ns);
        if (unlikely(turn_ns >= LONG_TURN_NS))
                flight_tell(&reactor->flight, FLIGHT_LONG_TURN, io_now_ns(reactor->io), 0, turn_ns,
                            flight_now(&reactor->flight, FLIGHT_TURN));
}

int reactor_turn(struct reactor *reactor, uint64_t deadline_ns)
{
        struct io *io = reactor->io;
        uint64_t input_bytes = 0;
        reactor->push_bytes = reactor_push_bytes(reactor);
        uint64_t tend_ns = lanes_tend(&reactor->lanes, io_now_ns(io));
        uint64_t timer_ns = timerwheel_next_ns(&reactor->wheel);
        if (timer_ns < deadline_ns)
                deadline_ns = timer_ns;
        if (tend_ns < deadline_ns)
                deadline_ns = tend_ns;
        if (reactor->blocking_ns < deadline_ns)
                deadline_ns = reactor->blocking_ns;
        if (unlikely(reactor->drain == REACTOR_TAKES_LEAVE && reactor->drain_next < reactor->by_index_count) &&
            io_now_ns(io) + NS_PER_MS < deadline_ns)
                deadline_ns = io_now_ns(io) + NS_PER_MS;
        if (reactor->settings.busy_poll || reactor->must_turn || logins_must_turn(reactor) || reactor->may_let_ask ||
            !list_is_empty(&reactor->resumed) || !list_is_empty(&reactor->paced) || partings_must_turn(reactor) ||
            !list_is_empty(&reactor->questions_due))
                deadline_ns = 0;

        bool has_sends = reactor->has_sends;
        uint64_t poll_began_ns = io_clock_ns(io);
        if (likely(reactor->pulse.turn_began_ns != 0))
                reactor_count_turn(reactor, poll_began_ns - reactor->pulse.turn_began_ns);
        flight_turn(&reactor->flight, poll_began_ns);
        flight_step(&reactor->flight, FLIGHT_IN_POLLS);
        int count = reactor_poll(reactor, deadline_ns);
        int total = count;
        /* In front of all that looks at them: while we slept, the ones before may have been freed. */
        const struct reactor_settings *published = cores_published_settings(reactor->cores);
        if (unlikely(published != NULL && published->edition != reactor->settings.edition))
                reactor_adopt(reactor, published);
        /* With sends queued the poll does not sleep: its time is theirs. */
        if (has_sends) {
                reactor->flush_ns = io_clock_ns(io) - poll_began_ns;
                reactor_fit_flush(reactor);
        }
        reactor->pulse.turn_began_ns = has_sends ? poll_began_ns : io_now_ns(io);
        paces_begin_turn(reactor);
        partings_go_on(reactor);
        bool is_full = reactor_take_up(reactor, count, &input_bytes);
        if (is_full) {
                uint64_t until_ns = io_clock_ns(io) + READ_ON * reactor->flush_ns;
                while (is_full && input_bytes < READ_ON_BYTES_MAX && io_clock_ns(io) < until_ns) {
                        count = io_poll(io, reactor->events, REACTOR_EVENTS_MAX, 0);
                        total += count;
                        is_full = reactor_take_up(reactor, count, &input_bytes);
                }
        }
        bool has_others = reactor->cores->count > 1;
        flight_step(&reactor->flight, FLIGHT_IN_TIMERS);
        timerwheel_expire(&reactor->wheel, io_now_ns(io), reactor_fire, reactor);
        if (unlikely(!list_is_empty(&reactor->questions_due)))
                questions_take_due(reactor);
        reactor->must_turn = false;
        if (unlikely(reactor->drain != REACTOR_RUNS))
                reactor_drain_on(reactor);
        /* Here and not only in front of the poll, where it tells the next deadline: who is cut there would wait through
         * the sleep. */
        flight_step(&reactor->flight, FLIGHT_IN_TENDS);
        lanes_tend(&reactor->lanes, io_now_ns(io));
        reactor->blocking_ns = blocking_tend(reactor);
        sessions_tell_lag(reactor);
        enum watermark watermark = reactor->watermark;
        reactor_count(reactor, COUNT_WATERMARK_CUTS,
                      watermark_keep(&watermark, &reactor->lanes, reactor->settings.stall_ns_max));
        if (unlikely(watermark != reactor->watermark))
                flight_tell(&reactor->flight, FLIGHT_WATERMARK, io_now_ns(io), 0, watermark,
                            reactor->lanes.memory.taken_bytes);
        reactor->watermark = (uint8_t)watermark;
        peers_take_cut(reactor);
        if (has_others)
                reactor_publish(reactor);
        /* Not whether there was anything to flush: all who want it may be waiting for their network. */
        uint64_t sends_before = io_statistics(io)->sends;
        flight_step(&reactor->flight, FLIGHT_IN_FLUSHES);
        reactor->must_turn |= !lanes_flush(&reactor->lanes, reactor->flush_sends_max);
        reactor->flush_sends = io_statistics(io)->sends - sends_before;
        reactor->has_sends = reactor->flush_sends != 0;
        flight_step(&reactor->flight, FLIGHT_IN_COLLECTS);
        registry_collect(reactor);
        interests_collect(reactor->routes.interests);
        if (reactor->settings.number == 0)
                match_collect(reactor->routes.table);
        reactor_count(reactor, COUNT_TURNS, 1);
        if (!reactor->has_sends || io_now_ns(io) - reactor->sampled_ns >= SAMPLE_NS) {
                reactor->sampled_ns = io_now_ns(io);
                reactor_sample(reactor);
        }
        return total;
}

void reactor_note_reload(struct reactor *reactor, bool is_taken)
{
        reactor_count(reactor, is_taken ? COUNT_RELOADS_TAKEN : COUNT_RELOADS_REFUSED, 1);
        counter_set(&reactor->counters, COUNT_RELOAD_IS_TAKEN, is_taken);
        if (is_taken)
                counter_set(&reactor->counters, COUNT_RELOAD_TIME, clock_read_ns(CLOCK_REALTIME) / NS_PER_S);
}

uint64_t reactor_sum(const struct reactor *reactor, enum counter_id id)
{
        const struct cores *cores = reactor->cores;
        uint64_t sum = 0;
        for (unsigned i = 0; i < cores->count; i++)
                sum += counter_read(&cores->core[i].reactor->counters, id);
        return sum;
}

#define DESCRIPTORS_QUIET_NS NS_PER_S

/* Told once when newcomers have to wait, and once when they are let in again. */
static void reactor_note_descriptors(struct reactor *reactor, const struct io_statistics *statistics)
{
        uint64_t now_ns = io_now_ns(reactor->io), failed = statistics->accepts_failed;
        if (failed != reactor->accepts_failed) {
                flight_tell(&reactor->flight, FLIGHT_NO_PLACE, now_ns, 0, failed, reactor->peers_count);
                if (!reactor->is_short_of_descriptors)
                        log_warn("accepts_wait",
                                 "reason=\"%s\" connections=%u reactor=%u fix=\"raise the limit of open files: "
                                 "LimitNOFILE= of the service or ulimit -n, fs.file-max; or lower --max-connections\"",
                                 strerror(statistics->accepts_errno), reactor->peers_count, reactor->settings.number);
                reactor->is_short_of_descriptors = true;
                reactor->accepts_failed = failed;
                reactor->short_ns = now_ns;
        } else if (now_ns - reactor->short_ns >= DESCRIPTORS_QUIET_NS) {
                log_info("accepts_go_on", "connections=%u reactor=%u", reactor->peers_count, reactor->settings.number);
                reactor->is_short_of_descriptors = false;
        }
}

void reactor_sample(struct reactor *reactor)
{
        const struct io_statistics *statistics = io_statistics(reactor->io);
        struct counters *counters = &reactor->counters;
        const struct account *account = &reactor->lanes.account;
        if (unlikely(statistics->accepts_failed != reactor->accepts_failed || reactor->is_short_of_descriptors))
                reactor_note_descriptors(reactor, statistics);
        counter_set(counters, COUNT_DELIVERIES_MATCHED, account->matched);
        counter_set(counters, COUNT_DELIVERIES_RELEASED, account->released);
        for (int i = 0; i < LOSSES; i++)
                counter_set(counters, COUNT_DROPPED(i), account->dropped[i]);
        counter_set(counters, COUNT_DELIVERIES_PENDING,
                    account->matched - account->released - account_dropped(account));
        counter_set(counters, COUNT_POLLS, statistics->polls);
        counter_set(counters, COUNT_SYSTEM_CALLS, statistics->system_calls);
        counter_set(counters, COUNT_SENDS, statistics->sends);
        counter_set(counters, COUNT_SENDS_SHORT, statistics->sends_short);
        counter_set(counters, COUNT_BYTES_SENT, statistics->bytes_sent);
        counter_set(counters, COUNT_RECEIVES, statistics->receives);
        counter_set(counters, COUNT_BYTES_RECEIVED, statistics->bytes_received);
        counter_set(counters, COUNT_ACCEPTS_REFUSED, statistics->accepts_refused);
        counter_set(counters, COUNT_BUFFERS_SHORT, statistics->buffers_short);
        counter_set(counters, COUNT_CONNECTIONS, reactor->peers_count);
        counter_set(counters, COUNT_SUBSCRIPTIONS, reactor->routes.subscriptions_count);
        if (reactor->settings.number == 0)
                counter_set(counters, COUNT_PATTERNS, match_patterns_count(reactor->routes.table));
        counter_set(counters, COUNT_COHORTS, reactor->registry.cohorts_count);
        counter_set(counters, COUNT_COHORT_MEMBERS, reactor->registry.members_count);
        counter_set(counters, COUNT_WATERMARK, reactor->watermark);
        counter_set(counters, COUNT_STREAM_BYTES, reactor->lanes.memory.taken_bytes);
        if (reactor->settings.heap_bytes != NULL && reactor->settings.number == 0)
                counter_set(counters, COUNT_HEAP_BYTES, reactor->settings.heap_bytes());
        counter_set(counters, COUNT_STREAM_BYTES_MAX, reactor->lanes.memory.region_bytes);
}

static void plan_row(FILE *out, const char *what, uint64_t count, uint64_t bytes, const char *who, uint64_t *sum)
{
        fprintf(out, "  %9llu x %9llu B = %8.1f MiB  %-22s %s\n", (unsigned long long)count, (unsigned long long)bytes,
                (double)(count * bytes) / (1 << 20), what, who);
        *sum += count * bytes;
}

void reactor_print_plan(const struct reactor_settings *settings, const struct cores *cores, void *out)
{
        uint64_t sum = 0, count = cores->count;
        fprintf(out, "memory plan%s (address space set aside; a page costs memory from its first use)\n",
                count > 1 ? " of all reactors" : "");
        plan_row(out, "stream memory", count, settings->memory_bytes, "events on their way out, cut input (--memory)",
                 &sum);
        plan_row(out, "connections", count * (reactor_slots(settings) + PARTING_SLOTS), reactor_peer_bytes(),
                 "session and cursor (--max-connections)", &sum);
        plan_row(out, "closed spans", count * reactor_spans_max(settings), sizeof(struct lane_span),
                 "private bytes between shared ones", &sum);
        plan_row(out, "addresses", count, addresses_bytes(settings->conns_max),
                 "how many from each (--max-connections-per-address)", &sum);
        plan_row(out, "receive buffers", count * settings->io.receive_buffers_count, settings->io.receive_buffer_bytes,
                 "input of one turn (--receive-buffers)", &sum);
        if (count > 1)
                plan_row(out, "mailboxes", count * (count - 1), mailbox_memory_bytes(cores->mailbox_bytes),
                         "events from reactor to reactor (--mailbox)", &sum);
        plan_row(out, "ledger", count * LEDGER_ROWS, sizeof(struct ledger_row), "the last losses (spate losses)", &sum);
        plan_row(out, "flight recorder", count * FLIGHT_RINGS * FLIGHT_RECORDS, FLIGHT_WORDS * sizeof(uint64_t),
                 "what each did last (spate postmortem)", &sum);
        plan_row(out, count > 1 ? "reactors" : "reactor", count, sizeof(struct reactor), "its events, wheel, tables",
                 &sum);
        fprintf(out, "  %44.1f MiB  together, besides subscriptions (about 200 B each)\n", (double)sum / (1 << 20));
}
