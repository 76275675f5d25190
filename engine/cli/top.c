/* top: asks the admin address for a few small answers, one after the other on one connection, and shows them; then it
 * waits for the rest of the interval. See the header.
 *
 *      round:  /status → /connections?sort=pending → /cohorts → /losses → page
 *
 * It must not disturb what it looks at: never more than one question is out, an answer that an engine does not have is
 * not asked for again, and where answering takes long, the pause gets longer: asking is at most a tenth of the time.
 * An engine that goes away leaves the page where it is; it is tried again each interval. */
#include "engine/cli/top.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/cli/adminlink.h"
#include "engine/cli/arguments.h"
#include "engine/cli/client_rows.h"
#include "engine/cli/tell.h"
#include "engine/cli/terminal.h"
#include "engine/cli/topformat.h"
#include "engine/cli/topview.h"
#include "engine/exit_table.h"

#define BUSY_PART 10 /* answers may take one of so many parts of the time */
#define NOTICE_NS (10 * NS_PER_S)
#define RETRY_NS_MIN (NS_PER_S / 2)
#define CONNECT_NS_MAX NS_PER_S /* the page stands still while a connection is made */
#define PLAIN_WIDTH 120
#define PLAIN_HEIGHT 100
#define KEPT_ROWS "20" /* of each list, of each reactor */

/* clang-format off */
enum { TOP_ADMIN, TOP_INTERVAL, TOP_COUNT, TOP_ONCE, TOP_JSON, TOP_TIMEOUT, TOP_OPTIONS };
static const struct option_row top_rows[TOP_OPTIONS] = {
        [TOP_ADMIN] = ROW_ADMIN,
        [TOP_INTERVAL] = {.name = "interval", .type = OPTION_TIME, .value = "1s", .min = NS_PER_S / 10, .max = 3600 * NS_PER_S, .help = "ask so often"},
        [TOP_COUNT] = {.name = "count", .type = OPTION_COUNT, .value = "0", .max = 1000000000, .help = "end after so many pages; 0: never, or after one where standard output is no terminal"},
        [TOP_ONCE] = {.name = "once", .type = OPTION_BOOL, .value = "false", .max = 1, .help = "print one page as plain text, of two samples an interval apart, and end"},
        [TOP_JSON] = {.name = "json", .type = OPTION_BOOL, .value = "false", .max = 1, .help = "print pages as lines of JSON: totals, rates, tables"},
        [TOP_TIMEOUT] = {.name = "timeout", .type = OPTION_TIME, .value = "5s", .min = NS_PER_MS, .max = 600 * NS_PER_S, .help = "how long the engine may take for one answer"},
};
/* clang-format on */

const struct option_set top_options = {top_rows, TOP_OPTIONS, true};

/* What a round asks. An engine of another version may not have all of it. */
static const struct {
        const char *path;
        void (*take)(struct topsample *sample, struct span json); /* NULL: the status itself */
} questions[] = {
        {"/status", NULL},
        {"/connections?sort=pending&limit=" KEPT_ROWS, topsample_laggards},
        {"/cohorts?limit=" KEPT_ROWS, topsample_cohorts},
        {"/losses?limit=" KEPT_ROWS, topsample_losses},
};

struct top {
        struct arguments arguments;
        struct adminlink link;
        uint64_t interval_ns;
        uint64_t paced_ns; /* between the starts of two rounds, as the engine's answers allow; 0: the interval */

        struct topsample *asked, *now, *before; /* owned; asked: of the round that is under way */
        struct toprates *rates;                 /* owned; of before to now */
        struct tophistory *history;             /* owned */
        size_t samples_count, pages_count;
        bool is_untold[array_count(questions)];

        bool is_asking;
        size_t question; /* of the round under way */
        uint64_t round_ns, next_ns;

        bool is_lost;
        char lost_since[16];
        char trouble[ENDPOINT_ERROR_BYTES];
        char notice[96];
        uint64_t notice_until_ns;

        bool is_page;   /* the live one, on a terminal */
        bool is_open;   /* and it has the terminal: behind the first answer */
        bool is_stale;  /* what is shown is not what there is to show */
        bool is_redraw; /* nobody knows what the terminal shows */
        bool is_over, is_utf8, has_colours;
        bool is_paused, is_help, is_by_load;
        enum toptable focus;
        struct canvas shown; /* what the terminal shows */
        struct growing out;
};

