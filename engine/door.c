/* door: see the header. */
#include "engine/door.h"

#include "engine/reactor.h"

bool door_has_slot(const struct reactor *reactor, const struct peer_protocol *protocol)
{
        uint32_t most = reactor->settings.conns_max + DOOR_TOLD_MAX;
        if (protocol == &admin_protocol)
                return reactor->admins_count < DOOR_ADMIN_MAX;
        return reactor->peers_count - reactor->admins_count < most;
}

static bool door_is_full(const struct reactor *reactor)
{
        const struct cores *cores = reactor->cores;
        uint64_t clients = 0;
        for (unsigned i = 0; i < cores->count; i++)
                if (cores->core[i].reactor != NULL)
                        clients += counter_read(&cores->core[i].reactor->counters, COUNT_CLIENTS);
        return clients >= reactor->settings.conns_max;
}

static bool door_is_crowded(const struct reactor *reactor, uint64_t hash)
{
        const struct cores *cores = reactor->cores;
        uint64_t clients = 0;
        for (unsigned i = 0; i < cores->count; i++)
                if (cores->core[i].reactor != NULL)
                        clients += addresses_count(&cores->core[i].reactor->addresses, hash);
        return clients >= reactor->settings.address_conns_max;
}

bool door_enter(struct reactor *reactor, struct peer *peer)
{
        assert(!peer->is_client);
        if (door_is_full(reactor))
                return false;
        /* Counted without a limit as well: a reload may set one. */
        uint64_t hash = addresses_hash(span_of_text(peer->address), reactor->cores->hash_seed);
        if (reactor->settings.address_conns_max > 0 && hash != 0 && door_is_crowded(reactor, hash))
                return false;
        peer->address_place = hash == 0 ? 0 : addresses_enter(&reactor->addresses, hash);
        peer->is_client = true;
        reactor_count(reactor, COUNT_CLIENTS_LET_IN, 1);
        counter_set(&reactor->counters, COUNT_CLIENTS, ++reactor->clients_count);
        return true;
}

void door_leave(struct reactor *reactor, struct peer *peer)
{
        if (!peer->is_client)
                return;
        peer->is_client = false;
        addresses_leave(&reactor->addresses, peer->address_place);
        counter_set(&reactor->counters, COUNT_CLIENTS, --reactor->clients_count);
}
