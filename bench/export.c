/* export: see export.h. */
#include "bench/export.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/hdr.h"
#include "bench/plot.h"

#define SHARE_STEP 0.02 /* of a decade between two points of a line by percentile */
#define LINES_MAX 8     /* runs that are drawn one by one */

static int file_open(FILE **file, const char *option, const char *path, char *error)
{
        if (path == NULL)
                return 0;
        *file = fopen(path, "w");
        if (*file != NULL)
                return 0;
        int failure = -errno;
        snprintf(error, EXPORT_ERROR_BYTES, "--%s: %s cannot be written: %s", option, path, strerror(-failure));
        return failure;
}

static int file_close(FILE **file, const char *option, char *error)
{
        if (*file == NULL)
                return 0;
        bool is_whole = fflush(*file) == 0 && ferror(*file) == 0;
        int failure = is_whole ? 0 : errno != 0 ? -errno : -EIO;
        fclose(*file);
        *file = NULL;
        if (failure != 0)
                snprintf(error, EXPORT_ERROR_BYTES, "--%s: the file is not whole: %s", option, strerror(-failure));
        return failure;
}

int exports_open(struct exports *exports, const struct recipe *recipe, char error[EXPORT_ERROR_BYTES])
{
        *exports = (struct exports){0};
        int failure = file_open(&exports->hdr, "hdr", recipe->hdr_path, error);
        if (failure == 0)
                failure = file_open(&exports->svg, "svg", recipe->svg_path, error);
        if (failure == 0)
                failure = file_open(&exports->csv, "csv", recipe->csv_path, error);
        return failure;
}

static struct latency *latency_new(void)
{
        struct latency *latency = calloc(1, sizeof(*latency));
        if (latency == NULL)
                abort();
        return latency;
}

static double offset_s(uint64_t from_ns, uint64_t to_ns)
{
        return to_ns > from_ns ? (double)(to_ns - from_ns) / 1e9 : 0;
}

static uint64_t started_unix_ns(const struct contender *contenders, size_t contenders_count)
{
        uint64_t first_ns = UINT64_MAX;
        for (size_t i = 0; i < contenders_count; i++)
                for (size_t k = 0; k < contenders[i].reports_count; k++)
                        if (contenders[i].reports[k]->started_unix_ns < first_ns)
                                first_ns = contenders[i].reports[k]->started_unix_ns;
        return first_ns == UINT64_MAX ? 0 : first_ns;
}

/* "nats://127.0.0.1:4222" as a tag: letters, digits and what stands between them as '_'. */
static void tag_write(const struct contender *contender, size_t index, char *tag, size_t room)
{
        int size = snprintf(tag, room, "%zu_%s", index + 1, contender->recipe->target.text);
        for (int i = 0; i < size && tag[i] != '\0'; i++)
                if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", tag[i]) == NULL)
                        tag[i] = '_';
}

/* Where a run tells of no slices, it is one interval. */
static void report_log(FILE *out, const struct report *report, const char *tag, double start_s)
{
        const struct series *series = report->series;
        if (series == NULL || series->slices_count == 0) {
                const struct report_row *seconds = report_find(report, "seconds");
                hdr_log_interval(out, tag, start_s, seconds == NULL ? 0 : seconds->number, &report->latency);
                return;
        }
        struct latency *latency = latency_new();
        for (size_t i = 0; i < series->slices_count; i++) {
                const struct slice *slice = &series->slices[i];
                series_latency(series, i, latency);
                /* A slice knows its buckets; the extremes of the run are known better than that. */
                if (latency->count != 0 && latency->largest > report->latency.largest)
                        latency->largest = report->latency.largest;
                hdr_log_interval(out, tag, start_s + offset_s(series->slices[0].from_ns, slice->from_ns),
                                 offset_s(slice->from_ns, slice->until_ns), latency);
        }
        free(latency);
}

