/* rounds: see rounds.h. */
#include "bench/rounds.h"

#include <stdlib.h>

#include "bench/bench.h"
#include "bench/load.h"

int rounds_run(struct contender *contenders, size_t contenders_count, uint64_t rounds)
{
        for (size_t i = 0; i < contenders_count; i++) {
                contenders[i].reports = calloc(rounds, sizeof(struct report *));
                contenders[i].reports_count = 0;
                if (contenders[i].reports == NULL)
                        abort();
        }
        for (uint64_t round = 0; round < rounds; round++) {
                for (size_t i = 0; i < contenders_count; i++) {
                        char label[320] = "";
                        if (rounds > 1 || contenders_count > 1)
                                snprintf(label, sizeof(label), "run %llu of %llu, %s: ", (unsigned long long)round + 1,
                                         (unsigned long long)rounds, contenders[i].recipe->target.text);
                        struct report *report = load_run(contenders[i].recipe, label);
                        contenders[i].reports[contenders[i].reports_count++] = report;
                        if (report->exit_code != BENCH_OK)
                                return report->exit_code;
                }
        }
        return BENCH_OK;
}

void rounds_fini(struct contender *contenders, size_t contenders_count)
{
        for (size_t i = 0; i < contenders_count; i++) {
                for (size_t k = 0; k < contenders[i].reports_count; k++)
                        report_free(contenders[i].reports[k]);
                free(contenders[i].reports);
                contenders[i].reports = NULL;
                contenders[i].reports_count = 0;
        }
}
