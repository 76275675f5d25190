/* simpeer: see simpeer.h. */
#include "io/simpeer.h"

#include <errno.h>

#include "io/simlent.h"

enum peer_happening {
        H_TRANSMIT,     /* the engine's network sends a segment */
        H_RETRANSMIT,   /* SIM_TCP: it reads a + b bytes at offset a again */
        H_ARRIVE_OUT,   /* a bytes reach the peer */
        H_FIN_OUT,      /* the engine's end of stream reaches the peer */
        H_RESET_OUT,    /* the engine's reset reaches the peer */
        H_ACK,          /* the engine's network learns: the peer has all before a and takes all before b */
        H_WRITABLE,     /* SIM_KERNEL: a send that was cut short by chance may be tried again */
        H_PUMP_IN,      /* the peer learns that the engine's window has opened */
        H_ARRIVE_IN,    /* a bytes reach the engine's end */
        H_READABLE,     /* bytes held back to be told together are told */
        H_FIN_IN,       /* the peer's end of stream reaches the engine's end */
        H_RESET_IN,     /* the peer's reset reaches the engine's end */
        H_STALL_END,    /* stall number a ends */
        H_RELEASE_REST, /* SIM_TCP: the network lets go of the bytes of a broken connection */
        H_LINGER,       /* SIM_TCP: a closed connection has waited long enough for acknowledgements */
        H_CLOSED,       /* IO_CLOSED may be told */
};

static const char *const kind_names[] = {
        [H_TRANSMIT] = "transmit",   [H_RETRANSMIT] = "retransmit", [H_ARRIVE_OUT] = "arrive_out",
        [H_FIN_OUT] = "fin_out",     [H_RESET_OUT] = "reset_out",   [H_ACK] = "ack",
        [H_WRITABLE] = "writable",   [H_PUMP_IN] = "pump_in",       [H_ARRIVE_IN] = "arrive_in",
        [H_READABLE] = "readable",   [H_FIN_IN] = "fin_in",         [H_RESET_IN] = "reset_in",
        [H_STALL_END] = "stall_end", [H_RELEASE_REST] = "letting",  [H_LINGER] = "linger",
        [H_CLOSED] = "closed",
};

static void peer_happens(const struct happening *happening);

/* ---- its life ---- */

struct sim_peer *simpeer_new(struct simnet *net, struct simturn *turn)
{
        struct sim_peer *peer = sim_allocate(sizeof(*peer));
        *peer = (struct sim_peer){
                .net = net, .turn = turn, .number = ++net->peers_count, .limit = net->settings.window_bytes};
        list_init(&peer->all);
        list_init(&peer->ready);
        list_init(&peer->handout);
        list_init(&peer->closes);
        list_init(&peer->answered);
        list_init(&peer->lent);
        list_push_back(&net->peers, &peer->all);
        return peer;
}

void simpeer_free(struct sim_peer *peer)
{
        simlent_free_all(peer);
        simbytes_clear(&peer->socket);
        simbytes_clear(&peer->received);
        simbytes_clear(&peer->wire_out);
        simbytes_clear(&peer->wire_in);
        simbytes_clear(&peer->outbox);
        simbytes_clear(&peer->window);
        simbytes_clear(&peer->inbox);
        sim_free(peer);
}

/* Mostly as large as it may be, sometimes a few bytes: both ends of a cut must be tried. */
static size_t segment_bytes(struct simnet *net, uint64_t bytes_max)
{
        size_t max = bytes_max < net->settings.segment_bytes_max ? bytes_max : net->settings.segment_bytes_max;
        switch (simnet_draw(net, 4)) {
        case 0:
                return 1 + simnet_draw(net, max);
        case 1:
                return 1 + simnet_draw(net, max < 32 ? max : 32);
        default:
                return max;
        }
}

static void happen_at(struct sim_peer *peer, enum peer_happening kind, uint64_t at_ns, uint64_t a, uint64_t b)
{
        simnet_add(peer->net, (struct happening){.at_ns = at_ns,
                                                 .name = kind_names[kind],
                                                 .happen = peer_happens,
                                                 .kind = kind,
                                                 .peer = peer,
                                                 .number = peer->number,
                                                 .a = a,
                                                 .b = b});
}

static void happen_in(struct sim_peer *peer, enum peer_happening kind, uint64_t delay_ns, uint64_t a, uint64_t b)
{
        happen_at(peer, kind, peer->net->now_ns + delay_ns, a, b);
}

