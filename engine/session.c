/* session: the NATS protocol's state and its effects. What bytes mean is io/wire/nats; who wants what is route. See the
 * header. */
#include "engine/session.h"

#include <errno.h>
#include <stdio.h>
#include <xxhash.h>

#include "engine/base/hostport.h"
#include "engine/door.h"
#include "engine/parting.h"
#include "engine/publish.h"
#include "engine/queuegroup.h"
#include "engine/quota.h"
#include "engine/reactor.h"
#include "engine/watermark.h"
#include "io/wire/json.h"

#define FIRST_PING_NS (2 * NS_PER_S) /* after CONNECT, so that a round trip is known early */
#define ERROR_BYTES_MAX 1200

/* ---- what is said to the client ---- */

static void session_say(struct reactor *reactor, struct session *session, struct span operation)
{
        lane_append(&reactor->lanes, &session->peer.lane, operation);
        if (session->peer.lane.spans_count >= LANE_SPANS_CROWDED && !list_is_linked(&session->crowded_link))
                list_push_back(&reactor->crowded, &session->crowded_link);
}

static void session_say_ok(struct reactor *reactor, struct session *session)
{
        if (session->verbose)
                session_say(reactor, session, SPAN("+OK\r\n"));
}

/* -ERR with a subject in it, cut where it is absurdly long. */
static void session_say_violation(struct reactor *reactor, struct session *session, const char *what,
                                  struct span subject)
{
        char text[ERROR_BYTES_MAX];
        int size = snprintf(text, sizeof text, "-ERR 'Permissions Violation for Publish %s \"%.*s\"'\r\n", what,
                            (int)(subject.size > 1024 ? 1024 : subject.size), (const char *)subject.bytes);
        session_say(reactor, session, span_of(text, (size_t)size));
}

static void session_say_subscription_violation(struct reactor *reactor, struct session *session, struct span subject,
                                               struct span queue)
{
        char text[ERROR_BYTES_MAX + 300];
        int size = snprintf(text, sizeof text, "-ERR 'Permissions Violation for Subscription to \"%.*s\"%s%.*s%s'\r\n",
                            (int)(subject.size > 1024 ? 1024 : subject.size), (const char *)subject.bytes,
                            queue.size > 0 ? " using queue \"" : "", (int)(queue.size > 256 ? 256 : queue.size),
                            (const char *)queue.bytes, queue.size > 0 ? "\"" : "");
        reactor_count(reactor, COUNT_SUBSCRIBES_DENIED, 1);
        session_say(reactor, session, span_of(text, (size_t)size));
}

static void session_say_info(struct reactor *reactor, struct session *session)
{
        uint8_t text[2048];
        struct nats_info info = {
                .server_id = span_of_text(reactor->server_id),
                .server_name = span_of_text(reactor->server_name),
                .host = SPAN("0.0.0.0"),
                .client_ip = hostport_of(span_of_text(session->peer.address)).host,
                .port = reactor->listener_ports[session->peer.listener],
                .client_id = session->client_id,
                .payload_bytes_max = reactor->settings.nats.payload_bytes_max,
                .auth_required = reactor->gate != NULL,
                .lame_duck = reactor->is_stopping,
        };
        size_t size = nats_write_info(text, sizeof text, &info);
        assert(size > 0);
        session_say(reactor, session, span_of(text, size));
}

void session_tell_lame_duck(struct reactor *reactor, struct session *session)
{
        if (session->info_updates && session->peer.state == PEER_OPEN)
                session_say_info(reactor, session);
}

void session_refuse(struct reactor *reactor, struct session *session, struct span text, enum counter_id reason)
{
        unsigned suppressed;
        if (session->peer.state != PEER_OPEN)
                return;
        if (log_limit_pass(&reactor->fault_log, io_now_ns(reactor->io), 10, &suppressed)) {
                char quoted[256];
                struct span said = text.size > 2                    ? span_of(text.bytes, text.size - 2)
                                   : reason == COUNT_CLOSED_REFUSED ? SPAN("nothing, too many wait for their login")
                                                                    : SPAN("malformed arguments");
                log_info("session_refused", "address=%s said=%s suppressed=%u", session->peer.address,
                         log_quote(quoted, sizeof quoted, said), suppressed);
        }
        if (text.size > 0)
                session_say(reactor, session, text);
        peer_finish(reactor, &session->peer, reason);
}

/* ---- time ---- */

void session_arm(struct reactor *reactor, struct session *session)
{
        uint64_t next_ns = session->ping_ns, login_ns = login_next_ns(&session->login);
        if (login_ns < next_ns)
                next_ns = login_ns;
        if (session->handshake_ns != 0 && session->handshake_ns < next_ns)
                next_ns = session->handshake_ns;
        if (session->quiet_ns != 0 && session->quiet_ns < next_ns)
                next_ns = session->quiet_ns;
        if (pace_next_ns(&session->pace) < next_ns)
                next_ns = pace_next_ns(&session->pace);
        if (tempo_next_ns(&session->tempo) < next_ns)
                next_ns = tempo_next_ns(&session->tempo);
        if (session->peer.state == PEER_OPEN && session->peer.timer.deadline_ns != next_ns)
                timer_set(&reactor->wheel, &session->peer.timer, next_ns);
}

