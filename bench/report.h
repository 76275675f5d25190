/* report: the figures of a run, in the order they were added, for people or as one JSON object. */
#ifndef SPATE_BENCH_REPORT_H
#define SPATE_BENCH_REPORT_H

#include <stdio.h>

#include "bench/latency.h"

#define REPORT_ROWS_MAX 96

struct report_row {
        const char *name; /* with its unit as the last word */
        bool is_text;
        double number;
        char text[256];
};

struct report {
        struct report_row rows[REPORT_ROWS_MAX];
        size_t rows_count;
};

/* `name` is borrowed for as long as the report lives. */
void report_number(struct report *report, const char *name, double number);
void report_text(struct report *report, const char *name, const char *text);
/* Six rows: p50, p90, p99, p99.9, the largest and the mean, in microseconds. */
void report_latency(struct report *report, const struct latency *latency);
void report_print(const struct report *report, bool json, FILE *out);

#endif
