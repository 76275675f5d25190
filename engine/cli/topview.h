/* topview: the page of `spate top`: two samples of an engine and the size of a screen give rows of cells. Pure: it asks
 * nobody, knows no terminal and no clock, and any sample at any size gives a page. */
#ifndef SPATE_ENGINE_CLI_TOPVIEW_H
#define SPATE_ENGINE_CLI_TOPVIEW_H

#include "engine/cli/canvas.h"
#include "engine/cli/tophistory.h"
#include "engine/cli/topsample.h"

/* The tables, in the order in which the room goes to them. */
enum toptable { TOPTABLE_REACTORS, TOPTABLE_COHORTS, TOPTABLE_LAGGARDS, TOPTABLE_LOSSES, TOPTABLES };

struct topview {
        const struct topsample *sample; /* NULL: the engine has told nothing yet */
        const struct toprates *rates;
        const struct tophistory *history;
        double now_s;      /* the viewer's clock, as the points of `history` */
        double interval_s; /* between two samples, as asked for */
        double paced_s;    /* as it is, to leave an engine that answers slowly alone; 0: as asked for */
        const char *address, *clock;
        const char *unreachable_since;     /* a time of day; NULL: it answers */
        const char *trouble;               /* why it does not, one line */
        const char *notice;                /* something that happened, one line; NULL */
        enum toptable focus;               /* this table gets the room that there is */
        bool is_by_load;                   /* reactors: the busiest first */
        bool is_paused, is_help, is_plain; /* plain: for a pipe, without keys */
};

#define TOPVIEW_WIDTH_MIN 40
#define TOPVIEW_HEIGHT_MIN 10

/* Draws on a blank canvas. What does not fit is left out, the least important first. */
void topview_draw(const struct topview *view, struct canvas *canvas);

/* The same as one line of JSON, on the heap; rates that are not known are null. NULL: no memory. */
char *topview_json(const struct topview *view);

#endif
