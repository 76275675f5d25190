/* run: starts, prints what a newcomer needs, turns until told to stop, drains. See the header. */
#include "engine/run.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "engine/base/bits.h"
#include "engine/base/log.h"
#include "engine/cpu.h"
#include "engine/portholder.h"
#include "engine/reactor.h"

extern char **environ;

const struct option_row option_rows[OPTIONS_COUNT] = {
#define OPTION_ROW(id, row_name, row_type, row_value, row_min, row_max, row_choices, row_help, row_is_list)            \
        [OPTION_##id] = {.name = row_name,                                                                             \
                         .type = row_type,                                                                             \
                         .value = row_value,                                                                           \
                         .min = row_min,                                                                               \
                         .max = row_max,                                                                               \
                         .choices = row_choices,                                                                       \
                         .help = row_help,                                                                             \
                         .is_list = row_is_list},
        OPTION_TABLE(OPTION_ROW)
#undef OPTION_ROW
};

/* ---- signals: the only state that is not the reactor's ---- */

static volatile sig_atomic_t stops_asked;
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

static void catch_signals(struct io *io)
{
        struct sigaction stop = {.sa_handler = on_stop}, ignore = {.sa_handler = SIG_IGN};
        io_to_wake = io;
        sigemptyset(&stop.sa_mask);
        sigaction(SIGTERM, &stop, NULL);
        sigaction(SIGINT, &stop, NULL);
        sigaction(SIGPIPE, &ignore, NULL);
}

/* ---- from options to settings ---- */

static int settings_from(const struct options *options, struct reactor_settings *settings,
                         char error[OPTIONS_ERROR_BYTES])
{
        uint64_t buffers = options_number(options, OPTION_RECEIVE_BUFFERS),
                 entries = options_number(options, OPTION_URING_ENTRIES);
        static const enum io_backend backends[] = {IO_BACKEND_AUTO, IO_BACKEND_URING, IO_BACKEND_EPOLL};
        *settings = (struct reactor_settings){
                .io = {.backend = backends[options_number(options, OPTION_BACKEND)],
                       .receive_buffer_bytes = (uint32_t)options_number(options, OPTION_RECEIVE_BUFFER),
                       .receive_buffers_count = (uint32_t)buffers,
                       .send_buffer_bytes = (uint32_t)options_number(options, OPTION_SEND_BUFFER),
                       .entries = (uint32_t)entries},
                .memory_bytes = options_number(options, OPTION_MEMORY),
                .lag_bytes_max = options_number(options, OPTION_MAX_LAG),
                .stall_ns_max = options_number(options, OPTION_MAX_STALL),
                .handshake_ns = options_number(options, OPTION_HANDSHAKE_TIMEOUT),
                .quiet_ns = 100 * NS_PER_MS,
                .ping_interval_ns = options_number(options, OPTION_PING_INTERVAL),
                .pings_out_max = (uint32_t)options_number(options, OPTION_PING_MAX),
                .conns_max = (uint32_t)options_number(options, OPTION_MAX_CONNECTIONS),
                .subscriptions_max = (uint32_t)options_number(options, OPTION_MAX_SUBSCRIPTIONS),
                .nats = {.control_line_bytes_max = options_number(options, OPTION_MAX_CONTROL_LINE),
                         .payload_bytes_max = options_number(options, OPTION_MAX_PAYLOAD)},
                .busy_poll = options_number(options, OPTION_BUSY_POLL) != 0,
        };
        if (!bits_is_power_of_two(buffers) || !bits_is_power_of_two(entries)) {
                snprintf(error, OPTIONS_ERROR_BYTES, "--%s must be a power of two: try %llu",
                         bits_is_power_of_two(buffers) ? "uring-entries" : "receive-buffers",
                         1ull << bits_log2_ceil(bits_is_power_of_two(buffers) ? entries : buffers));
                return -EINVAL;
        }
        if (settings->lag_bytes_max > settings->memory_bytes / 2) {
                snprintf(error, OPTIONS_ERROR_BYTES,
                         "--max-lag is more than half of --memory: one subscriber could hold most of it; lower the one "
                         "or raise the other");
                return -EINVAL;
        }
        return 0;
}

/* The engine wants a descriptor for each connection: takes as many as the hard limit allows. */
static void fit_descriptors(struct reactor_settings *settings)
{
        struct rlimit limit;
        rlim_t spare = 128; /* the listeners, the backend, those told that they are too many */
        rlim_t wanted = (rlim_t)settings->conns_max + spare;
        if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
                return;
        if (limit.rlim_cur < wanted) {
                limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
                setrlimit(RLIMIT_NOFILE, &limit);
        }
        if (limit.rlim_cur < wanted) {
                uint32_t possible =
                        (uint32_t)(limit.rlim_cur > 2 * spare ? limit.rlim_cur - spare : limit.rlim_cur / 2);
                log_info("connections_limited",
                         "asked=%u possible=%u reason=RLIMIT_NOFILE fix=\"raise the hard limit of open files: ulimit "
                         "-Hn\"",
                         settings->conns_max, possible);
                settings->conns_max = possible;
        }
}

