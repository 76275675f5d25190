/* run: starts, prints what a newcomer needs, turns until told to stop, drains. See the header. */
#include "engine/run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/access/auth.h"
#include "engine/admin/control.h"
#include "engine/base/random.h"
#include "engine/greeting.h"
#include "engine/listening.h"
#include "engine/postmortem.h"
#include "engine/reload.h"
#include "engine/watch.h"

/* ---- users ---- */

/* Before anything is pinned: the thread that tries passwords is to run where it does not disturb. */
static int start_users(struct auth **auth, const struct settings *settings, struct reload *reload,
                       char error[OPTIONS_ERROR_BYTES])
{
        struct auth_settings asked = {.load = reload_load,
                                      .load_context = reload,
                                      .listeners = settings->listeners.names,
                                      .listeners_count = settings->listeners.count,
                                      .reactors_count = settings->cpus.reactors_count,
                                      .timeout_ns = settings->reactor.auth_timeout_ns,
                                      .ban_after = settings->ban_after,
                                      .ban_ns = settings->ban_ns};
        const char *file = options_text(&settings->options, OPTION_USERS);
        if (!settings->has_users)
                return 0;
        int failed = auth_new(auth, &asked, error);
        if (failed == 0)
                log_info("users", "file=%s users=%zu", file[0] != '\0' ? file : settings->options.file,
                         users_count(auth_users(auth_gate(*auth, 0))));
        return failed;
}

/* ---- running ---- */

/* Why the kernel refused io_uring, as far as its answer tells; and what helps. */
static void log_refusal(const struct io_traits *traits, unsigned reactors_count)
{
        const char *reason = traits->reason;
        const char *fix = "spate doctor tells more; or take --backend epoll";
        if (traits->reason_errno == ENOMEM) {
                reason = "no memory for io_uring's rings, which count as locked memory of the user (RLIMIT_MEMLOCK)";
                fix = "ulimit -l unlimited, in a unit LimitMEMLOCK=infinity; or take --backend epoll";
        }
        log_warn("backend", "name=%s reactors=%u reason=\"%s\" errno=%d fix=\"%s\"", traits->name, reactors_count,
                 reason, traits->reason_errno, fix);
}

/* Locked memory may suffice for the rings of some reactors only. */
static void log_backend(struct crew *crew)
{
        const struct io *io = crew_reactor(crew, 0)->io;
        const struct io_traits *refused = NULL, *taken = NULL;
        unsigned refused_count = 0;
        for (unsigned i = crew_count(crew); i-- > 0;) {
                const struct io_traits *traits = io_traits(crew_reactor(crew, i)->io);
                if (traits->reason[0] != '\0') {
                        refused = traits;
                        refused_count++;
                } else {
                        taken = traits;
                }
        }
        if (taken != NULL)
                log_info("backend", "name=%s reactors=%u", taken->name, crew_count(crew) - refused_count);
        if (refused != NULL)
                log_refusal(refused, refused_count);
        size_t features_count;
        const struct io_feature *features = io_features(io, &features_count);
        for (size_t i = 0; i < features_count; i++)
                if (!features[i].present)
                        log_info("feature_absent", "name=\"%s\" since_kernel=%s instead=\"%s\"", features[i].name,
                                 features[i].kernel, features[i].fallback);
}

#define DRAIN_LOOK_NS (10 * NS_PER_MS) /* how often the first reactor asks whether the others are through */

static uint64_t end_ns(const struct reload *reload)
{
        struct reload_drain drain = reload_drain(reload);
        return drain.spread_ns + drain.drain_ns + WATCH_END_NS;
}

static void tell_ready(struct crew *crew, const struct watch *watch, bool may_wait)
{
        char status[96];
        snprintf(status, sizeof status, "serving, %s, %u reactor%s", io_traits(crew_reactor(crew, 0)->io)->name,
                 crew_count(crew), crew_count(crew) > 1 ? "s" : "");
        notify_ready(watch_notify(watch), status, may_wait);
}

/* ---- what the watch does besides ---- */

