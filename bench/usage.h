/* usage: what a process has used of the machine, read from /proc, with the workers that it has started and that live
 * now. */
#ifndef SPATE_BENCH_USAGE_H
#define SPATE_BENCH_USAGE_H

#include "engine/base/check.h"

struct usage {
        uint64_t cpu_ns;        /* of all its threads that live now; ns where the kernel has schedstat, else 10 ms */
        uint64_t switches;      /* context switches of all its threads that live now, of either kind */
        uint64_t rss_bytes;     /* resident now */
        uint64_t rss_bytes_max; /* and at its highest */
};

/* 0, or -ESRCH when there is no such process. */
int usage_read(int pid, struct usage *usage);
/* CPU time of this process in ns. */
uint64_t usage_own_cpu_ns(void);

#endif