/* On the way to the peer, behind all that is on its way already. */
static void happen_to_peer(struct sim_peer *peer, enum peer_happening kind, uint64_t a)
{
        uint64_t at_ns = peer->net->now_ns + simnet_latency_ns(peer->net);
        peer->to_peer_ns = at_ns > peer->to_peer_ns ? at_ns : peer->to_peer_ns;
        happen_at(peer, kind, peer->to_peer_ns, a, 0);
}

static uint64_t arrival_at_engine_ns(struct sim_peer *peer)
{
        uint64_t at_ns = peer->net->now_ns + simnet_latency_ns(peer->net);
        peer->to_engine_ns = at_ns > peer->to_engine_ns ? at_ns : peer->to_engine_ns;
        return peer->to_engine_ns;
}

static void happen_to_engine(struct sim_peer *peer, enum peer_happening kind, uint64_t a)
{
        happen_at(peer, kind, arrival_at_engine_ns(peer), a, 0);
}

void simpeer_send_to_engine(struct sim_peer *peer, const char *name, void (*happen)(const struct happening *happening),
                            uint64_t a)
{
        simnet_add(peer->net, (struct happening){.at_ns = arrival_at_engine_ns(peer),
                                                 .name = name,
                                                 .happen = happen,
                                                 .peer = peer,
                                                 .number = peer->number,
                                                 .a = a});
}

void simpeer_mark_ready(struct sim_peer *peer)
{
        if (!list_is_linked(&peer->ready) && !peer->dead && peer->turn != NULL)
                list_push_back(&peer->turn->ready, &peer->ready);
}

/* ---- the way out ---- */

static size_t socket_room(const struct sim_peer *peer)
{
        size_t used = peer->end - peer->una;
        return used < peer->net->settings.send_buffer_bytes ? peer->net->settings.send_buffer_bytes - used : 0;
}

/* Linux calls a socket writable when a third of its buffer is free. */
static void try_writable(struct sim_peer *peer)
{
        size_t third = peer->net->settings.send_buffer_bytes / 3;
        if (peer->blocked && !peer->writable_due && !peer->broken && !peer->closing &&
            socket_room(peer) >= (third == 0 ? 1 : third)) {
                peer->writable_due = true;
                simpeer_mark_ready(peer);
        }
}

static void set_transmit(struct sim_peer *peer)
{
        struct simnet *net = peer->net;
        if (peer->transmit_set || peer->broken)
                return;
        bool window_open = peer->nxt < peer->end && peer->nxt < peer->limit;
        bool fin = peer->nxt == peer->end && peer->shut && peer->queued == NULL && !peer->fin_out_set;
        if (!window_open && !fin)
                return;
        peer->transmit_set = true;
        /* Our own TCP sends when it comes to it, so lent bytes are read well after io_send(). */
        happen_in(peer, H_TRANSMIT,
                  net->settings.mode == SIM_TCP ? simnet_draw(net, net->settings.latency_max_ns + 1) : 0, 0, 0);
}

static void transmit(struct sim_peer *peer)
{
        struct simnet *net = peer->net;
        peer->transmit_set = false;
        if (peer->broken)
                return;
        uint64_t stop = peer->end < peer->limit ? peer->end : peer->limit;
        if (peer->nxt < stop) {
                size_t size = segment_bytes(net, stop - peer->nxt);
                simpeer_step(peer, "segment", peer->nxt, size);
                if (net->settings.mode == SIM_TCP) {
                        simlent_read(peer, peer->nxt, size, &peer->wire_out, "sending");
                        if (simnet_chance(net, net->settings.retransmit)) {
                                uint64_t delay_ns = simnet_latency_ns(net);
                                happen_in(peer, H_RETRANSMIT, delay_ns * (1 + simnet_draw(net, 4)), peer->nxt, size);
                        }
                } else {
                        size_t skip = peer->nxt - peer->una;
                        simbytes_push(&peer->wire_out, peer->socket.data + peer->socket.start + skip, size);
                }
                peer->nxt += size;
                happen_to_peer(peer, H_ARRIVE_OUT, size);
        } else if (peer->nxt == peer->end && peer->shut && peer->queued == NULL && !peer->fin_out_set) {
                peer->fin_out_set = true;
                happen_to_peer(peer, H_FIN_OUT, 0);
        }
        set_transmit(peer);
}

/* A retransmission reads whatever of its range has not been given back yet. */
static void retransmit(struct sim_peer *peer, uint64_t offset, uint64_t size)
{
        uint64_t stop = offset + size;
        offset = offset > peer->told ? offset : peer->told;
        if (offset < stop && peer->lent_bytes >= stop - peer->told)
                simlent_read(peer, offset, stop - offset, NULL, "sending again");
}

