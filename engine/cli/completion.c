/* completion: the scripts know all that the tables know and ask nobody at the keyboard's side: no engine has to run,
 * and a completion takes no new process. Each shell has a fixed part and rows that are printed between. See the header.
 */
#include "engine/cli/completion.h"

#include <stdio.h>
#include <string.h>

#include "engine/cli/command.h"
#include "engine/cli/tell.h"
#include "engine/exit_table.h"

/* ---- what all shells ask of the rows ---- */

static bool takes_value(const struct option_row *row)
{
        return row->type != OPTION_BOOL;
}

/* The words that a value may be, as "a|b|c"; NULL: not such a value. */
static const char *words_of(const struct option_row *row)
{
        return row->type == OPTION_BOOL ? "true|false" : row->choices;
}

/* Prints `words` ("a|b|c", or "COMMAND") with `separator` between. */
static void print_words(const char *words, char separator)
{
        if (words == NULL)
                return;
        if (strcmp(words, COMMAND_WORDS_COMMANDS) == 0) {
                for (size_t i = 0; i < commands_count; i++)
                        if (commands[i].group != NULL)
                                printf("%s%c", commands[i].name, separator);
                return;
        }
        for (; *words != '\0'; words++)
                putchar(*words == '|' ? separator : *words);
        putchar(separator);
}

/* Text within '…', with a backslash in front of each of `escaped`. The quotes themselves end and begin again, but fish
 * escapes them. */
static void print_quoted(const char *text, const char *escaped, const char *quote)
{
        for (; *text != '\0'; text++) {
                if (*text == '\'')
                        fputs(quote, stdout);
                else if (strchr(escaped, *text) != NULL)
                        printf("\\%c", *text);
                else
                        putchar(*text);
        }
}

static const struct option_row *rows_begin(const struct command *command)
{
        return command->options != NULL ? command->options->rows : NULL;
}

static const struct option_row *rows_end(const struct command *command)
{
        const struct option_row *rows = rows_begin(command);
        return rows != NULL ? rows + command->options->rows_count : NULL;
}

/* ---- bash ---- */

static const char bash_head[] =
        "# spate: completion for bash. Made by `spate completion bash`; load it with\n"
        "#   source <(spate completion bash)\n"
        "# or put it into /usr/share/bash-completion/completions/spate.\n"
        "_spate() {\n"
        "        local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command=run first=1\n"
        "        local equals='' placed=0 i word flags='' valued='' words=''\n"
        "        COMPREPLY=()\n"
        "        # Bash cuts --name=value into three words.\n"
        "        if [[ $cur == '=' ]]; then\n"
        "                cur='' equals='='\n"
        "        elif [[ $prev == '=' ]] && ((COMP_CWORD > 1)); then\n"
        "                prev=${COMP_WORDS[COMP_CWORD-2]} equals='='\n"
        "        fi\n";

static const char bash_middle[] =
        "        esac\n"
        "        # How many arguments that are no options stand before.\n"
        "        for ((i = first; i < COMP_CWORD; i++)); do\n"
        "                word=${COMP_WORDS[i]}\n"
        "                case $word in\n"
        "                --) placed=99 prev='' && break ;;\n"
        "                '=') ((i++)) ;;\n"
        "                -*) [[ \" $valued\" == *\" $word \"* && ${COMP_WORDS[i+1]} != '=' ]] && ((i++)) ;;\n"
        "                *) ((placed++)) ;;\n"
        "                esac\n"
        "        done\n"
        "        case $command:$prev$equals in\n";

static const char bash_tail[] = "        esac\n"
                                "        if [[ $cur == -* ]] && ((placed < 99)); then\n"
                                "                COMPREPLY=($(compgen -W \"$flags --help\" -- \"$cur\"))\n"
                                "        elif ((placed == 0)) && [[ $words == 'FILE ' ]]; then\n"
                                "                compopt -o filenames 2>/dev/null\n"
                                "                COMPREPLY=($(compgen -f -- \"$cur\"))\n"
                                "        elif ((placed == 0)); then\n"
                                "                COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
                                "        fi\n"
                                "}\n"
                                "complete -F _spate spate\n";

