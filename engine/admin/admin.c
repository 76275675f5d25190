/* admin: HTTP/1.1 for the operator. llhttp parses (it is strict about framing); what is asked for is a few fixed paths.
 * See the header. */
#include "engine/admin/admin.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "engine/admin/adminquery.h"
#include "engine/admin/cohorts.h"
#include "engine/admin/connections.h"
#include "engine/admin/connz.h"
#include "engine/admin/control.h"
#include "engine/admin/explain.h"
#include "engine/admin/metrics.h"
#include "engine/admin/readiness.h"
#include "engine/admin/statusjson.h"
#include "engine/admin/varz.h"
#include "engine/question.h"
#include "engine/reactor.h"
#include "io/wire/http.h"

#define REQUEST_BYTES_MAX 8192
#define LIST_BYTES 2048
#define UNREAD_BYTES_MAX ((uint64_t)256 << 10) /* answers that wait for a client that goes on asking */

static const struct {
        int status;
        const char *reason;
} reasons[] = {{200, "OK"},
               {202, "Accepted"},
               {400, "Bad Request"},
               {403, "Forbidden"},
               {404, "Not Found"},
               {405, "Method Not Allowed"},
               {409, "Conflict"},
               {500, "Internal Server Error"},
               {503, "Service Unavailable"}};

static const char *reason_of(int status)
{
        size_t i = 0;
        while (reasons[i].status != status)
                i++;
        return reasons[i].reason;
}