/* SIM_KERNEL: the system call behind io_send(). */
void simpeer_hand_out(struct sim_peer *peer)
{
        struct simnet *net = peer->net;
        struct simlent *lent = peer->queued;
        peer->queued = NULL;
        simlent_check(peer, lent, 0, lent->size, "io_poll");
        size_t take = 0, room = socket_room(peer);
        if (!peer->broken) {
                take = lent->size < room ? lent->size : room;
                if (simnet_chance(net, net->settings.short_send))
                        take = simnet_draw(net, take + 1);
                if (simnet_chance(net, net->settings.refused_send))
                        take = 0;
        }
        simbytes_push(&peer->socket, lent->copy, take);
        peer->end += take;
        peer->release_due = true;
        peer->release_sent = take;
        simpeer_step(peer, "take", take, lent->size);
        if (take < lent->size) {
                peer->turn->statistics->sends_short++;
                peer->blocked = true;
                if (take < room)
                        happen_in(peer, H_WRITABLE, simnet_latency_ns(net), 0, 0);
        }
        simpeer_mark_ready(peer);
        set_transmit(peer);
}

void simpeer_break(struct sim_peer *peer, int error)
{
        struct simnet *net = peer->net;
        if (peer->broken)
                return;
        peer->broken = true;
        peer->error = error;
        peer->writable_due = false;
        simbytes_clear(&peer->socket);
        if (simnet_coin(net))
                simbytes_clear(&peer->received); /* a reset may overtake what the engine has not read */
        peer->break_waits = simnet_coin(net);
        peer->held = false;
        if (net->settings.mode == SIM_TCP && peer->lent_bytes > 0)
                happen_in(peer, H_RELEASE_REST, simnet_draw(net, 4 * net->settings.latency_max_ns + 1), 0, 0);
        simpeer_mark_ready(peer);
}

static void reset_to_peer(struct sim_peer *peer)
{
        happen_to_peer(peer, H_RESET_OUT, 0);
}

void simpeer_abandon(struct sim_peer *peer)
{
        if (!peer->broken && !peer->dead)
                reset_to_peer(peer);
        peer->net->lent_bytes -= peer->lent_bytes;
        peer->lent_bytes = 0;
        simlent_free_all(peer);
        struct list *links[] = {&peer->ready, &peer->handout, &peer->closes};
        for (size_t i = 0; i < array_count(links); i++)
                if (list_is_linked(links[i]))
                        list_remove(links[i]);
        peer->queued = NULL;
        peer->sends_count = 0;
        peer->broken = peer->dead = true;
        peer->turn = NULL;
}

void simpeer_try_closed(struct sim_peer *peer)
{
        struct simnet *net = peer->net;
        if (!peer->close_begun || peer->close_set || peer->lent_bytes > 0)
                return;
        peer->close_set = true;
        if (simnet_coin(net))
                peer->close_due = true;
        else
                happen_in(peer, H_CLOSED, simnet_latency_ns(net), 0, 0);
        simpeer_mark_ready(peer);
}

void simpeer_begin_close(struct sim_peer *peer)
{
        struct simnet *net = peer->net;
        bool first = !peer->close_begun;
        peer->close_begun = true;
        simbytes_clear(&peer->received);
        simbytes_clear(&peer->outbox);
        peer->writable_due = false;
        if (peer->close_reset && !peer->broken) {
                reset_to_peer(peer);
                simpeer_break(peer, -ECONNRESET);
        } else if (!peer->broken) {
                peer->shut = true;
                set_transmit(peer);
                if (first && net->settings.mode == SIM_TCP && peer->lent_bytes > 0)
                        happen_in(peer, H_LINGER, simnet_draw(net, net->settings.linger_max_ns + 1), 0, 0);
        }
        simpeer_try_closed(peer);
}

void simpeer_send(struct sim_peer *peer, const struct span *pieces, size_t pieces_count, size_t size)
{
        struct simlent *lent = simlent_new(peer, pieces, pieces_count, size);
        simpeer_step(peer, "io_send", size, pieces_count); /* its bytes enter the hash when they arrive */
        if (peer->net->settings.mode == SIM_KERNEL) {
                peer->queued = lent;
                list_push_back(&peer->turn->handouts, &peer->handout);
                return;
        }
        peer->end += size;
        if (!peer->broken)
                set_transmit(peer);
        else
                happen_in(peer, H_RELEASE_REST, simnet_latency_ns(peer->net), 0, 0);
}

void simpeer_shut(struct sim_peer *peer)
{
        peer->shut = true;
        set_transmit(peer);
}

/* ---- the way in ---- */

