/* json: RFC 8259 read by hand. Every take_…() takes one thing off the front of `text` and says whether it was there;
 * what it took is the difference of the spans before and after. Nothing recurses: the arrays and objects around a value
 * are the bits of one word (1: an object), which is what bounds the depth. */
#include "io/wire/json.h"

#include <errno.h>

#include "io/wire/swar.h"
#include "io/wire/utf8.h"

static_assert(JSON_DEPTH_MAX <= 64, "the containers around a value are the bits of one word");

static bool next_is(struct span text, uint8_t byte)
{
        return text.size != 0 && text.bytes[0] == byte;
}

static bool take_byte(struct span *text, uint8_t byte)
{
        if (!next_is(*text, byte))
                return false;
        *text = span_skip(*text, 1);
        return true;
}

static void skip_space(struct span *text)
{
        while (next_is(*text, ' ') || next_is(*text, '\n') || next_is(*text, '\r') || next_is(*text, '\t'))
                *text = span_skip(*text, 1);
}

/* What was in front of `rest`, of `text`. */
static struct span taken(struct span text, struct span rest)
{
        return span_of(text.bytes, text.size - rest.size);
}

static bool take_word(struct span *text, struct span word)
{
        if (!span_starts_with(*text, word))
                return false;
        *text = span_skip(*text, word.size);
        return true;
}

/* ---- numbers: section 6 ---- */

static bool take_digits(struct span *text)
{
        size_t count = 0;
        while (count < text->size && (uint8_t)(text->bytes[count] - '0') <= 9)
                count++;
        *text = span_skip(*text, count);
        return count != 0;
}

static bool take_number(struct span *text)
{
        take_byte(text, '-');
        if (!take_byte(text, '0') && !take_digits(text)) /* no digit follows a leading zero */
                return false;
        if (take_byte(text, '.') && !take_digits(text))
                return false;
        if (take_byte(text, 'e') || take_byte(text, 'E')) {
                if (!take_byte(text, '+'))
                        take_byte(text, '-');
                return take_digits(text);
        }
        return true;
}

/* ---- strings: section 7 ---- */

static bool is_high_surrogate(uint32_t code)
{
        return code >= 0xD800 && code <= 0xDBFF;
}

static bool is_low_surrogate(uint32_t code)
{
        return code >= 0xDC00 && code <= 0xDFFF;
}

static bool take_hex4(struct span *text, uint32_t *code)
{
        if (text->size < 4)
                return false;
        *code = 0;
        for (int i = 0; i < 4; i++) {
                uint8_t byte = text->bytes[i];
                uint8_t letter = byte | 0x20;
                if ((uint8_t)(byte - '0') <= 9)
                        *code = *code << 4 | (uint32_t)(byte - '0');
                else if (letter >= 'a' && letter <= 'f')
                        *code = *code << 4 | (uint32_t)(letter - 'a' + 10);
                else
                        return false;
        }
        *text = span_skip(*text, 4);
        return true;
}

/* Takes what stands behind a backslash. A pair of \u surrogates is one character; half of one is none. */
static bool take_escape(struct span *text, uint32_t *code)
{
        if (text->size == 0)
                return false;
        uint8_t letter = text->bytes[0];
        *text = span_skip(*text, 1);
        switch (letter) {
        case '"':
        case '\\':
        case '/':
                *code = letter;
                return true;
        case 'b':
                *code = '\b';
                return true;
        case 'f':
                *code = '\f';
                return true;
        case 'n':
                *code = '\n';
                return true;
        case 'r':
                *code = '\r';
                return true;
        case 't':
                *code = '\t';
                return true;
        case 'u':
                break;
        default:
                return false;
        }

        uint32_t low;
        if (!take_hex4(text, code) || is_low_surrogate(*code))
                return false;
        if (!is_high_surrogate(*code))
                return true;
        if (!take_word(text, SPAN("\\u")) || !take_hex4(text, &low) || !is_low_surrogate(low))
                return false;
        *code = 0x10000 + ((*code - 0xD800) << 10) + (low - 0xDC00);
        return true;
}

