/* export: what runs have come to as files for other tools: latencies as an HdrHistogram log, a plot, slices of time. */
#ifndef SPATE_BENCH_EXPORT_H
#define SPATE_BENCH_EXPORT_H

#include "bench/rounds.h"

/* The files that the recipe asks for are opened before the load, so that a path that cannot be written costs no run. */
struct exports {
        FILE *hdr, *svg, *csv;
};

#define EXPORT_ERROR_BYTES 768

/* 0, or -errno with one line in `error`. */
int exports_open(struct exports *exports, const struct recipe *recipe, char error[EXPORT_ERROR_BYTES]);
/* Writes them all and closes them. 0, or -errno with one line in `error`. */
int exports_write(struct exports *exports, const struct contender *contenders, size_t contenders_count,
                  char error[EXPORT_ERROR_BYTES]);

#endif
