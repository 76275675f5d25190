/* options: one table row an option; everything else is read off it. A value is checked the moment it is given, whoever
 * gives it, and a refusal is one sentence that ends with what would do:
 *
 *      max-payload cannot be 1GiB (from SPATE_MAX_PAYLOAD): it is more than 64MiB; a size from 1KiB to 64MiB would do
 *
 * A source of higher precedence wins whatever the order in which the sources are read. Used at start and at reload,
 * never on the event path, so it may use the heap. */
#include "engine/base/options.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/log.h"

#define ENVIRONMENT_PREFIX "SPATE_"
#define NAME_BYTES_MAX 64 /* of an option, with its 0 */
#define SHOWN_BYTES 80    /* of a refused value */
#define PHRASE_BYTES OPTIONS_WHY_BYTES
#define HELP_COLUMN 34

struct unit {
        const char *name;
        uint64_t factor;
};

/* Each list from the smallest unit up: format_number() takes the last that divides. Names that follow an equal factor
 * are only read, never written. */
static const struct unit count_units[] = {
        {"", 1}, {"k", 1000}, {"K", 1000}, {"M", 1000000}, {"G", 1000000000}, {NULL, 0},
};
static const struct unit bytes_units[] = {
        {"B", 1},
        {"", 1},
        {"KiB", 1 << 10},
        {"k", 1 << 10},
        {"K", 1 << 10},
        {"MiB", 1 << 20},
        {"M", 1 << 20},
        {"GiB", 1 << 30},
        {"G", 1 << 30},
        {"TiB", (uint64_t)1 << 40},
        {"T", (uint64_t)1 << 40},
        {NULL, 0},
};
static const struct unit time_units[] = {
        {"ns", 1},
        {"us", 1000},
        {"ms", 1000000},
        {"s", 1000000000},
        {"", 1000000000},
        {"m", UINT64_C(60000000000)},
        {"h", UINT64_C(3600000000000)},
        {"d", UINT64_C(86400000000000)},
        {NULL, 0},
};

static const struct {
        const struct unit *units;
        const char *noun;     /* "a size from 1KiB to 64MiB would do" */
        const char *examples; /* where there is no range to tell */
        const char *unit;     /* "XB is not a unit of ..." */
        const char *shown;    /* in the help */
} types[] = {
        [OPTION_BOOL] = {.noun = "true or false", .shown = "BOOL"},
        [OPTION_COUNT] = {count_units, "a count", "500, 10k or 2M", "counting (k, M or G)", "COUNT"},
        [OPTION_BYTES] = {bytes_units, "a size", "4096, 64KiB or 1MiB", "size (B, KiB, MiB or GiB)", "SIZE"},
        [OPTION_TIME] = {time_units, "a time", "100ms, 5s or 2m", "time (ns, us, ms, s, m, h or d)", "TIME"},
        [OPTION_TEXT] = {.noun = "any text", .shown = "TEXT"},
        [OPTION_FILE] = {.noun = "a path", .shown = "FILE"},
        [OPTION_CHOICE] = {.noun = "one of ", .shown = ""},
};

static const char *const booleans[2][4] = {{"false", "no", "off", "0"}, {"true", "yes", "on", "1"}};

/* ---- words ---- */

static void environment_name(char name[NAME_BYTES_MAX], const char *option_name)
{
        size_t i = 0;
        for (; option_name[i] != '\0' && i < NAME_BYTES_MAX - 1; i++)
                name[i] = option_name[i] == '-' ? '_' : (char)toupper((unsigned char)option_name[i]);
        name[i] = '\0';
}

static void option_name(char name[NAME_BYTES_MAX], const char *from_environment, size_t size)
{
        size_t i = 0;
        for (; i < size && i < NAME_BYTES_MAX - 1; i++)
                name[i] = from_environment[i] == '_' ? '-' : (char)tolower((unsigned char)from_environment[i]);
        name[i] = '\0';
}

static size_t min_of(size_t a, size_t b)
{
        return a < b ? a : b;
}

