/* login: see the header. */
#include "engine/login.h"

#include "engine/base/bits.h"
#include "engine/reactor.h"
#include "io/wire/json.h"

#define VIOLATION SPAN("-ERR 'Authorization Violation'\r\n")
#define RECHECK_STEP 4096 /* connections that one turn asks who they are: well below a millisecond */
#define TOKEN_BYTES_MAX 4096

void login_opened(struct reactor *reactor, struct session *session)
{
        list_init(&session->login.wait_link);
        if (reactor->gate == NULL)
                return;
        session->login.state = LOGIN_AWAITED;
        session->login.deadline_ns = io_now_ns(reactor->io) + reactor->settings.auth_timeout_ns;
        /* Room for the longest CONNECT that the operator wants, in a block, whose size is a power of two. */
        size_t line_bytes = (size_t)1 << bits_log2_ceil(reactor->settings.nats.control_line_bytes_max + 64);
        session->peer.kept_bytes_max = line_bytes > LOGIN_KEPT_BYTES_MAX ? line_bytes : LOGIN_KEPT_BYTES_MAX;
}

static void login_wait_no_more(struct reactor *reactor, struct session *session)
{
        if (!list_is_linked(&session->login.wait_link))
                return;
        list_remove(&session->login.wait_link);
        reactor->logins_waiting_count--;
}

void login_ended(struct reactor *reactor, struct session *session)
{
        login_wait_no_more(reactor, session);
}

uint64_t login_next_ns(const struct login *login)
{
        uint64_t next_ns = login->deadline_ns != 0 ? login->deadline_ns : UINT64_MAX;
        return login->refuse_ns != 0 && login->refuse_ns < next_ns ? login->refuse_ns : next_ns;
}

bool login_tick(struct reactor *reactor, struct session *session, uint64_t now_ns)
{
        const struct login *login = &session->login;
        bool is_late = login->deadline_ns != 0 && now_ns >= login->deadline_ns;
        if (login->refuse_ns != 0 && (is_late || now_ns >= login->refuse_ns))
                session_refuse(reactor, session, VIOLATION, COUNT_CLOSED_UNAUTHORIZED);
        else if (is_late)
                session_refuse(reactor, session, SPAN("-ERR 'Authentication Timeout'\r\n"), COUNT_CLOSED_HANDSHAKE);
        return session->peer.state == PEER_OPEN;
}

static void login_granted(struct reactor *reactor, struct session *session, const struct user *user)
{
        session->login.deadline_ns = 0;
        session->peer.kept_bytes_max = 0;
        session_become(reactor, session, user);
        session_arm(reactor, session);
}

/* Which --listen it came by. */
static unsigned login_listener(const struct reactor *reactor, const struct session *session)
{
        return reactor->listener_numbers[session->peer.listener];
}

/* Undoes the escapes of a JSON string; one that does not fit is handed on as it is: it is too long to be right. */
static struct span login_text(struct span raw, uint8_t *room, size_t room_bytes)
{
        ssize_t size = json_unescape(raw, room, room_bytes);
        return size < 0 ? raw : span_of(room, (size_t)size);
}

static enum auth_verdict login_ask(struct reactor *reactor, struct session *session, const struct nats_connect *connect,
                                   const struct user **user)
{
        uint8_t room[2][USER_NAME_BYTES_MAX], token[TOKEN_BYTES_MAX];
        struct auth_attempt attempt = {.tag = session->peer.lane.id,
                                       .listener = login_listener(reactor, session),
                                       .source = source_of(span_of_text(session->peer.address)),
                                       .user = login_text(connect->user, room[0], sizeof room[0]),
                                       .password = login_text(connect->pass, room[1], sizeof room[1]),
                                       .token = login_text(connect->auth_token, token, sizeof token)};
        enum auth_verdict verdict = auth_ask(reactor->gate, &attempt, user);
        explicit_bzero(room, sizeof room);
        explicit_bzero(token, connect->auth_token.size < sizeof token ? connect->auth_token.size : sizeof token);
        return verdict;
}

/* Too many ask at once, and this one may be right: it is closed without a word, so that its client comes again. */
static void login_turn_away(struct reactor *reactor, struct session *session)
{
        reactor_count(reactor, COUNT_LOGINS_BUSY, 1);
        session_refuse(reactor, session, SPAN_NONE, COUNT_CLOSED_REFUSED);
}

/* Held in front of its CONNECT, until the answer is there or it may ask. */
static enum login_step login_hold(struct reactor *reactor, struct session *session, enum login_state state)
{
        struct login *login = &session->login;
        login->state = (uint8_t)state;
        if (login->deadline_ns == 0)
                login->deadline_ns = io_now_ns(reactor->io) + reactor->settings.auth_timeout_ns;
        peer_hold(reactor, &session->peer, PEER_HELD_LOGIN);
        session_arm(reactor, session);
        return LOGIN_IS_HELD;
}

/* Refused at the gate is only who gives no name; who gives one is logged by who tries it. */
static void login_log_anonymous(struct reactor *reactor, const struct session *session)
{
        unsigned suppressed;
        if (log_limit_pass(&reactor->fault_log, io_now_ns(reactor->io), 10, &suppressed))
                log_info("login_refused", "user=\"\" cause=no_credentials source=%s suppressed=%u",
                         session->peer.address, suppressed);
}

