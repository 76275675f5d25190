/* clock: the kernel's clocks in nanoseconds. Code that must also run in virtual time asks its io backend
 * (io_now_ns) instead. */
#ifndef SPATE_BASE_CLOCK_H
#define SPATE_BASE_CLOCK_H

#include <time.h>

#include "engine/base/check.h"

#define NS_PER_US ((uint64_t)1000)
#define NS_PER_MS ((uint64_t)1000000)
#define NS_PER_S ((uint64_t)1000000000)

static inline uint64_t clock_read_ns(clockid_t id)
{
        struct timespec now;
        clock_gettime(id, &now);
        return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* Since some fixed moment in the past; never goes back. */
static inline uint64_t clock_monotonic_ns(void)
{
        return clock_read_ns(CLOCK_MONOTONIC);
}

/* CPU time of the calling thread. A system call, about 150 ns: not for the event path. */
static inline uint64_t clock_thread_cpu_ns(void)
{
        return clock_read_ns(CLOCK_THREAD_CPUTIME_ID);
}

#endif
