/* tempo: see the header. Numbers stay within 64 bits: a batch has at most MATCH_BATCH_MAX events of a few megabytes,
 * and no burst more than 10^9. */
#include "engine/tempo.h"

#include "engine/reactor.h"
#include "engine/session.h"

/* Who is held goes on for so long at a time: not for each event alone. */
#define SOME_NS (10 * NS_PER_MS)
#define BYTES_BURST_NS NS_PER_S

static uint64_t later_of(uint64_t one_ns, uint64_t other_ns)
{
        return one_ns > other_ns ? one_ns : other_ns;
}

static uint64_t event_bytes(const struct event *event)
{
        return event->headers.size + event->payload.size;
}

static uint64_t cost_ns(uint64_t amount, uint64_t rate)
{
        return amount * NS_PER_S / rate;
}

/* Rounded up: a burst of one is one, whatever the rate. */
static uint64_t burst_ns(const struct reactor_settings *settings)
{
        return cost_ns(settings->publish_burst, settings->publish_rate) + 1;
}

static size_t allowed_by_events(const struct reactor_settings *settings, const struct tempo *tempo, uint64_t now_ns,
                                size_t events_count)
{
        uint64_t end_ns = now_ns + burst_ns(settings);
        uint64_t paid_ns = later_of(tempo->events_paid_ns, now_ns);
        uint64_t allowed = paid_ns >= end_ns ? 0 : (end_ns - paid_ns) * settings->publish_rate / NS_PER_S;
        return allowed < events_count ? (size_t)allowed : events_count;
}

static size_t allowed_by_bytes(const struct reactor_settings *settings, const struct tempo *tempo, uint64_t now_ns,
                               const struct event *events, size_t events_count)
{
        uint64_t paid_ns = later_of(tempo->bytes_paid_ns, now_ns);
        size_t allowed = 0;
        for (; allowed < events_count && paid_ns < now_ns + BYTES_BURST_NS; allowed++)
                paid_ns += cost_ns(event_bytes(&events[allowed]), settings->publish_bytes);
        return allowed;
}

size_t tempo_allows(const struct reactor *reactor, const struct session *session, const struct event *events,
                    size_t events_count)
{
        const struct reactor_settings *settings = &reactor->settings;
        uint64_t now_ns = io_now_ns(reactor->io);
        if (settings->publish_rate != 0)
                events_count = allowed_by_events(settings, &session->tempo, now_ns, events_count);
        if (settings->publish_bytes != 0)
                events_count = allowed_by_bytes(settings, &session->tempo, now_ns, events, events_count);
        return events_count;
}

void tempo_take(const struct reactor *reactor, struct session *session, const struct event *events, size_t events_count)
{
        const struct reactor_settings *settings = &reactor->settings;
        struct tempo *tempo = &session->tempo;
        uint64_t now_ns = io_now_ns(reactor->io), bytes = 0;
        for (size_t i = 0; i < events_count; i++)
                bytes += event_bytes(&events[i]);
        if (settings->publish_rate != 0)
                tempo->events_paid_ns =
                        later_of(tempo->events_paid_ns, now_ns) + cost_ns(events_count, settings->publish_rate);
        if (settings->publish_bytes != 0)
                tempo->bytes_paid_ns = later_of(tempo->bytes_paid_ns, now_ns) + cost_ns(bytes, settings->publish_bytes);
}

/* When some of the burst is paid for again. */
static uint64_t events_wake_ns(const struct reactor_settings *settings, const struct tempo *tempo)
{
        uint64_t whole_ns = burst_ns(settings), some_ns = later_of(SOME_NS, cost_ns(1, settings->publish_rate) + 1);
        return tempo->events_paid_ns + (some_ns < whole_ns ? some_ns : whole_ns) - whole_ns;
}

void tempo_hold(struct reactor *reactor, struct session *session)
{
        const struct reactor_settings *settings = &reactor->settings;
        struct tempo *tempo = &session->tempo;
        uint64_t now_ns = io_now_ns(reactor->io), wake_ns = now_ns + NS_PER_MS;
        unsigned suppressed;
        bool is_for_events = settings->publish_rate != 0 && allowed_by_events(settings, tempo, now_ns, 1) == 0;
        if (is_for_events)
                wake_ns = later_of(wake_ns, events_wake_ns(settings, tempo));
        if (settings->publish_bytes != 0 && tempo->bytes_paid_ns >= now_ns + BYTES_BURST_NS)
                wake_ns = later_of(wake_ns, tempo->bytes_paid_ns - BYTES_BURST_NS + SOME_NS);
        tempo->wake_ns = wake_ns;
        peer_hold(reactor, &session->peer, PEER_HELD_TEMPO);
        session_arm(reactor, session);
        reactor_count(reactor, COUNT_PUBLISHERS_PACED, 1);
        if (tempo->is_told || !log_limit_pass(&reactor->fault_log, now_ns, 10, &suppressed))
                return;
        tempo->is_told = true;
        log_info("publisher_held", "address=%s option=%s limit=%llu suppressed=%u", session->peer.address,
                 is_for_events ? "--publish-rate" : "--publish-bytes",
                 (unsigned long long)(is_for_events ? settings->publish_rate : settings->publish_bytes), suppressed);
}

void tempo_tick(struct reactor *reactor, struct session *session, uint64_t now_ns)
{
        struct tempo *tempo = &session->tempo;
        if (tempo->wake_ns == 0 || now_ns < tempo->wake_ns)
                return;
        tempo->wake_ns = 0;
        peer_release(reactor, &session->peer, PEER_HELD_TEMPO);
}
