/* connz: each reactor writes its rows as lines that begin with what they are ordered by, the best first; whoever asked
 * merges the lines. See the header. */
#include "engine/admin/connz.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/admin/jsontext.h"
#include "engine/admin/natstext.h"
#include "engine/base/hostport.h"
#include "engine/base/best.h"
#include "engine/base/memstream.h"
#include "engine/queuegroup.h"

#define SCORE_DIGITS 20

enum { DETAIL_SUBJECTS = 1, DETAIL_SUBSCRIPTIONS = 2, DETAIL_USER = 4 };

/* ---- orders: what is highest comes first ---- */

static uint64_t by_cid(const struct session *session)
{
        return UINT64_MAX - session->client_id;
}

static uint64_t by_start(const struct session *session)
{
        return UINT64_MAX - session->peer.opened_ns;
}

static uint64_t by_subs(const struct session *session)
{
        return session->subscriptions_count;
}

static uint64_t by_pending(const struct session *session)
{
        return lane_pending_bytes(&session->peer.lane);
}

static uint64_t sent_events(const struct session *session)
{
        struct account account;
        uint64_t pending;
        lane_account(&session->peer.lane, &account, &pending);
        return account.released;
}

static uint64_t received_events(const struct session *session)
{
        return session->received_events;
}

static uint64_t sent_bytes(const struct session *session)
{
        return lane_sent_bytes(&session->peer.lane);
}

static uint64_t received_bytes(const struct session *session)
{
        return session->received_bytes;
}

static uint64_t by_last(const struct session *session)
{
        return session->input_ns;
}

static uint64_t by_idle(const struct session *session)
{
        return UINT64_MAX - session->input_ns;
}

#define ORDER_CID 0
static const struct {
        const char *name;
        uint64_t (*score)(const struct session *session);
} orders[] = {[ORDER_CID] = {"cid", by_cid},
              {"start", by_start},
              {"subs", by_subs},
              {"pending", by_pending},
              {"msgs_to", sent_events},
              {"msgs_from", received_events},
              {"bytes_to", sent_bytes},
              {"bytes_from", received_bytes},
              {"last", by_last},
              {"idle", by_idle},
              {"uptime", by_start}};

/* ---- what is asked ---- */

bool connz_read(struct span query, struct question_terms *terms, char error[CONNZ_ERROR_BYTES])
{
        struct adminquery read = {.limit = CONNZ_ROWS_MAX, .sort = SPAN("cid"), .state = SPAN("open")};
        const unsigned taken = ADMINQUERY_LIMIT | ADMINQUERY_OFFSET | ADMINQUERY_SORT | ADMINQUERY_SUBS |
                               ADMINQUERY_AUTH | ADMINQUERY_STATE;
        if (!adminquery_read(query, taken, &read)) {
                snprintf(error, CONNZ_ERROR_BYTES,
                         "the query may hold limit=N, offset=N, sort=ORDER, subs=true or subs=detail, auth=true and "
                         "state=open\n");
                return false;
        }
        size_t order = 0;
        while (order < array_count(orders) && !span_equal(read.sort, span_of_text(orders[order].name)))
                order++;
        if (order == array_count(orders)) {
                snprintf(error, CONNZ_ERROR_BYTES,
                         "no such order; sort= may be cid, start, subs, pending, msgs_to, msgs_from, bytes_to, "
                         "bytes_from, last, idle or uptime\n");
                return false;
        }
        if (!span_equal(read.state, SPAN("open"))) {
                snprintf(error, CONNZ_ERROR_BYTES, "only state=open: closed connections are not kept; see /losses\n");
                return false;
        }
        if (read.limit == 0 || read.limit > CONNZ_ROWS_MAX)
                read.limit = CONNZ_ROWS_MAX;
        if (order != ORDER_CID && read.offset + read.limit > CONNZ_ROWS_MAX) {
                if (read.offset >= CONNZ_ROWS_MAX || (read.given & ADMINQUERY_LIMIT) != 0) {
                        snprintf(error, CONNZ_ERROR_BYTES,
                                 "offset and limit are at most %d together, other than with sort=cid\n",
                                 CONNZ_ROWS_MAX);
                        return false;
                }
                read.limit = CONNZ_ROWS_MAX - read.offset;
        }
        bool has_detail = span_equal(read.subs, SPAN("detail"));
        bool has_subjects = span_equal(read.subs, SPAN("true")) || span_equal(read.subs, SPAN("1"));
        bool has_user = span_equal(read.auth, SPAN("true")) || span_equal(read.auth, SPAN("1"));
        *terms = (struct question_terms){.from = (uint32_t)read.offset,
                                         .limit = (uint32_t)read.limit,
                                         .order = (uint8_t)order,
                                         .detail = (uint8_t)((has_detail ? DETAIL_SUBSCRIPTIONS : 0) |
                                                             (has_subjects ? DETAIL_SUBJECTS : 0) |
                                                             (has_user ? DETAIL_USER : 0))};
        return true;
}

