/* idle: see idle.h. */
#include "bench/idle.h"

#include "bench/bench.h"
#include "bench/crowd.h"
#include "bench/progress.h"
#include "bench/usage.h"
#include "engine/base/clock.h"

static void server_read(struct crowd *crowd, struct usage *usage)
{
        int64_t pid = crowd->recipe->server_pid;
        if (pid != 0 && usage_read((int)pid, usage) != 0)
                crowd_fail(crowd, BENCH_FAILED, "--server-pid %lld: there is no such process", (long long)pid);
}

static void turn_until(struct crowd *crowd, struct progress *progress, uint64_t until_ns)
{
        while (clock_monotonic_ns() < until_ns && crowd->failure == 0) {
                crowd_turn(crowd, 20 * NS_PER_MS);
                progress_turn(progress, crowd->now_ns, crowd->deliveries, NULL);
        }
}

static double cpu_s(const struct usage *from, const struct usage *to)
{
        return (double)(to->cpu_ns - from->cpu_ns) / 1e9;
}

int idle_run(const struct recipe *recipe, struct report *report, char error[512])
{
        struct crowd crowd;
        struct usage before = {0}, opened = {0}, held = {0};
        double connections = (double)recipe->subscribers;
        if (crowd_init(&crowd, recipe) == 0) {
                server_read(&crowd, &before);
                uint64_t start_ns = clock_monotonic_ns();
                crowd_open(&crowd, 0, recipe->subscribers);
                double open_s = (double)(clock_monotonic_ns() - start_ns) / 1e9;
                server_read(&crowd, &opened);
                uint64_t opened_ns = clock_monotonic_ns();
                uint64_t from_ns = opened_ns + recipe->settle_ns + recipe->warmup_ns;
                struct progress progress;
                progress_init(&progress, report->label, "deliveries", opened_ns, from_ns + recipe->run_ns);
                turn_until(&crowd, &progress, from_ns);
                struct usage settled = opened;
                server_read(&crowd, &settled);
                uint64_t held_ns = clock_monotonic_ns();
                turn_until(&crowd, &progress, held_ns + recipe->run_ns);
                progress_end(&progress);
                server_read(&crowd, &held);
                double held_s = (double)(clock_monotonic_ns() - held_ns) / 1e9;
                report_text(report, "mode", mode_names[recipe->mode]);
                report_text(report, "address", recipe->target.text);
                report_number(report, "connections", connections);
                report_number(report, "open_seconds", open_s);
                report_number(report, "seconds", held_s);
                report_number(report, "cut", (double)crowd.cut);
                if (recipe->server_pid != 0) {
                        double grown = (double)held.rss_bytes - (double)before.rss_bytes;
                        report_number(report, "server_rss_bytes_before", (double)before.rss_bytes);
                        report_number(report, "server_rss_bytes", (double)held.rss_bytes);
                        report_number(report, "server_rss_bytes_per_connection", grown / connections);
                        report_number(report, "server_open_cpu_s", cpu_s(&before, &opened));
                        report_number(report, "server_load", cpu_s(&settled, &held) / held_s);
                        report_number(report, "server_switches_per_s",
                                      (double)(held.switches - settled.switches) / held_s);
                }
                if (crowd.cut != 0)
                        crowd_fail(&crowd, BENCH_FAILED, "%llu idle connections were closed by the server",
                                   (unsigned long long)crowd.cut);
        }
        int failure = crowd.failure;
        snprintf(error, 512, "%s", crowd.error);
        crowd_fini(&crowd);
        return failure;
}