/* Skips bytes that stand for themselves eight at a time, as long as there are eight such. */
static void skip_plain(struct span *text)
{
        while (text->size >= SWAR_BYTES) {
                uint64_t word = swar_load(text->bytes);
                if (swar_below(word, ' ') | swar_equal(word, '"') | swar_equal(word, '\\') | swar_not_ascii(word))
                        return;
                *text = span_skip(*text, SWAR_BYTES);
        }
}

/* Takes a string with its quotes; `string` is what is between them. */
static bool take_string(struct span *text, struct span *string)
{
        if (!take_byte(text, '"'))
                return false;
        struct span start = *text;
        for (;;) {
                uint32_t code;
                skip_plain(text);
                *string = taken(start, *text);
                if (take_byte(text, '"'))
                        return true;
                if (take_byte(text, '\\')) {
                        if (!take_escape(text, &code))
                                return false;
                        continue;
                }
                size_t size = utf8_sequence_size(*text);
                if (size == 0 || text->bytes[0] < ' ')
                        return false;
                *text = span_skip(*text, size);
        }
}

/* ---- values: sections 3 to 5 ---- */

/* A member's name and the colon behind it. */
static bool take_name(struct span *text, struct span *name)
{
        skip_space(text);
        if (!take_string(text, name))
                return false;
        skip_space(text);
        return take_byte(text, ':');
}

static bool take_scalar(struct span *text)
{
        struct span string;
        if (text->size == 0)
                return false;
        switch (text->bytes[0]) {
        case '"':
                return take_string(text, &string);
        case 'n':
                return take_word(text, SPAN("null"));
        case 'f':
                return take_word(text, SPAN("false"));
        case 't':
                return take_word(text, SPAN("true"));
        default:
                return take_number(text);
        }
}

/* Takes one value that stands inside `depth_outside` containers. `inside` has one bit for each container opened here,
 * the innermost lowest. */
static bool take_value(struct span *text, unsigned depth_outside)
{
        uint64_t inside = 0;
        unsigned depth = depth_outside;
        struct span name;
        for (;;) {
                /* Here a value begins. */
                skip_space(text);
                bool is_object = next_is(*text, '{');
                if (is_object || next_is(*text, '[')) {
                        if (depth == JSON_DEPTH_MAX)
                                return false;
                        *text = span_skip(*text, 1);
                        skip_space(text);
                        if (!take_byte(text, is_object ? '}' : ']')) {
                                inside = inside << 1 | is_object;
                                depth++;
                                if (is_object && !take_name(text, &name))
                                        return false;
                                continue;
                        }
                } else if (!take_scalar(text)) {
                        return false;
                }

                /* Here one has ended: with it end all containers that close now, up to one that goes on. */
                for (;;) {
                        if (depth == depth_outside)
                                return true;
                        is_object = inside & 1;
                        skip_space(text);
                        if (take_byte(text, ','))
                                break;
                        if (!take_byte(text, is_object ? '}' : ']'))
                                return false;
                        inside >>= 1;
                        depth--;
                }
                if (is_object && !take_name(text, &name))
                        return false;
        }
}

static bool only_space_is_left(struct span text)
{
        skip_space(&text);
        return text.size == 0;
}

bool json_is_valid(struct span text)
{
        return take_value(&text, 0) && only_space_is_left(text);
}

static enum json_kind kind_of(uint8_t first)
{
        switch (first) {
        case 'n':
                return JSON_KIND_NULL;
        case 'f':
                return JSON_KIND_FALSE;
        case 't':
                return JSON_KIND_TRUE;
        case '"':
                return JSON_KIND_STRING;
        case '[':
                return JSON_KIND_ARRAY;
        case '{':
                return JSON_KIND_OBJECT;
        default:
                return JSON_KIND_NUMBER;
        }
}

/* ---- the walk ---- */

static int walk_open(struct json_walk *walk, struct span text, uint8_t opener, uint8_t closer)
{
        skip_space(&text);
        if (!take_byte(&text, opener))
                return -EPROTO;
        *walk = (struct json_walk){.rest = text, .closer = closer};
        return 0;
}

int json_open_object(struct json_walk *walk, struct span text)
{
        return walk_open(walk, text, '{', '}');
}

int json_open_array(struct json_walk *walk, struct span text)
{
        return walk_open(walk, text, '[', ']');
}

