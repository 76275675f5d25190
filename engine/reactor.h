/* reactor: one core's share of everything: its connections, cohorts, streams, timers, memory. Nothing in here is
 * touched by another core but the counters, which are read; what they tell each other goes through mailboxes (cores).
 *
 * A turn: poll a batch, drain the mailboxes, take the batch up, while input is full read on, timers, publish, flush.
 * See reactor.c for why in this order. */
#ifndef SPATE_ENGINE_REACTOR_H
#define SPATE_ENGINE_REACTOR_H

#include "engine/addresses.h"
#include "engine/admin/admin.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/pool.h"
#include "engine/base/random.h"
#include "engine/base/timerwheel.h"
#include "engine/blocking.h"
#include "engine/cores.h"
#include "engine/quota.h"
#include "engine/counter_table.h"
#include "engine/flight_table.h"
#include "engine/lag.h"
#include "engine/lane.h"
#include "engine/ledger.h"
#include "engine/peer.h"
#include "engine/pulse.h"
#include "engine/registry.h"
#include "engine/route.h"
#include "engine/session.h"
#include "io/io.h"
#include "io/wire/nats.h"

#define REACTOR_EVENTS_MAX 4096
#define REACTOR_LISTENERS_MAX 16

/* What the operator sets; from the options, checked there. */
struct reactor_settings {
        struct io_settings io;
        uint64_t memory_bytes; /* stream chunks and kept input */
        uint64_t lag_bytes_max;
        uint64_t stall_ns_max;
        const struct lag_rules *lag;                 /* borrowed; NULL: everyone who lags is cut */
        uint8_t lag_policies[REACTOR_LISTENERS_MAX]; /* enum lag_policy of each listener, in the order of --listen */
        uint64_t block_ns; /* how long publishers wait for a subscriber with the policy block */
        uint64_t handshake_ns;
        uint64_t quiet_ns; /* how long a set of subscriptions must not change before it may be shared */
        uint64_t ping_interval_ns;
        uint32_t pings_out_max;
        uint32_t conns_max;                          /* clients of all reactors together */
        uint32_t address_conns_max;                  /* ... and of one address; 0: no limit */
        uint32_t subscriptions_max;                  /* per connection; 0: no limit of its own */
        uint32_t user_patterns_max, user_shapes_max; /* per user, or connection where there are none; 0: no limit */
        uint32_t subscribe_rate, subscribe_burst;    /* per connection and second, and at once; 0: no limit */
        uint32_t turn_changes; /* for a simulation: instead of the bounds of pace.h, parting.h and route.h; 0: those */
        uint32_t cache_lines;  /* of the topic cache; 0: none */
        uint64_t publish_rate, publish_burst; /* events per connection and second, and at once; 0: no limit */
        uint64_t publish_bytes;               /* ... and bytes */
        struct nats_limits nats;
        uint64_t (*heap_bytes)(void); /* what the heap holds, for the metrics; may be NULL */
        uint64_t seed;                /* for a simulation: every choice comes from it; 0: from the kernel */
        bool busy_poll;               /* never sleeps */
        struct auth *auth;            /* who may come in; NULL: everyone */
        uint64_t auth_timeout_ns;     /* how long a connection may take to log in */
        unsigned number;              /* which reactor */
        int cpu;                      /* that it is pinned to; -1: none */
        const char *file;             /* that the options were read from, for people; NULL: none */
        uint64_t edition;             /* goes up with each that is published: an address may come again */
};

/* The process's share of a CPU, between two who asked; the first reactor's. */
struct cpu_share {
        uint64_t asked_ns, cpu_ns; /* when, and how much it had spent */
        uint64_t permille;         /* then */
};

/* How far it has come to its orderly end. */
enum reactor_drain {
        REACTOR_RUNS,
        REACTOR_STOPPED,     /* reads nobody; its last events go into the mailboxes */
        REACTOR_LISTENS,     /* has said its last; the others may still send theirs */
        REACTOR_TAKES_LEAVE, /* nothing more comes from anywhere: says goodbye to one connection after the other */
};

