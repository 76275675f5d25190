/* watch: see the header. What its thread tells the others are counters of its own, and what they tell it is one of
 * theirs: each is written by one thread, and a wake follows. */
#include "engine/watch.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/faults.h"
#include "engine/base/log.h"
#include "engine/cpu.h"

#define TICK_NS_MIN (10 * NS_PER_MS)
#define TICK_NS_MAX (2 * NS_PER_S)
#define TICKS_A_WATCHDOG 3 /* one look may come late and one datagram get lost */

/* DUMPS: how many, and in the low bits what came of the last: read together. STUCK: a bit for each reactor. */
enum { COUNT_STOPS, COUNT_RELOADS, DUMPS, STUCK, COUNT_STALLS, HEARD_COUNTERS };
#define DUMPS_ERRNO_BITS 16
enum { COUNT_HALTS, END_NS, SAID_COUNTERS };

struct watched {
        struct watch_reactor reactor;
        uint64_t turns_seen;
        uint64_t still_ns; /* woken so long ago, and has not turned since */
        uint64_t tell_ns;  /* the next line about it, when it has stood still for so long */
};

struct watch {
        struct notify notify;
        struct counters heard; /* by the watch's thread, for the first reactor */
        struct counters said;  /* the other way round */
        struct cpus home;      /* where this process may run: not on the CPU of the first reactor alone */
        pthread_t thread;
        bool is_started;
        unsigned count;
        uint64_t tick_ns;
        struct watch_duties duties;
        struct watched watched[WATCH_REACTORS_MAX];
};

/* What ends the thread: no signal that anyone else sends. */
static int signal_of_end(void)
{
        return SIGRTMIN;
}

static void signals_taken(sigset_t *set)
{
        sigemptyset(set);
        sigaddset(set, SIGTERM);
        sigaddset(set, SIGINT);
        sigaddset(set, SIGHUP);
        sigaddset(set, SIGUSR1);
        sigaddset(set, signal_of_end());
}

/* ---- the look ---- */

static void watched_wake(struct watched *watched)
{
        watched->turns_seen = counter_read(watched->reactor.counters, watched->reactor.turns);
        watched->reactor.wake(watched->reactor.sleeper);
}

/* Has it turned since it was woken, `elapsed_ns` ago? Tells when it stops and when it goes on, and in between each time
 * that it has stood still for twice as long. */
static bool watched_turns(struct watch *watch, unsigned number, uint64_t elapsed_ns, bool has_watchdog)
{
        struct watched *watched = &watch->watched[number];
        if (counter_read(watched->reactor.counters, watched->reactor.turns) != watched->turns_seen) {
                if (watched->still_ns > 0)
                        log_warn("reactor_turns_again", "reactor=%u stood_still_s=%.1f", number,
                                 (double)watched->still_ns / NS_PER_S);
                watched->still_ns = watched->tell_ns = 0;
                return true;
        }
        watched->still_ns += elapsed_ns;
        if (watched->still_ns >= watched->tell_ns) {
                bool is_new = watched->tell_ns == 0;
                watched->tell_ns = 2 * watched->still_ns;
                log_line(has_watchdog ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN, "reactor_stands_still",
                         "reactor=%u for_s=%.1f watchdog=%s", number, (double)watched->still_ns / NS_PER_S,
                         has_watchdog ? "\"not told; the service manager will restart\"" : "none");
                if (watch->duties.stuck != NULL)
                        watch->duties.stuck(watch->duties.context, number, is_new);
        }
        if (watch->duties.exit_ns != 0 && watched->still_ns >= watch->duties.exit_ns) {
                log_error("ended_by_force", "reason=\"a reactor stands still\" reactor=%u for_s=%.1f", number,
                          (double)watched->still_ns / NS_PER_S);
                _exit(EXIT_FAILURE);
        }
        return false;
}

/* Not those who end: what is freed then is not to be woken, and nobody turns any more. */
static void watch_wake_all(struct watch *watch)
{
        for (unsigned i = 0; counter_read(&watch->said, COUNT_HALTS) == 0 && i < watch->count; i++)
                watched_wake(&watch->watched[i]);
}

/* The first reactor tells what it hears of this: it is awake for the next look anyway. */
static void watch_note_stuck(struct watch *watch, unsigned number, bool turns)
{
        uint64_t bit = (uint64_t)1 << number, stuck = counter_read(&watch->heard, STUCK);
        if (turns == ((stuck & bit) == 0))
                return;
        counter_set(&watch->heard, STUCK, stuck ^ bit);
        counter_add(&watch->heard, COUNT_STALLS, !turns);
}

