/* simnet: the simulated network: one virtual clock, one source of chance, one trace, and what is going to happen, for
 * all the reactors on it. For io/sim*.c only; who tests includes io/sim.h.
 *
 * Whatever takes time is a happening in one heap, ordered by virtual time and then by age. Every call, choice and event
 * is a step, and enters the hash. */
#ifndef SPATE_IO_SIMNET_H
#define SPATE_IO_SIMNET_H

#include "engine/base/clock.h"
#include "engine/base/list.h"
#include "engine/base/random.h"
#include "io/sim.h"
#include "io/simbytes.h"

struct happening {
        uint64_t at_ns;
        uint64_t order;   /* the network's */
        const char *name; /* as a step of the trace */
        void (*happen)(const struct happening *happening);
        unsigned kind; /* its owner's */
        struct simnet *net;
        struct sim_peer *peer; /* NULL: no connection's */
        uint32_t number;       /* the connection's, or 0 */
        uint64_t a, b;
        void *owned; /* freed by the network when it ends before this happens; else by happen() */
};

/* A step of the trace, as it is kept. */
struct simstep {
        uint64_t step, now_ns, a, b;
        const char *what;
        uint32_t speaking, number;
};

struct simnet {
        struct sim_settings settings;
        struct random random;
        uint64_t now_ns;
        uint64_t hash, steps;
        struct simstep *last; /* SIM_STEPS_KEPT of them, by step */
        struct happening *heap;
        size_t heap_count, heap_capacity;
        uint64_t order;
        struct list sims;     /* the reactors' ends, in the order they came */
        struct list peers;    /* all that ever were, by `all` */
        struct list answered; /* for sim_answered() */
        struct list answers, datagrams_out;
        uint32_t sims_count, speaking; /* the number of who calls, or polls */
        uint32_t peers_count, ports_count;
        size_t lent_bytes;
        uint64_t stirred; /* rises with every call, and with every io_poll() that tells something */
        bool idle;
        bool (*let_others)(void *context); /* see sim_on_sleep(); NULL while it runs */
        void *let_others_context;
};

void simnet_init(struct simnet *net, const struct sim_settings *settings);
void simnet_fini(struct simnet *net);

uint64_t simnet_draw(struct simnet *net, uint64_t bound);
bool simnet_chance(struct simnet *net, uint16_t chance_1024);
bool simnet_coin(struct simnet *net);
/* One way, drawn anew. */
uint64_t simnet_latency_ns(struct simnet *net);

/* One line of the trace: what (static), which connection (0: none), two numbers. */
void simnet_step(struct simnet *net, const char *what, uint32_t number, uint64_t a, uint64_t b);
/* See sim_trace_last(). */
void simnet_trace_last(const struct simnet *net, size_t count, FILE *to);
void simnet_hash_word(struct simnet *net, uint64_t word);
void simnet_hash_bytes(struct simnet *net, const uint8_t *bytes, size_t size);
/* The engine broke a promise: tells seed, step, connection (0: none) and why, and aborts. */
__attribute__((noreturn, format(printf, 4, 5))) void simnet_fail(const struct simnet *net, uint32_t number, io_id id,
                                                                 const char *format, ...);

/* `happening` will happen; its place among others of the same time is behind them. */
void simnet_add(struct simnet *net, struct happening happening);
/* When the next one does; UINT64_MAX: none will. */
static inline uint64_t simnet_next_ns(const struct simnet *net)
{
        return net->heap_count > 0 ? net->heap[0].at_ns : UINT64_MAX;
}
/* All that happens until then, in order. The clock ends at the last of it. */
void simnet_happen_until(struct simnet *net, uint64_t until_ns);

#endif
