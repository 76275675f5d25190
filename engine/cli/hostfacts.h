/* hostfacts: what `spate doctor` knows of the machine and of what this process may do on it. Read once, then judged
 * (engine/cli/checkup.h), so that a test can make up any machine. What the kernel does not tell is HOSTFACT_UNKNOWN or
 * "", and is no fault: containers hide much. */
#ifndef SPATE_ENGINE_CLI_HOSTFACTS_H
#define SPATE_ENGINE_CLI_HOSTFACTS_H

#include "engine/cpu.h"

#define HOSTFACT_UNKNOWN ((int64_t)-1)
#define HOSTFACT_UNLIMITED INT64_MAX
#define HOSTFACT_TEXT_BYTES 128

struct hostfacts {
        /* the kernel */
        char release[HOSTFACT_TEXT_BYTES]; /* "6.1.0-18-amd64" */
        char hypervisor[HOSTFACT_TEXT_BYTES];
        bool has_system_call_filter;
        bool is_clock_synchronized; /* somebody keeps the time of day */
        int64_t io_uring_disabled;

        /* limits of this process and of all */
        int64_t files_hard, locked_bytes; /* the engine raises its soft limit of open files by itself */
        bool may_lock_all;                /* CAP_IPC_LOCK: the limit of locked memory is none */
        int64_t nr_open;
        uint32_t user;

        /* the network */
        int64_t somaxconn, syn_backlog, syncookies, wmem_max, wmem_last, rmem_last;
        int64_t tcp_memory_bytes;      /* the last of tcp_mem */
        int64_t tcp_memory_used_bytes; /* of all processes, now */
        int64_t conntrack_max;

        /* memory */
        int64_t memory_bytes, available_bytes, swap_bytes, swappiness, overcommit;
        int64_t group_memory_bytes; /* what the control group grants */
        int64_t group_memory_used_bytes;
        int64_t huge_pages;
        char transparent_huge_pages[HOSTFACT_TEXT_BYTES];

        /* CPUs; of those that the engine would use (hostfacts_read_cpus()) where it says so */
        uint32_t cpus_shared_cores;         /* ... how many share their core with another of them */
        uint32_t nodes_count;               /* ... how many NUMA nodes they are of; 0: not told */
        char governor[HOSTFACT_TEXT_BYTES]; /* ... of the first that is not "performance"; "": none to choose */
        int64_t idle_latency_us;            /* ... the longest way out of an idle state that is allowed */
        int64_t numa_balancing;
        char clocksource[HOSTFACT_TEXT_BYTES];
        bool is_tsc_offered;
        double stolen_share; /* of all CPU time since boot; below 0: not told */
};

/* `root` stands before /proc and /sys, "" outside of tests. What is of the process itself (limits, kernel, clock) is
 * always of this one. */
void hostfacts_read(struct hostfacts *facts, const char *root);
/* Adds what concerns these CPUs. */
void hostfacts_read_cpus(struct hostfacts *facts, const struct cpus *cpus, const char *root);

#endif
