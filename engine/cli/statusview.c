/* statusview: rows of a label and a sentence. Text from the server is escaped: it ends up on a terminal. */
#include "engine/cli/statusview.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "engine/cli/escape.h"

/* Counters are named "name" or "name{labels}"; one name's labels are added up. */
static uint64_t counter(const json_t *counters, const char *name)
{
        uint64_t sum = 0;
        const char *key;
        json_t *value;
        json_object_foreach((json_t *)(uintptr_t)counters, key, value)
        {
                size_t size = strlen(name);
                if (strncmp(key, name, size) == 0 && (key[size] == '\0' || key[size] == '{'))
                        sum += (uint64_t)json_integer_value(value);
        }
        return sum;
}

static void print_text(FILE *out, const json_t *text)
{
        const char *value = json_string_value(text);
        escape_print(out, span_of_text(value != NULL ? value : "unknown"));
}

static void print_bytes(FILE *out, uint64_t bytes)
{
        static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
        double shown = (double)bytes;
        if (bytes < 1024) {
                fprintf(out, "%" PRIu64 " bytes", bytes);
                return;
        }
        size_t unit = 0;
        for (shown /= 1024; shown >= 1024 && unit + 1 < array_count(units); unit++)
                shown /= 1024;
        fprintf(out, "%.1f %s", shown, units[unit]);
}

static void print_uptime(FILE *out, double seconds)
{
        uint64_t left = seconds < 0 || seconds > 1e15 ? 0 : (uint64_t)seconds;
        if (left >= 86400)
                fprintf(out, "%" PRIu64 "d ", left / 86400);
        if (left >= 3600)
                fprintf(out, "%" PRIu64 "h ", left / 3600 % 24);
        if (left >= 60)
                fprintf(out, "%" PRIu64 "m ", left / 60 % 60);
        fprintf(out, "%" PRIu64 "s", left % 60);
}

static void print_label(FILE *out, const char *label)
{
        fprintf(out, "%-14s ", label);
}

static void print_backend(FILE *out, const json_t *backend)
{
        size_t i;
        json_t *feature;
        print_label(out, "backend");
        print_text(out, json_object_get(backend, "name"));
        if (json_string_length(json_object_get(backend, "reason")) > 0) {
                fputs(": ", out);
                print_text(out, json_object_get(backend, "reason"));
        }
        fputc('\n', out);
        json_array_foreach(json_object_get(backend, "features"), i, feature)
        {
                if (json_is_true(json_object_get(feature, "present")))
                        continue;
                print_label(out, "  absent");
                print_text(out, json_object_get(feature, "name"));
                fputs(" (kernel ", out);
                print_text(out, json_object_get(feature, "kernel"));
                fputs("); instead: ", out);
                print_text(out, json_object_get(feature, "fallback"));
                fputc('\n', out);
        }
}

/* "closed  5: 3 peer, 2 slow_consumer" */
static void print_closed(FILE *out, const json_t *counters)
{
        static const char start[] = "connections_closed{reason=\"";
        const char *key, *separator = ": ";
        json_t *value;
        print_label(out, "  closed");
        fprintf(out, "%" PRIu64, counter(counters, "connections_closed"));
        json_object_foreach((json_t *)(uintptr_t)counters, key, value)
        {
                if (strncmp(key, start, strlen(start)) != 0 || json_integer_value(value) == 0)
                        continue;
                const char *reason = key + strlen(start);
                fprintf(out, "%s%" JSON_INTEGER_FORMAT " ", separator, json_integer_value(value));
                escape_print(out, span_of(reason, strcspn(reason, "\"")));
                separator = ", ";
        }
        fputc('\n', out);
}

