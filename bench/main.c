/* main: the load generator as a program of its own. */
#include "bench/bench.h"

int main(int argc, char **argv)
{
        return bench_main(argc, argv);
}
