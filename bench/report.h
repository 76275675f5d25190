/* report: what a run came to: its figures in the order they were added, for people or as one JSON object, and how it
 * went. */
#ifndef SPATE_BENCH_REPORT_H
#define SPATE_BENCH_REPORT_H

#include <stdio.h>

#include "bench/series.h"

#define REPORT_ROWS_MAX 96

struct report_row {
        const char *name; /* with its unit as the last word */
        bool is_text;
        double number;
        char text[256];
};

#define REPORT_ERROR_BYTES 768

struct report {
        struct report_row rows[REPORT_ROWS_MAX];
        size_t rows_count;
        int exit_code;
        char error[REPORT_ERROR_BYTES]; /* why exit_code is not 0 */
        const char *label;              /* which of several runs, for who looks on; borrowed, never NULL */
        uint64_t started_unix_ns;
        struct latency latency; /* all that report_latency() was given; may be empty */
        struct series *series;  /* owned; NULL where the load tells of none */
};

struct report *report_new(void);
void report_free(struct report *report);

/* `name` is borrowed for as long as the report lives. */
void report_number(struct report *report, const char *name, double number);
void report_text(struct report *report, const char *name, const char *text);
/* Eight rows: the smallest, p50, p90, p99, p99.9, the largest and the mean in microseconds, and how many there are.
 * Keeps a copy. */
void report_latency(struct report *report, const struct latency *latency);
/* The row called `name`, or NULL. */
const struct report_row *report_find(const struct report *report, const char *name);
void report_print(const struct report *report, bool json, FILE *out);
/* "name":value */
void report_row_print_json(const struct report_row *row, FILE *out);
/* 12345678 as "12.35 M", so that two columns compare at a glance. */
void number_write(double number, char *to, size_t room);

#endif
