/* command: see the header. */
#include "engine/cli/command.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cli/command_table.h"
#include "engine/exit_table.h"

extern char **environ;

#define COMMANDS_MAX 64

const struct command *command_find(const char *name, const char **nearest)
{
        const char *names[COMMANDS_MAX];
        assert(commands_count <= COMMANDS_MAX);
        *nearest = NULL;
        for (size_t i = 0; i < commands_count; i++) {
                if (strcmp(name, commands[i].name) == 0)
                        return &commands[i];
                names[i] = commands[i].name;
        }
        *nearest = options_nearest(name, names, commands_count);
        return NULL;
}

bool command_wants_help(int argc, char *const *argv, int first)
{
        for (int i = first; i < argc && strcmp(argv[i], "--") != 0; i++)
                if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
                        return true;
        return false;
}

static void print_exit_status(FILE *out)
{
        fprintf(out, "\nexit status:");
        const char *comma = "";
#define EXIT_ROW(id, code, help)                                                                                       \
        fprintf(out, "%s %d %s", comma, code, help);                                                                   \
        comma = ",";
        EXIT_TABLE(EXIT_ROW)
#undef EXIT_ROW
        fputc('\n', out);
}

static void print_environment(const struct option_row *example, FILE *out)
{
        char variable[OPTIONS_VARIABLE_BYTES];
        options_variable(example, variable);
        fprintf(out, "\nEach option can also be set in the environment: --%s as %s.\n", example->name, variable);
}

void command_print_help(const struct command *command, void *out)
{
        struct options options = {.rows = command->options->rows, .rows_count = command->options->rows_count};
        fprintf(out, "usage: spate %s%s%s\n\n", command->name, command->synopsis[0] != '\0' ? " " : "",
                command->synopsis);
        if (command->about[0] != '\0')
                fprintf(out, "%s\n", command->about);
        else
                fprintf(out, "%c%s.\n", toupper((unsigned char)command->help[0]), command->help + 1);
        if (options.rows_count > 0) {
                fputc('\n', out);
                options_print_help(&options, out);
        }
        if (command->options->in_environment)
                print_environment(&options.rows[0], out);
        print_exit_status(out);
}

void command_print_list(void *out)
{
        const char *group = "";
        fprintf(out, "usage: spate [COMMAND] [options]\n");
        for (size_t i = 0; i < commands_count; i++) {
                if (commands[i].group == NULL)
                        continue;
                if (strcmp(group, commands[i].group) != 0)
                        fprintf(out, "\n%s\n", commands[i].group);
                group = commands[i].group;
                fprintf(out, "  %-10s  %s\n", commands[i].name, commands[i].help);
        }
        fprintf(out, "\n`spate COMMAND --help` lists the options of a command.\n");
        print_exit_status(out);
}

/* ---- the environment ---- */

/* Whether the variable `entry` (NAME=value, in capitals) is an option of `set`. */
static bool set_has(const struct option_set *set, const char *entry)
{
        const char *name = entry + strlen("SPATE_");
        for (size_t i = 0; set != NULL && set->in_environment && i < set->rows_count; i++) {
                const char *at = name, *row = set->rows[i].name;
                while (*row != '\0' && *at == (*row == '-' ? '_' : toupper((unsigned char)*row)))
                        at++, row++;
                if (*row == '\0' && *at == '=')
                        return true;
        }
        return false;
}

static bool is_foreign(const struct command *command, const char *entry)
{
        if (strncmp(entry, "SPATE_", strlen("SPATE_")) != 0 || set_has(command->options, entry))
                return false;
        for (size_t i = 0; i < commands_count; i++)
                if (set_has(commands[i].options, entry))
                        return true;
        return false;
}

void command_keep_own_environment(const struct command *command)
{
        if (command->options == NULL)
                return;
        for (char **entry = environ; *entry != NULL;) {
                char name[128];
                size_t size = strcspn(*entry, "=");
                if (size < sizeof name && is_foreign(command, *entry)) {
                        memcpy(name, *entry, size);
                        name[size] = '\0';
                        unsetenv(name);
                        entry = environ; /* unsetenv() moves them */
                } else {
                        entry++;
                }
        }
}
