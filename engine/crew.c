/* crew: see the header. */
#include "engine/crew.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/base/faults.h"
#include "engine/postmortem.h"

struct mate {
        struct reactor *reactor;
        pthread_t thread;
        int cpu; /* -1: any */
};

struct crew {
        struct cores *cores;
        unsigned count;
        unsigned running_count; /* threads, the first's own included */
        struct mate mates[MATCH_REACTORS_MAX];
};

/* ---- made and freed ---- */

/* The CPU that it is on from now on; -1: any. */
static int mate_go_to_cpu(const struct mate *mate, unsigned number)
{
        int failed = mate->cpu < 0 ? 0 : cpu_pin((unsigned)mate->cpu);
        if (failed != 0)
                log_warn("not_pinned", "reactor=%u cpu=%d reason=\"%s\"", number, mate->cpu, strerror(-failed));
        return failed != 0 ? -1 : mate->cpu;
}

int crew_new(struct crew **out, struct cores *cores, const struct reactor_settings *settings,
             const struct cpu_plan *plan)
{
        struct crew *crew = calloc(1, sizeof *crew);
        int failed = 0;
        if (crew == NULL)
                return -ENOMEM;
        assert(cores->count == plan->reactors_count);
        crew->cores = cores;
        crew->running_count = 1;
        /* The first one last: its thread stays there. */
        for (unsigned i = cores->count; failed == 0 && i-- > 0;) {
                struct reactor_settings own = *settings;
                struct mate *mate = &crew->mates[i];
                own.number = i;
                mate->cpu = plan->is_pinned ? plan->cpus.numbers[i] : -1;
                own.cpu = mate_go_to_cpu(mate, i);
                failed = reactor_new(&mate->reactor, &own, cores, NULL);
        }
        crew->count = cores->count;
        for (unsigned i = 0; failed == 0 && i < crew->count; i++)
                postmortem_add(i, &crew->mates[i].reactor->flight);
        if (failed != 0) {
                crew_free(crew);
                return failed;
        }
        *out = crew;
        return 0;
}

void crew_free(struct crew *crew)
{
        if (crew == NULL)
                return;
        assert(crew->running_count == 1);
        postmortem_close();
        for (unsigned i = crew->count; i-- > 0;)
                reactor_free(crew->mates[i].reactor);
        free(crew);
}

unsigned crew_count(const struct crew *crew)
{
        return crew->count;
}

struct reactor *crew_reactor(struct crew *crew, unsigned number)
{
        assert(number < crew->count);
        return crew->mates[number].reactor;
}

uint64_t crew_connections(const struct crew *crew)
{
        uint64_t sum = 0;
        for (unsigned i = 0; i < crew->count; i++)
                sum += counter_read(&crew->mates[i].reactor->counters, COUNT_CONNECTIONS);
        return sum;
}

/* ---- threads ---- */

/* This thread turns it. */
static void mate_take_thread(struct mate *mate)
{
        pulse_take_thread(&mate->reactor->pulse);
        flight_take_thread(&mate->reactor->flight, (uint64_t)gettid());
        postmortem_arm_thread(mate->reactor->settings.number);
}

static void *mate_run(void *context)
{
        struct mate *mate = context;
        struct reactor *reactor = mate->reactor;
        char name[16];
        snprintf(name, sizeof name, "spate-%u", reactor->settings.number);
        (void)pthread_setname_np(pthread_self(), name);
        mate_go_to_cpu(mate, reactor->settings.number);
        mate_take_thread(mate);
        epoch_register();
        while (!reactor->is_halted)
                reactor_turn(reactor, UINT64_MAX);
        epoch_unregister();
        return NULL;
}

int crew_start(struct crew *crew)
{
        sigset_t all, before;
        int failed = 0;
        assert(crew->running_count == 1);
        mate_take_thread(&crew->mates[0]);
        /* A thread is born with the mask of who starts it, and no reactor takes signals. */
        faults_fill_others(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        while (failed == 0 && crew->running_count < crew->count) {
                struct mate *mate = &crew->mates[crew->running_count];
                failed = pthread_create(&mate->thread, NULL, mate_run, mate);
                crew->running_count += failed == 0;
        }
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        if (failed != 0)
                crew_halt(crew);
        return -failed;
}

static void mate_wake(void *reactor)
{
        io_wake(((struct reactor *)reactor)->io);
}

int crew_be_watched(struct crew *crew, struct watch *watch, uint64_t end_ns)
{
        static_assert(MATCH_REACTORS_MAX <= WATCH_REACTORS_MAX, "all of them are watched");
        struct watch_reactor reactors[WATCH_REACTORS_MAX];
        for (unsigned i = 0; i < crew->count; i++) {
                struct reactor *reactor = crew->mates[i].reactor;
                reactors[i] = (struct watch_reactor){
                        .counters = &reactor->counters, .turns = COUNT_TURNS, .wake = mate_wake, .sleeper = reactor};
        }
        int failed = watch_start(watch, reactors, crew->count, end_ns);
        if (failed != 0)
                crew_halt(crew);
        return failed;
}

void crew_halt(struct crew *crew)
{
        if (crew->running_count > 1)
                reactor_halt_others(crew->mates[0].reactor);
        for (unsigned i = 1; i < crew->running_count; i++)
                pthread_join(crew->mates[i].thread, NULL);
        crew->running_count = 1;
}
