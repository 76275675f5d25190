/* sha1: see sha1.h. Written for short texts: one pass, no state to carry. */
#include "engine/base/sha1.h"

#include <string.h>

#define BLOCK_BYTES 64
#define LENGTH_BYTES 8

static uint32_t rotated(uint32_t word, unsigned bits)
{
        return word << bits | word >> (32 - bits);
}

static uint32_t big_endian(const uint8_t *bytes)
{
        return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* 6.1.2 */
static void block_take(uint32_t state[5], const uint8_t block[BLOCK_BYTES])
{
        uint32_t schedule[80];
        uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
        for (int t = 0; t < 16; t++)
                schedule[t] = big_endian(block + 4 * t);
        for (int t = 16; t < 80; t++)
                schedule[t] = rotated(schedule[t - 3] ^ schedule[t - 8] ^ schedule[t - 14] ^ schedule[t - 16], 1);
        for (int t = 0; t < 80; t++) {
                uint32_t mixed, constant;
                if (t < 20) {
                        mixed = (b & c) ^ (~b & d);
                        constant = 0x5a827999;
                } else if (t < 40) {
                        mixed = b ^ c ^ d;
                        constant = 0x6ed9eba1;
                } else if (t < 60) {
                        mixed = (b & c) ^ (b & d) ^ (c & d);
                        constant = 0x8f1bbcdc;
                } else {
                        mixed = b ^ c ^ d;
                        constant = 0xca62c1d6;
                }
                uint32_t next = rotated(a, 5) + mixed + e + constant + schedule[t];
                e = d;
                d = c;
                c = rotated(b, 30);
                b = a;
                a = next;
        }
        state[0] += a;
        state[1] += b;
        state[2] += c;
        state[3] += d;
        state[4] += e;
}

void sha1(struct span text, uint8_t digest[SHA1_BYTES])
{
        uint32_t state[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
        uint8_t last[2 * BLOCK_BYTES] = {0};
        uint64_t bits = (uint64_t)text.size * 8;
        while (text.size >= BLOCK_BYTES) {
                block_take(state, text.bytes);
                text = span_skip(text, BLOCK_BYTES);
        }
        /* 5.1.1: a one bit, zeros, and the length at the end of a block. */
        size_t last_bytes = text.size + 1 + LENGTH_BYTES <= BLOCK_BYTES ? BLOCK_BYTES : 2 * BLOCK_BYTES;
        span_copy(last, text);
        last[text.size] = 0x80;
        for (size_t i = 0; i < LENGTH_BYTES; i++)
                last[last_bytes - 1 - i] = (uint8_t)(bits >> 8 * i);
        block_take(state, last);
        if (last_bytes > BLOCK_BYTES)
                block_take(state, last + BLOCK_BYTES);
        for (size_t i = 0; i < SHA1_BYTES; i++)
                digest[i] = (uint8_t)(state[i / 4] >> 8 * (3 - i % 4));
}
