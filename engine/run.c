/* run: starts, prints what a newcomer needs, turns until told to stop, drains. See the header. */
#include "engine/run.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "engine/auth.h"
#include "engine/base/bits.h"
#include "engine/base/log.h"
#include "engine/command_table.h"
#include "engine/crew.h"
#include "engine/door.h"
#include "engine/portholder.h"

extern char **environ;

const struct option_row option_rows[OPTIONS_COUNT] = {
#define OPTION_ROW(id, row_name, row_key, row_when, row_type, row_value, row_min, row_max, row_choices, row_help,      \
                   row_is_list)                                                                                        \
        [OPTION_##id] = {.name = row_name,                                                                             \
                         .key = row_key,                                                                               \
                         .when = row_when,                                                                             \
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

/* ---- from options to settings ---- */

#define MEMORY_BYTES_DEFAULT GIB
#define REACTOR_MEMORY_BYTES_DEFAULT (128 * MIB)
#define REACTOR_MEMORY_BYTES_MIN (16 * MIB)
#define LAG_BYTES_DEFAULT (16 * MIB)

/* --memory is for all reactors together; each has its share. */
static int memory_from(const struct options *options, unsigned reactors_count, struct reactor_settings *settings,
                       char error[OPTIONS_ERROR_BYTES])
{
        uint64_t bytes = options_number(options, OPTION_MEMORY), each = REACTOR_MEMORY_BYTES_DEFAULT;
        if (bytes == 0)
                bytes = reactors_count * each > MEMORY_BYTES_DEFAULT ? reactors_count * each : MEMORY_BYTES_DEFAULT;
        settings->memory_bytes = bytes / reactors_count;
        if (settings->memory_bytes < REACTOR_MEMORY_BYTES_MIN) {
                snprintf(error, OPTIONS_ERROR_BYTES,
                         "--memory is shared by %u reactors, and each needs %llu MiB; raise it to %llu MiB, or ask for "
                         "fewer --reactors",
                         reactors_count, (unsigned long long)(REACTOR_MEMORY_BYTES_MIN / MIB),
                         (unsigned long long)(reactors_count * REACTOR_MEMORY_BYTES_MIN / MIB));
                return -EINVAL;
        }
        if (settings->lag_bytes_max == 0)
                settings->lag_bytes_max =
                        LAG_BYTES_DEFAULT < settings->memory_bytes / 2 ? LAG_BYTES_DEFAULT : settings->memory_bytes / 2;
        if (settings->lag_bytes_max > settings->memory_bytes / 2) {
                snprintf(error, OPTIONS_ERROR_BYTES,
                         "--max-lag is more than half of --memory%s: one subscriber could hold most of it; lower the "
                         "one or raise the other",
                         reactors_count > 1 ? " of a reactor" : "");
                return -EINVAL;
        }
        return 0;
}

/* A mailbox holds two of the largest events, whatever else stands in their records: CORES_RECORD_IDS_MAX patterns, and
 * names of queue groups of at most an eighth of it. */
static int mailbox_from(const struct options *options, size_t *mailbox_bytes, char error[OPTIONS_ERROR_BYTES])
{
        uint64_t needed = 2 * (options_number(options, OPTION_MAX_PAYLOAD) +
                               options_number(options, OPTION_MAX_CONTROL_LINE) + 64 * KIB);
        uint64_t asked = options_number(options, OPTION_MAILBOX);
        if (asked != 0 && asked < needed) {
                snprintf(error, OPTIONS_ERROR_BYTES,
                         "--mailbox is less than two of the largest events take: raise it to %llu KiB, lower "
                         "--max-payload, or say auto",
                         (unsigned long long)(needed / KIB));
                return -EINVAL;
        }
        if (asked == 0)
                asked = needed > MAILBOX_BYTES_DEFAULT ? needed : MAILBOX_BYTES_DEFAULT;
        *mailbox_bytes = (size_t)1 << bits_log2_ceil(asked);
        return 0;
}

static int settings_from(const struct options *options, unsigned reactors_count, struct reactor_settings *settings,
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
                .lag_bytes_max = options_number(options, OPTION_MAX_LAG),
                .stall_ns_max = options_number(options, OPTION_MAX_STALL),
                .block_ns = options_number(options, OPTION_BLOCK_TIME),
                .handshake_ns = options_number(options, OPTION_HANDSHAKE_TIMEOUT),
                .quiet_ns = 100 * NS_PER_MS,
                .ping_interval_ns = options_number(options, OPTION_PING_INTERVAL),
                .pings_out_max = (uint32_t)options_number(options, OPTION_PING_MAX),
                .conns_max = (uint32_t)options_number(options, OPTION_MAX_CONNECTIONS),
                .address_conns_max = (uint32_t)options_number(options, OPTION_MAX_PER_ADDRESS),
                .subscriptions_max = (uint32_t)options_number(options, OPTION_MAX_SUBSCRIPTIONS),
                .nats = {.control_line_bytes_max = options_number(options, OPTION_MAX_CONTROL_LINE),
                         .payload_bytes_max = options_number(options, OPTION_MAX_PAYLOAD)},
                .busy_poll = options_number(options, OPTION_BUSY_POLL) != 0,
                .auth_timeout_ns = options_number(options, OPTION_AUTH_TIMEOUT),
        };
        if (!bits_is_power_of_two(buffers) || !bits_is_power_of_two(entries)) {
                snprintf(error, OPTIONS_ERROR_BYTES, "--%s must be a power of two: try %llu",
                         bits_is_power_of_two(buffers) ? "uring-entries" : "receive-buffers",
                         1ull << bits_log2_ceil(bits_is_power_of_two(buffers) ? entries : buffers));
                return -EINVAL;
        }
        return memory_from(options, reactors_count, settings, error);
}

