/* lossview: one line a loss, columns as wide as they need to be. Text from the server is escaped: it ends up on a
 * terminal. Reactors answer side by side; here their rows are put in the order of time. */
#include "engine/cli/lossview.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "engine/account.h"
#include "engine/base/memstream.h"
#include "engine/cli/escape.h"

enum column { COLUMN_WHEN, COLUMN_LOST, COLUMN_WHY, COLUMN_WHO, COLUMN_WHAT, COLUMNS };

static const char *const titles[COLUMNS] = {"WHEN", "LOST", "WHY", "WHO", "WHICH"};

/* One line, each column as it will stand there; the text is escaped. */
struct line {
        char *text[COLUMNS];
        size_t width[COLUMNS]; /* in characters */
        double seconds_ago;
};

struct lines {
        struct line *line;
        size_t count;
};

static const char *member_text(const json_t *json, const char *name)
{
        const char *text = json_string_value(json_object_get(json, name));
        return text == NULL ? "" : text;
}

static uint64_t member_count(const json_t *json, const char *name)
{
        json_int_t value = json_integer_value(json_object_get(json, name));
        return value < 0 ? 0 : (uint64_t)value;
}

/* 1234567 as 1 234 567. */
static void print_count(FILE *out, uint64_t count)
{
        char digits[24];
        int size = snprintf(digits, sizeof digits, "%" PRIu64, count);
        for (int i = 0; i < size; i++) {
                if (i > 0 && (size - i) % 3 == 0)
                        fputc(' ', out);
                fputc(digits[i], out);
        }
}

static void print_when(FILE *out, const json_t *row)
{
        double ago = json_number_value(json_object_get(row, "seconds_ago"));
        uint64_t seconds = ago < 0 || ago > 1e15 ? 0 : (uint64_t)ago;
        escape_print(out, span_of_text(member_text(row, "at")));
        if (seconds < 120)
                fprintf(out, " (%" PRIu64 "s ago)", seconds);
        else if (seconds < 7200)
                fprintf(out, " (%" PRIu64 "m ago)", seconds / 60);
        else if (seconds < 172800)
                fprintf(out, " (%" PRIu64 "h ago)", seconds / 3600);
        else
                fprintf(out, " (%" PRIu64 "d ago)", seconds / 86400);
}

/* The user, else the name that the client gave itself, and where it came from. */
static void print_who(FILE *out, const json_t *row)
{
        static const char *const names[] = {"user", "name"};
        for (size_t i = 0; i < array_count(names); i++) {
                const char *text = member_text(row, names[i]);
                if (text[0] == '\0')
                        continue;
                escape_print(out, span_of_text(text));
                fputc(' ', out);
        }
        escape_print(out, span_of_text(member_text(row, "address")));
        fprintf(out, " #%" PRIu64 " ", member_count(row, "connection"));
        escape_print(out, span_of_text(member_text(row, "protocol")));
}

static void print_which(FILE *out, const json_t *row)
{
        const char *first = member_text(row, "first_subject"), *last = member_text(row, "last_subject");
        if (first[0] == '\0' && last[0] == '\0')
                return;
        escape_print(out, span_of_text(first[0] == '\0' ? "?" : first));
        if (strcmp(first, last) == 0)
                return;
        fputs(" to ", out);
        escape_print(out, span_of_text(last[0] == '\0' ? "?" : last));
}

static void print_column(FILE *out, const json_t *row, enum column column)
{
        switch (column) {
        case COLUMN_WHEN:
                print_when(out, row);
                break;
        case COLUMN_LOST:
                print_count(out, member_count(row, "count"));
                break;
        case COLUMN_WHY:
                escape_print(out, span_of_text(member_text(row, "reason")));
                break;
        case COLUMN_WHO:
                print_who(out, row);
                break;
        case COLUMN_WHAT:
                print_which(out, row);
                break;
        case COLUMNS:
                break;
        }
}

static size_t characters(const char *text)
{
        size_t count = 0;
        for (; *text != '\0'; text++)
                count += ((unsigned char)*text & 0xC0) != 0x80;
        return count;
}

/* false: no memory. */
static bool lines_add(struct lines *lines, const json_t *row)
{
        struct line *grown = realloc(lines->line, (lines->count + 1) * sizeof *grown);
        if (grown == NULL)
                return false;
        lines->line = grown;
        struct line *line = &lines->line[lines->count++];
        *line = (struct line){.seconds_ago = json_number_value(json_object_get(row, "seconds_ago"))};
        for (enum column i = 0; i < COLUMNS; i++) {
                struct memstream stream;
                if (memstream_open(&stream) != 0)
                        return false;
                print_column(stream.out, row, i);
                line->text[i] = memstream_close(&stream, NULL);
                if (line->text[i] == NULL)
                        return false;
                line->width[i] = characters(line->text[i]);
        }
        return true;
}

