/* topview: the page of `spate top`. From top to bottom: who it is and how it is, numbers, two graphs, losses, tables,
 * keys.
 *
 *      spate 0.1.0  io_uring  pid 7  up 3h 12m  ● ready          127.0.0.1:8222  every 1s  14:03:22
 *      events in    1.24M/s   deliveries   12.4M/s   fan-out   10   …
 *      in 1.24M/s   ▁▂▃▅▇█▇▅▃
 *      lost since the start …
 *      REACTOR  BUSY …
 *
 * The room is dealt out first (struct rooms), then each part draws into its own rows and no further. Texts of strangers
 * go through show(), which escapes them; the canvas would let no control character through anyway. */
#include "engine/cli/topview.h"

#include <jansson.h>
#include <math.h>

#include "engine/base/memstream.h"
#include "engine/cli/escape.h"
#include "engine/cli/topformat.h"

#define COLUMN_GAP 2
#define GRID_COLUMNS_MAX 14
#define BAR_CELLS 10
#define NEW_LAGGARDS_MAX 3 /* rows of laggards that only this sample knows stand where fewer are known */
#define GRAPH_SECONDS 60   /* a graph shows at least so much, however often it is asked */

/* ---- texts ---- */

/* Bytes of a stranger, escaped, behind what is in `out`. */
static void show(struct growing *out, const char *text)
{
        struct memstream stream;
        size_t size;
        if (memstream_open(&stream) != 0)
                return;
        escape_print(stream.out, span_of_text(text));
        char *escaped = memstream_close(&stream, &size);
        if (escaped != NULL)
                growing_add(out, span_of(escaped, size));
        free(escaped);
}

__attribute__((format(printf, 2, 3))) static void add(struct growing *out, const char *format, ...)
{
        char text[512];
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(text, sizeof text, format, arguments);
        va_end(arguments);
        growing_add_text(out, text);
}

/* A heavy line, and the rest of `cells` a light one. */
static void add_bar(struct growing *out, bool is_utf8, double part, size_t cells)
{
        size_t full = part >= 1 ? cells : part > 0 ? (size_t)(part * (double)cells + 0.5) : 0;
        for (size_t i = 0; i < cells && !isnan(part); i++)
                growing_add_text(out, i < full ? (is_utf8 ? "━" : "#") : (is_utf8 ? "─" : "-"));
}

static void add_end(struct growing *out)
{
        growing_add(out, span_of("", 1));
}

/* ---- a table ---- */

struct gridcolumn {
        const char *title;
        bool is_right;
        bool is_wide;     /* gets what room is left; one of a grid */
        uint8_t rank;     /* where there is no room, the highest goes first; 0 stays */
        size_t cells_max; /* 0: as wide as what stands in it */
};

struct gridcell {
        size_t at; /* in the grid's text */
        enum ink ink;
};

struct grid {
        const struct gridcolumn *columns;
        size_t columns_count, rows_count;
        struct gridcell cells[TOP_ROWS_MAX][GRID_COLUMNS_MAX];
        size_t filled; /* cells of the last row */
        struct growing text;
        const char *empty; /* what stands there when no row does */
};

static_assert(TOP_REACTORS_MAX <= TOP_ROWS_MAX, "a grid holds each of the tables");

static void grid_row(struct grid *grid)
{
        assert(grid->rows_count < TOP_ROWS_MAX);
        grid->rows_count++;
        grid->filled = 0;
}

/* The next cell begins here; its text follows in grid->text. */
static void grid_cell(struct grid *grid, enum ink ink)
{
        assert(grid->filled < grid->columns_count && grid->columns_count <= GRID_COLUMNS_MAX);
        if (grid->text.size > 0 && grid->text.bytes[grid->text.size - 1] != '\0')
                add_end(&grid->text);
        grid->cells[grid->rows_count - 1][grid->filled++] = (struct gridcell){.at = grid->text.size, .ink = ink};
        growing_room(&grid->text, 1);
}

static void grid_text(struct grid *grid, enum ink ink, const char *text)
{
        grid_cell(grid, ink);
        growing_add_text(&grid->text, text);
        add_end(&grid->text);
}

static const char *cell_text(const struct grid *grid, size_t row, size_t column)
{
        return (const char *)grid->text.bytes + grid->cells[row][column].at;
}

/* How wide each column is; 0: it is left out. */
static void grid_widths(const struct grid *grid, const struct canvas *canvas, size_t rows, size_t widths[])
{
        size_t total = 0, wide = grid->columns_count;
        for (size_t i = 0; i < grid->columns_count; i++) {
                const struct gridcolumn *column = &grid->columns[i];
                widths[i] = canvas_measure(canvas, column->title);
                for (size_t row = 0; row < rows; row++) {
                        size_t width = canvas_measure(canvas, cell_text(grid, row, i));
                        widths[i] = width > widths[i] ? width : widths[i];
                }
                if (column->cells_max > 0 && widths[i] > column->cells_max)
                        widths[i] = column->cells_max;
                if (column->is_wide) {
                        wide = i;
                        widths[i] =
                                canvas_measure(canvas, column->title) < 12 ? 12 : canvas_measure(canvas, column->title);
                }
                widths[i] = widths[i] == 0 ? 1 : widths[i];
                total += widths[i] + COLUMN_GAP;
        }
        while (total > canvas->width + COLUMN_GAP) {
                size_t worst = grid->columns_count;
                for (size_t i = 0; i < grid->columns_count; i++)
                        if (widths[i] > 0 && grid->columns[i].rank > 0 &&
                            (worst == grid->columns_count || grid->columns[i].rank >= grid->columns[worst].rank))
                                worst = i;
                if (worst == grid->columns_count)
                        break;
                total -= widths[worst] + COLUMN_GAP;
                widths[worst] = 0;
        }
        if (wide < grid->columns_count && widths[wide] > 0 && total < canvas->width + COLUMN_GAP)
                widths[wide] += canvas->width + COLUMN_GAP - total;
}

