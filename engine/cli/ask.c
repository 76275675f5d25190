/* ask: one request, its answer read to the end, then shown. See the header. */
#include "engine/cli/ask.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "engine/cli/adminlink.h"
#include "engine/cli/arguments.h"
#include "engine/cli/client_rows.h"
#include "engine/cli/controlview.h"
#include "engine/cli/explainview.h"
#include "engine/cli/jsonview.h"
#include "engine/cli/lossview.h"
#include "engine/cli/statusview.h"
#include "engine/cli/tell.h"
#include "engine/exit_table.h"

#define SUBJECT_ASKED_BYTES_MAX 2048 /* longer than any subject; each byte may become three */

/* clang-format off */
/* What asks the admin address begins with the same options. */
enum { ASK_ADMIN, ASK_JSON, ASK_TIMEOUT, ASK_OPTIONS };
static const struct option_row status_rows[ASK_OPTIONS] = {
        [ASK_ADMIN] = ROW_ADMIN,
        [ASK_JSON] = ROW_JSON,
        [ASK_TIMEOUT] = ROW_TIMEOUT,
};

enum { LOSSES_LIMIT = ASK_OPTIONS, LOSSES_OPTIONS };
static const struct option_row losses_rows[LOSSES_OPTIONS] = {
        [ASK_ADMIN] = ROW_ADMIN,
        [ASK_JSON] = ROW_JSON,
        [ASK_TIMEOUT] = ROW_TIMEOUT,
        [LOSSES_LIMIT] = {.name = "limit", .type = OPTION_COUNT, .value = "100", .min = 1, .max = 1024, .help = "show at most so many losses of each reactor, the newest"},
};

enum { EXPLAIN_USER = ASK_OPTIONS, EXPLAIN_LIMIT, EXPLAIN_OPTIONS };
static const struct option_row explain_rows[EXPLAIN_OPTIONS] = {
        [ASK_ADMIN] = ROW_ADMIN,
        [ASK_JSON] = ROW_JSON,
        [ASK_TIMEOUT] = ROW_TIMEOUT,
        [EXPLAIN_USER] = {.name = "user", .type = OPTION_TEXT, .value = "", .help = "may this user or token publish it, subscribe to it, have it; and list only its subscribers"},
        [EXPLAIN_LIMIT] = {.name = "limit", .type = OPTION_COUNT, .value = "20", .min = 1, .max = 200, .help = "show at most so many patterns, and of each reactor so many cohorts and subscribers"},
};
/* clang-format on */

const struct option_set control_options = {status_rows, ASK_OPTIONS, true};
const struct option_set status_options = {status_rows, ASK_OPTIONS, true};
const struct option_set losses_options = {losses_rows, LOSSES_OPTIONS, true};
const struct option_set explain_options = {explain_rows, EXPLAIN_OPTIONS, true};

struct asking {
        const char *command;
        const struct option_set *options;
        const char *path;
        int (*print)(FILE *out, struct span json); /* NULL: it is a POST, and its answer says what came of it */
};

static int asking_show(const struct asking *asking, const struct arguments *arguments, const char *address,
                       struct span body, int status)
{
        const char *name = asking->command;
        bool is_json = options_number(&arguments->options, ASK_JSON) != 0;
        /* 409: it was refused, and the answer says why. */
        bool is_answer = status == 200 || (asking->print == NULL && (status == 202 || status == 409));
        /* There is no such user. */
        if (asking->options == &explain_options && (status == 400 || status == 404) && body.size > 1 &&
            memchr(body.bytes, '\n', body.size) == body.bytes + body.size - 1 && span_starts_with(body, SPAN("there ")))
                return tell(EXIT_USAGE, name, "--user: %.*s", (int)body.size - 1, (const char *)body.bytes);
        if (!is_answer)
                return tell(EXIT_FAILED, name,
                            "%s answered %s with HTTP %d; is it the admin address of this engine, and of this version?",
                            address, asking->path, status);
        int code = EXIT_OK, shown = is_json ? jsonview_print(stdout, body) : 0;
        if (asking->options == &explain_options)
                code = explainview_print(is_json ? NULL : stdout, body);
        else if (asking->print == NULL)
                code = controlview_print(name, body, is_json);
        else if (!is_json)
                shown = asking->print(stdout, body);
        if (shown != 0 || code < 0)
                return tell(EXIT_FAILED, name, "what %s answered to %s is not what this engine says", address,
                            asking->path);
        return tell_unwritten(name, code);
}

