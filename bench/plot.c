/* plot: see plot.h. */
#include "bench/plot.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/wire/utf8.h"

#define WIDTH 900
#define HEAD_HEIGHT 64
#define PANEL_HEIGHT 310
#define LEFT 74
#define RIGHT 24
#define TOP 40    /* of a panel: its title and legend */
#define BOTTOM 48 /* its x axis */
#define PLOT_WIDTH (WIDTH - LEFT - RIGHT)
#define PLOT_HEIGHT (PANEL_HEIGHT - TOP - BOTTOM)
#define COLOURS 8
#define DOTS_MAX 60 /* points of a line from which on they are not marked one by one */
#define TICKS_WANTED 6

struct point {
        double x, y, least, most;
        bool has_spread;
};

struct line {
        char *name;
        struct point *points;
        size_t points_count, points_room;
};

struct tick {
        double x;
        char *text;
};

struct panel {
        char *title, *x_label, *y_label;
        bool is_logarithmic;
        struct line *lines;
        size_t lines_count, lines_room;
        struct tick *ticks;
        size_t ticks_count, ticks_room;
};

struct plot {
        char *title, *about;
        struct panel *panels;
        size_t panels_count, panels_room;
};

/* What of a panel's values goes where. */
struct frame {
        double x_low, x_high, y_low, y_high; /* y as its logarithm where the panel is logarithmic */
        bool is_logarithmic;
        double top;
};

static void *or_die(void *memory)
{
        if (memory == NULL)
                abort();
        return memory;
}

/* Room for one more at the end of an array; what it has there is zero. */
static void *array_add(void **array, size_t *count, size_t *room, size_t size)
{
        if (*count == *room) {
                *room = *room == 0 ? 8 : 2 * *room;
                *array = or_die(realloc(*array, *room * size));
        }
        void *item = (char *)*array + *count * size;
        memset(item, 0, size);
        *count += 1;
        return item;
}

struct plot *plot_new(const char *title, const char *about)
{
        struct plot *plot = or_die(calloc(1, sizeof(*plot)));
        plot->title = or_die(strdup(title));
        plot->about = or_die(strdup(about));
        return plot;
}

void plot_free(struct plot *plot)
{
        if (plot == NULL)
                return;
        for (size_t i = 0; i < plot->panels_count; i++) {
                struct panel *panel = &plot->panels[i];
                for (size_t k = 0; k < panel->lines_count; k++) {
                        free(panel->lines[k].name);
                        free(panel->lines[k].points);
                }
                for (size_t k = 0; k < panel->ticks_count; k++)
                        free(panel->ticks[k].text);
                free(panel->lines);
                free(panel->ticks);
                free(panel->title);
                free(panel->x_label);
                free(panel->y_label);
        }
        free(plot->panels);
        free(plot->title);
        free(plot->about);
        free(plot);
}

void plot_panel(struct plot *plot, const char *title, const char *x_label, const char *y_label, bool is_logarithmic)
{
        struct panel *panel =
                array_add((void **)&plot->panels, &plot->panels_count, &plot->panels_room, sizeof(struct panel));
        panel->title = or_die(strdup(title));
        panel->x_label = or_die(strdup(x_label));
        panel->y_label = or_die(strdup(y_label));
        panel->is_logarithmic = is_logarithmic;
}

static struct panel *panel_last(struct plot *plot)
{
        assert(plot->panels_count > 0);
        return &plot->panels[plot->panels_count - 1];
}

void plot_tick(struct plot *plot, double x, const char *text)
{
        struct panel *panel = panel_last(plot);
        struct tick *tick =
                array_add((void **)&panel->ticks, &panel->ticks_count, &panel->ticks_room, sizeof(struct tick));
        tick->x = x;
        tick->text = or_die(strdup(text));
}

void plot_line(struct plot *plot, const char *name)
{
        struct panel *panel = panel_last(plot);
        struct line *line =
                array_add((void **)&panel->lines, &panel->lines_count, &panel->lines_room, sizeof(struct line));
        line->name = or_die(strdup(name));
}

static void point_add(struct plot *plot, struct point point)
{
        struct panel *panel = panel_last(plot);
        assert(panel->lines_count > 0);
        struct line *line = &panel->lines[panel->lines_count - 1];
        if (!isfinite(point.x) || !isfinite(point.y) || !isfinite(point.least) || !isfinite(point.most))
                return;
        if (panel->is_logarithmic && (point.y <= 0 || point.least <= 0 || point.most <= 0))
                return;
        struct point *last =
                array_add((void **)&line->points, &line->points_count, &line->points_room, sizeof(struct point));
        *last = point;
}

void plot_point(struct plot *plot, double x, double y)
{
        point_add(plot, (struct point){.x = x, .y = y, .least = y, .most = y});
}