static const char *time_of_day(char out[16])
{
        time_t now = time(NULL);
        struct tm parts;
        if (localtime_r(&now, &parts) == NULL || strftime(out, 16, "%H:%M:%S", &parts) == 0)
                strcpy(out, "-");
        return out;
}

static double seconds_of(uint64_t ns)
{
        return (double)ns / 1e9;
}

/* ---- samples ---- */

static void notice(struct top *top, const char *what)
{
        char now[16];
        snprintf(top->notice, sizeof top->notice, "%s at %s", what, time_of_day(now));
        top->notice_until_ns = clock_monotonic_ns() + NOTICE_NS;
}

/* The round is whole. */
static void take_sample(struct top *top)
{
        struct topsample *oldest = top->before;
        if (top->samples_count > 0 && strcmp(top->asked->server_id, top->now->server_id) != 0)
                notice(top, "the engine was started anew; noticed");
        else if (top->is_lost)
                notice(top, "the engine answers again, since");
        top->before = top->now;
        top->now = top->asked;
        top->asked = oldest;
        toprates_of(top->rates, top->now, top->samples_count > 0 ? top->before : NULL);
        top->samples_count++;
        if (!isnan(top->rates->seconds)) {
                struct tophistory_point point = {
                        .end_s = seconds_of(top->round_ns),
                        .seconds = top->rates->seconds,
                        .rate = {[TOPHISTORY_EVENTS] = top->rates->totals.events_received,
                                 [TOPHISTORY_DELIVERIES] = top->rates->totals.deliveries_released},
                };
                tophistory_add(top->history, &point);
        }
        top->is_lost = false;
        top->trouble[0] = '\0';
}

/* ---- asking ---- */

static const uint64_t intervals_ns[] = {NS_PER_S / 10, NS_PER_S / 5,  NS_PER_S / 2,  NS_PER_S,      2 * NS_PER_S,
                                        5 * NS_PER_S,  10 * NS_PER_S, 30 * NS_PER_S, 60 * NS_PER_S, 300 * NS_PER_S};

/* The interval, or the next longer one that leaves the engine alone for most of the time. */
static uint64_t pace(uint64_t interval_ns, uint64_t answering_ns)
{
        uint64_t least_ns = answering_ns * BUSY_PART;
        if (least_ns <= interval_ns)
                return 0;
        for (size_t i = 0; i < array_count(intervals_ns); i++)
                if (intervals_ns[i] > interval_ns && intervals_ns[i] >= least_ns)
                        return intervals_ns[i];
        return least_ns;
}

static void lose(struct top *top, const char *why)
{
        if (!top->is_lost)
                time_of_day(top->lost_since);
        top->is_lost = true;
        snprintf(top->trouble, sizeof top->trouble, "%s", why);
        top->is_asking = false;
        top->is_stale = true;
        /* Who comes back may be another version. */
        memset(top->is_untold, 0, sizeof top->is_untold);
        uint64_t wait_ns = top->interval_ns < RETRY_NS_MIN ? RETRY_NS_MIN : top->interval_ns;
        top->next_ns = clock_monotonic_ns() + (wait_ns > 5 * NS_PER_S ? 5 * NS_PER_S : wait_ns);
}

static void end_round(struct top *top)
{
        uint64_t now_ns = clock_monotonic_ns();
        top->is_asking = false;
        top->paced_ns = pace(top->interval_ns, now_ns - top->round_ns);
        /* The next beat of the interval, not the interval from now on: so samples stay evenly apart. */
        top->next_ns = top->paced_ns > 0 ? top->round_ns + top->paced_ns : top->next_ns + top->interval_ns;
        if (top->next_ns < now_ns)
                top->next_ns = now_ns;
        take_sample(top);
        top->is_stale = true;
}

/* Asks the next question that the engine may know; behind the last, the round ends. */
static void ask_next(struct top *top)
{
        while (top->question < array_count(questions) && top->is_untold[top->question])
                top->question++;
        if (top->question == array_count(questions)) {
                end_round(top);
                return;
        }
        if (adminlink_ask(&top->link, questions[top->question].path) != 0)
                lose(top, top->link.error);
}

static void begin_round(struct top *top)
{
        top->round_ns = clock_monotonic_ns();
        if (top->next_ns == 0)
                top->next_ns = top->round_ns;
        top->is_asking = true;
        top->question = 0;
        ask_next(top);
}

