/* canvas: a page as cells, before it is bytes for a terminal. Whatever text is put on it, what comes out moves no
 * cursor, ends no line and is never wider than the page: a cell holds one printable character, or is the right half of
 * a wide one. So a page is checked without a terminal, and two pages can be told apart row by row.
 *
 * Widths of characters are the C library's (wcwidth), so a canvas with UTF-8 wants setlocale(LC_CTYPE) to be one of
 * UTF-8. Belongs to one thread. */
#ifndef SPATE_ENGINE_CLI_CANVAS_H
#define SPATE_ENGINE_CLI_CANVAS_H

#include "engine/cli/growing.h"

/* What a cell is painted with; the terminal's own palette, so that it fits light and dark ones. */
/* clang-format off */
#define INK_TABLE(ROW)                  /* with colours, without */                                                    \
        ROW(PLAIN,   "",        "")                                                                                    \
        ROW(DIM,     "2",       "2")                                                                                   \
        ROW(BOLD,    "1",       "1")                                                                                   \
        ROW(TITLE,   "1;36",    "1")                                                                                   \
        ROW(FOCUS,   "1;7;36",  "1;7")                                                                                 \
        ROW(GOOD,    "32",      "")                                                                                    \
        ROW(WARN,    "33",      "1")                                                                                   \
        ROW(SERIOUS, "35",      "1")                                                                                   \
        ROW(BAD,     "1;31",    "1")                                                                                   \
        ROW(ALARM,   "1;7;31",  "1;7")                                                                                 \
        ROW(IN,      "36",      "")                                                                                    \
        ROW(OUT,     "32",      "")
/* clang-format on */

enum ink {
#define INK_ID(id, colours, without) INK_##id,
        INK_TABLE(INK_ID)
#undef INK_ID
                INKS
};

struct cell {
        uint8_t bytes[4]; /* one character of UTF-8 */
        uint8_t size;     /* 0: the right half of the wide character before it */
        uint8_t ink;
};

struct canvas {
        struct cell *cells; /* owned; `height` rows of `width` */
        size_t width, height;
        bool is_utf8;
};

#define CANVAS_WIDTH_MAX 500
#define CANVAS_HEIGHT_MAX 300

/* A blank page. The size is at least 1 by 1 and at most the above. 0 or -ENOMEM. */
int canvas_init(struct canvas *canvas, size_t width, size_t height, bool is_utf8);
void canvas_fini(struct canvas *canvas);

/* Puts `text` (bytes of anybody) at this place into at most `columns` cells and never beyond the row's end; what does
 * not fit ends in "…". Controls and what is not UTF-8 become '?'; characters without a width are left out. Outside of
 * the page nothing is put. Returns the cells used. */
size_t canvas_put(struct canvas *canvas, size_t row, size_t column, size_t columns, enum ink ink, const char *text);
/* The same, so that it ends with the last of `columns` cells. */
size_t canvas_put_right(struct canvas *canvas, size_t row, size_t column, size_t columns, enum ink ink,
                        const char *text);
/* How many cells `text` takes. */
size_t canvas_measure(const struct canvas *canvas, const char *text);
/* Paints the cells of a row from `column` on anew. */
void canvas_paint(struct canvas *canvas, size_t row, size_t column, size_t columns, enum ink ink);

/* Adds what makes a terminal that shows `before` show `canvas`; NULL: nobody knows what it shows, all is written.
 * Nothing is added when they are the same. */
void canvas_write(const struct canvas *canvas, const struct canvas *before, bool has_colours, struct growing *out);
/* Adds the page as lines of plain text, without blanks at their ends and without empty lines at the end. */
void canvas_print(const struct canvas *canvas, struct growing *out);

#endif
