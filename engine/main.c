/* main: `spate COMMAND`: finds the command and hands over. */
#include <jemalloc/jemalloc.h>
#include <stdio.h>
#include <string.h>

#include "bench/bench.h"
#include "engine/base/options.h"
#include "engine/cli/ask.h"
#include "engine/cli/command_table.h"
#include "engine/cli/completion.h"
#include "engine/cli/configview.h"
#include "engine/cli/doctor.h"
#include "engine/cli/passwd.h"
#include "engine/cli/postmortem.h"
#include "engine/cli/pub.h"
#include "engine/cli/reference.h"
#include "engine/cli/sub.h"
#include "engine/cli/top.h"
#include "engine/run.h"

/* The event path does not allocate, so the heap holds connections' rarer things: few arenas, and pages go back at once.
 */
const char *malloc_conf = "narenas:2,dirty_decay_ms:1000,muzzy_decay_ms:0,background_thread:false";

static uint64_t heap_bytes(void)
{
        uint64_t epoch = 1;
        size_t allocated = 0, size = sizeof epoch;
        mallctl("epoch", &epoch, &size, &epoch, sizeof epoch);
        size = sizeof allocated;
        return mallctl("stats.allocated", &allocated, &size, NULL, 0) == 0 ? allocated : 0;
}

static int command_run(int argc, char **argv)
{
        bool is_named = argc > 1 && strcmp(argv[1], "run") == 0;
        return run_main(argc, argv, is_named ? 2 : 1, heap_bytes);
}

static int refuse_command(const char *name, const char *near)
{
        if (near != NULL)
                fprintf(stderr, "spate: there is no command \"%s\"; did you mean \"%s\"?\n", name, near);
        else
                fprintf(stderr, "spate: there is no command \"%s\"; see spate help\n", name);
        return EXIT_USAGE;
}

static int command_version(int argc, char **argv)
{
        (void)argc;
        (void)argv;
        printf("spate %s\n", SPATE_VERSION);
        return EXIT_OK;
}

static int command_help(int argc, char **argv)
{
        const char *near = NULL;
        const struct command *command = argc > 2 ? command_find(argv[2], &near) : NULL;
        if (argc < 3)
                command_print_list(stdout);
        else if (command == NULL)
                return refuse_command(argv[2], near);
        else if (command->options != NULL)
                command_print_help(command, stdout);
        else
                return command->main(3, (char *[]){argv[0], argv[2], (char[]){"--help"}, NULL});
        return EXIT_OK;
}

static const struct option_set run_options = {option_rows, OPTIONS_COUNT, true}, no_options = {0};

const struct command commands[] = {
#define COMMAND_ROW(row_name, row_main, row_group, row_options, row_words, row_synopsis, row_help, row_about)          \
        {.name = row_name,                                                                                             \
         .main = row_main,                                                                                             \
         .group = row_group,                                                                                           \
         .options = row_options,                                                                                       \
         .words = row_words,                                                                                           \
         .synopsis = row_synopsis,                                                                                     \
         .help = row_help,                                                                                             \
         .about = row_about},
        COMMAND_TABLE(COMMAND_ROW)
#undef COMMAND_ROW
};
const size_t commands_count = array_count(commands);

const struct command *command_offered(const struct command *command)
{
        static struct option_row rows[BENCH_FLAGS_MAX];
        static struct option_set set = {.rows = rows};
        static struct command offered;
        struct bench_flag flag;
        if (command->main != bench_main)
                return command;
        for (set.rows_count = 0; bench_flag(set.rows_count, &flag); set.rows_count++)
                rows[set.rows_count] = (struct option_row){.name = flag.name,
                                                           .type = !flag.takes_value ? OPTION_BOOL
                                                                   : flag.is_file    ? OPTION_FILE
                                                                                     : OPTION_TEXT,
                                                           .value = "",
                                                           .help = flag.help};
        offered = *command;
        offered.options = &set;
        offered.words = bench_modes();
        return &offered;
}

/* Options alone are those of `spate run`. */
int main(int argc, char **argv)
{
        bool is_bare = argc < 2 || argv[1][0] == '-';
        const char *name = is_bare ? "run" : argv[1], *near;
        if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
                return command_help(1, argv);
        if (argc > 1 && strcmp(argv[1], "--version") == 0)
                return command_version(argc, argv);
        const struct command *command = command_find(name, &near);
        if (command == NULL)
                return refuse_command(name, near);
        if (command->options != NULL && command_wants_help(argc, argv, is_bare ? 1 : 2)) {
                command_print_help(command, stdout);
                return EXIT_OK;
        }
        command_keep_own_environment(command);
        return command->main(argc, argv);
}
