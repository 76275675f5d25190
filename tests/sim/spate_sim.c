/* spate-sim: the whole engine on a simulated network, for thousands of seeds; see world.h. A seed that fails is made
 * smaller and prints the line that replays it, with what it was doing. `spate-sim --help` tells of the options. */
#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/sim/shrink.h"
#include "tests/sim/world.h"

#define JOBS_MAX 64
#define SEED_SECONDS 300 /* of CPU time */
#define SHRINK_SECONDS 120
/* What a seed has to have to be counted as a whole one. */
#define WHOLE_EVENTS 1000
#define WHOLE_CLIENTS 10
#define WHOLE_REACTORS 2

struct sums {
        uint64_t seeds, whole, events, delivered, crossings, held, unanswered, skipped, denied, failures;
};

/* What a process that plays seeds tells the one that watches it. */
struct job {
        struct sim_case sim_case; /* the one it is at */
        struct sums sums;
        bool is_done;
};

struct arguments {
        struct sim_case sim_case; /* the first */
        uint64_t seeds;
        unsigned jobs, steps, replays;
        uint64_t deliveries, seconds; /* 0: no matter */
        const char *kept;
        bool has_seeds, is_traced, only_hash, no_shrink;
};

static struct job *jobs; /* shared */
static struct arguments arguments = {
        .sim_case = {.seed = 1, .without = CASE_WITHOUT}, .seeds = 1, .jobs = 1, .steps = 40, .replays = 0};

