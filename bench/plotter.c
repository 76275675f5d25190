/* plotter: draws what standard input says, a word and its text a line, to standard output; for the scripts beside it.
 *
 *      title TEXT          about TEXT          panel TITLE         x LABEL             y LABEL
 *      y-scale log         tick X TEXT         line NAME           X Y                 X Y LEAST MOST
 *
 * What belongs to a panel stands behind it, and points behind their line. Exit code 2: a line is not understood. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/plot.h"

#define TEXT_BYTES 512

struct plotter {
        struct plot *plot;
        char title[TEXT_BYTES], about[TEXT_BYTES];
        char panel[TEXT_BYTES], x_label[TEXT_BYTES], y_label[TEXT_BYTES];
        bool is_logarithmic;
        bool has_panel; /* one is named, and not in the plot yet: its labels may follow */
        bool in_panel, in_line;
        size_t line_number;
};

static int refuse(const struct plotter *plotter, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int refuse(const struct plotter *plotter, const char *format, ...)
{
        va_list arguments;
        va_start(arguments, format);
        fprintf(stderr, "plot: line %zu: ", plotter->line_number);
        vfprintf(stderr, format, arguments);
        fputc('\n', stderr);
        va_end(arguments);
        return BENCH_USAGE;
}

static void panel_open(struct plotter *plotter)
{
        if (plotter->plot == NULL)
                plotter->plot = plot_new(plotter->title, plotter->about);
        if (!plotter->has_panel)
                return;
        plot_panel(plotter->plot, plotter->panel, plotter->x_label, plotter->y_label, plotter->is_logarithmic);
        plotter->has_panel = false;
        plotter->in_panel = true;
        plotter->in_line = false;
}

static void text_take(char to[TEXT_BYTES], const char *from)
{
        snprintf(to, TEXT_BYTES, "%s", from);
}

static int point_take(struct plotter *plotter, const char *line)
{
        double numbers[4];
        size_t count = 0;
        const char *at = line;
        for (; count < array_count(numbers); count++) {
                char *end;
                numbers[count] = strtod(at, &end);
                if (end == at)
                        break;
                at = end;
        }
        if ((count != 2 && count != 4) || at[strspn(at, " ")] != '\0')
                return refuse(plotter, "'%s' is neither a point (X Y, or X Y LEAST MOST) nor a word that is known",
                              line);
        if (!plotter->in_line)
                return refuse(plotter, "a point needs a line before it");
        if (count == 2)
                plot_point(plotter->plot, numbers[0], numbers[1]);
        else
                plot_point_spread(plotter->plot, numbers[0], numbers[1], numbers[2], numbers[3]);
        return BENCH_OK;
}

static int tick_take(struct plotter *plotter, const char *line, const char *text)
{
        char *end;
        double x = strtod(text, &end);
        if (end == text || *end != ' ')
                return refuse(plotter, "'%s' should be tick X TEXT", line);
        plot_tick(plotter->plot, x, end + 1);
        return BENCH_OK;
}

/* The words behind which a text stands. */
static int line_take(struct plotter *plotter, char *line)
{
        const char *space = strchr(line, ' ');
        size_t size = space == NULL ? strlen(line) : (size_t)(space - line);
        const char *text = space == NULL ? "" : space + 1;
        bool is_of_panel = false;
        static const char *const of_panel[] = {"x", "y", "y-scale", "tick", "line"};
        struct {
                const char *word;
                char *to;
        } texts[] = {
                {"title", plotter->title}, {"about", plotter->about}, {"x", plotter->x_label}, {"y", plotter->y_label}};
        if (size == 5 && memcmp(line, "panel", 5) == 0) {
                panel_open(plotter);
                text_take(plotter->panel, text);
                plotter->x_label[0] = plotter->y_label[0] = '\0';
                plotter->is_logarithmic = false;
                plotter->has_panel = true;
                return BENCH_OK;
        }
        for (size_t i = 0; i < array_count(of_panel); i++)
                is_of_panel |= strlen(of_panel[i]) == size && memcmp(line, of_panel[i], size) == 0;
        if (is_of_panel && !plotter->has_panel && !plotter->in_panel)
                return refuse(plotter, "'%.*s' needs a panel before it", (int)size, line);
        for (size_t i = 0; i < array_count(texts); i++) {
                if (strlen(texts[i].word) == size && memcmp(line, texts[i].word, size) == 0) {
                        text_take(texts[i].to, text);
                        return BENCH_OK;
                }
        }
        if (strcmp(line, "y-scale log") == 0) {
                plotter->is_logarithmic = true;
                return BENCH_OK;
        }
        panel_open(plotter);
        if (size == 4 && memcmp(line, "tick", 4) == 0)
                return tick_take(plotter, line, text);
        if (size == 4 && memcmp(line, "line", 4) == 0) {
                plot_line(plotter->plot, text);
                plotter->in_line = true;
                return BENCH_OK;
        }
        return point_take(plotter, line);
}

int main(void)
{
        struct plotter plotter = {0};
        char *line = NULL;
        size_t room = 0;
        int exit_code = BENCH_OK;
        for (ssize_t size; exit_code == BENCH_OK && (size = getline(&line, &room, stdin)) >= 0;) {
                plotter.line_number++;
                if (size > 0 && line[size - 1] == '\n')
                        line[size - 1] = '\0';
                if (line[0] != '\0')
                        exit_code = line_take(&plotter, line);
        }
        if (exit_code == BENCH_OK) {
                panel_open(&plotter);
                if (!plot_write(plotter.plot, stdout)) {
                        fprintf(stderr, "plot: standard output: %s\n", strerror(errno));
                        exit_code = BENCH_FAILED;
                }
        }
        plot_free(plotter.plot);
        free(line);
        return exit_code;
}
