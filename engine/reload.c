/* reload: see the header.
 *
 * Whose is what: `settings` belong to the loader. What the first reactor reads of them, how long a drain may take, it
 * reads from the published ones: they begin with the reactors' settings, and are freed when every reactor has passed a
 * turn, its own among them. */
#include "engine/reload.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "engine/base/faults.h"
#include "engine/base/ring.h"

#define LOADER_NICE 5 /* a reload waits; who is in does not */
#define SHOWN_BYTES 256
#define OUTCOME_SLOTS 8 /* at most two are under way, and asking for another takes what was not taken */

struct reload {
        struct config_sources sources;
        struct config *config_at_start; /* until reload_start() */
        struct settings *first;         /* what the server started with; its texts are used until the end */
        struct settings *settings;      /* the loader's: what it runs with now */
        struct cores *cores;
        struct auth *auth;
        struct epoch_bin bin;
        int bell; /* an eventfd: the thread of ours sleeps on it */
        pthread_t thread;
        bool has_thread;
        struct counters said;  /* by the first reactor's thread, for ours */
        struct counters heard; /* the other way round */
        struct ring outcomes;  /* of `told`, from the loader to the first reactor's thread */
        struct ck_ring_buffer outcome_slots[OUTCOME_SLOTS];
        struct reload_outcome told[OUTCOME_SLOTS];
        unsigned told_count; /* ever; the loader's */
};

/* ---- what has changed ---- */

static bool is_changed(const struct options *before, const struct options *now, size_t row)
{
        const struct option_row *of = &option_rows[row];
        if (of->type == OPTION_TEXT || of->type == OPTION_FILE)
                return strcmp(options_text(before, row), options_text(now, row)) != 0;
        return options_number(before, row) != options_number(now, row);
}

/* "2", or "none" for a text that is not there. */
static const char *shown(const struct options *options, size_t row, char out[SHOWN_BYTES])
{
        const char *text = options_text(options, row);
        return log_quote(out, SHOWN_BYTES, span_of_text(text[0] == '\0' ? "none" : text));
}

/* What only a start takes up must be as it was. */
static int refuse_restarts(const struct options *before, const struct options *now, char error[OPTIONS_ERROR_BYTES])
{
        for (size_t row = 0; row < OPTIONS_COUNT; row++) {
                const struct option_row *of = &option_rows[row];
                char old[SHOWN_BYTES], new[SHOWN_BYTES];
                if (of->key == NULL || of->when != OPTION_AT_START || !is_changed(before, now, row))
                        continue;
                bool is_there = now->values[row].source == OPTION_FROM_FILE;
                return options_refuse(now, row, 0, error,
                                      "%s%s%s cannot go from %s to %s%s while the server runs; restart it, or write %s "
                                      "again",
                                      is_there ? "" : now->file, is_there ? "" : ": ", of->key, shown(before, row, old),
                                      shown(now, row, new),
                                      is_there ? "" : ", its default, since it is not there any more", old);
        }
        return 0;
}

static unsigned log_changes(const struct options *before, const struct options *now)
{
        unsigned count = 0;
        for (size_t row = 0; row < OPTIONS_COUNT; row++) {
                char old[SHOWN_BYTES], new[SHOWN_BYTES], origin[OPTIONS_ORIGIN_BYTES], quoted[SHOWN_BYTES];
                if (option_rows[row].key == NULL || !is_changed(before, now, row))
                        continue;
                options_origin(now, row, 0, origin);
                log_info("option_changed", "key=%s from=%s to=%s by=%s", option_rows[row].key, shown(before, row, old),
                         shown(now, row, new), log_quote(quoted, sizeof quoted, span_of_text(origin)));
                count++;
        }
        return count;
}

/* ---- the loader ---- */

static void settings_retired(struct epoch_retired *retired)
{
        settings_free(container_of(retired, struct settings, retired));
}

/* Cannot fail. */
static unsigned reload_publish(struct reload *reload, struct settings *settings)
{
        struct settings *before = reload->settings;
        unsigned changes_count = log_changes(&before->options, &settings->options);
        settings->reactor.auth = before->reactor.auth;
        settings->reactor.heap_bytes = before->reactor.heap_bytes;
        settings->reactor.edition = before->reactor.edition + 1;
        log_set_level(settings->log_level);
        settings_log_doubts(settings);
        if (reload->auth != NULL)
                auth_change_bans(reload->auth, settings->ban_after, settings->ban_ns);
        cores_publish_settings(reload->cores, &settings->reactor);
        reload->settings = settings;
        if (before != reload->first)
                epoch_retire(&reload->bin, &before->retired, settings_retired);
        epoch_collect(&reload->bin);
        log_info("reloaded", "file=%s options_changed=%u",
                 settings->options.file != NULL ? settings->options.file : "none", changes_count);
        return changes_count;
}