/* Insertions, deletions, replacements, and neighbours swapped; both words are shorter than NAME_BYTES_MAX. */
static size_t edit_distance(const char *a, size_t a_size, const char *b, size_t b_size)
{
        size_t rows[3][NAME_BYTES_MAX];
        size_t *before = rows[0], *above = rows[1], *row = rows[2];
        for (size_t j = 0; j <= b_size; j++)
                above[j] = before[j] = j;
        for (size_t i = 1; i <= a_size; i++) {
                row[0] = i;
                for (size_t j = 1; j <= b_size; j++) {
                        row[j] = above[j - 1] + (a[i - 1] != b[j - 1]);
                        row[j] = min_of(row[j], min_of(above[j], row[j - 1]) + 1);
                        if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                                row[j] = min_of(row[j], before[j - 2] + 1);
                }
                size_t *spent = before;
                before = above;
                above = row;
                row = spent;
        }
        return above[b_size];
}

const char *options_nearest(const char *word, const char *const *names, size_t names_count)
{
        size_t word_size = strlen(word);
        if (word_size >= NAME_BYTES_MAX)
                return NULL;
        const char *nearest = NULL;
        size_t nearest_distance = 4;
        for (size_t i = 0; i < names_count; i++) {
                size_t name_size = strlen(names[i]);
                if (name_size >= NAME_BYTES_MAX)
                        continue;
                size_t distance = edit_distance(word, word_size, names[i], name_size);
                if (distance >= nearest_distance || distance * 2 >= word_size)
                        continue;
                nearest = names[i];
                nearest_distance = distance;
        }
        return nearest;
}

static const char *nearest_row(const struct options *options, const char *word)
{
        const char **names = calloc(options->rows_count, sizeof(*names));
        if (names == NULL)
                return NULL;
        for (size_t i = 0; i < options->rows_count; i++)
                names[i] = options->rows[i].name;
        const char *nearest = options_nearest(word, names, options->rows_count);
        free(names);
        return nearest;
}

/* ---- numbers ---- */

static void format_number(char *out, size_t out_size, const struct unit *units, uint64_t number)
{
        const struct unit *largest = units;
        if (number == 0) {
                snprintf(out, out_size, "0");
                return;
        }
        for (const struct unit *unit = units; unit->name != NULL; unit++)
                if (unit->factor > largest->factor && number % unit->factor == 0)
                        largest = unit;
        snprintf(out, out_size, "%" PRIu64 "%s", number / largest->factor, largest->name);
}

static uint64_t row_max(const struct option_row *row)
{
        return row->max != 0 ? row->max : UINT64_MAX;
}

/* "a size from 1KiB to 64MiB" */
static void describe_allowed(char phrase[PHRASE_BYTES], const struct option_row *row)
{
        const char *noun = types[row->type].noun;
        const struct unit *units = types[row->type].units;
        if (row->type == OPTION_CHOICE) {
                size_t used = (size_t)snprintf(phrase, PHRASE_BYTES, "%s", noun);
                for (const char *at = row->choices; *at != '\0' && used < PHRASE_BYTES - 3; at++) {
                        phrase[used++] = *at == '|' ? ',' : *at;
                        if (*at == '|')
                                phrase[used++] = ' ';
                }
                phrase[used] = '\0';
        } else if (units == NULL) {
                snprintf(phrase, PHRASE_BYTES, "%s", noun);
        } else {
                char min[32], max[32], word[NAME_BYTES_MAX] = "";
                format_number(min, sizeof(min), units, row->min);
                format_number(max, sizeof(max), units, row_max(row));
                if (row->choices != NULL)
                        snprintf(word, sizeof(word), "%s or ", row->choices);
                if (row_max(row) != UINT64_MAX)
                        snprintf(phrase, PHRASE_BYTES, "%s%s from %s to %s", word, noun, min, max);
                else if (row->min != 0)
                        snprintf(phrase, PHRASE_BYTES, "%s%s of at least %s", word, noun, min);
                else
                        snprintf(phrase, PHRASE_BYTES, "%s%s such as %s", word, noun, types[row->type].examples);
        }
}

/* Each reader of a type gives 0, or -EINVAL with the reason in `why`. */