static void lines_fini(struct lines *lines)
{
        for (size_t i = 0; i < lines->count; i++)
                for (enum column column = 0; column < COLUMNS; column++)
                        free(lines->line[i].text[column]);
        free(lines->line);
}

static int compare_lines(const void *left, const void *right)
{
        const struct line *a = left, *b = right;
        return (a->seconds_ago > b->seconds_ago) - (a->seconds_ago < b->seconds_ago);
}

static void print_padding(FILE *out, size_t width, size_t wanted)
{
        for (; width < wanted; width++)
                fputc(' ', out);
}

static void lines_print(const struct lines *lines, FILE *out)
{
        size_t widths[COLUMNS];
        for (enum column column = 0; column < COLUMNS; column++) {
                widths[column] = strlen(titles[column]);
                for (size_t i = 0; i < lines->count; i++)
                        if (lines->line[i].width[column] > widths[column])
                                widths[column] = lines->line[i].width[column];
        }
        for (size_t i = 0; i <= lines->count; i++) {
                const struct line *line = i == 0 ? NULL : &lines->line[i - 1];
                for (enum column column = 0; column < COLUMNS; column++) {
                        const char *text = line == NULL ? titles[column] : line->text[column];
                        size_t width = line == NULL ? strlen(text) : line->width[column];
                        if (column == COLUMN_LOST) /* numbers end below each other */
                                print_padding(out, width, widths[column]);
                        fputs(text, out);
                        if (column == COLUMN_WHAT)
                                continue;
                        if (column != COLUMN_LOST)
                                print_padding(out, width, widths[column]);
                        fputs("  ", out);
                }
                fputc('\n', out);
        }
}

/* "40 000 owed = 1 719 delivered + 38 281 lost + 0 on their way", and each reason in words. */
static void print_account(FILE *out, const json_t *reactors)
{
        uint64_t matched = 0, released = 0, pending = 0, lost = 0, forgotten = 0;
        uint64_t dropped[LOSSES] = {0};
        size_t i;
        json_t *reactor;
        json_array_foreach(reactors, i, reactor)
        {
                const json_t *by_reason = json_object_get(reactor, "dropped");
                matched += member_count(reactor, "matched");
                released += member_count(reactor, "released");
                pending += member_count(reactor, "pending");
                forgotten += member_count(reactor, "rows_forgotten");
                for (enum loss loss = 0; loss < LOSSES; loss++) {
                        dropped[loss] += member_count(by_reason, loss_name(loss));
                        lost += member_count(by_reason, loss_name(loss));
                }
        }
        print_count(out, matched);
        fputs(" deliveries owed since the start = ", out);
        print_count(out, released);
        fputs(" made + ", out);
        print_count(out, lost);
        fputs(" lost + ", out);
        print_count(out, pending);
        fputs(" on their way\n", out);
        for (enum loss loss = 0; loss < LOSSES; loss++) {
                if (dropped[loss] == 0)
                        continue;
                fprintf(out, "  %-15s ", loss_name(loss));
                print_count(out, dropped[loss]);
                fprintf(out, ": %s\n", loss_meaning(loss));
        }
        if (forgotten > 0) {
                fputs("older losses are counted above and no longer listed: ", out);
                print_count(out, forgotten);
                fputs(" lines\n", out);
        }
}

int lossview_print(FILE *out, struct span json)
{
        json_error_t unused;
        struct lines lines = {0};
        json_t *answer = json_loadb((const char *)json.bytes, json.size, 0, &unused);
        const json_t *reactors = json_object_get(answer, "reactors");
        bool is_sound = json_is_array(reactors);
        size_t i, j;
        json_t *reactor, *row;
        json_array_foreach(reactors, i, reactor)
        {
                json_array_foreach(json_object_get(reactor, "losses"), j, row) is_sound =
                        is_sound && lines_add(&lines, row);
        }
        if (is_sound) {
                if (lines.count > 0) {
                        qsort(lines.line, lines.count, sizeof *lines.line, compare_lines);
                        lines_print(&lines, out);
                        fputc('\n', out);
                }
                print_account(out, reactors);
        }
        lines_fini(&lines);
        json_decref(answer);
        return is_sound ? 0 : -EPROTO;
}
