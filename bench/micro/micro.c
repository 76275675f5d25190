/* micro: see micro.h. */
#include "bench/micro/micro.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/clock.h"

#define REPEATS_DEFAULT 15
#define REPEATS_MAX 1001
#define ONLY_MAX 16
#define OPERATIONS_MAX ((uint64_t)1 << 32)

struct options {
        uint64_t repeats;
        uint64_t operations;        /* 0: each row's own */
        const char *only[ONLY_MAX]; /* parts of names */
        size_t only_count;          /* 0: all */
        bool count;
        bool json;
        bool help;
};

struct result {
        uint64_t operations;
        double ns[REPEATS_MAX]; /* an operation, sorted in the end */
};

static int refuse(const char *option, const char *why)
{
        fprintf(stderr, "%s: %s; see --help\n", option, why);
        return -EINVAL;
}

static int number_read(const char *option, const char *text, uint64_t max, uint64_t *value)
{
        char *end;
        errno = 0;
        unsigned long long number = text == NULL ? 0 : strtoull(text, &end, 10);
        if (text == NULL || errno != 0 || *end != '\0' || end == text || text[0] == '-' || number < 1 || number > max) {
                fprintf(stderr, "%s: '%s' is not a number between 1 and %llu\n", option, text == NULL ? "" : text,
                        (unsigned long long)max);
                return -EINVAL;
        }
        *value = number;
        return 0;
}

static int options_read(struct options *options, int argc, char **argv)
{
        int failure = 0;
        *options = (struct options){.repeats = REPEATS_DEFAULT};
        for (int i = 1; i < argc && failure == 0; i++) {
                const char *option = argv[i];
                if (strcmp(option, "--count") == 0)
                        options->count = true;
                else if (strcmp(option, "--json") == 0)
                        options->json = true;
                else if (strcmp(option, "--help") == 0 || strcmp(option, "-h") == 0)
                        options->help = true;
                else if (strcmp(option, "--repeats") == 0)
                        failure = number_read(option, argv[++i], REPEATS_MAX, &options->repeats);
                else if (strcmp(option, "--operations") == 0)
                        failure = number_read(option, argv[++i], OPERATIONS_MAX, &options->operations);
                else if (strcmp(option, "--only") == 0 && i + 1 < argc && options->only_count < ONLY_MAX)
                        options->only[options->only_count++] = argv[++i];
                else
                        failure = refuse(option, "there is no such option, or its value is missing");
        }
        return failure;
}

static void help_print(const char *name)
{
        printf("usage: micro_%s [--repeats N] [--operations N] [--only PART-OF-A-NAME] [--json] [--count]\n\n"
               "  --repeats     passes of each case, told are their median and spread  [%d]\n"
               "  --operations  of one pass, in batches of %d  [each case's own]\n"
               "  --only        cases whose name has this in it; may be said several times\n"
               "  --count       one pass of a fixed size, for a tool that counts instructions (bench/micro/counts)\n"
               "  --json        one JSON object\n",
               name, REPEATS_DEFAULT, MICRO_BATCH);
}

static uint64_t in_batches(uint64_t operations)
{
        return (operations + MICRO_BATCH - 1) / MICRO_BATCH * MICRO_BATCH;
}

static bool is_wanted(const struct options *options, const struct micro_row *row)
{
        if (options->count && (row->has_threads || row->is_large))
                return false;
        bool named = options->only_count == 0;
        for (size_t i = 0; i < options->only_count; i++)
                named = named || strstr(row->name, options->only[i]) != NULL;
        return named;
}

static void prepare(const struct options *options, const struct micro_row *rows, size_t rows_count)
{
        for (size_t i = 0; i < rows_count; i++)
                if (rows[i].prepare != NULL && is_wanted(options, &rows[i]))
                        rows[i].prepare(rows[i].context);
}

static const struct micro_row *row_find(const struct micro_row *rows, size_t rows_count, const char *name)
{
        for (size_t i = 0; i < rows_count; i++)
                if (strcmp(rows[i].name, name) == 0)
                        return &rows[i];
        return NULL;
}

/* What a tool collects by this name: so it stays a function of its own, and what it calls cannot be merged into it. */
__attribute__((noinline, used)) void micro_counted(const struct micro_row *row, uint64_t operations);
void micro_counted(const struct micro_row *row, uint64_t operations)
{
        row->work(row->context, operations);
        micro_use(row);
}

static double pass_ns(const struct micro_row *row, uint64_t operations)
{
        uint64_t start_ns = row->has_threads ? clock_monotonic_ns() : clock_thread_cpu_ns();
        row->work(row->context, operations);
        uint64_t end_ns = row->has_threads ? clock_monotonic_ns() : clock_thread_cpu_ns();
        return (double)(end_ns - start_ns) / (double)operations;
}

static int by_value(const void *a, const void *b)
{
        double left = *(const double *)a;
        double right = *(const double *)b;
        return (left > right) - (left < right);
}

