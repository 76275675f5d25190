/* load: see load.h. */
#include "bench/load.h"

#include "bench/abuse.h"
#include "bench/churn.h"
#include "bench/drain.h"
#include "bench/fan.h"
#include "bench/idle.h"
#include "bench/pingpong.h"

static int mode_run(const struct recipe *recipe, struct report *report)
{
        switch (recipe->mode) {
        case MODE_PINGPONG:
                return pingpong_run(recipe, report, report->error);
        case MODE_SUBPUB:
                return subpub_run(recipe, report, report->error);
        case MODE_DRAIN:
                return drain_run(recipe, report, report->error);
        case MODE_CHURN:
                return churn_run(recipe, report, report->error);
        case MODE_ABUSE:
                return abuse_run(recipe, report, report->error);
        case MODE_IDLE:
                return idle_run(recipe, report, report->error);
        default:
                return fan_run(recipe, report, report->error);
        }
}

struct report *load_run(const struct recipe *recipe, const char *label)
{
        struct report *report = report_new();
        report->label = label;
        report->exit_code = mode_run(recipe, report);
        report->label = "";
        return report;
}