static void take_answers(struct top *top)
{
        while (top->is_asking) {
                int status;
                struct span body;
                int taken = adminlink_take(&top->link, &status, &body);
                if (taken == 0)
                        return;
                if (taken < 0) {
                        lose(top, top->link.error);
                        return;
                }
                bool is_first = questions[top->question].take == NULL;
                if (is_first && (status != 200 || topsample_status(top->asked, body) != 0)) {
                        char why[ENDPOINT_ERROR_BYTES];
                        snprintf(why, sizeof why,
                                 "%s answers, but not as the admin address of an engine does (HTTP %d); is it what "
                                 "--admin of the engine names?",
                                 top->link.endpoint.text, status);
                        lose(top, why);
                        return;
                }
                if (!is_first && status == 200)
                        questions[top->question].take(top->asked, body);
                /* Too many questions at once (503) is a moment's trouble; anything else will stay so. */
                else if (!is_first && status != 503)
                        top->is_untold[top->question] = true;
                top->question++;
                ask_next(top);
        }
}

/* ---- the page ---- */

static void draw(struct top *top, struct canvas *canvas, bool is_plain)
{
        char now[16];
        struct topview view = {
                .sample = top->samples_count > 0 ? top->now : NULL,
                .rates = top->rates,
                .history = top->history,
                .now_s = seconds_of(top->round_ns),
                .interval_s = seconds_of(top->interval_ns),
                .paced_s = seconds_of(top->paced_ns),
                .address = top->link.endpoint.text,
                .clock = time_of_day(now),
                .unreachable_since = top->is_lost ? top->lost_since : NULL,
                .trouble = top->is_lost ? top->trouble : NULL,
                .notice = clock_monotonic_ns() < top->notice_until_ns ? top->notice : NULL,
                .focus = top->focus,
                .is_by_load = top->is_by_load,
                .is_paused = top->is_paused,
                .is_help = top->is_help,
                .is_plain = is_plain,
        };
        topview_draw(&view, canvas);
}

static size_t between(size_t value, size_t min, size_t max)
{
        return value < min ? min : value > max ? max : value;
}

/* 0 or an exit code. */
static int show_page(struct top *top)
{
        struct canvas canvas;
        size_t width, height;
        terminal_size(&width, &height);
        if (canvas_init(&canvas, between(width, 1, CANVAS_WIDTH_MAX), between(height, 1, CANVAS_HEIGHT_MAX),
                        top->is_utf8) != 0)
                return tell(EXIT_FAILED, "top", "no memory is left");
        draw(top, &canvas, false);
        top->out.size = 0;
        bool is_same_size = canvas.width == top->shown.width && canvas.height == top->shown.height;
        bool is_known = is_same_size && !top->is_redraw;
        if (!is_known)
                growing_add_text(&top->out, "\x1b[0m\x1b[2J");
        canvas_write(&canvas, is_known ? &top->shown : NULL, top->has_colours, &top->out);
        canvas_fini(&top->shown);
        top->shown = canvas;
        int failed = terminal_write(span_of(top->out.bytes, top->out.size));
        top->is_redraw = failed != 0; /* a part of it may be there */
        top->is_stale = failed == -EINTR;
        return failed == 0 || failed == -EINTR ? EXIT_OK : EXIT_FAILED;
}

static int print_page(struct top *top)
{
        struct canvas canvas;
        size_t width = PLAIN_WIDTH, height;
        const char *columns = getenv("COLUMNS");
        if (columns != NULL && atoi(columns) > 0)
                width = (size_t)atoi(columns);
        else if (isatty(STDOUT_FILENO))
                terminal_size(&width, &height);
        if (canvas_init(&canvas, between(width, TOPVIEW_WIDTH_MIN, CANVAS_WIDTH_MAX), PLAIN_HEIGHT, top->is_utf8) != 0)
                return tell(EXIT_FAILED, "top", "no memory is left");
        draw(top, &canvas, true);
        top->out.size = 0;
        if (top->pages_count > 0)
                growing_add_text(&top->out, "\n");
        canvas_print(&canvas, &top->out);
        canvas_fini(&canvas);
        fwrite(top->out.bytes, 1, top->out.size, stdout);
        return EXIT_OK;
}

static int print_json(struct top *top)
{
        struct topview view = {.sample = top->now, .rates = top->rates};
        char *text = topview_json(&view);
        if (text == NULL)
                return tell(EXIT_FAILED, "top", "no memory is left");
        puts(text);
        free(text);
        return EXIT_OK;
}

