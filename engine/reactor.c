/* reactor: the turn.
 *
 *      io_poll ─▶ take up ─▶ (input still full? read on) ─▶ timers ─▶ cut lanes ─▶ flush ─▶ io_poll …
 *
 * Two rules about order, measured to matter more than any flag of io_uring:
 *   - What was queued by the flush goes out first in the next poll, and receives come behind it. A receive in front of
 * a hundred sends would be seen only when all of them are done, one round later.
 *   - While input is full, a turn reads on before it flushes, up to READ_ON times what the last flush cost. A hundred
 * cohorts that share one publisher would otherwise get a hundredth of a receive each, and a send costs the same for one
 * event or forty. No timer ever delays an event. */
#include "engine/reactor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

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

/* Slots beyond the limit, so that who comes too many is told and not just closed, and the admin address still answers.
 */
static uint32_t reactor_slots(const struct reactor_settings *settings)
{
        return settings->conns_max + 64;
}

static size_t reactor_spans_max(const struct reactor_settings *settings)
{
        return (size_t)settings->conns_max * 4 + 4096;
}

int reactor_new(struct reactor **out, const struct reactor_settings *settings, struct match_table *table, struct io *io)
{
        struct reactor *reactor = calloc(1, sizeof *reactor);
        uint64_t seeds[3];
        if (reactor == NULL)
                return -ENOMEM;
        reactor->settings = *settings;
        reactor->finish_ns = PEER_FINISH_NS;
        reactor->settings.io.conns_max = reactor_slots(settings);
        list_init(&reactor->crowded);
        list_init(&reactor->kept);
        random_secret(seeds, sizeof seeds);
        if (settings->seed != 0)
                for (size_t i = 0; i < array_count(seeds); i++)
                        seeds[i] = settings->seed + i;
        random_init(&reactor->random, seeds[0]);
        snprintf(reactor->server_id, sizeof reactor->server_id, "SPATE%016llX", (unsigned long long)seeds[2]);
        snprintf(reactor->server_name, sizeof reactor->server_name, "%s", reactor->server_id);

        int error = lanes_init(&reactor->lanes, settings->memory_bytes, reactor_spans_max(settings),
                               settings->lag_bytes_max, settings->stall_ns_max);
        if (error == 0)
                error = routes_init(&reactor->routes, table, settings->number, seeds[1]);
        if (error == 0)
                error = registry_init(&reactor->registry);
        if (error == 0)
                error = pool_init(&reactor->peers, "connections", reactor_peer_bytes(), reactor_slots(settings));
        if (error == 0)
                error = counters_init(&reactor->counters, COUNTERS_COUNT);
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
        reactor->lanes.io = reactor->io;
        reactor->lanes.cohort_ended = registry_cohort_ended;
        reactor->lanes.context = reactor;
        reactor->started_ns = io_now_ns(reactor->io);
        timerwheel_init(&reactor->wheel, reactor->started_ns);
        *out = reactor;
        return 0;
}

void reactor_free(struct reactor *reactor)
{
        if (reactor == NULL)
                return;
        io_stop(reactor->io);
        for (uint32_t i = 0; i < reactor->by_index_count && reactor->by_index != NULL; i++) {
                struct peer *peer = reactor->by_index[i];
                if (peer == NULL)
                        continue;
                peer->lane.lent_bytes = 0; /* the backend is gone, and nothing is lent any more */
                peer_closed(reactor, peer);
        }
        if (reactor->lanes.context != NULL) {
                list_for_each(&reactor->lanes.dirty, link) list_remove(link);
                registry_collect(reactor);
        }
        registry_fini(&reactor->registry);
        counters_fini(&reactor->counters);
        pool_fini(&reactor->peers);
        if (reactor->routes.table != NULL)
                routes_fini(&reactor->routes);
        lanes_fini(&reactor->lanes);
        free(reactor->by_index);
        free(reactor);
}

int reactor_listen(struct reactor *reactor, const char *address, const struct peer_protocol *protocol,
                   char bound[IO_ADDRESS_BYTES_MAX])
{
        for (uint32_t i = 0; i < REACTOR_LISTENERS_MAX; i++) {
                if (reactor->listeners[i] != NULL)
                        continue;
                int error = io_listen(reactor->io, address, i, bound);
                if (error != 0)
                        return error;
                const char *colon = strrchr(bound, ':');
                reactor->listeners[i] = protocol;
                reactor->listener_ports[i] = (uint16_t)(colon == NULL ? 0 : strtoul(colon + 1, NULL, 10));
                return 0;
        }
        return -ENOSPC;
}

static struct peer *reactor_find(struct reactor *reactor, io_id id)
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
                peer_receive(reactor, peer, event->span);
                break;
        case IO_WRITABLE:
                lane_writable(&reactor->lanes, &peer->lane);
                break;
        case IO_ENDED:
                peer_end(reactor, peer, event->error);
                break;
        case IO_CLOSED:
                peer_closed(reactor, peer);
                break;
        case IO_ACCEPTED:
        case IO_CONNECTED:
        case IO_DATAGRAM:
        case IO_WOKEN:
                break;
        }
}

/* Takes up a batch. true: some input was full, there is more behind it. */
static bool reactor_take_up(struct reactor *reactor, int count, uint64_t *input_bytes)
{
        bool is_full = false;
        for (int i = 0; i < count; i++) {
                const struct io_event *event = &reactor->events[i];
                if (event->kind == IO_RECEIVED) {
                        is_full |= event->more;
                        *input_bytes += event->span.size;
                }
                reactor_dispatch(reactor, event);
        }
        return is_full;
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
        lanes_flush(&reactor->lanes);
        do {
                count = io_push(reactor->io, events, PUSH_EVENTS_MAX);
                for (int i = 0; i < count; i++)
                        reactor_dispatch(reactor, &events[i]);
        } while (count == PUSH_EVENTS_MAX);
        reactor->push_bytes = reactor_push_bytes(reactor);
}

