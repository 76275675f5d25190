/* metrics: see the header. */
#include "engine/admin/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/admin/process.h"
#include "engine/base/memstream.h"

static void write_head(FILE *out, const char *name, const char *kind, const char *help)
{
        fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind);
}

static void write_seconds(FILE *out, uint64_t ns)
{
        fprintf(out, " %" PRIu64 ".%09" PRIu64 "\n", ns / NS_PER_S, ns % NS_PER_S);
}

/* In a label's value three characters are escaped. */
static void write_label(FILE *out, const char *name, const char *value)
{
        fprintf(out, "%s=\"", name);
        for (; *value != '\0'; value++) {
                if (*value == '\n')
                        fputs("\\n", out);
                else if (*value == '"' || *value == '\\')
                        fprintf(out, "\\%c", *value);
                else
                        fputc(*value, out);
        }
        fputc('"', out);
}

static void write_info(FILE *out, const struct reactor *reactor)
{
        const struct io_traits *traits = io_traits(reactor->io);
        write_head(out, "spate_build_info", "gauge", "What is running");
        fputs("spate_build_info{version=\"" SPATE_VERSION "\"} 1\n", out);
        write_head(out, "spate_backend_info", "gauge", "Who moves the bytes, and why");
        fputs("spate_backend_info{", out);
        write_label(out, "backend", traits->name);
        fputc(',', out);
        write_label(out, "reason", traits->reason);
        fputs("} 1\n", out);
}

/* ---- the process, under the names that every client library uses ---- */

static void write_whole(FILE *out, const char *name, const char *help, uint64_t value)
{
        write_head(out, name, "gauge", help);
        fprintf(out, "%s %" PRIu64 "\n", name, value);
}

static void write_process(FILE *out, const struct reactor *reactor)
{
        struct process_facts facts;
        process_look(&facts);
        write_head(out, "process_cpu_seconds_total", "counter", "CPU time spent, in user space and in the kernel");
        fputs("process_cpu_seconds_total", out);
        write_seconds(out, facts.cpu_ns);
        write_head(out, "process_start_time_seconds", "gauge", "When the process started, since 1970");
        fputs("process_start_time_seconds", out);
        write_seconds(out, reactor->started_unix_ns);
        if (facts.virtual_bytes > 0) {
                write_whole(out, "process_virtual_memory_bytes", "Address space, most of it only set aside",
                            facts.virtual_bytes);
                write_whole(out, "process_resident_memory_bytes", "Memory in use", facts.resident_bytes);
        }
        if (facts.descriptors_count >= 0)
                write_whole(out, "process_open_fds", "File descriptors in use", (uint64_t)facts.descriptors_count);
        if (facts.descriptors_max > 0)
                write_whole(out, "process_max_fds", "File descriptors that it may have", facts.descriptors_max);
}

/* ---- each reactor ---- */

static const struct reactor_row {
        const char *name, *help;
        enum counter_id id;
        enum counter_kind kind;
} reactor_rows[] = {
        {"spate_reactor_turns_total", "Turns of each reactor", COUNT_TURNS, COUNTER_TOTAL},
        {"spate_reactor_events_received_total", "Events that publishers sent to each reactor", COUNT_EVENTS_RECEIVED,
         COUNTER_TOTAL},
        {"spate_reactor_deliveries_released_total", "Deliveries that the network took from each reactor",
         COUNT_DELIVERIES_RELEASED, COUNTER_TOTAL},
        {"spate_reactor_bytes_sent_total", "Bytes that the network took from each reactor", COUNT_BYTES_SENT,
         COUNTER_TOTAL},
        {"spate_reactor_connections", "Connections open now on each reactor", COUNT_CONNECTIONS, COUNTER_GAUGE},
        {"spate_reactor_stream_memory_bytes", "Memory of stream chunks and kept input in use now on each reactor",
         COUNT_STREAM_BYTES, COUNTER_GAUGE},
        {"spate_reactor_stream_memory_limit_bytes", "Memory set aside for that on each reactor", COUNT_STREAM_BYTES_MAX,
         COUNTER_GAUGE},
        {"spate_reactor_memory_watermark",
         "Step of memory use of each reactor: 0 calm, 1 impatient, 2 nobody new, 3 cutting", COUNT_WATERMARK,
         COUNTER_GAUGE},
};