static void grid_draw(const struct grid *grid, struct canvas *canvas, size_t top, size_t rows_room, enum ink title_ink)
{
        size_t widths[GRID_COLUMNS_MAX], column = 0;
        size_t rows = grid->rows_count < rows_room ? grid->rows_count : rows_room;
        char more[64];
        grid_widths(grid, canvas, rows, widths);
        for (size_t i = 0; i < grid->columns_count; i++) {
                if (widths[i] == 0)
                        continue;
                for (size_t line = 0; line <= rows; line++) {
                        const char *text = line == 0 ? grid->columns[i].title : cell_text(grid, line - 1, i);
                        enum ink ink = line == 0 ? title_ink : grid->cells[line - 1][i].ink;
                        if (grid->columns[i].is_right)
                                canvas_put_right(canvas, top + line, column, widths[i], ink, text);
                        else
                                canvas_put(canvas, top + line, column, widths[i], ink, text);
                }
                column += widths[i] + COLUMN_GAP;
        }
        canvas_paint(canvas, top, 0, canvas->width, title_ink);
        if (grid->rows_count == 0 && rows_room > 0)
                canvas_put(canvas, top + 1, 0, canvas->width, INK_DIM, grid->empty);
        if (rows == grid->rows_count)
                return;
        size_t end = column > COLUMN_GAP ? column - COLUMN_GAP : 0;
        const char *last = grid->columns[grid->columns_count - 1].title;
        size_t taken = grid->columns[grid->columns_count - 1].is_wide && widths[grid->columns_count - 1] > 0
                               ? end - widths[grid->columns_count - 1] + canvas_measure(canvas, last)
                               : end;
        snprintf(more, sizeof more, " +%zu more", grid->rows_count - rows);
        if (taken + canvas_measure(canvas, more) > canvas->width)
                snprintf(more, sizeof more, " +%zu", grid->rows_count - rows);
        size_t width = canvas_measure(canvas, more);
        if (width < canvas->width)
                canvas_put(canvas, top, canvas->width - width, width, title_ink, more);
}

/* ---- reactors ---- */

static const enum ink watermark_inks[] = {INK_GOOD, INK_WARN, INK_SERIOUS, INK_BAD};

static enum ink watermark_ink(double watermark)
{
        if (isnan(watermark))
                return INK_PLAIN;
        return watermark_inks[watermark >= 3 ? 3 : (size_t)watermark];
}

enum {
        REACTOR_NUMBER,
        REACTOR_BUSY,
        REACTOR_BUSY_BAR,
        REACTOR_CPU,
        REACTOR_CONNECTIONS,
        REACTOR_SUBSCRIPTIONS,
        REACTOR_COHORTS,
        REACTOR_IN,
        REACTOR_OUT,
        REACTOR_BYTES,
        REACTOR_MEMORY,
        REACTOR_MEMORY_BAR,
        REACTOR_HELD,
        REACTOR_LOST,
        REACTOR_COLUMNS
};

static const struct gridcolumn reactor_columns[REACTOR_COLUMNS] = {
        [REACTOR_NUMBER] = {"REACTOR", .is_right = true},
        [REACTOR_BUSY] = {"BUSY", .is_right = true},
        [REACTOR_BUSY_BAR] = {"", .rank = 2},
        [REACTOR_CPU] = {"CPU", .is_right = true, .rank = 8},
        [REACTOR_CONNECTIONS] = {"CONNS", .is_right = true, .rank = 3},
        [REACTOR_SUBSCRIPTIONS] = {"SUBS", .is_right = true, .rank = 6},
        [REACTOR_COHORTS] = {"COHORTS", .is_right = true, .rank = 7},
        [REACTOR_IN] = {"IN/S", .is_right = true},
        [REACTOR_OUT] = {"OUT/S", .is_right = true},
        [REACTOR_BYTES] = {"BYTES/S", .is_right = true, .rank = 3},
        [REACTOR_MEMORY] = {"MEMORY", .is_right = true, .rank = 1},
        [REACTOR_MEMORY_BAR] = {"", .rank = 4},
        [REACTOR_HELD] = {"HELD/S", .is_right = true, .rank = 5},
        [REACTOR_LOST] = {"LOST/S", .is_right = true, .rank = 4},
};

/* Alarming when it is above zero. */
static void count_cell(struct grid *grid, double count, enum ink above_zero)
{
        char text[TOPFORMAT_BYTES];
        grid_text(grid, count > 0 ? above_zero : INK_PLAIN, topformat_count(text, count));
}

static void reactor_row(struct grid *grid, const struct topview *view, const struct canvas *canvas, size_t index)
{
        const struct topreactor *now = &view->sample->reactors[index], *rate = &view->rates->reactors[index];
        double busy = view->rates->busy[index], used = now->memory_used_bytes / now->memory_limit_bytes;
        enum ink busy_ink = busy >= 0.9 ? INK_BAD : busy >= 0.7 ? INK_WARN : INK_GOOD;
        char text[TOPFORMAT_BYTES], percent[16] = "-";
        grid_row(grid);
        grid_text(grid, INK_BOLD, topformat_count(text, now->number));
        if (!isnan(busy))
                snprintf(percent, sizeof percent, "%.0f%%", busy * 100);
        grid_text(grid, busy_ink, percent);
        grid_cell(grid, busy_ink);
        add_bar(&grid->text, canvas->is_utf8, busy, BAR_CELLS);
        add_end(&grid->text);
        count_cell(grid, now->cpu, INK_PLAIN);
        count_cell(grid, now->connections, INK_PLAIN);
        count_cell(grid, now->subscriptions, INK_PLAIN);
        count_cell(grid, now->cohorts, INK_PLAIN);
        count_cell(grid, rate->events_received, INK_IN);
        count_cell(grid, rate->deliveries_released, INK_OUT);
        grid_text(grid, INK_PLAIN, topformat_bytes(text, rate->bytes_sent));
        grid_cell(grid, now->watermark > 0 ? watermark_ink(now->watermark) : INK_PLAIN);
        growing_add_text(&grid->text, topformat_bytes(text, now->memory_used_bytes));
        if (!isnan(now->memory_limit_bytes))
                add(&grid->text, " of %s", topformat_bytes(text, now->memory_limit_bytes));
        add_end(&grid->text);
        grid_cell(grid, watermark_ink(now->watermark));
        add_bar(&grid->text, canvas->is_utf8, used, BAR_CELLS);
        add_end(&grid->text);
        count_cell(grid, rate->publishers_held, INK_WARN);
        count_cell(grid, rate->deliveries_dropped, INK_BAD);
}