/* The interval, 20 % more or less, so that ten thousand clients that came together are not asked together. */
static uint64_t session_ping_interval_ns(struct reactor *reactor)
{
        uint64_t base = reactor->settings.ping_interval_ns;
        return base - base / 5 + random_below(&reactor->random, base * 2 / 5 + 1);
}

static void session_tick_ping(struct reactor *reactor, struct session *session, uint64_t now)
{
        uint64_t interval = session_ping_interval_ns(reactor);
        session->ping_ns = now + interval;
        if (session->peer.holds != 0) {
                session->pings_out = 0; /* whom we do not listen to is not silent */
                return;
        }
        if (session->has_round_trip && now - session->input_ns < interval) {
                session->ping_ns = session->input_ns + interval;
                return;
        }
        if (session->pings_out >= reactor->settings.pings_out_max) {
                session_refuse(reactor, session, SPAN("-ERR 'Stale Connection'\r\n"), COUNT_CLOSED_STALE);
                return;
        }
        session->pings_out++;
        session_say(reactor, session, SPAN("PING\r\n"));
}

/* ---- the shared set ---- */

/* What a (pattern, sid, lag policy) row adds to the key of a set. Sums do not care in which order they were made. */
static void session_key_of(const struct reactor *reactor, const struct subscription *subscription, uint64_t *low,
                           uint64_t *high)
{
        struct span sid = subscription_sid(subscription);
        uint64_t row = (uint64_t)subscription->route->serial * LAG_POLICIES + subscription->policy;
        XXH128_hash_t hash = XXH3_128bits_withSeed(sid.bytes, sid.size, reactor->routes.hash_seed + row);
        *low = hash.low64;
        *high = hash.high64;
}

/* Adds a shareable subscription to the key, or takes it out. */
static void session_key_change(struct reactor *reactor, struct session *session,
                               const struct subscription *subscription, bool add)
{
        uint64_t low, high;
        session_key_of(reactor, subscription, &low, &high);
        session->key_low += add ? low : 0 - low;
        session->key_high += add ? high : 0 - high;
        session->shareable_count += add ? 1 : UINT32_MAX;
}

/* Out of the cohort; back in, or into another, when the set has been quiet for a while. */
static void session_set_changed(struct reactor *reactor, struct session *session)
{
        registry_leave(reactor, session);
        bool may_share = session->shareable_count >= 1 && session->shareable_count <= REGISTRY_SUBSCRIPTIONS_MAX &&
                         (!session->is_private || session->is_crowded);
        session->quiet_ns = may_share ? io_now_ns(reactor->io) + reactor->settings.quiet_ns : 0;
        session_arm(reactor, session);
}

static void session_tick_quiet(struct reactor *reactor, struct session *session, uint64_t now)
{
        session->quiet_ns = 0;
        if (session->asks_count > 0) {
                session->quiet_ns = now + reactor->settings.quiet_ns; /* who waits for its patterns is found by them */
                return;
        }
        if (session->is_crowded) {
                if (!lane_is_drained(&session->peer.lane)) {
                        session->quiet_ns = now + reactor->settings.quiet_ns;
                        return;
                }
                session->is_crowded = false;
                session->is_private = false;
        }
        /* A lane that was cut in this turn takes nothing more; its session goes at the end of the turn. */
        bool may_share = session->cohort == NULL && !session->is_private && !session->peer.lane.is_cut;
        if (may_share && !registry_enter(reactor, session))
                session->quiet_ns = now + reactor->settings.quiet_ns + 1;
}

void sessions_part_crowded(struct reactor *reactor)
{
        list_for_each(&reactor->crowded, link)
        {
                struct session *session = list_entry(link, struct session, crowded_link);
                list_remove(&session->crowded_link);
                if (session->cohort == NULL || session->cohort->waiting != NULL || session->is_private)
                        continue;
                session->is_private = true;
                session->is_crowded = true;
                session_set_changed(reactor, session);
        }
}

/* ---- delivering ---- */

static bool session_encode(struct reactor *reactor, struct session *session, struct span sid, const struct event *event,
                           uint32_t flags)
{
        const struct wire_codec *codec = &wire_codecs[session->headers ? WIRE_NATS : WIRE_NATS_PLAIN];
        uint8_t *room = lane_reserve(&reactor->lanes, &session->peer.lane, codec->bound(event, sid), flags);
        if (room == NULL)
                return false;
        lane_commit(&reactor->lanes, &session->peer.lane, codec->write(room, event, sid), flags);
        reactor_count(reactor, COUNT_PRIVATE_APPENDS, 1);
        if (session->peer.lane.spans_count >= LANE_SPANS_CROWDED && !list_is_linked(&session->crowded_link))
                list_push_back(&reactor->crowded, &session->crowded_link);
        return true;
}

