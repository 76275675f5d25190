/* nthworld: a small world for the fail-the-n-th loop: two reactors on one simulated network, scripted NATS clients, and
 * what must hold of them whatever was refused. The same every time: no choice in it comes from chance.
 *
 * It keeps account of who asked for what and what the engine said to it:
 *
 *      a SUB       asked ─▶ stands (+OK, or a PONG behind it and no -ERR), or was refused (an -ERR said so)
 *      an event    written ─▶ taken (a PONG behind it)
 *
 * and judges: what stands gets each event once, in its publisher's order, byte for byte, or the engine has counted the
 * loss; what was refused gets none; a request is heard by somebody or answered with 503; each connection that ended is
 * counted with a reason; the ledger balances in every turn; in the end all memory is back. */
#ifndef SPATE_TESTS_NTHWORLD_H
#define SPATE_TESTS_NTHWORLD_H

#include "engine/reactor.h"
#include "io/sim.h"
#include "tests/fault/faults.h"

#define WORLD_REACTORS 2
#define WORLD_CLIENTS_MAX 64
#define WORLD_SUBSCRIPTIONS_MAX 3000
#define WORLD_EVENTS_MAX 2048
#define WORLD_ASKERS_MAX 4
#define WORLD_LAG_REASONS 3 /* for which a client that stays may miss events */

/* What a client says of itself. */
enum client_trait { CLIENT_VERBOSE = 1, CLIENT_DEAF = 2 /* no echo */, CLIENT_ASKS = 4 /* headers, no_responders */ };

/* What may come of what is refused, from best to worst. */
enum harm {
        HARM_NONE,    /* only time is lost */
        HARM_REFUSED, /* a SUB is refused, an answer is not given */
        HARM_LOST,    /* events are lost, and counted */
        HARM_CLOSED,  /* connections end, and are counted */
};

struct world_settings {
        const char *lag_rules; /* NULL: who lags is cut */
        size_t memory_bytes;
        uint64_t stall_ns_max;
        size_t mailbox_bytes;
        uint32_t conns_max;
        const char *users; /* the text of a users file; NULL: everyone may come in */
};

enum subscription_state { SUB_ASKED, SUB_STANDS, SUB_REFUSED, SUB_UNSURE, SUB_ENDED };

struct world_subscription {
        uint16_t client;
        uint8_t state; /* enum subscription_state */
        char pattern[48], group[16];
        uint32_t stands_step, end_step; /* when that was heard; when the UNSUB was written, or NEVER */
        uint32_t ping;                  /* behind the SUB */
        uint32_t max, max_ping, got;
        bool is_limited;                  /* the limit is known to the engine */
        uint32_t last[WORLD_CLIENTS_MAX]; /* number + 1 of the last event of each publisher */
        uint64_t had[WORLD_EVENTS_MAX / 64];
};

struct world_event {
        uint16_t publisher;
        bool is_asking, is_unanswered, is_taken;
        uint32_t number, size, ping;
        uint32_t written_step, taken_step;
        uint32_t got; /* by how many subscriptions */
        char subject[48];
};

struct world_client {
        struct sim_peer *peer;
        unsigned reactor;
        unsigned traits;
        const char *user;
        bool is_over; /* we know that it ended */
        bool is_leaving;
        uint32_t pings, pongs, next_number, events_heard, refusals;
        uint32_t lag_totals[WORLD_LAG_REASONS]; /* that it was told */
        /* Of a verbose one: what waits for its +OK, a subscription + 1 or 0 for anything else. */
        uint32_t waiting[4096];
        uint32_t waiting_first, waiting_end;
        uint8_t input[64 << 10];
        size_t input_bytes;
};

struct world_asker {
        struct sim_peer *peer;
        bool is_over;
        uint32_t asked, answered, failed; /* with a 500 */
        char *input;
        size_t input_bytes;
};

struct world {
        struct world_settings settings;
        struct cores *cores;
        struct auth *auth;
        struct lag_rules lag;
        struct reactor_settings reactor_settings, reloaded;
        struct reactor *reactors[WORLD_REACTORS];
        struct epoch_reader *readers[WORLD_REACTORS];
        struct io *io; /* the first */
        enum harm harm_max;
        bool is_striking; /* faults are armed in the engine's turns */
        bool is_mute;     /* ... so that nobody may hear anything until they are not */
        bool is_draining;
        bool has_leavers; /* what was on its way to them is lost, and counted */
        uint32_t step;
        struct world_client clients[WORLD_CLIENTS_MAX];
        size_t clients_count;
        struct world_asker askers[WORLD_ASKERS_MAX];
        size_t askers_count;
        struct world_subscription subscriptions[WORLD_SUBSCRIPTIONS_MAX];
        size_t subscriptions_count;
        struct world_event events[WORLD_EVENTS_MAX];
        size_t events_count;
        long heap_blocks, mapped_bytes; /* before it began */
};

/* Says what is wrong and how to see it again, and aborts. */
#define world_must(fact, ...)                                                                                          \
        do {                                                                                                           \
                if (!(fact))                                                                                           \
                        world_fail(__FILE__, __LINE__, __VA_ARGS__);                                                   \
        } while (0)
__attribute__((format(printf, 3, 4), noreturn)) void world_fail(const char *file, int line, const char *format, ...);
/* The words that bring a failure about again; borrowed. */
void world_set_replay(const char *words);

/* Is memory to be back in the end? Not the first time: some is taken once in a process. */
void world_count_memory(bool is_counted);

/* All of the engine, listening: clients come to reactor i as listener 16 i, askers to reactor 0. 0, or -errno where
 * that was refused: then nothing is left of it. With `is_struck` what it asks for may be refused. */
int world_start(struct world *world, const struct world_settings *settings, bool is_struck);
/* Everything is freed, whatever there was, and all memory is back. */
void world_stop(struct world *world);

size_t world_connect(struct world *world, unsigned reactor, unsigned traits, const char *user);
size_t world_subscribe(struct world *world, size_t client, const char *pattern, const char *group);
void world_unsubscribe(struct world *world, size_t subscription, uint32_t max);
size_t world_publish(struct world *world, size_t client, const char *subject, uint32_t size, bool is_asking);
void world_ping(struct world *world, size_t client);
/* It leaves, in order or not. */
void world_leave(struct world *world, size_t client, bool is_reset);
size_t world_connect_asker(struct world *world);
void world_ask(struct world *world, size_t asker, const char *path);

/* So many turns of each reactor. */
void world_turn(struct world *world, unsigned turns);
/* Until everybody who lives has heard a PONG behind his last word, and a little longer; or, where the world is mute,
 * for so long that they would have. */
void world_settle(struct world *world);
/* Reads the users again, this text. */
void world_reload_users(struct world *world, const char *users);
/* All reactors take up other settings. */
void world_reload_settings(struct world *world);

/* All that must hold now. It has settled, and nothing is refused any more. */
void world_judge(struct world *world);
/* The world goes on: who comes now is served, and what stands gets a new event. */
void world_probe(struct world *world);
/* The orderly end; everything is gone, and all memory of the engine is back. */
void world_drain(struct world *world);

#endif