static void bash_flags(const struct command *command)
{
        printf("        %s)\n                flags='", command->name);
        for (const struct option_row *row = rows_begin(command); row != rows_end(command); row++)
                printf(takes_value(row) ? "--%s " : "--%s --no-%s ", row->name, row->name);
        printf("'\n                valued='");
        for (const struct option_row *row = rows_begin(command); row != rows_end(command); row++)
                if (takes_value(row))
                        printf("--%s ", row->name);
        printf("'\n                words='");
        print_words(command->words, ' ');
        printf("'\n                ;;\n");
}

/* A switch takes a value behind = only. */
static void bash_values(const struct command *command)
{
        for (const struct option_row *row = rows_begin(command); row != rows_end(command); row++) {
                const char *words = words_of(row);
                if (takes_value(row))
                        printf("        %s:--%s | ", command->name, row->name);
                else
                        printf("        ");
                printf("%s:--%s=) ", command->name, row->name);
                if (row->type == OPTION_FILE)
                        printf("compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- \"$cur\")); ");
                if (words != NULL) {
                        printf("COMPREPLY=($(compgen -W '");
                        print_words(words, ' ');
                        printf("' -- \"$cur\")); ");
                }
                printf("return ;;\n");
        }
}

static void print_bash(void)
{
        fputs(bash_head, stdout);
        printf("        if ((COMP_CWORD > 1)) && [[ ${COMP_WORDS[1]} != -* ]]; then\n"
               "                command=${COMP_WORDS[1]} first=2\n"
               "        elif ((COMP_CWORD == 1)) && [[ $cur != -* ]]; then\n"
               "                COMPREPLY=($(compgen -W '");
        print_words(COMMAND_WORDS_COMMANDS, ' ');
        printf("' -- \"$cur\"))\n"
               "                return\n"
               "        fi\n"
               "        case $command in\n");
        for (const struct command *command = commands; command < commands + commands_count; command++)
                if (command->group != NULL)
                        bash_flags(command_offered(command));
        fputs(bash_middle, stdout);
        for (const struct command *command = commands; command < commands + commands_count; command++)
                if (command->group != NULL)
                        bash_values(command_offered(command));
        fputs(bash_tail, stdout);
}

/* ---- zsh ---- */

/* In _arguments, brackets and colons have a meaning of their own. */
static void zsh_option(const struct option_row *row)
{
        const char *words = words_of(row);
        printf("                '%s--%s%s[", row->is_list ? "*" : "", row->name, takes_value(row) ? "=" : "");
        print_quoted(row->help, "[]:\\", "'\\''");
        printf("]%s", takes_value(row) ? ":" : "");
        if (takes_value(row)) {
                printf("%s:", row->type == OPTION_CHOICE ? "word" : options_shown(row));
                if (row->type == OPTION_FILE)
                        printf("_files");
                else if (words != NULL) {
                        printf("(");
                        print_words(words, ' ');
                        printf(")");
                }
        }
        printf("' \\\n");
        if (!takes_value(row))
                printf("                '--no-%s[the opposite of --%s]' \\\n", row->name, row->name);
}

static void zsh_command(const struct command *command)
{
        printf("        %s)\n                _arguments -S \\\n", command->name);
        for (const struct option_row *row = rows_begin(command); row != rows_end(command); row++)
                zsh_option(row);
        printf("                '(- *)'{-h,--help}'[list the options]' \\\n                ");
        if (command->words == NULL) {
                printf("'*:argument:'\n");
        } else if (strcmp(command->words, COMMAND_WORDS_FILES) == 0) {
                printf("'1:file:_files' '*:argument:'\n");
        } else {
                printf("'1:word:(");
                print_words(command->words, ' ');
                printf(")' '*:argument:'\n");
        }
        printf("                ;;\n");
}

