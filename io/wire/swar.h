/* swar: eight bytes at a time in a plain 64-bit word, without the instructions of any one processor.
 *
 * A search answers with a word of marks: 0x80 in the place of every byte it looks for. Marks behind the first may be
 * false (a borrow runs upwards), the first one never is; so ask for "any" or for "the first", not for "how many". */
#ifndef SPATE_WIRE_SWAR_H
#define SPATE_WIRE_SWAR_H

#include <string.h>

#include "engine/base/check.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the first byte in memory is the lowest of the word");

#define SWAR_BYTES 8
#define SWAR_ONES 0x0101010101010101u
#define SWAR_HIGHS 0x8080808080808080u

static inline uint64_t swar_load(const uint8_t *bytes)
{
        uint64_t word;
        memcpy(&word, bytes, sizeof(word));
        return word;
}

/* Marks the bytes below `limit`, 1 .. 128. */
static inline uint64_t swar_below(uint64_t word, uint8_t limit)
{
        return (word - SWAR_ONES * limit) & ~word & SWAR_HIGHS;
}

static inline uint64_t swar_equal(uint64_t word, uint8_t byte)
{
        return swar_below(word ^ (SWAR_ONES * byte), 1);
}

/* Marks the bytes that are not ASCII; here all marks are true. */
static inline uint64_t swar_not_ascii(uint64_t word)
{
        return word & SWAR_HIGHS;
}

/* The place of the first mark, 0 .. 7; `marks` is not 0. */
static inline unsigned swar_first(uint64_t marks)
{
        return (unsigned)__builtin_ctzll(marks) / 8;
}

/* A word with all bits set in its first `count` bytes, 1 .. 8. */
static inline uint64_t swar_first_bytes(size_t count)
{
        return UINT64_MAX >> (64 - 8 * count);
}

#endif
