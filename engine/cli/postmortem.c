/* postmortem: see the header. Texts of the file are escaped: they end up on a terminal. */
#include "engine/cli/postmortem.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "engine/base/clock.h"
#include "engine/cli/arguments.h"
#include "engine/cli/ask.h"
#include "engine/cli/client_rows.h"
#include "engine/cli/escape.h"
#include "engine/cli/postmortemfile.h"
#include "engine/cli/tell.h"
#include "engine/exit_table.h"

/* clang-format off */
enum { POSTMORTEM_ADMIN, POSTMORTEM_JSON, POSTMORTEM_TIMEOUT, POSTMORTEM_NOW, POSTMORTEM_LIMIT, POSTMORTEM_REACTOR, POSTMORTEM_OPTIONS };
static const struct option_row rows[POSTMORTEM_OPTIONS] = {
        [POSTMORTEM_ADMIN] = ROW_ADMIN, /* these three stand as ask.c has them */
        [POSTMORTEM_JSON] = ROW_JSON,
        [POSTMORTEM_TIMEOUT] = ROW_TIMEOUT,
        [POSTMORTEM_NOW] = {.name = "now", .type = OPTION_BOOL, .value = "false", .max = 1, .help = "have the engine at --admin write a file now, and print where"},
        [POSTMORTEM_LIMIT] = {.name = "limit", .type = OPTION_COUNT, .value = "200", .max = 1000000000, .help = "print the last so many of what was recorded; 0: all"},
        [POSTMORTEM_REACTOR] = {.name = "reactor", .type = OPTION_COUNT, .value = "all", .max = POSTMORTEM_REACTORS_MAX - 1, .choices = "all", .help = "of this reactor only"},
};
/* clang-format on */

const struct option_set postmortem_options = {rows, POSTMORTEM_OPTIONS, false};

#define REASON_ROW(id, name, meaning) [POSTMORTEM_##id] = {name, meaning},
static const struct {
        const char *name, *meaning;
} reasons[] = {POSTMORTEM_REASON_TABLE(REASON_ROW)};
#undef REASON_ROW

/* ---- times ---- */

#define TIME_BYTES 40

/* "2026-11-21T09:30:00.123456Z" of a moment of the monotonic clock. */
static const char *time_text(const struct postmortem_header *header, uint64_t time_ns, char text[TIME_BYTES])
{
        /* Modulo 2^64, whatever a damaged file says. */
        uint64_t unix_ns = header->unix_ns - (header->monotonic_ns - time_ns);
        time_t seconds = (time_t)(unix_ns / NS_PER_S);
        struct tm utc;
        size_t size = gmtime_r(&seconds, &utc) == NULL ? 0 : strftime(text, TIME_BYTES - 8, "%Y-%m-%dT%H:%M:%S", &utc);
        snprintf(text + size, TIME_BYTES - size, ".%06uZ", (unsigned)(unix_ns % NS_PER_S / NS_PER_US));
        return text;
}

/* ---- what is shown ---- */

struct shown {
        const struct postmortemfile *file;
        size_t first;     /* row */
        uint64_t reactor; /* UINT64_MAX: all */
        size_t count, left_out;
};

static bool is_shown(const struct shown *shown, const struct postmortem_row *row)
{
        return shown->reactor == UINT64_MAX || row->reactor == shown->reactor;
}

static struct shown shown_of(const struct postmortemfile *file, const struct options *options)
{
        uint64_t limit = options_number(options, POSTMORTEM_LIMIT);
        bool is_all = strcmp(options_text(options, POSTMORTEM_REACTOR), "all") == 0;
        struct shown shown = {.file = file,
                              .first = file->rows_count,
                              .reactor = is_all ? UINT64_MAX : options_number(options, POSTMORTEM_REACTOR)};
        size_t wanted = 0;
        for (size_t i = file->rows_count; i-- > 0;) {
                if (!is_shown(&shown, &file->rows[i]))
                        continue;
                wanted++;
                if (limit == 0 || wanted <= limit) {
                        shown.first = i;
                        shown.count++;
                }
        }
        shown.left_out = wanted - shown.count;
        return shown;
}

/* ---- for people ---- */

static void print_who(uint64_t who)
{
        printf("connection=%" PRIu64, who);
}

static void print_field(struct span field, uint64_t number)
{
        struct span value, name = postmortemfile_field(field, number, &value);
        if (name.size == 0)
                return;
        printf(" ");
        escape_print(stdout, name);
        printf("=");
        if (value.size > 0)
                escape_print(stdout, value);
        else
                printf("%" PRIu64, number);
}

static void print_row(const struct postmortemfile *file, const struct postmortem_row *row)
{
        const struct postmortem_kind *kind = &file->kinds[row->kind];
        char text[TIME_BYTES];
        printf("%s  %2u  ", time_text(&file->header, row->time_ns, text), row->reactor);
        if (kind->name.size > 0)
                escape_print(stdout, kind->name);
        else
                printf("kind-%u", row->kind);
        if (row->who != 0) {
                printf(" ");
                print_who(row->who);
        }
        print_field(kind->number, row->number);
        print_field(kind->more, row->more);
        putchar('\n');
}