static const char *const steps[] = {
#define STEP_ROW(id, name) [FLIGHT_IN_##id] = name,
        FLIGHT_STEP_TABLE(STEP_ROW)
#undef STEP_ROW
};

static void log_postmortem(enum log_level level, enum postmortem_reason reason)
{
        char path[POSTMORTEM_PATH_BYTES], quoted[POSTMORTEM_PATH_BYTES + 64];
        log_line(level, "postmortem", "reason=%s file=%s", reason == POSTMORTEM_STUCK ? "stuck" : "asked",
                 log_quote(quoted, sizeof quoted, span_of_text(postmortem_path(reason, path))));
}

/* A reactor does not turn: where it is, and, the first time, what all of them did last. */
static void on_stuck(void *context, unsigned number, bool is_new)
{
        struct crew *crew = context;
        const struct flight *flight = &crew_reactor(crew, number)->flight;
        uint64_t step = flight_now(flight, FLIGHT_STEP), now_ns = clock_monotonic_ns();
        log_warn("reactor_is_at", "reactor=%u step=\"%s\" connection=%llu turn_began_s=%.1f thread=%llu", number,
                 step < FLIGHT_STEPS ? steps[step] : "?", (unsigned long long)flight_now(flight, FLIGHT_AT),
                 (double)(now_ns - flight_now(flight, FLIGHT_TURN_BEGAN)) / NS_PER_S,
                 (unsigned long long)flight_now(flight, FLIGHT_THREAD));
        if (!is_new)
                return;
        int failed = postmortem_write(POSTMORTEM_STUCK, number);
        if (failed == 0)
                log_postmortem(LOG_LEVEL_WARN, POSTMORTEM_STUCK);
        else if (failed != -ENOTDIR)
                log_warn("postmortem_failed", "reason=stuck error=\"%s\"", strerror(-failed));
}

static int on_dump(void *context)
{
        (void)context;
        int failed = postmortem_write(POSTMORTEM_ASKED, POSTMORTEM_NOBODY);
        if (failed == 0)
                log_postmortem(LOG_LEVEL_INFO, POSTMORTEM_ASKED);
        else
                log_warn("postmortem_failed", "reason=asked error=\"%s\"", strerror(-failed));
        return failed;
}

/* The first reactor tells of it, at /readyz and in the metrics. */
static void take_stuck(struct control *control, struct reactor *first, const struct watch *watch)
{
        control->stuck = watch_stuck(watch);
        counter_set(&first->counters, COUNT_REACTORS_STUCK, (uint64_t)__builtin_popcountll(control->stuck));
        counter_set(&first->counters, COUNT_REACTOR_STALLS, watch_stalls(watch));
}

/* In the thread of the first reactor. */
static void turn_until_told(struct crew *crew, struct watch *watch, struct reload *reload)
{
        bool is_reloading = false;
        struct reactor *first = crew_reactor(crew, 0);
        struct control control = {0};
        struct reload_outcome outcome;
        first->control = &control;
        tell_ready(crew, watch, true);
        for (uint64_t reloads = 0, dumps = 0; watch_stops(watch) == 0;) {
                int failed;
                reactor_turn(first, UINT64_MAX);
                if (unlikely(watch_dumps(watch, &failed) != dumps)) {
                        dumps = watch_dumps(watch, &failed);
                        control_dumped(&control, first, failed);
                }
                if (unlikely(watch_stuck(watch) != control.stuck ||
                             watch_stalls(watch) != counter_read(&first->counters, COUNT_REACTOR_STALLS)))
                        take_stuck(&control, first, watch);
                if (unlikely(watch_reloads(watch) != reloads || control.is_reload_asked)) {
                        reloads = watch_reloads(watch);
                        control.is_reload_asked = false;
                        is_reloading = true;
                        notify_reloading(watch_notify(watch));
                        reload_ask(reload);
                }
                if (unlikely(is_reloading && !reload_is_under_way(reload))) {
                        is_reloading = false;
                        watch_set_end(watch, end_ns(reload));
                        tell_ready(crew, watch, false);
                        control_reloaded(&control, first, reload_take_outcome(reload, &outcome) ? &outcome : NULL);
                }
        }
        first->control = NULL;
}