static void print_zsh(void)
{
        printf("#compdef spate\n"
               "# spate: completion for zsh. Made by `spate completion zsh`; put it as _spate into a folder of "
               "$fpath.\n"
               "_spate() {\n"
               "        local -a commands\n"
               "        commands=(\n");
        for (const struct command *command = commands; command < commands + commands_count; command++)
                if (command->group != NULL) {
                        printf("                '%s:", command->name);
                        print_quoted(command->help, ":\\", "'\\''");
                        printf("'\n");
                }
        printf("        )\n"
               "        if ((CURRENT == 2)) && [[ $words[2] != -* ]]; then\n"
               "                _describe -t commands command commands\n"
               "                return\n"
               "        fi\n"
               "        local command=run\n"
               "        if [[ $words[2] != -* ]]; then\n"
               "                command=$words[2]\n"
               "                shift words\n"
               "                ((CURRENT--))\n"
               "        fi\n"
               "        case $command in\n");
        for (const struct command *command = commands; command < commands + commands_count; command++)
                if (command->group != NULL)
                        zsh_command(command_offered(command));
        printf("        esac\n"
               "}\n"
               "if [[ $funcstack[1] == _spate ]]; then\n"
               "        _spate \"$@\"\n"
               "else\n"
               "        compdef _spate spate\n"
               "fi\n");
}

/* ---- fish ---- */

static void fish_help(const char *help)
{
        printf(" -d '");
        print_quoted(help, "\\", "\\'");
        printf("'\n");
}

static void fish_command(const struct command *command)
{
        bool is_run = strcmp(command->name, "run") == 0; /* its options may stand alone, too */
        const char *when = is_run ? "__spate_is run; or __fish_use_subcommand" : NULL;
        char named[64];
        snprintf(named, sizeof named, "__spate_is %s", command->name);
        when = when != NULL ? when : named;
        printf("complete -c spate -n __fish_use_subcommand -a %s", command->name);
        fish_help(command->help);
        if (command->words != NULL && strcmp(command->words, COMMAND_WORDS_FILES) == 0) {
                printf("complete -c spate -n '%s' -F\n", when);
        } else if (command->words != NULL) {
                printf("complete -c spate -n '%s' -a '", when);
                print_words(command->words, ' ');
                printf("'\n");
        }
        for (const struct option_row *row = rows_begin(command); row != rows_end(command); row++) {
                const char *words = words_of(row);
                printf("complete -c spate -n '%s' -l %s%s", when, row->name,
                       !takes_value(row)          ? ""
                       : row->type == OPTION_FILE ? " -r -F"
                                                  : " -x");
                if (takes_value(row) && words != NULL) {
                        printf(" -a '");
                        print_words(words, ' ');
                        printf("'");
                }
                fish_help(row->help);
                if (!takes_value(row))
                        printf("complete -c spate -n '%s' -l no-%s -d 'the opposite of --%s'\n", when, row->name,
                               row->name);
        }
}

static void print_fish(void)
{
        printf("# spate: completion for fish. Made by `spate completion fish`; put it into\n"
               "# ~/.config/fish/completions/spate.fish.\n"
               "function __spate_is\n"
               "        set -l words (commandline -opc)\n"
               "        test (count $words) -gt 1; and test $words[2] = $argv[1]\n"
               "end\n"
               "complete -c spate -f\n"
               "complete -c spate -s h -l help -d 'list the options'\n");
        for (const struct command *command = commands; command < commands + commands_count; command++)
                if (command->group != NULL)
                        fish_command(command_offered(command));
}

/* ---- which ---- */

static const struct {
        const char *name;
        void (*print)(void);
} shells[] = {{"bash", print_bash}, {"zsh", print_zsh}, {"fish", print_fish}};

int completion_main(int argc, char **argv)
{
        static const char form[] = "spate completion bash, zsh or fish prints a script for that shell";
        if (argc != 3)
                return tell(EXIT_USAGE, "completion", "%s", form);
        for (size_t i = 0; i < array_count(shells); i++)
                if (strcmp(argv[2], shells[i].name) == 0) {
                        shells[i].print();
                        return tell_unwritten("completion", EXIT_OK);
                }
        return tell_about("completion", "there is no shell", argv[2], form);
}