/* Busier than `b`; who does not tell is last. */
static bool is_busier(const struct toprates *rates, size_t a, size_t b)
{
        double first = isnan(rates->busy[a]) ? -1 : rates->busy[a],
               second = isnan(rates->busy[b]) ? -1 : rates->busy[b];
        return first > second;
}

static void fill_reactors(struct grid *grid, const struct topview *view, const struct canvas *canvas)
{
        size_t order[TOP_REACTORS_MAX], count = view->sample->reactors_count;
        grid->columns = reactor_columns;
        grid->columns_count = REACTOR_COLUMNS;
        grid->empty = "this engine does not tell of its reactors";
        for (size_t i = 0; i < count; i++) {
                size_t at = i;
                for (; view->is_by_load && at > 0 && is_busier(view->rates, i, order[at - 1]); at--)
                        order[at] = order[at - 1];
                order[at] = i;
        }
        for (size_t i = 0; i < count; i++)
                reactor_row(grid, view, canvas, order[i]);
}

/* ---- cohorts, laggards, losses ---- */

static const struct gridcolumn cohort_columns[] = {
        {"MEMBERS", .is_right = true},
        {"SLOWEST", .is_right = true, .rank = 1},
        {"STREAM", .is_right = true, .rank = 3},
        {"PATTERNS", .is_right = true, .rank = 4},
        {"REACTOR", .is_right = true, .rank = 5},
        {"LARGEST COHORTS", .is_wide = true},
};

static void fill_cohorts(struct grid *grid, const struct topview *view, const struct canvas *canvas)
{
        (void)canvas;
        grid->columns = cohort_columns;
        grid->columns_count = array_count(cohort_columns);
        grid->empty = view->sample->has_cohorts ? "nobody shares a cohort" : "this engine does not tell of its cohorts";
        for (size_t i = 0; i < view->sample->cohorts_count; i++) {
                const struct topcohort *cohort = &view->sample->cohorts[i];
                char text[TOPFORMAT_BYTES];
                grid_row(grid);
                grid_text(grid, INK_BOLD, topformat_exact(text, cohort->members));
                grid_text(grid, cohort->lag_bytes > 0 ? INK_WARN : INK_PLAIN, topformat_bytes(text, cohort->lag_bytes));
                grid_text(grid, INK_PLAIN, topformat_bytes(text, cohort->stream_bytes));
                count_cell(grid, cohort->patterns_count, INK_PLAIN);
                count_cell(grid, cohort->reactor, INK_PLAIN);
                grid_cell(grid, INK_PLAIN);
                show(&grid->text, cohort->pattern[0] != '\0' ? cohort->pattern : "-");
                if (cohort->patterns_count > 1)
                        add(&grid->text, " and %s more", topformat_count(text, cohort->patterns_count - 1));
                add_end(&grid->text);
        }
}

static void add_who(struct growing *out, const char *user, const char *name, const char *address)
{
        const char *const parts[] = {user, name, address};
        const char *gap = "";
        for (size_t i = 0; i < array_count(parts); i++) {
                if (parts[i][0] == '\0')
                        continue;
                growing_add_text(out, gap);
                show(out, parts[i]);
                gap = " ";
        }
}

static const struct gridcolumn laggard_columns[] = {
        {"BEHIND", .is_right = true},
        {"CHANGE/S", .is_right = true, .rank = 2},
        {"FOR", .is_right = true, .rank = 1},
        {"SUBS", .is_right = true, .rank = 4},
        {"REACTOR", .is_right = true, .rank = 5},
        {"WHO IS BEHIND", .is_wide = true},
};

static void fill_laggards(struct grid *grid, const struct topview *view, const struct canvas *canvas)
{
        (void)canvas;
        grid->columns = laggard_columns;
        grid->columns_count = array_count(laggard_columns);
        grid->empty =
                view->sample->has_laggards ? "nobody is behind" : "this engine does not tell who is furthest behind";
        for (size_t i = 0; i < view->sample->laggards_count; i++) {
                const struct toplaggard *laggard = &view->sample->laggards[i];
                double change = laggard->pending_per_second;
                bool is_new = !(laggard->seconds_behind > 0);
                char text[TOPFORMAT_BYTES];
                /* Whoever happens to wait for a send at this moment will be gone in the next sample. */
                if (is_new && grid->rows_count >= NEW_LAGGARDS_MAX)
                        continue;
                grid_row(grid);
                grid_text(grid, is_new ? INK_DIM : INK_BOLD, topformat_bytes(text, laggard->pending_bytes));
                grid_cell(grid, change > 0 ? INK_WARN : change < 0 ? INK_GOOD : INK_PLAIN);
                add(&grid->text, "%s%s", change > 0 ? "+" : change < 0 ? "-" : "", topformat_bytes(text, fabs(change)));
                add_end(&grid->text);
                grid_text(grid, is_new ? INK_DIM : INK_PLAIN,
                          laggard->seconds_behind == 0 ? "now" : topformat_time(text, laggard->seconds_behind));
                count_cell(grid, laggard->subscriptions, INK_PLAIN);
                count_cell(grid, laggard->reactor, INK_PLAIN);
                grid_cell(grid, is_new ? INK_DIM : INK_PLAIN);
                add_who(&grid->text, laggard->user, laggard->name, laggard->address);
                add_end(&grid->text);
        }
}

