/* arguments: see the header. */
#include "engine/cli/arguments.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "engine/cli/command_table.h"
#include "engine/cli/tell.h"
#include "engine/exit_table.h"
#include "engine/option_table.h"

extern char **environ;

/* No options: nobody is to write them on a command line. See natslink_login_of(). */
static const char *const secrets[] = {
#define SECRET(name, help) name,
        ENVIRONMENT_TABLE(SECRET)
#undef SECRET
                NULL,
};

static int read_arguments(struct arguments *arguments, int argc, char **argv, char error[OPTIONS_ERROR_BYTES])
{
        bool is_over = false;
        int failed = options_read_environment(&arguments->options, environ, secrets, error);
        for (int at = 2; failed == 0 && at < argc;) {
                int next = at;
                if (!is_over)
                        failed = options_read_flags(&arguments->options, argc, argv, at, &next, error);
                is_over = is_over || (next > at && strcmp(argv[next - 1], "--") == 0);
                at = next;
                if (failed != 0 || at == argc)
                        break;
                if (arguments->placed_count == ARGUMENTS_PLACED_MAX)
                        return snprintf(error, OPTIONS_ERROR_BYTES, "more than %d arguments", ARGUMENTS_PLACED_MAX),
                               -EINVAL;
                arguments->placed[arguments->placed_count++] = argv[at++];
        }
        return failed;
}

int arguments_init(struct arguments *arguments, const char *command, const struct option_set *set, int argc,
                   char **argv)
{
        char error[OPTIONS_ERROR_BYTES] = "";
        *arguments = (struct arguments){0};
        if (options_init(&arguments->options, set->rows, set->rows_count) != 0)
                return tell(EXIT_FAILED, command, "no memory is left");
        if (read_arguments(arguments, argc, argv, error) != 0)
                return tell(EXIT_USAGE, command, "%s", error);
        return EXIT_OK;
}

void arguments_fini(struct arguments *arguments)
{
        options_fini(&arguments->options);
}
