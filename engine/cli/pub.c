/* pub: what is said about a run of the command goes to standard error, a reply to standard output. See the header. */
#include "engine/cli/pub.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "engine/base/random.h"
#include "engine/cli/arguments.h"
#include "engine/cli/client_rows.h"
#include "engine/cli/escape.h"
#include "engine/cli/natslink.h"
#include "engine/cli/tell.h"
#include "engine/exit_table.h"
#include "io/wire/nats.h"

#define READ_BYTES ((size_t)64 << 10)
#define COUNT_MAX UINT64_C(1000000000000)
#define HEADERS_MAX 64

/* clang-format off */
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
/* clang-format on */

const struct option_set pub_options = {pub_rows, PUB_OPTIONS, true};

static const char *plural(uint64_t count)
{
        return count == 1 ? "" : "s";
}

struct pub {
        struct arguments arguments;
        struct endpoint endpoint;
        struct natslink link;
        const char *subject, *reply;
        const char *header_texts[HEADERS_MAX]; /* as --header has them; borrowed */
        size_t header_texts_count;
        struct growing headers; /* the block with its first and its empty line; empty: none */
        uint64_t count;
        bool is_request, is_raw;
        char inbox[64]; /* of requests; a number of its own for each stands behind it */
        uint64_t published, published_bytes;
};

/* options.h joins a list by ',', which a header may hold: takes every --header out of argv[2..], before "--"; the rest
 * moves together. */
static int take_headers(struct pub *pub, int *argc, char **argv)
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
                else if (pub->header_texts_count < HEADERS_MAX)
                        pub->header_texts[pub->header_texts_count++] = value;
                else
                        return tell(EXIT_USAGE, "pub", "more than %d headers", HEADERS_MAX);
        }
        *argc = kept;
        return EXIT_OK;
}

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
        if (options->values[PUB_HEADER].text[0] != '\0' && pub->header_texts_count == 0 &&
            pub_header(pub, options_text(options, PUB_HEADER)) != EXIT_OK)
                return EXIT_USAGE;
        for (size_t i = 0; i < pub->header_texts_count; i++)
                if (pub_header(pub, pub->header_texts[i]) != EXIT_OK)
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
        return tell_unwritten("pub", EXIT_OK);
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
        struct natslink_login login = natslink_login_of(options_text(options, PUB_USER));
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

int pub_main(int argc, char **argv)
{
        static struct pub pub;
        struct growing in = {0};
        pub = (struct pub){.link = {.fd = -1}};
        int code = take_headers(&pub, &argc, argv);
        if (code == EXIT_OK)
                code = arguments_init(&pub.arguments, "pub", &pub_options, argc, argv);
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
        arguments_fini(&pub.arguments);
        return code;
}