static struct span subscription_queue(const struct subscription *subscription)
{
        const struct queue_group *group = subscription->group;
        return group == NULL ? SPAN_NONE : span_of(group->name, group->name_bytes);
}

bool session_may_have(const struct session *session, const struct subscription *subscription, const struct event *event)
{
        return likely(session->filter == NULL) ||
               permissions_may_deliver(session->filter, event->subject, subscription_queue(subscription));
}

bool session_deliver(struct reactor *reactor, struct subscription *subscription, const struct event *event)
{
        struct session *session = subscription->session;
        if (unlikely(session->is_parting))
                return false;
        if (unlikely(!session_may_have(session, subscription, event)) && !subscription->is_expired &&
            !session->peer.lane.is_cut && !session->peer.lane.ended) {
                lane_refuse(&reactor->lanes, &session->peer.lane, LOSS_NO_PERMISSION);
                reactor->routes.deliveries_count++;
                return false;
        }
        if (subscription->is_expired || !session_encode(reactor, subscription->session, subscription_sid(subscription),
                                                        event, STREAM_EVENT | stream_lag_flags(subscription->policy)))
                return false;
        subscription->delivered++;
        if (subscription->max != 0 && subscription->delivered >= subscription->max) {
                subscription->is_expired = true;
                list_remove(&subscription->route_link);
                list_push_back(&reactor->routes.expired, &subscription->route_link);
        }
        return true;
}

void session_no_responders(struct reactor *reactor, struct session *session, const struct event *event)
{
        struct subscription *subscription = publish_find_for_reply(reactor, session, event->reply);
        struct event answer = {.subject = event->reply, .headers = SPAN("NATS/1.0 503\r\n\r\n")};
        if (subscription == NULL || !session_may_have(session, subscription, &answer))
                return;
        session_encode(reactor, session, subscription_sid(subscription), &answer, STREAM_REPLY);
        reactor_count(reactor, COUNT_NO_RESPONDERS, 1);
}

/* ---- operations ---- */

/* The name is for people only: cut where it is long, as it came where it cannot be read. */
/* What it says of itself, for people: cut where it is too long. */
static void session_take_text(char *out, size_t out_size, struct span said)
{
        uint8_t text[4 * LEDGER_NAME_BYTES];
        ssize_t size = said.size <= sizeof text ? json_unescape(said, text, sizeof text) : -EMSGSIZE;
        if (size >= 0)
                said = span_of(text, (size_t)size);
        snprintf(out, out_size, "%.*s", (int)said.size, (const char *)said.bytes);
}

/* false: it waits, and is to be taken again. */
static bool session_connect(struct reactor *reactor, struct session *session, const struct nats_operation *operation)
{
        struct nats_connect connect;
        enum login_step step = LOGIN_IS_IN;
        if (nats_parse_connect(operation->argument, &connect) != 0) {
                session_refuse(reactor, session, SPAN_NONE, COUNT_CLOSED_PROTOCOL);
        } else if (connect.has_account) {
                session_refuse(reactor, session, SPAN("-ERR 'Authorization Violation'\r\n"), COUNT_CLOSED_UNAUTHORIZED);
        } else if (connect.nkey.size > 0 || connect.jwt.size > 0) {
                session_refuse(
                        reactor, session,
                        SPAN("-ERR 'Authorization Violation - nkey and JWT are not supported by this server'\r\n"),
                        COUNT_CLOSED_UNAUTHORIZED);
        } else if (connect.tls_required) {
                session_refuse(reactor, session, SPAN("-ERR 'TLS is not supported by this server'\r\n"),
                               COUNT_CLOSED_UNAUTHORIZED);
        } else if ((step = login_connect(reactor, session, &connect)) != LOGIN_IS_IN) {
                return step != LOGIN_IS_HELD;
        } else if (connect.protocol < 0 || connect.protocol > 1) {
                session_refuse(reactor, session, SPAN("-ERR 'invalid client protocol'\r\n"), COUNT_CLOSED_PROTOCOL);
        } else if (connect.no_responders && !connect.headers) {
                session_refuse(reactor, session, SPAN("-ERR 'no responders requires headers support'\r\n"),
                               COUNT_CLOSED_PROTOCOL);
        } else {
                bool is_same_format = session->headers == connect.headers;
                session->verbose = connect.verbose;
                session->pedantic = connect.pedantic;
                session->echo = connect.echo;
                session->headers = connect.headers;
                session->no_responders = connect.no_responders;
                session_take_text(session->name, sizeof session->name, connect.name);
                session_take_text(session->lang, sizeof session->lang, connect.lang);
                session_take_text(session->version, sizeof session->version, connect.version);
                session->info_updates = connect.protocol >= 1;
                if (!is_same_format) {
                        /* The format is a part of the key: 1 << 63 stands for "with headers". */
                        session->key_high ^= (uint64_t)1 << 63;
                        session_set_changed(reactor, session);
                }
                session->ping_ns = io_now_ns(reactor->io) + FIRST_PING_NS;
                session_arm(reactor, session);
                session_say_ok(reactor, session);
        }
        return true;
}

