/* auth: gates, the worker, and what each remembers.
 *
 * Whose is what: a gate's rings are shared as ring.h says; its users, cache and bans belong to its reactor. All else
 * belongs to the worker, which alone sees every failure, and so is the one to say who is kept out.
 *
 * The worker looks through all rings between any two passwords: what needs no bcrypt is answered at once, and of the
 * rest those first whose source has not been wrong lately. See the header. */
#include "engine/access/auth.h"

#include <crypt.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "engine/access/credentials.h"
#include "engine/base/faults.h"
#include "engine/base/list.h"
#include "engine/base/log.h"
#include "engine/base/ring.h"

#define ASK_SLOTS 2048 /* AUTH_ASKS_MAX and the few messages of a gate itself */
#define ANSWER_SLOTS 4096
#define BANS_TOLD_MAX 256 /* while so many answers wait, a gate is not told of bans: it learns of them when it asks */
#define GATE_CACHE 4096
#define WORKER_CACHE 32768
#define GATE_SOURCES 4096
#define WORKER_SOURCES 16384
#define FAILURE_KEPT_NS (5 * NS_PER_S) /* the same wrong password again is not tried again so soon */
#define SUSPECTS_OF_A_SOURCE 4         /* so many of its attempts wait; more are closed untried */
#define REFUSALS_LOGGED_PER_SECOND 10
#define WORKER_NICE 5 /* who comes in waits; who is in does not */

static_assert(ASK_SLOTS > AUTH_ASKS_MAX + 8, "a message of the gate itself always fits");
static_assert(ANSWER_SLOTS > AUTH_ASKS_MAX + BANS_TOLD_MAX + 8, "an answer always fits");

enum message_kind {
        MESSAGE_ATTEMPT,
        MESSAGE_ADOPTED, /* to the worker; embedded in the gate */
        MESSAGE_RELOAD,
        MESSAGE_STOP,
        MESSAGE_USERS, /* to a gate; embedded there */
        MESSAGE_RELOADED,
        MESSAGE_BAN,
};

struct message {
        struct list link; /* among the worker's waiting */
        enum message_kind kind;
        enum auth_verdict verdict;
        struct auth_gate *gate;
        uint64_t tag;
        uint64_t deadline_ns; /* of an attempt; a ban: its end */
        uint64_t delay_ns;
        struct source source;
        unsigned listener;
        bool is_token;
        bool is_hopeless; /* no password can be like this one */
        const struct user *user;
        const struct users *users;
        struct credentials_digest digest; /* of what was granted */
        size_t name_size, secret_size;
        uint8_t *text; /* name, secret and a NUL; behind the message itself */
};

struct auth_gate {
        struct auth *auth;
        struct ring asks, answers;
        struct ck_ring_buffer ask_slots[ASK_SLOTS], answer_slots[ANSWER_SLOTS];
        void (*wake)(void *context);
        void *context;
        /* The reactor's. */
        const struct users *users;
        uint64_t generation;
        uint64_t timeout_ns;
        struct credentials cache;
        struct sources bans;
        unsigned asks_count; /* attempts that are not answered yet */
        bool is_reloading, reloads_again;
        struct message adopted_message, reload_message, stop_message;
        /* The worker's until they are pushed. */
        struct message users_message, reloaded_message;
};

struct auth {
        struct auth_settings settings;
        uint8_t key[CREDENTIALS_KEY_BYTES];
        int bell; /* an eventfd: the worker sleeps on it */
        pthread_t thread;
        bool has_thread;
        /* The worker's. */
        struct permission_sets sets;
        struct users *users, *users_before;
        uint64_t generation;
        unsigned adoptions_missing;
        bool reload_waits, is_stopped;
        struct list fresh, suspect; /* attempts that need bcrypt */
        struct credentials granted, refused;
        struct sources sources;
        struct log_limit ban_log, refused_log;
        struct crypt_data crypt;
        unsigned gates_count;
        struct auth_gate gates[];
};

static uint64_t auth_now_ns(const struct auth *auth)
{
        return auth->settings.now_ns != NULL ? auth->settings.now_ns() : clock_monotonic_ns();
}

static struct span message_name(const struct message *message)
{
        return span_of(message->text, message->name_size);
}