static int read_number(const struct option_row *row, struct span text, uint64_t *number, char why[PHRASE_BYTES])
{
        const struct unit *units = types[row->type].units;
        char shown[SHOWN_BYTES];
        uint64_t value = 0;
        bool fits = true;
        size_t digits = 0;
        for (; digits < text.size && isdigit(text.bytes[digits]); digits++) {
                uint64_t digit = (uint64_t)(text.bytes[digits] - '0');
                fits = fits && !__builtin_mul_overflow(value, (uint64_t)10, &value) &&
                       !__builtin_add_overflow(value, digit, &value);
        }
        struct span rest = span_skip(text, digits);
        if (row->choices != NULL && span_equal(text, span_of_text(row->choices))) {
                *number = 0;
                return 0;
        }
        if (digits == 0) {
                bool is_negative = text.size > 1 && text.bytes[0] == '-' && isdigit(text.bytes[1]);
                snprintf(why, PHRASE_BYTES, is_negative ? "it is below 0" : "it is not a number");
                return -EINVAL;
        }
        if (rest.size > 0 && (rest.bytes[0] == '.' || rest.bytes[0] == ',' || rest.bytes[0] == '_')) {
                snprintf(why, PHRASE_BYTES, "only whole numbers, without dots or separators, are read");
                return -EINVAL;
        }
        while (units->name != NULL && !span_equal(rest, span_of_text(units->name)))
                units++;
        if (units->name == NULL) {
                log_quote(shown, sizeof(shown), rest);
                snprintf(why, PHRASE_BYTES, "%s is not a unit of %s", shown, types[row->type].unit);
                return -EINVAL;
        }
        if (!fits || __builtin_mul_overflow(value, units->factor, &value)) {
                snprintf(why, PHRASE_BYTES, "it does not fit into 64 bits");
                return -EINVAL;
        }
        if (value < row->min || value > row_max(row)) {
                bool is_less = value < row->min;
                format_number(shown, sizeof(shown), types[row->type].units, is_less ? row->min : row_max(row));
                snprintf(why, PHRASE_BYTES, "it is %s than %s", is_less ? "less" : "more", shown);
                return -EINVAL;
        }
        *number = value;
        return 0;
}

static int read_bool(struct span text, uint64_t *number, char why[PHRASE_BYTES])
{
        for (uint64_t value = 0; value < 2; value++) {
                for (size_t i = 0; i < array_count(booleans[value]); i++) {
                        if (!span_equal(text, span_of_text(booleans[value][i])))
                                continue;
                        *number = value;
                        return 0;
                }
        }
        snprintf(why, PHRASE_BYTES, "it is neither");
        return -EINVAL;
}

static int read_choice(const struct option_row *row, struct span text, uint64_t *number, char why[PHRASE_BYTES])
{
        char copy[PHRASE_BYTES];
        char word[NAME_BYTES_MAX];
        const char *names[32];
        size_t names_count = 0;
        snprintf(copy, sizeof(copy), "%s", row->choices);
        char *rest = copy;
        for (char *name; (name = strsep(&rest, "|")) != NULL && names_count < array_count(names);) {
                if (span_equal(text, span_of_text(name))) {
                        *number = names_count;
                        return 0;
                }
                names[names_count++] = name;
        }
        snprintf(word, sizeof(word), "%.*s", (int)min_of(text.size, sizeof(word) - 1), (const char *)text.bytes);
        const char *nearest = options_nearest(word, names, names_count);
        if (nearest != NULL)
                snprintf(why, PHRASE_BYTES, "there is no such word, did you mean %s?", nearest);
        else
                snprintf(why, PHRASE_BYTES, "there is no such word");
        return -EINVAL;
}

static int read_one(const struct option_row *row, struct span text, uint64_t *number, char why[PHRASE_BYTES])
{
        if (row->type == OPTION_TEXT || row->type == OPTION_FILE)
                return 0;
        if (text.size == 0) {
                snprintf(why, PHRASE_BYTES, "it is empty");
                return -EINVAL;
        }
        if (row->type == OPTION_BOOL)
                return read_bool(text, number, why);
        if (row->type == OPTION_CHOICE)
                return read_choice(row, text, number, why);
        return read_number(row, text, number, why);
}

int options_read_word(const struct option_row *row, struct span text, uint64_t *number, char why[OPTIONS_WHY_BYTES])
{
        *number = 0;
        return read_one(row, text, number, why);
}

/* A list is read word by word; its number is that of the last. */
static int read_value(const struct option_row *row, const char *text, uint64_t *number, char why[PHRASE_BYTES])
{
        *number = 0;
        if (!row->is_list)
                return read_one(row, span_of_text(text), number, why);
        if (*text == '\0')
                return 0;
        for (;;) {
                size_t size = strcspn(text, ",");
                int error = read_one(row, span_of(text, size), number, why);
                if (error != 0 || text[size] == '\0')
                        return error;
                text += size + 1;
        }
}

