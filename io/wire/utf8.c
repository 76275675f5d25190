/* utf8: RFC 3629, section 4, as a table. What makes UTF-8 strict is all in the second byte: the four rows with a
 * narrower range shut out overlong forms, surrogates and what lies beyond U+10FFFF. The bytes behind it are plain
 * 80..BF. */
#include "io/wire/utf8.h"

#include "io/wire/swar.h"

struct form {
        uint8_t first_low, first_high;
        uint8_t second_low, second_high;
        uint8_t size;
};

static const struct form forms[] = {
        {0xC2, 0xDF, 0x80, 0xBF, 2}, /* C0 and C1 would only be overlong ASCII */
        {0xE0, 0xE0, 0xA0, 0xBF, 3}, /* below A0: overlong */
        {0xE1, 0xEC, 0x80, 0xBF, 3}, /**/
        {0xED, 0xED, 0x80, 0x9F, 3}, /* above 9F: surrogates */
        {0xEE, 0xEF, 0x80, 0xBF, 3}, /**/
        {0xF0, 0xF0, 0x90, 0xBF, 4}, /* below 90: overlong */
        {0xF1, 0xF3, 0x80, 0xBF, 4}, /**/
        {0xF4, 0xF4, 0x80, 0x8F, 4}, /* above 8F: beyond U+10FFFF */
};

size_t utf8_sequence_size(struct span text)
{
        if (text.size == 0)
                return 0;
        uint8_t first = text.bytes[0];
        if (first < 0x80)
                return 1;

        const struct form *form = forms;
        const struct form *end = forms + array_count(forms);
        while (form < end && first > form->first_high)
                form++;
        if (form == end || first < form->first_low || text.size < form->size)
                return 0;
        if (text.bytes[1] < form->second_low || text.bytes[1] > form->second_high)
                return 0;
        for (size_t i = 2; i < form->size; i++)
                if ((text.bytes[i] & 0xC0) != 0x80)
                        return 0;
        return form->size;
}

bool utf8_is_valid(struct span text)
{
        while (text.size != 0) {
                if (text.size >= SWAR_BYTES && swar_not_ascii(swar_load(text.bytes)) == 0) {
                        text = span_skip(text, SWAR_BYTES);
                        continue;
                }
                size_t size = utf8_sequence_size(text);
                if (size == 0)
                        return false;
                text = span_skip(text, size);
        }
        return true;
}

size_t utf8_put(uint8_t *out, uint32_t code)
{
        assert_slow(code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF));
        if (code < 0x80) {
                out[0] = (uint8_t)code;
                return 1;
        }
        if (code < 0x800) {
                out[0] = (uint8_t)(0xC0 | code >> 6);
                out[1] = (uint8_t)(0x80 | (code & 0x3F));
                return 2;
        }
        if (code < 0x10000) {
                out[0] = (uint8_t)(0xE0 | code >> 12);
                out[1] = (uint8_t)(0x80 | (code >> 6 & 0x3F));
                out[2] = (uint8_t)(0x80 | (code & 0x3F));
                return 3;
        }
        out[0] = (uint8_t)(0xF0 | code >> 18);
        out[1] = (uint8_t)(0x80 | (code >> 12 & 0x3F));
        out[2] = (uint8_t)(0x80 | (code >> 6 & 0x3F));
        out[3] = (uint8_t)(0x80 | (code & 0x3F));
        return 4;
}
