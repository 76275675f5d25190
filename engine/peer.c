/* peer: from the accept to the last byte. See the header. */
#include "engine/peer.h"

#include "engine/base/bits.h"
#include "engine/base/log.h"
#include "engine/base/mark.h"
#include "engine/door.h"
#include "engine/parting.h"
#include "engine/reactor.h"

static void peer_note(struct reactor *reactor, enum flight_kind kind, uint64_t number, uint64_t value, uint64_t more)
{
        flight_tell(&reactor->flight, kind, io_now_ns(reactor->io), number, value, more);
}

/* How FLIGHT_CLOSE_REASONS counts. */
static uint64_t flight_reason(enum counter_id reason)
{
        static_assert(COUNT_CLOSED_BANNED - COUNT_CLOSED_BY_PEER == 11, "the reasons of the flight table");
        assert(reason >= COUNT_CLOSED_BY_PEER && reason <= COUNT_CLOSED_BANNED);
        return reason - COUNT_CLOSED_BY_PEER;
}

void peer_accept(struct reactor *reactor, io_id id, uint32_t listener, struct span address,
                 const struct peer_protocol *protocol)
{
        reactor_count(reactor, COUNT_CONNECTIONS_ACCEPTED, 1);
        if (reactor->gate != NULL && protocol == &session_protocol &&
            auth_is_banned(reactor->gate, source_of(address))) {
                reactor_count(reactor, COUNT_CLOSED_BANNED, 1);
                peer_note(reactor, FLIGHT_REFUSED, 0, flight_reason(COUNT_CLOSED_BANNED), reactor->peers_count);
                io_close(reactor->io, id, false);
                return;
        }
        /* Who comes while we go is told by the closed door, as those who come a moment later are. */
        bool may_enter = !reactor->is_stopping && door_has_slot(reactor, protocol);
        struct peer *peer = may_enter ? pool_take(&reactor->peers) : NULL;
        if (unlikely(peer == NULL && may_enter)) {
                partings_make_room(reactor);
                peer = pool_take(&reactor->peers);
        }
        if (peer == NULL) {
                reactor_count(reactor, COUNT_CLOSED_REFUSED, 1);
                peer_note(reactor, FLIGHT_REFUSED, 0, flight_reason(COUNT_CLOSED_REFUSED), reactor->peers_count);
                io_close(reactor->io, id, false);
                return;
        }
        assert(protocol->bytes <= reactor->peers.object_bytes);
        memset(peer, 0, protocol->bytes);
        lane_init(&peer->lane, id);
        timer_init(&peer->timer);
        list_init(&peer->kept_link);
        list_init(&peer->wait_link);
        list_init(&peer->resume_link);
        peer->protocol = protocol;
        peer->listener = listener;
        peer->loss = LOSS_TRANSPORT_ERROR;
        peer->opened_ns = io_now_ns(reactor->io);
        size_t size = address.size < sizeof peer->address ? address.size : sizeof peer->address - 1;
        memcpy(peer->address, address.bytes, size);
        assert(reactor->by_index[io_id_index(id)] == NULL);
        reactor->by_index[io_id_index(id)] = peer;
        reactor->peers_count++;
        reactor->admins_count += protocol == &admin_protocol;
        counter_set(&reactor->counters, COUNT_CONNECTIONS, reactor->peers_count);
        protocol->opened(reactor, peer);
        peer_note(reactor, FLIGHT_OPENED, peer->number, listener, reactor->peers_count);
}

/* ---- what comes in ---- */

static void peer_drop_kept(struct reactor *reactor, struct peer *peer)
{
        if (peer->kept != NULL) {
                buddy_give(&reactor->lanes.memory, peer->kept, peer->kept_block_bytes);
                reactor->kept_bytes -= peer->kept_block_bytes;
        }
        if (peer->later == NULL)
                list_remove(&peer->kept_link);
        peer->kept = NULL;
        peer->kept_bytes = 0;
        peer->kept_block_bytes = 0;
        peer->kept_needed = 0;
}