/* ---- one row ---- */

#define ROW_BYTES 64 /* of a subscription, besides its subject */

/* One reactor's answer. */
struct listing {
        FILE *out;
        size_t left_bytes; /* for lists of subscriptions */
};

static size_t list_bytes(const struct reactor *reactor)
{
        size_t part = CONNZ_LISTS_BYTES / reactor->cores->count;
        return part < CONNZ_LIST_BYTES ? part : CONNZ_LIST_BYTES;
}

static void write_text(FILE *out, const char *name, struct span text)
{
        if (name != NULL)
                fprintf(out, ",\"%s\":", name);
        json_t *json = jsontext_string(text, false);
        if (json == NULL || json_dumpf(json, out, JSON_ENCODE_ANY) != 0)
                fputs("\"\"", out);
        json_decref(json);
}

static void write_address(FILE *out, const char *address)
{
        struct hostport parts = hostport_of(span_of_text(address));
        write_text(out, "ip", parts.host);
        fprintf(out, ",\"port\":%u", parts.port);
}

/* May one more be listed, the `count`th of its connection? Takes what it is about to cost. */
static bool list_goes_on(struct listing *listing, const struct subscription *subscription, unsigned count)
{
        size_t bytes = ROW_BYTES + route_text(subscription->route).size;
        if (count == CONNZ_SUBJECTS_MAX || listing->left_bytes < bytes)
                return false;
        listing->left_bytes -= bytes;
        return true;
}

static void write_subjects(struct listing *listing, const struct session *session)
{
        unsigned count = 0;
        FILE *out = listing->out;
        fputs(",\"subscriptions_list\":[", out);
        list_for_each(&session->subscriptions, link)
        {
                const struct subscription *subscription = list_entry(link, struct subscription, session_link);
                if (!list_goes_on(listing, subscription, count))
                        break;
                fputs(count++ > 0 ? "," : "", out);
                write_text(out, NULL, route_text(subscription->route));
        }
        fputc(']', out);
}

static void write_subscriptions(struct listing *listing, const struct session *session)
{
        unsigned count = 0;
        FILE *out = listing->out;
        fputs(",\"subscriptions_list_detail\":[", out);
        list_for_each(&session->subscriptions, link)
        {
                const struct subscription *subscription = list_entry(link, struct subscription, session_link);
                if (!list_goes_on(listing, subscription, count))
                        break;
                fputs(count++ > 0 ? ",{\"subject\":" : "{\"subject\":", out);
                write_text(out, NULL, route_text(subscription->route));
                if (subscription->group != NULL)
                        write_text(out, "qgroup", span_of(subscription->group->name, subscription->group->name_bytes));
                write_text(out, "sid", subscription_sid(subscription));
                fprintf(out, ",\"msgs\":%" PRIu64, subscription_delivered(subscription));
                if (subscription->max > 0)
                        fprintf(out, ",\"max\":%" PRIu64, subscription->max);
                fprintf(out, ",\"cid\":%" PRIu64 "}", session->client_id);
        }
        fputc(']', out);
}

static void write_row(struct listing *listing, const struct reactor *reactor, const struct session *session,
                      unsigned detail)
{
        FILE *out = listing->out;
        char start[NATSTEXT_BYTES], last[NATSTEXT_BYTES], uptime[NATSTEXT_BYTES], idle[NATSTEXT_BYTES];
        uint64_t now_ns = io_now_ns(reactor->io), unix_ns = clock_read_ns(CLOCK_REALTIME);
        uint64_t open_ns = now_ns - session->peer.opened_ns, idle_ns = now_ns - session->input_ns;
        fprintf(out, "{\"cid\":%" PRIu64 ",\"kind\":\"Client\",\"type\":\"nats\"", session->client_id);
        write_address(out, session->peer.address);
        fprintf(out, ",\"start\":\"%s\",\"last_activity\":\"%s\",\"uptime\":\"%s\",\"idle\":\"%s\"",
                natstext_time(start, unix_ns - open_ns), natstext_time(last, unix_ns - idle_ns),
                natstext_duration(uptime, open_ns), natstext_duration(idle, idle_ns));
        fprintf(out,
                ",\"pending_bytes\":%" PRIu64 ",\"in_msgs\":%" PRIu64 ",\"out_msgs\":%" PRIu64 ",\"in_bytes\":%" PRIu64
                ",\"out_bytes\":%" PRIu64 ",\"subscriptions\":%u",
                lane_pending_bytes(&session->peer.lane), session->received_events, sent_events(session),
                session->received_bytes, sent_bytes(session), session->subscriptions_count);
        if (session->name[0] != '\0')
                write_text(out, "name", span_of_text(session->name));
        if (session->lang[0] != '\0')
                write_text(out, "lang", span_of_text(session->lang));
        if (session->version[0] != '\0')
                write_text(out, "version", span_of_text(session->version));
        if ((detail & DETAIL_USER) != 0 && session->login.user != NULL)
                write_text(out, "authorized_user", session->login.user->name);
        if ((detail & DETAIL_SUBJECTS) != 0 && session->subscriptions_count > 0)
                write_subjects(listing, session);
        if ((detail & DETAIL_SUBSCRIPTIONS) != 0 && session->subscriptions_count > 0)
                write_subscriptions(listing, session);
        fputs("}\n", out);
}

