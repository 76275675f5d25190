/* tempo: how fast one connection may publish. Who is too fast waits, and loses nothing: its connection is held in front
 * of the event that is too many and is read no further, so that its client feels TCP's own back-pressure.
 *
 *      events   --publish-burst at once, then --publish-rate a second
 *      bytes    --publish-bytes a second, a second's worth at once; a larger event goes alone and is paid for later
 *
 * Each is kept as the one moment at which all that was taken is paid for (a leaky bucket). Asked once for each batch.
 * Belongs to one session. */
#ifndef SPATE_ENGINE_TEMPO_H
#define SPATE_ENGINE_TEMPO_H

#include "io/wire/event.h"

struct reactor;
struct session;

struct tempo {
        uint64_t events_paid_ns, bytes_paid_ns;
        uint64_t wake_ns; /* held until then; 0: not */
        bool is_told;     /* it has been logged */
};

/* How many of them, from the first on, may be published now. */
size_t tempo_allows(const struct reactor *reactor, const struct session *session, const struct event *events,
                    size_t events_count);
/* So many have been. */
void tempo_take(const struct reactor *reactor, struct session *session, const struct event *events,
                size_t events_count);
/* The next one has to wait: holds the session. */
void tempo_hold(struct reactor *reactor, struct session *session);
/* When tempo_tick() wants to be called, UINT64_MAX: never. */
static inline uint64_t tempo_next_ns(const struct tempo *tempo)
{
        return tempo->wake_ns == 0 ? UINT64_MAX : tempo->wake_ns;
}
void tempo_tick(struct reactor *reactor, struct session *session, uint64_t now_ns);

#endif