int json_next(struct json_walk *walk, struct json_member *member)
{
        struct span *rest = &walk->rest;
        skip_space(rest);
        if (take_byte(rest, walk->closer))
                return only_space_is_left(*rest) ? 0 : -EPROTO;
        if (walk->is_begun && !take_byte(rest, ','))
                return -EPROTO;
        walk->is_begun = true;

        *member = (struct json_member){.kind = JSON_KIND_NULL};
        if (walk->closer == '}' && !take_name(rest, &member->name))
                return -EPROTO;
        skip_space(rest);
        struct span start = *rest;
        if (!take_value(rest, 1))
                return -EPROTO;
        member->kind = kind_of(start.bytes[0]);
        member->value = taken(start, *rest);
        if (member->kind == JSON_KIND_STRING)
                member->value = span_of(member->value.bytes + 1, member->value.size - 2);
        return 1;
}

/* ---- what a slice means ---- */

/* Takes one character of a string's slice as its UTF-8 bytes; they are in `bytes`, their number is returned. */
static size_t take_character(struct span *string, uint8_t bytes[UTF8_SEQUENCE_BYTES_MAX])
{
        uint32_t code = 0;
        if (take_byte(string, '\\')) {
                bool is_escape = take_escape(string, &code);
                assert(is_escape); /* the slice comes from a walk, which has seen it */
                return utf8_put(bytes, code);
        }
        bytes[0] = string->bytes[0];
        *string = span_skip(*string, 1);
        return 1;
}

ssize_t json_unescape(struct span string, uint8_t *out, size_t out_size)
{
        size_t size = 0;
        while (string.size != 0) {
                uint8_t bytes[UTF8_SEQUENCE_BYTES_MAX];
                size_t count = take_character(&string, bytes);
                if (count > out_size - size)
                        return -EMSGSIZE;
                memcpy(out + size, bytes, count);
                size += count;
        }
        return (ssize_t)size;
}

bool json_says(struct span string, struct span text)
{
        while (string.size != 0) {
                uint8_t bytes[UTF8_SEQUENCE_BYTES_MAX];
                struct span character = span_of(bytes, take_character(&string, bytes));
                if (!take_word(&text, character))
                        return false;
        }
        return text.size == 0;
}

int json_read_integer(struct span number, int64_t *value)
{
        bool is_negative = take_byte(&number, '-');
        int64_t sum = 0;
        if (number.size == 0)
                return -EPROTO;
        for (size_t i = 0; i < number.size; i++) {
                uint8_t digit = (uint8_t)(number.bytes[i] - '0');
                /* Downwards, because the least number has no positive counterpart. */
                if (digit > 9 || __builtin_mul_overflow(sum, 10, &sum) || __builtin_sub_overflow(sum, digit, &sum))
                        return -EPROTO;
        }
        if (!is_negative && sum == INT64_MIN)
                return -EPROTO;
        *value = is_negative ? sum : -sum;
        return 0;
}

/* ---- writing ---- */

/* One character as it may stand in a string; returns the size, at most 6. */
static size_t put_escaped(uint8_t out[6], struct span *text)
{
        static const char hex[] = "0123456789abcdef";
        uint8_t first = text->bytes[0];
        size_t size = utf8_sequence_size(*text);
        *text = span_skip(*text, size == 0 ? 1 : size);
        if (size == 0)
                return utf8_put(out, UTF8_REPLACEMENT);
        if (first < ' ') {
                memcpy(out, "\\u00", 4);
                out[4] = (uint8_t)hex[first >> 4];
                out[5] = (uint8_t)hex[first & 15];
                return 6;
        }
        if (first == '"' || first == '\\') {
                out[0] = '\\';
                out[1] = first;
                return 2;
        }
        memcpy(out, text->bytes - size, size);
        return size;
}

size_t json_write_string(uint8_t *out, size_t out_size, struct span text)
{
        if (out_size < 2)
                return 0;
        size_t size = 0;
        out[size++] = '"';
        while (text.size != 0) {
                uint8_t character[6];
                size_t count = put_escaped(character, &text);
                if (count > out_size - 1 - size) /* the closing quote has its place */
                        return 0;
                memcpy(out + size, character, count);
                size += count;
        }
        out[size++] = '"';
        return size;
}
