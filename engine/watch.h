/* watch: one thread that carries no events. It takes the signals, sees to it that every reactor turns, tells the
 * service manager so, and ends the process where nobody else does any more.
 *
 *      every tick:   did each reactor turn since it was last woken?  ─ all ──▶ WATCHDOG=1
 *                          │                                         └ not ──▶ a log line names it; no WATCHDOG=1;
 *                          │                                                   duties.stuck, and the end if asked for
 *                          └──────────── wake them all for the next look
 *
 * A reactor that has nothing to do sleeps, so each is woken before it is judged; one wake in two seconds costs nothing.
 * Signals are blocked in every other thread and taken here: a reactor that hangs, the first one included, can so
 * neither swallow SIGTERM nor hold up the end.
 *
 *      watch_new ─▶ (reactors are made) ─▶ watch_start ─▶ watch_stops() … ─▶ watch_halting ─▶ watch_free
 */
#ifndef SPATE_ENGINE_WATCH_H
#define SPATE_ENGINE_WATCH_H

#include "engine/base/counters.h"
#include "engine/notify.h"

struct watch;

/* Somebody who turns. Borrowed until watch_free(). */
struct watch_reactor {
        const struct counters *counters;
        size_t turns; /* the row that grows by one a turn */
        void (*wake)(void *sleeper);
        void *sleeper; /* makes it turn; from any thread */
};

#define WATCH_REACTORS_MAX 64

/* What else its thread does, which may wait for a disk. */
struct watch_duties {
        void *context;
        /* The reactor does not turn; told again each time that it has not for twice as long. */
        void (*stuck)(void *context, unsigned number, bool is_new);
        /* SIGUSR1 came. 0 or -errno, for watch_dumps(). */
        int (*dump)(void *context);
        uint64_t exit_ns; /* ends the process when a reactor has not turned for so long; 0: never */
};

/* 0 or -errno. Blocks SIGTERM, SIGINT, SIGHUP and SIGUSR1 in this thread, and so in all that it starts: they wait until
 * watch_start(). Reads what the service manager asks for. Before any thread is started or pinned. */
int watch_new(struct watch **watch);
/* Before watch_start(). */
void watch_set_duties(struct watch *watch, const struct watch_duties *duties);
/* Starts the thread. Of a signal, the first reactor is woken. Who has not called watch_free() `end_ns` after the first
 * SIGTERM, or WATCH_END_NS after the second, is ended with status 1. 0 or -errno. */
int watch_start(struct watch *watch, const struct watch_reactor *reactors, unsigned count, uint64_t end_ns);
#define WATCH_END_NS (5 * (uint64_t)1000000000)
/* From now on the process has so long from its first SIGTERM, instead of what watch_start() was told. The thread that
 * made the watch. */
void watch_set_end(struct watch *watch, uint64_t end_ns);
/* The reactors end now: nobody is judged any more. The thread that made the watch. */
void watch_halting(struct watch *watch);
/* Ends the thread. Accepts NULL, and one that was not started. */
void watch_free(struct watch *watch);

/* How often SIGTERM or SIGINT came, and how often SIGHUP. */
uint64_t watch_stops(const struct watch *watch);
uint64_t watch_reloads(const struct watch *watch);
/* How often SIGUSR1 came and was dealt with; *failed is what came of the last, 0 or -errno. The first reactor is woken.
 */
uint64_t watch_dumps(const struct watch *watch, int *failed);
/* Which reactors do not turn, a bit each; and how often one was found so. The first reactor is woken when that changes.
 */
uint64_t watch_stuck(const struct watch *watch);
uint64_t watch_stalls(const struct watch *watch);
const struct notify *watch_notify(const struct watch *watch);

#endif
