/* The pattern is the subject with some tokens made stars, or cut short by a tail; only attacks do otherwise. */
#include <stdarg.h>
#include <stdio.h>

#include "bench/micro/workload.h"

#define HARMLESS_COUNT 1000
#define TAIL 0x8000u /* of a mask: the pattern ends in a tail behind as many tokens as the low byte says */

static void text_printf(struct workload_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void text_printf(struct workload_text *text, const char *format, ...)
{
        va_list arguments;
        va_start(arguments, format);
        int size = vsnprintf(text->bytes + text->size, sizeof text->bytes - text->size, format, arguments);
        va_end(arguments);
        assert(size >= 0);
        text->size += (size_t)size;
        assert(text->size < sizeof text->bytes);
}

static unsigned draw(struct random *random, unsigned bound)
{
        return (unsigned)random_below(random, bound);
}

static void make_reading(struct workload_text *text, struct random *random)
{
        text->size = 0;
        text_printf(text, "reg%u.site%03u.line%02u.dev%06u.sensor%u.tmp%u", draw(random, 8), draw(random, 500),
                    draw(random, 40), draw(random, 1000000), draw(random, 10), draw(random, 10));
}

static void make_of_tenant(struct workload_text *text, struct random *random)
{
        text->size = 0;
        text_printf(text, "tenant%04u.site%02u.line%02u.dev%04u.sensor%u.t%u", draw(random, 2000), draw(random, 20),
                    draw(random, 10), draw(random, 10000), draw(random, 10), draw(random, 10));
}

/* `words` is how many different tokens there are at each place. */
static void make_deep(struct workload_text *text, struct random *random, size_t depth, unsigned words)
{
        text->size = 0;
        for (size_t i = 0; i < depth; i++)
                text_printf(text, "%sw%zu-%u", i > 0 ? "." : "", i, draw(random, words));
}

static void make_pattern(struct workload_text *pattern, const struct workload_text *subject, unsigned mask)
{
        size_t position = 0, at = 0;
        pattern->size = 0;
        while (at < subject->size) {
                size_t end = at;
                while (end < subject->size && subject->bytes[end] != '.')
                        end++;
                const char *dot = position > 0 ? "." : "";
                if ((mask & TAIL) && position == (mask & 0xff)) {
                        text_printf(pattern, "%s>", dot);
                        return;
                }
                unsigned stars = mask & TAIL ? mask >> 16 : mask;
                if (stars >> position & 1)
                        text_printf(pattern, "%s*", dot);
                else
                        text_printf(pattern, "%s%.*s", dot, (int)(end - at), subject->bytes + at);
                position++;
                at = end + 1;
        }
}

static unsigned few_shapes(struct random *random)
{
        static const unsigned masks[] = {0x04, 0x10, 0x20, 0x24, 0x12, TAIL | 3, 2u << 16 | TAIL | 5};
        return masks[draw(random, array_count(masks))];
}

/* Every mask of `stars_max` places from `first` on, and every tail with every mask of what is in front of it. */
static unsigned any_shape(struct random *random, unsigned first, unsigned tokens)
{
        unsigned all = (1u << tokens) - 1 - ((1u << first) - 1);
        if (draw(random, 2) == 0)
                return draw(random, 1u << tokens) & all;
        unsigned length = first + draw(random, tokens - first);
        return (draw(random, 1u << length) & all) << 16 | TAIL | length;
}

/* A deep subject whose first token is `word`. */
static void make_behind(struct workload_text *text, struct random *random, size_t depth, const char *word)
{
        struct workload_text rest;
        make_deep(&rest, random, depth, 1u << 20);
        size_t dot = 0;
        while (rest.bytes[dot] != '.')
                dot++;
        text->size = 0;
        text_printf(text, "%s%.*s", word, (int)(rest.size - dot), rest.bytes + dot);
}

static void next_of_attack(struct workload_stream *stream, struct workload_text *subject, struct workload_text *pattern)
{
        struct random *random = &stream->random;
        size_t depth = stream->workload == WORKLOAD_UNSELECTIVE ? 8 : 10;
        size_t n = stream->yielded;
        if (stream->workload == WORKLOAD_JUNK)
                make_behind(subject, random, depth, "victim");
        else
                make_deep(subject, random, depth, 1000);
        make_pattern(pattern, subject, n % 10 == 0 ? 1u << draw(random, (unsigned)depth) : 0);
        if (n < HARMLESS_COUNT || stream->workload == WORKLOAD_HARMLESS)
                return;
        n -= HARMLESS_COUNT;
        struct workload_text junk;
        switch (stream->workload) {
        case WORKLOAD_MANY_SHAPES:
                make_deep(&junk, random, depth, 1u << 20);
                make_pattern(pattern, &junk, (unsigned)(n % 1023));
                break;
        case WORKLOAD_JUNK:
                make_behind(&junk, random, depth, "victim");
                make_pattern(pattern, &junk, (unsigned)(n % 510 + 1) << 1);
                break;
        case WORKLOAD_UNSELECTIVE: {
                unsigned first = draw(random, 8), second = draw(random, 8);
                make_pattern(pattern, subject,
                             0xffu & ~(1u << first | 1u << (first == second ? (first + 1) % 8 : second)));
                break;
        }
        case WORKLOAD_ALL_MASKS:
                subject->size = 0;
                for (size_t i = 0; i < depth; i++)
                        text_printf(subject, "%shit%zu", i > 0 ? "." : "", i);
                make_pattern(pattern, subject, (unsigned)(n % 1024));
                break;
        default:
                assert(!"an attack");
        }
}

void workload_begin(struct workload_stream *stream, enum workload workload)
{
        stream->workload = workload;
        stream->yielded = 0;
        random_init(&stream->random, 1);
}

void workload_next(struct workload_stream *stream, struct workload_text *subject, struct workload_text *pattern)
{
        struct random *random = &stream->random;
        unsigned mask = 0;
        if (stream->workload >= WORKLOAD_HARMLESS) {
                next_of_attack(stream, subject, pattern);
                stream->yielded++;
                return;
        }
        if (stream->workload == WORKLOAD_TENANTS)
                make_of_tenant(subject, random);
        else
                make_reading(subject, random);
        switch (stream->workload) {
        case WORKLOAD_MIXED:
                mask = draw(random, 10) == 0 ? few_shapes(random) : 0;
                break;
        case WORKLOAD_WILD:
                mask = few_shapes(random);
                break;
        case WORKLOAD_IOT:
                mask = any_shape(random, 0, 6);
                break;
        case WORKLOAD_TENANTS:
                mask = draw(random, 32) << 1;
                break;
        case WORKLOAD_TAILS:
                mask = TAIL | (1 + draw(random, 5));
                break;
        default:
                break;
        }
        make_pattern(pattern, subject, mask);
        if (stream->workload == WORKLOAD_PREFIX) {
                static const size_t sizes[] = {27, 28, 29, 31, 37};
                pattern->size = sizes[draw(random, array_count(sizes))];
        }
        stream->yielded++;
}

size_t workload_patterns(enum workload workload)
{
        switch (workload) {
        case WORKLOAD_HARMLESS:
                return HARMLESS_COUNT;
        case WORKLOAD_MANY_SHAPES:
                return HARMLESS_COUNT + 1023;
        case WORKLOAD_JUNK:
                return HARMLESS_COUNT + 510 * 4;
        case WORKLOAD_UNSELECTIVE:
                return HARMLESS_COUNT + 100000;
        case WORKLOAD_ALL_MASKS:
                return HARMLESS_COUNT + 1024;
        default:
                return 0;
        }
}