#define CONNECTION_IS_FULL (-EUSERS) /* --max-subscriptions */

/* Which limit was in the way; the counters stand in the order of these. */
static const struct subscription_limit {
        int error;
        enum counter_id counter;
        const char *option;
} subscription_limits[] = {
        {CONNECTION_IS_FULL, COUNT_SUBSCRIPTIONS_OVER_CONNECTION, "--max-subscriptions"},
        {-ENOSPC, COUNT_SUBSCRIPTIONS_OVER_ALL, "--max-patterns"},
        {QUOTA_PATTERNS, COUNT_SUBSCRIPTIONS_OVER_USER, "--max-user-patterns"},
        {QUOTA_SHAPES, COUNT_SUBSCRIPTIONS_OVER_SHAPES, "--max-user-shapes"},
};

static void session_log_limit(struct reactor *reactor, const struct session *session, const char *option)
{
        char quoted[USER_NAME_BYTES_MAX];
        unsigned suppressed;
        if (!log_limit_pass(&reactor->quota_log, io_now_ns(reactor->io), 10, &suppressed))
                return;
        log_info("subscription_refused", "address=%s user=%s option=%s suppressed=%u", session->peer.address,
                 log_quote(quoted, sizeof quoted, session->login.user == NULL ? SPAN_NONE : session->login.user->name),
                 option, suppressed);
}

static void session_refuse_subscription(struct reactor *reactor, struct session *session, int error)
{
        reactor_count(reactor, COUNT_SUBSCRIPTIONS_REFUSED, 1);
        for (size_t i = 0; i < array_count(subscription_limits); i++) {
                if (subscription_limits[i].error != error)
                        continue;
                reactor_count(reactor, subscription_limits[i].counter, 1);
                session_log_limit(reactor, session, subscription_limits[i].option);
        }
        if (error == -EINVAL || error == -E2BIG)
                session_say(reactor, session, SPAN("-ERR 'Invalid Subject'\r\n"));
        else if (error == QUOTA_SHAPES)
                session_say(reactor, session,
                            SPAN("-ERR 'maximum subscriptions exceeded - too many positions of wildcards'\r\n"));
        else
                session_say(reactor, session, SPAN("-ERR 'maximum subscriptions exceeded'\r\n"));
}

/* What may be skipped of the events of a connection that goes on. */
static const enum loss lag_reasons[] = {LOSS_LAG_SKIP, LOSS_CONFLATED, LOSS_MEMORY_SHED};

static void session_tell_lag(struct reactor *reactor, struct session *session)
{
        const struct account *account = &session->peer.lane.account;
        struct event event = {.subject = SPAN(SESSION_LAG_SUBJECT)};
        char text[160];
        /* What was told before may have been skipped as well, and nothing else with it: the sums are told again. */
        bool has_lost_news = session->peer.lane.has_lost_news;
        session->peer.lane.has_lost_news = false;
        if (session->lag_subscription == NULL || session->peer.state != PEER_OPEN)
                return;
        for (size_t i = 0; i < array_count(lag_reasons); i++) {
                uint64_t total = account->dropped[lag_reasons[i]], skipped = total - session->lag_told[i];
                if (skipped == 0 && (!has_lost_news || total == 0))
                        continue;
                session->lag_told[i] = total;
                int size = snprintf(text, sizeof text,
                                    "{\"type\":\"lagged\",\"skipped\":%llu,\"reason\":\"%s\",\"total\":%llu}",
                                    (unsigned long long)skipped, loss_name(lag_reasons[i]), (unsigned long long)total);
                event.payload = span_of(text, (size_t)size);
                /* A reply, which no account has; and should the client lag on, no reason to cut it. */
                session_encode(reactor, session, subscription_sid(session->lag_subscription), &event,
                               STREAM_REPLY | stream_lag_flags(LAG_DROP_OLDEST));
        }
}

void sessions_tell_lag(struct reactor *reactor)
{
        for (struct lane *lane; (lane = lanes_take_news(&reactor->lanes)) != NULL;) {
                struct peer *peer = container_of(lane, struct peer, lane);
                if (peer->protocol == &session_protocol)
                        session_tell_lag(reactor, session_of(peer));
        }
}

/* Decides what becomes of the subscription's events when its client lags. Before anything is keyed by it. */
static void session_resolve_lag(struct reactor *reactor, struct session *session, struct subscription *subscription,
                                struct span subject)
{
        const struct reactor_settings *settings = &reactor->settings;
        if (settings->lag == NULL)
                return;
        if (span_equal(subject, SPAN(SESSION_LAG_SUBJECT)) && subscription->group == NULL) {
                session->lag_subscription = subscription;
                for (size_t i = 0; i < array_count(lag_reasons); i++)
                        session->lag_told[i] = session->peer.lane.account.dropped[lag_reasons[i]];
                return; /* told by us, whatever rules there are; it should not make the lane less patient */
        }
        struct lag lag = lag_resolve(
                settings->lag, settings->lag_policies[reactor->listener_numbers[session->peer.listener]], subject);
        subscription->policy = (uint8_t)lag.policy;
        lane_set_lag(&reactor->lanes, &session->peer.lane, lag);
}

