/* nthphases: see the header. Short, and the same each time: each phase is gone through once for each thing that is
 * asked for in it. */
#include "tests/sim/nthphases.h"

#include <stdio.h>

/* "wonder" */
#define HASH "$2b$04$.bQ3H8MyLqFclKhEecepsu209DvT6A6E.WAPrJcqj9rBiuueCgkTW"

/* "token-of-bob", "token-of-carol": quicker than passwords. */
#define BOB "sha256:800480042268218663feef3ea54d81ed3f976c98c38d5fd7afbe22810ec16334"
#define CAROL "sha256:7efa3d541f0c00bd394d267ad3e2b99c0870ce0bd7dcadb9f89a82aa8de48941"

static const char users_first[] = "users: [{name: alice, password: " HASH "}]\n"
                                  "tokens:\n"
                                  "  - {name: bob, token: '" BOB "', subscribe: {deny: [secret.b]}}\n"
                                  "  - {name: carol, token: '" CAROL "'}\n";
/* bob may do less, and differently: his subscriptions get a filter, and one of them goes. carol is gone. */
static const char users_second[] = "users: [{name: alice, password: " HASH "}]\n"
                                   "tokens:\n"
                                   "  - {name: bob, token: '" BOB "', publish: {allow: [a, b.>, fresh.*]}, "
                                   "subscribe: {deny: [a.secret, b.d]}}\n";
static const char users_wrong[] = "users: [{name: alice, pass: word}]\n";

/* ---- accept ---- */

static void run_accept(struct world *world)
{
        for (unsigned i = 0; i < 12; i++)
                world_connect(world, i % 2, i % 3 == 0 ? CLIENT_VERBOSE : i % 3 == 1 ? CLIENT_ASKS : 0, NULL);
        size_t asker = world_connect_asker(world);
        world_ask(world, asker, "/healthz");
        world_turn(world, 10);
        world_leave(world, 0, true);
        world_leave(world, 1, false);
        world_connect(world, 0, 0, NULL);
        world_turn(world, 10);
        world_settle(world);
}

/* ---- login ---- */

static void run_login(struct world *world)
{
        static const char *const names[] = {"alice", "bob", "carol", "mallory"};
        for (unsigned i = 0; i < 8; i++) {
                size_t client = world_connect(world, i % 2, i / 2 % 2 == 0 ? 0 : CLIENT_VERBOSE, names[i / 2]);
                world_subscribe(world, client, "a.*", "");
                world_ping(world, client);
        }
        world_turn(world, 30);
        for (unsigned i = 0; i < 4; i++)
                world_connect(world, i % 2, 0, names[i]);
        world_turn(world, 30);
        world_settle(world);
}

/* ---- subscribe ---- */

static void prepare_clients(struct world *world)
{
        for (unsigned i = 0; i < 6; i++)
                world_connect(world, i % 2, i < 2 ? 0 : i < 4 ? CLIENT_VERBOSE : CLIENT_DEAF, NULL);
        world_settle(world);
}

static const char *const patterns[] = {"a",     "a.b", "a.*",   "*.b",   "b.>",     ">",         "x.y.z",
                                       "x.*.z", "*",   "*.*.q", "p.*.*", "*.r.*.r", "a.b.c.d.>", "_INBOX.q.*"};

static void run_subscribe(struct world *world)
{
        for (size_t client = 0; client < 6; client++) {
                for (size_t i = 0; i < array_count(patterns); i++)
                        world_subscribe(world, client, patterns[(i + client / 2) % array_count(patterns)], "");
                world_ping(world, client);
                world_turn(world, 2);
        }
        world_settle(world);
        /* The same again, while some of what was there goes. */
        size_t before = world->subscriptions_count;
        for (size_t i = 0; i < before; i += 3)
                world_unsubscribe(world, i, i % 2 == 0 ? 0 : 2);
        for (size_t client = 0; client < 6; client++) {
                char pattern[32];
                snprintf(pattern, sizeof pattern, "own.%zu.*.>", client);
                world_subscribe(world, client, pattern, "");
                world_publish(world, client, "a.b", 50, false);
                world_ping(world, client);
        }
        world_settle(world);
}

static void run_subscribe_groups(struct world *world)
{
        for (size_t client = 0; client < 6; client++) {
                for (size_t i = 0; i < 12; i++) {
                        char group[16];
                        snprintf(group, sizeof group, "g%zu", i % 5);
                        world_subscribe(world, client, patterns[i % 7], group);
                }
                /* One that has no other member, on a pattern that nobody else has. */
                char pattern[32], group[16];
                snprintf(pattern, sizeof pattern, "lonely.%zu", client);
                snprintf(group, sizeof group, "lonely%zu", client);
                world_subscribe(world, client, pattern, group);
                world_ping(world, client);
                world_turn(world, 2);
        }
        world_settle(world);
        for (size_t i = 0; i < world->subscriptions_count; i += 2)
                world_unsubscribe(world, i, 0);
        world_publish(world, 0, "a.b", 50, false);
        world_publish(world, 1, "a", 50, false);
        world_settle(world);
}

