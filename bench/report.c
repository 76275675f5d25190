/* report: see report.h. */
#include "bench/report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/clock.h"

struct report *report_new(void)
{
        struct report *report = calloc(1, sizeof(*report));
        if (report == NULL)
                abort();
        report->label = "";
        report->started_unix_ns = clock_read_ns(CLOCK_REALTIME);
        return report;
}

void report_free(struct report *report)
{
        if (report != NULL)
                series_free(report->series);
        free(report);
}

const struct report_row *report_find(const struct report *report, const char *name)
{
        for (size_t i = 0; i < report->rows_count; i++)
                if (strcmp(report->rows[i].name, name) == 0)
                        return &report->rows[i];
        return NULL;
}

void report_number(struct report *report, const char *name, double number)
{
        assert(report->rows_count < REPORT_ROWS_MAX);
        report->rows[report->rows_count++] = (struct report_row){.name = name, .number = number};
}

void report_text(struct report *report, const char *name, const char *text)
{
        assert(report->rows_count < REPORT_ROWS_MAX);
        struct report_row *row = &report->rows[report->rows_count++];
        *row = (struct report_row){.name = name, .is_text = true};
        snprintf(row->text, sizeof(row->text), "%s", text);
}

void report_latency(struct report *report, const struct latency *latency)
{
        latency_add(&report->latency, latency);
        report_number(report, "latencies", (double)latency->count);
        report_number(report, "min_us", (double)latency->smallest / 1e3);
        report_number(report, "p50_us", (double)latency_at(latency, 0.50) / 1e3);
        report_number(report, "p90_us", (double)latency_at(latency, 0.90) / 1e3);
        report_number(report, "p99_us", (double)latency_at(latency, 0.99) / 1e3);
        report_number(report, "p999_us", (double)latency_at(latency, 0.999) / 1e3);
        report_number(report, "max_us", (double)latency->largest / 1e3);
        report_number(report, "mean_us", latency_mean(latency) / 1e3);
}

static void number_print(double number, FILE *out)
{
        if (!isfinite(number))
                fprintf(out, "null");
        else if (number == floor(number) && fabs(number) < 1e15)
                fprintf(out, "%.0f", number);
        else
                fprintf(out, "%.9g", number);
}

static void text_print(const char *text, FILE *out)
{
        fputc('"', out);
        for (; *text != '\0'; text++) {
                if (*text == '"' || *text == '\\')
                        fputc('\\', out);
                if ((unsigned char)*text >= ' ')
                        fputc(*text, out);
        }
        fputc('"', out);
}

void report_row_print_json(const struct report_row *row, FILE *out)
{
        fprintf(out, "\"%s\":", row->name);
        if (row->is_text)
                text_print(row->text, out);
        else
                number_print(row->number, out);
}

void number_write(double number, char *to, size_t room)
{
        if (fabs(number) >= 1e9)
                snprintf(to, room, "%.2f G", number / 1e9);
        else if (fabs(number) >= 1e6)
                snprintf(to, room, "%.2f M", number / 1e6);
        else if (number == floor(number))
                snprintf(to, room, "%.0f", number);
        else
                snprintf(to, room, "%.3f", number);
}

void report_print(const struct report *report, bool json, FILE *out)
{
        if (json)
                fputc('{', out);
        for (size_t i = 0; i < report->rows_count; i++) {
                const struct report_row *row = &report->rows[i];
                char text[32];
                if (json) {
                        report_row_print_json(row, out);
                        fputc(',', out);
                        continue;
                }
                number_write(row->number, text, sizeof(text));
                fprintf(out, "%-34s %s\n", row->name, row->is_text ? row->text : text);
        }
        fprintf(out, json ? "\"exit_code\":%d}\n" : "exit_code                          %d\n", report->exit_code);
}