/* Adds `text` with every byte that is not harmless in a query as %41; false: there is no room. */
static bool path_add(char path[ADMINLINK_PATH_BYTES], const char *name, const char *text)
{
        size_t used = strlen(path);
        used += (size_t)snprintf(path + used, ADMINLINK_PATH_BYTES - used, "%s", name);
        for (; *text != '\0' && used + 4 < ADMINLINK_PATH_BYTES; text++) {
                bool is_harmless = strchr("-._~*$", *text) != NULL || (*text >= '0' && *text <= '9') ||
                                   (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z');
                used += (size_t)snprintf(path + used, ADMINLINK_PATH_BYTES - used, is_harmless ? "%c" : "%%%02X",
                                         (unsigned char)*text);
        }
        return *text == '\0';
}

/* What is asked for, with what the arguments say of it. EXIT_OK, or a failure that was told. */
static int asking_path(const struct asking *asking, const struct arguments *arguments, char path[ADMINLINK_PATH_BYTES])
{
        const struct options *options = &arguments->options;
        const char *name = asking->command;
        size_t wanted = asking->options == &explain_options ? 1 : 0;
        snprintf(path, ADMINLINK_PATH_BYTES, "%s", asking->path);
        if (arguments->placed_count > wanted)
                return tell_about(name, "one argument too many,", arguments->placed[wanted],
                                  wanted == 0 ? "this command takes only options; see --help"
                                              : "this command takes one subject; see --help");
        if (asking->options == &losses_options)
                snprintf(path, ADMINLINK_PATH_BYTES, "%s?limit=%" PRIu64, asking->path,
                         options_number(options, LOSSES_LIMIT));
        if (asking->options != &explain_options)
                return EXIT_OK;
        if (arguments->placed_count == 0 || arguments->placed[0][0] == '\0')
                return tell(EXIT_USAGE, name, "which subject? Try `spate explain orders.new`");
        if (strlen(arguments->placed[0]) > SUBJECT_ASKED_BYTES_MAX)
                return tell(EXIT_USAGE, name,
                            "the subject is longer than %d bytes; none that is taken has more than 1024",
                            SUBJECT_ASKED_BYTES_MAX);
        snprintf(path, ADMINLINK_PATH_BYTES, "%s?limit=%" PRIu64, asking->path, options_number(options, EXPLAIN_LIMIT));
        bool is_whole = path_add(path, "&subject=", arguments->placed[0]);
        if (options_text(options, EXPLAIN_USER)[0] != '\0')
                is_whole = is_whole && path_add(path, "&user=", options_text(options, EXPLAIN_USER));
        return is_whole ? EXIT_OK : tell(EXIT_USAGE, name, "subject and user are longer than a request may be");
}

/* Asks and waits. 0 or -errno. */
static int asking_ask(const struct asking *asking, const char *path, struct adminlink *link, int *status,
                      struct span *body)
{
        int failed = asking->print == NULL ? adminlink_post(link, path) : adminlink_ask(link, path);
        return failed != 0 ? failed : adminlink_wait(link, status, body);
}

static int asking_run(const struct asking *asking, const struct arguments *arguments)
{
        const char *name = asking->command;
        struct endpoint endpoint;
        struct adminlink link;
        struct span body;
        char error[ENDPOINT_ERROR_BYTES];
        const char *admin = options_text(&arguments->options, ASK_ADMIN);
        uint64_t timeout_ns = options_number(&arguments->options, ASK_TIMEOUT);
        char path[ADMINLINK_PATH_BYTES];
        int status, code = asking_path(asking, arguments, path);
        if (code != EXIT_OK)
                return code;
        if (strcmp(admin, "none") == 0)
                return tell(EXIT_USAGE, name, "--admin is none: the engine has no such address, so it cannot be asked");
        if (endpoint_parse(&endpoint, admin, "http://", "8222", error) != 0)
                return tell(EXIT_USAGE, name, "--admin: %s", error);
        adminlink_init(&link, &endpoint, timeout_ns, timeout_ns);
        int failed = asking_ask(asking, path, &link, &status, &body);
        if (failed == 0)
                code = asking_show(asking, arguments, endpoint.text, body, status);
        else
                code = tell(failed == -EPROTO ? EXIT_FAILED : EXIT_UNREACHABLE, name, "%s%s", link.error,
                            failed == -ENOTCONN
                                    ? "; is the engine running, and with this --admin? `spate run` starts one"
                                    : "");
        adminlink_fini(&link);
        return code;
}

static int asking_main(const struct asking *asking, int argc, char **argv)
{
        static struct arguments arguments;
        int code = arguments_init(&arguments, asking->command, asking->options, argc, argv);
        if (code == EXIT_OK)
                code = asking_run(asking, &arguments);
        arguments_fini(&arguments);
        return code;
}

int status_main(int argc, char **argv)
{
        return asking_main(&(struct asking){"status", &status_options, "/status", statusview_print}, argc, argv);
}

int losses_main(int argc, char **argv)
{
        return asking_main(&(struct asking){"losses", &losses_options, "/losses", lossview_print}, argc, argv);
}

int explain_main(int argc, char **argv)
{
        return asking_main(&(struct asking){"explain", &explain_options, "/explain", explainview_print}, argc, argv);
}

int ask_postmortem(const struct option_set *options, const struct arguments *arguments)
{
        return asking_run(&(struct asking){"postmortem", options, "/postmortem", NULL}, arguments);
}

int reload_main(int argc, char **argv)
{
        return asking_main(&(struct asking){"reload", &control_options, "/reload", NULL}, argc, argv);
}

int drain_main(int argc, char **argv)
{
        return asking_main(&(struct asking){"drain", &control_options, "/drain", NULL}, argc, argv);
}
