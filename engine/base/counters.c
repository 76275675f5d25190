/* counters: the arrays, and the text that Prometheus reads (exposition format 0.0.4):
 *
 *      # HELP spate_events_received_total Events taken from publishers
 *      # TYPE spate_events_received_total counter
 *      spate_events_received_total 123
 *
 * An array begins and ends on a boundary of two cache lines: processors fetch lines in pairs, and what a neighbour
 * writes must not take ours away. */
#include "engine/base/counters.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/bits.h"

#define ARRAY_ALIGNMENT ((size_t)2 * CACHE_LINE)

int counters_init(struct counters *counters, size_t count)
{
        memset(counters, 0, sizeof(*counters));
        if (count > SIZE_MAX / 2 / sizeof(*counters->values))
                return -ENOMEM;
        size_t size = bits_align_up((count > 0 ? count : 1) * sizeof(*counters->values), ARRAY_ALIGNMENT);
        counters->values = aligned_alloc(ARRAY_ALIGNMENT, size);
        if (counters->values == NULL)
                return -ENOMEM;
        counters->count = count;
        for (size_t i = 0; i < count; i++)
                atomic_init(&counters->values[i], 0);
        return 0;
}

void counters_fini(struct counters *counters)
{
        free(counters->values);
        memset(counters, 0, sizeof(*counters));
}

/* Where the text goes; counts on when the room is spent. */
struct writer {
        char *out;
        size_t out_size;
        size_t size;
};

static void put_bytes(struct writer *writer, const char *bytes, size_t size)
{
        if (writer->size < writer->out_size) {
                size_t room = writer->out_size - writer->size;
                memcpy(writer->out + writer->size, bytes, size < room ? size : room);
        }
        writer->size += size;
}

static void put(struct writer *writer, const char *text)
{
        put_bytes(writer, text, strlen(text));
}

static void put_name(struct writer *writer, const char *prefix, const struct counter_row *row)
{
        put(writer, prefix);
        put(writer, "_");
        put(writer, row->name);
        if (row->kind == COUNTER_TOTAL)
                put(writer, "_total");
}

/* In a HELP line only these two are escaped; quotes are not. */
static void put_help(struct writer *writer, const char *help)
{
        for (; *help != '\0'; help++) {
                if (*help == '\\')
                        put(writer, "\\\\");
                else if (*help == '\n')
                        put(writer, "\\n");
                else
                        put_bytes(writer, help, 1);
        }
}

static void put_head(struct writer *writer, const char *prefix, const struct counter_row *row)
{
        put(writer, "# HELP ");
        put_name(writer, prefix, row);
        put(writer, " ");
        put_help(writer, row->help);
        put(writer, "\n# TYPE ");
        put_name(writer, prefix, row);
        put(writer, row->kind == COUNTER_TOTAL ? " counter\n" : " gauge\n");
}

static void put_value(struct writer *writer, const char *prefix, const struct counter_row *row, uint64_t value)
{
        char digits[24];
        put_name(writer, prefix, row);
        if (row->labels[0] != '\0') {
                put(writer, "{");
                put(writer, row->labels);
                put(writer, "}");
        }
        int digits_size = snprintf(digits, sizeof(digits), " %" PRIu64 "\n", value);
        put_bytes(writer, digits, (size_t)digits_size);
}

size_t counters_write_prometheus(char *out, size_t out_size, const char *prefix, const struct counter_row *rows,
                                 size_t rows_count, const struct counters *const *counters, size_t counters_count)
{
        struct writer writer = {.out = out, .out_size = out_size};
        for (size_t row = 0; row < rows_count; row++) {
                uint64_t sum = 0;
                for (size_t i = 0; i < counters_count; i++)
                        sum += counter_read(counters[i], row);
                if (row == 0 || strcmp(rows[row].name, rows[row - 1].name) != 0)
                        put_head(&writer, prefix, &rows[row]);
                put_value(&writer, prefix, &rows[row], sum);
        }
        if (writer.size < out_size)
                out[writer.size] = '\0';
        return writer.size;
}