static const struct gridcolumn loss_columns[] = {
        {"LOST", .is_right = true},
        {"AGO", .is_right = true},
        {"WHY", .is_right = false},
        {"WHO LOST", .cells_max = 40, .rank = 1},
        {"WHICH", .is_wide = true, .rank = 2},
};

static void fill_losses(struct grid *grid, const struct topview *view, const struct canvas *canvas)
{
        (void)canvas;
        grid->columns = loss_columns;
        grid->columns_count = array_count(loss_columns);
        grid->empty = view->sample->has_losses ? "nothing was lost" : "this engine does not tell of its losses";
        for (size_t i = 0; i < view->sample->losses_count; i++) {
                const struct toploss *loss = &view->sample->losses[i];
                char text[TOPFORMAT_BYTES];
                grid_row(grid);
                grid_text(grid, INK_BAD, topformat_exact(text, loss->count));
                grid_text(grid, INK_PLAIN, topformat_time(text, loss->seconds_ago));
                grid_cell(grid, INK_PLAIN);
                show(&grid->text, loss->reason);
                add_end(&grid->text);
                grid_cell(grid, INK_PLAIN);
                add_who(&grid->text, loss->user, loss->name, loss->address);
                add_end(&grid->text);
                grid_cell(grid, INK_PLAIN);
                show(&grid->text, loss->first_subject);
                if (strcmp(loss->first_subject, loss->last_subject) != 0) {
                        growing_add_text(&grid->text, canvas->is_utf8 ? " … " : " to ");
                        show(&grid->text, loss->last_subject);
                }
                add_end(&grid->text);
        }
}

static void (*const fill[TOPTABLES])(struct grid *grid, const struct topview *view, const struct canvas *canvas) = {
        [TOPTABLE_REACTORS] = fill_reactors,
        [TOPTABLE_COHORTS] = fill_cohorts,
        [TOPTABLE_LAGGARDS] = fill_laggards,
        [TOPTABLE_LOSSES] = fill_losses,
};

/* ---- the first line ---- */

/* Puts `text` behind *column when it fits as a whole before `end`. */
static void put_part(struct canvas *canvas, size_t *column, size_t end, enum ink ink, const char *text)
{
        size_t width = canvas_measure(canvas, text);
        if (width == 0 || *column + width > end)
                return;
        canvas_put(canvas, 0, *column, width, ink, text);
        *column += width + COLUMN_GAP;
}

static enum ink state_of(const struct topview *view, char *text, size_t text_size)
{
        static const char *const marks[] = {"ready", "memory is short: impatient", "memory is short: nobody new",
                                            "memory is full: cutting"};
        const struct topsample *sample = view->sample;
        if (view->unreachable_since != NULL) {
                snprintf(text, text_size, "unreachable since %s, retrying", view->unreachable_since);
                return INK_ALARM;
        }
        if (sample == NULL) {
                snprintf(text, text_size, "asking");
                return INK_DIM;
        }
        if (sample->is_draining) {
                snprintf(text, text_size, "draining");
                return INK_WARN;
        }
        double mark = isnan(sample->watermark) ? 0 : sample->watermark >= 3 ? 3 : sample->watermark;
        snprintf(text, text_size, "%s", marks[(size_t)mark]);
        return watermark_ink(mark);
}

static void draw_header(const struct topview *view, struct canvas *canvas)
{
        char state[96], text[256], number[TOPFORMAT_BYTES];
        const char *dot = canvas->is_utf8 ? "● " : "* ";
        enum ink ink = state_of(view, state, sizeof state);
        const struct topsample *sample = view->sample;
        struct growing shown = {0};
        size_t column = 0, end = canvas->width;
        /* What must be seen has its place first; the rest takes what is left. */
        snprintf(text, sizeof text, "%s%s", dot, state);
        size_t state_width = canvas_measure(canvas, text);
        size_t kept = state_width + COLUMN_GAP < end ? end - state_width - COLUMN_GAP : 0;
        put_part(canvas, &column, kept, INK_BOLD, "spate");
        if (sample != NULL) {
                show(&shown, sample->version);
                add_end(&shown);
                column -= column > 0 ? COLUMN_GAP - 1 : 0;
                put_part(canvas, &column, kept, INK_BOLD, (const char *)shown.bytes);
        }
        column += canvas_put(canvas, 0, column, end, ink, text) + COLUMN_GAP;
        if (view->is_paused)
                put_part(canvas, &column, end, INK_ALARM, " paused ");
        if (sample != NULL) {
                snprintf(text, sizeof text, "up %s", topformat_time(number, sample->uptime_seconds));
                put_part(canvas, &column, end, INK_PLAIN, text);
                shown.size = 0;
                show(&shown, sample->backend);
                add_end(&shown);
                put_part(canvas, &column, end, INK_PLAIN, (const char *)shown.bytes);
                snprintf(text, sizeof text, "pid %.0f", sample->pid);
                if (sample->pid < 1e10)
                        put_part(canvas, &column, end, INK_DIM, text);
        }
        growing_fini(&shown);
        /* From the right: the time, how often, where. */
        const char *right[3] = {view->clock, text, view->address};
        snprintf(text, sizeof text, "every %s",
                 topformat_interval(number, view->paced_s > view->interval_s ? view->paced_s : view->interval_s));
        for (size_t i = view->is_plain ? 2 : 0; i < array_count(right); i++) {
                size_t width = right[i] == NULL ? 0 : canvas_measure(canvas, right[i]);
                if (width == 0 || column + width > end)
                        break;
                canvas_put(canvas, 0, end - width, width,
                           i == 1 && view->paced_s > view->interval_s ? INK_WARN : INK_DIM, right[i]);
                end -= width + COLUMN_GAP < end ? width + COLUMN_GAP : end;
        }
}

