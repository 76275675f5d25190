/* explainview: sentences first, then a table of the patterns, then who has subscribed on each reactor. Text from the
 * server is escaped: it ends up on a terminal. */
#include "engine/cli/explainview.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/memstream.h"
#include "engine/cli/escape.h"

static struct span member_text(const json_t *json, const char *name)
{
        const json_t *text = json_object_get(json, name);
        return json_is_string(text) ? span_of(json_string_value(text), json_string_length(text)) : SPAN_NONE;
}

static uint64_t member_count(const json_t *json, const char *name)
{
        json_int_t value = json_integer_value(json_object_get(json, name));
        return value < 0 ? 0 : (uint64_t)value;
}

static void print_member(FILE *out, const json_t *json, const char *name)
{
        escape_print(out, member_text(json, name));
}

/* "1 pattern", "2 patterns" */
static void print_counted(FILE *out, uint64_t count, const char *one, const char *many)
{
        fprintf(out, "%" PRIu64 " %s", count, count == 1 ? one : many);
}

/* ---- sentences ---- */

/* "yes, by subscribe.allow orders.>"; "no, publish.allow has nothing for it" */
static void print_verdict(FILE *out, const json_t *verdict)
{
        bool is_allowed = json_is_true(json_object_get(verdict, "allowed"));
        struct span list = member_text(verdict, "list"), rule = member_text(verdict, "rule");
        fputs(is_allowed ? "yes" : "no", out);
        if (list.size == 0) {
                fputs(is_allowed ? ", no rule is against it" : "", out);
        } else if (rule.size == 0) {
                fputs(", nothing in ", out);
                escape_print(out, list);
                fputs(" covers it", out);
        } else {
                fputs(", by ", out);
                escape_print(out, list);
                fputc(' ', out);
                escape_print(out, rule);
        }
        if (member_text(verdict, "queue").size > 0) {
                fputs(" (queue ", out);
                print_member(out, verdict, "queue");
                fputc(')', out);
        }
}

static void print_user(FILE *out, const json_t *user)
{
        static const struct {
                const char *name, *title;
        } questions[] = {{"publish", "publish it"},
                         {"subscribe", "subscribe to it"},
                         {"receive", "have it where a wider pattern matches"}};
        if (!json_is_object(user))
                return;
        for (size_t i = 0; i < array_count(questions); i++) {
                fputs("  may ", out);
                print_member(out, user, "name");
                fprintf(out, " %s: ", questions[i].title);
                print_verdict(out, json_object_get(user, questions[i].name));
                fputc('\n', out);
        }
}

static void print_head(FILE *out, const json_t *json)
{
        uint64_t matches = member_count(json, "matches"), deliveries = member_count(json, "deliveries");
        bool is_taken = json_is_true(json_object_get(json, "is_taken"));
        size_t i;
        json_t *note;
        print_member(out, json, "subject");
        if (matches == 0) {
                fputs(": no pattern matches", out);
        } else {
                fputs(": ", out);
                print_counted(out, matches, "pattern matches", "patterns match");
                fputs(is_taken ? ", an event is delivered " : ", an event would be delivered ", out);
                print_counted(out, deliveries, "time", "times");
        }
        fputs("\n  may be published: ", out);
        if (is_taken)
                fputs("yes", out);
        else
                fputs("no, ", out), print_member(out, json, "reason");
        fputc('\n', out);
        json_array_foreach(json_object_get(json, "notes"), i, note)
        {
                fputs("  note: ", out);
                escape_print(out, span_of(json_string_value(note), json_string_length(note)));
                fputc('\n', out);
        }
        if (is_taken)
                fprintf(out, "  a request to it: %s\n",
                        json_is_true(json_object_get(json, "no_responders")) ? "gets 503, nobody is there to answer"
                                                                             : "reaches somebody");
        print_user(out, json_object_get(json, "user"));
}

static void print_nearest(FILE *out, const json_t *json)
{
        size_t i;
        json_t *row;
        const json_t *nearest = json_object_get(json, "nearest");
        uint64_t looked_at = member_count(json, "nearest_looked_at");
        if (json_array_size(nearest) > 0)
                fputs("\ndid you mean\n", out);
        json_array_foreach(nearest, i, row)
        {
                fputs("  ", out);
                print_member(out, row, "pattern");
                fputs("   ", out);
                print_member(out, row, "why");
                fputc('\n', out);
        }
        if (json_array_size(nearest) == 0 && looked_at > 0) {
                fputs("  none that is near, of ", out);
                print_counted(out, looked_at, "pattern\n", "patterns\n");
        }
}