/* Closes the peer that has begun its operation longest ago; false: it is this one, or nobody has. */
static bool peers_shed_kept(struct reactor *reactor, const struct peer *peer)
{
        if (list_is_empty(&reactor->kept))
                return false;
        struct peer *oldest = list_entry(reactor->kept.next, struct peer, kept_link);
        if (oldest == peer)
                return false;
        peer_close(reactor, oldest, COUNT_CLOSED_MEMORY);
        return true;
}

/* A block for `wanted` bytes, or NULL. Half of the memory is for events on their way out, whoever begins operations. */
static uint8_t *peer_take_block(struct reactor *reactor, const struct peer *peer, size_t wanted, size_t *block_bytes)
{
        struct lanes *lanes = &reactor->lanes;
        if (wanted > BUDDY_BLOCK_BYTES_MAX)
                return NULL;
        while (reactor->kept_bytes + wanted > lanes->memory.region_bytes / 2)
                if (!peers_shed_kept(reactor, peer)) {
                        seen("half of the memory held begun operations, and nobody else's could go");
                        return NULL;
                }
        uint8_t *block;
        do
                block = buddy_take(&lanes->memory, wanted, block_bytes);
        while (block == NULL && (lanes_shed(lanes) || peers_shed_kept(reactor, peer)));
        if (block == NULL)
                seen("there was no memory to keep a begun operation");
        return block;
}

/* Whether blocks of so many bytes more may be taken for what waits. false: the peer is open no more. */
static bool peer_may_keep(struct reactor *reactor, struct peer *peer, size_t more_bytes)
{
        if (likely(peer->kept_bytes_max == 0))
                return true;
        size_t sum = peer->kept_block_bytes + more_bytes;
        for (const struct peer_later *later = peer->later; later != NULL; later = later->next)
                sum += later->block_bytes;
        if (sum <= peer->kept_bytes_max)
                return true;
        if (peer->protocol->overfull != NULL)
                peer->protocol->overfull(reactor, peer);
        else
                peer_close(reactor, peer, COUNT_CLOSED_REFUSED);
        assert(peer->state != PEER_OPEN);
        return false;
}

static size_t block_bytes_of(size_t wanted)
{
        return wanted <= BUDDY_BLOCK_BYTES_MIN ? BUDDY_BLOCK_BYTES_MIN : (size_t)1 << bits_log2_ceil(wanted);
}

/* Keeps `more` behind what is kept. false: there is no memory; the peer has been closed. */
static bool peer_keep(struct reactor *reactor, struct peer *peer, struct span more)
{
        size_t wanted = peer->kept_bytes + more.size;
        if (wanted > peer->kept_block_bytes) {
                if (!peer_may_keep(reactor, peer, block_bytes_of(wanted) - peer->kept_block_bytes))
                        return false;
                /* Room ahead, but only some times what has come: to say that a megabyte follows costs a few bytes. */
                size_t ahead = peer->kept_needed < 4 * wanted ? peer->kept_needed : 4 * wanted;
                if (peer->kept_bytes_max != 0)
                        ahead = wanted;
                size_t block_bytes = 0;
                uint8_t *block = peer_take_block(reactor, peer, wanted < ahead ? ahead : wanted, &block_bytes);
                if (block == NULL) {
                        peer_close(reactor, peer, COUNT_CLOSED_MEMORY);
                        return false;
                }
                if (peer->kept != NULL) {
                        memcpy(block, peer->kept, peer->kept_bytes);
                        buddy_give(&reactor->lanes.memory, peer->kept, peer->kept_block_bytes);
                        reactor->kept_bytes -= peer->kept_block_bytes;
                } else if (!list_is_linked(&peer->kept_link)) {
                        list_push_back(&reactor->kept, &peer->kept_link);
                }
                reactor->kept_bytes += block_bytes;
                peer->kept = block;
                peer->kept_block_bytes = block_bytes;
        }
        span_copy(peer->kept + peer->kept_bytes, more);
        peer->kept_bytes += more.size;
        return true;
}

