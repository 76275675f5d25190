/* pulse: how a reactor's thread does: which thread it is, where it runs, and how long its turns take. What an operator
 * wants to see of a core; it costs a turn one reading of the clock.
 *
 * Written by its reactor (the thread, by whoever starts that), read by anyone: all of it is counters. */
#ifndef SPATE_ENGINE_PULSE_H
#define SPATE_ENGINE_PULSE_H

#include <sys/types.h>

#include "engine/base/counters.h"

/* A turn of at most so many nanoseconds; the last bucket has the longer ones. */
#define PULSE_BUCKETS_TABLE(ROW)                                                                                       \
        ROW(10000, "1e-05")                                                                                            \
        ROW(30000, "3e-05")                                                                                            \
        ROW(100000, "0.0001")                                                                                          \
        ROW(300000, "0.0003")                                                                                          \
        ROW(1000000, "0.001")                                                                                          \
        ROW(3000000, "0.003")                                                                                          \
        ROW(10000000, "0.01")                                                                                          \
        ROW(30000000, "0.03")                                                                                          \
        ROW(100000000, "0.1")                                                                                          \
        ROW(300000000, "0.3")                                                                                          \
        ROW(1000000000, "1")

#define PULSE_BUCKET_COUNT(ns, text) +1
#define PULSE_BUCKETS (1 PULSE_BUCKETS_TABLE(PULSE_BUCKET_COUNT))

enum { PULSE_TURN_NS = PULSE_BUCKETS, PULSE_THREAD, PULSE_VALUES };

struct pulse {
        struct counters values; /* the buckets, then PULSE_… */
        uint64_t turn_began_ns; /* the reactor's own; 0: no turn has begun yet */
};

/* 0 or -ENOMEM. */
int pulse_init(struct pulse *pulse);
void pulse_fini(struct pulse *pulse);
/* This thread turns the reactor from now on. */
void pulse_take_thread(struct pulse *pulse);

/* A turn has taken so long: what came back until the next poll, and the poll itself where it only sent. */
void pulse_count_turn(struct pulse *pulse, uint64_t turn_ns);

struct pulse_times {
        uint64_t cpu_ns;  /* on a CPU, in user space and in the kernel */
        uint64_t busy_ns; /* not asleep: the same, and the waits for a CPU that others had */
};

/* Any thread. Asks the kernel: not for the event path. Zeros before a thread was taken, and after it has ended. */
struct pulse_times pulse_times(const struct pulse *pulse);

#endif