static void run_subscribe_thousands(struct world *world)
{
        char pattern[48];
        for (unsigned i = 0; i < 900; i++) {
                snprintf(pattern, sizeof pattern, "t.%u", i % 400);
                world_subscribe(world, i % 3, pattern, "");
                if (i % 40 == 0) {
                        snprintf(pattern, sizeof pattern, "%.*s.*.%u", (int)(i / 40 % 16) * 2 + 1,
                                 "d.d.d.d.d.d.d.d.d.d.d.d.d.d.d.d", i % 7);
                        world_subscribe(world, i % 3, pattern, "");
                }
                if (i % 300 == 299)
                        world_turn(world, 3);
        }
        world_settle(world);
}

/* ---- publish ---- */

/* Alike ones share a stream; the deaf have their own; members of groups on both reactors; who asks where nobody is. */
static void prepare_publish(struct world *world)
{
        for (unsigned i = 0; i < 4; i++) { /* 0 .. 3: two alike on each reactor */
                size_t client = world_connect(world, i % 2, 0, NULL);
                world_subscribe(world, client, "a.*", "");
                world_subscribe(world, client, "b", "");
        }
        for (unsigned i = 0; i < 2; i++) { /* 4, 5 */
                size_t client = world_connect(world, i, CLIENT_DEAF, NULL);
                world_subscribe(world, client, ">", "");
        }
        for (unsigned i = 0; i < 2; i++) { /* 6, 7 */
                size_t client = world_connect(world, i, CLIENT_VERBOSE, NULL);
                world_subscribe(world, client, "a.>", "workers");
                world_subscribe(world, client, "a.b", "workers");
                world_subscribe(world, client, "a.b", "idlers");
        }
        for (unsigned i = 0; i < 2; i++) /* 8, 9 */
                world_connect(world, i, CLIENT_ASKS, NULL);
        world_settle(world);
        for (unsigned i = 4; i < 6; i++)
                world_publish(world, i, "b", 30, false); /* now they are deaf indeed */
        world_settle(world);
}

static void run_publish(struct world *world)
{
        static const char *const subjects[] = {"a.b", "b", "c.d", "a.c", "nobody"};
        for (size_t round = 0; round < 3; round++) {
                for (size_t i = 0; i < 10; i++)
                        world_publish(world, (i + round) % 10, subjects[i % array_count(subjects)],
                                      (uint32_t)(20 + 700 * round), false);
                world_turn(world, 3);
                /* What is new is looked for in a new way, and may match more at a time than anything before. */
                char pattern[32];
                snprintf(pattern, sizeof pattern, "*.*.%zu.>", round);
                world_subscribe(world, 6 + round % 2, pattern, "");
                snprintf(pattern, sizeof pattern, "a.*.%zu", round);
                world_subscribe(world, round % 2, pattern, "");
        }
        for (size_t i = 0; i < 10; i++)
                world_ping(world, i);
        world_turn(world, 10);
        for (size_t i = 0; i < 10; i++)
                world_publish(world, i, i % 2 == 0 ? "a.b.1.x" : "q.r.0.x", 40, false);
        world_settle(world);
}

static void prepare_requests(struct world *world)
{
        for (unsigned i = 0; i < 2; i++) /* 0, 1: who asks */
                world_connect(world, i, CLIENT_ASKS, NULL);
        for (unsigned i = 0; i < 2; i++) { /* 2, 3: who answers */
                size_t client = world_connect(world, i, 0, NULL);
                world_subscribe(world, client, i == 0 ? "service.one" : "service.two", "servers");
                world_subscribe(world, client, "service.plain", "");
        }
        world_settle(world);
}

static void run_requests(struct world *world)
{
        static const char *const subjects[] = {"service.one", "service.two", "service.plain", "service.none", "none"};
        for (size_t round = 0; round < 3; round++) {
                for (size_t i = 0; i < 2 * array_count(subjects); i++)
                        world_publish(world, i % 2, subjects[i / 2], 20, true);
                world_turn(world, 4);
                if (round == 1) /* those who answer go, while somebody asks */
                        world_leave(world, 3, true);
        }
        world_settle(world);
}

/* More names of groups than there is room for without asking. */
static void prepare_names(struct world *world)
{
        for (unsigned i = 0; i < 2; i++)
                world_connect(world, i, 0, NULL);
        for (unsigned i = 0; i < 150; i++) {
                char group[16];
                snprintf(group, sizeof group, "n%u", i);
                world_subscribe(world, i % 2, "many", group);
        }
        world_settle(world);
}