static void hdr_write(FILE *out, const struct contender *contenders, size_t contenders_count)
{
        char about[400], tag[128];
        uint64_t start_ns = started_unix_ns(contenders, contenders_count);
        snprintf(about, sizeof(about), "latencies in nanoseconds, written by spate bench %s, version " SPATE_VERSION,
                 mode_names[contenders[0].recipe->mode]);
        hdr_log_begin(out, start_ns, about);
        for (size_t i = 0; i < contenders_count; i++) {
                tag_write(&contenders[i], i, tag, sizeof(tag));
                for (size_t k = 0; k < contenders[i].reports_count; k++)
                        report_log(out, contenders[i].reports[k], contenders_count > 1 ? tag : NULL,
                                   offset_s(start_ns, contenders[i].reports[k]->started_unix_ns));
        }
}

static void csv_write(FILE *out, const struct contender *contenders, size_t contenders_count)
{
        struct latency *latency = latency_new();
        fprintf(out, "target,run,from_s,until_s,events,deliveries,latencies,p50_us,p99_us,max_us\n");
        for (size_t i = 0; i < contenders_count; i++) {
                for (size_t k = 0; k < contenders[i].reports_count; k++) {
                        const struct series *series = contenders[i].reports[k]->series;
                        for (size_t s = 0; series != NULL && s < series->slices_count; s++) {
                                const struct slice *slice = &series->slices[s];
                                uint64_t from_ns = series->slices[0].from_ns;
                                series_latency(series, s, latency);
                                fprintf(out, "%s,%zu,%.4f,%.4f,%llu,%llu,%llu,%.3f,%.3f,%.3f\n",
                                        contenders[i].recipe->target.text, k + 1, offset_s(from_ns, slice->from_ns),
                                        offset_s(from_ns, slice->until_ns), (unsigned long long)slice->published,
                                        (unsigned long long)slice->deliveries, (unsigned long long)latency->count,
                                        (double)latency_at(latency, 0.5) / 1e3, (double)latency_at(latency, 0.99) / 1e3,
                                        (double)latency->largest / 1e3);
                        }
                }
        }
        free(latency);
}

/* The lines of a plot: each run where there is one contender, else all runs of each contender together. */
struct curve {
        char name[300];
        struct latency *latency;
        const struct report *report; /* whose course over time is shown */
};

static size_t curves_collect(const struct contender *contenders, size_t contenders_count,
                             struct curve curves[LINES_MAX])
{
        size_t count = 0;
        for (size_t i = 0; i < contenders_count && count < LINES_MAX; i++) {
                for (size_t k = 0; k < contenders[i].reports_count && count < LINES_MAX; k++) {
                        struct curve *curve = &curves[count];
                        const struct report *report = contenders[i].reports[k];
                        if (contenders_count == 1 || k == 0) {
                                *curve = (struct curve){.latency = latency_new(), .report = report};
                                if (contenders_count == 1)
                                        snprintf(curve->name, sizeof(curve->name), "run %zu", k + 1);
                                else
                                        snprintf(curve->name, sizeof(curve->name), "%s",
                                                 contenders[i].recipe->target.text);
                                latency_add(curve->latency, &report->latency);
                                count += contenders_count == 1;
                        } else {
                                latency_add(curve->latency, &report->latency);
                        }
                }
                count += contenders_count > 1 && contenders[i].reports_count != 0;
        }
        return count;
}

/* Percentiles stand apart by the logarithm of what is above them: 0, 90, 99, 99.9 % ... */
static void percentiles_plot(struct plot *plot, const struct curve *curves, size_t curves_count)
{
        static const char *const names[] = {"0 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %", "99.9999 %"};
        double decades = 1;
        plot_panel(plot, "latency by percentile", "percentile", "microseconds", true);
        for (size_t i = 0; i < curves_count; i++)
                if (curves[i].latency->count != 0)
                        decades = fmax(decades, fmin(log10((double)curves[i].latency->count), array_count(names) - 1));
        for (size_t i = 0; i < array_count(names) && (double)i <= decades; i++)
                plot_tick(plot, (double)i, names[i]);
        for (size_t i = 0; i < curves_count; i++) {
                const struct latency *latency = curves[i].latency;
                plot_line(plot, curves[i].name);
                if (latency->count == 0)
                        continue;
                double end = fmin(log10((double)latency->count), decades);
                for (double x = 0; x < end; x += SHARE_STEP)
                        plot_point(plot, x, (double)latency_at(latency, 1 - pow(10, -x)) / 1e3);
                plot_point(plot, end, (double)latency_at(latency, fmax(0, 1 - pow(10, -end))) / 1e3);
        }
}

