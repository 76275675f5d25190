/* shrink: see the header. */
#include "tests/sim/shrink.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/sim/world.h"

#define TRY_SECONDS 60 /* of CPU time: a case that takes longer hangs */
#define ACTS_MAX 65536

struct shrinking {
        struct sim_case best;
        struct verdict verdict;
        char place[VERDICT_BYTES]; /* of the failure that it is about */
        unsigned tries;
        time_t until;
};

/* ---- a try ---- */

struct progress {
        uint32_t rounds, acts, clients;
};

static struct progress *progress; /* shared with the process that tries */

/* While the process ends; only what is safe then. */
static void tell_progress(int number)
{
        const struct world *world = world_now();
        *progress = (struct progress){
                .rounds = world->rounds, .acts = world->acts_count, .clients = (uint32_t)world->clients_count};
        signal(number, SIG_DFL);
        raise(number);
}

static void play_alone(const struct sim_case *sim_case, int errors)
{
        struct outcome outcome;
        struct itimerval limit = {.it_value = {.tv_sec = TRY_SECONDS}};
        struct rlimit no_core = {0};
        setrlimit(RLIMIT_CORE, &no_core);
        dup2(errors, STDERR_FILENO);
        signal(SIGABRT, tell_progress);
        signal(SIGSEGV, tell_progress);
        signal(SIGVTALRM, tell_progress);
        setitimer(ITIMER_VIRTUAL, &limit, NULL);
        world_play(sim_case, NULL, &outcome);
        _exit(0);
}

/* The line that says what, and the place in it; without one, how the process ended. */
static void read_what(FILE *errors, int status, char what[VERDICT_BYTES])
{
        char line[1000];
        what[0] = '\0';
        rewind(errors);
        while (fgets(line, sizeof line, errors) != NULL) {
                line[strcspn(line, "\n")] = '\0';
                bool is_ours = strncmp(line, "sim: ", 5) == 0 || strstr(line, "Assertion") != NULL ||
                               strstr(line, "ERROR: ") != NULL || strstr(line, "runtime error: ") != NULL;
                if (is_ours && what[0] == '\0')
                        snprintf(what, VERDICT_BYTES, "%.290s", line);
        }
        if (what[0] == '\0' && WIFSIGNALED(status))
                snprintf(what, VERDICT_BYTES, "ended by signal %d", WTERMSIG(status));
        else if (what[0] == '\0')
                snprintf(what, VERDICT_BYTES, "ended with status %d", WEXITSTATUS(status));
}

void shrink_try(const struct sim_case *sim_case, struct verdict *verdict)
{
        int status = 0;
        FILE *errors = tmpfile();
        if (progress == NULL)
                progress = mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (errors == NULL || progress == MAP_FAILED)
                abort();
        *progress = (struct progress){0};
        fflush(NULL);
        pid_t child = fork();
        if (child == 0)
                play_alone(sim_case, fileno(errors));
        if (child < 0 || waitpid(child, &status, 0) != child)
                abort();
        *verdict = (struct verdict){.has_failed = status != 0,
                                    .rounds = progress->rounds,
                                    .acts = progress->acts,
                                    .clients = progress->clients};
        if (status != 0)
                read_what(errors, status, verdict->what);
        fclose(errors);
}

/* ---- fewer of everything ---- */

/* "… (tests/sim/checker.c:17)": the last brackets. An assertion's line is its place; a line of the network's is one
 * without its numbers. */
static void place_of(const char *what, char place[VERDICT_BYTES])
{
        const char *bracket = strrchr(what, '(');
        size_t size = 0;
        if (bracket != NULL && strchr(bracket, ':') != NULL) {
                snprintf(place, VERDICT_BYTES, "%s", bracket);
                return;
        }
        for (; *what != '\0' && size + 1 < VERDICT_BYTES; what++)
                if (*what < '0' || *what > '9')
                        place[size++] = *what;
        place[size] = '\0';
}

static bool fails_as_well(struct shrinking *shrinking, const struct sim_case *candidate)
{
        struct verdict verdict;
        char place[VERDICT_BYTES];
        if (time(NULL) >= shrinking->until)
                return false;
        shrinking->tries++;
        shrink_try(candidate, &verdict);
        if (!verdict.has_failed)
                return false;
        place_of(verdict.what, place);
        if (strcmp(place, shrinking->place) != 0)
                return false;
        shrinking->best = *candidate;
        shrinking->verdict = verdict;
        return true;
}

