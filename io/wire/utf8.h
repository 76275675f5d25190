/* utf8: which bytes are UTF-8 (RFC 3629: shortest form, no surrogates, up to U+10FFFF). */
#ifndef SPATE_WIRE_UTF8_H
#define SPATE_WIRE_UTF8_H

#include "engine/base/span.h"

#define UTF8_SEQUENCE_BYTES_MAX 4
/* What stands for bytes that are not UTF-8. */
#define UTF8_REPLACEMENT 0xFFFDu

/* The size of the one character at the start of `text`, 1 .. 4; 0: it is cut off, malformed, or `text` is empty. */
size_t utf8_sequence_size(struct span text);

bool utf8_is_valid(struct span text);

/* Writes one character, at most UTF8_SEQUENCE_BYTES_MAX bytes; returns their number. `code` is at most 0x10FFFF and no
 * surrogate. */
size_t utf8_put(uint8_t *out, uint32_t code);

#endif
