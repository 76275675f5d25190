/* options: what can be set, as a table; flags, environment, help and the checks come from its rows.
 *
 * Precedence: flag > environment (SPATE_NAME) > file > default. A value that is refused is told in one sentence: what,
 * where it came from, why, and what would do. */
#ifndef SPATE_BASE_OPTIONS_H
#define SPATE_BASE_OPTIONS_H

#include "engine/base/check.h"
#include "engine/base/span.h"

enum option_type {
        OPTION_BOOL,  /* true false yes no on off 1 0; as a flag --name, --no-name or --name=value */
        OPTION_COUNT, /* 0, 64, 10k, 2M (decimal multiples) */
        OPTION_BYTES, /* 4096, 64KiB, 1MiB, 2GiB (also k, M, G as binary multiples) */
        OPTION_TIME,  /* 500ns 20us 100ms 5s 2m 1h 1d; stored in nanoseconds; a bare number is seconds */
        OPTION_TEXT,
        OPTION_FILE,   /* a text that is a path: completion offers files */
        OPTION_CHOICE, /* one of the words in `choices` */
};

/* When a changed value takes effect. */
enum option_when {
        OPTION_AT_START, /* the process starts again */
        OPTION_LIVE,     /* a reload takes it up */
};

struct option_row {
        const char *name; /* as the flag spells it: "max-payload"; the environment's name is SPATE_MAX_PAYLOAD */
        enum option_type type;
        const char *value;   /* the default, as text; "" for a text or list without one */
        uint64_t min, max;   /* numbers only; a `max` of 0 is no limit */
        const char *choices; /* OPTION_CHOICE: "auto|io_uring|epoll"; of a number: a word for 0, as "auto", or NULL */
        const char *help;    /* one line */
        bool is_list;        /* may be given more than once; values are kept joined by ',' */
        const char *key;     /* its place in the file: "limits.max_payload"; NULL: it cannot stand there */
        enum option_when when;
};

enum option_source { OPTION_FROM_DEFAULT, OPTION_FROM_FILE, OPTION_FROM_ENVIRONMENT, OPTION_FROM_FLAG };

/* Where in the file, from 1; line 0: nowhere in it. */
struct option_place {
        unsigned line, column;
};

struct option_value {
        uint64_t number; /* bool, count, bytes, ns; for a choice the index of the word */
        char *text;      /* owned; the value as it was given */
        enum option_source source;
        struct option_place place;        /* OPTION_FROM_FILE */
        struct option_place *item_places; /* owned; of each item of a list from the file */
        size_t item_places_count;
};

struct options {
        const struct option_row *rows;
        size_t rows_count;
        struct option_value *values;
        char *file;               /* owned; where OPTION_FROM_FILE is, as it is to be told; NULL: there is none */
        const char *passed_over;  /* the first name of the environment that a container platform has set */
        size_t passed_over_count; /* ... and how many */
};

#define OPTIONS_ERROR_BYTES 1024
#define OPTIONS_WHY_BYTES 256

/* Fills every value from its default. Asserts that the defaults are legal. 0 or -ENOMEM. */
int options_init(struct options *options, const struct option_row *rows, size_t rows_count);
void options_fini(struct options *options);

/* Reads SPATE_* of `environment` (as environ). An unknown SPATE_ name is an error with "did you mean". 0 or -EINVAL
 * with one line in `error`. Names in `ignored` (NULL-terminated, may be NULL) are passed over, and those that a
 * container platform sets for a service called spate: SPATE_SERVICE_HOST, SPATE_PORT=tcp://…, SPATE_PORT_4222_TCP. */
int options_read_environment(struct options *options, char *const *environment, const char *const *ignored,
                             char error[OPTIONS_ERROR_BYTES]);
/* Reads --name value, --name=value, --no-name of argv[first..]. Stops at the first argument that is not an option, or
 * behind "--"; its index goes to *next. 0 or -EINVAL with one line in `error`. */
int options_read_flags(struct options *options, int argc, char *const *argv, int first, int *next,
                       char error[OPTIONS_ERROR_BYTES]);

/* Takes a value from the file: one of an option that is no list, or of a list the next item. Checked also where a flag
 * or the environment wins. 0, or -EINVAL with the
 * reason and what would do in `error`, for the caller to say where; -ENOMEM with nothing. */
int options_read_file_value(struct options *options, size_t row, struct span text, struct option_place place,
                            char error[OPTIONS_ERROR_BYTES]);
/* Back to its default. 0 or -ENOMEM. */
int options_forget(struct options *options, size_t row);

#define OPTIONS_ORIGIN_BYTES 320
/* Where the value of a row, or its item (0 for what is no list), is from: "default", "/etc/spate.yaml:12:9",
 * "SPATE_MAX_LAG" or "--max-lag". */
const char *options_origin(const struct options *options, size_t row, size_t item, char origin[OPTIONS_ORIGIN_BYTES]);
/* What its giver calls it: "lag.max_lag", "SPATE_MAX_LAG" or "--max-lag". */
const char *options_called(const struct options *options, size_t row, char called[OPTIONS_ORIGIN_BYTES]);
/* One line about a row, with its place in front where the file says it. Returns -EINVAL. */
int options_refuse(const struct options *options, size_t row, size_t item, char error[OPTIONS_ERROR_BYTES],
                   const char *format, ...) __attribute__((format(printf, 5, 6)));
/* "a size from 64KiB to 64MiB": what a row takes. */
void options_allowed(const struct option_row *row, char phrase[OPTIONS_WHY_BYTES]);

uint64_t options_number(const struct options *options, size_t row);
const char *options_text(const struct options *options, size_t row);

/* Reads one value as a row of this type and range would (`choices` for OPTION_CHOICE), for options that hold several in
 * one text. 0, or -EINVAL with the reason in `why`. */
int options_read_word(const struct option_row *row, struct span text, uint64_t *number, char why[OPTIONS_WHY_BYTES]);

/* A number as a row of this type reads it, in its largest unit that leaves a whole number: "64KiB". */
#define OPTIONS_NUMBER_BYTES 32
void options_format_number(const struct option_row *row, uint64_t number, char text[OPTIONS_NUMBER_BYTES]);
/* How help shows the value: "SIZE", "FILE", "auto|io_uring|epoll". */
const char *options_shown(const struct option_row *row);
/* Its name in the environment: "SPATE_MAX_PAYLOAD". */
#define OPTIONS_VARIABLE_BYTES 80
void options_variable(const struct option_row *row, char name[OPTIONS_VARIABLE_BYTES]);

/* Prints a two-column help of all rows with type, default and range to `out` (a FILE *). */
void options_print_help(const struct options *options, void *out);

/* The row or word of `names` nearest to `word` (edit distance at most 3, and less than half the word), or NULL. */
const char *options_nearest(const char *word, const char *const *names, size_t names_count);

#endif