static void peer_give_later(struct reactor *reactor, struct peer_later *later)
{
        reactor->kept_bytes -= later->block_bytes;
        buddy_give(&reactor->lanes.memory, later, later->block_bytes);
}

/* Keeps `more` for when the peer is held no more. No memory: the peer has been closed. */
static void peer_keep_later(struct reactor *reactor, struct peer *peer, struct span more)
{
        struct peer_later *last = peer->later == NULL ? NULL : peer->later_last;
        if (last != NULL) {
                size_t room = last->block_bytes - sizeof *last - last->bytes;
                size_t part = more.size < room ? more.size : room;
                memcpy(last->data + last->bytes, more.bytes, part);
                last->bytes += part;
                more = span_skip(more, part);
        }
        if (more.size == 0 || !peer_may_keep(reactor, peer, block_bytes_of(sizeof *last + more.size)))
                return;
        size_t block_bytes = 0;
        struct peer_later *later =
                (struct peer_later *)(void *)peer_take_block(reactor, peer, sizeof *later + more.size, &block_bytes);
        if (later == NULL) {
                peer_close(reactor, peer, COUNT_CLOSED_MEMORY);
                return;
        }
        *later = (struct peer_later){.bytes = more.size, .block_bytes = block_bytes};
        span_copy(later->data, more);
        reactor->kept_bytes += block_bytes;
        if (last == NULL)
                peer->later = later;
        else
                last->next = later;
        peer->later_last = later;
        if (!list_is_linked(&peer->kept_link))
                list_push_back(&reactor->kept, &peer->kept_link);
}

/* Joins the kept start of an operation with what follows in *in, and no more of it than the operation takes. */
static void peer_join(struct reactor *reactor, struct peer *peer, struct span *in)
{
        while (peer->kept_bytes > 0 && in->size > 0 && peer->state == PEER_OPEN && peer->holds == 0) {
                size_t before = peer->kept_bytes;
                size_t step = peer->kept_needed > before ? peer->kept_needed - before : BUDDY_BLOCK_BYTES_MIN;
                if (step > in->size)
                        step = in->size;
                if (!peer_keep(reactor, peer, span_of(in->bytes, step)))
                        return;
                size_t needed = 0;
                size_t taken = 0;
                /* One byte short of the whole, the protocol can already see a wrong end. */
                if (peer->kept_bytes + 1 >= peer->kept_needed)
                        taken = peer->protocol->take(reactor, peer, span_of(peer->kept, peer->kept_bytes), true,
                                                     &needed);
                else
                        needed = peer->kept_needed;
                if (taken == 0) {
                        /* Not whole yet; or it is, and held. */
                        peer->kept_needed = peer->holds != 0 ? 0 : needed;
                        *in = span_skip(*in, step);
                        continue;
                }
                /* The operation was not whole without this step, so its end lies in it. */
                assert(taken > before || peer->state != PEER_OPEN);
                *in = span_skip(*in, taken > before ? taken - before : step);
                peer_drop_kept(reactor, peer);
        }
}

/* Takes what it can of `in`; keeps the rest. */
static void peer_take(struct reactor *reactor, struct peer *peer, struct span in)
{
        peer_join(reactor, peer, &in);
        if (in.size == 0 || peer->state != PEER_OPEN)
                return;
        if (peer->holds != 0) {
                peer_keep(reactor, peer, in); /* not later: what waits there may have come behind this */
                return;
        }
        size_t needed = 0;
        size_t taken = peer->protocol->take(reactor, peer, in, false, &needed);
        if (taken < in.size && peer->state == PEER_OPEN) {
                peer->kept_needed = peer->holds != 0 ? 0 : needed;
                peer_keep(reactor, peer, span_skip(in, taken));
        }
}

/* Something that it sent before waits still: what comes now goes behind it. */
static bool peer_is_behind(const struct peer *peer)
{
        return peer->holds != 0 || peer->later != NULL || list_is_linked(&peer->resume_link);
}