/* What becomes of those who lag: the rules, and the policy of each listener in the order of --listen. */
static int lag_from(const struct options *options, struct lag_rules *rules, struct reactor_settings *settings,
                    char error[OPTIONS_ERROR_BYTES])
{
        const char *listen = options_text(options, OPTION_LISTEN);
        struct lag usual = {.policy = (enum lag_policy)options_number(options, OPTION_LAG_POLICY),
                            .limit_bytes = settings->lag_bytes_max};
        int failed = lag_rules_init(rules, usual, settings->memory_bytes / 2, options_text(options, OPTION_LAG_RULE),
                                    options_text(options, OPTION_LAG_LISTENER), error);
        if (failed == 0)
                failed = lag_rules_check_listeners(rules, listen, error);
        settings->lag = rules;
        for (size_t i = 0; failed == 0 && i < REACTOR_LISTENERS_MAX; i++) {
                size_t size = strcspn(listen, ",");
                settings->lag_policies[i] = (uint8_t)lag_default_of(rules, span_of(listen, size));
                listen += size + (listen[size] == ',');
        }
        return failed;
}

/* A publisher on another reactor hears of it late: a mailbox of its events, and as much input, may be under way. */
static void warn_of_short_blocks(const struct reactor_settings *settings, unsigned reactors_count, size_t mailbox_bytes)
{
        const struct lag_rules *rules = settings->lag;
        uint64_t enough_bytes = 4 * (uint64_t)mailbox_bytes, least_bytes = UINT64_MAX;
        for (size_t i = 0; i < REACTOR_LISTENERS_MAX; i++)
                if (settings->lag_policies[i] == LAG_BLOCK)
                        least_bytes = settings->lag_bytes_max;
        for (size_t i = 0; i < rules->rules_count; i++)
                if (rules->rules[i].lag.policy == LAG_BLOCK && rules->rules[i].lag.limit_bytes < least_bytes)
                        least_bytes = rules->rules[i].lag.limit_bytes;
        if (reactors_count > 1 && least_bytes < enough_bytes)
                log_warn("block_limit_short",
                         "limit_bytes=%llu enough_bytes=%llu reason=\"publishers on other reactors are stopped late\" "
                         "fix=\"raise the limit, or run one reactor\"",
                         (unsigned long long)least_bytes, (unsigned long long)enough_bytes);
}

