/* command: what `spate NAME` stands for, as a table. Finding a command, its help, "did you mean", completion and the
 * manual come from the rows; see engine/cli/command_table.h. */
#ifndef SPATE_ENGINE_CLI_COMMAND_H
#define SPATE_ENGINE_CLI_COMMAND_H

#include "engine/base/options.h"

/* The options of one command. */
struct option_set {
        const struct option_row *rows;
        size_t rows_count;
        bool in_environment; /* each can also be set as SPATE_NAME */
};

#define COMMAND_WORDS_FILES "FILE"
#define COMMAND_WORDS_COMMANDS "COMMAND"

struct command {
        const char *name;
        int (*main)(int argc, char **argv); /* argv[1] is its own name, also where only options were given */
        const char *group;                  /* under which `spate help` lists it; NULL: not listed */
        const struct option_set *options;   /* NULL: it reads its arguments and answers --help by itself */
        const char *words;    /* what its first argument can be: "bash|zsh|fish", COMMAND_WORDS_…, or NULL */
        const char *synopsis; /* behind its name: "SUBJECT [PAYLOAD] [options]" */
        const char *help;     /* one line */
        const char *about;    /* below the usage; sentences, a newline between paragraphs, or "" */
};

/* The table itself, in the order of `spate help`. */
extern const struct command commands[];
extern const size_t commands_count;

/* As completion offers it: a command that reads its arguments by itself has rows here, too. */
const struct command *command_offered(const struct command *command);

/* NULL where there is no such command; *nearest is then one of a similar name, or NULL. */
const struct command *command_find(const char *name, const char **nearest);

/* Whether argv[first..] asks for help, before any "--". */
bool command_wants_help(int argc, char *const *argv, int first);
/* Prints usage, sentences, options and exit status of a command that has options. */
void command_print_help(const struct command *command, void *out);
/* Prints all commands by group. */
void command_print_list(void *out);

/* Takes those SPATE_ names out of the environment that are options of other commands and none of `command`, so that
 * one environment can serve all of them. What is nobody's stays, to be refused by whoever reads it. */
void command_keep_own_environment(const struct command *command);

#endif
