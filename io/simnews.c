/* simnews: see simnews.h. */
#include "io/simnews.h"

#include <stdio.h>

#include "io/simlent.h"

#if defined(__SANITIZE_ADDRESS__)
#define SIM_FREES_STALE_SPANS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SIM_FREES_STALE_SPANS 1
#endif
#endif
#ifndef SIM_FREES_STALE_SPANS
#define SIM_FREES_STALE_SPANS 0
#endif

#define SCRIBBLE 0xDD

static const char *const event_names[] = {
        [IO_ACCEPTED] = "IO_ACCEPTED", [IO_CONNECTED] = "IO_CONNECTED", [IO_RECEIVED] = "IO_RECEIVED",
        [IO_RELEASED] = "IO_RELEASED", [IO_WRITABLE] = "IO_WRITABLE",   [IO_ENDED] = "IO_ENDED",
        [IO_CLOSED] = "IO_CLOSED",     [IO_DATAGRAM] = "IO_DATAGRAM",   [IO_WOKEN] = "IO_WOKEN",
};

/* A copy handed to the engine until the next io_poll(). */
struct guard {
        struct list link;
        size_t size;
        uint8_t bytes[];
};

void simnews_tell(struct simnews *news, uint32_t number, struct io_event event)
{
        assert(!simnews_is_full(news));
        simnet_step(news->net, event_names[event.kind], number, event.bytes + event.span.size, event.sent);
        simnet_hash_word(news->net, (uint64_t)event.id ^ (uint64_t)(int64_t)event.error);
        simnet_hash_bytes(news->net, event.span.bytes, event.span.size);
        news->events[news->count++] = event;
}

struct span simnews_guard(struct simnews *news, const void *bytes, size_t size)
{
        struct guard *guard = sim_allocate(sizeof(*guard) + size);
        guard->size = size;
        memcpy(guard->bytes, bytes, size);
        list_push_back(&news->guards->fresh, &guard->link);
        return span_of(guard->bytes, size);
}

static void guards_free(struct list *guards)
{
        list_for_each(guards, link) sim_free(list_entry(link, struct guard, link));
        list_init(guards);
}

void simguards_init(struct simguards *guards)
{
        list_init(&guards->fresh);
        list_init(&guards->stale);
}

void simguards_fini(struct simguards *guards)
{
        guards_free(&guards->fresh);
        guards_free(&guards->stale);
}

void simguards_spoil(struct simguards *guards)
{
        guards_free(&guards->stale);
        list_for_each(&guards->fresh, link)
        {
                struct guard *guard = list_entry(link, struct guard, link);
                memset(guard->bytes, SCRIBBLE, guard->size);
        }
        list_splice_back(&guards->stale, &guards->fresh);
        if (SIM_FREES_STALE_SPANS)
                guards_free(&guards->stale);
}

static bool has_releases(const struct sim_peer *peer)
{
        if (peer->net->settings.mode == SIM_KERNEL)
                return peer->release_due;
        return peer->lent_bytes > 0 && (peer->release_rest || peer->una > peer->told);
}

static bool has_received(const struct sim_peer *peer)
{
        return peer->received.size > 0 && !peer->paused && !peer->held && !peer->closing;
}

static bool has_ended(const struct sim_peer *peer)
{
        if (peer->break_told || peer->closing || peer->connect_error != 0)
                return false;
        if (peer->broken)
                return peer->paused ? !peer->break_waits : peer->received.size == 0;
        return peer->fin_received && !peer->end_told && peer->received.size == 0 && !peer->paused;
}

static bool has_closed(const struct sim_peer *peer)
{
        return peer->close_due && peer->lent_bytes == 0 && !peer->dead;
}

bool simnews_waits(const struct sim_peer *peer)
{
        return peer->accept_due || peer->connect_due || peer->writable_due || has_releases(peer) ||
               has_received(peer) || has_ended(peer) || has_closed(peer);
}

