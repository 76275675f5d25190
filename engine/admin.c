/* admin: HTTP/1.1 for the operator. llhttp parses (it is strict about framing); what is asked for is a few fixed paths.
 * See the header. */
#include "engine/admin.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/connections.h"
#include "engine/question.h"
#include "engine/reactor.h"
#include "io/wire/http.h"

#define REQUEST_BYTES_MAX 8192
#define UNREAD_BYTES_MAX ((uint64_t)256 << 10) /* answers that wait for a client that goes on asking */

static void admin_answer(struct reactor *reactor, struct admin *admin, const struct http_request *request, int status,
                         const char *type, struct span body)
{
        char head[256];
        const char *reason = status == 200   ? "OK"
                             : status == 404 ? "Not Found"
                             : status == 405 ? "Method Not Allowed"
                             : status == 503 ? "Service Unavailable"
                             : status == 500 ? "Internal Server Error"
                                             : "Bad Request";
        int size = snprintf(
                head, sizeof head,
                "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nCache-Control: no-store\r\n%s%s\r\n",
                status, reason, type, body.size, status == 405 ? "Allow: GET, HEAD\r\n" : "",
                request != NULL && request->keep_alive ? "" : "Connection: close\r\n");
        lane_append(&reactor->lanes, &admin->peer.lane, span_of(head, (size_t)size));
        bool has_body = request == NULL || !request->is_head;
        for (size_t sent = 0; has_body && sent < body.size;) {
                size_t part =
                        body.size - sent < STREAM_CHUNK_BYTES_SHARED ? body.size - sent : STREAM_CHUNK_BYTES_SHARED;
                lane_append(&reactor->lanes, &admin->peer.lane, span_of(body.bytes + sent, part));
                sent += part;
        }
        if (request == NULL || !request->keep_alive)
                peer_finish(reactor, &admin->peer, status == 400 ? COUNT_CLOSED_PROTOCOL : COUNT_CLOSED_DONE);
}

/* The counters of all reactors: what any core may read. */
static size_t admin_counters(const struct reactor *reactor, const struct counters *all[MATCH_REACTORS_MAX])
{
        for (unsigned i = 0; i < reactor->cores->count; i++)
                all[i] = &reactor->cores->core[i].reactor->counters;
        return reactor->cores->count;
}

static uint64_t admin_sum(const struct counters *const *all, size_t count, size_t id)
{
        uint64_t sum = 0;
        for (size_t i = 0; i < count; i++)
                sum += counter_read(all[i], id);
        return sum;
}

static void admin_metrics(struct reactor *reactor, struct admin *admin, const struct http_request *request)
{
        const struct counters *all[MATCH_REACTORS_MAX];
        size_t count = admin_counters(reactor, all);
        const struct io_traits *traits = io_traits(reactor->io);
        char info[512];
        reactor_sample(reactor);
        int info_size =
                snprintf(info, sizeof info,
                         "# HELP spate_build_info What is running\n# TYPE spate_build_info "
                         "gauge\nspate_build_info{version=\"%s\"} 1\n"
                         "# HELP spate_backend_info Who moves the bytes, and why\n# TYPE spate_backend_info gauge\n"
                         "spate_backend_info{backend=\"%s\",reason=\"%s\"} 1\n",
                         SPATE_VERSION, traits->name, traits->reason);
        size_t size = counters_write_prometheus(NULL, 0, "spate", counter_rows, COUNTERS_COUNT, all, count);
        char *text = malloc(size + (size_t)info_size + 1);
        if (text == NULL) {
                admin_answer(reactor, admin, request, 500, "text/plain", SPAN("out of memory\n"));
                return;
        }
        memcpy(text, info, (size_t)info_size);
        counters_write_prometheus(text + info_size, size + 1, "spate", counter_rows, COUNTERS_COUNT, all, count);
        admin_answer(reactor, admin, request, 200, "text/plain; version=0.0.4; charset=utf-8",
                     span_of(text, size + (size_t)info_size));
        free(text);
}

static json_t *admin_status_io(const struct reactor *reactor)
{
        const struct io_traits *traits = io_traits(reactor->io);
        size_t features_count;
        const struct io_feature *features = io_features(reactor->io, &features_count);
        json_t *rows = json_array();
        for (size_t i = 0; i < features_count; i++)
                json_array_append_new(rows, json_pack("{s:s,s:s,s:b,s:s}", "name", features[i].name, "kernel",
                                                      features[i].kernel, "present", features[i].present, "fallback",
                                                      features[i].fallback));
        return json_pack("{s:s,s:s,s:o}", "name", traits->name, "reason", traits->reason, "features", rows);
}

