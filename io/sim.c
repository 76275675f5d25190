/* sim: see sim.h. The io of a reactor on the simulated network: its ids, listeners and operations. The network itself
 * is simnet.h, a connection simpeer.h, what it has lent simlent.h, and what io_poll() tells of it simnews.h. Simple
 * before fast: the heap of the C library is used freely, and lists are walked. */
#include "io/sim.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "io/simlent.h"
#include "io/simnews.h"

struct datagram {
        struct list link;
        uint32_t sim; /* the reactor's number */
        io_id id;
        struct io_address address;
        size_t size;
        uint8_t bytes[];
};

struct socket {
        struct list link;
        io_id id;
        struct list arrived;
        bool closing;
};

struct slot {
        uint32_t generation;
        struct sim_peer *peer;
        struct socket *socket;
        uint32_t free_next;
};

struct address_row {
        struct list link;
        uint32_t listener;
        bool is_shared; /* with other reactors */
        char text[IO_ADDRESS_BYTES_MAX];
};

#define SLOT_NONE UINT32_MAX

struct sim {
        struct io io;
        struct simnet *net;
        struct list link; /* in net->sims */
        uint32_t number;
        struct io_settings settings;
        struct slot *slots;
        uint32_t slots_fresh, slot_free, ids_count;
        struct simturn turn;
        struct simguards guards;
        struct list sockets;
        struct list listeners;
        bool woken;

        /* Whether it sleeps, see wakes_at_ns(). */
        bool has_polled, is_polling;
        uint64_t deadline_ns;   /* of its last io_poll() */
        uint64_t slept_stirred; /* net->stirred when that found nothing */
        uint64_t away_until_ns;
};

static struct sim *sim_of(struct io *io)
{
        return (struct sim *)(void *)io;
}

static const struct sim *sim_of_const(const struct io *io)
{
        return (const struct sim *)(const void *)io;
}

static struct simnet *net_of(struct io *io)
{
        return sim_of(io)->net;
}

/* Each call of io.h begins here. */
static struct sim *called(struct io *io)
{
        struct sim *sim = sim_of(io);
        sim->net->speaking = sim->number;
        sim->net->stirred++;
        return sim;
}

/* ---- ids ---- */

static struct slot *slot_take(struct sim *sim, io_id *id)
{
        uint32_t index = sim->slot_free;
        if (index != SLOT_NONE)
                sim->slot_free = sim->slots[index].free_next;
        else if (sim->slots_fresh < sim->settings.conns_max)
                index = sim->slots_fresh++;
        else
                return NULL;
        struct slot *slot = &sim->slots[index];
        slot->generation++;
        sim->ids_count++;
        *id = (io_id)slot->generation << 32 | index;
        return slot;
}

static void slot_give(struct sim *sim, io_id id)
{
        struct slot *slot = &sim->slots[io_id_index(id)];
        slot->peer = NULL;
        slot->socket = NULL;
        slot->free_next = sim->slot_free; /* at once taken again: a stale id meets its successor soon */
        sim->slot_free = io_id_index(id);
        sim->ids_count--;
}

/* NULL: the id is dead. */
static struct slot *slot_find(struct sim *sim, io_id id, const char *call)
{
        if (io_id_index(id) >= sim->slots_fresh || id >> 32 == 0 || id >> 32 > sim->slots[io_id_index(id)].generation)
                simnet_fail(sim->net, 0, 0, "%s with an id that was never given out: %llx", call,
                            (unsigned long long)id);
        struct slot *slot = &sim->slots[io_id_index(id)];
        bool alive = slot->generation == id >> 32 && (slot->peer != NULL || slot->socket != NULL);
        return alive ? slot : NULL;
}

/* ---- what reaches a reactor ---- */

static bool listens(const struct sim *sim, uint32_t listener)
{
        list_for_each(&sim->listeners,
                      link) if (list_entry(link, struct address_row, link)->listener == listener) return true;
        return false;
}

/* Those that listen as the same share the connections, as the kernel shares those of one address out. */
static struct sim *draw_listening(struct simnet *net, uint32_t listener)
{
        struct sim *drawn = NULL;
        uint64_t listening = 0;
        list_for_each(&net->sims, link) listening += listens(list_entry(link, struct sim, link), listener);
        uint64_t skip = listening > 1 ? simnet_draw(net, listening) : 0;
        list_for_each(&net->sims, link)
        {
                struct sim *sim = list_entry(link, struct sim, link);
                if (drawn == NULL && listens(sim, listener) && skip-- == 0)
                        drawn = sim;
        }
        return drawn;
}

