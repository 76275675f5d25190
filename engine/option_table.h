/* Everything that can be set, one row each. Flags, environment, the file, help, checks and the reference come from
 * here. A reload takes up the OPTION_LIVE ones. */
#ifndef SPATE_ENGINE_OPTION_TABLE_H
#define SPATE_ENGINE_OPTION_TABLE_H

#include "engine/base/options.h"

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)
#define SECOND ((uint64_t)1000000000)

/* clang-format off */
/*      id                  name                           key in the file                       a change of it    type           default           min          max             choices                   help                                                                         list */
#define OPTION_TABLE(ROW)                                                                                                                                                                                                                            \
        ROW(CONFIG,            "config",                      NULL,                                 OPTION_AT_START, OPTION_FILE,   "",               0,           0,              NULL,                     "file of options, read again on SIGHUP; a flag or the environment wins over what stands there",   false) \
        ROW(LISTEN,            "listen",                      "listeners",                          OPTION_AT_START, OPTION_TEXT,   "127.0.0.1:4222", 0,           0,              NULL,                     "address for NATS clients: HOST:PORT, [IPv6]:PORT or unix:PATH; with @N: of reactor N alone", true)  \
        ROW(ADMIN,             "admin",                       "admin",                              OPTION_AT_START, OPTION_TEXT,   "127.0.0.1:8222", 0,           0,              NULL,                     "address for /metrics, /healthz and `spate status`; none: no such address",          false) \
        ROW(USERS,             "users",                       "auth.users_file",                    OPTION_LIVE,     OPTION_FILE,   "",               0,           0,              NULL,                     "file of users and tokens, read again on SIGHUP; without it everyone on loopback may come in", false) \
        ROW(AUTH_TIMEOUT,      "auth-timeout",                "auth.timeout",                       OPTION_LIVE,     OPTION_TIME,   "2s",             SECOND / 10, 60 * SECOND,    NULL,                     "how long a new connection may take to log in",                                      false) \
        ROW(BAN_AFTER,         "ban-after",                   "auth.ban_after",                     OPTION_LIVE,     OPTION_COUNT,  "20",             0,           1000000,        NULL,                     "failed logins of an address within a minute after which it is kept out; 0: never, nor does it wait",  false) \
        ROW(BAN_TIME,          "ban-time",                    "auth.ban_time",                      OPTION_LIVE,     OPTION_TIME,   "1m",             SECOND,      86400 * SECOND, NULL,                     "how long it is kept out; SIGHUP lets everyone in again",                            false) \
        ROW(PORT_OFFSET,       "port-offset",                 "engine.port_offset",                 OPTION_AT_START, OPTION_COUNT,  "0",              0,           50000,          NULL,                     "added to every port, to run a second engine beside the first",                      false) \
        ROW(BACKEND,           "backend",                     "backend.type",                       OPTION_AT_START, OPTION_CHOICE, "auto",           0,           0,              "auto|io_uring|epoll",    "who moves the bytes; auto: io_uring, or epoll where the kernel refuses it",         false) \
        ROW(REACTORS,          "reactors",                    "engine.reactors",                    OPTION_AT_START, OPTION_COUNT,  "auto",           1,           64,             "auto",                   "reactors, each a thread with its own connections; auto: one for each of --cpus",       false) \
        ROW(CPUS,              "cpus",                        "engine.cpus",                        OPTION_AT_START, OPTION_TEXT,   "auto",           0,           0,              NULL,                     "CPUs to pin to, as 0-3,8; auto: those this process may use; none: not pinned",      false) \
        ROW(POSTMORTEM,        "postmortem",                  "engine.postmortem",                  OPTION_AT_START, OPTION_TEXT,   "auto",           0,           0,              NULL,                     "folder for what the reactors did last, when one crashes or hangs; auto: $STATE_DIRECTORY or the working directory; none: not written", false) \
        ROW(STUCK_EXIT,        "stuck-exit",                  "engine.stuck_exit",                  OPTION_AT_START, OPTION_TIME,   "0",              0,           86400 * SECOND, NULL,                     "end with status 1 when a reactor has not turned for so long, where no service manager watches; 0: go on",  false) \
        ROW(BUSY_POLL,         "busy-poll",                   "engine.busy_poll",                   OPTION_AT_START, OPTION_BOOL,   "false",          0,           1,              NULL,                     "never sleep: lowest latency for a whole core",                                      false) \
        ROW(MEMORY,            "memory",                      "engine.memory",                      OPTION_AT_START, OPTION_BYTES,  "auto",           16 * MIB,    1024 * GIB,     "auto",                   "for events on their way out and cut input; auto: 1GiB, or 128MiB a reactor if more",   false) \
        ROW(MAILBOX,           "mailbox",                     "engine.mailbox",                     OPTION_AT_START, OPTION_BYTES,  "auto",           64 * KIB,    1 * GIB,        "auto",                   "for events from one reactor to another; auto: 4MiB, or more for large events",         false) \
        ROW(MAX_CONNECTIONS,   "max-connections",             "limits.max_connections",             OPTION_LIVE,     OPTION_COUNT,  "65536",          1,           1000000,        NULL,                     "clients at once, of all reactors; limited by the file descriptors as well",                      false) \
        ROW(MAX_PER_ADDRESS,   "max-connections-per-address", "limits.max_connections_per_address", OPTION_LIVE,     OPTION_COUNT,  "0",              0,           1000000,        NULL,                     "clients at once from one IPv4 address or IPv6 /64; 0: no limit of its own",            false) \
        ROW(MAX_PAYLOAD,       "max-payload",                 "limits.max_payload",                 OPTION_AT_START, OPTION_BYTES,  "1MiB",           1,           3 * MIB,        NULL,                     "largest event, headers included",                                                   false) \
        ROW(MAX_CONTROL_LINE,  "max-control-line",            "limits.max_control_line",            OPTION_AT_START, OPTION_BYTES,  "4KiB",           64,          64 * KIB,       NULL,                     "longest line of the NATS protocol, without its verb",                               false) \
        ROW(MAX_SUBSCRIPTIONS, "max-subscriptions",           "limits.max_subscriptions",           OPTION_LIVE,     OPTION_COUNT,  "0",              0,           100000000,      NULL,                     "subscriptions of one connection; 0: no limit",                                           false) \
        ROW(MAX_USER_PATTERNS, "max-user-patterns",           "limits.max_user_patterns",           OPTION_LIVE,     OPTION_COUNT,  "0",              0,           1000000000,     NULL,                     "distinct patterns of one user on all its connections, each reactor's counted by itself; without users, subscriptions of a connection; 0: no limit", false) \
        ROW(MAX_USER_SHAPES,   "max-user-shapes",             "limits.max_user_shapes",             OPTION_LIVE,     OPTION_COUNT,  "256",            0,           1000000000,     NULL,                     "distinct positions of wildcards in the patterns of one user, or of a connection without users; every event is looked for in each; 0: no limit", false) \
        ROW(SUBSCRIBE_RATE,    "subscribe-rate",              "limits.subscribe_rate",              OPTION_LIVE,     OPTION_COUNT,  "0",              0,           1000000000,     NULL,                     "subscriptions a second that one connection may make; a faster one waits; 0: no limit",             false) \
        ROW(SUBSCRIBE_BURST,   "subscribe-burst",             "limits.subscribe_burst",             OPTION_LIVE,     OPTION_COUNT,  "10k",            1,           1000000000,     NULL,                     "how many it may make at once before --subscribe-rate holds it",                     false) \
        ROW(PUBLISH_RATE,      "publish-rate",                "limits.publish_rate",                OPTION_LIVE,     OPTION_COUNT,  "0",              0,           1000000000,     NULL,                     "events a second that one connection may publish; a faster one waits; 0: no limit",                 false) \
        ROW(PUBLISH_BURST,     "publish-burst",               "limits.publish_burst",               OPTION_LIVE,     OPTION_COUNT,  "10k",            1,           1000000000,     NULL,                     "how many it may publish at once before --publish-rate holds it",                    false) \
        ROW(PUBLISH_BYTES,     "publish-bytes",               "limits.publish_bytes",               OPTION_LIVE,     OPTION_BYTES,  "0",              0,           1024 * GIB,     NULL,                     "payload and header bytes a second that one connection may publish; a faster one waits; 0: no limit", false) \
        ROW(MAX_PATTERNS,      "max-patterns",                "limits.max_patterns",                OPTION_AT_START, OPTION_COUNT,  "16M",            1000,        1000000000,     NULL,                     "distinct patterns of all subscriptions together; an eighth is kept for users who have less than that", false) \
        ROW(TOPIC_CACHE,       "topic-cache",                 "engine.topic_cache",                 OPTION_AT_START, OPTION_COUNT,  "16384",          0,           1 << 24,        NULL,                     "subjects of which each reactor keeps what they match, 68 bytes each; 0: none",     false) \
        ROW(MAX_LAG,           "max-lag",                     "lag.max_lag",                        OPTION_LIVE,     OPTION_BYTES,  "auto",           64 * KIB,    64 * GIB,       "auto",                   "how far a subscriber may fall behind before --lag-policy applies; auto: 16MiB, or less where --memory is short", false) \
        ROW(MAX_STALL,         "max-stall",                   "lag.max_stall",                      OPTION_LIVE,     OPTION_TIME,   "10s",            SECOND / 10, 3600 * SECOND,  NULL,                     "how long a subscriber may take nothing at all before it is cut off; not with drop-oldest or conflate",                false) \
        ROW(LAG_POLICY,        "lag-policy",                  "lag.policy",                         OPTION_LIVE,     OPTION_CHOICE, "disconnect",     0,           0,              "disconnect|drop-oldest|conflate|block", "what becomes of a subscriber that is --max-lag behind",               false) \
        ROW(LAG_LISTENER,      "lag-listener",                "listeners.lag_policy",               OPTION_LIVE,     OPTION_TEXT,   "",               0,           0,              NULL,                     "ADDRESS=POLICY: the same for those who come by one address of --listen", true) \
        ROW(LAG_RULE,          "lag-rule",                    "lag.rules",                          OPTION_LIVE,     OPTION_TEXT,   "",               0,           0,              NULL,                     "PATTERN=POLICY[,LIMIT]: for subscriptions within a pattern, first rule first", true) \
        ROW(BLOCK_TIME,        "block-time",                  "lag.block_time",                     OPTION_LIVE,     OPTION_TIME,   "20ms",           SECOND / 1000, 10 * SECOND,  NULL,                     "how long the policy block lets publishers wait for a subscriber",                   false) \
        ROW(SEND_BUFFER,       "send-buffer",                 "backend.send_buffer",                OPTION_AT_START, OPTION_BYTES,  "256KiB",         0,           64 * MIB,       NULL,                     "SO_SNDBUF of a connection; 0: the kernel's own tuning",                             false) \
        ROW(RECEIVE_BUFFER,    "receive-buffer",              "backend.receive_buffer",             OPTION_AT_START, OPTION_BYTES,  "64KiB",          4 * KIB,     1 * MIB,        NULL,                     "the most that one receive takes",                                                   false) \
        ROW(RECEIVE_BUFFERS,   "receive-buffers",             "backend.receive_buffers",            OPTION_AT_START, OPTION_COUNT,  "64",             8,           32768,          NULL,                     "receive buffers, shared by all connections; a power of two",                        false) \
        ROW(URING_ENTRIES,     "uring-entries",               "backend.uring_entries",              OPTION_AT_START, OPTION_COUNT,  "4096",           64,          32768,          NULL,                     "submission queue of io_uring; a power of two",                                      false) \
        ROW(HANDSHAKE_TIMEOUT, "handshake-timeout",           "limits.handshake_timeout",           OPTION_LIVE,     OPTION_TIME,   "5s",             SECOND / 100, 600 * SECOND,  NULL,                     "a new connection has so long to send its first whole operation",                    false) \
        ROW(PING_INTERVAL,     "ping-interval",               "limits.ping_interval",               OPTION_LIVE,     OPTION_TIME,   "2m",             SECOND / 100, 86400 * SECOND, NULL,                    "a client that is silent for so long is asked whether it is there",                  false) \
        ROW(PING_MAX,          "ping-max",                    "limits.ping_max",                    OPTION_LIVE,     OPTION_COUNT,  "2",              1,           100,            NULL,                     "unanswered PINGs after which a client counts as gone",                              false) \
        ROW(DRAIN_SPREAD,      "drain-spread",                "drain.spread",                       OPTION_LIVE,     OPTION_TIME,   "2s",             0,           600 * SECOND,   NULL,                     "SIGTERM closes connections one after the other over so long, or a millisecond for each if that is less", false) \
        ROW(DRAIN_TIMEOUT,     "drain-timeout",               "drain.timeout",                      OPTION_LIVE,     OPTION_TIME,   "5s",             0,           600 * SECOND,   NULL,                     "how long SIGTERM waits for clients to take what is theirs",                         false) \
        ROW(LOG_LEVEL,         "log-level",                   "log.level",                          OPTION_LIVE,     OPTION_CHOICE, "info",           0,           0,              "error|warn|info|debug",  "what is logged",                                                                    false)
/* clang-format on */

enum option_id {
#define OPTION_ID(id, ...) OPTION_##id,
        OPTION_TABLE(OPTION_ID)
#undef OPTION_ID
                OPTIONS_COUNT
};

/* A row as it stands in an array, for OPTION_TABLE(): of these options alone, or of a command that takes them and
 * others behind them. */
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

extern const struct option_row option_rows[OPTIONS_COUNT];

/* What the environment may hold beside options (--max-lag is SPATE_MAX_LAG): secrets, which nobody is to write on a
 * command line, where others can read them. */
#define ENVIRONMENT_TABLE(ROW)                                                                                         \
        ROW("SPATE_PASSWORD", "the password that belongs to --user, for the commands that log in")                     \
        ROW("SPATE_TOKEN", "a token to log in with, where no --user is given")

#endif
