/* settings: each function below looks at the options of one matter. A refusal begins with the place in the file, where
 * that is where the value is from, and calls it what its giver calls it. See the header. */
#include "engine/settings.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/bits.h"
#include "engine/door.h"
#include "engine/listening.h"

const struct option_row option_rows[OPTIONS_COUNT] = {OPTION_TABLE(OPTION_ROW)};

#define MEMORY_BYTES_DEFAULT GIB
#define REACTOR_MEMORY_BYTES_DEFAULT (128 * MIB)
#define REACTOR_MEMORY_BYTES_MIN (16 * MIB)
#define LAG_BYTES_DEFAULT (16 * MIB)

/* The row of the two that somebody has set, for a refusal that concerns both. */
static size_t row_that_was_set(const struct options *options, size_t row, size_t other)
{
        return options->values[row].source != OPTION_FROM_DEFAULT ? row : other;
}

/* --memory is for all reactors together; each has its share. */
static int settings_memory(struct settings *settings, char error[OPTIONS_ERROR_BYTES])
{
        const struct options *options = &settings->options;
        struct reactor_settings *reactor = &settings->reactor;
        unsigned reactors_count = settings->cpus.reactors_count;
        uint64_t bytes = options_number(options, OPTION_MEMORY), each = REACTOR_MEMORY_BYTES_DEFAULT;
        char memory[OPTIONS_ORIGIN_BYTES], lag[OPTIONS_ORIGIN_BYTES];
        options_called(options, OPTION_MEMORY, memory);
        if (bytes == 0)
                bytes = reactors_count * each > MEMORY_BYTES_DEFAULT ? reactors_count * each : MEMORY_BYTES_DEFAULT;
        reactor->memory_bytes = bytes / reactors_count;
        if (reactor->memory_bytes < REACTOR_MEMORY_BYTES_MIN)
                return options_refuse(
                        options, OPTION_MEMORY, 0, error,
                        "%s is shared by %u reactors, and each needs %llu MiB; raise it to %llu MiB, or ask for "
                        "fewer --reactors",
                        memory, reactors_count, (unsigned long long)(REACTOR_MEMORY_BYTES_MIN / MIB),
                        (unsigned long long)(reactors_count * REACTOR_MEMORY_BYTES_MIN / MIB));
        if (reactor->lag_bytes_max == 0)
                reactor->lag_bytes_max =
                        LAG_BYTES_DEFAULT < reactor->memory_bytes / 2 ? LAG_BYTES_DEFAULT : reactor->memory_bytes / 2;
        if (reactor->lag_bytes_max > reactor->memory_bytes / 2)
                return options_refuse(
                        options, row_that_was_set(options, OPTION_MAX_LAG, OPTION_MEMORY), 0, error,
                        "%s is more than half of %s%s: one subscriber could hold most of it; lower the one or raise "
                        "the other",
                        options_called(options, OPTION_MAX_LAG, lag), memory,
                        reactors_count > 1 ? " of a reactor" : "");
        return 0;
}

/* A mailbox holds two of the largest events, whatever else stands in their records: CORES_RECORD_IDS_MAX patterns, and
 * names of queue groups of at most an eighth of it. */
static int settings_mailbox(struct settings *settings, char error[OPTIONS_ERROR_BYTES])
{
        const struct options *options = &settings->options;
        uint64_t needed = 2 * (options_number(options, OPTION_MAX_PAYLOAD) +
                               options_number(options, OPTION_MAX_CONTROL_LINE) + 64 * KIB);
        uint64_t asked = options_number(options, OPTION_MAILBOX);
        char mailbox[OPTIONS_ORIGIN_BYTES];
        if (asked != 0 && asked < needed)
                return options_refuse(options, OPTION_MAILBOX, 0, error,
                                      "%s is less than two of the largest events take: raise it to %llu KiB, lower "
                                      "--max-payload, or say auto",
                                      options_called(options, OPTION_MAILBOX, mailbox),
                                      (unsigned long long)(needed / KIB));
        if (asked == 0)
                asked = needed > MAILBOX_BYTES_DEFAULT ? needed : MAILBOX_BYTES_DEFAULT;
        settings->mailbox_bytes = (size_t)1 << bits_log2_ceil(asked);
        return 0;
}

