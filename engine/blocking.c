/* blocking: see the header. */
#include "engine/blocking.h"

#include "engine/reactor.h"

/* Tells the publisher's reactor to hold it, or to let it go on. false: it cannot be told now. */
static bool blocking_tell(struct reactor *reactor, unsigned where, uint64_t connection, bool hold)
{
        if (where == reactor->settings.number) {
                struct peer *peer = reactor_find(reactor, connection);
                if (peer != NULL && peer->state == PEER_OPEN && hold)
                        peer_hold(reactor, peer, PEER_HELD_LAG);
                else if (peer != NULL && !hold)
                        peer_release(reactor, peer, PEER_HELD_LAG);
                return true;
        }
        struct mailbox_control control = {.kind = hold ? MAILBOX_BLOCK : MAILBOX_UNBLOCK, .token = connection};
        return mailbox_has_spare(reactor->out[where]) && mailbox_tell(reactor->out[where], &control);
}

void blocking_hold(struct reactor *reactor, unsigned publisher_reactor, uint64_t connection)
{
        struct blocking *blocking = &reactor->blocking;
        for (uint32_t i = 0; i < blocking->held_count; i++)
                if (blocking->held[i].connection == connection && blocking->held[i].reactor == publisher_reactor)
                        return;
        if (blocking->held_count == BLOCKING_HELD_MAX || !blocking_tell(reactor, publisher_reactor, connection, true))
                return;
        blocking->held[blocking->held_count++] = (struct blocked_publisher){
                .connection = connection,
                .until_ns = io_now_ns(reactor->io) + reactor->settings.block_ns,
                .reactor = publisher_reactor,
        };
        reactor_count(reactor, COUNT_PUBLISHERS_BLOCKED, 1);
}

uint64_t blocking_tend(struct reactor *reactor)
{
        struct blocking *blocking = &reactor->blocking;
        if (likely(blocking->held_count == 0))
                return UINT64_MAX;
        uint64_t now_ns = io_now_ns(reactor->io), next_ns = UINT64_MAX;
        bool is_over = list_is_empty(&reactor->lanes.blocking);
        for (uint32_t i = 0; i < blocking->held_count;) {
                struct blocked_publisher *publisher = &blocking->held[i];
                bool is_due = is_over || publisher->until_ns <= now_ns;
                if (is_due && blocking_tell(reactor, publisher->reactor, publisher->connection, false)) {
                        *publisher = blocking->held[--blocking->held_count];
                        continue;
                }
                if (is_due)
                        next_ns = now_ns; /* its reactor has no room for the word: again next turn */
                else if (publisher->until_ns < next_ns)
                        next_ns = publisher->until_ns;
                i++;
        }
        return next_ns;
}
