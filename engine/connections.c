/* connections: one row for each. See the header. */
#include "engine/connections.h"

#include "engine/jsontext.h"

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
        double open_s = (double)(io_now_ns(reactor->io) - peer->opened_ns) / 1e9;
        peer->protocol->describe(peer, &description);
        lane_account(&peer->lane, &account, &pending);
        json_object_set_new(json, "connection", json_integer((json_int_t)description.reader.connection));
        json_object_set_new(json, "protocol", json_string(description.reader.protocol));
        json_object_set_new(json, "address", jsontext_string(span_of_text(description.reader.address), false));
        json_object_set_new(json, "user", jsontext_string(span_of_text(description.reader.user), false));
        json_object_set_new(json, "name", jsontext_string(span_of_text(description.reader.name), false));
        json_object_set_new(json, "state", json_string(state_names[peer->state]));
        json_object_set_new(json, "seconds_open", json_real(open_s));
        json_object_set_new(json, "subscriptions", json_integer(description.subscriptions_count));
        jsontext_add_account(json, &account, pending);
        json_object_set_new(json, "pending_bytes", json_integer((json_int_t)lane_pending_bytes(&peer->lane)));
        return json;
}

char *connections_write_json(const struct reactor *reactor, uint32_t from, size_t rows_max)
{
        json_t *json = json_object(), *rows = json_array();
        uint32_t index = from;
        for (; index < reactor->by_index_count && json_array_size(rows) < rows_max; index++) {
                const struct peer *peer = reactor->by_index[index];
                if (peer != NULL && peer->protocol->describe != NULL)
                        json_array_append_new(rows, connection_json(reactor, peer));
        }
        json_object_set_new(json, "reactor", json_integer(reactor->settings.number));
        json_object_set_new(json, "open", json_integer(reactor->peers_count));
        json_object_set_new(json, "next", index < reactor->by_index_count ? json_integer(index) : json_null());
        json_object_set_new(json, "connections", rows);
        return jsontext_end(json);
}