static int settings_power_of_two(const struct settings *settings, size_t row, char error[OPTIONS_ERROR_BYTES])
{
        uint64_t number = options_number(&settings->options, row);
        char called[OPTIONS_ORIGIN_BYTES];
        if (bits_is_power_of_two(number))
                return 0;
        return options_refuse(&settings->options, row, 0, error, "%s must be a power of two: try %llu",
                              options_called(&settings->options, row, called), 1ull << bits_log2_ceil(number));
}

/* What is the option's own number. */
static void settings_numbers(struct settings *settings)
{
        const struct options *options = &settings->options;
        static const enum io_backend backends[] = {IO_BACKEND_AUTO, IO_BACKEND_URING, IO_BACKEND_EPOLL};
        settings->reactor = (struct reactor_settings){
                .io = {.backend = backends[options_number(options, OPTION_BACKEND)],
                       .receive_buffer_bytes = (uint32_t)options_number(options, OPTION_RECEIVE_BUFFER),
                       .receive_buffers_count = (uint32_t)options_number(options, OPTION_RECEIVE_BUFFERS),
                       .send_buffer_bytes = (uint32_t)options_number(options, OPTION_SEND_BUFFER),
                       .entries = (uint32_t)options_number(options, OPTION_URING_ENTRIES)},
                .cache_lines = (uint32_t)options_number(options, OPTION_TOPIC_CACHE),
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
                .user_patterns_max = (uint32_t)options_number(options, OPTION_MAX_USER_PATTERNS),
                .user_shapes_max = (uint32_t)options_number(options, OPTION_MAX_USER_SHAPES),
                .subscribe_rate = (uint32_t)options_number(options, OPTION_SUBSCRIBE_RATE),
                .subscribe_burst = (uint32_t)options_number(options, OPTION_SUBSCRIBE_BURST),
                .publish_rate = options_number(options, OPTION_PUBLISH_RATE),
                .publish_burst = options_number(options, OPTION_PUBLISH_BURST),
                .publish_bytes = options_number(options, OPTION_PUBLISH_BYTES),
                .nats = {.control_line_bytes_max = options_number(options, OPTION_MAX_CONTROL_LINE),
                         .payload_bytes_max = options_number(options, OPTION_MAX_PAYLOAD)},
                .busy_poll = options_number(options, OPTION_BUSY_POLL) != 0,
                .auth_timeout_ns = options_number(options, OPTION_AUTH_TIMEOUT),
        };
        settings->stuck_exit_ns = options_number(options, OPTION_STUCK_EXIT);
        settings->drain_ns = options_number(options, OPTION_DRAIN_TIMEOUT);
        settings->spread_ns = options_number(options, OPTION_DRAIN_SPREAD);
        settings->ban_after = (uint32_t)options_number(options, OPTION_BAN_AFTER);
        settings->ban_ns = options_number(options, OPTION_BAN_TIME);
        settings->conns_capacity = settings->conns_possible = settings->reactor.conns_max;
}

/* Connections have places that were set aside at start. */
static int settings_connections(struct settings *settings, const struct settings *before,
                                char error[OPTIONS_ERROR_BYTES])
{
        char called[OPTIONS_ORIGIN_BYTES];
        uint32_t asked = settings->reactor.conns_max;
        settings->conns_capacity = before->conns_capacity;
        settings->conns_possible = before->conns_possible;
        if (asked > before->conns_capacity)
                return options_refuse(
                        &settings->options, OPTION_MAX_CONNECTIONS, 0, error,
                        "%s cannot be %u while the server runs: it was started with room for %u; restart it, or take "
                        "at most %u",
                        options_called(&settings->options, OPTION_MAX_CONNECTIONS, called), asked,
                        before->conns_capacity, before->conns_capacity);
        if (settings->reactor.conns_max > before->conns_possible)
                settings->reactor.conns_max = before->conns_possible;
        return 0;
}