static void pump_in(struct sim_peer *peer)
{
        struct simnet *net = peer->net;
        if (peer->refused || peer->broken || peer->close_begun || peer->peer_broken) {
                simbytes_clear(&peer->outbox);
                return;
        }
        while (peer->outbox.size > 0 && peer->wire_in.size + peer->received.size < net->settings.window_bytes) {
                size_t room = net->settings.window_bytes - peer->wire_in.size - peer->received.size;
                size_t size = segment_bytes(net, peer->outbox.size < room ? peer->outbox.size : room);
                simbytes_move(&peer->wire_in, &peer->outbox, size);
                happen_to_engine(peer, H_ARRIVE_IN, size);
        }
        if (peer->outbox.size == 0 && peer->peer_shut && !peer->fin_in_set) {
                peer->fin_in_set = true;
                happen_to_engine(peer, H_FIN_IN, 0);
        }
}

static void arrive_in(struct sim_peer *peer, size_t size)
{
        struct simnet *net = peer->net;
        if (peer->refused || peer->broken || peer->close_begun) {
                simbytes_drop(&peer->wire_in, size);
                return;
        }
        simbytes_move(&peer->received, &peer->wire_in, size);
        if (peer->held)
                return;
        if (simnet_chance(net, net->settings.coalesce)) {
                peer->held = true;
                happen_in(peer, H_READABLE, 2 * simnet_latency_ns(net), 0, 0);
        } else {
                simpeer_mark_ready(peer);
        }
}

void simpeer_opened(struct sim_peer *peer)
{
        if (peer->pump_set)
                return;
        peer->pump_set = true;
        happen_in(peer, H_PUMP_IN, simnet_latency_ns(peer->net), 0, 0);
}

void simpeer_refuse(struct sim_peer *peer)
{
        peer->refused = true;
        simbytes_clear(&peer->outbox);
        reset_to_peer(peer);
}

/* ---- the peer's end ---- */

static void acknowledge(struct sim_peer *peer)
{
        struct simnet *net = peer->net;
        uint64_t delay_ns = simnet_latency_ns(net);
        if (net->settings.mode == SIM_TCP && simnet_chance(net, net->settings.late_release))
                delay_ns *= 1 + simnet_draw(net, 16);
        happen_in(peer, H_ACK, delay_ns, peer->arrived, peer->arrived - peer->window.size + net->settings.window_bytes);
}

static void arrive_out(struct sim_peer *peer, size_t size)
{
        struct simnet *net = peer->net;
        if (peer->peer_broken || peer->peer_closed) {
                simbytes_drop(&peer->wire_out, size);
                if (peer->peer_closed && !peer->peer_broken)
                        sim_peer_reset(peer);
                return;
        }
        if (simnet_chance(net, net->settings.reset)) {
                simbytes_drop(&peer->wire_out, size);
                sim_peer_reset(peer);
                return;
        }
        simnet_hash_bytes(net, peer->wire_out.data + peer->wire_out.start, size);
        if (!peer->stalled && simnet_chance(net, net->settings.stall)) {
                sim_peer_stall(peer);
                happen_in(peer, H_STALL_END, simnet_draw(net, net->settings.stall_max_ns + 1), peer->stall_number, 0);
        }
        simbytes_move(peer->stalled ? &peer->window : &peer->inbox, &peer->wire_out, size);
        peer->arrived += size;
        acknowledge(peer);
}

/* ---- what happens ---- */

static void peer_happens(const struct happening *happening)
{
        struct sim_peer *peer = happening->peer;
        struct simnet *net = peer->net;
        switch ((enum peer_happening)happening->kind) {
        case H_TRANSMIT:
                transmit(peer);
                break;
        case H_RETRANSMIT:
                retransmit(peer, happening->a, happening->b);
                break;
        case H_ARRIVE_OUT:
                arrive_out(peer, happening->a);
                break;
        case H_FIN_OUT:
                peer->fin_arrived = !peer->peer_broken;
                break;
        case H_RESET_OUT:
                peer->peer_broken = true;
                break;
        case H_ACK:
                if (peer->broken)
                        break;
                peer->limit = happening->b > peer->limit ? happening->b : peer->limit;
                if (happening->a > peer->una) {
                        if (net->settings.mode == SIM_KERNEL)
                                simbytes_drop(&peer->socket, happening->a - peer->una);
                        peer->una = happening->a;
                }
                if (net->settings.mode == SIM_KERNEL)
                        try_writable(peer);
                else
                        simpeer_mark_ready(peer);
                set_transmit(peer);
                break;
        case H_WRITABLE:
                try_writable(peer);
                break;
        case H_PUMP_IN:
                peer->pump_set = false;
                pump_in(peer);
                break;
        case H_ARRIVE_IN:
                arrive_in(peer, happening->a);
                break;
        case H_READABLE:
                peer->held = false;
                simpeer_mark_ready(peer);
                break;
        case H_FIN_IN:
                peer->fin_received = true;
                peer->held = false;
                simpeer_mark_ready(peer);
                break;
        case H_RESET_IN:
                if (!peer->refused && !peer->dead)
                        simpeer_break(peer, simnet_draw(net, 4) == 0 ? -EPIPE : -ECONNRESET);
                break;
        case H_STALL_END:
                if (happening->a == peer->stall_number)
                        sim_peer_resume(peer);
                break;
        case H_RELEASE_REST:
                peer->release_rest = true;
                simpeer_mark_ready(peer);
                break;
        case H_LINGER:
                if (!peer->broken && peer->lent_bytes > 0) {
                        reset_to_peer(peer);
                        simpeer_break(peer, -ETIMEDOUT);
                }
                break;
        case H_CLOSED:
                peer->close_due = true;
                simpeer_mark_ready(peer);
                break;
        }
}