void peer_receive(struct reactor *reactor, struct peer *peer, struct span in)
{
        if (peer->state != PEER_OPEN)
                return;
        if (likely(!peer_is_behind(peer))) {
                peer_take(reactor, peer, in);
                return;
        }
        /* Only now: most holds are over before anything more comes. */
        if (!peer->is_paused) {
                peer->is_paused = true;
                io_pause(reactor->io, peer->lane.id);
        }
        peer_keep_later(reactor, peer, in);
}

/* ---- held input ---- */

void peer_hold(struct reactor *reactor, struct peer *peer, enum peer_hold hold)
{
        assert(peer->state == PEER_OPEN);
        peer_note(reactor, FLIGHT_HELD, peer->number, (uint64_t)__builtin_ctz(hold) + 1, 0);
        peer->holds |= (uint8_t)hold;
        list_remove(&peer->resume_link);
}

void peer_release(struct reactor *reactor, struct peer *peer, enum peer_hold hold)
{
        if ((peer->holds & hold) == 0)
                return;
        peer->holds &= (uint8_t)~hold;
        if (hold == PEER_HELD_MAILBOX)
                list_remove(&peer->wait_link);
        if (peer->holds == 0)
                list_push_back(&reactor->resumed, &peer->resume_link);
}

/* Takes from what is kept: whole operations, since the peer was held in front of the first of them. */
static void peer_take_kept(struct reactor *reactor, struct peer *peer)
{
        size_t needed = 0;
        size_t taken = peer->protocol->take(reactor, peer, span_of(peer->kept, peer->kept_bytes), false, &needed);
        if (peer->state != PEER_OPEN)
                return;
        assert(taken <= peer->kept_bytes);
        if (taken == peer->kept_bytes) {
                peer_drop_kept(reactor, peer);
                return;
        }
        peer->kept_bytes -= taken;
        memmove(peer->kept, peer->kept + taken, peer->kept_bytes);
        peer->kept_needed = peer->holds != 0 ? 0 : needed;
}

static void peer_resume(struct reactor *reactor, struct peer *peer)
{
        flight_at(&reactor->flight, peer->number);
        peer_note(reactor, FLIGHT_RESUMED, peer->number, peer->kept_bytes, 0);
        if (peer->kept_bytes > 0)
                peer_take_kept(reactor, peer);
        while (peer->state == PEER_OPEN && peer->holds == 0 && peer->later != NULL) {
                struct peer_later *later = peer->later;
                peer->later = later->next;
                /* `later` is ours alone now, whatever happens to the peer. */
                peer_take(reactor, peer, span_of(later->data, later->bytes));
                peer_give_later(reactor, later);
        }
        if (peer->state != PEER_OPEN || peer->holds != 0)
                return;
        if (peer->kept == NULL)
                list_remove(&peer->kept_link);
        if (peer->is_paused) {
                peer->is_paused = false;
                io_resume(reactor->io, peer->lane.id);
        }
        if (peer->is_end_kept) {
                peer->is_end_kept = false;
                peer_end(reactor, peer, peer->end_error);
        }
}

void peers_resume(struct reactor *reactor)
{
        /* Those that are held again meanwhile go to other lists, or come back to this one behind the others: once each
         * is enough. */
        struct list now;
        list_init(&now);
        list_splice_back(&now, &reactor->resumed);
        while (!list_is_empty(&now)) {
                struct peer *peer = list_entry(now.next, struct peer, resume_link);
                list_remove(&peer->resume_link);
                peer_resume(reactor, peer);
        }
}

/* ---- the end ---- */

static void peer_protocol_ended(struct reactor *reactor, struct peer *peer)
{
        if (peer->has_ended)
                return;
        peer->has_ended = true;
        peer->protocol->ended(reactor, peer);
        for (struct peer_later *later; (later = peer->later) != NULL;) {
                peer->later = later->next;
                peer_give_later(reactor, later);
        }
        peer_drop_kept(reactor, peer);
        list_remove(&peer->wait_link);
        list_remove(&peer->resume_link);
        peer->holds = 0;
        if (peer->is_paused) { /* its end is to be told */
                peer->is_paused = false;
                io_resume(reactor->io, peer->lane.id);
        }
}