/* ---- keys ---- */

static void change_interval(struct top *top, int step)
{
        uint64_t changed_ns = top->interval_ns;
        for (size_t i = 0; i < array_count(intervals_ns); i++) {
                if (step > 0 && intervals_ns[i] > top->interval_ns) {
                        changed_ns = intervals_ns[i];
                        break;
                }
                if (step < 0 && intervals_ns[i] < top->interval_ns)
                        changed_ns = intervals_ns[i];
        }
        top->interval_ns = changed_ns;
        top->paced_ns = top->paced_ns > changed_ns ? top->paced_ns : 0;
        if (!top->is_asking && !top->is_lost && top->round_ns != 0)
                top->next_ns = top->round_ns + (top->paced_ns > 0 ? top->paced_ns : changed_ns);
}

static void press(struct top *top, uint8_t key)
{
        top->is_stale = true;
        if (key == 'q' || key == 'Q' || key == 3 || key == 4) {
                top->is_over = true;
                return;
        }
        if (top->is_help) {
                top->is_help = false;
                return;
        }
        if (key == ' ') {
                top->is_paused = !top->is_paused;
                if (!top->is_asking)
                        top->next_ns = clock_monotonic_ns();
        } else if (key == '?' || key == 'h') {
                top->is_help = true;
        } else if (key == '+' || key == '=') {
                change_interval(top, 1);
        } else if (key == '-' || key == '_') {
                change_interval(top, -1);
        } else if (key == 's' || key == '\t') {
                top->focus = (enum toptable)((top->focus + 1) % TOPTABLES);
        } else if (key >= '1' && key < '1' + TOPTABLES) {
                top->focus = (enum toptable)(key - '1');
        } else if (key == 'o') {
                top->is_by_load = !top->is_by_load;
        } else if (key == 'r') {
                tophistory_reset_peak(top->history);
        } else if (key == 12) { /* Ctrl-L */
                top->is_redraw = true;
        }
}

/* Keys that send several bytes (arrows, the mouse of another program) are none of ours. */
static bool press_all(struct top *top)
{
        uint8_t bytes[64];
        ssize_t got = terminal_read(bytes, sizeof bytes);
        for (ssize_t i = 0; i < got && !top->is_over; i++) {
                if (bytes[i] == 0x1b)
                        break;
                press(top, bytes[i]);
        }
        return got >= 0;
}

/* ---- the loop ---- */

static int wait_ms(const struct top *top, uint64_t now_ns)
{
        uint64_t until_ns = top->is_asking ? top->link.until_ns : top->next_ns;
        if (top->is_paused && !top->is_asking)
                return -1;
        if (until_ns <= now_ns)
                return 0;
        return (int)((until_ns - now_ns) / NS_PER_MS) + 1;
}

/* How many pages there will be; 0: no end. */
static uint64_t pages_wanted(const struct top *top)
{
        uint64_t count = options_number(&top->arguments.options, TOP_COUNT);
        if (options_number(&top->arguments.options, TOP_ONCE) != 0)
                return 1;
        return count == 0 && !top->is_page ? 1 : count;
}

/* A whole round has been taken; the first has no rates yet. */
static int emit(struct top *top, size_t samples_before)
{
        int code = EXIT_OK;
        if (top->samples_count == samples_before || top->samples_count < 2)
                return EXIT_OK;
        if (!top->is_page)
                code = options_number(&top->arguments.options, TOP_JSON) != 0 ? print_json(top) : print_page(top);
        if (fflush(stdout) != 0 || ferror(stdout))
                return tell(EXIT_FAILED, "top", "cannot write to standard output: %s", strerror(errno));
        top->pages_count++;
        top->is_over |= pages_wanted(top) != 0 && top->pages_count >= pages_wanted(top);
        return code;
}

/* The terminal is taken when there is something to show: an address that nobody answers at gets a plain error. */
static int open_page(struct top *top)
{
        int failed = terminal_open();
        top->is_open = failed == 0;
        return failed == 0 ? EXIT_OK : tell(EXIT_FAILED, "top", "cannot take the terminal: %s", strerror(-failed));
}