static void session_subscribe(struct reactor *reactor, struct session *session, const struct nats_operation *operation)
{
        struct subscription *subscription;
        uint32_t max = reactor->settings.subscriptions_max;
        if (!permissions_may_subscribe(session->permissions, operation->subject, operation->queue)) {
                session_say_subscription_violation(reactor, session, operation->subject, operation->queue);
                return;
        }
        int error = max != 0 && session->subscriptions_count >= max
                            ? CONNECTION_IS_FULL
                            : route_subscribe(reactor, session, operation->subject, operation->queue, operation->sid,
                                              &subscription);
        if (error == -EEXIST) {
                session_say_ok(reactor, session); /* the first one stands; nats-server says nothing of it either */
                return;
        }
        if (error != 0) {
                session_refuse_subscription(reactor, session, error);
                return;
        }
        flight_tell(&reactor->flight, FLIGHT_SUBSCRIBED, session->input_ns, session->client_id,
                    session->subscriptions_count, 0);
        session_resolve_lag(reactor, session, subscription, operation->subject);
        if (registry_can_share(subscription, operation->subject)) {
                session_key_change(reactor, session, subscription, true);
                session_set_changed(reactor, session);
        }
        if (subscription->route->id != PATTERN_NONE) {
                session_say_ok(reactor, session);
        } else {
                session->asks_count++;
                peer_hold(reactor, &session->peer, PEER_HELD_SUBSCRIBE);
        }
}

/* The subscription is about to go, or to become private for good. */
static void session_withdraw(struct reactor *reactor, struct session *session, struct subscription *subscription)
{
        if (!registry_can_share(subscription, route_text(subscription->route)))
                return;
        session_key_change(reactor, session, subscription, false);
        session_set_changed(reactor, session);
}

/* One of the subscriptions that the session waits for is no longer among them. */
static void session_ask_ended(struct reactor *reactor, struct session *session)
{
        assert(session->asks_count > 0);
        if (--session->asks_count == 0)
                peer_release(reactor, &session->peer, PEER_HELD_SUBSCRIBE);
}

void session_subscribed(struct reactor *reactor, struct subscription *subscription, int error)
{
        struct session *session = subscription->session;
        session_ask_ended(reactor, session);
        if (session->is_parting) { /* nobody is there to be told, nor waits for it */
                if (error != 0)
                        route_unsubscribe(reactor, subscription);
                return;
        }
        if (error == 0) {
                session_say_ok(reactor, session);
                return;
        }
        session_refuse_subscription(reactor, session, error);
        session_withdraw(reactor, session, subscription);
        route_unsubscribe(reactor, subscription);
}

void session_forget(struct reactor *reactor, struct session *session, struct subscription *subscription)
{
        if (subscription->route->id == PATTERN_NONE)
                session_ask_ended(reactor, session);
        route_unsubscribe(reactor, subscription);
}

static void session_unsubscribe(struct reactor *reactor, struct session *session,
                                const struct nats_operation *operation)
{
        struct subscription *subscription = route_find_sid(&reactor->routes, session, operation->sid);
        flight_tell(&reactor->flight, FLIGHT_UNSUBSCRIBED, session->input_ns, session->client_id,
                    session->subscriptions_count, 0);
        if (subscription != NULL) {
                session_withdraw(reactor, session, subscription);
                if (operation->max > subscription_delivered(subscription))
                        subscription->max = operation->max;
                else
                        session_forget(reactor, session, subscription);
        }
        session_say_ok(reactor, session);
}

/* What the set of permissions adds to the key of the set of subscriptions: who may see different events shares none. */
static void session_key_change_filter(const struct reactor *reactor, struct session *session, bool add)
{
        if (session->filter == NULL)
                return;
        uint32_t id = permissions_id(session->filter);
        XXH128_hash_t hash = XXH3_128bits_withSeed(&id, sizeof id, reactor->routes.hash_seed - 1);
        session->key_low += add ? hash.low64 : 0 - hash.low64;
        session->key_high += add ? hash.high64 : 0 - hash.high64;
}

/* What it has counts for another. */
static void session_move_usage(struct reactor *reactor, struct session *session, struct usage *usage)
{
        if (session->usage == usage)
                return;
        list_for_each(&session->subscriptions, link)
                quota_give(reactor, session, list_entry(link, struct subscription, session_link)->route);
        session->usage = usage;
        /* Where there is no memory it has more than is counted. */
        list_for_each(&session->subscriptions, link)
                quota_take(reactor, session, list_entry(link, struct subscription, session_link)->route);
}

