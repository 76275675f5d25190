/* client_rows: options that several commands have, spelled once. */
#ifndef SPATE_ENGINE_CLI_CLIENT_ROWS_H
#define SPATE_ENGINE_CLI_CLIENT_ROWS_H

#include "engine/base/clock.h"
#include "engine/base/options.h"

/* clang-format off */
#define ROW_SERVER  {.name = "server", .type = OPTION_TEXT, .value = "127.0.0.1:4222", .help = "the server: HOST:PORT, nats://HOST:PORT or unix:PATH"}
#define ROW_USER    {.name = "user", .type = OPTION_TEXT, .value = "", .help = "log in as this user; the password is in SPATE_PASSWORD. Without one, a token may be in SPATE_TOKEN"}
#define ROW_TIMEOUT {.name = "timeout", .type = OPTION_TIME, .value = "10s", .min = NS_PER_MS, .max = 86400 * NS_PER_S, .help = "how long the server may take for one step"}
#define ROW_ADMIN {.name = "admin", .type = OPTION_TEXT, .value = "127.0.0.1:8222", .help = "the engine's admin address: HOST:PORT or unix:PATH"}
#define ROW_JSON  {.name = "json", .type = OPTION_BOOL, .value = "false", .max = 1, .help = "print JSON instead of a table"}
/* clang-format on */

#endif
