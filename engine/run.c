/* run: starts, prints what a newcomer needs, turns until told to stop, drains. See the header. */
#include "engine/run.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/auth.h"
#include "engine/base/random.h"
#include "engine/command_table.h"
#include "engine/listening.h"
#include "engine/settings.h"

extern char **environ;

/* ---- signals: the only state that is not the reactor's ---- */

static volatile sig_atomic_t stops_asked, reloads_asked;
static struct io *io_to_wake;

static void on_stop(int signal)
{
        int saved = errno;
        (void)signal;
        stops_asked++;
        if (io_to_wake != NULL)
                io_wake(io_to_wake);
        errno = saved;
}

static void on_reload(int signal)
{
        int saved = errno;
        (void)signal;
        reloads_asked = 1;
        if (io_to_wake != NULL)
                io_wake(io_to_wake);
        errno = saved;
}

static void catch_signals(struct io *io)
{
        struct sigaction stop = {.sa_handler = on_stop}, ignore = {.sa_handler = SIG_IGN};
        struct sigaction reload = {.sa_handler = on_reload};
        io_to_wake = io;
        sigemptyset(&stop.sa_mask);
        sigemptyset(&reload.sa_mask);
        sigaction(SIGHUP, &reload, NULL);
        sigaction(SIGTERM, &stop, NULL);
        sigaction(SIGINT, &stop, NULL);
        sigaction(SIGPIPE, &ignore, NULL);
}

/* ---- users ---- */

/* Before anything is pinned: the thread that tries passwords is to run where it does not disturb. */
static int start_users(struct auth **auth, const struct settings *settings, char error[OPTIONS_ERROR_BYTES])
{
        struct auth_settings asked = {.path = settings_users_file(settings),
                                      .listeners = settings->listeners.names,
                                      .listeners_count = settings->listeners.count,
                                      .reactors_count = settings->cpus.reactors_count,
                                      .timeout_ns = settings->reactor.auth_timeout_ns,
                                      .ban_after = settings->ban_after,
                                      .ban_ns = settings->ban_ns};
        if (!settings->has_users)
                return 0;
        int failed = auth_new(auth, &asked, error);
        if (failed == 0)
                log_info("users", "file=%s users=%zu", asked.path, users_count(auth_users(auth_gate(*auth, 0))));
        return failed;
}

/* ---- what a newcomer needs ---- */

static void print_greeting(struct crew *crew, const char *nats, const char *admin)
{
        const struct reactor *reactor = crew_reactor(crew, 0);
        printf("spate %s: %s, %u reactor%s, pid %ld\n\n", SPATE_VERSION, io_traits(reactor->io)->name, crew_count(crew),
               crew_count(crew) > 1 ? "s" : "", (long)getpid());
        reactor_print_plan(&reactor->settings, reactor->cores, stdout);
        const char *me = program_invocation_name; /* so that the lines can be copied as they stand */
        printf("\ntry it, in another terminal:\n"
               "  %s sub --server %s 'demo.>'\n"
               "  %s pub --server %s demo.hello 'hello, world'\n",
               me, nats, me, nats);
        if (admin[0] != '\0')
                printf("  %s status --admin %s\n", me, admin);
        if (strncmp(admin, "unix:", 5) == 0)
                printf("  curl --unix-socket %s http://localhost/metrics\n", admin + 5);
        else if (admin[0] != '\0')
                printf("  curl http://%s/metrics\n", admin);
        if (strncmp(nats, "unix:", 5) == 0)
                printf("a NATS client that can use a UNIX socket: %s\n\n", nats + 5);
        else
                printf("any NATS client: nats://%s\n\n", nats);
        fflush(stdout);
}

static void log_backend(const struct io *io)
{
        const struct io_traits *traits = io_traits(io);
        size_t features_count;
        const struct io_feature *features = io_features(io, &features_count);
        if (traits->reason[0] != '\0')
                log_warn("backend", "name=%s reason=\"%s\" errno=%d", traits->name, traits->reason,
                         traits->reason_errno);
        else
                log_info("backend", "name=%s", traits->name);
        for (size_t i = 0; i < features_count; i++)
                if (!features[i].present)
                        log_info("feature_absent", "name=\"%s\" since_kernel=%s instead=\"%s\"", features[i].name,
                                 features[i].kernel, features[i].fallback);
}

/* ---- running ---- */

#define DRAIN_LOOK_NS (10 * NS_PER_MS) /* how often the first reactor asks whether the others are through */

static void reload(struct auth *auth)
{
        reloads_asked = 0;
        if (auth != NULL)
                auth_reload(auth);
        else
                log_info("nothing_to_reload", "fix=\"start with --users FILE\"");
}

