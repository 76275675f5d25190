/* json: a strict reader of one JSON text (RFC 8259) in one pass, without heap: it gives slices of the text, and what a
 * slice means is asked of it later. Strict: the grammar as it stands, UTF-8 only, nothing behind the text, no \u escape
 * of half a surrogate pair, at most JSON_DEPTH_MAX arrays and objects inside one another (the outermost counts).
 * Names that come twice are both given: the last one counts.
 *
 *      struct json_walk walk;
 *      struct json_member member;
 *      int more = json_open_object(&walk, text);
 *      if (more == 0)
 *              while ((more = json_next(&walk, &member)) > 0)
 *                      ...
 *
 * An error may come after members were given: act on what was found only when json_next() has returned 0. */
#ifndef SPATE_WIRE_JSON_H
#define SPATE_WIRE_JSON_H

#include <sys/types.h>

#include "engine/base/span.h"

#define JSON_DEPTH_MAX 64

enum json_kind {
        JSON_KIND_NULL,
        JSON_KIND_FALSE,
        JSON_KIND_TRUE,
        JSON_KIND_NUMBER,
        JSON_KIND_STRING,
        JSON_KIND_ARRAY,
        JSON_KIND_OBJECT
};

/* The slices point into the text and live as long as it does. */
struct json_member {
        struct span name;  /* between the quotes, escapes not undone; empty in an array */
        struct span value; /* a string: between the quotes, escapes not undone; else the bytes of the value */
        enum json_kind kind;
};

struct json_walk {
        struct span rest;
        uint8_t closer; /* of the array or object that is walked */
        bool is_begun;
};

/* Whether `text` is one JSON value of any kind. */
bool json_is_valid(struct span text);

/* Begins to walk the members of the one object, or the elements of the one array, that `text` is. `text` is borrowed
 * until the walk ends. 0, or -EPROTO when it begins with something else. */
int json_open_object(struct json_walk *walk, struct span text);
int json_open_array(struct json_walk *walk, struct span text);
/* 1: the next member, its value checked to its depths; 0: that was all and the text is sound to its end; -EPROTO. */
int json_next(struct json_walk *walk, struct json_member *member);

/* Of a string's slice: */

/* Undoes its escapes into `out`; returns the size, or -EMSGSIZE when `out` is too small (the slice's own size always
 * does). `out` may be where the slice is. */
ssize_t json_unescape(struct span string, uint8_t *out, size_t out_size);
/* Whether it says `text`, escapes undone. */
bool json_says(struct span string, struct span text);

/* Of a number's slice: 0 and its value, or -EPROTO where it has a fraction, an exponent or is too large. */
int json_read_integer(struct span number, int64_t *value);

/* Writes `text` as a JSON string with its quotes; what is not UTF-8 becomes U+FFFD. Returns the size, or 0 when it does
 * not fit (JSON_STRING_BYTES_MAX does). */
size_t json_write_string(uint8_t *out, size_t out_size, struct span text);
#define JSON_STRING_BYTES_MAX(text_size) (2 + 6 * (size_t)(text_size))

#endif