/* What a close for `reason` makes of events that are still on their way. */
static enum loss loss_of_close(enum counter_id reason)
{
        switch (reason) {
        case COUNT_CLOSED_SLOW:
                return LOSS_SLOW_CONSUMER;
        case COUNT_CLOSED_MEMORY:
                return LOSS_MEMORY_SHED;
        case COUNT_CLOSED_REFUSED:
                return LOSS_OVER_LIMIT;
        case COUNT_CLOSED_DRAINING:
                return LOSS_DRAINING;
        case COUNT_CLOSED_PROTOCOL:
                return LOSS_INVALID;
        case COUNT_CLOSED_UNAUTHORIZED:
                return LOSS_NO_PERMISSION;
        default:
                return LOSS_TRANSPORT_ERROR; /* the other end went, broke or fell silent */
        }
}

/* The first reason that a connection ends for is the one that counts. */
static void peer_count_reason(struct reactor *reactor, struct peer *peer, enum counter_id reason)
{
        if (peer->state != PEER_OPEN)
                return;
        reactor_count(reactor, reason, 1);
        peer_note(reactor, FLIGHT_CLOSED, peer->number, flight_reason(reason), lane_pending_bytes(&peer->lane));
        peer->loss = (uint8_t)loss_of_close(reason);
}

void peer_close(struct reactor *reactor, struct peer *peer, enum counter_id reason)
{
        if (peer->state == PEER_CLOSING)
                return;
        peer_count_reason(reactor, peer, reason);
        peer->state = PEER_CLOSING;
        peer->lane.ended = true;
        timer_cancel(&reactor->wheel, &peer->timer);
        peer_protocol_ended(reactor, peer);
        lane_leave(&reactor->lanes, &peer->lane);
        io_close(reactor->io, peer->lane.id, false);
}

/* Everything is sent: says so, and gives the peer a moment to read it before the socket goes. A socket that is closed
 * with unread input in it resets the connection, and the peer may never see our last words. */
static void peer_shut(struct reactor *reactor, struct peer *peer)
{
        assert(peer->state == PEER_FINISHING);
        if (peer->is_half) {
                peer_close(reactor, peer, COUNT_CLOSED_DONE);
                return;
        }
        peer->state = PEER_SHUT;
        peer->lane.ended = true;
        io_shutdown(reactor->io, peer->lane.id);
        /* Whoever lagged has much to read that the network took long ago and that counts as its own: as long as it
         * reads, a reset, which anything it says to a closed socket brings about, would take that away from it. */
        uint64_t wait_ns = peer->lane.is_cut ? PEER_LINGER_NS : PEER_FINISH_NS;
        timer_set(&reactor->wheel, &peer->timer, io_now_ns(reactor->io) + wait_ns);
}

void peer_finish(struct reactor *reactor, struct peer *peer, enum counter_id reason)
{
        if (peer->state != PEER_OPEN)
                return;
        peer_count_reason(reactor, peer, reason);
        peer->state = PEER_FINISHING;
        peer_protocol_ended(reactor, peer);
        lane_leave(&reactor->lanes, &peer->lane);
        /* A lane that was cut has had its time. */
        uint64_t finish_ns = peer->lane.is_cut ? PEER_FINISH_NS : reactor->finish_ns;
        timer_set(&reactor->wheel, &peer->timer, io_now_ns(reactor->io) + finish_ns);
        if (lane_is_drained(&peer->lane))
                peer_shut(reactor, peer);
}

void peer_released(struct reactor *reactor, struct peer *peer)
{
        if (peer->state == PEER_FINISHING && lane_is_drained(&peer->lane))
                peer_shut(reactor, peer);
}

