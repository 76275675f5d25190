/* login: a session's way in where users are asked for: who it is, from its CONNECT on, and until somebody takes that
 * away.
 *
 *      AWAITED ──CONNECT──▶ ASKED ──granted──▶ GRANTED ──CONNECT again──▶ DONE
 *         │   └──known at the gate──────────────────────────────────────▶ │
 *         └─ anything but CONNECT, refused, too late: told, and closed    └─ CONNECT: asked anew
 *
 * While ASKED the peer is held in front of its CONNECT, which is taken again when the answer is there. While too many
 * others ask, it is held in the same way (WAITS) until it may: clients that come again all at once, with the same
 * password, are let in as soon as the first of them is. Belongs to the session. */
#ifndef SPATE_ENGINE_LOGIN_H
#define SPATE_ENGINE_LOGIN_H

#include "engine/access/auth.h"
#include "engine/base/list.h"
#include "io/wire/nats.h"

struct reactor;
struct session;

enum login_state {
        LOGIN_NOT_NEEDED, /* there are no users */
        LOGIN_AWAITED,
        LOGIN_WAITS,
        LOGIN_ASKED,
        LOGIN_GRANTED,
        LOGIN_DONE
};

/* Memory for what an unauthenticated connection has sent and that waits: its CONNECT, and what follows at once. */
#define LOGIN_KEPT_BYTES_MAX 8192
#define LOGINS_WAITING_MAX 16384 /* of one reactor; beyond, they are closed at once */

struct login {
        uint8_t state;         /* enum login_state */
        struct list wait_link; /* in reactor->logins_waiting */
        uint64_t deadline_ns;  /* by then it must be in; 0: it is */
        uint64_t refuse_ns;    /* when it is told that it was refused; 0: it was not */
        const struct user *user;
};

enum login_step { LOGIN_IS_IN, LOGIN_IS_HELD, LOGIN_IS_OUT };

void login_opened(struct reactor *reactor, struct session *session);
void login_ended(struct reactor *reactor, struct session *session);
/* CONNECT came. LOGIN_IS_HELD: it is to be taken again; LOGIN_IS_OUT: the session has been told, and ends. */
enum login_step login_connect(struct reactor *reactor, struct session *session, const struct nats_connect *connect);
/* When login_tick() wants to be called, UINT64_MAX: never. */
uint64_t login_next_ns(const struct login *login);
/* false: the session has ended. */
bool login_tick(struct reactor *reactor, struct session *session, uint64_t now_ns);

/* May the next operation, which begins with this byte, be looked at? Nothing but CONNECT comes before a login. */
static inline bool login_may_say(const struct login *login, uint8_t byte)
{
        return likely(login->state != LOGIN_AWAITED) || byte == 'C' || byte == 'c';
}

/* Takes up what the worker has answered, and asks a part of the sessions who they are after the users have changed.
 * Once a turn. */
void logins_take(struct reactor *reactor);
/* It has something to do now: no sleep. While it waits for the parting, those see to it. */
bool logins_must_turn(const struct reactor *reactor);

#endif
