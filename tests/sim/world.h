/* world: the whole engine on a simulated network, and all that speaks to it: NATS clients that subscribe, publish, ask,
 * stall, leave and break off, and somebody at the admin address. One to four reactors on one thread: they turn in any
 * order, sleep while others wake them, lose their core for a while, and tell each other in mailboxes that are full
 * every now and then.
 *
 *      case ──▶ twists (what this seed's world is like) ──▶ world: act, turn, act, turn …, settle, drain or halt
 *                                                             │ clients: what they say and hear   │ askers
 *                                                             ▼ rights: who may do what, when     ▼
 *                                                           checker: what must have come, what may, what the accounts
 * say
 *
 * A seed is played twice in the same way, to the byte. Each act draws from a source of its own, so that one can be left
 * out and the others stay what they are. */
#ifndef SPATE_SIM_WORLD_H
#define SPATE_SIM_WORLD_H

#include <stdio.h>

#include "engine/base/random.h"
#include "engine/reactor.h"
#include "io/sim.h"
#include "tests/sim/case.h"
#include "tests/sim/topics.h"

#define CLIENTS_MAX 40
#define SUBSCRIPTIONS_MAX 32768
#define EVENTS_MAX 4096
#define DRAIN_EVENTS_MAX 100 /* in the orderly end */
#define REACTORS_MAX 4
#define ASKERS 3
#define EDITIONS_MAX 12 /* of settings, and of users */
#define INPUT_BYTES_MAX (1 << 20)
#define INBOX_SID 900000u /* of what is asked with; no event comes there, but 503 */
#define LAG_SID 900001u   /* of $SPATE.LAG */
#define NEVER UINT32_MAX

/* When something was written, and when it was known to be done, in steps of the world. */
struct moment {
        uint32_t written_step, acked_step;
};

struct event_sent {
        uint16_t publisher;
        struct topic subject;
        bool is_asking;     /* with a reply subject of the publisher's own */
        bool is_unanswered; /* 503 came */
        uint32_t number;    /* of this publisher */
        uint32_t size;
        struct moment moment;
};

/* What one subscription has had. Most of a hoard never hear a thing, and have none. */
struct heard {
        uint32_t last_of[CLIENTS_MAX]; /* number + 1 of the last event of each publisher */
        uint64_t had[EVENTS_MAX / 64]; /* a bit an event */
};

struct subscribed {
        uint16_t client;
        struct wish wish;
        bool is_refused; /* told so: a violation */
        uint32_t sid, max, got, got_at_limit;
        struct moment made, ended, limited;
        struct heard *heard; /* NULL: nothing yet */
};

static inline bool subscribed_had(const struct subscribed *subscription, size_t event)
{
        return subscription->heard != NULL && (subscription->heard->had[event / 64] >> event % 64 & 1) != 0;
}

static inline uint32_t subscribed_last_of(const struct subscribed *subscription, size_t publisher)
{
        return subscription->heard == NULL ? 0 : subscription->heard->last_of[publisher];
}

/* What is done when the PONG behind ping number `ping` comes. */
struct promise {
        uint32_t ping;
        enum { PROMISE_EVENT, PROMISE_MADE, PROMISE_ENDED, PROMISE_LIMITED } kind;
        uint32_t index; /* of the event, or the subscription */
};

struct client {
        struct sim_peer *peer;
        bool echo, headers, no_responders, hears_lag, hoards;
        bool has_reactor;
        bool is_over; /* it has ended, or wants to */
        bool is_shut; /* it has said its last */
        uint8_t user;
        size_t reactor;
        /* When the orderly end began. */
        bool was_over;
        uint64_t dropped_before; /* by its reactor */
        uint32_t next_number;
        uint32_t pings_written, pongs_heard;
        uint32_t joined_step;
        uint64_t heard;                /* messages */
        uint64_t told_skipped[LOSSES]; /* by $SPATE.LAG */
        uint32_t *subscriptions;       /* by sid, from 1 on */
        uint32_t sids_count, sids_room;
        struct promise *promises;
        size_t promises_first, promises_count, promises_room;
        size_t waiting_bytes; /* of an operation that is not whole yet */
};

/* Asks the admin address; heads and bodies as they come. */
struct asker {
        struct sim_peer *peer;
        uint32_t asked, answered;
        uint8_t input[INPUT_BYTES_MAX];
        size_t input_bytes;
};

/* What one edition of the users holds for, in steps; see rights.h. */
struct edition {
        uint32_t from_step, until_step;
        const struct users *users;
};

struct rights {
        struct auth *auth; /* NULL: everybody may do everything */
        size_t count;
        struct edition editions[EDITIONS_MAX];
};

struct world {
        struct sim_case sim_case;
        struct random plan, random; /* what the world is like; what happens next */
        struct sim_settings network;
        struct cores *cores;
        struct io *io[REACTORS_MAX];
        struct reactor *reactors[REACTORS_MAX];
        struct epoch_reader *readers[REACTORS_MAX];
        uint64_t away_until_ns[REACTORS_MAX];
        size_t reactors_count;
        struct lag_rules lag[EDITIONS_MAX];
        struct reactor_settings settings[EDITIONS_MAX];
        size_t settings_count;
        uint32_t lag_policies; /* in use in any edition */
        struct rights rights;
        uint64_t pace_ns;            /* how long a turn may take at most */
        uint32_t fail_memory_one_in; /* see host.h */
        size_t asleep;               /* whose turn it is, while others turn inside */
        uint64_t turn_ns;            /* how long those may take */
        bool is_settling, is_draining, is_quiet;
        size_t body_bytes_max;
        unsigned reload_in_1024;
        struct client clients[CLIENTS_MAX];
        size_t clients_count;
        size_t events_count, events_max, subscriptions_count;
        uint32_t step, acts_count;
        uint64_t turns_count;
        uint64_t delivered;
        uint32_t rounds;
        uint64_t quiet_count; /* of connections and patterns */
        /* Too large to be cleared for each seed: written before they are read. */
        struct event_sent events[EVENTS_MAX];
        struct subscribed subscriptions[SUBSCRIPTIONS_MAX];
        struct asker askers[ASKERS];
};

struct outcome {
        uint64_t hash; /* of every step of the network and every byte that it carried */
        uint64_t events, delivered, crossings, held, unanswered, skipped, denied, failures;
        size_t clients, reactors;
};

static inline bool world_has(const struct world *world, enum twist twist)
{
        return case_has(&world->sim_case, twist);
}

/* Plays one case, whole. Whatever does not hold is told, with the line that replays it, and ends the process. */
void world_play(const struct sim_case *sim_case, FILE *trace, struct outcome *outcome);
/* How far it has come, for who shrinks. */
const struct world *world_now(void);
/* The line that replays it, the last steps, what the engine and the clients are like. For a failure. */
void world_dump(FILE *to, size_t steps);

uint64_t world_counter(const struct world *world, enum counter_id id);
/* Says what does not hold, and ends the process. */
__attribute__((noreturn, format(printf, 3, 4))) void world_fail(const char *file, int line, const char *format, ...);

#define must(fact, ...)                                                                                                \
        do {                                                                                                           \
                if (unlikely(!(fact)))                                                                                 \
                        world_fail(__FILE__, __LINE__, __VA_ARGS__);                                                   \
        } while (0)

#endif
