/* summary: see summary.h. */
#include "bench/summary.h"

#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"

static int by_size(const void *a, const void *b)
{
        double left = *(const double *)a;
        double right = *(const double *)b;
        return (left > right) - (left < right);
}

struct spread summary_spread(struct report *const *reports, size_t reports_count, const char *name)
{
        struct spread spread = {0};
        double *values = calloc(reports_count + 1, sizeof(double));
        if (values == NULL)
                abort();
        for (size_t i = 0; i < reports_count; i++) {
                const struct report_row *row = report_find(reports[i], name);
                if (reports[i]->exit_code != BENCH_OK && reports_count > 1)
                        continue; /* a run that failed is told, not counted */
                if (row != NULL && !row->is_text)
                        values[spread.count++] = row->number;
        }
        if (spread.count != 0) {
                qsort(values, spread.count, sizeof(double), by_size);
                spread.least = values[0];
                spread.most = values[spread.count - 1];
                spread.median = (values[(spread.count - 1) / 2] + values[spread.count / 2]) / 2;
        }
        free(values);
        return spread;
}

/* The names of all figures, in the order they first appear: a run that was cut short, or another kind of server, may
 * tell of fewer. */
static size_t names_collect(const struct contender *contenders, size_t contenders_count,
                            const char *names[REPORT_ROWS_MAX])
{
        size_t names_count = 0;
        for (size_t i = 0; i < contenders_count; i++) {
                for (size_t k = 0; k < contenders[i].reports_count; k++) {
                        const struct report *report = contenders[i].reports[k];
                        for (size_t row = 0; row < report->rows_count; row++) {
                                size_t at = 0;
                                while (at < names_count && strcmp(names[at], report->rows[row].name) != 0)
                                        at++;
                                if (at == names_count && names_count < REPORT_ROWS_MAX)
                                        names[names_count++] = report->rows[row].name;
                        }
                }
        }
        return names_count;
}

static const struct report_row *row_first(const struct contender *contender, const char *name)
{
        for (size_t i = 0; i < contender->reports_count; i++) {
                const struct report_row *row = report_find(contender->reports[i], name);
                if (row != NULL)
                        return row;
        }
        return NULL;
}

#define CELL_BYTES 128
#define CELL_WIDTH 38

static void cell_write(const struct contender *contender, const char *name, char cell[CELL_BYTES])
{
        char median[32], least[32], most[32];
        const struct report_row *row = row_first(contender, name);
        if (row == NULL) {
                snprintf(cell, CELL_BYTES, "-");
                return;
        }
        if (row->is_text) {
                snprintf(cell, CELL_BYTES, "%.90s", row->text);
                return;
        }
        struct spread spread = summary_spread(contender->reports, contender->reports_count, name);
        number_write(spread.median, median, sizeof(median));
        number_write(spread.least, least, sizeof(least));
        number_write(spread.most, most, sizeof(most));
        if (strcmp(least, most) == 0)
                snprintf(cell, CELL_BYTES, "%s", median);
        else
                snprintf(cell, CELL_BYTES, "%s  [%s .. %s]", median, least, most);
}

/* Figures of which it makes sense to tell by how much another target's differs: those that say what was done in what
 * time, or at what cost. The others are of the recipe, or counts that grow with the run. */
static bool is_compared(const char *name)
{
        static const char *const endings[] = {"_per_s", "_per_server_cpu_s", "_per_client_cpu_s", "_us", "_per_read",
                                              "_load",  "_rss_bytes"};
        size_t size = strlen(name);
        for (size_t i = 0; i < array_count(endings); i++) {
                size_t ending_size = strlen(endings[i]);
                if (size >= ending_size && strcmp(name + size - ending_size, endings[i]) == 0)
                        return true;
        }
        return false;
}

/* The median of `contender` by that of the first; 0 where there is none. */
static double ratio_to_first(const struct contender *first, const struct contender *contender, const char *name)
{
        double base = summary_spread(first->reports, first->reports_count, name).median;
        double median = summary_spread(contender->reports, contender->reports_count, name).median;
        return is_compared(name) && base > 0 && median > 0 ? median / base : 0;
}

static size_t good_count(const struct contender *contender)
{
        size_t good = 0;
        for (size_t i = 0; i < contender->reports_count; i++)
                good += contender->reports[i]->exit_code == BENCH_OK;
        return good;
}

static int exit_code_of(const struct contender *contender)
{
        /* The run that failed is the last one. */
        return contender->reports_count == 0 ? BENCH_OK : contender->reports[contender->reports_count - 1]->exit_code;
}

