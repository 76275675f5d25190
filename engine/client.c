/* client: `spate pub`, `spate sub`, `spate status`, `spate losses`: from arguments to an exit code. See the header.
 *
 * Each command has a table of options of its own. What is said about a run of the command goes to standard error; only
 * what was asked for (events, a reply, the status) goes to standard output. */
#include "engine/client.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/random.h"
#include "engine/command_table.h"
#include "engine/escape.h"
#include "engine/lossview.h"
#include "engine/natslink.h"
#include "engine/run.h"
#include "engine/statusview.h"
#include "io/wire/nats.h"

extern char **environ;

#define READ_BYTES ((size_t)64 << 10)
#define COUNT_MAX UINT64_C(1000000000000)
#define IDLE_NS (60 * NS_PER_S) /* a server that is silent for so long is asked whether it is there */
#define IDLE_PINGS_MAX 2
#define STATUS_BYTES_MAX ((size_t)16 << 20)

/* ---- options ---- */

/* clang-format off */
#define ROW_SERVER  {.name = "server", .type = OPTION_TEXT, .value = "127.0.0.1:4222", .help = "the server: HOST:PORT, nats://HOST:PORT or unix:PATH"}
#define ROW_USER    {.name = "user", .type = OPTION_TEXT, .value = "", .help = "log in as this user; the password is in SPATE_PASSWORD. Without one, a token may be in SPATE_TOKEN"}
#define ROW_TIMEOUT {.name = "timeout", .type = OPTION_TIME, .value = "10s", .min = NS_PER_MS, .max = 86400 * NS_PER_S, .help = "how long the server may take for one step"}

enum { PUB_SERVER, PUB_USER, PUB_REPLY, PUB_HEADER, PUB_COUNT, PUB_LINES, PUB_REQUEST, PUB_RAW, PUB_TIMEOUT, PUB_VERBOSE, PUB_OPTIONS };
static const struct option_row pub_rows[PUB_OPTIONS] = {
        [PUB_SERVER] = ROW_SERVER,
        [PUB_USER] = ROW_USER,
        [PUB_REPLY] = {.name = "reply", .type = OPTION_TEXT, .value = "", .help = "subject that receivers shall answer to"},
        [PUB_HEADER] = {.name = "header", .type = OPTION_TEXT, .value = "", .help = "\"Name: value\" sent with the event; may be repeated"},
        [PUB_COUNT] = {.name = "count", .type = OPTION_COUNT, .value = "1", .min = 1, .max = COUNT_MAX, .help = "publish it so many times"},
        [PUB_LINES] = {.name = "lines", .type = OPTION_BOOL, .value = "false", .max = 1, .help = "one event for each line of standard input"},
        [PUB_REQUEST] = {.name = "request", .type = OPTION_BOOL, .value = "false", .max = 1, .help = "wait for a reply and print it"},
        [PUB_RAW] = {.name = "raw", .type = OPTION_BOOL, .value = "false", .max = 1, .help = "print a reply's bytes as they are"},
        [PUB_TIMEOUT] = {.name = "timeout", .type = OPTION_TIME, .value = "10s", .min = NS_PER_MS, .max = 86400 * NS_PER_S, .help = "how long the server, or a reply, may take"},
        [PUB_VERBOSE] = {.name = "verbose", .type = OPTION_BOOL, .value = "false", .max = 1, .help = "say what was published"},
};

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

#define ROW_ADMIN {.name = "admin", .type = OPTION_TEXT, .value = "127.0.0.1:8222", .help = "the engine's admin address: HOST:PORT or unix:PATH"}
#define ROW_JSON  {.name = "json", .type = OPTION_BOOL, .value = "false", .max = 1, .help = "print the JSON as it is"}

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

const struct option_set pub_options = {pub_rows, PUB_OPTIONS, true}, sub_options = {sub_rows, SUB_OPTIONS, true},
                        status_options = {status_rows, ASK_OPTIONS, true},
                        losses_options = {losses_rows, LOSSES_OPTIONS, true};

static const struct {
        const struct option_set *options;
        const char *name;
} client_commands[] = {
        {&pub_options, "pub"},
        {&sub_options, "sub"},
        {&status_options, "status"},
        {&losses_options, "losses"},
};

enum { COMMAND_PUB, COMMAND_SUB, COMMAND_STATUS, COMMAND_LOSSES };