/* Without a request the connection ends behind the answer. */
static void admin_answer(struct reactor *reactor, struct admin *admin, const struct http_request *request, int status,
                         const char *type, struct span body)
{
        char head[256];
        int size = snprintf(
                head, sizeof head,
                "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nCache-Control: no-store\r\n%s%s%s%s\r\n",
                status, reason_of(status), type, body.size, status == 405 ? "Allow: " : "",
                status == 405 ? admin->allow : "", status == 405 ? "\r\n" : "",
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

static void admin_say(struct reactor *reactor, struct admin *admin, const struct http_request *request, int status,
                      const char *text)
{
        admin_answer(reactor, admin, request, status, "text/plain; charset=utf-8", span_of_text(text));
}

/* Frees the text; NULL: there was no memory for it. */
static void admin_give(struct reactor *reactor, struct admin *admin, const struct http_request *request,
                       const char *type, char *text, size_t size)
{
        if (text == NULL)
                admin_say(reactor, admin, request, 500, "out of memory\n");
        else
                admin_answer(reactor, admin, request, 200, type, span_of(text, size));
        free(text);
}

static void admin_give_json(struct reactor *reactor, struct admin *admin, const struct http_request *request,
                            char *text)
{
        admin_give(reactor, admin, request, "application/json", text, text == NULL ? 0 : strlen(text));
}

/* ---- what one reactor can tell of all ---- */

static void answer_metrics(struct reactor *reactor, struct admin *admin, const struct http_request *request)
{
        size_t size = 0;
        char *text = metrics_write(reactor, &size);
        admin_give(reactor, admin, request, "text/plain; version=0.0.4; charset=utf-8", text, size);
}

static void answer_status(struct reactor *reactor, struct admin *admin, const struct http_request *request)
{
        admin_give_json(reactor, admin, request, statusjson_write(reactor));
}

/* Who answers is alive, also while it drains: whoever restarts what is not alive must leave it the time for that. */
static void answer_health(struct reactor *reactor, struct admin *admin, const struct http_request *request)
{
        admin_say(reactor, admin, request, 200, "ok\n");
}

static void answer_readiness(struct reactor *reactor, struct admin *admin, const struct http_request *request)
{
        struct adminquery query;
        char text[READINESS_TEXT_BYTES];
        if (!adminquery_read(request->query, ADMINQUERY_VERBOSE, &query)) {
                admin_say(reactor, admin, request, 400, "the query may hold verbose\n");
                return;
        }
        bool is_ready = readiness_write(reactor, query.given != 0, text);
        admin_say(reactor, admin, request, is_ready ? 200 : 503, text);
}

/* ---- what every reactor is asked for ---- */

/* The connection that waits for an answer; NULL: it is gone. */
static struct admin *admin_find(struct reactor *reactor, io_id asker)
{
        struct peer *peer = reactor_find(reactor, asker);
        if (peer == NULL || peer->state != PEER_OPEN || peer->protocol != &admin_protocol)
                return NULL;
        return container_of(peer, struct admin, peer);
}

/* Nothing: there was no memory. */
static void admin_end_wait(struct reactor *reactor, struct admin *admin, int status, struct span text)
{
        struct http_request request = {.keep_alive = admin->keep_alive, .is_head = admin->is_head};
        if (text.size == 0)
                admin_say(reactor, admin, &request, 500, "out of memory\n");
        else
                admin_answer(reactor, admin, &request, status, "application/json", text);
        peer_release(reactor, &admin->peer, PEER_HELD_QUESTION);
}

static void admin_wait(struct reactor *reactor, struct admin *admin, const struct http_request *request)
{
        admin->keep_alive = request->keep_alive;
        admin->is_head = request->is_head;
        peer_hold(reactor, &admin->peer, PEER_HELD_QUESTION);
}

/* All reactors have answered. */
static void admin_answered(struct reactor *reactor, io_id asker, struct span text)
{
        struct admin *admin = admin_find(reactor, asker);
        if (admin != NULL)
                admin_end_wait(reactor, admin, 200, text);
}

/* The query was not understood. */
static void admin_refuse_query(struct reactor *reactor, struct admin *admin, const struct http_request *request,
                               unsigned taken, uint64_t limit_max)
{
        char text[256];
        int size = snprintf(
                text, sizeof text, "the query may hold limit=1..%llu, reactor=0..%u%s%s\n",
                (unsigned long long)limit_max, reactor->cores->count - 1,
                (taken & ADMINQUERY_FROM) != 0 ? ", from=N: the \"next\" of the answer before" : "",
                (taken & ADMINQUERY_SORT) != 0 ? ", or sort=pending: the furthest behind first, without from" : "");
        assert(size < (int)sizeof text);
        admin_say(reactor, admin, request, 400, text);
}

/* Asks the reactors in `reactors`. The connection is held until the answer has been given. */
static void admin_ask(struct reactor *reactor, struct admin *admin, const struct http_request *request,
                      uint64_t reactors, const struct question_kind *kind, const struct question_terms *terms)
{
        admin_wait(reactor, admin, request);
        int error = question_ask(reactor, admin->peer.lane.id, reactors, kind, terms, admin_answered);
        if (error == 0)
                return;
        peer_release(reactor, &admin->peer, PEER_HELD_QUESTION);
        if (error == -EBUSY)
                admin_say(reactor, admin, request, 503, "too many questions at once; try again\n");
        else
                admin_say(reactor, admin, request, 500, "out of memory\n");
}

/* Asks every reactor, or the one in the query, for so many rows. `sorted` is asked for by sort=pending. */
static void admin_ask_rows(struct reactor *reactor, struct admin *admin, const struct http_request *request,
                           unsigned taken, uint32_t limit, uint32_t limit_max, const struct question_kind *kind,
                           const struct question_kind *sorted)
{
        struct adminquery query = {.limit = limit, .reactor = UINT64_MAX};
        unsigned count = reactor->cores->count;
        bool is_read = adminquery_read(request->query, taken | ADMINQUERY_LIMIT | ADMINQUERY_REACTOR, &query);
        bool is_sorted = (query.given & ADMINQUERY_SORT) != 0;
        bool is_in_range =
                query.limit >= 1 && query.limit <= limit_max && (query.reactor == UINT64_MAX || query.reactor < count);
        bool is_wrongly_sorted =
                is_sorted && ((query.given & ADMINQUERY_FROM) != 0 || !span_equal(query.sort, SPAN("pending")));
        if (!is_read || !is_in_range || is_wrongly_sorted) {
                admin_refuse_query(reactor, admin, request, taken, limit_max);
                return;
        }
        struct question_terms terms = {.from = (uint32_t)query.from, .limit = (uint32_t)query.limit};
        admin_ask(reactor, admin, request,
                  query.reactor != UINT64_MAX ? (uint64_t)1 << query.reactor : UINT64_MAX >> (64 - count),
                  is_sorted ? sorted : kind, &terms);
}

static char *write_losses(struct reactor *reactor, const struct question_terms *terms)
{
        return ledger_write_json(&reactor->ledger, &reactor->lanes.account, reactor->settings.number,
                                 io_now_ns(reactor->io), terms->limit);
}

static char *write_connections(struct reactor *reactor, const struct question_terms *terms)
{
        return connections_write_json(reactor, terms->from, terms->limit);
}

static char *write_pending(struct reactor *reactor, const struct question_terms *terms)
{
        return connections_write_pending(reactor, terms->limit);
}

static char *write_cohorts(struct reactor *reactor, const struct question_terms *terms)
{
        return cohorts_write_json(reactor, terms->limit);
}

static const struct question_kind losses_question = {.write = write_losses},
                                  connections_question = {.write = write_connections},
                                  pending_question = {.write = write_pending},
                                  cohorts_question = {.write = write_cohorts};

static void answer_losses(struct reactor *reactor, struct admin *admin, const struct http_request *request)
{
        admin_ask_rows(reactor, admin, request, 0, 100, LEDGER_ROWS, &losses_question, NULL);
}

static void answer_connections(struct reactor *reactor, struct admin *admin, const struct http_request *request)
{
        admin_ask_rows(reactor, admin, request, ADMINQUERY_FROM | ADMINQUERY_SORT, 100, CONNECTIONS_ROWS_MAX,
                       &connections_question, &pending_question);
}

static void answer_cohorts(struct reactor *reactor, struct admin *admin, const struct http_request *request)
{
        admin_ask_rows(reactor, admin, request, 0, 10, COHORTS_ROWS_MAX, &cohorts_question, NULL);
}

static void answer_explain(struct reactor *reactor, struct admin *admin, const struct http_request *request)
{
        struct question_terms terms;
        char error[EXPLAIN_ERROR_BYTES];
        int status = explain_read(reactor, request->query, &terms, error);
        if (status == 200)
                admin_ask(reactor, admin, request, UINT64_MAX >> (64 - reactor->cores->count), &explain_question,
                          &terms);
        else
                admin_say(reactor, admin, request, status, error);
}

/* ---- what clients of nats-server's monitoring ask for ---- */

static void answer_varz(struct reactor *reactor, struct admin *admin, const struct http_request *request)
{
        admin_give_json(reactor, admin, request, varz_write(reactor));
}

static void answer_subsz(struct reactor *reactor, struct admin *admin, const struct http_request *request)
{
        admin_give_json(reactor, admin, request, varz_write_subsz(reactor));
}

static void answer_routez(struct reactor *reactor, struct admin *admin, const struct http_request *request)
{
        admin_give_json(reactor, admin, request, varz_write_routez(reactor));
}

static void answer_connz(struct reactor *reactor, struct admin *admin, const struct http_request *request)
{
        struct question_terms terms;
        char error[CONNZ_ERROR_BYTES];
        if (connz_read(request->query, &terms, error))
                admin_ask(reactor, admin, request, UINT64_MAX >> (64 - reactor->cores->count), &connz_question, &terms);
        else
                admin_say(reactor, admin, request, 400, error);
}

/* ---- what changes something ---- */

static void answer_reload(struct reactor *reactor, struct admin *admin, const struct http_request *request)
{
        if (reactor->control == NULL || !control_ask_reload(reactor->control, admin->peer.lane.id)) {
                admin_say(reactor, admin, request, 503, "too many ask for that at once; try again\n");
                return;
        }
        admin_wait(reactor, admin, request);
}

static void answer_postmortem(struct reactor *reactor, struct admin *admin, const struct http_request *request)
{
        if (reactor->control == NULL || !control_ask_dump(reactor->control, admin->peer.lane.id)) {
                admin_say(reactor, admin, request, 503, "too many ask for that at once; try again\n");
                return;
        }
        admin_wait(reactor, admin, request);
}

void admin_done(struct reactor *reactor, io_id asker, bool is_done, const char *text)
{
        struct admin *admin = admin_find(reactor, asker);
        if (admin == NULL)
                return;
        admin_end_wait(reactor, admin, is_done ? 200 : 409, text == NULL ? SPAN_NONE : span_of_text(text));
        reactor->must_turn = true; /* between two turns: nothing else would send it */
}

static void answer_drain(struct reactor *reactor, struct admin *admin, const struct http_request *request)
{
        int failed = reactor->control == NULL ? -EOPNOTSUPP : control_ask_drain();
        if (failed != 0)
                admin_say(reactor, admin, request, 500, "the server cannot be asked to end\n");
        else
                admin_answer(reactor, admin, request, 202, "application/json", SPAN("{\"result\":\"draining\"}"));
}

/* ---- which path is which ---- */

static void answer_list(struct reactor *reactor, struct admin *admin, const struct http_request *request);

static const struct admin_page {
        const char *path;
        bool is_post; /* it changes something */
        void (*answer)(struct reactor *reactor, struct admin *admin, const struct http_request *request);
        const char *help;
} pages[] = {
        {"/", false, answer_list, "this list"},
        {"/healthz", false, answer_health, "is it alive"},
        {"/readyz", false, answer_readiness, "may new clients come; verbose"},
        {"/metrics", false, answer_metrics, "for Prometheus"},
        {"/status", false, answer_status, "totals since the start, of all and of each reactor"},
        {"/losses", false, answer_losses, "who did not get what, the newest first; limit=, reactor="},
        {"/connections", false, answer_connections,
         "the account of each; limit=, from=, reactor=, or sort=pending: the furthest behind"},
        {"/cohorts", false, answer_cohorts, "the largest of those that share a stream; limit=, reactor="},
        {"/explain", false, answer_explain, "who gets an event, and why; subject= (percent-encoded), user=, limit="},
        {"/varz", false, answer_varz, "as nats-server's, for nats-top and exporters"},
        {"/connz", false, answer_connz, "the same of the connections; limit=, offset=, sort=, subs=, auth="},
        {"/subsz", false, answer_subsz, "the same of the subscriptions"},
        {"/routez", false, answer_routez, "the same of other servers: there are none"},
        {"/reload", true, answer_reload, "POST: reads configuration and users again, and says what came of it"},
        {"/postmortem", true, answer_postmortem,
         "POST: writes what the reactors did last to a file, and says to which"},
        {"/drain", true, answer_drain, "POST: ends in order, as SIGTERM does"},
};

static size_t write_list(char *text, size_t size, const char *first)
{
        size_t used = (size_t)snprintf(text, size, "%s", first);
        for (size_t i = 0; i < array_count(pages); i++)
                used += (size_t)snprintf(text + used, size - used, "%-14s %s\n", pages[i].path, pages[i].help);
        assert(used < size);
        return used;
}

static void answer_list(struct reactor *reactor, struct admin *admin, const struct http_request *request)
{
        char text[LIST_BYTES];
        size_t size = write_list(text, sizeof text, "spate " SPATE_VERSION "\n\n");
        admin_answer(reactor, admin, request, 200, "text/plain; charset=utf-8", span_of(text, size));
}

/* ---- who may ask ---- */

/* "localhost", "127.0.0.1" and the like, "[::1]", each with a port or without. A web page whose name has been made to
 * point here sends that name. */
static bool is_loopback_host(struct span host)
{
        static const struct span names[] = {{(const uint8_t *)"localhost", 9}, {(const uint8_t *)"[::1]", 5}};
        size_t size = 0;
        for (size_t i = 0; i < array_count(names) && size == 0; i++)
                if (host.size >= names[i].size &&
                    strncasecmp((const char *)host.bytes, (const char *)names[i].bytes, names[i].size) == 0)
                        size = names[i].size;
        if (size == 0 && span_starts_with(host, SPAN("127.")))
                while (size < host.size && (host.bytes[size] == '.' || isdigit(host.bytes[size])))
                        size++;
        if (size == 0)
                return false;
        host = span_skip(host, size);
        if (host.size == 0)
                return true;
        for (size_t i = 1; i < host.size; i++)
                if (!isdigit(host.bytes[i]))
                        return false;
        return host.bytes[0] == ':' && host.size > 1;
}

/* Nobody is asked who he is here, so a browser on this machine must not be talked into asking in somebody's name: not
 * to read (its page would have a name that is not loopback's), and still less to change something (no page can send a
 * header of ours elsewhere than home). A UNIX socket is out of its reach. What is in the way; NULL: nothing. */
static const char *admin_objection(const struct admin *admin, const struct http_request *request)
{
        bool is_unix = strncmp(admin->peer.address, "unix", 4) == 0;
        if (!is_unix && request->host.size > 0 && !is_loopback_host(request->host))
                return "this address answers to the names of loopback only: localhost, 127.0.0.1 or [::1]\n";
        if (!request->is_post)
                return NULL;
        if (!is_unix && request->host.size == 0)
                return "a POST needs a Host\n";
        return span_equal(request->admin, SPAN("yes")) ? NULL : "a POST needs the header Spate-Admin: yes\n";
}

static void admin_request(struct reactor *reactor, struct admin *admin, const struct http_request *request)
{
        char text[LIST_BYTES];
        const char *objection = admin_objection(admin, request);
        const struct admin_page *page = NULL;
        for (size_t i = 0; i < array_count(pages) && page == NULL; i++)
                if (span_equal(request->path, span_of_text(pages[i].path)))
                        page = &pages[i];
        bool is_right = page != NULL && (page->is_post ? request->is_post : request->is_get || request->is_head);
        if (objection != NULL) {
                admin_say(reactor, admin, request, 403, objection);
        } else if (page == NULL) {
                size_t size = write_list(text, sizeof text, "no such path; there are:\n\n");
                admin_answer(reactor, admin, request, 404, "text/plain; charset=utf-8", span_of(text, size));
        } else if (!is_right) {
                admin->allow = page->is_post ? "POST" : "GET, HEAD";
                admin_say(reactor, admin, request, 405,
                          page->is_post ? "only POST here\n" : "only GET and HEAD here\n");
        } else {
                page->answer(reactor, admin, request);
        }
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
