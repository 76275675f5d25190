/* configview: see the header. What is printed comes from the option rows, as what is read does, so that defaults that
 * are read back give the defaults. */
#include "engine/cli/configview.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/cli/tell.h"
#include "engine/config.h"
#include "engine/exit_table.h"
#include "engine/settings.h"

/* Everything that a start would look at. */
struct outlook {
        struct options options; /* until they are the settings' */
        struct config config;
        struct settings *settings;
        struct permission_sets sets;
        struct users *users; /* NULL: everyone on loopback may come in */
};

static void outlook_fini(struct outlook *outlook)
{
        users_free(outlook->users);
        permission_sets_fini(&outlook->sets);
        settings_free(outlook->settings);
        config_fini(&outlook->config);
        options_fini(&outlook->options);
}

/* The exit status; what is not EXIT_OK is told. */
static int outlook_init(struct outlook *outlook, const char *command, const struct config_sources *sources)
{
        char error[OPTIONS_ERROR_BYTES] = "";
        int next, failed = permission_sets_init(&outlook->sets, 0), status = EXIT_CONFIG;
        if (failed == 0)
                failed = config_read(&outlook->options, &outlook->config, sources, &next, error);
        if (failed != 0 && outlook->options.file == NULL)
                status = EXIT_USAGE;
        if (failed == 0 && next < sources->argc) {
                snprintf(error, sizeof error,
                         "`spate %s` takes only options, not \"%s\"; a file is named with --config FILE", command,
                         sources->argv[next]);
                failed = -EINVAL;
                status = EXIT_USAGE;
        }
        bool has_users = failed == 0 && config_has_users(&outlook->config, &outlook->options);
        if (failed == 0)
                failed = settings_new(&outlook->settings, &outlook->options, has_users, NULL, error);
        if (failed == 0 && has_users) {
                struct users_context context = {.listeners = outlook->settings->listeners.names,
                                                .listeners_count = outlook->settings->listeners.count,
                                                .sets = &outlook->sets};
                failed = config_users(&outlook->config, &outlook->settings->options, &context, &outlook->users, error);
        }
        if (failed == 0)
                return EXIT_OK;
        fprintf(stderr, "spate: %s\n", error[0] != '\0' ? error : strerror(-failed));
        return status;
}

/* ---- check ---- */

int check_main(int argc, char **argv)
{
        struct outlook outlook = {0};
        struct config_sources sources = {
                .argc = argc, .argv = argv, .first = 2, .rows = option_rows, .rows_count = OPTIONS_COUNT};
        int status = outlook_init(&outlook, "check", &sources);
        if (status == EXIT_OK) {
                const struct settings *settings = outlook.settings;
                const char *file = settings->options.file;
                settings_log_doubts(settings);
                printf("ok: %s: %zu listener%s, %u reactor%s, ", file != NULL ? file : "no file",
                       settings->listeners.count, settings->listeners.count > 1 ? "s" : "",
                       settings->cpus.reactors_count, settings->cpus.reactors_count > 1 ? "s" : "");
                if (outlook.users != NULL)
                        printf("%zu users and tokens\n", users_count(outlook.users));
                else
                        printf("no users\n");
        }
        outlook_fini(&outlook);
        return tell_unwritten("check", status);
}

/* ---- config show and diff ---- */

static const char *const source_names[] = {[OPTION_FROM_DEFAULT] = "default",
                                           [OPTION_FROM_FILE] = "file",
                                           [OPTION_FROM_ENVIRONMENT] = "environment",
                                           [OPTION_FROM_FLAG] = "flag"};

/* What stands in the file, but for what only flags have: the file's own name. */
static const char *row_key(size_t row)
{
        return option_rows[row].key != NULL ? option_rows[row].key : option_rows[row].name;
}

/* What "auto" comes to, or "". */
static const char *effective(const struct settings *settings, size_t row, char out[OPTIONS_WHY_BYTES])
{
        const struct option_row *of = &option_rows[row];
        out[0] = '\0';
        if (strcmp(options_text(&settings->options, row), "auto") != 0)
                return out;
        switch (row) {
        case OPTION_REACTORS:
                options_format_number(of, settings->cpus.reactors_count, out);
                break;
        case OPTION_CPUS:
                if (settings->cpus.is_pinned)
                        cpus_text(&settings->cpus.cpus, out);
                else
                        snprintf(out, OPTIONS_WHY_BYTES, "none");
                break;
        case OPTION_MEMORY:
                options_format_number(of, settings->reactor.memory_bytes * settings->cpus.reactors_count, out);
                break;
        case OPTION_MAILBOX:
                options_format_number(of, settings->mailbox_bytes, out);
                break;
        case OPTION_MAX_LAG:
                options_format_number(of, settings->reactor.lag_bytes_max, out);
                break;
        default:
                break;
        }
        return out;
}