/* ---- the table ---- */

int options_init(struct options *options, const struct option_row *rows, size_t rows_count)
{
        char why[PHRASE_BYTES];
        *options = (struct options){.rows = rows, .rows_count = rows_count};
        options->values = calloc(rows_count > 0 ? rows_count : 1, sizeof(*options->values));
        if (options->values == NULL)
                return -ENOMEM;
        for (size_t i = 0; i < rows_count; i++) {
                assert(strlen(rows[i].name) + sizeof(ENVIRONMENT_PREFIX) <= NAME_BYTES_MAX);
                assert(rows[i].value != NULL);
                assert(rows[i].type != OPTION_CHOICE || rows[i].choices != NULL);
                int illegal = read_value(&rows[i], rows[i].value, &options->values[i].number, why);
                assert(illegal == 0);
                options->values[i].text = strdup(rows[i].value);
                if (options->values[i].text == NULL) {
                        options_fini(options);
                        return -ENOMEM;
                }
        }
        return 0;
}

void options_fini(struct options *options)
{
        for (size_t i = 0; options->values != NULL && i < options->rows_count; i++) {
                free(options->values[i].text);
                free(options->values[i].item_places);
        }
        free(options->values);
        free(options->file);
        *options = (struct options){0};
}

uint64_t options_number(const struct options *options, size_t row)
{
        assert(row < options->rows_count);
        return options->values[row].number;
}

const char *options_text(const struct options *options, size_t row)
{
        assert(row < options->rows_count);
        return options->values[row].text;
}

static bool find_row(const struct options *options, const char *name, size_t name_size, size_t *row)
{
        for (*row = 0; *row < options->rows_count; ++*row)
                if (span_equal(span_of_text(options->rows[*row].name), span_of(name, name_size)))
                        return true;
        return false;
}

__attribute__((format(printf, 2, 3))) static int refuse(char error[OPTIONS_ERROR_BYTES], const char *format, ...)
{
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(error, OPTIONS_ERROR_BYTES, format, arguments);
        va_end(arguments);
        log_tame(error, strlen(error));
        return -EINVAL;
}

/* Puts `owned` in the place of what a value was. */
static void replace_value(struct option_value *value, uint64_t number, char *owned, enum option_source source)
{
        free(value->text);
        free(value->item_places);
        *value = (struct option_value){.number = number, .text = owned, .source = source};
}

int options_forget(struct options *options, size_t row)
{
        char why[PHRASE_BYTES];
        uint64_t number;
        char *text = strdup(options->rows[row].value);
        if (text == NULL)
                return -ENOMEM;
        int illegal = read_value(&options->rows[row], text, &number, why);
        assert(illegal == 0);
        (void)illegal;
        replace_value(&options->values[row], number, text, OPTION_FROM_DEFAULT);
        return 0;
}

int options_read_file_value(struct options *options, size_t row, struct span text, struct option_place place,
                            char error[OPTIONS_ERROR_BYTES])
{
        const struct option_row *of = &options->rows[row];
        struct option_value *value = &options->values[row];
        char shown[SHOWN_BYTES], why[PHRASE_BYTES], allowed[PHRASE_BYTES];
        uint64_t number = 0;
        error[0] = '\0';
        if (read_one(of, text, &number, why) != 0) {
                log_quote(shown, sizeof(shown), text);
                describe_allowed(allowed, of);
                return refuse(error, "%s cannot be %s: %s; %s would do", of->key, shown, why, allowed);
        }
        if (value->source > OPTION_FROM_FILE)
                return 0;
        bool is_added = of->is_list && value->source == OPTION_FROM_FILE;
        size_t items_count = is_added ? value->item_places_count : 0;
        struct option_place *places = calloc(items_count + 1, sizeof *places);
        char *owned = NULL;
        if (places == NULL)
                return -ENOMEM;
        if (asprintf(&owned, "%s%s%.*s", is_added ? value->text : "", is_added ? "," : "", (int)text.size,
                     (const char *)text.bytes) < 0) {
                free(places);
                return -ENOMEM;
        }
        if (items_count > 0)
                memcpy(places, value->item_places, items_count * sizeof *places);
        places[items_count] = place;
        struct option_place first = is_added ? value->place : place;
        replace_value(value, number, owned, OPTION_FROM_FILE);
        value->place = first;
        value->item_places = places;
        value->item_places_count = items_count + 1;
        return 0;
}