/* No options: nobody is to write them on a command line. See login_of(). */
static const char *const secrets[] = {
#define SECRET(name, help) name,
        ENVIRONMENT_TABLE(SECRET)
#undef SECRET
                NULL,
};

#define HEADERS_MAX 64
#define PLACED_MAX 1024

/* What the command line holds. */
struct arguments {
        struct options options;
        const char *placed[PLACED_MAX]; /* arguments that are not options, in their order */
        size_t placed_count;
        const char *headers[HEADERS_MAX]; /* options.h joins a list by ',', which a header may hold: kept apart here */
        size_t headers_count;
};

__attribute__((format(printf, 3, 4))) static int tell(int code, const char *command, const char *format, ...)
{
        va_list arguments;
        fflush(stdout);
        fprintf(stderr, "spate %s: ", command);
        va_start(arguments, format);
        vfprintf(stderr, format, arguments);
        va_end(arguments);
        fputc('\n', stderr);
        return code;
}

static struct natslink_login login_of(const char *user)
{
        return (struct natslink_login){
                .user = user, .password = getenv("SPATE_PASSWORD"), .token = getenv("SPATE_TOKEN")};
}

/* Takes every --header out of argv[2..], before "--"; the rest moves together. */
static int take_headers(struct arguments *arguments, int *argc, char **argv, char error[OPTIONS_ERROR_BYTES])
{
        int kept = 2;
        bool is_over = false;
        for (int i = 2; i < *argc; i++) {
                const char *value = NULL;
                is_over = is_over || strcmp(argv[i], "--") == 0;
                if (!is_over && strcmp(argv[i], "--header") == 0 && i + 1 < *argc)
                        value = argv[++i];
                else if (!is_over && strncmp(argv[i], "--header=", 9) == 0)
                        value = argv[i] + 9;
                if (value == NULL)
                        argv[kept++] = argv[i];
                else if (arguments->headers_count < HEADERS_MAX)
                        arguments->headers[arguments->headers_count++] = value;
                else
                        return snprintf(error, OPTIONS_ERROR_BYTES, "more than %d headers", HEADERS_MAX), -EINVAL;
        }
        *argc = kept;
        return 0;
}

/* Options may stand before, between and behind the other arguments; "--" ends them. */
static int read_arguments(struct arguments *arguments, size_t command, int argc, char **argv,
                          char error[OPTIONS_ERROR_BYTES])
{
        bool is_over = false;
        int failed = options_read_environment(&arguments->options, environ, secrets, error);
        if (failed == 0 && command == COMMAND_PUB)
                failed = take_headers(arguments, &argc, argv, error);
        for (int at = 2; failed == 0 && at < argc;) {
                int next = at;
                if (!is_over)
                        failed = options_read_flags(&arguments->options, argc, argv, at, &next, error);
                is_over = is_over || (next > at && strcmp(argv[next - 1], "--") == 0);
                at = next;
                if (failed != 0 || at == argc)
                        break;
                if (arguments->placed_count == PLACED_MAX)
                        return snprintf(error, OPTIONS_ERROR_BYTES, "more than %d arguments", PLACED_MAX), -EINVAL;
                arguments->placed[arguments->placed_count++] = argv[at++];
        }
        return failed;
}

/* EXIT_OK, or a failure that was told. */
static int arguments_init(struct arguments *arguments, size_t command, int argc, char **argv)
{
        char error[OPTIONS_ERROR_BYTES] = "";
        *arguments = (struct arguments){0};
        if (options_init(&arguments->options, client_commands[command].options->rows,
                         client_commands[command].options->rows_count) != 0)
                return tell(EXIT_FAILED, client_commands[command].name, "no memory is left");
        if (read_arguments(arguments, command, argc, argv, error) != 0)
                return tell(EXIT_USAGE, client_commands[command].name, "%s", error);
        return EXIT_OK;
}

/* "what \"text\": why", with `text` made harmless. */
static int tell_about(const char *command, const char *what, const char *text, const char *why)
{
        char shown[160];
        log_quote(shown, sizeof shown, span_of_text(text));
        return tell(EXIT_USAGE, command, "%s %s: %s", what, text[0] == '\0' ? "\"\"" : shown, why);
}