static bool is_default(const struct options *options, size_t row)
{
        return strcmp(options_text(options, row), option_rows[row].value) == 0;
}

static void print_rows(const struct outlook *outlook, bool only_changed)
{
        const struct options *options = &outlook->settings->options;
        if (outlook->config.has_inline_users)
                printf("%-36s %-28s %s\n", "auth.users", "inline", options->file);
        for (size_t row = 0; row < OPTIONS_COUNT; row++) {
                char origin[OPTIONS_ORIGIN_BYTES], amounts[OPTIONS_WHY_BYTES], value[OPTIONS_ERROR_BYTES];
                const char *text = options_text(options, row);
                if (only_changed && (option_rows[row].key == NULL || is_default(options, row)))
                        continue;
                effective(outlook->settings, row, amounts);
                snprintf(value, sizeof value, "%s%s%s%s", text[0] != '\0' ? text : "(none)",
                         amounts[0] != '\0' ? " (" : "", amounts, amounts[0] != '\0' ? ")" : "");
                options_origin(options, row, 0, origin);
                if (only_changed)
                        printf("%-36s %s -> %s  %s\n", row_key(row),
                               option_rows[row].value[0] != '\0' ? option_rows[row].value : "(none)", value, origin);
                else
                        printf("%-36s %-28s %s\n", row_key(row), value, origin);
        }
}

static int print_json(const struct outlook *outlook, bool only_changed)
{
        const struct options *options = &outlook->settings->options;
        json_t *rows = json_array();
        for (size_t row = 0; row < OPTIONS_COUNT; row++) {
                const struct option_row *of = &option_rows[row];
                char origin[OPTIONS_ORIGIN_BYTES], amounts[OPTIONS_WHY_BYTES];
                if (only_changed && (of->key == NULL || is_default(options, row)))
                        continue;
                json_t *json = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:b}", "key", row_key(row), "option", of->name,
                                         "value", options_text(options, row), "default", of->value, "source",
                                         source_names[options->values[row].source], "origin",
                                         options_origin(options, row, 0, origin), "live", of->when == OPTION_LIVE);
                if (of->type == OPTION_COUNT || of->type == OPTION_BYTES || of->type == OPTION_TIME)
                        json_object_set_new(json,
                                            of->type == OPTION_TIME    ? "nanoseconds"
                                            : of->type == OPTION_BYTES ? "bytes"
                                                                       : "number",
                                            json_integer((json_int_t)options_number(options, row)));
                if (effective(outlook->settings, row, amounts)[0] != '\0')
                        json_object_set_new(json, "effective", json_string(amounts));
                json_array_append_new(rows, json);
        }
        json_t *all = json_pack("{s:s?, s:b, s:o}", "file", options->file, "inline_users",
                                outlook->config.has_inline_users, "options", rows);
        if (all == NULL)
                return tell(EXIT_FAILED, "config", "no memory is left");
        json_dumpf(all, stdout, JSON_INDENT(2)); /* what cannot be written is told in the end */
        printf("\n");
        json_decref(all);
        return EXIT_OK;
}

enum { SHOW_JSON = OPTIONS_COUNT, SHOW_OPTIONS };

static const struct option_row show_rows[SHOW_OPTIONS] = {
        OPTION_TABLE(OPTION_ROW)[SHOW_JSON] =
                {.name = "json", .type = OPTION_BOOL, .value = "false", .max = 1, .help = "print JSON"},
};
const struct option_set config_options = {show_rows, SHOW_OPTIONS, true};

static int config_show(int argc, char **argv, bool only_changed)
{
        struct outlook outlook = {0};
        struct config_sources sources = {
                .argc = argc, .argv = argv, .first = 3, .rows = show_rows, .rows_count = SHOW_OPTIONS};
        int status = outlook_init(&outlook, only_changed ? "config diff" : "config show", &sources);
        if (status == EXIT_OK && options_number(&outlook.settings->options, SHOW_JSON) != 0)
                status = print_json(&outlook, only_changed);
        else if (status == EXIT_OK)
                print_rows(&outlook, only_changed);
        outlook_fini(&outlook);
        return status;
}

/* ---- config defaults ---- */

#define COMMENT_COLUMNS 118

