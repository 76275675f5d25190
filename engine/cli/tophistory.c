/* tophistory: see the header. */
#include "engine/cli/tophistory.h"

#include <math.h>

void tophistory_add(struct tophistory *history, const struct tophistory_point *point)
{
        history->points[history->count++ % TOPHISTORY_POINTS] = *point;
        for (int line = 0; line < TOPHISTORY_LINES; line++)
                if (point->rate[line] > history->peak[line])
                        history->peak[line] = point->rate[line];
}

void tophistory_reset_peak(struct tophistory *history)
{
        for (int line = 0; line < TOPHISTORY_LINES; line++)
                history->peak[line] = 0;
}

double tophistory_read(const struct tophistory *history, enum tophistory_line line, double now_s, double stretch_s,
                       double *out, size_t count)
{
        assert(stretch_s > 0 && count > 0);
        double end_s = (floor(now_s / stretch_s) + 1) * stretch_s, start_s = end_s - (double)count * stretch_s;
        size_t kept = history->count < TOPHISTORY_POINTS ? history->count : TOPHISTORY_POINTS;
        double highest = 0;
        for (size_t i = 0; i < count; i++) {
                /* A point speaks for the time before it, and for each stretch as much as it overlaps it. */
                double from_s = start_s + (double)i * stretch_s, sum = 0, weight = 0;
                for (size_t back = 1; back <= kept; back++) {
                        const struct tophistory_point *point =
                                &history->points[(history->count - back) % TOPHISTORY_POINTS];
                        if (point->end_s <= from_s)
                                break;
                        double overlap_s =
                                fmin(point->end_s, from_s + stretch_s) - fmax(point->end_s - point->seconds, from_s);
                        if (overlap_s <= 0 || isnan(point->rate[line]))
                                continue;
                        sum += point->rate[line] * overlap_s;
                        weight += overlap_s;
                }
                out[i] = weight > 0 ? sum / weight : NAN;
                highest = out[i] > highest ? out[i] : highest;
        }
        return highest;
}
