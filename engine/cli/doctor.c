/* doctor: reads facts, looks through the checks, tells. See the header. */
#include "engine/cli/doctor.h"

#include <stdio.h>
#include <string.h>

#include "engine/admin/jsontext.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/cli/checkup.h"
#include "engine/cli/escape.h"
#include "engine/config.h"
#include "engine/exit_table.h"

enum { DOCTOR_JSON = OPTIONS_COUNT, DOCTOR_TIMEOUT, DOCTOR_OPTIONS };

static const struct option_row doctor_rows[DOCTOR_OPTIONS] = {
        OPTION_TABLE(OPTION_ROW)[DOCTOR_JSON] =
                {.name = "json", .type = OPTION_BOOL, .value = "false", .max = 1, .help = "print one JSON object"},
        [DOCTOR_TIMEOUT] = {.name = "timeout",
                            .type = OPTION_TIME,
                            .value = "2s",
                            .min = NS_PER_MS,
                            .max = 600 * NS_PER_S,
                            .help = "how long a running engine may take to answer"},
};
const struct option_set doctor_options = {doctor_rows, DOCTOR_OPTIONS, true};

/* ---- telling ---- */

/* Names of processes and files hold what others chose. */
static void print_escaped(const char *label, const char *text)
{
        fputs(label, stdout);
        escape_print(stdout, span_of_text(text));
        putchar('\n');
}

static void print_text(const struct facts *facts, unsigned counts[VERDICTS])
{
        for (size_t i = 0; i < checkup_rows_count; i++) {
                struct finding finding;
                checkup_look(&checkup_rows[i], facts, &finding);
                counts[finding.verdict]++;
                printf("%s  %-14s  ", verdict_name(finding.verdict), checkup_rows[i].name);
                print_escaped("", finding.found);
                if (finding.verdict < VERDICT_WARN)
                        continue;
                print_escaped("                      why: ", checkup_rows[i].why);
                print_escaped("                      fix: ", finding.fix);
        }
        printf("\n%u passed, %u warned, %u failed, %u do not apply\n", counts[VERDICT_PASS], counts[VERDICT_WARN],
               counts[VERDICT_FAIL], counts[VERDICT_SKIP]);
}

static bool print_json(const struct facts *facts, unsigned counts[VERDICTS])
{
        json_t *rows = json_array();
        for (size_t i = 0; i < checkup_rows_count; i++) {
                struct finding finding;
                checkup_look(&checkup_rows[i], facts, &finding);
                counts[finding.verdict]++;
                json_t *row = json_object();
                json_object_set_new(row, "name", json_string(checkup_rows[i].name));
                json_object_set_new(row, "verdict", json_string(verdict_name(finding.verdict)));
                json_object_set_new(row, "found", jsontext_string(span_of_text(finding.found), false));
                json_object_set_new(row, "why", json_string(checkup_rows[i].why));
                json_object_set_new(row, "fix", jsontext_string(span_of_text(finding.fix), false));
                json_array_append_new(rows, row);
        }
        json_t *all = json_pack("{s:s,s:i,s:i,s:i,s:i,s:o}", "version", SPATE_VERSION, "passed",
                                (int)counts[VERDICT_PASS], "warned", (int)counts[VERDICT_WARN], "failed",
                                (int)counts[VERDICT_FAIL], "skipped", (int)counts[VERDICT_SKIP], "checks", rows);
        bool is_printed = all != NULL && json_dumpf(all, stdout, JSON_INDENT(2)) == 0 && putchar('\n') != EOF;
        json_decref(all);
        return is_printed;
}

static int look_and_tell(const struct settings *settings, const char *users, char error[OPTIONS_ERROR_BYTES])
{
        struct facts facts;
        unsigned counts[VERDICTS] = {0};
        bool is_printed = true;
        hostfacts_read(&facts.host, "");
        enginefacts_read(&facts.engine, settings, users, options_number(&settings->options, DOCTOR_TIMEOUT));
        if (facts.engine.cpus.is_pinned)
                hostfacts_read_cpus(&facts.host, &facts.engine.cpus.cpus, "");
        if (options_number(&settings->options, DOCTOR_JSON) != 0)
                is_printed = print_json(&facts, counts);
        else
                print_text(&facts, counts);
        enginefacts_fini(&facts.engine);
        if (fflush(stdout) != 0 || !is_printed) {
                snprintf(error, OPTIONS_ERROR_BYTES, "cannot write to standard output");
                return EXIT_FAILED;
        }
        return counts[VERDICT_FAIL] > 0 ? EXIT_FAILED : EXIT_OK;
}

int doctor_main(int argc, char **argv)
{
        struct options options;
        struct config config;
        struct settings *settings = NULL;
        struct config_sources sources = {
                .argc = argc, .argv = argv, .first = 2, .rows = doctor_rows, .rows_count = DOCTOR_OPTIONS};
        char error[OPTIONS_ERROR_BYTES] = "", file[ENGINEFACT_TEXT_BYTES];
        int next = 2, status;
        bool is_read = config_read(&options, &config, &sources, &next, error) == 0;
        snprintf(file, sizeof file, "%s", options.file != NULL ? options.file : "");
        if (!is_read) {
                status = file[0] != '\0' ? EXIT_CONFIG : EXIT_USAGE;
        } else if (next < argc) {
                snprintf(error, sizeof error,
                         "one argument too many, \"%.100s\": this command takes the options of `spate run`; see spate "
                         "doctor --help",
                         argv[next]);
                status = EXIT_USAGE;
        } else if (settings_new(&settings, &options, config_has_users(&config, &options), NULL, error) != 0) {
                status = EXIT_CONFIG;
        } else {
                const char *users = config.has_inline_users ? file : options_text(&settings->options, OPTION_USERS);
                status = look_and_tell(settings, users, error);
        }
        if (error[0] != '\0')
                fprintf(stderr, "spate doctor: %s\n", error);
        settings_free(settings);
        config_fini(&config);
        options_fini(&options);
        return status;
}