/* The least value of a field, from `low` to what it is now, with which it fails; as if less were never worse. */
#define LEAST(shrinking, field, low, now)                                                                              \
        do {                                                                                                           \
                uint32_t least = (low), most = (now);                                                                  \
                while (least < most) {                                                                                 \
                        uint32_t middle = least + (most - least) / 2;                                                  \
                        struct sim_case candidate = (shrinking)->best;                                                 \
                        candidate.field = middle;                                                                      \
                        if (fails_as_well((shrinking), &candidate))                                                    \
                                most = middle;                                                                         \
                        else                                                                                           \
                                least = middle + 1;                                                                    \
                }                                                                                                      \
        } while (0)

static void leave_out_twists(struct shrinking *shrinking)
{
        for (unsigned twist = 0; twist < TWISTS; twist++) {
                struct sim_case candidate = shrinking->best;
                if (!case_has(&candidate, twist))
                        continue;
                candidate.without |= (uint32_t)1 << twist;
                fails_as_well(shrinking, &candidate);
        }
}

/* Adds first .. last to what is skipped; false: there is nothing new in it, or too many ranges. */
static bool skip_more(struct sim_case *sim_case, uint32_t first, uint32_t last)
{
        static bool is_skipped[ACTS_MAX + 1];
        bool is_new = false;
        memset(is_skipped, 0, sizeof is_skipped);
        for (uint32_t act = 0; act < ACTS_MAX; act++)
                is_skipped[act] = case_skips(sim_case, act);
        for (uint32_t act = first; act <= last && act < ACTS_MAX; act++) {
                is_new |= !is_skipped[act];
                is_skipped[act] = true;
        }
        sim_case->skips_count = 0;
        for (uint32_t act = 0; act < ACTS_MAX; act++) {
                if (!is_skipped[act])
                        continue;
                if (sim_case->skips_count == CASE_SKIPS_MAX)
                        return false;
                uint32_t begin = act;
                while (is_skipped[act + 1])
                        act++;
                sim_case->skips[sim_case->skips_count++] = (struct case_skip){.first = begin, .last = act};
        }
        return is_new;
}

static void leave_out_acts(struct shrinking *shrinking)
{
        uint32_t acts = shrinking->verdict.acts < ACTS_MAX ? shrinking->verdict.acts : ACTS_MAX;
        for (uint32_t size = (acts + 1) / 2; size >= 4; size /= 2)
                for (uint32_t first = 0; first < acts; first += size) {
                        struct sim_case candidate = shrinking->best;
                        if (skip_more(&candidate, first, first + size - 1))
                                fails_as_well(shrinking, &candidate);
                }
}

static uint64_t weight(const struct sim_case *sim_case, const struct verdict *verdict)
{
        uint64_t left = verdict->acts;
        for (size_t i = 0; i < sim_case->skips_count; i++)
                left -= sim_case->skips[i].first < verdict->acts
                                ? (sim_case->skips[i].last < verdict->acts ? sim_case->skips[i].last
                                                                           : verdict->acts - 1) -
                                          sim_case->skips[i].first + 1
                                : 0;
        return left * 64 + verdict->clients * 8 + (TWISTS - (unsigned)__builtin_popcount(sim_case->without));
}

void shrink(struct sim_case *sim_case, const struct verdict *verdict, unsigned seconds)
{
        struct shrinking shrinking = {.best = *sim_case, .verdict = *verdict, .until = time(NULL) + seconds};
        uint64_t before;
        place_of(verdict->what, shrinking.place);
        do {
                before = weight(&shrinking.best, &shrinking.verdict);
                leave_out_twists(&shrinking);
                LEAST(&shrinking, rounds, 1, shrinking.verdict.rounds);
                for (unsigned reactors = 1; reactors < REACTORS_MAX; reactors++) {
                        struct sim_case candidate = shrinking.best;
                        candidate.reactors = reactors;
                        if ((shrinking.best.reactors == 0 || reactors < shrinking.best.reactors) &&
                            fails_as_well(&shrinking, &candidate))
                                break;
                }
                LEAST(&shrinking, clients, 1,
                      shrinking.best.clients != 0 ? shrinking.best.clients : shrinking.verdict.clients);
                leave_out_acts(&shrinking);
                fprintf(stderr, "sim: %u tries, left: %u rounds, %u clients\n", shrinking.tries,
                        shrinking.verdict.rounds, shrinking.verdict.clients);
        } while (weight(&shrinking.best, &shrinking.verdict) < before && time(NULL) < shrinking.until);
        *sim_case = shrinking.best;
}