struct control;

struct reactor {
        struct reactor_settings settings;
        struct control *control; /* the first one's; NULL: nobody can be asked for a reload, or to end */
        struct io *io;
        struct cores *cores;
        struct bell *bell; /* ours */
        /* By the other reactor's number; NULL at our own. */
        struct mailbox *out[MATCH_REACTORS_MAX], *in[MATCH_REACTORS_MAX];
        struct blocking blocking;
        uint64_t blocking_ns; /* when the next held publisher may go on */
        struct list held;     /* peers held for a mailbox, the first first, by wait_link */
        struct list resumed;  /* peers to go on with, by resume_link */
        struct list paced;    /* sessions that may subscribe again in a turn to come, the first first, by pace.link */
        struct pace_turn pace_turn;
        struct list parting;   /* sessions that have ended with many subscriptions, the first first, by parting_link */
        uint32_t parting_left; /* subscriptions that may still be taken away in this turn */
        uint64_t partings_begun, partings_done; /* those that were ever in the list */
        struct list questions;                  /* that have not been answered by all yet */
        unsigned questions_count;
        struct list questions_due;      /* those of them that we have still to answer ourselves, by due_link */
        uint64_t full;                  /* mailboxes that had no room, a bit each: their reactors are to be told FULL */
        uint64_t full_told;             /* those that have been: their WAKE will come */
        uint64_t wanted;                /* reactors that have told us FULL: they get a WAKE when we have made room */
        uint64_t last_sent, last_heard; /* MAILBOX_LAST, by reactor */
        bool must_turn;                 /* something could not be told for want of room: no sleep */
        bool is_halted;                 /* turns no more */
        uint8_t watermark;              /* enum watermark */
        struct auth_gate *gate;         /* ours; NULL: there are no users */
        struct list logins_waiting;     /* for their turn to ask, by login.wait_link */
        uint32_t logins_waiting_count;
        bool may_let_ask;          /* some of them may: no sleep */
        bool is_rechecking;        /* the users have changed, and not every session was asked again */
        uint32_t recheck_next;     /* the next to ask, by index */
        uint64_t recheck_partings; /* behind the last: so many of those that have ended must be gone, too */
        uint8_t drain;             /* enum reactor_drain */
        uint32_t drain_next;       /* the connection to whom goodbye is said next, by index */
        uint32_t drain_count, drain_done;
        uint64_t drain_began_ns, drain_ns;
        uint64_t sampled_ns;
        uint64_t accepts_failed, short_ns; /* told of so many; when the last was */
        bool is_short_of_descriptors;
        struct lanes lanes;
        struct routes routes;
        struct quotas quotas;
        struct registry registry;
        struct list crowded; /* sessions to take out of their cohorts, by crowded_link */
        struct list kept;    /* peers that have begun an operation and not ended it, the oldest first, by kept_link */
        uint64_t kept_bytes; /* in blocks of the stream memory */
        struct pool peers;
        struct peer **by_index; /* by io_id_index() */
        uint32_t by_index_count;
        uint32_t peers_count;
        uint32_t clients_count; /* of these: let in */
        uint32_t admins_count;
        struct addresses addresses; /* of the clients */
        struct timerwheel wheel;
        struct random random;
        struct counters counters;
        struct pulse pulse;
        struct flight flight;
        struct cpu_share cpu_share;
        struct ledger ledger;
        struct log_limit cut_log, fault_log, quota_log;
        const struct peer_protocol *listeners[REACTOR_LISTENERS_MAX];
        uint16_t listener_ports[REACTOR_LISTENERS_MAX];
        uint8_t listener_numbers[REACTOR_LISTENERS_MAX]; /* which --listen it is of, for the users' listeners */
        uint8_t listen_number;                           /* that of the next reactor_listen() */
        uint64_t next_client_id;
        uint64_t started_ns, started_unix_ns;
        uint64_t flush_ns;                     /* what the last flush cost */
        uint64_t flush_sends, flush_sends_max; /* to how many it was, and may be */
        bool has_sends;                        /* the last flush queued some */
        uint64_t push_bytes;                   /* stream memory at which the turn sends before its end */
        uint64_t finish_ns;                    /* how long a connection that is told goodbye may take to hear it */
        bool is_stopping;                      /* draining: everyone is told, nobody new comes in */
        char server_id[24];
        char server_name[64];
        struct io_event events[REACTOR_EVENTS_MAX];
};