void session_become(struct reactor *reactor, struct session *session, const struct user *user)
{
        const struct permissions *permissions = user->permissions;
        session->login.user = user;
        session_move_usage(reactor, session, user->usage);
        if (session->permissions == permissions)
                return;
        session_key_change_filter(reactor, session, false);
        list_for_each(&session->subscriptions, link)
                route_hide(reactor, list_entry(link, struct subscription, session_link));
        session->permissions = permissions;
        session->filter = permissions_filter(permissions) ? permissions : NULL;
        session->limits_publish = permissions_limit_publish(permissions);
        session->permitted_bytes = 0;
        session_key_change_filter(reactor, session, true);
        session_set_changed(reactor, session);
        list_for_each(&session->subscriptions, link)
        {
                struct subscription *subscription = list_entry(link, struct subscription, session_link);
                struct span subject = route_text(subscription->route), queue = subscription_queue(subscription);
                bool is_visible = subscription->route->id != PATTERN_NONE;
                if (permissions_may_subscribe(permissions, subject, queue) &&
                    (!is_visible || route_show(reactor, subscription) == 0))
                        continue;
                session_say_subscription_violation(reactor, session, subject, queue);
                session_withdraw(reactor, session, subscription);
                session_forget(reactor, session, subscription);
        }
}

static bool session_has_prefix(struct span subject, struct span prefix)
{
        return subject.size > prefix.size && span_starts_with(subject, prefix);
}

/* Asked of the session's permissions, unless it is the subject of last time. */
static bool session_may_publish(struct session *session, struct span subject)
{
        if (span_equal(span_of(session->permitted, session->permitted_bytes), subject) && subject.size > 0)
                return true;
        if (!permissions_may_publish(session->permissions, subject))
                return false;
        session->permitted_bytes = subject.size <= sizeof session->permitted ? (uint8_t)subject.size : 0;
        span_copy(session->permitted, span_of(subject.bytes, session->permitted_bytes));
        return true;
}

enum session_refusal { NOT_REFUSED, SUBJECT_REFUSED, REPLY_REFUSED, PERMISSION_REFUSED };

/* Subjects that nats-server keeps to itself, those in which we speak to a client alone ($SPATE.), and those past our
 * bounds. */
enum session_subject session_judge_subject(struct span subject)
{
        bool is_reserved = (subject.bytes[0] == '_' && session_has_prefix(subject, SPAN("_GR_."))) ||
                           (subject.bytes[0] == '$' && (session_has_prefix(subject, SPAN("$GNR.")) ||
                                                        session_has_prefix(subject, SPAN("$SPATE."))));
        if (unlikely(is_reserved))
                return SESSION_SUBJECT_RESERVED;
        if (likely(subject.size < 2 * MATCH_TOKENS_MAX))
                return SESSION_SUBJECT_TAKEN;
        size_t tokens_count = 1;
        for (size_t i = 0; i < subject.size && i < MATCH_SUBJECT_BYTES_MAX; i++)
                tokens_count += subject.bytes[i] == '.';
        if (subject.size > MATCH_SUBJECT_BYTES_MAX)
                return SESSION_SUBJECT_LONG;
        return tokens_count > MATCH_TOKENS_MAX ? SESSION_SUBJECT_DEEP : SESSION_SUBJECT_TAKEN;
}

/* Also those that the user may not publish to: told, never silently lost. */
static enum session_refusal session_refusal_of(struct session *session, const struct event *event)
{
        struct span subject = event->subject, reply = event->reply;
        if (unlikely(session_judge_subject(subject) != SESSION_SUBJECT_TAKEN))
                return SUBJECT_REFUSED;
        if (unlikely(session->limits_publish) && !session_may_publish(session, subject))
                return PERMISSION_REFUSED;
        if (reply.size > 0 && (session_has_prefix(reply, SPAN("_R_.")) || session_has_prefix(reply, SPAN("$JS.ACK.")) ||
                               session_has_prefix(reply, SPAN("_GR_."))))
                return REPLY_REFUSED;
        return NOT_REFUSED;
}

static void session_refuse_event(struct reactor *reactor, struct session *session, const struct event *event,
                                 enum session_refusal refusal)
{
        if (session->pedantic && !nats_subject_is_literal(event->subject))
                session_say(reactor, session, SPAN("-ERR 'Invalid Publish Subject'\r\n"));
        if (refusal == REPLY_REFUSED)
                session_say_violation(reactor, session, "with Reply of", event->reply);
        else
                session_say_violation(reactor, session, "to", event->subject);
        reactor_count(reactor, refusal == PERMISSION_REFUSED ? COUNT_PUBLISHES_DENIED : COUNT_EVENTS_REFUSED, 1);
}

/* Events wait here until there are enough for the matcher, or until something else has to happen first. */
struct session_batch {
        size_t events_count;
        struct event events[MATCH_BATCH_MAX];
        size_t begins[MATCH_BATCH_MAX]; /* of each event's operation in the input */
        size_t held_at;                 /* where the first one begins that was held */
};

/* How many were published: of as many as may be now. If none has kept them from it but the tempo, it holds the rest. */
static size_t session_publish_in_tempo(struct reactor *reactor, struct session *session,
                                       const struct session_batch *batch)
{
        const struct reactor_settings *settings = &reactor->settings;
        if (likely(settings->publish_rate == 0 && settings->publish_bytes == 0))
                return publish_events(reactor, session, batch->events, batch->events_count);
        size_t allowed = tempo_allows(reactor, session, batch->events, batch->events_count);
        size_t published = allowed == 0 ? 0 : publish_events(reactor, session, batch->events, allowed);
        tempo_take(reactor, session, batch->events, published);
        if (published == allowed && allowed < batch->events_count)
                tempo_hold(reactor, session);
        return published;
}