static void write_reactors(FILE *out, const struct cores *cores)
{
        for (size_t i = 0; i < array_count(reactor_rows); i++) {
                const struct reactor_row *row = &reactor_rows[i];
                write_head(out, row->name, row->kind == COUNTER_TOTAL ? "counter" : "gauge", row->help);
                for (unsigned n = 0; n < cores->count; n++)
                        fprintf(out, "%s{reactor=\"%u\"} %" PRIu64 "\n", row->name, n,
                                counter_read(&cores->core[n].reactor->counters, row->id));
        }
}

static void write_times(FILE *out, const struct cores *cores)
{
        struct pulse_times times[MATCH_REACTORS_MAX];
        for (unsigned n = 0; n < cores->count; n++)
                times[n] = pulse_times(&cores->core[n].reactor->pulse);
        write_head(out, "spate_reactor_busy_seconds_total", "counter",
                   "Time that each reactor was not asleep: on a CPU, or waiting for one that others had");
        for (unsigned n = 0; n < cores->count; n++) {
                fprintf(out, "spate_reactor_busy_seconds_total{reactor=\"%u\"}", n);
                write_seconds(out, times[n].busy_ns);
        }
        write_head(out, "spate_reactor_cpu_seconds_total", "counter", "CPU time of each reactor");
        for (unsigned n = 0; n < cores->count; n++) {
                fprintf(out, "spate_reactor_cpu_seconds_total{reactor=\"%u\"}", n);
                write_seconds(out, times[n].cpu_ns);
        }
}

static void write_turns(FILE *out, const struct cores *cores)
{
        static const char *const bounds[] = {
#define BOUND(ns, text) text,
                PULSE_BUCKETS_TABLE(BOUND)
#undef BOUND
                        "+Inf"};
        write_head(out, "spate_turn_seconds", "histogram",
                   "How long turns took, without sleep: for so long nobody's input was looked at");
        for (unsigned n = 0; n < cores->count; n++) {
                const struct counters *values = &cores->core[n].reactor->pulse.values;
                uint64_t count = 0;
                for (size_t i = 0; i < PULSE_BUCKETS; i++) {
                        count += counter_read(values, i);
                        fprintf(out, "spate_turn_seconds_bucket{reactor=\"%u\",le=\"%s\"} %" PRIu64 "\n", n, bounds[i],
                                count);
                }
                fprintf(out, "spate_turn_seconds_sum{reactor=\"%u\"}", n);
                write_seconds(out, counter_read(values, PULSE_TURN_NS));
                fprintf(out, "spate_turn_seconds_count{reactor=\"%u\"} %" PRIu64 "\n", n, count);
        }
}

/* ---- the table of counters ---- */

/* What is being counted may grow by some digits between two looks. */
#define GROWTH_BYTES ((size_t)20 * COUNTERS_COUNT)

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
        struct memstream stream;
        if (memstream_open(&stream) != 0)
                return NULL;
        FILE *out = stream.out;
        reactor_sample(reactor);
        write_info(out, reactor);
        bool is_whole = write_counters(out, reactor->cores);
        write_whole(out, "spate_clients_limit", "How many clients may be here at once", reactor->settings.conns_max);
        write_reactors(out, reactor->cores);
        write_times(out, reactor->cores);
        write_turns(out, reactor->cores);
        write_process(out, reactor);
        char *text = memstream_close(&stream, size);
        if (is_whole)
                return text;
        free(text);
        return NULL;
}
