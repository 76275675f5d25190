/* fail_nth: what the engine asks for is refused once, in turn. Each phase of its life (nthphases.c) is gone through
 * again and again in a small simulated world (nthworld.c); each time the n-th allocation, block of stream memory, or
 * call of the backend fails (tests/fault): once, for a stretch, or from there on for the rest of the phase. The engine
 * may refuse or degrade as it is documented to; it must not crash, leak or lie, and when there is memory again the
 * world goes on.
 *
 *      fail_nth [--phase NAME] [--fault NAME] [--mode once|stretch|gone] [--at N] [--all] [--apart] [--trace]
 *
 * Without --all, places to fail at are picked where there are many, evenly. --apart goes on behind a failure, with each
 * run in a process of its own. --trace prints where what was refused had been asked for, and
 * what is logged. */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/log.h"
#include "tests/sim/nthphases.h"
#include "tests/sim/nthstart.h"

#define STRETCH 15

/* `picked` places of one phase, where not all are tried, and of the heap. */
static const struct {
        const char *name;
        uint64_t count, picked, picked_of_heap;
} modes[] = {{"once", 1, 20, 50}, {"stretch", STRETCH, 8, 16}, {"gone", FAULTS_FOR_EVER, 8, 24}};

static struct world world;
static char replay[160];
static bool is_memory_counted;

static struct {
        const char *phase, *fault, *mode;
        uint64_t at;
        bool is_all, is_apart, is_traced;
} wanted;

/* What the log says of thousands of faults is for whoever looks at one of them. */
void __wrap_log_line(enum log_level level, const char *event, const char *fields, ...);

void __wrap_log_line(enum log_level level, const char *event, const char *fields, ...)
{
        va_list arguments;
        if (!wanted.is_traced)
                return;
        bool was_armed = faults_pause();
        fprintf(stderr, "---- log, level %d: %s ", (int)level, event);
        va_start(arguments, fields);
        if (fields != NULL)
                vfprintf(stderr, fields, arguments);
        va_end(arguments);
        fprintf(stderr, "\n");
        faults_resume(was_armed);
}

static void tell_replay(int signal_number)
{
        static const char head[] = "fail_nth: crashed: ";
        struct sigaction usual = {.sa_handler = SIG_DFL};
        ssize_t written = write(STDERR_FILENO, head, sizeof head - 1);
        written = write(STDERR_FILENO, replay, strlen(replay));
        written = write(STDERR_FILENO, "\n", 1);
        (void)written;
        sigaction(signal_number, &usual, NULL);
        raise(signal_number);
}

static enum harm harm_of(const struct phase *phase, enum fault fault)
{
        enum harm harm = phase->calm;
        enum harm heap = phase->heap > HARM_REFUSED ? phase->heap : HARM_REFUSED;
        if (fault == FAULT_HEAP)
                return heap > harm ? heap : harm;
        return fault == FAULT_STOCK || fault == FAULT_BREAK ? HARM_CLOSED : harm;
}

/* One time through; `first` 0: nothing fails. Returns how much was asked for. */
static uint64_t go_through(const struct phase *phase, enum fault fault, uint64_t first, uint64_t count)
{
        bool is_start = phase->run == NULL;
        faults_plan(fault, first, count);
        if (phase->backend != NULL) {
                nthstart(phase->backend, is_memory_counted);
                return faults_asked();
        }
        int failed = world_start(&world, &phase->settings, is_start);
        uint64_t asked = faults_asked(), struck = faults_struck();
        world_must(failed == 0 || struck > 0, "it did not start: %d", failed);
        if (failed != 0)
                return asked;
        if (!is_start) {
                world.harm_max = phase->calm;
                if (phase->prepare != NULL)
                        phase->prepare(&world);
                world.harm_max = first == 0 ? phase->calm : harm_of(phase, fault);
                world.is_striking = true;
                world.is_mute = count == FAULTS_FOR_EVER && (fault == FAULT_SEND || fault == FAULT_POLL);
                phase->run(&world);
                world.is_striking = false;
                asked = faults_asked();
        }
        if (!phase->is_drained) {
                world_settle(&world);
                world_probe(&world);
                world_drain(&world);
        }
        world_stop(&world);
        return asked;
}

static void remember(const struct phase *phase, enum fault fault, size_t mode, uint64_t at)
{
        snprintf(replay, sizeof replay, "fail_nth --phase %s --fault %s --mode %s --at %llu --trace", phase->name,
                 fault_name(fault), modes[mode].name, (unsigned long long)at);
        world_set_replay(replay);
}