/* ---- the world's side ---- */

void sim_peer_set_context(struct sim_peer *peer, void *context)
{
        peer->context = context;
}

void *sim_peer_context(const struct sim_peer *peer)
{
        return peer->context;
}

io_id sim_peer_id(const struct sim_peer *peer)
{
        return peer->id;
}

void sim_peer_write(struct sim_peer *peer, struct span bytes)
{
        assert(!peer->peer_shut);
        simpeer_step(peer, "sim_peer_write", bytes.size, 0);
        if (peer->peer_broken)
                return;
        simbytes_push(&peer->outbox, bytes.bytes, bytes.size);
        pump_in(peer);
}

size_t sim_peer_unsent_bytes(const struct sim_peer *peer)
{
        return peer->outbox.size;
}

size_t sim_peer_read(struct sim_peer *peer, void *bytes, size_t size)
{
        size_t count = peer->inbox.size < size ? peer->inbox.size : size;
        if (count == 0)
                return 0;
        memcpy(bytes, peer->inbox.data + peer->inbox.start, count);
        simbytes_drop(&peer->inbox, count);
        return count;
}

struct span sim_peer_peek(const struct sim_peer *peer)
{
        return peer->inbox.size == 0 ? SPAN_NONE : span_of(peer->inbox.data + peer->inbox.start, peer->inbox.size);
}

void sim_peer_drop(struct sim_peer *peer, size_t size)
{
        simbytes_drop(&peer->inbox, size);
}

size_t sim_peer_readable_bytes(const struct sim_peer *peer)
{
        return peer->inbox.size;
}

void sim_peer_stall(struct sim_peer *peer)
{
        simpeer_step(peer, "sim_peer_stall", 0, 0);
        peer->stalled = true;
        peer->stall_number++;
}

void sim_peer_resume(struct sim_peer *peer)
{
        simpeer_step(peer, "sim_peer_resume", peer->window.size, 0);
        peer->stalled = false;
        peer->stall_number++;
        if (peer->window.size == 0)
                return;
        simbytes_move(&peer->inbox, &peer->window, peer->window.size);
        if (!peer->peer_broken)
                acknowledge(peer); /* the window update */
}

bool sim_peer_is_stalled(const struct sim_peer *peer)
{
        return peer->stalled;
}

void sim_peer_shutdown(struct sim_peer *peer)
{
        simpeer_step(peer, "sim_peer_shutdown", 0, 0);
        peer->peer_shut = true;
        pump_in(peer);
}

void sim_peer_close(struct sim_peer *peer)
{
        /* As Linux: closing with bytes unread is a reset. */
        if (peer->window.size > 0) {
                sim_peer_reset(peer);
                return;
        }
        simpeer_step(peer, "sim_peer_close", 0, 0);
        peer->peer_closed = true;
        peer->peer_shut = true;
        pump_in(peer);
}

void sim_peer_reset(struct sim_peer *peer)
{
        if (peer->peer_broken)
                return;
        simpeer_step(peer, "sim_peer_reset", 0, 0);
        peer->peer_broken = true;
        simbytes_clear(&peer->outbox);
        happen_to_engine(peer, H_RESET_IN, 0);
}

bool sim_peer_is_ended(const struct sim_peer *peer)
{
        return peer->fin_arrived && peer->window.size == 0;
}

bool sim_peer_is_broken(const struct sim_peer *peer)
{
        return peer->peer_broken;
}

bool sim_peer_is_closed(const struct sim_peer *peer)
{
        return peer->dead;
}