/* ---- numbers ---- */

struct figure {
        const char *label;
        char value[2 * TOPFORMAT_BYTES];
};

#define FIGURES_MAX 16

static void figure_rate(struct figure *figure, const char *label, double value, bool is_bytes)
{
        char text[TOPFORMAT_BYTES];
        figure->label = label;
        snprintf(figure->value, sizeof figure->value, "%s%s",
                 is_bytes ? topformat_bytes(text, value) : topformat_count(text, value), isnan(value) ? "" : "/s");
}

static void figure_now(struct figure *figure, const char *label, double value, bool is_bytes)
{
        char text[TOPFORMAT_BYTES];
        figure->label = label;
        snprintf(figure->value, sizeof figure->value, "%s",
                 is_bytes ? topformat_bytes(text, value) : topformat_count(text, value));
}

/* The most telling first: a small screen shows only those. The first two are those of the graphs. */
static size_t figures_of(const struct topview *view, struct figure figures[FIGURES_MAX])
{
        const struct toptotals *now = &view->sample->totals, *rate = &view->rates->totals;
        struct figure *at = figures;
        figure_rate(at++, "events in", rate->events_received, false);
        figure_rate(at++, "deliveries", rate->deliveries_released, false);
        figure_now(at++, "fan-out", view->rates->fan_out, false);
        figure_rate(at++, "bytes out", rate->bytes_sent, true);
        figure_rate(at++, "bytes in", rate->bytes_received, true);
        figure_rate(at++, "sends", rate->sends, false);
        figure_now(at++, "a send", view->rates->send_bytes, true);
        figure_rate(at++, "syscalls", rate->system_calls, false);
        figure_now(at++, "connections", now->connections, false);
        figure_now(at++, "subscribed", now->subscriptions, false);
        figure_now(at++, "patterns", now->patterns, false);
        figure_now(at++, "cohorts", now->cohorts, false);
        figure_now(at++, "pending", now->deliveries_pending, false);
        figure_rate(at++, "unmatched", rate->events_unmatched, false);
        figure_now(at++, "memory", now->memory_used_bytes, true);
        figure_now(at++, "heap", now->heap_bytes, true);
        assert(at == figures + FIGURES_MAX);
        return FIGURES_MAX;
}

#define FIGURE_CELLS 20
#define FIGURE_LABEL_CELLS 11

static size_t figures_abreast(const struct canvas *canvas)
{
        size_t abreast = canvas->width / FIGURE_CELLS;
        return abreast == 0 ? 1 : abreast > 8 ? 8 : abreast;
}

static void draw_figures(const struct topview *view, struct canvas *canvas, size_t top, size_t rows)
{
        struct figure figures[FIGURES_MAX];
        size_t abreast = figures_abreast(canvas), cells = canvas->width / abreast;
        size_t skipped = view->is_plain ? 0 : TOPHISTORY_LINES, count = figures_of(view, figures) - skipped;
        for (size_t i = 0; i < count && i / abreast < rows; i++) {
                const struct figure *figure = &figures[i + skipped];
                size_t column = i % abreast * cells;
                size_t used = canvas_put(canvas, top + i / abreast, column, FIGURE_LABEL_CELLS, INK_DIM, figure->label);
                if (cells < used + 3)
                        continue;
                /* Numbers end where the longest would, so that they do not jump as they grow. */
                size_t room = FIGURE_CELLS - 3 - FIGURE_LABEL_CELLS + 2;
                if (FIGURE_LABEL_CELLS + room > cells)
                        room = cells - FIGURE_LABEL_CELLS;
                canvas_put_right(canvas, top + i / abreast, column + FIGURE_LABEL_CELLS - 1, room, INK_BOLD,
                                 figure->value);
        }
}

/* ---- graphs ---- */

static const struct {
        const char *name, *short_name;
        enum ink ink;
} graph_rows[TOPHISTORY_LINES] = {
        [TOPHISTORY_EVENTS] = {"events in", "in", INK_IN},
        [TOPHISTORY_DELIVERIES] = {"deliveries", "out", INK_OUT},
};

static double stretch_of(const struct topview *view, size_t columns)
{
        static const double stretches[] = {1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800};
        double paced_s = view->paced_s > view->interval_s ? view->paced_s : view->interval_s;
        for (size_t i = 0; i < array_count(stretches); i++)
                if (stretches[i] >= paced_s && stretches[i] * (double)columns >= GRAPH_SECONDS)
                        return stretches[i];
        return 3600;
}

