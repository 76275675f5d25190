/* canvas: cells in rows. See the header. */
#include "engine/cli/canvas.h"

#include <errno.h>
#include <wchar.h>

#include "engine/cli/escape.h"
#include "io/wire/utf8.h"

static const struct {
        const char *colours, *without;
} inks[INKS] = {
#define INK_ROW(id, with_colours, without_colours) [INK_##id] = {with_colours, without_colours},
        INK_TABLE(INK_ROW)
#undef INK_ROW
};

static const struct cell blank = {.bytes = {' '}, .size = 1, .ink = INK_PLAIN};

int canvas_init(struct canvas *canvas, size_t width, size_t height, bool is_utf8)
{
        assert(width > 0 && width <= CANVAS_WIDTH_MAX);
        assert(height > 0 && height <= CANVAS_HEIGHT_MAX);
        *canvas = (struct canvas){.cells = malloc(width * height * sizeof *canvas->cells),
                                  .width = width,
                                  .height = height,
                                  .is_utf8 = is_utf8};
        if (canvas->cells == NULL)
                return -ENOMEM;
        for (size_t i = 0; i < width * height; i++)
                canvas->cells[i] = blank;
        return 0;
}

void canvas_fini(struct canvas *canvas)
{
        free(canvas->cells);
        *canvas = (struct canvas){0};
}

static struct cell *cell_at(const struct canvas *canvas, size_t row, size_t column)
{
        assert_slow(row < canvas->height && column < canvas->width);
        return &canvas->cells[row * canvas->width + column];
}

/* ---- characters ---- */

/* The character at the start of `text` as a cell; *width is what it takes (0: it is left out). Returns its bytes. */
static size_t character(const struct canvas *canvas, struct span text, struct cell *cell, size_t *width)
{
        size_t size = utf8_sequence_size(text);
        *cell = (struct cell){.bytes = {'?'}, .size = 1};
        *width = 1;
        if (size == 0)
                return 1;
        if (size == 1) {
                if (text.bytes[0] >= ' ' && text.bytes[0] < 0x7f)
                        cell->bytes[0] = text.bytes[0];
                return 1;
        }
        int columns = canvas->is_utf8 ? wcwidth((wchar_t)escape_code(span_of(text.bytes, size))) : -1;
        if (columns < 0)
                return size;
        *width = columns > 2 ? 0 : (size_t)columns;
        cell->size = (uint8_t)size;
        memcpy(cell->bytes, text.bytes, size);
        return size;
}

size_t canvas_measure(const struct canvas *canvas, const char *text)
{
        struct span rest = span_of_text(text);
        size_t columns = 0, width;
        struct cell unused;
        while (rest.size > 0) {
                rest = span_skip(rest, character(canvas, rest, &unused, &width));
                columns += width;
        }
        return columns;
}

/* A wide character that loses one half loses the other. */
static void cell_set(struct canvas *canvas, size_t row, size_t column, struct cell cell)
{
        struct cell *at = cell_at(canvas, row, column);
        if (at->size == 0 && column > 0)
                *cell_at(canvas, row, column - 1) = blank;
        if (column + 1 < canvas->width && cell_at(canvas, row, column + 1)->size == 0)
                *cell_at(canvas, row, column + 1) = blank;
        *at = cell;
}

static void put_character(struct canvas *canvas, size_t row, size_t column, struct cell cell, size_t width,
                          enum ink ink)
{
        cell.ink = (uint8_t)ink;
        cell_set(canvas, row, column, cell);
        if (width == 2) {
                cell_set(canvas, row, column + 1, blank);
                *cell_at(canvas, row, column) = cell; /* setting its right half has just blanked it, if it was one */
                *cell_at(canvas, row, column + 1) = (struct cell){.size = 0, .ink = (uint8_t)ink};
        }
}

