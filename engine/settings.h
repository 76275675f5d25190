/* settings: what follows from the options: how much memory each reactor has, who is cut when, where each runs. Made
 * whole and checked, or not at all.
 *
 *      options ─▶ settings_new ─▶ settings ─▶ cores, crew, auth
 *                                    └──────▶ published to the reactors; replaced whole by a reload
 *
 * Settings are published: they never change after they were handed on, and are freed when no reactor uses them. */
#ifndef SPATE_ENGINE_SETTINGS_H
#define SPATE_ENGINE_SETTINGS_H

#include "engine/base/epoch.h"
#include "engine/base/log.h"
#include "engine/cpu.h"
#include "engine/lag.h"
#include "engine/option_table.h"
#include "engine/postmortem.h"
#include "engine/reactor.h"

/* As they were given to --listen; the users file names them so. */
struct listener_names {
        char *text; /* owned; what the names point into */
        const char *names[REACTOR_LISTENERS_MAX];
        size_t count;
};

struct settings {
        struct options options; /* owned; what all else was made of */
        struct reactor_settings reactor;
        struct lag_rules lag; /* its texts are those of the options */
        struct listener_names listeners;
        struct cpu_plan cpus;
        size_t mailbox_bytes;
        uint32_t conns_capacity; /* what --max-connections was when the server started: there is no room for more */
        uint32_t conns_possible; /* ... and what the file descriptors allow of it */
        char postmortem[POSTMORTEM_DIRECTORY_BYTES]; /* folder; "": none */
        uint64_t stuck_exit_ns;
        uint64_t drain_ns, spread_ns;
        uint64_t ban_ns;
        uint32_t ban_after;
        bool has_users; /* else everyone on loopback may come in */
        enum log_level log_level;
        struct epoch_retired retired; /* for whoever replaces them */
};

/* Takes the options over, whatever comes of it, and leaves zeroed ones. `has_users`: in a file or inline. `before` is
 * what the server runs with, when it does: what cannot change stays as it is there. 0, -ENOMEM, or -EINVAL with one
 * line in `error`. */
int settings_new(struct settings **settings, struct options *options, bool has_users, const struct settings *before,
                 char error[OPTIONS_ERROR_BYTES]);
/* Accepts NULL. */
void settings_free(struct settings *settings);

/* The descriptors that --max-connections needs, with listeners, backends, and those whom each reactor tells that they
 * are too many, its admin's, its newest. */
uint64_t settings_descriptors(const struct settings *settings);
/* Raises the limit of open files as far as it goes, and lowers settings->reactor.conns_max to what is possible. Before
 * the settings are handed on. */
void settings_fit_descriptors(struct settings *settings);
/* Warns of what is right and hardly meant. */
void settings_log_doubts(const struct settings *settings);
/* Logs how the reactors are pinned, and the doubts. */
void settings_log(const struct settings *settings);

#endif