static void admin_status(struct reactor *reactor, struct admin *admin, const struct http_request *request)
{
        const struct counters *all[MATCH_REACTORS_MAX];
        size_t count = admin_counters(reactor, all);
        reactor_sample(reactor);
        json_t *counters = json_object();
        for (size_t i = 0; i < COUNTERS_COUNT; i++) {
                char name[128];
                snprintf(name, sizeof name, "%s%s%s%s", counter_rows[i].name, counter_rows[i].labels[0] ? "{" : "",
                         counter_rows[i].labels, counter_rows[i].labels[0] ? "}" : "");
                json_object_set_new(counters, name, json_integer((json_int_t)admin_sum(all, count, i)));
        }
        json_t *reactors = json_array();
        for (size_t i = 0; i < count; i++)
                json_array_append_new(reactors,
                                      json_pack("{s:i,s:I,s:I,s:I,s:I}", "number", (int)i, "connections",
                                                (json_int_t)counter_read(all[i], COUNT_CONNECTIONS), "events_received",
                                                (json_int_t)counter_read(all[i], COUNT_EVENTS_RECEIVED),
                                                "deliveries_released",
                                                (json_int_t)counter_read(all[i], COUNT_DELIVERIES_RELEASED), "turns",
                                                (json_int_t)counter_read(all[i], COUNT_TURNS)));
        json_t *status = json_pack(
                "{s:s,s:s,s:f,s:b,s:o,s:o,s:o}", "version", SPATE_VERSION, "server_id", reactor->server_id,
                "uptime_seconds", (double)(io_now_ns(reactor->io) - reactor->started_ns) / 1e9, "draining",
                reactor->is_stopping, "backend", admin_status_io(reactor), "counters", counters, "reactors", reactors);
        char *text = status == NULL ? NULL : json_dumps(status, JSON_INDENT(2));
        json_decref(status);
        if (text == NULL)
                admin_answer(reactor, admin, request, 500, "text/plain", SPAN("out of memory\n"));
        else
                admin_answer(reactor, admin, request, 200, "application/json", span_of_text(text));
        free(text);
}

struct admin_query {
        uint64_t limit, from;
        uint64_t reactor; /* UINT64_MAX: all */
};

/* Reads "limit=N&from=N&reactor=N", of which any may be missing; false: it is something else. */
static bool admin_read_query(struct span query, struct admin_query *read)
{
        while (query.size > 0) {
                const uint8_t *end = memchr(query.bytes, '&', query.size);
                struct span part = span_of(query.bytes, end == NULL ? query.size : (size_t)(end - query.bytes));
                const struct {
                        struct span name;
                        uint64_t *number;
                } known[] = {{SPAN("limit="), &read->limit},
                             {SPAN("from="), &read->from},
                             {SPAN("reactor="), &read->reactor}};
                size_t which = 0;
                while (which < array_count(known) && !span_starts_with(part, known[which].name))
                        which++;
                if (which == array_count(known))
                        return false;
                struct span digits = span_skip(part, known[which].name.size);
                if (digits.size == 0 || digits.size > 9)
                        return false;
                *known[which].number = 0;
                for (size_t i = 0; i < digits.size; i++) {
                        if (digits.bytes[i] < '0' || digits.bytes[i] > '9')
                                return false;
                        *known[which].number = *known[which].number * 10 + (digits.bytes[i] - '0');
                }
                query = span_skip(query, end == NULL ? query.size : part.size + 1);
        }
        return true;
}

/* All reactors have answered; nothing: one had no memory. */
static void admin_answered(struct reactor *reactor, io_id asker, struct span text)
{
        struct peer *peer = reactor_find(reactor, asker);
        if (peer == NULL || peer->state != PEER_OPEN || peer->protocol != &admin_protocol)
                return;
        struct admin *admin = container_of(peer, struct admin, peer);
        struct http_request request = {.keep_alive = admin->keep_alive, .is_head = admin->is_head};
        if (text.size == 0)
                admin_answer(reactor, admin, &request, 500, "text/plain", SPAN("out of memory\n"));
        else
                admin_answer(reactor, admin, &request, 200, "application/json", text);
        peer_release(reactor, peer, PEER_HELD_QUESTION);
}