size_t canvas_put(struct canvas *canvas, size_t row, size_t column, size_t columns, enum ink ink, const char *text)
{
        struct span rest = span_of_text(text);
        size_t used = 0, width;
        struct cell cell;
        if (row >= canvas->height || column >= canvas->width)
                return 0;
        if (columns > canvas->width - column)
                columns = canvas->width - column;
        bool is_cut = canvas_measure(canvas, text) > columns;
        size_t room = is_cut && columns > 0 ? columns - 1 : columns;
        while (rest.size > 0) {
                size_t size = character(canvas, rest, &cell, &width);
                if (used + width > room)
                        break;
                if (width > 0)
                        put_character(canvas, row, column + used, cell, width, ink);
                used += width;
                rest = span_skip(rest, size);
        }
        if (!is_cut || columns == 0)
                return used;
        character(canvas, canvas->is_utf8 ? SPAN("…") : SPAN("~"), &cell, &width);
        put_character(canvas, row, column + used, cell, 1, ink);
        return used + 1;
}

size_t canvas_put_right(struct canvas *canvas, size_t row, size_t column, size_t columns, enum ink ink,
                        const char *text)
{
        size_t width = canvas_measure(canvas, text);
        if (width < columns) {
                column += columns - width;
                columns = width;
        }
        return canvas_put(canvas, row, column, columns, ink, text);
}

void canvas_paint(struct canvas *canvas, size_t row, size_t column, size_t columns, enum ink ink)
{
        for (size_t i = column; row < canvas->height && i < canvas->width && i - column < columns; i++)
                cell_at(canvas, row, i)->ink = (uint8_t)ink;
}

/* ---- bytes ---- */

static size_t row_end(const struct canvas *canvas, size_t row)
{
        size_t end = canvas->width;
        while (end > 0 && memcmp(cell_at(canvas, row, end - 1), &blank, sizeof blank) == 0)
                end--;
        return end;
}

static bool row_equal(const struct canvas *canvas, const struct canvas *before, size_t row)
{
        return memcmp(cell_at(canvas, row, 0), cell_at(before, row, 0), canvas->width * sizeof(struct cell)) == 0;
}

static void write_row(const struct canvas *canvas, size_t row, bool has_colours, struct growing *out)
{
        char sequence[32];
        uint8_t ink = INK_PLAIN;
        size_t end = row_end(canvas, row);
        snprintf(sequence, sizeof sequence, "\x1b[%zu;1H", row + 1);
        growing_add_text(out, sequence);
        for (size_t column = 0; column < end; column++) {
                const struct cell *cell = cell_at(canvas, row, column);
                if (cell->ink != ink) {
                        const char *how = has_colours ? inks[cell->ink].colours : inks[cell->ink].without;
                        snprintf(sequence, sizeof sequence, "\x1b[0%s%sm", how[0] == '\0' ? "" : ";", how);
                        growing_add_text(out, sequence);
                        ink = cell->ink;
                }
                growing_add(out, span_of(cell->bytes, cell->size));
        }
        if (ink != INK_PLAIN)
                growing_add_text(out, "\x1b[0m");
        if (end < canvas->width) /* behind the last cell it would erase that cell: the cursor still stands on it */
                growing_add_text(out, "\x1b[K");
}

void canvas_write(const struct canvas *canvas, const struct canvas *before, bool has_colours, struct growing *out)
{
        bool is_known = before != NULL && before->width == canvas->width && before->height == canvas->height;
        size_t start = out->size;
        growing_add_text(out, "\x1b[?2026h"); /* shown at once, where the terminal can; elsewhere it means nothing */
        size_t head = out->size - start;
        for (size_t row = 0; row < canvas->height; row++)
                if (!is_known || !row_equal(canvas, before, row))
                        write_row(canvas, row, has_colours, out);
        if (out->size == start + head)
                out->size = start;
        else
                growing_add_text(out, "\x1b[?2026l");
}

void canvas_print(const struct canvas *canvas, struct growing *out)
{
        size_t rows = canvas->height;
        while (rows > 0 && row_end(canvas, rows - 1) == 0)
                rows--;
        for (size_t row = 0; row < rows; row++) {
                size_t end = canvas->width;
                while (end > 0 && cell_at(canvas, row, end - 1)->size == 1 &&
                       cell_at(canvas, row, end - 1)->bytes[0] == ' ')
                        end--;
                for (size_t column = 0; column < end; column++)
                        growing_add(out,
                                    span_of(cell_at(canvas, row, column)->bytes, cell_at(canvas, row, column)->size));
                growing_add_text(out, "\n");
        }
}
