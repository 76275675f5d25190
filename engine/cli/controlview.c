/* controlview: see the header. Text from the server is escaped: it ends up on a terminal. */
#include "engine/cli/controlview.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "engine/cli/escape.h"
#include "engine/exit_table.h"

static int print_reason(const char *name, const char *what, const json_t *json, int code, bool is_quiet)
{
        const char *reason = json_string_value(json_object_get(json, "reason"));
        if (reason == NULL)
                return -EPROTO;
        if (is_quiet)
                return code;
        fflush(stdout);
        fprintf(stderr, "spate %s: %s", name, what);
        escape_print(stderr, span_of_text(reason));
        fputc('\n', stderr);
        return code;
}

static int print_changes(const json_t *json, bool is_quiet)
{
        const json_t *count = json_object_get(json, "options_changed"), *users = json_object_get(json, "users");
        if (!json_is_integer(count) || (users != NULL && !json_is_integer(users)))
                return -EPROTO;
        json_int_t changes = json_integer_value(count);
        if (is_quiet)
                return EXIT_OK;
        printf("reloaded: %" JSON_INTEGER_FORMAT " option%s changed", changes, changes == 1 ? "" : "s");
        if (users != NULL)
                printf(", users read again (%" JSON_INTEGER_FORMAT ")", json_integer_value(users));
        putchar('\n');
        return EXIT_OK;
}

static int print_file(const json_t *json, bool is_quiet)
{
        const char *file = json_string_value(json_object_get(json, "file"));
        if (file == NULL)
                return -EPROTO;
        if (is_quiet)
                return EXIT_OK;
        printf("written: ");
        escape_print(stdout, span_of_text(file));
        putchar('\n');
        return EXIT_OK;
}

int controlview_print(const char *name, struct span text, bool is_quiet)
{
        json_error_t unused;
        json_t *json = json_loadb((const char *)text.bytes, text.size, 0, &unused);
        const char *result = json_string_value(json_object_get(json, "result"));
        int code = -EPROTO;
        if (result == NULL) {
                code = -EPROTO;
        } else if (strcmp(result, "taken") == 0) {
                code = print_changes(json, is_quiet);
        } else if (strcmp(result, "written") == 0) {
                code = print_file(json, is_quiet);
        } else if (strcmp(result, "refused") == 0 && strcmp(name, "postmortem") == 0) {
                code = print_reason(name, "nothing was written: ", json, EXIT_FAILED, is_quiet);
        } else if (strcmp(result, "refused") == 0) {
                code = print_reason(name, "nothing was changed: ", json, EXIT_CONFIG, is_quiet);
        } else if (strcmp(result, "nothing") == 0) {
                code = print_reason(name, "", json, EXIT_FAILED, is_quiet);
        } else if (strcmp(result, "draining") == 0) {
                if (!is_quiet)
                        puts("draining");
                code = EXIT_OK;
        }
        json_decref(json);
        return code;
}
