/* main: `spate COMMAND`: finds the command and hands over. */
#include <jemalloc/jemalloc.h>
#include <stdio.h>
#include <string.h>

#include "bench/bench.h"
#include "engine/base/options.h"
#include "engine/client.h"
#include "engine/passwd.h"
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
        return run_main(argc, argv, 2, heap_bytes);
}

static int command_version(int argc, char **argv)
{
        (void)argc;
        (void)argv;
        printf("spate %s\n", SPATE_VERSION);
        return EXIT_OK;
}

static int command_help(int argc, char **argv);

static const struct command {
        const char *name;
        int (*main)(int argc, char **argv);
        const char *help;
} commands[] = {
        {"run", command_run, "start the engine (also without any command); see spate run --help"},
        {"pub", client_pub_main, "publish: spate pub SUBJECT [PAYLOAD]"},
        {"sub", client_sub_main, "subscribe and print: spate sub SUBJECT…"},
        {"status", client_status_main, "what a running engine says of itself"},
        {"losses", client_losses_main, "who did not get what, when and why"},
        {"passwd", passwd_main, "make a line of the users file: a password's or a token's"},
        {"bench", bench_main, "load with checks: spate bench --help"},
        {"version", command_version, "print the version"},
        {"help", command_help, "this"},
};

static int command_help(int argc, char **argv)
{
        (void)argc;
        (void)argv;
        printf("usage: spate [COMMAND] [options]\n\n");
        for (size_t i = 0; i < array_count(commands); i++)
                printf("  %-8s  %s\n", commands[i].name, commands[i].help);
        printf("\nexit status: 0 ok, 1 failed, 2 usage, 69 unreachable, 78 configuration\n");
        return EXIT_OK;
}

int main(int argc, char **argv)
{
        const char *names[array_count(commands)];
        if (argc < 2)
                return run_main(argc, argv, 1, heap_bytes);
        if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
                return command_help(argc, argv);
        if (strcmp(argv[1], "--version") == 0)
                return command_version(argc, argv);
        if (argv[1][0] == '-')
                return run_main(argc, argv, 1, heap_bytes);
        for (size_t i = 0; i < array_count(commands); i++) {
                if (strcmp(argv[1], commands[i].name) == 0)
                        return commands[i].main(argc, argv);
                names[i] = commands[i].name;
        }
        const char *near = options_nearest(argv[1], names, array_count(names));
        fprintf(stderr, "spate: there is no command \"%s\"%s%s%s; see spate help\n", argv[1],
                near != NULL ? ": did you mean \"" : "", near != NULL ? near : "", near != NULL ? "\"?" : "");
        return EXIT_USAGE;
}
