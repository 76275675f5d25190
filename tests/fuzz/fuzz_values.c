/* fuzz_values: what people write as one value: numbers with units, words, addresses, lists of CPUs, lag rules, flags
 * and the environment. Any text is a value or is refused in one line; what is printed of a value reads back as the
 * same.
 *
 *      byte 0   which reader
 *      byte 1…  the text, up to a NUL; flags and the environment: lines */
#include <errno.h>
#include <stdio.h>

#include "engine/cli/endpoint.h"
#include "engine/cpu.h"
#include "engine/lag.h"
#include "engine/option_table.h"
#include "io/address.h"
#include "tests/fuzz/fuzz.h"

static void read_number(const struct option_row *row, struct span text)
{
        uint64_t number, again;
        char why[OPTIONS_WHY_BYTES] = "", printed[OPTIONS_NUMBER_BYTES];
        if (options_read_word(row, text, &number, why) != 0) {
                fuzz_check_line(why);
                return;
        }
        if (row->type != OPTION_COUNT && row->type != OPTION_BYTES && row->type != OPTION_TIME)
                return;
        /* A word in the place of 0 is no number of the range. */
        bool is_word = number == 0 && row->choices != NULL;
        assert(is_word || (number >= row->min && (row->max == 0 || number <= row->max)));
        options_format_number(row, number, printed);
        assert(options_read_word(row, span_of_text(printed), &again, why) == 0 || is_word);
        assert(is_word || again == number);
}

static void read_words(struct span text)
{
        static const enum option_type types[] = {OPTION_BOOL, OPTION_COUNT, OPTION_BYTES, OPTION_TIME};
        for (size_t i = 0; i < OPTIONS_COUNT; i++)
                read_number(&option_rows[i], text);
        for (size_t i = 0; i < array_count(types); i++) {
                struct option_row row = {.name = "any", .type = types[i], .value = "0", .help = ""};
                read_number(&row, text);
        }
}

static void read_cpus(const char *text)
{
        static struct cpus cpus, same;
        char printed[CPUS_TEXT_BYTES], error[CPUS_ERROR_BYTES] = "";
        struct cpu_plan plan;
        struct cpus allowed = {.count = 3, .numbers = {0, 1, 5}};
        if (cpus_parse(&cpus, text) == 0) {
                assert(cpus.count >= 1 && cpus.count <= CPUS_MAX);
                cpus_text(&cpus, printed);
                bool is_whole = strstr(printed, "...") == NULL;
                assert(!is_whole || cpus_parse(&same, printed) == 0);
                assert(!is_whole || (same.count == cpus.count &&
                                     memcmp(same.numbers, cpus.numbers, cpus.count * sizeof cpus.numbers[0]) == 0));
        }
        if (cpu_plan(&plan, &allowed, text, 0, 64, "/nowhere", error) != 0)
                fuzz_check_line(error);
        else
                assert(plan.reactors_count >= 1 && plan.reactors_count <= 64);
}

static void read_addresses(const char *text)
{
        static const char *const schemes[] = {"nats://", "http://"};
        struct io_address address, same;
        struct endpoint endpoint, again;
        char printed[IO_ADDRESS_BYTES_MAX], error[ENDPOINT_ERROR_BYTES] = "";
        if (address_parse(text, &address) == 0) {
                io_address_text(&address, printed);
                assert(address_parse(printed, &same) == 0);
                assert(same.size == address.size && memcmp(same.bytes, address.bytes, address.size) == 0);
        }
        for (size_t i = 0; i < array_count(schemes); i++) {
                if (endpoint_parse(&endpoint, text, schemes[i], "4222", error) != 0) {
                        fuzz_check_line(error);
                        continue;
                }
                assert(endpoint.is_path ? endpoint.path[0] != '\0'
                                        : endpoint.host[0] != '\0' && endpoint.port[0] != '\0');
                assert(endpoint_parse(&again, endpoint.text, schemes[i], "4222", error) == 0);
                if (strcmp(endpoint.host, "unix") == 0)
                        continue; /* with its port it is a path */
                assert(strcmp(again.text, endpoint.text) == 0 && again.is_path == endpoint.is_path);
        }
}

static void read_lag(char *text)
{
        static struct lag_rules rules, bare;
        static const struct lag lag = {.policy = LAG_DISCONNECT, .limit_bytes = 1 << 20};
        char error[OPTIONS_ERROR_BYTES] = "";
        char *listeners = strchr(text, ';');
        if (listeners != NULL)
                *listeners++ = '\0';
        if (lag_rules_init(&rules, lag, 16 << 20, text, listeners == NULL ? "" : listeners, error) != 0) {
                fuzz_check_line(error);
                return;
        }
        assert(rules.rules_count <= LAG_RULES_MAX && rules.listeners_count <= LAG_LISTENERS_MAX);
        for (size_t i = 0; i < rules.rules_count; i++) {
                const struct lag_rule *rule = &rules.rules[i], *found = lag_rule_of(&rules, rule->pattern);
                assert(rule->lag.policy < LAG_POLICIES);
                assert(rule->lag.limit_bytes >= LAG_LIMIT_BYTES_MIN && rule->lag.limit_bytes <= 16 << 20);
                assert(found != NULL && found <= rule); /* an earlier one may cover it */
                assert((lag_policies_in_use(&rules) >> rule->lag.policy & 1) != 0);
                assert(lag_limit_bytes_min(&rules) <= rule->lag.limit_bytes);
                struct lag resolved = lag_resolve(&rules, LAG_DISCONNECT, rule->pattern);
                assert(resolved.policy == found->lag.policy && resolved.limit_bytes == found->lag.limit_bytes);
        }
        if (lag_rules_check_listeners(&rules, "127.0.0.1:4222,unix:/s", error) != 0)
                fuzz_check_line(error);
        assert(lag_rules_init(&bare, lag, 16 << 20, text, "", error) == 0 && bare.rules_count == rules.rules_count);
}

#define LINES_MAX 32

static size_t split_lines(char *text, char *lines[LINES_MAX + 1])
{
        size_t count = 0;
        for (char *line = strtok(text, "\n"); line != NULL && count < LINES_MAX; line = strtok(NULL, "\n"))
                lines[count++] = line;
        lines[count] = NULL;
        return count;
}

static void read_options(char *text, bool is_environment)
{
        char *lines[LINES_MAX + 1], error[OPTIONS_ERROR_BYTES] = "", origin[OPTIONS_ORIGIN_BYTES];
        struct options options;
        size_t count = split_lines(text, lines);
        int next = 0;
        int made = options_init(&options, option_rows, OPTIONS_COUNT);
        assert(made == 0);
        int failed = is_environment ? options_read_environment(&options, lines, NULL, error)
                                    : options_read_flags(&options, (int)count, lines, 0, &next, error);
        assert(failed == 0 || failed == -EINVAL);
        if (failed != 0)
                fuzz_check_line(error);
        assert(next >= 0 && (size_t)next <= count);
        for (size_t row = 0; row < OPTIONS_COUNT; row++) {
                assert(options_text(&options, row) != NULL);
                assert(options_origin(&options, row, 0, origin)[0] != '\0');
        }
        options_fini(&options);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct span input = span_of(data, size);
        unsigned reader = fuzz_byte(&input) % 6;
        char *text = fuzz_string(input);
        switch (reader) {
        case 0:
                read_words(input); /* with NULs, too: in a file they may stand */
                break;
        case 1:
                read_cpus(text);
                break;
        case 2:
                read_addresses(text);
                break;
        case 3:
                read_lag(text);
                break;
        default:
                read_options(text, reader == 4);
                break;
        }
        free(text);
        return 0;
}
