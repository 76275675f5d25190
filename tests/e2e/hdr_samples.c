/* hdr_samples: writes a log of latencies that are known, and what they are, for bench_exports.py: on standard output a
 * line of JSON a tag, in the file named by the first argument the log. */
#include <stdio.h>
#include <stdlib.h>

#include "bench/hdr.h"

static struct latency latency;

static void sample_write(FILE *log, const char *tag)
{
        hdr_log_interval(log, tag, 0, 1, &latency);
        printf("{\"tag\":\"%s\",\"count\":%llu,\"min\":%llu,\"max\":%llu,\"p50\":%llu,\"p99\":%llu,\"p999\":%llu}\n",
               tag, (unsigned long long)latency.count, (unsigned long long)latency.smallest,
               (unsigned long long)latency.largest, (unsigned long long)latency_at(&latency, 0.5),
               (unsigned long long)latency_at(&latency, 0.99), (unsigned long long)latency_at(&latency, 0.999));
        latency = (struct latency){0};
}

int main(int argc, char **argv)
{
        FILE *log = argc == 2 ? fopen(argv[1], "w") : NULL;
        uint64_t seed = 5;
        if (log == NULL)
                return EXIT_FAILURE;
        hdr_log_begin(log, 1700000000000000000, "samples");
        sample_write(log, "empty");
        latency_record(&latency, 0);
        sample_write(log, "nothing");
        latency_record(&latency, 123456789);
        sample_write(log, "one");
        latency_record(&latency, 1);
        latency_record(&latency, UINT64_MAX);
        latency_record(&latency, LATENCY_VALUE_MAX / 3);
        sample_write(log, "huge");
        for (unsigned i = 0; i < 100000; i++) {
                seed = seed * 6364136223846793005u + 1442695040888963407u;
                latency_record(&latency, seed >> (18 + (seed >> 5) % 44));
        }
        sample_write(log, "wide");
        latency_record(&latency, 70);
        latency.buckets[70] = latency.count = 5000000000; /* more than 32 bits hold */
        sample_write(log, "many");
        return fclose(log) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