/* What becomes of those who lag: the rules, and the policy of each listener in the order of --listen. */
static int settings_lag(struct settings *settings, char error[OPTIONS_ERROR_BYTES])
{
        const struct options *options = &settings->options;
        const char *listen = options_text(options, OPTION_LISTEN);
        struct lag_rules *rules = &settings->lag;
        char why[OPTIONS_ERROR_BYTES], called[OPTIONS_ORIGIN_BYTES];
        struct lag usual = {.policy = (enum lag_policy)options_number(options, OPTION_LAG_POLICY),
                            .limit_bytes = settings->reactor.lag_bytes_max};
        int failed =
                lag_rules_init(rules, usual, settings->reactor.memory_bytes / 2, options_text(options, OPTION_LAG_RULE),
                               options_text(options, OPTION_LAG_LISTENER), why);
        if (failed == 0)
                failed = lag_rules_check_listeners(rules, listen, why);
        if (failed != 0) {
                size_t row = rules->fault.is_listener ? OPTION_LAG_LISTENER : OPTION_LAG_RULE;
                /* Up to its first blank it is what the flag is called. */
                return options_refuse(options, row, rules->fault.index, error, "%s%s",
                                      options_called(options, row, called), why + strcspn(why, " "));
        }
        settings->reactor.lag = rules;
        for (size_t i = 0; i < REACTOR_LISTENERS_MAX; i++) {
                size_t size = strcspn(listen, ",");
                settings->reactor.lag_policies[i] = (uint8_t)lag_default_of(rules, span_of(listen, size));
                listen += size + (listen[size] == ',');
        }
        return 0;
}

/* An absolute path: the working directory may change. */
static int settings_postmortem(struct settings *settings, char error[OPTIONS_ERROR_BYTES])
{
        const struct options *options = &settings->options;
        const char *asked = options_text(options, OPTION_POSTMORTEM), *state = getenv("STATE_DIRECTORY");
        bool is_auto = strcmp(asked, "auto") == 0;
        char state_first[PATH_MAX], whole[PATH_MAX], called[OPTIONS_ORIGIN_BYTES];
        struct stat status;
        settings->postmortem[0] = '\0';
        if (strcmp(asked, "none") == 0)
                return 0;
        snprintf(state_first, sizeof state_first, "%.*s", state == NULL ? 0 : (int)strcspn(state, ":"),
                 state == NULL ? "" : state);
        const char *path = !is_auto ? asked : state_first[0] != '\0' ? state_first : ".", *why = NULL;
        if (realpath(path, whole) == NULL || stat(whole, &status) != 0)
                why = strerror(errno);
        else if (!S_ISDIR(status.st_mode))
                why = "it is no folder";
        else if (access(whole, W_OK | X_OK) != 0)
                why = strerror(errno);
        else if (strlen(whole) >= sizeof settings->postmortem)
                why = "its path is too long";
        if (why == NULL)
                strcpy(settings->postmortem, whole);
        if (why == NULL || is_auto)
                return 0;
        return options_refuse(options, OPTION_POSTMORTEM, 0, error,
                              "%s %s cannot be written to: %s; name a folder that this user may write to, or none",
                              options_called(options, OPTION_POSTMORTEM, called), asked, why);
}

/* How many reactors, and where each runs. */
static int settings_cpus(struct settings *settings, char error[OPTIONS_ERROR_BYTES])
{
        static_assert(MATCH_REACTORS_MAX == 64, "the most that --reactors takes");
        const struct options *options = &settings->options;
        uint32_t count = (uint32_t)options_number(options, OPTION_REACTORS);
        struct cpus allowed;
        char why[CPUS_ERROR_BYTES];
        int failed = cpus_allowed(&allowed);
        if (failed != 0) {
                settings->cpus =
                        (struct cpu_plan){.reactors_count = count != 0 ? count : 1, .reason = strerror(-failed)};
                return 0;
        }
        if (cpu_plan(&settings->cpus, &allowed, options_text(options, OPTION_CPUS), count, MATCH_REACTORS_MAX, "",
                     why) == 0)
                return 0;
        return options_refuse(options, row_that_was_set(options, OPTION_CPUS, OPTION_REACTORS), 0, error, "%s", why);
}

static int listener_names_read(struct listener_names *listeners, const char *text)
{
        listeners->count = 0;
        listeners->text = strdup(text);
        if (listeners->text == NULL)
                return -ENOMEM;
        char *rest = listeners->text;
        for (char *name; (name = strsep(&rest, ",")) != NULL && listeners->count < REACTOR_LISTENERS_MAX;)
                listeners->names[listeners->count++] = name;
        return 0;
}