/* Where the reactor runs. */
static int plan_cpus(const struct options *options, struct cpu_plan *plan, char error[OPTIONS_ERROR_BYTES])
{
        static_assert(CPUS_ERROR_BYTES <= OPTIONS_ERROR_BYTES, "an error fits");
        struct cpus allowed;
        int failed = cpus_allowed(&allowed);
        if (failed != 0) {
                *plan = (struct cpu_plan){.reactors_count = 1, .reason = "sched_getaffinity() fails"};
                return 0;
        }
        return cpu_plan(plan, &allowed, options_text(options, OPTION_CPUS), 1, 1, "", error);
}

static void pin(const struct cpu_plan *plan)
{
        if (!plan->is_pinned) {
                log_info("not_pinned", "reason=\"%s\"", plan->reason);
                return;
        }
        unsigned cpu = plan->cpus.numbers[0];
        int failed = cpu_pin(cpu);
        if (failed == 0)
                log_info("pinned", "cpu=%u node=%d", cpu, cpu_node(cpu, ""));
        else
                log_warn("not_pinned", "cpu=%u reason=\"%s\"", cpu, strerror(-failed));
}

/* ---- listening ---- */

static bool is_loopback(const char *address)
{
        return strncmp(address, "127.", 4) == 0 || strncmp(address, "[::1]:", 6) == 0 ||
               strncmp(address, "localhost:", 10) == 0 || strncmp(address, "unix:", 5) == 0;
}

/* "HOST:PORT" with `offset` added to a port other than 0. */
static void with_offset(const char *address, uint64_t offset, char out[IO_ADDRESS_BYTES_MAX])
{
        const char *colon = strrchr(address, ':');
        unsigned long port = colon == NULL ? 0 : strtoul(colon + 1, NULL, 10);
        if (strncmp(address, "unix:", 5) == 0 || port == 0 || offset == 0)
                snprintf(out, IO_ADDRESS_BYTES_MAX, "%s", address);
        else
                snprintf(out, IO_ADDRESS_BYTES_MAX, "%.*s:%lu", (int)(colon - address), address,
                         port + (unsigned long)offset);
}

static int listen_on(struct reactor *reactor, const char *asked, uint64_t offset, const struct peer_protocol *protocol,
                     const char *flag, char bound[IO_ADDRESS_BYTES_MAX], char error[OPTIONS_ERROR_BYTES])
{
        char address[IO_ADDRESS_BYTES_MAX], holder[128];
        with_offset(asked, offset, address);
        const char *colon = strrchr(address, ':');
        bool names_host = colon != NULL && colon != address; /* else it is no address, which is told below */
        if (names_host && !is_loopback(address)) {
                snprintf(error, OPTIONS_ERROR_BYTES,
                         "--%s %s: without users this server listens on loopback only (127.0.0.1, [::1], unix:PATH), "
                         "where nobody else can reach it",
                         flag, address);
                return -EPERM;
        }
        int failed = reactor_listen(reactor, address, protocol, bound);
        if (failed == -EADDRINUSE && strncmp(address, "unix:", 5) == 0)
                snprintf(error, OPTIONS_ERROR_BYTES,
                         "--%s %s: a running server listens there, or it is a file that is no socket; stop that "
                         "server, or choose another path",
                         flag, address);
        else if (failed == -EADDRINUSE)
                snprintf(error, OPTIONS_ERROR_BYTES,
                         "--%s %s: the port is held by %s; stop that, choose another address, or add --port-offset "
                         "10000",
                         flag, address, portholder_name(address, holder, sizeof holder));
        else if (failed == -EINVAL)
                snprintf(error, OPTIONS_ERROR_BYTES,
                         "--%s %s: not an address; write HOST:PORT or [IPv6]:PORT with a port up to 65535 "
                         "(--port-offset is in it), or unix:PATH with at most 107 bytes of path",
                         flag, address);
        else if (failed != 0)
                snprintf(error, OPTIONS_ERROR_BYTES, "--%s %s: %s", flag, address, strerror(-failed));
        if (failed == 0)
                log_info("listening", "address=%s protocol=%s", bound, protocol->name);
        return failed;
}