/* A peer's wish to connect. */
static void accept_arrives(const struct happening *happening)
{
        struct sim_peer *peer = happening->peer;
        struct sim *sim = simnet_chance(happening->net, happening->net->settings.refuse)
                                  ? NULL
                                  : draw_listening(happening->net, peer->listener);
        struct slot *slot = sim != NULL ? slot_take(sim, &peer->id) : NULL;
        if (slot == NULL) {
                if (sim != NULL)
                        sim->io.statistics.accepts_refused++;
                simpeer_refuse(peer);
                return;
        }
        slot->peer = peer;
        peer->turn = &sim->turn;
        peer->accept_due = true;
        simpeer_mark_ready(peer);
}

/* The outcome of an io_connect(); a: somebody answers. */
static void connect_arrives(const struct happening *happening)
{
        struct sim_peer *peer = happening->peer;
        if (peer->dead || peer->close_begun)
                return;
        peer->connect_due = true;
        simpeer_mark_ready(peer);
        if (happening->a != 0) {
                list_push_back(&peer->net->answered, &peer->answered);
                return;
        }
        peer->connect_error = -ECONNREFUSED;
        peer->refused = true;
        simpeer_break(peer, -ECONNREFUSED);
}

static void datagram_arrives(const struct happening *happening)
{
        struct datagram *datagram = happening->owned;
        list_for_each(&happening->net->sims, sim_link)
        {
                struct sim *sim = list_entry(sim_link, struct sim, link);
                if (sim->number != datagram->sim)
                        continue;
                list_for_each(&sim->sockets, link)
                {
                        struct socket *socket = list_entry(link, struct socket, link);
                        if (socket->id == datagram->id && !socket->closing) {
                                list_push_back(&socket->arrived, &datagram->link);
                                return;
                        }
                }
        }
        sim_free(datagram);
}

static void datagram_leaves(const struct happening *happening)
{
        struct datagram *datagram = happening->owned;
        list_push_back(&happening->net->datagrams_out, &datagram->link);
}

/* ---- telling the engine ---- */

static void tell_datagrams(struct sim *sim, struct simnews *news)
{
        list_for_each(&sim->sockets, link)
        {
                struct socket *socket = list_entry(link, struct socket, link);
                list_for_each(&socket->arrived, datagram_link)
                {
                        struct datagram *datagram = list_entry(datagram_link, struct datagram, link);
                        if (simnews_is_full(news))
                                return;
                        struct span from = simnews_guard(news, &datagram->address, sizeof(datagram->address));
                        list_remove(&datagram->link);
                        simnews_tell(news, 0,
                                     (struct io_event){.kind = IO_DATAGRAM,
                                                       .id = socket->id,
                                                       .span = simnews_guard(news, datagram->bytes, datagram->size),
                                                       .from = (const struct io_address *)(const void *)from.bytes});
                        sim_free(datagram);
                }
                if (socket->closing && !simnews_is_full(news)) {
                        slot_give(sim, socket->id);
                        list_remove(&socket->link);
                        simnews_tell(news, 0, (struct io_event){.kind = IO_CLOSED, .id = socket->id});
                        sim_free(socket);
                }
        }
}

/* Fills the batch in an order drawn by chance. SIM_KERNEL tells all releases before all else, as io.h says. */
static void tell_all(struct sim *sim, struct simnews *news)
{
        struct simnet *net = sim->net;
        size_t count = 0;
        list_for_each(&sim->turn.ready, link) count++;
        struct sim_peer **peers = sim_allocate((count + 1) * sizeof(struct sim_peer *));
        count = 0;
        list_for_each(&sim->turn.ready, link) peers[count++] = list_entry(link, struct sim_peer, ready);
        for (size_t i = count; i > 1; i--) {
                size_t other = simnet_draw(net, i);
                struct sim_peer *swap = peers[i - 1];
                peers[i - 1] = peers[other];
                peers[other] = swap;
        }
        if (sim->woken && !simnews_is_full(news)) {
                sim->woken = false;
                simnews_tell(news, 0, (struct io_event){.kind = IO_WOKEN});
        }
        if (net->settings.mode == SIM_KERNEL)
                for (size_t i = 0; i < count; i++)
                        simnews_tell_released(news, peers[i]);
        tell_datagrams(sim, news);
        for (size_t i = 0; i < count; i++) {
                simnews_tell_rest(news, peers[i]);
                if (peers[i]->dead)
                        slot_give(sim, peers[i]->id);
        }
        for (size_t i = 0; i < count; i++)
                if (!simnews_waits(peers[i]))
                        list_remove(&peers[i]->ready);
        sim_free(peers);
}