int settings_new(struct settings **out, struct options *options, bool has_users, const struct settings *before,
                 char error[OPTIONS_ERROR_BYTES])
{
        struct settings *settings = calloc(1, sizeof *settings);
        int failed = 0;
        if (settings == NULL) {
                options_fini(options);
                return -ENOMEM;
        }
        settings->options = *options;
        *options = (struct options){0};
        settings->has_users = has_users;
        if (before != NULL)
                settings->cpus = before->cpus;
        else
                failed = settings_cpus(settings, error);
        settings_numbers(settings);
        settings->reactor.file = settings->options.file;
        if (failed == 0)
                failed = settings_power_of_two(settings, OPTION_RECEIVE_BUFFERS, error);
        if (failed == 0)
                failed = settings_power_of_two(settings, OPTION_URING_ENTRIES, error);
        if (failed == 0)
                failed = settings_memory(settings, error);
        if (failed == 0)
                failed = settings_lag(settings, error);
        if (failed == 0)
                failed = settings_mailbox(settings, error);
        if (failed == 0 && before != NULL)
                failed = settings_connections(settings, before, error);
        if (failed == 0)
                failed = settings_postmortem(settings, error);
        if (failed == 0)
                failed = listening_check(settings, error);
        if (failed == 0)
                failed = listener_names_read(&settings->listeners, options_text(&settings->options, OPTION_LISTEN));
        if (failed == 0)
                failed = log_level_of_text(options_text(&settings->options, OPTION_LOG_LEVEL), &settings->log_level);
        if (failed != 0) {
                settings_free(settings);
                return failed;
        }
        *out = settings;
        return 0;
}

void settings_free(struct settings *settings)
{
        if (settings == NULL)
                return;
        free(settings->listeners.text);
        options_fini(&settings->options);
        free(settings);
}

/* The engine wants a descriptor for each connection: takes as many as the hard limit allows. */
uint64_t settings_descriptors(const struct settings *settings)
{
        return (uint64_t)settings->reactor.conns_max + 48 + (uint64_t)settings->cpus.reactors_count * (DOOR_SLOTS + 16);
}

void settings_fit_descriptors(struct settings *settings)
{
        struct rlimit limit;
        rlim_t wanted = settings_descriptors(settings), spare = wanted - settings->reactor.conns_max;
        if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
                return;
        if (limit.rlim_cur < wanted) {
                limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
                setrlimit(RLIMIT_NOFILE, &limit);
        }
        if (limit.rlim_cur < wanted) {
                uint32_t possible =
                        (uint32_t)(limit.rlim_cur > 2 * spare ? limit.rlim_cur - spare : limit.rlim_cur / 2);
                log_info(
                        "connections_limited",
                        "asked=%u possible=%u reason=RLIMIT_NOFILE fix=\"raise the hard limit of open files to %" PRIu64
                        ": LimitNOFILE= of the service, or ulimit -Hn as root\"",
                        settings->reactor.conns_max, possible, (uint64_t)wanted);
                settings->reactor.conns_max = settings->conns_possible = possible;
        }
}

/* A publisher on another reactor hears of it late: a mailbox of its events, and as much input, may be under way. */
void settings_log_doubts(const struct settings *settings)
{
        const struct lag_rules *rules = &settings->lag;
        uint64_t enough_bytes = 4 * (uint64_t)settings->mailbox_bytes, least_bytes = UINT64_MAX;
        for (size_t i = 0; i < REACTOR_LISTENERS_MAX; i++)
                if (settings->reactor.lag_policies[i] == LAG_BLOCK)
                        least_bytes = settings->reactor.lag_bytes_max;
        for (size_t i = 0; i < rules->rules_count; i++)
                if (rules->rules[i].lag.policy == LAG_BLOCK && rules->rules[i].lag.limit_bytes < least_bytes)
                        least_bytes = rules->rules[i].lag.limit_bytes;
        if (settings->cpus.reactors_count > 1 && least_bytes < enough_bytes)
                log_warn("block_limit_short",
                         "limit_bytes=%llu enough_bytes=%llu reason=\"publishers on other reactors are stopped late\" "
                         "fix=\"raise the limit, or run one reactor\"",
                         (unsigned long long)least_bytes, (unsigned long long)enough_bytes);
}

void settings_log(const struct settings *settings)
{
        const struct cpu_plan *plan = &settings->cpus;
        char text[CPUS_TEXT_BYTES];
        if (plan->is_pinned)
                log_info("pinned", "reactors=%u cpus=%s", plan->reactors_count, cpus_text(&plan->cpus, text));
        else
                log_info("not_pinned", "reactors=%u reason=\"%s\"", plan->reactors_count, plan->reason);
        settings_log_doubts(settings);
}