/* ---- the rows of one reactor ---- */

/* How many of the rows before terms->from are this reactor's own: in the order of cids, those of the reactors below
 * come first. In other orders any of ours may be among those that are told. */
static uint64_t own_from(const struct reactor *reactor, const struct question_terms *terms)
{
        uint64_t before = 0;
        for (unsigned i = 0; i < reactor->settings.number; i++)
                before += counter_read(&reactor->cores->core[i].reactor->counters, COUNT_CLIENTS);
        return terms->order != ORDER_CID || terms->from < before ? 0 : terms->from - before;
}

/* A step per client, of about 35 ns: measured with 9000. */
static void offer_all(struct best *best, const struct reactor *reactor, unsigned order)
{
        uint32_t left = reactor->clients_count;
        for (uint32_t i = 0; i < reactor->by_index_count && left > 0; i++) {
                struct peer *peer = reactor->by_index[i];
                if (peer == NULL || !peer->is_client)
                        continue;
                left--;
                if (peer->protocol != &session_protocol)
                        continue;
                const struct session *session = session_of(peer);
                best_offer(best, orders[order].score(session), session);
        }
}

static char *connz_write(struct reactor *reactor, const struct question_terms *terms)
{
        uint64_t from = own_from(reactor, terms);
        uint64_t rows_max = from + terms->limit + (terms->order == ORDER_CID ? 0 : terms->from);
        struct best best;
        struct memstream stream;
        if (rows_max > reactor->clients_count)
                rows_max = reactor->clients_count;
        struct best_row *rows = calloc(rows_max + 1, sizeof *rows);
        if (rows == NULL || memstream_open(&stream) != 0) {
                free(rows);
                return NULL;
        }
        FILE *out = stream.out;
        struct listing listing = {.out = out, .left_bytes = list_bytes(reactor)};
        best_init(&best, rows, rows_max + 1);
        offer_all(&best, reactor, terms->order);
        best_sort(&best);
        for (uint64_t i = from; i < best.count && i < rows_max; i++) {
                fprintf(out, "%0*" PRIu64, SCORE_DIGITS, rows[i].score);
                write_row(&listing, reactor, rows[i].what, terms->detail);
        }
        free(rows);
        return memstream_close(&stream, NULL);
}

/* ---- all together ---- */

/* The line that is to come next, of those that are left: the highest score, and of equal ones the first. */
static unsigned next_line(const char *const *lines, unsigned count)
{
        unsigned best = count;
        for (unsigned i = 0; i < count; i++)
                if (*lines[i] != '\0' && (best == count || memcmp(lines[i], lines[best], SCORE_DIGITS) > 0))
                        best = i;
        return best;
}

static char *connz_join(struct reactor *reactor, const struct question_terms *terms, char *const *answers,
                        unsigned answers_count)
{
        const char *lines[MATCH_REACTORS_MAX];
        struct memstream stream;
        char *rows, *text = NULL, now[NATSTEXT_BYTES];
        uint32_t count = 0, skip = terms->order == ORDER_CID ? 0 : terms->from;
        if (memstream_open(&stream) != 0)
                return NULL;
        for (unsigned i = 0; i < answers_count; i++)
                lines[i] = answers[i];
        for (unsigned i; count < terms->limit && (i = next_line(lines, answers_count)) < answers_count;) {
                const char *end = strchr(lines[i], '\n');
                if (skip > 0) {
                        skip--;
                } else {
                        fputs(count++ > 0 ? "," : "", stream.out);
                        fwrite(lines[i] + SCORE_DIGITS, 1, (size_t)(end - lines[i]) - SCORE_DIGITS, stream.out);
                }
                lines[i] = end + 1;
        }
        rows = memstream_close(&stream, NULL);
        if (rows == NULL)
                return NULL;
        natstext_time(now, clock_read_ns(CLOCK_REALTIME));
        if (memstream_open(&stream) == 0) {
                fprintf(stream.out,
                        "{\"server_id\":\"%s\",\"now\":\"%s\",\"num_connections\":%u,\"total\":%" PRIu64
                        ",\"offset\":%u,\"limit\":%u,\"connections\":[%s]}\n",
                        reactor->server_id, now, count, reactor_sum(reactor, COUNT_CLIENTS), terms->from, terms->limit,
                        rows);
                text = memstream_close(&stream, NULL);
        }
        free(rows);
        return text;
}

const struct question_kind connz_question = {.write = connz_write, .join = connz_join};