static void measure(const struct options *options, const struct micro_row *rows, size_t rows_count,
                    struct result *results)
{
        for (uint64_t pass = 0; pass <= options->repeats; pass++) {
                for (size_t i = 0; i < rows_count; i++) {
                        if (!is_wanted(options, &rows[i]))
                                continue;
                        uint64_t own = rows[i].operations == 0 ? MICRO_OPERATIONS : rows[i].operations;
                        results[i].operations = in_batches(options->operations == 0 ? own : options->operations);
                        double ns = pass_ns(&rows[i], results[i].operations);
                        if (pass > 0) /* the first one is for caches and pages */
                                results[i].ns[pass - 1] = ns;
                }
        }
        for (size_t i = 0; i < rows_count; i++)
                qsort(results[i].ns, options->repeats, sizeof(results[i].ns[0]), by_value);
}

static double median(const struct options *options, const struct result *result)
{
        uint64_t middle = options->repeats / 2;
        return options->repeats % 2 == 1 ? result->ns[middle] : (result->ns[middle - 1] + result->ns[middle]) / 2;
}

/* To the row beside it, when that was measured, too; else 0. */
static double ratio(const struct options *options, const struct micro_row *rows, size_t rows_count,
                    const struct result *results, size_t index)
{
        if (rows[index].beside == NULL)
                return 0;
        const struct micro_row *beside = row_find(rows, rows_count, rows[index].beside);
        assert(beside != NULL);
        double limit = is_wanted(options, beside) ? median(options, &results[beside - rows]) : 0;
        return limit > 0 ? median(options, &results[index]) / limit : 0;
}

static size_t facts_of(const struct micro_row *row, struct micro_fact *facts)
{
        return row->facts == NULL ? 0 : row->facts(row->context, facts);
}

static void table_print(const struct options *options, const char *name, const struct micro_row *rows,
                        size_t rows_count, const struct result *results)
{
        printf("%-46s %9s   %s\n", name, "ns", "least – most of all passes");
        for (size_t i = 0; i < rows_count; i++) {
                if (!is_wanted(options, &rows[i]))
                        continue;
                printf("  %-44s %9.2f   [%.2f – %.2f]", rows[i].name, median(options, &results[i]), results[i].ns[0],
                       results[i].ns[options->repeats - 1]);
                double times = ratio(options, rows, rows_count, results, i);
                if (times > 0)
                        printf("   %.2f x %s", times, rows[i].beside);
                struct micro_fact facts[MICRO_FACTS_MAX];
                for (size_t j = 0, count = facts_of(&rows[i], facts); j < count; j++)
                        printf("   %s %.2f", facts[j].name, facts[j].value);
                printf("\n");
        }
}

static void json_print(const struct options *options, const char *name, const struct micro_row *rows, size_t rows_count,
                       const struct result *results)
{
        const char *comma = "";
        printf("{\"bench\":\"%s\",\"cases\":[", name);
        for (size_t i = 0; i < rows_count; i++) {
                if (!is_wanted(options, &rows[i]))
                        continue;
                printf("%s{\"name\":\"%s\",\"operations\":%llu", comma, rows[i].name,
                       (unsigned long long)results[i].operations);
                if (!options->count)
                        printf(",\"repeats\":%llu,\"ns\":%.4f,\"ns_min\":%.4f,\"ns_max\":%.4f",
                               (unsigned long long)options->repeats, median(options, &results[i]), results[i].ns[0],
                               results[i].ns[options->repeats - 1]);
                double times = options->count ? 0 : ratio(options, rows, rows_count, results, i);
                if (times > 0)
                        printf(",\"beside\":\"%s\",\"ratio\":%.4f", rows[i].beside, times);
                struct micro_fact facts[MICRO_FACTS_MAX];
                for (size_t j = 0, facts_count = facts_of(&rows[i], facts); j < facts_count; j++)
                        printf(",\"%s\":%.4f", facts[j].name, facts[j].value);
                printf("}");
                comma = ",";
        }
        printf("]}\n");
}

static void count(const struct options *options, const struct micro_row *rows, size_t rows_count,
                  struct result *results)
{
        for (size_t i = 0; i < rows_count; i++) {
                if (!is_wanted(options, &rows[i]))
                        continue;
                results[i].operations =
                        in_batches(options->operations == 0 ? MICRO_OPERATIONS_COUNTED : options->operations);
                rows[i].work(rows[i].context, MICRO_BATCH); /* what is done only once */
                micro_counted(&rows[i], results[i].operations);
        }
}

int micro_main(int argc, char **argv, const char *name, const struct micro_row *rows, size_t rows_count)
{
        struct options options;
        assert(rows_count > 0);
        assert(rows_count <= MICRO_ROWS_MAX);
        if (options_read(&options, argc, argv) != 0)
                return 2;
        if (options.help) {
                help_print(name);
                return 0;
        }
        struct result *results = calloc(rows_count, sizeof(*results));
        if (results == NULL)
                abort();
        prepare(&options, rows, rows_count);
        if (options.count)
                count(&options, rows, rows_count, results);
        else
                measure(&options, rows, rows_count, results);
        if (options.json || options.count)
                json_print(&options, name, rows, rows_count, results);
        else
                table_print(&options, name, rows, rows_count, results);
        free(results);
        return 0;
}