void plot_point_spread(struct plot *plot, double x, double y, double least, double most)
{
        point_add(plot, (struct point){.x = x, .y = y, .least = least, .most = most, .has_spread = true});
}

/* How many bytes at `text` are one character that XML may hold; 0 when they are none. */
static size_t character_bytes(const char *text)
{
        unsigned char first = (unsigned char)*text;
        if (first < 0x80)
                return first >= ' ' && first != 0x7f ? 1 : 0;
        if (strncmp(text, "\xef\xbf\xbe", 3) == 0 || strncmp(text, "\xef\xbf\xbf", 3) == 0)
                return 0;
        return utf8_sequence_size(span_of(text, strnlen(text, UTF8_SEQUENCE_BYTES_MAX)));
}

static void text_put(FILE *out, const char *text)
{
        for (const char *at = text; *at != '\0';) {
                size_t size = character_bytes(at);
                if (size == 0)
                        fputc('?', out);
                else if (*at == '&')
                        fputs("&amp;", out);
                else if (*at == '<')
                        fputs("&lt;", out);
                else if (*at == '>')
                        fputs("&gt;", out);
                else if (*at == '"')
                        fputs("&quot;", out);
                else
                        fwrite(at, 1, size, out);
                at += size == 0 ? 1 : size;
        }
}

