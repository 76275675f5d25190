/* bench: see bench.h. */
#include "bench/bench.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "bench/export.h"
#include "bench/rounds.h"
#include "bench/summary.h"

/* So that 10 000 connections need no ulimit: as far as the hard limit goes. */
static void files_raise(void)
{
        struct rlimit limit;
        if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
                limit.rlim_cur = limit.rlim_max;
                setrlimit(RLIMIT_NOFILE, &limit);
        }
}

static int core_take(int64_t cpu, char *error)
{
        cpu_set_t set;
        if (cpu < 0)
                return 0;
        CPU_ZERO(&set);
        CPU_SET((size_t)cpu, &set);
        if (sched_setaffinity(0, sizeof(set), &set) == 0)
                return 0;
        snprintf(error, RECIPE_ERROR_BYTES, "--cpu %lld: %s", (long long)cpu, strerror(errno));
        return BENCH_USAGE;
}

/* Of several targets it is told which one failed, unless the message says so. */
static void failure_print(const struct recipe *recipe, const char *error)
{
        bool is_named = recipe->against.count == 0 || strstr(error, recipe->url) != NULL;
        fprintf(stderr, "bench: %s%s%s\n", is_named ? "" : recipe->url, is_named ? "" : ": ", error);
}

/* The figures to standard output; why a run failed to standard error. */
static void results_print(const struct recipe *recipe, const struct contender *contenders, size_t contenders_count)
{
        bool any = false;
        for (size_t i = 0; i < contenders_count; i++)
                for (size_t k = 0; k < contenders[i].reports_count; k++)
                        any |= contenders[i].reports[k]->rows_count != 0;
        if (any && recipe->json)
                summary_print_json(contenders, contenders_count, stdout);
        else if (any)
                summary_print(contenders, contenders_count, stdout);
        for (size_t i = 0; i < contenders_count; i++)
                for (size_t k = 0; k < contenders[i].reports_count; k++)
                        if (contenders[i].reports[k]->exit_code != BENCH_OK)
                                failure_print(contenders[i].recipe, contenders[i].reports[k]->error);
}

int bench_main(int argc, char **argv)
{
        struct recipe recipe;
        char error[RECIPE_ERROR_BYTES] = "";
        if (argc > 1 && strcmp(argv[1], "bench") == 0) {
                argc--;
                argv++;
        }
        int parsed = recipe_parse(&recipe, argc, argv, error);
        if (parsed > 0) {
                recipe_print_help(stdout);
                return BENCH_OK;
        }
        struct recipe others[AGAINST_MAX];
        for (size_t i = 0; parsed == 0 && i < recipe.against.count; i++) {
                parsed = recipe_against(&recipe, i, &others[i], error);
                if (parsed == 0)
                        recipe_find_server(&others[i]);
        }
        if (parsed == 0 && recipe.against.count != 0)
                recipe_find_server(&recipe);
        if (parsed < 0 || core_take(recipe.cpu, error) != 0) {
                fprintf(stderr, "bench: %s\n", error);
                return BENCH_USAGE;
        }
        signal(SIGPIPE, SIG_IGN);
        prctl(PR_SET_TIMERSLACK, 1000UL);
        files_raise();
        struct exports exports;
        if (exports_open(&exports, &recipe, error) != 0) {
                fprintf(stderr, "bench: %s\n", error);
                return BENCH_USAGE;
        }
        struct contender contenders[1 + AGAINST_MAX] = {{.recipe = &recipe}};
        size_t contenders_count = 1 + recipe.against.count;
        for (size_t i = 1; i < contenders_count; i++)
                contenders[i].recipe = &others[i - 1];
        int exit_code = rounds_run(contenders, contenders_count, recipe.repeats);
        results_print(&recipe, contenders, contenders_count);
        if (exports_write(&exports, contenders, contenders_count, error) != 0) {
                fprintf(stderr, "bench: %s\n", error);
                exit_code = exit_code == BENCH_OK ? BENCH_FAILED : exit_code;
        }
        rounds_fini(contenders, contenders_count);
        return exit_code;
}