static double seconds_now(void)
{
        struct timespec now;
        timespec_get(&now, TIME_UTC); /* the library's own, not the world's */
        return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* ---- a failure ---- */

static void print_replay(FILE *to, const struct sim_case *sim_case)
{
        char text[CASE_TEXT_BYTES];
        case_text(sim_case, text);
        fprintf(to, "replay with: spate-sim %s\n", text);
}

/* abort(), a crash, or far too long. */
static void failed(int number)
{
        signal(number, SIG_DFL);
        if (number == SIGVTALRM)
                fprintf(stderr, "sim: this takes for ever\n");
        world_dump(stderr, arguments.steps);
        print_replay(stderr, &world_now()->sim_case);
        fflush(stderr);
        raise(number);
}

static void watch_over_seed(void)
{
        struct itimerval limit = {.it_value = {.tv_sec = SEED_SECONDS}};
        setitimer(ITIMER_VIRTUAL, &limit, NULL);
}

/* It has failed, so it fails again: says how, makes it smaller, and shows that. */
static void report_failure(struct sim_case sim_case)
{
        struct verdict verdict;
        print_replay(stderr, &sim_case);
        if (arguments.no_shrink)
                return;
        shrink_try(&sim_case, &verdict);
        if (!verdict.has_failed) {
                fprintf(stderr, "sim: that seed alone does not fail: something is left over from those before\n");
                return;
        }
        fprintf(stderr, "%s\n", verdict.what);
        shrink(&sim_case, &verdict, SHRINK_SECONDS);
        pid_t child = fork();
        if (child == 0) {
                struct outcome outcome;
                signal(SIGABRT, failed);
                signal(SIGSEGV, failed);
                signal(SIGVTALRM, failed);
                watch_over_seed();
                world_play(&sim_case, NULL, &outcome);
                _exit(0);
        }
        waitpid(child, NULL, 0);
}

/* ---- many seeds ---- */

static void add_outcome(struct sums *sums, const struct outcome *outcome)
{
        sums->seeds++;
        sums->whole += outcome->events >= WHOLE_EVENTS && outcome->clients >= WHOLE_CLIENTS &&
                       outcome->reactors >= WHOLE_REACTORS;
        sums->events += outcome->events;
        sums->delivered += outcome->delivered;
        sums->crossings += outcome->crossings;
        sums->held += outcome->held;
        sums->unanswered += outcome->unanswered;
        sums->skipped += outcome->skipped;
        sums->denied += outcome->denied;
        sums->failures += outcome->failures;
}

static struct sums sum_of_jobs(void)
{
        struct sums all = {0};
        for (unsigned i = 0; i < arguments.jobs; i++) {
                uint64_t *to = &all.seeds;
                const uint64_t *from = &jobs[i].sums.seeds;
                for (size_t k = 0; k < sizeof(struct sums) / sizeof(uint64_t); k++)
                        to[k] += __atomic_load_n(&from[k], __ATOMIC_RELAXED);
        }
        return all;
}

static bool is_enough(uint64_t nth, double began)
{
        bool is_timed = arguments.seconds != 0 || arguments.deliveries != 0;
        if (!is_timed || arguments.has_seeds) {
                if (nth >= arguments.seeds)
                        return true;
        }
        return (arguments.seconds != 0 && seconds_now() - began >= (double)arguments.seconds) ||
               (arguments.deliveries != 0 && sum_of_jobs().delivered >= arguments.deliveries);
}

static void play_many(unsigned number, double began)
{
        struct job *job = &jobs[number];
        struct sums sums = {0};
        struct rlimit no_core = {0};
        setrlimit(RLIMIT_CORE, &no_core);
        signal(SIGVTALRM, failed);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (uint64_t nth = number; !is_enough(nth, began); nth += arguments.jobs) {
                struct outcome outcome;
                job->sim_case = arguments.sim_case;
                job->sim_case.seed += nth;
                watch_over_seed();
                world_play(&job->sim_case, NULL, &outcome);
                add_outcome(&sums, &outcome);
                job->sums = sums;
        }
        job->is_done = true;
        exit(0); /* whoever looks for leaks does it here */
}

/* 0, or 1 where one has failed. */
static int play_seeds(double began)
{
        int result = 0;
        pid_t children[JOBS_MAX];
        fflush(NULL);
        for (unsigned i = 0; i < arguments.jobs; i++)
                if ((children[i] = fork()) == 0)
                        play_many(i, began);
        for (unsigned left = arguments.jobs; left > 0; left--) {
                int status;
                pid_t child = wait(&status);
                unsigned number = 0;
                while (number < arguments.jobs && children[number] != child)
                        number++;
                if (number == arguments.jobs || status == 0)
                        continue;
                if (result == 0 && !jobs[number].is_done)
                        report_failure(jobs[number].sim_case);
                else if (result == 0)
                        fprintf(stderr, "sim: all seeds passed, and the process ended with status %x\n",
                                (unsigned)status);
                for (unsigned i = 0; i < arguments.jobs && result == 0; i++)
                        if (i != number)
                                kill(children[i], SIGKILL);
                result = 1;
        }
        return result;
}

/* The kept seeds, a line each. */
static int play_kept(const char *path, unsigned *count)
{
        char line[CASE_TEXT_BYTES];
        FILE *file = fopen(path, "r");
        if (file == NULL)
                return fprintf(stderr, "spate-sim: cannot read %s: %s\n", path, strerror(errno)), 1;
        for (unsigned number = 1; fgets(line, sizeof line, file) != NULL; number++) {
                struct sim_case sim_case;
                struct verdict verdict;
                if (line[strspn(line, " ")] == '\n' || line[0] == '#')
                        continue;
                if (!case_parse(&sim_case, line))
                        return fprintf(stderr, "spate-sim: %s:%u: not the arguments of a case\n", path, number), 1;
                shrink_try(&sim_case, &verdict);
                (*count)++;
                if (verdict.has_failed) {
                        fprintf(stderr, "%s:%u fails again: %s\n", path, number, verdict.what);
                        report_failure(sim_case);
                        return 1;
                }
        }
        fclose(file);
        return 0;
}

/* ---- the same seed, the same run ---- */

/* Another process, with another layout of its memory; 0: it did not end well. */
static uint64_t hash_elsewhere(uint64_t seed)
{
        char number[32], line[64] = "";
        int answers[2], status;
        snprintf(number, sizeof number, "%llu", (unsigned long long)seed);
        if (pipe(answers) != 0)
                return 0;
        fflush(NULL);
        pid_t child = fork();
        if (child == 0) {
                dup2(answers[1], STDOUT_FILENO);
                execl("/proc/self/exe", "spate-sim", "--hash", "--seed", number, (char *)NULL);
                _exit(1);
        }
        close(answers[1]);
        ssize_t size = read(answers[0], line, sizeof line - 1);
        close(answers[0]);
        waitpid(child, &status, 0);
        return size <= 0 || status != 0 ? 0 : strtoull(line, NULL, 16);
}

static int check_replays(void)
{
        for (unsigned i = 0; i < arguments.replays; i++) {
                uint64_t seed = arguments.sim_case.seed + i;
                uint64_t first = hash_elsewhere(seed), second = hash_elsewhere(seed);
                if (first == 0 || first != second)
                        return fprintf(stderr, "sim: seed %llu went two ways: %016llx and %016llx\n",
                                       (unsigned long long)seed, (unsigned long long)first, (unsigned long long)second),
                               1;
        }
        return 0;
}

/* ---- the program ---- */

static int usage(const char *wrong)
{
        FILE *to = wrong == NULL ? stdout : stderr;
        if (wrong != NULL)
                fprintf(to, "spate-sim: %s is not known, or its value is wrong\n", wrong);
        fputs("usage: spate-sim [option value]...\n"
              "  --seed S          the first seed (1)\n"
              "  --seeds N         so many of them (1)\n"
              "  --seconds T       until then, instead\n"
              "  --deliveries N    until so many deliveries were checked, instead\n"
              "  --jobs N          so many processes at once (1)\n"
              "  --kept FILE       first those that have failed before, a line each\n"
              "  --replays N       and so many twice, in processes of their own: the same hash?\n"
              "  --trace           every step, on stderr; for one seed\n"
              "  --hash            prints the hash of the whole run; for one seed\n"
              "  --steps N         so many of the last steps are printed with a failure (40)\n"
              "  --no-shrink       leaves a case that fails as it is\n"
              "what a failure prints, to leave out a part of what its seed says:\n"
              "  --reactors N, --clients N, --rounds N, --skip FIRST-LAST,..., --without TWIST,..., --with TWIST,...\n"
              "twists:\n",
              to);
        for (unsigned twist = 0; twist < TWISTS; twist++)
                fprintf(to, "  %-14s  %s\n", twist_name(twist), twist_meaning(twist));
        return wrong == NULL ? 0 : 2;
}

static bool take_argument(const char *name, const char *value)
{
        if (strcmp(name, "--kept") == 0) {
                arguments.kept = value;
                return true;
        }
        char *end;
        uint64_t number = strtoull(value, &end, 10);
        bool is_number = *value >= '0' && *value <= '9' && *end == '\0';
        if (is_number && strcmp(name, "--seeds") == 0)
                arguments.seeds = number, arguments.has_seeds = true;
        else if (is_number && strcmp(name, "--seconds") == 0)
                arguments.seconds = number;
        else if (is_number && strcmp(name, "--deliveries") == 0)
                arguments.deliveries = number;
        else if (is_number && strcmp(name, "--replays") == 0)
                arguments.replays = (unsigned)number;
        else if (is_number && strcmp(name, "--steps") == 0)
                arguments.steps = (unsigned)number;
        else if (is_number && strcmp(name, "--jobs") == 0 && number > 0 && number <= JOBS_MAX)
                arguments.jobs = (unsigned)number;
        else
                return case_take(&arguments.sim_case, name, value);
        return true;
}

static int play_one(void)
{
        struct outcome outcome;
        signal(SIGABRT, failed);
        signal(SIGSEGV, failed);
        signal(SIGVTALRM, failed);
        watch_over_seed();
        world_play(&arguments.sim_case, arguments.is_traced ? stderr : NULL, &outcome);
        if (arguments.only_hash)
                printf("%016llx\n", (unsigned long long)outcome.hash);
        else
                printf("seed %llu: %zu reactors, %zu clients, %llu events, %llu deliveries checked, hash %016llx\n",
                       (unsigned long long)arguments.sim_case.seed, outcome.reactors, outcome.clients,
                       (unsigned long long)outcome.events, (unsigned long long)outcome.delivered,
                       (unsigned long long)outcome.hash);
        return 0;
}

static void print_sums(double began, unsigned kept)
{
        struct sums sums = sum_of_jobs();
        struct rusage usage;
        getrusage(RUSAGE_CHILDREN, &usage);
        double cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                     (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
        double wall = seconds_now() - began;
        uint64_t last = arguments.sim_case.seed;
        for (unsigned i = 0; i < arguments.jobs; i++)
                last = jobs[i].sim_case.seed > last ? jobs[i].sim_case.seed : last;
        printf("%llu seeds up to %llu, %llu of them with at least %d events, %d clients and %d reactors; %u kept ones\n"
               "%llu events, %llu deliveries checked, %llu crossings, %llu times a publisher held, %llu 503, %llu "
               "skipped, "
               "%llu denied, %llu allocations refused\n"
               "%.1f s, %.1f s of CPU: %.0f seeds a minute, %.0f deliveries checked a CPU second\n",
               (unsigned long long)sums.seeds, (unsigned long long)last, (unsigned long long)sums.whole, WHOLE_EVENTS,
               WHOLE_CLIENTS, WHOLE_REACTORS, kept, (unsigned long long)sums.events, (unsigned long long)sums.delivered,
               (unsigned long long)sums.crossings, (unsigned long long)sums.held, (unsigned long long)sums.unanswered,
               (unsigned long long)sums.skipped, (unsigned long long)sums.denied, (unsigned long long)sums.failures,
               wall, cpu, (double)sums.seeds / wall * 60, (double)sums.delivered / cpu);
}

int main(int argc, char **argv)
{
        unsigned kept = 0;
        for (int i = 1; i < argc; i++) {
                if (strcmp(argv[i], "--help") == 0)
                        return usage(NULL);
                else if (strcmp(argv[i], "--trace") == 0)
                        arguments.is_traced = true;
                else if (strcmp(argv[i], "--hash") == 0)
                        arguments.only_hash = true;
                else if (strcmp(argv[i], "--no-shrink") == 0)
                        arguments.no_shrink = true;
                else if (i + 1 == argc || !take_argument(argv[i], argv[i + 1]))
                        return usage(argv[i]);
                else
                        i++;
        }
        if (sodium_init() < 0)
                return 1;
        log_set_level(LOG_LEVEL_ERROR);
        topics_init();
        bool is_alone = !arguments.has_seeds && arguments.seconds == 0 && arguments.deliveries == 0;
        if (arguments.is_traced || arguments.only_hash || (is_alone && arguments.no_shrink))
                return play_one();
        jobs = mmap(NULL, sizeof(struct job) * JOBS_MAX, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (jobs == MAP_FAILED)
                return 1;
        double began = seconds_now();
        if (arguments.kept != NULL && play_kept(arguments.kept, &kept) != 0)
                return 1;
        if (play_seeds(began) != 0 || check_replays() != 0)
                return 1;
        print_sums(began, kept);
        return 0;
}
