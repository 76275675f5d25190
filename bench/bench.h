/* bench: the load generator, `spate bench`. */
#ifndef SPATE_BENCH_BENCH_H
#define SPATE_BENCH_BENCH_H

enum bench_exit { BENCH_OK = 0, BENCH_FAILED = 1, BENCH_USAGE = 2, BENCH_UNREACHABLE = 69 };

/* `argv` is what main() got; a leading word "bench" is passed over. Runs until the load is over; returns the exit code.
 */
int bench_main(int argc, char **argv);

#endif