static void drain(struct crew *crew, struct watch *watch, struct reload_drain drain)
{
        struct reactor *first = crew_reactor(crew, 0);
        char status[64];
        log_info("draining", "connections=%llu", (unsigned long long)crew_connections(crew));
        snprintf(status, sizeof status, "draining %llu connections", (unsigned long long)crew_connections(crew));
        notify_stopping(watch_notify(watch), status);
        uint64_t until_ns = clock_monotonic_ns() + drain.spread_ns + drain.drain_ns, now_ns;
        reactor_drain(first, drain.drain_ns, drain.spread_ns);
        while (crew_connections(crew) > 0 && watch_stops(watch) == 1 && (now_ns = clock_monotonic_ns()) < until_ns) {
                bool is_alone = crew_count(crew) == 1 || until_ns - now_ns < DRAIN_LOOK_NS;
                reactor_turn(first, is_alone ? until_ns : now_ns + DRAIN_LOOK_NS);
        }
        watch_halting(watch);
        crew_halt(crew);
        uint64_t lost = 0;
        for (unsigned i = 0; i < crew_count(crew); i++) {
                struct reactor *reactor = crew_reactor(crew, i);
                reactor_sample(reactor); /* what is pending now has nobody to go to any more */
                lost += counter_read(&reactor->counters, COUNT_DROPPED_DRAINING) +
                        counter_read(&reactor->counters, COUNT_DELIVERIES_PENDING);
        }
        log_info("stopped", "connections_cut=%llu events_lost=%llu", (unsigned long long)crew_connections(crew),
                 (unsigned long long)lost);
}

/* The exit status. */
static int crew_serve(struct crew *crew, struct watch *watch, const struct settings *settings, struct reload *reload,
                      char error[OPTIONS_ERROR_BYTES])
{
        struct listening_bound bound;
        if (listening_start(crew, settings, &bound, error) != 0)
                return EXIT_FAILED;
        watch_set_duties(watch, &(struct watch_duties){.context = crew,
                                                       .stuck = on_stuck,
                                                       .dump = on_dump,
                                                       .exit_ns = settings->stuck_exit_ns});
        int failed = crew_start(crew);
        if (failed == 0)
                failed = crew_be_watched(crew, watch, end_ns(reload));
        if (failed != 0) {
                snprintf(error, OPTIONS_ERROR_BYTES,
                         "cannot start a thread for each of %u reactors: %s; see `ulimit -u`, or ask for fewer "
                         "--reactors",
                         crew_count(crew), strerror(-failed));
                return EXIT_FAILED;
        }
        struct auth *auth = settings->reactor.auth;
        greeting_print(crew, auth != NULL ? auth_users(auth_gate(auth, 0)) : NULL, bound.nats, bound.admin, stdout);
        turn_until_told(crew, watch, reload);
        drain(crew, watch, reload_drain(reload));
        return EXIT_OK;
}

/* What this machine lacks for a moment is no fault of the configuration: the next start may have it. */
static bool is_lack(int failed)
{
        return failed == -ENOMEM || failed == -EAGAIN || failed == -EMFILE || failed == -ENFILE;
}

static int status_of(int failed)
{
        return is_lack(failed) ? EXIT_FAILED : EXIT_CONFIG;
}