static bool anything_to_tell(struct sim *sim)
{
        if (sim->woken)
                return true;
        list_for_each(&sim->turn.ready, link)
        {
                if (simnews_waits(list_entry(link, struct sim_peer, ready)))
                        return true;
                list_remove(link);
        }
        list_for_each(&sim->sockets, link)
        {
                struct socket *socket = list_entry(link, struct socket, link);
                if (socket->closing || !list_is_empty(&socket->arrived))
                        return true;
        }
        return false;
}

/* ---- the operations ---- */

static void hand_out_queued(struct sim *sim)
{
        while (!list_is_empty(&sim->turn.handouts)) {
                struct sim_peer *peer = list_entry(sim->turn.handouts.next, struct sim_peer, handout);
                list_remove(&peer->handout);
                simpeer_hand_out(peer);
        }
        while (!list_is_empty(&sim->turn.closes)) {
                struct sim_peer *peer = list_entry(sim->turn.closes.next, struct sim_peer, closes);
                list_remove(&peer->closes);
                simpeer_begin_close(peer);
        }
}

/* When `sim` is going to do something by itself. It sleeps when its last io_poll() has told nothing and nobody has done
 * anything since: then it has seen all that others did. */
static uint64_t wakes_at_ns(struct sim *sim)
{
        const struct simnet *net = sim->net;
        bool sleeps = sim->is_polling || (sim->has_polled && sim->slept_stirred == net->stirred);
        uint64_t at_ns = !sim->has_polled                   ? UINT64_MAX
                         : sleeps && !anything_to_tell(sim) ? sim->deadline_ns
                                                            : net->now_ns;
        return at_ns > sim->away_until_ns ? at_ns : sim->away_until_ns;
}

/* When the first of the others is going to; UINT64_MAX: none will. */
static uint64_t others_wake_at_ns(const struct sim *sim)
{
        uint64_t first_ns = UINT64_MAX;
        list_for_each(&sim->net->sims, link)
        {
                struct sim *other = list_entry(link, struct sim, link);
                uint64_t at_ns = other == sim ? UINT64_MAX : wakes_at_ns(other);
                first_ns = at_ns < first_ns ? at_ns : first_ns;
        }
        return first_ns;
}

/* It is somebody else's turn. false: whoever drives the reactors has to see to it. */
static bool turn_others(struct sim *sim)
{
        struct simnet *net = sim->net;
        bool (*let)(void *context) = net->let_others;
        if (let == NULL)
                return false;
        net->let_others = NULL; /* one reactor sleeps so that the others turn inside; they do not in turn */
        sim->is_polling = true;
        bool has_let = let(net->let_others_context);
        sim->is_polling = false;
        net->let_others = let;
        net->speaking = sim->number;
        return has_let;
}

/* Sleeps until there is something to tell or `deadline_ns` has come, or another has something to do before. */
static void sleep_until(struct sim *sim, uint64_t deadline_ns)
{
        struct simnet *net = sim->net;
        while (!anything_to_tell(sim)) {
                uint64_t others_ns = others_wake_at_ns(sim);
                uint64_t until_ns = others_ns < deadline_ns ? others_ns : deadline_ns;
                if (net->now_ns >= deadline_ns || (net->now_ns >= others_ns && !turn_others(sim)))
                        return;
                if (net->now_ns >= others_ns)
                        continue;
                if (net->heap_count > 0 && simnet_next_ns(net) <= until_ns) {
                        simnet_happen_until(net, simnet_next_ns(net));
                } else if (until_ns == UINT64_MAX) {
                        net->idle = true;
                        return;
                } else {
                        net->now_ns = until_ns;
                }
        }
}

