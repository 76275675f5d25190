/* Every command, one row each: dispatch, `spate help`, --help, completion, the manual and the reference come from here.
 * Those of a group stand together. */
#ifndef SPATE_ENGINE_CLI_COMMAND_TABLE_H
#define SPATE_ENGINE_CLI_COMMAND_TABLE_H

#include "engine/cli/command.h"

/* clang-format off */
/*      name        main                 group              options          words  synopsis                       help
 *          about */
#define COMMAND_TABLE(ROW) \
        ROW("run",     command_run,         "the engine",      &run_options,    NULL,  "[options]",                   "start the engine (also without any command)", \
            "Starts the engine in the foreground. It listens on loopback until users are named with --users, prints what memory it may use and lines to try, and logs to standard error.\n" \
            "SIGTERM or SIGINT ends it in order: clients are told, what is theirs is sent, then connections close; a second one ends it at once. SIGHUP reads the configuration file and the users again, all of it or nothing.") \
        ROW("check",   check_main,          "the engine",      &run_options,    NULL,  "[options]",                   "read and check what run would, and start nothing", \
            "Takes the options of `spate run`. Reads and checks everything that can be without starting: the configuration file, options, users, addresses, CPUs.") \
        ROW("config",  config_main,         "the engine",      &config_options, "show|diff|defaults", "show|diff|defaults [--json] [options]", "what the configuration is, and where each value is from", \
            "show prints every option, its value and where that is from; diff those that are not at their default; both take the options of `spate run`, and --json. defaults prints a commented file with all of them.") \
        ROW("status",  status_main,         "the engine",      &status_options, NULL,  "[options]",                   "what a running engine says of itself", "") \
        ROW("top",     top_main,            "the engine",      &top_options,    NULL,  "[options]",                   "a live page of a running engine: rates, reactors, who is behind, what was lost", \
            "A live page of a running engine: rates, reactors, the largest cohorts, who is behind, what was lost. ? tells its keys, q quits.\n" \
            "Where standard output is no terminal, one page is printed as text. Colours follow the terminal; NO_COLOR=1 leaves them out.") \
        ROW("losses",  losses_main,         "the engine",      &losses_options, NULL,  "[options]",                   "who did not get what, when and why", \
            "Who did not get what, when and why, the newest first, and below it the account of all deliveries since the start.") \
        ROW("explain", explain_main,        "the engine",      &explain_options, NULL, "SUBJECT [options]",           "who gets an event with this subject, and why; or why nobody does", \
            "Which patterns match it and by which wildcards, who has subscribed to them on which reactor, what each of them costs, may have and is cut for; whether it can be published at all, and whether a request would be answered. Where nothing matches, the patterns that nearly do.\nExit status 1: nobody would get it.") \
        ROW("doctor",  doctor_main,         "the engine",      &doctor_options, NULL,  "[options]",                   "is this machine fit for the engine, and is a running one well?", \
            "Takes the options of `spate run` and looks at the kernel, its limits, the network, CPUs and memory for what an engine with them needs; asks a running one how it is. Each line is PASS, WARN, FAIL or SKIP with the value found; what is not well has a reason and the command that mends it.\nExit status 1: something fails.") \
        ROW("reload",  reload_main,         "the engine",      &control_options, NULL, "[options]",                   "have a running engine read its configuration and users again", \
            "As SIGHUP does, and says what came of it: everything that has changed is taken up, or nothing of it (exit status 78, with the reason).") \
        ROW("postmortem", postmortem_main,  "the engine",      &postmortem_options, COMMAND_WORDS_FILES, "FILE|--now [options]", "what the reactors did last, before a crash or a hang", \
            "Prints a file that an engine wrote when it crashed (spate-PID-crash.flight), when a reactor turned no more (-stuck) or when asked (-asked): the last of what each reactor did, in the order of time. There are numbers in it only, no subjects, payloads, names or addresses.\n" \
            "--now has a running engine write one, and prints where; SIGUSR1 does the same.") \
        ROW("drain",   drain_main,          "the engine",      &control_options, NULL, "[options]",                   "end a running engine in order", \
            "As SIGTERM does: clients are told, what is theirs is sent, then connections close. Returns as soon as that has begun.") \
        ROW("passwd",  passwd_main,         "the engine",      &passwd_options, NULL,  "[options]",                   "make a line of the users file: a password's or a token's", \
            "Reads a password from the terminal, or the first line of standard input, and prints its line for the users file.") \
        ROW("pub",     pub_main,            "events",          &pub_options,    NULL,  "SUBJECT [PAYLOAD] [options]", "publish an event", \
            "Publishes one event; without PAYLOAD, or with -, it is read from standard input.\nExit status 0 means that the server has taken it.") \
        ROW("sub",     sub_main,            "events",          &sub_options,    NULL,  "SUBJECT... [options]",        "subscribe and print", \
            "Prints events as they come: [subject] payload. In a SUBJECT, * is any one token and > at its end all that follow.") \
        ROW("bench",   bench_main,          "events",          NULL,            NULL,  "MODE [ADDRESS] [options]",    "put load on a server, and check what comes back", "") \
        ROW("completion", completion_main,  "spate itself",    &no_options,     "bash|zsh|fish", "bash|zsh|fish",     "print a script that completes commands and options in a shell", \
            "Prints a script for that shell. For bash now: source <(spate completion bash). An installed spate has them in place.") \
        ROW("reference", reference_main,    NULL,              &no_options,     NULL,  "",                            "print the tables as JSON", "") \
        ROW("version", command_version,     "spate itself",    &no_options,     NULL,  "",                            "print the version", "") \
        ROW("help",    command_help,        "spate itself",    &no_options,     COMMAND_WORDS_COMMANDS, "[COMMAND]",                   "list the commands, or the options of one", "")
/* clang-format on */

#endif