/* In the thread of the first reactor. */
static void turn_until_stopped(struct crew *crew, uint64_t drain_ns, uint64_t spread_ns)
{
        struct reactor *first = crew_reactor(crew, 0);
        while (stops_asked == 0) {
                reactor_turn(first, UINT64_MAX);
                if (reloads_asked != 0)
                        reload(first->settings.auth);
        }
        log_info("draining", "connections=%llu", (unsigned long long)crew_connections(crew));
        uint64_t until_ns = clock_monotonic_ns() + spread_ns + drain_ns, now_ns;
        reactor_drain(first, drain_ns, spread_ns);
        while (crew_connections(crew) > 0 && stops_asked == 1 && (now_ns = clock_monotonic_ns()) < until_ns) {
                bool is_alone = crew_count(crew) == 1 || until_ns - now_ns < DRAIN_LOOK_NS;
                reactor_turn(first, is_alone ? until_ns : now_ns + DRAIN_LOOK_NS);
        }
        crew_halt(crew);
        uint64_t lost = 0;
        for (unsigned i = 0; i < crew_count(crew); i++)
                lost += counter_read(&crew_reactor(crew, i)->counters, COUNT_DROPPED_DRAINING);
        log_info("stopped", "connections_cut=%llu events_lost=%llu", (unsigned long long)crew_connections(crew),
                 (unsigned long long)lost);
}

/* The exit status. */
static int crew_serve(struct crew *crew, const struct settings *settings, char error[OPTIONS_ERROR_BYTES])
{
        struct listening_bound bound;
        if (listening_start(crew, settings, &bound, error) != 0)
                return EXIT_FAILED;
        int failed = crew_start(crew);
        if (failed != 0) {
                snprintf(error, OPTIONS_ERROR_BYTES,
                         "cannot start a thread for each of %u reactors: %s; see `ulimit -u`, or ask for fewer "
                         "--reactors",
                         crew_count(crew), strerror(-failed));
                return EXIT_FAILED;
        }
        print_greeting(crew, bound.nats, bound.admin);
        turn_until_stopped(crew, settings->drain_ns, settings->spread_ns);
        return EXIT_OK;
}

static int run_with(struct settings *settings, uint64_t (*heap_bytes)(void), char error[OPTIONS_ERROR_BYTES])
{
        struct cores *cores = NULL;
        struct crew *crew = NULL;
        struct auth *auth = NULL;
        settings_log(settings);
        if (start_users(&auth, settings, error) != 0)
                return EXIT_CONFIG;
        settings->reactor.auth = auth;
        settings_fit_descriptors(settings);
        settings->reactor.heap_bytes = heap_bytes;
        struct cores_settings cores_settings = {.patterns_max = options_number(&settings->options, OPTION_MAX_PATTERNS),
                                                .mailbox_bytes = settings->mailbox_bytes,
                                                .count = settings->cpus.reactors_count};
        random_secret(cores_settings.secret, sizeof cores_settings.secret);
        epoch_register();
        int status = EXIT_FAILED;
        int failed = cores_new(&cores, &cores_settings);
        if (failed == 0)
                failed = crew_new(&crew, cores, &settings->reactor, &settings->cpus);
        if (failed != 0) {
                snprintf(error, OPTIONS_ERROR_BYTES,
                         "cannot start: %s; see --memory, --max-connections, --reactors and --backend",
                         strerror(-failed));
        } else {
                const struct reactor *first = crew_reactor(crew, 0);
                catch_signals(first->io);
                log_backend(first->io);
                status = crew_serve(crew, settings, error);
                io_to_wake = NULL;
        }
        auth_stop(auth);
        crew_free(crew);
        auth_free(auth);
        epoch_unregister();
        cores_free(cores);
        return status;
}

/* Read by the client commands, who may share our environment. */
static const char *const not_ours[] = {
#define SECRET(name, help) name,
        ENVIRONMENT_TABLE(SECRET)
#undef SECRET
                NULL,
};

static int run_options(struct options *options, uint64_t (*heap_bytes)(void), char error[OPTIONS_ERROR_BYTES])
{
        struct settings *settings;
        bool has_users = options_text(options, OPTION_USERS)[0] != '\0';
        int failed = settings_new(&settings, options, has_users, NULL, error);
        if (failed == -ENOMEM)
                snprintf(error, OPTIONS_ERROR_BYTES, "cannot start: no memory is left");
        if (failed != 0)
                return EXIT_CONFIG;
        log_set_level(settings->log_level);
        int status = run_with(settings, heap_bytes, error);
        settings_free(settings);
        return status;
}

int run_main(int argc, char **argv, int first, uint64_t (*heap_bytes)(void))
{
        struct options options;
        char error[OPTIONS_ERROR_BYTES] = "";
        int next = first, status = EXIT_USAGE;
        if (options_init(&options, option_rows, OPTIONS_COUNT) != 0)
                return EXIT_FAILED;
        if (options_read_environment(&options, environ, not_ours, error) == 0 &&
            options_read_flags(&options, argc, argv, first, &next, error) == 0) {
                if (next < argc)
                        snprintf(error, sizeof error,
                                 "`spate run` takes only options, not \"%s\"; see `spate run --help`", argv[next]);
                else
                        status = run_options(&options, heap_bytes, error);
        }
        if (error[0] != '\0')
                fprintf(stderr, "spate: %s\n", error);
        options_fini(&options);
        return status;
}