static int operation_poll(struct io *io, struct io_event *events, int events_max, uint64_t deadline_ns)
{
        struct sim *sim = sim_of(io);
        struct simnet *net = sim->net;
        struct simnews news = {.net = net,
                               .guards = &sim->guards,
                               .statistics = &io->statistics,
                               .receive_bytes_max = sim->settings.receive_buffer_bytes,
                               .events = events,
                               .max = events_max};
        assert(events_max >= 64);
        net->speaking = sim->number;
        net->idle = false;
        sim->has_polled = true;
        sim->away_until_ns = 0;
        sim->deadline_ns = deadline_ns;
        simnet_step(net, "io_poll", 0, deadline_ns, (uint64_t)events_max);
        io->statistics.polls++;
        simguards_spoil(&sim->guards);
        if (net->settings.check_always)
                simlent_check_all(net, "io_poll");
        hand_out_queued(sim);
        /* A turn takes time, so that polling with deadline 0 gets somewhere. */
        uint64_t turn_ns =
                net->settings.turn_min_ns + simnet_draw(net, net->settings.turn_max_ns - net->settings.turn_min_ns + 1);
        if (simnet_chance(net, net->settings.jump))
                turn_ns += simnet_draw(net, net->settings.jump_max_ns + 1);
        uint64_t now_ns = net->now_ns + turn_ns;
        simnet_happen_until(net, now_ns);
        net->now_ns = now_ns;
        sleep_until(sim, deadline_ns);
        io->now_ns = net->now_ns;
        if (anything_to_tell(sim))
                tell_all(sim, &news);
        net->stirred += news.count > 0;
        sim->slept_stirred = news.count > 0 ? UINT64_MAX : net->stirred;
        return news.count;
}

static void operation_send(struct io *io, io_id id, const struct span *pieces, size_t pieces_count)
{
        struct sim *sim = called(io);
        struct slot *slot = slot_find(sim, id, "io_send");
        if (slot == NULL)
                return;
        struct sim_peer *peer = slot->peer;
        if (peer == NULL)
                simnet_fail(sim->net, 0, 0, "io_send to a datagram socket");
        if (pieces_count < 1 || pieces_count > IO_PIECES_MAX)
                simpeer_fail(peer, "io_send with %zu pieces (1 .. %d)", pieces_count, IO_PIECES_MAX);
        size_t size = 0;
        for (size_t i = 0; i < pieces_count; i++) {
                if (pieces[i].size == 0 || pieces[i].bytes == NULL)
                        simpeer_fail(peer, "io_send with an empty piece (%zu of %zu)", i, pieces_count);
                size += pieces[i].size;
        }
        if (!peer->open || peer->connect_error != 0)
                simpeer_fail(peer, "io_send on a connection that is not open");
        if (peer->closing)
                simpeer_fail(peer, "io_send after io_close");
        if (peer->shut)
                simpeer_fail(peer, "io_send after io_shutdown");
        if (peer->blocked && !peer->break_told)
                simpeer_fail(peer, "io_send between a short IO_RELEASED and its IO_WRITABLE");
        if (peer->sends_count >= io->traits.sends_max)
                simpeer_fail(peer, "io_send with %u sends unreleased (at most %u)", peer->sends_count,
                             io->traits.sends_max);
        if (size > io->traits.lent_bytes_max || peer->lent_bytes > io->traits.lent_bytes_max - size)
                simpeer_fail(peer, "io_send of %zu bytes with %zu lent (at most %zu)", size, peer->lent_bytes,
                             io->traits.lent_bytes_max);

        io->statistics.sends++;
        simpeer_send(peer, pieces, pieces_count, size);
}

static void operation_pause(struct io *io, io_id id, bool paused)
{
        struct sim *sim = called(io);
        struct slot *slot = slot_find(sim, id, paused ? "io_pause" : "io_resume");
        if (slot == NULL || slot->peer == NULL)
                return;
        simpeer_step(slot->peer, paused ? "io_pause" : "io_resume", 0, 0);
        slot->peer->paused = paused;
        simpeer_mark_ready(slot->peer);
}

static void operation_shutdown(struct io *io, io_id id)
{
        struct sim *sim = called(io);
        struct slot *slot = slot_find(sim, id, "io_shutdown");
        if (slot == NULL || slot->peer == NULL)
                return;
        simpeer_step(slot->peer, "io_shutdown", 0, 0);
        simpeer_shut(slot->peer);
}

