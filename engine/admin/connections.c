/* connections: one row for each. See the header. */
#include "engine/admin/connections.h"

#include "engine/admin/jsontext.h"
#include "engine/base/best.h"

static const char *const state_names[] = {
        [PEER_OPEN] = "open",
        [PEER_FINISHING] = "finishing",
        [PEER_SHUT] = "shut",
        [PEER_CLOSING] = "closing",
};

static json_t *connection_json(const struct reactor *reactor, const struct peer *peer)
{
        struct peer_description description;
        struct account account;
        uint64_t pending;
        json_t *json = json_object();
        char since[JSONTEXT_TIME_BYTES];
        uint64_t open_ns = io_now_ns(reactor->io) - peer->opened_ns;
        peer->protocol->describe(peer, &description);
        lane_account(&peer->lane, &account, &pending);
        json_object_set_new(json, "connection", json_integer((json_int_t)description.reader.connection));
        json_object_set_new(json, "protocol", json_string(description.reader.protocol));
        json_object_set_new(json, "address", jsontext_string(span_of_text(description.reader.address), false));
        json_object_set_new(json, "user", jsontext_string(span_of_text(description.reader.user), false));
        json_object_set_new(json, "name", jsontext_string(span_of_text(description.reader.name), false));
        json_object_set_new(json, "state", json_string(state_names[peer->state]));
        json_object_set_new(json, "since", json_string(jsontext_time(since, open_ns)));
        json_object_set_new(json, "seconds_open", json_real((double)open_ns / 1e9));
        json_object_set_new(json, "subscriptions", json_integer(description.subscriptions_count));
        jsontext_add_account(json, &account, pending);
        json_object_set_new(json, "sent_bytes", json_integer((json_int_t)lane_sent_bytes(&peer->lane)));
        json_object_set_new(json, "pending_bytes", json_integer((json_int_t)lane_pending_bytes(&peer->lane)));
        return json;
}

static json_t *connections_begin(const struct reactor *reactor)
{
        return json_pack("{s:i,s:i}", "reactor", (int)reactor->settings.number, "open", (int)reactor->peers_count);
}

char *connections_write_json(const struct reactor *reactor, uint32_t from, size_t rows_max)
{
        json_t *json = connections_begin(reactor), *rows = json_array();
        uint32_t index = from;
        for (; index < reactor->by_index_count && json_array_size(rows) < rows_max; index++) {
                const struct peer *peer = reactor->by_index[index];
                if (peer != NULL && peer->protocol->describe != NULL)
                        json_array_append_new(rows, connection_json(reactor, peer));
        }
        json_object_set_new(json, "next", index < reactor->by_index_count ? json_integer(index) : json_null());
        json_object_set_new(json, "connections", rows);
        return jsontext_end(json);
}

static void offer_waiting(struct best *best, const struct list *list, uint32_t *looked_at)
{
        list_for_each(list, link)
        {
                const struct lane *lane = list_entry(link, struct lane, waiting_link);
                const struct peer *peer = container_of(lane, struct peer, lane);
                if (*looked_at == CONNECTIONS_LOOK_MAX)
                        return;
                ++*looked_at;
                if (peer->protocol->describe != NULL)
                        best_offer(best, lane_pending_bytes(lane), peer);
        }
}

char *connections_write_pending(const struct reactor *reactor, size_t rows_max)
{
        struct best_row room[CONNECTIONS_ROWS_MAX];
        struct best best;
        uint32_t looked_at = 0;
        json_t *json = connections_begin(reactor), *rows = json_array();
        assert(rows_max <= CONNECTIONS_ROWS_MAX);
        best_init(&best, room, rows_max);
        offer_waiting(&best, &reactor->lanes.waiting, &looked_at);
        offer_waiting(&best, &reactor->lanes.patient, &looked_at);
        best_sort(&best);
        for (size_t i = 0; i < best.count; i++)
                json_array_append_new(rows, connection_json(reactor, room[i].what));
        /* Nobody else is behind: what they are owed is of this turn, at whose end it is offered to the network. */
        for (uint32_t index = 0; index < reactor->by_index_count && json_array_size(rows) < rows_max; index++) {
                const struct peer *peer = reactor->by_index[index];
                if (peer != NULL && peer->protocol->describe != NULL && !list_is_linked(&peer->lane.waiting_link))
                        json_array_append_new(rows, connection_json(reactor, peer));
        }
        json_object_set_new(json, "is_whole", json_boolean(looked_at < CONNECTIONS_LOOK_MAX));
        json_object_set_new(json, "connections", rows);
        return jsontext_end(json);
}