static void tell_opened(struct simnews *news, struct sim_peer *peer)
{
        if (simnews_is_full(news))
                return;
        if (peer->accept_due) {
                char text[IO_ADDRESS_BYTES_MAX];
                int size = snprintf(text, sizeof(text), "10.%u.%u.%u:%u", peer->number >> 16 & 255,
                                    peer->number >> 8 & 255, peer->number & 255, 1024 + peer->number % 60000);
                peer->accept_due = false;
                peer->open = true;
                news->statistics->accepts++;
                simnews_tell(news, peer->number,
                             (struct io_event){.kind = IO_ACCEPTED,
                                               .id = peer->id,
                                               .listener = peer->listener,
                                               .span = simnews_guard(news, text, (size_t)size)});
        } else if (peer->connect_due) {
                peer->connect_due = false;
                if (peer->closing)
                        return;
                peer->open = true;
                simnews_tell(news, peer->number,
                             (struct io_event){.kind = IO_CONNECTED, .id = peer->id, .error = peer->connect_error});
        }
}

void simnews_tell_released(struct simnews *news, struct sim_peer *peer)
{
        struct simnet *net = news->net;
        while (has_releases(peer) && !simnews_is_full(news)) {
                size_t bytes, sent;
                if (net->settings.mode == SIM_KERNEL) {
                        bytes = peer->lent_bytes;
                        sent = peer->release_sent;
                        peer->release_due = false;
                } else {
                        sent = peer->una > peer->told ? peer->una - peer->told : 0;
                        bytes = peer->release_rest ? peer->lent_bytes : sent;
                        if (sent > 0 && simnet_chance(net, net->settings.split))
                                bytes = sent = 1 + simnet_draw(net, sent);
                        else if (sent > 0 && peer->release_rest && simnet_coin(net))
                                bytes = sent;
                        peer->told += bytes;
                }
                news->statistics->bytes_sent += sent;
                uint32_t sends = simlent_give(peer, bytes);
                simnews_tell(
                        news, peer->number,
                        (struct io_event){
                                .kind = IO_RELEASED, .id = peer->id, .bytes = bytes, .sent = sent, .sends = sends});
                if (sent < bytes)
                        peer->blocked = true;
                simpeer_try_closed(peer);
                if (!peer->release_rest && simnet_coin(net))
                        break;
        }
        if (peer->writable_due && !has_releases(peer) && !simnews_is_full(news)) {
                peer->writable_due = false;
                peer->blocked = false;
                simnews_tell(news, peer->number, (struct io_event){.kind = IO_WRITABLE, .id = peer->id});
        }
}

static void tell_received(struct simnews *news, struct sim_peer *peer)
{
        struct simnet *net = news->net;
        bool again = true;
        while (again && has_received(peer) && !simnews_is_full(news)) {
                size_t max = news->receive_bytes_max;
                size_t size = peer->received.size < max ? peer->received.size : max;
                again = false;
                if (simnet_chance(net, net->settings.split)) {
                        size = 1 + simnet_draw(net, size);
                        again = simnet_coin(net);
                }
                struct span span = simnews_guard(news, peer->received.data + peer->received.start, size);
                simbytes_drop(&peer->received, size);
                news->statistics->receives++;
                news->statistics->bytes_received += size;
                simnews_tell(
                        news, peer->number,
                        (struct io_event){
                                .kind = IO_RECEIVED, .id = peer->id, .span = span, .more = peer->received.size > 0});
                simpeer_opened(peer);
        }
}

static void tell_ended(struct simnews *news, struct sim_peer *peer)
{
        if (!has_ended(peer) || simnews_is_full(news))
                return;
        peer->end_told = true;
        peer->break_told = peer->broken;
        simbytes_clear(&peer->received);
        simnews_tell(news, peer->number,
                     (struct io_event){.kind = IO_ENDED, .id = peer->id, .error = peer->broken ? peer->error : 0});
}

static void tell_closed(struct simnews *news, struct sim_peer *peer)
{
        if (!has_closed(peer) || simnews_is_full(news))
                return;
        peer->dead = true;
        simnews_tell(news, peer->number, (struct io_event){.kind = IO_CLOSED, .id = peer->id});
}

void simnews_tell_rest(struct simnews *news, struct sim_peer *peer)
{
        tell_opened(news, peer);
        if (peer->net->settings.mode == SIM_TCP && simnet_coin(peer->net))
                simnews_tell_released(news, peer);
        if (peer->open) {
                tell_received(news, peer);
                tell_ended(news, peer);
        }
        if (peer->net->settings.mode == SIM_TCP)
                simnews_tell_released(news, peer);
        tell_closed(news, peer);
}