static void run_names(struct world *world)
{
        for (unsigned i = 0; i < 4; i++) {
                world_publish(world, i % 2, "many", 20, false);
                world_turn(world, 3);
        }
        world_settle(world);
}

/* ---- lag ---- */

static void prepare_lag(struct world *world)
{
        for (unsigned i = 0; i < 6; i++) { /* 0 .. 3: alike, two on each reactor; 4, 5: alone */
                size_t client = world_connect(world, i % 2, 0, NULL);
                world_subscribe(world, client, "a.*", "");
                world_subscribe(world, client, "b", "");
                if (i >= 4)
                        world_subscribe(world, client, "_INBOX.lag.*", "");
                if (i >= 4)
                        world_subscribe(world, client, SESSION_LAG_SUBJECT, "");
        }
        world_connect(world, 0, 0, NULL); /* 6, 7: publish */
        world_connect(world, 1, 0, NULL);
        world_settle(world);
}

static void run_lag(struct world *world)
{
        static const char *const subjects[] = {"a.b", "a.c", "b", "_INBOX.lag.1"};
        for (size_t client = 2; client < 6; client++)
                sim_peer_stall(world->clients[client].peer);
        for (size_t i = 0; i < 64; i++) {
                world_publish(world, 6 + i % 2, subjects[i % 4], 9000, false);
                if (i % 4 == 3)
                        world_turn(world, 2);
        }
        world_turn(world, 60);
        for (size_t client = 4; client < 6; client++)
                sim_peer_resume(world->clients[client].peer);
        world_turn(world, 60);
        world_settle(world);
}

/* ---- unsubscribe, leave ---- */

static void prepare_subscriptions(struct world *world)
{
        prepare_clients(world);
        for (size_t client = 0; client < 6; client++) {
                for (size_t i = 0; i < array_count(patterns); i++) {
                        world_subscribe(world, client, patterns[i], "");
                        world_subscribe(world, client, patterns[i], i % 2 == 0 ? "even" : "odd");
                }
                world_ping(world, client);
        }
        world_settle(world);
}

static void run_unsubscribe(struct world *world)
{
        size_t count = world->subscriptions_count;
        for (size_t i = 0; i < count; i++) {
                world_unsubscribe(world, i, i % 5 == 0 ? 1 : 0);
                if (i % 20 == 0) {
                        world_publish(world, i % 6, "a.b", 30, false);
                        world_turn(world, 2);
                }
        }
        world_settle(world);
}

static void prepare_leave(struct world *world)
{
        char pattern[32];
        prepare_clients(world);
        for (size_t client = 0; client < 4; client++) {
                for (size_t i = 0; i < 300; i++) {
                        snprintf(pattern, sizeof pattern, i % 6 == 0 ? "l.%zu.*" : "l.%zu.%zu", i, client);
                        world_subscribe(world, client, pattern, i % 7 == 0 ? "leavers" : "");
                }
                world_subscribe(world, client, "a.*", "");
        }
        world_subscribe(world, 4, "a.*", "");
        world_subscribe(world, 5, "a.*", "");
        world_settle(world);
}

static void run_leave(struct world *world)
{
        world_publish(world, 4, "a.b", 30, false);
        world_leave(world, 0, true);
        world_leave(world, 1, false);
        world_turn(world, 4);
        world_publish(world, 4, "l.6.x", 30, false);
        world_publish(world, 5, "a.b", 30, false);
        world_leave(world, 2, false);
        world_leave(world, 3, true);
        world_turn(world, 8);
        world_settle(world);
}

/* ---- reload ---- */

static void prepare_reload(struct world *world)
{
        static const char *const names[] = {"alice", "bob", "bob", "carol"};
        for (unsigned i = 0; i < 8; i++) {
                size_t client = world_connect(world, i % 2, 0, names[i / 2]);
                world_subscribe(world, client, "a.*", "");
                world_subscribe(world, client, "b.>", i % 4 < 2 ? "workers" : "idlers");
                world_subscribe(world, client, "b.d", "");
                world_subscribe(world, client, "c", "");
        }
        world_settle(world);
}

static void run_reload(struct world *world)
{
        world_reload_users(world, users_second);
        world_turn(world, 20);
        world_publish(world, 0, "a.b", 30, false);
        world_publish(world, 1, "b.c", 30, false);
        world_reload_settings(world);
        world_turn(world, 10);
        world_reload_users(world, users_wrong);
        world_turn(world, 10);
        world_publish(world, 2, "b.c", 30, false);
        world_turn(world, 10);
        world_reload_users(world, users_first);
        world_turn(world, 10);
        world_settle(world);
}

/* ---- admin ---- */