const char *options_origin(const struct options *options, size_t row, size_t item, char origin[OPTIONS_ORIGIN_BYTES])
{
        const struct option_value *value = &options->values[row];
        if (value->source == OPTION_FROM_FILE) {
                struct option_place place = item < value->item_places_count ? value->item_places[item] : value->place;
                snprintf(origin, OPTIONS_ORIGIN_BYTES, "%s:%u:%u", options->file, place.line, place.column);
        } else if (value->source == OPTION_FROM_DEFAULT) {
                snprintf(origin, OPTIONS_ORIGIN_BYTES, "default");
        } else {
                options_called(options, row, origin);
        }
        return origin;
}

const char *options_called(const struct options *options, size_t row, char called[OPTIONS_ORIGIN_BYTES])
{
        const struct option_row *of = &options->rows[row];
        char spelled[NAME_BYTES_MAX];
        if (options->values[row].source == OPTION_FROM_FILE) {
                snprintf(called, OPTIONS_ORIGIN_BYTES, "%s", of->key);
        } else if (options->values[row].source == OPTION_FROM_ENVIRONMENT) {
                environment_name(spelled, of->name);
                snprintf(called, OPTIONS_ORIGIN_BYTES, ENVIRONMENT_PREFIX "%s", spelled);
        } else {
                snprintf(called, OPTIONS_ORIGIN_BYTES, "--%s", of->name);
        }
        return called;
}

int options_refuse(const struct options *options, size_t row, size_t item, char error[OPTIONS_ERROR_BYTES],
                   const char *format, ...)
{
        char origin[OPTIONS_ORIGIN_BYTES];
        size_t size = 0;
        va_list arguments;
        if (options->values[row].source == OPTION_FROM_FILE)
                size = (size_t)snprintf(error, OPTIONS_ERROR_BYTES, "%s: ", options_origin(options, row, item, origin));
        va_start(arguments, format);
        vsnprintf(error + size, OPTIONS_ERROR_BYTES - size, format, arguments);
        va_end(arguments);
        log_tame(error, strlen(error));
        return -EINVAL;
}

void options_allowed(const struct option_row *row, char phrase[OPTIONS_WHY_BYTES])
{
        describe_allowed(phrase, row);
}

/* Takes one value from `source`, of which `origin` is the name to be told: "--io", "SPATE_IO". */
static int set_value(struct options *options, size_t row, enum option_source source, const char *origin,
                     const char *text, char error[OPTIONS_ERROR_BYTES])
{
        const struct option_row *of = &options->rows[row];
        struct option_value *value = &options->values[row];
        char shown[SHOWN_BYTES], why[PHRASE_BYTES], allowed[PHRASE_BYTES];
        uint64_t number;
        if (read_value(of, text, &number, why) != 0) {
                log_quote(shown, sizeof(shown), span_of_text(text));
                describe_allowed(allowed, of);
                return refuse(error, "%s cannot be %s (from %s): %s; %s would do", of->name, shown, origin, why,
                              allowed);
        }
        if (source < value->source)
                return 0;
        char *owned = NULL;
        bool is_added = of->is_list && source == value->source && value->text[0] != '\0' && text[0] != '\0';
        if (is_added) {
                if (asprintf(&owned, "%s,%s", value->text, text) < 0)
                        owned = NULL;
        } else if (of->is_list && source == value->source && text[0] == '\0') {
                return 0;
        } else {
                owned = strdup(text);
        }
        if (owned == NULL) {
                (void)refuse(error, "%s (from %s) cannot be kept: no memory is left; free some", of->name, origin);
                return -ENOMEM;
        }
        replace_value(value, number, owned, source);
        return 0;
}

/* Does `word` end in `end`, or is it that without its first '_'? */
static bool ends_in(const char *word, size_t word_size, const char *end)
{
        size_t size = strlen(end);
        if (word_size >= size && memcmp(word + word_size - size, end, size) == 0)
                return true;
        return word_size == size - 1 && memcmp(word, end + 1, size - 1) == 0;
}

/* What Kubernetes sets in every container for a service called spate, or spate-something: of X_SERVICE_HOST,
 * X_SERVICE_PORT[_NAME], X_PORT=tcp://… and X_PORT_4222_TCP[_ADDR|_PORT|_PROTO]. */