/* ---- the patterns ---- */

enum column { COLUMN_PATTERN, COLUMN_BY, COLUMN_PLAIN, COLUMN_GROUPS, COLUMN_LAG, COLUMN_REACTORS, COLUMNS };

static const char *const titles[COLUMNS] = {"PATTERN", "BY", "PLAIN", "QUEUE GROUPS", "LAG RULE", "REACTORS"};

static void print_by(FILE *out, const json_t *row)
{
        size_t i;
        json_t *text;
        const json_t *wildcards = json_object_get(row, "wildcards");
        if (json_array_size(wildcards) == 0)
                fputs("the same text", out);
        json_array_foreach(wildcards, i, text)
        {
                fputs(i == 0 ? "for " : ", ", out);
                escape_print(out, span_of(json_string_value(text), json_string_length(text)));
        }
}

static void print_plain(FILE *out, const json_t *row)
{
        uint64_t barred = member_count(row, "not_permitted");
        fprintf(out, "%" PRIu64, member_count(row, "plain"));
        if (barred > 0)
                fprintf(out, " (%" PRIu64 " may not have it)", barred);
}

static void print_groups(FILE *out, const json_t *row)
{
        size_t i;
        json_t *group;
        const json_t *groups = json_object_get(row, "groups");
        if (json_array_size(groups) == 0)
                fputc('-', out);
        json_array_foreach(groups, i, group)
        {
                uint64_t barred = member_count(group, "not_permitted");
                fputs(i == 0 ? "" : ", ", out);
                print_member(out, group, "name");
                fprintf(out, ": one of %" PRIu64, member_count(group, "members"));
                if (barred > 0)
                        fprintf(out, " (%" PRIu64 " may not have it)", barred);
        }
}

static void print_reactors(FILE *out, const json_t *row)
{
        size_t i;
        json_t *number;
        json_array_foreach(json_object_get(row, "reactors"), i, number)
                fprintf(out, "%s%" JSON_INTEGER_FORMAT, i == 0 ? "" : " ", json_integer_value(number));
}

static void print_cell(FILE *out, const json_t *row, enum column column)
{
        switch (column) {
        case COLUMN_PATTERN:
                print_member(out, row, "pattern");
                break;
        case COLUMN_BY:
                print_by(out, row);
                break;
        case COLUMN_PLAIN:
                print_plain(out, row);
                break;
        case COLUMN_GROUPS:
                print_groups(out, row);
                break;
        case COLUMN_LAG:
                if (member_text(row, "lag_rule").size > 0)
                        print_member(out, row, "lag_rule");
                else
                        fputc('-', out);
                break;
        case COLUMN_REACTORS:
                print_reactors(out, row);
                break;
        case COLUMNS:
                break;
        }
}

static size_t characters(struct span text)
{
        size_t count = 0;
        for (size_t i = 0; i < text.size; i++)
                count += (text.bytes[i] & 0xC0) != 0x80;
        return count;
}

/* As it will stand there, on the heap; NULL: no memory. */
static char *cell_text(const json_t *row, enum column column, size_t *size)
{
        struct memstream stream;
        if (memstream_open(&stream) != 0)
                return NULL;
        print_cell(stream.out, row, column);
        return memstream_close(&stream, size);
}

static void print_padded(FILE *out, struct span text, size_t width)
{
        fwrite(text.bytes, 1, text.size, out);
        for (size_t i = characters(text); i < width; i++)
                fputc(' ', out);
}

static void print_patterns(FILE *out, const json_t *patterns)
{
        size_t widths[COLUMNS], i, size;
        json_t *row;
        for (enum column column = 0; column < COLUMNS; column++) {
                widths[column] = strlen(titles[column]);
                json_array_foreach(patterns, i, row)
                {
                        char *text = cell_text(row, column, &size);
                        size_t width = text == NULL ? 0 : characters(span_of(text, size));
                        if (width > widths[column])
                                widths[column] = width;
                        free(text);
                }
        }
        widths[COLUMNS - 1] = 0;
        fputc('\n', out);
        for (enum column column = 0; column < COLUMNS; column++) {
                print_padded(out, span_of_text(titles[column]), widths[column]);
                fputs(column + 1 < COLUMNS ? "  " : "\n", out);
        }
        json_array_foreach(patterns, i, row)
        {
                for (enum column column = 0; column < COLUMNS; column++) {
                        char *text = cell_text(row, column, &size);
                        print_padded(out, text == NULL ? SPAN_NONE : span_of(text, size), widths[column]);
                        fputs(column + 1 < COLUMNS ? "  " : "\n", out);
                        free(text);
                }
        }
}