static void print_place(const struct postmortem_header *header, uint64_t place)
{
        if (place >= header->base && place - header->base < (uint64_t)1 << 28)
                printf("spate+0x%" PRIx64, place - header->base);
        else
                printf("0x%" PRIx64, place);
}

static void print_crash(const struct postmortemfile *file)
{
        const struct postmortem_header *header = &file->header;
        const char *name = header->signal > 0 && header->signal < NSIG ? sigabbrev_np(header->signal) : NULL;
        printf("signal  %s%s (%d), address 0x%" PRIx64 ", code at ", name != NULL ? "SIG" : "",
               name != NULL ? name : "?", header->signal, header->address);
        print_place(header, header->place);
        printf("\nthread  %" PRIu32 " ", header->thread);
        escape_print(stdout, span_of_text(header->thread_name));
        if (header->reactor != POSTMORTEM_NOBODY)
                printf(", which turns reactor %" PRIu32, header->reactor);
        putchar('\n');
        if (file->trace_count > 0)
                printf("trace  ");
        for (size_t i = 0; i < file->trace_count; i++) {
                printf(" ");
                print_place(header, file->trace[i]);
        }
        if (file->trace_count > 0)
                printf("\n        (addr2line -fe spate ADDRESS names them)\n");
}

static void print_reactor(const struct postmortemfile *file, const struct postmortem_reactor *reactor)
{
        const uint64_t *now = reactor->now;
        struct span step = now[FLIGHT_STEP] < POSTMORTEMFILE_NAMES ? file->steps[now[FLIGHT_STEP]] : SPAN_NONE;
        printf("reactor %" PRIu64 ": turn %" PRIu64 ", begun %.6f s before, ", reactor->number, now[FLIGHT_TURN],
               (double)(int64_t)(file->header.monotonic_ns - now[FLIGHT_TURN_BEGAN]) / (double)NS_PER_S);
        if (step.size > 0)
                escape_print(stdout, step);
        else
                printf("step %" PRIu64, now[FLIGHT_STEP]);
        if (now[FLIGHT_AT] != 0) {
                printf(" of ");
                print_who(now[FLIGHT_AT]);
        }
        printf(", thread %" PRIu64 "\n", now[FLIGHT_THREAD]);
}

static void print_text(const struct shown *shown)
{
        const struct postmortemfile *file = shown->file;
        const struct postmortem_header *header = &file->header;
        char text[TIME_BYTES];
        printf("spate ");
        escape_print(stdout, span_of_text(header->version));
        printf(", process %" PRIu32 ": %s", header->pid, reasons[header->reason].meaning);
        if (header->reason == POSTMORTEM_STUCK)
                printf(" (%" PRIu32 ")", header->reactor);
        printf("\nat      %s, %.1f s after its start\n", time_text(header, header->monotonic_ns, text),
               (double)(int64_t)(header->unix_ns - header->started_unix_ns) / (double)NS_PER_S);
        if (header->reason == POSTMORTEM_CRASH)
                print_crash(file);
        for (size_t i = 0; i < file->reactors_count; i++)
                print_reactor(file, &file->reactors[i]);
        putchar('\n');
        if (shown->left_out > 0)
                printf("(%zu earlier ones are left out; --limit 0 prints all)\n", shown->left_out);
        for (size_t i = shown->first; i < file->rows_count; i++)
                if (is_shown(shown, &file->rows[i]))
                        print_row(file, &file->rows[i]);
}

/* ---- for programs ---- */

static json_t *json_of_span(struct span text)
{
        json_t *json = json_stringn((const char *)text.bytes, text.size);
        return json != NULL ? json : json_string("?"); /* no UTF-8 */
}

/* Numbers that are more than JSON's 2^63 are nobody's; the file is damaged there. */
static json_t *json_of_number(uint64_t number)
{
        return json_integer((json_int_t)number);
}

static void json_add_field(json_t *json, struct span field, uint64_t number)
{
        struct span value, name = postmortemfile_field(field, number, &value);
        char key[64];
        if (name.size == 0 || name.size >= sizeof key)
                return;
        snprintf(key, sizeof key, "%.*s", (int)name.size, (const char *)name.bytes);
        json_object_set_new(json, key, value.size > 0 ? json_of_span(value) : json_of_number(number));
}

static json_t *json_of_row(const struct postmortemfile *file, const struct postmortem_row *row)
{
        const struct postmortem_kind *kind = &file->kinds[row->kind];
        char text[TIME_BYTES];
        json_t *json = json_object();
        json_object_set_new(json, "at", json_string(time_text(&file->header, row->time_ns, text)));
        json_object_set_new(json, "reactor", json_of_number(row->reactor));
        json_object_set_new(json, "what", kind->name.size > 0 ? json_of_span(kind->name) : json_of_number(row->kind));
        if (row->who != 0)
                json_object_set_new(json, "connection", json_of_number(row->who));
        json_add_field(json, kind->number, row->number);
        json_add_field(json, kind->more, row->more);
        return json;
}

