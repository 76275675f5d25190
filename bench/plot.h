/* plot: lines in panels, one below the other, as an SVG that stands alone: no script, no font, no file beside it. Its
 * colours follow the reader's light or dark scheme.
 *
 *      title
 *      about
 *      ┌ panel title ────────────── legend ┐
 *   y  │      a line, with a band where    │
 *      │      points have a spread         │
 *      └───────────────────────────────────┘
 *                       x
 *
 * It is built in order: plot_panel(), then its ticks and lines; plot_line(), then its points. */
#ifndef SPATE_BENCH_PLOT_H
#define SPATE_BENCH_PLOT_H

#include <stdio.h>

#include "engine/base/check.h"

struct plot;

/* Every text is copied; bytes that are not UTF-8, and control characters, are written as '?'. */
struct plot *plot_new(const char *title, const char *about);
void plot_free(struct plot *plot);

/* Both axes begin at 0, or below where there is something; a logarithmic panel leaves out what is not above 0. */
void plot_panel(struct plot *plot, const char *title, const char *x_label, const char *y_label, bool is_logarithmic);
/* A name for a place on the x axis. With any of them the panel has no numbers there. */
void plot_tick(struct plot *plot, double x, const char *text);
void plot_line(struct plot *plot, const char *name);
/* Points that are not finite are left out. */
void plot_point(struct plot *plot, double x, double y);
void plot_point_spread(struct plot *plot, double x, double y, double least, double most);

/* False when `out` did not take all of it. */
bool plot_write(const struct plot *plot, FILE *out);

#endif
