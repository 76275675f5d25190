/* crew: the reactors of `spate run`, each on a thread and a CPU of its own. Reactor 0 is turned by the thread that made
 * the crew, so one reactor is one thread.
 *
 *      crew_new ─▶ listen, with crew_reactor() ─▶ crew_start ─▶ turn reactor 0 … ─▶ crew_halt ─▶ crew_free
 *
 * The reactors are made one after the other by the first thread, which goes to the CPU of each for that: what a reactor
 * touches while it is made, and the kernel's part of io_uring, comes from that CPU's node, and an error at start is an
 * ordinary return value. A thread ends only when it was told to halt; whatever else ends one ends the process. */
#ifndef SPATE_ENGINE_CREW_H
#define SPATE_ENGINE_CREW_H

#include "engine/cpu.h"
#include "engine/reactor.h"
#include "engine/watch.h"

struct crew;

/* 0 or -errno. The settings are of each reactor, all but their number. The cores are borrowed. In the thread that will
 * turn reactor 0; it is registered with base/epoch. */
int crew_new(struct crew **crew, struct cores *cores, const struct reactor_settings *settings,
             const struct cpu_plan *plan);
/* Every reactor, when no thread runs. Accepts NULL. */
void crew_free(struct crew *crew);

unsigned crew_count(const struct crew *crew);
struct reactor *crew_reactor(struct crew *crew, unsigned number);

/* Starts the other threads, which take no signals. 0 or -errno; then none runs. */
int crew_start(struct crew *crew);
/* Has the watch see to it that all of them turn, and take the signals: watch_start(). 0 or -errno; then no thread runs.
 */
int crew_be_watched(struct crew *crew, struct watch *watch, uint64_t end_ns);
/* Tells the other threads to turn no more, and waits until they have heard. */
void crew_halt(struct crew *crew);

/* Connections of all reactors now. */
uint64_t crew_connections(const struct crew *crew);

#endif
