/* bench: the load generator, `spate bench`. */
#ifndef SPATE_BENCH_BENCH_H
#define SPATE_BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>

enum bench_exit { BENCH_OK = 0, BENCH_FAILED = 1, BENCH_USAGE = 2, BENCH_UNREACHABLE = 69 };

/* `argv` is what main() got; a leading word "bench" is passed over. Runs until the load is over; returns the exit code.
 */
int bench_main(int argc, char **argv);

/* What it can be told, for completion: its i-th option, false behind the last; and its modes, as "fan|latency". */
struct bench_flag {
        const char *name, *help;
        bool takes_value, is_file;
};
#define BENCH_FLAGS_MAX 64
bool bench_flag(size_t i, struct bench_flag *flag);
const char *bench_modes(void);

#endif
