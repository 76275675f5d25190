/* json_reference: our reader against jansson. What our reader makes of a text is rebuilt as a jansson value and
 * compared with what jansson itself makes of it. They may differ in these alone: we refuse what is nested deeper than
 * JSON_DEPTH_MAX; jansson refuses numbers that fit neither an int64_t nor a double, and names with a NUL in them, and
 * overlooks a NUL byte right behind a number. */
#ifndef SPATE_TESTS_JSON_REFERENCE_H
#define SPATE_TESTS_JSON_REFERENCE_H

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

#include "io/wire/json.h"
#include "io/wire/utf8.h"

/* A string's meaning, on the heap with its size in *size. */
static inline char *reference_text(struct span string, size_t *size)
{
        char *text = malloc(string.size + 1);
        ssize_t count = json_unescape(string, (uint8_t *)text, string.size);
        assert(count >= 0);
        *size = (size_t)count;
        assert(json_says(string, span_of(text, *size)));
        assert(utf8_is_valid(span_of(text, *size)));
        assert(*size == 0 || json_unescape(string, (uint8_t *)text, *size - 1) == -EMSGSIZE);
        assert(json_unescape(string, (uint8_t *)text, *size) == count);
        return text;
}

/* The number, or NULL where jansson has none for it. */
static inline json_t *reference_number(struct span number)
{
        int64_t integer;
        if (json_read_integer(number, &integer) == 0)
                return json_integer(integer);
        if (strpbrk(strndupa((const char *)number.bytes, number.size), ".eE") == NULL)
                return NULL;
        double real = strtod(strndupa((const char *)number.bytes, number.size), NULL);
        return __builtin_isinf(real) ? NULL : json_real(real);
}

static inline json_t *reference_scalar(const struct json_member *member)
{
        size_t size;
        char *text;
        json_t *value;
        switch (member->kind) {
        case JSON_KIND_NULL:
                return json_null();
        case JSON_KIND_FALSE:
                return json_false();
        case JSON_KIND_TRUE:
                return json_true();
        case JSON_KIND_NUMBER:
                return reference_number(member->value);
        case JSON_KIND_STRING:
                text = reference_text(member->value, &size);
                value = json_stringn_nocheck(text, size);
                free(text);
                return value;
        case JSON_KIND_ARRAY:
        case JSON_KIND_OBJECT:
                break;
        }
        return NULL;
}

/* Walks the array or object `text` and rebuilds it. NULL: our reader refuses it, or (*is_foreign) jansson must. */
static inline json_t *reference_rebuild(struct span text, bool is_object, bool *is_foreign)
{
        struct json_walk walk;
        struct json_member member;
        if ((is_object ? json_open_object(&walk, text) : json_open_array(&walk, text)) < 0)
                return NULL;
        json_t *all = is_object ? json_object() : json_array();
        int more;
        while ((more = json_next(&walk, &member)) > 0) {
                bool is_container = member.kind == JSON_KIND_ARRAY || member.kind == JSON_KIND_OBJECT;
                json_t *value = is_container
                                        ? reference_rebuild(member.value, member.kind == JSON_KIND_OBJECT, is_foreign)
                                        : reference_scalar(&member);
                if (value == NULL) { /* a value that was checked to its depths can only be foreign */
                        assert(!is_container || *is_foreign);
                        *is_foreign = true;
                        value = json_null();
                }
                if (!is_object) {
                        json_array_append_new(all, value);
                        continue;
                }
                size_t size;
                char *name = reference_text(member.name, &size);
                *is_foreign |= memchr(name, 0, size) != NULL;
                name = realloc(name, size + 1);
                name[size] = 0;
                json_object_set_new_nocheck(all, name, value);
                free(name);
        }
        if (more == 0)
                return all;
        json_decref(all);
        return NULL;
}

/* How deep a text nests, if it is legal. */
static inline size_t reference_depth(struct span text)
{
        size_t depth = 0;
        size_t deepest = 0;
        bool is_string = false;
        for (size_t i = 0; i < text.size; i++) {
                uint8_t byte = text.bytes[i];
                if (is_string && byte == '\\')
                        i++;
                else if (byte == '"')
                        is_string = !is_string;
                else if (!is_string && (byte == '[' || byte == '{'))
                        deepest = ++depth > deepest ? depth : deepest;
                else if (!is_string && (byte == ']' || byte == '}'))
                        depth--;
        }
        return deepest;
}

/* Aborts where the two disagree about `text`. Returns whether our reader takes it. */
static inline bool reference_compare(struct span text)
{
        /* One element of an array, so that any kind of value can be walked; the depth counts one more. */
        uint8_t *wrapped = malloc(text.size + 2);
        wrapped[0] = '[';
        span_copy(wrapped + 1, text)[0] = ']';
        struct span wrapped_text = span_of(wrapped, text.size + 2);

        bool is_foreign = false;
        json_error_t error;
        json_t *ours = reference_rebuild(wrapped_text, false, &is_foreign);
        json_t *theirs = json_loadb((const char *)wrapped, wrapped_text.size, JSON_ALLOW_NUL, &error);
        if (theirs != NULL && ours == NULL)
                assert(reference_depth(wrapped_text) > JSON_DEPTH_MAX || memchr(wrapped, 0, wrapped_text.size) != NULL);
        if (theirs == NULL && ours != NULL)
                assert(is_foreign);
        if (theirs != NULL && ours != NULL)
                assert(!is_foreign && json_equal(ours, theirs));
        assert(json_is_valid(wrapped_text) == (ours != NULL));

        bool is_taken = ours != NULL;
        json_decref(ours);
        json_decref(theirs);
        free(wrapped);
        return is_taken;
}

#endif