static int close_stdout(const char *command, int code)
{
        if (fflush(stdout) != 0 || ferror(stdout))
                return code != EXIT_OK
                               ? code
                               : tell(EXIT_FAILED, command, "cannot write to standard output: %s", strerror(errno));
        return code;
}

static const char *plural(uint64_t count)
{
        return count == 1 ? "" : "s";
}

/* ---- pub ---- */

struct pub {
        struct arguments arguments;
        struct endpoint endpoint;
        struct natslink link;
        const char *subject, *reply;
        struct growing headers; /* the block with its first and its empty line; empty: none */
        uint64_t count;
        bool is_request, is_raw;
        char inbox[64]; /* of requests; a number of its own for each stands behind it */
        uint64_t published, published_bytes;
};

static int pub_header(struct pub *pub, const char *text)
{
        static const char form[] = "a header is \"Name: value\", without control characters";
        const char *colon = strchr(text, ':');
        if (colon == NULL || colon == text)
                return tell_about("pub", "--header", text, form);
        for (const char *at = text; *at != '\0'; at++)
                if (((unsigned char)*at < ' ' && *at != '\t') || *at == 0x7f ||
                    (at < colon && (*at == ' ' || *at == '\t')))
                        return tell_about("pub", "--header", text, form);
        if (pub->headers.size == 0)
                growing_add_text(&pub->headers, "NATS/1.0\r\n");
        growing_add(&pub->headers, span_of(text, (size_t)(colon - text)));
        growing_add_text(&pub->headers, ": ");
        colon++;
        growing_add_text(&pub->headers, colon + strspn(colon, " \t"));
        growing_add_text(&pub->headers, "\r\n");
        return EXIT_OK;
}

static int pub_check(struct pub *pub)
{
        const struct arguments *arguments = &pub->arguments;
        const struct options *options = &arguments->options;
        char error[ENDPOINT_ERROR_BYTES];
        bool lines = options_number(options, PUB_LINES) != 0;
        pub->count = options_number(options, PUB_COUNT);
        pub->is_request = options_number(options, PUB_REQUEST) != 0;
        pub->is_raw = options_number(options, PUB_RAW) != 0;
        pub->reply = options_text(options, PUB_REPLY);
        if (arguments->placed_count == 0)
                return tell(EXIT_USAGE, "pub", "to which subject? spate pub SUBJECT [PAYLOAD]; see spate pub --help");
        if (arguments->placed_count > 2)
                return tell_about("pub", "one argument too many,", arguments->placed[2],
                                  "put a payload with spaces into quotes");
        pub->subject = arguments->placed[0];
        if (!nats_subject_is_literal(span_of_text(pub->subject)))
                return tell_about("pub", "subject", pub->subject,
                                  "to publish, a subject has no empty token, no blank, and no * or > as a token");
        if (pub->reply[0] != '\0' && !nats_subject_is_literal(span_of_text(pub->reply)))
                return tell_about("pub", "--reply", pub->reply,
                                  "a subject has no empty token, no blank, and no * or > as a token here");
        if (pub->is_request && pub->reply[0] != '\0')
                return tell(EXIT_USAGE, "pub", "--request answers to an inbox of its own: leave out --reply");
        if (lines && arguments->placed_count > 1)
                return tell(EXIT_USAGE, "pub", "--lines reads the payloads from standard input: leave out PAYLOAD");
        if (lines && pub->count > 1)
                return tell(EXIT_USAGE, "pub", "--lines publishes each line once: leave out --count");
        if (pub->is_raw && !pub->is_request)
                return tell(EXIT_USAGE, "pub", "--raw is about a reply: it needs --request");
        if (options->values[PUB_HEADER].text[0] != '\0' && arguments->headers_count == 0 &&
            pub_header(pub, options_text(options, PUB_HEADER)) != EXIT_OK)
                return EXIT_USAGE;
        for (size_t i = 0; i < arguments->headers_count; i++)
                if (pub_header(pub, arguments->headers[i]) != EXIT_OK)
                        return EXIT_USAGE;
        if (pub->headers.size > 0)
                growing_add_text(&pub->headers, "\r\n");
        if (endpoint_parse(&pub->endpoint, options_text(options, PUB_SERVER), "nats://", "4222", error) != 0)
                return tell(EXIT_USAGE, "pub", "--server: %s", error);
        return EXIT_OK;
}