static void label_put(FILE *out, double x, double y, const char *class, const char *anchor, const char *text)
{
        fprintf(out, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", class, x, y, anchor);
        text_put(out, text);
        fputs("</text>\n", out);
}

static double scaled(const struct frame *frame, double y)
{
        return frame->is_logarithmic ? log10(y) : y;
}

static double x_of(const struct frame *frame, double x)
{
        return LEFT + PLOT_WIDTH * (x - frame->x_low) / (frame->x_high - frame->x_low);
}

static double y_of(const struct frame *frame, double y)
{
        return frame->top + TOP + PLOT_HEIGHT * (frame->y_high - scaled(frame, y)) / (frame->y_high - frame->y_low);
}

/* 1, 2 or 5 times a power of ten, so that about TICKS_WANTED of them make up `range`. */
static double step_nice(double range)
{
        double raw = range / TICKS_WANTED;
        double power = pow(10, floor(log10(raw)));
        double share = raw / power;
        return power * (share <= 1 ? 1 : share <= 2 ? 2 : share <= 5 ? 5 : 10);
}

static void frame_fit(const struct panel *panel, struct frame *frame)
{
        bool any = false;
        frame->is_logarithmic = panel->is_logarithmic;
        for (size_t i = 0; i < panel->lines_count; i++) {
                for (size_t k = 0; k < panel->lines[i].points_count; k++) {
                        const struct point *point = &panel->lines[i].points[k];
                        double low = scaled(frame, point->least), high = scaled(frame, point->most);
                        frame->x_low = !any || point->x < frame->x_low ? point->x : frame->x_low;
                        frame->x_high = !any || point->x > frame->x_high ? point->x : frame->x_high;
                        frame->y_low = !any || low < frame->y_low ? low : frame->y_low;
                        frame->y_high = !any || high > frame->y_high ? high : frame->y_high;
                        any = true;
                }
        }
        for (size_t i = 0; i < panel->ticks_count && any; i++) {
                frame->x_low = fmin(frame->x_low, panel->ticks[i].x);
                frame->x_high = fmax(frame->x_high, panel->ticks[i].x);
        }
        if (panel->ticks_count == 0)
                frame->x_low = fmin(frame->x_low, 0);
        if (!any)
                *frame = (struct frame){.x_high = 1, .y_high = 1, .is_logarithmic = panel->is_logarithmic};
        if (frame->x_high <= frame->x_low) {
                frame->x_low -= 0.5;
                frame->x_high += 0.5;
        }
        if (frame->is_logarithmic) {
                frame->y_low = floor(frame->y_low * 2) / 2;
                frame->y_high = ceil(frame->y_high * 2) / 2;
        } else {
                frame->y_low = fmin(frame->y_low, 0);
                if (frame->y_high > frame->y_low) {
                        double step = step_nice(frame->y_high - frame->y_low);
                        frame->y_high = ceil(frame->y_high / step) * step;
                }
        }
        if (frame->y_high <= frame->y_low)
                frame->y_high = frame->y_low + 1;
}

/* 25000 as "25 k": short enough to stand beside an axis. */
static void number_short(double number, char *to, size_t room)
{
        static const struct {
                double unit;
                const char *letter;
        } units[] = {{1e9, " G"}, {1e6, " M"}, {1e3, " k"}};
        for (size_t i = 0; i < array_count(units); i++) {
                if (fabs(number) >= units[i].unit) {
                        snprintf(to, room, "%.4g%s", number / units[i].unit, units[i].letter);
                        return;
                }
        }
        snprintf(to, room, "%.4g", fabs(number) < 1e-12 ? 0 : number);
}

static void y_tick_put(FILE *out, const struct frame *frame, double value)
{
        char text[32];
        double y = y_of(frame, value);
        number_short(value, text, sizeof(text));
        fprintf(out, "<path class=\"grid\" d=\"M%d %.1fH%d\"/>\n", LEFT, y, WIDTH - RIGHT);
        label_put(out, LEFT - 8, y + 4, "tick", "end", text);
}

static void y_axis_put(FILE *out, const struct frame *frame)
{
        if (!frame->is_logarithmic) {
                double step = step_nice(frame->y_high - frame->y_low);
                for (double value = ceil(frame->y_low / step - 1e-9) * step; value <= frame->y_high + step * 1e-6;
                     value += step)
                        y_tick_put(out, frame, value);
                return;
        }
        static const double steps[] = {1, 2, 5};
        size_t steps_used = frame->y_high - frame->y_low > 3.2 ? 1 : array_count(steps);
        for (double power = floor(frame->y_low); power <= frame->y_high; power++) {
                for (size_t i = 0; i < steps_used; i++) {
                        double value = steps[i] * pow(10, power);
                        if (log10(value) >= frame->y_low - 1e-9 && log10(value) <= frame->y_high + 1e-9)
                                y_tick_put(out, frame, value);
                }
        }
}

static void x_tick_put(FILE *out, const struct frame *frame, double value, const char *text)
{
        double x = x_of(frame, value);
        double bottom = frame->top + TOP + PLOT_HEIGHT;
        fprintf(out, "<path class=\"grid\" d=\"M%.1f %.1fV%.1f\"/>\n", x, frame->top + TOP, bottom);
        label_put(out, x, bottom + 17, "tick", x > WIDTH - RIGHT - 20 ? "end" : "middle", text);
}

static void x_axis_put(FILE *out, const struct panel *panel, const struct frame *frame)
{
        for (size_t i = 0; i < panel->ticks_count; i++)
                x_tick_put(out, frame, panel->ticks[i].x, panel->ticks[i].text);
        if (panel->ticks_count != 0)
                return;
        double step = step_nice(frame->x_high - frame->x_low);
        for (double value = ceil(frame->x_low / step - 1e-9) * step; value <= frame->x_high + step * 1e-6;
             value += step) {
                char text[32];
                number_short(value, text, sizeof(text));
                x_tick_put(out, frame, value, text);
        }
}

static void band_put(FILE *out, const struct frame *frame, const struct line *line, unsigned colour)
{
        size_t spreads = 0;
        for (size_t i = 0; i < line->points_count; i++)
                spreads += line->points[i].has_spread;
        if (spreads == 0)
                return;
        for (size_t i = 0; i < line->points_count; i++) {
                const struct point *point = &line->points[i];
                fprintf(out, "<path class=\"line whisker c%u\" d=\"M%.1f %.1fV%.1f\"/>\n", colour,
                        x_of(frame, point->x), y_of(frame, point->least), y_of(frame, point->most));
        }
        if (line->points_count < 2)
                return;
        fprintf(out, "<path class=\"band f%u\" d=\"", colour);
        for (size_t i = 0; i < line->points_count; i++)
                fprintf(out, "%c%.1f %.1f", i == 0 ? 'M' : 'L', x_of(frame, line->points[i].x),
                        y_of(frame, line->points[i].most));
        for (size_t i = line->points_count; i-- > 0;)
                fprintf(out, "L%.1f %.1f", x_of(frame, line->points[i].x), y_of(frame, line->points[i].least));
        fputs("Z\"/>\n", out);
}

static void line_put(FILE *out, const struct frame *frame, const struct line *line, unsigned colour)
{
        band_put(out, frame, line, colour);
        if (line->points_count > 1) {
                fprintf(out, "<path class=\"line c%u\" d=\"", colour);
                for (size_t i = 0; i < line->points_count; i++)
                        fprintf(out, "%c%.1f %.1f", i == 0 ? 'M' : 'L', x_of(frame, line->points[i].x),
                                y_of(frame, line->points[i].y));
                fputs("\"/>\n", out);
        }
        for (size_t i = 0; i < line->points_count && line->points_count <= DOTS_MAX; i++)
                fprintf(out, "<circle class=\"f%u\" cx=\"%.1f\" cy=\"%.1f\" r=\"2.6\"/>\n", colour,
                        x_of(frame, line->points[i].x), y_of(frame, line->points[i].y));
}

/* From the right edge to the left, the last line outermost. */
static void legend_put(FILE *out, const struct panel *panel, double top)
{
        double x = WIDTH - RIGHT;
        if (panel->lines_count < 2)
                return;
        for (size_t i = panel->lines_count; i-- > 0;) {
                /* Nobody knows the reader's font; this is a little more than most need. */
                x -= 6.4 * (double)strlen(panel->lines[i].name) + 20;
                unsigned colour = (unsigned)(i % COLOURS);
                fprintf(out, "<path class=\"line key c%u\" d=\"M%.1f %.1fh14\"/>\n", colour, x, top + 22);
                label_put(out, x + 19, top + 26, "tick", "start", panel->lines[i].name);
                x -= 12;
        }
}

static void panel_put(FILE *out, const struct panel *panel, double top)
{
        struct frame frame = {0};
        frame_fit(panel, &frame);
        frame.top = top;
        label_put(out, LEFT, top + 26, "panel", "start", panel->title);
        legend_put(out, panel, top);
        y_axis_put(out, &frame);
        x_axis_put(out, panel, &frame);
        fprintf(out, "<path class=\"axis\" d=\"M%d %.1fV%.1fH%d\"/>\n", LEFT, top + TOP, top + TOP + PLOT_HEIGHT,
                WIDTH - RIGHT);
        label_put(out, LEFT + PLOT_WIDTH / 2.0, top + PANEL_HEIGHT - 12, "label", "middle", panel->x_label);
        double middle = top + TOP + PLOT_HEIGHT / 2.0;
        fprintf(out, "<g transform=\"rotate(-90 16 %.1f)\">", middle);
        label_put(out, 16, middle + 4, "label", "middle", panel->y_label);
        fputs("</g>\n", out);
        bool any = false;
        for (size_t i = 0; i < panel->lines_count; i++) {
                line_put(out, &frame, &panel->lines[i], (unsigned)(i % COLOURS));
                any |= panel->lines[i].points_count != 0;
        }
        if (!any)
                label_put(out, LEFT + PLOT_WIDTH / 2.0, middle, "label", "middle", "nothing was recorded");
}

/* Classes, not variables: some viewers know no others. Colours that people who see few of them can tell apart. */
static void style_put(FILE *out)
{
        static const char *const light[COLOURS] = {"#0072b2", "#d55e00", "#009e73", "#aa4499",
                                                   "#b8860b", "#56b4e9", "#666666", "#000000"};
        static const char *const dark[COLOURS] = {"#56b4e9", "#ff9a4d", "#2fcf9f", "#e58fc4",
                                                  "#f0c040", "#9bd3ff", "#b0b0b0", "#ffffff"};
        fputs("<style>\n"
              "text{font-family:system-ui,sans-serif;fill:#24292f}\n"
              ".title{font-size:18px;font-weight:600}.panel{font-size:14px;font-weight:600}\n"
              ".about,.label{font-size:12px;fill:#57606a}.tick{font-size:11px;fill:#57606a}\n"
              ".paper{fill:#ffffff}.grid{stroke:#d8dee4;stroke-width:1}.axis{fill:none;stroke:#8c959f}\n"
              ".line{fill:none;stroke-width:1.8;stroke-linejoin:round}.whisker{stroke-width:1;opacity:.6}\n"
              ".key{stroke-width:3}.band{opacity:.15}\n",
              out);
        for (unsigned i = 0; i < COLOURS; i++)
                fprintf(out, ".c%u{stroke:%s}.f%u{fill:%s}\n", i, light[i], i, light[i]);
        fputs("@media (prefers-color-scheme:dark){\n"
              "text{fill:#e6edf3}.about,.label,.tick{fill:#9da7b3}\n"
              ".paper{fill:#0d1117}.grid{stroke:#262c36}.axis{stroke:#6e7681}\n",
              out);
        for (unsigned i = 0; i < COLOURS; i++)
                fprintf(out, ".c%u{stroke:%s}.f%u{fill:%s}\n", i, dark[i], i, dark[i]);
        fputs("}\n</style>\n", out);
}

bool plot_write(const struct plot *plot, FILE *out)
{
        int height = HEAD_HEIGHT + PANEL_HEIGHT * (int)plot->panels_count;
        fprintf(out,
                "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" "
                "role=\"img\">\n<title>",
                WIDTH, height, WIDTH, height);
        text_put(out, plot->title);
        fputs("</title>\n", out);
        style_put(out);
        fprintf(out, "<rect class=\"paper\" width=\"%d\" height=\"%d\"/>\n", WIDTH, height);
        label_put(out, LEFT, 32, "title", "start", plot->title);
        label_put(out, LEFT, 54, "about", "start", plot->about);
        for (size_t i = 0; i < plot->panels_count; i++)
                panel_put(out, &plot->panels[i], HEAD_HEIGHT + PANEL_HEIGHT * (double)i);
        fputs("</svg>\n", out);
        return fflush(out) == 0 && ferror(out) == 0;
}