/* "# words", broken between them. */
static void print_comment(const char *indent, const char *text)
{
        size_t used = 0;
        while (*text != '\0') {
                size_t size = strcspn(text, " ");
                if (used > 0 && used + 1 + size > COMMENT_COLUMNS) {
                        printf("\n");
                        used = 0;
                }
                used += (size_t)(used == 0 ? printf("%s# %.*s", indent, (int)size, text)
                                           : printf(" %.*s", (int)size, text));
                text += size + (text[size] == ' ');
        }
        printf("\n");
}

static void print_key_comment(const char *indent, const struct option_row *row)
{
        char allowed[OPTIONS_WHY_BYTES] = "", text[OPTIONS_ERROR_BYTES];
        if (row->type != OPTION_TEXT && row->type != OPTION_FILE)
                options_allowed(row, allowed);
        snprintf(text, sizeof text, "%s%s%s%s", row->help, allowed[0] != '\0' ? "; " : "", allowed,
                 row->when == OPTION_LIVE ? "" : " (only at start)");
        print_comment(indent, text);
}

static void print_section(const char *name, size_t name_size)
{
        printf("\n%.*s:\n", (int)name_size, name);
        for (size_t row = 0; row < OPTIONS_COUNT; row++) {
                const struct option_row *of = &option_rows[row];
                if (of->key == NULL || strncmp(of->key, name, name_size) != 0 || of->key[name_size] != '.')
                        continue;
                const char *key = of->key + name_size + 1;
                print_key_comment("  ", of);
                if (row == OPTION_LAG_RULE)
                        printf("  # {pattern: telemetry.>, policy: drop-oldest, limit: 1MiB}; the limit may be absent\n"
                               "  %s: []\n",
                               key);
                else if (of->value[0] == '\0')
                        printf("  # %s: /etc/spate/%s.yaml\n", key, of->name);
                else
                        printf("  %s: %s\n", key, of->value);
        }
}

static bool is_first_of_section(size_t row, size_t size)
{
        for (size_t before = 0; before < row; before++)
                if (option_rows[before].key != NULL &&
                    strncmp(option_rows[before].key, option_rows[row].key, size) == 0 &&
                    option_rows[before].key[size] == '.')
                        return false;
        return true;
}

static int config_defaults(void)
{
        printf("# spate's configuration, with every option at its default. Whatever is left out has it as well.\n"
               "# Precedence: flag (--max-payload) > environment (SPATE_MAX_PAYLOAD) > this file > default.\n"
               "# Try it with `spate check --config FILE`. SIGHUP reads it again: all of it is taken up or nothing, "
               "and\n"
               "# what is marked \"only at start\" must not have changed.\n"
               "# Sizes are written 4096, 64KiB, 1MiB or 2GiB; times 100ms, 5s, 2m, 1h, a bare number is seconds; "
               "counts "
               "500, 10k, 2M.\n"
               "version: 1\n");
        for (size_t row = 0; row < OPTIONS_COUNT; row++) {
                const struct option_row *of = &option_rows[row];
                const char *dot = of->key == NULL ? NULL : strchr(of->key, '.');
                if (of->key == NULL || row == OPTION_LAG_LISTENER)
                        continue;
                if (row == OPTION_LISTEN) {
                        printf("\n");
                        print_key_comment("", of);
                        printf("# one that has a lag policy of its own: {address: %s, lag_policy: block}\n%s:\n  - "
                               "%s\n",
                               of->value, of->key, of->value);
                } else if (dot == NULL) {
                        printf("\n");
                        print_key_comment("", of);
                        printf("%s: %s\n", of->key, of->value);
                } else if (is_first_of_section(row, (size_t)(dot - of->key))) {
                        print_section(of->key, (size_t)(dot - of->key));
                }
        }
        return EXIT_OK;
}

/* ---- config ---- */

static const char config_usage[] =
        "usage: spate config show [--json] [options of spate run]   every option, its value and where that is from\n"
        "       spate config diff [--json] [options of spate run]   those that are not at their default\n"
        "       spate config defaults                               a commented file with all defaults\n";

int config_main(int argc, char **argv)
{
        static const char *const names[] = {"show", "diff", "defaults"};
        const char *asked = argc > 2 ? argv[2] : "";
        if (strcmp(asked, "show") == 0)
                return tell_unwritten("config", config_show(argc, argv, false));
        if (strcmp(asked, "diff") == 0)
                return tell_unwritten("config", config_show(argc, argv, true));
        if (strcmp(asked, "defaults") == 0 && argc == 3)
                return tell_unwritten("config", config_defaults());
        const char *near = options_nearest(asked, names, array_count(names));
        if (near != NULL && strcmp(near, asked) != 0)
                fprintf(stderr, "spate: there is no `spate config %s`: did you mean \"%s\"?\n", asked, near);
        else
                fprintf(stderr, "%s", config_usage);
        return EXIT_USAGE;
}