void summary_print(const struct contender *contenders, size_t contenders_count, FILE *out)
{
        const char *names[REPORT_ROWS_MAX];
        if (contenders_count == 1 && contenders[0].reports_count == 1) {
                report_print(contenders[0].reports[0], false, out);
                return;
        }
        size_t names_count = names_collect(contenders, contenders_count, names);
        for (size_t i = 0; i < names_count; i++) {
                fprintf(out, "%-34s", names[i]);
                for (size_t k = 0; k < contenders_count; k++) {
                        char cell[CELL_BYTES];
                        cell_write(&contenders[k], names[i], cell);
                        double ratio = k == 0 ? 0 : ratio_to_first(&contenders[0], &contenders[k], names[i]);
                        size_t size = strlen(cell);
                        if (ratio != 0)
                                snprintf(cell + size, sizeof(cell) - size, "  x %.2f", ratio);
                        fprintf(out, " %-*s", k + 1 == contenders_count ? 0 : CELL_WIDTH, cell);
                }
                fputc('\n', out);
        }
        fprintf(out, "%-34s", "runs");
        for (size_t k = 0; k < contenders_count; k++) {
                char cell[CELL_BYTES];
                size_t good = good_count(&contenders[k]);
                snprintf(cell, sizeof(cell), good == contenders[k].reports_count ? "%zu" : "%zu, and one that failed",
                         good);
                fprintf(out, " %-*s", k + 1 == contenders_count ? 0 : CELL_WIDTH, cell);
        }
        fprintf(out, "\nmedians of the runs  [least .. most]%s\n",
                contenders_count == 1 ? "" : "  x ratio to the first target's median");
}

static void contender_print_json(const struct contender *contender, FILE *out)
{
        const char *names[REPORT_ROWS_MAX];
        static const char *const kinds[] = {"", "least", "most"};
        if (contender->reports_count == 1) {
                report_print(contender->reports[0], true, out);
                return;
        }
        size_t names_count = names_collect(contender, 1, names);
        fprintf(out, "{");
        for (size_t kind = 0; kind < array_count(kinds); kind++) {
                bool any = false;
                if (kind != 0)
                        fprintf(out, ",\"%s\":{", kinds[kind]);
                for (size_t i = 0; i < names_count; i++) {
                        const struct report_row *row = row_first(contender, names[i]);
                        if (row->is_text && kind != 0)
                                continue;
                        struct report_row told = *row;
                        if (!row->is_text) {
                                struct spread spread =
                                        summary_spread(contender->reports, contender->reports_count, names[i]);
                                told.number = kind == 0 ? spread.median : kind == 1 ? spread.least : spread.most;
                        }
                        fprintf(out, "%s", any ? "," : "");
                        report_row_print_json(&told, out);
                        any = true;
                }
                if (kind != 0)
                        fprintf(out, "}");
        }
        fprintf(out, ",\"exit_code\":%d,\"repeats\":%zu,\"runs\":[", exit_code_of(contender), good_count(contender));
        for (size_t i = 0; i < contender->reports_count; i++) {
                fprintf(out, "%s", i == 0 ? "" : ",");
                report_print(contender->reports[i], true, out);
        }
        fprintf(out, "]}\n");
}

static void ratios_print_json(const struct contender *first, const struct contender *contender, FILE *out)
{
        const char *names[REPORT_ROWS_MAX];
        size_t names_count = names_collect(contender, 1, names);
        const char *comma = "";
        fprintf(out, "{");
        for (size_t i = 0; i < names_count; i++) {
                double ratio = ratio_to_first(first, contender, names[i]);
                if (ratio == 0)
                        continue;
                fprintf(out, "%s\"%s\":%.6g", comma, names[i], ratio);
                comma = ",";
        }
        fprintf(out, "}");
}

void summary_print_json(const struct contender *contenders, size_t contenders_count, FILE *out)
{
        if (contenders_count == 1) {
                contender_print_json(&contenders[0], out);
                return;
        }
        fprintf(out, "{\"targets\":[");
        for (size_t i = 0; i < contenders_count; i++) {
                fprintf(out, "%s", i == 0 ? "" : ",");
                contender_print_json(&contenders[i], out);
        }
        fprintf(out, "],\"ratios\":[");
        for (size_t i = 1; i < contenders_count; i++) {
                fprintf(out, "%s", i == 1 ? "" : ",");
                ratios_print_json(&contenders[0], &contenders[i], out);
        }
        fprintf(out, "]}\n");
}