static int users_from(struct config *config, const struct settings *settings, const struct users_context *users_context,
                      struct users **users, char error[OPTIONS_ERROR_BYTES])
{
        if (users_context == NULL)
                return 0;
        return config_users(config, &settings->options, users_context, users, error);
}

static int no_users_change(bool had_users, bool has_users, const struct options *now, char error[OPTIONS_ERROR_BYTES])
{
        if (had_users == has_users)
                return 0;
        return options_refuse(now, OPTION_USERS, 0, error, "%s%susers cannot be %s while the server runs; restart it",
                              now->values[OPTION_USERS].source == OPTION_FROM_FILE || now->file == NULL ? ""
                                                                                                        : now->file,
                              now->values[OPTION_USERS].source == OPTION_FROM_FILE || now->file == NULL ? "" : ": ",
                              has_users ? "asked for their passwords from now on" : "done without from now on");
}

/* Everything that may fail, and then what may not. Nothing is kept of what fails. */
static int reload_all(struct reload *reload, const struct users_context *users_context, struct users **users,
                      unsigned *changes_count, char error[OPTIONS_ERROR_BYTES])
{
        struct options options = {0};
        struct config config;
        struct settings *settings = NULL;
        const struct settings *before = reload->settings;
        int next;
        int failed = config_read(&options, &config, &reload->sources, &next, error);
        bool has_users = failed == 0 && config_has_users(&config, &options);
        if (failed == 0)
                failed = refuse_restarts(&before->options, &options, error);
        if (failed == 0)
                failed = no_users_change(before->has_users, has_users, &options, error);
        if (failed == 0)
                failed = settings_new(&settings, &options, has_users, before, error);
        if (failed == 0)
                failed = users_from(&config, settings, users_context, users, error);
        config_fini(&config);
        options_fini(&options);
        if (failed != 0) {
                settings_free(settings);
                return failed;
        }
        *changes_count = reload_publish(reload, settings);
        return 0;
}

/* For the first reactor's thread. The place that it may still be copying from is written again only OUTCOME_SLOTS
 * outcomes later, and no more than half as many ever wait. */
static void reload_tell(struct reload *reload, bool is_taken, unsigned changes_count, const struct users *users,
                        const char *error)
{
        struct reload_outcome *outcome = &reload->told[reload->told_count % OUTCOME_SLOTS];
        if (ring_count(&reload->outcomes) >= OUTCOME_SLOTS / 2)
                return; /* nobody wants to know */
        *outcome = (struct reload_outcome){.is_taken = is_taken,
                                           .changes_count = changes_count,
                                           .has_users = is_taken && users != NULL,
                                           .users_count = is_taken && users != NULL ? users_count(users) : 0};
        if (!is_taken)
                snprintf(outcome->error, sizeof outcome->error, "%s", error);
        reload->told_count++;
        bool is_pushed = ring_push(&reload->outcomes, outcome);
        assert(is_pushed);
}

int reload_load(void *context, const struct users_context *users_context, struct users **users,
                char error[OPTIONS_ERROR_BYTES])
{
        struct reload *reload = context;
        char quoted[OPTIONS_ERROR_BYTES + 64];
        if (reload->config_at_start != NULL)
                return config_users(reload->config_at_start, &reload->settings->options, users_context, users, error);
        error[0] = '\0';
        unsigned changes_count = 0;
        int failed = reload_all(reload, users_context, users, &changes_count, error);
        if (failed != 0 && error[0] == '\0')
                snprintf(error, OPTIONS_ERROR_BYTES, "no memory is left to read it");
        if (failed != 0)
                log_error("reload_refused", "changed=nothing reason=%s",
                          log_quote(quoted, sizeof quoted, span_of_text(error)));
        reload_tell(reload, failed == 0, changes_count, users_context != NULL ? *users : NULL, error);
        return failed;
}

/* ---- a thread of our own ---- */

enum { SAID_STOP, SAID_ASKS, SAID_COUNTERS };
enum { HEARD_DONE, HEARD_COUNTERS }; /* so many of the asks */