/* ---- who ---- */

static void print_terms(FILE *out, const json_t *row)
{
        static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
        uint64_t limit = member_count(row, "lag_limit_bytes");
        size_t unit = 0;
        while (limit >= 1024 && limit % 1024 == 0 && unit + 1 < array_count(units)) {
                limit /= 1024;
                unit++;
        }
        fprintf(out, "; %" PRIu64 " bytes an event, and its payload; beyond %" PRIu64 " %s behind: ",
                member_count(row, "event_bytes"), limit, units[unit]);
        print_member(out, row, "lag_policy");
        const json_t *verdict = json_object_get(row, "permission");
        if (json_is_false(json_object_get(verdict, "allowed"))) {
                fputs("; may it have it: ", out);
                print_verdict(out, verdict);
        }
        fputc('\n', out);
}

static void print_cohort(FILE *out, const json_t *row)
{
        fputs("  ", out);
        print_member(out, row, "pattern");
        fprintf(out, "  a cohort of %" PRIu64, member_count(row, "members"));
        if (json_is_integer(json_object_get(row, "members_of_user")))
                fprintf(out, ", %" PRIu64 " of them the user's", member_count(row, "members_of_user"));
        fputs(", sid ", out);
        print_member(out, row, "sid");
        print_terms(out, row);
}

static void print_subscriber(FILE *out, const json_t *row)
{
        static const char *const names[] = {"user", "name"};
        fputs("  ", out);
        print_member(out, row, "pattern");
        fputs("  ", out);
        for (size_t i = 0; i < array_count(names); i++) {
                if (member_text(row, names[i]).size == 0)
                        continue;
                print_member(out, row, names[i]);
                fputc(' ', out);
        }
        print_member(out, row, "address");
        fprintf(out, " #%" PRIu64 ", sid ", member_count(row, "connection"));
        print_member(out, row, "sid");
        if (member_text(row, "queue").size > 0) {
                fputs(", queue ", out);
                print_member(out, row, "queue");
        }
        print_terms(out, row);
}

static void print_more(FILE *out, const json_t *reactor, const char *name, const char *one, const char *many)
{
        const json_t *more = json_object_get(reactor, name);
        if (json_is_null(more))
                fprintf(out, "  more %s, too many to count\n", many);
        else if (json_integer_value(more) > 0)
                fputs("  ", out), print_counted(out, (uint64_t)json_integer_value(more), one, many),
                        fputs(" more\n", out);
}

static void print_reactor(FILE *out, const json_t *reactor)
{
        size_t i;
        json_t *row;
        if (member_count(reactor, "subscriptions") == 0)
                return;
        fprintf(out, "\nreactor %" PRIu64 ", ", member_count(reactor, "reactor"));
        print_counted(out, member_count(reactor, "subscriptions"), "subscription\n", "subscriptions\n");
        json_array_foreach(json_object_get(reactor, "cohorts"), i, row) print_cohort(out, row);
        json_array_foreach(json_object_get(reactor, "subscribers"), i, row) print_subscriber(out, row);
        bool is_whole = json_is_true(json_object_get(reactor, "is_whole"));
        if (is_whole)
                print_more(out, reactor, "cohorts_more", "cohort", "cohorts");
        print_more(out, reactor, "subscribers_more", "subscriber", "subscribers");
}

int explainview_print(FILE *out, struct span text)
{
        json_error_t unused;
        json_t *json = json_loadb((const char *)text.bytes, text.size, JSON_ALLOW_NUL, &unused), *reactor;
        const json_t *patterns = json_object_get(json, "patterns"), *reactors = json_object_get(json, "reactors");
        bool is_sound = json_is_string(json_object_get(json, "subject")) && json_is_array(patterns) &&
                        json_is_array(reactors) && json_is_boolean(json_object_get(json, "no_responders"));
        int code = json_is_true(json_object_get(json, "no_responders")) ? 1 : 0;
        size_t i;
        if (is_sound && out != NULL) {
                print_head(out, json);
                if (json_array_size(patterns) > 0)
                        print_patterns(out, patterns);
                if (member_count(json, "patterns_more") > 0)
                        fprintf(out, "and %" PRIu64 " more\n", member_count(json, "patterns_more"));
                if (member_count(json, "matches") == 0)
                        print_nearest(out, json);
                json_array_foreach(reactors, i, reactor) print_reactor(out, reactor);
        }
        json_decref(json);
        return is_sound ? code : -EPROTO;
}