/* A column of `height` rows, filled from its foot for `part` of it. */
static void draw_column(struct canvas *canvas, size_t top, size_t column, size_t height, enum ink ink, double part)
{
        static const char *const fine[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
        static const char *const coarse[] = {" ", ".", ".", ":", "-", "=", "+", "*", "#"};
        double eighths = part * (double)height * 8;
        size_t full = !(eighths > 0) ? 0 : eighths < 1 ? 1 : (size_t)(eighths + 0.5);
        for (size_t i = 0; i < height; i++) {
                size_t below = (height - 1 - i) * 8;
                size_t level = full <= below ? 0 : full - below < 8 ? full - below : 8;
                canvas_put(canvas, top + i, column, 1, ink, canvas->is_utf8 ? fine[level] : coarse[level]);
        }
}

static void draw_graph(const struct topview *view, struct canvas *canvas, enum tophistory_line line, size_t top,
                       size_t height, size_t left, size_t cells)
{
        double values[CANVAS_WIDTH_MAX];
        char texts[4][3 * TOPFORMAT_BYTES], rate[TOPFORMAT_BYTES], peak[TOPFORMAT_BYTES], span[TOPFORMAT_BYTES];
        size_t gutter = height == 1 ? 13 : height == 2 ? 21 : 15;
        size_t columns = cells > gutter + 1 ? cells - gutter - 1 : 0;
        double now = line == TOPHISTORY_EVENTS ? view->rates->totals.events_received
                                               : view->rates->totals.deliveries_released;
        topformat_count(rate, now);
        topformat_count(peak, view->history->peak[line]);
        if (columns == 0)
                return;
        double stretch_s = stretch_of(view, columns);
        topformat_time(span, stretch_s * (double)columns);
        memset(texts, 0, sizeof texts);
        if (height == 1) {
                snprintf(texts[0], sizeof texts[0], "%s %s/s", graph_rows[line].short_name, rate);
        } else if (height == 2) {
                snprintf(texts[0], sizeof texts[0], "%s %s/s", graph_rows[line].name, rate);
                snprintf(texts[1], sizeof texts[1], "peak %s/s", peak);
        } else {
                snprintf(texts[0], sizeof texts[0], "%s", graph_rows[line].name);
                snprintf(texts[1], sizeof texts[1], "%s/s", rate);
                snprintf(texts[2], sizeof texts[2], "peak %s/s", peak);
                snprintf(texts[3], sizeof texts[3], "last %s", span);
        }
        for (size_t i = 0; i < height && i < array_count(texts); i++)
                canvas_put(canvas, top + i, left, gutter,
                           i == 0                 ? INK_BOLD
                           : i == 1 && height > 2 ? graph_rows[line].ink
                                                  : INK_DIM,
                           texts[i]);
        double highest = tophistory_read(view->history, line, view->now_s, stretch_s, values, columns);
        for (size_t i = 0; i < columns; i++)
                draw_column(canvas, top, left + gutter + i, height, graph_rows[line].ink,
                            highest > 0 ? values[i] / highest : NAN);
}

/* ---- losses by reason ---- */

static void add_reasons(struct growing *out, const double count[LOSSES], double factor)
{
        const char *gap = ": ";
        char text[TOPFORMAT_BYTES];
        for (enum loss loss = 0; loss < LOSSES; loss++) {
                if (!(count[loss] * factor >= 0.5))
                        continue;
                add(out, "%s%s %s", gap, loss_name(loss), topformat_exact(text, round(count[loss] * factor)));
                gap = ", ";
        }
}

static void draw_lost(const struct topview *view, struct canvas *canvas, size_t row, size_t rows)
{
        double total = view->sample->totals.deliveries_dropped, seconds = view->rates->seconds;
        double recent = view->rates->totals.deliveries_dropped * seconds;
        char text[TOPFORMAT_BYTES], interval[TOPFORMAT_BYTES];
        struct growing line = {0};
        if (rows >= 1) {
                if (total == 0)
                        growing_add_text(&line, "nothing lost since the start");
                else
                        add(&line, "lost since the start %s", topformat_exact(text, total));
                if (rows == 1 && recent >= 0.5)
                        add(&line, ", +%s now", topformat_count(text, recent));
                add_reasons(&line, view->sample->dropped, 1);
                add_end(&line);
                canvas_put(canvas, row, 0, canvas->width,
                           total > 0    ? INK_BAD
                           : total == 0 ? INK_GOOD
                                        : INK_DIM,
                           (const char *)line.bytes);
        }
        if (rows >= 2) {
                line.size = 0;
                add(&line, "lost in the last %s %s",
                    isnan(seconds) ? "interval" : topformat_interval(interval, round(seconds * 10) / 10),
                    recent < 0.5 ? "nothing" : topformat_exact(text, round(recent)));
                add_reasons(&line, view->rates->dropped, seconds);
                add_end(&line);
                canvas_put(canvas, row + 1, 0, canvas->width, recent >= 0.5 ? INK_BAD : INK_DIM,
                           (const char *)line.bytes);
        }
        growing_fini(&line);
}

/* ---- the page ---- */

/* Who has how many rows. */
struct rooms {
        size_t figures, graph, graphs_abreast, lost;
        size_t gap;               /* between the parts */
        size_t tables[TOPTABLES]; /* rows without the title; SIZE_MAX: not shown */
};

static size_t least(size_t a, size_t b)
{
        return a < b ? a : b;
}

/* `wanted`: rows of each table, at least 1. */
static struct rooms rooms_of(const struct topview *view, const struct canvas *canvas, const size_t wanted[TOPTABLES])
{
        static const enum toptable order[TOPTABLES] = {TOPTABLE_REACTORS, TOPTABLE_LAGGARDS, TOPTABLE_LOSSES,
                                                       TOPTABLE_COHORTS};
        size_t height = canvas->height, abreast = figures_abreast(canvas);
        size_t figures_count = FIGURES_MAX - (view->is_plain ? 0 : TOPHISTORY_LINES);
        size_t figures_wanted = (figures_count + abreast - 1) / abreast;
        struct rooms rooms = {
                .figures = least(height < 14   ? 2
                                 : height < 22 ? 3
                                 : height < 30 ? 4
                                               : 8,
                                 figures_wanted),
                .graphs_abreast = canvas->width >= 96 ? 2 : 1,
                .graph = height < 22   ? 1
                         : height < 36 ? 2
                         : height < 50 ? 3
                                       : 4,
                .lost = height < 20 ? 1 : 2,
                .gap = height < 30 ? 0 : 1,
        };
        if (view->is_plain)
                rooms.graph = 0; /* two samples are no history */
        size_t used = 1 + rooms.figures + rooms.lost + (view->is_plain ? 0 : 1) +
                      rooms.graph * (TOPHISTORY_LINES / rooms.graphs_abreast) + 3 * rooms.gap;
        size_t left = height > used ? height - used : 0;
        for (size_t i = 0; i < TOPTABLES; i++)
                rooms.tables[i] = SIZE_MAX;
        /* A title and a row for the table that has the room, then for the others while there is any. */
        for (size_t i = 0; i <= TOPTABLES; i++) {
                enum toptable table = i == 0 ? view->focus : order[i - 1];
                if (rooms.tables[table] != SIZE_MAX || left < 2 + rooms.gap)
                        continue;
                rooms.tables[table] = 1;
                left -= 2 + rooms.gap;
        }
        /* Then a few rows for all in turn, and the rest for the one in focus first. */
        for (size_t round = 2; round <= TOP_ROWS_MAX; round++) {
                if (round == 4 && rooms.tables[view->focus] != SIZE_MAX) {
                        size_t more = least(left, wanted[view->focus] -
                                                          least(rooms.tables[view->focus], wanted[view->focus]));
                        rooms.tables[view->focus] += more;
                        left -= more;
                }
                for (size_t i = 0; i <= TOPTABLES && left > 0; i++) {
                        enum toptable table = i == 0 ? view->focus : order[i - 1];
                        if (rooms.tables[table] >= round || wanted[table] < round)
                                continue;
                        rooms.tables[table]++;
                        left--;
                }
        }
        /* Laggards come and go: what stands below them shall not jump. */
        while (!view->is_plain && left > 0 && rooms.tables[TOPTABLE_LAGGARDS] < NEW_LAGGARDS_MAX) {
                rooms.tables[TOPTABLE_LAGGARDS]++;
                left--;
        }
        return rooms;
}

static void draw_footer(const struct topview *view, struct canvas *canvas)
{
        static const char keys[] = "q quit  ? help  space pause  s table  + - interval  o order  r peak";
        static const char few_keys[] = "q quit  ? help  space pause  s table";
        size_t row = canvas->height - 1;
        struct growing text = {0};
        if (view->trouble != NULL)
                show(&text, view->trouble);
        else if (view->notice != NULL)
                show(&text, view->notice);
        else
                growing_add_text(&text, canvas->width < sizeof keys ? few_keys : keys);
        add_end(&text);
        canvas_put(canvas, row, 0, canvas->width,
                   view->trouble != NULL  ? INK_BAD
                   : view->notice != NULL ? INK_WARN
                                          : INK_DIM,
                   (const char *)text.bytes);
        growing_fini(&text);
}

static void draw_help(struct canvas *canvas)
{
        static const char *const lines[] = {
                "  q, Ctrl-C      quit",
                "  space          pause: the page stands still, the engine is not asked",
                "  s, Tab         the next table gets the room; 1 2 3 4 choose one",
                "  o              reactors by number, or the busiest first",
                "  + and -        ask less often, more often",
                "  r              forget the peaks of the graphs",
                "  ? h            this; any key goes back",
                "",
                "deliveries   events that the network took, once for each subscriber",
                "fan-out      deliveries owed for one event",
                "a send       bytes in one send: what subscribers share is sent once each",
                "busy         how much of the time a reactor did not sleep",
                "memory       for events on their way out; its colour is the watermark:",
                "             yellow impatient, purple nobody new, red cutting",
                "held         publishers made to wait for another reactor, each second",
                "behind       bytes that a subscriber has not taken yet, and since when",
                "             this page has seen it so",
                "lost         deliveries owed and not made: spate losses tells more",
        };
        canvas_put(canvas, 0, 0, canvas->width, INK_FOCUS, "spate top");
        canvas_paint(canvas, 0, 0, canvas->width, INK_FOCUS);
        for (size_t i = 0; i < array_count(lines); i++)
                canvas_put(canvas, 1 + i, 0, canvas->width, INK_PLAIN, lines[i]);
}

static void draw_tables(const struct topview *view, struct canvas *canvas, struct grid *grids,
                        const struct rooms *rooms, size_t row)
{
        for (enum toptable table = 0; table < TOPTABLES; table++) {
                if (rooms->tables[table] == SIZE_MAX)
                        continue;
                row += rooms->gap;
                grid_draw(&grids[table], canvas, row, rooms->tables[table],
                          table == view->focus && !view->is_plain ? INK_FOCUS : INK_TITLE);
                row += 1 + rooms->tables[table];
        }
}

static void draw_sample(const struct topview *view, struct canvas *canvas)
{
        struct grid *grids = calloc(TOPTABLES, sizeof *grids);
        size_t wanted[TOPTABLES], row = 1;
        if (grids == NULL)
                return;
        for (enum toptable table = 0; table < TOPTABLES; table++) {
                fill[table](&grids[table], view, canvas);
                wanted[table] = grids[table].rows_count > 0 ? grids[table].rows_count : 1;
        }
        struct rooms rooms = rooms_of(view, canvas, wanted);
        row += rooms.gap;
        draw_figures(view, canvas, row, rooms.figures);
        row += rooms.figures + rooms.gap;
        for (int line = 0; line < TOPHISTORY_LINES && rooms.graph > 0; line++) {
                size_t cells = canvas->width / rooms.graphs_abreast;
                bool is_beside = rooms.graphs_abreast == 2 && line == 1;
                draw_graph(view, canvas, (enum tophistory_line)line, row, rooms.graph, is_beside ? cells : 0, cells);
                if (rooms.graphs_abreast == 1 || line == 1)
                        row += rooms.graph;
        }
        row += rooms.graph > 0 ? rooms.gap : 0;
        draw_lost(view, canvas, row, rooms.lost);
        draw_tables(view, canvas, grids, &rooms, row + rooms.lost);
        for (enum toptable table = 0; table < TOPTABLES; table++)
                growing_fini(&grids[table].text);
        free(grids);
}

void topview_draw(const struct topview *view, struct canvas *canvas)
{
        assert(view->focus < TOPTABLES);
        if (view->is_help) {
                draw_help(canvas);
                return;
        }
        draw_header(view, canvas);
        if (view->sample != NULL)
                draw_sample(view, canvas);
        if (!view->is_plain && canvas->height > 1)
                draw_footer(view, canvas);
}

/* ---- JSON ---- */

static json_t *number_json(double value)
{
        if (isnan(value) || isinf(value))
                return json_null();
        return value == floor(value) && fabs(value) < 9e15 ? json_integer((json_int_t)value) : json_real(value);
}

static void set(json_t *json, const char *name, double value)
{
        json_object_set_new(json, name, number_json(value));
}

static void set_text(json_t *json, const char *name, const char *text)
{
        json_object_set_new(json, name, text[0] == '\0' ? json_null() : json_string(text));
}

static json_t *totals_json(const struct toptotals *totals)
{
        json_t *json = json_object();
#define SET_TOTAL(name, counter) set(json, #name, totals->name);
        TOP_TOTAL_TABLE(SET_TOTAL)
#undef SET_TOTAL
        return json;
}

static json_t *reactor_json(const struct topreactor *reactor)
{
        json_t *json = json_object();
#define SET_FIELD(name) set(json, #name, reactor->name);
        TOP_REACTOR_TABLE(SET_FIELD)
#undef SET_FIELD
        return json;
}

static json_t *reactors_json(const struct topview *view)
{
        json_t *rows = json_array();
        for (size_t i = 0; i < view->sample->reactors_count; i++) {
                json_t *row = reactor_json(&view->sample->reactors[i]);
                json_t *rates = reactor_json(&view->rates->reactors[i]);
                static const char *const states[] = {"number", "cpu", "watermark", "memory_limit_bytes"};
                for (size_t j = 0; j < array_count(states); j++)
                        json_object_del(rates, states[j]); /* a rate of these means nothing */
                set(row, "busy", view->rates->busy[i]);
                json_object_set_new(row, "per_second", rates);
                json_array_append_new(rows, row);
        }
        return rows;
}

static json_t *cohorts_json(const struct topsample *sample)
{
        json_t *rows = json_array();
        for (size_t i = 0; i < sample->cohorts_count; i++) {
                const struct topcohort *cohort = &sample->cohorts[i];
                json_t *row = json_object();
                set(row, "reactor", cohort->reactor);
                set(row, "members", cohort->members);
                set(row, "patterns_count", cohort->patterns_count);
                set_text(row, "pattern", cohort->pattern);
                set(row, "stream_bytes", cohort->stream_bytes);
                set(row, "appended", cohort->appended);
                set(row, "lag_bytes", cohort->lag_bytes);
                json_array_append_new(rows, row);
        }
        return rows;
}

static json_t *laggards_json(const struct topsample *sample)
{
        json_t *rows = json_array();
        for (size_t i = 0; i < sample->laggards_count; i++) {
                const struct toplaggard *laggard = &sample->laggards[i];
                json_t *row = json_object();
                set(row, "reactor", laggard->reactor);
                set(row, "connection", laggard->connection);
                set(row, "pending_bytes", laggard->pending_bytes);
                set(row, "pending_per_second", laggard->pending_per_second);
                set(row, "seconds_behind", laggard->seconds_behind);
                set(row, "seconds_open", laggard->seconds_open);
                set(row, "subscriptions", laggard->subscriptions);
                set_text(row, "user", laggard->user);
                set_text(row, "name", laggard->name);
                set_text(row, "address", laggard->address);
                json_array_append_new(rows, row);
        }
        return rows;
}

static json_t *reasons_json(const double dropped[LOSSES], double factor)
{
        json_t *json = json_object();
        for (enum loss loss = 0; loss < LOSSES; loss++)
                set(json, loss_name(loss), dropped[loss] * factor);
        return json;
}

static json_t *losses_json(const struct topview *view)
{
        const struct topsample *sample = view->sample;
        json_t *json = json_object(), *rows = json_array();
        for (size_t i = 0; i < sample->losses_count; i++) {
                const struct toploss *loss = &sample->losses[i];
                json_t *row = json_object();
                set(row, "seconds_ago", loss->seconds_ago);
                set(row, "count", loss->count);
                set_text(row, "reason", loss->reason);
                set(row, "connection", loss->connection);
                set_text(row, "user", loss->user);
                set_text(row, "name", loss->name);
                set_text(row, "address", loss->address);
                set_text(row, "first_subject", loss->first_subject);
                set_text(row, "last_subject", loss->last_subject);
                json_array_append_new(rows, row);
        }
        json_object_set_new(json, "since_start", reasons_json(sample->dropped, 1));
        json_object_set_new(json, "per_second", reasons_json(view->rates->dropped, 1));
        json_object_set_new(json, "last", rows);
        return json;
}

char *topview_json(const struct topview *view)
{
        const struct topsample *sample = view->sample;
        assert(sample != NULL);
        json_t *json = json_object(), *rates = totals_json(&view->rates->totals);
        set(rates, "fan_out", view->rates->fan_out);
        set(rates, "send_bytes", view->rates->send_bytes);
        set_text(json, "version", sample->version);
        set_text(json, "server_id", sample->server_id);
        set_text(json, "backend", sample->backend);
        set(json, "pid", sample->pid);
        set(json, "uptime_seconds", sample->uptime_seconds);
        json_object_set_new(json, "draining", json_boolean(sample->is_draining));
        set(json, "watermark", sample->watermark);
        set(json, "seconds", view->rates->seconds);
        json_object_set_new(json, "totals", totals_json(&sample->totals));
        json_object_set_new(json, "per_second", rates);
        json_object_set_new(json, "reactors", reactors_json(view));
        json_object_set_new(json, "cohorts", sample->has_cohorts ? cohorts_json(sample) : json_null());
        json_object_set_new(json, "laggards", sample->has_laggards ? laggards_json(sample) : json_null());
        json_object_set_new(json, "losses", losses_json(view));
        char *text = json_dumps(json, JSON_COMPACT | JSON_ENSURE_ASCII);
        json_decref(json);
        return text;
}