static int top_turn(struct top *top, bool *has_keys)
{
        size_t samples_before = top->samples_count;
        struct pollfd pollers[3] = {
                {.fd = terminal_event_fd(), .events = POLLIN},
                {.fd = top->is_open && *has_keys ? STDIN_FILENO : -1, .events = POLLIN},
                {.fd = top->is_asking ? top->link.fd : -1, .events = POLLIN},
        };
        if (poll(pollers, array_count(pollers), wait_ms(top, clock_monotonic_ns())) < 0 && errno != EINTR)
                return tell(EXIT_FAILED, "top", "cannot wait: %s", strerror(errno));
        if (top->is_open) {
                struct terminal_signals signals = terminal_signals();
                top->is_over |= signals.is_stopped;
                top->is_redraw |= signals.is_new;
                top->is_stale |= signals.is_new;
                if (*has_keys && pollers[1].revents != 0)
                        *has_keys = press_all(top) && (pollers[1].revents & (POLLHUP | POLLERR | POLLNVAL)) == 0;
        }
        if (top->is_asking)
                take_answers(top);
        else if (!top->is_paused && clock_monotonic_ns() >= top->next_ns)
                begin_round(top);
        int code = emit(top, samples_before);
        /* Without a page nobody would see that it is tried again. */
        if (code == EXIT_OK && top->is_lost && !top->is_open)
                return tell(EXIT_UNREACHABLE, "top", "%s; is the engine running, and with this --admin?", top->trouble);
        if (code == EXIT_OK && top->is_page && !top->is_open && top->samples_count > 0)
                code = open_page(top);
        if (code == EXIT_OK && top->is_open && top->is_stale && !top->is_over)
                code = show_page(top);
        return code;
}

static int top_run(struct top *top)
{
        bool has_keys = top->is_page;
        int code = EXIT_OK;
        top->next_ns = 0;
        top->is_stale = top->is_redraw = true;
        begin_round(top);
        while (code == EXIT_OK && !top->is_over)
                code = top_turn(top, &has_keys);
        terminal_close();
        return code;
}

/* ---- the command line ---- */

/* EXIT_OK: go on. */
static int top_check(struct top *top)
{
        char error[ENDPOINT_ERROR_BYTES];
        struct endpoint endpoint;
        if (top->arguments.placed_count > 0)
                return tell_about("top", "one argument too many,", top->arguments.placed[0],
                                  "this command takes only options; see spate top --help");
        const char *admin = options_text(&top->arguments.options, TOP_ADMIN);
        if (strcmp(admin, "none") == 0)
                return tell(EXIT_USAGE, "top",
                            "--admin is none: the engine has no such address, so it cannot be asked");
        if (endpoint_parse(&endpoint, admin, "http://", "8222", error) != 0)
                return tell(EXIT_USAGE, "top", "--admin: %s", error);
        uint64_t timeout_ns = options_number(&top->arguments.options, TOP_TIMEOUT);
        adminlink_init(&top->link, &endpoint, timeout_ns < CONNECT_NS_MAX ? timeout_ns : CONNECT_NS_MAX, timeout_ns);
        top->interval_ns = options_number(&top->arguments.options, TOP_INTERVAL);
        top->is_utf8 = terminal_is_utf8();
        top->has_colours = terminal_has_colours();
        top->is_page = terminal_is_capable() && options_number(&top->arguments.options, TOP_ONCE) == 0 &&
                       options_number(&top->arguments.options, TOP_JSON) == 0;
        return EXIT_OK;
}

int top_main(int argc, char **argv)
{
        static struct top top;
        top = (struct top){.link = {.fd = -1}};
        int code = arguments_init(&top.arguments, "top", &top_options, argc, argv);
        if (code == EXIT_OK)
                code = top_check(&top);
        if (code == EXIT_OK) {
                top.asked = calloc(1, sizeof *top.asked);
                top.now = calloc(1, sizeof *top.now);
                top.before = calloc(1, sizeof *top.before);
                top.rates = calloc(1, sizeof *top.rates);
                top.history = calloc(1, sizeof *top.history);
                bool is_whole = top.asked != NULL && top.now != NULL && top.before != NULL && top.rates != NULL &&
                                top.history != NULL;
                code = is_whole ? top_run(&top) : tell(EXIT_FAILED, "top", "no memory is left");
        }
        free(top.asked);
        free(top.now);
        free(top.before);
        free(top.rates);
        free(top.history);
        canvas_fini(&top.shown);
        growing_fini(&top.out);
        adminlink_fini(&top.link);
        arguments_fini(&top.arguments);
        return code;
}