static struct span message_secret(const struct message *message)
{
        return span_of(message->text + message->name_size, message->secret_size);
}

static void message_wipe(struct message *message)
{
        if (message->text != NULL)
                sodium_memzero(message->text, message->name_size + message->secret_size);
}

static void message_free(struct message *message)
{
        message_wipe(message);
        free(message);
}

/* What stands for the stored hash in a digest of a token: which image it was looked up in. */
static struct span generation_span(const uint64_t *generation)
{
        return span_of(generation, sizeof *generation);
}

static bool user_may_enter(const struct user *user, unsigned listener)
{
        assert(listener < 32);
        return user->listeners >> listener & 1;
}

/* ---- the worker: answers ---- */

static void gate_tell(struct auth_gate *gate, struct message *message)
{
        bool is_pushed = ring_push(&gate->answers, message);
        assert(is_pushed); /* see the assertion on ANSWER_SLOTS */
        (void)is_pushed;
        if (gate->wake != NULL)
                gate->wake(gate->context);
}

static void gate_tell_ban(struct auth_gate *gate, struct source source, uint64_t until_ns)
{
        if (ring_count(&gate->answers) >= AUTH_ASKS_MAX + BANS_TOLD_MAX)
                return;
        struct message *message = calloc(1, sizeof *message);
        if (message == NULL)
                return;
        message->kind = MESSAGE_BAN;
        message->source = source;
        message->deadline_ns = until_ns;
        gate_tell(gate, message);
}

static void worker_answer(struct message *message, enum auth_verdict verdict, const struct user *user)
{
        message_wipe(message);
        message->verdict = verdict;
        message->user = user;
        gate_tell(message->gate, message);
}

/* Who was refused and why, for the operator; the client hears the same whatever it was. Not the secret. */
static void worker_log_refused(struct auth *auth, const struct message *message, const char *cause)
{
        char name[96], source[64];
        unsigned suppressed;
        if (!log_limit_pass(&auth->refused_log, auth_now_ns(auth), REFUSALS_LOGGED_PER_SECOND, &suppressed))
                return;
        log_info("login_refused", "user=%s cause=%s source=%s listener=%s suppressed=%u",
                 message->is_token ? "\"(token)\"" : log_quote(name, sizeof name, message_name(message)), cause,
                 source_text(message->source, source, sizeof source),
                 message->listener < auth->settings.listeners_count ? auth->settings.listeners[message->listener] : "-",
                 suppressed);
}

/* Counts the failure against its source, and says so everywhere when that was one too many. */
static void worker_refuse(struct auth *auth, struct message *message, const char *cause)
{
        uint64_t now_ns = auth_now_ns(auth);
        worker_log_refused(auth, message, cause);
        const struct auth_settings *settings = &auth->settings;
        uint64_t before_ns = sources_banned_until(&auth->sources, message->source, now_ns);
        message->delay_ns =
                sources_failed(&auth->sources, message->source, now_ns, settings->ban_after, settings->ban_ns);
        uint64_t until_ns = sources_banned_until(&auth->sources, message->source, now_ns);
        if (until_ns != 0 && before_ns == 0) {
                unsigned suppressed;
                char text[64];
                for (unsigned i = 0; i < auth->gates_count; i++)
                        gate_tell_ban(&auth->gates[i], message->source, until_ns);
                if (log_limit_pass(&auth->ban_log, now_ns, 10, &suppressed))
                        log_warn("source_banned", "source=%s failures=%u seconds=%llu suppressed=%u",
                                 source_text(message->source, text, sizeof text), settings->ban_after,
                                 (unsigned long long)(settings->ban_ns / NS_PER_S), suppressed);
        }
        worker_answer(message, AUTH_REFUSED, NULL);
}

static void worker_grant(struct auth *auth, struct message *message, const struct user *user)
{
        if (user_may_enter(user, message->listener))
                worker_answer(message, AUTH_GRANTED, user);
        else
                worker_refuse(auth, message, "not_at_this_listener");
}

/* What was wrong with an attempt that was tried. */
static const char *worker_cause(const struct auth *auth, const struct message *message)
{
        if (message->is_token)
                return "unknown_token";
        return users_find(auth->users, message_name(message)) != NULL ? "wrong_password" : "unknown_user";
}