static bool is_service_link(const char *name, size_t size, const char *value)
{
        static const char *const ends[] = {"", "_ADDR", "_PORT", "_PROTO"};
        static const char *const protocols[] = {"_TCP", "_UDP", "_SCTP"};
        if (ends_in(name, size, "_SERVICE_HOST") || ends_in(name, size, "_SERVICE_PORT"))
                return true;
        const char *named = memmem(name, size, "SERVICE_PORT_", strlen("SERVICE_PORT_"));
        if (named != NULL && (named == name || named[-1] == '_'))
                return true;
        if (ends_in(name, size, "_PORT") &&
            (strncmp(value, "tcp://", 6) == 0 || strncmp(value, "udp://", 6) == 0 || strncmp(value, "sctp://", 7) == 0))
                return true;
        for (size_t p = 0; p < array_count(protocols); p++) {
                for (size_t e = 0; e < array_count(ends); e++) {
                        char end[16];
                        int end_size = snprintf(end, sizeof end, "%s%s", protocols[p], ends[e]);
                        if (size < (size_t)end_size ||
                            memcmp(name + size - (size_t)end_size, end, (size_t)end_size) != 0)
                                continue;
                        size_t left = size - (size_t)end_size, digits = 0;
                        while (digits < left && isdigit((unsigned char)name[left - 1 - digits]))
                                digits++;
                        if (digits > 0 && left > digits && name[left - digits - 1] == '_' &&
                            ends_in(name, left - digits - 1, "_PORT"))
                                return true;
                }
        }
        return false;
}

static bool is_ignored(const char *const *ignored, const char *name, size_t name_size)
{
        for (; ignored != NULL && *ignored != NULL; ignored++)
                if (span_equal(span_of_text(*ignored), span_of(name, name_size)))
                        return true;
        return false;
}

int options_read_environment(struct options *options, char *const *environment, const char *const *ignored,
                             char error[OPTIONS_ERROR_BYTES])
{
        for (; *environment != NULL; environment++) {
                const char *entry = *environment;
                size_t entry_size = strcspn(entry, "=");
                if (strncmp(entry, ENVIRONMENT_PREFIX, strlen(ENVIRONMENT_PREFIX)) != 0 || entry[entry_size] == '\0' ||
                    is_ignored(ignored, entry, entry_size))
                        continue;
                char origin[SHOWN_BYTES], name[NAME_BYTES_MAX], spelled[NAME_BYTES_MAX];
                const char *behind = entry + strlen(ENVIRONMENT_PREFIX);
                size_t behind_size = entry_size - strlen(ENVIRONMENT_PREFIX);
                log_quote(origin, sizeof(origin), span_of(entry, entry_size));
                option_name(name, behind, behind_size);
                environment_name(spelled, name);
                size_t row;
                /* Spelling it back refuses small letters, which would be another variable. */
                bool is_known = find_row(options, name, strlen(name), &row) &&
                                span_equal(span_of_text(spelled), span_of(behind, behind_size));
                if (!is_known && is_service_link(behind, behind_size, entry + entry_size + 1)) {
                        if (options->passed_over_count++ == 0)
                                options->passed_over = entry;
                        continue;
                }
                if (!is_known) {
                        const char *nearest = nearest_row(options, name);
                        if (nearest == NULL)
                                return refuse(error,
                                              "the environment sets %s, which is not an option; unset it, or see "
                                              "--help for the names",
                                              origin);
                        environment_name(spelled, nearest);
                        return refuse(
                                error,
                                "the environment sets %s, which is not an option; did you mean " ENVIRONMENT_PREFIX
                                "%s?",
                                origin, spelled);
                }
                int status = set_value(options, row, OPTION_FROM_ENVIRONMENT, origin, entry + entry_size + 1, error);
                if (status != 0)
                        return status;
        }
        return 0;
}

static int refuse_unknown_flag(const struct options *options, const char *name, size_t name_size,
                               char error[OPTIONS_ERROR_BYTES])
{
        char shown[SHOWN_BYTES], word[NAME_BYTES_MAX];
        log_quote(shown, sizeof(shown), span_of(name - 2, name_size + 2));
        snprintf(word, sizeof(word), "%.*s", (int)min_of(name_size, sizeof(word) - 1), name);
        const char *nearest = nearest_row(options, word);
        const char *no = "";
        if (nearest == NULL && strncmp(word, "no-", 3) == 0) {
                nearest = nearest_row(options, word + 3);
                no = "no-";
                size_t row;
                if (nearest != NULL && find_row(options, nearest, strlen(nearest), &row) &&
                    options->rows[row].type != OPTION_BOOL)
                        no = "";
        }
        if (nearest != NULL)
                return refuse(error, "there is no option %s; did you mean --%s%s?", shown, no, nearest);
        return refuse(error, "there is no option %s; see --help for the names", shown);
}