static int listen_on_all(struct reactor *reactor, const struct options *options, char nats[IO_ADDRESS_BYTES_MAX],
                         char admin[IO_ADDRESS_BYTES_MAX], char error[OPTIONS_ERROR_BYTES])
{
        uint64_t offset = options_number(options, OPTION_PORT_OFFSET);
        char bound[IO_ADDRESS_BYTES_MAX];
        char *list = strdup(options_text(options, OPTION_LISTEN)), *rest = list;
        int failed = list == NULL ? -ENOMEM : 0;
        for (char *address; failed == 0 && (address = strsep(&rest, ",")) != NULL;) {
                failed = listen_on(reactor, address, offset, &session_protocol, "listen", bound, error);
                if (failed == 0 && nats[0] == '\0')
                        strcpy(nats, bound);
        }
        free(list);
        const char *admin_asked = options_text(options, OPTION_ADMIN);
        if (failed == 0 && strcmp(admin_asked, "none") != 0)
                failed = listen_on(reactor, admin_asked, offset, &admin_protocol, "admin", admin, error);
        return failed;
}

static void print_greeting(const struct reactor *reactor, const char *nats, const char *admin)
{
        printf("spate %s: %s, pid %ld\n\n", SPATE_VERSION, io_traits(reactor->io)->name, (long)getpid());
        reactor_print_plan(&reactor->settings, stdout);
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

static void turn_until_stopped(struct reactor *reactor, uint64_t drain_ns)
{
        while (stops_asked == 0)
                reactor_turn(reactor, UINT64_MAX);
        log_info("draining", "connections=%u", reactor->peers_count);
        uint64_t until_ns = clock_monotonic_ns() + drain_ns;
        reactor_drain(reactor, drain_ns, 0);
        while (reactor->peers_count > 0 && stops_asked == 1 && clock_monotonic_ns() < until_ns)
                reactor_turn(reactor, until_ns);
        log_info("stopped", "connections_cut=%u", reactor->peers_count);
}

static int run_with(const struct options *options, uint64_t (*heap_bytes)(void), char error[OPTIONS_ERROR_BYTES])
{
        struct reactor_settings settings;
        struct cores *cores = NULL;
        struct cpu_plan cpus;
        struct reactor *reactor = NULL;
        struct cores_settings cores_settings = {.count = 1,
                                                .mailbox_bytes = MAILBOX_BYTES_DEFAULT,
                                                .patterns_max = options_number(options, OPTION_MAX_PATTERNS)};
        char nats[IO_ADDRESS_BYTES_MAX] = "", admin[IO_ADDRESS_BYTES_MAX] = "";
        if (settings_from(options, &settings, error) != 0 || plan_cpus(options, &cpus, error) != 0)
                return EXIT_CONFIG;
        pin(&cpus);
        fit_descriptors(&settings);
        settings.heap_bytes = heap_bytes;
        random_secret(cores_settings.secret, sizeof cores_settings.secret);
        epoch_register();
        int status = EXIT_FAILED;
        int failed = cores_new(&cores, &cores_settings);
        if (failed == 0)
                failed = reactor_new(&reactor, &settings, cores, NULL);
        if (failed != 0) {
                snprintf(error, OPTIONS_ERROR_BYTES, "cannot start: %s; see --memory, --max-connections and --backend",
                         strerror(-failed));
        } else {
                catch_signals(reactor->io);
                log_backend(reactor->io);
                failed = listen_on_all(reactor, options, nats, admin, error);
                if (failed == 0) {
                        print_greeting(reactor, nats, admin);
                        turn_until_stopped(reactor, options_number(options, OPTION_DRAIN_TIMEOUT));
                        status = EXIT_OK;
                } else if (failed == -EINVAL || failed == -EPERM) {
                        status = EXIT_CONFIG;
                }
                io_to_wake = NULL;
        }
        reactor_free(reactor);
        epoch_unregister();
        cores_free(cores);
        return status;
}

/* What the client commands read. */
static const char *const not_ours[] = {"SPATE_SERVER", "SPATE_TIMEOUT", NULL};

int run_main(int argc, char **argv, int first, uint64_t (*heap_bytes)(void))
{
        struct options options;
        char error[OPTIONS_ERROR_BYTES] = "";
        enum log_level level;
        int next = first, status = EXIT_USAGE;
        if (options_init(&options, option_rows, OPTIONS_COUNT) != 0)
                return EXIT_FAILED;
        for (int i = first; i < argc; i++) {
                if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
                        printf("usage: spate [run] [options]\n\nEach option can also be set in the environment: "
                               "--max-lag as SPATE_MAX_LAG.\n\n");
                        options_print_help(&options, stdout);
                        options_fini(&options);
                        return EXIT_OK;
                }
        }
        if (options_read_environment(&options, environ, not_ours, error) == 0 &&
            options_read_flags(&options, argc, argv, first, &next, error) == 0) {
                if (next < argc) {
                        snprintf(error, sizeof error,
                                 "`spate run` takes only options, not \"%s\"; see `spate run --help`", argv[next]);
                } else if (log_level_of_text(options_text(&options, OPTION_LOG_LEVEL), &level) == 0) {
                        log_set_level(level);
                        status = run_with(&options, heap_bytes, error);
                }
        }
        if (error[0] != '\0')
                fprintf(stderr, "spate: %s\n", error);
        options_fini(&options);
        return status;
}