/* true: all are published. false: the session is held, and batch->held_at tells from where it goes on. */
static bool session_publish(struct reactor *reactor, struct session *session, struct session_batch *batch)
{
        if (batch->events_count == 0)
                return true;
        if (unlikely(!session->echo && !session->is_private)) {
                session->is_private =
                        true; /* its own events must pass it by, so it cannot share a stream that has them */
                session_set_changed(reactor, session);
        }
        size_t published = session_publish_in_tempo(reactor, session, batch);
        size_t held_count = batch->events_count - published;
        batch->events_count = 0;
        session->is_ok_said = false;
        if (likely(held_count == 0))
                return true;
        batch->held_at = batch->begins[published];
        session->is_ok_said = session->verbose || session->pedantic; /* such events come one by one */
        for (size_t i = published; i < published + held_count; i++) {
                session->received_events--; /* they will be counted when they come again */
                session->received_bytes -= batch->events[i].headers.size + batch->events[i].payload.size;
        }
        return false;
}

/* As session_publish(). */
static bool session_take_event(struct reactor *reactor, struct session *session, struct session_batch *batch,
                               const struct event *event, size_t begin)
{
        enum session_refusal refusal = session_refusal_of(session, event);
        if (unlikely(refusal != NOT_REFUSED)) {
                /* Those in front of it first: if they are held, this one comes again with them, and is told only then.
                 */
                if (!session_publish(reactor, session, batch))
                        return false;
                session_refuse_event(reactor, session, event, refusal);
        }
        session->received_events++;
        session->received_bytes += event->headers.size + event->payload.size;
        if (unlikely(refusal != NOT_REFUSED))
                return true;
        batch->begins[batch->events_count] = begin;
        batch->events[batch->events_count++] = *event;
        if (likely(batch->events_count < MATCH_BATCH_MAX && !session->verbose && !session->pedantic))
                return true;
        if (!session->is_ok_said) {
                if (session->pedantic && !nats_subject_is_literal(event->subject))
                        session_say(reactor, session, SPAN("-ERR 'Invalid Publish Subject'\r\n"));
                /* In front of the event itself, where the client has subscribed to it. */
                session_say_ok(reactor, session);
        }
        return session_publish(reactor, session, batch);
}

/* false: it waits, and is to be taken again. */
static bool session_operate(struct reactor *reactor, struct session *session, const struct nats_operation *operation)
{
        switch (operation->kind) {
        case NATS_CONNECT:
                return session_connect(reactor, session, operation);
        case NATS_SUB:
                if (!pace_allows(reactor, session, true))
                        return false;
                session_subscribe(reactor, session, operation);
                break;
        case NATS_UNSUB:
                if (!pace_allows(reactor, session, false))
                        return false;
                session_unsubscribe(reactor, session, operation);
                break;
        case NATS_PING:
                session_say(reactor, session, SPAN("PONG\r\n"));
                break;
        case NATS_PONG:
                session->pings_out = 0;
                session->has_round_trip = true;
                break;
        case NATS_ERR:
                session_refuse(reactor, session, SPAN_NONE, COUNT_CLOSED_PROTOCOL);
                break;
        case NATS_INFO:
        case NATS_OK:
        case NATS_PUB:
                break;
        }
        return true;
}

/* Consecutive SUBs and UNSUBs travel together while the first of them waits; a verbose client wants its answers one by
 * one. */
static bool session_may_go_on(const struct reactor *reactor, const struct session *session, enum nats_kind kind)
{
        uint8_t holds = session->peer.holds;
        return holds == 0 || (holds == PEER_HELD_SUBSCRIBE && !session->verbose &&
                              (kind == NATS_SUB || kind == NATS_UNSUB) && session->asks_count < pace_asks_max(reactor));
}