int reactor_turn(struct reactor *reactor, uint64_t deadline_ns)
{
        struct io *io = reactor->io;
        uint64_t input_bytes = 0;
        reactor->push_bytes = reactor_push_bytes(reactor);
        uint64_t stall_ns = lanes_cut_stalled(&reactor->lanes, io_now_ns(io));
        uint64_t timer_ns = timerwheel_next_ns(&reactor->wheel);
        if (timer_ns < deadline_ns)
                deadline_ns = timer_ns;
        if (stall_ns < deadline_ns)
                deadline_ns = stall_ns;
        if (reactor->settings.busy_poll)
                deadline_ns = 0;

        bool has_sends = reactor->has_sends;
        uint64_t flush_began_ns = has_sends ? io_clock_ns(io) : 0;
        /* Between two turns we hold nothing that is published, and while we sleep we hold up nobody's retirement. */
        epoch_offline();
        int count = io_poll(io, reactor->events, REACTOR_EVENTS_MAX, deadline_ns);
        epoch_online();
        int total = count;
        /* With sends queued the poll does not sleep: its time is theirs. */
        if (has_sends)
                reactor->flush_ns = io_clock_ns(io) - flush_began_ns;
        bool is_full = reactor_take_up(reactor, count, &input_bytes);
        if (is_full) {
                uint64_t until_ns = io_clock_ns(io) + READ_ON * reactor->flush_ns;
                while (is_full && input_bytes < READ_ON_BYTES_MAX && io_clock_ns(io) < until_ns) {
                        count = io_poll(io, reactor->events, REACTOR_EVENTS_MAX, 0);
                        total += count;
                        is_full = reactor_take_up(reactor, count, &input_bytes);
                }
        }
        timerwheel_expire(&reactor->wheel, io_now_ns(io), reactor_fire, reactor);
        /* Here and not only in front of the poll, where it tells the next deadline: who is cut there would wait through
         * the sleep. */
        lanes_cut_stalled(&reactor->lanes, io_now_ns(io));
        peers_take_cut(reactor);
        reactor->has_sends = lanes_have_work(&reactor->lanes);
        lanes_flush(&reactor->lanes);
        registry_collect(reactor);
        match_collect(reactor->routes.table);
        reactor_count(reactor, COUNT_TURNS, 1);
        return total;
}

void reactor_drain(struct reactor *reactor, uint64_t finish_ns)
{
        reactor->is_stopping = true;
        if (finish_ns > reactor->finish_ns)
                reactor->finish_ns = finish_ns;
        io_stop_listening(reactor->io);
        for (uint32_t i = 0; i < reactor->by_index_count; i++) {
                struct peer *peer = reactor->by_index[i];
                if (peer == NULL)
                        continue;
                if (peer->protocol == &session_protocol)
                        session_tell_lame_duck(reactor, session_of(peer));
                peer_finish(reactor, peer, COUNT_CLOSED_DRAINING);
        }
}

void reactor_sample(struct reactor *reactor)
{
        const struct io_statistics *statistics = io_statistics(reactor->io);
        struct counters *counters = &reactor->counters;
        counter_set(counters, COUNT_DELIVERIES_DROPPED, reactor->lanes.operations_dropped);
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
        counter_set(counters, COUNT_PATTERNS, match_patterns_count(reactor->routes.table));
        counter_set(counters, COUNT_COHORTS, reactor->registry.cohorts_count);
        counter_set(counters, COUNT_COHORT_MEMBERS, reactor->registry.members_count);
        counter_set(counters, COUNT_STREAM_BYTES, reactor->lanes.memory.taken_bytes);
        if (reactor->settings.heap_bytes != NULL)
                counter_set(counters, COUNT_HEAP_BYTES, reactor->settings.heap_bytes());
        counter_set(counters, COUNT_STREAM_BYTES_MAX, reactor->lanes.memory.region_bytes);
}

static void plan_row(FILE *out, const char *what, uint64_t count, uint64_t bytes, const char *who, uint64_t *sum)
{
        fprintf(out, "  %9llu x %9llu B = %8.1f MiB  %-22s %s\n", (unsigned long long)count, (unsigned long long)bytes,
                (double)(count * bytes) / (1 << 20), what, who);
        *sum += count * bytes;
}

void reactor_print_plan(const struct reactor_settings *settings, void *out)
{
        uint64_t sum = 0;
        fprintf(out, "memory plan of a reactor (address space set aside; a page costs memory from its first use)\n");
        plan_row(out, "stream memory", 1, settings->memory_bytes, "events on their way out, cut input (--memory)",
                 &sum);
        plan_row(out, "connections", reactor_slots(settings), reactor_peer_bytes(),
                 "session and cursor (--max-connections)", &sum);
        plan_row(out, "closed spans", reactor_spans_max(settings), sizeof(struct lane_span),
                 "private bytes between shared ones", &sum);
        plan_row(out, "receive buffers", settings->io.receive_buffers_count, settings->io.receive_buffer_bytes,
                 "input of one turn (--receive-buffers)", &sum);
        plan_row(out, "reactor", 1, sizeof(struct reactor), "its events, wheel, tables", &sum);
        fprintf(out, "  %44.1f MiB  together, besides subscriptions (about 200 B each)\n", (double)sum / (1 << 20));
}