/* Judges all since the last look, which was `elapsed_ns` ago, and wakes them for the next. */
static void watch_look(struct watch *watch, uint64_t elapsed_ns)
{
        bool has_watchdog = watch->notify.watchdog_ns > 0, all_turn = true;
        /* Long after its time: the whole process was stopped or starved, and the reactors are not to blame. */
        bool is_fair = elapsed_ns < 2 * watch->tick_ns;
        if (counter_read(&watch->said, COUNT_HALTS) > 0)
                return;
        for (unsigned i = 0; is_fair && i < watch->count; i++) {
                bool turns = watched_turns(watch, i, elapsed_ns, has_watchdog);
                watch_note_stuck(watch, i, turns);
                all_turn &= turns;
        }
        if (is_fair && all_turn && has_watchdog)
                notify_alive(&watch->notify);
        watch_wake_all(watch);
}

/* ---- the end ---- */

/* Whoever has not turned since it was last woken hangs: to hear of an orderly end takes a turn. Not so the first, who
 * tells the others. */
static void watch_end_process(const struct watch *watch, uint64_t since_ns)
{
        char who[128] = "";
        unsigned first = counter_read(&watch->said, COUNT_HALTS) > 0;
        for (unsigned i = first, size = 0; i < watch->count && size < sizeof who; i++) {
                const struct watched *watched = &watch->watched[i];
                if (counter_read(watched->reactor.counters, watched->reactor.turns) == watched->turns_seen)
                        size += (unsigned)snprintf(who + size, sizeof who - size, "%s%u", size > 0 ? "," : "", i);
        }
        log_error("ended_by_force", "reason=\"%s\" reactors=%s signals=%llu after_s=%.1f",
                  who[0] != '\0' ? "they stand still" : "it did not end by itself", who[0] != '\0' ? who : "none",
                  (unsigned long long)counter_read(&watch->heard, COUNT_STOPS), (double)since_ns / NS_PER_S);
        _exit(EXIT_FAILURE);
}

/* ---- the thread ---- */

/* The next signal until `until_ns`, or 0. */
static int watch_wait(const sigset_t *set, uint64_t until_ns)
{
        siginfo_t info = {0};
        uint64_t now_ns = clock_monotonic_ns(), left_ns = until_ns > now_ns ? until_ns - now_ns : 0;
        struct timespec left = {.tv_sec = (time_t)(left_ns / NS_PER_S), .tv_nsec = (long)(left_ns % NS_PER_S)};
        int signal = sigtimedwait(set, &info, &left);
        bool is_foreign = signal == signal_of_end() && info.si_pid != getpid();
        return signal < 0 || is_foreign ? 0 : signal;
}

static void watch_dump(struct watch *watch)
{
        int failed = watch->duties.dump == NULL ? -EOPNOTSUPP : watch->duties.dump(watch->duties.context);
        uint64_t count = (counter_read(&watch->heard, DUMPS) >> DUMPS_ERRNO_BITS) + 1;
        counter_set(&watch->heard, DUMPS, count << DUMPS_ERRNO_BITS | (uint64_t)-failed);
        if (counter_read(&watch->said, COUNT_HALTS) == 0)
                watch->watched[0].reactor.wake(watch->watched[0].reactor.sleeper);
}

static void *watch_run(void *context)
{
        struct watch *watch = context;
        uint64_t looked_ns = clock_monotonic_ns(), stopped_ns = 0, forced_ns = UINT64_MAX;
        struct watched *first = &watch->watched[0];
        sigset_t set;
        (void)pthread_setname_np(pthread_self(), "watch");
        if (watch->home.count > 0)
                (void)cpus_use(&watch->home);
        signals_taken(&set);
        watch_wake_all(watch);
        for (;;) {
                uint64_t look_ns = looked_ns + watch->tick_ns;
                uint64_t end_ns = stopped_ns == 0 ? UINT64_MAX : stopped_ns + counter_read(&watch->said, END_NS);
                end_ns = forced_ns < end_ns ? forced_ns : end_ns;
                int signal = watch_wait(&set, look_ns < end_ns ? look_ns : end_ns);
                uint64_t now_ns = clock_monotonic_ns();
                if (signal == signal_of_end())
                        return NULL;
                if (signal == SIGTERM || signal == SIGINT) {
                        uint64_t stops = counter_read(&watch->heard, COUNT_STOPS) + 1;
                        /* Marked before they can know of it; they have had no time yet, so the next look is later. */
                        watch_wake_all(watch);
                        looked_ns = now_ns;
                        counter_add(&watch->heard, COUNT_STOPS, 1);
                        if (stops == 1)
                                stopped_ns = now_ns;
                        else if (stops == 2)
                                forced_ns = now_ns + WATCH_END_NS;
                        first->reactor.wake(first->reactor.sleeper);
                } else if (signal == SIGHUP) {
                        counter_add(&watch->heard, COUNT_RELOADS, 1);
                        first->reactor.wake(first->reactor.sleeper);
                } else if (signal == SIGUSR1) {
                        watch_dump(watch);
                        now_ns = clock_monotonic_ns();
                }
                if (now_ns >= end_ns)
                        watch_end_process(watch, now_ns - stopped_ns);
                if (now_ns >= looked_ns + watch->tick_ns) {
                        watch_look(watch, now_ns - looked_ns);
                        looked_ns = now_ns;
                }
        }
}

