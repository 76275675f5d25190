/* process: what the kernel knows of this process: CPU time, memory, file descriptors. Asks it each time: not for the
 * event path. */
#ifndef SPATE_ENGINE_ADMIN_PROCESS_H
#define SPATE_ENGINE_ADMIN_PROCESS_H

#include "engine/base/check.h"

struct process_facts {
        uint64_t cpu_ns;
        uint64_t virtual_bytes, resident_bytes; /* 0: not told */
        uint64_t descriptors_max;               /* 0: no limit */
        int64_t descriptors_count;              /* -1: not known, see process.c */
};

void process_look(struct process_facts *facts);

#endif