static double slice_middle_s(const struct series *series, size_t index)
{
        const struct slice *slice = &series->slices[index];
        uint64_t from_ns = series->slices[0].from_ns;
        return (offset_s(from_ns, slice->from_ns) + offset_s(from_ns, slice->until_ns)) / 2;
}

static void rates_plot(struct plot *plot, const struct curve *curves, size_t curves_count, bool of_events)
{
        plot_panel(plot, of_events ? "events published over time" : "deliveries over time", "seconds", "a second",
                   false);
        for (size_t i = 0; i < curves_count; i++) {
                const struct series *series = curves[i].report->series;
                plot_line(plot, curves[i].name);
                for (size_t s = 0; series != NULL && s < series->slices_count; s++) {
                        const struct slice *slice = &series->slices[s];
                        double length_s = offset_s(slice->from_ns, slice->until_ns);
                        if (length_s > 0)
                                plot_point(plot, slice_middle_s(series, s),
                                           (double)(of_events ? slice->published : slice->deliveries) / length_s);
                }
        }
}

static void p99_plot(struct plot *plot, const struct curve *curves, size_t curves_count)
{
        struct latency *latency = latency_new();
        plot_panel(plot, "p99 over time", "seconds", "microseconds", true);
        for (size_t i = 0; i < curves_count; i++) {
                const struct series *series = curves[i].report->series;
                plot_line(plot, curves[i].name);
                for (size_t s = 0; series != NULL && s < series->slices_count; s++) {
                        series_latency(series, s, latency);
                        if (latency->count != 0)
                                plot_point(plot, slice_middle_s(series, s), (double)latency_at(latency, 0.99) / 1e3);
                }
        }
        free(latency);
}

static void svg_write(FILE *out, const struct contender *contenders, size_t contenders_count)
{
        struct curve curves[LINES_MAX] = {0};
        const struct recipe *recipe = contenders[0].recipe;
        size_t curves_count = curves_collect(contenders, contenders_count, curves);
        char title[320], about[320];
        bool has_latencies = false, has_series = false;
        snprintf(title, sizeof(title), "spate bench %s%s%.200s", mode_names[recipe->mode],
                 contenders_count == 1 ? ", " : "", contenders_count == 1 ? recipe->target.text : "");
        int size = snprintf(about, sizeof(about), "%llu to %llu, %llu bytes", (unsigned long long)recipe->publishers,
                            (unsigned long long)recipe->subscribers, (unsigned long long)recipe->payload_bytes);
        if (recipe_is_open_loop(recipe))
                snprintf(about + size, sizeof(about) - (size_t)size, ", %llu events a second",
                         (unsigned long long)recipe->rate);
        for (size_t i = 0; i < curves_count; i++) {
                has_latencies |= curves[i].latency->count != 0;
                has_series |= curves[i].report->series != NULL;
        }
        struct plot *plot = plot_new(title, about);
        if (has_latencies || !has_series)
                percentiles_plot(plot, curves, curves_count);
        if (has_series) {
                rates_plot(plot, curves, curves_count, recipe->mode == MODE_PUB);
                if (has_latencies)
                        p99_plot(plot, curves, curves_count);
        }
        plot_write(plot, out);
        plot_free(plot);
        for (size_t i = 0; i < curves_count; i++)
                free(curves[i].latency);
}

int exports_write(struct exports *exports, const struct contender *contenders, size_t contenders_count,
                  char error[EXPORT_ERROR_BYTES])
{
        if (exports->hdr != NULL)
                hdr_write(exports->hdr, contenders, contenders_count);
        if (exports->svg != NULL)
                svg_write(exports->svg, contenders, contenders_count);
        if (exports->csv != NULL)
                csv_write(exports->csv, contenders, contenders_count);
        int failure = file_close(&exports->hdr, "hdr", error);
        int next = file_close(&exports->svg, "svg", error);
        failure = failure != 0 ? failure : next;
        next = file_close(&exports->csv, "csv", error);
        return failure != 0 ? failure : next;
}
