/* escape: see the header. */
#include "engine/cli/escape.h"

#include "io/wire/utf8.h"

uint32_t escape_code(struct span sequence)
{
        uint32_t code = sequence.size == 1 ? sequence.bytes[0] : sequence.bytes[0] & (0x7fu >> sequence.size);
        for (size_t i = 1; i < sequence.size; i++)
                code = code << 6 | (sequence.bytes[i] & 0x3f);
        return code;
}

bool escape_is_harmless(uint32_t code)
{
        static const struct {
                uint32_t first, last;
        } harmful[] = {
                {0x00, 0x1f},     {'\\', '\\'},     {0x7f, 0x9f},     /* C0, DEL, C1; the escape itself */
                {0x061c, 0x061c}, {0x200e, 0x200f}, {0x2028, 0x202e}, /* line ends and writing directions */
                {0x2066, 0x2069}, {0xfeff, 0xfeff}, {0xfff9, 0xfffb},
        };
        for (size_t i = 0; i < array_count(harmful); i++)
                if (code >= harmful[i].first && code <= harmful[i].last)
                        return false;
        return true;
}

static void print_byte(FILE *out, uint8_t byte)
{
        if (byte == '\n')
                fputs("\\n", out);
        else if (byte == '\r')
                fputs("\\r", out);
        else if (byte == '\t')
                fputs("\\t", out);
        else if (byte == '\\')
                fputs("\\\\", out);
        else
                fprintf(out, "\\x%02x", byte);
}

void escape_print(FILE *out, struct span text)
{
        size_t plain = 0; /* so many bytes from the start of `text` pass as they are */
        while (plain < text.size) {
                size_t size = utf8_sequence_size(span_skip(text, plain)); /* 0: a byte that is not UTF-8 */
                if (size != 0 && escape_is_harmless(escape_code(span_of(text.bytes + plain, size)))) {
                        plain += size;
                        continue;
                }
                fwrite(text.bytes, 1, plain, out);
                for (size_t i = 0; i < (size != 0 ? size : 1); i++)
                        print_byte(out, text.bytes[plain + i]);
                text = span_skip(text, plain + (size != 0 ? size : 1));
                plain = 0;
        }
        if (text.size > 0)
                fwrite(text.bytes, 1, text.size, out);
}