static void prepare_admin(struct world *world)
{
        prepare_publish(world);
        for (size_t i = 0; i < 8; i++)
                world_publish(world, i, "a.b", 100, false);
        for (size_t i = 0; i < 2; i++)
                world_connect_asker(world);
        world_settle(world);
}

static void run_admin(struct world *world)
{
        static const char *const questions[] = {"/",
                                                "/healthz",
                                                "/readyz?verbose",
                                                "/metrics",
                                                "/status",
                                                "/losses",
                                                "/losses?reactor=1&limit=3",
                                                "/connections?limit=7",
                                                "/connections?sort=pending&limit=7",
                                                "/cohorts?limit=3",
                                                "/explain?subject=a.b&limit=3",
                                                "/explain?subject=x.y",
                                                "/varz",
                                                "/connz?sort=pending&subs=detail&limit=9",
                                                "/connz?subs=1",
                                                "/subsz",
                                                "/routez",
                                                "POST /reload"};
        for (size_t i = 0; i < array_count(questions); i++) {
                world_ask(world, i % 2, questions[i]);
                if (i % 2 == 1)
                        world_turn(world, 3);
        }
        world_settle(world);
}

/* ---- drain ---- */

static void run_drain(struct world *world)
{
        for (size_t i = 0; i < 8; i++) {
                world_publish(world, i, "a.b", 100, false);
                world_subscribe(world, i, "new.*.>", "");
        }
        world_turn(world, 1);
        world_drain(world);
}

#define SETTINGS .memory_bytes = 4 << 20, .mailbox_bytes = 1 << 20, .conns_max = WORLD_CLIENTS_MAX

#define PATIENT .stall_ns_max = 500 * NS_PER_MS

const struct phase phases[] = {
        {.name = "start", .settings = {SETTINGS, PATIENT, .users = users_first}},
        {.name = "start-epoll", .backend = "epoll"},
        {.name = "start-uring", .backend = "io_uring"},
        {.name = "accept", .settings = {SETTINGS, PATIENT}, .run = run_accept},
        {.name = "login",
         .settings = {SETTINGS, PATIENT, .users = users_first},
         .run = run_login,
         .calm = HARM_CLOSED,
         .heap = HARM_CLOSED},
        {.name = "subscribe", .settings = {SETTINGS, PATIENT}, .prepare = prepare_clients, .run = run_subscribe},
        {.name = "subscribe-groups",
         .settings = {SETTINGS, PATIENT},
         .prepare = prepare_clients,
         .run = run_subscribe_groups},
        {.name = "subscribe-thousands",
         .settings = {SETTINGS, PATIENT},
         .prepare = prepare_clients,
         .run = run_subscribe_thousands},
        {.name = "publish", .settings = {SETTINGS, PATIENT}, .prepare = prepare_publish, .run = run_publish},
        {.name = "requests", .settings = {SETTINGS, PATIENT}, .prepare = prepare_requests, .run = run_requests},
        {.name = "names",
         .settings = {SETTINGS, PATIENT},
         .prepare = prepare_names,
         .run = run_names,
         .heap = HARM_LOST},
        {.name = "lag-disconnect",
         .settings = {SETTINGS, .stall_ns_max = 10 * NS_PER_MS},
         .prepare = prepare_lag,
         .run = run_lag,
         .calm = HARM_CLOSED},
        {.name = "lag-drop-oldest",
         .settings = {SETTINGS, PATIENT, .lag_rules = ">=drop-oldest"},
         .prepare = prepare_lag,
         .run = run_lag,
         .calm = HARM_LOST},
        {.name = "lag-conflate",
         .settings = {SETTINGS, PATIENT, .lag_rules = ">=conflate"},
         .prepare = prepare_lag,
         .run = run_lag,
         .calm = HARM_LOST},
        {.name = "lag-block",
         .settings = {SETTINGS, PATIENT, .lag_rules = "a.b=drop-oldest,>=block"},
         .prepare = prepare_lag,
         .run = run_lag,
         .calm = HARM_CLOSED},
        {.name = "unsubscribe",
         .settings = {SETTINGS, PATIENT},
         .prepare = prepare_subscriptions,
         .run = run_unsubscribe},
        {.name = "leave", .settings = {SETTINGS, PATIENT}, .prepare = prepare_leave, .run = run_leave},
        {.name = "reload",
         .settings = {SETTINGS, PATIENT, .users = users_first},
         .prepare = prepare_reload,
         .run = run_reload,
         .calm = HARM_CLOSED},
        {.name = "admin", .settings = {SETTINGS, PATIENT}, .prepare = prepare_admin, .run = run_admin},
        {.name = "drain",
         .settings = {SETTINGS, PATIENT},
         .prepare = prepare_publish,
         .run = run_drain,
         .calm = HARM_LOST,
         .is_drained = true},
};
const size_t phases_count = array_count(phases);
