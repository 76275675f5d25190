/* fuzz: what the targets share: numbers and texts taken off an input, and the entry that a fuzzer calls. An input that
 * is at its end gives zeros and empty texts, so that every input means something. */
#ifndef SPATE_TESTS_FUZZ_FUZZ_H
#define SPATE_TESTS_FUZZ_FUZZ_H

#include <stdlib.h>

#include "engine/base/span.h"

/* Aborts where something is wrong with the product; returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline uint8_t fuzz_byte(struct span *input)
{
        if (input->size == 0)
                return 0;
        uint8_t byte = input->bytes[0];
        *input = span_skip(*input, 1);
        return byte;
}

/* Of `bytes` bytes, 1 .. 8, the lowest first. */
static inline uint64_t fuzz_number(struct span *input, unsigned bytes)
{
        uint64_t number = 0;
        for (unsigned i = 0; i < bytes; i++)
                number |= (uint64_t)fuzz_byte(input) << 8 * i;
        return number;
}

/* Up to `size` bytes. */
static inline struct span fuzz_bytes(struct span *input, size_t size)
{
        struct span taken = span_of(input->bytes, size < input->size ? size : input->size);
        *input = span_skip(*input, taken.size);
        return taken;
}

/* Up to `end`, which goes with it. */
static inline struct span fuzz_until(struct span *input, uint8_t end)
{
        size_t size = 0;
        while (size < input->size && input->bytes[size] != end)
                size++;
        struct span taken = fuzz_bytes(input, size);
        fuzz_byte(input);
        return taken;
}

/* A copy on the heap of exactly its size, for a sanitizer to see a byte too many. */
static inline uint8_t *fuzz_copy(struct span span)
{
        uint8_t *copy = malloc(span.size == 0 ? 1 : span.size);
        assert(copy != NULL);
        span_copy(copy, span);
        return copy;
}

/* The same as a C string, cut at its first NUL. */
static inline char *fuzz_string(struct span span)
{
        size_t size = span.size == 0 ? 0 : strnlen((const char *)span.bytes, span.size);
        char *text = malloc(size + 1);
        assert(text != NULL);
        *span_copy((uint8_t *)text, span_of(span.bytes, size)) = '\0';
        return text;
}

/* Bytes that tell where in an endless row they stand, and whether some are those. */
#define FUZZ_ROW_BYTES 65521
static inline const uint8_t *fuzz_row(void)
{
        static uint8_t row[FUZZ_ROW_BYTES];
        for (size_t i = 0; row[1] == 0 && i < sizeof row; i++)
                row[i] = (uint8_t)(i * 131 + (i >> 8) * 31 + (i >> 5));
        return row;
}

static inline void fuzz_fill(uint8_t *to, size_t size, uint64_t at)
{
        for (size_t part; size > 0; to += part, at += part, size -= part) {
                size_t from = at % FUZZ_ROW_BYTES;
                part = size < FUZZ_ROW_BYTES - from ? size : FUZZ_ROW_BYTES - from;
                memcpy(to, fuzz_row() + from, part);
        }
}

static inline bool fuzz_is_filled(const uint8_t *bytes, size_t size, uint64_t at)
{
        for (size_t part; size > 0; bytes += part, at += part, size -= part) {
                size_t from = at % FUZZ_ROW_BYTES;
                part = size < FUZZ_ROW_BYTES - from ? size : FUZZ_ROW_BYTES - from;
                if (memcmp(bytes, fuzz_row() + from, part) != 0)
                        return false;
        }
        return true;
}

/* An error is one line with something in it. */
static inline void fuzz_check_line(const char *error)
{
        assert(error[0] != '\0');
        assert(strchr(error, '\n') == NULL);
}

#endif