/* ---- made and freed ---- */

int watch_new(struct watch **out)
{
        struct watch *watch = calloc(1, sizeof *watch);
        struct sigaction ignore = {.sa_handler = SIG_IGN};
        sigset_t set;
        if (watch == NULL)
                return -ENOMEM;
        int failed = counters_init(&watch->heard, HEARD_COUNTERS);
        if (failed == 0)
                failed = counters_init(&watch->said, SAID_COUNTERS);
        if (failed != 0) {
                watch->notify.fd = -1;
                watch_free(watch);
                return failed;
        }
        notify_open(&watch->notify);
        if (cpus_allowed(&watch->home) != 0)
                watch->home.count = 0; /* then it runs where it was born */
        signals_taken(&set);
        pthread_sigmask(SIG_BLOCK, &set, NULL);
        sigaction(SIGPIPE, &ignore, NULL);
        *out = watch;
        return 0;
}

void watch_set_duties(struct watch *watch, const struct watch_duties *duties)
{
        assert(!watch->is_started);
        watch->duties = *duties;
}

int watch_start(struct watch *watch, const struct watch_reactor *reactors, unsigned count, uint64_t end_ns)
{
        sigset_t all, before;
        uint64_t tick_ns = watch->notify.watchdog_ns / TICKS_A_WATCHDOG;
        assert(count >= 1 && count <= WATCH_REACTORS_MAX);
        assert(!watch->is_started);
        for (unsigned i = 0; i < count; i++)
                watch->watched[i].reactor = reactors[i];
        watch->count = count;
        watch_set_end(watch, end_ns);
        if (tick_ns > TICK_NS_MAX || watch->notify.watchdog_ns == 0)
                tick_ns = TICK_NS_MAX;
        watch->tick_ns = tick_ns > TICK_NS_MIN ? tick_ns : TICK_NS_MIN;
        faults_fill_others(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        int failed = pthread_create(&watch->thread, NULL, watch_run, watch);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        watch->is_started = failed == 0;
        return -failed;
}

void watch_set_end(struct watch *watch, uint64_t end_ns)
{
        counter_set(&watch->said, END_NS, end_ns);
}

void watch_halting(struct watch *watch)
{
        counter_add(&watch->said, COUNT_HALTS, 1);
}

void watch_free(struct watch *watch)
{
        if (watch == NULL)
                return;
        if (watch->is_started) {
                (void)pthread_kill(watch->thread, signal_of_end());
                pthread_join(watch->thread, NULL);
        }
        notify_close(&watch->notify);
        counters_fini(&watch->heard);
        counters_fini(&watch->said);
        free(watch);
}

uint64_t watch_stops(const struct watch *watch)
{
        return counter_read(&watch->heard, COUNT_STOPS);
}

uint64_t watch_reloads(const struct watch *watch)
{
        return counter_read(&watch->heard, COUNT_RELOADS);
}

uint64_t watch_dumps(const struct watch *watch, int *failed)
{
        uint64_t dumps = counter_read(&watch->heard, DUMPS);
        *failed = -(int)(dumps & (((uint64_t)1 << DUMPS_ERRNO_BITS) - 1));
        return dumps >> DUMPS_ERRNO_BITS;
}

uint64_t watch_stuck(const struct watch *watch)
{
        return counter_read(&watch->heard, STUCK);
}

uint64_t watch_stalls(const struct watch *watch)
{
        return counter_read(&watch->heard, COUNT_STALLS);
}

const struct notify *watch_notify(const struct watch *watch)
{
        return &watch->notify;
}