/* ---- the worker: attempts ---- */

static const char *worker_hash_of(const struct auth *auth, const struct user *user)
{
        return user != NULL ? user->bcrypt : users_dummy_bcrypt(auth->users);
}

/* What the attempt is remembered by. */
static struct credentials_digest worker_digest(const struct auth *auth, const struct message *message)
{
        const struct user *user = message->is_token ? NULL : users_find(auth->users, message_name(message));
        struct span hash =
                message->is_token ? generation_span(&auth->generation) : span_of_text(worker_hash_of(auth, user));
        return credentials_digest(auth->key, message_name(message), message_secret(message), hash);
}

/* Its source has been wrong lately: it waits behind all others, with few of its like. Who sends thousands of guesses at
 * once would else fill every place, until nobody gets in in time. */
static void worker_suspect(struct auth *auth, struct message *message)
{
        unsigned waiting = 0;
        list_for_each(&auth->suspect, link)
        {
                const struct message *other = list_entry(link, struct message, link);
                waiting += memcmp(&other->source, &message->source, sizeof other->source) == 0;
        }
        if (waiting < SUSPECTS_OF_A_SOURCE)
                list_push_back(&auth->suspect, &message->link);
        else
                worker_answer(message, AUTH_BUSY, NULL);
}

/* Answers what needs no bcrypt; puts the rest where it waits. */
static void worker_take_attempt(struct auth *auth, struct message *message)
{
        uint64_t now_ns = auth_now_ns(auth), until_ns;
        uint32_t index;
        const struct user *user = NULL;
        if ((until_ns = sources_banned_until(&auth->sources, message->source, now_ns)) != 0) {
                gate_tell_ban(message->gate, message->source, until_ns);
                worker_log_refused(auth, message, "source_banned");
                worker_answer(message, AUTH_REFUSED, NULL);
                return;
        }
        if (message->is_hopeless) {
                worker_refuse(auth, message, "too_long");
                return;
        }
        message->digest = worker_digest(auth, message);
        if (message->is_token) {
                uint8_t digest[TOKEN_DIGEST_BYTES];
                static_assert(TOKEN_DIGEST_BYTES == crypto_hash_sha256_BYTES, "a digest");
                crypto_hash_sha256(digest, message_secret(message).bytes, message->secret_size);
                user = users_find_digest(auth->users, digest);
                if (user != NULL) {
                        worker_grant(auth, message, user);
                        return;
                }
                bool may_be_bcrypt = message->secret_size <= AUTH_PASSWORD_BYTES_MAX &&
                                     memchr(message_secret(message).bytes, '\0', message->secret_size) == NULL;
                if (users_bcrypt_token(auth->users, 0) == NULL || !may_be_bcrypt) {
                        worker_refuse(auth, message, "unknown_token");
                        return;
                }
        }
        if (credentials_recall(&auth->granted, message->digest, now_ns, &index)) {
                /* A user's index may be of an older image; his name is not, and his hash is a part of the digest. */
                user = message->is_token ? users_at(auth->users, index)
                                         : users_find(auth->users, message_name(message));
                worker_grant(auth, message, user);
        } else if (credentials_recall(&auth->refused, message->digest, now_ns, &index)) {
                worker_refuse(auth, message, worker_cause(auth, message));
        } else if (sources_failures(&auth->sources, message->source, now_ns) == 0) {
                list_push_back(&auth->fresh, &message->link);
        } else {
                worker_suspect(auth, message);
        }
}

static bool worker_hash_matches(struct auth *auth, const char *password, const char *hash)
{
        /* Not crypt_r(): a sanitizer stands in for that one, and then the linker leaves the library out. */
        const char *computed = crypt_rn(password, hash, &auth->crypt, sizeof auth->crypt);
        bool is_sound = computed != NULL && strlen(computed) == BCRYPT_HASH_BYTES;
        /* Both are there whatever was wrong, so that no way is shorter. */
        bool is_equal =
                sodium_memcmp(is_sound ? computed : users_dummy_bcrypt(auth->users), hash, BCRYPT_HASH_BYTES) == 0;
        sodium_memzero(&auth->crypt, sizeof auth->crypt);
        return is_sound && is_equal;
}