static int pub_failed(struct pub *pub, int code)
{
        return code == EXIT_OK ? EXIT_OK : tell(code, "pub", "%s", pub->link.error);
}

/* Writes one PUB or HPUB with `reply`, which may be empty. */
static void pub_write(struct pub *pub, const char *reply, struct span payload)
{
        char sizes[64];
        struct natslink *link = &pub->link;
        size_t headers_bytes = pub->headers.size;
        natslink_write(link, headers_bytes > 0 ? SPAN("HPUB ") : SPAN("PUB "));
        natslink_write(link, span_of_text(pub->subject));
        natslink_write(link, SPAN(" "));
        natslink_write(link, span_of_text(reply));
        if (headers_bytes > 0)
                snprintf(sizes, sizeof sizes, " %zu %zu\r\n", headers_bytes, headers_bytes + payload.size);
        else
                snprintf(sizes, sizeof sizes, " %zu\r\n", payload.size);
        natslink_write(link, span_of_text(sizes));
        if (headers_bytes > 0)
                natslink_write(link, span_of(pub->headers.bytes, headers_bytes));
        natslink_write(link, payload);
        natslink_write(link, SPAN("\r\n"));
        pub->published++;
        pub->published_bytes += payload.size;
}

static int pub_print_reply(struct pub *pub, const struct incoming *reply)
{
        if (incoming_status(reply->headers) == 503 && reply->payload.size == 0)
                return tell(EXIT_FAILED, "pub", "no responders: nobody subscribes to %s at %s", pub->subject,
                            pub->endpoint.text);
        if (pub->is_raw)
                fwrite(reply->payload.bytes, 1, reply->payload.size, stdout);
        else
                escape_print(stdout, reply->payload);
        fputc('\n', stdout);
        return close_stdout("pub", EXIT_OK);
}

static int pub_await_reply(struct pub *pub, const char *inbox)
{
        uint64_t until_ns = clock_monotonic_ns() + pub->link.timeout_ns;
        for (bool is_late = false;;) {
                struct incoming message;
                bool got;
                int code = natslink_take(&pub->link, &message, &got);
                if (code != EXIT_OK)
                        return pub_failed(pub, code);
                if (got && span_equal(message.subject, span_of_text(inbox)))
                        return pub_print_reply(pub, &message);
                if (!got && is_late)
                        return tell(EXIT_FAILED, "pub", "no reply within %" PRIu64 " ms (--timeout waits longer)",
                                    pub->link.timeout_ns / NS_PER_MS);
                if (!got)
                        is_late = natslink_wait(&pub->link, -1, until_ns) == 0 || clock_monotonic_ns() >= until_ns;
        }
}

static int pub_publish(struct pub *pub, struct span payload)
{
        size_t size = pub->headers.size + payload.size;
        if (size > pub->link.payload_bytes_max)
                return tell(
                        EXIT_FAILED, "pub",
                        "the event has %zu bytes or more%s and the server takes %zu (its max_payload): send less, or "
                        "start the server with a larger --max-payload",
                        size, pub->headers.size > 0 ? ", headers included," : "", pub->link.payload_bytes_max);
        for (uint64_t i = 0; i < pub->count; i++) {
                char inbox[sizeof pub->inbox + 24] = "";
                if (pub->is_request)
                        snprintf(inbox, sizeof inbox, "%s%" PRIu64, pub->inbox, pub->published);
                pub_write(pub, pub->is_request ? inbox : pub->reply, payload);
                int code =
                        pub->is_request ? pub_await_reply(pub, inbox) : pub_failed(pub, natslink_relieve(&pub->link));
                if (code != EXIT_OK)
                        return code;
        }
        return EXIT_OK;
}

/* Reads more of standard input to `in`, hearing the server meanwhile. */
static int pub_read(struct pub *pub, struct growing *in, bool *is_ended)
{
        for (;;) {
                struct incoming dropped;
                bool got;
                unsigned woken = natslink_wait(&pub->link, STDIN_FILENO, UINT64_MAX);
                do {
                        int code = natslink_take(&pub->link, &dropped, &got);
                        if (code != EXIT_OK)
                                return pub_failed(pub, code);
                } while (got);
                if ((woken & NATSLINK_OTHER) == 0)
                        continue;
                ssize_t size = read(STDIN_FILENO, growing_room(in, READ_BYTES), READ_BYTES);
                if (size < 0 && (errno == EINTR || errno == EAGAIN))
                        continue;
                if (size < 0)
                        return tell(EXIT_FAILED, "pub", "cannot read standard input: %s", strerror(errno));
                in->size += (size_t)size;
                *is_ended = size == 0;
                return EXIT_OK;
        }
}

