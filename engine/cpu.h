/* cpu: which CPUs the reactors run on, and how many reactors there are. Read once at start, from what the kernel tells
 * of this process and under /sys; every file may be missing (containers hide them) and then counts for nothing.
 *
 * One reactor for each CPU that the process may use, hyper-threads included: a reactor is nearly all kernel code that
 * waits for memory, so the second thread of a core is worth having. Where fewer are asked for, the first threads of
 * cores come first, those of one NUMA node together.
 *
 * Memory is not bound to nodes by a policy. Linux gives a page from the node of the CPU that touches it first, so each
 * reactor is made and run on its own CPU (cpu_pin()); a policy that the operator has set, with numactl, stays as it is.
 */
#ifndef SPATE_ENGINE_CPU_H
#define SPATE_ENGINE_CPU_H

#include "engine/base/check.h"

#define CPUS_MAX 1024
#define CPUS_ERROR_BYTES 512
#define CPUS_TEXT_BYTES 128 /* of a list; a longer one ends with "..." */

struct cpus {
        uint32_t count;
        uint16_t numbers[CPUS_MAX];
};

struct cpu_plan {
        uint32_t reactors_count;
        bool is_pinned;         /* reactor i runs on cpus.numbers[i] and nowhere else */
        const char *reason;     /* why it is not, or "" */
        uint32_t allowed_count; /* CPUs that this process may use */
        uint32_t granted_count; /* ... and how many of them its control group lets it fill; UINT32_MAX: all */
        struct cpus cpus;       /* of the reactors, when pinned */
};

/* The CPUs that this thread may use, ascending. 0 or -errno (-EINVAL: the machine has more than CPUS_MAX). */
int cpus_allowed(struct cpus *cpus);
/* "0-3,8", in the order as written. 0 or -EINVAL: not such a list, a number from CPUS_MAX on, or one twice. */
int cpus_parse(struct cpus *cpus, const char *text);
/* The same the other way round. */
const char *cpus_text(const struct cpus *cpus, char text[CPUS_TEXT_BYTES]);

/* Decides. `list` is a list of CPUs, "auto" or "none" (not pinned); `reactors_count` 0 is one for each CPU, up to
 * `reactors_max`. `root` stands before /sys and /proc, "" outside of tests. 0, or -EINVAL with one line in `error`. */
int cpu_plan(struct cpu_plan *plan, const struct cpus *allowed, const char *list, uint32_t reactors_count,
             uint32_t reactors_max, const char *root, char error[CPUS_ERROR_BYTES]);

/* The NUMA node of a CPU, or -1 where that is not told. */
int cpu_node(unsigned cpu, const char *root);

/* This thread runs on `cpu` alone from here on, or on any of `cpus`. 0 or -errno. */
int cpu_pin(unsigned cpu);
int cpus_use(const struct cpus *cpus);

#endif