static void *loader_main(void *context)
{
        struct reload *reload = context;
        pthread_setname_np(pthread_self(), "spate-reload");
        setpriority(PRIO_PROCESS, (id_t)gettid(), LOADER_NICE);
        for (;;) {
                uint64_t rings;
                char error[OPTIONS_ERROR_BYTES];
                ssize_t got = read(reload->bell, &rings, sizeof rings);
                assert(got == sizeof rings || errno == EINTR);
                if (counter_read(&reload->said, SAID_STOP) != 0)
                        return NULL;
                uint64_t asks = counter_read(&reload->said, SAID_ASKS);
                if (got != sizeof rings)
                        continue;
                reload_load(reload, NULL, NULL, error);
                counter_set(&reload->heard, HEARD_DONE, asks);
                cores_wake(reload->cores, 0);
        }
}

static int loader_start(struct reload *reload)
{
        sigset_t all, before;
        reload->bell = eventfd(0, EFD_CLOEXEC);
        if (reload->bell < 0)
                return -errno;
        /* It takes no signals: they are for the thread that waits for them. */
        faults_fill_others(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        int error = pthread_create(&reload->thread, NULL, loader_main, reload);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        reload->has_thread = error == 0;
        return -error;
}

static void loader_ring(struct reload *reload)
{
        uint64_t one = 1;
        if (write(reload->bell, &one, sizeof one) != sizeof one)
                assert(errno == EAGAIN); /* it rings already, 2^64 times */
}

/* ---- beginning and end ---- */

int reload_new(struct reload **out, struct settings *settings, struct config *config,
               const struct config_sources *sources)
{
        struct reload *reload = calloc(1, sizeof *reload);
        int failed = reload == NULL ? -ENOMEM : counters_init(&reload->said, SAID_COUNTERS);
        if (failed == 0)
                failed = counters_init(&reload->heard, HEARD_COUNTERS);
        if (failed != 0) {
                if (reload != NULL)
                        counters_fini(&reload->said);
                free(reload);
                settings_free(settings);
                return failed;
        }
        reload->first = reload->settings = settings;
        reload->config_at_start = config;
        reload->sources = *sources;
        reload->bell = -1;
        epoch_bin_init(&reload->bin);
        ring_init(&reload->outcomes, reload->outcome_slots, OUTCOME_SLOTS);
        *out = reload;
        return 0;
}

int reload_start(struct reload *reload, struct auth *auth)
{
        reload->config_at_start = NULL;
        reload->auth = auth;
        /* Without users and a file there is nothing that could have changed. */
        if (auth != NULL || reload->settings->options.file == NULL)
                return 0;
        return loader_start(reload);
}

void reload_serve(struct reload *reload, struct cores *cores)
{
        reload->cores = cores;
}

void reload_stop(struct reload *reload)
{
        if (reload == NULL || !reload->has_thread)
                return;
        counter_set(&reload->said, SAID_STOP, 1);
        loader_ring(reload);
        pthread_join(reload->thread, NULL);
        reload->has_thread = false;
}

void reload_free(struct reload *reload)
{
        if (reload == NULL)
                return;
        reload_stop(reload);
        if (reload->bell >= 0)
                close(reload->bell);
        epoch_drain(&reload->bin);
        if (reload->settings != reload->first)
                settings_free(reload->settings);
        settings_free(reload->first);
        counters_fini(&reload->heard);
        counters_fini(&reload->said);
        free(reload);
}

bool reload_ask(struct reload *reload)
{
        struct reload_outcome older;
        (void)reload_take_outcome(reload, &older); /* of those under way only the last is told */
        if (reload->auth != NULL) {
                auth_reload(reload->auth);
        } else if (reload->has_thread) {
                counter_add(&reload->said, SAID_ASKS, 1);
                loader_ring(reload);
        } else {
                log_info("nothing_to_reload", "fix=\"start with --config FILE or --users FILE\"");
                return false;
        }
        return true;
}

bool reload_take_outcome(struct reload *reload, struct reload_outcome *outcome)
{
        bool has_one = false;
        for (const struct reload_outcome *next; (next = ring_take(&reload->outcomes)) != NULL; has_one = true)
                *outcome = *next;
        return has_one;
}

bool reload_is_under_way(const struct reload *reload)
{
        if (reload->auth != NULL)
                return auth_is_reloading(reload->auth);
        return counter_read(&reload->said, SAID_ASKS) != counter_read(&reload->heard, HEARD_DONE);
}

struct reload_drain reload_drain(const struct reload *reload)
{
        const struct reactor_settings *published = cores_published_settings(reload->cores);
        const struct settings *settings =
                published == NULL ? reload->first : container_of(published, const struct settings, reactor);
        return (struct reload_drain){.drain_ns = settings->drain_ns, .spread_ns = settings->spread_ns};
}
