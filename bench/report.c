/* report: see report.h. */
#include "bench/report.h"

#include <math.h>

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

/* 12345678 as "12.35 M", so that two columns compare at a glance. */
static void human_print(double number, FILE *out)
{
        if (fabs(number) >= 1e9)
                fprintf(out, "%.2f G\n", number / 1e9);
        else if (fabs(number) >= 1e6)
                fprintf(out, "%.2f M\n", number / 1e6);
        else if (number == floor(number))
                fprintf(out, "%.0f\n", number);
        else
                fprintf(out, "%.3f\n", number);
}

void report_print(const struct report *report, bool json, FILE *out)
{
        if (json)
                fputc('{', out);
        for (size_t i = 0; i < report->rows_count; i++) {
                const struct report_row *row = &report->rows[i];
                if (json) {
                        fprintf(out, "%s\"%s\":", i == 0 ? "" : ",", row->name);
                        if (row->is_text)
                                text_print(row->text, out);
                        else
                                number_print(row->number, out);
                        continue;
                }
                fprintf(out, "%-34s ", row->name);
                if (row->is_text)
                        fprintf(out, "%s\n", row->text);
                else
                        human_print(row->number, out);
        }
        if (json)
                fprintf(out, "}\n");
}