/* Asks every reactor, or the one in the query. The connection is held until the answer has been given. */
static void admin_ask(struct reactor *reactor, struct admin *admin, const struct http_request *request,
                      uint64_t limit_max, question_write *write)
{
        struct admin_query query = {.limit = 100, .reactor = UINT64_MAX};
        unsigned count = reactor->cores->count;
        if (!admin_read_query(request->query, &query) || query.limit < 1 || query.limit > limit_max ||
            (query.reactor != UINT64_MAX && query.reactor >= count)) {
                char text[160];
                int size = snprintf(text, sizeof text,
                                    "the query may hold limit=1..%llu, reactor=0..%u and, for connections, from=N: the "
                                    "\"next\" of the answer before\n",
                                    (unsigned long long)limit_max, count - 1);
                admin_answer(reactor, admin, request, 400, "text/plain", span_of(text, (size_t)size));
                return;
        }
        uint64_t reactors = query.reactor != UINT64_MAX ? (uint64_t)1 << query.reactor : UINT64_MAX >> (64 - count);
        admin->keep_alive = request->keep_alive;
        admin->is_head = request->is_head;
        peer_hold(reactor, &admin->peer, PEER_HELD_QUESTION);
        int error = question_ask(reactor, admin->peer.lane.id, reactors, write, admin_answered, (uint32_t)query.from,
                                 (uint32_t)query.limit);
        if (error == 0)
                return;
        peer_release(reactor, &admin->peer, PEER_HELD_QUESTION);
        admin_answer(reactor, admin, request, 503, "text/plain", SPAN("too many questions at once; try again\n"));
}

static char *admin_write_losses(struct reactor *reactor, uint32_t from, uint32_t limit)
{
        (void)from;
        return ledger_write_json(&reactor->ledger, &reactor->lanes.account, reactor->settings.number,
                                 io_now_ns(reactor->io), limit);
}

static char *admin_write_connections(struct reactor *reactor, uint32_t from, uint32_t limit)
{
        return connections_write_json(reactor, from, limit);
}

static void admin_request(struct reactor *reactor, struct admin *admin, const struct http_request *request)
{
        if (!request->is_get && !request->is_head)
                admin_answer(reactor, admin, request, 405, "text/plain", SPAN("only GET and HEAD here\n"));
        else if (span_equal(request->path, SPAN("/metrics")))
                admin_metrics(reactor, admin, request);
        else if (span_equal(request->path, SPAN("/healthz")) && reactor->is_stopping)
                admin_answer(reactor, admin, request, 503, "text/plain", SPAN("draining\n"));
        else if (span_equal(request->path, SPAN("/healthz")))
                admin_answer(reactor, admin, request, 200, "text/plain", SPAN("ok\n"));
        else if (span_equal(request->path, SPAN("/status")))
                admin_status(reactor, admin, request);
        else if (span_equal(request->path, SPAN("/losses")))
                admin_ask(reactor, admin, request, LEDGER_ROWS, admin_write_losses);
        else if (span_equal(request->path, SPAN("/connections")))
                admin_ask(reactor, admin, request, CONNECTIONS_ROWS_MAX, admin_write_connections);
        else
                admin_answer(reactor, admin, request, 404, "text/plain",
                             SPAN("try /metrics, /healthz, /status, /losses or /connections\n"));
}

static size_t admin_take(struct reactor *reactor, struct peer *peer, struct span in, bool one, size_t *needed)
{
        struct admin *admin = container_of(peer, struct admin, peer);
        size_t taken = 0;
        *needed = 0;
        while (taken < in.size && peer->state == PEER_OPEN && peer->holds == 0) {
                struct http_request request;
                if (stream_held_bytes(&peer->lane.own) > UNREAD_BYTES_MAX) {
                        peer_close(reactor, peer, COUNT_CLOSED_SLOW);
                        break;
                }
                ssize_t size = http_decode_request(span_skip(in, taken), REQUEST_BYTES_MAX, &request);
                if (size < 0)
                        admin_answer(reactor, admin, NULL, 400, "text/plain",
                                     SPAN("not an HTTP request that this address takes\n"));
                if (size <= 0)
                        break;
                taken += (size_t)size;
                admin_request(reactor, admin, &request);
                if (one)
                        break;
        }
        if (taken > 0 && peer->state == PEER_OPEN)
                timer_set(&reactor->wheel, &peer->timer, io_now_ns(reactor->io) + 60 * NS_PER_S);
        return taken;
}

static void admin_opened(struct reactor *reactor, struct peer *peer)
{
        timer_set(&reactor->wheel, &peer->timer, io_now_ns(reactor->io) + reactor->settings.handshake_ns);
}

static void admin_ticked(struct reactor *reactor, struct peer *peer)
{
        if (peer->holds != 0) {
                timer_set(&reactor->wheel, &peer->timer, io_now_ns(reactor->io) + NS_PER_S);
                return;
        }
        peer_close(reactor, peer, COUNT_CLOSED_HANDSHAKE);
}

static void admin_ended(struct reactor *reactor, struct peer *peer)
{
        (void)reactor;
        (void)peer;
}

const struct peer_protocol admin_protocol = {
        .name = "admin",
        .bytes = sizeof(struct admin),
        .opened = admin_opened,
        .take = admin_take,
        .ticked = admin_ticked,
        .ended = admin_ended,
};