static void operation_close(struct io *io, io_id id, bool reset)
{
        struct sim *sim = called(io);
        struct slot *slot = slot_find(sim, id, "io_close");
        if (slot == NULL)
                return;
        struct sim_peer *peer = slot->peer;
        simnet_step(sim->net, "io_close", peer == NULL ? 0 : peer->number, reset, id);
        if (peer == NULL) {
                slot->socket->closing = true;
                list_for_each(&slot->socket->arrived, link) sim_free(list_entry(link, struct datagram, link));
                list_init(&slot->socket->arrived);
                return;
        }
        peer->closing = true;
        peer->close_reset |= reset;
        if (!list_is_linked(&peer->closes))
                list_push_back(&sim->turn.closes, &peer->closes);
}

/* Any text is an address; "HOST:0" gets a made-up port, so the bound one differs from it. 0 or -errno. */
static int bind_text(struct sim *sim, const char *address, char bound[IO_ADDRESS_BYTES_MAX])
{
        size_t size = strlen(address);
        if (size == 0 || size > IO_ADDRESS_BYTES_MAX - 8)
                return -EINVAL;
        if (size > 2 && strcmp(address + size - 2, ":0") == 0)
                snprintf(bound, IO_ADDRESS_BYTES_MAX, "%.*s:%u", (int)(size - 2), address,
                         40000 + sim->net->ports_count++);
        else
                snprintf(bound, IO_ADDRESS_BYTES_MAX, "%s", address);
        return 0;
}

static bool has_address(const struct list *rows, const char *text)
{
        list_for_each(rows, link) if (strcmp(list_entry(link, struct address_row, link)->text, text) == 0) return true;
        return false;
}

/* Whether somebody listens at `address` who leaves no place for us. */
static bool is_taken(const struct sim *sim, const char *address, enum io_sharing sharing)
{
        list_for_each(&sim->net->sims, sim_link)
        {
                const struct sim *other = list_entry(sim_link, struct sim, link);
                list_for_each(&other->listeners, link)
                {
                        const struct address_row *row = list_entry(link, struct address_row, link);
                        bool is_joined = sharing == IO_SHARED_JOINS && row->is_shared && other != sim;
                        if (strcmp(row->text, address) == 0 && !is_joined)
                                return true;
                }
        }
        return false;
}

static int operation_listen(struct io *io, const char *address, enum io_sharing sharing, uint32_t listener,
                            char bound[IO_ADDRESS_BYTES_MAX])
{
        if (sharing == IO_KEPT)
                sharing = IO_ALONE; /* descriptors are never short here */
        struct sim *sim = called(io);
        struct simnet *net = sim->net;
        int error = bind_text(sim, address, bound);
        if (error != 0)
                return error;
        if (sharing != IO_ALONE && strncmp(bound, "unix:", 5) == 0)
                return -EOPNOTSUPP;
        if (is_taken(sim, bound, sharing))
                return -EADDRINUSE;
        struct address_row *row = sim_allocate(sizeof(*row));
        row->listener = listener;
        row->is_shared = sharing != IO_ALONE;
        memcpy(row->text, bound, IO_ADDRESS_BYTES_MAX);
        list_push_back(&sim->listeners, &row->link);
        simnet_step(net, "io_listen", 0, listener, 0);
        return 0;
}

static void rows_free(struct list *rows)
{
        list_for_each(rows, link) sim_free(list_entry(link, struct address_row, link));
        list_init(rows);
}

static void operation_stop_listening(struct io *io)
{
        struct sim *sim = called(io);
        simnet_step(sim->net, "io_stop_listening", 0, 0, 0);
        rows_free(&sim->listeners);
}

static int operation_connect(struct io *io, const char *address, io_id *id)
{
        struct sim *sim = called(io);
        if (address[0] == '\0' || strlen(address) >= IO_ADDRESS_BYTES_MAX)
                return -EINVAL;
        struct slot *slot = slot_take(sim, id);
        if (slot == NULL)
                return -EMFILE;
        struct sim_peer *peer = simpeer_new(sim->net, &sim->turn);
        peer->id = *id;
        slot->peer = peer;
        simpeer_step(peer, "io_connect", 0, 0);
        bool is_answered =
                has_address(&sim->net->answers, address) && !simnet_chance(sim->net, sim->net->settings.refuse);
        simpeer_send_to_engine(peer, "connect", connect_arrives, is_answered);
        return 0;
}