/* One event a line; the last may lack its newline. What was read is sent before we wait for more. */
static int pub_lines(struct pub *pub, struct growing *in)
{
        size_t searched = 0;
        for (bool is_ended = false; !is_ended;) {
                size_t first = 0;
                int code = pub_read(pub, in, &is_ended);
                if (code != EXIT_OK)
                        return code;
                for (const uint8_t *end;
                     in->size > searched && (end = memchr(in->bytes + searched, '\n', in->size - searched)) != NULL;) {
                        size_t behind = (size_t)(end - in->bytes) + 1;
                        code = pub_publish(pub, span_of(in->bytes + first, behind - 1 - first));
                        if (code != EXIT_OK)
                                return code;
                        first = searched = behind;
                }
                growing_drop(in, first);
                searched = in->size;
                /* Too long already: pub_publish() refuses it, rather than reading on for ever. */
                if (in->size > 0 && (is_ended || in->size > pub->link.payload_bytes_max)) {
                        code = pub_publish(pub, span_of(in->bytes, in->size));
                        if (code != EXIT_OK)
                                return code;
                }
        }
        return EXIT_OK;
}

static int pub_whole(struct pub *pub, struct growing *in)
{
        if (isatty(STDIN_FILENO))
                tell(EXIT_OK, "pub", "type the payload; Ctrl-D ends it");
        for (bool is_ended = false; !is_ended && in->size <= pub->link.payload_bytes_max;) {
                int code = pub_read(pub, in, &is_ended);
                if (code != EXIT_OK)
                        return code;
        }
        return pub_publish(pub, span_of(in->bytes, in->size));
}

static int pub_run(struct pub *pub, struct growing *in)
{
        const struct arguments *arguments = &pub->arguments;
        const struct options *options = &arguments->options;
        struct natslink_login login = login_of(options_text(options, PUB_USER));
        int code = natslink_open(&pub->link, &pub->endpoint, "spate pub", &login, options_number(options, PUB_TIMEOUT));
        if (code != EXIT_OK)
                return pub_failed(pub, code);
        if (pub->headers.size > 0 && !pub->link.takes_headers)
                return tell(EXIT_FAILED, "pub", "the server at %s takes no headers: leave out --header",
                            pub->endpoint.text);
        if (pub->is_request) {
                char subscribe[128];
                uint64_t secret[2];
                random_secret(secret, sizeof secret);
                snprintf(pub->inbox, sizeof pub->inbox, "_INBOX.%016" PRIx64 "%016" PRIx64 ".", secret[0], secret[1]);
                snprintf(subscribe, sizeof subscribe, "SUB %s* 1\r\n", pub->inbox);
                natslink_write(&pub->link, span_of_text(subscribe));
        }
        if (options_number(options, PUB_LINES) != 0)
                code = pub_lines(pub, in);
        else if (arguments->placed_count < 2 || strcmp(arguments->placed[1], "-") == 0)
                code = pub_whole(pub, in);
        else
                code = pub_publish(pub, span_of_text(arguments->placed[1]));
        return code != EXIT_OK ? code : pub_failed(pub, natslink_settle(&pub->link));
}

int client_pub_main(int argc, char **argv)
{
        static struct pub pub;
        struct growing in = {0};
        pub = (struct pub){.link = {.fd = -1}};
        int code = arguments_init(&pub.arguments, COMMAND_PUB, argc, argv);
        if (code == EXIT_OK && (code = pub_check(&pub)) == EXIT_OK) {
                code = pub_run(&pub, &in);
                if (code == EXIT_OK && options_number(&pub.arguments.options, PUB_VERBOSE) != 0)
                        tell(EXIT_OK, "pub",
                             "published %" PRIu64 " event%s with %" PRIu64 " bytes of payload to %s at %s (version %s)",
                             pub.published, plural(pub.published), pub.published_bytes, pub.subject, pub.endpoint.text,
                             pub.link.version);
                else if (code != EXIT_OK && pub.published > 1)
                        tell(EXIT_OK, "pub",
                             "%" PRIu64 " events were sent before; how many the server took is not known",
                             pub.published);
        }
        natslink_close(&pub.link);
        growing_fini(&pub.headers);
        growing_fini(&in);
        options_fini(&pub.arguments.options);
        return code;
}