int options_read_flags(struct options *options, int argc, char *const *argv, int first, int *next,
                       char error[OPTIONS_ERROR_BYTES])
{
        int at = first;
        while (at < argc && strncmp(argv[at], "--", 2) == 0) {
                const char *name = argv[at++] + 2;
                if (*name == '\0')
                        break;
                size_t name_size = strcspn(name, "=");
                const char *value = name[name_size] == '=' ? name + name_size + 1 : NULL;
                char origin[SHOWN_BYTES];
                log_quote(origin, sizeof(origin), span_of(name - 2, name_size + 2));
                size_t row;
                if (!find_row(options, name, name_size, &row)) {
                        bool is_negated = name_size > 3 && strncmp(name, "no-", 3) == 0 &&
                                          find_row(options, name + 3, name_size - 3, &row) &&
                                          options->rows[row].type == OPTION_BOOL;
                        if (!is_negated)
                                return refuse_unknown_flag(options, name, name_size, error);
                        if (value != NULL)
                                return refuse(error, "%s takes no value; --%s=false or %s alone would do", origin,
                                              options->rows[row].name, origin);
                        value = "false";
                } else if (value == NULL && options->rows[row].type == OPTION_BOOL) {
                        /* A bare --name does not swallow what follows it; only --name=value gives one a value. */
                        value = "true";
                } else if (value == NULL && at < argc) {
                        value = argv[at++];
                } else if (value == NULL) {
                        char allowed[PHRASE_BYTES];
                        describe_allowed(allowed, &options->rows[row]);
                        return refuse(error, "%s, the last argument, lacks its value; %s behind it would do", origin,
                                      allowed);
                }
                int status = set_value(options, row, OPTION_FROM_FLAG, origin, value, error);
                if (status != 0)
                        return status;
        }
        *next = at;
        return 0;
}

/* ---- help ---- */

void options_format_number(const struct option_row *row, uint64_t number, char text[OPTIONS_NUMBER_BYTES])
{
        if (types[row->type].units != NULL)
                format_number(text, OPTIONS_NUMBER_BYTES, types[row->type].units, number);
        else
                snprintf(text, OPTIONS_NUMBER_BYTES, "%" PRIu64, number);
}

const char *options_shown(const struct option_row *row)
{
        return row->type == OPTION_CHOICE ? row->choices : types[row->type].shown;
}

void options_variable(const struct option_row *row, char name[OPTIONS_VARIABLE_BYTES])
{
        strcpy(name, ENVIRONMENT_PREFIX);
        environment_name(name + strlen(ENVIRONMENT_PREFIX), row->name);
}

static void print_range(const struct option_row *row, FILE *out)
{
        const struct unit *units = types[row->type].units;
        char min[32], max[32];
        if (units == NULL || (row->min == 0 && row_max(row) == UINT64_MAX))
                return;
        format_number(min, sizeof(min), units, row->min);
        format_number(max, sizeof(max), units, row_max(row));
        if (row_max(row) == UINT64_MAX)
                fprintf(out, ", at least %s", min);
        else
                fprintf(out, ", %s to %s", min, max);
}

void options_print_help(const struct options *options, void *out)
{
        for (size_t i = 0; i < options->rows_count; i++) {
                const struct option_row *row = &options->rows[i];
                const char *shown = options_shown(row);
                int used = row->type == OPTION_BOOL ? fprintf(out, "  --[no-]%s", row->name)
                                                    : fprintf(out, "  --%s %s", row->name, shown);
                if (used >= HELP_COLUMN - 1) {
                        fprintf(out, "\n");
                        used = 0;
                }
                fprintf(out, "%*s%s (default %s", HELP_COLUMN - used, "", row->help,
                        row->value[0] != '\0' ? row->value : "none");
                print_range(row, out);
                fprintf(out, "%s)\n", row->is_list ? "; may be repeated" : "");
        }
}