/* Whose password or token it is, or NULL. Takes as long for a user who is not there. */
static const struct user *worker_try(struct auth *auth, const struct message *message)
{
        const char *secret = (const char *)message_secret(message).bytes; /* a NUL follows */
        if (!message->is_token) {
                const struct user *user = users_find(auth->users, message_name(message));
                bool matches = worker_hash_matches(auth, secret, worker_hash_of(auth, user));
                return matches ? user : NULL;
        }
        const struct user *found = NULL, *user;
        for (size_t i = 0; (user = users_bcrypt_token(auth->users, i)) != NULL; i++)
                if (worker_hash_matches(auth, secret, user->bcrypt))
                        found = user;
        return found;
}

static void worker_try_one(struct auth *auth)
{
        bool is_fresh = !list_is_empty(&auth->fresh);
        struct list *from = is_fresh ? &auth->fresh : &auth->suspect;
        struct message *message = list_entry(from->next, struct message, link);
        uint64_t now_ns = auth_now_ns(auth);
        list_remove(&message->link);
        if (is_fresh && sources_failures(&auth->sources, message->source, now_ns) > 0) {
                worker_suspect(auth, message); /* another of its source was wrong meanwhile */
                return;
        }
        if (now_ns >= message->deadline_ns) {
                worker_answer(message, AUTH_BUSY, NULL);
                return;
        }
        /* The users may be others, the source kept out, or an equal attempt decided since it was put here. */
        uint32_t index;
        message->digest = worker_digest(auth, message);
        if (sources_banned_until(&auth->sources, message->source, now_ns) != 0) {
                worker_answer(message, AUTH_REFUSED, NULL);
                return;
        }
        bool was_granted = credentials_recall(&auth->granted, message->digest, now_ns, &index);
        bool was_refused = !was_granted && credentials_recall(&auth->refused, message->digest, now_ns, &index);
        if (was_granted || was_refused) {
                worker_take_attempt(auth, message);
                return;
        }
        const struct user *user = worker_try(auth, message);
        if (user != NULL) {
                credentials_remember(&auth->granted, message->digest, user->index, UINT64_MAX);
                worker_grant(auth, message, user);
        } else {
                credentials_remember(&auth->refused, message->digest, 0, auth_now_ns(auth) + FAILURE_KEPT_NS);
                worker_refuse(auth, message, worker_cause(auth, message));
        }
}

/* ---- the worker: reload ---- */

static int worker_load(struct auth *auth, struct users **users, char error[OPTIONS_ERROR_BYTES])
{
        const struct auth_settings *settings = &auth->settings;
        struct users_context context = {
                .listeners = settings->listeners, .listeners_count = settings->listeners_count, .sets = &auth->sets};
        if (settings->load != NULL)
                return settings->load(settings->load_context, &context, users, error);
        return users_load(users, settings->path, "--users", &context, error);
}

static void worker_reload(struct auth *auth)
{
        struct users *users = NULL;
        char error[OPTIONS_ERROR_BYTES] = "", quoted[OPTIONS_ERROR_BYTES + 64];
        int failed = worker_load(auth, &users, error);
        if (failed != 0 && auth->settings.load == NULL) {
                log_error("users_kept", "reason=%s", log_quote(quoted, sizeof quoted, span_of_text(error)));
        } else if (failed == 0) {
                log_info("users_reloaded", "users=%zu", users_count(users));
                /* Told to read again, we forget who was wrong: that is how an operator lets somebody in again. */
                sources_clear(&auth->sources);
                credentials_clear(&auth->refused);
                auth->users_before = auth->users;
                auth->users = users;
                auth->generation++;
                auth->adoptions_missing = auth->gates_count;
        }
        for (unsigned i = 0; i < auth->gates_count && failed == 0; i++) {
                struct message *message = &auth->gates[i].users_message;
                message->kind = MESSAGE_USERS;
                message->users = users;
                message->tag = auth->generation;
                gate_tell(&auth->gates[i], message);
        }
        auth->gates[0].reloaded_message.kind = MESSAGE_RELOADED;
        gate_tell(&auth->gates[0], &auth->gates[0].reloaded_message);
}

static void worker_adopted(struct auth *auth)
{
        assert(auth->adoptions_missing > 0);
        if (--auth->adoptions_missing > 0)
                return;
        users_free(auth->users_before);
        auth->users_before = NULL;
        if (auth->reload_waits) {
                auth->reload_waits = false;
                worker_reload(auth);
        }
}