static size_t session_take(struct reactor *reactor, struct peer *peer, struct span in, bool one, size_t *needed)
{
        struct session *session = session_of(peer);
        struct session_batch batch = {.events_count = 0};
        struct nats_limits limits = reactor->settings.nats;
        struct nats_operation operation;
        size_t taken = 0;
        bool is_held = false;
        uint64_t events_before = session->received_events, bytes_before = session->received_bytes;
        session->input_ns = io_now_ns(reactor->io);
        while (taken < in.size && peer->state == PEER_OPEN && !is_held) {
                limits.headers = session->headers;
                if (unlikely(!login_may_say(&session->login, in.bytes[taken]))) {
                        session_refuse(reactor, session, SPAN("-ERR 'Authorization Violation'\r\n"),
                                       COUNT_CLOSED_UNAUTHORIZED);
                        break;
                }
                ssize_t size = nats_decode(span_skip(in, taken), &limits, &operation);
                if (unlikely(peer->holds != 0) && (size <= 0 || !session_may_go_on(reactor, session, operation.kind)))
                        break; /* a fault, too, is told in its turn */
                if (size <= 0) {
                        is_held = !session_publish(reactor, session, &batch);
                        if (is_held)
                                break;
                        if (size < 0)
                                session_refuse(reactor, session, nats_fault_reply(operation.fault),
                                               COUNT_CLOSED_PROTOCOL);
                        else
                                *needed = operation.needed;
                        break;
                }
                if (likely(operation.kind == NATS_PUB)) {
                        is_held = !session_take_event(reactor, session, &batch, &operation.event, taken);
                } else {
                        is_held = !session_publish(reactor, session, &batch);
                        if (!is_held && unlikely(!session_operate(reactor, session, &operation))) {
                                is_held = true;
                                batch.held_at = taken;
                        }
                }
                taken += (size_t)size;
                if (one)
                        break;
        }
        is_held = is_held || !session_publish(reactor, session, &batch);
        if (unlikely(is_held))
                taken = batch.held_at;
        sessions_part_crowded(reactor);
        if (taken > 0 && session->handshake_ns != 0) {
                session->handshake_ns = 0;
                session_arm(reactor, session);
        }
        reactor_count(reactor, COUNT_EVENTS_RECEIVED, session->received_events - events_before);
        reactor_count(reactor, COUNT_EVENT_BYTES_RECEIVED, session->received_bytes - bytes_before);
        return taken;
}

/* ---- its life ---- */

static void session_opened(struct reactor *reactor, struct peer *peer)
{
        struct session *session = session_of(peer);
        uint64_t now = io_now_ns(reactor->io);
        list_init(&session->subscriptions);
        list_init(&session->crowded_link);
        list_init(&session->parting_link);
        pace_init(&session->pace);
        session->client_id = peer->number = ++reactor->next_client_id;
        session->verbose = true; /* the protocol's defaults before CONNECT */
        session->pedantic = true;
        session->echo = true;
        session->handshake_ns = now + reactor->settings.handshake_ns;
        session->ping_ns = now + reactor->settings.ping_interval_ns;
        login_opened(reactor, session);
        if (reactor->watermark >= WATERMARK_CLOSED || !door_enter(reactor, peer)) {
                session_refuse(reactor, session, SPAN("-ERR 'maximum connections exceeded'\r\n"), COUNT_CLOSED_REFUSED);
                return;
        }
        session_say_info(reactor, session);
        session_arm(reactor, session);
}

static void session_ticked(struct reactor *reactor, struct peer *peer)
{
        struct session *session = session_of(peer);
        uint64_t now = io_now_ns(reactor->io);
        if (session->handshake_ns != 0 && peer->holds != 0)
                session->handshake_ns = now + reactor->settings.handshake_ns;
        if (session->handshake_ns != 0 && now >= session->handshake_ns) {
                session_refuse(reactor, session, SPAN("-ERR 'Authentication Timeout'\r\n"), COUNT_CLOSED_HANDSHAKE);
                return;
        }
        if (!login_tick(reactor, session, now))
                return;
        if (session->quiet_ns != 0 && now >= session->quiet_ns)
                session_tick_quiet(reactor, session, now);
        pace_tick(reactor, session, now);
        tempo_tick(reactor, session, now);
        if (now >= session->ping_ns)
                session_tick_ping(reactor, session, now);
        session_arm(reactor, session);
}

static void session_ended(struct reactor *reactor, struct peer *peer)
{
        struct session *session = session_of(peer);
        list_remove(&session->crowded_link);
        registry_leave(reactor, session);
        login_ended(reactor, session);
        pace_ended(&session->pace);
        /* These may go before the connection has. */
        session->permissions = session->filter = NULL;
        parting_begin(reactor, session);
}

static bool session_stays(const struct peer *peer)
{
        return container_of((struct peer *)(uintptr_t)peer, struct session, peer)->is_parting;
}

static void session_describe(const struct peer *peer, struct peer_description *description)
{
        const struct session *session = container_of((struct peer *)(uintptr_t)peer, struct session, peer);
        *description = (struct peer_description){
                .reader = {.connection = session->client_id,
                           .protocol = peer->protocol->name,
                           .address = peer->address,
                           .user = session->login.user == NULL ? "" : (const char *)session->login.user->name.bytes,
                           .name = session->name},
                .subscriptions_count = session->subscriptions_count,
                .format = session->headers ? WIRE_NATS : WIRE_NATS_PLAIN,
        };
}

/* Only before the login is there a limit. */
static void session_overfull(struct reactor *reactor, struct peer *peer)
{
        session_refuse(reactor, session_of(peer), SPAN("-ERR 'maximum bytes before login exceeded'\r\n"),
                       COUNT_CLOSED_REFUSED);
}

const struct peer_protocol session_protocol = {
        .name = "nats",
        .bytes = sizeof(struct session),
        .opened = session_opened,
        .take = session_take,
        .ticked = session_ticked,
        .overfull = session_overfull,
        .ended = session_ended,
        .describe = session_describe,
        .stays = session_stays,
};
