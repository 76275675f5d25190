/* reference: see the header. */
#include "engine/cli/reference.h"

#include <jansson.h>
#include <stdio.h>

#include "engine/cli/command_table.h"
#include "engine/cli/tell.h"
#include "engine/exit_table.h"
#include "engine/option_table.h"

static const char *const type_names[] = {
        [OPTION_BOOL] = "bool", [OPTION_COUNT] = "count", [OPTION_BYTES] = "size",    [OPTION_TIME] = "time",
        [OPTION_TEXT] = "text", [OPTION_FILE] = "file",   [OPTION_CHOICE] = "choice",
};

/* Absent where there is no such limit. */
static json_t *limit(const struct option_row *row, uint64_t number, bool is_there)
{
        char text[OPTIONS_NUMBER_BYTES];
        if (!is_there || row->type == OPTION_BOOL || row->type == OPTION_CHOICE)
                return json_null();
        options_format_number(row, number, text);
        return json_string(text);
}

static json_t *option(const struct option_row *row, bool in_environment)
{
        char variable[OPTIONS_VARIABLE_BYTES];
        options_variable(row, variable);
        return json_pack("{s:s, s:s, s:s, s:s, s:s?, s:o, s:o, s:b, s:s?, s:s?, s:b, s:s}", "name", row->name, "type",
                         type_names[row->type], "shown", options_shown(row), "default", row->value, "choices",
                         row->choices, "min", limit(row, row->min, row->max != 0 || row->min != 0), "max",
                         limit(row, row->max, row->max != 0), "is_list", row->is_list, "environment",
                         in_environment ? variable : NULL, "key", row->key, "is_live", row->when == OPTION_LIVE, "help",
                         row->help);
}

static json_t *options(const struct option_set *set)
{
        json_t *list = json_array();
        for (size_t i = 0; set != NULL && i < set->rows_count; i++)
                json_array_append_new(list, option(&set->rows[i], set->in_environment));
        return list;
}

static json_t *all_commands(void)
{
        json_t *list = json_array();
        for (const struct command *command = commands; command < commands + commands_count; command++)
                if (command->group != NULL)
                        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s?, s:b, s:o}", "name",
                                                              command->name, "group", command->group, "synopsis",
                                                              command->synopsis, "help", command->help, "about",
                                                              command->about, "words", command->words, "has_options",
                                                              command->options != NULL, "options",
                                                              options(command->options)));
        return list;
}

static json_t *environment(void)
{
        json_t *list = json_array();
#define VARIABLE(name, help) json_array_append_new(list, json_pack("{s:s, s:s}", "name", name, "help", help));
        ENVIRONMENT_TABLE(VARIABLE)
#undef VARIABLE
        return list;
}

static json_t *exit_codes(void)
{
        json_t *list = json_array();
#define CODE(id, code, help) json_array_append_new(list, json_pack("{s:i, s:s}", "code", code, "help", help));
        EXIT_TABLE(CODE)
#undef CODE
        return list;
}

int reference_main(int argc, char **argv)
{
        if (argc > 2)
                return tell_about("reference", "one argument too many,", argv[2], "it takes none");
        json_t *all = json_pack("{s:s, s:o, s:o, s:o}", "version", SPATE_VERSION, "commands", all_commands(),
                                "environment", environment(), "exit_codes", exit_codes());
        if (all == NULL)
                return tell(EXIT_FAILED, "reference", "no memory is left");
        json_dumpf(all, stdout, JSON_INDENT(1) | JSON_PRESERVE_ORDER);
        putchar('\n');
        json_decref(all);
        return tell_unwritten("reference", EXIT_OK);
}