/* ---- the worker ---- */

static void worker_take(struct auth *auth, struct message *message)
{
        switch (message->kind) {
        case MESSAGE_ATTEMPT:
                worker_take_attempt(auth, message);
                break;
        case MESSAGE_ADOPTED:
                worker_adopted(auth);
                break;
        case MESSAGE_RELOAD:
                if (auth->adoptions_missing > 0)
                        auth->reload_waits = true;
                else
                        worker_reload(auth);
                break;
        case MESSAGE_STOP:
                auth->is_stopped = true;
                break;
        case MESSAGE_USERS:
        case MESSAGE_RELOADED:
        case MESSAGE_BAN:
                assert(false);
        }
}

void auth_work(struct auth *auth)
{
        while (!auth->is_stopped) {
                for (unsigned i = 0; i < auth->gates_count; i++) {
                        struct message *message;
                        while ((message = ring_take(&auth->gates[i].asks)) != NULL)
                                worker_take(auth, message);
                }
                if (list_is_empty(&auth->fresh) && list_is_empty(&auth->suspect))
                        return;
                worker_try_one(auth);
        }
}

static void *worker_main(void *context)
{
        struct auth *auth = context;
        pthread_setname_np(pthread_self(), "spate-auth");
        setpriority(PRIO_PROCESS, (id_t)gettid(), WORKER_NICE);
        while (!auth->is_stopped) {
                uint64_t rings;
                ssize_t got = read(auth->bell, &rings, sizeof rings);
                assert(got == sizeof rings || errno == EINTR);
                (void)got;
                auth_work(auth);
        }
        return NULL;
}

/* ---- the gate ---- */

static void gate_ask(struct auth_gate *gate, struct message *message)
{
        uint64_t one = 1;
        bool is_pushed = ring_push(&gate->asks, message);
        assert(is_pushed); /* see the assertion on ASK_SLOTS */
        (void)is_pushed;
        if (gate->auth->has_thread && write(gate->auth->bell, &one, sizeof one) != sizeof one)
                assert(errno == EAGAIN); /* it rings already, 2^64 times */
}

void auth_change_bans(struct auth *auth, uint32_t ban_after, uint64_t ban_ns)
{
        auth->settings.ban_after = ban_after;
        auth->settings.ban_ns = ban_ns;
}

void auth_change_timeout(struct auth_gate *gate, uint64_t timeout_ns)
{
        gate->timeout_ns = timeout_ns;
}

struct auth_gate *auth_gate(struct auth *auth, unsigned reactor)
{
        assert(reactor < auth->gates_count);
        return &auth->gates[reactor];
}

void auth_gate_open(struct auth_gate *gate, void (*wake)(void *context), void *context)
{
        gate->wake = wake;
        gate->context = context;
}

unsigned auth_asks_left(const struct auth_gate *gate)
{
        return AUTH_ASKS_MAX - gate->asks_count;
}

const struct users *auth_users(const struct auth_gate *gate)
{
        return gate->users;
}

bool auth_is_banned(const struct auth_gate *gate, struct source source)
{
        return sources_banned_until(&gate->bans, source, auth_now_ns(gate->auth)) != 0;
}

static const struct user *gate_recall(struct auth_gate *gate, struct span name, struct span secret, bool is_token)
{
        const struct user *user = is_token ? NULL : users_find(gate->users, name);
        uint32_t index;
        if (!is_token && user == NULL)
                return NULL;
        struct span hash = is_token ? generation_span(&gate->generation) : span_of_text(user->bcrypt);
        struct credentials_digest digest = credentials_digest(gate->auth->key, name, secret, hash);
        if (!credentials_recall(&gate->cache, digest, 0, &index))
                return NULL;
        return is_token ? users_at(gate->users, index) : user;
}