/* Of all calls the one that another reactor may make. */
static void operation_wake(struct io *io)
{
        struct sim *sim = sim_of(io);
        sim->net->stirred++;
        simnet_step(sim->net, "io_wake", 0, sim->number, 0);
        sim->woken = true;
}

static int operation_datagram_open(struct io *io, const char *address, io_id *id, char bound[IO_ADDRESS_BYTES_MAX])
{
        struct sim *sim = called(io);
        struct simnet *net = sim->net;
        int error = bind_text(sim, address, bound);
        if (error != 0)
                return error;
        struct slot *slot = slot_take(sim, id);
        if (slot == NULL)
                return -EMFILE;
        struct socket *socket = sim_allocate(sizeof(*socket));
        *socket = (struct socket){.id = *id};
        list_init(&socket->arrived);
        list_push_back(&sim->sockets, &socket->link);
        slot->socket = socket;
        simnet_step(net, "io_datagram_open", 0, *id, 0);
        return 0;
}

static struct datagram *datagram_new(const struct sim *sim, io_id id, const struct io_address *address,
                                     struct span bytes)
{
        struct datagram *datagram = sim_allocate(sizeof(*datagram) + bytes.size);
        *datagram = (struct datagram){.sim = sim->number, .id = id, .address = *address, .size = bytes.size};
        list_init(&datagram->link);
        span_copy(datagram->bytes, bytes);
        return datagram;
}

static bool operation_datagram_send(struct io *io, io_id id, const struct io_address *to, struct span bytes)
{
        struct sim *sim = called(io);
        struct simnet *net = sim->net;
        struct slot *slot = slot_find(sim, id, "io_datagram_send");
        if (slot == NULL || slot->socket == NULL || slot->socket->closing)
                return false;
        simnet_step(net, "io_datagram_send", 0, id, bytes.size);
        simnet_hash_bytes(net, bytes.bytes, bytes.size);
        if (simnet_chance(net, net->settings.short_send))
                return false;
        if (!simnet_chance(net, net->settings.datagram_loss))
                simnet_add(net, (struct happening){.at_ns = net->now_ns + simnet_latency_ns(net),
                                                   .name = "datagram",
                                                   .happen = datagram_leaves,
                                                   .owned = datagram_new(sim, id, to, bytes)});
        return true;
}

static void datagrams_free(struct list *datagrams)
{
        list_for_each(datagrams, link) sim_free(list_entry(link, struct datagram, link));
}

/* The last one takes the network with it. */
static void net_free(struct simnet *net)
{
        list_for_each(&net->peers, link) simpeer_free(list_entry(link, struct sim_peer, all));
        rows_free(&net->answers);
        datagrams_free(&net->datagrams_out);
        simnet_fini(net);
        sim_free(net);
}

static void operation_stop(struct io *io)
{
        struct sim *sim = called(io);
        struct simnet *net = sim->net;
        simlent_check_all(net, "io_stop");
        simnet_step(net, "io_stop", 0, 0, 0);
        list_for_each(&net->peers, link)
        {
                struct sim_peer *peer = list_entry(link, struct sim_peer, all);
                if (peer->turn == &sim->turn)
                        simpeer_abandon(peer);
        }
        list_for_each(&sim->sockets, link)
        {
                struct socket *socket = list_entry(link, struct socket, link);
                datagrams_free(&socket->arrived);
                sim_free(socket);
        }
        rows_free(&sim->listeners);
        simguards_fini(&sim->guards);
        sim_free(sim->slots);
        list_remove(&sim->link);
        sim_free(sim);
        if (list_is_empty(&net->sims))
                net_free(net);
}

static uint64_t sim_clock(const struct io *io)
{
        return sim_of_const(io)->net->now_ns;
}

static const struct io_operations operations = {
        .stop = operation_stop,
        .listen = operation_listen,
        .stop_listening = operation_stop_listening,
        .connect = operation_connect,
        .poll = operation_poll,
        .send = operation_send,
        .pause = operation_pause,
        .shutdown = operation_shutdown,
        .close = operation_close,
        .wake = operation_wake,
        .datagram_open = operation_datagram_open,
        .datagram_send = operation_datagram_send,
        .clock = sim_clock,
};

