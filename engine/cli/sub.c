/* sub: events go to standard output, what is said about the run of the command to standard error. See the header. */
#include "engine/cli/sub.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "engine/cli/arguments.h"
#include "engine/cli/client_rows.h"
#include "engine/cli/escape.h"
#include "engine/cli/natslink.h"
#include "engine/cli/tell.h"
#include "engine/exit_table.h"
#include "io/wire/nats.h"

#define COUNT_MAX UINT64_C(1000000000000)
#define IDLE_NS (60 * NS_PER_S) /* a server that is silent for so long is asked whether it is there */
#define IDLE_PINGS_MAX 2

/* clang-format off */
enum { SUB_SERVER, SUB_USER, SUB_QUEUE, SUB_COUNT, SUB_RAW, SUB_HEADERS, SUB_TIMEOUT, SUB_OPTIONS };
static const struct option_row sub_rows[SUB_OPTIONS] = {
        [SUB_SERVER] = ROW_SERVER,
        [SUB_USER] = ROW_USER,
        [SUB_QUEUE] = {.name = "queue", .type = OPTION_TEXT, .value = "", .help = "queue group: each event goes to one of its members"},
        [SUB_COUNT] = {.name = "count", .type = OPTION_COUNT, .value = "0", .max = COUNT_MAX, .help = "end after so many events; 0: never"},
        [SUB_RAW] = {.name = "raw", .type = OPTION_BOOL, .value = "false", .max = 1, .help = "print the payload's bytes as they are, and a newline"},
        [SUB_HEADERS] = {.name = "headers", .type = OPTION_BOOL, .value = "false", .max = 1, .help = "print reply subject and headers below each event"},
        [SUB_TIMEOUT] = ROW_TIMEOUT,
};
/* clang-format on */

const struct option_set sub_options = {sub_rows, SUB_OPTIONS, true};

static volatile sig_atomic_t is_stopped;
static int stop_fd = -1; /* can be read once it is time to stop, so that poll(2) misses no signal */

static void on_stop(int signal)
{
        int saved = errno;
        uint64_t one = 1;
        (void)signal;
        is_stopped = 1;
        ssize_t unused = write(stop_fd, &one, sizeof one);
        (void)unused;
        errno = saved;
}

/* Without SA_RESTART a write to a stuck terminal ends as well; a second signal kills. */
static bool catch_stop(void)
{
        struct sigaction stop = {.sa_handler = on_stop, .sa_flags = (int)SA_RESETHAND};
        stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (stop_fd < 0)
                return false;
        sigemptyset(&stop.sa_mask);
        sigaction(SIGINT, &stop, NULL);
        sigaction(SIGTERM, &stop, NULL);
        return true;
}

struct sub {
        struct arguments arguments;
        struct endpoint endpoint;
        struct natslink link;
        const char *queue;
        uint64_t count, received;
        bool is_raw, with_headers, is_confirmed;
};

static int sub_check(struct sub *sub)
{
        const struct arguments *arguments = &sub->arguments;
        const struct options *options = &arguments->options;
        char error[ENDPOINT_ERROR_BYTES];
        sub->count = options_number(options, SUB_COUNT);
        sub->queue = options_text(options, SUB_QUEUE);
        sub->is_raw = options_number(options, SUB_RAW) != 0;
        sub->with_headers = options_number(options, SUB_HEADERS) != 0;
        if (arguments->placed_count == 0)
                return tell(EXIT_USAGE, "sub",
                            "to which subject? spate sub SUBJECT..., for example spate sub '>'; see spate sub --help");
        for (size_t i = 0; i < arguments->placed_count; i++)
                if (!nats_subject_is_valid(span_of_text(arguments->placed[i])))
                        return tell_about("sub", "subject", arguments->placed[i],
                                          "a subject has no blank and no empty token, and > only at its end");
        if (sub->queue[strcspn(sub->queue, " \t\r\n")] != '\0')
                return tell_about("sub", "--queue", sub->queue, "the name of a queue group has no blanks");
        if (sub->is_raw && sub->with_headers)
                return tell(EXIT_USAGE, "sub", "--raw prints payloads only: leave out --raw or --headers");
        if (endpoint_parse(&sub->endpoint, options_text(options, SUB_SERVER), "nats://", "4222", error) != 0)
                return tell(EXIT_USAGE, "sub", "--server: %s", error);
        return EXIT_OK;
}

