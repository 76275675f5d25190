/* hdr: latencies in the form that the tools of HdrHistogram read: its V2 encoding, compressed, in an interval log.
 *
 *      #[Histogram log format version 1.3]
 *      #[StartTime: 1700000000.000 (seconds since epoch), ...]
 *      "StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"
 *      0.000,0.100,1.234,HISTFAAAA...                        seconds, seconds, milliseconds, base64
 *
 *      V2      cookie | payload bytes | 0 | digits | lowest | highest | ratio | counts ...      big-endian, 40 bytes
 *      counts  zigzag LEB128 of at most 9 bytes; a run of n > 1 zeros is the one number -n
 *
 * Our buckets are those of a histogram of 3 significant digits from 1 ns on, so nothing is rounded twice. Readers in
 * JavaScript must be told to count in 64 bits when a count can exceed 2^31. */
#ifndef SPATE_BENCH_HDR_H
#define SPATE_BENCH_HDR_H

#include <stdio.h>

#include "bench/latency.h"

/* V2 without compression, in memory that the caller frees; its size in *size. */
uint8_t *hdr_encode(const struct latency *latency, size_t *size);
/* Compressed and in base64, with a 0 behind it; the caller frees it. */
char *hdr_encode_text(const struct latency *latency);

/* The head of a log whose times count from `start_unix_ns`; `about` is a line of comment. */
void hdr_log_begin(FILE *out, uint64_t start_unix_ns, const char *about);
/* One interval; `tag` (letters and digits) says whose, NULL where there is only one. */
void hdr_log_interval(FILE *out, const char *tag, double start_s, double length_s, const struct latency *latency);

#endif