static json_t *json_of_reactor(const struct postmortemfile *file, const struct postmortem_reactor *reactor)
{
        const uint64_t *now = reactor->now;
        struct span step = now[FLIGHT_STEP] < POSTMORTEMFILE_NAMES ? file->steps[now[FLIGHT_STEP]] : SPAN_NONE;
        char text[TIME_BYTES];
        json_t *json = json_object();
        json_object_set_new(json, "reactor", json_of_number(reactor->number));
        json_object_set_new(json, "thread", json_of_number(now[FLIGHT_THREAD]));
        json_object_set_new(json, "turn", json_of_number(now[FLIGHT_TURN]));
        json_object_set_new(json, "turn_began", json_string(time_text(&file->header, now[FLIGHT_TURN_BEGAN], text)));
        json_object_set_new(json, "step", step.size > 0 ? json_of_span(step) : json_of_number(now[FLIGHT_STEP]));
        if (now[FLIGHT_AT] != 0)
                json_object_set_new(json, "connection", json_of_number(now[FLIGHT_AT]));
        return json;
}

static json_t *json_of_crash(const struct postmortemfile *file)
{
        const struct postmortem_header *header = &file->header;
        json_t *json = json_object(), *trace = json_array();
        json_object_set_new(json, "signal", json_integer(header->signal));
        json_object_set_new(json, "address", json_of_number(header->address));
        json_object_set_new(json, "place", json_of_number(header->place - header->base));
        json_object_set_new(json, "thread", json_of_number(header->thread));
        json_object_set_new(json, "thread_name", json_of_span(span_of_text(header->thread_name)));
        for (size_t i = 0; i < file->trace_count; i++)
                json_array_append_new(trace, json_of_number(file->trace[i] - header->base));
        json_object_set_new(json, "trace", trace);
        return json;
}

static int print_json(const struct shown *shown)
{
        const struct postmortemfile *file = shown->file;
        const struct postmortem_header *header = &file->header;
        char text[TIME_BYTES];
        json_t *json = json_object(), *reactors = json_array(), *events = json_array();
        json_object_set_new(json, "version", json_of_span(span_of_text(header->version)));
        json_object_set_new(json, "pid", json_of_number(header->pid));
        json_object_set_new(json, "reason", json_string(reasons[header->reason].name));
        json_object_set_new(json, "at", json_string(time_text(header, header->monotonic_ns, text)));
        json_object_set_new(json, "is_whole", json_boolean(!file->is_cut));
        if (header->reactor != POSTMORTEM_NOBODY)
                json_object_set_new(json, "reactor", json_of_number(header->reactor));
        if (header->reason == POSTMORTEM_CRASH)
                json_object_set_new(json, "crash", json_of_crash(file));
        for (size_t i = 0; i < file->reactors_count; i++)
                json_array_append_new(reactors, json_of_reactor(file, &file->reactors[i]));
        for (size_t i = shown->first; i < file->rows_count; i++)
                if (is_shown(shown, &file->rows[i]))
                        json_array_append_new(events, json_of_row(file, &file->rows[i]));
        json_object_set_new(json, "reactors", reactors);
        json_object_set_new(json, "left_out", json_of_number(shown->left_out));
        json_object_set_new(json, "events", events);
        int failed = json_dumpf(json, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
        json_decref(json);
        putchar('\n');
        return failed;
}

/* ---- the command ---- */

static int show_file(const char *path, const struct options *options)
{
        static struct postmortemfile file;
        char error[POSTMORTEMFILE_ERROR_BYTES];
        int code = EXIT_OK;
        if (postmortemfile_read(&file, path, error) != 0) {
                postmortemfile_fini(&file);
                tell_about("postmortem", "cannot read", path, error);
                return EXIT_FAILED;
        }
        struct shown shown = shown_of(&file, options);
        if (options_number(options, POSTMORTEM_JSON) != 0)
                print_json(&shown);
        else
                print_text(&shown);
        fflush(stdout);
        if (file.is_cut)
                code = tell(EXIT_FAILED, "postmortem",
                            "the file ends in its middle, at %zu of %" PRIu64
                            " bytes: what is printed is what there is",
                            file.size, file.header.file_bytes);
        postmortemfile_fini(&file);
        return tell_unwritten("postmortem", code);
}

static int postmortem_run(const struct arguments *arguments)
{
        const struct options *options = &arguments->options;
        if (options_number(options, POSTMORTEM_NOW) != 0)
                return ask_postmortem(&postmortem_options, arguments);
        if (arguments->placed_count == 0)
                return tell(EXIT_USAGE, "postmortem", "which file? Or --now, to have a running engine write one");
        if (arguments->placed_count > 1)
                return tell_about("postmortem", "one argument too many,", arguments->placed[1],
                                  "this command takes one file; see --help");
        return show_file(arguments->placed[0], options);
}

int postmortem_main(int argc, char **argv)
{
        static struct arguments arguments;
        int code = arguments_init(&arguments, "postmortem", &postmortem_options, argc, argv);
        if (code == EXIT_OK)
                code = postmortem_run(&arguments);
        arguments_fini(&arguments);
        return code;
}