/* The settings are the reload's. */
static int run_with(struct settings *settings, struct reload *reload, struct config *config,
                    uint64_t (*heap_bytes)(void), char error[OPTIONS_ERROR_BYTES])
{
        struct cores *cores = NULL;
        struct crew *crew = NULL;
        struct auth *auth = NULL;
        struct watch *watch = NULL;
        if (watch_new(&watch) != 0) {
                snprintf(error, OPTIONS_ERROR_BYTES, "cannot start: no memory is left");
                return EXIT_FAILED;
        }
        settings_log(settings);
        postmortem_open(settings->postmortem);
        postmortem_catch();
        postmortem_prune(settings->postmortem);
        int failed = start_users(&auth, settings, reload, error);
        if (failed == 0) {
                failed = reload_start(reload, auth);
                if (failed != 0)
                        snprintf(error, OPTIONS_ERROR_BYTES, "cannot start the thread that reads again: %s",
                                 strerror(-failed));
        }
        config_fini(config);
        if (failed != 0) {
                auth_free(auth);
                watch_free(watch);
                return status_of(failed);
        }
        settings->reactor.auth = auth;
        settings_fit_descriptors(settings);
        settings->reactor.heap_bytes = heap_bytes;
        struct cores_settings cores_settings = {.patterns_max = options_number(&settings->options, OPTION_MAX_PATTERNS),
                                                .mailbox_bytes = settings->mailbox_bytes,
                                                .count = settings->cpus.reactors_count};
        random_secret(cores_settings.secret, sizeof cores_settings.secret);
        epoch_register();
        int status = EXIT_FAILED;
        failed = cores_new(&cores, &cores_settings);
        if (failed == 0)
                failed = crew_new(&crew, cores, &settings->reactor, &settings->cpus);
        if (failed != 0) {
                snprintf(error, OPTIONS_ERROR_BYTES,
                         "cannot start: %s; see --memory, --max-connections, --reactors and --backend",
                         strerror(-failed));
        } else {
                reload_serve(reload, cores);
                log_backend(crew);
                status = crew_serve(crew, watch, settings, reload, error);
        }
        auth_stop(auth);
        reload_stop(reload);
        watch_free(watch); /* not before: a loader may hang in a file, and SIGTERM is to end us then, too */
        crew_free(crew);
        auth_free(auth);
        epoch_unregister();
        cores_free(cores);
        return status;
}

static void log_passed_over(const struct options *options)
{
        char quoted[80];
        if (options->passed_over_count > 0)
                log_debug("environment_passed_over",
                          "names=%zu first=%s reason=\"a container platform sets them for a service of this name\"",
                          options->passed_over_count,
                          log_quote(quoted, sizeof quoted,
                                    span_of(options->passed_over, strcspn(options->passed_over, "="))));
}

static int run_options(struct options *options, struct config *config, const struct config_sources *sources,
                       uint64_t (*heap_bytes)(void), char error[OPTIONS_ERROR_BYTES])
{
        struct settings *settings;
        struct reload *reload = NULL;
        int failed = settings_new(&settings, options, config_has_users(config, options), NULL, error);
        if (failed == 0) {
                log_set_level(settings->log_level);
                log_passed_over(&settings->options);
                failed = reload_new(&reload, settings, config, sources);
        }
        if (failed == -ENOMEM)
                snprintf(error, OPTIONS_ERROR_BYTES, "cannot start: no memory is left");
        int status = failed != 0 ? status_of(failed) : run_with(settings, reload, config, heap_bytes, error);
        reload_free(reload);
        return status;
}

static int refuse_argument(const char *argument, char error[OPTIONS_ERROR_BYTES])
{
        snprintf(error, OPTIONS_ERROR_BYTES, "`spate run` takes only options, not \"%s\"; see `spate run --help`",
                 argument);
        return EXIT_USAGE;
}

int run_main(int argc, char **argv, int first, uint64_t (*heap_bytes)(void))
{
        struct options options;
        struct config config;
        struct config_sources sources = {
                .argc = argc, .argv = argv, .first = first, .rows = option_rows, .rows_count = OPTIONS_COUNT};
        char error[OPTIONS_ERROR_BYTES] = "";
        int next = first, status;
        int failed = config_read(&options, &config, &sources, &next, error);
        if (failed != 0)
                status = options.file != NULL || is_lack(failed) ? status_of(failed) : EXIT_USAGE;
        else if (next < argc)
                status = refuse_argument(argv[next], error);
        else
                status = run_options(&options, &config, &sources, heap_bytes, error);
        if (error[0] != '\0')
                fprintf(stderr, "spate: %s\n", error);
        config_fini(&config);
        options_fini(&options);
        return status;
}
