/* metrics: see the header. */
#include "engine/metrics.h"

#include <stdio.h>
#include <stdlib.h>

/* What is being counted may grow by some digits between two looks. */
#define GROWTH_BYTES ((size_t)20 * COUNTERS_COUNT)

static void write_info(FILE *out, const struct reactor *reactor)
{
        const struct io_traits *traits = io_traits(reactor->io);
        fprintf(out,
                "# HELP spate_build_info What is running\n# TYPE spate_build_info gauge\n"
                "spate_build_info{version=\"%s\"} 1\n"
                "# HELP spate_backend_info Who moves the bytes, and why\n# TYPE spate_backend_info gauge\n"
                "spate_backend_info{backend=\"%s\",reason=\"%s\"} 1\n",
                SPATE_VERSION, traits->name, traits->reason);
}

/* The rows of the table, summed over all reactors. */
static bool write_counters(FILE *out, const struct cores *cores)
{
        const struct counters *all[MATCH_REACTORS_MAX];
        for (unsigned i = 0; i < cores->count; i++)
                all[i] = &cores->core[i].reactor->counters;
        size_t size = counters_write_prometheus(NULL, 0, "spate", counter_rows, COUNTERS_COUNT, all, cores->count);
        size += GROWTH_BYTES;
        char *text = malloc(size);
        if (text == NULL)
                return false;
        fwrite(text, 1, counters_write_prometheus(text, size, "spate", counter_rows, COUNTERS_COUNT, all, cores->count),
               out);
        free(text);
        return true;
}

char *metrics_write(struct reactor *reactor, size_t *size)
{
        char *text = NULL;
        FILE *out = open_memstream(&text, size);
        if (out == NULL)
                return NULL;
        reactor_sample(reactor);
        write_info(out, reactor);
        bool is_whole = write_counters(out, reactor->cores);
        if (fclose(out) == 0 && is_whole)
                return text;
        free(text);
        return NULL;
}
