/* reload: SIGHUP. Reads configuration and users again and takes up all that has changed, or nothing of it.
 *
 *      reactor 0 ──asks──▶ loader: read ─▶ parse ─▶ validate ─▶ users ─▶ publish        any fault: told, nothing
 * changed │ each reactor ◀─────────────┘  takes the new settings up in its next turn
 *
 * The loader is the thread that tries passwords, since users are its own; without users it is a thread of ours. So no
 * turn waits for a file. Whatever may fail comes before the first change; publishing is a store.
 *
 * A key that only a start takes up (OPTION_AT_START) and that has changed refuses the whole reload, by name and place.
 */
#ifndef SPATE_ENGINE_RELOAD_H
#define SPATE_ENGINE_RELOAD_H

#include "engine/access/auth.h"
#include "engine/config.h"
#include "engine/cores.h"
#include "engine/settings.h"

struct reload;

/* 0 or -ENOMEM. Takes `settings` over, which the server starts with, and lends them to it; `config` is what they were
 * read from, and is read for the users only before reload_start(). `sources` are borrowed, and what they name. */
int reload_new(struct reload **reload, struct settings *settings, struct config *config,
               const struct config_sources *sources);
/* The loader has ended, and no reactor lives. Accepts NULL. */
void reload_free(struct reload *reload);

/* An auth_load, for struct auth_settings: the first time from what was read at start, from then on a whole reload. */
int reload_load(void *reload, const struct users_context *users_context, struct users **users,
                char error[OPTIONS_ERROR_BYTES]);

/* From here on reload_ask() works; `auth` is NULL where there are no users. Before reactors are pinned to cores. 0 or
 * -errno. */
int reload_start(struct reload *reload, struct auth *auth);
/* Before the reactors start: who is to take up what changes. */
void reload_serve(struct reload *reload, struct cores *cores);
/* Ends a thread of its own; the loader that auth has ends with auth_stop(). Before the reactors are freed. Accepts
 * NULL. */
void reload_stop(struct reload *reload);

/* From the first reactor's thread. What comes of it is logged. Asked while one is under way, it is done once more.
 * false: there is nothing that could have changed. */
bool reload_ask(struct reload *reload);
/* What was asked for has not been done yet. From the same thread, which is woken at its end. */
bool reload_is_under_way(const struct reload *reload);

struct reload_outcome {
        bool is_taken;
        unsigned changes_count;          /* options */
        bool has_users;                  /* they were read again as well */
        size_t users_count;              /* so many are there now, with tokens */
        char error[OPTIONS_ERROR_BYTES]; /* why not */
};
/* What came of the last reload, once it is under way no more. From the same thread. false: nothing new is to be told.
 */
bool reload_take_outcome(struct reload *reload, struct reload_outcome *outcome);

/* How long a drain may take, by what was published last. From the same thread. */
struct reload_drain {
        uint64_t drain_ns, spread_ns;
};
struct reload_drain reload_drain(const struct reload *reload);

#endif