/* The engine wants a descriptor for each connection: takes as many as the hard limit allows. */
static void fit_descriptors(unsigned reactors_count, struct reactor_settings *settings)
{
        struct rlimit limit;
        /* Listeners and backends, and those whom each reactor tells that they are too many, its admin's, its newest. */
        rlim_t spare = 48 + (rlim_t)reactors_count * (DOOR_SLOTS + 16);
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

/* How many reactors, and where each runs. */
static int plan_cpus(const struct options *options, struct cpu_plan *plan, char error[OPTIONS_ERROR_BYTES])
{
        static_assert(CPUS_ERROR_BYTES <= OPTIONS_ERROR_BYTES, "an error fits");
        static_assert(MATCH_REACTORS_MAX == 64, "the most that --reactors takes");
        uint32_t count = (uint32_t)options_number(options, OPTION_REACTORS);
        struct cpus allowed;
        char text[CPUS_TEXT_BYTES];
        int failed = cpus_allowed(&allowed);
        if (failed != 0) {
                *plan = (struct cpu_plan){.reactors_count = count != 0 ? count : 1, .reason = strerror(-failed)};
        } else {
                failed = cpu_plan(plan, &allowed, options_text(options, OPTION_CPUS), count, MATCH_REACTORS_MAX, "",
                                  error);
                if (failed != 0)
                        return failed;
        }
        if (plan->is_pinned)
                log_info("pinned", "reactors=%u cpus=%s", plan->reactors_count, cpus_text(&plan->cpus, text));
        else
                log_info("not_pinned", "reactors=%u reason=\"%s\"", plan->reactors_count, plan->reason);
        return 0;
}

/* ---- users ---- */

/* As they were given to --listen; the users file names them so. */
struct listener_names {
        char *text; /* what the names point into */
        const char *names[REACTOR_LISTENERS_MAX];
        size_t count;
};

static void listener_names_read(struct listener_names *listeners, const char *text)
{
        listeners->count = 0;
        listeners->text = strdup(text);
        char *rest = listeners->text;
        for (char *name; (name = strsep(&rest, ",")) != NULL && listeners->count < REACTOR_LISTENERS_MAX;)
                listeners->names[listeners->count++] = name;
}

/* Before anything is pinned: the thread that tries passwords is to run where it does not disturb. */
static int start_users(struct auth **auth, const struct options *options, const struct listener_names *listeners,
                       unsigned reactors_count, char error[OPTIONS_ERROR_BYTES])
{
        struct auth_settings settings = {.path = options_text(options, OPTION_USERS),
                                         .listeners = listeners->names,
                                         .listeners_count = listeners->count,
                                         .reactors_count = reactors_count,
                                         .timeout_ns = options_number(options, OPTION_AUTH_TIMEOUT),
                                         .ban_after = (uint32_t)options_number(options, OPTION_BAN_AFTER),
                                         .ban_ns = options_number(options, OPTION_BAN_TIME)};
        if (settings.path[0] == '\0')
                return 0;
        int failed = auth_new(auth, &settings, error);
        if (failed == 0)
                log_info("users", "file=%s users=%zu", settings.path, users_count(auth_users(auth_gate(*auth, 0))));
        return failed;
}

/* ---- listening ---- */

static bool is_loopback(const char *address)
{
        return strncmp(address, "127.", 4) == 0 || strncmp(address, "[::1]:", 6) == 0 ||
               strncmp(address, "localhost:", 10) == 0 || strncmp(address, "unix:", 5) == 0;
}

/* "HOST:PORT" with `offset` added to a port other than 0; what is no port stays as it is, and is refused as that. */
static void with_offset(const char *address, uint64_t offset, char out[IO_ADDRESS_BYTES_MAX])
{
        const char *colon = strrchr(address, ':');
        size_t digits = colon == NULL ? 0 : strspn(colon + 1, "0123456789");
        bool is_port = digits > 0 && digits <= strlen("65535") && colon[1 + digits] == '\0';
        unsigned long port = is_port ? strtoul(colon + 1, NULL, 10) : 0;
        if (strncmp(address, "unix:", 5) == 0 || port == 0 || offset == 0)
                snprintf(out, IO_ADDRESS_BYTES_MAX, "%s", address);
        else
                snprintf(out, IO_ADDRESS_BYTES_MAX, "%.*s:%lu", (int)(colon - address), address,
                         port + (unsigned long)offset);
}

#define ALL_REACTORS UINT_MAX

/* Cuts "@3" off the end of an address. Where digits end it, that is what they mean, in a path as well. 0 or -EINVAL. */
static int cut_reactor(char *address, unsigned reactors_count, unsigned *number, char error[OPTIONS_ERROR_BYTES])
{
        char *at = strrchr(address, '@');
        bool is_path = strncmp(address, "unix:", 5) == 0;
        *number = is_path ? 0 : ALL_REACTORS;
        if (at == NULL || at[1] == '\0' || at[1 + strspn(at + 1, "0123456789")] != '\0')
                return 0;
        unsigned long asked = strtoul(at + 1, NULL, 10);
        if (asked >= reactors_count) {
                snprintf(error, OPTIONS_ERROR_BYTES,
                         "--listen %s: there is no reactor %s; the last of %u is %u; name one of them, or ask for more "
                         "--reactors",
                         address, at + 1, reactors_count, reactors_count - 1);
                return -EINVAL;
        }
        *at = '\0';
        *number = (unsigned)asked;
        return 0;
}

/* On one reactor, or on all: the kernel gives each connection to one of them. */
static int crew_listen(struct crew *crew, const char *address, unsigned number, const struct peer_protocol *protocol,
                       char bound[IO_ADDRESS_BYTES_MAX])
{
        if (number != ALL_REACTORS || crew_count(crew) == 1)
                return reactor_listen(crew_reactor(crew, number != ALL_REACTORS ? number : 0), address, protocol,
                                      bound);
        int failed = reactor_listen_shared(crew_reactor(crew, 0), address, IO_SHARED_FIRST, protocol, bound);
        for (unsigned i = 1; failed == 0 && i < crew_count(crew); i++) {
                char same[IO_ADDRESS_BYTES_MAX];
                failed = reactor_listen_shared(crew_reactor(crew, i), bound, IO_SHARED_JOINS, protocol, same);
        }
        return failed;
}

static int listen_on(struct crew *crew, unsigned number, const char *asked, uint64_t offset,
                     const struct peer_protocol *protocol, const char *flag, char bound[IO_ADDRESS_BYTES_MAX],
                     char error[OPTIONS_ERROR_BYTES])
{
        char address[IO_ADDRESS_BYTES_MAX], holder[128], me[32];
        with_offset(asked, offset, address);
        const char *colon = strrchr(address, ':');
        bool names_host = colon != NULL && colon != address; /* else it is no address, which is told below */
        bool is_admin = protocol == &admin_protocol;
        if (names_host && !is_loopback(address) && (is_admin || crew_reactor(crew, 0)->gate == NULL)) {
                snprintf(error, OPTIONS_ERROR_BYTES,
                         is_admin ? "--%s %s: the admin address asks nobody who he is, and listens on loopback only "
                                    "(127.0.0.1, [::1], unix:PATH)"
                                  : "--%s %s: without users this server listens on loopback only (127.0.0.1, [::1], "
                                    "unix:PATH), where nobody else can reach it; name them with --users FILE",
                         flag, address);
                return -EPERM;
        }
        int failed = crew_listen(crew, address, number, protocol, bound);
        snprintf(me, sizeof me, "(pid %ld)", (long)getpid());
        if (failed == -EADDRINUSE && strncmp(address, "unix:", 5) == 0)
                snprintf(error, OPTIONS_ERROR_BYTES,
                         "--%s %s: a running server listens there, or it is a file that is no socket; stop that "
                         "server, or choose another path",
                         flag, address);
        else if (failed == -EADDRINUSE && strstr(portholder_name(address, holder, sizeof holder), me) != NULL)
                snprintf(error, OPTIONS_ERROR_BYTES,
                         "--%s %s: this server has that port already, by another --listen or --admin; give each a port "
                         "of its own",
                         flag, address);
        else if (failed == -EADDRINUSE)
                snprintf(error, OPTIONS_ERROR_BYTES,
                         "--%s %s: the port is held by %s; stop that, choose another address, or add --port-offset "
                         "10000",
                         flag, address, holder);
        else if (failed == -EINVAL)
                snprintf(error, OPTIONS_ERROR_BYTES,
                         "--%s %s: not an address; write IPv4:PORT, [IPv6]:PORT or localhost:PORT with a port up to "
                         "65535 (--port-offset is in it), or unix:PATH with at most 107 bytes of path",
                         flag, address);
        else if (failed != 0)
                snprintf(error, OPTIONS_ERROR_BYTES, "--%s %s: %s", flag, address, strerror(-failed));
        if (failed == 0 && number != ALL_REACTORS && crew_count(crew) > 1)
                log_info("listening", "address=%s protocol=%s reactor=%u", bound, protocol->name, number);
        else if (failed == 0)
                log_info("listening", "address=%s protocol=%s", bound, protocol->name);
        return failed;
}

static int listen_on_all(struct crew *crew, const struct options *options, char nats[IO_ADDRESS_BYTES_MAX],
                         char admin[IO_ADDRESS_BYTES_MAX], char error[OPTIONS_ERROR_BYTES])
{
        uint64_t offset = options_number(options, OPTION_PORT_OFFSET);
        char bound[IO_ADDRESS_BYTES_MAX];
        char *list = strdup(options_text(options, OPTION_LISTEN)), *rest = list;
        int failed = list == NULL ? -ENOMEM : 0;
        uint8_t listens_count = 0; /* no more than fit: a reactor has fewer listeners */
        for (char *address; failed == 0 && (address = strsep(&rest, ",")) != NULL;) {
                unsigned number;
                failed = cut_reactor(address, crew_count(crew), &number, error);
                for (unsigned i = 0; i < crew_count(crew); i++)
                        crew_reactor(crew, i)->listen_number = listens_count;
                listens_count++;
                if (failed == 0)
                        failed = listen_on(crew, number, address, offset, &session_protocol, "listen", bound, error);
                if (failed == 0 && nats[0] == '\0')
                        strcpy(nats, bound);
        }
        free(list);
        const char *admin_asked = options_text(options, OPTION_ADMIN);
        if (failed == 0 && strcmp(admin_asked, "none") != 0)
                failed = listen_on(crew, 0, admin_asked, offset, &admin_protocol, "admin", admin, error);
        return failed;
}

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
static int crew_serve(struct crew *crew, const struct options *options, char error[OPTIONS_ERROR_BYTES])
{
        char nats[IO_ADDRESS_BYTES_MAX] = "", admin[IO_ADDRESS_BYTES_MAX] = "";
        int failed = listen_on_all(crew, options, nats, admin, error);
        if (failed != 0)
                return failed == -EINVAL || failed == -EPERM ? EXIT_CONFIG : EXIT_FAILED;
        failed = crew_start(crew);
        if (failed != 0) {
                snprintf(error, OPTIONS_ERROR_BYTES,
                         "cannot start a thread for each of %u reactors: %s; see `ulimit -u`, or ask for fewer "
                         "--reactors",
                         crew_count(crew), strerror(-failed));
                return EXIT_FAILED;
        }
        print_greeting(crew, nats, admin);
        turn_until_stopped(crew, options_number(options, OPTION_DRAIN_TIMEOUT),
                           options_number(options, OPTION_DRAIN_SPREAD));
        return EXIT_OK;
}

static int run_with(const struct options *options, uint64_t (*heap_bytes)(void), char error[OPTIONS_ERROR_BYTES])
{
        struct reactor_settings settings;
        struct cores *cores = NULL;
        struct crew *crew = NULL;
        struct cpu_plan cpus;
        struct listener_names listeners;
        struct auth *auth = NULL;
        struct cores_settings cores_settings = {.patterns_max = options_number(options, OPTION_MAX_PATTERNS)};
        struct lag_rules lag_rules;
        if (plan_cpus(options, &cpus, error) != 0 ||
            settings_from(options, cpus.reactors_count, &settings, error) != 0 ||
            lag_from(options, &lag_rules, &settings, error) != 0 ||
            mailbox_from(options, &cores_settings.mailbox_bytes, error) != 0)
                return EXIT_CONFIG;
        warn_of_short_blocks(&settings, cpus.reactors_count, cores_settings.mailbox_bytes);
        listener_names_read(&listeners, options_text(options, OPTION_LISTEN));
        if (start_users(&auth, options, &listeners, cpus.reactors_count, error) != 0) {
                free(listeners.text);
                return EXIT_CONFIG;
        }
        settings.auth = auth;
        fit_descriptors(cpus.reactors_count, &settings);
        settings.heap_bytes = heap_bytes;
        cores_settings.count = cpus.reactors_count;
        random_secret(cores_settings.secret, sizeof cores_settings.secret);
        epoch_register();
        int status = EXIT_FAILED;
        int failed = cores_new(&cores, &cores_settings);
        if (failed == 0)
                failed = crew_new(&crew, cores, &settings, &cpus);
        if (failed != 0) {
                snprintf(error, OPTIONS_ERROR_BYTES,
                         "cannot start: %s; see --memory, --max-connections, --reactors and --backend",
                         strerror(-failed));
        } else {
                const struct reactor *first = crew_reactor(crew, 0);
                catch_signals(first->io);
                log_backend(first->io);
                status = crew_serve(crew, options, error);
                io_to_wake = NULL;
        }
        auth_stop(auth);
        crew_free(crew);
        auth_free(auth);
        free(listeners.text);
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

int run_main(int argc, char **argv, int first, uint64_t (*heap_bytes)(void))
{
        struct options options;
        char error[OPTIONS_ERROR_BYTES] = "";
        enum log_level level;
        int next = first, status = EXIT_USAGE;
        if (options_init(&options, option_rows, OPTIONS_COUNT) != 0)
                return EXIT_FAILED;
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