static void sub_print(const struct sub *sub, const struct incoming *message)
{
        struct span headers = message->headers, name, value;
        if (sub->is_raw) {
                fwrite(message->payload.bytes, 1, message->payload.size, stdout);
                fputc('\n', stdout);
                return;
        }
        fputc('[', stdout);
        escape_print(stdout, message->subject);
        fputs("] ", stdout);
        escape_print(stdout, message->payload);
        fputc('\n', stdout);
        if (!sub->with_headers)
                return;
        if (message->reply.size > 0) {
                fputs("    (reply to ", stdout);
                escape_print(stdout, message->reply);
                fputs(")\n", stdout);
        }
        while (incoming_next_header(&headers, &name, &value)) {
                fputs("    ", stdout);
                escape_print(stdout, name);
                fputs(": ", stdout);
                escape_print(stdout, value);
                fputc('\n', stdout);
        }
}

static void sub_subscribe(struct sub *sub)
{
        for (size_t i = 0; i < sub->arguments.placed_count; i++) {
                char end[32];
                natslink_write(&sub->link, SPAN("SUB "));
                natslink_write(&sub->link, span_of_text(sub->arguments.placed[i]));
                natslink_write(&sub->link, SPAN(" "));
                natslink_write(&sub->link, span_of_text(sub->queue));
                snprintf(end, sizeof end, " %zu\r\n", i + 1);
                natslink_write(&sub->link, span_of_text(end));
        }
        natslink_ping(&sub->link);
}

static void sub_confirm(struct sub *sub)
{
        sub->is_confirmed = true;
        fprintf(stderr, "spate sub: subscribed to");
        for (size_t i = 0; i < sub->arguments.placed_count; i++) {
                fputs(i == 0 ? " " : ", ", stderr);
                escape_print(stderr, span_of_text(sub->arguments.placed[i]));
        }
        fprintf(stderr, " at %s\n", sub->endpoint.text);
}

/* Waits for more, and asks a server that is silent whether it is there. */
static int sub_wait(struct sub *sub)
{
        uint64_t now_ns = clock_monotonic_ns();
        if (natslink_wait(&sub->link, stop_fd, 0) != 0)
                return EXIT_OK;
        if (fflush(stdout) != 0) /* nothing more is here: whoever reads us shall see all there was */
                return is_stopped ? EXIT_OK
                                  : tell(EXIT_FAILED, "sub", "cannot write to standard output: %s", strerror(errno));
        if (natslink_wait(&sub->link, stop_fd, now_ns + (sub->is_confirmed ? IDLE_NS : sub->link.timeout_ns)) != 0)
                return EXIT_OK;
        if (!sub->is_confirmed || sub->link.pings_out >= IDLE_PINGS_MAX)
                return tell(EXIT_UNREACHABLE, "sub",
                            "the server at %s does not answer any more; it is overloaded or gone", sub->endpoint.text);
        natslink_ping(&sub->link);
        return EXIT_OK;
}

static int sub_run(struct sub *sub)
{
        struct natslink_login login = natslink_login_of(options_text(&sub->arguments.options, SUB_USER));
        int code = natslink_open(&sub->link, &sub->endpoint, "spate sub", &login,
                                 options_number(&sub->arguments.options, SUB_TIMEOUT));
        if (code != EXIT_OK)
                return tell(code, "sub", "%s", sub->link.error);
        if (!catch_stop())
                return tell(EXIT_FAILED, "sub", "no file descriptor is left: %s", strerror(errno));
        sub_subscribe(sub);
        while (!is_stopped && (sub->count == 0 || sub->received < sub->count)) {
                struct incoming message;
                bool got;
                code = natslink_take(&sub->link, &message, &got);
                if (!sub->is_confirmed && sub->link.pings_out == 0)
                        sub_confirm(sub);
                if (code != EXIT_OK)
                        return tell(code, "sub", "%s", sub->link.error);
                if (got) {
                        sub->received++;
                        sub_print(sub, &message);
                } else if ((code = sub_wait(sub)) != EXIT_OK) {
                        return code;
                }
        }
        if (is_stopped)
                return tell(EXIT_OK, "sub", "%" PRIu64 " event%s received", sub->received,
                            sub->received == 1 ? "" : "s");
        return EXIT_OK;
}

int sub_main(int argc, char **argv)
{
        static struct sub sub;
        sub = (struct sub){.link = {.fd = -1}};
        int code = arguments_init(&sub.arguments, "sub", &sub_options, argc, argv);
        if (code == EXIT_OK && (code = sub_check(&sub)) == EXIT_OK)
                code = sub_run(&sub);
        natslink_close(&sub.link);
        arguments_fini(&sub.arguments);
        return is_stopped ? code : tell_unwritten("sub", code);
}
