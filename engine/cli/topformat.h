/* topformat: numbers as people read them at a glance: three digits and a unit. NAN is "-", of which nobody knows. */
#ifndef SPATE_ENGINE_CLI_TOPFORMAT_H
#define SPATE_ENGINE_CLI_TOPFORMAT_H

#include "engine/base/check.h"

#define TOPFORMAT_BYTES 32

/* 999, 1.23k, 45.6M. Below 10, a fraction is told: 0.25. Each returns `out`. */
const char *topformat_count(char out[TOPFORMAT_BYTES], double count);
/* 999B, 1.23K, 45.6M, in steps of 1024. */
const char *topformat_bytes(char out[TOPFORMAT_BYTES], double bytes);
/* 5s, 3m 20s, 2h 05m, 12d 3h. */
const char *topformat_time(char out[TOPFORMAT_BYTES], double seconds);
/* 38 281, to the last digit. */
const char *topformat_exact(char out[TOPFORMAT_BYTES], double count);
/* 0.5s, 2s: an interval. */
const char *topformat_interval(char out[TOPFORMAT_BYTES], double seconds);

#endif
