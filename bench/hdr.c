/* hdr: see hdr.h. */
#include "bench/hdr.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zlib.h>

#include "engine/base/clock.h"

#define COOKIE_V2 0x1c849313u
#define COOKIE_V2_COMPRESSED 0x1c849314u
#define HEADER_BYTES 40
#define COMPRESSED_HEADER_BYTES 8
#define NUMBER_BYTES_MAX 9
#define DIGITS 3

/* An HdrHistogram of so many digits has at least 2 * 10^digits steps in its first two octaves. */
static_assert(LATENCY_STEPS == 1024 && DIGITS == 3, "the buckets must be those of HdrHistogram");

static uint8_t *big_endian_write(uint8_t *to, uint64_t number, unsigned bytes)
{
        for (unsigned i = bytes; i-- > 0;)
                *to++ = (uint8_t)(number >> 8 * i);
        return to;
}

/* The ninth byte has no bit to spare for "more follows", so 64 bits fit into nine. */
static uint8_t *number_encode(uint8_t *to, int64_t number)
{
        uint64_t left = (uint64_t)number << 1 ^ (uint64_t)(number >> 63);
        for (unsigned i = 0; i < NUMBER_BYTES_MAX - 1; i++) {
                if (left < 0x80) {
                        *to++ = (uint8_t)left;
                        return to;
                }
                *to++ = (uint8_t)(left | 0x80);
                left >>= 7;
        }
        *to++ = (uint8_t)left;
        return to;
}

static uint8_t *counts_encode(uint8_t *to, const struct latency *latency)
{
        unsigned end = latency_bucket(latency->largest) + 1;
        for (unsigned bucket = 0; bucket < end;) {
                unsigned zeros = 0;
                while (bucket + zeros < end && latency->buckets[bucket + zeros] == 0)
                        zeros++;
                if (zeros > 1)
                        to = number_encode(to, -(int64_t)zeros);
                else
                        to = number_encode(to, (int64_t)latency->buckets[bucket]);
                bucket += zeros > 1 ? zeros : 1;
        }
        return to;
}

static void *memory_new(size_t size)
{
        void *memory = malloc(size);
        if (memory == NULL)
                abort();
        return memory;
}

uint8_t *hdr_encode(const struct latency *latency, size_t *size)
{
        const double ratio = 1.0;
        uint64_t ratio_bits;
        memcpy(&ratio_bits, &ratio, sizeof(ratio_bits));
        size_t room = HEADER_BYTES + (size_t)(latency_bucket(latency->largest) + 1) * NUMBER_BYTES_MAX;
        uint8_t *bytes = memory_new(room);
        uint8_t *end = counts_encode(bytes + HEADER_BYTES, latency);
        uint8_t *to = big_endian_write(bytes, COOKIE_V2, 4);
        to = big_endian_write(to, (uint64_t)(end - bytes) - HEADER_BYTES, 4);
        to = big_endian_write(to, 0, 4); /* how far a shifted histogram is shifted */
        to = big_endian_write(to, DIGITS, 4);
        to = big_endian_write(to, 1, 8);
        to = big_endian_write(to, LATENCY_VALUE_MAX, 8);
        to = big_endian_write(to, ratio_bits, 8);
        assert(to == bytes + HEADER_BYTES);
        *size = (size_t)(end - bytes);
        assert(*size <= room);
        return bytes;
}

static char *base64(const uint8_t *bytes, size_t size)
{
        static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        char *text = memory_new((size + 2) / 3 * 4 + 1);
        char *to = text;
        for (size_t i = 0; i < size; i += 3) {
                uint32_t group = (uint32_t)bytes[i] << 16;
                group |= i + 1 < size ? (uint32_t)bytes[i + 1] << 8 : 0;
                group |= i + 2 < size ? bytes[i + 2] : 0;
                *to++ = digits[group >> 18];
                *to++ = digits[group >> 12 & 63];
                *to++ = i + 1 < size ? digits[group >> 6 & 63] : '=';
                *to++ = i + 2 < size ? digits[group & 63] : '=';
        }
        *to = '\0';
        return text;
}

char *hdr_encode_text(const struct latency *latency)
{
        size_t size;
        uint8_t *plain = hdr_encode(latency, &size);
        uLongf packed_bytes = compressBound(size);
        uint8_t *packed = memory_new(COMPRESSED_HEADER_BYTES + packed_bytes);
        if (compress(packed + COMPRESSED_HEADER_BYTES, &packed_bytes, plain, size) != Z_OK)
                abort(); /* the room is what compressBound() asks for, so memory is short */
        big_endian_write(big_endian_write(packed, COOKIE_V2_COMPRESSED, 4), packed_bytes, 4);
        char *text = base64(packed, COMPRESSED_HEADER_BYTES + packed_bytes);
        free(plain);
        free(packed);
        return text;
}

void hdr_log_begin(FILE *out, uint64_t start_unix_ns, const char *about)
{
        char date[64];
        time_t start_s = (time_t)(start_unix_ns / NS_PER_S);
        struct tm parts;
        gmtime_r(&start_s, &parts);
        strftime(date, sizeof(date), "%a %b %d %H:%M:%S UTC %Y", &parts);
        fprintf(out, "#[%s]\n#[Histogram log format version 1.3]\n", about);
        fprintf(out, "#[StartTime: %.3f (seconds since epoch), %s]\n", (double)start_unix_ns / 1e9, date);
        fprintf(out, "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n");
}

void hdr_log_interval(FILE *out, const char *tag, double start_s, double length_s, const struct latency *latency)
{
        char *text = hdr_encode_text(latency);
        if (tag != NULL)
                fprintf(out, "Tag=%s,", tag);
        fprintf(out, "%.3f,%.3f,%.3f,%s\n", start_s, length_s, (double)latency->largest / 1e6, text);
        free(text);
}
