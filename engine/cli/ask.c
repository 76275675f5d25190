/* ask: one request, its answer read to the end, then shown. See the header. */
#include "engine/cli/ask.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/cli/arguments.h"
#include "engine/cli/client_rows.h"
#include "engine/cli/controlview.h"
#include "engine/cli/endpoint.h"
#include "engine/cli/growing.h"
#include "engine/cli/jsonview.h"
#include "engine/cli/lossview.h"
#include "engine/cli/statusview.h"
#include "engine/cli/tell.h"
#include "engine/exit_table.h"

#define READ_BYTES ((size_t)64 << 10)
#define ANSWER_BYTES_MAX ((size_t)16 << 20)

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
/* clang-format on */

const struct option_set control_options = {status_rows, ASK_OPTIONS, true};
const struct option_set status_options = {status_rows, ASK_OPTIONS, true};
const struct option_set losses_options = {losses_rows, LOSSES_OPTIONS, true};

struct question {
        const char *command;
        const struct option_set *options;
        const char *path;
        int (*print)(FILE *out, struct span json); /* NULL: it is a POST, and its answer says what came of it */
};

/* Sends the request and reads until the answer is whole. */
static int question_ask(const char *name, const char *path, bool is_post, int fd, const struct endpoint *endpoint,
                        uint64_t timeout_ns, struct growing *in, int *status, struct span *body)
{
        char request[512];
        uint64_t until_ns = clock_monotonic_ns() + timeout_ns;
        int size = snprintf(request, sizeof request,
                            "%s %s HTTP/1.1\r\nHost: %s\r\nAccept: application/json\r\nConnection: close\r\n%s\r\n",
                            is_post ? "POST" : "GET", path, endpoint->is_path ? "localhost" : endpoint->text,
                            is_post ? "Spate-Admin: yes\r\n" : "");
        /* A fresh socket's buffer takes a request whole. */
        if (send(fd, request, (size_t)size, MSG_NOSIGNAL) != size)
                return tell(EXIT_UNREACHABLE, name, "%s does not take a request: %s", endpoint->text, strerror(errno));
        for (bool is_ended = false;;) {
                int found = statusview_body(span_of(in->bytes, in->size), is_ended, status, body);
                if (found == 1)
                        return EXIT_OK;
                if (found < 0 || in->size > ANSWER_BYTES_MAX)
                        return tell(EXIT_FAILED, name,
                                    "%s does not speak HTTP as an admin address does; is it the one that --admin of "
                                    "the engine names?",
                                    endpoint->text);
                if (is_ended)
                        return tell(EXIT_UNREACHABLE, name, "%s closed the connection before it had answered",
                                    endpoint->text);
                struct pollfd poller = {.fd = fd, .events = POLLIN};
                uint64_t now_ns = clock_monotonic_ns();
                if (now_ns >= until_ns)
                        return tell(EXIT_UNREACHABLE, name,
                                    "%s took the connection and did not answer for %" PRIu64 " ms", endpoint->text,
                                    timeout_ns / NS_PER_MS);
                if (poll(&poller, 1, (int)((until_ns - now_ns) / NS_PER_MS) + 1) <= 0)
                        continue;
                ssize_t got = recv(fd, growing_room(in, READ_BYTES), READ_BYTES, 0);
                if (got > 0)
                        in->size += (size_t)got;
                else if (got == 0 || (errno != EAGAIN && errno != EINTR))
                        is_ended = true;
        }
}

static int question_show(const struct question *question, const struct arguments *arguments,
                         const struct endpoint *endpoint, struct span body, int status)
{
        const char *name = question->command;
        bool is_json = options_number(&arguments->options, ASK_JSON) != 0;
        /* 409: it was refused, and the answer says why. */
        bool is_answer = question->print == NULL ? status == 200 || status == 202 || status == 409 : status == 200;
        if (!is_answer)
                return tell(EXIT_FAILED, name,
                            "%s answered %s with HTTP %d; is it the admin address of this engine, and of this version?",
                            endpoint->text, question->path, status);
        int code = EXIT_OK, shown = 0;
        if (is_json)
                shown = jsonview_print(stdout, body);
        else if (question->print != NULL)
                shown = question->print(stdout, body);
        if (question->print == NULL)
                code = controlview_print(name, body, is_json);
        if (shown != 0 || code < 0)
                return tell(EXIT_FAILED, name, "what %s answered to %s is not what this engine says", endpoint->text,
                            question->path);
        return tell_unwritten(name, code);
}

static int question_run(const struct question *question, const struct arguments *arguments)
{
        const char *name = question->command;
        char path[64];
        struct endpoint endpoint;
        struct growing in = {0};
        struct span body;
        char error[ENDPOINT_ERROR_BYTES];
        const char *admin = options_text(&arguments->options, ASK_ADMIN);
        uint64_t timeout_ns = options_number(&arguments->options, ASK_TIMEOUT);
        int status;
        if (arguments->placed_count > 0)
                return tell_about(name, "one argument too many,", arguments->placed[0],
                                  "this command takes only options; see --help");
        if (strcmp(admin, "none") == 0)
                return tell(EXIT_USAGE, name, "--admin is none: the engine has no such address, so it cannot be asked");
        if (endpoint_parse(&endpoint, admin, "http://", "8222", error) != 0)
                return tell(EXIT_USAGE, name, "--admin: %s", error);
        int fd = endpoint_connect(&endpoint, timeout_ns, error);
        if (fd < 0)
                return tell(EXIT_UNREACHABLE, name,
                            "%s; is the engine running, and with this --admin? `spate run` starts one", error);
        growing_room(&in, READ_BYTES);
        if (question->options == &losses_options)
                snprintf(path, sizeof path, "%s?limit=%" PRIu64, question->path,
                         options_number(&arguments->options, LOSSES_LIMIT));
        else
                snprintf(path, sizeof path, "%s", question->path);
        int code = question_ask(name, path, question->print == NULL, fd, &endpoint, timeout_ns, &in, &status, &body);
        if (code == EXIT_OK)
                code = question_show(question, arguments, &endpoint, body, status);
        close(fd);
        growing_fini(&in);
        return code;
}

static int question_main(const struct question *question, int argc, char **argv)
{
        static struct arguments arguments;
        int code = arguments_init(&arguments, question->command, question->options, argc, argv);
        if (code == EXIT_OK)
                code = question_run(question, &arguments);
        arguments_fini(&arguments);
        return code;
}

int status_main(int argc, char **argv)
{
        return question_main(&(struct question){"status", &status_options, "/status", statusview_print}, argc, argv);
}

int losses_main(int argc, char **argv)
{
        return question_main(&(struct question){"losses", &losses_options, "/losses", lossview_print}, argc, argv);
}

int reload_main(int argc, char **argv)
{
        return question_main(&(struct question){"reload", &control_options, "/reload", NULL}, argc, argv);
}

int drain_main(int argc, char **argv)
{
        return question_main(&(struct question){"drain", &control_options, "/drain", NULL}, argc, argv);
}
