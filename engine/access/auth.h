/* auth: who may come in. Reactors ask at their gates, one worker thread tries passwords, and nobody waits for it.
 *
 *      reactor 0  gate ──asks──▶ ┌────────┐
 *                      ◀─answers─│ worker │  users (published images), bcrypt, failures by source
 *      reactor 1  gate ──asks──▶ │        │
 *                      ◀─answers─└────────┘
 *
 * A gate is a pair of rings (base/ring) between its reactor and the worker, so there is no lock. A password that was
 * right before is known at the gate itself and costs a hash of it: a storm of clients that come again costs no bcrypt.
 *
 * A reload is the worker's work, too: it reads the file, and where it is sound hands a new image to every gate. The old
 * one is freed when every reactor has said that it holds nothing of it (auth_adopted). */
#ifndef SPATE_ENGINE_ACCESS_AUTH_H
#define SPATE_ENGINE_ACCESS_AUTH_H

#include "engine/access/sources.h"
#include "engine/access/users.h"

#define AUTH_ASKS_MAX 1024         /* attempts of one reactor at a time */
#define AUTH_PASSWORD_BYTES_MAX 72 /* bcrypt sees no more: what lies behind would not be compared */

struct auth;
struct auth_gate;

/* Reads the users, on the worker's thread (at first on auth_new()'s). 0, or -errno with one line in `error`. */
typedef int auth_load(void *context, const struct users_context *users_context, struct users **users,
                      char error[OPTIONS_ERROR_BYTES]);

struct auth_settings {
        const char *path; /* of the users file; borrowed for as long as auth lives. Not looked at with `load` */
        auth_load *load;  /* NULL: reads the file at `path` */
        void *load_context;
        const char *const *listeners;
        size_t listeners_count;
        unsigned reactors_count;
        uint64_t timeout_ns; /* an attempt that has waited so long is not tried any more */
        uint32_t ban_after;  /* failures of a source within a minute; 0: never */
        uint64_t ban_ns;
        uint64_t (*now_ns)(void); /* NULL: the monotonic clock */
        bool is_inline; /* no thread: auth_work() does what it would, for tests and simulations on one thread */
};

/* 0, or -errno with one line in `error`: loads the users and starts the worker. Before reactors are pinned to cores,
 * because the worker is not to share theirs. */
int auth_new(struct auth **auth, const struct auth_settings *settings, char error[OPTIONS_ERROR_BYTES]);
/* Ends the worker, which wakes reactors while it lives: before the first of them is freed, by the first one's thread,
 * while no other turns. What it has said stays. Accepts NULL. */
void auth_stop(struct auth *auth);
/* Every reactor is done with its gate. Accepts NULL. */
void auth_free(struct auth *auth);
/* Reads the users again, and with them whatever else `load` reads. The first reactor's thread. What comes of it is
 * logged. */
void auth_reload(struct auth *auth);
/* One is under way. Where auth_reload() is called. */
bool auth_is_reloading(const struct auth *auth);
/* is_inline: does what is there to do. */
void auth_work(struct auth *auth);

/* Other limits than those of the beginning; on the worker's thread, in `load`. */
void auth_change_bans(struct auth *auth, uint32_t ban_after, uint64_t ban_ns);

struct auth_gate *auth_gate(struct auth *auth, unsigned reactor);
/* Says how the worker wakes the reactor, from its own thread; before any reactor runs. */
void auth_gate_open(struct auth_gate *gate, void (*wake)(void *context), void *context);

/* ---- the gate's own reactor ---- */

/* Another settings.timeout_ns for what is asked from now on. */
void auth_change_timeout(struct auth_gate *gate, uint64_t timeout_ns);

enum auth_verdict {
        AUTH_GRANTED,
        AUTH_REFUSED,
        AUTH_BUSY,   /* too many attempts wait, or this one has waited for too long: it says nothing of the password */
        AUTH_PENDING /* the answer comes with auth_take() */
};

struct auth_attempt {
        uint64_t tag; /* comes back with the answer */
        unsigned listener;
        struct source source;
        struct span user, password, token; /* not given: empty. With a user the token is not looked at */
};

/* Spans are borrowed during the call. *user is set where the verdict is AUTH_GRANTED. */
enum auth_verdict auth_ask(struct auth_gate *gate, const struct auth_attempt *attempt, const struct user **user);

struct auth_event {
        enum { AUTH_ANSWER, AUTH_NEW_USERS } kind;
        uint64_t tag;
        enum auth_verdict verdict;
        const struct user *user;
        uint64_t delay_ns; /* a refusal is to be told only after this: who guesses has to wait */
};

/* Once a turn, until false. After AUTH_NEW_USERS auth_users() is the new image; the old one stays until auth_adopted().
 */
bool auth_take(struct auth_gate *gate, struct auth_event *event);
/* How many attempts may be asked before AUTH_BUSY. */
unsigned auth_asks_left(const struct auth_gate *gate);
/* This reactor holds no user or permissions of the image before. Once for each AUTH_NEW_USERS. */
void auth_adopted(struct auth_gate *gate);
const struct users *auth_users(const struct auth_gate *gate);
/* May a user that came in by an image before stay: is he there, with the same secret, and allowed at this listener?
 * Returns who he is now, or NULL. */
const struct user *auth_still(const struct auth_gate *gate, const struct user *before, unsigned listener);
/* Is who comes from there to be turned away? */
bool auth_is_banned(const struct auth_gate *gate, struct source source);

#endif
