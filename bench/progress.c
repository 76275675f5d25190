/* progress: see progress.h. */
#include "bench/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "bench/report.h"
#include "engine/base/clock.h"

#define SHOW_EVERY_NS (250 * NS_PER_MS)

void progress_init(struct progress *progress, const char *label, const char *unit, uint64_t from_ns, uint64_t until_ns)
{
        *progress = (struct progress){.is_shown = isatty(STDERR_FILENO) == 1,
                                      .label = label,
                                      .unit = unit,
                                      .from_ns = from_ns,
                                      .until_ns = until_ns,
                                      .next_ns = from_ns + SHOW_EVERY_NS,
                                      .told_ns = from_ns};
}

void progress_show(struct progress *progress, uint64_t now_ns, uint64_t count, const struct latency *latency)
{
        char rate[32], line[256];
        double elapsed_s = (double)(now_ns - progress->from_ns) / 1e9;
        double whole_s = (double)(progress->until_ns - progress->from_ns) / 1e9;
        double step_s = (double)(now_ns - progress->told_ns) / 1e9;
        number_write((double)(uint64_t)((double)(count - progress->told_count) / (step_s > 0 ? step_s : 1)), rate,
                     sizeof(rate));
        int size = snprintf(line, sizeof(line), "\r\033[K%s%.1f of %.1f s  %s %s/s", progress->label, elapsed_s,
                            whole_s, rate, progress->unit);
        if (latency != NULL && latency->count != 0 && size > 0 && (size_t)size < sizeof(line))
                size += snprintf(line + size, sizeof(line) - (size_t)size, "  p99 so far %.0f us",
                                 (double)latency_at(latency, 0.99) / 1e3);
        /* A terminal that is held up must not hold the load up for long: one write, and nobody looks what became of it.
         */
        if (size > 0)
                progress->is_shown =
                        write(STDERR_FILENO, line, (size_t)size < sizeof(line) ? (size_t)size : sizeof(line) - 1) > 0;
        progress->told_ns = now_ns;
        progress->told_count = count;
        progress->next_ns = now_ns + SHOW_EVERY_NS;
}

void progress_end(struct progress *progress)
{
        static const char wipe[] = "\r\033[K";
        if (progress->is_shown && write(STDERR_FILENO, wipe, sizeof(wipe) - 1) < 0)
                progress->is_shown = false;
}