enum auth_verdict auth_ask(struct auth_gate *gate, const struct auth_attempt *attempt, const struct user **user)
{
        bool is_token = attempt->user.size == 0 && attempt->token.size > 0;
        struct span name = attempt->user, secret = is_token ? attempt->token : attempt->password;
        if (name.size == 0 && !is_token) {
                *user = users_no_auth(gate->users);
                return *user != NULL && user_may_enter(*user, attempt->listener) ? AUTH_GRANTED : AUTH_REFUSED;
        }
        *user = gate_recall(gate, name, secret, is_token);
        if (*user != NULL && user_may_enter(*user, attempt->listener))
                return AUTH_GRANTED;
        if (gate->asks_count == AUTH_ASKS_MAX)
                return AUTH_BUSY;
        bool is_hopeless = name.size > USER_NAME_BYTES_MAX ||
                           (!is_token && (secret.size > AUTH_PASSWORD_BYTES_MAX ||
                                          (secret.size > 0 && memchr(secret.bytes, '\0', secret.size) != NULL)));
        if (is_hopeless)
                name = secret = SPAN_NONE;
        struct message *message = calloc(1, sizeof *message + name.size + secret.size + 1);
        if (message == NULL)
                return AUTH_BUSY;
        message->kind = MESSAGE_ATTEMPT;
        message->gate = gate;
        message->tag = attempt->tag;
        message->deadline_ns = auth_now_ns(gate->auth) + gate->timeout_ns;
        message->source = attempt->source;
        message->listener = attempt->listener;
        message->is_token = is_token;
        message->is_hopeless = is_hopeless;
        message->name_size = name.size;
        message->secret_size = secret.size;
        message->text = (uint8_t *)(message + 1);
        span_copy(span_copy(message->text, name), secret);
        gate->asks_count++;
        gate_ask(gate, message);
        return AUTH_PENDING;
}

bool auth_take(struct auth_gate *gate, struct auth_event *event)
{
        for (struct message *message; (message = ring_take(&gate->answers)) != NULL;) {
                switch (message->kind) {
                case MESSAGE_ATTEMPT:
                        gate->asks_count--;
                        if (message->verdict == AUTH_GRANTED)
                                credentials_remember(&gate->cache, message->digest, message->user->index, UINT64_MAX);
                        *event = (struct auth_event){.kind = AUTH_ANSWER,
                                                     .tag = message->tag,
                                                     .verdict = message->verdict,
                                                     .user = message->user,
                                                     .delay_ns = message->delay_ns};
                        free(message);
                        return true;
                case MESSAGE_USERS:
                        gate->users = message->users;
                        gate->generation = message->tag;
                        sources_clear(&gate->bans);
                        *event = (struct auth_event){.kind = AUTH_NEW_USERS};
                        return true;
                case MESSAGE_BAN:
                        sources_ban(&gate->bans, message->source, auth_now_ns(gate->auth), message->deadline_ns);
                        free(message);
                        break;
                case MESSAGE_RELOADED:
                        gate->is_reloading = false;
                        if (gate->reloads_again)
                                auth_reload(gate->auth);
                        break;
                case MESSAGE_ADOPTED:
                case MESSAGE_RELOAD:
                case MESSAGE_STOP:
                        assert(false);
                }
        }
        return false;
}

void auth_adopted(struct auth_gate *gate)
{
        gate->adopted_message.kind = MESSAGE_ADOPTED;
        gate_ask(gate, &gate->adopted_message);
}

const struct user *auth_still(const struct auth_gate *gate, const struct user *before, unsigned listener)
{
        const struct user *user = users_find_any(gate->users, before->name);
        if (user == NULL || user->is_token != before->is_token || !user_may_enter(user, listener) ||
            (user->bcrypt == NULL) != (before->bcrypt == NULL))
                return NULL;
        bool is_same = user->bcrypt != NULL ? strcmp(user->bcrypt, before->bcrypt) == 0
                                            : memcmp(user->digest, before->digest, sizeof user->digest) == 0;
        return is_same ? user : NULL;
}

void auth_reload(struct auth *auth)
{
        struct auth_gate *gate = &auth->gates[0];
        gate->reloads_again = gate->is_reloading;
        if (gate->is_reloading)
                return;
        gate->is_reloading = true;
        gate->reload_message.kind = MESSAGE_RELOAD;
        gate_ask(gate, &gate->reload_message);
}

bool auth_is_reloading(const struct auth *auth)
{
        return auth->gates[0].is_reloading;
}

/* ---- beginning and end ---- */