/* ---- sub ---- */

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
        struct natslink_login login = login_of(options_text(&sub->arguments.options, SUB_USER));
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
                return tell(EXIT_OK, "sub", "%" PRIu64 " event%s received", sub->received, plural(sub->received));
        return EXIT_OK;
}

int client_sub_main(int argc, char **argv)
{
        static struct sub sub;
        sub = (struct sub){.link = {.fd = -1}};
        int code = arguments_init(&sub.arguments, COMMAND_SUB, argc, argv);
        if (code == EXIT_OK && (code = sub_check(&sub)) == EXIT_OK)
                code = sub_run(&sub);
        natslink_close(&sub.link);
        options_fini(&sub.arguments.options);
        return is_stopped ? code : close_stdout("sub", code);
}

/* ---- what the admin address is asked ---- */

struct question {
        size_t command;
        const char *path;
        int (*print)(FILE *out, struct span json);
};

/* Sends the request and reads until the answer is whole. */
static int question_ask(const char *name, const char *path, int fd, const struct endpoint *endpoint,
                        uint64_t timeout_ns, struct growing *in, int *status, struct span *body)
{
        char request[512];
        uint64_t until_ns = clock_monotonic_ns() + timeout_ns;
        int size = snprintf(request, sizeof request,
                            "GET %s HTTP/1.1\r\nHost: %s\r\nAccept: application/json\r\nConnection: close\r\n\r\n",
                            path, endpoint->is_path ? "localhost" : endpoint->text);
        /* A fresh socket's buffer takes a request whole. */
        if (send(fd, request, (size_t)size, MSG_NOSIGNAL) != size)
                return tell(EXIT_UNREACHABLE, name, "%s does not take a request: %s", endpoint->text, strerror(errno));
        for (bool is_ended = false;;) {
                int found = statusview_body(span_of(in->bytes, in->size), is_ended, status, body);
                if (found == 1)
                        return EXIT_OK;
                if (found < 0 || in->size > STATUS_BYTES_MAX)
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
        const char *name = client_commands[question->command].name;
        if (status != 200)
                return tell(EXIT_FAILED, name,
                            "%s answered %s with HTTP %d; is it the admin address of this engine, and of this version?",
                            endpoint->text, question->path, status);
        if (options_number(&arguments->options, ASK_JSON) != 0) {
                fwrite(body.bytes, 1, body.size, stdout);
                if (body.size > 0 && body.bytes[body.size - 1] != '\n')
                        fputc('\n', stdout);
        } else if (question->print(stdout, body) != 0) {
                return tell(EXIT_FAILED, name, "what %s answered to %s is not what this engine says", endpoint->text,
                            question->path);
        }
        return close_stdout(name, EXIT_OK);
}

static int question_run(const struct question *question, const struct arguments *arguments)
{
        const char *name = client_commands[question->command].name;
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
        if (question->command == COMMAND_LOSSES)
                snprintf(path, sizeof path, "%s?limit=%" PRIu64, question->path,
                         options_number(&arguments->options, LOSSES_LIMIT));
        else
                snprintf(path, sizeof path, "%s", question->path);
        int code = question_ask(name, path, fd, &endpoint, timeout_ns, &in, &status, &body);
        if (code == EXIT_OK)
                code = question_show(question, arguments, &endpoint, body, status);
        close(fd);
        growing_fini(&in);
        return code;
}

static int question_main(const struct question *question, int argc, char **argv)
{
        static struct arguments arguments;
        int code = arguments_init(&arguments, question->command, argc, argv);
        if (code == EXIT_OK)
                code = question_run(question, &arguments);
        options_fini(&arguments.options);
        return code;
}

int client_status_main(int argc, char **argv)
{
        return question_main(&(struct question){COMMAND_STATUS, "/status", statusview_print}, argc, argv);
}

int client_losses_main(int argc, char **argv)
{
        return question_main(&(struct question){COMMAND_LOSSES, "/losses", lossview_print}, argc, argv);
}
