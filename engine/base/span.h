/* span: borrowed bytes. Nobody frees a span; it is good for as long as the header that hands it out says. */
#ifndef SPATE_BASE_SPAN_H
#define SPATE_BASE_SPAN_H

#include <string.h>

#include "engine/base/check.h"

struct span {
        const uint8_t *bytes;
        size_t size;
};

/* A string literal as a span: in an expression, and where a static object is initialised. */
#define SPAN(literal) ((struct span)SPAN_INIT(literal))
#define SPAN_INIT(literal)                                                                                             \
        {                                                                                                              \
                .bytes = (const uint8_t *)("" literal), .size = sizeof(literal) - 1                                    \
        }
#define SPAN_NONE ((struct span){.bytes = NULL, .size = 0})

static inline struct span span_of(const void *bytes, size_t size)
{
        return (struct span){.bytes = bytes, .size = size};
}

static inline struct span span_of_text(const char *text)
{
        return span_of(text, strlen(text));
}

static inline bool span_equal(struct span a, struct span b)
{
        return a.size == b.size && (a.size == 0 || memcmp(a.bytes, b.bytes, a.size) == 0);
}

static inline bool span_starts_with(struct span span, struct span start)
{
        return span.size >= start.size && (start.size == 0 || memcmp(span.bytes, start.bytes, start.size) == 0);
}

/* What remains behind the first `size` bytes; `size` <= span.size. */
static inline struct span span_skip(struct span span, size_t size)
{
        assert_slow(size <= span.size);
        return (struct span){.bytes = span.bytes + size, .size = span.size - size};
}

/* Copies the span to `to` and returns the byte behind it. */
static inline uint8_t *span_copy(uint8_t *to, struct span span)
{
        if (span.size != 0)
                memcpy(to, span.bytes, span.size);
        return to + span.size;
}

#endif