/* 0 or -errno. Starts the backend; the cores are borrowed, and settings->number tells which of them it is. The reactor
 * is large: it comes from the heap. `io` may be NULL, or a backend that is already started (a simulation), which then
 * belongs to the reactor. */
int reactor_new(struct reactor **reactor, const struct reactor_settings *settings, struct cores *cores, struct io *io);
/* Closes what is still open and frees all. Accepts NULL. */
void reactor_free(struct reactor *reactor);

/* 0 or -errno; the bound address goes to `bound`. */
int reactor_listen(struct reactor *reactor, const char *address, const struct peer_protocol *protocol,
                   char bound[IO_ADDRESS_BYTES_MAX]);
/* The same at an address that several reactors share, see io_listen_shared(). */
int reactor_listen_shared(struct reactor *reactor, const char *address, enum io_sharing sharing,
                          const struct peer_protocol *protocol, char bound[IO_ADDRESS_BYTES_MAX]);

/* One turn, on a thread that is registered with base/epoch, when all reactors of the cores have been made. Waits at
 * most until `deadline_ns`. Returns how many events the backend had. */
int reactor_turn(struct reactor *reactor, uint64_t deadline_ns);

/* Orderly end of all reactors, told to reactor 0, which tells the others. Each stops listening and reading; when no
 * event is under way between them any more, each says goodbye to its connections, one after the other over `spread_ns`,
 * and sends what is theirs. The turns that follow do it; a reactor is through when its peers_count is 0. A client may
 * take `finish_ns` to take what is its own, and at least as long as ever. */
void reactor_drain(struct reactor *reactor, uint64_t finish_ns, uint64_t spread_ns);
/* Tells all other reactors to turn no more (is_halted). From reactor 0. */
void reactor_halt_others(struct reactor *reactor);

/* The peer with this id, or NULL. */
struct peer *reactor_find(struct reactor *reactor, io_id id);
/* Holds the publisher whose event found no room in the mailboxes of `full`, until there is. */
void reactor_hold_publisher(struct reactor *reactor, struct peer *peer, uint64_t full);

/* Sends what has gathered, now. Between two events, while no list is being walked. */
void reactor_push(struct reactor *reactor);
/* What one turn appends is not bounded by what it receives: an event may have thousands of private subscribers. So a
 * turn sends each time that it has appended an eighth of the memory, instead of cutting off those who would take it. */
static inline void reactor_relieve(struct reactor *reactor)
{
        if (unlikely(reactor->lanes.memory.taken_bytes > reactor->push_bytes))
                reactor_push(reactor);
}

static inline void reactor_count(struct reactor *reactor, enum counter_id id, uint64_t value)
{
        counter_add(&reactor->counters, id, value);
}
/* What came of a reload, for the metrics. */
void reactor_note_reload(struct reactor *reactor, bool is_taken);
/* A counter of all reactors together. */
uint64_t reactor_sum(const struct reactor *reactor, enum counter_id id);
/* Copies the backend's statistics and the sizes of things into the counters. */
void reactor_sample(struct reactor *reactor);
/* Prints the memory plan of all reactors: count × size — who needs it. */
void reactor_print_plan(const struct reactor_settings *settings, const struct cores *cores, void *out);

#endif