static int gate_init(struct auth_gate *gate, struct auth *auth)
{
        gate->auth = auth;
        gate->users = auth->users;
        gate->timeout_ns = auth->settings.timeout_ns;
        ring_init(&gate->asks, gate->ask_slots, ASK_SLOTS);
        ring_init(&gate->answers, gate->answer_slots, ANSWER_SLOTS);
        int error = credentials_init(&gate->cache, GATE_CACHE);
        return error != 0 ? error : sources_init(&gate->bans, GATE_SOURCES);
}

/* The worker takes no signals: they are for the thread that waits for them. */
static int worker_start(struct auth *auth)
{
        sigset_t all, before;
        auth->bell = eventfd(0, EFD_CLOEXEC);
        if (auth->bell < 0)
                return -errno;
        faults_fill_others(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        auth->has_thread = true;
        int error = pthread_create(&auth->thread, NULL, worker_main, auth);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        auth->has_thread = error == 0;
        return -error;
}

int auth_new(struct auth **out, const struct auth_settings *settings, char error[OPTIONS_ERROR_BYTES])
{
        assert(settings->reactors_count >= 1);
        struct auth *auth = calloc(1, sizeof *auth + settings->reactors_count * sizeof auth->gates[0]);
        error[0] = '\0';
        if (auth == NULL || sodium_init() < 0) {
                free(auth);
                snprintf(error, OPTIONS_ERROR_BYTES, "cannot keep users: no memory is left");
                return -ENOMEM;
        }
        auth->settings = *settings;
        auth->bell = -1;
        list_init(&auth->fresh);
        list_init(&auth->suspect);
        credentials_key(auth->key);
        int failed = permission_sets_init(&auth->sets, settings->reactors_count);
        if (failed == 0)
                failed = worker_load(auth, &auth->users, error);
        if (failed == 0)
                failed = credentials_init(&auth->granted, WORKER_CACHE);
        if (failed == 0)
                failed = credentials_init(&auth->refused, WORKER_CACHE);
        if (failed == 0)
                failed = sources_init(&auth->sources, WORKER_SOURCES);
        while (failed == 0 && auth->gates_count < settings->reactors_count)
                failed = gate_init(&auth->gates[auth->gates_count++], auth);
        if (failed == 0 && !settings->is_inline)
                failed = worker_start(auth);
        if (failed != 0) {
                if (error[0] == '\0')
                        snprintf(error, OPTIONS_ERROR_BYTES, "cannot keep users: %s", strerror(-failed));
                auth_free(auth);
                return failed;
        }
        *out = auth;
        return 0;
}

static void gate_fini(struct auth_gate *gate)
{
        struct message *message;
        if (gate->auth == NULL)
                return;
        while ((message = ring_take(&gate->asks)) != NULL)
                if (message->kind == MESSAGE_ATTEMPT)
                        message_free(message);
        while ((message = ring_take(&gate->answers)) != NULL)
                if (message->kind == MESSAGE_ATTEMPT || message->kind == MESSAGE_BAN)
                        message_free(message);
        credentials_fini(&gate->cache);
        sources_fini(&gate->bans);
}

static void waiting_free(struct list *waiting)
{
        list_for_each(waiting, link)
        {
                list_remove(link);
                message_free(list_entry(link, struct message, link));
        }
}

void auth_stop(struct auth *auth)
{
        if (auth == NULL || !auth->has_thread)
                return;
        auth->gates[0].stop_message.kind = MESSAGE_STOP;
        gate_ask(&auth->gates[0], &auth->gates[0].stop_message);
        pthread_join(auth->thread, NULL);
        auth->has_thread = false;
}

void auth_free(struct auth *auth)
{
        if (auth == NULL)
                return;
        auth_stop(auth);
        if (auth->bell >= 0)
                close(auth->bell);
        waiting_free(&auth->fresh);
        waiting_free(&auth->suspect);
        for (unsigned i = 0; i < auth->gates_count; i++)
                gate_fini(&auth->gates[i]);
        users_free(auth->users_before);
        users_free(auth->users);
        permission_sets_fini(&auth->sets);
        credentials_fini(&auth->granted);
        credentials_fini(&auth->refused);
        sources_fini(&auth->sources);
        sodium_memzero(auth->key, sizeof auth->key);
        free(auth);
}
