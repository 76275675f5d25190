/* bench: see bench.h. */
#include "bench/bench.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "bench/churn.h"
#include "bench/drain.h"
#include "bench/fan.h"
#include "bench/idle.h"
#include "bench/pingpong.h"
#include "bench/recipe.h"
#include "bench/report.h"

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

static int recipe_run(const struct recipe *recipe, struct report *report, char *error)
{
        switch (recipe->mode) {
        case MODE_PINGPONG:
                return pingpong_run(recipe, report, error);
        case MODE_SUBPUB:
                return subpub_run(recipe, report, error);
        case MODE_DRAIN:
                return drain_run(recipe, report, error);
        case MODE_CHURN:
                return churn_run(recipe, report, error);
        case MODE_IDLE:
                return idle_run(recipe, report, error);
        default:
                return fan_run(recipe, report, error);
        }
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
        if (parsed < 0 || core_take(recipe.cpu, error) != 0) {
                fprintf(stderr, "bench: %s\n", error);
                return BENCH_USAGE;
        }
        signal(SIGPIPE, SIG_IGN);
        prctl(PR_SET_TIMERSLACK, 1000UL);
        files_raise();
        struct report *report = calloc(1, sizeof(*report));
        if (report == NULL)
                abort();
        int exit_code = recipe_run(&recipe, report, error);
        if (report->rows_count != 0) {
                report_number(report, "exit_code", exit_code);
                report_print(report, recipe.json, stdout);
        }
        if (exit_code != BENCH_OK)
                fprintf(stderr, "bench: %s\n", error);
        free(report);
        return exit_code;
}
