/* tophistory: rates of the last minutes, for a graph, and the highest since somebody last reset it. A ring; what is
 * oldest goes. */
#ifndef SPATE_ENGINE_CLI_TOPHISTORY_H
#define SPATE_ENGINE_CLI_TOPHISTORY_H

#include "engine/base/check.h"

#define TOPHISTORY_POINTS 2048

enum tophistory_line { TOPHISTORY_EVENTS, TOPHISTORY_DELIVERIES, TOPHISTORY_LINES };

struct tophistory_point {
        double end_s, seconds; /* the viewer's clock when it was seen, and how long it speaks for */
        double rate[TOPHISTORY_LINES];
};

struct tophistory {
        struct tophistory_point points[TOPHISTORY_POINTS];
        size_t count; /* ever added */
        double peak[TOPHISTORY_LINES];
};

/* Zeroed is empty. Rates that are NAN leave a gap. */
void tophistory_add(struct tophistory *history, const struct tophistory_point *point);
void tophistory_reset_peak(struct tophistory *history);

/* Fills `out` with the means of `count` stretches of `stretch_s` seconds each, the last of which holds `now_s`; NAN
 * where nothing is known. The borders of stretches stand still as time goes on, so a graph moves but does not flicker.
 * Returns the largest, 0 for none. */
double tophistory_read(const struct tophistory *history, enum tophistory_line line, double now_s, double stretch_s,
                       double *out, size_t count);

#endif