/* ---- start ---- */

static struct sim *sim_new(const struct io_settings *settings)
{
        struct sim *sim = sim_allocate_zeroed(sizeof(*sim));
        uint32_t conns_max = settings->conns_max == 0 ? 1024 : settings->conns_max;
        struct slot *slots = sim_allocate_zeroed(conns_max * sizeof(*slots));
        *sim = (struct sim){.settings = *settings, .slots = slots, .slot_free = SLOT_NONE};
        sim->settings.conns_max = conns_max;
        if (sim->settings.receive_buffer_bytes == 0)
                sim->settings.receive_buffer_bytes = 65536;
        struct list *lists[] = {&sim->link,        &sim->turn.ready, &sim->turn.handouts,
                                &sim->turn.closes, &sim->sockets,    &sim->listeners};
        for (size_t i = 0; i < array_count(lists); i++)
                list_init(lists[i]);
        simguards_init(&sim->guards);
        sim->turn.statistics = &sim->io.statistics;
        return sim;
}

static void enter(struct sim *sim, struct simnet *net, struct io **io)
{
        bool is_tcp = net->settings.mode == SIM_TCP;
        sim->net = net;
        sim->number = net->sims_count++;
        list_push_back(&net->sims, &sim->link);
        sim->io.operations = &operations;
        sim->io.traits = (struct io_traits){
                .name = "sim",
                .reason = "",
                .sends_max = is_tcp ? net->settings.sends_max : 1,
                .lent_bytes_max = is_tcp ? net->settings.lent_bytes_max : SIZE_MAX,
        };
        sim->io.now_ns = net->now_ns;
        *io = &sim->io;
}

int sim_start(struct io **io, const struct io_settings *settings, const struct sim_settings *sim_settings)
{
        struct sim_settings net_settings = *sim_settings;
        struct sim *sim = sim_new(settings);
        struct simnet *net = sim_allocate_zeroed(sizeof(*net));
        if (settings->send_buffer_bytes != 0)
                net_settings.send_buffer_bytes = settings->send_buffer_bytes;
        simnet_init(net, &net_settings);
        enter(sim, net, io);
        return 0;
}

int sim_join(struct io **io, struct io *first, const struct io_settings *settings)
{
        struct sim *sim = sim_new(settings);
        enter(sim, net_of(first), io);
        simnet_step(net_of(first), "sim_join", 0, sim->number, 0);
        return 0;
}

/* ---- the world's side ---- */

bool sim_is_idle(const struct io *io)
{
        return sim_of_const(io)->net->idle;
}

uint64_t sim_next_ns(const struct io *io)
{
        return simnet_next_ns(sim_of_const(io)->net);
}

uint64_t sim_trace_hash(const struct io *io)
{
        return sim_of_const(io)->net->hash;
}

uint64_t sim_steps(const struct io *io)
{
        return sim_of_const(io)->net->steps;
}

void sim_note(struct io *io, const char *what, uint32_t number, uint64_t a, uint64_t b)
{
        simnet_step(net_of(io), what, number, a, b);
}

void sim_trace_last(const struct io *io, size_t count, FILE *to)
{
        simnet_trace_last(sim_of_const(io)->net, count, to);
}

bool sim_is_allocating(void)
{
        return sim_allocating > 0;
}

size_t sim_lent_bytes(const struct io *io)
{
        return sim_of_const(io)->net->lent_bytes;
}

size_t sim_ids_count(const struct io *io)
{
        size_t ids_count = 0;
        list_for_each(&sim_of_const(io)->net->sims, link) ids_count += list_entry(link, struct sim, link)->ids_count;
        return ids_count;
}

void sim_keep_away(struct io *io, uint64_t until_ns)
{
        simnet_step(net_of(io), "sim_keep_away", 0, sim_of(io)->number, until_ns);
        sim_of(io)->away_until_ns = until_ns;
}

void sim_on_sleep(struct io *io, bool (*let_others)(void *context), void *context)
{
        net_of(io)->let_others = let_others;
        net_of(io)->let_others_context = context;
}