void peer_end(struct reactor *reactor, struct peer *peer, int error)
{
        if (peer->state == PEER_OPEN && peer_is_behind(peer)) {
                /* What it sent before its end comes first. */
                peer->is_end_kept = true;
                peer->end_error = error;
                return;
        }
        peer->is_half = true;
        if (error != 0)
                peer_note(reactor, FLIGHT_BROKEN, peer->number, (uint64_t)-error, 0);
        if (error != 0)
                peer_close(reactor, peer, COUNT_CLOSED_BROKEN);
        else if (peer->state == PEER_OPEN)
                peer_finish(reactor, peer, COUNT_CLOSED_BY_PEER);
        else if (peer->state == PEER_SHUT)
                peer_close(reactor, peer, COUNT_CLOSED_DONE);
}

void peer_closed(struct reactor *reactor, struct peer *peer)
{
        peer->lane.ended = true;
        peer->state = PEER_CLOSING;
        timer_cancel(&reactor->wheel, &peer->timer);
        peer_protocol_ended(reactor, peer);
        lane_fini(&reactor->lanes, &peer->lane, (enum loss)peer->loss);
        reactor->by_index[io_id_index(peer->lane.id)] = NULL;
        reactor->peers_count--;
        reactor->admins_count -= peer->protocol == &admin_protocol;
        door_leave(reactor, peer);
        counter_set(&reactor->counters, COUNT_CONNECTIONS, reactor->peers_count);
        peer->is_gone = true;
        if (peer->protocol->stays == NULL || !peer->protocol->stays(peer))
                pool_give(&reactor->peers, peer);
}

/* The half-sent operation will not be whole; what came before it may be read. */
static void peer_give_up(struct reactor *reactor, struct peer *peer)
{
        lane_give_up(&reactor->lanes, &peer->lane);
        peer_shut(reactor, peer);
}

void peer_ticked(struct reactor *reactor, struct peer *peer)
{
        if (peer->state == PEER_OPEN)
                peer->protocol->ticked(reactor, peer);
        else if (peer->state == PEER_FINISHING && peer->lane.is_cut)
                peer_give_up(reactor, peer);
        else if (peer->state != PEER_CLOSING)
                peer_close(reactor, peer, COUNT_CLOSED_DONE);
}

void peer_lost(void *context, const struct lane *lane, enum loss loss, uint64_t count, struct span first,
               struct span last)
{
        struct reactor *reactor = context;
        struct peer *peer = container_of((struct lane *)(uintptr_t)lane, struct peer, lane);
        struct peer_description description;
        struct account unused;
        uint64_t pending;
        assert(peer->protocol->describe != NULL);
        peer->protocol->describe(peer, &description);
        lane_account(lane, &unused, &pending);
        const struct wire_codec *codec = &wire_codecs[description.format];
        ledger_note(&reactor->ledger, &peer->ledger_row, &description.reader, io_now_ns(reactor->io), loss, count,
                    pending, codec->subject(first), codec->subject(last));
}

void peers_take_cut(struct reactor *reactor)
{
        for (struct lane *lane; (lane = lanes_take_cut(&reactor->lanes)) != NULL;) {
                struct peer *peer = container_of(lane, struct peer, lane);
                unsigned suppressed;
                enum loss loss = (enum loss)lane->loss;
                peer_note(reactor, FLIGHT_CUT, peer->number, loss, lane_pending_bytes(lane));
                if (log_limit_pass(&reactor->cut_log, io_now_ns(reactor->io), 10, &suppressed))
                        log_warn("subscriber_cut", "address=%s reason=%s suppressed=%u", peer->address, loss_name(loss),
                                 suppressed);
                if (peer->state == PEER_OPEN)
                        peer_finish(reactor, peer, loss == LOSS_MEMORY_SHED ? COUNT_CLOSED_MEMORY : COUNT_CLOSED_SLOW);
                else if (peer->state == PEER_FINISHING && lane_is_drained(lane))
                        peer_shut(reactor, peer);
        }
}