/* false: it has failed, in a process of its own. */
static bool go_apart(const struct phase *phase, enum fault fault, size_t mode, uint64_t at)
{
        int status = 0;
        fflush(NULL);
        pid_t child = fork();
        if (child == 0) {
                go_through(phase, fault, at, modes[mode].count);
                _exit(0);
        }
        world_must(child > 0 && waitpid(child, &status, 0) == child, "cannot fork");
        if (status != 0)
                fprintf(stderr, "%s: ended with %#x\n", replay, (unsigned)status);
        return status == 0;
}

static uint64_t failures_count, runs_count;

static void strike(const struct phase *phase, enum fault fault, size_t mode, uint64_t asked)
{
        uint64_t most = fault == FAULT_HEAP ? modes[mode].picked_of_heap : modes[mode].picked;
        if (phase->settings.users != NULL)
                most /= 2; /* passwords take their time */
#ifdef FAULTS_HAS_SANITIZER
        most /= 2; /* so does it */
#endif
        uint64_t picked = wanted.is_all || asked <= most ? asked : most;
        for (uint64_t i = 0; i < picked; i++) {
                uint64_t at = 1 + i * asked / picked;
                if (wanted.at != 0)
                        at = wanted.at, i = picked;
                remember(phase, fault, mode, at);
                runs_count++;
                if (!wanted.is_apart)
                        go_through(phase, fault, at, modes[mode].count);
                else if (!go_apart(phase, fault, mode, at))
                        failures_count++;
        }
}

static bool is_wanted(const char *asked, const char *name)
{
        return asked == NULL || strcmp(asked, name) == 0;
}

static void go(const struct phase *phase)
{
        for (enum fault fault = 0; fault < FAULTS; fault++) {
                if (!is_wanted(wanted.fault, fault_name(fault)))
                        continue;
                remember(phase, fault, 0, 0);
                world_count_memory(is_memory_counted = false);
                go_through(phase, fault, 0, 0);
                world_count_memory(is_memory_counted = true);
                uint64_t asked = go_through(phase, fault, 0, 0);
                uint64_t runs_before = runs_count;
                for (size_t mode = 0; asked > 0 && mode < array_count(modes); mode++)
                        if (is_wanted(wanted.mode, modes[mode].name))
                                strike(phase, fault, mode, asked);
                if (asked > 0)
                        printf("%-20s %-7s %6llu asked for, %llu runs\n", phase->name, fault_name(fault),
                               (unsigned long long)asked, (unsigned long long)(runs_count - runs_before));
        }
}

static int explain_usage(void)
{
        fprintf(stderr, "usage: fail_nth [--phase NAME] [--fault NAME] [--mode once|stretch|gone] [--at N] [--all] "
                        "[--apart] [--trace]\nphases:");
        for (size_t i = 0; i < phases_count; i++)
                fprintf(stderr, " %s", phases[i].name);
        fprintf(stderr, "\nfaults:");
        for (enum fault fault = 0; fault < FAULTS; fault++)
                fprintf(stderr, "\n  %-7s %s", fault_name(fault), fault_meaning(fault));
        fprintf(stderr, "\n");
        return 2;
}

int main(int argc, char **argv)
{
        struct sigaction action = {.sa_handler = tell_replay};
        for (int i = 1; i < argc; i++) {
                if (strcmp(argv[i], "--all") == 0)
                        wanted.is_all = true;
                else if (strcmp(argv[i], "--apart") == 0)
                        wanted.is_apart = true;
                else if (strcmp(argv[i], "--trace") == 0)
                        faults_trace(wanted.is_traced = true);
                else if (i + 1 < argc && strcmp(argv[i], "--phase") == 0)
                        wanted.phase = argv[++i];
                else if (i + 1 < argc && strcmp(argv[i], "--fault") == 0)
                        wanted.fault = argv[++i];
                else if (i + 1 < argc && strcmp(argv[i], "--mode") == 0)
                        wanted.mode = argv[++i];
                else if (i + 1 < argc && strcmp(argv[i], "--at") == 0)
                        wanted.at = strtoull(argv[++i], NULL, 10);
                else
                        return explain_usage();
        }
        sigaction(SIGABRT, &action, NULL);
        sigaction(SIGSEGV, &action, NULL);
        sigaction(SIGBUS, &action, NULL);
        for (size_t i = 0; i < phases_count; i++)
                if (!is_wanted(wanted.phase, phases[i].name))
                        continue;
                else if (phases[i].backend == NULL || nthstart_has(phases[i].backend))
                        go(&phases[i]);
                else
                        printf("%-20s not here: the kernel refuses it\n", phases[i].name);
        printf("%llu runs, %llu failed\n", (unsigned long long)runs_count, (unsigned long long)failures_count);
        return failures_count == 0 && runs_count > 0 ? 0 : 1;
}