struct calling {
        void (*call)(void *context);
        void *context;
};

static void call_happens(const struct happening *happening)
{
        struct calling calling = *(const struct calling *)happening->owned;
        sim_free(happening->owned);
        calling.call(calling.context);
}

void sim_call_at(struct io *io, uint64_t at_ns, void (*call)(void *context), void *context)
{
        struct calling *calling = sim_allocate(sizeof(*calling));
        *calling = (struct calling){.call = call, .context = context};
        simnet_add(net_of(io),
                   (struct happening){.at_ns = at_ns, .name = "call", .happen = call_happens, .owned = calling});
}

struct io *sim_peer_io(const struct sim_peer *peer)
{
        return peer->turn == NULL ? NULL : &container_of(peer->turn, struct sim, turn)->io;
}

struct sim_peer *sim_connect(struct io *io, uint32_t listener)
{
        struct sim_peer *peer = simpeer_new(net_of(io), NULL);
        peer->listener = listener;
        simpeer_step(peer, "sim_connect", listener, 0);
        simpeer_send_to_engine(peer, "accept", accept_arrives, 0);
        return peer;
}

void sim_answer(struct io *io, const char *address)
{
        struct address_row *row = sim_allocate(sizeof(*row));
        assert(strlen(address) < IO_ADDRESS_BYTES_MAX);
        strcpy(row->text, address);
        list_push_back(&sim_of(io)->net->answers, &row->link);
}

struct sim_peer *sim_answered(struct io *io)
{
        struct simnet *net = net_of(io);
        if (list_is_empty(&net->answered))
                return NULL;
        struct sim_peer *peer = list_entry(net->answered.next, struct sim_peer, answered);
        list_remove(&peer->answered);
        return peer;
}

/* "10.0.0.1:99" or "[fd00::1]:99": the world's own constants, so anything else is its mistake. */
static struct io_address address_of_text(const char *text)
{
        struct io_address address = {.size = 0};
        char host[IO_ADDRESS_BYTES_MAX];
        const char *colon = strrchr(text, ':');
        assert(colon != NULL && (size_t)(colon - text) < sizeof(host));
        bool six = text[0] == '[' && colon[-1] == ']';
        size_t size = (size_t)(colon - text) - (six ? 2 : 0);
        memcpy(host, text + six, size);
        host[size] = '\0';
        uint16_t port = htons((uint16_t)atoi(colon + 1));
        if (six) {
                struct sockaddr_in6 socket = {.sin6_family = AF_INET6, .sin6_port = port};
                assert(inet_pton(AF_INET6, host, &socket.sin6_addr) == 1);
                address.size = sizeof(socket);
                memcpy(address.bytes, &socket, sizeof(socket));
        } else {
                struct sockaddr_in socket = {.sin_family = AF_INET, .sin_port = port};
                assert(inet_pton(AF_INET, host, &socket.sin_addr) == 1);
                address.size = sizeof(socket);
                memcpy(address.bytes, &socket, sizeof(socket));
        }
        return address;
}

void sim_datagram_write(struct io *io, io_id id, const char *from, struct span datagram)
{
        struct sim *sim = sim_of(io);
        struct simnet *net = sim->net;
        struct io_address address = address_of_text(from);
        simnet_step(net, "sim_datagram_write", 0, id, datagram.size);
        if (!simnet_chance(net, net->settings.datagram_loss))
                simnet_add(net, (struct happening){.at_ns = net->now_ns + simnet_latency_ns(net),
                                                   .name = "datagram",
                                                   .happen = datagram_arrives,
                                                   .owned = datagram_new(sim, id, &address, datagram)});
}

ssize_t sim_datagram_read(struct io *io, void *bytes, size_t size, char to[IO_ADDRESS_BYTES_MAX])
{
        struct simnet *net = net_of(io);
        if (list_is_empty(&net->datagrams_out))
                return -1;
        struct datagram *datagram = list_entry(net->datagrams_out.next, struct datagram, link);
        ssize_t datagram_size = (ssize_t)datagram->size;
        list_remove(&datagram->link);
        if (size > 0 && datagram->size > 0)
                memcpy(bytes, datagram->bytes, datagram->size < size ? datagram->size : size);
        io_address_text(&datagram->address, to);
        sim_free(datagram);
        return datagram_size;
}