static void print_counters(FILE *out, const json_t *counters)
{
        print_label(out, "connections");
        fprintf(out, "%" PRIu64 " open, %" PRIu64 " of them clients, %" PRIu64 " accepted\n",
                counter(counters, "connections"), counter(counters, "clients"),
                counter(counters, "connections_accepted"));
        print_closed(out, counters);
        print_label(out, "subscriptions");
        fprintf(out, "%" PRIu64 " to %" PRIu64 " patterns\n", counter(counters, "subscriptions"),
                counter(counters, "patterns"));
        print_label(out, "cohorts");
        fprintf(out, "%" PRIu64 " with %" PRIu64 " members\n", counter(counters, "cohorts"),
                counter(counters, "cohort_members"));
        print_label(out, "events");
        fprintf(out, "%" PRIu64 " received, ", counter(counters, "events_received"));
        print_bytes(out, counter(counters, "event_bytes_received"));
        fprintf(out, ", %" PRIu64 " without a subscriber\n", counter(counters, "events_unmatched"));
        print_label(out, "deliveries");
        fprintf(out, "%" PRIu64 " matched, %" PRIu64 " dropped\n", counter(counters, "deliveries_matched"),
                counter(counters, "deliveries_dropped"));
        print_label(out, "memory");
        print_bytes(out, counter(counters, "stream_memory_bytes"));
        fputs(" of ", out);
        print_bytes(out, counter(counters, "stream_memory_limit_bytes"));
        fputs(" for events, ", out);
        print_bytes(out, counter(counters, "heap_bytes"));
        fputs(" of heap\n", out);
}

/* "  1   on CPU 3: 603 connections, 600 subscriptions, 15.4 MiB of 512.0 MiB for events" */
static void print_reactors(FILE *out, const json_t *reactors)
{
        static const char *const marks[] = {"", ", memory is short: impatient", ", memory is short: nobody new",
                                            ", memory is full: cutting"};
        size_t i;
        json_t *reactor;
        json_array_foreach(reactors, i, reactor)
        {
                const json_t *limit = json_object_get(reactor, "memory_limit_bytes");
                const json_t *cpu = json_object_get(reactor, "cpu");
                if (!json_is_integer(limit)) /* another version's, which does not tell of each */
                        continue;
                json_int_t mark = json_integer_value(json_object_get(reactor, "watermark"));
                fprintf(out, "  reactor %-4" JSON_INTEGER_FORMAT " ",
                        json_integer_value(json_object_get(reactor, "number")));
                if (json_is_integer(cpu))
                        fprintf(out, "on CPU %" JSON_INTEGER_FORMAT ": ", json_integer_value(cpu));
                fprintf(out, "%" JSON_INTEGER_FORMAT " connections, %" JSON_INTEGER_FORMAT " subscriptions, ",
                        json_integer_value(json_object_get(reactor, "connections")),
                        json_integer_value(json_object_get(reactor, "subscriptions")));
                print_bytes(out, (uint64_t)json_integer_value(json_object_get(reactor, "memory_used_bytes")));
                fputs(" of ", out);
                print_bytes(out, (uint64_t)json_integer_value(limit));
                fprintf(out, " for events%s\n", marks[mark < 0 || mark > 3 ? 0 : mark]);
        }
}

int statusview_print(FILE *out, struct span json)
{
        json_error_t unused;
        json_t *status = json_loadb((const char *)json.bytes, json.size, 0, &unused);
        const json_t *counters = json_object_get(status, "counters");
        if (!json_is_object(counters)) {
                json_decref(status);
                return -EPROTO;
        }
        print_label(out, "version");
        print_text(out, json_object_get(status, "version"));
        fputc('\n', out);
        print_label(out, "uptime");
        print_uptime(out, json_number_value(json_object_get(status, "uptime_seconds")));
        fputs(json_is_true(json_object_get(status, "draining")) ? ", draining\n" : "\n", out);
        if (json_is_integer(json_object_get(status, "pid"))) {
                print_label(out, "process");
                fprintf(out, "%" JSON_INTEGER_FORMAT "\n", json_integer_value(json_object_get(status, "pid")));
        }
        print_backend(out, json_object_get(status, "backend"));
        print_counters(out, counters);
        print_reactors(out, json_object_get(status, "reactors"));
        json_decref(status);
        return 0;
}