enum login_step login_connect(struct reactor *reactor, struct session *session, const struct nats_connect *connect)
{
        struct login *login = &session->login;
        const struct user *user;
        if (login->state == LOGIN_NOT_NEEDED)
                return LOGIN_IS_IN;
        if (login->state == LOGIN_GRANTED) {
                login->state = LOGIN_DONE;
                return LOGIN_IS_IN;
        }
        switch (login_ask(reactor, session, connect, &user)) {
        case AUTH_GRANTED:
                reactor_count(reactor, COUNT_LOGINS_GRANTED, 1);
                login->state = LOGIN_DONE;
                login_granted(reactor, session, user);
                return LOGIN_IS_IN;
        case AUTH_PENDING:
                return login_hold(reactor, session, LOGIN_ASKED);
        case AUTH_BUSY:
                if (reactor->logins_waiting_count < LOGINS_WAITING_MAX) {
                        list_push_back(&reactor->logins_waiting, &login->wait_link);
                        reactor->logins_waiting_count++;
                        return login_hold(reactor, session, LOGIN_WAITS);
                }
                login_turn_away(reactor, session);
                return LOGIN_IS_OUT;
        case AUTH_REFUSED:
                reactor_count(reactor, COUNT_LOGINS_REFUSED, 1);
                login_log_anonymous(reactor, session);
                session_refuse(reactor, session, VIOLATION, COUNT_CLOSED_UNAUTHORIZED);
                return LOGIN_IS_OUT;
        }
        assert(false);
        return LOGIN_IS_OUT;
}

static void login_answered(struct reactor *reactor, const struct auth_event *event)
{
        struct peer *peer = reactor_find(reactor, event->tag);
        reactor_count(reactor, event->verdict == AUTH_GRANTED ? COUNT_LOGINS_GRANTED : COUNT_LOGINS_REFUSED,
                      event->verdict != AUTH_BUSY);
        if (peer == NULL || peer->protocol != &session_protocol || peer->state != PEER_OPEN ||
            session_of(peer)->login.state != LOGIN_ASKED)
                return; /* gone meanwhile */
        struct session *session = session_of(peer);
        if (event->verdict == AUTH_GRANTED) {
                session->login.state = LOGIN_GRANTED;
                login_granted(reactor, session, event->user);
                peer_release(reactor, peer, PEER_HELD_LOGIN);
        } else if (event->verdict == AUTH_BUSY) {
                login_turn_away(reactor, session);
        } else if (event->delay_ns == 0) {
                session_refuse(reactor, session, VIOLATION, COUNT_CLOSED_UNAUTHORIZED);
        } else {
                /* Held until it is told: who guesses has to wait. */
                session->login.refuse_ns = io_now_ns(reactor->io) + event->delay_ns;
                session_arm(reactor, session);
        }
}

/* The users have changed: is the session still who it was? */
static void login_recheck(struct reactor *reactor, struct session *session)
{
        if (session->login.user == NULL)
                return;
        if (session->peer.state != PEER_OPEN) {
                /* It is going, and has a user for the ledger only. */
                session->login.user = users_find_any(auth_users(reactor->gate), session->login.user->name);
                return;
        }
        const struct user *user = auth_still(reactor->gate, session->login.user, login_listener(reactor, session));
        if (user != NULL)
                session_become(reactor, session, user);
        else
                session_refuse(reactor, session, SPAN("-ERR 'User Authentication Revoked'\r\n"),
                               COUNT_CLOSED_UNAUTHORIZED);
        /* What is lost on the way out is lost by that name, while there is one. */
        if (user == NULL)
                session->login.user = users_find_any(auth_users(reactor->gate), session->login.user->name);
}

/* As many as may: those that are known by now leave their place to the next, in the next turn. */
static void logins_let_ask(struct reactor *reactor)
{
        for (unsigned left = auth_asks_left(reactor->gate); left > 0 && !list_is_empty(&reactor->logins_waiting);
             left--) {
                struct login *login = list_entry(reactor->logins_waiting.next, struct login, wait_link);
                struct session *session = container_of(login, struct session, login);
                login_wait_no_more(reactor, session);
                peer_release(reactor, &session->peer, PEER_HELD_LOGIN);
        }
        reactor->may_let_ask = !list_is_empty(&reactor->logins_waiting) && auth_asks_left(reactor->gate) > 0;
}

bool logins_must_turn(const struct reactor *reactor)
{
        return reactor->is_rechecking &&
               (reactor->recheck_next < reactor->by_index_count || reactor->partings_done >= reactor->recheck_partings);
}

void logins_take(struct reactor *reactor)
{
        struct auth_event event;
        while (auth_take(reactor->gate, &event)) {
                if (event.kind == AUTH_ANSWER) {
                        login_answered(reactor, &event);
                } else {
                        reactor->is_rechecking = true;
                        reactor->recheck_next = 0;
                        reactor->recheck_partings = UINT64_MAX;
                }
        }
        logins_let_ask(reactor);
        if (!reactor->is_rechecking)
                return;
        for (int i = 0; i < RECHECK_STEP && reactor->recheck_next < reactor->by_index_count; i++) {
                struct peer *peer = reactor->by_index[reactor->recheck_next++];
                if (peer != NULL && peer->protocol == &session_protocol)
                        login_recheck(reactor, session_of(peer));
        }
        if (reactor->recheck_next < reactor->by_index_count)
                return;
        /* The others see the permissions of those who have ended until the last of their subscriptions is gone. */
        if (reactor->recheck_partings == UINT64_MAX)
                reactor->recheck_partings = reactor->partings_begun;
        reactor->is_rechecking = reactor->partings_done < reactor->recheck_partings;
        if (!reactor->is_rechecking)
                auth_adopted(reactor->gate);
}
